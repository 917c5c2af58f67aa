/* SPDX-License-Identifier: Apache-2.0
 * inspect.c - evopipe inspect: plugins and their parameters, kernels, a model's tensors and roles, a run's best.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/kernels/kernels.h"
#include "core/search/journal.h"

typedef struct { gboolean json, markdown; } Form;

/* ------------------------------------------------------------------ plugins */

static const EvoParam *
in_params_of (const EvoRegistered *e)
{
  return e->kind == EVO_KIND_MERGE ? ((const EvoMergeOp *) e->op)->in_params : NULL;
}

static void
write_params (EvoJsonWriter *w, const char *key, const EvoParam *table)
{
  evo_json_add_key (w, key);
  evo_json_begin_array (w);
  for (guint i = 0; i < evo_param_count (table); i++) {
    g_autofree char *range = evo_param_range_text (&table[i]), *def = evo_param_default_text (&table[i]);

    evo_json_begin_object (w);
    evo_json_add_key (w, "name");
    evo_json_add_string (w, table[i].name);
    evo_json_add_key (w, "type");
    evo_json_add_string (w, evo_param_type_name (table[i].type));
    evo_json_add_key (w, "default");
    evo_json_add_string (w, def);
    evo_json_add_key (w, "range");
    evo_json_add_string (w, range);
    if (table[i].flags & EVO_PARAM_TUNABLE) {
      evo_json_add_key (w, "search");
      evo_json_begin_array (w);
      evo_json_add_number (w, table[i].search_low);
      evo_json_add_number (w, table[i].search_high);
      evo_json_end_array (w);
    }
    evo_json_add_key (w, "doc");
    evo_json_add_string (w, table[i].doc);
    evo_json_end_object (w);
  }
  evo_json_end_array (w);
}

static void
write_plugin (EvoJsonWriter *w, const EvoRegistered *e)
{
  evo_json_begin_object (w);
  evo_json_add_key (w, "name");
  evo_json_add_string (w, e->name);
  evo_json_add_key (w, "summary");
  evo_json_add_string (w, e->op->summary);
  evo_json_add_key (w, "file");
  evo_json_add_string (w, e->file);
  write_params (w, "params", e->op->params);
  if (in_params_of (e) != NULL)
    write_params (w, "in_params", in_params_of (e));
  evo_json_end_object (w);
}

static void
print_params (const char *title, const EvoParam *table, gboolean markdown)
{
  if (evo_param_count (table) == 0)
    return;
  printf (markdown ? "\n%s\n\n| name | type | default | range | search | what |\n|---|---|---|---|---|---|\n" : "\n  %s\n", title);
  for (guint i = 0; i < evo_param_count (table); i++) {
    const EvoParam *p = &table[i];
    g_autofree char *range = evo_param_range_text (p), *def = evo_param_default_text (p);
    g_autofree char *search = p->flags & EVO_PARAM_TUNABLE ? g_strdup_printf ("%g … %g", p->search_low, p->search_high) : g_strdup ("");

    if (markdown)
      printf ("| `%s` | %s | %s | %s | %s | %s |\n", p->name, evo_param_type_name (p->type), def, range, search, p->doc);
    else
      printf ("    %-20s %-8s default %-8s %-22s %s%s%s\n                         %s\n", p->name, evo_param_type_name (p->type), def, range,
              *search == '\0' ? "" : "search ", search, "", p->doc);
  }
}

static void
print_plugin (const EvoRegistered *e, gboolean markdown)
{
  printf (markdown ? "\n## %s\n\n%s\n" : "%s: %s\n", e->name, e->op->summary);
  if (!markdown)
    printf ("  %s\n", e->file);
  print_params ("parameters", e->op->params, markdown);
  print_params ("per input", in_params_of (e), markdown);
}

static int
print_plugins (const EvoRegistry *r, const Form *form)
{
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (form->markdown)
    printf ("# Plugins\n\nWritten by `evopipe inspect --markdown`; do not edit.\n");
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_array (&w);
  for (guint i = 0; i < evo_registry_get_n (r); i++) {
    const EvoRegistered *e = evo_registry_get (r, i);

    write_plugin (&w, e);
    if (form->markdown)
      print_plugin (e, TRUE);
    else if (!form->json)
      printf ("%-24s %s\n", e->name, e->op->summary);
  }
  evo_json_end_array (&w);
  if (form->json)
    puts (text->str);
  for (const char *const *b = evo_registry_get_broken (r); *b != NULL; b++)
    fprintf (stderr, "evopipe: warning: %s\n", *b);
  return 0;
}

static int
print_one_plugin (const EvoRegistered *e, const Form *form)
{
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (!form->json) {
    print_plugin (e, form->markdown);
    return 0;
  }
  evo_json_writer_init (&w, text, TRUE);
  write_plugin (&w, e);
  puts (text->str);
  return 0;
}

