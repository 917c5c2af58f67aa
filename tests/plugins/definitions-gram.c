/* SPDX-License-Identifier: Apache-2.0
 * definitions-gram.c - operators on lengths, angles and distances in long double, written from the papers: on the vectors themselves.
 *
 * The plugins know inner products only; here directions, tangents and pulls are vectors, and cosines and arcs libm's. Changes are fp32
 * differences, as in definitions.c; U is the unit roundoff of fp32.
 */
#include "tests/plugins/definitions-gram.h"

#include <stdlib.h>
#include <string.h>

static const double U = 0x1p-24;

/* One group of elements that are one vector: the tensor, a row or a column. */
typedef struct { const Drive *d; guint tensor; gint64 first, step, n; } Group;

static gint64
place (const Group *g, gint64 j)
{
  return g->first + j * g->step;
}

/* Element j of input i: of its change where there is a base. */
static long double
x_of (const Group *g, guint i, gint64 j)
{
  const DriveTensor *t = drive_get (g->d, g->tensor);

  return t->base == NULL ? t->in[i][place (g, j)] : (float) (t->in[i][place (g, j)] - t->base[place (g, j)]);
}

static long double
length_of (const Group *g, guint i)
{
  long double sum = 0;

  for (gint64 j = 0; j < g->n; j++)
    sum += x_of (g, i, j) * x_of (g, i, j);
  return sqrtl (sum);
}

static long double
product_of (const Group *g, guint a, guint b)
{
  long double sum = 0;

  for (gint64 j = 0; j < g->n; j++)
    sum += x_of (g, a, j) * x_of (g, b, j);
  return sum;
}

static long double
weight_of (const Group *g, guint i)
{
  return drive_number (g->d, g->tensor, (gint) i, "weight");
}

static long double
vector_length (const long double *v, gint64 n)
{
  long double sum = 0;

  for (gint64 j = 0; j < n; j++)
    sum += v[j] * v[j];
  return sqrtl (sum);
}

/* out = v, of the inputs or of their changes; size [n]: sum of |coefficient x|. Rounded: n_in + 6 times in the sum, then the base. */
static void
store (const Group *g, const long double *v, const long double *size, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (g->d, g->tensor);

  for (gint64 j = 0; j < g->n; j++) {
    gint64 at = place (g, j);

    out[at] = (double) (v[j] + (t->base == NULL ? 0 : t->base[at]));
    tolerance[at] = (double) ((g->d->n_in + 6) * U * size[j]) + (t->base == NULL ? 0 : 1.01 * U * fabs (out[at]));
  }
}

/* The scope's groups, one after the other; of a vector there is one. */
static void
for_groups (const Drive *d, guint tensor, const char *scope, void (*define) (const Group *, double *, double *), double *out, double *tolerance)
{
  const EvoTensor *t = &drive_get (d, tensor)->t;

  if (g_str_equal (scope, "row"))
    for (gint64 r = 0; r < t->n_rows; r++)
      define (&(Group){ d, tensor, r * t->n_cols, 1, t->n_cols }, out, tolerance);
  else if (g_str_equal (scope, "column") && t->n_dims > 1)
    for (gint64 c = 0; c < t->n_cols; c++)
      define (&(Group){ d, tensor, c, t->n_cols, t->n_rows }, out, tolerance);
  else
    define (&(Group){ d, tensor, 0, 1, t->n }, out, tolerance);
}

static const char *
scope_of (const Drive *d, guint tensor)
{
  return drive_find_param (d->op->params, "scope")->names[(guint) drive_number (d, tensor, -1, "scope")];
}

/* ------------------------------------------------------------------ spheres */

