/* SPDX-License-Identifier: Apache-2.0
 * test-layout.c - which tensors a merge has, known from headers: order, what is dropped, lent and refused; and what is copied whole.
 */
#include <string.h>

#include "core/base/error.h"
#include "tests/graph/made.h"

#define F32(name, ...) { name, EVO_DTYPE_F32, G_N_ELEMENTS (((gint64[]){ __VA_ARGS__ })), { __VA_ARGS__ }, NULL, NULL }
#define MODELS "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
#define MERGED MODELS "'m': {'use': 'merge.linear', 'in': ['a', 'b']}"

static const char llama[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 12}";

#define model(name, config, ...) made_model (name, (MadeTensor[]){ __VA_ARGS__ }, G_N_ELEMENTS (((MadeTensor[]){ __VA_ARGS__ })), config)

static const EvoLayout *
layout (const Made *m, const char *node)
{
  return evo_models_get_layout (m->models, evo_graph_find (m->graph, node));
}

static void
check_names (const Made *m, const char *node, const char *names)
{
  g_autoptr (GString) got = g_string_new (NULL);
  const EvoLayout *l = layout (m, node);

  for (guint i = 0; i < l->n; i++)
    g_string_append_printf (got, "%s%s", i == 0 ? "" : " ", l->tensors[i].shape.name);
  g_assert_cmpstr (got->str, ==, names);
}

/* ------------------------------------------------------------------ order */

static void
test_order (void)
{
  g_auto (Made) m = { NULL };
  gint64 before = 0;

  model ("a", NULL, F32 ("h.10.w", 2, 3), F32 ("h.2.w", 5), F32 ("h.2.b", 1), F32 ("embed", 7, 1), F32 ("h.010.w", 1), F32 ("h.1.w", 4));
  model ("b", NULL, F32 ("h.1.w", 4), F32 ("h.2.b", 1), F32 ("h.2.w", 5), F32 ("embed", 7, 1), F32 ("h.10.w", 2, 3), F32 ("h.010.w", 1));
  made_open_good (&m, MERGED);
  check_names (&m, "a", "embed h.1.w h.2.b h.2.w h.010.w h.10.w");
  check_names (&m, "m", "embed h.1.w h.2.b h.2.w h.010.w h.10.w");
  for (guint i = 0; i < layout (&m, "m")->n; i++) {
    const EvoLayoutTensor *t = &layout (&m, "m")->tensors[i], *b = &layout (&m, "b")->tensors[t->from[1]];

    g_assert_cmpint (t->model_first, ==, before);
    before += t->shape.n;
    g_assert_cmpstr (b->shape.name, ==, t->shape.name);
    g_assert_cmpint (t->from[2], ==, -1); /* there is no base */
  }
  g_assert_cmpint (layout (&m, "m")->n_elements, ==, before);
  g_assert_cmpint (layout (&m, "m")->n_layers, ==, 11); /* of no known architecture: the largest number in a name, from 0 */
  g_assert_cmpint (evo_models_get_n_layers (m.models)[evo_graph_find (m.graph, "m")->index], ==, 11);
}

/* A merge has the tensors, dtypes and configuration of its base, else of its first input. */
static void
test_base (void)
{
  g_auto (Made) m = { NULL };
  MadeTensor wide = F32 ("x", 3), narrow = { "x", EVO_DTYPE_BF16, 1, { 3 }, NULL, NULL };

  made_model ("a", &wide, 1, NULL);
  made_model ("b", &narrow, 1, NULL);
  made_open_good (&m, MODELS "'first': {'use': 'merge.linear', 'in': ['b', 'a']}, 'f16': {'use': 'merge.linear', 'in': ['b', 'a'], 'dtype': 'f16'}, "
                  "'based': {'use': 'merge.task-arithmetic', 'base': 'a', 'in': ['b']}, 'nested': {'use': 'merge.linear', 'in': ['f16', 'a']}");
  g_assert_cmpint (layout (&m, "first")->tensors[0].shape.dtype, ==, EVO_DTYPE_BF16);
  g_assert_cmpint (layout (&m, "f16")->tensors[0].shape.dtype, ==, EVO_DTYPE_F16);
  g_assert_cmpint (layout (&m, "based")->tensors[0].shape.dtype, ==, EVO_DTYPE_F32);
  g_assert_cmpint (layout (&m, "nested")->tensors[0].shape.dtype, ==, EVO_DTYPE_F16);
  g_assert_true (layout (&m, "first")->source == evo_graph_find (m.graph, "b"));
  g_assert_true (layout (&m, "nested")->source == evo_graph_find (m.graph, "b"));
  g_assert_true (layout (&m, "based")->source == evo_graph_find (m.graph, "a"));
}

