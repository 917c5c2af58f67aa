/* SPDX-License-Identifier: Apache-2.0
 * ask.c - turns an evaluator's requests into generations and log-likelihoods, and the model's answers into item scores.
 */
#include "core/base/error.h"
#include "core/search/scorer/private.h"

#define EMPTY_REQUEST ((EvoRequest){ .repetition_penalty = 1, .length_penalty = 1, .top_p = 1, .beams = 1 })

typedef struct {
  EvoScorer *s;
  EvoTextModel *model;
  const gint64 *items; gsize n;
  double *values; char **answers;
  EvoRequest *requests;   /* [n] */
  GArray **ids;           /* [n] prompt or context tokens */
} Run;

static void
run_clear (Run *r)
{
  for (gsize i = 0; i < r->n; i++)
    g_clear_pointer (&r->ids[i], g_array_unref);
  g_free (r->ids);
  g_free (r->requests);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

static gint64
item_of (const Run *r, gsize i)
{
  return r->items == NULL ? (gint64) i : r->items[i];
}

static double *
values_of (const Run *r, gsize i)
{
  return r->values + i * evo_scorer_get_n_values (r->s);
}

static GArray *
encode (const Run *r, const char *text, gsize n)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  evo_tokenizer_encode (evo_text_model_get_tokenizer (r->model), text, n, TRUE, ids);
  return ids;
}

/* Items are run together, so they must ask for the same kind of thing, under the same options. */
static gboolean
is_alike (const EvoRequest *a, const EvoRequest *b)
{
  if (a->kind != b->kind || a->context != b->context || a->n_stop != b->n_stop)
    return FALSE;
  for (guint i = 0; i < a->n_stop; i++)
    if (!g_str_equal (a->stop[i], b->stop[i]))
      return FALSE;
  return a->max_tokens == b->max_tokens && a->beams == b->beams && a->top_k == b->top_k && a->temperature == b->temperature &&
         a->top_p == b->top_p && a->repetition_penalty == b->repetition_penalty && a->length_penalty == b->length_penalty && a->seed == b->seed;
}

static gboolean
make_requests (Run *r, GError **error)
{
  for (gsize i = 0; i < r->n; i++) {
    r->requests[i] = EMPTY_REQUEST;
    if (!r->s->op->request (r->s->self, item_of (r, i), &r->requests[i], error))
      return FALSE;
    if (!is_alike (&r->requests[0], &r->requests[i]))
      return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, "%s asks item %" G_GINT64_FORMAT " otherwise than the first; its items "
                            "must differ in nothing but their texts", r->s->node->plugin->name, item_of (r, i));
    r->ids[i] = encode (r, r->requests[i].prompt.bytes, r->requests[i].prompt.n);
  }
  return TRUE;
}

/* ------------------------------------------------------------------ generation */

static gboolean
judge_text (Run *r, gsize i, const EvoGeneration *g, GError **error)
{
  gint64 n_tokens = g->out->len;
  EvoAnswer answer = { .text = { g->text->str, g->text->len }, .n_tokens = &n_tokens };

  if (r->answers != NULL)
    r->answers[i] = g_utf8_make_valid (g->text->str, (gssize) g->text->len);
  return r->s->op->judge (r->s->self, item_of (r, i), &answer, values_of (r, i), error);
}

static gboolean
run_generate (Run *r, GError **error)
{
  const EvoRequest *q = &r->requests[0];
  EvoGenerateOptions options = { .max_tokens = q->max_tokens, .beams = q->beams, .top_k = q->top_k, .temperature = q->temperature,
                                 .top_p = q->top_p, .repetition_penalty = q->repetition_penalty, .length_penalty = q->length_penalty,
                                 .seed = q->seed, .stop = q->stop, .n_stop = q->n_stop };
  g_autofree EvoGeneration *g = g_new0 (EvoGeneration, r->n);
  gboolean good;

  for (gsize i = 0; i < r->n; i++) {
    g[i].ids = (const gint32 *) r->ids[i]->data;
    g[i].n_ids = r->ids[i]->len;
  }
  good = evo_text_model_generate (r->model, g, r->n, &options, 0, error);
  for (gsize i = 0; i < r->n; i++) {
    good = good && judge_text (r, i, &g[i], error);
    evo_generation_clear (&g[i]);
  }
  return good;
}

/* ------------------------------------------------------------------ log-likelihoods over choices */

/* As lm-eval: context and continuation are encoded together and cut at the context's tokens; trailing blanks of the context move to the
 * continuation. The context's length is that of its own encoding. What the model has no positions for is cut from the left: the last token is
 * only predicted, so one more fits. */
