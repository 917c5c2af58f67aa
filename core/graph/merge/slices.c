/* SPDX-License-Identifier: Apache-2.0
 * slices.c - reads slices of prepared tensors: inputs into a thread's scratch, one call of the operator, one rounding.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"
#include "core/graph/vocab/vocab.h"

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

/* As stored, where half the bytes tell it. FALSE, too, where a header's length put them at odd addresses. */
static gboolean
is_finite_bf16 (const EvoKernels *k, const EvoStore *store, guint stored, gint64 first, gsize n)
{
  gconstpointer bytes = evo_store_peek (store, stored);

  return evo_store_get_tensor (store, stored)->dtype == EVO_DTYPE_BF16 && GPOINTER_TO_SIZE (bytes) % sizeof (guint16) == 0 &&
         k->bf16_all_finite ((const guint16 *) bytes + first, n);
}

/* Whether a file was changed is asked of the system, which costs as much as a tenth of a small read: a tensor's last question makes up for it
 * (evo_materialize). */
enum { SMALL = 8192 };

/* An operator may drop a weight that is no number, by chance or rank: so every source is looked at where it is read. */
static gboolean
read_stored (const EvoPrepared *p, const EvoStore *store, guint stored, gint64 first, gsize n, float *out, GError **error)
{
  gsize i = 0;

  evo_store_widen (store, p->c->k, stored, first, n, out);
  if (n >= SMALL && !evo_store_check (store, stored, error))
    return FALSE;
  if (is_finite_bf16 (p->c->k, store, stored, first, n) || p->c->k->all_finite (out, n) || (p->op == NULL && p->allow_nonfinite)) /* files of the TENSORS parameter are an operator's own */
    return TRUE;
  while (isfinite (out[i]))
    i++;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "%s: \"%s\" has %s at element %" G_GINT64_FORMAT
                        "; the checkpoint is damaged", evo_store_get_path (store), evo_store_get_tensor (store, stored)->name,
                        isnan (out[i]) ? "a NaN" : "an infinity", first + (gint64) i);
}

gboolean
evo_prepared_check_sources (const EvoPrepared *p, GError **error)
{
  if (p->op == NULL && p->view == NULL)
    return evo_store_check (p->store, p->stored, error);
  if (p->view != NULL && p->view->check != NULL && !p->view->check (p, error))
    return FALSE;
  for (guint e = 0; p->in != NULL && e <= p->n_in; e++)
    if (p->in[e] != NULL && !evo_prepared_check_sources (p->in[e], error))
      return FALSE;
  for (guint e = 0; p->aux != NULL && e < p->n_in; e++)
    if (p->aux[e] >= 0 && !evo_store_check (evo_models_get_aux (p->c->models, p->node, e), (guint) p->aux[e], error))
      return FALSE;
  return TRUE;
}

EvoScratchMark
evo_prepared_mark (const EvoPrepared *p, guint thread)
{
  return evo_scratch_mark (p->c->scratch[thread]);
}

void
evo_prepared_release (EvoPrepared *p, guint thread, EvoScratchMark mark)
{
  evo_scratch_release (p->c->scratch[thread], mark);
}

/* Of a file that has the tensor as input e has it; 0 for tokens that the input lacks. */
static gboolean
read_aux_rows (EvoPrepared *p, guint e, const EvoStore *store, gint64 first, gsize n, float *out, GError **error)
{
  for (gsize done = 0; done < n;) {
    gint64 at;
    gsize run = (gsize) evo_vocab_own_run (p, e, first + (gint64) done, (gint64) (n - done), &at);

    if (at < 0)
      memset (out + done, 0, run * sizeof *out);
    else if (!read_stored (p, store, (guint) p->aux[e], at, run, out + done, error))
      return FALSE;
    done += run;
  }
  return TRUE;
}

/* Elements [first, first + n) of the inputs' tensors in the files of the TENSORS parameter; all of them where they have their own shape. */
static gboolean
read_aux (EvoPrepared *p, EvoScratch *scratch, gint64 first, gsize n, EvoMergeCall *call, GError **error)
{
  const float **aux = evo_scratch_take (scratch, (p->n_in + 1) * sizeof *aux);

  for (guint e = 0; e < p->n_in; e++) {
    const EvoStore *store = evo_models_get_aux (p->c->models, p->node, e);
    float *buffer;

    aux[e] = NULL;
    if (p->aux[e] < 0)
      continue;
    if (p->op->aux_shape != NULL)
      n = (gsize) evo_store_get_tensor (store, (guint) p->aux[e])->n;
    aux[e] = buffer = evo_scratch_take (scratch, n * sizeof *buffer);
    if (p->op->aux_shape != NULL ? !read_stored (p, store, (guint) p->aux[e], 0, n, buffer, error)
                                 : !read_aux_rows (p, e, store, first, n, buffer, error))
      return FALSE;
  }
  call->aux = aux;
  return TRUE;
}

