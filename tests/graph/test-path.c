/* SPDX-License-Identifier: Apache-2.0
 * test-path.c - layer paths: what is refused, whose bytes the layers are, scales folded into weights against a direct loop, configuration.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/path/path.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

enum { WIDTH = 4, ROWS = 6, LAYERS = 3 };

#define MODELS "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
#define PATH(more) MODELS "'p': {'use': 'merge.layer-path', 'in': ['a', 'b'], " more "}"

static const char *const parts[] = { /* of a layer: matrices, then vectors */
  "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight", "mlp.gate_proj.weight",
  "mlp.up_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.o_proj.bias",
  "mlp.down_proj.bias"
};
enum { N_MATRICES = 7 };

static const char head_name[] = "lm_head.weight";

typedef struct { guint layers, width, rows; EvoDtype dtype; gboolean head, counter; const char *config; } Kind;

static const char config[] =
  "{\"model_type\": \"llama\", \"num_hidden_layers\": 3, \"hidden_size\": 4, \"intermediate_size\": 4, \"num_attention_heads\": 1, \"vocab_size\": 6,"
  " \"rms_norm_eps\": 1e-6, \"attention_bias\": true, \"mlp_bias\": true, \"tie_word_embeddings\": false, \"max_position_embeddings\": 8,"
  " \"layer_types\": [\"x\", \"y\", \"z\"], \"eos_token_id\": [1, 2, 3], \"max_window_layers\": 3}";
static const char config_b[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 3, \"layer_types\": [\"u\", \"v\", \"w\"]}";
static const char tied[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 3, \"tie_word_embeddings\": true}";

/* ------------------------------------------------------------------ models */

static void
add (GArray *out, GPtrArray *owned, char *name, EvoDtype dtype, gint64 rows, gint64 cols, guint64 stream)
{
  MadeTensor t = { name, dtype, rows == 0 ? 1 : 2, { rows == 0 ? cols : rows, cols }, NULL, NULL };
  gint64 n = cols * MAX (rows, 1);
  float *x = made_uniform (n, stream);

  g_ptr_array_add (owned, name);
  g_ptr_array_add (owned, x);
  if (dtype == EVO_DTYPE_F64) {
    double *wide = g_new (double, n);

    for (gint64 i = 0; i < n; i++)
      wide[i] = x[i] * (1 + 1e-12); /* no number of fp32 */
    g_ptr_array_add (owned, wide);
    t.raw = wide;
  } else {
    t.values = x;
  }
  g_array_append_val (out, t);
}

static void
make (const char *model, Kind k, guint64 stream)
{
  g_autoptr (GArray) tensors = g_array_new (FALSE, TRUE, sizeof (MadeTensor));
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);
  static const gint32 counters[] = { 7, 8, 9 };

  add (tensors, owned, g_strdup ("model.embed_tokens.weight"), k.dtype, k.rows, k.width, stream++);
  add (tensors, owned, g_strdup ("model.norm.weight"), k.dtype, 0, k.width, stream++);
  if (k.head)
    add (tensors, owned, g_strdup (head_name), k.dtype, k.rows, k.width, stream++);
  for (guint l = 0; l < k.layers; l++) {
    for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
      add (tensors, owned, g_strdup_printf ("model.layers.%u.%s", l, parts[i]), k.dtype, i < N_MATRICES ? k.width : 0, k.width, stream++);
    if (k.counter) {
      char *name = g_strdup_printf ("model.layers.%u.steps", l);
      MadeTensor t = { name, EVO_DTYPE_I32, 1, { 1 }, NULL, &counters[l % 3] };

      g_ptr_array_add (owned, name);
      g_array_append_val (tensors, t);
    }
  }
  made_model (model, (const MadeTensor *) (gconstpointer) tensors->data, tensors->len, k.config);
}

static const Kind plain = { LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, config };

static void
make_two (void)
{
  make ("a", plain, 100);
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, config_b }, 300);
}

static const EvoLayout *
layout (const Made *m, const char *node)
{
  return evo_models_get_layout (m->models, evo_graph_find (m->graph, node));
}

