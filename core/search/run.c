/* SPDX-License-Identifier: Apache-2.0
 * run.c - the run directory and the order of things: searches with their winners saved, other saves, the exam, scores.json.
 */
#include "core/search/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/write/mergekit.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"
#include "core/store/output.h"

/* ------------------------------------------------------------------ the run directory */

static char *
in_run (const EvoRun *run, const char *name)
{
  return g_canonicalize_filename (name, run->out);
}

static gboolean
take_lock (EvoRun *run, GError **error)
{
  g_autofree char *path = in_run (run, "lock");

  run->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (run->lock < 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: %s", path, g_strerror (errno));
  if (flock (run->lock, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: another evopipe is running there; wait for it, or choose another "
                        "--out", run->out);
}

static gboolean
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    if (!remove_tree (child))
      return FALSE;
  }
  return remove (path) == 0 || errno == ENOENT;
}

/* --force starts over, but only where a run was: a directory with a journal, or an empty one. */
static gboolean
clear_old (EvoRun *run, GError **error)
{
  g_autofree char *journal = in_run (run, "journal.db"), *lock = in_run (run, "lock");

  if (!g_file_test (journal, G_FILE_TEST_EXISTS) && !g_file_test (lock, G_FILE_TEST_EXISTS) && rmdir (run->out) != 0)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: exists and is no run directory; --force would lose it; choose "
                          "another --out", run->out);
  if (g_file_test (lock, G_FILE_TEST_EXISTS)) {
    if (!take_lock (run, error))
      return FALSE;
    close (run->lock);
    run->lock = -1;
  }
  if (remove_tree (run->out))
    return TRUE;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be removed: %s", run->out, g_strerror (errno));
}

static gboolean
make_directory (EvoRun *run, GError **error)
{
  if (g_mkdir_with_parents (run->out, 0777) == 0)
    return TRUE;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be made: %s", run->out, g_strerror (errno));
}

static gboolean
create_run (EvoRun *run, GError **error)
{
  g_autofree char *journal = in_run (run, "journal.db"), *pipeline = in_run (run, "pipeline.json"), *json = evo_graph_to_json (run->graph);

  if (!make_directory (run, error) || !take_lock (run, error) || !evo_write_file (pipeline, json, -1, error))
    return FALSE;
  run->journal = evo_journal_open (journal, TRUE, error);
  return run->journal != NULL && evo_run_write_identity (run, error);
}

static gboolean
reopen_run (EvoRun *run, GError **error)
{
  g_autofree char *journal = in_run (run, "journal.db"), *pipeline = in_run (run, "pipeline.json"), *json = evo_graph_to_json (run->graph);

  if (!take_lock (run, error))
    return FALSE;
  /* killed before the journal was there: nothing is lost by beginning again */
  if (!g_file_test (journal, G_FILE_TEST_EXISTS)) {
    close (run->lock);
    run->lock = -1;
    return create_run (run, error);
  }
  run->journal = evo_journal_open (journal, FALSE, error);
  return run->journal != NULL && evo_run_check_identity (run, error) && evo_write_file (pipeline, json, -1, error);
}

static gboolean
open_directory (EvoRun *run, GError **error)
{
  gboolean exists = g_file_test (run->out, G_FILE_TEST_EXISTS);

  if (exists && run->options.resume)
    return reopen_run (run, error);
  if (run->options.resume)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: there is no run to resume; leave --resume out to start one",
                          run->out);
  if (exists && !run->options.force)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: exists; --resume goes on with it, --force starts over", run->out);
  return (!exists || clear_old (run, error)) && create_run (run, error);
}

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
  return open_directory (run, error) ? g_steal_pointer (&run) : NULL;
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

/* ------------------------------------------------------------------ recipes and saving */

/* Where its model goes (owned). */
static char *
search_path (const EvoRun *run, const EvoNode *search)
{
  return in_run (run, search->save_path != NULL ? search->save_path : search->name);
}

static char *
path_of_search (gpointer data, const EvoNode *search)
{
  return search_path (data, search);
}

