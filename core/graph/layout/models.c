/* SPDX-License-Identifier: Apache-2.0
 * models.c - the models of a graph: laid out node after node, and what is asked of them.
 */
#include "core/graph/layout/models.h"

#include "core/base/error.h"
#include "core/graph/lora/lora.h"
#include "core/graph/merge/merge.h"
#include "core/graph/path/path.h"
#include "core/graph/vocab/vocab.h"

/* The path parameter of a model plugin: the member called "path". */
static const char *
node_path (const EvoNode *node)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, "path");

  return p == NULL ? NULL : *(const char *const *) ((const char *) node->params + p->offset);
}

/* Tensors of a merge are those of its inputs, which a path that is still searched does not have yet. */
static gboolean
check_known (const EvoNode *node, GError **error)
{
  for (guint e = 0; node->kind == EVO_KIND_MERGE && e <= node->n_in; e++) {
    const EvoEdge *edge = e < node->n_in ? &node->in[e] : &node->base;

    if (edge->from != NULL && evo_node_model (edge->from)->path_genes != NULL)
      return evo_fail_at (error, edge->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "the layers of \"%s\" are searched, so how many there are is known "
                          "only afterwards; merge what was found in a pipeline of its own", edge->from->name);
  }
  return TRUE;
}

static gboolean
layout_node (EvoModels *m, const EvoNode *node, GError **error)
{
  EvoModel *model = &m->models[node->index];

  model->n_aux = node->n_in;
  if (!check_known (node, error))
    return FALSE;
  if (node->kind == EVO_KIND_MODEL) {
    if (!evo_source_open (m, node, model, node_path (node), error))
      return FALSE;
    evo_source_layout (model, node);
  } else if (node->kind == EVO_KIND_OPTIMIZER) {
    evo_search_layout (m, node, &model->layout);
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
  return evo_layout_check_dtypes (&model->layout, &node->dtype, error) && evo_layout_check_dtypes (&model->layout, &node->save_dtype, error);
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
  m->models = g_new0 (EvoModel, MAX (m->n_nodes, 1));
  m->n_layers = g_new0 (gint32, MAX (m->n_nodes, 1));
  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *node = evo_graph_get (graph, i);

    if (node->kind != EVO_KIND_EVALUATOR && !layout_node (m, node, error))
      return NULL;
  }
  if (!evo_models_bind_genes (m, error) || !evo_models_check_starts (m, error))
    return NULL;
  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *node = evo_graph_get (graph, i);

    if (node->kind == EVO_KIND_MERGE && (!evo_layout_check_values (m, node, error) || !evo_merge_check (m, node, error)))
      return NULL;
  }
  return g_steal_pointer (&m);
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

/* ------------------------------------------------------------------ what is known of a node */

const EvoNode *
evo_node_model (const EvoNode *node)
{
  while (node->kind == EVO_KIND_OPTIMIZER)
    node = node->search.target;
  return node;
}

EvoGraph *
evo_models_get_graph (const EvoModels *m)
{
  return m->graph;
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

gboolean
evo_models_get_decoder (const EvoModels *m, const EvoNode *node, EvoDecoderSpec *spec, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  const EvoModel *source = &m->models[l->source->index];
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
