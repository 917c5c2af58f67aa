/* SPDX-License-Identifier: Apache-2.0
 * cma.h - the (mu/mu_w, lambda)-CMA-ES with active covariance update, as in Hansen, "The CMA Evolution Strategy: A Tutorial"
 * (arXiv 1604.00772, appendix A). Formula numbers below are the tutorial's.
 *
 * It knows steps y ~ N(0, C), the mean and sigma; boxes, rounding and losses are its caller's.
 */
#ifndef PLUGINS_OPTIMIZER_CMA_H
#define PLUGINS_OPTIMIZER_CMA_H

#include "eigen.h"
#include "random.h"

typedef struct {
  guint n, lambda, mu;
  gboolean diagonal;                            /* C is diagonal: Ros & Hansen 2008 */
  double mu_eff, c_c, c_sigma, d_sigma, c_1, c_mu, chi_n;
  double *weight;                               /* [lambda], best first; the first mu sum to 1, the rest are <= 0 */
  double sigma;
  double *mean, *p_c, *p_sigma;                 /* [n] */
  double *c;                                    /* [n][n], or [n] */
  double *axes;                                 /* eigenvectors of C as rows [n][n]; NULL where diagonal */
  double *width;                                /* [n] square roots of C's eigenvalues */
  gint64 generation, decomposed;                /* generation of axes and width */
  double *tmp;                                  /* [n] */
} Cma;

/* (49)-(53): weights; recombination uses the positive ones, the covariance update all. */
static inline void
cma_set_weights (Cma *s)
{
  double sum = 0, squares = 0, rest = 0, rest_squares = 0, mu_eff_rest, limit;

  for (guint i = 0; i < s->lambda; i++) {
    double w = portable_log ((s->lambda + 1) / 2.0) - portable_log (i + 1);

    s->weight[i] = w;
    if (i < s->mu) {
      sum += w;
      squares += w * w;
    } else {
      rest += w;
      rest_squares += w * w;
    }
  }
  s->mu_eff = sum * sum / squares;
  mu_eff_rest = rest_squares > 0 ? rest * rest / rest_squares : 0;
  s->c_1 = 2 / ((s->n + 1.3) * (s->n + 1.3) + s->mu_eff);
  s->c_mu = 2 * (0.25 + s->mu_eff + 1 / s->mu_eff - 2) / ((s->n + 2.0) * (s->n + 2.0) + s->mu_eff);
  if (s->diagonal) {                            /* fewer numbers to learn: faster */
    s->c_1 = MIN (0.5, s->c_1 * (s->n + 2) / 3);
    s->c_mu *= (s->n + 2) / 3.0;
  }
  s->c_mu = MIN (1 - s->c_1, s->c_mu);
  limit = MIN (1 + s->c_1 / s->c_mu, 1 + 2 * mu_eff_rest / (s->mu_eff + 2));
  limit = MIN (limit, (1 - s->c_1 - s->c_mu) / (s->n * s->c_mu));
  for (guint i = 0; i < s->lambda; i++)
    s->weight[i] *= i < s->mu ? 1 / sum : rest < 0 ? limit / -rest : 0;
}

/* Starts at mean [n] with C = I. lambda >= 2. */
static inline void
cma_init (Cma *s, guint n, guint lambda, gboolean diagonal, const double *mean, double sigma)
{
  gsize n_c = diagonal ? n : (gsize) n * n;

  *s = (Cma){ .n = n, .lambda = lambda, .mu = lambda / 2, .diagonal = diagonal, .sigma = sigma };
  s->weight = g_new0 (double, lambda);
  cma_set_weights (s);
  s->c_c = (4 + s->mu_eff / n) / (n + 4 + 2 * s->mu_eff / n);
  s->c_sigma = (s->mu_eff + 2) / (n + s->mu_eff + 5);
  s->d_sigma = 1 + 2 * MAX (0, sqrt ((s->mu_eff - 1) / (n + 1)) - 1) + s->c_sigma;
  s->chi_n = sqrt (n) * (1 - 1 / (4.0 * n) + 1 / (21.0 * n * n));
  s->mean = g_new (double, n);
  s->p_c = g_new0 (double, n);
  s->p_sigma = g_new0 (double, n);
  s->tmp = g_new0 (double, n);
  s->width = g_new (double, n);
  s->c = g_new0 (double, n_c);
  s->axes = diagonal ? NULL : g_new0 (double, n_c);
  for (guint i = 0; i < n; i++) {
    s->mean[i] = mean[i];
    s->width[i] = 1;
    s->c[diagonal ? i : (gsize) i * n + i] = 1;
    if (!diagonal)
      s->axes[(gsize) i * n + i] = 1;
  }
}

