/* SPDX-License-Identifier: Apache-2.0
 * definitions-sparse.c - operators that choose among changes, in double, written from the papers.
 *
 * As in definitions.c changes are fp32 differences, all else is double, and U is the unit roundoff of fp32.
 */
#include "tests/plugins/definitions-sparse.h"

#include <stdlib.h>

#include "tests/plugins/merge-ops.h"

static const double U = 0x1p-24;

typedef struct { double size; gint64 index; } Item;

static int
descending (gconstpointer a, gconstpointer b)
{
  const Item *x = a, *y = b;

  return x->size != y->size ? (x->size > y->size ? -1 : 1) : x->index < y->index ? -1 : 1;
}

static int
ascending (gconstpointer a, gconstpointer b)
{
  const Item *x = a, *y = b;

  return x->size != y->size ? (x->size < y->size ? -1 : 1) : x->index < y->index ? -1 : 1;
}

static double
change (const DriveTensor *t, guint input, gint64 j)
{
  return (float) (t->in[input][j] - t->base[j]);
}

static double
of (const Drive *d, guint tensor, guint input, const char *name)
{
  return drive_number (d, tensor, (gint) input, name);
}

static double *
new_numbers (gint64 n)
{
  return g_new0 (double, MAX (n, 1));
}

/* ------------------------------------------------------------------ joining changes [n_in][n] */

static void
join_sum (const Drive *d, guint tensor, double *const *delta, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double factor = drive_number (d, tensor, -1, "lambda"), total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += of (d, tensor, i, "weight");
  if (drive_number (d, tensor, -1, "normalize") != 0)
    factor /= total;
  for (gint64 j = 0; j < t->t.n; j++) {
    double sum = 0, size = 0;

    for (guint i = 0; i < d->n_in; i++) {
      sum += factor * of (d, tensor, i, "weight") * delta[i][j];
      size += fabs (factor * of (d, tensor, i, "weight") * delta[i][j]);
    }
    out[j] = t->base[j] + sum;
    tolerance[j] = (d->n_in + 5) * U * size + 1.01 * U * fabs (out[j]); /* change, weight, product, n sums; base */
  }
}

/* Sign election of TIES with weights w: those of v_i d_i's sign, sum w d [/ sum w]; HUGE_VAL where fp32 cannot tell the sign. */
static double
elect (guint n_in, const double *x, const double *w, const double *v, gboolean normalize, double *tolerance)
{
  double vote = 0, votes = 0, sum = 0, size = 0, share = 0, shares = 0;

  for (guint i = 0; i < n_in; i++) {
    vote += v[i] * x[i];
    votes += fabs (v[i] * x[i]);
  }
  for (guint i = 0; i < n_in; i++)
    if (vote >= 0 ? v[i] * x[i] > 0 : v[i] * x[i] < 0) {
      sum += w[i] * x[i];
      size += fabs (w[i] * x[i]);
      share += w[i];
      shares += fabs (w[i]);
    }
  *tolerance = (2 * n_in + 5) * U * size;
  if (normalize && share != 0) {
    *tolerance = (*tolerance + (n_in + 2) * U * fabs (sum) * shares / fabs (share)) / fabs (share);
    sum /= share;
  }
  if (votes > 0 && fabs (vote) <= (n_in + 5) * U * votes)
    *tolerance = HUGE_VAL;
  return sum;
}

static void
join_elected (const Drive *d, guint tensor, double *const *delta, const double *w, gboolean weighted, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda");
  g_autofree double *x = new_numbers (d->n_in), *ones = new_numbers (d->n_in);

  for (guint i = 0; i < d->n_in; i++)
    ones[i] = 1;
  for (gint64 j = 0; j < t->t.n; j++) {
    double merged;

    for (guint i = 0; i < d->n_in; i++)
      x[i] = delta[i][j];
    merged = lambda * elect (d->n_in, x, w, weighted ? w : ones, drive_number (d, tensor, -1, "normalize") != 0, &tolerance[j]);
    out[j] = t->base[j] + merged;
    tolerance[j] = fabs (lambda) * tolerance[j] + 3 * U * fabs (merged) + 1.01 * U * fabs (out[j]);
  }
}

typedef void (*Thin) (const Drive *d, guint tensor, guint input, double *delta);

