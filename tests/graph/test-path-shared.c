/* SPDX-License-Identifier: Apache-2.0
 * test-path-shared.c - the compact form of a layer path: reading it, what is refused, what is written, and how large both forms are.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/path/evolve.h"
#include "core/graph/path/shared.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

enum { WIDTH = 4, ROWS = 6, LAYERS = 3, N_PARTS = 9, LAYER_NUMBERS = 7 * WIDTH * WIDTH + 2 * WIDTH, OUTER_NUMBERS = 2 * ROWS * WIDTH + WIDTH };

static const char config[] =
  "{\"model_type\": \"llama\", \"num_hidden_layers\": 3, \"hidden_size\": 4, \"intermediate_size\": 4, \"num_attention_heads\": 1, \"vocab_size\": 6,"
  " \"rms_norm_eps\": 1e-6, \"tie_word_embeddings\": false, \"max_position_embeddings\": 8}";

/* ------------------------------------------------------------------ reading */

/* Opens a file of these two tensors (n 0: not there); scaling NULL: config.json does not say. */
static EvoStore *
open_visits (EvoDtype layers_dtype, const void *layers, gint64 n_layers, EvoDtype scales_dtype, const float *scales, gint64 n_scales, const char *scaling)
{
  g_autofree char *path = made_path ("visits"), *text = g_strdup_printf ("{\"model_type\": \"llama\"%s}", scaling == NULL ? "" : scaling);
  MadeTensor t[3] = { { "w", EVO_DTYPE_F32, 1, { 1 }, NULL, NULL } };
  g_autoptr (GError) error = NULL;
  EvoStore *store;
  guint n = 1;

  if (n_layers > 0)
    t[n++] = (MadeTensor){ EVO_SHARED_LAYERS, layers_dtype, 1, { n_layers }, NULL, layers };
  if (n_scales > 0)
    t[n++] = (MadeTensor){ EVO_SHARED_SCALES, scales_dtype, 1, { n_scales }, evo_dtype_is_float (scales_dtype) ? scales : NULL,
                            evo_dtype_is_float (scales_dtype) ? NULL : scales };
  made_model ("visits", t, n, text);
  store = evo_store_open (path, &error);
  g_assert_no_error (error);
  return store;
}

static const gint64 wide[] = { 0, 2, 1, 2 };
static const gint32 narrow[] = { 0, 2, 1, 2 };
static const float scales[] = { 1, 0.5f, -2, 1.25f }; /* numbers of bf16 too */

static void
test_read (void)
{
  static const struct { EvoDtype layers, scales; const void *numbers; gint64 n_scales; const char *scaling; EvoScaling want; } good[] = {
    { EVO_DTYPE_I64, EVO_DTYPE_F32, wide, 4, NULL, EVO_SCALING_LAST_BRANCH }, /* as the 10B was published */
    { EVO_DTYPE_I32, EVO_DTYPE_BF16, narrow, 4, ", \"input_scaling\": \"stream\"", EVO_SCALING_STREAM },
    { EVO_DTYPE_I64, EVO_DTYPE_F16, wide, 4, ", \"input_scaling\": \"branch\"", EVO_SCALING_BRANCH },
    { EVO_DTYPE_I32, EVO_DTYPE_F32, narrow, 0, ", \"input_scaling\": \"last-branch\"", EVO_SCALING_LAST_BRANCH },
  };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autoptr (EvoStore) store = open_visits (good[i].layers, good[i].numbers, 4, good[i].scales, scales, good[i].n_scales, good[i].scaling);
    g_autoptr (GArray) visits = g_array_new (FALSE, FALSE, sizeof (EvoHop));
    g_autoptr (GError) error = NULL;
    EvoScaling scaling = EVO_SCALING_STREAM;

    g_assert_true (evo_shared_read (store, LAYERS, visits, &scaling, &error));
    g_assert_no_error (error);
    g_assert_true (scaling == good[i].want);
    g_assert_cmpuint (visits->len, ==, 4);
    for (guint h = 0; h < 4; h++) {
      g_assert_cmpuint (g_array_index (visits, EvoHop, h).layer, ==, narrow[h]);
      g_assert_cmpfloat (g_array_index (visits, EvoHop, h).scale, ==, (good[i].n_scales == 0 ? 1 : scales[h]));
    }
  }
}

