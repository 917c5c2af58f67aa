/* SPDX-License-Identifier: Apache-2.0
 * tokens.c - the vocabulary of a model's folder: texts by id and ids by text, as far as the embedding has rows for them.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/vocab/vocab.h"

enum { MOST_IDS = 1 << 22 }; /* as the tokenizer has it: an id costs memory, so a file may not name any */

EvoTokens *
evo_tokens_new (const char *folder)
{
  EvoTokens *t = g_new0 (EvoTokens, 1);

  t->ref_count = 1;
  t->tokens = g_array_new (FALSE, TRUE, sizeof (EvoToken));
  t->ids = g_hash_table_new (g_str_hash, g_str_equal);
  t->chunk = g_string_chunk_new (1 << 16);
  t->folder = g_strdup (folder);
  return t;
}

EvoTokens *
evo_tokens_ref (EvoTokens *t)
{
  g_atomic_int_inc (&t->ref_count);
  return t;
}

void
evo_tokens_unref (EvoTokens *t)
{
  if (t == NULL || !g_atomic_int_dec_and_test (&t->ref_count))
    return;
  g_array_unref (t->tokens);
  g_hash_table_unref (t->ids);
  g_clear_pointer (&t->stripped, g_hash_table_unref);
  g_clear_pointer (&t->appended, g_array_unref);
  g_string_chunk_free (t->chunk);
  g_free (t->folder);
  g_free (t->json);
  g_free (t);
}

gint64
evo_tokens_count (const EvoTokens *t)
{
  return t->tokens->len;
}

gint64
evo_tokens_find (const EvoTokens *t, const char *text)
{
  return (gint64) GPOINTER_TO_SIZE (g_hash_table_lookup (t->ids, text)) - 1;
}

const EvoToken *
evo_tokens_get (const EvoTokens *t, gint64 id)
{
  const EvoToken *token = id < 0 || id >= t->tokens->len ? NULL : &g_array_index (t->tokens, EvoToken, id);

  return token == NULL || token->text == NULL ? NULL : token;
}

void
evo_tokens_put (EvoTokens *t, gint64 id, const char *text, guint8 flags)
{
  EvoToken *token;

  if ((guint) id >= t->tokens->len)
    g_array_set_size (t->tokens, (guint) id + 1);
  token = &g_array_index (t->tokens, EvoToken, id);
  token->flags |= flags;
  if (token->text != NULL)
    return;
  token->text = g_string_chunk_insert (t->chunk, text);
  if (!g_hash_table_contains (t->ids, text))
    g_hash_table_insert (t->ids, (gpointer) token->text, GSIZE_TO_POINTER ((gsize) id + 1));
}

/* ------------------------------------------------------------------ tokenizer.json */

typedef struct { EvoTokens *t; gint64 n_rows; } Reading;

static void
put (Reading *r, gint64 id, const char *text, guint8 flags)
{
  if (id < r->n_rows) {
    evo_tokens_put (r->t, id, text, flags);
    return;
  }
  if (r->t->stripped == NULL)
    r->t->stripped = g_hash_table_new (g_str_hash, g_str_equal);
  g_hash_table_add (r->t->stripped, g_string_chunk_insert (r->t->chunk, text));
}

static gboolean
fail (const EvoJson *v, GError **error, const char *what)
{
  g_autofree char *where = evo_json_where (v);

  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: %s", where, what);
}

static gboolean
read_id (const EvoJson *v, const EvoJson *at, gint64 *id, GError **error)
{
  return (v != NULL && evo_json_is_integer (v, id) && *id >= 0 && *id < MOST_IDS) || fail (at, error, "a token's id is a whole number from 0 to 4194303");
}

