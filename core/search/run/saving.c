/* SPDX-License-Identifier: Apache-2.0
 * saving.c - models into their folders, with their cards and the pipelines that make them again.
 */
#include "core/graph/save.h"
#include "core/graph/write/mergekit.h"
#include "core/search/run/parts.h"
#include "core/store/output.h"

char *
evo_run_search_path (const EvoRun *run, const EvoNode *search)
{
  return evo_run_file (run, search->save_path != NULL ? search->save_path : search->name);
}

char *
evo_run_path_of_search (gpointer data, const EvoNode *search)
{
  return evo_run_search_path (data, search);
}

double *
evo_run_genes (const EvoRun *run, const EvoNode *node, const double *x, GError **error)
{
  g_autofree double *genes = g_memdup2 (x, MAX (evo_models_get_n_genes (run->models), 1) * sizeof *genes);

  if (node->kind == EVO_KIND_OPTIMIZER && !evo_genes_apply_simplex (node->search.genes, node->search.n_genes, genes, error))
    return NULL;
  return g_steal_pointer (&genes);
}

/* The gene-free pipeline that makes the model again (owned). */
static char *
recipe_of (const EvoRun *run, const EvoNode *node, const double *x, gint64 trial)
{
  g_autofree double *genes = evo_run_genes (run, node, x, NULL);

  return evo_graph_to_recipe (run->graph, node, genes, trial, evo_run_path_of_search, (gpointer) run,
                              evo_models_get_n_layers (run->models));
}

/* The lines of the card's score table: what the search saw, then the exams. */
static char *
card_scores (const EvoRun *run, const EvoNode *node)
{
  GString *t = g_string_new ("| evaluator | model | score | 95 % |\n|---|---|---|---|\n");
  gsize empty = t->len;

  for (guint i = 0; i < run->bests->len; i++) {
    const EvoBest *b = &g_array_index (run->bests, EvoBest, i);

    if (b->node == node)
      g_string_append_printf (t, "| %s (searched on) | %s | %.4g | |\n", b->node->search.objectives[0].evaluator->name, node->name, b->score);
  }
  for (guint i = 0; i < run->exams->len; i++) {
    const EvoExam *e = &g_array_index (run->exams, EvoExam, i);

    for (guint r = 0; r < e->n_rows; r++)
      g_string_append_printf (t, "| %s | %s | %.4g | %.4g … %.4g |\n", e->node->name, e->rows[r].model->name, e->rows[r].score, e->rows[r].low,
                              e->rows[r].high);
  }
  if (t->len == empty)
    g_string_truncate (t, 0);
  return g_string_free (t, FALSE);
}

gboolean
evo_run_save_node (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, GError **error)
{
  g_autofree char *recipe = recipe_of (run, node, x, trial), *scores = card_scores (run, node);
  EvoSaveOptions options = { path, TRUE, &node->save_dtype, node->save_shard_bytes, recipe, *scores == '\0' ? NULL : scores };
  g_autofree double *genes = evo_run_genes (run, node, x, error);
  g_autofree char *parent = g_path_get_dirname (path);
  EvoMergeContext context;
  gboolean good;

  if (genes == NULL)
    return FALSE;
  g_mkdir_with_parents (parent, 0777);
  evo_progress_live (run->progress, "%s: writing %s", node->name, path);
  evo_merge_context_init (&context, run->models, run->k, run->pool, genes, trial, NULL);
  good = evo_save_model (&context, evo_node_model (node), &options, error);
  evo_merge_context_clear (&context);
  return good;
}

/* A path that was found is saved as the pipeline says that has it fixed: the tensors it has are known only now. */
static gboolean
save_found_path (EvoRun *run, const EvoNode *search, const double *x, gint64 trial, const char *path, GError **error)
{
  g_autofree char *recipe = recipe_of (run, search, x, trial), *scores = card_scores (run, search), *parent = g_path_get_dirname (path);
  g_autoptr (EvoGraph) graph = evo_graph_new_from_text (recipe, -1, search->name, run->out, evo_graph_get_registry (run->graph), NULL, error);
  g_autoptr (EvoModels) models = graph == NULL ? NULL : evo_models_new (graph, error);
  const EvoNode *node = models == NULL ? NULL : evo_graph_find (graph, evo_node_model (search)->name);
  EvoSaveOptions options = { .path = path, .replace = TRUE, .dtype = &search->save_dtype, .shard_bytes = search->save_shard_bytes, .recipe = recipe,
                             .scores = *scores == '\0' ? NULL : scores };
  EvoMergeContext context;
  gboolean good;

  if (node == NULL) {
    g_prefix_error (error, "%s: the path that was found: ", search->name);
    return FALSE;
  }
  g_mkdir_with_parents (parent, 0777);
  evo_progress_live (run->progress, "%s: writing %s", search->name, path);
  evo_merge_context_init (&context, models, run->k, run->pool, NULL, -1, NULL);
  good = evo_save_model (&context, node, &options, error);
  evo_merge_context_clear (&context);
  return good;
}

gboolean
evo_run_save_best (EvoRun *run, const EvoBest *best, GError **error)
{
  gboolean is_path = evo_node_model (best->node)->path_genes != NULL;

  return (is_path ? save_found_path : evo_run_save_node) (run, best->node, best->x, best->trial, best->path, error);
}

gboolean
evo_run_rewrite_card (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, const EvoBest *found, GError **error)
{
  g_autofree char *export_error = found == NULL ? NULL : evo_export_error_text (&found->saved, node);
  g_autofree char *recipe = recipe_of (run, node, x, trial), *scores = card_scores (run, node);
  EvoSaveOptions options = { path, TRUE, &node->save_dtype, node->save_shard_bytes, recipe, *scores == '\0' ? NULL : scores, export_error };
  g_autofree char *card = evo_model_card (run->models, evo_node_model (node), &options), *file = g_build_filename (path, "README.md", NULL);

  return evo_write_file (file, card, -1, error);
}

gboolean
evo_run_write_recipes (EvoRun *run, const EvoBest *best, GError **error)
{
  const EvoNode *node = best->node;
  g_autofree char *recipe = recipe_of (run, node, best->x, best->trial), *name = g_strconcat (node->name, ".best.json", NULL);
  g_autofree char *yml_name = g_strconcat (node->name, ".best.yml", NULL), *path = evo_run_file (run, name), *yml_path = evo_run_file (run, yml_name);
  g_autofree double *genes = evo_run_genes (run, node, best->x, error);
  g_autofree char *yml = NULL;

  if (genes == NULL || !evo_write_file (path, recipe, -1, error))
    return FALSE;
  yml = evo_graph_to_mergekit (run->models, evo_node_model (node), genes, &node->save_dtype, evo_run_path_of_search, run);
  return yml == NULL || evo_write_file (yml_path, yml, -1, error);
}
