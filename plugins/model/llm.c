/* SPDX-License-Identifier: Apache-2.0
 * model.llm - decoder-only language models of Hugging Face: what an architecture card (models/cards) knows, and config.json in both its styles.
 *
 * Old style: rope_theta and rope_scaling at the top; since transformers 5: rope_parameters. Values follow that library, release 5.23.
 */
#include "evopipe-model.h"

#include <string.h>

typedef struct { const char *path; } LlmParams;

static const EvoParam params[] = {
  EVO_FILE (LlmParams, path, EVO_PARAM_REQUIRED, "The model's directory: config.json, *.safetensors, tokenizer."),
  EVO_PARAMS_END
};

/* Hard limits: what is beyond them is a broken file, not a model. */
enum { MOST_LAYERS = 4096, MOST_WIDTH = 1 << 20, MOST_HEADS = 4096, MOST_VOCAB = 1 << 24, MOST_POSITIONS = 1 << 26 };

static const char *
model_type (const EvoCheckpoint *c)
{
  return c->config_string (c, "model_type");
}

static void
llm_role (const EvoCheckpoint *c, const char *tensor, EvoRole *out)
{
  c->card_role (c, model_type (c), tensor, out);
}

/* A card may belong to another family (a vision model's): a language model's embedding belongs to no module. */
static gboolean
llm_claim (const EvoCheckpoint *c)
{
  if (model_type (c) == NULL || !c->has_card (c, model_type (c)))
    return FALSE;
  for (guint i = 0; i < c->n_tensors (c); i++) {
    EvoRole role;

    llm_role (c, c->tensor (c, i)->name, &role);
    if (role.kind == EVO_ROLE_EMBED && role.module[0] == '\0')
      return TRUE;
  }
  return FALSE;
}

/* ------------------------------------------------------------------ reading config.json */

/* FALSE: the key is there, but no number. *found: whether it is there (null counts as absent). */
static gboolean
find_number (const EvoCheckpoint *c, const char *key, double *out, gboolean *found, GError **error)
{
  const char *text = c->config_string (c, key);
  double list[1];

  *found = c->config_number (c, key, out);
  if (*found)
    return TRUE;
  if (text != NULL)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /%s: is \"%s\"; it should be a number", key, text);
  if (c->config_list (c, key, list, 1) > 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /%s: is a list; it should be a number", key);
  return TRUE;
}

/* A number from low to high; def NaN: it must be there. */
static gboolean
read_number (const EvoCheckpoint *c, const char *key, double low, double high, double def, double *out, GError **error)
{
  gboolean found;
  double x = def;

  if (!find_number (c, key, &x, &found, error))
    return FALSE;
  if (!found && isnan (def))
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: has no \"%s\"; it should be a number", key);
  if (found && !(x >= low && x <= high))
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /%s: %g is outside %g ... %g", key, x, low, high);
  *out = found ? x : def;
  return TRUE;
}

static gboolean
read_whole (const EvoCheckpoint *c, const char *key, double low, double high, double def, gint64 *out, GError **error)
{
  double x;

  if (!read_number (c, key, low, high, def, &x, error))
    return FALSE;
  if (x != rint (x))
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /%s: %.17g is no whole number", key, x);
  *out = (gint64) x;
  return TRUE;
}

static gboolean
read_flag (const EvoCheckpoint *c, const char *key, gboolean def, gboolean *out, GError **error)
{
  gint64 x = def;

  if (!read_whole (c, key, 0, 1, def, &x, error))
    return FALSE;
  *out = x != 0;
  return TRUE;
}

/* ------------------------------------------------------------------ sizes */

static gboolean
read_heads (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  if (!read_whole (c, "num_attention_heads", 1, MOST_HEADS, NAN, &s->n_heads, error) ||
      !read_whole (c, "num_key_value_heads", 1, MOST_HEADS, (double) s->n_heads, &s->n_kv_heads, error) ||
      !read_whole (c, "head_dim", 2, MOST_WIDTH, 0, &s->head_dim, error))
    return FALSE;
  if (s->n_heads % s->n_kv_heads != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: num_attention_heads %" G_GINT64_FORMAT " is no multiple of num_key_value_heads %"
                     G_GINT64_FORMAT, s->n_heads, s->n_kv_heads);
  if (s->head_dim == 0 && s->hidden % s->n_heads != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: hidden_size %" G_GINT64_FORMAT " is no multiple of num_attention_heads %"
                     G_GINT64_FORMAT ", and there is no head_dim", s->hidden, s->n_heads);
  if (s->head_dim == 0)
    s->head_dim = s->hidden / s->n_heads;
  if (s->head_dim % 2 != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: head_dim %" G_GINT64_FORMAT " is odd; rotary positions turn pairs", s->head_dim);
  if (s->n_heads * s->head_dim > MOST_WIDTH)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: num_attention_heads %" G_GINT64_FORMAT " x head_dim %" G_GINT64_FORMAT
                     " is more than %d", s->n_heads, s->head_dim, MOST_WIDTH);
  return TRUE;
}

