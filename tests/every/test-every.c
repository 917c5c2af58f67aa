/* SPDX-License-Identifier: Apache-2.0
 * test-every.c - what every merge operator must hold, in a loop over all of them: its declarations, its algebra, the same bits everywhere.
 */
#include <float.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "tests/plugins/drive.h"
#include "tests/plugins/merge-ops.h"

static const gint64 shapes[][5] = { /* n_dims, dims: a vector, a scalar, nothing, a matrix, a convolution, more than one slice, experts, an element */
  { 1, 129 }, { 0 }, { 1, 0 }, { 2, 37, 53 }, { 4, 8, 4, 3, 3 }, { 2, 300, 301 }, { 3, 3, 11, 7 }, { 1, 1 }
};

typedef void (*Check) (const EvoMergeOp *op, gboolean has_base);

static void
for_each (Check check)
{
  for (guint i = 0; i < merge_ops_get_n (); i++) {
    const EvoMergeOp *op = merge_ops_get (i);

    if (op->host != EVO_HOST_NONE) /* no function to call: check_hosts */
      continue;
    g_test_message ("%s", op->name);
    if (!(op->flags & EVO_MERGE_NEEDS_BASE))
      check (op, FALSE);
    if (op->flags & (EVO_MERGE_NEEDS_BASE | EVO_MERGE_TAKES_BASE))
      check (op, TRUE);
  }
}

static guint
some_inputs (const EvoMergeOp *op)
{
  return op->max_inputs > 0 && op->max_inputs < 3 ? op->max_inputs : MAX (op->min_inputs, 3);
}

/* A model of all shapes with random data: inputs near the base, no two changes alike. */
static Drive *
make (const EvoMergeOp *op, const EvoKernels *k, guint n_in, gboolean has_base, guint32 seed)
{
  Drive *d = drive_new (op, k, n_in, has_base);
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  for (guint s = 0; s < G_N_ELEMENTS (shapes); s++) {
    DriveTensor *t = drive_add (d, (guint) shapes[s][0], shapes[s] + 1);

    for (gint64 j = 0; j < t->t.n; j++) {
      float base = (float) g_rand_double_range (rand, -0.1, 0.1);

      if (has_base)
        t->base[j] = base;
      for (guint i = 0; i < n_in; i++)
        t->in[i][j] = base + (float) g_rand_double_range (rand, -0.02, 0.02);
    }
  }
  return d;
}

static void
set_distinct_weights (Drive *d)
{
  for (guint i = 0; i < d->n_in && drive_find_param (d->op->in_params, "weight") != NULL; i++)
    drive_set (d, (gint) i, "weight", 0.4 + 0.3 * i);
}

static void
assert_same_bits (const Drive *a, const Drive *b)
{
  for (guint i = 0; i < a->tensors->len; i++)
    g_assert_cmpmem (drive_get (a, i)->out, (gsize) drive_get (a, i)->t.n * sizeof (float), drive_get (b, i)->out,
                     (gsize) drive_get (b, i)->t.n * sizeof (float));
}

static void
assert_finite (const Drive *d)
{
  for (guint i = 0; i < d->tensors->len; i++)
    for (gint64 j = 0; j < drive_get (d, i)->t.n; j++)
      g_assert_true (isfinite (drive_get (d, i)->out[j]));
}

/* ------------------------------------------------------------------ declarations */

static void
check_table (const EvoMergeOp *op, const EvoParam *table, gsize size)
{
  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++) {
    g_test_message ("%s.%s", op->name, p->name);
    g_assert_true (p->doc != NULL && g_str_has_suffix (p->doc, "."));
    g_assert_cmpuint (p->offset, <, size);
    g_assert_true (drive_find_param (table, p->name) == p); /* no second of the name */
    if (p->type == EVO_TYPE_STRING || p->type == EVO_TYPE_FILE || p->type == EVO_TYPE_STRINGS || p->type == EVO_TYPE_NUMBERS)
      continue;
    g_assert_cmpfloat (p->def, >=, p->min);
    g_assert_cmpfloat (p->def, <=, p->max);
    if (p->type == EVO_TYPE_CHOICE)
      g_assert_cmpfloat (p->def, <, g_strv_length ((char **) p->names));
    if (p->flags & EVO_PARAM_TUNABLE) {
      g_assert_cmpfloat (p->search_low, <, p->search_high);
      g_assert_cmpfloat (p->search_low, >=, p->min);
      g_assert_cmpfloat (p->search_high, <=, p->max);
    }
  }
}

