/* SPDX-License-Identifier: Apache-2.0
 * source.c - a checkpoint as a layout: the tensors its headers list, the part and layer of each.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/layout/models.h"

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
source_role (const EvoModel *model, const char *name, EvoRole *role)
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

void
evo_source_layout (EvoModel *model, const EvoNode *node)
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

gboolean
evo_source_open (EvoModels *m, const EvoNode *node, EvoModel *model, const char *path, GError **error)
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
