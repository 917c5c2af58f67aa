/* SPDX-License-Identifier: Apache-2.0
 * definitions-sums.h - definitions of definitions-sums.c: each gives one tensor's result and how far fp32 may be off it.
 */
#ifndef TESTS_PLUGINS_DEFINITIONS_SUMS_H
#define TESTS_PLUGINS_DEFINITIONS_SUMS_H

#include "tests/plugins/definitions.h"

void define_add_difference (const Drive *d, guint tensor, double *out, double *tolerance);
void define_sum_twice (const Drive *d, guint tensor, double *out, double *tolerance);
void define_triple_sum (const Drive *d, guint tensor, double *out, double *tolerance);
void define_train_difference (const Drive *d, guint tensor, double *out, double *tolerance);
void define_cosine (const Drive *d, guint tensor, double *out, double *tolerance);
void define_range (const double *values, gsize n, gboolean midpoint, double *low, double *high);
void define_crossover (const Drive *d, guint tensor, double *out, double *tolerance);
void define_fisher (const Drive *d, guint tensor, double *out, double *tolerance);

#endif
