/* SPDX-License-Identifier: Apache-2.0
 * test-compat.c - "compat": mergekit's defaults and roundings; "dtype" by selector; "allow_nonfinite".
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/read/read.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define MODELS "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
enum { N = 70000 }; /* more than a slice */

static double
parameter (const EvoNode *node, const char *name)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, name);

  g_assert_nonnull (p);
  return evo_param_get_scalar (p, node->params);
}

static double
input_parameter (const EvoNode *node, guint e, const char *name)
{
  return evo_param_get_scalar (evo_param_find (((const EvoMergeOp *) node->plugin->op)->in_params, name), node->in[e].params);
}

static const char *
choice (const EvoNode *node, const char *name)
{
  return evo_param_find (node->plugin->op->params, name)->names[(guint) parameter (node, name)];
}

static float
element (const Made *m, const char *node, const char *tensor, guint i)
{
  g_autofree float *x = made_floats (m, node, tensor, &made_plainly);

  return x[i];
}

static void
make_pair (void)
{
  g_autofree float *x = made_uniform (N, 1), *y = made_uniform (N, 2);

  made_vector ("a", EVO_DTYPE_F32, x, N);
  made_vector ("b", EVO_DTYPE_F32, y, N);
}

/* What the node does not say is mergekit's; what it says stays. */
static void
test_defaults (void)
{
  g_auto (Made) m = { NULL };
  const EvoNode *ties, *dare;

  made_open_good (&m, MODELS "'ties': {'use': 'merge.ties', 'compat': 'mergekit', 'vote': 'plain', 'base': 'a', 'in': ['b']}, "
                             "'dare': {'use': 'merge.dare-linear', 'compat': {'mergekit': 'bf16'}, 'base': 'a', 'in': [{'from': 'b', 'density': 0.25}, 'b']}, "
                             "'own': {'use': 'merge.ties', 'base': 'a', 'in': ['b']}");
  ties = evo_graph_find (m.graph, "ties");
  dare = evo_graph_find (m.graph, "dare");
  g_assert_cmpstr (choice (ties, "scope"), ==, "tensor");
  g_assert_cmpstr (choice (ties, "vote"), ==, "plain");
  g_assert_cmpfloat (parameter (ties, "normalize"), ==, 1);
  g_assert_cmpfloat (input_parameter (ties, 0, "density"), ==, 1);
  g_assert_cmpstr (choice (evo_graph_find (m.graph, "own"), "scope"), ==, "model");
  g_assert_cmpstr (choice (dare, "rescale"), ==, "l1");
  g_assert_cmpfloat (input_parameter (dare, 0, "density"), ==, 0.25);
  g_assert_cmpfloat (input_parameter (dare, 1, "density"), ==, 1);
  g_assert_true (ties->compat == EVO_DTYPE_F32 && dare->compat == EVO_DTYPE_BF16);
  g_assert_true (evo_graph_find (m.graph, "own")->compat == EVO_DTYPE_NONE);
}

/* Of the whole pipeline: for merges that mergekit has, not for others. */
static void
test_top (void)
{
  g_auto (Made) m = { NULL };
  g_auto (GStrv) identity = NULL;
  g_autofree char *json = NULL, *recipe = NULL;

  g_assert_true (made_open (&m, MODELS "'m': {'use': 'merge.model-stock', 'base': 'a', 'in': ['b', 'b']}, 'c': {'use': 'merge.crossover', 'in': ['a', 'b']}, "
                            "'own': {'use': 'merge.linear', 'compat': 'mergekit', 'in': ['a']}", "'compat': {'mergekit': 'f16'}", NULL));
  g_assert_true (evo_graph_find (m.graph, "m")->compat == EVO_DTYPE_F16);
  g_assert_true (evo_graph_find (m.graph, "c")->compat == EVO_DTYPE_NONE);
  g_assert_true (evo_graph_find (m.graph, "own")->compat == EVO_DTYPE_F32);
  g_assert_cmpfloat (parameter (evo_graph_find (m.graph, "m"), "floor"), ==, 1e-6);
  json = evo_graph_to_json (m.graph);
  g_assert_nonnull (strstr (json, "\"compat\": {\n    \"mergekit\": \"f16\"\n  }"));
  identity = evo_graph_identity (m.graph);
  g_assert_true (g_strv_contains ((const char *const *) identity, "/compat/mergekit"));
  recipe = evo_graph_to_recipe (m.graph, evo_graph_find (m.graph, "m"), NULL, -1, NULL, NULL, evo_models_get_n_layers (m.models));
  g_assert_nonnull (strstr (recipe, "\"mergekit\": \"f16\""));
  g_assert_null (strstr (recipe, "crossover"));
}

static float
to_bf16 (float x)
{
  const guint32 bits = (guint32) made_bf16 ((double) x) << 16;
  float y;

  memcpy (&y, &bits, sizeof y);
  return y;
}

