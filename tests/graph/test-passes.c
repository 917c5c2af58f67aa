/* SPDX-License-Identifier: Apache-2.0
 * test-passes.c - what the host does for operators: whole rows and tensors, exact cuts, sums of every scope, the memo, scratch.
 *
 * Every merge here is made with 1, 2, 3 and 4 threads, which must give the same bytes, and compared with what is computed plainly.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define A "'a': {'use': 'model.llm', 'path': 'a'}, "
#define AB A "'b': {'use': 'model.llm', 'path': 'b'}, "

static const gint64 awkward[] = { 1, 2, 65535, 65536, 65537, 131072, 200000 };

/* A node's tensor, the same for every number of threads, while the memo is filled and when it is used (owned). */
static float *
merged (const Made *m, const char *node, const char *tensor)
{
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  float *first = NULL;
  gsize n = (gsize) evo_models_get_layout (m->models, evo_graph_find (m->graph, node))->tensors[made_find (m, node, tensor)].shape.n;

  for (guint i = 0; i < 4; i++) {
    MadeHow how = { i + 1, NULL, -1, i < 2 ? NULL : memo, NULL };
    g_autofree float *x = made_floats (m, node, tensor, &how);

    if (first == NULL)
      first = g_steal_pointer (&x);
    else
      g_assert_cmpmem (x, n * sizeof *x, first, n * sizeof *first);
  }
  return first;
}

static void
write_one (const char *name, guint n_dims, gint64 rows, gint64 cols, const float *values)
{
  made_model (name, &(MadeTensor){ "x", EVO_DTYPE_F32, n_dims, { n_dims == 2 ? rows : cols, cols }, values, NULL }, 1, NULL);
}

/* ------------------------------------------------------------------ rows, tensors */

static void
check_rows (guint n_dims, gint64 rows, gint64 cols)
{
  g_auto (Made) m = { NULL };
  gint64 n = rows * cols;
  g_autofree float *x = made_uniform (n, (guint64) n), *row = NULL, *whole = NULL, *nested = NULL, *twice = NULL;

  write_one ("a", n_dims, rows, cols, x);
  made_open_good (&m, A "'row': {'use': 'merge.probe-row', 'in': ['a']}, 'whole': {'use': 'merge.probe-tensor', 'in': ['a']}, "
                  "'nested': {'use': 'merge.linear', 'in': ['row']}, 'twice': {'use': 'merge.probe-tensor', 'in': ['nested']}");
  row = merged (&m, "row", "x");
  whole = merged (&m, "whole", "x");
  nested = merged (&m, "nested", "x"); /* its slices are not those of what it reads */
  twice = merged (&m, "twice", "x");
  for (gint64 i = 0; i < n; i++) {
    g_assert_cmpfloat (row[i], ==, x[i / cols * cols + cols - 1 - i % cols]);
    g_assert_cmpfloat (whole[i], ==, x[n - 1 - i]);
    g_assert_cmpfloat (twice[i], ==, row[n - 1 - i]);
  }
  g_assert_cmpmem (nested, (gsize) n * sizeof *nested, row, (gsize) n * sizeof *row);
}

static void
test_rows (void)
{
  check_rows (0, 1, 1);
  check_rows (1, 1, 1);
  check_rows (2, 1, 1);
  check_rows (2, 3, 5);
  check_rows (2, 100, 1000);
  check_rows (2, 65537, 3);
  check_rows (2, 3, 65536);
  check_rows (2, 5, 70001); /* a row is longer than a slice */
  check_rows (1, 1, 200001);
}

