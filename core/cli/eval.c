/* SPDX-License-Identifier: Apache-2.0
 * eval.c - evopipe eval: one evaluator on one model.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/kernels/kernels.h"
#include "core/search/resident.h"
#include "core/search/scorer.h"
#include "core/search/results/statistics.h"
#include "core/store/output.h"

/* PARAM=VALUE: JSON where it stands alone, else text. */
static gboolean
add_parameter (EvoJsonWriter *w, const char *argument, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (argument, "=", 2);
  g_autoptr (EvoJsonDoc) doc = NULL;

  if (g_strv_length (parts) != 2 || *parts[0] == '\0')
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "\"%s\": needs the form PARAM=VALUE", argument);
  evo_json_add_key (w, parts[0]);
  doc = evo_json_parse (parts[1], -1, "value", 0, 0, NULL);
  if (doc != NULL)
    evo_json_add_value (w, evo_json_root (doc));
  else
    evo_json_add_string (w, parts[1]);
  return TRUE;
}

/* The command as a pipeline of two nodes: what is wrong with it is said as for any pipeline. */
static gboolean
open_pair (const char *model, const char *use, GPtrArray *parameters, EvoOpened *out, GError **error)
{
  g_autoptr (GString) text = g_string_new ("{\"evopipe\": 1, \"nodes\": {\"model\": {\"use\": \"model.llm\", \"path\": ");
  g_autofree char *absolute = g_canonicalize_filename (model, NULL), *folder = g_get_current_dir ();
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_json_add_string (&w, absolute);
  g_string_append (text, "}, \"eval\": ");
  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "use");
  evo_json_add_string (&w, use);
  evo_json_add_key (&w, "in");
  evo_json_begin_array (&w);
  evo_json_add_string (&w, "model");
  evo_json_end_array (&w);
  for (guint i = 0; i < parameters->len; i++)
    if (!add_parameter (&w, parameters->pdata[i], error))
      return FALSE;
  evo_json_end_object (&w);
  g_string_append (text, "}}");
  out->registry = evo_registry_new ();
  out->graph = evo_graph_new_from_text (text->str, (gssize) text->len, "command line", folder, out->registry, NULL, error);
  if (out->graph == NULL)
    return FALSE;
  out->models = evo_models_new (out->graph, error);
  return out->models != NULL;
}

static gboolean
write_samples (const char *path, const double *values, gsize n_values, GPtrArray *answers, GError **error)
{
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < answers->len; i++) {
    EvoJsonWriter w;

    evo_json_writer_init (&w, out, FALSE);
    evo_json_begin_object (&w);
    evo_json_add_key (&w, "item");
    evo_json_add_integer (&w, i);
    evo_json_add_key (&w, "score");
    evo_json_add_number (&w, values[i * n_values]);
    evo_json_add_key (&w, "answer");
    evo_json_add_string (&w, answers->pdata[i]);
    evo_json_end_object (&w);
    g_string_append_c (out, '\n');
  }
  return evo_write_file (path, out->str, (gssize) out->len, error);
}

static EvoInterval
interval_of (EvoScorer *scorer, const double *values, gsize n)
{
  gsize n_values = evo_scorer_get_n_values (scorer), right = 0;

  if (!evo_scorer_is_binary (scorer))
    return evo_bootstrap (evo_scorer_reduce, scorer, values, n_values, n, 0);
  for (gsize i = 0; i < n; i++)
    right += values[i * n_values] != 0;
  return evo_wilson (right, n);
}

static void
print_json (EvoScorer *scorer, const char *use, const double *values, gsize n)
{
  EvoInterval interval = interval_of (scorer, values, n);
  double score = evo_scorer_reduce (scorer, values, n), extra[8];
  const char *const *names;
  guint n_extra = evo_scorer_extra (scorer, values, n, &names, extra, G_N_ELEMENTS (extra));
  char a[EVO_NUMBER_TEXT], b[EVO_NUMBER_TEXT], c[EVO_NUMBER_TEXT];

  printf ("{\"evaluator\": \"%s\", \"score\": %s, \"low\": %s, \"high\": %s, \"n\": %" G_GSIZE_FORMAT, use, evo_number_text (score, a),
          evo_number_text (interval.low, b), evo_number_text (interval.high, c), n);
  for (guint i = 0; i < n_extra; i++)
    printf (", \"%s\": %s", names[i], evo_number_text (extra[i], a));
  puts ("}");
}