static void
check_same (const Made *m, const char *node, const char *tensor, const char *like, const char *original)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) x = made_compute (m, node, tensor, EVO_DTYPE_NONE, &made_plainly, &error);
  g_autoptr (GBytes) y = made_compute (m, like, original, EVO_DTYPE_NONE, &made_plainly, &error);

  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (x, y));
}

/* ------------------------------------------------------------------ refused */

static void
test_refused (void)
{
  static const struct { const char *more, *said; gint domain, code; } bad[] = {
    { "'path': ['a']", "p.json:1: /nodes/p/path/0: hop 0: \"a\" is no hop; an input's name, a colon, a layer or a range make one, as \"a:0\" or \"a:0-2\"", 0,
      EVO_GRAPH_ERROR_SYNTAX },
    { "'path': ['a:0-1', 'b:x']", "p.json:1: /nodes/p/path/1: hop 2: \"b:x\" is no hop; an input's name, a colon, a layer or a range make one, as \"a:0\" or "
      "\"a:0-2\"", 0, EVO_GRAPH_ERROR_SYNTAX },
    { "'path': ['a:0-1-2']", "p.json:1: /nodes/p/path/0: hop 0: \"a:0-1-2\" is no hop; an input's name, a colon, a layer or a range make one, as \"a:0\" or "
      "\"a:0-2\"", 0, EVO_GRAPH_ERROR_SYNTAX },
    { "'path': ['a:0-1', 'other:0']", "p.json:1: /nodes/p/path/1: hop 2: p has no input \"other\"; there is a, b", 0, EVO_GRAPH_ERROR_UNKNOWN },
    { "'path': ['a:0', 'b:3']", "p.json:1: /nodes/p/path/1: hop 1: b has no layer 3; its layers are 0 ... 2", 0, EVO_GRAPH_ERROR_SHAPE },
    { "'path': ['a:0', 'b:1-9']", "p.json:1: /nodes/p/path/1: hop 3: b has no layer 3; its layers are 0 ... 2", 0, EVO_GRAPH_ERROR_SHAPE },
    { "'path': ['a:2-0']", "p.json:1: /nodes/p/path/0: hop 0: the range 2-0 runs backwards; name layers one by one to visit them in that order", 0,
      EVO_GRAPH_ERROR_SYNTAX },
    { "'path': []", "p.json:1: /nodes/p/path: the path has no hop; it needs 1 to 1000", 1, EVO_PLUGIN_ERROR_PARAM },
    { "'path': ['a:0-2', 'b:0'], 'max_hops': 3", "p.json:1: /nodes/p/path/1: hop 3: the path is longer than max_hops, 3; hops are 0 ... 2", 1,
      EVO_PLUGIN_ERROR_PARAM },
    { "'path': ['a:0-2'], 'scale': [1, 2]", "p.json:1: /nodes/p/scale: has 2 numbers, the path 3 hops; needs one for each, or one number alone", 0,
      EVO_GRAPH_ERROR_SYNTAX },
    { "'path': ['a:0-2'], 'scale': 0", "p.json:1: /nodes/p/scale: hop 1: a scale of 0; it needs a size of 2^-20 ... 2^20", 1, EVO_PLUGIN_ERROR_PARAM },
    { "'path': ['a:0-2'], 'scale': [2, 1024, 1024]", "p.json:1: /nodes/p/scale: hop 2: the product of the scales up to here is 2.09715e+06; its size must be "
      "2^-20 ... 2^20", 1, EVO_PLUGIN_ERROR_PARAM },
    { "'path': ['a:0-2'], 'scale': 1e-7, 'scaling': 'branch'", "p.json:1: /nodes/p/scale: hop 1: the scale is 1e-07; its size must be 2^-20 ... 2^20", 1,
      EVO_PLUGIN_ERROR_PARAM },
  };

  make_two ();
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *nodes = g_strconcat (PATH (""), NULL), *all = NULL;

    nodes[strlen (nodes) - 1] = '\0';
    all = g_strconcat (nodes, bad[i].more, "}", NULL);
    made_refused (all, bad[i].domain == 0 ? EVO_GRAPH_ERROR : EVO_PLUGIN_ERROR, bad[i].code, bad[i].said);
  }
  made_refused (PATH ("'scale': 1"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "p.json:1: /nodes/p: merge.layer-path needs \"path\"");
}