gboolean
evo_prepared_call (EvoPrepared *p, guint thread, gint64 first, gsize n, EvoMergeCall *call, GError **error)
{
  EvoScratch *scratch = p->c->scratch[thread];
  const float **in = evo_scratch_take (scratch, (p->n_in + 1) * sizeof *in);

  evo_prepared_bare_call (p, call);
  call->scratch = evo_scratch_take (scratch, p->scratch_bytes);
  for (guint e = 0; e <= p->n_in; e++) {
    float *buffer;

    in[e] = NULL;
    if (p->in[e] == NULL)
      continue;
    buffer = evo_scratch_take (scratch, n * sizeof *buffer);
    if (!read_long (p->in[e], thread, first, n, buffer, error))
      return FALSE;
    if (e < p->n_in)
      in[e] = buffer;
    else
      call->base = buffer;
  }
  call->in = in;
  call->first = first;
  call->n = n;
  return p->aux == NULL || read_aux (p, scratch, first, n, call, error);
}

void
evo_prepared_row (const EvoPrepared *p, const EvoMergeCall *whole, gsize r, const float **in, const float **aux, EvoMergeCall *row)
{
  gsize at = r * (gsize) p->tensor.n_cols;

  *row = *whole;
  for (guint e = 0; e < p->n_in; e++) {
    in[e] = whole->in[e] == NULL ? NULL : whole->in[e] + at;
    aux[e] = whole->aux == NULL || whole->aux[e] == NULL ? NULL : whole->aux[e] + at;
  }
  row->in = in;
  row->aux = whole->aux == NULL ? NULL : aux;
  row->base = whole->base == NULL ? NULL : whole->base + at;
  row->out = whole->out == NULL ? NULL : whole->out + at;
  row->first = whole->first + (gint64) at;
  row->n = (gsize) p->tensor.n_cols;
}

/* One set of sums a row: the operator is called row by row, each with its own coefficients. */
static gboolean
merge_rows (EvoPrepared *p, EvoMergeCall *whole, GError **error)
{
  gsize n_cols = (gsize) p->tensor.n_cols;
  const float **in = g_newa (const float *, p->n_in + 1), **aux = g_newa (const float *, p->n_in + 1);

  for (gsize r = 0; r < whole->n / n_cols; r++) {
    EvoMergeCall row;

    evo_prepared_row (p, whole, r, in, aux, &row);
    row.coef = p->coef == NULL ? NULL : p->coef + (gsize) (row.first / p->tensor.n_cols) * p->n_coef;
    if (!p->op->merge (&row, error))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_prepared_merge (EvoPrepared *p, EvoMergeCall *call, GError **error)
{
  return p->scope == EVO_OVER_ROW ? merge_rows (p, call, error) : p->op->merge (call, error);
}

static gboolean
merge_slice (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  EvoMergeCall call;
  gboolean good = evo_prepared_call (p, thread, first, n, &call, error);

  call.out = out;
  good = good && evo_prepared_merge (p, &call, error);
  evo_prepared_release (p, thread, mark);
  return good;
}

/* A reader may ask across this tensor's own slices: each is computed whole and the wanted part copied. */
static gboolean
merge_across (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  gint64 slice = (gint64) p->slice;
  float *own = evo_scratch_take (p->c->scratch[thread], MIN (p->slice, (gsize) p->tensor.n) * sizeof *own);
  gboolean good = TRUE;

  for (gint64 s = first / slice; good && s * slice < first + (gint64) n; s++) {
    gint64 begin = s * slice, end = MIN (begin + slice, p->tensor.n);
    gint64 from = MAX (begin, first), to = MIN (end, first + (gint64) n);

    good = merge_slice (p, thread, begin, (gsize) (end - begin), own, error);
    if (good)
      memcpy (out + (from - first), own + (from - begin), (gsize) (to - from) * sizeof (float));
  }
  evo_prepared_release (p, thread, mark);
  return good;
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

static gboolean
round_to (const EvoPrepared *p, EvoDtype dtype, float *out, gsize n, GError **error)
{
  if (dtype == EVO_DTYPE_NONE || dtype == EVO_DTYPE_F32 || dtype == EVO_DTYPE_F64)
    return TRUE;
  round_through (p->c->k, dtype, out, n);
  return p->allow_nonfinite || p->c->k->all_finite (out, n) ||
         evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "%s: a value is beyond the range of %s; use %s", p->node->name,
                        evo_dtype_name (dtype), dtype == EVO_DTYPE_BF16 ? "f32" : "bf16 or f32");
}

gboolean
evo_prepared_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  if (p->view != NULL ? !p->view->read (p, thread, first, n, out, error)
      : p->op == NULL ? !read_stored (p, p->store, p->stored, first, n, out, error) : !read_merge (p, thread, first, n, out, error))
    return FALSE;
  return round_to (p, p->compat_round, out, n, error) && (p->round == p->compat_round || round_to (p, p->round, out, n, error));
}
