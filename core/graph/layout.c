/* SPDX-License-Identifier: Apache-2.0
 * layout.c - opens the headers of all sources and works out which tensors every model node has.
 */
#include "core/graph/layout.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/lora/lora.h"
#include "core/graph/merge/merge.h"
#include "core/graph/path/evolve.h"
#include "core/graph/vocab/vocab.h"

typedef struct {
  EvoLayout layout;      /* n = 0 for nodes that are no models */
  EvoStore *store;
  EvoCheckpoint *checkpoint;
  EvoStore **aux; guint n_aux; /* merge: [n_in], each may be NULL; NULL: the operator takes none */
  EvoLora *lora;         /* model.lora: its adapter */
  const EvoModelOp *op;  /* NULL: no plugin claims it: it can be merged, not run */
} Model;

struct EvoModels {
  EvoGraph *graph;
  char *cards;
  Model *models;         /* [n_nodes] */
  gint32 *n_layers;      /* [n_nodes] */
  guint n_nodes, n_genes;
};

void
evo_layout_clear (EvoLayout *l)
{
  for (guint i = 0; i < l->n; i++) {
    g_free (l->tensors[i].shape.name);
    g_free (l->tensors[i].from);
  }
  g_clear_pointer (&l->tensors, g_free);
  g_clear_pointer (&l->layers, g_free);
  evo_layout_disinherit (l);
  l->n = 0;
}

void
evo_models_free (EvoModels *m)
{
  if (m == NULL)
    return;
  for (guint i = 0; i < m->n_nodes; i++) {
    evo_layout_clear (&m->models[i].layout);
    for (guint e = 0; m->models[i].aux != NULL && e < m->models[i].n_aux; e++)
      g_clear_pointer (&m->models[i].aux[e], evo_store_unref);
    g_free (m->models[i].aux);
    g_clear_pointer (&m->models[i].lora, evo_lora_free);
    g_clear_pointer (&m->models[i].checkpoint, evo_checkpoint_free);
    g_clear_pointer (&m->models[i].store, evo_store_unref);
  }
  g_free (m->models);
  g_free (m->n_layers);
  g_free (m->cards);
  g_free (m);
}

EvoGraph *
evo_models_get_graph (const EvoModels *m)
{
  return m->graph;
}

const EvoNode *
evo_node_model (const EvoNode *node)
{
  while (node->kind == EVO_KIND_OPTIMIZER)
    node = node->search.target;
  return node;
}

const EvoLayout *
evo_models_get_layout (const EvoModels *m, const EvoNode *node)
{
  return &m->models[node->index].layout;
}

void
evo_models_swap_layout (EvoModels *m, const EvoNode *node, EvoLayout *with)
{
  EvoLayout had = m->models[node->index].layout;

  m->models[node->index].layout = *with;
  *with = had;
}

EvoStore *
evo_models_get_store (const EvoModels *m, const EvoNode *node)
{
  return m->models[node->index].store;
}

EvoStore *
evo_models_get_aux (const EvoModels *m, const EvoNode *node, guint e)
{
  EvoStore **aux = m->models[node->index].aux;

  return aux == NULL ? NULL : aux[e];
}

const EvoLora *
evo_models_get_lora (const EvoModels *m, const EvoNode *node)
{
  return m->models[node->index].lora;
}

char *
evo_models_dup_folder (const EvoModels *m, const EvoNode *node)
{
  EvoStore *store = evo_models_get_store (m, evo_models_get_layout (m, node)->source);
  const char *path = evo_store_get_path (store);

  if (g_file_test (path, G_FILE_TEST_IS_DIR))
    return g_strdup (path);
  return evo_store_get_config (store) == NULL ? NULL : g_path_get_dirname (path);
}

guint
evo_models_get_n_genes (const EvoModels *m)
{
  return m->n_genes;
}

const gint32 *
evo_models_get_n_layers (const EvoModels *m)
{
  return m->n_layers;
}

EvoDtype
evo_layout_dtype (const EvoLayoutTensor *t, const EvoDtypes *as)
{
  return evo_dtypes_at (as, t->shape.name, &t->role, t->shape.dtype);
}

/* ------------------------------------------------------------------ sources */

/* The first whole component of a name that is a number: the layer of an architecture nobody knows. */
static gint32
layer_in_name (const char *name)
{
  for (const char *p = strchr (name, '.'); p != NULL; p = strchr (p + 1, '.')) {
    char *end;

    if (!g_ascii_isdigit (p[1]))
      continue;
    gint64 layer = g_ascii_strtoll (p + 1, &end, 10);
    if (*end == '.' && layer < 100000)
      return (gint32) layer;
  }
  return -1;
}

