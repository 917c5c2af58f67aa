/* SPDX-License-Identifier: Apache-2.0
 * sampler.c - draws tokens; everything after the logits is in double, ties go to the lower id.
 */
#include "core/nn/text-model/sampler.h"

#include <math.h>
#include <stdlib.h>

void
evo_sampler_init (EvoSampler *s, gsize vocab)
{
  *s = (EvoSampler){ .vocab = vocab };
  s->row = g_new (float, vocab);
  s->stamp = g_new0 (guint32, vocab);
  s->candidates = g_new (EvoCandidate, vocab);
}

void
evo_sampler_clear (EvoSampler *s)
{
  g_free (s->row);
  g_free (s->stamp);
  g_free (s->candidates);
  *s = (EvoSampler){ 0 };
}

void
evo_sampler_forget (EvoSampler *s)
{
  if (++s->turn != 0)
    return;
  for (gsize i = 0; i < s->vocab; i++) /* the counter went round: no old stamp may look new */
    s->stamp[i] = 0;
  s->turn = 1;
}

void
evo_sampler_penalise (EvoSampler *s, float *scores, const gint32 *ids, gsize n, double penalty)
{
  for (gsize i = 0; i < n; i++) {
    float *x = &scores[ids[i]];

    if (s->stamp[ids[i]] == s->turn)
      continue;
    s->stamp[ids[i]] = s->turn;
    *x = (float) (*x > 0 ? *x / penalty : *x * penalty);
  }
}

static int
by_value (gconstpointer x, gconstpointer y)
{
  const EvoCandidate *a = x, *b = y;

  return a->value != b->value ? (a->value < b->value) - (a->value > b->value) : (a->id > b->id) - (a->id < b->id);
}

/* The k best of n in front, best first: keeps a sorted head of k and inserts. */
static void
head (EvoCandidate *c, gsize n, gsize k)
{
  qsort (c, k, sizeof *c, by_value);
  for (gsize i = k; i < n; i++) {
    EvoCandidate new = c[i];
    gsize at = k;

    if (by_value (&new, &c[k - 1]) > 0)
      continue;
    for (; at > 0 && by_value (&new, &c[at - 1]) < 0; at--)
      if (at < k)
        c[at] = c[at - 1];
    c[at] = new;
  }
}

/* Fewest of the n, best first, whose probabilities reach top_p; at least one. */
static gsize
nucleus (const EvoCandidate *c, gsize n, double total, double top_p)
{
  double sum = 0;

  for (gsize i = 0; i < n; i++) {
    sum += c[i].value;
    if (sum >= top_p * total)
      return i + 1;
  }
  return n;
}

gint32
evo_sampler_draw (EvoSampler *s, const float *logits, const EvoGenerateOptions *o, EvoRandom *random)
{
  EvoCandidate *c = s->candidates;
  gsize n = s->vocab, k = o->top_k > 0 ? MIN ((gsize) o->top_k, n) : n;
  double largest = -HUGE_VAL, total = 0, u, sum = 0;

  for (gsize i = 0; i < n; i++) {
    c[i] = (EvoCandidate){ (double) logits[i] / o->temperature, (gint32) i };
    largest = fmax (largest, c[i].value);
  }
  if (k < n)
    head (c, n, k);
  else if (o->top_p < 1)
    qsort (c, n, sizeof *c, by_value);
  n = k;
  for (gsize i = 0; i < n; i++)
    total += c[i].value = exp (c[i].value - largest);
  if (o->top_p < 1) {
    n = nucleus (c, n, total, o->top_p);
    total = 0;
    for (gsize i = 0; i < n; i++)
      total += c[i].value;
  }
  u = evo_random_uniform (random) * total;
  for (gsize i = 0; i < n; i++) {
    sum += c[i].value;
    if (u < sum)
      return c[i].id;
  }
  return c[n - 1].id; /* rounding: the sum may end a little below the total */
}