static void
define_thinned (const Drive *d, guint tensor, Thin thin, gboolean elected, double *out, double *tolerance)
{
  g_autoptr (GPtrArray) delta = g_ptr_array_new_with_free_func (g_free);
  g_autofree double *w = new_numbers (d->n_in);

  for (guint i = 0; i < d->n_in; i++) {
    g_ptr_array_add (delta, new_numbers (drive_get (d, tensor)->t.n));
    thin (d, tensor, i, delta->pdata[i]);
    w[i] = of (d, tensor, i, "weight");
  }
  if (elected)
    join_elected (d, tensor, (double *const *) delta->pdata, w, drive_is (d, tensor, "vote", "weighted"), out, tolerance);
  else
    join_sum (d, tensor, (double *const *) delta->pdata, out, tolerance);
}

/* rescale "l1": the sum of magnitudes that the tensor had */
static void
rescale (const Drive *d, guint tensor, guint input, double *delta)
{
  const DriveTensor *t = drive_get (d, tensor);
  double before = 0, after = 0;

  for (gint64 j = 0; j < t->t.n; j++) {
    before += fabs (change (t, input, j));
    after += fabs (delta[j]);
  }
  for (gint64 j = 0; drive_is (d, tensor, "rescale", "l1") && after > 0 && j < t->t.n; j++)
    delta[j] *= before / after;
}

/* ------------------------------------------------------------------ breadcrumbs */

/* Davari & Belilovsky 2024: a mask without the largest (gamma) and the smallest (1 - density - gamma), a tensor at a time */
static void
thin_breadcrumbs (const Drive *d, guint tensor, guint input, double *delta)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 n = t->t.n, keep = (gint64) (of (d, tensor, input, "density") * (double) n);
  gint64 top = (gint64) (of (d, tensor, input, "gamma") * (double) n);
  g_autofree Item *all = g_new (Item, MAX (n, 1));

  for (gint64 j = 0; j < n; j++)
    all[j] = (Item){ fabs (change (t, input, j)), j };
  qsort (all, (gsize) n, sizeof *all, descending);
  if (top > n - keep)
    top = n - keep;
  for (gint64 r = 0; r < n; r++)
    delta[all[r].index] = r >= top && r < top + keep ? change (t, input, all[r].index) : 0;
  rescale (d, tensor, input, delta);
}

void
define_breadcrumbs (const Drive *d, guint tensor, double *out, double *tolerance)
{
  define_thinned (d, tensor, thin_breadcrumbs, g_str_equal (d->op->name, "breadcrumbs-ties"), out, tolerance);
}

/* ------------------------------------------------------------------ della */

/* Deep et al. 2024, MAGPRUNE: ranks in a row, probabilities in even steps over density -+ epsilon / 2; mergekit: density -+ epsilon, with
 * its ends */
void
define_della_probabilities (const Drive *d, guint tensor, guint input, double *p)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 n = t->t.n_cols;
  double density = of (d, tensor, input, "density"), epsilon = of (d, tensor, input, "epsilon");
  gboolean half = drive_is (d, tensor, "epsilon_is", "half-width");
  double reach = fmin (half ? epsilon : epsilon / 2, fmin (density, 1 - density));
  g_autofree Item *row = g_new (Item, MAX (n, 1));

  for (gint64 first = 0; first < t->t.n; first += n) {
    for (gint64 j = 0; j < n; j++)
      row[j] = (Item){ fabs (change (t, input, first + j)), j };
    qsort (row, (gsize) n, sizeof *row, descending);
    for (gint64 r = 0; r < n; r++) { /* 1 for the largest */
      double place = half ? (n == 1 ? 0.5 : 1 - (double) r / (double) (n - 1)) : 1 - ((double) r + 0.5) / (double) n;

      p[first + row[r].index] = density >= 1 ? 1 : density + reach * (2 * place - 1);
    }
  }
}

static void
thin_della (const Drive *d, guint tensor, guint input, double *delta)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autofree double *p = new_numbers (t->t.n);

  define_della_probabilities (d, tensor, input, p);
  for (gint64 j = 0; j < t->t.n; j++) {
    double x = change (t, input, j);

    delta[j] = define_uniform (t->seeds[input], j) < p[j] ? (drive_is (d, tensor, "rescale", "probability") ? x / p[j] : x) : 0;
  }
  rescale (d, tensor, input, delta);
}

void
define_della (const Drive *d, guint tensor, double *out, double *tolerance)
{
  define_thinned (d, tensor, thin_della, g_str_equal (d->op->name, "della"), out, tolerance);
}

/* ------------------------------------------------------------------ consensus */

