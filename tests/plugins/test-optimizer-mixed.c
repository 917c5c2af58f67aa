/* SPDX-License-Identifier: Apache-2.0
 * test-optimizer-mixed.c - optimizer.cma-es on whole numbers and choices: the margins hold, and problems on which rounding stalls are solved.
 */
#include "plugins/optimizer/choices.h"
#include "plugins/optimizer/margin.h"
#include "tests/plugins/test-optimizer.h"

enum { N_SEEDS = 20 };

/* --- the parts */

/* Relative 1e-11: the tail's own 1e-12 and erfc's argument, whose rounding is worth x^2 eps. */
static void
test_normal (void)
{
  for (double x = -8; x < 37; x += 0.0371) {
    double expected = erfc (x / G_SQRT2) / 2;

    g_assert_cmpfloat (fabs (normal_above (x) - expected), <=, 1e-11 * expected);
    g_assert_cmpfloat_with_epsilon (normal_quantile (expected), x, x < -5 ? 1e-2 : 1e-9); /* 1 - p has no digits for the far left */
  }
}

static double
round_to (const EvoDim *d, double x)
{
  return CLAMP (floor (x + 0.5), d->low, d->high);
}

/* Any mean and deviation, also far out and degenerate: alpha / 2 of the points leave the mean's value on either side, alpha where there is but
 * one; corrected again, nothing moves. */
static void
check_margin (const EvoDim *d, double mean, double deviation, double alpha)
{
  Coordinate at = space_coordinate (d, 0, 1.0 / 6);
  double m = mean, scale = 1, v, wide, value, above, below, least, m_again, scale_again;

  margin_correct (d, &at, alpha, deviation, &m, &scale);
  v = d->start + at.unit * m;
  wide = at.unit * deviation * scale;
  value = round_to (d, d->start + at.unit * mean);
  above = value == d->high ? 0 : erfc ((value + 0.5 - v) / wide / G_SQRT2) / 2;
  below = value == d->low ? 0 : erfc ((v - value + 0.5) / wide / G_SQRT2) / 2;
  least = value == d->low || value == d->high ? alpha : alpha / 2;
  /* the mean is a double near value: its rounding, in deviations, moves a tail by at most z times as much */
  least *= 1 - 1e-9 - 1e-14 * (1 + fabs (value) + fabs (d->start)) / wide;
  g_assert_true (isfinite (m) && isfinite (scale) && scale >= 1 - 1e-9);
  g_assert_true (value == d->high || above >= least);
  g_assert_true (value == d->low || below >= least);
  m_again = m;
  scale_again = scale;
  margin_correct (d, &at, alpha, deviation, &m_again, &scale_again);
  g_assert_cmpfloat (fabs (m_again - m), <=, 1e-9 * (1 + fabs (m)));
  g_assert_cmpfloat (fabs (scale_again / scale - 1), <=, 1e-8);
}

static void
test_margins (void)
{
  static const EvoDim dims[] = {
    { "bit", EVO_DIM_INTEGER, 0, 0, 1, 1, NAN },
    { "three", EVO_DIM_INTEGER, 0, -1, 1, 0, NAN },
    { "many", EVO_DIM_INTEGER, 0, -10, 10, 4, NAN },
    { "half", EVO_DIM_INTEGER, 0, 3, HUGE_VAL, 5, NAN },
    { "open", EVO_DIM_INTEGER, 0, -HUGE_VAL, HUGE_VAL, -7, 0.3 },
  };
  Random r;

  random_init (&r, 21);
  for (guint i = 0; i < 20000; i++) {
    const EvoDim *d = &dims[i % G_N_ELEMENTS (dims)];
    double span = isfinite (d->high - d->low) ? 1 : 20, alpha = 1 / (2.0 + floor (1000 * random_uniform (&r)));

    check_margin (d, span * (2 * random_uniform (&r) - 1), pow (10, -8 * random_uniform (&r)), alpha);
  }
}

