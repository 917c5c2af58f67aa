/* SPDX-License-Identifier: Apache-2.0
 * merge.ram - reinforced agent merging: shared changes averaged, unique ones whole (Yuan et al., "Behavior knowledge merge in reinforced agentic
 * models", 2026).
 */
#include "ram.h"

typedef struct { double lambda, epsilon; } RamParams;

static const EvoParam params[] = { DELTA_LAMBDA (RamParams), RAM_EPSILON (RamParams), EVO_PARAMS_END };

static gboolean
ram_merge (const EvoMergeCall *c, GError **error)
{
  const RamParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    ram_block (c, &w, p->epsilon, at, n, w.share);
    ram_add (c, &w, w.share, NULL, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "ram", .summary = "Averages changes that several models have, keeps those of one model whole.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE, EVO_TAKES (RamParams, params),
                  .scratch_bytes = delta_scratch_bytes, .merge = ram_merge,
                  .formula = "base + lambda Σ tᵢ / max (c, 1); tᵢ = dᵢ where |dᵢ| > epsilon, else 0; c the number of models where that is so",
                  .source = "Yuan et al., \"Behavior knowledge merge in reinforced agentic models\", 2026, arXiv 2601.13572")
