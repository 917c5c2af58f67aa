/* SPDX-License-Identifier: Apache-2.0
 * lanes.h - one register of floats, 16 wide with AVX-512 and 8 wide with AVX2, under the same names: a kernel written with them is
 * compiled once for each.
 *
 * Operators (+ - *) round every operation; only `fused` (a b + c) and `fused_less` (c - a b) fuse.
 */
#ifndef EVO_KERNELS_X86_LANES_H
#define EVO_KERNELS_X86_LANES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__ ((always_inline, unused))

#if defined(__AVX512F__)

enum { LANES = 16, DOUBLES = 8 };
typedef __m512 Lanes;
typedef __m512i Words;
typedef __m512d Doubles;   /* half as many */
typedef __m256 Half;       /* the floats that widen to Doubles */
typedef __mmask16 Where;

INLINE Lanes load (const float *p) { return _mm512_loadu_ps (p); }
INLINE void store (float *p, Lanes x) { _mm512_storeu_ps (p, x); }
INLINE Lanes all (float x) { return _mm512_set1_ps (x); }
INLINE Words all_words (uint32_t x) { return _mm512_set1_epi32 ((int) x); }
INLINE Lanes fused (Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps (a, b, c); }
INLINE Lanes fused_less (Lanes a, Lanes b, Lanes c) { return _mm512_fnmadd_ps (a, b, c); }
INLINE Lanes larger (Lanes a, Lanes b) { return _mm512_max_ps (a, b); }   /* b where either is a NaN */
INLINE Lanes smaller (Lanes a, Lanes b) { return _mm512_min_ps (a, b); }
INLINE Lanes whole (Lanes x) { return _mm512_roundscale_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Words as_words (Lanes x) { return _mm512_castps_si512 (x); }
INLINE Lanes as_lanes (Words x) { return _mm512_castsi512_ps (x); }
INLINE Words minus (Words a, Words b) { return _mm512_sub_epi32 (a, b); }
INLINE Lanes times_power (Lanes x, Lanes n) { return _mm512_scalef_ps (x, n); } /* x 2^n */

INLINE Where greater (Lanes a, Lanes b) { return _mm512_cmp_ps_mask (a, b, _CMP_GT_OQ); }
INLINE Where equal (Lanes a, Lanes b) { return _mm512_cmp_ps_mask (a, b, _CMP_EQ_OQ); }
INLINE Where at_least (Lanes a, Lanes b) { return _mm512_cmp_ps_mask (a, b, _CMP_GE_OQ); }
INLINE Where is_nan (Lanes a) { return _mm512_cmp_ps_mask (a, a, _CMP_UNORD_Q); }
INLINE Lanes pick (Where w, Lanes yes, Lanes no) { return _mm512_mask_blend_ps (w, no, yes); }
INLINE Lanes zero_unless (Where w, Lanes x) { return _mm512_maskz_mov_ps (w, x); }
INLINE unsigned bits_of (Where w) { return w; }
INLINE Where where_bits (unsigned bits) { return (__mmask16) bits; }
INLINE Where first_lanes (size_t n) { return (__mmask16) (n >= 16 ? 0xffff : (1u << n) - 1); }
INLINE Lanes load_some (const float *p, Where w) { return _mm512_maskz_loadu_ps (w, p); }
INLINE void store_some (float *p, Where w, Lanes x) { _mm512_mask_storeu_ps (p, w, x); }

INLINE Half load_half (const float *p) { return _mm256_loadu_ps (p); }
INLINE Half abs_half (Half x) { return _mm256_andnot_ps (_mm256_set1_ps (-0.0f), x); }
INLINE Doubles widen (Half x) { return _mm512_cvtps_pd (x); }
INLINE Doubles no_doubles (void) { return _mm512_setzero_pd (); }
INLINE Doubles fma_doubles (Doubles a, Doubles b, Doubles c) { return _mm512_fmadd_pd (a, b, c); }
INLINE void store_doubles (double *p, Doubles x) { _mm512_storeu_pd (p, x); }
INLINE double sum_doubles (Doubles x) { return _mm512_reduce_add_pd (x); }
INLINE Half lower (Lanes x) { return _mm512_castps512_ps256 (x); }
INLINE Half upper (Lanes x) { return _mm512_extractf32x8_ps (x, 1); }

INLINE float sum_lanes (Lanes x) { return _mm512_reduce_add_ps (x); }
INLINE float largest_lane (Lanes x) { return _mm512_reduce_max_ps (x); }

/* 16 weights of two bytes each, and 16 pairs of them: the even members, the odd members */
INLINE Lanes widen_f16 (const uint16_t *p) { return _mm512_cvtph_ps (_mm256_loadu_si256 ((const __m256i *) p)); }
INLINE Words load_words (const void *p) { return _mm512_loadu_si512 (p); }
INLINE void store_words (void *p, Words x) { _mm512_storeu_si512 (p, x); }
INLINE Lanes even_bf16 (Words x) { return as_lanes (_mm512_slli_epi32 (x, 16)); }
INLINE Lanes odd_bf16 (Words x) { return as_lanes (_mm512_and_si512 (x, all_words (0xffff0000u))); }

/* 64-bit units with a 32-bit number in the lower half of each */
INLINE Words all_units (uint64_t x) { return _mm512_set1_epi64 ((long long) x); }
INLINE Words add_units (Words a, Words b) { return _mm512_add_epi64 (a, b); }
INLINE Words multiply_units (Words a, Words b) { return _mm512_mul_epu32 (a, b); }
INLINE Words upper_of_units (Words x) { return _mm512_shuffle_epi32 (x, _MM_PERM_DDBB); }
INLINE Words xor3 (Words a, Words b, Words c) { return _mm512_ternarylogic_epi32 (a, b, c, 0x96); }
INLINE Words join_units (Words low, Words high) { return _mm512_mask_shuffle_epi32 (low, 0xaaaa, high, _MM_PERM_CCAA); }
INLINE Words first_of_pairs (Words a, Words b) { return _mm512_unpacklo_epi64 (a, b); }
INLINE Words second_of_pairs (Words a, Words b) { return _mm512_unpackhi_epi64 (a, b); }
INLINE Words unit_order (void) { return _mm512_setr_epi64 (0, 4, 1, 5, 2, 6, 3, 7); }
INLINE Words right (Words x, int n) { return _mm512_srli_epi32 (x, (unsigned) n); }
INLINE Lanes lanes_from_words (Words x) { return _mm512_cvtepi32_ps (x); }
INLINE Where below (Words a, Words b) { return _mm512_cmplt_epi32_mask (a, b); }
INLINE Where same_words (Words a, Words b) { return _mm512_cmpeq_epi32_mask (a, b); }
INLINE Words larger_words (Words a, Words b) { return _mm512_max_epi32 (a, b); }   /* signed, as `below` */
INLINE Words smaller_words (Words a, Words b) { return _mm512_min_epi32 (a, b); }
INLINE Words words_from_lanes (Lanes x) { return _mm512_cvttps_epi32 (x); }        /* towards zero */
INLINE Words gather (const int32_t *p, Words at) { return _mm512_i32gather_epi32 (at, p, 4); }
INLINE Words one_more (Where w, Words n) { return _mm512_mask_sub_epi32 (n, w, n, all_words (~0u)); }
INLINE Lanes flip_unless (Where w, Lanes x) { return _mm512_mask_xor_ps (x, (__mmask16) ~w, x, all (-0.0f)); }
INLINE Lanes add_where (Where w, Lanes a, Lanes b) { return _mm512_mask_add_ps (a, w, a, b); }

#else

enum { LANES = 8, DOUBLES = 4 };
typedef __m256 Lanes;
typedef __m256i Words;
typedef __m256d Doubles;
typedef __m128 Half;
typedef __m256 Where;

INLINE Lanes load (const float *p) { return _mm256_loadu_ps (p); }
INLINE void store (float *p, Lanes x) { _mm256_storeu_ps (p, x); }
INLINE Lanes all (float x) { return _mm256_set1_ps (x); }
INLINE Words all_words (uint32_t x) { return _mm256_set1_epi32 ((int) x); }
INLINE Lanes fused (Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps (a, b, c); }
INLINE Lanes fused_less (Lanes a, Lanes b, Lanes c) { return _mm256_fnmadd_ps (a, b, c); }
INLINE Lanes larger (Lanes a, Lanes b) { return _mm256_max_ps (a, b); }
INLINE Lanes smaller (Lanes a, Lanes b) { return _mm256_min_ps (a, b); }
INLINE Lanes whole (Lanes x) { return _mm256_round_ps (x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Words as_words (Lanes x) { return _mm256_castps_si256 (x); }
INLINE Lanes as_lanes (Words x) { return _mm256_castsi256_ps (x); }
INLINE Words minus (Words a, Words b) { return _mm256_sub_epi32 (a, b); }

/* In two steps: 2^n itself may be too large or too small for a float where x 2^n is not. */
INLINE Lanes
times_power (Lanes x, Lanes n)
{
  const __m256i i = _mm256_cvtps_epi32 (n), half = _mm256_srai_epi32 (i, 1), bias = _mm256_set1_epi32 (127);
  const __m256i a = _mm256_slli_epi32 (_mm256_add_epi32 (half, bias), 23);
  const __m256i b = _mm256_slli_epi32 (_mm256_add_epi32 (_mm256_sub_epi32 (i, half), bias), 23);

  return x * as_lanes (a) * as_lanes (b);
}

INLINE Where greater (Lanes a, Lanes b) { return _mm256_cmp_ps (a, b, _CMP_GT_OQ); }
INLINE Where equal (Lanes a, Lanes b) { return _mm256_cmp_ps (a, b, _CMP_EQ_OQ); }
INLINE Where at_least (Lanes a, Lanes b) { return _mm256_cmp_ps (a, b, _CMP_GE_OQ); }
INLINE Where is_nan (Lanes a) { return _mm256_cmp_ps (a, a, _CMP_UNORD_Q); }
INLINE Lanes pick (Where w, Lanes yes, Lanes no) { return _mm256_blendv_ps (no, yes, w); }
INLINE Lanes zero_unless (Where w, Lanes x) { return _mm256_and_ps (w, x); }
INLINE unsigned bits_of (Where w) { return (unsigned) _mm256_movemask_ps (w); }

INLINE Where
where_bits (unsigned bits)
{
  const __m256i each = _mm256_setr_epi32 (1, 2, 4, 8, 16, 32, 64, 128);

  return _mm256_castsi256_ps (_mm256_cmpeq_epi32 (_mm256_and_si256 (_mm256_set1_epi32 ((int) bits), each), each));
}

INLINE Where
first_lanes (size_t n)
{
  const __m256i i = _mm256_setr_epi32 (0, 1, 2, 3, 4, 5, 6, 7);

  return _mm256_castsi256_ps (_mm256_cmpgt_epi32 (_mm256_set1_epi32 (n >= 8 ? 8 : (int) n), i));
}

INLINE Lanes load_some (const float *p, Where w) { return _mm256_maskload_ps (p, _mm256_castps_si256 (w)); }
INLINE void store_some (float *p, Where w, Lanes x) { _mm256_maskstore_ps (p, _mm256_castps_si256 (w), x); }

INLINE Half load_half (const float *p) { return _mm_loadu_ps (p); }
INLINE Half abs_half (Half x) { return _mm_andnot_ps (_mm_set1_ps (-0.0f), x); }
INLINE Doubles widen (Half x) { return _mm256_cvtps_pd (x); }
INLINE Doubles no_doubles (void) { return _mm256_setzero_pd (); }
INLINE Doubles fma_doubles (Doubles a, Doubles b, Doubles c) { return _mm256_fmadd_pd (a, b, c); }
INLINE void store_doubles (double *p, Doubles x) { _mm256_storeu_pd (p, x); }
INLINE Half lower (Lanes x) { return _mm256_castps256_ps128 (x); }
INLINE Half upper (Lanes x) { return _mm256_extractf128_ps (x, 1); }

INLINE double
sum_doubles (Doubles x)
{
  const __m128d s = _mm256_castpd256_pd128 (x) + _mm256_extractf128_pd (x, 1);

  return s[0] + s[1];
}

INLINE float
sum_lanes (Lanes x)
{
  const __m128 s = lower (x) + upper (x);

  return (s[0] + s[2]) + (s[1] + s[3]);
}

INLINE float
largest_lane (Lanes x)
{
  const __m128 a = _mm_max_ps (lower (x), upper (x)), b = _mm_max_ps (a, _mm_movehl_ps (a, a));

  return _mm_cvtss_f32 (_mm_max_ss (b, _mm_shuffle_ps (b, b, 1)));
}

INLINE Lanes widen_f16 (const uint16_t *p) { return _mm256_cvtph_ps (_mm_loadu_si128 ((const __m128i *) p)); }
INLINE Words load_words (const void *p) { return _mm256_loadu_si256 ((const __m256i *) p); }
INLINE void store_words (void *p, Words x) { _mm256_storeu_si256 ((__m256i *) p, x); }
INLINE Lanes even_bf16 (Words x) { return as_lanes (_mm256_slli_epi32 (x, 16)); }
INLINE Lanes odd_bf16 (Words x) { return as_lanes (_mm256_and_si256 (x, all_words (0xffff0000u))); }

INLINE Words all_units (uint64_t x) { return _mm256_set1_epi64x ((long long) x); }
INLINE Words add_units (Words a, Words b) { return _mm256_add_epi64 (a, b); }
INLINE Words multiply_units (Words a, Words b) { return _mm256_mul_epu32 (a, b); }
INLINE Words upper_of_units (Words x) { return _mm256_shuffle_epi32 (x, 0xf5); }
INLINE Words xor3 (Words a, Words b, Words c) { return _mm256_xor_si256 (_mm256_xor_si256 (a, b), c); }
INLINE Words join_units (Words low, Words high) { return _mm256_blend_epi32 (low, _mm256_shuffle_epi32 (high, 0xa0), 0xaa); }
INLINE Words first_of_pairs (Words a, Words b) { return _mm256_unpacklo_epi64 (a, b); }
INLINE Words second_of_pairs (Words a, Words b) { return _mm256_unpackhi_epi64 (a, b); }
INLINE Words unit_order (void) { return _mm256_setr_epi64x (0, 2, 1, 3); }
INLINE Words right (Words x, int n) { return _mm256_srli_epi32 (x, n); }
INLINE Lanes lanes_from_words (Words x) { return _mm256_cvtepi32_ps (x); }
INLINE Where below (Words a, Words b) { return as_lanes (_mm256_cmpgt_epi32 (b, a)); }
INLINE Where same_words (Words a, Words b) { return as_lanes (_mm256_cmpeq_epi32 (a, b)); }
INLINE Words larger_words (Words a, Words b) { return _mm256_max_epi32 (a, b); }
INLINE Words smaller_words (Words a, Words b) { return _mm256_min_epi32 (a, b); }
INLINE Words words_from_lanes (Lanes x) { return _mm256_cvttps_epi32 (x); }
INLINE Words gather (const int32_t *p, Words at) { return _mm256_i32gather_epi32 (p, at, 4); }
INLINE Words one_more (Where w, Words n) { return _mm256_sub_epi32 (n, as_words (w)); }
INLINE Lanes flip_unless (Where w, Lanes x) { return _mm256_xor_ps (x, _mm256_andnot_ps (w, all (-0.0f))); }
INLINE Lanes add_where (Where w, Lanes a, Lanes b) { return a + _mm256_and_ps (w, b); }

#endif

INLINE Lanes none (void) { return all (0); }
INLINE Lanes magnitude (Lanes x) { return as_lanes (as_words (x) & all_words (0x7fffffffu)); }

#endif
