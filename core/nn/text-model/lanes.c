/* SPDX-License-Identifier: Apache-2.0
 * lanes.c - how much of a text model's work is done at once: lanes, slots and rows, from the model's size; and what that takes.
 */
#include <string.h>

#include "core/nn/text-model/private.h"

enum {
  ROWS_ALONE = 256, ROWS_WIDE = 512,   /* of a pass: enough to keep a matrix product busy, few enough to stay in a core's cache */
  SLOTS_ALONE = 32, SLOTS_WIDE = 64,   /* rows in flight where nothing else limits them */
  LOGITS = 64
};
static const gsize ALONE_UP_TO = 32 << 20;         /* bytes of weights: larger ones should be read once for all threads */
static const guint64 CACHE_LEAST = 256 << 20, CACHE_MOST = G_GUINT64_CONSTANT (8) << 30;

/* Of n_held layers; s->n_layers, which may be another number, are the hops that a cache has. */
static guint64
n_weights (const EvoDecoderSpec *s, gsize n_held)
{
  guint64 hidden = (guint64) s->hidden, queries = (guint64) (s->n_heads * s->head_dim), keys = (guint64) (s->n_kv_heads * s->head_dim);

  return n_held * hidden * (2 * queries + 2 * keys + 3 * (guint64) s->intermediate) + hidden * (guint64) s->vocab;
}

static guint64
slot_bytes (const EvoDecoderSpec *s, gsize positions)
{
  return (guint64) (s->n_layers * s->n_kv_heads * s->head_dim) * 2 * sizeof (float) * positions;
}

/* Caches of all lanes together; one request may need more. */
static guint64
cache_budget (const EvoDecoderSpec *s, gsize n_held)
{
  return CLAMP (n_weights (s, n_held) * 2 / 4, CACHE_LEAST, CACHE_MOST);
}

static gsize
n_logits (const EvoDecoderSpec *s, gsize rows_each)
{
  return MAX (s->vocab > 65536 ? LOGITS / 4 : LOGITS, rows_each);
}

static void
lane_ready (EvoTextModel *m, EvoLane *lane, EvoPool *pool, gsize slots, gsize rows, const EvoLanePlan *plan)
{
  const EvoDecoderSpec *s = &m->decoder.spec;

  if (lane->queue == NULL) {
    lane->queue = evo_cpu_queue_new (m->k, pool);
    lane->pass.q = lane->queue;
    lane->cache = (EvoCache){ .n_heads = (gsize) s->n_kv_heads, .head_dim = (gsize) s->head_dim };
  }
  evo_cache_reserve (&lane->cache, lane->queue, (gsize) s->n_layers, slots, (plan->positions + 15) / 16 * 16);
  evo_pass_reserve (&lane->pass, s, MAX (rows, slots), n_logits (s, plan->rows_each));
  evo_batch_reserve (&lane->batch, MAX (rows, slots));
  if (slots > lane->n_turns) {
    g_free (lane->turns);
    lane->turns = g_new0 (guint64, slots);
    lane->n_turns = slots;
  }
}

EvoLanes
evo_text_model_take_lanes (EvoTextModel *m, const EvoLanePlan *plan)
{
  const EvoDecoderSpec *s = &m->decoder.spec;
  guint threads = evo_pool_get_n_threads (m->pool), n = 1;
  guint64 each = slot_bytes (s, plan->positions), budget = cache_budget (s, m->decoder.n_held);
  gboolean alone = n_weights (s, m->decoder.n_held) * 2 <= ALONE_UP_TO && (threads == 1 || (plan->n_requests > 1 && plan->batch != plan->rows_each));
  gsize most = plan->batch > 0 ? plan->batch : (gsize) MIN (budget / MAX (each, 1), G_MAXUINT32), slots;

  if (alone)
    n = (guint) MIN (MIN (threads, plan->n_requests), MAX (most / plan->rows_each, 1));
  most = most / n / plan->rows_each;
  if (plan->batch == 0)
    most = MIN (most, (alone ? SLOTS_ALONE : SLOTS_WIDE) / plan->rows_each);
  slots = CLAMP (most, 1, (plan->n_requests + n - 1) / n) * plan->rows_each;
  evo_decoder_reserve_positions (&m->decoder, m->queue, plan->positions);
  for (guint i = 0; i < n; i++)
    lane_ready (m, alone ? &m->lanes[i] : &m->wide, alone ? NULL : m->pool, slots, alone ? ROWS_ALONE : ROWS_WIDE, plan);
  return (EvoLanes){ alone ? m->lanes : &m->wide, n, slots };
}

