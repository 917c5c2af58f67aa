/* SPDX-License-Identifier: Apache-2.0
 * scratch.h - a thread's stack of memory for slices and operators' scratch: taken on the way down, given back on the way up.
 *
 * Merges nest (a slice of one is made of slices of others), and each call's memory is wanted only while it lasts. A stack serves all
 * tensors of a model with the pages of the deepest call.
 */
#ifndef EVO_GRAPH_SCRATCH_H
#define EVO_GRAPH_SCRATCH_H

#include <glib.h>

typedef struct EvoScratch EvoScratch;
typedef struct { guint chunk; gsize top; } EvoScratchMark;

EvoScratch *evo_scratch_new (void);
void evo_scratch_free (EvoScratch *s);
gpointer evo_scratch_take (EvoScratch *s, gsize n_bytes);  /* 64-byte aligned, not zeroed; valid until a mark from before is released */
EvoScratchMark evo_scratch_mark (const EvoScratch *s);
void evo_scratch_release (EvoScratch *s, EvoScratchMark mark);

#endif
