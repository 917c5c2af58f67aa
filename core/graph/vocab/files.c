/* SPDX-License-Identifier: Apache-2.0
 * files.c - the files of a tokenizer, copied or written anew, and numbers of tokens in configurations.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/vocab/vocab.h"

/* ------------------------------------------------------------------ which files */

static gboolean
matches (const char *name, const char *const *patterns)
{
  for (guint i = 0; patterns[i] != NULL; i++)
    if (evo_glob_match (patterns[i], name))
      return TRUE;
  return FALSE;
}

gboolean
evo_vocab_is_file (const char *name)
{
  static const char *const patterns[] = { "tokenizer*", "tokenization*.py", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
                                          "*.tiktoken", "spiece.model", "sentencepiece*.model", "chat_template.*", NULL };

  return matches (name, patterns);
}

char *
evo_vocab_dup_folder (const EvoModels *m, const EvoNode *node)
{
  const EvoLayout *l = evo_models_get_layout (m, node);

  return l->tokens != NULL ? g_strdup (l->tokens->folder) : evo_models_dup_folder (m, node);
}

/* tokenizer.json is written anew: what says the same in another form is left out, for it says it no longer. */
gboolean
evo_vocab_keeps (const EvoLayout *l, const char *name)
{
  static const char *const same[] = { "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "*.tiktoken", "spiece.model",
                                      "sentencepiece*.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", NULL };
  gboolean is_new = l->tokens != NULL && l->tokens->json != NULL;

  if (is_new && matches (name, same))
    return FALSE;
  if (l->chat_template != NULL && (g_str_equal (name, "tokenizer_config.json") || evo_glob_match ("chat_template.*", name)))
    return FALSE;
  return l->moved == NULL || !g_str_equal (name, "generation_config.json");
}

/* ------------------------------------------------------------------ writing */

typedef struct { const EvoModels *m; const EvoLayout *l; const char *folder; EvoVocabSink sink; gpointer data; } Files;

/* A file of the folder, NULL without error: there is none. */
static EvoJsonDoc *
parse (const char *folder, const char *name, GError **error)
{
  g_autofree char *path = folder == NULL ? NULL : g_build_filename (folder, name, NULL);

  if (path == NULL || !g_file_test (path, G_FILE_TEST_EXISTS))
    return NULL;
  return evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
}

static gboolean
is_gone (const EvoTokens *t, const char *text)
{
  return t != NULL && t->stripped != NULL && text != NULL && g_hash_table_contains (t->stripped, text) && evo_tokens_find (t, text) < 0;
}

/* "pad_token": "[PAD]", or {"content": "[PAD]"}: a token that has no row would be added again by who reads this. */
static gboolean
names_gone (const EvoTokens *t, const EvoJson *v)
{
  const char *text = evo_json_kind (v) == EVO_JSON_OBJECT ? evo_json_get_string (v, "content") : evo_json_string (v);

  return g_str_has_suffix (evo_json_key (v), "_token") && is_gone (t, text);
}

static gboolean
put (const Files *f, const char *name, GString *text, GError **error)
{
  g_string_append_c (text, '\n');
  return f->sink (f->data, name, text->str, text->len, error);
}

/* "32000": {...} of tokenizer_config.json */
static void
write_decoder (const EvoTokens *t, const EvoJson *v, EvoJsonWriter *w)
{
  static const struct { const char *key; guint8 flag; } all[] = { { "lstrip", EVO_TOKEN_LSTRIP }, { "normalized", EVO_TOKEN_NORMALIZED },
    { "rstrip", EVO_TOKEN_RSTRIP }, { "single_word", EVO_TOKEN_SINGLE }, { "special", EVO_TOKEN_SPECIAL } };

  evo_json_begin_object (w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *old = evo_json_at (v, i);

    if (is_gone (t, evo_json_get_string (old, "content")))
      continue;
    evo_json_add_key (w, evo_json_key (old));
    evo_json_add_value (w, old);
  }
  for (guint i = 0; t->appended != NULL && i < t->appended->len; i++) {
    gint64 id = g_array_index (t->appended, gint64, i);
    const EvoToken *token = evo_tokens_get (t, id);
    g_autofree char *key = g_strdup_printf ("%" G_GINT64_FORMAT, id);

    if (evo_json_member (v, key) != NULL)
      continue;
    evo_json_add_key (w, key);
    evo_json_begin_object (w);
    evo_json_add_key (w, "content");
    evo_json_add_string (w, token->text);
    for (guint k = 0; k < G_N_ELEMENTS (all); k++) {
      evo_json_add_key (w, all[k].key);
      evo_json_add_bool (w, (token->flags & all[k].flag) != 0);
    }
    evo_json_end_object (w);
  }
  evo_json_end_object (w);
}