static void
check_declaration (const EvoMergeOp *op, gboolean has_base)
{
  g_assert_cmpuint (op->size, ==, sizeof *op);
  g_assert_true (g_str_has_suffix (op->summary, "."));
  g_assert_cmpuint (op->min_inputs, >=, 1);
  g_assert_true (op->max_inputs == 0 || op->max_inputs >= op->min_inputs);
  g_assert_nonnull (op->merge);
  g_assert_true ((op->keys == NULL) == (op->rank == NULL));
  g_assert_true ((op->keys == NULL) == (op->n_cuts_per_input + op->n_cuts_fixed == 0));
  g_assert_true ((op->measure == NULL) == (op->n_passes == 0));
  g_assert_true ((op->pool == NULL) == (op->n_figures == 0));
  check_table (op, op->params, op->params_size);
  check_table (op, op->in_params, op->in_params_size);
}

/* What the host makes by its parameters has nothing that could be called. */
static void
check_hosts (void)
{
  guint n = 0;

  for (guint i = 0; i < merge_ops_get_n (); i++) {
    const EvoMergeOp *op = merge_ops_get (i);

    if (op->host == EVO_HOST_NONE)
      continue;
    n++;
    g_test_message ("%s", op->name);
    g_assert_true (g_str_has_suffix (op->summary, "."));
    g_assert_true (op->merge == NULL && op->keys == NULL && op->measure == NULL && op->solve == NULL && op->pick == NULL);
    check_table (op, op->params, op->params_size);
    check_table (op, op->in_params, op->in_params_size);
  }
  g_assert_cmpuint (n, >=, 1);
}

/* ------------------------------------------------------------------ the same bits everywhere */

static void
check_slices (const EvoMergeOp *op, gboolean has_base)
{
  static const gsize slices[] = { 1, 1000, 4099, 1 << 20 };
  g_autoptr (Drive) whole = make (op, evo_kernels_get (), some_inputs (op), has_base, 1);

  set_distinct_weights (whole);
  g_assert_true (drive_run (whole, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (slices); i++) {
    g_autoptr (Drive) d = make (op, evo_kernels_get (), some_inputs (op), has_base, 1);

    set_distinct_weights (d);
    d->merge_slice = slices[i];
    g_assert_true (drive_run (d, NULL));
    assert_same_bits (whole, d);
  }
}

static void
check_kernels (const EvoMergeOp *op, gboolean has_base)
{
  static const char *const names[] = { "avx2", "avx512", "amx" };
  g_autoptr (Drive) ref = make (op, &evo_kernels_ref, some_inputs (op), has_base, 2), native = NULL;

  set_distinct_weights (ref);
  g_assert_true (drive_run (ref, NULL));
  assert_finite (ref);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const EvoKernels *k = evo_kernels_get_for (names[i]);

    g_clear_pointer (&native, drive_free);
    if (k == NULL)
      continue; /* not on this CPU */
    native = make (op, k, some_inputs (op), has_base, 2);
    set_distinct_weights (native);
    g_assert_true (drive_run (native, NULL));
    assert_same_bits (ref, native);
  }
}

/* ------------------------------------------------------------------ what a call may touch, and extreme parameters */

static void
check_untouched (const EvoMergeOp *op, gboolean has_base)
{
  guint n_in = some_inputs (op);
  g_autoptr (Drive) d = make (op, evo_kernels_get (), n_in, has_base, 3), before = make (op, evo_kernels_get (), n_in, has_base, 3);

  g_assert_true (drive_run (d, NULL));
  for (guint s = 0; s < d->tensors->len; s++) {
    DriveTensor *a = drive_get (d, s), *b = drive_get (before, s);
    gsize bytes = (gsize) a->t.n * sizeof (float);

    for (guint i = 0; i < n_in; i++) {
      g_assert_cmpmem (a->in[i], bytes, b->in[i], bytes);
      g_assert_cmpmem (a->in_params[i], op->in_params_size, b->in_params[i], op->in_params_size);
    }
    if (has_base)
      g_assert_cmpmem (a->base, bytes, b->base, bytes);
    g_assert_cmpmem (a->params, op->params_size, b->params, op->params_size);
  }
}

