/* SPDX-License-Identifier: Apache-2.0
 * gene-free.c - the pipeline that makes one model again: the nodes it needs, genes replaced by their numbers, finished searches by their files.
 *
 * Names, seeds and the order of inputs stay: random masks are addressed by them.
 */
#include <string.h>

#include "core/graph/path/evolve.h"
#include "core/graph/read/read.h"
#include "core/graph/vocab/vocab.h"

typedef struct {
  const EvoGraph *g;
  const double *x;
  gint64 trial;
  EvoSearchPath search_path;
  gpointer data;
  const gint32 *n_layers;
  EvoJsonWriter w;
} Recipe;

static void
add_text (Recipe *r, const char *key, const char *text)
{
  g_autofree char *escaped = evo_escape_variables (text);

  evo_json_add_key (&r->w, key);
  evo_json_add_string (&r->w, escaped);
}

/* ------------------------------------------------------------------ parameters */

/* What is bound once, with absolute paths. */
static void
write_bound (Recipe *r, const EvoParam *p, gconstpointer object)
{
  gconstpointer member = (const char *) object + p->offset;
  const EvoStrings *strings = member;
  const EvoNumbers *numbers = member;

  if (p->type == EVO_TYPE_STRING || p->type == EVO_TYPE_FILE) {
    add_text (r, p->name, *(const char *const *) member);
    return;
  }
  evo_json_add_key (&r->w, p->name);
  if (evo_param_is_numeric (p)) {
    EvoValue value = { .kind = EVO_VALUE_SCALAR, .scalar = evo_param_get_scalar (p, object) };

    evo_value_write (&value, p, NULL, 0, &r->w);
    return;
  }
  evo_json_begin_array (&r->w);
  for (gsize i = 0; p->type == EVO_TYPE_STRINGS && i < strings->n; i++) {
    g_autofree char *escaped = evo_escape_variables (strings->items[i]);

    evo_json_add_string (&r->w, escaped);
  }
  for (gsize i = 0; p->type == EVO_TYPE_NUMBERS && i < numbers->n; i++)
    evo_json_add_number (&r->w, numbers->items[i]);
  evo_json_end_array (&r->w);
}

/* One number may stand for a list of them, and need not mean what a list of one does. */
static void
write_param (Recipe *r, const EvoParam *p, const EvoJson *given, gconstpointer object)
{
  if (p->type != EVO_TYPE_NUMBERS || evo_json_kind (given) != EVO_JSON_NUMBER) {
    write_bound (r, p, object);
    return;
  }
  evo_json_add_key (&r->w, p->name);
  evo_json_add_value (&r->w, given);
}

/* What a path that was searched is written instead of. */
static gboolean
is_of_searched_path (const EvoNode *node, const char *name)
{
  static const char *const names[] = { "path", "scale", "ends", "repeats", NULL };

  return node->path_genes != NULL && g_strv_contains (names, name);
}

/* "a:0-3", "b:7": neighbours that follow each other are one range. */
static void
write_hops (Recipe *r, const EvoNode *node, const EvoPathHop *hops, guint n)
{
  evo_json_add_key (&r->w, "path");
  evo_json_begin_array (&r->w);
  for (guint i = 0, end; i < n; i = end) {
    g_autofree char *text = NULL;

    for (end = i + 1; end < n && hops[end].input == hops[i].input && hops[end].layer == hops[end - 1].layer + 1;)
      end++;
    text = end == i + 1 ? g_strdup_printf ("%s:%d", node->in[hops[i].input].from->name, hops[i].layer)
                        : g_strdup_printf ("%s:%d-%d", node->in[hops[i].input].from->name, hops[i].layer, hops[end - 1].layer);
    evo_json_add_string (&r->w, text);
  }
  evo_json_end_array (&r->w);
}

static void
write_searched_path (Recipe *r, const EvoNode *node)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (node, r->n_layers);
  gboolean is_plain = TRUE;

  /* one that cannot be decoded was never evaluated, so it cannot have won */
  g_return_if_fail (evo_path_genes_decode (node, n_layers, r->x, hops, NULL));
  write_hops (r, node, (const EvoPathHop *) (gconstpointer) hops->data, hops->len);
  for (guint i = 0; i < hops->len; i++)
    is_plain = is_plain && g_array_index (hops, EvoPathHop, i).scale == 1;
  if (is_plain)
    return;
  evo_json_add_key (&r->w, "scale");
  evo_json_begin_array (&r->w);
  for (guint i = 0; i < hops->len; i++)
    evo_json_add_number (&r->w, g_array_index (hops, EvoPathHop, i).scale);
  evo_json_end_array (&r->w);
}

