/* SPDX-License-Identifier: Apache-2.0
 * test-aux.c - files of tensors that a merge's inputs name: what is checked from their headers, and what operators are handed of them.
 */
#include <float.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define A "'a': {'use': 'model.llm', 'path': 'a'}, "
#define AB A "'b': {'use': 'model.llm', 'path': 'b'}, "
#define FISHER "'m': {'use': 'merge.fisher', 'in': [{'from': 'a', 'fisher': 'fa'}, {'from': 'b', 'fisher': 'fb'}]}"

static void
write_one (const char *name, EvoDtype dtype, gint64 rows, gint64 cols, const float *values)
{
  made_model (name, &(MadeTensor){ "x", dtype, 2, { rows, cols }, values, NULL }, 1, NULL);
}

/* ------------------------------------------------------------------ what does not fit */

static void
test_misfits (void)
{
  const GQuark g = EVO_GRAPH_ERROR;

  write_one ("a", EVO_DTYPE_F32, 2, 3, NULL);
  write_one ("b", EVO_DTYPE_F32, 2, 3, NULL);
  write_one ("fa", EVO_DTYPE_F32, 2, 3, NULL);
  made_refused (AB "'m': {'use': 'merge.fisher', 'in': [{'from': 'a', 'fisher': 'fa'}, 'b']}", EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING,
           "p.json:1: /nodes/m/in/1: an input of merge.fisher needs \"fisher\"");
  made_refused (AB FISHER, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "p.json:1: /nodes/m/in/1: fisher: fb: cannot be opened: No such file or directory");
  made_model ("fb", &(MadeTensor){ "y", EVO_DTYPE_F32, 2, { 2, 3 }, NULL, NULL }, 1, NULL);
  made_refused (AB FISHER, g, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/m/in/1: the fisher file fb has no tensor \"x\"; it must have those of b");
  write_one ("fb", EVO_DTYPE_F32, 3, 2, NULL);
  made_refused (AB FISHER, g, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/m/in/1: \"x\" is [3, 2] in the fisher file fb and [2, 3] in b; shapes must agree");
  write_one ("fb", EVO_DTYPE_I32, 2, 3, NULL);
  made_refused (AB FISHER, g, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/m/in/1: \"x\" is I32 in the fisher file fb; it must be floating point");
}

