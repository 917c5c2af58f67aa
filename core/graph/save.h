/* SPDX-License-Identifier: Apache-2.0
 * save.h - writes a model node as an ordinary Hugging Face directory, whole or not at all.
 */
#ifndef EVO_GRAPH_SAVE_H
#define EVO_GRAPH_SAVE_H

#include "core/graph/merge/merge.h"

typedef struct {
  const char *path;       /* the directory to be */
  gboolean replace;
  const EvoDtypes *dtype; /* NULL or not given: the layout's */
  guint64 shard_bytes;    /* 0: 5e9 */
  const char *recipe;     /* evopipe.json: the gene-free pipeline that makes the same bytes */
  const char *scores;     /* lines of a Markdown table for the card, or NULL */
  const char *export_error; /* of a layer path: how far it is from what was searched, a sentence for the card, or NULL */
  double *sync_seconds;   /* out: how long of it was waiting for the disk; NULL: not wanted */
} EvoSaveOptions;

/* Tensors are computed and written slice by slice; configuration, tokenizer, chat template and custom code come from the layout's source. */
gboolean evo_save_model (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *options, GError **error);
/* The model card: no date, the same for the same recipe. Owned. */
char *evo_model_card (EvoModels *models, const EvoNode *node, const EvoSaveOptions *options);
/* Of the tensors, in the layout that the node is saved in; of a path that is searched: at most. */
guint64 evo_saved_bytes (EvoModels *models, const EvoNode *node, const EvoDtypes *as);
guint evo_saved_tensors (EvoModels *models, const EvoNode *node);  /* how many */

#endif
