/* SPDX-License-Identifier: Apache-2.0
 * json-token.c - the words of JSON text, by the grammar of RFC 8259 and nothing beside it.
 */
#include "core/base/json-token.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json-tree.h"

/* ------------------------------------------------------------------ where and what */

guint
evo_json_cursor_column (const EvoJsonCursor *c, const char *p)
{
  return (guint) ((gsize) (p - c->line_start) - c->hidden + 1);
}

gboolean
evo_json_fail (EvoJsonCursor *c, const char *at, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (c->error, c->domain, c->code, "%s:%u:%u: %s", c->name, c->line, evo_json_cursor_column (c, at), what);
}

static gsize
word_length (const char *p, const char *end)
{
  gsize n = 0;

  while (p + n < end && n < 40 && (g_ascii_isalnum (p[n]) || p[n] == '_'))
    n++;
  return n;
}

/* What stands at the cursor: a word or one character in quotes, or its name where it could not be seen. */
static char *
what_stands (const EvoJsonCursor *c)
{
  gsize n = word_length (c->p, c->end), length = 0;

  if (c->p >= c->end)
    return g_strdup ("the end of the text");
  if (*c->p == '"')
    return g_strdup ("a quote");
  if (n > 0)
    return g_strdup_printf ("\"%.*s\"", (int) n, c->p);
  if ((guchar) *c->p < 0x20 || *c->p == 0x7f || !evo_json_utf8 (c->p, c->end, &length))
    return g_strdup_printf ("the byte 0x%02x", (guchar) *c->p);
  return g_strdup_printf ("\"%.*s\"", (int) length, c->p);
}

gboolean
evo_json_expected (EvoJsonCursor *c, const char *what)
{
  g_autofree char *there = what_stands (c);

  if (c->p < c->end && (*c->p == '#' || (*c->p == '/' && (c->p[1] == '/' || c->p[1] == '*'))))
    return evo_json_fail (c, c->p, "JSON has no comments; remove this one");
  if (c->p < c->end && *c->p == '\'')
    return evo_json_fail (c, c->p, "%s is expected here, not a single quote; strings stand in double quotes", what);
  return evo_json_fail (c, c->p, "%s is expected here, not %s", what, there);
}

void
evo_json_skip_space (EvoJsonCursor *c)
{
  for (;; c->p++) {
    if (*c->p == '\n') {
      c->line++;
      c->line_start = c->p + 1;
      c->hidden = 0;
    } else if (*c->p != ' ' && *c->p != '\t' && *c->p != '\r') {
      return;
    }
  }
}

/* ------------------------------------------------------------------ UTF-8 */

