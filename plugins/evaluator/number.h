/* SPDX-License-Identifier: Apache-2.0
 * number.h - the last number of a text, by the published rule and by one that reads what people write.
 */
#ifndef PLUGINS_EVALUATOR_NUMBER_H
#define PLUGINS_EVALUATOR_NUMBER_H

#include <string.h>

#include "evopipe.h"

/* Code points, [n] and a zero behind them (owned); a byte that is not UTF-8 is U+FFFD. */
static inline gunichar *
number_decode (EvoText text, gsize *n)
{
  gunichar *u = g_new (gunichar, text.n + 1);
  gsize at = 0;

  *n = 0;
  while (at < text.n) {
    gunichar c = text.bytes[at] == '\0' ? 0 : g_utf8_get_char_validated (text.bytes + at, (gssize) (text.n - at));
    gboolean bad = c == (gunichar) -1 || c == (gunichar) -2;

    at += bad ? 1 : (gsize) g_unichar_to_utf8 (c, NULL);
    u[(*n)++] = bad ? 0xfffd : c;
  }
  u[*n] = 0;
  return u;
}

/* The double of digits (of any script), points and a leading sign; thousands commas are passed over. */
static inline double
number_value (const gunichar *u, gsize from, gsize to, gboolean negative)
{
  GString *text = g_string_new (negative ? "-" : "");
  double value;

  for (gsize i = from; i < to; i++)
    if (u[i] == '.')
      g_string_append_c (text, '.');
    else if (g_unichar_isdigit (u[i]))
      g_string_append_c (text, (char) ('0' + g_unichar_digit_value (u[i])));
  value = g_ascii_strtod (text->str, NULL);
  g_string_free (text, TRUE);
  return value;
}

/* The published rule (SakanaAI/evolutionary-model-merge): the last match of \d*\.?\d+, read by float (). Unicode digits count; signs and
 * thousands commas do not: "1,000" is 0, "-5" is 5. FALSE: there is none. */
static inline gboolean
number_last_sakana (EvoText text, double *out)
{
  gsize n, from = 0, to = 0;
  g_autofree gunichar *u = number_decode (text, &n);

  for (gsize i = 0; i < n;) {
    gsize start = i;

    while (g_unichar_isdigit (u[i]))
      i++;
    if (u[i] == '.' && g_unichar_isdigit (u[i + 1]))
      for (i++; g_unichar_isdigit (u[i]);)
        i++;
    if (i > start) {
      from = start;
      to = i;
    } else
      i++;
  }
  if (to == 0)
    return FALSE;
  *out = number_value (u, from, to, FALSE);
  return TRUE;
}

/* Full-width forms, the minus sign U+2212 and digits of any script as ASCII. */
static inline void
number_normalize (gunichar *u, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    if (u[i] >= 0xff01 && u[i] <= 0xff5e)
      u[i] -= 0xfee0;
    else if (u[i] == 0x2212)
      u[i] = '-';
    else if (g_unichar_isdigit (u[i]))
      u[i] = '0' + (gunichar) g_unichar_digit_value (u[i]);
  }
}

static inline gboolean
number_is_digit (gunichar c)
{
  return c >= '0' && c <= '9';
}

/* End of the number that begins at u[i]: digits, or 1 to 3 and groups of three behind commas; then a point and digits. */
static inline gsize
number_end (const gunichar *u, gsize i)
{
  gsize start = i;

  while (number_is_digit (u[i]))
    i++;
  if (i - start >= 1 && i - start <= 3)
    while (u[i] == ',' && number_is_digit (u[i + 1]) && number_is_digit (u[i + 2]) && number_is_digit (u[i + 3]) && !number_is_digit (u[i + 4]))
      i += 4;
  if (u[i] == '.' && number_is_digit (u[i + 1]))
    for (i++; number_is_digit (u[i]);)
      i++;
  return i;
}

/* A minus before u[start], or before a currency sign there, is the number's unless something it could be subtracted from precedes it. */
static inline gboolean
number_is_negative (const gunichar *u, gsize start)
{
  gunichar before;

  if (start > 0 && g_unichar_type (u[start - 1]) == G_UNICODE_CURRENCY_SYMBOL)
    start--;
  if (start == 0 || u[start - 1] != '-')
    return FALSE;
  before = start > 1 ? u[start - 2] : 0;
  return !(before < 128 && g_ascii_isalnum ((char) before)) && before != ')' && before != ']' && before != '%';
}

/* The rule of our own: the last number as people write them: thousands commas, decimals, a minus, full-width forms. */
static inline gboolean
number_last_exact (EvoText text, double *out)
{
  gsize n, from = 0, to = 0;
  g_autofree gunichar *u = number_decode (text, &n);

  number_normalize (u, n);
  for (gsize i = 0; i < n;) {
    gsize end = number_end (u, i);

    if (end > i) {
      from = i;
      to = end;
    }
    i = MAX (end, i + 1);
  }
  if (to == 0)
    return FALSE;
  *out = number_value (u, from, to, number_is_negative (u, from));
  return TRUE;
}

#endif
