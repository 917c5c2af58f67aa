/* SPDX-License-Identifier: Apache-2.0
 * genes.c - reads {"evolve": "path"} and the scales beside it, and names their dimensions once the layers of the inputs are known.
 */
#include <math.h>

#include "core/graph/path/evolve.h"
#include "core/graph/read/read.h"

enum { MOST_REPEATS = 64, MOST_POSITIONS = 65536, MOST_HIDDEN = 64, MOST_STEP = 64 };

/* What their values are to whoever reads or writes them: plain numbers. */
static const EvoParam number = { .name = "gene", .type = EVO_TYPE_NUMBER, .flags = EVO_PARAM_TUNABLE, .min = -HUGE_VAL, .max = HUGE_VAL,
                                 .search_low = -1, .search_high = 1, .doc = "A gene of a path." };

/* ------------------------------------------------------------------ reading */

static EvoGene *
new_gene (EvoGraph *g, EvoNode *node, const char *part, const EvoJson *where)
{
  EvoGene *gene = g_new0 (EvoGene, 1);
  EvoGeneUse use = { gene, node };

  *gene = (EvoGene){ .name = g_strconcat (node->name, ".", part, NULL), .where = where, .param = &number, .low = -HUGE_VAL, .high = HUGE_VAL,
                     .start = NAN, .sigma = NAN, .simplex_total = 1, .per = EVO_PER_POSITION, .of_path = node };
  g_ptr_array_add (g->genes, gene);
  g_hash_table_insert (g->genes_by_name, gene->name, gene);
  g_array_append_val (g->uses, use);
  return gene;
}

static gboolean
read_count (const EvoJson *object, const char *key, gint64 min, gint64 max, guint *out, GError **error)
{
  const EvoJson *v = evo_json_member (object, key);
  gint64 n = *out;

  if (v != NULL && !evo_read_whole (v, min, &n, error))
    return FALSE;
  if (n > max)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%" G_GINT64_FORMAT " is more than %" G_GINT64_FORMAT, n, max);
  *out = (guint) n;
  return TRUE;
}

static gboolean
read_real (const EvoJson *object, const char *key, double *out, GError **error)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL || evo_param_scalar_from_json (&number, v, out, error);
}

static gboolean
read_sigma (const EvoJson *object, double *out, GError **error)
{
  const EvoJson *v = evo_json_member (object, "sigma");

  return v == NULL || evo_read_positive (v, out, error);
}

/* Keys that another encoding or shape has. */
static gboolean
only_of (const EvoJson *object, const char *key, gboolean has, const char *what, GError **error)
{
  const EvoJson *v = evo_json_member (object, key);

  return v == NULL || has || evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "is for %s", what);
}

static gboolean
read_encoding (EvoPathGenes *p, const EvoJson *v, GError **error)
{
  static const char *const names[] = { "indicator", "slots", "window", NULL };
  static const char *const keys[] = { "evolve", "encoding", "start", "sigma", "hops", "step", NULL };
  const EvoJson *evolve = evo_json_member (v, "evolve"), *encoding = evo_json_member (v, "encoding");
  guint32 which = EVO_ENCODING_INDICATOR;

  if (!evo_read_object (v, keys, error))
    return FALSE;
  if (evo_json_kind (evolve) != EVO_JSON_STRING || !g_str_equal (evo_json_string (evolve), "path"))
    return evo_fail_at (error, evolve == NULL ? v : evolve, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "a path is searched by {\"evolve\": \"path\"}");
  if (encoding != NULL && !evo_read_one_of (encoding, names, &which, error))
    return FALSE;
  p->encoding = which;
  return only_of (v, "start", which == EVO_ENCODING_INDICATOR, "the encoding \"indicator\"", error) &&
         only_of (v, "sigma", which != EVO_ENCODING_WINDOW, "the encodings \"indicator\" and \"slots\"", error) &&
         only_of (v, "hops", which == EVO_ENCODING_WINDOW, "the encoding \"window\"", error) &&
         only_of (v, "step", which == EVO_ENCODING_WINDOW, "the encoding \"window\"", error) &&
         read_count (v, "hops", 1, MOST_POSITIONS, &p->hops, error) && read_count (v, "step", 1, MOST_STEP, &p->step, error);
}

