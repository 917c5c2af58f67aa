/* SPDX-License-Identifier: Apache-2.0
 * merge.nuslerp - great-circle interpolation by weights, of whole tensors, rows or columns, of models or of their changes against a base.
 *
 * The arc is Shoemake's ("Animating rotation with quaternion curves", 1985), the method and its name are mergekit's (nuslerp). Unlike
 * merge.slerp it has no threshold: only angles within 1e-6 of 0 and of pi, and zero vectors, are interpolated linearly (mergekit takes a zero
 * vector to be at a right angle). Weights that sum to zero count alike, as in mergekit.
 * mergekit's nuslerp_flatten: true is scope "tensor"; nuslerp_flatten: false is "row", and with nuslerp_row_wise: true "column": that flag is
 * named after the other axis. A vector is always taken as a whole. A column is what has the same last index, also where there are more than
 * two dimensions.
 */
#include "gram.h"

typedef enum { SCOPE_TENSOR, SCOPE_ROW, SCOPE_COLUMN } Scope;
typedef struct { guint32 scope; } NuslerpParams;
typedef struct { double weight; } NuslerpInput;

static const EvoParam params[] = {
  EVO_CHOICE (NuslerpParams, scope, SCOPE_TENSOR, "What has an angle of its own: the tensor (mergekit: nuslerp_flatten), every row, or every column "
              "(mergekit: nuslerp_row_wise).", "tensor", "row", "column"),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (NuslerpInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 1), "Place on the arc: this model's share of the sum of both weights."),
  EVO_PARAMS_END
};

static guint32
nuslerp_scope_of (const void *params_)
{
  static const guint32 scopes[] = { EVO_OVER_TENSOR, EVO_OVER_ROW, EVO_OVER_COLUMN };

  return scopes[((const NuslerpParams *) params_)->scope];
}

static gboolean
by_column (const EvoMergeCall *c)
{
  return ((const NuslerpParams *) c->params)->scope == SCOPE_COLUMN;
}

static guint32
nuslerp_n_sums (const EvoMergeCall *c, guint pass)
{
  return 3;
}

static guint32
nuslerp_n_coef (const EvoMergeCall *c)
{
  return 2;
}

/* sums [3][n_cols]: aa, ab, bb of every column */
static void
measure_columns (const EvoMergeCall *c, double *sums)
{
  gsize n_cols = (gsize) c->t->n_cols;

  for (gsize at = 0; at < c->n; at += n_cols)
    for (gsize j = 0; j < n_cols; j++) {
      float origin = c->base == NULL ? 0 : c->base[at + j], a = c->in[0][at + j] - origin, b = c->in[1][at + j] - origin;

      sums[j] += (double) a * a;
      sums[n_cols + j] += (double) a * b;
      sums[2 * n_cols + j] += (double) b * b;
    }
}

static gboolean
nuslerp_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  if (by_column (c))
    measure_columns (c, sums);
  else
    gram_add (c, c->base, sums);
  return TRUE;
}

/* A vector's columns are its elements: their sums are joined. */
static void
solve_vector (const double *sums, gsize n, double wa, double wb, double *coef)
{
  double all[3] = { 0 }, one[2];

  for (gsize i = 0; i < 3 * n; i++)
    all[i / n] += sums[i];
  gram_arc (all[0], all[1], all[2], wa, wb, &one[0], &one[1]);
  for (gsize j = 0; j < 2 * n; j++)
    coef[j] = one[j / n];
}

static gboolean
nuslerp_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  double a = ((const NuslerpInput *) c->in_params[0])->weight, b = ((const NuslerpInput *) c->in_params[1])->weight;
  double wa = fabs (a + b) < 1e-6 ? 0.5 : a / (a + b), wb = fabs (a + b) < 1e-6 ? 0.5 : b / (a + b);
  gsize n = by_column (c) ? (gsize) c->t->n_cols : 1;

  if (n > 1 && c->t->n_dims == 1)
    solve_vector (sums, n, wa, wb, coef);
  else
    for (gsize j = 0; j < n; j++)
      gram_arc (sums[j], sums[n + j], sums[2 * n + j], wa, wb, &coef[j], &coef[n + j]);
  return TRUE;
}

/* coef [2][n_cols] */
static void
merge_columns (const EvoMergeCall *c)
{
  gsize n_cols = (gsize) c->t->n_cols;

  for (gsize at = 0; at < c->n; at += n_cols)
    for (gsize j = 0; j < n_cols; j++) {
      float origin = c->base == NULL ? 0 : c->base[at + j], a = c->in[0][at + j] - origin, b = c->in[1][at + j] - origin;

      c->out[at + j] = (float) c->coef[j] * a + (float) c->coef[n_cols + j] * b + origin;
    }
}

static gboolean
nuslerp_merge (const EvoMergeCall *c, GError **error)
{
  if (by_column (c))
    merge_columns (c);
  else if (c->base == NULL)
    c->k->mix (c->out, c->in[0], c->in[1], c->coef[0], c->coef[1], c->n);
  else
    return gram_merge (c, error);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "nuslerp", .summary = "Great-circle interpolation by weights, per tensor, row or column, also of changes.",
                  .min_inputs = 2, .max_inputs = 2, .access = EVO_BY_ELEMENT, .scope_of = nuslerp_scope_of,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_TAKES_BASE | EVO_MERGE_MEASURE_FIXED, EVO_TAKES (NuslerpParams, params),
                  EVO_TAKES_PER_INPUT (NuslerpInput, in_params), .n_passes = 1, .n_sums = nuslerp_n_sums, .measure = nuslerp_measure,
                  .n_coef = nuslerp_n_coef, .solve = nuslerp_solve, .merge = nuslerp_merge,
                  .formula = "(sin (w₁ θ) x₁ + sin (w₂ θ) x₂) / sin θ, wᵢ = weightᵢ / (weight₁ + weight₂), ½ each where the weights sum to "
                  "zero; θ the angle between tensors, rows or columns (scope); θ within 1e-6 of 0 or π: w₁ x₁ + w₂ x₂; with a base: dᵢ for "
                  "xᵢ, and base added",
                  .source = "the arc: Shoemake, \"Animating rotation with quaternion curves\", 1985; the method is mergekit's, without a "
                  "paper: its nuslerp_flatten false is scope row, with nuslerp_row_wise scope column")