/* Shoemake 1985, at b's share of the weights */
static void
nuslerp_group (const Group *g, double *out, double *tolerance)
{
  long double total = weight_of (g, 0) + weight_of (g, 1), t = fabsl (total) < 1e-6L ? 0.5L : weight_of (g, 1) / total, wa = 1 - t, wb = t;
  long double a = length_of (g, 0), b = length_of (g, 1), cosine = a > 0 && b > 0 ? CLAMP (product_of (g, 0, 1) / a / b, -1, 1) : 1;
  g_autofree long double *v = g_new (long double, MAX (g->n, 1)), *size = g_new (long double, MAX (g->n, 1));

  if (1 - fabsl (cosine) > 5e-13L) {
    wa = sinl ((1 - t) * acosl (cosine)) / sinl (acosl (cosine));
    wb = sinl (t * acosl (cosine)) / sinl (acosl (cosine));
  }
  for (gint64 j = 0; j < g->n; j++) {
    v[j] = wa * x_of (g, 0, j) + wb * x_of (g, 1, j);
    size[j] = fabsl (wa * x_of (g, 0, j)) + fabsl (wb * x_of (g, 1, j));
  }
  store (g, v, size, out, tolerance);
}

void
define_nuslerp (const Drive *d, guint tensor, double *out, double *tolerance)
{
  for_groups (d, tensor, scope_of (d, tensor), nuslerp_group, out, tolerance);
}

/* What the means start from: directions [n_in][n], lengths and weights of sum 1 [n_in]. */
typedef struct { guint n_in; gint64 n; long double **u, *length, *weight, scale; } Family;

static Family
family_new (const Group *g, gboolean has_sum_1, long double eps, long double least)
{
  Family f = { g->d->n_in, g->n, g_new0 (long double *, g->d->n_in), g_new0 (long double, g->d->n_in), g_new0 (long double, g->d->n_in), 0 };
  long double total = 0;

  for (guint i = 0; i < f.n_in; i++)
    total += weight_of (g, i);
  for (guint i = 0; i < f.n_in; i++) {
    f.u[i] = g_new0 (long double, MAX (f.n, 1));
    f.length[i] = length_of (g, i);
    f.weight[i] = weight_of (g, i) / (has_sum_1 ? total : 1);
    f.scale += f.weight[i] * f.length[i];
    for (gint64 j = 0; j < f.n && f.length[i] > least; j++)
      f.u[i][j] = x_of (g, i, j) / (f.length[i] + eps);
  }
  return f;
}

static void
family_clear (Family *f)
{
  for (guint i = 0; i < f->n_in; i++)
    g_free (f->u[i]);
  g_free (f->u);
  g_free (f->length);
  g_free (f->weight);
}

/* v [n] = sum w_i u_i */
static void
mean_of (const Family *f, long double *v)
{
  memset (v, 0, (gsize) f->n * sizeof *v);
  for (guint i = 0; i < f->n_in; i++)
    for (gint64 j = 0; j < f->n; j++)
      v[j] += f->weight[i] * f->u[i][j];
}

static long double
dot (const long double *a, const long double *b, gint64 n)
{
  long double sum = 0;

  for (gint64 j = 0; j < n; j++)
    sum += a[j] * b[j];
  return sum;
}

/* u = cos |v| u + sin |v| / |v| v: along the great circle that leaves u towards v (v is in the tangent space) */
static void
exponential (long double *u, const long double *v, gint64 n)
{
  long double length = sqrtl (dot (v, v, n));

  for (gint64 j = 0; j < n && length > 0; j++)
    u[j] = cosl (length) * u[j] + sinl (length) / length * v[j];
}

/* The result scale u, whose coefficients are scale w_i / |x_i| over the length of the directions' mean, about: that is the size of what is added. */
static void
store_mean (const Group *g, const Family *f, const long double *u, long double mean_length, double *out, double *tolerance)
{
  g_autofree long double *v = g_new (long double, MAX (g->n, 1)), *size = g_new0 (long double, MAX (g->n, 1));

  for (gint64 j = 0; j < g->n; j++) {
    v[j] = f->scale * u[j];
    for (guint i = 0; i < f->n_in; i++)
      size[j] += fabsl (f->scale * f->weight[i] * f->u[i][j]) / mean_length;
  }
  store (g, v, size, out, tolerance);
}

