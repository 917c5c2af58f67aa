/* SPDX-License-Identifier: Apache-2.0
 * test-spectral.c - operators on singular directions and RegMean against their definitions in double, and what the papers promise of them.
 */
#include <float.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "tests/plugins/definitions-spectral.h"
#include "tests/plugins/merge-ops.h"

typedef void (*Define) (const Drive *d, guint tensor, double *out, double *tolerance);
typedef enum { RANDOM, ALIKE, OPPOSED, UNCHANGED, ONE_CHANGED, LOW_RANK, N_KINDS } Kind;

static const gint64 awkward[][5] = { /* n_dims, dims */
  { 1, 1 }, { 0 }, { 1, 0 }, { 2, 0, 3 }, { 2, 1, 1 }, { 1, 7 }, { 2, 1, 9 }, { 2, 9, 1 }, { 2, 12, 17 }, { 2, 17, 12 }, { 2, 16, 16 },
  { 3, 3, 5, 4 }, { 4, 6, 3, 2, 2 }, { 4, 1, 1, 3, 3 }, { 2, 40, 31 }
};

static float
random_change (GRand *rand)
{
  return (float) (g_rand_double_range (rand, -1, 1) * g_rand_double (rand)) * 0.05f;
}

/* Multiples of 2^-9 where changes have to be exact in fp32: opposed ones cancel, those of low rank have it. */
static void
fill (DriveTensor *t, guint n_in, Kind kind, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  gint64 n_cols = MAX (t->t.n_cols, 1);
  gint left[64], right[64];

  for (guint i = 0; i < 64; i++) {
    left[i] = g_rand_int_range (rand, 1, 6);
    right[i] = g_rand_int_range (rand, -5, 6);
  }
  for (gint64 j = 0; j < t->t.n; j++) {
    float base = 0x1p-9f * (float) g_rand_int_range (rand, -60, 61), change = random_change (rand);
    gboolean exact = kind == OPPOSED || kind == LOW_RANK;

    if (t->base != NULL)
      t->base[j] = base;
    if (exact)
      change = 0x1p-9f * (float) g_rand_int_range (rand, -40, 41);
    for (guint i = 0; i < n_in; i++) {
      float own = kind == RANDOM ? random_change (rand) : change;

      if (kind == OPPOSED)
        own = i % 2 == 0 ? change : -change;
      if (kind == LOW_RANK)
        own = 0x1p-9f * (float) (left[(j / n_cols + i) % 64] * right[(j % n_cols) % 64] +
                                 (i > 0) * left[(j % n_cols + 9) % 64] * right[(j / n_cols + 5) % 64]);
      if (kind == UNCHANGED || (kind == ONE_CHANGED && i > 0))
        own = 0;
      t->in[i][j] = base + own;
    }
  }
}

static void
check (Drive *d, Define define, const char *what)
{
  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < d->tensors->len; i++) {
    const DriveTensor *t = drive_get (d, i);
    g_autofree double *expected = g_new (double, MAX (t->t.n, 1)), *tolerance = g_new (double, MAX (t->t.n, 1));

    define (d, i, expected, tolerance);
    for (gint64 j = 0; j < t->t.n; j++)
      if (!(fabs (t->out[j] - expected[j]) <= tolerance[j]))
        g_error ("%s of %s: element %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " (%u dimensions) is %.9g, not %.9g within %.3g", d->op->name, what, j,
                 t->t.n, t->t.n_dims, t->out[j], expected[j], tolerance[j]);
  }
}

static Drive *
make (const char *operator, guint n_in, guint shape, Kind kind, guint32 seed)
{
  Drive *d = drive_new (merge_ops_find (operator), evo_kernels_get (), n_in, TRUE);

  fill (drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1), n_in, kind, seed);
  return d;
}

static void
set_weights (Drive *d, guint from)
{
  static const double weights[] = { 0.75, -0.5, 1.5, 1, 0.25 };

  for (guint i = 0; i < d->n_in && from % 3 != 0; i++)
    drive_set (d, (gint) i, "weight", weights[(i + from) % 5]);
}

/* A tenth of the calls have vocabularies: matrices longer than `largest`. */
static void
set_common (Drive *d, guint i)
{
  static const double lambdas[] = { 1, 1.5, -0.5, 0 };

  set_weights (d, i);
  drive_set (d, -1, "lambda", lambdas[i % 4]);
  if (i % 10 == 9)
    drive_set (d, -1, "largest", 16);
}