/* ------------------------------------------------------------------ what does not fit */

static void
test_misfits (void)
{
  const GQuark g = EVO_GRAPH_ERROR;
  const gint64 one = 1;

  model ("a", NULL, F32 ("x", 3), F32 ("y", 2, 2));
  model ("b", NULL, F32 ("x", 3));
  made_refused (MERGED, g, EVO_GRAPH_ERROR_SHAPE, "m: b has no tensor \"y\", a has it");
  made_refused (MODELS "'m': {'use': 'merge.linear', 'in': ['b', 'a']}", g, EVO_GRAPH_ERROR_SHAPE, "m: a has a tensor \"y\" that b lacks");
  made_refused (MODELS "'m': {'use': 'merge.ties', 'base': 'b', 'in': ['a']}", g, EVO_GRAPH_ERROR_SHAPE, "m: a has a tensor \"y\" that b lacks");
  made_refused (MODELS "'m': {'use': 'merge.ties', 'base': 'a', 'in': ['b']}", g, EVO_GRAPH_ERROR_SHAPE, "m: b has no tensor \"y\", a has it");
  model ("b", NULL, F32 ("x", 3), F32 ("y", 4));
  made_refused (MERGED, g, EVO_GRAPH_ERROR_SHAPE, "m: \"y\" is [2, 2] in a and [4] in b; shapes must agree");
  model ("b", NULL, F32 ("x", 3), F32 ("y", 2, 2, 1));
  made_refused (MERGED, g, EVO_GRAPH_ERROR_SHAPE, "m: \"y\" is [2, 2] in a and [2, 2, 1] in b; shapes must agree");
  model ("b", NULL, F32 ("x", 3), { "y", EVO_DTYPE_I32, 2, { 2, 2 }, NULL, NULL });
  made_refused (MERGED, g, EVO_GRAPH_ERROR_SHAPE, "m: \"y\" is F32 in a and I32 in b; both must be floating point");
  made_refused (MODELS "'m': {'use': 'merge.linear', 'in': ['b', 'a']}", g, EVO_GRAPH_ERROR_SHAPE,
                "m: \"y\" is I32 in b and F32 in a; both must be floating point");
  model ("b", NULL, F32 ("x", 3), { "y", EVO_DTYPE_F32, 0, { 0 }, NULL, &one });
  made_refused (MERGED, g, EVO_GRAPH_ERROR_SHAPE, "m: \"y\" is [2, 2] in a and [] in b; shapes must agree");
}

/* The inner merge is named where its inputs do not fit, and a selector where it matches nothing that the merge has. */
static void
test_nested_misfits (void)
{
  const GQuark g = EVO_GRAPH_ERROR;

  model ("a", NULL, F32 ("x.w", 3));
  model ("b", NULL, F32 ("x.w", 3));
  model ("c", NULL, F32 ("x.w", 3), F32 ("z", 1));
  made_refused (MODELS "'c': {'use': 'model.llm', 'path': 'c'}, 'i': {'use': 'merge.linear', 'in': ['a', 'b']}, "
                "'m': {'use': 'merge.linear', 'in': ['i', 'c']}", g, EVO_GRAPH_ERROR_SHAPE, "m: c has a tensor \"z\" that i lacks");
  made_refused (MODELS "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': {'*.w': 1, '*.bias': 2}}, 'b']}", g, EVO_GRAPH_ERROR_UNKNOWN,
                "p.json:1: /nodes/m/in/0/weight: \"*.bias\" matches no tensor; evopipe inspect MODEL shows their names and roles");
}

/* Points to start from name dimensions; which there are is known with the number of layers. */
static void
test_starts (void)
{
  static const char search[] = "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': {'evolve': [0, 1], 'per': 'layer'}}]}, "
                               "'e': {'use': 'evaluator.exact-match', 'in': ['m'], 'data': 'd.jsonl'}, "
                               "'s': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 9, 'start_from': [{'note': 'n', 'm.a.weight': 1}, {'%s': 0.5}]}";
  g_autofree char *good = g_strdup_printf (search, "m.a.weight[layer 11]"), *bad = g_strdup_printf (search, "m.a.weight[layer 12]");
  g_autofree char *nodes = g_strconcat ("'a': {'use': 'model.llm', 'path': 'a'}, ", good, NULL);
  g_autofree char *bad_nodes = g_strconcat ("'a': {'use': 'model.llm', 'path': 'a'}, ", bad, NULL);
  g_auto (Made) m = { NULL };

  model ("a", llama, F32 ("model.embed_tokens.weight", 4, 2));
  made_open_good (&m, nodes);
  made_refused (bad_nodes, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "p.json:1: /nodes/s/start_from/1/m.a.weight[layer 12]: there is no gene of this name; "
                "did you mean \"m.a.weight[layer 1]\"?");
}

