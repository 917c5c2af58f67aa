/* SPDX-License-Identifier: Apache-2.0
 * tokenizer.c - a tokenizer at work: text to ids and back.
 *
 * Text, valid UTF-8 · added tokens as written · normalisers · added tokens as normalised · pre-tokenizers · model · template.
 */
#include "core/nn/tokenizer/impl.h"

/* A text longer than this gets working memory of its own, which is freed at once. */
enum { BIG_TEXT = 1 << 20, MAX_WORKS = 64 };

/* ------------------------------------------------------------------ life */

static void
clear_added (gpointer token)
{
  g_free (((EvoAddedToken *) token)->text);
}

static EvoTokenizerWork *
new_work (void)
{
  EvoTokenizerWork *w = g_new0 (EvoTokenizerWork, 1);

  evo_pieces_init (&w->pieces);
  evo_pieces_init (&w->spare);
  w->spans = g_array_new (FALSE, FALSE, sizeof (EvoSpan));
  w->clean = g_string_new (NULL);
  w->normalized = g_string_new (NULL);
  w->scratch = g_string_new (NULL);
  w->bpe = evo_bpe_scratch_new ();
  evo_unigram_work_init (&w->unigram);
  return w;
}

static void
free_work (gpointer data)
{
  EvoTokenizerWork *w = data;

  evo_pieces_clear (&w->pieces);
  evo_pieces_clear (&w->spare);
  g_array_unref (w->spans);
  g_string_free (w->clean, TRUE);
  g_string_free (w->normalized, TRUE);
  g_string_free (w->scratch, TRUE);
  evo_bpe_scratch_free (w->bpe);
  evo_unigram_work_clear (&w->unigram);
  g_free (w);
}

static EvoTokenizerWork *
take_work (const EvoTokenizer *tokenizer, gsize n)
{
  EvoTokenizer *t = (EvoTokenizer *) tokenizer; /* the stock is not part of what a tokenizer is */
  EvoTokenizerWork *w = NULL;

  if (n > BIG_TEXT)
    return new_work ();
  g_mutex_lock (&t->lock);
  if (t->works->len > 0)
    w = g_ptr_array_steal_index_fast (t->works, t->works->len - 1);
  g_mutex_unlock (&t->lock);
  return w != NULL ? w : new_work ();
}

static void
give_work (const EvoTokenizer *tokenizer, EvoTokenizerWork *w, gsize n)
{
  EvoTokenizer *t = (EvoTokenizer *) tokenizer;
  gboolean keeps;

  g_mutex_lock (&t->lock);
  keeps = n <= BIG_TEXT && t->works->len < MAX_WORKS;
  if (keeps)
    g_ptr_array_add (t->works, w);
  g_mutex_unlock (&t->lock);
  if (!keeps)
    free_work (w);
}

EvoTokenizer *
evo_tokenizer_new (void)
{
  EvoTokenizer *t = g_new0 (EvoTokenizer, 1);

  t->ref_count = 1;
  evo_vocab_init (&t->vocab);
  t->added = g_array_new (FALSE, FALSE, sizeof (EvoAddedToken));
  g_array_set_clear_func (t->added, clear_added);
  t->added_by_id = g_hash_table_new (NULL, NULL);
  evo_trie_init (&t->added_raw);
  evo_trie_init (&t->added_cooked);
  evo_trie_init (&t->spm.user);
  t->normalizers = evo_normalizers_new ();
  t->splitters = evo_splitters_new ();
  t->decoders = evo_decoders_new ();
  t->before = g_array_new (FALSE, FALSE, sizeof (gint32));
  t->after = g_array_new (FALSE, FALSE, sizeof (gint32));
  t->works = g_ptr_array_new_with_free_func (free_work);
  g_mutex_init (&t->lock);
  return t;
}

EvoTokenizer *
evo_tokenizer_ref (EvoTokenizer *t)
{
  g_atomic_int_inc (&t->ref_count);
  return t;
}