/* Where directions cancel the result is the weighted mean of the vectors. */
static void
store_linear (const Group *g, const Family *f, double *out, double *tolerance)
{
  g_autofree long double *v = g_new0 (long double, MAX (g->n, 1)), *size = g_new0 (long double, MAX (g->n, 1));

  for (guint i = 0; i < f->n_in; i++)
    for (gint64 j = 0; j < g->n; j++) {
      v[j] += f->weight[i] * x_of (g, i, j);
      size[j] += fabsl (f->weight[i] * x_of (g, i, j));
    }
  store (g, v, size, out, tolerance);
}

/* Goddard 2025: the weighted mean of the directions, their logarithms there, their weighted mean, the exponential map, the mean length */
static void
multislerp_group (const Group *g, double *out, double *tolerance)
{
  Family f = family_new (g, drive_number (g->d, g->tensor, -1, "normalize") != 0, drive_number (g->d, g->tensor, -1, "eps"), 0);
  g_autofree long double *m = g_new0 (long double, MAX (g->n, 1)), *tangent = g_new0 (long double, MAX (g->n, 1));
  long double length;

  mean_of (&f, m);
  length = vector_length (m, g->n);
  for (gint64 j = 0; j < g->n && length > 0; j++)
    m[j] /= length;
  for (guint i = 0; i < f.n_in; i++) {
    long double along = dot (f.u[i], m, g->n);

    for (gint64 j = 0; j < g->n; j++)
      tangent[j] += f.weight[i] * (f.u[i][j] - along * m[j]);
  }
  exponential (m, tangent, g->n);
  if (length > 1e-6L)
    store_mean (g, &f, m, length, out, tolerance);
  else
    store_linear (g, &f, out, tolerance);
  family_clear (&f);
}

void
define_multislerp (const Drive *d, guint tensor, double *out, double *tolerance)
{
  multislerp_group (&(Group){ d, tensor, 0, 1, drive_get (d, tensor)->t.n }, out, tolerance);
}

/* Karcher 1977: the point where the weighted logarithms of the directions cancel; Buss and Fillmore 2001, A1 */
static void
karcher_group (const Group *g, double *out, double *tolerance)
{
  long double tol = drive_number (g->d, g->tensor, -1, "tol"), length, directed = 0;
  gint64 steps = (gint64) drive_number (g->d, g->tensor, -1, "max_iter");
  Family f = family_new (g, TRUE, 0, tol);
  g_autofree long double *u = g_new0 (long double, MAX (g->n, 1)), *pull = g_new0 (long double, MAX (g->n, 1));

  for (guint i = 0; i < f.n_in; i++)
    directed += f.length[i] > tol ? f.weight[i] : 0;
  for (guint i = 0; i < f.n_in && directed > 0; i++)
    f.weight[i] = f.length[i] > tol ? f.weight[i] / directed : 0;
  mean_of (&f, u);
  length = vector_length (u, g->n);
  for (gint64 j = 0; j < g->n && length > 0; j++)
    u[j] /= length;
  for (gint64 step = 0; step < steps && directed > 0; step++) {
    memset (pull, 0, (gsize) g->n * sizeof *pull);
    for (guint i = 0; i < f.n_in; i++) {
      long double cosine = CLAMP (dot (f.u[i], u, g->n), -1, 1), theta = acosl (cosine);

      for (gint64 j = 0; j < g->n && f.weight[i] > 0 && theta < 3.14159L; j++) /* the opposite of u pulls nowhere */
        pull[j] += f.weight[i] * (theta > 1e-6L ? theta / sinl (theta) : 1) * (f.u[i][j] - cosine * u[j]);
    }
    if (vector_length (pull, g->n) <= tol)
      break;
    exponential (u, pull, g->n);
  }
  /* the pull's factors theta / sin theta are up to 2.5 for the angles of the test (below 2) */
  if (length > 1e-6L)
    store_mean (g, &f, u, length / 2.5L, out, tolerance);
  else
    store_linear (g, &f, out, tolerance);
  family_clear (&f);
}

