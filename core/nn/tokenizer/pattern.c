/* SPDX-License-Identifier: Apache-2.0
 * pattern.c - searching a text for literals, regular expressions and classes of characters.
 */
#include "core/nn/tokenizer/pattern.h"

#include "core/base/error.h"
#include "core/nn/tokenizer/regex.h"
#include "core/nn/tokenizer/text.h"

typedef enum { LITERAL, REGEX, CLASS, RUNS, WORDS, GPT2, CL100K } PatternKind;

struct EvoPattern {
  PatternKind kind;
  char *literal;
  gsize n_literal;
  GRegex *regex;
  guint classes;     /* EvoCharClass */
  guint max_digits;
};

static EvoPattern *
new_pattern (PatternKind kind)
{
  EvoPattern *p = g_new0 (EvoPattern, 1);

  p->kind = kind;
  return p;
}

EvoPattern *
evo_pattern_new_literal (const char *text, gsize n)
{
  EvoPattern *p = new_pattern (LITERAL);

  p->literal = g_memdup2 (text, n + 1);
  p->n_literal = n;
  return p;
}

EvoPattern *
evo_pattern_new_class (guint classes, gboolean runs)
{
  EvoPattern *p = new_pattern (runs ? RUNS : CLASS);

  p->classes = classes;
  return p;
}

EvoPattern *
evo_pattern_new_words (void)
{
  return new_pattern (WORDS);
}

EvoPattern *
evo_pattern_new_gpt2 (void)
{
  return new_pattern (GPT2);
}

/* ------------------------------------------------------------------ expressions */

#define CL100K_START "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
#define CL100K_REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static EvoPattern *
known_expression (const char *expression)
{
  static const struct { const char *text; PatternKind kind; guint max_digits; } known[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", GPT2, 0 },
    { CL100K_START "{1,3}" CL100K_REST, CL100K, 3 },
    { CL100K_START CL100K_REST, CL100K, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (known[i].text, expression) == 0) {
      EvoPattern *p = new_pattern (known[i].kind);

      p->max_digits = known[i].max_digits;
      return p;
    }
  return NULL;
}

EvoPattern *
evo_pattern_new_regex_slow (const char *expression, char **why)
{
  GRegex *regex = evo_regex_new (expression, why);
  EvoPattern *p;

  if (regex == NULL)
    return NULL;
  p = new_pattern (REGEX);
  p->regex = regex;
  return p;
}

EvoPattern *
evo_pattern_new_regex (const char *expression, char **why)
{
  EvoPattern *p = known_expression (expression);

  return p != NULL ? p : evo_pattern_new_regex_slow (expression, why);
}

EvoPattern *
evo_pattern_new_from_json (const EvoJson *v, GError **error)
{
  const char *literal = evo_json_get_string (v, "String"), *expression = evo_json_get_string (v, "Regex");
  g_autofree char *why = NULL;
  EvoPattern *p = NULL;

  if (literal != NULL && *literal != '\0')
    return evo_pattern_new_literal (literal, strlen (literal));
  if (expression == NULL)
    why = g_strdup ("a pattern is {\"String\": TEXT} with a text that is not empty, or {\"Regex\": EXPRESSION}");
  else
    p = evo_pattern_new_regex (expression, &why);
  if (p == NULL)
    evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s", evo_text_in_line (why));
  return p;
}

void
evo_pattern_free (EvoPattern *p)
{
  if (p == NULL)
    return;
  g_free (p->literal);
  g_clear_pointer (&p->regex, g_regex_unref);
  g_free (p);
}

/* ------------------------------------------------------------------ searching */

static void
add_span (GArray *spans, gsize start, gsize end, gboolean match)
{
  EvoSpan span = { start, end, match };

  if (end > start)
    g_array_append_val (spans, span);
}

/* A match at [start, end); what lies between it and the end of the last one is not. Returns the new end. */
static gsize
add_match (GArray *spans, gsize done, gsize start, gsize end)
{
  add_span (spans, done, start, FALSE);
  add_span (spans, start, end, TRUE);
  return end;
}

static gsize
find_literals (const EvoPattern *p, const char *text, gsize n, GArray *spans)
{
  gsize done = 0;
  const char *hit;

  while ((hit = memmem (text + done, n - done, p->literal, p->n_literal)) != NULL)
    done = add_match (spans, done, (gsize) (hit - text), (gsize) (hit - text) + p->n_literal);
  return done;
}

static gsize
find_regex (const EvoPattern *p, const char *text, gsize n, GArray *spans)
{
  g_autoptr (GMatchInfo) info = NULL;
  g_autoptr (GError) error = NULL;
  gsize done = 0;
  gint start, end;

  g_regex_match_full (p->regex, text, (gssize) n, 0, 0, &info, &error);
  while (error == NULL && g_match_info_matches (info)) {
    g_match_info_fetch_pos (info, 0, &start, &end);
    if ((gsize) start >= done && end >= start)
      done = add_match (spans, done, (gsize) start, (gsize) end);
    g_match_info_next (info, &error);
  }
  if (error != NULL)
    g_message ("the expression \"%s\" exceeds the limits of the matcher at byte %" G_GSIZE_FORMAT "; the rest of the text is not split",
               g_regex_get_pattern (p->regex), done);
  return done;
}

/* The class a character has for this pattern; 0: no match. */
static guint
kind_of (const EvoPattern *p, guint class)
{
  if (p->kind != WORDS)
    return class & p->classes ? 1 : 0;
  if ((class & EVO_CHAR_WORD) != 0)
    return 1;
  return class & EVO_CHAR_SPACE ? 0 : 2;
}

static gsize
find_classes (const EvoPattern *p, const char *text, gsize n, GArray *spans)
{
  const char *at = text, *end = text + n;
  gsize done = 0;

  while (at < end) {
    const char *start = at;
    guint kind = kind_of (p, evo_char_class (evo_utf8_next (&at)));

    if (kind == 0)
      continue;
    for (const char *next = at; p->kind != CLASS && at < end && kind_of (p, evo_char_class (evo_utf8_next (&next))) == kind;)
      at = next;
    done = add_match (spans, done, (gsize) (start - text), (gsize) (at - text));
  }
  return done;
}

static gsize
find_scanned (const EvoPattern *p, const char *text, gsize n, GArray *spans)
{
  const char *at = text, *end = text + n;

  while (at < end) {
    gsize length = p->kind == GPT2 ? evo_scan_gpt2 (at, end) : evo_scan_cl100k (at, end, p->max_digits);

    add_span (spans, (gsize) (at - text), (gsize) (at - text) + length, TRUE);
    at += length;
  }
  return n;
}

void
evo_pattern_find (const EvoPattern *p, const char *text, gsize n, GArray *spans)
{
  gsize done;

  g_array_set_size (spans, 0);
  if (p->kind == LITERAL)
    done = find_literals (p, text, n, spans);
  else if (p->kind == REGEX)
    done = find_regex (p, text, n, spans);
  else if (p->kind == GPT2 || p->kind == CL100K)
    done = find_scanned (p, text, n, spans);
  else
    done = find_classes (p, text, n, spans);
  add_span (spans, done, n, FALSE);
}

void
evo_pattern_replace (const EvoPattern *p, const char *text, gsize n, const char *by, GString *out)
{
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (EvoSpan));

  evo_pattern_find (p, text, n, spans);
  for (guint i = 0; i < spans->len; i++) {
    const EvoSpan *s = &g_array_index (spans, EvoSpan, i);

    if (s->match)
      g_string_append (out, by);
    else
      g_string_append_len (out, text + s->start, (gssize) (s->end - s->start));
  }
}
