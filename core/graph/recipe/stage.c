/* SPDX-License-Identifier: Apache-2.0
 * stage.c - one document of a recipe: its method, its models in order, its base, its slices.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/recipe/read.h"

void
evo_recipe_stage_free (EvoRecipeStage *s)
{
  if (s == NULL)
    return;
  for (guint i = 0; i < s->segments->len; i++) {
    g_free (((EvoRecipeSegment *) s->segments->pdata[i])->source);
    g_free (s->segments->pdata[i]);
  }
  g_ptr_array_unref (s->segments);
  g_ptr_array_unref (s->inputs);
  g_array_unref (s->lines);
  g_clear_pointer (&s->offsets, g_array_unref);
  g_clear_pointer (&s->slices, g_ptr_array_unref);
  g_free (s);
}

EvoRecipeStage *
evo_recipe_stage_new_like (const EvoYaml *root, const EvoYaml *module, const EvoRecipeMethod *method, EvoRecipeModel *base)
{
  EvoRecipeStage *s = g_new0 (EvoRecipeStage, 1);

  s->root = root;
  s->module = module;
  s->method = method;
  s->base = base;
  s->inputs = g_ptr_array_new ();
  s->lines = g_array_new (FALSE, FALSE, sizeof (guint));
  s->segments = g_ptr_array_new ();
  return s;
}

/* ------------------------------------------------------------------ keys */

static gboolean
refuse_other_recipes (const EvoRecipe *r, const EvoYaml *root, GError **error)
{
  static const char *const moe[] = { "experts", "gate_mode", "shared_experts" };
  const EvoYaml *genome = evo_yaml_member (root, "genome");

  for (guint i = 0; i < G_N_ELEMENTS (moe); i++) {
    const EvoYaml *v = evo_yaml_member (root, moe[i]);

    if (v != NULL)
      return evo_recipe_fail (r, v->line, error, "%s belongs to mergekit-moe, which builds a mixture of experts; evopipe merges weights of models of "
                              "one shape: use mergekit-moe for this one", moe[i]);
  }
  if (genome != NULL)
    return evo_recipe_fail (r, genome->line, error, "genome belongs to mergekit-evolve; write the search as a pipeline, with {\"evolve\": ...} where "
                            "numbers stand, and use evopipe run");
  return TRUE;
}

static gboolean
check_root (EvoRecipe *r, const EvoYaml *root, GError **error)
{
  static const char *const keys[] = { "merge_method", "models", "slices", "modules", "base_model", "parameters", "dtype", "out_dtype",
                                      "tokenizer_source", "tokenizer", "chat_template", "name", NULL };

  if (root->kind != EVO_YAML_MAP)
    return evo_recipe_fail (r, root->line, error, "a recipe is a map with merge_method and models, not %s", evo_yaml_kind_name (root));
  return refuse_other_recipes (r, root, error) && evo_recipe_check_keys (r, root, "a recipe", keys, error);
}

static gboolean
read_method (EvoRecipe *r, EvoRecipeStage *s, GError **error)
{
  const EvoYaml *v = evo_yaml_member (s->root, "merge_method");
  g_autofree char *hint = NULL, *quoted = NULL;

  if (evo_yaml_text (v) == NULL)
    return evo_recipe_fail (r, v == NULL ? s->root->line : v->line, error, "a recipe needs merge_method, as merge_method: linear");
  s->method = evo_recipe_method (v->text);
  if (s->method != NULL)
    return TRUE;
  hint = evo_recipe_method_hint (v->text);
  quoted = evo_json_quoted (v->text);
  return evo_recipe_fail (r, v->line, error, "there is no merge_method %s%s", quoted, hint);
}

