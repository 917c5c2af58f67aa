/* SPDX-License-Identifier: Apache-2.0
 * definitions-spectral.c - operators on singular directions in double, from the papers that plugins/merge names, with an SVD of its own: one-sided
 * Jacobi (Hestenes 1958), which finds small singular values as exactly as large ones; and RegMean by elimination.
 */
#include <float.h>
#include <string.h>

#include "tests/plugins/definitions-spectral.h"

/* ------------------------------------------------------------------ SVD */

/* Turns rows p and q of w [.][m], and of v [.][n] with them, until they are at right angles; FALSE: they were. */
static gboolean
turn (double *p, double *q, gsize m, double *vp, double *vq, gsize n)
{
  double pp = 0, qq = 0, pq = 0, zeta, t, c, s;

  for (gsize i = 0; i < m; i++) {
    pp += p[i] * p[i];
    qq += q[i] * q[i];
    pq += p[i] * q[i];
  }
  if (fabs (pq) <= 1e-15 * sqrt (pp * qq))
    return FALSE;
  zeta = (qq - pp) / (2 * pq);
  t = (zeta < 0 ? -1 : 1) / (fabs (zeta) + sqrt (1 + zeta * zeta));
  c = 1 / sqrt (1 + t * t);
  s = c * t;
  for (gsize i = 0; i < m + n; i++) {
    double *x = i < m ? &p[i] : &vp[i - m], *y = i < m ? &q[i] : &vq[i - m], old = *x;

    *x = c * old - s * *y;
    *y = s * old + c * *y;
  }
  return TRUE;
}

static void
swap_rows (double *a, gsize i, gsize j, gsize n)
{
  for (gsize k = 0; k < n; k++) {
    double x = a[i * n + k];

    a[i * n + k] = a[j * n + k];
    a[j * n + k] = x;
  }
}

/* w [n][m]: the columns of a tall matrix */
static Svd
jacobi (double *w, gsize m, gsize n)
{
  Svd d = { m, n, n, w, g_new0 (double, MAX (n, 1)), g_new0 (double, MAX (n * n, 1)) };
  gboolean turned = TRUE;

  for (gsize i = 0; i < n; i++)
    d.v[i * n + i] = 1;
  for (guint sweep = 0; turned && sweep < 60; sweep++) {
    turned = FALSE;
    for (gsize p = 0; p < n; p++)
      for (gsize q = p + 1; q < n; q++)
        turned = turn (w + p * m, w + q * m, m, d.v + p * n, d.v + q * n, n) || turned;
  }
  for (gsize i = 0; i < n; i++) {
    for (gsize j = 0; j < m; j++)
      d.s[i] += w[i * m + j] * w[i * m + j];
    d.s[i] = sqrt (d.s[i]);
    for (gsize j = 0; j < m; j++)
      w[i * m + j] = d.s[i] > 0 ? w[i * m + j] / d.s[i] : 0;
  }
  for (gsize i = 0; i < n; i++)
    for (gsize j = i + 1; j < n; j++)
      if (d.s[j] > d.s[i]) {
        swap_rows (d.s, i, j, 1);
        swap_rows (d.u, i, j, m);
        swap_rows (d.v, i, j, n);
      }
  return d;
}

Svd
define_svd (const double *a, gsize m, gsize n)
{
  gboolean tall = m >= n;
  double *w = g_new (double, MAX (m * n, 1));
  Svd d;

  for (gsize i = 0; i < m * n; i++)
    w[tall ? i % n * m + i / n : i] = a[i];
  d = jacobi (w, MAX (m, n), MIN (m, n));
  return tall ? d : (Svd){ m, n, d.r, d.v, d.s, d.u };
}

void
define_svd_clear (Svd *s)
{
  g_free (s->u);
  g_free (s->s);
  g_free (s->v);
}

/* ------------------------------------------------------------------ what the operators share */

typedef struct { gsize m, n, count; } Matrices;

/* Two dimensions; three: a stack; four and more: the first, and the others as one. */
static Matrices
matrices_of (const Drive *d, guint tensor)
{
  const EvoTensor *t = &drive_get (d, tensor)->t;
  Matrices x = { 0, 0, 0 };

  if (t->n_dims < 2 || t->n == 0)
    return x;
  x.count = t->n_dims == 3 ? (gsize) t->dims[0] : 1;
  x.m = (gsize) t->dims[t->n_dims == 3];
  x.n = (gsize) t->n / x.count / x.m;
  if (MAX (x.m, x.n) > drive_number (d, tensor, -1, "largest"))
    x.count = 0;
  return x;
}

