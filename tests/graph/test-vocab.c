/* SPDX-License-Identifier: Apache-2.0
 * test-vocab.c - merges of models of different vocabularies: rows by token, padding, rules, tokenizers, templates, and what is said of mistakes.
 *
 * Rows are two numbers that name their model and token, so that every expected row can be read; weights are powers of two: all sums are exact.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/save.h"
#include "core/graph/vocab/vocab.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define ABC "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, 'c': {'use': 'model.llm', 'path': 'c'}, "
#define MEAN(rest) ABC "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': 0.5}, {'from': 'b', 'weight': 0.5}]" rest "}"
#define OF_THREE(rest) ABC "'m': {'use': 'merge.linear', 'normalize': false, 'in': [{'from': 'a', 'weight': 1}, {'from': 'b', 'weight': 4}, {'from': 'c', 'weight': 16}]" rest "}"
#define EMBED "model.embed_tokens.weight"

/* Ids:       0    1    2    3     4      5      6
 * a          u    v    w    <s>                          4 rows
 * b          v    u    x    <s>   <t>    y               8 rows: two pad
 * c          u    z    y    <e>   [P]                    4 rows: [P] has none */
static void
write_models (void)
{
  static const float a[] = { 1, 10, 2, 20, 3, 30, 4, 40 }, b[] = { 5, 50, 6, 60, 7, 70, 8, 80, 9, 90, 11, 110, 12, 120, 13, 130 };
  static const float c[] = { 16, 160, 17, 170, 18, 180, 19, 190 };
  const struct { const char *name, *config, *tokenizer; const float *rows; gint64 n; } models[] = {
    { "a", "{\"vocab_size\": 4, \"eos_token_id\": 3, \"bos_token_id\": [3, 2], \"pad_token_id\": null}",
      "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
      "\"normalized\": false}], \"model\": {\"type\": \"BPE\", \"vocab\": {\"u\": 0, \"v\": 1, \"w\": 2}, \"merges\": []}, \"decoder\": null}", a, 4 },
    { "b", "{\"vocab_size\": 8, \"eos_token_id\": 4}",
      "{\"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true}, {\"id\": 4, \"content\": \"<t>\", \"special\": true, \"lstrip\": true}], "
      "\"model\": {\"type\": \"BPE\", \"vocab\": {\"v\": 0, \"u\": 1, \"x\": 2, \"y\": 5}, \"merges\": []}}", b, 8 },
    { "c", "{\"eos_token_id\": 3}",
      "{\"added_tokens\": [{\"id\": 3, \"content\": \"<e>\", \"special\": true}, {\"id\": 4, \"content\": \"[P]\", \"special\": true}], "
      "\"model\": {\"type\": \"BPE\", \"vocab\": {\"u\": 0, \"z\": 1, \"y\": 2}, \"merges\": []}}", c, 4 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    made_model (models[i].name, (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { models[i].n, 2 }, models[i].rows, NULL },
                                                { "model.norm.weight", EVO_DTYPE_F32, 1, { 2 }, models[i].rows, NULL } }, 2, models[i].config);
    made_file (models[i].name, "tokenizer.json", models[i].tokenizer);
  }
  made_file ("a", "generation_config.json", "{\"eos_token_id\": [3], \"temperature\": 0.5}");
  made_file ("a", "merges.txt", "as tokenizer.json has it\n");
  made_file ("a", "tokenizer_config.json", "{\"added_tokens_decoder\": {\"3\": {\"content\": \"<s>\"}}, \"eos_token\": \"<s>\", \"chat_template\": \"{{ a }}\"}");
  made_file ("a", "added_tokens.json", "{\"<s>\": 3}");
  made_file ("b", "tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool\", \"template\": \"no\"}, {\"name\": \"default\", \"template\": \"{{ b }}\"}]}");
  made_file ("c", "tokenizer_config.json", "{\"pad_token\": \"[P]\", \"unk_token\": {\"content\": \"[P]\"}, \"eos_token\": \"<e>\"}");
  made_file ("c", "chat_template.jinja", "{{ b }}\n");
}