/* Finite results, or a sentence that condemns the candidate. */
static void
run_or_refuse (Drive *d)
{
  g_autoptr (GError) error = NULL;

  if (drive_run (d, &error)) {
    assert_finite (d);
    return;
  }
  g_assert_true (error->code == EVO_PLUGIN_ERROR_PARAM || error->code == EVO_PLUGIN_ERROR_NUMERIC);
  g_assert_cmpuint (strlen (error->message), >, 10);
}

static void
try_values (const EvoMergeOp *op, gboolean has_base, const EvoParam *p, gboolean is_input)
{
  guint n_names = p->type == EVO_TYPE_CHOICE ? g_strv_length ((char **) p->names) : 0;
  double low = p->flags & EVO_PARAM_TUNABLE ? p->search_low : p->min, high = p->flags & EVO_PARAM_TUNABLE ? p->search_high : p->max;
  double values[] = { low, high, p->min, p->max, (low + high) / 2, 0 };

  for (guint v = 0; v < MAX (n_names, G_N_ELEMENTS (values)); v++) {
    g_autoptr (Drive) d = NULL;
    double value = n_names > 0 ? v : values[v];

    if ((n_names > 0 && v >= n_names) || !isfinite (value) || value < p->min || value > p->max)
      continue;
    d = make (op, evo_kernels_get (), some_inputs (op), has_base, 4);
    for (gint i = 0; is_input && i < (gint) d->n_in; i++)
      drive_set (d, i, p->name, value);
    if (!is_input)
      drive_set (d, -1, p->name, value);
    g_test_message ("%s.%s = %g", op->name, p->name, value);
    run_or_refuse (d);
  }
}

static void
check_extremes (const EvoMergeOp *op, gboolean has_base)
{
  for (const EvoParam *p = op->params; p != NULL && p->name != NULL; p++)
    if (p->type <= EVO_TYPE_CHOICE)
      try_values (op, has_base, p, FALSE);
  for (const EvoParam *p = op->in_params; p != NULL && p->name != NULL; p++)
    if (p->type <= EVO_TYPE_CHOICE)
      try_values (op, has_base, p, TRUE);
}

static void
check_counts (const EvoMergeOp *op, gboolean has_base)
{
  guint most = op->max_inputs == 0 ? 9 : op->max_inputs;

  for (guint n_in = op->min_inputs; n_in <= most; n_in++) {
    g_autoptr (Drive) d = make (op, evo_kernels_get (), n_in, has_base, 5);

    g_assert_true (drive_run (d, NULL));
    assert_finite (d);
  }
}

/* ------------------------------------------------------------------ awkward data */

typedef enum { SAME, OPPOSITE, ZERO, ALL_ZERO, BASE_AND_OTHERS, N_FILLS } Fill;

/* What input i has instead of `x`; b: the base, 0 where there is none. */
static float
awkward (Fill fill, guint i, float x, float first, float b)
{
  switch (fill) {
  case SAME:
    return first;
  case OPPOSITE:
    return i % 2 == 0 ? first : b - (first - b);
  case ZERO:
    return b;
  case ALL_ZERO:
    return 0;
  default:
    return i == 0 ? b : x; /* one model that did not move among others that did */
  }
}

static void
check_awkward (const EvoMergeOp *op, gboolean has_base)
{
  for (guint fill = 0; fill < N_FILLS; fill++) {
    g_autoptr (Drive) d = make (op, evo_kernels_get (), some_inputs (op), has_base, 11);

    for (guint s = 0; s < d->tensors->len; s++) {
      DriveTensor *t = drive_get (d, s);

      for (gint64 j = 0; j < t->t.n; j++) {
        float first = t->in[0][j], b = has_base ? t->base[j] : 0;

        for (guint i = 0; i < d->n_in; i++)
          t->in[i][j] = awkward ((Fill) fill, i, t->in[i][j], first, b);
        if (has_base && fill == ALL_ZERO)
          t->base[j] = 0;
      }
    }
    g_test_message ("%s: data %u", op->name, fill);
    run_or_refuse (d);
  }
}

