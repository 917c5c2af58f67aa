/* SPDX-License-Identifier: Apache-2.0
 * drive.c - runs one merge operator on arrays, as drive.h says.
 */
#include "tests/plugins/drive.h"

#include <string.h>

static void
tensor_free (gpointer data)
{
  DriveTensor *t = data;

  for (guint i = 0; t->in[i] != NULL; i++) {
    g_free (t->in[i]);
    g_free (t->in_params[i]);
    if (t->aux != NULL)
      g_free (t->aux[i]);
  }
  g_free (t->in);
  g_free (t->aux);
  g_free (t->in_params);
  g_free (t->base);
  g_free (t->out);
  g_free (t->seeds);
  g_free (t->params);
  g_free (t->coef);
  g_free (t->sums);
  g_free (t->cut);
  g_free (t->last_tie);
  g_free (t);
}

Drive *
drive_new (const EvoMergeOp *op, const EvoKernels *k, guint n_in, gboolean has_base)
{
  Drive *d = g_new0 (Drive, 1);

  *d = (Drive){ op, k, n_in, has_base, g_ptr_array_new_with_free_func (tensor_free), DRIVE_SLICE };
  return d;
}

void
drive_free (Drive *d)
{
  g_ptr_array_unref (d->tensors);
  g_free (d);
}

DriveTensor *
drive_get (const Drive *d, guint i)
{
  return d->tensors->pdata[i];
}

const EvoParam *
drive_find_param (const EvoParam *table, const char *name)
{
  for (; table != NULL && table->name != NULL; table++)
    if (g_str_equal (table->name, name))
      return table;
  return NULL;
}

static void
set_scalar (const EvoParam *p, gpointer object, double value)
{
  gpointer at = (char *) object + p->offset;

  if (p->type == EVO_TYPE_NUMBER)
    *(double *) at = value;
  else if (p->type == EVO_TYPE_INTEGER)
    *(gint64 *) at = (gint64) value;
  else if (p->type == EVO_TYPE_BOOL)
    *(gboolean *) at = value != 0;
  else if (p->type == EVO_TYPE_CHOICE)
    *(guint32 *) at = (guint32) value;
}

void
drive_set_defaults (const EvoParam *table, gpointer object)
{
  for (; table != NULL && table->name != NULL; table++) {
    set_scalar (table, object, table->def);
    if (table->type == EVO_TYPE_STRING)
      *(const char **) ((char *) object + table->offset) = table->def_string;
  }
}

/* Of a shape of its own it is a square matrix: symmetric, and its diagonal outweighs the rest. */
static float
aux_element (const DriveTensor *t, gboolean own, guint i, gsize j, gsize side)
{
  gsize row = j / side, col = j % side;

  if (!own)
    return 0.125f * (float) (1 + (j * 7 + i * 3) % 11);
  return 0.125f * (float) (1 + (row * col * 7 + row + col + i * 3) % 11) + (row == col ? 1.375f * (float) (side + i) : 0);
}

static void
add_aux (const Drive *d, DriveTensor *t)
{
  gboolean has = FALSE, own = d->op->aux_shape != NULL;
  gint64 dims[8] = { 0 };
  guint32 n_dims = 0;

  for (const EvoParam *p = d->op->in_params; p != NULL && p->name != NULL; p++)
    has = has || (p->flags & EVO_PARAM_TENSORS);
  if (!has)
    return;
  t->aux = g_new0 (float *, d->n_in + 1);
  if (own && !d->op->aux_shape (&t->t, dims, &n_dims))
    return;
  t->aux_n = own ? 1 : (gsize) t->t.n;
  for (guint i = 0; i < n_dims; i++)
    t->aux_n *= (gsize) dims[i];
  for (guint i = 0; i < d->n_in; i++) {
    t->aux[i] = g_new (float, MAX (t->aux_n, 1));
    for (gsize j = 0; j < t->aux_n; j++)
      t->aux[i][j] = aux_element (t, own, i, j, own ? (gsize) dims[0] : 1);
  }
}

