/* SPDX-License-Identifier: Apache-2.0
 * cpu-attend.c - the key/value cache on the CPU: putting rows in, and attention over them.
 */
#include <string.h>

#include "core/nn/ops/cpu.h"

enum { MOST_QUERIES = 32 }; /* of one block: bounds its scratch, and what a causal block computes in vain */

void
evo_cpu_keep (EvoQueue *q, const EvoCache *c, gsize layer, EvoView k, EvoView v, const EvoToken *tokens, gsize n_rows)
{
  gsize n = c->head_dim;

  for (gsize r = 0; r < n_rows; r++)
    for (gsize h = 0; h < c->n_heads; h++) {
      gsize to = evo_cache_row (c, layer, tokens[r].slot, h, tokens[r].position) * n;

      memcpy (c->k->x + to, evo_cpu_at (k) + r * k.stride + h * n, n * sizeof (float));
      memcpy (c->v->x + to, evo_cpu_at (v) + r * v.stride + h * n, n * sizeof (float));
    }
}

void
evo_cpu_share (EvoQueue *q, const EvoCache *c, gsize layer, guint32 from, guint32 to, gsize first, gsize n)
{
  for (gsize h = 0; h < c->n_heads; h++) {
    gsize a = evo_cache_row (c, layer, from, h, first) * c->head_dim, b = evo_cache_row (c, layer, to, h, first) * c->head_dim;

    memcpy (c->k->x + b, c->k->x + a, n * c->head_dim * sizeof (float));
    memcpy (c->v->x + b, c->v->x + a, n * c->head_dim * sizeof (float));
  }
}

/* How many rows from r on are the next positions of one sequence, all within the window. */
static gsize
run_length (const EvoCpuCall *c, gsize r, gsize end)
{
  const EvoToken *t = &c->tokens[r];
  gsize n = 1;

  while (r + n < end && n < MOST_QUERIES && t[n].slot == t->slot && t[n].position == t->position + n &&
         (c->window == 0 || t[n].position < c->window))
    n++;
  return n;
}

/* Units: key heads, then rows. */
static void
attend_units (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  const EvoCache *cache = c->cache;
  gsize d = cache->head_dim, group = c->n_heads / cache->n_heads, n;

  for (gsize u = from; u < to; u += n) {
    gsize h = u / c->n_rows, r = u % c->n_rows, end = MIN (c->n_rows, r + to - u), position = c->tokens[r].position;
    gsize first = c->window > 0 && position >= c->window ? position + 1 - c->window : 0;
    gsize at = evo_cache_row (cache, c->layer, c->tokens[r].slot, h, first) * d, q = h * group * d;

    n = run_length (c, r, end);
    c->q->k->attend_many (c->y + r * c->y_stride + q, c->y_stride, c->x + r * c->x_stride + q, c->x_stride, n, group, cache->k->x + at,
                          cache->v->x + at, d, position + 1 - first, 1, d, c->scale,
                          evo_cpu_scratch (c->q, thread, c->q->k->attend_scratch (n, group, position + 1 - first, 1, d)));
  }
}

void
evo_cpu_attend (EvoQueue *q, EvoView y, EvoView x, const EvoCache *cache, gsize layer, const EvoToken *tokens, gsize n_rows, gsize n_heads,
                gsize window, double scale)
{
  EvoCpuCall c = { .q = (EvoCpuQueue *) q, .func = attend_units, .y = evo_cpu_at (y), .y_stride = y.stride, .x = evo_cpu_at (x),
                   .x_stride = x.stride, .n_rows = n_rows, .n_heads = n_heads, .layer = layer, .window = window, .tokens = tokens,
                   .cache = cache, .scale = scale };
  gsize work = 0;

  for (gsize r = 0; r < n_rows; r++)
    work += (tokens[r].position + 1) * n_heads * cache->head_dim;
  evo_cpu_split (&c, n_rows * cache->n_heads, work);
}
