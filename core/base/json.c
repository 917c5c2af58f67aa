/* SPDX-License-Identifier: Apache-2.0
 * json.c - JSON documents: opening them and looking at their values.
 */
#include "core/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/json-tree.h"

/* ------------------------------------------------------------------ documents */

gpointer
evo_json_alloc (EvoJsonDoc *doc, gsize n_bytes)
{
  enum { BLOCK = 1 << 16 };
  gsize n = (n_bytes + 7) & ~(gsize) 7;
  char *p;

  if (n > BLOCK / 4) {
    p = g_malloc (n);
    g_ptr_array_add (doc->blocks, p);
    return p;
  }
  if (n > doc->n_room) {
    doc->room = g_malloc (BLOCK);
    doc->n_room = BLOCK;
    g_ptr_array_add (doc->blocks, doc->room);
  }
  p = doc->room;
  doc->room += n;
  doc->n_room -= n;
  return p;
}

void
evo_json_free (EvoJsonDoc *doc)
{
  if (doc == NULL)
    return;
  g_free (doc->name);
  g_free (doc->text);
  g_ptr_array_unref (doc->blocks);
  g_clear_pointer (&doc->pointers, g_hash_table_unref);
  g_mutex_clear (&doc->lock);
  g_free (doc);
}

/* Takes the text: n bytes and a NUL. */
static EvoJsonDoc *
parse (char *text, gsize n, const char *name, GQuark domain, gint code, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = g_new0 (EvoJsonDoc, 1);

  doc->name = g_strdup (name);
  doc->text = text;
  doc->blocks = g_ptr_array_new_with_free_func (g_free);
  g_mutex_init (&doc->lock);
  return evo_json_scan (doc, n, domain, code, error) ? g_steal_pointer (&doc) : NULL;
}

EvoJsonDoc *
evo_json_parse (const char *text, gssize n, const char *name, GQuark domain, gint code, GError **error)
{
  gsize size = n < 0 ? strlen (text) : (gsize) n;
  char *copy;

  if (size > EVO_JSON_MAX_BYTES) {
    evo_set_error (error, domain, code, "%s: the text is larger than %d bytes", name, EVO_JSON_MAX_BYTES);
    return NULL;
  }
  copy = g_malloc (size + 1);
  memcpy (copy, text, size);
  copy[size] = '\0';
  return parse (copy, size, name, domain, code, error);
}

/* Reads to the end of the file. -1: errno says why; EFBIG where it is longer than `most`. */
static gssize
read_all (int fd, gsize expected, gsize most, char **out)
{
  gsize room = expected + 1, n = 0;
  g_autofree char *text = g_malloc (room + 1);

  for (;;) {
    gssize got = read (fd, text + n, room - n);

    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return -1;
    if (got == 0)
      break;
    n += (gsize) got;
    if (n > most) {
      errno = EFBIG;
      return -1;
    }
    if (n == room) {
      room *= 2;
      text = g_realloc (text, room + 1);
    }
  }
  text[n] = '\0';
  *out = g_steal_pointer (&text);
  return (gssize) n;
}

static gssize
read_file (const char *path, char **out)
{
  enum { STREAM_MOST = 1 << 26 }; /* of a pipe or device, whose size nobody knows: /dev/zero never ends */
  int fd = open (path, O_RDONLY | O_CLOEXEC), failed;
  struct stat info;
  gssize n = -1;

  if (fd < 0)
    return -1;
  if (fstat (fd, &info) == 0) {
    if (!S_ISREG (info.st_mode))
      n = read_all (fd, 4096, STREAM_MOST, out);
    else if (info.st_size <= EVO_JSON_MAX_BYTES)
      n = read_all (fd, (gsize) info.st_size, EVO_JSON_MAX_BYTES, out);
    else
      errno = EFBIG;
  }
  failed = errno;
  close (fd);
  errno = failed;
  return n;
}

EvoJsonDoc *
evo_json_parse_file (const char *path, GQuark domain, gint open_code, gint syntax_code, GError **error)
{
  char *text = NULL;
  gssize n = read_file (path, &text);

  if (n < 0) {
    evo_set_error (error, domain, open_code, "%s: cannot be read: %s", path, g_strerror (errno));
    return NULL;
  }
  return parse (text, (gsize) n, path, domain, syntax_code, error);
}

/* ------------------------------------------------------------------ where a value stands */

static EvoJsonDoc *
document_of (const EvoJson *v)
{
  while (v->parent != NULL)
    v = v->parent;
  return (EvoJsonDoc *) v; /* the root is the document's first member */
}

const EvoJson *
evo_json_root (const EvoJsonDoc *doc)
{
  return &doc->root;
}

guint
evo_json_line (const EvoJson *v)
{
  return v->line;
}

guint
evo_json_column (const EvoJson *v)
{
  return v->column;
}

const char *
evo_json_key (const EvoJson *v)
{
  return v->key;
}

const char *
evo_json_name (const EvoJson *v)
{
  return document_of (v)->name;
}

