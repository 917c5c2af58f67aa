/* SPDX-License-Identifier: Apache-2.0
 * generate.c - evopipe generate: look at what a model says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/cli/cli.h"
#include "core/kernels/kernels.h"
#include "core/search/resident.h"
#include "core/store/output.h"

typedef struct {
  gint64 max_tokens, beams, top_k, threads, seed;
  const char *ids, *logits, *temperature, *top_p, *penalty;
  GPtrArray *stop;
  gboolean ignore_eos, json;
} Arguments;

/* ------------------------------------------------------------------ prompts */

static gboolean
parse_ids (const char *text, gint64 vocab, GArray *out, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);

  for (guint i = 0; parts[i] != NULL; i++) {
    char *end;
    gint64 v = g_ascii_strtoll (g_strstrip (parts[i]), &end, 10);
    gint32 id = (gint32) v;

    if (end == parts[i] || *end != '\0' || v < 0 || v >= vocab)
      return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--ids: \"%s\" is no token id of this model (0 … %" G_GINT64_FORMAT ")",
                            parts[i], vocab - 1);
    g_array_append_val (out, id);
  }
  return TRUE;
}

static gboolean
make_prompt (EvoTextModel *m, const char *text, const char *ids, GArray *out, GError **error)
{
  if (ids != NULL)
    return parse_ids (ids, evo_text_model_get_spec (m)->vocab, out, error);
  if (evo_text_model_get_tokenizer (m) == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "the model has no tokenizer; give token ids with --ids");
  evo_tokenizer_encode (evo_text_model_get_tokenizer (m), text, strlen (text), TRUE, out);
  return TRUE;
}

/* ------------------------------------------------------------------ answers */

static void
write_ids (EvoJsonWriter *w, const gint32 *ids, gsize n)
{
  evo_json_add_key (w, "ids");
  evo_json_begin_array (w);
  for (gsize i = 0; i < n; i++)
    evo_json_add_integer (w, ids[i]);
  evo_json_end_array (w);
  evo_json_add_key (w, "text");
}

static void
write_text (EvoJsonWriter *w, const char *text, gsize n)
{
  if (text == NULL)
    evo_json_add_null (w);
  else
    evo_json_add_text (w, text, n);
}

static void
print_json (EvoTextModel *m, const EvoGeneration *g)
{
  static const char *const reasons[] = { "length", "eos", "stop" };
  g_autoptr (GString) out = g_string_new (NULL);
  EvoTokenizer *t = evo_text_model_get_tokenizer (m);
  GString *prompt = t == NULL ? NULL : evo_tokenizer_decode (t, g->ids, g->n_ids, TRUE);
  EvoJsonWriter w;

  evo_json_writer_init (&w, out, FALSE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "prompt");
  evo_json_begin_object (&w);
  write_ids (&w, g->ids, g->n_ids);
  write_text (&w, prompt == NULL ? NULL : prompt->str, prompt == NULL ? 0 : prompt->len);
  evo_json_end_object (&w);
  evo_json_add_key (&w, "answer");
  evo_json_begin_object (&w);
  write_ids (&w, (const gint32 *) g->out->data, g->out->len);
  write_text (&w, g->text == NULL ? NULL : g->text->str, g->text == NULL ? 0 : g->text->len);
  evo_json_add_key (&w, "logprobs");
  evo_json_begin_array (&w);
  for (guint i = 0; i < g->logprobs->len; i++)
    evo_json_add_number (&w, g_array_index (g->logprobs, float, i));
  evo_json_end_array (&w);
  evo_json_end_object (&w);
  evo_json_add_key (&w, "stop");
  evo_json_add_string (&w, reasons[g->reason]);
  evo_json_end_object (&w);
  puts (out->str);
  if (prompt != NULL)
    g_string_free (prompt, TRUE);
}

static void
print_plain (const EvoGeneration *g)
{
  if (g->text != NULL) {
    fwrite (g->text->str, 1, g->text->len, stdout);
  } else {
    for (guint i = 0; i < g->out->len; i++)
      printf ("%s%d", i == 0 ? "" : ",", g_array_index (g->out, gint32, i));
  }
  putchar ('\n');
}

