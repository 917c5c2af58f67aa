/* SPDX-License-Identifier: Apache-2.0
 * checkpoint.h - a store as model plugins see it: the EvoCheckpoint table over headers, config.json and architecture cards.
 */
#ifndef EVO_NN_CHECKPOINT_H
#define EVO_NN_CHECKPOINT_H

#include "core/abi/evopipe-model.h"
#include "core/store/store.h"

/* Takes a reference on the store. `cards`: the folder of models/cards. The card of the checkpoint's own model_type is read here: a malformed
 * one is EVO_STORE_ERROR_FORMAT; another's when it is first asked for (malformed: a warning, and as if there were none). EvoTensors have name
 * and shape; layer is -1, model_first 0. For one thread at a time. */
EvoCheckpoint *evo_checkpoint_new (EvoStore *store, const char *cards, GError **error);
void evo_checkpoint_free (EvoCheckpoint *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoCheckpoint, evo_checkpoint_free)

#endif
