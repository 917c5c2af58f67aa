/* SPDX-License-Identifier: Apache-2.0
 * merge.della - drop at random by magnitude, elect signs, fuse (Deep et al., "DELLA-Merging: reducing interference in model merging through
 * magnitude-based sampling", 2024).
 *
 * As in the paper signs are elected by the changes as they are, and those that agree are averaged. mergekit lets weights take part in the
 * vote (vote "weighted"); for its window and its rescaling see della.h.
 */
#include "della.h"

static const EvoParam params[] = {
  DELTA_LAMBDA (DellaParams),
  EVO_BOOL (DellaParams, normalize, TRUE, "Divide by the weights of the models that agree: their mean instead of their sum."),
  DELLA_PARAMS,
  DELTA_VOTE (DellaParams, VOTE_PLAIN),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = { DELLA_INPUT, EVO_PARAMS_END };

static void
merge_row (const EvoMergeCall *c, const DellaWork *rows, DeltaWork *w, gsize first)
{
  const DellaParams *p = c->params;
  gsize n_cols = (gsize) c->t->n_cols;

  for (guint i = 0; i < c->n_in; i++) {
    della_subtract (c, rows, i, first);
    della_keep (c, rows, i, first, p->rescale == RESCALE_PROBABILITY);
    if (p->rescale == RESCALE_L1)
      c->k->scale (rows->row[i], della_scale (c, i), n_cols);
  }
  for (gsize at = 0; at < n_cols; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, n_cols - at);

    for (guint i = 0; i < c->n_in; i++)
      w->delta[i] = rows->row[i] + at;
    delta_elect (c, w, p->vote, n);
    delta_add_elected (c, w, p->normalize, p->lambda, first + at, n);
  }
}

static gboolean
della_merge (const EvoMergeCall *c, GError **error)
{
  DeltaWork w = delta_work (c);
  DellaWork rows = della_work (c);

  if (!della_check (c, error))
    return FALSE;
  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, della_input (c, i)->weight);
  for (gsize at = 0; at < c->n; at += (gsize) c->t->n_cols)
    merge_row (c, &rows, &w, at);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "della", .min_inputs = 1,
                  .summary = "Thins changes at random, the small ones more, elects a sign for each weight, merges those that agree.",
                  .access = EVO_BY_ROW, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE | EVO_MERGE_RANDOM,
                  EVO_TAKES (DellaParams, params), EVO_TAKES_PER_INPUT (DellaInput, in_params), .n_passes = 1, .n_sums = della_n_sums,
                  .measure = della_measure, .scratch_bytes = della_scratch_bytes, .merge = della_merge,
                  .formula = "base + lambda Σ aᵢ weightᵢ tᵢ / Σ aᵢ weightᵢ; tᵢ = keepᵢ dᵢ / pᵢ, keepᵢ = 1 with probability pᵢ, else 0; pᵢ = "
                  "densityᵢ + min (epsilonᵢ, 2 densityᵢ, 2 − 2 densityᵢ) ((r + ½) / m − ½), r = 0 … m − 1 the rank of |dᵢ| in its row of m; "
                  "aᵢ = 1 where tᵢ has the sign of Σ tᵢ (0 counts as +; vote weighted: weightᵢ tᵢ that of Σ weightᵢ tᵢ), else 0; normalize "
                  "false: not divided; epsilon_is half-width: pᵢ = densityᵢ + epsilonᵢ (2 r / (m − 1) − 1); rescale l1: keepᵢ dᵢ Σ|dᵢ| / "
                  "Σ|keepᵢ dᵢ| over the tensor for tᵢ; rescale none: keepᵢ dᵢ",
                  .source = "Deep, Bhardwaj, Poria, \"DELLA-Merging: reducing interference in model merging through magnitude-based "
                  "sampling\", 2024, arXiv 2406.11617; its authors' code: epsilon_is half-width with half the "
                  "epsilon; mergekit: epsilon_is half-width, rescale l1, vote weighted")
