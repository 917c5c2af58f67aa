/* SPDX-License-Identifier: Apache-2.0
 * template.c - prompt templates: text with {field}, {{ and }}.
 */
#include "core/graph/data/template.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/data/rows-read.h"

enum { MOST_TEMPLATE_BYTES = 1 << 20 };

typedef enum { TEXT, FIELD, END, BROKEN } Kind;
typedef struct { Kind kind; const char *bytes; gsize n; const char *what; } Piece;

static Piece
broken (const char *at, const char *what)
{
  return (Piece){ BROKEN, at, 0, what };
}

/* What stands at `at`, which moves behind it. */
static Piece
next_piece (const char **at)
{
  const char *first = *at, *close;

  if (*first == '\0')
    return (Piece){ END, first, 0, NULL };
  if ((first[0] == '{' && first[1] == '{') || (first[0] == '}' && first[1] == '}')) {
    *at += 2;
    return (Piece){ TEXT, first, 1, NULL };
  }
  if (*first == '}')
    return broken (first, "a } without {; write }} for a brace, {question} for a field");
  if (*first != '{') {
    gsize n = strcspn (first, "{}");

    *at += n;
    return (Piece){ TEXT, first, n, NULL };
  }
  close = first + 1 + strcspn (first + 1, "{}\n");
  if (*close != '}')
    return broken (first, "a { without }; write {{ for a brace, {question} for a field");
  if (close == first + 1)
    return broken (first, "{} names no field; write {question}, or {{}} for the braces");
  *at = close + 1;
  return (Piece){ FIELD, first + 1, (gsize) (close - first - 1), NULL };
}

static gint64
line_of (const char *text, const char *at)
{
  gint64 line = 1;

  for (const char *c = text; c < at; c++)
    line += *c == '\n';
  return line;
}

static gboolean
fail_broken (const char *path, const char *text, const Piece *p, GError **error)
{
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s:%" G_GINT64_FORMAT ": %s", path, line_of (text, p->bytes), p->what);
}

char *
evo_template_open (const char *path, GError **error)
{
  gsize n;
  g_autofree char *text = evo_read_text_file (path, MOST_TEMPLATE_BYTES, &n, error);
  const char *at = text;

  if (text == NULL)
    return NULL;
  if (n > 0 && text[n - 1] == '\n')
    text[--n] = '\0';
  if (n > 0 && text[n - 1] == '\r')
    text[--n] = '\0';
  for (;;) {
    Piece p = next_piece (&at);

    if (p.kind == END)
      return g_steal_pointer (&text);
    if (p.kind == BROKEN) {
      fail_broken (path, text, &p, error);
      return NULL;
    }
  }
}

static gboolean
fail_unknown (const EvoData *data, const Piece *p, GError **error)
{
  g_autofree char *name = g_strndup (p->bytes, MIN (p->n, 100)), *tail = NULL, *list = NULL;
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; i < data->fields->len; i++)
    g_ptr_array_add (names, data->fields->pdata[i]);
  g_ptr_array_add (names, NULL);
  tail = evo_did_you_mean (name, (const char *const *) names->pdata);
  list = g_strjoinv (", ", (char **) names->pdata);
  return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "the template asks for {%s}, %s has no such field%s%s%s", name,
                        data->file, tail, tail[0] == '\0' ? "; it has " : "", tail[0] == '\0' ? list : "");
}

static gboolean
append_field (GString *out, const EvoData *data, gint64 row, const Piece *p, GError **error)
{
  g_autofree char *name = g_strndup (p->bytes, p->n);
  guint known = GPOINTER_TO_UINT (g_hash_table_lookup (data->by_name, name));
  const EvoText *cell;

  if (known == 0)
    return fail_unknown (data, p, error);
  cell = &data->table[(gsize) row * data->fields->len + known - 1];
  g_string_append_len (out, cell->bytes, (gssize) cell->n);
  return TRUE;
}

GString *
evo_template_fill (const char *template_text, const EvoData *data, gint64 row, GError **error)
{
  GString *out = g_string_new (NULL);
  const char *at = template_text;
  gboolean good = TRUE;

  g_return_val_if_fail (row >= 0 && row < data->n_rows, NULL);
  while (good) {
    Piece p = next_piece (&at);

    if (p.kind == END)
      return out;
    if (p.kind == TEXT)
      g_string_append_len (out, p.bytes, (gssize) p.n);
    else if (p.kind == FIELD)
      good = append_field (out, data, row, &p, error);
    else
      good = fail_broken ("template", template_text, &p, error);
  }
  g_string_free (out, TRUE);
  return NULL;
}
