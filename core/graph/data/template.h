/* SPDX-License-Identifier: Apache-2.0
 * template.h - prompt templates: text with {field}; {{ and }} are braces; one final newline of a file is dropped.
 */
#ifndef EVO_GRAPH_TEMPLATE_H
#define EVO_GRAPH_TEMPLATE_H

#include "core/graph/data/rows.h"

/* The file's text (owned). Errors: EVO_STORE_ERROR OPEN, FORMAT (not UTF-8, a lone brace: file, line and what would be right). */
char *evo_template_open (const char *path, GError **error);
/* The text for one row (owned). EVO_PARAM_ERROR_UNKNOWN for a {field} the data has not, with the nearest. */
GString *evo_template_fill (const char *template_text, const EvoData *data, gint64 row, GError **error);

#endif
