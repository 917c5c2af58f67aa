/* SPDX-License-Identifier: Apache-2.0
 * evaluator.exact-match - the model answers in its own words; its last number must be the item's.
 *
 * This is the published evaluation of Akiba et al. (arXiv 2403.13187; SakanaAI/evolutionary-model-merge): greedy, the last number of the answer
 * by its rule (number "sakana"), and, with `language`, only answers that are in it with a probability above one half. Number "exact" reads
 * thousands commas, signs and full-width forms. The gold field goes through the same rule, from behind its last "####" if it has one.
 */
#include "item.h"
#include "number.h"

typedef enum { SAKANA, EXACT } NumberRule;

typedef struct {
  const char *answer, *prompt_field, *language;
  guint32 number;
  gint64 max_tokens, beams, top_k;
  double temperature, top_p, repetition_penalty, length_penalty;
  EvoStrings stop;
} MatchParams;

static const EvoParam params[] = {
  EVO_STRING (MatchParams, answer, "answer", "Field of the right answer."),
  EVO_STRING (MatchParams, prompt_field, NULL, "Field that is the prompt where there is no template; not given: \"prompt\", else \"question\"."),
  EVO_STRING (MatchParams, language, NULL, "Code of the language that answers must be in (\"ja\"); not given: any."),
  EVO_CHOICE (MatchParams, number, SAKANA, "How the last number is read: by the published rule, or with thousands commas, signs and full-width "
              "forms.", "sakana", "exact"),
  EVO_INTEGER (MatchParams, max_tokens, 512, EVO_LIMITS (1, 1 << 20), "Tokens of an answer at most."),
  EVO_STRINGS (MatchParams, stop, "An answer ends before any of these."),
  EVO_NUMBER (MatchParams, temperature, 0, EVO_LIMITS (0, 100), EVO_NO_SEARCH, "Of sampling; 0: always the likeliest token."),
  EVO_NUMBER (MatchParams, top_p, 1, EVO_LIMITS (1e-6, 1), EVO_NO_SEARCH, "Samples from the likeliest tokens that make up this probability."),
  EVO_INTEGER (MatchParams, top_k, 0, EVO_LIMITS (0, 1 << 20), "Samples from this many of the likeliest tokens; 0: from all."),
  EVO_INTEGER (MatchParams, beams, 1, EVO_LIMITS (1, 64), "Beams of a beam search; 1: none."),
  EVO_NUMBER (MatchParams, repetition_penalty, 1, EVO_LIMITS (0.01, 100), EVO_NO_SEARCH, "Divides the logits of tokens that were there before; 1: none."),
  EVO_NUMBER (MatchParams, length_penalty, 1, EVO_LIMITS (-10, 10), EVO_NO_SEARCH, "Power of the length that a beam's score is divided by."),
  EVO_PARAMS_END
};

typedef struct {
  const MatchParams *p;
  const EvoRows *rows;
  Prompts prompts;
  double *gold;        /* [n_rows] */
  guint64 seed;
} Match;

static gboolean
last_number (const MatchParams *p, EvoText text, double *out)
{
  return p->number == SAKANA ? number_last_sakana (text, out) : number_last_exact (text, out);
}

static gboolean
read_gold (Match *m, GError **error)
{
  guint field;

  if (!item_find_field (m->rows, "answer", m->p->answer, &field, error))
    return FALSE;
  for (gint64 i = 0; i < m->rows->n_rows; i++) {
    EvoText cell = item_cell (m->rows, i, field), text = cell;
    g_autofree char *quote = NULL;

    for (gsize k = 0; k + 4 <= cell.n; k++)
      if (memcmp (cell.bytes + k, "####", 4) == 0)
        text = (EvoText){ cell.bytes + k + 4, cell.n - k - 4 };
    if (last_number (m->p, text, &m->gold[i]))
      continue;
    quote = item_quote (cell);
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "%s:%" G_GINT64_FORMAT ": \"%s\" holds no number: \"%s\"; every item needs its right answer",
                     m->rows->file, m->rows->lines[i], m->p->answer, quote);
  }
  return TRUE;
}

static void
match_close (gpointer self)
{
  Match *m = self;

  prompts_clear (&m->prompts);
  g_free (m->gold);
  g_free (m);
}

static gpointer
match_open (const void *params_, const EvoRows *rows, guint64 seed, GError **error)
{
  const MatchParams *p = params_;
  Match *m;

  if (p->language != NULL && isnan (rows->language (rows->host, (EvoText){ "a", 1 }, p->language)))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "language: \"%s\" is not a language the language test knows; \"ja\" for Japanese",
                     p->language), NULL;
  m = g_new0 (Match, 1);
  *m = (Match){ .p = p, .rows = rows, .seed = seed };
  m->gold = g_new (double, MAX (rows->n_rows, 1));
  if (prompts_init (&m->prompts, rows, "prompt_field", p->prompt_field, error) && read_gold (m, error))
    return m;
  match_close (m);
  return NULL;
}

static gint64
match_n_items (gpointer self)
{
  return ((Match *) self)->rows->n_rows;
}

static gboolean
match_request (gpointer self, gint64 item, EvoRequest *out, GError **error)
{
  Match *m = self;
  const MatchParams *p = m->p;

  out->kind = EVO_REQUEST_GENERATE;
  out->max_tokens = p->max_tokens;
  out->beams = p->beams;
  out->top_k = p->top_k;
  out->temperature = p->temperature;
  out->top_p = p->top_p;
  out->repetition_penalty = p->repetition_penalty;
  out->length_penalty = p->length_penalty;
  out->seed = m->seed;
  out->stop = p->stop.items;
  out->n_stop = (guint) p->stop.n;
  return prompts_get (&m->prompts, item, &out->prompt, error);
}

static gboolean
match_judge (gpointer self, gint64 item, const EvoAnswer *answer, double *values, GError **error)
{
  const Match *m = self;
  double number;

  values[0] = last_number (m->p, answer->text, &number) && number == m->gold[item]
              && (m->p->language == NULL || m->rows->language (m->rows->host, answer->text, m->p->language) > 0.5);
  return TRUE;
}

EVO_EVALUATOR_PLUGIN (.name = "exact-match", .summary = "Share of items whose last number in the model's answer is the right one.",
                      EVO_TAKES (MatchParams, params), .n_values = 1, .flags = EVO_EVALUATOR_BINARY, .open = match_open,
                      .n_items = match_n_items, .request = match_request, .judge = match_judge, .close = match_close)
