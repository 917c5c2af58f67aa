/* SPDX-License-Identifier: Apache-2.0
 * consensus.h - keeping what matters to several tasks (Wang et al., "Localizing task information for improved model merging and compression",
 * 2024), what consensus-ta and consensus-ties share.
 *
 * A weight matters to a model where its own change is not small beside what the merged change m has that it has not: |d| >= threshold |m - d|
 * (TALL mask). Weights that matter to fewer than `agree` models (catastrophic or selfish ones) are the base's. In the authors' code (tall_masks) m
 * is not yet multiplied by lambda there, > stands for >=, and thresholds are tried from 0.2 to 0.6 for each model; `agree` is 2.
 */
#ifndef PLUGINS_MERGE_CONSENSUS_H
#define PLUGINS_MERGE_CONSENSUS_H

#include "delta.h"

#define CONSENSUS_AGREE(S) \
  EVO_PARAM_ (S, agree, .def = 2, EVO_LIMITS (0, 1000), EVO_SEARCH (0, 4), \
              .doc = "A weight is changed where it matters to at least so many models.")
#define CONSENSUS_THRESHOLD(S) \
  EVO_NUMBER (S, threshold, 0.4, EVO_LIMITS (0, 1e9), EVO_SEARCH (0.2, 0.6), "The paper's lambda of this model: a weight matters to it where " \
              "its change is at least this times what the other models add to it; the authors' code tries 0.2, 0.3 ... 0.6.")

/* votes [n] += 1 where element j matters to the model with changes d [n], m [n] the merged ones */
static inline void
consensus_count (float *votes, const float *d, const float *m, double threshold, gsize n)
{
  for (gsize j = 0; j < n; j++)
    votes[j] += fabs ((double) d[j]) >= threshold * fabs ((double) m[j] - d[j]) ? 1 : 0;
}

/* out [n] = base + lambda m where votes reach `agree` */
static inline void
consensus_add (const EvoMergeCall *c, float *m, const float *votes, gint64 agree, double lambda, gsize at, gsize n)
{
  for (gsize j = 0; j < n; j++)
    m[j] = votes[j] >= (float) agree ? m[j] : 0;
  c->k->copy (c->out + at, c->base + at, n);
  c->k->axpy (c->out + at, m, lambda, n);
}

#endif
