/* SPDX-License-Identifier: Apache-2.0
 * value.c - resolves a merge parameter to one number per tensor, and writes it without genes.
 */
#include "core/graph/values/value.h"

#include <string.h>

#include "core/base/error.h"
#include "core/graph/values/depth.h"

/* The depth of values is bounded by that of the JSON they were read from: 64. */
gboolean
evo_value_resolve (const EvoValue *v, const EvoPlace *place, const double *x, double *out)
{
  switch (v->kind) {
  case EVO_VALUE_SCALAR:
    *out = v->scalar;
    return TRUE;
  case EVO_VALUE_GRADIENT:
    *out = evo_depth_interpolate (v->list, v->n, evo_depth_of (place, place->n_layers), place->n_layers);
    return TRUE;
  case EVO_VALUE_GENE:
    return evo_gene_resolve (v->gene, place, x, out);
  default:
    for (guint i = 0; i < v->n; i++) /* where the value of a selector has none for this place either, the next one is asked */
      if (evo_selector_matches (v->selectors[i], place) && evo_value_resolve (v->values[i], place, x, out))
        return TRUE;
    return FALSE;
  }
}

gboolean
evo_value_has_gene (const EvoValue *v)
{
  if (v->kind == EVO_VALUE_GENE)
    return TRUE;
  for (guint i = 0; v->kind == EVO_VALUE_SELECT && i < v->n; i++)
    if (evo_value_has_gene (v->values[i]))
      return TRUE;
  return FALSE;
}

/* ------------------------------------------------------------------ selectors that match nothing */

/* Kept in the table by the address of a selector's text: whether it matches a tensor, and one that no selector before it has taken. */
enum { MATCHES = 1, REACHED = 2 };

static void
add_mark (GHashTable *used, const char *selector, guint mark)
{
  g_hash_table_insert (used, (gpointer) selector, GUINT_TO_POINTER (mark | GPOINTER_TO_UINT (g_hash_table_lookup (used, selector))));
}

/* TRUE: the selectors decide for this place. values NULL: they are a gene's. */
static gboolean
mark (char *const *selectors, EvoValue *const *values, guint n, const EvoPlace *place, GHashTable *used)
{
  gboolean decided = FALSE;

  for (guint i = 0; i < n; i++) {
    const EvoValue *v = values == NULL ? NULL : values[i];

    if (!evo_selector_matches (selectors[i], place))
      continue;
    add_mark (used, selectors[i], decided ? MATCHES : MATCHES | REACHED);
    if (decided)
      continue;
    if (v != NULL && v->kind == EVO_VALUE_SELECT)
      decided = mark (v->selectors, v->values, v->n, place, used);
    else if (v != NULL && v->kind == EVO_VALUE_GENE && v->gene->per == EVO_PER_SELECTORS)
      decided = mark (v->gene->per_selectors, NULL, g_strv_length (v->gene->per_selectors), place, used);
    else
      decided = TRUE;
  }
  return decided;
}

void
evo_value_mark (const EvoValue *v, const EvoPlace *place, GHashTable *used)
{
  if (v->kind == EVO_VALUE_SELECT)
    mark (v->selectors, v->values, v->n, place, used);
  else if (v->kind == EVO_VALUE_GENE && v->gene->per == EVO_PER_SELECTORS)
    mark (v->gene->per_selectors, NULL, g_strv_length (v->gene->per_selectors), place, used);
}

/* The two ends may be empty, and the rest too, where "*" says what the rest gets: so evo_value_write puts it for any architecture. */
static gboolean
may_be_unused (char *const *selectors, guint n, guint i)
{
  if (strcmp (selectors[i], "*") == 0)
    return TRUE;
  return n > 0 && strcmp (selectors[n - 1], "*") == 0 && (strcmp (selectors[i], "@embed") == 0 || strcmp (selectors[i], "@head") == 0);
}

static gboolean
check_list (char *const *selectors, guint n, const EvoJson *where, GHashTable *used, GError **error)
{
  for (guint i = 0; i < n; i++) {
    guint marks = GPOINTER_TO_UINT (g_hash_table_lookup (used, selectors[i]));

    if ((marks & REACHED) != 0 || may_be_unused (selectors, n, i))
      continue;
    return evo_fail_at (error, where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "\"%s\" %s", selectors[i],
                        marks == 0 ? "matches no tensor; evopipe inspect MODEL shows their names and roles"
                                   : "is never used: selectors before it take all it matches; put it before them");
  }
  return TRUE;
}

