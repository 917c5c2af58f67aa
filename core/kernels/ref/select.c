/* SPDX-License-Identifier: Apache-2.0
 * select.c - choosing among elements: the histogram an exact k-th largest is read from, and the sign election of TIES.
 */
#include <string.h>

#include "core/kernels/slots.h"

void
KERNEL (histogram) (uint64_t *count, const float *key, uint32_t prefix, int low, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    uint32_t u;

    memcpy (&u, key + i, sizeof u);
    u &= 0x7fffffffu;
    if (!low)
      count[u >> 16]++;
    else if (u >> 16 == prefix)
      count[u & 0xffffu]++;
  }
}

/* TIES-Merging (Yadav et al. 2023, arXiv 2306.01708), section 3: elect the sign of s = sum_i v_i d_i, add up what agrees with it.
 * Everything in fp32, in the order of the inputs. Where s is a NaN, so is y: a broken input must not vanish in the election. */
void
KERNEL (elect) (float *y, float *share, const float *const *d, const double *w, const double *v, unsigned n_in, size_t n)
{
  for (size_t j = 0; j < n; j++) {
    float s = 0, kept = 0, weight = 0;

    for (unsigned i = 0; i < n_in; i++)
      s = s + (float) (v == NULL ? w : v)[i] * d[i][j];
    for (unsigned i = 0; i < n_in; i++) {
      const float voted = (float) (v == NULL ? w : v)[i] * d[i][j];
      const int agrees = s >= 0 ? voted > 0 : voted < 0;

      kept = kept + (agrees ? (float) w[i] * d[i][j] : 0);
      weight = weight + (agrees ? (float) w[i] : 0);
    }
    y[j] = s != s ? s : kept;
    if (share != NULL)
      share[j] = weight;
  }
}
