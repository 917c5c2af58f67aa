/* SPDX-License-Identifier: Apache-2.0
 * cpu.c - the operations on the CPU: buffers are memory, a queue runs at once, rows go through the kernel table.
 */
#include "core/nn/ops/cpu.h"

#include <string.h>

enum { ALIGN = 64, WORTH_WAKING = 1 << 16 };

struct EvoTable { gsize n_rows, n_cols, n_bytes; EvoDtype dtype; guint8 *bytes; EvoCpuQueue *queue; };

/* ------------------------------------------------------------------ memory and threads */

void *
evo_cpu_alloc (EvoCpuQueue *q, gsize n)
{
  __atomic_fetch_add (&q->bytes, n, __ATOMIC_RELAXED);
  return g_aligned_alloc (MAX ((n + ALIGN - 1) / ALIGN, 1), ALIGN, ALIGN);
}

void
evo_cpu_free (EvoCpuQueue *q, void *bytes, gsize n)
{
  if (bytes == NULL)
    return;
  __atomic_fetch_sub (&q->bytes, n, __ATOMIC_RELAXED);
  g_aligned_free (bytes);
}

void *
evo_cpu_scratch (EvoCpuQueue *q, guint thread, gsize n)
{
  EvoScratch *s = &q->scratch[thread];

  if (n > s->n) {
    evo_cpu_free (q, s->bytes, s->n);
    s->bytes = evo_cpu_alloc (q, n);
    s->n = n;
  }
  return s->bytes;
}

static gboolean
run_piece (gpointer data, gint64 item, guint thread, GError **error)
{
  const EvoCpuCall *c = data;

  c->func (c, c->n_units * (gsize) item / c->n_pieces, c->n_units * (gsize) (item + 1) / c->n_pieces, thread);
  return TRUE;
}

void
evo_cpu_split (EvoCpuCall *c, gsize n_units, gsize work)
{
  c->n_units = n_units;
  c->n_pieces = MIN (c->q->n_threads, n_units);
  if (c->n_pieces < 2 || work < WORTH_WAKING)
    c->func (c, 0, n_units, 0);
  else
    evo_pool_run (c->q->pool, (gint64) c->n_pieces, run_piece, c, NULL);
}

static EvoCpuCall
call_new (EvoQueue *q, EvoCpuFunc func, EvoView y, EvoView x, gsize n)
{
  return (EvoCpuCall){ .q = (EvoCpuQueue *) q, .func = func, .y = y.of == NULL ? NULL : evo_cpu_at (y), .y_stride = y.stride,
                       .x = evo_cpu_at (x), .x_stride = x.stride, .n = n };
}

/* ------------------------------------------------------------------ buffers and tables */

static EvoBuffer *
buffer_new (EvoQueue *q, gsize n)
{
  EvoBuffer *b = g_new (EvoBuffer, 1);

  *b = (EvoBuffer){ evo_cpu_alloc ((EvoCpuQueue *) q, n * sizeof (float)), n, (EvoCpuQueue *) q };
  return b;
}

static void
buffer_free (EvoBuffer *b)
{
  if (b == NULL)
    return;
  evo_cpu_free (b->queue, b->x, b->n * sizeof (float));
  g_free (b);
}

static void
write_buffer (EvoQueue *q, EvoBuffer *b, gsize first, const float *x, gsize n)
{
  memcpy (b->x + first, x, n * sizeof *x);
}

static const float *
map (EvoQueue *q, EvoView x, gsize n_rows)
{
  return evo_cpu_at (x);
}

static EvoTable *
table_new (EvoQueue *q, gsize n_rows, gsize n_cols)
{
  EvoTable *t = g_new0 (EvoTable, 1);

  *t = (EvoTable){ .n_rows = n_rows, .n_cols = n_cols, .queue = (EvoCpuQueue *) q };
  return t;
}

