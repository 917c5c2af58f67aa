/* SPDX-License-Identifier: Apache-2.0
 * table.c - judges the parameter table of a plugin before anything is bound by it.
 *
 * The table comes from a file that may be wrong or hostile. Whether its pointers lead anywhere is the loader's to say; here they do.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/param/param.h"

enum { MOST_PARAMS = 256, MOST_CHOICES = 256, LONGEST_NAME = 64 };

static gboolean
refuse (const EvoParam *p, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
refuse (const EvoParam *p, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION, "parameter %s: %s", p->name, what);
}

/* ------------------------------------------------------------------ names */

static gboolean
is_snake_case (const char *name)
{
  if (!g_ascii_islower (name[0]))
    return FALSE;
  for (const char *p = name; *p != '\0'; p++)
    if (!g_ascii_islower (*p) && !g_ascii_isdigit (*p) && (*p != '_' || p[1] == '_' || p[1] == '\0'))
      return FALSE;
  return TRUE;
}

static gboolean
judge_name (const EvoParam *table, guint i, GError **error)
{
  static const char *const reserved[] = { "use", "in", "base", "seed", "dtype", "note", NULL };
  const EvoParam *p = &table[i];

  if (strnlen (p->name, LONGEST_NAME + 1) > LONGEST_NAME)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION, "parameter %u: its name is longer than %d bytes", i + 1,
                          LONGEST_NAME);
  if (!is_snake_case (p->name)) {
    g_autofree char *shown = g_strescape (p->name, NULL);

    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION,
                          "parameter %u: \"%s\" is not snake_case: small letters, digits, single underscores between them", i + 1, shown);
  }
  if (g_strv_contains (reserved, p->name))
    return refuse (p, error, "this name is the pipeline's own; choose another");
  for (guint j = 0; j < i; j++)
    if (strcmp (table[j].name, p->name) == 0)
      return refuse (p, error, "it is declared twice");
  if (p->doc == NULL || *p->doc == '\0')
    return refuse (p, error, "it has no doc; one sentence says what it does");
  return g_utf8_validate (p->doc, -1, NULL) || refuse (p, error, "its doc is not UTF-8");
}

/* ------------------------------------------------------------------ the member */

static gsize
member_size (guint32 type)
{
  switch (type) {
  case EVO_TYPE_BOOL:
    return sizeof (gboolean);
  case EVO_TYPE_NUMBER:
    return sizeof (double);
  case EVO_TYPE_INTEGER:
    return sizeof (gint64);
  case EVO_TYPE_CHOICE:
    return sizeof (guint32);
  case EVO_TYPE_STRING:
  case EVO_TYPE_FILE:
    return sizeof (const char *);
  case EVO_TYPE_STRINGS:
    return sizeof (EvoStrings);
  case EVO_TYPE_NUMBERS:
    return sizeof (EvoNumbers);
  default:
    return 0;
  }
}

static gboolean
judge_member (const EvoParam *table, guint i, gsize size, GError **error)
{
  const EvoParam *p = &table[i];
  gsize n = member_size (p->type), alignment = MIN (n, sizeof (gpointer));

  if (n == 0)
    return refuse (p, error, "%u is no type of parameter", p->type);
  if (p->offset > size || n > size - p->offset)
    return refuse (p, error, "its member (%" G_GSIZE_FORMAT " bytes at %u) ends outside its struct of %" G_GSIZE_FORMAT " bytes", n, p->offset,
                   size);
  if (p->offset % alignment != 0)
    return refuse (p, error, "its member at %u is not aligned to %" G_GSIZE_FORMAT " bytes", p->offset, alignment);
  for (guint j = 0; j < i; j++)
    if (p->offset < table[j].offset + member_size (table[j].type) && table[j].offset < p->offset + n)
      return refuse (p, error, "its member overlaps that of %s", table[j].name);
  if ((p->flags & ~(guint32) (EVO_PARAM_TUNABLE | EVO_PARAM_REQUIRED | EVO_PARAM_TENSORS)) != 0)
    return refuse (p, error, "0x%x are no flags of a parameter", p->flags);
  if ((p->flags & EVO_PARAM_TENSORS) && p->type != EVO_TYPE_FILE)
    return refuse (p, error, "only a file holds tensors, not a parameter of type %s", evo_param_type_name (p->type));
  return TRUE;
}

/* ------------------------------------------------------------------ values */