static GArray *
encode_choice (const Run *r, EvoText context, EvoText choice, gsize *n_context)
{
  g_autoptr (GString) whole = g_string_new_len (context.bytes, (gssize) context.n);
  g_autoptr (GArray) head = NULL;
  gsize cut = context.n;

  while (cut > 0 && g_ascii_isspace (context.bytes[cut - 1]))
    cut--;
  g_string_append_len (whole, choice.bytes, (gssize) choice.n);
  head = encode (r, context.bytes, cut);
  GArray *all = encode (r, whole->str, whole->len);
  guint limit = (guint) MAX (evo_text_model_get_spec (r->model)->max_positions, 1) + 1, over = all->len > limit ? all->len - limit : 0;
  *n_context = MIN (head->len, all->len == 0 ? 0 : all->len - 1);
  if (over > 0)
    g_array_remove_range (all, 0, over);
  *n_context -= MIN (*n_context, over);
  return all;
}

typedef struct { GArray *scorings, *encoded, *first; /* first: index of each item's first scoring */ } Choices;

static void
choices_clear (Choices *c)
{
  for (guint i = 0; i < c->encoded->len; i++)
    g_array_unref (g_array_index (c->encoded, GArray *, i));
  g_array_unref (c->encoded);
  g_array_unref (c->scorings);
  g_array_unref (c->first);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Choices, choices_clear)

static gboolean
judge_choices (Run *r, gsize i, const EvoScoring *scored, GError **error)
{
  guint n = r->requests[i].n_choices;
  g_autofree double *ll = g_new (double, n);
  g_autofree gint64 *tokens = g_new (gint64, n);
  g_autofree gboolean *greedy = g_new (gboolean, n);

  for (guint c = 0; c < n; c++) {
    ll[c] = scored[c].log_likelihood;
    tokens[c] = (gint64) (scored[c].n_ids - scored[c].first);
    greedy[c] = scored[c].is_greedy;
  }
  EvoAnswer answer = { .log_likelihood = ll, .n_tokens = tokens, .is_greedy = greedy };
  return r->s->op->judge (r->s->self, item_of (r, i), &answer, values_of (r, i), error);
}

