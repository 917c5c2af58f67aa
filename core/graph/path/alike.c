/* SPDX-License-Identifier: Apache-2.0
 * alike.c - whether the layers of a path's inputs can follow one another: one architecture, one width, computed alike.
 */
#include "core/graph/path/stack.h"

/* ------------------------------------------------------------------ one architecture, one width */

/* A layer against one of the first input's. error NULL: it is only asked. */
static gboolean
same_layer (const EvoStack *s, guint hop, gint32 like, GError **error)
{
  const EvoPathHop *h = &s->hops[hop];
  guint n = s->inputs[h->input].layers[h->layer]->len;

  for (guint i = 0; i < n; i++) {
    const EvoLayoutTensor *t = evo_stack_tensor (s, h->input, h->layer, i), *o = evo_stack_counterpart (s, 0, like, t, h->layer);
    g_autofree char *ours = NULL, *theirs = NULL;

    if (o == NULL)
      return evo_stack_refuse (s, hop, error, "layer %d of %s has a tensor \"%s\" that %s has not in its layers; a path needs models of one "
                               "architecture", h->layer, evo_stack_name (s, h->input), t->shape.name, evo_stack_name (s, 0));
    if (evo_shape_equal (&o->shape, &t->shape) && evo_dtype_is_float (o->shape.dtype) == evo_dtype_is_float (t->shape.dtype))
      continue;
    theirs = evo_shape_text (&t->shape);
    ours = evo_shape_text (&o->shape);
    return evo_stack_refuse (s, hop, error, "\"%s\" of %s is %s, that of %s is %s; a path needs models of one width", t->shape.name,
                             evo_stack_name (s, h->input), theirs, evo_stack_name (s, 0), ours);
  }
  for (guint i = 0; n < s->inputs[0].layers[like]->len && i < s->inputs[0].layers[like]->len; i++)
    if (evo_stack_counterpart (s, h->input, h->layer, evo_stack_tensor (s, 0, like, i), like) == NULL)
      return evo_stack_refuse (s, hop, error, "layer %d of %s has no tensor such as \"%s\" of %s; a path needs models of one architecture", h->layer,
                               evo_stack_name (s, h->input), evo_stack_tensor (s, 0, like, i)->shape.name, evo_stack_name (s, 0));
  return TRUE;
}

/* Layers of a model need not be alike: it is enough to be like one of the first input's. */
static gboolean
check_layer (const EvoStack *s, guint hop, GError **error)
{
  const EvoPathHop *h = &s->hops[hop];
  gint32 n = s->inputs[0].l->n_layers, same_place = MIN (h->layer, n - 1);

  if (h->input == 0)
    return TRUE;
  if (n == 0)
    return evo_stack_refuse (s, hop, error, "%s, the first input, has no layers", evo_stack_name (s, 0));
  if (same_layer (s, hop, same_place, NULL))
    return TRUE;
  for (gint32 i = 0; i < n; i++)
    if (same_layer (s, hop, i, NULL))
      return TRUE;
  return same_layer (s, hop, same_place, error);
}

