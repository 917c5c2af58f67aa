/* SPDX-License-Identifier: Apache-2.0
 * test-merge.c - merges of merges against their definitions in double, parameters that differ by tensor, random masks, dtypes.
 *
 * Where bytes are compared, values and weights are chosen so that every sum is exact in fp32: then there is one right answer.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define ABC "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, 'c': {'use': 'model.llm', 'path': 'c'}, "

enum { N = 100000 };

static float *a, *b, *c; /* [N] eighths up to 16: weights that are quarters leave every sum exact */

static void
set_up (void)
{
  float **all[] = { &a, &b, &c };

  for (guint m = 0; m < 3; m++) {
    *all[m] = made_whole (N, 128, 20 + m);
    for (gint64 i = 0; i < N; i++)
      (*all[m])[i] /= 8;
    made_vector (((const char *[]){ "a", "b", "c" })[m], EVO_DTYPE_BF16, *all[m], N);
  }
}

static void
tear_down (void)
{
  g_free (a);
  g_free (b);
  g_free (c);
}

typedef double (*Definition) (gint64 i);

static float
f32_of_bf16 (guint16 x)
{
  guint32 bits = (guint32) x << 16;
  float y;

  memcpy (&y, &bits, sizeof y);
  return y;
}

static double
round_bf16 (double x)
{
  return x == 0 ? 0 : f32_of_bf16 (made_bf16 (x));
}

/* The node's bytes in bf16 and in f32 are those of the definition, rounded once. */
static void
check_node (const char *nodes, Definition of)
{
  g_auto (Made) m = { NULL };
  g_autofree guint16 *narrow = g_new (guint16, N);
  g_autofree float *wide = g_new (float, N);

  made_open_good (&m, nodes);
  for (gint64 i = 0; i < N; i++) {
    double y = of (i);

    wide[i] = (float) y;
    g_assert_cmpfloat (wide[i], ==, y);
    narrow[i] = y == 0 ? 0 : made_bf16 (y);
  }
  for (guint threads = 1; threads <= 4; threads++)
    for (guint ref = 0; ref < 2; ref++) {
      MadeHow how = { threads, NULL, -1, NULL, ref ? "ref" : NULL };
      g_autoptr (GError) error = NULL;
      g_autoptr (GBytes) as_bf16 = made_compute (&m, "m", "x", EVO_DTYPE_BF16, &how, &error), as_f32 = made_compute (&m, "m", "x", EVO_DTYPE_F32, &how, &error);

      g_assert_no_error (error);
      g_assert_cmpmem (g_bytes_get_data (as_bf16, NULL), g_bytes_get_size (as_bf16), narrow, N * sizeof *narrow);
      g_assert_cmpmem (g_bytes_get_data (as_f32, NULL), g_bytes_get_size (as_f32), wide, N * sizeof *wide);
    }
}

/* ------------------------------------------------------------------ merges of merges */

static double
inner (gint64 i)
{
  return 0.75 * a[i] + 0.5 * b[i];
}

static double
nested (gint64 i)
{
  return 2 * inner (i) + 0.25 * c[i];
}

static double
nested_rounded (gint64 i)
{
  return 2 * round_bf16 (inner (i)) + 0.25 * c[i];
}

#define INNER "'in': [{'from': 'a', 'weight': 0.75}, {'from': 'b', 'weight': 0.5}], 'normalize': false"
#define OUTER "'m': {'use': 'merge.linear', 'normalize': false, 'in': [{'from': 'i', 'weight': 2}, {'from': 'c', 'weight': 0.25}]"

static void
test_nested (void)
{
  gint64 differ = 0;

  for (gint64 i = 0; i < N; i++)
    differ += nested (i) != nested_rounded (i);
  g_assert_cmpint (differ, >, N / 20); /* else this would show nothing */
  check_node (ABC "'i': {'use': 'merge.linear', " INNER "}, " OUTER "}", nested);
  check_node (ABC "'i': {'use': 'merge.linear', 'dtype': 'f32', " INNER "}, " OUTER "}", nested);
  check_node (ABC "'i': {'use': 'merge.linear', 'dtype': 'bf16', " INNER "}, " OUTER "}", nested_rounded);
  check_node (ABC "'i': {'use': 'merge.linear', 'dtype': 'bfloat16', " INNER "}, " OUTER ", 'dtype': 'f32'}", nested_rounded);
}

