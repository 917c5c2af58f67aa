/* SPDX-License-Identifier: Apache-2.0
 * shape.c - comparing, printing and counting dimensions.
 */
#include "core/tensor/shape.h"

#include <string.h>

gboolean
evo_shape_equal (const EvoShape *a, const EvoShape *b)
{
  return a->n_dims == b->n_dims && memcmp (a->dims, b->dims, a->n_dims * sizeof a->dims[0]) == 0;
}

char *
evo_shape_text (const EvoShape *s)
{
  GString *text = g_string_new ("[");

  for (guint i = 0; i < s->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i == 0 ? "" : ", ", s->dims[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}

gboolean
evo_shape_count (EvoShape *s)
{
  const gint64 limit = G_GINT64_CONSTANT (1) << 62, size = (gint64) MAX (evo_dtype_size (s->dtype), 1);
  gint64 n = 1;

  g_return_val_if_fail (s->n_dims <= EVO_MAX_DIMS, FALSE);
  for (guint i = 0; i < s->n_dims; i++)
    if (s->dims[i] < 0 || __builtin_mul_overflow (n, s->dims[i], &n) || n > limit / size)
      return FALSE;
  s->n = n;
  return TRUE;
}

guint64
evo_shape_bytes (const EvoShape *s)
{
  return (guint64) s->n * evo_dtype_size (s->dtype);
}
