/* SPDX-License-Identifier: Apache-2.0
 * params.h - the inside of turning a recipe's parameters into a pipeline's (private to this folder).
 *
 * mergekit asks source, slice, module, top level, in this order; within each the first filter that is a part of the tensor's name. A pipeline
 * asks the edge, then the node: sources are edges, the rest stands in the node, in the same order. A gradient there gives what is in no
 * layer its first number, the output matrix and the final norm too; here these have the last, so "@head" is said.
 *
 * For each parameter params.c asks entries.c what is said of it, filters.c what of that holds for which of the tensors (tensors.c), and values.c
 * writes it.
 */
#ifndef EVO_GRAPH_RECIPE_PARAMS_H
#define EVO_GRAPH_RECIPE_PARAMS_H

#include "core/graph/recipe/read.h"

/* One filter and its value: of the recipe, or (value NULL) the method's default as JSON. A filter of NULL takes all. */
typedef struct { const char *filter, *json; const EvoYaml *value; guint line; gboolean reached; } EvoRecipeEntry;
/* name: in the node's model; match: where mergekit looks for filters, which differs for a slice that is merged apart. layer -1: in none */
typedef struct { char *name, *match; gint32 layer; gboolean is_head; } EvoRecipeTensor;
/* Where entries hold: all of a model, the layers of one slice, the head of the last slice, the rest of the first. */
typedef enum { EVO_RECIPE_ALL, EVO_RECIPE_LAYERS, EVO_RECIPE_HEAD, EVO_RECIPE_REST } EvoRecipePart;

typedef struct {
  EvoRecipe *r;
  const EvoRecipeStage *s;
  const EvoRecipeKey *key;
  gint input;               /* -1: the node */
  GArray *tensors;          /* EvoRecipeTensor */
  EvoJsonWriter *w;
} EvoRecipeParams;

/* --- tensors.c */
/* The names that the result has, but buffers that no merge keeps (owned). i: the input whose names filters are looked for in; -1: the result's. */
GArray *evo_recipe_tensors (const EvoRecipeStage *s, gint i);
const EvoRecipeSegment *evo_recipe_segment (const EvoRecipeStage *s, guint i);
gboolean evo_recipe_tensor_is_in (const EvoRecipeTensor *t, const EvoRecipeStage *s, guint seg, EvoRecipePart part);
/* --- entries.c: EvoRecipeEntry in the order in which they are asked (owned), of one input (its source), or of the node: slice, module, top level,
 * default. NULL: a value is none of its kind. */
GArray *evo_recipe_entries (const EvoRecipeParams *p, guint seg, gint input, GError **error);
/* --- filters.c */
gboolean evo_recipe_entry_matches (const EvoRecipeEntry *e, const EvoRecipeTensor *t);
gboolean evo_recipe_entry_names_layer (const EvoRecipeEntry *e); /* its filter has a layer's number: it may be meant for another slice */
/* Marks what the tensors of a part take. The first that takes nothing, NULL: all do. */
const EvoRecipeTensor *evo_recipe_reach (const EvoRecipeParams *p, GArray *entries, guint seg, EvoRecipePart part);
const EvoRecipeTensor *evo_recipe_reach_all (const EvoRecipeParams *p, GArray *entries, guint seg); /* of all parts that the slice gives the result */
/* Filters that take no tensor: a mistake, but for lm_head, which models with tied embeddings have not. */
gboolean evo_recipe_check_used (const EvoRecipeParams *p, const GArray *entries, GError **error);
/* A value that must be given is there for every tensor, of the input or of the whole merge. */
gboolean evo_recipe_check_required (const EvoRecipeParams *p, guint seg, GError **error);
/* --- values.c: what was reached in a part, as the value of the member that w is at. */
void evo_recipe_write_entries (const EvoRecipeParams *p, const GArray *entries, guint seg, EvoRecipePart part);

#endif
