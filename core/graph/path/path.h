/* SPDX-License-Identifier: Apache-2.0
 * path.h - a layer path: which layers follow which, the scale at every hop, and the plain model that it is.
 *
 * A path is a list of hops; a hop is a layer of one of the node's inputs and the scale it is entered with. Its model has one layer for each hop;
 * scales are folded into the weights, so nothing that runs the model knows of them.
 */
#ifndef EVO_GRAPH_PATH_H
#define EVO_GRAPH_PATH_H

#include "core/graph/layout.h"
#include "core/nn/text-model.h"

typedef struct { guint input; gint32 layer; double scale; } EvoPathHop;
typedef enum { EVO_OUTER_FIRST, EVO_OUTER_ENDS } EvoOuter;

/* --- hops.c */
gboolean evo_node_is_path (const EvoNode *node);            /* a merge whose layers the host puts in order (EVO_HOST_LAYERS) */
EvoScaling evo_path_get_scaling (const EvoNode *node);
EvoOuter evo_path_get_outer (const EvoNode *node);
gboolean evo_path_takes_any_vocabulary (const EvoNode *node); /* "vocabulary": "any", or as mergekit does it */
/* The path that the node's parameters give, scales included, as EvoPathHop in place of what `hops` holds; checked. n_layers: [node->n_in]. Errors
 * name the hop and what is legal: EVO_GRAPH_ERROR SYNTAX, UNKNOWN, SHAPE (no such layer), EVO_PLUGIN_ERROR_PARAM of evo_path_check_hops. */
gboolean evo_path_read (const EvoNode *node, const gint32 *n_layers, GArray *hops, GError **error);
/* Gives hops the scales of the node's `scale`: EVO_GRAPH_ERROR_SYNTAX where they are not as many as the hops. */
gboolean evo_path_scale_all (const EvoNode *node, GArray *hops, GError **error);
/* EVO_PLUGIN_ERROR_PARAM: no hop, more than max_hops, a scale of 0 or no number, or one (stream: a product up to a hop) outside 2^-20 ... 2^20. */
gboolean evo_path_check_hops (const EvoNode *node, const GArray *hops, GError **error);

/* --- fold.c: what weights are multiplied by, so that a plain model computes what a path with scales says.
 *   branch       x + s A (n1 (x)), then x + s M (n2 (x)): s goes into the hop's o and down; exact.
 *   last-branch  hop t multiplies what the MLP of hop t - 1 added: into that hop's down, the first hop's into the embedding; exact.
 *   stream       hop t multiplies x. With P_t = s_2 ... s_t and x = P_t y, y <- y + A (n1 (P_t y)) / P_t ...: a norm of P_t y is sign (P_t) times that
 *                of y but for its epsilon, so 1 / P_t goes into o and down, the sign into the norms; the first scale into the embedding. */
typedef struct { double o, down, norm; } EvoPathFactors;
typedef struct { double embed, final_norm; EvoPathFactors *hops; gboolean is_plain; /* all of them are 1 */ } EvoPathFold;
void evo_path_fold (EvoScaling scaling, const EvoPathHop *hops, guint n, EvoPathFold *out);
void evo_path_fold_clear (EvoPathFold *fold);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EvoPathFold, evo_path_fold_clear)

/* --- layout.c: lays out a path whose inputs are laid out. EVO_GRAPH_ERROR_SHAPE: a layer is of another architecture or width, a vocabulary differs,
 * scales cannot be folded; each names the hop. */
gboolean evo_layout_path (EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error);
/* The same for hops that are decoded already. On failure `out`, which was all zeros, holds nothing. */
gboolean evo_layout_hops (EvoModels *m, const EvoNode *node, const EvoPathHop *hops, guint n, EvoLayout *out, GError **error);

/* --- config.c: the source's config.json for another stack of layers */
/* EVO_GRAPH_ERROR_SHAPE: a list with one entry a layer cannot be made of the layers' own. */
gboolean evo_stack_check_config (const EvoModels *m, const EvoNode *node, const EvoLayout *l, GError **error);
/* The member v of config.json, or of its object text_config, as the stack has it; FALSE: as it is, nothing is written. */
gboolean evo_stack_write_config (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w);

#endif