/* The vector a model is computed under: the winner's, each simplex divided by its sum. Owned; NULL and error: a sum is 0. */
static double *
genes_of (const EvoRun *run, const EvoNode *node, const double *x, GError **error)
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
  g_autofree double *genes = genes_of (run, node, x, NULL);

  return evo_graph_to_recipe (run->graph, node, genes, trial, path_of_search, (gpointer) run,
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

static gboolean
save_node (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, GError **error)
{
  g_autofree char *recipe = recipe_of (run, node, x, trial), *scores = card_scores (run, node);
  EvoSaveOptions options = { path, TRUE, &node->save_dtype, node->save_shard_bytes, recipe, *scores == '\0' ? NULL : scores };
  g_autofree double *genes = genes_of (run, node, x, error);
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

/* Cards are written again once it is known how well the model does, and of a path how well it was exported. found: NULL for what was not searched. */
static gboolean
rewrite_card (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, const EvoBest *found, GError **error)
{
  g_autofree char *export_error = found == NULL ? NULL : evo_export_error_text (&found->saved, node);
  g_autofree char *recipe = recipe_of (run, node, x, trial), *scores = card_scores (run, node);
  EvoSaveOptions options = { path, TRUE, &node->save_dtype, node->save_shard_bytes, recipe, *scores == '\0' ? NULL : scores, export_error };
  g_autofree char *card = evo_model_card (run->models, evo_node_model (node), &options), *file = g_build_filename (path, "README.md", NULL);

  return evo_write_file (file, card, -1, error);
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

/* The winner as a pipeline without genes and, where mergekit can say it, as its recipe. */
static gboolean
write_recipes (EvoRun *run, const EvoBest *best, GError **error)
{
  const EvoNode *node = best->node;
  g_autofree char *recipe = recipe_of (run, node, best->x, best->trial), *name = g_strconcat (node->name, ".best.json", NULL);
  g_autofree char *yml_name = g_strconcat (node->name, ".best.yml", NULL), *path = in_run (run, name), *yml_path = in_run (run, yml_name);
  g_autofree double *genes = genes_of (run, node, best->x, error);
  g_autofree char *yml = NULL;

  if (genes == NULL || !evo_write_file (path, recipe, -1, error))
    return FALSE;
  yml = evo_graph_to_mergekit (run->models, evo_node_model (node), genes, &node->save_dtype, path_of_search, run);
  return yml == NULL || evo_write_file (yml_path, yml, -1, error);
}

/* A path is not run as it was searched: once it lies in its place, the two are compared. */
static gboolean
examine_path (EvoRun *run, EvoBest *best, GError **error)
{
  g_autofree double *genes = genes_of (run, best->node, best->x, error);

  return genes != NULL && evo_export_error_get (run, best->node, genes, best->trial, &best->saved, error) &&
         rewrite_card (run, best->node, best->x, best->trial, best->path, best, error);
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

  best->path = search_path (run, node);
  if (rc < 0 || !write_recipes (run, best, error))
    return FALSE;
  if (rc == 1 && trial != best->trial && !forget_later (run, node, error))
    return FALSE;
  if (rc == 0 || trial != best->trial || g_strcmp0 (stored, best->path) != 0 || !g_file_test (best->path, G_FILE_TEST_IS_DIR)) {
    if (!(evo_node_model (node)->path_genes != NULL ? save_found_path : save_node) (run, node, best->x, best->trial, best->path, error) ||
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
    g_autofree char *path = node->save_path == NULL ? NULL : in_run (run, node->save_path);

    if (path == NULL || node->kind == EVO_KIND_OPTIMIZER)
      continue;
    if (!save_node (run, node, run->x, -1, path, error))
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

    if (!rewrite_card (run, b->node, b->x, b->trial, b->path, b, error))
      return FALSE;
  }
  for (guint i = 0; i < evo_graph_get_n_nodes (run->graph); i++) {
    const EvoNode *node = evo_graph_get (run->graph, i);
    g_autofree char *path = node->save_path == NULL ? NULL : in_run (run, node->save_path);

    if (path != NULL && node->kind != EVO_KIND_OPTIMIZER && !rewrite_card (run, node, run->x, -1, path, NULL, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_run_execute (EvoRun *run, GError **error)
{
  g_autofree char *scores = NULL, *path = in_run (run, "scores.json");

  if (!run_searches (run, error) || !run_saves (run, error) || !run_exams (run, error))
    return FALSE;
  if (run->exams->len > 0 && !rewrite_cards (run, error))
    return FALSE;
  scores = evo_run_scores_json (run);
  return evo_write_file (path, scores, -1, error);
}
