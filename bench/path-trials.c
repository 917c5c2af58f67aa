/* SPDX-License-Identifier: Apache-2.0
 * path-trials.c - path-trials PIPELINE TRIALS: what setting up one trial of a searched layer path takes: its genes decoded, the path checked and set.
 *
 * The first search over a path is taken; its trials are drawn at random around the start. That the sources' layers are held, which is done once a
 * search, is timed apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/graph/path/evolve.h"
#include "core/kernels/kernels.h"
#include "core/search/resident.h"

enum { MOST_TRIALS = 1000000 };

typedef struct { EvoModels *models; const EvoNode *node; EvoPool *pool; EvoRandom random; double *start, *x; guint hops; } Bench;

static const EvoNode *
find_path (const EvoGraph *graph)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (graph); i++)
    if (evo_graph_get (graph, i)->path_genes != NULL)
      return evo_graph_get (graph, i);
  return NULL;
}

/* Every gene moves by a twentieth at most, indicators past the first pass by one: about half of those are on. */
static void
draw (Bench *b)
{
  const EvoGene *path = b->node->path_genes->path;

  for (guint i = 0; i < evo_models_get_n_genes (b->models); i++) {
    double u = evo_random_uniform (&b->random) * 2 - 1;
    gboolean indicator = path != NULL && i >= path->first && i < path->first + path->n;

    b->x[i] = b->start[i] + (indicator ? u : u / 20);
  }
}

/* Milliseconds of setting up one trial. */
static gboolean
set_up (Bench *b, EvoResident *resident, double *ms, GError **error)
{
  EvoMergeContext c;
  gint64 began = g_get_monotonic_time ();
  gboolean good;

  evo_merge_context_init (&c, b->models, evo_kernels_get (), b->pool, b->x, 0, NULL);
  good = evo_resident_fill (resident, &c, b->node, NULL, error);
  evo_merge_context_clear (&c);
  *ms = (double) (g_get_monotonic_time () - began) / 1e3;
  return good;
}

static guint
count_hops (const Bench *b)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (b->node, evo_models_get_n_layers (b->models));

  return evo_path_genes_decode (b->node, n_layers, b->x, hops, NULL) ? hops->len : 0;
}

static int
by_size (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static gboolean
run (Bench *b, guint trials, GError **error)
{
  g_autoptr (EvoResident) resident = evo_resident_new (b->models, b->node, evo_kernels_get (), b->pool, error);
  g_autofree double *ms = g_new (double, trials);
  double first;

  if (resident == NULL || !set_up (b, resident, &first, error))
    return FALSE;
  for (guint i = 0; i < trials; i++) {
    draw (b);
    if (!set_up (b, resident, &ms[i], error))
      return FALSE;
    b->hops += count_hops (b);
  }
  qsort (ms, trials, sizeof *ms, by_size);
  printf ("setting up a trial of %s: %u genes, paths of %.0f hops (mean of %u trials)\n"
          "  median %.4f ms, longest %.4f ms (target: below 1); the layers held, once a search: %.1f ms\n",
          b->node->name, evo_models_get_n_genes (b->models), (double) b->hops / trials, trials, ms[trials / 2], ms[trials - 1], first);
  return TRUE;
}

static gboolean
measure (const char *file, guint trials, GError **error)
{
  g_autoptr (EvoRegistry) registry = evo_registry_new ();
  g_autoptr (EvoGraph) graph = evo_graph_new_from_file (file, registry, NULL, error);
  g_autoptr (EvoModels) models = graph == NULL ? NULL : evo_models_new (graph, error);
  g_autoptr (EvoPool) pool = evo_pool_new (g_get_num_processors ());
  g_autofree double *start = models == NULL ? NULL : evo_models_new_vector (models), *x = models == NULL ? NULL : evo_models_new_vector (models);
  Bench b = { models, graph == NULL ? NULL : find_path (graph), pool, { 0 }, start, x, 0 };

  if (models == NULL)
    return FALSE;
  if (b.node == NULL)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: has no layer path with genes", file);
  evo_random_init (&b.random, 1);
  return run (&b, trials, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int trials = argc == 3 ? atoi (argv[2]) : 0;

  if (trials < 1 || trials > MOST_TRIALS) {
    fprintf (stderr, "usage: path-trials PIPELINE TRIALS\n");
    return 2;
  }
  if (measure (argv[1], (guint) trials, &error))
    return 0;
  fprintf (stderr, "path-trials: %s\n", error->message);
  return evo_error_exit_code (error);
}
