/* SPDX-License-Identifier: Apache-2.0
 * prepare.c - resolves what one tensor of a merge needs: parameters, seeds, inputs, cuts and sums.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/graph/lora/lora.h"
#include "core/graph/merge/prepared.h"
#include "core/graph/vocab/vocab.h"
#include "core/graph/path/path.h"
#include "core/kernels/kernels.h"

/* ------------------------------------------------------------------ context and memo */

struct EvoMemo { GHashTable *sums; /* "node/tensor" -> GArray of double */ };

EvoMemo *
evo_memo_new (void)
{
  EvoMemo *memo = g_new (EvoMemo, 1);

  memo->sums = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  return memo;
}

void
evo_memo_free (EvoMemo *memo)
{
  if (memo == NULL)
    return;
  g_hash_table_unref (memo->sums);
  g_free (memo);
}

const double *
evo_memo_get (EvoMemo *memo, const EvoNode *node, const char *tensor)
{
  g_autofree char *key = g_strconcat (node->name, "/", tensor, NULL);
  GArray *a = memo == NULL ? NULL : g_hash_table_lookup (memo->sums, key);

  return a == NULL ? NULL : (const double *) a->data;
}

void
evo_memo_set (EvoMemo *memo, const EvoNode *node, const char *tensor, const double *coef, guint n)
{
  GArray *a;

  if (memo == NULL)
    return;
  a = g_array_sized_new (FALSE, FALSE, sizeof (double), n);
  g_array_append_vals (a, coef, n);
  g_hash_table_insert (memo->sums, g_strconcat (node->name, "/", tensor, NULL), a);
}

void
evo_merge_context_init (EvoMergeContext *c, EvoModels *models, const EvoKernels *k, EvoPool *pool, const double *x, gint64 trial,
                        EvoMemo *memo)
{
  guint threads = evo_pool_get_n_threads (pool);

  *c = (EvoMergeContext){ models, k, pool, x, trial, memo, g_hash_table_new_full (NULL, NULL, NULL, evo_over_model_free),
                          g_new (EvoScratch *, threads) };
  for (guint i = 0; i < threads; i++)
    c->scratch[i] = evo_scratch_new ();
}

void
evo_merge_context_clear (EvoMergeContext *c)
{
  g_clear_pointer (&c->over_model, g_hash_table_unref);
  for (guint i = 0; c->scratch != NULL && i < evo_pool_get_n_threads (c->pool); i++)
    evo_scratch_free (c->scratch[i]);
  g_clear_pointer (&c->scratch, g_free);
}

/* ------------------------------------------------------------------ parameters */

static gboolean
resolve_one (const EvoParam *p, gpointer object, EvoValue *const *levels, guint n_levels, const EvoPlace *place, const double *x, GError **error)
{
  double v;

  for (guint i = 0; i < n_levels; i++) {
    if (levels[i] == NULL || !evo_value_resolve (levels[i], place, x, &v))
      continue;
    if (!evo_param_check_scalar (p, v, levels[i]->where, error))
      return FALSE;
    evo_param_set_scalar (p, object, v);
    return TRUE;
  }
  return TRUE;
}

static gpointer
copy_params (gconstpointer from, gsize size)
{
  return from == NULL || size == 0 ? g_malloc0 (MAX (size, 1)) : g_memdup2 (from, size);
}

static gboolean
resolve_params (EvoPrepared *p, GError **error)
{
  const EvoNode *node = p->node;
  const EvoPlace place = { p->layout->shape.name, &p->layout->role, evo_models_get_layout (p->c->models, node)->n_layers };
  guint n = evo_param_count (p->op->params), n_in = evo_param_count (p->op->in_params);

  p->params = copy_params (node->params, p->op->params_size);
  for (guint i = 0; i < n; i++)
    if (!resolve_one (&p->op->params[i], p->params, &node->values[i], 1, &place, p->c->x, error))
      return FALSE;
  p->in_params = g_new0 (gpointer, node->n_in + 1);
  for (guint e = 0; e < node->n_in; e++) {
    p->in_params[e] = copy_params (node->in[e].params, p->op->in_params_size);
    for (guint i = 0; i < n_in; i++) {
      EvoValue *levels[2] = { node->in[e].values == NULL ? NULL : node->in[e].values[i], node->in_values == NULL ? NULL : node->in_values[i] };

      if (!resolve_one (&p->op->in_params[i], p->in_params[e], levels, 2, &place, p->c->x, error))
        return FALSE;
    }
  }
  return TRUE;
}

