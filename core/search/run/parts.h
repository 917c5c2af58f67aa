/* SPDX-License-Identifier: Apache-2.0
 * parts.h - what the files of a run share.
 */
#ifndef EVO_SEARCH_RUN_PARTS_H
#define EVO_SEARCH_RUN_PARTS_H

#include "core/search/run.h"

/* --- directory.c */
char *evo_run_file (const EvoRun *run, const char *name);                   /* in the run directory, unless absolute (owned) */
/* Made, or reopened, with lock and journal: evo_run_new's errors. */
gboolean evo_run_open_directory (EvoRun *run, GError **error);

/* --- saving.c. x: the graph's vector of genes; trial: the winner's, -1: not searched. */
char *evo_run_search_path (const EvoRun *run, const EvoNode *search);       /* where its model goes (owned) */
char *evo_run_path_of_search (gpointer run, const EvoNode *search);         /* the same, for those who write pipelines */
/* The vector a model is computed under: x with each simplex divided by its sum. Owned; NULL and error: a sum is 0. */
double *evo_run_genes (const EvoRun *run, const EvoNode *node, const double *x, GError **error);
gboolean evo_run_save_node (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, GError **error);
gboolean evo_run_save_best (EvoRun *run, const EvoBest *best, GError **error); /* a finished search's model, at its path */
/* Cards are written again once it is known how well the model does, and of a path how well it was exported. found: NULL for what was not searched. */
gboolean evo_run_rewrite_card (EvoRun *run, const EvoNode *node, const double *x, gint64 trial, const char *path, const EvoBest *found,
                               GError **error);
/* The winner as a pipeline without genes and, where mergekit can say it, as its recipe. */
gboolean evo_run_write_recipes (EvoRun *run, const EvoBest *best, GError **error);

#endif