void
define_karcher (const Drive *d, guint tensor, double *out, double *tolerance)
{
  karcher_group (&(Group){ d, tensor, 0, 1, drive_get (d, tensor)->t.n }, out, tolerance);
}

/* ------------------------------------------------------------------ means */

/* Jang et al. 2024: t = N cos / (1 + (N - 1) cos), cos the mean over pairs of changes; t mean + (1 - t) base */
static void
model_stock_group (const Group *g, double *out, double *tolerance)
{
  guint n_in = g->d->n_in, pairs = 0;
  long double cosine = 0, t;
  g_autofree long double *v = g_new0 (long double, MAX (g->n, 1)), *size = g_new0 (long double, MAX (g->n, 1));

  for (guint a = 0; a < n_in; a++)
    for (guint b = a + 1; b < n_in; b++, pairs++) {
      long double lengths = MAX (length_of (g, a) * length_of (g, b), drive_number (g->d, g->tensor, -1, "floor"));

      cosine += lengths > 0 ? product_of (g, a, b) / lengths : 0;
    }
  cosine /= pairs;
  t = fabsl (1 + (n_in - 1) * cosine) < 1e-6L ? 0 : n_in * cosine / (1 + (n_in - 1) * cosine);
  for (guint i = 0; i < n_in; i++)
    for (gint64 j = 0; j < g->n; j++) {
      v[j] += t * x_of (g, i, j) / n_in;
      size[j] += fabsl (t * x_of (g, i, j)) / n_in;
    }
  store (g, v, size, out, tolerance);
}

void
define_model_stock (const Drive *d, guint tensor, double *out, double *tolerance)
{
  for_groups (d, tensor, scope_of (d, tensor), model_stock_group, out, tolerance);
}

/* |z - x_i|^2 over the tensors [from, to), z of these shares */
static long double
distance (const Drive *d, guint from, guint to, guint input, const long double *share)
{
  long double sum = 0;

  for (guint tensor = from; tensor < to; tensor++) {
    const DriveTensor *t = drive_get (d, tensor);

    for (gint64 j = 0; j < t->t.n; j++) {
      long double z = 0;

      for (guint i = 0; i < d->n_in; i++)
        z += share[i] * ((long double) t->in[i][j] - t->in[input][j]);
      sum += z * z;
    }
  }
  return sqrtl (sum);
}

/* Pillutla et al. 2022, smoothed Weiszfeld: z = sum b_i x_i / sum b_i, b_i = a_i / max (nu, |z - x_i|) */
void
define_geometric_median (const Drive *d, guint tensor, double *out, double *tolerance)
{
  gboolean whole = drive_is (d, tensor, "scope", "model");
  Group g = { d, tensor, 0, 1, drive_get (d, tensor)->t.n };
  g_autofree long double *share = g_new0 (long double, d->n_in), *next = g_new0 (long double, d->n_in);
  long double moved = 1, total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += share[i] = weight_of (&g, i);
  for (guint i = 0; i < d->n_in; i++)
    share[i] /= total;
  for (gint64 step = 0; moved >= 1e-12L && step < (gint64) drive_number (d, tensor, -1, "max_iter"); step++) {
    moved = total = 0;
    for (guint i = 0; i < d->n_in; i++)
      total += next[i] = weight_of (&g, i) / MAX (drive_number (d, tensor, -1, "smoothing"),
                                                  distance (d, whole ? 0 : tensor, whole ? d->tensors->len : tensor + 1, i, share));
    for (guint i = 0; i < d->n_in; i++) {
      moved = MAX (moved, fabsl (next[i] / total - share[i]));
      share[i] = next[i] / total;
    }
  }
  for (gint64 j = 0; j < g.n; j++) {
    long double v = 0, size = 0;

    for (guint i = 0; i < d->n_in; i++) {
      v += share[i] * x_of (&g, i, j);
      size += fabsl (share[i] * x_of (&g, i, j));
    }
    out[j] = (double) v;
    tolerance[j] = (double) ((d->n_in + 6) * U * size);
  }
}

