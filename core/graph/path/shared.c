/* SPDX-License-Identifier: Apache-2.0
 * shared.c - reads and makes the compact form of a layer path.
 */
#include "core/graph/path/shared.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/kernels/kernels.h"

static const char *const scalings[] = { "stream", "branch", "last-branch", NULL }; /* EvoScaling */

/* ------------------------------------------------------------------ reading */

static gboolean
bad (const EvoStore *store, const char *name, GError **error, const char *what)
{
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: \"%s\" %s", evo_store_get_path (store), name, what);
}

/* One whole number of a tensor of them. */
static gint64
integer_at (gconstpointer bytes, EvoDtype dtype, gsize i)
{
  gint64 wide;
  gint32 narrow;

  if (dtype == EVO_DTYPE_I64) {
    memcpy (&wide, (const char *) bytes + i * sizeof wide, sizeof wide);
    return wide;
  }
  memcpy (&narrow, (const char *) bytes + i * sizeof narrow, sizeof narrow);
  return narrow;
}

static gboolean
read_layers (const EvoStore *store, guint at, gint32 n_layers, GArray *visits, GError **error)
{
  const EvoShape *s = evo_store_get_tensor (store, at);
  g_autofree char *range = g_strdup_printf ("names a layer that there is not; layers are 0 ... %d", n_layers - 1);

  if (s->n_dims != 1 || s->n < 1 || s->n > 65536 || (s->dtype != EVO_DTYPE_I64 && s->dtype != EVO_DTYPE_I32))
    return bad (store, s->name, error, "should be a list of 1 to 65536 whole numbers, i64 or i32, a layer for each hop");
  for (gint64 i = 0; i < s->n; i++) {
    gint64 layer = integer_at (evo_store_peek (store, at), s->dtype, (gsize) i);
    EvoHop visit = { (guint32) layer, 1 };

    if (layer < 0 || layer >= n_layers)
      return bad (store, s->name, error, range);
    g_array_append_val (visits, visit);
  }
  return evo_store_check (store, at, error);
}

static gboolean
read_scales (const EvoStore *store, guint at, GArray *visits, GError **error)
{
  const EvoShape *s = evo_store_get_tensor (store, at);
  g_autofree float *scales = NULL;

  if (s->n_dims != 1 || s->n != visits->len || !evo_dtype_is_float (s->dtype))
    return bad (store, s->name, error, "should be a list of numbers, a scale for each of " EVO_SHARED_LAYERS);
  scales = g_new (float, visits->len);
  if (!evo_store_read (store, evo_kernels_get (), at, 0, visits->len, scales, error))
    return FALSE;
  for (guint i = 0; i < visits->len; i++)
    g_array_index (visits, EvoHop, i).scale = scales[i];
  return TRUE;
}

static gboolean
read_scaling (const EvoStore *store, EvoScaling *out, GError **error)
{
  const EvoJson *config = evo_store_get_config (store);
  const char *name = config == NULL ? NULL : evo_json_get_string (config, "input_scaling");

  *out = EVO_SCALING_LAST_BRANCH;
  for (guint i = 0; name != NULL && scalings[i] != NULL; i++)
    if (g_str_equal (scalings[i], name)) {
      *out = (EvoScaling) i;
      return TRUE;
    }
  return name == NULL || bad (store, "input_scaling", error, "of config.json is none of stream, branch and last-branch");
}

gboolean
evo_shared_read (const EvoStore *store, gint32 n_layers, GArray *visits, EvoScaling *scaling, GError **error)
{
  int layers = evo_store_find (store, EVO_SHARED_LAYERS), scales = evo_store_find (store, EVO_SHARED_SCALES);

  g_array_set_size (visits, 0);
  if (layers < 0)
    return scales < 0 || bad (store, EVO_SHARED_SCALES, error, "has no " EVO_SHARED_LAYERS " beside it");
  return read_layers (store, (guint) layers, n_layers, visits, error) && (scales < 0 || read_scales (store, (guint) scales, visits, error)) &&
         read_scaling (store, scaling, error);
}

/* ------------------------------------------------------------------ making */

/* The layer that a hop visits among those met so far; it is added where it is new. */
static gint64
visit (GArray *distinct, const EvoPathHop *hop)
{
  EvoPathHop plain = { hop->input, hop->layer, 1 };

  for (guint i = 0; i < distinct->len; i++) {
    const EvoPathHop *d = &g_array_index (distinct, EvoPathHop, i);

    if (d->input == hop->input && d->layer == hop->layer)
      return i;
  }
  g_array_append_val (distinct, plain);
  return distinct->len - 1;
}

gboolean
evo_shared_init (EvoModels *m, const EvoNode *node, EvoShared *out, GError **error)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop)), distinct = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = g_new (gint32, node->n_in + 1);
  g_auto (EvoShared) s = { .scaling = evo_path_get_scaling (node) };

  for (guint e = 0; e < node->n_in; e++)
    n_layers[e] = evo_models_get_layout (m, node->in[e].from)->n_layers;
  if (!evo_path_read (node, n_layers, hops, error))
    return FALSE;
  s.n = hops->len;
  s.layers = g_new (gint64, s.n);
  s.scales = g_new (float, s.n);
  for (guint i = 0; i < s.n; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);

    s.layers[i] = visit (distinct, h);
    s.scales[i] = (float) h->scale;
  }
  if (!evo_layout_hops (m, node, (const EvoPathHop *) (gconstpointer) distinct->data, distinct->len, &s.layout, error))
    return FALSE;
  *out = s;
  s = (EvoShared){ 0 };
  return TRUE;
}

void
evo_shared_clear (EvoShared *s)
{
  evo_layout_clear (&s->layout);
  g_clear_pointer (&s->layers, g_free);
  g_clear_pointer (&s->scales, g_free);
}

gboolean
evo_shared_replaces (const char *key)
{
  return g_str_equal (key, "num_hops") || g_str_equal (key, "input_scaling");
}

void
evo_shared_write_config (const EvoShared *s, EvoJsonWriter *w)
{
  evo_json_add_key (w, "num_hops");
  evo_json_add_integer (w, s->n);
  evo_json_add_key (w, "input_scaling");
  evo_json_add_string (w, scalings[s->scaling]);
}
