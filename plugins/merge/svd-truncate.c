/* SPDX-License-Identifier: Apache-2.0
 * merge.svd-truncate - base plus the weighted sum of changes, each cut to its leading singular directions (Eckart & Young 1936; of changes: Lu et
 * al., "Twin-Merging", 2024).
 *
 * A change keeps the `rank` share of its directions (of the shorter side, rounded up), or the fewest that hold the `energy` share of its squared
 * Frobenius norm, whichever are fewer. There has to be a base: what training changed is near low rank, a weight matrix itself is not. Tensors that
 * are no matrices are not cut: with rank and energy 1 this is task-arithmetic.
 * Directions are eigenvectors of the smaller Gram matrix, in double: an eigenvalue is off by 1e-16 of the largest, so that what a wrong choice among
 * small ones loses is below 1e-8 of the largest singular value, less than fp32's rounding of the result.
 */
#include "spectral.h"

typedef struct { double lambda; gboolean normalize; gint64 largest; } SvdParams;
typedef struct { double weight, rank, energy; } SvdInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (SvdParams),
  EVO_BOOL (SvdParams, normalize, FALSE, "Divide the sum of the changes by the total weight."),
  SPECTRAL_LARGEST (SvdParams),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  SPECTRAL_WEIGHT (SvdInput),
  EVO_NUMBER (SvdInput, rank, 1, EVO_LIMITS (0, 1), EVO_SEARCH (0.01, 1), "Share of the change's singular directions that is kept."),
  EVO_NUMBER (SvdInput, energy, 1, EVO_LIMITS (0, 1), EVO_SEARCH (0.3, 1), "Share of the change's sum of squares that is kept at least, by the "
              "fewest directions."),
  EVO_PARAMS_END
};

typedef struct { double *a, *sum, *gram, *values, *part; void *work; } Work; /* [m n], [m n], [r r], [r], [m n] or eigh's workspace */

static gsize
eigh_bytes (gsize n)
{
  return (2 * n * n + 9 * n + 8) * sizeof (double);
}

static gsize
svd_truncate_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  SpectralShape s = spectral_shape (t, SPECTRAL_SIDE);
  gsize mn = spectral_even (s.m * s.n), rr = spectral_even (s.r * s.r), r = spectral_even (s.r);

  return s.count == 0 ? 0 : (2 * mn + rr + r) * sizeof (double) + MAX (mn * sizeof (double), eigh_bytes (s.r));
}

static Work
lay_out (void *scratch, const SpectralShape *s)
{
  gsize mn = spectral_even (s->m * s->n), rr = spectral_even (s->r * s->r), r = spectral_even (s->r);
  double *at = scratch;

  return (Work){ at, at + mn, at + 2 * mn, at + 2 * mn + rr, at + 2 * mn + rr + r, at + 2 * mn + rr + r };
}

/* How many of the ascending squared singular values are kept, from the last. */
static gsize
count_kept (const double *squares, gsize r, const SvdInput *in, gsize most)
{
  double total = 0, kept = 0;
  gsize k = 0;

  for (gsize i = 0; i < r; i++)
    total += MAX (squares[i], 0);
  for (; k < most && (in->energy == 1 || kept < in->energy * total); k++)
    kept += MAX (squares[r - 1 - k], 0);
  return k;
}

/* sum += the change of input i, cut */
static gboolean
add_cut (const EvoMergeCall *c, const Work *w, const SpectralShape *s, guint i, gsize at, GError **error)
{
  const SvdInput *in = c->in_params[i];
  gsize m = s->m, n = s->n, r = s->r, most = (gsize) ceil ((double) r * in->rank - 1e-9), k;
  gboolean tall = m >= n;
  int info;

  if (most == r && in->energy == 1) {
    spectral_change (c, i, at, m * n, w->sum, TRUE);
    return TRUE;
  }
  spectral_change (c, i, at, m * n, w->a, FALSE);
  c->k->gemm (w->gram, w->a, tall, w->a, !tall, r, r, tall ? m : n, 1, 0);
  if (c->k->eigh_work (r) > eigh_bytes (r))
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "eigh needs %zu bytes of scratch, the operator has %zu", c->k->eigh_work (r), eigh_bytes (r));
  info = c->k->eigh (w->gram, w->values, r, w->work);
  if (info != 0)
    return spectral_failed (info, error);
  k = count_kept (w->values, r, in, most);
  if (k == 0)
    return TRUE;
  const double *kept = w->gram + (r - k) * r; /* [k][r]: eigenvectors are rows */
  c->k->gemm (w->part, tall ? w->a : kept, 0, tall ? kept : w->a, tall, tall ? m : k, tall ? k : n, r, 1, 0);
  c->k->gemm (w->sum, tall ? w->part : kept, !tall, tall ? kept : w->part, 0, m, n, k, 1, 1);
  return TRUE;
}

static gboolean
svd_truncate_matrix (const EvoMergeCall *c, const SpectralShape *s, gsize at, GError **error)
{
  const SvdParams *p = c->params;
  double total = 0, factor = p->lambda;
  Work w = lay_out (c->scratch, s);

  for (gsize j = 0; j < s->m * s->n; j++)
    w.sum[j] = 0;
  for (guint i = 0; i < c->n_in; i++) {
    total += spectral_weight (c, i);
    if (!add_cut (c, &w, s, i, at, error))
      return FALSE;
  }
  if (!delta_normalize (total, p->normalize, &factor, error))
    return FALSE;
  spectral_put (c, at, s->m * s->n, w.sum, factor);
  return TRUE;
}

static gboolean
svd_truncate_merge (const EvoMergeCall *c, GError **error)
{
  const SvdParams *p = c->params;
  SpectralShape s = spectral_shape (c->t, p->largest);
  double total = 0, factor = p->lambda;

  for (guint i = 0; i < c->n_in; i++)
    total += spectral_weight (c, i);
  return delta_normalize (total, p->normalize, &factor, error) && spectral_each (c, &s, factor, svd_truncate_matrix, error);
}

EVO_MERGE_PLUGIN (.name = "svd-truncate", .min_inputs = 1,
                  .summary = "Base plus the weighted sum of the models' changes, each cut to its leading singular directions.", .access = EVO_BY_TENSOR, .flags = EVO_MERGE_NEEDS_BASE, EVO_TAKES (SvdParams, params),
                  EVO_TAKES_PER_INPUT (SvdInput, in_params), .scratch_bytes = svd_truncate_scratch_bytes, .merge = svd_truncate_merge,
                  .formula = "base + lambda Σ weightᵢ tᵢ; tᵢ: dᵢ in its k leading singular directions, k = ⌈rankᵢ r⌉ of r, or fewer that "
                  "hold energyᵢ of Σ S²; normalize true: divided by Σ weightᵢ; what is no matrix: tᵢ = dᵢ",
                  .source = "Eckart & Young, \"The approximation of one matrix by another of lower rank\", 1936; of task vectors: Lu et al., "
                  "\"Twin-Merging\", 2024, arXiv 2406.15479")
