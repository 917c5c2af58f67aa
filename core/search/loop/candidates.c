/* SPDX-License-Identifier: Apache-2.0
 * candidates.c - a search's candidates: numbered, named by what they are evaluated on, committed to the journal.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/graph/path/evolve.h"
#include "core/search/loop/search.h"

void
evo_search_candidate_free (gpointer data)
{
  EvoTrialCandidate *c = data;

  g_free (c->point);
  g_free (c->x);
  evo_trial_clear (&c->trial);
  g_clear_error (&c->error);
  g_clear_pointer (&c->answers, g_ptr_array_unref);
  g_free (c);
}

void
evo_search_seen_free (gpointer data)
{
  evo_trial_clear (data);
  g_free (data);
}

EvoTrialCandidate *
evo_search_add_candidate (EvoSearch *s, double *point)
{
  EvoTrialCandidate *c = g_new0 (EvoTrialCandidate, 1);

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

/* Many genes mean one path: candidates that take it are the same. FALSE: it has none, or these genes mean no path. */
static gboolean
add_path (const EvoSearch *s, const double *x, GChecksum *sum)
{
  const EvoNode *target = s->spec->target;
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = NULL;

  if (target->path_genes == NULL)
    return FALSE;
  n_layers = evo_path_dup_n_layers (target, evo_models_get_n_layers (s->run->models));
  if (!evo_path_genes_decode (target, n_layers, x, hops, NULL))
    return FALSE;
  for (guint i = 0; i < hops->len; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);
    const double visit[3] = { h->input, h->layer, h->scale };

    g_checksum_update (sum, (const guchar *) visit, sizeof visit);
  }
  return TRUE;
}

/* Equal genes on equal items (and, where masks go by trial, of the same trial) are one evaluation. */
char *
evo_search_candidate_key (EvoSearch *s, const EvoTrialCandidate *c)
{
  GChecksum *sum = g_checksum_new (G_CHECKSUM_SHA256);
  gboolean by_path = add_path (s, c->x, sum);
  char *key;

  for (guint i = 0; i < s->space.n; i++) {
    const EvoGene *gene = s->space.genes[s->space.gene[i]];
    double v = c->x[gene->first + s->space.part[i]];

    if (by_path && gene->of_path == s->spec->target)
      continue;
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

void
evo_search_draw_items (EvoSearch *s)
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

const EvoEvaluation *
evo_search_find_evaluation (const EvoTrial *t, const char *evaluator)
{
  for (guint i = 0; i < t->n_evaluations; i++)
    if (g_strcmp0 (t->evaluations[i].evaluator, evaluator) == 0)
      return &t->evaluations[i];
  return NULL;
}

double
evo_search_objective (const EvoSearch *s, const EvoTrial *t)
{
  double sum = 0;

  if (t->failed)
    return -HUGE_VAL;
  for (guint i = 0; i < s->spec->n_objectives; i++) {
    const EvoEvaluation *e = evo_search_find_evaluation (t, s->spec->objectives[i].evaluator->name);

    sum += e == NULL ? 0 : s->spec->objectives[i].weight * e->score;
  }
  return sum;
}

/* What users see: the one evaluator's own score, or the weighted sum. */
double
evo_search_shown_score (const EvoSearch *s, const EvoTrial *t)
{
  return t->failed ? NAN : t->n_evaluations == 1 ? t->evaluations[0].score : evo_search_objective (s, t);
}

void
evo_search_copy_evaluations (EvoTrial *to, const EvoTrial *from)
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

void
evo_search_remember (EvoSearch *s, const EvoTrialCandidate *c)
{
  EvoTrial *copy = g_new0 (EvoTrial, 1);

  evo_search_copy_evaluations (copy, &c->trial);
  g_hash_table_insert (s->seen, evo_search_candidate_key (s, c), copy);
}

void
evo_search_count_work (EvoSearch *s, const EvoTrial *t)
{
  s->seconds += t->seconds;
  s->hops_run += t->hops_run;
  s->hops_skipped += t->hops_skipped;
}

/* A candidate that may become the best brings its answers: by the time that is known the journal must have them. */
gboolean
evo_search_commit (EvoSearch *s, EvoTrialCandidate *c, GError **error)
{
  const EvoTrial *t = &c->trial;
  g_autofree char *name = g_strdup_printf ("trial %" G_GINT64_FORMAT, t->trial);
  EvoAnswers answers = { .model = name, .items = s->items };
  gboolean keep = c->answers != NULL && c->answers->len > 0 && t->n_evaluations > 0 &&
                  (s->best < 0 || evo_search_objective (s, t) > s->best_objective);

  c->known = TRUE;
  evo_search_count_work (s, t);
  if (keep) {
    answers.texts = (const char *const *) c->answers->pdata;
    answers.n = c->answers->len;
    answers.values = t->evaluations[0].values;
    answers.n_values = t->evaluations[0].n / c->answers->len;
  }
  return evo_journal_add_trial (s->run->journal, s->node->name, t, keep ? &answers : NULL, error);
}

void
evo_search_take_reply (EvoSearch *s, EvoTrialCandidate *c, EvoReply *r)
{
  c->trial.seconds = r->seconds;
  c->trial.hops_run = r->hops_run;
  c->trial.hops_skipped = r->hops_skipped;
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
  c->trial.score = evo_search_shown_score (s, &c->trial);
  c->answers = g_steal_pointer (&r->answers);
}
