/* SPDX-License-Identifier: Apache-2.0
 * view-layers.c - a tensor of a layer path: one input's numbers, times the scales that were folded into it.
 */
#include "core/graph/merge/prepared.h"
#include "core/graph/path/path.h"

static EvoPrepared *
only_input (const EvoPrepared *p)
{
  guint e = 0;

  while (p->in[e] == NULL)
    e++;
  return p->in[e];
}

static gboolean
read_layers (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  const double factor = p->layout->factor;

  if (!evo_prepared_read (only_input (p), thread, first, n, out, error))
    return FALSE;
  for (gsize i = 0; factor != 1 && i < n; i++)
    out[i] = (float) (out[i] * factor); /* the product of a float and a double, rounded to float once */
  return TRUE;
}

static const EvoView layers_view = { read_layers, NULL };

gboolean
evo_prepare_layers (EvoPrepared *p, GError **error)
{
  guint e = 0;

  while (p->layout->from[e] < 0)
    e++;
  p->n_in = p->node->n_in;
  p->in = g_new0 (EvoPrepared *, p->n_in + 1);
  p->view = &layers_view;
  return evo_prepare_input (p, e, error);
}

EvoPrepared *
evo_prepared_unscaled (EvoPrepared *p)
{
  while (p->view == &layers_view && p->layout->factor == 1 && p->round == EVO_DTYPE_NONE && p->compat_round == EVO_DTYPE_NONE)
    p = only_input (p);
  return p;
}