/* An ordinary checkpoint has no path of its own. */
static void
test_none (void)
{
  g_autoptr (EvoStore) store = open_visits (EVO_DTYPE_I64, NULL, 0, EVO_DTYPE_F32, NULL, 0, NULL);
  g_autoptr (GArray) visits = g_array_new (FALSE, FALSE, sizeof (EvoHop));
  g_autoptr (GError) error = NULL;
  EvoHop left = { 1, 1 };
  EvoScaling scaling;

  g_array_append_val (visits, left);
  g_assert_true (evo_shared_read (store, LAYERS, visits, &scaling, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (visits->len, ==, 0);
}

static void
refused (EvoStore *store, const char *message)
{
  g_autoptr (GArray) visits = g_array_new (FALSE, FALSE, sizeof (EvoHop));
  g_autoptr (GError) error = NULL;
  EvoScaling scaling;

  g_assert_false (evo_shared_read (store, LAYERS, visits, &scaling, &error));
  made_check_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, message);
  evo_store_unref (store);
}

static void
test_bad (void)
{
  static const gint64 beyond[] = { 0, 3 }, below[] = { 0, -1 }, huge[] = { 0, (gint64) 1 << 32 };
  static const gint32 below_32[] = { -1 };
  static const gint64 *const outside[] = { beyond, below, huge };
  static const char no_layer[] = "visits: \"model.input_layers\" names a layer that there is not; layers are 0 ... 2";
  static const char no_list[] = "visits: \"model.input_layers\" should be a list of 1 to 65536 whole numbers, i64 or i32, a layer for each hop";
  static const char no_scales[] = "visits: \"model.input_scales\" should be a list of numbers, a scale for each of model.input_layers";
  static const float floats[] = { 0, 1, 2, 2 };
  g_autofree gint64 *many = g_new0 (gint64, 65537);
  g_autofree char *path = made_path ("visits");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (outside); i++)
    refused (open_visits (EVO_DTYPE_I64, outside[i], 2, EVO_DTYPE_F32, NULL, 0, NULL), no_layer);
  refused (open_visits (EVO_DTYPE_I32, below_32, 1, EVO_DTYPE_F32, NULL, 0, NULL), no_layer);
  refused (open_visits (EVO_DTYPE_F32, floats, 4, EVO_DTYPE_F32, scales, 4, NULL), no_list);
  refused (open_visits (EVO_DTYPE_I64, many, 65537, EVO_DTYPE_F32, NULL, 0, NULL), no_list);
  made_model ("visits", &(MadeTensor){ EVO_SHARED_LAYERS, EVO_DTYPE_I64, 2, { 2, 2 }, NULL, wide }, 1, config);
  refused (evo_store_open (path, &error), no_list);
  refused (open_visits (EVO_DTYPE_I64, wide, 4, EVO_DTYPE_F32, scales, 3, NULL), no_scales);
  refused (open_visits (EVO_DTYPE_I64, wide, 4, EVO_DTYPE_I32, scales, 4, NULL), no_scales);
  refused (open_visits (EVO_DTYPE_I64, wide, 0, EVO_DTYPE_F32, scales, 4, NULL), "visits: \"model.input_scales\" has no model.input_layers beside it");
  refused (open_visits (EVO_DTYPE_I64, wide, 4, EVO_DTYPE_F32, scales, 4, ", \"input_scaling\": \"layer\""),
           "visits: \"input_scaling\" of config.json is none of stream, branch and last-branch");
}

/* ------------------------------------------------------------------ making */

static void
make (const char *model, guint64 stream)
{
  static const char *const parts[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
                                       "mlp.down_proj", "input_layernorm", "post_attention_layernorm" };
  g_autofree float *x = made_uniform (ROWS * WIDTH, stream);
  MadeTensor t[LAYERS * N_PARTS + 3] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { ROWS, WIDTH }, x, NULL },
                                         { "lm_head.weight", EVO_DTYPE_F32, 2, { ROWS, WIDTH }, x, NULL },
                                         { "model.norm.weight", EVO_DTYPE_F32, 1, { WIDTH }, x, NULL } };
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);

  G_STATIC_ASSERT (G_N_ELEMENTS (parts) == N_PARTS);
  for (guint i = 0; i < LAYERS * N_PARTS; i++) {
    char *name = g_strdup_printf ("model.layers.%u.%s.weight", i / N_PARTS, parts[i % N_PARTS]);
    float *values = made_uniform (WIDTH * WIDTH, stream + i + 1);

    g_ptr_array_add (owned, name);
    g_ptr_array_add (owned, values);
    t[i + 3] = (MadeTensor){ name, EVO_DTYPE_F32, i % N_PARTS < 7 ? 2 : 1, { WIDTH, WIDTH }, values, NULL };
  }
  made_model (model, t, G_N_ELEMENTS (t), config);
}

