/* SPDX-License-Identifier: Apache-2.0
 * merge.arcee-fusion - takes a model's weight where its change stands out, else the base's (Arcee AI's "Arcee Fusion", in mergekit 0.1, 2025).
 *
 * The importance of a change is its magnitude times the divergence KL (softmax (row of the model) + 1e-8, softmax (row of the base) + 1e-8), a row
 * going along the last dimension. Weights of an importance of at least median + 1.5 (Q3 - Q1) over the tensor are the model's; the q-quantile
 * of n is the one at index floor (q (n - 1)) from the smallest. Here quantiles are exact and the divergence is made in double; mergekit has
 * quantiles of random samples where there are more than a million elements, and in fp32 a divergence that for light fine-tunes is rounding
 * noise. Where all importances are zero (rows of one element) the model's weights are taken, as there.
 */
#if defined __GNUC__ && !defined __clang__
#pragma GCC optimize ("O3") /* two exponentials and a logarithm an element: vectors are worth it; they round as the loops do */
#endif

#include "explog.h"

enum { QUARTER, HALF, THREE_QUARTERS, N_CUTS };

typedef struct { double tail; } FusionParams;

static const EvoParam params[] = {
  EVO_NUMBER (FusionParams, tail, 1.5, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0, 3), "Distance of the threshold from the median, in interquartile ranges."),
  EVO_PARAMS_END
};

static gsize
fusion_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return 3 * (gsize) t->n_cols * sizeof (double);
}

/* In eight lanes, which a vector can hold. */
static double
sum_of (const double *x, gsize n)
{
  double lane[8] = { 0 }, sum = 0;
  gsize j = 0;

  for (; j + 8 <= n; j += 8)
    for (gsize l = 0; l < 8; l++)
      lane[l] += x[j + l];
  for (; j < n; j++)
    sum += x[j];
  for (gsize l = 0; l < 8; l++)
    sum += lane[l];
  return sum;
}

/* p [n] = softmax (x) + 1e-8 */
static void
softmax (const float *x, gsize n, double *p)
{
  float largest = x[0];
  double share;

  for (gsize j = 1; j < n; j++)
    largest = MAX (largest, x[j]);
  for (gsize j = 0; j < n; j++)
    p[j] = explog_exp ((double) x[j] - (double) largest);
  share = 1 / sum_of (p, n);
  for (gsize j = 0; j < n; j++)
    p[j] = p[j] * share + 1e-8;
}

/* KL (softmax (a) + 1e-8, softmax (b) + 1e-8) of rows, sum of p log (p / q); p: [3][n]. Where all shares are near one another's, as they are
 * between fine-tunes, log (p / q) = 2 artanh ((p - q) / (p + q)) needs no exponents. */
static double
divergence (const float *a, const float *b, gsize n, double *p)
{
  double *q = p + n, *s = q + n, widest = 0;

  softmax (a, n, p);
  softmax (b, n, q);
  for (gsize j = 0; j < n; j++)
    s[j] = (p[j] - q[j]) / (p[j] + q[j]);
  for (gsize j = 0; j < n; j++)
    widest = MAX (widest, fabs (s[j]));
  if (widest <= 0.1716)
    for (gsize j = 0; j < n; j++)
      s[j] = p[j] * explog_ratio (s[j]);
  else
    for (gsize j = 0; j < n; j++)
      s[j] = p[j] * explog_log (p[j] / q[j]);
  return MAX (sum_of (s, n), 0);
}

/* key [n]: importance of elements at .. of the call, whole rows */
static void
importance (const EvoMergeCall *c, gsize at, gsize n, float *key)
{
  double kl = divergence (c->in[0] + at, c->base + at, n, c->scratch);

  for (gsize j = 0; j < n; j++)
    key[j] = (float) (fabs ((double) (c->in[0][at + j] - c->base[at + j])) * kl);
}

static void
fusion_keys (const EvoMergeCall *c, guint cut, float *key)
{
  for (gsize at = 0; at < c->n; at += (gsize) c->t->n_cols)
    importance (c, at, (gsize) c->t->n_cols, key + at);
}

static gint64
fusion_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  return n - (gint64) floor (0.25 * (cut + 1) * (double) MAX (n - 1, 0));
}

/* The quantile of a cut; the smallest importance is not a cut (everything is above it), and is looked for: tensors of up to four elements. */
static double
quantile (const EvoMergeCall *c, guint cut, const float *key)
{
  float least = HUGE_VALF;

  if (c->cut[cut] >= 0)
    return c->cut[cut];
  for (gsize j = 0; j < c->n; j++)
    least = MIN (least, key[j]);
  return least;
}

static gboolean
fusion_merge (const EvoMergeCall *c, GError **error)
{
  double threshold;

  fusion_keys (c, 0, c->out);
  threshold = quantile (c, HALF, c->out) + ((const FusionParams *) c->params)->tail * (quantile (c, THREE_QUARTERS, c->out) - quantile (c, QUARTER, c->out));
  for (gsize j = 0; j < c->n; j++)
    c->out[j] = c->out[j] >= threshold ? c->in[0][j] : c->base[j];
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "arcee-fusion", .summary = "A model's weights where their change stands out, else the base's.", .min_inputs = 1,
                  .max_inputs = 1, .access = EVO_BY_ROW, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_NEEDS_BASE | EVO_MERGE_SAME_KEYS,
                  EVO_TAKES (FusionParams, params), .n_cuts_fixed = N_CUTS, .keys = fusion_keys, .rank = fusion_rank,
                  .scratch_bytes = fusion_scratch_bytes, .merge = fusion_merge)
