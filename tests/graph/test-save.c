/* SPDX-License-Identifier: Apache-2.0
 * test-save.c - a saved model: its configuration, companions, shards, recipe and card; whole or not at all, and never over something else.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"
#include "core/store/store.h"
#include "tests/graph/made.h"

#define SOURCES "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
#define MERGED SOURCES "'m': {'use': 'merge.linear', 'in': ['a', 'b']}"
#define RECIPE "{\n  \"evopipe\": 1\n}\n"

static const char config_a[] =
  "{\n  \"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"num_hidden_layers\": 1,\n"
  "  \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"tie_word_embeddings\": true, \"torch_dtype\": \"float32\", \"eos_token_id\": [2, 3]}";
static const char config_b[] = "{\"model_type\": \"llama\", \"num_hidden_layers\": 1, \"dtype\": \"bfloat16\"}";

static float values[4096];

static void
write_sources (void)
{
  static const char *const copied[] = { "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json",
                                        "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "modeling_x.py" };

  for (guint i = 0; i < 4096; i++)
    values[i] = (float) i / 8;
  made_model ("a", (MadeTensor[]){ { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 32, 64 }, values, NULL },
                                   { "model.layers.0.mlp.up_proj.weight", EVO_DTYPE_F32, 2, { 64, 64 }, values, NULL },
                                   { "model.norm.weight", EVO_DTYPE_F32, 1, { 64 }, values, NULL } }, 3, config_a);
  made_model ("b", (MadeTensor[]){ { "model.embed_tokens.weight", EVO_DTYPE_BF16, 2, { 32, 64 }, values, NULL },
                                   { "lm_head.weight", EVO_DTYPE_BF16, 2, { 32, 64 }, values, NULL },
                                   { "model.layers.0.mlp.up_proj.weight", EVO_DTYPE_BF16, 2, { 64, 64 }, values, NULL },
                                   { "model.norm.weight", EVO_DTYPE_BF16, 1, { 64 }, values, NULL } }, 4, config_b);
  for (guint i = 0; i < G_N_ELEMENTS (copied); i++)
    made_file ("a", copied[i], copied[i]);
  made_file ("a", "pytorch_model.bin", "never read, never copied");
  made_file ("a", "LICENSE", "text");
  made_file ("a", "README.md", "---\nlanguage: ja\nlicense: apache-2.0\n---\n# A\n");
  made_file ("b", "README.md", "no front matter\nlicense: mit\n");
  made_file ("b", "tokenizer.json", "of b");
}

static gboolean
save (const Made *m, const char *node, EvoSaveOptions *o, GError **error)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  EvoMergeContext c;
  gboolean good;

  o->recipe = RECIPE;
  evo_merge_context_init (&c, m->models, evo_kernels_get (), pool, NULL, -1, NULL);
  good = evo_save_model (&c, evo_graph_find (m->graph, node), o, error);
  evo_merge_context_clear (&c);
  return good;
}

/* Saves as the folder's `name` (owned path). */
static char *
save_good (const Made *m, const char *node, const char *name, EvoDtype dtype, guint64 shard)
{
  char *path = made_path (name);
  EvoSaveOptions o = { .path = path, .dtype = &(EvoDtypes){ .all = dtype }, .shard_bytes = shard };
  g_autoptr (GError) error = NULL;

  save (m, node, &o, &error);
  g_assert_no_error (error);
  return path;
}

