/* SPDX-License-Identifier: Apache-2.0
 * evaluators.c - what the host reads for every evaluator: its data, its template, and what an exam compares with.
 */
#include <string.h>

#include "core/graph/read/read.h"

static const char *
keep (EvoGraph *g, char *text)
{
  g_ptr_array_add (g->arena, text);
  return text;
}

static gboolean
read_format (const EvoJson *v, const char **out, GError **error)
{
  static const char *const names[] = { "jsonl", "json", "tsv", "csv", "lines", "text", NULL };
  guint32 which;

  if (!evo_read_one_of (v, names, &which, error))
    return FALSE;
  *out = names[which];
  return TRUE;
}

static gboolean
read_columns (EvoGraph *g, const EvoJson *v, EvoStrings *out, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  const char **items;

  if (evo_json_kind (v) != EVO_JSON_ARRAY || evo_json_size (v) == 0)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs a list of names, one for each column of the file");
  items = g_new0 (const char *, evo_json_size (v) + 1);
  g_ptr_array_add (g->arena, items);
  for (guint i = 0; i < evo_json_size (v); i++) {
    if (!evo_read_text (evo_json_at (v, i), &items[i], error))
      return FALSE;
    if (!g_hash_table_add (seen, (gpointer) items[i]))
      return evo_fail_at (error, evo_json_at (v, i), EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "is the name of a column before it");
  }
  *out = (EvoStrings){ items, evo_json_size (v) };
  return TRUE;
}

/* ------------------------------------------------------------------ templates */

static int
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static char **
names_of_templates (void)
{
  g_autofree char *folder = evo_data_file ("pipelines/templates", NULL);
  g_autoptr (GDir) dir = folder == NULL ? NULL : g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".txt"))
      g_ptr_array_add (names, g_strndup (name, strlen (name) - 4));
  g_ptr_array_sort (names, by_text);
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

/* A name of pipelines/templates; whatever has a slash or a dot is a path. */
static gboolean
read_template (EvoGraph *g, EvoEvaluatorSpec *spec, const EvoJson *v, GError **error)
{
  g_autofree char *file = NULL, *path = NULL, *hint = NULL; /* plain names need no quoting */
  g_auto (GStrv) names = NULL;

  if (!evo_read_text (v, &spec->template_name, error))
    return FALSE;
  if (!evo_is_plain_name (spec->template_name)) {
    spec->template_file = keep (g, g_canonicalize_filename (spec->template_name, g->folder));
    return TRUE;
  }
  file = g_strconcat ("pipelines/templates/", spec->template_name, ".txt", NULL);
  path = evo_data_file (file, NULL);
  if (path != NULL) {
    spec->template_file = keep (g, g_steal_pointer (&path));
    return TRUE;
  }
  names = names_of_templates ();
  hint = evo_names_hint (spec->template_name, (const char *const *) names);
  return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no template \"%s\"%s", spec->template_name, hint);
}

/* ------------------------------------------------------------------ keys */

gboolean
evo_read_evaluator_key (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  static const char *const tests[] = { "fasttext", "script", NULL };
  EvoEvaluatorSpec *spec = &node->eval;
  const char *key = evo_json_key (v), *text;

  if (g_str_equal (key, "data")) {
    if (!evo_read_text (v, &text, error))
      return FALSE;
    spec->data = keep (g, g_canonicalize_filename (text, g->folder));
    return TRUE;
  }
  if (g_str_equal (key, "format"))
    return read_format (v, &spec->format, error);
  if (g_str_equal (key, "columns"))
    return read_columns (g, v, &spec->columns, error);
  if (g_str_equal (key, "template"))
    return read_template (g, spec, v, error);
  if (g_str_equal (key, "shuffle"))
    return evo_read_flag (v, &spec->shuffle, error);
  if (g_str_equal (key, "sample"))
    return evo_read_whole (v, 1, &spec->sample, error);
  if (g_str_equal (key, "skip"))
    return evo_read_whole (v, 0, &spec->skip, error);
  if (g_str_equal (key, "limit"))
    return evo_read_whole (v, 1, &spec->limit, error);
  if (g_str_equal (key, "language_test"))
    return evo_read_one_of (v, tests, &spec->language_test, error);
  spec->against = evo_read_node (g, v, EVO_IS_MODEL, evo_model_or_search, error);
  return spec->against != NULL;
}

gboolean
evo_check_evaluator (const EvoNode *node, GError **error)
{
  const EvoNode *against = node->eval.against;

  gboolean counts = (((const EvoEvaluatorOp *) node->plugin->op)->flags & EVO_EVALUATOR_COST) != 0;

  if (counts && node->eval.data != NULL)
    return evo_fail_at (error, evo_json_member (node->where, "data"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "%s reads no data", node->plugin->name);
  if (!counts && node->eval.data == NULL)
    return evo_fail_at (error, node->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"data\", the file of its items");
  for (guint e = 0; against != NULL && e < node->n_in; e++)
    if (node->in[e].from == against)
      return TRUE;
  return against == NULL || evo_fail_at (error, evo_json_member (node->where, "against"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN,
                                         "\"%s\" is not among the models in \"in\"", against->name);
}
