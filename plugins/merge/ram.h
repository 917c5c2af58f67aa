/* SPDX-License-Identifier: Apache-2.0
 * ram.h - merging sparse changes by how many models have them (Yuan et al., "Behavior knowledge merge in reinforced agentic models", 2026), what
 * ram and ramplus-tl share.
 *
 * A model is active in a weight that it changed by more than epsilon. Where several are, their changes are averaged; where one is, its change is
 * added whole, so that what one agent alone has learnt is not thinned out.
 */
#ifndef PLUGINS_MERGE_RAM_H
#define PLUGINS_MERGE_RAM_H

#include "delta.h"

#define RAM_EPSILON(S) \
  EVO_NUMBER (S, epsilon, 1e-5, EVO_LIMITS (0, 1e9), EVO_SEARCH (1e-6, 1e-3), \
              "A weight is changed by a model where it differs from the base by more.")

/* delta [n_in][n]: changes, 0 where a model is not active; count [n]: how many are */
static inline void
ram_block (const EvoMergeCall *c, const DeltaWork *w, double epsilon, gsize at, gsize n, float *count)
{
  float limit = (float) epsilon; /* the largest float that is not above epsilon: |d|, a float, is above both or neither */

  if (limit > epsilon)
    limit = nextafterf (limit, 0);
  c->k->zero (count, n);
  for (guint i = 0; i < c->n_in; i++) {
    float *d = w->delta[i];

    c->k->sub (d, c->in[i] + at, c->base + at, n);
    for (gsize j = 0; j < n; j++) {
      count[j] += fabsf (d[j]) > limit ? 1.0f : 0.0f;
      d[j] = fabsf (d[j]) > limit ? d[j] : 0;
    }
  }
}

/* out [n] = base + lambda mean, where only one is active its change times scale [n_in] (NULL: 1) */
static inline void
ram_add (const EvoMergeCall *c, const DeltaWork *w, const float *count, const double *scale, double lambda, gsize at, gsize n)
{
  double sum[DELTA_BLOCK];
  const float *base = c->base + at;
  float *out = c->out + at;

  for (gsize j = 0; j < n; j++)
    sum[j] = 0;
  for (guint i = 0; i < c->n_in; i++) {
    const float *d = w->delta[i];
    double alone = scale == NULL ? 1 : scale[i];

    for (gsize j = 0; j < n; j++)
      sum[j] += (count[j] <= 1 ? alone : 1) * d[j];
  }
  for (gsize j = 0; j < n; j++)
    out[j] = (float) (base[j] + lambda * sum[j] / (count[j] > 1 ? count[j] : 1));
}

#endif
