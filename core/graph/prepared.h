/* SPDX-License-Identifier: Apache-2.0
 * prepared.h - the inside of a prepared tensor, shared by the files that prepare, measure and read it.
 */
#ifndef EVO_GRAPH_PREPARED_H
#define EVO_GRAPH_PREPARED_H

#include "core/graph/merge.h"

struct EvoPrepared {
  EvoMergeContext *c;
  const EvoNode *node;
  const EvoLayoutTensor *layout;
  const EvoMergeOp *op;         /* NULL: read from the store */
  EvoStore *store; guint stored;
  EvoDtype round;               /* an inner node with a dtype rounds before it is read; NONE: no */
  EvoTensor tensor;
  EvoPrepared **in;             /* [n_in + 1], the last is the base, may be NULL */
  guint n_in;
  gpointer params; gpointer *in_params; guint64 *seeds;
  guint32 scope;
  guint n_cuts; float *cut; gint64 *last_tie;
  double *coef; guint n_coef;   /* ROW: n_coef doubles a row */
  gsize slice;                  /* elements of a slice: EVO_SLICE, whole rows, or the tensor */
  gsize scratch_each;           /* operator's scratch, bytes */
  char **scratch;               /* [n_threads] op scratch and input slices */
  float *whole;                 /* BY_TENSOR: the computed tensor */
};

/* Fills the call for [first, first + n) with inputs read into the thread's scratch; out is the caller's. */
gboolean evo_prepared_call (EvoPrepared *p, guint thread, gint64 first, gsize n, EvoMergeCall *call, GError **error);
/* A call without data, for n_sums, rank, n_coef, solve. */
void evo_prepared_bare_call (EvoPrepared *p, EvoMergeCall *call);
gint64 evo_prepared_n_slices (const EvoPrepared *p);
/* cuts.c: exact k-th largest keys of this tensor, or (MODEL) of several. */
gboolean evo_prepared_cuts (EvoPrepared *const *ps, guint n, GError **error);
/* sums.c: measure passes and solve. */
gboolean evo_prepared_sums (EvoPrepared *const *ps, guint n, GError **error);
/* Sums of a tensor kept by the memo; NULL: none yet. */
const double *evo_memo_get (EvoMemo *memo, const EvoNode *node, const char *tensor);
void evo_memo_set (EvoMemo *memo, const EvoNode *node, const char *tensor, const double *coef, guint n);

#endif
