/* SPDX-License-Identifier: Apache-2.0
 * definitions-gram.h - definitions of definitions-gram.c: each gives one tensor's result and how far fp32 may be off it.
 */
#ifndef TESTS_PLUGINS_DEFINITIONS_GRAM_H
#define TESTS_PLUGINS_DEFINITIONS_GRAM_H

#include "tests/plugins/definitions.h"

void define_nuslerp (const Drive *d, guint tensor, double *out, double *tolerance);
void define_multislerp (const Drive *d, guint tensor, double *out, double *tolerance);
void define_karcher (const Drive *d, guint tensor, double *out, double *tolerance);
void define_model_stock (const Drive *d, guint tensor, double *out, double *tolerance);
void define_geometric_median (const Drive *d, guint tensor, double *out, double *tolerance);
void define_nearswap (const Drive *d, guint tensor, double *out, double *tolerance);
void define_arcee_fusion (const Drive *d, guint tensor, double *out, double *tolerance);
void define_passthrough (const Drive *d, guint tensor, double *out, double *tolerance);

#endif