static void
test_empty (void)
{
  static const char *const nodes[] = { "row", "whole", "sum", "sum-row", "sum-column", "cut", "ties", "dare", "slerp" };
  static const gint64 shapes[][2] = { { 0, 0 }, { 0, 5 }, { 5, 0 } };
  const MadeTensor x = { "full", EVO_DTYPE_F32, 1, { 3 }, (const float[]){ 1, 2, 3 }, NULL };
  MadeTensor tensors[4];
  g_auto (Made) m = { NULL };

  for (guint i = 0; i < 3; i++)
    tensors[i] = (MadeTensor){ ((const char *[]){ "t0", "t1", "t2" })[i], EVO_DTYPE_F32, 2, { shapes[i][0], shapes[i][1] }, NULL, NULL };
  tensors[3] = x;
  made_model ("a", tensors, 4, NULL);
  made_open_good (&m, A "'row': {'use': 'merge.probe-row', 'in': ['a']}, 'whole': {'use': 'merge.probe-tensor', 'in': ['a']}, "
                  "'sum': {'use': 'merge.probe-sum', 'in': ['a']}, 'sum-row': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'row'}, "
                  "'sum-column': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'column'}, 'cut': {'use': 'merge.probe-cut', 'in': ['a']}, "
                  "'ties': {'use': 'merge.ties', 'base': 'a', 'in': ['a']}, 'slerp': {'use': 'merge.slerp', 'in': ['a', 'a']}, "
                  "'dare': {'use': 'merge.dare-linear', 'base': 'a', 'in': ['a'], 'rescale': 'l1'}");
  for (guint i = 0; i < G_N_ELEMENTS (nodes); i++)
    for (guint t = 0; t < 4; t++) {
      g_autofree float *got = merged (&m, nodes[i], tensors[t].name);

      g_assert_nonnull (got);
    }
}

/* ------------------------------------------------------------------ cuts */

typedef struct { float key; gint64 index; } Key;

static int
larger_first (gconstpointer a, gconstpointer b)
{
  const Key *x = a, *y = b;

  if (x->key != y->key)
    return x->key > y->key ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

/* Adds weight to out where one of the k largest |key| is, equal ones from the first on. */
static void
mark_largest (float *out, const float *key, gint64 n, gint64 k, float weight)
{
  g_autofree Key *keys = g_new (Key, MAX (n, 1));

  for (gint64 i = 0; i < n; i++)
    keys[i] = (Key){ ABS (key[i]), i };
  qsort (keys, (gsize) n, sizeof *keys, larger_first);
  for (gint64 i = 0; i < MIN (k, n); i++)
    out[keys[i].index] += weight;
}

static void
add_magnitudes (float *sum, const float *a, const float *b, gint64 n)
{
  for (gint64 i = 0; i < n; i++)
    sum[i] = ABS (a[i]) + ABS (b[i]);
}

static void
check_cuts (const float *a, const float *b, gint64 n, gint64 k)
{
  g_auto (Made) m = { NULL };
  g_autofree float *expected = g_new0 (float, n), *sum = g_new (float, n), *got = NULL;
  gint64 ka = k, kb = n - k, both = k / 2;
  g_autofree char *nodes = g_strdup_printf (AB "'m': {'use': 'merge.probe-cut', 'both': %" G_GINT64_FORMAT ", 'in': [{'from': 'a', 'keep': %"
                                            G_GINT64_FORMAT "}, {'from': 'b', 'keep': %" G_GINT64_FORMAT "}]}", both, ka, kb);

  made_open_good (&m, nodes);
  got = merged (&m, "m", "x");
  mark_largest (expected, a, n, ka, 1);
  mark_largest (expected, b, n, kb, 2);
  add_magnitudes (sum, a, b, n);
  mark_largest (expected, sum, n, both, 4);
  g_assert_cmpmem (got, (gsize) n * sizeof *got, expected, (gsize) n * sizeof *expected);
}

/* Keys all different, keys with many ties, keys all the same: cuts between them, within them, on a slice's border. */
static void
test_cuts (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (awkward); i++) {
    gint64 n = awkward[i], ks[] = { 0, 1, n / 3, n - 1, MIN (65536, n), MIN (65537, n) };
    g_autofree float *spread = made_uniform (n, 7), *tied = made_whole (n, 3, 8), *same = g_new (float, n);

    for (gint64 j = 0; j < n; j++)
      same[j] = j % 2 == 0 ? 2 : -2;
    made_vector ("a", EVO_DTYPE_F32, spread, n);
    made_vector ("b", EVO_DTYPE_F32, tied, n);
    for (guint j = 0; j < G_N_ELEMENTS (ks); j += 2)
      check_cuts (spread, tied, n, ks[j]);
    made_vector ("a", EVO_DTYPE_F32, same, n);
    for (guint j = 0; j < G_N_ELEMENTS (ks); j++)
      check_cuts (same, tied, n, ks[j]);
  }
}

