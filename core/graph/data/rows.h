/* SPDX-License-Identifier: Apache-2.0
 * rows.h - the data an evaluator reads: .jsonl, .json, .tsv, .csv and .txt as rows of named text fields (design section 8).
 */
#ifndef EVO_GRAPH_ROWS_H
#define EVO_GRAPH_ROWS_H

#include "core/abi/evopipe.h"

typedef struct EvoData EvoData;

typedef struct {
  const char *format;    /* "jsonl", "json", "tsv", "csv"; NULL: by the file's ending. .txt must be told: "lines" (each that is not empty is a
                            row) or "text" (all of it is one), both with one field, "text" */
  EvoStrings columns;    /* names of a headerless tsv or csv file's columns; n = 0: the first line names them */
  gboolean shuffle;      /* first, by `seed` */
  gint64 sample, skip, limit; /* then `sample` rows drawn without replacement by `seed`, kept in order (0: all); then the first `skip` are passed
                            over; then the first `limit` (0: all). EVO_PARAM_ERROR_RANGE: fewer rows than `sample`, none left after `skip` */
  guint64 seed;
} EvoDataOptions;

/* Fields are text: JSON strings as they are, numbers and booleans as written, null and missing as empty, arrays and objects as compact JSON.
 * Errors: EVO_STORE_ERROR OPEN, FORMAT ("FILE:LINE: what; what would be right"). A file without rows is FORMAT. */
EvoData *evo_data_open (const char *path, const EvoDataOptions *options, GError **error);
void evo_data_free (EvoData *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoData, evo_data_free)
/* Fills size, file, n_rows, fields, cells, lines; the rest of *rows is zeroed. Borrowed: alive with `d`. */
void evo_data_describe (const EvoData *d, EvoRows *rows);

#endif
