/* SPDX-License-Identifier: Apache-2.0
 * shared.h - the compact form of a layer path, as EvoLLM-JP-v1-10B was published: every layer once, and the order in which they are visited.
 *
 * Tensors `model.input_layers` [hops], the layer of each hop, and `model.input_scales` [hops], the scale it is entered with, stand beside the
 * ordinary ones; config.json counts layers (num_hidden_layers) and hops (num_hops). Ours also say what a scale multiplies (input_scaling, as
 * merge.layer-path's scaling); where that is missing it is last-branch, which the released runtime computes.
 */
#ifndef EVO_GRAPH_PATH_SHARED_H
#define EVO_GRAPH_PATH_SHARED_H

#include "core/graph/path/path.h"

#define EVO_SHARED_LAYERS "model.input_layers"
#define EVO_SHARED_SCALES "model.input_scales"

/* A path that a checkpoint has by itself, as EvoHop into its own layers; visits stays empty: it has none. EVO_STORE_ERROR_FORMAT names the tensor. */
gboolean evo_shared_read (const EvoStore *store, gint32 n_layers, GArray *visits, EvoScaling *scaling, GError **error);

/* What the compact form of a node with a fixed path consists of. */
typedef struct {
  EvoLayout layout;        /* its layers, each once, in the order of their first visits; the scales are not folded */
  gint64 *layers;          /* [n] */
  float *scales;           /* [n] */
  guint n;                 /* hops */
  EvoScaling scaling;
} EvoShared;
gboolean evo_shared_init (EvoModels *m, const EvoNode *node, EvoShared *out, GError **error);
void evo_shared_clear (EvoShared *s);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EvoShared, evo_shared_clear)
/* num_hops and input_scaling, as members of the object that w is in; which members of the source's they stand for. */
void evo_shared_write_config (const EvoShared *s, EvoJsonWriter *w);
gboolean evo_shared_replaces (const char *key);

/* --- size.c */
typedef struct {
  guint hops, layers;      /* layers: those of the compact form */
  guint n_tensors;         /* of the compact form */
  guint64 plain, shared;   /* bytes of the tensors, as a layer for each hop and in the compact form */
  gboolean is_exact;       /* FALSE: the path is searched, these are the most that it can be */
} EvoPathSize;
/* Of a merge.layer-path node; as: the dtype it is saved in. Errors: of evo_layout_hops. */
gboolean evo_path_measure (EvoModels *m, const EvoNode *node, const EvoDtypes *as, EvoPathSize *out, GError **error);

#endif