/* As the exam's table has it: shares of 0/1 items in percent. */
static void
print_text (EvoScorer *scorer, const char *use, const double *values, gsize n)
{
  gboolean binary = evo_scorer_is_binary (scorer);
  EvoInterval interval = interval_of (scorer, values, n);
  double unit = binary ? 100 : 1, extra[8];
  int digits = binary ? 1 : 4;
  const char *const *names;
  guint n_extra = evo_scorer_extra (scorer, values, n, &names, extra, G_N_ELEMENTS (extra));

  printf ("%s: %.*f%s  (95 %%: %.*f … %.*f)  %" G_GSIZE_FORMAT " item%s", use, digits, evo_scorer_reduce (scorer, values, n) * unit, binary ? " %" : "",
          digits, interval.low * unit, digits, interval.high * unit, n, n == 1 ? "" : "s");
  for (guint i = 0; i < n_extra; i++) {
    g_autofree char *name = g_strdelimit (g_strdup (names[i]), "_", ' ');

    printf ("  %s %.4g", name, extra[i]);
  }
  putchar ('\n');
}

static gboolean
evaluate (const EvoOpened *o, const char *use, guint threads, const char *samples, gboolean json, GError **error)
{
  const EvoNode *model = evo_graph_find (o->graph, "model");
  g_autoptr (EvoPool) pool = evo_pool_new (threads);
  g_autoptr (EvoScorer) scorer = evo_scorer_new (evo_graph_find (o->graph, "eval"), FALSE, error);
  g_autoptr (EvoResident) resident = NULL;
  g_autoptr (GPtrArray) answers = g_ptr_array_new_with_free_func (g_free);
  g_autofree double *values = NULL;
  EvoMergeContext context;
  gboolean good;

  if (scorer == NULL)
    return FALSE;
  gsize n = evo_scorer_get_n_items (scorer);
  resident = evo_resident_new (o->models, model, evo_kernels_get (), pool, error);
  if (resident == NULL)
    return FALSE;
  evo_merge_context_init (&context, o->models, evo_kernels_get (), pool, NULL, -1, NULL);
  good = evo_resident_fill (resident, &context, model, NULL, error);
  evo_merge_context_clear (&context);
  values = g_new0 (double, MAX (n, 1) * evo_scorer_get_n_values (scorer));
  g_ptr_array_set_size (answers, (gint) n);
  if (!good || !evo_scorer_run (scorer, evo_resident_get_text (resident), NULL, n, values, (char **) answers->pdata, error))
    return FALSE;
  if (json)
    print_json (scorer, use, values, n);
  else
    print_text (scorer, use, values, n);
  return samples == NULL || write_samples (samples, values, evo_scorer_get_n_values (scorer), answers, error);
}

static int
eval_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  const char *use = NULL, *samples = NULL;
  gint64 threads = g_get_num_processors ();
  gboolean json = FALSE, help;
  const EvoOption table[] = {
    { "-u", EVO_OPTION_TEXT, &use, 0, 0, "EVALUATOR", "evaluator.exact-match, ...; evopipe inspect EVALUATOR shows its PARAMs" },
    { "--use", EVO_OPTION_TEXT, &use, 0, 0, "EVALUATOR", "the same" },
    { "--samples", EVO_OPTION_TEXT, &samples, 0, 0, "F.jsonl", "write every item's score and answer" },
    EVO_THREADS_OPTION (&threads, "threads (all cores)"),
    { "--json", EVO_OPTION_FLAG, &json, 0, 0, NULL, "print one JSON object" },
  };
  g_auto (EvoOpened) opened = { NULL };
  g_autoptr (GError) error = NULL;

  if (!evo_cli_parse (&evo_command_eval, table, G_N_ELEMENTS (table), argc, argv, args, &help))
    return 2;
  if (help)
    return 0;
  if (args->len == 0 || use == NULL)
    return evo_cli_usage (&evo_command_eval, args->len == 0 ? "which model?" : "which evaluator? -u evaluator.exact-match");
  const char *model = args->pdata[0];
  g_ptr_array_remove_index (args, 0);
  if (!open_pair (model, use, args, &opened, &error) || !evaluate (&opened, use, (guint) threads, samples, json, &error))
    return evo_cli_fail (error);
  return 0;
}

const EvoCommand evo_command_eval = { "eval", "MODEL -u EVALUATOR [PARAM=VALUE]… [--samples F.jsonl] [--threads N] [--json]",
                                      "scores a model by one evaluator", eval_command };
