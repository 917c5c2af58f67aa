/* SPDX-License-Identifier: Apache-2.0
 * size.c - how large a path is as a file: exactly where it is fixed, at most where it is searched.
 */
#include "core/graph/path/evolve.h"
#include "core/graph/path/shared.h"

static guint64
bytes_of (const EvoLayoutTensor *t, const EvoDtypes *as)
{
  return (guint64) t->shape.n * evo_dtype_size (evo_layout_dtype (t, as));
}

static guint64
sum_bytes (const EvoLayout *l, const EvoDtypes *as)
{
  guint64 n = 0;

  for (guint i = 0; i < l->n; i++)
    n += bytes_of (&l->tensors[i], as);
  return n;
}

/* Those of the order of visits. */
static guint64
visits_bytes (guint hops)
{
  return hops * (sizeof (gint64) + sizeof (float));
}

static gboolean
measure_fixed (EvoModels *m, const EvoNode *node, const EvoDtypes *as, EvoPathSize *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  g_auto (EvoShared) shared = { 0 };

  if (!evo_shared_init (m, node, &shared, error))
    return FALSE;
  *out = (EvoPathSize){ shared.n, (guint) shared.layout.n_layers, shared.layout.n + 2, sum_bytes (l, as),
                         sum_bytes (&shared.layout, as) + visits_bytes (shared.n), TRUE };
  return TRUE;
}

/* Every layer of every input, each once. */
static gboolean
lay_out_all (EvoModels *m, const EvoNode *node, const gint32 *n_layers, EvoLayout *out, GError **error)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));

  for (guint e = 0; e < node->n_in; e++)
    for (gint32 l = 0; l < n_layers[e]; l++) {
      EvoPathHop hop = { e, l, 1 };

      g_array_append_val (hops, hop);
    }
  return evo_layout_hops (m, node, (const EvoPathHop *) (gconstpointer) hops->data, hops->len, out, error);
}

static gboolean
measure_searched (EvoModels *m, const EvoNode *node, const EvoDtypes *as, EvoPathSize *out, GError **error)
{
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (node, evo_models_get_n_layers (m));
  guint hops = evo_path_genes_count_hops (node, n_layers);
  guint64 largest = 0, outer = 0, all;
  EvoLayout l = { 0 };

  if (!lay_out_all (m, node, n_layers, &l, error))
    return FALSE;
  g_autofree guint64 *of_layer = g_new0 (guint64, MAX (l.n_layers, 1));
  for (guint i = 0; i < l.n; i++)
    *(l.tensors[i].role.layer < 0 ? &outer : &of_layer[l.tensors[i].role.layer]) += bytes_of (&l.tensors[i], as);
  for (gint32 i = 0; i < l.n_layers; i++)
    largest = MAX (largest, of_layer[i]);
  all = sum_bytes (&l, as);
  *out = (EvoPathSize){ hops, (guint) MIN ((gint64) hops, l.n_layers), l.n + 2, outer + hops * largest,
                         all + visits_bytes (hops), FALSE };
  out->shared = MIN (out->shared, out->plain + visits_bytes (hops)); /* no more layers than hops */
  evo_layout_clear (&l);
  return TRUE;
}

gboolean
evo_path_measure (EvoModels *m, const EvoNode *node, const EvoDtypes *as, EvoPathSize *out, GError **error)
{
  return (node->path_genes != NULL && node->path_genes->path != NULL ? measure_searched : measure_fixed) (m, node, as, out, error);
}
