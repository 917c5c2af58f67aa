/* SPDX-License-Identifier: Apache-2.0
 * cma-draw.h - a generation's steps, drawn until their points lie in the box: 100 times more at most, the last draw is kept.
 *
 * With a diagonal covariance coordinates are independent, so each is drawn again by itself: the same distribution as whole points drawn again,
 * but one that thousands of bounded coordinates can still meet. With a full one points are drawn together, as one product of matrices a round,
 * and a point that is outside in its first coordinates is not computed further.
 */
#ifndef PLUGINS_OPTIMIZER_CMA_DRAW_H
#define PLUGINS_OPTIMIZER_CMA_DRAW_H

#include "cma.h"

enum { DRAW_AGAIN = 100, DRAW_BLOCK = 256 };

typedef struct {
  double *low, *high;        /* [n] of v = mean + sigma y; infinite where there is no wall */
  double *y;                 /* [lambda][n] */
  double *length2;           /* [lambda] of the z that y was made of */
  double *outside;           /* [lambda] squared distance from the box, in standard deviations */
  double *z, *block;         /* [lambda][n], [lambda][DRAW_BLOCK]; NULL where diagonal */
} Draw;

static inline void
draw_clear (Draw *d)
{
  double *owned[] = { d->low, d->high, d->y, d->length2, d->outside, d->z, d->block };

  for (guint i = 0; i < G_N_ELEMENTS (owned); i++)
    g_free (owned[i]);
  *d = (Draw){ 0 };
}

static inline void
draw_init (Draw *d, const Cma *c)
{
  gsize n = (gsize) c->lambda * c->n;

  *d = (Draw){ g_new (double, c->n), g_new (double, c->n), g_new (double, n), g_new0 (double, c->lambda), g_new0 (double, c->lambda), NULL, NULL };
  for (guint i = 0; i < c->n; i++) {
    d->low[i] = -HUGE_VAL;
    d->high[i] = HUGE_VAL;
  }
  if (c->diagonal)
    return;
  d->z = g_new (double, n);
  d->block = g_new (double, (gsize) c->lambda * DRAW_BLOCK);
}

/* Squared distance from the walls, in standard deviations. */
static inline double
draw_outside (const Draw *d, const Cma *c, guint i, double y)
{
  double v = c->mean[i] + c->sigma * y, far = v - CLAMP (v, d->low[i], d->high[i]);

  if (far == 0)
    return 0;
  far /= c->sigma * cma_deviation (c, i);
  return far * far;
}

static inline void
draw_diagonal (Draw *d, const Cma *c, Random *random)
{
  for (guint k = 0; k < c->lambda; k++) {
    double *y = d->y + (gsize) k * c->n;

    d->length2[k] = d->outside[k] = 0;
    for (guint i = 0; i < c->n; i++) {
      double z = 0, far = 1;

      for (guint attempt = 0; far > 0 && attempt <= DRAW_AGAIN; attempt++) {
        z = random_normal (random);
        y[i] = c->width[i] * z;
        far = draw_outside (d, c, i, y[i]);
      }
      d->length2[k] += z * z;
      d->outside[k] += far;
    }
  }
}

/* Of coordinates first .. first + n of the m points in `alive`: which stay. Rows of z move up with them; the others go to `dead`. */
static inline guint
draw_sift (Draw *d, const Cma *c, guint first, guint n, guint *alive, guint m, guint *dead, guint *n_dead, gboolean is_last)
{
  guint kept = 0;

  for (guint r = 0; r < m; r++) {
    const double *from = d->block + (gsize) r * n;
    double far = 0;

    memcpy (d->y + (gsize) alive[r] * c->n + first, from, n * sizeof (double));
    for (guint i = 0; i < n && (is_last || far == 0); i++)
      far += draw_outside (d, c, first + i, from[i]);
    if (far > 0 && !is_last) {
      dead[(*n_dead)++] = alive[r];
      continue;
    }
    d->outside[alive[r]] += far;
    if (kept != r)
      memcpy (d->z + (gsize) kept * c->n, d->z + (gsize) r * c->n, c->n * sizeof (double));
    alive[kept++] = alive[r];
  }
  return kept;
}

static inline void
draw_full (Draw *d, const Cma *c, Random *random)
{
  g_autofree guint *alive = g_new (guint, c->lambda), *dead = g_new (guint, c->lambda);
  guint n_dead = c->lambda;

  for (guint k = 0; k < c->lambda; k++)
    dead[k] = k;
  for (guint round = 0; n_dead > 0; round++) {
    guint m = n_dead;

    for (guint r = 0; r < m; r++) {
      double *z = d->z + (gsize) r * c->n;

      alive[r] = dead[r];
      for (guint i = 0; i < c->n; i++)
        z[i] = random_normal (random);
      d->length2[alive[r]] = cma_norm2 (z, c->n);
      d->outside[alive[r]] = 0;
    }
    n_dead = 0;
    for (guint first = 0; first < c->n && m > 0; first += DRAW_BLOCK) {
      guint n = MIN (DRAW_BLOCK, c->n - first);

      c->k->gemm (d->block, d->z, 0, c->root + (gsize) first * c->n, 1, m, n, c->n, 1, 0);
      m = draw_sift (d, c, first, n, alive, m, dead, &n_dead, round == DRAW_AGAIN);
    }
  }
}

static inline void
draw_generation (Draw *d, const Cma *c, Random *random)
{
  if (c->diagonal)
    draw_diagonal (d, c, random);
  else
    draw_full (d, c, random);
}

#endif
