/* SPDX-License-Identifier: Apache-2.0
 * prefix.h - hidden states of texts after leading hops, kept for paths that begin alike.
 *
 * A position's state after hop t depends on the tokens up to it, on the hops up to t and on the weights, on nothing else, bit for bit (ops.h);
 * what comes after hop t needs only the states of all positions. So a list of texts that is scored again can start after hop t.
 */
#ifndef EVO_NN_PREFIX_H
#define EVO_NN_PREFIX_H

#include "core/nn/decoder/decoder.h"
#include "core/nn/text-model.h"

typedef struct { const gint32 *ids; gsize n; } EvoPrefixText; /* n: tokens that are fed; 0: is left out */

/* Rows of a list of texts: positions of two texts have one row where their tokens are the same up to there. */
typedef struct {
  gsize n;                 /* rows */
  guint32 *rows;           /* position p of text i has row rows[first[i] + p] */
  gsize *first, *own;      /* [n_texts] own: positions from here on are of no earlier text */
  guint8 digest[32];       /* SHA-256 of the texts */
} EvoPrefixRows;

/* Texts in ascending order of their tokens, as evo_text_model_order makes it. */
void evo_prefix_rows_init (EvoPrefixRows *r, const EvoPrefixText *texts, gsize n);
void evo_prefix_rows_clear (EvoPrefixRows *r);

typedef struct EvoPrefixCache EvoPrefixCache;

EvoPrefixCache *evo_prefix_cache_new (guint64 bytes);
void evo_prefix_cache_free (EvoPrefixCache *c); /* NULL: nothing */
void evo_prefix_cache_empty (EvoPrefixCache *c); /* weights have changed */
const EvoPrefixStats *evo_prefix_cache_get_stats (const EvoPrefixCache *c);

/* Where the decoder's path can start with these texts, and room for states that it shall leave; those kept least recently go. Until `end`,
 * which takes them in if they are all there, or drops them. `run` is the cache's. */
const EvoBetween *evo_prefix_cache_begin (EvoPrefixCache *c, const EvoPrefixRows *rows, const EvoDecoder *d);
void evo_prefix_cache_end (EvoPrefixCache *c, gboolean complete);

#endif
