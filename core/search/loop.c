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
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/search/run.h"
#include "core/search/space.h"
#include "core/search/statistics.h"
#include "core/search/workers.h"

typedef struct {
  double *point;    /* as the optimizer asked; NULL: from start_from */
  double *x;        /* graph-wide */
  EvoTrial trial;
  GError *error;    /* of a failure in this process's life: told to the user where all of the first generation fail */
  GPtrArray *answers;
  gint64 twin;      /* index in the batch of an equal candidate, -1: none */
  gboolean known, sent;
} Candidate;

typedef struct {
  EvoRun *run;
  const EvoNode *node;
  const EvoSearchSpec *spec;
  const EvoOptimizerOp *op;
  gpointer optimizer;
  EvoSpace space;
  EvoWorkers *workers;       /* started when first needed */
  GHashTable *seen;          /* key of an evaluated candidate -> EvoTrial* (a copy) */
  GPtrArray *batch;          /* Candidate */
  gint64 *items; gsize n_items; /* this generation's sample, NULL: all */
  gint64 n_all_items;        /* of the first objective */
  gint64 next, generation, budget;
  gint64 best, stalled;      /* best trial, -1: none; trials since */
  double best_objective, best_score, best_half;
  double *best_x;
  gint64 valid_best; double valid_objective, valid_score;
  double seconds;            /* journalled */
  gint64 n_evaluated; double evaluated_s;
} Search;

/* ------------------------------------------------------------------ batches */

static void
candidate_free (gpointer data)
{
  Candidate *c = data;

  g_free (c->point);
  g_free (c->x);
  evo_trial_clear (&c->trial);
  g_clear_error (&c->error);
  g_clear_pointer (&c->answers, g_ptr_array_unref);
  g_free (c);
}

static void
seen_free (gpointer data)
{
  evo_trial_clear (data);
  g_free (data);
}

static Candidate *
add_candidate (Search *s, double *point)
{
  Candidate *c = g_new0 (Candidate, 1);

  c->point = point;
  c->x = g_memdup2 (s->run->x, MAX (evo_models_get_n_genes (s->run->models), 1) * sizeof *c->x);
  if (point != NULL)
    evo_space_scatter (&s->space, point, c->x);
  c->trial.trial = s->next++;
  c->trial.generation = s->generation;
  c->twin = -1;
  g_ptr_array_add (s->batch, c);
  return c;
}

/* Equal genes on equal items (and, where masks go by trial, of the same trial) are one evaluation. */
static char *
candidate_key (Search *s, const Candidate *c)
{
  GChecksum *sum = g_checksum_new (G_CHECKSUM_SHA256);
  char *key;

  for (guint i = 0; i < s->space.n; i++) {
    double v = c->x[s->space.genes[s->space.gene[i]]->first + s->space.part[i]];

    g_checksum_update (sum, (const guchar *) &v, sizeof v);
  }
  if (s->items != NULL)
    g_checksum_update (sum, (const guchar *) s->items, (gssize) (s->n_items * sizeof *s->items));
  for (guint i = 0; i < s->spec->n_merges; i++)
    if (s->spec->merges[i]->masks_per_trial)
      g_checksum_update (sum, (const guchar *) &c->trial.trial, sizeof c->trial.trial);
  key = g_strdup (g_checksum_get_string (sum));
  g_checksum_free (sum);
  return key;
}

static void
draw_items (Search *s)
{
  EvoRandom r;
  gsize n = (gsize) MIN (s->spec->sample_items, s->n_all_items);
  g_autofree gint64 *all = NULL;

  if (s->spec->sample_items == 0 || s->n_all_items == 0)
    return;
  all = g_new (gint64, s->n_all_items);
  for (gint64 i = 0; i < s->n_all_items; i++)
    all[i] = i;
  evo_random_init (&r, evo_random_mix (evo_random_mix_text (s->node->stream, "items"), (guint64) s->generation));
  evo_random_shuffle (&r, all, (gsize) s->n_all_items);
  g_free (s->items);
  s->items = g_memdup2 (all, n * sizeof *all);
  s->n_items = n;
}

/* ------------------------------------------------------------------ outcomes */

static double
objective_of (const Search *s, const EvoTrial *t)
{
  double sum = 0;

  if (t->failed)
    return -HUGE_VAL;
  for (guint i = 0; i < s->spec->n_objectives; i++)
    for (guint j = 0; j < t->n_evaluations; j++)
      if (g_strcmp0 (t->evaluations[j].evaluator, s->spec->objectives[i].evaluator->name) == 0)
        sum += s->spec->objectives[i].weight * t->evaluations[j].score;
  return sum;
}