/* Sources are rounded when they are read, and so is the result, whatever it is stored in. */
static void
test_rounding (void)
{
  g_auto (Made) m = { NULL };
  g_autofree float *x = made_uniform (N, 1), *y = made_uniform (N, 2), *out = NULL, *plain = NULL;
  guint differ = 0;

  make_pair ();
  made_open_good (&m, MODELS "'m': {'use': 'merge.linear', 'compat': {'mergekit': 'bf16'}, 'normalize': false, 'in': [{'from': 'a', 'weight': 0.5}, "
                             "{'from': 'b', 'weight': 0.5}]}, "
                             "'p': {'use': 'merge.linear', 'normalize': false, 'in': [{'from': 'a', 'weight': 0.5}, {'from': 'b', 'weight': 0.5}]}");
  out = made_floats (&m, "m", "x", &made_plainly);
  plain = made_floats (&m, "p", "x", &made_plainly);
  for (guint i = 0; i < N; i++) {
    float exact = 0.5f * to_bf16 (x[i]) + 0.5f * to_bf16 (y[i]); /* halves of bf16 are exact, so is a sum of two of like size in fp32 */

    if (exact != 0)
      g_assert_cmpfloat (out[i], ==, to_bf16 (exact));
    differ += out[i] != to_bf16 (plain[i]);
  }
  g_assert_cmpuint (differ, >, N / 20);
}

/* ------------------------------------------------------------------ dtype by selector */

static const float values[64 * 4] = { 1.0001f, 300.25f };

static void
make_llama (void)
{
  made_model ("l", (MadeTensor[]){ { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 32, 8 }, values, NULL },
                                   { "model.layers.0.input_layernorm.weight", EVO_DTYPE_F32, 1, { 8 }, values, NULL },
                                   { "model.layers.0.mlp.up_proj.weight", EVO_DTYPE_F32, 2, { 8, 8 }, values, NULL },
                                   { "model.norm.weight", EVO_DTYPE_F32, 1, { 8 }, values, NULL },
                                   { "model.steps", EVO_DTYPE_I64, 1, { 1 }, NULL, "\1\0\0\0\0\0\0\0" } }, 5,
              "{\"model_type\": \"llama\", \"num_hidden_layers\": 1, \"torch_dtype\": \"float32\"}");
}

static EvoDtype
dtype_of (const Made *m, const char *node, const char *tensor)
{
  return evo_models_get_layout (m->models, evo_graph_find (m->graph, node))->tensors[made_find (m, node, tensor)].shape.dtype;
}

static void
test_dtypes (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = made_path ("saved"), *config = NULL, *file = g_build_filename (path, "config.json", NULL), *recipe = NULL;
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_autoptr (EvoStore) store = NULL;
  g_autoptr (GError) error = NULL;
  EvoMergeContext c;
  EvoNode *node;

  make_llama ();
  g_assert_true (made_open (&m, "'l': {'use': 'model.llm', 'path': 'l'}, 'm': {'use': 'merge.linear', 'in': ['l'], 'dtype': {'@norm': 'f32', 'note': 'n', "
                            "'*': 'bf16'}}, 'n': {'use': 'merge.linear', 'in': ['m']}",
                            "'save': {'m': {'path': 's', 'dtype': {'@norm': 'f64', '*.mlp.*': 'f8_e5m2', '@embed': 'float16'}}}", NULL));
  g_assert_cmpint (dtype_of (&m, "m", "model.norm.weight"), ==, EVO_DTYPE_F32);
  g_assert_cmpint (dtype_of (&m, "m", "model.layers.0.input_layernorm.weight"), ==, EVO_DTYPE_F32);
  g_assert_cmpint (dtype_of (&m, "m", "model.embed_tokens.weight"), ==, EVO_DTYPE_BF16);
  g_assert_cmpint (dtype_of (&m, "m", "model.steps"), ==, EVO_DTYPE_I64);
  g_assert_cmpfloat (element (&m, "n", "model.norm.weight", 0), ==, 1.0001f);    /* inner merges round by selector too */
  g_assert_cmpfloat (element (&m, "n", "model.embed_tokens.weight", 0), ==, 1);
  node = evo_graph_find (m.graph, "m");
  recipe = evo_graph_to_recipe (m.graph, node, NULL, -1, NULL, NULL, evo_models_get_n_layers (m.models));
  g_assert_nonnull (strstr (recipe, "\"@norm\": \"f64\",\n        \"*.mlp.*\": \"f8_e5m2\",\n        \"@embed\": \"f16\"\n"));
  EvoSaveOptions o = { .path = path, .dtype = &node->save_dtype, .recipe = "{}" };
  evo_merge_context_init (&c, m.models, evo_kernels_get (), pool, NULL, -1, NULL);
  evo_save_model (&c, node, &o, &error);
  evo_merge_context_clear (&c);
  g_assert_no_error (error);
  store = evo_store_open (path, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < evo_store_get_n_tensors (store); i++) {
    const EvoShape *s = evo_store_get_tensor (store, i);
    EvoDtype wanted = strstr (s->name, "norm") ? EVO_DTYPE_F64 : strstr (s->name, "mlp") ? EVO_DTYPE_F8_E5M2 : strstr (s->name, "embed") ? EVO_DTYPE_F16 : EVO_DTYPE_I64;

    g_assert_cmpint (s->dtype, ==, wanted);
  }
  g_file_get_contents (file, &config, NULL, NULL);
  g_assert_nonnull (strstr (config, "\"torch_dtype\": \"float16\"")); /* that of most numbers */
}

