/* SPDX-License-Identifier: Apache-2.0
 * decode.c - the decoders of tokenizer.json: tokens to text.
 */
#include "core/base/error.h"
#include "core/nn/tokenizer/steps.h"

typedef enum { BYTE_LEVEL, BYTE_FALLBACK, FUSE, STRIP, REPLACE, META_SPACE, SUFFIX } DecoderKind;

typedef struct {
  int kind;              /* DecoderKind */
  EvoPattern *pattern;   /* REPLACE */
  char *text;            /* REPLACE: what is put in; STRIP, META_SPACE: one character; SUFFIX */
  gint64 start, stop;    /* STRIP: characters at most */
  gboolean keeps_first;  /* META_SPACE: the first token's blanks too */
} Decoder;

enum { MAX_STEPS = 32 };

static void
clear_decoder (gpointer step)
{
  Decoder *d = step;

  evo_pattern_free (d->pattern);
  g_free (d->text);
}

GArray *
evo_decoders_new (void)
{
  GArray *steps = g_array_new (FALSE, TRUE, sizeof (Decoder));

  g_array_set_clear_func (steps, clear_decoder);
  return steps;
}

/* ------------------------------------------------------------------ reading */

static gboolean
read_replace (const EvoJson *v, gpointer step, GError **error)
{
  Decoder *d = step;
  const EvoJson *pattern = evo_json_member (v, "pattern");

  if (pattern == NULL)
    return evo_tokenizer_fail (v, error, "a Replace needs \"pattern\"");
  if (!evo_tokenizer_read_short_text (v, "content", NULL, &d->text, error))
    return FALSE;
  d->pattern = evo_pattern_new_from_json (pattern, error);
  return d->pattern != NULL;
}

static gboolean
read_count (const EvoJson *v, const char *key, gint64 *out, GError **error)
{
  const EvoJson *count = evo_json_member (v, key);

  if (count == NULL)
    return TRUE;
  if (!evo_json_is_integer (count, out) || *out < 0)
    return evo_tokenizer_fail (count, error, "must be a whole number from 0 on");
  return TRUE;
}

static gboolean
read_strip (const EvoJson *v, gpointer step, GError **error)
{
  Decoder *d = step;

  return evo_tokenizer_read_short_text (v, "content", NULL, &d->text, error) && read_count (v, "start", &d->start, error) &&
         read_count (v, "stop", &d->stop, error);
}

static gboolean
read_metaspace (const EvoJson *v, gpointer step, GError **error)
{
  Decoder *d = step;
  gboolean prefix = TRUE;
  const char *scheme = NULL;

  if (!evo_tokenizer_read_bool (v, "add_prefix_space", &prefix, error) ||
      !evo_tokenizer_read_text (v, "prepend_scheme", &scheme, error))
    return FALSE;
  d->keeps_first = scheme == NULL ? !prefix : strcmp (scheme, "never") == 0;
  return evo_tokenizer_read_short_text (v, "replacement", EVO_META_SPACE, &d->text, error);
}

static gboolean
read_suffix (const EvoJson *v, gpointer step, GError **error)
{
  Decoder *d = step;

  if (!evo_tokenizer_read_short_text (v, "suffix", "</w>", &d->text, error))
    return FALSE;
  if (*d->text == '\0')
    return evo_tokenizer_fail (v, error, "a BPEDecoder needs a \"suffix\" that is not empty");
  d->pattern = evo_pattern_new_literal (d->text, strlen (d->text));
  return TRUE;
}

gboolean
evo_decoders_read (const EvoJson *v, GArray *steps, GError **error)
{
  static const EvoStepType types[] = {
    { "ByteLevel", NULL, BYTE_LEVEL }, { "ByteFallback", NULL, BYTE_FALLBACK }, { "Fuse", NULL, FUSE }, { "Strip", read_strip, STRIP },
    { "Replace", read_replace, REPLACE }, { "Metaspace", read_metaspace, META_SPACE }, { "BPEDecoder", read_suffix, SUFFIX }, { NULL }
  };

  if (!evo_steps_read (types, v, "decoder", "decoders", steps, error))
    return FALSE;
  if (steps->len > MAX_STEPS)
    return evo_tokenizer_fail (v, error, "%u decoders; up to %d are accepted", steps->len, MAX_STEPS);
  return TRUE;
}

/* ------------------------------------------------------------------ running: each takes all tokens to new tokens */

typedef struct { const EvoPieces *in; EvoPieces *out; } Tokens;

static const char *
token (const Tokens *t, guint i, gsize *n)
{
  *n = evo_pieces_at (t->in, i)->n;
  return t->in->bytes->str + evo_pieces_at (t->in, i)->start;
}

/* What was appended to out->bytes since `start` is one token, also if it is empty. */
static void
end_token (Tokens *t, gsize start)
{
  EvoPiece piece = { start, t->out->bytes->len - start, -1, FALSE };

  g_array_append_val (t->out->pieces, piece);
}

/* The bytes a token stands for; FALSE: it has other characters. */
static gboolean
append_bytes (GString *out, const char *text, gsize n)
{
  gsize start = out->len;

  for (const char *p = text; p < text + n;) {
    int byte = evo_byte_of_char (evo_utf8_next (&p));

    if (byte < 0) {
      g_string_truncate (out, start);
      return FALSE;
    }
    g_string_append_c (out, (char) byte);
  }
  return TRUE;
}

