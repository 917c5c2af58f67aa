/* SPDX-License-Identifier: Apache-2.0
 * merge.iso-cts - isotropic merging in common and task-specific subspaces (Marczak et al., "No task left behind: isotropic model merging with common
 * and task-specific subspaces", 2025, arXiv 2502.04959).
 *
 * Of the r singular directions (the shorter side), the `common` share are the leading ones of the sum of changes; the rest belongs to the T models,
 * (r - k) / T to each: the leading directions of its change with the common ones projected out of it. All left and all right directions are made
 * orthonormal (the closest such set, by SVD) and each is weighted with the mean of their singular values. How (r - k) / T becomes whole the paper
 * leaves open; as in the authors' code it is rounded and the common space takes what then is left. Directions whose singular values are zero count
 * for nothing, where that code takes what LAPACK happens to give for them: cut 0. Tensors that are no matrices have lambda times the mean change.
 */
#include "spectral.h"

typedef struct { double lambda, common, cut; gint64 largest; } IsoParams;
typedef struct { double weight; } IsoInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (IsoParams),
  EVO_NUMBER (IsoParams, common, 0.8, EVO_LIMITS (0, 1), EVO_SEARCH (0.3, 1), "Share of the directions that are those of the sum of changes."),
  SPECTRAL_CUT (IsoParams),
  SPECTRAL_LARGEST (IsoParams),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  SPECTRAL_WEIGHT (IsoInput),
  EVO_PARAMS_END
};

static gsize
iso_cts_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return spectral_bytes (t, TRUE);
}

/* The change of input i without its part in the first k gathered left directions, decomposed. */
static gboolean
decompose_residual (const EvoMergeCall *c, const Spectral *w, const SpectralShape *s, guint i, gsize k, gsize at, GError **error)
{
  spectral_change (c, i, at, s->m * s->n, w->a, FALSE);
  if (k > 0) {
    c->k->gemm (w->vt, w->left, 0, w->a, 0, k, s->n, s->m, 1, 0);
    c->k->gemm (w->a, w->left, 1, w->vt, 0, s->m, s->n, k, -1, 1);
  }
  return spectral_svd (c, w, w->a, s->m, s->n, w->u, w->vt, error);
}

static gboolean
iso_cts_matrix (const EvoMergeCall *c, const SpectralShape *s, gsize at, GError **error)
{
  const IsoParams *p = c->params;
  gsize wanted = (gsize) ((double) s->r * p->common + 1e-9), k, common;
  gsize each = MIN ((gsize) rint ((double) (s->r - wanted) / c->n_in), s->r / c->n_in);
  double largest, sum = 0;
  Spectral w;

  spectral_lay_out (&w, c->scratch, s, TRUE);
  spectral_sum (c, at, s->m * s->n, w.a);
  if (!spectral_svd (c, &w, w.a, s->m, s->n, w.u, w.vt, error))
    return FALSE;
  largest = w.s[0];
  common = k = spectral_rank (w.s, s->r - each * c->n_in, largest, p->cut);
  spectral_gather (&w, s, k, 0);
  for (guint i = 0; each > 0 && i < c->n_in; i++) {
    gsize n;

    if (!decompose_residual (c, &w, s, i, common, at, error))
      return FALSE;
    n = spectral_rank (w.s, each, MAX (largest, w.s[0]), p->cut);
    spectral_gather (&w, s, n, k);
    k += n;
  }
  for (gsize i = 0; i < k; i++)
    sum += w.of[i];
  for (gsize i = 0; i < k; i++)
    w.of[i] = sum / (double) k;
  if (!spectral_recombine (c, &w, s, k, p->cut, error))
    return FALSE;
  spectral_put (c, at, s->m * s->n, w.a, p->lambda);
  return TRUE;
}

static gboolean
iso_cts_merge (const EvoMergeCall *c, GError **error)
{
  const IsoParams *p = c->params;
  SpectralShape s = spectral_shape (c->t, p->largest);

  return spectral_each (c, &s, p->lambda / c->n_in, iso_cts_matrix, error);
}

EVO_MERGE_PLUGIN (.name = "iso-cts", .summary = "Base plus the leading directions of the sum of changes and of each model's own, equally strong.",
                  .min_inputs = 1, .access = EVO_BY_TENSOR, .flags = EVO_MERGE_NEEDS_BASE, EVO_TAKES (IsoParams, params),
                  EVO_TAKES_PER_INPUT (IsoInput, in_params), .scratch_bytes = iso_cts_scratch_bytes, .merge = iso_cts_merge,
                  .formula = "base + lambda s U Vᵀ; U, V: the k leading singular directions of Σ weightᵢ dᵢ and the e leading ones of each "
                  "weightᵢ dᵢ without its part in those, made orthonormal; s the mean of their singular values; e = (r − ⌊common r⌋) / N "
                  "rounded, at most ⌊r / N⌋, k = r − N e; what is no matrix: base + lambda Σ weightᵢ dᵢ / N",
                  .source = "Marczak et al., \"No task left behind: isotropic model merging with common and task-specific subspaces\", 2025, "
                  "arXiv 2502.04959; its authors' code takes the directions of zero singular values too: cut 0")
