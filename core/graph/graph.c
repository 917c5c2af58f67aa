/* SPDX-License-Identifier: Apache-2.0
 * graph.c - a pipeline from its text: the top-level keys, the order in which it is read and checked, and what can be asked of it.
 */
#include "core/graph/graph.h"

#include <string.h>

#include "core/graph/read/read.h"

static void
value_free (gpointer data)
{
  EvoValue *v = data; /* values below it are the graph's too */

  g_free (v->list);
  g_strfreev (v->selectors);
  g_free (v->values);
  g_free (v);
}

static EvoGraph *
new_graph (const char *name, const char *folder, EvoRegistry *registry)
{
  EvoGraph *g = g_new0 (EvoGraph, 1);
  g_autofree char *base = g_path_get_basename (name);

  g->registry = registry;
  g->name = g_str_has_suffix (base, ".json") && strlen (base) > 5 ? g_strndup (base, strlen (base) - 5) : g_steal_pointer (&base);
  g->folder = g_canonicalize_filename (folder, NULL);
  g->title = g->name;
  g->nodes = g_ptr_array_new_with_free_func ((GDestroyNotify) evo_node_free);
  g->by_name = g_hash_table_new (g_str_hash, g_str_equal);
  g->values = g_ptr_array_new_with_free_func (value_free);
  g->genes = g_ptr_array_new_with_free_func ((GDestroyNotify) evo_gene_free);
  g->genes_by_name = g_hash_table_new (g_str_hash, g_str_equal);
  g->uses = g_array_new (FALSE, FALSE, sizeof (EvoGeneUse));
  g->arena = g_ptr_array_new_with_free_func (g_free);
  g->warnings = g_ptr_array_new_with_free_func (g_free);
  return g;
}

void
evo_graph_free (EvoGraph *g)
{
  if (g == NULL)
    return;
  g_hash_table_unref (g->by_name);
  g_hash_table_unref (g->genes_by_name);
  g_ptr_array_unref (g->nodes);
  g_ptr_array_unref (g->values);
  g_ptr_array_unref (g->genes);
  g_array_unref (g->uses);
  g_ptr_array_unref (g->arena);
  g_ptr_array_unref (g->warnings);
  evo_sets_free (g->sets);
  evo_json_free (g->doc);
  g_free (g->name);
  g_free (g->folder);
  g_free (g);
}

/* ------------------------------------------------------------------ top-level keys */

static gboolean
check_version (const EvoJson *root, GError **error)
{
  const EvoJson *v = evo_json_member (root, "evopipe");
  gint64 version;

  if (evo_json_kind (root) != EVO_JSON_OBJECT)
    return evo_fail_at (error, root, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "a pipeline must be an object, not %s",
                        evo_json_kind_name (evo_json_kind (root)));
  if (v == NULL)
    return evo_fail_at (error, root, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "is no pipeline; it needs \"evopipe\": 1");
  if (!evo_json_is_integer (v, &version))
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs 1, the version of the language, not %s",
                        evo_json_kind_name (evo_json_kind (v)));
  return version == 1 || evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                                      "this evopipe reads version 1, not %" G_GINT64_FORMAT, version);
}

static gboolean
check_keys (const EvoJson *root, GError **error)
{
  static const char *const keys[] = { "evopipe", "title", "seed", "compat", "nodes", "save", "note", NULL };

  for (guint i = 0; i < evo_json_size (root); i++) {
    const EvoJson *v = evo_json_at (root, i);

    if (!g_strv_contains (keys, evo_json_key (v))) {
      g_autofree char *hint = evo_names_hint (evo_json_key (v), keys), *quoted = evo_json_quoted (evo_json_key (v));

      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "a pipeline has no %s%s", quoted, hint);
    }
  }
  return TRUE;
}

