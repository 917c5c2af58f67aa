/* SPDX-License-Identifier: Apache-2.0
 * merge.c - evopipe merge: a pipeline without a search, written as a model directory.
 */
#include <stdio.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/graph/save.h"
#include "core/kernels/kernels.h"

static gboolean
is_read (const EvoGraph *graph, const EvoNode *node)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (graph); i++) {
    const EvoNode *other = evo_graph_get (graph, i);

    if (other->base.from == node)
      return TRUE;
    for (guint e = 0; e < other->n_in; e++)
      if (other->in[e].from == node)
        return TRUE;
  }
  return FALSE;
}

static EvoNode *
one_of (const EvoGraph *graph, const GPtrArray *nodes, GError **error)
{
  g_autoptr (GString) names = g_string_new (NULL);

  if (nodes->len == 1)
    return nodes->pdata[0];
  for (guint i = 0; i < nodes->len; i++)
    g_string_append_printf (names, "%s\"%s\"", i == 0 ? "" : i + 1 < nodes->len ? ", " : " and ", ((const EvoNode *) nodes->pdata[i])->name);
  evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s: %s could be the result; name one in \"save\"", evo_graph_get_name (graph),
                 nodes->len == 0 ? "no model" : names->str);
  return NULL;
}

/* The one node that `save` names, else the one model node that nothing reads. */
static EvoNode *
find_result (const EvoGraph *graph, GError **error)
{
  g_autoptr (GPtrArray) saved = g_ptr_array_new (), unread = g_ptr_array_new ();

  for (guint i = 0; i < evo_graph_get_n_nodes (graph); i++) {
    EvoNode *node = evo_graph_get (graph, i);

    if (node->kind == EVO_KIND_OPTIMIZER) {
      evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s: \"%s\" is a search; use evopipe run", evo_graph_get_name (graph), node->name);
      return NULL;
    }
    if (node->kind == EVO_KIND_EVALUATOR)
      continue;
    if (node->save_path != NULL)
      g_ptr_array_add (saved, node);
    if (!is_read (graph, node))
      g_ptr_array_add (unread, node);
  }
  return one_of (graph, saved->len > 0 ? saved : unread, error);
}

typedef struct { const char *dtype, *shard; gint64 seed, threads; gboolean force, json, truncate; } MergeArguments;

static gboolean
read_options (const MergeArguments *a, EvoNode *node, EvoSaveOptions *o, GError **error)
{
  EvoDtype dtype = a->dtype == NULL ? EVO_DTYPE_NONE : evo_dtype_from_user_name (a->dtype);

  if (dtype != EVO_DTYPE_NONE)
    node->save_dtype = (EvoDtypes){ .all = dtype }; /* so that evopipe.json says it too */
  o->dtype = &node->save_dtype;
  o->shard_bytes = node->save_shard_bytes;
  o->replace = a->force;
  if (a->dtype != NULL && dtype == EVO_DTYPE_NONE)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--dtype %s: is none of bf16, f16, f32, f64, f8_e4m3, f8_e5m2", a->dtype);
  if (a->shard != NULL && !evo_cli_parse_size (a->shard, &o->shard_bytes))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--shard-size %s: needs a size such as 5GB or 300MB", a->shard);
  return TRUE;
}

/* Where the sums are made and bytes handed to the kernel, and where the disk is waited for, apart: programs that leave out the second seem
 * faster than they are. */
static void
print_written (const EvoOpened *o, const EvoNode *node, const MergeArguments *a, const char *path, double seconds, double sync)
{
  guint64 n_bytes = evo_saved_bytes (o->models, node, &node->save_dtype);
  guint n_tensors = evo_saved_tensors (o->models, node);
  g_autofree char *bytes = evo_size_text (n_bytes);
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  if (!a->json) {
    printf ("%s: %s, %u tensors\n", path, bytes, n_tensors);
    return;
  }
  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "path");
  evo_json_add_string (&w, path);
  evo_json_add_key (&w, "tensors");
  evo_json_add_integer (&w, n_tensors);
  evo_json_add_key (&w, "bytes");
  evo_json_add_integer (&w, (gint64) n_bytes);
  evo_json_add_key (&w, "seconds");
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "read_compute_write");
  evo_json_add_number (&w, seconds - sync);
  evo_json_add_key (&w, "sync");
  evo_json_add_number (&w, sync);
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  printf ("%s\n", text->str);
}

