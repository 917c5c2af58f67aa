/* SPDX-License-Identifier: Apache-2.0
 * cpu-linear.c - weight matrices on the CPU: packed block by block of 64 rows, multiplied part by part or several at once.
 *
 * Packing knows blocks of 64 rows (the unit matmul is split by): blocks packed one by one lie behind each other as if they had been packed
 * together (tests/nn checks it for every ISA). So parts that share a type are one product, each can be replaced alone, and packing is split
 * over threads.
 */
#include <string.h>

#include "core/nn/ops/cpu.h"

enum { MOST_PARTS = 4, WORTH_WAKING = 1 << 20, ROWS_EACH = 64 /* of x, for a thread: from here on x is split, not W */ };

typedef struct {
  gsize rows, first;     /* first: row in the block, padded */
  EvoWeightType type;
  guint8 *packed;        /* in the matrix's block, or the part's own where its type is another */
  gsize n_own;           /* bytes; 0: in the block */
} Part;

struct EvoMatrix {
  EvoCpuQueue *queue;
  gsize n_cols, n_rows;  /* rows: of all parts, padded */
  guint n_parts;
  Part parts[MOST_PARTS];
  guint8 *block;         /* of the type that was loaded first; NULL: nothing yet */
  gsize n_block;
  EvoWeightType type;
};

EvoMatrix *
evo_cpu_matrix_new (EvoQueue *q, const gsize *rows, guint n_parts, gsize n_cols)
{
  EvoMatrix *m = g_new0 (EvoMatrix, 1);

  g_return_val_if_fail (n_parts <= MOST_PARTS, m);
  m->queue = (EvoCpuQueue *) q;
  m->n_cols = n_cols;
  m->n_parts = n_parts;
  for (guint i = 0; i < n_parts; i++) {
    m->parts[i] = (Part){ .rows = rows[i], .first = m->n_rows };
    m->n_rows += evo_padded (rows[i]);
  }
  return m;
}

static void
drop_own (EvoMatrix *m, Part *p)
{
  if (p->n_own > 0)
    evo_cpu_free (m->queue, p->packed, p->n_own);
  p->n_own = 0;
}

void
evo_cpu_matrix_free (EvoMatrix *m)
{
  if (m == NULL)
    return;
  for (guint i = 0; i < m->n_parts; i++)
    drop_own (m, &m->parts[i]);
  evo_cpu_free (m->queue, m->block, m->n_block);
  g_free (m);
}

/* ------------------------------------------------------------------ loading */

/* F64 and 8-bit floats have no packed form: they are widened or rounded to F32 first. */
static EvoWeightType
weight_type (EvoDtype d)
{
  return d == EVO_DTYPE_BF16 ? EVO_WEIGHT_BF16 : d == EVO_DTYPE_F16 ? EVO_WEIGHT_F16 : EVO_WEIGHT_F32;
}

/* Where a part of this type goes: the block, while it has that type, else memory of its own. */
static void
place_part (EvoMatrix *m, Part *p, EvoWeightType type)
{
  gsize n_block = m->queue->k->packed_bytes (type, EVO_BLOCK, m->n_cols), n = evo_padded (p->rows) / EVO_BLOCK * n_block;

  if (m->block == NULL) {
    m->type = type;
    m->n_block = m->n_rows / EVO_BLOCK * n_block;
    m->block = evo_cpu_alloc (m->queue, m->n_block);
  }
  if (p->n_own > 0 && p->type == type && type != m->type)
    return;
  drop_own (m, p);
  p->type = type;
  p->packed = m->block + p->first / EVO_BLOCK * n_block;
  if (type != m->type) {
    p->packed = evo_cpu_alloc (m->queue, n);
    p->n_own = n;
  }
}

typedef struct { EvoMatrix *m; Part *p; EvoDtype dtype; const guint8 *bytes; } Loading;

static void
pack_blocks (const EvoCpuCall *c, gsize from, gsize to, guint thread)
{
  const Loading *l = c->table;
  const EvoKernels *k = c->q->k;
  gsize n_cols = l->m->n_cols, row = n_cols * evo_dtype_size (l->dtype), n_block = k->packed_bytes (l->p->type, EVO_BLOCK, n_cols);
  gboolean convert = l->p->type == EVO_WEIGHT_F32 && l->dtype != EVO_DTYPE_F32;

  for (gsize b = from; b < to; b++) {
    const guint8 *w = l->bytes + b * EVO_BLOCK * row;
    gsize rows = MIN (EVO_BLOCK, l->p->rows - b * EVO_BLOCK), n = rows * n_cols;
    gsize wide = convert ? sizeof (float) : evo_dtype_size (l->dtype);
    guint8 *copy = NULL;

    if (convert || rows < EVO_BLOCK) {
      copy = evo_cpu_scratch (c->q, thread, EVO_BLOCK * n_cols * wide);
      if (convert)
        evo_dtype_to_f32 (k, (float *) copy, l->dtype, w, n);
      else
        memcpy (copy, w, n * wide);
      memset (copy + n * wide, 0, (EVO_BLOCK * n_cols - n) * wide);
    }
    k->pack (l->p->packed + b * n_block, copy != NULL ? copy : w, l->p->type, EVO_BLOCK, n_cols);
  }
}

