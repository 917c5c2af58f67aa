/* SPDX-License-Identifier: Apache-2.0
 * dtypes.c - "dtype": a name, or names by selector.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

gboolean
evo_read_dtype (const EvoJson *v, EvoDtype *out, GError **error)
{
  static const char *const names[] = { "bf16", "f16", "f32", "f64", "f8_e4m3", "f8_e5m2", "bfloat16", "float16", "float32", NULL };
  const char *text;
  EvoDtype dtype;

  if (!evo_read_text (v, &text, error))
    return FALSE;
  dtype = evo_dtype_from_user_name (text);
  if (dtype == EVO_DTYPE_NONE) {
    g_autofree char *hint = evo_names_hint (text, names), *quoted = evo_json_quoted (text);

    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "there is no dtype %s%s", quoted, hint);
  }
  *out = dtype;
  return TRUE;
}

static gboolean
add_selector (EvoGraph *g, EvoDtypes *d, const EvoJson *v, GError **error)
{
  char *selector;

  if (!evo_selector_check (evo_json_key (v), v, error) || !evo_read_dtype (v, &d->dtypes[d->n], error))
    return FALSE;
  selector = g_strdup (evo_json_key (v));
  g_ptr_array_add (g->arena, selector);
  d->selectors[d->n++] = selector;
  return TRUE;
}

gboolean
evo_read_dtypes (EvoGraph *g, const EvoJson *v, EvoDtypes *out, GError **error)
{
  EvoDtypes d = { .where = v };
  guint n = evo_json_size (v);

  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_read_dtype (v, &out->all, error);
  d.selectors = g_new0 (char *, n + 1);
  d.dtypes = g_new0 (EvoDtype, n + 1);
  g_ptr_array_add (g->arena, d.selectors);
  g_ptr_array_add (g->arena, d.dtypes);
  for (guint i = 0; i < n; i++) {
    const EvoJson *member = evo_json_at (v, i);

    if (g_str_equal (evo_json_key (member), "note") && evo_json_kind (member) == EVO_JSON_STRING)
      continue;
    if (!add_selector (g, &d, member, error))
      return FALSE;
  }
  if (d.n == 0)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "selects nothing; needs a name, or {\"@norm\": \"f32\", \"*\": \"bf16\"}");
  *out = d;
  return TRUE;
}
