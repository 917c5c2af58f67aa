/* SPDX-License-Identifier: Apache-2.0
 * view.c - a tensor of a base model as an adapter changes it, made slice by slice where it is read.
 *
 * The change of a row is summed over the rank in fp32, elementwise and in index order: the same bits for any slices, threads and CPUs.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/lora/adapter.h"

typedef struct {
  const EvoLora *lora;
  const EvoLoraPart *part;
  double scale;             /* the node's, for this tensor */
  float *left, *right;      /* [n_rows][rank], [rank][n_cols]; NULL: no product */
  double *factor;           /* [evo_lora_n_lengths] DoRA: magnitude over length; NULL: none */
} View;

static void
view_free (gpointer data)
{
  View *v = data;

  g_free (v->left);
  g_free (v->right);
  g_free (v->factor);
  g_free (v);
}

/* ------------------------------------------------------------------ the adapter's own tensors */

static gboolean
read_finite (const EvoPrepared *p, const EvoLora *lora, gint at, gint64 first, gsize n, float *out, GError **error)
{
  if (!evo_store_read (lora->store, p->c->k, (guint) at, first, n, out, error))
    return FALSE;
  return p->c->k->all_finite (out, n) ||
         evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "%s: \"%s\" has a NaN or an infinity; the adapter is damaged",
                        evo_store_get_path (lora->store), evo_store_get_tensor (lora->store, (guint) at)->name);
}

/* A whole tensor (owned); transposed: given as [n_cols][n_rows] of what it is stored as. */
static float *
load (const EvoPrepared *p, const EvoLora *lora, gint at, gboolean transposed, gint64 n_rows, gint64 n_cols, GError **error)
{
  gsize n = (gsize) n_rows * (gsize) n_cols;
  g_autofree float *x = g_new (float, MAX (n, 1)), *y = NULL;

  if (!read_finite (p, lora, at, 0, n, x, error))
    return NULL;
  if (!transposed)
    return g_steal_pointer (&x);
  y = g_new (float, MAX (n, 1));
  for (gint64 i = 0; i < n_rows; i++)
    for (gint64 j = 0; j < n_cols; j++)
      y[j * n_rows + i] = x[i * n_cols + j];
  return g_steal_pointer (&y);
}

static gboolean
load_product (const EvoPrepared *p, View *v, GError **error)
{
  const EvoLoraPart *part = v->part;
  gboolean embeds = part->at[EVO_LORA_EMBED_A] >= 0;
  gint a = part->at[embeds ? EVO_LORA_EMBED_A : EVO_LORA_A], b = part->at[embeds ? EVO_LORA_EMBED_B : EVO_LORA_B];

  if (part->at[EVO_LORA_BIAS] >= 0) {
    v->left = load (p, v->lora, part->at[EVO_LORA_BIAS], FALSE, part->n_rows, 1, error);
    v->right = g_new (float, 1);
    v->right[0] = 1;
    return v->left != NULL;
  }
  if (part->transposed) { /* (B A)^T = A^T B^T */
    v->left = load (p, v->lora, a, TRUE, part->rank, part->n_rows, error);
    v->right = v->left == NULL ? NULL : load (p, v->lora, b, TRUE, part->n_cols, part->rank, error);
  } else {
    v->left = load (p, v->lora, b, FALSE, part->n_rows, part->rank, error);
    v->right = v->left == NULL ? NULL : load (p, v->lora, a, FALSE, part->rank, part->n_cols, error);
  }
  return v->right != NULL;
}

/* ------------------------------------------------------------------ slices */

/* out += scale * (saved - out); at 1 the saved tensor itself, without a rounding. */
static gboolean
apply_saved (EvoPrepared *p, const View *v, gint64 first, gsize n, float *tmp, float *out, GError **error)
{
  if (!read_finite (p, v->lora, v->part->at[EVO_LORA_SAVED], first, n, tmp, error))
    return FALSE;
  if (v->scale == 1) {
    p->c->k->copy (out, tmp, n);
    return TRUE;
  }
  p->c->k->sub (tmp, tmp, out, n);
  p->c->k->axpy (out, tmp, v->scale, n);
  return TRUE;
}

static void
apply_product (const EvoKernels *k, const View *v, gint64 first, gsize n, float *tmp, float *out)
{
  const EvoLoraPart *part = v->part;
  gsize n_cols = (gsize) part->n_cols, rank = (gsize) part->rank;

  k->zero (tmp, n);
  for (gsize done = 0; done < n;) {
    gsize row = ((gsize) first + done) / n_cols, col = ((gsize) first + done) % n_cols, m = MIN (n_cols - col, n - done);

    for (gsize r = 0; r < rank; r++)
      k->axpy (tmp + done, v->right + r * n_cols + col, (double) v->left[row * rank + r], m);
    done += m;
  }
  k->axpy (out, tmp, v->scale * part->scaling, n);
}

static void
apply_factor (const EvoKernels *k, const View *v, gint64 first, gsize n, float *out)
{
  gsize n_cols = (gsize) v->part->n_cols;

  for (gsize done = 0; done < n;) {
    gsize row = ((gsize) first + done) / n_cols, col = ((gsize) first + done) % n_cols, m = MIN (n_cols - col, n - done);

    if (evo_lora_is_embedding (v->part))
      for (gsize j = 0; j < m; j++)
        out[done + j] = (float) (v->factor[col + j] * out[done + j]);
    else
      k->scale (out + done, v->factor[row], m);
    done += m;
  }
}

