/* SPDX-License-Identifier: Apache-2.0
 * write.c - a pipeline written again, resolved; and as pairs of pointer and text that a resumed run must have in common.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

/* ------------------------------------------------------------------ resolved */

/* As it is read, so that reading it again changes nothing: ${ escaped but in notes. Calls itself as deep as the document is nested: 64. */
static void
write_any (EvoJsonWriter *w, const EvoJson *v)
{
  gboolean is_object = evo_json_kind (v) == EVO_JSON_OBJECT;

  if (evo_json_kind (v) == EVO_JSON_STRING && g_strcmp0 (evo_json_key (v), "note") != 0) {
    g_autofree char *text = evo_escape_variables (evo_json_string (v));

    evo_json_add_string (w, text);
    return;
  }
  if (!is_object && evo_json_kind (v) != EVO_JSON_ARRAY) {
    evo_json_add_value (w, v);
    return;
  }
  (is_object ? evo_json_begin_object : evo_json_begin_array) (w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    if (is_object)
      evo_json_add_key (w, evo_json_key (evo_json_at (v, i)));
    write_any (w, evo_json_at (v, i));
  }
  (is_object ? evo_json_end_object : evo_json_end_array) (w);
}

static void
write_path (const EvoGraph *g, EvoJsonWriter *w, const EvoJson *v)
{
  g_autofree char *path = g_canonicalize_filename (evo_json_string (v), g->folder), *text = evo_escape_variables (path);

  evo_json_add_string (w, text);
}

static const EvoParam *
find_param (const EvoNode *node, const char *key)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, key);

  return p != NULL || node->kind != EVO_KIND_MERGE ? p : evo_param_find (((const EvoMergeOp *) node->plugin->op)->in_params, key);
}

static gboolean
is_path (const EvoNode *node, const EvoJson *v)
{
  const char *key = evo_json_key (v);
  const EvoParam *p;

  if (evo_json_kind (v) != EVO_JSON_STRING)
    return FALSE;
  if (node->kind == EVO_KIND_EVALUATOR && g_str_equal (key, "data"))
    return TRUE;
  if (node->kind == EVO_KIND_EVALUATOR && g_str_equal (key, "template"))
    return !evo_is_plain_name (evo_json_string (v));
  p = find_param (node, key);
  return p != NULL && p->type == EVO_TYPE_FILE;
}

/* The members of a node, or of one of its edges. */
static void
write_members (const EvoGraph *g, const EvoNode *node, EvoJsonWriter *w, const EvoJson *object)
{
  evo_json_begin_object (w);
  for (guint i = 0; i < evo_json_size (object); i++) {
    const EvoJson *v = evo_json_at (object, i);
    gboolean is_in = object == node->where && g_str_equal (evo_json_key (v), "in") && evo_json_kind (v) == EVO_JSON_ARRAY;

    evo_json_add_key (w, evo_json_key (v));
    if (is_path (node, v)) {
      write_path (g, w, v);
      continue;
    }
    if (!is_in) {
      write_any (w, v);
      continue;
    }
    evo_json_begin_array (w);
    for (guint e = 0; e < evo_json_size (v); e++) {
      if (evo_json_kind (evo_json_at (v, e)) == EVO_JSON_OBJECT)
        write_members (g, node, w, evo_json_at (v, e));
      else
        write_any (w, evo_json_at (v, e));
    }
    evo_json_end_array (w);
  }
  evo_json_end_object (w);
}

static void
write_if_there (EvoJsonWriter *w, const EvoJson *root, const char *key)
{
  const EvoJson *v = evo_json_member (root, key);

  if (v == NULL)
    return;
  evo_json_add_key (w, key);
  write_any (w, v);
}