/* Magnitudes of every size: denormal, huge, zero of both signs. */
static void
test_cut_magnitudes (void)
{
  static const float odd[] = { 0, -0.0f, 1e-45f, -1e-45f, 1.1754942e-38f, 1.17549435e-38f, 3.4028235e38f, -3.4028235e38f, 1, -1, 1.0000001f };
  const gint64 n = G_N_ELEMENTS (odd);

  made_vector ("a", EVO_DTYPE_F32, odd, n);
  for (gint64 k = 0; k <= n; k++) {
    g_auto (Made) m = { NULL };
    g_autofree float *expected = g_new0 (float, n), *got = NULL;
    g_autofree char *nodes = g_strdup_printf (A "'m': {'use': 'merge.probe-cut', 'in': [{'from': 'a', 'keep': %" G_GINT64_FORMAT "}]}", k);

    made_open_good (&m, nodes);
    got = merged (&m, "m", "x");
    mark_largest (expected, odd, n, k, 1);
    g_assert_cmpmem (got, (gsize) n * sizeof *got, expected, (gsize) n * sizeof *expected);
  }
}

/* One cut over three tensors, counted in output order, which is not that of the file. */
static void
write_three (const float *x)
{
  made_model ("a", (MadeTensor[]){ { "h.10.w", EVO_DTYPE_F32, 1, { 200000 }, x + 65637, NULL }, { "h.2.w", EVO_DTYPE_F32, 2, { 10, 10 }, x + 65537, NULL },
                                   { "h.1.w", EVO_DTYPE_F32, 1, { 65537 }, x, NULL }, { "id", EVO_DTYPE_I32, 1, { 7 }, NULL, NULL } }, 4, NULL);
}

static void
check_three (const Made *m, const char *node, const float *expected)
{
  static const struct { const char *name; gsize first, n; } parts[] = { { "h.10.w", 65637, 200000 }, { "h.1.w", 0, 65537 }, { "h.2.w", 65537, 100 } };

  for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
    g_autofree float *got = merged (m, node, parts[i].name);

    g_assert_cmpmem (got, parts[i].n * sizeof *got, expected + parts[i].first, parts[i].n * sizeof *got);
  }
}

static void
test_model_cuts (void)
{
  const gint64 n = 265637, ks[] = { 1, 1000, 65537, 65538, 65600, 65637, 65638, 131173, 200000, n - 1, n };
  g_autofree float *tied = made_whole (n, 2, 3), *same = g_new (float, n);

  for (gint64 i = 0; i < n; i++)
    same[i] = 1;
  for (guint i = 0; i < 2 * G_N_ELEMENTS (ks); i++) {
    const float *x = i < G_N_ELEMENTS (ks) ? tied : same;
    gint64 k = ks[i % G_N_ELEMENTS (ks)];
    g_auto (Made) m = { NULL };
    g_autofree float *expected = g_new0 (float, n);
    g_autofree char *nodes = g_strdup_printf (A "'m': {'use': 'merge.probe-cut', 'scope': 'model', 'in': [{'from': 'a', 'keep': %" G_GINT64_FORMAT
                                              "}]}, 'n': {'use': 'merge.linear', 'in': ['m']}", k);

    write_three (x);
    made_open_good (&m, nodes);
    mark_largest (expected, x, n, k, 1);
    check_three (&m, i % 2 == 0 ? "m" : "n", expected);
  }
}

