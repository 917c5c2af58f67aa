/* SPDX-License-Identifier: Apache-2.0
 * params.c - the parameters of a recipe as members of a pipeline's node or edge: one after another, slices as ranges of layers.
 */
#include "core/graph/recipe/params/params.h"

/* One part of a model that has several slices; nothing where nothing is said of it. */
static gboolean
write_part (const EvoRecipeParams *p, guint seg, EvoRecipePart part, const char *selector, GError **error)
{
  g_autoptr (GArray) entries = evo_recipe_entries (p, seg, p->input, error);
  gboolean is_said = FALSE;

  if (entries == NULL)
    return FALSE;
  evo_recipe_reach (p, entries, seg, part);
  for (guint i = 0; i < entries->len; i++)
    is_said |= g_array_index (entries, EvoRecipeEntry, i).reached;
  if (!is_said)
    return TRUE;
  evo_json_add_key (p->w, selector);
  evo_recipe_write_entries (p, entries, seg, part);
  return TRUE;
}

static gboolean
write_slices (const EvoRecipeParams *p, GError **error)
{
  guint n = p->s->segments->len;

  evo_json_begin_object (p->w);
  for (guint seg = 0; seg < n; seg++) {
    const EvoRecipeSegment *g = evo_recipe_segment (p->s, seg);
    g_autofree char *selector = g_strdup_printf ("@layers:%d-%d", g->first, g->first + g->n - 1);

    if (!write_part (p, seg, EVO_RECIPE_LAYERS, selector, error))
      return FALSE;
  }
  if (!write_part (p, n - 1, EVO_RECIPE_HEAD, "@head", error) || !write_part (p, 0, EVO_RECIPE_REST, "*", error))
    return FALSE;
  evo_json_end_object (p->w);
  return TRUE;
}

/* Whether anything is said of this parameter, and whether all slices say the same one number. */
static gboolean
look (const EvoRecipeParams *p, gboolean *is_said, gboolean *is_same, GError **error)
{
  const EvoYaml *first = NULL;

  *is_said = FALSE;
  *is_same = TRUE;
  for (guint seg = 0; seg < p->s->segments->len; seg++) {
    g_autoptr (GArray) entries = evo_recipe_entries (p, seg, p->input, error);
    const EvoRecipeEntry *e;

    if (entries == NULL || !evo_recipe_check_required (p, seg, error))
      return FALSE;
    evo_recipe_reach_all (p, entries, seg);
    if (!evo_recipe_check_used (p, entries, error))
      return FALSE;
    e = entries->len == 0 ? NULL : &g_array_index (entries, EvoRecipeEntry, 0);
    *is_said |= e != NULL;
    if (e == NULL || e->filter != NULL || (e->value != NULL && e->value->kind == EVO_YAML_LIST) || (seg > 0 && e->value != first))
      *is_same = FALSE;
    first = e == NULL ? NULL : e->value;
  }
  return TRUE;
}

static gboolean
write_param (const EvoRecipeParams *p, GError **error)
{
  g_autoptr (GArray) entries = NULL;
  gboolean is_said, is_same;

  if (!look (p, &is_said, &is_same, error))
    return FALSE;
  if (p->key->param == NULL)
    return (is_said && !is_same) ? evo_recipe_fail (p->r, evo_yaml_member (p->s->root, "merge_method")->line, error,
                                                    "%s is one for the whole merge: true or false, without filters", p->key->key) : TRUE;
  if (!is_said)
    return TRUE;
  evo_json_add_key (p->w, p->key->param);
  if (p->s->segments->len > 1 && !is_same)
    return write_slices (p, error);
  entries = evo_recipe_entries (p, 0, p->input, error);
  if (entries == NULL)
    return FALSE;
  evo_recipe_reach (p, entries, 0, EVO_RECIPE_ALL);
  evo_recipe_write_entries (p, entries, 0, EVO_RECIPE_ALL);
  return TRUE;
}

gboolean
evo_recipe_write_params (EvoRecipe *r, const EvoRecipeStage *s, gint i, EvoJsonWriter *w, GError **error)
{
  g_autoptr (GArray) tensors = evo_recipe_tensors (s, i);
  EvoRecipeParams p = { r, s, NULL, i, tensors, w };

  for (guint k = 0; k < G_N_ELEMENTS (s->method->keys) && s->method->keys[k].key != NULL; k++) {
    p.key = &s->method->keys[k];
    if (i >= 0 && !p.key->per_input)
      continue;
    if (!write_param (&p, error))
      return FALSE;
  }
  return TRUE;
}
