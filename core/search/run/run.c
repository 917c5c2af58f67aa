/* SPDX-License-Identifier: Apache-2.0
 * run.c - the order of things: searches with their winners saved, other saves, the exam, scores.json.
 */
#include <unistd.h>

#include "core/kernels/kernels.h"
#include "core/search/run/parts.h"
#include "core/store/output.h"

EvoRun *
evo_run_new (EvoGraph *graph, EvoModels *models, EvoProgress *progress, const EvoRunOptions *options, GError **error)
{
  g_autoptr (EvoRun) run = g_new0 (EvoRun, 1);
  g_autofree char *name = g_strconcat (evo_graph_get_name (graph), ".run", NULL);

  run->graph = graph;
  run->models = models;
  run->progress = progress;
  run->options = *options;
  run->options.jobs = MAX (options->jobs, 1);
  if (run->options.threads == 0)
    run->options.threads = MAX (g_get_num_processors () / run->options.jobs, 1);
  run->lock = -1;
  run->k = evo_kernels_get ();
  run->pool = evo_pool_new (run->options.threads * run->options.jobs);
  run->x = evo_models_new_vector (models);
  run->bests = g_array_new (FALSE, FALSE, sizeof (EvoBest));
  run->exams = g_array_new (FALSE, FALSE, sizeof (EvoExam));
  run->out = g_canonicalize_filename (options->out != NULL ? options->out : name, NULL);
  return evo_run_open_directory (run, error) ? g_steal_pointer (&run) : NULL;
}

static void
exam_clear (EvoExam *e)
{
  for (guint i = 0; i < e->n_rows; i++)
    g_free (e->rows[i].values);
  g_free (e->rows);
  g_free (e->differences);
  g_strfreev (e->extra);
}

void
evo_run_free (EvoRun *run)
{
  if (run == NULL)
    return;
  for (guint i = 0; run->bests != NULL && i < run->bests->len; i++) {
    g_free (g_array_index (run->bests, EvoBest, i).path);
    g_free (g_array_index (run->bests, EvoBest, i).x);
  }
  for (guint i = 0; run->exams != NULL && i < run->exams->len; i++)
    exam_clear (&g_array_index (run->exams, EvoExam, i));
  g_clear_pointer (&run->bests, g_array_unref);
  g_clear_pointer (&run->exams, g_array_unref);
  g_clear_pointer (&run->journal, evo_journal_close);
  g_clear_pointer (&run->pool, evo_pool_free);
  if (run->lock >= 0)
    close (run->lock);
  g_free (run->x);
  g_free (run->out);
  g_free (run);
}

/* ------------------------------------------------------------------ stages */

static gboolean
reads (const EvoNode *node, const EvoNode *search)
{
  if (node == NULL || node == search)
    return node == search;
  if (node->kind == EVO_KIND_OPTIMIZER)
    return reads (node->search.target, search);
  for (guint e = 0; e < node->n_in; e++)
    if (reads (node->in[e].from, search))
      return TRUE;
  return node->base.from != NULL && reads (node->base.from, search);
}

/* A search that went on and found a better model: what later searches did with the old one is no longer theirs. */
static gboolean
forget_later (EvoRun *run, const EvoNode *search, GError **error)
{
  g_autoptr (GPtrArray) later = g_ptr_array_new ();

  for (guint i = search->index + 1; i < evo_graph_get_n_nodes (run->graph); i++) {
    EvoNode *node = evo_graph_get (run->graph, i);

    if (node->kind == EVO_KIND_OPTIMIZER && reads (node->search.target, search))
      g_ptr_array_add (later, node->name);
  }
  g_ptr_array_add (later, NULL);
  return evo_journal_forget (run->journal, search->name, (const char *const *) later->pdata, error);
}

/* A path is not run as it was searched: once it lies in its place, the two are compared. */
static gboolean
examine_path (EvoRun *run, EvoBest *best, GError **error)
{
  g_autofree double *genes = evo_run_genes (run, best->node, best->x, error);

  return genes != NULL && evo_export_error_get (run, best->node, genes, best->trial, &best->saved, error) &&
         evo_run_rewrite_card (run, best->node, best->x, best->trial, best->path, best, error);
}

