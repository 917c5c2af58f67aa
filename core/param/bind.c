/* SPDX-License-Identifier: Apache-2.0
 * bind.c - JSON values become members of a plugin's struct, or a sentence about what would be right.
 */
#include "core/param/param.h"

#include "core/base/text.h"

/* Where a message points: the value in its file, or else the parameter's name. */
static char *
where_text (const EvoParam *p, const EvoJson *v)
{
  return v == NULL ? g_strdup (p->name) : evo_json_where (v);
}

static gboolean
refuse_type (const EvoParam *p, const EvoJson *v, const char *needed, GError **error)
{
  g_autofree char *where = where_text (p, v);

  return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "%s: needs %s, not %s", where, needed,
                        evo_json_kind_name (evo_json_kind (v)));
}

static gboolean
refuse_value (const EvoParam *p, double x, const EvoJson *v, EvoParamError code, const char *why, GError **error)
{
  g_autofree char *where = where_text (p, v);
  char number[EVO_NUMBER_TEXT];

  return evo_set_error (error, EVO_PARAM_ERROR, code, "%s: %s %s", where, evo_number_text (x, number), why);
}

/* ------------------------------------------------------------------ scalars */

static gboolean
check_limits (const EvoParam *p, double x, const EvoJson *v, GError **error)
{
  g_autofree char *range = NULL, *why = NULL;

  if (x >= p->min && x <= p->max)
    return TRUE;
  range = evo_param_range_text (p);
  if (isfinite (p->min) && isfinite (p->max))
    why = g_strconcat ("is outside ", range, NULL);
  else if (isnan (x))
    why = g_strdup ("is not a number");
  else
    why = g_strconcat (x < p->min ? "is too small: " : "is too large: ", range, NULL);
  return refuse_value (p, x, v, EVO_PARAM_ERROR_RANGE, why, error);
}

/* Whole numbers up to 2^53 - 1: beyond, neighbours are one double. */
static gboolean
check_whole (const EvoParam *p, double x, const EvoJson *v, GError **error)
{
  if (x != rint (x))
    return refuse_value (p, x, v, EVO_PARAM_ERROR_TYPE, "is not a whole number", error);
  if (x >= 0x1p53)
    return refuse_value (p, x, v, EVO_PARAM_ERROR_RANGE, "is too large: whole numbers end at 9007199254740991", error);
  if (x <= -0x1p53)
    return refuse_value (p, x, v, EVO_PARAM_ERROR_RANGE, "is too small: whole numbers start at -9007199254740991", error);
  return TRUE;
}

gboolean
evo_param_check_scalar (const EvoParam *p, double x, const EvoJson *v, GError **error)
{
  guint n = 0;

  switch (p->type) {
  case EVO_TYPE_BOOL:
    return x == 0 || x == 1 || refuse_value (p, x, v, EVO_PARAM_ERROR_RANGE, "is neither 0 nor 1, false nor true", error);
  case EVO_TYPE_NUMBER:
    return check_limits (p, x, v, error);
  case EVO_TYPE_INTEGER:
    return check_whole (p, x, v, error) && check_limits (p, x, v, error);
  case EVO_TYPE_CHOICE:
    n = g_strv_length ((char **) p->names);
    return (x >= 0 && x < n && x == rint (x)) || refuse_value (p, x, v, EVO_PARAM_ERROR_RANGE, "is no index of a choice", error);
  default:
    g_return_val_if_reached (FALSE);
  }
}

static gboolean
number_from_json (const EvoParam *p, const EvoJson *v, double *out, GError **error)
{
  double x;

  if (evo_json_kind (v) != EVO_JSON_NUMBER)
    return refuse_type (p, v, p->type == EVO_TYPE_INTEGER ? "a whole number" : "a number", error);
  x = evo_json_number (v);
  if (!evo_param_check_scalar (p, x, v, error))
    return FALSE;
  *out = x;
  return TRUE;
}

static gboolean
choice_from_json (const EvoParam *p, const EvoJson *v, double *out, GError **error)
{
  g_autofree char *needed = evo_param_range_text (p), *where = NULL, *names = NULL, *tail = NULL, *given = NULL;
  const char *name = evo_json_string (v);

  if (name == NULL)
    return refuse_type (p, v, needed, error);
  for (guint i = 0; p->names[i] != NULL; i++)
    if (g_str_equal (p->names[i], name)) {
      *out = i;
      return TRUE;
    }
  where = where_text (p, v);
  names = g_strjoinv (", ", (char **) p->names);
  tail = evo_did_you_mean (name, p->names);
  given = evo_json_quoted (name);
  return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s: %s is none of %s%s", where, given, names, tail);
}