/* A scope that goes by tensor: the model is what is left. */
static void
test_part_of_model (void)
{
  const gint64 n = 265637;
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_whole (n, 5, 4), *expected = g_new0 (float, n), *rest = g_new (float, n - 100), *kept = g_new0 (float, n);

  write_three (x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-cut', 'scope': {'h.2.*': 'tensor', '*': 'model'}, 'in': [{'from': 'a', 'keep': {'h.2.*': 30, '*': 90000}}]}");
  memcpy (rest, x, 65537 * sizeof *x);
  memcpy (rest + 65537, x + 65637, 200000 * sizeof *x);
  mark_largest (kept, rest, n - 100, 90000, 1);
  memcpy (expected, kept, 65537 * sizeof *x);
  memcpy (expected + 65637, kept + 65537, 200000 * sizeof *x);
  mark_largest (expected + 65537, x + 65537, 100, 30, 1);
  check_three (&m, "m", expected);
}

/* One cut cannot keep one share of one tensor and another of the next: said before anything is read, genes or not. */
static void
test_disagreement (void)
{
  static const char gene[] = A "'b': {'use': 'model.llm', 'path': 'a'}, 'm': {'use': 'merge.ties', 'base': 'a', 'in': ['a', "
                             "{'from': 'b', 'density': {'evolve': [0.25, 0.75], 'per': 'layer'}}]}, "
                             "'e': {'use': 'evaluator.exact-match', 'in': ['m'], 'data': 'd.jsonl'}, "
                             "'s': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 1}";
  g_autofree float *x = made_uniform (265637, 1);
  g_auto (Made) m = { NULL };

  write_three (x);
  made_refused (A "'m': {'use': 'merge.probe-cut', 'scope': 'model', 'in': [{'from': 'a', 'keep': {'h.2.*': 30, '*': 20}}]}", EVO_PLUGIN_ERROR,
                EVO_PLUGIN_ERROR_PARAM, "p.json:1: /nodes/m: one cut over the whole model keeps 20 of 265637 elements of a by the parameters of \"h.1.w\" "
                "and 30 by those of \"h.2.w\"; they must be the same for all tensors");
  made_refused (A "'m': {'use': 'merge.probe-cut', 'scope': 'model', 'both': {'h.1.*': 1, '*': 2}, 'in': ['a']}", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM,
                "p.json:1: /nodes/m: one cut over the whole model keeps 1 of 265637 elements by the parameters of \"h.1.w\" and 2 by those of \"h.2.w\"; "
                "they must be the same for all tensors");
  made_refused (A "'m': {'use': 'merge.ties', 'base': 'a', 'in': [{'from': 'a', 'density': [0.1, 0.9]}]}", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM,
                "p.json:1: /nodes/m: one cut over the whole model keeps 47814 of 265637 elements of a by the parameters of \"h.1.w\" and 69065 by those of "
                "\"h.2.w\"; they must be the same for all tensors");
  made_refused (gene, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "p.json:1: /nodes/m: one cut over the whole model keeps 66409 of 265637 elements of b by "
                "the parameters of \"h.1.w\" and 199227 by those of \"h.2.w\"; they must be the same for all tensors");
  made_refused (A "'m': {'use': 'merge.ties', 'base': 'a', 'in': ['a'], 'rescale': {'h.2.*': 'l1', '*': 'none'}}", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM,
                "p.json:1: /nodes/m: \"h.1.w\" and \"h.2.w\" are measured in different ways, but over one model; what decides about that must be the same for "
                "all tensors");
  /* a weight changes no cut, and by tensor every density is right */
  made_open_good (&m, A "'m': {'use': 'merge.ties', 'base': 'a', 'in': [{'from': 'a', 'weight': [0.1, 0.9]}]}, "
                  "'n': {'use': 'merge.ties', 'base': 'a', 'scope': 'tensor', 'in': [{'from': 'a', 'density': [0.1, 0.9]}]}");
}

/* ------------------------------------------------------------------ sums */

static float
part_of (double x, gint64 which)
{
  float high = (float) x;

  return which % 2 == 0 ? high : (float) (x - high);
}

/* Sum of x [n] in slices of EVO_SLICE, each by the kernel, joined from the first to the last. */
static double
sum_slices (const float *x, gint64 n)
{
  double sum = 0;

  for (gint64 at = 0; at < n; at += EVO_SLICE)
    sum += evo_kernels_get_for ("ref")->sum (x + at, (gsize) MIN (EVO_SLICE, n - at));
  return sum;
}

/* What the second pass of probe-sum makes of the sum of the first. */
static double
weigh_slices (const float *x, gint64 n, double by)
{
  double sum = 0;

  for (gint64 at = 0; at < n; at += EVO_SLICE)
    sum += evo_kernels_get_for ("ref")->sum (x + at, (gsize) MIN (EVO_SLICE, n - at)) * by;
  return sum;
}

/* Magnitudes from 1e-9 to 1e9 with both signs: another order of additions would be seen in a double's last bits. */
static float *
made_wide (gint64 n, guint64 stream)
{
  float *x = made_uniform (n, stream);

  for (gint64 i = 0; i < n; i++)
    x[i] *= (float[]){ 1e-9f, 1, 1e9f, 1e4f }[i % 4];
  return x;
}

static void
test_tensor_sums (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (awkward); i++) {
    gint64 n = awkward[i];
    g_auto (Made) m = { NULL };
    g_autofree float *x = made_wide (n, 11), *got = NULL;
    double coef[3];

    made_vector ("a", EVO_DTYPE_F32, x, n);
    made_open_good (&m, A "'m': {'use': 'merge.probe-sum', 'in': ['a'], 'shift': 0.5}");
    got = merged (&m, "m", "x");
    coef[0] = sum_slices (x, n);
    coef[1] = weigh_slices (x, n, coef[0]);
    coef[2] = (double) n;
    coef[0] += 0.5;
    for (gint64 e = 0; e < n; e++)
      g_assert_cmpfloat (got[e], ==, part_of (coef[e / 2 % 3], e));
  }
}