static double
based (gint64 i)
{
  double base = inner (i);

  return base + 0.5 * (c[i] - base) + 0.25 * (a[i] - base);
}

/* The base of a merge can be a merge, and a model can be read by several. */
static void
test_nested_base (void)
{
  check_node (ABC "'i': {'use': 'merge.linear', " INNER "}, "
              "'m': {'use': 'merge.task-arithmetic', 'base': 'i', 'normalize': false, 'in': [{'from': 'c', 'weight': 0.5}, {'from': 'a', 'weight': 0.25}]}", based);
}

static double
deep (gint64 i)
{
  double x = a[i];

  for (guint j = 0; j < 6; j++)
    x = 0.5 * x + 0.5 * b[i];
  return x;
}

static void
test_deep (void)
{
  check_node (ABC "'1': {'use': 'merge.linear', 'in': ['a', 'b']}, '2': {'use': 'merge.linear', 'in': ['1', 'b']}, "
              "'3': {'use': 'merge.linear', 'in': ['2', 'b']}, '4': {'use': 'merge.linear', 'in': ['3', 'b']}, "
              "'5': {'use': 'merge.linear', 'in': ['4', 'b']}, 'm': {'use': 'merge.linear', 'in': ['5', 'b']}", deep);
}

/* A source's own dtype: rounded to it before anything is made of it. */
static void
test_source_dtype (void)
{
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_uniform (N, 33), *got = NULL;

  made_vector ("w", EVO_DTYPE_F32, x, N);
  made_open_good (&m, "'w': {'use': 'model.llm', 'path': 'w', 'dtype': 'bf16'}, 'm': {'use': 'merge.linear', 'in': ['w']}");
  g_assert_cmpint (evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"))->tensors[0].shape.dtype, ==, EVO_DTYPE_BF16);
  got = made_floats (&m, "m", "x", &made_plainly);
  for (gint64 i = 0; i < N; i++)
    g_assert_cmpfloat (got[i], ==, (float) round_bf16 (x[i]));
}

/* What is not merged keeps its bits, in every type. */
static void
test_copied (void)
{
  static const EvoDtype types[] = { EVO_DTYPE_F32, EVO_DTYPE_F16, EVO_DTYPE_BF16, EVO_DTYPE_F64 };
  g_autofree float *x = made_uniform (N, 34);
  g_autofree double *wide = g_new (double, N);

  x[0] = -0.0f;
  for (gint64 i = 0; i < N; i++)
    wide[i] = x[i] / 3.0;
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    MadeTensor t = { "x", types[i], 1, { N }, x, types[i] == EVO_DTYPE_F64 ? wide : NULL };
    g_auto (Made) m = { NULL };
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) got = NULL;

    made_model ("t", &t, 1, NULL);
    made_open_good (&m, "'m': {'use': 'model.llm', 'path': 't'}");
    got = made_compute (&m, "m", "x", EVO_DTYPE_NONE, &made_plainly, &error);
    g_assert_no_error (error);
    const EvoStore *store = evo_models_get_store (m.models, evo_graph_find (m.graph, "m"));
    g_assert_cmpmem (g_bytes_get_data (got, NULL), g_bytes_get_size (got), evo_store_peek (store, 0), N * evo_dtype_size (types[i]));
  }
}

/* ------------------------------------------------------------------ parameters by tensor */

static const char llama[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 3}";

