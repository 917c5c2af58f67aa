/* SPDX-License-Identifier: Apache-2.0
 * della.h - dropping at random, small changes more often (Deep et al., "DELLA-Merging", 2024), what della and della-linear share.
 *
 * The changes of a row are ranked by magnitude; the probability of being kept rises with the rank in even steps, density in the mean. In the
 * paper it does so over a window epsilon wide, and what is kept is divided by its own probability, which leaves the expected change as it was.
 * In mergekit it does so from density - epsilon to density + epsilon, both ends included (epsilon_is "half-width"), refused where that leaves
 * 0 ... 1, and each tensor is scaled so that its sum of magnitudes stays (rescale "l1"). The paper's window narrows here where it would leave
 * 0 ... 1, so that the mean is the density at any density; masks are nested as density moves. Ranks stand in the middle of the window's steps; the
 * authors' code (declare-lab/della) includes the window's ends and votes with weighted changes: epsilon_is "half-width" with half the epsilon, vote
 * "weighted". A row is what runs along the last dimension (there and in mergekit: the second), a vector is one. Ranks need each row sorted whole. Of
 * equal magnitudes the earlier counts as larger.
 */
#ifndef PLUGINS_MERGE_DELLA_H
#define PLUGINS_MERGE_DELLA_H

#include "delta.h"

typedef enum { RESCALE_PROBABILITY, RESCALE_L1, RESCALE_NONE } DellaRescale;
typedef enum { EPSILON_WIDTH, EPSILON_HALF_WIDTH } DellaEpsilon;
typedef struct { double lambda; gboolean normalize; guint32 rescale, epsilon_is, vote; } DellaParams;
typedef struct { double weight, density, epsilon; } DellaInput;

#define DELLA_PARAMS \
  EVO_CHOICE (DellaParams, rescale, RESCALE_PROBABILITY, "What is kept is divided by the probability of being kept (paper), or scaled to " \
              "the tensor's sum of magnitudes before dropping (mergekit), or left as it is.", "probability", "l1", "none"), \
  EVO_CHOICE (DellaParams, epsilon_is, EPSILON_WIDTH, "Probabilities run over a window epsilon wide (paper), or over density - epsilon ... " \
              "density + epsilon (mergekit).", "width", "half-width")
#define DELLA_INPUT \
  EVO_NUMBER (DellaInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's thinned change is multiplied by."), \
  EVO_NUMBER (DellaInput, density, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept."), \
  EVO_NUMBER (DellaInput, epsilon, 0.15, EVO_LIMITS (0, 1), EVO_SEARCH (0, 0.4), "How far the probability of being kept of a row's largest " \
              "change is above that of its smallest, or half of that: epsilon_is.")

typedef struct {
  float **row;     /* [n_in][n_cols] kept changes of a row */
  float *u;        /* [n_cols] random numbers */
  guint64 *ranks;  /* [4][n_cols] keep_ranked's */
} DellaWork;

static inline gsize
della_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return delta_scratch_bytes (t, n_in, n) + n_in * sizeof (float *) + (gsize) t->n_cols * (4 * sizeof (guint64) + (n_in + 1) * sizeof (float));
}

/* Behind what delta_work takes of the scratch. */
static inline DellaWork
della_work (const EvoMergeCall *c)
{
  gsize n = (gsize) c->t->n_cols;
  DellaWork w = { .row = (float **) ((char *) c->scratch + delta_scratch_bytes (c->t, c->n_in, c->n)) };

  w.ranks = (guint64 *) (w.row + c->n_in);
  w.u = (float *) (w.ranks + 4 * n);
  for (guint i = 0; i < c->n_in; i++)
    w.row[i] = w.u + (i + 1) * n;
  return w;
}

static inline const DellaInput *
della_input (const EvoMergeCall *c, guint i)
{
  return c->in_params[i];
}

/* mergekit's window must lie inside 0 ... 1. */
static inline gboolean
della_check (const EvoMergeCall *c, GError **error)
{
  for (guint i = 0; i < c->n_in && ((const DellaParams *) c->params)->epsilon_is == EPSILON_HALF_WIDTH; i++) {
    double d = della_input (c, i)->density, e = della_input (c, i)->epsilon;

    if (d > 0 && d < 1 && (d - e <= 0 || d + e >= 1))
      return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "density %g - epsilon %g ... density + epsilon is not inside 0 ... 1; an epsilon below %g",
                       d, e, MIN (d, 1 - d));
  }
  return TRUE;
}

/* w->row[i] [n_cols]: input i's changes from element `at` of the call on */
static inline void
della_subtract (const EvoMergeCall *c, const DellaWork *w, guint i, gsize at)
{
  c->k->sub (w->row[i], c->in[i] + at, c->base + at, (gsize) c->t->n_cols);
}

/* Of w->row[i], the changes from element `at` on, leaves those that are kept, divided by their probability if `divide`. */
static inline void
della_keep (const EvoMergeCall *c, const DellaWork *w, guint i, gsize at, gboolean divide)
{
  const DellaInput *in = della_input (c, i);
  gboolean half = ((const DellaParams *) c->params)->epsilon_is == EPSILON_HALF_WIDTH;
  gsize n = (gsize) c->t->n_cols;
  double reach = MIN (half ? in->epsilon : in->epsilon / 2, MIN (in->density, 1 - in->density)), low, step;
  float *delta = w->row[i];

  if (in->density >= 1)
    return;
  c->k->uniform (w->u, c->in_seed[i], c->first + (gint64) at, n);
  /* steps of the paper are epsilon / n wide and the ranks in their middle; mergekit's n - 1 steps run from end to end */
  step = 2 * reach / (double) (half ? MAX (n, 2) - 1 : n);
  low = in->density - (half ? (n == 1 ? 0 : reach) : reach - step / 2);
  c->k->keep_ranked (delta, delta, w->u, low, step, divide, n, w->ranks);
}

static inline guint32
della_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const DellaParams *) c->params)->rescale == RESCALE_L1 ? 2 * c->n_in : 0;
}

/* [n_in][2]: sums of magnitudes of the changes, and of those that are kept */
static inline gboolean
della_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  DellaWork w = della_work (c);
  gsize n = (gsize) c->t->n_cols;

  if (!della_check (c, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += n)
    for (guint i = 0; i < c->n_in; i++) {
      della_subtract (c, &w, i, at);
      sums[2 * i] += c->k->sum_abs (w.row[i], n);
      della_keep (c, &w, i, at, FALSE);
      sums[2 * i + 1] += c->k->sum_abs (w.row[i], n);
    }
  return TRUE;
}

static inline double
della_scale (const EvoMergeCall *c, guint i)
{
  gboolean l1 = ((const DellaParams *) c->params)->rescale == RESCALE_L1 && c->coef[2 * i + 1] > 0;

  return l1 ? c->coef[2 * i] / c->coef[2 * i + 1] : 1;
}

#endif