static const char *const kinds[] = { "random changes", "like changes", "opposed changes", "no change", "one change", "changes of low rank" };
static const double shares[] = { 1, 0.5, 0.34, 0, 0.8, 0.03 };

static void
for_all (const char *operator, Define define, void (*set) (Drive *d, guint i), guint n)
{
  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (Kind kind = RANDOM; kind < N_KINDS; kind++)
      for (guint i = 0; i < n; i++) {
        g_autoptr (Drive) d = make (operator, 1 + (i + kind + shape) % 4, shape, kind, shape * 100 + i);

        set_common (d, i + shape);
        if (set != NULL)
          set (d, i);
        check (d, define, kinds[kind]);
      }
}

/* ------------------------------------------------------------------ definitions */

static void
set_svd_truncate (Drive *d, guint i)
{
  for (guint e = 0; e < d->n_in; e++) {
    drive_set (d, (gint) e, "rank", shares[(i + e) % 6]);
    drive_set (d, (gint) e, "energy", i % 2 == 0 ? 1 : shares[(i / 2 + e) % 6]);
  }
  if (i % 5 == 0)
    for (guint e = 0; e < d->n_in; e++)
      drive_set (d, (gint) e, "weight", 0.5 + 0.25 * e);
  drive_set (d, -1, "normalize", i % 5 == 0);
}

static void
set_iso_cts (Drive *d, guint i)
{
  drive_set (d, -1, "common", shares[i % 6]);
}

static void
set_tsv (Drive *d, guint i)
{
  static const double ranks[] = { 1, 0.5, 2, 1, 0, 1.3 };

  for (guint e = 0; e < d->n_in && i % 2 == 1; e++)
    drive_set (d, (gint) e, "rank", ranks[(i + e) % 6]);
}

static void
test_svd_truncate (void)
{
  for_all ("svd-truncate", define_svd_truncate, set_svd_truncate, 12);
}

static void
test_iso_c (void)
{
  for_all ("iso-c", define_iso_c, NULL, 6);
}

static void
test_iso_cts (void)
{
  for_all ("iso-cts", define_iso_cts, set_iso_cts, 12);
}

static void
test_tsv (void)
{
  for_all ("tsv", define_tsv, set_tsv, 8);
}

/* ------------------------------------------------------------------ what the papers promise */

/* The change an operator made, where the base is zero. */
static Svd
spectrum (const Drive *d)
{
  const DriveTensor *t = drive_get (d, 0);
  g_autofree double *x = g_new (double, t->t.n);

  for (gint64 j = 0; j < t->t.n; j++)
    x[j] = t->out[j];
  return define_svd (x, (gsize) t->t.n_rows, (gsize) t->t.n_cols);
}

static void
clear_base (Drive *d)
{
  DriveTensor *t = drive_get (d, 0);

  for (gint64 j = 0; j < t->t.n; j++) {
    for (guint i = 0; i < d->n_in; i++)
      t->in[i][j] -= t->base[j];
    t->base[j] = 0;
  }
}

/* No direction is stronger than another, and together they are as strong as before (Iso-C: the mean). fp32: 1e-6 of the largest. */
static void
test_isotropic (void)
{
  static const char *const operators[] = { "iso-c", "iso-cts" };

  for (guint i = 0; i < 2; i++)
    for (guint shape = 8; shape < 11; shape++) {
      g_autoptr (Drive) d = make (operators[i], 3, shape, RANDOM, shape);

      clear_base (d);
      g_assert_true (drive_run (d, NULL));
      g_auto (Svd) s = spectrum (d);
      g_assert_cmpuint (s.r, >=, 12);
      for (gsize k = 1; k < s.r; k++)
        g_assert_cmpfloat (fabs (s.s[k] - s.s[0]), <=, 1e-6 * s.s[0]);
      if (i == 0) {
        const DriveTensor *t = drive_get (d, 0);
        g_autofree double *sum = g_new0 (double, t->t.n);
        double mean = 0;

        for (gint64 j = 0; j < t->t.n; j++)
          for (guint e = 0; e < 3; e++)
            sum[j] += t->in[e][j];
        g_auto (Svd) before = define_svd (sum, s.m, s.n);
        for (gsize k = 0; k < s.r; k++)
          mean += before.s[k] / (double) s.r;
        g_assert_cmpfloat (fabs (mean - s.s[0]), <=, 1e-6 * mean);
      }
    }
}

static void
assert_near (const DriveTensor *a, const DriveTensor *b, double within)
{
  double largest = 0;

  for (gint64 j = 0; j < a->t.n; j++)
    largest = MAX (largest, fabs (b->out[j]));
  for (gint64 j = 0; j < a->t.n; j++)
    g_assert_cmpfloat (fabs ((double) a->out[j] - b->out[j]), <=, within * largest);
}

