/* SPDX-License-Identifier: Apache-2.0
 * dtypes.c - which element type a tensor gets, by name or by selectors; the first that matches.
 */
#include "core/graph/values/dtypes.h"

#include <string.h>

#include "core/base/error.h"

gboolean
evo_dtypes_given (const EvoDtypes *d)
{
  return d != NULL && (d->all != EVO_DTYPE_NONE || d->n > 0);
}

static const char *
find_selector (const EvoDtypes *d, const char *name, const EvoRole *role, guint *at)
{
  const EvoPlace place = { name, role, 0 };

  for (*at = 0; *at < d->n; ++*at)
    if (evo_selector_matches (d->selectors[*at], &place))
      return d->selectors[*at];
  return NULL;
}

EvoDtype
evo_dtypes_at (const EvoDtypes *d, const char *name, const EvoRole *role, EvoDtype stored)
{
  guint at;

  if (!evo_dtypes_given (d) || !evo_dtype_is_float (stored))
    return stored;
  if (d->n == 0)
    return d->all;
  return find_selector (d, name, role, &at) == NULL ? stored : d->dtypes[at];
}

void
evo_dtypes_mark (const EvoDtypes *d, const char *name, const EvoRole *role, GHashTable *used)
{
  guint at;
  const char *selector = find_selector (d, name, role, &at);

  if (selector != NULL)
    g_hash_table_add (used, (gpointer) selector);
}

gboolean
evo_dtypes_check_used (const EvoDtypes *d, GHashTable *used, GError **error)
{
  for (guint i = 0; i < d->n; i++)
    if (!g_hash_table_contains (used, d->selectors[i]) && strcmp (d->selectors[i], "*") != 0)
      return evo_fail_at (error, d->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "\"%s\" decides for no tensor; evopipe inspect MODEL shows their "
                          "names and roles, and the first selector that matches one takes it", d->selectors[i]);
  return TRUE;
}

void
evo_dtypes_write (const EvoDtypes *d, EvoJsonWriter *w)
{
  if (d->n == 0) {
    evo_json_add_string (w, evo_dtype_user_name (d->all));
    return;
  }
  evo_json_begin_object (w);
  for (guint i = 0; i < d->n; i++) {
    evo_json_add_key (w, d->selectors[i]);
    evo_json_add_string (w, evo_dtype_user_name (d->dtypes[i]));
  }
  evo_json_end_object (w);
}