/* Any ranking, for ever: probabilities sum to 1, none falls below its margin, which is above 1 / (n lambda). */
static void
test_choice_margins (void)
{
  EvoDim dims[12];
  guint order[14], chosen[14 * 12], n_dims = G_N_ELEMENTS (dims), lambda = 14;
  double weight[7] = { 0.35, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05 };
  g_autoptr (GError) error = NULL;
  Choices c;
  Random r;
  Space space;

  for (guint i = 0; i < n_dims; i++)
    dims[i] = (EvoDim){ "c", EVO_DIM_CHOICE, 2 + i % 3, 0, 0, i % 2, i == 5 ? 0.9 : NAN };
  g_assert_true (space_init (&space, dims, n_dims, 1, &error));
  choices_init (&c, &space);
  choices_begin (&c, &space, TRUE);
  g_assert_cmpfloat (c.q[c.at[1].first + 1], ==, 0.5);
  g_assert_cmpfloat_with_epsilon (c.q[c.at[5].first + 1], 0.1, 1e-15);
  random_init (&r, 3);
  for (guint generation = 0; generation < 3000; generation++) {
    for (guint i = 0; i < lambda; i++) {
      choices_draw (&c, &r, chosen + i * n_dims);
      order[i] = generation < 1000 ? i : generation < 2000 ? lambda - 1 - i : (i * 5 + generation) % lambda;
    }
    if (generation < 500) /* all agree: as fast as it goes */
      memset (chosen, 0, sizeof chosen);
    choices_update (&c, weight, 7, order, chosen);
    for (guint i = 0; i < n_dims; i++) {
      double sum = 0;

      g_assert_cmpfloat (c.at[i].least, >, 1.0 / (n_dims * lambda));
      for (guint j = 0; j < c.at[i].n; j++) {
        g_assert_cmpfloat (c.q[c.at[i].first + j], >=, c.at[i].least * (1 - 1e-12));
        sum += c.q[c.at[i].first + j];
      }
      g_assert_cmpfloat_with_epsilon (sum, 1, 1e-12);
      if (generation == 499)
        g_assert_cmpfloat (c.q[c.at[i].first], >, 0.94); /* all but the margin of the others */
    }
  }
  choices_clear (&c);
  space_clear (&space);
}

/* --- problems on which rounding stalls; optimum 0 */

/* Bits x[0 .. n/2) and reals: bits count up to the first that is 0 (LeadingOnes of the paper), so that most of them say nothing for long. */
static double
leading_ones (const double *x, guint n)
{
  guint ones = 0;

  while (ones < n / 2 && floor (x[ones] + 0.5) == 1)
    ones++;
  return n / 2 - ones + sphere (x + n / 2, n - n / 2);
}

/* Whole numbers of low weight beside reals of high weight: the step size follows the reals and leaves the numbers behind. */
static double
reversed_ellipsoid (const double *x, guint n)
{
  double y[MOST_DIMS];

  for (guint i = 0; i < n; i++)
    y[i] = i < n / 2 ? floor (x[i] + 0.5) : x[i];
  return ellipsoid (y, n);
}

/* The same problem with its whole numbers declared as such, and as reals that the objective rounds. */
static void
check_stalls (const char *name, Objective f, gint low, gint high, gint start, double target, gint64 budget, guint least, guint most_plain)
{
  EvoDim whole[10], plain[10];
  CmaParams params = cma_defaults ();
  guint solved = 0, solved_plain = 0;

  fill_dims (whole, 10, EVO_DIM_REAL, -5, 5, 3, NAN);
  fill_dims (plain, 10, EVO_DIM_REAL, -5, 5, 3, NAN);
  fill_dims (whole, 5, EVO_DIM_INTEGER, low, high, start, NAN);
  fill_dims (plain, 5, EVO_DIM_REAL, low - 0.5, high + 0.5, start, NAN);
  for (guint seed = 0; seed < N_SEEDS; seed++) {
    solved += search (cma (), &params, f, whole, 10, seed, target, budget).best <= target;
    solved_plain += search (cma (), &params, f, plain, 10, seed, target, budget).best <= target;
  }
  g_test_message ("%s: %u of %d solved with the margin, %u by rounding", name, solved, N_SEEDS, solved_plain);
  g_assert_cmpuint (solved, >=, least);
  g_assert_cmpuint (solved_plain, <=, most_plain);
}

static void
test_stalls (void)
{
  check_stalls ("leading ones", leading_ones, 0, 1, 0, 1e-9, 20000, 18, 10);
  check_stalls ("reversed ellipsoid", reversed_ellipsoid, -10, 10, 7, 1e-9, 20000, 18, 10);
}