/* m [n] and what fp32 may be off it: the merged change of task arithmetic */
static void
sum_changes (const Drive *d, guint tensor, double *m, double *off)
{
  const DriveTensor *t = drive_get (d, tensor);

  for (gint64 j = 0; j < t->t.n; j++)
    for (guint i = 0; i < d->n_in; i++) {
      double x = of (d, tensor, i, "weight") * change (t, i, j);

      m[j] += x;
      off[j] += (d->n_in + 2) * U * fabs (x);
    }
}

/* The same of TIES, from its own definition. */
static void
elect_changes (const Drive *d, guint tensor, double *m, double *off)
{
  g_autoptr (Drive) ties = drive_new (merge_ops_find ("ties"), d->k, d->n_in, TRUE);

  for (guint s = 0; s < d->tensors->len; s++) {
    const DriveTensor *from = drive_get (d, s);
    DriveTensor *to = drive_add (ties, from->t.n_dims, from->t.dims);

    for (gint64 j = 0; j < from->t.n; j++)
      for (guint i = 0; i < d->n_in; i++)
        to->in[i][j] = (float) change (from, i, j); /* of a base of zeros */
  }
  drive_set_choice (ties, -1, "scope", drive_is (d, tensor, "scope", "model") ? "model" : "tensor");
  drive_set_choice (ties, -1, "vote", drive_is (d, tensor, "vote", "plain") ? "plain" : "weighted");
  drive_set (ties, -1, "normalize", drive_number (d, tensor, -1, "normalize"));
  for (guint i = 0; i < d->n_in; i++) {
    drive_set (ties, (gint) i, "weight", of (d, tensor, i, "weight"));
    drive_set (ties, (gint) i, "density", of (d, tensor, i, "density"));
  }
  g_assert_true (define_tensor (ties, tensor, m, off));
}

/* Wang et al. 2024: TALL masks |d_i| >= lambda_i |m - d_i|, consensus where at least k of them are set */
void
define_consensus (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autofree double *m = new_numbers (t->t.n), *off = new_numbers (t->t.n);
  double lambda = drive_number (d, tensor, -1, "lambda");

  (g_str_equal (d->op->name, "consensus-ta") ? sum_changes : elect_changes) (d, tensor, m, off);
  for (gint64 j = 0; j < t->t.n; j++) {
    guint least = 0, most = 0;
    double k = drive_number (d, tensor, -1, "agree");

    for (guint i = 0; i < d->n_in; i++) {
      double x = fabs (change (t, i, j)), rest = of (d, tensor, i, "threshold") * fabs (m[j] - change (t, i, j));
      double doubt = of (d, tensor, i, "threshold") * off[j] + 1e-15 * (x + rest);

      least += x >= rest + doubt || (rest == 0 && doubt == 0);
      most += x >= rest - doubt;
    }
    out[j] = t->base[j] + (most >= k ? lambda * m[j] : 0);
    tolerance[j] = fabs (lambda) * off[j] + 3 * U * fabs (lambda * m[j]) + 1.01 * U * fabs (out[j]);
    if ((least >= k) != (most >= k) && m[j] != 0)
      tolerance[j] = HUGE_VAL;
  }
}

/* ------------------------------------------------------------------ sce */

static void
select_changes (const Drive *d, guint tensor, double *const *delta)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 n = t->t.n;
  double share = drive_number (d, tensor, -1, "select_topk");
  g_autofree Item *all = g_new (Item, MAX (n, 1));

  for (gint64 j = 0; j < n; j++) {
    double mean = 0, variance = 0;

    for (guint i = 0; i < d->n_in; i++)
      mean += delta[i][j];
    mean /= d->n_in;
    for (guint i = 0; i < d->n_in; i++)
      variance += (delta[i][j] - mean) * (delta[i][j] - mean);
    all[j] = (Item){ (float) sqrt (variance / d->n_in), j };
  }
  qsort (all, (gsize) n, sizeof *all, descending);
  for (gint64 r = 0; share < 1 && r < n; r++)
    for (guint i = 0; i < d->n_in && (r >= (gint64) (share * (double) n) || all[r].size == 0); i++)
      delta[i][all[r].index] = 0;
}

