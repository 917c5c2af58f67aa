/* SPDX-License-Identifier: Apache-2.0
 * layout.h - the tensors every model node has, known from headers alone; and the opened sources behind them.
 *
 * A merge has the tensors of its base, else of its first input; buffers are dropped, and where one input has an output matrix of its
 * own the result has one too: tied inputs lend their embedding.
 */
#ifndef EVO_GRAPH_LAYOUT_H
#define EVO_GRAPH_LAYOUT_H

#include "core/graph/graph.h"
#include "core/nn/checkpoint.h"
#include "core/store/store.h"

typedef struct {
  EvoShape shape;        /* name and dtype of the model's own file */
  EvoRole role;
  gint64 model_first;    /* elements of the model before it */
  gint32 *from;          /* merge: [n_in + 1] tensor of each input's layout, then of the base (-1: none, or not needed) */
  double factor;         /* layer path: what its numbers are multiplied by */
  gint32 stored;         /* source: index in the store */
} EvoLayoutTensor;

typedef struct { const EvoNode *source; gint32 layer; } EvoLayerOrigin; /* a layer of a model.* node */

typedef struct {
  EvoLayoutTensor *tensors; guint n; /* in name order, natural: layer 2 before layer 10 */
  gint32 n_layers;
  gint64 n_elements;
  gboolean untied;       /* the output matrix was added: config must say tie_word_embeddings false */
  const EvoNode *source; /* the model.* node whose configuration, and, without tokens, whose tokenizer this model has */
  gint64 n_rows;         /* of its embeddings, where config.json says another number; 0: as it says */
  struct EvoTokens *tokens; /* the vocabulary where "tokenizer" chose one, with its files; NULL: that of the source's folder */
  GArray *moved;         /* gint32: tokens of config.json in it, -1: gone; NULL: all are where they were */
  struct EvoGather *gather; /* merge: rows of its inputs by token; NULL: as they lie */
  char *chat_template;   /* NULL: that of the files */
  EvoLayerOrigin *layers; /* [n_layers] whose configuration each layer has, where a path put them in order; NULL: the source's own, in its order */
} EvoLayout;

/* --- layout/models.c */
typedef struct EvoModels EvoModels;
typedef struct EvoLora EvoLora; /* lora/lora.h */

/* Opens the headers of all sources and lays out every model node; binds the graph's genes to numbers of layers. */
EvoModels *evo_models_new (EvoGraph *graph, GError **error);
void evo_models_free (EvoModels *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoModels, evo_models_free)

EvoGraph *evo_models_get_graph (const EvoModels *m);
const EvoLayout *evo_models_get_layout (const EvoModels *m, const EvoNode *node);  /* a search's: its target's, in the dtype it is saved in */
EvoStore *evo_models_get_store (const EvoModels *m, const EvoNode *node);          /* model.*, or a finished search; else NULL */
/* The file that input e of a merge names by the operator's TENSORS parameter; NULL: none. */
EvoStore *evo_models_get_aux (const EvoModels *m, const EvoNode *node, guint e);
const EvoLora *evo_models_get_lora (const EvoModels *m, const EvoNode *node);      /* the adapter of a model.lora node; NULL: it is none */
/* Where the node's configuration and tokenizer files lie: its directory, or that of its file where config.json is there; NULL: nowhere. Owned. */
char *evo_models_dup_folder (const EvoModels *m, const EvoNode *node);
guint evo_models_get_n_genes (const EvoModels *m);                                  /* length of the graph-wide vector */
const gint32 *evo_models_get_n_layers (const EvoModels *m);                         /* [n_nodes] */
/* What a decoder needs to run the model; FALSE: its architecture cannot be run (says why, EVO_GRAPH_ERROR_PORT). */
gboolean evo_models_get_decoder (const EvoModels *m, const EvoNode *node, EvoDecoderSpec *spec, GError **error);
void evo_models_swap_layout (EvoModels *m, const EvoNode *node, EvoLayout *with); /* each gets what the other had */
/* The model node whose tensors a search or model node stands for. */
const EvoNode *evo_node_model (const EvoNode *node);

/* --- layout/genes.c */
double *evo_models_new_vector (const EvoModels *m); /* start values of all genes (owned) */

/* --- layout/search.c: the best model of a search now lies at `path`: later stages read it. Errors: of the store, or CHANGED where its tensors are
 * not the target's. */
gboolean evo_models_finish_search (EvoModels *m, const EvoNode *search, const char *path, GError **error);

/* --- layout/tensors.c */
void evo_layout_clear (EvoLayout *l);  /* frees what it holds */
void evo_layout_order (EvoLayout *l);  /* sorts the tensors by name and counts elements */
/* dtype a tensor of node has when node stands at the end of its stage: `as` (NULL or not given: the layout's). Non-float tensors keep theirs. */
EvoDtype evo_layout_dtype (const EvoLayoutTensor *t, const EvoDtypes *as);

/* --- layout/merge.c */
/* Lays out a merge whose inputs are laid out. EVO_GRAPH_ERROR_SHAPE: a tensor is missing, extra, of another shape or kind. */
gboolean evo_layout_merge (EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error);

/* --- merge/aux.c: opens the files of the TENSORS parameter of a merge that is laid out; *out is [n_in], left as it is where the operator has none.
 * Errors: of the store; EVO_GRAPH_ERROR_SHAPE: a tensor is missing, of another shape or no floating point. */
gboolean evo_aux_open (const EvoModels *m, const EvoNode *node, EvoStore ***out, GError **error);

#endif