static gboolean
read_sizes (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  return read_whole (c, "num_hidden_layers", 1, MOST_LAYERS, NAN, &s->n_layers, error) &&
         read_whole (c, "hidden_size", 1, MOST_WIDTH, NAN, &s->hidden, error) &&
         read_whole (c, "intermediate_size", 1, MOST_WIDTH, NAN, &s->intermediate, error) &&
         read_whole (c, "vocab_size", 1, MOST_VOCAB, NAN, &s->vocab, error) &&
         read_whole (c, "max_position_embeddings", 1, MOST_POSITIONS, NAN, &s->max_positions, error) && read_heads (c, s, error);
}

/* ------------------------------------------------------------------ rotary positions */

/* Where the rope's numbers stand. */
static const char *
rope_key (const EvoCheckpoint *c)
{
  double x;

  return c->config_string (c, "rope_parameters/rope_type") != NULL || c->config_number (c, "rope_parameters/rope_theta", &x) ? "rope_parameters"
                                                                                                                           : "rope_scaling";
}

static gboolean
read_rope_number (const EvoCheckpoint *c, const char *name, double low, double high, double def, double *out, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s/%s", rope_key (c), name);

  return read_number (c, key, low, high, def, out, error);
}

static gboolean
read_rope_type (const EvoCheckpoint *c, guint32 *type, GError **error)
{
  static const char *const names[] = { "default", "linear", "llama3", "yarn" }; /* EvoRopeScaling */
  g_autofree char *new = g_strdup_printf ("%s/rope_type", rope_key (c)), *old = g_strdup_printf ("%s/type", rope_key (c));
  const char *name = c->config_string (c, new);
  double x;

  if (name == NULL)
    name = c->config_string (c, old);
  if (name == NULL && c->config_number (c, "rope_scaling/factor", &x))
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /rope_scaling: has a factor but no rope_type");
  *type = EVO_ROPE_NONE;
  for (guint32 i = 0; name != NULL && i < G_N_ELEMENTS (names); i++)
    if (strcmp (name, names[i]) == 0) {
      *type = i;
      return TRUE;
    }
  return name == NULL || evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /%s: rope type \"%s\" cannot be run; default, linear, llama3 and "
                                   "yarn can", rope_key (c), name);
}

static gboolean
read_llama3 (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  if (!read_rope_number (c, "low_freq_factor", 1e-6, 1e6, NAN, &s->rope_low_freq, error) ||
      !read_rope_number (c, "high_freq_factor", 1e-6, 1e6, NAN, &s->rope_high_freq, error))
    return FALSE;
  if (s->rope_low_freq >= s->rope_high_freq)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: low_freq_factor %g is not below high_freq_factor %g", s->rope_low_freq,
                     s->rope_high_freq);
  return TRUE;
}

static gboolean
read_yarn (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  double truncate;

  if (!read_rope_number (c, "beta_fast", 1e-6, 1e6, 32, &s->rope_beta_fast, error) ||
      !read_rope_number (c, "beta_slow", 1e-6, 1e6, 1, &s->rope_beta_slow, error) ||
      !read_rope_number (c, "attention_factor", 1e-6, 1e6, 0, &s->rope_attention_factor, error) ||
      !read_rope_number (c, "mscale", 0, 1e6, 0, &s->rope_mscale, error) ||
      !read_rope_number (c, "mscale_all_dim", 0, 1e6, 0, &s->rope_mscale_all_dim, error) ||
      !read_rope_number (c, "truncate", 0, 1, 1, &truncate, error))
    return FALSE;
  s->rope_truncate = truncate != 0;
  return TRUE;
}

static gboolean
read_rope (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  double theta = 10000, partial, original;

  if (!read_number (c, "rope_theta", 1.0001, 1e15, theta, &theta, error) ||
      !read_number (c, "rope_parameters/rope_theta", 1.0001, 1e15, theta, &s->rope_theta, error) ||
      !read_number (c, "partial_rotary_factor", 0, 1, 1, &partial, error) ||
      !read_rope_number (c, "partial_rotary_factor", 0, 1, partial, &partial, error) || !read_rope_type (c, &s->rope_scaling, error))
    return FALSE;
  if (partial != 1)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: partial_rotary_factor %g cannot be run; whole heads are turned", partial);
  if (s->rope_scaling == EVO_ROPE_NONE)
    return TRUE;
  if (!read_number (c, "original_max_position_embeddings", 1, MOST_POSITIONS, (double) s->max_positions, &original, error) ||
      !read_rope_number (c, "original_max_position_embeddings", 1, MOST_POSITIONS, original, &s->rope_original, error) ||
      !read_rope_number (c, "factor", 1e-6, 1e6, NAN, &s->rope_factor, error))
    return FALSE;
  if (s->rope_scaling == EVO_ROPE_LLAMA3)
    return read_llama3 (c, s, error);
  return s->rope_scaling != EVO_ROPE_YARN || read_yarn (c, s, error);
}

/* ------------------------------------------------------------------ the rest */

