/* SPDX-License-Identifier: Apache-2.0
 * factor.c - the best product of a rank for the change of one matrix (Eckart and Young 1936), and what it misses.
 *
 * With D the change, short side first, and D D^T = sum w u u^T, the product sum u (u^T D) over the largest w is D projected: as exact as D itself
 * however small a singular value is, for half the time and memory of a full decomposition. sqrt (s) goes to either side, as in mergekit's adapters.
 */
#include "core/graph/lora/factor.h"

#include <math.h>
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"

enum { STEP = 64 * 1024 };

void
evo_factors_clear (EvoFactors *f)
{
  g_clear_pointer (&f->b, g_free);
  g_clear_pointer (&f->a, g_free);
}

typedef struct { EvoStore *model, *base; guint i, j; const EvoKernels *k; } Pair;

static gboolean
read_side (EvoStore *store, const EvoKernels *k, guint i, gint64 first, gsize n, float *out, GError **error)
{
  if (!evo_store_read (store, k, i, first, n, out, error))
    return FALSE;
  return k->all_finite (out, n) || evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "%s: \"%s\" has a NaN or an infinity; the "
                                                  "checkpoint is damaged", evo_store_get_path (store), evo_store_get_tensor (store, i)->name);
}

/* model - base from element `first` on, in double. x, y [n]: room */
static gboolean
read_change (const Pair *p, gint64 first, gsize n, float *x, float *y, GError **error)
{
  return evo_cancel_check (error) && read_side (p->model, p->k, p->i, first, n, x, error) && read_side (p->base, p->k, p->j, first, n, y, error);
}

/* d [short][long]: the change, or its transpose where it is taller than wide. NULL: only its squared length. */
static gboolean
change (const Pair *p, gint64 n_cols, gboolean tall, double *d, double *length, GError **error)
{
  gint64 n = evo_store_get_tensor (p->base, p->j)->n, n_rows = n_cols == 0 ? 0 : n / n_cols;
  g_autofree float *x = g_new (float, STEP), *y = g_new (float, STEP);
  double sum = 0;

  for (gint64 first = 0; first < n; first += STEP) {
    gsize m = (gsize) MIN (n - first, STEP);

    if (!read_change (p, first, m, x, y, error))
      return FALSE;
    for (gsize e = 0; e < m; e++) {
      gint64 at = first + (gint64) e;
      double v = (double) x[e] - (double) y[e];

      sum += v * v;
      if (d != NULL)
        d[tall ? at % n_cols * n_rows + at / n_cols : at] = v;
    }
  }
  *length = sum;
  return TRUE;
}

gboolean
evo_change_length (EvoStore *model, guint i, EvoStore *base, guint j, const EvoKernels *k, double *out, GError **error)
{
  const Pair p = { model, base, i, j, k };

  return change (&p, 0, FALSE, NULL, out, error);
}

/* ------------------------------------------------------------------ one matrix */

/* w [n] ascending */
static gsize
choose_rank (const double *w, gsize n, double length, const EvoExtractOptions *o)
{
  double kept = 0;
  gsize r = 0;

  if (o->rank > 0)
    return MIN ((gsize) o->rank, n);
  for (; r < n && kept < o->energy * length; r++)
    kept += MAX (w[n - 1 - r], 0);
  return MAX (r, 1);
}

static double
stored (const EvoKernels *k, EvoDtype dtype, double x, float *out)
{
  float f = (float) x;
  guint64 bytes;

  evo_dtype_from_f32 (k, &bytes, dtype, &f, 1);
  evo_dtype_to_f32 (k, out, dtype, &bytes, 1);
  return *out;
}

typedef struct { gsize m, n, r; double *d, *u, *left, *right; } Product; /* d [m][n], m <= n; u [m][m]; left [m][r], right [r][n] */

