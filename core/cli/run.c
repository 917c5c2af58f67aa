/* SPDX-License-Identifier: Apache-2.0
 * run.c - evopipe run: a pipeline from its first trial to its table.
 */
#include <stdio.h>
#include <string.h>
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
  evo_cli_print_cuts (o);
}

/* For a shell: quoted only where it must be (owned). */
static char *
shell_word (const char *text)
{
  gsize plain = strspn (text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=,:+-");

  return *text != '\0' && text[plain] == '\0' ? g_strdup (text) : g_shell_quote (text);
}

/* What a command that goes on with this run needs beside its file (owned): a run resumes as the pipeline it was. */
static char *
same_arguments (const RunArguments *a)
{
  GString *t = g_string_new (NULL);

  for (guint i = 0; a->sets->pdata[i] != NULL; i++) {
    g_autofree char *set = shell_word (a->sets->pdata[i]);

    g_string_append_printf (t, " --set %s", set);
  }
  if (a->seed >= 0)
    g_string_append_printf (t, " --seed %" G_GINT64_FORMAT, a->seed);
  if (a->jobs > 1)
    g_string_append_printf (t, " --jobs %" G_GINT64_FORMAT, a->jobs);
  if (a->threads > 0)
    g_string_append_printf (t, " --threads %" G_GINT64_FORMAT, a->threads);
  if (a->out != NULL) {
    g_autofree char *out = shell_word (a->out);

    g_string_append_printf (t, " --out %s", out);
  }
  return g_string_free (t, FALSE);
}

static void
print_next (const EvoRun *run, const RunArguments *a, const char *file)
{
  printf ("\nscores: %s/scores.json   journal: %s/journal.db\n", run->out, run->out);
  for (guint i = 0; i < run->bests->len; i++)
    printf ("%s: %s\n", g_array_index (run->bests, EvoBest, i).node->name, g_array_index (run->bests, EvoBest, i).path);
  if (run->bests->len == 0)
    return;
  const EvoBest *b = &g_array_index (run->bests, EvoBest, run->bests->len - 1);
  g_autofree char *same = same_arguments (a), *quoted = shell_word (file);
  printf ("\nto look at what it says:  evopipe generate %s PROMPT\nto make it again:         evopipe merge %s/%s.best.json OUT\n"
          "to search on:             evopipe run %s%s --resume --set %s.trials=%" G_GINT64_FORMAT "\n", b->path, run->out, b->node->name, quoted, same,
          b->node->name, b->n_trials * 2);
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
    if (g_error_matches (error, EVO_RUN_ERROR, EVO_RUN_ERROR_CANCELLED)) {
      g_autofree char *same = same_arguments (a), *quoted = shell_word (file);

      fprintf (stderr, "evopipe: stopped; go on with: evopipe run %s%s --resume\n", quoted, same);
    } else {
      return evo_cli_fail (error);
    }
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
  print_next (run, a, file);
  return 0;
}

static int
run_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) sets = g_ptr_array_new (), files = g_ptr_array_new ();
  RunArguments a = { .sets = sets, .seed = -1, .jobs = 1 };
  const EvoOption table[] = {
    EVO_SET_OPTION (sets), EVO_SEED_OPTION (&a.seed),
    { "--jobs", EVO_OPTION_INTEGER, &a.jobs, 1, 256, "N", "candidates evaluated at a time, each in a process of its own (1)" },
    EVO_THREADS_OPTION (&a.threads, "threads of a process (all cores, shared among the jobs)"),
    { "--out", EVO_OPTION_TEXT, &a.out, 0, 0, "DIR", "the run directory (./NAME.run)" },
    { "--resume", EVO_OPTION_FLAG, &a.resume, 0, 0, NULL, "go on with a run that was stopped, or whose budget grew" },
    { "--force", EVO_OPTION_FLAG, &a.force, 0, 0, NULL, "start over where a run is" },
    { "--smoke", EVO_OPTION_FLAG, &a.smoke, 0, 0, NULL, "2 trials, 4 items: everything is tried and written in seconds" },
    { "--dry-run", EVO_OPTION_FLAG, &a.dry_run, 0, 0, NULL, "only say what would be done, as evopipe check does" },
    { "--json", EVO_OPTION_FLAG, &a.json, 0, 0, NULL, "print scores.json instead of the table" },
    { "--quiet", EVO_OPTION_FLAG, &a.quiet, 0, 0, NULL, "no progress" },
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
  "[--quiet]", "runs a pipeline, or a recipe: searches, saved models, exam", run_command
};