static gboolean
judge_choices (const EvoParam *p, GError **error)
{
  guint n = 0;

  if (p->names == NULL || p->names[0] == NULL)
    return refuse (p, error, "a choice needs names");
  for (; p->names[n] != NULL; n++) {
    if (n == MOST_CHOICES)
      return refuse (p, error, "more than %d choices; does the list end with NULL?", MOST_CHOICES);
    if (*p->names[n] == '\0' || !g_utf8_validate (p->names[n], -1, NULL))
      return refuse (p, error, "name %u of its choices is empty or not UTF-8", n + 1);
    for (guint j = 0; j < n; j++)
      if (strcmp (p->names[j], p->names[n]) == 0)
        return refuse (p, error, "its choice \"%s\" is named twice", p->names[n]);
  }
  if (p->flags & EVO_PARAM_REQUIRED)
    return TRUE;
  return (p->def >= 0 && p->def < n && p->def == rint (p->def)) || refuse (p, error, "its default %g is no index of its %u choices", p->def, n);
}

static gboolean
judge_limits (const EvoParam *p, GError **error)
{
  if (isnan (p->min) || isnan (p->max))
    return refuse (p, error, "one of its limits is not a number");
  if (p->min > p->max)
    return refuse (p, error, "its limits %g ... %g are reversed", p->min, p->max);
  return TRUE;
}

static gboolean
judge_default (const EvoParam *p, GError **error)
{
  g_autofree char *range = NULL;
  char number[EVO_NUMBER_TEXT];

  if (p->flags & EVO_PARAM_REQUIRED)
    return TRUE;
  evo_number_text (p->def, number);
  if (p->type == EVO_TYPE_BOOL && p->def != 0 && p->def != 1)
    return refuse (p, error, "its default %s is neither 0 nor 1", number);
  if (p->type == EVO_TYPE_INTEGER && (p->def != rint (p->def) || fabs (p->def) >= 0x1p53))
    return refuse (p, error, "its default %s is not a whole number below 2^53", number);
  if (p->def >= p->min && p->def <= p->max)
    return TRUE;
  range = evo_param_range_text (p);
  return refuse (p, error, "its default %s is outside its limits (%s)", number, range);
}

static gboolean
judge_search (const EvoParam *p, GError **error)
{
  double low = p->search_low, high = p->search_high;

  if (!(p->flags & EVO_PARAM_TUNABLE))
    return TRUE;
  if (!evo_param_is_numeric (p))
    return refuse (p, error, "only booleans, numbers, integers and choices can be searched, not a parameter of type %s",
                   evo_param_type_name (p->type));
  if (!isfinite (low) || !isfinite (high))
    return refuse (p, error, "its search range %g ... %g is not finite", low, high);
  if (low >= high)
    return refuse (p, error, "its search range %g ... %g is empty or reversed", low, high);
  if (low < p->min || high > p->max)
    return refuse (p, error, "its search range %g ... %g leaves its limits %g ... %g", low, high, p->min, p->max);
  return TRUE;
}

static gboolean
judge_values (const EvoParam *p, GError **error)
{
  switch (p->type) {
  case EVO_TYPE_BOOL:
  case EVO_TYPE_NUMBER:
  case EVO_TYPE_INTEGER:
    return judge_limits (p, error) && judge_default (p, error) && judge_search (p, error);
  case EVO_TYPE_CHOICE:
    return judge_choices (p, error) && judge_limits (p, error) && judge_search (p, error);
  case EVO_TYPE_NUMBERS:
    return judge_limits (p, error) && judge_search (p, error);
  default:
    if (p->def_string != NULL && !g_utf8_validate (p->def_string, -1, NULL))
      return refuse (p, error, "its default is not UTF-8");
    return judge_search (p, error);
  }
}

gboolean
evo_param_table_check (const EvoParam *table, gsize size, GError **error)
{
  guint i = 0;

  for (; table != NULL && table[i].name != NULL; i++) {
    if (i == MOST_PARAMS)
      return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION,
                            "more than %d parameters; does the table end with EVO_PARAMS_END?", MOST_PARAMS);
    if (!judge_name (table, i, error) || !judge_member (table, i, size, error) || !judge_values (&table[i], error))
      return FALSE;
  }
  if (table != NULL && table[i].type != 0)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION, "parameter %u: it has no name", i + 1);
  return TRUE;
}