DriveTensor *
drive_add (Drive *d, guint n_dims, const gint64 *dims)
{
  DriveTensor *t = g_new0 (DriveTensor, 1), *last = d->tensors->len == 0 ? NULL : drive_get (d, d->tensors->len - 1);

  t->t = (EvoTensor){ .name = "w", .layer = -1, .n_dims = n_dims, .n = 1, .model_first = last == NULL ? 0 : last->t.model_first + last->t.n };
  for (guint i = 0; i < n_dims; i++) {
    t->t.dims[i] = dims[i];
    t->t.n *= dims[i];
  }
  t->t.n_cols = n_dims == 0 ? 1 : dims[n_dims - 1];
  t->t.n_rows = t->t.n_cols == 0 ? 0 : t->t.n / t->t.n_cols;
  t->in = g_new0 (float *, d->n_in + 1);
  t->in_params = g_new0 (gpointer, d->n_in + 1);
  t->seeds = g_new0 (guint64, d->n_in);
  t->out = g_new0 (float, MAX (t->t.n, 1));
  t->base = d->has_base ? g_new0 (float, MAX (t->t.n, 1)) : NULL;
  t->params = g_malloc0 (MAX (d->op->params_size, 1));
  drive_set_defaults (d->op->params, t->params);
  add_aux (d, t);
  g_ptr_array_add (d->tensors, t);
  for (guint i = 0; i < d->n_in; i++) {
    t->in[i] = g_new0 (float, MAX (t->t.n, 1));
    t->in_params[i] = g_malloc0 (MAX (d->op->in_params_size, 1));
    drive_set_defaults (d->op->in_params, t->in_params[i]);
    t->seeds[i] = (i + 1) * (guint64) d->tensors->len;
  }
  return t;
}

void
drive_set (Drive *d, gint input, const char *name, double value)
{
  const EvoParam *p = drive_find_param (input < 0 ? d->op->params : d->op->in_params, name);

  g_assert_nonnull (p);
  for (guint i = 0; i < d->tensors->len; i++)
    set_scalar (p, input < 0 ? drive_get (d, i)->params : drive_get (d, i)->in_params[input], value);
}

void
drive_set_choice (Drive *d, gint input, const char *name, const char *value)
{
  const EvoParam *p = drive_find_param (input < 0 ? d->op->params : d->op->in_params, name);
  guint at = 0;

  g_assert_true (p != NULL && p->type == EVO_TYPE_CHOICE);
  while (p->names[at] != NULL && !g_str_equal (p->names[at], value))
    at++;
  g_assert_nonnull (p->names[at]);
  drive_set (d, input, name, at);
}

/* ------------------------------------------------------------------ calls */

typedef struct { Drive *d; guint32 scope; const float **in, **aux; gpointer scratch; } Runner;

static EvoMergeCall
bare_call (const Runner *r, const DriveTensor *t)
{
  return (EvoMergeCall){ .size = sizeof (EvoMergeCall), .k = r->d->k, .t = &t->t, .params = t->params,
                         .in_params = (const void *const *) t->in_params, .in_seed = t->seeds, .n_in = r->d->n_in, .coef = t->coef,
                         .cut = t->cut, .last_tie = t->last_tie };
}

static EvoMergeCall
call_at (const Runner *r, const DriveTensor *t, gint64 first, gsize n)
{
  EvoMergeCall c = bare_call (r, t);

  for (guint i = 0; i < r->d->n_in; i++)
    r->in[i] = r->d->op->pick != NULL && r->d->op->pick (&c) != i ? NULL : t->in[i] + first;
  c.in = r->in;
  for (guint i = 0; t->aux != NULL && i < r->d->n_in; i++)
    r->aux[i] = t->aux[i] == NULL || r->d->op->aux_shape != NULL ? t->aux[i] : t->aux[i] + first;
  c.aux = t->aux == NULL ? NULL : r->aux;
  c.base = t->base == NULL ? NULL : t->base + first;
  c.scratch = r->scratch;
  c.first = first;
  c.n = n;
  return c;
}

/* Elements of a slice: a constant of the tensor and the operator. */
static gsize
slice_of (const Runner *r, const DriveTensor *t, gsize by_element)
{
  const EvoMergeOp *op = r->d->op;

  if (op->access == EVO_BY_TENSOR)
    return (gsize) MAX (t->t.n, 1);
  if (op->access == EVO_BY_ELEMENT && r->scope != EVO_OVER_ROW && r->scope != EVO_OVER_COLUMN)
    return by_element;
  return (gsize) (MAX (t->t.n_cols == 0 ? 1 : DRIVE_SLICE / t->t.n_cols, 1) * MAX (t->t.n_cols, 1));
}

/* ------------------------------------------------------------------ exact cuts */

typedef struct { float key; gint64 index; } Key;

