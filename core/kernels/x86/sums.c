/* SPDX-License-Identifier: Apache-2.0
 * sums.c - the sums in registers: the same 16 double lanes, joined in the same order, as ref/sums.c.
 */
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

enum { STEP = 16, PARTS = STEP / DOUBLES };

/* adds the 16 elements at i to the lanes */
typedef void Step (Doubles *lane, const float *x, const float *y, const float *b);

INLINE void
step_sum (Doubles *lane, const float *x, const float *y, const float *b)
{
  for (unsigned p = 0; p < PARTS; p++)
    lane[p] += widen (load_half (x + p * DOUBLES));
}

INLINE void
step_abs (Doubles *lane, const float *x, const float *y, const float *b)
{
  for (unsigned p = 0; p < PARTS; p++)
    lane[p] += widen (abs_half (load_half (x + p * DOUBLES)));
}

INLINE void
step_dot (Doubles *lane, const float *x, const float *y, const float *b)
{
  for (unsigned p = 0; p < PARTS; p++)
    lane[p] = fma_doubles (widen (load_half (x + p * DOUBLES)), widen (load_half (y + p * DOUBLES)), lane[p]);
}

INLINE void
step_dot_diff (Doubles *lane, const float *x, const float *y, const float *b)
{
  for (unsigned p = 0; p < PARTS; p++) {
    const Half base = load_half (b + p * DOUBLES);

    lane[p] = fma_doubles (widen (load_half (x + p * DOUBLES) - base), widen (load_half (y + p * DOUBLES) - base), lane[p]);
  }
}

/* The last elements, beside zeros: a lane that zero is added to stays as it is (it is never -0). */
INLINE const float *
padded (float *to, const float *from, size_t n)
{
  memset (to, 0, STEP * sizeof *to);
  memcpy (to, from, n * sizeof *to);
  return to;
}

INLINE double
sum_by (Step *step, const float *x, const float *y, const float *b, size_t n)
{
  Doubles lane[PARTS];
  double l[STEP], s;
  float px[STEP], py[STEP], pb[STEP];
  size_t i = 0;

  for (unsigned p = 0; p < PARTS; p++)
    lane[p] = no_doubles ();
  for (; i + STEP <= n; i += STEP)
    step (lane, x + i, y + i, b + i);
  if (i < n)
    step (lane, padded (px, x + i, n - i), padded (py, y + i, n - i), padded (pb, b + i, n - i));
  for (unsigned p = 0; p < PARTS; p++)
    store_doubles (l + p * DOUBLES, lane[p]);
  s = l[0];
  for (unsigned j = 1; j < STEP; j++)
    s += l[j];
  return s;
}

double
KERNEL (sum) (const float *x, size_t n)
{
  return sum_by (step_sum, x, x, x, n);
}

double
KERNEL (sum_abs) (const float *x, size_t n)
{
  return sum_by (step_abs, x, x, x, n);
}

double
KERNEL (dot) (const float *x, const float *y, size_t n)
{
  return sum_by (step_dot, x, y, x, n);
}

double
KERNEL (dot_diff) (const float *x, const float *y, const float *b, size_t n)
{
  return sum_by (step_dot_diff, x, y, b, n);
}