static double *
change_of (const Drive *d, guint tensor, guint i, gsize at, gsize n)
{
  const DriveTensor *t = drive_get (d, tensor);
  double *x = g_new (double, MAX (n, 1)), w = drive_number (d, tensor, (gint) i, "weight");

  for (gsize j = 0; j < n; j++)
    x[j] = w * ((double) t->in[i][at + j] - t->base[at + j]);
  return x;
}

static double *
sum_of (const Drive *d, guint tensor, gsize at, gsize n)
{
  double *sum = g_new0 (double, MAX (n, 1));

  for (guint i = 0; i < d->n_in; i++) {
    g_autofree double *x = change_of (d, tensor, i, at, n);

    for (gsize j = 0; j < n; j++)
      sum[j] += x[j];
  }
  return sum;
}

/* fp32's rounding of the result, and 1e-9 of what the changes measure: decompositions in double, of matrices whose condition the tests keep below
 * 1e6; svd-truncate's squares lose half the digits: 2e-8. */
static void
put (const Drive *d, guint tensor, gsize at, gsize n, const double *change, double factor, double lost, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double size = 0;

  for (guint i = 0; i < d->n_in; i++) {
    g_autofree double *x = change_of (d, tensor, i, at, n);
    double squares = 0;

    for (gsize j = 0; j < n; j++)
      squares += x[j] * x[j];
    size += sqrt (squares);
  }
  for (gsize j = 0; j < n; j++) {
    out[at + j] = t->base[at + j] + factor * change[j];
    tolerance[at + j] = FLT_EPSILON / 2 * fabs (out[at + j]) * 1.000001 + fabs (factor) * lost * size + 1e-45;
  }
}

static void
put_plain (const Drive *d, guint tensor, double factor, double *out, double *tolerance)
{
  gsize n = (gsize) drive_get (d, tensor)->t.n;
  g_autofree double *sum = sum_of (d, tensor, 0, n);

  put (d, tensor, 0, n, sum, factor, 1e-15, out, tolerance);
}

/* to [m][n] += factor u v^T */
static void
add_outer (double *to, const double *u, gsize m, const double *v, gsize n, double factor)
{
  for (gsize i = 0; i < m * n; i++)
    to[i] += factor * u[i / n] * v[i % n];
}

static gsize
rank_of (const Svd *s, gsize most, double largest)
{
  gsize k = 0;

  while (k < most && s->s[k] > 0 && s->s[k] >= 1e-10 * largest)
    k++;
  return k;
}

/* Directions of several models: rows u [k][m], v [k][n] with their singular values */
typedef struct { GArray *u, *v, *s; } Set;

static void
gather (Set *set, const Svd *s, gsize k)
{
  g_array_append_vals (set->u, s->u, (guint) (k * s->m));
  g_array_append_vals (set->v, s->v, (guint) (k * s->n));
  g_array_append_vals (set->s, s->s, (guint) k);
}

/* Procrustes: the orthonormal rows nearest to x [k][n] */
static double *
nearest_orthonormal (const double *x, gsize k, gsize n)
{
  g_auto (Svd) s = define_svd (x, k, n);
  double *out = g_new0 (double, MAX (k * n, 1));

  for (gsize i = 0; i < rank_of (&s, s.r, s.r == 0 ? 0 : s.s[0]); i++)
    add_outer (out, s.u + i * k, k, s.v + i * n, n, 1);
  return out;
}

static void
recombine (const Set *set, gsize m, gsize n, double *out)
{
  gsize k = set->s->len;
  g_autofree double *u = nearest_orthonormal ((const double *) set->u->data, k, m), *v = nearest_orthonormal ((const double *) set->v->data, k, n);

  memset (out, 0, m * n * sizeof *out);
  for (gsize i = 0; i < k; i++)
    add_outer (out, u + i * m, m, v + i * n, n, g_array_index (set->s, double, i));
}

static Set
set_new (void)
{
  return (Set){ g_array_new (FALSE, FALSE, sizeof (double)), g_array_new (FALSE, FALSE, sizeof (double)),
                g_array_new (FALSE, FALSE, sizeof (double)) };
}

static void
set_free (Set *set)
{
  g_array_unref (set->u);
  g_array_unref (set->v);
  g_array_unref (set->s);
}

/* ------------------------------------------------------------------ operators */

