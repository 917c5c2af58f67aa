/* SPDX-License-Identifier: Apache-2.0
 * edges.c - what a node reads: its inputs with their own parameters, and its base model.
 */
#include <string.h>

#include "core/graph/read/read.h"

/* A gene on an edge is called node.source.param; where a source occurs again, node.source#2.param. */
static char *
gene_name (const EvoNode *node, const EvoEdge *e, const char *param)
{
  if (e->occurrence == 0)
    return g_strdup_printf ("%s.%s.%s", node->name, e->from->name, param);
  return g_strdup_printf ("%s.%s#%u.%s", node->name, e->from->name, e->occurrence + 1, param);
}

static const EvoMergeOp *
merge_op (const EvoNode *node)
{
  return node->kind == EVO_KIND_MERGE ? (const EvoMergeOp *) node->plugin->op : NULL;
}

static gboolean
read_edge_param (EvoGraph *g, EvoNode *node, EvoEdge *e, const EvoParam *p, const EvoJson *v, GError **error)
{
  g_autofree char *name = gene_name (node, e, p->name);
  EvoValue **slot = &e->values[p - merge_op (node)->in_params];

  if (!evo_param_is_numeric (p))
    return TRUE; /* bound when all edges are there */
  *slot = evo_read_value (g, node, p, name, v, error);
  return *slot != NULL;
}

static gboolean
unknown_edge_key (const EvoNode *node, const EvoParam *table, const EvoJson *v, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *hint = NULL, *quoted = evo_json_quoted (evo_json_key (v));

  for (const EvoParam *p = table; p != NULL && p->name != NULL; p++)
    g_ptr_array_add (names, (gpointer) p->name);
  g_ptr_array_add (names, (gpointer) "from");
  g_ptr_array_add (names, (gpointer) "note");
  g_ptr_array_add (names, NULL);
  hint = evo_names_hint (evo_json_key (v), (const char *const *) names->pdata);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "an input of %s has no parameter %s%s", node->plugin->name, quoted,
                      hint);
}

static gboolean
read_edge_keys (EvoGraph *g, EvoNode *node, EvoEdge *e, const EvoParam *table, const EvoJson *v, GError **error)
{
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);
    const char *key = evo_json_key (member);
    const EvoParam *p = evo_param_find (table, key);

    if (g_str_equal (key, "from"))
      continue;
    if (g_str_equal (key, "note") ? !evo_read_note (member, error)
                                  : p == NULL ? !unknown_edge_key (node, table, member, error)
                                              : !read_edge_param (g, node, e, p, member, error))
      return FALSE;
  }
  return TRUE;
}

/* "name", or {"from": "name", ...}. table: the parameters it may have besides. */
static gboolean
read_edge (EvoGraph *g, EvoNode *node, EvoEdge *e, const EvoParam *table, const EvoJson *v, GError **error)
{
  const EvoJson *from = v;

  e->where = v;
  if (evo_json_kind (v) == EVO_JSON_OBJECT) {
    from = evo_json_member (v, "from");
    if (from == NULL)
      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs \"from\", the node it comes from");
  } else if (evo_json_kind (v) != EVO_JSON_STRING) {
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs a node's name or {\"from\": name}, not %s",
                        evo_json_kind_name (evo_json_kind (v)));
  }
  e->from = evo_read_node (g, from, EVO_IS_MODEL, evo_model_or_search, error);
  if (e->from == NULL)
    return FALSE;
  for (const EvoEdge *other = node->in; other < e && e < node->in + node->n_in; other++)
    e->occurrence += other->from == e->from;
  if (table != NULL)
    e->values = g_new0 (EvoValue *, evo_param_count (table) + 1);
  return read_edge_keys (g, node, e, table, v, error);
}

gboolean
evo_read_in (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  const EvoParam *table = node->kind == EVO_KIND_MERGE ? merge_op (node)->in_params : NULL;
  gboolean is_list = evo_json_kind (v) == EVO_JSON_ARRAY;
  guint n = is_list ? evo_json_size (v) : 1;

  if (!is_list && evo_json_kind (v) != EVO_JSON_STRING)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs a node's name or a list of inputs, not %s",
                        evo_json_kind_name (evo_json_kind (v)));
  if (n > EVO_MAX_INPUTS)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "has %u inputs; at most %d are possible", n, EVO_MAX_INPUTS);
  if (node->kind == EVO_KIND_MERGE && merge_op (node)->host == EVO_HOST_LORA)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s takes no \"in\"; the model that the adapter is applied to is its \"base\"",
                        node->plugin->name);
  node->in = g_new0 (EvoEdge, n + 1);
  node->n_in = n;
  for (guint i = 0; i < n; i++)
    if (!read_edge (g, node, &node->in[i], table, is_list ? evo_json_at (v, i) : v, error))
      return FALSE;
  return TRUE;
}

