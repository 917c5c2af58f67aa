/* SPDX-License-Identifier: Apache-2.0
 * sums.c - an operator's measure passes: sums of slices added in index order, then its coefficients.
 *
 * Passes run one after the other; a pass sees the sums of those before it in call.coef. With `solve` the coefficients are what it makes of
 * all sums, else they are the sums themselves.
 */
#include <string.h>

#include "core/graph/merge/prepared.h"

typedef struct { EvoPrepared *p; guint pass, n_sums; gint64 first_slice; double *sums; } Pass;

static gboolean
measure_slice (gpointer data, gint64 item, guint thread, GError **error)
{
  Pass *s = data;
  EvoPrepared *p = s->p;
  gint64 first = (s->first_slice + item) * (gint64) p->slice;
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  EvoMergeCall call;
  gboolean good = evo_prepared_call (p, thread, first, MIN (p->slice, (gsize) (p->tensor.n - first)), &call, error) &&
                  p->op->measure (&call, s->pass, s->sums + (gsize) item * s->n_sums, error);

  evo_prepared_release (p, thread, mark);
  return good;
}

/* Adds the sums of one tensor's slices to total[], in index order, a bounded number of slices at a time. */
static gboolean
add_tensor (EvoPrepared *p, guint pass, guint n_sums, double *total, GError **error)
{
  gint64 n_slices = evo_prepared_n_slices (p), batch = MAX (1, (1 << 20) / (gint64) MAX (n_sums, 1));
  g_autofree double *sums = g_new (double, (gsize) MIN (batch, MAX (n_slices, 1)) * n_sums);

  for (gint64 s = 0; s < n_slices; s += batch) {
    gint64 n = MIN (batch, n_slices - s);
    Pass work = { p, pass, n_sums, s, sums };

    memset (sums, 0, (gsize) n * n_sums * sizeof *sums);
    if (!evo_pool_run (p->c->pool, n, measure_slice, &work, error))
      return FALSE;
    for (gint64 i = 0; i < n; i++)
      for (guint j = 0; j < n_sums; j++)
        total[j] += sums[(gsize) i * n_sums + j];
  }
  return TRUE;
}

/* Numbers a pass has in all: one set, or (COLUMN) one a column. */
guint
evo_prepared_n_sums (EvoPrepared *p, guint pass)
{
  EvoMergeCall call;
  guint n;

  evo_prepared_bare_call (p, &call);
  n = p->op->n_sums == NULL ? 1 : p->op->n_sums (&call, pass);
  return p->scope == EVO_OVER_COLUMN ? n * (guint) p->tensor.n_cols : n;
}

gboolean
evo_prepared_solve (EvoPrepared *p, const double *sums, guint n_sums, GError **error)
{
  EvoMergeCall call;

  if (p->op->solve == NULL) {
    g_free (p->coef);
    p->coef = g_memdup2 (sums, n_sums * sizeof *sums);
    p->n_coef = n_sums;
    return TRUE;
  }
  evo_prepared_bare_call (p, &call);
  p->n_coef = p->op->n_coef == NULL ? n_sums : p->op->n_coef (&call);
  if (p->scope == EVO_OVER_COLUMN && p->op->n_coef != NULL)
    p->n_coef *= (guint) p->tensor.n_cols;
  g_free (p->coef);
  p->coef = g_new0 (double, MAX (p->n_coef, 1));
  return p->op->solve (&call, sums, p->coef, error);
}

