/* SPDX-License-Identifier: Apache-2.0
 * optimizer.cma-es - covariance matrix adaptation (Hansen & Ostermeier 2001; constants in cma.h), with a box, whole-number and categorical
 * dimensions (margin.h, choices.h), and IPOP restarts (Auger & Hansen 2005).
 *
 * Trial 0 is the start point; it travels with the first generation and does not move the search. A point outside the box is drawn
 * again up to 100 times, then clipped. The update sees the step as it was drawn, and a generation with clipped points is ordered by the sum of
 * two ranks: by loss, and by how far outside a point was drawn. Were the clipped step shown instead, steps along a bound would look short,
 * sigma would collapse and the search end beside a best corner (seen: 1e-2 to 1e-3 of the range away from it; so: below 1e-9).
 */
#include "choices.h"
#include "cma-draw.h"
#include "cma-stop.h"
#include "margin.h"

typedef enum { AUTO, FULL, DIAGONAL } Covariance;
enum { FULL_UP_TO = 512, FULL_AT_MOST = 8192 }; /* C, its root and LAPACK's workspace are 4 n^2 doubles: 2 GiB */

typedef struct {
  gint64 population, restarts;
  double sigma;
  guint32 covariance;
  gboolean active;
} CmaParams;

static const EvoParam params[] = {
  EVO_INTEGER (CmaParams, population, 0, EVO_LIMITS (0, 65536), "Candidates of a generation; 0: 4 + 3 ln n of n genes, rounded down."),
  EVO_NUMBER (CmaParams, sigma, 1.0 / 6, EVO_LIMITS (1e-9, 1e3), EVO_NO_SEARCH,
              "First standard deviation, as a share of a gene's range (of its own unit where it has no bounds)."),
  EVO_INTEGER (CmaParams, restarts, 0, EVO_LIMITS (0, 12),
               "How often to begin again at a random place with twice the population, once the losses no longer move."),
  EVO_CHOICE (CmaParams, covariance, AUTO, "Full matrix, or its diagonal only; auto: full up to 512 numeric genes.", "auto", "full", "diagonal"),
  EVO_BOOL (CmaParams, active, FALSE, "Learn from the worse half of a generation too: fewer trials where genes differ much in effect."),
  EVO_PARAMS_END
};

typedef struct {
  gint64 trial;
  gboolean told;
  double loss;             /* HUGE_VAL: failed */
  double outside;          /* squared distance from the box as drawn, in standard deviations */
  double rank;             /* what the generation is ordered by */
} Candidate;

typedef struct {
  CmaParams params;
  const EvoKernels *k;
  Space space;
  Cma cma;
  Choices choices;
  Draw draw;
  History history;
  Random random;
  double *scale;           /* [n] what steps of whole numbers are stretched by */
  guint *chosen;           /* [lambda][n_choices] of this generation */
  Candidate *candidates;   /* [lambda] */
  guint n_asked, n_told;
  gint64 n_restarts;
  gint64 start_trial;      /* trial that got the start point; -1: not yet asked */
  gboolean start_told, done;
} Search;

static guint
n_genes (const Space *s)
{
  return s->n + s->n_choices;
}

static gboolean
is_diagonal (const CmaParams *p, const Space *s)
{
  return p->covariance == DIAGONAL || (p->covariance == AUTO && s->n > FULL_UP_TO);
}

/* A full covariance needs z and two sets of weighted rows beside the steps. */
static gboolean
fits (const CmaParams *p, const Space *s, double lambda)
{
  return lambda * n_genes (s) * (is_diagonal (p, s) ? 1 : 4) <= 1 << 27;
}

static void
keep_margins (Search *s)
{
  double alpha = 1 / ((double) n_genes (&s->space) * s->cma.lambda);

  for (guint i = 0; i < s->space.n; i++) {
    const Coordinate *at = &s->space.at[i];

    if (at->is_whole)
      margin_correct (&s->space.dims[at->dim], at, alpha, s->cma.sigma * cma_deviation (&s->cma, i), &s->cma.mean[i], &s->scale[i]);
  }
}

/* Where a run begins: the first at the start point, a restart anywhere in the box (beside the start where there is none). */
static void
choose_mean (Search *s, double *mean)
{
  for (guint i = 0; i < s->space.n; i++) {
    const Coordinate *at = &s->space.at[i];

    s->scale[i] = 1;
    if (s->n_restarts == 0)
      mean[i] = 0;
    else if (isfinite (at->high - at->low))
      mean[i] = at->low + (at->high - at->low) * random_uniform (&s->random);
    else
      mean[i] = CLAMP (s->params.sigma * random_normal (&s->random), at->low, at->high);
  }
}