gboolean
evo_recipe_check_params (EvoRecipe *r, const EvoRecipeMethod *m, const EvoYaml *params, gboolean is_source, GError **error)
{
  const char *keys[G_N_ELEMENTS (m->keys) + 1] = { NULL };
  g_autofree char *what = g_strconcat (m->name, is_source ? ", for one model," : "", NULL);
  guint n = 0;

  if (params != NULL && params->kind != EVO_YAML_MAP)
    return evo_recipe_fail (r, params->line, error, "parameters are a map, as parameters: {weight: 0.5}, not %s", evo_yaml_kind_name (params));
  for (guint i = 0; i < G_N_ELEMENTS (m->keys) && m->keys[i].key != NULL; i++)
    if (!is_source || m->keys[i].per_input)
      keys[n++] = m->keys[i].key;
  for (guint i = 0; params != NULL && i < params->keys->len; i++) {
    const EvoYaml *key = params->keys->pdata[i];
    const EvoRecipeKey *known = evo_recipe_key (m, key->text);

    if (is_source && known != NULL && !known->per_input)
      return evo_recipe_fail (r, key->line, error, "%s belongs to the whole merge, not to one model; write it under parameters at the top", key->text);
    if (evo_recipe_ignores (key->text))
      evo_recipe_note (r, key->line, "%s changes no number; it is left out", key->text);
  }
  return params == NULL || evo_recipe_check_keys (r, params, what, keys, error);
}

/* ------------------------------------------------------------------ models */

gint
evo_recipe_stage_find (const EvoRecipeStage *s, const EvoRecipeModel *m)
{
  guint i;

  return g_ptr_array_find (s->inputs, m, &i) ? (gint) i : -1;
}

gboolean
evo_recipe_stage_is_apart (const EvoRecipeStage *s, const EvoRecipeModel *m)
{
  return m == s->base && (s->method->base == EVO_RECIPE_BASE_NEEDED || s->method->base == EVO_RECIPE_BASE_TAKEN);
}

void
evo_recipe_stage_add (EvoRecipeStage *s, EvoRecipeModel *m, guint line)
{
  g_ptr_array_add (s->inputs, m);
  g_array_append_val (s->lines, line);
}

static gboolean
read_base (EvoRecipe *r, EvoRecipeStage *s, GError **error)
{
  const EvoYaml *v = evo_yaml_member (s->root, "base_model");

  if (v == NULL)
    return (s->method->base != EVO_RECIPE_BASE_NEEDED && s->method->base != EVO_RECIPE_BASE_FIRST) ||
           evo_recipe_fail (r, evo_yaml_member (s->root, "merge_method")->line, error, "%s needs base_model, the model that the others %s",
                            s->method->name, s->method->base == EVO_RECIPE_BASE_FIRST ? "are mixed into" : "were trained from");
  s->base = evo_recipe_model (r, v, error);
  if (s->base == NULL)
    return FALSE;
  if (!evo_recipe_stage_is_apart (s, s->base))
    evo_recipe_stage_add (s, s->base, v->line); /* first, so that configuration and tokenizer are the base's */
  return TRUE;
}

static const EvoYaml *
source_model (EvoRecipe *r, const EvoYaml *item, const char *const *keys, const char *what, GError **error)
{
  const EvoYaml *model;

  if (item->kind != EVO_YAML_MAP) {
    evo_recipe_fail (r, item->line, error, "%s is a map, as - model: org/name, not %s", what, evo_yaml_kind_name (item));
    return NULL;
  }
  if (!evo_recipe_check_keys (r, item, what, keys, error))
    return NULL;
  model = evo_yaml_member (item, "model");
  if (model == NULL)
    evo_recipe_fail (r, item->line, error, "%s needs model: and a path", what);
  return model;
}

const EvoYaml *
evo_recipe_source_list (EvoRecipe *r, const EvoYaml *owner, const EvoYaml *list, const char *key, GError **error)
{
  if (list != NULL && list->kind == EVO_YAML_LIST && list->items->len > 0 && list->items->len <= 1000)
    return list;
  evo_recipe_fail (r, list == NULL ? owner->line : list->line, error, "%s needs a list of 1 to 1000 models, each - model: org/name", key);
  return NULL;
}

