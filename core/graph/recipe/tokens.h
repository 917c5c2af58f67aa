/* SPDX-License-Identifier: Apache-2.0
 * tokens.h - the tokenizer of a recipe's result.
 */
#ifndef EVO_GRAPH_RECIPE_TOKENS_H
#define EVO_GRAPH_RECIPE_TOKENS_H

#include "core/graph/recipe/read.h"

/* tokenizer, tokenizer_source and chat_template ask for nothing but what the result has anyway. */
gboolean evo_recipe_check_tokens (const EvoRecipe *r, const EvoRecipeStage *s, GError **error);

#endif
