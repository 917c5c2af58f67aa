/* SPDX-License-Identifier: Apache-2.0
 * definitions.c - merge operators in double, written from the papers.
 *
 * Deltas are the fp32 differences (that is part of the definition: which change is largest must not depend on more digits than a model
 * has); all else is double. U is the unit roundoff of fp32; tolerances count the roundings of a straightforward fp32 computation.
 */
#include "tests/plugins/definitions.h"

#include <stdlib.h>
#include <string.h>

static const double U = 0x1p-24;

double
drive_number (const Drive *d, guint tensor, gint input, const char *name)
{
  const EvoParam *p = drive_find_param (input < 0 ? d->op->params : d->op->in_params, name);
  const DriveTensor *t = drive_get (d, tensor);
  const char *at;

  g_assert_nonnull (p);
  at = (const char *) (input < 0 ? t->params : t->in_params[input]) + p->offset;
  return p->type == EVO_TYPE_NUMBER ? *(const double *) at : p->type == EVO_TYPE_BOOL ? *(const gboolean *) at
                                                           : p->type == EVO_TYPE_CHOICE ? *(const guint32 *) at : (double) *(const gint64 *) at;
}

gboolean
drive_is (const Drive *d, guint tensor, const char *name, const char *choice)
{
  const EvoParam *p = drive_find_param (d->op->params, name);

  return p != NULL && g_str_equal (p->names[(guint) drive_number (d, tensor, -1, name)], choice);
}

/* ------------------------------------------------------------------ models as they are */

/* Model soups (Wortsman et al. 2022): sum w x [/ sum w] */
static void
define_linear (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += drive_number (d, tensor, (gint) i, "weight");
  if (drive_number (d, tensor, -1, "normalize") == 0)
    total = 1;
  for (gint64 j = 0; j < t->t.n; j++) {
    double sum = 0, size = 0;

    for (guint i = 0; i < d->n_in; i++) {
      double x = drive_number (d, tensor, (gint) i, "weight") * t->in[i][j];

      sum += x;
      size += fabs (x);
    }
    out[j] = sum / total;
    tolerance[j] = (d->n_in + 5) * U * size / fabs (total); /* weight, product, n sums, 1 / total, scaling */
  }
}

/* Slerp (Shoemake 1985) of the whole tensors, in long double. Between nearly parallel or opposite tensors (1 - t) a + t b. */
static void
define_slerp (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double at = drive_number (d, tensor, -1, "t"), threshold = drive_number (d, tensor, -1, "threshold");
  long double aa = 0, ab = 0, bb = 0, cosine, wa = 1 - at, wb = at;

  for (gint64 j = 0; j < t->t.n; j++) {
    aa += (long double) t->in[0][j] * t->in[0][j];
    ab += (long double) t->in[0][j] * t->in[1][j];
    bb += (long double) t->in[1][j] * t->in[1][j];
  }
  cosine = aa > 0 && bb > 0 ? CLAMP (ab / sqrtl (aa) / sqrtl (bb), -1, 1) : 1;
  if (fabsl (cosine) <= threshold && 1 - fabsl (cosine) > 5e-13L) {
    long double theta = acosl (cosine);

    wa = sinl ((1 - at) * theta) / sinl (theta);
    wb = sinl (at * theta) / sinl (theta);
  }
  if (drive_is (d, tensor, "length", "linear") && aa > 0 && bb > 0) {
    long double length = (1 - at) * sqrtl (aa) + at * sqrtl (bb);

    wa *= length / sqrtl (aa);
    wb *= length / sqrtl (bb);
  }
  for (gint64 j = 0; j < t->t.n; j++) {
    out[j] = (double) (wa * t->in[0][j] + wb * t->in[1][j]);
    tolerance[j] = (double) (3.01L * U * (fabsl (wa * t->in[0][j]) + fabsl (wb * t->in[1][j]))); /* weight, product, sum */
  }
}

/* ------------------------------------------------------------------ what is kept of a delta */

static double
delta_of (const DriveTensor *t, guint input, gint64 j)
{
  return (float) (t->in[input][j] - t->base[j]);
}

typedef struct { double size; gint64 index; } Change;

static int
by_size (gconstpointer a, gconstpointer b)
{
  const Change *x = a, *y = b;

  return x->size != y->size ? (x->size > y->size ? -1 : 1) : x->index < y->index ? -1 : 1;
}

