/* SPDX-License-Identifier: Apache-2.0
 * identity.c - what a resumed run must have in common with the one that began it: pipeline, sources, data, plugins, numerics.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/lora/lora.h"
#include "core/kernels/kernels.h"
#include "core/search/run.h"

static void
add (GPtrArray *pairs, char *key, char *value)
{
  g_ptr_array_add (pairs, key);
  g_ptr_array_add (pairs, value);
}

static gboolean
add_file (GPtrArray *pairs, const char *what, const char *path, GError **error)
{
  g_autoptr (GError) e = NULL;
  g_autofree char *text = NULL;
  gsize n;

  if (path == NULL)
    return TRUE;
  if (!g_file_get_contents (path, &text, &n, &e))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s", e->message);
  add (pairs, g_strdup_printf ("%s %s", what, path), g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) text, n));
  return TRUE;
}

static gboolean
add_node (EvoRun *run, const EvoNode *node, GPtrArray *pairs, GError **error)
{
  char *plugin;

  if (node->is_exam)
    return TRUE;
  plugin = evo_registry_digest (node->plugin);
  add (pairs, g_strdup_printf ("plugin %s", node->plugin->name), plugin == NULL ? g_strdup ("built in") : plugin);
  if (node->kind == EVO_KIND_MODEL) {
    EvoStore *store = evo_models_get_store (run->models, node);

    add (pairs, g_strdup_printf ("source %s", evo_store_get_path (store)), evo_store_digest (store));
  }
  for (guint e = 0; node->kind == EVO_KIND_MERGE && e < node->n_in; e++) {
    EvoStore *aux = evo_models_get_aux (run->models, node, e);

    if (aux != NULL)
      add (pairs, g_strdup_printf ("tensors %s", evo_store_get_path (aux)), evo_store_digest (aux));
  }
  const EvoLora *lora = node->kind == EVO_KIND_MERGE ? evo_models_get_lora (run->models, node) : NULL;
  if (lora != NULL) {
    add (pairs, g_strdup_printf ("tensors %s", evo_store_get_path (evo_lora_get_store (lora))), evo_store_digest (evo_lora_get_store (lora)));
    if (!add_file (pairs, "adapter", evo_lora_get_config (lora), error))
      return FALSE;
  }
  return node->kind != EVO_KIND_EVALUATOR ||
         (add_file (pairs, "data", node->eval.data, error) && add_file (pairs, "template", node->eval.template_file, error));
}

/* Pairs of key and value, sorted by nothing: keys are unique. Owned strv. */
static char **
identity (EvoRun *run, GError **error)
{
  g_autoptr (GPtrArray) pairs = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) pipeline = evo_graph_identity (run->graph);

  add (pairs, g_strdup ("numerics"), g_strdup (evo_kernels_numerics ()));
  add (pairs, g_strdup ("smoke"), g_strdup (run->options.smoke ? "yes" : "no"));
  for (guint i = 0; pipeline[i] != NULL; i += 2)
    add (pairs, g_strdup_printf ("pipeline %s", pipeline[i]), g_strdup (pipeline[i + 1]));
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++)
    if (!add_node (run, evo_graph_get (run->graph, i), pairs, error))
      return NULL;
  g_ptr_array_add (pairs, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&pairs), FALSE);
}

gboolean
evo_run_write_identity (EvoRun *run, GError **error)
{
  g_auto (GStrv) pairs = identity (run, error);

  return pairs != NULL && evo_journal_set_meta (run->journal, (const char *const *) pairs, error);
}

static const char *
lookup (char **pairs, const char *key)
{
  for (guint i = 0; pairs[i] != NULL; i += 2)
    if (g_str_equal (pairs[i], key))
      return pairs[i + 1];
  return NULL;
}

static gboolean
differs (EvoRun *run, const char *key, const char *then, const char *now, GError **error)
{
  const char *name = strchr (key, ' ');

  if (g_str_equal (key, "numerics"))
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, "%s: was begun on another kind of machine (%s; this is %s), where "
                          "scores may differ; resume there, or start a new run", run->out, then, now);
  if (g_str_equal (key, "smoke"))
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, "%s: was begun %s --smoke; resume it so", run->out,
                          g_str_equal (then, "yes") ? "with" : "without");
  if (g_str_has_prefix (key, "pipeline "))
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, "%s: is of another pipeline: %s was %s and is %s now; start a new run "
                          "with --out", run->out, name + 1, then == NULL ? "absent" : then, now == NULL ? "absent" : now);
  return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, "%s: %.*s %s has changed since the run began; put it back, or start a "
                        "new run with --out", run->out, (int) (name - key), key, name + 1);
}

gboolean
evo_run_check_identity (EvoRun *run, GError **error)
{
  g_auto (GStrv) now = identity (run, error), then = NULL;

  if (now == NULL || (then = evo_journal_get_meta (run->journal, error)) == NULL)
    return FALSE;
  if (then[0] == NULL)
    return evo_journal_set_meta (run->journal, (const char *const *) now, error); /* killed before it could write it */
  for (guint i = 0; now[i] != NULL; i += 2) {
    const char *old = lookup (then, now[i]);

    if (g_strcmp0 (old, now[i + 1]) != 0)
      return differs (run, now[i], old, now[i + 1], error);
  }
  for (guint i = 0; then[i] != NULL; i += 2)
    if (lookup (now, then[i]) == NULL)
      return differs (run, then[i], then[i + 1], NULL, error);
  return TRUE;
}

/* ------------------------------------------------------------------ exams */

static gboolean
is_of_no_account (const char *key)
{
  static const char *const keys[] = { "in", "against", "note", NULL };

  return g_strv_contains (keys, key);
}

/* The exam's node as the resolved pipeline has it, but for what changes no score. */
static gboolean
add_exam_node (EvoRun *run, const EvoNode *exam, GPtrArray *pairs, GError **error)
{
  g_autofree char *json = evo_graph_to_json (run->graph);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (json, -1, "pipeline", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, error);

  if (doc == NULL)
    return FALSE;
  const EvoJson *node = evo_json_member (evo_json_member (evo_json_root (doc), "nodes"), exam->name);
  for (guint i = 0; i < evo_json_size (node); i++) {
    const EvoJson *v = evo_json_at (node, i);

    if (!is_of_no_account (evo_json_key (v)))
      add (pairs, g_strdup (evo_json_key (v)), evo_json_text (v));
  }
  return TRUE;
}

char *
evo_run_exam_identity (EvoRun *run, const EvoNode *exam, GError **error)
{
  g_autoptr (GPtrArray) pairs = g_ptr_array_new_with_free_func (g_free);
  GChecksum *sum;
  char *digest;

  if (!add_exam_node (run, exam, pairs, error) || !add_file (pairs, "data", exam->eval.data, error) ||
      !add_file (pairs, "template", exam->eval.template_file, error))
    return NULL;
  add (pairs, g_strdup ("plugin"), evo_registry_digest (exam->plugin));
  for (guint i = 0; i < run->bests->len; i++) {
    const EvoBest *b = &g_array_index (run->bests, EvoBest, i);

    add (pairs, g_strdup (b->node->name), g_strdup_printf ("%" G_GINT64_FORMAT, b->trial));
  }
  sum = g_checksum_new (G_CHECKSUM_SHA256);
  for (guint i = 0; i < pairs->len; i++) {
    const char *text = pairs->pdata[i] == NULL ? "" : pairs->pdata[i];

    g_checksum_update (sum, (const guchar *) text, (gssize) strlen (text) + 1);
  }
  digest = g_strdup (g_checksum_get_string (sum));
  g_checksum_free (sum);
  return digest;
}
