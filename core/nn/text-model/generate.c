/* SPDX-License-Identifier: Apache-2.0
 * generate.c - generation for many requests at once: every pass takes one new token of each running sequence and as much of waiting prompts
 * as there is room for; a sequence that ends makes room for the next.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/nn/text-model/beam.h"
#include "core/nn/text-model/private.h"

typedef struct {
  EvoTextModel *m;
  EvoGeneration *requests; gsize n;
  const EvoGenerateOptions *o;
  EvoLanes lanes;
  guint32 *order;
  EvoStops stops;
  gint64 next;            /* atomic: index into order of the next request to begin */
  gsize width;            /* rows of a request */
} Job;

typedef struct {
  EvoPrompt prompt;
  EvoGeneration *g;
  gsize index, limit;     /* limit: new tokens at most */
  EvoRandom random;
  EvoBeams *beams;        /* NULL: one row, which is its own beam */
  guint32 *slots;         /* [width]; the first is the prompt's */
  gboolean *has_prompt;   /* [width] is the prompt in this slot? */
  gboolean fed, done;
} Sequence;

/* One lane's work. */
typedef struct {
  Job *job;
  EvoLane *lane;
  Sequence *all;          /* [slots / width] */
  Sequence **running; gsize n_running;
  Sequence **idle; gsize n_idle;
  EvoPrompt before; gboolean has_before; /* the prompt begun last */
  EvoSampler sampler;
  guint32 *best;          /* [max_logits] */
  double *log_sum;        /* [max_logits] */
} Run;

/* ------------------------------------------------------------------ sequences come and go */

static void
begin (Run *r, Sequence *s, gsize index)
{
  Job *job = r->job;
  EvoGeneration *g = &job->requests[index];
  gsize room = (gsize) job->m->decoder.spec.max_positions - g->n_ids;

  s->g = g;
  s->index = index;
  s->limit = MIN ((gsize) job->o->max_tokens, room);
  s->fed = s->done = FALSE;
  for (gsize i = 0; i < job->width; i++) {
    s->slots[i] = evo_cache_take (&r->lane->cache);
    s->has_prompt[i] = i == 0;
  }
  s->prompt = (EvoPrompt){ .ids = g->ids, .n = g->n_ids, .wanted_from = g->n_ids - 1, .slot = s->slots[0] };
  for (gsize i = 1; i < job->width; i++)
    r->lane->turns[s->slots[i]]++;
  evo_prompt_begin (&s->prompt, r->lane->turns, r->has_before ? &r->before : NULL);
  r->before = s->prompt;
  r->has_before = TRUE;
  evo_random_init (&s->random, evo_random_mix (job->o->seed, index));
  s->beams = job->width > 1 ? evo_beams_new ((guint) job->width, s->limit) : NULL;
}

static void
finish (Run *r, Sequence *s)
{
  for (gsize i = 0; i < r->job->width; i++)
    evo_cache_give_back (&r->lane->cache, s->slots[i]);
  g_clear_pointer (&s->beams, evo_beams_free);
  r->idle[r->n_idle++] = s;
}

/* Requests that can have no new token never begin. */
static gboolean
needs_no_pass (const Job *job, const EvoGeneration *g)
{
  return job->o->max_tokens <= 0 || (gint64) g->n_ids >= job->m->decoder.spec.max_positions;
}

static void
admit (Run *r)
{
  Job *job = r->job;

  while (r->n_idle > 0) {
    gint64 i = __atomic_fetch_add (&job->next, 1, __ATOMIC_RELAXED);
    Sequence *s = r->idle[r->n_idle - 1];

    if (i >= (gint64) job->n)
      return;
    if (needs_no_pass (job, &job->requests[job->order[i]]))
      continue;
    r->n_idle--;
    r->running[r->n_running++] = s;
    begin (r, s, job->order[i]);
  }
}

/* ------------------------------------------------------------------ a batch */

