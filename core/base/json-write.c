/* SPDX-License-Identifier: Apache-2.0
 * json-write.c - JSON as text: numbers that read back as they were, texts that are always well-formed UTF-8.
 */
#include <math.h>
#include <string.h>

#include "core/base/json-tree.h"
#include "core/base/text.h"

void
evo_json_writer_init (EvoJsonWriter *w, GString *out, gboolean pretty)
{
  *w = (EvoJsonWriter){ .out = out, .pretty = pretty, .first = TRUE };
}

static void
new_line (EvoJsonWriter *w)
{
  if (!w->pretty)
    return;
  g_string_append_c (w->out, '\n');
  for (guint i = 0; i < w->depth; i++)
    g_string_append (w->out, "  ");
}

/* What stands between the last thing written and the next value or key. */
static void
separate (EvoJsonWriter *w)
{
  if (!w->after_key) {
    if (!w->first)
      g_string_append_c (w->out, ',');
    if (w->depth > 0)
      new_line (w);
  }
  w->after_key = FALSE;
  w->first = FALSE;
}

static void
begin (EvoJsonWriter *w, char open)
{
  separate (w);
  g_string_append_c (w->out, open);
  w->depth++;
  w->first = TRUE;
}

static void
end (EvoJsonWriter *w, char close)
{
  g_return_if_fail (w->depth > 0 && !w->after_key);
  w->depth--;
  if (!w->first)
    new_line (w);
  g_string_append_c (w->out, close);
  w->first = FALSE;
}

void
evo_json_begin_object (EvoJsonWriter *w)
{
  begin (w, '{');
}

void
evo_json_end_object (EvoJsonWriter *w)
{
  end (w, '}');
}

void
evo_json_begin_array (EvoJsonWriter *w)
{
  begin (w, '[');
}

void
evo_json_end_array (EvoJsonWriter *w)
{
  end (w, ']');
}

static void
append_control (GString *out, guchar b)
{
  static const char names[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
  const char *at = memchr (names, b, sizeof names - 1);

  if (at != NULL)
    g_string_append_printf (out, "\\%c", letters[at - names]);
  else
    g_string_append_printf (out, "\\u%04x", b);
}

static void
append_quoted (GString *out, const char *s, gsize n)
{
  const char *end_of_text = s + n;
  gsize length;

  g_string_append_c (out, '"');
  for (const char *p = s; p < end_of_text; p += length) {
    gboolean ok = evo_json_utf8 (p, end_of_text, &length);

    if (!ok || *p == '\0')
      g_string_append (out, "\xef\xbf\xbd");
    else if ((guchar) *p < 0x20 || *p == '"' || *p == '\\')
      append_control (out, (guchar) *p);
    else
      g_string_append_len (out, p, (gssize) length);
  }
  g_string_append_c (out, '"');
}

void
evo_json_add_key (EvoJsonWriter *w, const char *key)
{
  g_return_if_fail (w->depth > 0 && !w->after_key);
  separate (w);
  append_quoted (w->out, key, strlen (key));
  g_string_append (w->out, w->pretty ? ": " : ":");
  w->after_key = TRUE;
}

void
evo_json_add_text (EvoJsonWriter *w, const char *s, gsize n)
{
  separate (w);
  append_quoted (w->out, s, n);
}

static void
add_raw (EvoJsonWriter *w, const char *text, gsize n)
{
  separate (w);
  g_string_append_len (w->out, text, (gssize) n);
}

void
evo_json_add_string (EvoJsonWriter *w, const char *s)
{
  if (s == NULL)
    evo_json_add_null (w);
  else
    evo_json_add_text (w, s, strlen (s));
}

void
evo_json_add_number (EvoJsonWriter *w, double x)
{
  char buffer[EVO_NUMBER_TEXT];

  if (!isfinite (x)) {
    evo_json_add_null (w);
    return;
  }
  evo_number_text (x, buffer);
  add_raw (w, buffer, strlen (buffer));
}

void
evo_json_add_integer (EvoJsonWriter *w, gint64 x)
{
  char buffer[EVO_NUMBER_TEXT];
  int n = g_snprintf (buffer, sizeof buffer, "%" G_GINT64_FORMAT, x);

  add_raw (w, buffer, (gsize) n);
}

void
evo_json_add_bool (EvoJsonWriter *w, gboolean x)
{
  add_raw (w, x ? "true" : "false", x ? 4 : 5);
}

void
evo_json_add_null (EvoJsonWriter *w)
{
  add_raw (w, "null", 4);
}

static void
add_children (EvoJsonWriter *w, const EvoJson *v)
{
  begin (w, v->kind == EVO_JSON_OBJECT ? '{' : '[');
  for (guint i = 0; i < v->n; i++) {
    if (v->kind == EVO_JSON_OBJECT)
      evo_json_add_key (w, v->u.items[i].key);
    evo_json_add_value (w, &v->u.items[i]);
  }
  end (w, v->kind == EVO_JSON_OBJECT ? '}' : ']');
}

/* Calls itself as deep as the document is nested: 64 at most. */
void
evo_json_add_value (EvoJsonWriter *w, const EvoJson *v)
{
  switch ((EvoJsonKind) v->kind) {
  case EVO_JSON_NULL:
    evo_json_add_null (w);
    return;
  case EVO_JSON_BOOL:
    evo_json_add_bool (w, v->truth);
    return;
  case EVO_JSON_NUMBER:
    add_raw (w, v->u.text, v->n);
    return;
  case EVO_JSON_STRING:
    evo_json_add_string (w, v->u.text);
    return;
  case EVO_JSON_ARRAY:
  case EVO_JSON_OBJECT:
    add_children (w, v);
    return;
  }
}

char *
evo_json_quoted (const char *text)
{
  enum { LONGEST = 60 };
  gsize n = strlen (text), shown = 0, length;
  g_autoptr (GString) out = g_string_new (NULL);
  EvoJsonWriter w;

  while (shown < n && shown < LONGEST && evo_json_utf8 (text + shown, text + n, &length))
    shown += length;
  evo_json_writer_init (&w, out, FALSE);
  evo_json_add_text (&w, text, shown);
  if (shown < n)
    g_string_insert (out, (gssize) out->len - 1, "...");
  return g_string_free (g_steal_pointer (&out), FALSE);
}
