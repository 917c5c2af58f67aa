/* SPDX-License-Identifier: Apache-2.0
 * merge.c - the tensors of a merge: those of its base, else of its first input, each linked to its part in every input.
 */
#include "core/base/error.h"
#include "core/graph/layout.h"
#include "core/graph/vocab/vocab.h"

typedef struct { EvoModels *m; const EvoNode *node; EvoLayout *out; const EvoEdge *reference; GHashTable **index; } Merging;

static GHashTable *
index_by_name (const EvoLayout *l)
{
  GHashTable *index = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < l->n; i++)
    g_hash_table_insert (index, l->tensors[i].shape.name, GINT_TO_POINTER ((gint) i + 1));
  return index;
}

static gint32
lookup (GHashTable *index, const char *name)
{
  return GPOINTER_TO_INT (g_hash_table_lookup (index, name)) - 1;
}

static gint32
find_role (const EvoLayout *l, guint32 kind)
{
  for (guint i = 0; i < l->n; i++)
    if (l->tensors[i].role.kind == kind)
      return (gint32) i;
  return -1;
}

/* Its configuration says that the embedding is the output matrix, whatever else the files hold. */
static gboolean
is_tied (const EvoModels *m, const EvoLayout *l)
{
  EvoStore *store = evo_models_get_store (m, l->source);
  const EvoJson *config = store == NULL ? NULL : evo_store_get_config (store);

  return !l->untied && config != NULL && evo_json_get_bool (config, "tie_word_embeddings", FALSE);
}

/* Input e's tensor that plays the part of `t`; a tied model's embedding stands for its output matrix. */
static gboolean
find_input (const Merging *g, guint e, const EvoEdge *edge, const EvoLayoutTensor *t, gint32 *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (g->m, edge->from);
  gint32 i = lookup (g->index[e], t->shape.name);

  if (t->role.kind == EVO_ROLE_HEAD && (i < 0 || is_tied (g->m, l)))
    i = find_role (l, EVO_ROLE_EMBED);
  if (i < 0)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: %s has no tensor \"%s\", %s has it", g->node->name,
                          edge->from->name, t->shape.name, g->reference->from->name);
  const EvoShape *a = &l->tensors[i].shape;
  if (!evo_shape_equal (a, &t->shape) && !evo_vocab_covers (g->node, t, a)) {
    g_autofree char *ours = evo_shape_text (&t->shape), *theirs = evo_shape_text (a);

    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in %s and %s in %s; %s", g->node->name,
                          t->shape.name, ours, g->reference->from->name, theirs, edge->from->name, evo_vocab_advice (t, a));
  }
  gboolean is_float = evo_dtype_is_float (t->shape.dtype);
  if (evo_dtype_is_float (a->dtype) != is_float || (!is_float && a->dtype != t->shape.dtype))
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" is %s in %s and %s in %s; %s", g->node->name, t->shape.name,
                          evo_dtype_name (t->shape.dtype), g->reference->from->name, evo_dtype_name (a->dtype), edge->from->name,
                          is_float || evo_dtype_is_float (a->dtype) ? "both must be floating point" : "only equal tensors can be copied");
  *out = i;
  return TRUE;
}

static gboolean
link_inputs (const Merging *g, EvoLayoutTensor *t, GError **error)
{
  const EvoNode *node = g->node;

  t->from = g_new (gint32, node->n_in + 1);
  t->from[node->n_in] = -1;
  for (guint e = 0; e < node->n_in; e++)
    if (!find_input (g, e, &node->in[e], t, &t->from[e], error))
      return FALSE;
  return node->base.from == NULL || find_input (g, node->n_in, &node->base, t, &t->from[node->n_in], error);
}

/* A tensor that the reference lacks is an error, but for an output matrix, which the result then gets. */
static gboolean
find_extra (const Merging *g, guint e, const EvoEdge *edge, const EvoLayoutTensor **head, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (g->m, edge->from), *r = evo_models_get_layout (g->m, g->reference->from);
  g_autoptr (GHashTable) known = index_by_name (r);

  for (guint i = 0; i < l->n; i++) {
    const EvoLayoutTensor *t = &l->tensors[i];

    if (lookup (known, t->shape.name) >= 0)
      continue;
    if (t->role.kind != EVO_ROLE_HEAD)
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: %s has a tensor \"%s\" that %s lacks", g->node->name,
                            edge->from->name, t->shape.name, g->reference->from->name);
    *head = t;
  }
  return TRUE;
}

static void
add_tensor (const Merging *g, const EvoLayoutTensor *from)
{
  EvoLayoutTensor *t = &g->out->tensors[g->out->n++];

  *t = *from;
  t->shape.name = g_strdup (from->shape.name);
  t->from = NULL;
  t->stored = -1;
  t->shape.dtype = evo_layout_dtype (t, &g->node->dtype);
}

/* An input whose own output matrix counts. */
static gboolean
has_untied (const Merging *g)
{
  for (guint e = 0; e < g->node->n_in; e++) {
    const EvoLayout *l = evo_models_get_layout (g->m, g->node->in[e].from);

    if (find_role (l, EVO_ROLE_HEAD) >= 0 && !is_tied (g->m, l))
      return TRUE;
  }
  return FALSE;
}

static gboolean
fill_merge (const Merging *g, const EvoLayoutTensor *head, GError **error)
{
  const EvoLayout *r = evo_models_get_layout (g->m, g->reference->from);

  g->out->tensors = g_new0 (EvoLayoutTensor, r->n + 1);
  g->out->n_layers = r->n_layers;
  evo_layout_inherit (g->out, r);
  g->out->layers = g_memdup2 (r->layers, (gsize) MAX (r->n_layers, 0) * sizeof *r->layers);
  g->out->untied = r->untied || head != NULL || (is_tied (g->m, r) && find_role (r, EVO_ROLE_HEAD) >= 0 && has_untied (g));
  for (guint i = 0; i < r->n; i++)
    add_tensor (g, &r->tensors[i]);
  if (head != NULL)
    add_tensor (g, head);
  if (!evo_vocab_layout (g->m, g->node, g->out, error))
    return FALSE;
  evo_layout_order (g->out);
  for (guint i = 0; i < g->out->n; i++)
    if (!link_inputs (g, &g->out->tensors[i], error))
      return FALSE;
  return TRUE;
}

gboolean
evo_layout_merge (EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error)
{
  g_autoptr (GPtrArray) indices = g_ptr_array_new_with_free_func ((GDestroyNotify) g_hash_table_unref);
  Merging g = { m, node, out, node->base.from != NULL ? &node->base : &node->in[0], NULL };
  const EvoLayoutTensor *head = NULL;

  for (guint e = 0; e <= node->n_in; e++) {
    const EvoEdge *edge = e < node->n_in ? &node->in[e] : &node->base;

    if (edge->from == NULL)
      continue;
    g_ptr_array_add (indices, index_by_name (evo_models_get_layout (m, edge->from)));
    if (!find_extra (&g, e, edge, &head, error))
      return FALSE;
  }
  g.index = (GHashTable **) indices->pdata;
  return fill_merge (&g, head, error);
}
