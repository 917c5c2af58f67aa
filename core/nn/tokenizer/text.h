/* SPDX-License-Identifier: Apache-2.0
 * text.h - UTF-8, character classes and the text that is cut into pieces (private to tokenizer*.c and lid.c).
 */
#ifndef EVO_NN_TOKENIZER_TEXT_H
#define EVO_NN_TOKENIZER_TEXT_H

#include <glib.h>
#include <string.h>

#define EVO_META_SPACE "\xe2\x96\x81" /* U+2581, SentencePiece's visible blank */
#define EVO_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

typedef enum {
  EVO_CHAR_LETTER = 1,  /* \p{L} */
  EVO_CHAR_NUMBER = 2,  /* \p{N} */
  EVO_CHAR_SPACE = 4,   /* White_Space */
  EVO_CHAR_MARK = 8,    /* \p{M} */
  EVO_CHAR_PUNCT = 16,  /* \p{P} and all ASCII symbols */
  EVO_CHAR_WORD = 32    /* \w: Alphabetic, M, Nd, Pc */
} EvoCharClass;
extern const guint8 evo_ascii_classes[128];
guint evo_char_class_wide (gunichar c); /* any character */
static inline guint
evo_char_class (gunichar c)
{
  return c < 128 ? evo_ascii_classes[c] : evo_char_class_wide (c);
}

/* The character at *p of valid UTF-8; moves *p behind it. */
static inline gunichar
evo_utf8_next (const char **p)
{
  const guchar *s = (const guchar *) *p;

  if (s[0] < 0x80) {
    *p += 1;
    return s[0];
  }
  if (s[0] < 0xe0) {
    *p += 2;
    return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
  }
  if (s[0] < 0xf0) {
    *p += 3;
    return (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
  }
  *p += 4;
  return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

gboolean evo_utf8_is_valid (const char *s, gsize n); /* U+0000 is valid */
gsize evo_utf8_count (const char *s, gsize n);       /* characters of valid UTF-8 */
/* Each maximal broken part becomes one U+FFFD (Unicode 15, section 3.9), as most decoders do it. */
void evo_utf8_append_lossy (GString *out, const char *s, gsize n);

char *evo_text_in_line (char *text); /* control characters become "?": a message is one line; returns text */

/* GPT-2's writing of bytes as printable characters: printable Latin-1 as itself, the rest from U+0100 on. */
void evo_byte_chars_append (GString *out, const char *s, gsize n);
int evo_byte_of_char (gunichar c); /* -1: none */

/* A text cut into pieces: the working form of encoding (pieces of text, added tokens) and of decoding (a piece is a token). */
typedef struct {
  gsize start, n;
  gint32 id;       /* an added token (start, n mean nothing); -1: text */
  gboolean first;  /* begins where the user's text begins */
} EvoPiece;
typedef struct { GString *bytes; GArray *pieces; } EvoPieces;
void evo_pieces_init (EvoPieces *p);
void evo_pieces_clear (EvoPieces *p);  /* frees */
void evo_pieces_empty (EvoPieces *p);  /* keeps the memory */
void evo_pieces_swap (EvoPieces *a, EvoPieces *b);
static inline EvoPiece *
evo_pieces_at (const EvoPieces *p, gsize i)
{
  return &g_array_index (p->pieces, EvoPiece, i);
}
void evo_pieces_add (EvoPieces *p, gsize start, gsize n, gint32 id, gboolean first);

#endif
