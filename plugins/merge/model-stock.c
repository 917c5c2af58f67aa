/* SPDX-License-Identifier: Apache-2.0
 * merge.model-stock - the mean of fine-tuned models, moved towards their base as the angle between them tells (Jang, Yun, Han, "Model Stock", 2024).
 *
 * With cos the mean cosine of the angles between pairs of changes, t = N cos / (1 + (N - 1) cos), and the result is t mean + (1 - t) base. The
 * paper has an angle for every tensor of every layer; scope "row" (mergekit: filter_wise) one for every row, along the last dimension. t has no
 * limits: opposed changes give t below 0, and large ones where 1 + (N - 1) cos is small; where that is below 1e-6 the result is the base.
 */
#include "gram.h"

typedef enum { SCOPE_TENSOR, SCOPE_ROW } Scope;
typedef struct { double floor; guint32 scope; } StockParams;

static const EvoParam params[] = {
  EVO_CHOICE (StockParams, scope, SCOPE_TENSOR, "What has an angle of its own: the tensor, or every row (mergekit: filter_wise).", "tensor", "row"),
  EVO_NUMBER (StockParams, floor, 0, EVO_LIMITS (0, 1), EVO_NO_SEARCH, "In the cosine, the product of two changes' lengths counts as this at least: "
              "0 is the paper's, 1e-6 mergekit's, which takes small tensors' changes to be at right angles."),
  EVO_PARAMS_END
};

static guint32
stock_scope_of (const void *params_)
{
  return ((const StockParams *) params_)->scope == SCOPE_ROW ? EVO_OVER_ROW : EVO_OVER_TENSOR;
}

static gboolean
stock_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  double cosine = 0, n = c->n_in, below, t;

  for (guint i = 0; i < c->n_in; i++)
    for (guint j = 0; j < i; j++) {
      double lengths = MAX (sqrt (sums[gram_at (i, i)]) * sqrt (sums[gram_at (j, j)]), ((const StockParams *) c->params)->floor);

      cosine += lengths > 0 ? CLAMP (sums[gram_at (i, j)] / lengths, -1, 1) : 0;
    }
  cosine /= n * (n - 1) / 2;
  below = 1 + (n - 1) * cosine;
  t = fabs (below) < 1e-6 ? 0 : n * cosine / below;
  for (guint i = 0; i < c->n_in; i++)
    coef[i] = t / n;
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "model-stock", .summary = "The mean of the models, moved towards the base by the angle between their changes.",
                  .min_inputs = 2, .access = EVO_BY_ELEMENT, .scope_of = stock_scope_of,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_MEASURE_FIXED, EVO_TAKES (StockParams, params), .n_passes = 1,
                  .n_sums = gram_n_sums, .measure = gram_measure, .n_coef = gram_n_coef, .solve = stock_solve, .merge = gram_merge,
                  .formula = "(1 − t) base + t Σ xᵢ / N, t = N c / (1 + (N − 1) c), c the mean over pairs of ⟨dᵢ, dⱼ⟩ / max (|dᵢ| |dⱼ|, "
                  "floor), of the tensor or each row (scope); where |1 + (N − 1) c| < 1e-6: base",
                  .source = "Jang, Yun, Han, \"Model Stock: all we need is just a few fine-tuned models\", 2024, arXiv 2403.19522; mergekit: "
                  "floor 1e-6, its filter_wise is scope row")
