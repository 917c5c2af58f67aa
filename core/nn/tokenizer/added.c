/* SPDX-License-Identifier: Apache-2.0
 * added.c - tokens beside the model's own: found in the text before the model sees it.
 */
#include "core/nn/tokenizer/impl.h"

static const EvoAddedToken *
added_at (const EvoTokenizer *t, guint i)
{
  return &g_array_index (t->added, EvoAddedToken, i);
}

/* Is there room for this token? */
static gboolean
check (const EvoTokenizer *t, const EvoAddedToken *token, char **why)
{
  gint32 known = evo_vocab_find (&t->vocab, token->text, token->n);
  EvoVocabText other = evo_vocab_get (&t->vocab, token->id);

  if (token->n > EVO_VOCAB_MAX_TEXT)
    *why = g_strdup_printf ("an added token of %" G_GSIZE_FORMAT " bytes; up to %d are accepted", token->n, EVO_VOCAB_MAX_TEXT);
  else if (known >= 0 && known != token->id)
    *why = g_strdup_printf ("the added token \"%s\" has the id %d, but the vocabulary says %d", token->text, token->id, known);
  else if (known < 0 && other.text != NULL)
    *why = g_strdup_printf ("the added token \"%s\" has the id %d, which is \"%s\" in the vocabulary", token->text, token->id, other.text);
  return *why == NULL;
}

gboolean
evo_tokenizer_add (EvoTokenizer *t, EvoAddedToken token, char **why)
{
  gpointer index;

  *why = NULL;
  if (!check (t, &token, why))
    return FALSE;
  if (g_hash_table_lookup_extended (t->added_by_id, GINT_TO_POINTER (token.id), NULL, &index)) {
    const EvoAddedToken *other = added_at (t, GPOINTER_TO_UINT (index));

    if (other->n == token.n && memcmp (other->text, token.text, token.n) == 0)
      return TRUE;
    *why = g_strdup_printf ("the added tokens \"%s\" and \"%s\" have the same id %d", other->text, token.text, token.id);
    return FALSE;
  }
  token.text = g_memdup2 (token.text, token.n + 1);
  g_hash_table_insert (t->added_by_id, GINT_TO_POINTER (token.id), GUINT_TO_POINTER (t->added->len));
  g_array_append_val (t->added, token);
  return TRUE;
}

void
evo_tokenizer_index_added (EvoTokenizer *t)
{
  g_autoptr (GString) cooked = g_string_new (NULL), spare = g_string_new (NULL);

  for (guint i = 0; i < t->added->len; i++) {
    const EvoAddedToken *token = added_at (t, i);

    if (!token->normalized) {
      evo_trie_add (&t->added_raw, token->text, token->n, (gint32) i);
      continue;
    }
    evo_normalizers_run (t->normalizers, token->text, token->n, cooked, spare);
    if (cooked->len > 0)
      evo_trie_add (&t->added_cooked, cooked->str, cooked->len, (gint32) i);
  }
}

/* ------------------------------------------------------------------ cutting */

static gboolean
is_word_at (const char *p, const char *end)
{
  return p < end && (evo_char_class (evo_utf8_next (&p)) & EVO_CHAR_WORD) != 0;
}

static const char *
char_before (const char *text, const char *p)
{
  do
    p--;
  while (p > text && ((guchar) *p & 0xc0) == 0x80);
  return p;
}

static gboolean
is_alone (const char *text, gsize n, gsize start, gsize stop)
{
  gboolean word_before = start > 0 && is_word_at (char_before (text, text + start), text + start);

  return !word_before && !is_word_at (text + stop, text + n);
}

/* Where the blanks before `start` begin, not before `least`. */
static gsize
strip_left (const char *text, gsize start, gsize least)
{
  const char *p = text + start;

  while (p > text + least) {
    const char *before = char_before (text, p), *next = before;

    if (before < text + least || (evo_char_class (evo_utf8_next (&next)) & EVO_CHAR_SPACE) == 0)
      break;
    p = before;
  }
  return (gsize) (p - text);
}

static gsize
strip_right (const char *text, gsize stop, gsize n)
{
  const char *p = text + stop;

  for (const char *next = p; next < text + n && (evo_char_class (evo_utf8_next (&next)) & EVO_CHAR_SPACE) != 0;)
    p = next;
  return (gsize) (p - text);
}

static void
put (GArray *out, gsize start, gsize stop, gint32 id, gboolean first)
{
  EvoPiece piece = { start, stop - start, id, first && start == 0 };

  if (stop > start)
    g_array_append_val (out, piece);
}

void
evo_tokenizer_cut_added (const EvoTokenizer *t, const EvoTrie *trie, const char *text, gsize n, gboolean first, GArray *out)
{
  gsize done = 0, at = 0;

  while (at < n && trie->n_nodes > 1) {
    gint32 index;
    gsize start = at, length = trie->root[(guchar) text[at]] == 0 ? 0 : evo_trie_longest (trie, text + at, n - at, &index);
    const EvoAddedToken *token;

    at += MAX (length, 1);
    if (length == 0)
      continue;
    token = added_at (t, (guint) index);
    if (token->single_word && !is_alone (text, n, start, at))
      continue;
    if (token->lstrip)
      start = strip_left (text, start, done);
    if (token->rstrip)
      at = strip_right (text, at, n);
    put (out, done, start, -1, first);
    put (out, start, at, token->id, first);
    done = at;
  }
  put (out, done, n, -1, first);
}
