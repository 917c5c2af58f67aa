/* SPDX-License-Identifier: Apache-2.0
 * test-statistics.c - intervals and paired comparisons against published values, exact sums and known distributions.
 */
#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/search/results/statistics.h"

/* Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3: four digits are printed. */
static const struct { gsize x, n; double low, high; } published[] = {
  { 81, 263, 0.2553, 0.3662 }, { 15, 148, 0.0624, 0.1605 }, { 0, 20, 0.0000, 0.1611 }, { 1, 29, 0.0061, 0.1718 },
};

static void
test_wilson (void)
{
  EvoInterval none = evo_wilson (0, 0), one = evo_wilson (1, 1), zero = evo_wilson (0, 1), all = evo_wilson (250, 250), half = evo_wilson (125, 250);

  for (guint i = 0; i < G_N_ELEMENTS (published); i++) {
    EvoInterval w = evo_wilson (published[i].x, published[i].n);

    g_assert_cmpfloat (w.value, ==, (double) published[i].x / (double) published[i].n);
    g_assert_cmpfloat_with_epsilon (w.low, published[i].low, 0.00005001);
    g_assert_cmpfloat_with_epsilon (w.high, published[i].high, 0.00005001);
  }
  g_assert_true (isnan (none.value) && none.low == 0 && none.high == 1);
  /* n = 1: the other end is 1 / (1 + z²), z = 1.959964 */
  g_assert_true (one.value == 1 && one.high == 1 && zero.value == 0 && zero.low == 0 && all.high == 1);
  g_assert_cmpfloat_with_epsilon (one.low, 1 / (1 + 1.959964 * 1.959964), 1e-6);
  g_assert_cmpfloat_with_epsilon (zero.high, 1 - 1 / (1 + 1.959964 * 1.959964), 1e-6);
  g_assert_cmpfloat_with_epsilon (half.low + half.high, 1, 1e-15); /* symmetric, but for rounding */
}

/* ------------------------------------------------------------------ McNemar */

/* b items only the first got right, c only the second, the rest both or neither. */
static double
mcnemar (guint b, guint c, guint both, guint neither)
{
  guint n = b + c + both + neither;
  g_autofree double *x = g_new0 (double, n + 1), *y = g_new0 (double, n + 1);

  for (guint i = 0; i < n; i++) {
    x[i] = i < b || (i >= b + c && i < b + c + both);
    y[i] = i >= b && i < b + c + both;
  }
  return evo_mcnemar (x, y, n);
}

static void
test_mcnemar (void)
{
  /* 1e-10: sums of a few hundred terms, the largest of them from differences of logarithms of about 1e4, so good to 1e-12 */
  g_assert_cmpfloat_with_epsilon (mcnemar (1, 9, 3, 4), 2 * (1 + 10) / 1024.0, 1e-10);
  g_assert_cmpfloat_with_epsilon (mcnemar (9, 1, 0, 0), 2 * (1 + 10) / 1024.0, 1e-10);
  g_assert_cmpfloat_with_epsilon (mcnemar (0, 5, 10, 0), 2 / 32.0, 1e-10);
  g_assert_cmpfloat_with_epsilon (mcnemar (4, 14, 1, 1), 2 * (1 + 18 + 153 + 816 + 3060) / 262144.0, 1e-10);
  g_assert_cmpfloat_with_epsilon (mcnemar (0, 1, 0, 9), 1, 1e-10);
  g_assert_cmpfloat (mcnemar (0, 0, 5, 5), ==, 1);
  g_assert_cmpfloat (mcnemar (7, 7, 5, 5), ==, 1);
  g_assert_cmpfloat (mcnemar (0, 0, 0, 0), ==, 1);
  /* by exact fractions: 2 sum C(m, k) / 2^m, k = 0 ... 450 of 1000 and 1400 of 3000 */
  g_assert_cmpfloat_with_epsilon (mcnemar (450, 550, 10, 10), 0.0017305360849763176, 1e-10);
  g_assert_cmpfloat_with_epsilon (mcnemar (1600, 1400, 10, 10), 0.0002785639610392337, 1e-10);
  g_assert_cmpfloat (mcnemar (0, 5000, 0, 0), <, 1e-300); /* 2^-4999 is no double: it is 0 and not NaN */
}