/* Two models of a small Llama, all ones and all zeros: a weight can be read from the result. */
static void
write_llamas (void)
{
  static const char *const names[] = { "model.embed_tokens.weight", "model.layers.%u.self_attn.q_proj.weight", "model.layers.%u.mlp.up_proj.weight",
                                       "model.layers.%u.input_layernorm.weight", "model.norm.weight", "lm_head.weight" };
  static const float one[] = { 1 };
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  MadeTensor tensors[12];
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    for (guint layer = 0; layer < (strstr (names[i], "%u") != NULL ? 3 : 1); layer++) {
      g_autofree char *number = g_strdup_printf ("%u", layer);
      g_auto (GStrv) parts = g_strsplit (names[i], "%u", 2);
      char *name = g_strjoinv (number, parts);

      g_ptr_array_add (owned, name);
      tensors[n++] = (MadeTensor){ name, EVO_DTYPE_F32, 1, { 1 }, one, NULL };
    }
  made_model ("ones", tensors, n, llama);
  for (guint i = 0; i < n; i++)
    tensors[i].values = NULL;
  made_model ("zeros", tensors, n, llama);
}

static double
weight_of (const Made *m, const char *tensor, const double *x)
{
  MadeHow how = { 1, x, -1, NULL, NULL };
  g_autofree float *got = made_floats (m, "m", tensor, &how);

  return got[0];
}

/* Weights of embed; q, up, norm of the layers; final norm; head. */
static void
check_weights (const char *weight, const char *in_node, const double *x, const double expected[12])
{
  static const char *const names[] = {
    "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.q_proj.weight",
    "model.layers.2.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight",
    "model.layers.2.mlp.up_proj.weight", "model.layers.0.input_layernorm.weight", "model.layers.1.input_layernorm.weight",
    "model.layers.2.input_layernorm.weight", "model.norm.weight", "lm_head.weight"
  };
  g_autofree char *nodes = g_strdup_printf (
    "'o': {'use': 'model.llm', 'path': 'ones'}, 'z': {'use': 'model.llm', 'path': 'zeros'}, "
    "'m': {'use': 'merge.linear', 'normalize': false%s, 'in': [{'from': 'o'%s}, {'from': 'z', 'weight': 3}]}%s", in_node, weight,
    x == NULL ? "" : ", 'e': {'use': 'evaluator.exact-match', 'in': ['m'], 'data': 'd.jsonl'}, "
                     "'s': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 1}");
  g_auto (Made) m = { NULL };

  made_open_good (&m, nodes);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpfloat (weight_of (&m, names[i], x), ==, (float) expected[i]);
}

static void
test_parameters (void)
{
  write_llamas ();
  check_weights ("", "", NULL, (double[]){ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 });
  check_weights (", 'weight': 0.5", "", NULL, (double[]){ .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5 });
  check_weights ("", ", 'weight': 0.5", NULL, (double[]){ .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5 });
  check_weights (", 'weight': [0, 1]", "", NULL, (double[]){ 0, 0, .5, 1, 0, .5, 1, 0, .5, 1, 1, 1 });
  check_weights (", 'weight': [0.25, 4, 8]", "", NULL, (double[]){ .25, .25, 4, 8, .25, 4, 8, .25, 4, 8, 8, 8 });
  check_weights (", 'weight': {'@attn': 2, '@layers:1-2': 3, 'lm_*': 4, '*': 5}", "", NULL, (double[]){ 5, 2, 2, 2, 5, 3, 3, 5, 3, 3, 5, 4 });
  check_weights (", 'weight': {'@embed': 2, '@head': 3, '@norm': 4, '@mlp': [6, 8]}", "", NULL, (double[]){ 2, 1, 1, 1, 6, 7, 8, 4, 4, 4, 3, 3 });
  /* what no selector of the edge matches is the node's, and what none of those, the default */
  check_weights (", 'weight': {'@attn': 2}", ", 'weight': {'@mlp': 7, '@attn': 9}", NULL, (double[]){ 1, 2, 2, 2, 7, 7, 7, 1, 1, 1, 1, 1 });
  check_weights (", 'weight': {'*': {'@attn': [1, 5], '*.up_*': 0}}", "", NULL, (double[]){ 1, 1, 3, 5, 0, 0, 0, 1, 1, 1, 1, 1 });
}

