/* SPDX-License-Identifier: Apache-2.0
 * rows-table.c - rows from .tsv (tabs, no quoting) and .csv (RFC 4180: quoted fields may hold commas, doubled quotes and line ends).
 *
 * The first line names the columns unless they are given. Empty lines are no rows.
 */
#include <string.h>

#include "core/graph/data/rows-read.h"

typedef struct {
  EvoData *d;
  const EvoStrings *columns;
  gboolean has_header;
  guint n_columns;
} Table;

static gboolean
add_column (Table *t, const char *name, gsize n, gint64 line, GError **error)
{
  guint before = t->d->fields->len, index;

  if (n == 0)
    return evo_data_fail (t->d, line, error, "column %u has no name; a file whose first line is no header needs \"columns\"", t->n_columns + 1);
  if (!evo_data_add_field (t->d, name, n, line, &index, error))
    return FALSE;
  if (index != before)
    return evo_data_fail (t->d, line, error, "two columns are called \"%.*s\"; a file whose first line is no header needs \"columns\"",
                          (int) MIN (n, 200), name);
  t->n_columns++;
  return TRUE;
}

static gboolean
use_columns (Table *t, GError **error)
{
  for (gsize i = 0; i < t->columns->n; i++)
    if (!add_column (t, t->columns->items[i], strlen (t->columns->items[i]), 1, error))
      return FALSE;
  t->has_header = t->columns->n > 0;
  return TRUE;
}

/* One record of the file: names the columns, or is a row. */
static gboolean
add_record (Table *t, const GArray *cells, gint64 line, GError **error)
{
  const EvoText *texts = (const EvoText *) cells->data;

  if (!t->has_header) {
    t->has_header = TRUE;
    for (guint i = 0; i < cells->len; i++)
      if (!add_column (t, texts[i].bytes, texts[i].n, line, error))
        return FALSE;
    return TRUE;
  }
  if (cells->len > t->n_columns)
    return evo_data_fail (t->d, line, error, "a field too many, or a separator inside one: there %s %u column%s", t->n_columns == 1 ? "is" : "are",
                          t->n_columns, t->n_columns == 1 ? "" : "s");
  if (cells->len < t->n_columns)
    return evo_data_fail (t->d, line, error, "%u field%s, but there %s %u column%s", cells->len, cells->len == 1 ? "" : "s",
                          t->n_columns == 1 ? "is" : "are", t->n_columns, t->n_columns == 1 ? "" : "s");
  if (!evo_data_begin_row (t->d, line, error))
    return FALSE;
  for (guint i = 0; i < cells->len; i++)
    evo_data_add_cell (t->d, i, texts[i]);
  return TRUE;
}

/* ------------------------------------------------------------------ tsv */

static void
split_tabs (EvoText line, GArray *cells)
{
  const char *at = line.bytes, *end = line.bytes + line.n;

  g_array_set_size (cells, 0);
  for (;;) {
    const char *tab = memchr (at, '\t', (gsize) (end - at));
    EvoText cell = { at, (gsize) ((tab == NULL ? end : tab) - at) };

    g_array_append_val (cells, cell);
    if (tab == NULL || cells->len > EVO_MOST_FIELDS) /* more is wrong anyhow */
      return;
    at = tab + 1;
  }
}

gboolean
evo_data_read_tsv (EvoData *d, const EvoStrings *columns, GError **error)
{
  g_autoptr (GArray) cells = g_array_new (FALSE, FALSE, sizeof (EvoText));
  EvoLines lines = { d->text, d->text + d->n_text, 0 };
  Table t = { d, columns, FALSE, 0 };
  EvoText line;

  if (!use_columns (&t, error))
    return FALSE;
  while (evo_lines_next (&lines, &line)) {
    if (line.n == 0)
      continue;
    split_tabs (line, cells);
    if (!add_record (&t, cells, lines.line, error))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ csv */

typedef struct { EvoData *d; const char *at, *end; gint64 line; } Csv;

/* at: behind the opening quote; moves behind the closing one. */
static gboolean
read_quoted (Csv *c, EvoText *out, GError **error)
{
  gint64 first_line = c->line;
  g_autoptr (GString) text = g_string_new (NULL);

  for (; c->at < c->end; c->at++) {
    if (*c->at == '"' && c->at + 1 < c->end && c->at[1] == '"')
      c->at++;
    else if (*c->at == '"')
      break;
    c->line += *c->at == '\n';
    g_string_append_c (text, *c->at);
  }
  if (c->at == c->end)
    return evo_data_fail (c->d, first_line, error, "a quoted field begins here and does not end");
  c->at++;
  if (c->at < c->end && *c->at != ',' && *c->at != '\n' && !(*c->at == '\r' && c->at + 1 < c->end && c->at[1] == '\n'))
    return evo_data_fail (c->d, c->line, error, "text follows a closing quote; a quote inside a quoted field is written twice");
  *out = (EvoText){ g_string_chunk_insert_len (c->d->strings, text->str, (gssize) text->len), text->len };
  return TRUE;
}

static gboolean
read_plain (Csv *c, EvoText *out, GError **error)
{
  const char *first = c->at;

  while (c->at < c->end && *c->at != ',' && *c->at != '\n') {
    if (*c->at == '"')
      return evo_data_fail (c->d, c->line, error,
                            "a quote inside a field without quotes; such a field stands in quotes, with this one written twice");
    c->at++;
  }
  *out = (EvoText){ first, (gsize) (c->at - first) };
  if ((c->at == c->end || *c->at == '\n') && out->n > 0 && first[out->n - 1] == '\r')
    out->n--;
  return TRUE;
}

/* All fields up to the end of the record; at moves behind its line end. */
static gboolean
read_record (Csv *c, GArray *cells, GError **error)
{
  g_array_set_size (cells, 0);
  for (;;) {
    gboolean quoted = c->at < c->end && *c->at == '"';
    EvoText cell;

    c->at += quoted;
    if (!(quoted ? read_quoted (c, &cell, error) : read_plain (c, &cell, error)))
      return FALSE;
    if (cells->len <= EVO_MOST_FIELDS) /* more is wrong anyhow */
      g_array_append_val (cells, cell);
    if (c->at == c->end || *c->at != ',')
      break;
    c->at++;
  }
  if (c->at < c->end && *c->at == '\r')
    c->at++;
  if (c->at < c->end && *c->at == '\n') {
    c->at++;
    c->line++;
  }
  return TRUE;
}

gboolean
evo_data_read_csv (EvoData *d, const EvoStrings *columns, GError **error)
{
  g_autoptr (GArray) cells = g_array_new (FALSE, FALSE, sizeof (EvoText));
  Csv c = { d, d->text, d->text + d->n_text, 1 };
  Table t = { d, columns, FALSE, 0 };

  if (!use_columns (&t, error))
    return FALSE;
  while (c.at < c.end) {
    const char *first = c.at;
    gint64 line = c.line;

    if (!read_record (&c, cells, error))
      return FALSE;
    if (cells->len == 1 && g_array_index (cells, EvoText, 0).n == 0 && *first != '"')
      continue; /* an empty line */
    if (!add_record (&t, cells, line, error))
      return FALSE;
  }
  return TRUE;
}