static int
by_key (gconstpointer a, gconstpointer b)
{
  const Key *x = a, *y = b;
  guint32 u, v;

  memcpy (&u, &x->key, sizeof u);
  memcpy (&v, &y->key, sizeof v);
  return u != v ? (u > v ? -1 : 1) : x->index < y->index ? -1 : 1;
}

static void
gather_keys (const Runner *r, DriveTensor *const *ts, guint n, guint cut, Key *keys)
{
  for (guint i = 0; i < n; i++) {
    gsize slice = r->scope == EVO_OVER_ROW ? (gsize) MAX (ts[i]->t.n_cols, 1) : slice_of (r, ts[i], DRIVE_SLICE);
    guint by_inputs = r->d->n_in * r->d->op->n_cuts_per_input, same = cut >= by_inputs ? by_inputs : cut - cut % r->d->op->n_cuts_per_input;
    g_autofree float *values = g_new (float, slice);

    for (gint64 first = 0; first < ts[i]->t.n; first += (gint64) slice) {
      EvoMergeCall c = call_at (r, ts[i], first, MIN (slice, (gsize) (ts[i]->t.n - first)));

      if (r->scope == EVO_OVER_ROW)
        c.coef = ts[i]->coef + first / ts[i]->t.n_cols * ts[i]->n_coef;
      r->d->op->keys (&c, cut, values);
      if (cut > same && (r->d->op->flags & EVO_MERGE_SAME_KEYS)) {
        g_autofree float *of_first = g_new (float, slice);

        r->d->op->keys (&c, same, of_first);
        g_assert_cmpmem (values, c.n * sizeof (float), of_first, c.n * sizeof (float));
      }
      for (gsize j = 0; j < c.n; j++) {
        g_assert_false (signbit (values[j]) && !isnan (values[j]));
        values[j] = fabsf (values[j]); /* the host looks at the bits but the sign: a NaN comes before all numbers */
        *keys++ = (Key){ values[j], ts[i]->t.model_first - ts[0]->t.model_first + first + (gint64) j };
      }
    }
  }
}

static void
find_cut (const Runner *r, DriveTensor *const *ts, guint n, guint cut, gint64 total)
{
  EvoMergeCall c = bare_call (r, ts[0]);
  gint64 rank = r->d->op->rank (&c, cut, total), last = -1;
  float value = rank >= total ? -1 : HUGE_VALF;

  g_assert_cmpint (rank, >=, 0);
  g_assert_cmpint (rank, <=, total);
  if (rank > 0 && rank < total) {
    g_autofree Key *keys = g_new (Key, total);

    gather_keys (r, ts, n, cut, keys);
    qsort (keys, (gsize) total, sizeof *keys, by_key);
    value = keys[rank - 1].key;
    last = keys[rank].key < value ? G_MAXINT64 : keys[rank - 1].index;
  }
  for (guint i = 0; i < n; i++) {
    ts[i]->cut[cut] = value;
    ts[i]->last_tie[cut] = last == G_MAXINT64 || last < 0 ? last : last - (ts[i]->t.model_first - ts[0]->t.model_first);
  }
}

static void
find_cuts (const Runner *r, DriveTensor *const *ts, guint n)
{
  const EvoMergeOp *op = r->d->op;
  guint n_cuts = r->d->n_in * op->n_cuts_per_input + op->n_cuts_fixed;
  gint64 total = 0;

  if (op->keys == NULL)
    return;
  for (guint i = 0; i < n; i++) {
    total += ts[i]->t.n;
    g_free (ts[i]->cut);
    g_free (ts[i]->last_tie);
    ts[i]->cut = g_new0 (float, n_cuts);
    ts[i]->last_tie = g_new0 (gint64, n_cuts);
  }
  for (guint j = 0; j < n_cuts; j++)
    find_cut (r, ts, n, j, total);
}

/* ------------------------------------------------------------------ sums and coefficients */

static guint
n_sums_of (const Runner *r, const DriveTensor *t, guint pass)
{
  EvoMergeCall c = bare_call (r, t);
  guint n = r->d->op->n_sums == NULL ? 1 : r->d->op->n_sums (&c, pass);

  return r->scope == EVO_OVER_COLUMN ? n * (guint) t->t.n_cols : n;
}

static guint
n_coef_of (const Runner *r, const DriveTensor *t, guint n_sums)
{
  EvoMergeCall c = bare_call (r, t);

  if (r->d->op->solve == NULL || r->d->op->n_coef == NULL)
    return n_sums;
  return r->d->op->n_coef (&c) * (r->scope == EVO_OVER_COLUMN ? (guint) t->t.n_cols : 1);
}

