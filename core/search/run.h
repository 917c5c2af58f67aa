/* SPDX-License-Identifier: Apache-2.0
 * run.h - a whole run: stages in order, each search journalled and saved, the exam last; resumable at any moment.
 */
#ifndef EVO_SEARCH_RUN_H
#define EVO_SEARCH_RUN_H

#include "core/base/progress.h"
#include "core/graph/merge/merge.h"
#include "core/search/journal.h"
#include "core/search/results/export-error.h"

typedef struct {
  const char *out;         /* run directory; NULL: ./<pipeline name>.run */
  guint jobs, threads;     /* threads 0: cores / jobs */
  gboolean resume, force, smoke, quiet;
} EvoRunOptions;

/* A finished search. */
typedef struct { const EvoNode *node; gint64 trial, n_trials; double score; char *path; double *x; EvoExportError saved; } EvoBest;

/* One row of the exam's table. */
typedef struct {
  const EvoNode *model;
  double score, low, high;
  gsize n;
  double *values; gsize n_values;
} EvoExamRow;

typedef struct { const EvoNode *model, *against; double diff, low, high, p; gboolean is_main; /* the one scores.json calls "paired" */ } EvoDifference;

typedef struct {
  const EvoNode *node;
  EvoExamRow *rows; guint n_rows;
  EvoDifference *differences; guint n_differences;
  char **extra;            /* per row: "bits per byte 1.23" or "" */
} EvoExam;

typedef struct EvoRun {
  EvoGraph *graph;
  EvoModels *models;
  EvoJournal *journal;
  EvoProgress *progress;
  const EvoKernels *k;
  EvoPool *pool;
  EvoRunOptions options;
  char *out;               /* run directory, absolute */
  int lock;                /* held for the run */
  double *x;               /* graph-wide vector: winners of finished searches scattered in */
  GArray *bests;           /* EvoBest */
  GArray *exams;           /* EvoExam */
} EvoRun;

/* Borrowed: graph, models, progress, options' strings. Makes or reopens the run directory: exit-2 errors where it exists and neither resume nor
 * force is given, where another process holds it, where it is of another pipeline. */
EvoRun *evo_run_new (EvoGraph *graph, EvoModels *models, EvoProgress *progress, const EvoRunOptions *options, GError **error);
void evo_run_free (EvoRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoRun, evo_run_free)
/* Everything: searches, saving, exam, scores.json. EVO_RUN_ERROR_CANCELLED after a signal: what is journalled is kept. */
gboolean evo_run_execute (EvoRun *run, GError **error);
/* The table a run ends with, for a terminal (owned). */
char *evo_run_table (const EvoRun *run);

/* --- shared by the files of this room */
gboolean evo_run_search (EvoRun *run, const EvoNode *search, EvoBest *best, GError **error);        /* loop/loop.c */
gboolean evo_run_exam (EvoRun *run, const EvoNode *evaluator, EvoExam *out, GError **error);        /* exam.c */
char *evo_run_scores_json (const EvoRun *run);                                                      /* scores.c */
gboolean evo_run_check_identity (EvoRun *run, GError **error);                                      /* identity.c */
gboolean evo_run_write_identity (EvoRun *run, GError **error);
/* Digest of what an exam's scores depend on besides the journal's identity: its own parameters and files, and which candidates won. Owned. */
char *evo_run_exam_identity (EvoRun *run, const EvoNode *exam, GError **error);

#endif
