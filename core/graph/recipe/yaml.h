/* SPDX-License-Identifier: Apache-2.0
 * yaml.h - YAML as a small tree: texts, lists and maps, each with its line.
 *
 * An alias is the node that its anchor names, so the tree is one of shared parts: without cycles, at most EVO_YAML_DEPTH deep, and at most
 * EVO_YAML_NODES nodes when written out. Keys are texts; a key stands once in a map; "<<" is filled in. Tags are refused.
 */
#ifndef EVO_GRAPH_RECIPE_YAML_H
#define EVO_GRAPH_RECIPE_YAML_H

#include <glib.h>

enum { EVO_YAML_DEPTH = 32, EVO_YAML_NODES = 200000, EVO_YAML_KEYS = 1000, EVO_YAML_BYTES = 1 << 20 };

typedef enum { EVO_YAML_TEXT, EVO_YAML_LIST, EVO_YAML_MAP } EvoYamlKind;
typedef struct EvoYaml EvoYaml;
struct EvoYaml {
  EvoYamlKind kind;
  guint line;               /* 1-based */
  gboolean plain;           /* TEXT: without quotes, so that it may be a number, true or null */
  gboolean has_anchor;      /* itself or something in it */
  char *text;               /* TEXT */
  GPtrArray *keys, *items;  /* MAP: EvoYaml *, one key an item; LIST: items */
  guint64 weight;           /* nodes when written out */
};
typedef struct { char *name; GPtrArray *roots; GPtrArray *nodes; } EvoYamlDoc; /* roots: one a document, none empty; nodes owns all */

/* --- yaml.c; without the library none.c, which refuses */
EvoYamlDoc *evo_yaml_parse (const char *text, gsize n, const char *name, GError **error); /* EVO_GRAPH_ERROR_SYNTAX, "name:line: ..." */
/* --- text.c */
void evo_yaml_free (EvoYamlDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoYamlDoc, evo_yaml_free)

const EvoYaml *evo_yaml_member (const EvoYaml *map, const char *key); /* NULL: not a map, no such key, or null (empty, ~) */
const char *evo_yaml_text (const EvoYaml *v);                         /* NULL: not a text */
const char *evo_yaml_kind_name (const EvoYaml *v);                    /* "a list" */
/* A finite decimal number, quoted or not ("1e-4" too, which YAML 1.1 itself takes for a text); true and false are 1 and 0. */
gboolean evo_yaml_number (const EvoYaml *v, double *out);
gboolean evo_yaml_flag (const EvoYaml *v, gboolean *out);             /* true, yes, on ...; a number: not zero */

#endif
