/* SPDX-License-Identifier: Apache-2.0
 * tokens.h - the tokenizer and chat template of a recipe's result.
 */
#ifndef EVO_GRAPH_RECIPE_TOKENS_H
#define EVO_GRAPH_RECIPE_TOKENS_H

#include "core/graph/recipe/read.h"

/* tokenizer, tokenizer_source and chat_template, as members of the merge that w is in. names: as in evo_recipe_write_merge. */
gboolean evo_recipe_write_tokens (EvoRecipe *r, const EvoRecipeStage *s, char *const *names, EvoJsonWriter *w, GError **error);

#endif
