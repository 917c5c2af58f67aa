/* SPDX-License-Identifier: Apache-2.0
 * merge.h - computes the tensors of model nodes, slice by slice, on demand.
 *
 * Preparing a tensor resolves parameters, runs the operator's passes (exact k-th keys, sums) and prepares the inputs; then any slice of it
 * can be read, by any thread. Slices are 65536 elements on the tensor's own grid (whole rows for operators by row), so results depend on
 * neither threads nor who asks.
 */
#ifndef EVO_GRAPH_MERGE_H
#define EVO_GRAPH_MERGE_H

#include "core/base/pool.h"
#include "core/graph/layout.h"
#include "core/graph/merge/scratch.h"

enum { EVO_SLICE = 64 * 1024 }; /* elements; never a function of the number of threads */

typedef struct EvoMemo EvoMemo; /* sums that no gene changes (MEASURE_FIXED), kept for a whole search */
EvoMemo *evo_memo_new (void);
void evo_memo_free (EvoMemo *memo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoMemo, evo_memo_free)

/* What a model is computed under: one candidate. All but over_model and scratch is borrowed. */
typedef struct {
  EvoModels *models;
  const EvoKernels *k;
  EvoPool *pool;
  const double *x;        /* graph-wide genes, simplexes applied */
  gint64 trial;           /* mixed into the masks of nodes with masks_per_trial; -1: none */
  EvoMemo *memo;          /* may be NULL */
  GHashTable *over_model; /* node -> sums, cuts and figures over the whole model; made on demand */
  EvoScratch **scratch;   /* [threads of the pool] */
} EvoMergeContext;
void evo_merge_context_init (EvoMergeContext *c, EvoModels *models, const EvoKernels *k, EvoPool *pool, const double *x, gint64 trial,
                             EvoMemo *memo);
void evo_merge_context_clear (EvoMergeContext *c);

typedef struct EvoPrepared EvoPrepared; /* one tensor of one model node, ready to be read */

/* Errors are prefixed "node: tensor: ". `t` is the tensor's index in the node's layout. Runs on the pool: not from inside one of its items. */
EvoPrepared *evo_prepare (EvoMergeContext *c, const EvoNode *node, guint t, GError **error);
void evo_prepared_free (EvoPrepared *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoPrepared, evo_prepared_free)
/* Elements [first, first + n) as fp32, before the last rounding; n <= EVO_SLICE. Thread-safe; `thread` names the caller's scratch. */
gboolean evo_prepared_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error);

/* The whole tensor in `dtype`, handed to `sink` in slices (any order, several threads); non-float tensors are copied, and must be equal in
 * all inputs. Non-finite results are an error: NONFINITE naming the source that has them, else EVO_PLUGIN_ERROR_NUMERIC. */
typedef gboolean (*EvoSink) (gpointer data, guint64 offset_bytes, gconstpointer bytes, gsize n_bytes, GError **error);
gboolean evo_materialize (EvoMergeContext *c, const EvoNode *node, guint t, EvoDtype dtype, EvoSink sink, gpointer data, GError **error);
/* Whether tensors that are cut or measured as one model agree, whatever values the genes take: EVO_PLUGIN_ERROR_PARAM. Reads no weights. */
gboolean evo_merge_check (EvoModels *models, const EvoNode *node, GError **error);
/* Upper bound of what computing `node` holds besides its output, in bytes: slices of `threads` threads, the operators' scratch, and
 * sums that are kept for a whole model. */
guint64 evo_merge_bound (const EvoModels *models, const EvoNode *node, guint threads);

#endif