/* What users see: the one evaluator's own score, or the weighted sum. */
static double
shown_score (const Search *s, const EvoTrial *t)
{
  return t->failed ? NAN : t->n_evaluations == 1 ? t->evaluations[0].score : objective_of (s, t);
}

static void
copy_evaluations (EvoTrial *to, const EvoTrial *from)
{
  to->failed = from->failed;
  to->reason = g_strdup (from->reason);
  to->score = from->score;
  to->n_evaluations = from->n_evaluations;
  to->evaluations = g_new0 (EvoEvaluation, MAX (from->n_evaluations, 1));
  for (guint i = 0; i < from->n_evaluations; i++) {
    const EvoEvaluation *e = &from->evaluations[i];

    to->evaluations[i] = (EvoEvaluation){ g_strdup (e->evaluator), e->score, g_memdup2 (e->values, e->n * sizeof *e->values), e->n };
  }
}

static void
remember (Search *s, const Candidate *c)
{
  EvoTrial *copy = g_new0 (EvoTrial, 1);

  copy_evaluations (copy, &c->trial);
  g_hash_table_insert (s->seen, candidate_key (s, c), copy);
}

static gboolean
commit (Search *s, Candidate *c, GError **error)
{
  c->known = TRUE;
  s->seconds += c->trial.seconds;
  return evo_journal_add_trial (s->run->journal, s->node->name, &c->trial, error);
}

static void
take_reply (Search *s, Candidate *c, EvoReply *r)
{
  c->trial.seconds = r->seconds;
  s->n_evaluated++;
  s->evaluated_s += r->seconds;
  if (r->error != NULL) {
    c->trial.failed = TRUE;
    c->trial.score = NAN;
    c->trial.reason = g_strdup (r->error->message);
    c->error = g_steal_pointer (&r->error);
    return;
  }
  c->trial.evaluations = g_steal_pointer (&r->evaluations);
  c->trial.n_evaluations = r->n;
  r->n = 0;
  c->trial.score = shown_score (s, &c->trial);
  c->answers = g_steal_pointer (&r->answers);
}

/* ------------------------------------------------------------------ progress */

static void
show_progress (Search *s)
{
  gint64 left = s->spec->trials > 0 ? s->budget - s->next : 0;
  double each = s->n_evaluated > 0 ? s->evaluated_s / (double) s->n_evaluated / s->run->options.jobs : NAN;
  g_autofree char *time_left = isnan (each) || s->budget == G_MAXINT64 ? g_strdup ("?") : evo_duration_text (each * (double) MAX (left, 0));
  gint64 done = s->next - (gint64) s->batch->len;

  for (guint i = 0; i < s->batch->len; i++)
    done += ((Candidate *) s->batch->pdata[i])->known;
  if (s->best < 0)
    evo_progress_live (s->run->progress, "%s: trial %" G_GINT64_FORMAT, s->node->name, done);
  else
    evo_progress_live (s->run->progress, "%s: trial %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " · best %.4g ± %.2g (trial %" G_GINT64_FORMAT
                       ") · %.2f s/trial · %s left", s->node->name, done, MIN (s->budget, 9999999), s->best_score, s->best_half, s->best, each,
                       time_left);
}

static double
half_interval (const EvoTrial *t)
{
  const EvoEvaluation *e = t->n_evaluations > 0 ? &t->evaluations[0] : NULL;
  double sum = 0, squares = 0;

  if (e == NULL || e->n < 2)
    return 0;
  for (gsize i = 0; i < e->n; i++) {
    sum += e->values[i];
    squares += e->values[i] * e->values[i];
  }
  double mean = sum / (double) e->n, variance = MAX (squares / (double) e->n - mean * mean, 0);
  return 1.959964 * sqrt (variance / (double) e->n);
}

/* ------------------------------------------------------------------ evaluating a batch */

/* The journal's own word for a trial: genes must be what the optimizer asks now, bit for bit. 1: known. */
static int
recall (Search *s, Candidate *c, GError **error)
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
  evo_trial_clear (&c->trial);
  c->trial = stored;
  c->known = TRUE;
  s->seconds += stored.seconds;
  return 1;
}

static gboolean
start_workers (Search *s, GError **error)
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
resolve_candidate (Search *s, guint i, GError **error)
{
  Candidate *c = s->batch->pdata[i];
  g_autofree char *key = NULL;
  EvoTrial *same;
  int rc;

  c->trial.genes = evo_space_genes_json (&s->space, c->x);
  rc = recall (s, c, error);
  if (rc < 0)
    return FALSE;
  key = candidate_key (s, c);
  same = g_hash_table_lookup (s->seen, key);
  if (rc == 0 && same != NULL) {
    copy_evaluations (&c->trial, same);
    return commit (s, c, error);
  }
  for (guint j = 0; rc == 0 && j < i; j++) {
    Candidate *d = s->batch->pdata[j];
    g_autofree char *other = candidate_key (s, d);

    if (!d->known && g_str_equal (key, other)) {
      c->twin = j;
      break;
    }
  }
  return TRUE;
}

