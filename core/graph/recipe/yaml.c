/* SPDX-License-Identifier: Apache-2.0
 * yaml.c - libyaml's events as a tree with lines, bounded in size, depth and what aliases may make of it.
 */
#include "core/graph/recipe/yaml.h"

#include <string.h>
#include <yaml.h>

#include "core/base/error.h"
#include "core/base/json.h"

typedef struct { EvoYaml *node; char *anchor; EvoYaml *key; } Open; /* a container that is being filled; key: waits for its value */
typedef struct { EvoYamlDoc *doc; GArray *stack; GHashTable *anchors; guint64 spliced; guint line; } Reader; /* line: of the event */

static void
node_free (gpointer data)
{
  EvoYaml *v = data;

  g_free (v->text);
  g_clear_pointer (&v->keys, g_ptr_array_unref);
  g_clear_pointer (&v->items, g_ptr_array_unref);
  g_free (v);
}

static gboolean
fail (const Reader *r, guint line, GError **error, const char *what)
{
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "%s:%u: %s", r->doc->name, line, what);
}

static guint
line_of (const yaml_mark_t *mark)
{
  return (guint) MIN (mark->line, G_MAXINT) + 1;
}

static EvoYaml *
new_node (Reader *r, EvoYamlKind kind, const yaml_event_t *event)
{
  EvoYaml *v = g_new0 (EvoYaml, 1);

  v->kind = kind;
  v->line = line_of (&event->start_mark);
  v->weight = 1;
  if (kind != EVO_YAML_TEXT)
    v->items = g_ptr_array_new ();
  if (kind == EVO_YAML_MAP)
    v->keys = g_ptr_array_new ();
  g_ptr_array_add (r->doc->nodes, v);
  return v;
}

/* ------------------------------------------------------------------ a node takes its place */

static const EvoYaml *
find (const EvoYaml *map, const char *key)
{
  for (guint i = 0; i < map->keys->len; i++)
    if (strcmp (((const EvoYaml *) map->keys->pdata[i])->text, key) == 0)
      return map->items->pdata[i];
  return NULL;
}

static gboolean
add_key (Reader *r, Open *top, EvoYaml *key, GError **error)
{
  if (key->kind != EVO_YAML_TEXT)
    return fail (r, key->line, error, "a key must be a text; is a colon or a dash missing?");
  if (find (top->node, key->text) != NULL) {
    g_autofree char *quoted = evo_json_quoted (key->text), *what = g_strdup_printf ("%s stands twice; YAML would take the last", quoted);

    return fail (r, key->line, error, what);
  }
  if (top->node->keys->len >= EVO_YAML_KEYS)
    return fail (r, key->line, error, "a map has more than 1000 keys; no recipe needs that");
  top->key = key;
  return TRUE;
}

static gboolean
add (Reader *r, EvoYaml *v, GError **error)
{
  Open *top = r->stack->len == 0 ? NULL : &g_array_index (r->stack, Open, r->stack->len - 1);

  if (top == NULL) {
    g_ptr_array_add (r->doc->roots, v);
    return TRUE;
  }
  if (top->node->kind == EVO_YAML_MAP && top->key == NULL)
    return add_key (r, top, v, error);
  if (top->node->kind == EVO_YAML_MAP)
    g_ptr_array_add (top->node->keys, g_steal_pointer (&top->key));
  g_ptr_array_add (top->node->items, v);
  top->node->weight += v->weight;
  top->node->has_anchor |= v->has_anchor;
  return top->node->weight <= EVO_YAML_NODES || fail (r, r->line, error, "has more than 200000 values, aliases written out; no recipe needs that");
}

/* ------------------------------------------------------------------ << */

static gboolean
splice (Reader *r, EvoYaml *map, const EvoYaml *from, GError **error)
{
  if (from->kind != EVO_YAML_MAP)
    return fail (r, from->line, error, "\"<<\" needs the alias of a map, as <<: *defaults");
  r->spliced += from->keys->len;
  if (r->spliced > EVO_YAML_NODES || map->keys->len + from->keys->len > EVO_YAML_KEYS)
    return fail (r, from->line, error, "\"<<\" brings in too many keys; no recipe needs that");
  for (guint i = 0; i < from->keys->len; i++) {
    EvoYaml *key = from->keys->pdata[i];

    if (find (map, key->text) != NULL)
      continue;
    g_ptr_array_add (map->keys, key);
    g_ptr_array_add (map->items, from->items->pdata[i]);
    map->weight += ((const EvoYaml *) from->items->pdata[i])->weight;
  }
  return TRUE;
}

static gboolean
fill_in (Reader *r, EvoYaml *map, GError **error)
{
  const EvoYaml *from = find (map, "<<");

  if (from == NULL)
    return TRUE;
  for (guint i = 0; i < map->keys->len; i++)
    if (map->items->pdata[i] == from && strcmp (((const EvoYaml *) map->keys->pdata[i])->text, "<<") == 0) {
      g_ptr_array_remove_index (map->keys, i);
      g_ptr_array_remove_index (map->items, i);
      break;
    }
  for (guint i = 0; from->kind == EVO_YAML_LIST && i < from->items->len; i++)
    if (!splice (r, map, from->items->pdata[i], error))
      return FALSE;
  return from->kind == EVO_YAML_LIST || splice (r, map, from, error);
}

/* ------------------------------------------------------------------ events */

static gboolean
refuse_tag (const Reader *r, const yaml_event_t *e, const yaml_char_t *tag, GError **error)
{
  return tag == NULL || fail (r, line_of (&e->start_mark), error, "tags (!...) are not for recipes; leave it out");
}

