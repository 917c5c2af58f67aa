/* SPDX-License-Identifier: Apache-2.0
 * params.c - parameters of a recipe as values of a pipeline: filters become globs, gradients lists, slices ranges of layers.
 *
 * mergekit asks source, slice, module, top level, in this order; within each the first filter that is a part of the tensor's name. A pipeline
 * asks the edge, then the node: sources are edges, the rest stands in the node, in the same order. A gradient there gives what is in no
 * layer its first number, the output matrix and the final norm too; here these have the last, so "@head" is said.
 */
#include <string.h>

#include "core/graph/recipe/read.h"

/* One filter and its value: of the recipe, or (value NULL) the method's default as JSON. A filter of NULL takes all. */
typedef struct { const char *filter, *json; const EvoYaml *value; guint line; gboolean reached; } Entry;
/* name: in the node's model; match: where mergekit looks for filters, which differs for a slice that is merged apart. layer -1: in none */
typedef struct { char *name, *match; gint32 layer; gboolean is_head; } Tensor;
/* Where entries hold: all of a model, the layers of one slice, the head of the last slice, the rest of the first. */
typedef enum { ALL, LAYERS, HEAD, REST } Part;

typedef struct {
  EvoRecipe *r;
  const EvoRecipeStage *s;
  const EvoRecipeKey *key;
  gint input;               /* -1: the node */
  GArray *tensors;
  EvoJsonWriter *w;
} Params;

static const EvoRecipeSegment *
segment (const EvoRecipeStage *s, guint i)
{
  return s->segments->pdata[i];
}

/* ------------------------------------------------------------------ tensors */

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
  g_free (((Tensor *) data)->name);
  g_free (((Tensor *) data)->match);
}

/* One layer's tensor for all n layers: the store has them of another number, or under other places. */
static void
add_layers (GArray *tensors, const char *name, gint32 n, gint32 offset)
{
  for (gint32 l = 0; l < n; l++) {
    Tensor t = { rename_layer (name, l), rename_layer (name, l + offset), l, FALSE };

    g_array_append_val (tensors, t);
  }
}

/* The names that the result has, but buffers that no merge keeps. i: the input whose names filters are looked for in; -1: the result's. */
static GArray *
tensors_of (const EvoRecipeStage *s, gint i)
{
  const EvoRecipeModel *like = s->base != NULL ? s->base : s->inputs->pdata[0];
  gint32 offset = s->offsets == NULL ? 0 : i >= 0 ? g_array_index (s->offsets, gint32, i) : s->place;
  gboolean is_other = s->offsets != NULL || (like->is_stage && s->n_layers > 0);
  GArray *tensors = g_array_new (FALSE, FALSE, sizeof (Tensor));

  g_array_set_clear_func (tensors, clear_tensor);
  for (guint k = 0; k < evo_store_get_n_tensors (like->store); k++) {
    const char *name = evo_store_get_tensor (like->store, k)->name;
    gint32 layer = layer_of (name);

    if (strstr (name, "inv_freq") != NULL || strstr (name, "masked_bias") != NULL || (is_other && layer > 0))
      continue;
    if (is_other && layer == 0) {
      add_layers (tensors, name, s->n_layers, offset);
    } else {
      Tensor t = { g_strdup (name), g_strdup (name), layer, layer < 0 && is_head (name) };

      g_array_append_val (tensors, t);
    }
  }
  return tensors;
}

static gboolean
is_in (const Params *p, const Tensor *t, guint seg, Part part)
{
  const EvoRecipeSegment *g = segment (p->s, seg);

  switch (part) {
  case ALL:
    return TRUE;
  case LAYERS:
    return t->layer >= g->first && t->layer < g->first + g->n;
  case HEAD:
    return t->is_head;
  default:
    return t->layer < 0 && !t->is_head;
  }
}

/* ------------------------------------------------------------------ values */

static gboolean
fail_value (const Params *p, const EvoYaml *v, GError **error)
{
  static const char *const needs[] = { "a number, or a list of numbers (a gradient over the layers)", "a number from 0 to 1, or a list of such",
                                       "a whole number from 1 on", "true or false" };
  g_autofree char *quoted = evo_yaml_text (v) == NULL ? g_strdup (evo_yaml_kind_name (v)) : evo_json_quoted (v->text);

  return evo_recipe_fail (p->r, v->line, error, "%s needs %s, not %s", p->key->key, needs[p->key->kind], quoted);
}

