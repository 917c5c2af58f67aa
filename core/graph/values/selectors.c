/* SPDX-License-Identifier: Apache-2.0
 * selectors.c - "@attn", "@layers:0-7" and globs over output tensor names.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/values/value.h"

#define LAYERS "@layers:"
enum { MOST_DIGITS = 5 };

static const struct { const char *name; guint32 kinds; } roles[] = {
  { "@embed", 1 << EVO_ROLE_EMBED },
  { "@head", 1 << EVO_ROLE_HEAD | 1 << EVO_ROLE_FINAL_NORM },  /* all that comes after the last layer */
  { "@norm", 1 << EVO_ROLE_NORM | 1 << EVO_ROLE_FINAL_NORM },
  { "@attn", 1 << EVO_ROLE_ATTENTION },
  { "@mlp", 1 << EVO_ROLE_MLP },
};

static gboolean
read_layer (const char **text, gint32 *out)
{
  const char *p = *text;

  for (*out = 0; g_ascii_isdigit (*p) && p - *text < MOST_DIGITS; p++)
    *out = *out * 10 + (*p - '0');
  if (p == *text || g_ascii_isdigit (*p))
    return FALSE;
  *text = p;
  return TRUE;
}

/* "0-7" or "3" */
static gboolean
read_layers (const char *text, gint32 *first, gint32 *last)
{
  if (!read_layer (&text, first))
    return FALSE;
  *last = *first;
  if (*text == '-') {
    text++;
    if (!read_layer (&text, last))
      return FALSE;
  }
  return *text == '\0' && *first <= *last;
}

gboolean
evo_selector_matches (const char *selector, const EvoPlace *place)
{
  gint32 first, last;

  if (*selector != '@')
    return evo_glob_match (selector, place->name);
  if (g_str_has_prefix (selector, LAYERS))
    return read_layers (selector + strlen (LAYERS), &first, &last) && place->role->layer >= first && place->role->layer <= last;
  for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
    if (strcmp (selector, roles[i].name) == 0)
      return (roles[i].kinds & 1u << place->role->kind) != 0;
  return FALSE;
}

static gboolean
is_role (const char *selector)
{
  for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
    if (strcmp (selector, roles[i].name) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
fail (const EvoJson *where, GError **error, const char *selector, const char *what)
{
  return evo_fail_at (error, where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "\"%s\" %s", selector, what);
}

static gboolean
check_at (const char *selector, const EvoJson *where, GError **error)
{
  static const char *const names[] = { "@embed", "@head", "@norm", "@attn", "@mlp", "@layers:0-7", NULL };
  g_autofree char *what = NULL;
  const char *nearest;
  gint32 first, last;

  if (is_role (selector))
    return TRUE;
  if (g_str_has_prefix (selector, LAYERS))
    return read_layers (selector + strlen (LAYERS), &first, &last) ||
           fail (where, error, selector, "is no range of layers; write the first and the last, as @layers:0-7, or one, as @layers:3");
  nearest = evo_nearest_name (selector, names);
  if (nearest != NULL)
    what = g_strdup_printf ("is no selector; did you mean \"%s\"?", nearest);
  return fail (where, error, selector, what != NULL ? what : "is no selector; there are @embed, @head, @norm, @attn, @mlp and @layers:0-7");
}

gboolean
evo_selector_check (const char *selector, const EvoJson *where, GError **error)
{
  const char *open = strchr (selector, '[');

  if (*selector == '\0')
    return fail (where, error, selector, "selects nothing; write a glob of tensor names, as *.mlp.*, or @attn and its like");
  if (*selector == '@')
    return check_at (selector, where, error);
  for (; open != NULL; open = strchr (open, '[')) {
    const char *close = strchr (open + 1, ']');

    if (close == NULL)
      return fail (where, error, selector, "has a [ without ]; a set of characters is [0-9]");
    open = close;
  }
  return TRUE;
}
