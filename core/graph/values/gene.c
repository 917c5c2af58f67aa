/* SPDX-License-Identifier: Apache-2.0
 * gene.c - a gene's dimensions along the depth of a model: how many, what they are called, which one a tensor gets; and simplexes.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/values/depth.h"

/* ------------------------------------------------------------------ depth */

gint32
evo_depth_of (const EvoPlace *place, gint32 n_layers)
{
  if (place->role->layer >= 0)
    return MIN (place->role->layer, MAX (n_layers - 1, 0));
  switch (place->role->kind) {
  case EVO_ROLE_EMBED:
    return EVO_DEPTH_EMBED;
  case EVO_ROLE_HEAD:
  case EVO_ROLE_FINAL_NORM:
    return MAX (n_layers, 1);
  default:
    return 0;
  }
}

/* Whole-number position: the same bits on every machine, and points on a layer are met exactly. The only layer of a model has the last
 * value, as in mergekit. */
double
evo_depth_interpolate (const double *list, guint n, gint32 depth, gint32 n_layers)
{
  gint64 at, i;

  if (n == 1 || depth == EVO_DEPTH_EMBED || (n_layers < 1 && depth == 0))
    return list[0];
  if (depth >= n_layers - 1)
    return list[n - 1];
  at = (gint64) depth * (n - 1);
  i = at / (n_layers - 1);
  if (at % (n_layers - 1) == 0)
    return list[i];
  return list[i] + (list[i + 1] - list[i]) * ((double) (at % (n_layers - 1)) / (n_layers - 1));
}

/* ------------------------------------------------------------------ what a place gets */

/* In the parameter's own scale. A whole number between two control points is rounded, as the search rounds its own. */
double
evo_gene_scalar (const EvoGene *gene, double v)
{
  if (gene->is_choice)
    return gene->choices[(guint) CLAMP (round (v), 0, gene->n_choices - 1.0)];
  return gene->is_int ? round (v) : v;
}

static gboolean
dimension_of (const EvoGene *gene, const EvoPlace *place, gint32 depth, guint *out)
{
  switch (gene->per) {
  case EVO_PER_LAYER: /* bound to another number of layers, the ends stay the ends */
    *out = depth >= MAX (place->n_layers, 1) ? gene->n - 1 : MIN ((guint) (depth + 1), gene->n - 2);
    return TRUE;
  case EVO_PER_GROUP:
    *out = MIN ((guint) MAX (depth, 0) / gene->per_n, gene->n - 1);
    return TRUE;
  case EVO_PER_SELECTORS:
    for (guint i = 0; i < gene->n; i++)
      if (evo_selector_matches (gene->per_selectors[i], place)) {
        *out = i;
        return TRUE;
      }
    return FALSE;
  default:
    *out = 0;
    return TRUE;
  }
}

gboolean
evo_gene_resolve (const EvoGene *gene, const EvoPlace *place, const double *x, double *out)
{
  gint32 depth = evo_depth_of (place, place->n_layers);
  const double *mine;
  guint i;

  g_return_val_if_fail (x != NULL && gene->n > 0, FALSE);
  mine = x + gene->first;
  if (gene->per == EVO_PER_CONTROL) {
    *out = evo_gene_scalar (gene, evo_depth_interpolate (mine, gene->n, depth, place->n_layers));
    return TRUE;
  }
  if (!dimension_of (gene, place, depth, &i))
    return FALSE;
  *out = evo_gene_scalar (gene, mine[i]);
  return TRUE;
}

/* ------------------------------------------------------------------ binding */

static gboolean
fail_layers (const EvoGene *gene, const char *per, gint32 n_layers, const char *right, GError **error)
{
  return evo_fail_at (error, gene->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "\"%s\" of %d layers; %s", per, n_layers, right);
}

static gboolean
check_layers (const EvoGene *gene, gint32 n_layers, GError **error)
{
  g_autofree char *per = NULL;

  if (gene->per == EVO_PER_MODEL || gene->per == EVO_PER_SELECTORS)
    return TRUE;
  per = gene->per == EVO_PER_LAYER ? g_strdup ("layer") : g_strdup_printf ("%s:%u", gene->per == EVO_PER_GROUP ? "group" : "control", gene->per_n);
  if (n_layers < 1)
    return fail_layers (gene, per, n_layers, "the model has none that are known; one gene for all of it is \"per\": \"model\"", error);
  if (gene->per == EVO_PER_LAYER)
    return TRUE;
  if (gene->per == EVO_PER_GROUP && (gene->per_n < 1 || gene->per_n > (guint) n_layers))
    return fail_layers (gene, per, n_layers, "N of \"group:N\" is how many layers share a gene: 1 up to all of them", error);
  if (gene->per == EVO_PER_CONTROL && (gene->per_n < 1 || gene->per_n > (guint) n_layers))
    return fail_layers (gene, per, n_layers, "N of \"control:N\" is a number of points: 1 up to as many as there are layers", error);
  if (gene->per == EVO_PER_CONTROL && gene->is_choice)
    return fail_layers (gene, per, n_layers, "nothing lies between two choices; \"group:N\" gives N layers the same one", error);
  return TRUE;
}