#define REFUSED(more, said) made_refused (PATH (more), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "p.json:1: /nodes/p: " said)

static void
test_other_architecture (void)
{
  make ("a", plain, 100);
  make ("b", (Kind){ LAYERS, 8, ROWS, EVO_DTYPE_F32, TRUE, FALSE, config }, 300);
  REFUSED ("'path': ['a:0', 'b:2']", "hop 1: \"model.layers.2.input_layernorm.weight\" of b is [8], that of a is [4]; a path needs models of one width");
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, "{\"model_type\": \"mistral\", \"num_hidden_layers\": 3}" }, 300);
  REFUSED ("'path': ['a:0', 'b:2']", "hop 1: model_type of b is \"mistral\", of a \"llama\"; a path needs models of one architecture");
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, TRUE, config_b }, 300);
  REFUSED ("'path': ['a:0', 'b:2']", "hop 1: layer 2 of b has a tensor \"model.layers.2.steps\" that a has not in its layers; a path needs models of one "
           "architecture");
  make ("b", (Kind){ LAYERS, WIDTH, ROWS + 1, EVO_DTYPE_F32, TRUE, FALSE, config_b }, 300);
  REFUSED ("'path': ['a:0', 'b:2']", "hop 1: the embedding of b has 7 rows, that of a 6; a path needs models of one vocabulary; with \"vocabulary\": "
           "\"any\" tokens and embedding are the first input's, whatever the others have");
  REFUSED ("'path': ['a:0', 'b:2'], 'outer': 'ends', 'vocabulary': 'any'", "hop 1: \"lm_head.weight\" of b is [7, 4], \"lm_head.weight\" of a is [6, 4]; what lies outside the layers "
           "must be of one vocabulary and width, as with outer: \"first\"");
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, "{\"model_type\": \"llama\", \"num_hidden_layers\": 3}" }, 300);
  REFUSED ("'path': ['a:0', 'b:2']", "hop 1: config.json of b has no list \"layer_types\" with one entry for each layer, that of a has");
  make ("a", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, "{\"model_type\": \"unheard\"}" }, 100);
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, "{\"model_type\": \"unheard\"}" }, 300);
  REFUSED ("'path': ['a:0-2'], 'scale': 2", "hop 0: scales other than 1 cannot be folded into a: no card says what \"model.layers.0.input_layernorm.weight\" is in "
           "the pass; leave scale out");
}

/* Models that can be run must be run alike: the numbers of config.json, though all shapes agree. */
static void
test_computed_alike (void)
{
  static const struct { const char *member, *said; } cases[] = {
    { "\"rms_norm_eps\": 1e-5", "rms_norm_eps of b is 1e-05, of a 1e-06" },
    { "\"rms_norm_eps\": 1e-6, \"rope_theta\": 1000000", "rope_theta of b is 1000000, of a 10000" },
    { "\"rms_norm_eps\": 1e-6, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}", "rope_scaling of b is linear, of a none" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (GStrv) parts_of = g_strsplit (config, "\"rms_norm_eps\": 1e-6", 2);
    g_autofree char *other = g_strjoinv (cases[i].member, parts_of), *said = NULL;

    make ("a", plain, 100);
    make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, other }, 300);
    said = g_strconcat ("p.json:1: /nodes/p: hop 3: ", cases[i].said, "; the layers of a path must be computed alike", NULL);
    made_refused (PATH ("'path': ['a:0-2', 'b:0']"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, said);
    made_refused (PATH ("'path': {'evolve': 'path'}") ", 'cost': {'use': 'evaluator.cost', 'in': ['p']}, 'best': {'use': 'optimizer.random', 'minimize': "
                  "['cost'], 'trials': 2}", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, said);
    g_auto (Made) m = { NULL };
    made_open_good (&m, PATH ("'path': ['a:0-2']")); /* b is not visited */
  }
}

/* ------------------------------------------------------------------ bytes */