/* What Hugging Face calls the same in every architecture. */
static const struct { const char *pattern; EvoRoleKind kind; } common_names[] = {
  { "*.inv_freq", EVO_ROLE_BUFFER }, { "*.masked_bias", EVO_ROLE_BUFFER }, { "lm_head.weight", EVO_ROLE_HEAD },
  { "*.embed_tokens.weight", EVO_ROLE_EMBED }
};

static void
source_role (const Model *model, const char *name, EvoRole *role)
{
  *role = (EvoRole){ .kind = EVO_ROLE_OTHER, .layer = -1 };
  if (model->op != NULL && model->op->role != NULL)
    model->op->role (model->checkpoint, name, role);
  if (model->op != NULL)
    return;
  role->layer = layer_in_name (name);
  for (guint i = 0; i < G_N_ELEMENTS (common_names); i++)
    if (evo_glob_match (common_names[i].pattern, name))
      role->kind = common_names[i].kind;
}

static void
layout_source (Model *model, const EvoNode *node)
{
  EvoLayout *l = &model->layout;
  guint n = evo_store_get_n_tensors (model->store);
  gint32 deepest = -1;

  l->tensors = g_new0 (EvoLayoutTensor, MAX (n, 1));
  l->source = node;
  for (guint i = 0; i < n; i++) {
    const EvoShape *shape = evo_store_get_tensor (model->store, i);
    EvoLayoutTensor *t = &l->tensors[l->n];

    source_role (model, shape->name, &t->role);
    if (t->role.kind == EVO_ROLE_BUFFER)
      continue;
    t->shape = *shape;
    t->shape.name = g_strdup (shape->name);
    t->stored = (gint32) i;
    t->shape.dtype = evo_layout_dtype (t, &node->dtype);
    deepest = MAX (deepest, t->role.layer);
    l->n++;
  }
  evo_layout_order (l);
  l->n_layers = model->op != NULL && model->op->n_layers != NULL ? model->op->n_layers (model->checkpoint) : deepest + 1;
}

/* The path parameter of a model plugin: the member called "path". */
static const char *
node_path (const EvoNode *node)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, "path");

  return p == NULL ? NULL : *(const char *const *) ((const char *) node->params + p->offset);
}

static gboolean
open_source (EvoModels *m, const EvoNode *node, Model *model, const char *path, GError **error)
{
  const EvoModelOp *op = (const EvoModelOp *) evo_node_model (node)->plugin->op;

  if (path == NULL)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "%s: the model plugin has no \"path\"", node->name);
  model->store = evo_store_open (path, error);
  if (model->store == NULL) {
    g_prefix_error (error, "%s: ", node->name);
    return FALSE;
  }
  model->checkpoint = evo_checkpoint_new (model->store, m->cards, error);
  if (model->checkpoint == NULL)
    return FALSE;
  if (node->kind == EVO_KIND_MODEL)
    model->op = op->claim (model->checkpoint) ? op : NULL;
  return TRUE;
}

/* ------------------------------------------------------------------ genes and selectors */

static gboolean
check_selectors (const EvoLayout *l, EvoValue *const *values, guint n, GError **error)
{
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);

  for (guint p = 0; p < n; p++) {
    if (values == NULL || values[p] == NULL)
      continue;
    for (guint i = 0; i < l->n; i++) {
      EvoPlace place = { l->tensors[i].shape.name, &l->tensors[i].role, l->n_layers };

      evo_value_mark (values[p], &place, used);
    }
    if (!evo_value_check_used (values[p], used, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_dtypes (const EvoLayout *l, const EvoDtypes *d, GError **error)
{
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);

  for (guint i = 0; d->n > 0 && i < l->n; i++)
    evo_dtypes_mark (d, l->tensors[i].shape.name, &l->tensors[i].role, used);
  return evo_dtypes_check_used (d, used, error);
}

static gboolean
check_values (const EvoModels *m, const EvoNode *node, GError **error)
{
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  const EvoLayout *l = &m->models[node->index].layout;
  guint n = evo_param_count (op->params), n_in = evo_param_count (op->in_params);

  if (!check_selectors (l, node->values, n, error) || !check_selectors (l, node->in_values, n_in, error))
    return FALSE;
  for (guint e = 0; e < node->n_in; e++)
    if (!check_selectors (l, node->in[e].values, n_in, error))
      return FALSE;
  return TRUE;
}

/* All genes of a path at once, and again for each of them. */
static gboolean
bind_path (const EvoModels *m, const EvoNode *node, GError **error)
{
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (node, m->n_layers);

  return evo_path_genes_bind (node, n_layers, error);
}

static gboolean
bind_genes (EvoModels *m, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < m->n_nodes; i++) {
    EvoNode *search = evo_graph_get (m->graph, i);

    if (search->kind != EVO_KIND_OPTIMIZER)
      continue;
    for (guint j = 0; j < search->search.n_genes; j++) {
      EvoGene *gene = search->search.genes[j];

      if (!g_hash_table_add (seen, gene))
        continue;
      if (gene->of_path != NULL ? !bind_path (m, gene->of_path, error)
                                : !evo_gene_bind (gene, m->n_layers[search->search.target->index], error))
        return FALSE;
      gene->first = m->n_genes;
      m->n_genes += gene->n;
    }
  }
  return TRUE;
}

/* A point of start_from names genes, or dimensions that they have in a model of this depth. */
static gboolean
check_start (const EvoSearchSpec *s, const EvoJson *v, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *where = NULL, *tail = NULL;

  for (guint i = 0; i < s->n_genes; i++) {
    g_ptr_array_add (names, s->genes[i]->name);
    for (guint k = 0; k < s->genes[i]->n; k++)
      g_ptr_array_add (names, s->genes[i]->labels[k]);
  }
  g_ptr_array_add (names, NULL);
  if (g_str_equal (evo_json_key (v), "note") || g_strv_contains ((const char *const *) names->pdata, evo_json_key (v)))
    return TRUE;
  where = evo_json_where (v);
  tail = evo_did_you_mean (evo_json_key (v), (const char *const *) names->pdata);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "%s: there is no gene of this name%s", where, tail);
}