/* The models in order, after the base where that is an input. */
gboolean
evo_recipe_read_inputs (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *list, const char *const *keys, const char *what, GError **error)
{
  for (guint i = 0; i < list->items->len; i++) {
    const EvoYaml *item = list->items->pdata[i], *v = source_model (r, item, keys, what, error);
    EvoRecipeModel *m = v == NULL ? NULL : evo_recipe_model (r, v, error);

    if (m == NULL)
      return FALSE;
    if (m == s->base && !evo_recipe_stage_is_apart (s, m))
      g_array_index (s->lines, guint, 0) = v->line;
    else if (!evo_recipe_stage_is_apart (s, m) && evo_recipe_stage_find (s, m) < 0)
      evo_recipe_stage_add (s, m, v->line);
  }
  return TRUE;
}

gboolean
evo_recipe_check_count (const EvoRecipe *r, const EvoRecipeStage *s, guint line, GError **error)
{
  const EvoRecipeMethod *m = s->method;
  guint n = s->inputs->len;
  const char *beside = m->base == EVO_RECIPE_BASE_NEEDED ? " beside base_model" : "";

  if (n >= m->min && (m->max == 0 || n <= m->max))
    return TRUE;
  if (m->min == m->max)
    return evo_recipe_fail (r, line, error, "%s needs exactly %u model%s%s, not %u", m->name, m->min, m->min == 1 ? "" : "s", beside, n);
  return evo_recipe_fail (r, line, error, "%s needs at least %u model%s%s, not %u", m->name, m->min, m->min == 1 ? "" : "s", beside, n);
}

/* ------------------------------------------------------------------ slices */

static gboolean
read_range (EvoRecipe *r, const EvoYaml *item, const EvoRecipeModel *m, gint32 *first, gint32 *end, GError **error)
{
  const EvoYaml *v = evo_yaml_member (item, "layer_range");
  double a = -1, b = -1;

  if (v == NULL || v->kind != EVO_YAML_LIST || v->items->len != 2 || !evo_yaml_number (v->items->pdata[0], &a) ||
      !evo_yaml_number (v->items->pdata[1], &b) || a < 0 || b > 100000 || a >= b || a != (gint32) a || b != (gint32) b)
    return evo_recipe_fail (r, v == NULL ? item->line : v->line, error,
                            "layer_range needs the first layer and the one after the last, as [0, 24]; it has no layer or is none");
  *first = (gint32) a;
  *end = (gint32) b;
  return m->n_layers == 0 || *end <= m->n_layers ||
         evo_recipe_fail (r, v->line, error, "%s has %d layers; [%d, %d] ends beyond them", m->node, m->n_layers, *first, *end);
}

/* Which layers a source gives, all of a slice's as many. */
static gboolean
place (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *item, const EvoRecipeModel *m, guint i, gboolean is_first, GError **error)
{
  EvoRecipeSegment *g = s->segments->pdata[0];
  gint32 first = 0, end = 0;

  if (!read_range (r, item, m, &first, &end, error))
    return FALSE;
  if (!is_first && end - first != g->n)
    return evo_recipe_fail (r, item->line, error, "all sources of a slice must have as many layers; this has %d, the first %d", end - first, g->n);
  g->n = end - first;
  g_array_index (s->offsets, gint32, i) = first;
  return TRUE;
}

