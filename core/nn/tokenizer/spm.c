/* SPDX-License-Identifier: Apache-2.0
 * spm.c - a tokenizer from a SentencePiece .model, and how such a model turns ids into text.
 *
 * A BPE model gives scores to texts, not ranks to pairs: two symbols merge if their joint text is a piece, the highest score first. So for
 * each piece, every way to cut it into two symbols becomes a merge with the rank of the piece's score. Symbols are pieces and the
 * characters of pieces.
 */
#include "core/nn/tokenizer/spm.h"

#include <stdlib.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"

static const EvoSpmPiece *
piece_at (const EvoSpmFile *f, guint i)
{
  return &g_array_index (f->pieces, EvoSpmPiece, i);
}

static gboolean
bad (const EvoSpmFile *f, GError **error, const char *what)
{
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: %s", f->path, what);
}

static gboolean
bad_piece (const EvoSpmFile *f, guint i, GError **error, const char *what)
{
  g_autofree char *text = g_strndup (piece_at (f, i)->text, MIN (piece_at (f, i)->n, 80));

  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: piece %u, \"%s\": %s", f->path, i,
                        evo_text_in_line (text), what);
}

/* ------------------------------------------------------------------ pieces */

static gboolean
is_usable (guint type)
{
  return type == EVO_SPM_NORMAL || type == EVO_SPM_USER || type == EVO_SPM_UNUSED;
}

/* <0xE3> */
static gboolean
is_byte_text (const EvoSpmPiece *p)
{
  return p->n == 6 && memcmp (p->text, "<0x", 3) == 0 && g_ascii_isxdigit (p->text[3]) && g_ascii_isxdigit (p->text[4]) &&
         p->text[5] == '>';
}

static gboolean
check_piece (const EvoTokenizer *t, const EvoSpmFile *f, guint i, gint32 unknown, GError **error)
{
  const EvoSpmPiece *p = piece_at (f, i);

  if (evo_vocab_find (&t->vocab, p->text, p->n) >= 0)
    return bad_piece (f, i, error, "there is another piece with this text");
  if (p->type == EVO_SPM_UNKNOWN && unknown >= 0)
    return bad_piece (f, i, error, "there is another unknown piece");
  if (p->type == EVO_SPM_BYTE && !f->byte_fallback)
    return bad_piece (f, i, error, "a byte piece, but the model has no byte_fallback");
  if (p->type == EVO_SPM_BYTE && !is_byte_text (p))
    return bad_piece (f, i, error, "a byte piece is called <0x00> ... <0xFF>");
  return TRUE;
}

static gboolean
add_pieces (EvoTokenizer *t, const EvoSpmFile *f, gint32 *unknown, GError **error)
{
  *unknown = -1;
  t->spm.types = g_new0 (guint8, f->pieces->len);
  for (guint i = 0; i < f->pieces->len; i++) {
    const EvoSpmPiece *p = piece_at (f, i);

    if (!check_piece (t, f, i, *unknown, error))
      return FALSE;
    evo_vocab_add (&t->vocab, p->text, p->n, (gint32) i);
    t->spm.types[i] = (guint8) p->type;
    if (p->type == EVO_SPM_UNKNOWN)
      *unknown = (gint32) i;
    if (p->type == EVO_SPM_USER) {
      evo_trie_add (&t->spm.user, p->text, p->n, (gint32) i);
      t->spm.has_user = TRUE;
    }
  }
  return *unknown >= 0 || bad (f, error, "no piece is of the type UNKNOWN");
}

static gboolean
check_bytes (const EvoTokenizer *t, const EvoSpmFile *f, const gint32 *bytes, GError **error)
{
  for (guint b = 0; b < 256 && f->byte_fallback; b++)
    if (bytes[b] < 0 || t->spm.types[bytes[b]] != EVO_SPM_BYTE) {
      g_autofree char *what = g_strdup_printf ("byte_fallback needs the byte piece <0x%02X>", b);

      return bad (f, error, what);
    }
  return TRUE;
}

