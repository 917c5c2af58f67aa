/* SPDX-License-Identifier: Apache-2.0
 * evaluate.c - a batch of candidates: looked up in the journal, found equal to others, or handed to workers.
 */
#include <math.h>
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/search/loop/search.h"

/* ------------------------------------------------------------------ progress */

static void
show_progress (EvoSearch *s)
{
  gint64 left = s->spec->trials > 0 ? s->budget - s->next : 0;
  double each = s->n_evaluated > 0 ? s->evaluated_s / (double) s->n_evaluated / s->run->options.jobs : NAN;
  g_autofree char *time_left = isnan (each) || s->budget == G_MAXINT64 ? g_strdup ("?") : evo_duration_text (each * (double) MAX (left, 0));
  g_autofree char *best = evo_search_best_text (s);
  gint64 done = s->next - (gint64) s->batch->len;

  for (guint i = 0; i < s->batch->len; i++)
    done += ((EvoTrialCandidate *) s->batch->pdata[i])->known;
  if (s->best < 0)
    evo_progress_live (s->run->progress, "%s: trial %" G_GINT64_FORMAT, s->node->name, done);
  else
    evo_progress_live (s->run->progress, "%s: trial %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " · best %s (trial %" G_GINT64_FORMAT ") · %.2f s/trial · %s left",
                       s->node->name, done, MIN (s->budget, 9999999), best, s->best, each, time_left);
}

char *
evo_search_best_text (const EvoSearch *s)
{
  return s->best_half == 0 ? g_strdup_printf ("%.4g", s->best_score) : g_strdup_printf ("%.4g ± %.2g", s->best_score, s->best_half);
}

double
evo_search_half_interval (const EvoSearch *s, const EvoTrial *t)
{
  const EvoEvaluation *e = t->n_evaluations > 0 ? &t->evaluations[0] : NULL;
  const EvoEvaluatorOp *op = (const EvoEvaluatorOp *) s->spec->objectives[0].evaluator->plugin->op;
  double sum = 0, squares = 0;

  if (e == NULL || e->n < 2 || t->n_evaluations > 1 || op->n_values > 1)
    return 0;
  for (gsize i = 0; i < e->n; i++) {
    sum += e->values[i];
    squares += e->values[i] * e->values[i];
  }
  double mean = sum / (double) e->n, variance = MAX (squares / (double) e->n - mean * mean, 0);
  return 1.959964 * sqrt (variance / (double) e->n);
}

/* ------------------------------------------------------------------ evaluating a batch */

static gboolean
damaged (const EvoSearch *s, const EvoTrial *t, const char *what, const char *evaluator, GError **error)
{
  return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s/journal.db: %s: trial %" G_GINT64_FORMAT " %s \"%s\"; start a new run",
                        s->run->out, s->node->name, t->trial, what, evaluator);
}

/* A stored success has a finite score of every objective, over as many items as the trials before it. */
static gboolean
check_stored (EvoSearch *s, const EvoTrial *t, GError **error)
{
  gsize expected = s->n_items;

  for (guint i = 0; !t->failed && i < s->spec->n_objectives; i++) {
    const char *name = s->spec->objectives[i].evaluator->name;
    const EvoEvaluation *e = evo_search_find_evaluation (t, name);

    if (e == NULL)
      return damaged (s, t, "lacks the scores of", name, error);
    if (!isfinite (e->score))
      return damaged (s, t, "has no finite score of", name, error);
    if (e->n == 0 || (s->n_scores[i] != 0 && s->items == NULL && e->n != s->n_scores[i]) || (s->items != NULL && e->n % expected != 0))
      return damaged (s, t, "has another number of item scores than the others, of", name, error);
    s->n_scores[i] = e->n;
  }
  return TRUE;
}

/* The journal's own word for a trial: genes must be what the optimizer asks now, bit for bit. 1: known. */
static int
recall (EvoSearch *s, EvoTrialCandidate *c, GError **error)
{
  EvoTrial stored = { 0 };
  int rc = evo_journal_get_trial (s->run->journal, s->node->name, c->trial.trial, &stored, error);

  if (rc != 1)
    return rc;
  if (g_strcmp0 (stored.genes, c->trial.genes) != 0) {
    evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, "%s: trial %" G_GINT64_FORMAT " of the journal has other genes than this run "
                   "asks for; it was made by another evopipe or pipeline; start a new run", s->node->name, c->trial.trial);
    evo_trial_clear (&stored);
    return -1;
  }
  if (!check_stored (s, &stored, error)) {
    evo_trial_clear (&stored);
    return -1;
  }
  evo_trial_clear (&c->trial);
  c->trial = stored;
  c->known = TRUE;
  evo_search_count_work (s, &stored);
  return 1;
}