/* New beams continue others: what their slots lack is copied from those. A beam that goes on from its own slot copies nothing. */
static void
add_beams (Run *r, Sequence *s)
{
  EvoBeams *b = s->beams;
  gsize at = s->prompt.n + b->length - 1, width = r->job->width;
  guint32 *old = g_newa (guint32, width), *new = g_newa (guint32, width);
  gboolean *taken = g_newa0 (gboolean, width), *had = g_newa (gboolean, width);

  memcpy (old, s->slots, width * sizeof *old);
  memcpy (had, s->has_prompt, width * sizeof *had);
  for (guint i = 0; i < b->n_live; i++) {
    new[i] = taken[b->parents[i]] ? G_MAXUINT32 : b->parents[i];
    taken[b->parents[i]] = TRUE;
  }
  for (guint i = 0, spare = 0; i < width; i++) {
    if (i >= b->n_live || new[i] == G_MAXUINT32) {
      while (taken[spare])
        spare++;
      new[i] = spare;
      taken[spare] = TRUE;
      if (i < b->n_live) {
        gsize first = had[spare] ? s->prompt.n : 0;

        evo_batch_share (&r->lane->batch, old[b->parents[i]], old[spare], first, at - first);
        had[spare] = TRUE;
      }
    }
    s->slots[i] = old[new[i]];
    s->has_prompt[i] = had[new[i]];
  }
  for (guint i = 0; i < b->n_live; i++)
    evo_batch_add (&r->lane->batch, evo_beams_get_tokens (b, i)[b->length - 1], s->slots[i], at, s);
}

static void
fill_batch (Run *r)
{
  EvoBatch *b = &r->lane->batch;

  evo_batch_empty (b);
  for (gsize i = 0; i < r->n_running; i++) {
    Sequence *s = r->running[i];

    if (!s->fed)
      continue;
    if (s->beams != NULL)
      add_beams (r, s);
    else
      evo_batch_add (b, g_array_index (s->g->out, gint32, s->g->out->len - 1), s->prompt.slot, s->prompt.n + s->g->out->len - 1, s);
  }
  for (gsize i = 0; i < r->n_running && b->n < b->max; i++) {
    Sequence *s = r->running[i];

    if (!s->fed)
      s->fed = evo_prompt_feed (&s->prompt, r->lane->turns, b, s);
  }
}

/* ------------------------------------------------------------------ the next token */

static gboolean
not_finite (GError **error)
{
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the model's outputs are not finite numbers");
}

static gint32
choose (Run *r, Sequence *s, const float *logits, guint32 best)
{
  const EvoGenerateOptions *o = r->job->o;
  EvoSampler *sampler = &r->sampler;

  if (o->repetition_penalty != 1) {
    memcpy (sampler->row, logits, sampler->vocab * sizeof *logits);
    evo_sampler_forget (sampler);
    evo_sampler_penalise (sampler, sampler->row, s->prompt.ids, s->prompt.n, o->repetition_penalty);
    evo_sampler_penalise (sampler, sampler->row, (const gint32 *) s->g->out->data, s->g->out->len, o->repetition_penalty);
    logits = sampler->row;
    if (o->temperature == 0)
      best = (guint32) r->job->m->k->argmax (logits, sampler->vocab);
  }
  return o->temperature == 0 ? (gint32) best : evo_sampler_draw (sampler, logits, o, &s->random);
}

static gboolean
is_eos (const Job *job, gint32 id)
{
  const EvoDecoderSpec *spec = &job->m->decoder.spec;

  for (guint i = 0; !job->o->ignore_eos && i < spec->n_eos; i++)
    if (spec->eos[i] == id)
      return TRUE;
  return FALSE;
}

static gboolean
advance (Run *r, Sequence *s, const float *logits, guint32 best, double log_sum, GError **error)
{
  EvoGeneration *g = s->g;
  gint32 id;

  if (!isfinite (logits[best]))
    return not_finite (error);
  id = choose (r, s, logits, best);
  g_array_append_val (g->out, id);
  if (r->job->o->logprobs) {
    float p = (float) ((double) logits[id] - log_sum);

    g_array_append_val (g->logprobs, p);
  }
  s->done = TRUE;
  if (is_eos (r->job, id))
    g->reason = EVO_STOP_EOS;
  else if (evo_stops_hit (&r->job->stops, (const gint32 *) g->out->data, g->out->len))
    g->reason = EVO_STOP_STRING;
  else if (g->out->len == s->limit)
    g->reason = EVO_STOP_LENGTH;
  else
    s->done = FALSE;
  return TRUE;
}

static gboolean
advance_beams (Run *r, Sequence *s, const float *logits, gsize stride, const double *log_sum, GError **error)
{
  const EvoBeamContext c = { r->job->o, &r->job->m->decoder.spec, &r->job->stops, &r->sampler, s->prompt.ids, s->prompt.n };

  if (!isfinite (log_sum[0]))
    return not_finite (error);
  if (evo_beams_step (s->beams, &c, logits, stride, log_sum))
    return TRUE;
  if (s->beams->n_ended == 0)
    return not_finite (error);
  g_array_append_vals (s->g->out, s->beams->ended[0].tokens, (guint) s->beams->ended[0].n);
  s->g->score = s->beams->ended[0].score;
  s->g->reason = s->beams->ended[0].reason;
  s->done = TRUE;
  return TRUE;
}

