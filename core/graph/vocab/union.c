/* SPDX-License-Identifier: Apache-2.0
 * union.c - one vocabulary of several: that of the first, whose ids stay, and behind it what the others have beside; and its tokenizer.json.
 *
 * Pieces of another vocabulary become added tokens, as mergekit has it: a text that holds one is cut there before the first's own rules apply.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/vocab/vocab.h"

/* ------------------------------------------------------------------ tokens */

static void
append (EvoTokens *out, const char *text, guint8 flags)
{
  gint64 id = evo_tokens_find (out, text);

  if (id < 0)
    id = evo_tokens_count (out);
  evo_tokens_put (out, id, text, flags | EVO_TOKEN_ADDED);
  g_array_append_val (out->appended, id);
}

static EvoTokens *
copy_of (const EvoTokens *first)
{
  EvoTokens *out = evo_tokens_new (first->folder);
  GHashTableIter iter;
  gpointer text;

  for (gint64 id = 0; id < evo_tokens_count (first); id++) {
    const EvoToken *t = evo_tokens_get (first, id);

    if (t != NULL)
      evo_tokens_put (out, id, t->text, t->flags);
  }
  if (first->stripped != NULL) {
    out->stripped = g_hash_table_new (g_str_hash, g_str_equal);
    g_hash_table_iter_init (&iter, first->stripped);
    while (g_hash_table_iter_next (&iter, &text, NULL))
      g_hash_table_add (out->stripped, g_string_chunk_insert (out->chunk, text));
  }
  out->is_spm = first->is_spm;
  out->appended = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (first->appended != NULL)
    g_array_append_vals (out->appended, first->appended->data, first->appended->len);
  return out;
}

static GHashTable *
added_of_any (EvoTokens *const *others, guint n)
{
  GHashTable *all = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < n; i++)
    for (gint64 id = 0; id < evo_tokens_count (others[i]); id++) {
      const EvoToken *t = evo_tokens_get (others[i], id);

      if (t != NULL && t->flags & EVO_TOKEN_ADDED)
        g_hash_table_add (all, (gpointer) t->text);
    }
  return all;
}

/* Pieces first, then added tokens: model by model, in order of their ids. */
static void
append_others (EvoTokens *out, EvoTokens *const *others, guint n)
{
  g_autoptr (GHashTable) added = added_of_any (others, n);

  for (guint pass = 0; pass < 2; pass++)
    for (guint i = 0; i < n; i++)
      for (gint64 id = 0; id < evo_tokens_count (others[i]); id++) {
        const EvoToken *t = evo_tokens_get (others[i], id), *ours = t == NULL ? NULL : evo_tokens_get (out, evo_tokens_find (out, t->text));

        if (t == NULL)
          continue;
        if (pass == 0 && ours == NULL && !g_hash_table_contains (added, t->text))
          append (out, t->text, EVO_TOKEN_NORMALIZED);
        else if (pass == 1 && t->flags & EVO_TOKEN_ADDED && (ours == NULL || !(ours->flags & EVO_TOKEN_ADDED)))
          append (out, t->text, t->flags);
      }
}

/* transformers counts new tokens on from how many there are. */
static gboolean
check_dense (const EvoTokens *t, GError **error)
{
  for (gint64 id = 0; id < evo_tokens_count (t); id++)
    if (evo_tokens_get (t, id) == NULL)
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: no token has the id %" G_GINT64_FORMAT "; tokens can be added only where ids have "
                            "no gaps, name another model as the tokenizer's source", t->folder, id);
  return TRUE;
}

/* ------------------------------------------------------------------ tokenizer.json */

static gboolean
is_stripped (const EvoTokens *t, const char *text)
{
  return t->stripped != NULL && text != NULL && g_hash_table_contains (t->stripped, text);
}

static void
write_vocab (const EvoTokens *t, const EvoJson *vocab, EvoJsonWriter *w)
{
  gboolean by_id = evo_json_kind (vocab) == EVO_JSON_ARRAY;

  (by_id ? evo_json_begin_array : evo_json_begin_object) (w);
  for (guint i = 0; i < evo_json_size (vocab); i++) {
    const EvoJson *v = evo_json_at (vocab, i);

    if (is_stripped (t, by_id ? evo_json_string (evo_json_at (v, 0)) : evo_json_key (v)))
      continue;
    if (!by_id)
      evo_json_add_key (w, evo_json_key (v));
    evo_json_add_value (w, v);
  }
  (by_id ? evo_json_end_array : evo_json_end_object) (w);
}

/* "a b", or ["a", "b"]: neither part nor what they make is stripped. */
static gboolean
keeps_merge (const EvoTokens *t, const EvoJson *v)
{
  const char *text = evo_json_string (v), *blank = text == NULL ? NULL : strchr (text, ' ');
  g_autofree char *left = NULL, *right = NULL, *both = NULL;

  if (evo_json_size (v) == 2) {
    left = g_strdup (evo_json_string (evo_json_at (v, 0)));
    right = g_strdup (evo_json_string (evo_json_at (v, 1)));
  } else if (blank != NULL) {
    left = g_strndup (text, (gsize) (blank - text));
    right = g_strdup (blank + 1);
  }
  if (left == NULL || right == NULL)
    return TRUE;
  both = g_strconcat (left, right, NULL);
  return !is_stripped (t, left) && !is_stripped (t, right) && !is_stripped (t, both);
}