static gboolean
dispatch (Search *s, GError **error)
{
  for (guint i = 0; i < s->batch->len && evo_workers_get_idle (s->workers) > 0; i++) {
    Candidate *c = s->batch->pdata[i];
    EvoCandidate job = { c->trial.trial, c->x, evo_models_get_n_genes (s->run->models), FALSE, s->items, s->n_items };

    if (c->known || c->sent || c->twin >= 0)
      continue;
    if (!evo_workers_submit (s->workers, &job, error))
      return FALSE;
    c->sent = TRUE;
  }
  return TRUE;
}

static Candidate *
find_trial (Search *s, gint64 trial)
{
  for (guint i = 0; i < s->batch->len; i++)
    if (((Candidate *) s->batch->pdata[i])->trial.trial == trial)
      return s->batch->pdata[i];
  return NULL;
}

/* One reply into the journal. *left counts what is still out. */
static gboolean
receive (Search *s, guint *left, GError **error)
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
    Candidate *c = find_trial (s, r.trial);

    take_reply (s, c, &r);
    good = commit (s, c, error);
    (*left)--;
  }
  evo_reply_clear (&r);
  show_progress (s);
  return good;
}

static gboolean
settle_twins (Search *s, GError **error)
{
  for (guint i = 0; i < s->batch->len; i++) {
    Candidate *c = s->batch->pdata[i];

    if (c->known || c->twin < 0)
      continue;
    copy_evaluations (&c->trial, &((Candidate *) s->batch->pdata[c->twin])->trial);
    if (!commit (s, c, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
evaluate_batch (Search *s, GError **error)
{
  guint left = 0;

  for (guint i = 0; i < s->batch->len; i++) {
    if (!resolve_candidate (s, i, error))
      return FALSE;
    left += !((Candidate *) s->batch->pdata[i])->known && ((Candidate *) s->batch->pdata[i])->twin < 0;
  }
  if (left > 0 && !start_workers (s, error))
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

/* ------------------------------------------------------------------ telling */

static gboolean
new_best (Search *s, Candidate *c, GError **error)
{
  const EvoTrial *t = &c->trial;

  s->best = t->trial;
  s->best_objective = objective_of (s, t);
  s->best_score = shown_score (s, t);
  s->best_half = half_interval (t);
  s->stalled = 0;
  g_free (s->best_x);
  s->best_x = g_memdup2 (c->x, MAX (evo_models_get_n_genes (s->run->models), 1) * sizeof *c->x);
  if (!evo_progress_is_live (s->run->progress))
    evo_progress_event (s->run->progress, "%s: trial %" G_GINT64_FORMAT ": best %.4g ± %.2g", s->node->name, t->trial, s->best_score, s->best_half);
  if (c->answers == NULL || c->answers->len == 0 || t->n_evaluations == 0)
    return TRUE;
  g_autofree char *name = g_strdup_printf ("trial %" G_GINT64_FORMAT, t->trial);
  return evo_journal_set_answers (s->run->journal, s->node->name, name, (const char *const *) c->answers->pdata, t->evaluations[0].values,
                                  t->evaluations[0].n / c->answers->len, c->answers->len, error);
}

/* Per-item losses where the one objective has one number an item. */
static double *
item_losses (const Search *s, const EvoTrial *t, gsize *n)
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

static gboolean
tell_batch (Search *s, GError **error)
{
  for (guint i = 0; i < s->batch->len; i++) {
    Candidate *c = s->batch->pdata[i];
    double objective = objective_of (s, &c->trial), loss = -objective;
    gsize n_items;
    g_autofree double *items = item_losses (s, &c->trial, &n_items);
    EvoOutcome outcome = { c->trial.trial, c->trial.failed, &loss, items, n_items };

    remember (s, c);
    s->stalled++;
    if (!c->trial.failed && (s->best < 0 || objective > s->best_objective) && !new_best (s, c, error))
      return FALSE;
    if (c->point != NULL)
      s->op->tell (s->optimizer, c->point, &outcome);
  }
  return TRUE;
}

static Candidate *
best_of_batch (Search *s)
{
  Candidate *best = NULL;

  for (guint i = 0; i < s->batch->len; i++) {
    Candidate *c = s->batch->pdata[i];

    if (!c->trial.failed && (best == NULL || objective_of (s, &c->trial) > objective_of (s, &best->trial)))
      best = c;
  }
  return best;
}

static gboolean
run_validation (Search *s, Candidate *c, EvoEvaluation *out, GError **error)
{
  EvoCandidate job = { c->trial.trial, c->x, evo_models_get_n_genes (s->run->models), TRUE, NULL, 0 };
  EvoReply r = { 0 };
  int rc;

  if (!start_workers (s, error) || !evo_workers_submit (s->workers, &job, error))
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
validate_batch (Search *s, GError **error)
{
  Candidate *c = best_of_batch (s);
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
check_first (Search *s, GError **error)
{
  Candidate *c = s->batch->len > 0 ? s->batch->pdata[0] : NULL;

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
run_batch (Search *s, GError **error)
{
  draw_items (s);
  if (!evaluate_batch (s, error) || !tell_batch (s, error))
    return FALSE;
  if (s->generation == 0 && !check_first (s, error))
    return FALSE;
  if (!validate_batch (s, error))
    return FALSE;
  g_ptr_array_set_size (s->batch, 0);
  s->generation++;
  return evo_cancel_check (error);
}

static gboolean
is_over (const Search *s)
{
  if (s->next >= s->budget)
    return TRUE;
  if (s->spec->stall > 0 && s->best >= 0 && s->stalled >= s->spec->stall)
    return TRUE;
  return s->spec->minutes > 0 && s->seconds >= s->spec->minutes * 60;
}

/* Points the user knows of: tried before the optimizer begins, which then starts from the best of them and the start point. */
static gboolean
try_start_from (Search *s, GError **error)
{
  const EvoJson *list = s->spec->start_from;

  add_candidate (s, NULL);
  for (guint i = 0; i < evo_json_size (list) && s->next < s->budget; i++) {
    Candidate *c = add_candidate (s, NULL);

    if (!evo_space_from_json (&s->space, evo_json_at (list, i), c->x, error))
      return FALSE;
  }
  return run_batch (s, error);
}

static gboolean
open_optimizer (Search *s, GError **error)
{
  g_autofree double *point = g_new0 (double, MAX (s->space.n, 1));

  if (s->best >= 0 && s->best_x != NULL) {
    evo_space_gather (&s->space, s->best_x, point);
    for (guint i = 0; i < s->space.n; i++)
      s->space.dims[i].start = point[i];
  }
  s->optimizer = s->op->open (s->space.dims, s->space.n, 1, s->node->params, s->node->stream, error);
  if (s->optimizer == NULL)
    g_prefix_error (error, "%s: ", s->node->name);
  return s->optimizer != NULL;
}

/* One generation of asks. FALSE without error: the optimizer is done. */
static gboolean
ask_batch (Search *s)
{
  while (s->next < s->budget) {
    g_autofree double *point = g_new0 (double, MAX (s->space.n, 1));

    if (s->op->ask (s->optimizer, s->next, point) != EVO_ASKED_GIVEN)
      break;
    add_candidate (s, g_steal_pointer (&point));
  }
  return s->batch->len > 0;
}

static gboolean
run_loop (Search *s, GError **error)
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
count_items (Search *s, GError **error)
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
search_clear (Search *s)
{
  if (s->optimizer != NULL)
    s->op->close (s->optimizer);
  g_clear_pointer (&s->workers, evo_workers_free);
  g_ptr_array_unref (s->batch);
  g_hash_table_unref (s->seen);
  evo_space_clear (&s->space);
  g_free (s->items);
  g_free (s->best_x);
}

gboolean
evo_run_search (EvoRun *run, const EvoNode *node, EvoBest *best, GError **error)
{
  Search s = { .run = run, .node = node, .spec = &node->search, .op = (const EvoOptimizerOp *) node->plugin->op, .best = -1, .valid_best = -1 };
  gboolean good;

  evo_space_init (&s.space, node);
  s.batch = g_ptr_array_new_with_free_func (candidate_free);
  s.seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, seen_free);
  s.budget = node->search.trials > 0 ? node->search.trials : G_MAXINT64;
  if (run->options.smoke)
    s.budget = MIN (s.budget, 2);
  good = count_items (&s, error) && run_loop (&s, error);
  if (good && s.best < 0)
    good = evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "%s: no candidate could be scored", node->name);
  if (good) {
    gboolean validated = s.valid_best >= 0;

    *best = (EvoBest){ node, validated ? s.valid_best : s.best, s.next, validated ? s.valid_score : s.best_score, NULL,
                       g_steal_pointer (&s.best_x) };
    evo_progress_event (run->progress, "%s: %" G_GINT64_FORMAT " trials, best %.4g (trial %" G_GINT64_FORMAT ")", node->name, s.next,
                        best->score, best->trial);
  }
  search_clear (&s);
  return good;
}
