/* SPDX-License-Identifier: Apache-2.0
 * rows.c - a data file as rows of named text fields, and which of its rows are taken.
 */
#include "core/graph/data/rows.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/graph/data/rows-read.h"

/* ------------------------------------------------------------------ collecting */

gboolean
evo_data_fail (const EvoData *d, gint64 line, GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s:%" G_GINT64_FORMAT ": %s", d->path, line, what);
}

gboolean
evo_data_begin_row (EvoData *d, gint64 line, GError **error)
{
  gsize first = d->cells->len;

  if (d->lines->len == EVO_MOST_ROWS || first > EVO_MOST_CELLS)
    return evo_data_fail (d, line, error, "more than %d rows or %d fields in all; split the file", EVO_MOST_ROWS, EVO_MOST_CELLS);
  g_array_append_val (d->first, first);
  g_array_append_val (d->lines, line);
  return TRUE;
}

void
evo_data_add_cell (EvoData *d, guint field, EvoText text)
{
  EvoCell cell = { field, text };

  g_array_append_val (d->cells, cell);
}

gboolean
evo_data_add_field (EvoData *d, const char *name, gsize n, gint64 line, guint *index, GError **error)
{
  g_autofree char *key = g_strndup (name, n);
  guint known = GPOINTER_TO_UINT (g_hash_table_lookup (d->by_name, key));

  if (known == 0) {
    if (d->fields->len == EVO_MOST_FIELDS)
      return evo_data_fail (d, line, error, "more than %d different fields", EVO_MOST_FIELDS);
    g_ptr_array_add (d->fields, key);
    known = d->fields->len;
    g_hash_table_insert (d->by_name, g_steal_pointer (&key), GUINT_TO_POINTER (known));
  }
  *index = known - 1;
  return TRUE;
}

/* ------------------------------------------------------------------ plain text */

/* Each line that is not empty. */
static gboolean
read_lines (EvoData *d, GError **error)
{
  EvoLines lines = { d->text, d->text + d->n_text, 0 };
  EvoText line;
  guint field;

  if (!evo_data_add_field (d, "text", 4, 1, &field, error))
    return FALSE;
  while (evo_lines_next (&lines, &line)) {
    if (line.n == 0)
      continue;
    if (!evo_data_begin_row (d, lines.line, error))
      return FALSE;
    evo_data_add_cell (d, field, line);
  }
  return TRUE;
}

/* All of it, as one row. */
static gboolean
read_text (EvoData *d, GError **error)
{
  guint field;

  if (!evo_data_add_field (d, "text", 4, 1, &field, error))
    return FALSE;
  if (d->n_text == 0)
    return TRUE;
  if (!evo_data_begin_row (d, 1, error))
    return FALSE;
  evo_data_add_cell (d, field, (EvoText){ d->text, d->n_text });
  return TRUE;
}

/* ------------------------------------------------------------------ formats */

typedef enum { JSONL, JSON, TSV, CSV, LINES, TEXT, N_FORMATS } Format;

static const char *const formats[] = { "jsonl", "json", "tsv", "csv", "lines", "text", NULL };

static gboolean
find_format (const char *path, const char *told, Format *out, GError **error)
{
  const char *dot = strrchr (path, '.'), *name = told != NULL ? told : dot == NULL || strchr (dot, '/') != NULL ? "" : dot + 1;
  g_autofree char *lower = g_ascii_strdown (name, -1), *list = g_strjoinv (", ", (char **) formats);

  for (guint i = 0; i < N_FORMATS; i++)
    if (strcmp (told != NULL ? told : lower, formats[i]) == 0 && (told != NULL || i < LINES)) {
      *out = (Format) i;
      return TRUE;
    }
  if (told != NULL) {
    g_autofree char *tail = evo_did_you_mean (told, formats);

    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: there is no format \"%s\"%s; formats are %s", path, told, tail, list);
  }
  if (strcmp (lower, "txt") == 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                          "%s: needs \"format\": \"lines\" (every line is a row) or \"text\" (all of it is one), or tsv, csv, jsonl, json", path);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: its name does not say what is in it; needs \"format\", one of %s", path,
                        list);
}

static gboolean
check_columns (const char *path, Format format, const EvoStrings *columns, GError **error)
{
  if (columns->n > 0 && format != TSV && format != CSV)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: \"columns\" names the columns of tsv and csv files, this is %s", path,
                          formats[format]);
  return TRUE;
}

static gboolean
read_rows (EvoData *d, Format format, const EvoStrings *columns, GError **error)
{
  switch (format) {
  case JSONL:
    return evo_data_read_jsonl (d, error);
  case JSON:
    return evo_data_read_json (d, error);
  case TSV:
    return evo_data_read_tsv (d, columns, error);
  case CSV:
    return evo_data_read_csv (d, columns, error);
  case LINES:
    return read_lines (d, error);
  default:
    return read_text (d, error);
  }
}

/* ------------------------------------------------------------------ choosing */

static int
by_number (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return (x > y) - (x < y);
}

/* `sample` of the n positions, without replacement, in order: the first of a shuffle, sorted again. */
static gint64 *
draw (gint64 n, gint64 sample, guint64 seed)
{
  gint64 *all = g_new (gint64, n);
  EvoRandom r;

  for (gint64 i = 0; i < n; i++)
    all[i] = i;
  evo_random_init (&r, seed);
  evo_random_shuffle (&r, all, (gsize) n);
  qsort (all, (gsize) sample, sizeof *all, by_number);
  return all;
}

