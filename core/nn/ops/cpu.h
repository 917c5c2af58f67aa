/* SPDX-License-Identifier: Apache-2.0
 * cpu.h - what the files of the CPU's operations share: its queue, scratch memory, and how rows are split over threads.
 */
#ifndef EVO_NN_OPS_CPU_H
#define EVO_NN_OPS_CPU_H

#include "core/nn/ops/cache.h"
#include "core/nn/ops/ops.h"

typedef struct { void *bytes; gsize n; } EvoScratch;

typedef struct {
  EvoQueue base;
  const EvoKernels *k;
  EvoPool *pool;        /* NULL: the calling thread only */
  guint n_threads;
  EvoScratch *scratch;  /* [n_threads] */
  guint64 bytes;        /* atomic */
} EvoCpuQueue;

struct EvoBuffer { float *x; gsize n; EvoCpuQueue *queue; };

/* One operation's operands; each uses some of them. */
typedef struct EvoCpuCall EvoCpuCall;
typedef void (*EvoCpuFunc) (const EvoCpuCall *c, gsize from, gsize to, guint thread);
struct EvoCpuCall {
  EvoCpuQueue *q;
  EvoCpuFunc func;      /* does the units from .. to - 1 */
  gsize n_units, n_pieces;
  float *y; gsize y_stride;
  const float *x; gsize x_stride;
  const float *z; gsize z_stride;
  gsize n_rows, n, n_heads, layer, window;
  const EvoToken *tokens;
  const EvoCache *cache;
  const float *cos, *sin, *w;
  double scale;         /* of scores; eps of norms */
  double factor;        /* of the row that is added or normed */
  const guint32 *index;
  gpointer out;
  gconstpointer table;
};

/* --- cpu.c */
void *evo_cpu_alloc (EvoCpuQueue *q, gsize n);               /* 64-byte aligned; counted */
void evo_cpu_free (EvoCpuQueue *q, void *bytes, gsize n);
void *evo_cpu_scratch (EvoCpuQueue *q, guint thread, gsize n); /* the thread's own, until its next call */
/* Runs c->func over all units: in pieces on the pool where `work` (elementary operations in all) is worth waking it. */
void evo_cpu_split (EvoCpuCall *c, gsize n_units, gsize work);

/* --- cpu-linear.c */
EvoMatrix *evo_cpu_matrix_new (EvoQueue *q, const gsize *rows, guint n_parts, gsize n_cols);
void evo_cpu_matrix_free (EvoMatrix *m);
void evo_cpu_matrix_load (EvoQueue *q, EvoMatrix *m, guint part, EvoDtype dtype, gconstpointer bytes);
void evo_cpu_linear (EvoQueue *q, EvoView y, EvoView x, gsize n_rows, const EvoMatrix *w, guint first, guint n_parts, const EvoBuffer *bias);

/* --- cpu-attend.c */
void evo_cpu_keep (EvoQueue *q, const EvoCache *c, gsize layer, EvoView k, EvoView v, const EvoToken *tokens, gsize n_rows);
void evo_cpu_share (EvoQueue *q, const EvoCache *c, gsize layer, guint32 from, guint32 to, gsize first, gsize n);
void evo_cpu_attend (EvoQueue *q, EvoView y, EvoView x, const EvoCache *c, gsize layer, const EvoToken *tokens, gsize n_rows, gsize n_heads,
                     gsize window, double scale);

static inline float *
evo_cpu_at (EvoView v)
{
  return v.of->x + v.first;
}

#endif