#define PATH(more) "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, " \
                   "'p': {'use': 'merge.layer-path', 'in': ['a', 'b'], " more "}"
#define MIXED "'path': ['a:0', 'b:2', 'a:1', 'b:2', 'a:0', 'a:2'], 'scale': [1, 0.5, 1, 2, -1, 1]"

/* Layers stand once, in the order of their first visits, as they are: nothing is folded. */
static void
test_init (void)
{
  static const gint64 order[] = { 0, 1, 2, 1, 0, 3 };
  static const float written[] = { 1, 0.5f, 1, 2, -1, 1 };
  static const struct { guint input; gint32 layer; } first[] = { { 0, 0 }, { 1, 2 }, { 0, 1 }, { 0, 2 } };
  g_auto (Made) m = { NULL };
  g_auto (EvoShared) s = { 0 };
  g_autoptr (GError) error = NULL;

  make ("a", 100);
  make ("b", 300);
  made_open_good (&m, PATH (MIXED ", 'scaling': 'branch'"));
  g_assert_true (evo_shared_init (m.models, evo_graph_find (m.graph, "p"), &s, &error));
  g_assert_no_error (error);
  g_assert_true (s.scaling == EVO_SCALING_BRANCH);
  g_assert_cmpmem (s.layers, s.n * sizeof *s.layers, order, sizeof order);
  g_assert_cmpmem (s.scales, s.n * sizeof *s.scales, written, sizeof written);
  g_assert_cmpint (s.layout.n_layers, ==, G_N_ELEMENTS (first));
  g_assert_cmpuint (s.layout.n, ==, G_N_ELEMENTS (first) * N_PARTS + 3);
  for (guint i = 0; i < s.layout.n; i++) {
    const EvoLayoutTensor *t = &s.layout.tensors[i];

    g_assert_cmpfloat (t->factor, ==, 1);
    if (t->role.layer < 0)
      continue;
    const EvoLayout *l = evo_models_get_layout (m.models, evo_graph_find (m.graph, first[t->role.layer].input == 0 ? "a" : "b"));
    g_assert_cmpint (l->tensors[t->from[first[t->role.layer].input]].role.layer, ==, first[t->role.layer].layer);
    g_assert_cmpint (t->from[1 - first[t->role.layer].input], ==, -1);
  }
  g_assert_true (evo_shared_replaces ("num_hops") && evo_shared_replaces ("input_scaling") && !evo_shared_replaces ("num_hidden_layers"));
  evo_shared_clear (&s);
  g_assert_true (s.layers == NULL && s.scales == NULL && s.layout.n == 0);
}

/* Saves p in both forms: what the program says of their sizes is what the files hold. */
static gsize
save (const Made *m, guint layout, guint *n_tensors)
{
  g_autofree char *path = made_path ("saved");
  EvoSaveOptions o = { .path = path, .replace = TRUE, .recipe = "{}\n" };
  EvoNode *p = evo_graph_find (m->graph, "p");
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_autoptr (EvoStore) store = NULL;
  g_autoptr (GError) error = NULL;
  EvoMergeContext c;
  gsize n = 0;

  p->save_layout = layout;
  evo_merge_context_init (&c, m->models, evo_kernels_get (), pool, NULL, -1, NULL);
  evo_save_model (&c, p, &o, &error);
  evo_merge_context_clear (&c);
  g_assert_no_error (error);
  store = evo_store_open (path, &error);
  g_assert_no_error (error);
  *n_tensors = evo_store_get_n_tensors (store);
  for (guint i = 0; i < *n_tensors; i++)
    n += (gsize) evo_shape_bytes (evo_store_get_tensor (store, i));
  return n;
}

