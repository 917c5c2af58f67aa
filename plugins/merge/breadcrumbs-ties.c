/* SPDX-License-Identifier: Apache-2.0
 * merge.breadcrumbs-ties - sign election (Yadav et al. 2023) among changes without outliers and noise (Davari & Belilovsky 2024).
 *
 * The combination is mergekit's; of its two papers TIES elects by the changes as they are and averages those that agree, which is the
 * default here. mergekit lets weights take part in the vote (vote "weighted") and adds up (normalize false).
 */
#include "breadcrumbs.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (BreadcrumbsParams),
  EVO_BOOL (BreadcrumbsParams, normalize, TRUE, "Divide by the weights of the models that agree: their mean (TIES) instead of their sum " \
            "(mergekit)."),
  BREADCRUMBS_RESCALE,
  DELTA_VOTE (BreadcrumbsParams, VOTE_PLAIN),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { BREADCRUMBS_INPUT, EVO_PARAMS_END };

static gboolean
breadcrumbs_ties_merge (const EvoMergeCall *c, GError **error)
{
  const BreadcrumbsParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, breadcrumbs_input (c, i)->weight);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    for (guint i = 0; i < c->n_in; i++) {
      breadcrumbs_block (c, i, at, n, w.delta[i], w.sum);
      if (p->rescale == RESCALE_L1)
        c->k->scale (w.delta[i], breadcrumbs_scale (c, i), n);
    }
    delta_elect (c, &w, p->vote, n);
    delta_add_elected (c, &w, p->normalize, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "breadcrumbs-ties", .min_inputs = 1,
                  .summary = "Elects signs among changes without the largest and the smallest of each, merges those that agree.",
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_SAME_KEYS,
                  EVO_TAKES (BreadcrumbsParams, params), EVO_TAKES_PER_INPUT (BreadcrumbsInput, in_params), .n_cuts_per_input = 2,
                  .keys = breadcrumbs_keys, .rank = breadcrumbs_rank, .n_passes = 1, .n_sums = breadcrumbs_n_sums,
                  .measure = breadcrumbs_measure, .scratch_bytes = delta_scratch_bytes, .merge = breadcrumbs_ties_merge,
                  .formula = "base + lambda Σ aᵢ weightᵢ tᵢ / Σ aᵢ weightᵢ; tᵢ: of a tensor's n changes dᵢ, by falling magnitude, the "
                  "⌊densityᵢ n⌋ that follow the ⌊gammaᵢ n⌋ largest (at most n − ⌊densityᵢ n⌋), the rest 0; aᵢ = 1 where tᵢ has the sign of Σ "
                  "tᵢ (0 counts as +; vote weighted: weightᵢ tᵢ that of Σ weightᵢ tᵢ), else 0; normalize false: not divided; rescale l1: tᵢ "
                  "times Σ|dᵢ| / Σ|tᵢ|",
                  .source = "Davari & Belilovsky, \"Model breadcrumbs: scaling multi-task model merging with sparse masks\", 2024, arXiv "
                  "2312.06795; Yadav et al., \"TIES-merging: resolving interference when merging models\", 2023, arXiv 2306.01708; put "
                  "together by mergekit, with vote weighted, normalize false, density 1, gamma 0.01")