/* Where a source is allowed to have NaN and infinities, an operator ends with numbers, whatever they are, or with a sentence. */
static void
check_nonfinite (const EvoMergeOp *op, gboolean has_base)
{
  static const float odd[] = { NAN, HUGE_VALF, -HUGE_VALF };

  for (guint k = 0; k < G_N_ELEMENTS (odd); k++) {
    g_autoptr (Drive) d = make (op, evo_kernels_get (), some_inputs (op), has_base, 12);
    g_autoptr (GError) error = NULL;

    for (guint s = 0; s < d->tensors->len; s++)
      if (drive_get (d, s)->t.n > 0)
        drive_get (d, s)->in[d->n_in - 1][drive_get (d, s)->t.n / 2] = odd[k];
    g_test_message ("%s: %g", op->name, (double) odd[k]);
    if (!drive_run (d, &error))
      g_assert_true (error->code == EVO_PLUGIN_ERROR_PARAM || error->code == EVO_PLUGIN_ERROR_NUMERIC);
  }
}

/* ------------------------------------------------------------------ algebra */

static void
permute (Drive *to, const Drive *from)
{
  for (guint s = 0; s < to->tensors->len; s++)
    for (guint i = 0; i < to->n_in; i++) {
      DriveTensor *a = drive_get (to, s), *b = drive_get (from, s);
      guint j = (i + 1) % to->n_in;

      memcpy (a->in[i], b->in[j], (gsize) a->t.n * sizeof (float));
      memcpy (a->in_params[i], b->in_params[j], to->op->in_params_size);
      if (a->aux_n > 0)
        memcpy (a->aux[i], b->aux[j], a->aux_n * sizeof (float));
      a->seeds[i] = b->seeds[j];
    }
}

/* How far two orders of addition may be apart: n_in eps sum |w x|, the base counted as one of the x; densities divide. */
static double
order_error (const Drive *d, guint tensor, gint64 j)
{
  const DriveTensor *t = drive_get (d, tensor);
  const EvoParam *weight = drive_find_param (d->op->in_params, "weight"), *density = drive_find_param (d->op->in_params, "density");
  double sum = 0;

  for (guint i = 0; i < d->n_in; i++) {
    double w = weight == NULL ? 1 : fabs (*(const double *) ((const char *) t->in_params[i] + weight->offset));

    sum += w * (fabs (t->in[i][j]) + (t->base == NULL ? 0 : fabs (t->base[j]))) / (density == NULL ? 1 : MAX (density->def, 0.1));
  }
  return d->n_in * FLT_EPSILON * (sum + fabs (t->out[j])); /* on a wide arc the result is longer than what it is made of */
}

static void
check_symmetric (const EvoMergeOp *op, gboolean has_base)
{
  guint n_in = some_inputs (op);
  g_autoptr (Drive) a = make (op, evo_kernels_get (), n_in, has_base, 6), b = make (op, evo_kernels_get (), n_in, has_base, 6);

  if (!(op->flags & EVO_MERGE_SYMMETRIC))
    return;
  set_distinct_weights (a);
  permute (b, a);
  g_assert_true (drive_run (a, NULL) && drive_run (b, NULL));
  for (guint s = 0; s < a->tensors->len; s++)
    for (gint64 j = 0; j < drive_get (a, s)->t.n; j++)
      g_assert_cmpfloat (fabs ((double) drive_get (a, s)->out[j] - drive_get (b, s)->out[j]), <=, order_error (a, s, j));
}

static void
assert_near (const DriveTensor *t, const float *expected)
{
  for (gint64 j = 0; j < t->t.n; j++)
    g_assert_cmpfloat (fabs ((double) t->out[j] - expected[j]), <=, 2 * (double) (nextafterf (fabsf (expected[j]), HUGE_VALF) - fabsf (expected[j])));
}

