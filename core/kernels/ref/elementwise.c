/* SPDX-License-Identifier: Apache-2.0
 * elementwise.c - the elementwise merge kernels: fp32, one rounding per operation; fused where fmaf is written.
 *
 * The same source is compiled again for wider registers: loops without an order have the same bits in any width. `ivdep` says
 * that y may be x but never overlaps it at another index; without it the compiler keeps a scalar loop for y == x.
 */
#include <math.h>
#include <string.h>

#include "core/kernels/slots.h"

#define EACH _Pragma ("GCC ivdep") for (size_t i = 0; i < n; i++)

void
KERNEL (zero) (float *y, size_t n)
{
  if (n > 0)
    memset (y, 0, n * sizeof *y);
}

void
KERNEL (copy) (float *y, const float *x, size_t n)
{
  if (n > 0)
    memmove (y, x, n * sizeof *y);
}

void
KERNEL (scale) (float *y, double a, size_t n)
{
  const float f = (float) a;

  EACH
    y[i] = f * y[i];
}

void
KERNEL (axpy) (float *y, const float *x, double a, size_t n)
{
  const float f = (float) a;

  EACH
    y[i] = fmaf (f, x[i], y[i]);
}

void
KERNEL (axpy_diff) (float *y, const float *x, const float *b, double a, size_t n)
{
  const float f = (float) a;

  EACH
    y[i] = fmaf (f, x[i] - b[i], y[i]);
}

void
KERNEL (add) (float *y, const float *x, size_t n)
{
  EACH
    y[i] = y[i] + x[i];
}

void
KERNEL (sub) (float *y, const float *a, const float *b, size_t n)
{
  EACH
    y[i] = a[i] - b[i];
}

void
KERNEL (mul) (float *y, const float *a, const float *b, size_t n)
{
  EACH
    y[i] = a[i] * b[i];
}

void
KERNEL (div) (float *y, const float *a, const float *b, size_t n)
{
  EACH
    y[i] = b[i] == 0 ? 0 : a[i] / b[i];
}

/* What the weights lose as floats is added too: 0.4f + 0.6f is 3e-8 above 1, and models that are near each other would move by that. */
void
KERNEL (mix) (float *y, const float *a, const float *b, double wa, double wb, size_t n)
{
  const float fa = (float) wa, fb = (float) wb, ra = (float) (wa - (double) fa), rb = (float) (wb - (double) fb);

  EACH
    y[i] = fmaf (fa, a[i], fmaf (fb, b[i], fmaf (ra, a[i], rb * b[i])));
}

void
KERNEL (abs) (float *y, const float *x, size_t n)
{
  EACH
    y[i] = fabsf (x[i]);
}

/* Up to the last tie |x| == cut is kept too: two loops without an index in them. */
void
KERNEL (keep_top) (float *y, const float *x, float cut, int64_t last_tie, int64_t first, size_t n)
{
  const size_t n_ties = last_tie < first ? 0 : (uint64_t) (last_tie - first) >= n ? n : (size_t) (last_tie - first) + 1;

  _Pragma ("GCC ivdep")
  for (size_t i = 0; i < n_ties; i++)
    y[i] = fabsf (x[i]) >= cut ? x[i] : 0;
  _Pragma ("GCC ivdep")
  for (size_t i = n_ties; i < n; i++)
    y[i] = fabsf (x[i]) > cut ? x[i] : 0;
}

enum { DEVIATIONS = 256 };

/* Multiplied where that has the same bits and takes a tenth of the time. */
static void
divide_all (double *y, unsigned by, size_t n)
{
  const double factor = 1.0 / by;

  if ((by & (by - 1)) == 0)
    EACH
      y[i] *= factor;
  else
    EACH
      y[i] /= by;
}

static void
deviation_block (float *y, const float *const *x, unsigned n_in, size_t at, size_t n)
{
  double mean[DEVIATIONS] = { 0 }, squares[DEVIATIONS] = { 0 };

  for (unsigned k = 0; k < n_in; k++)
    EACH
      mean[i] += x[k][at + i];
  divide_all (mean, n_in, n);
  for (unsigned k = 0; k < n_in; k++)
    EACH
      squares[i] += (x[k][at + i] - mean[i]) * (x[k][at + i] - mean[i]);
  divide_all (squares, n_in, n);
  EACH
    y[at + i] = (float) sqrt (squares[i]);
}

void
KERNEL (deviation) (float *y, const float *const *x, unsigned n_in, size_t n)
{
  for (size_t at = 0; at < n; at += DEVIATIONS)
    deviation_block (y, x, n_in, at, n - at < DEVIATIONS ? n - at : DEVIATIONS);
}

/* An exponent of ones. */
int
KERNEL (bf16_all_finite) (const uint16_t *x, size_t n)
{
  uint16_t bad = 0;

  for (size_t i = 0; i < n; i++)
    bad |= (uint16_t) ((x[i] & 0x7f80) == 0x7f80);
  return bad == 0;
}

int
KERNEL (all_finite) (const float *x, size_t n)
{
  uint32_t bad = 0;

  for (size_t i = 0; i < n; i++) {
    uint32_t u;

    memcpy (&u, x + i, sizeof u);
    bad |= (u & 0x7f800000u) == 0x7f800000u;
  }
  return bad == 0;
}
