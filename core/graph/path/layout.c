/* SPDX-License-Identifier: Apache-2.0
 * layout.c - the tensors of a path: for every hop those of its layer under that place's names, scales folded in.
 */
#include "core/base/error.h"
#include "core/graph/path/evolve.h"
#include "core/graph/path/stack.h"
#include "core/graph/read/read.h"
#include "core/graph/vocab/vocab.h"

/* ------------------------------------------------------------------ scales */

static gboolean
is_one_of (const char *slot, const char *const *slots)
{
  return slots == NULL || g_strv_contains (slots, slot);
}

/* What a tensor of hop t is multiplied by. */
static double
factor_of (const EvoStack *s, guint t, const EvoLayoutTensor *tensor)
{
  static const char *const o[] = { "o", "o_bias", NULL }, *const down[] = { "down", "down_bias", NULL }, *const norm[] = { "norm_1", "norm_2", NULL };
  const EvoPathFactors *f = &s->fold.hops[t];

  return is_one_of (tensor->role.slot, o) ? f->o : is_one_of (tensor->role.slot, down) ? f->down : is_one_of (tensor->role.slot, norm) ? f->norm : 1;
}

/* Folding is exact where the layer is x + attention (norm x), x + MLP (norm x), of which every weight is known. */
static gboolean
check_slots (const EvoStack *s, guint t, GError **error)
{
  static const char *const known[] = { "q", "k", "v", "o", "gate", "up", "down", "norm_1", "norm_2", "q_bias", "k_bias", "v_bias", "o_bias", "gate_bias",
                                       "up_bias", "down_bias", NULL };
  static const char *const needed[] = { "o", "down", "norm_1", "norm_2" };
  const EvoPathHop *h = &s->hops[t];
  guint n = s->inputs[h->input].layers[h->layer]->len, found = 0;

  for (guint i = 0; i < n; i++) {
    const EvoLayoutTensor *tensor = evo_stack_tensor (s, h->input, h->layer, i);

    if (!g_strv_contains (known, tensor->role.slot))
      return evo_stack_refuse (s, t, error, "scales other than 1 cannot be folded into %s: no card says what \"%s\" is in the pass; leave scale out",
                               evo_stack_name (s, h->input), tensor->shape.name);
    for (guint k = 0; k < G_N_ELEMENTS (needed); k++)
      found |= g_str_equal (tensor->role.slot, needed[k]) ? 1u << k : 0;
    if (!evo_dtype_is_float (tensor->shape.dtype) && factor_of (s, t, tensor) != 1)
      return evo_stack_refuse (s, t, error, "a scale cannot be folded into \"%s\" of %s, which is %s", tensor->shape.name,
                               evo_stack_name (s, h->input), evo_dtype_name (tensor->shape.dtype));
  }
  for (guint k = 0; k < G_N_ELEMENTS (needed); k++)
    if (!(found >> k & 1))
      return evo_stack_refuse (s, t, error, "scales other than 1 cannot be folded into %s: layer %d has no \"%s\"; leave scale out",
                               evo_stack_name (s, h->input), h->layer, needed[k]);
  return TRUE;
}

static gboolean
check_fold (const EvoStack *s, GError **error)
{
  for (guint t = 0; !s->fold.is_plain && t < s->n_hops; t++)
    if (!check_slots (s, t, error))
      return FALSE;
  if (s->fold.embed != 1 && evo_stack_find_role (s->inputs[s->embed].l, EVO_ROLE_EMBED) < 0)
    return evo_stack_refuse (s, 0, error, "the first scale cannot be folded into %s: it has no embedding that a card names",
                             evo_stack_name (s, s->embed));
  if (s->fold.final_norm != 1 && evo_stack_find_role (s->inputs[s->head].l, EVO_ROLE_FINAL_NORM) < 0)
    return evo_stack_refuse (s, s->n_hops - 1, error, "the sign of the scales cannot be folded into %s: it has no final norm that a card names",
                             evo_stack_name (s, s->head));
  return TRUE;
}

/* ------------------------------------------------------------------ tensors */