/* ------------------------------------------------------------------ BPE */

static int
by_score_down (gconstpointer a, gconstpointer b)
{
  const float *x = *(const float *const *) a, *y = *(const float *const *) b;

  return (*x < *y) - (*x > *y);
}

/* Equal scores have equal ranks: then the leftmost pair goes first, as in SentencePiece. */
static guint32 *
rank_by_score (const EvoSpmFile *f)
{
  guint n = f->pieces->len;
  g_autofree const float **order = g_new (const float *, n);
  guint32 *ranks = g_new (guint32, n);
  guint32 rank = 0;

  for (guint i = 0; i < n; i++)
    order[i] = &piece_at (f, i)->score;
  qsort (order, n, sizeof *order, by_score_down);
  for (guint i = 0; i < n; i++) {
    const EvoSpmPiece *piece = (const EvoSpmPiece *) (gconstpointer) ((const char *) order[i] - G_STRUCT_OFFSET (EvoSpmPiece, score));

    rank += i > 0 && *order[i] != *order[i - 1];
    ranks[piece - piece_at (f, 0)] = rank;
  }
  return ranks;
}

/* The symbols of one-character pieces, then of the characters that only occur inside pieces. */
static void
set_symbols (EvoBpe *b, const EvoSpmFile *f)
{
  for (guint pass = 0; pass < 2; pass++)
    for (guint i = 0; i < f->pieces->len; i++) {
      const EvoSpmPiece *p = piece_at (f, i);
      const char *at = p->text, *end = p->text + p->n;

      while (is_usable (p->type) && at < end) {
        gunichar c = evo_utf8_next (&at);
        gboolean whole = at == end && (gsize) g_unichar_to_utf8 (c, NULL) == p->n;

        if (pass == 0 && whole)
          evo_bpe_set_symbol (b, c, (gint32) i);
        else if (pass == 1 && evo_bpe_symbol (b, c) < 0)
          evo_bpe_set_symbol (b, c, b->n_symbols++);
      }
    }
}

/* The symbol of a part of a piece: a character's, a usable piece's, or -1. */
static gint32
part_symbol (const EvoTokenizer *t, const char *text, gsize n)
{
  const char *p = text;
  gunichar c = evo_utf8_next (&p);
  gint32 id;

  if (p == text + n)
    return evo_bpe_symbol (&t->bpe, c);
  id = evo_vocab_find (&t->vocab, text, n);
  return id >= 0 && is_usable (t->spm.types[id]) ? id : -1;
}

static void
add_merges (EvoTokenizer *t, const EvoSpmFile *f, guint i, guint32 rank)
{
  const EvoSpmPiece *p = piece_at (f, i);
  const char *at = p->text, *end = p->text + p->n;

  for (evo_utf8_next (&at); at < end; evo_utf8_next (&at)) {
    gint32 left = part_symbol (t, p->text, (gsize) (at - p->text));
    gint32 right = left < 0 ? -1 : part_symbol (t, at, (gsize) (end - at));

    if (left >= 0 && right >= 0)
      evo_bpe_add_merge (&t->bpe, left, right, rank, (gint32) i);
  }
}

static void
mark_unused (EvoBpe *b, const EvoSpmFile *f)
{
  for (guint i = 0; i < f->pieces->len; i++)
    if (piece_at (f, i)->type == EVO_SPM_UNUSED) {
      if (b->unused == NULL)
        b->unused = g_new0 (guint8, f->pieces->len);
      b->unused[i] = 1;
    }
}

