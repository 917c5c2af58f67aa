/* SPDX-License-Identifier: Apache-2.0
 * definitions-spectral.h - definitions of definitions-spectral.c: each gives one tensor's result and how far the plugin may be off it.
 */
#ifndef TESTS_PLUGINS_DEFINITIONS_SPECTRAL_H
#define TESTS_PLUGINS_DEFINITIONS_SPECTRAL_H

#include "tests/plugins/definitions.h"

/* a [m][n] = sum_i s[i] u_i v_i^T: u [r][m], v [r][n] rows, s descending; vectors of zero singular values are zero */
typedef struct { gsize m, n, r; double *u, *s, *v; } Svd;
Svd define_svd (const double *a, gsize m, gsize n);
void define_svd_clear (Svd *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Svd, define_svd_clear)

void define_svd_truncate (const Drive *d, guint tensor, double *out, double *tolerance);
void define_iso_c (const Drive *d, guint tensor, double *out, double *tolerance);
void define_iso_cts (const Drive *d, guint tensor, double *out, double *tolerance);
void define_tsv (const Drive *d, guint tensor, double *out, double *tolerance);
void define_regmean (const Drive *d, guint tensor, double *out, double *tolerance);

#endif
