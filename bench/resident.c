/* SPDX-License-Identifier: Apache-2.0
 * resident.c - resident PIPELINE THREADS RUNS: fills a model in memory as a search does, beside a plain copy of all its sources, as JSON.
 *
 * GB of sources a second, medians; the copy goes by the same slices on the same threads, each source into the same room, one after the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"

enum { STEP = 128 << 10, MOST_RUNS = 1000 };

typedef struct {
  EvoMergeContext c;
  const EvoNode *node;
  GPtrArray *sources;    /* of EvoStore */
  char *room;            /* the resident model */
  gsize n_bytes;
} Bench;
typedef struct { const char *from; char *to; gsize n; } Copy;

static gboolean
put (gpointer to, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  memcpy ((char *) to + offset, bytes, n);
  return TRUE;
}

static gboolean
fill (Bench *b, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (b->c.models, b->node);
  gsize at = 0;

  for (guint i = 0; i < l->n; i++) {
    if (!evo_materialize (&b->c, b->node, i, l->tensors[i].shape.dtype, put, b->room + at, error))
      return FALSE;
    at += evo_shape_bytes (&l->tensors[i].shape);
  }
  return TRUE;
}

static gboolean
copy_step (gpointer data, gint64 item, guint thread, GError **error)
{
  const Copy *c = data;
  gsize at = (gsize) item * STEP;

  memcpy (c->to + at, c->from + at, MIN (STEP, c->n - at));
  return TRUE;
}

static gboolean
copy (Bench *b, GError **error)
{
  for (guint s = 0; s < b->sources->len; s++) {
    EvoStore *store = b->sources->pdata[s];
    gsize at = 0;

    for (guint i = 0; i < evo_store_get_n_tensors (store); i++) {
      Copy work = { evo_store_peek (store, i), b->room + at, evo_shape_bytes (evo_store_get_tensor (store, i)) };

      if (at + work.n > b->n_bytes)
        return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: is larger than the model it is merged into",
                              evo_store_get_path (store));
      if (!evo_pool_run (b->c.pool, (gint64) ((work.n + STEP - 1) / STEP), copy_step, &work, error))
        return FALSE;
      at += work.n;
    }
  }
  return TRUE;
}

static int
by_size (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static gboolean
begin (Bench *b, EvoGraph *graph, EvoModels *models, guint64 *bytes, GError **error)
{
  b->node = NULL;
  for (guint i = 0; i < evo_graph_get_n_nodes (graph); i++) {
    const EvoNode *node = evo_graph_get (graph, i);

    if (node->kind == EVO_KIND_MERGE)
      b->node = node;
    if (node->kind != EVO_KIND_MODEL)
      continue;
    g_ptr_array_add (b->sources, evo_models_get_store (models, node));
    *bytes += evo_store_get_bytes (evo_models_get_store (models, node));
  }
  if (b->node == NULL)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: has no merge", evo_graph_get_name (graph));
  b->n_bytes = evo_saved_bytes (models, b->node, EVO_DTYPE_NONE);
  b->room = g_malloc (b->n_bytes);
  memset (b->room, 0, b->n_bytes); /* its pages are there */
  return copy (b, error) && fill (b, error);
}

static gboolean
measure (const char *file, guint threads, guint runs, GError **error)
{
  g_autoptr (EvoRegistry) registry = evo_registry_new ();
  g_autoptr (EvoGraph) graph = evo_graph_new_from_file (file, registry, NULL, error);
  g_autoptr (EvoModels) models = graph == NULL ? NULL : evo_models_new (graph, error);
  g_autoptr (EvoPool) pool = evo_pool_new (threads);
  g_autoptr (GPtrArray) sources = g_ptr_array_new ();
  g_autofree double *x = models == NULL ? NULL : evo_models_new_vector (models), *seconds = g_new (double, 2 * runs);
  Bench b = { .sources = sources };
  guint64 bytes = 0;
  gboolean good;

  if (models == NULL)
    return FALSE;
  evo_merge_context_init (&b.c, models, evo_kernels_get (), pool, x, -1, NULL);
  good = begin (&b, graph, models, &bytes, error);
  for (guint i = 0; good && i < 2 * runs; i++) {
    gint64 began = g_get_monotonic_time ();

    good = i % 2 == 0 ? fill (&b, error) : copy (&b, error);
    seconds[i % 2 * runs + i / 2] = (double) (g_get_monotonic_time () - began) / 1e6;
  }
  evo_merge_context_clear (&b.c);
  g_free (b.room);
  if (!good)
    return FALSE;
  qsort (seconds, runs, sizeof *seconds, by_size);
  qsort (seconds + runs, runs, sizeof *seconds, by_size);
  double gb = (double) bytes / 1e9, merge = seconds[runs / 2], plain = seconds[runs + runs / 2];
  printf ("{\"merge\": %.3f, \"copy\": %.3f, \"traffic\": %.3f, \"copy_traffic\": %.3f, \"isa\": \"%s\"}\n", gb / merge, gb / plain,
          (gb + (double) b.n_bytes / 1e9) / merge, 2 * gb / plain, evo_kernels_get ()->isa);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int threads = argc == 4 ? atoi (argv[2]) : 0, runs = argc == 4 ? atoi (argv[3]) : 0;

  if (threads < 1 || threads > 1024 || runs < 1 || runs > MOST_RUNS) {
    fprintf (stderr, "usage: resident PIPELINE THREADS RUNS\n");
    return 2;
  }
  if (measure (argv[1], (guint) threads, (guint) runs, &error))
    return 0;
  fprintf (stderr, "resident: %s\n", error->message);
  return evo_error_exit_code (error);
}
