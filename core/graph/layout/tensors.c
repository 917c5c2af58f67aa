/* SPDX-License-Identifier: Apache-2.0
 * tensors.c - a layout by itself: its tensors in order, the dtype each is saved in.
 */
#include "core/graph/layout.h"

#include <stdlib.h>

#include "core/graph/vocab/vocab.h"

void
evo_layout_clear (EvoLayout *l)
{
  for (guint i = 0; i < l->n; i++) {
    g_free (l->tensors[i].shape.name);
    g_free (l->tensors[i].from);
  }
  g_clear_pointer (&l->tensors, g_free);
  g_clear_pointer (&l->layers, g_free);
  evo_layout_disinherit (l);
  l->n = 0;
}

static int
natural_order (gconstpointer a, gconstpointer b)
{
  const char *x = ((const EvoLayoutTensor *) a)->shape.name, *y = ((const EvoLayoutTensor *) b)->shape.name;

  while (*x != '\0' && *y != '\0') {
    if (g_ascii_isdigit (*x) && g_ascii_isdigit (*y)) {
      char *end_x, *end_y;
      guint64 i = g_ascii_strtoull (x, &end_x, 10), j = g_ascii_strtoull (y, &end_y, 10);

      if (i != j)
        return i < j ? -1 : 1;
      x = end_x;
      y = end_y;
    } else if (*x != *y) {
      return (guchar) *x < (guchar) *y ? -1 : 1;
    } else {
      x++;
      y++;
    }
  }
  return *x == *y ? 0 : *x == '\0' ? -1 : 1;
}

void
evo_layout_order (EvoLayout *l)
{
  qsort (l->tensors, l->n, sizeof *l->tensors, natural_order);
  l->n_elements = 0;
  for (guint i = 0; i < l->n; i++) {
    l->tensors[i].model_first = l->n_elements;
    l->n_elements += l->tensors[i].shape.n;
  }
}

EvoDtype
evo_layout_dtype (const EvoLayoutTensor *t, const EvoDtypes *as)
{
  return evo_dtypes_at (as, t->shape.name, &t->role, t->shape.dtype);
}
