/* SPDX-License-Identifier: Apache-2.0
 * plan.c - what can be said of a pipeline before a weight is read: genes, stages, bounds of memory and disk.
 */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/graph/lora/lora.h"
#include "core/graph/path/shared.h"
#include "core/graph/save.h"
#include "core/nn/text-model.h"
#include "core/search/results/export-error.h"
#include "core/search/resident.h"

/* Of the files of tensors that the inputs of a merge name, or of its adapter. */
static guint64
aux_bytes (const EvoOpened *o, const EvoNode *node)
{
  guint64 bytes = 0;

  for (guint e = 0; node->kind == EVO_KIND_MERGE && e < node->n_in; e++) {
    EvoStore *aux = evo_models_get_aux (o->models, node, e);

    bytes += aux == NULL ? 0 : evo_store_get_bytes (aux);
  }
  if (node->kind == EVO_KIND_MERGE && evo_models_get_lora (o->models, node) != NULL)
    bytes += evo_store_get_bytes (evo_lora_get_store (evo_models_get_lora (o->models, node)));
  return bytes;
}

static guint64
layout_bytes (const EvoLayout *l)
{
  guint64 n = 0;

  for (guint i = 0; i < l->n; i++)
    n += evo_shape_bytes (&l->tensors[i].shape);
  return n;
}

/* Both forms that a layer path can be saved in. */
static void
print_forms (const EvoOpened *o, const EvoNode *node)
{
  EvoPathSize size;
  const char *most;
  g_autofree char *plain = NULL, *shared = NULL;

  if (!evo_node_is_path (node) || !evo_path_measure (o->models, node, NULL, &size, NULL))
    return;
  most = size.is_exact ? "" : "at most ";
  plain = evo_size_text (size.plain);
  shared = evo_size_text (size.shared);
  printf ("  %-16s plain: %s%u layers, one a hop, %s; in the compact form (\"layout\": \"shared\"): %s%u layers, %s\n", "", most, size.hops, plain,
          most, size.layers, shared);
}

static void
print_models (const EvoOpened *o)
{
  guint64 sources = 0;

  printf ("models\n");
  for (guint i = 0; i < evo_graph_get_n_nodes (o->graph); i++) {
    const EvoNode *node = evo_graph_get (o->graph, i);
    const EvoLayout *l;
    g_autofree char *bytes = NULL;

    if (node->kind != EVO_KIND_MODEL && node->kind != EVO_KIND_MERGE)
      continue;
    l = evo_models_get_layout (o->models, node);
    bytes = evo_size_text (layout_bytes (l));
    printf ("  %-16s %-21s %4u tensors, %d layers, %.4g M parameters, %s\n", node->name, node->plugin->name, l->n, l->n_layers,
            (double) l->n_elements / 1e6, bytes);
    print_forms (o, node);
    if (node->kind == EVO_KIND_MODEL)
      sources += evo_store_get_bytes (evo_models_get_store (o->models, node));
    sources += aux_bytes (o, node);
  }
  guint64 ram = (guint64) sysconf (_SC_PHYS_PAGES) * (guint64) sysconf (_SC_PAGESIZE);
  if (sources > ram) {
    g_autofree char *a = evo_size_text (sources), *b = evo_size_text (ram);

    printf ("  warning: the sources (%s) exceed this machine's memory (%s): they will be read from disk again and again\n", a, b);
  }
}

static void
print_gene (const EvoGene *g)
{
  static const char *const per[] = { "", " by layer", " by groups of layers", " at control points", " by selector", " by position" };

  printf ("    %-34s %3u gene%s%s: ", g->name, g->n, g->n == 1 ? "" : "s", per[g->per]);
  if (g->is_choice)
    printf ("one of %u choices", g->n_choices);
  else if (!isfinite (g->low))
    printf ("without bounds");
  else
    printf ("%g … %g%s%s", g->low, g->high, g->is_log ? ", by its logarithm" : "", g->is_int ? ", whole" : "");
  printf ("%s%s\n", g->simplex == NULL ? "" : ", simplex ", g->simplex == NULL ? "" : g->simplex);
}

static void
print_search (const EvoNode *node)
{
  const EvoSearchSpec *s = &node->search;
  guint n = 0;

  for (guint i = 0; i < s->n_genes; i++)
    n += s->genes[i]->n;
  printf ("search %s (%s): %u dimensions, ", node->name, node->plugin->name, n);
  if (s->trials > 0)
    printf ("%" G_GINT64_FORMAT " trials", s->trials);
  if (s->minutes > 0)
    printf ("%sat most %g minutes", s->trials > 0 ? ", " : "", s->minutes);
  printf (", searches %s\n", s->target->name);
  for (guint i = 0; i < s->n_objectives; i++)
    printf ("  %s %s (weight %g)\n", s->objectives[i].weight < 0 ? "minimize" : "maximize", s->objectives[i].evaluator->name,
            fabs (s->objectives[i].weight));
  for (guint i = 0; i < s->n_genes; i++)
    print_gene (s->genes[i]);
}

