/* SPDX-License-Identifier: Apache-2.0
 * sums.c - sums in 16 double lanes by index mod 16, joined in lane order, so that every width of registers gives the same bits.
 *
 * The product of two floats is exact in double (24 + 24 <= 53 bits), so a fused multiply-add has the bits of multiply, then add.
 */
#include <math.h>

#include "core/kernels/slots.h"

enum { LANES = 16 };

static double
join (const double *lane)
{
  double s = lane[0];

  for (unsigned j = 1; j < LANES; j++)
    s += lane[j];
  return s;
}

double
KERNEL (sum) (const float *x, size_t n)
{
  double lane[LANES] = { 0 };

  for (size_t i = 0; i < n; i++)
    lane[i % LANES] += (double) x[i];
  return join (lane);
}

double
KERNEL (sum_abs) (const float *x, size_t n)
{
  double lane[LANES] = { 0 };

  for (size_t i = 0; i < n; i++)
    lane[i % LANES] += (double) fabsf (x[i]);
  return join (lane);
}

double
KERNEL (dot) (const float *x, const float *y, size_t n)
{
  double lane[LANES] = { 0 };

  for (size_t i = 0; i < n; i++)
    lane[i % LANES] += (double) x[i] * (double) y[i];
  return join (lane);
}

double
KERNEL (dot_diff) (const float *x, const float *y, const float *b, size_t n)
{
  double lane[LANES] = { 0 };

  for (size_t i = 0; i < n; i++)
    lane[i % LANES] += (double) (x[i] - b[i]) * (double) (y[i] - b[i]);
  return join (lane);
}
