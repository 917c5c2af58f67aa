/* SPDX-License-Identifier: Apache-2.0
 * filters.c - which of the values a tensor takes; and that each is taken by one, and that each tensor has one.
 */
#include <string.h>

#include "core/graph/recipe/params/params.h"

gboolean
evo_recipe_entry_matches (const EvoRecipeEntry *e, const EvoRecipeTensor *t)
{
  return e->filter == NULL || strstr (t->match, e->filter) != NULL;
}

gboolean
evo_recipe_entry_names_layer (const EvoRecipeEntry *e)
{
  return e->filter != NULL && strpbrk (e->filter, "0123456789") != NULL;
}

static gboolean
matches_any (const EvoRecipeParams *p, const EvoRecipeEntry *e)
{
  for (guint t = 0; t < p->tensors->len; t++)
    if (evo_recipe_entry_matches (e, &g_array_index (p->tensors, EvoRecipeTensor, t)))
      return TRUE;
  return FALSE;
}

const EvoRecipeTensor *
evo_recipe_reach (const EvoRecipeParams *p, GArray *entries, guint seg, EvoRecipePart part)
{
  const EvoRecipeTensor *without = NULL;

  for (guint t = 0; t < p->tensors->len; t++) {
    const EvoRecipeTensor *tensor = &g_array_index (p->tensors, EvoRecipeTensor, t);
    gboolean taken = FALSE;

    for (guint i = 0; evo_recipe_tensor_is_in (tensor, p->s, seg, part) && i < entries->len; i++) {
      EvoRecipeEntry *e = &g_array_index (entries, EvoRecipeEntry, i);

      if (!evo_recipe_entry_matches (e, tensor))
        continue;
      e->reached |= !taken;
      taken = TRUE;
    }
    if (!taken && without == NULL && evo_recipe_tensor_is_in (tensor, p->s, seg, part))
      without = tensor;
  }
  return without;
}

const EvoRecipeTensor *
evo_recipe_reach_all (const EvoRecipeParams *p, GArray *entries, guint seg)
{
  guint last = p->s->segments->len - 1;
  const EvoRecipeTensor *without;

  if (last == 0 && p->s->offsets == NULL)
    return evo_recipe_reach (p, entries, 0, EVO_RECIPE_ALL);
  if (last == 0) { /* merged apart: what lies outside the layers is wanted of the first and the last slice only */
    without = evo_recipe_reach (p, entries, 0, EVO_RECIPE_LAYERS);
    if (p->s->is_first && without == NULL)
      without = evo_recipe_reach (p, entries, 0, EVO_RECIPE_REST);
    return p->s->is_last && without == NULL ? evo_recipe_reach (p, entries, 0, EVO_RECIPE_HEAD) : without;
  }
  without = evo_recipe_reach (p, entries, seg, EVO_RECIPE_LAYERS);
  if (seg == 0 && without == NULL)
    without = evo_recipe_reach (p, entries, seg, EVO_RECIPE_REST);
  if (seg == last && without == NULL)
    without = evo_recipe_reach (p, entries, seg, EVO_RECIPE_HEAD);
  return without;
}

gboolean
evo_recipe_check_used (const EvoRecipeParams *p, const GArray *entries, GError **error)
{
  for (guint i = 0; i < entries->len; i++) {
    const EvoRecipeEntry *e = &g_array_index (entries, EvoRecipeEntry, i);
    g_autofree char *quoted = e->filter == NULL ? NULL : evo_json_quoted (e->filter);

    if (e->reached || e->value == NULL || (p->s->offsets != NULL && evo_recipe_entry_names_layer (e)))
      continue;
    if (matches_any (p, e) && p->s->segments->len == 1 && p->s->offsets == NULL)
      evo_recipe_note (p->r, e->line, "this value of %s is never used: what stands before it takes all", p->key->key);
    else if (!matches_any (p, e) && strstr (e->filter, "lm_head") == NULL)
      return evo_recipe_fail (p->r, e->line, error, "filter %s is part of no tensor's name; evopipe inspect MODEL shows them", quoted);
    else if (!matches_any (p, e))
      evo_recipe_note (p->r, e->line, "this value of %s is not used: the models have no lm_head of their own", p->key->key);
  }
  return TRUE;
}

gboolean
evo_recipe_check_required (const EvoRecipeParams *p, guint seg, GError **error)
{
  g_autoptr (GArray) own = NULL, node = NULL;
  guint line = evo_yaml_member (p->s->root, "merge_method")->line;
  const EvoRecipeTensor *without;

  if (!p->key->required || p->key->per_input != (p->input >= 0))
    return TRUE;
  if ((own = evo_recipe_entries (p, seg, p->input, error)) == NULL || (node = evo_recipe_entries (p, seg, -1, error)) == NULL)
    return FALSE;
  if (p->input >= 0)
    g_array_append_vals (own, node->data, node->len);
  without = evo_recipe_reach_all (p, own, seg);
  if (without == NULL)
    return TRUE;
  if (own->len > 0)
    line = g_array_index (own, EvoRecipeEntry, 0).line;
  else if (p->input >= 0)
    line = g_array_index (p->s->lines, guint, p->input);
  if (own->len == 0)
    return evo_recipe_fail (p->r, line, error, "%s needs a %s%s; write it under parameters", p->s->method->name, p->key->key,
                            p->input >= 0 ? " for this model" : "");
  return evo_recipe_fail (p->r, line, error, "%s has no value for \"%s\"; add one for the rest, as - value: 0.5", p->key->key, without->name);
}
