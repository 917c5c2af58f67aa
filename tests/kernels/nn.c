/* SPDX-License-Identifier: Apache-2.0
 * nn.c - neural network kernels: near ref's double accumulators by a stated tolerance, and batch-invariant bit for bit.
 */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double u = FLT_EPSILON / 2; /* unit roundoff */

static void
check_near (const EvoKernels *k, const char *what, gsize i, double expected, double got, double tolerance)
{
  if (expected == got || fabs (expected - got) <= tolerance || (isnan (expected) && isnan (got)))
    return;
  g_test_message ("%s %s, element %zu: expected %.9g, got %.9g, allowed %.3g", k->isa, what, i, expected, got, tolerance);
  g_test_fail ();
}

/* ------------------------------------------------------------------ matmul */

typedef struct {
  EvoWeightType type;
  gsize n_rows, n_cols;
  gpointer w;        /* row-major */
  float *wide;       /* the same in fp32 */
} Weights;

static void
weights_init (Weights *w, EvoWeightType type, gsize n_rows, gsize n_cols)
{
  const gsize n = n_rows * n_cols;

  *w = (Weights){ type, n_rows, n_cols, g_malloc (n * 4), test_numbers (n, 11, FALSE) };
  if (type == EVO_WEIGHT_F32)
    memcpy (w->w, w->wide, n * 4);
  if (type == EVO_WEIGHT_BF16) {
    evo_kernels_ref.bf16_from_f32 (w->w, w->wide, n);
    evo_kernels_ref.f32_from_bf16 (w->wide, w->w, n);
  }
  if (type == EVO_WEIGHT_F16) {
    evo_kernels_ref.f16_from_f32 (w->w, w->wide, n);
    evo_kernels_ref.f32_from_f16 (w->wide, w->w, n);
  }
}

static void
weights_clear (Weights *w)
{
  g_free (w->w);
  g_free (w->wide);
}

/* y = x W^T by table k, in pieces of at most `piece` rows of W; memory is as long as the contract says, no longer */
static float *
product (const EvoKernels *k, const Weights *w, const float *x, gsize ldx, gsize m, gsize piece)
{
  gpointer packed = g_aligned_alloc (MAX (k->packed_bytes (w->type, w->n_rows, w->n_cols), 1), 1, 64);
  gpointer scratch = g_aligned_alloc (MAX (k->matmul_scratch (m, w->n_cols), 1), 1, 64);
  float *y = g_new (float, MAX (m * w->n_rows, 1));

  k->pack (packed, w->w, w->type, w->n_rows, w->n_cols);
  memset (y, 0xff, m * w->n_rows * sizeof *y);
  for (gsize r = 0; r < w->n_rows; r += piece)
    k->matmul (y, w->n_rows, x, ldx, m, packed, w->type, w->n_rows, w->n_cols, r, MIN (r + piece, w->n_rows), scratch);
  g_aligned_free (packed);
  g_aligned_free (scratch);
  return y;
}

/* |error| <= c u sum |x w|, c = number of additions (Higham 2002, 3.1): n for a chain of multiply-adds, 3 n where x is added in three
 * parts; one more for the rounding of ref. */
static void
check_product (const EvoKernels *k, EvoWeightType type, gsize m, gsize n_rows, gsize n_cols)
{
  g_autofree float *x = test_numbers (m * (n_cols + 3), 12, FALSE), *got = NULL;
  Weights w;

  weights_init (&w, type, n_rows, n_cols);
  got = product (k, &w, x, n_cols + 3, m, n_rows);
  for (gsize i = 0; i < m; i++)
    for (gsize r = 0; r < n_rows; r++) {
      double s = 0, sum_abs = 0;

      for (gsize c = 0; c < n_cols; c++) {
        const double p = (double) x[i * (n_cols + 3) + c] * (double) w.wide[r * n_cols + c];

        s += p;
        sum_abs += fabs (p);
      }
      check_near (k, "matmul", i * n_rows + r, s, (double) got[i * n_rows + r], (3.0 * (double) n_cols + 1) * u * sum_abs);
    }
  weights_clear (&w);
}

