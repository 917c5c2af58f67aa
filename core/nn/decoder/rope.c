/* SPDX-License-Identifier: Apache-2.0
 * rope.c - frequencies of rotary position embeddings, and the published ways to stretch them over longer texts.
 */
#include "core/nn/decoder/rope.h"

/* Llama 3.1: long waves are slowed by `factor`, short ones kept, those between mixed (the reference's rope type "llama3"). */
static double
scale_llama3 (const EvoDecoderSpec *s, double f)
{
  double wave = 2 * G_PI / f, longest = s->rope_original / s->rope_low_freq, shortest = s->rope_original / s->rope_high_freq, smooth;

  if (wave < shortest)
    return f;
  if (wave > longest)
    return f / s->rope_factor;
  smooth = (s->rope_original / wave - s->rope_low_freq) / (s->rope_high_freq - s->rope_low_freq);
  return (1 - smooth) * f / s->rope_factor + smooth * f;
}

/* The dimension whose pair turns `rotations` times over the original length (Peng et al. 2023, "YaRN", eq. 17 solved for it). */
static double
yarn_dimension (const EvoDecoderSpec *s, double rotations)
{
  return (double) s->head_dim * log (s->rope_original / (rotations * 2 * G_PI)) / (2 * log (s->rope_theta));
}

/* Fast pairs are kept, slow ones interpolated, with a ramp over the dimensions between (ibid., section 3.2). */
static void
scale_yarn (const EvoDecoderSpec *s, double *frequency)
{
  double low = yarn_dimension (s, s->rope_beta_fast), high = yarn_dimension (s, s->rope_beta_slow);

  if (s->rope_truncate) {
    low = floor (low);
    high = ceil (high);
  }
  low = MAX (low, 0);
  high = MIN (high, (double) s->head_dim - 1);
  if (low == high)
    high += 0.001; /* as the reference: the ramp must have a width */
  for (gint64 i = 0; i < s->head_dim / 2; i++) {
    double ramp = CLAMP (((double) i - low) / (high - low), 0, 1);

    frequency[i] = frequency[i] / s->rope_factor * ramp + frequency[i] * (1 - ramp);
  }
}

/* Attention temperature of YaRN (ibid., eq. 22), folded into cosines and sines. */
static double
yarn_mscale (double factor, double mscale)
{
  return factor <= 1 ? 1 : 0.1 * mscale * log (factor) + 1;
}

static double
yarn_attention_factor (const EvoDecoderSpec *s)
{
  if (s->rope_attention_factor > 0)
    return s->rope_attention_factor;
  if (s->rope_mscale != 0 && s->rope_mscale_all_dim != 0)
    return yarn_mscale (s->rope_factor, s->rope_mscale) / yarn_mscale (s->rope_factor, s->rope_mscale_all_dim);
  return yarn_mscale (s->rope_factor, 1);
}

double
evo_rope_frequencies (const EvoDecoderSpec *s, double *frequency)
{
  for (gint64 i = 0; i < s->head_dim / 2; i++) {
    double f = pow (s->rope_theta, -2.0 * (double) i / (double) s->head_dim);

    if (s->rope_scaling == EVO_ROPE_LINEAR)
      f /= s->rope_factor;
    else if (s->rope_scaling == EVO_ROPE_LLAMA3)
      f = scale_llama3 (s, f);
    frequency[i] = f;
  }
  if (s->rope_scaling != EVO_ROPE_YARN)
    return 1;
  scale_yarn (s, frequency);
  return yarn_attention_factor (s);
}

void
evo_rope_fill (const EvoDecoderSpec *s, gsize first, gsize n, float *c, float *d)
{
  gsize half = (gsize) s->head_dim / 2;
  g_autofree double *frequency = g_new (double, half);
  double factor = evo_rope_frequencies (s, frequency);

  for (gsize p = 0; p < n; p++)
    for (gsize i = 0; i < half; i++) {
      double angle = (double) (first + p) * frequency[i];

      c[p * half + i] = (float) (factor * cos (angle));
      d[p * half + i] = (float) (factor * sin (angle));
    }
}
