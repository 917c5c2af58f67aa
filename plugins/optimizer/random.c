/* SPDX-License-Identifier: Apache-2.0
 * optimizer.random - points drawn uniformly from the box: the yardstick any other search must beat.
 *
 * Trial 0 is the start point. Points do not depend on outcomes; they are handed out in batches so that the host has a place to
 * look at the clock and to draw new items.
 */
#include "random.h"
#include "space.h"

typedef struct { gint64 population; } RandomParams;

static const EvoParam params[] = {
  EVO_INTEGER (RandomParams, population, 16, EVO_LIMITS (1, 65536), "Candidates that are handed out before the host reports back."),
  EVO_PARAMS_END
};

typedef struct {
  EvoDim *dims; guint n_dims;
  gint64 population, n_asked, n_told; /* of this batch */
  gboolean started;
  Random random;
} Search;

static void
random_close (gpointer self)
{
  Search *s = self;

  g_free (s->dims);
  g_free (s);
}

static gpointer
random_open (const EvoDim *dims, guint n_dims, guint n_objectives, const void *params_, guint64 seed, const EvoKernels *k, GError **error)
{
  const RandomParams *p = params_;
  Search *s;

  if (n_dims == 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "there is nothing to search: no dimension was given"), NULL;
  for (guint i = 0; i < n_dims; i++) {
    if (!space_check_dim (&dims[i], error))
      return NULL;
    if (dims[i].kind != EVO_DIM_CHOICE && !isfinite (dims[i].high - dims[i].low))
      return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "%s: has no bounds; random search needs both", dims[i].name), NULL;
  }
  s = g_new0 (Search, 1);
  s->dims = g_memdup2 (dims, n_dims * sizeof (EvoDim));
  s->n_dims = n_dims;
  s->population = p->population;
  random_init (&s->random, seed);
  return s;
}

static double
draw (Random *random, const EvoDim *d)
{
  double u = random_uniform (random);

  if (d->kind == EVO_DIM_CHOICE)
    return MIN (floor (u * d->n_choices), d->n_choices - 1);
  if (d->kind == EVO_DIM_INTEGER)
    return MIN (d->low + floor (u * (d->high - d->low + 1)), d->high);
  return CLAMP (d->low + u * (d->high - d->low), d->low, d->high);
}

static EvoAsked
random_ask (gpointer self, gint64 trial, double *x)
{
  Search *s = self;

  if (s->n_asked == s->population)
    return EVO_ASKED_WAIT;
  for (guint i = 0; i < s->n_dims; i++)
    x[i] = s->started ? draw (&s->random, &s->dims[i]) : s->dims[i].start;
  s->started = TRUE;
  s->n_asked++;
  return EVO_ASKED_GIVEN;
}

static void
random_tell (gpointer self, const double *x, const EvoOutcome *outcome)
{
  Search *s = self;

  if (s->n_told < s->n_asked)
    s->n_told++;
  if (s->n_told == s->population)
    s->n_asked = s->n_told = 0;
}

EVO_OPTIMIZER_PLUGIN (.name = "random", .summary = "Points drawn uniformly from the box.", EVO_TAKES (RandomParams, params),
                      .max_objectives = 1, .open = random_open, .ask = random_ask, .tell = random_tell, .close = random_close)
