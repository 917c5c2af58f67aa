/* SPDX-License-Identifier: Apache-2.0
 * config.c - config.json for another stack of layers: how many there are, and the lists that have one entry for each.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/path/path.h"
#include "core/graph/read/read.h"

/* What architectures call their number of layers. */
static const char *const count_keys[] = { "num_hidden_layers", "n_layer", "num_layers", "n_layers", NULL };
/* Lists of as many entries as there are layers by chance only. */
static const char *const other_lists[] = { "architectures", "*token_id", "*token_ids", "*_tokens" };

/* The object of a model's configuration that v stands in: the whole of it, or text_config. */
static const EvoJson *
parent_in (const EvoModels *m, const EvoNode *source, const EvoJson *v)
{
  EvoStore *store = evo_models_get_store (m, source);
  const EvoJson *config = store == NULL ? NULL : evo_store_get_config (store);

  return config != NULL && g_str_has_prefix (evo_json_pointer (v), "/text_config/") ? evo_json_member (config, "text_config") : config;
}

static gboolean
is_layer_list (const EvoModels *m, const EvoLayout *l, const EvoJson *v)
{
  if (evo_json_kind (v) != EVO_JSON_ARRAY || evo_json_size (v) != (guint) evo_models_get_layout (m, l->source)->n_layers)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (other_lists); i++)
    if (evo_glob_match (other_lists[i], evo_json_key (v)))
      return FALSE;
  return TRUE;
}

/* The entry of the list that is called as v is, in the configuration of layer t's own model; NULL: that has no such list. */
static const EvoJson *
entry_of (const EvoModels *m, const EvoLayerOrigin *layer, const EvoJson *v)
{
  const EvoJson *parent = parent_in (m, layer->source, v), *list = parent == NULL ? NULL : evo_json_member (parent, evo_json_key (v));

  if (list == NULL || evo_json_kind (list) != EVO_JSON_ARRAY || evo_json_size (list) != (guint) evo_models_get_layout (m, layer->source)->n_layers)
    return NULL;
  return evo_json_at (list, (guint) layer->layer);
}

static void
write_list (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w)
{
  evo_json_begin_array (w);
  for (gint32 t = 0; t < l->n_layers; t++) {
    const EvoJson *entry = entry_of (m, &l->layers[t], v);

    if (entry == NULL)
      evo_json_add_null (w);
    else
      evo_json_add_value (w, entry);
  }
  evo_json_end_array (w);
}

/* ------------------------------------------------------------------ max_window_layers: the first so many layers see everything, the others a window */

static gboolean
has_window (const EvoModels *m, const EvoLayerOrigin *layer, const EvoJson *v)
{
  const EvoJson *parent = parent_in (m, layer->source, v);

  return parent != NULL && evo_json_get_bool (parent, "use_sliding_window", FALSE) &&
         layer->layer >= evo_json_get_number (parent, "max_window_layers", layer->layer + 1.0);
}

/* How many layers come before the first with a window; FALSE: one without comes after it. */
static gboolean
count_full (const EvoModels *m, const EvoLayout *l, const EvoJson *v, gint32 *out)
{
  gint32 n = 0;

  while (n < l->n_layers && !has_window (m, &l->layers[n], v))
    n++;
  *out = n;
  for (gint32 t = n; t < l->n_layers; t++)
    if (!has_window (m, &l->layers[t], v))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ one member */

static gboolean
check_member (const EvoModels *m, const EvoNode *node, const EvoLayout *l, const EvoJson *v, GError **error)
{
  const EvoJson *parent = parent_in (m, l->source, v);
  gint32 n;

  for (gint32 t = 0; is_layer_list (m, l, v) && t < l->n_layers; t++)
    if (entry_of (m, &l->layers[t], v) == NULL)
      return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "hop %d: config.json of %s has no list \"%s\" with one entry for each "
                          "layer, that of %s has", t, l->layers[t].source->name, evo_json_key (v), l->source->name);
  if (g_strcmp0 (evo_json_key (v), "max_window_layers") != 0 || evo_json_member (parent, "layer_types") != NULL || count_full (m, l, v, &n))
    return TRUE;
  return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "hop %d: a layer with a sliding window comes before one without, which "
                      "max_window_layers cannot say", n);
}

gboolean
evo_stack_check_config (const EvoModels *m, const EvoNode *node, const EvoLayout *l, GError **error)
{
  EvoStore *store = evo_models_get_store (m, l->source);
  const EvoJson *config = store == NULL ? NULL : evo_store_get_config (store), *text = config == NULL ? NULL : evo_json_member (config, "text_config");

  for (guint i = 0; l->layers != NULL && i < evo_json_size (config); i++)
    if (!check_member (m, node, l, evo_json_at (config, i), error))
      return FALSE;
  for (guint i = 0; l->layers != NULL && text != NULL && i < evo_json_size (text); i++)
    if (!check_member (m, node, l, evo_json_at (text, i), error))
      return FALSE;
  return TRUE;
}

static gboolean
write_text_config (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w)
{
  evo_json_begin_object (w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *inner = evo_json_at (v, i);

    evo_json_add_key (w, evo_json_key (inner));
    if (!evo_stack_write_config (m, l, inner, w))
      evo_json_add_value (w, inner);
  }
  evo_json_end_object (w);
  return TRUE;
}

gboolean
evo_stack_write_config (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w)
{
  const char *key = evo_json_key (v);
  gint32 n;

  if (l->layers == NULL)
    return FALSE;
  if (g_strcmp0 (evo_json_pointer (v), "/text_config") == 0 && evo_json_kind (v) == EVO_JSON_OBJECT)
    return write_text_config (m, l, v, w);
  if (is_layer_list (m, l, v)) {
    write_list (m, l, v, w);
  } else if (evo_json_kind (v) == EVO_JSON_NUMBER && g_strv_contains (count_keys, key)) {
    evo_json_add_integer (w, l->n_layers);
  } else if (evo_json_kind (v) == EVO_JSON_NUMBER && g_str_equal (key, "max_window_layers")) {
    count_full (m, l, v, &n);
    evo_json_add_integer (w, n);
  } else {
    return FALSE;
  }
  return TRUE;
}
