/* SPDX-License-Identifier: Apache-2.0
 * workers.c - the coordinator's side of worker processes.
 */
#include "core/search/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/search/workers/message.h"

extern char **environ;

enum { FATAL_DEATHS = 3 };

typedef struct {
  pid_t pid;
  int fd;
  gboolean busy, retried;
  gint64 trial, started;      /* monotonic microseconds */
  EvoMessage job;             /* kept until answered: a dead worker's candidate is sent again */
} Worker;

struct EvoWorkers {
  Worker *workers; guint n;
  EvoMessage setup;
  guint deaths;               /* candidates running that killed their worker twice */
};

void
evo_reply_clear (EvoReply *r)
{
  g_clear_error (&r->error);
  for (guint i = 0; i < r->n; i++)
    evo_evaluation_clear (&r->evaluations[i]);
  g_clear_pointer (&r->evaluations, g_free);
  g_clear_pointer (&r->answers, g_ptr_array_unref);
  r->n = 0;
}

/* ------------------------------------------------------------------ processes */

static gboolean
spawn (Worker *w, GError **error)
{
  int pair[2];
  char number[16];
  char *argv[] = { (char *) "evopipe", (char *) "--worker", number, NULL };
  posix_spawn_file_actions_t actions;
  int rc;

  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "cannot make a socket pair for a worker: %s", g_strerror (errno));
  g_snprintf (number, sizeof number, "%d", pair[1]);
  posix_spawn_file_actions_init (&actions);
  /* a descriptor copied onto itself loses close-on-exec */
  posix_spawn_file_actions_adddup2 (&actions, pair[1], pair[1]);
  rc = posix_spawn (&w->pid, "/proc/self/exe", &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy (&actions);
  close (pair[1]);
  if (rc != 0) {
    close (pair[0]);
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "cannot start a worker process: %s", g_strerror (rc));
  }
  w->fd = pair[0];
  return TRUE;
}

static gboolean
start (EvoWorkers *ws, Worker *w, GError **error)
{
  w->busy = FALSE;
  if (!spawn (w, error))
    return FALSE;
  evo_message_send (w->fd, &ws->setup); /* a worker that is gone already is seen at its first job */
  return TRUE;
}

/* Waits for the end of a worker whose socket is closed; returns its wait status. */
static int
reap (Worker *w)
{
  int status = 0;

  if (w->fd >= 0)
    close (w->fd);
  w->fd = -1;
  for (guint i = 0; w->pid > 0 && i < 200; i++) {
    if (waitpid (w->pid, &status, WNOHANG) == w->pid) {
      w->pid = 0;
      return status;
    }
    g_usleep (5000);
  }
  if (w->pid > 0) {
    kill (w->pid, SIGKILL);
    waitpid (w->pid, &status, 0);
    w->pid = 0;
  }
  return status;
}

EvoWorkers *
evo_workers_new (guint n, const EvoWorkerSetup *setup, GError **error)
{
  g_autoptr (EvoWorkers) ws = g_new0 (EvoWorkers, 1);

  evo_message_init (&ws->setup);
  evo_message_put_text (&ws->setup, setup->pipeline);
  evo_message_put_text (&ws->setup, setup->name);
  evo_message_put_text (&ws->setup, setup->folder);
  evo_message_put_text (&ws->setup, setup->search);
  evo_message_put_int (&ws->setup, setup->threads);
  evo_message_put_int (&ws->setup, setup->smoke);
  evo_message_put_int (&ws->setup, g_strv_length ((char **) setup->finished));
  for (guint i = 0; setup->finished[i] != NULL; i++)
    evo_message_put_text (&ws->setup, setup->finished[i]);
  ws->workers = g_new0 (Worker, n);
  for (ws->n = 0; ws->n < n; ws->n++) {
    Worker *w = &ws->workers[ws->n];

    w->fd = -1;
    evo_message_init (&w->job);
    if (!start (ws, w, error)) {
      evo_message_clear (&w->job);
      return NULL;
    }
  }
  return g_steal_pointer (&ws);
}

void
evo_workers_free (EvoWorkers *ws)
{
  if (ws == NULL)
    return;
  for (guint i = 0; i < ws->n; i++)
    if (ws->workers[i].fd >= 0)
      shutdown (ws->workers[i].fd, SHUT_RDWR);
  for (guint i = 0; i < ws->n; i++) {
    if (ws->workers[i].busy && ws->workers[i].pid > 0)
      kill (ws->workers[i].pid, SIGKILL);
    reap (&ws->workers[i]);
    evo_message_clear (&ws->workers[i].job);
  }
  evo_message_clear (&ws->setup);
  g_free (ws->workers);
  g_free (ws);
}

/* ------------------------------------------------------------------ jobs */

guint
evo_workers_get_idle (const EvoWorkers *ws)
{
  guint n = 0;

  for (guint i = 0; i < ws->n; i++)
    n += !ws->workers[i].busy;
  return n;
}

