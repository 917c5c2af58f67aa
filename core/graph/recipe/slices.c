/* SPDX-License-Identifier: Apache-2.0
 * slices.c - the slices of a recipe: which layers of which models, merged where they stand or apart.
 *
 * Each slice is read as a merge of its own. Where every layer keeps its place in all models and all slices have the same ones, they are
 * parameters by layer of one merge; else each is merged over paths through its sources, and a path over the slices is the result.
 */
#include <string.h>

#include "core/graph/recipe/read.h"

static gint32
offset (const EvoRecipeStage *s, guint i)
{
  return g_array_index (s->offsets, gint32, i);
}

/* The layers of a base that is no source: those of the sources, where they have all the same. */
static gboolean
place_base (const EvoRecipe *r, EvoRecipeStage *s, guint line, GError **error)
{
  gint32 *base = &g_array_index (s->offsets, gint32, s->inputs->len);

  if (s->base == NULL || !evo_recipe_stage_is_apart (s, s->base) || *base >= 0)
    return TRUE;
  *base = offset (s, 0);
  for (guint i = 1; i < s->inputs->len; i++)
    if (offset (s, i) != *base)
      return evo_recipe_fail (r, line, error, "%s, the base, is no source of this slice, and its sources give other layers; add it with its layer_range",
                              s->base->node);
  return s->base->n_layers == 0 || *base + ((const EvoRecipeSegment *) s->segments->pdata[0])->n <= s->base->n_layers ||
         evo_recipe_fail (r, line, error, "%s, the base, has %d layers; this slice ends beyond them", s->base->node, s->base->n_layers);
}

/* A base that is an input is one only where it is a source. */
static gboolean
drop_base (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *list, GError **error)
{
  gboolean is_source = FALSE;

  if (s->base == NULL || evo_recipe_stage_is_apart (s, s->base))
    return TRUE;
  for (guint k = 0; k < list->items->len; k++) {
    const EvoYaml *v = evo_yaml_member (list->items->pdata[k], "model");

    is_source = is_source || (v != NULL && evo_recipe_model (r, v, NULL) == s->base);
  }
  if (is_source)
    evo_recipe_stage_add (s, s->base, list->line);
  else if (s->method->base == EVO_RECIPE_BASE_FIRST)
    return evo_recipe_fail (r, list->line, error, "%s mixes into base_model, %s, which is no source of this slice", s->method->name, s->base->node);
  else
    s->base = NULL;
  return TRUE;
}

static gboolean
read_layers (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *slice, const EvoYaml *list, GError **error)
{
  static const char *const keys[] = { "model", "parameters", "layer_range", NULL };
  const gint32 none = -1;
  EvoRecipeSegment *g;

  if (!drop_base (r, s, list, error) || !evo_recipe_read_inputs (r, s, list, keys, "a source", error) ||
      !evo_recipe_check_count (r, s, list->line, error))
    return FALSE;
  s->offsets = g_array_new (FALSE, FALSE, sizeof (gint32));
  for (guint i = 0; i <= s->inputs->len; i++)
    g_array_append_val (s->offsets, none);
  g = evo_recipe_stage_add_segment (s, 0);
  g->slice = evo_yaml_member (slice, "parameters");
  if (!evo_recipe_check_params (r, s->method, g->slice, FALSE, error) || !evo_recipe_read_sources (r, s, list, g, error))
    return FALSE;
  s->n_layers = g->n;
  return place_base (r, s, list->line, error) && evo_recipe_check_window (r, s, error);
}

static EvoRecipeStage *
read_slice (EvoRecipe *r, const EvoRecipeStage *s, const EvoYaml *slice, GError **error)
{
  static const char *const keys[] = { "sources", "base_model", "residual_weight", "parameters", NULL };
  const EvoYaml *base, *odd, *list;
  g_autoptr (EvoRecipeStage) sub = evo_recipe_stage_new_like (s->root, s->module, s->method, s->base);

  if (slice->kind != EVO_YAML_MAP) {
    evo_recipe_fail (r, slice->line, error, "a slice is a map with sources, not %s", evo_yaml_kind_name (slice));
    return NULL;
  }
  if (!evo_recipe_check_keys (r, slice, "a slice", keys, error))
    return NULL;
  base = evo_yaml_member (slice, "base_model");
  odd = evo_yaml_member (slice, "residual_weight");
  if (odd != NULL)
    evo_recipe_note (r, odd->line, "residual_weight changes no number; it is left out");
  if (base != NULL && (sub->base = evo_recipe_model (r, base, error)) == NULL)
    return NULL;
  list = evo_recipe_source_list (r, slice, evo_yaml_member (slice, "sources"), "sources", error);
  return list == NULL || !read_layers (r, sub, slice, list, error) ? NULL : g_steal_pointer (&sub);
}

