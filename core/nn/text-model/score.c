/* SPDX-License-Identifier: Apache-2.0
 * score.c - log-likelihoods of given texts: one pass over each, logits of the scored positions only, a block of rows at a time.
 */
#include "core/base/error.h"
#include "core/nn/text-model/private.h"

typedef struct {
  EvoTextModel *m;
  EvoScoring *requests; gsize n;
  EvoLanes lanes;
  guint32 *order;
  gint64 next;            /* atomic */
  EvoPrefixRows rows;     /* of the texts in order, with `between` */
  const EvoBetween *between; /* NULL: no hidden states are kept */
} Job;

typedef struct { EvoPrompt prompt; EvoScoring *s; gsize at, scored; double sum; gboolean is_greedy, fed; } Text; /* at: in the job's order */

typedef struct {
  Job *job;
  EvoLane *lane;
  Text *texts; gsize n_texts; /* a ring: [first], ... are in work, in the order they began */
  gsize first, n_busy;
  EvoPrompt before; gboolean has_before;
  guint32 *best;
  double *log_sum;
} Run;

static Text *
text_at (const Run *r, gsize i)
{
  return &r->texts[(r->first + i) % r->n_texts];
}

static void
begin (Run *r, EvoScoring *s, gsize at)
{
  Text *t = text_at (r, r->n_busy++);

  *t = (Text){ .s = s, .at = at, .is_greedy = TRUE };
  /* the last token is predicted, never fed */
  t->prompt = (EvoPrompt){ .ids = s->ids, .n = s->n_ids - 1, .wanted_from = s->first - 1, .slot = evo_cache_take (&r->lane->cache) };
  evo_prompt_begin (&t->prompt, r->lane->turns, r->has_before ? &r->before : NULL);
  r->before = t->prompt;
  r->has_before = TRUE;
}

static void
admit (Run *r)
{
  Job *job = r->job;

  while (r->n_busy < r->n_texts) {
    gint64 i = __atomic_fetch_add (&job->next, 1, __ATOMIC_RELAXED);

    if (i >= (gint64) job->n)
      return;
    if (job->requests[job->order[i]].n_ids > job->requests[job->order[i]].first)
      begin (r, &job->requests[job->order[i]], (gsize) i);
  }
}

static gboolean
score_block (Run *r, gsize first, gsize n, GError **error)
{
  EvoLane *lane = r->lane;
  const EvoOps *o = lane->queue->ops;
  gsize vocab = (gsize) r->job->m->decoder.spec.vocab;
  EvoView v = evo_decoder_logits (&r->job->m->decoder, &lane->pass, first, n);
  const float *logits;

  o->argmax (lane->queue, v, n, vocab, r->best);
  o->log_sum_exp (lane->queue, v, n, vocab, r->log_sum);
  logits = o->map (lane->queue, v, n);
  for (gsize i = 0; i < n; i++) {
    Text *t = lane->batch.owners[first + i];
    gint32 id = t->s->ids[t->s->first + t->scored++];
    double p = (double) logits[i * v.stride + (gsize) id] - r->log_sum[i];

    if (!isfinite (p))
      return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the model's outputs are not finite numbers");
    t->sum += p;
    t->is_greedy &= r->best[i] == (guint32) id;
  }
  return TRUE;
}

static void
drop_done (Run *r)
{
  while (r->n_busy > 0 && text_at (r, 0)->fed) {
    Text *t = text_at (r, 0);

    t->s->log_likelihood = t->sum;
    t->s->is_greedy = t->is_greedy;
    evo_cache_give_back (&r->lane->cache, t->prompt.slot);
    r->first = (r->first + 1) % r->n_texts;
    r->n_busy--;
  }
}

/* Where the states of the batch's rows from `first` on come from, and where they go: each is left by the text it is the own of. */
static void
place_rows (Run *r, const Text *t, gsize first)
{
  const EvoPrefixRows *rows = &r->job->rows;
  EvoLane *lane = r->lane;

  for (gsize i = first; r->job->between != NULL && i < lane->batch.n; i++) {
    gsize position = lane->batch.tokens[i].position;

    lane->pass.from[i] = rows->rows[rows->first[t->at] + position];
    lane->pass.to[i] = position >= rows->own[t->at] ? lane->pass.from[i] : G_MAXUINT32;
  }
}

static void
fill_batch (Run *r)
{
  EvoLane *lane = r->lane;

  evo_batch_empty (&lane->batch);
  for (gsize i = 0; i < r->n_busy && lane->batch.n < lane->batch.max; i++) {
    gsize first = lane->batch.n;

    text_at (r, i)->fed = evo_prompt_feed (&text_at (r, i)->prompt, lane->turns, &lane->batch, text_at (r, i));
    place_rows (r, text_at (r, i), first);
  }
}