/* ------------------------------------------------------------------ buffers, tied embeddings */

static void
test_buffers (void)
{
  g_auto (Made) m = { NULL };

  model ("a", llama, F32 ("model.embed_tokens.weight", 4, 2), F32 ("model.layers.0.self_attn.rotary_emb.inv_freq", 1),
         F32 ("model.layers.0.self_attn.masked_bias", 1), F32 ("model.norm.weight", 2), F32 ("lm_head.weight", 4, 2));
  model ("b", llama, F32 ("model.embed_tokens.weight", 4, 2), F32 ("model.rotary_emb.inv_freq", 8), F32 ("model.norm.weight", 2),
         F32 ("lm_head.weight", 4, 2));
  made_open_good (&m, MERGED);
  check_names (&m, "a", "lm_head.weight model.embed_tokens.weight model.norm.weight");
  check_names (&m, "m", "lm_head.weight model.embed_tokens.weight model.norm.weight");
  g_assert_cmpint (layout (&m, "m")->n_layers, ==, 12);
  g_assert_false (layout (&m, "m")->untied);
}

/* The same where no plugin knows the architecture. */
static void
test_buffers_unknown (void)
{
  g_auto (Made) m = { NULL };

  model ("a", NULL, F32 ("gpt.embed_tokens.weight", 4, 2), F32 ("gpt.h.0.attn.masked_bias", 1), F32 ("gpt.h.0.w", 1));
  model ("b", NULL, F32 ("gpt.embed_tokens.weight", 4, 2), F32 ("gpt.h.0.rotary.inv_freq", 1), F32 ("gpt.h.0.w", 1), F32 ("lm_head.weight", 4, 2));
  made_open_good (&m, MERGED);
  check_names (&m, "m", "gpt.embed_tokens.weight gpt.h.0.w lm_head.weight");
  g_assert_true (layout (&m, "m")->untied);
}

static void
tied_models (void)
{
  static const float embed[] = { 1, 2, 3, 4 }, head[] = { 10, 20, 30, 40 };

  model ("a", llama, { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, embed, NULL });
  model ("b", llama, { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, embed, NULL },
         { "lm_head.weight", EVO_DTYPE_BF16, 2, { 2, 2 }, head, NULL });
}

/* The tied input lends its embedding, the result has both; `added`: its configuration, the tied one's, has to say so. */
static void
check_untied (const char *nodes, gboolean added, float w_embed, float w_head)
{
  g_auto (Made) m = { NULL };
  g_autofree float *head = NULL;

  made_open_good (&m, nodes);
  check_names (&m, "m", "lm_head.weight model.embed_tokens.weight");
  g_assert_cmpint (layout (&m, "m")->untied, ==, added);
  head = made_floats (&m, "m", "lm_head.weight", &made_plainly);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat (head[i], ==, (float) (i + 1) * (w_embed + 10 * w_head));
}

static void
test_untied (void)
{
  tied_models ();
  check_untied (MODELS "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': 0.25}, {'from': 'b', 'weight': 0.75}]}", TRUE, 0.25, 0.75);
  check_untied (MODELS "'m': {'use': 'merge.linear', 'in': [{'from': 'b', 'weight': 0.75}, {'from': 'a', 'weight': 0.25}]}", FALSE, 0.25, 0.75);
  check_untied (MODELS "'m': {'use': 'merge.task-arithmetic', 'base': 'a', 'in': [{'from': 'b', 'weight': 0.5}]}", TRUE, 0.5, 0.5);
  check_untied (MODELS "'m': {'use': 'merge.task-arithmetic', 'base': 'b', 'in': [{'from': 'a', 'weight': 0.5}]}", FALSE, 0.5, 0.5);
  /* of a tied merge and an untied model; of an untied merge, whose configuration is a tied model's, and that model */
  check_untied (MODELS "'i': {'use': 'merge.linear', 'in': ['a', 'a']}, 'm': {'use': 'merge.linear', 'in': ['i', 'b']}", TRUE, 0.5, 0.5);
  check_untied (MODELS "'i': {'use': 'merge.linear', 'in': ['a', 'b']}, 'm': {'use': 'merge.linear', 'in': ['i', 'a']}", TRUE, 0.75, 0.25);
}

