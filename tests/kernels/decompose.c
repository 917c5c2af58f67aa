/* SPDX-License-Identifier: Apache-2.0
 * decompose.c - eigh, svd and gemm against what they say of themselves: products give the matrix back, vectors are orthonormal, values are in order.
 */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const gsize sizes[] = { 1, 2, 3, 7, 8, 16, 33, 64, 65, 130 };
static const gsize shapes[][2] = { { 1, 1 }, { 1, 9 }, { 9, 1 }, { 2, 3 }, { 8, 8 }, { 33, 17 }, { 17, 33 }, { 65, 64 }, { 40, 200 }, { 200, 40 } };
typedef enum { RANDOM, ZERO, REPEATED, ONE_RANK, N_KINDS } Kind;

static double *
numbers (gsize n, guint32 seed)
{
  g_autofree float *x = test_numbers (n, seed, FALSE);
  double *y = g_new (double, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    y[i] = x[i] + x[n - 1 - i] * 0x1p-25;
  return y;
}

/* [m][n]: any; nothing; the identity, twice; an outer product */
static double *
matrix (gsize m, gsize n, Kind kind)
{
  double *a = numbers (m * n, (guint32) (m * 31 + n));

  for (gsize i = 0; i < m * n && kind != RANDOM; i++)
    a[i] = kind == ZERO ? 0 : kind == REPEATED ? (i / n == i % n ? 2 : 0) : (1 + (double) (i / n)) * (1 + (double) (i % n));
  return a;
}

static double
largest (const double *a, gsize n)
{
  double x = 0;

  for (gsize i = 0; i < n; i++)
    x = MAX (x, fabs (a[i]));
  return x;
}

/* Rows (cols FALSE) of v [n_rows][n_cols] are orthonormal, or its columns: LAPACK promises a small multiple of n eps. */
static void
assert_orthonormal (const double *v, gsize n_rows, gsize n_cols, gboolean cols)
{
  gsize n = cols ? n_cols : n_rows, length = cols ? n_rows : n_cols;

  for (gsize i = 0; i < n; i++)
    for (gsize j = 0; j <= i; j++) {
      double dot = 0;

      for (gsize k = 0; k < length; k++)
        dot += cols ? v[k * n_cols + i] * v[k * n_cols + j] : v[i * n_cols + k] * v[j * n_cols + k];
      g_assert_cmpfloat (fabs (dot - (i == j)), <=, 8 * (double) (length + 8) * DBL_EPSILON);
    }
}

static void
check_eigh (const EvoKernels *k, gsize n, Kind kind)
{
  g_autofree double *a = matrix (n, n, kind), *v = g_new (double, n * n), *w = g_new (double, n);
  gpointer work = g_aligned_alloc (1, (k->eigh_work (n) + 63) & ~(gsize) 63, 64);

  for (gsize i = 0; i < n; i++)
    for (gsize j = 0; j < i; j++)
      a[j * n + i] = a[i * n + j];
  memcpy (v, a, n * n * sizeof *v);
  g_assert_cmpint (k->eigh (v, w, n, work), ==, 0);
  g_aligned_free (work);
  assert_orthonormal (v, n, n, FALSE);
  for (gsize i = 1; i < n; i++)
    g_assert_cmpfloat (w[i - 1], <=, w[i]);
  for (gsize i = 0; i < n * n; i++) { /* backward stable: off by a small multiple of n eps |A|, |A| <= n times its largest element */
    double sum = 0;

    for (gsize j = 0; j < n; j++)
      sum += w[j] * v[j * n + i / n] * v[j * n + i % n];
    g_assert_cmpfloat (fabs (sum - a[i]), <=, 8 * (double) (n + 8) * DBL_EPSILON * (double) n * largest (a, n * n));
  }
}

static void
check_svd (const EvoKernels *k, gsize m, gsize n, Kind kind)
{
  gsize r = MIN (m, n);
  g_autofree double *a = matrix (m, n, kind), *lost = g_memdup2 (a, m * n * sizeof *a), *u = g_new (double, m * r), *s = g_new (double, r),
                    *vt = g_new (double, r * n);
  gpointer work = g_aligned_alloc (1, (k->svd_work (m, n) + 63) & ~(gsize) 63, 64);

  g_assert_cmpint (k->svd (lost, m, n, u, s, vt, work), ==, 0);
  g_aligned_free (work);
  assert_orthonormal (u, m, r, TRUE);
  assert_orthonormal (vt, r, n, FALSE);
  for (gsize i = 0; i < r; i++)
    g_assert_true (s[i] >= 0 && (i == 0 || s[i - 1] >= s[i]));
  for (gsize i = 0; i < m * n; i++) {
    double sum = 0;

    for (gsize j = 0; j < r; j++)
      sum += u[i / n * r + j] * s[j] * vt[j * n + i % n];
    g_assert_cmpfloat (fabs (sum - a[i]), <=, 8 * (double) (m + n) * DBL_EPSILON * sqrt ((double) (m * n)) * largest (a, m * n));
  }
  for (gsize i = 1; i < r && kind == ONE_RANK; i++)
    g_assert_cmpfloat (s[i], <=, 64 * DBL_EPSILON * s[0]);
}

static void
check_gemm (const EvoKernels *k, gsize m, gsize n, gsize inner, guint how)
{
  int ta = how & 1, tb = how >> 1 & 1;
  double alpha = how & 4 ? -0.5 : 1, beta = how & 8 ? 2 : 0;
  g_autofree double *a = numbers (m * inner, how + 1), *b = numbers (inner * n, how + 2), *c = numbers (m * n, how + 3), *before = NULL;

  for (gsize i = 0; i < m * n && beta == 0; i++)
    c[i] = NAN; /* not read */
  before = g_memdup2 (c, MAX (m * n, 1) * sizeof *c);
  k->gemm (c, a, ta, b, tb, m, n, inner, alpha, beta);
  for (gsize i = 0; i < m * n; i++) {
    double sum = 0, sizes_ = 0;

    for (gsize j = 0; j < inner; j++) {
      double term = (ta ? a[j * m + i / n] : a[i / n * inner + j]) * (tb ? b[i % n * inner + j] : b[j * n + i % n]);

      sum += term;
      sizes_ += fabs (term);
    }
    sum = alpha * sum + (beta == 0 ? 0 : beta * before[i]);
    /* another order of additions (Higham 2002, ch. 3) */
    g_assert_cmpfloat (fabs (c[i] - sum), <=, (double) (inner + 2) * DBL_EPSILON * (sizes_ + fabs (sum)));
  }
}

static void
test_decompositions (void)
{
  const EvoKernels *k = evo_kernels_get ();
  double nothing = 0;

  g_assert_cmpint (k->eigh (&nothing, &nothing, 0, &nothing), ==, 0);
  g_assert_cmpint (k->svd (&nothing, 0, 3, &nothing, &nothing, &nothing, &nothing), ==, 0);
  for (Kind kind = RANDOM; kind < N_KINDS; kind++) {
    for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
      check_eigh (k, sizes[i], kind);
    for (guint i = 0; i < G_N_ELEMENTS (shapes); i++)
      check_svd (k, shapes[i][0], shapes[i][1], kind);
  }
}

/* More than Fortran counts: refused before anything is touched. */
static void
test_too_large (void)
{
  const EvoKernels *k = evo_kernels_get ();

  g_assert_cmpint (k->eigh (NULL, NULL, 23001, NULL), !=, 0);
  g_assert_cmpint (k->svd (NULL, 23001, 23001, NULL, NULL, NULL, NULL), !=, 0);
}

static void
test_gemm (void)
{
  static const gsize mnk[][3] = { { 1, 1, 1 }, { 0, 3, 2 }, { 3, 0, 2 }, { 2, 3, 0 }, { 1, 9, 4 }, { 9, 1, 4 }, { 7, 8, 9 }, { 33, 17, 65 },
                                  { 64, 64, 64 } };

  for (guint i = 0; i < G_N_ELEMENTS (mnk); i++)
    for (guint how = 0; how < 16; how++)
      check_gemm (evo_kernels_get (), mnk[i][0], mnk[i][1], mnk[i][2], how);
}

void
test_add_decompose (void)
{
  g_test_add_func ("/decompose/eigh-svd", test_decompositions);
  g_test_add_func ("/decompose/too-large", test_too_large);
  g_test_add_func ("/decompose/gemm", test_gemm);
}
