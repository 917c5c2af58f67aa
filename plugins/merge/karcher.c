/* SPDX-License-Identifier: Apache-2.0
 * merge.karcher - Riemannian centre of mass on the sphere (Karcher, "Riemannian center of mass and mollifier smoothing", 1977).
 *
 * Of the directions u_i = x_i / |x_i| the point u that is at rest under the weighted pull sum a_i log_u (u_i), found by following the pull from the
 * normalised mean (Buss and Fillmore, "Spherical averages", 2001, algorithm A1); the result has the weighted mean of the lengths. u stays a
 * combination of the inputs, so lengths and angles come from their inner products. Inputs no longer than tol have no direction but count
 * in the mean length; where the directions cancel there is no such point, and the result is the weighted mean of the inputs (mergekit: the first's
 * direction). With a base, all that of the changes against it; mergekit counts a base as one more input instead.
 * mergekit (Wang, Ye, Yin, "Functionality-oriented LLM merging on the Fisher-Rao manifold", 2026) has equal weights, and stops after max_iter 10 or a
 * pull below tol 1e-5; the defaults here go on to fp32's own precision.
 */
#include "gram.h"

typedef struct { gint64 max_iter; double tol; } KarcherParams;
typedef struct { double weight; } KarcherInput;

static const EvoParam params[] = {
  EVO_INTEGER (KarcherParams, max_iter, 100, EVO_LIMITS (0, 10000), "Steps along the pull at most (mergekit: 10)."),
  EVO_NUMBER (KarcherParams, tol, 1e-8, EVO_LIMITS (0, 1), EVO_NO_SEARCH, "Stops where the pull is shorter (mergekit: 1e-5), in radians."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (KarcherInput, weight, 1, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0.01, 1), "Weight of this model's direction and length."),
  EVO_PARAMS_END
};

typedef struct { const double *gram; guint n_in; double *weight, *length, *at, *pull; } Centre; /* arrays: [n_in] */

static guint32
karcher_n_coef (const EvoMergeCall *c)
{
  return 4 * c->n_in; /* the coefficients, then what solve needs for itself */
}

/* Weights of sum 1 over the inputs that have a direction; *scale: the mean length. */
static gboolean
begin (const EvoMergeCall *c, Centre *s, double tol, double *scale, double *directed, GError **error)
{
  double total = 0;

  *scale = *directed = 0;
  for (guint i = 0; i < c->n_in; i++)
    total += ((const KarcherInput *) c->in_params[i])->weight;
  if (total < 1e-8)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights sum to zero; another weight");
  for (guint i = 0; i < c->n_in; i++) {
    s->length[i] = sqrt (s->gram[gram_at (i, i)]);
    s->weight[i] = ((const KarcherInput *) c->in_params[i])->weight / total;
    *scale += s->weight[i] * s->length[i];
    if (s->length[i] <= tol)
      s->weight[i] = 0;
    *directed += s->weight[i];
  }
  for (guint i = 0; i < c->n_in && *directed > 0; i++)
    s->weight[i] /= *directed;
  return TRUE;
}

/* at = the normalised mean of the directions; FALSE: they cancel (to 1e-6, so that the fp32 result has digits left). */
static gboolean
start (Centre *s)
{
  double length;

  for (guint i = 0; i < s->n_in; i++)
    s->at[i] = s->weight[i] > 0 ? s->weight[i] / s->length[i] : 0;
  length = gram_length (s->gram, s->n_in, s->at);
  for (guint i = 0; i < s->n_in && length > 1e-6; i++)
    s->at[i] /= length;
  return length > 1e-6;
}

/* pull = sum a_i theta_i / sin theta_i (u_i - cos theta_i u); the opposite of u pulls nowhere: every way to it is a shortest one. */
static void
pull (Centre *s)
{
  double along = 0;

  for (guint i = 0; i < s->n_in; i++) {
    double d = s->weight[i] > 0 ? CLAMP (gram_dot (s->gram, s->n_in, i, s->at) / s->length[i], -1, 1) : -1, theta, force = 0;

    if (d > -1 + GRAM_FLAT) {
      theta = trig_acos (d);
      force = s->weight[i] * (theta > 1e-6 ? theta / trig_sin (theta) : 1);
    }
    s->pull[i] = force > 0 ? force / s->length[i] : 0;
    along += force * d;
  }
  for (guint i = 0; i < s->n_in; i++)
    s->pull[i] -= along * s->at[i];
}

/* at = cos |pull| at + sin |pull| pull / |pull|, normalised */
static void
step (Centre *s, double length)
{
  double cosine = trig_sin (length + G_PI_2), sine = trig_sin (length);

  for (guint i = 0; i < s->n_in; i++)
    s->at[i] = cosine * s->at[i] + sine / length * s->pull[i];
  length = gram_length (s->gram, s->n_in, s->at);
  for (guint i = 0; i < s->n_in && length > 0; i++)
    s->at[i] /= length;
}

static gboolean
karcher_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const KarcherParams *p = c->params;
  Centre s = { sums, c->n_in, coef + c->n_in, coef + 2 * c->n_in, coef, coef + 3 * c->n_in };
  double scale, directed;

  if (!begin (c, &s, p->tol, &scale, &directed, error))
    return FALSE;
  if (directed == 0)
    return TRUE; /* nothing but zeros: coef is zero */
  if (!start (&s)) {
    for (guint i = 0; i < c->n_in; i++)
      coef[i] = s.weight[i] * directed;
    return TRUE;
  }
  for (gint64 i = 0; i < p->max_iter; i++) {
    double length;

    pull (&s);
    length = gram_length (sums, c->n_in, s.pull);
    if (length <= p->tol)
      break;
    step (&s, length);
  }
  for (guint i = 0; i < c->n_in; i++)
    coef[i] *= scale;
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "karcher", .summary = "Riemannian mean of the models' directions, of their mean length, also of changes.",
                  .min_inputs = 1, .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR,
                  .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_TAKES_BASE | EVO_MERGE_MEASURE_FIXED, EVO_TAKES (KarcherParams, params),
                  EVO_TAKES_PER_INPUT (KarcherInput, in_params), .n_passes = 1, .n_sums = gram_n_sums, .measure = gram_measure,
                  .n_coef = karcher_n_coef, .solve = karcher_solve, .merge = gram_merge,
                  .formula = "(Σ wᵢ |xᵢ|) u, u the point of the unit sphere where Σ wᵢ log_u (xᵢ / |xᵢ|) = 0, by u ← exp_u of that sum until "
                  "it is ≤ tol, max_iter times at most; wᵢ = weightᵢ / Σ weightᵢ; inputs of a length up to tol have no direction; where the "
                  "directions cancel: Σ wᵢ xᵢ; with a base: dᵢ for xᵢ, and base added",
                  .source = "Karcher, \"Riemannian center of mass and mollifier smoothing\", 1977; Buss & Fillmore, \"Spherical averages\", "
                  "2001, algorithm A1; mergekit, which stops at max_iter 10 or tol 1e-5: Wang, Ye, Yin, \"Functionality-oriented LLM "
                  "merging on the Fisher-Rao manifold\", 2026, arXiv 2603.04972")