/* Sphere around 3 for whole numbers (first half) and 0.3 for reals. */
static double
mixed_sphere (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += i < n / 2 ? (x[i] - 3) * (x[i] - 3) : (x[i] - 0.3) * (x[i] - 0.3);
  return sum;
}

static void
test_integers (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  guint solved = 0;

  fill_dims (dims, 4, EVO_DIM_INTEGER, -10, 10, -5, NAN);
  fill_dims (dims + 4, 4, EVO_DIM_REAL, -10, 10, -5, NAN);
  for (guint seed = 0; seed < 10; seed++)
    solved += search (cma (), &params, mixed_sphere, dims, 8, seed, 1e-9, 8000).best <= 1e-9;
  g_assert_cmpuint (solved, ==, 10);
  fill_dims (dims, 8, EVO_DIM_INTEGER, 0, 1, 0, NAN);     /* bits, and nothing else */
  for (guint i = 0; i < 8; i++)
    dims[i].start = i % 2;
  g_assert_cmpfloat (search (cma (), &params, sphere, dims, 8, 1, 0, 2000).best, ==, 0);
  fill_dims (dims, 3, EVO_DIM_INTEGER, -HUGE_VAL, HUGE_VAL, 2000, NAN);
  dims[1].sigma = 50;
  dims[2].high = 3000;
  g_assert_cmpfloat (search (cma (), &params, sphere, dims, 3, 1, 0, 4000).best, ==, 0);
}

/* What the margin promises, seen from outside: long after bits and choices are settled, points still try the other values, at about the rate
 * promised, and the reals go on to converge. */
static double
settled (const double *x, guint n)
{
  return x[0] + (x[1] != 2) + sphere (x + 2, n - 2);
}

static void
test_still_tries (void)
{
  EvoDim dims[6];
  CmaParams params = cma_defaults ();
  guint n_tried[2] = { 0 }, n = 0, lambda = 9;
  gpointer self;
  double x[16][6];

  fill_dims (dims, 6, EVO_DIM_REAL, -5, 5, 3, NAN);
  dims[0] = (EvoDim){ "bit", EVO_DIM_INTEGER, 0, 0, 1, 1, NAN };
  dims[1] = (EvoDim){ "choice", EVO_DIM_CHOICE, 4, 0, 0, 0, NAN };
  self = cma ()->open (dims, 6, 1, &params, 8, evo_kernels_get (), NULL);
  for (gint64 trial = 0; trial < 1800;) {
    guint asked = 0;

    while (cma ()->ask (self, trial + asked, x[asked]) == EVO_ASKED_GIVEN)
      asked++;
    for (guint i = 0; i < asked; i++, trial++) {
      double loss = settled (x[i], 6);

      n += trial >= 900;
      n_tried[0] += trial >= 900 && x[i][0] != 0;
      n_tried[1] += trial >= 900 && x[i][1] != 2;
      cma ()->tell (self, x[i], &(EvoOutcome){ .trial = trial, .loss = &loss });
    }
  }
  cma ()->close (self);
  g_test_message ("settled: of %u points %u tried the other bit, %u another choice", n, n_tried[0], n_tried[1]);
  g_assert_cmpfloat (n_tried[0], >, n / (6.0 * lambda) / 2);   /* alpha = 1 / (n lambda) of the points, less 3 standard deviations */
  g_assert_cmpfloat (n_tried[0], <, n / 4.0);
  g_assert_cmpfloat (n_tried[1], >, 0.2 * n);                  /* 27 % for a single choice */
  g_assert_cmpfloat (n_tried[1], <, 0.35 * n);
}

/* --- choices */

/* Two choices that matter (right ones: 2 and 0) and two reals. */
static double
with_choices (const double *x, guint n)
{
  return (x[0] != 2) + 0.5 * (x[1] != 0) + (x[2] - 0.7) * (x[2] - 0.7) + (x[3] - 0.2) * (x[3] - 0.2);
}

/* Six choices of seven each; what lies beside the best (3) is worst, what lies at the ends is second best: an order misleads. */
static double
without_order (const double *x, guint n)
{
  static const double cost[] = { 1, 2, 3, 0, 3, 2, 1 };
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += cost[(guint) floor (x[i] + 0.5)];
  return sum;
}

