/* SPDX-License-Identifier: Apache-2.0
 * selectors.c - the check that every selector of a node matches a tensor of its layout.
 */
#include "core/graph/layout/models.h"

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

gboolean
evo_layout_check_dtypes (const EvoLayout *l, const EvoDtypes *d, GError **error)
{
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);

  for (guint i = 0; d->n > 0 && i < l->n; i++)
    evo_dtypes_mark (d, l->tensors[i].shape.name, &l->tensors[i].role, used);
  return evo_dtypes_check_used (d, used, error);
}

gboolean
evo_layout_check_values (const EvoModels *m, const EvoNode *node, GError **error)
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
