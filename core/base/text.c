/* SPDX-License-Identifier: Apache-2.0
 * text.c - numbers as text, nearest names, globs, hashes.
 */
#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "1e-05" and "9.9999999999999995e-08" alike: exponents without padding zeros. */
static void
tidy_exponent (char *text)
{
  char *e = strchr (text, 'e'), *digits;

  if (e == NULL)
    return;
  digits = e + 2;
  while (digits[0] == '0' && digits[1] != '\0')
    memmove (digits, digits + 1, strlen (digits));
}

char *
evo_number_text (double x, char *buffer)
{
  if (x == rint (x) && fabs (x) < 1e15 && !(x == 0 && signbit (x))) {
    g_snprintf (buffer, EVO_NUMBER_TEXT, "%.0f", x);
    return buffer;
  }
  for (int digits = 1; digits <= 17; digits++) {
    char format[8];

    g_snprintf (format, sizeof format, "%%.%dg", digits);
    g_ascii_formatd (buffer, EVO_NUMBER_TEXT, format, x);
    if (g_ascii_strtod (buffer, NULL) == x || !isfinite (x))
      break;
  }
  tidy_exponent (buffer);
  return buffer;
}

/* ------------------------------------------------------------------ nearest names */

static guint
lower (const char *s, gsize i)
{
  return (guint) g_ascii_tolower (s[i]);
}

/* Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours. */
static guint
distance (const char *a, const char *b)
{
  gsize n = strlen (a), m = strlen (b);
  g_autofree guint *rows = g_new (guint, 3 * (m + 1));
  guint *two = rows, *one = rows + m + 1, *now = rows + 2 * (m + 1);

  for (gsize j = 0; j <= m; j++)
    one[j] = (guint) j;
  for (gsize i = 1; i <= n; i++) {
    guint *spare;

    now[0] = (guint) i;
    for (gsize j = 1; j <= m; j++) {
      guint cost = lower (a, i - 1) != lower (b, j - 1);

      now[j] = MIN (MIN (one[j] + 1, now[j - 1] + 1), one[j - 1] + cost);
      if (i > 1 && j > 1 && lower (a, i - 1) == lower (b, j - 2) && lower (a, i - 2) == lower (b, j - 1))
        now[j] = MIN (now[j], two[j - 2] + 1);
    }
    spare = two;
    two = one;
    one = now;
    now = spare;
  }
  return one[m];
}

const char *
evo_nearest_name (const char *name, const char *const *candidates)
{
  const char *best = NULL;
  guint nearest = (guint) strlen (name) / 3 + 2;

  if (strlen (name) > 200)
    return NULL;
  for (gsize i = 0; candidates != NULL && candidates[i] != NULL; i++) {
    guint d = strlen (candidates[i]) > 200 ? G_MAXUINT : distance (name, candidates[i]);

    if (d < nearest) {
      nearest = d;
      best = candidates[i];
    }
  }
  return best;
}

char *
evo_did_you_mean (const char *name, const char *const *candidates)
{
  const char *nearest = evo_nearest_name (name, candidates);

  return nearest == NULL ? g_strdup ("") : g_strdup_printf ("; did you mean \"%s\"?", nearest);
}

/* ------------------------------------------------------------------ globs */

/* One pattern element against one character; *next is what follows the element. */
static gboolean
match_one (const char *p, char c, const char **next)
{
  const char *close;
  gboolean inside = FALSE;

  *next = p + 1;
  if (*p == '?')
    return TRUE;
  if (*p != '[' || (close = strchr (p + 1, ']')) == NULL)
    return *p == c;
  *next = close + 1;
  for (const char *q = p + 1; q < close; q++) {
    if (q + 2 < close && q[1] == '-') {
      inside |= c >= q[0] && c <= q[2];
      q += 2;
    } else {
      inside |= c == *q;
    }
  }
  return inside;
}

gboolean
evo_glob_match (const char *pattern, const char *name)
{
  const char *star = NULL, *retry = NULL, *next;

  while (*name != '\0') {
    if (*pattern == '*') {
      star = ++pattern;
      retry = name;
    } else if (*pattern != '\0' && match_one (pattern, *name, &next)) {
      name++;
      while (*pattern == '?' && (*name & 0xc0) == 0x80)
        name++; /* the rest of the character */
      pattern = next;
    } else if (star != NULL) {
      pattern = star;
      name = ++retry;
    } else {
      return FALSE;
    }
  }
  while (*pattern == '*')
    pattern++;
  return *pattern == '\0';
}

/* ------------------------------------------------------------------ hashes, sizes, durations */

guint64
evo_hash_text (const char *text, gssize n)
{
  gsize len = n < 0 ? strlen (text) : (gsize) n;
  guint64 h = G_GUINT64_CONSTANT (0xcbf29ce484222325);

  for (gsize i = 0; i < len; i++)
    h = (h ^ (guchar) text[i]) * G_GUINT64_CONSTANT (0x100000001b3);
  /* FNV leaves the upper bits of short texts alike: one round of a 64-bit finaliser (Stafford's mix 13) */
  h = (h ^ (h >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  h = (h ^ (h >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return h ^ (h >> 31);
}

char *
evo_size_text (guint64 bytes)
{
  static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
  double v = (double) bytes;
  guint u = 0;

  while (v >= 1000 && u + 1 < G_N_ELEMENTS (units)) {
    v /= 1000;
    u++;
  }
  return u == 0 ? g_strdup_printf ("%" G_GUINT64_FORMAT " B", bytes) : g_strdup_printf ("%.*f %s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[u]);
}

char *
evo_duration_text (double seconds)
{
  guint64 s = seconds > 0 && seconds < 1e12 ? (guint64) (seconds + 0.5) : 0;

  if (s < 60)
    return g_strdup_printf ("%u s", (guint) s);
  if (s < 3600)
    return g_strdup_printf ("%u min %02u s", (guint) (s / 60), (guint) (s % 60));
  return g_strdup_printf ("%" G_GUINT64_FORMAT " h %02u min", s / 3600, (guint) (s / 60 % 60));
}
