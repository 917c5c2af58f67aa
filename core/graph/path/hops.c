/* SPDX-License-Identifier: Apache-2.0
 * hops.c - the hops of a path as its node's parameters give them, and what every path must hold.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/path/path.h"
#include "core/graph/read/read.h"

gboolean
evo_node_is_path (const EvoNode *node)
{
  return node->kind == EVO_KIND_MERGE && ((const EvoMergeOp *) node->plugin->op)->host == EVO_HOST_LAYERS;
}

/* ------------------------------------------------------------------ parameters, by name */

static gconstpointer
member (const EvoNode *node, const char *name)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, name);

  return p == NULL ? NULL : (const char *) node->params + p->offset;
}

static double
scalar (const EvoNode *node, const char *name, double def)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, name);

  return p == NULL ? def : evo_param_get_scalar (p, node->params);
}

EvoScaling
evo_path_get_scaling (const EvoNode *node)
{
  return (EvoScaling) scalar (node, "scaling", EVO_SCALING_STREAM);
}

EvoOuter
evo_path_get_outer (const EvoNode *node)
{
  return (EvoOuter) scalar (node, "outer", EVO_OUTER_FIRST);
}

gboolean
evo_path_takes_any_vocabulary (const EvoNode *node)
{
  return node->compat != EVO_DTYPE_NONE || scalar (node, "vocabulary", 0) != 0;
}

/* ------------------------------------------------------------------ reading */

typedef struct {
  const EvoNode *node;
  const EvoJson *at;       /* of the text that is read */
  const gint32 *n_layers;
  GArray *hops;
} Reading;

static gboolean
read_number (const char **text, gint32 *out)
{
  gsize n = strspn (*text, "0123456789");

  if (n == 0 || n > 6)
    return FALSE;
  *out = (gint32) g_ascii_strtoll (*text, NULL, 10);
  *text += n;
  return TRUE;
}

static gboolean
read_range (const char *text, gint32 *first, gint32 *last)
{
  if (!read_number (&text, first))
    return FALSE;
  *last = *first;
  if (*text == '-' && (text++, !read_number (&text, last)))
    return FALSE;
  return *text == '\0';
}

static gint
find_input (const EvoNode *node, const char *name, gsize n)
{
  for (guint e = 0; e < node->n_in; e++)
    if (strlen (node->in[e].from->name) == n && strncmp (node->in[e].from->name, name, n) == 0)
      return (gint) e;
  return -1;
}

static gboolean
no_input (const Reading *r, const char *text, gsize n, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *name = g_strndup (text, n), *quoted = evo_json_quoted (name), *hint = NULL;

  for (guint e = 0; e < r->node->n_in; e++)
    g_ptr_array_add (names, r->node->in[e].from->name);
  g_ptr_array_add (names, NULL);
  hint = evo_names_hint (name, (const char *const *) names->pdata);
  return evo_fail_at (error, r->at, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "hop %u: %s has no input %s%s", r->hops->len, r->node->name, quoted, hint);
}

static gboolean
read_hop (Reading *r, const char *text, GError **error)
{
  const char *colon = strrchr (text, ':'), *any = r->node->in[0].from->name;
  gint32 first = 0, last = 0, n;
  gint input;

  if (colon == NULL || !read_range (colon + 1, &first, &last)) {
    g_autofree char *quoted = evo_json_quoted (text);

    return evo_fail_at (error, r->at, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "hop %u: %s is no hop; an input's name, a colon, a layer or a range make "
                        "one, as \"%s:0\" or \"%s:0-%d\"", r->hops->len, quoted, any, any, MAX (r->n_layers[0] - 1, 0));
  }
  input = find_input (r->node, text, (gsize) (colon - text));
  if (input < 0)
    return no_input (r, text, (gsize) (colon - text), error);
  n = r->n_layers[input];
  if (n == 0)
    return evo_fail_at (error, r->at, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "hop %u: %s has no layers", r->hops->len,
                        r->node->in[input].from->name);
  if (first >= n || last >= n)
    return evo_fail_at (error, r->at, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "hop %u: %s has no layer %d; its layers are 0 ... %d",
                        r->hops->len + (guint) (first < n && last > first ? n - first : 0), r->node->in[input].from->name, first >= n ? first : n, n - 1);
  if (first > last)
    return evo_fail_at (error, r->at, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "hop %u: the range %d-%d runs backwards; name layers one by one to "
                        "visit them in that order", r->hops->len, first, last);
  for (gint32 l = first; l <= last; l++) {
    EvoPathHop hop = { (guint) input, l, 1 };

    g_array_append_val (r->hops, hop);
  }
  return TRUE;
}

