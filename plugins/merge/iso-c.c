/* SPDX-License-Identifier: Apache-2.0
 * merge.iso-c - isotropic merging in the common subspace (Marczak et al., "No task left behind: isotropic model merging with common and
 * task-specific subspaces", 2025, arXiv 2502.04959).
 *
 * With sum w_i (x_i - base) = U S V^T: base + lambda s U V^T, where s is the mean of the singular values: no direction of the sum is stronger than
 * another. The mean is over the rank of the sum; the authors' code takes the shorter side whatever the rank, and so gives directions that nothing
 * was learnt in the weight of the others: cut 0. Tensors that are no matrices have lambda times the mean change.
 */
#include "spectral.h"

typedef struct { double lambda, cut; gint64 largest; } IsoParams;
typedef struct { double weight; } IsoInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (IsoParams),
  SPECTRAL_CUT (IsoParams),
  SPECTRAL_LARGEST (IsoParams),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  SPECTRAL_WEIGHT (IsoInput),
  EVO_PARAMS_END
};

static gsize
iso_c_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return spectral_bytes (t, FALSE);
}

static gboolean
iso_c_matrix (const EvoMergeCall *c, const SpectralShape *s, gsize at, GError **error)
{
  const IsoParams *p = c->params;
  double sum = 0;
  Spectral w;
  gsize rank;

  spectral_lay_out (&w, c->scratch, s, FALSE);
  spectral_sum (c, at, s->m * s->n, w.a);
  if (!spectral_svd (c, &w, w.a, s->m, s->n, w.u, w.vt, error))
    return FALSE;
  rank = spectral_rank (w.s, s->r, w.s[0], p->cut);
  for (gsize i = 0; i < rank; i++)
    sum += w.s[i];
  for (gsize j = rank * s->n; j < s->r * s->n; j++)
    w.vt[j] = 0;
  c->k->gemm (w.a, w.u, 0, w.vt, 0, s->m, s->n, s->r, rank == 0 ? 0 : sum / (double) rank, 0);
  spectral_put (c, at, s->m * s->n, w.a, p->lambda);
  return TRUE;
}

static gboolean
iso_c_merge (const EvoMergeCall *c, GError **error)
{
  const IsoParams *p = c->params;
  SpectralShape s = spectral_shape (c->t, p->largest);

  return spectral_each (c, &s, p->lambda / c->n_in, iso_c_matrix, error);
}

EVO_MERGE_PLUGIN (.name = "iso-c", .summary = "Base plus the sum of changes with all its singular values made the same.", .min_inputs = 1,
                  .access = EVO_BY_TENSOR, .flags = EVO_MERGE_NEEDS_BASE, EVO_TAKES (IsoParams, params),
                  EVO_TAKES_PER_INPUT (IsoInput, in_params), .scratch_bytes = iso_c_scratch_bytes, .merge = iso_c_merge,
                  .formula = "base + lambda s U Vᵀ, U S Vᵀ = Σ weightᵢ dᵢ, s the mean of the singular values S that are ≥ cut of the "
                  "largest, U and V theirs; what is no matrix: base + lambda Σ weightᵢ dᵢ / N",
                  .source = "Marczak et al., \"No task left behind: isotropic model merging with common and task-specific subspaces\", 2025, "
                  "arXiv 2502.04959; its authors' code takes the directions of zero singular values too: cut 0")