/* As many outputs from `first` on as fit into one block of logits, a sequence's beams never apart. */
static gsize
next_block (const EvoLane *lane, gsize first)
{
  gsize n = MIN (lane->pass.max_logits, lane->pass.n_out - first);

  while (first + n < lane->pass.n_out && lane->batch.owners[first + n - 1] == lane->batch.owners[first + n])
    n--;
  return n;
}

static gsize
rows_of_owner (const EvoLane *lane, gsize i, gsize end)
{
  gsize n = 1;

  while (i + n < end && lane->batch.owners[i + n] == lane->batch.owners[i])
    n++;
  return n;
}

static gboolean
advance_block (Run *r, gsize first, gsize n, GError **error)
{
  EvoLane *lane = r->lane;
  const EvoOps *o = lane->queue->ops;
  gsize vocab = r->sampler.vocab;
  EvoView v = evo_decoder_logits (&r->job->m->decoder, &lane->pass, first, n);
  const float *logits;

  if (r->job->width == 1)
    o->argmax (lane->queue, v, n, vocab, r->best);
  if (r->job->o->logprobs || r->job->width > 1)
    o->log_sum_exp (lane->queue, v, n, vocab, r->log_sum);
  logits = o->map (lane->queue, v, n);
  for (gsize i = 0, rows; i < n; i += rows) {
    Sequence *s = lane->batch.owners[first + i];

    rows = rows_of_owner (lane, first + i, first + n);
    if (s->beams != NULL ? !advance_beams (r, s, logits + i * v.stride, v.stride, r->log_sum + i, error)
                         : !advance (r, s, logits + i * v.stride, r->best[i], r->log_sum[i], error))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ a lane */

static void
run_init (Run *r, Job *job, EvoLane *lane)
{
  gsize n = job->lanes.slots / job->width;

  *r = (Run){ .job = job, .lane = lane };
  r->all = g_new0 (Sequence, n);
  r->running = g_new (Sequence *, n);
  r->idle = g_new (Sequence *, n);
  for (gsize i = 0; i < n; i++) {
    r->all[i].slots = g_new0 (guint32, job->width);
    r->all[i].has_prompt = g_new0 (gboolean, job->width);
    r->idle[r->n_idle++] = &r->all[i];
  }
  evo_sampler_init (&r->sampler, (gsize) job->m->decoder.spec.vocab);
  r->best = g_new0 (guint32, lane->pass.max_logits);
  r->log_sum = g_new0 (double, lane->pass.max_logits);
}

static void
run_clear (Run *r)
{
  for (gsize i = 0; i < r->n_running; i++)
    g_clear_pointer (&r->running[i]->beams, evo_beams_free);
  for (gsize i = 0; i < r->job->lanes.slots / r->job->width; i++) {
    g_free (r->all[i].slots);
    g_free (r->all[i].has_prompt);
  }
  g_free (r->all);
  g_free (r->running);
  g_free (r->idle);
  evo_sampler_clear (&r->sampler);
  g_free (r->best);
  g_free (r->log_sum);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

static void
drop_done (Run *r)
{
  gsize n = 0;

  for (gsize i = 0; i < r->n_running; i++) {
    Sequence *s = r->running[i];

    if (s->done)
      finish (r, s);
    else
      r->running[n++] = s;
  }
  r->n_running = n;
}

static gboolean
run_lane (gpointer data, gint64 item, guint thread, GError **error)
{
  Job *job = data;
  g_auto (Run) r = { NULL };

  run_init (&r, job, &job->lanes.lanes[item]);
  for (admit (&r); r.n_running > 0; admit (&r)) {
    fill_batch (&r);
    evo_decoder_run (&job->m->decoder, &r.lane->pass, &r.lane->cache, &r.lane->batch);
    for (gsize first = 0, n; first < r.lane->pass.n_out; first += n) {
      n = next_block (r.lane, first);
      if (!advance_block (&r, first, n, error))
        return FALSE;
    }
    drop_done (&r);
  }
  return TRUE;
}

/* ------------------------------------------------------------------ all requests */

static gboolean
check_options (const EvoTextModel *m, const EvoGenerateOptions *o, GError **error)
{
  if (o->n_stop > 0 && m->tokenizer == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "stop strings need a tokenizer, and the model has none");
  if (o->beams > 1 && o->temperature != 0)
    return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "beams: %" G_GINT64_FORMAT " beams are searched without sampling; "
                          "temperature must be 0", o->beams);
  if (o->beams < 1 || o->beams > 1024)
    return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "beams: %" G_GINT64_FORMAT " is outside 1 ... 1024", o->beams);
  if (!(o->temperature >= 0) || !(o->repetition_penalty > 0) || !(o->top_p > 0) || !isfinite (o->length_penalty) || o->top_k < 0)
    return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "temperature and top_k must not be negative, repetition_penalty and "
                          "top_p must be positive, length_penalty finite");
  return TRUE;
}

