/* SPDX-License-Identifier: Apache-2.0
 * merge.dare-linear - task arithmetic on randomly thinned and rescaled changes (Yu et al., "Language models are super Mario", 2024).
 */
#include "dare.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (DareParams),
  EVO_BOOL (DareParams, normalize, FALSE, "Divide the sum of the changes by the total weight."),
  DARE_RESCALE,
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { DARE_WEIGHT, DARE_DENSITY, EVO_PARAMS_END };

static gboolean
dare_linear_merge (const EvoMergeCall *c, GError **error)
{
  const DareParams *p = c->params;
  float *delta = c->scratch;
  double total = 0, factor = p->lambda;

  for (guint i = 0; i < c->n_in; i++)
    total += dare_input (c, i)->weight;
  if (!delta_normalize (total, p->normalize, &factor, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->zero (c->out + at, n);
    for (guint i = 0; i < c->n_in; i++) {
      dare_block (c, i, at, n, 1, delta);
      c->k->axpy (c->out + at, delta, dare_input (c, i)->weight * dare_scale (c, i) * factor, n);
    }
    c->k->add (c->out + at, c->base + at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "dare-linear", .summary = "Base plus the weighted sum of randomly thinned, rescaled changes.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_RANDOM,
                  EVO_TAKES (DareParams, params), EVO_TAKES_PER_INPUT (DareInput, in_params), .n_passes = 1, .n_sums = dare_n_sums,
                  .measure = dare_measure, .scratch_bytes = delta_scratch_bytes, .merge = dare_linear_merge,
                  .formula = "base + lambda Σ weightᵢ tᵢ; tᵢ = keepᵢ dᵢ / densityᵢ, keepᵢ = 1 with probability densityᵢ, else 0; rescale l1: "
                  "keepᵢ dᵢ Σ|dᵢ| / Σ|keepᵢ dᵢ| over the tensor; rescale none: keepᵢ dᵢ; normalize true: divided by Σ weightᵢ",
                  .source = "Yu et al., \"Language models are super Mario\", 2024, arXiv 2311.03099; mergekit since 0.1: rescale l1")
