/* SPDX-License-Identifier: Apache-2.0
 * sampler.h - the next token from logits: repetition penalty, temperature, top-k, top-p.
 */
#ifndef EVO_NN_SAMPLER_H
#define EVO_NN_SAMPLER_H

#include "core/base/random.h"
#include "core/nn/text-model.h"

typedef struct { double value; gint32 id; } EvoCandidate;

/* Scratch of one lane. */
typedef struct {
  gsize vocab;
  float *row;                 /* [vocab] logits that may be changed */
  guint32 *stamp, turn;       /* [vocab] stamp == turn: seen in this row */
  EvoCandidate *candidates;   /* [vocab] */
} EvoSampler;

void evo_sampler_init (EvoSampler *s, gsize vocab);
void evo_sampler_clear (EvoSampler *s);

/* Penalty (Keskar et al. 2019, "CTRL"): scores of tokens seen, once each, are divided by it if positive, multiplied if negative.
 * Penalises those of ids that were not yet seen since the last evo_sampler_forget. */
void evo_sampler_forget (EvoSampler *s);
void evo_sampler_penalise (EvoSampler *s, float *scores, const gint32 *ids, gsize n, double penalty);

/* Draws from softmax (logits / temperature), cut to the top_k most likely (0: all) and then to the fewest whose share reaches top_p. */
gint32 evo_sampler_draw (EvoSampler *s, const float *logits, const EvoGenerateOptions *o, EvoRandom *random);

#endif
