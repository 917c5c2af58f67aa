/* SPDX-License-Identifier: Apache-2.0
 * extract-lora.c - evopipe extract-lora: the change from a base to a model as a LoRA adapter that PEFT, and model.lora, read.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/cli/cli.h"
#include "core/graph/lora/extract.h"
#include "core/kernels/kernels.h"

enum { DEFAULT_RANK = 32 };

typedef struct { const char *energy, *dtype; gint64 rank, threads; gboolean force, save_rest; } Arguments;

static gboolean
read_energy (const char *text, double *out)
{
  char *end;
  gboolean is_plain = strspn (text, "0123456789.eE+-") == strlen (text); /* strtod alone would take blanks, "0x1" and "nan" */

  *out = g_ascii_strtod (text, &end);
  return is_plain && end != text && *end == '\0' && *out > 0 && *out <= 1;
}

static gboolean
read_options (const Arguments *a, EvoExtractOptions *o, GError **error)
{
  if (a->energy != NULL && a->rank > 0)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--rank and --energy: choose one");
  if (a->energy != NULL && !read_energy (a->energy, &o->energy))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--energy %s: needs a number above 0 and up to 1, such as 0.95", a->energy);
  o->rank = a->energy != NULL ? 0 : a->rank > 0 ? a->rank : DEFAULT_RANK;
  o->dtype = a->dtype == NULL ? EVO_DTYPE_F32 : evo_dtype_from_user_name (a->dtype);
  if (o->dtype != EVO_DTYPE_F32 && o->dtype != EVO_DTYPE_BF16 && o->dtype != EVO_DTYPE_F16)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--dtype %s: is none of bf16, f16, f32", a->dtype);
  o->save_rest = a->save_rest;
  o->replace = a->force;
  return TRUE;
}

static void
print_one (const EvoExtracted *e)
{
  if (e->as == EVO_EXTRACTED_PRODUCT)
    printf ("  rank %-5" G_GINT64_FORMAT "  %9.3g  %s\n", e->rank, sqrt (e->error / e->change), e->tensor);
  else if (e->as != EVO_EXTRACTED_SAME)
    printf ("  %-10s  %9.3g  %s\n", e->as == EVO_EXTRACTED_SAVED ? "whole" : "left out", sqrt (e->error / e->change), e->tensor);
}

static void
print_report (const GArray *extracted, const char *path)
{
  double change = 0, missed = 0, left = 0;
  guint n_left = 0, n_products = 0;

  printf ("  kept as     error      tensor\n");
  for (guint i = 0; i < extracted->len; i++) {
    const EvoExtracted *e = &g_array_index (extracted, EvoExtracted, i);

    print_one (e);
    change += e->change;
    missed += e->error;
    n_products += e->as == EVO_EXTRACTED_PRODUCT;
    n_left += e->as == EVO_EXTRACTED_LEFT_OUT;
    left += e->as == EVO_EXTRACTED_LEFT_OUT ? e->change : 0;
  }
  printf ("%s: %u adapted matrices; in all it misses %.3g of the length of the change\n", path, n_products, sqrt (missed / change));
  if (n_left > 0)
    printf ("%u tensors that differ are left out, %.3g of the length of the change; --save-rest stores them whole\n", n_left, sqrt (left / change));
}

static gboolean
extract (const char *model, const char *base, EvoExtractOptions *o, const Arguments *a, GError **error)
{
  g_auto (EvoOpened) theirs = { NULL }, ours = { NULL };
  g_autoptr (EvoPool) pool = NULL;
  g_autoptr (GArray) extracted = NULL;

  if (!evo_cli_open_model (model, &theirs, error) || !evo_cli_open_model (base, &ours, error))
    return FALSE;
  const EvoNode *from = evo_graph_get (ours.graph, 0);
  o->base_name = base;
  pool = evo_pool_new (a->threads > 0 ? (guint) a->threads : g_get_num_processors ());
  extracted = evo_lora_extract (evo_models_get_store (theirs.models, evo_graph_get (theirs.graph, 0)), evo_models_get_store (ours.models, from),
                                evo_models_get_layout (ours.models, from), evo_kernels_get (), pool, o, error);
  if (extracted == NULL)
    return FALSE;
  print_report (extracted, o->path);
  return TRUE;
}

static int
extract_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) modules = g_ptr_array_new (), files = g_ptr_array_new ();
  Arguments a = { NULL };
  EvoExtractOptions o = { .path = NULL };
  const EvoOption table[] = {
    { "--rank", EVO_OPTION_INTEGER, &a.rank, 1, 1 << 20, "N", "of every adapted matrix (32)" },
    { "--energy", EVO_OPTION_TEXT, &a.energy, 0, 0, "E", "instead: of each matrix the smallest rank that keeps this share of its change's squared length" },
    { "--dtype", EVO_OPTION_TEXT, &a.dtype, 0, 0, "D", "of the adapter: bf16, f16 or f32 (f32)" },
    { "--modules", EVO_OPTION_LIST, modules, 0, 0, "GLOB", "only linear layers of such a name: '*.q_proj'; as often as needed (all)" },
    { "--save-rest", EVO_OPTION_FLAG, &a.save_rest, 0, 0, NULL, "also stores what is no linear layer and differs, whole (modules_to_save)" },
    EVO_THREADS_OPTION (&a.threads, "matrices at once, each with up to 40 bytes an element (all cores)"),
    { "--force", EVO_OPTION_FLAG, &a.force, 0, 0, NULL, "replace an adapter or model that is in OUT" },
  };
  g_autoptr (GError) error = NULL;
  gboolean help;

  if (!evo_cli_parse (&evo_command_extract_lora, table, G_N_ELEMENTS (table), argc, argv, files, &help))
    return 2;
  if (help)
    return 0;
  if (files->len != 3)
    return evo_cli_usage (&evo_command_extract_lora, "needs a model, its base and the directory to write");
  g_ptr_array_add (modules, NULL);
  o.modules = (const char *const *) modules->pdata;
  o.path = files->pdata[2];
  if (!read_options (&a, &o, &error) || !extract (files->pdata[0], files->pdata[1], &o, &a, &error))
    return evo_cli_fail (error);
  return 0;
}

const EvoCommand evo_command_extract_lora = {
  "extract-lora", "MODEL BASE OUT [--rank N | --energy E] [--dtype D] [--modules GLOB]… [--save-rest] [--threads N] [--force]",
  "writes the change from BASE to MODEL as a LoRA adapter", extract_command
};
