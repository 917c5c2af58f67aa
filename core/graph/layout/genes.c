/* SPDX-License-Identifier: Apache-2.0
 * genes.c - the genes of a graph whose models are known: their places in one vector, and where the searches begin.
 */
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/layout/models.h"
#include "core/graph/path/evolve.h"

/* All genes of a path at once, and again for each of them. */
static gboolean
bind_path (const EvoModels *m, const EvoNode *node, GError **error)
{
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (node, m->n_layers);

  return evo_path_genes_bind (node, n_layers, error);
}

gboolean
evo_models_bind_genes (EvoModels *m, GError **error)
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
  g_autofree char *tail = NULL;

  for (guint i = 0; i < s->n_genes; i++) {
    g_ptr_array_add (names, s->genes[i]->name);
    for (guint k = 0; k < s->genes[i]->n; k++)
      g_ptr_array_add (names, s->genes[i]->labels[k]);
  }
  g_ptr_array_add (names, NULL);
  if (g_str_equal (evo_json_key (v), "note") || g_strv_contains ((const char *const *) names->pdata, evo_json_key (v)))
    return TRUE;
  tail = evo_did_you_mean (evo_json_key (v), (const char *const *) names->pdata);
  return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no gene of this name%s", tail);
}

gboolean
evo_models_check_starts (const EvoModels *m, GError **error)
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

double *
evo_models_new_vector (const EvoModels *m)
{
  double *x = g_new0 (double, MAX (m->n_genes, 1));

  for (guint i = 0; i < m->n_nodes; i++) {
    const EvoNode *search = evo_graph_get (m->graph, i);

    for (guint j = 0; search->kind == EVO_KIND_OPTIMIZER && j < search->search.n_genes; j++) {
      const EvoGene *gene = search->search.genes[j];

      for (guint k = 0; k < gene->n; k++)
        x[gene->first + k] = evo_gene_start (gene, k);
    }
  }
  return x;
}
