/* SPDX-License-Identifier: Apache-2.0
 * rows-json.c - rows from JSON: an array of objects, or one object a line.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/graph/data/rows-read.h"

/* Strings as they are, numbers and booleans as written, null as nothing, what is nested as compact JSON. */
static EvoText
cell_text (EvoData *d, const EvoJson *v)
{
  g_autofree char *text = NULL;
  const char *bytes;
  gsize n;

  if (evo_json_kind (v) == EVO_JSON_NULL)
    return (EvoText){ "", 0 };
  bytes = evo_json_string (v);
  if (bytes == NULL)
    bytes = text = evo_json_text (v);
  n = strlen (bytes);
  return (EvoText){ g_string_chunk_insert_len (d->strings, bytes, (gssize) n), n };
}

static gboolean
add_row (EvoData *d, const EvoJson *row, gint64 line, GError **error)
{
  if (evo_json_kind (row) != EVO_JSON_OBJECT)
    return evo_data_fail (d, line, error, "a row is an object like {\"question\": \"...\"}, not %s", evo_json_kind_name (evo_json_kind (row)));
  if (!evo_data_begin_row (d, line, error))
    return FALSE;
  for (guint i = 0; i < evo_json_size (row); i++) {
    const EvoJson *v = evo_json_at (row, i);
    const char *key = evo_json_key (v);
    guint field;

    if (!evo_data_add_field (d, key, strlen (key), line, &field, error))
      return FALSE;
    evo_data_add_cell (d, field, cell_text (d, v));
  }
  return TRUE;
}

static gboolean
is_blank (EvoText line)
{
  for (gsize i = 0; i < line.n; i++)
    if (line.bytes[i] != ' ' && line.bytes[i] != '\t')
      return FALSE;
  return TRUE;
}

/* A line is a document of its own, which calls itself line 1. */
static EvoJsonDoc *
parse_line (const EvoData *d, EvoText line, gint64 number, GError **error)
{
  g_autofree char *wrong = g_strconcat (d->path, ":1:", NULL);
  g_autoptr (GError) e = NULL;
  EvoJsonDoc *doc = evo_json_parse (line.bytes, (gssize) line.n, d->path, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, &e);

  if (doc == NULL)
    evo_set_error (error, e->domain, e->code, "%s:%" G_GINT64_FORMAT ":%s", d->path, number,
                   g_str_has_prefix (e->message, wrong) ? e->message + strlen (wrong) : e->message);
  return doc;
}

gboolean
evo_data_read_jsonl (EvoData *d, GError **error)
{
  EvoLines lines = { d->text, d->text + d->n_text, 0 };
  EvoText line;

  while (evo_lines_next (&lines, &line)) {
    g_autoptr (EvoJsonDoc) doc = NULL;

    if (is_blank (line))
      continue;
    doc = parse_line (d, line, lines.line, error);
    if (doc == NULL || !add_row (d, evo_json_root (doc), lines.line, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_array (EvoData *d, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (d->text, (gssize) d->n_text, d->path, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, error);
  const EvoJson *root;

  if (doc == NULL)
    return FALSE;
  root = evo_json_root (doc);
  for (guint i = 0; i < evo_json_size (root); i++)
    if (!add_row (d, evo_json_at (root, i), evo_json_line (evo_json_at (root, i)), error))
      return FALSE;
  return TRUE;
}

gboolean
evo_data_read_json (EvoData *d, GError **error)
{
  gsize blank = strspn (d->text, " \t\r\n");
  g_autoptr (GError) e = NULL;

  if (d->text[blank] == '[')
    return read_array (d, error);
  if (evo_data_read_jsonl (d, &e))
    return TRUE;
  return evo_set_error (error, e->domain, e->code, "%s; a .json file is an array of objects, or one object a line", e->message);
}
