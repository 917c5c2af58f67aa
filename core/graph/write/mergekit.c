/* SPDX-License-Identifier: Apache-2.0
 * mergekit.c - writes a merge as a mergekit recipe.
 *
 * A parameter is resolved for every tensor and then written in the shortest form that says the same: one number, one number a layer, or one a
 * tensor. mergekit's filters are substrings and its gradients give embeddings and final norm the first layer's value, so these are always
 * named in full.
 */
#include "core/graph/write/mergekit.h"

#include <math.h>
#include <string.h>

#include "core/base/text.h"
#include "core/graph/vocab/vocab.h"

typedef struct {
  const char *use, *method;
  const char *node[4], *input[3];  /* parameters that mean the same under the same name */
  struct { const char *param, *value; } fixed[3]; /* choices that mergekit has no word for */
} Method;

static const Method methods[] = {
  { "merge.linear", "linear", { "normalize" }, { "weight" }, { { NULL, NULL } } },
  { "merge.slerp", "slerp", { "t" }, { NULL }, { { "length", "formula" } } },
  { "merge.task-arithmetic", "task_arithmetic", { "normalize", "lambda" }, { "weight" }, { { NULL, NULL } } },
  { "merge.ties", "ties", { "normalize", "lambda" }, { "weight", "density" }, { { "scope", "tensor" }, { "vote", "weighted" } } },
  { "merge.dare-linear", "dare_linear", { "normalize", "lambda" }, { "weight", "density" }, { { NULL, NULL } } },
  { "merge.dare-ties", "dare_ties", { "normalize", "lambda" }, { "weight", "density" }, { { "vote", "weighted" } } },
};

typedef struct { const EvoNode *node; const EvoLayout *layout; const double *x; GString *out; } Writing;

static const Method *
find_method (const EvoNode *node)
{
  for (guint i = 0; node->kind == EVO_KIND_MERGE && i < G_N_ELEMENTS (methods); i++)
    if (g_str_equal (methods[i].use, node->plugin->name))
      return &methods[i];
  return NULL;
}

/* ------------------------------------------------------------------ values */

/* One parameter at one tensor: edge, then node, then what was bound. */
static double
resolve (const Writing *w, const EvoParam *p, guint index, const EvoEdge *edge, guint t)
{
  const EvoNode *node = w->node;
  const EvoLayoutTensor *l = &w->layout->tensors[t];
  EvoPlace place = { l->shape.name, &l->role, w->layout->n_layers };
  const EvoValue *levels[2] = { edge == NULL ? node->values[index] : edge->values == NULL ? NULL : edge->values[index],
                                edge == NULL || node->in_values == NULL ? NULL : node->in_values[index] };
  double v;

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    if (levels[i] != NULL && evo_value_resolve (levels[i], &place, w->x, &v))
      return v;
  return evo_param_get_scalar (p, edge == NULL ? node->params : edge->params);
}

/* YAML 1.1 takes "1e-05" for text: an exponent needs a point before it. */
static void
write_number (GString *out, const EvoParam *p, double v)
{
  char text[EVO_NUMBER_TEXT], *e;

  if (p->type == EVO_TYPE_BOOL) {
    g_string_append (out, v != 0 ? "true" : "false");
    return;
  }
  e = strchr (evo_number_text (v, text), 'e');
  if (e == NULL || strchr (text, '.') != NULL)
    g_string_append (out, text);
  else
    g_string_append_printf (out, "%.*s.0%s", (int) (e - text), text, e);
}

/* Every layer has one value for all of its tensors. */
static gboolean
is_by_layer (const EvoLayout *l, const double *v, double *by_layer)
{
  for (gint32 i = 0; i < l->n_layers; i++)
    by_layer[i] = NAN;
  for (guint t = 0; t < l->n; t++) {
    gint32 layer = l->tensors[t].role.layer;

    if (layer < 0 || layer >= l->n_layers)
      continue;
    if (!isnan (by_layer[layer]) && by_layer[layer] != v[t])
      return FALSE;
    by_layer[layer] = v[t];
  }
  for (gint32 i = 0; i < l->n_layers; i++)
    if (isnan (by_layer[i]))
      return FALSE;
  return l->n_layers > 1;
}