gboolean
evo_read_base (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  if (!(merge_op (node)->flags & (EVO_MERGE_NEEDS_BASE | EVO_MERGE_TAKES_BASE)))
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s takes no base model; leave \"base\" out", node->plugin->name);
  return read_edge (g, node, &node->base, NULL, v, error);
}

/* ------------------------------------------------------------------ when all keys of the node are read */

static gboolean
check_count (const EvoNode *node, GError **error)
{
  const EvoMergeOp *op = merge_op (node);
  const EvoJson *in = evo_json_member (node->where, "in");
  guint min = op == NULL ? 1 : op->min_inputs, max = op == NULL ? 0 : op->max_inputs;

  if (in == NULL && min > 0)
    return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        "needs \"in\", the models that %s reads", node->plugin->name);
  if (in == NULL || (node->n_in >= min && (max == 0 || node->n_in <= max)))
    return TRUE;
  if (max == 0)
    return evo_fail_at (error, in, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s needs at least %u input%s, not %u", node->plugin->name, min,
                        min == 1 ? "" : "s", node->n_in);
  if (min == max)
    return evo_fail_at (error, in, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s needs exactly %u input%s, not %u", node->plugin->name, min,
                        min == 1 ? "" : "s", node->n_in);
  return evo_fail_at (error, in, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s needs %u to %u inputs, not %u", node->plugin->name, min, max,
                      node->n_in);
}

static gboolean
check_repeated (const EvoNode *node, GError **error)
{
  for (guint e = 0; node->kind == EVO_KIND_EVALUATOR && e < node->n_in; e++)
    if (node->in[e].occurrence > 0)
      return evo_fail_at (error, node->in[e].where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_DUPLICATE, "\"%s\" is evaluated already; name it once",
                          node->in[e].from->name);
  return TRUE;
}

/* One parameter of one input: the edge's own word, else the node's. */
static gboolean
bind_edge_param (EvoGraph *g, EvoNode *node, EvoEdge *e, const EvoParam *p, GError **error)
{
  guint i = (guint) (p - merge_op (node)->in_params);
  const EvoJson *own = evo_json_member (e->where, p->name), *v = own != NULL ? own : evo_json_member (node->where, p->name);
  const EvoValue *value = e->values[i] != NULL ? e->values[i] : node->in_values[i];

  if (v == NULL && (p->flags & EVO_PARAM_REQUIRED))
    return evo_fail_at (error, e->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING,
                        "an input of %s needs \"%s\"", node->plugin->name, p->name);
  if (value != NULL && value->kind == EVO_VALUE_SCALAR)
    evo_param_set_scalar (p, e->params, value->scalar);
  if (v == NULL || evo_param_is_numeric (p))
    return TRUE;
  if (evo_is_gene (v))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE,
                        "cannot be searched; only numbers, choices and flags of an input can");
  return evo_param_bind (p, e->params, v, g->folder, g->arena, error);
}

static gboolean
bind_edges (EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoMergeOp *op = merge_op (node);

  for (guint i = 0; op != NULL && i < node->n_in; i++) {
    EvoEdge *e = &node->in[i];

    e->params = g_malloc0 (MAX (op->in_params_size, 1));
    evo_param_set_defaults (op->in_params, e->params);
    evo_compat_set_defaults (node, op->in_params, e->params);
    for (const EvoParam *p = op->in_params; p != NULL && p->name != NULL; p++)
      if (!bind_edge_param (g, node, e, p, error))
        return FALSE;
  }
  return TRUE;
}

gboolean
evo_check_inputs (EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoMergeOp *op = merge_op (node);

  if (op != NULL && (op->flags & EVO_MERGE_NEEDS_BASE) && node->base.from == NULL)
    return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        op->host == EVO_HOST_LORA ? "%s needs \"base\", the model that the adapter is applied to"
                                                  : "%s needs \"base\", the model that the inputs were trained from",
                        node->plugin->name);
  return check_count (node, error) && check_repeated (node, error) && bind_edges (g, node, error);
}
