/* SPDX-License-Identifier: Apache-2.0
 * merge.crossover - one model up to a point of the parameters, the other after it (Abrantes et al., "Competition and attraction improve model
 * fusion", M2N2, 2025).
 *
 * The parameters are one vector, in output order; `split` is w_s as a share of it, `t` is w_m: slerp (A, B, t) before the split, slerp (A, B, 1 - t)
 * after it; at 0 that is A, then B. The paper interpolates each part by itself, along the arc between its vectors (angle "parts"); the authors'
 * code takes the angle of the whole models for both ("model"). Where vectors are parallel or opposite within 1e-6 the arc is a line.
 * A split by selectors gives groups of tensors their own, as the paper does with attention: a part is what lies before the split of its tensor.
 */
#include "trig.h"

typedef enum { ANGLE_PARTS, ANGLE_MODEL } Angle;
typedef struct { double t, split; guint32 angle; } CrossoverParams;

static const EvoParam params[] = {
  EVO_NUMBER (CrossoverParams, t, 0, EVO_ANY, EVO_SEARCH (0, 1), "Share of the second model before the split, and of the first after it."),
  EVO_NUMBER (CrossoverParams, split, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "Where the models change places: share of all parameters before it."),
  EVO_CHOICE (CrossoverParams, angle, ANGLE_PARTS, "The arc: between the parts before and after the split, or between the whole models.", "parts",
              "model"),
  EVO_PARAMS_END
};

/* How many of the call's elements come before the split. */
static gsize
n_before (const EvoMergeCall *c)
{
  gint64 split = (gint64) (((const CrossoverParams *) c->params)->split * (double) c->t->model_n);

  return (gsize) CLAMP (split - c->t->model_first - c->first, 0, (gint64) c->n);
}

static guint32
crossover_n_sums (const EvoMergeCall *c, guint pass)
{
  return 6;
}

/* aa, ab, bb before the split, and after it */
static gboolean
crossover_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  gsize before = n_before (c);

  for (guint part = 0; part < 2; part++) {
    const float *a = c->in[0] + part * before, *b = c->in[1] + part * before;
    gsize n = part == 0 ? before : c->n - before;

    sums[3 * part] += c->k->dot (a, a, n);
    sums[3 * part + 1] += c->k->dot (a, b, n);
    sums[3 * part + 2] += c->k->dot (b, b, n);
  }
  return TRUE;
}

static guint32
crossover_n_coef (const EvoMergeCall *c)
{
  return 4;
}

/* Weights of the two models at t of the arc (Shoemake 1985). */
static void
arc (double aa, double ab, double bb, double t, double *w)
{
  double d = aa > 0 && bb > 0 ? CLAMP (ab / sqrt (aa) / sqrt (bb), -1, 1) : 1;

  w[0] = 1 - t;
  w[1] = t;
  if (1 - fabs (d) > 5e-13) { /* an angle of 1e-6 */
    double theta = trig_acos (d), sine = trig_sin (theta);

    w[0] = trig_sin ((1 - t) * theta) / sine;
    w[1] = trig_sin (t * theta) / sine;
  }
}

static gboolean
crossover_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const CrossoverParams *p = c->params;
  const double both[3] = { sums[0] + sums[3], sums[1] + sums[4], sums[2] + sums[5] };

  for (guint part = 0; part < 2; part++) {
    const double *s = p->angle == ANGLE_MODEL ? both : sums + 3 * part;

    arc (s[0], s[1], s[2], part == 0 ? p->t : 1 - p->t, coef + 2 * part);
  }
  return TRUE;
}

static gboolean
crossover_merge (const EvoMergeCall *c, GError **error)
{
  gsize n = n_before (c);

  c->k->mix (c->out, c->in[0], c->in[1], c->coef[0], c->coef[1], n);
  c->k->mix (c->out + n, c->in[0] + n, c->in[1] + n, c->coef[2], c->coef[3], c->n - n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "crossover", .summary = "One model up to a point of the parameters, the other after it.", .min_inputs = 2, .max_inputs = 2,
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_MODEL, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (CrossoverParams, params),
                  .n_passes = 1, .n_sums = crossover_n_sums, .measure = crossover_measure, .n_coef = crossover_n_coef, .solve = crossover_solve,
                  .merge = crossover_merge,
                  .formula = "slerp (x₁, x₂, t) in the first ⌊split P⌋ of the model's P weights, slerp (x₁, x₂, 1 − t) in the others; slerp "
                  "(a, b, t) = (sin ((1 − t) θ) a + sin (t θ) b) / sin θ, θ the angle between a and b in that part (angle model: in the "
                  "whole model); parallel ones: (1 − t) a + t b",
                  .source = "Abrantes et al., \"Competition and attraction improve model fusion\" (M2N2), 2025, arXiv 2508.16204; its "
                  "authors' code: angle model")