static gboolean
build_bpe (EvoTokenizer *t, const EvoSpmFile *f, gint32 unknown, GError **error)
{
  g_autofree guint32 *ranks = rank_by_score (f);
  EvoBpe *b = &t->bpe;

  t->model = EVO_MODEL_BPE;
  evo_bpe_init (b, &t->vocab);
  evo_bpe_index_characters (b);
  if (!check_bytes (t, f, b->bytes, error))
    return FALSE;
  memset (b->near, 0xff, 0x10000 * sizeof *b->near); /* set_symbols looks at the types, too */
  g_hash_table_remove_all (b->far);
  set_symbols (b, f);
  b->unknown = unknown;
  b->byte_fallback = f->byte_fallback;
  b->late = TRUE;
  mark_unused (b, f);
  for (guint i = 0; i < f->pieces->len; i++)
    if (is_usable (piece_at (f, i)->type) && piece_at (f, i)->n <= 256)
      add_merges (t, f, i, ranks[i]);
  evo_bpe_allow_cuts (b);
  return TRUE;
}

/* ------------------------------------------------------------------ Unigram */

static gboolean
build_unigram (EvoTokenizer *t, const EvoSpmFile *f, gint32 unknown, GError **error)
{
  EvoUnigram *u = &t->unigram;

  t->model = EVO_MODEL_UNIGRAM;
  evo_unigram_init (u, &t->vocab);
  for (guint i = 0; i < f->pieces->len; i++) {
    const EvoSpmPiece *p = piece_at (f, i);

    if (p->type == EVO_SPM_NORMAL || p->type == EVO_SPM_USER)
      evo_unigram_add (u, (gint32) i, p->score, p->type == EVO_SPM_NORMAL);
    if (p->type == EVO_SPM_USER)
      evo_unigram_set_bonus (u, (gint32) i);
  }
  evo_unigram_finish (u);
  u->unknown = unknown;
  u->byte_fallback = f->byte_fallback;
  u->single = TRUE;
  return check_bytes (t, f, u->bytes, error);
}

/* ------------------------------------------------------------------ around the model */

