/* SPDX-License-Identifier: Apache-2.0
 * list.h - reads a JSON list of texts, as a cell of the data holds it.
 */
#ifndef PLUGINS_EVALUATOR_LIST_H
#define PLUGINS_EVALUATOR_LIST_H

#include "evopipe.h"

typedef struct { const char *at, *end; } ListScanner;

static inline void
list_skip_blanks (ListScanner *s)
{
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
    s->at++;
}

/* The four digits of \uXXXX; -1: not four */
static inline gint32
list_hex (ListScanner *s)
{
  gint32 value = 0;

  if (s->end - s->at < 4)
    return -1;
  for (int i = 0; i < 4; i++, s->at++) {
    if (!g_ascii_isxdigit (*s->at))
      return -1;
    value = value << 4 | g_ascii_xdigit_value (*s->at);
  }
  return value;
}

/* What stands behind a backslash; surrogates come in pairs. */
static inline gboolean
list_escape (ListScanner *s, GString *out)
{
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  gint32 high, low;

  if (s->at == s->end)
    return FALSE;
  for (guint i = 0; names[i] != '\0'; i++)
    if (*s->at == names[i]) {
      g_string_append_c (out, meant[i]);
      s->at++;
      return TRUE;
    }
  if (*s->at++ != 'u' || (high = list_hex (s)) < 0 || (high >= 0xdc00 && high < 0xe000))
    return FALSE;
  if (high >= 0xd800 && high < 0xdc00) {
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
      return FALSE;
    s->at += 2;
    low = list_hex (s);
    if (low < 0xdc00 || low >= 0xe000)
      return FALSE;
    high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  }
  g_string_append_unichar (out, (gunichar) high);
  return TRUE;
}

/* A string, or a number or word as it is written. */
static inline gboolean
list_text (ListScanner *s, GString *out)
{
  if (s->at < s->end && *s->at == '"') {
    for (s->at++; s->at < s->end && *s->at != '"';) {
      if (*s->at != '\\')
        g_string_append_c (out, *s->at++);
      else if (s->at++, !list_escape (s, out))
        return FALSE;
    }
    return s->at < s->end && *s->at++ == '"';
  }
  while (s->at < s->end && (g_ascii_isalnum (*s->at) || *s->at == '-' || *s->at == '+' || *s->at == '.'))
    g_string_append_c (out, *s->at++);
  return out->len > 0;
}

static inline void
list_free_text (gpointer text)
{
  g_string_free (text, TRUE);
}

/* GStrings (owned); NULL: not a list of texts. */
static inline GPtrArray *
list_parse (EvoText cell)
{
  ListScanner s = { cell.bytes, cell.bytes + cell.n };
  GPtrArray *out = g_ptr_array_new_with_free_func (list_free_text);
  gboolean good;

  list_skip_blanks (&s);
  good = s.at < s.end && *s.at++ == '[';
  while (good) {
    GString *text = g_string_new (NULL);

    g_ptr_array_add (out, text);
    list_skip_blanks (&s);
    good = list_text (&s, text);
    list_skip_blanks (&s);
    good = good && s.at < s.end && (*s.at == ',' || *s.at == ']');
    if (good && *s.at++ == ']')
      break;
  }
  list_skip_blanks (&s);
  if (good && s.at == s.end)
    return out;
  g_ptr_array_unref (out);
  return NULL;
}

#endif
