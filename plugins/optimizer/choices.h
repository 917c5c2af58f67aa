/* SPDX-License-Identifier: Apache-2.0
 * choices.h - categorical dimensions: independent categorical distributions beside the normal one, as in CatCMA (Hamano, Saito, Nomura,
 * Uchida, Shirakawa 2024, arXiv 2405.09962).
 *
 * Choices have no order, so rounding a number to one makes neighbours of what is none; here every choice has its own probability. They follow
 * the natural gradient, with a step length that grows while the gradients of successive generations agree (ASNG, Akimoto et al. 2019,
 * arXiv 1905.08537), and never fall below a margin at which all dimensions leave their best choice in 27 % of the points together.
 */
#ifndef PLUGINS_OPTIMIZER_CHOICES_H
#define PLUGINS_OPTIMIZER_CHOICES_H

#include "random.h"
#include "space.h"

typedef struct { guint first, n; double least; } Choice; /* its probabilities, and what none of them is below */

typedef struct {
  guint n, n_values;
  Choice *at;                /* [n] */
  double *q;                 /* [n_values] */
  double *gradient, *path;   /* [n_values]; path: of whitened gradients, n - 1 numbers of each choice */
  double path_weight;        /* what the path's squared length would be for gradients that do not agree */
  double slowness;           /* 1 / length of a step, in the Fisher metric */
} Choices;

static inline void
choices_clear (Choices *s)
{
  g_free (s->at);
  g_free (s->q);
  g_free (s->gradient);
  g_free (s->path);
  *s = (Choices){ 0 };
}

static inline void
choices_init (Choices *s, const Space *space)
{
  *s = (Choices){ .n = space->n_choices };
  s->at = g_new0 (Choice, s->n);
  for (guint i = 0; i < s->n; i++) {
    guint n = space->dims[space->choices[i]].n_choices;

    s->at[i] = (Choice){ s->n_values, n, (1 - portable_exp (portable_log (0.73) / s->n)) / (n - 1) };
    s->n_values += n;
  }
  s->q = g_new0 (double, s->n_values);
  s->gradient = g_new0 (double, s->n_values);
  s->path = g_new0 (double, s->n_values);
}

/* Lifts what is below the margin; what that costs is taken from the others in proportion to their distance from it. */
static inline void
choices_keep_margin (const Choice *c, double *q)
{
  double sum = 0, spare;

  for (guint i = 0; i < c->n; i++) {
    q[i] = MAX (q[i], c->least);
    sum += q[i];
  }
  spare = sum - c->n * c->least;
  for (guint i = 0; i < c->n; i++)
    q[i] = spare > 0 ? c->least + (q[i] - c->least) * (1 - c->n * c->least) / spare : 1.0 / c->n;
}

/* A run's beginning: half of the points leave the start's choice (or as many as the dimension's sigma says), for each other alike; restarts
 * begin with all alike. */
static inline void
choices_begin (Choices *s, const Space *space, gboolean at_start)
{
  s->path_weight = 0;
  s->slowness = 1;
  for (guint i = 0; i < s->n; i++) {
    const Choice *c = &s->at[i];
    const EvoDim *d = &space->dims[space->choices[i]];
    double leave = isnan (d->sigma) ? 0.5 : d->sigma;

    for (guint j = 0; j < c->n; j++) {
      s->q[c->first + j] = !at_start ? 1.0 / c->n : j == d->start ? 1 - leave : leave / (c->n - 1);
      s->path[c->first + j] = 0;
    }
    choices_keep_margin (c, s->q + c->first);
  }
}

/* chosen [n] */
static inline void
choices_draw (const Choices *s, Random *random, guint *chosen)
{
  for (guint i = 0; i < s->n; i++) {
    const double *q = s->q + s->at[i].first;
    double u = random_uniform (random);
    guint j = 0;

    while (j + 1 < s->at[i].n && u >= q[j])
      u -= q[j++];
    chosen[i] = j;
  }
}

/* gradient = sum of w (one-hot - q) over the mu best; weight [mu] sums to 1 */
static inline void
choices_set_gradient (Choices *s, const double *weight, guint mu, const guint *order, const guint *chosen)
{
  for (guint i = 0; i < s->n_values; i++)
    s->gradient[i] = -s->q[i];
  for (guint k = 0; k < mu; k++)
    for (guint i = 0; i < s->n; i++)
      s->gradient[s->at[i].first + chosen[(gsize) order[k] * s->n + i]] += weight[k];
}

/* white [n - 1]: g by the square root of the Fisher matrix of probabilities q (Akimoto et al. 2019, appendix B); their squares' sum */
static inline double
choice_whiten (const Choice *c, const double *q, const double *g, double *white)
{
  double last = q[c->n - 1], sum = 0, squares = 0;

  for (guint j = 0; j + 1 < c->n; j++)
    sum += g[j];
  for (guint j = 0; j + 1 < c->n; j++) {
    white[j] = g[j] / sqrt (q[j]) + sqrt (q[j]) * sum / (last + sqrt (last));
    squares += white[j] * white[j];
  }
  return squares;
}

/* order: best first; chosen [lambda][n] */
static inline void
choices_update (Choices *s, const double *weight, guint mu, const guint *order, const guint *chosen)
{
  g_autofree double *white = g_new0 (double, s->n_values);
  double squares = 0, length, fast, step, path2 = 0;

  choices_set_gradient (s, weight, mu, order, chosen);
  for (guint i = 0; i < s->n; i++)
    squares += choice_whiten (&s->at[i], s->q + s->at[i].first, s->gradient + s->at[i].first, white + s->at[i].first);
  length = sqrt (squares);
  if (!(length > 1e-15))     /* the points are what the distribution says */
    return;
  fast = MIN (1, 1 / (s->slowness * sqrt (s->n_values - s->n)));
  step = sqrt (fast * (2 - fast)) / length;
  for (guint i = 0; i < s->n_values; i++) {
    s->q[i] += s->gradient[i] / (s->slowness * length);
    s->path[i] = (1 - fast) * s->path[i] + step * white[i];
    path2 += s->path[i] * s->path[i];
  }
  s->path_weight = (1 - fast) * (1 - fast) * s->path_weight + fast * (2 - fast);
  s->slowness *= portable_exp (fast * (s->path_weight - path2 / 1.5));
  for (guint i = 0; i < s->n; i++)
    choices_keep_margin (&s->at[i], s->q + s->at[i].first);
}

#endif