static gboolean
check_scalar (const Params *p, const EvoYaml *v, GError **error)
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
check_value (const Params *p, const EvoYaml *v, GError **error)
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
add_filter (const Params *p, const EvoYaml *v, GArray *entries, GError **error)
{
  static const char *const keys[] = { "filter", "value", NULL };
  const EvoYaml *value = evo_yaml_member (v, "value"), *filter = evo_yaml_member (v, "filter");
  Entry e = { .value = value, .line = v->line };

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
add_level (const Params *p, const EvoYaml *params, GArray *entries, GError **error)
{
  const EvoYaml *v = evo_yaml_member (params, p->key->key);
  Entry e = { .value = v };

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

/* What holds for one input (its source), or for the node: slice, module, top level, default. */
static GArray *
entries_of (const Params *p, guint seg, gint input, GError **error)
{
  const EvoRecipeSegment *g = segment (p->s, seg);
  const EvoYaml *node[] = { g->slice, p->s->module, evo_yaml_member (p->s->root, "parameters") };
  g_autoptr (GArray) entries = g_array_new (FALSE, TRUE, sizeof (Entry));
  Entry def = { .json = p->key->def };

  if (input >= 0)
    return add_level (p, g->source[input], entries, error) ? g_steal_pointer (&entries) : NULL;
  for (guint i = 0; i < G_N_ELEMENTS (node); i++)
    if (!add_level (p, node[i], entries, error))
      return NULL;
  if (def.json != NULL)
    g_array_append_val (entries, def);
  return g_steal_pointer (&entries);
}

/* ------------------------------------------------------------------ what matches */

static gboolean
matches (const Entry *e, const Tensor *t)
{
  return e->filter == NULL || strstr (t->match, e->filter) != NULL;
}

static gboolean
matches_any (const Params *p, const Entry *e)
{
  for (guint t = 0; t < p->tensors->len; t++)
    if (matches (e, &g_array_index (p->tensors, Tensor, t)))
      return TRUE;
  return FALSE;
}

/* Marks what the tensors of a part take. The first that takes nothing, NULL: all do. */
static const Tensor *
reach (const Params *p, GArray *entries, guint seg, Part part)
{
  const Tensor *without = NULL;

  for (guint t = 0; t < p->tensors->len; t++) {
    const Tensor *tensor = &g_array_index (p->tensors, Tensor, t);
    gboolean taken = FALSE;

    for (guint i = 0; is_in (p, tensor, seg, part) && i < entries->len; i++) {
      Entry *e = &g_array_index (entries, Entry, i);

      if (!matches (e, tensor))
        continue;
      e->reached |= !taken;
      taken = TRUE;
    }
    if (!taken && without == NULL && is_in (p, tensor, seg, part))
      without = tensor;
  }
  return without;
}

static const Tensor *
reach_all (const Params *p, GArray *entries, guint seg)
{
  guint last = p->s->segments->len - 1;
  const Tensor *without;

  if (last == 0 && p->s->offsets == NULL)
    return reach (p, entries, 0, ALL);
  if (last == 0) { /* merged apart: what lies outside the layers is wanted of the first and the last slice only */
    without = reach (p, entries, 0, LAYERS);
    if (p->s->is_first && without == NULL)
      without = reach (p, entries, 0, REST);
    return p->s->is_last && without == NULL ? reach (p, entries, 0, HEAD) : without;
  }
  without = reach (p, entries, seg, LAYERS);
  if (seg == 0 && without == NULL)
    without = reach (p, entries, seg, REST);
  if (seg == last && without == NULL)
    without = reach (p, entries, seg, HEAD);
  return without;
}

/* A filter with a layer's number may be meant for another slice. */
static gboolean
matches_elsewhere (const Entry *e)
{
  return e->filter != NULL && strpbrk (e->filter, "0123456789") != NULL;
}

/* Filters that take no tensor: a mistake, but for lm_head, which models with tied embeddings have not. */
static gboolean
check_used (const Params *p, const GArray *entries, GError **error)
{
  for (guint i = 0; i < entries->len; i++) {
    const Entry *e = &g_array_index (entries, Entry, i);
    g_autofree char *quoted = e->filter == NULL ? NULL : evo_json_quoted (e->filter);

    if (e->reached || e->value == NULL || (p->s->offsets != NULL && matches_elsewhere (e)))
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

/* A value that must be given is there for every tensor, of the input or of the whole merge. */
static gboolean
check_required (const Params *p, guint seg, GError **error)
{
  g_autoptr (GArray) own = NULL, node = NULL;
  guint line = evo_yaml_member (p->s->root, "merge_method")->line;
  const Tensor *without;

  if (!p->key->required || p->key->per_input != (p->input >= 0))
    return TRUE;
  if ((own = entries_of (p, seg, p->input, error)) == NULL || (node = entries_of (p, seg, -1, error)) == NULL)
    return FALSE;
  if (p->input >= 0)
    g_array_append_vals (own, node->data, node->len);
  without = reach_all (p, own, seg);
  if (without == NULL)
    return TRUE;
  if (own->len > 0)
    line = g_array_index (own, Entry, 0).line;
  else if (p->input >= 0)
    line = g_array_index (p->s->lines, guint, p->input);
  if (own->len == 0)
    return evo_recipe_fail (p->r, line, error, "%s needs a %s%s; write it under parameters", p->s->method->name, p->key->key,
                            p->input >= 0 ? " for this model" : "");
  return evo_recipe_fail (p->r, line, error, "%s has no value for \"%s\"; add one for the rest, as - value: 0.5", p->key->key, without->name);
}

/* ------------------------------------------------------------------ writing */

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

static double
number (const EvoYaml *v)
{
  double x = 0;

  evo_yaml_number (v, &x);
  return x;
}

/* nuslerp_row_wise says what nuslerp_flatten: false means. */
static const char *
if_false (const Params *p)
{
  const EvoYaml *own = p->key->beside == NULL ? NULL : evo_yaml_member (p->s->module, p->key->beside);
  const EvoYaml *v = own != NULL || p->key->beside == NULL ? own : evo_yaml_member (evo_yaml_member (p->s->root, "parameters"), p->key->beside);
  gboolean flag;

  return v != NULL && evo_yaml_flag (v, &flag) && flag ? p->key->if_beside : p->key->if_false;
}

static void
write_scalar (const Params *p, const EvoYaml *v)
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
write_slice (const Params *p, const EvoYaml *list, guint seg)
{
  const EvoRecipeSegment *g = segment (p->s, seg), *last = segment (p->s, p->s->segments->len - 1);

  evo_json_begin_array (p->w);
  for (gint32 l = 0; l < last->first + last->n; l++)
    evo_json_add_number (p->w, at_layer (list, CLAMP (l - g->first, 0, g->n - 1), g->n));
  evo_json_end_array (p->w);
}

static void
write_list (const Params *p, const EvoYaml *list)
{
  evo_json_begin_array (p->w);
  for (guint i = 0; i < list->items->len; i++)
    write_scalar (p, list->items->pdata[i]);
  evo_json_end_array (p->w);
}

static void
write_gradient (const Params *p, const EvoYaml *list, guint seg, Part part)
{
  const EvoYaml *first = list->items->pdata[0], *last = list->items->pdata[list->items->len - 1];
  gboolean is_one_layer = segment (p->s, 0)->n == 1;

  if (part == HEAD || part == REST || list->items->len == 1) {
    write_scalar (p, first);
  } else if (part == LAYERS) {
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
write_entry (const Params *p, const Entry *e, guint seg, Part part)
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

/* By name: in a slice that is merged apart layers have other numbers than the filter means. */
static void
write_names (const Params *p, const Entry *e, GHashTable *written, guint seg, Part part)
{
  for (guint t = 0; t < p->tensors->len; t++) {
    const Tensor *tensor = &g_array_index (p->tensors, Tensor, t);
    g_autofree char *glob = glob_of (tensor->name, TRUE);

    if (!matches (e, tensor) || !is_in (p, tensor, seg, part) || !g_hash_table_add (written, tensor->name))
      continue;
    evo_json_add_key (p->w, glob);
    write_entry (p, e, seg, part);
  }
}

static void
write_entries (const Params *p, const GArray *entries, guint seg, Part part)
{
  g_autoptr (GHashTable) written = g_hash_table_new (g_str_hash, g_str_equal);
  const Entry *only = NULL;
  guint n = 0;

  for (guint i = 0; i < entries->len; i++)
    if (g_array_index (entries, Entry, i).reached) {
      only = &g_array_index (entries, Entry, i);
      n++;
    }
  if (n == 1 && only->filter == NULL) {
    write_entry (p, only, seg, part);
    return;
  }
  evo_json_begin_object (p->w);
  for (guint i = 0; i < entries->len; i++) {
    const Entry *e = &g_array_index (entries, Entry, i);
    g_autofree char *glob = e->filter == NULL ? g_strdup ("*") : glob_of (e->filter, FALSE);

    if (!e->reached)
      continue;
    if (p->s->offsets != NULL && matches_elsewhere (e)) {
      write_names (p, e, written, seg, part);
      continue;
    }
    evo_json_add_key (p->w, glob);
    write_entry (p, e, seg, part);
  }
  evo_json_end_object (p->w);
}

/* One part of a model that has several slices; nothing where nothing is said of it. */
static gboolean
write_part (const Params *p, guint seg, Part part, const char *selector, GError **error)
{
  g_autoptr (GArray) entries = entries_of (p, seg, p->input, error);
  gboolean is_said = FALSE;

  if (entries == NULL)
    return FALSE;
  reach (p, entries, seg, part);
  for (guint i = 0; i < entries->len; i++)
    is_said |= g_array_index (entries, Entry, i).reached;
  if (!is_said)
    return TRUE;
  evo_json_add_key (p->w, selector);
  write_entries (p, entries, seg, part);
  return TRUE;
}

static gboolean
write_slices (const Params *p, GError **error)
{
  guint n = p->s->segments->len;

  evo_json_begin_object (p->w);
  for (guint seg = 0; seg < n; seg++) {
    const EvoRecipeSegment *g = segment (p->s, seg);
    g_autofree char *selector = g_strdup_printf ("@layers:%d-%d", g->first, g->first + g->n - 1);

    if (!write_part (p, seg, LAYERS, selector, error))
      return FALSE;
  }
  if (!write_part (p, n - 1, HEAD, "@head", error) || !write_part (p, 0, REST, "*", error))
    return FALSE;
  evo_json_end_object (p->w);
  return TRUE;
}

/* Whether anything is said of this parameter, and whether all slices say the same one number. */
static gboolean
look (const Params *p, gboolean *is_said, gboolean *is_same, GError **error)
{
  const EvoYaml *first = NULL;

  *is_said = FALSE;
  *is_same = TRUE;
  for (guint seg = 0; seg < p->s->segments->len; seg++) {
    g_autoptr (GArray) entries = entries_of (p, seg, p->input, error);
    const Entry *e;

    if (entries == NULL || !check_required (p, seg, error))
      return FALSE;
    reach_all (p, entries, seg);
    if (!check_used (p, entries, error))
      return FALSE;
    e = entries->len == 0 ? NULL : &g_array_index (entries, Entry, 0);
    *is_said |= e != NULL;
    if (e == NULL || e->filter != NULL || (e->value != NULL && e->value->kind == EVO_YAML_LIST) || (seg > 0 && e->value != first))
      *is_same = FALSE;
    first = e == NULL ? NULL : e->value;
  }
  return TRUE;
}

static gboolean
write_param (const Params *p, GError **error)
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
  entries = entries_of (p, 0, p->input, error);
  if (entries == NULL)
    return FALSE;
  reach (p, entries, 0, ALL);
  write_entries (p, entries, 0, ALL);
  return TRUE;
}

gboolean
evo_recipe_write_params (EvoRecipe *r, const EvoRecipeStage *s, gint i, EvoJsonWriter *w, GError **error)
{
  g_autoptr (GArray) tensors = tensors_of (s, i);
  Params p = { r, s, NULL, i, tensors, w };

  for (guint k = 0; k < G_N_ELEMENTS (s->method->keys) && s->method->keys[k].key != NULL; k++) {
    p.key = &s->method->keys[k];
    if (i >= 0 && !p.key->per_input)
      continue;
    if (!write_param (&p, error))
      return FALSE;
  }
  return TRUE;
}
