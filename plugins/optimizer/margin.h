/* SPDX-License-Identifier: Apache-2.0
 * margin.h - what keeps whole numbers moving: CMA-ES with Margin (Hamano, Saito, Nomura, Shirakawa 2022, arXiv 2205.13482, section 4).
 *
 * Where nearly all points round to one value, the ranking no longer says anything about that coordinate, and its deviation shrinks until no
 * point ever leaves. The correction moves the mean, and stretches the points (not the steps that the covariance learns from), so that the
 * probability to leave a value stays above alpha = 1 / (n lambda).
 */
#ifndef PLUGINS_OPTIMIZER_MARGIN_H
#define PLUGINS_OPTIMIZER_MARGIN_H

#include "normal.h"
#include "space.h"

/* At the lowest or highest value there is one threshold: the mean is held so near to it that alpha lies beyond. Distances in the dimension's
 * unit, from its start. */
static inline double
margin_hold (double here, double threshold, double deviation, double alpha)
{
  double most = deviation * normal_quantile (MIN (alpha, 0.5));

  return threshold + CLAMP (here - threshold, -most, most);
}

/* Between two thresholds: each side gets alpha / 2 at least; what that needs is taken from all three parts alike, and mean and deviation are
 * those of the new parts. TRUE: they changed. */
static inline gboolean
margin_widen (double *here, double *deviation, double low, double high, double alpha)
{
  double below = normal_above ((*here - low) / *deviation), above = normal_above ((high - *here) / *deviation);
  double middle = 1 - below - above, least = alpha / 2, spare, z_below, z_above;

  if ((below >= least && above >= least) || !(low < *here && *here <= high))
    return FALSE;
  below = MAX (below, least);
  above = MAX (above, least);
  spare = (1 - below - above - middle) / (below + above + middle - 3 * least);
  z_below = normal_quantile (below + spare * (below - least));
  z_above = normal_quantile (above + spare * (above - least));
  *here = (low * z_above + high * z_below) / (z_below + z_above);
  *deviation = (high - low) / (z_below + z_above);
  return TRUE;
}

/* deviation: of v before it is stretched by *scale. */
static inline void
margin_correct (const EvoDim *d, const Coordinate *at, double alpha, double deviation, double *mean, double *scale)
{
  double here = at->unit * *mean, whole = CLAMP (floor (d->start + here + 0.5), d->low, d->high), from_start = whole - d->start;
  double wide = at->unit * deviation * *scale;

  if (whole == d->low || whole == d->high)
    *mean = margin_hold (here, from_start + (whole == d->low ? 0.5 : -0.5), wide, alpha) / at->unit;
  else if (margin_widen (&here, &wide, from_start - 0.5, from_start + 0.5, alpha)) {
    *mean = here / at->unit;
    *scale = wide / (at->unit * deviation);
  }
}

#endif
