/* SPDX-License-Identifier: Apache-2.0
 * test-host.c - merge operators as a pipeline runs them: the host's threads, slices, cuts and sums give the bits that tests/plugins/drive.c,
 * which sorts and adds one after the other, gives.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "core/graph/merge/prepared.h"
#include "core/kernels/kernels.h"
#include "core/store/output.h"
#include "tests/plugins/drive.h"

enum { N_MODELS = 4 }; /* the last is the base */

static const gint64 shapes[][4] = { { 1, 65537 }, { 0 }, { 2, 3, 5 }, { 1, 1 }, { 2, 400, 400 }, { 1, 4097 } }; /* n_dims, dims */
static char *folder;
static EvoRegistry *registry;
static float *data[N_MODELS][G_N_ELEMENTS (shapes)];
static EvoShape tensors[G_N_ELEMENTS (shapes)];

/* ------------------------------------------------------------------ models on disk */

static void
describe_tensors (void)
{
  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    tensors[t] = (EvoShape){ .name = g_strdup_printf ("t%u.weight", t), .dtype = EVO_DTYPE_F32, .n_dims = (guint) shapes[t][0] };
    memcpy (tensors[t].dims, shapes[t] + 1, tensors[t].n_dims * sizeof (gint64));
    g_assert_true (evo_shape_count (&tensors[t]));
  }
}

/* Changes are multiples of 2^-9 of at most 7 of them: very many tie at every threshold, and votes cancel. */
static void
write_model (guint m, GRand *rand)
{
  static const char *const names[N_MODELS] = { "a", "b", "c", "base" };
  g_autofree char *path = g_build_filename (folder, names[m], NULL);
  g_autoptr (EvoOutput) out = evo_output_new (path, FALSE, NULL);

  g_assert_true (evo_output_plan (out, tensors, G_N_ELEMENTS (shapes), 0, NULL));
  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    data[m][t] = g_new (float, tensors[t].n);
    for (gint64 j = 0; j < tensors[t].n; j++)
      data[m][t][j] = m == N_MODELS - 1 ? (float) g_rand_double_range (rand, -1, 1)
                                        : data[N_MODELS - 1][t][j] + 0x1p-9f * (float) g_rand_int_range (rand, -7, 8);
    g_assert_true (evo_output_write (out, t, 0, data[m][t], (gsize) tensors[t].n * sizeof (float), NULL));
  }
  g_assert_true (evo_output_commit (out, NULL));
}

static void
remove_models (void)
{
  static const char *const names[] = { "a", "b", "c", "base" };

  for (guint m = 0; m < N_MODELS; m++) {
    g_autofree char *path = g_build_filename (folder, names[m], NULL), *file = g_build_filename (path, "model.safetensors", NULL);

    g_remove (file);
    g_rmdir (path);
  }
  g_rmdir (folder);
}

/* ------------------------------------------------------------------ one merge, twice */

/* Reads a prepared tensor in pieces that cross the host's slices. */
static float *
read_tensor (EvoPrepared *p)
{
  float *out = g_new (float, MAX (p->tensor.n, 1));

  for (gint64 first = 0; first < p->tensor.n; first += 50001)
    g_assert_true (evo_prepared_read (p, 0, first, (gsize) MIN (50001, p->tensor.n - first), out + first, NULL));
  return out;
}

static Drive *
drive_like (const EvoNode *node, EvoPrepared *const *ps)
{
  Drive *d = drive_new ((const EvoMergeOp *) node->plugin->op, evo_kernels_get (), node->n_in, node->base.from != NULL);

  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    DriveTensor *to = drive_add (d, tensors[t].n_dims, tensors[t].dims);
    gsize bytes = (gsize) tensors[t].n * sizeof (float);

    for (guint i = 0; i < node->n_in; i++) {
      const char *from = node->in[i].from->name;

      memcpy (to->in[i], data[strlen (from) == 1 ? from[0] - 'a' : N_MODELS - 1][t], bytes);
      memcpy (to->in_params[i], ps[t]->in_params[i], d->op->in_params_size);
      to->seeds[i] = ps[t]->seeds[i];
    }
    if (to->base != NULL)
      memcpy (to->base, data[N_MODELS - 1][t], bytes);
    memcpy (to->params, ps[t]->params, d->op->params_size);
  }
  g_assert_true (drive_run (d, NULL));
  return d;
}

