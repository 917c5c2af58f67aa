/* SPDX-License-Identifier: Apache-2.0
 * json-token.h - a cursor over JSON text: blanks, strings, numbers, and sentences about what stands there (private to json*.c).
 */
#ifndef EVO_BASE_JSON_TOKEN_H
#define EVO_BASE_JSON_TOKEN_H

#include <glib.h>

typedef struct {
  char *p, *end;           /* *end is NUL */
  const char *line_start;
  gsize hidden;            /* bytes of this line that continue a character: columns count characters */
  guint line;
  const char *name;
  GQuark domain;
  gint code;
  GError **error;
} EvoJsonCursor;

guint evo_json_cursor_column (const EvoJsonCursor *c, const char *p);
void evo_json_skip_space (EvoJsonCursor *c);
/* Reads a string behind its opening quote, unescapes it in place; NULL on failure. */
const char *evo_json_read_string (EvoJsonCursor *c);
/* The length of the number at the cursor, which moves behind it; 0 on failure. */
gsize evo_json_read_number (EvoJsonCursor *c);
gboolean evo_json_fail (EvoJsonCursor *c, const char *at, const char *format, ...) G_GNUC_PRINTF (3, 4); /* FALSE */
/* "WHAT is expected here, not ..." */
gboolean evo_json_expected (EvoJsonCursor *c, const char *what);

#endif
