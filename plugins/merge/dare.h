/* SPDX-License-Identifier: Apache-2.0
 * dare.h - drop and rescale (Yu et al., "Language models are super Mario", 2024), what dare-linear and dare-ties share.
 *
 * A change is kept where the random number of its place is below the density, so a higher density keeps more of the same. The paper
 * then divides by the density, which leaves the expected change as it was; mergekit since 0.1 scales each tensor so that its sum of
 * magnitudes stays (rescale "l1").
 */
#ifndef PLUGINS_MERGE_DARE_H
#define PLUGINS_MERGE_DARE_H

#include "delta.h"

typedef enum { RESCALE_DENSITY, RESCALE_L1, RESCALE_NONE } DareRescale;
typedef struct { double lambda; gboolean normalize; guint32 rescale, vote; } DareParams;
typedef struct { double weight, density; } DareInput;

#define DARE_RESCALE \
  EVO_CHOICE (DareParams, rescale, RESCALE_DENSITY, "What is kept is divided by the density, or scaled to the tensor's sum of magnitudes " \
              "before dropping, or left as it is.", "density", "l1", "none")
#define DARE_WEIGHT EVO_NUMBER (DareInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's thinned change is multiplied by.")
#define DARE_DENSITY EVO_NUMBER (DareInput, density, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept.")

static inline const DareInput *
dare_input (const EvoMergeCall *c, guint i)
{
  return c->in_params[i];
}

/* delta [n] of input i from element `at` of the call on: what is kept, times scale */
static inline void
dare_block (const EvoMergeCall *c, guint i, gsize at, gsize n, double scale, float *delta)
{
  double density = dare_input (c, i)->density;

  c->k->sub (delta, c->in[i] + at, c->base + at, n);
  if (density < 1)
    c->k->keep_random (delta, delta, c->in_seed[i], c->first + (gint64) at, density, scale, n);
}

static inline guint32
dare_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const DareParams *) c->params)->rescale == RESCALE_L1 ? 2 * c->n_in : 0;
}

/* [n_in][2]: sums of magnitudes of the changes, and of those that are kept */
static inline gboolean
dare_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  float *delta = c->scratch;

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK)
    for (guint i = 0; i < c->n_in; i++) {
      gsize n = MIN (DELTA_BLOCK, c->n - at);

      c->k->sub (delta, c->in[i] + at, c->base + at, n);
      sums[2 * i] += c->k->sum_abs (delta, n);
      dare_block (c, i, at, n, 1, delta);
      sums[2 * i + 1] += c->k->sum_abs (delta, n);
    }
  return TRUE;
}

/* What input i's kept changes are multiplied by; 1 where nothing is dropped or nothing was kept. */
static inline double
dare_scale (const EvoMergeCall *c, guint i)
{
  guint32 rescale = ((const DareParams *) c->params)->rescale;
  double density = dare_input (c, i)->density;

  if (density <= 0 || density >= 1 || rescale == RESCALE_NONE)
    return 1;
  if (rescale == RESCALE_DENSITY)
    return 1 / density;
  return c->coef[2 * i + 1] > 0 ? c->coef[2 * i] / c->coef[2 * i + 1] : 1;
}

#endif
