/* SPDX-License-Identifier: Apache-2.0
 * item.h - what evaluators share: fields by name, cells, and the prompt of a row.
 */
#ifndef PLUGINS_EVALUATOR_ITEM_H
#define PLUGINS_EVALUATOR_ITEM_H

#include <string.h>

#include "evopipe.h"

static inline gboolean
item_has_field (const EvoRows *rows, const char *name, guint *field)
{
  for (guint i = 0; i < rows->n_fields; i++)
    if (g_str_equal (rows->fields[i], name)) {
      *field = i;
      return TRUE;
    }
  return FALSE;
}

/* `param` is the parameter that named the field, for the message. */
static inline gboolean
item_find_field (const EvoRows *rows, const char *param, const char *name, guint *field, GError **error)
{
  GString *known;

  if (item_has_field (rows, name, field))
    return TRUE;
  known = g_string_new (NULL);
  for (guint i = 0; i < rows->n_fields && known->len < 200; i++)
    g_string_append_printf (known, "%s\"%s\"", i > 0 ? ", " : "", rows->fields[i]);
  evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: %s has no field \"%s\"; it has %s", param, rows->file, name, known->str);
  g_string_free (known, TRUE);
  return FALSE;
}

static inline EvoText
item_cell (const EvoRows *rows, gint64 row, guint field)
{
  return rows->cells[row * rows->n_fields + field];
}

/* At most 60 bytes of a cell, as text for a message (owned). */
static inline char *
item_quote (EvoText text)
{
  char *valid = g_utf8_make_valid (text.bytes == NULL ? "" : text.bytes, (gssize) text.n), *end = valid;

  while (*end != '\0' && g_utf8_next_char (end) - valid <= 60)
    end = g_utf8_next_char (end);
  *end = '\0';
  return valid;
}

/* Prompts: the node's template filled from the row, else a field. */
typedef struct {
  const EvoRows *rows;
  guint field;
  GString **filled;     /* [n_rows], made when asked for; NULL without a template */
} Prompts;

/* Without a template: the field `name` if one was given, else "prompt", else "question". */
static inline gboolean
prompts_init (Prompts *p, const EvoRows *rows, const char *param, const char *name, GError **error)
{
  *p = (Prompts){ .rows = rows };
  if (rows->template_text != NULL && name != NULL)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: the template makes the prompt; one of the two must go", param);
  if (rows->template_text != NULL) {
    p->filled = g_new0 (GString *, MAX (rows->n_rows, 1));
    return TRUE;
  }
  if (name != NULL)
    return item_find_field (rows, param, name, &p->field, error);
  return item_has_field (rows, "prompt", &p->field) || item_has_field (rows, "question", &p->field)
         || evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s has neither a field \"prompt\" nor \"question\"; a template, or \"%s\", says what to ask",
                      rows->file, param);
}

static inline void
prompts_clear (Prompts *p)
{
  for (gint64 i = 0; p->filled != NULL && i < p->rows->n_rows; i++)
    if (p->filled[i] != NULL)
      g_string_free (p->filled[i], TRUE);
  g_free (p->filled);
}

static inline gboolean
prompts_get (Prompts *p, gint64 row, EvoText *out, GError **error)
{
  if (p->filled == NULL) {
    *out = item_cell (p->rows, row, p->field);
    return TRUE;
  }
  if (p->filled[row] == NULL)
    p->filled[row] = p->rows->fill (p->rows->host, p->rows->template_text, row, error);
  if (p->filled[row] == NULL)
    return FALSE;
  *out = (EvoText){ p->filled[row]->str, p->filled[row]->len };
  return TRUE;
}

#endif
