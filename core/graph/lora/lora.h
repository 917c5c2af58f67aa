/* SPDX-License-Identifier: Apache-2.0
 * lora.h - adapters of low rank: a directory as PEFT writes it, found to fit a base from headers alone, and read as changes of its tensors.
 *
 * W' = W + scale * scaling * B A, scaling = lora_alpha / r, with rsLoRA lora_alpha / sqrt r (Kalajdzievski 2023); DoRA (Liu et al. 2024) then gives
 * each row of W', of an embedding each column, the length its magnitude says. Tensors an adapter holds whole take the base's place: W + scale (saved - W).
 */
#ifndef EVO_GRAPH_LORA_H
#define EVO_GRAPH_LORA_H

#include "core/graph/merge/prepared.h"

/* --- adapter.c */
/* The adapter of a model.lora node that is laid out, its base's tensors being the layout's. Errors: of the store; EVO_GRAPH_ERROR_SHAPE: a tensor
 * belongs to none of the base's, or is of a shape that does not fit it. */
EvoLora *evo_lora_open (const EvoLayout *l, const EvoNode *node, GError **error);
void evo_lora_free (EvoLora *lora);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoLora, evo_lora_free)
EvoStore *evo_lora_get_store (const EvoLora *lora);       /* the adapter's tensors */
char *evo_lora_dup_folder (const EvoLora *lora);          /* owned */
const char *evo_lora_get_config (const EvoLora *lora);    /* path of its adapter_config.json */
guint64 evo_lora_bound (const EvoLora *lora);             /* bytes that applying it holds besides slices: its matrices in fp32 */
/* --- view.c: makes p, whose parameters and base are prepared, a view of the base with the adapter's change. */
gboolean evo_lora_prepare (EvoPrepared *p, GError **error);

#endif
