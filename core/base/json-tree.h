/* SPDX-License-Identifier: Apache-2.0
 * json-tree.h - how a parsed document lies in memory (private to json*.c).
 *
 * The document keeps one copy of the text. Strings are unescaped where they stand and end with a NUL over their closing quote; numbers stay
 * as they are spelt. The children of a container are one block, so that an index is an address; objects with many members have a hash
 * table behind the block. 40 bytes a value: the header of a large model has a million of them.
 */
#ifndef EVO_BASE_JSON_TREE_H
#define EVO_BASE_JSON_TREE_H

#include "core/base/json.h"

enum {
  EVO_JSON_MAX_DEPTH = 64,
  EVO_JSON_SMALL = 8,             /* objects up to this size are searched from first to last */
  EVO_JSON_MAX_VALUES = 1 << 25,  /* a text of commas and zeros must not fill the memory: 1.3 GB */
  EVO_JSON_MAX_BYTES = 1 << 30
};

struct EvoJson {
  const EvoJson *parent;   /* NULL: the root, which is the first member of its document */
  const char *key;         /* NULL: not a member */
  union {
    const char *text;      /* STRING: NUL-terminated; NUMBER: n bytes as spelt */
    EvoJson *items;        /* [n] ARRAY, OBJECT */
  } u;
  guint32 n;
  guint32 line, column;    /* of the first character, from 1; columns count characters */
  guint8 kind, truth;
};

struct EvoJsonDoc {
  EvoJson root;
  char *name, *text;
  GPtrArray *blocks;       /* with g_free */
  char *room;              /* what is left of the last block */
  gsize n_room;
  GMutex lock;             /* of pointers: documents are read by several threads */
  GHashTable *pointers;    /* EvoJson -> its JSON pointer, made when asked for */
};

/* --- json.c */
gpointer evo_json_alloc (EvoJsonDoc *doc, gsize n_bytes);

/* --- json-scan.c */
/* Slots of the hash table of an object of n members: a power of two, at most two thirds full. */
gsize evo_json_n_slots (gsize n);
guint64 evo_json_hash (const char *key);
/* Builds doc->root from doc->text, n bytes and a NUL, which are changed on the way. */
gboolean evo_json_scan (EvoJsonDoc *doc, gsize n, GQuark domain, gint code, GError **error);

/* --- json-token.c */
double evo_json_parse_number (const char *text, gsize n);
/* Length of the well-formed UTF-8 character at p; else FALSE and the length of what one U+FFFD stands for (Unicode 15, table 3-7). */
gboolean evo_json_utf8 (const char *p, const char *end, gsize *length);

#endif