/* All layers of a model in their order are that model, for every type of numbers. */
static void
test_identity (void)
{
  static const EvoDtype dtypes[] = { EVO_DTYPE_F32, EVO_DTYPE_F64, EVO_DTYPE_BF16, EVO_DTYPE_F16, EVO_DTYPE_F8_E4M3 };

  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++) {
    g_auto (Made) m = { NULL };
    const EvoLayout *a, *p;

    make ("a", (Kind){ LAYERS, WIDTH, ROWS, dtypes[d], d % 2 == 0, TRUE, config }, 100);
    make ("b", plain, 300);
    made_open_good (&m, PATH ("'path': ['a:0-2']") ", 'again': {'use': 'merge.layer-path', 'in': 'p', 'path': ['p:0-2'], 'scale': 1}, "
                    "'swap': {'use': 'merge.layer-path', 'in': 'a', 'path': ['a:2', 'a:0']}");
    check_same (&m, "swap", "model.layers.0.steps", "a", "model.layers.2.steps");
    g_assert_cmpuint (layout (&m, "swap")->n, ==, 2 * (G_N_ELEMENTS (parts) + 1) + 2 + (d % 2 == 0));
    a = layout (&m, "a");
    p = layout (&m, "p");
    g_assert_cmpuint (p->n, ==, a->n);
    for (guint i = 0; i < a->n; i++) {
      g_assert_cmpstr (p->tensors[i].shape.name, ==, a->tensors[i].shape.name);
      g_assert_cmpint (p->tensors[i].shape.dtype, ==, a->tensors[i].shape.dtype);
      g_assert_true (p->tensors[i].role.layer == a->tensors[i].role.layer || a->tensors[i].shape.dtype == EVO_DTYPE_I32); /* no card knows it */
      check_same (&m, "p", a->tensors[i].shape.name, "a", a->tensors[i].shape.name);
      check_same (&m, "again", a->tensors[i].shape.name, "a", a->tensors[i].shape.name);
    }
  }
}

static void
test_layers (void)
{
  g_auto (Made) m = { NULL };
  g_autofree float *mean = NULL, *x = NULL, *y = NULL;
  const EvoLayout *p;

  make_two ();
  made_open_good (&m, PATH ("'path': ['a:0-1', 'b:1-2', 'a:2', 'b:0']") ", 'ends': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'path': ['b:0', 'a:1', 'b:1'], "
                  "'outer': 'ends'}, 'mean': {'use': 'merge.linear', 'in': ['p', {'from': 'p', 'weight': [0, 0, 0, 0, 0, 2]}]}, "
                  "'over': {'use': 'merge.layer-path', 'in': ['mean', 'p'], 'path': ['mean:5', 'p:3']}");
  p = layout (&m, "p");
  g_assert_cmpint (p->n_layers, ==, 6);
  g_assert_cmpuint (p->n, ==, 6 * G_N_ELEMENTS (parts) + 3);
  for (guint i = 0; i < p->n; i++)
    for (guint e = 0, n = 0; e < 3; e++) /* of exactly one input */
      g_assert_cmpuint (n += p->tensors[i].from[e] >= 0, <=, 1);
  check_same (&m, "p", "model.layers.1.mlp.up_proj.weight", "a", "model.layers.1.mlp.up_proj.weight");
  check_same (&m, "p", "model.layers.2.mlp.up_proj.weight", "b", "model.layers.1.mlp.up_proj.weight");
  check_same (&m, "p", "model.layers.5.input_layernorm.weight", "b", "model.layers.0.input_layernorm.weight");
  check_same (&m, "p", "model.norm.weight", "a", "model.norm.weight");
  check_same (&m, "p", head_name, "a", head_name);
  check_same (&m, "ends", "model.embed_tokens.weight", "b", "model.embed_tokens.weight");
  check_same (&m, "ends", "model.norm.weight", "b", "model.norm.weight");
  check_same (&m, "ends", "model.layers.1.self_attn.o_proj.bias", "a", "model.layers.1.self_attn.o_proj.bias");
  /* a gradient over the merge of two paths counts hops: the last one is 1 : 2 of the same */
  check_same (&m, "mean", "model.layers.0.mlp.up_proj.weight", "a", "model.layers.0.mlp.up_proj.weight");
  mean = made_floats (&m, "over", "model.layers.0.mlp.down_proj.weight", &made_plainly);
  x = made_floats (&m, "b", "model.layers.0.mlp.down_proj.weight", &made_plainly);
  for (guint i = 0; i < WIDTH * WIDTH; i++)
    g_assert_cmpfloat (fabsf (mean[i] - x[i]), <=, 2 * FLT_EPSILON * fabsf (x[i])); /* (x + 2 x) / 3 */
  check_same (&m, "over", "model.layers.1.mlp.down_proj.weight", "b", "model.layers.2.mlp.down_proj.weight");
}