/* The first number of each row; the second is ten times it. */
static void
check_rows (const char *nodes, guint n, const float *expected)
{
  g_auto (Made) m = { NULL };
  const EvoLayout *l;

  made_open_good (&m, nodes);
  l = evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"));
  g_assert_cmpint (evo_layout_vocab (l), ==, n);
  for (guint threads = 1; threads <= 3; threads += 2) {
    g_autofree float *x = made_floats (&m, "m", EMBED, &(MadeHow){ threads, NULL, -1, NULL, NULL });

    for (guint i = 0; i < n; i++) {
      g_assert_cmpfloat (x[2 * i], ==, expected[i]);
      g_assert_cmpfloat (x[2 * i + 1], ==, 10 * expected[i]);
    }
  }
}

/* ------------------------------------------------------------------ rows */

static void
test_base (void)
{
  /* w is a's alone: its row stands for b's too */
  check_rows (MEAN (", 'tokenizer': 'base'"), 4, (const float[]){ (1 + 6) / 2.f, (2 + 5) / 2.f, 3, (4 + 8) / 2.f });
  check_rows (MEAN (", 'tokenizer': 'a'"), 4, (const float[]){ (1 + 6) / 2.f, (2 + 5) / 2.f, 3, (4 + 8) / 2.f });
  check_rows (MEAN (", 'tokenizer': {'source': 'b'}"), 6, (const float[]){ (2 + 5) / 2.f, (1 + 6) / 2.f, 7, (4 + 8) / 2.f, 9, 11 });
}

static void
test_union (void)
{
  /* a's ids, then x, y (pieces), then <t> */
  check_rows (MEAN (", 'tokenizer': 'union'"), 7, (const float[]){ 3.5, 3.5, 3, 6, 7, 11, 9 });
  /* three: u of all; v: c has a's, the first's; w of a alone; <s>: c has a's; x of b alone; y: a, which is first, has none: the mean of b and c */
  check_rows (OF_THREE (", 'tokenizer': 'union'"), 9,
              (const float[]){ 1 + 4 * 6 + 16 * 16, 2 + 4 * 5 + 16 * 2, 21 * 3, 4 + 4 * 8 + 16 * 4, 21 * 7, 14.5 + 4 * 11 + 16 * 18, 21 * 17, 21 * 9, 21 * 19 });
}

static void
test_padding (void)
{
  /* means of the rows of each, in the result's order: a (1, 2, 3, 4), b (6, 5, 3, 8) */
  check_rows (MEAN (", 'tokenizer': {'source': 'base', 'pad_to_multiple_of': 6}"), 6, (const float[]){ 3.5, 3.5, 3, 6, (2.5f + 5.5f) / 2, 4 });
}

static void
test_rules (void)
{
  /* <s> is b's in both; <n> is new: zero; <o> is the third row of b; <q> is a's u; a rule without force leaves own rows alone */
  check_rows (MEAN (", 'tokenizer': {'source': 'base', 'tokens': {'<s>': {'source': 'b', 'force': true}, '<n>': {'source': {'kind': 'zero'}}, '<o>': "
                    "{'source': {'kind': 'model_token', 'model': 'b', 'token_id': 6}}, '<q>': {'source': {'kind': 'model_token', 'model': 'a', 'token': 'u'}}, "
                    "'u': {'source': {'kind': 'zero'}}}}"), 7, (const float[]){ 3.5, 3.5, 3, 8, 0, 12, 1 });
}

static void
test_truncate (void)
{
  check_rows (MEAN (", 'tokenizer': 'truncate'"), 4, (const float[]){ 3, 4, 5, 6 });
}

/* The vocabulary of an input is that of what it was merged to. */
static void
test_nested (void)
{
  check_rows (ABC "'i': {'use': 'merge.linear', 'tokenizer': 'union', 'in': ['a', 'b'], 'weight': 0.5}, "
                  "'m': {'use': 'merge.linear', 'tokenizer': 'c', 'in': ['i', 'c'], 'weight': 0.5}", 4,
              (const float[]){ (3.5f + 16) / 2, 17, (11 + 18) / 2.f, 19 });
}

