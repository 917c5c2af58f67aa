/* SPDX-License-Identifier: Apache-2.0
 * plugins.c - plugins and their parameters: for a terminal, as Markdown (plugins/README.md) and as JSON.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/base/json.h"
#include "core/cli/host-keys.h"
#include "core/cli/inspect/inspect.h"

enum { N_COLUMNS = 5, DOC = 5 }; /* name, type, default, values, searched; then what it is */
typedef struct { char *cells[N_COLUMNS + 1]; } Row;

static const char *const titles[] = { "", "", "default", "values", "searched" };

static gboolean
is_lora (const EvoRegistered *e)
{
  return e->kind == EVO_KIND_MERGE && ((const EvoMergeOp *) e->op)->host == EVO_HOST_LORA;
}

/* What the name in a pipeline begins with: an adapter is a model there. */
static EvoKind
section_of (const EvoRegistered *e)
{
  return is_lora (e) ? EVO_KIND_MODEL : e->kind;
}

static const EvoParam *
in_params_of (const EvoRegistered *e)
{
  return e->kind == EVO_KIND_MERGE ? ((const EvoMergeOp *) e->op)->in_params : NULL;
}

/* ------------------------------------------------------------------ tables */

static void
row_clear (gpointer data)
{
  Row *row = data;

  for (guint c = 0; c <= N_COLUMNS; c++)
    g_free (row->cells[c]);
}

static GArray *
new_rows (void)
{
  GArray *rows = g_array_new (FALSE, TRUE, sizeof (Row));

  g_array_set_clear_func (rows, row_clear);
  return rows;
}

static char *
default_text (const EvoParam *p)
{
  if (p->flags & EVO_PARAM_REQUIRED)
    return g_strdup ("required");
  return p->type == EVO_TYPE_NUMBER ? g_strdup_printf ("%g", p->def) : evo_param_default_text (p);
}

static void
add_params (GArray *rows, const EvoParam *table)
{
  for (guint i = 0; i < evo_param_count (table); i++) {
    const EvoParam *p = &table[i];
    Row row = { { g_strdup (p->name), g_strdup (evo_param_type_name (p->type)), default_text (p), NULL, NULL, g_strdup (p->doc) } };

    row.cells[3] = p->type == EVO_TYPE_CHOICE ? g_strjoinv (", ", (char **) p->names) : evo_param_range_text (p);
    row.cells[4] = p->flags & EVO_PARAM_TUNABLE ? g_strdup_printf ("%g … %g", p->search_low, p->search_high) : g_strdup ("");
    g_array_append_val (rows, row);
  }
}

static void
add_host_keys (GArray *rows, EvoKind kind, gboolean without_in)
{
  for (const EvoHostKey *k = evo_host_keys; k->name != NULL; k++) {
    Row row = { { g_strdup (k->name), g_strdup (""), g_strdup (""), g_strdup (k->values), g_strdup (""), g_strdup (k->doc) } };

    if ((k->kinds >> kind & 1) && !(without_in && g_str_equal (k->name, "in")))
      g_array_append_val (rows, row);
    else
      row_clear (&row);
  }
}

static void
print_padded (const char *text, glong width)
{
  glong n = g_utf8_strlen (text, -1);

  printf ("%s%*s", text, (int) MAX (width - n, 0), "");
}

static void
print_line (const char *indent, const char *const *cells, const glong *width)
{
  g_autoptr (GString) line = g_string_new (indent);

  for (guint c = 0; c < N_COLUMNS; c++) {
    g_string_append (line, cells[c]);
    for (glong n = g_utf8_strlen (cells[c], -1); width[c] > 0 && n < width[c] + 2; n++)
      g_string_append_c (line, ' ');
  }
  g_strchomp (line->str);
  puts (line->str);
}

/* Columns as wide as what is in them; the explanation below each line. */
static void
print_rows (const char *title, const GArray *rows)
{
  glong width[N_COLUMNS] = { 0 };
  const char *head[N_COLUMNS] = { title };

  for (guint c = 0; c < N_COLUMNS; c++)
    for (guint i = 0; i < rows->len; i++)
      width[c] = MAX (width[c], g_utf8_strlen (g_array_index (rows, Row, i).cells[c], -1));
  width[0] = MAX (width[0], g_utf8_strlen (title, -1) - 2);
  for (guint c = 1; c < N_COLUMNS; c++) {
    head[c] = width[c] > 0 ? titles[c] : "";
    width[c] = width[c] > 0 ? MAX (width[c], g_utf8_strlen (titles[c], -1)) : 0;
  }
  width[0] += 2;
  putchar ('\n');
  print_line ("  ", head, width);
  width[0] -= 2;
  for (guint i = 0; i < rows->len; i++) {
    const Row *row = &g_array_index (rows, Row, i);

    print_line ("    ", (const char *const *) row->cells, width);
    printf ("        %s\n", row->cells[DOC]);
  }
}

