/* SPDX-License-Identifier: Apache-2.0
 * nodes.c - the nodes of a pipeline: names and plugins first, so that edges can name any of them; then every key.
 */
#include <string.h>

#include "core/base/random.h"
#include "core/base/text.h"
#include "core/graph/path/path.h"
#include "core/graph/read/read.h"
#include "core/graph/vocab/vocab.h"

const char evo_model_or_search[] = "a model, a merge or a search";

static void
edge_clear (EvoEdge *e)
{
  g_free (e->values);
  g_free (e->params);
}

void
evo_node_free (EvoNode *node)
{
  if (node == NULL)
    return;
  for (guint i = 0; i < node->n_in; i++)
    edge_clear (&node->in[i]);
  edge_clear (&node->base);
  g_free (node->name);
  g_free (node->in);
  g_free (node->values);
  g_free (node->in_values);
  g_free (node->params);
  evo_vocab_spec_free (node->vocab);
  g_free (node->search.objectives);
  g_free (node->search.genes);
  g_free (node->search.merges);
  g_free (node->path_genes);
  g_free (node);
}

/* ------------------------------------------------------------------ names of nodes */

char **
evo_node_names (const EvoGraph *g)
{
  char **names = g_new0 (char *, g->nodes->len + 1);

  for (guint i = 0; i < g->nodes->len; i++)
    names[i] = g_strdup (((const EvoNode *) g->nodes->pdata[i])->name);
  return names;
}

EvoNode *
evo_read_node (const EvoGraph *g, const EvoJson *v, guint kinds, const char *what, GError **error)
{
  const char *name;
  EvoNode *node;

  if (!evo_read_text (v, &name, error))
    return NULL;
  node = g_hash_table_lookup (g->by_name, name);
  if (node == NULL) {
    g_auto (GStrv) names = evo_node_names (g);
    g_autofree char *hint = evo_names_hint (name, (const char *const *) names), *quoted = evo_json_quoted (name);

    evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no node %s%s", quoted, hint);
    return NULL;
  }
  if (kinds >> node->kind & 1)
    return node;
  evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "\"%s\" is %s (%s); needs %s", name,
               node->kind == EVO_KIND_OPTIMIZER ? "a search" : node->kind == EVO_KIND_EVALUATOR ? "an evaluator" : "a model",
               node->plugin->name, what);
  return NULL;
}

/* ------------------------------------------------------------------ first pass */

static gboolean
find_plugin (EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoJson *use = evo_json_member (node->where, "use");
  const char *name;

  if (use == NULL)
    return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                        "needs \"use\", the plugin: \"merge.linear\", \"model.llm\"");
  if (!evo_read_text (use, &name, error))
    return FALSE;
  node->plugin = evo_registry_find (g->registry, name, error);
  if (node->plugin == NULL) {
    g_autofree char *where = evo_json_where (use);

    g_prefix_error (error, "%s: ", where);
    return FALSE;
  }
  node->kind = node->plugin->kind;
  return TRUE;
}

static gboolean
add_node (EvoGraph *g, const EvoJson *v, GError **error)
{
  const char *name = evo_json_key (v);
  EvoNode *node;

  if (!evo_is_plain_name (name)) {
    g_autofree char *quoted = evo_json_quoted (name);

    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                        "%s cannot be a node's name; it needs 1 to 100 letters, digits, - and _",
                        quoted);
  }
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "a node needs an object, not %s",
                        evo_json_kind_name (evo_json_kind (v)));
  node = g_new0 (EvoNode, 1);
  node->name = g_strdup (name);
  node->where = v;
  g_ptr_array_add (g->nodes, node);
  g_hash_table_insert (g->by_name, node->name, node);
  return find_plugin (g, node, error);
}

/* ------------------------------------------------------------------ keys of any node */

static gboolean
read_base_seed (const EvoNode *node, guint64 *seed, GError **error)
{
  const EvoJson *v = evo_json_member (node->where, "seed");
  gint64 x;

  if (v == NULL)
    return TRUE;
  if (!evo_read_whole (v, 0, &x, error))
    return FALSE;
  *seed = (guint64) x;
  return TRUE;
}

static gboolean
skip (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  return TRUE; /* read before: use, seed, compat */
}

static gboolean
read_note (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  return evo_read_note (v, error);
}

static gboolean
read_allow_nonfinite (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  return evo_read_flag (v, &node->allow_nonfinite, error);
}

static gboolean
read_dtype (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  return evo_read_dtypes (g, v, &node->dtype, error);
}

