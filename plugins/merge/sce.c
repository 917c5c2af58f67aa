/* SPDX-License-Identifier: Apache-2.0
 * merge.sce - select, calculate, erase (Wan et al., "FuseChat: knowledge fusion of chat models", 2024).
 *
 * Of each tensor the int (select_topk n) weights in which the models' changes vary most are selected; a model's weight is its share of the
 * squared selected changes; changes against the elected sign (that of their sum) are erased, the others averaged: the authors' code (FuseAI,
 * FuseChat/mergekit) divides by the sum of their weights, mergekit by that or 1e-6 if it is less. The authors' code uses the selection for the
 * models' weights only and then merges all changes (merged "all"); mergekit merges the selected ones. Weights in which all models changed alike are
 * not selected, so one model alone needs select_topk 1. Weights that vary alike are selected from the first on. Both count int (select_topk n) of
 * the weights with any variance; the same where models differ everywhere.
 */
#include "delta.h"

typedef enum { MERGED_SELECTED, MERGED_ALL } Merged;
typedef struct { double lambda, select_topk, uniform_below; gboolean normalize; guint32 merged; } SceParams;

static const EvoParam params[] = {
  DELTA_LAMBDA (SceParams),
  EVO_NUMBER (SceParams, select_topk, 1, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1),
              "Share of the weights that is changed: those in which the models differ most."),
  EVO_NUMBER (SceParams, uniform_below, 0, EVO_LIMITS (0, 1e9), EVO_NO_SEARCH,
              "Models weigh the same in a tensor whose mean squared changes add up to less; 0 in the authors' code, 1e-6 in mergekit, where "
              "light fine-tunes always do."),
  EVO_BOOL (SceParams, normalize, TRUE, "Divide by the weights of the models that agree: their mean instead of their sum."),
  EVO_CHOICE (SceParams, merged, MERGED_SELECTED, "Which changes are merged: the selected ones, or all, the selection only making the models' weights "
              "(the authors' code).", "selected", "all"),
  EVO_PARAMS_END
};

/* key [n] = standard deviation of the inputs' changes; ranks as the variance does, in a wider range */
static void
deviation (const EvoMergeCall *c, const DeltaWork *w, gsize n, float *key)
{
  c->k->deviation (key, (const float *const *) w->delta, c->n_in, n);
}

static void
subtract (const EvoMergeCall *c, DeltaWork *w, gsize at, gsize n)
{
  for (guint i = 0; i < c->n_in; i++)
    c->k->sub (w->delta[i], c->in[i] + at, c->base + at, n);
}

static void
sce_keys (const EvoMergeCall *c, guint cut, float *key)
{
  DeltaWork w = delta_work (c);

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    subtract (c, &w, at, n);
    deviation (c, &w, n, key + at);
  }
}

static gint64
sce_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  return (gint64) (((const SceParams *) c->params)->select_topk * (double) n);
}

/* w->delta [n_in][n]: the changes that are selected */
static void
select_block (const EvoMergeCall *c, DeltaWork *w, gsize at, gsize n)
{
  float *key = w->share;

  subtract (c, w, at, n);
  if (((const SceParams *) c->params)->select_topk >= 1)
    return;
  deviation (c, w, n, key);
  c->k->keep_top (key, key, c->cut[0], c->last_tie[0], c->first + (gint64) at, n);
  for (guint i = 0; i < c->n_in; i++) {
    float *d = w->delta[i];

    for (gsize j = 0; j < n; j++)
      d[j] = key[j] > 0 ? d[j] : 0;
  }
}

static guint32
sce_n_sums (const EvoMergeCall *c, guint pass)
{
  return c->n_in;
}

static gboolean
sce_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  DeltaWork w = delta_work (c);

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    select_block (c, &w, at, n);
    for (guint i = 0; i < c->n_in; i++)
      sums[i] += c->k->dot (w.delta[i], w.delta[i], n);
  }
  return TRUE;
}

static gboolean
sce_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  double total = 0;
  gboolean uniform;

  for (guint i = 0; i < c->n_in; i++)
    total += sums[i];
  uniform = total <= 0 || total < ((const SceParams *) c->params)->uniform_below * (double) c->t->n;
  for (guint i = 0; i < c->n_in; i++)
    coef[i] = uniform ? 1.0 / c->n_in : sums[i] / total;
  return TRUE;
}

static guint32
sce_n_coef (const EvoMergeCall *c)
{
  return c->n_in;
}

static gboolean
sce_merge (const EvoMergeCall *c, GError **error)
{
  const SceParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, c->coef[i]);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    (p->merged == MERGED_ALL ? subtract : select_block) (c, &w, at, n);
    delta_elect (c, &w, VOTE_PLAIN, n);
    delta_add_elected (c, &w, p->normalize, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "sce", .min_inputs = 1,
                  .summary = "Selects the weights in which models differ most, weighs models by their squared changes, erases minorities.",
                  .access = EVO_BY_ELEMENT, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE,
                  EVO_TAKES (SceParams, params), .n_cuts_fixed = 1, .keys = sce_keys, .rank = sce_rank, .n_passes = 1, .n_sums = sce_n_sums,
                  .measure = sce_measure, .solve = sce_solve, .n_coef = sce_n_coef, .scratch_bytes = delta_scratch_bytes, .merge = sce_merge,
                  .formula = "base + lambda Σ aᵢ wᵢ tᵢ / Σ aᵢ wᵢ; tᵢ: dᵢ in the ⌊select_topk n⌋ of the tensor's n elements in which d₁ … d_N "
                  "deviate most from their mean (below 1 only where they do), the rest 0; wᵢ = Σ tᵢ² over the tensor, as a share of all "
                  "models'; 1 / N where these sums come to less than uniform_below n; aᵢ = 1 where tᵢ has the sign of Σ tᵢ (0 counts as +), "
                  "else 0; normalize false: not divided; merged all: dᵢ for tᵢ, but in wᵢ",
                  .source = "Wan et al., \"FuseChat: knowledge fusion of chat models\", 2024, arXiv 2408.07990; its authors' code: merged all; "
                  "mergekit: uniform_below 1e-6")