static void
print_markdown_rows (const char *title, const GArray *rows)
{
  printf ("\n%s\n\n| name | type | default | values | searched | what |\n|---|---|---|---|---|---|\n", title);
  for (guint i = 0; i < rows->len; i++) {
    const Row *row = &g_array_index (rows, Row, i);

    printf ("| `%s` |", row->cells[0]);
    for (guint c = 1; c <= N_COLUMNS; c++)
      printf (" %s |", row->cells[c]);
    putchar ('\n');
  }
}

static void
print_params (const char *title, const EvoParam *table, gboolean markdown)
{
  g_autoptr (GArray) rows = new_rows ();

  add_params (rows, table);
  if (rows->len == 0)
    return;
  if (markdown)
    print_markdown_rows (title, rows);
  else
    print_rows (title, rows);
}

/* For a terminal: what a node of this plugin may have beside its parameters. */
static void
print_keys_of (const EvoRegistered *e)
{
  g_autofree char *title = g_strdup_printf ("of every %s node", evo_registry_kind_name (e->kind));
  g_autoptr (GArray) rows = new_rows ();

  add_host_keys (rows, e->kind, is_lora (e));
  print_rows (is_lora (e) ? "as of merge nodes" : title, rows);
}

static void
print_markdown_keys (EvoKind kind)
{
  g_autoptr (GArray) rows = new_rows ();

  add_host_keys (rows, kind, FALSE);
  printf ("\n### Every %s node\n\n| key | values | what |\n|---|---|---|\n", evo_registry_kind_name (kind));
  for (guint i = 0; i < rows->len; i++) {
    char **cells = g_array_index (rows, Row, i).cells;

    printf ("| `%s` | %s | %s |\n", cells[0], cells[3], cells[DOC]);
  }
}

/* ------------------------------------------------------------------ JSON */

static void
write_default (EvoJsonWriter *w, const EvoParam *p)
{
  if (p->flags & EVO_PARAM_REQUIRED)
    evo_json_add_null (w);
  else if (p->type == EVO_TYPE_BOOL)
    evo_json_add_bool (w, p->def != 0);
  else if (p->type == EVO_TYPE_NUMBER || p->type == EVO_TYPE_INTEGER)
    evo_json_add_number (w, p->def);
  else
    evo_json_add_string (w, p->type == EVO_TYPE_CHOICE ? p->names[(guint) p->def] : p->def_string);
}

static void
write_pair (EvoJsonWriter *w, const char *key, double low, double high)
{
  evo_json_add_key (w, key);
  evo_json_begin_array (w);
  evo_json_add_number (w, low); /* null: no limit */
  evo_json_add_number (w, high);
  evo_json_end_array (w);
}

static void
write_param (EvoJsonWriter *w, const EvoParam *p)
{
  evo_json_begin_object (w);
  evo_json_add_key (w, "name");
  evo_json_add_string (w, p->name);
  evo_json_add_key (w, "type");
  evo_json_add_string (w, evo_param_type_name (p->type));
  evo_json_add_key (w, "required");
  evo_json_add_bool (w, (p->flags & EVO_PARAM_REQUIRED) != 0);
  evo_json_add_key (w, "default");
  write_default (w, p);
  if (p->type == EVO_TYPE_NUMBER || p->type == EVO_TYPE_INTEGER)
    write_pair (w, "limits", p->min, p->max);
  if (p->type == EVO_TYPE_CHOICE) {
    evo_json_add_key (w, "choices");
    evo_json_begin_array (w);
    for (guint i = 0; p->names[i] != NULL; i++)
      evo_json_add_string (w, p->names[i]);
    evo_json_end_array (w);
  }
  if (p->flags & EVO_PARAM_TUNABLE)
    write_pair (w, "search", p->search_low, p->search_high);
  evo_json_add_key (w, "doc");
  evo_json_add_string (w, p->doc);
  evo_json_end_object (w);
}

static void
write_params (EvoJsonWriter *w, const char *key, const EvoParam *table)
{
  evo_json_add_key (w, key);
  evo_json_begin_array (w);
  for (guint i = 0; i < evo_param_count (table); i++)
    write_param (w, &table[i]);
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
  if (e->kind == EVO_KIND_MERGE) {
    evo_json_add_key (w, "formula"); /* null: not said */
    evo_json_add_string (w, ((const EvoMergeOp *) e->op)->formula);
    evo_json_add_key (w, "source");
    evo_json_add_string (w, ((const EvoMergeOp *) e->op)->source);
  }
  write_params (w, "params", e->op->params);
  if (e->kind == EVO_KIND_MERGE)
    write_params (w, "in_params", in_params_of (e));
  evo_json_add_key (w, "keys");
  evo_json_begin_array (w);
  for (const EvoHostKey *k = evo_host_keys; k->name != NULL; k++)
    if ((k->kinds >> e->kind & 1) && !(is_lora (e) && g_str_equal (k->name, "in")))
      evo_json_add_string (w, k->name);
  evo_json_end_array (w);
  evo_json_end_object (w);
}

/* ------------------------------------------------------------------ all of them, one of them */

