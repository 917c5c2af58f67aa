/* SPDX-License-Identifier: Apache-2.0
 * trig.h - sines and angles in plain arithmetic: the same bits on every CPU.
 *
 * libm's own have FMA variants, chosen at run time, whose last bits differ; what is made from them here are the weights of a whole model.
 */
#ifndef PLUGINS_MERGE_TRIG_H
#define PLUGINS_MERGE_TRIG_H

#include "evopipe.h"

/* sin x: reduced to [-pi/2, pi/2], then Taylor to x^23; within 4e-16 + 2e-16 |x| for |x| < 1e6 */
static inline double
trig_sin (double x)
{
  static const double pi_high = 0x1.921fb54442d18p+1, pi_low = 0x1.1a62633145c07p-53;
  double k = floor (x / pi_high + 0.5), r = (x - k * pi_high) - k * pi_low, r2 = r * r, sum = 0;

  for (int i = 22; i >= 2; i -= 2)
    sum = (1 + sum) * (-r2 / (i * (i + 1.0)));
  sum = r + r * sum;
  return k - 2 * floor (k / 2) == 0 ? sum : -sum;
}

/* arctangent of x >= 0: three half angles bring it below tan (pi/32), then its series to x^19 */
static inline double
trig_atan (double x)
{
  double x2, sum = 0;

  if (x > 1)
    return G_PI_2 - trig_atan (1 / x);
  for (int i = 0; i < 3; i++)
    x = x / (1 + sqrt (1 + x * x));
  x2 = x * x;
  for (int i = 19; i >= 1; i -= 2)
    sum = 1.0 / i - x2 * sum;
  return 8 * x * sum;
}

/* arccosine of -1 < d <= 1, by half the angle: no cancellation at either end */
static inline double
trig_acos (double d)
{
  return 2 * trig_atan (sqrt ((1 - d) / (1 + d)));
}

#endif
