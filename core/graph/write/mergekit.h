/* SPDX-License-Identifier: Apache-2.0
 * mergekit.h - a merge without genes as a recipe for mergekit, where that can say it.
 */
#ifndef EVO_GRAPH_MERGEKIT_H
#define EVO_GRAPH_MERGEKIT_H

#include "core/graph/layout.h"

/* YAML for mergekit 0.1.5 (owned) that makes `node`'s model under the graph-wide genes x, stored in dtype `as` (NONE: the layout's); NULL: it is
 * no merge of plain models by one of mergekit's methods, or uses what mergekit cannot (scope "model", vote "plain", rescale "density").
 * path_of gives a finished search's directory. Randomly thinned merges draw other masks there. */
char *evo_graph_to_mergekit (const EvoModels *models, const EvoNode *node, const double *x, const EvoDtypes *as, EvoSearchPath path_of, gpointer data);

#endif