/* Layers of another type of numbers get that of the first input's; a dtype of the node's own counts for all. */
static void
test_dtypes (void)
{
  g_auto (Made) m = { NULL };

  make ("a", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_BF16, TRUE, FALSE, config }, 100);
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, config_b }, 300);
  made_open_good (&m, PATH ("'path': ['a:0', 'b:1']") ", 'f': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'path': ['a:0'], 'dtype': 'f16'}");
  for (guint i = 0; i < layout (&m, "p")->n; i++)
    g_assert_cmpint (layout (&m, "p")->tensors[i].shape.dtype, ==, EVO_DTYPE_BF16);
  g_assert_cmpint (layout (&m, "f")->tensors[0].shape.dtype, ==, EVO_DTYPE_F16);
}

/* ------------------------------------------------------------------ scales, against a direct loop in double */

static void
weights (const Made *m, const char *node, gint layer, const char *part, double *out, guint n)
{
  g_autofree char *name = layer < 0 ? g_strdup (part) : g_strdup_printf ("model.layers.%d.%s", layer, part);
  g_autofree float *x = made_floats (m, node, name, &made_plainly);

  for (guint i = 0; i < n; i++)
    out[i] = x[i];
}

static void
multiply (const Made *m, const char *node, gint layer, const char *part, const double *x, double *y)
{
  double w[WIDTH * WIDTH];

  weights (m, node, layer, part, w, WIDTH * WIDTH);
  for (guint i = 0; i < WIDTH; i++) {
    y[i] = 0;
    for (guint j = 0; j < WIDTH; j++)
      y[i] += w[i * WIDTH + j] * x[j];
  }
}

static void
add_bias (const Made *m, const char *node, gint layer, const char *part, double *y)
{
  double b[WIDTH];

  weights (m, node, layer, part, b, WIDTH);
  for (guint i = 0; i < WIDTH; i++)
    y[i] += b[i];
}

static void
rms_norm (const Made *m, const char *node, gint layer, const char *part, const double *x, double *y)
{
  double w[WIDTH], sum = 1e-30;

  weights (m, node, layer, part, w, WIDTH);
  for (guint i = 0; i < WIDTH; i++)
    sum += x[i] * x[i] / WIDTH;
  for (guint i = 0; i < WIDTH; i++)
    y[i] = x[i] / sqrt (sum) * w[i];
}

/* One token sees itself only: attention is o (v (norm x)). */
static void
attention (const Made *m, const char *node, gint layer, const double *x, double *y)
{
  double n[WIDTH], v[WIDTH];

  rms_norm (m, node, layer, "input_layernorm.weight", x, n);
  multiply (m, node, layer, "self_attn.v_proj.weight", n, v);
  multiply (m, node, layer, "self_attn.o_proj.weight", v, y);
  add_bias (m, node, layer, "self_attn.o_proj.bias", y);
}

static void
mlp (const Made *m, const char *node, gint layer, const double *x, double *y)
{
  double n[WIDTH], g[WIDTH], u[WIDTH];

  rms_norm (m, node, layer, "post_attention_layernorm.weight", x, n);
  multiply (m, node, layer, "mlp.gate_proj.weight", n, g);
  multiply (m, node, layer, "mlp.up_proj.weight", n, u);
  for (guint i = 0; i < WIDTH; i++)
    u[i] *= g[i] / (1 + exp (-g[i]));
  multiply (m, node, layer, "mlp.down_proj.weight", u, y);
  add_bias (m, node, layer, "mlp.down_proj.bias", y);
}

