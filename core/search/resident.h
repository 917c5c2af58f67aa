/* SPDX-License-Identifier: Apache-2.0
 * resident.h - one model in memory, refilled in place for every candidate; nothing goes through the disk.
 */
#ifndef EVO_SEARCH_RESIDENT_H
#define EVO_SEARCH_RESIDENT_H

#include "core/graph/merge/merge.h"
#include "core/nn/text-model.h"

typedef struct EvoResident EvoResident;

/* For models laid out like `node` (its shapes, configuration and tokenizer). Borrowed: all arguments. */
EvoResident *evo_resident_new (EvoModels *models, const EvoNode *node, const EvoKernels *k, EvoPool *pool, GError **error);
void evo_resident_free (EvoResident *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoResident, evo_resident_free)
/* Computes every tensor of `node` under `c`, rounded to what a file would hold (`as`: the dtype a save asks for, or NONE). */
gboolean evo_resident_fill (EvoResident *r, EvoMergeContext *c, const EvoNode *node, const EvoDtypes *as, GError **error);
/* What a searched path through n_held layers, of models like spec, keeps of hidden states at most. */
guint64 evo_resident_prefix_bytes (const EvoDecoderSpec *spec, gsize n_held);
EvoTextModel *evo_resident_get_text (EvoResident *r);

#endif
