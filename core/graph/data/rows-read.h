/* SPDX-License-Identifier: Apache-2.0
 * rows-read.h - the inside of reading data files: text files, and rows while they are collected.
 */
#ifndef EVO_GRAPH_ROWS_READ_H
#define EVO_GRAPH_ROWS_READ_H

#include "core/graph/data/rows.h"

enum { EVO_MOST_FIELDS = 1000, EVO_MOST_ROWS = 1 << 24, EVO_MOST_CELLS = 1 << 26, EVO_MOST_DATA_BYTES = 1 << 30 };

/* --- text-file.c */
/* A whole text file: UTF-8 without NUL, without its byte order mark; NUL-terminated (owned). EVO_STORE_ERROR OPEN, FORMAT. */
char *evo_read_text_file (const char *path, gsize most_bytes, gsize *n, GError **error);
/* Goes to the next line of a text: FALSE at its end. Line ends are \n and \r\n. */
typedef struct { const char *at, *end; gint64 line; } EvoLines;
gboolean evo_lines_next (EvoLines *l, EvoText *out);

typedef struct { guint field; EvoText text; } EvoCell;

/* Rows as they are found. Cells that a row has not are empty. */
struct EvoData {
  char *path, *file;      /* file: name for messages, without folder */
  char *text; gsize n_text;
  GStringChunk *strings;  /* cells that are not spelt in text as they are */
  GPtrArray *fields;      /* names, owned */
  GHashTable *by_name;    /* name -> index + 1 */
  GArray *cells;          /* EvoCell */
  GArray *first;          /* gsize: first cell of each row */
  GArray *lines;          /* gint64: line of each row */
  EvoText *table;         /* [n_rows][n_fields], once all is read and rows are chosen */
  gint64 *chosen_lines; gint64 n_rows;
};

/* --- rows.c */
/* Sets *error to "FILE:LINE: what"; returns FALSE. */
gboolean evo_data_fail (const EvoData *d, gint64 line, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);
gboolean evo_data_begin_row (EvoData *d, gint64 line, GError **error);     /* FORMAT: too many */
void evo_data_add_cell (EvoData *d, guint field, EvoText text);           /* to the last row; text stays where it is */
gboolean evo_data_add_field (EvoData *d, const char *name, gsize n, gint64 line, guint *index, GError **error); /* or finds it */

/* --- rows-json.c */
gboolean evo_data_read_json (EvoData *d, GError **error);   /* an array of objects, or one object a line */
gboolean evo_data_read_jsonl (EvoData *d, GError **error);
/* --- rows-table.c */
gboolean evo_data_read_tsv (EvoData *d, const EvoStrings *columns, GError **error);
gboolean evo_data_read_csv (EvoData *d, const EvoStrings *columns, GError **error);

#endif