static void
add_times (double *x, double s, const double *y)
{
  for (guint i = 0; i < WIDTH; i++)
    x[i] += s * y[i];
}

/* Logits of token 1 through layers[] of nodes[], entered with scales; NULL: 1. */
static void
run (const Made *m, const char *const *nodes, const gint *layers, guint n, const double *scale, EvoScaling scaling, const char *outer, double *logits)
{
  double table[ROWS * WIDTH], x[WIDTH], y[WIDTH], last[WIDTH] = { 0 };

  weights (m, outer, -1, "model.embed_tokens.weight", table, ROWS * WIDTH);
  memcpy (x, table + WIDTH, sizeof x);
  memcpy (last, x, sizeof last); /* before the first hop, all of the state is what was added last */
  for (guint t = 0; t < n; t++) {
    double s = scale == NULL ? 1 : scale[t], branch = scaling == EVO_SCALING_BRANCH ? s : 1;

    for (guint i = 0; i < WIDTH && scaling != EVO_SCALING_BRANCH; i++)
      x[i] = scaling == EVO_SCALING_STREAM ? s * x[i] : x[i] + (s - 1) * last[i];
    attention (m, nodes[t], layers[t], x, y);
    add_times (x, branch, y);
    mlp (m, nodes[t], layers[t], x, last);
    add_times (x, branch, last);
  }
  rms_norm (m, outer, -1, "model.norm.weight", x, y);
  weights (m, outer, -1, head_name, table, ROWS * WIDTH);
  for (guint r = 0; r < ROWS; r++) {
    logits[r] = 0;
    for (guint i = 0; i < WIDTH; i++)
      logits[r] += table[r * WIDTH + i] * y[i];
  }
}

static void
test_fold (void)
{
  static const char *const names[] = { "stream", "branch", "last-branch" }, *const nodes[] = { "a", "a", "b", "b", "a" }, *const p[] = { "p", "p", "p", "p", "p" };
  static const gint layers[] = { 0, 1, 1, 1, 2 }, places[] = { 0, 1, 2, 3, 4 };
  static const double scales[][5] = { { 1, 0.7, 1.3, 0.4, 2 }, { 0.5, 1.25, 1, 3, 0.6 }, { 1, -0.8, 1.5, 0.7, -1.1 }, { -2, 1, -1.5, 0.9, 1.2 } };

  make_two ();
  for (guint k = 0; k < G_N_ELEMENTS (names); k++)
    for (guint i = 0; i < G_N_ELEMENTS (scales); i++) {
      const double *s = scales[i];
      g_autofree char *nodes_text = g_strdup_printf (PATH ("'path': ['a:0-1', 'b:1', 'b:1', 'a:2'], 'scaling': '%s', 'scale': [%g, %g, %g, %g, %g]"), names[k],
                                                     s[0], s[1], s[2], s[3], s[4]);
      g_auto (Made) m = { NULL };
      double direct[ROWS], folded[ROWS], size = 0;

      made_open_good (&m, nodes_text);
      run (&m, nodes, layers, 5, s, (EvoScaling) k, "a", direct);
      run (&m, p, places, 5, NULL, (EvoScaling) k, "p", folded);
      for (guint r = 0; r < ROWS; r++)
        size = MAX (size, fabs (direct[r]));
      /* weights are rounded to fp32 once, 2^-24 of each; a dozen matrices in a row, some of bad condition */
      for (guint r = 0; r < ROWS; r++)
        g_assert_cmpfloat (fabs (direct[r] - folded[r]), <, 1e-5 * size);
    }
}