/* One stream per input: the node's, the edge's node name and occurrence, the tensor's name; never of slice, thread or order of models. */
static void
make_seeds (EvoPrepared *p)
{
  guint64 stream = p->node->stream;

  if (p->node->masks_per_trial)
    stream = evo_random_mix (stream, (guint64) (p->c->trial + 1));
  p->seeds = g_new0 (guint64, p->node->n_in + 1);
  for (guint e = 0; e < p->node->n_in; e++) {
    guint64 s = evo_random_mix_text (stream, p->node->in[e].from->name);

    s = evo_random_mix (s, p->node->in[e].occurrence);
    p->seeds[e] = evo_random_mix_text (s, p->layout->shape.name);
  }
}

/* ------------------------------------------------------------------ geometry */

void
evo_describe_tensor (EvoTensor *t, const EvoLayout *layout, guint i)
{
  const EvoLayoutTensor *l = &layout->tensors[i];
  const EvoShape *s = &l->shape;

  *t = (EvoTensor){ .name = s->name, .layer = l->role.layer, .n_dims = s->n_dims, .n = s->n, .model_first = l->model_first,
                    .model_n = layout->n_elements };
  memcpy (t->dims, s->dims, sizeof t->dims);
  t->n_cols = s->n_dims == 0 ? 1 : s->dims[s->n_dims - 1];
  t->n_rows = t->n_cols == 0 ? 0 : s->n / t->n_cols;
}

/* Elements of a slice: a constant of the tensor and the operator, never of threads. */
static gsize
slice_of (const EvoMergeOp *op, guint32 scope, const EvoTensor *t)
{
  gint64 rows;

  if (op != NULL && op->access == EVO_BY_TENSOR)
    return (gsize) MAX (t->n, 1);
  if (op == NULL || (op->access == EVO_BY_ELEMENT && scope != EVO_OVER_ROW && scope != EVO_OVER_COLUMN))
    return EVO_SLICE;
  rows = t->n_cols > 0 ? EVO_SLICE / t->n_cols : 1;
  return (gsize) (MAX (rows, 1) * MAX (t->n_cols, 1));
}

gint64
evo_prepared_n_slices (const EvoPrepared *p)
{
  return (p->tensor.n + (gint64) p->slice - 1) / (gint64) p->slice;
}

static void
measure_scratch (EvoPrepared *p)
{
  gsize capped = MIN (p->slice, (gsize) MAX (p->tensor.n, 1));

  p->scratch_bytes = p->op->scratch_bytes == NULL ? 0 : p->op->scratch_bytes (&p->tensor, p->n_in, capped);
}

/* Bytes of one thread's slices and scratch for one tensor. */
static guint64
bound_of_tensor (const EvoNode *node, guint n_aux, const EvoTensor *t)
{
  EvoShape of_aux;
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  guint32 scope = op->scope_of != NULL ? op->scope_of (node->params) : op->scope;
  gsize slice = MIN (slice_of (op, scope, t), (gsize) MAX (t->n, 1));
  guint64 bytes = (guint64) slice * sizeof (float) * (node->n_in + (op->aux_shape == NULL ? n_aux : 0) + 4);

  if (op->aux_shape != NULL && evo_aux_shape (op, t, &of_aux))
    bytes += (guint64) of_aux.n * sizeof (float) * n_aux;
  if (op->scratch_bytes != NULL)
    bytes += op->scratch_bytes (t, node->n_in, slice);
  /* histograms of the exact k-th keys: one of 65536 counts a cut and thread */
  return bytes + (op->keys == NULL ? 0 : (guint64) (node->n_in * op->n_cuts_per_input + op->n_cuts_fixed) * 65536 * 8);
}

