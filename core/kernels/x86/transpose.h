/* SPDX-License-Identifier: Apache-2.0
 * transpose.h - a square of LANES x LANES floats in memory.
 */
#ifndef EVO_KERNELS_X86_TRANSPOSE_H
#define EVO_KERNELS_X86_TRANSPOSE_H

#include "core/kernels/x86/lanes.h"

/* Quarters of four rows are loaded into the 128-bit parts of a register, which costs no shuffle; then 4 x 4 squares are turned in place. */
#if defined(__AVX512F__)

INLINE Lanes
load_quarters (const float *p, size_t ld)
{
  Lanes x = _mm512_castps128_ps512 (_mm_loadu_ps (p));

  x = _mm512_mask_broadcast_f32x4 (x, 0x00f0, _mm_loadu_ps (p + 4 * ld));
  x = _mm512_mask_broadcast_f32x4 (x, 0x0f00, _mm_loadu_ps (p + 8 * ld));
  return _mm512_mask_broadcast_f32x4 (x, 0xf000, _mm_loadu_ps (p + 12 * ld));
}

#define UNPACK_LOW(a, b) _mm512_unpacklo_ps (a, b)
#define UNPACK_HIGH(a, b) _mm512_unpackhi_ps (a, b)
#define JOIN_LOW(a, b) _mm512_castpd_ps (_mm512_unpacklo_pd (_mm512_castps_pd (a), _mm512_castps_pd (b)))
#define JOIN_HIGH(a, b) _mm512_castpd_ps (_mm512_unpackhi_pd (_mm512_castps_pd (a), _mm512_castps_pd (b)))

#else

INLINE Lanes
load_quarters (const float *p, size_t ld)
{
  return _mm256_insertf128_ps (_mm256_castps128_ps256 (_mm_loadu_ps (p)), _mm_loadu_ps (p + 4 * ld), 1);
}

#define UNPACK_LOW(a, b) _mm256_unpacklo_ps (a, b)
#define UNPACK_HIGH(a, b) _mm256_unpackhi_ps (a, b)
#define JOIN_LOW(a, b) _mm256_castpd_ps (_mm256_unpacklo_pd (_mm256_castps_pd (a), _mm256_castps_pd (b)))
#define JOIN_HIGH(a, b) _mm256_castpd_ps (_mm256_unpackhi_pd (_mm256_castps_pd (a), _mm256_castps_pd (b)))

#endif

/* to[c][r] = from[r * ld + c] for r, c < LANES */
INLINE void
transpose (float *to, const float *from, size_t ld)
{
#pragma GCC unroll 1
  for (unsigned c = 0; c < LANES; c += 4, to += 4 * LANES, from += 4) {
    const Lanes a = load_quarters (from, ld), b = load_quarters (from + ld, ld);
    const Lanes x = load_quarters (from + 2 * ld, ld), y = load_quarters (from + 3 * ld, ld);
    const Lanes ab0 = UNPACK_LOW (a, b), ab1 = UNPACK_HIGH (a, b), xy0 = UNPACK_LOW (x, y), xy1 = UNPACK_HIGH (x, y);

    store (to, JOIN_LOW (ab0, xy0));
    store (to + LANES, JOIN_HIGH (ab0, xy0));
    store (to + 2 * LANES, JOIN_LOW (ab1, xy1));
    store (to + 3 * LANES, JOIN_HIGH (ab1, xy1));
  }
}

#endif