static void
set_coef (DriveTensor *t, const double *values, guint n)
{
  g_free (t->coef);
  t->coef = g_memdup2 (values, MAX (n, 1) * sizeof *values);
  t->n_coef = n;
}

static gboolean
add_tensor (const Runner *r, const DriveTensor *t, guint pass, guint n_sums, double *total, GError **error)
{
  gsize slice = slice_of (r, t, DRIVE_SLICE);

  for (gint64 first = 0; first < t->t.n; first += (gint64) slice) {
    EvoMergeCall c = call_at (r, t, first, MIN (slice, (gsize) (t->t.n - first)));
    g_autofree double *sums = g_new0 (double, n_sums);

    if (!r->d->op->measure (&c, pass, sums, error))
      return FALSE;
    for (guint j = 0; j < n_sums; j++)
      total[j] += sums[j];
  }
  return TRUE;
}

static gboolean
solve (const Runner *r, DriveTensor *t, const double *sums, guint n_sums, double *coef, GError **error)
{
  EvoMergeCall c = bare_call (r, t);

  if (r->d->op->solve != NULL)
    return r->d->op->solve (&c, sums, coef, error);
  memcpy (coef, sums, n_sums * sizeof *coef);
  return TRUE;
}

/* One set of sums for the tensors ts[], appended to all. */
static gboolean
measure_all (const Runner *r, DriveTensor *const *ts, guint n, GArray *all, GError **error)
{
  g_array_set_size (all, 1);
  g_array_set_size (all, 0);
  for (guint pass = 0; pass < r->d->op->n_passes; pass++) {
    guint n_sums = n_sums_of (r, ts[0], pass);
    g_autofree double *total = g_new0 (double, MAX (n_sums, 1));

    for (guint i = 0; i < n && n_sums > 0; i++)
      if (!add_tensor (r, ts[i], pass, n_sums, total, error))
        return FALSE;
    g_array_append_vals (all, total, n_sums);
    for (guint i = 0; i < n; i++)
      set_coef (ts[i], (const double *) all->data, all->len);
  }
  return TRUE;
}

/* Coefficients of the tensors ts[], the same for all. */
static gboolean
solve_all (const Runner *r, DriveTensor *const *ts, guint n, const GArray *all, GError **error)
{
  g_autofree double *coef = NULL;
  guint n_coef;

  n_coef = n_coef_of (r, ts[0], all->len);
  coef = g_new0 (double, MAX (n_coef, 1));
  if (!solve (r, ts[0], (const double *) all->data, all->len, coef, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    set_coef (ts[i], coef, n_coef);
    g_free (ts[i]->sums);
    ts[i]->sums = g_memdup2 (all->data, MAX (all->len, 1) * sizeof (double));
    ts[i]->n_sums = all->len;
  }
  return TRUE;
}

static gboolean
sum_up (const Runner *r, DriveTensor *const *ts, guint n, GError **error)
{
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (double));

  return measure_all (r, ts, n, all, error) && solve_all (r, ts, n, all, error);
}

/* Sums of each tensor, values of all, figures of them, coefficients of each. */
static gboolean
pool_up (const Runner *r, DriveTensor *const *ts, guint n, GError **error)
{
  const EvoMergeOp *op = r->d->op;
  g_autoptr (GPtrArray) sums = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (double));
  g_autofree double *figures = g_new (double, op->n_figures);

  for (guint i = 0; i < n; i++) {
    EvoMergeCall c = bare_call (r, ts[i]);
    guint n_values = op->n_values (&c);
    g_autofree double *values = g_new (double, MAX (n_values, 1));

    g_ptr_array_add (sums, g_array_new (FALSE, TRUE, sizeof (double)));
    if (!measure_all (r, &ts[i], 1, sums->pdata[i], error))
      return FALSE;
    c = bare_call (r, ts[i]);
    if (n_values > 0 && !op->values (&c, (const double *) ((GArray *) sums->pdata[i])->data, values, error))
      return FALSE;
    g_array_append_vals (all, values, n_values);
  }
  if (!op->pool ((double *) all->data, all->len, figures, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    g_array_append_vals (sums->pdata[i], figures, op->n_figures);
    if (!solve_all (r, &ts[i], 1, sums->pdata[i], error))
      return FALSE;
  }
  return TRUE;
}