static void
write_job (EvoMessage *m, const EvoCandidate *c, gsize n_genes)
{
  evo_message_clear (m);
  evo_message_init (m);
  evo_message_put_int (m, c->trial);
  evo_message_put_int (m, c->validate);
  evo_message_put_doubles (m, c->x, n_genes);
  evo_message_put_ints (m, c->items, c->n_items);
}

gboolean
evo_workers_submit (EvoWorkers *ws, const EvoCandidate *c, GError **error)
{
  for (guint i = 0; i < ws->n; i++) {
    Worker *w = &ws->workers[i];

    if (w->busy)
      continue;
    if (w->fd < 0 && !start (ws, w, error))
      return FALSE;
    write_job (&w->job, c, c->n_x);
    w->trial = c->trial;
    w->busy = TRUE;
    w->retried = FALSE;
    w->started = g_get_monotonic_time ();
    evo_message_send (w->fd, &w->job);
    return TRUE;
  }
  g_return_val_if_reached (FALSE);
}

static void
read_evaluations (EvoMessage *m, EvoReply *r)
{
  gint64 n = evo_message_get_int (m);

  r->n = (guint) CLAMP (n, 0, 1000);
  r->evaluations = g_new0 (EvoEvaluation, MAX (r->n, 1));
  for (guint i = 0; i < r->n; i++) {
    gsize one;
    g_autofree double *score = NULL;

    r->evaluations[i].evaluator = evo_message_get_text (m);
    score = evo_message_get_doubles (m, &one);
    r->evaluations[i].score = one == 1 ? score[0] : NAN;
    r->evaluations[i].values = evo_message_get_doubles (m, &r->evaluations[i].n);
  }
}

/* FALSE: the message is broken, which is as good as a dead worker. */
static gboolean
read_reply (Worker *w, EvoMessage *m, EvoReply *r)
{
  *r = (EvoReply){ .trial = w->trial, .seconds = (double) (g_get_monotonic_time () - w->started) / 1e6 };
  if (evo_message_get_int (m)) {
    g_autofree char *domain = evo_message_get_text (m);
    gint code = (gint) evo_message_get_int (m);
    g_autofree char *text = evo_message_get_text (m);

    r->error = g_error_new_literal (g_quark_from_string (domain == NULL ? "evo-run-error" : domain), code, text == NULL ? "?" : text);
    r->of_candidate = evo_error_is_of_candidate (r->error);
  } else {
    r->hops_run = evo_message_get_int (m);
    r->hops_skipped = evo_message_get_int (m);
    read_evaluations (m, r);
    r->answers = g_ptr_array_new_with_free_func (g_free);
    for (gint64 i = evo_message_get_int (m); i > 0 && !m->broken; i--)
      g_ptr_array_add (r->answers, evo_message_get_text (m));
  }
  if (m->broken)
    evo_reply_clear (r);
  return !m->broken;
}

/* The worker died under its candidate: tried once more in a new process, then given up. 1: reply, 0: being tried again, -1: error. */
static int
bury (EvoWorkers *ws, Worker *w, EvoReply *r, GError **error)
{
  int status = reap (w);
  gboolean retry = !w->retried;

  if (retry) {
    if (!start (ws, w, error))
      return -1;
    w->busy = w->retried = TRUE;
    evo_message_send (w->fd, &w->job);
    return 0;
  }
  *r = (EvoReply){ .trial = w->trial, .of_candidate = TRUE, .seconds = (double) (g_get_monotonic_time () - w->started) / 1e6 };
  if (WIFSIGNALED (status))
    r->error = g_error_new (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "killed its worker twice (signal %d, %s)", WTERMSIG (status),
                            g_strsignal (WTERMSIG (status)));
  else
    r->error = g_error_new (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "ended its worker twice (exit code %d)", WEXITSTATUS (status));
  w->busy = FALSE;
  if (++ws->deaths < FATAL_DEATHS)
    return 1;
  evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "three candidates running killed their workers (the last: %s); a plugin of "
                 "the pipeline is broken", r->error->message);
  evo_reply_clear (r);
  return -1;
}

/* What a worker whose socket can be read has to say; as evo_workers_wait. */
static int
hear (EvoWorkers *ws, Worker *w, EvoReply *reply, GError **error)
{
  g_auto (EvoMessage) m = { NULL };

  evo_message_init (&m);
  if (evo_message_receive (w->fd, &m) != 1)
    return bury (ws, w, reply, error);
  read_reply (w, &m, reply);
  w->busy = FALSE;
  ws->deaths = 0;
  return 1;
}

int
evo_workers_wait (EvoWorkers *ws, int timeout_ms, EvoReply *reply, GError **error)
{
  struct pollfd *fds = g_newa (struct pollfd, ws->n);
  guint *of = g_newa (guint, ws->n);
  nfds_t n = 0;

  for (guint i = 0; i < ws->n; i++)
    if (ws->workers[i].busy) {
      fds[n] = (struct pollfd){ .fd = ws->workers[i].fd, .events = POLLIN };
      of[n++] = i;
    }
  if (poll (fds, n, timeout_ms) <= 0)
    return 0;
  for (nfds_t i = 0; i < n; i++)
    if (fds[i].revents != 0)
      return hear (ws, &ws->workers[of[i]], reply, error);
  return 0;
}