static void
add_truncated (const Drive *d, guint tensor, guint i, gsize at, Matrices x, double *sum)
{
  g_autofree double *change = change_of (d, tensor, i, at, x.m * x.n);
  g_auto (Svd) s = define_svd (change, x.m, x.n);
  double energy = drive_number (d, tensor, (gint) i, "energy"), total = 0, kept = 0;
  gsize most = (gsize) ceil ((double) s.r * drive_number (d, tensor, (gint) i, "rank") - 1e-9);

  for (gsize k = 0; k < s.r; k++)
    total += s.s[k] * s.s[k];
  for (gsize k = 0; k < most && (energy == 1 || kept < energy * total); k++) {
    kept += s.s[k] * s.s[k];
    add_outer (sum, s.u + k * x.m, x.m, s.v + k * x.n, x.n, s.s[k]);
  }
}

void
define_svd_truncate (const Drive *d, guint tensor, double *out, double *tolerance)
{
  Matrices x = matrices_of (d, tensor);
  double factor = drive_number (d, tensor, -1, "lambda"), total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += drive_number (d, tensor, (gint) i, "weight");
  factor /= drive_number (d, tensor, -1, "normalize") != 0 ? total : 1;
  if (x.count == 0)
    put_plain (d, tensor, factor, out, tolerance);
  for (gsize e = 0; e < x.count; e++) {
    g_autofree double *sum = g_new0 (double, x.m * x.n);

    for (guint i = 0; i < d->n_in; i++)
      add_truncated (d, tensor, i, e * x.m * x.n, x, sum);
    put (d, tensor, e * x.m * x.n, x.m * x.n, sum, factor, 2e-8, out, tolerance);
  }
}

