/* SPDX-License-Identifier: Apache-2.0
 * stack.c - slices that are merged apart, as nodes: paths through their models, a merge for each, and a path over the merges.
 *
 * The path has the embedding of the first slice, the final norm and the output matrix of the last.
 */
#include <string.h>

#include "core/graph/recipe/read.h"

typedef struct {
  EvoRecipe *r;
  const EvoRecipeStage *s;
  EvoJsonWriter *w;
  GHashTable *paths;      /* "model:first-last" -> node */
  GPtrArray *in, *hops;   /* of the last path: nodes and texts, owned */
} Stack;

static char *
range_text (gint32 first, gint32 n)
{
  return n == 1 ? g_strdup_printf ("%d", first) : g_strdup_printf ("%d-%d", first, first + n - 1);
}

static void
write_texts (EvoJsonWriter *w, const char *key, const GPtrArray *texts)
{
  evo_json_add_key (w, key);
  evo_json_begin_array (w);
  for (guint i = 0; i < texts->len; i++)
    evo_json_add_string (w, texts->pdata[i]);
  evo_json_end_array (w);
}

static void
write_path (const Stack *k, const char *node, const GPtrArray *in, const GPtrArray *hops, const char *dtype, gboolean ends)
{
  evo_json_add_key (k->w, node);
  evo_json_begin_object (k->w);
  evo_json_add_key (k->w, "use");
  evo_json_add_string (k->w, "merge.layer-path");
  if (dtype != NULL) {
    evo_json_add_key (k->w, "dtype");
    evo_json_add_string (k->w, dtype);
  }
  evo_recipe_write_compat (k->r, k->s->root, k->w);
  write_texts (k->w, "path", hops);
  if (ends) {
    evo_json_add_key (k->w, "outer");
    evo_json_add_string (k->w, "ends");
  }
  if (k->s->n_layers > 1000) { /* the operator's own limit is for searches */
    evo_json_add_key (k->w, "max_hops");
    evo_json_add_integer (k->w, k->s->n_layers);
  }
  write_texts (k->w, "in", in);
  evo_json_end_object (k->w);
}

/* The node of these layers of a model, which is the model itself where they are all it has (owned). */
static char *
part_of (Stack *k, const EvoRecipeModel *m, gint32 first, gint32 n)
{
  g_autofree char *range = range_text (first, n), *key = g_strconcat (m->node, ":", range, NULL), *wish = g_strconcat (m->node, "-", range, NULL);
  g_autoptr (GPtrArray) in = g_ptr_array_new (), hops = g_ptr_array_new ();
  const char *known = g_hash_table_lookup (k->paths, key);
  char *node;

  if (first == 0 && n == m->n_layers)
    return g_strdup (m->node);
  if (known != NULL)
    return g_strdup (known);
  node = evo_recipe_new_name (k->r, wish);
  g_ptr_array_add (in, m->node);
  g_ptr_array_add (hops, key);
  write_path (k, node, in, hops, NULL, FALSE);
  g_hash_table_insert (k->paths, g_strdup (key), g_strdup (node));
  return node;
}

/* Whether something is said of the tokenizer or its template, which only merges take. */
static gboolean
has_tokens (const EvoRecipeStage *s)
{
  static const char *const keys[] = { "tokenizer", "tokenizer_source", "chat_template" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (evo_yaml_member (s->root, keys[i]) != NULL)
      return TRUE;
  return FALSE;
}

/* One model as it is needs no merge. */
static gboolean
is_copied (const EvoRecipeStage *sub)
{
  const EvoRecipeSegment *g = sub->segments->pdata[0];
  const EvoYaml *said[] = { g->source[0], g->slice, sub->module, evo_yaml_member (sub->root, "parameters") };

  for (guint i = 0; i < G_N_ELEMENTS (said); i++)
    if (evo_yaml_member (said[i], "scale") != NULL)
      return FALSE;
  return strcmp (sub->method->name, "passthrough") == 0 && !has_tokens (sub);
}

static void
add_hops (Stack *k, const char *node, gint32 first, gint32 n)
{
  g_autofree char *range = range_text (first, n);

  if (!g_ptr_array_find_with_equal_func (k->in, node, g_str_equal, NULL))
    g_ptr_array_add (k->in, g_strdup (node));
  g_ptr_array_add (k->hops, g_strconcat (node, ":", range, NULL));
}

static gboolean
write_slice (Stack *k, guint i, GError **error)
{
  const EvoRecipeStage *sub = k->s->slices->pdata[i];
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *wish = g_strdup_printf ("slice-%u", i + 1), *node = NULL;
  gboolean has_base = sub->base != NULL && evo_recipe_stage_is_apart (sub, sub->base);

  if (is_copied (sub)) {
    add_hops (k, ((const EvoRecipeModel *) sub->inputs->pdata[0])->node, g_array_index (sub->offsets, gint32, 0), sub->n_layers);
    return TRUE;
  }
  for (guint e = 0; e < sub->inputs->len; e++)
    g_ptr_array_add (names, part_of (k, sub->inputs->pdata[e], g_array_index (sub->offsets, gint32, e), sub->n_layers));
  g_ptr_array_add (names, has_base ? part_of (k, sub->base, g_array_index (sub->offsets, gint32, sub->inputs->len), sub->n_layers) : NULL);
  node = evo_recipe_new_name (k->r, wish);
  add_hops (k, node, 0, sub->n_layers);
  return evo_recipe_write_merge (k->r, sub, node, NULL, (char *const *) names->pdata, k->w, error);
}

/* Configuration and tokenizer are those of base_model, which the first slice need not have; unless that chose a tokenizer. */
static void
put_base_first (Stack *k)
{
  const EvoRecipeStage *first = k->s->slices->pdata[0];
  const EvoRecipeModel *like = first->base != NULL ? first->base : first->inputs->pdata[0];

  if (k->s->base == NULL || k->s->base == like || has_tokens (k->s))
    return;
  for (guint i = 0; i < k->in->len; i++)
    if (strcmp (k->in->pdata[i], k->s->base->node) == 0)
      g_ptr_array_remove_index (k->in, i);
  g_ptr_array_insert (k->in, 0, g_strdup (k->s->base->node));
}

gboolean
evo_recipe_write_stack (EvoRecipe *r, const EvoRecipeStage *s, const char *node, const char *dtype, EvoJsonWriter *w, GError **error)
{
  g_autoptr (GHashTable) paths = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr (GPtrArray) in = g_ptr_array_new_with_free_func (g_free), hops = g_ptr_array_new_with_free_func (g_free);
  Stack k = { r, s, w, paths, in, hops };

  for (guint i = 0; i < s->slices->len; i++)
    if (!write_slice (&k, i, error))
      return FALSE;
  put_base_first (&k);
  write_path (&k, node, in, hops, dtype, TRUE);
  return TRUE;
}