static void
run_with (EvoModels *models, const EvoNode *node, guint n_threads)
{
  g_autoptr (EvoPool) pool = evo_pool_new (n_threads);
  g_autoptr (GPtrArray) ps = g_ptr_array_new_with_free_func ((GDestroyNotify) evo_prepared_free);
  g_autoptr (Drive) d = NULL;
  g_autoptr (GError) error = NULL;
  EvoMergeContext c;

  evo_merge_context_init (&c, models, evo_kernels_get (), pool, NULL, -1, NULL);
  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    g_ptr_array_add (ps, evo_prepare (&c, node, t, &error));
    g_assert_no_error (error);
  }
  d = drive_like (node, (EvoPrepared *const *) ps->pdata);
  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    g_autofree float *out = read_tensor (ps->pdata[t]);

    g_assert_cmpstr (((EvoPrepared *) ps->pdata[t])->layout->shape.name, ==, tensors[t].name);
    g_assert_cmpmem (out, (gsize) tensors[t].n * sizeof (float), drive_get (d, t)->out, (gsize) tensors[t].n * sizeof (float));
  }
  g_ptr_array_set_size (ps, 0);
  evo_merge_context_clear (&c);
}

static void
test_operator (gconstpointer merge)
{
  g_autofree char *text = g_strdup_printf ("{\"evopipe\": 1, \"nodes\": {\"a\": {\"use\": \"model.llm\", \"path\": \"a\"}, \"b\": {\"use\": \"model.llm\","
                                           " \"path\": \"b\"}, \"c\": {\"use\": \"model.llm\", \"path\": \"c\"}, \"base\": {\"use\": \"model.llm\","
                                           " \"path\": \"base\"}, \"m\": {%s}}, \"save\": {\"m\": \"m\"}}", (const char *) merge);
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) graph = evo_graph_new_from_text (text, -1, "p.json", folder, registry, NULL, &error);
  g_autoptr (EvoModels) models = NULL;

  g_assert_no_error (error);
  models = evo_models_new (graph, &error);
  g_assert_no_error (error);
  run_with (models, evo_graph_find (graph, "m"), 1);
  run_with (models, evo_graph_find (graph, "m"), 4);
}