static void
write_filter (const Writing *w, const EvoParam *p, guint t, double v, guint indent)
{
  g_string_append_printf (w->out, "%*s- filter: %s\n%*s  value: ", (int) indent, "", w->layout->tensors[t].shape.name, (int) indent, "");
  write_number (w->out, p, v);
  g_string_append_c (w->out, '\n');
}

static void
write_by_tensor (const Writing *w, const EvoParam *p, const double *v, guint indent)
{
  const EvoLayout *l = w->layout;
  g_autofree double *by_layer = g_new (double, MAX (l->n_layers, 1));
  gboolean layered = is_by_layer (l, v, by_layer);

  g_string_append_c (w->out, '\n');
  for (guint t = 0; t < l->n; t++)
    if (!layered || l->tensors[t].role.layer < 0)
      write_filter (w, p, t, v[t], indent);
  if (!layered)
    return;
  g_string_append_printf (w->out, "%*s- value: [", (int) indent, "");
  for (gint32 i = 0; i < l->n_layers; i++) {
    if (i > 0)
      g_string_append (w->out, ", ");
    write_number (w->out, p, by_layer[i]);
  }
  g_string_append (w->out, "]\n");
}

static void
write_parameter (const Writing *w, const EvoParam *table, const char *name, const EvoEdge *edge, guint indent)
{
  const EvoParam *p = evo_param_find (table, name);
  g_autofree double *v = g_new (double, MAX (w->layout->n, 1));
  gboolean same = TRUE;

  for (guint t = 0; t < w->layout->n; t++) {
    v[t] = resolve (w, p, (guint) (p - table), edge, t);
    same = same && v[t] == v[0];
  }
  g_string_append_printf (w->out, "%*s%s: ", (int) indent, "", name);
  if (!same) {
    write_by_tensor (w, p, v, indent + 2);
    return;
  }
  write_number (w->out, p, v[0]);
  g_string_append_c (w->out, '\n');
}

/* ------------------------------------------------------------------ what mergekit can say */

static double
fixed_value (const EvoNode *node, const EvoParam *p)
{
  const EvoParam *table = node->plugin->op->params;
  const EvoValue *v = node->values[p - table];

  return v != NULL && v->kind == EVO_VALUE_SCALAR ? v->scalar : v != NULL ? NAN : evo_param_get_scalar (p, node->params);
}

/* The name of a choice that holds for the whole model, NULL: it differs by tensor, or there is no such parameter. */
static const char *
choice_of (const EvoNode *node, const char *param)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, param);
  double v = p == NULL ? NAN : fixed_value (node, p);

  return isnan (v) ? NULL : p->names[(guint) v];
}

static gboolean
can_say (const EvoNode *node, const Method *m)
{
  const EvoParam *threshold = evo_param_find (node->plugin->op->params, "threshold");
  const char *rescale = choice_of (node, "rescale");

  if (threshold != NULL && fixed_value (node, threshold) != threshold->def) /* mergekit's own, and no parameter there */
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (m->fixed) && m->fixed[i].param != NULL; i++)
    if (g_strcmp0 (choice_of (node, m->fixed[i].param), m->fixed[i].value) != 0)
      return FALSE;
  if (evo_param_find (node->plugin->op->params, "rescale") != NULL && (rescale == NULL || g_str_equal (rescale, "density")))
    return FALSE;
  if (node->vocab != NULL && (node->vocab->kind == EVO_VOCAB_TRUNCATE || node->vocab->n_rules > 0)) /* a command line there; and models named again */
    return FALSE;
  for (guint e = 0; e < node->n_in; e++) {
    if (node->in[e].from->kind == EVO_KIND_MERGE)
      return FALSE;
    for (guint f = 0; f < e; f++)
      if (node->in[f].from == node->in[e].from)
        return FALSE; /* mergekit refuses a model that is named twice */
  }
  return node->base.from == NULL || node->base.from->kind != EVO_KIND_MERGE;
}