static void
check_row_sums (gint64 rows, gint64 cols)
{
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_wide (rows * cols, 12), *got = NULL;

  write_one ("a", 2, rows, cols, x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'row'}, 'n': {'use': 'merge.linear', 'in': ['m']}");
  got = merged (&m, rows % 2 == 0 ? "m" : "n", "x");
  for (gint64 r = 0; r < rows; r++) {
    double sum = evo_kernels_get_for ("ref")->sum (x + r * cols, (gsize) cols); /* a row is one call, however long */
    const double coef[] = { sum, sum * sum, (double) cols };

    for (gint64 c = 0; c < cols; c++)
      g_assert_cmpfloat (got[r * cols + c], ==, part_of (coef[c / 2 % 3], c));
  }
}

static void
test_row_sums (void)
{
  check_row_sums (1, 1);
  check_row_sums (7, 6);
  check_row_sums (40000, 5);
  check_row_sums (2, 65537);
  check_row_sums (3, 200000);
}

/* Column sums over a slice's whole rows, slices joined in order. */
static void
sum_columns (double *out, const float *x, gint64 rows, gint64 cols, const double *by)
{
  gint64 step = MAX (EVO_SLICE / cols, 1);

  for (gint64 at = 0; at < rows; at += step) {
    g_autofree double *sum = g_new0 (double, cols);

    for (gint64 r = at; r < MIN (at + step, rows); r++)
      for (gint64 c = 0; c < cols; c++)
        sum[c] += by == NULL ? x[r * cols + c] : x[r * cols + c] * by[c];
    for (gint64 c = 0; c < cols; c++)
      out[c] += sum[c];
  }
}

static void
check_column_sums (gint64 rows, gint64 cols)
{
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_wide (rows * cols, 13), *got = NULL;
  g_autofree double *coef = g_new0 (double, 3 * cols);

  write_one ("a", 2, rows, cols, x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'column'}, 'n': {'use': 'merge.linear', 'in': ['m']}");
  got = merged (&m, rows % 2 == 0 ? "m" : "n", "x");
  sum_columns (coef, x, rows, cols, NULL);
  sum_columns (coef + cols, x, rows, cols, coef);
  for (gint64 c = 0; c < cols; c++)
    coef[2 * cols + c] = (double) rows;
  for (gint64 i = 0; i < rows * cols; i++)
    g_assert_cmpfloat (got[i], ==, part_of (coef[i / cols / 2 % 3 * cols + i % cols], i / cols));
}

static void
test_column_sums (void)
{
  check_column_sums (1, 1);
  check_column_sums (6, 7);
  check_column_sums (40001, 5);
  check_column_sums (2, 65537);
  check_column_sums (7, 30000);
}

/* Sums are the model's, coefficients each tensor's own: its shift is. */
static void
test_model_sums (void)
{
  const gint64 n = 265637;
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_wide (n, 14), *expected = g_new (float, n);
  static const gint64 firsts[] = { 0, 65537, 65637, 265637 };
  double sum = 0, weighed = 0;

  write_three (x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'model', 'shift': {'h.2.*': 0.5, '*': 0.25}}");
  for (guint t = 0; t < 3; t++)
    for (gint64 at = firsts[t]; at < firsts[t + 1]; at += EVO_SLICE)
      sum += evo_kernels_get_for ("ref")->sum (x + at, (gsize) MIN (EVO_SLICE, firsts[t + 1] - at));
  for (guint t = 0; t < 3; t++)
    for (gint64 at = firsts[t]; at < firsts[t + 1]; at += EVO_SLICE)
      weighed += evo_kernels_get_for ("ref")->sum (x + at, (gsize) MIN (EVO_SLICE, firsts[t + 1] - at)) * sum;
  for (guint t = 0; t < 3; t++) {
    const double coef[] = { sum + (t == 1 ? 0.5 : 0.25), weighed, (double) n };

    for (gint64 i = firsts[t]; i < firsts[t + 1]; i++)
      expected[i] = part_of (coef[(i - firsts[t]) / 2 % 3], i - firsts[t]);
  }
  check_three (&m, "m", expected);
}

/* ------------------------------------------------------------------ the memo */

static float
first_of (const Made *m, const char *node, const MadeHow *how)
{
  g_autofree float *x = made_floats (m, node, "x", how);

  return x[0];
}

