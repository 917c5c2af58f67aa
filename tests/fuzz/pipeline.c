/* SPDX-License-Identifier: Apache-2.0
 * pipeline.c - whatever bytes come, a pipeline is refused in one line, or written again it is the same, and so are the recipes of its models.
 *
 * What follows a NUL byte is a --set argument.
 */
#include "tests/fuzz/driver.h"

#include "core/base/error.h"
#include "core/graph/graph.h"

enum { N_LAYERS = 5 };

static gsize n_good, n_bad, n_recipes;
static EvoRegistry *registry;

static void
check_message (const GError *error)
{
  int code = evo_error_exit_code (error);

  g_assert_true (code == 2 || code == 3);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (strpbrk (error->message, "\n\r"));
}

static EvoGraph *
read_again (const char *text)
{
  g_autoptr (GError) error = NULL;
  EvoGraph *g = evo_graph_new_from_text (text, -1, "again", "/other", registry, NULL, &error);

  if (g == NULL)
    fprintf (stderr, "%s", text);
  g_assert_no_error (error);
  return g;
}

static void
check_same (EvoGraph *g)
{
  g_autofree char *json = evo_graph_to_json (g), *twice = NULL;
  g_autoptr (EvoGraph) again = read_again (json);
  g_auto (GStrv) a = evo_graph_identity (g), b = evo_graph_identity (again);

  twice = evo_graph_to_json (again);
  g_assert_cmpstr (json, ==, twice);
  g_assert_true (g_strv_equal ((const char *const *) a, (const char *const *) b));
}

/* Numbers the genes as layout.c does, each at its start; FALSE: one does not fit that many layers. */
static gboolean
bind_genes (EvoGraph *g, GArray *x)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++) {
    const EvoSearchSpec *s = &evo_graph_get (g, i)->search;

    for (guint j = 0; j < s->n_genes; j++) {
      EvoGene *gene = s->genes[j];
      double v = gene->is_choice ? 0 : gene->low;

      if (gene->n > 0)
        continue;
      if (!evo_gene_bind (gene, N_LAYERS, NULL))
        return FALSE;
      gene->first = x->len;
      for (guint k = 0; k < gene->n; k++)
        g_array_append_val (x, v);
    }
  }
  return TRUE;
}

static char *
search_path (gpointer data, const EvoNode *search)
{
  return g_strconcat ("/run/", search->name, NULL);
}

static void
check_recipe (EvoGraph *g, const EvoNode *node, const double *x)
{
  gint32 n_layers[1000];
  g_autofree char *recipe = NULL, *twice = NULL;
  g_autoptr (EvoGraph) again = NULL;
  const EvoNode *target = node->kind == EVO_KIND_OPTIMIZER ? node->search.target : node;

  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++)
    n_layers[i] = N_LAYERS;
  recipe = evo_graph_to_recipe (g, node, x, 3, search_path, NULL, n_layers);
  again = read_again (recipe);
  twice = evo_graph_to_recipe (again, evo_graph_find (again, target->name), NULL, 3, search_path, NULL, n_layers);
  g_assert_nonnull (strstr (twice, target->name));
  n_recipes++;
}

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autofree char *text = g_strndup ((const char *) data, n), *set = NULL;
  gsize length = strlen (text);
  const char *sets[] = { NULL, NULL };
  EvoGraphOptions options = { sets, FALSE, 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) x = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (EvoGraph) g = NULL;

  if (registry == NULL)
    registry = evo_registry_new ();
  if (length < n)
    sets[0] = set = g_strndup ((const char *) data + length + 1, n - length - 1);
  g = evo_graph_new_from_text (text, (gssize) length, "fuzz", "/here", registry, &options, &error);
  if (g == NULL) {
    n_bad++;
    check_message (error);
    return 0;
  }
  n_good++;
  g_assert_no_error (error);
  check_same (g);
  if (!bind_genes (g, x))
    return 0;
  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++)
    if (evo_graph_get (g, i)->kind != EVO_KIND_EVALUATOR)
      check_recipe (g, evo_graph_get (g, i), (const double *) x->data);
  return 0;
}

static void __attribute__ ((destructor))
say (void)
{
  evo_registry_free (registry);
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused, %" G_GSIZE_FORMAT " recipes\n", n_good, n_bad, n_recipes);
}
