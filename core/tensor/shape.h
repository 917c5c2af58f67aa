/* SPDX-License-Identifier: Apache-2.0
 * shape.h - a tensor's name, type and dimensions, without its data.
 */
#ifndef EVO_TENSOR_SHAPE_H
#define EVO_TENSOR_SHAPE_H

#include "core/tensor/dtype.h"

enum { EVO_MAX_DIMS = 8 };

typedef struct {
  char *name;           /* owned by whoever owns the struct */
  EvoDtype dtype;
  guint n_dims;
  gint64 dims[EVO_MAX_DIMS];
  gint64 n;             /* elements; 1 for a scalar */
} EvoShape;

gboolean evo_shape_equal (const EvoShape *a, const EvoShape *b);  /* dimensions only */
char *evo_shape_text (const EvoShape *s);                         /* "[4096, 32000]" (owned) */
gboolean evo_shape_count (EvoShape *s);  /* computes n from dims; FALSE: a negative dimension, more than 2^62 elements or bytes */
guint64 evo_shape_bytes (const EvoShape *s);

#endif