/* Sums of fixed sources are kept, and used again under other parameters; sums above a merge are not. */
static void
test_memo (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  MadeHow how = { 2, NULL, -1, memo, NULL };
  static const float x[] = { 1, 2, 3, 4 };
  static const double other[] = { 1000, 2000, 4 };
  const double *kept;

  made_vector ("a", EVO_DTYPE_F32, x, 4);
  made_open_good (&m, A "'m': {'use': 'merge.probe-sum', 'in': ['a'], 'shift': 0.5}, 'i': {'use': 'merge.linear', 'in': ['a']}, "
                  "'n': {'use': 'merge.probe-sum', 'in': ['i']}, 'row': {'use': 'merge.probe-sum', 'in': ['a'], 'scope': 'row'}");
  g_assert_null (evo_memo_get (memo, evo_graph_find (m.graph, "m"), "x"));
  g_assert_cmpfloat (first_of (&m, "m", &how), ==, 10.5f);
  kept = evo_memo_get (memo, evo_graph_find (m.graph, "m"), "x");
  g_assert_nonnull (kept);
  g_assert_cmpfloat (kept[0], ==, 10);
  g_assert_cmpfloat (kept[1], ==, 100);
  evo_memo_set (memo, evo_graph_find (m.graph, "m"), "x", other, 3);
  g_assert_cmpfloat (first_of (&m, "m", &how), ==, 1000.5f); /* it is what is used */
  g_assert_cmpfloat (first_of (&m, "m", &made_plainly), ==, 10.5f);
  g_assert_cmpfloat (first_of (&m, "n", &how), ==, 10);
  g_assert_null (evo_memo_get (memo, evo_graph_find (m.graph, "n"), "x"));
  g_assert_cmpfloat (first_of (&m, "row", &how), ==, 10);
  g_assert_null (evo_memo_get (memo, evo_graph_find (m.graph, "row"), "x"));
}

/* ------------------------------------------------------------------ scratch */

static void
test_scratch (void)
{
  EvoScratch *s = evo_scratch_new ();
  static const gsize sizes[] = { 1, 63, 64, 65, 0, 1000, 1 << 20, 100, (1 << 20) + 1, 3 << 20, 7 };
  char *taken[G_N_ELEMENTS (sizes)];
  char *again;
  EvoScratchMark outer = evo_scratch_mark (s), inner;

  for (guint round = 0; round < 3; round++) {
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) { /* what was taken before stays where and as it is */
      taken[i] = evo_scratch_take (s, sizes[i]);
      g_assert_cmpuint ((guintptr) taken[i] % 64, ==, 0);
      memset (taken[i], (int) (i + 1), sizes[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
      for (gsize j = 0; j < sizes[i]; j++)
        g_assert_cmpint (taken[i][j], ==, (int) (i + 1));
    evo_scratch_release (s, outer);
  }
  again = evo_scratch_take (s, 10);
  g_assert_true (again == taken[0]); /* the same memory for the next call */
  inner = evo_scratch_mark (s);
  taken[1] = evo_scratch_take (s, 5 << 20);
  evo_scratch_release (s, inner);
  g_assert_true (evo_scratch_take (s, 4 << 20) == taken[1]);
  evo_scratch_release (s, inner);
  evo_scratch_take (s, 9 << 20); /* more than what the chunk has: only that chunk is made anew */
  memset (again, 1, 10);
  evo_scratch_release (s, outer);
  g_assert_true (evo_scratch_take (s, 10) == again);
  evo_scratch_free (s);
  evo_scratch_free (NULL);
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/passes/rows", test_rows);
  g_test_add_func ("/passes/empty", test_empty);
  g_test_add_func ("/passes/cuts", test_cuts);
  g_test_add_func ("/passes/cut-magnitudes", test_cut_magnitudes);
  g_test_add_func ("/passes/model-cuts", test_model_cuts);
  g_test_add_func ("/passes/part-of-model", test_part_of_model);
  g_test_add_func ("/passes/disagreement", test_disagreement);
  g_test_add_func ("/passes/tensor-sums", test_tensor_sums);
  g_test_add_func ("/passes/row-sums", test_row_sums);
  g_test_add_func ("/passes/column-sums", test_column_sums);
  g_test_add_func ("/passes/model-sums", test_model_sums);
  g_test_add_func ("/passes/memo", test_memo);
  g_test_add_func ("/passes/scratch", test_scratch);
  rc = g_test_run ();
  made_end ();
  return rc;
}
