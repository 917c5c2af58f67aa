/* SPDX-License-Identifier: Apache-2.0
 * run.c - evopipe run: a pipeline from its first trial to its table.
 */
#include <stdio.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/cli/cli.h"
#include "core/search/run.h"

typedef struct {
  GPtrArray *sets;
  gint64 seed, jobs, threads;
  const char *out;
  gboolean resume, force, smoke, dry_run, json, quiet;
} RunArguments;

/* Sentences on stderr: what the pipeline says about itself, and plugins nobody named that could not be loaded. */
static void
print_warnings (const EvoOpened *o)
{
  const char *const *warnings = evo_graph_get_warnings (o->graph);
  const char *const *broken = evo_registry_get_broken (o->registry);

  for (guint i = 0; warnings[i] != NULL; i++)
    fprintf (stderr, "evopipe: warning: %s\n", warnings[i]);
  for (guint i = 0; broken[i] != NULL; i++)
    fprintf (stderr, "evopipe: warning: %s\n", broken[i]);
}

static void
print_next (const EvoRun *run, const char *file)
{
  printf ("\nscores: %s/scores.json   journal: %s/journal.db\n", run->out, run->out);
  for (guint i = 0; i < run->bests->len; i++)
    printf ("%s: %s\n", g_array_index (run->bests, EvoBest, i).node->name, g_array_index (run->bests, EvoBest, i).path);
  if (run->bests->len == 0)
    return;
  const EvoBest *b = &g_array_index (run->bests, EvoBest, run->bests->len - 1);
  printf ("\nnext:\n  evopipe generate %s \"…\"          look at what it says\n  evopipe merge %s/%s.best.json OUT   make it again\n"
          "  evopipe run %s --resume --set %s.trials=%" G_GINT64_FORMAT "   search on\n", b->path, run->out, b->node->name, file, b->node->name,
          b->n_trials * 2);
}

static int
execute (const EvoOpened *o, const RunArguments *a, const char *file)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoProgress) progress = evo_progress_new (a->quiet);
  g_autoptr (EvoRun) run = NULL;
  g_autofree char *table = NULL;
  EvoRunOptions options = { a->out, (guint) a->jobs, (guint) a->threads, a->resume, a->force, a->smoke, a->quiet };

  run = evo_run_new (o->graph, o->models, progress, &options, &error);
  if (run == NULL)
    return evo_cli_fail (error);
  if (!evo_run_execute (run, &error)) {
    g_clear_pointer (&progress, evo_progress_free);
    if (g_error_matches (error, EVO_RUN_ERROR, EVO_RUN_ERROR_CANCELLED))
      fprintf (stderr, "evopipe: stopped; go on with: evopipe run %s --resume%s%s\n", file, a->out == NULL ? "" : " --out ",
               a->out == NULL ? "" : a->out);
    else
      return evo_cli_fail (error);
    return evo_error_exit_code (error);
  }
  g_clear_pointer (&progress, evo_progress_free);
  if (a->json) {
    g_autofree char *scores = evo_run_scores_json (run);

    fputs (scores, stdout);
    return 0;
  }
  table = evo_run_table (run);
  fputs (table, stdout);
  print_next (run, file);
  return 0;
}

static int
run_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) sets = g_ptr_array_new (), files = g_ptr_array_new ();
  RunArguments a = { .sets = sets, .seed = -1, .jobs = 1 };
  const EvoOption table[] = {
    { "--set", EVO_OPTION_LIST, sets, 0, 0 }, { "--seed", EVO_OPTION_INTEGER, &a.seed, 0, (G_GINT64_CONSTANT (1) << 53) - 1 },
    { "--jobs", EVO_OPTION_INTEGER, &a.jobs, 1, 256 }, { "--threads", EVO_OPTION_INTEGER, &a.threads, 1, 1024 },
    { "--out", EVO_OPTION_TEXT, &a.out, 0, 0 }, { "--resume", EVO_OPTION_FLAG, &a.resume, 0, 0 }, { "--force", EVO_OPTION_FLAG, &a.force, 0, 0 },
    { "--smoke", EVO_OPTION_FLAG, &a.smoke, 0, 0 }, { "--dry-run", EVO_OPTION_FLAG, &a.dry_run, 0, 0 },
    { "--json", EVO_OPTION_FLAG, &a.json, 0, 0 }, { "--quiet", EVO_OPTION_FLAG, &a.quiet, 0, 0 },
  };
  g_auto (EvoOpened) opened = { NULL };
  g_autoptr (GError) error = NULL;
  gboolean help;

  if (!evo_cli_parse (&evo_command_run, table, G_N_ELEMENTS (table), argc, argv, files, &help))
    return 2;
  if (help)
    return 0;
  if (files->len != 1)
    return evo_cli_usage (&evo_command_run, files->len == 0 ? "which pipeline?" : "one pipeline at a time");
  if (a.resume && a.force)
    return evo_cli_usage (&evo_command_run, "--resume goes on and --force starts over; choose one");
  g_ptr_array_add (sets, NULL);
  EvoGraphOptions options = { (const char *const *) sets->pdata, a.seed >= 0, (guint64) MAX (a.seed, 0) };
  if (!evo_cli_open (files->pdata[0], &options, &opened, &error))
    return evo_cli_fail (error);
  print_warnings (&opened);
  if (a.dry_run) {
    evo_cli_print_plan (&opened, (guint) a.jobs, (guint) a.threads);
    return 0;
  }
  return execute (&opened, &a, files->pdata[0]);
}

const EvoCommand evo_command_run = {
  "run", "FILE [--set NODE.PARAM=VALUE]… [--seed N] [--jobs N] [--threads N] [--out DIR] [--resume|--force] [--smoke] [--dry-run] [--json] "
  "[--quiet]", "run a pipeline: searches, saved models, exam", run_command
};
