/* SPDX-License-Identifier: Apache-2.0
 * definitions-sums.c - the Stable Diffusion community's modes, crossover and Fisher averaging in double, written from their sources' formulas.
 *
 * U is the unit roundoff of fp32; tolerances count the roundings of a straightforward fp32 computation.
 */
#include "tests/plugins/definitions-sums.h"

static const double U = 0x1p-24;

/* AUTOMATIC1111's "add difference": A + alpha (B - C), the difference in fp32 as models have it */
void
define_add_difference (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha");

  for (gint64 j = 0; j < t->t.n; j++) {
    double change = alpha * ((double) t->in[1][j] - t->in[2][j]);

    out[j] = t->in[0][j] + change;
    tolerance[j] = 4 * U * fabs (change) + 1.01 * U * fabs (out[j]); /* alpha, difference, product; sum */
  }
}

/* supermerger's "sum twice": (1 - beta) ((1 - alpha) A + alpha B) + beta C */
void
define_sum_twice (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha"), beta = drive_number (d, tensor, -1, "beta");

  for (gint64 j = 0; j < t->t.n; j++) {
    double a = (1 - alpha) * t->in[0][j], b = alpha * t->in[1][j], c = beta * t->in[2][j];

    out[j] = (1 - beta) * (a + b) + c;
    tolerance[j] = 6.1 * U * (fabs (1 - beta) * (fabs (a) + fabs (b)) + fabs (c)); /* weight, product, sum, twice */
  }
}

/* supermerger's "triple sum": (1 - alpha - beta) A + alpha B + beta C */
void
define_triple_sum (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha"), beta = drive_number (d, tensor, -1, "beta");

  for (gint64 j = 0; j < t->t.n; j++) {
    double a = (1 - alpha - beta) * t->in[0][j], b = alpha * t->in[1][j], c = beta * t->in[2][j];

    out[j] = a + b + c;
    tolerance[j] = 4.1 * U * (fabs (a) + fabs (b) + fabs (c)); /* weight, product, two sums */
  }
}

/* supermerger's "trainDifference": A + 1.8 alpha sign (B - C) |B - A| / (|B - C| + |B - A|) |B - C|, nothing where both distances are 0 */
void
define_train_difference (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha");

  for (gint64 j = 0; j < t->t.n; j++) {
    double learned = (double) t->in[1][j] - t->in[2][j], far = fabs ((double) t->in[1][j] - t->in[0][j]);
    double share = fabs (learned) + far > 0 ? far / (fabs (learned) + far) : 0, change = 1.8 * alpha * share * learned;

    out[j] = t->in[0][j] + change;
    tolerance[j] = 8 * U * fabs (change) + 1.01 * U * fabs (out[j]); /* 3 differences and sums, quotient, 2 products, factor; sum */
  }
}

/* ------------------------------------------------------------------ cosine */

/* torch's cosine_similarity along the first dimension, of the column that begins at element j; 0 where one is zeros */
static long double
column_cosine (const DriveTensor *t, gint64 j, gint64 stride)
{
  long double aa = 0, ab = 0, bb = 0;

  for (gint64 i = j; i < t->t.n; i += stride) {
    aa += (long double) t->in[0][i] * t->in[0][i];
    ab += (long double) t->in[0][i] * t->in[1][i];
    bb += (long double) t->in[1][i] * t->in[1][i];
  }
  return aa > 0 && bb > 0 ? ab / sqrtl (aa * bb) : 0;
}

/* x [n] with every column divided by its length */
static void
normalize_columns (const float *x, gint64 n, gint64 stride, double *y)
{
  for (gint64 j = 0; j < MIN (stride, n); j++) {
    long double size = 0;

    for (gint64 i = j; i < n; i += stride)
      size += (long double) x[i] * x[i];
    for (gint64 i = j; i < n; i += stride)
      y[i] = size > 0 ? (double) (x[i] / sqrtl (size)) : 0;
  }
}

