/* SPDX-License-Identifier: Apache-2.0
 * methods.c - mergekit's methods (0.1.5) as a table: the operator, the names and defaults of its parameters, what it does unasked.
 *
 * A row adds a method. What mergekit leaves to its code stands here as numbers, so that the pipeline says it.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/recipe/read.h"

#define NUMBER EVO_RECIPE_NUMBER
#define SHARE EVO_RECIPE_SHARE
#define WHOLE EVO_RECIPE_WHOLE
#define FLAG EVO_RECIPE_FLAG
#define WEIGHT { "weight", "weight", NUMBER, .per_input = TRUE, .required = TRUE }
#define DENSITY { "density", "density", SHARE, .per_input = TRUE, .def = "1" }
#define LAMBDA { "lambda", "lambda", NUMBER, .def = "1" }
#define NORMALIZE(d) { "normalize", "normalize", FLAG, .def = d }
#define RESCALE(d) { "rescale", "rescale", FLAG, .def = d, .if_false = "none", .if_true = "l1" } /* to the tensor's sum of magnitudes */
#define GAMMA { "gamma", "gamma", SHARE, .per_input = TRUE, .def = "0.01" }
#define EPSILON { "epsilon", "epsilon", SHARE, .per_input = TRUE, .def = "0.15" }
#define AROUND { "epsilon_is", "\"half-width\"" } /* probabilities from density - epsilon to density + epsilon */
#define WEIGHTED { "vote", "\"weighted\"" }

