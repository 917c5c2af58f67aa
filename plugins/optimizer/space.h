/* SPDX-License-Identifier: Apache-2.0
 * space.h - the search space as a continuous optimizer sees it: one coordinate for every real or integer dimension; choices stand apart.
 *
 * A coordinate v is 0 at the start point. Its unit is the dimension's range where that is finite, so that the box has width 1; the
 * dimension's own unit elsewhere; and where the dimension says its own sigma, that over the optimizer's. An integer's range reaches half a
 * step beyond its limits; what lies beyond is the last whole number, so integers have no walls.
 */
#ifndef PLUGINS_OPTIMIZER_SPACE_H
#define PLUGINS_OPTIMIZER_SPACE_H

#include "evopipe.h"

typedef struct {
  guint dim;
  gboolean is_whole;
  double unit;       /* of the dimension, per unit of v */
  double low, high;  /* of v; may be infinite */
} Coordinate;

typedef struct {
  EvoDim *dims; guint n_dims;
  Coordinate *at; guint n;            /* fixed dimensions (one value) have none */
  guint *choices; guint n_choices;    /* dimensions with more than one choice */
} Space;

static inline gboolean
space_check_choice (const EvoDim *d, GError **error)
{
  if (!(d->n_choices >= 1 && d->n_choices <= 4096))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: has %u choices; 1 to 4096 can be searched", d->name, d->n_choices);
  if (!(d->start >= 0 && d->start < d->n_choices && d->start == floor (d->start)))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: start %g is none of its %u choices", d->name, d->start, d->n_choices);
  if (!isnan (d->sigma) && !(d->sigma > 0 && d->sigma < 1))
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: sigma %g of a choice is the probability to leave its start; above 0 and below 1", d->name,
                     d->sigma);
  return TRUE;
}

static inline gboolean
space_check_dim (const EvoDim *d, GError **error)
{
  if (d->kind == EVO_DIM_TRIAL)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: names an earlier trial; this optimizer searches numbers and choices only", d->name);
  if (d->kind == EVO_DIM_CHOICE)
    return space_check_choice (d, error);
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

static inline Coordinate
space_coordinate (const EvoDim *d, guint dim, double sigma)
{
  gboolean is_whole = d->kind == EVO_DIM_INTEGER;
  double low = d->low - (is_whole ? 0.5 : 0), high = d->high + (is_whole ? 0.5 : 0), unit = high - low;

  if (!isnan (d->sigma))
    unit = d->sigma / sigma;
  else if (!isfinite (unit))
    unit = 1;
  return (Coordinate){ dim, is_whole, unit, (low - d->start) / unit, (high - d->start) / unit };
}

/* FALSE: a dimension that cannot be searched; the space is then empty. sigma: the optimizer's start, in units of v. */
static inline gboolean
space_init (Space *s, const EvoDim *dims, guint n_dims, double sigma, GError **error)
{
  *s = (Space){ 0 };
  if (n_dims == 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "there is nothing to search: no dimension was given");
  for (guint i = 0; i < n_dims; i++)
    if (!space_check_dim (&dims[i], error))
      return FALSE;
  s->dims = g_memdup2 (dims, n_dims * sizeof (EvoDim));
  s->n_dims = n_dims;
  s->at = g_new (Coordinate, n_dims);
  s->choices = g_new (guint, n_dims);
  for (guint i = 0; i < n_dims; i++)
    if (dims[i].kind == EVO_DIM_CHOICE && dims[i].n_choices > 1)
      s->choices[s->n_choices++] = i;
    else if (dims[i].kind != EVO_DIM_CHOICE && dims[i].low < dims[i].high)
      s->at[s->n++] = space_coordinate (&dims[i], i, sigma);
  return TRUE;
}

static inline void
space_clear (Space *s)
{
  g_free (s->dims);
  g_free (s->at);
  g_free (s->choices);
  *s = (Space){ 0 };
}

/* A real or integer dimension's value at v: rounded to a whole number, never outside its limits. */
static inline double
space_value (const Space *s, const Coordinate *at, double v)
{
  const EvoDim *d = &s->dims[at->dim];
  double x = d->start + at->unit * v;

  if (at->is_whole)
    x = floor (x + 0.5);
  return CLAMP (x, d->low, d->high);
}

#endif
