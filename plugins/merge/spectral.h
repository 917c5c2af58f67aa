/* SPDX-License-Identifier: Apache-2.0
 * spectral.h - what operators on the singular directions of changes share: which tensors are matrices, sums of changes, thin SVDs.
 *
 * A matrix is a tensor of two dimensions; one of three is a stack of them along the first (experts; a 1-D convolution is then a stack of small
 * ones); one of four and more, a convolution, is [first, all others]. Everything else, and matrices as long as a vocabulary, is averaged.
 * Decompositions are SVDs (dgesdd) and not eigenvectors of the smaller Gram matrix, whose squares lose what is below 1e-8 of the largest singular
 * value: operators that give all directions the same weight need the small ones as exactly as the large ones.
 */
#ifndef PLUGINS_MERGE_SPECTRAL_H
#define PLUGINS_MERGE_SPECTRAL_H

#include "delta.h"

/* SIDE: also what the scratch of a call is bounded by; RANK: the shorter side, beyond which LAPACK's integers do not count the workspace. */
enum { SPECTRAL_SIDE = 30000, SPECTRAL_RANK = 23000 };

#define SPECTRAL_LARGEST(S) \
  EVO_INTEGER (S, largest, SPECTRAL_SIDE, EVO_LIMITS (1, SPECTRAL_SIDE), "Matrices with a side above this, which are a vocabulary's, are treated " \
               "as vectors are; so are those with both sides above 23000.")
#define SPECTRAL_CUT(S) \
  EVO_NUMBER (S, cut, 1e-10, EVO_LIMITS (0, 1), EVO_NO_SEARCH, "Singular values below this share of the largest count as zero, and their " \
              "directions, which are rounding, as none; 0: all directions count, as in the authors' code.")
#define SPECTRAL_WEIGHT(S) EVO_NUMBER (S, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's change against the base is multiplied by.")

typedef struct { gsize m, n, r, count; } SpectralShape; /* count matrices [m][n] one after the other, r = min (m, n); count 0: none */

static inline SpectralShape
spectral_shape (const EvoTensor *t, gint64 largest)
{
  SpectralShape s = { 0, 0, 0, 0 };

  if (t->n_dims < 2 || t->n == 0)
    return s;
  s.count = t->n_dims == 3 ? (gsize) t->dims[0] : 1;
  s.m = (gsize) t->dims[t->n_dims == 3 ? 1 : 0];
  s.n = (gsize) t->n / s.count / s.m;
  s.r = MIN (s.m, s.n);
  if (MAX (s.m, s.n) > (gsize) largest || s.r > SPECTRAL_RANK)
    s.count = 0;
  return s;
}

/* ------------------------------------------------------------------ changes */

/* Every operator's parameters of an input begin with its weight. */
static inline double
spectral_weight (const EvoMergeCall *c, guint i)
{
  return *(const double *) c->in_params[i];
}

/* to [n] (+)= weight times the change of input i, from element `at` on */
static inline void
spectral_change (const EvoMergeCall *c, guint i, gsize at, gsize n, double *to, gboolean add)
{
  const float *x = c->in[i] + at, *b = c->base + at;
  double weight = spectral_weight (c, i);

  for (gsize j = 0; j < n; j++)
    to[j] = (add ? to[j] : 0) + weight * ((double) x[j] - b[j]);
}

static inline void
spectral_sum (const EvoMergeCall *c, gsize at, gsize n, double *to)
{
  for (guint i = 0; i < c->n_in; i++)
    spectral_change (c, i, at, n, to, i > 0);
}

/* out = base + factor times the weighted sum of changes */
static inline void
spectral_plain (const EvoMergeCall *c, double factor)
{
  for (gsize j = 0; j < c->n; j++) {
    double sum = 0;

    for (guint i = 0; i < c->n_in; i++)
      sum += spectral_weight (c, i) * ((double) c->in[i][j] - c->base[j]);
    c->out[j] = (float) (c->base[j] + factor * sum);
  }
}

static inline void
spectral_put (const EvoMergeCall *c, gsize at, gsize n, const double *change, double factor)
{
  for (gsize j = 0; j < n; j++)
    c->out[at + j] = (float) (c->base[at + j] + factor * change[j]);
}