static void
table_free (EvoTable *t)
{
  if (t == NULL)
    return;
  evo_cpu_free (t->queue, t->bytes, t->n_bytes);
  g_free (t);
}

static void
table_load (EvoQueue *q, EvoTable *t, EvoDtype dtype, gconstpointer bytes)
{
  gsize n = t->n_rows * t->n_cols, n_bytes = n * evo_dtype_size (dtype);

  if (n_bytes != t->n_bytes) {
    evo_cpu_free (t->queue, t->bytes, t->n_bytes);
    t->bytes = evo_cpu_alloc (t->queue, n_bytes);
    t->n_bytes = n_bytes;
  }
  t->dtype = dtype;
  memcpy (t->bytes, bytes, n_bytes);
}

/* ------------------------------------------------------------------ operations on rows */

static void
look_up_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  const EvoTable *t = c->table;
  gsize row = t->n_cols * evo_dtype_size (t->dtype);

  for (gsize r = from; r < to; r++)
    evo_dtype_to_f32 (c->q->k, c->y + r * c->y_stride, t->dtype, t->bytes + (gsize) c->tokens[r].id * row, t->n_cols);
}

static void
look_up (EvoQueue *q, EvoView y, const EvoTable *t, const EvoToken *tokens, gsize n_rows)
{
  EvoCpuCall c = call_new (q, look_up_rows, y, y, t->n_cols);

  c.table = t;
  c.tokens = tokens;
  evo_cpu_split (&c, n_rows, n_rows * t->n_cols);
}

static void
take (EvoQueue *q, EvoView y, EvoView x, const guint32 *index, gsize n_rows, gsize n)
{
  for (gsize r = 0; r < n_rows; r++)
    memcpy (evo_cpu_at (y) + r * y.stride, evo_cpu_at (x) + index[r] * x.stride, n * sizeof (float));
}

static void
norm_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  float *x = c->out;

  for (gsize r = from; r < to; r++) {
    if (c->factor != 1)
      c->q->k->scale (x + r * c->x_stride, c->factor, c->n);
    c->q->k->rms_norm (c->y + r * c->y_stride, x + r * c->x_stride, c->w, c->scale, c->n);
  }
}

static void
rms_norm (EvoQueue *q, EvoView y, EvoView x, double scale, const EvoBuffer *w, double eps, gsize n_rows, gsize n)
{
  EvoCpuCall c = call_new (q, norm_rows, y, x, n);

  c.out = evo_cpu_at (x);
  c.factor = scale;
  c.w = w->x;
  c.scale = eps;
  evo_cpu_split (&c, n_rows, n_rows * n);
}

static void
add_scaled (const EvoCpuCall *c, float *y, const float *x, gsize n)
{
  if (c->factor == 1)
    c->q->k->add (y, x, n);
  else
    c->q->k->axpy (y, x, c->factor, n);
}

static void
add_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  if (c->y_stride == c->n && c->x_stride == c->n) {
    add_scaled (c, c->y + from * c->n, c->x + from * c->n, (to - from) * c->n);
    return;
  }
  for (gsize r = from; r < to; r++)
    add_scaled (c, c->y + r * c->y_stride, c->x + r * c->x_stride, c->n);
}

static void
add (EvoQueue *q, EvoView y, EvoView x, double scale, gsize n_rows, gsize n)
{
  EvoCpuCall c = call_new (q, add_rows, y, x, n);

  c.factor = scale;
  evo_cpu_split (&c, n_rows, n_rows * n);
}

static void
silu_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  for (gsize r = from; r < to; r++)
    c->q->k->silu_mul (c->y + r * c->y_stride, c->x + r * c->x_stride, c->z + r * c->z_stride, c->n);
}

static void
silu_mul (EvoQueue *q, EvoView y, EvoView gate, EvoView up, gsize n_rows, gsize n)
{
  EvoCpuCall c = call_new (q, silu_rows, y, gate, n);

  c.z = evo_cpu_at (up);
  c.z_stride = up.stride;
  evo_cpu_split (&c, n_rows, n_rows * n);
}

