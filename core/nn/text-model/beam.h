/* SPDX-License-Identifier: Apache-2.0
 * beam.h - beam search over one request: which beams go on, from which, and the hypotheses that ended.
 */
#ifndef EVO_NN_BEAM_H
#define EVO_NN_BEAM_H

#include "core/nn/text-model/sampler.h"
#include "core/nn/text-model/stops.h"

typedef struct { double score; gint32 *tokens; gsize n; EvoStopReason reason; } EvoHypothesis;

typedef struct {
  guint width;                       /* beams at most */
  guint n_live;                      /* beams now; 1 before the first step */
  gsize limit, length;               /* new tokens: at most; so far */
  gint32 *tokens, *spare;            /* [width][limit] of each live beam; spare: of the next step */
  double *scores;                    /* [width] sums of (penalised) log-probabilities */
  gint32 *next_ids; double *next_scores; /* [width] of the step that is being made */
  guint *parents;                    /* [width] after a step: which beam each live one continues */
  EvoHypothesis *ended; guint n_ended; /* best first, at most width */
  EvoCandidate *best; gsize n_best;  /* the best candidates of a step, best first */
  guint *best_beam;                  /* the beam each of them continues */
} EvoBeams;

EvoBeams *evo_beams_new (guint width, gsize limit);
void evo_beams_free (EvoBeams *b);
static inline gint32 *
evo_beams_get_tokens (const EvoBeams *b, guint beam)
{
  return b->tokens + (gsize) beam * b->limit;
}

typedef struct {
  const EvoGenerateOptions *options;
  const EvoDecoderSpec *spec;
  const EvoStops *stops;
  EvoSampler *sampler;
  const gint32 *prompt; gsize n_prompt;
} EvoBeamContext;

/* One step from the live beams' logits (row i at logits + i * stride) and their log-sum-exps. FALSE: the search has ended. */
gboolean evo_beams_step (EvoBeams *b, const EvoBeamContext *c, const float *logits, gsize stride, const double *log_sum);

#endif