static gboolean
read_head (EvoGraph *g, const EvoJson *root, const EvoGraphOptions *options, GError **error)
{
  const EvoJson *title = evo_json_member (root, "title"), *seed = evo_json_member (root, "seed"), *note = evo_json_member (root, "note");
  gint64 x = 0;

  if (!check_version (root, error) || !check_keys (root, error) || (title != NULL && !evo_read_text (title, &g->title, error)) ||
      (seed != NULL && !evo_read_whole (seed, 0, &x, error)) || (note != NULL && !evo_read_note (note, error)))
    return FALSE;
  g->seed = options != NULL && options->has_seed ? options->seed : (guint64) x;
  g->truncate = options != NULL && options->truncate_embeddings;
  return TRUE;
}

static gboolean
read_graph (EvoGraph *g, const EvoGraphOptions *options, GError **error)
{
  const EvoJson *root = evo_json_root (g->doc), *nodes = evo_json_member (root, "nodes");

  if (!read_head (g, root, options, error))
    return FALSE;
  if (nodes == NULL)
    return evo_fail_at (error, root, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs \"nodes\", an object of nodes by name");
  if (!evo_read_nodes (g, nodes, error) || !evo_sort_nodes (g, error) || !evo_check_simplexes (g, error) || !evo_find_searches (g, error) ||
      !evo_read_saves (g, evo_json_member (root, "save"), error) || !evo_check_outside (g, error))
    return FALSE;
  g_ptr_array_add (g->warnings, NULL);
  return TRUE;
}

/* ------------------------------------------------------------------ opening */

static EvoGraph *
graph_of (const EvoJsonDoc *doc, const char *folder, EvoRegistry *registry, const EvoGraphOptions *options, GError **error)
{
  const char *name = evo_json_name (evo_json_root (doc));
  g_autoptr (EvoGraph) g = new_graph (name, folder, registry);

  g->sets = evo_sets_new (options == NULL ? NULL : options->sets, error);
  g->doc = g->sets == NULL ? NULL : evo_expand (doc, g->sets, error);
  if (g->doc == NULL)
    return NULL;
  if (read_graph (g, options, error))
    return g_steal_pointer (&g);
  evo_sets_rename (g->sets, name, error);
  return NULL;
}

EvoGraph *
evo_graph_new_from_file (const char *path, EvoRegistry *registry, const EvoGraphOptions *options, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, EVO_GRAPH_ERROR_SYNTAX, error);
  g_autofree char *absolute = g_canonicalize_filename (path, NULL), *folder = g_path_get_dirname (absolute);

  return doc == NULL ? NULL : graph_of (doc, folder, registry, options, error);
}

EvoGraph *
evo_graph_new_from_text (const char *text, gssize n, const char *name, const char *folder, EvoRegistry *registry, const EvoGraphOptions *options,
                         GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, n, name, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, error);

  return doc == NULL ? NULL : graph_of (doc, folder, registry, options, error);
}

/* ------------------------------------------------------------------ asking */

const char *
evo_graph_get_title (const EvoGraph *g)
{
  return g->title;
}

const char *
evo_graph_get_name (const EvoGraph *g)
{
  return g->name;
}

const char *
evo_graph_get_folder (const EvoGraph *g)
{
  return g->folder;
}

EvoRegistry *
evo_graph_get_registry (const EvoGraph *graph)
{
  return graph->registry;
}

guint64
evo_graph_get_seed (const EvoGraph *g)
{
  return g->seed;
}

guint
evo_graph_get_n_nodes (const EvoGraph *g)
{
  return g->nodes->len;
}

EvoNode *
evo_graph_get (const EvoGraph *g, guint i)
{
  g_return_val_if_fail (i < g->nodes->len, NULL);
  return g->nodes->pdata[i];
}

EvoNode *
evo_graph_find (const EvoGraph *g, const char *name)
{
  return g_hash_table_lookup (g->by_name, name);
}

const char *const *
evo_graph_get_warnings (const EvoGraph *g)
{
  return (const char *const *) g->warnings->pdata;
}
