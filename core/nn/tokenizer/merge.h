/* SPDX-License-Identifier: Apache-2.0
 * merge.h - the merges of one word (private to bpe.c and tests).
 */
#ifndef EVO_NN_TOKENIZER_MERGE_H
#define EVO_NN_TOKENIZER_MERGE_H

#include "core/nn/tokenizer/bpe.h"

typedef struct {
  gint32 id;            /* symbol */
  guint32 start, n;     /* bytes of the word */
  guint32 prev, next;   /* neighbours, EVO_MERGE_NONE at the ends */
  guint32 rank;         /* of the merge with the next one; EVO_MERGE_NONE: there is none */
  gint32 merged;        /* what that merge makes */
} EvoMergeSymbol;

enum { EVO_MERGE_NONE = 0xffffffffu };

typedef struct {
  GArray *symbols;      /* EvoMergeSymbol */
  GArray *heap;         /* guint64: rank << 32 | position */
  GString *affixed;     /* a character with prefix and suffix */
  GHashTable *parts;    /* UNUSED id -> the merge that made it last; see evo_merge_word */
} EvoMergeWork;

void evo_merge_work_init (EvoMergeWork *w);
void evo_merge_work_clear (EvoMergeWork *w);
/* Appends the ids of one word (n > 0 bytes). */
void evo_merge_word (const EvoBpe *b, EvoMergeWork *w, const char *text, gsize n, GArray *ids);

#endif
