/* SPDX-License-Identifier: Apache-2.0
 * merge.slerp - great-circle interpolation between two models (Shoemake, "Animating rotation with quaternion curves", 1985).
 *
 * The angle is that between the whole tensors a and b; with theta that angle the result is (sin ((1 - t) theta) a + sin (t theta) b) / sin theta.
 * Where the tensors are nearly parallel or nearly opposite (|cos theta| > threshold), and where one is zero and so has no direction, the
 * arc is not well determined: the result is (1 - t) a + t b. `threshold` 1 leaves that to angles within 1e-6 of 0 and of pi.
 * Norms and the angle are made in double from the sums aa, ab, bb, which do not depend on t.
 */
#include "trig.h"

typedef enum { FORMULA, LINEAR } Length;
typedef struct { double t, threshold; guint32 length; } SlerpParams;

static const EvoParam params[] = {
  EVO_NUMBER (SlerpParams, t, 0.5, EVO_ANY, EVO_SEARCH (0, 1), "Place on the arc: 0 is the first model, 1 the second; beyond, it goes on."),
  EVO_NUMBER (SlerpParams, threshold, 0.9995, EVO_LIMITS (0, 1), EVO_NO_SEARCH,
              "Interpolates linearly where the cosine of the angle is beyond this, either way."),
  EVO_CHOICE (SlerpParams, length, FORMULA, "Length of the result: what the formula makes of the tensors as they are, or changing linearly "
              "from one's to the other's while the direction turns.", "formula", "linear"),
  EVO_PARAMS_END
};

static guint32
slerp_n_sums (const EvoMergeCall *c, guint pass)
{
  return 3;
}

static gboolean
slerp_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  sums[0] += c->k->dot (c->in[0], c->in[0], c->n);
  sums[1] += c->k->dot (c->in[0], c->in[1], c->n);
  sums[2] += c->k->dot (c->in[1], c->in[1], c->n);
  return TRUE;
}

static guint32
slerp_n_coef (const EvoMergeCall *c)
{
  return 2;
}

static gboolean
slerp_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const SlerpParams *p = c->params;
  double a = sqrt (sums[0]), b = sqrt (sums[2]), d = a > 0 && b > 0 ? CLAMP (sums[1] / a / b, -1, 1) : 1, t = p->t;

  coef[0] = 1 - t;
  coef[1] = t;
  if (fabs (d) <= p->threshold && 1 - fabs (d) > 5e-13) { /* the latter: an angle of 1e-6 */
    double theta = trig_acos (d), sine = trig_sin (theta);

    coef[0] = trig_sin ((1 - t) * theta) / sine;
    coef[1] = trig_sin (t * theta) / sine;
  }
  if (p->length == LINEAR && a > 0 && b > 0) {
    double length = (1 - t) * a + t * b;

    coef[0] *= length / a;
    coef[1] *= length / b;
  }
  return TRUE;
}

static gboolean
slerp_merge (const EvoMergeCall *c, GError **error)
{
  c->k->mix (c->out, c->in[0], c->in[1], c->coef[0], c->coef[1], c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "slerp", .summary = "Great-circle interpolation between two models.", .min_inputs = 2, .max_inputs = 2,
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_MEASURE_FIXED,
                  EVO_TAKES (SlerpParams, params), .n_passes = 1, .n_sums = slerp_n_sums, .measure = slerp_measure, .n_coef = slerp_n_coef,
                  .solve = slerp_solve, .merge = slerp_merge,
                  .formula = "(sin ((1 − t) θ) x₁ + sin (t θ) x₂) / sin θ, θ the angle between the whole tensors; where |cos θ| > threshold "
                  "or a tensor is zero: (1 − t) x₁ + t x₂; length linear: x₁ times L / |x₁| and x₂ times L / |x₂|, L = (1 − t) |x₁| + t |x₂|",
                  .source = "Shoemake, \"Animating rotation with quaternion curves\", 1985; it has no threshold: 0.9995 is that of the "
                  "implementations in use, mergekit's too, 1 leaves only what rounding decides")
