/* SPDX-License-Identifier: Apache-2.0
 * definitions-sparse.h - definitions of definitions-sparse.c: each gives one tensor's result and how far fp32 may be off it.
 */
#ifndef TESTS_PLUGINS_DEFINITIONS_SPARSE_H
#define TESTS_PLUGINS_DEFINITIONS_SPARSE_H

#include "tests/plugins/definitions.h"

void define_breadcrumbs (const Drive *d, guint tensor, double *out, double *tolerance); /* breadcrumbs, breadcrumbs-ties */
void define_della (const Drive *d, guint tensor, double *out, double *tolerance);       /* della, della-linear */
void define_consensus (const Drive *d, guint tensor, double *out, double *tolerance);   /* consensus-ta, consensus-ties */
void define_sce (const Drive *d, guint tensor, double *out, double *tolerance);
void define_ram (const Drive *d, guint tensor, double *out, double *tolerance);         /* ram, ramplus-tl */
void define_top_k_sum (const Drive *d, guint tensor, double *out, double *tolerance);

/* DELLA: [n] the probability with which each of an input's changes is kept. */
void define_della_probabilities (const Drive *d, guint tensor, guint input, double *p);

#endif
