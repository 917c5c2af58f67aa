/* SPDX-License-Identifier: Apache-2.0
 * ops.h - the table of operations that forward passes are written against, over opaque buffers of a device.
 *
 * Operations are put into a queue and run in that order; one thread at a time uses a queue, and a device may have many. What a queue computes
 * for a row depends on that row alone, bit for bit: not on the other rows of the call, nor on how the work is split. cpu.c is the first
 * implementation of the table.
 */
#ifndef EVO_NN_OPS_H
#define EVO_NN_OPS_H

#include "core/base/pool.h"
#include "core/tensor/dtype.h"

typedef struct EvoBuffer EvoBuffer; /* floats: activations, norm weights, tables, caches */
typedef struct EvoMatrix EvoMatrix; /* weights [rows][cols] in the device's own layout; made of parts that lie below each other */
typedef struct EvoTable EvoTable;   /* weights whose single rows are looked up, as stored */
typedef struct EvoOps EvoOps;
typedef struct { const EvoOps *ops; } EvoQueue; /* what every implementation's queue begins with */

typedef struct { EvoBuffer *of; gsize first, stride; } EvoView; /* row r begins at element first + r stride */
typedef struct { gint32 id; guint32 slot, position; } EvoToken; /* one row of a batch: its token and its place in the cache */
typedef struct EvoCache EvoCache;                               /* cache.h */

/* How many columns of an output `rows` weight rows take: parts begin at multiples of this, the rest of the last block is set to 0. */
enum { EVO_BLOCK = 64 };
static inline gsize
evo_padded (gsize n)
{
  return (n + EVO_BLOCK - 1) / EVO_BLOCK * EVO_BLOCK;
}

struct EvoOps {
  const char *name;

  EvoBuffer *(*buffer_new) (EvoQueue *q, gsize n); /* contents undefined */
  void (*buffer_free) (EvoBuffer *b);              /* NULL: nothing */
  void (*write) (EvoQueue *q, EvoBuffer *b, gsize first, const float *x, gsize n);
  /* Waits for the queue; rows of a view as the host can read them, row r at r * stride, valid until the next operation. */
  const float *(*map) (EvoQueue *q, EvoView x, gsize n_rows);

  /* Parts with rows[i] rows each; a part is loaded from row-major stored elements of a float type, whenever and as often as wanted. */
  EvoMatrix *(*matrix_new) (EvoQueue *q, const gsize *rows, guint n_parts, gsize n_cols);
  void (*matrix_free) (EvoMatrix *m);
  void (*matrix_load) (EvoQueue *q, EvoMatrix *m, guint part, EvoDtype dtype, gconstpointer bytes);
  EvoTable *(*table_new) (EvoQueue *q, gsize n_rows, gsize n_cols);
  void (*table_free) (EvoTable *t);
  void (*table_load) (EvoQueue *q, EvoTable *t, EvoDtype dtype, gconstpointer bytes);

  /* y[r] = table[tokens[r].id] */
  void (*look_up) (EvoQueue *q, EvoView y, const EvoTable *t, const EvoToken *tokens, gsize n_rows);
  /* y[r] = x[index[r]], n columns */
  void (*take) (EvoQueue *q, EvoView y, EvoView x, const guint32 *index, gsize n_rows, gsize n);
  /* y[r] = W x[r] + bias, W the parts first .. first + n_parts - 1; part p's columns begin at the sum of the padded rows of those before it in
   * this range. bias: NULL, or laid out as the whole matrix's output. */
  void (*linear) (EvoQueue *q, EvoView y, EvoView x, gsize n_rows, const EvoMatrix *w, guint first, guint n_parts, const EvoBuffer *bias);
  /* x = scale x, y = norm of that; scale 1: x is left alone */
  void (*rms_norm) (EvoQueue *q, EvoView y, EvoView x, double scale, const EvoBuffer *w, double eps, gsize n_rows, gsize n);
  void (*add) (EvoQueue *q, EvoView y, EvoView x, double scale, gsize n_rows, gsize n);       /* y += scale x */
  void (*silu_mul) (EvoQueue *q, EvoView y, EvoView gate, EvoView up, gsize n_rows, gsize n); /* y = silu (gate) up */
  /* x [n_heads][head_dim] per row, turned by row tokens[r].position of cos and sin [positions][head_dim / 2] */
  void (*rope) (EvoQueue *q, EvoView x, const EvoBuffer *cos, const EvoBuffer *sin, const EvoToken *tokens, gsize n_rows, gsize n_heads,
                gsize head_dim);

  /* cache, layer: keys and values of the rows go to their places */
  void (*keep) (EvoQueue *q, const EvoCache *c, gsize layer, EvoView k, EvoView v, const EvoToken *tokens, gsize n_rows);
  /* positions first .. first + n - 1 of one slot become those of another */
  void (*share) (EvoQueue *q, const EvoCache *c, gsize layer, guint32 from, guint32 to, gsize first, gsize n);
  /* y, x [n_heads][head_dim] per row: attention of x over the row's slot, up to its own position; window 0: all of it */
  void (*attend) (EvoQueue *q, EvoView y, EvoView x, const EvoCache *c, gsize layer, const EvoToken *tokens, gsize n_rows, gsize n_heads,
                  gsize window, double scale);

  void (*argmax) (EvoQueue *q, EvoView x, gsize n_rows, gsize n, guint32 *out);      /* lowest index on ties */
  void (*log_sum_exp) (EvoQueue *q, EvoView x, gsize n_rows, gsize n, double *out);

  guint64 (*bytes) (EvoQueue *q); /* memory that the queue's scratch and everything made through it take */
  void (*free) (EvoQueue *q);
};

static inline void
evo_queue_free (EvoQueue *q)
{
  if (q != NULL)
    q->ops->free (q);
}

/* pool NULL: everything on the calling thread; else an operation that is large enough is split over it. */
EvoQueue *evo_cpu_queue_new (const EvoKernels *k, EvoPool *pool);

#endif
