/* SPDX-License-Identifier: Apache-2.0
 * charsmap.c - SentencePiece's precompiled character map (a double-array trie and its texts), and the normalisations built on it.
 *
 * The map: u32 size of the trie in bytes; the trie's units (u32 each, layout of Darts-clone); NUL-terminated texts, which values point
 * into.
 */
#include "core/nn/tokenizer/charsmap.h"

#include "core/nn/tokenizer/text.h"

enum { MAX_TEXT = 256 };

struct EvoCharsmap {
  guint32 *units;
  gsize n_units;
  char *texts;       /* n_texts bytes and a NUL */
  gsize n_texts;
};

static guint32
little_endian (const guint8 *p)
{
  return (guint32) p[0] | (guint32) p[1] << 8 | (guint32) p[2] << 16 | (guint32) p[3] << 24;
}

/* One character may not become a whole book: the longest text of SentencePiece's own maps has 33 bytes. */
static gboolean
has_long_text (const EvoCharsmap *m)
{
  gsize run = 0;

  for (gsize i = 0; i < m->n_texts; i++) {
    run = m->texts[i] == '\0' ? 0 : run + 1;
    if (run > MAX_TEXT)
      return TRUE;
  }
  return FALSE;
}

EvoCharsmap *
evo_charsmap_new (const guint8 *blob, gsize n, const char **why)
{
  g_autoptr (EvoCharsmap) m = g_new0 (EvoCharsmap, 1);
  gsize size = n < 4 ? 0 : little_endian (blob);

  if (n < 4 || size > n - 4 || size % 4 != 0 || size == 0) {
    *why = "the trie of the character map does not fit the map's size";
    return NULL;
  }
  m->n_units = size / 4;
  m->units = g_new (guint32, m->n_units);
  for (gsize i = 0; i < m->n_units; i++)
    m->units[i] = little_endian (blob + 4 + 4 * i);
  m->n_texts = n - 4 - size;
  m->texts = g_malloc0 (m->n_texts + 1);
  if (m->n_texts > 0)
    memcpy (m->texts, blob + 4 + size, m->n_texts);
  if (!evo_utf8_is_valid (m->texts, m->n_texts)) {
    *why = "the texts of the character map are not UTF-8";
    return NULL;
  }
  if (has_long_text (m)) {
    *why = "a text of the character map is longer than 256 bytes";
    return NULL;
  }
  return g_steal_pointer (&m);
}

void
evo_charsmap_free (EvoCharsmap *m)
{
  if (m == NULL)
    return;
  g_free (m->units);
  g_free (m->texts);
  g_free (m);
}

/* ------------------------------------------------------------------ the trie: Darts-clone's units */

