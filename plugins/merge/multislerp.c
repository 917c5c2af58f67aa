/* SPDX-License-Identifier: Apache-2.0
 * merge.multislerp - spherical interpolation of any number of models, or of their changes against a base (Goddard, "Multi-SLERP", 2025).
 *
 * The directions u_i = x_i / (|x_i| + eps) are averaged on the tangent space at their weighted mean, and the result has the weighted mean of the
 * lengths. The mean is parallel to sum w_i u_i, so the part of that sum in the tangent space is zero: what remains is the direction of
 * sum w_i u_i, times sum w_i |x_i|. Where the directions cancel (to 1e-6, so that the fp32 result has digits left) the models are mixed
 * linearly; mergekit does so with two models only and stops with more.
 */
#include "gram.h"

typedef struct { gboolean normalize; double eps; } MultislerpParams;
typedef struct { double weight; } MultislerpInput;

static const EvoParam params[] = {
  EVO_BOOL (MultislerpParams, normalize, TRUE, "Divide the weights by their sum (mergekit: normalize_weights)."),
  EVO_NUMBER (MultislerpParams, eps, 1e-8, EVO_LIMITS (0, 1), EVO_NO_SEARCH, "Added to every length before the tensor is divided by it."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (MultislerpInput, weight, 1, EVO_ANY, EVO_SEARCH (0.01, 1), "Share of this model's direction and length."),
  EVO_PARAMS_END
};

static gboolean
total_weight (const EvoMergeCall *c, double *total, GError **error)
{
  *total = 0;
  for (guint i = 0; i < c->n_in; i++)
    *total += ((const MultislerpInput *) c->in_params[i])->weight;
  if (!((const MultislerpParams *) c->params)->normalize)
    *total = 1;
  if (fabs (*total) < 1e-8)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights sum to zero; another weight, or \"normalize\": false");
  return TRUE;
}

static gboolean
multislerp_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  double total, eps = ((const MultislerpParams *) c->params)->eps, scale = 0, size = 0, mean;

  if (!total_weight (c, &total, error))
    return FALSE;
  for (guint i = 0; i < c->n_in; i++) {
    double length = sqrt (sums[gram_at (i, i)]), w = ((const MultislerpInput *) c->in_params[i])->weight / total;

    coef[i] = length > 0 ? w / (length + eps) : 0;
    scale += w * length;
    size += fabs (coef[i]) * length;
  }
  if (size == 0)
    return TRUE; /* nothing but zeros */
  mean = gram_length (sums, c->n_in, coef);
  for (guint i = 0; i < c->n_in; i++)
    coef[i] = mean <= MAX (eps, 1e-6 * size) ? ((const MultislerpInput *) c->in_params[i])->weight / total : coef[i] / mean * scale;
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "multislerp", .summary = "Spherical interpolation of any number of models, also of changes.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_TAKES_BASE | EVO_MERGE_MEASURE_FIXED, EVO_TAKES (MultislerpParams, params),
                  EVO_TAKES_PER_INPUT (MultislerpInput, in_params), .n_passes = 1, .n_sums = gram_n_sums, .measure = gram_measure,
                  .n_coef = gram_n_coef, .solve = multislerp_solve, .merge = gram_merge,
                  .formula = "(Σ wᵢ |xᵢ|) m / |m|, m = Σ wᵢ xᵢ / (|xᵢ| + eps), wᵢ = weightᵢ / Σ weightᵢ (normalize false: weightᵢ); where "
                  "the directions cancel, |m| ≈ 0: Σ wᵢ xᵢ; with a base: dᵢ for xᵢ, and base added",
                  .source = "Goddard, \"Multi-SLERP\", 2025, in mergekit; no paper. Its step on the tangent space at m is zero but for "
                  "rounding")
