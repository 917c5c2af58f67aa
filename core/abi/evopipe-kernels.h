/* SPDX-License-Identifier: Apache-2.0
 * evopipe-kernels.h - the table of arithmetic kernels that operators and forward passes are handed.
 *
 * Plain C, no GLib. core/kernels/ref is the definition of every slot; core/kernels/x86 overrides slots.
 * Merge kernels give the same bits on every CPU: elementwise fp32 (one rounding per operation; fused only where a slot says so),
 * sums in 16 double lanes by index mod 16, joined in lane order 0..15. nn kernels may use FMA and differ between
 * ISAs, but are batch-invariant: the bits of a row do not depend on the other rows of the call.
 */
#ifndef EVOPIPE_KERNELS_H
#define EVOPIPE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { EVO_WEIGHT_F32, EVO_WEIGHT_BF16, EVO_WEIGHT_F16 } EvoWeightType; /* element type of a matrix to be packed */

typedef struct {
  size_t size;     /* bytes of this table: a reader built against a longer one must look here first */
  const char *isa; /* "ref", "avx2", "avx512", "avx512+amx" */

  /* --- elementwise, fp32; a parameter is double and is rounded to float once, before the loop. x may be y. */
  void (*zero) (float *y, size_t n);
  void (*copy) (float *y, const float *x, size_t n);
  void (*scale) (float *y, double a, size_t n);                                    /* y = a y */
  void (*axpy) (float *y, const float *x, double a, size_t n);                     /* y += a x, fused */
  void (*axpy_diff) (float *y, const float *x, const float *b, double a, size_t n);/* y += a (x - b), fused */
  void (*add) (float *y, const float *x, size_t n);                                /* y += x */
  void (*sub) (float *y, const float *a, const float *b, size_t n);                /* y = a - b */
  void (*mul) (float *y, const float *a, const float *b, size_t n);                /* y = a b */
  void (*div) (float *y, const float *a, const float *b, size_t n);                /* y = b == 0 ? 0 : a / b */
  void (*mix) (float *y, const float *a, const float *b, double wa, double wb, size_t n); /* y = wa a + wb b, fused; wa, wb as doubles */
  void (*abs) (float *y, const float *x, size_t n);                                /* y = |x| */

  /* y = |x| > cut, or |x| == cut and first + i <= last_tie, ? x : 0  (exact top-k with ties by index) */
  void (*keep_top) (float *y, const float *x, float cut, int64_t last_tie, int64_t first, size_t n);
  /* u[i] = uniform in [0, 1) with 24 bits: Philox4x32-10 (Salmon et al. 2011), key = seed (low word, high word),
   * counter = ((first + i) / 4, 64 bits, then two zero words), word (first + i) mod 4, its upper 24 bits / 2^24 */
  void (*uniform) (float *u, uint64_t seed, int64_t first, size_t n);
  /* y = u < density ? x * scale : 0, u as above, compared in double (masks are nested as density moves) */
  void (*keep_random) (float *y, const float *x, uint64_t seed, int64_t first, double density, double scale, size_t n);
  /* Sign consensus of TIES (Yadav et al. 2023): s = sum_i v_i d_i; input i agrees where v_i d_i has the sign of s (0 counts as +, exact
   * zeros never agree); y = sum of w_i d_i of those that agree (s where s is a NaN), share = sum of their w_i (NULL: not wanted).
   * d: [n_in][n]; v, w: [n_in], v NULL: the vote is by w */
  void (*elect) (float *y, float *share, const float *const *d, const double *w, const double *v, unsigned n_in, size_t n);

  /* --- sums: 16 double lanes by (index mod 16), joined in lane order */
  double (*sum) (const float *x, size_t n);
  double (*sum_abs) (const float *x, size_t n);
  double (*dot) (const float *x, const float *y, size_t n);                  /* products in double */
  double (*dot_diff) (const float *x, const float *y, const float *b, size_t n); /* (x - b)(y - b), differences in fp32 */

  /* --- conversions; to a narrower type: round to nearest, ties to even; overflow of f16 gives infinity */
  void (*f32_from_bf16) (float *y, const uint16_t *x, size_t n);
  void (*f32_from_f16) (float *y, const uint16_t *x, size_t n);
  void (*bf16_from_f32) (uint16_t *y, const float *x, size_t n);
  void (*f16_from_f32) (uint16_t *y, const float *x, size_t n);
  int (*all_finite) (const float *x, size_t n);

  /* adds to count[] (n_bins = 65536) the histogram of the upper 16 bits of |key| (low = 0), or, where the upper 16 bits equal
   * `prefix`, of its lower 16 bits (low = 1); keys are non-negative floats read as uint32: exact k-th largest in two passes */
  void (*histogram) (uint64_t *count, const float *key, uint32_t prefix, int low, size_t n);

  /* --- neural networks (fp32 activations) */
  /* A weight matrix W [n_rows][n_cols] row-major is packed once into the ISA's own layout, then used by matmul. */
  size_t (*packed_bytes) (EvoWeightType type, size_t n_rows, size_t n_cols);
  void (*pack) (void *packed, const void *w, EvoWeightType type, size_t n_rows, size_t n_cols); /* 64-byte aligned */
  /* y [m][n_rows] (row stride ldy) = x [m][n_cols] (row stride ldx) W^T. fp32-accurate for bf16 weights too: an ISA with
   * bf16 tiles splits x into three bf16 parts, once a call: matrices with the same x are best packed as one. Work is split by
   * the caller over output rows: [row0, row1) multiples of 64 (row1 may be n_rows). */
  void (*matmul) (float *y, size_t ldy, const float *x, size_t ldx, size_t m, const void *packed, EvoWeightType type, size_t n_rows,
                  size_t n_cols, size_t row0, size_t row1, void *scratch);
  size_t (*matmul_scratch) (size_t m, size_t n_cols); /* bytes, 64-byte aligned */
  void (*rms_norm) (float *y, const float *x, const float *w, double eps, size_t n); /* x / sqrt(mean x^2 + eps) * w (Zhang & Sennrich 2019) */
  void (*silu_mul) (float *y, const float *gate, const float *up, size_t n);         /* gate / (1 + exp(-gate)) * up */
  /* x [n_heads][head_dim]; pairs (i, i + head_dim/2) turned by (cos, sin) [head_dim/2] (Su et al. 2021, "rotate half") */
  void (*rope) (float *x, const float *cos, const float *sin, size_t n_heads, size_t head_dim);
  /* one query head over n_keys cached positions: y [head_dim] = softmax(scale q K^T) V; k, v: [n_keys] rows of stride ld;
   * scores: scratch [n_keys rounded up to 16] */
  void (*attend) (float *y, const float *q, const float *k, const float *v, size_t ld, size_t n_keys, size_t head_dim, double scale,
                  float *scores);
  size_t (*argmax) (const float *x, size_t n);           /* lowest index on ties */
  double (*log_sum_exp) (const float *x, size_t n);      /* natural logarithm */
  /* The n_heads query heads that share one key head, for a block of n_q positions: row i of q and y (strides ldq, ldy) holds
   * [n_heads][head_dim] and sees the keys 0 .. n_keys + i * step - 1 (step 1: causal, 0: all see the same). Each head has the
   * bits `attend` gives. Works for a block of a prompt and, with n_q = 1, for one new token. */
  void (*attend_many) (float *y, size_t ldy, const float *q, size_t ldq, size_t n_q, size_t n_heads, const float *k, const float *v,
                       size_t ld, size_t n_keys, size_t step, size_t head_dim, double scale, void *scratch);
  size_t (*attend_scratch) (size_t n_q, size_t n_heads, size_t n_keys, size_t step, size_t head_dim); /* bytes, 64-byte aligned */

  /* --- decompositions in double, row-major, by LAPACK and BLAS on one thread: the same bits on one machine type. work: the caller's, of
   * the bytes the second slot says, 64-byte aligned. eigh and svd return 0, or what LAPACK reports: no convergence. */
  /* a [n][n] symmetric = sum_i w_i a_i a_i^T: on return row i of a is the eigenvector of w[i], ascending (dsyevd) */
  int (*eigh) (double *a, double *w, size_t n, void *work);
  size_t (*eigh_work) (size_t n);
  /* a [m][n] = u diag (s) vt, r = min (m, n): u [m][r], s [r] descending, vt [r][n]; a is lost (dgesdd) */
  int (*svd) (double *a, size_t m, size_t n, double *u, double *s, double *vt, void *work);
  size_t (*svd_work) (size_t m, size_t n);
  /* c [m][n] = alpha op (a) op (b) + beta c, op (a) [m][k]; ta: a is stored transposed, [k][m]; tb likewise (dgemm) */
  void (*gemm) (double *c, const double *a, int ta, const double *b, int tb, size_t m, size_t n, size_t k, double alpha, double beta);

  /* --- a sum as those above: KL (softmax (a) + floor, softmax (b) + floor), natural logarithm, in double; finite a, b. work [3][n] */
  double (*divergence) (const float *a, const float *b, double floor, size_t n, double *work);

  /* --- as the elementwise ones: y = u < p ? x : 0, or x / p if `divide`, p = low + rank step >= 0; rank (0 ... n - 1) counts the |x| that are
   * smaller, or equal and later; u as made by `uniform`, p and the division in double. y may be x. work [4][n] */
  void (*keep_ranked) (float *y, const float *x, const float *u, double low, double step, int divide, size_t n, uint64_t *work);
  void (*deviation) (float *y, const float *const *x, unsigned n_in, size_t n); /* y = standard deviation of x [n_in][n], in double, over n_in */
  int (*bf16_all_finite) (const uint16_t *x, size_t n);
} EvoKernels;

#ifdef __cplusplus
}
#endif
#endif
