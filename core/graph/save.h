/* SPDX-License-Identifier: Apache-2.0
 * save.h - writes a model node as an ordinary Hugging Face directory, whole or not at all.
 */
#ifndef EVO_GRAPH_SAVE_H
#define EVO_GRAPH_SAVE_H

#include "core/graph/merge/merge.h"

typedef struct {
  const char *path;       /* the directory to be */
  gboolean replace;
  EvoDtype dtype;         /* NONE: the layout's */
  guint64 shard_bytes;    /* 0: 5e9 */
  const char *recipe;     /* evopipe.json: the gene-free pipeline that makes the same bytes */
  const char *scores;     /* lines of a Markdown table for the card, or NULL */
} EvoSaveOptions;

/* Tensors are computed and written slice by slice; configuration, tokenizer, chat template and custom code come from the layout's source. */
gboolean evo_save_model (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *options, GError **error);
/* The model card: no date, the same for the same recipe. Owned. */
char *evo_model_card (EvoModels *models, const EvoNode *node, const EvoSaveOptions *options);
guint64 evo_saved_bytes (EvoModels *models, const EvoNode *node, EvoDtype dtype); /* of the tensors */

#endif
