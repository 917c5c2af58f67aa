/* SPDX-License-Identifier: Apache-2.0
 * normal.h - the normal distribution's upper tail and its inverse, in plain arithmetic: the same bits on every CPU.
 */
#ifndef PLUGINS_OPTIMIZER_NORMAL_H
#define PLUGINS_OPTIMIZER_NORMAL_H

#include "random.h"

static inline double
normal_density (double x)
{
  return 0.3989422804014326779 * portable_exp (-0.5 * x * x);
}

/* P (N (0, 1) > x): the series and the continued fraction of Abramowitz & Stegun 26.2.11 and 26.2.14; relative error below 1e-12. */
static inline double
normal_above (double x)
{
  double term = x, sum = x, fraction = x;

  if (x < 0)
    return 1 - normal_above (-x);
  if (x < 3) {
    for (int k = 3; term > 1e-17 * sum; k += 2) {
      term *= x * x / k;
      sum += term;
    }
    return 0.5 - normal_density (x) * sum;
  }
  for (int k = 100; k >= 1; k--)
    fraction = x + k / fraction;
  return normal_density (x) / fraction;
}

/* x with P (N (0, 1) > x) = p, 0 < p < 1: Abramowitz & Stegun 26.2.23 (within 4.5e-4), then Halley's steps, which cube the error. */
static inline double
normal_quantile (double p)
{
  double t, x;

  if (p > 0.5)
    return -normal_quantile (1 - p);
  t = sqrt (-2 * portable_log (MAX (p, 1e-300)));
  x = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int step = 0; step < 3; step++) {
    double u = (normal_above (x) - p) / normal_density (x);

    x += u / (1 - x * u / 2);
  }
  return x;
}

#endif