static const struct { gsize m, n_rows, n_cols; } shapes[] = {
  { 1, 1, 1 }, { 1, 64, 32 }, { 3, 70, 33 }, { 7, 16, 1 }, { 37, 128, 128 }, { 17, 200, 45 }, { 33, 64, 300 }, { 31, 33, 64 },
  { 6, 96, 2100 }, { 100, 65, 31 }, { 16, 130, 256 }, { 5, 40, 257 }
};

static void
test_matmul (void)
{
  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++)
    for (guint type = EVO_WEIGHT_F32; type <= EVO_WEIGHT_F16; type++)
      for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
        check_product (t == 0 ? &evo_kernels_ref : test_table (t - 1), (EvoWeightType) type, shapes[i].m, shapes[i].n_rows,
                       shapes[i].n_cols);
}

/* Three parts of x carry all of its 24 bits: the sum of one product per row is exact to a rounding where W has a single 1. */
static void
test_matmul_keeps_fp32 (void)
{
  enum { N = 128 };
  g_autofree float *x = test_numbers (2 * N, 13, FALSE);

  for (guint t = 0; test_table (t) != NULL; t++) {
    Weights w;
    g_autofree float *y = NULL;

    weights_init (&w, EVO_WEIGHT_BF16, N, N);
    for (gsize i = 0; i < N * N; i++)
      ((guint16 *) w.w)[i] = i / N == i % N ? 0x3f80 : 0; /* 1 on the diagonal */
    y = product (test_table (t), &w, x, N, 2, N);
    for (gsize i = 0; i < 2 * N; i++)
      g_assert_cmpfloat (y[i], ==, x[i]);
    weights_clear (&w);
  }
}

/* The bits of a row are the same alone, among 37, among 300, and when the rows of W are done in pieces. */
static void
check_batch_invariance (const EvoKernels *k, EvoWeightType type, gsize n_rows, gsize n_cols)
{
  enum { M = 300 };
  static const gsize some[] = { 0, 1, 15, 16, 31, 32, 95, 96, 97, 191, 192, 287, 298, 299 };
  g_autofree float *x = test_numbers (M * n_cols, 14, FALSE), *whole = NULL, *part = NULL, *pieces = NULL;
  Weights w;

  weights_init (&w, type, n_rows, n_cols);
  whole = product (k, &w, x, n_cols, M, n_rows);
  part = product (k, &w, x + 5 * n_cols, n_cols, 37, n_rows);
  pieces = product (k, &w, x, n_cols, M, 64);
  g_assert_cmpmem (whole + 5 * n_rows, 37 * n_rows * sizeof (float), part, 37 * n_rows * sizeof (float));
  g_assert_cmpmem (whole, M * n_rows * sizeof (float), pieces, M * n_rows * sizeof (float));
  for (guint i = 0; i < G_N_ELEMENTS (some); i++) {
    g_autofree float *alone = product (k, &w, x + some[i] * n_cols, n_cols, 1, n_rows);

    g_assert_cmpmem (whole + some[i] * n_rows, n_rows * sizeof (float), alone, n_rows * sizeof (float));
  }
  weights_clear (&w);
}

static void
test_batch_invariance (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint type = EVO_WEIGHT_F32; type <= EVO_WEIGHT_F16; type++) {
      check_batch_invariance (test_table (t), (EvoWeightType) type, 200, 130);
      check_batch_invariance (test_table (t), (EvoWeightType) type, 66, 2500);
    }
}

/* ------------------------------------------------------------------ attention */

/* s has error d = (head_dim + 2) u scale sum |q k|; exp turns it into a relative error 2 d of each weight against their sum; then n_keys
 * additions of p v and of p, and 4 u for exp itself and the quotient. */