/* n copies of a model are that model, within 2 ulp. */
static void
check_idempotent (const EvoMergeOp *op, gboolean has_base)
{
  for (guint n_in = MAX (op->min_inputs, 1); n_in <= (op->max_inputs == 0 ? 4 : op->max_inputs) && (op->flags & EVO_MERGE_IDEMPOTENT); n_in++) {
    g_autoptr (Drive) d = make (op, evo_kernels_get (), n_in, has_base, 7);

    for (guint s = 0; s < d->tensors->len; s++)
      for (guint i = 1; i < n_in; i++)
        memcpy (drive_get (d, s)->in[i], drive_get (d, s)->in[0], (gsize) drive_get (d, s)->t.n * sizeof (float));
    g_assert_true (drive_run (d, NULL));
    for (guint s = 0; s < d->tensors->len; s++)
      assert_near (drive_get (d, s), drive_get (d, s)->in[0]);
  }
}

/* Models that do not differ from their base give the base. */
static void
check_unchanged (const EvoMergeOp *op, gboolean has_base)
{
  g_autoptr (Drive) d = NULL;

  if (!has_base)
    return;
  d = make (op, evo_kernels_get (), some_inputs (op), TRUE, 8);
  for (guint s = 0; s < d->tensors->len; s++)
    for (guint i = 0; i < d->n_in; i++)
      memcpy (drive_get (d, s)->in[i], drive_get (d, s)->base, (gsize) drive_get (d, s)->t.n * sizeof (float));
  g_assert_true (drive_run (d, NULL));
  for (guint s = 0; s < d->tensors->len; s++)
    assert_near (drive_get (d, s), drive_get (d, s)->base);
}

/* MEASURE_FIXED: no tunable parameter reaches the sums. */
static void
check_fixed (const EvoMergeOp *op, gboolean has_base)
{
  g_autoptr (Drive) a = make (op, evo_kernels_get (), some_inputs (op), has_base, 9), b = make (op, evo_kernels_get (), some_inputs (op), has_base, 9);

  if (!(op->flags & EVO_MERGE_MEASURE_FIXED))
    return;
  g_assert_nonnull (op->measure);
  for (const EvoParam *p = op->params; p != NULL && p->name != NULL; p++)
    if (p->flags & EVO_PARAM_TUNABLE) {
      drive_set (a, -1, p->name, p->search_low);
      drive_set (b, -1, p->name, p->search_high);
    }
  for (const EvoParam *p = op->in_params; p != NULL && p->name != NULL; p++)
    for (gint i = 0; (p->flags & EVO_PARAM_TUNABLE) && i < (gint) a->n_in; i++) {
      drive_set (a, i, p->name, p->search_low);
      drive_set (b, i, p->name, p->search_high);
    }
  g_assert_true (drive_run (a, NULL) && drive_run (b, NULL));
  for (guint s = 0; s < a->tensors->len; s++)
    g_assert_cmpmem (drive_get (a, s)->sums, drive_get (a, s)->n_sums * sizeof (double), drive_get (b, s)->sums,
                     drive_get (b, s)->n_sums * sizeof (double));
}

/* ------------------------------------------------------------------ random operators */

/* Seeds change the result of exactly those operators that say so. */
static void
check_seeds (const EvoMergeOp *op, gboolean has_base)
{
  g_autoptr (Drive) a = make (op, evo_kernels_get (), some_inputs (op), has_base, 10), b = make (op, evo_kernels_get (), some_inputs (op), has_base, 10);
  DriveTensor *x = drive_get (a, 3), *y = drive_get (b, 3);

  for (guint i = 0; i < b->n_in; i++)
    y->seeds[i] += 1000;
  g_assert_true (drive_run (a, NULL) && drive_run (b, NULL));
  g_assert_cmpint (memcmp (x->out, y->out, (gsize) x->t.n * sizeof (float)) != 0, ==, (op->flags & EVO_MERGE_RANDOM) != 0);
}

enum { N_SEEDS = 200, N_KEPT = 2048 };