/* {"a": 3}, or [["a", -1.5]] in the order of ids */
static gboolean
read_vocab (Reading *r, const EvoJson *vocab, GError **error)
{
  gboolean by_id = evo_json_kind (vocab) == EVO_JSON_ARRAY;

  if (evo_json_size (vocab) > MOST_IDS)
    return fail (vocab, error, "has more than 4194304 tokens");
  for (guint i = 0; i < evo_json_size (vocab); i++) {
    const EvoJson *v = evo_json_at (vocab, i), *piece = by_id && evo_json_size (v) > 0 ? evo_json_at (v, 0) : NULL;
    const char *text = by_id ? (piece == NULL ? NULL : evo_json_string (piece)) : evo_json_key (v);
    gint64 id = i;

    if (by_id && evo_json_size (v) == 0)
      return fail (v, error, "a piece is a pair of a text and a number");
    if (text == NULL)
      return fail (v, error, "a token is a text");
    if (!by_id && !read_id (v, v, &id, error))
      return FALSE;
    put (r, id, text, 0);
  }
  return TRUE;
}

static guint8
flags_of (const EvoJson *v)
{
  static const struct { const char *key; guint8 flag; } all[] = { { "special", EVO_TOKEN_SPECIAL }, { "lstrip", EVO_TOKEN_LSTRIP },
    { "rstrip", EVO_TOKEN_RSTRIP }, { "single_word", EVO_TOKEN_SINGLE }, { "normalized", EVO_TOKEN_NORMALIZED } };
  guint8 flags = EVO_TOKEN_ADDED;

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    if (evo_json_get_bool (v, all[i].key, FALSE))
      flags |= all[i].flag;
  return flags;
}

static gboolean
read_added (Reading *r, const EvoJson *added, GError **error)
{
  for (guint i = 0; i < evo_json_size (added); i++) {
    const EvoJson *v = evo_json_at (added, i);
    const char *text = evo_json_get_string (v, "content");
    gint64 id;

    if (text == NULL)
      return fail (v, error, "an added token has a content");
    if (!read_id (evo_json_member (v, "id"), v, &id, error))
      return FALSE;
    if (*text != '\0')
      put (r, id, text, flags_of (v));
  }
  return TRUE;
}

static gboolean
read_json (Reading *r, const char *path, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  const EvoJson *root, *vocab;

  if (doc == NULL)
    return FALSE;
  root = evo_json_root (doc);
  vocab = evo_json_member (evo_json_member (root, "model"), "vocab");
  if (vocab == NULL || evo_json_size (vocab) == 0)
    return fail (root, error, "has no model with a vocab");
  return read_vocab (r, vocab, error) && read_added (r, evo_json_member (root, "added_tokens"), error);
}

/* ------------------------------------------------------------------ tokenizer.model */

static gboolean
read_spm (Reading *r, const char *folder, GError **error)
{
  g_autoptr (EvoTokenizer) tokenizer = evo_tokenizer_open (folder, error);

  if (tokenizer == NULL)
    return FALSE;
  for (guint id = 0; id < evo_tokenizer_get_n_tokens (tokenizer); id++) {
    gsize n;
    const char *text = evo_tokenizer_get_token (tokenizer, id, &n);
    g_autofree char *own = text == NULL ? NULL : g_strndup (text, n);

    if (own != NULL)
      put (r, id, own, 0);
  }
  r->t->is_spm = TRUE;
  return TRUE;
}

EvoTokens *
evo_tokens_open (const char *folder, gint64 n_rows, GError **error)
{
  g_autoptr (EvoTokens) t = evo_tokens_new (folder);
  g_autofree char *json = g_build_filename (folder, "tokenizer.json", NULL), *spm = g_build_filename (folder, "tokenizer.model", NULL);
  Reading r = { t, n_rows };
  gboolean good;

  if (g_file_test (json, G_FILE_TEST_EXISTS))
    good = read_json (&r, json, error);
  else if (g_file_test (spm, G_FILE_TEST_EXISTS))
    good = read_spm (&r, folder, error);
  else
    good = evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: has neither a tokenizer.json nor a tokenizer.model; \"tokenizer\" needs one "
                          "of every model", folder);
  return good ? g_steal_pointer (&t) : NULL;
}