static void
test_bad_dtypes (void)
{
  make_llama ();
  made_refused ("'l': {'use': 'model.llm', 'path': 'l'}, 'm': {'use': 'merge.linear', 'in': ['l'], 'dtype': {'*.nothing': 'f32', '*': 'bf16'}}",
                EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "p.json:1: /nodes/m/dtype: \"*.nothing\" decides for no tensor; evopipe inspect MODEL shows their "
                "names and roles, and the first selector that matches one takes it");
  made_refused ("'l': {'use': 'model.llm', 'path': 'l'}, 'm': {'use': 'merge.linear', 'in': ['l'], 'dtype': {'*': 'f32', '@norm': 'bf16'}}",
                EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "p.json:1: /nodes/m/dtype: \"@norm\" decides for no tensor; evopipe inspect MODEL shows their "
                "names and roles, and the first selector that matches one takes it");
}

/* Eight bits hold what they can; beyond is an error, as for all others. */
static void
test_eight_bits (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = NULL, none = NULL;

  made_vector ("a", EVO_DTYPE_F32, (const float[]){ 1, 448, -0.0625f }, 3);
  made_vector ("b", EVO_DTYPE_F32, (const float[]){ 1, 500, 0 }, 3);
  made_open_good (&m, MODELS "'m': {'use': 'merge.linear', 'in': ['a'], 'dtype': 'f8_e4m3'}, 'n': {'use': 'merge.linear', 'in': ['b'], 'dtype': 'f8_e4m3'}");
  bytes = made_compute (&m, "m", "x", EVO_DTYPE_NONE, &made_plainly, &error);
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), "\x38\x7e\x98", 3);
  none = made_compute (&m, "n", "x", EVO_DTYPE_NONE, &made_plainly, &error);
  g_assert_null (none);
  made_check_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "n: x: a value is beyond the range of F8_E4M3; use bf16 or f32");
}

/* ------------------------------------------------------------------ numbers that are none */

/* Of a model that says so they pass, and what comes of them: by another's they stay an error. */
static void
test_nonfinite (void)
{
  static const char *const merges[] = { "'use': 'merge.linear'", "'use': 'merge.slerp'", "'use': 'merge.karcher'", "'use': 'merge.ties', 'base': 'a'",
                                        "'use': 'merge.sce', 'base': 'a'", "'use': 'merge.breadcrumbs', 'base': 'a'", "'use': 'merge.model-stock', 'base': 'a'",
                                        "'use': 'merge.della', 'base': 'a'" };
  g_autofree float *x = made_uniform (N, 1), *y = made_uniform (N, 2);

  made_vector ("a", EVO_DTYPE_F32, x, N);
  y[66000] = NAN;
  y[5] = -HUGE_VALF;
  made_vector ("b", EVO_DTYPE_F32, y, N);
  for (guint i = 0; i < G_N_ELEMENTS (merges); i++) {
    g_auto (Made) m = { NULL };
    g_autofree char *nodes = g_strdup_printf ("'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b', 'allow_nonfinite': true}, "
                                              "'m': {%s, 'in': ['a', 'b']}, 'o': {'use': 'merge.linear', 'in': ['m'], 'dtype': 'bf16'}", merges[i]);
    g_autoptr (GBytes) bytes = NULL;
    g_autoptr (GError) error = NULL;

    g_test_message ("%s", merges[i]);
    made_open_good (&m, nodes);
    bytes = made_compute (&m, "o", "x", EVO_DTYPE_NONE, &made_plainly, &error);
    g_assert_true (bytes != NULL || error->domain == EVO_PLUGIN_ERROR); /* an operator may have no answer, with a sentence */
    if (i > 0)
      continue;
    g_assert_no_error (error);
    g_assert_true (isnan (element (&m, "m", "x", 66000)) && isinf (element (&m, "m", "x", 5)));
  }
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  make_pair ();
  g_test_add_func ("/compat/defaults", test_defaults);
  g_test_add_func ("/compat/top", test_top);
  g_test_add_func ("/compat/rounding", test_rounding);
  g_test_add_func ("/dtype/by-selector", test_dtypes);
  g_test_add_func ("/dtype/by-selector/bad", test_bad_dtypes);
  g_test_add_func ("/dtype/eight-bits", test_eight_bits);
  g_test_add_func ("/nonfinite/allowed", test_nonfinite);
  rc = g_test_run ();
  made_end ();
  return rc;
}
