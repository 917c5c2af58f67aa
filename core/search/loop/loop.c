/* SPDX-License-Identifier: Apache-2.0
 * loop.c - one search: ask a batch, evaluate what the journal does not have, commit, tell in trial order.
 *
 * The optimizer is asked until it says wait; trials are numbered in ask order and told in that order once all of the batch are known, so
 * nothing depends on the number of workers. A resumed search is the same loop: the journal answers instead of the workers, each point
 * compared with what is stored.
 */
#include <math.h>
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/search/loop/search.h"

/* ------------------------------------------------------------------ telling */

static void
new_best (EvoSearch *s, const EvoTrialCandidate *c)
{
  const EvoTrial *t = &c->trial;

  s->best = t->trial;
  s->best_objective = evo_search_objective (s, t);
  s->best_score = evo_search_shown_score (s, t);
  s->best_half = evo_search_half_interval (s, t);
  s->stalled = 0;
  g_free (s->best_x);
  s->best_x = g_memdup2 (c->x, MAX (evo_models_get_n_genes (s->run->models), 1) * sizeof *c->x);
  if (!evo_progress_is_live (s->run->progress)) {
    g_autofree char *text = evo_search_best_text (s);

    evo_progress_event (s->run->progress, "%s: trial %" G_GINT64_FORMAT ": best %s", s->node->name, t->trial, text);
  }
}

/* Per-item losses where the one objective has one number an item. */
static double *
item_losses (const EvoSearch *s, const EvoTrial *t, gsize *n)
{
  double *out;

  *n = 0;
  if (t->failed || s->spec->n_objectives != 1 || t->n_evaluations != 1)
    return NULL;
  *n = t->evaluations[0].n;
  out = g_new (double, MAX (*n, 1));
  for (gsize i = 0; i < *n; i++)
    out[i] = -s->spec->objectives[0].weight * t->evaluations[0].values[i];
  return out;
}

static void
tell_batch (EvoSearch *s)
{
  for (guint i = 0; i < s->batch->len; i++) {
    EvoTrialCandidate *c = s->batch->pdata[i];
    double objective = evo_search_objective (s, &c->trial), loss = -objective;
    gsize n_items;
    g_autofree double *items = item_losses (s, &c->trial, &n_items);
    EvoOutcome outcome = { c->trial.trial, c->trial.failed, &loss, items, n_items };

    evo_search_remember (s, c);
    s->stalled++;
    if (!c->trial.failed && (s->best < 0 || objective > s->best_objective))
      new_best (s, c);
    if (c->point != NULL)
      s->op->tell (s->optimizer, c->point, &outcome);
  }
}

static EvoTrialCandidate *
best_of_batch (EvoSearch *s)
{
  EvoTrialCandidate *best = NULL;

  for (guint i = 0; i < s->batch->len; i++) {
    EvoTrialCandidate *c = s->batch->pdata[i];

    if (!c->trial.failed && (best == NULL || evo_search_objective (s, &c->trial) > evo_search_objective (s, &best->trial)))
      best = c;
  }
  return best;
}

static gboolean
run_validation (EvoSearch *s, EvoTrialCandidate *c, EvoEvaluation *out, GError **error)
{
  EvoCandidate job = { c->trial.trial, c->x, evo_models_get_n_genes (s->run->models), TRUE, NULL, 0 };
  EvoReply r = { 0 };
  int rc;

  if (!evo_search_start_workers (s, error) || !evo_workers_submit (s->workers, &job, error))
    return FALSE;
  while ((rc = evo_workers_wait (s->workers, 200, &r, error)) == 0)
    ;
  if (rc < 0)
    return FALSE;
  if (r.error != NULL) {
    g_propagate_error (error, g_steal_pointer (&r.error));
    evo_reply_clear (&r);
    return FALSE;
  }
  *out = r.evaluations[0];
  r.evaluations[0] = (EvoEvaluation){ 0 };
  evo_reply_clear (&r);
  return evo_journal_add_validation (s->run->journal, s->node->name, s->generation, c->trial.trial, out, error);
}

/* The generation's best on the validation items: the node's value is the best validated one, the earliest on ties. */
static gboolean
validate_batch (EvoSearch *s, GError **error)
{
  EvoTrialCandidate *c = best_of_batch (s);
  const EvoEvaluatorOp *op = s->spec->validate == NULL ? NULL : (const EvoEvaluatorOp *) s->spec->validate->plugin->op;
  EvoEvaluation e = { 0 };
  gint64 trial;
  double objective;
  int rc;

  if (op == NULL || c == NULL)
    return TRUE;
  rc = evo_journal_get_validation (s->run->journal, s->node->name, s->generation, &trial, &e, error);
  if (rc < 0 || (rc == 0 && !run_validation (s, c, &e, error)))
    return FALSE;
  objective = op->flags & EVO_EVALUATOR_SMALLER_IS_BETTER ? -e.score : e.score;
  if (s->valid_best < 0 || objective > s->valid_objective) {
    s->valid_best = c->trial.trial;
    s->valid_objective = objective;
    s->valid_score = e.score;
    g_free (s->best_x);
    s->best_x = g_memdup2 (c->x, MAX (evo_models_get_n_genes (s->run->models), 1) * sizeof *c->x);
  }
  evo_evaluation_clear (&e);
  return TRUE;
}

/* ------------------------------------------------------------------ the loop */

/* If nothing of the first generation could be evaluated the search has no ground to stand on. */
static gboolean
check_first (EvoSearch *s, GError **error)
{
  EvoTrialCandidate *c = s->batch->len > 0 ? s->batch->pdata[0] : NULL;

  if (s->best >= 0 || c == NULL)
    return TRUE;
  if (c->error != NULL) {
    g_propagate_prefixed_error (error, g_error_copy (c->error), "%s: every candidate of the first generation failed: ", s->node->name);
    return FALSE;
  }
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "%s: every candidate of the first generation failed: %s",
                        s->node->name, c->trial.reason == NULL ? "?" : c->trial.reason);
}

