/* SPDX-License-Identifier: Apache-2.0
 * aux.c - the files of a merge's TENSORS parameter: opened as stores, each tensor that is merged found in them, from headers alone. Where the
 * operator says a shape of its own (aux_shape), a tensor that a file lacks is the operator's concern. A file is as its model is: where "tokenizer"
 * gives the result other rows, they are gathered when they are read. Tensors of the input's own shape bear the input's name there, those of a shape
 * of their own the result's: what belongs to an output matrix is not its embedding's, though the input has one tensor for both.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"

static void
unref_any (gpointer store)
{
  if (store != NULL)
    evo_store_unref (store);
}

static const EvoParam *
tensors_param (const EvoMergeOp *op)
{
  for (const EvoParam *p = op->in_params; p != NULL && p->name != NULL; p++)
    if (p->flags & EVO_PARAM_TENSORS)
      return p;
  return NULL;
}

gboolean
evo_aux_shape (const EvoMergeOp *op, const EvoTensor *t, EvoShape *out)
{
  gint64 dims[8] = { 0 };
  guint32 n_dims = 0;

  if (!op->aux_shape (t, dims, &n_dims) || n_dims > G_N_ELEMENTS (out->dims))
    return FALSE;
  *out = (EvoShape){ .dtype = EVO_DTYPE_F32, .n_dims = n_dims };
  memcpy (out->dims, dims, n_dims * sizeof *dims);
  return evo_shape_count (out);
}

/* The tensor of the file that belongs to `ours` of the input. */
static gboolean
check_tensor (const EvoEdge *e, const EvoParam *p, const EvoStore *store, const EvoShape *ours, GError **error)
{
  int at = evo_store_find (store, ours->name);
  const EvoShape *theirs = at < 0 ? NULL : evo_store_get_tensor (store, (guint) at);
  g_autofree char *where = NULL, *a = NULL, *b = NULL;

  if (theirs != NULL && evo_shape_equal (theirs, ours) && evo_dtype_is_float (theirs->dtype))
    return TRUE;
  where = evo_json_where (e->where);
  if (theirs == NULL)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: the %s file %s has no tensor \"%s\"; it must have those of %s", where,
                          p->name, evo_store_get_path (store), ours->name, e->from->name);
  a = evo_shape_text (theirs);
  b = evo_shape_text (ours);
  if (!evo_shape_equal (theirs, ours))
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in the %s file %s and %s in %s; shapes must agree", where,
                          ours->name, a, p->name, evo_store_get_path (store), b, e->from->name);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in the %s file %s; it must be floating point", where,
                        ours->name, evo_dtype_name (theirs->dtype), p->name, evo_store_get_path (store));
}

/* A tensor of the file for `name`, in the shape that the operator says. */
static gboolean
check_shaped (const EvoEdge *e, const EvoParam *p, const EvoStore *store, const char *name, const EvoShape *wanted, gboolean *found, GError **error)
{
  int at = evo_store_find (store, name);
  const EvoShape *theirs = at < 0 ? NULL : evo_store_get_tensor (store, (guint) at);
  g_autofree char *where = NULL, *a = NULL, *b = NULL;

  if (theirs == NULL)
    return TRUE;
  *found = TRUE;
  if (evo_shape_equal (theirs, wanted) && evo_dtype_is_float (theirs->dtype))
    return TRUE;
  where = evo_json_where (e->where);
  a = evo_shape_text (theirs);
  b = evo_shape_text (wanted);
  if (!evo_shape_equal (theirs, wanted))
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in the %s file %s; for this tensor of %s it must "
                          "be %s", where, name, a, p->name, evo_store_get_path (store), e->from->name, b);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in the %s file %s; it must be floating point", where, name,
                        evo_dtype_name (theirs->dtype), p->name, evo_store_get_path (store));
}

/* A file none of whose tensors is wanted has other names, and would do nothing. */
static gboolean
check_all_shaped (const EvoModels *m, const EvoNode *node, guint e, const EvoParam *p, const EvoStore *store, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  const char *example = NULL;
  gboolean found = FALSE;
  g_autofree char *where = NULL;

  for (guint i = 0; i < l->n; i++) {
    const char *name = l->tensors[i].shape.name;
    EvoTensor t;
    EvoShape wanted;

    evo_describe_tensor (&t, l, i);
    if (!evo_dtype_is_float (l->tensors[i].shape.dtype) || !evo_aux_shape (op, &t, &wanted))
      continue;
    example = example == NULL ? name : example;
    if (!check_shaped (&node->in[e], p, store, name, &wanted, &found, error))
      return FALSE;
  }
  if (found || example == NULL)
    return TRUE;
  where = evo_json_where (node->in[e].where);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: the %s file %s has none of the tensors of %s, not \"%s\" for one; they "
                        "must have the same names", where, p->name, evo_store_get_path (store), node->in[e].from->name, example);
}

static EvoStore *
open_one (const EvoModels *m, const EvoNode *node, guint e, const EvoParam *p, const char *path, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node), *in = evo_models_get_layout (m, node->in[e].from);
  g_autoptr (EvoStore) store = evo_store_open (path, error);

  if (store == NULL) {
    g_autofree char *where = evo_json_where (node->in[e].where);

    g_prefix_error (error, "%s: %s: ", where, p->name);
    return NULL;
  }
  if (((const EvoMergeOp *) node->plugin->op)->aux_shape != NULL)
    return check_all_shaped (m, node, e, p, store, error) ? g_steal_pointer (&store) : NULL;
  for (guint i = 0; i < l->n; i++) {
    const EvoShape *ours = &in->tensors[l->tensors[i].from[e]].shape;

    if (evo_dtype_is_float (l->tensors[i].shape.dtype) && !check_tensor (&node->in[e], p, store, ours, error))
      return NULL;
  }
  return g_steal_pointer (&store);
}

gboolean
evo_aux_open (const EvoModels *m, const EvoNode *node, EvoStore ***out, GError **error)
{
  const EvoParam *p = tensors_param ((const EvoMergeOp *) node->plugin->op);
  g_autoptr (GPtrArray) stores = NULL;

  if (p == NULL)
    return TRUE;
  stores = g_ptr_array_new_with_free_func (unref_any);
  for (guint e = 0; e < node->n_in; e++) {
    const char *path = *(const char *const *) ((const char *) node->in[e].params + p->offset);

    g_ptr_array_add (stores, path == NULL ? NULL : open_one (m, node, e, p, path, error));
    if (path != NULL && stores->pdata[e] == NULL)
      return FALSE;
  }
  *out = (EvoStore **) g_ptr_array_free (g_steal_pointer (&stores), FALSE);
  return TRUE;
}