gboolean
evo_param_scalar_from_json (const EvoParam *p, const EvoJson *v, double *out, GError **error)
{
  switch (p->type) {
  case EVO_TYPE_BOOL:
    if (evo_json_kind (v) != EVO_JSON_BOOL)
      return refuse_type (p, v, "true or false", error);
    *out = evo_json_bool (v);
    return TRUE;
  case EVO_TYPE_NUMBER:
  case EVO_TYPE_INTEGER:
    return number_from_json (p, v, out, error);
  case EVO_TYPE_CHOICE:
    return choice_from_json (p, v, out, error);
  default:
    g_return_val_if_reached (FALSE);
  }
}

/* ------------------------------------------------------------------ texts and lists */

static gpointer
keep (GPtrArray *arena, gpointer p)
{
  g_ptr_array_add (arena, p);
  return p;
}

static gboolean
bind_string (const EvoParam *p, gpointer object, const EvoJson *v, GPtrArray *arena, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_STRING)
    return refuse_type (p, v, "a string", error);
  *(const char **) ((char *) object + p->offset) = keep (arena, g_strdup (evo_json_string (v)));
  return TRUE;
}

static gboolean
bind_file (const EvoParam *p, gpointer object, const EvoJson *v, const char *folder, GPtrArray *arena, GError **error)
{
  const char *name = evo_json_string (v);
  g_autofree char *where = NULL, *absolute = NULL;

  if (name == NULL)
    return refuse_type (p, v, "the name of a file", error);
  if (*name == '\0') {
    where = where_text (p, v);
    return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s: needs the name of a file, not an empty string", where);
  }
  absolute = g_canonicalize_filename (folder == NULL ? "." : folder, NULL);
  *(const char **) ((char *) object + p->offset) = keep (arena, g_canonicalize_filename (name, absolute));
  return TRUE;
}

static gboolean
bind_strings (const EvoParam *p, gpointer object, const EvoJson *v, GPtrArray *arena, GError **error)
{
  guint n = evo_json_size (v);
  const char **items;

  if (evo_json_kind (v) != EVO_JSON_ARRAY)
    return refuse_type (p, v, "a list of strings", error);
  items = keep (arena, g_new0 (const char *, n + 1));
  for (guint i = 0; i < n; i++) {
    const EvoJson *item = evo_json_at (v, i);

    if (evo_json_kind (item) != EVO_JSON_STRING)
      return refuse_type (p, item, "a string", error);
    items[i] = keep (arena, g_strdup (evo_json_string (item)));
  }
  *(EvoStrings *) ((char *) object + p->offset) = (EvoStrings){ items, n };
  return TRUE;
}

static gboolean
bind_numbers (const EvoParam *p, gpointer object, const EvoJson *v, GPtrArray *arena, GError **error)
{
  EvoParam each = *p;
  gboolean is_one = evo_json_kind (v) == EVO_JSON_NUMBER;
  guint n = is_one ? 1 : evo_json_size (v);
  double *items;

  if (!is_one && evo_json_kind (v) != EVO_JSON_ARRAY)
    return refuse_type (p, v, "a number or a list of numbers", error);
  each.type = EVO_TYPE_NUMBER;
  items = keep (arena, g_new0 (double, n + 1));
  for (guint i = 0; i < n; i++)
    if (!number_from_json (&each, is_one ? v : evo_json_at (v, i), &items[i], error))
      return FALSE;
  *(EvoNumbers *) ((char *) object + p->offset) = (EvoNumbers){ items, n };
  return TRUE;
}

gboolean
evo_param_bind (const EvoParam *p, gpointer object, const EvoJson *v, const char *folder, GPtrArray *arena, GError **error)
{
  double x;

  switch (p->type) {
  case EVO_TYPE_STRING:
    return bind_string (p, object, v, arena, error);
  case EVO_TYPE_FILE:
    return bind_file (p, object, v, folder, arena, error);
  case EVO_TYPE_STRINGS:
    return bind_strings (p, object, v, arena, error);
  case EVO_TYPE_NUMBERS:
    return bind_numbers (p, object, v, arena, error);
  default:
    if (!evo_param_scalar_from_json (p, v, &x, error))
      return FALSE;
    evo_param_set_scalar (p, object, x);
    return TRUE;
  }
}
