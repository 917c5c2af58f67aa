/* SPDX-License-Identifier: Apache-2.0
 * materialize.c - a whole tensor of a model node, rounded once, handed over in slices.
 */
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/graph/prepared.h"

typedef struct {
  EvoPrepared *p;
  EvoDtype dtype;
  EvoSink sink; gpointer data;
  char **buffer;  /* [n_threads] one slice of fp32, then one of dtype */
  gsize slice;
} Work;

/* The first source below p whose own elements are not finite in [first, first + n): its name and place. */
static gboolean
blame_source (EvoPrepared *p, guint thread, gint64 first, gsize n, float *buffer, GError **error)
{
  if (p->op != NULL) {
    for (guint e = 0; e <= p->n_in; e++)
      if (p->in[e] != NULL && !blame_source (p->in[e], thread, first, n, buffer, error))
        return FALSE;
    return TRUE;
  }
  if (!evo_prepared_read (p, thread, first, n, buffer, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!isfinite (buffer[i]))
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "%s: \"%s\" has %s at element %" G_GINT64_FORMAT
                            "; the checkpoint is damaged", evo_store_get_path (p->store), p->layout->shape.name,
                            isnan (buffer[i]) ? "a NaN" : "an infinity", first + (gint64) i);
  return TRUE;
}

static gboolean
check_finite (Work *w, guint thread, gint64 first, gsize n, const float *x, GError **error)
{
  EvoPrepared *p = w->p;
  g_autofree float *buffer = NULL;

  if (p->c->k->all_finite (x, n))
    return TRUE;
  buffer = g_new (float, n);
  for (gsize at = 0; at < n; at += EVO_SLICE)
    if (!blame_source (p, thread, first + (gint64) at, MIN (n - at, (gsize) EVO_SLICE), buffer, error))
      return FALSE;
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the result is not finite though the inputs are; the parameters are "
                        "too large");
}

static gboolean
check_f16 (const EvoKernels *k, gconstpointer bytes, float *scratch, gsize n, GError **error)
{
  evo_dtype_to_f32 (k, scratch, EVO_DTYPE_F16, bytes, n);
  if (k->all_finite (scratch, n))
    return TRUE;
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "a value is beyond the range of f16 (65504); use bf16 or f32");
}

static gboolean
float_slice (gpointer data, gint64 item, guint thread, GError **error)
{
  Work *w = data;
  EvoPrepared *p = w->p;
  gint64 first = item * (gint64) w->slice;
  gsize n = MIN (w->slice, (gsize) (p->tensor.n - first));
  float *x = (float *) w->buffer[thread];
  gpointer bytes = x + w->slice;

  if (!evo_cancel_check (error))
    return FALSE;
  for (gsize at = 0; at < n; at += EVO_SLICE)
    if (!evo_prepared_read (p, thread, first + (gint64) at, MIN (n - at, (gsize) EVO_SLICE), x + at, error))
      return FALSE;
  if (!check_finite (w, thread, first, n, x, error))
    return FALSE;
  evo_dtype_from_f32 (p->c->k, bytes, w->dtype, x, n);
  if (w->dtype == EVO_DTYPE_F16 && !check_f16 (p->c->k, bytes, x, n, error))
    return FALSE;
  return w->sink (w->data, (guint64) first * evo_dtype_size (w->dtype), bytes, n * evo_dtype_size (w->dtype), error);
}

static gboolean
materialize_float (EvoMergeContext *c, EvoPrepared *p, EvoDtype dtype, EvoSink sink, gpointer data, GError **error)
{
  guint threads = evo_pool_get_n_threads (c->pool);
  g_autoptr (GPtrArray) buffers = g_ptr_array_new_with_free_func (g_aligned_free);
  Work w = { p, dtype, sink, data, NULL, p->op != NULL && p->op->access == EVO_BY_TENSOR ? EVO_SLICE : p->slice };

  for (guint i = 0; i < threads; i++)
    g_ptr_array_add (buffers, g_aligned_alloc (w.slice, sizeof (float) + MAX (sizeof (float), evo_dtype_size (dtype)), 64));
  w.buffer = (char **) buffers->pdata;
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
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "\"%s\" is %s and differs between %s and %s; only equal tensors can be copied",
                        s->name, evo_dtype_name (s->dtype), evo_store_get_path (a->store), evo_store_get_path (b->store));
}

static EvoPrepared *
first_source (EvoPrepared *p)
{
  while (p->op != NULL)
    p = p->in[p->in[p->n_in] != NULL ? p->n_in : 0];
  return p;
}

static gboolean
check_equal (EvoPrepared *p, EvoPrepared *first, GError **error)
{
  if (p->op == NULL)
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

gboolean
evo_materialize (EvoMergeContext *c, const EvoNode *node, guint t, EvoDtype dtype, EvoSink sink, gpointer data, GError **error)
{
  const EvoLayoutTensor *l = &evo_models_get_layout (c->models, node)->tensors[t];
  g_autoptr (EvoPrepared) p = evo_prepare (c, node, t, error);
  gboolean done;

  if (p == NULL)
    return FALSE;
  if (!evo_dtype_is_float (l->shape.dtype)) {
    EvoPrepared *first = first_source (p);

    done = check_equal (p, first, error) && copy_bytes (first, sink, data, error);
  } else if (p->op == NULL && dtype == evo_store_get_tensor (p->store, p->stored)->dtype) {
    done = copy_bytes (p, sink, data, error);
  } else {
    done = materialize_float (c, p, dtype, sink, data, error);
  }
  if (!done && error != NULL && !g_error_matches (*error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED))
    g_prefix_error (error, "%s: %s: ", node->name, l->shape.name);
  return done;
}