/* kept [n] 0/1 of tensors from .. to - 1 of one input, joined: the int (density n) largest, one at least */
static void
trim (const Drive *d, guint input, guint from, guint to, gboolean *kept)
{
  double density = drive_number (d, from, (gint) input, "density");
  gint64 n = 0, k, at = 0;
  g_autofree Change *all = NULL;

  for (guint t = from; t < to; t++)
    n += drive_get (d, t)->t.n;
  all = g_new (Change, MAX (n, 1));
  for (guint t = from; t < to; t++)
    for (gint64 j = 0; j < drive_get (d, t)->t.n; j++, at++)
      all[at] = (Change){ fabs (delta_of (drive_get (d, t), input, j)), at };
  qsort (all, (gsize) n, sizeof *all, by_size);
  k = density <= 0 ? 0 : density >= 1 ? n : MAX ((gint64) (density * (double) n), 1);
  for (gint64 i = 0; i < n; i++)
    kept[all[i].index] = i < k;
}

static guint64
philox (guint64 seed, guint64 counter, guint word)
{
  guint32 c[4] = { (guint32) counter, (guint32) (counter >> 32), 0, 0 }, key[2] = { (guint32) seed, (guint32) (seed >> 32) };

  for (guint round = 0; round < 10; round++) {
    guint64 p0 = 0xd2511f53ull * c[0], p1 = 0xcd9e8d57ull * c[2];
    guint32 next[4] = { (guint32) (p1 >> 32) ^ c[1] ^ key[0], (guint32) p1, (guint32) (p0 >> 32) ^ c[3] ^ key[1], (guint32) p0 };

    memcpy (c, next, sizeof c);
    key[0] += 0x9e3779b9u;
    key[1] += 0xbb67ae85u;
  }
  return c[word];
}

double
define_uniform (guint64 seed, gint64 index)
{
  return (double) (philox (seed, (guint64) index / 4, (guint) (index % 4)) >> 8) * 0x1p-24;
}

/* kept [sum of n] of every tensor that is trimmed together with `tensor`; *offset: where its own begin */
static void
choose (const Drive *d, guint tensor, guint input, gboolean *kept, gint64 *offset)
{
  const DriveTensor *t = drive_get (d, tensor);
  gboolean whole = drive_is (d, tensor, "scope", "model");

  *offset = whole ? t->t.model_first : 0;
  if (g_str_equal (d->op->name, "ties"))
    trim (d, input, whole ? 0 : tensor, whole ? d->tensors->len : tensor + 1, kept);
  for (gint64 j = 0; g_str_has_prefix (d->op->name, "dare") && j < t->t.n; j++)
    kept[j] = define_uniform (t->seeds[input], j) < drive_number (d, tensor, (gint) input, "density");
}

/* delta [n] of an input: what is kept of it, rescaled. */
static void
sparse_delta (const Drive *d, guint tensor, guint input, double *delta)
{
  const DriveTensor *t = drive_get (d, tensor);
  gint64 total = 0, offset, at = 0;
  g_autofree gboolean *kept = NULL;
  double all = 0, left = 0, scale = 1;

  for (guint i = 0; i < d->tensors->len; i++)
    total += drive_get (d, i)->t.n;
  kept = g_new (gboolean, MAX (total, 1));
  choose (d, tensor, input, kept, &offset);
  for (guint i = 0; i < d->tensors->len; i++)
    for (gint64 j = 0; (i == tensor || drive_is (d, tensor, "scope", "model")) && j < drive_get (d, i)->t.n; j++, at++) {
      all += fabs (delta_of (drive_get (d, i), input, j));
      left += kept[at] ? fabs (delta_of (drive_get (d, i), input, j)) : 0;
    }
  if (drive_is (d, tensor, "rescale", "l1") && left > 0)
    scale = all / left;
  if (drive_is (d, tensor, "rescale", "density") && drive_number (d, tensor, (gint) input, "density") > 0)
    scale = 1 / drive_number (d, tensor, (gint) input, "density");
  for (gint64 j = 0; j < t->t.n; j++)
    delta[j] = kept[offset + j] ? scale * delta_of (t, input, j) : 0;
}

/* ------------------------------------------------------------------ joining deltas */

