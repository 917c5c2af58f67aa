/* SPDX-License-Identifier: Apache-2.0
 * read.h - the inside of reading a mergekit recipe: its methods as a table, its models, its documents, its parameters.
 *
 * Reading goes: recipe.c (documents, keys) -> stage.c (models, slices, base) -> params/ (values) -> JSON.
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

/* --- methods.c */
const EvoRecipeMethod *evo_recipe_method (const char *name);
const EvoRecipeMethod *evo_recipe_method_of (const char *use); /* of an operator; NULL: mergekit has none */
char *evo_recipe_method_hint (const char *name);      /* "; did you mean ..." or all there are (owned) */
const EvoRecipeKey *evo_recipe_key (const EvoRecipeMethod *m, const char *name);
gboolean evo_recipe_ignores (const char *key);        /* parameters that mergekit knows and does nothing with */

typedef struct EvoRecipeModel EvoRecipeModel;
struct EvoRecipeModel {
  char *path, *node;                   /* path: absolute, or a stage's name; of model+lora: both, with the + */
  EvoStore *store; gint32 n_layers;
  gboolean is_stage;
  const EvoRecipeModel *under; char *adapter; /* model+lora: the model, and where the adapter is; NULL: it is none */
};

typedef struct { const EvoYaml *slice, **source; gint32 first, n; } EvoRecipeSegment; /* parameters of a slice and, by input, of its sources */
typedef struct {
  const EvoYaml *root, *module;        /* module: its parameters */
  const EvoRecipeMethod *method;
  EvoRecipeModel *base;                /* NULL: none; for BASE_FIRST and BASE_INPUT the first input too */
  GPtrArray *inputs;                   /* EvoRecipeModel *, borrowed */
  GArray *lines;                       /* guint [inputs]: where each is named */
  GPtrArray *segments;                 /* EvoRecipeSegment *: layers in order; one, unless slices differ; none where they are merged apart */
  gint32 n_layers;                     /* of the result; 0: unknown */
  GPtrArray *slices;                   /* EvoRecipeStage *: slices that are merged apart and put one after another; NULL: layers keep their places */
  /* of such a slice */
  GArray *offsets;                     /* gint32 [inputs + 1]: the first layer that each input gives, then the base; NULL: it is none */
  gint32 place;                        /* of its first layer in the result */
  gboolean is_first, is_last;          /* its embedding, its head are the result's */
} EvoRecipeStage;

typedef struct {
  const EvoYamlDoc *doc;
  const char *folder;                  /* of the recipe */
  GPtrArray *models, *notes;           /* EvoRecipeModel *, owned */
  GHashTable *names;                   /* of nodes, taken */
  gboolean truncate;                   /* embeddings, by the command line */
} EvoRecipe;

/* --- recipe.c */
gboolean evo_recipe_fail (const EvoRecipe *r, guint line, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);
void evo_recipe_note (const EvoRecipe *r, guint line, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Every key of map is one of keys; else an error with the nearest. what: "a recipe", for the message. */
gboolean evo_recipe_check_keys (const EvoRecipe *r, const EvoYaml *map, const char *what, const char *const *keys, GError **error);
char *evo_recipe_new_name (EvoRecipe *r, const char *wish); /* a node's name that is not taken (owned) */
/* A merge by its method, its models called as `names` [inputs + 1] says (NULL: as they are), the last the base. */
gboolean evo_recipe_write_merge (EvoRecipe *r, const EvoRecipeStage *s, const char *node, const char *dtype, char *const *names, EvoJsonWriter *w,
                                 GError **error);

/* --- models.c: the model that v names, opened; or an earlier document of that name. NULL: a sentence says how to get it. */
EvoRecipeModel *evo_recipe_model (EvoRecipe *r, const EvoYaml *v, GError **error);

/* --- stage.c */
EvoRecipeStage *evo_recipe_stage_new (EvoRecipe *r, const EvoYaml *root, GError **error);
void evo_recipe_stage_free (EvoRecipeStage *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoRecipeStage, evo_recipe_stage_free)
EvoRecipeStage *evo_recipe_stage_new_like (const EvoYaml *root, const EvoYaml *module, const EvoRecipeMethod *method, EvoRecipeModel *base);
gint evo_recipe_stage_find (const EvoRecipeStage *s, const EvoRecipeModel *m);          /* among the inputs; -1: none of them */
gboolean evo_recipe_stage_is_apart (const EvoRecipeStage *s, const EvoRecipeModel *m);  /* the base, where that is none of the inputs */
void evo_recipe_stage_add (EvoRecipeStage *s, EvoRecipeModel *m, guint line);
EvoRecipeSegment *evo_recipe_stage_add_segment (EvoRecipeStage *s, gint32 first);
const EvoYaml *evo_recipe_source_list (EvoRecipe *r, const EvoYaml *owner, const EvoYaml *list, const char *key, GError **error);
gboolean evo_recipe_read_inputs (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *list, const char *const *keys, const char *what, GError **error);
/* Parameters of every model of a list, and, where s has offsets, its layers. */
gboolean evo_recipe_read_sources (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *list, EvoRecipeSegment *g, GError **error);
gboolean evo_recipe_check_count (const EvoRecipe *r, const EvoRecipeStage *s, guint line, GError **error);
gboolean evo_recipe_check_window (EvoRecipe *r, const EvoRecipeStage *s, GError **error);
/* All that stands under `parameters` is known to the method and in its place. */
gboolean evo_recipe_check_params (EvoRecipe *r, const EvoRecipeMethod *m, const EvoYaml *params, gboolean is_source, GError **error);

/* --- slices.c: what slices: holds, by segments where layers keep their places in all models, else by slices of their own. */
gboolean evo_recipe_read_slices (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *slices, GError **error);

/* --- params/: those of input i, or, where i is -1, of the whole merge and for all inputs, as members of the object that w is in. */
gboolean evo_recipe_write_params (EvoRecipe *r, const EvoRecipeStage *s, gint i, EvoJsonWriter *w, GError **error);

/* --- stack.c: slices merged apart, and the path over them that is called `node`. */
gboolean evo_recipe_write_stack (EvoRecipe *r, const EvoRecipeStage *s, const char *node, const char *dtype, EvoJsonWriter *w, GError **error);

/* --- compat.c: of the whole pipeline (root NULL) or of one merge of this document; writes nothing where it stands in the other place. */
void evo_recipe_write_compat (const EvoRecipe *r, const EvoYaml *root, EvoJsonWriter *w);

#endif
