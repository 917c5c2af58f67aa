/* SPDX-License-Identifier: Apache-2.0
 * merge.geometric-median - the point with the smallest weighted sum of distances to the models (Weiszfeld 1937).
 *
 * Found by the smoothed iteration of Pillutla, Kakade and Harchaoui ("Robust aggregation for federated learning", 2022): the models' mean with
 * weights a_i / max (smoothing, |z - x_i|), until they rest. Distances are made in double from the inner products of the differences to the
 * first model, so that models that are nearly alike lose no digits. The paper's vectors are whole models.
 */
#include "gram.h"

typedef enum { SCOPE_MODEL, SCOPE_TENSOR } Scope;
typedef struct { double smoothing; gint64 max_iter; guint32 scope; } MedianParams;
typedef struct { double weight; } MedianInput;

static const EvoParam params[] = {
  EVO_CHOICE (MedianParams, scope, SCOPE_MODEL, "What distances are over: the whole model, or every tensor by itself.", "model", "tensor"),
  EVO_NUMBER (MedianParams, smoothing, 1e-6, EVO_LIMITS (1e-12, 1e6), EVO_NO_SEARCH, "Distances count as this at least."),
  EVO_INTEGER (MedianParams, max_iter, 1000, EVO_LIMITS (0, 100000), "Steps at most; it stops earlier where no share moves by 1e-12."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (MedianInput, weight, 1, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0.01, 1), "Weight of the distance to this model."),
  EVO_PARAMS_END
};

static guint32
median_scope_of (const void *params_)
{
  return ((const MedianParams *) params_)->scope == SCOPE_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static gboolean
median_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  gram_add (c, c->in[0], sums);
  return TRUE;
}

static guint32
median_n_coef (const EvoMergeCall *c)
{
  return 2 * c->n_in; /* the shares, then the next ones */
}

/* shares [n_in] -> next [n_in]; how far the one that moves most does */
static double
step (const EvoMergeCall *c, const double *gram, const double *shares, double *next)
{
  double length = gram_length (gram, c->n_in, shares), total = 0, most = 0;

  for (guint i = 0; i < c->n_in; i++) {
    double square = length * length - 2 * gram_dot (gram, c->n_in, i, shares) + gram[gram_at (i, i)];

    next[i] = ((const MedianInput *) c->in_params[i])->weight / MAX (((const MedianParams *) c->params)->smoothing, sqrt (MAX (square, 0)));
    total += next[i];
  }
  for (guint i = 0; i < c->n_in; i++) {
    next[i] /= total;
    most = MAX (most, fabs (next[i] - shares[i]));
  }
  return most;
}

static gboolean
median_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  double *next = coef + c->n_in, total = 0, moved = 1;

  for (guint i = 0; i < c->n_in; i++)
    total += ((const MedianInput *) c->in_params[i])->weight;
  if (total < 1e-8)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights sum to zero; another weight");
  for (guint i = 0; i < c->n_in; i++)
    coef[i] = ((const MedianInput *) c->in_params[i])->weight / total;
  for (gint64 n = 0; n < ((const MedianParams *) c->params)->max_iter && moved >= 1e-12; n++) {
    moved = step (c, sums, coef, next);
    for (guint i = 0; i < c->n_in; i++)
      coef[i] = next[i];
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "geometric-median", .summary = "The point with the smallest sum of distances to the models.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope_of = median_scope_of,
                  .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_SYMMETRIC | EVO_MERGE_MEASURE_FIXED, EVO_TAKES (MedianParams, params),
                  EVO_TAKES_PER_INPUT (MedianInput, in_params), .n_passes = 1, .n_sums = gram_n_sums, .measure = median_measure,
                  .n_coef = median_n_coef, .solve = median_solve, .merge = gram_merge,
                  .formula = "the z with the least Σ weightᵢ |z − xᵢ|, by z ← Σ wᵢ xᵢ / Σ wᵢ, wᵢ = weightᵢ / max (smoothing, |z − xᵢ|), "
                  "max_iter times at most; lengths over the model (scope tensor: over each tensor)",
                  .source = "Weiszfeld, \"Sur le point pour lequel la somme des distances de n points donnés est minimum\", 1937; smoothed "
                  "as by Pillutla, Kakade, Harchaoui, \"Robust aggregation for federated learning\", 2022, arXiv 1912.13445")
