/* SPDX-License-Identifier: Apache-2.0
 * cma-stop.h - when a CMA-ES run has nothing more to find: the stopping criteria of Hansen's tutorial (arXiv 1604.00772, B.3).
 *
 * They come in two sorts. Exhausted: the numbers themselves end (steps below rounding, a degenerate covariance): no point could differ
 * any more. Plateau: the losses have not moved for long; that is a reason to restart, not to stop spending what was granted.
 */
#ifndef PLUGINS_OPTIMIZER_CMA_STOP_H
#define PLUGINS_OPTIMIZER_CMA_STOP_H

#include <stdlib.h>

#include "cma.h"
#include "space.h"

typedef struct {
  GArray *best, *median;  /* double, of each generation */
  double worst_now;       /* of the last generation */
} History;

static inline void
history_init (History *h)
{
  *h = (History){ g_array_new (FALSE, FALSE, sizeof (double)), g_array_new (FALSE, FALSE, sizeof (double)), 0 };
}

static inline void
history_clear (History *h)
{
  g_clear_pointer (&h->best, g_array_unref);
  g_clear_pointer (&h->median, g_array_unref);
}

/* losses of a generation, best first */
static inline void
history_add (History *h, double best, double median, double worst)
{
  g_array_append_val (h->best, best);
  g_array_append_val (h->median, median);
  h->worst_now = worst;
}

static inline int
history_compare (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return (x > y) - (x < y);
}

static inline double
history_median (const GArray *list, guint from, guint n)
{
  g_autofree double *copy = g_memdup2 ((const double *) list->data + from, n * sizeof (double));

  qsort (copy, n, sizeof (double), history_compare);
  return copy[n / 2];
}

/* Stagnation: over the last fifth of all generations, but 120 + 30 n / lambda at least and 20000 at most, neither the best nor the median
 * losses have a better median in the last 30 % than in the first. Looked at every 10th generation: it sorts. */
static inline gboolean
history_is_stagnant (const History *h, guint n, guint lambda)
{
  guint n_now = h->best->len, least = 120 + (guint) (30.0 * n / lambda), window = CLAMP (n_now / 5, least, MAX (least, 20000));
  const GArray *lists[] = { h->best, h->median };

  if (n_now < window || n_now % 10 != 0)
    return FALSE;
  for (guint i = 0; i < 2; i++) {
    guint part = window * 3 / 10;

    if (history_median (lists[i], n_now - part, part) < history_median (lists[i], n_now - window, part))
      return FALSE;
  }
  return TRUE;
}

/* EqualFunValues and TolFun over the last 10 + 30 n / lambda generations, and Stagnation. */
static inline gboolean
history_is_plateau (const History *h, guint n, guint lambda)
{
  guint n_now = h->best->len, window = 10 + (guint) ceil (30.0 * n / lambda);
  double low = HUGE_VAL, high = -HUGE_VAL;

  if (n_now < window)
    return FALSE;
  for (guint i = n_now - window; i < n_now; i++) {
    low = MIN (low, g_array_index (h->best, double, i));
    high = MAX (high, g_array_index (h->best, double, i));
  }
  return low == high || (MAX (high, h->worst_now) - low < 1e-12) || history_is_stagnant (h, n, lambda);
}

/* A tenth of a standard deviation along one axis (another one each generation) does not change the mean: NoEffectAxis. scale [n]: what
 * points are stretched by. */
static inline gboolean
cma_axis_has_no_effect (const Cma *s, const Space *space, const double *scale)
{
  guint k = s->generation % s->n;

  for (guint i = 0; i < s->n; i++) {
    const Coordinate *at = &space->at[i];
    double axis = !s->diagonal ? s->root[(gsize) i * s->n + k] : i == k ? s->width[k] : 0, step = 0.1 * s->sigma * scale[i] * axis;
    double start = space->dims[at->dim].start;

    if (start + at->unit * (s->mean[i] + step) != start + at->unit * s->mean[i])
      return FALSE;
  }
  return TRUE;
}

/* TolX and NoEffectCoord are of dimensions that are not rounded; TolXUp, NoEffectAxis of all. Steps that are nothing to no real dimension end
 * where a double does. sigma0 as cma_init had it. */
static inline gboolean
cma_is_exhausted (const Cma *s, const Space *space, const double *scale, double sigma0)
{
  double widest = 0;
  gboolean no_effect = FALSE, all_tiny = TRUE, any_real = FALSE;

  if (s->n == 0)
    return FALSE;
  for (guint i = 0; i < s->n; i++) {
    const Coordinate *at = &space->at[i];
    double deviation = s->sigma * cma_deviation (s, i), here = space->dims[at->dim].start + at->unit * s->mean[i];

    widest = MAX (widest, deviation);
    if (at->is_whole)
      continue;
    any_real = TRUE;
    if (here + 0.2 * at->unit * deviation == here)
      no_effect = TRUE;
    all_tiny = all_tiny && deviation < 1e-12 * sigma0 && s->sigma * fabs (s->p_c[i]) < 1e-12 * sigma0;
  }
  return no_effect || (any_real && all_tiny) || !(widest < 1e4 * sigma0 && widest > 1e-100) || cma_axis_has_no_effect (s, space, scale);
}

#endif
