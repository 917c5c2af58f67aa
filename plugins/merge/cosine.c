/* SPDX-License-Identifier: Apache-2.0
 * merge.cosine - mixes columns by how alike they are ("cosineA" and "cosineB" of sd-webui-supermerger, 2023, after recoilme's losslessmix).
 *
 * A column is what lies along a tensor's first dimension; a vector is one column. With s its similarity, the first model A has the share
 * k = clamp ((s - low) / (high - low) - alpha, 0, 1) of it and B the rest: where the models differ, B is taken. Per tensor, in double:
 * "a" (supermerger's cosineA): the mean of the column's cosine and the cosine of the tensors after each column got length 1;
 * "a-column" (sd-mecha's add_cosine_a): the column's cosine; "b" (cosineB in both): the mean of the column's cosine and that of the tensors.
 * A column of zeros has cosine 0, and so has a tensor, of which supermerger makes NaN.
 *
 * range "model" (supermerger's): low and high are the least and the largest similarity of the model's columns (a: of their cosines alone; b: of
 * the means, but for tensors that are zeros in a model) after those below the 1st percentile were taken away and then, of the rest, those above
 * the 99th. numpy.percentile puts a percentile that lies between two ranks between their values (there: in the middle), so what is left begins and
 * ends at a rank: with n values in order, counted from 0, at ceil ((n - 1) / 100), and with the m from there on, at floor (99 (m - 1) / 100) of
 * those. "given" (sd-mecha's, with 0 and 1): what is said. The model is the tensors whose range is "model"; supermerger leaves out its VAE and
 * names without "model" in them, counts tensors of integers too, merges what has "weight" or "bias" in its name and keeps A's of all else, which
 * a range by tensor and merge.by-tensor can do. In cosineA it takes the magnitude of a negative alpha, which is refused here.
 * Where all that is left is one value, it divides by 0; here k is what it tends to: 0 below the value, 1 - alpha at it (within 1e-12), 1 above.
 */
#include "evopipe.h"

#include <string.h>

enum { MOST_COLUMNS = 1 << 22 }; /* 96 MiB of sums a slice */
static const double ONE_VALUE = 1e-12; /* what sums of products in double leave of a difference of cosines */

typedef enum { SIMILARITY_A, SIMILARITY_A_COLUMN, SIMILARITY_B } Similarity;
typedef enum { RANGE_MODEL, RANGE_GIVEN } Range;
typedef enum { FIGURE_LOW, FIGURE_HIGH, N_FIGURES } Figure;
typedef struct { double alpha, low, high; guint32 similarity, range; } CosineParams;

static const EvoParam params[] = {
  EVO_NUMBER (CosineParams, alpha, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "Taken off the first model's share: 1 is the second model."),
  EVO_CHOICE (CosineParams, range, RANGE_MODEL, "Which similarities have the shares 0 and 1 before alpha: the least and the largest of all columns of "
              "the model's tensors with this range, but for the lowest and the highest percent; or low and high.", "model", "given"),
  EVO_NUMBER (CosineParams, low, 0, EVO_LIMITS (-1, 1), EVO_NO_SEARCH, "Range given: similarity at which the first model's share is 0 before alpha."),
  EVO_NUMBER (CosineParams, high, 1, EVO_LIMITS (-1, 1), EVO_NO_SEARCH, "Range given: similarity at which the first model's share is 1 before alpha."),
  EVO_CHOICE (CosineParams, similarity, SIMILARITY_A, "What is compared: columns and tensors of columns made equally long, columns alone, or columns "
              "and tensors as they are.", "a", "a-column", "b"),
  EVO_PARAMS_END
};

static guint32
cosine_scope_of (const void *params_)
{
  return ((const CosineParams *) params_)->range == RANGE_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static gboolean
check_params (const CosineParams *p, GError **error)
{
  if (p->range == RANGE_MODEL && (p->low != 0 || p->high != 1))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s %g has no part in range \"model\"; with range \"given\" it has", p->low != 0 ? "low" : "high",
                     p->low != 0 ? p->low : p->high);
  return p->high - p->low > ONE_VALUE || evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "low %g is not below high %g", p->low, p->high);
}

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

/* The cosine of the whole tensors: as they are, or with all columns (but those of zeros) of length 1. NaN: one is zeros, or has no elements. */
static double
whole_cosine (const double *sums, gint64 m, gboolean normalized)
{
  double aa = 0, ab = 0, bb = 0;

  for (gint64 j = 0; j < m; j++) {
    aa += normalized ? sums[j] > 0 : sums[j];
    ab += normalized ? cosine (sums[j], sums[m + j], sums[2 * m + j]) : sums[m + j];
    bb += normalized ? sums[2 * m + j] > 0 : sums[2 * m + j];
  }
  return aa > 0 && bb > 0 ? cosine (aa, ab, bb) : NAN;
}

/* ------------------------------------------------------------------ range "model" */

static guint32
cosine_n_values (const EvoMergeCall *c)
{
  return c->t->n == 0 ? 0 : cosine_n_coef (c);
}