static void
append_token (GString *out, const EvoJson *v)
{
  g_string_append_c (out, '/');
  if (v->key == NULL)
    g_string_append_printf (out, "%" G_GSIZE_FORMAT, (gsize) (v - v->parent->u.items));
  for (const char *p = v->key; p != NULL && *p != '\0'; p++) {
    if (*p == '~')
      g_string_append (out, "~0");
    else if (*p == '/')
      g_string_append (out, "~1");
    else
      g_string_append_c (out, *p);
  }
}

static char *
make_pointer (const EvoJson *v)
{
  const EvoJson *path[EVO_JSON_MAX_DEPTH + 1];
  GString *out = g_string_new (NULL);
  guint n = 0;

  for (; v->parent != NULL; v = v->parent)
    path[n++] = v;
  while (n > 0)
    append_token (out, path[--n]);
  return g_string_free (out, FALSE);
}

const char *
evo_json_pointer (const EvoJson *v)
{
  EvoJsonDoc *doc = document_of (v);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&doc->lock);
  char *pointer;

  if (doc->pointers == NULL)
    doc->pointers = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  pointer = g_hash_table_lookup (doc->pointers, v);
  if (pointer == NULL) {
    pointer = make_pointer (v);
    g_hash_table_insert (doc->pointers, (gpointer) v, pointer);
  }
  return pointer;
}

char *
evo_json_where (const EvoJson *v)
{
  g_autofree char *pointer = make_pointer (v);

  for (char *p = pointer; *p != '\0'; p++)
    if (g_ascii_iscntrl (*p))
      *p = '?'; /* a message is one line */
  return *pointer == '\0' ? g_strdup_printf ("%s:%u", evo_json_name (v), v->line)
                          : g_strdup_printf ("%s:%u: %s", evo_json_name (v), v->line, pointer);
}

gboolean
evo_fail_at (GError **error, const EvoJson *at, GQuark domain, gint code, const char *format, ...)
{
  g_autofree char *where = evo_json_where (at), *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, domain, code, "%s: %s", where, what);
}

/* ------------------------------------------------------------------ what it is */

EvoJsonKind
evo_json_kind (const EvoJson *v)
{
  return (EvoJsonKind) v->kind;
}

const char *
evo_json_kind_name (EvoJsonKind kind)
{
  static const char *const names[] = { "null", "a boolean", "a number", "a string", "a list", "an object" };

  g_return_val_if_fail ((guint) kind < G_N_ELEMENTS (names), NULL);
  return names[kind];
}

static gboolean
is_container (const EvoJson *v)
{
  return v != NULL && (v->kind == EVO_JSON_ARRAY || v->kind == EVO_JSON_OBJECT);
}

guint
evo_json_size (const EvoJson *v)
{
  return is_container (v) ? v->n : 0;
}

const EvoJson *
evo_json_at (const EvoJson *v, guint i)
{
  g_return_val_if_fail (i < evo_json_size (v), NULL);
  return &v->u.items[i];
}

const EvoJson *
evo_json_member (const EvoJson *v, const char *key)
{
  const guint32 *slots;
  gsize n_slots, i;

  if (v == NULL || v->kind != EVO_JSON_OBJECT)
    return NULL;
  if (v->n <= EVO_JSON_SMALL) {
    for (i = 0; i < v->n; i++)
      if (strcmp (v->u.items[i].key, key) == 0)
        return &v->u.items[i];
    return NULL;
  }
  slots = (const guint32 *) (v->u.items + v->n);
  n_slots = evo_json_n_slots (v->n);
  for (i = evo_json_hash (key) & (n_slots - 1); slots[i] != 0; i = (i + 1) & (n_slots - 1))
    if (strcmp (v->u.items[slots[i] - 1].key, key) == 0)
      return &v->u.items[slots[i] - 1];
  return NULL;
}

gboolean
evo_json_bool (const EvoJson *v)
{
  return v->kind == EVO_JSON_BOOL && v->truth;
}

double
evo_json_number (const EvoJson *v)
{
  return v->kind == EVO_JSON_NUMBER ? evo_json_parse_number (v->u.text, v->n) : 0;
}

gboolean
evo_json_is_integer (const EvoJson *v, gint64 *out)
{
  double x = evo_json_number (v);

  if (v->kind != EVO_JSON_NUMBER || x != rint (x) || fabs (x) >= 0x1p53)
    return FALSE;
  if (out != NULL)
    *out = (gint64) x;
  return TRUE;
}

const char *
evo_json_string (const EvoJson *v)
{
  return v->kind == EVO_JSON_STRING ? v->u.text : NULL;
}

char *
evo_json_text (const EvoJson *v)
{
  GString *out = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, out, FALSE);
  evo_json_add_value (&w, v);
  return g_string_free (out, FALSE);
}

/* ------------------------------------------------------------------ shortcuts */

const char *
evo_json_get_string (const EvoJson *object, const char *key)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL ? NULL : evo_json_string (v);
}

double
evo_json_get_number (const EvoJson *object, const char *key, double def)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL || v->kind != EVO_JSON_NUMBER ? def : evo_json_number (v);
}

gboolean
evo_json_get_bool (const EvoJson *object, const char *key, gboolean def)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL || v->kind != EVO_JSON_BOOL ? def : v->truth;
}
