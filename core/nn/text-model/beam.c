/* SPDX-License-Identifier: Apache-2.0
 * beam.c - beam search as the reference library does it, its penalties, its end and its ties.
 *
 * A step: log-softmax of each live beam's logits, the repetition penalty on these log-probabilities, plus the beam's score; of all
 * beams x vocabulary the best max (2, 1 + stop tokens) x width candidates are kept. Those that end among the best `width` become hypotheses,
 * with score / length^length_penalty; the best `width` that do not end go on.
 */
#include "core/nn/text-model/beam.h"

#include <math.h>
#include <string.h>

EvoBeams *
evo_beams_new (guint width, gsize limit)
{
  EvoBeams *b = g_new0 (EvoBeams, 1);

  b->width = width;
  b->limit = limit;
  b->n_live = 1;
  b->tokens = g_new (gint32, width * limit);
  b->spare = g_new (gint32, width * limit);
  b->scores = g_new0 (double, width);
  b->next_ids = g_new0 (gint32, width);
  b->next_scores = g_new0 (double, width);
  b->parents = g_new0 (guint, width);
  b->ended = g_new0 (EvoHypothesis, width);
  b->best = g_new (EvoCandidate, width * (2 + G_N_ELEMENTS (((EvoDecoderSpec *) 0)->eos)));
  b->best_beam = g_new (guint, width * (2 + G_N_ELEMENTS (((EvoDecoderSpec *) 0)->eos)));
  return b;
}

void
evo_beams_free (EvoBeams *b)
{
  if (b == NULL)
    return;
  for (guint i = 0; i < b->n_ended; i++)
    g_free (b->ended[i].tokens);
  g_free (b->ended);
  g_free (b->tokens);
  g_free (b->spare);
  g_free (b->scores);
  g_free (b->next_ids);
  g_free (b->next_scores);
  g_free (b->parents);
  g_free (b->best);
  g_free (b->best_beam);
  g_free (b);
}

/* ------------------------------------------------------------------ candidates of a step */

static void
offer (EvoBeams *b, gsize most, guint beam, gint32 id, double score)
{
  gsize at = b->n_best;

  if (at == most && !(score > b->best[at - 1].value))
    return;
  if (at < most)
    b->n_best++;
  else
    at--;
  for (; at > 0 && score > b->best[at - 1].value; at--) {
    b->best[at] = b->best[at - 1];
    b->best_beam[at] = b->best_beam[at - 1];
  }
  b->best[at] = (EvoCandidate){ score, id };
  b->best_beam[at] = beam;
}

/* Scores are kept in double: log-probabilities of the row, penalised where a token was seen, added to the beam's. */
static void
offer_row (EvoBeams *b, const EvoBeamContext *c, gsize most, guint beam, const float *logits, double log_sum)
{
  double penalty = c->options->repetition_penalty, base = b->scores[beam], least;
  EvoSampler *s = c->sampler;
  gsize n = (gsize) c->spec->vocab;

  evo_sampler_forget (s);
  if (penalty != 1) {
    for (gsize i = 0; i < c->n_prompt; i++)
      s->stamp[c->prompt[i]] = s->turn;
    for (gsize i = 0; i < b->length; i++)
      s->stamp[evo_beams_get_tokens (b, beam)[i]] = s->turn;
  }
  for (gsize i = 0; i < n; i++) {
    double p = (double) logits[i] - log_sum;

    if (s->stamp[i] == s->turn)
      p = p > 0 ? p / penalty : p * penalty;
    least = b->n_best < most ? -HUGE_VAL : b->best[most - 1].value;
    if (base + p > least)
      offer (b, most, beam, (gint32) i, base + p);
  }
}

static gboolean
is_eos (const EvoBeamContext *c, gint32 id)
{
  for (guint i = 0; !c->options->ignore_eos && i < c->spec->n_eos; i++)
    if (c->spec->eos[i] == id)
      return TRUE;
  return FALSE;
}

/* ------------------------------------------------------------------ hypotheses */

/* Takes the tokens of beam `parent` and one more, if the score is among the best. */
static void
end_hypothesis (EvoBeams *b, guint parent, gint32 id, double score, EvoStopReason reason)
{
  gsize n = b->length + 1;
  guint at = b->n_ended;
  gint32 *tokens;

  if (at == b->width && !(score > b->ended[at - 1].score))
    return;
  tokens = g_new (gint32, n);
  memcpy (tokens, evo_beams_get_tokens (b, parent), b->length * sizeof *tokens);
  tokens[b->length] = id;
  if (at < b->width)
    b->n_ended++;
  else
    g_free (b->ended[--at].tokens);
  for (; at > 0 && score > b->ended[at - 1].score; at--)
    b->ended[at] = b->ended[at - 1];
  b->ended[at] = (EvoHypothesis){ score, tokens, n, reason };
}

static gboolean
ends (const EvoBeams *b, const EvoBeamContext *c, guint parent, gint32 id, EvoStopReason *reason)
{
  gint32 *tokens = b->spare; /* free during a step, as long as one beam at least */

  *reason = EVO_STOP_EOS;
  if (is_eos (c, id))
    return TRUE;
  if (c->stops->n > 0) {
    memcpy (tokens, evo_beams_get_tokens (b, parent), b->length * sizeof *tokens);
    tokens[b->length] = id;
    *reason = EVO_STOP_STRING;
    if (evo_stops_hit (c->stops, tokens, b->length + 1))
      return TRUE;
  }
  *reason = EVO_STOP_LENGTH;
  return b->length + 1 == b->limit;
}

/* Sorts the best candidates into those that end and the next live beams. Returns how many go on. */
static guint
divide (EvoBeams *b, const EvoBeamContext *c)
{
  double length = pow ((double) (b->length + 1), c->options->length_penalty);
  guint n = 0;

  for (gsize i = 0; i < b->n_best; i++) {
    EvoStopReason reason;

    if (ends (b, c, b->best_beam[i], b->best[i].id, &reason)) {
      if (i < b->width)
        end_hypothesis (b, b->best_beam[i], b->best[i].id, b->best[i].value / length, reason);
    } else if (n < b->width) {
      b->parents[n] = b->best_beam[i];
      b->next_ids[n] = b->best[i].id;
      b->next_scores[n++] = b->best[i].value;
    }
  }
  return n;
}

static void
go_on (EvoBeams *b, guint n)
{
  gint32 *old = b->tokens;

  for (guint i = 0; i < n; i++) {
    gint32 *to = b->spare + (gsize) i * b->limit;

    memcpy (to, evo_beams_get_tokens (b, b->parents[i]), b->length * sizeof *to);
    to[b->length] = b->next_ids[i];
    b->scores[i] = b->next_scores[i];
  }
  b->tokens = b->spare;
  b->spare = old;
  b->n_live = n;
  b->length++;
}

gboolean
evo_beams_step (EvoBeams *b, const EvoBeamContext *c, const float *logits, gsize stride, const double *log_sum)
{
  gsize most = b->width * MAX (2, 1 + (gsize) (c->options->ignore_eos ? 0 : c->spec->n_eos));
  guint n;

  b->n_best = 0;
  for (guint i = 0; i < b->n_live; i++)
    offer_row (b, c, most, i, logits + i * stride, log_sum[i]);
  n = divide (b, c);
  go_on (b, n);
  if (n == 0 || b->length == b->limit)
    return FALSE;
  if (b->n_ended < b->width)
    return TRUE;
  return !c->options->early_stopping &&
         b->scores[0] / pow ((double) b->length, c->options->length_penalty) > b->ended[b->width - 1].score;
}
