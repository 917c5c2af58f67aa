/* SPDX-License-Identifier: Apache-2.0
 * search.h - the inside of a running search, shared by the files that ask, evaluate and tell.
 */
#ifndef EVO_SEARCH_SEARCH_H
#define EVO_SEARCH_SEARCH_H

#include "core/search/run.h"
#include "core/search/space.h"
#include "core/search/workers.h"

typedef struct {
  double *point;    /* as the optimizer asked; NULL: from start_from */
  double *x;        /* graph-wide */
  EvoTrial trial;
  GError *error;    /* of a failure in this process's life: told to the user where all of the first generation fail */
  GPtrArray *answers;
  gint64 twin;      /* index in the batch of an equal candidate, -1: none */
  gboolean known, sent;
} EvoTrialCandidate;

typedef struct {
  EvoRun *run;
  const EvoNode *node;
  const EvoSearchSpec *spec;
  const EvoOptimizerOp *op;
  gpointer optimizer;
  EvoSpace space;
  EvoWorkers *workers;       /* started when first needed */
  GHashTable *seen;          /* key of an evaluated candidate -> EvoTrial* (a copy) */
  GPtrArray *batch;          /* EvoTrialCandidate */
  gint64 *items; gsize n_items; /* this generation's sample, NULL: all */
  gint64 n_all_items;        /* of the first objective */
  gsize *n_scores;           /* [n_objectives] item scores of a trial, 0: not known yet */
  gint64 next, generation, budget;
  gint64 best, stalled;      /* best trial, -1: none; trials since */
  double best_objective, best_score, best_half;
  double *best_x;
  gint64 valid_best; double valid_objective, valid_score;
  double seconds; gint64 hops_run, hops_skipped; /* of all journalled trials: see EvoTrial */
  gint64 n_evaluated; double evaluated_s;
} EvoSearch;

/* --- candidates.c */
void evo_search_candidate_free (gpointer candidate);
void evo_search_seen_free (gpointer trial);
/* Numbers the next trial; takes `point` (NULL: x is set by the caller, from start_from). The batch owns the candidate. */
EvoTrialCandidate *evo_search_add_candidate (EvoSearch *s, double *point);
/* Equal genes on equal items (and, where masks go by trial, of the same trial) are one evaluation: its name (owned). */
char *evo_search_candidate_key (EvoSearch *s, const EvoTrialCandidate *c);
void evo_search_draw_items (EvoSearch *s);                                      /* the items of this generation */
const EvoEvaluation *evo_search_find_evaluation (const EvoTrial *t, const char *evaluator); /* NULL: none */
double evo_search_objective (const EvoSearch *s, const EvoTrial *t);            /* what is maximised; -infinity for a failure */
double evo_search_shown_score (const EvoSearch *s, const EvoTrial *t);          /* what users see: the one evaluator's score, or the sum */
void evo_search_copy_evaluations (EvoTrial *to, const EvoTrial *from);
void evo_search_remember (EvoSearch *s, const EvoTrialCandidate *c);            /* equal candidates are not evaluated again */
void evo_search_count_work (EvoSearch *s, const EvoTrial *t);                    /* of a trial that is in the journal, just now or from earlier */
/* Into the journal, in one transaction with its answers where it may become the best. */
gboolean evo_search_commit (EvoSearch *s, EvoTrialCandidate *c, GError **error);
void evo_search_take_reply (EvoSearch *s, EvoTrialCandidate *c, EvoReply *r);   /* takes what r holds */

/* --- evaluate.c */
gboolean evo_search_start_workers (EvoSearch *s, GError **error);               /* where they do not run yet */
double evo_search_half_interval (const EvoSearch *s, const EvoTrial *t); /* half a normal 95 % interval of the one evaluator; 0: is no mean of items */
char *evo_search_best_text (const EvoSearch *s);                        /* "0.52 ± 0.03" (owned) */
/* Every candidate of the batch known and journalled: from the journal, an equal one, or a worker. */
gboolean evo_search_evaluate_batch (EvoSearch *s, GError **error);

#endif
