/* SPDX-License-Identifier: Apache-2.0
 * keys.c - single values of a pipeline by their type, and messages that say where they stand.
 */
#include <math.h>
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

static gboolean
wrong_type (const EvoJson *v, const char *right, GError **error)
{
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs %s, not %s", right, evo_json_kind_name (evo_json_kind (v)));
}

gboolean
evo_read_text (const EvoJson *v, const char **out, GError **error)
{
  const char *text = evo_json_string (v);

  if (text == NULL)
    return wrong_type (v, "a string", error);
  if (*text == '\0')
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "must not be empty");
  *out = text;
  return TRUE;
}

gboolean
evo_read_flag (const EvoJson *v, gboolean *out, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_BOOL)
    return wrong_type (v, "true or false", error);
  *out = evo_json_bool (v);
  return TRUE;
}

gboolean
evo_read_whole (const EvoJson *v, gint64 min, gint64 *out, GError **error)
{
  char text[EVO_NUMBER_TEXT];
  gint64 x;

  if (evo_json_kind (v) != EVO_JSON_NUMBER)
    return wrong_type (v, "a whole number", error);
  if (evo_json_is_integer (v, &x) && x >= min) {
    *out = x;
    return TRUE;
  }
  evo_number_text (evo_json_number (v), text);
  if (evo_json_number (v) != rint (evo_json_number (v)))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "%s is not a whole number", text);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is outside %" G_GINT64_FORMAT " ... 9007199254740991", text, min);
}

gboolean
evo_read_positive (const EvoJson *v, double *out, GError **error)
{
  double x = evo_json_number (v);

  if (evo_json_kind (v) != EVO_JSON_NUMBER)
    return wrong_type (v, "a number", error);
  if (!(x > 0)) {
    g_autofree char *text = evo_json_text (v);

    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is not above 0", text);
  }
  *out = x;
  return TRUE;
}

gboolean
evo_read_one_of (const EvoJson *v, const char *const *names, guint32 *out, GError **error)
{
  const char *text;
  g_autofree char *tail = NULL, *quoted = NULL, *all = NULL;

  if (!evo_read_text (v, &text, error))
    return FALSE;
  for (guint i = 0; names[i] != NULL; i++)
    if (g_str_equal (text, names[i])) {
      *out = i;
      return TRUE;
    }
  tail = evo_did_you_mean (text, names);
  quoted = evo_json_quoted (text);
  all = g_strjoinv (", ", (char **) names);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is none of %s%s", quoted, all, tail);
}

static gboolean
parse_size (const char *text, double *out)
{
  static const struct { const char *unit; double bytes; } units[] = { { "B", 1 }, { "KB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 }, { "TB", 1e12 },
                                                                      { "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 } };
  char *end;
  double v;

  if (!g_ascii_isdigit (*text)) /* g_ascii_strtod would take blanks, signs and "nan" */
    return FALSE;
  v = g_ascii_strtod (text, &end);
  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    if (g_ascii_strcasecmp (end, units[i].unit) == 0) {
      *out = v * units[i].bytes;
      return TRUE;
    }
  return FALSE;
}

gboolean
evo_read_size (const EvoJson *v, guint64 *out, GError **error)
{
  double bytes = evo_json_number (v);
  g_autofree char *text = NULL;

  if (evo_json_kind (v) != EVO_JSON_STRING && evo_json_kind (v) != EVO_JSON_NUMBER)
    return wrong_type (v, "a size such as \"5GB\"", error);
  if (evo_json_kind (v) == EVO_JSON_STRING ? parse_size (evo_json_string (v), &bytes) && bytes >= 1 && bytes < 0x1p53
                                           : evo_json_is_integer (v, NULL) && bytes >= 1) {
    *out = (guint64) bytes;
    return TRUE;
  }
  text = evo_json_kind (v) == EVO_JSON_STRING ? evo_json_quoted (evo_json_string (v)) : evo_json_text (v);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is no size; write \"5GB\", \"300MB\" or a number of bytes", text);
}

gboolean
evo_read_note (const EvoJson *v, GError **error)
{
  return evo_json_kind (v) == EVO_JSON_STRING || wrong_type (v, "a string", error);
}

/* ------------------------------------------------------------------ names */

gboolean
evo_is_plain_name (const char *name)
{
  gsize n = strlen (name);

  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum (name[i]) && name[i] != '_' && (name[i] != '-' || i == 0))
      return FALSE;
  return n > 0 && n <= 100;
}

char *
evo_names_hint (const char *name, const char *const *names)
{
  enum { MOST = 12 };
  g_autofree char *near = evo_did_you_mean (name, names);
  GString *all;

  if (*near != '\0' || names[0] == NULL)
    return g_steal_pointer (&near);
  all = g_string_new ("; there is ");
  for (guint i = 0; names[i] != NULL && i < MOST; i++)
    g_string_append_printf (all, "%s%s", i == 0 ? "" : ", ", names[i]);
  if (g_strv_length ((char **) names) > MOST)
    g_string_append (all, ", ...");
  return g_string_free (all, FALSE);
}

gboolean
evo_read_object (const EvoJson *v, const char *const *keys, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return wrong_type (v, "an object", error);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);
    const char *key = evo_json_key (member);

    if (g_str_equal (key, "note")) {
      if (!evo_read_note (member, error))
        return FALSE;
    } else if (!g_strv_contains (keys, key)) {
      g_autofree char *hint = evo_names_hint (key, keys), *quoted = evo_json_quoted (key);

      return evo_fail_at (error, member, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "there is no key %s here%s", quoted, hint);
    }
  }
  return TRUE;
}