/* "Takes 2 models, and a base." (owned), NULL: it merges nothing. */
static char *
inputs_text (const EvoRegistered *e)
{
  const EvoMergeOp *op = (const EvoMergeOp *) e->op;
  const char *base;

  if (e->kind != EVO_KIND_MERGE)
    return NULL;
  if (is_lora (e))
    return g_strdup ("Takes a base, and no other model; the keys of merge nodes but in.");
  base = op->flags & EVO_MERGE_NEEDS_BASE ? ", and a base" : op->flags & EVO_MERGE_TAKES_BASE ? ", and a base if there is one" : "";
  if (op->max_inputs == 0)
    return g_strdup_printf ("Takes %u or more models%s.", op->min_inputs, base);
  if (op->max_inputs == op->min_inputs)
    return g_strdup_printf ("Takes %u model%s%s.", op->min_inputs, op->min_inputs == 1 ? "" : "s", base);
  return g_strdup_printf ("Takes %u to %u models%s.", op->min_inputs, op->max_inputs, base);
}

static void
print_reference (const EvoMergeOp *op, gboolean markdown)
{
  if (op->formula != NULL)
    printf (markdown ? "\n`%s`\n" : "  formula: %s\n", op->formula);
  if (op->source != NULL)
    printf (markdown ? "\nSource: %s.\n" : "  source: %s\n", op->source);
}

static void
print_markdown_example (const EvoRegistered *e)
{
  g_autofree char *text = evo_inspect_example (e);

  printf ("\nexample\n\n```json\n%s\n```\n", text);
}

static void
print_plugin (const EvoRegistered *e, gboolean markdown)
{
  g_autofree char *inputs = inputs_text (e);

  printf (markdown ? "\n### %s\n\n%s%s%s\n" : "%s - %s%s%s\n", e->name, e->op->summary, inputs == NULL ? "" : " ", inputs == NULL ? "" : inputs);
  if (!markdown)
    printf ("  %s\n", e->file);
  if (e->kind == EVO_KIND_MERGE)
    print_reference ((const EvoMergeOp *) e->op, markdown);
  print_params ("parameters", e->op->params, markdown);
  print_params ("per input", in_params_of (e), markdown);
  if (!markdown)
    print_keys_of (e);
  else if (e->kind == EVO_KIND_MERGE)
    print_markdown_example (e);
}

static void
print_markdown (const EvoRegistry *r)
{
  printf ("# Plugins\n\nWritten by `evopipe inspect --markdown`; do not edit. `searched` is the range of `{\"evolve\": true}`.\n\n"
          "In formulas x₁ … x_N are the N models of `in` and dᵢ = xᵢ − base their changes, all taken element by element but where lengths, angles and matrices are; "
          "parameters stand by their names, those of an input with its number: weightᵢ. Sums are over the inputs. A formula is that of the defaults; what "
          "options change follows it. Examples are pipelines that run in the root of the source tree: `evopipe merge FILE OUT`.\n");
  for (EvoKind kind = EVO_KIND_MERGE; kind <= EVO_KIND_EVALUATOR; kind++) {
    gboolean any = FALSE;

    for (guint i = 0; i < evo_registry_get_n (r); i++) {
      const EvoRegistered *e = evo_registry_get (r, i);

      if (section_of (e) != kind)
        continue;
      if (!any)
        printf ("\n## %s\n", evo_registry_kind_name (kind));
      any = TRUE;
      print_plugin (e, TRUE);
    }
    if (any)
      print_markdown_keys (kind);
  }
}

static gboolean
is_of_file (const EvoRegistered *e, const char *file)
{
  GStatBuf a, b;

  return g_stat (file, &a) == 0 && g_stat (e->file, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int
evo_inspect_plugin (const EvoRegistered *e, const EvoForm *form)
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

static void
print_list (const EvoRegistry *r)
{
  glong width = 0;

  for (guint i = 0; i < evo_registry_get_n (r); i++)
    width = MAX (width, g_utf8_strlen (evo_registry_get (r, i)->name, -1));
  for (guint i = 0; i < evo_registry_get_n (r); i++) {
    const EvoRegistered *e = evo_registry_get (r, i);

    print_padded (e->name, width + 2);
    puts (e->op->summary);
  }
  puts ("\nevopipe inspect NAME shows one, with its parameters");
}

int
evo_inspect_plugins (const EvoRegistry *r, const char *file, const EvoForm *form)
{
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_array (&w);
  for (guint i = 0; i < evo_registry_get_n (r); i++) {
    const EvoRegistered *e = evo_registry_get (r, i);

    if (file != NULL && !is_of_file (e, file))
      continue;
    write_plugin (&w, e);
    if (file != NULL && !form->json)
      print_plugin (e, form->markdown);
  }
  evo_json_end_array (&w);
  if (form->json)
    puts (text->str);
  else if (file == NULL && form->markdown)
    print_markdown (r);
  else if (file == NULL)
    print_list (r);
  for (const char *const *b = evo_registry_get_broken (r); file == NULL && *b != NULL; b++)
    fprintf (stderr, "evopipe: warning: %s\n", *b);
  return 0;
}