/* Indices of the rows that are taken, in order (owned); NULL and an error where more are asked for than there are. */
static gint64 *
choose (const EvoData *d, const EvoDataOptions *o, gint64 *n_chosen, GError **error)
{
  gint64 n = d->lines->len, *order = g_new (gint64, n);
  EvoRandom r;

  for (gint64 i = 0; i < n; i++)
    order[i] = i;
  if (o->shuffle) {
    evo_random_init (&r, evo_random_mix_text (o->seed, "shuffle"));
    evo_random_shuffle (&r, order, (gsize) n);
  }
  if (o->sample > n) {
    g_free (order);
    evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                   "%s: has %" G_GINT64_FORMAT " rows; \"sample\" cannot draw %" G_GINT64_FORMAT " of them", d->path, n, o->sample);
    return NULL;
  }
  if (o->sample > 0) {
    g_autofree gint64 *drawn = draw (n, o->sample, evo_random_mix_text (o->seed, "sample"));

    for (gint64 i = 0; i < o->sample; i++)
      order[i] = order[drawn[i]]; /* drawn[i] >= i: nothing is overwritten before it is read */
    n = o->sample;
  }
  if (o->skip > 0 && o->skip >= n) {
    g_free (order);
    evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s: has %" G_GINT64_FORMAT " rows; \"skip\" %" G_GINT64_FORMAT " leaves none",
                   d->path, n, o->skip);
    return NULL;
  }
  memmove (order, order + o->skip, (gsize) (n - o->skip) * sizeof *order);
  *n_chosen = o->limit > 0 ? MIN (n - o->skip, o->limit) : n - o->skip;
  return order;
}

static gboolean
make_table (EvoData *d, const EvoDataOptions *o, GError **error)
{
  g_autofree gint64 *chosen = choose (d, o, &d->n_rows, error);
  gsize n_fields = d->fields->len;

  if (chosen == NULL)
    return FALSE;
  if ((gsize) d->n_rows > EVO_MOST_CELLS / MAX (n_fields, 1))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                          "%s: %" G_GINT64_FORMAT " rows of %zu fields are too many; take fewer by \"limit\"", d->path, d->n_rows, n_fields);
  d->table = g_new (EvoText, MAX ((gsize) d->n_rows * n_fields, 1));
  d->chosen_lines = g_new (gint64, d->n_rows);
  for (gsize i = 0; i < (gsize) d->n_rows * n_fields; i++)
    d->table[i] = (EvoText){ "", 0 };
  for (gint64 i = 0; i < d->n_rows; i++) {
    gint64 row = chosen[i];
    gsize end = row + 1 < (gint64) d->first->len ? g_array_index (d->first, gsize, row + 1) : d->cells->len;

    d->chosen_lines[i] = g_array_index (d->lines, gint64, row);
    for (gsize c = g_array_index (d->first, gsize, row); c < end; c++) {
      const EvoCell *cell = &g_array_index (d->cells, EvoCell, c);

      d->table[(gsize) i * n_fields + cell->field] = cell->text;
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ opening */

static EvoData *
new_data (const char *path)
{
  EvoData *d = g_new0 (EvoData, 1);

  d->path = g_strdup (path);
  d->file = g_path_get_basename (path);
  d->strings = g_string_chunk_new (1 << 16);
  d->fields = g_ptr_array_new ();
  d->by_name = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  d->cells = g_array_new (FALSE, FALSE, sizeof (EvoCell));
  d->first = g_array_new (FALSE, FALSE, sizeof (gsize));
  d->lines = g_array_new (FALSE, FALSE, sizeof (gint64));
  return d;
}

void
evo_data_free (EvoData *d)
{
  if (d == NULL)
    return;
  g_free (d->path);
  g_free (d->file);
  g_free (d->text);
  g_string_chunk_free (d->strings);
  g_ptr_array_unref (d->fields);
  g_hash_table_unref (d->by_name);
  g_array_unref (d->cells);
  g_array_unref (d->first);
  g_array_unref (d->lines);
  g_free (d->table);
  g_free (d->chosen_lines);
  g_free (d);
}

EvoData *
evo_data_open (const char *path, const EvoDataOptions *options, GError **error)
{
  g_autoptr (EvoData) d = NULL;
  Format format = JSONL;

  if (!find_format (path, options->format, &format, error) || !check_columns (path, format, &options->columns, error))
    return NULL;
  d = new_data (path);
  d->text = evo_read_text_file (path, EVO_MOST_DATA_BYTES, &d->n_text, error);
  if (d->text == NULL || !read_rows (d, format, &options->columns, error))
    return NULL;
  if (d->lines->len == 0) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: has no rows", path);
    return NULL;
  }
  return make_table (d, options, error) ? g_steal_pointer (&d) : NULL;
}

void
evo_data_describe (const EvoData *d, EvoRows *rows)
{
  *rows = (EvoRows){ .size = sizeof *rows, .file = d->path, .n_rows = d->n_rows, .n_fields = d->fields->len,
                     .fields = (const char *const *) d->fields->pdata, .cells = d->table, .lines = d->chosen_lines };
}
