/* SPDX-License-Identifier: Apache-2.0
 * merge.sum-twice - two weighted sums in a row: (1 - beta) ((1 - alpha) A + alpha B) + beta C ("sum twice" of sd-webui-supermerger, 2023).
 *
 * The inputs are A, B, C in this order. The inner sum is not rounded to a dtype before the outer one.
 */
#include "evopipe.h"

typedef struct { double alpha, beta; } SumTwiceParams;

static const EvoParam params[] = {
  EVO_NUMBER (SumTwiceParams, alpha, 0.5, EVO_ANY, EVO_SEARCH (0, 1), "Share of the second model in the first sum."),
  EVO_NUMBER (SumTwiceParams, beta, 0.25, EVO_ANY, EVO_SEARCH (0, 1), "Share of the third model in the second sum."),
  EVO_PARAMS_END
};

static gboolean
sum_twice_merge (const EvoMergeCall *c, GError **error)
{
  const SumTwiceParams *p = c->params;

  c->k->mix (c->out, c->in[0], c->in[1], 1 - p->alpha, p->alpha, c->n);
  c->k->mix (c->out, c->out, c->in[2], 1 - p->beta, p->beta, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "sum-twice", .summary = "Mixes two models, then the result with a third.", .min_inputs = 3, .max_inputs = 3,
                  .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (SumTwiceParams, params), .merge = sum_twice_merge,
                  .formula = "(1 − beta) ((1 − alpha) x₁ + alpha x₂) + beta x₃",
                  .source = "\"sum twice\" of sd-webui-supermerger, 2023; no paper")
