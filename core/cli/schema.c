/* SPDX-License-Identifier: Apache-2.0
 * schema.c - evopipe schema: the JSON Schema of pipelines, for editors; made from the plugins' declarations.
 */
#include <math.h>
#include <stdio.h>

#include "core/base/json.h"
#include "core/cli/cli.h"
#include "core/cli/host-keys.h"

static void
add_text (EvoJsonWriter *w, const char *key, const char *value)
{
  evo_json_add_key (w, key);
  evo_json_add_string (w, value);
}

static void
write_reference (EvoJsonWriter *w, const char *definition)
{
  g_autofree char *path = g_strconcat ("#/definitions/", definition, NULL);

  evo_json_begin_object (w);
  add_text (w, "$ref", path);
  evo_json_end_object (w);
}

static void
add_reference (EvoJsonWriter *w, const char *key, const char *definition)
{
  evo_json_add_key (w, key);
  write_reference (w, definition);
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

/* A schema that is written as text. */
static void
add_schema (EvoJsonWriter *w, const char *key, const char *schema)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (schema, -1, key, 0, 0, NULL);

  evo_json_add_key (w, key);
  evo_json_add_value (w, evo_json_root (doc));
}

/* A plain value of a parameter. */
static void
write_scalar (EvoJsonWriter *w, const EvoParam *p)
{
  static const char *const types[] = { [EVO_TYPE_BOOL] = "boolean", [EVO_TYPE_NUMBER] = "number", [EVO_TYPE_INTEGER] = "integer",
                                       [EVO_TYPE_CHOICE] = "string", [EVO_TYPE_STRING] = "string", [EVO_TYPE_FILE] = "string" };

  if (p->type == EVO_TYPE_NUMBERS) {
    add_schema (w, "type", "[\"number\", \"array\"]");
    return;
  }
  if (p->type == EVO_TYPE_STRINGS) {
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
    if (p->type == EVO_TYPE_NUMBER)
      write_reference (w, "gradient");
    write_reference (w, "gene");
    write_reference (w, "selectors");
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

/* Of a layer path two parameters may be searched, each in its own way. */
static void
write_path_table (EvoJsonWriter *w, const EvoParam *table)
{
  for (const EvoParam *p = table; p->name != NULL; p++) {
    if (!g_str_equal (p->name, "path") && !g_str_equal (p->name, "scale")) {
      write_param (w, p, FALSE);
      continue;
    }
    evo_json_add_key (w, p->name);
    evo_json_begin_object (w);
    add_text (w, "description", p->doc);
    evo_json_add_key (w, "anyOf");
    evo_json_begin_array (w);
    evo_json_begin_object (w);
    write_scalar (w, p);
    evo_json_end_object (w);
    write_reference (w, g_str_equal (p->name, "path") ? "pathGene" : "scaleGene");
    evo_json_end_array (w);
    evo_json_end_object (w);
  }
}

/* "evaluator.data", "seed": what the key is called among the definitions (owned). */
static char *
definition_of (const EvoHostKey *k)
{
  for (EvoKind kind = EVO_KIND_MERGE; kind <= EVO_KIND_EVALUATOR; kind++)
    if (k->kinds == 1u << kind)
      return g_strconcat (evo_registry_kind_name (kind), ".", k->name, NULL);
  return g_strdup (k->name);
}

static void
write_host_keys (EvoJsonWriter *w, EvoKind kind)
{
  for (const EvoHostKey *k = evo_host_keys; k->name != NULL; k++) {
    g_autofree char *definition = definition_of (k);

    if (k->schema != NULL && k->kinds >> kind & 1)
      add_reference (w, k->name, definition);
  }
}

/* Its schema with what it is. */
static void
define_host_key (EvoJsonWriter *w, const EvoHostKey *k)
{
  g_autofree char *definition = definition_of (k);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (k->schema, -1, k->name, 0, 0, NULL);

  evo_json_add_key (w, definition);
  evo_json_begin_object (w);
  add_text (w, "description", k->doc);
  for (guint i = 0; i < evo_json_size (evo_json_root (doc)); i++) {
    const EvoJson *v = evo_json_at (evo_json_root (doc), i);

    evo_json_add_key (w, evo_json_key (v));
    evo_json_add_value (w, v);
  }
  evo_json_end_object (w);
}

/* A merge's inputs: names, or objects with the parameters of that input. */
static void
write_inputs (EvoJsonWriter *w, const EvoMergeOp *op)
{
  evo_json_add_key (w, "in");
  evo_json_begin_object (w);
  add_text (w, "description", "The models to be merged.");
  add_text (w, "type", "array");
  evo_json_add_key (w, "minItems");
  evo_json_add_integer (w, op->min_inputs);
  if (op->max_inputs > 0) {
    evo_json_add_key (w, "maxItems");
    evo_json_add_integer (w, op->max_inputs);
  }
  evo_json_add_key (w, "items");
  evo_json_begin_object (w);
  evo_json_add_key (w, "anyOf");
  evo_json_begin_array (w);
  evo_json_begin_object (w);
  add_text (w, "type", "string");
  evo_json_end_object (w);
  evo_json_begin_object (w);
  add_text (w, "type", "object");
  add_schema (w, "required", "[\"from\"]");
  evo_json_add_key (w, "properties");
  evo_json_begin_object (w);
  add_schema (w, "from", "{\"type\": \"string\"}");
  add_reference (w, "note", "note");
  write_table (w, op->in_params, TRUE);
  evo_json_end_object (w);
  evo_json_add_key (w, "additionalProperties");
  evo_json_add_bool (w, FALSE);
  evo_json_end_object (w);
  evo_json_end_array (w);
  evo_json_end_object (w);
  evo_json_end_object (w);
}

/* Merges and evaluators, but for an adapter: its one model is its base. */
static gboolean
needs_in (const EvoRegistered *e)
{
  return e->kind == EVO_KIND_EVALUATOR || (e->kind == EVO_KIND_MERGE && ((const EvoMergeOp *) e->op)->host != EVO_HOST_LORA);
}

static void
write_required (EvoJsonWriter *w, const EvoRegistered *e)
{
  evo_json_add_key (w, "required");
  evo_json_begin_array (w);
  evo_json_add_string (w, "use");
  if (needs_in (e))
    evo_json_add_string (w, "in");
  if (e->kind == EVO_KIND_EVALUATOR && !(((const EvoEvaluatorOp *) e->op)->flags & EVO_EVALUATOR_COST))
    evo_json_add_string (w, "data");
  if (e->kind == EVO_KIND_MERGE && (((const EvoMergeOp *) e->op)->flags & EVO_MERGE_NEEDS_BASE))
    evo_json_add_string (w, "base");
  for (guint i = 0; i < evo_param_count (e->op->params); i++)
    if (e->op->params[i].flags & EVO_PARAM_REQUIRED)
      evo_json_add_string (w, e->op->params[i].name);
  evo_json_end_array (w);
}

static void
write_node (EvoJsonWriter *w, const EvoRegistered *e)
{
  evo_json_begin_object (w);
  add_text (w, "title", e->name);
  add_text (w, "description", e->op->summary);
  add_text (w, "type", "object");
  write_required (w, e);
  evo_json_add_key (w, "properties");
  evo_json_begin_object (w);
  evo_json_add_key (w, "use");
  evo_json_begin_object (w);
  add_text (w, "const", e->name);
  evo_json_end_object (w);
  write_host_keys (w, e->kind);
  if (e->kind == EVO_KIND_MERGE && ((const EvoMergeOp *) e->op)->host == EVO_HOST_LAYERS)
    write_path_table (w, e->op->params);
  else
    write_table (w, e->op->params, e->kind == EVO_KIND_MERGE);
  if (e->kind == EVO_KIND_MERGE && needs_in (e)) {
    write_inputs (w, (const EvoMergeOp *) e->op);
    write_table (w, ((const EvoMergeOp *) e->op)->in_params, TRUE);
  }
  evo_json_end_object (w);
  evo_json_add_key (w, "additionalProperties");
  evo_json_add_bool (w, FALSE);
  evo_json_end_object (w);
}

/* What a merge parameter may be beside a plain value. */
static const struct { const char *name, *schema; } definitions[] = {
  { "gradient", "{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"number\"}, "
                "\"description\": \"Interpolated over the layers.\"}" },
  { "gene", "{\"type\": \"object\", \"description\": \"What a search varies.\", \"properties\": {"
            "\"evolve\": {\"anyOf\": [{\"const\": true}, {\"type\": \"array\", \"minItems\": 2, \"maxItems\": 2, \"items\": {\"type\": \"number\"}}], "
            "\"description\": \"[low, high], or true: the parameter's own range.\"}, "
            "\"choice\": {\"type\": \"array\", \"minItems\": 2, \"description\": \"One of these.\"}, "
            "\"start\": {\"description\": \"Where the search begins.\"}, "
            "\"sigma\": {\"type\": \"number\", \"exclusiveMinimum\": 0, \"description\": \"First step, as a share of the range.\"}, "
            "\"log\": {\"type\": \"boolean\"}, \"int\": {\"type\": \"boolean\"}, "
            "\"per\": {\"type\": [\"string\", \"array\"], \"description\": \"model, layer, group:N, control:N, or a list of selectors.\"}, "
            "\"name\": {\"type\": \"string\", \"description\": \"Genes of one name are one gene.\"}, "
            "\"simplex\": {\"type\": \"string\", \"description\": \"Genes of one simplex are divided by their sum.\"}, "
            "\"total\": {\"type\": \"number\", \"exclusiveMinimum\": 0}, \"note\": {\"type\": \"string\"}}, "
            "\"anyOf\": [{\"required\": [\"evolve\"]}, {\"required\": [\"choice\"]}], \"additionalProperties\": false}" },
  { "pathGene", "{\"type\": \"object\", \"description\": \"A path that is searched.\", \"required\": [\"evolve\"], \"properties\": {"
                "\"evolve\": {\"const\": \"path\"}, \"encoding\": {\"enum\": [\"indicator\", \"slots\", \"window\"]}, "
                "\"start\": {\"type\": \"number\", \"description\": \"indicator: where all but the first pass through the first model begin.\"}, "
                "\"sigma\": {\"type\": \"number\", \"exclusiveMinimum\": 0}, "
                "\"hops\": {\"type\": \"integer\", \"minimum\": 1, \"description\": \"window: how many; not given: as many as the first model has layers.\"}, "
                "\"step\": {\"type\": \"integer\", \"minimum\": 1, \"description\": \"window: how far from the next layer a hop may be.\"}, "
                "\"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}" },
  { "scaleGene", "{\"type\": \"object\", \"description\": \"Scales that are searched.\", \"required\": [\"evolve\"], \"properties\": {"
                 "\"evolve\": {\"anyOf\": [{\"const\": true}, {\"type\": \"array\", \"minItems\": 2, \"maxItems\": 2, \"items\": {\"type\": \"number\"}}], "
                 "\"description\": \"[low, high], or true: without bounds.\"}, \"shape\": {\"enum\": [\"hop\", \"matrix\", \"network\"]}, "
                 "\"start\": {\"type\": \"number\"}, \"sigma\": {\"type\": \"number\", \"exclusiveMinimum\": 0}, "
                 "\"hidden\": {\"type\": \"integer\", \"minimum\": 1, \"description\": \"network: units of its hidden layer.\"}, "
                 "\"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}" },
  { "selectors", "{\"type\": \"object\", \"minProperties\": 1, \"not\": {\"anyOf\": [{\"required\": [\"evolve\"]}, {\"required\": [\"choice\"]}]}, "
                 "\"description\": \"Values by tensor: globs over names, or @embed @head @norm @attn @mlp @layers:0-7; the first that matches.\"}" },
  { "save", "{\"type\": \"object\", \"additionalProperties\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": [\"path\"], "
            "\"properties\": {\"path\": {\"type\": \"string\"}, \"dtype\": {\"$ref\": \"#/definitions/dtype\"}, \"shard_size\": {\"type\": [\"string\", \"integer\"]}, "
            "\"layout\": {\"enum\": [\"plain\", \"shared\"]}, "
            "\"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}]}, \"description\": \"Nodes whose models are kept, and where.\"}" },
};

static void
write_definitions (EvoJsonWriter *w)
{
  evo_json_add_key (w, "definitions");
  evo_json_begin_object (w);
  for (guint i = 0; i < G_N_ELEMENTS (definitions); i++)
    add_schema (w, definitions[i].name, definitions[i].schema);
  for (const EvoHostKey *k = evo_host_keys; k->name != NULL; k++)
    if (k->schema != NULL)
      define_host_key (w, k);
  evo_json_end_object (w);
}

static void
write_schema (EvoJsonWriter *w, const EvoRegistry *r)
{
  evo_json_begin_object (w);
  add_text (w, "$schema", "http://json-schema.org/draft-07/schema#");
  add_text (w, "title", "evopipe pipeline");
  add_text (w, "type", "object");
  add_schema (w, "required", "[\"evopipe\", \"nodes\"]");
  evo_json_add_key (w, "properties");
  evo_json_begin_object (w);
  evo_json_add_key (w, "evopipe");
  evo_json_begin_object (w);
  evo_json_add_key (w, "const");
  evo_json_add_integer (w, 1);
  evo_json_end_object (w);
  add_schema (w, "title", "{\"type\": \"string\", \"minLength\": 1}");
  add_reference (w, "seed", "seed");
  add_reference (w, "note", "note");
  add_reference (w, "compat", "merge.compat");
  add_reference (w, "save", "save");
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
  evo_json_add_key (w, "additionalProperties");
  evo_json_add_bool (w, FALSE);
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

const EvoCommand evo_command_schema = { "schema", "", "prints the JSON Schema of pipelines, for editors", schema_command };