static gboolean
check_requests (const EvoTextModel *m, const EvoGeneration *requests, gsize n, GError **error)
{
  for (gsize i = 0; i < n; i++) {
    if (requests[i].n_ids == 0)
      return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "request %" G_GSIZE_FORMAT ": the prompt has no tokens", i);
    if (!evo_text_model_check_ids (m, i, requests[i].ids, requests[i].n_ids, error))
      return FALSE;
  }
  return TRUE;
}

/* Positions of the longest request that begins. */
static gsize
most_positions (const Job *job)
{
  gsize most = 1;

  for (gsize i = 0; i < job->n; i++) {
    const EvoGeneration *g = &job->requests[i];

    if (!needs_no_pass (job, g))
      most = MAX (most, MIN (g->n_ids + (gsize) job->o->max_tokens, (gsize) job->m->decoder.spec.max_positions));
  }
  return most;
}

static guint32 *
order_requests (const EvoGeneration *requests, gsize n)
{
  g_autofree EvoKey *keys = g_new (EvoKey, MAX (n, 1));

  for (gsize i = 0; i < n; i++)
    keys[i] = (EvoKey){ requests[i].ids, requests[i].n_ids, (guint32) i };
  return evo_text_model_order (keys, n);
}

static gboolean
run_job (Job *job, guint batch, GError **error)
{
  EvoLanePlan plan = { job->n, job->width, most_positions (job), batch };

  job->lanes = evo_text_model_take_lanes (job->m, &plan);
  for (gsize i = 0; i < job->n; i++) {
    EvoGeneration *g = &job->requests[i];

    g->out = g_array_sized_new (FALSE, FALSE, sizeof (gint32), (guint) CLAMP (job->o->max_tokens, 1, 4096));
    g->logprobs = g_array_sized_new (FALSE, FALSE, sizeof (float), (guint) (job->o->logprobs ? CLAMP (job->o->max_tokens, 1, 4096) : 1));
    g->reason = EVO_STOP_LENGTH;
    g->score = 0;
    g->text = NULL;
  }
  return evo_text_model_run_lanes (job->m, &job->lanes, run_lane, job, error);
}

static gboolean
decode_one (gpointer data, gint64 item, guint thread, GError **error)
{
  const Job *job = data;
  EvoGeneration *g = &job->requests[item];

  g->text = evo_tokenizer_decode (job->m->tokenizer, (const gint32 *) g->out->data, g->out->len, TRUE);
  if (g->reason == EVO_STOP_STRING)
    evo_stops_cut (&job->stops, g->text);
  return TRUE;
}

gboolean
evo_text_model_generate (EvoTextModel *m, EvoGeneration *requests, gsize n, const EvoGenerateOptions *o, guint batch, GError **error)
{
  Job job = { .m = m, .requests = requests, .n = n, .o = o, .width = (gsize) o->beams };
  gboolean good;

  if (!check_options (m, o, error) || !evo_text_model_is_complete (m, error) || !check_requests (m, requests, n, error))
    return FALSE;
  if (n == 0)
    return TRUE;
  job.order = order_requests (requests, n);
  evo_stops_init (&job.stops, m->tokenizer, o->stop, o->n_stop, (gsize) m->decoder.spec.vocab);
  good = run_job (&job, batch, error);
  if (good && m->tokenizer != NULL)
    evo_pool_run (m->pool, (gint64) n, decode_one, &job, NULL);
  for (gsize i = 0; !good && i < n; i++)
    evo_generation_clear (&requests[i]);
  evo_stops_clear (&job.stops);
  g_free (job.order);
  return good;
}

void
evo_generation_clear (EvoGeneration *g)
{
  g_clear_pointer (&g->out, g_array_unref);
  g_clear_pointer (&g->logprobs, g_array_unref);
  if (g->text != NULL)
    g_string_free (g->text, TRUE);
  g->text = NULL;
}