static gboolean
add_normalizer (EvoTokenizer *t, const EvoSpmFile *f, GError **error)
{
  EvoSpmNormalizer z = { .dummy_prefix = f->dummy_prefix, .remove_extra = f->remove_extra, .escape = f->escape, .as_suffix = f->as_suffix,
                         .user = t->spm.has_user ? &t->spm.user : NULL };
  const char *why = NULL;

  if (f->n_charsmap > 0 && (z.map = evo_charsmap_new (f->charsmap, f->n_charsmap, &why)) == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: normalizer_spec: %s", f->path, why);
  evo_normalizers_add_spm (t->normalizers, &z);
  return TRUE;
}

/* `wanted` and no such piece: an error only where somebody asked for it. */
static gboolean
add_end (const EvoTokenizer *t, const EvoSpmFile *f, gboolean wanted, const char *text, GArray *ids, GError **error)
{
  gint32 id = evo_vocab_find (&t->vocab, text, strlen (text));

  if (!wanted)
    return TRUE;
  if (id < 0 || t->spm.types[id] != EVO_SPM_CONTROL) {
    g_autofree char *what = g_strdup_printf ("\"%s\" is to be put around each text, but no control piece is called that", text);

    return bad (f, error, what);
  }
  g_array_append_val (ids, id);
  return TRUE;
}

static gboolean
build (EvoTokenizer *t, const EvoSpmFile *f, GError **error)
{
  gint32 unknown;

  if (!add_pieces (t, f, &unknown, error) || !add_normalizer (t, f, error))
    return FALSE;
  t->spm.is = TRUE;
  t->spm.eats_blank = f->dummy_prefix || f->remove_extra;
  t->spm.eats_all_blanks = f->remove_extra;
  t->spm.unknown_surface = g_strdup (f->unknown_surface);
  t->n_tokens = f->pieces->len;
  if (f->model_type == EVO_SPM_BPE)
    return build_bpe (t, f, unknown, error);
  if (f->model_type == EVO_SPM_UNIGRAM)
    return build_unigram (t, f, unknown, error);
  return bad (f, error, f->model_type == EVO_SPM_WORD || f->model_type == EVO_SPM_CHAR
                          ? "models of the types WORD and CHAR are not supported; known are UNIGRAM and BPE"
                          : "the model type does not exist; known are UNIGRAM and BPE");
}

EvoTokenizer *
evo_tokenizer_new_from_spm_file (const char *path, gboolean add_bos, gboolean add_eos, GError **error)
{
  EvoSpmFile *f = evo_spm_file_read (path, error);
  g_autoptr (EvoTokenizer) t = evo_tokenizer_new ();
  gboolean good = f != NULL && build (t, f, error) && add_end (t, f, add_bos, f->bos, t->before, error) &&
                  add_end (t, f, add_eos, f->eos, t->after, error);

  evo_spm_file_free (f); /* the tokenizer has copies */
  return good ? g_steal_pointer (&t) : NULL;
}

/* ------------------------------------------------------------------ decoding (sentencepiece_processor.cc) */

static void
append_unescaped (GString *out, const char *text, gsize n)
{
  const char *end = text + n, *hit;

  for (; (hit = memmem (text, (gsize) (end - text), EVO_META_SPACE, 3)) != NULL; text = hit + 3) {
    g_string_append_len (out, text, hit - text);
    g_string_append_c (out, ' ');
  }
  g_string_append_len (out, text, end - text);
}

typedef struct { const EvoTokenizer *t; GString *out, *bytes; gboolean skip_special, at_start, ate; } Decoding;

/* Of a run of byte pieces what is UTF-8 stays; every other byte becomes U+FFFD. */
static void
flush_bytes (Decoding *d)
{
  gsize at = 0;

  while (at < d->bytes->len) {
    const char *p = d->bytes->str + at;
    gsize width = *(const guchar *) p < 0x80 ? 1 : *(const guchar *) p < 0xe0 ? 2 : *(const guchar *) p < 0xf0 ? 3 : 4;
    gboolean whole = at + width <= d->bytes->len && evo_utf8_is_valid (p, width);

    g_string_append_len (d->out, whole ? p : EVO_REPLACEMENT, whole ? (gssize) width : 3);
    at += whole ? width : 1;
  }
  g_string_truncate (d->bytes, 0);
}

/* The blank that the normaliser puts before a text is taken off its first piece. */
static void
append_piece (Decoding *d, const char *text, gsize n)
{
  gboolean starts = n >= 3 && memcmp (text, EVO_META_SPACE, 3) == 0;

  d->ate = FALSE;
  if (d->at_start && d->t->spm.eats_blank && starts) {
    text += 3;
    n -= 3;
    d->ate = !d->t->spm.eats_all_blanks;
  }
  append_unescaped (d->out, text, n);
}

static void
decode_id (Decoding *d, gint32 id)
{
  const EvoAddedToken *added = evo_tokenizer_get_added (d->t, id);
  EvoVocabText text = evo_vocab_get (&d->t->vocab, id);
  guint type = text.text == NULL ? 0 : d->t->spm.types[id];

  if (text.text == NULL && added == NULL)
    return;
  if (type == EVO_SPM_BYTE) {
    g_string_append_c (d->bytes, (char) (g_ascii_xdigit_value (text.text[3]) << 4 | g_ascii_xdigit_value (text.text[4])));
    return;
  }
  flush_bytes (d);
  if (d->ate || d->out->len > 0)
    d->at_start = FALSE;
  d->ate = FALSE;
  if (text.text == NULL)
    g_string_append_len (d->out, added->text, added->special && d->skip_special ? 0 : (gssize) added->n);
  else if (type == EVO_SPM_CONTROL)
    g_string_append_len (d->out, text.text, d->skip_special ? 0 : (gssize) text.n);
  else if (type == EVO_SPM_UNKNOWN)
    g_string_append (d->out, d->t->spm.unknown_surface);
  else
    append_piece (d, text.text, text.n);
}

void
evo_spm_decode (const EvoTokenizer *t, const gint32 *ids, gsize n, gboolean skip_special, GString *out)
{
  g_autoptr (GString) bytes = g_string_new (NULL);
  Decoding d = { t, out, bytes, skip_special, TRUE, FALSE };

  for (gsize i = 0; i < n; i++)
    decode_id (&d, ids[i]);
  flush_bytes (&d);
}