gboolean
evo_text_model_run_lanes (EvoTextModel *m, const EvoLanes *lanes, EvoPoolFunc func, gpointer data, GError **error)
{
  /* one lane may split its operations over the pool, which is not re-entrant: it runs outside of it */
  return lanes->n == 1 ? func (data, 0, 0, error) : evo_pool_run (m->pool, lanes->n, func, data, error);
}

/* ------------------------------------------------------------------ order of requests */

static int
compare_keys (gconstpointer x, gconstpointer y)
{
  const EvoKey *a = x, *b = y;

  for (gsize i = 0; i < MIN (a->n, b->n); i++)
    if (a->ids[i] != b->ids[i])
      return a->ids[i] < b->ids[i] ? -1 : 1;
  if (a->n != b->n)
    return a->n < b->n ? -1 : 1;
  return a->index < b->index ? -1 : 1;
}

guint32 *
evo_text_model_order (EvoKey *keys, gsize n)
{
  guint32 *order = g_new (guint32, MAX (n, 1));

  qsort (keys, n, sizeof *keys, compare_keys);
  for (gsize i = 0; i < n; i++)
    order[i] = keys[i].index;
  return order;
}

/* ------------------------------------------------------------------ memory */

/* Packed: whole blocks of 64 rows, columns rounded up to 64; bytes of an element as stored, 4 where there is no packed form. */
static guint64
packed_bytes (guint64 rows, guint64 cols, EvoDtype dtype)
{
  gsize element = dtype == EVO_DTYPE_BF16 || dtype == EVO_DTYPE_F16 ? 2 : 4;

  return evo_padded (rows) * evo_padded (cols) * element;
}

static guint64
weight_bytes (const EvoDecoderSpec *s, gsize n_held, EvoDtype dtype)
{
  guint64 hidden = (guint64) s->hidden, queries = (guint64) (s->n_heads * s->head_dim), keys = (guint64) (s->n_kv_heads * s->head_dim);
  guint64 inner = (guint64) s->intermediate, vocab = (guint64) s->vocab;
  guint64 layer = packed_bytes (queries, hidden, dtype) + 2 * packed_bytes (keys, hidden, dtype) + packed_bytes (hidden, queries, dtype) +
                  2 * packed_bytes (inner, hidden, dtype) + packed_bytes (hidden, inner, dtype);
  guint64 vectors = 4 * (4 * evo_padded (hidden) + evo_padded (queries) + 2 * evo_padded (keys) + 2 * evo_padded (inner));

  return n_held * (layer + vectors) + packed_bytes (vocab, hidden, dtype) + vocab * hidden * evo_dtype_size (dtype);
}

/* What the kernels' scratch takes: a few parts of the widest operand of a pass, for each thread. */
static guint64
scratch_bytes (const EvoDecoderSpec *s, gsize rows, guint threads)
{
  guint64 widest = evo_padded ((gsize) MAX (MAX (s->intermediate, s->hidden), s->n_heads * s->head_dim));

  return threads * (rows * widest * 8 + (guint64) s->max_positions * 32 * 4 + EVO_BLOCK * widest * 4);
}

guint64
evo_text_model_estimate_bytes (const EvoDecoderSpec *s, EvoDtype weights, guint batch)
{
  return evo_text_model_estimate_path_bytes (s, (gsize) s->n_layers, weights, batch);
}

guint64
evo_text_model_estimate_path_bytes (const EvoDecoderSpec *s, gsize n_held, EvoDtype weights, guint batch)
{
  guint threads = g_get_num_processors ();
  guint64 slots = batch > 0 ? batch : 1, caches = slots * slot_bytes (s, (gsize) s->max_positions);
  gboolean alone = n_weights (s, n_held) * 2 <= ALONE_UP_TO;
  gsize rows = MAX (alone ? ROWS_ALONE : ROWS_WIDE, batch);
  guint64 passes = evo_pass_bytes (s, rows, n_logits (s, 1)) + scratch_bytes (s, rows, 1);

  if (batch == 0)
    caches = MAX (caches, cache_budget (s, n_held));
  return weight_bytes (s, n_held, weights) + caches + (alone ? threads : 1) * passes + scratch_bytes (s, rows, threads) +
         (guint64) (s->max_positions * s->head_dim) * 2 * sizeof (float);
}