static gboolean
add_layers (EvoStack *s, GError **error)
{
  for (guint t = 0; t < s->n_hops; t++) {
    const EvoPathHop *h = &s->hops[t];

    for (guint i = 0; i < s->inputs[h->input].layers[h->layer]->len; i++) {
      const EvoLayoutTensor *from = evo_stack_tensor (s, h->input, h->layer, i);
      char *name = evo_stack_rename_layer (from->shape.name, h->layer, (gint32) t);

      if (name == NULL)
        return evo_stack_refuse (s, t, error, "\"%s\" of %s has no %d between points, so it cannot be the name of another layer",
                                 from->shape.name, evo_stack_name (s, h->input), h->layer);
      const EvoLayoutTensor *like = h->input == 0 ? NULL : evo_stack_counterpart (s, 0, MIN (h->layer, s->inputs[0].l->n_layers - 1), from, h->layer);

      evo_stack_add_tensor (s, h->input, from, name, (gint32) t, like, factor_of (s, t, from));
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ the result */

static void
set_origins (EvoStack *s)
{
  s->out->layers = g_new (EvoLayerOrigin, s->n_hops);
  for (guint t = 0; t < s->n_hops; t++) {
    const EvoLayout *l = s->inputs[s->hops[t].input].l;

    s->out->layers[t] = l->layers != NULL ? l->layers[s->hops[t].layer] : (EvoLayerOrigin){ l->source, s->hops[t].layer };
  }
}

static gboolean
lay_out (EvoStack *s, GError **error)
{
  if (!evo_stack_check_hops (s, error) || !check_fold (s, error) || !evo_stack_add_outers (s, error) || !add_layers (s, error))
    return FALSE;
  set_origins (s);
  s->out->n_layers = (gint32) s->n_hops;
  evo_layout_inherit (s->out, s->inputs[0].l);
  s->out->n = s->tensors->len;
  s->out->tensors = g_memdup2 (s->tensors->data, MAX (s->tensors->len, 1) * sizeof (EvoLayoutTensor));
  g_array_set_size (s->tensors, 0);
  evo_layout_order (s->out);
  return evo_stack_check_config (s->m, s->node, s->out, error);
}

gboolean
evo_layout_hops (EvoModels *m, const EvoNode *node, const EvoPathHop *hops, guint n, EvoLayout *out, GError **error)
{
  gboolean ends = evo_path_get_outer (node) == EVO_OUTER_ENDS;
  EvoStack s = { .m = m, .node = node, .hops = hops, .n_hops = n, .embed = ends ? hops[0].input : 0, .head = ends ? hops[n - 1].input : 0, .out = out };
  gboolean done;

  s.tensors = g_array_new (FALSE, FALSE, sizeof (EvoLayoutTensor));
  evo_path_fold (evo_path_get_scaling (node), hops, n, &s.fold);
  evo_stack_index (&s);
  done = lay_out (&s, error);
  evo_stack_clear (&s);
  if (!done)
    evo_layout_clear (out);
  return done;
}

static gboolean
refuse_empty (const EvoNode *node, GError **error)
{
  return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s has no layers; a path needs models that are known to have some",
                      node->in[0].from->name);
}

/* A path that is searched: every layer of every input must fit, with a scale, and until a path is found the model is the first input's. */
static gboolean
lay_out_searched (EvoModels *m, const EvoNode *node, const gint32 *n_layers, GArray *hops, GError **error)
{
  EvoLayout any = { 0 };
  gboolean fits;

  for (guint e = 0; e < node->n_in; e++)
    for (gint32 l = 0; l < n_layers[e]; l++) {
      EvoPathHop hop = { e, l, node->path_genes->scale != NULL && hops->len == 1 ? 2 : 1 };

      g_array_append_val (hops, hop);
    }
  if (hops->len == 0)
    return refuse_empty (node, error);
  fits = evo_layout_hops (m, node, (const EvoPathHop *) (gconstpointer) hops->data, hops->len, &any, error);
  evo_layout_clear (&any);
  g_array_set_size (hops, (guint) n_layers[0]);
  for (guint i = 0; i < hops->len; i++)
    g_array_index (hops, EvoPathHop, i).scale = 1;
  return fits && (hops->len > 0 || refuse_empty (node, error));
}

gboolean
evo_layout_path (EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = g_new (gint32, MAX (node->n_in, 1));

  for (guint e = 0; e < node->n_in; e++)
    n_layers[e] = evo_models_get_layout (m, node->in[e].from)->n_layers;
  return (node->path_genes != NULL && node->path_genes->path != NULL ? lay_out_searched (m, node, n_layers, hops, error)
                                                                      : evo_path_read (node, n_layers, hops, error)) &&
         evo_layout_hops (m, node, (const EvoPathHop *) (gconstpointer) hops->data, hops->len, out, error);
}
