/* SPDX-License-Identifier: Apache-2.0
 * ranked.c - keeping by chance, the larger the likelier (the sampling of DELLA, Deep et al. 2024): by sorting. x86/ranked.c needs most ranks not.
 */
#include <string.h>

#include "core/kernels/slots.h"

/* a [n], magnitude and index, ascending, of equal ones the later first: a byte a pass, stable, those that are the same in all left out.
 * b [n]: scratch. Returns a or b. */
static const uint64_t *
sort (const float *x, size_t n, uint64_t *a, uint64_t *b)
{
  uint32_t count[4][256] = { { 0 } };

  for (size_t i = 0; i < n; i++) {
    const size_t j = n - 1 - i;
    uint32_t bits;

    memcpy (&bits, x + j, sizeof bits);
    bits &= 0x7fffffff; /* orders as the magnitudes do */
    a[i] = (uint64_t) bits << 32 | j;
    for (unsigned d = 0; d < 4; d++)
      count[d][bits >> (8 * d) & 255]++;
  }
  for (unsigned d = 0; d < 4; d++) {
    const unsigned shift = 32 + 8 * d;
    uint32_t at[256], sum = 0;
    uint64_t *const swap = a;

    if (count[d][a[0] >> shift & 255] == n)
      continue;
    for (unsigned v = 0; v < 256; sum += count[d][v++])
      at[v] = sum;
    for (size_t i = 0; i < n; i++)
      b[at[a[i] >> shift & 255]++] = a[i];
    a = b;
    b = swap;
  }
  return a;
}

void
KERNEL (keep_ranked) (float *y, const float *x, const float *u, double low, double step, int divide, size_t n, uint64_t *work)
{
  const uint64_t *order = n == 0 ? work : sort (x, n, work, work + n);

  for (size_t r = 0; r < n; r++) {
    const uint32_t j = (uint32_t) order[r];
    const double p = low + (double) r * step;

    y[j] = (double) u[j] < p ? divide ? (float) (x[j] / p) : x[j] : 0;
  }
}
