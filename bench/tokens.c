/* SPDX-License-Identifier: Apache-2.0
 * tokens.c - tokens MODEL THREADS BATCH PROMPT NEW: tokens per second of a model on random prompts, prefill and decode apart, as JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/search/resident.h"

typedef struct { guint threads; gsize batch, prompt; gint64 new; } Shape;

static EvoModels *
open_model (const char *path, EvoRegistry *registry, EvoGraph **graph, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  g_string_append (text, "{\"evopipe\": 1, \"nodes\": {\"model\": {\"use\": \"model.llm\", \"path\": ");
  evo_json_add_string (&w, absolute);
  g_string_append (text, "}}}");
  *graph = evo_graph_new_from_text (text->str, (gssize) text->len, "bench", ".", registry, NULL, error);
  return *graph == NULL ? NULL : evo_models_new (*graph, error);
}

/* Seconds to read the prompts and make `n` tokens of each. */
static double
time_generation (EvoTextModel *m, gint32 *ids, const Shape *s, gint64 n, GError **error)
{
  g_autofree EvoGeneration *g = g_new0 (EvoGeneration, s->batch);
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  gint64 began = g_get_monotonic_time ();
  gboolean good;

  o.max_tokens = n;
  o.ignore_eos = TRUE;
  for (gsize i = 0; i < s->batch; i++) {
    g[i].ids = ids + i * s->prompt;
    g[i].n_ids = s->prompt;
  }
  good = evo_text_model_generate (m, g, s->batch, &o, (guint) s->batch, error);
  for (gsize i = 0; i < s->batch; i++)
    evo_generation_clear (&g[i]);
  return good ? (double) (g_get_monotonic_time () - began) / 1e6 : -1;
}

static gboolean
measure (const char *path, const Shape *s, GError **error)
{
  g_autoptr (EvoRegistry) registry = evo_registry_new ();
  g_autoptr (EvoGraph) graph = NULL;
  g_autoptr (EvoModels) models = open_model (path, registry, &graph, error);
  g_autoptr (EvoPool) pool = evo_pool_new (s->threads);
  g_autoptr (EvoResident) resident = NULL;
  g_autofree gint32 *ids = g_new (gint32, s->batch * s->prompt);
  EvoMergeContext c;
  EvoRandom r;
  gboolean good;

  if (models == NULL)
    return FALSE;
  const EvoNode *node = evo_graph_find (graph, "model");
  resident = evo_resident_new (models, node, evo_kernels_get (), pool, error);
  if (resident == NULL)
    return FALSE;
  evo_merge_context_init (&c, models, evo_kernels_get (), pool, NULL, -1, NULL);
  good = evo_resident_fill (resident, &c, node, NULL, error);
  evo_merge_context_clear (&c);
  if (!good)
    return FALSE;
  EvoTextModel *m = evo_resident_get_text (resident);
  evo_random_init (&r, 1);
  for (gsize i = 0; i < s->batch * s->prompt; i++)
    ids[i] = (gint32) evo_random_below (&r, (guint32) evo_text_model_get_spec (m)->vocab);
  double first = time_generation (m, ids, s, 1, error);
  double prefill = first < 0 ? -1 : time_generation (m, ids, s, 1, error), all = prefill < 0 ? -1 : time_generation (m, ids, s, s->new + 1, error);
  if (all < 0)
    return FALSE;
  printf ("{\"prefill\": %.1f, \"decode\": %.1f, \"threads\": %u, \"batch\": %" G_GSIZE_FORMAT ", \"isa\": \"%s\"}\n",
          (double) (s->batch * s->prompt) / prefill, (double) (s->batch * (gsize) s->new) / (all - prefill), s->threads, s->batch,
          evo_kernels_get ()->isa);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  if (argc != 6) {
    fprintf (stderr, "usage: tokens MODEL THREADS BATCH PROMPT NEW\n");
    return 2;
  }
  Shape s = { (guint) atoi (argv[2]), (gsize) atoi (argv[3]), (gsize) atoi (argv[4]), atoi (argv[5]) };
  if (measure (argv[1], &s, &error))
    return 0;
  fprintf (stderr, "tokens: %s\n", error->message);
  return evo_error_exit_code (error);
}
