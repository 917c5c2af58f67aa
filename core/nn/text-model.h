/* SPDX-License-Identifier: Apache-2.0
 * text-model.h - a decoder with its weights resident: logits, generation, log-likelihoods of many requests at once.
 *
 * The forward pass (decoder/) is written against a table of operations (ops/) over opaque buffers. Weights come in tensor by tensor, as
 * stored bytes, and are packed for the operations; a candidate is re-filled in place. Results do not depend on how requests are batched.
 */
#ifndef EVO_NN_TEXT_MODEL_H
#define EVO_NN_TEXT_MODEL_H

#include "core/abi/evopipe-model.h"
#include "core/base/pool.h"
#include "core/nn/tokenizer/tokenizer.h"
#include "core/tensor/dtype.h"

typedef struct EvoTextModel EvoTextModel;

/* --- text-model/text-model.c */
/* spec is copied; tokenizer may be NULL (token ids only). pool and kernels are borrowed and outlive the model. */
EvoTextModel *evo_text_model_new (const EvoDecoderSpec *spec, EvoTokenizer *tokenizer, const EvoKernels *k, EvoPool *pool);
void evo_text_model_free (EvoTextModel *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoTextModel, evo_text_model_free)

/* Layers of several models of one width, held behind each other, for paths through them (evo_text_model_set_path). What is not a layer, and
 * everything in the spec but n_layers, is of one model. A role's layer is the index among the n_held. Until a path is set it is 0 ... n_held - 1. */
EvoTextModel *evo_text_model_new_for_path (const EvoDecoderSpec *spec, gsize n_held, EvoTokenizer *tokenizer, const EvoKernels *k, EvoPool *pool);

/* One tensor by its role (layer and slot: see models/cards). bytes: row-major, `dtype`. dims are checked against the spec:
 * EVO_STORE_ERROR_FORMAT. A tensor no pass uses (slot "") is ignored. May be called again: replaces. */
gboolean evo_text_model_set_tensor (EvoTextModel *m, const EvoRole *role, const char *name, EvoDtype dtype, guint n_dims, const gint64 *dims,
                                    gconstpointer bytes, GError **error);
gboolean evo_text_model_is_complete (const EvoTextModel *m, GError **error); /* names the first missing weight */
const EvoDecoderSpec *evo_text_model_get_spec (const EvoTextModel *m);       /* n_layers: hops of the path */
EvoTokenizer *evo_text_model_get_tokenizer (const EvoTextModel *m);          /* borrowed, may be NULL */
/* For tests and `generate --logits`: logits [n][vocab]; hidden [hops + 1][n][hidden], or NULL. Caller's memory. */
gboolean evo_text_model_logits (EvoTextModel *m, const gint32 *ids, gsize n, float *logits, float *hidden, GError **error);

/* --- text-model/lanes.c */
/* Upper bound of resident bytes: weights, caches, activations, with a thread per CPU. batch 0: automatic, which keeps the caches within a
 * quarter of the weights (but 256 MB at least, 8 GB at most), or one request of max_positions if that is more. */
guint64 evo_text_model_estimate_bytes (const EvoDecoderSpec *spec, EvoDtype weights, guint batch);
/* The same for paths of up to spec->n_layers hops through n_held layers; what evo_text_model_set_prefix_cache is given comes on top. */
guint64 evo_text_model_estimate_path_bytes (const EvoDecoderSpec *spec, gsize n_held, EvoDtype weights, guint batch);

/* --- text-model/path.c: layer paths */
typedef struct { guint32 layer; double scale; } EvoHop; /* layer: among those held */
typedef enum {
  EVO_SCALING_STREAM,      /* x = layer (scale x): the whole hidden state that enters (Akiba et al. 2024) */
  EVO_SCALING_BRANCH,      /* x = x + scale attention (norm (x)), x = x + scale mlp (norm (x)) */
  EVO_SCALING_LAST_BRANCH  /* the output of the MLP of the hop before, as it is added; the first hop's: the embedding (the released runtime) */
} EvoScaling;

