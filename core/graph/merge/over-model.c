/* SPDX-License-Identifier: Apache-2.0
 * over-model.c - cuts, sums and figures over all tensors of a model: made once for a candidate, before its first tensor is merged.
 *
 * The model is those tensors whose scope is it: a scope that goes by tensor leaves the others to themselves. Coefficients are each tensor's
 * own, from the common sums and its own parameters. A cut is one for all, so its tensors must agree on how much it keeps. With figures, sums are
 * each tensor's own too, and need not agree.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"

typedef struct {
  float *cut; gint64 *last_tie; guint n_cuts;
  GArray *sums;       /* of all tensors together; NULL: there are figures, */
  GHashTable *pooled; /* and this has, by a tensor's name, a GArray of its own sums, the figures behind them */
} OverModel;

void
evo_over_model_free (gpointer over_model)
{
  OverModel *o = over_model;

  g_free (o->cut);
  g_free (o->last_tie);
  g_clear_pointer (&o->sums, g_array_unref);
  g_clear_pointer (&o->pooled, g_hash_table_unref);
  g_free (o);
}

/* The tensors of the node that are measured together, in output order. */
static GPtrArray *
prepare_members (EvoMergeContext *c, const EvoNode *node, EvoPrepareDepth depth, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  g_autoptr (GPtrArray) members = g_ptr_array_new_with_free_func ((GDestroyNotify) evo_prepared_free);

  for (guint t = 0; t < l->n; t++) {
    g_autoptr (EvoPrepared) p = NULL;

    if (!evo_dtype_is_float (l->tensors[t].shape.dtype))
      continue;
    p = evo_prepare_to (c, node, t, depth, error);
    if (p == NULL)
      return NULL;
    if (p->scope == EVO_OVER_MODEL)
      g_ptr_array_add (members, g_steal_pointer (&p));
  }
  return g_steal_pointer (&members);
}

/* ------------------------------------------------------------------ agreement */

static gboolean
agree_on_cut (EvoPrepared *a, EvoPrepared *b, guint cut, gint64 n, GError **error)
{
  const EvoMergeOp *op = a->op;
  g_autofree char *where = NULL;
  EvoMergeCall call;
  gint64 x, y;

  evo_prepared_bare_call (a, &call);
  x = op->rank (&call, cut, n);
  evo_prepared_bare_call (b, &call);
  y = op->rank (&call, cut, n);
  if (x == y)
    return TRUE;
  where = evo_json_where (a->node->where);
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "%s: one cut over the whole model keeps %" G_GINT64_FORMAT " of %"
                        G_GINT64_FORMAT " elements%s%s by the parameters of \"%s\" and %" G_GINT64_FORMAT " by those of \"%s\"; they must be the same "
                        "for all tensors", where, x, n, cut < a->n_in * op->n_cuts_per_input ? " of " : "",
                        cut < a->n_in * op->n_cuts_per_input ? a->node->in[cut / op->n_cuts_per_input].from->name : "", a->tensor.name, y,
                        b->tensor.name);
}

static gboolean
agree (EvoPrepared *const *ps, guint n, GError **error)
{
  const EvoMergeOp *op = ps[0]->op;
  guint n_cuts = op->keys == NULL ? 0 : ps[0]->n_in * op->n_cuts_per_input + op->n_cuts_fixed;
  gint64 total = 0;

  for (guint i = 0; i < n; i++)
    total += ps[i]->tensor.n;
  for (guint i = 1; i < n; i++) {
    for (guint j = 0; j < n_cuts; j++)
      if (!agree_on_cut (ps[0], ps[i], j, total, error))
        return FALSE;
    for (guint pass = 0; op->measure != NULL && op->pool == NULL && pass < op->n_passes; pass++)
      if (evo_prepared_n_sums (ps[0], pass) != evo_prepared_n_sums (ps[i], pass)) {
        g_autofree char *where = evo_json_where (ps[0]->node->where);

        return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "%s: \"%s\" and \"%s\" are measured in different ways, but over one "
                              "model; what decides about that must be the same for all tensors", where, ps[0]->tensor.name, ps[i]->tensor.name);
      }
  }
  return TRUE;
}

