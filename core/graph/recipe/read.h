/* SPDX-License-Identifier: Apache-2.0
 * read.h - the inside of reading a mergekit recipe: its methods as a table, its models, its documents, its parameters.
 *
 * Reading goes: recipe.c (documents, keys) -> stage.c (models, slices, base) -> params.c (values) -> JSON.
 */
#ifndef EVO_GRAPH_RECIPE_READ_H
#define EVO_GRAPH_RECIPE_READ_H

#include "core/base/error.h"
#include "core/graph/recipe/yaml.h"
#include "core/store/store.h"

typedef enum { EVO_RECIPE_NUMBER, EVO_RECIPE_SHARE, EVO_RECIPE_WHOLE, EVO_RECIPE_FLAG } EvoRecipeKind; /* SHARE: 0 to 1; WHOLE: from 1 */
/* What mergekit does with base_model. Where it becomes an input it is one also if `models` does not list it. */
typedef enum { EVO_RECIPE_BASE_NEEDED, EVO_RECIPE_BASE_TAKEN, EVO_RECIPE_BASE_FIRST, EVO_RECIPE_BASE_INPUT } EvoRecipeBase;

typedef struct {
  const char *key, *param;             /* its name there and here; NULL: it only takes part in another's meaning */
  EvoRecipeKind kind;
  gboolean per_input, required;
  const char *def;                     /* mergekit's default, as JSON; NULL: required, or the operator's own is the same */
  const char *if_false, *if_true;      /* a FLAG there that is a choice here */
  const char *beside, *if_beside;      /* another FLAG, without filters: the choice where that is true and this one false */
} EvoRecipeKey;

typedef struct {
  const char *name, *use;
  EvoRecipeBase base;
  guint min, max;                      /* inputs, an input that is the base included; max 0: any number */
  EvoRecipeKey keys[8];
  struct { const char *param, *json; } fixed[3]; /* what mergekit always does and has no word for */
} EvoRecipeMethod;

const EvoRecipeMethod *evo_recipe_method (const char *name);
char *evo_recipe_method_hint (const char *name);      /* "; did you mean ..." or all there are (owned) */
const EvoRecipeKey *evo_recipe_key (const EvoRecipeMethod *m, const char *name);
gboolean evo_recipe_ignores (const char *key);        /* parameters that mergekit knows and does nothing with */

typedef struct { char *path, *node; EvoStore *store; gint32 n_layers; gboolean is_stage; } EvoRecipeModel; /* path: absolute, or a stage's name */

typedef struct { const EvoYaml *slice, **source; gint32 first, n; } EvoRecipeSegment; /* parameters of a slice and, by input, of its sources */
typedef struct {
  const EvoYaml *root, *module;        /* module: its parameters */
  const EvoRecipeMethod *method;
  EvoRecipeModel *base;                /* NULL: none; for BASE_FIRST and BASE_INPUT the first input too */
  GPtrArray *inputs;                   /* EvoRecipeModel *, borrowed */
  GArray *lines;                       /* guint [inputs]: where each is named */
  GPtrArray *segments;                 /* EvoRecipeSegment *: layers in order; one, unless slices differ */
} EvoRecipeStage;

typedef struct {
  const EvoYamlDoc *doc;
  const char *folder;                  /* of the recipe */
  GPtrArray *models, *notes;           /* EvoRecipeModel *, owned */
  GHashTable *names;                   /* of nodes, taken */
} EvoRecipe;

gboolean evo_recipe_fail (const EvoRecipe *r, guint line, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);
void evo_recipe_note (const EvoRecipe *r, guint line, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Every key of map is one of keys; else an error with the nearest. what: "a recipe", for the message. */
gboolean evo_recipe_check_keys (const EvoRecipe *r, const EvoYaml *map, const char *what, const char *const *keys, GError **error);
char *evo_recipe_new_name (EvoRecipe *r, const char *wish); /* a node's name that is not taken (owned) */

/* The model that v names, opened; or an earlier document of that name. NULL: a sentence says how to get it. */
EvoRecipeModel *evo_recipe_model (EvoRecipe *r, const EvoYaml *v, GError **error);
EvoRecipeStage *evo_recipe_stage_new (EvoRecipe *r, const EvoYaml *root, GError **error);
void evo_recipe_stage_free (EvoRecipeStage *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoRecipeStage, evo_recipe_stage_free)
/* Parameters of input i, or, where i is -1, of the whole merge and for all inputs, as members of the object that w is in. */
gboolean evo_recipe_write_params (EvoRecipe *r, const EvoRecipeStage *s, gint i, EvoJsonWriter *w, GError **error);
/* All that stands under `parameters` is known to the method and in its place. */
gboolean evo_recipe_check_params (EvoRecipe *r, const EvoRecipeMethod *m, const EvoYaml *params, gboolean is_source, GError **error);

#endif