void
define_iso_c (const Drive *d, guint tensor, double *out, double *tolerance)
{
  Matrices x = matrices_of (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda");

  if (x.count == 0)
    put_plain (d, tensor, lambda / d->n_in, out, tolerance);
  for (gsize e = 0; e < x.count; e++) {
    g_autofree double *sum = sum_of (d, tensor, e * x.m * x.n, x.m * x.n);
    g_auto (Svd) s = define_svd (sum, x.m, x.n);
    gsize rank = rank_of (&s, s.r, s.s[0]);
    double mean = 0;

    for (gsize i = 0; i < rank; i++)
      mean += s.s[i] / (double) rank;
    memset (sum, 0, x.m * x.n * sizeof *sum);
    for (gsize i = 0; i < rank; i++)
      add_outer (sum, s.u + i * x.m, x.m, s.v + i * x.n, x.n, mean);
    put (d, tensor, e * x.m * x.n, x.m * x.n, sum, lambda, 1e-9, out, tolerance);
  }
}

/* Directions of one matrix by algorithm 2 of the paper. */
static void
gather_cts (const Drive *d, guint tensor, gsize at, Matrices x, Set *set)
{
  g_autofree double *sum = sum_of (d, tensor, at, x.m * x.n);
  g_auto (Svd) all = define_svd (sum, x.m, x.n);
  double share = drive_number (d, tensor, -1, "common"), mean = 0;
  gsize each = (gsize) MIN (rint (((double) all.r - floor ((double) all.r * share + 1e-9)) / d->n_in), (double) (all.r / d->n_in));
  gsize common = rank_of (&all, all.r - each * d->n_in, all.s[0]);

  gather (set, &all, common);
  for (guint i = 0; i < d->n_in; i++) {
    g_autofree double *change = change_of (d, tensor, i, at, x.m * x.n), *rest = g_memdup2 (change, x.m * x.n * sizeof *change);

    for (gsize k = 0; k < common; k++) {
      g_autofree double *row = g_new0 (double, x.n); /* u^T change */

      for (gsize j = 0; j < x.m * x.n; j++)
        row[j % x.n] += all.u[k * x.m + j / x.n] * change[j];
      add_outer (rest, all.u + k * x.m, x.m, row, x.n, -1);
    }
    g_auto (Svd) own = define_svd (rest, x.m, x.n);
    gather (set, &own, rank_of (&own, each, MAX (all.s[0], own.s[0])));
  }
  for (guint i = 0; i < set->s->len; i++)
    mean += g_array_index (set->s, double, i) / set->s->len;
  for (guint i = 0; i < set->s->len; i++)
    g_array_index (set->s, double, i) = mean;
}

void
define_iso_cts (const Drive *d, guint tensor, double *out, double *tolerance)
{
  Matrices x = matrices_of (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda");

  if (x.count == 0)
    put_plain (d, tensor, lambda / d->n_in, out, tolerance);
  for (gsize e = 0; e < x.count; e++) {
    g_autofree double *change = g_new (double, x.m * x.n);
    Set set = set_new ();

    gather_cts (d, tensor, e * x.m * x.n, x, &set);
    recombine (&set, x.m, x.n, change);
    put (d, tensor, e * x.m * x.n, x.m * x.n, change, lambda, 1e-9, out, tolerance);
    set_free (&set);
  }
}

void
define_tsv (const Drive *d, guint tensor, double *out, double *tolerance)
{
  Matrices x = matrices_of (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda"), total = 0;

  if (MIN (x.m, x.n) < d->n_in)
    x.count = 0;
  for (guint i = 0; i < d->n_in; i++)
    total += drive_number (d, tensor, (gint) i, "rank");
  if (x.count == 0)
    put_plain (d, tensor, lambda / d->n_in, out, tolerance);
  for (gsize e = 0; e < x.count; e++) {
    g_autofree double *merged = g_new (double, x.m * x.n);
    Set set = set_new ();

    for (guint i = 0; i < d->n_in; i++) {
      g_autofree double *change = change_of (d, tensor, i, e * x.m * x.n, x.m * x.n);
      g_auto (Svd) s = define_svd (change, x.m, x.n);
      double k = floor ((double) s.r * drive_number (d, tensor, (gint) i, "rank") / MAX (total, d->n_in) + 1e-9);

      gather (&set, &s, rank_of (&s, MIN ((gsize) k, s.r), s.s[0]));
    }
    recombine (&set, x.m, x.n, merged);
    put (d, tensor, e * x.m * x.n, x.m * x.n, merged, lambda, 1e-9, out, tolerance);
    set_free (&set);
  }
}

/* ------------------------------------------------------------------ regmean */

/* Solves x s = b for one row by elimination with partial pivoting; s [n][n] symmetric and b are lost. */
static void
eliminate (long double *s, long double *b, gsize n)
{
  for (gsize p = 0; p < n; p++) {
    gsize best = p;

    for (gsize i = p + 1; i < n; i++)
      best = fabsl (s[i * n + p]) > fabsl (s[best * n + p]) ? i : best;
    for (gsize k = 0; k <= n; k++) {
      long double *x = k < n ? &s[p * n + k] : &b[p], *y = k < n ? &s[best * n + k] : &b[best], old = *x;

      *x = *y;
      *y = old;
    }
    for (gsize i = p + 1; i < n; i++) {
      long double f = s[i * n + p] / s[p * n + p];

      for (gsize k = p; k < n; k++)
        s[i * n + k] -= f * s[p * n + k];
      b[i] -= f * b[p];
    }
  }
  for (gsize p = n; p-- > 0; b[p] /= s[p * n + p])
    for (gsize k = p + 1; k < n; k++)
      b[p] -= s[p * n + k] * b[k];
}

static void
define_row (const Drive *d, guint tensor, gsize row, gsize n, double *out)
{
  const DriveTensor *t = drive_get (d, tensor);
  double alpha = drive_number (d, tensor, -1, "alpha");
  g_autofree long double *s = g_new0 (long double, n * n), *b = g_new0 (long double, n);

  for (guint i = 0; i < d->n_in; i++)
    for (gsize j = 0; j < n * n; j++) {
      long double g = drive_number (d, tensor, (gint) i, "weight") * (j / n == j % n ? 1 : alpha) * t->aux[i][j];

      s[j] += g;
      b[j % n] += t->in[i][row * n + j / n] * g;
    }
  eliminate (s, b, n);
  for (gsize j = 0; j < n; j++)
    out[j] = (double) b[j];
}

/* Of sums that are not singular; condition below 1e6: 1e-16 of it is far below fp32's rounding, of which one is allowed. */
void
define_regmean (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += drive_number (d, tensor, (gint) i, "weight");
  for (gint64 j = 0; j < t->t.n && t->aux[0] == NULL; j++) {
    out[j] = 0;
    for (guint i = 0; i < d->n_in; i++)
      out[j] += drive_number (d, tensor, (gint) i, "weight") * t->in[i][j] / total;
  }
  for (gsize r = 0; r < (gsize) t->t.n_rows && t->aux[0] != NULL; r++)
    define_row (d, tensor, r, (gsize) t->t.n_cols, out + r * (gsize) t->t.n_cols);
  for (gint64 j = 0; j < t->t.n; j++)
    tolerance[j] = FLT_EPSILON / 2 * fabs (out[j]) * 1.000001 + 1e-9;
}
