/* SPDX-License-Identifier: Apache-2.0
 * merge.breadcrumbs - task arithmetic on changes without outliers and noise (Davari & Belilovsky, "Model breadcrumbs", 2024).
 */
#include "breadcrumbs.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (BreadcrumbsParams),
  EVO_BOOL (BreadcrumbsParams, normalize, FALSE, "Divide the sum of the changes by the total weight."),
  BREADCRUMBS_RESCALE,
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { BREADCRUMBS_INPUT, EVO_PARAMS_END };

static gboolean
breadcrumbs_merge (const EvoMergeCall *c, GError **error)
{
  const BreadcrumbsParams *p = c->params;
  float *delta = c->scratch, *top = delta + DELTA_BLOCK;
  double total = 0, factor = p->lambda;

  for (guint i = 0; i < c->n_in; i++)
    total += breadcrumbs_input (c, i)->weight;
  if (!delta_normalize (total, p->normalize, &factor, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->zero (c->out + at, n);
    for (guint i = 0; i < c->n_in; i++) {
      breadcrumbs_block (c, i, at, n, delta, top);
      c->k->axpy (c->out + at, delta, breadcrumbs_input (c, i)->weight * breadcrumbs_scale (c, i) * factor, n);
    }
    c->k->add (c->out + at, c->base + at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "breadcrumbs", .summary = "Base plus the weighted sum of changes, without the largest and the smallest of each.",
                  .min_inputs = 1, .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_SAME_KEYS,
                  EVO_TAKES (BreadcrumbsParams, params), EVO_TAKES_PER_INPUT (BreadcrumbsInput, in_params), .n_cuts_per_input = 2,
                  .keys = breadcrumbs_keys, .rank = breadcrumbs_rank, .n_passes = 1, .n_sums = breadcrumbs_n_sums,
                  .measure = breadcrumbs_measure, .scratch_bytes = delta_scratch_bytes, .merge = breadcrumbs_merge,
                  .formula = "base + lambda Σ weightᵢ tᵢ; tᵢ: of a tensor's n changes dᵢ, by falling magnitude, the ⌊densityᵢ n⌋ that follow "
                  "the ⌊gammaᵢ n⌋ largest (at most n − ⌊densityᵢ n⌋), the rest 0; normalize true: divided by Σ weightᵢ; rescale l1: tᵢ times "
                  "Σ|dᵢ| / Σ|tᵢ|",
                  .source = "Davari & Belilovsky, \"Model breadcrumbs: scaling multi-task model merging with sparse masks\", 2024, arXiv "
                  "2312.06795; its authors' code ranks within rows; mergekit: density 1, gamma 0.01, and rescale is its")