/* A search whose model is in place is not saved again: its path is in the journal, its genes come from replaying it. */
static gboolean
finish_search (EvoRun *run, EvoBest *best, GError **error)
{
  const EvoNode *node = best->node;
  g_autofree char *stored = NULL;
  gint64 trial = -1;
  double score;
  int rc = evo_journal_get_stage (run->journal, node->name, &trial, &score, &stored, error);

  best->path = evo_run_search_path (run, node);
  if (rc < 0 || !evo_run_write_recipes (run, best, error))
    return FALSE;
  if (rc == 1 && trial != best->trial && !forget_later (run, node, error))
    return FALSE;
  if (rc == 0 || trial != best->trial || g_strcmp0 (stored, best->path) != 0 || !g_file_test (best->path, G_FILE_TEST_IS_DIR)) {
    if (!evo_run_save_best (run, best, error) ||
        !evo_journal_add_stage (run->journal, node->name, best->trial, best->score, best->path, error))
      return FALSE;
    evo_progress_event (run->progress, "%s: saved %s", node->name, best->path);
  }
  return evo_models_finish_search (run->models, node, best->path, error) &&
         (evo_node_model (node)->path_genes == NULL || examine_path (run, best, error));
}

static gboolean
run_searches (EvoRun *run, GError **error)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++) {
    const EvoNode *node = evo_graph_get (run->graph, i);
    EvoBest best = { 0 };
    gboolean good;

    if (node->kind != EVO_KIND_OPTIMIZER)
      continue;
    if (!evo_run_search (run, node, &best, error))
      return FALSE;
    good = finish_search (run, &best, error);
    g_array_append_val (run->bests, best);
    if (!good)
      return FALSE;
  }
  return TRUE;
}

static gboolean
run_saves (EvoRun *run, GError **error)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++) {
    const EvoNode *node = evo_graph_get (run->graph, i);
    g_autofree char *path = node->save_path == NULL ? NULL : evo_run_file (run, node->save_path);

    if (path == NULL || node->kind == EVO_KIND_OPTIMIZER)
      continue;
    if (!evo_run_save_node (run, node, run->x, -1, path, error))
      return FALSE;
    evo_progress_event (run->progress, "%s: saved %s", node->name, path);
  }
  return TRUE;
}

static gboolean
run_exams (EvoRun *run, GError **error)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++) {
    const EvoNode *node = evo_graph_get (run->graph, i);
    EvoExam exam = { 0 };

    if (!node->is_exam)
      continue;
    if (!evo_run_exam (run, node, &exam, error)) {
      exam_clear (&exam);
      return FALSE;
    }
    g_array_append_val (run->exams, exam);
  }
  return TRUE;
}

static gboolean
rewrite_cards (EvoRun *run, GError **error)
{
  for (guint i = 0; i < run->bests->len; i++) {
    EvoBest *b = &g_array_index (run->bests, EvoBest, i);

    if (!evo_run_rewrite_card (run, b->node, b->x, b->trial, b->path, b, error))
      return FALSE;
  }
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++) {
    const EvoNode *node = evo_graph_get (run->graph, i);
    g_autofree char *path = node->save_path == NULL ? NULL : evo_run_file (run, node->save_path);

    if (path != NULL && node->kind != EVO_KIND_OPTIMIZER && !evo_run_rewrite_card (run, node, run->x, -1, path, NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_run_execute (EvoRun *run, GError **error)
{
  g_autofree char *scores = NULL, *path = evo_run_file (run, "scores.json");

  if (!run_searches (run, error) || !run_saves (run, error) || !run_exams (run, error))
    return FALSE;
  if (run->exams->len > 0 && !rewrite_cards (run, error))
    return FALSE;
  scores = evo_run_scores_json (run);
  return evo_write_file (path, scores, -1, error);
}