static gboolean
run_batch (EvoSearch *s, GError **error)
{
  evo_search_draw_items (s);
  if (!evo_search_evaluate_batch (s, error))
    return FALSE;
  tell_batch (s);
  if (s->generation == 0 && !check_first (s, error))
    return FALSE;
  if (!validate_batch (s, error))
    return FALSE;
  g_ptr_array_set_size (s->batch, 0);
  s->generation++;
  return evo_cancel_check (error);
}

static gboolean
is_over (const EvoSearch *s)
{
  if (s->next >= s->budget)
    return TRUE;
  if (s->spec->stall > 0 && s->best >= 0 && s->stalled >= s->spec->stall)
    return TRUE;
  return s->spec->minutes > 0 && s->seconds >= s->spec->minutes * 60;
}

/* Points the user knows of: tried before the optimizer begins, which then starts from the best of them and the start point. */
static gboolean
try_start_from (EvoSearch *s, GError **error)
{
  const EvoJson *list = s->spec->start_from;

  evo_search_add_candidate (s, NULL);
  for (guint i = 0; i < evo_json_size (list) && s->next < s->budget; i++) {
    EvoTrialCandidate *c = evo_search_add_candidate (s, NULL);

    if (!evo_space_from_json (&s->space, evo_json_at (list, i), c->x, error))
      return FALSE;
  }
  return run_batch (s, error);
}

static gboolean
open_optimizer (EvoSearch *s, GError **error)
{
  g_autofree double *point = g_new0 (double, MAX (s->space.n, 1));

  if (s->best >= 0 && s->best_x != NULL) {
    evo_space_gather (&s->space, s->best_x, point);
    for (guint i = 0; i < s->space.n; i++)
      s->space.dims[i].start = point[i];
  }
  s->optimizer = s->op->open (s->space.dims, s->space.n, 1, s->node->params, s->node->stream, s->run->k, error);
  if (s->optimizer == NULL)
    g_prefix_error (error, "%s: ", s->node->name);
  return s->optimizer != NULL;
}

/* One generation of asks. FALSE without error: the optimizer is done. */
static gboolean
ask_batch (EvoSearch *s)
{
  while (s->next < s->budget) {
    g_autofree double *point = g_new0 (double, MAX (s->space.n, 1));

    if (s->op->ask (s->optimizer, s->next, point) != EVO_ASKED_GIVEN)
      break;
    evo_search_add_candidate (s, g_steal_pointer (&point));
  }
  return s->batch->len > 0;
}

static gboolean
run_loop (EvoSearch *s, GError **error)
{
  if (s->spec->start_from != NULL && !try_start_from (s, error))
    return FALSE;
  if (!open_optimizer (s, error))
    return FALSE;
  while (!is_over (s) && ask_batch (s))
    if (!run_batch (s, error))
      return FALSE;
  return TRUE;
}

static gboolean
count_items (EvoSearch *s, GError **error)
{
  g_autoptr (EvoScorer) scorer = NULL;

  if (s->spec->sample_items == 0)
    return TRUE;
  scorer = evo_scorer_new (s->spec->objectives[0].evaluator, s->run->options.smoke, error);
  if (scorer == NULL)
    return FALSE;
  s->n_all_items = (gint64) evo_scorer_get_n_items (scorer);
  return TRUE;
}

static void
search_clear (EvoSearch *s)
{
  if (s->optimizer != NULL)
    s->op->close (s->optimizer);
  g_clear_pointer (&s->workers, evo_workers_free);
  g_ptr_array_unref (s->batch);
  g_hash_table_unref (s->seen);
  evo_space_clear (&s->space);
  g_free (s->items);
  g_free (s->n_scores);
  g_free (s->best_x);
}

gboolean
evo_run_search (EvoRun *run, const EvoNode *node, EvoBest *best, GError **error)
{
  EvoSearch s = { .run = run, .node = node, .spec = &node->search, .op = (const EvoOptimizerOp *) node->plugin->op, .best = -1, .valid_best = -1 };
  gboolean good;

  evo_space_init (&s.space, node);
  s.n_scores = g_new0 (gsize, node->search.n_objectives + 1);
  s.batch = g_ptr_array_new_with_free_func (evo_search_candidate_free);
  s.seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, evo_search_seen_free);
  s.budget = node->search.trials > 0 ? node->search.trials : G_MAXINT64;
  if (run->options.smoke)
    s.budget = MIN (s.budget, 2);
  good = count_items (&s, error) && run_loop (&s, error);
  if (good && s.best < 0)
    good = evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "%s: no candidate could be scored", node->name);
  if (good) {
    gboolean validated = s.valid_best >= 0;
    g_autofree char *reuse = evo_trial_reuse_text (s.hops_run, s.hops_skipped);

    *best = (EvoBest){ node, validated ? s.valid_best : s.best, s.next, validated ? s.valid_score : s.best_score, NULL,
                       g_steal_pointer (&s.best_x) };
    evo_progress_event (run->progress, "%s: %" G_GINT64_FORMAT " trials, best %.4g (trial %" G_GINT64_FORMAT ")", node->name, s.next,
                        best->score, best->trial);
    if (reuse != NULL)
      evo_progress_event (run->progress, "%s: %s", node->name, reuse);
  }
  if (good) {
    g_autofree char *answers = g_strdup_printf ("trial %" G_GINT64_FORMAT, s.best);

    good = evo_journal_keep_answers (run->journal, node->name, answers, error);
  }
  search_clear (&s);
  return good;
}