static void
begin (Search *s, guint lambda)
{
  guint n = s->space.n;
  g_autofree double *mean = g_new (double, n);

  choose_mean (s, mean);
  cma_clear (&s->cma);
  draw_clear (&s->draw);
  history_clear (&s->history);
  cma_init (&s->cma, s->k, n, lambda, is_diagonal (&s->params, &s->space), s->params.active, mean, s->params.sigma);
  draw_init (&s->draw, &s->cma);
  for (guint i = 0; i < n; i++)
    if (!s->space.at[i].is_whole) {
      s->draw.low[i] = s->space.at[i].low;
      s->draw.high[i] = s->space.at[i].high;
    }
  history_init (&s->history);
  choices_begin (&s->choices, &s->space, s->n_restarts == 0);
  s->chosen = g_renew (guint, s->chosen, (gsize) lambda * s->choices.n);
  s->candidates = g_renew (Candidate, s->candidates, lambda);
  s->n_asked = s->n_told = 0;
  keep_margins (s);
}

static gboolean
check_size (const CmaParams *p, const Space *s, guint lambda, GError **error)
{
  if (p->covariance == FULL && s->n > FULL_AT_MOST)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "covariance: a full matrix of %u genes is too large; at most %d, or \"diagonal\"", s->n,
                     FULL_AT_MOST);
  if (!fits (p, s, lambda))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "population: %u candidates of %u genes are more than 1 GiB", lambda, n_genes (s));
  return TRUE;
}

static void
cma_es_close (gpointer self)
{
  Search *s = self;

  cma_clear (&s->cma);
  draw_clear (&s->draw);
  choices_clear (&s->choices);
  history_clear (&s->history);
  space_clear (&s->space);
  g_free (s->scale);
  g_free (s->chosen);
  g_free (s->candidates);
  g_free (s);
}

static gpointer
cma_es_open (const EvoDim *dims, guint n_dims, guint n_objectives, const void *params_, guint64 seed, const EvoKernels *k, GError **error)
{
  const CmaParams *p = params_;
  guint lambda = (guint) p->population;
  Space space;
  Search *s;

  if (n_objectives != 1)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "CMA-ES has one objective, not %u", n_objectives), NULL;
  if (p->population == 1)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "population: 1 cannot be ranked; 0 or at least 2"), NULL;
  if (!space_init (&space, dims, n_dims, p->sigma, error))
    return NULL;
  if (lambda == 0)
    lambda = 4 + (guint) floor (3 * portable_log (MAX (n_genes (&space), 1)));
  if (!check_size (p, &space, lambda, error)) {
    space_clear (&space);
    return NULL;
  }
  s = g_new0 (Search, 1);
  s->params = *p;
  s->k = k;
  s->space = space;
  s->start_trial = -1;
  s->scale = g_new (double, space.n);
  choices_init (&s->choices, &space);
  random_init (&s->random, seed);
  if (n_genes (&space) > 0)
    begin (s, lambda);
  return s;
}

/* All of a generation at once: a product of matrices, not of a matrix and vectors. */
static void
draw (Search *s)
{
  draw_generation (&s->draw, &s->cma, &s->random);
  for (guint i = 0; i < s->cma.lambda; i++)
    choices_draw (&s->choices, &s->random, s->chosen + (gsize) i * s->choices.n);
}

/* x [n_dims]: candidate i of the generation */
static void
decode (const Search *s, guint i, double *x)
{
  const double *y = s->draw.y + (gsize) i * s->space.n;
  const guint *chosen = s->chosen + (gsize) i * s->choices.n;

  for (guint j = 0; j < s->space.n_dims; j++)
    x[j] = s->space.dims[j].start;
  for (guint j = 0; j < s->space.n; j++)
    x[s->space.at[j].dim] = space_value (&s->space, &s->space.at[j], s->cma.mean[j] + s->cma.sigma * s->scale[j] * y[j]);
  for (guint j = 0; j < s->choices.n; j++)
    x[s->space.choices[j]] = chosen[j];
}

static EvoAsked
cma_es_ask (gpointer self, gint64 trial, double *x)
{
  Search *s = self;

  if (s->start_trial < 0) {
    for (guint i = 0; i < s->space.n_dims; i++)
      x[i] = s->space.dims[i].start;
    s->start_trial = trial;
    return EVO_ASKED_GIVEN;
  }
  if (s->done || n_genes (&s->space) == 0)
    return s->start_told ? EVO_ASKED_DONE : EVO_ASKED_WAIT;
  if (s->n_asked == s->cma.lambda)
    return EVO_ASKED_WAIT;
  if (s->n_asked == 0)
    draw (s);
  s->candidates[s->n_asked] = (Candidate){ .trial = trial, .outside = s->draw.outside[s->n_asked] };
  decode (s, s->n_asked++, x);
  return EVO_ASKED_GIVEN;
}

