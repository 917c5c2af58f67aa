/* SPDX-License-Identifier: Apache-2.0
 * entries.c - what a recipe says of one parameter, level after level: its values, each with the filter it stands under.
 */
#include <string.h>

#include "core/graph/recipe/params/params.h"

static gboolean
fail_value (const EvoRecipeParams *p, const EvoYaml *v, GError **error)
{
  static const char *const needs[] = { "a number, or a list of numbers (a gradient over the layers)", "a number from 0 to 1, or a list of such",
                                       "a whole number from 1 on", "true or false" };
  g_autofree char *quoted = evo_yaml_text (v) == NULL ? g_strdup (evo_yaml_kind_name (v)) : evo_json_quoted (v->text);

  return evo_recipe_fail (p->r, v->line, error, "%s needs %s, not %s", p->key->key, needs[p->key->kind], quoted);
}

static gboolean
check_scalar (const EvoRecipeParams *p, const EvoYaml *v, GError **error)
{
  gboolean flag;
  double x;

  if (p->key->kind == EVO_RECIPE_FLAG)
    return evo_yaml_flag (v, &flag) || fail_value (p, v, error);
  if (!evo_yaml_number (v, &x) || (p->key->kind == EVO_RECIPE_SHARE && !(x >= 0 && x <= 1)) ||
      (p->key->kind == EVO_RECIPE_WHOLE && !(x >= 1 && x <= 1e9 && x == (double) (gint64) x)))
    return fail_value (p, v, error);
  return TRUE;
}

static gboolean
check_value (const EvoRecipeParams *p, const EvoYaml *v, GError **error)
{
  if (v == NULL || v->kind != EVO_YAML_LIST)
    return check_scalar (p, v, error);
  if (v->items->len == 0 || p->key->kind == EVO_RECIPE_WHOLE || p->key->kind == EVO_RECIPE_FLAG)
    return fail_value (p, v, error);
  for (guint i = 0; i < v->items->len; i++)
    if (!check_scalar (p, v->items->pdata[i], error))
      return FALSE;
  return TRUE;
}

static gboolean
add_filter (const EvoRecipeParams *p, const EvoYaml *v, GArray *entries, GError **error)
{
  static const char *const keys[] = { "filter", "value", NULL };
  const EvoYaml *value = evo_yaml_member (v, "value"), *filter = evo_yaml_member (v, "filter");
  EvoRecipeEntry e = { .value = value, .line = v->line };

  if (!evo_recipe_check_keys (p->r, v, "a filter", keys, error))
    return FALSE;
  if (filter != NULL && (evo_yaml_text (filter) == NULL || *filter->text == '\0'))
    return evo_recipe_fail (p->r, filter->line, error, "filter needs a part of tensors' names, as self_attn");
  if (value == NULL)
    return evo_recipe_fail (p->r, v->line, error, "a filter of %s has no value; add value:", p->key->key);
  if (filter != NULL && strcmp (filter->text, "*") != 0)
    e.filter = filter->text;
  g_array_append_val (entries, e);
  return check_value (p, value, error);
}

/* The entries of one level. */
static gboolean
add_level (const EvoRecipeParams *p, const EvoYaml *params, GArray *entries, GError **error)
{
  const EvoYaml *v = evo_yaml_member (params, p->key->key);
  EvoRecipeEntry e = { .value = v };

  if (v == NULL)
    return TRUE;
  if (v->kind == EVO_YAML_LIST && v->items->len > 0 && ((const EvoYaml *) v->items->pdata[0])->kind == EVO_YAML_MAP) {
    for (guint i = 0; i < v->items->len; i++) {
      const EvoYaml *item = v->items->pdata[i];

      if (item->kind != EVO_YAML_MAP)
        return evo_recipe_fail (p->r, item->line, error, "%s mixes filters with plain values; a plain one is written - value: 0.5", p->key->key);
      if (!add_filter (p, item, entries, error))
        return FALSE;
    }
    return TRUE;
  }
  if (v->kind == EVO_YAML_MAP)
    return evo_recipe_fail (p->r, v->line, error, "%s is a map; filters are a list: - filter: self_attn, then value: below it", p->key->key);
  e.line = v->line;
  g_array_append_val (entries, e);
  return check_value (p, v, error);
}

GArray *
evo_recipe_entries (const EvoRecipeParams *p, guint seg, gint input, GError **error)
{
  const EvoRecipeSegment *g = evo_recipe_segment (p->s, seg);
  const EvoYaml *node[] = { g->slice, p->s->module, evo_yaml_member (p->s->root, "parameters") };
  g_autoptr (GArray) entries = g_array_new (FALSE, TRUE, sizeof (EvoRecipeEntry));
  EvoRecipeEntry def = { .json = p->key->def };

  if (input >= 0)
    return add_level (p, g->source[input], entries, error) ? g_steal_pointer (&entries) : NULL;
  for (guint i = 0; i < G_N_ELEMENTS (node); i++)
    if (!add_level (p, node[i], entries, error))
      return NULL;
  if (def.json != NULL)
    g_array_append_val (entries, def);
  return g_steal_pointer (&entries);
}
