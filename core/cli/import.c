/* SPDX-License-Identifier: Apache-2.0
 * import.c - evopipe import: the pipeline that a mergekit recipe becomes; and opening recipes wherever a pipeline is read.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/cli/cli.h"
#include "core/graph/recipe/recipe.h"

static char *
import_recipe (const char *path, gboolean truncate, GError **error)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  char *text = evo_recipe_import (path, truncate, notes, error);

  for (guint i = 0; text != NULL && i < notes->len; i++)
    fprintf (stderr, "evopipe: note: %s\n", (const char *) notes->pdata[i]);
  return text;
}

/* Its lines are those that evopipe import prints. */
EvoGraph *
evo_cli_open_recipe (const char *path, EvoRegistry *registry, const EvoGraphOptions *options, GError **error)
{
  g_autofree char *text = import_recipe (path, options != NULL && options->truncate_embeddings, error), *folder = g_path_get_dirname (path), *plain = g_path_get_basename (path);
  g_autofree char *name = NULL;

  if (text == NULL)
    return NULL;
  *strrchr (plain, '.') = '\0';
  name = g_strconcat (plain, ".json", NULL);
  return evo_graph_new_from_text (text, -1, name, folder, registry, options, error);
}

static int
import_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) files = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  gboolean help, truncate = FALSE;
  const EvoOption table[] = { EVO_TRUNCATE_OPTION (&truncate) };

  if (!evo_cli_parse (&evo_command_import, table, G_N_ELEMENTS (table), argc, argv, files, &help))
    return 2;
  if (help)
    return 0;
  if (files->len != 1)
    return evo_cli_usage (&evo_command_import, "needs a recipe");
  text = import_recipe (files->pdata[0], truncate, &error);
  if (text == NULL)
    return evo_cli_fail (error);
  fputs (text, stdout);
  return 0;
}

const EvoCommand evo_command_import = { "import", "RECIPE [--unsafe-truncate-embeddings]", "prints the pipeline that a mergekit recipe becomes", import_command };