static int
compare (double x, double y)
{
  return (x > y) - (x < y);
}

static int
by_loss (gconstpointer a, gconstpointer b, gpointer data)
{
  const Candidate *all = data, *x = &all[*(const guint *) a], *y = &all[*(const guint *) b];

  return x->loss != y->loss ? compare (x->loss, y->loss) : x->trial < y->trial ? -1 : 1;
}

static int
by_outside (gconstpointer a, gconstpointer b, gpointer data)
{
  const Candidate *all = data;

  return compare (all[*(const guint *) a].outside, all[*(const guint *) b].outside);
}

static int
by_rank (gconstpointer a, gconstpointer b, gpointer data)
{
  const Candidate *all = data, *x = &all[*(const guint *) a], *y = &all[*(const guint *) b];

  return x->rank != y->rank ? compare (x->rank, y->rank) : by_loss (a, b, data);
}

/* Orders the candidates and adds to each one's rank its place; equal ones share the mean of their places. */
static void
add_places (Search *s, guint *order, GCompareDataFunc func, gsize key)
{
  guint lambda = s->cma.lambda, end;

  g_qsort_with_data (order, (gint) lambda, sizeof (guint), func, s->candidates);
  for (guint i = 0; i < lambda; i = end) {
    double value = G_STRUCT_MEMBER (double, &s->candidates[order[i]], key);

    for (end = i + 1; end < lambda && G_STRUCT_MEMBER (double, &s->candidates[order[end]], key) == value;)
      end++;
    for (guint j = i; j < end; j++)
      s->candidates[order[j]].rank += value == HUGE_VAL ? HUGE_VAL : (i + end - 1) / 2.0;
  }
}

/* A complete generation: rank, update, and see whether this run is over. */
static void
learn (Search *s)
{
  guint lambda = s->cma.lambda;
  g_autofree guint *order = g_new (guint, lambda);
  gboolean ended, is_flat, can_restart;

  for (guint i = 0; i < lambda; i++)
    order[i] = i;
  add_places (s, order, by_loss, offsetof (Candidate, loss));
  s->n_asked = s->n_told = 0;
  if (s->candidates[order[0]].loss == HUGE_VAL)  /* all failed: nothing was learnt, draw again */
    return;
  history_add (&s->history, s->candidates[order[0]].loss, s->candidates[order[lambda / 2]].loss, s->candidates[order[lambda - 1]].loss);
  is_flat = s->candidates[order[0]].loss == s->candidates[order[(guint) (0.7 * lambda)]].loss;
  add_places (s, order, by_outside, offsetof (Candidate, outside));
  g_qsort_with_data (order, (gint) lambda, sizeof (guint), by_rank, s->candidates);
  ended = !cma_update (&s->cma, s->draw.y, order, s->draw.length2, s->scale);
  choices_update (&s->choices, s->cma.weight, s->cma.mu, order, s->chosen);
  if (is_flat && s->cma.sigma < 3 * s->params.sigma)  /* the step is too short to tell points apart (tutorial, B.3); to half the box */
    s->cma.sigma *= portable_exp (0.2 + s->cma.c_sigma / s->cma.d_sigma);
  ended = ended || cma_is_exhausted (&s->cma, &s->space, s->scale, s->params.sigma);
  can_restart = s->n_restarts < s->params.restarts && fits (&s->params, &s->space, 2.0 * lambda);
  if (can_restart && (ended || history_is_plateau (&s->history, n_genes (&s->space), lambda))) {
    s->n_restarts++;
    begin (s, 2 * lambda);
  } else if (ended)
    s->done = TRUE;
  else
    keep_margins (s);
}

static void
cma_es_tell (gpointer self, const double *x, const EvoOutcome *outcome)
{
  Search *s = self;

  if (outcome->trial == s->start_trial)
    s->start_told = TRUE;
  for (guint i = 0; i < s->n_asked; i++) {
    Candidate *c = &s->candidates[i];

    if (c->trial != outcome->trial || c->told)
      continue;
    c->told = TRUE;
    c->loss = outcome->failed || isnan (outcome->loss[0]) ? HUGE_VAL : outcome->loss[0];
    s->n_told++;
  }
  if (n_genes (&s->space) > 0 && s->n_told == s->cma.lambda)
    learn (s);
}

EVO_OPTIMIZER_PLUGIN (.name = "cma-es", .summary = "Covariance matrix adaptation evolution strategy.", EVO_TAKES (CmaParams, params),
                      .max_objectives = 1, .open = cma_es_open, .ask = cma_es_ask, .tell = cma_es_tell, .close = cma_es_close)