/* ------------------------------------------------------------------ in place, or apart */

static gboolean
keeps_place (const EvoRecipeStage *sub, const EvoRecipeStage *first, gint32 total)
{
  gboolean has_base = sub->base != NULL && evo_recipe_stage_is_apart (sub, sub->base);

  if (sub->base != first->base || sub->inputs->len != first->inputs->len ||
      (has_base && (offset (sub, sub->inputs->len) != sub->place || sub->base->n_layers != total)))
    return FALSE;
  for (guint i = 0; i < sub->inputs->len; i++) {
    const EvoRecipeModel *m = sub->inputs->pdata[i];

    if (offset (sub, i) != sub->place || m->n_layers != total || evo_recipe_stage_find (first, m) < 0)
      return FALSE;
  }
  return TRUE;
}

static void
join_in_place (EvoRecipeStage *s, const GPtrArray *slices)
{
  const EvoRecipeStage *first = slices->pdata[0];

  s->base = first->base;
  for (guint i = 0; i < first->inputs->len; i++)
    evo_recipe_stage_add (s, first->inputs->pdata[i], g_array_index (first->lines, guint, i));
  for (guint k = 0; k < slices->len; k++) {
    const EvoRecipeStage *sub = slices->pdata[k];
    const EvoRecipeSegment *from = sub->segments->pdata[0];
    EvoRecipeSegment *g = evo_recipe_stage_add_segment (s, sub->place);

    g->n = from->n;
    g->slice = from->slice;
    for (guint i = 0; i < sub->inputs->len; i++)
      g->source[evo_recipe_stage_find (s, sub->inputs->pdata[i])] = from->source[i];
  }
}

/* All models, for what is said of shapes and tokens: those of the first slice first. */
static void
join_apart (EvoRecipeStage *s, GPtrArray *slices)
{
  s->slices = g_ptr_array_ref (slices);
  ((EvoRecipeStage *) slices->pdata[0])->is_first = TRUE;
  ((EvoRecipeStage *) slices->pdata[slices->len - 1])->is_last = TRUE;
  for (guint k = 0; k < slices->len; k++) {
    const EvoRecipeStage *sub = slices->pdata[k];

    for (guint i = 0; i < sub->inputs->len; i++)
      if (evo_recipe_stage_find (s, sub->inputs->pdata[i]) < 0)
        evo_recipe_stage_add (s, sub->inputs->pdata[i], g_array_index (sub->lines, guint, i));
  }
}

gboolean
evo_recipe_read_slices (EvoRecipe *r, EvoRecipeStage *s, const EvoYaml *slices, GError **error)
{
  g_autoptr (GPtrArray) read = g_ptr_array_new_with_free_func ((GDestroyNotify) evo_recipe_stage_free);
  gboolean keep = TRUE;

  if (slices->kind != EVO_YAML_LIST || slices->items->len == 0 || slices->items->len > 1000)
    return evo_recipe_fail (r, slices->line, error, "slices needs a list of 1 to 1000, each - sources: with a list of models");
  g_ptr_array_set_size (s->inputs, 0); /* slices name their models themselves, a base too */
  g_array_set_size (s->lines, 0);
  for (guint k = 0; k < slices->items->len; k++) {
    EvoRecipeStage *sub = read_slice (r, s, slices->items->pdata[k], error);

    if (sub == NULL)
      return FALSE;
    g_ptr_array_add (read, sub);
    sub->place = s->n_layers;
    s->n_layers += sub->n_layers;
  }
  for (guint k = 0; k < read->len; k++)
    keep = keep && ((const EvoRecipeStage *) read->pdata[k])->base == s->base && keeps_place (read->pdata[k], read->pdata[0], s->n_layers);
  if (keep)
    join_in_place (s, read);
  else
    join_apart (s, read);
  return TRUE;
}