void
evo_tokenizer_unref (EvoTokenizer *t)
{
  if (t == NULL || !g_atomic_int_dec_and_test (&t->ref_count))
    return;
  evo_bpe_clear (&t->bpe);
  evo_unigram_clear (&t->unigram);
  evo_vocab_clear (&t->vocab);
  g_array_unref (t->added);
  g_hash_table_unref (t->added_by_id);
  evo_trie_clear (&t->added_raw);
  evo_trie_clear (&t->added_cooked);
  evo_trie_clear (&t->spm.user);
  g_array_unref (t->normalizers);
  g_array_unref (t->splitters);
  g_array_unref (t->decoders);
  g_array_unref (t->before);
  g_array_unref (t->after);
  g_ptr_array_unref (t->works);
  g_mutex_clear (&t->lock);
  g_free (t->spm.types);
  g_free (t->spm.unknown_surface);
  g_free (t);
}

/* ------------------------------------------------------------------ what it has */

guint
evo_tokenizer_get_n_tokens (const EvoTokenizer *t)
{
  return t->n_tokens;
}

const char *
evo_tokenizer_get_token (const EvoTokenizer *t, gint64 id, gsize *n)
{
  const EvoAddedToken *added = id < 0 || id > G_MAXINT32 ? NULL : evo_tokenizer_get_added (t, id);
  EvoVocabText text = evo_vocab_get (&t->vocab, id);

  *n = text.text != NULL ? text.n : added != NULL ? added->n : 0;
  return text.text != NULL ? text.text : added != NULL ? added->text : NULL;
}

const EvoAddedToken *
evo_tokenizer_get_added (const EvoTokenizer *t, gint64 id)
{
  gpointer index;

  if (!g_hash_table_lookup_extended (t->added_by_id, GINT_TO_POINTER ((gint) id), NULL, &index))
    return NULL;
  return &g_array_index (t->added, EvoAddedToken, GPOINTER_TO_UINT (index));
}

void
evo_tokenizer_count (EvoTokenizer *t)
{
  t->n_tokens = evo_vocab_get_size (&t->vocab);
  for (guint i = 0; i < t->added->len; i++)
    t->n_tokens = MAX (t->n_tokens, (guint) g_array_index (t->added, EvoAddedToken, i).id + 1);
}

gint64
evo_tokenizer_find (const EvoTokenizer *t, const char *token)
{
  gsize n = strlen (token);

  for (guint i = 0; i < t->added->len; i++) {
    const EvoAddedToken *a = &g_array_index (t->added, EvoAddedToken, i);

    if (a->n == n && memcmp (a->text, token, n) == 0)
      return a->id;
  }
  return evo_vocab_find (&t->vocab, token, n);
}

/* ------------------------------------------------------------------ encoding */

static void
copy_pieces (EvoPieces *to, const GArray *cut, const char *text)
{
  for (guint i = 0; i < cut->len; i++) {
    EvoPiece piece = g_array_index (cut, EvoPiece, i);
    gsize start = to->bytes->len;

    if (piece.id < 0)
      g_string_append_len (to->bytes, text + piece.start, (gssize) piece.n);
    evo_pieces_add (to, start, piece.id < 0 ? piece.n : 0, piece.id, piece.first);
  }
}

/* w->pieces: added tokens and normalised text. */
static void
cut_text (const EvoTokenizer *t, EvoTokenizerWork *w, const char *text, gsize n)
{
  g_autoptr (GArray) raw = g_array_new (FALSE, FALSE, sizeof (EvoPiece)), cooked = g_array_new (FALSE, FALSE, sizeof (EvoPiece));

  evo_tokenizer_cut_added (t, &t->added_raw, text, n, TRUE, raw);
  for (guint i = 0; i < raw->len; i++) {
    const EvoPiece *piece = &g_array_index (raw, EvoPiece, i);

    if (piece->id >= 0) {
      evo_pieces_add (&w->pieces, 0, 0, piece->id, FALSE);
      continue;
    }
    evo_normalizers_run (t->normalizers, text + piece->start, piece->n, w->normalized, w->scratch);
    g_array_set_size (cooked, 0);
    evo_tokenizer_cut_added (t, &t->added_cooked, w->normalized->str, w->normalized->len, piece->first, cooked);
    copy_pieces (&w->pieces, cooked, w->normalized->str);
  }
}

