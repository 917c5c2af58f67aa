/* SPDX-License-Identifier: Apache-2.0
 * stack.c - what the files that lay out a path share: its inputs by layer, names of another layer's tensors, what is refused.
 */
#include "core/graph/path/stack.h"

#include <string.h>

#include "core/base/error.h"
#include "core/graph/read/read.h"

gboolean
evo_stack_refuse (const EvoStack *s, guint hop, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_fail_at (error, s->node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "hop %u: %s", hop, what);
}

const char *
evo_stack_name (const EvoStack *s, guint input)
{
  return s->node->in[input].from->name;
}

const EvoJson *
evo_stack_config (const EvoStack *s, guint input)
{
  EvoStore *store = evo_models_get_store (s->m, s->inputs[input].l->source);

  return store == NULL ? NULL : evo_store_get_config (store);
}

gint32
evo_stack_find_role (const EvoLayout *l, guint32 kind)
{
  for (guint i = 0; i < l->n; i++)
    if (l->tensors[i].role.kind == kind)
      return (gint32) i;
  return -1;
}

/* ------------------------------------------------------------------ names with a layer's number in them */

/* Where the first component of `name` that is this number begins; NULL: nowhere. *n: its length. */
static const char *
find_number (const char *name, gint32 layer, gsize *n)
{
  for (const char *p = name; p != NULL; p = strchr (p, '.') == NULL ? NULL : strchr (p, '.') + 1) {
    *n = strspn (p, "0123456789");
    if (*n > 0 && *n < 10 && (p[*n] == '.' || p[*n] == '\0') && g_ascii_strtoll (p, NULL, 10) == layer)
      return p;
  }
  return NULL;
}

char *
evo_stack_rename_layer (const char *name, gint32 from, gint32 to)
{
  gsize n;
  const char *at = find_number (name, from, &n);

  return at == NULL ? NULL : g_strdup_printf ("%.*s%d%s", (int) (at - name), name, to, at + n);
}

/* Names of two layers' tensors that differ in the layer's number only. */
static gboolean
same_but_layer (const char *a, gint32 layer_a, const char *b, gint32 layer_b)
{
  gsize n, m;
  const char *x = find_number (a, layer_a, &n), *y = find_number (b, layer_b, &m);

  return x != NULL && y != NULL && x - a == y - b && strncmp (a, b, (gsize) (x - a)) == 0 && strcmp (x + n, y + m) == 0;
}

/* ------------------------------------------------------------------ inputs */

/* A card need not know all tensors of its layers: one with a number where theirs have the layer's is in that layer. */
static gint32
layer_by_name (const EvoLayout *l, const char *name)
{
  for (guint t = 0; t < l->n; t++) {
    const char *known = l->tensors[t].shape.name;
    gsize n, before;

    if (l->tensors[t].role.layer < 0 || find_number (known, l->tensors[t].role.layer, &n) == NULL)
      continue;
    before = (gsize) (find_number (known, l->tensors[t].role.layer, &n) - known);
    n = strncmp (name, known, before) == 0 ? strspn (name + before, "0123456789") : 0;
    return n > 0 && n < 7 && name[before + n] == '.' ? (gint32) g_ascii_strtoll (name + before, NULL, 10) : -1;
  }
  return -1;
}

void
evo_stack_index (EvoStack *s)
{
  s->inputs = g_new0 (EvoStackInput, s->node->n_in);
  for (guint e = 0; e < s->node->n_in; e++) {
    EvoStackInput *in = &s->inputs[e];

    in->l = evo_models_get_layout (s->m, s->node->in[e].from);
    in->layer = g_new (gint32, MAX (in->l->n, 1));
    in->layers = g_new (GArray *, MAX (in->l->n_layers, 1));
    for (gint32 i = 0; i < in->l->n_layers; i++)
      in->layers[i] = g_array_new (FALSE, FALSE, sizeof (guint));
    for (guint t = 0; t < in->l->n; t++) {
      const EvoLayoutTensor *tensor = &in->l->tensors[t];
      gint32 layer = in->layer[t] = tensor->role.layer >= 0 ? tensor->role.layer : layer_by_name (in->l, tensor->shape.name);

      if (layer >= 0 && layer < in->l->n_layers)
        g_array_append_val (in->layers[layer], t);
    }
  }
}

void
evo_stack_clear (EvoStack *s)
{
  for (guint e = 0; e < s->node->n_in; e++) {
    for (gint32 i = 0; i < s->inputs[e].l->n_layers; i++)
      g_array_unref (s->inputs[e].layers[i]);
    g_free (s->inputs[e].layers);
    g_free (s->inputs[e].layer);
  }
  for (guint i = 0; i < s->tensors->len; i++) {
    g_free (g_array_index (s->tensors, EvoLayoutTensor, i).shape.name);
    g_free (g_array_index (s->tensors, EvoLayoutTensor, i).from);
  }
  g_free (s->inputs);
  g_array_unref (s->tensors);
  evo_path_fold_clear (&s->fold);
}

const EvoLayoutTensor *
evo_stack_tensor (const EvoStack *s, guint input, gint32 layer, guint i)
{
  return &s->inputs[input].l->tensors[g_array_index (s->inputs[input].layers[layer], guint, i)];
}

const EvoLayoutTensor *
evo_stack_counterpart (const EvoStack *s, guint input, gint32 layer, const EvoLayoutTensor *t, gint32 own)
{
  for (guint i = 0; i < s->inputs[input].layers[layer]->len; i++)
    if (same_but_layer (evo_stack_tensor (s, input, layer, i)->shape.name, layer, t->shape.name, own))
      return evo_stack_tensor (s, input, layer, i);
  return NULL;
}

/* ------------------------------------------------------------------ the result's tensors */

EvoLayoutTensor *
evo_stack_add_tensor (EvoStack *s, guint e, const EvoLayoutTensor *from, char *name, gint32 layer, const EvoLayoutTensor *like,
                      double factor)
{
  EvoLayoutTensor t = *from;

  t.shape.name = name;
  t.role.layer = layer;
  t.stored = -1;
  t.factor = factor;
  t.from = g_new (gint32, s->node->n_in + 1);
  memset (t.from, 0xff, (s->node->n_in + 1) * sizeof *t.from);
  t.from[e] = (gint32) (from - s->inputs[e].l->tensors);
  if (evo_dtype_is_float (t.shape.dtype) && like != NULL && evo_dtype_is_float (like->shape.dtype))
    t.shape.dtype = like->shape.dtype;
  t.shape.dtype = evo_layout_dtype (&t, &s->node->dtype);
  g_array_append_val (s->tensors, t);
  return &g_array_index (s->tensors, EvoLayoutTensor, s->tensors->len - 1);
}
