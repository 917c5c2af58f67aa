/* SPDX-License-Identifier: Apache-2.0
 * main.c - finds the command and hands over; a process started with --worker is one of our own.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cancel.h"
#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/kernels/kernels.h"
#include "core/search/workers.h"

static const EvoCommand *const commands[] = {
  &evo_command_run, &evo_command_check, &evo_command_inspect, &evo_command_schema, &evo_command_merge, &evo_command_import,
  &evo_command_eval, &evo_command_generate, &evo_command_extract_lora
};

static void
print_help (FILE *to)
{
  fprintf (to, "evopipe %s: evolutionary model merging\n\n", EVO_VERSION);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (to, "  evopipe %-12s %s\n", commands[i]->name, commands[i]->summary);
  fprintf (to, "\nevopipe COMMAND --help says more. Exit codes: 0 done, 1 a defect of evopipe, 2 command line or pipeline, 3 a plugin, "
               "4 a file,\n5 stopped by a signal (a run is resumable).\n");
}

/* OpenBLAS takes CPUs newer than itself for old ones unless it is told before it loads, which happened before main. */
static void
set_blas_core (char **argv)
{
  const char *core = evo_kernels_blas_core ();

  if (core == NULL || getenv ("OPENBLAS_CORETYPE") != NULL)
    return;
  setenv ("OPENBLAS_CORETYPE", core, 1);
  setenv ("OPENBLAS_NUM_THREADS", "1", 1);
  execv ("/proc/self/exe", argv); /* where that fails, slower decompositions are all that is lost */
}

static int
unknown_command (const char *name)
{
  const char *names[G_N_ELEMENTS (commands) + 1];
  g_autofree char *tail = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    names[i] = commands[i]->name;
  names[G_N_ELEMENTS (commands)] = NULL;
  tail = evo_did_you_mean (name, names);
  fprintf (stderr, "evopipe: there is no command \"%s\"%s; evopipe --help lists them\n", name, tail);
  return 2;
}

int
main (int argc, char **argv)
{
  const char *isa = getenv ("EVO_CPU");

  setlocale (LC_CTYPE, "");
  set_blas_core (argv);
  evo_cancel_install ();
  if (isa != NULL && evo_kernels_get_for (isa) == NULL) {
    fprintf (stderr, "evopipe: EVO_CPU=%s: is none of ref, avx2, avx512, amx, or not on this CPU\n", isa);
    return 2;
  }
  if (argc == 3 && g_str_equal (argv[1], "--worker"))
    return evo_worker_main (atoi (argv[2]));
  if (argc < 2 || g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h") || g_str_equal (argv[1], "help")) {
    print_help (argc < 2 ? stderr : stdout);
    return argc < 2 ? 2 : 0;
  }
  if (g_str_equal (argv[1], "--version")) {
    printf ("evopipe %s\n", EVO_VERSION);
    return 0;
  }
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i]->name, argv[1]))
      return commands[i]->run (argc - 1, argv + 1);
  return unknown_command (argv[1]);
}
