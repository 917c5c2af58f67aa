/* SPDX-License-Identifier: Apache-2.0
 * stages.c - what else a run has come to, in the journal: what it must have in common to resume, its stages, its exam.
 */
#include "core/search/journal/sql.h"

/* ------------------------------------------------------------------ meta */

gboolean
evo_journal_set_meta (EvoJournal *j, const char *const *pairs, GError **error)
{
  gboolean good = evo_sql_execute (j, "BEGIN", error);

  if (!good)
    return FALSE;
  for (guint i = 0; good && pairs[i] != NULL; i += 2)
    good = evo_sql_run (j, error, "INSERT OR REPLACE INTO meta VALUES(?,?)", "tt", pairs[i], pairs[i + 1]);
  return evo_sql_end (j, good, error);
}

char **
evo_journal_get_meta (EvoJournal *j, GError **error)
{
  g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);
  EvoStatement *s = evo_sql_query (j, "SELECT key, value FROM meta ORDER BY key", "");
  int rc;

  while ((rc = evo_sql_fetch (j, s, error)) == 1) {
    g_ptr_array_add (out, evo_sql_text (s, 0));
    g_ptr_array_add (out, evo_sql_text (s, 1));
  }
  evo_sql_free (s);
  if (rc < 0)
    return NULL;
  g_ptr_array_add (out, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&out), FALSE);
}

/* ------------------------------------------------------------------ stages */

gboolean
evo_journal_add_stage (EvoJournal *j, const char *node, gint64 best, double score, const char *path, GError **error)
{
  return evo_sql_execute (j, "BEGIN", error) &&
         evo_sql_end (j, evo_sql_run (j, error, "INSERT OR REPLACE INTO stages VALUES(?,?,?,?)", "tidt", node, best, score, path) &&
                           evo_sql_run (j, error, "DELETE FROM exports WHERE node=?", "t", node), error);
}

int
evo_journal_get_stage (EvoJournal *j, const char *node, gint64 *best, double *score, char **path, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT best_trial, score, path FROM stages WHERE node=?", "t", node);
  int rc = evo_sql_fetch (j, s, error);

  if (rc == 1) {
    *best = evo_sql_integer (s, 0);
    *score = evo_sql_number (s, 1);
    *path = evo_sql_text (s, 2);
  }
  evo_sql_free (s);
  return rc;
}

static gboolean
forget_search (EvoJournal *j, const char *node, GError **error)
{
  static const char *const deletions[] = { "DELETE FROM trials WHERE node=?", "DELETE FROM items WHERE node=?",
                                           "DELETE FROM validations WHERE node=?", "DELETE FROM stages WHERE node=?",
                                           "DELETE FROM exports WHERE node=?", "DELETE FROM answers WHERE node=?" };

  for (guint i = 0; i < G_N_ELEMENTS (deletions); i++)
    if (!evo_sql_run (j, error, deletions[i], "t", node))
      return FALSE;
  return TRUE;
}

gboolean
evo_journal_forget (EvoJournal *j, const char *node, const char *const *searches, GError **error)
{
  gboolean good = evo_sql_execute (j, "BEGIN", error);

  if (!good)
    return FALSE;
  for (guint i = 0; good && searches[i] != NULL; i++)
    good = forget_search (j, searches[i], error);
  return evo_sql_end (j, good && evo_sql_run (j, error, "DELETE FROM stages WHERE node=?", "t", node), error);
}

/* ------------------------------------------------------------------ saved layer paths */

gboolean
evo_journal_add_export (EvoJournal *j, const char *node, gint64 trial, gint64 prompts, gint64 same, double largest, double rms,
                        GError **error)
{
  return evo_sql_run (j, error, "INSERT OR REPLACE INTO exports VALUES(?,?,?,?,?,?)", "tiiidd", node, trial, prompts, same, largest, rms);
}

int
evo_journal_get_export (EvoJournal *j, const char *node, gint64 trial, gint64 *prompts, gint64 *same, double *largest, double *rms,
                        GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT prompts, same, largest, rms FROM exports WHERE node=? AND trial=?", "ti", node, trial);
  int rc = evo_sql_fetch (j, s, error);

  if (rc == 1) {
    *prompts = evo_sql_integer (s, 0);
    *same = evo_sql_integer (s, 1);
    *largest = evo_sql_number (s, 2);
    *rms = evo_sql_number (s, 3);
  }
  evo_sql_free (s);
  return rc;
}

/* ------------------------------------------------------------------ the exam */

gboolean
evo_journal_add_exam (EvoJournal *j, const char *node, const char *identity, const EvoEvaluation *e, const EvoAnswers *answers, GError **error)
{
  return evo_sql_execute (j, "BEGIN", error) &&
         evo_sql_end (j, evo_sql_run (j, error, "INSERT OR REPLACE INTO exams VALUES(?,?,?,?,?)", "tttdb", node, answers->model, identity, e->score,
                                      e->values, e->n * sizeof (double)) &&
                           evo_journal_insert_answers (j, node, answers, error), error);
}

int
evo_journal_get_exam (EvoJournal *j, const char *node, const char *model, const char *identity, EvoEvaluation *e, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "SELECT score, scores FROM exams WHERE node=? AND model=? AND identity=?", "ttt", node, model, identity);
  int rc = evo_sql_fetch (j, s, error);

  if (rc == 1) {
    e->score = evo_sql_number (s, 0);
    if (!evo_sql_values (j, s, 1, e, error))
      rc = -1;
  }
  evo_sql_free (s);
  return rc;
}
