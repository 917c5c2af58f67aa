/* SPDX-License-Identifier: Apache-2.0
 * cache.h - keys and values of the positions seen so far, for many sequences at once: each has a slot.
 */
#ifndef EVO_NN_CACHE_H
#define EVO_NN_CACHE_H

#include "core/nn/ops/ops.h"

/* Key of (slot s, layer l, head h, position p): row ((s n_layers + l) n_heads + h) capacity + p of k, head_dim floats; values likewise. */
struct EvoCache {
  EvoBuffer *k, *v;
  gsize n_layers, n_heads, head_dim, n_slots, capacity; /* n_layers: hops, where a layer is visited more than once; capacity: positions of a slot */
  gsize n_floats;                                       /* of k, and of v: what the shape takes, or more */
  guint32 *spare; gsize n_spare;                        /* slots nobody has */
};

/* Room for n_slots sequences of up to `capacity` positions, n_layers layers deep; what was in it is lost where that is another shape. Memory
 * is taken anew only where it does not suffice. All slots are spare afterwards. */
void evo_cache_reserve (EvoCache *c, EvoQueue *q, gsize n_layers, gsize n_slots, gsize capacity);
void evo_cache_clear (EvoCache *c, EvoQueue *q);
guint32 evo_cache_take (EvoCache *c);                   /* the spare slot that was given back first */
void evo_cache_give_back (EvoCache *c, guint32 slot);

static inline gsize
evo_cache_row (const EvoCache *c, gsize layer, gsize slot, gsize head, gsize position)
{
  return ((slot * c->n_layers + layer) * c->n_heads + head) * c->capacity + position;
}

#endif
