/* SPDX-License-Identifier: Apache-2.0
 * steps.c - reading lists of steps from tokenizer.json.
 */
#include "core/nn/tokenizer/steps.h"

#include "core/base/error.h"
#include "core/base/text.h"

gboolean
evo_tokenizer_fail (const EvoJson *v, GError **error, const char *format, ...)
{
  g_autofree char *where = evo_json_where (v), *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: %s", where, evo_text_in_line (what));
}

static const EvoJson *
present (const EvoJson *object, const char *key)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL || evo_json_kind (v) == EVO_JSON_NULL ? NULL : v;
}

gboolean
evo_tokenizer_read_bool (const EvoJson *object, const char *key, gboolean *out, GError **error)
{
  const EvoJson *v = present (object, key);

  if (v == NULL)
    return TRUE;
  if (evo_json_kind (v) != EVO_JSON_BOOL)
    return evo_tokenizer_fail (v, error, "%s instead of true or false", evo_json_kind_name (evo_json_kind (v)));
  *out = evo_json_bool (v);
  return TRUE;
}

gboolean
evo_tokenizer_read_text (const EvoJson *object, const char *key, const char **out, GError **error)
{
  const EvoJson *v = present (object, key);

  if (v == NULL)
    return TRUE;
  if (evo_json_kind (v) != EVO_JSON_STRING)
    return evo_tokenizer_fail (v, error, "%s instead of a string", evo_json_kind_name (evo_json_kind (v)));
  *out = evo_json_string (v);
  return TRUE;
}

gboolean
evo_tokenizer_read_short_text (const EvoJson *object, const char *key, const char *fallback, char **out, GError **error)
{
  const char *text = fallback;

  if (!evo_tokenizer_read_text (object, key, &text, error))
    return FALSE;
  if (text == NULL || strlen (text) > EVO_TOKENIZER_SHORT_TEXT)
    return evo_tokenizer_fail (object, error, "needs \"%s\", a text of at most %d bytes", key, EVO_TOKENIZER_SHORT_TEXT);
  *out = g_strdup (text);
  return TRUE;
}

/* `what` ("normalizer") is for messages. */
static const EvoStepType *
find_type (const EvoStepType *table, const EvoJson *v, const char *what, GError **error)
{
  const char *type = evo_json_get_string (v, "type");
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *hint = NULL, *all = NULL;

  if (type == NULL) {
    evo_tokenizer_fail (v, error, "a %s is an object with a \"type\"", what);
    return NULL;
  }
  for (const EvoStepType *t = table; t->name != NULL; t++) {
    if (strcmp (t->name, type) == 0)
      return t;
    g_ptr_array_add (names, (gpointer) t->name);
  }
  g_ptr_array_add (names, NULL);
  hint = evo_did_you_mean (type, (const char *const *) names->pdata);
  all = g_strjoinv (", ", (char **) names->pdata);
  evo_tokenizer_fail (evo_json_member (v, "type"), error, "the %s \"%s\" is not supported; known are Sequence, %s%s", what, type, all,
                      hint);
  return NULL;
}

/* A Sequence holds steps, which may be Sequences: as deep as JSON may be, 64. */
gboolean
evo_steps_read (const EvoStepType *table, const EvoJson *v, const char *what, const char *list, GArray *steps, GError **error)
{
  const EvoStepType *type;
  const EvoJson *members;

  if (v == NULL || evo_json_kind (v) == EVO_JSON_NULL)
    return TRUE;
  if (g_strcmp0 (evo_json_get_string (v, "type"), "Sequence") != 0) {
    type = find_type (table, v, what, error);
    if (type == NULL)
      return FALSE;
    g_array_set_size (steps, steps->len + 1); /* zeroed; the list's clear function frees what a failed read leaves */
    gpointer step = steps->data + (steps->len - 1) * g_array_get_element_size (steps);

    *(int *) step = type->kind;
    return type->read == NULL || type->read (v, step, error);
  }
  members = evo_json_member (v, list);
  if (members == NULL || evo_json_kind (members) != EVO_JSON_ARRAY)
    return evo_tokenizer_fail (v, error, "a Sequence of %ss needs the list \"%s\"", what, list);
  for (guint i = 0; i < evo_json_size (members); i++)
    if (!evo_steps_read (table, evo_json_at (members, i), what, list, steps, error))
      return FALSE;
  return TRUE;
}
