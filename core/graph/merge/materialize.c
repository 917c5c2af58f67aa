/* SPDX-License-Identifier: Apache-2.0
 * materialize.c - a whole tensor of a model node, rounded once, handed over in slices.
 */
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/graph/merge/prepared.h"

typedef struct {
  EvoPrepared *p;
  EvoDtype dtype;
  EvoSink sink; gpointer data;
  gsize slice, block;  /* block: of a slice, what is computed and rounded at once */
} Work;

/* Finite numbers that the dtype cannot hold became infinite, or NaN, in rounding. scratch [n] */
static gboolean
check_range (const EvoKernels *k, EvoDtype dtype, gconstpointer bytes, float *scratch, gsize n, GError **error)
{
  if (dtype == EVO_DTYPE_F32 || dtype == EVO_DTYPE_F64)
    return TRUE;
  if (dtype != EVO_DTYPE_BF16)
    evo_dtype_to_f32 (k, scratch, dtype, bytes, n);
  if (dtype == EVO_DTYPE_BF16 ? k->bf16_all_finite (bytes, n) : k->all_finite (scratch, n))
    return TRUE;
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "a value is beyond the range of %s; use %s", evo_dtype_name (dtype),
                        dtype == EVO_DTYPE_BF16 ? "f32" : "bf16 or f32");
}

/* Elements that go through all steps while they are in the first cache: three inputs and a result of fp32 are 32 KiB. */
enum { BLOCK = 2048 };

/* Whether any part of it can be read by itself: it and all it is made of goes element by element. */
static gboolean
goes_by_element (const EvoPrepared *p)
{
  if (p->view != NULL || (p->op != NULL && (p->op->access != EVO_BY_ELEMENT || p->scope == EVO_OVER_ROW || p->scope == EVO_OVER_COLUMN)))
    return FALSE;
  for (guint e = 0; p->in != NULL && e <= p->n_in; e++)
    if (p->in[e] != NULL && !goes_by_element (p->in[e]))
      return FALSE;
  return TRUE;
}

/* x [n], bytes [n] of the dtype: room for this block */
static gboolean
round_block (Work *w, guint thread, gint64 first, gsize n, float *x, gpointer bytes, GError **error)
{
  EvoPrepared *p = w->p;

  for (gsize at = 0; at < n; at += EVO_SLICE)
    if (!evo_prepared_read (p, thread, first + (gint64) at, MIN (n - at, (gsize) EVO_SLICE), x + at, error))
      return FALSE;
  evo_dtype_from_f32 (p->c->k, bytes, w->dtype, x, n);
  if (p->allow_nonfinite || (w->dtype == EVO_DTYPE_BF16 && p->c->k->bf16_all_finite (bytes, n))) /* then x is finite too */
    return TRUE;
  if (!p->c->k->all_finite (x, n))
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the result is not finite though the inputs are; the parameters "
                          "are too large");
  return check_range (p->c->k, w->dtype, bytes, x, n, error);
}

/* bytes [n] of the dtype, x [n or a block]: room for this slice */
static gboolean
round_slice (Work *w, guint thread, gint64 first, gsize n, float *x, gpointer bytes, GError **error)
{
  const gsize size = evo_dtype_size (w->dtype);

  for (gsize at = 0; at < n; at += w->block)
    if (!round_block (w, thread, first + (gint64) at, MIN (w->block, n - at), x, (char *) bytes + at * size, error))
      return FALSE;
  return w->sink (w->data, (guint64) first * size, bytes, n * size, error);
}

static gboolean
float_slice (gpointer data, gint64 item, guint thread, GError **error)
{
  Work *w = data;
  EvoScratch *scratch = w->p->c->scratch[thread];
  EvoScratchMark mark = evo_scratch_mark (scratch);
  gint64 first = item * (gint64) w->slice;
  gsize n = MIN (w->slice, (gsize) (w->p->tensor.n - first));
  float *x = evo_scratch_take (scratch, MIN (n, w->block) * sizeof *x);
  gpointer bytes = evo_scratch_take (scratch, n * evo_dtype_size (w->dtype));
  gboolean good = evo_cancel_check (error) && round_slice (w, thread, first, n, x, bytes, error);

  evo_scratch_release (scratch, mark);
  return good;
}

