/* SPDX-License-Identifier: Apache-2.0
 * merge.cosine - mixes columns by how alike they are ("cosineA" and "cosineB" of sd-webui-supermerger, 2023, after recoilme's losslessmix).
 *
 * A column is what lies along a tensor's first dimension; a vector is one column. With s its similarity, the first model A has the share
 * k = clamp ((s - low) / (high - low) - alpha, 0, 1) of it and B the rest: where the models differ, B is taken. Per tensor, in double:
 * "a" (supermerger's cosineA): the mean of the column's cosine and the cosine of the tensors after each column got length 1;
 * "a-column" (sd-mecha's add_cosine_a): the column's cosine; "b" (cosineB in both): the mean of the column's cosine and that of the tensors.
 * Left out of supermerger: its low and high are the least and the largest similarity of the model's columns (a: of their cosines alone; b: of the
 * means) between the 1st and the 99th percentile, which needs all columns of a model at once; here they are given, and by default sd-mecha's 0 and
 * 1. It also keeps A's VAE as it is, which merge.by-tensor can do, and in cosineA takes the magnitude of a negative alpha, which is refused here.
 * A column of zeros has cosine 0.
 */
#include "evopipe.h"

enum { MOST_COLUMNS = 1 << 22 }; /* 96 MiB of sums a slice */

typedef enum { SIMILARITY_A, SIMILARITY_A_COLUMN, SIMILARITY_B } Similarity;
typedef struct { double alpha, low, high; guint32 similarity; } CosineParams;

static const EvoParam params[] = {
  EVO_NUMBER (CosineParams, alpha, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "Taken off the first model's share: 1 is the second model."),
  EVO_NUMBER (CosineParams, low, 0, EVO_LIMITS (-1, 1), EVO_NO_SEARCH, "Similarity at which the first model's share is 0 before "
              "alpha; supermerger takes the least of the model's columns above the 1st percentile."),
  EVO_NUMBER (CosineParams, high, 1, EVO_LIMITS (-1, 1), EVO_NO_SEARCH, "Similarity at which the first model's share is 1 before "
              "alpha; supermerger takes the largest of the model's columns below the 99th percentile."),
  EVO_CHOICE (CosineParams, similarity, SIMILARITY_A, "What is compared: columns and tensors of columns made equally long, columns alone, or columns "
              "and tensors as they are.", "a", "a-column", "b"),
  EVO_PARAMS_END
};

static gint64
n_columns (const EvoTensor *t)
{
  return t->n_dims < 2 || t->n == 0 ? 1 : t->n / t->dims[0];
}

static guint32
cosine_n_sums (const EvoMergeCall *c, guint pass)
{
  return 3 * (guint32) MIN (n_columns (c->t), MOST_COLUMNS);
}

/* [3][columns]: aa, ab, bb */
static gboolean
cosine_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  gint64 m = n_columns (c->t), j = c->first % m;

  if (m > MOST_COLUMNS)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "has %" G_GINT64_FORMAT " columns; cosine measures at most %d, another operator may do", m,
                     MOST_COLUMNS);
  if (m == 1) {
    sums[0] += c->k->dot (c->in[0], c->in[0], c->n);
    sums[1] += c->k->dot (c->in[0], c->in[1], c->n);
    sums[2] += c->k->dot (c->in[1], c->in[1], c->n);
    return TRUE;
  }
  for (gsize i = 0; i < c->n; i++) {
    double a = c->in[0][i], b = c->in[1][i];

    sums[j] += a * a;
    sums[m + j] += a * b;
    sums[2 * m + j] += b * b;
    j = j + 1 == m ? 0 : j + 1;
  }
  return TRUE;
}

static guint32
cosine_n_coef (const EvoMergeCall *c)
{
  return (guint32) MIN (n_columns (c->t), MOST_COLUMNS);
}

static double
cosine (double aa, double ab, double bb)
{
  return aa > 0 && bb > 0 ? ab / sqrt (aa) / sqrt (bb) : 0;
}

/* The cosine of the whole tensors: as they are, or with all columns (but those of zeros) of length 1. */
static double
whole_cosine (const double *sums, gint64 m, gboolean normalized)
{
  double aa = 0, ab = 0, bb = 0;

  for (gint64 j = 0; j < m; j++) {
    aa += normalized ? sums[j] > 0 : sums[j];
    ab += normalized ? cosine (sums[j], sums[m + j], sums[2 * m + j]) : sums[m + j];
    bb += normalized ? sums[2 * m + j] > 0 : sums[2 * m + j];
  }
  return cosine (aa, ab, bb);
}

/* The first model's share of each column. */
static gboolean
cosine_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const CosineParams *p = c->params;
  gint64 m = n_columns (c->t);
  double whole = p->similarity == SIMILARITY_A_COLUMN ? 0 : whole_cosine (sums, m, p->similarity == SIMILARITY_A);

  if (p->low >= p->high)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "low %g is not below high %g", p->low, p->high);
  for (gint64 j = 0; j < m; j++) {
    double s = cosine (sums[j], sums[m + j], sums[2 * m + j]);

    if (p->similarity != SIMILARITY_A_COLUMN)
      s = (s + whole) / 2;
    coef[j] = CLAMP ((s - p->low) / (p->high - p->low) - p->alpha, 0, 1);
  }
  return TRUE;
}

static gboolean
cosine_merge (const EvoMergeCall *c, GError **error)
{
  gint64 m = n_columns (c->t), j = c->first % m;

  if (m == 1) {
    c->k->mix (c->out, c->in[0], c->in[1], c->coef[0], 1 - c->coef[0], c->n);
    return TRUE;
  }
  for (gsize i = 0; i < c->n; i++) {
    c->out[i] = (float) (c->coef[j] * c->in[0][i] + (1 - c->coef[j]) * c->in[1][i]);
    j = j + 1 == m ? 0 : j + 1;
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "cosine", .summary = "Mixes each column of two models by its cosine similarity.", .min_inputs = 2, .max_inputs = 2,
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_MEASURE_FIXED,
                  EVO_TAKES (CosineParams, params), .n_passes = 1, .n_sums = cosine_n_sums, .measure = cosine_measure, .n_coef = cosine_n_coef,
                  .solve = cosine_solve, .merge = cosine_merge,
                  .formula = "k x₁ + (1 − k) x₂ for each column, k = min (max ((s − low) / (high − low) − alpha, 0), 1); s: the mean of the "
                  "columns' cosine and that of the tensors with columns made equally long; similarity a-column: the columns' cosine; b: the "
                  "mean of that and the tensors' cosine",
                  .source = "\"cosineA\" and \"cosineB\" of sd-webui-supermerger, 2023, after recoilme's losslessmix; a-column as in "
                  "sd-mecha; no paper. supermerger takes low and high from percentiles over the model")
