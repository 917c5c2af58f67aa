/* SPDX-License-Identifier: Apache-2.0
 * workers.h - processes that evaluate candidates: started by posix_spawn of this program, spoken to by messages, gone with their parent.
 */
#ifndef EVO_SEARCH_WORKERS_H
#define EVO_SEARCH_WORKERS_H

#include "core/search/stage.h"

typedef struct EvoWorkers EvoWorkers;

/* What a worker must know to evaluate candidates of one search. */
typedef struct {
  const char *pipeline;        /* resolved pipeline, JSON text */
  const char *name, *folder;   /* of the pipeline */
  const char *search;          /* the node */
  const char *const *finished; /* NULL-terminated pairs: search node, path of its model */
  guint threads;
  gboolean smoke;
} EvoWorkerSetup;

/* --- workers/workers.c */
/* Starts n workers; setup is copied. */
EvoWorkers *evo_workers_new (guint n, const EvoWorkerSetup *setup, GError **error);
void evo_workers_free (EvoWorkers *w);   /* closes their sockets and waits; a worker that does not end is killed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoWorkers, evo_workers_free)

typedef struct {
  gint64 trial;
  double seconds;
  gint64 hops_run, hops_skipped; /* scoring: layers that were computed, and those whose states an earlier candidate had left */
  GError *error;               /* NULL: evaluated */
  gboolean of_candidate;       /* the error condemns only the candidate */
  EvoEvaluation *evaluations; guint n;
  GPtrArray *answers;
} EvoReply;
void evo_reply_clear (EvoReply *r);

guint evo_workers_get_idle (const EvoWorkers *w);
/* Hands a candidate to an idle worker. A worker that dies has its candidate tried once more, then failed: "killed by signal 11". */
gboolean evo_workers_submit (EvoWorkers *w, const EvoCandidate *c, GError **error);
/* Waits for a reply, at most timeout_ms. 1: *reply filled, 0: nothing yet, -1: error (three candidates running killed their worker). */
int evo_workers_wait (EvoWorkers *w, int timeout_ms, EvoReply *reply, GError **error);

/* --- workers/worker.c: the whole life of a process started with --worker FD. Returns the exit code. */
int evo_worker_main (int fd);

#endif
