/* SPDX-License-Identifier: Apache-2.0
 * prepared.h - the inside of a prepared tensor, shared by the files that prepare, measure and read it.
 */
#ifndef EVO_GRAPH_PREPARED_H
#define EVO_GRAPH_PREPARED_H

#include "core/graph/merge/merge.h"

/* A tensor that is made of others without an operator: read [first, first + n) from p->in[] and data, as fp32. */
typedef struct {
  gboolean (*read) (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error);
  void (*free) (gpointer data);   /* NULL: data is borrowed */
  gboolean (*check) (const EvoPrepared *p, GError **error); /* evo_prepared_check_sources of what it reads beside p->in[]; NULL: nothing */
} EvoView;

struct EvoPrepared {
  EvoMergeContext *c;
  const EvoNode *node;
  const EvoLayoutTensor *layout;
  const EvoMergeOp *op;         /* NULL: read from the store, or */
  const EvoView *view; gpointer view_data; /* a view of in[]; NULL: none */
  EvoStore *store; guint stored;
  EvoDtype compat_round;        /* first, as mergekit rounds it, whatever is said of the node's dtype; NONE: no */
  EvoDtype round;               /* an inner node with a dtype rounds before it is read; NONE: no */
  gboolean allow_nonfinite;     /* of this source, or of one that it is made of: nothing is said of NaN and infinities */
  EvoTensor tensor;
  EvoPrepared **in;             /* [n_in + 1], the last is the base, may be NULL */
  guint n_in;
  gint *aux;                    /* [n_in] tensor of each input's aux store, -1: it names none or (aux_shape) has none; NULL: none is named */
  gpointer params; gpointer *in_params; guint64 *seeds;
  guint32 scope;
  guint n_cuts; float *cut; gint64 *last_tie;
  double *coef; guint n_coef;   /* ROW: n_coef doubles a row */
  gsize slice;                  /* elements of a slice: EVO_SLICE, whole rows, or the tensor */
  gsize scratch_bytes;          /* of the operator, for one slice */
  float *whole;                 /* BY_TENSOR: the computed tensor */
};

/* Fills the call for [first, first + n) with inputs read into the thread's scratch, which the caller gives back (evo_prepared_mark before);
 * out is the caller's. */
gboolean evo_prepared_call (EvoPrepared *p, guint thread, gint64 first, gsize n, EvoMergeCall *call, GError **error);
/* Row r of a call over whole rows; in and aux [n_in] are where its pointers are put. */
void evo_prepared_row (const EvoPrepared *p, const EvoMergeCall *whole, gsize r, const float **in, const float **aux, EvoMergeCall *row);
EvoScratchMark evo_prepared_mark (const EvoPrepared *p, guint thread);
void evo_prepared_release (EvoPrepared *p, guint thread, EvoScratchMark mark);
/* A call without data, for n_sums, rank, n_coef, solve. */
void evo_prepared_bare_call (EvoPrepared *p, EvoMergeCall *call);
gint64 evo_prepared_n_slices (const EvoPrepared *p);
/* slices.c: EVO_STORE_ERROR_CHANGED where a file that p is made of is not what it was when it was opened. */
gboolean evo_prepared_check_sources (const EvoPrepared *p, GError **error);
/* slices.c: the operator's merge of a call, row by row where each row has its own sums. */
gboolean evo_prepared_merge (EvoPrepared *p, EvoMergeCall *call, GError **error);
/* prepare.c: PARAMS: parameters and geometry, from which nothing can be read; INPUTS: ready to be measured; ALL: ready to be read. */
typedef enum { EVO_PREPARE_PARAMS, EVO_PREPARE_INPUTS, EVO_PREPARE_ALL } EvoPrepareDepth;
EvoPrepared *evo_prepare_to (EvoMergeContext *c, const EvoNode *node, guint t, EvoPrepareDepth depth, GError **error);
/* Input e of a merge, ready to be read, rounded as the node wants it; n_in: the base. */
gboolean evo_prepare_input (EvoPrepared *p, guint e, GError **error);
/* view-layers.c: a tensor of a layer path. Below what reads it as it is: the tensor itself, where no factor and no rounding lies between. */
gboolean evo_prepare_layers (EvoPrepared *p, GError **error);
EvoPrepared *evo_prepared_unscaled (EvoPrepared *p);
void evo_describe_tensor (EvoTensor *t, const EvoLayout *layout, guint i);
/* aux.c: what the TENSORS file of an operator with aux_shape holds for `t`, its elements counted; FALSE: nothing is needed. */
gboolean evo_aux_shape (const EvoMergeOp *op, const EvoTensor *t, EvoShape *out);
/* cuts.c: exact k-th largest keys of this tensor, or (MODEL) of several. */
gboolean evo_prepared_cuts (EvoPrepared *const *ps, guint n, GError **error);
/* sums.c: measure passes and solve of one tensor. */
gboolean evo_prepared_sums (EvoPrepared *p, GError **error);
guint evo_prepared_n_sums (EvoPrepared *p, guint pass);
/* Appends to sums (of double) those of all passes over the tensors ps[], joined. */
gboolean evo_prepared_measure (EvoPrepared *const *ps, guint n, GArray *sums, GError **error);
gboolean evo_prepared_solve (EvoPrepared *p, const double *sums, guint n_sums, GError **error);
/* Whether no gene changes the sums (and keys, and what is made of either) of p: they may be kept for a whole search. */
gboolean evo_prepared_is_fixed (const EvoPrepared *p);
/* over-model.c: gives p the cuts and sums of its whole model, or its own sums and the model's figures, and coefficients of its own from them. */
gboolean evo_prepared_over_model (EvoPrepared *p, GError **error);
void evo_over_model_free (gpointer over_model);
/* Sums of a tensor kept by the memo; NULL: none yet. */
const double *evo_memo_get (EvoMemo *memo, const EvoNode *node, const char *tensor);
void evo_memo_set (EvoMemo *memo, const EvoNode *node, const char *tensor, const double *coef, guint n);

#endif