static void
test_long_rows (void)
{
  enum { ROWS = 5, WIDTH = 30000 }; /* rows lie across slices */
  g_autofree float *x = made_uniform (ROWS * WIDTH, 1), *y = made_uniform (ROWS * WIDTH, 2), *got = NULL;
  g_auto (Made) m = { NULL };

  made_model ("long-a", &(MadeTensor){ "lm_head.weight", EVO_DTYPE_F32, 2, { ROWS, WIDTH }, x, NULL }, 1, NULL);
  made_model ("long-b", &(MadeTensor){ "lm_head.weight", EVO_DTYPE_F32, 2, { ROWS, WIDTH }, y, NULL }, 1, NULL);
  made_file ("long-a", "tokenizer.json", "{\"model\": {\"vocab\": {\"0\": 0, \"1\": 1, \"2\": 2, \"3\": 3, \"4\": 4}}}");
  made_file ("long-b", "tokenizer.json", "{\"model\": {\"vocab\": [[\"3\", 0], [\"4\", 0], [\"0\", 0], [\"1\", 0], [\"5\", 0]]}}");
  made_open_good (&m, "'a': {'use': 'model.llm', 'path': 'long-a'}, 'b': {'use': 'model.llm', 'path': 'long-b'}, "
                      "'m': {'use': 'merge.task-arithmetic', 'base': 'a', 'tokenizer': 'base', 'in': [{'from': 'b', 'weight': 1}]}");
  got = made_floats (&m, "m", "lm_head.weight", &made_plainly);
  for (guint row = 0; row < ROWS; row++)
    for (guint i = 0; i < WIDTH; i++) {
      static const int of_b[] = { 2, 3, -1, 0, 1 };
      float own = x[row * WIDTH + i], other = of_b[row] < 0 ? own : y[of_b[row] * WIDTH + (int) i];

      g_assert_cmpfloat (got[row * WIDTH + i], ==, own + (other - own));
    }
}

/* ------------------------------------------------------------------ files */

static char *
saved (const Made *m, const char *name)
{
  char *path = made_path (name);
  EvoSaveOptions o = { .path = path, .recipe = "{}\n" };
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_autoptr (GError) error = NULL;
  EvoMergeContext c;

  evo_merge_context_init (&c, m->models, evo_kernels_get (), pool, NULL, -1, NULL);
  evo_save_model (&c, evo_graph_find (m->graph, "m"), &o, &error);
  evo_merge_context_clear (&c);
  g_assert_no_error (error);
  return path;
}

/* The file holds all of these texts; NULL ends them. */
static void
check_holds (const char *folder, const char *name, const char *const *texts)
{
  g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL, *compact = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  doc = evo_json_parse (text, -1, name, 0, 0, NULL);
  g_assert_nonnull (doc);
  compact = evo_json_text (evo_json_root (doc));
  for (guint i = 0; texts[i] != NULL; i++)
    if (strstr (compact, texts[i]) == NULL)
      g_error ("%s: %s is not in %s", name, texts[i], compact);
}