void
evo_cpu_matrix_load (EvoQueue *q, EvoMatrix *m, guint part, EvoDtype dtype, gconstpointer bytes)
{
  Loading l = { m, &m->parts[part], dtype, bytes };
  EvoCpuCall c = { .q = (EvoCpuQueue *) q, .func = pack_blocks, .table = &l };

  place_part (m, l.p, weight_type (dtype));
  evo_cpu_split (&c, evo_padded (l.p->rows) / EVO_BLOCK, l.p->rows * m->n_cols / 4);
}

/* ------------------------------------------------------------------ the product */

typedef struct {
  EvoCpuQueue *q;
  float *y; gsize y_stride;
  const float *x; gsize x_stride;
  gsize m, n_rows, n_cols, n_pieces;
  const void *packed;
  EvoWeightType type;
  gboolean split_x;
} Product;

static void
multiply (const Product *p, gsize first, gsize m, gsize row0, gsize row1, guint thread)
{
  const EvoKernels *k = p->q->k;

  if (m > 0 && row0 < row1)
    k->matmul (p->y + first * p->y_stride, p->y_stride, p->x + first * p->x_stride, p->x_stride, m, p->packed, p->type, p->n_rows, p->n_cols,
               row0, row1, evo_cpu_scratch (p->q, thread, k->matmul_scratch (m, p->n_cols)));
}

static gboolean
multiply_piece (gpointer data, gint64 item, guint thread, GError **error)
{
  const Product *p = data;
  gsize i = (gsize) item, n = p->n_pieces;

  if (p->split_x) {
    gsize step = (p->m + n * 16 - 1) / (n * 16) * 16, from = MIN (i * step, p->m);

    multiply (p, from, MIN (step, p->m - from), 0, p->n_rows, thread);
  } else {
    gsize blocks = p->n_rows / EVO_BLOCK;

    multiply (p, 0, p->m, blocks * i / n * EVO_BLOCK, blocks * (i + 1) / n * EVO_BLOCK, thread);
  }
  return TRUE;
}

static void
run_product (Product *p)
{
  p->n_pieces = p->q->n_threads;
  p->split_x = p->m >= ROWS_EACH * p->n_pieces;
  if (p->n_pieces == 1 || p->m * p->n_rows * p->n_cols < WORTH_WAKING)
    multiply (p, 0, p->m, 0, p->n_rows, 0);
  else
    evo_pool_run (p->q->pool, p->n_pieces, multiply_piece, p, NULL);
}

/* Rows of the parts from i on that lie behind each other in the block. */
static gsize
run_of_parts (const EvoMatrix *w, guint i, guint end, guint *next)
{
  gsize rows = evo_padded (w->parts[i].rows);

  *next = i + 1;
  for (; w->parts[i].n_own == 0 && *next < end && w->parts[*next].n_own == 0; (*next)++)
    rows += evo_padded (w->parts[*next].rows);
  return rows;
}

void
evo_cpu_linear (EvoQueue *q, EvoView y, EvoView x, gsize n_rows, const EvoMatrix *w, guint first, guint n_parts, const EvoBuffer *bias)
{
  Product p = { .q = (EvoCpuQueue *) q, .y = evo_cpu_at (y), .y_stride = y.stride, .x = evo_cpu_at (x), .x_stride = x.stride, .m = n_rows,
                .n_cols = w->n_cols };
  gsize width = 0;

  for (guint i = first, next; i < first + n_parts; i = next) {
    p.n_rows = run_of_parts (w, i, first + n_parts, &next);
    p.packed = w->parts[i].packed;
    p.type = w->parts[i].type;
    run_product (&p);
    p.y += p.n_rows;
    width += p.n_rows;
  }
  for (gsize r = 0; bias != NULL && r < n_rows; r++)
    p.q->k->add (evo_cpu_at (y) + r * y.stride, bias->x + w->parts[first].first, width);
}