/* Merges matrix after matrix, each from element `at` on; what is none is base + plain times the weighted sum of changes. */
typedef gboolean (*SpectralMerge) (const EvoMergeCall *c, const SpectralShape *s, gsize at, GError **error);
static inline gboolean
spectral_each (const EvoMergeCall *c, const SpectralShape *s, double plain, SpectralMerge merge, GError **error)
{
  if (s->count == 0)
    spectral_plain (c, plain);
  for (gsize e = 0; e < s->count; e++)
    if (!merge (c, s, e * s->m * s->n, error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ decompositions */

/* doubles that fill whole lines of 64 bytes */
static inline gsize
spectral_even (gsize n)
{
  return (n + 7) & ~(gsize) 7;
}

/* At least what the kernels' svd_work says, which is not at hand where scratch is asked for. */
static inline gsize
spectral_svd_work (gsize m, gsize n)
{
  gsize r = MIN (m, n);

  return (4 * r * r + 16 * r + 64 * (m + n) + 128) * sizeof (double);
}

/* A call's scratch: one decomposition a = u diag (s) vt, and for operators that gather directions of several (sets), their vectors as rows. */
typedef struct {
  double *a, *u, *vt, *s;    /* [m n], [m r], [r n], [r] */
  double *left, *right, *of; /* [r][m], [r][n], [r]: gathered directions and their singular values */
  void *work; gsize work_bytes;
} Spectral;

/* scratch NULL: only the bytes are wanted */
static inline gsize
spectral_lay_out (Spectral *w, void *scratch, const SpectralShape *s, gboolean sets)
{
  const gsize sizes[] = { s->m * s->n, s->m * s->r, s->r * s->n, s->r, sets ? s->r * s->m : 0, sets ? s->r * s->n : 0, sets ? s->r : 0 };
  double **const parts[] = { &w->a, &w->u, &w->vt, &w->s, &w->left, &w->right, &w->of };
  double *at = scratch;
  gsize n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    *parts[i] = scratch == NULL ? NULL : at + n;
    n += spectral_even (sizes[i]);
  }
  w->work = scratch == NULL ? NULL : at + n;
  w->work_bytes = spectral_svd_work (s->m, s->n);
  return n * sizeof (double) + w->work_bytes;
}

static inline gsize
spectral_bytes (const EvoTensor *t, gboolean sets)
{
  SpectralShape s = spectral_shape (t, SPECTRAL_SIDE);
  Spectral w;

  return s.count == 0 ? 0 : spectral_lay_out (&w, NULL, &s, sets);
}

static inline gboolean
spectral_failed (int info, GError **error)
{
  if (info == -4)
    return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "a matrix with a NaN or an infinity has no decomposition");
  return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "the decomposition of a matrix did not converge (LAPACK says %d)", info);
}

/* a [m][n], lost, = u diag (s) vt */
static inline gboolean
spectral_svd (const EvoMergeCall *c, const Spectral *w, double *a, gsize m, gsize n, double *u, double *vt, GError **error)
{
  int info;

  if (c->k->svd_work (m, n) > w->work_bytes)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "svd needs %zu bytes of scratch, the operator has %zu", c->k->svd_work (m, n), w->work_bytes);
  info = c->k->svd (a, m, n, u, w->s, vt, w->work);
  return info == 0 || spectral_failed (info, error);
}

/* How many of the descending s count where `largest` is what they are compared with. */
static inline gsize
spectral_rank (const double *s, gsize n, double largest, double cut)
{
  gsize rank = 0;

  while (rank < n && (cut == 0 || (s[rank] > 0 && s[rank] >= cut * largest)))
    rank++;
  return rank;
}

/* The rows of x [k][n], k <= n, become the closest orthonormal ones: with x = p diag (s) q they are p q (Schönemann 1966). Where rows depend on one
 * another, p q is of the directions that are there. Uses u and a. */
static inline gboolean
spectral_orthonormal (const EvoMergeCall *c, const Spectral *w, double *x, gsize k, gsize n, double cut, GError **error)
{
  gsize rank;

  if (k == 0)
    return TRUE;
  if (!spectral_svd (c, w, x, k, n, w->u, w->a, error))
    return FALSE;
  rank = spectral_rank (w->s, k, w->s[0], cut);
  for (gsize i = rank * n; i < k * n; i++)
    w->a[i] = 0;
  c->k->gemm (x, w->u, 0, w->a, 0, k, n, k, 1, 0);
  return TRUE;
}

/* Appends the first k directions of u, s, vt to the k_before gathered ones. */
static inline void
spectral_gather (const Spectral *w, const SpectralShape *s, gsize k, gsize k_before)
{
  for (gsize i = 0; i < k; i++) {
    double *left = w->left + (k_before + i) * s->m, *right = w->right + (k_before + i) * s->n;

    for (gsize j = 0; j < s->m; j++)
      left[j] = w->u[j * s->r + i];
    for (gsize j = 0; j < s->n; j++)
      right[j] = w->vt[i * s->n + j];
    w->of[k_before + i] = w->s[i];
  }
}

/* a [m][n] = sum over the k gathered directions, made orthonormal on both sides, of `of` left right^T */
static inline gboolean
spectral_recombine (const EvoMergeCall *c, const Spectral *w, const SpectralShape *s, gsize k, double cut, GError **error)
{
  if (!spectral_orthonormal (c, w, w->left, k, s->m, cut, error) || !spectral_orthonormal (c, w, w->right, k, s->n, cut, error))
    return FALSE;
  for (gsize i = 0; i < k; i++)
    for (gsize j = 0; j < s->n; j++)
      w->right[i * s->n + j] *= w->of[i];
  for (gsize j = 0; k == 0 && j < s->m * s->n; j++)
    w->a[j] = 0;
  if (k > 0)
    c->k->gemm (w->a, w->left, 1, w->right, 0, s->m, s->n, k, 1, 0);
  return TRUE;
}

#endif