static void
test_genes (void)
{
  static const double x[] = { 0.25, 0.5, 0.75, 1, 1.25, 1.5 };

  write_llamas ();
  check_weights (", 'weight': {'evolve': [0, 2]}", "", x, (double[]){ .25, .25, .25, .25, .25, .25, .25, .25, .25, .25, .25, .25 });
  check_weights (", 'weight': {'evolve': [0, 2], 'per': 'layer'}", "", x, (double[]){ .25, .5, .75, 1, .5, .75, 1, .5, .75, 1, 1.25, 1.25 });
  check_weights (", 'weight': {'evolve': [0, 2], 'per': 'group:2'}", "", x, (double[]){ .25, .25, .25, .5, .25, .25, .5, .25, .25, .5, .5, .5 });
  check_weights (", 'weight': {'evolve': [0, 2], 'per': 'control:2'}", "", x, (double[]){ .25, .25, .375, .5, .25, .375, .5, .25, .375, .5, .5, .5 });
  check_weights (", 'weight': {'evolve': [0, 2], 'per': ['@attn', '@mlp', '*']}", "", x,
                 (double[]){ .75, .25, .25, .25, .5, .5, .5, .75, .75, .75, .75, .75 });
  check_weights (", 'weight': {'@attn': {'evolve': [0, 2]}, '@mlp': {'evolve': [0, 2], 'per': 'layer'}, '*': 9}", "", x,
                 (double[]){ 9, .25, .25, .25, .75, 1, 1.25, 9, 9, 9, 9, 9 });
  check_weights (", 'weight': {'choice': [7, 8, 9]}", "", (double[]){ 2 }, (double[]){ 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9 });
}

/* A parameter of the node that is a choice or a flag goes by tensor too. */
static void
test_flags (void)
{
  g_auto (Made) m = { NULL };

  write_llamas ();
  made_open_good (&m, "'o': {'use': 'model.llm', 'path': 'ones'}, "
                  "'m': {'use': 'merge.linear', 'normalize': {'@mlp': false, '*': true}, 'in': [{'from': 'o', 'weight': 4}]}");
  g_assert_cmpfloat (weight_of (&m, "model.layers.1.mlp.up_proj.weight", NULL), ==, 4);
  g_assert_cmpfloat (weight_of (&m, "lm_head.weight", NULL), ==, 1);
}

/* ------------------------------------------------------------------ random numbers */

/* The stream of an input's random numbers, as design section 5 says: stream, node name, occurrence, tensor. */
static guint64
seed_of (const Made *m, const char *node, const char *from, guint occurrence, gint64 trial)
{
  guint64 s = evo_graph_find (m->graph, node)->stream;

  if (trial >= 0)
    s = evo_random_mix (s, (guint64) trial + 1);
  return evo_random_mix_text (evo_random_mix (evo_random_mix_text (s, from), occurrence), "x");
}

static void
check_random (const Made *m, const char *node, const char *const *from, const guint *occurrence, guint n_in, gint64 trial, gint64 mixed)
{
  g_autofree float *u = g_new (float, N), *expected = g_new0 (float, N);
  const EvoKernels *k = evo_kernels_get_for ("ref");

  for (guint e = 0; e < n_in; e++) {
    k->uniform (u, seed_of (m, node, from[e], occurrence[e], mixed), 0, N); /* in one piece: addressed by element, not by slice */
    k->axpy (expected, u, e + 1, N);
  }
  for (guint threads = 1; threads <= 4; threads++) {
    MadeHow how = { threads, NULL, trial, NULL, NULL };
    g_autofree float *got = made_floats (m, node, "x", &how);

    g_assert_cmpmem (got, N * sizeof *got, expected, N * sizeof *expected);
  }
}