static guint
count_dimensions (const EvoGene *gene, gint32 n_layers)
{
  switch (gene->per) {
  case EVO_PER_LAYER:
    return (guint) n_layers + 2;
  case EVO_PER_GROUP:
    return ((guint) n_layers + gene->per_n - 1) / gene->per_n;
  case EVO_PER_CONTROL:
    return gene->per_n;
  case EVO_PER_SELECTORS:
    return g_strv_length (gene->per_selectors);
  default:
    return 1;
  }
}

static char *
label_of (const EvoGene *gene, guint i, gint32 n_layers)
{
  guint first = i * gene->per_n, last = MIN (first + gene->per_n, (guint) n_layers) - 1;

  switch (gene->per) {
  case EVO_PER_LAYER:
    if (i == 0 || i == (guint) n_layers + 1)
      return g_strdup_printf ("%s[%s]", gene->name, i == 0 ? "embed" : "head");
    return g_strdup_printf ("%s[layer %u]", gene->name, i - 1);
  case EVO_PER_GROUP:
    return first == last ? g_strdup_printf ("%s[layer %u]", gene->name, first) : g_strdup_printf ("%s[layers %u-%u]", gene->name, first, last);
  case EVO_PER_CONTROL:
    return g_strdup_printf ("%s[control %u]", gene->name, i);
  case EVO_PER_SELECTORS:
    return g_strdup_printf ("%s[%s]", gene->name, gene->per_selectors[i]);
  default:
    return g_strdup (gene->name);
  }
}

gboolean
evo_gene_bind (EvoGene *gene, gint32 n_layers, GError **error)
{
  if (!check_layers (gene, n_layers, error))
    return FALSE;
  for (guint i = 0; gene->labels != NULL && i < gene->n; i++)
    g_free (gene->labels[i]);
  g_free (gene->labels);
  gene->n = count_dimensions (gene, n_layers);
  gene->labels = g_new0 (char *, gene->n + 1);
  for (guint i = 0; i < gene->n; i++)
    gene->labels[i] = label_of (gene, i, n_layers);
  return TRUE;
}

double
evo_gene_start (const EvoGene *gene, guint part)
{
  if (gene->starts != NULL)
    return gene->starts[part];
  if (!isnan (gene->start))
    return gene->start;
  if (gene->is_choice)
    return 0;
  return gene->is_log ? sqrt (gene->low * gene->high) : (gene->low + gene->high) / 2;
}

/* ------------------------------------------------------------------ simplexes */

/* Genes that share a simplex share it dimension by dimension: per layer, the weights of every layer are divided by that layer's sum. */
static double
simplex_sum (EvoGene *const *genes, guint n, const char *simplex, guint dimension, const double *x)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (genes[i]->simplex, simplex) == 0 && dimension < genes[i]->n)
      sum += x[genes[i]->first + dimension];
  return sum;
}

gboolean
evo_genes_apply_simplex (EvoGene *const *genes, guint n, double *x, GError **error)
{
  g_autoptr (GArray) scales = g_array_new (FALSE, FALSE, sizeof (double));
  guint at = 0;

  for (guint i = 0; i < n; i++)
    for (guint k = 0; genes[i]->simplex != NULL && k < genes[i]->n; k++) {
      double sum = simplex_sum (genes, n, genes[i]->simplex, k, x);

      if (sum == 0 || !isfinite (sum))
        return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM,
                              "simplex %s: %s and its like sum to %g; they cannot be divided by that", genes[i]->simplex,
                              genes[i]->labels[k], sum);
      g_array_append_val (scales, sum);
    }
  for (guint i = 0; i < n; i++)
    for (guint k = 0; genes[i]->simplex != NULL && k < genes[i]->n; k++, at++)
      x[genes[i]->first + k] = x[genes[i]->first + k] / g_array_index (scales, double, at) * genes[i]->simplex_total;
  return TRUE;
}
