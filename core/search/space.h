/* SPDX-License-Identifier: Apache-2.0
 * space.h - a search's genes as an optimizer sees them: dimensions, and the way to the graph-wide vector and back.
 */
#ifndef EVO_SEARCH_SPACE_H
#define EVO_SEARCH_SPACE_H

#include "core/graph/graph.h"

typedef struct {
  EvoGene *const *genes; guint n_genes;
  EvoDim *dims; guint n;       /* names are the genes' labels */
  guint *gene, *part;          /* [n] gene and dimension of it */
} EvoSpace;

void evo_space_init (EvoSpace *s, const EvoNode *search);
void evo_space_clear (EvoSpace *s);
/* Optimizer's point -> graph-wide vector: logarithms undone, whole numbers rounded, all clipped into the genes' ranges. */
void evo_space_scatter (const EvoSpace *s, const double *point, double *x);
void evo_space_gather (const EvoSpace *s, const double *x, double *point);
char *evo_space_genes_json (const EvoSpace *s, const double *x);  /* {"blend.ja.weight": 0.4}; choices by name (owned) */
/* The inverse, for start_from and resume: unknown names and values outside are errors; names not given keep their x. A gene's name without
 * [layer 3] stands for all its dimensions; "note" is no gene. */
gboolean evo_space_from_json (const EvoSpace *s, const EvoJson *object, double *x, GError **error);

#endif