/* The parameters that `where` gives. values NULL: all of them are bound. */
static void
write_params (Recipe *r, const EvoNode *node, const EvoParam *table, const EvoJson *where, EvoValue *const *values, gconstpointer object)
{
  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++) {
    const EvoValue *value = values == NULL ? NULL : values[p - table];

    if (evo_json_member (where, p->name) == NULL || (object == node->params && is_of_searched_path (node, p->name)))
      continue;
    if (value == NULL) {
      write_param (r, p, evo_json_member (where, p->name), object);
      continue;
    }
    evo_json_add_key (&r->w, p->name);
    evo_value_write (value, p, r->x, r->n_layers[node->index], &r->w);
  }
}

/* ------------------------------------------------------------------ nodes */

static void
write_common (Recipe *r, const EvoNode *node)
{
  const EvoJson *seed = evo_json_member (node->where, "seed");

  add_text (r, "use", node->plugin->name);
  if (seed != NULL) {
    evo_json_add_key (&r->w, "seed");
    evo_json_add_value (&r->w, seed);
  }
  if (evo_dtypes_given (&node->dtype)) {
    evo_json_add_key (&r->w, "dtype");
    evo_dtypes_write (&node->dtype, &r->w);
  }
  if (node->compat != EVO_DTYPE_NONE) {
    evo_json_add_key (&r->w, "compat");
    evo_compat_write (node->compat, &r->w);
  }
  if (node->allow_nonfinite) {
    evo_json_add_key (&r->w, "allow_nonfinite");
    evo_json_add_bool (&r->w, TRUE);
  }
}

/* Masks that went by trial are those of the one trial; a node that names a trial itself keeps it. */
static void
write_masks (Recipe *r, const EvoNode *node)
{
  const EvoJson *masks = evo_json_member (node->where, "masks");

  if (masks == NULL)
    return;
  evo_json_add_key (&r->w, "masks");
  if (!node->masks_per_trial || r->trial < 0) {
    evo_json_add_value (&r->w, masks);
    return;
  }
  evo_json_begin_object (&r->w);
  evo_json_add_key (&r->w, "trial");
  evo_json_add_integer (&r->w, r->trial);
  evo_json_end_object (&r->w);
}

static gboolean
gives_params (const EvoEdge *e, const EvoParam *table)
{
  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++)
    if (evo_json_member (e->where, p->name) != NULL)
      return TRUE;
  return FALSE;
}

static void
write_in (Recipe *r, const EvoNode *node)
{
  const EvoParam *table = ((const EvoMergeOp *) node->plugin->op)->in_params;

  evo_json_add_key (&r->w, "in");
  evo_json_begin_array (&r->w);
  for (guint i = 0; i < node->n_in; i++) {
    const EvoEdge *e = &node->in[i];

    if (!gives_params (e, table)) {
      evo_json_add_string (&r->w, e->from->name);
      continue;
    }
    evo_json_begin_object (&r->w);
    add_text (r, "from", e->from->name);
    write_params (r, node, table, e->where, e->values, e->params);
    evo_json_end_object (&r->w);
  }
  evo_json_end_array (&r->w);
}

/* Per-input parameters that stand in the node; those that are bound were bound to every edge that says nothing itself. */
static void
write_node_in_params (Recipe *r, const EvoNode *node)
{
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;

  for (const EvoParam *p = op->in_params; p != NULL && p->name != NULL; p++) {
    const EvoValue *value = node->in_values[p - op->in_params];
    guint e = 0;

    if (value != NULL) {
      evo_json_add_key (&r->w, p->name);
      evo_value_write (value, p, r->x, r->n_layers[node->index], &r->w);
    }
    if (evo_param_is_numeric (p) || evo_json_member (node->where, p->name) == NULL)
      continue;
    while (e < node->n_in && evo_json_member (node->in[e].where, p->name) != NULL)
      e++;
    if (e < node->n_in)
      write_bound (r, p, node->in[e].params);
  }
}

