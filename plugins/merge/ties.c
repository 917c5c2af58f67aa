/* SPDX-License-Identifier: Apache-2.0
 * merge.ties - trim, elect sign, disjoint merge (Yadav et al., "TIES-merging: resolving interference when merging models", 2023).
 *
 * The defaults are the paper's: each task vector is trimmed as a whole, signs are elected by the trimmed changes as they are, and those that
 * agree are averaged. mergekit trims every tensor by itself (scope "tensor") and lets weights take part in the vote (vote "weighted").
 * Of n changes the int (density n) largest are kept, one at least; equal magnitudes at the threshold are kept from the first element on. Where
 * votes cancel exactly the sign is +, as in mergekit; the authors' code takes that of all votes' sum there.
 */
#include "delta.h"

typedef enum { SCOPE_MODEL, SCOPE_TENSOR } Scope;
typedef enum { RESCALE_NONE, RESCALE_L1 } Rescale;
typedef struct { double lambda; gboolean normalize; guint32 scope, vote, rescale; } TiesParams;
typedef struct { double weight, density; } TiesInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (TiesParams),
  EVO_BOOL (TiesParams, normalize, TRUE, "Divide by the weights of the models that agree: their mean instead of their sum."),
  EVO_CHOICE (TiesParams, scope, SCOPE_MODEL, "What is trimmed at once; over the model, one density holds for all tensors.", "model", "tensor"),
  DELTA_VOTE (TiesParams, VOTE_PLAIN),
  EVO_CHOICE (TiesParams, rescale, RESCALE_NONE, "Scale what is kept so that the sum of magnitudes is that before trimming.", "none", "l1"),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (TiesInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's trimmed change is multiplied by."),
  EVO_NUMBER (TiesInput, density, 0.2, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept, largest first."),
  EVO_PARAMS_END
};

static guint32
ties_scope_of (const void *params_)
{
  return ((const TiesParams *) params_)->scope == SCOPE_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static void
ties_keys (const EvoMergeCall *c, guint cut, float *key)
{
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->sub (key + at, c->in[cut] + at, c->base + at, n);
    c->k->abs (key + at, key + at, n);
  }
}

static gint64
ties_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  double density = ((const TiesInput *) c->in_params[cut])->density;

  return density <= 0 ? 0 : density >= 1 ? n : CLAMP ((gint64) (density * (double) n), MIN (n, 1), n);
}

static void
trim (const EvoMergeCall *c, guint i, gsize at, gsize n, float *delta)
{
  c->k->keep_top (delta, delta, c->cut[i], c->last_tie[i], c->first + (gint64) at, n);
}

static guint32
ties_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const TiesParams *) c->params)->rescale == RESCALE_L1 ? 2 * c->n_in : 0;
}

/* [n_in][2]: sums of magnitudes before and after trimming */
static gboolean
ties_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  float *delta = c->scratch;

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK)
    for (guint i = 0; i < c->n_in; i++) {
      gsize n = MIN (DELTA_BLOCK, c->n - at);

      c->k->sub (delta, c->in[i] + at, c->base + at, n);
      sums[2 * i] += c->k->sum_abs (delta, n);
      trim (c, i, at, n, delta);
      sums[2 * i + 1] += c->k->sum_abs (delta, n);
    }
  return TRUE;
}

static gboolean
ties_merge (const EvoMergeCall *c, GError **error)
{
  const TiesParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, ((const TiesInput *) c->in_params[i])->weight);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    for (guint i = 0; i < c->n_in; i++) {
      c->k->sub (w.delta[i], c->in[i] + at, c->base + at, n);
      trim (c, i, at, n, w.delta[i]);
      if (p->rescale == RESCALE_L1 && c->coef[2 * i + 1] > 0)
        c->k->scale (w.delta[i], c->coef[2 * i] / c->coef[2 * i + 1], n);
    }
    delta_elect (c, &w, p->vote, n);
    delta_add_elected (c, &w, p->normalize, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "ties", .summary = "Trims the changes, elects a sign for each weight, merges those that agree.", .min_inputs = 1,
                  .access = EVO_BY_ELEMENT, .scope_of = ties_scope_of, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE,
                  EVO_TAKES (TiesParams, params), EVO_TAKES_PER_INPUT (TiesInput, in_params), .n_cuts_per_input = 1, .keys = ties_keys,
                  .rank = ties_rank, .n_passes = 1, .n_sums = ties_n_sums, .measure = ties_measure, .scratch_bytes = delta_scratch_bytes,
                  .merge = ties_merge,
                  .formula = "base + lambda Σ aᵢ weightᵢ tᵢ / Σ aᵢ weightᵢ; tᵢ: the ⌊densityᵢ n⌋ largest |dᵢ| of the model's n (scope "
                  "tensor: of each tensor's), one at least, the rest 0; aᵢ = 1 where tᵢ has the sign of Σ tᵢ (0 counts as +; vote weighted: "
                  "weightᵢ tᵢ that of Σ weightᵢ tᵢ), else 0; normalize false: not divided; rescale l1: tᵢ times Σ|dᵢ| / Σ|tᵢ|",
                  .source = "Yadav et al., \"TIES-merging: resolving interference when merging models\", 2023, arXiv 2306.01708; mergekit: "
                  "scope tensor, vote weighted, density 1")