/* "common", "trial", or {"trial": N}: a recipe's, which repeats the masks that trial N had. prepare.c mixes N + 1 into the stream. */
static gboolean
read_masks (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  static const char *const names[] = { "common", "trial", NULL };
  static const char *const keys[] = { "trial", NULL };
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  const EvoJson *trial = evo_json_member (v, "trial");
  guint32 which = 0;
  gint64 n;

  if (!(op->flags & EVO_MERGE_RANDOM))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "%s draws no masks; leave \"masks\" out", node->plugin->name);
  if (evo_json_kind (v) != EVO_JSON_OBJECT) {
    if (!evo_read_one_of (v, names, &which, error))
      return FALSE;
    node->masks_per_trial = which == 1;
    return TRUE;
  }
  if (!evo_read_object (v, keys, error))
    return FALSE;
  if (trial == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"trial\", the trial whose masks are repeated");
  if (!evo_read_whole (trial, 0, &n, error))
    return FALSE;
  node->stream = evo_random_mix (node->stream, (guint64) n + 1);
  return TRUE;
}

typedef gboolean (*ReadKey) (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error);

enum {
  ANY = ~0, MODELS = 1 << EVO_KIND_MODEL, MERGES = 1 << EVO_KIND_MERGE, SEARCHES = 1 << EVO_KIND_OPTIMIZER,
  EVALUATORS = 1 << EVO_KIND_EVALUATOR
};

/* What the host reads for a kind of node; all else are its plugin's parameters. */
static const struct { const char *key; gint kinds; ReadKey read; } host_keys[] = {
  { "use", ANY, skip }, { "seed", ANY, skip }, { "note", ANY, read_note }, { "dtype", MODELS | MERGES, read_dtype },
  { "compat", MERGES, skip }, { "allow_nonfinite", MODELS, read_allow_nonfinite }, { "base", MERGES, evo_read_base }, { "in", MERGES | EVALUATORS, evo_read_in }, { "masks", MERGES, read_masks },
  { "tokenizer", MERGES, skip }, { "chat_template", MERGES, skip },
  { "maximize", SEARCHES, evo_read_search_key }, { "minimize", SEARCHES, evo_read_search_key }, { "trials", SEARCHES, evo_read_search_key },
  { "minutes", SEARCHES, evo_read_search_key }, { "stall", SEARCHES, evo_read_search_key }, { "start_from", SEARCHES, evo_read_search_key },
  { "sample", SEARCHES, evo_read_search_key }, { "validate", SEARCHES, evo_read_search_key },
  { "data", EVALUATORS, evo_read_evaluator_key }, { "format", EVALUATORS, evo_read_evaluator_key },
  { "columns", EVALUATORS, evo_read_evaluator_key }, { "template", EVALUATORS, evo_read_evaluator_key },
  { "shuffle", EVALUATORS, evo_read_evaluator_key }, { "sample", EVALUATORS, evo_read_evaluator_key },
  { "skip", EVALUATORS, evo_read_evaluator_key }, { "limit", EVALUATORS, evo_read_evaluator_key }, { "language_test", EVALUATORS, evo_read_evaluator_key },
  { "against", EVALUATORS, evo_read_evaluator_key },
};

static ReadKey
find_host_key (EvoKind kind, const char *key)
{
  for (guint i = 0; i < G_N_ELEMENTS (host_keys); i++)
    if ((host_keys[i].kinds >> kind & 1) && g_str_equal (host_keys[i].key, key))
      return host_keys[i].read;
  return NULL;
}

static const EvoParam *
in_params_of (const EvoNode *node)
{
  return node->kind == EVO_KIND_MERGE ? ((const EvoMergeOp *) node->plugin->op)->in_params : NULL;
}

static gboolean
unknown_key (const EvoNode *node, const EvoJson *v, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *hint = NULL, *quoted = evo_json_quoted (evo_json_key (v));

  for (const EvoParam *p = in_params_of (node); p != NULL && p->name != NULL; p++)
    g_ptr_array_add (names, (gpointer) p->name);
  for (const EvoParam *p = node->plugin->op->params; p != NULL && p->name != NULL; p++)
    g_ptr_array_add (names, (gpointer) p->name);
  for (guint i = 0; i < G_N_ELEMENTS (host_keys); i++)
    if (host_keys[i].kinds >> node->kind & 1)
      g_ptr_array_add (names, (gpointer) host_keys[i].key);
  g_ptr_array_add (names, NULL);
  hint = evo_names_hint (evo_json_key (v), (const char *const *) names->pdata);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "%s has no parameter %s%s", node->plugin->name, quoted, hint);
}

/* ------------------------------------------------------------------ parameters of the plugin */

/* Differs by tensor, and may be searched: not so where the host makes a model of whole layers. */
static gboolean
is_by_tensor (const EvoNode *node, const EvoParam *p)
{
  return node->kind == EVO_KIND_MERGE && evo_param_is_numeric (p) && !evo_node_is_path (node);
}