static void
write_model (const EvoTokens *t, const EvoJson *model, EvoJsonWriter *w)
{
  evo_json_begin_object (w);
  for (guint i = 0; i < evo_json_size (model); i++) {
    const EvoJson *v = evo_json_at (model, i);

    evo_json_add_key (w, evo_json_key (v));
    if (g_str_equal (evo_json_key (v), "vocab")) {
      write_vocab (t, v, w);
    } else if (g_str_equal (evo_json_key (v), "merges") && t->stripped != NULL) {
      evo_json_begin_array (w);
      for (guint k = 0; k < evo_json_size (v); k++)
        if (keeps_merge (t, evo_json_at (v, k)))
          evo_json_add_value (w, evo_json_at (v, k));
      evo_json_end_array (w);
    } else {
      evo_json_add_value (w, v);
    }
  }
  evo_json_end_object (w);
}

static void
write_added (const EvoTokens *t, const EvoJson *added, guint from, EvoJsonWriter *w)
{
  static const struct { const char *key; guint8 flag; } all[] = { { "single_word", EVO_TOKEN_SINGLE }, { "lstrip", EVO_TOKEN_LSTRIP },
    { "rstrip", EVO_TOKEN_RSTRIP }, { "normalized", EVO_TOKEN_NORMALIZED }, { "special", EVO_TOKEN_SPECIAL } };

  evo_json_begin_array (w);
  for (guint i = 0; i < evo_json_size (added); i++)
    if (!is_stripped (t, evo_json_get_string (evo_json_at (added, i), "content")))
      evo_json_add_value (w, evo_json_at (added, i));
  for (guint i = from; i < t->appended->len; i++) {
    gint64 id = g_array_index (t->appended, gint64, i);
    const EvoToken *token = evo_tokens_get (t, id);

    evo_json_begin_object (w);
    evo_json_add_key (w, "id");
    evo_json_add_integer (w, id);
    evo_json_add_key (w, "content");
    evo_json_add_string (w, token->text);
    for (guint k = 0; k < G_N_ELEMENTS (all); k++) {
      evo_json_add_key (w, all[k].key);
      evo_json_add_bool (w, (token->flags & all[k].flag) != 0);
    }
    evo_json_end_object (w);
  }
  evo_json_end_array (w);
}

/* first's tokenizer.json without stripped tokens and with those appended from number `from` on. */
static char *
make_json (const EvoTokens *t, const EvoTokens *first, guint from, GError **error)
{
  g_autofree char *path = g_build_filename (first->folder, "tokenizer.json", NULL);
  g_autoptr (EvoJsonDoc) doc = first->json != NULL ? evo_json_parse (first->json, -1, path, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, error)
                                                   : evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  const EvoJson *root;
  GString *out;
  EvoJsonWriter w;

  if (doc == NULL)
    return NULL;
  root = evo_json_root (doc);
  out = g_string_new (NULL);
  evo_json_writer_init (&w, out, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (root); i++) {
    const EvoJson *v = evo_json_at (root, i);

    evo_json_add_key (&w, evo_json_key (v));
    if (g_str_equal (evo_json_key (v), "added_tokens"))
      write_added (t, v, from, &w);
    else if (g_str_equal (evo_json_key (v), "model"))
      write_model (t, v, &w);
    else
      evo_json_add_value (&w, v);
  }
  if (evo_json_member (root, "added_tokens") == NULL) {
    evo_json_add_key (&w, "added_tokens");
    write_added (t, NULL, from, &w);
  }
  evo_json_end_object (&w);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}

static int
by_id (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return x < y ? -1 : x > y;
}

EvoTokens *
evo_tokens_join (EvoTokens *first, EvoTokens *const *others, guint n, const EvoTokenRule *rules, guint n_rules, GError **error)
{
  g_autoptr (EvoTokens) out = copy_of (first);
  guint from = out->appended->len;

  append_others (out, others, n);
  for (guint i = 0; i < n_rules; i++)
    if (evo_tokens_find (out, rules[i].token) < 0)
      append (out, rules[i].token, EVO_TOKEN_NORMALIZED);
  if (out->appended->len == from && out->stripped == NULL)
    return evo_tokens_ref (first);
  if (out->is_spm) {
    evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: has a tokenizer.model only, in which tokens are neither added nor left out; convert it "
                   "(transformers: AutoTokenizer.from_pretrained, save_pretrained), or name \"base\" or another model as the tokenizer's source", first->folder);
    return NULL;
  }
  if (out->appended->len > from && !check_dense (out, error))
    return NULL;
  if (out->appended->len > from)
    qsort (&g_array_index (out->appended, gint64, from), out->appended->len - from, sizeof (gint64), by_id);
  out->json = make_json (out, first, from, error);
  return out->json == NULL ? NULL : g_steal_pointer (&out);
}
