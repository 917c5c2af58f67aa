/* SPDX-License-Identifier: Apache-2.0
 * test-gram.c - operators on lengths, angles and distances against their definitions, at small, wide and opposite angles.
 */
#include <float.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/kernels/ref/explog.h"
#include "tests/plugins/definitions-gram.h"
#include "tests/plugins/merge-ops.h"

typedef void (*Define) (const Drive *d, guint tensor, double *out, double *tolerance);

static const gint64 awkward[][5] = { /* n_dims, dims */
  { 1, 1 }, { 0 }, { 1, 0 }, { 2, 0, 3 }, { 2, 3, 0 }, { 1, 7 }, { 2, 3, 5 }, { 2, 1, 9 }, { 2, 9, 1 }, { 3, 3, 4, 5 }, { 4, 6, 5, 3, 3 }, { 1, 1025 },
  { 1, 65537 }, { 2, 300, 250 }
};

/* Models that differ from the base by `spread` of its own size; those before n_alike by the same. */
static void
fill (Drive *d, guint32 seed, double spread, guint n_alike)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  for (guint s = 0; s < d->tensors->len; s++) {
    DriveTensor *t = drive_get (d, s);

    for (gint64 j = 0; j < t->t.n; j++) {
      float base = (float) g_rand_double_range (rand, -0.1, 0.1);

      if (t->base != NULL)
        t->base[j] = base;
      for (guint e = 0; e < d->n_in; e++)
        t->in[e][j] = e > 0 && e < n_alike ? t->in[0][j] : base + (float) (spread * g_rand_double_range (rand, -0.08, 0.12));
    }
  }
}

static Drive *
make (const char *operator, guint n_in, gboolean has_base, guint shape)
{
  Drive *d = drive_new (merge_ops_find (operator), evo_kernels_get (), n_in, has_base);

  drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1);
  return d;
}

