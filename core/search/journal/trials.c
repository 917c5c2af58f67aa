/* SPDX-License-Identifier: Apache-2.0
 * trials.c - candidates in the journal: their scores item by item, the answers of the best, and how they did on validation data.
 */
#include <math.h>

#include "core/base/error.h"
#include "core/search/journal/sql.h"

void
evo_evaluation_clear (EvoEvaluation *e)
{
  g_clear_pointer (&e->evaluator, g_free);
  g_clear_pointer (&e->values, g_free);
  e->n = 0;
}

void
evo_trial_clear (EvoTrial *t)
{
  for (guint i = 0; i < t->n_evaluations; i++)
    evo_evaluation_clear (&t->evaluations[i]);
  g_clear_pointer (&t->evaluations, g_free);
  g_clear_pointer (&t->reason, g_free);
  g_clear_pointer (&t->genes, g_free);
  t->n_evaluations = 0;
}

char *
evo_trial_reuse_text (gint64 hops_run, gint64 hops_skipped)
{
  if (hops_skipped == 0)
    return NULL;
  return g_strdup_printf ("%.1f %% of the layers of scored texts were not computed: an earlier path began alike",
                          100 * (double) hops_skipped / (double) (hops_run + hops_skipped));
}

/* ------------------------------------------------------------------ answers */

gboolean
evo_journal_insert_answers (EvoJournal *j, const char *node, const EvoAnswers *a, GError **error)
{
  if (a == NULL)
    return TRUE;
  if (!evo_sql_run (j, error, "DELETE FROM answers WHERE node=? AND model=?", "tt", node, a->model))
    return FALSE;
  for (gsize i = 0; i < a->n; i++)
    if (a->texts[i] != NULL && !evo_sql_run (j, error, "INSERT INTO answers VALUES(?,?,?,?,?)", "ttitd", node, a->model,
                                             a->items == NULL ? (gint64) i : a->items[i], a->texts[i], a->values[i * a->n_values]))
      return FALSE;
  return TRUE;
}

gboolean
evo_journal_keep_answers (EvoJournal *j, const char *node, const char *model, GError **error)
{
  return evo_sql_run (j, error, "DELETE FROM answers WHERE node=? AND model<>?", "tt", node, model);
}

/* ------------------------------------------------------------------ trials */

static gboolean
insert_trial (EvoJournal *j, const char *node, const EvoTrial *t, GError **error)
{
  if (!evo_sql_run (j, error, "INSERT INTO trials VALUES(?,?,?,?,?,?,?,?,?,?)", "tiitdtdtii", node, t->trial, t->generation,
                    t->failed ? "failed" : "ok", t->failed ? NAN : t->score, t->genes, t->seconds, t->reason, t->hops_run, t->hops_skipped))
    return FALSE;
  for (guint i = 0; i < t->n_evaluations; i++) {
    const EvoEvaluation *e = &t->evaluations[i];

    if (!evo_sql_run (j, error, "INSERT INTO items VALUES(?,?,?,?,?)", "titdb", node, t->trial, e->evaluator, e->score, e->values,
                      e->n * sizeof (double)))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_journal_add_trial (EvoJournal *j, const char *node, const EvoTrial *t, const EvoAnswers *answers, GError **error)
{
  return evo_sql_execute (j, "BEGIN", error) &&
         evo_sql_end (j, insert_trial (j, node, t, error) && evo_journal_insert_answers (j, node, answers, error), error);
}

static gboolean
get_evaluations (EvoJournal *j, const char *node, EvoTrial *t, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT evaluator, score, scores FROM items WHERE node=? AND trial=? ORDER BY evaluator", "ti", node,
                                   t->trial);
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (EvoEvaluation));
  gboolean good = TRUE;
  int rc;

  while (good && (rc = evo_sql_fetch (j, s, error)) == 1) {
    EvoEvaluation e = { .evaluator = evo_sql_text (s, 0), .score = evo_sql_number (s, 1) };

    good = evo_sql_values (j, s, 2, &e, error);
    g_array_append_val (all, e);
  }
  evo_sql_free (s);
  t->n_evaluations = all->len;
  t->evaluations = (EvoEvaluation *) g_array_free (g_steal_pointer (&all), FALSE);
  return good && rc == 0;
}

int
evo_journal_get_trial (EvoJournal *j, const char *node, gint64 trial, EvoTrial *t, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT generation, status, score, genes, seconds, reason, hops_run, hops_skipped FROM trials WHERE node=? AND "
                                   "trial=?", "ti", node, trial);
  EvoTrial found = { .trial = trial };
  g_autofree char *status = NULL;
  int rc = evo_sql_fetch (j, s, error);

  if (rc == 1) {
    found.generation = evo_sql_integer (s, 0);
    status = evo_sql_text (s, 1);
    found.failed = g_strcmp0 (status, "ok") != 0;
    found.score = evo_sql_number (s, 2);
    found.genes = evo_sql_text (s, 3);
    found.seconds = evo_sql_number (s, 4);
    found.reason = evo_sql_text (s, 5);
    found.hops_run = evo_sql_integer (s, 6);
    found.hops_skipped = evo_sql_integer (s, 7);
  }
  evo_sql_free (s);
  if (rc == 1 && found.failed && g_strcmp0 (status, "failed") != 0) {
    evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: trial %" G_GINT64_FORMAT " of %s is \"%s\", neither ok nor failed; start a new "
                   "run", evo_sql_path (j), trial, node, status == NULL ? "" : status);
    evo_trial_clear (&found);
    return -1;
  }
  if (rc == 1 && !get_evaluations (j, node, &found, error)) {
    evo_trial_clear (&found);
    return -1;
  }
  if (rc == 1)
    *t = found;
  return rc;
}

gint64
evo_journal_count_trials (EvoJournal *j, const char *node)
{
  EvoStatement *s = evo_sql_query (j, "SELECT count(*) FROM trials WHERE node=?", "t", node);
  gint64 n = evo_sql_fetch (j, s, NULL) == 1 ? evo_sql_integer (s, 0) : 0;

  evo_sql_free (s);
  return n;
}

/* ------------------------------------------------------------------ validations */

gboolean
evo_journal_add_validation (EvoJournal *j, const char *node, gint64 generation, gint64 trial, const EvoEvaluation *e, GError **error)
{
  return evo_sql_run (j, error, "INSERT INTO validations VALUES(?,?,?,?,?)", "tiidb", node, generation, trial, e->score, e->values,
                      e->n * sizeof (double));
}

int
evo_journal_get_validation (EvoJournal *j, const char *node, gint64 generation, gint64 *trial, EvoEvaluation *e, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT trial, score, scores FROM validations WHERE node=? AND generation=?", "ti", node, generation);
  int rc = evo_sql_fetch (j, s, error);

  if (rc == 1) {
    *trial = evo_sql_integer (s, 0);
    e->score = evo_sql_number (s, 1);
    if (!evo_sql_values (j, s, 2, e, error))
      rc = -1;
  }
  evo_sql_free (s);
  return rc;
}