static void
test_nonfinite (void)
{
  const float bad[] = { 1, 2, NAN, 4, 5, 6 }, good[] = { 1, 2, 3, 4, 5, 6 };
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;

  write_one ("a", EVO_DTYPE_F32, 2, 3, good);
  write_one ("fa", EVO_DTYPE_F32, 2, 3, bad);
  made_open_good (&m, A "'m': {'use': 'merge.fisher', 'in': [{'from': 'a', 'fisher': 'fa'}]}");
  g_assert_null (made_compute (&m, "m", "x", EVO_DTYPE_NONE, &made_plainly, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE);
  g_assert_nonnull (strstr (error->message, "fa: \"x\" has a NaN at element 2"));
}

/* ------------------------------------------------------------------ what is handed over */

/* Sum over inputs of in x file + sum of the file in the set, as probe-aux says; the second input has no file. */
static void
check_probe (gint64 rows, gint64 cols, gboolean by_row)
{
  gint64 n = rows * cols, set = by_row ? cols : n;
  g_autofree float *x = made_whole (n, 5, 1), *y = made_whole (n, 5, 2), *f = made_whole (n, 3, 3);

  write_one ("a", EVO_DTYPE_F32, rows, cols, x);
  write_one ("b", EVO_DTYPE_F32, rows, cols, y);
  write_one ("fa", EVO_DTYPE_BF16, rows, cols, f); /* small whole numbers: exact */
  for (guint threads = 1; threads <= 4; threads += 3) {
    MadeHow how = { threads, NULL, -1, NULL, NULL };
    g_auto (Made) m = { NULL };
    g_autofree float *out = NULL;

    made_open_good (&m, by_row ? AB "'m': {'use': 'merge.probe-aux', 'over': 'row', 'in': [{'from': 'a', 'file': 'fa'}, 'b']}"
                               : AB "'m': {'use': 'merge.probe-aux', 'in': [{'from': 'a', 'file': 'fa/model.safetensors'}, 'b']}");
    out = made_floats (&m, "m", "x", &how);
    for (gint64 first = 0; first < n; first += set) {
      double sum = 0;

      for (gint64 j = first; j < first + set; j++)
        sum += f[j];
      for (gint64 j = first; j < first + set; j++)
        g_assert_cmpfloat (out[j], ==, (float) ((double) x[j] * f[j] + sum - (double) set));
    }
  }
}

static void
test_probe (void)
{
  static const gint64 shapes[][2] = { { 1, 1 }, { 3, 5 }, { 257, 300 }, { 2, 65537 }, { 1, 200000 } };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
    for (gboolean by_row = FALSE; by_row <= TRUE; by_row++)
      check_probe (shapes[i][0], shapes[i][1], by_row);
}

/* No input names a file: calls have none. */
static void
test_none (void)
{
  const float x[] = { 1, 2, 3, 4 };
  g_auto (Made) m = { NULL };
  g_autofree float *out = NULL;

  write_one ("a", EVO_DTYPE_F32, 2, 2, x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-aux', 'in': ['a']}");
  g_assert_null (evo_models_get_aux (m.models, evo_graph_find (m.graph, "m"), 0));
  out = made_floats (&m, "m", "x", &made_plainly);
  for (guint j = 0; j < 4; j++)
    g_assert_cmpfloat (out[j], ==, -4);
}

/* A tied model's embedding lends its Fisher values to the output matrix too. */
static void
test_tied (void)
{
  const float e[] = { 1, 2, 3, 4 }, h[] = { 5, 6, 7, 8 }, few[] = { 1, 1, 1, 1 }, many[] = { 3, 3, 3, 3 };
  const MadeTensor tied[] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, e, NULL } },
                   own[] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, e, NULL },
                             { "lm_head.weight", EVO_DTYPE_F32, 2, { 2, 2 }, h, NULL } },
                   fisher_tied[] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, few, NULL } },
                   fisher_own[] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, few, NULL },
                                    { "lm_head.weight", EVO_DTYPE_F32, 2, { 2, 2 }, many, NULL } };
  g_auto (Made) m = { NULL };
  g_autofree float *out = NULL;

  made_model ("a", tied, 1, NULL);
  made_model ("b", own, 2, NULL);
  made_model ("fa", fisher_tied, 1, NULL);
  made_model ("fb", fisher_own, 2, NULL);
  made_open_good (&m, AB FISHER);
  out = made_floats (&m, "m", "lm_head.weight", &made_plainly);
  for (guint j = 0; j < 4; j++)
    g_assert_cmpfloat (out[j], ==, (e[j] + 3 * h[j]) / 4);
}

/* A merge's bound counts slices of the files too. */
static void
test_bound (void)
{
  g_autofree float *x = made_uniform (200000, 1);
  g_auto (Made) m = { NULL };

  write_one ("a", EVO_DTYPE_F32, 1, 200000, x);
  made_open_good (&m, A "'m': {'use': 'merge.probe-aux', 'in': [{'from': 'a', 'file': 'a'}]}, 'o': {'use': 'merge.probe-aux', 'in': ['a']}");
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "m"), 3), ==,
                    evo_merge_bound (m.models, evo_graph_find (m.graph, "o"), 3) + 3 * EVO_SLICE * sizeof (float));
}

/* ------------------------------------------------------------------ files of other shapes */

#define REGMEAN "'m': {'use': 'merge.regmean', 'in': [{'from': 'a', 'gram': 'ga'}, {'from': 'b', 'gram': 'gb'}]}"
static const float grams[] = { 1, 0, 0, 3, 3, 0, 0, 1 };

static void
write_gram (const char *name, EvoDtype dtype, gint64 side, const float *values)
{
  made_model (name, &(MadeTensor){ "x", dtype, 2, { side, side }, values, NULL }, 1, NULL);
}

/* Weights x [3][2] with a Gram matrix, and a vector without. */
static void
write_layer (const char *name, const float *x, const float *v)
{
  const MadeTensor tensors[] = { { "x", EVO_DTYPE_F32, 2, { 3, 2 }, x, NULL }, { "v", EVO_DTYPE_F32, 1, { 3 }, v, NULL } };

  made_model (name, tensors, 2, NULL);
}