static gboolean
view_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  const View *v = p->view_data;
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  float *tmp = evo_scratch_take (p->c->scratch[thread], n * sizeof *tmp);
  gboolean good = evo_prepared_read (p->in[p->n_in], thread, first, n, out, error) &&
                  (v->part->at[EVO_LORA_SAVED] < 0 || apply_saved (p, v, first, n, tmp, out, error));

  if (good && v->left != NULL)
    apply_product (p->c->k, v, first, n, tmp, out);
  if (good && v->factor != NULL)
    apply_factor (p->c->k, v, first, n, out);
  evo_prepared_release (p, thread, mark);
  return good;
}

static gboolean
base_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  return evo_prepared_read (p->in[p->n_in], thread, first, n, out, error);
}

static const EvoView changed = { view_read, view_free }, unchanged = { base_read, NULL };

/* ------------------------------------------------------------------ DoRA */

/* Groups of rows whose parts of a column's sum are added in order: never a function of the number of threads. */
enum { GROUPS = 16 };

typedef struct { EvoPrepared *p; const View *v; double *sums; } Lengths;

static gboolean
sum_of_row (gpointer data, gint64 row, guint thread, GError **error)
{
  Lengths *l = data;
  EvoScratchMark mark = evo_prepared_mark (l->p, thread);
  gsize n_cols = (gsize) l->v->part->n_cols;
  float *x = evo_scratch_take (l->p->c->scratch[thread], MIN (n_cols, EVO_SLICE) * sizeof *x);
  gboolean good = TRUE;
  double sum = 0;

  for (gsize at = 0; good && at < n_cols; at += EVO_SLICE) {
    gsize n = MIN (n_cols - at, (gsize) EVO_SLICE);

    good = view_read (l->p, thread, row * (gint64) n_cols + (gint64) at, n, x, error);
    sum += good ? l->p->c->k->dot (x, x, n) : 0;
  }
  l->sums[row] = sum;
  evo_prepared_release (l->p, thread, mark);
  return good;
}

/* sums [GROUPS][n_cols]: the columns' squares in a group of rows */
static gboolean
sums_of_group (gpointer data, gint64 group, guint thread, GError **error)
{
  Lengths *l = data;
  const EvoLoraPart *part = l->v->part;
  EvoScratchMark mark = evo_prepared_mark (l->p, thread);
  float *x = evo_scratch_take (l->p->c->scratch[thread], EVO_SLICE * sizeof *x);
  gint64 rows = (part->n_rows + GROUPS - 1) / GROUPS, end = MIN ((group + 1) * rows, part->n_rows) * part->n_cols;
  double *sums = l->sums + group * part->n_cols;
  gboolean good = TRUE;

  for (gint64 at = group * rows * part->n_cols; good && at < end; at += EVO_SLICE) {
    gsize n = (gsize) MIN (end - at, EVO_SLICE), col = (gsize) (at % part->n_cols);

    good = view_read (l->p, thread, at, n, x, error);
    for (gsize j = 0; good && j < n; j++, col = col + 1 == (gsize) part->n_cols ? 0 : col + 1)
      sums[col] += (double) x[j] * x[j];
  }
  evo_prepared_release (l->p, thread, mark);
  return good;
}

static gboolean
sum_squares (EvoPrepared *p, const View *v, double *sums, GError **error)
{
  gint64 n_cols = v->part->n_cols;
  g_autofree double *parts = NULL;
  Lengths l = { p, v, sums };

  if (!evo_lora_is_embedding (v->part))
    return evo_pool_run (p->c->pool, v->part->n_rows, sum_of_row, &l, error);
  l.sums = parts = g_new0 (double, MAX (GROUPS * n_cols, 1));
  if (!evo_pool_run (p->c->pool, GROUPS, sums_of_group, &l, error))
    return FALSE;
  for (gint64 j = 0; j < GROUPS * n_cols; j++)
    sums[j % n_cols] += parts[j];
  return TRUE;
}

/* magnitude / |W + scale * scaling * B A|, of its rows (Liu et al. 2024, equation 5), which are an output's weights; PEFT takes an embedding's
 * columns, as many as its output has numbers. What is all zeros has no direction, and stays. */
static gboolean
measure_lengths (EvoPrepared *p, View *v, GError **error)
{
  gint64 n = evo_lora_n_lengths (v->part);
  g_autofree float *magnitude = load (p, v->lora, v->part->at[EVO_LORA_MAGNITUDE], FALSE, n, 1, error);
  g_autofree double *factor = g_new0 (double, MAX (n, 1));

  if (magnitude == NULL || !sum_squares (p, v, factor, error))
    return FALSE;
  for (gint64 i = 0; i < n; i++)
    factor[i] = factor[i] > 0 ? (double) magnitude[i] / sqrt (factor[i]) : 0;
  v->factor = g_steal_pointer (&factor);
  return TRUE;
}

/* ------------------------------------------------------------------ preparing */

gboolean
evo_lora_prepare (EvoPrepared *p, GError **error)
{
  const EvoLora *lora = evo_models_get_lora (p->c->models, p->node);
  const EvoLoraPart *part = &lora->parts[p->layout - evo_models_get_layout (p->c->models, p->node)->tensors];
  View *v;

  if (part->module == NULL) {
    p->view = &unchanged;
    return TRUE;
  }
  v = g_new0 (View, 1);
  *v = (View){ .lora = lora, .part = part, .scale = evo_param_get_scalar (evo_param_find (p->op->params, "scale"), p->params) };
  p->view = &changed; /* owns it from here */
  p->view_data = v;
  return (part->rank == 0 || load_product (p, v, error)) && (part->at[EVO_LORA_MAGNITUDE] < 0 || measure_lengths (p, v, error));
}