static double
attend_tolerance (const float *q, const float *k, const float *v, gsize ld, gsize n_keys, gsize head_dim, double scale)
{
  double worst = 0, largest_v = 0;

  for (gsize j = 0; j < n_keys; j++) {
    double s = 0;

    for (gsize d = 0; d < head_dim; d++) {
      s += fabs ((double) q[d] * (double) k[j * ld + d]);
      largest_v = fmax (largest_v, fabs ((double) v[j * ld + d]));
    }
    worst = fmax (worst, s * scale);
  }
  return largest_v * u * (2 * ((double) head_dim + 4) * worst + 2 * (double) n_keys + 8);
}

static void
check_attend (const EvoKernels *k, gsize n_keys, gsize head_dim)
{
  const gsize ld = head_dim + 5, padded = (n_keys + 15) / 16 * 16;
  g_autofree float *q = test_numbers (head_dim, 21, FALSE), *keys = test_numbers (n_keys * ld, 22, FALSE);
  g_autofree float *values = test_numbers (n_keys * ld, 23, FALSE);
  g_autofree float *a = g_new (float, head_dim), *b = g_new (float, head_dim), *scores = g_new (float, MAX (padded, 1));
  const double scale = 1 / sqrt ((double) head_dim), allowed = attend_tolerance (q, keys, values, ld, n_keys, head_dim, scale);

  evo_kernels_ref.attend (a, q, keys, values, ld, n_keys, head_dim, scale, scores);
  k->attend (b, q, keys, values, ld, n_keys, head_dim, scale, scores);
  for (gsize i = 0; i < head_dim; i++)
    check_near (k, "attend", i, (double) a[i], (double) b[i], allowed);
}

static const gsize head_dims[] = { 4, 20, 32, 64, 72, 80, 128 };

static void
test_attend (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint d = 0; d < G_N_ELEMENTS (head_dims); d++)
      for (gsize n_keys = 0; n_keys < 300; n_keys += n_keys < 70 ? 1 : 57)
        check_attend (test_table (t), n_keys, head_dims[d]);
}

/* attend_many has the bits of attend, head by head, for every way of cutting the positions into blocks. */
static void
check_attend_many (const EvoKernels *k, gsize n_q, gsize n_heads, gsize n_keys, gsize step, gsize head_dim)
{
  const gsize all_keys = n_keys + (n_q - 1) * step, ld = head_dim * 2, ldq = n_heads * head_dim + 7, ldy = n_heads * head_dim + 1;
  g_autofree float *q = test_numbers (n_q * ldq, 24, FALSE), *keys = test_numbers (all_keys * ld, 25, FALSE);
  g_autofree float *values = test_numbers (all_keys * ld, 26, FALSE);
  g_autofree float *y = g_new0 (float, n_q * ldy), *one = g_new (float, head_dim), *scores = g_new (float, all_keys + 16);
  gpointer scratch = g_aligned_alloc (MAX (k->attend_scratch (n_q, n_heads, n_keys, step, head_dim), 1), 1, 64);

  k->attend_many (y, ldy, q, ldq, n_q, n_heads, keys, values, ld, n_keys, step, head_dim, 0.17, scratch);
  for (gsize i = 0; i < n_q; i++)
    for (gsize h = 0; h < n_heads; h++) {
      k->attend (one, q + i * ldq + h * head_dim, keys, values, ld, n_keys + i * step, head_dim, 0.17, scores);
      g_assert_cmpmem (y + i * ldy + h * head_dim, head_dim * sizeof (float), one, head_dim * sizeof (float));
    }
  g_aligned_free (scratch);
}