/* One set of sums a row. */
static gboolean
sum_up_rows (const Runner *r, DriveTensor *t, GError **error)
{
  guint n_all = 0, n_coef, at;
  g_autofree double *sums = NULL, *coef = NULL;

  for (guint pass = 0; pass < r->d->op->n_passes; pass++)
    n_all += n_sums_of (r, t, pass);
  n_coef = n_coef_of (r, t, n_all);
  sums = g_new (double, MAX (n_all, 1));
  coef = g_new0 (double, MAX (t->t.n_rows * n_coef, 1));
  for (gint64 row = 0; row < t->t.n_rows; row++) {
    EvoMergeCall c = call_at (r, t, row * t->t.n_cols, (gsize) t->t.n_cols);

    memset (sums, 0, n_all * sizeof *sums);
    c.coef = sums;
    at = 0;
    for (guint pass = 0; pass < r->d->op->n_passes; at += n_sums_of (r, t, pass++))
      if (!r->d->op->measure (&c, pass, sums + at, error))
        return FALSE;
    if (!solve (r, t, sums, n_all, coef + row * n_coef, error))
      return FALSE;
  }
  set_coef (t, coef, (guint) (t->t.n_rows * n_coef));
  t->n_coef = n_coef;
  return TRUE;
}

/* ------------------------------------------------------------------ merging */

static gboolean
merge_rows (const Runner *r, DriveTensor *t, GError **error)
{
  for (gint64 row = 0; row < t->t.n_rows; row++) {
    EvoMergeCall c = call_at (r, t, row * t->t.n_cols, (gsize) t->t.n_cols);

    c.out = t->out + c.first;
    c.coef = t->coef == NULL ? NULL : t->coef + row * t->n_coef;
    if (!r->d->op->merge (&c, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
merge_tensor (const Runner *r, DriveTensor *t, GError **error)
{
  gsize slice = slice_of (r, t, r->d->merge_slice);

  if (r->scope == EVO_OVER_ROW)
    return merge_rows (r, t, error);
  for (gint64 first = 0; first < t->t.n; first += (gint64) slice) {
    EvoMergeCall c = call_at (r, t, first, MIN (slice, (gsize) (t->t.n - first)));

    c.out = t->out + first;
    if (!r->d->op->merge (&c, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
prepare (Runner *r, DriveTensor *const *ts, guint n, GError **error)
{
  gboolean rows = r->scope == EVO_OVER_ROW, measures = r->d->op->measure != NULL && r->d->op->n_passes > 0;

  if (rows && measures && !sum_up_rows (r, ts[0], error))
    return FALSE;
  find_cuts (r, ts, n);
  if (r->scope == EVO_OVER_MODEL && r->d->op->pool != NULL)
    return pool_up (r, ts, n, error);
  return rows || !measures || sum_up (r, ts, n, error);
}

gboolean
drive_run (Drive *d, GError **error)
{
  g_autofree const float **in = g_new0 (const float *, d->n_in + 1), **aux = g_new0 (const float *, d->n_in + 1);
  const DriveTensor *last = d->tensors->len == 0 ? NULL : drive_get (d, d->tensors->len - 1);
  DriveTensor *const *ts = (DriveTensor *const *) d->tensors->pdata;
  gsize bytes = 0;
  gboolean good = TRUE;
  Runner r = { d, d->op->scope_of != NULL ? d->op->scope_of (ts[0]->params) : d->op->scope, in, aux, NULL };

  for (guint i = 0; i < d->tensors->len; i++)
    ts[i]->t.model_n = last->t.model_first + last->t.n;
  for (guint i = 0; i < d->tensors->len && d->op->scratch_bytes != NULL; i++) {
    gsize slice = MAX (slice_of (&r, ts[i], d->merge_slice), slice_of (&r, ts[i], DRIVE_SLICE));

    bytes = MAX (bytes, d->op->scratch_bytes (&ts[i]->t, d->n_in, MIN (slice, (gsize) MAX (ts[i]->t.n, 1))));
  }
  r.scratch = g_aligned_alloc (1, (bytes + 64) & ~(gsize) 63, 64);
  memset (r.scratch, 0xff, bytes); /* NaN: nothing may be read before it is written */
  if (r.scope == EVO_OVER_MODEL)
    good = prepare (&r, ts, d->tensors->len, error);
  for (guint i = 0; good && i < d->tensors->len; i++)
    good = (r.scope == EVO_OVER_MODEL || prepare (&r, &ts[i], 1, error)) && merge_tensor (&r, ts[i], error);
  g_aligned_free (r.scratch);
  return good;
}