static void
test_shaped (void)
{
  const float a[] = { 2, 4, 20, 40, 1, 0 }, b[] = { 6, 8, 60, 80, 0, 1 }, expected[] = { 5, 5, 50, 50, 0.25, 0.25 };
  g_auto (Made) m = { NULL };
  g_autofree float *x = NULL, *v = NULL;

  write_layer ("a", a, a);
  write_layer ("b", b, b);
  write_gram ("ga", EVO_DTYPE_F32, 2, grams);
  write_gram ("gb", EVO_DTYPE_BF16, 2, grams + 4);
  made_open_good (&m, AB REGMEAN);
  x = made_floats (&m, "m", "x", &made_plainly);
  v = made_floats (&m, "m", "v", &made_plainly);
  for (guint j = 0; j < 6; j++)
    g_assert_cmpfloat (fabs (x[j] - expected[j]), <=, 1e-7 * 50);
  for (guint j = 0; j < 3; j++)
    g_assert_cmpfloat (v[j], ==, (a[j] + b[j]) / 2);
}

static void
test_shaped_misfits (void)
{
  const float a[] = { 2, 4, 20, 40, 1, 0 };
  const GQuark g = EVO_GRAPH_ERROR;

  write_layer ("a", a, a);
  write_layer ("b", a, a);
  write_gram ("ga", EVO_DTYPE_F32, 2, grams);
  write_gram ("gb", EVO_DTYPE_F32, 3, NULL);
  made_refused (AB REGMEAN, g, EVO_GRAPH_ERROR_SHAPE,
                "p.json:1: /nodes/m/in/1: \"x\" is [3, 3] in the gram file gb; for this tensor of b it must be [2, 2]");
  write_gram ("gb", EVO_DTYPE_I32, 2, NULL);
  made_refused (AB REGMEAN, g, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/m/in/1: \"x\" is I32 in the gram file gb; it must be floating point");
  made_model ("gb", &(MadeTensor){ "y", EVO_DTYPE_F32, 2, { 2, 2 }, grams, NULL }, 1, NULL);
  made_refused (AB REGMEAN, g, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/m/in/1: the gram file gb has none of the tensors of b, not \"x\" for one; "
                "they must have the same names");
}

/* One model's file may lack what another's has: that the operator says, where it merges. */
static void
test_shaped_partly (void)
{
  const float a[] = { 2, 4, 20, 40, 1, 0 };
  const MadeTensor layer[] = { { "x", EVO_DTYPE_F32, 2, { 3, 2 }, a, NULL }, { "y", EVO_DTYPE_F32, 2, { 3, 2 }, a, NULL } },
                   both[] = { { "x", EVO_DTYPE_F32, 2, { 2, 2 }, grams, NULL }, { "y", EVO_DTYPE_F32, 2, { 2, 2 }, grams, NULL } };
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;
  g_autofree float *x = NULL;

  made_model ("a", layer, 2, NULL);
  made_model ("b", layer, 2, NULL);
  made_model ("ga", both, 2, NULL);
  write_gram ("gb", EVO_DTYPE_F32, 2, grams);
  made_open_good (&m, AB REGMEAN);
  x = made_floats (&m, "m", "x", &made_plainly);
  for (guint j = 0; j < 6; j++)
    g_assert_cmpfloat (x[j], ==, a[j]);
  g_assert_null (made_compute (&m, "m", "y", EVO_DTYPE_NONE, &made_plainly, &error));
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_FILE);
  g_assert_nonnull (strstr (error->message, "input 1 has no Gram matrix of it"));
}

/* The bound: inputs and result once, as one thread computes the tensor, all of the files' matrices, the scratch; the other threads read slices. */
static void
test_shaped_bound (void)
{
  g_auto (Made) m = { NULL };
  gsize slices = (gsize) 4 * EVO_SLICE * sizeof (float);

  made_model ("a", &(MadeTensor){ "x", EVO_DTYPE_F32, 2, { 3, 300 }, NULL, NULL }, 1, NULL);
  made_model ("ga", &(MadeTensor){ "x", EVO_DTYPE_F32, 2, { 300, 300 }, NULL, NULL }, 1, NULL);
  made_open_good (&m, A "'m': {'use': 'merge.regmean', 'in': [{'from': 'a', 'gram': 'ga'}]}");
  const EvoNode *node = evo_graph_find (m.graph, "m");
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  EvoTensor t;
  EvoShape gram;

  evo_describe_tensor (&t, evo_models_get_layout (m.models, node), 0);
  g_assert_true (evo_aux_shape (op, &t, &gram));
  g_assert_cmpint (gram.n, ==, 300 * 300);
  g_assert_cmpuint (evo_merge_bound (m.models, node, 3), ==, (900 * 5 + 900 + 300 * 300) * sizeof (float) + op->scratch_bytes (&t, 1, 900) + 3 * slices);
}

