/* SPDX-License-Identifier: Apache-2.0
 * breadcrumbs.h - changes without their outliers and without their noise (Davari & Belilovsky, "Model breadcrumbs", 2024), what breadcrumbs
 * and breadcrumbs-ties share.
 *
 * Of the n changes of a tensor, largest first, the int (gamma n) first are dropped, the int (density n) that follow are kept, the rest is
 * dropped. Where less than gamma is left beside the density, less is dropped at the top. Names are mergekit's, which also takes each tensor by
 * itself. In the authors' code (rezazzr/breadcrumbs) density is called beta and ranks are within rows, along the last dimension; its search begins
 * at the defaults here, with keeps of 0.05 to 0.2 and gammas of 0.001 to 0.01. Equal magnitudes count as larger the earlier they stand.
 */
#ifndef PLUGINS_MERGE_BREADCRUMBS_H
#define PLUGINS_MERGE_BREADCRUMBS_H

#include "delta.h"

typedef enum { RESCALE_NONE, RESCALE_L1 } BreadcrumbsRescale;
typedef struct { double lambda; gboolean normalize; guint32 rescale, vote; } BreadcrumbsParams;
typedef struct { double weight, density, gamma; } BreadcrumbsInput;

#define BREADCRUMBS_RESCALE \
  EVO_CHOICE (BreadcrumbsParams, rescale, RESCALE_NONE, "Scale what is kept so that the sum of magnitudes is that before masking; " \
              "mergekit's, not in the paper.", "none", "l1")
#define BREADCRUMBS_INPUT \
  EVO_NUMBER (BreadcrumbsInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's masked change is multiplied by."), \
  EVO_NUMBER (BreadcrumbsInput, density, 0.15, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept."), \
  EVO_NUMBER (BreadcrumbsInput, gamma, 0.006, EVO_LIMITS (0, 1), EVO_SEARCH (0, 0.2), "Share of the changes, the largest, that is dropped.")

static inline const BreadcrumbsInput *
breadcrumbs_input (const EvoMergeCall *c, guint i)
{
  return c->in_params[i];
}

/* Two cuts an input: the end of what is kept, and its beginning. */
static inline void
breadcrumbs_keys (const EvoMergeCall *c, guint cut, float *key)
{
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->sub (key + at, c->in[cut / 2] + at, c->base + at, n);
    c->k->abs (key + at, key + at, n);
  }
}

static inline gint64
breadcrumbs_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  const BreadcrumbsInput *in = breadcrumbs_input (c, cut / 2);
  gint64 kept = (gint64) (in->density * (double) n), top = MIN ((gint64) (in->gamma * (double) n), n - kept);

  return cut % 2 == 0 ? top + kept : top;
}

/* delta [n] of input i from element `at` of the call on: what is kept of it; top [n] is scratch */
static inline void
breadcrumbs_block (const EvoMergeCall *c, guint i, gsize at, gsize n, float *delta, float *top)
{
  gint64 first = c->first + (gint64) at;

  c->k->sub (delta, c->in[i] + at, c->base + at, n);
  c->k->keep_top (top, delta, c->cut[2 * i + 1], c->last_tie[2 * i + 1], first, n);
  c->k->keep_top (delta, delta, c->cut[2 * i], c->last_tie[2 * i], first, n);
  c->k->sub (delta, delta, top, n);
}

static inline guint32
breadcrumbs_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const BreadcrumbsParams *) c->params)->rescale == RESCALE_L1 ? 2 * c->n_in : 0;
}

/* [n_in][2]: sums of magnitudes before and after masking */
static inline gboolean
breadcrumbs_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  float *delta = c->scratch, *top = delta + DELTA_BLOCK;

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK)
    for (guint i = 0; i < c->n_in; i++) {
      gsize n = MIN (DELTA_BLOCK, c->n - at);

      c->k->sub (delta, c->in[i] + at, c->base + at, n);
      sums[2 * i] += c->k->sum_abs (delta, n);
      breadcrumbs_block (c, i, at, n, delta, top);
      sums[2 * i + 1] += c->k->sum_abs (delta, n);
    }
  return TRUE;
}

static inline double
breadcrumbs_scale (const EvoMergeCall *c, guint i)
{
  gboolean rescale = ((const BreadcrumbsParams *) c->params)->rescale == RESCALE_L1 && c->coef[2 * i + 1] > 0;

  return rescale ? c->coef[2 * i] / c->coef[2 * i + 1] : 1;
}

#endif