static gboolean
has_file (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
test_union_files (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL;
  g_autoptr (EvoTokenizer) tokenizer = NULL;
  const EvoNode *node;

  made_open_good (&m, MEAN (", 'tokenizer': 'union', 'chat_template': 'chatml'"));
  path = saved (&m, "union");
  check_holds (path, "config.json", (const char *const[]){ "\"vocab_size\":7", "\"eos_token_id\":3", "\"bos_token_id\":[3,2]", NULL });
  check_holds (path, "tokenizer.json", (const char *const[]){
    "{\"id\":6,\"content\":\"<t>\",\"single_word\":false,\"lstrip\":true,\"rstrip\":false,\"normalized\":false,\"special\":true}]",
    "{\"id\":4,\"content\":\"x\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":true,\"special\":false}", "\"vocab\":{\"u\":0,\"v\":1,\"w\":2}", NULL });
  check_holds (path, "tokenizer_config.json", (const char *const[]){ "\"6\":{\"content\":\"<t>\",\"lstrip\":true", "\"eos_token\":\"<s>\"", "<|im_start|>", NULL });
  check_holds (path, "added_tokens.json", (const char *const[]){ "{\"<s>\":3,\"x\":4,\"y\":5,\"<t>\":6}", NULL });
  g_assert_false (has_file (path, "merges.txt"));
  g_assert_true (has_file (path, "generation_config.json"));
  node = evo_graph_find (m.graph, "m");
  tokenizer = evo_vocab_open_tokenizer (m.models, node, NULL);
  g_assert_nonnull (tokenizer);
  g_assert_cmpint (evo_tokenizer_find (tokenizer, "<t>"), ==, 6);
  g_assert_cmpuint (evo_tokenizer_get_n_tokens (tokenizer), ==, 7);
}

/* The tokens are b's: numbers of the configuration, which is a's, move with them; what b lacks is as b's own configuration has it. */
static void
test_moved_ids (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL;
  EvoDecoderSpec spec = { .vocab = 4, .bos = 3, .eos = { 2 }, .n_eos = 1 };
  const EvoLayout *l;

  made_open_good (&m, MEAN (", 'tokenizer': 'b'"));
  path = saved (&m, "moved");
  check_holds (path, "config.json", (const char *const[]){ "\"vocab_size\":6", "\"eos_token_id\":3", "\"bos_token_id\":[3]", "\"pad_token_id\":null", NULL });
  check_holds (path, "generation_config.json", (const char *const[]){ "{\"eos_token_id\":[3],\"temperature\":0.5}", NULL });
  check_holds (path, "tokenizer.json", (const char *const[]){ "\"lstrip\":true", "\"y\":5", NULL });
  l = evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"));
  g_assert_cmpint (evo_vocab_map (l, 0), ==, 1);
  g_assert_cmpint (evo_vocab_map (l, 2), ==, -1);
  g_assert_cmpint (evo_vocab_map (l, 99), ==, -1);
  evo_vocab_fit_decoder (l, &spec);
  g_assert_cmpint (spec.vocab, ==, 6);
  g_assert_cmpint (spec.bos, ==, 3);
  g_assert_cmpint (spec.eos[0], ==, 4); /* w is gone; b ends with <t> */
}

/* A token that has no row is in none of the files, nor named as one that pads. */
static void
test_stripped (void)
{
  g_auto (Made) m = { NULL };
  g_autofree char *path = NULL, *config = NULL, *text = NULL, *json = NULL;

  made_open_good (&m, ABC "'m': {'use': 'merge.linear', 'tokenizer': 'base', 'weight': 0.5, 'in': ['c', 'a']}");
  path = saved (&m, "stripped");
  config = g_build_filename (path, "tokenizer_config.json", NULL);
  json = g_build_filename (path, "tokenizer.json", NULL);
  g_assert_true (g_file_get_contents (config, &text, NULL, NULL));
  g_assert_null (strstr (text, "[P]"));
  g_assert_nonnull (strstr (text, "<e>"));
  g_clear_pointer (&text, g_free);
  g_assert_true (g_file_get_contents (json, &text, NULL, NULL));
  g_assert_null (strstr (text, "[P]"));
  check_holds (path, "config.json", (const char *const[]){ "\"vocab_size\":4", NULL });
}

static void
check_template (const char *nodes, const char *expected)
{
  g_auto (Made) m = { NULL };

  made_open_good (&m, nodes);
  g_assert_cmpstr (evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"))->chat_template, ==, expected);
}

static void
test_templates (void)
{
  check_template (MEAN (", 'tokenizer': 'base'"), NULL);
  check_template (OF_THREE (", 'tokenizer': 'union', 'chat_template': 'auto'"), "{{ b }}");
  check_template (MEAN (", 'tokenizer': 'base', 'chat_template': 'auto'"), "{{ a }}");
  check_template (MEAN (", 'tokenizer': 'base', 'chat_template': '{{ messages }}'"), "{{ messages }}");
  for (guint i = 1; evo_chat_names[i] != NULL; i++)
    g_assert_nonnull (strchr (evo_chat_named (evo_chat_names[i]), '{'));
}

/* What is written down makes the same rows again. */
static void
test_recipe (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (EvoGraph) again = NULL;
  g_autofree char *recipe = NULL, *twice = NULL;
  g_autoptr (GError) error = NULL;

  made_open_good (&m, MEAN (", 'tokenizer': {'source': 'b', 'pad_to_multiple_of': 4, 'tokens': {'<n>': {'source': {'kind': 'zero'}, 'force': true}, "
                            "'<o>': {'source': {'kind': 'model_token', 'model': 'a', 'token': 'u'}}, '<p>': {'source': {'kind': 'model_token', 'model': 'a', "
                            "'token_id': 2}}, '<s>': {'source': 'a'}}}, 'chat_template': '$${ {{ m }}'"));
  recipe = evo_graph_to_recipe (m.graph, evo_graph_find (m.graph, "m"), NULL, -1, NULL, NULL, evo_models_get_n_layers (m.models));
  again = evo_graph_new_from_text (recipe, -1, "r.json", made_folder, made_registry, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (evo_graph_find (again, "m")->chat_template, ==, "${ {{ m }}");
  twice = evo_graph_to_recipe (again, evo_graph_find (again, "m"), NULL, -1, NULL, NULL, evo_models_get_n_layers (m.models));
  g_assert_cmpstr (recipe, ==, twice);
  g_assert_nonnull (strstr (recipe, "\"token_id\": 2"));
}

static void
test_option (void)
{
  const EvoGraphOptions options = { .truncate_embeddings = TRUE };
  g_autoptr (GString) text = g_string_new ("{'evopipe': 1, 'nodes': {" MEAN ("") "}}");
  g_autoptr (EvoGraph) graph = NULL;
  g_autoptr (EvoModels) models = NULL;
  g_autofree char *warning = NULL;
  g_autoptr (GError) error = NULL;

  g_string_replace (text, "'", "\"", 0);
  graph = evo_graph_new_from_text (text->str, -1, "p.json", made_folder, made_registry, &options, &error);
  g_assert_no_error (error);
  models = evo_models_new (graph, &error);
  g_assert_no_error (error);
  g_assert_cmpint (evo_layout_vocab (evo_models_get_layout (models, evo_graph_find (graph, "m"))), ==, 4);
  warning = evo_vocab_dup_warning (models, evo_graph_find (graph, "m"));
  g_assert_cmpstr (warning, ==, "m: embeddings are cut from 8 rows to 4, whatever tokens those are; the tokenizer is copied as it is, and may name tokens that are gone");
}

/* ------------------------------------------------------------------ mistakes */

#define AT "p.json:1: /nodes/m/"

static void
test_bad_keys (void)
{
  static const struct { const char *key; GQuark (*domain) (void); gint code; const char *message; } all[] = {
    { "'tokenizer': 3", evo_param_error_quark, EVO_PARAM_ERROR_TYPE, AT "tokenizer: needs a string, not a number" },
    { "'tokenizer': 'c'", evo_graph_error_quark, EVO_GRAPH_ERROR_UNKNOWN, AT "tokenizer: \"c\" is none of the models that are merged here; did you mean \"a\"?" },
    { "'tokenizer': 'onion'", evo_graph_error_quark, EVO_GRAPH_ERROR_UNKNOWN, AT "tokenizer: \"onion\" is none of the models that are merged here; did you mean \"union\"?" },
    { "'tokenizer': {}", evo_param_error_quark, EVO_PARAM_ERROR_MISSING, AT "tokenizer: needs \"source\", which is \"base\", \"union\" or a node" },
    { "'tokenizer': {'source': 'base', 'pad': 8}", evo_param_error_quark, EVO_PARAM_ERROR_UNKNOWN,
      AT "tokenizer/pad: there is no key \"pad\" here; there is source, pad_to_multiple_of, tokens" },
    { "'tokenizer': {'source': 'base', 'pad_to_multiple_of': 0}", evo_param_error_quark, EVO_PARAM_ERROR_RANGE,
      AT "tokenizer/pad_to_multiple_of: 0 is outside 1 ... 9007199254740991" },
    { "'tokenizer': {'source': 'base', 'pad_to_multiple_of': 10000000}", evo_param_error_quark, EVO_PARAM_ERROR_RANGE,
      AT "tokenizer/pad_to_multiple_of: 10000000 is more than 1048576" },
    { "'tokenizer': {'source': 'truncate', 'pad_to_multiple_of': 8}", evo_param_error_quark, EVO_PARAM_ERROR_UNKNOWN,
      AT "tokenizer: \"truncate\" looks at no token; leave the other keys out" },
    { "'tokenizer': {'source': 'base', 'tokens': []}", evo_param_error_quark, EVO_PARAM_ERROR_TYPE, AT "tokenizer/tokens: needs an object of tokens, not a list" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {}}}", evo_param_error_quark, EVO_PARAM_ERROR_MISSING,
      AT "tokenizer/tokens/x: needs \"source\", where the token's row is from" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {'source': {'kind': 'one'}}}}", evo_param_error_quark, EVO_PARAM_ERROR_RANGE,
      AT "tokenizer/tokens/x/source/kind: \"one\" is none of zero, model_token" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {'source': {'kind': 'zero', 'model': 'a'}}}}", evo_param_error_quark, EVO_PARAM_ERROR_UNKNOWN,
      AT "tokenizer/tokens/x/source/model: there is no key \"model\" here; there is kind" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {'source': {'kind': 'model_token', 'model': 'a'}}}}", evo_param_error_quark, EVO_PARAM_ERROR_MISSING,
      AT "tokenizer/tokens/x/source: needs either \"token\" or \"token_id\", whose row is taken" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {'source': {'kind': 'model_token', 'model': 'a', 'token_id': 4}}}}", evo_graph_error_quark,
      EVO_GRAPH_ERROR_UNKNOWN, "m: " AT "tokenizer/tokens/x: there is no row 4; the model has 4" },
    { "'tokenizer': {'source': 'base', 'tokens': {'x': {'source': 'a'}}}", evo_graph_error_quark, EVO_GRAPH_ERROR_UNKNOWN,
      "m: " AT "tokenizer/tokens/x: a has no token \"x\"; take its row from a model that has it, or from another token: {\"kind\": \"model_token\", \"model\": NODE, "
      "\"token\": TEXT}" },
    { "'chat_template': 'chatlm'", evo_param_error_quark, EVO_PARAM_ERROR_RANGE,
      AT "chat_template: \"chatlm\" is no template of Jinja, which has a { somewhere, and no name of one; did you mean \"chatml\"?" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autofree char *nodes = g_strdup_printf ("%s, %s}", ABC "'m': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': 0.5}, {'from': 'b', 'weight': 0.5}]", all[i].key);

    made_refused (nodes, all[i].domain (), all[i].code, all[i].message);
  }
  made_refused (ABC "'m': {'use': 'merge.layer-path', 'in': ['a'], 'path': ['a:0'], 'tokenizer': 'base'}", EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN,
                AT "tokenizer: merge.layer-path mixes no rows, its tokenizer is that of its first input, \"a\"; leave \"tokenizer\" out, or put a merge "
                "with this \"tokenizer\" in the place of \"a\"");
  made_refused (ABC "'m': {'use': 'merge.layer-path', 'in': ['b', 'a'], 'path': ['a:0'], 'chat_template': 'chatml'}", EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN,
                AT "chat_template: merge.layer-path mixes no rows, its chat template is that of its first input, \"b\"; leave \"chat_template\" out, or put "
                "a merge with this \"chat_template\" in the place of \"b\"");
  made_refused (ABC "'m': {'use': 'model.lora', 'base': 'a', 'path': 'l', 'tokenizer': 'union'}", EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN,
                AT "tokenizer: model.lora mixes no rows, its tokenizer is that of its base, \"a\"; leave \"tokenizer\" out, or put a merge with this "
                "\"tokenizer\" in the place of \"a\"");
}

