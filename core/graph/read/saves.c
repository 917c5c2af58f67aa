/* SPDX-License-Identifier: Apache-2.0
 * saves.c - "save": where models of a run go, none over another; and nodes that nobody wants.
 */
#include <string.h>

#include "core/graph/path/path.h"
#include "core/graph/read/read.h"

/* Only a path visits layers more than once. */
static gboolean
check_layout (const EvoNode *node, const EvoJson *v, GError **error)
{
  return node->save_layout == EVO_SAVE_PLAIN || evo_node_is_path (evo_node_model (node)) ||
         evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "\"shared\" is for a merge.layer-path, or a search of one; \"%s\" is none",
                      node->name);
}

static gboolean
read_entry (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  static const char *const keys[] = { "path", "dtype", "shard_size", "layout", NULL }, *const layouts[] = { "plain", "shared", NULL };
  const EvoJson *path, *dtype, *shard, *layout;

  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_read_text (v, &node->save_path, error);
  path = evo_json_member (v, "path");
  dtype = evo_json_member (v, "dtype");
  shard = evo_json_member (v, "shard_size");
  layout = evo_json_member (v, "layout");
  if (!evo_read_object (v, keys, error))
    return FALSE;
  if (path == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"path\", a folder in the run directory");
  return evo_read_text (path, &node->save_path, error) && (dtype == NULL || evo_read_dtypes (g, dtype, &node->save_dtype, error)) &&
         (shard == NULL || evo_read_size (shard, &node->save_shard_bytes, error)) &&
         (layout == NULL || (evo_read_one_of (layout, layouts, &node->save_layout, error) && check_layout (node, layout, error)));
}

/* ------------------------------------------------------------------ places */

typedef struct { const EvoNode *node; const EvoJson *where; char *path; } Place;

static void
place_clear (gpointer place)
{
  g_free (((Place *) place)->path);
}

static const char run_directory[] = "/evopipe-run-directory"; /* stands for what is known only when a run begins */

static gboolean
is_inside (const char *path, const char *folder)
{
  gsize n = strlen (folder);

  return strncmp (path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Files that a run writes itself. */
static gboolean
is_taken (const EvoGraph *g, const char *path)
{
  static const char *const files[] = { "lock", "journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal", "pipeline.json",
                                       "scores.json", NULL };
  const char *name = path + sizeof run_directory;
  g_autofree char *node = NULL;
  const EvoNode *search;

  if (!g_str_has_prefix (path, run_directory))
    return FALSE;
  for (guint i = 0; files[i] != NULL; i++)
    if (is_inside (name, files[i]))
      return TRUE;
  if (!g_str_has_suffix (name, ".best.json") && !g_str_has_suffix (name, ".best.yml"))
    return FALSE;
  node = g_strndup (name, (gsize) (g_strrstr (name, ".best.") - name));
  search = g_hash_table_lookup (g->by_name, node);
  return search != NULL && search->kind == EVO_KIND_OPTIMIZER;
}

static gboolean
check_place (const EvoGraph *g, const Place *p, const GArray *others, GError **error)
{
  g_autofree char *text = evo_json_quoted (p->node->save_path != NULL ? p->node->save_path : p->node->name);
  const char *right = p->node->save_path != NULL ? "choose another path" : "name another place for it in \"save\"";

  if (is_inside (run_directory, p->path))
    return evo_fail_at (error, p->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "%s holds the run directory; needs a folder of its own", text);
  if (is_taken (g, p->path))
    return evo_fail_at (error, p->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is a file of the run itself; %s", text, right);
  for (guint i = 0; i < others->len; i++) {
    const Place *o = &g_array_index (others, Place, i);

    if (is_inside (p->path, o->path) || is_inside (o->path, p->path))
      return evo_fail_at (error, p->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_DUPLICATE, "%s %s \"%s\"; %s", text,
                          g_str_equal (p->path, o->path) ? "is where a model goes already, that of" : "lies in, or around, the folder of",
                          o->node->name, right);
  }
  return TRUE;
}

/* Everything that writes: what "save" names, and every search, whose model goes to a folder of its name where nothing else is said. */
static gboolean
check_places (const EvoGraph *g, const EvoJson *save, GError **error)
{
  g_autoptr (GArray) places = g_array_new (FALSE, FALSE, sizeof (Place));

  g_array_set_clear_func (places, place_clear);
  for (guint i = 0; i < g->nodes->len; i++) {
    const EvoNode *node = g->nodes->pdata[i];
    const char *path = node->save_path != NULL ? node->save_path : node->name;
    Place p = { node, node->save_path != NULL ? evo_json_member (save, node->name) : node->where, NULL };

    if (node->save_path == NULL && node->kind != EVO_KIND_OPTIMIZER)
      continue;
    p.path = g_canonicalize_filename (path, run_directory);
    if (!check_place (g, &p, places, error)) {
      place_clear (&p);
      return FALSE;
    }
    g_array_append_val (places, p);
  }
  return TRUE;
}

/* ------------------------------------------------------------------ warnings */

static void
note_reads (const EvoNode *node, GHashTable *read)
{
  for (guint e = 0; e < node->n_in; e++)
    g_hash_table_add (read, node->in[e].from);
  if (node->base.from != NULL)
    g_hash_table_add (read, node->base.from);
}

static void
add_warnings (EvoGraph *g)
{
  g_autoptr (GHashTable) read = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < g->nodes->len; i++)
    note_reads (g->nodes->pdata[i], read);
  for (guint i = 0; i < g->nodes->len; i++) {
    const EvoNode *node = g->nodes->pdata[i];
    g_autofree char *where = evo_json_where (node->where);

    if ((node->kind == EVO_KIND_MODEL || node->kind == EVO_KIND_MERGE) && node->save_path == NULL && !g_hash_table_contains (read, node))
      g_ptr_array_add (g->warnings, g_strdup_printf ("%s: nothing reads or saves this node", where));
  }
}

gboolean
evo_read_saves (EvoGraph *g, const EvoJson *save, GError **error)
{
  if (save != NULL && evo_json_kind (save) != EVO_JSON_OBJECT)
    return evo_fail_at (error, save, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs an object of paths by node, not %s",
                        evo_json_kind_name (evo_json_kind (save)));
  for (guint i = 0; save != NULL && i < evo_json_size (save); i++) {
    const EvoJson *v = evo_json_at (save, i);
    const char *name = evo_json_key (v);
    EvoNode *node = g_hash_table_lookup (g->by_name, name);

    if (node == NULL && g_str_equal (name, "note")) {
      if (!evo_read_note (v, error))
        return FALSE;
      continue;
    }
    if (node == NULL) {
      g_auto (GStrv) names = evo_node_names (g);
      g_autofree char *hint = evo_names_hint (name, (const char *const *) names), *quoted = evo_json_quoted (name);

      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no node %s to save%s", quoted, hint);
    }
    if (!(EVO_IS_MODEL >> node->kind & 1))
      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                          "\"%s\" is an evaluator; only a model, a merge or a search can be saved", name);
    if (!read_entry (g, node, v, error))
      return FALSE;
  }
  if (!check_places (g, save, error))
    return FALSE;
  add_warnings (g);
  return TRUE;
}
