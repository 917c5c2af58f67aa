/* SPDX-License-Identifier: Apache-2.0
 * param.c - what a parameter table says about its parameters: names, defaults, ranges, and their place in the plugin's struct.
 */
#include "core/param/param.h"

#include <string.h>

#include "core/base/text.h"

guint
evo_param_count (const EvoParam *table)
{
  guint n = 0;

  while (table != NULL && table[n].name != NULL)
    n++;
  return n;
}

const EvoParam *
evo_param_find (const EvoParam *table, const char *name)
{
  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++)
    if (strcmp (p->name, name) == 0)
      return p;
  return NULL;
}

const char *
evo_param_type_name (guint32 type)
{
  static const char *const names[] = { NULL, "boolean", "number", "integer", "choice", "string", "file", "strings", "numbers" };

  g_return_val_if_fail (type >= EVO_TYPE_BOOL && type < G_N_ELEMENTS (names), NULL);
  return names[type];
}

gboolean
evo_param_is_numeric (const EvoParam *p)
{
  return p->type == EVO_TYPE_BOOL || p->type == EVO_TYPE_NUMBER || p->type == EVO_TYPE_INTEGER || p->type == EVO_TYPE_CHOICE;
}

/* ------------------------------------------------------------------ members of the plugin's struct */

void
evo_param_set_scalar (const EvoParam *p, gpointer object, double value)
{
  gpointer member = (char *) object + p->offset;

  switch (p->type) {
  case EVO_TYPE_BOOL:
    *(gboolean *) member = value != 0;
    return;
  case EVO_TYPE_NUMBER:
    *(double *) member = value;
    return;
  case EVO_TYPE_INTEGER:
    g_return_if_fail (fabs (value) <= 0x1p53);
    *(gint64 *) member = (gint64) value;
    return;
  case EVO_TYPE_CHOICE:
    g_return_if_fail (value >= 0 && value <= G_MAXUINT32);
    *(guint32 *) member = (guint32) value;
    return;
  default:
    g_return_if_reached ();
  }
}

double
evo_param_get_scalar (const EvoParam *p, gconstpointer object)
{
  gconstpointer member = (const char *) object + p->offset;

  switch (p->type) {
  case EVO_TYPE_BOOL:
    return *(const gboolean *) member;
  case EVO_TYPE_NUMBER:
    return *(const double *) member;
  case EVO_TYPE_INTEGER:
    return (double) *(const gint64 *) member;
  case EVO_TYPE_CHOICE:
    return *(const guint32 *) member;
  default:
    g_return_val_if_reached (0);
  }
}

static void
set_default (const EvoParam *p, gpointer object)
{
  gpointer member = (char *) object + p->offset;

  switch (p->type) {
  case EVO_TYPE_STRING:
  case EVO_TYPE_FILE:
    *(const char **) member = p->def_string;
    return;
  case EVO_TYPE_STRINGS:
    *(EvoStrings *) member = (EvoStrings){ NULL, 0 };
    return;
  case EVO_TYPE_NUMBERS:
    *(EvoNumbers *) member = (EvoNumbers){ NULL, 0 };
    return;
  default:
    evo_param_set_scalar (p, object, p->def);
  }
}

void
evo_param_set_defaults (const EvoParam *table, gpointer object)
{
  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++)
    set_default (p, object);
}

/* ------------------------------------------------------------------ as text */

static char *
limits_text (const EvoParam *p, const char *any)
{
  char low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];

  evo_number_text (p->min, low);
  evo_number_text (p->max, high);
  if (!isfinite (p->min) && !isfinite (p->max))
    return g_strdup (any);
  if (!isfinite (p->max))
    return g_strdup_printf ("at least %s", low);
  if (!isfinite (p->min))
    return g_strdup_printf ("at most %s", high);
  return g_strdup_printf ("%s ... %s", low, high);
}

char *
evo_param_range_text (const EvoParam *p)
{
  g_autofree char *names = NULL, *limits = NULL;

  switch (p->type) {
  case EVO_TYPE_BOOL:
    return g_strdup ("true or false");
  case EVO_TYPE_NUMBER:
    return limits_text (p, "any number");
  case EVO_TYPE_INTEGER:
    return limits_text (p, "any whole number");
  case EVO_TYPE_CHOICE:
    names = g_strjoinv (", ", (char **) p->names);
    return g_strconcat ("one of ", names, NULL);
  case EVO_TYPE_STRING:
    return g_strdup ("any text");
  case EVO_TYPE_FILE:
    return g_strdup ("a file");
  case EVO_TYPE_STRINGS:
    return g_strdup ("a list of texts");
  case EVO_TYPE_NUMBERS:
    limits = limits_text (p, "");
    return g_strconcat ("a number or a list of them", *limits == '\0' ? "" : ", each ", limits, NULL);
  default:
    g_return_val_if_reached (NULL);
  }
}

char *
evo_param_default_text (const EvoParam *p)
{
  char number[EVO_NUMBER_TEXT];

  if (p->flags & EVO_PARAM_REQUIRED)
    return g_strdup ("none");
  switch (p->type) {
  case EVO_TYPE_BOOL:
    return g_strdup (p->def != 0 ? "true" : "false");
  case EVO_TYPE_NUMBER:
  case EVO_TYPE_INTEGER:
    return g_strdup (evo_number_text (p->def, number));
  case EVO_TYPE_CHOICE:
    return g_strdup (p->names[(guint) p->def]);
  default:
    return g_strdup (p->def_string == NULL ? "none" : p->def_string);
  }
}
