/* SPDX-License-Identifier: Apache-2.0
 * batch.h - the rows of one forward pass: tokens of many sequences behind each other, new ones and prompts mixed, without padding.
 */
#ifndef EVO_NN_BATCH_H
#define EVO_NN_BATCH_H

#include "core/nn/ops/cache.h"

typedef struct { guint32 from, to; gsize first, n; } EvoShare; /* positions first .. first + n - 1 of slot `to` are those of slot `from` */

typedef struct {
  EvoToken *tokens; gsize n, max;          /* [n] */
  guint32 *wanted; gsize n_wanted;         /* rows whose outputs are wanted, ascending */
  gpointer *owners;                        /* [n_wanted] whom a wanted row belongs to */
  EvoToken *wanted_tokens;                 /* [n_wanted] */
  EvoShare *shares; gsize n_shares, max_shares; /* applied in order, in each layer after its keys and values are kept */
} EvoBatch;

void evo_batch_reserve (EvoBatch *b, gsize max);
void evo_batch_empty (EvoBatch *b);
void evo_batch_clear (EvoBatch *b);        /* frees what it holds */
void evo_batch_add (EvoBatch *b, gint32 id, guint32 slot, gsize position, gpointer wanted_by); /* NULL: no output is wanted */
void evo_batch_share (EvoBatch *b, guint32 from, guint32 to, gsize first, gsize n);

/* A text on its way into the cache. What it has in common with the one fed before it is copied, not computed again. */
typedef struct {
  const gint32 *ids; gsize n;
  gsize wanted_from;                       /* outputs are wanted of this position and those after it */
  guint32 slot;
  gsize n_fed;                             /* positions that are in the cache, or will be after the batch that is being made */
  guint32 like_slot; guint64 like_turn; gsize n_like; /* the first n_like tokens are in this slot, while its turn is this one */
} EvoPrompt;

/* turns: [slots] how often each slot has been given to a prompt; counted up here. before: the prompt to share with, NULL: none. */
void evo_prompt_begin (EvoPrompt *p, guint64 *turns, const EvoPrompt *before);
/* Adds as many of its tokens as there is room for. TRUE: the whole prompt is in. */
gboolean evo_prompt_feed (EvoPrompt *p, const guint64 *turns, EvoBatch *b, gpointer owner);

#endif