static void
test_attend_many (void)
{
  static const struct { gsize n_q, n_heads, n_keys, step; } blocks[] = {
    { 1, 1, 1, 1 }, { 1, 2, 45, 1 }, { 45, 2, 1, 1 }, { 33, 1, 1, 1 }, { 7, 3, 20, 1 }, { 50, 4, 50, 0 }, { 1, 8, 200, 1 }, { 3, 1, 130, 1 },
    { 2, 1, 0, 1 }, { 17, 2, 100, 1 }
  };

  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++)
    for (guint i = 0; i < G_N_ELEMENTS (blocks); i++)
      for (guint d = 0; d < G_N_ELEMENTS (head_dims); d++)
        check_attend_many (t == 0 ? &evo_kernels_ref : test_table (t - 1), blocks[i].n_q, blocks[i].n_heads, blocks[i].n_keys,
                           blocks[i].step, head_dims[d]);
}

/* A key beyond a query's own must not touch its bits, not even a NaN. */
static void
test_attend_ignores_later_keys (void)
{
  enum { N = 20, D = 32 };
  g_autofree float *q = test_numbers (N * D, 27, FALSE), *keys = test_numbers (N * D, 28, FALSE);
  g_autofree float *values = test_numbers (N * D, 29, FALSE);

  for (guint t = 0; test_table (t) != NULL; t++) {
    const EvoKernels *k = test_table (t);
    gpointer scratch = g_aligned_alloc (k->attend_scratch (N, 1, 1, 1, D), 1, 64);
    float a[N * D], b[N * D];

    k->attend_many (a, D, q, D, N, 1, keys, values, D, 1, 1, D, 0.2, scratch);
    for (gsize i = 10 * D; i < N * D; i++)
      keys[i] = values[i] = NAN;
    k->attend_many (b, D, q, D, N, 1, keys, values, D, 1, 1, D, 0.2, scratch);
    g_assert_cmpmem (a, 10 * D * sizeof (float), b, 10 * D * sizeof (float));
    g_assert_true (isnan (b[10 * D]));
    g_free (keys);
    g_free (values);
    keys = test_numbers (N * D, 28, FALSE);
    values = test_numbers (N * D, 29, FALSE);
    g_aligned_free (scratch);
  }
}

/* ------------------------------------------------------------------ the rest */

/* three roundings beside the root's own: within 4 u of the exact value */
static void
test_rms_norm (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 1; i < test_n_lengths; i++) {
      const gsize n = test_lengths[i];
      g_autofree float *x = test_numbers (n, 31, FALSE), *w = test_numbers (n, 32, FALSE), *a = g_new (float, n), *b = g_new (float, n);

      evo_kernels_ref.rms_norm (a, x, w, 1e-5, n);
      test_table (t)->rms_norm (b, x, w, 1e-5, n);
      for (gsize j = 0; j < n; j++)
        check_near (test_table (t), "rms_norm", j, (double) a[j], (double) b[j], 5 * u * fabs ((double) a[j]));
    }
}

/* exp within 2 ulp, one addition, quotient within 1.5 ulp, one product: 10 u; below exp (87) the quotient's guard gives 1e-36 */
static void
test_silu_mul (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < test_n_lengths; i++) {
      const gsize n = test_lengths[i];
      g_autofree float *gate = test_numbers (n, 33, FALSE), *up = test_numbers (n, 34, FALSE);
      g_autofree float *a = g_new (float, n + 1), *b = g_new (float, n + 1);

      for (gsize j = 0; j < n; j++)
        gate[j] = gate[j] * (j % 3 == 0 ? 1.0f : j % 3 == 1 ? 10.0f : 60.0f);
      if (n >= 9) {
        gate[3] = 0;
        gate[5] = 1e30f;
        gate[7] = -1e4f;
        gate[8] = NAN;
      }
      evo_kernels_ref.silu_mul (a, gate, up, n);
      test_table (t)->silu_mul (b, gate, up, n);
      for (gsize j = 0; j < n; j++)
        check_near (test_table (t), "silu_mul", j, (double) a[j], (double) b[j], 10 * u * fabs ((double) a[j]) + 1e-32);
    }
}

