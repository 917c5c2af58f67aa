/* SPDX-License-Identifier: Apache-2.0
 * test-sums.c - the Stable Diffusion community's modes, crossover and Fisher averaging against their definitions in double.
 */
#include <string.h>

#include "core/kernels/kernels.h"
#include "tests/plugins/definitions-sums.h"
#include "tests/plugins/merge-ops.h"

typedef void (*Define) (const Drive *d, guint tensor, double *out, double *tolerance);

static const gint64 awkward[][5] = { /* n_dims, dims */
  { 1, 1 }, { 0 }, { 1, 0 }, { 2, 0, 3 }, { 1, 7 }, { 2, 3, 5 }, { 2, 1, 9 }, { 2, 9, 1 }, { 3, 3, 4, 5 }, { 4, 6, 5, 3, 3 }, { 1, 1025 }, { 1, 65537 },
  { 2, 400, 500 }
};

/* A tensor with models near one another; some weights are alike in two of them or in all. */
static void
add (Drive *d, guint shape, guint32 seed)
{
  DriveTensor *t = drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  for (gint64 j = 0; j < t->t.n; j++) {
    guint32 alike = g_rand_int (rand) % 16;
    float first = (float) g_rand_double_range (rand, -0.1, 0.1);

    for (guint e = 0; e < d->n_in; e++)
      t->in[e][j] = e <= alike % 4 && alike < 12 ? first : first + (float) g_rand_double_range (rand, -0.05, 0.05);
  }
}

static void
check (Drive *d, Define define)
{
  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < d->tensors->len; i++) {
    const DriveTensor *t = drive_get (d, i);
    g_autofree double *expected = g_new (double, MAX (t->t.n, 1)), *tolerance = g_new (double, MAX (t->t.n, 1));

    define (d, i, expected, tolerance);
    for (gint64 j = 0; j < t->t.n; j++)
      if (!(fabs (t->out[j] - expected[j]) <= tolerance[j]))
        g_error ("%s: element %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " is %.9g, not %.9g within %.3g", d->op->name, j, t->t.n, t->out[j],
                 expected[j], tolerance[j]);
  }
}

/* ------------------------------------------------------------------ three models */

static const double shares[][2] = { { 0.5, 0.25 }, { 0, 0 }, { 1, 1 }, { 1, 0 }, { 0.3, 0.9 }, { -0.7, 1.6 } }; /* alpha, beta */

static void
check_three (const char *operator, Define define)
{
  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint i = 0; i < G_N_ELEMENTS (shares); i++) {
      g_autoptr (Drive) d = drive_new (merge_ops_find (operator), evo_kernels_get (), 3, FALSE);

      add (d, shape, shape * 16 + i);
      drive_set (d, -1, "alpha", shares[i][0]);
      if (drive_find_param (d->op->params, "beta") != NULL)
        drive_set (d, -1, "beta", shares[i][1]);
      check (d, define);
    }
}

static void
test_three (void)
{
  check_three ("add-difference", define_add_difference);
  check_three ("sum-twice", define_sum_twice);
  check_three ("triple-sum", define_triple_sum);
  check_three ("train-difference", define_train_difference);
}

/* ------------------------------------------------------------------ cosine */

static void
test_cosine (void)
{
  static const char *const similarities[] = { "a", "a-column", "b" };
  static const double alphas[] = { 0, 0.5, 1, 0.1 };

  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint i = 0; i < 24; i++) {
      g_autoptr (Drive) d = drive_new (merge_ops_find ("cosine"), evo_kernels_get (), 2, FALSE);

      add (d, shape, shape * 24 + i);
      drive_set (d, -1, "alpha", alphas[i / 6]);
      drive_set_choice (d, -1, "range", "given");
      drive_set_choice (d, -1, "similarity", similarities[i % 3]);
      drive_set (d, -1, "low", i / 3 % 2 == 0 ? 0 : 0.8);
      drive_set (d, -1, "high", i / 3 % 2 == 0 ? 1 : 0.98);
      check (d, define_cosine);
    }
}

