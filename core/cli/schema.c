/* SPDX-License-Identifier: Apache-2.0
 * schema.c - evopipe schema: the JSON Schema of pipelines, for editors; made from the plugins' declarations.
 */
#include <math.h>
#include <stdio.h>

#include "core/base/json.h"
#include "core/cli/cli.h"

static void
add_text (EvoJsonWriter *w, const char *key, const char *value)
{
  evo_json_add_key (w, key);
  evo_json_add_string (w, value);
}

static void
add_reference (EvoJsonWriter *w, const char *key, const char *definition)
{
  g_autofree char *path = g_strconcat ("#/definitions/", definition, NULL);

  evo_json_add_key (w, key);
  evo_json_begin_object (w);
  add_text (w, "$ref", path);
  evo_json_end_object (w);
}

static void
write_names (EvoJsonWriter *w, const char *const *names)
{
  evo_json_add_key (w, "enum");
  evo_json_begin_array (w);
  for (guint i = 0; names[i] != NULL; i++)
    evo_json_add_string (w, names[i]);
  evo_json_end_array (w);
}

/* A plain value of a parameter. */
static void
write_scalar (EvoJsonWriter *w, const EvoParam *p)
{
  static const char *const types[] = { [EVO_TYPE_BOOL] = "boolean", [EVO_TYPE_NUMBER] = "number", [EVO_TYPE_INTEGER] = "integer",
                                       [EVO_TYPE_CHOICE] = "string", [EVO_TYPE_STRING] = "string", [EVO_TYPE_FILE] = "string" };

  if (p->type == EVO_TYPE_STRINGS || p->type == EVO_TYPE_NUMBERS) {
    add_text (w, "type", "array");
    return;
  }
  add_text (w, "type", types[p->type]);
  if (p->type == EVO_TYPE_CHOICE)
    write_names (w, p->names);
  if (p->type != EVO_TYPE_NUMBER && p->type != EVO_TYPE_INTEGER)
    return;
  if (isfinite (p->min)) {
    evo_json_add_key (w, "minimum");
    evo_json_add_number (w, p->min);
  }
  if (isfinite (p->max)) {
    evo_json_add_key (w, "maximum");
    evo_json_add_number (w, p->max);
  }
}

/* Merge parameters may be gradients, selectors and genes too. */
static void
write_param (EvoJsonWriter *w, const EvoParam *p, gboolean varies)
{
  evo_json_add_key (w, p->name);
  evo_json_begin_object (w);
  add_text (w, "description", p->doc);
  if (!varies || !evo_param_is_numeric (p)) {
    write_scalar (w, p);
  } else {
    evo_json_add_key (w, "anyOf");
    evo_json_begin_array (w);
    evo_json_begin_object (w);
    write_scalar (w, p);
    evo_json_end_object (w);
    evo_json_begin_object (w);
    add_text (w, "type", "array");
    evo_json_end_object (w);
    evo_json_begin_object (w);
    add_text (w, "type", "object");
    evo_json_end_object (w);
    evo_json_end_array (w);
  }
  evo_json_end_object (w);
}

static void
write_table (EvoJsonWriter *w, const EvoParam *table, gboolean varies)
{
  for (guint i = 0; i < evo_param_count (table); i++)
    write_param (w, &table[i], varies);
}

static void
write_host_keys (EvoJsonWriter *w, EvoKind kind)
{
  static const char *const keys[][16] = {
    [EVO_KIND_MERGE] = { "base", "in", "masks", "dtype" },
    [EVO_KIND_MODEL] = { "dtype" },
    [EVO_KIND_OPTIMIZER] = { "maximize", "minimize", "trials", "minutes", "stall", "start_from", "sample", "validate" },
    [EVO_KIND_EVALUATOR] = { "in", "data", "format", "columns", "template", "shuffle", "sample", "limit", "language_test", "against" },
  };

  for (guint i = 0; keys[kind][i] != NULL; i++)
    add_reference (w, keys[kind][i], keys[kind][i]);
  add_reference (w, "note", "note");
  add_reference (w, "seed", "seed");
}

static void
write_node (EvoJsonWriter *w, const EvoRegistered *e)
{
  evo_json_begin_object (w);
  add_text (w, "title", e->name);
  add_text (w, "description", e->op->summary);
  add_text (w, "type", "object");
  evo_json_add_key (w, "required");
  evo_json_begin_array (w);
  evo_json_add_string (w, "use");
  evo_json_end_array (w);
  evo_json_add_key (w, "properties");
  evo_json_begin_object (w);
  evo_json_add_key (w, "use");
  evo_json_begin_object (w);
  add_text (w, "const", e->name);
  evo_json_end_object (w);
  write_host_keys (w, e->kind);
  write_table (w, e->op->params, e->kind == EVO_KIND_MERGE);
  if (e->kind == EVO_KIND_MERGE)
    write_table (w, ((const EvoMergeOp *) e->op)->in_params, TRUE);
  evo_json_end_object (w);
  evo_json_add_key (w, "additionalProperties");
  evo_json_add_bool (w, FALSE);
  evo_json_end_object (w);
}

