/* SPDX-License-Identifier: Apache-2.0
 * merge.linear - weighted sum of models (Wortsman et al., "Model soups", 2022).
 */
#include "evopipe.h"

typedef struct { gboolean normalize; } LinearParams;
typedef struct { double weight; } LinearInput;

static const EvoParam params[] = {
  EVO_BOOL (LinearParams, normalize, TRUE, "Divide the sum by the total weight."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (LinearInput, weight, 1, EVO_ANY, EVO_SEARCH (-2, 2), "Share of this model."),
  EVO_PARAMS_END
};

static gboolean
linear_merge (const EvoMergeCall *c, GError **error)
{
  const LinearParams *p = c->params;
  double total = 0;

  c->k->zero (c->out, c->n);
  for (guint i = 0; i < c->n_in; i++) {
    const LinearInput *in = c->in_params[i];

    c->k->axpy (c->out, c->in[i], in->weight, c->n);
    total += in->weight;
  }
  if (!p->normalize)
    return TRUE;
  if (fabs (total) < 1e-8)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights sum to zero; another weight, or \"normalize\": false");
  c->k->scale (c->out, 1 / total, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "linear", .summary = "Weighted sum of models.", .min_inputs = 1, .access = EVO_BY_ELEMENT,
                  .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_SYMMETRIC, EVO_TAKES (LinearParams, params),
                  EVO_TAKES_PER_INPUT (LinearInput, in_params), .merge = linear_merge,
                  .formula = "Σ weightᵢ xᵢ / Σ weightᵢ; normalize false: Σ weightᵢ xᵢ",
                  .source = "Wortsman et al., \"Model soups\", 2022, arXiv 2203.05482")
