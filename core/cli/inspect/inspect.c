/* SPDX-License-Identifier: Apache-2.0
 * inspect.c - evopipe inspect: what is named, or else all plugins; here, kernels and a model's tensors.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/cli/inspect/inspect.h"
#include "core/graph/recipe/recipe.h"
#include "core/kernels/kernels.h"

static int
print_kernels (const EvoForm *form)
{
  const EvoKernels *k = evo_kernels_get ();
  const char *implementation, *slot;
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (!form->json)
    printf ("%s\n", evo_kernels_numerics ());
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "numerics");
  evo_json_add_string (&w, evo_kernels_numerics ());
  evo_json_add_key (&w, "kernels");
  evo_json_begin_object (&w);
  for (unsigned i = 0; (slot = evo_kernels_slot (k, i, &implementation)) != NULL; i++) {
    evo_json_add_key (&w, slot);
    evo_json_add_string (&w, implementation);
    if (!form->json)
      printf ("  %-18s %s\n", slot, implementation);
  }
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  if (form->json)
    puts (text->str);
  return 0;
}

/* ------------------------------------------------------------------ a model */

static const char *const roles[] = { "other", "embed", "head", "final norm", "norm", "attention", "mlp", "buffer" };

static void
write_tensor (EvoJsonWriter *w, const EvoLayoutTensor *t)
{
  evo_json_begin_object (w);
  evo_json_add_key (w, "name");
  evo_json_add_string (w, t->shape.name);
  evo_json_add_key (w, "dtype");
  evo_json_add_string (w, evo_dtype_name (t->shape.dtype));
  evo_json_add_key (w, "shape");
  evo_json_begin_array (w);
  for (guint d = 0; d < t->shape.n_dims; d++)
    evo_json_add_integer (w, t->shape.dims[d]);
  evo_json_end_array (w);
  evo_json_add_key (w, "role");
  evo_json_add_string (w, roles[t->role.kind]);
  evo_json_add_key (w, "layer");
  if (t->role.layer < 0)
    evo_json_add_null (w);
  else
    evo_json_add_integer (w, t->role.layer);
  evo_json_end_object (w);
}

static void
print_model_json (const EvoLayout *l)
{
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_array (&w);
  for (guint i = 0; i < l->n; i++)
    write_tensor (&w, &l->tensors[i]);
  evo_json_end_array (&w);
  puts (text->str);
}

static void
print_tensors (const EvoLayout *l)
{
  gsize name = 0, shape = 0;

  for (guint i = 0; i < l->n; i++) {
    g_autofree char *text = evo_shape_text (&l->tensors[i].shape);

    name = MAX (name, strlen (l->tensors[i].shape.name));
    shape = MAX (shape, strlen (text));
  }
  for (guint i = 0; i < l->n; i++) {
    const EvoLayoutTensor *t = &l->tensors[i];
    g_autofree char *text = evo_shape_text (&t->shape);

    printf ("%-*s  %-4s  %-*s  %s\n", (int) name, t->shape.name, evo_dtype_name (t->shape.dtype), (int) shape, text, roles[t->role.kind]);
  }
}

static int
print_model (const char *path, const EvoForm *form)
{
  g_autofree char *adapter = g_build_filename (path, "adapter_config.json", NULL);
  g_auto (EvoOpened) o = { NULL };
  g_autoptr (GError) error = NULL;
  EvoDecoderSpec spec;

  if (!evo_cli_open_model (path, &o, &error))
    return evo_cli_fail (error);
  const EvoNode *node = evo_graph_find (o.graph, "model");
  const EvoLayout *l = evo_models_get_layout (o.models, node);
  g_autofree char *bytes = evo_size_text (evo_store_get_bytes (evo_models_get_store (o.models, node)));
  if (form->json) {
    print_model_json (l);
    return 0;
  }
  print_tensors (l);
  printf ("\n%u tensors, %d layers, %.4g M parameters, %s\n", l->n, l->n_layers, (double) l->n_elements / 1e6, bytes);
  if (g_file_test (adapter, G_FILE_TEST_EXISTS))
    printf ("a LoRA adapter; a node of model.lora applies it to its base\n");
  else if (evo_models_get_decoder (o.models, node, &spec, &error))
    printf ("hidden %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " heads, %" G_GINT64_FORMAT " key heads, intermediate %" G_GINT64_FORMAT ", vocabulary %"
            G_GINT64_FORMAT ", %" G_GINT64_FORMAT " positions%s\n", spec.hidden, spec.n_heads, spec.n_kv_heads, spec.intermediate, spec.vocab,
            spec.max_positions, spec.tied ? ", tied embedding" : "");
  else
    printf ("%s\n", error->message);
  return 0;
}