/* A tied model whose files hold an output matrix all the same: it is not what the model runs with. */
static void
test_tied_with_head (void)
{
  static const float embed[] = { 1, 2, 3, 4 }, stale[] = { 7, 7, 7, 7 };
  static const char tied[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 1, \"tie_word_embeddings\": true}";

  tied_models ();
  model ("c", tied, { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 2, 2 }, embed, NULL },
         { "lm_head.weight", EVO_DTYPE_F32, 2, { 2, 2 }, stale, NULL });
  check_untied (MODELS "'c': {'use': 'model.llm', 'path': 'c'}, 'm': {'use': 'merge.linear', 'in': ['c', 'b']}", TRUE, 0.5, 0.5);
  check_untied (MODELS "'c': {'use': 'model.llm', 'path': 'c'}, 'm': {'use': 'merge.linear', 'in': ['b', 'c']}", FALSE, 0.5, 0.5);
  check_untied (MODELS "'c': {'use': 'model.llm', 'path': 'c'}, 'm': {'use': 'merge.linear', 'in': ['c', 'c']}", FALSE, 1, 0);
}

static void
test_untied_dtype (void)
{
  g_auto (Made) m = { NULL };

  tied_models ();
  made_open_good (&m, MERGED);
  g_assert_cmpint (layout (&m, "m")->tensors[0].shape.dtype, ==, EVO_DTYPE_BF16); /* of the input that has it */
  g_assert_cmpint (layout (&m, "m")->tensors[1].shape.dtype, ==, EVO_DTYPE_F32);
}

/* ------------------------------------------------------------------ what is no floating point is copied */

static void
refuse_compute (const char *nodes, const char *tensor, GQuark domain, gint code, const char *message)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;

  made_open_good (&m, nodes);
  g_assert_null (made_compute (&m, "m", tensor, EVO_DTYPE_NONE, &made_plainly, &error));
  made_check_error (error, domain, code, message);
}

static void
test_other_types (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree gint64 *ids = g_new (gint64, 300000), *others = NULL;

  for (gint64 i = 0; i < 300000; i++)
    ids[i] = i * 0x123456789;
  others = g_memdup2 (ids, 300000 * sizeof *ids);
  others[299999] ^= 1;
  model ("a", NULL, { "ids", EVO_DTYPE_I64, 1, { 300000 }, NULL, ids }, { "none", EVO_DTYPE_U8, 1, { 0 }, NULL, NULL }, F32 ("x", 1));
  model ("b", NULL, { "ids", EVO_DTYPE_I64, 1, { 300000 }, NULL, ids }, { "none", EVO_DTYPE_U8, 1, { 0 }, NULL, NULL }, F32 ("x", 1));
  model ("c", NULL, { "ids", EVO_DTYPE_I64, 1, { 300000 }, NULL, others }, { "none", EVO_DTYPE_U8, 1, { 0 }, NULL, NULL }, F32 ("x", 1));
  model ("d", NULL, { "ids", EVO_DTYPE_U64, 1, { 300000 }, NULL, ids }, { "none", EVO_DTYPE_U8, 1, { 0 }, NULL, NULL }, F32 ("x", 1));
  made_open_good (&m, MODELS "'i': {'use': 'merge.linear', 'in': ['a', 'b']}, 'm': {'use': 'merge.task-arithmetic', 'base': 'a', 'in': ['i', 'b'], 'dtype': 'bf16'}");
  bytes = made_compute (&m, "m", "ids", EVO_DTYPE_BF16, &made_plainly, &error); /* a dtype is for floats only */
  g_assert_no_error (error);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), ids, 300000 * sizeof *ids);
  g_bytes_unref (bytes);
  bytes = made_compute (&m, "m", "none", EVO_DTYPE_NONE, &made_plainly, &error);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 0);
  refuse_compute ("'a': {'use': 'model.llm', 'path': 'a'}, 'c': {'use': 'model.llm', 'path': 'c'}, 'm': {'use': 'merge.linear', 'in': ['a', 'c']}", "ids",
                  EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "m: ids: \"ids\" is I64 and differs between a and c; only equal tensors can be copied");
  made_refused ("'a': {'use': 'model.llm', 'path': 'a'}, 'd': {'use': 'model.llm', 'path': 'd'}, 'm': {'use': 'merge.linear', 'in': ['a', 'd']}",
                EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "m: \"ids\" is I64 in a and U64 in d; only equal tensors can be copied");
}

