/* SPDX-License-Identifier: Apache-2.0
 * export-error.c - runs a path as it was searched, then as it was saved, on the same prompts, and compares what they say.
 */
#include "core/search/results/export-error.h"

#include <math.h>

#include "core/base/error.h"
#include "core/search/resident.h"
#include "core/search/run.h"
#include "core/search/scorer.h"

enum { MOST_PROMPTS = 32, MOST_TOKENS = 512 }; /* of a prompt: its first */

/* The evaluator whose prompts are asked; NULL: none asks a model anything. */
static const EvoNode *
asked (const EvoNode *search)
{
  const EvoSearchSpec *s = &search->search;

  if (s->validate != NULL)
    return s->validate;
  for (guint i = 0; i < s->n_objectives; i++)
    if ((((const EvoEvaluatorOp *) s->objectives[i].evaluator->plugin->op)->flags & EVO_EVALUATOR_COST) == 0)
      return s->objectives[i].evaluator;
  return NULL;
}

/* ------------------------------------------------------------------ numbers */

static void
log_softmax (const float *logits, gsize n, float *out)
{
  double largest = -INFINITY, sum = 0;

  for (gsize i = 0; i < n; i++)
    largest = MAX (largest, (double) logits[i]);
  for (gsize i = 0; i < n; i++)
    sum += exp (logits[i] - largest);
  for (gsize i = 0; i < n; i++)
    out[i] = (float) (logits[i] - largest - log (sum));
}

static gsize
likeliest (const float *x, gsize n)
{
  gsize best = 0;

  for (gsize i = 1; i < n; i++)
    if (x[i] > x[best])
      best = i;
  return best;
}

void
evo_export_error_compare (const float *searched, const float *saved, gsize n_prompts, gsize vocab, EvoExportError *out)
{
  EvoExportError e = { .n_prompts = (gint64) n_prompts };
  double squares = 0;

  for (gsize i = 0; i < n_prompts * vocab; i++) {
    double d = fabs ((double) searched[i] - (double) saved[i]);

    d = isfinite (d) ? d : INFINITY;
    e.largest = MAX (e.largest, d);
    squares += d * d;
  }
  for (gsize p = 0; p < n_prompts; p++)
    e.n_same += likeliest (searched + p * vocab, vocab) == likeliest (saved + p * vocab, vocab);
  e.rms = n_prompts == 0 ? 0 : sqrt (squares / (double) (n_prompts * vocab));
  *out = e;
}

/* ------------------------------------------------------------------ running both */

typedef struct {
  EvoRun *run;
  EvoScorer *scorer;
  GPtrArray *prompts;   /* GArray of gint32 */
  gsize vocab;
  float *scratch;       /* [MOST_TOKENS][vocab] */
} Measuring;

static gboolean
collect_prompts (Measuring *m, const EvoTextModel *text, GError **error)
{
  if (m->prompts->len > 0)
    return TRUE;
  if (!evo_scorer_encode_prompts (m->scorer, evo_text_model_get_tokenizer (text), MOST_PROMPTS, m->prompts, error))
    return FALSE;
  for (guint i = m->prompts->len; i-- > 0;) {
    GArray *ids = m->prompts->pdata[i];

    g_array_set_size (ids, (guint) MIN (ids->len, MIN (MOST_TOKENS, evo_text_model_get_spec (text)->max_positions)));
    if (ids->len == 0)
      g_ptr_array_remove_index (m->prompts, i);
  }
  return TRUE;
}

