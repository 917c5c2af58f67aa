/* SPDX-License-Identifier: Apache-2.0
 * scan.c - hand-written matchers for the split expressions of GPT-2 and of cl100k (Llama 3, Qwen 2).
 *
 * An order of magnitude faster than the regular expressions they stand for, and linear; tests compare the two on every text they have.
 */
#include "core/nn/tokenizer/pattern.h"
#include "core/nn/tokenizer/text.h"

static guint
class_at (const char *p, const char *end, const char **next)
{
  *next = p;
  return p < end ? evo_char_class (evo_utf8_next (next)) : 0;
}

static gboolean
is_other (guint class)
{
  return (class & (EVO_CHAR_SPACE | EVO_CHAR_LETTER | EVO_CHAR_NUMBER)) == 0;
}

/* Behind the run of characters of `classes` at p; classes 0: of none of space, letter, number. */
static const char *
skip (const char *p, const char *end, guint classes)
{
  const char *next;

  while (p < end) {
    guint class = class_at (p, end, &next);

    if (classes != 0 ? (class & classes) == 0 : !is_other (class))
      break;
    p = next;
  }
  return p;
}

/* \s+(?!\S)|\s+ : a run of blanks without its last one if something follows it. */
static gsize
match_blanks (const char *p, const char *end)
{
  const char *stop = skip (p, end, EVO_CHAR_SPACE), *last = stop;

  if (stop == end)
    return (gsize) (stop - p);
  do
    last--;
  while (((guchar) *last & 0xc0) == 0x80);
  return (gsize) ((last > p ? last : stop) - p);
}

static gsize
contraction (const char *p, const char *end, gboolean caseless)
{
  static const char *const tails[] = { "s", "t", "re", "ve", "m", "ll", "d" };
  gsize n = (gsize) (end - p);

  for (guint i = 0; i < G_N_ELEMENTS (tails); i++) {
    gsize m = strlen (tails[i]);

    if (n > m && (caseless ? g_ascii_strncasecmp (p + 1, tails[i], m) : strncmp (p + 1, tails[i], m)) == 0)
      return m + 1;
  }
  /* U+017F, the long s, is an s without regard to case. */
  return caseless && n > 2 && p[1] == '\xc5' && p[2] == '\xbf' ? 3 : 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
gsize
evo_scan_gpt2 (const char *p, const char *end)
{
  const char *q = p + (*p == ' '), *next;
  gsize n = *p == '\'' ? contraction (p, end, FALSE) : 0;
  guint class;

  if (n > 0)
    return n;
  class = class_at (q, end, &next);
  if (q == end || (class & EVO_CHAR_SPACE) != 0)
    return match_blanks (p, end);
  if ((class & EVO_CHAR_LETTER) != 0)
    return (gsize) (skip (next, end, EVO_CHAR_LETTER) - p);
  if ((class & EVO_CHAR_NUMBER) != 0)
    return (gsize) (skip (next, end, EVO_CHAR_NUMBER) - p);
  return (gsize) (skip (next, end, 0) - p);
}

/* \s*[\r\n]+ : blanks up to the last line end of the run; 0 if it has none. */
static gsize
match_line_ends (const char *p, const char *end)
{
  const char *stop = skip (p, end, EVO_CHAR_SPACE);

  while (stop > p && stop[-1] != '\n' && stop[-1] != '\r')
    stop--;
  return (gsize) (stop - p);
}

static gsize
match_digits (const char *p, const char *end, guint most)
{
  const char *q = p, *next;

  for (guint i = 0; i < most && (class_at (q, end, &next) & EVO_CHAR_NUMBER) != 0; i++)
    q = next;
  return (gsize) (q - p);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ */
gsize
evo_scan_cl100k (const char *p, const char *end, guint max_digits)
{
  const char *next, *after, *q;
  guint class = class_at (p, end, &next);
  gsize n = *p == '\'' ? contraction (p, end, TRUE) : 0;

  if (n > 0)
    return n;
  if ((class & EVO_CHAR_LETTER) != 0)
    return (gsize) (skip (next, end, EVO_CHAR_LETTER) - p);
  if ((class & EVO_CHAR_NUMBER) != 0)
    return match_digits (p, end, max_digits);
  if (*p != '\r' && *p != '\n' && (class_at (next, end, &after) & EVO_CHAR_LETTER) != 0)
    return (gsize) (skip (after, end, EVO_CHAR_LETTER) - p);
  q = skip (p + (*p == ' '), end, 0);
  if (q > p + (*p == ' ')) {
    while (q < end && (*q == '\r' || *q == '\n'))
      q++;
    return (gsize) (q - p);
  }
  n = match_line_ends (p, end);
  return n > 0 ? n : match_blanks (p, end);
}
