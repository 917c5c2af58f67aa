/* SPDX-License-Identifier: Apache-2.0
 * values.c - values of a recipe in the words of a pipeline: filters become globs, gradients lists.
 */
#include <string.h>

#include "core/graph/recipe/params/params.h"

static double
number (const EvoYaml *v)
{
  double x = 0;

  evo_yaml_number (v, &x);
  return x;
}

/* nuslerp_row_wise says what nuslerp_flatten: false means. */
static const char *
if_false (const EvoRecipeParams *p)
{
  const EvoYaml *own = p->key->beside == NULL ? NULL : evo_yaml_member (p->s->module, p->key->beside);
  const EvoYaml *v = own != NULL || p->key->beside == NULL ? own : evo_yaml_member (evo_yaml_member (p->s->root, "parameters"), p->key->beside);
  gboolean flag;

  return v != NULL && evo_yaml_flag (v, &flag) && flag ? p->key->if_beside : p->key->if_false;
}

static void
write_scalar (const EvoRecipeParams *p, const EvoYaml *v)
{
  gboolean flag = FALSE;

  if (p->key->kind == EVO_RECIPE_FLAG && evo_yaml_flag (v, &flag) && p->key->if_true != NULL)
    evo_json_add_string (p->w, flag ? p->key->if_true : if_false (p));
  else if (p->key->kind == EVO_RECIPE_FLAG)
    evo_json_add_bool (p->w, flag);
  else
    evo_json_add_number (p->w, number (v));
}

/* mergekit's place on a list: the first layer of a slice has its first number, the last one its last; a single layer has the last. */
static double
at_layer (const EvoYaml *list, gint32 i, gint32 n)
{
  double s = (n > 1 ? (double) i / (n - 1) : 1) * (list->items->len - 1), f = s - (guint) s;
  guint a = (guint) s, b = MIN (a + 1, list->items->len - 1);

  return number (list->items->pdata[a]) * (1 - f) + number (list->items->pdata[b]) * f;
}

/* As long as the model has layers, so that each number is one layer's; other slices' are the nearest of this one, and not used. */
static void
write_slice (const EvoRecipeParams *p, const EvoYaml *list, guint seg)
{
  const EvoRecipeSegment *g = evo_recipe_segment (p->s, seg), *last = evo_recipe_segment (p->s, p->s->segments->len - 1);

  evo_json_begin_array (p->w);
  for (gint32 l = 0; l < last->first + last->n; l++)
    evo_json_add_number (p->w, at_layer (list, CLAMP (l - g->first, 0, g->n - 1), g->n));
  evo_json_end_array (p->w);
}

static void
write_list (const EvoRecipeParams *p, const EvoYaml *list)
{
  evo_json_begin_array (p->w);
  for (guint i = 0; i < list->items->len; i++)
    write_scalar (p, list->items->pdata[i]);
  evo_json_end_array (p->w);
}

static void
write_gradient (const EvoRecipeParams *p, const EvoYaml *list, guint seg, EvoRecipePart part)
{
  const EvoYaml *first = list->items->pdata[0], *last = list->items->pdata[list->items->len - 1];
  gboolean is_one_layer = evo_recipe_segment (p->s, 0)->n == 1;

  if (part == EVO_RECIPE_HEAD || part == EVO_RECIPE_REST || list->items->len == 1) {
    write_scalar (p, first);
  } else if (part == EVO_RECIPE_LAYERS) {
    write_slice (p, list, seg);
  } else if (!is_one_layer && number (first) == number (last)) {
    write_list (p, list);
  } else {
    evo_json_begin_object (p->w);
    evo_json_add_key (p->w, is_one_layer ? "@layers:0" : "@head");
    write_scalar (p, is_one_layer ? last : first);
    evo_json_add_key (p->w, "*");
    (is_one_layer ? write_scalar : write_list) (p, is_one_layer ? first : list);
    evo_json_end_object (p->w);
  }
}

static void
write_entry (const EvoRecipeParams *p, const EvoRecipeEntry *e, guint seg, EvoRecipePart part)
{
  if (e->value == NULL) {
    g_autoptr (EvoJsonDoc) doc = evo_json_parse (e->json, -1, "default", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);

    evo_json_add_value (p->w, evo_json_root (doc));
  } else if (e->value->kind == EVO_YAML_LIST) {
    write_gradient (p, e->value, seg, part);
  } else {
    write_scalar (p, e->value);
  }
}

/* ------------------------------------------------------------------ filters */

static char *
glob_of (const char *filter, gboolean is_whole)
{
  GString *glob = g_string_new (is_whole ? "" : "*");

  for (const char *c = filter; *c != '\0'; c++)
    if (strchr ("*?[", *c) != NULL)
      g_string_append_printf (glob, "[%c]", *c);
    else
      g_string_append_c (glob, *c);
  if (!is_whole)
    g_string_append_c (glob, '*');
  return g_string_free (glob, FALSE);
}

/* By name: in a slice that is merged apart layers have other numbers than the filter means. */
static void
write_names (const EvoRecipeParams *p, const EvoRecipeEntry *e, GHashTable *written, guint seg, EvoRecipePart part)
{
  for (guint t = 0; t < p->tensors->len; t++) {
    const EvoRecipeTensor *tensor = &g_array_index (p->tensors, EvoRecipeTensor, t);
    g_autofree char *glob = glob_of (tensor->name, TRUE);

    if (!evo_recipe_entry_matches (e, tensor) || !evo_recipe_tensor_is_in (tensor, p->s, seg, part) || !g_hash_table_add (written, tensor->name))
      continue;
    evo_json_add_key (p->w, glob);
    write_entry (p, e, seg, part);
  }
}

void
evo_recipe_write_entries (const EvoRecipeParams *p, const GArray *entries, guint seg, EvoRecipePart part)
{
  g_autoptr (GHashTable) written = g_hash_table_new (g_str_hash, g_str_equal);
  const EvoRecipeEntry *only = NULL;
  guint n = 0;

  for (guint i = 0; i < entries->len; i++)
    if (g_array_index (entries, EvoRecipeEntry, i).reached) {
      only = &g_array_index (entries, EvoRecipeEntry, i);
      n++;
    }
  if (n == 1 && only->filter == NULL) {
    write_entry (p, only, seg, part);
    return;
  }
  evo_json_begin_object (p->w);
  for (guint i = 0; i < entries->len; i++) {
    const EvoRecipeEntry *e = &g_array_index (entries, EvoRecipeEntry, i);
    g_autofree char *glob = e->filter == NULL ? g_strdup ("*") : glob_of (e->filter, FALSE);

    if (!e->reached)
      continue;
    if (p->s->offsets != NULL && evo_recipe_entry_names_layer (e)) {
      write_names (p, e, written, seg, part);
      continue;
    }
    evo_json_add_key (p->w, glob);
    write_entry (p, e, seg, part);
  }
  evo_json_end_object (p->w);
}