static void
test_random (void)
{
  static const char *const ab[] = { "a", "b" }, *const ba[] = { "b", "a" }, *const aba[] = { "a", "b", "a" };
  static const guint none[] = { 0, 0, 0 }, again[] = { 0, 0, 1 };
  g_auto (Made) m = { NULL };

  made_open_good (&m, ABC "'m': {'use': 'merge.probe-seed', 'in': ['a', 'b']}, 'n': {'use': 'merge.probe-seed', 'in': ['b', 'a']}, "
                  "'o': {'use': 'merge.probe-seed', 'in': ['a', 'b', 'a']}, 't': {'use': 'merge.probe-seed', 'in': ['a', 'b'], 'masks': 'trial'}, "
                  "'s': {'use': 'merge.probe-seed', 'in': ['a', 'b'], 'seed': 77}, 'r': {'use': 'merge.probe-seed', 'in': ['a', 'b'], 'seed': 77}");
  check_random (&m, "m", ab, none, 2, -1, -1);
  check_random (&m, "m", ab, none, 2, 41, -1); /* masks are the same in every trial, unless they are said to go by it */
  check_random (&m, "n", ba, none, 2, -1, -1);
  check_random (&m, "o", aba, again, 3, -1, -1);
  check_random (&m, "t", ab, none, 2, 0, 0);
  check_random (&m, "t", ab, none, 2, 41, 41);
  g_assert_cmpuint (evo_graph_find (m.graph, "s")->stream, !=, evo_graph_find (m.graph, "m")->stream);
  g_assert_cmpuint (evo_graph_find (m.graph, "s")->stream, !=, evo_graph_find (m.graph, "r")->stream); /* its name is in it too */
}

/* What is kept at a density is kept at every higher one; of n changes about density n are. */
static void
test_masks (void)
{
  g_autofree gboolean *before = g_new0 (gboolean, N);
  gint64 n_before = 0;

  for (guint d = 1; d <= 4; d++) {
    g_autofree char *nodes = g_strdup_printf (ABC "'m': {'use': 'merge.dare-linear', 'base': 'a', 'rescale': 'none', 'in': [{'from': 'b', 'density': %g}]}", d / 4.0);
    g_auto (Made) m = { NULL };
    g_autofree float *got = NULL;
    gint64 n = 0, n_changes = 0;

    made_open_good (&m, nodes);
    got = made_floats (&m, "m", "x", &made_plainly);
    for (gint64 i = 0; i < N; i++) {
      gboolean kept = got[i] != a[i];

      g_assert_true (!kept || got[i] == b[i]);
      g_assert_true (kept || !before[i]);
      n += before[i] = kept;
      n_changes += a[i] != b[i];
    }
    /* five standard deviations of a binomial of about 1e5: 5 sqrt (1e5 / 4) = 791 */
    g_assert_cmpint (ABS (n - n_changes * d / 4), <, 800);
    g_assert_cmpint (n, >, n_before);
    n_before = n;
  }
  g_assert_cmpint (n_before, >, N * 9 / 10);
}

/* ------------------------------------------------------------------ against definitions that are not exact */

/* slerp in double, rounded to fp32 once: the operator rounds two coefficients and three times a product or sum, each by half an ulp of at
 * most |wa a| + |wb b| */
static void
test_slerp (void)
{
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_uniform (N, 50), *y = made_uniform (N, 51), *got = NULL;
  double xx = 0, xy = 0, yy = 0;

  made_vector ("u", EVO_DTYPE_F32, x, N);
  made_vector ("v", EVO_DTYPE_F32, y, N);
  made_open_good (&m, "'u': {'use': 'model.llm', 'path': 'u'}, 'v': {'use': 'model.llm', 'path': 'v'}, 'm': {'use': 'merge.slerp', 'in': ['u', 'v'], 't': 0.3}");
  got = made_floats (&m, "m", "x", &made_plainly);
  for (gint64 i = 0; i < N; i++) {
    xx += (double) x[i] * x[i];
    xy += (double) x[i] * y[i];
    yy += (double) y[i] * y[i];
  }
  double theta = acos (xy / sqrt (xx * yy)), wx = sin (0.7 * theta) / sin (theta), wy = sin (0.3 * theta) / sin (theta);
  for (gint64 i = 0; i < N; i++) {
    double expected = wx * x[i] + wy * y[i], scale = fabs (wx * x[i]) + fabs (wy * y[i]);

    g_assert_cmpfloat (fabs (got[i] - expected), <=, 3 * FLT_EPSILON * scale);
  }
}