/* The choices of a categorical position: nothing, or an input. */
static void
make_choices (EvoGene *gene, const EvoNode *node, gboolean may_skip)
{
  guint skip = may_skip ? 1 : 0;

  gene->is_choice = TRUE;
  gene->n_choices = node->n_in + skip;
  gene->choices = g_new0 (double, gene->n_choices);
  gene->choice_names = g_new0 (char *, gene->n_choices + 1);
  for (guint i = 0; i < gene->n_choices; i++) {
    const EvoEdge *e = i < skip ? NULL : &node->in[i - skip];

    gene->choices[i] = i;
    gene->choice_names[i] = e == NULL ? g_strdup ("skip")
                            : e->occurrence == 0 ? g_strdup (e->from->name) : g_strdup_printf ("%s#%u", e->from->name, e->occurrence + 1);
  }
  gene->low = 0;
  gene->high = gene->n_choices - 1.0;
  gene->start = skip;  /* the first input */
  gene->sigma = 0.1;   /* of a choice: how probable it is, to begin with, that another is made */
}

/* Standard deviations of the unbounded genes are EvoJAX's 0.1, which the paper ran with. */
static gboolean
read_path (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  EvoPathGenes *p = node->path_genes;

  if (!read_encoding (p, v, error))
    return FALSE;
  p->path = new_gene (g, node, "path", v);
  if (p->encoding == EVO_ENCODING_SLOTS) {
    make_choices (p->path, node, TRUE);
    return read_sigma (v, &p->path->sigma, error) &&
           (p->path->sigma < 1 || evo_fail_at (error, evo_json_member (v, "sigma"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "of slots it is a probability, "
                                               "above 0 and below 1"));
  }
  if (p->encoding == EVO_ENCODING_WINDOW) {
    p->path->is_int = TRUE;
    p->path->low = -(double) p->step;
    p->path->high = p->step;
    p->path->start = 0;
    if (node->n_in > 1)
      make_choices (p->input = new_gene (g, node, "input", v), node, FALSE);
    return TRUE;
  }
  p->path->sigma = 0.1;
  if (!read_sigma (v, &p->path->sigma, error))
    return FALSE;
  p->start = -p->path->sigma;
  return read_real (v, "start", &p->start, error);
}

static gboolean
read_range (EvoPathGenes *p, const EvoJson *v, GError **error)
{
  if (evo_json_kind (v) == EVO_JSON_BOOL && evo_json_bool (v))
    return TRUE;
  if (evo_json_kind (v) != EVO_JSON_ARRAY || evo_json_size (v) != 2)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "scales are searched in [low, high], or without bounds: true");
  if (!evo_param_scalar_from_json (&number, evo_json_at (v, 0), &p->low, error) ||
      !evo_param_scalar_from_json (&number, evo_json_at (v, 1), &p->high, error))
    return FALSE;
  return p->low < p->high || evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "the low end %g is not below the high end %g", p->low,
                                          p->high);
}

