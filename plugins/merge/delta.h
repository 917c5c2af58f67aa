/* SPDX-License-Identifier: Apache-2.0
 * delta.h - what operators on task vectors share: blocks that stay in the first cache, sign consensus, adding to the base.
 *
 * A delta (task vector) is in[i] - base. Operators go through a slice in blocks, so that several passes of simple kernels read
 * and write the first-level cache and the slice is fetched once.
 */
#ifndef PLUGINS_MERGE_DELTA_H
#define PLUGINS_MERGE_DELTA_H

#include "evopipe.h"

enum { DELTA_BLOCK = 1024 };              /* floats; a multiple of 16, so that sums keep their lanes */

typedef enum { VOTE_PLAIN, VOTE_WEIGHTED } DeltaVote;
#define DELTA_VOTE(S, def) \
  EVO_CHOICE (S, vote, def, "Sign election: by the sum of the deltas, or of the deltas times their weights.", "plain", "weighted")
#define DELTA_LAMBDA(S) EVO_NUMBER (S, lambda, 1, EVO_ANY, EVO_SEARCH (0, 2), "Multiplies the merged change before it is added to the base.")

typedef struct {                          /* lies in the call's scratch */
  float **delta;                          /* [n_in][DELTA_BLOCK] */
  float *sum, *share;                     /* [DELTA_BLOCK]: elected sum; weights that took part in it */
  double *weight, *ones;                  /* [n_in] */
  gboolean has_negative;                  /* a weight is below 0 */
} DeltaWork;

static inline gsize
delta_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return (gsize) (n_in + 2) * DELTA_BLOCK * sizeof (float) + (gsize) n_in * (sizeof (float *) + 2 * sizeof (double));
}

static inline DeltaWork
delta_work (const EvoMergeCall *c)
{
  float *blocks = c->scratch;
  double *numbers = (double *) (blocks + (gsize) (c->n_in + 2) * DELTA_BLOCK);
  DeltaWork w = { .sum = blocks, .share = blocks + DELTA_BLOCK, .weight = numbers, .ones = numbers + c->n_in };

  w.delta = (float **) (numbers + 2 * c->n_in);
  for (guint i = 0; i < c->n_in; i++) {
    w.delta[i] = blocks + (gsize) (i + 2) * DELTA_BLOCK;
    w.ones[i] = 1;
  }
  return w;
}

static inline void
delta_set_weight (DeltaWork *w, guint i, double weight)
{
  w->weight[i] = weight;
  w->has_negative = w->has_negative || weight < 0;
}

/* Where all deltas are summed: their factor (lambda) is divided by the sum of weights if `normalize`. */
static inline gboolean
delta_normalize (double total, gboolean normalize, double *factor, GError **error)
{
  if (normalize && fabs (total) < 1e-8)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights sum to zero; another weight, or \"normalize\": false");
  *factor /= normalize ? total : 1;
  return TRUE;
}

/* w->sum, w->share [n] of w->delta [n_in][n]: the sum of w_i d_i over the inputs that agree with the elected sign, and that of their w_i. */
static inline void
delta_elect (const EvoMergeCall *c, DeltaWork *w, DeltaVote vote, gsize n)
{
  c->k->elect (w->sum, w->share, (const float *const *) w->delta, w->weight, vote == VOTE_PLAIN ? w->ones : NULL, c->n_in, n);
}

/* out [n] = base + lambda sum, the sum over its share if `normalize`. Where the weights that took part cancel exactly (negative
 * ones), the sum is left as it is. */
static inline void
delta_add_elected (const EvoMergeCall *c, DeltaWork *w, gboolean normalize, double lambda, gsize at, gsize n)
{
  for (gsize j = 0; normalize && w->has_negative && j < n; j++)
    w->share[j] = w->share[j] == 0 ? 1 : w->share[j];
  if (normalize)
    c->k->div (w->sum, w->sum, w->share, n);
  c->k->copy (c->out + at, c->base + at, n);
  c->k->axpy (c->out + at, w->sum, lambda, n);
}

#endif