static gboolean
take_text (Reader *r, const yaml_event_t *e, GError **error)
{
  const char *text = (const char *) e->data.scalar.value;
  EvoYaml *v;

  if (!refuse_tag (r, e, e->data.scalar.tag, error))
    return FALSE;
  if (strlen (text) != e->data.scalar.length)
    return fail (r, line_of (&e->start_mark), error, "a text has a NUL character in it; leave it out");
  v = new_node (r, EVO_YAML_TEXT, e);
  v->text = g_strdup (text);
  v->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (e->data.scalar.anchor != NULL) {
    v->has_anchor = TRUE;
    g_hash_table_insert (r->anchors, g_strdup ((const char *) e->data.scalar.anchor), v);
  }
  return add (r, v, error);
}

static gboolean
take_alias (Reader *r, const yaml_event_t *e, GError **error)
{
  EvoYaml *v = g_hash_table_lookup (r->anchors, e->data.alias.anchor);
  g_autofree char *quoted = NULL, *what = NULL;

  if (v != NULL)
    return add (r, v, error);
  quoted = evo_json_quoted ((const char *) e->data.alias.anchor);
  what = g_strdup_printf ("the alias %s has no anchor that ends before it; anchors are written &name", quoted);
  return fail (r, line_of (&e->start_mark), error, what);
}

static gboolean
begin (Reader *r, EvoYamlKind kind, const yaml_event_t *e, const yaml_char_t *anchor, const yaml_char_t *tag, GError **error)
{
  Open open = { .anchor = g_strdup ((const char *) anchor) };

  open.node = new_node (r, kind, e);
  g_array_append_val (r->stack, open);
  return refuse_tag (r, e, tag, error) &&
         (r->stack->len <= EVO_YAML_DEPTH || fail (r, open.node->line, error, "lists and maps are nested more than 32 deep"));
}

static gboolean
end (Reader *r, GError **error)
{
  Open top = g_array_index (r->stack, Open, r->stack->len - 1);

  if (!(top.node->kind != EVO_YAML_MAP || fill_in (r, top.node, error)))
    return FALSE;
  g_array_set_size (r->stack, r->stack->len - 1);
  if (top.anchor != NULL) {
    top.node->has_anchor = TRUE;
    g_hash_table_insert (r->anchors, top.anchor, top.node);
  }
  return add (r, top.node, error);
}

static gboolean
take (Reader *r, const yaml_event_t *e, GError **error)
{
  r->line = line_of (&e->start_mark);
  switch (e->type) {
  case YAML_SCALAR_EVENT:
    return take_text (r, e, error);
  case YAML_ALIAS_EVENT:
    return take_alias (r, e, error);
  case YAML_SEQUENCE_START_EVENT:
    return begin (r, EVO_YAML_LIST, e, e->data.sequence_start.anchor, e->data.sequence_start.tag, error);
  case YAML_MAPPING_START_EVENT:
    return begin (r, EVO_YAML_MAP, e, e->data.mapping_start.anchor, e->data.mapping_start.tag, error);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    return end (r, error);
  case YAML_DOCUMENT_START_EVENT:
    g_hash_table_remove_all (r->anchors); /* anchors are a document's own */
    return TRUE;
  default:
    return TRUE;
  }
}

static gboolean
syntax_error (const Reader *r, const yaml_parser_t *parser, GError **error)
{
  gboolean is_tab = parser->problem != NULL && (strstr (parser->problem, "cannot start any token") || strstr (parser->problem, "tab character"));
  guint line = parser->error == YAML_READER_ERROR ? 1 : line_of (&parser->problem_mark);
  g_autofree char *what = g_strdup_printf ("is no YAML: %s%s%s", parser->problem == NULL ? "it cannot be read" : parser->problem,
                                           parser->context == NULL ? "" : " ", parser->context == NULL ? "" : parser->context);

  return fail (r, line, error, is_tab ? "a tab or a reserved character begins a value; indent with spaces, put quotes around the rest" : what);
}

static gboolean
read_events (Reader *r, yaml_parser_t *parser, GError **error)
{
  for (gboolean at_end = FALSE; !at_end;) {
    yaml_event_t event;
    gboolean good;

    if (!yaml_parser_parse (parser, &event))
      return syntax_error (r, parser, error);
    good = take (r, &event, error);
    at_end = event.type == YAML_STREAM_END_EVENT;
    yaml_event_delete (&event);
    if (!good)
      return FALSE;
  }
  return TRUE;
}

static void
clear_open (gpointer data)
{
  g_free (((Open *) data)->anchor);
}

EvoYamlDoc *
evo_yaml_parse (const char *text, gsize n, const char *name, GError **error)
{
  g_autoptr (EvoYamlDoc) doc = g_new0 (EvoYamlDoc, 1);
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (Open));
  g_autoptr (GHashTable) anchors = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  Reader r = { doc, stack, anchors, 0, 1 };
  yaml_parser_t parser;
  gboolean good;

  doc->name = g_strdup (name);
  doc->roots = g_ptr_array_new ();
  doc->nodes = g_ptr_array_new_with_free_func (node_free);
  if (n > EVO_YAML_BYTES) {
    fail (&r, 1, error, "is larger than 1 MB; no recipe is");
    return NULL;
  }
  if (!yaml_parser_initialize (&parser))
    g_error ("no memory for a YAML parser");
  yaml_parser_set_input_string (&parser, (const unsigned char *) text, n);
  good = read_events (&r, &parser, error);
  yaml_parser_delete (&parser);
  for (guint i = 0; i < stack->len; i++)
    clear_open (&g_array_index (stack, Open, i));
  return good ? g_steal_pointer (&doc) : NULL;
}
