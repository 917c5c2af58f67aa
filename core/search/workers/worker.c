/* SPDX-License-Identifier: Apache-2.0
 * worker.c - the worker's side: reads the pipeline once, then evaluates the candidates it is sent until the socket closes.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/kernels/kernels.h"
#include "core/search/workers/message.h"
#include "core/search/workers.h"

typedef struct {
  EvoRegistry *registry;
  EvoGraph *graph;
  EvoModels *models;
  EvoPool *pool;
  EvoStage *stage;
} Life;

static void
life_clear (Life *l)
{
  g_clear_pointer (&l->stage, evo_stage_free);
  g_clear_pointer (&l->models, evo_models_free);
  g_clear_pointer (&l->graph, evo_graph_free);
  g_clear_pointer (&l->registry, evo_registry_free);
  g_clear_pointer (&l->pool, evo_pool_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Life, life_clear)

static gboolean
finish_searches (Life *l, EvoMessage *m, GError **error)
{
  for (gint64 n = evo_message_get_int (m); n > 1 && !m->broken; n -= 2) {
    g_autofree char *name = evo_message_get_text (m), *path = evo_message_get_text (m);
    const EvoNode *node = name == NULL ? NULL : evo_graph_find (l->graph, name);

    if (node == NULL || path == NULL || !evo_models_finish_search (l->models, node, path, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
set_up (Life *l, EvoMessage *m, GError **error)
{
  g_autofree char *pipeline = evo_message_get_text (m), *name = evo_message_get_text (m), *folder = evo_message_get_text (m);
  g_autofree char *search = evo_message_get_text (m);
  guint threads = (guint) evo_message_get_int (m);
  gboolean smoke = evo_message_get_int (m) != 0;

  if (m->broken)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "the coordinator's first message is broken");
  l->pool = evo_pool_new (threads);
  l->registry = evo_registry_new ();
  l->graph = evo_graph_new_from_text (pipeline, -1, name, folder, l->registry, NULL, error);
  if (l->graph == NULL)
    return FALSE;
  l->models = evo_models_new (l->graph, error);
  if (l->models == NULL || !finish_searches (l, m, error))
    return FALSE;
  l->stage = evo_stage_new (l->models, evo_graph_find (l->graph, search), evo_kernels_get (), l->pool, smoke, error);
  return l->stage != NULL;
}

static void
put_error (EvoMessage *m, const GError *error)
{
  evo_message_put_int (m, 1);
  evo_message_put_text (m, g_quark_to_string (error->domain));
  evo_message_put_int (m, error->code);
  evo_message_put_text (m, error->message);
}

static void
put_result (EvoMessage *m, EvoStage *stage, const EvoEvaluation *e, guint n, const GPtrArray *answers)
{
  guint64 run, skipped;

  evo_stage_take_prefix_stats (stage, &run, &skipped);
  evo_message_put_int (m, 0);
  evo_message_put_int (m, (gint64) run);
  evo_message_put_int (m, (gint64) skipped);
  evo_message_put_int (m, n);
  for (guint i = 0; i < n; i++) {
    evo_message_put_text (m, e[i].evaluator);
    evo_message_put_doubles (m, &e[i].score, 1);
    evo_message_put_doubles (m, e[i].values, e[i].n);
  }
  evo_message_put_int (m, answers->len);
  for (guint i = 0; i < answers->len; i++)
    evo_message_put_text (m, answers->pdata[i]);
}

static void
evaluate (Life *l, EvoMessage *job, EvoMessage *out)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) answers = NULL;
  EvoEvaluation *evaluations = NULL;
  gint64 trial = evo_message_get_int (job), validate = evo_message_get_int (job);
  gsize n_x, n_items;
  g_autofree double *x = evo_message_get_doubles (job, &n_x);
  g_autofree gint64 *items = evo_message_get_ints (job, &n_items);
  EvoCandidate c = { trial, x, n_x, validate != 0, items, n_items };
  guint n = 0;

  if (job->broken || n_x != evo_models_get_n_genes (l->models))
    evo_set_error (&error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "the coordinator's message is broken");
  if (error != NULL || !evo_stage_evaluate (l->stage, &c, &evaluations, &n, &answers, &error)) {
    put_error (out, error);
    return;
  }
  put_result (out, l->stage, evaluations, n, answers);
  for (guint i = 0; i < n; i++)
    evo_evaluation_clear (&evaluations[i]);
  g_free (evaluations);
}

int
evo_worker_main (int fd)
{
  g_auto (Life) life = { NULL };
  g_autoptr (GError) error = NULL;
  g_auto (EvoMessage) m = { NULL };

  /* Ctrl-C reaches the whole process group: the coordinator decides. It dying ends us, in the middle of whatever we compute. */
  prctl (PR_SET_PDEATHSIG, SIGKILL);
  signal (SIGINT, SIG_IGN);
  signal (SIGTERM, SIG_IGN);
  evo_message_init (&m);
  if (evo_message_receive (fd, &m) != 1)
    return 0;
  set_up (&life, &m, &error);
  while (evo_message_receive (fd, &m) == 1) {
    g_auto (EvoMessage) out = { NULL };

    evo_message_init (&out);
    if (error != NULL)
      put_error (&out, error);
    else
      evaluate (&life, &m, &out);
    if (!evo_message_send (fd, &out))
      break;
  }
  return 0;
}