/* ------------------------------------------------------------------ weights that are no numbers */

static void
test_not_finite (void)
{
  const gint64 n = 200000;
  g_autofree float *x = made_uniform (n, 1), *y = made_uniform (n, 2);

  made_vector ("a", EVO_DTYPE_F32, x, n);
  x[131071] = NAN;
  x[199999] = HUGE_VALF;
  made_vector ("b", EVO_DTYPE_F32, x, n);
  refuse_compute (MERGED, "x", EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "m: x: b: \"x\" has a NaN at element 131071; the checkpoint is damaged");
  /* also where the operator would not keep it: ties cuts it, dare drops it, a weight of 0 hides it */
  refuse_compute (MODELS "'m': {'use': 'merge.ties', 'base': 'a', 'in': ['b']}", "x", EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE,
                  "m: x: b: \"x\" has a NaN at element 131071; the checkpoint is damaged");
  refuse_compute (MODELS "'m': {'use': 'merge.dare-linear', 'base': 'a', 'in': [{'from': 'b', 'density': 0}]}", "x", EVO_STORE_ERROR,
                  EVO_STORE_ERROR_NONFINITE, "m: x: b: \"x\" has a NaN at element 131071; the checkpoint is damaged");
  refuse_compute ("'m': {'use': 'model.llm', 'path': 'b'}", "x", EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE,
                  "m: x: b: \"x\" has a NaN at element 131071; the checkpoint is damaged");
  x[131071] = 0;
  made_vector ("b", EVO_DTYPE_BF16, x, n);
  refuse_compute (MERGED, "x", EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "m: x: b: \"x\" has an infinity at element 199999; the checkpoint is damaged");
  y[70000] = 1e6f;
  made_vector ("b", EVO_DTYPE_F32, y, n);
  refuse_compute (MODELS "'m': {'use': 'merge.linear', 'in': ['a', 'b'], 'dtype': 'f16'}", "x", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC,
                  "m: x: a value is beyond the range of F16; use bf16 or f32");
  refuse_compute (MODELS "'i': {'use': 'merge.linear', 'in': ['b'], 'dtype': 'f16'}, 'm': {'use': 'merge.linear', 'in': ['a', 'i']}", "x",
                  EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "m: x: i: a value is beyond the range of F16; use bf16 or f32");
  refuse_compute ("'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b', 'dtype': 'f16'}, 'm': {'use': 'merge.linear', 'in': ['a', 'b']}",
                  "x", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "m: x: b: a value is beyond the range of F16; use bf16 or f32");
  refuse_compute (MODELS "'m': {'use': 'merge.linear', 'normalize': false, 'in': [{'from': 'a', 'weight': 1e39}, 'b']}", "x", EVO_PLUGIN_ERROR,
                  EVO_PLUGIN_ERROR_NUMERIC, "m: x: the result is not finite though the inputs are; the parameters are too large");
}

/* An operator's own complaint comes with node and tensor, and is that of the first element whatever thread met it first. */
static void
test_operator_fails (void)
{
  const gint64 n = 400000;
  g_autofree float *x = made_uniform (n, 1);

  made_vector ("a", EVO_DTYPE_F32, x, n);
  made_vector ("b", EVO_DTYPE_F32, x, n);
  refuse_compute (MODELS "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': -1}, 'b']}", "x", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM,
                  "m: x: the weights sum to zero; another weight, or \"normalize\": false");
  refuse_compute (MODELS "'m': {'use': 'merge.probe-seed', 'in': ['a', 'b'], 'fail_at': 300000}", "x", EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC,
                  "m: x: fails at 300000");
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/layout/order", test_order);
  g_test_add_func ("/layout/base", test_base);
  g_test_add_func ("/layout/misfits", test_misfits);
  g_test_add_func ("/layout/nested-misfits", test_nested_misfits);
  g_test_add_func ("/layout/starts", test_starts);
  g_test_add_func ("/layout/buffers", test_buffers);
  g_test_add_func ("/layout/buffers-unknown", test_buffers_unknown);
  g_test_add_func ("/layout/untied", test_untied);
  g_test_add_func ("/layout/tied-with-head", test_tied_with_head);
  g_test_add_func ("/layout/untied-dtype", test_untied_dtype);
  g_test_add_func ("/layout/other-types", test_other_types);
  g_test_add_func ("/layout/not-finite", test_not_finite);
  g_test_add_func ("/layout/operator-fails", test_operator_fails);
  rc = g_test_run ();
  made_end ();
  return rc;
}