/* tokenizer_config.json, and special_tokens_map.json, which has the same names. is_config: the template goes there. */
static gboolean
write_names (const Files *f, const char *name, gboolean is_config, GError **error)
{
  GError *e = NULL;
  g_autoptr (EvoJsonDoc) doc = parse (f->folder, name, &e);
  const EvoJson *root = doc == NULL ? NULL : evo_json_root (doc);
  const char *chat = is_config ? f->l->chat_template : NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (e != NULL) {
    g_propagate_error (error, e);
    return FALSE;
  }
  if (root == NULL && chat == NULL)
    return TRUE;
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (root); i++) {
    const EvoJson *v = evo_json_at (root, i);

    if (names_gone (f->l->tokens, v) || (chat != NULL && g_str_equal (evo_json_key (v), "chat_template")))
      continue;
    evo_json_add_key (&w, evo_json_key (v));
    if (f->l->tokens != NULL && g_str_equal (evo_json_key (v), "added_tokens_decoder"))
      write_decoder (f->l->tokens, v, &w);
    else
      evo_json_add_value (&w, v);
  }
  if (chat != NULL) {
    evo_json_add_key (&w, "chat_template");
    evo_json_add_string (&w, chat);
  }
  evo_json_end_object (&w);
  return put (f, name, text, error);
}

/* {"<|im_end|>": 32000}, where the folder has such a file */
static gboolean
write_added (const Files *f, GError **error)
{
  GError *e = NULL;
  g_autoptr (EvoJsonDoc) doc = parse (f->folder, "added_tokens.json", &e);
  const EvoTokens *t = f->l->tokens;
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (doc == NULL) {
    if (e != NULL)
      g_propagate_error (error, e);
    return e == NULL;
  }
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (evo_json_root (doc)); i++) {
    const EvoJson *v = evo_json_at (evo_json_root (doc), i);

    if (evo_json_key (v) == NULL || evo_tokens_find (t, evo_json_key (v)) < 0)
      continue;
    evo_json_add_key (&w, evo_json_key (v));
    evo_json_add_value (&w, v);
  }
  for (guint i = 0; t->appended != NULL && i < t->appended->len; i++) {
    gint64 id = g_array_index (t->appended, gint64, i);
    const char *token = evo_tokens_get (t, id)->text;

    if (evo_json_member (evo_json_root (doc), token) != NULL)
      continue;
    evo_json_add_key (&w, token);
    evo_json_add_integer (&w, id);
  }
  evo_json_end_object (&w);
  return put (f, "added_tokens.json", text, error);
}

static gboolean
write_generation (const Files *f, GError **error)
{
  g_autofree char *folder = evo_models_dup_folder (f->m, f->l->source);
  GError *e = NULL;
  g_autoptr (EvoJsonDoc) doc = parse (folder, "generation_config.json", &e);
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (doc == NULL) {
    if (e != NULL)
      g_propagate_error (error, e);
    return e == NULL;
  }
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (evo_json_root (doc)); i++) {
    const EvoJson *v = evo_json_at (evo_json_root (doc), i);

    if (evo_json_key (v) == NULL)
      continue;
    evo_json_add_key (&w, evo_json_key (v));
    if (!evo_vocab_write_member (f->m, f->l, v, &w))
      evo_json_add_value (&w, v);
  }
  evo_json_end_object (&w);
  return put (f, "generation_config.json", text, error);
}

gboolean
evo_vocab_write_files (const EvoModels *m, const EvoNode *node, EvoVocabSink sink, gpointer data, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  g_autofree char *folder = evo_vocab_dup_folder (m, node);
  Files f = { m, l, folder, sink, data };
  gboolean is_new = l->tokens != NULL && l->tokens->json != NULL;

  if (is_new && !(sink (data, "tokenizer.json", l->tokens->json, strlen (l->tokens->json), error) && write_names (&f, "special_tokens_map.json", FALSE, error) &&
                  write_added (&f, error)))
    return FALSE;
  if ((is_new || l->chat_template != NULL) && !write_names (&f, "tokenizer_config.json", TRUE, error))
    return FALSE;
  return l->moved == NULL || write_generation (&f, error);
}

/* ------------------------------------------------------------------ numbers of tokens */

gint64
evo_vocab_map (const EvoLayout *l, gint64 id)
{
  if (l->moved == NULL || id < 0)
    return id;
  return id < l->moved->len ? g_array_index (l->moved, gint32, id) : -1;
}

