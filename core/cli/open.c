/* SPDX-License-Identifier: Apache-2.0
 * open.c - what most commands begin with: plugins, a pipeline, the headers of its sources.
 */
#include <stdio.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/cli/cli.h"
#include "core/graph/recipe/recipe.h"
#include "core/graph/vocab/vocab.h"

void
evo_cli_close (EvoOpened *o)
{
  g_clear_pointer (&o->models, evo_models_free);
  g_clear_pointer (&o->graph, evo_graph_free);
  g_clear_pointer (&o->registry, evo_registry_free);
}

gboolean
evo_cli_open (const char *path, const EvoGraphOptions *options, EvoOpened *out, GError **error)
{
  out->registry = evo_registry_new ();
  out->graph = (evo_recipe_is (path) ? evo_cli_open_recipe : evo_graph_new_from_file) (path, out->registry, options, error);
  if (out->graph == NULL)
    return FALSE;
  out->models = evo_models_new (out->graph, error);
  return out->models != NULL;
}

void
evo_cli_print_cuts (const EvoOpened *o)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (o->graph); i++) {
    g_autofree char *text = evo_vocab_dup_warning (o->models, evo_graph_get (o->graph, i));

    if (text != NULL)
      fprintf (stderr, "evopipe: warning: %s\n", text);
  }
}

gboolean
evo_cli_open_model (const char *path, EvoOpened *out, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "evopipe");
  evo_json_add_integer (&w, 1);
  evo_json_add_key (&w, "nodes");
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "model");
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "use");
  evo_json_add_string (&w, "model.llm");
  evo_json_add_key (&w, "path");
  evo_json_add_string (&w, absolute);
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  out->registry = evo_registry_new ();
  out->graph = evo_graph_new_from_text (text->str, (gssize) text->len, path, ".", out->registry, NULL, error);
  if (out->graph == NULL)
    return FALSE;
  out->models = evo_models_new (out->graph, error);
  return out->models != NULL;
}