gboolean
evo_recipe_read_sources (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *list, EvoRecipeSegment *g, GError **error)
{
  static const char *const keys[] = { "model", "parameters", "layer_range", NULL }, *const flat[] = { "model", "parameters", NULL };
  g_autofree gboolean *seen = g_new0 (gboolean, s->inputs->len + 1); /* the last: a base apart */
  gboolean is_slice = s->offsets != NULL;

  for (guint k = 0; k < list->items->len; k++) {
    const EvoYaml *item = list->items->pdata[k], *params = evo_yaml_member (item, "parameters");
    const EvoYaml *v = source_model (r, item, is_slice ? keys : flat, is_slice ? "a source" : "a model", error);
    EvoRecipeModel *m = v == NULL ? NULL : evo_recipe_model (r, v, error);
    guint i = m == NULL || evo_recipe_stage_is_apart (s, m) ? s->inputs->len : (guint) evo_recipe_stage_find (s, m);

    if (m == NULL || !evo_recipe_check_params (r, s->method, params, TRUE, error))
      return FALSE;
    if (seen[i])
      return evo_recipe_fail (r, v->line, error, "%s stands twice; a recipe names a model once (a pipeline may name it twice)", m->node);
    if (is_slice && !place (r, s, item, m, i, k == 0, error))
      return FALSE;
    seen[i] = TRUE;
    if (i < s->inputs->len)
      g->source[i] = params;
    else if (params != NULL)
      evo_recipe_note (r, params->line, "parameters of the base model have no effect in %s; they are left out", s->method->name);
  }
  return TRUE;
}

EvoRecipeSegment *
evo_recipe_stage_add_segment (EvoRecipeStage *s, gint32 first)
{
  EvoRecipeSegment *g = g_new0 (EvoRecipeSegment, 1);

  g->source = g_new0 (const EvoYaml *, s->inputs->len + 1);
  g->first = first;
  g_ptr_array_add (s->segments, g);
  return g;
}

/* ------------------------------------------------------------------ models, slices, modules */

static gboolean
read_models (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *owner, const EvoYaml *models, GError **error)
{
  static const char *const keys[] = { "model", "parameters", NULL };
  const EvoYaml *list = evo_recipe_source_list (r, owner, models, "models", error);
  EvoRecipeSegment *g;

  if (list == NULL || !evo_recipe_read_inputs (r, s, list, keys, "a model", error) || !evo_recipe_check_count (r, s, list->line, error))
    return FALSE;
  g = evo_recipe_stage_add_segment (s, 0);
  g->n = ((const EvoRecipeModel *) (s->base != NULL ? s->base : s->inputs->pdata[0]))->n_layers;
  s->n_layers = g->n;
  return evo_recipe_read_sources (r, s, list, g, error);
}

static gboolean
read_body (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *owner, GError **error)
{
  const EvoYaml *models = evo_yaml_member (owner, "models"), *slices = evo_yaml_member (owner, "slices");
  const EvoYaml *modules = owner == s->root ? evo_yaml_member (owner, "modules") : NULL;
  static const char *const names[] = { "default", NULL }, *const keys[] = { "models", "slices", "parameters", NULL };
  const EvoYaml *module;

  if ((models != NULL) + (slices != NULL) + (modules != NULL) != 1) {
    const EvoYaml *second = modules != NULL ? modules : slices != NULL ? slices : owner;

    return evo_recipe_fail (r, second->line, error, "a recipe needs exactly one of models, slices and modules");
  }
  if (modules == NULL)
    return models != NULL ? read_models (r, s, owner, models, error) : evo_recipe_read_slices (r, s, slices, error);
  module = evo_yaml_member (modules, "default");
  if (module == NULL)
    return evo_recipe_fail (r, modules->line, error, "modules needs the module \"default\"; models of several modules are not read");
  s->module = evo_yaml_member (module, "parameters");
  return evo_recipe_check_keys (r, modules, "modules", names, error) && evo_recipe_check_keys (r, module, "a module", keys, error) &&
         evo_recipe_check_params (r, s->method, s->module, FALSE, error) && read_body (r, s, module, error);
}

static gboolean
is_vocabulary (const EvoShape *a, const EvoShape *b)
{
  static const char *const names[] = { "*embed*", "*lm_head*", "*wte*" };
  gboolean named = FALSE;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    named = named || evo_glob_match (names[i], a->name);
  return named && a->n_dims == b->n_dims && a->n_dims > 0 && memcmp (a->dims + 1, b->dims + 1, (a->n_dims - 1) * sizeof *a->dims) == 0;
}