/* Genes at the ends of their ranges, each dimension at the other end than its neighbours: what differs between tensors differs here. */
static void
set_ends (const EvoModels *m, guint odd, double *x)
{
  EvoGraph *graph = evo_models_get_graph (m);

  for (guint i = 0; i < evo_graph_get_n_nodes (graph); i++) {
    const EvoNode *search = evo_graph_get (graph, i);

    for (guint j = 0; search->kind == EVO_KIND_OPTIMIZER && j < search->search.n_genes; j++) {
      const EvoGene *g = search->search.genes[j];

      for (guint k = 0; k < g->n; k++)
        x[g->first + k] = (k + odd) % 2 == 0 ? (g->is_choice ? 0 : g->low) : (g->is_choice ? g->n_choices - 1.0 : g->high);
    }
  }
}

gboolean
evo_merge_check (EvoModels *models, const EvoNode *node, GError **error)
{
  g_autofree double *x = evo_models_new_vector (models);
  EvoMergeContext c = { .models = models, .x = x, .trial = -1 };
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;

  if (op->keys == NULL && op->measure == NULL)
    return TRUE;
  for (guint odd = 0; odd < 2; odd++) {
    g_autoptr (GPtrArray) members = NULL;

    set_ends (models, odd, x);
    members = prepare_members (&c, node, EVO_PREPARE_PARAMS, error);
    if (members == NULL || (members->len > 0 && !agree ((EvoPrepared *const *) members->pdata, members->len, error)))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ measuring */

static OverModel *
measure_model (EvoMergeContext *c, const EvoNode *node, GError **error)
{
  g_autoptr (GPtrArray) members = prepare_members (c, node, EVO_PREPARE_INPUTS, error);
  g_autoptr (GArray) sums = g_array_new (FALSE, FALSE, sizeof (double));
  EvoPrepared **ps = members == NULL ? NULL : (EvoPrepared **) members->pdata;
  OverModel *o;

  if (ps == NULL || !agree (ps, members->len, error) || !evo_prepared_cuts (ps, members->len, error) ||
      (ps[0]->op->measure != NULL && !evo_prepared_measure (ps, members->len, sums, error)))
    return NULL;
  o = g_new0 (OverModel, 1);
  *o = (OverModel){ g_steal_pointer (&ps[0]->cut), g_steal_pointer (&ps[0]->last_tie), ps[0]->n_cuts, g_steal_pointer (&sums), NULL };
  /* counted from the first member's first element until now, from here on from the model's */
  for (guint i = 0; i < o->n_cuts; i++)
    if (o->last_tie[i] != G_MAXINT64)
      o->last_tie[i] += ps[0]->tensor.model_first;
  g_hash_table_insert (c->over_model, (gpointer) node, o);
  return o;
}

/* ------------------------------------------------------------------ figures */

/* What is made of a model before its figures are. */
typedef struct { GHashTable *sums; GArray *values; gboolean fixed; } Pooling;

static void
pooling_clear (Pooling *m)
{
  g_clear_pointer (&m->sums, g_hash_table_unref);
  g_clear_pointer (&m->values, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pooling, pooling_clear)

/* The sums of one tensor, and the numbers that the operator makes of them. */
static gboolean
pool_tensor (EvoPrepared *p, Pooling *m, GError **error)
{
  g_autoptr (GArray) sums = g_array_new (FALSE, FALSE, sizeof (double));
  guint at = m->values->len, n;
  EvoMergeCall call;

  if (!evo_prepared_measure (&p, 1, sums, error))
    return FALSE;
  evo_prepared_bare_call (p, &call);
  n = p->op->n_values (&call);
  if (n > (G_MAXINT >> 4) - MIN (at, G_MAXINT >> 4))
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, "the model has more than %d numbers to make figures of", G_MAXINT >> 4);
  g_array_set_size (m->values, at + n);
  if (n > 0 && !p->op->values (&call, (const double *) sums->data, &g_array_index (m->values, double, at), error))
    return FALSE;
  m->fixed = m->fixed && evo_prepared_is_fixed (p);
  g_hash_table_insert (m->sums, g_strdup (p->tensor.name), g_steal_pointer (&sums));
  return TRUE;
}

/* One tensor after the other: no more than one has its inputs prepared. What one is refused for bears its name, if that is not `asked`. */
static gboolean
pool_tensors (EvoMergeContext *c, const EvoNode *node, const EvoLayoutTensor *asked, Pooling *m, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);

  for (guint t = 0; t < l->n; t++) {
    g_autoptr (EvoPrepared) p = NULL;

    if (!evo_dtype_is_float (l->tensors[t].shape.dtype))
      continue;
    p = evo_prepare_to (c, node, t, EVO_PREPARE_INPUTS, error);
    if (p != NULL && (p->scope != EVO_OVER_MODEL || pool_tensor (p, m, error)))
      continue;
    if (&l->tensors[t] != asked)
      g_prefix_error (error, "%s: ", l->tensors[t].shape.name);
    return FALSE;
  }
  return TRUE;
}

/* Appends the figures to every tensor's sums. They are kept by the memo where no gene changes any of them, else for this candidate. */
static gboolean
pool_model (EvoPrepared *asked, GError **error)
{
  g_auto (Pooling) m = { g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref),
                         g_array_new (FALSE, TRUE, sizeof (double)), TRUE };
  g_autofree double *figures = g_new0 (double, asked->op->n_figures);
  EvoMergeContext *c = asked->c;
  GHashTableIter i;
  gpointer name, sums;
  OverModel *o;

  if (!pool_tensors (c, asked->node, asked->layout, &m, error) ||
      !asked->op->pool ((double *) m.values->data, m.values->len, figures, error))
    return FALSE;
  g_hash_table_iter_init (&i, m.sums);
  while (g_hash_table_iter_next (&i, &name, &sums)) {
    g_array_append_vals (sums, figures, asked->op->n_figures);
    if (!m.fixed)
      continue;
    evo_memo_set (c->memo, asked->node, name, (const double *) ((GArray *) sums)->data, ((GArray *) sums)->len);
    g_hash_table_iter_remove (&i); /* one copy is enough */
  }
  if (m.fixed)
    return TRUE;
  o = g_new0 (OverModel, 1);
  o->pooled = g_steal_pointer (&m.sums);
  g_hash_table_insert (c->over_model, (gpointer) asked->node, o);
  return TRUE;
}

