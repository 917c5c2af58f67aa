/* SPDX-License-Identifier: Apache-2.0
 * stops.c - looks for stop strings in decoded text, a few tokens at a time.
 */
#include "core/nn/text-model/stops.h"

#include <string.h>

enum { SLACK = 8 }; /* tokens before the window that matters: a decoder may treat the first ones differently (blank, broken character) */
enum { UNKNOWN, NO, YES };

void
evo_stops_init (EvoStops *s, const EvoTokenizer *tokenizer, const char *const *strings, gsize n, gsize n_ids)
{
  *s = (EvoStops){ .tokenizer = tokenizer, .strings = strings, .n = n, .n_ids = n_ids };
  if (n == 0)
    return;
  s->tokens = g_new (gint32, n);
  s->can_end = g_new0 (guint8, n_ids);
  for (gsize i = 0; i < n; i++) {
    s->longest = MAX (s->longest, strlen (strings[i]));
    s->tokens[i] = (gint32) evo_tokenizer_find (tokenizer, strings[i]);
  }
}

void
evo_stops_clear (EvoStops *s)
{
  g_free (s->tokens);
  g_free (s->can_end);
  *s = (EvoStops){ NULL };
}

static const char *
find (const GString *text, const char *string)
{
  return *string == '\0' ? NULL : memmem (text->str, text->len, string, strlen (string));
}

static gboolean
text_has_stop (const EvoStops *s, const gint32 *ids, gsize n)
{
  GString *text = evo_tokenizer_decode (s->tokenizer, ids, n, TRUE);
  gboolean has = FALSE;

  for (gsize i = 0; i < s->n && !has; i++)
    has = find (text, s->strings[i]) != NULL;
  g_string_free (text, TRUE);
  return has;
}

/* Decoding a window at every step would cost more than the step: a token without the last byte of any string completes none. Blanks and
 * bytes of longer characters may look otherwise in a token decoded alone: such strings are always looked for. */
static gboolean
may_complete (const EvoStops *s, gint32 id)
{
  guint8 known = __atomic_load_n (&s->can_end[id], __ATOMIC_RELAXED);
  GString *text;

  if (known != UNKNOWN)
    return known == YES;
  text = evo_tokenizer_decode (s->tokenizer, &id, 1, TRUE);
  known = NO;
  for (gsize i = 0; i < s->n; i++) {
    gsize length = strlen (s->strings[i]);
    char last = length == 0 ? 0 : s->strings[i][length - 1];

    if (length > 0 && (last == ' ' || (guchar) last >= 0x80 || memchr (text->str, last, text->len) != NULL))
      known = YES;
  }
  g_string_free (text, TRUE);
  __atomic_store_n (&s->can_end[id], known, __ATOMIC_RELAXED);
  return known == YES;
}

gboolean
evo_stops_hit (const EvoStops *s, const gint32 *ids, gsize n)
{
  gsize window = s->longest + SLACK;

  if (s->n == 0 || n == 0)
    return FALSE;
  for (gsize i = 0; i < s->n; i++)
    if (s->tokens[i] >= 0 && s->tokens[i] == ids[n - 1])
      return TRUE;
  if (!may_complete (s, ids[n - 1]))
    return FALSE;
  if (n <= window)
    return text_has_stop (s, ids, n);
  return text_has_stop (s, ids + n - window, window) && text_has_stop (s, ids, n);
}

void
evo_stops_cut (const EvoStops *s, GString *text)
{
  for (gsize i = 0; i < s->n; i++) {
    const char *at = find (text, s->strings[i]);

    if (at != NULL)
      g_string_truncate (text, (gsize) (at - text->str));
  }
}
