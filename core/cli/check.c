/* SPDX-License-Identifier: Apache-2.0
 * check.c - evopipe check: everything that can be said without reading weights.
 */
#include <stdio.h>

#include "core/cli/cli.h"
#include "core/search/scorer.h"

/* Data and templates are read too: they are small, and what is wrong with them should not wait for the first trial. */
static gboolean
check_evaluators (const EvoOpened *o, GError **error)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (o->graph); i++) {
    const EvoNode *node = evo_graph_get (o->graph, i);
    g_autoptr (EvoScorer) scorer = NULL;
    EvoDecoderSpec spec;

    if (node->kind != EVO_KIND_EVALUATOR)
      continue;
    scorer = evo_scorer_new (node, FALSE, error);
    if (scorer == NULL)
      return FALSE;
    for (guint e = 0; e < node->n_in; e++)
      if (!evo_models_get_decoder (o->models, node->in[e].from, &spec, error))
        return FALSE;
  }
  return TRUE;
}

static int
check_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) sets = g_ptr_array_new (), files = g_ptr_array_new ();
  gint64 seed = -1, jobs = 1, threads = 0;
  gboolean truncate = FALSE;
  const EvoOption table[] = { EVO_SET_OPTION (sets), EVO_SEED_OPTION (&seed), EVO_TRUNCATE_OPTION (&truncate),
                              { "--jobs", EVO_OPTION_INTEGER, &jobs, 1, 256, "N", "bounds for a run with so many jobs (1)" },
                              EVO_THREADS_OPTION (&threads, "and so many threads each (all cores, shared among the jobs)") };
  g_auto (EvoOpened) opened = { NULL };
  g_autoptr (GError) error = NULL;
  gboolean help;

  if (!evo_cli_parse (&evo_command_check, table, G_N_ELEMENTS (table), argc, argv, files, &help))
    return 2;
  if (help)
    return 0;
  if (files->len != 1)
    return evo_cli_usage (&evo_command_check, "which pipeline?");
  g_ptr_array_add (sets, NULL);
  EvoGraphOptions options = { (const char *const *) sets->pdata, seed >= 0, (guint64) MAX (seed, 0), truncate };
  if (!evo_cli_open (files->pdata[0], &options, &opened, &error) || !check_evaluators (&opened, &error))
    return evo_cli_fail (error);
  for (const char *const *w = evo_graph_get_warnings (opened.graph); *w != NULL; w++)
    fprintf (stderr, "evopipe: warning: %s\n", *w);
  evo_cli_print_cuts (&opened);
  evo_cli_print_plan (&opened, (guint) jobs, (guint) threads);
  return 0;
}

const EvoCommand evo_command_check = { "check", "FILE [--set NODE.PARAM=VALUE]… [--seed N] [--jobs N] [--threads N] [--unsafe-truncate-embeddings]",
                                       "says everything about a pipeline, or a recipe, that can be said without reading weights", check_command };