/* ------------------------------------------------------------------ rows by token */

#define EMBED "model.embed_tokens.weight"
#define HEAD "lm_head.weight"
/* Ids:  0  1  2
 * a     u  v  w
 * b     v  u  x */
static void
write_speakers (gint64 width, const float *a, const float *b)
{
  const float *of[] = { a, b };
  const char *const names[] = { "a", "b" };

  for (guint i = 0; i < 2; i++) {
    made_model (names[i], (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { 3, width }, of[i], NULL }, { HEAD, EVO_DTYPE_F32, 2, { 3, width }, of[i], NULL },
                                          { "model.norm.weight", EVO_DTYPE_F32, 1, { 3 }, of[i], NULL } }, 3, "{\"vocab_size\": 3}");
    made_file (names[i], "tokenizer.json", i == 0 ? "{\"model\": {\"vocab\": {\"u\": 0, \"v\": 1, \"w\": 2}}}"
                                                  : "{\"model\": {\"vocab\": {\"v\": 0, \"u\": 1, \"x\": 2}}}");
  }
}

static void
write_fishers (const char *name, const float *f)
{
  made_model (name, (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { 3, 2 }, f, NULL }, { HEAD, EVO_DTYPE_F32, 2, { 3, 2 }, f, NULL },
                                    { "model.norm.weight", EVO_DTYPE_F32, 1, { 3 }, f, NULL } }, 3, NULL);
}

static void
check_floats (const char *nodes, const char *tensor, const float *expected, guint n)
{
  for (guint threads = 1; threads <= 3; threads += 2) {
    g_auto (Made) m = { NULL };
    g_autofree float *x = NULL;

    made_open_good (&m, nodes);
    x = made_floats (&m, "m", tensor, &(MadeHow){ threads, NULL, -1, NULL, NULL });
    g_assert_cmpint (evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"))->tensors[made_find (&m, "m", tensor)].shape.n, ==, n);
    for (guint i = 0; i < n; i++)
      g_assert_cmpfloat (x[i], ==, expected[i]);
  }
}

static const float rows_a[] = { 4, 40, 8, 80, 12, 120 }, rows_b[] = { 16, 160, 20, 200, 24, 240 };
static const float fisher_a[] = { 1, 3, 1, 1, 2, 2 }, fisher_b[] = { 3, 1, 1, 1, 8, 8 };

#define BY_TOKEN(vocab) AB "'m': {'use': 'merge.fisher', 'floor': 0, 'tokenizer': " vocab ", 'in': [{'from': 'a', 'fisher': 'fa'}, {'from': 'b', 'fisher': 'fb'}]}"

/* Fisher values go with their tokens: u (1, 3) in a, (1, 1) in b; v (1, 1) and (3, 1); w is a's alone, x b's. Sums of fours are exact. */
static void
test_tokens (void)
{
  const float u[] = { (4 + 20) / 2.f, (3 * 40 + 200) / 4.f }, v[] = { (8 + 3 * 16) / 4.f, (80 + 160) / 2.f };
  const float base[] = { u[0], u[1], v[0], v[1], 12, 120 }, node[] = { v[0], v[1], u[0], u[1], 24, 240 };
  const float both[] = { u[0], u[1], v[0], v[1], 12, 120, 24, 240 }, norm[] = { (4 + 3 * 16) / 4.f, (3 * 40 + 160) / 4.f, (8 + 20) / 2.f };
  /* cut, not gathered: what is behind each other in the files */
  const float plain[] = { (4 + 3 * 16) / 4.f, (3 * 40 + 160) / 4.f, (8 + 20) / 2.f, (80 + 200) / 2.f, (2 * 12 + 8 * 24) / 10.f, (2 * 120 + 8 * 240) / 10.f };

  write_speakers (2, rows_a, rows_b);
  write_fishers ("fa", fisher_a);
  write_fishers ("fb", fisher_b);
  for (guint i = 0; i < 2; i++) {
    const char *tensor = i == 0 ? EMBED : HEAD;

    check_floats (BY_TOKEN ("'base'"), tensor, base, G_N_ELEMENTS (base));
    check_floats (BY_TOKEN ("'b'"), tensor, node, G_N_ELEMENTS (node));
    check_floats (BY_TOKEN ("'union'"), tensor, both, G_N_ELEMENTS (both));
    check_floats (BY_TOKEN ("'truncate'"), tensor, plain, G_N_ELEMENTS (plain));
  }
  check_floats (BY_TOKEN ("'union'"), "model.norm.weight", norm, G_N_ELEMENTS (norm));
}

/* A row that a rule gives, though the model has the token, and one that pads are not its own: 0. */
static void
test_token_rules (void)
{
  const float sum_a = 1 + 3 + 1 + 1, a[] = { 4, 40, 8, 80 };
  float expected[10];

  write_speakers (2, rows_a, rows_b);
  write_fishers ("fa", fisher_a);
  for (guint i = 0; i < 10; i++)
    expected[i] = (i < 4 ? a[i] * fisher_a[i] : 0) + sum_a - 10; /* the second input has no file: -1 an element */
  check_floats (AB "'m': {'use': 'merge.probe-aux', 'tokenizer': {'source': 'base', 'pad_to_multiple_of': 5, 'tokens': {'w': {'source': {'kind': 'model_token', "
                "'model': 'b', 'token': 'x'}, 'force': true}}}, 'in': [{'from': 'a', 'file': 'fa'}, 'b']}", EMBED, expected, 10);
}

/* A merge whose rows were gathered is an input like any other: its file has the rows that it has. */
static void
test_token_nested (void)
{
  const float inner[] = { 4, 40, 8, 80, 12, 120, 24, 240 }, f[] = { 1, 1, 2, 2, 4, 4, 8, 8 }; /* u v w x */
  float expected[6];

  write_speakers (2, rows_a, rows_b);
  made_model ("fi", (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { 4, 2 }, f, NULL }, { HEAD, EVO_DTYPE_F32, 2, { 4, 2 }, f, NULL },
                                    { "model.norm.weight", EVO_DTYPE_F32, 1, { 3 }, f, NULL } }, 3, NULL);
  for (guint i = 0; i < 6; i++) {
    static const guint of[] = { 1, 0, 3 }; /* b's v u x */
    guint from = 2 * of[i / 2] + i % 2;

    expected[i] = inner[from] * f[from] + 2 * (1 + 2 + 8) - 6; /* -1 an element of what has no file */
  }
  check_floats (AB "'i': {'use': 'merge.linear', 'tokenizer': 'union', 'in': [{'from': 'a', 'weight': 1}, {'from': 'b', 'weight': 0}]}, "
                "'m': {'use': 'merge.probe-aux', 'tokenizer': 'b', 'in': [{'from': 'i', 'file': 'fi'}, 'b']}", EMBED, expected, 6);
}