static gboolean
read_scale (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  static const char *const names[] = { "hop", "matrix", "network", NULL };
  static const char *const keys[] = { "evolve", "shape", "start", "sigma", "hidden", NULL };
  const EvoJson *evolve = evo_json_member (v, "evolve"), *shape = evo_json_member (v, "shape");
  EvoPathGenes *p = node->path_genes;
  guint32 which = EVO_SHAPE_HOP;
  gboolean is_bounded;

  if (!evo_read_object (v, keys, error) || (shape != NULL && !evo_read_one_of (shape, names, &which, error)))
    return FALSE;
  if (evolve == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "scales are searched by {\"evolve\": [low, high]}");
  p->shape = which;
  if (!read_range (p, evolve, error) || !only_of (v, "hidden", which == EVO_SHAPE_NETWORK, "the shape \"network\"", error) ||
      !only_of (v, "start", which != EVO_SHAPE_NETWORK, "the shapes \"hop\" and \"matrix\"; a network begins at scale 1", error) ||
      !read_count (v, "hidden", 1, MOST_HIDDEN, &p->hidden, error))
    return FALSE;
  is_bounded = isfinite (p->low) && which != EVO_SHAPE_NETWORK;
  p->scale = new_gene (g, node, "scale", v);
  p->scale->start = p->low > 1 || p->high < 1 ? (p->low + p->high) / 2 : 1;
  p->scale->sigma = is_bounded ? NAN : 0.1;
  if (!read_real (v, "start", &p->scale->start, error) || !read_sigma (v, &p->scale->sigma, error))
    return FALSE;
  if (!(p->scale->start >= p->low && p->scale->start <= p->high))
    return evo_fail_at (error, evo_json_member (v, "start"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%g is outside the range %g ... %g",
                        p->scale->start, p->low, p->high);
  if (which == EVO_SHAPE_NETWORK)
    p->scale->start = 0;
  else if (which == EVO_SHAPE_MATRIX)
    p->scale->start -= 1;
  if (is_bounded) {
    p->scale->low = which == EVO_SHAPE_MATRIX ? p->low - 1 : p->low;
    p->scale->high = which == EVO_SHAPE_MATRIX ? p->high - 1 : p->high;
  }
  return TRUE;
}

gboolean
evo_read_path_genes (EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoJson *path = evo_json_member (node->where, "path"), *scale = evo_json_member (node->where, "scale");
  const EvoParam *repeats = evo_param_find (node->plugin->op->params, "repeats");
  gboolean evolves = path != NULL && evo_is_gene (path), scales = scale != NULL && evo_is_gene (scale);
  EvoPathGenes *p;

  if (!evo_node_is_path (node) || (!evolves && !scales))
    return TRUE;
  p = node->path_genes = g_new0 (EvoPathGenes, 1);
  *p = (EvoPathGenes){ .step = 1, .hidden = 8, .low = -HUGE_VAL, .high = HUGE_VAL, .repeats = (guint) evo_param_get_scalar (repeats, node->params) };
  if (p->repeats > MOST_REPEATS)
    return evo_fail_at (error, evo_json_member (node->where, "repeats"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%u is more than %d", p->repeats,
                        MOST_REPEATS);
  if (evolves && scale != NULL && !scales && evo_json_kind (scale) == EVO_JSON_ARRAY)
    return evo_fail_at (error, scale, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "a path that is searched has no fixed number of hops; give one number");
  return (!evolves || read_path (g, node, path, error)) && (!scales || read_scale (g, node, scale, error));
}

/* ------------------------------------------------------------------ dimensions */

typedef struct { const EvoNode *node; const EvoPathGenes *p; const gint32 *n_layers; guint n_all; GArray *fixed; } Binding;

/* "a:3", of the layers of all inputs behind each other. */
static char *
layer_name (const Binding *b, guint layer)
{
  guint e = 0;

  while (layer >= (guint) b->n_layers[e])
    layer -= (guint) b->n_layers[e++];
  return g_strdup_printf ("%s:%u", b->node->in[e].from->name, layer);
}

/* Positions a scale of its own may stand at; the first hop has none, the closing one of the indicators has one more. */
static guint
n_positions (const Binding *b)
{
  const guint first = (guint) b->n_layers[0];

  if (b->p->path == NULL)
    return b->fixed->len;
  switch (b->p->encoding) {
  case EVO_ENCODING_INDICATOR:
    return b->n_all * b->p->repeats;
  case EVO_ENCODING_SLOTS:
    return first * b->p->repeats;
  default:
    return b->p->hops > 0 ? b->p->hops : first;
  }
}

static char *
position_name (const Binding *b, guint i)
{
  guint period = b->p->path == NULL ? 0 : b->p->encoding == EVO_ENCODING_INDICATOR ? b->n_all
                 : b->p->encoding == EVO_ENCODING_SLOTS ? (guint) b->n_layers[0] : 0;
  g_autofree char *what = NULL;

  if (period == 0)
    return g_strdup_printf ("hop %u", i);
  what = b->p->encoding == EVO_ENCODING_INDICATOR ? layer_name (b, i % period) : g_strdup_printf ("slot %u", i % period);
  return i < period ? g_steal_pointer (&what) : g_strdup_printf ("%s #%u", what, i / period + 1);
}

static guint
n_scales (const Binding *b)
{
  switch (b->p->shape) {
  case EVO_SHAPE_HOP:
    return n_positions (b) + (b->p->path != NULL && b->p->encoding == EVO_ENCODING_INDICATOR ? 1 : 0);
  case EVO_SHAPE_MATRIX:
    return b->n_all * b->n_all;
  default:
    return 5 * b->p->hidden + 1;
  }
}

static char *
scale_name (const Binding *b, guint i)
{
  if (b->p->shape == EVO_SHAPE_HOP)
    return i == n_positions (b) ? g_strdup ("end") : position_name (b, i);
  if (b->p->shape == EVO_SHAPE_NETWORK)
    return g_strdup_printf ("weight %u", i);
  g_autofree char *from = layer_name (b, i / b->n_all), *to = layer_name (b, i % b->n_all);
  return g_strdup_printf ("%s > %s", from, to);
}

static void
bind_gene (const Binding *b, EvoGene *gene, guint n, char *(*name) (const Binding *b, guint i))
{
  for (guint i = 0; gene->labels != NULL && i < gene->n; i++)
    g_free (gene->labels[i]);
  g_free (gene->labels);
  gene->n = n;
  gene->labels = g_new0 (char *, n + 1);
  for (guint i = 0; i < n; i++) {
    g_autofree char *part = name (b, i);

    gene->labels[i] = g_strdup_printf ("%s[%s]", gene->name, part);
  }
}

/* A's first pass is on to begin with, two standard deviations from being off. */
static void
start_indicators (const Binding *b)
{
  EvoGene *gene = b->p->path;

  g_free (gene->starts);
  gene->starts = g_new (double, MAX (gene->n, 1));
  for (guint i = 0; i < gene->n; i++)
    gene->starts[i] = i < (guint) b->n_layers[0] ? 2 * gene->sigma : b->p->start;
}

gint32 *
evo_path_dup_n_layers (const EvoNode *node, const gint32 *of_nodes)
{
  gint32 *n_layers = g_new (gint32, node->n_in + 1);

  for (guint e = 0; e < node->n_in; e++)
    n_layers[e] = of_nodes[node->in[e].from->index];
  return n_layers;
}

guint
evo_path_genes_count_hops (const EvoNode *node, const gint32 *n_layers)
{
  const EvoParam *most = evo_param_find (node->plugin->op->params, "max_hops");
  Binding b = { node, node->path_genes, n_layers, 0, NULL };
  guint n;

  for (guint e = 0; e < node->n_in; e++)
    b.n_all += (guint) n_layers[e];
  n = n_positions (&b) + (b.p->encoding == EVO_ENCODING_INDICATOR ? 2 : 0); /* A's first and last layer, though none is on */
  return most == NULL ? n : MIN (n, (guint) evo_param_get_scalar (most, node->params));
}

gboolean
evo_path_genes_bind (const EvoNode *node, const gint32 *n_layers, GError **error)
{
  g_autoptr (GArray) fixed = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  Binding b = { node, node->path_genes, n_layers, 0, fixed };

  for (guint e = 0; e < node->n_in; e++)
    b.n_all += (guint) n_layers[e];
  if (b.p->path == NULL && !evo_path_read (node, n_layers, fixed, error))
    return FALSE;
  if (n_positions (&b) > MOST_POSITIONS || n_scales (&b) > 16 * MOST_POSITIONS * 16)
    return evo_fail_at (error, node->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "has %u positions and %u scales; at most %d positions can be searched",
                        n_positions (&b), n_scales (&b), MOST_POSITIONS);
  if (b.p->path != NULL)
    bind_gene (&b, b.p->path, n_positions (&b), position_name);
  if (b.p->input != NULL)
    bind_gene (&b, b.p->input, n_positions (&b), position_name);
  if (b.p->scale != NULL)
    bind_gene (&b, b.p->scale, n_scales (&b), scale_name);
  if (b.p->path != NULL && b.p->encoding == EVO_ENCODING_INDICATOR)
    start_indicators (&b);
  return TRUE;
}