/* Every ps[i]->coef holds the sums of the passes so far meanwhile. */
gboolean
evo_prepared_measure (EvoPrepared *const *ps, guint n, GArray *all, GError **error)
{
  for (guint pass = 0; pass < ps[0]->op->n_passes; pass++) {
    guint n_sums = evo_prepared_n_sums (ps[0], pass);
    g_autofree double *total = g_new0 (double, MAX (n_sums, 1));

    for (guint i = 0; i < n && n_sums > 0; i++)
      if (!add_tensor (ps[i], pass, n_sums, total, error))
        return FALSE;
    g_array_append_vals (all, total, n_sums);
    for (guint i = 0; i < n; i++) {
      g_free (ps[i]->coef);
      ps[i]->coef = g_memdup2 (all->data, MAX (all->len, 1) * sizeof (double));
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ one set a row */

typedef struct { EvoPrepared *p; guint n_sums, n_coef; } Rows;

static gboolean
solve_row (EvoPrepared *p, EvoMergeCall *row, const guint *n_sums, double *sums, double *coef, guint n_all, guint n_coef, GError **error)
{
  guint at = 0;

  memset (sums, 0, n_all * sizeof *sums);
  row->coef = sums;
  for (guint pass = 0; pass < p->op->n_passes; at += n_sums[pass++])
    if (!p->op->measure (row, pass, sums + at, error))
      return FALSE;
  if (p->op->solve != NULL)
    return p->op->solve (row, sums, coef, error);
  memcpy (coef, sums, n_coef * sizeof *coef);
  return TRUE;
}

/* Row after row of a call. */
static gboolean
solve_rows (const Rows *work, const EvoMergeCall *call, GError **error)
{
  EvoPrepared *p = work->p;
  gsize n_cols = (gsize) p->tensor.n_cols;
  g_autofree double *sums = g_new (double, MAX (work->n_sums, 1));
  const float **in = g_newa (const float *, p->n_in + 1), **aux = g_newa (const float *, p->n_in + 1);
  guint *n_sums = g_newa (guint, p->op->n_passes + 1);

  for (guint pass = 0; pass < p->op->n_passes; pass++)
    n_sums[pass] = evo_prepared_n_sums (p, pass);
  for (gsize r = 0; r < call->n / n_cols; r++) {
    EvoMergeCall row;

    evo_prepared_row (p, call, r, in, aux, &row);
    if (!solve_row (p, &row, n_sums, sums, p->coef + (gsize) (row.first / p->tensor.n_cols) * work->n_coef, work->n_sums, work->n_coef, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
measure_rows (gpointer data, gint64 item, guint thread, GError **error)
{
  Rows *work = data;
  EvoPrepared *p = work->p;
  gint64 first = item * (gint64) p->slice;
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  EvoMergeCall call;
  gboolean good = evo_prepared_call (p, thread, first, MIN (p->slice, (gsize) (p->tensor.n - first)), &call, error) &&
                  solve_rows (work, &call, error);

  evo_prepared_release (p, thread, mark);
  return good;
}

static gboolean
rows_sums (EvoPrepared *p, GError **error)
{
  Rows work = { p, 0, 0 };
  EvoMergeCall call;

  for (guint pass = 0; pass < p->op->n_passes; pass++)
    work.n_sums += evo_prepared_n_sums (p, pass);
  evo_prepared_bare_call (p, &call);
  work.n_coef = p->op->solve != NULL && p->op->n_coef != NULL ? p->op->n_coef (&call) : work.n_sums;
  p->n_coef = work.n_coef;
  p->coef = g_new0 (double, (gsize) MAX (p->tensor.n_rows, 1) * MAX (work.n_coef, 1));
  return evo_pool_run (p->c->pool, evo_prepared_n_slices (p), measure_rows, &work, error);
}

/* ------------------------------------------------------------------ the memo */

/* A choice or switch that is searched over though it is no tunable number: what the operator says of its measuring does not cover it. */
static gboolean
has_choice_gene (const EvoParam *table, EvoValue *const *values)
{
  for (guint i = 0; values != NULL && i < evo_param_count (table); i++)
    if (values[i] != NULL && !(table[i].flags & EVO_PARAM_TUNABLE) && evo_value_has_gene (values[i]))
      return TRUE;
  return FALSE;
}

/* The operator says so of itself, and nothing upstream is made: a view of what is made has no operator, but its node is a merge. */
gboolean
evo_prepared_is_fixed (const EvoPrepared *p)
{
  if (has_choice_gene (p->op->params, p->node->values) || has_choice_gene (p->op->in_params, p->node->in_values))
    return FALSE;
  for (guint e = 0; e < p->node->n_in; e++)
    if (has_choice_gene (p->op->in_params, p->node->in[e].values))
      return FALSE;
  if (!(p->op->flags & EVO_MERGE_MEASURE_FIXED) || p->c->memo == NULL)
    return FALSE;
  for (guint e = 0; e <= p->n_in; e++)
    if (p->in[e] != NULL && (p->in[e]->op != NULL || p->in[e]->node->kind == EVO_KIND_MERGE))
      return FALSE;
  return TRUE;
}

gboolean
evo_prepared_sums (EvoPrepared *p, GError **error)
{
  gboolean fixed = evo_prepared_is_fixed (p);
  const double *kept = fixed ? evo_memo_get (p->c->memo, p->node, p->tensor.name) : NULL;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (double));

  if (p->op->measure == NULL || p->op->n_passes == 0)
    return TRUE;
  if (p->scope == EVO_OVER_ROW)
    return rows_sums (p, error);
  if (kept != NULL) {
    guint n_sums = 0;

    for (guint pass = 0; pass < p->op->n_passes; pass++)
      n_sums += evo_prepared_n_sums (p, pass);
    return evo_prepared_solve (p, kept, n_sums, error);
  }
  if (!evo_prepared_measure (&p, 1, all, error))
    return FALSE;
  if (fixed)
    evo_memo_set (p->c->memo, p->node, p->tensor.name, (const double *) all->data, all->len);
  return evo_prepared_solve (p, (const double *) all->data, all->len, error);
}
