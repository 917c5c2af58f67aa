/* SPDX-License-Identifier: Apache-2.0
 * kernels.h - what the kernel tests share: awkward lengths, numbers with special values among them, comparisons.
 */
#ifndef EVO_TESTS_KERNELS_H
#define EVO_TESTS_KERNELS_H

#include <glib.h>

#include "core/kernels/kernels.h"

extern const gsize test_lengths[];
extern const guint test_n_lengths;

/* The tables of this CPU above ref; i = 0, 1, ... until NULL. */
const EvoKernels *test_table (guint i);

/* n numbers in (-2, 2), the same for a seed; special: NaN, infinities, denormal numbers, -0 and the like among them. Free with g_free. */
float *test_numbers (gsize n, guint32 seed, gboolean special);
guint32 test_bits (float x);
gboolean test_same (float a, float b); /* the same bits, or both NaN */

void test_add_decompose (void);
void test_add_merge (void);
void test_add_nn (void);
int test_bench (void);

#endif
