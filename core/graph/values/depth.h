/* SPDX-License-Identifier: Apache-2.0
 * depth.h - where along the depth of a model a tensor lies: what gradients, groups and genes per layer go by.
 *
 * The embedding lies before the first layer; the output matrix and the final norm after the last. What is in no layer and neither of these
 * (a tensor whose role nobody knows) goes with the first layer, and layers beyond the number a model's configuration counts with the last.
 */
#ifndef EVO_GRAPH_DEPTH_H
#define EVO_GRAPH_DEPTH_H

#include "core/graph/values/value.h"

enum { EVO_DEPTH_EMBED = -1 }; /* then layers 0 .. n - 1, then n: the head */
gint32 evo_depth_of (const EvoPlace *place, gint32 n_layers);
/* List of n numbers over n_layers layers: linear between its points, exact where it has one for every layer; the ends have the first and last. */
double evo_depth_interpolate (const double *list, guint n, gint32 depth, gint32 n_layers);
double evo_gene_scalar (const EvoGene *gene, double v); /* one dimension's number in the parameter's own scale */
/* What a bound gene gives a place; FALSE: none of its selectors matches. */
gboolean evo_gene_resolve (const EvoGene *gene, const EvoPlace *place, const double *x, double *out);

#endif
