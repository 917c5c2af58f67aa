/* SPDX-License-Identifier: Apache-2.0
 * convert.c - bfloat16 and IEEE half: widening is exact, narrowing rounds to nearest, ties to even.
 *
 * A NaN stays a NaN with the upper bits of its payload, made quiet: what the CPU's own instructions (F16C) give.
 */
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/ref/half.h"

static uint32_t
bits_of (float x)
{
  uint32_t u;

  memcpy (&u, &x, sizeof u);
  return u;
}

static float
float_of (uint32_t u)
{
  float x;

  memcpy (&x, &u, sizeof x);
  return x;
}

float
evo_ref_widen_bf16 (uint16_t x)
{
  return float_of ((uint32_t) x << 16);
}

/* half: 1 sign, 5 exponent (bias 15), 10 mantissa bits; subnormals are mantissa 2^-24 */
float
evo_ref_widen_f16 (uint16_t x)
{
  const uint32_t sign = (uint32_t) (x & 0x8000u) << 16, exponent = (x >> 10) & 31u, mantissa = x & 0x3ffu;

  if (exponent == 31)
    return float_of (sign | 0x7f800000u | mantissa << 13 | (mantissa != 0 ? 0x400000u : 0));
  if (exponent == 0)
    return float_of (sign | bits_of ((float) mantissa * 0x1p-24f));
  return float_of (sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t
evo_ref_narrow_bf16 (float x)
{
  const uint32_t u = bits_of (x);

  if ((u & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t) (u >> 16 | 0x40u);
  return (uint16_t) ((u + 0x7fffu + (u >> 16 & 1)) >> 16); /* a carry out of the mantissa is the next exponent, at last infinity */
}

uint16_t
evo_ref_narrow_f16 (float x)
{
  const uint32_t u = bits_of (x), sign = u >> 16 & 0x8000u, m = u & 0x7fffffffu;

  if (m > 0x7f800000u)
    return (uint16_t) (sign | 0x7e00u | (m >> 13 & 0x3ffu));
  if (m >= 0x477ff000u) /* 65520: half way from the largest half to the next step */
    return (uint16_t) (sign | 0x7c00u);
  if (m < 0x38800000u) /* below 2^-14: adding 0.5 leaves the subnormal's mantissa in the last bits, rounded as any sum is */
    return (uint16_t) (sign | (bits_of (float_of (m) + 0.5f) - 0x3f000000u));
  return (uint16_t) (sign | (m - 0x38000000u + 0xfffu + (m >> 13 & 1)) >> 13);
}

void
KERNEL (f32_from_bf16) (float *y, const uint16_t *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = evo_ref_widen_bf16 (x[i]);
}

void
KERNEL (f32_from_f16) (float *y, const uint16_t *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = evo_ref_widen_f16 (x[i]);
}

void
KERNEL (bf16_from_f32) (uint16_t *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = evo_ref_narrow_bf16 (x[i]);
}

void
KERNEL (f16_from_f32) (uint16_t *y, const float *x, size_t n)
{
  for (size_t i = 0; i < n; i++)
    y[i] = evo_ref_narrow_f16 (x[i]);
}