static gboolean
check_starts (const EvoModels *m, GError **error)
{
  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoSearchSpec *s = &evo_graph_get (m->graph, i)->search;

    for (guint p = 0; s->start_from != NULL && p < evo_json_size (s->start_from); p++)
      for (guint j = 0; j < evo_json_size (evo_json_at (s->start_from, p)); j++)
        if (!check_start (s, evo_json_at (evo_json_at (s->start_from, p), j), error))
          return FALSE;
  }
  return TRUE;
}

static double
gene_start (const EvoGene *gene, guint part)
{
  if (gene->starts != NULL)
    return gene->starts[part];
  if (!isnan (gene->start))
    return gene->start;
  if (gene->is_choice)
    return 0;
  return gene->is_log ? sqrt (gene->low * gene->high) : (gene->low + gene->high) / 2;
}

double *
evo_models_new_vector (const EvoModels *m)
{
  double *x = g_new0 (double, MAX (m->n_genes, 1));

  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *search = evo_graph_get (m->graph, i);

    for (guint j = 0; search->kind == EVO_KIND_OPTIMIZER && j < search->search.n_genes; j++) {
      const EvoGene *gene = search->search.genes[j];

      for (guint k = 0; k < gene->n; k++)
        x[gene->first + k] = gene_start (gene, k);
    }
  }
  return x;
}

/* ------------------------------------------------------------------ all nodes */

/* A search has its target's tensors, in the dtype they are saved in. */
static void
layout_search (const EvoModels *m, const EvoNode *node, EvoLayout *out)
{
  const EvoLayout *target = evo_models_get_layout (m, node->search.target);

  *out = *target;
  out->tensors = g_memdup2 (target->tensors, MAX (target->n, 1) * sizeof *out->tensors);
  out->layers = g_memdup2 (target->layers, (gsize) MAX (target->n_layers, 0) * sizeof *out->layers);
  evo_layout_inherit (out, target);
  for (guint i = 0; i < out->n; i++) {
    EvoLayoutTensor *t = &out->tensors[i];

    t->shape.name = g_strdup (t->shape.name);
    t->shape.dtype = evo_layout_dtype (t, &node->save_dtype);
    t->from = NULL;
    t->stored = -1;
  }
}

/* Tensors of a merge are those of its inputs, which a path that is still searched does not have yet. */
static gboolean
check_known (const EvoNode *node, GError **error)
{
  for (guint e = 0; node->kind == EVO_KIND_MERGE && e <= node->n_in; e++) {
    const EvoEdge *edge = e < node->n_in ? &node->in[e] : &node->base;
    g_autofree char *where = NULL;

    if (edge->from == NULL || evo_node_model (edge->from)->path_genes == NULL)
      continue;
    where = evo_json_where (edge->where);
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: the layers of \"%s\" are searched, so how many there are is known only "
                          "afterwards; merge what was found in a pipeline of its own", where, edge->from->name);
  }
  return TRUE;
}