/* ------------------------------------------------------------------ by element */

/* Alchemonaut 2024: a + w (b - a), w = t / |a - b| but at most 1 (mergekit: |a - b| is at least 1e-6) */
void
define_nearswap (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double most = drive_number (d, tensor, -1, "t"), least = drive_number (d, tensor, -1, "floor");

  for (gint64 j = 0; j < t->t.n; j++) {
    double change = (double) t->in[0][j] - t->base[j], size = MAX (fabs (change), least), share = size > 0 ? MIN (most / size, 1) : 1;

    out[j] = t->base[j] + share * change;
    tolerance[j] = 1.01 * U * fabs (out[j]) + 6 * U * fabs (share * change); /* sum; t, difference, share, product */
  }
}

void
define_passthrough (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);

  for (gint64 j = 0; j < t->t.n; j++) {
    out[j] = drive_number (d, tensor, 0, "scale") * t->in[0][j];
    tolerance[j] = 2.01 * U * fabs (out[j]); /* scale and product */
  }
}

/* ------------------------------------------------------------------ arcee fusion */

static long double
softmax_part (const float *x, gint64 n, gint64 j)
{
  long double largest = x[0], sum = 0;

  for (gint64 i = 0; i < n; i++)
    largest = MAX (largest, (long double) x[i]);
  for (gint64 i = 0; i < n; i++)
    sum += expl (x[i] - largest);
  return expl (x[j] - largest) / sum;
}

/* p [n] = softmax + 1e-8 */
static void
softmax_of (const float *x, gint64 n, long double *p)
{
  long double first = softmax_part (x, n, 0);

  for (gint64 j = 0; j < n; j++)
    p[j] = first * expl ((long double) x[j] - x[0]) + 1e-8L;
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  const double *x = a, *y = b;

  return *x < *y ? -1 : *x > *y;
}

/* key [n]: |change| times the divergence of its row from the base's */
static void
importance_of (const DriveTensor *t, double *key)
{
  gint64 n = t->t.n_cols;
  g_autofree long double *p = g_new (long double, MAX (n, 1)), *q = g_new (long double, MAX (n, 1));

  for (gint64 r = 0; r < t->t.n_rows; r++) {
    long double kl = 0;

    softmax_of (t->in[0] + r * n, n, p);
    softmax_of (t->base + r * n, n, q);
    for (gint64 j = 0; j < n; j++)
      kl += p[j] * logl (p[j] / q[j]);
    for (gint64 j = r * n; j < (r + 1) * n; j++)
      key[j] = (double) (fabsf (t->in[0][j] - t->base[j]) * MAX (kl, 0));
  }
}

/* mergekit 0.1's arcee_fusion: importance at least median + tail IQR. Undecided where that is nearer than fp32 keys tell. */
void
define_arcee_fusion (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 n = t->t.n;
  g_autofree double *key = g_new (double, MAX (n, 1)), *sorted = NULL;
  double q[3] = { 0 }, threshold;

  importance_of (t, key);
  sorted = g_memdup2 (key, (gsize) MAX (n, 1) * sizeof *key);
  qsort (sorted, (gsize) n, sizeof *sorted, by_value);
  for (guint i = 0; i < 3 && n > 0; i++)
    q[i] = sorted[(gint64) floor (0.25 * (i + 1) * (double) (n - 1))];
  threshold = q[1] + drive_number (d, tensor, -1, "tail") * (q[2] - q[0]);
  for (gint64 j = 0; j < n; j++) {
    out[j] = key[j] >= threshold ? t->in[0][j] : t->base[j];
    tolerance[j] = fabs (key[j] - threshold) <= 1e-6 * threshold ? HUGE_VAL : 0;
  }
}