static gsize
unit_offset (guint32 unit)
{
  return (gsize) (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

/* The text of a value, NULL if it is outside or in the middle of a character. */
static const char *
text_of (const EvoCharsmap *m, guint32 value)
{
  return value < m->n_texts && ((guchar) m->texts[value] & 0xc0) != 0x80 ? m->texts + value : NULL;
}

const char *
evo_charsmap_find (const EvoCharsmap *m, const char *text, gsize *n, gboolean longest)
{
  gsize at = unit_offset (m->units[0]), found = 0;
  const char *to = NULL;

  for (gsize i = 0; i < *n; i++) {
    guchar byte = (guchar) text[i];
    const char *hit;

    at ^= byte;
    if (at >= m->n_units || (m->units[at] & (1u << 31 | 0xff)) != byte)
      break;
    guint32 unit = m->units[at];

    at ^= unit_offset (unit);
    if ((unit >> 8 & 1) == 0 || at >= m->n_units)
      continue;
    hit = text_of (m, m->units[at] & ~(1u << 31));
    if (hit != NULL && (i + 1 == *n || ((guchar) text[i + 1] & 0xc0) != 0x80)) {
      to = hit;
      found = i + 1;
      if (!longest)
        break;
    }
  }
  *n = found;
  return to;
}

/* ------------------------------------------------------------------ as the Hugging Face library */

/* Does the character belong to the cluster before it? Marks, joiners; clusters with other members are longer than 5 bytes anyway. */
static gboolean
extends_cluster (gunichar c)
{
  return (evo_char_class (c) & EVO_CHAR_MARK) != 0 || c == 0x200c || c == 0x200d;
}

static gboolean
is_control (gunichar c)
{
  GUnicodeType type = g_unichar_type (c);

  return (type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_LINE_SEPARATOR ||
          type == G_UNICODE_PARAGRAPH_SEPARATOR) && c != 0x200c && c != 0x200d;
}

/* End of the grapheme cluster at p (UAX 29, as far as clusters of up to 5 bytes go: CR LF, and a character with what extends it). */
static const char *
cluster_end (const char *p, const char *end)
{
  gunichar c = evo_utf8_next (&p);

  if (c == '\r' && p < end && *p == '\n')
    return p + 1;
  for (const char *next = p; !is_control (c) && next < end && extends_cluster (evo_utf8_next (&next));)
    p = next;
  return p;
}

static void
map_characters (const EvoCharsmap *m, const char *p, const char *end, GString *out)
{
  while (p < end) {
    const char *at = p, *to;
    gsize n;

    evo_utf8_next (&p);
    n = (gsize) (p - at);
    to = evo_charsmap_find (m, at, &n, FALSE);
    if (to != NULL)
      g_string_append (out, to);
    else
      g_string_append_len (out, at, p - at);
  }
}

void
evo_charsmap_apply (const EvoCharsmap *m, const char *text, gsize n, GString *out)
{
  const char *p = text, *end = text + n;

  while (p < end) {
    const char *stop = cluster_end (p, end), *to;
    gsize length = (gsize) (stop - p);

    to = length < 6 ? evo_charsmap_find (m, p, &length, FALSE) : NULL;
    if (to != NULL)
      g_string_append (out, to); /* for the whole cluster, also where a part of it was found */
    else
      map_characters (m, p, stop, out);
    p = stop;
  }
}

/* ------------------------------------------------------------------ as SentencePiece */

/* What comes next (to, n_to), and how many bytes of text it stands for. */
static gsize
next_part (const EvoSpmNormalizer *z, const char *text, gsize n, const char **to, gsize *n_to)
{
  const char *p = text, *mapped;
  gint32 id;
  gsize length = z->user == NULL ? 0 : evo_trie_longest (z->user, text, n, &id);

  *to = text;
  *n_to = length;
  if (length > 0)
    return length;
  length = n;
  mapped = z->map == NULL ? NULL : evo_charsmap_find (z->map, text, &length, TRUE);
  if (mapped != NULL) {
    *to = mapped;
    *n_to = strlen (mapped);
    return length;
  }
  evo_utf8_next (&p);
  *n_to = (gsize) (p - text);
  return *n_to;
}

static void
append_escaped (const EvoSpmNormalizer *z, const char *s, gsize n, GString *out)
{
  gsize done = 0;

  for (gsize i = 0; z->escape && i < n; i++) {
    if (s[i] != ' ')
      continue;
    g_string_append_len (out, s + done, (gssize) (i - done));
    g_string_append (out, EVO_META_SPACE);
    done = i + 1;
  }
  g_string_append_len (out, s + done, (gssize) (n - done));
}

static gsize
skip_leading_blanks (const EvoSpmNormalizer *z, const char *text, gsize n)
{
  gsize at = 0;

  while (at < n) {
    const char *to;
    gsize n_to, length = next_part (z, text + at, n - at, &to, &n_to);

    if (n_to != 1 || *to != ' ')
      break;
    at += length;
  }
  return at;
}

static void
strip_trailing_blanks (GString *out, gsize from, const char *blank)
{
  gsize n = strlen (blank);

  while (out->len >= from + n && memcmp (out->str + out->len - n, blank, n) == 0)
    g_string_truncate (out, out->len - n);
}

void
evo_spm_normalize (const EvoSpmNormalizer *z, const char *text, gsize n, GString *out)
{
  const char *blank = z->escape ? EVO_META_SPACE : " ";
  gsize at = z->remove_extra ? skip_leading_blanks (z, text, n) : 0, from = out->len;
  gboolean after_blank = z->remove_extra;

  if (at == n)
    return;
  if (z->dummy_prefix && !z->as_suffix)
    g_string_append (out, blank);
  while (at < n) {
    const char *to;
    gsize n_to, length = next_part (z, text + at, n - at, &to, &n_to);

    for (; after_blank && n_to > 0 && *to == ' '; n_to--)
      to++;
    append_escaped (z, to, n_to, out);
    if (n_to > 0)
      after_blank = to[n_to - 1] == ' ';
    after_blank = after_blank && z->remove_extra;
    at += length;
  }
  if (z->remove_extra)
    strip_trailing_blanks (out, from, blank);
  if (z->dummy_prefix && z->as_suffix)
    g_string_append (out, blank);
}