static void
test_factors (void)
{
  const EvoPathHop hops[] = { { 0, 0, 2 }, { 0, 1, -0.5 }, { 1, 0, 4 } };
  g_auto (EvoPathFold) stream = { 0 }, branch = { 0 }, last = { 0 }, plain_fold = { 0 };

  evo_path_fold (EVO_SCALING_STREAM, hops, 3, &stream);
  g_assert_true (stream.embed == 2 && stream.final_norm == -1 && !stream.is_plain);
  g_assert_true (stream.hops[0].o == 1 && stream.hops[1].o == -2 && stream.hops[1].norm == -1 && stream.hops[2].down == -0.5);
  evo_path_fold (EVO_SCALING_BRANCH, hops, 3, &branch);
  g_assert_true (branch.embed == 1 && branch.hops[0].o == 2 && branch.hops[2].down == 4 && branch.hops[1].norm == 1);
  evo_path_fold (EVO_SCALING_LAST_BRANCH, hops, 3, &last);
  g_assert_true (last.embed == 2 && last.hops[0].down == -0.5 && last.hops[1].down == 4 && last.hops[2].down == 1 && last.hops[0].o == 1);
  evo_path_fold (EVO_SCALING_STREAM, &(EvoPathHop){ 0, 0, 1 }, 1, &plain_fold);
  g_assert_true (plain_fold.is_plain && plain_fold.embed == 1);
  evo_path_fold_clear (&plain_fold);
  g_assert_null (plain_fold.hops);
}

/* One number is every hop's but the first; a list of one is that hop's. The gene-free pipeline keeps the difference. */
static void
test_one_scale (void)
{
  static const gint32 n_layers[] = { LAYERS, LAYERS };
  static const struct { const char *more; guint n; double first, second; const char *written; } cases[] = {
    { "'path': ['a:0-1'], 'scale': 0.5", 2, 1, 0.5, "\"scale\": 0.5" }, { "'path': ['a:1'], 'scale': 0.5", 1, 1, 0, "\"scale\": 0.5" },
    { "'path': ['a:1'], 'scale': [0.5]", 1, 0.5, 0, "\"scale\": [\n        0.5\n      ]" }, { "'path': ['b:0', 'b:0']", 2, 1, 1, "\"path\": [" }
  };

  make_two ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *nodes = g_strconcat (MODELS "'p': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'max_hops': 4, ", cases[i].more, "}", NULL), *text = NULL;
    g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
    g_autoptr (GError) error = NULL;
    g_auto (Made) m = { NULL };
    const EvoNode *p;

    made_open_good (&m, nodes);
    p = evo_graph_find (m.graph, "p");
    g_assert_true (evo_node_is_path (p) && !evo_node_is_path (evo_graph_find (m.graph, "a")));
    g_assert_true (evo_path_get_scaling (p) == EVO_SCALING_STREAM && evo_path_get_outer (p) == EVO_OUTER_FIRST);
    g_assert_true (evo_path_read (p, n_layers, hops, &error));
    g_assert_no_error (error);
    g_assert_cmpuint (hops->len, ==, cases[i].n);
    g_assert_cmpfloat (g_array_index (hops, EvoPathHop, 0).scale, ==, cases[i].first);
    g_assert_true (hops->len == 1 || g_array_index (hops, EvoPathHop, 1).scale == cases[i].second);
    g_assert_true (evo_path_scale_all (p, hops, &error) && evo_path_check_hops (p, hops, &error));
    text = evo_graph_to_recipe (m.graph, p, NULL, -1, NULL, NULL, evo_models_get_n_layers (m.models));
    g_assert_nonnull (strstr (text, cases[i].written));
    g_assert_nonnull (strstr (text, "\"max_hops\": 4"));
  }
}

/* ------------------------------------------------------------------ tied models and configuration */

static char *
saved_config (const Made *m, const char *node)
{
  g_autofree char *path = made_path (node), *file = g_build_filename (path, "config.json", NULL);
  EvoSaveOptions o = { .path = path, .replace = TRUE, .recipe = "{}\n" };
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_autoptr (GError) error = NULL;
  EvoMergeContext c;
  char *text = NULL;

  evo_merge_context_init (&c, m->models, evo_kernels_get (), pool, NULL, -1, NULL);
  evo_save_model (&c, evo_graph_find (m->graph, node), &o, &error);
  evo_merge_context_clear (&c);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (file, &text, NULL, NULL));
  return text;
}