/* One model: its own leading directions. Equal models: the same, of r / T directions. Both are svd-truncate's. */
static void
test_tsv_alone (void)
{
  for (guint n_in = 1; n_in <= 2; n_in++) {
    g_autoptr (Drive) tsv = make ("tsv", n_in, 10, ALIKE, 5), cut = make ("svd-truncate", 1, 10, ALIKE, 5);

    memcpy (drive_get (cut, 0)->in[0], drive_get (tsv, 0)->in[0], 256 * sizeof (float));
    if (n_in == 1)
      drive_set (tsv, 0, "rank", 0.5);
    drive_set (cut, 0, "rank", 0.5);
    g_assert_true (drive_run (tsv, NULL) && drive_run (cut, NULL));
    assert_near (drive_get (tsv, 0), drive_get (cut, 0), 2 * FLT_EPSILON); /* two roundings to fp32 of results 1e-8 apart */
  }
}

/* The directions of the merged models do not interfere: each keeps its singular values. */
static void
test_tsv_orthogonal (void)
{
  g_autoptr (Drive) d = make ("tsv", 2, 9, RANDOM, 6);
  double expected[12];
  guint n = 0;

  clear_base (d);
  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < 2; i++) {
    const DriveTensor *t = drive_get (d, 0);
    g_autofree double *x = g_new (double, t->t.n);

    for (gint64 j = 0; j < t->t.n; j++)
      x[j] = t->in[i][j];
    g_auto (Svd) s = define_svd (x, 17, 12);
    for (guint k = 0; k < 6; k++)
      expected[n++] = s.s[k];
  }
  g_auto (Svd) merged = spectrum (d);
  for (guint k = 0; k < 12; k++) {
    double nearest = HUGE_VAL;

    for (guint i = 0; i < 12; i++)
      nearest = MIN (nearest, fabs (merged.s[i] - expected[k]));
    g_assert_cmpfloat (nearest, <=, 1e-6 * merged.s[0]);
  }
}

static void
test_untruncated (void)
{
  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++) {
    g_autoptr (Drive) cut = make ("svd-truncate", 3, shape, RANDOM, shape), plain = make ("task-arithmetic", 3, shape, RANDOM, shape);

    set_weights (cut, 1);
    set_weights (plain, 1);
    g_assert_true (drive_run (cut, NULL) && drive_run (plain, NULL));
    assert_near (drive_get (cut, 0), drive_get (plain, 0), 8 * FLT_EPSILON); /* task-arithmetic rounds after every model */
  }
}

/* A whole rank share by squares: eigenvectors find the same as the SVD, from the first direction to the last but one. */
static void
test_best_approximation (void)
{
  for (guint k = 1; k < 12; k++) {
    g_autoptr (Drive) d = make ("svd-truncate", 1, 8, RANDOM, 77);
    const DriveTensor *t = drive_get (d, 0);
    double lost = 0, left = 0;

    clear_base (d);
    drive_set (d, 0, "rank", k / 12.0);
    g_assert_true (drive_run (d, NULL));
    g_autofree double *x = g_new (double, t->t.n);
    for (gint64 j = 0; j < t->t.n; j++) {
      x[j] = t->in[0][j];
      lost += (x[j] - t->out[j]) * (x[j] - t->out[j]);
    }
    g_auto (Svd) s = define_svd (x, 12, 17);
    for (gsize i = k; i < 12; i++)
      left += s.s[i] * s.s[i];
    g_assert_cmpfloat (fabs (sqrt (lost) - sqrt (left)), <=, 1e-6 * s.s[0]); /* Eckart & Young */
  }
}

/* Models in another order give the same, but for one rounding of the result, which may be larger than what SYMMETRIC allows: it is not bounded by the
 * inputs element by element. */
