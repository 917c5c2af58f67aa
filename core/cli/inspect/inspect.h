/* SPDX-License-Identifier: Apache-2.0
 * inspect.h - what `evopipe inspect` shows, one file each: plugins, models and kernels, runs.
 */
#ifndef EVO_CLI_INSPECT_H
#define EVO_CLI_INSPECT_H

#include "core/cli/cli.h"

typedef struct { gboolean json, markdown; } EvoForm;

/* All plugins, or those of one file (NULL: all). Exit codes. */
int evo_inspect_plugins (const EvoRegistry *r, const char *file, const EvoForm *form);
int evo_inspect_plugin (const EvoRegistered *e, const EvoForm *form);
int evo_inspect_run (const char *path, const EvoForm *form);

/* example.c: a pipeline that runs in a folder with models/tiny of the source tree, as JSON (owned). The files it names, of tensors
 * (INPUT-PARAMETER.safetensors) or an adapter, are the reader's. */
char *evo_inspect_example (const EvoRegistered *e);

/* path.c: "path" of a search's best in scores.json, [{"from", "layer", "scale"}]. */
void evo_inspect_print_path (const EvoJson *path);

#endif
