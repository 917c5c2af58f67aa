/* SPDX-License-Identifier: Apache-2.0
 * dtypes.h - the element type that a user asks for: one for all tensors, or one by selector.
 */
#ifndef EVO_GRAPH_DTYPES_H
#define EVO_GRAPH_DTYPES_H

#include "core/graph/values/value.h"
#include "core/tensor/dtype.h"

/* All zeros: not given. Without selectors `all` holds for every tensor; with them the first that matches, and where none does, nothing is said. */
typedef struct { EvoDtype all; guint n; char **selectors; EvoDtype *dtypes; const EvoJson *where; } EvoDtypes;

gboolean evo_dtypes_given (const EvoDtypes *d);
/* Of the tensor at this place, as it is stored; d may be NULL. Tensors that are no floating-point keep theirs. */
EvoDtype evo_dtypes_at (const EvoDtypes *d, const char *name, const EvoRole *role, EvoDtype stored);
/* Marks in used[] the selectors that decide for a tensor; then: FALSE where one never does, EVO_GRAPH_ERROR_UNKNOWN. */
void evo_dtypes_mark (const EvoDtypes *d, const char *name, const EvoRole *role, GHashTable *used);
gboolean evo_dtypes_check_used (const EvoDtypes *d, GHashTable *used, GError **error);
void evo_dtypes_write (const EvoDtypes *d, EvoJsonWriter *w);

#endif