/* What low and high are found among: in b, NaN where supermerger has it. */
static gboolean
cosine_values (const EvoMergeCall *c, const double *sums, double *values, GError **error)
{
  const CosineParams *p = c->params;
  gint64 m = n_columns (c->t);
  double whole = p->similarity == SIMILARITY_B ? whole_cosine (sums, m, FALSE) : 0;

  for (gint64 j = 0; j < m; j++) {
    double s = cosine (sums[j], sums[m + j], sums[2 * m + j]);

    values[j] = p->similarity == SIMILARITY_B ? (s + whole) / 2 : s;
  }
  return check_params (p, error);
}

/* Its bits as a whole number that orders as the numbers do. */
static guint64
order_of (double x)
{
  guint64 bits;

  memcpy (&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | G_GUINT64_CONSTANT (1) << 63;
}

/* The number that n - 1 - k others follow, from k = 0: byte by byte, counting those that begin alike; 8 passes, whatever their order. */
static double
in_order (const double *values, gsize n, gsize k)
{
  guint64 prefix = 0, bits;
  double x;

  for (guint shift = 64; shift > 0; shift -= 8) {
    gsize count[256] = { 0 };
    guint b = 0;

    for (gsize i = 0; i < n; i++) {
      guint64 order = order_of (values[i]);

      count[(order >> (shift - 8)) & 0xff] += shift == 64 || order >> shift == prefix;
    }
    while (k >= count[b])
      k -= count[b++];
    prefix = prefix << 8 | b;
  }
  bits = prefix >> 63 ? prefix & ~(G_GUINT64_CONSTANT (1) << 63) : ~prefix;
  memcpy (&x, &bits, sizeof x);
  return x;
}

/* NaN: there are none. */
static gboolean
cosine_pool (double *values, gsize n, double *figures, GError **error)
{
  gsize m = 0, above = 0;

  for (gsize i = 0; i < n; i++)
    if (!isnan (values[i]))
      values[m++] = values[i];
  if (m == 0) {
    figures[FIGURE_LOW] = figures[FIGURE_HIGH] = NAN;
    return TRUE;
  }
  figures[FIGURE_LOW] = in_order (values, m, (m - 1 + 99) / 100);
  for (gsize i = 0; i < m; i++)
    above += values[i] >= figures[FIGURE_LOW];
  figures[FIGURE_HIGH] = in_order (values, m, m - above + 99 * (above - 1) / 100);
  return TRUE;
}

/* ------------------------------------------------------------------ shares */

static gboolean
find_range (const EvoMergeCall *c, const double *figures, double *low, double *high, GError **error)
{
  const CosineParams *p = c->params;

  *low = p->range == RANGE_MODEL ? figures[FIGURE_LOW] : p->low;
  *high = p->range == RANGE_MODEL ? figures[FIGURE_HIGH] : p->high;
  if (isnan (*low) && c->t->n > 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "no column of the model has a similarity, as each tensor is zeros in one of the models; with range "
                     "\"given\", low and high are as they are given");
  return check_params (p, error);
}

static double
share_of (double s, double low, double high, double alpha)
{
  if (high - low > ONE_VALUE)
    return CLAMP ((s - low) / (high - low) - alpha, 0, 1);
  return s < low - ONE_VALUE ? 0 : s > high + ONE_VALUE ? 1 : 1 - alpha;
}

/* The first model's share of each column. */
static gboolean
cosine_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const CosineParams *p = c->params;
  gint64 m = n_columns (c->t);
  double whole = p->similarity == SIMILARITY_A_COLUMN ? 0 : whole_cosine (sums, m, p->similarity == SIMILARITY_A), low, high;

  if (!find_range (c, sums + 3 * m, &low, &high, error))
    return FALSE;
  for (gint64 j = 0; j < m; j++) {
    double s = cosine (sums[j], sums[m + j], sums[2 * m + j]);

    if (p->similarity != SIMILARITY_A_COLUMN)
      s = (s + (isnan (whole) ? 0 : whole)) / 2;
    coef[j] = share_of (s, low, high, p->alpha);
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
                  .access = EVO_BY_ELEMENT, .scope_of = cosine_scope_of, .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_MEASURE_FIXED,
                  EVO_TAKES (CosineParams, params), .n_passes = 1, .n_sums = cosine_n_sums, .measure = cosine_measure, .n_coef = cosine_n_coef,
                  .solve = cosine_solve, .merge = cosine_merge, .n_values = cosine_n_values, .values = cosine_values, .pool = cosine_pool,
                  .n_figures = N_FIGURES,
                  .formula = "k x₁ + (1 − k) x₂ for each column, k = min (max ((s − low) / (high − low) − alpha, 0), 1); s: the mean of the "
                  "columns' cosine and that of the tensors with columns made equally long; similarity a-column: the columns' cosine; b: the "
                  "mean of that and the tensors' cosine; range model: low and high are the least and the largest s (a: columns' cosine) of the model "
                  "after those below the 1st and then, of the rest, those above the 99th percentile are taken away",
                  .source = "\"cosineA\" and \"cosineB\" of sd-webui-supermerger, 2023, after recoilme's losslessmix; a-column, and range given, as in "
                  "sd-mecha; no paper. supermerger keeps the first model's VAE")
