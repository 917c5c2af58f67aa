/* SPDX-License-Identifier: Apache-2.0
 * slices.c - reads slices of prepared tensors: inputs into a thread's scratch, one call of the operator, one rounding.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/prepared.h"

static gsize
padded (gsize n)
{
  return ((n * sizeof (float)) + 63) & ~(gsize) 63;
}

void
evo_prepared_bare_call (EvoPrepared *p, EvoMergeCall *call)
{
  *call = (EvoMergeCall){ .size = sizeof *call, .k = p->c->k, .t = &p->tensor, .params = p->params,
                          .in_params = (const void *const *) p->in_params, .in_seed = p->seeds, .n_in = p->n_in, .coef = p->coef,
                          .cut = p->cut, .last_tie = p->last_tie };
}

static gboolean
read_long (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  for (gsize done = 0; done < n; done += EVO_SLICE)
    if (!evo_prepared_read (p, thread, first + (gint64) done, MIN (n - done, (gsize) EVO_SLICE), out + done, error))
      return FALSE;
  return TRUE;
}

gboolean
evo_prepared_call (EvoPrepared *p, guint thread, gint64 first, gsize n, EvoMergeCall *call, GError **error)
{
  gsize step = padded (MIN (p->slice, (gsize) MAX (p->tensor.n, 1)));
  char *slices = p->scratch[thread] + p->scratch_each;
  const float **in = (const float **) (slices + (p->n_in + 2) * step);

  evo_prepared_bare_call (p, call);
  for (guint e = 0; e <= p->n_in; e++) {
    float *buffer = (float *) (slices + e * step);

    if (p->in[e] == NULL)
      continue;
    if (!read_long (p->in[e], thread, first, n, buffer, error))
      return FALSE;
    if (e < p->n_in)
      in[e] = buffer;
    else
      call->base = buffer;
  }
  call->in = in;
  call->scratch = p->scratch[thread];
  call->first = first;
  call->n = n;
  return TRUE;
}

/* One set of sums a row: the operator is called row by row, each with its own coefficients. */
static gboolean
merge_rows (EvoPrepared *p, EvoMergeCall *whole, GError **error)
{
  gsize n_cols = (gsize) p->tensor.n_cols;
  const float **in = g_newa (const float *, p->n_in + 1);

  for (gsize r = 0; r < whole->n / n_cols; r++) {
    EvoMergeCall row = *whole;

    for (guint e = 0; e < p->n_in; e++)
      in[e] = whole->in[e] + r * n_cols;
    row.in = in;
    row.base = whole->base == NULL ? NULL : whole->base + r * n_cols;
    row.out = whole->out + r * n_cols;
    row.first = whole->first + (gint64) (r * n_cols);
    row.n = n_cols;
    row.coef = p->coef == NULL ? NULL : p->coef + (gsize) (row.first / p->tensor.n_cols) * p->n_coef;
    if (!p->op->merge (&row, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
merge_slice (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  EvoMergeCall call;

  if (!evo_prepared_call (p, thread, first, n, &call, error))
    return FALSE;
  call.out = out;
  return p->scope == EVO_OVER_ROW ? merge_rows (p, &call, error) : p->op->merge (&call, error);
}

/* A reader may ask across this tensor's own slices: each is computed whole and the wanted part copied. */
static gboolean
merge_across (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  gint64 slice = (gint64) p->slice;
  float *own = (float *) (p->scratch[thread] + p->scratch_each + (p->n_in + 1) * padded (MIN (p->slice, (gsize) p->tensor.n)));

  for (gint64 s = first / slice; s * slice < first + (gint64) n; s++) {
    gint64 begin = s * slice, end = MIN (begin + slice, p->tensor.n);
    gint64 from = MAX (begin, first), to = MIN (end, first + (gint64) n);

    if (!merge_slice (p, thread, begin, (gsize) (end - begin), own, error))
      return FALSE;
    memcpy (out + (from - first), own + (from - begin), (gsize) (to - from) * sizeof (float));
  }
  return TRUE;
}

static gboolean
read_merge (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  gboolean by_element = p->op->access == EVO_BY_ELEMENT && p->scope != EVO_OVER_ROW && p->scope != EVO_OVER_COLUMN;

  if (p->whole != NULL) {
    memcpy (out, p->whole + first, n * sizeof (float));
    return TRUE;
  }
  if (by_element || (first % (gint64) p->slice == 0 && n == MIN (p->slice, (gsize) (p->tensor.n - first))))
    return merge_slice (p, thread, first, n, out, error);
  return merge_across (p, thread, first, n, out, error);
}

/* Rounds to dtype and back in small steps, so that it needs no memory of its own. */
static void
round_through (const EvoKernels *k, EvoDtype dtype, float *x, gsize n)
{
  guint64 buffer[256];

  for (gsize i = 0; i < n; i += 256) {
    gsize m = MIN (n - i, 256);

    evo_dtype_from_f32 (k, buffer, dtype, x + i, m);
    evo_dtype_to_f32 (k, x + i, dtype, buffer, m);
  }
}

gboolean
evo_prepared_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  if (p->op == NULL) {
    if (!evo_store_read (p->store, p->c->k, p->stored, first, n, out, error))
      return FALSE;
  } else if (!read_merge (p, thread, first, n, out, error)) {
    return FALSE;
  }
  if (p->round != EVO_DTYPE_NONE && p->round != EVO_DTYPE_F32)
    round_through (p->c->k, p->round, out, n);
  return TRUE;
}
