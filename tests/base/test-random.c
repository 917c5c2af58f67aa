/* SPDX-License-Identifier: Apache-2.0
 * test-random.c - Philox against its published answers, and the numbers made of it: pinned, uniform, unbiased.
 */
#include <math.h>

#include "core/base/random.h"

enum { N = 200000 };

/* Philox4x32-10, known-answer vectors of Salmon et al.'s Random123: counter 0, key 0; the other rows by the same formula. */
static const guint64 digits_of_pi = G_GUINT64_CONSTANT (0x299f31d0a4093822);

static void
test_known (void)
{
  static const guint32 zero[] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
  static const guint32 pi[] = { 0x0e847852, 0xaddb136a, 0x59b5ba7a, 0x7062ac6b, 0xf9a58d27, 0xa8e41926,
                                0xf1a18f40, 0xb3702f6b, 0x658ae437, 0xd561d708, 0x1032d9e5, 0x68a994b0 };
  EvoRandom r;

  evo_random_init (&r, 0);
  for (guint i = 0; i < G_N_ELEMENTS (zero); i++)
    g_assert_cmphex (evo_random_u32 (&r), ==, zero[i]);
  evo_random_init (&r, digits_of_pi);
  for (guint i = 0; i < G_N_ELEMENTS (pi); i++)
    g_assert_cmphex (evo_random_u32 (&r), ==, pi[i]);
}

/* Values that journals and saved models depend on: they may never change. */
static void
test_pinned (void)
{
  static const gint64 shuffled[] = { 5, 9, 1, 0, 6, 3, 4, 2, 7, 8 };
  gint64 items[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
  EvoRandom r;

  evo_random_init (&r, digits_of_pi);
  g_assert_cmpfloat (evo_random_uniform (&r), ==, 0.056708831963856676);
  g_assert_cmpfloat (evo_random_uniform (&r), ==, 0.35042920579179315);
  g_assert_cmpfloat (evo_random_uniform (&r), ==, 0.9751823636842264);
  evo_random_init (&r, digits_of_pi);
  /* logarithm and cosine are the C library's, good to an ulp or so each */
  g_assert_cmpfloat_with_epsilon (evo_random_normal (&r), -0.20159242530485796, 1e-15);
  g_assert_cmpfloat_with_epsilon (evo_random_normal (&r), 2.551563100117264, 1e-14);
  g_assert_cmpfloat_with_epsilon (evo_random_normal (&r), 0.9268387732156611, 1e-15);
  evo_random_init (&r, digits_of_pi);
  evo_random_shuffle (&r, items, G_N_ELEMENTS (items));
  for (guint i = 0; i < G_N_ELEMENTS (items); i++)
    g_assert_cmpint (items[i], ==, shuffled[i]);
}

static void
test_mix (void)
{
  g_assert_cmphex (evo_random_mix (0, 0), ==, G_GUINT64_CONSTANT (0xe220a8397b1dcdaf)); /* splitmix64's first number */
  g_assert_cmphex (evo_random_mix (1, 2), ==, G_GUINT64_CONSTANT (0xf893a2eefb32555e));
  g_assert_cmphex (evo_random_mix (2, 1), ==, G_GUINT64_CONSTANT (0xbfc846100bfc1e42));
  g_assert_cmphex (evo_random_mix_text (7, "blend"), ==, G_GUINT64_CONSTANT (0x5714f7a53fddd740));
}

static void
test_copy (void)
{
  EvoRandom a, b;

  evo_random_init (&a, 5);
  for (guint i = 0; i < 7; i++)
    evo_random_u32 (&a);
  b = a;
  for (guint i = 0; i < 9; i++)
    g_assert_cmphex (evo_random_u32 (&a), ==, evo_random_u32 (&b));
}

/* Chi-squared of 64 cells: 63 degrees of freedom, mean 63, deviation 11.2; the seed is fixed, so five deviations never fail by chance. */
static void
test_uniform (void)
{
  guint cells[64] = { 0 };
  double chi = 0, sum = 0;
  EvoRandom r;

  evo_random_init (&r, 1);
  for (guint i = 0; i < N; i++) {
    double u = evo_random_uniform (&r);

    g_assert_true (u >= 0 && u < 1);
    cells[(guint) (u * 64)]++;
    sum += u;
  }
  for (guint i = 0; i < 64; i++)
    chi += (cells[i] - N / 64.0) * (cells[i] - N / 64.0) / (N / 64.0);
  g_assert_cmpfloat (chi, <, 63 + 5 * 11.2);
  g_assert_cmpfloat (fabs (sum / N - 0.5), <, 5 * sqrt (1 / 12.0 / N));
}

/* Moments of N normals: mean within 5 / sqrt N, variance within 5 sqrt (2 / N), fourth moment 3 within 5 sqrt (96 / N). */
static void
test_normal (void)
{
  double m1 = 0, m2 = 0, m4 = 0;
  EvoRandom r;

  evo_random_init (&r, 2);
  for (guint i = 0; i < N; i++) {
    double x = evo_random_normal (&r);

    g_assert_true (isfinite (x));
    m1 += x / N;
    m2 += x * x / N;
    m4 += x * x * x * x / N;
  }
  g_assert_cmpfloat (fabs (m1), <, 5 / sqrt (N));
  g_assert_cmpfloat (fabs (m2 - 1), <, 5 * sqrt (2.0 / N));
  g_assert_cmpfloat (fabs (m4 - 3), <, 5 * sqrt (96.0 / N));
}

/* 3 * 2^30 is where a plain remainder is worst: the lowest third would come twice as often. */
static void
test_below (void)
{
  const guint32 n = 3u << 30;
  guint low = 0, faces[6] = { 0 };
  EvoRandom r;

  evo_random_init (&r, 3);
  for (guint i = 0; i < N; i++) {
    guint32 x = evo_random_below (&r, n);

    g_assert_cmpuint (x, <, n);
    low += x < n / 3;
    faces[evo_random_below (&r, 6)]++;
    g_assert_cmpuint (evo_random_below (&r, 1), ==, 0);
  }
  g_assert_cmpfloat (fabs (low / (double) N - 1 / 3.0), <, 5 * sqrt (2 / 9.0 / N));
  for (guint i = 0; i < 6; i++)
    g_assert_cmpfloat (fabs (faces[i] / (double) N - 1 / 6.0), <, 5 * sqrt (5 / 36.0 / N));
}

/* Each of 24 orders of four items comes equally often. */
static void
test_shuffle (void)
{
  guint orders[256] = { 0 }, seen = 0;
  EvoRandom r;

  evo_random_init (&r, 4);
  for (guint i = 0; i < 24000; i++) {
    gint64 items[] = { 0, 1, 2, 3 };

    evo_random_shuffle (&r, items, 4);
    orders[items[0] << 6 | items[1] << 4 | items[2] << 2 | items[3]]++;
  }
  for (guint i = 0; i < 256; i++)
    if (orders[i] > 0) {
      seen++;
      g_assert_cmpfloat (fabs (orders[i] - 1000.0), <, 5 * sqrt (1000));
    }
  g_assert_cmpuint (seen, ==, 24);
  evo_random_shuffle (&r, NULL, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/random/known", test_known);
  g_test_add_func ("/random/pinned", test_pinned);
  g_test_add_func ("/random/mix", test_mix);
  g_test_add_func ("/random/copy", test_copy);
  g_test_add_func ("/random/uniform", test_uniform);
  g_test_add_func ("/random/normal", test_normal);
  g_test_add_func ("/random/below", test_below);
  g_test_add_func ("/random/shuffle", test_shuffle);
  return g_test_run ();
}