static void
write_merge (Recipe *r, const EvoNode *node)
{
  write_common (r, node);
  write_masks (r, node);
  if (node->base.from != NULL)
    add_text (r, "base", node->base.from->name);
  evo_vocab_write (node, &r->w);
  write_params (r, node, node->plugin->op->params, node->where, node->values, node->params);
  write_node_in_params (r, node);
  if (node->path_genes != NULL)
    write_searched_path (r, node);
  if (node->n_in > 0) /* an adapter has none */
    write_in (r, node);
}

/* A finished search is a checkpoint like those it came from. */
static void
write_search (Recipe *r, const EvoNode *node)
{
  const EvoNode *source = node;
  g_autofree char *path = r->search_path (r->data, node);

  while (source->kind != EVO_KIND_MODEL)
    source = source->kind == EVO_KIND_OPTIMIZER ? source->search.target : source->base.from != NULL ? source->base.from : source->in[0].from;
  add_text (r, "use", source->plugin->name);
  add_text (r, "path", path);
}

static void
write_node (Recipe *r, const EvoNode *node)
{
  evo_json_add_key (&r->w, node->name);
  evo_json_begin_object (&r->w);
  if (node->kind == EVO_KIND_MERGE) {
    write_merge (r, node);
  } else if (node->kind == EVO_KIND_OPTIMIZER) {
    write_search (r, node);
  } else {
    write_common (r, node);
    write_params (r, node, node->plugin->op->params, node->where, NULL, node->params);
  }
  evo_json_end_object (&r->w);
}

static void
write_nodes (Recipe *r, const EvoNode *target)
{
  g_autofree gboolean *needed = g_new0 (gboolean, r->g->nodes->len + 1);

  needed[target->index] = TRUE;
  for (guint i = target->index + 1; i-- > 0;) {
    const EvoNode *node = r->g->nodes->pdata[i];

    for (guint e = 0; needed[i] && node->kind == EVO_KIND_MERGE && e <= node->n_in; e++) {
      const EvoNode *from = e < node->n_in ? node->in[e].from : node->base.from;

      if (from != NULL)
        needed[from->index] = TRUE;
    }
  }
  for (guint i = 0; i <= target->index; i++)
    if (needed[i])
      write_node (r, r->g->nodes->pdata[i]);
}

static void
write_save (Recipe *r, const EvoNode *asked, const EvoNode *target)
{
  evo_json_add_key (&r->w, "save");
  evo_json_begin_object (&r->w);
  if (!evo_dtypes_given (&asked->save_dtype) && asked->save_shard_bytes == 0 && asked->save_layout == EVO_SAVE_PLAIN) {
    add_text (r, target->name, "model");
  } else {
    evo_json_add_key (&r->w, target->name);
    evo_json_begin_object (&r->w);
    add_text (r, "path", "model");
    if (evo_dtypes_given (&asked->save_dtype)) {
      evo_json_add_key (&r->w, "dtype");
      evo_dtypes_write (&asked->save_dtype, &r->w);
    }
    if (asked->save_shard_bytes > 0) {
      evo_json_add_key (&r->w, "shard_size");
      evo_json_add_integer (&r->w, (gint64) asked->save_shard_bytes);
    }
    if (asked->save_layout == EVO_SAVE_SHARED)
      add_text (r, "layout", "shared");
    evo_json_end_object (&r->w);
  }
  evo_json_end_object (&r->w);
}

char *
evo_graph_to_recipe (const EvoGraph *g, const EvoNode *node, const double *x, gint64 trial, EvoSearchPath search_path, gpointer data,
                     const gint32 *n_layers)
{
  const EvoNode *target = node->kind == EVO_KIND_OPTIMIZER ? node->search.target : node;
  GString *out = g_string_new (NULL);
  Recipe r = { g, x, trial, search_path, data, n_layers, { 0 } };

  g_return_val_if_fail (target->kind == EVO_KIND_MODEL || target->kind == EVO_KIND_MERGE, g_string_free (out, FALSE));
  evo_json_writer_init (&r.w, out, TRUE);
  evo_json_begin_object (&r.w);
  evo_json_add_key (&r.w, "evopipe");
  evo_json_add_integer (&r.w, 1);
  add_text (&r, "title", g->title);
  evo_json_add_key (&r.w, "seed");
  evo_json_add_integer (&r.w, (gint64) g->seed);
  evo_json_add_key (&r.w, "nodes");
  evo_json_begin_object (&r.w);
  write_nodes (&r, target);
  evo_json_end_object (&r.w);
  write_save (&r, node, target);
  evo_json_end_object (&r.w);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}
