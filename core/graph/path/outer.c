/* SPDX-License-Identifier: Apache-2.0
 * outer.c - what lies outside the layers of a path: embedding, final norm and output matrix.
 */
#include "core/graph/path/stack.h"

#include <string.h>

#include "core/graph/path/shared.h"

/* What comes after the last layer; a role that no card gives goes by what such tensors are called. */
static gboolean
is_after (const EvoLayoutTensor *t)
{
  static const char *const parts[] = { "lm_head", "ln_f", "embed_out", "norm" };

  if (t->role.kind != EVO_ROLE_OTHER)
    return t->role.kind == EVO_ROLE_HEAD || t->role.kind == EVO_ROLE_FINAL_NORM;
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    if (strstr (t->shape.name, parts[i]) != NULL && (i < 3 || strstr (t->shape.name, "embed") == NULL))
      return TRUE;
  return FALSE;
}

static const EvoLayoutTensor *
find_name (const EvoLayout *l, const char *name)
{
  for (guint i = 0; i < l->n; i++)
    if (g_str_equal (l->tensors[i].shape.name, name))
      return &l->tensors[i];
  return NULL;
}

static gboolean
check_outer (const EvoStack *s, guint e, guint hop, const EvoLayoutTensor *t, const EvoLayoutTensor *like, GError **error)
{
  g_autofree char *ours = NULL, *theirs = NULL;
  gboolean is_vocabulary = t->role.kind == EVO_ROLE_EMBED || t->role.kind == EVO_ROLE_HEAD;

  if (like == NULL || evo_shape_equal (&t->shape, &like->shape))
    return TRUE;
  ours = evo_shape_text (&like->shape);
  theirs = evo_shape_text (&t->shape);
  return evo_stack_refuse (s, hop, error, "\"%s\" of %s is %s, \"%s\" of %s is %s; %s", t->shape.name, evo_stack_name (s, e), theirs,
                           like->shape.name, evo_stack_name (s, 0), ours,
                           is_vocabulary ? "what lies outside the layers must be of one vocabulary and width, as with outer: \"first\"" : "shapes must agree");
}

/* Whether a model's output matrix is its embedding, whatever else the files hold. */
static gboolean
is_tied (const EvoStack *s, guint e)
{
  const EvoLayout *l = s->inputs[e].l;
  const EvoJson *config = evo_stack_config (s, e);

  if (evo_stack_find_role (l, EVO_ROLE_EMBED) < 0)
    return FALSE;
  return evo_stack_find_role (l, EVO_ROLE_HEAD) < 0 || (!l->untied && config != NULL && evo_json_get_bool (config, "tie_word_embeddings", FALSE));
}

static const char *
head_name (const EvoStack *s)
{
  for (guint e = 0; e < s->node->n_in; e++) {
    gint32 i = evo_stack_find_role (s->inputs[e].l, EVO_ROLE_HEAD);

    if (i >= 0)
      return s->inputs[e].l->tensors[i].shape.name;
  }
  return "lm_head.weight";
}

/* The output matrix of a model whose embedding is that, where the result's embedding is another. */
static gboolean
lend_embedding (EvoStack *s, GError **error)
{
  const EvoLayout *l = s->inputs[s->head].l;
  const EvoLayoutTensor *from = &l->tensors[evo_stack_find_role (l, EVO_ROLE_EMBED)];
  gint32 first = evo_stack_find_role (s->inputs[0].l, EVO_ROLE_EMBED);
  const EvoLayoutTensor *like = s->head == 0 || first < 0 ? NULL : &s->inputs[0].l->tensors[first];
  EvoLayoutTensor *t;

  if (!check_outer (s, s->head, s->n_hops - 1, from, like, error))
    return FALSE;
  t = evo_stack_add_tensor (s, s->head, from, g_strdup (head_name (s)), -1, like, 1);
  t->role.kind = EVO_ROLE_HEAD;
  g_strlcpy (t->role.slot, "head", sizeof t->role.slot);
  return TRUE;
}

/* The order in which a model in the compact form visits its layers: the path that is laid out stands in its place. */
static gboolean
is_visits (const EvoLayoutTensor *t)
{
  return g_str_equal (t->shape.name, EVO_SHARED_LAYERS) || g_str_equal (t->shape.name, EVO_SHARED_SCALES);
}

/* What lies outside the layers of input e: what comes before them, or after. lends: its output matrix is its embedding, lent under that name. */
static gboolean
add_outer (EvoStack *s, guint e, gboolean after, gboolean lends, GError **error)
{
  const EvoLayout *l = s->inputs[e].l;

  for (guint i = 0; i < l->n; i++) {
    const EvoLayoutTensor *t = &l->tensors[i], *like = e == 0 ? NULL : find_name (s->inputs[0].l, t->shape.name);
    double factor = t->role.kind == EVO_ROLE_EMBED ? s->fold.embed : t->role.kind == EVO_ROLE_FINAL_NORM ? s->fold.final_norm : 1;

    if (s->inputs[e].layer[i] >= 0 || is_after (t) != after || is_visits (t) || (lends && t->role.kind == EVO_ROLE_HEAD))
      continue;
    if (!check_outer (s, e, after ? s->n_hops - 1 : 0, t, like, error))
      return FALSE;
    if (factor != 1 && !evo_dtype_is_float (t->shape.dtype))
      return evo_stack_refuse (s, 0, error, "a scale cannot be folded into \"%s\" of %s, which is %s", t->shape.name, evo_stack_name (s, e),
                               evo_dtype_name (t->shape.dtype));
    evo_stack_add_tensor (s, e, t, g_strdup (t->shape.name), -1, like, factor);
  }
  return TRUE;
}

gboolean
evo_stack_add_outers (EvoStack *s, GError **error)
{
  gboolean tied = is_tied (s, s->head), lends = tied && (s->fold.embed != 1 || s->embed != s->head || !is_tied (s, 0));

  if (!add_outer (s, s->embed, FALSE, FALSE, error) || !add_outer (s, s->head, TRUE, lends, error) || (lends && !lend_embedding (s, error)))
    return FALSE;
  s->out->untied = s->inputs[0].l->untied || (is_tied (s, 0) && (!tied || lends));
  return TRUE;
}