/* Of the token after each prompt: [prompts][vocab], owned. genes: of a path that is searched; NULL: of what was saved. */
static float *
log_probabilities (Measuring *m, const EvoNode *model, const double *genes, gint64 trial, GError **error)
{
  g_autoptr (EvoResident) resident = evo_resident_new (m->run->models, model, m->run->k, m->run->pool, error);
  g_autofree float *out = NULL;
  EvoMergeContext context;
  EvoTextModel *text;
  gboolean good;

  if (resident == NULL)
    return NULL;
  text = evo_resident_get_text (resident);
  evo_merge_context_init (&context, m->run->models, m->run->k, m->run->pool, genes, trial, NULL);
  good = evo_resident_fill (resident, &context, model, NULL, error);
  evo_merge_context_clear (&context);
  if (!good || !collect_prompts (m, text, error))
    return NULL;
  m->vocab = (gsize) evo_text_model_get_spec (text)->vocab;
  if (m->scratch == NULL)
    m->scratch = g_new (float, MOST_TOKENS * m->vocab);
  out = g_new (float, MAX (m->prompts->len, 1) * m->vocab);
  for (guint i = 0; i < m->prompts->len; i++) {
    const GArray *ids = m->prompts->pdata[i];

    if (!evo_text_model_logits (text, (const gint32 *) (gconstpointer) ids->data, ids->len, m->scratch, NULL, error))
      return NULL;
    log_softmax (m->scratch + (ids->len - 1) * m->vocab, m->vocab, out + i * m->vocab);
  }
  return g_steal_pointer (&out);
}

static gboolean
measure (EvoRun *run, const EvoNode *search, const double *genes, gint64 trial, EvoExportError *out, GError **error)
{
  const EvoNode *from = asked (search);
  g_autoptr (EvoScorer) scorer = from == NULL ? NULL : evo_scorer_new (from, run->options.smoke, error);
  g_autoptr (GPtrArray) prompts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  Measuring m = { run, scorer, prompts, 0, NULL };
  g_autofree float *searched = NULL, *saved = NULL;

  *out = (EvoExportError){ 0 };
  if (scorer == NULL)
    return from == NULL;
  evo_progress_live (run->progress, "%s: comparing what was saved with what was searched", search->name);
  searched = log_probabilities (&m, evo_node_model (search), genes, trial, error);
  saved = searched == NULL ? NULL : log_probabilities (&m, search, NULL, -1, error);
  g_free (m.scratch);
  if (saved == NULL)
    return FALSE;
  evo_export_error_compare (searched, saved, prompts->len, m.vocab, out);
  return TRUE;
}

gboolean
evo_export_error_get (EvoRun *run, const EvoNode *search, const double *genes, gint64 trial, EvoExportError *out, GError **error)
{
  EvoExportError e = { 0 };
  g_autofree char *text = NULL;
  int rc = evo_journal_get_export (run->journal, search->name, trial, &e.n_prompts, &e.n_same, &e.largest, &e.rms, error);

  if (rc < 0)
    return FALSE;
  if (rc == 0) {
    if (!measure (run, search, genes, trial, &e, error) ||
        !evo_journal_add_export (run->journal, search->name, trial, e.n_prompts, e.n_same, e.largest, e.rms, error))
      return FALSE;
    text = evo_export_error_text (&e, search);
    if (text != NULL)
      evo_progress_event (run->progress, "%s: %s", search->name, text);
  }
  *out = e;
  return TRUE;
}

char *
evo_export_error_text (const EvoExportError *e, const EvoNode *search)
{
  if (e->n_prompts == 0)
    return NULL;
  return g_strdup_printf ("measured on %" G_GINT64_FORMAT " prompts of %s: saved and searched differ by at most %.3g (RMS %.3g) in the log-probabilities "
                          "of the next token; the likeliest one is the same after %" G_GINT64_FORMAT, e->n_prompts, asked (search)->name, e->largest,
                          e->rms, e->n_same);
}

static void
add_number (EvoJsonWriter *w, const char *key, double x)
{
  evo_json_add_key (w, key);
  evo_json_add_number (w, x);
}

void
evo_export_error_write (const EvoExportError *e, EvoJsonWriter *w)
{
  if (e->n_prompts == 0)
    return;
  evo_json_add_key (w, "export");
  evo_json_begin_object (w);
  add_number (w, "prompts", (double) e->n_prompts);
  add_number (w, "same_token", (double) e->n_same);
  add_number (w, "largest", e->largest);
  add_number (w, "rms", e->rms);
  evo_json_end_object (w);
}

guint64
evo_export_error_bytes (const EvoModels *models, const EvoNode *search)
{
  EvoDecoderSpec spec;

  if (!evo_models_get_decoder (models, search, &spec, NULL))
    return 0;
  return (guint64) (MOST_TOKENS + 2 * MOST_PROMPTS) * (guint64) spec.vocab * sizeof (float);
}
