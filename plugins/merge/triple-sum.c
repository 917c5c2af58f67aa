/* SPDX-License-Identifier: Apache-2.0
 * merge.triple-sum - (1 - alpha - beta) A + alpha B + beta C ("triple sum" of sd-webui-supermerger, 2023).
 *
 * The inputs are A, B, C in this order. Shares may leave 0 ... 1: their sum is 1 all the same.
 */
#include "evopipe.h"

typedef struct { double alpha, beta; } TripleSumParams;

static const EvoParam params[] = {
  EVO_NUMBER (TripleSumParams, alpha, 0.5, EVO_ANY, EVO_SEARCH (0, 1), "Share of the second model."),
  EVO_NUMBER (TripleSumParams, beta, 0.25, EVO_ANY, EVO_SEARCH (0, 1), "Share of the third model; the first has the rest."),
  EVO_PARAMS_END
};

static gboolean
triple_sum_merge (const EvoMergeCall *c, GError **error)
{
  const TripleSumParams *p = c->params;

  c->k->mix (c->out, c->in[0], c->in[1], 1 - p->alpha - p->beta, p->alpha, c->n);
  c->k->axpy (c->out, c->in[2], p->beta, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "triple-sum", .summary = "Weighted sum of three models whose shares add up to one.", .min_inputs = 3, .max_inputs = 3,
                  .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (TripleSumParams, params), .merge = triple_sum_merge,
                  .formula = "(1 − alpha − beta) x₁ + alpha x₂ + beta x₃",
                  .source = "\"triple sum\" of sd-webui-supermerger, 2023; no paper")