gboolean
evo_value_check_used (const EvoValue *v, GHashTable *used, GError **error)
{
  if (v->kind == EVO_VALUE_GENE && v->gene->per == EVO_PER_SELECTORS)
    return check_list (v->gene->per_selectors, g_strv_length (v->gene->per_selectors), v->where, used, error);
  if (v->kind != EVO_VALUE_SELECT)
    return TRUE;
  if (!check_list (v->selectors, v->n, v->where, used, error))
    return FALSE;
  for (guint i = 0; i < v->n; i++)
    if (!evo_value_check_used (v->values[i], used, error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ writing */

static void
write_scalar (const EvoParam *param, double v, EvoJsonWriter *w)
{
  if (param->type == EVO_TYPE_BOOL)
    evo_json_add_bool (w, v != 0);
  else if (param->type == EVO_TYPE_CHOICE)
    evo_json_add_string (w, param->names[(guint) v]);
  else
    evo_json_add_number (w, v);
}

static void
write_list (const double *list, guint n, EvoJsonWriter *w)
{
  evo_json_begin_array (w);
  for (guint i = 0; i < n; i++)
    evo_json_add_number (w, list[i]);
  evo_json_end_array (w);
}

static gboolean
same_bits (double a, double b)
{
  return memcmp (&a, &b, sizeof a) == 0;
}

static gboolean
all_same (const double *list, guint n)
{
  for (guint i = 1; i < n; i++)
    if (!same_bits (list[0], list[i]))
      return FALSE;
  return TRUE;
}

/* Runs of equal layers by number, for parameters that cannot be a list: what lies beyond the last counted layer goes with it. */
static void
write_layers (const EvoParam *param, const double *layers, gint32 n_layers, EvoJsonWriter *w)
{
  enum { BEYOND = 99999 };

  for (gint32 first = 0, last; first < n_layers; first = last + 1) {
    g_autofree char *selector = NULL;

    last = first;
    while (last + 1 < n_layers && same_bits (layers[last + 1], layers[first]))
      last++;
    selector = g_strdup_printf ("@layers:%d-%d", first, last == n_layers - 1 ? BEYOND : last);
    evo_json_add_key (w, selector);
    write_scalar (param, layers[first], w);
  }
}

/* values [n_layers + 2]: embed, layers, head. What is neither goes with the first layer, as depth.h says: "*" and a list's first. */
static void
write_depths (const EvoParam *param, const double *values, gint32 n_layers, EvoJsonWriter *w)
{
  const double *layers = values + 1;
  double embed = values[0], head = values[n_layers + 1];
  gboolean is_list = param->type == EVO_TYPE_NUMBER;

  if (all_same (values, (guint) n_layers + 2)) {
    write_scalar (param, embed, w);
    return;
  }
  if (is_list && same_bits (embed, layers[0]) && same_bits (head, layers[n_layers - 1])) {
    write_list (layers, (guint) n_layers, w);
    return;
  }
  evo_json_begin_object (w);
  evo_json_add_key (w, "@embed");
  write_scalar (param, embed, w);
  evo_json_add_key (w, "@head");
  write_scalar (param, head, w);
  if (!is_list)
    write_layers (param, layers, n_layers, w);
  evo_json_add_key (w, "*");
  if (is_list)
    write_list (layers, (guint) n_layers, w);
  else
    write_scalar (param, layers[0], w);
  evo_json_end_object (w);
}

static void
write_gene_by_depth (const EvoGene *gene, const EvoParam *param, const double *x, gint32 n_layers, EvoJsonWriter *w)
{
  g_autofree double *values = g_new (double, (gsize) n_layers + 2);
  EvoRole role = { .kind = EVO_ROLE_EMBED, .layer = -1 };
  EvoPlace place = { "", &role, n_layers };

  evo_gene_resolve (gene, &place, x, &values[0]);
  role.kind = EVO_ROLE_HEAD;
  evo_gene_resolve (gene, &place, x, &values[n_layers + 1]);
  role.kind = EVO_ROLE_OTHER;
  for (role.layer = 0; role.layer < n_layers; role.layer++)
    evo_gene_resolve (gene, &place, x, &values[role.layer + 1]);
  write_depths (param, values, n_layers, w);
}

static gboolean
stands_before (char *const *list, guint i)
{
  for (guint k = 0; k < i; k++)
    if (strcmp (list[k], list[i]) == 0)
      return TRUE;
  return FALSE;
}

static void
write_gene_by_selector (const EvoGene *gene, const EvoParam *param, const double *x, gint32 n_layers, EvoJsonWriter *w)
{
  evo_json_begin_object (w);
  for (guint i = 0; i < gene->n; i++) {
    if (stands_before (gene->per_selectors, i))
      continue; /* the first one wins; a key may stand once */
    evo_json_add_key (w, gene->per_selectors[i]);
    write_scalar (param, evo_gene_scalar (gene, x[gene->first + i]), w);
  }
  evo_json_end_object (w);
}

void
evo_value_write (const EvoValue *v, const EvoParam *param, const double *x, gint32 n_layers, EvoJsonWriter *w)
{
  if (v->kind == EVO_VALUE_SCALAR) {
    write_scalar (param, v->scalar, w);
  } else if (v->kind == EVO_VALUE_GRADIENT) {
    write_list (v->list, v->n, w);
  } else if (v->kind == EVO_VALUE_GENE && v->gene->per == EVO_PER_SELECTORS) {
    write_gene_by_selector (v->gene, param, x, n_layers, w);
  } else if (v->kind == EVO_VALUE_GENE) {
    write_gene_by_depth (v->gene, param, x, MAX (n_layers, 1), w);
  } else {
    evo_json_begin_object (w);
    for (guint i = 0; i < v->n; i++) {
      evo_json_add_key (w, v->selectors[i]);
      evo_value_write (v->values[i], param, x, n_layers, w);
    }
    evo_json_end_object (w);
  }
}