/* Both sides with sqrt (s), s the length of u^T D; rounded as they are stored, and put where B and A have them. */
static void
split (const EvoKernels *k, Product *p, gboolean tall, EvoDtype dtype, EvoFactors *out)
{
  for (gsize r = 0; r < p->r; r++) {
    double *row = p->right + r * p->n, sum = 0;
    const double *u = p->u + (p->m - 1 - r) * p->m;

    for (gsize j = 0; j < p->n; j++)
      sum += row[j] * row[j];
    double s = sqrt (sqrt (sum));
    for (gsize j = 0; j < p->n; j++)
      row[j] = stored (k, dtype, s > 0 ? row[j] / s : 0, tall ? &out->b[j * p->r + r] : &out->a[r * p->n + j]);
    for (gsize i = 0; i < p->m; i++)
      p->left[i * p->r + r] = stored (k, dtype, u[i] * s, tall ? &out->a[r * p->m + i] : &out->b[i * p->r + r]);
  }
}

static gboolean
decompose (const EvoKernels *k, Product *p, double length, const EvoExtractOptions *o, GError **error)
{
  g_autofree double *w = g_new (double, p->m);
  gpointer work = g_aligned_alloc (k->eigh_work (p->m) + 64, 1, 64);
  int failed;

  k->gemm (p->u, p->d, 0, p->d, 1, p->m, p->m, p->n, 1, 0);
  failed = k->eigh (p->u, w, p->m, work);
  g_aligned_free (work);
  if (failed)
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the decomposition does not converge (dsyevd: %d)", failed);
  p->r = choose_rank (w, p->m, length, o);
  return TRUE;
}

/* u^T D for the r largest, in their order. */
static void
project (const EvoKernels *k, Product *p)
{
  g_autofree double *top = g_new (double, p->r * p->m);

  p->left = g_new (double, p->m * p->r);
  p->right = g_new (double, p->r * p->n);
  for (gsize r = 0; r < p->r; r++)
    memcpy (top + r * p->m, p->u + (p->m - 1 - r) * p->m, p->m * sizeof *top);
  k->gemm (p->right, top, 0, p->d, 0, p->r, p->n, p->m, 1, 0);
}

static gboolean
factor (const Pair *pair, Product *p, gboolean tall, gint64 n_cols, const EvoExtractOptions *o, EvoFactors *out, EvoExtracted *e, GError **error)
{
  double missed = 0;

  if (!change (pair, n_cols, tall, p->d, &e->change, error))
    return FALSE;
  if (!(e->change > 0))
    return TRUE;
  p->u = g_new (double, p->m * p->m);
  if (!decompose (pair->k, p, e->change, o, error))
    return FALSE;
  project (pair->k, p);
  out->rank = e->rank = (gint64) p->r;
  out->b = g_new (float, (gsize) out->n_rows * p->r);
  out->a = g_new (float, p->r * (gsize) n_cols);
  split (pair->k, p, tall, o->dtype, out);
  pair->k->gemm (p->d, p->left, 0, p->right, 0, p->m, p->n, p->r, -1, 1);
  for (gsize i = 0; i < p->m * p->n; i++)
    missed += p->d[i] * p->d[i];
  e->error = missed;
  return isfinite (missed) || evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "a value is beyond the range of %s; use f32",
                                             evo_dtype_name (o->dtype));
}

gboolean
evo_factor_change (EvoStore *model, guint i, EvoStore *base, guint j, const EvoKernels *k, const EvoExtractOptions *o, EvoFactors *out,
                   EvoExtracted *e, GError **error)
{
  const Pair pair = { model, base, i, j, k };
  const EvoShape *s = evo_store_get_tensor (base, j);
  gboolean tall = s->dims[0] > s->dims[1], good;
  Product p = { (gsize) MIN (s->dims[0], s->dims[1]), (gsize) MAX (s->dims[0], s->dims[1]), 0, NULL, NULL, NULL, NULL };

  *out = (EvoFactors){ .n_rows = s->dims[0], .n_cols = s->dims[1] };
  if (p.m == 0)
    return TRUE;
  p.d = g_try_new (double, p.m * p.n);
  if (p.d == NULL)
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, "\"%s\" needs more memory than there is", s->name);
  good = factor (&pair, &p, tall, s->dims[1], o, out, e, error);
  if (!good)
    g_prefix_error (error, "%s: ", s->name);
  g_free (p.d);
  g_free (p.u);
  g_free (p.left);
  g_free (p.right);
  return good;
}
