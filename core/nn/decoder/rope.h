/* SPDX-License-Identifier: Apache-2.0
 * rope.h - rotary position embeddings: the angles of every position, as cosines and sines (Su et al. 2021, "RoFormer").
 */
#ifndef EVO_NN_ROPE_H
#define EVO_NN_ROPE_H

#include "core/abi/evopipe-model.h"

/* Frequencies (radians per position) of the head_dim / 2 pairs, scaled as the spec says. Returns the factor on cosines and sines. */
double evo_rope_frequencies (const EvoDecoderSpec *spec, double *frequency);
/* Positions first .. first + n - 1: cos, sin [n][head_dim / 2]. */
void evo_rope_fill (const EvoDecoderSpec *spec, gsize first, gsize n, float *cos, float *sin);

#endif