gboolean
evo_search_start_workers (EvoSearch *s, GError **error)
{
  g_autofree char *json = NULL;
  g_autoptr (GPtrArray) finished = g_ptr_array_new ();
  EvoWorkerSetup setup = { .name = evo_graph_get_name (s->run->graph), .folder = evo_graph_get_folder (s->run->graph), .search = s->node->name,
                           .threads = s->run->options.threads, .smoke = s->run->options.smoke };

  if (s->workers != NULL)
    return TRUE;
  json = evo_graph_to_json (s->run->graph);
  for (guint i = 0; i < s->run->bests->len; i++) {
    EvoBest *b = &g_array_index (s->run->bests, EvoBest, i);

    g_ptr_array_add (finished, b->node->name);
    g_ptr_array_add (finished, b->path);
  }
  g_ptr_array_add (finished, NULL);
  setup.pipeline = json;
  setup.finished = (const char *const *) finished->pdata;
  s->workers = evo_workers_new (s->run->options.jobs, &setup, error);
  return s->workers != NULL;
}

/* Looks a candidate up: in the journal, among those already evaluated, or among its own batch. */
static gboolean
resolve_candidate (EvoSearch *s, guint i, GError **error)
{
  EvoTrialCandidate *c = s->batch->pdata[i];
  g_autofree char *key = NULL;
  EvoTrial *same;
  int rc;

  c->trial.genes = evo_space_genes_json (&s->space, c->x);
  rc = recall (s, c, error);
  if (rc < 0)
    return FALSE;
  key = evo_search_candidate_key (s, c);
  same = g_hash_table_lookup (s->seen, key);
  if (rc == 0 && same != NULL) {
    evo_search_copy_evaluations (&c->trial, same);
    return evo_search_commit (s, c, error);
  }
  for (guint j = 0; rc == 0 && j < i; j++) {
    EvoTrialCandidate *d = s->batch->pdata[j];
    g_autofree char *other = evo_search_candidate_key (s, d);

    if (!d->known && g_str_equal (key, other)) {
      c->twin = j;
      break;
    }
  }
  return TRUE;
}

static gboolean
dispatch (EvoSearch *s, GError **error)
{
  for (guint i = 0; i < s->batch->len && evo_workers_get_idle (s->workers) > 0; i++) {
    EvoTrialCandidate *c = s->batch->pdata[i];
    EvoCandidate job = { c->trial.trial, c->x, evo_models_get_n_genes (s->run->models), FALSE, s->items, s->n_items };

    if (c->known || c->sent || c->twin >= 0)
      continue;
    if (!evo_workers_submit (s->workers, &job, error))
      return FALSE;
    c->sent = TRUE;
  }
  return TRUE;
}

static EvoTrialCandidate *
find_trial (EvoSearch *s, gint64 trial)
{
  for (guint i = 0; i < s->batch->len; i++)
    if (((EvoTrialCandidate *) s->batch->pdata[i])->trial.trial == trial)
      return s->batch->pdata[i];
  return NULL;
}

/* One reply into the journal. *left counts what is still out. */
static gboolean
receive (EvoSearch *s, guint *left, GError **error)
{
  EvoReply r = { 0 };
  int rc = evo_workers_wait (s->workers, 200, &r, error);
  gboolean good = TRUE;

  if (rc < 0)
    return FALSE;
  if (rc == 1 && r.error != NULL && !r.of_candidate) {
    g_propagate_error (error, g_steal_pointer (&r.error));
    good = FALSE;
  } else if (rc == 1) {
    EvoTrialCandidate *c = find_trial (s, r.trial);

    evo_search_take_reply (s, c, &r);
    good = evo_search_commit (s, c, error);
    (*left)--;
  }
  evo_reply_clear (&r);
  show_progress (s);
  return good;
}

static gboolean
settle_twins (EvoSearch *s, GError **error)
{
  for (guint i = 0; i < s->batch->len; i++) {
    EvoTrialCandidate *c = s->batch->pdata[i];

    if (c->known || c->twin < 0)
      continue;
    evo_search_copy_evaluations (&c->trial, &((EvoTrialCandidate *) s->batch->pdata[c->twin])->trial);
    if (!evo_search_commit (s, c, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_search_evaluate_batch (EvoSearch *s, GError **error)
{
  guint left = 0;

  for (guint i = 0; i < s->batch->len; i++) {
    if (!resolve_candidate (s, i, error))
      return FALSE;
    left += !((EvoTrialCandidate *) s->batch->pdata[i])->known && ((EvoTrialCandidate *) s->batch->pdata[i])->twin < 0;
  }
  if (left > 0 && !evo_search_start_workers (s, error))
    return FALSE;
  while (left > 0) {
    gboolean cancelled = evo_cancel_is_requested ();

    if (!cancelled && !dispatch (s, error))
      return FALSE;
    if (cancelled && evo_workers_get_idle (s->workers) == s->run->options.jobs)
      return evo_cancel_check (error);
    if (!receive (s, &left, error))
      return FALSE;
  }
  return settle_twins (s, error);
}
