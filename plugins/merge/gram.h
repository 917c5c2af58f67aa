/* SPDX-License-Identifier: Apache-2.0
 * gram.h - what operators on lengths and angles share: inner products of the inputs in double, and the combination they lead to.
 *
 * With a base the vectors are the changes against it, else the tensors. All such operators end in a linear combination of their inputs whose
 * coefficients depend on the Gram matrix alone: one pass measures it, one writes.
 */
#ifndef PLUGINS_MERGE_GRAM_H
#define PLUGINS_MERGE_GRAM_H

#include "trig.h"

enum { GRAM_BLOCK = 1024 }; /* floats; a multiple of 16, so that sums keep their lanes */

/* Cosines nearer to 1 or -1 than this (an angle of 1e-6) do not tell the plane that two vectors lie in. */
#define GRAM_FLAT 5e-13

/* The lower triangle of the symmetric matrix, row after row. */
static inline gsize
gram_at (guint i, guint j)
{
  return i >= j ? (gsize) i * (i + 1) / 2 + j : (gsize) j * (j + 1) / 2 + i;
}

static inline guint32
gram_n_sums (const EvoMergeCall *c, guint pass)
{
  return c->n_in * (c->n_in + 1) / 2;
}

static inline guint32
gram_n_coef (const EvoMergeCall *c)
{
  return c->n_in;
}

/* sums: inner products of in[i] - origin, or of in[i] where origin is NULL */
static inline void
gram_add (const EvoMergeCall *c, const float *origin, double *sums)
{
  for (gsize at = 0; at < c->n; at += GRAM_BLOCK) {
    gsize n = MIN (GRAM_BLOCK, c->n - at);

    for (guint i = 0; i < c->n_in; i++)
      for (guint j = 0; j <= i; j++)
        sums[gram_at (i, j)] += origin == NULL ? c->k->dot (c->in[i] + at, c->in[j] + at, n)
                                               : c->k->dot_diff (c->in[i] + at, c->in[j] + at, origin + at, n);
  }
}

static inline gboolean
gram_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  gram_add (c, c->base, sums);
  return TRUE;
}

/* <x_i, sum_j v_j x_j> */
static inline double
gram_dot (const double *gram, guint n_in, guint i, const double *v)
{
  double sum = 0;

  for (guint j = 0; j < n_in; j++)
    sum += v[j] * gram[gram_at (i, j)];
  return sum;
}

/* || sum_j v_j x_j || */
static inline double
gram_length (const double *gram, guint n_in, const double *v)
{
  double sum = 0;

  for (guint i = 0; i < n_in; i++)
    sum += v[i] * gram_dot (gram, n_in, i, v);
  return sqrt (MAX (sum, 0));
}

/* coef [2] of the great circle through two vectors (Shoemake 1985), a share of wa towards the first and wb = 1 - wa towards the second, from
 * aa = <a, a>, ab, bb. Where there is no arc to speak of, or a vector is zero and so has no direction: wa a + wb b. */
static inline void
gram_arc (double aa, double ab, double bb, double wa, double wb, double *coef_a, double *coef_b)
{
  double a = sqrt (aa), b = sqrt (bb), d = a > 0 && b > 0 ? CLAMP (ab / a / b, -1, 1) : 1;

  *coef_a = wa;
  *coef_b = wb;
  if (1 - fabs (d) > GRAM_FLAT) {
    double theta = trig_acos (d), sine = trig_sin (theta);

    *coef_a = trig_sin (wa * theta) / sine;
    *coef_b = trig_sin (wb * theta) / sine;
  }
}

/* out = sum coef_i in[i], or base + sum coef_i (in[i] - base). The largest coefficient is taken out of the sum: equal ones do not round. */
static inline gboolean
gram_merge (const EvoMergeCall *c, GError **error)
{
  double largest = 0;

  for (guint i = 0; i < c->n_in; i++)
    largest = fabs (c->coef[i]) > fabs (largest) ? c->coef[i] : largest;
  for (gsize at = 0; at < c->n; at += GRAM_BLOCK) {
    gsize n = MIN (GRAM_BLOCK, c->n - at);

    c->k->zero (c->out + at, n);
    for (guint i = 0; i < c->n_in && largest != 0; i++)
      if (c->base == NULL)
        c->k->axpy (c->out + at, c->in[i] + at, c->coef[i] / largest, n);
      else
        c->k->axpy_diff (c->out + at, c->in[i] + at, c->base + at, c->coef[i] / largest, n);
    c->k->scale (c->out + at, largest, n);
    if (c->base != NULL)
      c->k->add (c->out + at, c->base + at, n);
  }
  return TRUE;
}

#endif