char *
evo_graph_to_json (const EvoGraph *g)
{
  const EvoJson *root = evo_json_root (g->doc), *nodes = evo_json_member (root, "nodes");
  GString *out = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, out, TRUE);
  evo_json_begin_object (&w);
  write_if_there (&w, root, "evopipe");
  write_if_there (&w, root, "title");
  write_if_there (&w, root, "note");
  evo_json_add_key (&w, "seed");
  evo_json_add_integer (&w, (gint64) g->seed);
  write_if_there (&w, root, "compat");
  evo_json_add_key (&w, "nodes");
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (nodes); i++) {
    evo_json_add_key (&w, evo_json_key (evo_json_at (nodes, i)));
    write_members (g, evo_graph_find (g, evo_json_key (evo_json_at (nodes, i))), &w, evo_json_at (nodes, i));
  }
  evo_json_end_object (&w);
  write_if_there (&w, root, "save");
  evo_json_end_object (&w);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}

/* ------------------------------------------------------------------ identity */

static void
add_pair (GPtrArray *pairs, char *key, char *value)
{
  g_ptr_array_add (pairs, key);
  g_ptr_array_add (pairs, value);
}

/* Every scalar below v; numbers by value, not by spelling. */
static void
add_leaves (GPtrArray *pairs, const EvoJson *v)
{
  char number[EVO_NUMBER_TEXT];

  if (g_strcmp0 (evo_json_key (v), "note") == 0)
    return;
  if (evo_json_size (v) == 0) {
    gboolean is_number = evo_json_kind (v) == EVO_JSON_NUMBER;

    add_pair (pairs, g_strdup (evo_json_pointer (v)),
              is_number ? g_strdup (evo_number_text (evo_json_number (v), number)) : evo_json_text (v));
  }
  for (guint i = 0; i < evo_json_size (v); i++)
    add_leaves (pairs, evo_json_at (v, i));
}

static gboolean
may_change (const EvoNode *node, const char *key)
{
  static const char *const budget[] = { "trials", "minutes", "stall", NULL };

  return node->kind == EVO_KIND_OPTIMIZER && g_strv_contains (budget, key);
}

/* A search's dimensions are its genes in order of the file, and its candidates are rounded as its model is saved. */
static void
add_search (GPtrArray *pairs, const EvoNode *node)
{
  for (guint i = 0; i < node->search.n_genes; i++)
    add_pair (pairs, g_strdup_printf ("/nodes/%s gene %u", node->name, i), g_strdup (node->search.genes[i]->name));
  if (node->save_dtype.n == 0 && node->save_dtype.all != EVO_DTYPE_NONE)
    add_pair (pairs, g_strdup_printf ("/save/%s/dtype", node->name), g_strdup (evo_dtype_name (node->save_dtype.all)));
  for (guint i = 0; i < node->save_dtype.n; i++)
    add_pair (pairs, g_strdup_printf ("/save/%s/dtype %s", node->name, node->save_dtype.selectors[i]),
              g_strdup (evo_dtype_name (node->save_dtype.dtypes[i])));
}

char **
evo_graph_identity (const EvoGraph *g)
{
  g_autofree char *json = evo_graph_to_json (g);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (json, -1, "pipeline", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);
  g_autoptr (GPtrArray) pairs = g_ptr_array_new_with_free_func (g_free);
  const EvoJson *nodes = evo_json_member (evo_json_root (doc), "nodes"), *compat = evo_json_member (evo_json_root (doc), "compat");

  add_pair (pairs, g_strdup ("/seed"), g_strdup_printf ("%" G_GUINT64_FORMAT, g->seed));
  if (compat != NULL)
    add_leaves (pairs, compat);
  for (guint i = 0; i < evo_json_size (nodes); i++) {
    const EvoJson *v = evo_json_at (nodes, i);
    const EvoNode *node = evo_graph_find (g, evo_json_key (v));

    for (guint m = 0; !node->is_exam && m < evo_json_size (v); m++)
      if (!may_change (node, evo_json_key (evo_json_at (v, m))))
        add_leaves (pairs, evo_json_at (v, m));
    if (node->kind == EVO_KIND_OPTIMIZER)
      add_search (pairs, node);
  }
  g_ptr_array_add (pairs, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&pairs), FALSE);
}