/* The tensor's own sums and the model's figures; NULL: they are not made yet. */
static const double *
pooled_sums (EvoPrepared *p)
{
  const OverModel *o = g_hash_table_lookup (p->c->over_model, p->node);
  GArray *sums = o == NULL ? NULL : g_hash_table_lookup (o->pooled, p->tensor.name);

  if (sums != NULL)
    return (const double *) sums->data;
  return evo_prepared_is_fixed (p) ? evo_memo_get (p->c->memo, p->node, p->tensor.name) : NULL;
}

static gboolean
over_pool (EvoPrepared *p, GError **error)
{
  guint n = p->op->n_figures;

  if (pooled_sums (p) == NULL && !pool_model (p, error))
    return FALSE;
  for (guint pass = 0; pass < p->op->n_passes; pass++)
    n += evo_prepared_n_sums (p, pass);
  return evo_prepared_solve (p, pooled_sums (p), n, error);
}

gboolean
evo_prepared_over_model (EvoPrepared *p, GError **error)
{
  OverModel *o;

  if (p->op->pool != NULL)
    return over_pool (p, error);
  o = g_hash_table_lookup (p->c->over_model, p->node);
  if (o == NULL)
    o = measure_model (p->c, p->node, error);
  if (o == NULL)
    return FALSE;
  p->n_cuts = o->n_cuts;
  p->cut = g_memdup2 (o->cut, o->n_cuts * sizeof *o->cut);
  p->last_tie = g_memdup2 (o->last_tie, o->n_cuts * sizeof *o->last_tie);
  for (guint i = 0; i < p->n_cuts; i++)
    if (p->last_tie[i] != G_MAXINT64)
      p->last_tie[i] -= p->tensor.model_first;
  return p->op->measure == NULL || p->op->n_passes == 0 || evo_prepared_solve (p, (const double *) o->sums->data, o->sums->len, error);
}
