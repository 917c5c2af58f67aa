/* SPDX-License-Identifier: Apache-2.0
 * cma.h - the (mu/mu_w, lambda)-CMA-ES: update of mean, step size and covariance.
 *
 * Formula numbers are those of Hansen's tutorial (arXiv 1604.00772, appendix A). Weights and learning rates are those of Hansen, "The CMA
 * Evolution Strategy: A Comparing Review" (2006), table 1, which his c-cmaes still has: so figures can be laid beside it. The active update
 * (negative weights for the worse half) is the tutorial's. Diagonal: Ros & Hansen 2008.
 *
 * It knows steps y ~ N(0, C), the mean and sigma; boxes, rounding and losses are its caller's. Products of matrices and the decomposition are
 * the host's (BLAS, LAPACK); without a full matrix nothing here depends on the machine.
 */
#ifndef PLUGINS_OPTIMIZER_CMA_H
#define PLUGINS_OPTIMIZER_CMA_H

#include <string.h>

#include "random.h"

typedef struct {
  const EvoKernels *k;
  guint n, lambda, mu;
  gboolean diagonal, active;
  double mu_eff, c_c, c_sigma, d_sigma, c_1, c_mu, chi_n;
  double *weight;                               /* [lambda], best first; the first mu sum to 1, the rest are <= 0 */
  double sigma;
  double *mean, *p_c, *p_sigma;                 /* [n] */
  double *c;                                    /* [n][n], or [n] */
  double *root;                                 /* [n][n] B D: y = root z has covariance C; NULL where diagonal */
  double *width;                                /* [n] D: square roots of C's eigenvalues */
  double *rows, *weighted;                      /* [lambda + 1][n] steps to learn from; NULL where diagonal */
  gint64 generation, decomposed;                /* generation of root and width */
  double *tmp;                                  /* [n] */
} Cma;

/* (49)-(53) */
static inline void
cma_set_weights (Cma *s)
{
  double sum = 0, squares = 0, rest = 0, rest_squares = 0, mu_eff_rest, limit;

  for (guint i = 0; i < s->lambda; i++) {
    double w = i < s->mu ? portable_log (s->mu + 1) - portable_log (i + 1) : portable_log ((s->lambda + 1) / 2.0) - portable_log (i + 1);

    s->weight[i] = w;
    sum += i < s->mu ? w : 0;
    squares += i < s->mu ? w * w : 0;
    rest += i < s->mu ? 0 : w;
    rest_squares += i < s->mu ? 0 : w * w;
  }
  s->mu_eff = sum * sum / squares;
  mu_eff_rest = rest_squares > 0 ? rest * rest / rest_squares : 0;
  limit = MIN (1 + s->c_1 / s->c_mu, 1 + 2 * mu_eff_rest / (s->mu_eff + 2));
  limit = MIN (limit, (1 - s->c_1 - s->c_mu) / (s->n * s->c_mu));
  for (guint i = 0; i < s->lambda; i++)
    s->weight[i] *= i < s->mu ? 1 / sum : s->active && rest < 0 ? limit / -rest : 0;
}