/* Whether tensor i may be measured with the rest of the model: by its parameters, as far as no choice among them is searched for. */
static gboolean
may_pool (const EvoNode *node, const EvoLayout *l, guint i, gpointer params)
{
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  const EvoPlace place = { l->tensors[i].shape.name, &l->tensors[i].role, l->n_layers };
  gboolean may = FALSE;

  for (guint j = 0; j < evo_param_count (op->params); j++) {
    gboolean searched = node->values[j] != NULL && evo_value_has_gene (node->values[j]);
    double v;

    may = may || (searched && !(op->params[j].flags & EVO_PARAM_TUNABLE));
    if (node->values[j] != NULL && !searched && evo_value_resolve (node->values[j], &place, NULL, &v))
      evo_param_set_scalar (&op->params[j], params, v);
  }
  return may || (op->scope_of != NULL ? op->scope_of (params) : op->scope) == EVO_OVER_MODEL;
}

/* Bytes of a tensor's sums and values, held until the model's figures are made; a growing array of values may have twice their size. */
static guint64
bound_of_pooled (const EvoNode *node, const EvoLayout *l, guint i)
{
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  const void **in_params = g_newa (const void *, node->n_in + 1);
  g_autofree gpointer params = copy_params (node->params, op->params_size);
  EvoTensor t;
  const EvoMergeCall call = { .size = sizeof call, .k = evo_kernels_get (), .t = &t, .params = params, .in_params = in_params, .n_in = node->n_in };
  guint64 n;

  if (op->pool == NULL || !evo_dtype_is_float (l->tensors[i].shape.dtype) || !may_pool (node, l, i, params))
    return 0;
  evo_describe_tensor (&t, l, i);
  for (guint e = 0; e < node->n_in; e++)
    in_params[e] = node->in[e].params;
  n = op->n_figures + (guint64) 2 * op->n_values (&call);
  for (guint pass = 0; pass < op->n_passes; pass++)
    n += op->n_sums == NULL ? 1 : op->n_sums (&call, pass);
  return n * sizeof (double);
}

guint64
evo_merge_bound (const EvoModels *models, const EvoNode *node, guint threads)
{
  const EvoLayout *l = evo_models_get_layout (models, node);
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  guint64 most = 0, rest = node->base.from == NULL ? 0 : evo_merge_bound (models, node->base.from, threads);
  guint n_aux = 0;

  if (node->kind != EVO_KIND_MERGE)
    return 0;
  for (guint e = 0; e < node->n_in; e++)
    n_aux += evo_models_get_aux (models, node, e) != NULL;
  for (guint i = 0; i < l->n; i++) {
    EvoTensor t;

    rest += bound_of_pooled (node, l, i);
    evo_describe_tensor (&t, l, i);
    if (op->access == EVO_BY_TENSOR) /* one thread computes the tensor, all read slices of it */
      most = MAX (most, bound_of_tensor (node, n_aux, &t) + (guint64) t.n * sizeof (float) + (guint64) 4 * EVO_SLICE * sizeof (float) * threads);
    else
      most = MAX (most, bound_of_tensor (node, n_aux, &t) * threads);
  }
  for (guint e = 0; e < node->n_in; e++)
    rest += evo_merge_bound (models, node->in[e].from, threads);
  if (evo_models_get_lora (models, node) != NULL)
    rest += evo_lora_bound (evo_models_get_lora (models, node));
  return most + rest;
}

/* ------------------------------------------------------------------ preparing */

