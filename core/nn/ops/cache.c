/* SPDX-License-Identifier: Apache-2.0
 * cache.c - slots of the key/value cache: who has one, and how many there are.
 */
#include "core/nn/ops/cache.h"

#include <string.h>

void
evo_cache_clear (EvoCache *c, EvoQueue *q)
{
  q->ops->buffer_free (c->k);
  q->ops->buffer_free (c->v);
  g_free (c->spare);
  c->k = c->v = NULL;
  c->spare = NULL;
  c->n_slots = c->capacity = c->n_spare = c->n_floats = 0;
}

void
evo_cache_reserve (EvoCache *c, EvoQueue *q, gsize n_layers, gsize n_slots, gsize capacity)
{
  gsize n = n_slots * n_layers * c->n_heads * capacity * c->head_dim;

  if (n > c->n_floats) {
    evo_cache_clear (c, q);
    c->k = q->ops->buffer_new (q, n);
    c->v = q->ops->buffer_new (q, n);
    c->n_floats = n;
  }
  if (n_layers != c->n_layers || n_slots > c->n_slots || capacity > c->capacity) {
    c->n_layers = n_layers;
    c->n_slots = n_slots;
    c->capacity = capacity;
    c->spare = g_renew (guint32, c->spare, n_slots);
  }
  c->n_spare = n_slots;
  for (gsize i = 0; i < n_slots; i++)
    c->spare[i] = (guint32) i;
}

guint32
evo_cache_take (EvoCache *c)
{
  guint32 slot;

  g_return_val_if_fail (c->n_spare > 0, 0);
  slot = c->spare[0];
  c->n_spare--;
  memmove (c->spare, c->spare + 1, c->n_spare * sizeof *c->spare);
  return slot;
}

void
evo_cache_give_back (EvoCache *c, guint32 slot)
{
  c->spare[c->n_spare++] = slot;
}