/* What the host's own keys may be; short forms for editors, the last word has `evopipe check`. */
static const struct { const char *name, *schema; } definitions[] = {
  { "note", "{\"type\": \"string\", \"description\": \"Text for people; nothing reads it.\"}" },
  { "seed", "{\"type\": \"integer\", \"minimum\": 0}" },
  { "dtype", "{\"enum\": [\"bf16\", \"f16\", \"f32\", \"bfloat16\", \"float16\", \"float32\"]}" },
  { "base", "{\"type\": [\"string\", \"object\"], \"description\": \"The base model's node.\"}" },
  { "in", "{\"type\": [\"array\", \"string\"], \"items\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": [\"from\"]}]}}" },
  { "masks", "{\"anyOf\": [{\"enum\": [\"common\", \"trial\"]}, {\"type\": \"object\", \"required\": [\"trial\"]}]}" },
  { "maximize", "{\"type\": [\"array\", \"string\", \"object\"]}" },
  { "minimize", "{\"type\": [\"array\", \"string\", \"object\"]}" },
  { "trials", "{\"type\": \"integer\", \"minimum\": 1}" },
  { "minutes", "{\"type\": \"number\", \"exclusiveMinimum\": 0}" },
  { "stall", "{\"type\": \"integer\", \"minimum\": 1}" },
  { "start_from", "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}" },
  { "sample", "{\"type\": [\"object\", \"integer\"]}" },
  { "validate", "{\"type\": \"string\"}" },
  { "data", "{\"type\": \"string\"}" },
  { "format", "{\"type\": \"string\"}" },
  { "columns", "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}" },
  { "template", "{\"type\": \"string\"}" },
  { "shuffle", "{\"type\": \"boolean\"}" },
  { "limit", "{\"type\": \"integer\", \"minimum\": 1}" },
  { "language_test", "{\"enum\": [\"fasttext\", \"script\"]}" },
  { "against", "{\"type\": \"string\"}" },
};

static void
write_definitions (EvoJsonWriter *w)
{
  evo_json_add_key (w, "definitions");
  evo_json_begin_object (w);
  for (guint i = 0; i < G_N_ELEMENTS (definitions); i++) {
    g_autoptr (EvoJsonDoc) doc = evo_json_parse (definitions[i].schema, -1, definitions[i].name, 0, 0, NULL);

    evo_json_add_key (w, definitions[i].name);
    evo_json_add_value (w, evo_json_root (doc));
  }
  evo_json_end_object (w);
}

static void
write_schema (EvoJsonWriter *w, const EvoRegistry *r)
{
  evo_json_begin_object (w);
  add_text (w, "$schema", "http://json-schema.org/draft-07/schema#");
  add_text (w, "title", "evopipe pipeline");
  add_text (w, "type", "object");
  evo_json_add_key (w, "properties");
  evo_json_begin_object (w);
  evo_json_add_key (w, "evopipe");
  evo_json_begin_object (w);
  evo_json_add_key (w, "const");
  evo_json_add_integer (w, 1);
  evo_json_end_object (w);
  add_reference (w, "title", "note");
  add_reference (w, "seed", "seed");
  add_reference (w, "note", "note");
  evo_json_add_key (w, "save");
  evo_json_begin_object (w);
  add_text (w, "type", "object");
  evo_json_end_object (w);
  evo_json_add_key (w, "nodes");
  evo_json_begin_object (w);
  add_text (w, "type", "object");
  evo_json_add_key (w, "additionalProperties");
  evo_json_begin_object (w);
  evo_json_add_key (w, "oneOf");
  evo_json_begin_array (w);
  for (guint i = 0; i < evo_registry_get_n (r); i++)
    write_node (w, evo_registry_get (r, i));
  evo_json_end_array (w);
  evo_json_end_object (w);
  evo_json_end_object (w);
  evo_json_end_object (w);
  write_definitions (w);
  evo_json_end_object (w);
}

static int
schema_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (EvoRegistry) r = NULL;
  EvoJsonWriter w;
  gboolean help;

  if (!evo_cli_parse (&evo_command_schema, NULL, 0, argc, argv, names, &help))
    return 2;
  if (help)
    return 0;
  if (names->len > 0)
    return evo_cli_usage (&evo_command_schema, "takes no arguments");
  r = evo_registry_new ();
  evo_json_writer_init (&w, text, TRUE);
  write_schema (&w, r);
  puts (text->str);
  return 0;
}

const EvoCommand evo_command_schema = { "schema", "", "the JSON Schema of pipelines, for editors", schema_command };
