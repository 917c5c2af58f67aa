/* SPDX-License-Identifier: Apache-2.0
 * evaluator.perplexity - how well a model predicts texts: exp of the mean negative log-likelihood of a token, and bits per byte beside it.
 *
 * A text is cut into windows of `context` tokens, each beginning with BOS where the model has one; every token is predicted once. An
 * item's values are its log-likelihood, its tokens and its bytes: the score is a ratio of their sums, not a mean of items.
 */
#include "item.h"

typedef struct { const char *text; gint64 context; } PerplexityParams;

static const EvoParam params[] = {
  EVO_STRING (PerplexityParams, text, NULL, "Field of the texts where there is no template; not given: \"text\"."),
  EVO_INTEGER (PerplexityParams, context, 0, EVO_LIMITS (0, 1 << 24), "Tokens of a window, BOS included; 0: the model's longest."),
  EVO_PARAMS_END
};

typedef struct { const PerplexityParams *p; const EvoRows *rows; Prompts texts; } Perplexity;

static void
perplexity_close (gpointer self)
{
  Perplexity *s = self;

  prompts_clear (&s->texts);
  g_free (s);
}

static gpointer
perplexity_open (const void *params_, const EvoRows *rows, guint64 seed, GError **error)
{
  const PerplexityParams *p = params_;
  Perplexity *s = g_new0 (Perplexity, 1);

  *s = (Perplexity){ .p = p, .rows = rows };
  if (p->context == 1) {
    evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "context: 1 token predicts nothing; 0 or at least 2");
  } else if (prompts_init (&s->texts, rows, "text", p->text == NULL && rows->template_text == NULL ? "text" : p->text, error)) {
    return s;
  }
  perplexity_close (s);
  return NULL;
}

static gint64
perplexity_n_items (gpointer self)
{
  return ((Perplexity *) self)->rows->n_rows;
}

static gboolean
perplexity_request (gpointer self, gint64 item, EvoRequest *out, GError **error)
{
  Perplexity *s = self;

  out->kind = EVO_REQUEST_ROLLING;
  out->context = s->p->context;
  return prompts_get (&s->texts, item, &out->prompt, error);
}

static gboolean
perplexity_judge (gpointer self, gint64 item, const EvoAnswer *answer, double *values, GError **error)
{
  Perplexity *s = self;
  EvoText text;

  if (!prompts_get (&s->texts, item, &text, error))
    return FALSE;
  values[0] = answer->log_likelihood[0];
  values[1] = (double) answer->n_tokens[0];
  values[2] = (double) text.n;
  return TRUE;
}

static void
add_up (const double *values, gint64 n_items, double sum[3])
{
  sum[0] = sum[1] = sum[2] = 0;
  for (gint64 i = 0; i < n_items; i++)
    for (int k = 0; k < 3; k++)
      sum[k] += values[3 * i + k];
}

static gboolean
perplexity_reduce (gpointer self, const double *values, gint64 n_items, double *out, GError **error)
{
  double sum[3];

  add_up (values, n_items, sum);
  if (sum[1] <= 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "the texts have no tokens to predict");
  *out = exp (-sum[0] / sum[1]);
  return TRUE;
}

static gboolean
perplexity_reduce_extra (gpointer self, const double *values, gint64 n_items, double *out, GError **error)
{
  double sum[3];

  add_up (values, n_items, sum);
  if (sum[2] <= 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "the texts are empty");
  *out = -sum[0] / (sum[2] * G_LN2);
  return TRUE;
}

static const char *const extra_names[] = { "bits_per_byte", NULL };

EVO_EVALUATOR_PLUGIN (.name = "perplexity", .summary = "Perplexity of texts, and bits per byte.", EVO_TAKES (PerplexityParams, params),
                      .n_values = 3, .flags = EVO_EVALUATOR_SMALLER_IS_BETTER, .open = perplexity_open, .n_items = perplexity_n_items,
                      .request = perplexity_request, .judge = perplexity_judge, .reduce = perplexity_reduce, .extra_names = extra_names,
                      .reduce_extra = perplexity_reduce_extra, .close = perplexity_close)