/* ------------------------------------------------------------------ kernels, models, runs */

static int
print_kernels (void)
{
  const EvoKernels *k = evo_kernels_get ();
  const char *implementation, *slot;

  printf ("%s\n", evo_kernels_numerics ());
  for (unsigned i = 0; (slot = evo_kernels_slot (k, i, &implementation)) != NULL; i++)
    printf ("  %-18s %s\n", slot, implementation);
  return 0;
}

static int
print_model (const char *path, const Form *form)
{
  static const char *const kinds[] = { "other", "embed", "head", "final norm", "norm", "attention", "mlp", "buffer" };
  g_auto (EvoOpened) o = { NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (!evo_cli_open_model (path, &o, &error))
    return evo_cli_fail (error);
  const EvoLayout *l = evo_models_get_layout (o.models, evo_graph_find (o.graph, "model"));
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_array (&w);
  for (guint i = 0; i < l->n; i++) {
    const EvoLayoutTensor *t = &l->tensors[i];
    g_autofree char *shape = evo_shape_text (&t->shape);

    if (!form->json) {
      printf ("%-52s %-5s %-18s %-11s %s\n", t->shape.name, evo_dtype_name (t->shape.dtype), shape, kinds[t->role.kind], t->role.slot);
      continue;
    }
    evo_json_begin_object (&w);
    evo_json_add_key (&w, "name");
    evo_json_add_string (&w, t->shape.name);
    evo_json_add_key (&w, "dtype");
    evo_json_add_string (&w, evo_dtype_name (t->shape.dtype));
    evo_json_add_key (&w, "shape");
    evo_json_begin_array (&w);
    for (guint d = 0; d < t->shape.n_dims; d++)
      evo_json_add_integer (&w, t->shape.dims[d]);
    evo_json_end_array (&w);
    evo_json_add_key (&w, "role");
    evo_json_add_string (&w, kinds[t->role.kind]);
    evo_json_add_key (&w, "layer");
    evo_json_add_integer (&w, t->role.layer);
    evo_json_end_object (&w);
  }
  evo_json_end_array (&w);
  if (form->json)
    puts (text->str);
  else
    printf ("%u tensors, %d layers, %" G_GINT64_FORMAT " parameters\n", l->n, l->n_layers, l->n_elements);
  return 0;
}

static int
print_run (const char *path)
{
  g_autofree char *scores = g_build_filename (path, "scores.json", NULL), *text = NULL;
  g_autofree char *journal_path = g_build_filename (path, "journal.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJournal) journal = evo_journal_open (journal_path, FALSE, &error);

  if (journal == NULL)
    return evo_cli_fail (error);
  if (g_file_get_contents (scores, &text, NULL, NULL)) {
    fputs (text, stdout);
    return 0;
  }
  printf ("%s: has not ended; go on with evopipe run … --resume\n", path);
  return 0;
}

static int
print_named (const char *name, const Form *form)
{
  g_autofree char *journal = g_build_filename (name, "journal.db", NULL);
  g_autoptr (EvoRegistry) r = NULL;
  g_autoptr (GError) error = NULL;
  const EvoRegistered *e;

  if (g_file_test (journal, G_FILE_TEST_EXISTS))
    return print_run (name);
  if (g_str_has_suffix (name, ".so")) {
    r = evo_registry_new ();
    if (!evo_registry_load (r, name, &error))
      return evo_cli_fail (error);
    return print_plugins (r, form);
  }
  if (g_file_test (name, G_FILE_TEST_EXISTS))
    return print_model (name, form);
  r = evo_registry_new ();
  e = evo_registry_find (r, name, &error);
  return e == NULL ? evo_cli_fail (error) : print_one_plugin (e, form);
}

static int
inspect_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  Form form = { FALSE, FALSE };
  gboolean kernels = FALSE, help;
  const EvoOption table[] = { { "--json", EVO_OPTION_FLAG, &form.json, 0, 0 }, { "--markdown", EVO_OPTION_FLAG, &form.markdown, 0, 0 },
                              { "--kernels", EVO_OPTION_FLAG, &kernels, 0, 0 } };

  if (!evo_cli_parse (&evo_command_inspect, table, G_N_ELEMENTS (table), argc, argv, names, &help))
    return 2;
  if (help)
    return 0;
  if (kernels)
    return print_kernels ();
  if (names->len > 1)
    return evo_cli_usage (&evo_command_inspect, "one name at a time");
  if (names->len == 1)
    return print_named (names->pdata[0], &form);
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  return print_plugins (r, &form);
}

const EvoCommand evo_command_inspect = { "inspect", "[NAME | FILE.so | MODEL | RUN] [--json|--markdown] [--kernels]",
                                         "plugins and their parameters, kernels, a model's tensors, a run's best", inspect_command };
