/* SPDX-License-Identifier: Apache-2.0
 * scorer.h - one evaluator node at work: its rows, its operator, and the requests it makes of a resident model.
 */
#ifndef EVO_SEARCH_SCORER_H
#define EVO_SEARCH_SCORER_H

#include "core/graph/graph.h"
#include "core/nn/lid/lid.h"
#include "core/nn/text-model.h"

typedef struct EvoScorer EvoScorer;

/* Reads the node's data and opens its operator. `smoke`: 4 items. */
EvoScorer *evo_scorer_new (const EvoNode *evaluator, gboolean smoke, GError **error);
void evo_scorer_free (EvoScorer *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoScorer, evo_scorer_free)
gsize evo_scorer_get_n_items (const EvoScorer *s);
gsize evo_scorer_get_n_values (const EvoScorer *s);   /* doubles of an item */
gboolean evo_scorer_is_binary (const EvoScorer *s);
gboolean evo_scorer_is_cost (const EvoScorer *s);     /* asks the model nothing: it is told what the model costs */
/* Scores `items` (indices, n of them; NULL: all). values: [n][n_values], the caller's. answers: NULL, or [n] texts the scorer allocates. */
gboolean evo_scorer_run (EvoScorer *s, EvoTextModel *model, const gint64 *items, gsize n, double *values, char **answers, GError **error);
/* Tokens of the prompts of the first items, `most` at most, appended to `out` as owned GArray of gint32. */
gboolean evo_scorer_encode_prompts (EvoScorer *s, EvoTokenizer *tokenizer, gsize most, GPtrArray *out, GError **error);
/* The score of items' values. Never fails for values that evo_scorer_run gave. */
double evo_scorer_reduce (gconstpointer scorer, const double *values, gsize n);   /* an EvoStatistic */
/* Further figures of the evaluator (bits_per_byte): names, and the numbers into out; 0 where it has none. */
guint evo_scorer_extra (const EvoScorer *s, const double *values, gsize n, const char *const **names, double *out, guint max);

#endif
