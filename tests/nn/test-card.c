/* SPDX-License-Identifier: Apache-2.0
 * test-card.c - architecture cards, checkpoints as plugins see them, and what model.llm makes of good and hostile config.json files.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/checkpoint/card.h"
#include "tests/nn/fixture.h"

/* ------------------------------------------------------------------ cards */

static EvoCard *
open_text (const char *text, GError **error)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("evo-card-XXXXXX.json", &path, NULL);
  EvoCard *card;

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  card = evo_card_open (path, error);
  g_remove (path);
  return card;
}

static void
test_roles (void)
{
  g_autofree char *path = fixture_path ("models/cards/llama.json");
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoCard) card = evo_card_open (path, &error);
  static const struct { const char *name; EvoRole role; gboolean known; } cases[] = {
    { "model.embed_tokens.weight", { EVO_ROLE_EMBED, -1, "embed", "" }, TRUE },
    { "model.layers.0.self_attn.q_proj.weight", { EVO_ROLE_ATTENTION, 0, "q", "" }, TRUE },
    { "model.layers.31.mlp.down_proj.weight", { EVO_ROLE_MLP, 31, "down", "" }, TRUE },
    { "model.layers.7.post_attention_layernorm.weight", { EVO_ROLE_NORM, 7, "norm_2", "" }, TRUE },
    { "model.layers.3.self_attn.rotary_emb.inv_freq", { EVO_ROLE_BUFFER, 3, "", "" }, TRUE },
    { "model.norm.weight", { EVO_ROLE_FINAL_NORM, -1, "final_norm", "" }, TRUE },
    { "lm_head.weight", { EVO_ROLE_HEAD, -1, "head", "" }, TRUE },
    { "model.layers.03.mlp.down_proj.weight", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers.-1.mlp.down_proj.weight", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers..mlp.down_proj.weight", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers.100000.mlp.down_proj.weight", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers.99999999999999999999.mlp.down_proj.weight", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers.1.mlp.down_proj.weightx", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "model.layers.1", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
    { "", { EVO_ROLE_OTHER, -1, "", "" }, FALSE },
  };

  g_assert_no_error (error);
  g_assert_cmpstr (evo_card_get_name (card), ==, "llama");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    EvoRole role;

    g_assert_cmpint (evo_card_role (card, cases[i].name, &role), ==, cases[i].known);
    g_assert_cmpuint (role.kind, ==, cases[i].role.kind);
    g_assert_cmpint (role.layer, ==, cases[i].role.layer);
    g_assert_cmpstr (role.slot, ==, cases[i].role.slot);
    g_assert_cmpstr (role.module, ==, cases[i].role.module);
  }
}

static void
test_first_pattern_counts (void)
{
  g_autoptr (EvoCard) card = open_text ("{\"model_type\": \"m\", \"note\": 1, \"tensors\": {\"a.{layer}\": \"attention q vision\", \"a.{layer}b\": \"mlp\", "
                                        "\"a.1\": \"head\", \"{layer}\": \"norm\"}}", NULL);
  EvoRole role;

  g_assert_nonnull (card);
  g_assert_true (evo_card_role (card, "a.1", &role));
  g_assert_cmpuint (role.kind, ==, EVO_ROLE_ATTENTION);
  g_assert_cmpstr (role.module, ==, "vision");
  g_assert_true (evo_card_role (card, "a.12b", &role));
  g_assert_cmpuint (role.kind, ==, EVO_ROLE_MLP);
  g_assert_cmpint (role.layer, ==, 12);
  g_assert_true (evo_card_role (card, "5", &role));
  g_assert_cmpint (role.layer, ==, 5);
}