static void
test_order (void)
{
  static const char *const operators[] = { "svd-truncate", "iso-c", "iso-cts", "tsv" };

  for (guint i = 0; i < G_N_ELEMENTS (operators); i++)
    for (guint shape = 8; shape < G_N_ELEMENTS (awkward); shape++) {
      g_autoptr (Drive) a = make (operators[i], 3, shape, RANDOM, shape), b = make (operators[i], 3, shape, RANDOM, shape);

      for (guint e = 0; e < 3; e++) {
        memcpy (drive_get (b, 0)->in[e], drive_get (a, 0)->in[(e + 1) % 3], (gsize) drive_get (a, 0)->t.n * sizeof (float));
        drive_set (a, (gint) e, "weight", 0.5 + (e + 1) % 3);
        drive_set (b, (gint) e, "weight", 0.5 + (e + 2) % 3);
        if (drive_find_param (a->op->in_params, "rank") != NULL) {
          drive_set (a, (gint) e, "rank", 0.3 + 0.2 * ((e + 1) % 3));
          drive_set (b, (gint) e, "rank", 0.3 + 0.2 * ((e + 2) % 3));
        }
      }
      g_assert_true (drive_run (a, NULL) && drive_run (b, NULL));
      assert_near (drive_get (a, 0), drive_get (b, 0), FLT_EPSILON);
    }
}

static void
test_too_many_weights (void)
{
  g_autoptr (Drive) d = make ("svd-truncate", 2, 8, RANDOM, 1);
  g_autoptr (GError) error = NULL;

  drive_set (d, 0, "weight", 1);
  drive_set (d, 1, "weight", -1);
  drive_set (d, -1, "normalize", TRUE);
  g_assert_false (drive_run (d, &error));
  g_assert_cmpint (error->code, ==, EVO_PLUGIN_ERROR_PARAM);
}

/* What is held in scratch is what the operators say: a few matrices of doubles. */
static void
test_scratch (void)
{
  static const struct { const char *name; double matrices; } said[] = { { "svd-truncate", 5.1 }, { "iso-c", 7.2 }, { "iso-cts", 9.2 }, { "tsv", 9.2 },
                                                                        { "regmean", 3.1 } };
  const EvoTensor t = { .n_dims = 2, .dims = { 2048, 2048 }, .n_rows = 2048, .n_cols = 2048, .n = 2048 * 2048 },
                  vocabulary = { .n_dims = 2, .dims = { 128256, 4096 }, .n_rows = 128256, .n_cols = 4096, .n = (gint64) 128256 * 4096 };

  for (guint i = 0; i < G_N_ELEMENTS (said); i++) {
    const EvoMergeOp *op = merge_ops_find (said[i].name);

    g_assert_cmpfloat ((double) op->scratch_bytes (&t, 3, (gsize) t.n) / (double) t.n / sizeof (double), <=, said[i].matrices);
    if (op->aux_shape == NULL)
      g_assert_cmpuint (op->scratch_bytes (&vocabulary, 3, (gsize) vocabulary.n), ==, 0);
  }
}

/* ------------------------------------------------------------------ regmean */

/* X^T X of `samples` inputs, in fp32 */
static void
set_gram (DriveTensor *t, guint i, guint samples, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  gsize n = (gsize) t->t.n_cols;
  g_autofree double *x = g_new (double, samples * n), *g = g_new0 (double, n * n);

  for (gsize j = 0; j < samples * n; j++)
    x[j] = g_rand_double_range (rand, -1, 1) * (1 + (double) (j % n % 4));
  for (gsize s = 0; s < samples; s++)
    for (gsize j = 0; j < n * n; j++)
      g[j] += x[s * n + j / n] * x[s * n + j % n];
  for (gsize j = 0; j < n * n; j++)
    t->aux[i][j] = (float) g[j];
}

static Drive *
make_regmean (guint n_in, guint shape, guint samples, guint32 seed)
{
  Drive *d = drive_new (merge_ops_find ("regmean"), evo_kernels_get (), n_in, FALSE);
  DriveTensor *t = drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1);

  fill (t, n_in, RANDOM, seed);
  for (guint i = 0; i < n_in && t->aux[0] != NULL; i++)
    set_gram (t, i, samples, seed + i);
  return d;
}

static void
test_regmean (void)
{
  static const double alphas[] = { 0.9, 1, 0, 0.5 };

  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint i = 0; i < 12; i++) {
      g_autoptr (Drive) d = make_regmean (1 + i % 4, shape, 80, i);

      drive_set (d, -1, "alpha", alphas[i / 3]);
      for (guint e = 0; e < d->n_in && i % 2 == 1; e++)
        drive_set (d, (gint) e, "weight", 0.25 + 0.5 * e);
      check (d, define_regmean, "random inputs");
    }
}

/* Least squares: the gradient sum w (W - W_i) G_i is zero, against the size of its terms; also where inputs are fewer than columns, and no inverse
 * exists. fp32 rounds W: n eps of the terms; a Gram matrix in fp32 has eigenvalues below the cut where there are none: its share 1e-7, in sqrt. */
