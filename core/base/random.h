/* SPDX-License-Identifier: Apache-2.0
 * random.h - addressed random numbers: Philox4x32-10 (Salmon et al. 2011) for streams that are not merge masks.
 */
#ifndef EVO_BASE_RANDOM_H
#define EVO_BASE_RANDOM_H

#include <glib.h>

guint64 evo_random_mix (guint64 a, guint64 b); /* a new stream from two; order matters */
guint64 evo_random_mix_text (guint64 stream, const char *text);

/* A sequence of numbers from a stream; the state is its position, so it is copied by value. */
typedef struct { guint64 stream, position; guint32 block[4]; } EvoRandom;
void evo_random_init (EvoRandom *r, guint64 stream);
guint32 evo_random_u32 (EvoRandom *r);
double evo_random_uniform (EvoRandom *r);           /* [0, 1), 53 bits */
double evo_random_normal (EvoRandom *r);            /* Box-Muller; takes four u32 */
guint32 evo_random_below (EvoRandom *r, guint32 n); /* 0..n-1, unbiased */
void evo_random_shuffle (EvoRandom *r, gint64 *items, gsize n); /* Fisher-Yates; n < 2^32 */

#endif