static guint64
largest_tensor (const EvoLayout *l)
{
  guint64 largest = 0;

  for (guint i = 0; i < l->n; i++)
    largest = MAX (largest, evo_shape_bytes (&l->tensors[i].shape));
  return largest;
}

/* Weights, caches and activations of a model that runs. is_search: the candidates of a search; else what it found. */
static guint64
running_bytes (const EvoOpened *o, const EvoNode *node, EvoDecoderSpec *spec, gboolean is_search)
{
  const EvoNode *model = evo_node_model (node);
  const EvoLayout *l = evo_models_get_layout (o->models, node);
  EvoDtype dtype = l->n > 0 ? l->tensors[0].shape.dtype : EVO_DTYPE_BF16;
  gint64 n_held = 0;
  EvoPathSize size;

  if (!evo_node_is_path (model) || (model->path_genes == NULL && node->save_layout == EVO_SAVE_PLAIN) ||
      !evo_path_measure (o->models, model, NULL, &size, NULL))
    return evo_text_model_estimate_bytes (spec, dtype, 0);
  for (guint e = 0; e < model->n_in; e++)
    n_held += evo_models_get_n_layers (o->models)[model->in[e].from->index];
  guint64 prefix = is_search ? evo_resident_prefix_bytes (spec, (gsize) n_held) : 0;
  spec->n_layers = size.hops;
  if (!is_search)
    n_held = node->save_layout == EVO_SAVE_SHARED ? size.layers : size.hops;
  return prefix + evo_text_model_estimate_path_bytes (spec, (gsize) n_held, dtype, 0);
}

typedef enum { RUNS_NOT, RUNS, RUNS_CANDIDATES } Runs;

/* Most bytes that one process holds for itself while it works on `node`: packed weights, caches, slices. */
static guint64
bound_of (const EvoOpened *o, const EvoNode *node, guint threads, Runs runs)
{
  guint64 bytes = evo_merge_bound (o->models, evo_node_model (node), threads);
  EvoDecoderSpec spec;

  if (runs != RUNS_NOT && evo_models_get_decoder (o->models, node, &spec, NULL))
    bytes += largest_tensor (evo_models_get_layout (o->models, node)) + running_bytes (o, node, &spec, runs == RUNS_CANDIDATES);
  return bytes + (guint64) 48 * 1000000; /* program, plugins, headers, tokenizers */
}

static void
print_bounds (const EvoOpened *o, guint jobs, guint threads)
{
  guint64 disk = 0, anonymous = 0, mapped = 0;
  guint n = threads > 0 ? threads : MAX (g_get_num_processors () / MAX (jobs, 1), 1);

  for (guint i = 0; i < evo_graph_get_n_nodes (o->graph); i++) {
    const EvoNode *node = evo_graph_get (o->graph, i);

    if (node->kind == EVO_KIND_OPTIMIZER || node->save_path != NULL)
      disk += evo_saved_bytes (o->models, node, &node->save_dtype);
    if (node->kind == EVO_KIND_MODEL)
      mapped += evo_store_get_bytes (evo_models_get_store (o->models, node));
    mapped += aux_bytes (o, node);
    if (node->kind == EVO_KIND_OPTIMIZER)
      anonymous = MAX (anonymous, jobs * bound_of (o, node, n, RUNS_CANDIDATES));
    else if (node->save_path != NULL)
      anonymous = MAX (anonymous, bound_of (o, node, n * jobs, RUNS_NOT));
    if (node->kind == EVO_KIND_OPTIMIZER && evo_node_model (node)->path_genes != NULL) /* what was found is run to see how it differs */
      anonymous = MAX (anonymous, bound_of (o, node, n * jobs, RUNS) + evo_export_error_bytes (o->models, node));
    for (guint e = 0; node->is_exam && e < node->n_in; e++)
      anonymous = MAX (anonymous, bound_of (o, node->in[e].from, n * jobs, RUNS));
  }
  g_autofree char *a = evo_size_text (anonymous), *m = evo_size_text (mapped), *r = evo_size_text (anonymous + mapped), *d = evo_size_text (disk);
  printf ("bounds (%u job%s of %u thread%s)\n  anonymous memory   at most %s\n  resident           at most %s, of which %s are the sources' pages, which "
          "may leave memory\n  disk               %s for saved models\n", jobs, jobs == 1 ? "" : "s", n, n == 1 ? "" : "s", a, r, m, d);
}

void
evo_cli_print_plan (const EvoOpened *o, guint jobs, guint threads)
{
  printf ("%s\n", evo_graph_get_title (o->graph));
  print_models (o);
  for (guint i = 0; i < evo_graph_get_n_nodes (o->graph); i++) {
    const EvoNode *node = evo_graph_get (o->graph, i);

    if (node->kind == EVO_KIND_OPTIMIZER)
      print_search (node);
    if (!node->is_exam)
      continue;
    printf ("exam %s (%s):", node->name, node->plugin->name);
    for (guint e = 0; e < node->n_in; e++)
      printf (" %s", node->in[e].from->name);
    printf ("\n");
  }
  print_bounds (o, MAX (jobs, 1), threads);
}