static void
set_weights (Drive *d, guint from)
{
  static const double weights[] = { 0.75, 0.3, 1.6, 0.05, 1 };

  for (guint i = 0; i < d->n_in; i++)
    drive_set (d, (gint) i, "weight", weights[(from + i) % 5]);
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

/* ------------------------------------------------------------------ spheres */

/* The second model (its change, with a base) is the first turned in the plane of neighbouring pairs. */
static void
turn (DriveTensor *t, double angle)
{
  for (gint64 j = 0; j + 1 < t->t.n; j += 2) {
    double a = t->base == NULL ? 0 : t->base[j], b = t->base == NULL ? 0 : t->base[j + 1], x = t->in[0][j] - a, y = t->in[0][j + 1] - b;

    t->in[1][j] = (float) (a + cos (angle) * x - sin (angle) * y);
    t->in[1][j + 1] = (float) (b + sin (angle) * x + cos (angle) * y);
  }
}

static void
test_nuslerp (void)
{
  static const double angles[] = { 0, 1e-3, 0.03, 1, G_PI_2, 3, G_PI - 1e-3 }, weights[][2] = { { 1, 1 }, { 0.7, 0.5 }, { 0, 2 }, { 1.4, -0.4 }, { -0.5, 0.5 } };
  static const char *const scopes[] = { "tensor", "row", "column" };

  for (guint i = 0; i < 6 * G_N_ELEMENTS (angles) * G_N_ELEMENTS (awkward); i++) {
    guint shape = i / (6 * G_N_ELEMENTS (angles));
    g_autoptr (Drive) d = make ("nuslerp", 2, i / 3 % 2 == 1, shape);

    fill (d, i, 0.3, 0);
    if (drive_get (d, 0)->t.n_cols % 2 == 0 && i / 6 % G_N_ELEMENTS (angles) != 6)
      turn (drive_get (d, 0), angles[i / 6 % G_N_ELEMENTS (angles)]);
    drive_set_choice (d, -1, "scope", scopes[i % 3]);
    for (gint e = 0; e < 2; e++)
      drive_set (d, e, "weight", weights[i / 6 % G_N_ELEMENTS (weights)][e]);
    check (d, define_nuslerp);
  }
}

/* Opposite and parallel vectors, and zero ones, have no arc: exactly wa a + wb b in every scope. */
static void
test_nuslerp_flat (void)
{
  static const char *const scopes[] = { "tensor", "row", "column" };
  static const float factors[] = { -1, 0, 1, 2, -4 };

  for (guint i = 0; i < 3 * G_N_ELEMENTS (factors); i++) {
    g_autoptr (Drive) d = make ("nuslerp", 2, FALSE, 6);
    DriveTensor *t = drive_get (d, 0);

    fill (d, i, 1, 0);
    for (gint64 j = 0; j < t->t.n; j++)
      t->in[1][j] = factors[i / 3] * t->in[0][j];
    drive_set_choice (d, -1, "scope", scopes[i % 3]);
    g_assert_true (drive_run (d, NULL));
    for (gint64 j = 0; j < t->t.n; j++)
      g_assert_cmpfloat (t->out[j], ==, 0.5f * (1 + factors[i / 3]) * t->in[0][j]);
  }
}

static void
test_means (void)
{
  static const double spreads[] = { 1, 0.1, 1e-4 };

  for (guint i = 0; i < 24 * G_N_ELEMENTS (awkward); i++) {
    guint shape = i / 24, n_in = 1 + (i + shape) % 5;
    gboolean karcher = i % 2, has_base = i / 12 % 2;
    g_autoptr (Drive) d = make (karcher ? "karcher" : "multislerp", n_in, has_base, shape);

    fill (d, i, spreads[i / 2 % 3], i % 7 == 0 ? 2 : 0);
    if (i / 6 % 2 == 1)
      set_weights (d, i);
    if (!karcher && i % 4 == 0)
      drive_set (d, -1, "normalize", FALSE);
    check (d, karcher ? define_karcher : define_multislerp);
  }
}

/* Of three directions at right angles the centre is their sum; two that are opposite have none: their mean. */
static void
test_karcher_ends (void)
{
  static const gint64 three[] = { 3 };
  g_autoptr (Drive) d = drive_new (merge_ops_find ("karcher"), evo_kernels_get (), 3, FALSE);
  DriveTensor *t = drive_add (d, 1, three);

  for (guint i = 0; i < 3; i++)
    t->in[i][i] = 1 + (float) i;
  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (fabs (t->out[i] - 2 / sqrt (3)), <=, 4 * 0x1p-24);
  for (guint i = 0; i < 3; i++)
    memset (t->in[i], 0, 3 * sizeof (float));
  g_assert_true (drive_run (d, NULL));
  g_assert_cmpfloat (t->out[0], ==, 0);
  t->in[0][0] = 1;
  t->in[1][0] = -1;
  g_assert_true (drive_run (d, NULL));
  g_assert_cmpfloat (t->out[0], ==, 0);
}

/* ------------------------------------------------------------------ means of models */

static void
test_model_stock (void)
{
  static const double spreads[] = { 1, 0.01, 1e-5 };

  for (guint i = 0; i < 24 * G_N_ELEMENTS (awkward); i++) {
    g_autoptr (Drive) d = make ("model-stock", 2 + i % 3, TRUE, i / 24);

    fill (d, i, spreads[i / 6 % 3], i % 5 == 0 ? 2 : 0);
    drive_set_choice (d, -1, "scope", i % 2 == 0 ? "tensor" : "row");
    drive_set (d, -1, "floor", i / 2 % 2 == 0 ? 0 : 1e-6);
    check (d, define_model_stock);
  }
}

static void
test_geometric_median (void)
{
  static const guint shapes[] = { 5, 0, 2, 6, 1, 3, 10, 11 };
  static const double spreads[] = { 1, 0.01 };

  for (guint i = 0; i < 40; i++) {
    g_autoptr (Drive) d = drive_new (merge_ops_find ("geometric-median"), evo_kernels_get (), 1 + i % 5, FALSE);

    for (guint s = 0; s < G_N_ELEMENTS (shapes); s++)
      drive_add (d, (guint) awkward[shapes[s]][0], awkward[shapes[s]] + 1);
    fill (d, i, spreads[i / 2 % 2], i % 7 == 0 ? 2 : 0);
    drive_set_choice (d, -1, "scope", i % 2 == 0 ? "model" : "tensor");
    drive_set (d, -1, "max_iter", 50); /* alike, so that where it converges slowly both are at the same step */
    if (i % 3 == 0)
      set_weights (d, i);
    check (d, define_geometric_median);
  }
}

/* ------------------------------------------------------------------ by element */

static void
test_by_element (void)
{
  static const double ts[] = { 0, 1e-7, 1e-3, 1 }, scales[] = { 1, 0, -0.5, 1.3 };

  for (guint i = 0; i < 8 * G_N_ELEMENTS (awkward); i++) {
    g_autoptr (Drive) near = make ("nearswap", 1, TRUE, i / 8), pass = make ("passthrough", 1, FALSE, i / 8);

    fill (near, i, i % 3 == 0 ? 1e-5 : 0.1, 0);
    drive_set (near, -1, "t", ts[i % 4]);
    drive_set (near, -1, "floor", i / 4 % 2 == 0 ? 0 : 1e-6);
    check (near, define_nearswap);
    fill (pass, i, 1, 0);
    drive_set (pass, 0, "scale", scales[i % 4]);
    check (pass, define_passthrough);
  }
}

static void
test_arcee_fusion (void)
{
  static const double tails[] = { 1.5, 0, 0.3 };

  for (guint i = 0; i < 3 * G_N_ELEMENTS (awkward); i++) {
    g_autoptr (Drive) d = make ("arcee-fusion", 1, TRUE, i / 3);

    fill (d, i, 0.5, 0);
    drive_set (d, -1, "tail", tails[i % 3]);
    check (d, define_arcee_fusion);
  }
}

/* Against libm, whose own error is below one unit in the last place. */
static void
test_explog (void)
{
  for (double x = 0; x > -690; x = x * 1.003 - 1e-5)
    g_assert_cmpfloat (fabs (explog_exp (x) - exp (x)), <=, 3 * DBL_EPSILON * exp (x));
  g_assert_cmpfloat (explog_exp (-1e30), <, 1e-300);
  for (double x = 1e-300; x < 1e300; x *= 1.0417)
    g_assert_cmpfloat (fabs (explog_log (x) - log (x)), <=, 2 * DBL_EPSILON * (fabs (log (x)) + 0.3));
  for (double x = 0.5; x < 2; x += 0.000317)
    g_assert_cmpfloat (fabs (explog_log (x) - log (x)), <=, 3 * DBL_EPSILON * MAX (fabs (log (x)), fabs (x - 1)) + 2 * DBL_EPSILON * (x < 0.71 || x > 1.41));
  g_assert_cmpfloat (explog_exp (0), ==, 1);
  g_assert_cmpfloat (explog_log (1), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gram/nuslerp", test_nuslerp);
  g_test_add_func ("/gram/nuslerp-flat", test_nuslerp_flat);
  g_test_add_func ("/gram/means", test_means);
  g_test_add_func ("/gram/karcher-ends", test_karcher_ends);
  g_test_add_func ("/gram/model-stock", test_model_stock);
  g_test_add_func ("/gram/geometric-median", test_geometric_median);
  g_test_add_func ("/gram/by-element", test_by_element);
  g_test_add_func ("/gram/arcee-fusion", test_arcee_fusion);
  g_test_add_func ("/gram/explog", test_explog);
  return g_test_run ();
}