static gboolean
write_model (const EvoOpened *o, const MergeArguments *a, const char *path, GError **error)
{
  EvoNode *node = find_result (o->graph, error);
  double sync = 0;
  EvoSaveOptions options = { .path = path, .sync_seconds = &sync };
  gint64 began = g_get_monotonic_time ();
  g_autoptr (EvoPool) pool = NULL;
  g_autofree char *recipe = NULL;
  g_autofree double *x = NULL;
  EvoMergeContext context;
  gboolean good;

  if (node == NULL || !read_options (a, node, &options, error))
    return FALSE;
  node->save_shard_bytes = options.shard_bytes;
  pool = evo_pool_new (a->threads > 0 ? (guint) a->threads : g_get_num_processors ());
  x = evo_models_new_vector (o->models);
  recipe = evo_graph_to_recipe (o->graph, node, x, -1, NULL, NULL, evo_models_get_n_layers (o->models));
  options.recipe = recipe;
  evo_merge_context_init (&context, o->models, evo_kernels_get (), pool, x, -1, NULL);
  good = evo_save_model (&context, node, &options, error);
  evo_merge_context_clear (&context);
  if (good)
    print_written (o, node, a, path, (double) (g_get_monotonic_time () - began) / 1e6, sync);
  return good;
}

static int
merge_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) sets = g_ptr_array_new (), files = g_ptr_array_new ();
  MergeArguments a = { .seed = -1 };
  const EvoOption table[] = {
    { "--dtype", EVO_OPTION_TEXT, &a.dtype, 0, 0, "D", "bf16, f16, f32, f64, f8_e4m3 or f8_e5m2 (as the pipeline says, or the base has it)" },
    { "--shard-size", EVO_OPTION_TEXT, &a.shard, 0, 0, "S", "no file larger than this: 5GB, 300MB (5GB)" },
    EVO_SEED_OPTION (&a.seed), EVO_SET_OPTION (sets), EVO_THREADS_OPTION (&a.threads, "threads (all cores)"),
    EVO_TRUNCATE_OPTION (&a.truncate),
    { "--force", EVO_OPTION_FLAG, &a.force, 0, 0, NULL, "replace a model that is in OUT" },
    { "--json", EVO_OPTION_FLAG, &a.json, 0, 0, NULL, "print one JSON object: path, tensors, bytes, seconds (read_compute_write, sync)" },
  };
  g_auto (EvoOpened) opened = { NULL };
  g_autoptr (GError) error = NULL;
  gboolean help;

  if (!evo_cli_parse (&evo_command_merge, table, G_N_ELEMENTS (table), argc, argv, files, &help))
    return 2;
  if (help)
    return 0;
  if (files->len != 2)
    return evo_cli_usage (&evo_command_merge, "needs a pipeline and the directory to write");
  g_ptr_array_add (sets, NULL);
  EvoGraphOptions options = { (const char *const *) sets->pdata, a.seed >= 0, (guint64) MAX (a.seed, 0), a.truncate };
  if (!evo_cli_open (files->pdata[0], &options, &opened, &error))
    return evo_cli_fail (error);
  evo_cli_print_cuts (&opened);
  if (!write_model (&opened, &a, files->pdata[1], &error))
    return evo_cli_fail (error);
  return 0;
}

const EvoCommand evo_command_merge = { "merge", "FILE OUT [--dtype D] [--shard-size S] [--seed N] [--threads N] [--set NODE.PARAM=VALUE]… [--unsafe-truncate-embeddings] [--force] [--json]",
                                       "writes the model of a pipeline without a search, or of a mergekit recipe", merge_command };