/* ------------------------------------------------------------------ --logits */

static gboolean
write_logits (EvoTextModel *m, const GArray *ids, const char *path, GError **error)
{
  const EvoDecoderSpec *spec = evo_text_model_get_spec (m);
  gsize n = ids->len, n_logits = n * (gsize) spec->vocab, n_hidden = (gsize) (spec->n_layers + 1) * n * (gsize) spec->hidden;
  g_autofree float *logits = g_new (float, n_logits + n_hidden);
  g_autoptr (GString) file = g_string_new (NULL);
  g_autofree char *header = NULL;

  if (!evo_text_model_logits (m, (const gint32 *) ids->data, n, logits, logits + n_logits, error))
    return FALSE;
  header = g_strdup_printf ("{\"logits\":{\"dtype\":\"F32\",\"shape\":[%" G_GSIZE_FORMAT ",%" G_GINT64_FORMAT "],\"data_offsets\":[0,%" G_GSIZE_FORMAT
                            "]},\"hidden\":{\"dtype\":\"F32\",\"shape\":[%" G_GINT64_FORMAT ",%" G_GSIZE_FORMAT ",%" G_GINT64_FORMAT
                            "],\"data_offsets\":[%" G_GSIZE_FORMAT ",%" G_GSIZE_FORMAT "]}}",
                            n, spec->vocab, n_logits * 4, spec->n_layers + 1, n, spec->hidden, n_logits * 4, (n_logits + n_hidden) * 4);
  gsize padded = (strlen (header) + 7) / 8 * 8;
  guint64 length = GUINT64_TO_LE ((guint64) padded);
  g_string_append_len (file, (const char *) &length, 8);
  g_string_append_printf (file, "%-*s", (int) padded, header);
  g_string_append_len (file, (const char *) logits, (gssize) ((n_logits + n_hidden) * 4));
  return evo_write_file (path, file->str, (gssize) file->len, error);
}

/* ------------------------------------------------------------------ the command */

static gboolean
parse_real (const char *option, const char *text, double low, double high, double *out, GError **error)
{
  char *end;
  double v;

  if (text == NULL)
    return TRUE;
  v = g_ascii_strtod (text, &end);
  if (end == text || *end != '\0' || !(v >= low && v <= high))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s %s: needs a number from %g to %g", option, text, low, high);
  *out = v;
  return TRUE;
}

static gboolean
generate_one (EvoTextModel *m, const char *text, const Arguments *a, const EvoGenerateOptions *options, GError **error)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  EvoGeneration g = { 0 };

  if (!make_prompt (m, text, a->ids, ids, error))
    return FALSE;
  if (ids->len == 0)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "the prompt has no tokens");
  if (a->logits != NULL && !write_logits (m, ids, a->logits, error))
    return FALSE;
  g.ids = (const gint32 *) ids->data;
  g.n_ids = ids->len;
  if (!evo_text_model_generate (m, &g, 1, options, 0, error))
    return FALSE;
  if (a->json)
    print_json (m, &g);
  else
    print_plain (&g);
  evo_generation_clear (&g);
  return TRUE;
}

static gboolean
generate_all (const char *path, GPtrArray *prompts, const Arguments *a, GError **error)
{
  g_auto (EvoOpened) opened = { NULL };
  g_autoptr (EvoPool) pool = evo_pool_new (a->threads > 0 ? (guint) a->threads : g_get_num_processors ());
  g_autoptr (EvoResident) resident = NULL;
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  EvoMergeContext context;
  const EvoNode *node;
  gboolean good;

  o.max_tokens = a->max_tokens;
  o.beams = a->beams;
  o.top_k = a->top_k;
  o.seed = (guint64) a->seed;
  o.ignore_eos = a->ignore_eos;
  o.stop = (const char *const *) a->stop->pdata;
  o.n_stop = a->stop->len;
  if (!parse_real ("--temperature", a->temperature, 0, 100, &o.temperature, error) || !parse_real ("--top-p", a->top_p, 1e-6, 1, &o.top_p, error) ||
      !parse_real ("--repetition-penalty", a->penalty, 0.01, 100, &o.repetition_penalty, error))
    return FALSE;
  if (!evo_cli_open_model (path, &opened, error))
    return FALSE;
  node = evo_graph_find (opened.graph, "model");
  resident = evo_resident_new (opened.models, node, evo_kernels_get (), pool, error);
  if (resident == NULL)
    return FALSE;
  evo_merge_context_init (&context, opened.models, evo_kernels_get (), pool, NULL, -1, NULL);
  good = evo_resident_fill (resident, &context, node, NULL, error);
  evo_merge_context_clear (&context);
  for (guint i = 0; good && i < MAX (prompts->len, a->ids != NULL ? 1 : 0); i++)
    good = generate_one (evo_resident_get_text (resident), i < prompts->len ? prompts->pdata[i] : NULL, a, &o, error);
  return good;
}