static inline void
cma_set_rates (Cma *s)
{
  double n = s->n, m = s->mu_eff, all = MIN (1, (2 * m - 1) / ((n + 2) * (n + 2) + m)), boost = s->diagonal ? (n + 2) / 3 : 1;

  all = 2 / (m * (n + G_SQRT2) * (n + G_SQRT2)) + (1 - 1 / m) * all;
  s->c_1 = MIN (1, boost * all / m);            /* diagonal: fewer numbers to learn, faster */
  s->c_mu = MIN (1 - s->c_1, boost * all * (1 - 1 / m));
  s->c_c = 4 / (n + 4);
  s->c_sigma = (m + 2) / (n + m + 3);
  s->d_sigma = 1 + 2 * MAX (0, sqrt ((m - 1) / (n + 1)) - 1) + s->c_sigma;
  s->chi_n = sqrt (n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
}

/* Starts at mean [n] with C = I. lambda >= 2; n may be 0: only the weights mean something then. */
static inline void
cma_init (Cma *s, const EvoKernels *k, guint n, guint lambda, gboolean diagonal, gboolean active, const double *mean, double sigma)
{
  gsize n_c = diagonal ? n : (gsize) n * n;

  *s = (Cma){ .k = k, .n = n, .lambda = lambda, .mu = lambda / 2, .diagonal = diagonal, .active = active, .sigma = sigma };
  s->weight = g_new0 (double, lambda);
  cma_set_weights (s);
  cma_set_rates (s);
  cma_set_weights (s);                          /* the negative ones, by the rates that follow from the others */
  s->mean = g_new (double, n);
  s->p_c = g_new0 (double, n);
  s->p_sigma = g_new0 (double, n);
  s->tmp = g_new0 (double, n);
  s->width = g_new (double, n);
  s->c = g_new0 (double, n_c);
  s->root = diagonal ? NULL : g_new0 (double, n_c);
  s->rows = diagonal ? NULL : g_new (double, (gsize) (lambda + 1) * n);
  s->weighted = diagonal ? NULL : g_new (double, (gsize) (lambda + 1) * n);
  for (guint i = 0; i < n; i++) {
    s->mean[i] = mean[i];
    s->width[i] = 1;
    s->c[diagonal ? i : (gsize) i * n + i] = 1;
    if (!diagonal)
      s->root[(gsize) i * n + i] = 1;
  }
}

static inline void
cma_clear (Cma *s)
{
  double *owned[] = { s->weight, s->mean, s->p_c, s->p_sigma, s->c, s->root, s->rows, s->weighted, s->width, s->tmp };

  for (guint i = 0; i < G_N_ELEMENTS (owned); i++)
    g_free (owned[i]);
  *s = (Cma){ 0 };
}

/* Standard deviation of coordinate i of y. */
static inline double
cma_deviation (const Cma *s, guint i)
{
  return sqrt (s->c[s->diagonal ? i : (gsize) i * s->n + i]);
}

/* out [n] = C^-1/2 y = B D^-1 B' y, where B = root D^-1; out may not be y */
static inline void
cma_whiten (Cma *s, const double *y, double *out)
{
  if (s->diagonal) {
    for (guint i = 0; i < s->n; i++)
      out[i] = y[i] / s->width[i];
    return;
  }
  s->k->gemm (s->tmp, y, 0, s->root, 0, 1, s->n, s->n, 1, 0);
  for (guint i = 0; i < s->n; i++)
    s->tmp[i] /= s->width[i] * s->width[i] * s->width[i];
  s->k->gemm (out, s->tmp, 0, s->root, 1, 1, s->n, s->n, 1, 0);
}

static inline double
cma_norm2 (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sum;
}

/* (46): weight of the i-th best; a negative one is set so that C stays positive definite. length2: of the step's z */
static inline double
cma_weight (const Cma *s, guint i, double length2)
{
  double w = s->weight[i];

  return w >= 0 ? w : length2 > 0 ? w * s->n / length2 : 0;
}

/* C = keep C + c_1 p_c p_c' + c_mu sum of w y y' as one product of matrices */
static inline void
cma_update_full (Cma *s, const double *y, const guint *order, const double *length2, double keep)
{
  guint m = s->active ? s->lambda : s->mu;
  gsize n = s->n;

  for (guint i = 0; i <= m; i++) {
    const double *step = i < m ? y + order[i] * n : s->p_c;
    double w = i < m ? s->c_mu * cma_weight (s, i, length2[order[i]]) : s->c_1;

    memcpy (s->rows + i * n, step, n * sizeof (double));
    for (gsize j = 0; j < n; j++)
      s->weighted[i * n + j] = w * step[j];
  }
  s->k->gemm (s->c, s->weighted, 1, s->rows, 0, n, n, m + 1, 1, keep);
}

static inline void
cma_update_diagonal (Cma *s, const double *y, const guint *order, const double *length2, double keep)
{
  guint m = s->active ? s->lambda : s->mu;

  for (guint j = 0; j < s->n; j++)
    s->c[j] = keep * s->c[j] + s->c_1 * s->p_c[j] * s->p_c[j];
  for (guint i = 0; i < m; i++) {
    const double *step = y + (gsize) order[i] * s->n;
    double w = s->c_mu * cma_weight (s, i, length2[order[i]]);

    for (guint j = 0; j < s->n; j++)
      s->c[j] += w * step[j] * step[j];
  }
}

/* (47); y [lambda][n], order: best first */
static inline void
cma_update_covariance (Cma *s, const double *y, const guint *order, const double *length2, gboolean stalled)
{
  double sum = 0, keep;

  for (guint i = 0; i < s->lambda; i++)
    sum += s->weight[i];
  keep = 1 + (stalled ? s->c_1 * s->c_c * (2 - s->c_c) : 0) - s->c_1 - s->c_mu * sum;
  if (s->diagonal)
    cma_update_diagonal (s, y, order, length2, keep);
  else
    cma_update_full (s, y, order, length2, keep);
}

/* root = C's eigenvectors, width its eigenvalues. FALSE: no convergence. */
static inline gboolean
cma_eigen (Cma *s)
{
  gsize n = s->n;
  g_autofree char *work = g_malloc (s->k->eigh_work (n) + 64);

  memcpy (s->root, s->c, n * n * sizeof (double));
  if (s->k->eigh (s->root, s->width, n, work + (64 - (guintptr) work % 64)) != 0)
    return FALSE;
  for (gsize i = 0; i < n; i++)                 /* a row was a vector; now it is a coordinate */
    for (gsize j = 0; j < i; j++) {
      double x = s->root[i * n + j];

      s->root[i * n + j] = s->root[j * n + i];
      s->root[j * n + i] = x;
    }
  return TRUE;
}

/* Renewed every 1 / (10 n (c_1 + c_mu)) generations. FALSE: C is no longer positive definite, or its condition passed 1e14. */
static inline gboolean
cma_decompose (Cma *s)
{
  double low = HUGE_VAL, high = 0;
  gsize n = s->n;

  if (!s->diagonal && s->generation - s->decomposed < MAX (1, floor (1 / (10 * s->n * (s->c_1 + s->c_mu)))))
    return TRUE;
  s->decomposed = s->generation;
  if (s->diagonal)
    memcpy (s->width, s->c, n * sizeof (double));
  else if (!cma_eigen (s))
    return FALSE;
  for (gsize i = 0; i < n; i++) {
    low = MIN (low, s->width[i]);
    high = MAX (high, s->width[i]);
  }
  if (!(low > 0 && high <= 1e14 * low))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    s->width[i] = sqrt (s->width[i]);
  for (gsize i = 0; !s->diagonal && i < n * n; i += n)
    for (gsize j = 0; j < n; j++)
      s->root[i + j] *= s->width[j];
  return TRUE;
}

/* (43): the path of sigma, from the mean's step y_w; its length. */
static inline double
cma_follow (Cma *s, const double *y_w)
{
  g_autofree double *white = g_new (double, s->n);
  double grow = sqrt (s->c_sigma * (2 - s->c_sigma) * s->mu_eff);

  cma_whiten (s, y_w, white);
  for (guint i = 0; i < s->n; i++)
    s->p_sigma[i] = (1 - s->c_sigma) * s->p_sigma[i] + grow * white[i];
  return sqrt (cma_norm2 (s->p_sigma, s->n));
}

/* One generation: y [lambda][n] steps, order [lambda] their indices, best first; length2 [lambda]: squared lengths of the z they were made
 * of; scale [n]: what the caller stretched them by. FALSE: as cma_decompose. CMA-ES with Margin moves the mean by steps that are not stretched;
 * a coordinate whose deviation is all margin then hardly follows what the ranking says of it (the ellipsoid with whole numbers of low weight of
 * the tests, 20 seeds: 14 solved so, 20 with stretched ones). */
static inline gboolean
cma_update (Cma *s, const double *y, const guint *order, const double *length2, const double *scale)
{
  g_autofree double *y_w = g_new0 (double, s->n);
  double grow, length;
  gboolean stalled;

  if (s->n == 0)
    return TRUE;
  for (guint i = 0; i < s->mu; i++)
    for (guint k = 0; k < s->n; k++)
      y_w[k] += s->weight[i] * y[(gsize) order[i] * s->n + k];               /* (41) */
  for (guint k = 0; k < s->n; k++)
    s->mean[k] += s->sigma * scale[k] * y_w[k];                              /* (42) */
  length = cma_follow (s, y_w);
  stalled = length / sqrt (1 - portable_exp (2.0 * (s->generation + 1) * portable_log (1 - s->c_sigma)))
            >= (1.4 + 2 / (s->n + 1.0)) * s->chi_n;
  grow = stalled ? 0 : sqrt (s->c_c * (2 - s->c_c) * s->mu_eff);
  for (guint k = 0; k < s->n; k++)
    s->p_c[k] = (1 - s->c_c) * s->p_c[k] + grow * y_w[k];                    /* (45) */
  cma_update_covariance (s, y, order, length2, stalled);
  s->sigma *= portable_exp (MIN (1, s->c_sigma / s->d_sigma * (length / s->chi_n - 1))); /* (44) */
  s->generation++;
  return cma_decompose (s);
}

#endif