/* ------------------------------------------------------------------ bootstrap */

static void
fill_normal (double *x, gsize n, guint64 stream)
{
  EvoRandom r;

  evo_random_init (&r, stream);
  for (gsize i = 0; i < n; i++)
    x[i] = evo_random_normal (&r);
}

/* 200 samples of 50 from a normal distribution: the percentile interval of a mean is a little short, by sqrt (49 / 50) and for having no t:
 * it holds the true mean in 93.7 % of cases. 200 tries have a standard deviation of 1.7 %; the bounds are four of them away. */
static void
test_coverage (void)
{
  enum { SAMPLES = 200, N = 50 };
  guint covered = 0, paired = 0;

  for (guint i = 0; i < SAMPLES; i++) {
    double a[N], b[N];
    EvoInterval alone, difference;

    fill_normal (a, N, 2 * i + 1);
    fill_normal (b, N, 2 * i + 2);
    for (guint k = 0; k < N; k++)
      b[k] = a[k] + 0.1 * b[k] - 0.5; /* strongly paired, true difference a - b = 0.5 */
    alone = evo_bootstrap (NULL, NULL, a, 1, N, i);
    difference = evo_paired_bootstrap (NULL, NULL, a, b, 1, N, i);
    covered += alone.low <= 0 && 0 <= alone.high;
    paired += difference.low <= 0.5 && 0.5 <= difference.high;
    g_assert_cmpfloat (difference.high - difference.low, <, 0.2 * (alone.high - alone.low));
    g_assert_true (alone.low < alone.value && alone.value < alone.high);
  }
  g_assert_cmpuint (covered, >=, 174);
  g_assert_cmpuint (covered, <=, 199);
  g_assert_cmpuint (paired, >=, 174);
  g_assert_cmpuint (paired, <=, 199);
}

/* The bootstrap of a mean is nearly normal with deviation s / sqrt (n); 10 000 draws give the quantiles to about 2 % of the half width. */
static void
test_width (void)
{
  enum { N = 400 };
  double x[N], sum = 0, squares = 0, s;
  EvoInterval got;

  fill_normal (x, N, 5);
  for (guint i = 0; i < N; i++)
    sum += x[i];
  for (guint i = 0; i < N; i++)
    squares += (x[i] - sum / N) * (x[i] - sum / N);
  s = sqrt (squares / N / N);
  got = evo_bootstrap (NULL, NULL, x, 1, N, 9);
  g_assert_cmpfloat_with_epsilon (got.value, sum / N, 1e-15);
  g_assert_cmpfloat_with_epsilon (got.high - got.value, 1.96 * s, 0.08 * s);
  g_assert_cmpfloat_with_epsilon (got.value - got.low, 1.96 * s, 0.08 * s);
}

static double
ratio (gconstpointer data, const double *values, gsize n)
{
  double a = 0, b = 0;

  for (gsize i = 0; i < n; i++) {
    a += values[2 * i];
    b += values[2 * i + 1];
  }
  return b == 0 ? NAN : *(const double *) data * a / b;
}

static void
test_statistic (void)
{
  double scale = 10, same[] = { 1, 2, 2, 4, 3, 6 }, sparse[] = { 1, 0, 1, 0, 1, 1 }, never[] = { 1, 0, 1, 0 };
  EvoInterval constant = evo_bootstrap (ratio, &scale, same, 2, 3, 1), some = evo_bootstrap (ratio, &scale, sparse, 2, 3, 1);
  EvoInterval none = evo_bootstrap (ratio, &scale, never, 2, 2, 1);

  g_assert_true (constant.value == 5 && constant.low == 5 && constant.high == 5);
  g_assert_true (some.value == 30 && some.low == 10 && some.high == 30); /* denominators 3, 2, 1; none: left out */
  g_assert_true (isnan (none.value) && isnan (none.low) && isnan (none.high));
}

