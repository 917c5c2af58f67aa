/* SPDX-License-Identifier: Apache-2.0
 * text.c - UTF-8, character classes, bytes as characters, texts cut into pieces.
 */
#include "core/nn/tokenizer/text.h"

/* ------------------------------------------------------------------ character classes */

static gboolean
is_white_space (gunichar c)
{
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Alphabetic beyond L, M and Nl: circled and squared Latin letters (PropList, Other_Alphabetic). */
static gboolean
is_circled_letter (gunichar c)
{
  return (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
}

static guint
class_of_type (GUnicodeType type)
{
  switch (type) {
  case G_UNICODE_LOWERCASE_LETTER:
  case G_UNICODE_UPPERCASE_LETTER:
  case G_UNICODE_TITLECASE_LETTER:
  case G_UNICODE_MODIFIER_LETTER:
  case G_UNICODE_OTHER_LETTER:
    return EVO_CHAR_LETTER | EVO_CHAR_WORD;
  case G_UNICODE_DECIMAL_NUMBER:
  case G_UNICODE_LETTER_NUMBER:
    return EVO_CHAR_NUMBER | EVO_CHAR_WORD;
  case G_UNICODE_OTHER_NUMBER:
    return EVO_CHAR_NUMBER;
  case G_UNICODE_SPACING_MARK:
  case G_UNICODE_ENCLOSING_MARK:
  case G_UNICODE_NON_SPACING_MARK:
    return EVO_CHAR_MARK | EVO_CHAR_WORD;
  case G_UNICODE_CONNECT_PUNCTUATION:
    return EVO_CHAR_PUNCT | EVO_CHAR_WORD;
  case G_UNICODE_DASH_PUNCTUATION:
  case G_UNICODE_OPEN_PUNCTUATION:
  case G_UNICODE_CLOSE_PUNCTUATION:
  case G_UNICODE_INITIAL_PUNCTUATION:
  case G_UNICODE_FINAL_PUNCTUATION:
  case G_UNICODE_OTHER_PUNCTUATION:
    return EVO_CHAR_PUNCT;
  default:
    return 0;
  }
}

enum {
  L = EVO_CHAR_LETTER | EVO_CHAR_WORD, N = EVO_CHAR_NUMBER | EVO_CHAR_WORD, S = EVO_CHAR_SPACE, P = EVO_CHAR_PUNCT, PW = P | EVO_CHAR_WORD
};

/* What compute_class gives (a test compares): most text is here. */
const guint8 evo_ascii_classes[128] = {
  0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  S, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, P, P, P, P,
  P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, PW,
  P, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, P, P, P, 0
};

static guint
compute_class (gunichar c)
{
  guint class = class_of_type (g_unichar_type (c));

  if (is_white_space (c))
    class |= EVO_CHAR_SPACE;
  if (c < 128 && g_ascii_ispunct ((char) c))
    class |= EVO_CHAR_PUNCT;
  if (is_circled_letter (c))
    class |= EVO_CHAR_WORD;
  return class;
}

static const guint8 *
class_table (void)
{
  static gsize ready = 0;

  if (g_once_init_enter (&ready)) {
    guint8 *table = g_malloc (0x10000); /* of the process, like the character tables of GLib */

    for (gunichar c = 0; c < 0x10000; c++)
      table[c] = (guint8) compute_class (c);
    g_once_init_leave (&ready, (gsize) table);
  }
  return (const guint8 *) ready;
}

guint
evo_char_class_wide (gunichar c)
{
  return c < 0x10000 ? class_table ()[c] : compute_class (c);
}

/* ------------------------------------------------------------------ UTF-8 */

/* How many bytes may follow the lead byte, and the range of the first of them (Unicode 15, table 3-7). 0: not a lead byte. */
static guint
sequence_rule (guchar lead, guchar *low, guchar *high)
{
  *low = 0x80;
  *high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf)
    return 1;
  if (lead >= 0xe0 && lead <= 0xef) {
    *low = lead == 0xe0 ? 0xa0 : 0x80;
    *high = lead == 0xed ? 0x9f : 0xbf;
    return 2;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    *low = lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xf4 ? 0x8f : 0xbf;
    return 3;
  }
  return 0;
}

/* Length of the longest well-formed start of a character at s; *whole: it is a character. At least 1. */
static gsize
sequence_length (const guchar *s, gsize n, gboolean *whole)
{
  guchar low, high;
  guint follow;

  *whole = s[0] < 0x80;
  follow = sequence_rule (s[0], &low, &high);
  for (guint i = 1; i <= follow; i++) {
    if (i >= n || s[i] < low || s[i] > high)
      return i;
    low = 0x80;
    high = 0xbf;
  }
  *whole |= follow > 0;
  return 1 + follow;
}

/* Bytes from s on that are ASCII, looked at by eights. */
static gsize
ascii_run (const char *s, gsize n)
{
  gsize i = 0;
  guint64 word;

  for (; i + 8 <= n; i += 8) {
    memcpy (&word, s + i, 8);
    if ((word & G_GUINT64_CONSTANT (0x8080808080808080)) != 0)
      break;
  }
  while (i < n && (guchar) s[i] < 0x80)
    i++;
  return i;
}

static gsize
valid_run (const char *s, gsize n)
{
  gsize i = 0;
  gboolean whole = TRUE;

  while ((i += ascii_run (s + i, n - i)) < n) {
    gsize length = sequence_length ((const guchar *) s + i, n - i, &whole);

    if (!whole)
      return i;
    i += length;
  }
  return i;
}

gboolean
evo_utf8_is_valid (const char *s, gsize n)
{
  return valid_run (s, n) == n;
}

gsize
evo_utf8_count (const char *s, gsize n)
{
  gsize count = 0;

  for (gsize i = 0; i < n; i++)
    count += ((guchar) s[i] & 0xc0) != 0x80;
  return count;
}

void
evo_utf8_append_lossy (GString *out, const char *s, gsize n)
{
  gsize i = 0;

  while (i < n) {
    gsize good = valid_run (s + i, n - i);
    gboolean whole;

    g_string_append_len (out, s + i, (gssize) good);
    i += good;
    if (i == n)
      return;
    g_string_append (out, EVO_REPLACEMENT);
    i += sequence_length ((const guchar *) s + i, n - i, &whole);
  }
}

char *
evo_text_in_line (char *text)
{
  for (char *p = text; *p != '\0'; p++)
    if (g_ascii_iscntrl (*p))
      *p = '?';
  return text;
}

/* ------------------------------------------------------------------ bytes as characters */

static gboolean
is_printable_latin1 (guint b)
{
  return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

typedef struct { guint16 of_byte[256]; gint16 of_char[0x144]; } ByteChars;

static const ByteChars *
byte_chars (void)
{
  static gsize ready = 0;

  if (g_once_init_enter (&ready)) {
    ByteChars *table = g_new (ByteChars, 1);
    guint16 next = 0x100;

    memset (table->of_char, 0xff, sizeof table->of_char);
    for (guint b = 0; b < 256; b++) {
      table->of_byte[b] = is_printable_latin1 (b) ? (guint16) b : next++;
      table->of_char[table->of_byte[b]] = (gint16) b;
    }
    g_once_init_leave (&ready, (gsize) table);
  }
  return (const ByteChars *) ready;
}

void
evo_byte_chars_append (GString *out, const char *s, gsize n)
{
  const ByteChars *table = byte_chars ();
  gsize at = out->len;
  char *to;

  g_string_set_size (out, at + 2 * n);
  to = out->str + at;
  for (gsize i = 0; i < n; i++) {
    guint16 c = table->of_byte[(guchar) s[i]];

    if (c < 0x80) {
      *to++ = (char) c;
    } else {
      *to++ = (char) (0xc0 | c >> 6);
      *to++ = (char) (0x80 | (c & 0x3f));
    }
  }
  g_string_truncate (out, (gsize) (to - out->str));
}

int
evo_byte_of_char (gunichar c)
{
  return c < 0x144 ? byte_chars ()->of_char[c] : -1;
}

/* ------------------------------------------------------------------ pieces */

void
evo_pieces_init (EvoPieces *p)
{
  p->bytes = g_string_new (NULL);
  p->pieces = g_array_new (FALSE, FALSE, sizeof (EvoPiece));
}

void
evo_pieces_clear (EvoPieces *p)
{
  if (p->bytes != NULL)
    g_string_free (p->bytes, TRUE);
  g_clear_pointer (&p->pieces, g_array_unref);
  p->bytes = NULL;
}

void
evo_pieces_empty (EvoPieces *p)
{
  g_string_truncate (p->bytes, 0);
  g_array_set_size (p->pieces, 0);
}

void
evo_pieces_swap (EvoPieces *a, EvoPieces *b)
{
  EvoPieces keep = *a;

  *a = *b;
  *b = keep;
}

void
evo_pieces_add (EvoPieces *p, gsize start, gsize n, gint32 id, gboolean first)
{
  EvoPiece piece = { start, n, id, first };

  if (n > 0 || id >= 0)
    g_array_append_val (p->pieces, piece);
}