static int
generate_command (int argc, char **argv)
{
  g_autoptr (GPtrArray) stop = g_ptr_array_new (), args = g_ptr_array_new ();
  Arguments a = { .max_tokens = 128, .beams = 1, .stop = stop };
  const EvoOption table[] = {
    { "--max-tokens", EVO_OPTION_INTEGER, &a.max_tokens, 0, 1 << 20, "N", "tokens of an answer at most (128)" },
    { "--beams", EVO_OPTION_INTEGER, &a.beams, 1, 64, "N", "beams of a beam search (1: none)" },
    { "--temperature", EVO_OPTION_TEXT, &a.temperature, 0, 0, "T", "sample; 0: always the likeliest token (0)" },
    { "--top-k", EVO_OPTION_INTEGER, &a.top_k, 0, 1 << 20, "N", "sample from so many of the likeliest (0: from all)" },
    { "--top-p", EVO_OPTION_TEXT, &a.top_p, 0, 0, "P", "sample from the likeliest that make up this probability (1)" },
    { "--repetition-penalty", EVO_OPTION_TEXT, &a.penalty, 0, 0, "R", "divide the logits of tokens that were there before (1)" },
    { "--seed", EVO_OPTION_INTEGER, &a.seed, 0, (G_GINT64_CONSTANT (1) << 53) - 1, "N", "of sampling (0)" },
    { "--stop", EVO_OPTION_LIST, stop, 0, 0, "S", "an answer ends before this text; as often as needed" },
    { "--ignore-eos", EVO_OPTION_FLAG, &a.ignore_eos, 0, 0, NULL, "go on after the end-of-text token" },
    { "--ids", EVO_OPTION_TEXT, &a.ids, 0, 0, "I,I,…", "token ids in place of a prompt" },
    { "--json", EVO_OPTION_FLAG, &a.json, 0, 0, NULL, "one JSON object a prompt: ids, texts, log-probabilities, why it ended" },
    { "--logits", EVO_OPTION_TEXT, &a.logits, 0, 0, "F", "write logits and hidden states of the prompt, a safetensors file" },
    EVO_THREADS_OPTION (&a.threads, "threads (all cores)"),
  };
  g_autoptr (GError) error = NULL;
  gboolean help;

  if (!evo_cli_parse (&evo_command_generate, table, G_N_ELEMENTS (table), argc, argv, args, &help))
    return 2;
  if (help)
    return 0;
  if (args->len == 0)
    return evo_cli_usage (&evo_command_generate, "which model?");
  if (args->len == 1 && a.ids == NULL)
    return evo_cli_usage (&evo_command_generate, "needs a prompt, or --ids");
  if (args->len > 1 && a.ids != NULL)
    return evo_cli_usage (&evo_command_generate, "a prompt or --ids, not both");
  if (args->len > 2 && a.logits != NULL)
    return evo_cli_usage (&evo_command_generate, "--logits is of one prompt");
  const char *path = args->pdata[0];
  g_ptr_array_remove_index (args, 0);
  if (!generate_all (path, args, &a, &error))
    return evo_cli_fail (error);
  return 0;
}

const EvoCommand evo_command_generate = {
  "generate", "MODEL PROMPT… [--max-tokens N] [--beams N] [--temperature T] [--top-k N] [--top-p P] [--repetition-penalty R] [--seed N] [--stop S]… "
  "[--ignore-eos] [--ids I,I,…] [--json] [--logits F] [--threads N]", "shows what a model says", generate_command
};
