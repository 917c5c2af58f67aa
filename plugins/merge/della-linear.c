/* SPDX-License-Identifier: Apache-2.0
 * merge.della-linear - task arithmetic on changes dropped at random, small ones more often (Deep et al., "DELLA-Merging", 2024).
 */
#include "della.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (DellaParams),
  EVO_BOOL (DellaParams, normalize, FALSE, "Divide the sum of the changes by the total weight."),
  DELLA_PARAMS,
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { DELLA_INPUT, EVO_PARAMS_END };

static gboolean
della_linear_merge (const EvoMergeCall *c, GError **error)
{
  const DellaParams *p = c->params;
  DellaWork w = della_work (c);
  gsize n = (gsize) c->t->n_cols;
  double total = 0, factor = p->lambda;

  for (guint i = 0; i < c->n_in; i++)
    total += della_input (c, i)->weight;
  if (!della_check (c, error) || !delta_normalize (total, p->normalize, &factor, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += n) {
    c->k->zero (c->out + at, n);
    for (guint i = 0; i < c->n_in; i++) {
      della_subtract (c, &w, i, at);
      della_keep (c, &w, i, at, p->rescale == RESCALE_PROBABILITY);
      c->k->axpy (c->out + at, w.row[i], della_input (c, i)->weight * della_scale (c, i) * factor, n);
    }
    c->k->add (c->out + at, c->base + at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "della-linear", .summary = "Base plus the weighted sum of changes thinned at random, the small ones more.",
                  .min_inputs = 1, .access = EVO_BY_ROW, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_RANDOM,
                  EVO_TAKES (DellaParams, params), EVO_TAKES_PER_INPUT (DellaInput, in_params), .n_passes = 1, .n_sums = della_n_sums,
                  .measure = della_measure, .scratch_bytes = della_scratch_bytes, .merge = della_linear_merge,
                  .formula = "base + lambda Σ weightᵢ tᵢ; tᵢ = keepᵢ dᵢ / pᵢ, keepᵢ = 1 with probability pᵢ, else 0; pᵢ = densityᵢ + min "
                  "(epsilonᵢ, 2 densityᵢ, 2 − 2 densityᵢ) ((r + ½) / m − ½), r = 0 … m − 1 the rank of |dᵢ| in its row of m; normalize true: "
                  "divided by Σ weightᵢ; epsilon_is half-width: pᵢ = densityᵢ + epsilonᵢ (2 r / (m − 1) − 1); rescale l1: keepᵢ dᵢ Σ|dᵢ| / "
                  "Σ|keepᵢ dᵢ| over the tensor for tᵢ; rescale none: keepᵢ dᵢ",
                  .source = "Deep, Bhardwaj, Poria, \"DELLA-Merging: reducing interference in model merging through magnitude-based "
                  "sampling\", 2024, arXiv 2406.11617; its authors' code: epsilon_is half-width with half the "
                  "epsilon; mergekit: epsilon_is half-width, rescale l1")