/* The member of this key where the tokens are from: what it says is right for them. */
static void
write_of_folder (const EvoLayout *l, const char *key, EvoJsonWriter *w)
{
  g_autoptr (EvoJsonDoc) doc = parse (l->tokens->folder, "config.json", NULL);
  const EvoJson *v = doc == NULL ? NULL : evo_json_member (evo_json_root (doc), key);

  if (v != NULL)
    evo_json_add_value (w, v);
  else
    evo_json_add_null (w);
}

static void
write_ids (const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w)
{
  gboolean is_list = evo_json_kind (v) == EVO_JSON_ARRAY;
  guint n = is_list ? evo_json_size (v) : 1;
  g_autofree gint64 *ids = g_new (gint64, MAX (n, 1));
  guint kept = 0;

  for (guint i = 0; i < n; i++) {
    gint64 id;

    if (evo_json_is_integer (is_list ? evo_json_at (v, i) : v, &id) && id >= 0 && (id = evo_vocab_map (l, id)) >= 0)
      ids[kept++] = id;
  }
  if (kept == 0) {
    write_of_folder (l, evo_json_key (v), w);
    return;
  }
  if (is_list)
    evo_json_begin_array (w);
  for (guint i = 0; i < kept; i++)
    evo_json_add_integer (w, ids[i]);
  if (is_list)
    evo_json_end_array (w);
}

gboolean
evo_vocab_write_member (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w)
{
  const char *key = evo_json_key (v);
  gboolean is_null = evo_json_kind (v) == EVO_JSON_NULL;

  if (l->n_rows > 0 && g_str_equal (key, "vocab_size")) {
    evo_json_add_integer (w, l->n_rows);
    return TRUE;
  }
  if (l->moved != NULL && g_str_has_suffix (key, "_token_id") && !is_null) {
    write_ids (l, v, w);
    return TRUE;
  }
  if (l->n_rows == 0 || !g_str_equal (key, "text_config") || evo_json_kind (v) != EVO_JSON_OBJECT)
    return FALSE;
  evo_json_begin_object (w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *inner = evo_json_at (v, i);

    evo_json_add_key (w, evo_json_key (inner));
    /* an object called text_config in text_config is nobody's: it is not looked into */
    if (evo_json_kind (inner) == EVO_JSON_OBJECT || !evo_vocab_write_member (m, l, inner, w))
      evo_json_add_value (w, inner);
  }
  evo_json_end_object (w);
  return TRUE;
}

/* Tokens that end a text, as the configuration where the tokens are from has them. */
static void
ends_of_folder (const EvoLayout *l, EvoDecoderSpec *spec)
{
  g_autoptr (EvoJsonDoc) doc = parse (l->tokens->folder, "config.json", NULL);
  const EvoJson *v = doc == NULL ? NULL : evo_json_member (evo_json_root (doc), "eos_token_id");
  gboolean is_list = v != NULL && evo_json_kind (v) == EVO_JSON_ARRAY;

  for (guint i = 0; v != NULL && i < (is_list ? evo_json_size (v) : 1) && spec->n_eos < G_N_ELEMENTS (spec->eos); i++) {
    gint64 id;

    if (evo_json_is_integer (is_list ? evo_json_at (v, i) : v, &id) && id >= 0 && id < l->n_rows)
      spec->eos[spec->n_eos++] = id;
  }
}

void
evo_vocab_fit_decoder (const EvoLayout *l, EvoDecoderSpec *spec)
{
  guint n = 0;

  if (l->n_rows > 0)
    spec->vocab = l->n_rows;
  if (l->moved == NULL)
    return;
  spec->bos = evo_vocab_map (l, spec->bos);
  for (guint i = 0; i < spec->n_eos; i++) {
    gint64 id = evo_vocab_map (l, spec->eos[i]);

    if (id >= 0)
      spec->eos[n++] = id;
  }
  spec->n_eos = n;
  if (n == 0)
    ends_of_folder (l, spec);
}

EvoTokenizer *
evo_vocab_open_tokenizer (const EvoModels *m, const EvoNode *node, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  g_autofree char *folder = evo_vocab_dup_folder (m, node), *path = folder == NULL ? NULL : g_build_filename (folder, "tokenizer.json", NULL);

  if (l->tokens != NULL && l->tokens->json != NULL)
    return evo_tokenizer_new_from_json_text (l->tokens->json, -1, path, error);
  return folder == NULL ? NULL : evo_tokenizer_open (folder, error);
}
