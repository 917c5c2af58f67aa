/* SPDX-License-Identifier: Apache-2.0
 * merge.ramplus-tl - reinforced agent merging with unique changes made larger (RAM+ of Yuan et al., "Behavior knowledge merge in reinforced
 * agentic models", 2026).
 *
 * A model's unique changes are multiplied by 1 + r min (shared / unique, alpha), counts of the weights in which others are active too and in
 * which it is alone. The paper counts over the task vector, as its authors' code does; mergekit, whose name this is (tensor-local), over each tensor.
 * r 0.1 and alpha 0.2 are mergekit's; the authors' code (xiangchi-yuan/mrl, arm-r-v2) has r 0.05 and alpha 1.
 */
#include "ram.h"

typedef enum { SCOPE_MODEL, SCOPE_TENSOR } Scope;
typedef struct { double lambda, epsilon, r, alpha; guint32 scope; } RamParams;

static const EvoParam params[] = {
  DELTA_LAMBDA (RamParams),
  RAM_EPSILON (RamParams),
  EVO_NUMBER (RamParams, r, 0.1, EVO_LIMITS (0, 1e9), EVO_SEARCH (0, 1), "How much of a model's share of shared changes its unique ones gain."),
  EVO_NUMBER (RamParams, alpha, 0.2, EVO_LIMITS (0, 1e9), EVO_SEARCH (0, 2), "Upper limit of shared / unique."),
  EVO_CHOICE (RamParams, scope, SCOPE_MODEL, "What changes are counted over: the whole model (paper) or each tensor (mergekit).",
              "model", "tensor"),
  EVO_PARAMS_END
};

static guint32
ramplus_scope_of (const void *params_)
{
  return ((const RamParams *) params_)->scope == SCOPE_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static guint32
ramplus_n_sums (const EvoMergeCall *c, guint pass)
{
  return 2 * c->n_in;
}

/* [n_in][2]: weights in which a model alone is active, and in which others are too */
static gboolean
ramplus_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  DeltaWork w = delta_work (c);

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    ram_block (c, &w, ((const RamParams *) c->params)->epsilon, at, n, w.share);
    for (guint i = 0; i < c->n_in; i++) {
      const float *d = w.delta[i], *count = w.share;
      guint32 active = 0, others = 0;

      for (gsize j = 0; j < n; j++) {
        active += d[j] != 0;
        others += d[j] != 0 && count[j] > 1;
      }
      sums[2 * i] += active - others;
      sums[2 * i + 1] += others;
    }
  }
  return TRUE;
}

static gboolean
ramplus_merge (const EvoMergeCall *c, GError **error)
{
  const RamParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++) /* without unique changes there is nothing to multiply */
    w.weight[i] = 1 + p->r * MIN (c->coef[2 * i + 1] / MAX (c->coef[2 * i], 1), p->alpha);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    ram_block (c, &w, p->epsilon, at, n, w.share);
    ram_add (c, &w, w.share, w.weight, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "ramplus-tl", .summary = "Averages changes that several models have, enlarges those of one model.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope_of = ramplus_scope_of, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE,
                  EVO_TAKES (RamParams, params), .n_passes = 1, .n_sums = ramplus_n_sums, .measure = ramplus_measure,
                  .scratch_bytes = delta_scratch_bytes, .merge = ramplus_merge,
                  .formula = "base + lambda Σ tᵢ / c where c > 1, base + lambda sᵢ tᵢ where only model i changes a weight (c = 1), base "
                  "where c = 0; tᵢ = dᵢ where |dᵢ| > epsilon, else 0; c the number of models where that is so; sᵢ = 1 + r min (sharedᵢ / "
                  "uniqueᵢ, alpha), counts of the model's weights with c > 1 and c = 1 among those that i changes (scope tensor: of each "
                  "tensor's)",
                  .source = "Yuan et al., \"Behavior knowledge merge in reinforced agentic models\", 2026, arXiv 2601.13572, its RAM+; "
                  "r and alpha are mergekit's, whose name this is, with scope tensor; its authors' code: r 0.05, alpha 1")
