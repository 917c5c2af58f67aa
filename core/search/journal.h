/* SPDX-License-Identifier: Apache-2.0
 * journal.h - what a run has done so far, in one SQLite file (WAL): nothing is told to an optimizer before it is committed here.
 *
 * Tables, for sqlite3 and pandas:
 *   meta(key, value)                                               what a resumed run must have in common, one pair a row
 *   trials(node, trial, generation, status, score, genes, seconds, reason, hops_run, hops_skipped)
 *                                                                  status ok | failed; genes: JSON object; score NULL where failed
 *   items(node, trial, evaluator, score, scores)                   scores: f64le, n_items x n_values of the evaluator
 *   validations(node, generation, trial, score, scores)
 *   stages(node, best_trial, score, path)                          finished searches
 *   exports(node, trial, prompts, same, largest, rms)              a saved layer path against the searched one: see results/export-error.h
 *   exams(node, model, identity, score, scores)                    the exam's results; identity: digest of what was asked of what
 *   answers(node, model, item, answer, score)                      of the best trial ("trial 17") and of the exam (the model's name)
 */
#ifndef EVO_SEARCH_JOURNAL_H
#define EVO_SEARCH_JOURNAL_H

#include <glib.h>

typedef struct EvoJournal EvoJournal;

typedef struct {           /* one evaluator's result for one candidate */
  char *evaluator;
  double score;
  double *values; gsize n; /* per item */
} EvoEvaluation;

typedef struct {
  gint64 trial, generation;
  gboolean failed;
  char *reason;            /* of a failure, else NULL */
  double score;            /* the objective as users see it; NaN where failed */
  double seconds;
  gint64 hops_run, hops_skipped; /* scoring texts by a layer path: layers that were computed, and those whose states an earlier candidate had left */
  char *genes;             /* JSON object */
  EvoEvaluation *evaluations; guint n_evaluations;
} EvoTrial;

/* Texts that a model gave, kept under (node, model): [n], NULL entries are skipped; item numbers in items (NULL: 0 .. n - 1); values [n][n_values],
 * the first is the item's score. */
typedef struct { const char *model; const char *const *texts; const gint64 *items; const double *values; gsize n_values, n; } EvoAnswers;

/* Errors: EVO_RUN_ERROR_JOURNAL (damaged, not a journal, of another version), EVO_STORE_ERROR_WRITE (disk full). */
EvoJournal *evo_journal_open (const char *path, gboolean is_new, GError **error);
void evo_journal_close (EvoJournal *j);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoJournal, evo_journal_close)

/* --- journal/trials.c. What adds is one transaction; what gets returns 1: found (fills its outputs), 0: not there, -1: error. */
void evo_evaluation_clear (EvoEvaluation *e);
void evo_trial_clear (EvoTrial *t);
/* What their sums over trials say, as a sentence (owned); NULL: nothing was skipped. */
char *evo_trial_reuse_text (gint64 hops_run, gint64 hops_skipped);
gboolean evo_journal_add_trial (EvoJournal *j, const char *node, const EvoTrial *t, const EvoAnswers *answers /* or NULL */, GError **error);
int evo_journal_get_trial (EvoJournal *j, const char *node, gint64 trial, EvoTrial *t, GError **error);
gint64 evo_journal_count_trials (EvoJournal *j, const char *node);
gboolean evo_journal_keep_answers (EvoJournal *j, const char *node, const char *model, GError **error); /* forgets those of other models */
gboolean evo_journal_add_validation (EvoJournal *j, const char *node, gint64 generation, gint64 trial, const EvoEvaluation *e, GError **error);
int evo_journal_get_validation (EvoJournal *j, const char *node, gint64 generation, gint64 *trial, EvoEvaluation *e, GError **error);

/* --- journal/stages.c, likewise. Meta: pairs key, value, ...; NULL-terminated. */
gboolean evo_journal_set_meta (EvoJournal *j, const char *const *pairs, GError **error);
char **evo_journal_get_meta (EvoJournal *j, GError **error);
/* What was measured of an earlier model in that place is forgotten. */
gboolean evo_journal_add_stage (EvoJournal *j, const char *node, gint64 best, double score, const char *path, GError **error);
int evo_journal_get_stage (EvoJournal *j, const char *node, gint64 *best, double *score, char **path, GError **error);
/* Forgets everything of these searches (NULL-terminated), and that `node` has been saved: its model is about to change. */
gboolean evo_journal_forget (EvoJournal *j, const char *node, const char *const *searches, GError **error);
/* get: 0 also where what is stored is of another trial. */
gboolean evo_journal_add_export (EvoJournal *j, const char *node, gint64 trial, gint64 prompts, gint64 same, double largest, double rms,
                                 GError **error);
int evo_journal_get_export (EvoJournal *j, const char *node, gint64 trial, gint64 *prompts, gint64 *same, double *largest, double *rms,
                            GError **error);
/* get: 0 also where what is stored has another identity. */
gboolean evo_journal_add_exam (EvoJournal *j, const char *node, const char *identity, const EvoEvaluation *e, const EvoAnswers *answers,
                               GError **error);
int evo_journal_get_exam (EvoJournal *j, const char *node, const char *model, const char *identity, EvoEvaluation *e, GError **error);

#endif
