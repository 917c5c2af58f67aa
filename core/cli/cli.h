/* SPDX-License-Identifier: Apache-2.0
 * cli.h - what the commands share: one function each, options from one table, exit codes from errors.
 */
#ifndef EVO_CLI_CLI_H
#define EVO_CLI_CLI_H

#include "core/graph/merge/merge.h"

typedef struct {
  const char *name, *usage, *summary;
  int (*run) (int argc, char **argv); /* argv[0] is the command's name */
} EvoCommand;

extern const EvoCommand evo_command_run, evo_command_check, evo_command_inspect, evo_command_schema, evo_command_merge, evo_command_import,
  evo_command_eval, evo_command_generate, evo_command_extract_lora;

/* What runs, checks and merges say of seeds. */
#define EVO_SEED_OPTION(out) { "--seed", EVO_OPTION_INTEGER, (out), 0, (G_GINT64_CONSTANT (1) << 53) - 1, "N", "in place of the pipeline's seed" }
#define EVO_TRUNCATE_OPTION(out) \
  { "--unsafe-truncate-embeddings", EVO_OPTION_FLAG, (out), 0, 0, NULL, "cut embeddings to the fewest rows of any input, whatever tokens those are" }
#define EVO_SET_OPTION(out) { "--set", EVO_OPTION_LIST, (out), 0, 0, "NODE.PARAM=VALUE", "another value for this run; as often as needed" }
#define EVO_THREADS_OPTION(out, text) { "--threads", EVO_OPTION_INTEGER, (out), 1, 1024, "N", text }

/* --- options.c */
/* Prints "evopipe: message" to stderr and returns the exit code of the error. */
int evo_cli_fail (const GError *error);
int evo_cli_usage (const EvoCommand *c, const char *format, ...) G_GNUC_PRINTF (2, 3); /* exit 2, with the usage line */

/* Options: "--seed" takes a value, "--resume" is a flag. Positional arguments are collected in order. */
typedef enum { EVO_OPTION_FLAG, EVO_OPTION_TEXT, EVO_OPTION_INTEGER, EVO_OPTION_LIST } EvoOptionKind;
typedef struct {
  const char *name;    /* "--seed" */
  EvoOptionKind kind;
  gpointer out;        /* gboolean *, const char **, gint64 *, GPtrArray * */
  gint64 min, max;     /* INTEGER */
  const char *value, *doc; /* for --help: "N"; NULL for a flag */
} EvoOption;
/* FALSE: a message was printed, exit 2. "--help" prints usage and options and sets *help. positional: GPtrArray of const char *. */
gboolean evo_cli_parse (const EvoCommand *c, const EvoOption *options, guint n, int argc, char **argv, GPtrArray *positional, gboolean *help);
gboolean evo_cli_parse_size (const char *text, guint64 *out); /* "5GB", "300MB", "4096" */

/* --- open.c */
/* A pipeline, or a recipe (.yml), read and its sources opened. */
typedef struct { EvoRegistry *registry; EvoGraph *graph; EvoModels *models; } EvoOpened;
gboolean evo_cli_open (const char *path, const EvoGraphOptions *options, EvoOpened *out, GError **error);
void evo_cli_print_cuts (const EvoOpened *o); /* to stderr: warnings of embeddings that are cut */
void evo_cli_close (EvoOpened *o);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EvoOpened, evo_cli_close)
/* One model directory as a graph of one node called "model". */
gboolean evo_cli_open_model (const char *path, EvoOpened *out, GError **error);

/* --- import.c: a mergekit recipe as the pipeline it becomes; notes go to stderr. */
EvoGraph *evo_cli_open_recipe (const char *path, EvoRegistry *registry, const EvoGraphOptions *options, GError **error);

/* --- plan.c: the check's report: genes, plan, bounds; to stdout. Shared by check and run --dry-run. */
void evo_cli_print_plan (const EvoOpened *o, guint jobs, guint threads);

#endif
