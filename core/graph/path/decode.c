/* SPDX-License-Identifier: Apache-2.0
 * decode.c - genes into a path: the hops that they mean.
 */
#include <math.h>

#include "core/base/error.h"
#include "core/graph/path/evolve.h"

typedef struct {
  const EvoNode *node;
  const EvoPathGenes *p;
  const gint32 *n_layers;
  const double *x;
  GArray *hops;        /* EvoPathHop */
  GArray *positions;   /* guint: where each hop stands, for scales by position */
  guint n_all;
} Decoding;

/* Of gene `gene`, which the node has. */
static double
value (const Decoding *d, const EvoGene *gene, guint i)
{
  return d->x[gene->first + i];
}

static void
add_hop (Decoding *d, guint input, gint32 layer, guint position)
{
  EvoPathHop hop = { .input = input, .layer = layer, .scale = 1 };

  g_array_append_val (d->hops, hop);
  g_array_append_val (d->positions, position);
}

static gboolean
is_hop (const Decoding *d, guint i, guint input, gint32 layer)
{
  const EvoPathHop *h = &g_array_index (d->hops, EvoPathHop, i);

  return h->input == input && h->layer == layer;
}

/* [first of A] + what is on + [last of A]: doubled ends stay in the published form, else they are one hop. */
static void
decode_indicators (Decoding *d)
{
  const EvoParam *ends = evo_param_find (d->node->plugin->op->params, "ends");
  gboolean once = evo_param_get_scalar (ends, d->node->params) == 0;
  gint32 last = d->n_layers[0] - 1;
  guint n = d->n_all * d->p->repeats, position = 0;

  add_hop (d, 0, 0, n);
  for (guint r = 0; r < d->p->repeats; r++)
    for (guint e = 0; e < d->node->n_in; e++)
      for (gint32 l = 0; l < d->n_layers[e]; l++, position++)
        if (value (d, d->p->path, position) > 0 && !(once && d->hops->len == 1 && e == 0 && l == 0))
          add_hop (d, e, l, position);
  if (!(once && is_hop (d, d->hops->len - 1, 0, last)))
    add_hop (d, 0, last, n);
}

static void
decode_slots (Decoding *d)
{
  for (guint r = 0; r < d->p->repeats; r++)
    for (gint32 l = 0; l < d->n_layers[0]; l++) {
      guint position = r * (guint) d->n_layers[0] + (guint) l, choice = (guint) value (d, d->p->path, position);

      if (choice > 0 && l < d->n_layers[choice - 1])
        add_hop (d, choice - 1, l, position);
    }
}

static void
decode_window (Decoding *d)
{
  gint32 layer = -1;

  for (guint i = 0; i < d->p->path->n; i++) {
    guint input = d->p->input == NULL ? 0 : (guint) value (d, d->p->input, i);

    layer = CLAMP (layer + 1 + (gint32) value (d, d->p->path, i), 0, d->n_layers[input] - 1);
    add_hop (d, input, layer, i);
  }
}

/* ------------------------------------------------------------------ scales */

/* Place of a hop's layer among those of all inputs. */
static guint
place (const Decoding *d, guint hop)
{
  const EvoPathHop *h = &g_array_index (d->hops, EvoPathHop, hop);
  guint at = (guint) h->layer;

  for (guint e = 0; e < h->input; e++)
    at += (guint) d->n_layers[e];
  return at;
}

static double
squash (double v)
{
  return v / (1 + fabs (v));
}

/* Weights lie as W1 [hidden][3], b1 [hidden], w2 [hidden], b2. */
static double
run_network (const Decoding *d, guint hop)
{
  const double most = MAX (d->n_all - 1, 1), *w = d->x + d->p->scale->first;
  const double in[3] = { 2 * place (d, hop - 1) / most - 1, 2 * place (d, hop) / most - 1, (double) hop / MAX (d->hops->len - 1, 1) };
  const guint h = d->p->hidden;
  double out = w[5 * h];

  for (guint j = 0; j < h; j++) {
    double sum = w[3 * h + j];

    for (guint i = 0; i < 3; i++)
      sum += w[3 * j + i] * in[i];
    out += w[4 * h + j] * squash (sum);
  }
  return 1 + out;
}

static double
scale_of (const Decoding *d, guint hop)
{
  double s;

  switch (d->p->shape) {
  case EVO_SHAPE_HOP:
    s = value (d, d->p->scale, g_array_index (d->positions, guint, hop));
    break;
  case EVO_SHAPE_MATRIX:
    s = 1 + value (d, d->p->scale, place (d, hop - 1) * d->n_all + place (d, hop));
    break;
  default:
    s = run_network (d, hop);
  }
  return CLAMP (s, d->p->low, d->p->high);
}

static void
set_scales (Decoding *d)
{
  for (guint i = 1; i < d->hops->len; i++)
    g_array_index (d->hops, EvoPathHop, i).scale = scale_of (d, i);
}

static void
decode_path (Decoding *d)
{
  switch (d->p->encoding) {
  case EVO_ENCODING_INDICATOR:
    decode_indicators (d);
    break;
  case EVO_ENCODING_SLOTS:
    decode_slots (d);
    break;
  default:
    decode_window (d);
  }
}

gboolean
evo_path_genes_decode (const EvoNode *node, const gint32 *n_layers, const double *x, GArray *hops, GError **error)
{
  g_autoptr (GArray) positions = g_array_new (FALSE, FALSE, sizeof (guint));
  Decoding d = { node, node->path_genes, n_layers, x, hops, positions, 0 };

  g_array_set_size (hops, 0);
  for (guint e = 0; e < node->n_in; e++)
    d.n_all += (guint) n_layers[e];
  if (d.p->path != NULL) {
    decode_path (&d);
    if (!evo_path_scale_all (node, hops, error))
      return FALSE;
  } else if (!evo_path_read (node, n_layers, hops, error)) {
    return FALSE;
  }
  for (guint i = 0; i < hops->len && positions->len < hops->len; i++)
    g_array_append_val (positions, i);
  if (d.p->scale != NULL)
    set_scales (&d);
  return evo_path_check_hops (node, hops, error);
}
