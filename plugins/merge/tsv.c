/* SPDX-License-Identifier: Apache-2.0
 * merge.tsv - task singular vectors, TSV-Merge (Gargiulo et al., "Task singular vectors: reducing task interference in model merging", 2025,
 * arXiv 2412.00081).
 *
 * Each of the T changes keeps its leading k = r / T singular directions (r: the shorter side). The left ones of all models side by side, and the
 * right ones, are replaced by the closest orthonormal sets (with U = P D Q^T: P Q^T), so that they no longer interfere; base + lambda U S V^T.
 * k is rounded down, as in the authors' code. Where models' directions depend on one another (equal models), what is there is used, once; that code
 * completes it by what LAPACK happens to give: cut 0. Tensors that are no matrices, and those with a side shorter than T, which have no room for a
 * direction of each, have lambda times the mean change.
 */
#include "spectral.h"

typedef struct { double lambda, cut; gint64 largest; } TsvParams;
typedef struct { double weight, rank; } TsvInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (TsvParams),
  SPECTRAL_CUT (TsvParams),
  SPECTRAL_LARGEST (TsvParams),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  SPECTRAL_WEIGHT (TsvInput),
  EVO_NUMBER (TsvInput, rank, 1, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0.1, 2), "This model's directions: so many times r / T; where the models' "
              "together would exceed r, they share r in this proportion."),
  EVO_PARAMS_END
};

static gsize
tsv_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return spectral_bytes (t, TRUE);
}

static gboolean
tsv_matrix (const EvoMergeCall *c, const SpectralShape *s, gsize at, GError **error)
{
  const TsvParams *p = c->params;
  double total = 0;
  gsize k = 0;
  Spectral w;

  spectral_lay_out (&w, c->scratch, s, TRUE);
  for (guint i = 0; i < c->n_in; i++)
    total += ((const TsvInput *) c->in_params[i])->rank;
  for (guint i = 0; i < c->n_in; i++) {
    double share = ((const TsvInput *) c->in_params[i])->rank / MAX (total, c->n_in);
    gsize n = MIN ((gsize) ((double) s->r * share + 1e-9), s->r - k);

    spectral_change (c, i, at, s->m * s->n, w.a, FALSE);
    if (n > 0 && !spectral_svd (c, &w, w.a, s->m, s->n, w.u, w.vt, error))
      return FALSE;
    n = n == 0 ? 0 : spectral_rank (w.s, n, w.s[0], p->cut);
    spectral_gather (&w, s, n, k);
    k += n;
  }
  if (!spectral_recombine (c, &w, s, k, p->cut, error))
    return FALSE;
  spectral_put (c, at, s->m * s->n, w.a, p->lambda);
  return TRUE;
}

static gboolean
tsv_merge (const EvoMergeCall *c, GError **error)
{
  const TsvParams *p = c->params;
  SpectralShape s = spectral_shape (c->t, p->largest);

  if (s.r < c->n_in)
    s.count = 0;
  return spectral_each (c, &s, p->lambda / c->n_in, tsv_matrix, error);
}

EVO_MERGE_PLUGIN (.name = "tsv", .summary = "Base plus the leading singular directions of each model's change, made orthogonal to one another.",
                  .min_inputs = 1, .access = EVO_BY_TENSOR, .flags = EVO_MERGE_NEEDS_BASE, EVO_TAKES (TsvParams, params),
                  EVO_TAKES_PER_INPUT (TsvInput, in_params), .scratch_bytes = tsv_scratch_bytes, .merge = tsv_merge,
                  .formula = "base + lambda U S Vᵀ; U, S, V: the ⌊r rankᵢ / max (N, Σ rankᵢ)⌋ leading singular directions of each weightᵢ "
                  "dᵢ, side by side, U and V replaced by the closest orthonormal ones; what is no matrix or has a side below N: base + "
                  "lambda Σ weightᵢ dᵢ / N",
                  .source = "Gargiulo et al., \"Task singular vectors: reducing task interference in model merging\", 2025, arXiv "
                  "2412.00081; its authors' code takes the directions of zero singular values too: cut 0")