static char *
contents (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* All names in a folder, hidden ones too, sorted. */
static char *
listing (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  g_assert_nonnull (dir);
  while ((name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, by_name);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (" ", (char **) names->pdata);
}

/* ------------------------------------------------------------------ files */

static void
test_files (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL, *names = NULL, *tokenizer = NULL, *recipe = NULL;

  made_open_good (&m, MERGED);
  path = save_good (&m, "m", "deep/er/files", EVO_DTYPE_NONE, 0); /* missing parents are made */
  names = listing (path);
  g_assert_cmpstr (names, ==, "README.md added_tokens.json chat_template.jinja config.json evopipe.json generation_config.json merges.txt model.safetensors "
                   "modeling_x.py special_tokens_map.json tokenizer.json tokenizer.model tokenizer_config.json vocab.json");
  tokenizer = contents (path, "tokenizer.json");
  g_assert_cmpstr (tokenizer, ==, "tokenizer.json"); /* the first input's */
  recipe = contents (path, "evopipe.json");
  g_assert_cmpstr (recipe, ==, RECIPE);
}

/* A safetensors file: what lies beside it is its own where there is a config.json, else it has nothing. */
static void
test_single_file (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL, *names = NULL, *bare = NULL, *bare_names = NULL;

  made_vector ("bare", EVO_DTYPE_F32, values, 10);
  made_file ("bare", "tokenizer.json", "somebody else's");
  made_open_good (&m, "'b': {'use': 'model.llm', 'path': 'b/model.safetensors'}, 'm': {'use': 'merge.linear', 'in': ['b']}, "
                  "'s': {'use': 'model.llm', 'path': 'bare/model.safetensors'}, 'n': {'use': 'merge.linear', 'in': ['s']}");
  path = save_good (&m, "m", "single", EVO_DTYPE_NONE, 0);
  names = listing (path);
  g_assert_cmpstr (names, ==, "README.md config.json evopipe.json model.safetensors tokenizer.json");
  bare = save_good (&m, "n", "single-bare", EVO_DTYPE_NONE, 0);
  bare_names = listing (bare);
  g_assert_cmpstr (bare_names, ==, "README.md evopipe.json model.safetensors");
}

/* ------------------------------------------------------------------ config.json */

static void
check_config (const Made *m, const char *node, EvoDtype dtype, const char *expected)
{
  g_autofree char *path = save_good (m, node, "config", dtype, 0), *text = contents (path, "config.json"), *file = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (text, ==, expected);
  file = g_strdup_printf ("rm -r '%s'", path);
  g_assert_true (g_spawn_command_line_sync (file, NULL, NULL, NULL, &error));
}

static void
test_config (void)
{
  g_auto (Made) m = { NULL };

  made_open_good (&m, SOURCES "'tied': {'use': 'merge.linear', 'in': ['a']}, 'bf16': {'use': 'merge.linear', 'in': ['a'], 'dtype': 'bf16'}, "
                  "'m': {'use': 'merge.linear', 'in': ['a', 'b']}, 'ba': {'use': 'merge.linear', 'in': ['b', 'a']}");
  check_config (&m, "tied", EVO_DTYPE_NONE,
                "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"model_type\": \"llama\",\n  \"num_hidden_layers\": 1,\n  \"rms_norm_eps\": 1e-05,\n"
                "  \"rope_theta\": 10000.0,\n  \"tie_word_embeddings\": true,\n  \"torch_dtype\": \"float32\",\n  \"eos_token_id\": [\n    2,\n    3\n  ]\n}\n");
  check_config (&m, "bf16", EVO_DTYPE_NONE,
                "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"model_type\": \"llama\",\n  \"num_hidden_layers\": 1,\n  \"rms_norm_eps\": 1e-05,\n"
                "  \"rope_theta\": 10000.0,\n  \"tie_word_embeddings\": true,\n  \"torch_dtype\": \"bfloat16\",\n  \"eos_token_id\": [\n    2,\n    3\n  ]\n}\n");
  /* lm_head came from b, and is bf16 while the rest is f32: the type of the file is nobody's to say, and stays */
  check_config (&m, "m", EVO_DTYPE_NONE,
                "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"model_type\": \"llama\",\n  \"num_hidden_layers\": 1,\n  \"rms_norm_eps\": 1e-05,\n"
                "  \"rope_theta\": 10000.0,\n  \"torch_dtype\": \"float32\",\n  \"eos_token_id\": [\n    2,\n    3\n  ],\n  \"tie_word_embeddings\": false\n}\n");
  check_config (&m, "m", EVO_DTYPE_F16,
                "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"model_type\": \"llama\",\n  \"num_hidden_layers\": 1,\n  \"rms_norm_eps\": 1e-05,\n"
                "  \"rope_theta\": 10000.0,\n  \"torch_dtype\": \"float16\",\n  \"eos_token_id\": [\n    2,\n    3\n  ],\n  \"tie_word_embeddings\": false\n}\n");
  check_config (&m, "ba", EVO_DTYPE_F32, "{\n  \"model_type\": \"llama\",\n  \"num_hidden_layers\": 1,\n  \"dtype\": \"float32\"\n}\n");
}

/* ------------------------------------------------------------------ tensors and shards */

static void
check_tensors (const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoStore) store = evo_store_open (path, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (evo_store_get_n_tensors (store), ==, 4);
  for (guint i = 0; i < 4; i++) {
    const EvoShape *s = evo_store_get_tensor (store, i);
    const guint16 *got = evo_store_peek (store, i);

    g_assert_cmpint (s->dtype, ==, EVO_DTYPE_BF16);
    for (gint64 j = 0; j < s->n; j++)
      g_assert_cmpuint (got[j], ==, values[j] == 0 ? 0 : made_bf16 (values[j]));
  }
}

static void
test_shards (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *whole = NULL, *sharded = NULL, *names = NULL, *index = NULL;

  made_open_good (&m, "'b': {'use': 'model.llm', 'path': 'b', 'dtype': 'f32'}, 'm': {'use': 'merge.linear', 'in': ['b']}");
  whole = save_good (&m, "m", "whole", EVO_DTYPE_BF16, 0);
  sharded = save_good (&m, "m", "sharded", EVO_DTYPE_BF16, 9000); /* 4096, 4096; 8192 and 128 bytes */
  check_tensors (whole);
  check_tensors (sharded);
  names = listing (sharded);
  g_assert_cmpstr (names, ==, "README.md config.json evopipe.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
                   "model.safetensors.index.json tokenizer.json");
  index = contents (sharded, "model.safetensors.index.json");
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (index, -1, "index", 0, 0, &error);
  g_assert_no_error (error);
  g_assert_cmpfloat (evo_json_get_number (evo_json_member (evo_json_root (doc), "metadata"), "total_size", 0), ==, 2 * (2048 + 2048 + 4096 + 64));
  g_assert_cmpuint (evo_json_size (evo_json_member (evo_json_root (doc), "weight_map")), ==, 4);
}

static void
check_same (const char *x, const char *y, const char *name)
{
  g_autofree char *a = contents (x, name), *b = contents (y, name);

  g_assert_cmpstr (a, ==, b);
}

/* ------------------------------------------------------------------ the card */

static void
test_card (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL, *again = NULL, *card = NULL;
  EvoSaveOptions o = { .path = "x", .recipe = RECIPE, .scores = "| evaluator | score |\n|---|---|\n| solved | 0.5 |\n" };

  made_open_good (&m, SOURCES "'i': {'use': 'merge.linear', 'in': ['a', 'b']}, 'm': {'use': 'merge.ties', 'base': 'b', 'in': ['i', 'a']}");
  path = save_good (&m, "m", "one/card", EVO_DTYPE_NONE, 0);
  again = save_good (&m, "m", "two/card", EVO_DTYPE_NONE, 0);
  check_same (path, again, "README.md");
  card = contents (path, "README.md");
  g_assert_true (g_str_has_prefix (card, "---\nlibrary_name: transformers\ntags:\n- merge\n- evopipe\n---\n# card\n"));
  g_assert_nonnull (strstr (card, "| a | a | apache-2.0 |\n"));
  g_assert_nonnull (strstr (card, "| b | b | not stated |\n")); /* a licence outside the front matter is none */
  g_assert_nonnull (strstr (card, "```json\n" RECIPE "```\n"));
  g_assert_null (strstr (card, made_folder));                    /* no path of this machine */
  g_assert_null (strstr (card, "## Scores"));
  g_assert_false (g_regex_match_simple ("\\b(19|20)\\d\\d\\b", card, 0, 0)); /* no date */
  g_free (card);
  card = evo_model_card (m.models, evo_graph_find (m.graph, "m"), &o);
  g_assert_nonnull (strstr (card, "## Scores\n\n| evaluator | score |\n"));
}

/* ------------------------------------------------------------------ whole or not at all */

static void
refuse (const Made *m, const char *name, gboolean replace, GQuark domain, gint code, const char *message)
{
  g_autofree char *path = made_path (name);
  EvoSaveOptions o = { .path = path, .replace = replace };
  g_autoptr (GError) error = NULL;

  g_assert_false (save (m, "m", &o, &error));
  made_check_error (error, domain, code, message);
}

static void
test_replace (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL, *before = NULL, *kept = NULL, *after = NULL, *inside = NULL;
  EvoSaveOptions o = { .replace = TRUE, .dtype = &(EvoDtypes){ .all = EVO_DTYPE_F16 } };
  g_autoptr (GError) error = NULL;

  made_open_good (&m, MERGED);
  path = save_good (&m, "m", "place", EVO_DTYPE_NONE, 3000);
  before = listing (path);
  refuse (&m, "place", FALSE, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "place: exists already; choose another place, or --force to replace it");
  kept = listing (path);
  g_assert_cmpstr (kept, ==, before);
  o.path = path;
  save (&m, "m", &o, &error);
  g_assert_no_error (error);
  after = listing (path);
  g_assert_nonnull (strstr (after, " model.safetensors "));
  g_assert_null (strstr (after, "index.json")); /* nothing of the old one is left */
  made_file ("mine", "thesis.txt", "all of it");
  refuse (&m, "mine", TRUE, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS,
          "mine: exists and is not the directory of a model; only such a one or an empty one is replaced");
  inside = contents (made_folder, "mine/thesis.txt");
  g_assert_cmpstr (inside, ==, "all of it");
}

static void
test_failure (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *before = NULL, *after = NULL;

  made_open_good (&m, SOURCES "'m': {'use': 'merge.probe-seed', 'in': ['a', 'b'], 'fail_at': 4000}"); /* the last tensor's */
  before = listing (made_folder);
  refuse (&m, "failed", FALSE, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "m: model.layers.0.mlp.up_proj.weight: fails at 4000");
  after = listing (made_folder);
  g_assert_cmpstr (after, ==, before);
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  write_sources ();
  g_test_add_func ("/save/files", test_files);
  g_test_add_func ("/save/single-file", test_single_file);
  g_test_add_func ("/save/config", test_config);
  g_test_add_func ("/save/shards", test_shards);
  g_test_add_func ("/save/card", test_card);
  g_test_add_func ("/save/replace", test_replace);
  g_test_add_func ("/save/failure", test_failure);
  rc = g_test_run ();
  made_end ();
  return rc;
}