static inline void
cma_clear (Cma *s)
{
  double *owned[] = { s->weight, s->mean, s->p_c, s->p_sigma, s->c, s->axes, s->width, s->tmp };

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

/* y [n] = B D z, z ~ N(0, I)   (38)-(39) */
static inline void
cma_sample (Cma *s, Random *random, double *y)
{
  for (guint i = 0; i < s->n; i++)
    s->tmp[i] = s->width[i] * random_normal (random);
  if (s->diagonal) {
    for (guint i = 0; i < s->n; i++)
      y[i] = s->tmp[i];
    return;
  }
  for (guint i = 0; i < s->n; i++)
    y[i] = 0;
  for (guint k = 0; k < s->n; k++)
    for (guint i = 0; i < s->n; i++)
      y[i] += s->tmp[k] * s->axes[(gsize) k * s->n + i];
}

/* out [n] = C^-1/2 y = B D^-1 B' y; out may not be y */
static inline void
cma_whiten (const Cma *s, const double *y, double *out)
{
  for (guint i = 0; i < s->n; i++)
    out[i] = s->diagonal ? y[i] / s->width[i] : 0;
  if (s->diagonal)
    return;
  for (guint k = 0; k < s->n; k++) {
    const double *axis = s->axes + (gsize) k * s->n;
    double sum = 0;

    for (guint i = 0; i < s->n; i++)
      sum += axis[i] * y[i];
    sum /= s->width[k];
    for (guint i = 0; i < s->n; i++)
      out[i] += sum * axis[i];
  }
}

static inline double
cma_norm2 (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sum;
}

/* c += a y y' */
static inline void
cma_add_outer (Cma *s, double a, const double *y)
{
  for (guint i = 0; i < s->n; i++)
    if (s->diagonal)
      s->c[i] += a * y[i] * y[i];
    else
      for (guint j = 0; j < s->n; j++)
        s->c[(gsize) i * s->n + j] += a * (y[i] * y[j]);
}

/* (47): covariance; y [lambda][n], order: best first; keep: what is left of the old C */
static inline void
cma_update_covariance (Cma *s, const double *y, const guint *order, gboolean stalled)
{
  gsize n_c = s->diagonal ? s->n : (gsize) s->n * s->n;
  double sum = 0, keep;

  for (guint i = 0; i < s->lambda; i++)
    sum += s->weight[i];
  keep = 1 + (stalled ? s->c_1 * s->c_c * (2 - s->c_c) : 0) - s->c_1 - s->c_mu * sum;
  for (gsize i = 0; i < n_c; i++)
    s->c[i] *= keep;
  cma_add_outer (s, s->c_1, s->p_c);
  for (guint i = 0; i < s->lambda; i++) {
    const double *step = y + (gsize) order[i] * s->n;
    double w = s->weight[i];

    if (w < 0) {                                /* (46): keeps C positive definite */
      double length2;

      cma_whiten (s, step, s->tmp);
      length2 = cma_norm2 (s->tmp, s->n);
      w *= length2 > 0 ? s->n / length2 : 0;
    }
    if (w != 0)
      cma_add_outer (s, s->c_mu * w, step);
  }
}

/* The axes are renewed every 1 / (10 n (c_1 + c_mu)) generations. FALSE: C is no longer positive definite, or its condition passed 1e14. */
static inline gboolean
cma_decompose (Cma *s)
{
  g_autofree double *a = NULL;
  double low = HUGE_VAL, high = 0;

  if (!s->diagonal && s->generation - s->decomposed < MAX (1, floor (1 / (10 * s->n * (s->c_1 + s->c_mu)))))
    return TRUE;
  s->decomposed = s->generation;
  if (s->diagonal) {
    for (guint i = 0; i < s->n; i++)
      s->width[i] = s->c[i];
  } else {
    a = g_memdup2 (s->c, (gsize) s->n * s->n * sizeof (double));
    if (!eigen_symmetric (a, s->n, s->width, s->axes))
      return FALSE;
  }
  for (guint i = 0; i < s->n; i++) {
    low = MIN (low, s->width[i]);
    high = MAX (high, s->width[i]);
  }
  if (!(low > 0 && high <= 1e14 * low))
    return FALSE;
  for (guint i = 0; i < s->n; i++)
    s->width[i] = sqrt (s->width[i]);
  return TRUE;
}

/* One generation: y [lambda][n] steps, order [lambda] their indices, best first; scale [n]: what the caller stretched the steps by before
 * adding sigma times them to the mean. FALSE: as cma_decompose. */
static inline gboolean
cma_update (Cma *s, const double *y, const guint *order, const double *scale)
{
  g_autofree double *y_w = g_new0 (double, s->n);
  double grow, length;
  gboolean stalled;

  for (guint i = 0; i < s->mu; i++)
    for (guint k = 0; k < s->n; k++)
      y_w[k] += s->weight[i] * y[(gsize) order[i] * s->n + k];               /* (41) */
  for (guint k = 0; k < s->n; k++)
    s->mean[k] += s->sigma * scale[k] * y_w[k];                              /* (42) */
  cma_whiten (s, y_w, s->tmp);
  grow = sqrt (s->c_sigma * (2 - s->c_sigma) * s->mu_eff);
  for (guint k = 0; k < s->n; k++)
    s->p_sigma[k] = (1 - s->c_sigma) * s->p_sigma[k] + grow * s->tmp[k];     /* (43) */
  length = sqrt (cma_norm2 (s->p_sigma, s->n));
  stalled = length / sqrt (1 - portable_exp (2.0 * (s->generation + 1) * portable_log (1 - s->c_sigma)))
            >= (1.4 + 2 / (s->n + 1.0)) * s->chi_n;
  grow = stalled ? 0 : sqrt (s->c_c * (2 - s->c_c) * s->mu_eff);
  for (guint k = 0; k < s->n; k++)
    s->p_c[k] = (1 - s->c_c) * s->p_c[k] + grow * y_w[k];                    /* (45) */
  cma_update_covariance (s, y, order, stalled);
  s->sigma *= portable_exp (MIN (1, s->c_sigma / s->d_sigma * (length / s->chi_n - 1))); /* (44) */
  s->generation++;
  return cma_decompose (s);
}

#endif
