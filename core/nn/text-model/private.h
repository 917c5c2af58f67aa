/* SPDX-License-Identifier: Apache-2.0
 * private.h - a text model's insides, for the files that use its lanes: generation and scoring.
 */
#ifndef EVO_NN_TEXT_MODEL_PRIVATE_H
#define EVO_NN_TEXT_MODEL_PRIVATE_H

#include "core/nn/decoder/decoder.h"
#include "core/nn/text-model/prefix.h"
#include "core/nn/text-model.h"

/* What one stream of passes needs. Small models run one lane per thread, each with its own share of the requests; large ones run one lane
 * whose operations are split over the pool. */
typedef struct {
  EvoQueue *queue;
  EvoPass pass;
  EvoCache cache;
  EvoBatch batch;
  guint64 *turns; gsize n_turns;       /* [n_slots] see EvoPrompt */
} EvoLane;

struct EvoTextModel {
  EvoDecoder decoder;
  EvoTokenizer *tokenizer;             /* NULL: none */
  const EvoKernels *k;
  EvoPool *pool;
  EvoQueue *queue;                     /* of the weights */
  guint8 *loaded;                      /* [n_held + 1] [slots] what has been set */
  gboolean for_path;                   /* layers of several models */
  EvoPrefixCache *prefix;              /* NULL: nothing is kept */
  EvoPrefixStats prefix_before;        /* of caches that are gone */
  EvoLane wide;                        /* operations split over the pool */
  EvoLane *lanes;                      /* [n_threads] on one thread each */
};

/* A job for lanes: what it needs at most. */
typedef struct {
  gsize n_requests, rows_each;         /* rows_each: rows in flight of one request (beams) */
  gsize positions;                     /* of the longest request */
  guint batch;                         /* rows in flight at most, 0: automatic */
} EvoLanePlan;

typedef struct { EvoLane *lanes; guint n; gsize slots; } EvoLanes; /* slots: of each lane, a multiple of rows_each */

/* --- lanes.c */
/* Makes lanes ready: caches, activations, rotary tables. */
EvoLanes evo_text_model_take_lanes (EvoTextModel *m, const EvoLanePlan *plan);
/* Runs func once for each lane, on threads of their own where there are several. */
gboolean evo_text_model_run_lanes (EvoTextModel *m, const EvoLanes *lanes, EvoPoolFunc func, gpointer data, GError **error);

/* --- text-model.c */
gboolean evo_text_model_check_ids (const EvoTextModel *m, gsize request, const gint32 *ids, gsize n, GError **error);
/* Order in which requests are taken: by their tokens, so that neighbours have beginnings in common. Owned. */
typedef struct { const gint32 *ids; gsize n; guint32 index; } EvoKey;
guint32 *evo_text_model_order (EvoKey *keys, gsize n);

#endif