static void
test_size (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;
  const EvoDtypes half = { .all = EVO_DTYPE_F16 };
  EvoPathSize size;
  const EvoNode *p;
  guint n;

  make ("a", 100);
  make ("b", 300);
  made_open_good (&m, PATH (MIXED));
  p = evo_graph_find (m.graph, "p");
  g_assert_true (evo_path_measure (m.models, p, NULL, &size, &error));
  g_assert_true (size.is_exact && size.hops == 6 && size.layers == 4 && size.n_tensors == 4 * N_PARTS + 5);
  g_assert_cmpuint (size.plain, ==, 4 * (OUTER_NUMBERS + 6 * LAYER_NUMBERS));
  g_assert_cmpuint (size.shared, ==, 4 * (OUTER_NUMBERS + 4 * LAYER_NUMBERS) + 6 * 12);
  for (guint layout = EVO_SAVE_PLAIN; layout <= EVO_SAVE_SHARED; layout++) {
    g_assert_cmpuint (save (&m, layout, &n), ==, (layout == EVO_SAVE_SHARED ? size.shared : size.plain));
    g_assert_cmpuint (evo_saved_bytes (m.models, p, NULL), ==, (layout == EVO_SAVE_SHARED ? size.shared : size.plain));
    g_assert_cmpuint (evo_saved_tensors (m.models, p), ==, n);
  }
  g_assert_true (evo_path_measure (m.models, p, &half, &size, &error));
  g_assert_cmpuint (size.plain, ==, 2 * (OUTER_NUMBERS + 6 * LAYER_NUMBERS));
  g_assert_cmpuint (size.shared, ==, 2 * (OUTER_NUMBERS + 4 * LAYER_NUMBERS) + 6 * 12);
  g_assert_cmpuint (evo_saved_bytes (m.models, evo_graph_find (m.graph, "a"), NULL), ==, 4 * (OUTER_NUMBERS + LAYERS * LAYER_NUMBERS));
}

/* Of a path that is searched it is known how large it can become. */
static void
test_size_of_searched (void)
{
  static const struct { const char *more; guint hops, layers; } cases[] = {
    { "'path': {'evolve': 'path'}, 'repeats': 2", 2 * 6 + 2, 6 },           /* and the first and last layer of a */
    { "'path': {'evolve': 'path'}, 'repeats': 2, 'max_hops': 5", 5, 5 },
    { "'path': {'evolve': 'path', 'encoding': 'slots'}, 'repeats': 3", 9, 6 },
    { "'path': {'evolve': 'path', 'encoding': 'window', 'hops': 4}", 4, 4 },
  };

  make ("a", 100);
  make ("b", 300);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *nodes = g_strconcat ("'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, 's': {'use': 'merge.layer-path', "
                                          "'in': ['a', 'b'], ", cases[i].more, "}, 'cost': {'use': 'evaluator.cost', 'in': ['s']}, 'best': {'use': "
                                          "'optimizer.random', 'minimize': ['cost'], 'trials': 2}", NULL);
    g_auto (Made) m = { NULL };
    g_autoptr (GError) error = NULL;
    EvoPathSize size;
    const EvoNode *s;

    made_open_good (&m, nodes);
    s = evo_graph_find (m.graph, "s");
    g_assert_cmpuint (evo_path_genes_count_hops (s, (const gint32[]){ LAYERS, LAYERS }), ==, cases[i].hops);
    g_assert_true (evo_path_measure (m.models, s, NULL, &size, &error));
    g_assert_true (!size.is_exact && size.hops == cases[i].hops && size.layers == cases[i].layers);
    g_assert_cmpuint (size.plain, ==, 4 * (OUTER_NUMBERS + cases[i].hops * LAYER_NUMBERS));
    g_assert_cmpuint (size.shared, ==, 4 * (OUTER_NUMBERS + cases[i].layers * LAYER_NUMBERS) + 12 * cases[i].hops);
    g_assert_cmpuint (evo_saved_bytes (m.models, evo_graph_find (m.graph, "best"), NULL), ==, size.plain);
  }
}

/* A checkpoint in the compact form as the input of another path: its layers are what it has, its own order of visits ends there. */
static void
test_input (void)
{
  g_auto (Made) m = { NULL }, again = { NULL };
  guint n;

  make ("a", 100);
  make ("b", 300);
  made_open_good (&m, PATH (MIXED));
  save (&m, EVO_SAVE_SHARED, &n);
  made_open_good (&again, "'c': {'use': 'model.llm', 'path': 'saved'}, 'p': {'use': 'merge.layer-path', 'in': ['c'], 'path': ['c:0-3', 'c:1']}");
  g_assert_cmpuint (evo_models_get_layout (again.models, evo_graph_find (again.graph, "c"))->n, ==, 4 * N_PARTS + 5);
  g_assert_cmpuint (evo_models_get_layout (again.models, evo_graph_find (again.graph, "p"))->n, ==, 5 * N_PARTS + 3);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/path-shared/read", test_read);
  g_test_add_func ("/path-shared/none", test_none);
  g_test_add_func ("/path-shared/bad", test_bad);
  g_test_add_func ("/path-shared/init", test_init);
  g_test_add_func ("/path-shared/size", test_size);
  g_test_add_func ("/path-shared/size-of-searched", test_size_of_searched);
  g_test_add_func ("/path-shared/input", test_input);
  const int rc = g_test_run ();
  made_end ();
  return rc;
}
