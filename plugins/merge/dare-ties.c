/* SPDX-License-Identifier: Apache-2.0
 * merge.dare-ties - sign election (Yadav et al. 2023) among randomly thinned and rescaled changes (Yu et al. 2024).
 *
 * The defaults are the operator that Akiba et al. (arXiv 2403.13187) evolve: weights take part in the vote, those that agree are summed.
 */
#include "dare.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (DareParams),
  EVO_BOOL (DareParams, normalize, FALSE, "Divide by the weights of the models that agree: their mean instead of their sum."),
  DARE_RESCALE,
  DELTA_VOTE (DareParams, VOTE_WEIGHTED),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { DARE_WEIGHT, DARE_DENSITY, EVO_PARAMS_END };

static gboolean
dare_ties_merge (const EvoMergeCall *c, GError **error)
{
  const DareParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, dare_input (c, i)->weight);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    for (guint i = 0; i < c->n_in; i++)
      dare_block (c, i, at, n, dare_scale (c, i), w.delta[i]);
    delta_elect (c, &w, p->vote, n);
    delta_add_elected (c, &w, p->normalize, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "dare-ties", .summary = "Thins the changes at random, elects a sign for each weight, merges those that agree.",
                  .min_inputs = 1, .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_RANDOM, EVO_TAKES (DareParams, params),
                  EVO_TAKES_PER_INPUT (DareInput, in_params), .n_passes = 1, .n_sums = dare_n_sums, .measure = dare_measure,
                  .scratch_bytes = delta_scratch_bytes, .merge = dare_ties_merge,
                  .formula = "base + lambda Σ aᵢ weightᵢ tᵢ; tᵢ = keepᵢ dᵢ / densityᵢ, keepᵢ = 1 with probability densityᵢ, else 0; aᵢ = 1 "
                  "where weightᵢ tᵢ has the sign of Σ weightᵢ tᵢ (0 counts as +; vote plain: tᵢ that of Σ tᵢ), else 0; rescale l1: keepᵢ dᵢ "
                  "Σ|dᵢ| / Σ|keepᵢ dᵢ| over the tensor; rescale none: keepᵢ dᵢ; normalize true: divided by Σ aᵢ weightᵢ",
                  .source = "Yu et al., \"Language models are super Mario\", 2024, arXiv 2311.03099; Yadav et al., \"TIES-merging: resolving "
                  "interference when merging models\", 2023, arXiv 2306.01708; put together as in Akiba et al., arXiv 2403.13187; TIES by "
                  "itself: vote plain, normalize true; mergekit since 0.1: rescale l1")
