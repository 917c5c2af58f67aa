/* SPDX-License-Identifier: Apache-2.0
 * merge.passthrough - one model as it is, or times a scale (mergekit's passthrough: with selectors, single projections of a layer are faded).
 */
#include "evopipe.h"

typedef struct { double scale; } PassthroughInput;

static const EvoParam in_params[] = {
  EVO_NUMBER (PassthroughInput, scale, 1, EVO_ANY, EVO_SEARCH (0, 2), "What the model's weights are multiplied by."),
  EVO_PARAMS_END
};

static gboolean
passthrough_merge (const EvoMergeCall *c, GError **error)
{
  double scale = ((const PassthroughInput *) c->in_params[0])->scale;

  c->k->copy (c->out, c->in[0], c->n);
  if (scale != 1)
    c->k->scale (c->out, scale, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "passthrough", .summary = "One model as it is, or scaled.", .min_inputs = 1, .max_inputs = 1, .access = EVO_BY_ELEMENT,
                  .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES_PER_INPUT (PassthroughInput, in_params), .merge = passthrough_merge,
                  .formula = "scale₁ x₁",
                  .source = "mergekit's passthrough; no paper")
