/* SPDX-License-Identifier: Apache-2.0
 * evaluator.cost - what a model costs to run, as an objective beside what it can do: a path of layers may be as long as it pays.
 *
 * Reads no data: the host counts. Attention's work on the context is left out of the operations; it grows with the context, not with the model.
 */
#include "evopipe.h"

typedef struct { guint32 of; } CostParams;

static const EvoParam params[] = {
  EVO_CHOICE (CostParams, of, 0, "What is counted: hops, layers that a token passes; parameters, of the plain checkpoint; kv_bytes, of keys and values that "
              "a token leaves behind, in 16 bits; flops, operations on weights a token.", "hops", "parameters", "kv_bytes", "flops"),
  EVO_PARAMS_END
};

static gpointer
cost_open (const void *params_, const EvoRows *rows, guint64 seed, GError **error)
{
  return g_memdup2 (params_, sizeof (CostParams));
}

static gint64
cost_n_items (gpointer self)
{
  return 1;
}

static gboolean
cost_reduce (gpointer self, const double *values, gint64 n_items, double *out, GError **error)
{
  *out = values[((const CostParams *) self)->of];
  return TRUE;
}

EVO_EVALUATOR_PLUGIN (.name = "cost", .summary = "What a model costs to run: layers, parameters, memory or operations a token.",
                      EVO_TAKES (CostParams, params), .n_values = 4, .flags = EVO_EVALUATOR_SMALLER_IS_BETTER | EVO_EVALUATOR_COST,
                      .open = cost_open, .n_items = cost_n_items, .reduce = cost_reduce, .close = g_free)