static void
test_bad_models (void)
{
  static const float x[8];

  made_refused (MEAN (""), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE,
                "m: \"model.embed_tokens.weight\" is [4, 2] in a and [8, 2] in b; the models have different vocabularies: write \"tokenizer\": \"union\" or \"base\" in the "
                "merge (in a recipe, tokenizer: {source: union}), or merge with --unsafe-truncate-embeddings");
  made_model ("none", &(MadeTensor){ EMBED, EVO_DTYPE_F32, 2, { 4, 2 }, x, NULL }, 1, NULL);
  made_model ("gap", (MadeTensor[]){ { EMBED, EVO_DTYPE_F32, 2, { 4, 2 }, x, NULL }, { "model.norm.weight", EVO_DTYPE_F32, 1, { 2 }, x, NULL } }, 2, NULL);
  made_model ("flat", &(MadeTensor){ "x", EVO_DTYPE_F32, 2, { 4, 2 }, x, NULL }, 1, NULL);
  made_file ("gap", "tokenizer.json", "{\"model\": {\"vocab\": {\"u\": 0, \"k\": 3}}}");
  made_refused ("'n': {'use': 'model.llm', 'path': 'none'}, 'm': {'use': 'merge.linear', 'weight': 1, 'tokenizer': 'base', 'in': ['n']}", EVO_STORE_ERROR,
                EVO_STORE_ERROR_MISSING, "m: n: none: has neither a tokenizer.json nor a tokenizer.model; \"tokenizer\" needs one of every model");
  made_refused ("'n': {'use': 'model.llm', 'path': 'flat'}, 'm': {'use': 'merge.linear', 'weight': 1, 'tokenizer': 'base', 'in': ['n']}", EVO_GRAPH_ERROR,
                EVO_GRAPH_ERROR_SHAPE, "m: no tensor of n is known to be an embedding; leave \"tokenizer\" out");
  made_refused ("'n': {'use': 'model.llm', 'path': 'gap'}, 'c': {'use': 'model.llm', 'path': 'c'}, 'm': {'use': 'merge.linear', 'weight': 1, 'tokenizer': 'union', "
                "'in': ['n', 'c']}", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE,
                "m: gap: no token has the id 1; tokens can be added only where ids have no gaps, name another model as the tokenizer's source");
}

