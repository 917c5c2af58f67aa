/* SPDX-License-Identifier: Apache-2.0
 * merge.task-arithmetic - base plus the weighted sum of task vectors (Ilharco et al., "Editing models with task arithmetic", 2023).
 */
#include "delta.h"

typedef struct { double lambda; gboolean normalize; } TaskParams;
typedef struct { double weight; } TaskInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (TaskParams),
  EVO_BOOL (TaskParams, normalize, FALSE, "Divide the sum of the changes by the total weight."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (TaskInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's change against the base is multiplied by."),
  EVO_PARAMS_END
};

static gboolean
task_arithmetic_merge (const EvoMergeCall *c, GError **error)
{
  const TaskParams *p = c->params;
  double total = 0, factor = p->lambda;

  for (guint i = 0; i < c->n_in; i++)
    total += ((const TaskInput *) c->in_params[i])->weight;
  if (!delta_normalize (total, p->normalize, &factor, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->zero (c->out + at, n);
    for (guint i = 0; i < c->n_in; i++)
      c->k->axpy_diff (c->out + at, c->in[i] + at, c->base + at, ((const TaskInput *) c->in_params[i])->weight * factor, n);
    c->k->add (c->out + at, c->base + at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "task-arithmetic", .summary = "Base plus the weighted sum of the models' changes against it.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE, EVO_TAKES (TaskParams, params),
                  EVO_TAKES_PER_INPUT (TaskInput, in_params), .merge = task_arithmetic_merge,
                  .formula = "base + lambda Σ weightᵢ dᵢ; normalize true: base + lambda Σ weightᵢ dᵢ / Σ weightᵢ",
                  .source = "Ilharco et al., \"Editing models with task arithmetic\", 2023, arXiv 2212.04089")