/* Task arithmetic (Ilharco et al. 2023): base + lambda sum w d [/ sum w] */
static void
join_all (const Drive *d, guint tensor, double *const *delta, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda"), total = 0;

  for (guint i = 0; i < d->n_in; i++)
    total += drive_number (d, tensor, (gint) i, "weight");
  if (drive_number (d, tensor, -1, "normalize") == 0)
    total = 1;
  for (gint64 j = 0; j < t->t.n; j++) {
    double sum = 0, size = 0;

    for (guint i = 0; i < d->n_in; i++) {
      double x = lambda / total * drive_number (d, tensor, (gint) i, "weight") * delta[i][j];

      sum += x;
      size += fabs (x);
    }
    out[j] = t->base[j] + sum;
    tolerance[j] = (d->n_in + 4) * U * size + 1.01 * U * fabs (out[j]);
  }
}

/* TIES (Yadav et al. 2023), elect and disjoint merge of element j: weights in the vote or not */
static double
elect (const Drive *d, guint tensor, double *const *delta, gint64 j, double *tolerance)
{
  gboolean weighted = drive_is (d, tensor, "vote", "weighted");
  double vote = 0, votes = 0, sum = 0, size = 0, share = 0, shares = 0;

  for (guint i = 0; i < d->n_in; i++) {
    double x = (weighted ? drive_number (d, tensor, (gint) i, "weight") : 1) * delta[i][j];

    vote += x;
    votes += fabs (x);
  }
  for (guint i = 0; i < d->n_in; i++) {
    double w = drive_number (d, tensor, (gint) i, "weight"), x = (weighted ? w : 1) * delta[i][j];

    if (vote >= 0 ? x > 0 : x < 0) {
      sum += w * delta[i][j];
      size += fabs (w * delta[i][j]);
      share += w;
      shares += fabs (w);
    }
  }
  *tolerance = (2 * d->n_in + 4) * U * size;
  if (drive_number (d, tensor, -1, "normalize") != 0 && share != 0) {
    *tolerance = (*tolerance + (d->n_in + 2) * U * fabs (sum) * shares / fabs (share)) / fabs (share);
    sum /= share;
  }
  if (votes > 0 && fabs (vote) <= (d->n_in + 4) * U * votes)
    *tolerance = HUGE_VAL;
  return sum;
}

static void
join_elected (const Drive *d, guint tensor, double *const *delta, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  double lambda = drive_number (d, tensor, -1, "lambda");

  for (gint64 j = 0; j < t->t.n; j++) {
    double change = lambda * elect (d, tensor, delta, j, &tolerance[j]);

    out[j] = t->base[j] + change;
    tolerance[j] = fabs (lambda) * tolerance[j] + 3 * U * fabs (change) + 1.01 * U * fabs (out[j]);
  }
}

static void
define_deltas (const Drive *d, guint tensor, double *out, double *tolerance)
{
  const DriveTensor *t = drive_get (d, tensor);
  g_autoptr (GPtrArray) delta = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < d->n_in; i++) {
    double *x = g_new (double, MAX (t->t.n, 1));

    g_ptr_array_add (delta, x);
    if (!g_str_equal (d->op->name, "task-arithmetic"))
      sparse_delta (d, tensor, i, x);
    else
      for (gint64 j = 0; j < t->t.n; j++)
        x[j] = delta_of (t, i, j);
  }
  if (g_str_has_suffix (d->op->name, "ties"))
    join_elected (d, tensor, (double *const *) delta->pdata, out, tolerance);
  else
    join_all (d, tensor, (double *const *) delta->pdata, out, tolerance);
}

gboolean
define_tensor (const Drive *d, guint tensor, double *out, double *tolerance)
{
  static const struct { const char *name; void (*define) (const Drive *, guint, double *, double *); } definitions[] = {
    { "linear", define_linear }, { "slerp", define_slerp }, { "task-arithmetic", define_deltas }, { "ties", define_deltas },
    { "dare-linear", define_deltas }, { "dare-ties", define_deltas }
  };

  for (guint i = 0; i < G_N_ELEMENTS (definitions); i++)
    if (g_str_equal (definitions[i].name, d->op->name)) {
      definitions[i].define (d, tensor, out, tolerance);
      return TRUE;
    }
  return FALSE;
}
