/* SPDX-License-Identifier: Apache-2.0
 * convert.c - the 16-bit types in registers, bit for bit as ref/convert.c; the last elements are its.
 *
 * AVX512_BF16's own conversion is not used: it flushes denormal numbers to zero.
 */
#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

#if defined(__AVX512F__)

enum { NARROWED = 32 }; /* elements of a register of 16-bit numbers */

INLINE Lanes widen_bf16 (const uint16_t *p)
{ return as_lanes (_mm512_slli_epi32 (_mm512_cvtepu16_epi32 (_mm256_loadu_si256 ((const __m256i *) p)), 16)); }

INLINE void
store_f16 (uint16_t *y, Lanes x)
{
  _mm256_storeu_si256 ((__m256i *) y, _mm512_cvtps_ph (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* the rounded upper half of each float, as a 32-bit number */
INLINE Words
round_bf16 (Lanes x)
{
  const Words u = as_words (x), high = _mm512_srli_epi32 (u, 16);
  const Words rounded = _mm512_srli_epi32 (u + all_words (0x7fff) + (high & all_words (1)), 16);

  return _mm512_mask_or_epi32 (rounded, is_nan (x), high, all_words (0x40));
}

INLINE void
store_bf16 (uint16_t *y, Lanes a, Lanes b)
{
  const Words order = _mm512_setr_epi64 (0, 2, 4, 6, 1, 3, 5, 7);

  _mm512_storeu_si512 (y, _mm512_permutexvar_epi64 (order, _mm512_packus_epi32 (round_bf16 (a), round_bf16 (b))));
}

#else

enum { NARROWED = 16 };

INLINE Lanes widen_bf16 (const uint16_t *p)
{ return as_lanes (_mm256_slli_epi32 (_mm256_cvtepu16_epi32 (_mm_loadu_si128 ((const __m128i *) p)), 16)); }

INLINE void
store_f16 (uint16_t *y, Lanes x)
{
  _mm_storeu_si128 ((__m128i *) y, _mm256_cvtps_ph (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

INLINE Words
round_bf16 (Lanes x)
{
  const Words u = as_words (x), high = _mm256_srli_epi32 (u, 16);
  const Words rounded = _mm256_srli_epi32 (_mm256_add_epi32 (_mm256_add_epi32 (u, all_words (0x7fff)), high & all_words (1)), 16);

  return as_words (pick (is_nan (x), as_lanes (high | all_words (0x40)), as_lanes (rounded)));
}

INLINE void
store_bf16 (uint16_t *y, Lanes a, Lanes b)
{
  _mm256_storeu_si256 ((__m256i *) y, _mm256_permute4x64_epi64 (_mm256_packus_epi32 (round_bf16 (a), round_bf16 (b)), 0xd8));
}

#endif

/* Elements, a page of them: the hardware fetches ahead within one only, and what is read next of a tensor in blocks mostly follows. A prefetch
 * of what is not there does nothing. */
enum { AHEAD = 2048 };

INLINE void
fetch_ahead (const uint16_t *p)
{
  __builtin_prefetch ((const void *) ((uintptr_t) p + AHEAD * sizeof *p));
}

void
KERNEL (f32_from_bf16) (float *y, const uint16_t *x, size_t n)
{
  size_t i = 0;

  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    fetch_ahead (x + i);
    store (y + i, widen_bf16 (x + i));
    store (y + i + LANES, widen_bf16 (x + i + LANES));
  }
  evo_ref_f32_from_bf16 (y + i, x + i, n - i);
}

void
KERNEL (f32_from_f16) (float *y, const uint16_t *x, size_t n)
{
  size_t i = 0;

  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    fetch_ahead (x + i);
    store (y + i, widen_f16 (x + i));
    store (y + i + LANES, widen_f16 (x + i + LANES));
  }
  evo_ref_f32_from_f16 (y + i, x + i, n - i);
}

void
KERNEL (bf16_from_f32) (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + NARROWED <= n; i += NARROWED)
    store_bf16 (y + i, load (x + i), load (x + i + LANES));
  evo_ref_bf16_from_f32 (y + i, x + i, n - i);
}

void
KERNEL (f16_from_f32) (uint16_t *y, const float *x, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    store_f16 (y + i, load (x + i));
  evo_ref_f16_from_f32 (y + i, x + i, n - i);
}