gboolean
evo_json_utf8 (const char *text, const char *end, gsize *length)
{
  const guchar *p = (const guchar *) text;
  gsize n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2, left = (gsize) (end - text);
  /* the second byte's range keeps out overlong forms, surrogates and what lies behind U+10FFFF */
  guchar low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

  *length = 1;
  if (n == 1)
    return TRUE;
  if (p[0] < 0xc2 || p[0] > 0xf4)
    return FALSE;
  for (gsize i = 1; i < n; i++) {
    if (i >= left || p[i] < low || p[i] > high)
      return FALSE;
    *length = i + 1;
    low = 0x80;
    high = 0xbf;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ strings */

/* The four digits of \uXXXX, p at the backslash; -1: not that. */
static gint
hex4 (const char *p, const char *end)
{
  gint v = 0;

  if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
    return -1;
  for (guint i = 2; i < 6; i++) {
    gint digit = g_ascii_xdigit_value (p[i]);

    if (digit < 0)
      return -1;
    v = v * 16 + digit;
  }
  return v;
}

static gboolean
read_unicode_escape (EvoJsonCursor *c, char **out)
{
  gint v = hex4 (c->p, c->end), low;
  gunichar u = (gunichar) v;

  if (v < 0)
    return evo_json_fail (c, c->p, "\\u needs four hexadecimal digits");
  if (v == 0)
    return evo_json_fail (c, c->p, "\\u0000 is not allowed: strings hold no NUL");
  if (v >= 0xdc00 && v <= 0xdfff)
    return evo_json_fail (c, c->p, "%.6s is the second half of a surrogate pair; the first is missing", c->p);
  if (v >= 0xd800 && v <= 0xdbff) {
    low = hex4 (c->p + 6, c->end);
    if (low < 0xdc00 || low > 0xdfff)
      return evo_json_fail (c, c->p, "%.6s is the first half of a surrogate pair; the second is missing", c->p);
    u = 0x10000 + ((gunichar) (v - 0xd800) << 10) + (gunichar) (low - 0xdc00);
    c->p += 6;
  }
  c->p += 6;
  *out += g_unichar_to_utf8 (u, *out);
  return TRUE;
}

static gboolean
read_escape (EvoJsonCursor *c, char **out)
{
  static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
  const char *at;

  if (c->p[1] == 'u')
    return read_unicode_escape (c, out);
  at = c->p[1] == '\0' ? NULL : strchr (names, c->p[1]);
  if (at == NULL)
    return evo_json_fail (c, c->p, "a backslash stands before one of \" \\ / b f n r t u; a backslash itself is written \\\\");
  *(*out)++ = bytes[at - names];
  c->p += 2;
  return TRUE;
}

static gboolean
read_plain (EvoJsonCursor *c, char **out)
{
  gsize length;

  if (!evo_json_utf8 (c->p, c->end, &length))
    return evo_json_fail (c, c->p, "the byte 0x%02x is not UTF-8", (guchar) *c->p);
  c->hidden += length - 1;
  memmove (*out, c->p, length);
  *out += length;
  c->p += length;
  return TRUE;
}

static gboolean
refuse_control (EvoJsonCursor *c, const char *start, gsize hidden)
{
  if (c->p >= c->end || *c->p == '\n') {
    c->hidden = hidden;
    return evo_json_fail (c, start, "the string that starts here has no closing quote");
  }
  if (*c->p == '\0')
    return evo_json_fail (c, c->p, "the byte 0x00 may not stand in a string");
  return evo_json_fail (c, c->p, "the byte 0x%02x may not stand in a string; write \\u%04x", (guchar) *c->p, (guchar) *c->p);
}

const char *
evo_json_read_string (EvoJsonCursor *c)
{
  const char *start = c->p - 1;
  char *text = c->p, *out = c->p;
  gsize hidden = c->hidden;

  for (;;) {
    guchar b = (guchar) *c->p;
    gboolean ok = TRUE;

    if (b == '"')
      break;
    if (b == '\\')
      ok = read_escape (c, &out);
    else if (b < 0x20)
      ok = refuse_control (c, start, hidden);
    else if (b < 0x80)
      *out++ = *c->p++;
    else
      ok = read_plain (c, &out);
    if (!ok)
      return NULL;
  }
  *out = '\0';
  c->p++;
  return text;
}

/* ------------------------------------------------------------------ numbers */

static const char *
digits (const char *p)
{
  while (g_ascii_isdigit (*p))
    p++;
  return p;
}

double
evo_json_parse_number (const char *text, gsize n)
{
  enum { EXACT = 15 }; /* whole numbers of so many digits are exact in a double, sums of digits too */
  double v = 0;

  for (gsize i = 0; i < n && n <= EXACT; i++) {
    if (!g_ascii_isdigit (text[i]))
      return g_ascii_strtod (text, NULL);
    v = v * 10 + (text[i] - '0');
  }
  return n <= EXACT ? v : g_ascii_strtod (text, NULL);
}

static gsize
bad_number (EvoJsonCursor *c, const char *what)
{
  gsize n = 0;

  while (g_ascii_isalnum (c->p[n]) || (c->p[n] != '\0' && strchr ("+-._", c->p[n]) != NULL))
    n++;
  evo_json_fail (c, c->p, "%.*s%s is not a number: %s", (int) MIN (n, 40), c->p, n > 40 ? "..." : "", what);
  return 0;
}

gsize
evo_json_read_number (EvoJsonCursor *c)
{
  const char *p = c->p + (*c->p == '-'), *q = digits (p);
  gsize n;

  if (q == p)
    return bad_number (c, "a digit is expected after the sign");
  if (*p == '0' && q > p + 1)
    return bad_number (c, "it may not start with a zero");
  if (*q == '.') {
    p = q + 1;
    q = digits (p);
    if (q == p)
      return bad_number (c, "a digit is expected after the point");
  }
  if (*q == 'e' || *q == 'E') {
    p = q + 1 + (q[1] == '+' || q[1] == '-');
    q = digits (p);
    if (q == p)
      return bad_number (c, "a digit is expected in the exponent");
  }
  if (g_ascii_isalnum (*q) || *q == '.' || *q == '_')
    return bad_number (c, "it is written in decimal digits");
  n = (gsize) (q - c->p);
  if (!isfinite (evo_json_parse_number (c->p, n))) {
    evo_json_fail (c, c->p, "%.*s%s is too large; numbers end at 1.7976931348623157e+308", (int) MIN (n, 40), c->p, n > 40 ? "..." : "");
    return 0;
  }
  c->p += n;
  return n;
}
