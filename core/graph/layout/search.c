/* SPDX-License-Identifier: Apache-2.0
 * search.c - the layout of a search: its target's, until what it found has been saved and is read from there.
 */
#include "core/base/error.h"
#include "core/graph/layout/models.h"
#include "core/graph/vocab/vocab.h"

void
evo_search_layout (const EvoModels *m, const EvoNode *node, EvoLayout *out)
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
  EvoModel *model = &m->models[search->index];
  const EvoModelOp *op = model_op (m, evo_node_model (search));

  model->op = op->claim (model->checkpoint) ? op : NULL;
  evo_layout_clear (&model->layout);
  model->layout = (EvoLayout){ 0 };
  evo_source_layout (model, search);
  m->n_layers[search->index] = model->layout.n_layers;
}

gboolean
evo_models_finish_search (EvoModels *m, const EvoNode *search, const char *path, GError **error)
{
  EvoModel *model = &m->models[search->index];
  const EvoLayout *l = evo_models_get_layout (m, search);

  g_clear_pointer (&model->checkpoint, evo_checkpoint_free);
  g_clear_pointer (&model->store, evo_store_unref);
  if (!evo_source_open (m, search, model, path, error))
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