/* ------------------------------------------------------------------ the command */

/* Names that are taken for a plugin's or for tensors, and are neither: what to do instead. */
static gboolean
check_name (const char *name, GError **error)
{
  gboolean is_file = g_file_test (name, G_FILE_TEST_IS_REGULAR);

  if (is_file && !g_str_has_suffix (name, ".index.json") && (evo_recipe_is (name) || g_str_has_suffix (name, ".json")))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: is neither a model nor a run; evopipe check says what is in a pipeline or "
                          "a recipe", name);
  return strchr (name, '/') == NULL || g_file_test (name, G_FILE_TEST_EXISTS) ||
         evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: there is no such file or directory, and names of plugins have no /", name);
}

static int
print_named (const char *name, const EvoForm *form)
{
  g_autofree char *journal = g_build_filename (name, "journal.db", NULL);
  g_autoptr (EvoRegistry) r = NULL;
  g_autoptr (GError) error = NULL;
  const EvoRegistered *e;

  if (!check_name (name, &error))
    return evo_cli_fail (error);
  if (form->markdown && !g_str_has_suffix (name, ".so") && g_file_test (name, G_FILE_TEST_EXISTS))
    return evo_cli_usage (&evo_command_inspect, "--markdown is for plugins, and not with --json");
  if (g_file_test (journal, G_FILE_TEST_EXISTS))
    return evo_inspect_run (name, form);
  if (g_str_has_suffix (name, ".so")) {
    r = evo_registry_new ();
    if (!evo_registry_load (r, name, &error))
      return evo_cli_fail (error);
    return evo_inspect_plugins (r, name, form);
  }
  if (g_file_test (name, G_FILE_TEST_EXISTS))
    return print_model (name, form);
  r = evo_registry_new ();
  e = evo_registry_find (r, name, &error);
  return e == NULL ? evo_cli_fail (error) : evo_inspect_plugin (e, form);
}

static int
inspect_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  EvoForm form = { FALSE, FALSE };
  gboolean kernels = FALSE, help;
  const EvoOption table[] = {
    { "--json", EVO_OPTION_FLAG, &form.json, 0, 0, NULL, "for machines" },
    { "--markdown", EVO_OPTION_FLAG, &form.markdown, 0, 0, NULL, "plugins as a page, plugins/README.md" },
    { "--kernels", EVO_OPTION_FLAG, &kernels, 0, 0, NULL, "which implementation of each arithmetic kernel this machine uses" },
  };

  if (!evo_cli_parse (&evo_command_inspect, table, G_N_ELEMENTS (table), argc, argv, names, &help))
    return 2;
  if (help)
    return 0;
  if (names->len > (kernels ? 0 : 1))
    return evo_cli_usage (&evo_command_inspect, kernels ? "--kernels takes no name" : "one name at a time");
  if (form.markdown && (form.json || kernels))
    return evo_cli_usage (&evo_command_inspect, "--markdown is for plugins, and not with --json");
  if (kernels)
    return print_kernels (&form);
  if (names->len == 1)
    return print_named (names->pdata[0], &form);
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  return evo_inspect_plugins (r, NULL, &form);
}

const EvoCommand evo_command_inspect = { "inspect", "[NAME | FILE.so | MODEL | RUN] [--json|--markdown] [--kernels]",
                                         "shows plugins and their parameters, a model's tensors, what a run found", inspect_command };
