/* SPDX-License-Identifier: Apache-2.0
 * merge.consensus-ties - TIES (Yadav et al. 2023) where several tasks need a weight (Wang et al., "Localizing task information for improved model
 * merging and compression", 2024).
 *
 * The merged change is that of merge.ties, with the defaults of its paper, but for its end: as in the authors' code (tall_masks) what agrees is summed
 * and not averaged, for only beside a sum does |m - d| say what the other models add. What matters to a model is told by its change before trimming.
 */
#include "consensus.h"

typedef enum { SCOPE_MODEL, SCOPE_TENSOR } Scope;
typedef struct { double lambda; gint64 agree; gboolean normalize; guint32 scope, vote; } ConsensusParams;
typedef struct { double weight, density, threshold; } ConsensusInput;

static const EvoParam params[] = {
  DELTA_LAMBDA (ConsensusParams),
  CONSENSUS_AGREE (ConsensusParams),
  EVO_BOOL (ConsensusParams, normalize, FALSE, "Divide by the weights of the models that agree: their mean instead of their sum."),
  EVO_CHOICE (ConsensusParams, scope, SCOPE_MODEL, "What is trimmed at once; over the model, one density holds for all tensors.", "model", "tensor"),
  DELTA_VOTE (ConsensusParams, VOTE_PLAIN),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (ConsensusInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's trimmed change is multiplied by; 1 in the paper."),
  EVO_NUMBER (ConsensusInput, density, 0.2, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept, largest first."),
  CONSENSUS_THRESHOLD (ConsensusInput),
  EVO_PARAMS_END
};

static const ConsensusInput *
input (const EvoMergeCall *c, guint i)
{
  return c->in_params[i];
}

static guint32
consensus_ties_scope_of (const void *params_)
{
  return ((const ConsensusParams *) params_)->scope == SCOPE_MODEL ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static void
consensus_ties_keys (const EvoMergeCall *c, guint cut, float *key)
{
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    c->k->sub (key + at, c->in[cut] + at, c->base + at, n);
    c->k->abs (key + at, key + at, n);
  }
}

static gint64
consensus_ties_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  double density = input (c, cut)->density;

  return density <= 0 ? 0 : density >= 1 ? n : CLAMP ((gint64) (density * (double) n), MIN (n, 1), n);
}

/* w->sum [n]: the merged change of TIES */
static void
ties_block (const EvoMergeCall *c, DeltaWork *w, gsize at, gsize n)
{
  const ConsensusParams *p = c->params;

  for (guint i = 0; i < c->n_in; i++) {
    c->k->sub (w->delta[i], c->in[i] + at, c->base + at, n);
    c->k->keep_top (w->delta[i], w->delta[i], c->cut[i], c->last_tie[i], c->first + (gint64) at, n);
  }
  delta_elect (c, w, p->vote, n);
  for (gsize j = 0; p->normalize && w->has_negative && j < n; j++)
    w->share[j] = w->share[j] == 0 ? 1 : w->share[j];
  if (p->normalize)
    c->k->div (w->sum, w->sum, w->share, n);
}

static gboolean
consensus_ties_merge (const EvoMergeCall *c, GError **error)
{
  const ConsensusParams *p = c->params;
  DeltaWork w = delta_work (c);

  for (guint i = 0; i < c->n_in; i++)
    delta_set_weight (&w, i, input (c, i)->weight);
  for (gsize at = 0; at < c->n; at += DELTA_BLOCK) {
    gsize n = MIN (DELTA_BLOCK, c->n - at);

    ties_block (c, &w, at, n);
    c->k->zero (w.share, n);
    for (guint i = 0; i < c->n_in; i++) {
      c->k->sub (w.delta[i], c->in[i] + at, c->base + at, n);
      consensus_count (w.share, w.delta[i], w.sum, input (c, i)->threshold, n);
    }
    consensus_add (c, w.sum, w.share, p->agree, p->lambda, at, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "consensus-ties", .summary = "TIES, where a weight matters to several models.", .min_inputs = 1, .access = EVO_BY_ELEMENT,
                  .scope_of = consensus_ties_scope_of, .flags = EVO_MERGE_SYMMETRIC | EVO_MERGE_NEEDS_BASE, EVO_TAKES (ConsensusParams, params),
                  EVO_TAKES_PER_INPUT (ConsensusInput, in_params), .n_cuts_per_input = 1, .keys = consensus_ties_keys,
                  .rank = consensus_ties_rank, .scratch_bytes = delta_scratch_bytes, .merge = consensus_ties_merge,
                  .formula = "base + lambda m where |dᵢ| ≥ thresholdᵢ |m − dᵢ| for at least agree of the models, else base; m: the change "
                  "that merge.ties makes of weightᵢ, densityᵢ, normalize, scope, vote",
                  .source = "Wang et al., \"Localizing task information for improved model merging and compression\", 2024, arXiv "
                  "2405.07813; Yadav et al., \"TIES-merging: resolving interference when merging models\", 2023, arXiv 2306.01708, whose mean "
                  "is normalize true; with mergekit's TIES: scope tensor, vote weighted, normalize true")
