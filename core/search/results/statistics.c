/* SPDX-License-Identifier: Apache-2.0
 * statistics.c - Wilson intervals, percentile bootstrap, exact McNemar.
 */
#include "core/search/results/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"

enum { DRAWS = 10000 };

/* ------------------------------------------------------------------ Wilson */

/* (p + z²/2n ± z sqrt (p (1 - p) / n + z²/4n²)) / (1 + z²/n)     (Wilson, "Probable inference", 1927) */
EvoInterval
evo_wilson (gsize successes, gsize n)
{
  const double z = 1.959963984540054; /* 97.5 % point of the normal distribution */
  double p, centre, half, scale;

  g_return_val_if_fail (successes <= n, ((EvoInterval){ NAN, 0, 1 }));
  if (n == 0)
    return (EvoInterval){ NAN, 0, 1 };
  p = (double) successes / (double) n;
  scale = 1 + z * z / (double) n;
  centre = (p + z * z / (2 * (double) n)) / scale;
  half = z * sqrt (p * (1 - p) / (double) n + z * z / (4 * (double) n * (double) n)) / scale;
  /* at 0 and n the formula gives the ends exactly, its rounding does not */
  return (EvoInterval){ p, successes == 0 ? 0 : MAX (centre - half, 0), successes == n ? 1 : MIN (centre + half, 1) };
}

/* ------------------------------------------------------------------ bootstrap */

typedef struct { EvoStatistic f; gconstpointer data; gsize n_values, n; } Sample;

static double
statistic (const Sample *s, const double *values)
{
  double sum = 0;

  if (s->n == 0)
    return NAN;
  if (s->f != NULL)
    return s->f (s->data, values, s->n);
  for (gsize i = 0; i < s->n; i++)
    sum += values[i * s->n_values];
  return sum / (double) s->n;
}

static void
gather (const Sample *s, const double *values, const guint32 *items, double *out)
{
  for (gsize i = 0; i < s->n; i++)
    memcpy (out + i * s->n_values, values + (gsize) items[i] * s->n_values, s->n_values * sizeof *out);
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

/* f (a), or f (a) - f (b) where there is b, of DRAWS samples with replacement; the same items for both. Samples for which it is no number (a
 * ratio whose denominator was not drawn) are left out. Sorted (owned); *n_drawn of them. */
static double *
resample (const Sample *s, const double *a, const double *b, guint64 seed, gsize *n_drawn)
{
  double *out = g_new (double, DRAWS);
  g_autofree guint32 *items = g_new (guint32, s->n);
  g_autofree double *values = g_new (double, s->n * s->n_values);
  EvoRandom r;

  evo_random_init (&r, evo_random_mix_text (seed, "bootstrap"));
  *n_drawn = 0;
  for (guint d = 0; d < DRAWS; d++) {
    double v;

    for (gsize i = 0; i < s->n; i++)
      items[i] = evo_random_below (&r, (guint32) s->n);
    gather (s, a, items, values);
    v = statistic (s, values);
    if (b != NULL) {
      gather (s, b, items, values);
      v -= statistic (s, values);
    }
    if (!isnan (v))
      out[(*n_drawn)++] = v;
  }
  qsort (out, *n_drawn, sizeof *out, by_value);
  return out;
}

/* Linear between order statistics (definition 7 of Hyndman & Fan 1996). */
static double
quantile (const double *sorted, gsize n, double q)
{
  double at = q * (double) (n - 1);
  gsize i = (gsize) floor (at);

  if (i + 1 >= n || sorted[i] == sorted[i + 1]) /* equal infinities have no difference */
    return sorted[MIN (i, n - 1)];
  return sorted[i] + (sorted[i + 1] - sorted[i]) * (at - (double) i);
}

/* 2.5 and 97.5 % points of the resampled statistic (Efron & Tibshirani 1993, ch. 13). */
static EvoInterval
percentile (const Sample *s, const double *a, const double *b, guint64 seed)
{
  EvoInterval out = { NAN, NAN, NAN };
  gsize n;

  if (s->n == 0 || s->n > G_MAXUINT32)
    return out;
  g_autofree double *sorted = resample (s, a, b, seed, &n);
  out.value = statistic (s, a) - (b == NULL ? 0 : statistic (s, b));
  if (n == 0)
    return out;
  out.low = quantile (sorted, n, 0.025);
  out.high = quantile (sorted, n, 0.975);
  return out;
}

EvoInterval
evo_bootstrap (EvoStatistic f, gconstpointer data, const double *values, gsize n_values, gsize n, guint64 seed)
{
  const Sample s = { f, data, n_values, n };

  return percentile (&s, values, NULL, seed);
}

EvoInterval
evo_paired_bootstrap (EvoStatistic f, gconstpointer data, const double *a, const double *b, gsize n_values, gsize n, guint64 seed)
{
  const Sample s = { f, data, n_values, n };

  return percentile (&s, a, b, seed);
}

double
evo_paired_p (EvoStatistic f, gconstpointer data, const double *a, const double *b, gsize n_values, gsize n, guint64 seed)
{
  const Sample s = { f, data, n_values, n };
  gsize n_drawn, not_above = 0, not_below = 0;

  if (n == 0 || n > G_MAXUINT32)
    return NAN;
  g_autofree double *sorted = resample (&s, a, b, seed, &n_drawn);
  if (n_drawn == 0)
    return NAN;
  for (gsize i = 0; i < n_drawn; i++) {
    not_above += sorted[i] <= 0;
    not_below += sorted[i] >= 0;
  }
  return CLAMP (2 * (double) MIN (not_above, not_below) / (double) n_drawn, 1.0 / DRAWS, 1);
}

/* ------------------------------------------------------------------ McNemar */

/* Two-sided: min (1, 2 P (X <= min (b, c))), X ~ binomial (b + c, 1/2), b and c the items that only one of the two got right. */
double
evo_mcnemar (const double *a, const double *b, gsize n)
{
  gsize only_a = 0, only_b = 0, few, m;
  double sum = 0, term;

  for (gsize i = 0; i < n; i++) {
    only_a += a[i] != 0 && b[i] == 0;
    only_b += a[i] == 0 && b[i] != 0;
  }
  few = MIN (only_a, only_b);
  m = only_a + only_b;
  if (2 * few >= m) /* as many on either side, or none at all */
    return 1;
  /* the largest term by logarithms, for C (m, few) alone overflows from m = 1030 on; then down from it */
  term = exp (lgamma ((double) m + 1) - lgamma ((double) few + 1) - lgamma ((double) (m - few) + 1) - (double) m * G_LN2);
  for (gsize k = few; term > 0; k--) {
    sum += term;
    term *= (double) k / (double) (m - k + 1); /* 0 behind k = 0 */
  }
  return MIN (1, 2 * sum);
}