/* What tensors do not show: heads may be cut in another way though the matrices have one shape. */
static gboolean
check_config (const EvoStack *s, guint hop, GError **error)
{
  static const char *const keys[] = { "model_type", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_act" };
  const EvoJson *ours = evo_stack_config (s, 0), *theirs = evo_stack_config (s, s->hops[hop].input);

  for (guint i = 0; ours != NULL && theirs != NULL && i < G_N_ELEMENTS (keys); i++) {
    const EvoJson *a = evo_json_member (ours, keys[i]), *b = evo_json_member (theirs, keys[i]);
    g_autofree char *x = a == NULL ? NULL : evo_json_text (a), *y = b == NULL ? NULL : evo_json_text (b);

    if (x != NULL && y != NULL && !g_str_equal (x, y))
      return evo_stack_refuse (s, hop, error, "%s of %s is %s, of %s %s; a path needs models of one architecture", keys[i],
                               evo_stack_name (s, s->hops[hop].input), y,
                     evo_stack_name (s, 0), x);
  }
  return TRUE;
}

/* ------------------------------------------------------------------ computed alike */

static const char *
scaling_name (guint32 scaling)
{
  static const char *const names[] = { "none", "linear", "llama3", "yarn" }; /* EvoRopeScaling */

  return scaling < G_N_ELEMENTS (names) ? names[scaling] : "unknown";
}

/* One pass runs the layers of all inputs: what it computes with besides weights must be the same, here of specs a (the first input's) and b. */
static gboolean
check_spec (const EvoStack *s, guint hop, const EvoDecoderSpec *a, const EvoDecoderSpec *b, GError **error)
{
  const struct { const char *name; double ours, theirs; } must[] = {
    { "num_attention_heads", (double) a->n_heads, (double) b->n_heads }, { "num_key_value_heads", (double) a->n_kv_heads, (double) b->n_kv_heads },
    { "head_dim", (double) a->head_dim, (double) b->head_dim }, { "rms_norm_eps", a->norm_eps, b->norm_eps },
    { "rope_theta", a->rope_theta, b->rope_theta }, { "rope_scaling factor", a->rope_factor, b->rope_factor },
    { "low_freq_factor", a->rope_low_freq, b->rope_low_freq }, { "high_freq_factor", a->rope_high_freq, b->rope_high_freq },
    { "original_max_position_embeddings", a->rope_original, b->rope_original }, { "beta_fast", a->rope_beta_fast, b->rope_beta_fast },
    { "beta_slow", a->rope_beta_slow, b->rope_beta_slow }, { "attention_factor", a->rope_attention_factor, b->rope_attention_factor },
    { "mscale", a->rope_mscale, b->rope_mscale }, { "mscale_all_dim", a->rope_mscale_all_dim, b->rope_mscale_all_dim },
    { "truncate", a->rope_truncate, b->rope_truncate }, { "sliding_window", (double) a->sliding_window, (double) b->sliding_window },
    { "attention_bias", a->attention_bias, b->attention_bias }, { "mlp_bias", a->mlp_bias, b->mlp_bias },
  };
  const char *first = evo_stack_name (s, 0), *other = evo_stack_name (s, s->hops[hop].input);

  if (a->rope_scaling != b->rope_scaling)
    return evo_stack_refuse (s, hop, error, "rope_scaling of %s is %s, of %s %s; the layers of a path must be computed alike", other,
                             scaling_name (b->rope_scaling), first, scaling_name (a->rope_scaling));
  for (guint i = 0; i < G_N_ELEMENTS (must); i++)
    if (must[i].ours != must[i].theirs)
      return evo_stack_refuse (s, hop, error, "%s of %s is %.9g, of %s %.9g; the layers of a path must be computed alike", must[i].name, other,
                               must[i].theirs, first, must[i].ours);
  return TRUE;
}

/* Only of models that can be run is it known what they are computed with. */
static gboolean
check_decoder (const EvoStack *s, guint hop, GError **error)
{
  guint e = s->hops[hop].input;
  EvoDecoderSpec a, b;

  if (e == 0 || !evo_models_get_decoder (s->m, s->node->in[0].from, &a, NULL) || !evo_models_get_decoder (s->m, s->node->in[e].from, &b, NULL))
    return TRUE;
  return check_spec (s, hop, &a, &b, error);
}

gboolean
evo_stack_check_hops (const EvoStack *s, GError **error)
{
  g_autofree gboolean *asked = g_new0 (gboolean, s->node->n_in);

  for (guint t = 0; t < s->n_hops; t++) {
    guint e = s->hops[t].input;

    if (!check_config (s, t, error) || !check_layer (s, t, error) || (!asked[e] && !(check_decoder (s, t, error) && evo_stack_check_vocabulary (s, t, error))))
      return FALSE;
    asked[e] = TRUE;
  }
  return TRUE;
}