static gboolean
read_tokens (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  double list[G_N_ELEMENTS (s->eos)];
  guint n = c->config_list (c, "eos_token_id", list, G_N_ELEMENTS (list));
  gint64 one;

  if (!read_whole (c, "bos_token_id", -1, MOST_VOCAB, -1, &s->bos, error))
    return FALSE;
  if (n == 0) {
    if (!read_whole (c, "eos_token_id", -1, MOST_VOCAB, -1, &one, error))
      return FALSE;
    s->eos[0] = one;
    s->n_eos = one >= 0;
    return TRUE;
  }
  if (n > G_N_ELEMENTS (list))
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /eos_token_id: has %u tokens; at most %d can be watched for", n,
                     (int) G_N_ELEMENTS (list));
  for (guint i = 0; i < n; i++) {
    if (list[i] != rint (list[i]) || list[i] < 0 || list[i] > MOST_VOCAB)
      return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /eos_token_id/%u: %g is no token", i, list[i]);
    s->eos[i] = (gint64) list[i];
  }
  s->n_eos = n;
  return TRUE;
}

/* A Llama's sliding_window is ignored by the reference, as is any whose use_sliding_window is false. */
static gboolean
read_window (const EvoCheckpoint *c, EvoDecoderSpec *s, GError **error)
{
  gboolean used;

  if (!read_flag (c, "use_sliding_window", strcmp (model_type (c), "llama") != 0, &used, error))
    return FALSE;
  return !used || read_whole (c, "sliding_window", 1, MOST_POSITIONS, 0, &s->sliding_window, error);
}

static gboolean
read_act (const EvoCheckpoint *c, GError **error)
{
  const char *act = c->config_string (c, "hidden_act");

  return act == NULL || strcmp (act, "silu") == 0 || strcmp (act, "swish") == 0 ||
         evo_fail (error, EVO_PLUGIN_ERROR_FILE, "config.json: /hidden_act: \"%s\" cannot be run; \"silu\" can", act);
}

/* What config.json says must be what the headers say. */
static gboolean
check_shapes (const EvoCheckpoint *c, const EvoDecoderSpec *s, GError **error)
{
  const gint64 queries = s->n_heads * s->head_dim, keys = s->n_kv_heads * s->head_dim;
  const struct { const char *slot; gint64 rows, cols; } matrices[] = {
    { "embed", s->vocab, s->hidden }, { "head", s->vocab, s->hidden }, { "q", queries, s->hidden }, { "k", keys, s->hidden },
    { "v", keys, s->hidden }, { "o", s->hidden, queries }, { "gate", s->intermediate, s->hidden }, { "up", s->intermediate, s->hidden },
    { "down", s->hidden, s->intermediate },
  };

  for (guint i = 0; i < c->n_tensors (c); i++) {
    const EvoTensor *t = c->tensor (c, i);
    EvoRole role;

    llm_role (c, t->name, &role);
    for (guint j = 0; j < G_N_ELEMENTS (matrices); j++)
      if (strcmp (role.slot, matrices[j].slot) == 0 && (t->n_dims != 2 || t->dims[0] != matrices[j].rows || t->dims[1] != matrices[j].cols))
        return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "\"%s\": config.json says it is [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
                         "]; it has %u dimension(s), %" G_GINT64_FORMAT " elements in all", t->name, matrices[j].rows, matrices[j].cols, t->n_dims,
                         t->n);
    if (role.layer >= s->n_layers)
      return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "\"%s\": config.json says there are %" G_GINT64_FORMAT " layers", t->name, s->n_layers);
  }
  return TRUE;
}

static gint32
llm_n_layers (const EvoCheckpoint *c)
{
  double x;

  return c->config_number (c, "num_hidden_layers", &x) && x >= 1 && x <= MOST_LAYERS ? (gint32) x : 0;
}

static gboolean
llm_decoder (const EvoCheckpoint *c, EvoDecoderSpec *out, GError **error)
{
  EvoDecoderSpec s = { .size = sizeof s };

  if (!read_sizes (c, &s, error) || !read_rope (c, &s, error) || !read_act (c, error) || !read_window (c, &s, error) ||
      !read_tokens (c, &s, error) || !read_number (c, "rms_norm_eps", 0, 1, 1e-6, &s.norm_eps, error) ||
      !read_flag (c, "tie_word_embeddings", FALSE, &s.tied, error) || !read_flag (c, "attention_bias", FALSE, &s.attention_bias, error) ||
      !read_flag (c, "mlp_bias", FALSE, &s.mlp_bias, error) || !check_shapes (c, &s, error))
    return FALSE;
  *out = s;
  return TRUE;
}

static const char *const copied_files[] = {
  "generation_config.json", "tokenizer*.json", "tokenizer*.model", "tokenizer*.jsonl", "special_tokens_map.json", "added_tokens.json",
  "vocab.json", "vocab.txt", "merges.txt", "*.tiktoken", "spiece.model", "sentencepiece*.model", "chat_template.*", "*.py", NULL
};

EVO_MODEL_PLUGIN (.name = "llm", .summary = "A decoder-only language model (llama, mistral): a Hugging Face directory.",
                  EVO_TAKES (LlmParams, params), .claim = llm_claim, .role = llm_role, .n_layers = llm_n_layers, .decoder = llm_decoder,
                  .copied_files = copied_files)