/* Zeros: of every model in a column, of one in a column, of one in a tensor. */
static void
add_zeros (Drive *d, guint shape, guint32 seed)
{
  DriveTensor *t;

  add (d, shape, seed);
  t = drive_get (d, d->tensors->len - 1);
  for (gint64 j = 0; j < t->t.n; j += 5)
    t->in[0][j] = t->in[1][j] = 0;
  for (gint64 j = 1; j < t->t.n; j += 5)
    t->in[1][j] = 0;
  add (d, shape, seed + 1);
  t = drive_get (d, d->tensors->len - 1);
  memset (t->in[seed % 2], 0, (gsize) t->t.n * sizeof (float));
}

/* Models of several tensors: 1 to 300 000 columns, where ranks are whole and where they are not. */
static void
test_cosine_model (void)
{
  static const char *const similarities[] = { "a", "a-column", "b" };
  static const double alphas[] = { 0, 0.5, 1, 0.1 };

  for (guint i = 0; i < 36; i++) {
    g_autoptr (Drive) d = drive_new (merge_ops_find ("cosine"), evo_kernels_get (), 2, FALSE);

    for (guint shape = i % 9; shape < G_N_ELEMENTS (awkward) - (i % 12 != 0); shape++)
      add (d, shape, i * 16 + shape);
    if (i % 4 == 1)
      add_zeros (d, 8, i);
    drive_set (d, -1, "alpha", alphas[i / 9]);
    drive_set_choice (d, -1, "similarity", similarities[i % 3]);
    check (d, define_cosine);
  }
}

/* Tensors that differ in how alike their models are: a range of each by itself would be another. */
static void
test_cosine_model_is_one (void)
{
  g_autoptr (Drive) d = drive_new (merge_ops_find ("cosine"), evo_kernels_get (), 2, FALSE), one = NULL;
  gsize n = (gsize) 400 * 500;

  add (d, 12, 1);
  add (d, 12, 2);
  for (gsize j = 0; j < n; j++)
    drive_get (d, 1)->in[1][j] = -drive_get (d, 1)->in[1][j];
  check (d, define_cosine);
  one = drive_new (d->op, d->k, 2, FALSE);
  add (one, 12, 1);
  check (one, define_cosine);
  g_assert_true (memcmp (drive_get (one, 0)->out, drive_get (d, 0)->out, n * sizeof (float)) != 0);
}

static void
fill_values (double *values, gsize n, guint how, GRand *rand)
{
  for (gsize i = 0; i < n; i++) {
    double x = g_rand_double_range (rand, -1, 1);

    values[i] = how == 0 ? x : how == 1 ? floor (x * 4) / 4 : how == 2 ? (x < 0.3 ? NAN : x) : how == 3 ? (x < 0 ? -0.0 : 0.0)
                : how == 4 ? x * 1e-300 : how == 5 ? (x < 0.97 ? -1 : x) : how == 6 ? (x > -0.97 ? 1 : x) : (double) i / (double) n;
  }
}

/* Figures are what numpy's percentiles leave, be they in the middle between two ranks or as far as the percentile is. */
static void
test_cosine_percentiles (void)
{
  static const gsize ns[] = { 0, 1, 2, 3, 49, 99, 100, 101, 102, 103, 199, 200, 201, 202, 203, 301, 1000, 1001, 10001, 12345 };
  const EvoMergeOp *op = merge_ops_find ("cosine");
  g_autoptr (GRand) rand = g_rand_new_with_seed (7);

  for (guint i = 0; i < 8 * G_N_ELEMENTS (ns); i++) {
    gsize n = ns[i / 8];
    g_autofree double *values = g_new (double, n + 1);
    double figures[2], low, high;

    fill_values (values, n, i % 8, rand);
    for (guint midpoint = 0; midpoint < 2; midpoint++) {
      g_autofree double *copy = g_memdup2 (values, (n + 1) * sizeof *values);

      define_range (values, n, midpoint == 1, &low, &high);
      g_assert_true (op->pool (copy, n, figures, NULL));
      if (isnan (low)) {
        g_assert_true (isnan (figures[0]) && isnan (figures[1]));
        continue;
      }
      g_assert_cmpfloat (figures[0], ==, low);
      g_assert_cmpfloat (figures[1], ==, high);
    }
  }
}

