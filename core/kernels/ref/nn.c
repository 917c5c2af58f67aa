/* SPDX-License-Identifier: Apache-2.0
 * nn.c - the remaining parts of a forward pass, with double accumulators.
 */
#include <math.h>

#include "core/kernels/slots.h"

/* y = x / sqrt (mean (x^2) + eps) * w     (Zhang & Sennrich 2019) */
void
KERNEL (rms_norm) (float *y, const float *x, const float *w, double eps, size_t n)
{
  double ss = 0, root;

  for (size_t i = 0; i < n; i++)
    ss += (double) x[i] * (double) x[i];
  root = sqrt (ss / (double) n + eps);
  for (size_t i = 0; i < n; i++)
    y[i] = (float) ((double) x[i] / root * (double) w[i]);
}

/* y = silu (gate) up, silu (g) = g / (1 + exp (-g))     (Shazeer 2020, "GLU variants") */
void
KERNEL (silu_mul) (float *y, const float *gate, const float *up, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = (float) ((double) gate[i] / (1 + exp (-(double) gate[i])) * (double) up[i]);
}

/* (a, b) turned by an angle: (a cos - b sin, b cos + a sin)     (Su et al. 2021) */
void
KERNEL (rope) (float *x, const float *cos, const float *sin, size_t n_heads, size_t head_dim)
{
  const size_t half = head_dim / 2;

  for (size_t h = 0; h < n_heads; h++, x += head_dim)
    for (size_t i = 0; i < half; i++) {
      const double a = x[i], b = x[half + i];

      x[i] = (float) (a * (double) cos[i] - b * (double) sin[i]);
      x[half + i] = (float) (b * (double) cos[i] + a * (double) sin[i]);
    }
}

static double
dot_of (const float *a, const float *b, size_t n)
{
  double s = 0;

  for (size_t i = 0; i < n; i++)
    s += (double) a[i] * (double) b[i];
  return s;
}

/* y = softmax (scale q K^T) V     (Vaswani et al. 2017) */
void
KERNEL (attend) (float *y, const float *q, const float *k, const float *v, size_t ld, size_t n_keys, size_t head_dim, double scale,
                 float *scores)
{
  double largest = -HUGE_VAL, total = 0;

  for (size_t j = 0; j < n_keys; j++) {
    scores[j] = (float) (scale * dot_of (q, k + j * ld, head_dim));
    largest = fmax (largest, (double) scores[j]);
  }
  for (size_t j = 0; j < n_keys; j++)
    total += exp ((double) scores[j] - largest);
  for (size_t i = 0; i < head_dim; i++) {
    double s = 0;

    for (size_t j = 0; j < n_keys; j++)
      s += exp ((double) scores[j] - largest) * (double) v[j * ld + i];
    y[i] = (float) (n_keys > 0 ? s / total : 0);
  }
}

void
KERNEL (attend_many) (float *y, size_t ldy, const float *q, size_t ldq, size_t n_q, size_t n_heads, const float *k, const float *v,
                      size_t ld, size_t n_keys, size_t step, size_t head_dim, double scale, void *scratch)
{
  for (size_t i = 0; i < n_q; i++)
    for (size_t h = 0; h < n_heads; h++)
      evo_ref_attend (y + i * ldy + h * head_dim, q + i * ldq + h * head_dim, k, v, ld, n_keys + i * step, head_dim, scale, scratch);
}

size_t
KERNEL (attend_scratch) (size_t n_q, size_t n_heads, size_t n_keys, size_t step, size_t head_dim)
{
  return n_q == 0 ? 0 : (n_keys + (n_q - 1) * step + 15) / 16 * 16 * sizeof (float);
}

size_t
KERNEL (argmax) (const float *x, size_t n)
{
  size_t best = 0;
  float largest = -HUGE_VALF; /* a NaN never wins */

  for (size_t i = 0; i < n; i++)
    if (x[i] > largest) {
      largest = x[i];
      best = i;
    }
  return best;
}

/* log sum exp x = max + log sum exp (x - max): no overflow */
double
KERNEL (log_sum_exp) (const float *x, size_t n)
{
  double largest = -HUGE_VAL, s = 0;

  for (size_t i = 0; i < n; i++)
    largest = fmax (largest, (double) x[i]);
  if (isinf (largest))
    return largest;
  for (size_t i = 0; i < n; i++)
    s += exp ((double) x[i] - largest);
  return largest + log (s);
}
