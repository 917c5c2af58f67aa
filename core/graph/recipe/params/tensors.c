/* SPDX-License-Identifier: Apache-2.0
 * tensors.c - the tensors of a recipe's merge as its filters see them: their names here and in mergekit, the layer of each.
 */
#include <string.h>

#include "core/graph/recipe/params/params.h"

/* "model.layers.11.mlp": the number between points. */
static gint32
layer_of (const char *name)
{
  for (const char *p = strchr (name, '.'); p != NULL; p = strchr (p + 1, '.')) {
    gsize n = strspn (p + 1, "0123456789");

    if (n > 0 && n < 7 && p[1 + n] == '.')
      return (gint32) g_ascii_strtoll (p + 1, NULL, 10);
  }
  return -1;
}

static gboolean
is_head (const char *name)
{
  return strstr (name, "norm") != NULL || strstr (name, "lm_head") != NULL || strstr (name, "ln_f") != NULL || strstr (name, "embed_out") != NULL;
}

/* The name with another layer's number (owned). */
static char *
rename_layer (const char *name, gint32 to)
{
  const char *p = strchr (name, '.');

  while (p[1 + strspn (p + 1, "0123456789")] != '.' || !g_ascii_isdigit (p[1]))
    p = strchr (p + 1, '.');
  return g_strdup_printf ("%.*s%d%s", (int) (p + 1 - name), name, to, p + 1 + strspn (p + 1, "0123456789"));
}

static void
clear_tensor (gpointer data)
{
  g_free (((EvoRecipeTensor *) data)->name);
  g_free (((EvoRecipeTensor *) data)->match);
}

/* One layer's tensor for all n layers: the store has them of another number, or under other places. */
static void
add_layers (GArray *tensors, const char *name, gint32 n, gint32 offset)
{
  for (gint32 l = 0; l < n; l++) {
    EvoRecipeTensor t = { rename_layer (name, l), rename_layer (name, l + offset), l, FALSE };

    g_array_append_val (tensors, t);
  }
}

GArray *
evo_recipe_tensors (const EvoRecipeStage *s, gint i)
{
  const EvoRecipeModel *like = s->base != NULL ? s->base : s->inputs->pdata[0];
  gint32 offset = s->offsets == NULL ? 0 : i >= 0 ? g_array_index (s->offsets, gint32, i) : s->place;
  gboolean is_other = s->offsets != NULL || (like->is_stage && s->n_layers > 0);
  GArray *tensors = g_array_new (FALSE, FALSE, sizeof (EvoRecipeTensor));

  g_array_set_clear_func (tensors, clear_tensor);
  for (guint k = 0; k < evo_store_get_n_tensors (like->store); k++) {
    const char *name = evo_store_get_tensor (like->store, k)->name;
    gint32 layer = layer_of (name);

    if (strstr (name, "inv_freq") != NULL || strstr (name, "masked_bias") != NULL || (is_other && layer > 0))
      continue;
    if (is_other && layer == 0) {
      add_layers (tensors, name, s->n_layers, offset);
    } else {
      EvoRecipeTensor t = { g_strdup (name), g_strdup (name), layer, layer < 0 && is_head (name) };

      g_array_append_val (tensors, t);
    }
  }
  return tensors;
}

const EvoRecipeSegment *
evo_recipe_segment (const EvoRecipeStage *s, guint i)
{
  return s->segments->pdata[i];
}

gboolean
evo_recipe_tensor_is_in (const EvoRecipeTensor *t, const EvoRecipeStage *s, guint seg, EvoRecipePart part)
{
  const EvoRecipeSegment *g = evo_recipe_segment (s, seg);

  switch (part) {
  case EVO_RECIPE_ALL:
    return TRUE;
  case EVO_RECIPE_LAYERS:
    return t->layer >= g->first && t->layer < g->first + g->n;
  case EVO_RECIPE_HEAD:
    return t->is_head;
  default:
    return t->layer < 0 && !t->is_head;
  }
}
