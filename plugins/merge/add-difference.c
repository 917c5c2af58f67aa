/* SPDX-License-Identifier: Apache-2.0
 * merge.add-difference - A + alpha (B - C): what B learned beyond C, added to A ("add difference" of AUTOMATIC1111's web UI, 2022).
 *
 * The inputs are A, B, C in this order; the result has A's configuration. Task arithmetic with one task whose base is not A's.
 */
#include "evopipe.h"

typedef struct { double alpha; } AddDifferenceParams;

static const EvoParam params[] = {
  EVO_NUMBER (AddDifferenceParams, alpha, 1, EVO_ANY, EVO_SEARCH (0, 2), "What the difference of the second and the third model is multiplied by."),
  EVO_PARAMS_END
};

static gboolean
add_difference_merge (const EvoMergeCall *c, GError **error)
{
  const AddDifferenceParams *p = c->params;

  c->k->copy (c->out, c->in[0], c->n);
  c->k->axpy_diff (c->out, c->in[1], c->in[2], p->alpha, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "add-difference", .summary = "Adds the difference of the second and the third model to the first.", .min_inputs = 3,
                  .max_inputs = 3, .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (AddDifferenceParams, params),
                  .merge = add_difference_merge,
                  .formula = "x₁ + alpha (x₂ − x₃)",
                  .source = "\"add difference\" of AUTOMATIC1111's web UI, 2022; no paper")