static void
test_choices (void)
{
  EvoDim dims[] = { { "a", EVO_DIM_CHOICE, 5, 0, 0, 0, NAN }, { "b", EVO_DIM_CHOICE, 3, 0, 0, 2, NAN },
                    { "c", EVO_DIM_REAL, 0, 0, 1, 0.5, NAN }, { "d", EVO_DIM_REAL, 0, 0, 1, 0.5, NAN } };
  EvoDim choices[6], numbers[6];
  CmaParams params = cma_defaults ();
  guint solved = 0, by_choice = 0, by_number = 0;

  fill_dims (numbers, 6, EVO_DIM_INTEGER, 0, 6, 0, NAN);
  for (guint i = 0; i < 6; i++)
    choices[i] = (EvoDim){ "c", EVO_DIM_CHOICE, 7, 0, 6, 0, NAN };
  for (guint seed = 0; seed < N_SEEDS; seed++) {
    solved += search (cma (), &params, with_choices, dims, 4, seed, 1e-6, 5000).best <= 1e-6;
    by_choice += search (cma (), &params, without_order, choices, 6, seed, 0, 3000).best <= 0;
    by_number += search (cma (), &params, without_order, numbers, 6, seed, 0, 3000).best <= 0;
  }
  g_test_message ("choices and reals: %u of %d; without order: %u as choices, %u as whole numbers", solved, N_SEEDS, by_choice, by_number);
  g_assert_cmpuint (solved, ==, N_SEEDS);
  g_assert_cmpuint (by_choice, ==, N_SEEDS);
  g_assert_cmpuint (by_number, <=, N_SEEDS / 4);
}

/* --- all together */

/* Reals whose optimum depends on a whole number and on a choice. */
static double
all_kinds (const double *x, guint n)
{
  static const double shift[] = { 0.6, 0.4, 0.5, 0.55 };
  double sum = (x[0] - 4) * (x[0] - 4) + (x[1] + 2) * (x[1] + 2) + 2 * (x[2] != 2) + (x[3] != 1);

  for (guint i = 4; i < n; i++)
    sum += (x[i] - shift[(guint) x[2]]) * (x[i] - shift[(guint) x[2]]) * (1 + 9 * (i % 2)) + 0.1 * fabs (x[i] - 0.5) * fabs (x[0] - 4);
  return sum;
}

static void
test_all_kinds (void)
{
  static const char *const names[] = { "auto", "full", "diagonal", "active" };
  EvoDim dims[10];

  fill_dims (dims, 10, EVO_DIM_REAL, -5, 5, -3, NAN);
  dims[0] = (EvoDim){ "a", EVO_DIM_INTEGER, 0, -8, 8, 0, NAN };
  dims[1] = (EvoDim){ "b", EVO_DIM_INTEGER, 0, -HUGE_VAL, HUGE_VAL, 3, 2 };
  dims[2] = (EvoDim){ "c", EVO_DIM_CHOICE, 4, 0, 0, 0, NAN };
  dims[3] = (EvoDim){ "d", EVO_DIM_CHOICE, 2, 0, 0, 0, NAN };
  dims[9].low = -HUGE_VAL;
  dims[9].high = HUGE_VAL;
  for (guint kind = 0; kind < 4; kind++) {
    CmaParams params = cma_defaults ();
    guint solved = 0;

    params.covariance = kind % 3;
    params.active = kind == 3;
    for (guint seed = 0; seed < N_SEEDS; seed++)
      solved += search (cma (), &params, all_kinds, dims, 10, seed, 1e-9, 10000).best <= 1e-9;
    g_test_message ("reals, whole numbers, choices, %s: %u of %d", names[kind], solved, N_SEEDS);
    g_assert_cmpuint (solved, >=, N_SEEDS - 2);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/optimizer/normal", test_normal);
  g_test_add_func ("/optimizer/margins", test_margins);
  g_test_add_func ("/optimizer/choice-margins", test_choice_margins);
  g_test_add_func ("/optimizer/cma-es/stalls", test_stalls);
  g_test_add_func ("/optimizer/cma-es/integers", test_integers);
  g_test_add_func ("/optimizer/cma-es/still-tries", test_still_tries);
  g_test_add_func ("/optimizer/cma-es/choices", test_choices);
  g_test_add_func ("/optimizer/cma-es/all-kinds", test_all_kinds);
  return g_test_run ();
}