static void
test_tied (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *text = NULL, *plainly = NULL;

  make ("a", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, FALSE, FALSE, tied }, 100);
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, config_b }, 300);
  made_open_good (&m, PATH ("'path': ['a:0-1'], 'scale': [2, 1]") ", 'plain': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'path': ['a:0', 'b:1']}, "
                  "'own': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'path': ['a:0', 'b:1'], 'outer': 'ends'}, "
                  "'lent': {'use': 'merge.layer-path', 'in': ['a', 'b'], 'path': ['b:0', 'a:1'], 'outer': 'ends'}");
  g_assert_true (layout (&m, "p")->untied && layout (&m, "own")->untied && layout (&m, "lent")->untied && !layout (&m, "plain")->untied);
  check_same (&m, "p", head_name, "a", "model.embed_tokens.weight"); /* the head is the embedding as it was */
  check_same (&m, "own", head_name, "b", head_name);
  check_same (&m, "lent", head_name, "a", "model.embed_tokens.weight");
  g_assert_cmpuint (layout (&m, "plain")->n, ==, 2 * G_N_ELEMENTS (parts) + 2);
  text = saved_config (&m, "p");
  plainly = saved_config (&m, "plain");
  g_assert_nonnull (strstr (text, "\"tie_word_embeddings\": false"));
  g_assert_nonnull (strstr (plainly, "\"tie_word_embeddings\": true"));
}

static void
test_config (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  EvoDecoderSpec spec;
  static const char expected[] = "\"layer_types\": [\n    \"x\",\n    \"u\",\n    \"w\",\n    \"z\",\n    \"x\"\n  ]";

  make_two ();
  made_open_good (&m, PATH ("'path': ['a:0', 'b:0', 'b:2', 'a:2', 'a:0']") ", 'mix': {'use': 'merge.linear', 'in': ['p', 'p']}, "
                  "'over': {'use': 'merge.layer-path', 'in': 'mix', 'path': ['mix:4', 'mix:1']}");
  text = saved_config (&m, "p");
  g_assert_nonnull (strstr (text, "\"num_hidden_layers\": 5"));
  g_assert_nonnull (strstr (text, "\"max_window_layers\": 5"));
  g_assert_nonnull (strstr (text, expected));
  g_assert_nonnull (strstr (text, "\"eos_token_id\": [\n    1,\n    2,\n    3\n  ]")); /* as many as layers by chance */
  g_assert_cmpint (layout (&m, "mix")->layers[2].layer, ==, 2);
  g_assert_true (layout (&m, "over")->layers[1].source == evo_graph_find (m.graph, "b"));
  g_assert_true (evo_models_get_decoder (m.models, evo_graph_find (m.graph, "mix"), &spec, &error));
  g_assert_no_error (error);
  g_assert_cmpint (spec.n_layers, ==, 5);
}

/* A window from layer 2 on: layers with it may only follow those without, as one number says no more. */
static void
test_window (void)
{
  static const char window[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 3, \"use_sliding_window\": true, \"max_window_layers\": 2}";
  g_auto (Made) m = { NULL };
  g_autofree char *text = NULL;

  make ("a", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, window }, 100);
  make ("b", (Kind){ LAYERS, WIDTH, ROWS, EVO_DTYPE_F32, TRUE, FALSE, window }, 300);
  made_open_good (&m, PATH ("'path': ['a:0-1', 'b:0-2', 'a:2']"));
  text = saved_config (&m, "p");
  g_assert_nonnull (strstr (text, "\"max_window_layers\": 4"));
  REFUSED ("'path': ['a:0-2', 'b:0']", "hop 2: a layer with a sliding window comes before one without, which max_window_layers cannot say");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/path/refused", test_refused);
  g_test_add_func ("/path/other-architecture", test_other_architecture);
  g_test_add_func ("/path/computed-alike", test_computed_alike);
  g_test_add_func ("/path/identity", test_identity);
  g_test_add_func ("/path/layers", test_layers);
  g_test_add_func ("/path/dtypes", test_dtypes);
  g_test_add_func ("/path/fold", test_fold);
  g_test_add_func ("/path/factors", test_factors);
  g_test_add_func ("/path/one-scale", test_one_scale);
  g_test_add_func ("/path/tied", test_tied);
  g_test_add_func ("/path/config", test_config);
  g_test_add_func ("/path/window", test_window);
  const int rc = g_test_run ();
  made_end ();
  return rc;
}
