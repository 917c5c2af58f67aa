/* SPDX-License-Identifier: Apache-2.0
 * models.h - the inside of EvoModels, and the steps by which a graph's models are laid out (private to this folder).
 *
 * models.c goes through the nodes in the graph's order: source.c, merge.c, a path's or an adapter's own files, search.c. Then genes.c gives the genes
 * their places, and selectors.c sees that nothing is said of tensors that are not there.
 */
#ifndef EVO_GRAPH_LAYOUT_MODELS_H
#define EVO_GRAPH_LAYOUT_MODELS_H

#include "core/graph/layout.h"

typedef struct {
  EvoLayout layout;      /* n = 0 for nodes that are no models */
  EvoStore *store;
  EvoCheckpoint *checkpoint;
  EvoStore **aux; guint n_aux; /* merge: [n_in], each may be NULL; NULL: the operator takes none */
  EvoLora *lora;         /* model.lora: its adapter */
  const EvoModelOp *op;  /* NULL: no plugin claims it: it can be merged, not run */
} EvoModel;

struct EvoModels {
  EvoGraph *graph;
  char *cards;
  EvoModel *models;      /* [n_nodes] */
  gint32 *n_layers;      /* [n_nodes] */
  guint n_nodes, n_genes;
};

/* --- source.c: opens the files at `path`, of a model.* node or of what a search found; then their layout. Errors: of the store. */
gboolean evo_source_open (EvoModels *m, const EvoNode *node, EvoModel *model, const char *path, GError **error);
void evo_source_layout (EvoModel *model, const EvoNode *node);
/* --- search.c: of a search that has not ended: its target's tensors, in the dtype they are saved in. */
void evo_search_layout (const EvoModels *m, const EvoNode *node, EvoLayout *out);
/* --- genes.c: gives every gene its dimensions, once the depths of models are known. Errors: of evo_gene_bind and evo_path_genes_bind. */
gboolean evo_models_bind_genes (EvoModels *m, GError **error);
gboolean evo_models_check_starts (const EvoModels *m, GError **error); /* EVO_GRAPH_ERROR_UNKNOWN: start_from names a gene that no search has */
/* --- selectors.c: EVO_GRAPH_ERROR_UNKNOWN naming the selector that matches nothing. */
gboolean evo_layout_check_dtypes (const EvoLayout *l, const EvoDtypes *d, GError **error);
gboolean evo_layout_check_values (const EvoModels *m, const EvoNode *node, GError **error); /* of a merge */

#endif
