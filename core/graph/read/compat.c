/* SPDX-License-Identifier: Apache-2.0
 * compat.c - "compat": "mergekit": a merge has mergekit's defaults, and is computed from what mergekit would compute from.
 *
 * mergekit rounds every tensor to the recipe's dtype when it is loaded; {"mergekit": "bf16"} does so too. What it rounds on the way (changes,
 * their products and sums, under a dtype of 16 bits) stays in fp32 here: it only takes digits away.
 */
#include "core/graph/read/read.h"
#include "core/graph/recipe/read.h"

static gboolean
read_value (const EvoJson *v, EvoDtype *dtype, GError **error)
{
  static const char *const names[] = { "mergekit", NULL };
  const EvoJson *inner = evo_json_member (v, "mergekit");
  guint32 which;

  *dtype = EVO_DTYPE_F32;
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_read_one_of (v, names, &which, error);
  if (!evo_read_object (v, names, error))
    return FALSE;
  return inner != NULL ? evo_read_dtype (inner, dtype, error)
                       : evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"mergekit\", the dtype that sources are rounded to");
}

gboolean
evo_read_compat (EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoJson *own = evo_json_member (node->where, "compat"), *all = evo_json_member (evo_json_root (g->doc), "compat");
  const EvoMergeOp *op = (const EvoMergeOp *) node->plugin->op;
  EvoDtype dtype = EVO_DTYPE_NONE, general = EVO_DTYPE_NONE;
  gboolean has_peer;

  if (all != NULL && !read_value (all, &general, error))
    return FALSE;
  if (node->kind != EVO_KIND_MERGE)
    return TRUE;
  if (own != NULL && !read_value (own, &dtype, error))
    return FALSE;
  has_peer = op->host == EVO_HOST_LAYERS || evo_recipe_method_of (node->plugin->name) != NULL;
  if (own != NULL && !has_peer)
    return evo_fail_at (error, own, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "mergekit has no method like %s; leave \"compat\" out", node->plugin->name);
  node->compat = own != NULL ? dtype : has_peer ? general : EVO_DTYPE_NONE;
  return TRUE;
}

/* The text is ours: a number, true, false or a name. */
static void
set_default (const EvoParam *table, const char *name, const char *text, gpointer object)
{
  const EvoParam *p = evo_param_find (table, name);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, -1, name, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);
  double x;

  if (p != NULL && evo_param_scalar_from_json (p, evo_json_root (doc), &x, NULL))
    evo_param_set_scalar (p, object, x);
}

void
evo_compat_set_defaults (const EvoNode *node, const EvoParam *table, gpointer object)
{
  const EvoRecipeMethod *m = node->compat == EVO_DTYPE_NONE ? NULL : evo_recipe_method_of (node->plugin->name);

  for (guint i = 0; m != NULL && i < G_N_ELEMENTS (m->keys) && m->keys[i].key != NULL; i++)
    if (m->keys[i].param != NULL && m->keys[i].def != NULL)
      set_default (table, m->keys[i].param, m->keys[i].def, object);
  for (guint i = 0; m != NULL && i < G_N_ELEMENTS (m->fixed) && m->fixed[i].param != NULL; i++)
    set_default (table, m->fixed[i].param, m->fixed[i].json, object);
}

void
evo_compat_write (EvoDtype compat, EvoJsonWriter *w)
{
  if (compat == EVO_DTYPE_F32) {
    evo_json_add_string (w, "mergekit");
    return;
  }
  evo_json_begin_object (w);
  evo_json_add_key (w, "mergekit");
  evo_json_add_string (w, evo_dtype_user_name (compat));
  evo_json_end_object (w);
}