static long double
flat_cosine (const double *a, const double *b, gint64 n)
{
  long double aa = 0, ab = 0, bb = 0;

  for (gint64 i = 0; i < n; i++) {
    aa += (long double) a[i] * a[i];
    ab += (long double) a[i] * b[i];
    bb += (long double) b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? ab / sqrtl (aa * bb) : 0;
}

static long double
tensor_cosine (const DriveTensor *t, gint64 stride, gboolean normalized)
{
  g_autofree double *a = g_new (double, MAX (t->t.n, 1)), *b = g_new (double, MAX (t->t.n, 1));

  for (gint64 i = 0; i < t->t.n; i++) {
    a[i] = t->in[0][i];
    b[i] = t->in[1][i];
  }
  if (normalized) {
    normalize_columns (t->in[0], t->t.n, stride, a);
    normalize_columns (t->in[1], t->t.n, stride, b);
  }
  return flat_cosine (a, b, t->t.n);
}

static gint64
column_stride (const DriveTensor *t)
{
  gint64 stride = 1;

  for (guint i = 1; i < t->t.n_dims; i++)
    stride *= t->t.dims[i];
  return stride;
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  const double *x = a, *y = b;

  return *x < *y ? -1 : *x > *y;
}

/* numpy.percentile of n > 0 numbers in order: between two ranks as far as the percentile is ("linear"), or in the middle ("midpoint") */
static double
percentile (const double *sorted, gsize n, double q, gboolean midpoint)
{
  double at = (double) (n - 1) * (q / 100), below = floor (at), above = ceil (at), weight = midpoint && at > below ? 0.5 : at - below;

  return sorted[(gsize) below] + weight * (sorted[(gsize) above] - sorted[(gsize) below]);
}

/* The least and the largest number after those below the 1st percentile were deleted, then those above the 99th of the rest; NaN: of none */
void
define_range (const double *values, gsize n, gboolean midpoint, double *low, double *high)
{
  g_autofree double *sorted = g_new (double, n + 1);
  gsize m = 0, first = 0;
  double limit;

  for (gsize i = 0; i < n; i++)
    if (!isnan (values[i]))
      sorted[m++] = values[i];
  *low = *high = NAN;
  if (m == 0)
    return;
  qsort (sorted, m, sizeof *sorted, by_value);
  limit = percentile (sorted, m, 1, midpoint);
  while (sorted[first] < limit)
    first++;
  *low = sorted[first];
  limit = percentile (sorted + first, m - first, 99, midpoint);
  while (sorted[m - 1] > limit)
    m--;
  *high = sorted[m - 1];
}

/* All columns of all tensors: their cosines, in b the means with their tensor's, which zeros have none of. An empty tensor has no columns. */
static void
cosine_range (const Drive *d, double *low, double *high)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (double));

  for (guint i = 0; i < d->tensors->len; i++) {
    const DriveTensor *t = drive_get (d, i);
    gint64 stride = column_stride (t);
    gboolean zeros[2] = { TRUE, TRUE };

    for (gint64 j = 0; j < t->t.n; j++)
      for (guint e = 0; e < 2; e++)
        zeros[e] = zeros[e] && t->in[e][j] == 0;
    for (gint64 j = 0; j < MIN (stride, t->t.n); j++) {
      double s = (double) column_cosine (t, j, stride);

      if (drive_is (d, i, "similarity", "b"))
        s = zeros[0] || zeros[1] ? NAN : (double) ((s + tensor_cosine (t, stride, FALSE)) / 2);
      g_array_append_val (all, s);
    }
  }
  define_range ((const double *) all->data, all->len, TRUE, low, high);
}

/* supermerger's cosineA and cosineB, sd-mecha's add_cosine_a: k A + (1 - k) B, k = clip ((s - low) / (high - low) - alpha, 0, 1) by column */
void
define_cosine (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha"), low = drive_number (d, tensor, -1, "low"), high = drive_number (d, tensor, -1, "high");
  gint64 stride = column_stride (t);
  long double whole;

  if (drive_is (d, tensor, "range", "model"))
    cosine_range (d, &low, &high);
  whole = tensor_cosine (t, stride, drive_is (d, tensor, "similarity", "a"));
  for (gint64 j = 0; j < MIN (stride, t->t.n); j++) {
    long double s = column_cosine (t, j, stride), k;

    if (!drive_is (d, tensor, "similarity", "a-column"))
      s = (s + whole) / 2;
    k = high - low > 1e-12 ? CLAMP ((s - low) / (high - low) - alpha, 0, 1) : s < low - 1e-12 ? 0 : s > high + 1e-12 ? 1 : 1 - alpha;
    for (gint64 i = j; i < t->t.n; i += stride) {
      double a = (double) (k * t->in[0][i]), b = (double) ((1 - k) * t->in[1][i]);

      out[i] = a + b;
      /* weight, product, sum; and k by sums in double */
      tolerance[i] = 3.01 * U * (fabs (a) + fabs (b)) + 1e-12 / MAX (high - low, 1e-6) * (fabs (t->in[0][i]) + fabs (t->in[1][i]));
    }
  }
}

