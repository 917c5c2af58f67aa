/* SPDX-License-Identifier: Apache-2.0
 * card.h - architecture cards: which tensor names play which role. One JSON file for each model_type, models/cards/MODEL_TYPE.json:
 *
 *     {
 *       "model_type": "llama",                                          as in config.json, and the file's name
 *       "note": "anything",
 *       "tensors": {
 *         "model.embed_tokens.weight":                    "embed",
 *         "model.layers.{layer}.self_attn.q_proj.weight": "attention q",
 *         "model.layers.{layer}.self_attn.rotary_emb.inv_freq": "buffer"
 *       }
 *     }
 *
 * A member of "tensors" is a pattern and what its tensors are. In a pattern "{layer}" stands for a layer's number in decimal, the rest is
 * literal; the first pattern that fits counts. What they are is "ROLE", "ROLE SLOT" or "ROLE SLOT MODULE":
 *   ROLE    embed | head | final_norm | norm | attention | mlp | buffer | other: what selectors (@attn) and gradients go by; a buffer is dropped
 *   SLOT    the forward pass's own name for the weight, at most 23 bytes. A decoder knows q k v o gate up down norm_1 norm_2, each matrix with
 *           "_bias", and embed head final_norm (which are their role's slot where none is said). Tensors without a slot are merged, never run.
 *   MODULE  which of a model's parts it belongs to, where there are several ("vision"); none for a plain language model
 *
 * A new architecture whose pass is the decoder's is a new card, no code.
 */
#ifndef EVO_NN_CARD_H
#define EVO_NN_CARD_H

#include "core/abi/evopipe-model.h"
#include "core/base/json.h"

typedef struct EvoCard EvoCard;
/* EVO_STORE_ERROR OPEN, FORMAT. Thread-safe afterwards. */
EvoCard *evo_card_open (const char *path, GError **error);
void evo_card_free (EvoCard *card);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoCard, evo_card_free)
const char *evo_card_get_name (const EvoCard *card);  /* the model_type it is for */
/* FALSE: no pattern fits (role is OTHER). Layers are numbers below 100000, without leading zeros. */
gboolean evo_card_role (const EvoCard *card, const char *tensor, EvoRole *out);

#endif
