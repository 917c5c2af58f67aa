/* SPDX-License-Identifier: Apache-2.0
 * card.h - architecture cards (models/cards/ARCH.json): which tensor names play which role; and the decoder spec a config.json means.
 */
#ifndef EVO_NN_CARD_H
#define EVO_NN_CARD_H

#include "core/abi/evopipe-model.h"
#include "core/base/json.h"

typedef struct EvoCard EvoCard;
EvoCard *evo_card_open (const char *path, GError **error);
void evo_card_free (EvoCard *card);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoCard, evo_card_free)
const char *evo_card_get_name (const EvoCard *card);  /* the model_type it is for */
/* Patterns: "{layer}" stands for a decimal layer number, the rest is literal. FALSE: no pattern fits (role is OTHER). */
gboolean evo_card_role (const EvoCard *card, const char *tensor, EvoRole *out);

#endif
