/* SPDX-License-Identifier: Apache-2.0
 * value.c - a merge parameter from JSON: a scalar, a gradient, selectors with values of their own, or a gene.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

static EvoValue *
new_value (EvoGraph *g, EvoValueKind kind, const EvoJson *v, guint n)
{
  EvoValue *value = g_new0 (EvoValue, 1);

  value->kind = kind;
  value->where = v;
  value->n = n;
  g_ptr_array_add (g->values, value);
  return value;
}

static EvoValue *
read_scalar (EvoGraph *g, const EvoParam *p, const EvoJson *v, GError **error)
{
  double x;

  if (!evo_param_scalar_from_json (p, v, &x, error))
    return NULL;
  EvoValue *value = new_value (g, EVO_VALUE_SCALAR, v, 0);
  value->scalar = x;
  return value;
}

static EvoValue *
read_gradient (EvoGraph *g, const EvoParam *p, const EvoJson *v, GError **error)
{
  guint n = evo_json_size (v);
  EvoValue *value;

  if (p->type != EVO_TYPE_NUMBER) {
    evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE,
                 "a list is a gradient over the layers; \"%s\" is no number that could have one",
                 p->name);
    return NULL;
  }
  if (n == 0) {
    evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a gradient needs at least one number");
    return NULL;
  }
  value = new_value (g, EVO_VALUE_GRADIENT, v, n);
  value->list = g_new0 (double, n);
  for (guint i = 0; i < n; i++)
    if (!evo_param_scalar_from_json (p, evo_json_at (v, i), &value->list[i], error))
      return NULL;
  return value;
}

/* ------------------------------------------------------------------ selectors */

/* {"start": 0.5, "evolv": [0, 1]} is meant to be a gene: no tensor is called so. */
static gboolean
is_broken_gene (const EvoJson *v, const char **key)
{
  static const char *const beside[] = { "start", "sigma", "log", "int", "per", "simplex", "total", NULL };
  static const char *const main_keys[] = { "evolve", "choice", NULL };

  for (guint i = 0; i < evo_json_size (v); i++) {
    *key = evo_json_key (evo_json_at (v, i));
    if (g_strv_contains (beside, *key) || (strpbrk (*key, "@*?[.") == NULL && evo_nearest_name (*key, main_keys) != NULL))
      return TRUE;
  }
  return FALSE;
}

static EvoValue *
read_select (EvoGraph *g, EvoNode *node, const EvoParam *p, const char *name, const EvoJson *v, GError **error)
{
  EvoValue *value = new_value (g, EVO_VALUE_SELECT, v, 0);
  const char *odd;

  if (is_broken_gene (v, &odd)) {
    g_autofree char *quoted = evo_json_quoted (odd);

    evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "%s selects no tensors; a gene needs \"evolve\" or \"choice\"", quoted);
    return NULL;
  }
  value->selectors = g_new0 (char *, evo_json_size (v) + 1);
  value->values = g_new0 (EvoValue *, evo_json_size (v) + 1);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);
    const char *selector = evo_json_key (member);
    g_autofree char *inner = g_strdup_printf ("%s[%s]", name, selector);

    if (g_str_equal (selector, "note") && evo_json_kind (member) == EVO_JSON_STRING)
      continue;
    if (!evo_selector_check (selector, member, error))
      return NULL;
    value->selectors[value->n] = g_strdup (selector);
    value->values[value->n] = evo_read_value (g, node, p, inner, member, error);
    if (value->values[value->n++] == NULL)
      return NULL;
  }
  if (value->n > 0)
    return value;
  evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "selects nothing; needs {\"@attn\": value} or {\"evolve\": range}");
  return NULL;
}

/* ------------------------------------------------------------------ any of them */

gboolean
evo_is_gene (const EvoJson *v)
{
  return evo_json_member (v, "evolve") != NULL || evo_json_member (v, "choice") != NULL;
}

/* Calls itself as deep as the document is nested: 64 at most. */
EvoValue *
evo_read_value (EvoGraph *g, EvoNode *node, const EvoParam *p, const char *name, const EvoJson *v, GError **error)
{
  EvoGene *gene;
  EvoValue *value;

  if (evo_json_kind (v) == EVO_JSON_ARRAY)
    return read_gradient (g, p, v, error);
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return read_scalar (g, p, v, error);
  if (!evo_is_gene (v))
    return read_select (g, node, p, name, v, error);
  gene = evo_read_gene (g, node, p, name, v, error);
  if (gene == NULL)
    return NULL;
  value = new_value (g, EVO_VALUE_GENE, v, 0);
  value->gene = gene;
  return value;
}
