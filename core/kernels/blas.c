/* SPDX-License-Identifier: Apache-2.0
 * blas.c - the one place that knows OpenBLAS and its LAPACK: held to one thread, since the number of threads changes the last bits of its
 * results.
 */
#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"

/* From OpenBLAS's cblas.h, whose other declarations need types this room has no use for. */
char *openblas_get_corename (void);
void openblas_set_num_threads (int n_threads);

/* Fortran's own names: column-major, every argument by address, lengths of texts at the end. */
void dgemm_ (const char *ta, const char *tb, const int *m, const int *n, const int *k, const double *alpha, const double *a, const int *lda,
             const double *b, const int *ldb, const double *beta, double *c, const int *ldc, size_t, size_t);
void dsyevd_ (const char *job, const char *half, const int *n, double *a, const int *lda, double *w, double *work, const int *lwork, int *iwork,
              const int *liwork, int *info, size_t, size_t);
void dgesdd_ (const char *job, const int *m, const int *n, double *a, const int *lda, double *s, double *u, const int *ldu, double *vt,
              const int *ldvt, double *work, const int *lwork, int *iwork, int *info, size_t);

enum { MOST = 23000 }; /* rows or columns, the fewer: beyond, Fortran's integers cannot count the workspace */

const char *
evo_blas_core (void)
{
  openblas_set_num_threads (1);
  return openblas_get_corename ();
}

/* LAPACK is not to be asked about an infinity: OpenBLAS's dgesdd may then never return. What it says of a NaN in argument 4 is said here. */
enum { NOT_FINITE = -4 };
static int
all_finite (const double *a, size_t n)
{
  double zero = 0;

  for (size_t i = 0; i < n; i++)
    zero += 0 * a[i];
  return zero == 0;
}

/* ------------------------------------------------------------------ eigenvectors */

/* dsyevd's least for job V: 1 + 6n + 2n^2 doubles, 3 + 5n integers. */
static size_t
eigh_doubles (size_t n)
{
  return 1 + 6 * n + 2 * n * n;
}

size_t
evo_ref_eigh_work (size_t n)
{
  return eigh_doubles (n) * sizeof (double) + (3 + 5 * n) * sizeof (int);
}

/* A column of Fortran's is a row of ours. */
int
evo_ref_eigh (double *a, double *w, size_t n, void *work)
{
  const int size = (int) n, lwork = (int) eigh_doubles (n), liwork = (int) (3 + 5 * n);
  int info = 0;

  if (n == 0)
    return 0;
  if (n > MOST)
    return -1;
  if (!all_finite (a, n * n))
    return NOT_FINITE;
  openblas_set_num_threads (1);
  dsyevd_ ("V", "L", &size, a, &size, w, work, &lwork, (int *) ((double *) work + lwork), &liwork, &info, 1, 1);
  return info;
}

/* ------------------------------------------------------------------ singular vectors */

/* dgesdd's least for job S, with room for the blocks of 64 it works in: 4r^2 + 7r + 64 (m + n). */
static size_t
svd_doubles (size_t m, size_t n)
{
  size_t r = m < n ? m : n;

  return 4 * r * r + 7 * r + 64 * (m + n) + 64;
}

size_t
evo_ref_svd_work (size_t m, size_t n)
{
  return svd_doubles (m, n) * sizeof (double) + 8 * (m < n ? m : n) * sizeof (int);
}

/* To Fortran, a is its transpose: what it calls u is our vt. */
int
evo_ref_svd (double *a, size_t m, size_t n, double *u, double *s, double *vt, void *work)
{
  const int rows = (int) n, cols = (int) m, r = (int) (m < n ? m : n), lwork = (int) svd_doubles (m, n);
  int info = 0;

  if (m == 0 || n == 0)
    return 0;
  if (r > MOST)
    return -1;
  if (!all_finite (a, m * n))
    return NOT_FINITE;
  openblas_set_num_threads (1);
  dgesdd_ ("S", &rows, &cols, a, &rows, s, vt, &rows, u, &r, work, &lwork, (int *) ((double *) work + lwork), &info, 1);
  return info;
}

/* ------------------------------------------------------------------ products */

void
evo_ref_gemm (double *c, const double *a, int ta, const double *b, int tb, size_t m, size_t n, size_t k, double alpha, double beta)
{
  const int rows = (int) n, cols = (int) m, inner = (int) k, lda = (int) (ta ? m : k), ldb = (int) (tb ? k : n);

  if (m == 0 || n == 0)
    return;
  openblas_set_num_threads (1);
  dgemm_ (tb ? "T" : "N", ta ? "T" : "N", &rows, &cols, &inner, &alpha, b, &ldb, a, &lda, &beta, c, &rows, 1, 1);
}
