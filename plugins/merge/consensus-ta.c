/* SPDX-License-Identifier: Apache-2.0
 * merge.consensus-ta - task arithmetic where several tasks need a weight (Wang et al., "Localizing task information for improved model merging
 * and compression", 2024).
 */
#include "consensus.h"

typedef struct { double lambda; gint64 agree; } ConsensusParams;
typedef struct { double weight, threshold; } ConsensusInput;

static const EvoParam params[] = { DELTA_LAMBDA (ConsensusParams), CONSENSUS_AGREE (ConsensusParams), EVO_PARAMS_END };
static const EvoParam in_params[] = {
  EVO_NUMBER (ConsensusInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), 
              "What this model's change is multiplied by in the merged change; 1 in the paper."),
  CONSENSUS_THRESHOLD (ConsensusInput),
  EVO_PARAMS_END
};

static gboolean
consensus_ta_merge (const EvoMergeCall *c, GError **error)
{
  const ConsensusParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->zero (w.sum, n);
    c->k->zero (w.share, n);
    for (guint i = 0; i < c->n_in; i++) {
      c->k->sub (w.delta[i], c->in[i] + at, c->base + at, n);
      c->k->axpy (w.sum, w.delta[i], ((const ConsensusInput *) c->in_params[i])->weight, n);
    }
    for (guint i = 0; i < c->n_in; i++)
      consensus_count (w.share, w.delta[i], w.sum, ((const ConsensusInput *) c->in_params[i])->threshold, n);
    consensus_add (c, w.sum, w.share, p->agree, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "consensus-ta", .summary = "Base plus the weighted sum of changes, where a weight matters to several models.",
                  .min_inputs = 1, .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE, EVO_TAKES (ConsensusParams, params),
                  EVO_TAKES_PER_INPUT (ConsensusInput, in_params), .scratch_bytes = delta_scratch_bytes, .merge = consensus_ta_merge,
                  .formula = "base + lambda m where |dᵢ| ≥ thresholdᵢ |m − dᵢ| for at least agree of the models, else base; m = Σ weightᵢ dᵢ",
                  .source = "Wang et al., \"Localizing task information for improved model merging and compression\", 2024, arXiv 2405.07813")
