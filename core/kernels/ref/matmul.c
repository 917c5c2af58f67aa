/* SPDX-License-Identifier: Apache-2.0
 * matmul.c - y = x W^T by plain loops with a double accumulator. "Packed" is row-major as given.
 */
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/ref/half.h"

size_t
KERNEL (packed_bytes) (EvoWeightType type, size_t n_rows, size_t n_cols)
{
  return n_rows * n_cols * (type == EVO_WEIGHT_F32 ? 4 : 2);
}

void
KERNEL (pack) (void *packed, const void *w, EvoWeightType type, size_t n_rows, size_t n_cols)
{
  const size_t n = evo_ref_packed_bytes (type, n_rows, n_cols);

  if (n > 0)
    memcpy (packed, w, n);
}

static double
weight (const void *w, EvoWeightType type, size_t i)
{
  if (type == EVO_WEIGHT_F32)
    return ((const float *) w)[i];
  return type == EVO_WEIGHT_BF16 ? evo_ref_widen_bf16 (((const uint16_t *) w)[i]) : evo_ref_widen_f16 (((const uint16_t *) w)[i]);
}

void
KERNEL (matmul) (float *y, size_t ldy, const float *x, size_t ldx, size_t m, const void *packed, EvoWeightType type, size_t n_rows,
                 size_t n_cols, size_t row0, size_t row1, void *scratch)
{
  for (size_t i = 0; i < m; i++)
    for (size_t r = row0; r < row1; r++) {
      double s = 0;

      for (size_t c = 0; c < n_cols; c++)
        s += (double) x[i * ldx + c] * weight (packed, type, r * n_cols + c);
      y[i * ldy + r] = (float) s;
    }
}

size_t
KERNEL (matmul_scratch) (size_t m, size_t n_cols)
{
  return 0;
}