static gboolean
materialize_float (EvoMergeContext *c, EvoPrepared *p, EvoDtype dtype, EvoSink sink, gpointer data, GError **error)
{
  Work w = { p, dtype, sink, data, p->op != NULL && p->op->access == EVO_BY_TENSOR ? EVO_SLICE : p->slice, 0 };

  w.block = goes_by_element (p) ? BLOCK : w.slice;
  return evo_pool_run (c->pool, (p->tensor.n + (gint64) w.slice - 1) / (gint64) w.slice, float_slice, &w, error);
}

/* ------------------------------------------------------------------ tensors that are not floating point */

static gboolean
same_bytes (EvoPrepared *a, EvoPrepared *b, GError **error)
{
  const EvoShape *s = &a->layout->shape;
  gsize n = evo_shape_bytes (s);

  if (b->layout->shape.dtype == s->dtype && memcmp (evo_store_peek (a->store, a->stored), evo_store_peek (b->store, b->stored), n) == 0)
    return TRUE;
  /* a file that shrank reads as zeros: that is what is wrong then */
  if (!evo_store_check (a->store, a->stored, error) || !evo_store_check (b->store, b->stored, error))
    return FALSE;
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "\"%s\" is %s and differs between %s and %s; only equal tensors can be copied",
                        s->name, evo_dtype_name (s->dtype), evo_store_get_path (a->store), evo_store_get_path (b->store));
}

static EvoPrepared *
first_source (EvoPrepared *p)
{
  while (p->op != NULL || p->view != NULL) {
    guint i = p->in[p->n_in] != NULL ? p->n_in : 0;

    while (p->in[i] == NULL) /* a view of one input has that one only */
      i++;
    p = p->in[i];
  }
  return p;
}

static gboolean
check_equal (EvoPrepared *p, EvoPrepared *first, GError **error)
{
  if (p->op == NULL && p->view == NULL)
    return p == first || same_bytes (first, p, error);
  for (guint e = 0; e <= p->n_in; e++)
    if (p->in[e] != NULL && !check_equal (p->in[e], first, error))
      return FALSE;
  return TRUE;
}

static gboolean
copy_bytes (EvoPrepared *p, EvoSink sink, gpointer data, GError **error)
{
  gsize n = evo_shape_bytes (&p->layout->shape), step = 1 << 20;
  const char *bytes = evo_store_peek (p->store, p->stored);

  for (gsize at = 0; at < n; at += step)
    if (!evo_cancel_check (error) || !sink (data, at, bytes + at, MIN (step, n - at), error))
      return FALSE;
  return evo_store_check (p->store, p->stored, error);
}

/* A file that shrank reads as zeros: then that is what is wrong, whatever else came of it. */
static gboolean
settle (const EvoPrepared *p, gboolean done, GError **error)
{
  GError *changed = NULL;

  if (evo_prepared_check_sources (p, &changed))
    return done;
  if (error != NULL)
    g_clear_error (error);
  g_propagate_error (error, changed);
  return FALSE;
}

gboolean
evo_materialize (EvoMergeContext *c, const EvoNode *node, guint t, EvoDtype dtype, EvoSink sink, gpointer data, GError **error)
{
  const EvoLayoutTensor *l = &evo_models_get_layout (c->models, node)->tensors[t];
  g_autoptr (EvoPrepared) p = evo_prepare (c, node, t, error);
  EvoPrepared *plain;
  gboolean done;

  if (p == NULL)
    return FALSE;
  if (p->compat_round == dtype)
    p->compat_round = EVO_DTYPE_NONE; /* the last rounding is the same */
  plain = evo_prepared_unscaled (p);
  if (!evo_dtype_is_float (l->shape.dtype)) {
    EvoPrepared *first = first_source (p);

    done = check_equal (p, first, error) && copy_bytes (first, sink, data, error);
  } else if (plain->op == NULL && plain->view == NULL && dtype == EVO_DTYPE_F64 &&
             evo_store_get_tensor (plain->store, plain->stored)->dtype == EVO_DTYPE_F64) {
    done = copy_bytes (plain, sink, data, error); /* narrower types come through fp32 as they were, and are looked at on the way */
  } else {
    done = materialize_float (c, p, dtype, sink, data, error);
  }
  done = settle (p, done, error);
  if (!done && error != NULL && (*error)->domain != EVO_RUN_ERROR && !g_error_matches (*error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED))
    g_prefix_error (error, "%s: %s: ", node->name, l->shape.name);
  return done;
}