static void
test_ends (void)
{
  double one = 3, equal[] = { 2, 2, 2, 2 };
  EvoInterval none = evo_bootstrap (NULL, NULL, NULL, 1, 0, 1), single = evo_bootstrap (NULL, NULL, &one, 1, 1, 1);
  EvoInterval flat = evo_bootstrap (NULL, NULL, equal, 1, 4, 1), no_difference = evo_paired_bootstrap (NULL, NULL, equal, equal, 1, 4, 1);

  g_assert_true (isnan (none.value) && isnan (none.low) && isnan (none.high));
  g_assert_true (single.value == 3 && single.low == 3 && single.high == 3);
  g_assert_true (flat.value == 2 && flat.low == 2 && flat.high == 2);
  g_assert_true (no_difference.value == 0 && no_difference.low == 0 && no_difference.high == 0);
  g_assert_true (isnan (evo_paired_p (NULL, NULL, NULL, NULL, 1, 0, 1)));
  g_assert_cmpfloat (evo_paired_p (NULL, NULL, equal, equal, 1, 4, 1), ==, 1);
}

/* Pinned: the same seed gives the same interval tomorrow, another seed another. */
static void
test_seeded (void)
{
  double x[20], y[20];
  EvoInterval a, b, d;
  double p;
  gboolean differs = FALSE;

  fill_normal (x, 20, 11);
  fill_normal (y, 20, 12);
  a = evo_bootstrap (NULL, NULL, x, 1, 20, 42);
  b = evo_bootstrap (NULL, NULL, x, 1, 20, 42);
  d = evo_paired_bootstrap (NULL, NULL, x, y, 1, 20, 42);
  p = evo_paired_p (NULL, NULL, x, y, 1, 20, 42);
  g_assert_cmpmem (&a, sizeof a, &b, sizeof b);
  for (guint64 seed = 1; seed < 6; seed++) {
    EvoInterval other = evo_bootstrap (NULL, NULL, x, 1, 20, seed);

    differs |= other.low != a.low;
  }
  g_assert_true (differs);
  /* 1e-12: the normal numbers are made with libm's log and cos, whose last bits differ between machines */
  g_assert_cmpfloat_with_epsilon (a.low, -0.36778874986896498, 1e-12);
  g_assert_cmpfloat_with_epsilon (a.high, 0.66138229688411476, 1e-12);
  g_assert_cmpfloat_with_epsilon (d.low, -0.87095812361277114, 1e-12);
  g_assert_cmpfloat_with_epsilon (d.high, 0.6050375202421876, 1e-12);
  g_assert_cmpfloat_with_epsilon (p, 0.724, 1e-12);
}

/* p of a difference that is not there is uniform: below 0.05 in 5 % of cases, somewhat more for the short intervals of 40 items (about 6.5 %).
 * 200 tries: deviation 1.7 %. A large difference has the least p that 10 000 draws can show. */
static void
test_p (void)
{
  enum { SAMPLES = 200, N = 40 };
  double a[N], b[N], far[N];
  guint below = 0;

  for (guint i = 0; i < SAMPLES; i++) {
    double p;

    fill_normal (a, N, 1000 + 2 * i);
    fill_normal (b, N, 1001 + 2 * i);
    p = evo_paired_p (NULL, NULL, a, b, 1, N, i);
    g_assert_true (p >= 1e-4 && p <= 1);
    below += p < 0.05;
  }
  g_assert_cmpuint (below, >=, 2);
  g_assert_cmpuint (below, <=, 27);
  for (guint i = 0; i < N; i++)
    far[i] = a[i] + 10;
  g_assert_cmpfloat (evo_paired_p (NULL, NULL, a, far, 1, N, 3), ==, 1e-4);
  g_assert_cmpfloat (evo_paired_p (NULL, NULL, far, a, 1, N, 3), ==, 1e-4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/statistics/wilson", test_wilson);
  g_test_add_func ("/statistics/mcnemar", test_mcnemar);
  g_test_add_func ("/statistics/coverage", test_coverage);
  g_test_add_func ("/statistics/width", test_width);
  g_test_add_func ("/statistics/statistic", test_statistic);
  g_test_add_func ("/statistics/ends", test_ends);
  g_test_add_func ("/statistics/seeded", test_seeded);
  g_test_add_func ("/statistics/p", test_p);
  return g_test_run ();
}
