/* SPDX-License-Identifier: Apache-2.0
 * private.h - an evaluator node at work, for the two files that know its parts.
 */
#ifndef EVO_SEARCH_SCORER_PRIVATE_H
#define EVO_SEARCH_SCORER_PRIVATE_H

#include "core/graph/data/rows.h"
#include "core/search/scorer.h"

struct EvoScorer {
  const EvoNode *node;
  const EvoEvaluatorOp *op;
  EvoData *data;         /* owns what `rows` points to */
  char *template_text;
  EvoLid *lid;
  EvoRows rows;
  gpointer self;         /* the operator's */
  gsize n_items;
};

#endif