/* Bounds are of what computing takes: more for more threads, inputs and tensors seen whole; none for a model as it is. */
static void
test_bound (void)
{
  g_auto (Made) m = { NULL };
  guint64 linear, three, whole, in_whole;

  made_open_good (&m, ABC "'l': {'use': 'merge.linear', 'in': ['a', 'b']}, 'm': {'use': 'merge.linear', 'in': ['a', 'b', 'c']}, "
                  "'w': {'use': 'merge.probe-tensor', 'in': ['a']}, 'o': {'use': 'merge.task-arithmetic', 'base': 'w', 'in': ['a']}");
  linear = evo_merge_bound (m.models, evo_graph_find (m.graph, "l"), 1);
  three = evo_merge_bound (m.models, evo_graph_find (m.graph, "m"), 1);
  whole = evo_merge_bound (m.models, evo_graph_find (m.graph, "w"), 1);
  in_whole = evo_merge_bound (m.models, evo_graph_find (m.graph, "o"), 1);
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "a"), 8), ==, 0);
  g_assert_cmpuint (linear, >=, 3 * EVO_SLICE * sizeof (float));
  g_assert_cmpuint (three, >, linear);
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "l"), 4), ==, 4 * linear);
  g_assert_cmpuint (whole, >=, 2 * N * sizeof (float)); /* the input and the result */
  g_assert_cmpuint (in_whole, >=, whole + 3 * EVO_SLICE * sizeof (float)); /* a base counts as an input */
}

/* ------------------------------------------------------------------ files that change */

typedef struct { const char *file; gint calls; /* atomic */ } Vandal;

static gboolean
cut_off (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Vandal *v = data;

  if (g_atomic_int_add (&v->calls, 1) == 0)
    g_assert_cmpint (truncate (v->file, 8), ==, 0);
  return TRUE;
}

/* A source is cut off when the first slice is handed over: by element and by row, in tensors that are read at once and in many slices. */
static void
test_changed (void)
{
  static const char *const merges[] = { "merge.linear", "merge.karcher" };
  static const gint64 sizes[] = { 6, 70000, 300000 };

  for (guint i = 0; i < G_N_ELEMENTS (merges); i++)
    for (guint j = 0; j < G_N_ELEMENTS (sizes); j++) {
      g_autofree float *x = made_uniform (sizes[j], 1);
      g_autofree char *file = NULL, *nodes = NULL;
      g_autoptr (EvoPool) pool = evo_pool_new (2);
      g_autoptr (GError) error = NULL;
      g_auto (Made) m = { NULL };
      EvoMergeContext context;
      Vandal v = { NULL, 0 };

      made_vector ("kept", EVO_DTYPE_F32, x, sizes[j]);
      made_vector ("cut", EVO_DTYPE_F32, x, sizes[j]);
      nodes = g_strdup_printf ("'a': {'use': 'model.llm', 'path': 'kept'}, 'b': {'use': 'model.llm', 'path': 'cut'}, "
                               "'m': {'use': '%s', 'in': ['a', 'b']}", merges[i]);
      made_open_good (&m, nodes);
      file = made_path ("cut/model.safetensors");
      v.file = file;
      evo_merge_context_init (&context, m.models, evo_kernels_get (), pool, NULL, -1, NULL);
      g_assert_false (evo_materialize (&context, evo_graph_find (m.graph, "m"), made_find (&m, "m", "x"), EVO_DTYPE_F32, cut_off, &v, &error));
      evo_merge_context_clear (&context);
      g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED);
      g_assert_nonnull (strstr (error->message, "cut/model.safetensors: was changed or cut off while it was read"));
    }
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  set_up ();
  g_test_add_func ("/merge/nested", test_nested);
  g_test_add_func ("/merge/nested-base", test_nested_base);
  g_test_add_func ("/merge/deep", test_deep);
  g_test_add_func ("/merge/source-dtype", test_source_dtype);
  g_test_add_func ("/merge/copied", test_copied);
  g_test_add_func ("/merge/parameters", test_parameters);
  g_test_add_func ("/merge/genes", test_genes);
  g_test_add_func ("/merge/flags", test_flags);
  g_test_add_func ("/merge/random", test_random);
  g_test_add_func ("/merge/masks", test_masks);
  g_test_add_func ("/merge/slerp", test_slerp);
  g_test_add_func ("/merge/bound", test_bound);
  g_test_add_func ("/merge/changed", test_changed);
  rc = g_test_run ();
  tear_down ();
  made_end ();
  return rc;
}