/* Embeddings of other sizes are what is met most; the rest is found when the pipeline is checked. */
static gboolean
check_shapes (EvoRecipe *r, const EvoRecipeStage *s, GError **error)
{
  const EvoRecipeModel *like = s->base != NULL ? s->base : s->inputs->pdata[0];
  gboolean by_token = r->truncate || evo_yaml_member (s->root, "tokenizer") != NULL || evo_yaml_member (s->root, "tokenizer_source") != NULL;

  for (guint i = 0; i < s->inputs->len; i++) {
    const EvoRecipeModel *m = s->inputs->pdata[i];

    for (guint t = 0; t < evo_store_get_n_tensors (like->store); t++) {
      const EvoShape *a = evo_store_get_tensor (like->store, t), *b;
      int at = evo_store_find (m->store, a->name);
      g_autofree char *ours = NULL, *theirs = NULL;

      if (at < 0 || evo_shape_equal (a, b = evo_store_get_tensor (m->store, (guint) at)))
        continue;
      if (is_vocabulary (a, b) && (by_token || m->is_stage || like->is_stage)) /* a stage's own rows are known when it is laid out */
        continue;
      ours = evo_shape_text (a);
      theirs = evo_shape_text (b);
      return evo_recipe_fail (r, g_array_index (s->lines, guint, i), error, "\"%s\" is %s in %s and %s in %s; %s", a->name, ours,
                              like->node, theirs, m->node, is_vocabulary (a, b) ? "the models have different vocabularies: write tokenizer: {source: union} "
                              "or {source: base}, or merge with --unsafe-truncate-embeddings" : "recipes are read whose models have one shape");
    }
  }
  return TRUE;
}

/* One plain number of a model, else of the whole merge; a gradient or filters are left to the operator, which checks every tensor. */
static gboolean
plain (const EvoRecipeStage *s, guint i, const char *key, double *out, guint *line)
{
  const EvoRecipeSegment *g = s->segments->pdata[0];
  const EvoYaml *own = evo_yaml_member (g->source[i], key), *v = own != NULL ? own : evo_yaml_member (evo_yaml_member (s->root, "parameters"), key);

  *out = v == NULL ? g_ascii_strtod (evo_recipe_key (s->method, key)->def, NULL) : *out;
  *line = v != NULL ? v->line : *line;
  return v == NULL || evo_yaml_number (v, out);
}

/* della's probabilities lie between 0 and 1. */
gboolean
evo_recipe_check_window (EvoRecipe *r, const EvoRecipeStage *s, GError **error)
{
  gboolean has_window = evo_recipe_key (s->method, "density") != NULL && evo_recipe_key (s->method, "epsilon") != NULL;

  for (guint i = 0; has_window && i < s->inputs->len; i++) {
    double density = 0, epsilon = 0;
    guint line = g_array_index (s->lines, guint, i);

    if (plain (s, i, "density", &density, &line) && plain (s, i, "epsilon", &epsilon, &line) && density > 0 && density < 1 &&
        !(density - epsilon > 0 && density + epsilon < 1))
      return evo_recipe_fail (r, line, error, "density %g and epsilon %g: density - epsilon ... density + epsilon leaves 0 ... 1; an epsilon below "
                              "%g stays inside", density, epsilon, MIN (density, 1 - density));
  }
  return TRUE;
}

EvoRecipeStage *
evo_recipe_stage_new (EvoRecipe *r, const EvoYaml *root, GError **error)
{
  g_autoptr (EvoRecipeStage) s = evo_recipe_stage_new_like (root, NULL, NULL, NULL);

  if (!check_root (r, root, error) || !read_method (r, s, error) ||
      !evo_recipe_check_params (r, s->method, evo_yaml_member (root, "parameters"), FALSE, error) || !read_base (r, s, error) ||
      !read_body (r, s, root, error) || !check_shapes (r, s, error) || (s->slices == NULL && !evo_recipe_check_window (r, s, error)))
    return NULL;
  return g_steal_pointer (&s);
}