static gboolean
run_choices (Run *r, GError **error)
{
  g_auto (Choices) c = { g_array_new (FALSE, FALSE, sizeof (EvoScoring)), g_array_new (FALSE, FALSE, sizeof (GArray *)),
                         g_array_new (FALSE, FALSE, sizeof (guint)) };

  for (gsize i = 0; i < r->n; i++) {
    guint first = c.scorings->len;

    g_array_append_val (c.first, first);
    for (guint j = 0; j < r->requests[i].n_choices; j++) {
      gsize cut;
      GArray *ids = encode_choice (r, r->requests[i].prompt, r->requests[i].choices[j], &cut);
      EvoScoring scoring = { .ids = (const gint32 *) ids->data, .n_ids = ids->len, .first = MAX (cut, 1) };

      g_array_append_val (c.encoded, ids);
      g_array_append_val (c.scorings, scoring);
    }
  }
  if (!evo_text_model_score (r->model, (EvoScoring *) c.scorings->data, c.scorings->len, 0, error))
    return FALSE;
  for (gsize i = 0; i < r->n; i++)
    if (!judge_choices (r, i, &g_array_index (c.scorings, EvoScoring, g_array_index (c.first, guint, i)), error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ rolling log-likelihood of documents */

/* Windows of `context` tokens, each beginning with BOS where the model has one; every token of the document is predicted once. */
static void
add_windows (const Run *r, gsize i, gint64 context, gint64 bos, Choices *c)
{
  GArray *ids = r->ids[i];
  guint from = bos >= 0 && ids->len > 0 && g_array_index (ids, gint32, 0) == bos ? 1 : 0, first = c->scorings->len;
  gsize room = (gsize) MAX (context - (bos >= 0 ? 1 : 0), 2);

  g_array_append_val (c->first, first);
  for (gsize at = from; at < ids->len; at += room) {
    gsize n = MIN (room, ids->len - at);
    GArray *window = g_array_new (FALSE, FALSE, sizeof (gint32));
    gint32 start = (gint32) bos;

    if (bos >= 0)
      g_array_append_val (window, start);
    g_array_append_vals (window, &g_array_index (ids, gint32, at), (guint) n);
    EvoScoring scoring = { .ids = (const gint32 *) window->data, .n_ids = window->len, .first = 1 };
    g_array_append_val (c->encoded, window);
    g_array_append_val (c->scorings, scoring);
  }
}

static gboolean
judge_rolling (Run *r, gsize i, const Choices *c, GError **error)
{
  guint from = g_array_index (c->first, guint, i), to = i + 1 < r->n ? g_array_index (c->first, guint, i + 1) : c->scorings->len;
  double sum = 0;
  gint64 tokens = 0;

  for (guint j = from; j < to; j++) {
    const EvoScoring *s = &g_array_index (c->scorings, EvoScoring, j);

    sum += s->n_ids > s->first ? s->log_likelihood : 0;
    tokens += s->n_ids > s->first ? (gint64) (s->n_ids - s->first) : 0;
  }
  EvoAnswer answer = { .log_likelihood = &sum, .n_tokens = &tokens };
  return r->s->op->judge (r->s->self, item_of (r, i), &answer, values_of (r, i), error);
}

static gboolean
run_rolling (Run *r, GError **error)
{
  const EvoDecoderSpec *spec = evo_text_model_get_spec (r->model);
  g_auto (Choices) c = { g_array_new (FALSE, FALSE, sizeof (EvoScoring)), g_array_new (FALSE, FALSE, sizeof (GArray *)),
                         g_array_new (FALSE, FALSE, sizeof (guint)) };

  for (gsize i = 0; i < r->n; i++) {
    gint64 context = r->requests[i].context > 0 ? r->requests[i].context : spec->max_positions;

    if (context > spec->max_positions && spec->max_positions > 0)
      return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s: context %" G_GINT64_FORMAT " is more than the model's %"
                            G_GINT64_FORMAT " positions", r->s->node->name, context, spec->max_positions);
    add_windows (r, i, context, spec->bos, &c);
  }
  if (!evo_text_model_score (r->model, (EvoScoring *) c.scorings->data, c.scorings->len, 0, error))
    return FALSE;
  for (gsize i = 0; i < r->n; i++)
    if (!judge_rolling (r, i, &c, error))
      return FALSE;
  return TRUE;
}

/* Of the plain checkpoint, which has one layer for every hop. */
static void
count_costs (const EvoDecoderSpec *d, double values[4])
{
  double queries = (double) (d->n_heads * d->head_dim), keys = (double) (d->n_kv_heads * d->head_dim), h = (double) d->hidden;
  double mlp = (double) d->intermediate, n = (double) d->n_layers, table = (double) d->vocab * h;
  double matrices = h * (2 * queries + 2 * keys) + 3 * h * mlp;
  double rest = 2 * h + (d->attention_bias ? queries + 2 * keys + h : 0) + (d->mlp_bias ? 2 * mlp + h : 0);

  values[0] = n;
  values[1] = n * (matrices + rest) + h + table * (d->tied ? 1 : 2);
  values[2] = n * 2 * keys * 2;
  values[3] = 2 * (n * matrices + table);
}

gboolean
evo_scorer_run (EvoScorer *s, EvoTextModel *model, const gint64 *items, gsize n, double *values, char **answers, GError **error)
{
  gsize count = items == NULL ? s->n_items : n;
  g_auto (Run) r = { s, model, items, count, values, answers, g_new0 (EvoRequest, MAX (count, 1)), g_new0 (GArray *, MAX (count, 1)) };
  gboolean done;

  if (evo_scorer_is_cost (s)) {
    count_costs (evo_text_model_get_spec (model), values);
    return TRUE;
  }
  if (evo_text_model_get_tokenizer (model) == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: the model has no tokenizer (tokenizer.json or tokenizer.model), "
                          "so it cannot read the items' text", s->node->name);
  if (count == 0)
    return TRUE;
  if (!make_requests (&r, error)) {
    g_prefix_error (error, "%s: ", s->node->name);
    return FALSE;
  }
  if (r.requests[0].kind == EVO_REQUEST_GENERATE)
    done = run_generate (&r, error);
  else if (r.requests[0].kind == EVO_REQUEST_CHOICES)
    done = run_choices (&r, error);
  else
    done = run_rolling (&r, error);
  if (!done)
    g_prefix_error (error, "%s: ", s->node->name);
  return done;
}

gboolean
evo_scorer_encode_prompts (EvoScorer *s, EvoTokenizer *tokenizer, gsize most, GPtrArray *out, GError **error)
{
  for (gsize i = 0; tokenizer != NULL && i < MIN (most, s->n_items); i++) {
    EvoRequest q = EMPTY_REQUEST;
    GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

    g_ptr_array_add (out, ids);
    if (!s->op->request (s->self, (gint64) i, &q, error)) {
      g_prefix_error (error, "%s: ", s->node->name);
      return FALSE;
    }
    evo_tokenizer_encode (tokenizer, q.prompt.bytes, q.prompt.n, TRUE, ids);
  }
  return TRUE;
}
