/* SPDX-License-Identifier: Apache-2.0
 * merge.by-tensor - different operators for different tensors in one merge: each tensor is that of one input, a merge or a model.
 *
 * A tensor is of the first input whose `take` holds for it, by selectors or by a gene, else of the last. The other inputs' is neither computed nor
 * read. A merge among the inputs that trims or measures over its whole model still does: its model is whole, only that not all of it is taken.
 */
#include "evopipe.h"

typedef struct { gboolean take; } ByTensorInput;

static const EvoParam in_params[] = {
  EVO_BOOL (ByTensorInput, take, FALSE, "Whether this input gives the tensor, where no input before it does; the last gives what is left."),
  EVO_PARAMS_END
};

static guint32
by_tensor_pick (const EvoMergeCall *c)
{
  guint i = 0;

  while (i + 1 < c->n_in && !((const ByTensorInput *) c->in_params[i])->take)
    i++;
  return i;
}

static gboolean
by_tensor_merge (const EvoMergeCall *c, GError **error)
{
  c->k->copy (c->out, c->in[by_tensor_pick (c)], c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "by-tensor", .summary = "Takes each tensor from one of several merges or models.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES_PER_INPUT (ByTensorInput, in_params),
                  .pick = by_tensor_pick, .merge = by_tensor_merge,
                  .formula = "xᵢ of the first i for which takeᵢ is true, else x_N",
                  .source = "evopipe's own; no paper")