/* ------------------------------------------------------------------ crossover */

/* Sums over elements [from, to) of the models, all tensors one after the other. */
static void
flat_sums (const Drive *d, gint64 from, gint64 to, long double *aa, long double *ab, long double *bb)
{
  gint64 at = 0;

  *aa = *ab = *bb = 0;
  for (guint i = 0; i < d->tensors->len; i++)
    for (gint64 j = 0; j < drive_get (d, i)->t.n; j++, at++) {
      long double a = drive_get (d, i)->in[0][j], b = drive_get (d, i)->in[1][j];

      if (at < from || at >= to)
        continue;
      *aa += a * a;
      *ab += a * b;
      *bb += b * b;
    }
}

/* M2N2 (Abrantes et al. 2025): slerp (A, B, w_m) of what is before w_s, slerp (A, B, 1 - w_m) of the rest, all parameters one vector */
void
define_crossover (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double at = drive_number (d, tensor, -1, "t");
  gint64 first = 0, all = 0, split;

  for (guint i = 0; i < d->tensors->len; i++) {
    first += i < tensor ? drive_get (d, i)->t.n : 0;
    all += drive_get (d, i)->t.n;
  }
  split = (gint64) floor (drive_number (d, tensor, -1, "split") * (double) all);
  for (guint part = 0; part < 2; part++) {
    gboolean whole = drive_is (d, tensor, "angle", "model");
    long double w = part == 0 ? at : 1 - at, aa, ab, bb, wa = 1 - w, wb = w, cosine;

    flat_sums (d, part == 0 || whole ? 0 : split, part == 1 || whole ? all : split, &aa, &ab, &bb);
    cosine = aa > 0 && bb > 0 ? CLAMP (ab / sqrtl (aa * bb), -1, 1) : 1;
    if (1 - fabsl (cosine) > 5e-13L) {
      wa = sinl ((1 - w) * acosl (cosine)) / sinl (acosl (cosine));
      wb = sinl (w * acosl (cosine)) / sinl (acosl (cosine));
    }
    for (gint64 j = 0; j < t->t.n; j++)
      if ((first + j < split) == (part == 0)) {
        out[j] = (double) (wa * t->in[0][j] + wb * t->in[1][j]);
        tolerance[j] = (double) (3.01L * U * (fabsl (wa * t->in[0][j]) + fabsl (wb * t->in[1][j]))); /* weight, product, sum */
      }
  }
}

/* ------------------------------------------------------------------ Fisher */

/* Matena & Raffel 2022: sum lambda F x / sum lambda F; their code's floor and norm. All Fisher values 0: the first model. */
void
define_fisher (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autofree long double *lambda = g_new (long double, d->n_in);

  for (guint i = 0; i < d->n_in; i++) {
    long double squares = 0;

    lambda[i] = drive_number (d, tensor, (gint) i, "weight");
    for (guint s = 0; s < d->tensors->len; s++)
      for (gint64 j = 0; j < drive_get (d, s)->t.n; j++)
        squares += (long double) drive_get (d, s)->aux[i][j] * drive_get (d, s)->aux[i][j];
    if (drive_is (d, tensor, "norm", "model") && squares > 0)
      lambda[i] /= sqrtl (squares);
  }
  for (gint64 j = 0; j < t->t.n; j++) {
    long double up = 0, down = 0, size = 0;

    for (guint i = 0; i < d->n_in; i++) {
      double least = i == 0 || drive_is (d, tensor, "floored", "all") ? drive_number (d, tensor, -1, "floor") : 0;
      long double share = lambda[i] * MAX (t->aux[i][j], least);

      up += share * t->in[i][j];
      size += share * fabsf (t->in[i][j]);
      down += share;
    }
    out[j] = down > 0 ? (double) (up / down) : t->in[0][j];
    tolerance[j] = 1.01 * U * fabs (out[j]) + (down > 0 ? 1e-13 * (double) (size / down) : 0); /* one rounding to fp32; the rest is in double */
  }
}
