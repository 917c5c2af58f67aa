/* SPDX-License-Identifier: Apache-2.0
 * text.c - what stands in a tree of YAML: members, numbers, flags, nothing.
 */
#include <math.h>
#include <string.h>

#include "core/graph/recipe/yaml.h"

void
evo_yaml_free (EvoYamlDoc *doc)
{
  if (doc == NULL)
    return;
  g_ptr_array_unref (doc->roots);
  g_ptr_array_unref (doc->nodes);
  g_free (doc->name);
  g_free (doc);
}

static gboolean
is_null (const EvoYaml *v)
{
  static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };

  return v == NULL || (v->kind == EVO_YAML_TEXT && v->plain && g_strv_contains (words, v->text));
}

const EvoYaml *
evo_yaml_member (const EvoYaml *map, const char *key)
{
  for (guint i = 0; map != NULL && map->kind == EVO_YAML_MAP && i < map->keys->len; i++)
    if (strcmp (((const EvoYaml *) map->keys->pdata[i])->text, key) == 0)
      return is_null (map->items->pdata[i]) ? NULL : map->items->pdata[i];
  return NULL;
}

const char *
evo_yaml_text (const EvoYaml *v)
{
  return v != NULL && v->kind == EVO_YAML_TEXT ? v->text : NULL;
}

const char *
evo_yaml_kind_name (const EvoYaml *v)
{
  return is_null (v) ? "nothing" : v->kind == EVO_YAML_LIST ? "a list" : v->kind == EVO_YAML_MAP ? "a map" : "a text";
}

/* YAML 1.1's words; "y" and "n" alone are texts to the reader that mergekit uses. */
static gboolean
word (const EvoYaml *v, gboolean *out)
{
  static const char *const yes[] = { "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL };
  static const char *const no[] = { "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL };

  if (v->kind != EVO_YAML_TEXT || !v->plain)
    return FALSE;
  *out = g_strv_contains (yes, v->text);
  return *out || g_strv_contains (no, v->text);
}

/* Digits, a point, an exponent, and nothing else. A leading zero would be octal in YAML 1.1: not taken for decimal. */
static gboolean
is_decimal (const char *t)
{
  const char *p = t + (*t == '+' || *t == '-'), *first = p;
  gsize whole = strspn (p, "0123456789"), part = 0;

  p += whole;
  if (*p == '.')
    part = strspn (++p, "0123456789");
  else if (whole > 1 && *first == '0')
    return FALSE;
  p += part;
  if (whole + part == 0)
    return FALSE;
  if (*p == 'e' || *p == 'E') {
    gsize digits;

    p += 1 + (p[1] == '+' || p[1] == '-');
    digits = strspn (p, "0123456789");
    if (digits == 0)
      return FALSE;
    p += digits;
  }
  return *p == '\0';
}

gboolean
evo_yaml_number (const EvoYaml *v, double *out)
{
  gboolean flag;
  double x;

  if (word (v, &flag)) {
    *out = flag;
    return TRUE;
  }
  if (v->kind != EVO_YAML_TEXT || !is_decimal (v->text))
    return FALSE;
  x = g_ascii_strtod (v->text, NULL);
  if (!isfinite (x))
    return FALSE;
  *out = x;
  return TRUE;
}

gboolean
evo_yaml_flag (const EvoYaml *v, gboolean *out)
{
  double x;

  if (word (v, out))
    return TRUE;
  if (!evo_yaml_number (v, &x))
    return FALSE;
  *out = x != 0;
  return TRUE;
}
