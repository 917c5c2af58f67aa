/* SPDX-License-Identifier: Apache-2.0
 * evolve.h - the genes of a layer path: which layers a token passes, in which order, and the scale at every hop (Akiba et al. 2024, section 3.2).
 *
 * Positions are the places of an encoding where a layer may stand; M is the number of layers of all inputs together, T of positions.
 *
 *   indicator  every layer of every input in order, `repeats` times: T = M x repeats. A position is on where its gene is positive. The path is
 *              the first layer of the first input (A), what is on, the last layer of A. Genes of A's first pass begin at +2 sigma.
 *   slots      one position a layer of A, `repeats` times: skip, or the layer at that depth of one of the inputs.
 *   window     a position takes the layer after the one before it, `step` layers more or fewer; of which input is a gene too where there are several.
 *
 * Scales: `hop`: one gene a position, used where it is on. `matrix`: M x M offsets from 1, by the layer before and the layer entered. `network`:
 * 1 + w2 . s(W1 (i, j, t) + b1) + b2 with s (x) = x / (1 + |x|), i and j the layers in -1 ... 1, t the hop's place in 0 ... 1; s needs no library
 * whose last bits differ between machines. The first hop's scale is 1.
 */
#ifndef EVO_GRAPH_PATH_EVOLVE_H
#define EVO_GRAPH_PATH_EVOLVE_H

#include "core/graph/graph.h"
#include "core/graph/path/path.h"

typedef enum { EVO_ENCODING_INDICATOR, EVO_ENCODING_SLOTS, EVO_ENCODING_WINDOW } EvoPathEncoding;
typedef enum { EVO_SHAPE_HOP, EVO_SHAPE_MATRIX, EVO_SHAPE_NETWORK } EvoScaleShape;

struct EvoPathGenes {
  EvoPathEncoding encoding;
  EvoScaleShape shape;
  guint repeats, hops, step, hidden; /* hops: positions of a window, 0: as many as A has layers */
  double low, high;                  /* scales are clipped to these; infinite: not at all */
  double start;                      /* of the indicators past A's first pass */
  EvoGene *path, *input, *scale;     /* NULL: fixed; input: of a window over several inputs */
};

/* --- genes.c */
/* The layers of each input, of those of all nodes. Owned. */
gint32 *evo_path_dup_n_layers (const EvoNode *node, const gint32 *of_nodes);
/* Labels and numbers of dimensions, once the layers of the inputs are known. n_layers: [node->n_in] */
gboolean evo_path_genes_bind (const EvoNode *node, const gint32 *n_layers, GError **error);
/* The most hops that a path of these genes can have. */
guint evo_path_genes_count_hops (const EvoNode *node, const gint32 *n_layers);
/* --- decode.c: the path that the graph-wide vector x means: EvoPathHop, appended to `hops`. EVO_PLUGIN_ERROR_PARAM: it is longer than max_hops, has no hop, or
 * a scale of 0 or beyond 2^20. */
gboolean evo_path_genes_decode (const EvoNode *node, const gint32 *n_layers, const double *x, GArray *hops, GError **error);

#endif
