/* SPDX-License-Identifier: Apache-2.0
 * merge.arcee-fusion - takes a model's weight where its change stands out, else the base's (Arcee AI's "Arcee Fusion", in mergekit 0.1, 2025).
 *
 * The importance of a change is its magnitude times the divergence KL (softmax (row of the model) + 1e-8, softmax (row of the base) + 1e-8), a row
 * going along the last dimension. Weights of an importance of at least median + 1.5 (Q3 - Q1) over the tensor are the model's; the q-quantile
 * of n is the one at index floor (q (n - 1)) from the smallest. Here quantiles are exact and the divergence is made in double; mergekit has
 * quantiles of random samples where there are more than a million elements, and in fp32 a divergence that for light fine-tunes is rounding
 * noise. Where all importances are zero (rows of one element) the model's weights are taken, as there.
 */
#include "evopipe.h"

enum { QUARTER, HALF, THREE_QUARTERS, N_CUTS };
enum { SMALL = 4 }; /* elements of a tensor where a quantile may be the smallest importance */

typedef struct { double tail; } FusionParams;

static const EvoParam params[] = {
  EVO_NUMBER (FusionParams, tail, 1.5, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0, 3), "Distance of the threshold from the median, in interquartile ranges."),
  EVO_PARAMS_END
};

enum { DIVERGENCE, LEAST, N_COEF }; /* of a row: the divergence, its least importance */

static gsize
fusion_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return 3 * (gsize) t->n_cols * sizeof (double);
}

static guint32
fusion_n_sums (const EvoMergeCall *c, guint pass)
{
  return N_COEF;
}

/* key [n]: importance of a row's elements */
static void
importance (const EvoMergeCall *c, double divergence, float *key)
{
  const float *a = c->in[0], *b = c->base;

  for (gsize j = 0; j < c->n; j++)
    key[j] = (float) (fabs ((double) (a[j] - b[j])) * divergence);
}

static gboolean
fusion_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  float key[SMALL], least = HUGE_VALF;

  sums[DIVERGENCE] = c->k->divergence (c->in[0], c->base, 1e-8, c->n, c->scratch);
  if (c->t->n > SMALL)
    return TRUE;
  importance (c, sums[DIVERGENCE], key);
  for (gsize j = 0; j < c->n; j++)
    least = MIN (least, key[j]);
  sums[LEAST] = least;
  return TRUE;
}

static void
fusion_keys (const EvoMergeCall *c, guint cut, float *key)
{
  importance (c, c->coef[DIVERGENCE], key);
}

static gint64
fusion_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  return n - (gint64) floor (0.25 * (cut + 1) * (double) MAX (n - 1, 0));
}

/* The quantile of a cut; the smallest importance is not a cut (everything is above it): it is the least of the rows'. */
static double
quantile (const EvoMergeCall *c, guint cut)
{
  const double *rows = c->coef - c->first / c->t->n_cols * N_COEF;
  double least = HUGE_VAL;

  if (c->cut[cut] >= 0)
    return c->cut[cut];
  for (gint64 r = 0; r < c->t->n_rows; r++)
    least = MIN (least, rows[r * N_COEF + LEAST]);
  return least;
}

static gboolean
fusion_merge (const EvoMergeCall *c, GError **error)
{
  double threshold = quantile (c, HALF) + ((const FusionParams *) c->params)->tail * (quantile (c, THREE_QUARTERS) - quantile (c, QUARTER));
  float at_least = (float) threshold, *out = c->out;
  const float *a = c->in[0], *b = c->base;

  if (at_least < threshold) /* the float from which on a key reaches the threshold */
    at_least = nextafterf (at_least, HUGE_VALF);
  importance (c, c->coef[DIVERGENCE], out);
  for (gsize j = 0; j < c->n; j++)
    out[j] = out[j] >= at_least ? a[j] : b[j];
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "arcee-fusion", .summary = "A model's weights where their change stands out, else the base's.", .min_inputs = 1,
                  .max_inputs = 1, .access = EVO_BY_ROW, .scope = EVO_OVER_ROW, .flags = EVO_MERGE_NEEDS_BASE | EVO_MERGE_SAME_KEYS,
                  EVO_TAKES (FusionParams, params), .n_passes = 1, .n_sums = fusion_n_sums,
                  .measure = fusion_measure, .n_cuts_fixed = N_CUTS, .keys = fusion_keys, .rank = fusion_rank,
                  .scratch_bytes = fusion_scratch_bytes, .merge = fusion_merge,
                  .formula = "x₁ where s ≥ Q₂ + tail (Q₃ − Q₁), else base; s = |d₁| Σ p ln (p / q) over the element's row, p = softmax (x₁) "
                  "+ 1e-8, q = softmax (base) + 1e-8; Q₁, Q₂, Q₃ the quartiles of s over the tensor",
                  .source = "Arcee AI, \"Arcee Fusion\", in mergekit 0.1, 2025; no paper; above a million elements mergekit takes quartiles "
                  "of random samples, here they are exact")