static gboolean
run_texts (Run *r, GError **error)
{
  EvoLane *lane = r->lane;

  for (admit (r); r->n_busy > 0; admit (r)) {
    fill_batch (r);
    evo_decoder_run (&r->job->m->decoder, &lane->pass, &lane->cache, &lane->batch);
    for (gsize first = 0, n; first < lane->pass.n_out; first += n) {
      n = MIN (lane->pass.max_logits, lane->pass.n_out - first);
      if (!score_block (r, first, n, error))
        return FALSE;
    }
    drop_done (r);
  }
  return TRUE;
}

static gboolean
run_lane (gpointer data, gint64 item, guint thread, GError **error)
{
  Job *job = data;
  EvoLane *lane = &job->lanes.lanes[item];
  g_autofree Text *texts = g_new0 (Text, job->lanes.slots);
  g_autofree guint32 *best = g_new (guint32, lane->pass.max_logits);
  g_autofree double *log_sum = g_new (double, lane->pass.max_logits);
  gsize n_rows = job->between == NULL ? 0 : lane->batch.max;
  g_autofree guint32 *from = g_new (guint32, n_rows), *to = g_new (guint32, n_rows);
  Run r = { .job = job, .lane = lane, .texts = texts, .n_texts = job->lanes.slots, .best = best, .log_sum = log_sum };
  gboolean good;

  lane->pass.between = job->between;
  lane->pass.from = from;
  lane->pass.to = to;
  good = run_texts (&r, error);
  lane->pass.between = NULL;
  lane->pass.from = lane->pass.to = NULL;
  return good;
}

static gboolean
check_requests (const EvoTextModel *m, const EvoScoring *requests, gsize n, gsize *longest, GError **error)
{
  *longest = 1;
  for (gsize i = 0; i < n; i++) {
    if (requests[i].first < 1)
      return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "text %" G_GSIZE_FORMAT ": nothing predicts its first token", i);
    if (!evo_text_model_check_ids (m, i, requests[i].ids, requests[i].n_ids, error))
      return FALSE;
    *longest = MAX (*longest, requests[i].n_ids);
    if ((gint64) requests[i].n_ids - 1 > m->decoder.spec.max_positions)
      return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "text %" G_GSIZE_FORMAT ": its %" G_GSIZE_FORMAT
                            " tokens are more than the model's %" G_GINT64_FORMAT " positions", i, requests[i].n_ids,
                            m->decoder.spec.max_positions);
  }
  return TRUE;
}

/* With hidden states that earlier calls left, leaving some to later ones. */
static gboolean
run_between (Job *job, GError **error)
{
  g_autofree EvoPrefixText *texts = g_new (EvoPrefixText, job->n);
  EvoTextModel *m = job->m;
  gboolean good;

  for (gsize i = 0; i < job->n; i++) {
    const EvoScoring *s = &job->requests[job->order[i]];

    texts[i] = (EvoPrefixText){ s->ids, s->n_ids > s->first ? s->n_ids - 1 : 0 };
  }
  evo_prefix_rows_init (&job->rows, texts, job->n);
  job->between = evo_prefix_cache_begin (m->prefix, &job->rows, &m->decoder);
  good = evo_text_model_run_lanes (m, &job->lanes, run_lane, job, error);
  evo_prefix_cache_end (m->prefix, good);
  evo_prefix_rows_clear (&job->rows);
  return good;
}

gboolean
evo_text_model_score (EvoTextModel *m, EvoScoring *requests, gsize n, guint batch, GError **error)
{
  Job job = { .m = m, .requests = requests, .n = n };
  EvoLanePlan plan = { .n_requests = n, .rows_each = 1, .batch = batch };
  g_autofree guint32 *order = NULL;
  g_autofree EvoKey *keys = g_new (EvoKey, MAX (n, 1));

  if (!evo_text_model_is_complete (m, error) || !check_requests (m, requests, n, &plan.positions, error))
    return FALSE;
  if (n == 0)
    return TRUE;
  for (gsize i = 0; i < n; i++) {
    requests[i].log_likelihood = 0;
    requests[i].is_greedy = TRUE;
    keys[i] = (EvoKey){ requests[i].ids, requests[i].n_ids, (guint32) i };
  }
  job.order = order = evo_text_model_order (keys, n);
  job.lanes = evo_text_model_take_lanes (m, &plan);
  return m->prefix != NULL ? run_between (&job, error) : evo_text_model_run_lanes (m, &job.lanes, run_lane, &job, error);
}
