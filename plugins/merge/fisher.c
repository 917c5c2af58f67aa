/* SPDX-License-Identifier: Apache-2.0
 * merge.fisher - weighted mean with each weight's Fisher information (Matena & Raffel, "Merging models with Fisher-weighted averaging", 2022).
 *
 * sum lambda_i F_i x_i / sum lambda_i F_i, where F_i is the diagonal of model i's Fisher matrix, the mean squared gradient of its log-likelihood:
 * a .safetensors file (or directory) with a tensor for each of the model's, made elsewhere. As in the authors' code, F below a floor counts as the
 * floor, of the first model only or of all: where no model knows anything, the first model's weight stays, or the mean. The code also divides each
 * lambda by the model's Fisher norm, which the paper's formula does not say: norm "model". Numbers are double: F may be far below fp32's range
 * squared.
 */
#include "evopipe.h"

enum { BLOCK = 1024 };
typedef enum { NORM_NONE, NORM_MODEL } Norm;
typedef enum { FLOOR_FIRST, FLOOR_ALL } Floored;
typedef struct { double floor; guint32 floored, norm; } FisherParams;
typedef struct { double weight; const char *fisher; } FisherInput;

static const EvoParam params[] = {
  EVO_NUMBER (FisherParams, floor, 1e-6, EVO_LIMITS (0, HUGE_VAL), EVO_NO_SEARCH, "Least Fisher value that counts."),
  EVO_CHOICE (FisherParams, floored, FLOOR_FIRST, "Whose Fisher values have the floor: the first model's, which so stays where none has any, or all "
              "models'.", "first", "all"),
  EVO_CHOICE (FisherParams, norm, NORM_NONE, "What each weight is divided by: nothing, or the Euclidean norm of the model's Fisher values.", "none",
              "model"),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (FisherInput, weight, 1, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0, 1), "The model's merging coefficient, lambda."),
  EVO_FILE (FisherInput, fisher, EVO_PARAM_REQUIRED | EVO_PARAM_TENSORS, "The model's Fisher values: tensors of its names and "
            "shapes. Where \"tokenizer\" gives the merge other rows they go with their tokens, and a token that the model lacks has 0."),
  EVO_PARAMS_END
};

static guint32
fisher_scope_of (const void *params_)
{
  return ((const FisherParams *) params_)->norm == NORM_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static guint32
fisher_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const FisherParams *) c->params)->norm == NORM_MODEL ? c->n_in : 0;
}

static gboolean
fisher_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  for (guint i = 0; i < c->n_in; i++)
    sums[i] += c->k->dot (c->aux[i], c->aux[i], c->n);
  return TRUE;
}

static double
coefficient (const EvoMergeCall *c, guint i)
{
  double weight = ((const FisherInput *) c->in_params[i])->weight;

  if (((const FisherParams *) c->params)->norm == NORM_NONE)
    return weight;
  return c->coef[i] > 0 ? weight / sqrt (c->coef[i]) : weight;
}

/* Adds input i's part of the block to numerators and denominators. */
static gboolean
add_input (const EvoMergeCall *c, guint i, gsize at, gsize n, double *up, double *down, GError **error)
{
  const FisherParams *p = c->params;
  const float *x = c->in[i] + at, *f = c->aux[i] + at;
  double lambda = coefficient (c, i), least = i == 0 || p->floored == FLOOR_ALL ? p->floor : 0;

  for (gsize j = 0; j < n; j++) {
    double share = lambda * MAX (f[j], least);

    if (f[j] < 0)
      return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "input %u: its Fisher value of element %" G_GINT64_FORMAT " is negative; the mean of squared "
                       "gradients is wanted", i, c->first + (gint64) (at + j));
    up[j] += share * x[j];
    down[j] += share;
  }
  return TRUE;
}

static gsize
fisher_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return 2 * BLOCK * sizeof (double);
}

static gboolean
fisher_merge (const EvoMergeCall *c, GError **error)
{
  double *up = c->scratch, *down = up + BLOCK;

  for (gsize at = 0; at < c->n; at += BLOCK) {
    gsize n = MIN (BLOCK, c->n - at);

    for (gsize j = 0; j < n; j++)
      up[j] = down[j] = 0;
    for (guint i = 0; i < c->n_in; i++)
      if (!add_input (c, i, at, n, up, down, error))
        return FALSE;
    for (gsize j = 0; j < n; j++) /* no floor and no Fisher value, or no weight: nothing says otherwise than the first model */
      c->out[at + j] = down[j] > 0 ? (float) (up[j] / down[j]) : c->in[0][at + j];
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "fisher", .summary = "Mean of models weighted by the Fisher information of each weight.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope_of = fisher_scope_of, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (FisherParams, params),
                  EVO_TAKES_PER_INPUT (FisherInput, in_params), .n_passes = 1, .n_sums = fisher_n_sums, .measure = fisher_measure,
                  .scratch_bytes = fisher_scratch_bytes, .merge = fisher_merge,
                  .formula = "Σ λᵢ Fᵢ xᵢ / Σ λᵢ Fᵢ, λᵢ = weightᵢ, Fᵢ: fisherᵢ, of the first model floor at least (floored all: of every "
                  "model); norm model: λᵢ = weightᵢ / |fisherᵢ| over the model; where the sum is 0: x₁",
                  .source = "Matena & Raffel, \"Merging models with Fisher-weighted averaging\", 2022, arXiv 2111.09832; norm model is its "
                  "authors' code's, not the formula's")
