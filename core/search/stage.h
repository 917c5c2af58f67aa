/* SPDX-License-Identifier: Apache-2.0
 * stage.h - one search's candidates, evaluated in this process: merge into the resident model, score it.
 */
#ifndef EVO_SEARCH_STAGE_H
#define EVO_SEARCH_STAGE_H

#include "core/search/journal.h"
#include "core/search/resident.h"
#include "core/search/scorer.h"

typedef struct EvoStage EvoStage;

EvoStage *evo_stage_new (EvoModels *models, const EvoNode *search, const EvoKernels *k, EvoPool *pool, gboolean smoke, GError **error);
void evo_stage_free (EvoStage *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoStage, evo_stage_free)

/* What is evaluated: the objectives on `items` of the first (NULL: all of each), or the validation evaluator on all of its items. */
typedef struct {
  gint64 trial;
  const double *x; gsize n_x;                /* graph-wide */
  gboolean validate;
  const gint64 *items; gsize n_items;
} EvoCandidate;

/* evaluations: one per objective, or one; owned by the caller (EvoEvaluation each cleared, array freed). answers: strv of the first
 * evaluator's texts (NULL where it has none), one per item; owned. */
gboolean evo_stage_evaluate (EvoStage *s, const EvoCandidate *c, EvoEvaluation **evaluations, guint *n, GPtrArray **answers, GError **error);

/* How much of what was scored since the last call started from hidden states of earlier candidates. */
void evo_stage_take_prefix_stats (EvoStage *s, guint64 *hops_run, guint64 *hops_skipped);

/* A failure that condemns the candidate, not the run. */
gboolean evo_error_is_of_candidate (const GError *error);

#endif