/* The list "path", its texts' places where the pipeline has them. */
static gboolean
read_path (Reading *r, GError **error)
{
  const EvoJson *list = evo_json_member (r->node->where, "path");
  const EvoStrings *path = member (r->node, "path");
  gint64 max = (gint64) scalar (r->node, "max_hops", G_MAXINT32);

  for (gsize i = 0; path != NULL && i < path->n; i++) {
    r->at = i < evo_json_size (list) ? evo_json_at (list, (guint) i) : r->node->where;
    if (!read_hop (r, path->items[i], error))
      return FALSE;
    if (r->hops->len > max)
      return evo_fail_at (error, r->at, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %" G_GINT64_FORMAT ": the path is longer than max_hops, %"
                          G_GINT64_FORMAT "; hops are 0 ... %" G_GINT64_FORMAT, max, max, max - 1);
  }
  return TRUE;
}

gboolean
evo_path_scale_all (const EvoNode *node, GArray *hops, GError **error)
{
  const EvoJson *where = evo_json_member (node->where, "scale");
  const EvoNumbers *scale = member (node, "scale");

  if (scale == NULL || scale->n == 0 || where == NULL)
    return TRUE;
  if (evo_json_kind (where) == EVO_JSON_ARRAY && scale->n != hops->len)
    return evo_fail_at (error, where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "has %" G_GSIZE_FORMAT " number%s, the path %u hop%s; needs one for each, or "
                        "one number alone", scale->n, scale->n == 1 ? "" : "s", hops->len, hops->len == 1 ? "" : "s");
  for (guint i = 0; i < hops->len; i++)
    if (evo_json_kind (where) == EVO_JSON_ARRAY || i > 0)
      g_array_index (hops, EvoPathHop, i).scale = scale->items[scale->n == hops->len ? i : 0];
  return TRUE;
}

gboolean
evo_path_read (const EvoNode *node, const gint32 *n_layers, GArray *hops, GError **error)
{
  Reading r = { node, node->where, n_layers, hops };

  g_array_set_size (hops, 0);
  return read_path (&r, error) && evo_path_scale_all (node, hops, error) && evo_path_check_hops (node, hops, error);
}

/* ------------------------------------------------------------------ what every path must hold */

static gboolean
check_scale (const EvoNode *node, const GArray *hops, guint i, double *product, GError **error)
{
  const EvoJson *where = evo_json_member (node->where, "scale") != NULL ? evo_json_member (node->where, "scale") : node->where;
  gboolean is_stream = evo_path_get_scaling (node) == EVO_SCALING_STREAM;
  double s = g_array_index (hops, EvoPathHop, i).scale, size;

  *product *= s;
  size = fabs (is_stream ? *product : s);
  if (s == 0 || isnan (s))
    return evo_fail_at (error, where, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %u: a scale of %g; it needs a size of 2^-20 ... 2^20", i, s);
  if (size >= 0x1p-20 && size <= 0x1p20)
    return TRUE;
  return evo_fail_at (error, where, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %u: %s %g; its size must be 2^-20 ... 2^20", i,
                      is_stream ? "the product of the scales up to here is" : "the scale is", is_stream ? *product : s);
}

gboolean
evo_path_check_hops (const EvoNode *node, const GArray *hops, GError **error)
{
  const EvoJson *where = evo_json_member (node->where, "path") != NULL ? evo_json_member (node->where, "path") : node->where;
  gint64 max = (gint64) scalar (node, "max_hops", G_MAXINT32);
  double product = 1;

  if (hops->len == 0)
    return evo_fail_at (error, where, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "the path has no hop; it needs 1 to %" G_GINT64_FORMAT, max);
  if (hops->len > max)
    return evo_fail_at (error, where, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "the path has %u hops; max_hops allows 1 to %" G_GINT64_FORMAT,
                        hops->len, max);
  for (guint i = 0; i < hops->len; i++)
    if (!check_scale (node, hops, i, &product, error))
      return FALSE;
  return TRUE;
}
