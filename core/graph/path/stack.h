/* SPDX-License-Identifier: Apache-2.0
 * stack.h - a path while it is laid out: its inputs by layer, its hops, and the tensors it has got so far. Private to this folder.
 */
#ifndef EVO_GRAPH_PATH_STACK_H
#define EVO_GRAPH_PATH_STACK_H

#include "core/graph/path/path.h"

typedef struct {
  const EvoLayout *l;
  gint32 *layer;        /* [l->n] of each tensor; -1: none */
  GArray **layers;      /* [l->n_layers] of guint: tensors of each layer */
} EvoStackInput;

typedef struct {
  EvoModels *m;
  const EvoNode *node;
  const EvoPathHop *hops; guint n_hops;
  EvoPathFold fold;
  EvoStackInput *inputs; /* [n_in] */
  guint embed, head;    /* inputs that what lies outside the layers comes from */
  GArray *tensors;      /* EvoLayoutTensor of the result */
  EvoLayout *out;
} EvoStack;

/* --- stack.c */
void evo_stack_index (EvoStack *s);   /* inputs, of node */
void evo_stack_clear (EvoStack *s);
/* EVO_GRAPH_ERROR_SHAPE: "where: hop N: ..."; FALSE. */
gboolean evo_stack_refuse (const EvoStack *s, guint hop, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);
const char *evo_stack_name (const EvoStack *s, guint input);
const EvoJson *evo_stack_config (const EvoStack *s, guint input);   /* config.json of an input; NULL: none */
gint32 evo_stack_find_role (const EvoLayout *l, guint32 kind);      /* the first tensor of that kind; -1: none */
const EvoLayoutTensor *evo_stack_tensor (const EvoStack *s, guint input, gint32 layer, guint i);
/* The tensor of a layer that plays the part of t, which is of layer `own`; NULL: none. */
const EvoLayoutTensor *evo_stack_counterpart (const EvoStack *s, guint input, gint32 layer, const EvoLayoutTensor *t, gint32 own);
char *evo_stack_rename_layer (const char *name, gint32 from, gint32 to); /* owned; NULL: the name has no such number */
/* A tensor of input e as the result has it, in the dtype of the first input's tensor `like`; NULL: in its own. Takes name. */
EvoLayoutTensor *evo_stack_add_tensor (EvoStack *s, guint e, const EvoLayoutTensor *from, char *name, gint32 layer, const EvoLayoutTensor *like,
                                       double factor);

/* --- alike.c: of every hop, that its layer is like one of the first input's and is computed with the same numbers */
gboolean evo_stack_check_hops (const EvoStack *s, GError **error);

/* --- vocabulary.c: that the hop's model has the tokens of the first input */
gboolean evo_stack_check_vocabulary (const EvoStack *s, guint hop, GError **error);

/* --- outer.c: adds what lies outside the layers */
gboolean evo_stack_add_outers (EvoStack *s, GError **error);

#endif