static void
encode_text (const EvoTokenizer *t, EvoTokenizerWork *w, const char *text, gsize n, GArray *ids)
{
  if (t->model == EVO_MODEL_BPE)
    evo_bpe_encode (&t->bpe, w->bpe, text, n, ids);
  else
    evo_unigram_encode (&t->unigram, &w->unigram, text, n, ids);
}

/* User-defined tokens of a SentencePiece BPE model take part in no merge: they cut the text. (Its Unigram model weighs them.) */
static void
encode_around_user_tokens (const EvoTokenizer *t, EvoTokenizerWork *w, const char *text, gsize n, GArray *ids)
{
  gsize done = 0, at = 0;

  while (at < n) {
    gint32 id = -1;
    gsize length = t->spm.user.root[(guchar) text[at]] == 0 ? 0 : evo_trie_longest (&t->spm.user, text + at, n - at, &id);

    at += MAX (length, 1);
    if (length == 0)
      continue;
    encode_text (t, w, text + done, at - length - done, ids);
    g_array_append_val (ids, id);
    done = at;
  }
  encode_text (t, w, text + done, n - done, ids);
}

static void
encode_piece (const EvoTokenizer *t, EvoTokenizerWork *w, const EvoPiece *piece, GArray *ids)
{
  const char *text = w->pieces.bytes->str + piece->start;

  if (piece->id >= 0)
    g_array_append_val (ids, piece->id);
  else if (t->spm.has_user && t->model == EVO_MODEL_BPE)
    encode_around_user_tokens (t, w, text, piece->n, ids);
  else
    encode_text (t, w, text, piece->n, ids);
}

void
evo_tokenizer_encode (const EvoTokenizer *t, const char *text, gsize n, gboolean with_special, GArray *ids)
{
  EvoTokenizerWork *w;

  g_return_if_fail (n <= EVO_TOKENIZER_MAX_TEXT);
  w = take_work (t, n);
  evo_pieces_empty (&w->pieces);
  g_string_truncate (w->clean, 0);
  if (!evo_utf8_is_valid (text, n)) {
    evo_utf8_append_lossy (w->clean, text, n);
    text = w->clean->str;
    n = w->clean->len;
  }
  if (with_special && t->before->len > 0)
    g_array_append_vals (ids, t->before->data, t->before->len);
  cut_text (t, w, text, n);
  evo_splitters_run (t->splitters, &w->pieces, &w->spare, w->spans);
  for (guint i = 0; i < w->pieces.pieces->len; i++)
    encode_piece (t, w, evo_pieces_at (&w->pieces, i), ids);
  if (with_special && t->after->len > 0)
    g_array_append_vals (ids, t->after->data, t->after->len);
  give_work (t, w, n);
}

/* ------------------------------------------------------------------ decoding */

/* Ids that are no token are left out, as the reference does it. */
static void
append_token (const EvoTokenizer *t, gint32 id, gboolean skip_special, EvoPieces *out)
{
  const EvoAddedToken *added = evo_tokenizer_get_added (t, id);
  EvoVocabText text = evo_vocab_get (&t->vocab, id);
  EvoPiece piece = { out->bytes->len, 0, -1, FALSE };

  if (added != NULL)
    text = (EvoVocabText){ added->text, (guint32) added->n };
  if (text.text == NULL || (added != NULL && added->special && skip_special))
    return;
  piece.n = text.n;
  g_string_append_len (out->bytes, text.text, (gssize) text.n);
  g_array_append_val (out->pieces, piece);
}

GString *
evo_tokenizer_decode (const EvoTokenizer *t, const gint32 *ids, gsize n, gboolean skip_special)
{
  GString *out = g_string_new (NULL);
  EvoTokenizerWork *w;

  if (t->spm.is) {
    evo_spm_decode (t, ids, n, skip_special, out);
    return out;
  }
  w = take_work (t, n);
  evo_pieces_empty (&w->pieces);
  for (gsize i = 0; i < n; i++)
    append_token (t, ids[i], skip_special, &w->pieces);
  evo_decoders_run (t->decoders, &w->pieces, &w->spare, out);
  give_work (t, w, n);
  return out;
}