static gboolean
read_param (EvoGraph *g, EvoNode *node, const EvoParam *p, const EvoJson *v, GError **error)
{
  g_autofree char *name = g_strconcat (node->name, ".", p->name, NULL);
  EvoValue **slot;

  if (!is_by_tensor (node, p)) {
    if (evo_node_is_path (node) && evo_is_gene (v) && !evo_param_is_numeric (p))
      return TRUE; /* with the inputs: evo_read_path_genes */
    if (evo_is_gene (v))
      return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE,
                          "cannot be searched; only numbers, choices and flags of merge nodes can");
    return evo_param_bind (p, node->params, v, g->folder, g->arena, error);
  }
  slot = &node->values[p - node->plugin->op->params];
  *slot = evo_read_value (g, node, p, name, v, error);
  if (*slot != NULL && (*slot)->kind == EVO_VALUE_SCALAR)
    evo_param_set_scalar (p, node->params, (*slot)->scalar);
  return *slot != NULL;
}

/* Of every input: numbers now, other types when the edges are there (evo_check_inputs). */
static gboolean
read_in_param (EvoGraph *g, EvoNode *node, const EvoParam *p, const EvoJson *v, GError **error)
{
  g_autofree char *name = g_strconcat (node->name, ".", p->name, NULL);

  if (!evo_param_is_numeric (p))
    return TRUE;
  node->in_values[p - in_params_of (node)] = evo_read_value (g, node, p, name, v, error);
  return node->in_values[p - in_params_of (node)] != NULL;
}

static gboolean
check_required (const EvoNode *node, GError **error)
{
  for (const EvoParam *p = node->plugin->op->params; p != NULL && p->name != NULL; p++)
    if ((p->flags & EVO_PARAM_REQUIRED) && evo_json_member (node->where, p->name) == NULL)
      return evo_fail_at (error, node->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "%s needs \"%s\"", node->plugin->name, p->name);
  return TRUE;
}

/* ------------------------------------------------------------------ second pass */

static gboolean
read_member (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  const char *key = evo_json_key (v);
  ReadKey read = find_host_key (node->kind, key);
  const EvoParam *p;

  if (read != NULL)
    return read (g, node, v, error);
  p = evo_param_find (node->plugin->op->params, key);
  if (p != NULL)
    return read_param (g, node, p, v, error);
  p = evo_param_find (in_params_of (node), key);
  return p != NULL ? read_in_param (g, node, p, v, error) : unknown_key (node, v, error);
}

static void
allocate (EvoNode *node)
{
  const EvoOp *op = node->plugin->op;

  node->params = g_malloc0 (MAX (op->params_size, 1));
  evo_param_set_defaults (op->params, node->params);
  evo_compat_set_defaults (node, op->params, node->params);
  if (node->kind != EVO_KIND_MERGE)
    return;
  node->values = g_new0 (EvoValue *, evo_param_count (op->params) + 1);
  node->in_values = g_new0 (EvoValue *, evo_param_count (in_params_of (node)) + 1);
}

static gboolean
check_node (EvoGraph *g, EvoNode *node, GError **error)
{
  if (!check_required (node, error))
    return FALSE;
  if (node->kind == EVO_KIND_MERGE || node->kind == EVO_KIND_EVALUATOR)
    return evo_check_inputs (g, node, error) && (node->kind == EVO_KIND_MERGE ? evo_read_path_genes (g, node, error) && evo_read_vocab (g, node, error) : evo_check_evaluator (node, error));
  return TRUE;
}

static gboolean
read_node (EvoGraph *g, EvoNode *node, GError **error)
{
  guint64 seed = g->seed;

  if (!read_base_seed (node, &seed, error) || !evo_read_compat (g, node, error))
    return FALSE;
  node->stream = evo_random_mix_text (seed, node->name);
  allocate (node);
  for (guint i = 0; i < evo_json_size (node->where); i++)
    if (!read_member (g, node, evo_json_at (node->where, i), error))
      return FALSE;
  return check_node (g, node, error);
}

gboolean
evo_read_nodes (EvoGraph *g, const EvoJson *nodes, GError **error)
{
  if (evo_json_kind (nodes) != EVO_JSON_OBJECT)
    return evo_fail_at (error, nodes, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs an object of nodes by name, not %s",
                        evo_json_kind_name (evo_json_kind (nodes)));
  if (evo_json_size (nodes) == 0 || evo_json_size (nodes) > EVO_MAX_NODES)
    return evo_fail_at (error, nodes, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                        "has %u nodes; needs 1 to %d", evo_json_size (nodes), EVO_MAX_NODES);
  for (guint i = 0; i < evo_json_size (nodes); i++)
    if (!add_node (g, evo_json_at (nodes, i), error))
      return FALSE;
  for (guint i = 0; i < g->nodes->len; i++)
    if (!read_node (g, g->nodes->pdata[i], error))
      return FALSE;
  return TRUE;
}
