/* SPDX-License-Identifier: Apache-2.0
 * factor.h - one matrix's change as a product of low rank (private to extracting).
 */
#ifndef EVO_GRAPH_FACTOR_H
#define EVO_GRAPH_FACTOR_H

#include "core/graph/lora/extract.h"

typedef struct { float *b, *a; gint64 rank, n_rows, n_cols; } EvoFactors; /* b [n_rows][rank], a [rank][n_cols], as they are stored */
void evo_factors_clear (EvoFactors *f);

/* Squared length of the change of tensor i, j of the stores. */
gboolean evo_change_length (EvoStore *model, guint i, EvoStore *base, guint j, const EvoKernels *k, double *out, GError **error);
/* rank 0 where nothing changes; *e gets rank, change and error. */
gboolean evo_factor_change (EvoStore *model, guint i, EvoStore *base, guint j, const EvoKernels *k, const EvoExtractOptions *o, EvoFactors *out,
                            EvoExtracted *e, GError **error);

#endif
