/* SPDX-License-Identifier: Apache-2.0
 * eigen.h - eigenvalues and eigenvectors of a symmetric matrix in plain double arithmetic, the same bits on every CPU.
 *
 * Householder reduction to tridiagonal form, then QL steps with Wilkinson's shift (Golub & Van Loan, "Matrix Computations", 8.3).
 * Vectors are kept as rows, so that every inner loop runs over neighbouring memory.
 */
#ifndef PLUGINS_OPTIMIZER_EIGEN_H
#define PLUGINS_OPTIMIZER_EIGEN_H

#include <float.h>

#include "evopipe.h"

/* One reflection H = I - beta v v' that clears a[k][k + 2 ..]; v replaces a[k][k + 1 ..], beta is returned. p: [n] scratch. */
static inline double
eigen_reflect (double *a, gsize n, gsize k, double *off, double *p)
{
  double norm2 = 0, alpha, vv, beta, pv = 0;

  for (gsize i = k + 1; i < n; i++)
    norm2 += a[k * n + i] * a[k * n + i];
  alpha = a[k * n + k + 1] > 0 ? -sqrt (norm2) : sqrt (norm2);
  *off = alpha;
  vv = 2 * (norm2 - alpha * a[k * n + k + 1]);  /* |v|^2 of v = x - alpha e */
  if (vv <= 0)
    return 0;
  beta = 2 / vv;
  a[k * n + k + 1] -= alpha;
  for (gsize i = k + 1; i < n; i++) {
    double sum = 0;

    for (gsize j = k + 1; j < n; j++)
      sum += a[i * n + j] * a[k * n + j];
    p[i] = beta * sum;
    pv += p[i] * a[k * n + i];
  }
  for (gsize i = k + 1; i < n; i++)
    p[i] -= beta / 2 * pv * a[k * n + i];
  for (gsize i = k + 1; i < n; i++)
    for (gsize j = k + 1; j < n; j++)
      a[i * n + j] -= a[k * n + i] * p[j] + p[i] * a[k * n + j];
  return beta;
}

/* a = Q T Q': d [n] diagonal and e [n] off-diagonal (e[i] joins i and i + 1) of T, q [n][n] the transpose of Q. a is destroyed. */
static inline void
eigen_tridiagonal (double *a, gsize n, double *d, double *e, double *q)
{
  g_autofree double *beta = g_new0 (double, n), *p = g_new0 (double, n);

  for (gsize k = 0; k + 2 < n; k++)
    beta[k] = eigen_reflect (a, n, k, &e[k], p);
  for (gsize k = 0; k < n; k++)
    d[k] = a[k * n + k];
  if (n > 1)
    e[n - 2] = a[(n - 2) * n + n - 1];
  e[n - 1] = 0;
  for (gsize i = 0; i < n * n; i++)
    q[i] = i % (n + 1) == 0;
  for (gsize k = n < 2 ? 0 : n - 2; k-- > 0;)  /* rows of q are columns of Q = H_0 H_1 ... */
    for (gsize i = k + 1; i < n; i++) {
      double sum = 0;

      for (gsize j = k + 1; j < n; j++)
        sum += q[i * n + j] * a[k * n + j];
      for (gsize j = k + 1; j < n; j++)
        q[i * n + j] -= beta[k] * sum * a[k * n + j];
    }
}

static inline void
eigen_rotate (double *x, double *y, double c, double s, gsize n)
{
  for (gsize k = 0; k < n; k++) {
    double t = y[k];

    y[k] = s * x[k] + c * t;
    x[k] = c * x[k] - s * t;
  }
}

/* One implicit QL step on the block l .. m. */
static inline void
eigen_ql_step (double *d, double *e, double *q, gsize n, gsize l, gsize m)
{
  double g = (d[l + 1] - d[l]) / (2 * e[l]), r = sqrt (g * g + 1), s = 1, c = 1, p = 0;

  g = d[m] - d[l] + e[l] / (g < 0 ? g - r : g + r);
  for (gsize i = m; i-- > l;) {
    double f = s * e[i], b = c * e[i];

    r = sqrt (f * f + g * g);
    e[i + 1] = r;
    if (r == 0) {              /* the block splits here */
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    eigen_rotate (q + i * n, q + (i + 1) * n, c, s, n);
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

/* a [n][n] symmetric, destroyed; d [n] eigenvalues in no order; q [n][n] eigenvectors as rows. FALSE: did not converge (not finite). */
static inline gboolean
eigen_symmetric (double *a, gsize n, double *d, double *q)
{
  g_autofree double *e = g_new0 (double, n);
  double norm = 0;

  eigen_tridiagonal (a, n, d, e, q);
  for (gsize i = 0; i < n; i++)
    norm = MAX (norm, fabs (d[i]) + fabs (e[i]));
  for (gsize l = 0; l < n; l++)
    for (int step = 0;; step++) {
      gsize m = l;

      /* against the norm, which the reduction's own rounding is relative to: between eigenvalues that are noise nothing converges */
      while (m + 1 < n && fabs (e[m]) > DBL_EPSILON * norm)
        m++;
      if (m == l)
        break;
      if (step == 80)          /* two or three are usual */
        return FALSE;
      eigen_ql_step (d, e, q, n, l, m);
    }
  for (gsize l = 0; l < n; l++)
    if (!isfinite (d[l]))
      return FALSE;
  return TRUE;
}

#endif