static void
run_byte_level (Tokens *t)
{
  g_autoptr (GString) bytes = g_string_new (NULL);

  for (guint i = 0; i < t->in->pieces->len; i++) {
    gsize n;
    const char *text = token (t, i, &n);

    if (!append_bytes (bytes, text, n))
      g_string_append_len (bytes, text, (gssize) n);
  }
  evo_utf8_append_lossy (t->out->bytes, bytes->str, bytes->len);
  end_token (t, 0);
}

/* <0xE3> */
static int
byte_of_token (const char *text, gsize n)
{
  if (n != 6 || memcmp (text, "<0x", 3) != 0 || text[5] != '>' || !g_ascii_isxdigit (text[3]) || !g_ascii_isxdigit (text[4]))
    return -1;
  return g_ascii_xdigit_value (text[3]) << 4 | g_ascii_xdigit_value (text[4]);
}

/* A run of byte tokens becomes their text if all of it is UTF-8, else one U+FFFD for each byte. */
static void
flush_bytes (Tokens *t, GString *bytes)
{
  gsize start = t->out->bytes->len;

  if (bytes->len == 0)
    return;
  if (evo_utf8_is_valid (bytes->str, bytes->len)) {
    g_string_append_len (t->out->bytes, bytes->str, (gssize) bytes->len);
    end_token (t, start);
  } else {
    for (gsize i = 0; i < bytes->len; i++) {
      start = t->out->bytes->len;
      g_string_append (t->out->bytes, EVO_REPLACEMENT);
      end_token (t, start);
    }
  }
  g_string_truncate (bytes, 0);
}

static void
run_byte_fallback (Tokens *t)
{
  g_autoptr (GString) bytes = g_string_new (NULL);

  for (guint i = 0; i < t->in->pieces->len; i++) {
    gsize n, start;
    const char *text = token (t, i, &n);
    int byte = byte_of_token (text, n);

    if (byte >= 0) {
      g_string_append_c (bytes, (char) byte);
      continue;
    }
    flush_bytes (t, bytes);
    start = t->out->bytes->len;
    g_string_append_len (t->out->bytes, text, (gssize) n);
    end_token (t, start);
  }
  flush_bytes (t, bytes);
}

static void
append_all (const EvoPieces *in, const char *between, GString *out)
{
  for (guint i = 0; i < in->pieces->len; i++) {
    const EvoPiece *p = evo_pieces_at (in, i);

    if (i > 0)
      g_string_append (out, between);
    g_string_append_len (out, in->bytes->str + p->start, (gssize) p->n);
  }
}

static void
run_strip (const Decoder *d, Tokens *t)
{
  gsize n_char = strlen (d->text);

  for (guint i = 0; i < t->in->pieces->len && n_char > 0; i++) {
    gsize n, start = t->out->bytes->len;
    const char *text = token (t, i, &n);

    for (gint64 k = 0; k < d->start && n >= n_char && memcmp (text, d->text, n_char) == 0; k++, text += n_char)
      n -= n_char;
    for (gint64 k = 0; k < d->stop && n >= n_char && memcmp (text + n - n_char, d->text, n_char) == 0; k++)
      n -= n_char;
    g_string_append_len (t->out->bytes, text, (gssize) n);
    end_token (t, start);
  }
}

/* `by` for every token, `last_by` for the last one. */
static void
run_replace (const Decoder *d, Tokens *t, const char *by, const char *last_by)
{
  for (guint i = 0; i < t->in->pieces->len; i++) {
    gsize n, start = t->out->bytes->len;
    const char *text = token (t, i, &n);

    evo_pattern_replace (d->pattern, text, n, i + 1 == t->in->pieces->len ? last_by : by, t->out->bytes);
    end_token (t, start);
  }
}

static void
run_metaspace (const Decoder *d, Tokens *t)
{
  gsize n_mark = strlen (d->text);

  for (guint i = 0; i < t->in->pieces->len && n_mark > 0; i++) {
    gsize n, start = t->out->bytes->len;
    const char *text = token (t, i, &n), *end = text + n, *hit;

    for (; (hit = memmem (text, (gsize) (end - text), d->text, n_mark)) != NULL; text = hit + n_mark) {
      g_string_append_len (t->out->bytes, text, hit - text);
      if (i > 0 || d->keeps_first)
        g_string_append_c (t->out->bytes, ' ');
    }
    g_string_append_len (t->out->bytes, text, end - text);
    end_token (t, start);
  }
}

static void
run_decoder (const Decoder *d, Tokens *t)
{
  switch ((DecoderKind) d->kind) {
  case BYTE_LEVEL:
    run_byte_level (t);
    break;
  case BYTE_FALLBACK:
    run_byte_fallback (t);
    break;
  case FUSE:
    append_all (t->in, "", t->out->bytes);
    end_token (t, 0);
    break;
  case STRIP:
    run_strip (d, t);
    break;
  case REPLACE:
    run_replace (d, t, d->text, d->text);
    break;
  case META_SPACE:
    run_metaspace (d, t);
    break;
  case SUFFIX:
    run_replace (d, t, " ", "");
    break;
  }
}

void
evo_decoders_run (const GArray *steps, EvoPieces *tokens, EvoPieces *spare, GString *out)
{
  for (guint i = 0; i < steps->len; i++) {
    Tokens t = { tokens, spare };

    evo_pieces_empty (spare);
    run_decoder (&g_array_index (steps, Decoder, i), &t);
    evo_pieces_swap (tokens, spare);
  }
  append_all (tokens, steps->len == 0 ? " " : "", out);
}