static void
rope_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  gsize half = c->n / 2;

  for (gsize r = from; r < to; r++)
    c->q->k->rope (c->y + r * c->y_stride, c->cos + c->tokens[r].position * half, c->sin + c->tokens[r].position * half, c->n_heads, c->n);
}

static void
rope (EvoQueue *q, EvoView x, const EvoBuffer *cos, const EvoBuffer *sin, const EvoToken *tokens, gsize n_rows, gsize n_heads, gsize head_dim)
{
  EvoCpuCall c = call_new (q, rope_rows, x, x, head_dim);

  c.cos = cos->x;
  c.sin = sin->x;
  c.tokens = tokens;
  c.n_heads = n_heads;
  evo_cpu_split (&c, n_rows, n_rows * n_heads * head_dim);
}

/* ------------------------------------------------------------------ what is read from logits */

static void
argmax_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  guint32 *out = c->out;

  for (gsize r = from; r < to; r++)
    out[r] = (guint32) c->q->k->argmax (c->x + r * c->x_stride, c->n);
}

static void
argmax (EvoQueue *q, EvoView x, gsize n_rows, gsize n, guint32 *out)
{
  EvoCpuCall c = call_new (q, argmax_rows, (EvoView){ NULL, 0, 0 }, x, n);

  c.out = out;
  evo_cpu_split (&c, n_rows, n_rows * n);
}

static void
log_sum_exp_rows (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  double *out = c->out;

  for (gsize r = from; r < to; r++)
    out[r] = c->q->k->log_sum_exp (c->x + r * c->x_stride, c->n);
}

static void
log_sum_exp (EvoQueue *q, EvoView x, gsize n_rows, gsize n, double *out)
{
  EvoCpuCall c = call_new (q, log_sum_exp_rows, (EvoView){ NULL, 0, 0 }, x, n);

  c.out = out;
  evo_cpu_split (&c, n_rows, n_rows * n * 4);
}

/* ------------------------------------------------------------------ the queue */

static guint64
bytes (EvoQueue *queue)
{
  return __atomic_load_n (&((EvoCpuQueue *) queue)->bytes, __ATOMIC_RELAXED);
}

static void
queue_free (EvoQueue *queue)
{
  EvoCpuQueue *q = (EvoCpuQueue *) queue;

  for (guint i = 0; i < q->n_threads; i++)
    evo_cpu_free (q, q->scratch[i].bytes, q->scratch[i].n);
  g_free (q->scratch);
  g_free (q);
}

static const EvoOps cpu = {
  .name = "cpu", .buffer_new = buffer_new, .buffer_free = buffer_free, .write = write_buffer, .map = map,
  .matrix_new = evo_cpu_matrix_new, .matrix_free = evo_cpu_matrix_free, .matrix_load = evo_cpu_matrix_load,
  .table_new = table_new, .table_free = table_free, .table_load = table_load,
  .look_up = look_up, .take = take, .linear = evo_cpu_linear, .rms_norm = rms_norm, .add = add, .silu_mul = silu_mul, .rope = rope,
  .keep = evo_cpu_keep, .share = evo_cpu_share, .attend = evo_cpu_attend, .argmax = argmax, .log_sum_exp = log_sum_exp,
  .bytes = bytes, .free = queue_free
};

EvoQueue *
evo_cpu_queue_new (const EvoKernels *k, EvoPool *pool)
{
  EvoCpuQueue *q = g_new0 (EvoCpuQueue, 1);

  q->base.ops = &cpu;
  q->k = k;
  q->pool = pool;
  q->n_threads = pool == NULL ? 1 : evo_pool_get_n_threads (pool);
  q->scratch = g_new0 (EvoScratch, q->n_threads);
  return &q->base;
}