void
evo_prepared_free (EvoPrepared *p)
{
  if (p == NULL)
    return;
  for (guint i = 0; p->in != NULL && i <= p->n_in; i++)
    evo_prepared_free (p->in[i]);
  if (p->view != NULL && p->view->free != NULL)
    p->view->free (p->view_data);
  for (guint i = 0; p->in_params != NULL && i < p->n_in; i++)
    g_free (p->in_params[i]);
  g_free (p->in);
  g_free (p->aux);
  g_free (p->in_params);
  g_free (p->params);
  g_free (p->seeds);
  g_free (p->cut);
  g_free (p->last_tie);
  g_free (p->coef);
  g_free (p->whole);
  g_free (p);
}

static gboolean
prepare_source (EvoPrepared *p, GError **error)
{
  const EvoNode *node = p->node;
  int at;

  p->store = evo_models_get_store (p->c->models, node);
  if (p->store == NULL)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s: the search has not run yet", node->name);
  at = node->kind == EVO_KIND_MODEL ? p->layout->stored : evo_store_find (p->store, p->layout->shape.name);
  if (at < 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: there is no tensor \"%s\"", evo_store_get_path (p->store),
                          p->layout->shape.name);
  p->stored = (guint) at;
  p->allow_nonfinite = node->allow_nonfinite;
  if (p->layout->shape.dtype != evo_store_get_tensor (p->store, p->stored)->dtype)
    p->round = p->layout->shape.dtype;
  return TRUE;
}

/* The only input that is needed; n_in: all are. */
static gboolean
pick_input (EvoPrepared *p, guint *only, GError **error)
{
  EvoMergeCall call;

  *only = p->n_in;
  if (p->op->pick == NULL || !evo_dtype_is_float (p->layout->shape.dtype))
    return TRUE;
  evo_prepared_bare_call (p, &call);
  *only = p->op->pick (&call);
  return *only < p->n_in ||
         evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, "the operator picks input %u of %u", *only, p->n_in);
}

gboolean
evo_prepare_input (EvoPrepared *p, guint e, GError **error)
{
  const EvoNode *node = p->node;
  const EvoEdge *edge = e < p->n_in ? &node->in[e] : &node->base;

  p->in[e] = evo_prepare_to (p->c, edge->from, (guint) p->layout->from[e], EVO_PREPARE_ALL, error);
  if (p->in[e] == NULL)
    return FALSE;
  /* a merge inside a merge stays fp32, unless its node has a dtype of its own */
  if (edge->from->kind == EVO_KIND_MERGE)
    p->in[e]->round = evo_dtypes_given (&edge->from->dtype) ? p->in[e]->layout->shape.dtype : EVO_DTYPE_NONE;
  else if (node->compat != EVO_DTYPE_F32 && p->in[e]->layout->shape.dtype != node->compat)
    p->in[e]->compat_round = node->compat;
  p->allow_nonfinite |= p->in[e]->allow_nonfinite;
  return TRUE;
}

static gboolean
prepare_inputs (EvoPrepared *p, GError **error)
{
  guint only;

  if (!pick_input (p, &only, error))
    return FALSE;
  p->in = g_new0 (EvoPrepared *, p->n_in + 1);
  for (guint e = 0; e <= p->n_in; e++) {
    if ((e == p->n_in && p->node->base.from == NULL) || (only < p->n_in && e < p->n_in && e != only))
      continue;
    if (!evo_prepare_input (p, e, error))
      return FALSE;
  }
  return evo_vocab_gather (p, error);
}

/* Where the inputs' tensors are in the files of the TENSORS parameter: aux.c saw that they are there, or need not be. */
static void
find_aux (EvoPrepared *p)
{
  const EvoNode *node = p->node;
  EvoShape shape;

  for (guint e = 0; e < p->n_in; e++) {
    const EvoStore *store = evo_models_get_aux (p->c->models, node, e);
    const EvoLayout *in = evo_models_get_layout (p->c->models, node->in[e].from);

    if (store == NULL)
      continue;
    if (p->aux == NULL) {
      p->aux = g_new (gint, p->n_in);
      memset (p->aux, 0xff, p->n_in * sizeof *p->aux);
    }
    if (p->op->aux_shape == NULL || evo_aux_shape (p->op, &p->tensor, &shape))
      p->aux[e] = evo_store_find (store, p->op->aux_shape != NULL ? p->layout->shape.name : in->tensors[p->layout->from[e]].shape.name);
  }
}

