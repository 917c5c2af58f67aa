/* SPDX-License-Identifier: Apache-2.0
 * regex.c - expressions written for Oniguruma (Ruby's syntax, what the reference library uses), rewritten for PCRE2.
 *
 * The two differ in what \s, \w, \d, \h, \v and (?m) mean, in ^ and $ (always lines there), in classes inside classes, and in {n,m}+ (not
 * possessive there). What has no equal is an error, not another meaning.
 */
#include "core/nn/tokenizer/regex.h"

#include <string.h>

/* White_Space; PCRE2's \s has U+180E too, and without UCP only ASCII. */
#define SPACES "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NOT_SPACES                                                                                                        \
  "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"      \
  "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
/* Alphabetic, M, Nd, Pc */
#define WORDS "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"

typedef struct { const char *p; GString *out; char *why; } Rewrite;

static gboolean
refuse (Rewrite *r, const char *what)
{
  r->why = g_strdup_printf ("the expression uses %s, which is not supported", what);
  return FALSE;
}

/* \uHHHH */
static gboolean
unicode_escape (Rewrite *r)
{
  for (guint i = 2; i < 6; i++)
    if (!g_ascii_isxdigit (r->p[i]))
      return refuse (r, "\\u without four hexadecimal digits");
  g_string_append_printf (r->out, "\\x{%.4s}", r->p + 2);
  r->p += 6;
  return TRUE;
}

/* r->p is at a backslash. */
static gboolean
escape (Rewrite *r, gboolean in_class)
{
  static const struct { char letter; const char *outside, *inside; } table[] = {
    { 's', "[" SPACES "]", SPACES }, { 'S', "[^" SPACES "]", NOT_SPACES },
    { 'w', "[" WORDS "]", WORDS },   { 'W', "[^" WORDS "]", NULL },
    { 'd', "\\p{Nd}", "\\p{Nd}" },   { 'D', "\\P{Nd}", "\\P{Nd}" },
    { 'h', "[0-9A-Fa-f]", "0-9A-Fa-f" }, { 'H', "[^0-9A-Fa-f]", NULL },
    { 'v', "\\x{b}", "\\x{b}" },
  };
  char letter = r->p[1];

  if (letter == '\0')
    return refuse (r, "a backslash at its end");
  if (letter == 'C')
    return refuse (r, "\\C"); /* PCRE2: one byte, which would tear a character */
  if (letter == 'u')
    return unicode_escape (r);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    const char *text = in_class ? table[i].inside : table[i].outside;

    if (table[i].letter != letter)
      continue;
    if (text == NULL)
      return refuse (r, letter == 'W' ? "\\W in a class" : "\\H in a class");
    g_string_append (r->out, text);
    r->p += 2;
    return TRUE;
  }
  g_string_append_len (r->out, r->p, 2);
  r->p += 2;
  return TRUE;
}

/* One element of a class. A class inside a class that is not negated means the same without its brackets. */
static gboolean
class_element (Rewrite *r, guint *depth)
{
  if (*r->p == '\\')
    return escape (r, TRUE);
  if (r->p[0] == '&' && r->p[1] == '&')
    return refuse (r, "&& in a class");
  if (r->p[0] == '[' && r->p[1] == ':') {
    const char *close = strstr (r->p, ":]");

    if (close == NULL)
      return refuse (r, "[: without :]");
    g_string_append_len (r->out, r->p, close + 2 - r->p);
    r->p = close + 2;
    return TRUE;
  }
  if (r->p[0] == '[' && r->p[1] == '^')
    return refuse (r, "a negated class in a class");
  if (*r->p == '[')
    ++*depth;
  else if (*r->p != ']' || --*depth == 0)
    g_string_append_c (r->out, *r->p);
  r->p++;
  return TRUE;
}

static gboolean
class (Rewrite *r)
{
  guint depth = 1;

  g_string_append_c (r->out, *r->p++);
  if (*r->p == '^')
    g_string_append_c (r->out, *r->p++);
  if (*r->p == ']') { /* the first one is a character */
    g_string_append (r->out, "\\]");
    r->p++;
  }
  while (depth > 0) {
    if (*r->p == '\0')
      return refuse (r, "a class that does not end");
    if (!class_element (r, &depth))
      return FALSE;
  }
  return TRUE;
}

/* (?im-x: and (?im-x) : m is PCRE2's s. Other groups stay as they are. */
static void
group (Rewrite *r)
{
  gsize n = 2 + strspn (r->p + 2, "imx-");

  if (r->p[1] != '?' || (r->p[n] != ':' && r->p[n] != ')'))
    n = 1;
  for (gsize i = 0; i < n; i++)
    g_string_append_c (r->out, i >= 2 && r->p[i] == 'm' ? 's' : r->p[i]);
  r->p += n;
}

static gboolean
interval (Rewrite *r)
{
  gsize n = 1 + strspn (r->p + 1, "0123456789,");

  if (r->p[n] == '}' && r->p[n + 1] == '+')
    return refuse (r, "+ behind {n,m}");
  g_string_append_c (r->out, *r->p++);
  return TRUE;
}

static gboolean
rewrite (Rewrite *r)
{
  gboolean good = TRUE;

  while (good && *r->p != '\0') {
    switch (*r->p) {
    case '\\':
      good = escape (r, FALSE);
      break;
    case '[':
      good = class (r);
      break;
    case '(':
      group (r);
      break;
    case '{':
      good = interval (r);
      break;
    default:
      g_string_append_c (r->out, *r->p++);
    }
  }
  return good;
}

GRegex *
evo_regex_new (const char *expression, char **why)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  Rewrite r = { expression, out, NULL };
  GRegex *regex;

  if (!rewrite (&r)) {
    *why = r.why;
    return NULL;
  }
  regex = g_regex_new (out->str, G_REGEX_OPTIMIZE | G_REGEX_MULTILINE | G_REGEX_NEWLINE_LF, 0, &error);
  if (regex == NULL)
    *why = g_strdup_printf ("the expression cannot be compiled: %s", error->message);
  return regex;
}