static const EvoRecipeMethod methods[] = {
  { "linear", "merge.linear", EVO_RECIPE_BASE_INPUT, 1, 0, { WEIGHT, NORMALIZE ("true") }, { { NULL } } },
  { "slerp", "merge.slerp", EVO_RECIPE_BASE_FIRST, 2, 2, { { "t", "t", NUMBER, .required = TRUE } },
    { { "threshold", "0.9995" }, { "length", "\"formula\"" } } },
  { "task_arithmetic", "merge.task-arithmetic", EVO_RECIPE_BASE_NEEDED, 1, 0, { WEIGHT, NORMALIZE ("false"), LAMBDA }, { { NULL } } },
  { "ties", "merge.ties", EVO_RECIPE_BASE_NEEDED, 1, 0, { WEIGHT, DENSITY, NORMALIZE ("true"), LAMBDA, RESCALE ("\"none\"") },
    { { "scope", "\"tensor\"" }, WEIGHTED } },
  { "dare_linear", "merge.dare-linear", EVO_RECIPE_BASE_NEEDED, 1, 0, { WEIGHT, DENSITY, NORMALIZE ("false"), LAMBDA, RESCALE ("\"l1\"") },
    { { NULL } } },
  { "dare_ties", "merge.dare-ties", EVO_RECIPE_BASE_NEEDED, 1, 0, { WEIGHT, DENSITY, NORMALIZE ("false"), LAMBDA, RESCALE ("\"l1\"") },
    { WEIGHTED } },
  { "breadcrumbs", "merge.breadcrumbs", EVO_RECIPE_BASE_NEEDED, 1, 0,
    { WEIGHT, DENSITY, GAMMA, NORMALIZE ("false"), LAMBDA, RESCALE ("\"none\"") }, { { NULL } } },
  { "breadcrumbs_ties", "merge.breadcrumbs-ties", EVO_RECIPE_BASE_NEEDED, 1, 0,
    { WEIGHT, DENSITY, GAMMA, NORMALIZE ("false"), LAMBDA, RESCALE ("\"none\"") }, { WEIGHTED } },
  { "della", "merge.della", EVO_RECIPE_BASE_NEEDED, 1, 0,
    { WEIGHT, DENSITY, EPSILON, NORMALIZE ("true"), LAMBDA, RESCALE ("\"l1\"") }, { WEIGHTED, AROUND } },
  { "della_linear", "merge.della-linear", EVO_RECIPE_BASE_NEEDED, 1, 0,
    { WEIGHT, DENSITY, EPSILON, NORMALIZE ("false"), LAMBDA, RESCALE ("\"l1\"") }, { AROUND } },
  { "sce", "merge.sce", EVO_RECIPE_BASE_NEEDED, 1, 0, { { "select_topk", "select_topk", SHARE, .def = "1" } }, { { "uniform_below", "1e-6" } } },
  { "ram", "merge.ram", EVO_RECIPE_BASE_NEEDED, 1, 0, { { "epsilon", "epsilon", NUMBER, .def = "1e-5" } }, { { NULL } } },
  { "ramplus_tl", "merge.ramplus-tl", EVO_RECIPE_BASE_NEEDED, 1, 0,
    { { "epsilon", "epsilon", NUMBER, .def = "1e-5" }, { "r", "r", NUMBER, .def = "0.1" }, { "alpha", "alpha", NUMBER, .def = "0.2" } },
    { { "scope", "\"tensor\"" } } },
  { "nuslerp", "merge.nuslerp", EVO_RECIPE_BASE_TAKEN, 2, 2,
    { WEIGHT, { "nuslerp_flatten", "scope", FLAG, .def = "\"tensor\"", .if_false = "row", .if_true = "tensor", .beside = "nuslerp_row_wise",
                .if_beside = "column" }, { "nuslerp_row_wise", NULL, FLAG } }, { { NULL } } },
  { "multislerp", "merge.multislerp", EVO_RECIPE_BASE_TAKEN, 1, 0,
    { WEIGHT, { "normalize_weights", "normalize", FLAG, .def = "true" }, { "eps", "eps", NUMBER, .def = "1e-8" } }, { { NULL } } },
  { "karcher", "merge.karcher", EVO_RECIPE_BASE_INPUT, 1, 0,
    { { "max_iter", "max_iter", WHOLE, .def = "10" }, { "tol", "tol", NUMBER, .def = "1e-5" } }, { { NULL } } },
  { "model_stock", "merge.model-stock", EVO_RECIPE_BASE_NEEDED, 2, 0,
    { { "filter_wise", "scope", FLAG, .def = "\"tensor\"", .if_false = "tensor", .if_true = "row" } }, { { "floor", "1e-6" } } },
  { "nearswap", "merge.nearswap", EVO_RECIPE_BASE_NEEDED, 1, 1, { { "t", "t", NUMBER, .required = TRUE } }, { { "floor", "1e-6" } } },
  { "arcee_fusion", "merge.arcee-fusion", EVO_RECIPE_BASE_NEEDED, 1, 1, { { NULL } }, { { "tail", "1.5" } } },
  { "passthrough", "merge.passthrough", EVO_RECIPE_BASE_INPUT, 1, 1, { { "scale", "scale", NUMBER, .per_input = TRUE, .def = "1" } }, { { NULL } } },
};

const EvoRecipeMethod *
evo_recipe_method (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    if (strcmp (methods[i].name, name) == 0)
      return &methods[i];
  return NULL;
}

const EvoRecipeMethod *
evo_recipe_method_of (const char *use)
{
  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    if (strcmp (methods[i].use, use) == 0)
      return &methods[i];
  return NULL;
}

char *
evo_recipe_method_hint (const char *name)
{
  const char *names[G_N_ELEMENTS (methods) + 1] = { NULL };
  g_autofree char *all = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    names[i] = methods[i].name;
  all = g_strjoinv (", ", (char **) names);
  return evo_nearest_name (name, names) != NULL ? evo_did_you_mean (name, names) : g_strdup_printf ("; there are %s", all);
}

const EvoRecipeKey *
evo_recipe_key (const EvoRecipeMethod *m, const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (m->keys) && m->keys[i].key != NULL; i++)
    if (strcmp (m->keys[i].key, name) == 0)
      return &m->keys[i];
  return NULL;
}

gboolean
evo_recipe_ignores (const char *key)
{
  static const char *const keys[] = { "int8_mask", "embed_slerp", NULL };

  return g_strv_contains (keys, key);
}