/* More columns than are measured: a sentence, not memory. */
static void
test_cosine_columns (void)
{
  static const gint64 dims[] = { 1, (1 << 22) + 1 };
  g_autoptr (Drive) d = drive_new (merge_ops_find ("cosine"), evo_kernels_get (), 2, FALSE);
  g_autoptr (GError) error = NULL;

  drive_add (d, 2, dims);
  g_assert_false (drive_run (d, &error));
  g_assert_cmpint (error->code, ==, EVO_PLUGIN_ERROR_SHAPE);
  g_assert_cmpstr (error->message, ==, "has 4194305 columns; cosine measures at most 4194304, another operator may do");
}

/* ------------------------------------------------------------------ crossover */

static void
test_crossover (void)
{
  static const double splits[] = { 0, 1e-6, 0.3, 0.5, 0.77, 1 }, places[] = { 0, 0.25, 0.5, 1, 1.2 };

  for (guint i = 0; i < G_N_ELEMENTS (splits) * G_N_ELEMENTS (places) * 2; i++) {
    g_autoptr (Drive) d = drive_new (merge_ops_find ("crossover"), evo_kernels_get (), 2, FALSE);

    for (guint shape = i % 7; shape < G_N_ELEMENTS (awkward) - (i % 4 == 0); shape++)
      add (d, shape, i * 16 + shape);
    drive_set (d, -1, "split", splits[i % G_N_ELEMENTS (splits)]);
    drive_set (d, -1, "t", places[i % G_N_ELEMENTS (places)]);
    drive_set_choice (d, -1, "angle", i / 30 == 0 ? "parts" : "model");
    check (d, define_crossover);
  }
}

/* ------------------------------------------------------------------ Fisher */

/* Values over many magnitudes, as squared gradients are, and zeros. */
static void
fill_fisher (Drive *d, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  for (guint s = 0; s < d->tensors->len; s++)
    for (guint i = 0; i < d->n_in; i++)
      for (gint64 j = 0; j < drive_get (d, s)->t.n; j++)
        drive_get (d, s)->aux[i][j] = g_rand_int (rand) % 3 == 0 ? 0 : (float) exp2 (-g_rand_double_range (rand, 0, 60));
}

static void
test_fisher (void)
{
  static const double floors[] = { 0, 1e-6, 1e-3 }, weights[] = { 1, 0.3, 0, 7 };

  for (guint i = 0; i < 36; i++) {
    g_autoptr (Drive) d = drive_new (merge_ops_find ("fisher"), evo_kernels_get (), 1 + i % 4, FALSE);

    for (guint shape = i % 5; shape < G_N_ELEMENTS (awkward) - (i % 3 == 0); shape++)
      add (d, shape, i * 16 + shape);
    fill_fisher (d, i);
    for (guint e = 0; e < d->n_in && i % 2 == 0; e++)
      drive_set (d, (gint) e, "weight", weights[(e + i / 2) % 4]);
    drive_set (d, -1, "floor", floors[i % 3]);
    drive_set_choice (d, -1, "floored", i / 6 % 2 == 0 ? "first" : "all");
    drive_set_choice (d, -1, "norm", i / 12 % 2 == 0 ? "none" : "model");
    check (d, define_fisher);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sums/three-models", test_three);
  g_test_add_func ("/sums/cosine", test_cosine);
  g_test_add_func ("/sums/cosine-model", test_cosine_model);
  g_test_add_func ("/sums/cosine-model-is-one", test_cosine_model_is_one);
  g_test_add_func ("/sums/cosine-percentiles", test_cosine_percentiles);
  g_test_add_func ("/sums/cosine-columns", test_cosine_columns);
  g_test_add_func ("/sums/crossover", test_crossover);
  g_test_add_func ("/sums/fisher", test_fisher);
  return g_test_run ();
}