/* The layers that are passed, in order, from now on; nothing of a layer is copied, keys and values are kept for each hop. May be called
 * again and again. EVO_PLUGIN_ERROR PARAM, and the path that was set before stays: no hop, a layer that is not held, a scale that is 0 or no
 * finite number, a product of leading scales outside 2^-20 ... 2^20. */
gboolean evo_text_model_set_path (EvoTextModel *m, const EvoHop *hops, gsize n, EvoScaling scaling, GError **error);

/* Scoring keeps hidden states of its texts after some of the hops, in up to `bytes`; when the same texts are scored again by a path that
 * begins with the same layers and scales, it starts from there. The bits are the same with and without. 0 (as at first): nothing is kept. */
void evo_text_model_set_prefix_cache (EvoTextModel *m, guint64 bytes);
typedef struct {
  guint64 calls, hits;             /* of evo_text_model_score with the cache on; those that did not start at the embedding */
  guint64 hops_run, hops_skipped;  /* summed over the calls */
  guint64 bytes;                   /* kept now */
} EvoPrefixStats;
void evo_text_model_get_prefix_stats (const EvoTextModel *m, EvoPrefixStats *out); /* since the model was made */

/* --- text-model/generate.c */
typedef struct {
  gint64 max_tokens, beams, top_k;         /* beams 1: no beam search; top_k 0: all */
  double temperature;                      /* 0: greedy */
  double top_p, repetition_penalty, length_penalty;
  gboolean ignore_eos, early_stopping, logprobs; /* logprobs FALSE: those are not wanted, nor computed */
  guint64 seed;                            /* of sampling: stream = mix (seed, request index) */
  const char *const *stop; guint n_stop;   /* stop strings; need a tokenizer */
} EvoGenerateOptions;
#define EVO_GENERATE_DEFAULTS { .max_tokens = 256, .beams = 1, .top_p = 1, .repetition_penalty = 1, .length_penalty = 1, .logprobs = TRUE }

typedef enum { EVO_STOP_LENGTH, EVO_STOP_EOS, EVO_STOP_STRING } EvoStopReason;

typedef struct {
  const gint32 *ids; gsize n_ids;          /* prompt; the caller's */
  GArray *out;                             /* gint32, new tokens (with the stop token where one ended it); owned by the result */
  GArray *logprobs;                        /* float, of each new token, before penalty and temperature; empty after beam search */
  GString *text;                           /* decoded, cut at a stop string, special tokens skipped; NULL without tokenizer */
  EvoStopReason reason;
  double score;                            /* beam search: of the best hypothesis */
} EvoGeneration;

/* Generates for all requests at once (continuous batching: a finished row makes room for the next; what prompts have in common at their
 * beginning is computed once). batch: rows in flight at most, 0 = chosen from the model's size. Prompt and answer together never exceed
 * max_positions: reason LENGTH. Errors: EVO_PARAM_ERROR RANGE (options, empty prompt), EVO_STORE_ERROR MISSING, FORMAT (a token id the model
 * lacks), EVO_PLUGIN_ERROR NUMERIC (outputs that are not finite). */
gboolean evo_text_model_generate (EvoTextModel *m, EvoGeneration *requests, gsize n, const EvoGenerateOptions *options, guint batch,
                                  GError **error);
void evo_generation_clear (EvoGeneration *g);

/* --- text-model/score.c */
typedef struct { const gint32 *ids; gsize n_ids, first; double log_likelihood; gboolean is_greedy; } EvoScoring;
/* sum of log p(ids[t] | ids[0..t-1]) for t >= first (first >= 1), and whether each of them is the argmax. */
gboolean evo_text_model_score (EvoTextModel *m, EvoScoring *requests, gsize n, guint batch, GError **error);

#endif
