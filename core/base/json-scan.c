/* SPDX-License-Identifier: Apache-2.0
 * json-scan.c - JSON text becomes a tree of values in one pass, without recursion.
 *
 * Values are pushed on a stack; where a container closes, its children leave the stack for a block of their own. Objects note their keys in
 * a hash table as they come, so that a second use of a key is found where it stands; the table stays with the object.
 */
#include <string.h>

#include "core/base/json-token.h"
#include "core/base/json-tree.h"

typedef struct {
  gsize at;          /* the container's place on the stack; its children follow */
  guint32 *slots;    /* child's index + 1, 0: free; NULL: few members yet */
  gsize n_slots;
} Frame;

typedef struct {
  EvoJsonCursor c;
  EvoJsonDoc *doc;
  EvoJson *stack;
  gsize n, n_stack, n_values;
  const char *key;   /* of the next value, NULL: none */
  Frame frames[EVO_JSON_MAX_DEPTH];
  guint depth;
} Scan;

/* ------------------------------------------------------------------ keys */

gsize
evo_json_n_slots (gsize n)
{
  gsize slots = 16;

  while (slots * 2 < n * 3)
    slots *= 2;
  return slots;
}

/* A seed of the process: nobody can write a file whose keys all fall into one slot. It decides nothing that can be seen. */
static guint64
hash_seed (void)
{
  static gsize seed = 0;

  if (g_once_init_enter (&seed))
    g_once_init_leave (&seed, ((gsize) g_random_int () << 32 | g_random_int ()) | 1);
  return seed;
}

guint64
evo_json_hash (const char *key)
{
  guint64 seed = hash_seed (), h = seed, word;
  gsize n = strlen (key);

  for (gsize i = 0; i < n; i += 8) {
    __uint128_t product;

    word = 0;
    memcpy (&word, key + i, MIN (n - i, 8));
    product = (__uint128_t) (h ^ word) * (G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) ^ seed << 1);
    h = (guint64) product ^ (guint64) (product >> 64) ^ (n - i);
  }
  return h ^ h >> 32;
}

static guint32 *
find_slot (const Frame *f, const EvoJson *items, const char *key)
{
  gsize i = evo_json_hash (key) & (f->n_slots - 1);

  while (f->slots[i] != 0 && strcmp (items[f->slots[i] - 1].key, key) != 0)
    i = (i + 1) & (f->n_slots - 1);
  return &f->slots[i];
}

/* Twice the room for n members and one more. */
static void
grow_slots (Frame *f, const EvoJson *items, gsize n)
{
  gsize wanted = evo_json_n_slots (n + 1);

  if (f->slots != NULL && wanted <= f->n_slots)
    return;
  g_free (f->slots);
  f->n_slots = wanted;
  f->slots = g_new0 (guint32, wanted);
  for (gsize i = 0; i < n; i++)
    *find_slot (f, items, items[i].key) = (guint32) i + 1;
}

/* The member of the open object that has this key already, or NULL; if NULL the key is noted. */
static const EvoJson *
note_key (Scan *s, Frame *f, const char *key)
{
  const EvoJson *items = s->stack + f->at + 1;
  gsize n = s->n - f->at - 1;
  guint32 *slot;

  if (n < EVO_JSON_SMALL) {
    for (gsize i = 0; i < n; i++)
      if (strcmp (items[i].key, key) == 0)
        return &items[i];
    return NULL;
  }
  grow_slots (f, items, n);
  slot = find_slot (f, items, key);
  if (*slot != 0)
    return &items[*slot - 1];
  *slot = (guint32) n + 1;
  return NULL;
}

/* ------------------------------------------------------------------ values */

static EvoJson *
push (Scan *s, EvoJsonKind kind)
{
  EvoJson *v;

  if (s->n == s->n_stack) {
    s->n_stack = s->n_stack == 0 ? 64 : s->n_stack * 2;
    s->stack = g_renew (EvoJson, s->stack, s->n_stack);
  }
  s->n_values++;
  v = &s->stack[s->n++];
  *v = (EvoJson){ .kind = (guint8) kind, .key = s->key, .line = s->c.line, .column = evo_json_cursor_column (&s->c, s->c.p) };
  s->key = NULL;
  return v;
}

static void
adopt (EvoJson *v)
{
  if (v->kind != EVO_JSON_ARRAY && v->kind != EVO_JSON_OBJECT)
    return;
  for (gsize i = 0; i < v->n; i++)
    v->u.items[i].parent = v;
}

/* Moves the children of the innermost container to their own block, and its hash table behind them. */
static void
close_container (Scan *s)
{
  Frame *f = &s->frames[--s->depth];
  gsize n = s->n - f->at - 1, n_bytes = n * sizeof (EvoJson), n_table = 0;
  EvoJson *v = &s->stack[f->at], *items = NULL;

  if (v->kind == EVO_JSON_OBJECT && n > EVO_JSON_SMALL)
    n_table = f->n_slots * sizeof (guint32);
  if (n > 0) {
    items = evo_json_alloc (s->doc, n_bytes + n_table);
    memcpy (items, v + 1, n_bytes);
    for (gsize i = 0; i < n; i++)
      adopt (&items[i]);
  }
  if (n_table > 0)
    memcpy ((char *) items + n_bytes, f->slots, n_table);
  v->u.items = items;
  v->n = (guint32) n;
  s->n = f->at + 1;
  g_clear_pointer (&f->slots, g_free);
  s->c.p++;
}