int
main (int argc, char **argv)
{
#define ABC "\"base\": \"base\", \"in\": [{\"from\": \"a\", \"weight\": 0.7}, {\"from\": \"b\", \"weight\": -0.4}, {\"from\": \"c\"}]"
  static const struct { const char *path, *merge; } merges[] = {
    { "/host/linear", "\"use\": \"merge.linear\", \"in\": [{\"from\": \"a\", \"weight\": 0.3}, \"b\", \"c\"]" },
    { "/host/slerp", "\"use\": \"merge.slerp\", \"t\": 0.3, \"threshold\": 1, \"in\": [\"a\", \"b\"]" },
    { "/host/cosine", "\"use\": \"merge.cosine\", \"alpha\": 0.3, \"in\": [\"a\", \"b\"]" },
    { "/host/cosine-b", "\"use\": \"merge.cosine\", \"alpha\": [0.1, 0.6], \"similarity\": \"b\", \"in\": [\"a\", \"base\"]" },
    { "/host/cosine-given", "\"use\": \"merge.cosine\", \"alpha\": 0.3, \"range\": \"given\", \"in\": [\"a\", \"b\"]" },
    { "/host/crossover", "\"use\": \"merge.crossover\", \"t\": 0.3, \"split\": 0.62, \"in\": [\"a\", \"base\"]" },
    { "/host/task-arithmetic", "\"use\": \"merge.task-arithmetic\", \"lambda\": 0.9, " ABC },
    { "/host/ties", "\"use\": \"merge.ties\", \"density\": 0.37, " ABC },
    { "/host/ties-tensor", "\"use\": \"merge.ties\", \"density\": 0.37, \"scope\": \"tensor\", \"rescale\": \"l1\", \"vote\": \"weighted\", " ABC },
    { "/host/ties-model-l1", "\"use\": \"merge.ties\", \"density\": 0.8, \"rescale\": \"l1\", " ABC },
    { "/host/dare-linear", "\"use\": \"merge.dare-linear\", \"density\": 0.4, " ABC },
    { "/host/dare-linear-l1", "\"use\": \"merge.dare-linear\", \"density\": 0.4, \"rescale\": \"l1\", " ABC },
    { "/host/dare-ties", "\"use\": \"merge.dare-ties\", \"density\": 0.4, " ABC },
    { "/host/breadcrumbs", "\"use\": \"merge.breadcrumbs\", \"density\": 0.4, \"gamma\": 0.2, \"rescale\": \"l1\", " ABC },
    { "/host/breadcrumbs-ties", "\"use\": \"merge.breadcrumbs-ties\", \"density\": 0.4, \"gamma\": 0.2, " ABC },
    { "/host/della", "\"use\": \"merge.della\", \"density\": 0.4, \"epsilon\": 0.3, " ABC },
    { "/host/della-l1", "\"use\": \"merge.della\", \"density\": 0.4, \"rescale\": \"l1\", " ABC },
    { "/host/della-linear", "\"use\": \"merge.della-linear\", \"density\": 0.4, \"rescale\": \"l1\", " ABC },
    { "/host/consensus-ta", "\"use\": \"merge.consensus-ta\", " ABC },
    { "/host/consensus-ties", "\"use\": \"merge.consensus-ties\", \"density\": 0.37, " ABC },
    { "/host/sce", "\"use\": \"merge.sce\", \"select_topk\": 0.3, \"base\": \"base\", \"in\": [\"a\", \"b\", \"c\"]" },
    { "/host/ramplus-tl", "\"use\": \"merge.ramplus-tl\", \"epsilon\": 0.004, \"base\": \"base\", \"in\": [\"a\", \"b\", \"c\"]" },
    { "/host/ramplus-tl-tensor", "\"use\": \"merge.ramplus-tl\", \"epsilon\": 0.004, \"scope\": \"tensor\", \"base\": \"base\", \"in\": [\"a\", \"b\"]" },
    { "/host/svd-truncate", "\"use\": \"merge.svd-truncate\", \"largest\": 1000, \"rank\": 0.4, " ABC },
    { "/host/iso-cts", "\"use\": \"merge.iso-cts\", \"largest\": 399, " ABC },
    { "/host/top-k-sum", "\"use\": \"merge.top-k-sum\", \"width\": 0.6, \"offset\": 0.7, \"in\": [\"a\", \"b\"]" },
  };
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  int status;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("evo-host-XXXXXX", NULL);
  registry = evo_registry_new ();
  describe_tensors ();
  for (guint m = N_MODELS; m-- > 0;)
    write_model (m, rand);
  for (guint i = 0; i < G_N_ELEMENTS (merges); i++)
    g_test_add_data_func (merges[i].path, merges[i].merge, test_operator);
  status = g_test_run ();
  remove_models ();
  evo_registry_free (registry);
  for (guint t = 0; t < G_N_ELEMENTS (shapes); t++) {
    for (guint m = 0; m < N_MODELS; m++)
      g_free (data[m][t]);
    g_free (tensors[t].name);
  }
  g_free (folder);
  return status;
}