/* two products and a sum, fused: 2 u (|a cos| + |b sin|) */
static void
test_rope (void)
{
  static const gsize dims[] = { 2, 14, 32, 34, 64, 80, 128 };

  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < G_N_ELEMENTS (dims); i++) {
      const gsize n = 3 * dims[i], half = dims[i] / 2;
      g_autofree float *x = test_numbers (n, 35, FALSE), *a = g_memdup2 (x, n * sizeof (float)), *b = g_memdup2 (x, n * sizeof (float));
      g_autofree float *c = test_numbers (half, 36, FALSE), *s = test_numbers (half, 37, FALSE);

      evo_kernels_ref.rope (a, c, s, 3, dims[i]);
      test_table (t)->rope (b, c, s, 3, dims[i]);
      for (gsize j = 0; j < n; j++)
        check_near (test_table (t), "rope", j, (double) a[j], (double) b[j], 2 * u * 8);
    }
}

static void
test_argmax (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < test_n_lengths; i++) {
      const gsize n = test_lengths[i];

      for (guint32 seed = 40; seed < 44; seed++) {
        g_autofree float *x = test_numbers (n, seed, seed % 2 == 0);

        if (seed == 41)
          for (gsize j = 0; j < n; j++)
            x[j] = roundf (x[j]) - 5; /* ties, and nothing above zero */
        g_assert_cmpuint (test_table (t)->argmax (x, n), ==, evo_kernels_ref.argmax (x, n));
      }
    }
  g_assert_cmpuint (evo_kernels_get ()->argmax ((const float[]){ NAN, -INFINITY, -INFINITY }, 3), ==, 0);
  g_assert_cmpuint (evo_kernels_get ()->argmax ((const float[]){ -1, 3, 3, 2 }, 4), ==, 1);
}

/* exp within 2 ulp of each term, sums in double: a relative error of 4 u of the sum is an absolute one of its logarithm; then the
 * rounding of x - max: u |x - max| of each term, of which those near the largest matter */
static void
test_log_sum_exp (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < test_n_lengths; i++) {
      const gsize n = test_lengths[i];
      g_autofree float *x = test_numbers (n, 45, FALSE);

      for (gsize j = 0; j < n; j++)
        x[j] *= 20;
      check_near (test_table (t), "log_sum_exp", n, evo_kernels_ref.log_sum_exp (x, n), test_table (t)->log_sum_exp (x, n), 10 * u);
      for (gsize j = 0; j < n; j++)
        x[j] = x[j] * 20 + 5000;
      check_near (test_table (t), "log_sum_exp", n, evo_kernels_ref.log_sum_exp (x, n), test_table (t)->log_sum_exp (x, n), 10 * u);
    }
  g_assert_cmpfloat (evo_kernels_get ()->log_sum_exp ((const float[]){ -INFINITY, -INFINITY }, 2), ==, -HUGE_VAL);
  g_assert_cmpfloat_with_epsilon (evo_kernels_get ()->log_sum_exp ((const float[]){ 3, 3 }, 2), 3 + log (2), 1e-9);
}

void
test_add_nn (void)
{
  g_test_add_func ("/kernels/matmul", test_matmul);
  g_test_add_func ("/kernels/matmul-keeps-fp32", test_matmul_keeps_fp32);
  g_test_add_func ("/kernels/batch-invariance", test_batch_invariance);
  g_test_add_func ("/kernels/attend", test_attend);
  g_test_add_func ("/kernels/attend-many", test_attend_many);
  g_test_add_func ("/kernels/attend-ignores-later-keys", test_attend_ignores_later_keys);
  g_test_add_func ("/kernels/rms_norm", test_rms_norm);
  g_test_add_func ("/kernels/silu_mul", test_silu_mul);
  g_test_add_func ("/kernels/rope", test_rope);
  g_test_add_func ("/kernels/argmax", test_argmax);
  g_test_add_func ("/kernels/log_sum_exp", test_log_sum_exp);
}