/* Rows that lie across slices, with sums over them and over all. */
static void
test_token_slices (void)
{
  enum { WIDTH = 30001 };
  static const int of_b[] = { 1, 0, -1, 2 }; /* u v w x */
  g_autofree float *a = made_whole (3 * WIDTH, 5, 1), *b = made_whole (3 * WIDTH, 5, 2), *f = made_whole (3 * WIDTH, 3, 3);

  write_speakers (WIDTH, a, b);
  made_model ("fb", (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { 3, WIDTH }, f, NULL }, { HEAD, EVO_DTYPE_F32, 2, { 3, WIDTH }, f, NULL },
                                    { "model.norm.weight", EVO_DTYPE_F32, 1, { 3 }, f, NULL } }, 3, NULL);
  for (guint by_row = 0; by_row < 2; by_row++) {
    g_autofree float *expected = g_new (float, 4 * WIDTH);
    double sums[5] = { 0 };

    for (guint i = 0; i < 4 * WIDTH; i++) {
      double v = of_b[i / WIDTH] < 0 ? 0 : f[of_b[i / WIDTH] * WIDTH + (int) (i % WIDTH)];

      sums[i / WIDTH] += v;
      sums[4] += v;
      expected[i] = of_b[i / WIDTH] < 0 ? 0 : b[of_b[i / WIDTH] * WIDTH + (int) (i % WIDTH)] * (float) v;
    }
    for (guint i = 0; i < 4 * WIDTH; i++)
      expected[i] = (float) (expected[i] + (by_row ? sums[i / WIDTH] - WIDTH : sums[4] - 4 * WIDTH));
    check_floats (by_row ? AB "'m': {'use': 'merge.probe-aux', 'over': 'row', 'tokenizer': 'union', 'in': ['a', {'from': 'b', 'file': 'fb'}]}"
                         : AB "'m': {'use': 'merge.probe-aux', 'tokenizer': 'union', 'in': ['a', {'from': 'b', 'file': 'fb'}]}", EMBED, expected, 4 * WIDTH);
  }
}

