/* SPDX-License-Identifier: Apache-2.0
 * recipe.h - a mergekit recipe (YAML) becomes a pipeline (JSON).
 *
 * Everything that mergekit leaves to a default is said in the pipeline, so that it can be read, changed and run by itself. What mergekit
 * ignores without a word (a misspelt key, a parameter in the wrong place) is an error here; what it knows and does nothing with is a note.
 */
#ifndef EVO_GRAPH_RECIPE_H
#define EVO_GRAPH_RECIPE_H

#include <glib.h>

gboolean evo_recipe_is (const char *path); /* by its name: .yml or .yaml */
/* The pipeline as text, ready for evo_graph_new_from_text: paths are absolute. Models are looked for from the current directory, then beside
 * the recipe, then in the local Hugging Face cache; only headers are read. notes: GPtrArray of char * with g_free, to which sentences
 * "recipe.yml:7: ..." are added. truncate: embeddings may have different numbers of rows; merges that say nothing of a tokenizer get "truncate".
 * Errors: EVO_GRAPH_ERROR, "recipe.yml:7: what; what would be right"; EVO_STORE_ERROR for a model. Owned. */
char *evo_recipe_import (const char *path, gboolean truncate, GPtrArray *notes, GError **error);
char *evo_recipe_import_text (const char *text, gsize n, const char *path, GPtrArray *notes, GError **error);

#endif