static void
test_bad_files (void)
{
  static const struct { const char *text, *message; } all[] = {
    { "{}", "bad/tokenizer.json:1: has no model with a vocab" },
    { "{\"model\": {\"vocab\": {\"a\": -1}}}", "bad/tokenizer.json:1: /model/vocab/a: a token's id is a whole number from 0 to 4194303" },
    { "{\"model\": {\"vocab\": {\"a\": 1e300}}}", "bad/tokenizer.json:1: /model/vocab/a: a token's id is a whole number from 0 to 4194303" },
    { "{\"model\": {\"vocab\": {\"a\": \"0\"}}}", "bad/tokenizer.json:1: /model/vocab/a: a token's id is a whole number from 0 to 4194303" },
    { "{\"model\": {\"vocab\": [1]}}", "bad/tokenizer.json:1: /model/vocab/0: a piece is a pair of a text and a number" },
    { "{\"model\": {\"vocab\": [[1, 2]]}}", "bad/tokenizer.json:1: /model/vocab/0: a token is a text" },
    { "{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [3]}", "bad/tokenizer.json:1: /added_tokens/0: an added token has a content" },
    { "{\"model\": {\"vocab\": {\"a\": 0}}, \"added_tokens\": [{\"content\": \"b\"}]}", "bad/tokenizer.json:1: /added_tokens/0: a token's id is a whole number from 0 to 4194303" },
  };
  g_autofree char *folder = made_path ("bad");

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *said = NULL;

    made_file ("bad", "tokenizer.json", all[i].text);
    g_assert_null (evo_tokens_open (folder, 4, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    said = g_strdup (strstr (error->message, strchr (all[i].message, ':')) == NULL ? error->message : strchr (all[i].message, ':'));
    g_assert_cmpstr (said, ==, strchr (all[i].message, ':'));
  }
}

/* A tokenizer.model is copied, and its tokens are known; none is added to it. */
static void
test_sentencepiece (void)
{
  g_autofree char *from = g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/tokenizers/mistral_v1/tokenizer.model", NULL), *bytes = NULL;
  g_autofree char *to = NULL;
  g_autofree float *x = made_uniform (32768, 3);
  gsize n;

  made_model ("spm", &(MadeTensor){ EMBED, EVO_DTYPE_F32, 2, { 32768, 1 }, x, NULL }, 1, NULL);
  to = made_path ("spm/tokenizer.model");
  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
#define SPM "'s': {'use': 'model.llm', 'path': 'spm'}, 'm': {'use': 'merge.linear', 'weight': 1, 'in': ['s'], 'tokenizer': "
  {
    g_auto (Made) m = { NULL };
    g_autoptr (EvoTokens) t = NULL;

    made_open_good (&m, SPM "'union'}");
    t = evo_vocab_tokens_of (m.models, evo_graph_find (m.graph, "m"), NULL);
    g_assert_nonnull (t);
    g_assert_cmpint (evo_tokens_find (t, "<s>"), ==, 1);
    g_assert_cmpint (evo_layout_vocab (evo_models_get_layout (m.models, evo_graph_find (m.graph, "m"))), ==, evo_tokens_count (t));
  }
  made_refused (SPM "{'source': 'base', 'tokens': {'<not there>': {'source': {'kind': 'zero'}}}}}", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE,
                "m: spm: has a tokenizer.model only, in which tokens are neither added nor left out; convert it (transformers: AutoTokenizer.from_pretrained, "
                "save_pretrained), or name \"base\" or another model as the tokenizer's source");
}

/* Two texts at one id, one text at two: the first keeps its place. */
static void
test_odd_vocabularies (void)
{
  g_autofree char *folder = made_path ("odd");
  g_autoptr (EvoTokens) t = NULL;
  g_autoptr (GError) error = NULL;

  made_file ("odd", "tokenizer.json", "{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0, \"c\": 7}}, \"added_tokens\": [{\"id\": 2, \"content\": \"a\"}, {\"id\": 1, \"content\": \"\"}]}");
  t = evo_tokens_open (folder, 4, &error);
  g_assert_no_error (error);
  g_assert_cmpint (evo_tokens_count (t), ==, 3);
  g_assert_cmpint (evo_tokens_find (t, "a"), ==, 0);
  g_assert_cmpint (evo_tokens_find (t, "b"), ==, -1);
  g_assert_cmpint (evo_tokens_find (t, "c"), ==, -1); /* has no row */
  g_assert_null (evo_tokens_get (t, 1));
  g_assert_null (evo_tokens_get (t, -1));
}

int
main (int argc, char **argv)
{
  int failed;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  write_models ();
  g_test_add_func ("/vocab/base", test_base);
  g_test_add_func ("/vocab/union", test_union);
  g_test_add_func ("/vocab/padding", test_padding);
  g_test_add_func ("/vocab/rules", test_rules);
  g_test_add_func ("/vocab/truncate", test_truncate);
  g_test_add_func ("/vocab/nested", test_nested);
  g_test_add_func ("/vocab/long-rows", test_long_rows);
  g_test_add_func ("/vocab/union-files", test_union_files);
  g_test_add_func ("/vocab/moved-ids", test_moved_ids);
  g_test_add_func ("/vocab/stripped", test_stripped);
  g_test_add_func ("/vocab/templates", test_templates);
  g_test_add_func ("/vocab/recipe", test_recipe);
  g_test_add_func ("/vocab/option", test_option);
  g_test_add_func ("/vocab/bad-keys", test_bad_keys);
  g_test_add_func ("/vocab/bad-models", test_bad_models);
  g_test_add_func ("/vocab/bad-files", test_bad_files);
  g_test_add_func ("/vocab/sentencepiece", test_sentencepiece);
  g_test_add_func ("/vocab/odd-vocabularies", test_odd_vocabularies);
  failed = g_test_run ();
  made_end ();
  return failed;
}
