/* SPDX-License-Identifier: Apache-2.0
 * space.h - the search space as a continuous optimizer sees it: one coordinate per real or integer dimension, one per choice.
 *
 * A coordinate v is 0 at the start point. Its unit is the dimension's range where that is finite, so that the box has width 1; the
 * dimension's own unit elsewhere; and where the dimension says its own sigma, that over the optimizer's. An integer's box reaches half a step
 * beyond its limits and is rounded. The largest coordinate of a choice dimension names the choice; they live in [-1/2, 1/2] and
 * the start's begins 1/6 above the others.
 */
#ifndef PLUGINS_OPTIMIZER_SPACE_H
#define PLUGINS_OPTIMIZER_SPACE_H

#include "evopipe.h"

typedef struct {
  guint dim;
  double unit;       /* of the dimension, per unit of v */
  double low, high;  /* of v; may be infinite */
  double mean;       /* of v at the start */
} Coordinate;

typedef struct {
  EvoDim *dims; guint n_dims;
  Coordinate *at; guint n;  /* fixed dimensions (one value) have none */
} Space;

static inline gboolean
space_check_dim (const EvoDim *d, GError **error)
{
  if (d->kind == EVO_DIM_TRIAL)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: names an earlier trial; this optimizer searches numbers and choices only", d->name);
  if (d->kind == EVO_DIM_CHOICE)
    return (d->n_choices >= 1 && d->n_choices <= 4096 && d->start >= 0 && d->start < d->n_choices && d->start == floor (d->start))
           || evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: start %g is none of its %u choices", d->name, d->start, d->n_choices);
  if (d->kind != EVO_DIM_REAL && d->kind != EVO_DIM_INTEGER)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: unknown kind of dimension %u", d->name, d->kind);
  if (!(d->low <= d->high) || !isfinite (d->start) || !(d->start >= d->low && d->start <= d->high))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: start %g is outside %g ... %g", d->name, d->start, d->low, d->high);
  if (!isnan (d->sigma) && !(d->sigma > 0 && isfinite (d->sigma)))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: sigma %g is not above 0", d->name, d->sigma);
  if (d->kind == EVO_DIM_INTEGER && (d->start != floor (d->start) || fabs (d->start) > 0x1p53))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: start %g is not a whole number below 2^53", d->name, d->start);
  if (d->kind == EVO_DIM_INTEGER && (d->low != floor (d->low) || d->high != floor (d->high)))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: bounds %g ... %g of a whole number are not whole", d->name, d->low, d->high);
  return TRUE;
}

static inline guint
space_n_coordinates (const EvoDim *d)
{
  if (d->kind == EVO_DIM_CHOICE)
    return d->n_choices > 1 ? d->n_choices : 0;
  return d->low < d->high;
}

static inline Coordinate
space_coordinate (const EvoDim *d, guint dim, guint choice, double sigma)
{
  double margin = d->kind == EVO_DIM_INTEGER ? 0.5 : 0, low = d->low - margin, high = d->high + margin, unit = high - low;

  if (d->kind == EVO_DIM_CHOICE)
    return (Coordinate){ dim, 1, -0.5, 0.5, choice == d->start ? 1.0 / 6 : 0 };
  if (!isnan (d->sigma))
    unit = d->sigma / sigma;
  else if (!isfinite (unit))
    unit = 1;
  return (Coordinate){ dim, unit, (low - d->start) / unit, (high - d->start) / unit, 0 };
}

/* FALSE: a dimension that cannot be searched; the space is then empty. sigma: the optimizer's start, in units of v. */
static inline gboolean
space_init (Space *s, const EvoDim *dims, guint n_dims, double sigma, GError **error)
{
  guint n = 0;

  *s = (Space){ 0 };
  if (n_dims == 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "there is nothing to search: no dimension was given");
  for (guint i = 0; i < n_dims; i++) {
    if (!space_check_dim (&dims[i], error))
      return FALSE;
    n += space_n_coordinates (&dims[i]);
  }
  s->dims = g_new (EvoDim, n_dims);
  for (guint i = 0; i < n_dims; i++)
    s->dims[i] = dims[i];
  s->n_dims = n_dims;
  s->at = g_new (Coordinate, MAX (n, 1));
  for (guint i = 0; i < n_dims; i++)
    for (guint j = 0; j < space_n_coordinates (&dims[i]); j++)
      s->at[s->n++] = space_coordinate (&dims[i], i, j, sigma);
  return TRUE;
}

static inline void
space_clear (Space *s)
{
  g_free (s->dims);
  g_free (s->at);
  *s = (Space){ 0 };
}

/* A real or integer dimension's value at v: rounded to a whole number, never outside its limits. */
static inline double
space_value (const Space *s, const Coordinate *at, double v)
{
  const EvoDim *d = &s->dims[at->dim];
  double x = d->start + at->unit * v;

  if (d->kind == EVO_DIM_INTEGER)
    x = floor (x + 0.5);
  return CLAMP (x, d->low, d->high);
}

/* x [n_dims] from v [n] */
static inline void
space_decode (const Space *s, const double *v, double *x)
{
  for (guint i = 0; i < s->n_dims; i++)
    x[i] = s->dims[i].start;
  for (guint i = 0; i < s->n; i++) {
    const Coordinate *at = &s->at[i];
    guint n_choices = s->dims[at->dim].n_choices, best = 0;

    if (s->dims[at->dim].kind != EVO_DIM_CHOICE) {
      x[at->dim] = space_value (s, at, v[i]);
      continue;
    }
    for (guint j = 1; j < n_choices; j++)
      if (v[i + j] > v[i + best])
        best = j;
    x[at->dim] = best;
    i += n_choices - 1;
  }
}

#endif