static void
test_bad_cards (void)
{
  static const struct { const char *text, *message; } cases[] = {
    { "[]", "a card needs \"model_type\"" },
    { "{\"tensors\": {}}", "a card needs \"model_type\"" },
    { "{\"model_type\": \"m\"}", "a card needs \"tensors\"" },
    { "{\"model_type\": \"m\", \"tensors\": []}", "a card needs \"tensors\"" },
    { "{\"model_type\": \"m\", \"tensors\": {}, \"x\": 1}", "/x: unknown key" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": 1}}", "needs \"ROLE\", \"ROLE SLOT\" or \"ROLE SLOT MODULE\"" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"\"}}", "needs \"ROLE\"" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \" mlp\"}}", "\"\" is no role" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"attentoin q\"}}", "\"attentoin\" is no role; did you mean \"attention\"?" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"mlp a b c\"}}", "needs \"ROLE\"" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"mlp 123456789012345678901234\"}}", "a slot or module has at most 23 bytes" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"mlp a 123456789012345678901234\"}}", "a slot or module has at most 23 bytes" },
    { "{\"model_type\": \"m\", \"tensors\": {\"{layer}.{layer}\": \"mlp\"}}", "a pattern has one \"{layer}\" at most" },
    { "{\"model_type\": \"m\", \"tensors\": {\"a\": \"mlp\", \"a\": \"mlp\"}}", "" },
    { "{\"model_type\": \"m\", ", "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (open_text (cases[i].text, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_test_message ("%s", error->message);
    g_assert_nonnull (strstr (error->message, cases[i].message));
    g_assert_null (strchr (error->message, '\n'));
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (evo_card_open ("/nowhere/card.json", &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN);
}

/* ------------------------------------------------------------------ checkpoints */

typedef struct { char *path; EvoStore *store; EvoCheckpoint *c; } Opened;

/* The llama of tests/data with this text as its config.json. */
static void
open_config (Opened *o, const char *config, const char *model)
{
  g_autofree char *name = g_strdup_printf ("tests/data/llm/%s", model), *from = fixture_path (name), *cards = fixture_path ("models/cards");
  g_autoptr (GError) error = NULL;

  o->path = fixture_directory (config, from);
  o->store = evo_store_open (o->path, &error);
  g_assert_no_error (error);
  o->c = evo_checkpoint_new (o->store, cards, &error);
  g_assert_no_error (error);
}

static void
opened_clear (Opened *o)
{
  evo_checkpoint_free (o->c);
  evo_store_unref (o->store);
  fixture_remove (o->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Opened, opened_clear)

static void
test_checkpoint (void)
{
  g_auto (Opened) o = { NULL };
  double x, list[2] = { 0, 0 };
  EvoRole role;

  open_config (&o, "{\"model_type\": \"llama\", \"a\": {\"b\": {\"c\": 2.5, \"t\": true}}, \"s\": \"text\", \"l\": [1, 2, 3], \"m\": [1, \"x\"], \"n\": null}",
               "llama");
  const EvoCheckpoint *c = o.c;
  g_assert_cmpuint (c->size, ==, sizeof *c);
  g_assert_cmpuint (c->n_tensors (c), ==, evo_store_get_n_tensors (o.store));
  g_assert_cmpstr (c->tensor (c, 0)->name, ==, evo_store_get_tensor (o.store, 0)->name);
  g_assert_null (c->tensor (c, c->n_tensors (c)));
  for (guint i = 0; i < c->n_tensors (c); i++)
    g_assert_cmpint (c->tensor (c, i)->n_rows * c->tensor (c, i)->n_cols, ==, c->tensor (c, i)->n);
  g_assert_true (c->has_file (c, "config.json"));
  g_assert_false (c->has_file (c, "tokenizer.json"));
  g_assert_true (c->config_number (c, "a/b/c", &x));
  g_assert_cmpfloat (x, ==, 2.5);
  g_assert_true (c->config_number (c, "a/b/t", &x));
  g_assert_cmpfloat (x, ==, 1);
  g_assert_false (c->config_number (c, "a/b", &x));
  g_assert_false (c->config_number (c, "s/x", &x));
  g_assert_false (c->config_number (c, "n", &x));
  g_assert_false (c->config_number (c, "", &x));
  g_assert_cmpstr (c->config_string (c, "s"), ==, "text");
  g_assert_null (c->config_string (c, "l"));
  g_assert_cmpuint (c->config_list (c, "l", list, 2), ==, 3);
  g_assert_cmpfloat (list[1], ==, 2);
  g_assert_cmpuint (c->config_list (c, "m", list, 2), ==, 0);
  g_assert_cmpuint (c->config_list (c, "s", list, 2), ==, 0);
  g_assert_true (c->has_card (c, "llama"));
  g_assert_true (c->has_card (c, "mistral"));
  g_assert_false (c->has_card (c, "../cards/llama"));
  g_assert_false (c->has_card (c, "no-such-architecture"));
  g_assert_false (c->card_role (c, "no-such-architecture", "lm_head.weight", &role));
  g_assert_cmpuint (role.kind, ==, EVO_ROLE_OTHER);
}

static void
test_malformed_own_card (void)
{
  g_autofree char *cards = g_dir_make_tmp ("evo-cards-XXXXXX", NULL), *file = g_build_filename (cards, "odd.json", NULL);
  g_autofree char *from = fixture_path ("tests/data/llm/llama");
  char *path = fixture_directory ("{\"model_type\": \"odd\"}", from);
  g_autoptr (EvoStore) store = evo_store_open (path, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (store);
  g_assert_true (g_file_set_contents (file, "{\"model_type\": \"odd\"}", -1, NULL));
  g_assert_null (evo_checkpoint_new (store, cards, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
  g_remove (file);
  g_autoptr (EvoCheckpoint) c = evo_checkpoint_new (store, cards, NULL);
  g_assert_nonnull (c);
  g_assert_false (fixture_llm ()->claim (c)); /* an unknown architecture can be merged, not run */
  g_rmdir (cards);
  fixture_remove (path);
}

/* ------------------------------------------------------------------ model.llm */

#define HEAD "{\"model_type\": \"llama\", "
#define LAYERS "\"num_hidden_layers\": 4, "
#define WIDTH "\"hidden_size\": 48, \"intermediate_size\": 104, "
#define HEADS "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
#define SIZES "\"vocab_size\": 288, \"max_position_embeddings\": 256"
#define GOOD HEAD LAYERS WIDTH HEADS SIZES

static void
test_bad_configs (void)
{
  static const struct { const char *config, *message; } cases[] = {
    { HEAD WIDTH HEADS SIZES "}", "config.json: has no \"num_hidden_layers\"; it should be a number" },
    { HEAD "\"num_hidden_layers\": 0, " WIDTH HEADS SIZES "}", "config.json: /num_hidden_layers: 0 is outside 1 ... 4096" },
    { HEAD "\"num_hidden_layers\": -4, " WIDTH HEADS SIZES "}", "config.json: /num_hidden_layers: -4 is outside 1 ... 4096" },
    { HEAD "\"num_hidden_layers\": 1e300, " WIDTH HEADS SIZES "}", "config.json: /num_hidden_layers: 1e+300 is outside 1 ... 4096" },
    { HEAD "\"num_hidden_layers\": \"4\", " WIDTH HEADS SIZES "}", "config.json: /num_hidden_layers: is \"4\"; it should be a number" },
    { HEAD "\"num_hidden_layers\": [4], " WIDTH HEADS SIZES "}", "config.json: /num_hidden_layers: is a list; it should be a number" },
    { HEAD "\"num_hidden_layers\": 2, " WIDTH HEADS SIZES "}", "\"model.layers.2.input_layernorm.weight\": config.json says there are 2 layers" },
    { HEAD LAYERS "\"hidden_size\": 48.5, \"intermediate_size\": 104, " HEADS SIZES "}", "config.json: /hidden_size: 48.5 is no whole number" },
    { HEAD LAYERS "\"hidden_size\": 64, \"intermediate_size\": 104, " HEADS SIZES "}",
      "\"lm_head.weight\": config.json says it is [288, 64]; it has 2 dimension(s), 13824 elements in all" },
    { HEAD LAYERS "\"hidden_size\": 50, \"intermediate_size\": 104, " HEADS SIZES "}",
      "config.json: hidden_size 50 is no multiple of num_attention_heads 4, and there is no head_dim" },
    { HEAD LAYERS WIDTH "\"num_attention_heads\": 0, " SIZES "}", "config.json: /num_attention_heads: 0 is outside 1 ... 4096" },
    { HEAD LAYERS WIDTH "\"num_attention_heads\": 4, \"num_key_value_heads\": 3, " SIZES "}",
      "config.json: num_attention_heads 4 is no multiple of num_key_value_heads 3" },
    { HEAD LAYERS WIDTH "\"num_attention_heads\": 4, \"head_dim\": 13, " SIZES "}", "config.json: head_dim 13 is odd; rotary positions turn pairs" },
    { HEAD LAYERS WIDTH "\"num_attention_heads\": 4096, \"head_dim\": 1048576, " SIZES "}",
      "config.json: num_attention_heads 4096 x head_dim 1048576 is more than 1048576" },
    { HEAD LAYERS WIDTH HEADS "\"vocab_size\": 1e9, \"max_position_embeddings\": 256}", "config.json: /vocab_size: 1e+09 is outside 1 ... 1.67772e+07" },
    { HEAD LAYERS WIDTH HEADS "\"vocab_size\": 288, \"max_position_embeddings\": 0}",
      "config.json: /max_position_embeddings: 0 is outside 1 ... 6.71089e+07" },
    { GOOD ", \"hidden_act\": \"gelu\"}", "config.json: /hidden_act: \"gelu\" cannot be run; \"silu\" can" },
    { GOOD ", \"rms_norm_eps\": -1}", "config.json: /rms_norm_eps: -1 is outside 0 ... 1" },
    { GOOD ", \"rope_theta\": 0}", "config.json: /rope_theta: 0 is outside 1.0001 ... 1e+15" },
    { GOOD ", \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}",
      "config.json: /rope_scaling: rope type \"dynamic\" cannot be run; default, linear, llama3 and yarn can" },
    { GOOD ", \"rope_parameters\": {\"rope_type\": \"longrope\", \"rope_theta\": 10000}}",
      "config.json: /rope_parameters: rope type \"longrope\" cannot be run; default, linear, llama3 and yarn can" },
    { GOOD ", \"rope_scaling\": {\"factor\": 2}}", "config.json: /rope_scaling: has a factor but no rope_type" },
    { GOOD ", \"rope_scaling\": {\"type\": \"linear\"}}", "config.json: has no \"rope_scaling/factor\"; it should be a number" },
    { GOOD ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", "config.json: /rope_scaling/factor: 0 is outside 1e-06 ... 1e+06" },
    { GOOD ", \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4}}",
      "config.json: low_freq_factor 4 is not below high_freq_factor 4" },
    { GOOD ", \"partial_rotary_factor\": 0.5}", "config.json: partial_rotary_factor 0.5 cannot be run; whole heads are turned" },
    { GOOD ", \"tie_word_embeddings\": 2}", "config.json: /tie_word_embeddings: 2 is outside 0 ... 1" },
    { GOOD ", \"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9]}", "config.json: /eos_token_id: has 9 tokens; at most 8 can be watched for" },
    { GOOD ", \"eos_token_id\": [1, 2.5]}", "config.json: /eos_token_id/1: 2.5 is no token" },
    { GOOD ", \"eos_token_id\": \"</s>\"}", "config.json: /eos_token_id: is \"</s>\"; it should be a number" },
    { GOOD ", \"bos_token_id\": 0.5}", "config.json: /bos_token_id: 0.5 is no whole number" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Opened) o = { NULL };
    EvoDecoderSpec spec = { .n_layers = 77 };
    g_autoptr (GError) error = NULL;

    open_config (&o, cases[i].config, "llama");
    g_assert_true (fixture_llm ()->claim (o.c));
    g_assert_false (fixture_llm ()->decoder (o.c, &spec, &error));
    g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_FILE);
    g_assert_cmpstr (error->message, ==, cases[i].message);
    g_assert_cmpint (spec.n_layers, ==, 77);
  }
}

static void
read_good (const char *config, const char *model, EvoDecoderSpec *spec)
{
  g_auto (Opened) o = { NULL };
  g_autoptr (GError) error = NULL;

  open_config (&o, config, model);
  fixture_llm ()->decoder (o.c, spec, &error);
  g_assert_no_error (error);
  g_assert_cmpint (fixture_llm ()->n_layers (o.c), ==, (gint32) spec->n_layers);
}

static void
test_good_configs (void)
{
  EvoDecoderSpec s;

  read_good (GOOD "}", "llama", &s);
  g_assert_cmpint (s.head_dim, ==, 12);
  g_assert_cmpint (s.bos, ==, -1);
  g_assert_cmpuint (s.n_eos, ==, 0);
  g_assert_cmpfloat (s.rope_theta, ==, 10000);
  g_assert_cmpfloat (s.norm_eps, ==, 1e-6);
  g_assert_false (s.tied);
  read_good (GOOD ", \"eos_token_id\": [5, 7], \"bos_token_id\": 1, \"sliding_window\": 9, \"rope_theta\": 5e5}", "llama", &s);
  g_assert_cmpuint (s.n_eos, ==, 2);
  g_assert_cmpint (s.eos[1], ==, 7);
  g_assert_cmpint (s.bos, ==, 1);
  g_assert_cmpint (s.sliding_window, ==, 0); /* a Llama has none, whatever its file says */
  g_assert_cmpfloat (s.rope_theta, ==, 5e5);
  read_good (GOOD ", \"rope_theta\": 5, \"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 1e6, \"factor\": 4, \"beta_fast\": 16, "
                  "\"original_max_position_embeddings\": 64, \"truncate\": false, \"mscale\": 0.7}}", "llama", &s);
  g_assert_cmpuint (s.rope_scaling, ==, EVO_ROPE_YARN);
  g_assert_cmpfloat (s.rope_theta, ==, 1e6);
  g_assert_cmpfloat (s.rope_original, ==, 64);
  g_assert_cmpfloat (s.rope_beta_fast, ==, 16);
  g_assert_cmpfloat (s.rope_beta_slow, ==, 1);
  g_assert_false (s.rope_truncate);
  read_good (GOOD ", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5}, \"hidden_act\": null}", "llama", &s);
  g_assert_cmpuint (s.rope_scaling, ==, EVO_ROPE_LINEAR);
  g_assert_cmpfloat (s.rope_factor, ==, 2.5);
  g_assert_cmpfloat (s.rope_original, ==, 256);
}

static void
test_mistral_window (void)
{
  static const char config[] = "{\"model_type\": \"mistral\", \"num_hidden_layers\": 3, \"hidden_size\": 64, \"intermediate_size\": 96, "
                               "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 20, \"vocab_size\": 272, "
                               "\"max_position_embeddings\": 256, \"sliding_window\": %s}";
  EvoDecoderSpec s;
  g_autofree char *some = g_strdup_printf (config, "8"), *none = g_strdup_printf (config, "null");

  read_good (some, "mistral", &s);
  g_assert_cmpint (s.sliding_window, ==, 8);
  read_good (none, "mistral", &s);
  g_assert_cmpint (s.sliding_window, ==, 0);
}

static void
test_claim (void)
{
  g_auto (Opened) known = { NULL }, unknown = { NULL }, nameless = { NULL };

  open_config (&known, GOOD "}", "llama");
  open_config (&unknown, "{\"model_type\": \"mixtral\"}", "llama");
  open_config (&nameless, "{\"model_type\": 5}", "llama");
  g_assert_true (fixture_llm ()->claim (known.c));
  g_assert_false (fixture_llm ()->claim (unknown.c));
  g_assert_false (fixture_llm ()->claim (nameless.c));
  g_assert_nonnull (fixture_llm ()->copied_files[0]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nn/card/roles", test_roles);
  g_test_add_func ("/nn/card/first-pattern-counts", test_first_pattern_counts);
  g_test_add_func ("/nn/card/bad-cards", test_bad_cards);
  g_test_add_func ("/nn/checkpoint/table", test_checkpoint);
  g_test_add_func ("/nn/checkpoint/malformed-own-card", test_malformed_own_card);
  g_test_add_func ("/plugins/llm/bad-configs", test_bad_configs);
  g_test_add_func ("/plugins/llm/good-configs", test_good_configs);
  g_test_add_func ("/plugins/llm/mistral-window", test_mistral_window);
  g_test_add_func ("/plugins/llm/claim", test_claim);
  return g_test_run ();
}