/* An operator that must see the whole tensor computes it once. */
static gboolean
compute_whole (EvoPrepared *p, GError **error)
{
  EvoScratchMark mark = evo_prepared_mark (p, 0);
  EvoMergeCall call;
  gboolean good;

  p->whole = g_try_new (float, MAX (p->tensor.n, 1));
  if (p->whole == NULL)
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, "not enough memory for %" G_GINT64_FORMAT " elements", p->tensor.n);
  good = evo_prepared_call (p, 0, 0, (gsize) p->tensor.n, &call, error);
  call.out = p->whole;
  good = good && evo_prepared_merge (p, &call, error);
  evo_prepared_release (p, 0, mark);
  return good;
}

static gboolean
measure (EvoPrepared *p, GError **error)
{
  if (p->scope == EVO_OVER_MODEL && (p->op->keys != NULL || p->op->measure != NULL))
    return evo_prepared_over_model (p, error);
  if (p->scope == EVO_OVER_ROW)
    return evo_prepared_sums (p, error) && evo_prepared_cuts (&p, 1, error);
  return evo_prepared_cuts (&p, 1, error) && evo_prepared_sums (p, error);
}

static gboolean
prepare_merge (EvoPrepared *p, EvoPrepareDepth depth, GError **error)
{
  gboolean is_float = evo_dtype_is_float (p->layout->shape.dtype);

  p->op = (const EvoMergeOp *) p->node->plugin->op;
  p->n_in = p->node->n_in;
  p->compat_round = p->node->compat == EVO_DTYPE_F32 ? EVO_DTYPE_NONE : p->node->compat;
  if (is_float && !resolve_params (p, error))
    return FALSE;
  if (depth >= EVO_PREPARE_INPUTS && !prepare_inputs (p, error))
    return FALSE;
  if (!is_float)
    return TRUE; /* copied, not merged */
  if (p->op->host == EVO_HOST_LORA)
    return depth < EVO_PREPARE_INPUTS || evo_lora_prepare (p, error);
  make_seeds (p);
  find_aux (p);
  p->scope = p->op->scope_of != NULL ? p->op->scope_of (p->params) : p->op->scope;
  p->slice = slice_of (p->op, p->scope, &p->tensor);
  measure_scratch (p);
  if (depth < EVO_PREPARE_ALL)
    return TRUE;
  return measure (p, error) && (p->op->access != EVO_BY_TENSOR || compute_whole (p, error));
}

EvoPrepared *
evo_prepare_to (EvoMergeContext *c, const EvoNode *node, guint t, EvoPrepareDepth depth, GError **error)
{
  g_autoptr (EvoPrepared) p = g_new0 (EvoPrepared, 1);

  p->c = c;
  p->node = node;
  p->layout = &evo_models_get_layout (c->models, node)->tensors[t];
  p->slice = EVO_SLICE;
  evo_describe_tensor (&p->tensor, evo_models_get_layout (c->models, node), t);
  if (evo_node_is_path (node) ? !evo_prepare_layers (p, error)
      : node->kind == EVO_KIND_MERGE ? !prepare_merge (p, depth, error) : !prepare_source (p, error))
    return NULL;
  return g_steal_pointer (&p);
}

EvoPrepared *
evo_prepare (EvoMergeContext *c, const EvoNode *node, guint t, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  EvoPrepared *p = evo_prepare_to (c, node, t, EVO_PREPARE_ALL, error);

  if (p == NULL)
    g_prefix_error (error, "%s: %s: ", node->name, l->tensors[t].shape.name);
  return p;
}