/* What `density` keeps of a vector of ones under a seed: kept [N_KEPT], and the mean change. */
static double
keep (const EvoMergeOp *op, double density, guint64 seed, gboolean *kept)
{
  static const gint64 dims[] = { N_KEPT };
  g_autoptr (Drive) d = drive_new (op, evo_kernels_get (), 1, TRUE);
  DriveTensor *t = drive_add (d, 1, dims);
  double sum = 0;

  for (guint j = 0; j < N_KEPT; j++)
    t->in[0][j] = 1 + 0x1p-10f * (float) j; /* ranks for operators that look at them */
  t->seeds[0] = seed;
  drive_set (d, 0, "density", density);
  g_assert_true (drive_run (d, NULL));
  for (guint j = 0; j < N_KEPT; j++) {
    kept[j] = t->out[j] != 0;
    sum += t->out[j];
  }
  return sum / N_KEPT;
}

/* Over 200 seeds: the kept share is the density, in all and for every element; a higher density keeps the same and more; and where what is kept
 * is divided by the density, the mean change is the change. Bounds are 5 standard errors, for 2048 elements at once 6. */
static void
check_random (const EvoMergeOp *op, gboolean has_base)
{
  static const double densities[] = { 0.3, 0.6 };
  g_autofree guint *count = g_new0 (guint, 2 * N_KEPT);
  const EvoParam *rescale = drive_find_param (op->params, "rescale");
  gboolean kept[2][N_KEPT];
  double mean[2] = { 0 }, expected = 1 + 0x1p-10 * (N_KEPT - 1) / 2, squares = 13.0 / 3; /* of 1 .. 3, evenly */

  if (!(op->flags & EVO_MERGE_RANDOM) || drive_find_param (op->in_params, "density") == NULL)
    return;
  for (guint64 seed = 1; seed <= N_SEEDS; seed++) {
    for (guint i = 0; i < 2; i++)
      mean[i] += keep (op, densities[i], seed * 77, kept[i]) / N_SEEDS;
    for (guint j = 0; j < N_KEPT; j++) {
      g_assert_true (kept[1][j] || !kept[0][j]);
      for (guint i = 0; i < 2; i++)
        count[i * N_KEPT + j] += (guint) kept[i][j];
    }
  }
  for (guint i = 0; i < 2; i++) {
    double p = densities[i], total = 0, error = sqrt (p * (1 - p) / N_SEEDS);

    for (guint j = 0; j < N_KEPT; j++) {
      total += count[i * N_KEPT + j];
      if (rescale != NULL && drive_find_param (op->in_params, "epsilon") == NULL) /* plain dropping: every element alike, whatever its rank */
        g_assert_cmpfloat (fabs ((double) count[i * N_KEPT + j] / N_SEEDS - p), <, 6 * error);
    }
    g_assert_cmpfloat (fabs (total / N_SEEDS / N_KEPT - p), <, 5 * error / sqrt (N_KEPT));
    if (rescale != NULL && g_str_equal (rescale->names[(guint) rescale->def], "density"))
      g_assert_cmpfloat (fabs (mean[i] - expected), <, 5 * sqrt (squares * (1 - p) / p / N_SEEDS / N_KEPT));
  }
}

/* ------------------------------------------------------------------ */

static void
test_one (gconstpointer check)
{
  for_each (*(const Check *) check);
}

int
main (int argc, char **argv)
{
  static const struct { const char *path; Check check; } tests[] = {
    { "/every/declaration", check_declaration }, { "/every/slices", check_slices }, { "/every/kernels", check_kernels },
    { "/every/untouched", check_untouched }, { "/every/extremes", check_extremes }, { "/every/counts", check_counts },
    { "/every/awkward", check_awkward }, { "/every/nonfinite", check_nonfinite },
    { "/every/symmetric", check_symmetric }, { "/every/idempotent", check_idempotent }, { "/every/unchanged", check_unchanged },
    { "/every/fixed", check_fixed }, { "/every/seeds", check_seeds }, { "/every/random", check_random }
  };

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/every/hosts", check_hosts);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add_data_func (tests[i].path, &tests[i].check, test_one);
  return g_test_run ();
}