static void
write_path (const Writing *w, const EvoModels *models, const EvoNode *from, EvoSearchPath path_of, gpointer data)
{
  g_autofree char *path = from->kind == EVO_KIND_OPTIMIZER ? path_of (data, from) : g_strdup (evo_store_get_path (evo_models_get_store (models, from)));
  EvoJsonWriter json;

  evo_json_writer_init (&json, w->out, FALSE);
  evo_json_add_string (&json, path);
  g_string_append_c (w->out, '\n');
}

/* Without a base_model mergekit takes any of the models for it. */
static void
write_tokenizer (const Writing *w, const EvoModels *models, EvoSearchPath path_of, gpointer data)
{
  const EvoVocabSpec *s = w->node->vocab;
  EvoJsonWriter json;

  if (s != NULL) {
    g_string_append (w->out, "tokenizer:\n  source: ");
    if (s->kind == EVO_VOCAB_NODE)
      write_path (w, models, s->input < w->node->n_in ? w->node->in[s->input].from : w->node->base.from, path_of, data);
    else
      g_string_append (w->out, s->kind == EVO_VOCAB_UNION ? "union\n" : "base\n");
    if (s->multiple > 1)
      g_string_append_printf (w->out, "  pad_to_multiple_of: %" G_GINT64_FORMAT "\n", s->multiple);
  }
  if (w->node->chat_template == NULL)
    return;
  g_string_append (w->out, "chat_template: ");
  evo_json_writer_init (&json, w->out, FALSE);
  evo_json_add_string (&json, w->node->chat_template);
  g_string_append_c (w->out, '\n');
}

static void
write_models (const Writing *w, const EvoModels *models, const Method *m, EvoSearchPath path_of, gpointer data)
{
  const EvoMergeOp *op = (const EvoMergeOp *) w->node->plugin->op;

  g_string_append (w->out, "models:\n");
  for (guint e = 0; e < w->node->n_in; e++) {
    g_string_append (w->out, "  - model: ");
    write_path (w, models, w->node->in[e].from, path_of, data);
    if (m->input[0] != NULL)
      g_string_append (w->out, "    parameters:\n");
    for (guint i = 0; i < G_N_ELEMENTS (m->input) && m->input[i] != NULL; i++)
      write_parameter (w, op->in_params, m->input[i], &w->node->in[e], 6);
  }
}

char *
evo_graph_to_mergekit (const EvoModels *models, const EvoNode *node, const double *x, const EvoDtypes *as, EvoSearchPath path_of, gpointer data)
{
  const Method *m = find_method (node);
  Writing w = { node, evo_models_get_layout (models, node), x, NULL };
  const char *rescale;

  if (m == NULL || w.layout->n == 0 || !can_say (node, m))
    return NULL;
  w.out = g_string_new ("# The same merge as a recipe for mergekit 0.1.5; written by evopipe.\n");
  if (((const EvoMergeOp *) node->plugin->op)->flags & EVO_MERGE_RANDOM)
    g_string_append (w.out, "# mergekit draws masks of its own at every run: the same in distribution, not in bytes.\n");
  g_string_append_printf (w.out, "merge_method: %s\ndtype: float32\nout_dtype: %s\n", m->method,
                          evo_dtype_torch_name (evo_layout_dtype (&w.layout->tensors[0], as)));
  if (node->base.from != NULL || node->vocab != NULL || g_str_equal (m->method, "slerp")) {
    g_string_append (w.out, "base_model: ");
    write_path (&w, models, node->base.from != NULL ? node->base.from : node->in[0].from, path_of, data);
  }
  write_tokenizer (&w, models, path_of, data);
  write_models (&w, models, m, path_of, data);
  g_string_append (w.out, "parameters:\n");
  for (guint i = 0; i < G_N_ELEMENTS (m->node) && m->node[i] != NULL; i++)
    write_parameter (&w, node->plugin->op->params, m->node[i], NULL, 2);
  rescale = choice_of (node, "rescale");
  if (rescale != NULL)
    g_string_append_printf (w.out, "  rescale: %s\n", g_str_equal (rescale, "l1") ? "true" : "false");
  return g_string_free (w.out, FALSE);
}