static void
test_regmean_optimal (void)
{
  static const guint samples[] = { 100, 5 };

  for (guint i = 0; i < 2; i++) {
    g_autoptr (Drive) d = make_regmean (3, 8, samples[i], 9);
    const DriveTensor *t = drive_get (d, 0);
    gsize n = (gsize) t->t.n_cols;

    drive_set (d, -1, "alpha", 1);
    g_assert_true (drive_run (d, NULL));
    for (gsize r = 0; r < (gsize) t->t.n_rows; r++)
      for (gsize c = 0; c < n; c++) {
        double gradient = 0, size = 0;

        for (guint e = 0; e < 3; e++)
          for (gsize k = 0; k < n; k++) {
            double term = ((double) t->out[r * n + k] - t->in[e][r * n + k]) * t->aux[e][k * n + c];

            gradient += term;
            size += fabs (term);
          }
        g_assert_cmpfloat (fabs (gradient), <=, 1e-6 * size);
      }
  }
}

static void
assert_mean (const DriveTensor *t, guint n_in)
{
  for (gint64 j = 0; j < t->t.n; j++) {
    double mean = 0;

    for (guint e = 0; e < n_in; e++)
      mean += t->in[e][j] / (double) n_in;
    g_assert_cmpfloat (fabs (t->out[j] - mean), <=, FLT_EPSILON * fabs (mean) + 1e-12);
  }
}

/* Equal Gram matrices, none, and those of inputs that never come: the mean. */
static void
test_regmean_mean (void)
{
  for (guint how = 0; how < 3; how++) {
    g_autoptr (Drive) d = make_regmean (3, 8, 40, 3);
    DriveTensor *t = drive_get (d, 0);

    for (guint e = 0; e < 3; e++) {
      if (how == 0)
        set_gram (t, e, 40, 11);
      else if (how == 1)
        memset (t->aux[e], 0, t->aux_n * sizeof (float));
      else
        g_clear_pointer (&t->aux[e], g_free);
    }
    g_assert_true (drive_run (d, NULL));
    assert_mean (t, 3);
  }
}

static void
test_regmean_partly (void)
{
  g_autoptr (Drive) d = make_regmean (2, 8, 40, 3);
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&drive_get (d, 0)->aux[1], g_free);
  g_assert_false (drive_run (d, &error));
  g_assert_cmpint (error->code, ==, EVO_PLUGIN_ERROR_FILE);
  g_assert_cmpstr (error->message, ==, "input 1 has no Gram matrix of it and another has; all need one, or none");
}

/* Beyond double's range: what the decomposition says of it is what the other operators say. */
static void
test_regmean_infinite (void)
{
  g_autoptr (Drive) d = make_regmean (2, 8, 40, 3);
  g_autoptr (GError) error = NULL;
  DriveTensor *t = drive_get (d, 0);

  for (gsize j = 0; j < t->aux_n; j++)
    t->aux[0][j] *= 1e30f;
  drive_set (d, 0, "weight", 1e300);
  g_assert_false (drive_run (d, &error));
  g_assert_error (error, g_quark_from_string ("evo-plugin-error"), EVO_PLUGIN_ERROR_NUMERIC);
  g_assert_cmpstr (error->message, ==, "a matrix with a NaN or an infinity has no decomposition");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spectral/svd-truncate", test_svd_truncate);
  g_test_add_func ("/spectral/iso-c", test_iso_c);
  g_test_add_func ("/spectral/iso-cts", test_iso_cts);
  g_test_add_func ("/spectral/tsv", test_tsv);
  g_test_add_func ("/spectral/isotropic", test_isotropic);
  g_test_add_func ("/spectral/tsv-alone", test_tsv_alone);
  g_test_add_func ("/spectral/tsv-orthogonal", test_tsv_orthogonal);
  g_test_add_func ("/spectral/untruncated", test_untruncated);
  g_test_add_func ("/spectral/best-approximation", test_best_approximation);
  g_test_add_func ("/spectral/order", test_order);
  g_test_add_func ("/spectral/zero-weight", test_too_many_weights);
  g_test_add_func ("/spectral/scratch", test_scratch);
  g_test_add_func ("/spectral/regmean", test_regmean);
  g_test_add_func ("/spectral/regmean-optimal", test_regmean_optimal);
  g_test_add_func ("/spectral/regmean-mean", test_regmean_mean);
  g_test_add_func ("/spectral/regmean-partly", test_regmean_partly);
  g_test_add_func ("/spectral/regmean-infinite", test_regmean_infinite);
  return g_test_run ();
}