static gboolean
layout_node (EvoModels *m, const EvoNode *node, GError **error)
{
  Model *model = &m->models[node->index];

  model->n_aux = node->n_in;
  if (!check_known (node, error))
    return FALSE;
  if (node->kind == EVO_KIND_MODEL) {
    if (!open_source (m, node, model, node_path (node), error))
      return FALSE;
    layout_source (model, node);
  } else if (node->kind == EVO_KIND_OPTIMIZER) {
    layout_search (m, node, &model->layout);
  } else if (evo_node_is_path (node)) {
    if (!evo_layout_path (m, node, &model->layout, error))
      return FALSE;
  } else if (!evo_layout_merge (m, node, &model->layout, error) || !evo_aux_open (m, node, &model->aux, error)) {
    return FALSE;
  } else if (((const EvoMergeOp *) node->plugin->op)->host == EVO_HOST_LORA) {
    model->lora = evo_lora_open (&model->layout, node, error);
    if (model->lora == NULL)
      return FALSE;
  }
  m->n_layers[node->index] = evo_models_get_layout (m, node)->n_layers;
  return check_dtypes (&model->layout, &node->dtype, error) && check_dtypes (&model->layout, &node->save_dtype, error);
}

EvoModels *
evo_models_new (EvoGraph *graph, GError **error)
{
  g_autoptr (EvoModels) m = g_new0 (EvoModels, 1);

  m->graph = graph;
  m->cards = evo_data_file ("models/cards", error);
  if (m->cards == NULL)
    return NULL;
  m->n_nodes = evo_graph_get_n_nodes (graph);
  m->models = g_new0 (Model, MAX (m->n_nodes, 1));
  m->n_layers = g_new0 (gint32, MAX (m->n_nodes, 1));
  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *node = evo_graph_get (graph, i);

    if (node->kind != EVO_KIND_EVALUATOR && !layout_node (m, node, error))
      return NULL;
  }
  if (!bind_genes (m, error) || !check_starts (m, error))
    return NULL;
  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *node = evo_graph_get (graph, i);

    if (node->kind == EVO_KIND_MERGE && (!check_values (m, node, error) || !evo_merge_check (m, node, error)))
      return NULL;
  }
  return g_steal_pointer (&m);
}

/* The plugin of the files that a model is made of, at the end of its first inputs. */
static const EvoModelOp *
model_op (const EvoModels *m, const EvoNode *node)
{
  return (const EvoModelOp *) evo_models_get_layout (m, node)->source->plugin->op;
}

/* What a path search found has the layers that it found, whatever its target was laid out as. */
static void
layout_found (EvoModels *m, const EvoNode *search)
{
  Model *model = &m->models[search->index];
  const EvoModelOp *op = model_op (m, evo_node_model (search));

  model->op = op->claim (model->checkpoint) ? op : NULL;
  evo_layout_clear (&model->layout);
  model->layout = (EvoLayout){ 0 };
  layout_source (model, search);
  m->n_layers[search->index] = model->layout.n_layers;
}

gboolean
evo_models_finish_search (EvoModels *m, const EvoNode *search, const char *path, GError **error)
{
  Model *model = &m->models[search->index];
  const EvoLayout *l = evo_models_get_layout (m, search);

  g_clear_pointer (&model->checkpoint, evo_checkpoint_free);
  g_clear_pointer (&model->store, evo_store_unref);
  if (!open_source (m, search, model, path, error))
    return FALSE;
  if (evo_node_model (search)->path_genes != NULL) {
    layout_found (m, search);
    return TRUE;
  }
  for (guint i = 0; i < l->n; i++) {
    int at = evo_store_find (model->store, l->tensors[i].shape.name);

    if (at < 0 || !evo_shape_equal (evo_store_get_tensor (model->store, (guint) at), &l->tensors[i].shape))
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED, "%s: \"%s\" is not as %s made it; remove it and resume", path,
                            l->tensors[i].shape.name, search->name);
  }
  return TRUE;
}

gboolean
evo_models_get_decoder (const EvoModels *m, const EvoNode *node, EvoDecoderSpec *spec, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  const Model *source = &m->models[l->source->index];
  EvoDecoderSpec s = { .size = sizeof s };

  if (source->op == NULL || source->op->decoder == NULL)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                          "%s: %s is no architecture that can be run (its config.json's model_type has no card); it can be merged and saved",
                          node->name, evo_store_get_path (source->store));
  if (!source->op->decoder (source->checkpoint, &s, error)) {
    g_prefix_error (error, "%s: %s: ", node->name, evo_store_get_path (source->store));
    return FALSE;
  }
  if (l->untied)
    s.tied = FALSE;
  if (l->layers != NULL)
    s.n_layers = l->n_layers;
  evo_vocab_fit_decoder (l, &s);
  *spec = s;
  return TRUE;
}