/* A Gram matrix is of a layer's inputs, whose order no token changes: rows are gathered, the matrix stays. */
static void
test_token_grams (void)
{
  const float expected[] = { (4 + 3 * 20) / 4.f, (3 * 40 + 200) / 4.f, (8 + 3 * 16) / 4.f, (3 * 80 + 160) / 4.f, 12, 120, 24, 240 };
  g_auto (Made) m = { NULL };
  g_autofree float *head = NULL, *embed = NULL;

  write_speakers (2, rows_a, rows_b);
  made_model ("ga", &(MadeTensor){ HEAD, EVO_DTYPE_F32, 2, { 2, 2 }, grams, NULL }, 1, NULL);
  made_model ("gb", &(MadeTensor){ HEAD, EVO_DTYPE_F32, 2, { 2, 2 }, grams + 4, NULL }, 1, NULL);
  made_open_good (&m, AB "'m': {'use': 'merge.regmean', 'tokenizer': 'union', 'in': [{'from': 'a', 'gram': 'ga'}, {'from': 'b', 'gram': 'gb'}]}");
  head = made_floats (&m, "m", HEAD, &made_plainly);
  embed = made_floats (&m, "m", EMBED, &made_plainly);
  for (guint i = 0; i < 8; i++) /* solved in double by a 2 x 2 decomposition, rounded once to fp32 */
    g_assert_cmpfloat (fabs (head[i] - expected[i]), <=, FLT_EPSILON * 240);
  g_assert_cmpfloat (embed[0], ==, (4 + 20) / 2.f);
  g_assert_cmpfloat (embed[7], ==, 240);
}

/* The Gram matrix of an output matrix is not that of the embedding, though a tied model has one tensor for both. */
static void
test_tied_grams (void)
{
  const float e[] = { 1, 2, 3, 4 }, h[] = { 5, 6, 7, 8 }, expected[] = { 4, 3, 6, 5 };
  const MadeTensor own[] = { { EMBED, EVO_DTYPE_F32, 2, { 2, 2 }, e, NULL }, { HEAD, EVO_DTYPE_F32, 2, { 2, 2 }, h, NULL } };
  g_auto (Made) m = { NULL };
  g_autofree float *head = NULL, *embed = NULL;

  made_model ("a", own, 1, NULL);
  made_model ("b", own, 2, NULL);
  made_model ("ga", &(MadeTensor){ HEAD, EVO_DTYPE_F32, 2, { 2, 2 }, grams, NULL }, 1, NULL);
  made_model ("gb", &(MadeTensor){ HEAD, EVO_DTYPE_F32, 2, { 2, 2 }, grams + 4, NULL }, 1, NULL);
  made_open_good (&m, AB REGMEAN);
  head = made_floats (&m, "m", HEAD, &made_plainly);
  embed = made_floats (&m, "m", EMBED, &made_plainly);
  for (guint i = 0; i < 4; i++) {
    g_assert_cmpfloat (fabs (head[i] - expected[i]), <=, FLT_EPSILON * 8);
    g_assert_cmpfloat (embed[i], ==, e[i]);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/aux/misfits", test_misfits);
  g_test_add_func ("/aux/nonfinite", test_nonfinite);
  g_test_add_func ("/aux/probe", test_probe);
  g_test_add_func ("/aux/none", test_none);
  g_test_add_func ("/aux/tied", test_tied);
  g_test_add_func ("/aux/bound", test_bound);
  g_test_add_func ("/aux/shaped", test_shaped);
  g_test_add_func ("/aux/shaped-misfits", test_shaped_misfits);
  g_test_add_func ("/aux/shaped-partly", test_shaped_partly);
  g_test_add_func ("/aux/shaped-bound", test_shaped_bound);
  g_test_add_func ("/aux/tokens", test_tokens);
  g_test_add_func ("/aux/token-rules", test_token_rules);
  g_test_add_func ("/aux/token-nested", test_token_nested);
  g_test_add_func ("/aux/token-slices", test_token_slices);
  g_test_add_func ("/aux/token-grams", test_token_grams);
  g_test_add_func ("/aux/tied-grams", test_tied_grams);
  status = g_test_run ();
  made_end ();
  return status;
}
