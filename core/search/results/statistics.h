/* SPDX-License-Identifier: Apache-2.0
 * statistics.h - intervals and paired comparisons of per-item scores (design section 6, "Exam").
 */
#ifndef EVO_SEARCH_STATISTICS_H
#define EVO_SEARCH_STATISTICS_H

#include <glib.h>

typedef struct { double value, low, high; } EvoInterval;
/* A statistic of items: values [n][n_values] -> one number. NULL func: the mean of values[.][0]. */
typedef double (*EvoStatistic) (gconstpointer data, const double *values, gsize n);

EvoInterval evo_wilson (gsize successes, gsize n);        /* 95 %, z = 1.959964 (Wilson 1927) */
EvoInterval evo_bootstrap (EvoStatistic f, gconstpointer data, const double *values, gsize n_values, gsize n, guint64 seed); /* percentile, 10 000 draws */
/* f(a) - f(b) over the same items, drawn together. */
EvoInterval evo_paired_bootstrap (EvoStatistic f, gconstpointer data, const double *a, const double *b, gsize n_values, gsize n, guint64 seed);
double evo_mcnemar (const double *a, const double *b, gsize n); /* exact two-sided p for 0/1 scores (binomial, discordant pairs) */
/* p of the paired bootstrap for other scores: two-sided, 2 min(share <= 0, share >= 0), at least 1 / draws. */
double evo_paired_p (EvoStatistic f, gconstpointer data, const double *a, const double *b, gsize n_values, gsize n, guint64 seed);

#endif