/* Wan et al. 2024: select by variance, weigh by squares, erase the minority; as their code, which merges what was not selected too, with merged "all" */
void
define_sce (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autoptr (GPtrArray) delta = g_ptr_array_new_with_free_func (g_free);
  g_autofree double *w = new_numbers (d->n_in);
  double total = 0;

  for (guint i = 0; i < d->n_in; i++) {
    double *x = new_numbers (t->t.n);

    g_ptr_array_add (delta, x);
    for (gint64 j = 0; j < t->t.n; j++)
      x[j] = change (t, i, j);
  }
  select_changes (d, tensor, (double *const *) delta->pdata);
  for (guint i = 0; i < d->n_in; i++)
    for (gint64 j = 0; j < t->t.n; j++)
      w[i] += ((double *) delta->pdata[i])[j] * ((double *) delta->pdata[i])[j];
  for (guint i = 0; i < d->n_in; i++)
    total += w[i];
  for (guint i = 0; i < d->n_in; i++)
    w[i] = total <= 0 || total / (double) t->t.n < drive_number (d, tensor, -1, "uniform_below") ? 1.0 / d->n_in : w[i] / total;
  for (guint i = 0; i < d->n_in && drive_is (d, tensor, "merged", "all"); i++)
    for (gint64 j = 0; j < t->t.n; j++)
      ((double *) delta->pdata[i])[j] = change (t, i, j);
  join_elected (d, tensor, (double *const *) delta->pdata, w, FALSE, out, tolerance);
}

/* ------------------------------------------------------------------ ram */

static guint
count_active (const Drive *d, guint tensor, gint64 j)
{
  guint n = 0;

  for (guint i = 0; i < d->n_in; i++)
    n += fabs (change (drive_get (d, tensor), i, j)) > drive_number (d, tensor, -1, "epsilon");
  return n;
}

/* RAM+ of Yuan et al. 2026: 1 + r min (shared / unique, alpha); RAM: 1 */
static double
unique_scale (const Drive *d, guint tensor, guint input)
{
  gboolean whole = drive_is (d, tensor, "scope", "model");
  double unique = 0, shared = 0;

  if (g_str_equal (d->op->name, "ram"))
    return 1;
  for (guint s = 0; s < d->tensors->len; s++)
    for (gint64 j = 0; (whole || s == tensor) && j < drive_get (d, s)->t.n; j++)
      if (fabs (change (drive_get (d, s), input, j)) > drive_number (d, tensor, -1, "epsilon"))
        *(count_active (d, s, j) == 1 ? &unique : &shared) += 1;
  return unique == 0 ? 1 : 1 + drive_number (d, tensor, -1, "r") * fmin (shared / unique, drive_number (d, tensor, -1, "alpha"));
}

void
define_ram (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autofree double *scale = new_numbers (d->n_in);

  for (guint i = 0; i < d->n_in; i++)
    scale[i] = unique_scale (d, tensor, i);
  for (gint64 j = 0; j < t->t.n; j++) {
    guint n = count_active (d, tensor, j);
    double sum = 0;

    for (guint i = 0; i < d->n_in; i++)
      if (fabs (change (t, i, j)) > drive_number (d, tensor, -1, "epsilon"))
        sum += (n == 1 ? scale[i] : 1) * change (t, i, j);
    out[j] = t->base[j] + (n == 0 ? 0 : drive_number (d, tensor, -1, "lambda") * sum / n);
    tolerance[j] = 1.01 * U * fabs (out[j]); /* double but for the last rounding */
  }
}

/* ------------------------------------------------------------------ top-k-sum */

static Item *
sorted (const float *x, gint64 n, gboolean by_size)
{
  Item *all = g_new (Item, MAX (n, 1));

  for (gint64 j = 0; j < n; j++)
    all[j] = (Item){ by_size ? fabs (x[j]) : x[j], j };
  qsort (all, (gsize) n, sizeof *all, by_size ? descending : ascending);
  return all;
}

void
define_top_k_sum (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 n = t->t.n;
  double from = drive_number (d, tensor, -1, "offset"), to;
  g_autofree Item *size = sorted (t->in[0], n, TRUE), *a = sorted (t->in[0], n, FALSE), *b = sorted (t->in[1], n, FALSE);
  g_autofree gboolean *inside = g_new0 (gboolean, MAX (n, 1));

  from = from == 1 ? 0 : from;
  to = from + drive_number (d, tensor, -1, "width");
  for (gint64 r = 0; r < n; r++) { /* r-th smallest; the window is a ring */
    gint64 begin = (gint64) rint (from * (double) n), end = (gint64) rint ((to > 1 ? to - 1 : to) * (double) n);

    inside[size[n - 1 - r].index] = to > 1 ? r >= begin || r < end : r >= begin && r < end;
  }
  for (gint64 r = 0; r < n; r++) {
    out[b[r].index] = t->in[0][inside[a[r].index] ? a[r].index : b[r].index];
    tolerance[b[r].index] = 0;
  }
}
