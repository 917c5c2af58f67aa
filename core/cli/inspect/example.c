/* SPDX-License-Identifier: Apache-2.0
 * example.c - an example of a merge operator: a pipeline on the small models of the tree, made from what the operator declares.
 */
#include <math.h>
#include <string.h>

#include "core/base/json.h"
#include "core/cli/inspect/inspect.h"

enum { MOST_TUNED = 2, INDENT = 16 };

static const struct { const char *name, *path; } models[] = {
  { "ja", "models/tiny/mini-ja" }, { "math", "models/tiny/mini-math-en" }, { "base", "models/tiny/mini-base" }
};

/* A fifth of the way from the default to an end of the searched range, up and down by turns, with two digits. */
static double
tuned (const EvoParam *p, guint turn)
{
  gboolean up = p->def <= p->search_low || (turn % 2 == 0 && p->def < p->search_high);
  double share = 0.2 * (p->def >= p->search_high ? 1 + turn % 2 : 1), x = p->def + share * ((up ? p->search_high : p->search_low) - p->def);
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  x = g_ascii_strtod (g_ascii_formatd (text, sizeof text, "%.2g", x), NULL);
  return CLAMP (p->type == EVO_TYPE_INTEGER ? rint (x) : x, p->min, p->max);
}

static void
add_number (GString *s, double x)
{
  EvoJsonWriter w;

  evo_json_writer_init (&w, s, FALSE);
  evo_json_add_number (&w, x);
}

static void
add_text (GString *s, const char *text)
{
  g_autofree char *quoted = evo_json_quoted (text);

  g_string_append (s, quoted);
}

/* ------------------------------------------------------------------ parameters */

/* What has to be given: a file is called after the parameter and the input it is of. */
static void
add_required (GString *s, const EvoParam *p, const char *input)
{
  if (p->type == EVO_TYPE_FILE && p->flags & EVO_PARAM_TENSORS)
    g_string_append_printf (s, "\"%s-%s.safetensors\"", input, p->name);
  else if (p->type == EVO_TYPE_STRINGS) /* a path of layers */
    g_string_append_printf (s, "[\"%s:0-3\", \"%s:2-5\"]", models[0].name, models[1].name);
  else if (p->type == EVO_TYPE_FILE || p->type == EVO_TYPE_STRING)
    g_string_append (s, "\"adapter\"");
  else if (p->type == EVO_TYPE_NUMBERS)
    g_string_append (s, "[1]");
  else
    add_number (s, p->def);
}

/* Whether a parameter is shown; counts what was. */
static gboolean
is_shown (const EvoParam *p, guint *n_tuned, guint *n_chosen)
{
  if (p->flags & EVO_PARAM_REQUIRED)
    return TRUE;
  if (p->flags & EVO_PARAM_TUNABLE || p->type == EVO_TYPE_NUMBERS) /* what takes lists is searched by a form of its own */
    return (*n_tuned)++ < MOST_TUNED;
  return p->type == EVO_TYPE_CHOICE && (*n_chosen)++ == 0;
}

/* Adds ", "name": value" for what is shown of the table. */
static void
add_params (GString *s, const EvoParam *table, guint input, const char *input_name)
{
  guint n_tuned = 0, n_chosen = 0;

  for (guint i = 0; i < evo_param_count (table); i++) {
    const EvoParam *p = &table[i];
    gboolean is_switch = p->type == EVO_TYPE_BOOL && input_name != NULL && input == 0;

    if (!is_switch && !is_shown (p, &n_tuned, &n_chosen))
      continue;
    g_string_append_printf (s, ", \"%s\": ", p->name);
    if (is_switch)
      g_string_append (s, "{ \"@attn\": true, \"*\": false }");
    else if (p->flags & EVO_PARAM_REQUIRED)
      add_required (s, p, input_name);
    else if (p->type == EVO_TYPE_CHOICE)
      add_text (s, p->names[(guint) p->def]);
    else
      add_number (s, p->type == EVO_TYPE_NUMBERS ? 1.1 : tuned (p, input + n_tuned - 1));
  }
}

/* ------------------------------------------------------------------ nodes */

static guint
count_inputs (const EvoMergeOp *op)
{
  return op->max_inputs == 0 ? MAX (op->min_inputs, 2) : op->max_inputs == 1 ? 1 : MAX (op->min_inputs, 2);
}

static void
add_inputs (GString *s, const EvoMergeOp *op, guint n, guint n_models)
{
  g_string_append_printf (s, ",\n%*s\"in\": [", INDENT, "");
  for (guint i = 0; i < n; i++) {
    g_autoptr (GString) one = g_string_new (NULL);
    const char *name = models[i % n_models].name;

    add_params (one, op->in_params, i, name);
    g_string_append_printf (s, i == 0 ? "" : op->in_params == NULL ? ", " : ",\n%*s", INDENT + 7, "");
    g_string_append_printf (s, one->len == 0 ? "\"%s\"%s" : "{ \"from\": \"%s\"%s }", name, one->str);
  }
  g_string_append_c (s, ']');
}

char *
evo_inspect_example (const EvoRegistered *e)
{
  const EvoMergeOp *op = (const EvoMergeOp *) e->op;
  gboolean has_base = (op->flags & EVO_MERGE_NEEDS_BASE) != 0, is_lora = op->host == EVO_HOST_LORA;
  guint n = is_lora ? 0 : count_inputs (op), n_models = has_base ? 2 : 3;
  g_autoptr (GString) s = g_string_new ("{\n  \"evopipe\": 1,\n  \"nodes\": {\n");

  for (guint i = 0; i < G_N_ELEMENTS (models); i++)
    if (i < MIN (n, n_models) || (has_base && i == 2))
      g_string_append_printf (s, "    \"%s\": { \"use\": \"model.llm\", \"path\": \"%s\" },\n", models[i].name, models[i].path);
  g_string_append_printf (s, "    \"merged\": { \"use\": \"%s\"%s", e->name, has_base ? ", \"base\": \"base\"" : "");
  add_params (s, op->params, 0, NULL);
  if (n > 0)
    add_inputs (s, op, n, n_models);
  g_string_append (s, " }\n  },\n  \"save\": { \"merged\": \"merged\" }\n}");
  return g_string_free (g_steal_pointer (&s), FALSE);
}