static gboolean
open_container (Scan *s, EvoJsonKind kind)
{
  if (s->depth == EVO_JSON_MAX_DEPTH)
    return evo_json_fail (&s->c, s->c.p, "brackets are nested more than %d deep", EVO_JSON_MAX_DEPTH);
  push (s, kind);
  s->frames[s->depth++] = (Frame){ .at = s->n - 1 };
  s->c.p++;
  return TRUE;
}

static gboolean
read_word (Scan *s, const char *word, EvoJsonKind kind)
{
  gsize n = strlen (word);

  if (strncmp (s->c.p, word, n) != 0 || g_ascii_isalnum (s->c.p[n]) || s->c.p[n] == '_')
    return evo_json_expected (&s->c, "a value");
  push (s, kind)->truth = word[0] == 't';
  s->c.p += n;
  return TRUE;
}

static gboolean
read_scalar (Scan *s)
{
  EvoJson *v;
  const char *text;
  gsize n = 0;

  if (*s->c.p == '"') {
    v = push (s, EVO_JSON_STRING);
    s->c.p++;
    text = evo_json_read_string (&s->c);
    if (text == NULL)
      return FALSE;
  } else {
    v = push (s, EVO_JSON_NUMBER);
    text = s->c.p;
    n = evo_json_read_number (&s->c);
    if (n == 0)
      return FALSE;
  }
  v->u.text = text;
  v->n = (guint32) n;
  return TRUE;
}

static gboolean
read_value (Scan *s, const char *expected)
{
  if (s->n_values >= EVO_JSON_MAX_VALUES)
    return evo_json_fail (&s->c, s->c.p, "more than %d values", EVO_JSON_MAX_VALUES);
  switch (*s->c.p) {
  case '{':
    return open_container (s, EVO_JSON_OBJECT);
  case '[':
    return open_container (s, EVO_JSON_ARRAY);
  case 't':
    return read_word (s, "true", EVO_JSON_BOOL);
  case 'f':
    return read_word (s, "false", EVO_JSON_BOOL);
  case 'n':
    return read_word (s, "null", EVO_JSON_NULL);
  case '"': case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
    return read_scalar (s);
  default:
    return evo_json_expected (&s->c, expected);
  }
}

static gboolean
read_key (Scan *s, Frame *f, gboolean after_comma)
{
  EvoJsonCursor at;
  const EvoJson *first;
  const char *key;

  if (*s->c.p != '"')
    return evo_json_expected (&s->c, after_comma ? "a key in quotes" : "a key in quotes or }");
  at = s->c;
  s->c.p++;
  key = evo_json_read_string (&s->c);
  if (key == NULL)
    return FALSE;
  first = note_key (s, f, key);
  if (first != NULL) {
    g_autofree char *quoted = evo_json_quoted (key);

    return evo_json_fail (&at, at.p, "the key %s stands in line %u already", quoted, first->line);
  }
  evo_json_skip_space (&s->c);
  if (*s->c.p != ':')
    return evo_json_expected (&s->c, "a colon");
  s->c.p++;
  evo_json_skip_space (&s->c);
  s->key = key;
  return TRUE;
}

/* One step inside the innermost container: closes it, or reads its next member or element. */
static gboolean
step (Scan *s)
{
  Frame *f = &s->frames[s->depth - 1];
  gboolean object = s->stack[f->at].kind == EVO_JSON_OBJECT, first = s->n == f->at + 1;
  char close = object ? '}' : ']';

  if (*s->c.p == close) {
    close_container (s);
    return TRUE;
  }
  if (!first) {
    if (*s->c.p != ',')
      return evo_json_expected (&s->c, object ? "a comma or }" : "a comma or ]");
    s->c.p++;
    evo_json_skip_space (&s->c);
  }
  if (object && !read_key (s, f, !first))
    return FALSE;
  return read_value (s, object || !first ? "a value" : "a value or ]");
}

static gboolean
read_text (Scan *s)
{
  if (strncmp (s->c.p, "\xef\xbb\xbf", 3) == 0)
    return evo_json_fail (&s->c, s->c.p, "the text starts with a byte order mark; save it as UTF-8 without one");
  evo_json_skip_space (&s->c);
  if (!read_value (s, "a value"))
    return FALSE;
  while (s->depth > 0) {
    evo_json_skip_space (&s->c);
    if (!step (s))
      return FALSE;
  }
  evo_json_skip_space (&s->c);
  return s->c.p == s->c.end || evo_json_expected (&s->c, "the end of the text");
}

gboolean
evo_json_scan (EvoJsonDoc *doc, gsize n, GQuark domain, gint code, GError **error)
{
  Scan s = { .doc = doc };
  gboolean ok;

  s.c = (EvoJsonCursor){ .p = doc->text, .end = doc->text + n, .line_start = doc->text, .line = 1, .name = doc->name,
                         .domain = domain, .code = code, .error = error };
  ok = read_text (&s);
  if (ok) {
    doc->root = s.stack[0];
    adopt (&doc->root);
  }
  for (guint i = 0; i < s.depth; i++)
    g_free (s.frames[i].slots);
  g_free (s.stack);
  return ok;
}
