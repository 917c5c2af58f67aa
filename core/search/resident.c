/* SPDX-License-Identifier: Apache-2.0
 * resident.c - fills a text model tensor by tensor from a model node; for a searched layer path, with the layers of all its inputs.
 */
#include "core/search/resident.h"

#include <string.h>

#include "core/base/error.h"
#include "core/graph/vocab/vocab.h"
#include "core/graph/path/evolve.h"
#include "core/graph/path/shared.h"

struct EvoResident {
  EvoModels *models;
  const EvoNode *node;      /* whose layout the text model was made for */
  EvoTextModel *text;
  char *buffer; gsize n_buffer; /* one tensor, as stored */
  gboolean holds_layers;    /* a searched path: the inputs' layers are in place */
  GArray *visits; EvoScaling scaling; /* EvoHop: a checkpoint's own path, in its compact form; empty: none */
};

enum { SMALLEST_PREFIX_CACHE = 64 << 20, LARGEST_PREFIX_CACHE = 2047 << 20 };

/* ------------------------------------------------------------------ searched layer paths */

static gsize
count_layers (const EvoModels *models, const EvoNode *node)
{
  gsize n = 0;

  for (guint e = 0; e < node->n_in; e++)
    n += (gsize) evo_models_get_n_layers (models)[node->in[e].from->index];
  return n;
}

guint64
evo_resident_prefix_bytes (const EvoDecoderSpec *spec, gsize n_held)
{
  return CLAMP (evo_text_model_estimate_path_bytes (spec, n_held, EVO_DTYPE_BF16, 1) / 4, SMALLEST_PREFIX_CACHE, LARGEST_PREFIX_CACHE);
}

static EvoTextModel *
new_for_path (EvoModels *models, const EvoNode *node, EvoDecoderSpec *spec, EvoTokenizer *tokenizer, const EvoKernels *k, EvoPool *pool,
              GError **error)
{
  gsize n_held = count_layers (models, node);
  EvoTextModel *text;

  for (guint e = 1; e < node->n_in; e++) { /* that they are computed alike was seen when the path was laid out */
    EvoDecoderSpec other;

    if (!evo_models_get_decoder (models, node->in[e].from, &other, error))
      return NULL;
  }
  text = evo_text_model_new_for_path (spec, n_held, tokenizer, k, pool);
  evo_text_model_set_prefix_cache (text, evo_resident_prefix_bytes (spec, n_held));
  return text;
}

EvoResident *
evo_resident_new (EvoModels *models, const EvoNode *node, const EvoKernels *k, EvoPool *pool, GError **error)
{
  g_autoptr (EvoResident) r = g_new0 (EvoResident, 1);
  g_autoptr (EvoTokenizer) tokenizer = NULL;
  EvoDecoderSpec spec;
  GError *e = NULL;

  if (!evo_models_get_decoder (models, node, &spec, error))
    return NULL;
  tokenizer = evo_vocab_open_tokenizer (models, node, &e);
  if (e != NULL) {
    g_propagate_prefixed_error (error, e, "%s: ", node->name);
    return NULL;
  }
  r->models = models;
  r->node = node;
  r->visits = g_array_new (FALSE, FALSE, sizeof (EvoHop));
  if (evo_models_get_store (models, node) != NULL &&
      !evo_shared_read (evo_models_get_store (models, node), (gint32) spec.n_layers, r->visits, &r->scaling, error)) {
    g_prefix_error (error, "%s: ", node->name);
    return NULL;
  }
  r->text = node->path_genes != NULL ? new_for_path (models, node, &spec, tokenizer, k, pool, error)
                                     : evo_text_model_new (&spec, tokenizer, k, pool);
  return r->text == NULL ? NULL : g_steal_pointer (&r);
}

void
evo_resident_free (EvoResident *r)
{
  if (r == NULL)
    return;
  g_clear_pointer (&r->text, evo_text_model_free);
  g_clear_pointer (&r->visits, g_array_unref);
  g_free (r->buffer);
  g_free (r);
}

static gboolean
keep (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  EvoResident *r = data;

  memcpy (r->buffer + offset, bytes, n);
  return TRUE;
}

static gboolean
pass_over (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  return TRUE;
}

/* A stored tensor goes to the model as it lies in the mapping. */
static gconstpointer
stored_bytes (EvoResident *r, const EvoNode *node, const EvoLayoutTensor *t, EvoDtype dtype, int *at)
{
  EvoStore *store = evo_models_get_store (r->models, node);

  if (store == NULL)
    return NULL;
  *at = evo_store_find (store, t->shape.name);
  return *at >= 0 && evo_store_get_tensor (store, (guint) *at)->dtype == dtype ? evo_store_peek (store, (guint) *at) : NULL;
}

static gboolean
fill_tensor (EvoResident *r, EvoMergeContext *c, const EvoNode *node, guint t, gint32 first_layer, const EvoDtypes *as, GError **error)
{
  const EvoLayoutTensor *l = &evo_models_get_layout (r->models, node)->tensors[t];
  EvoDtype dtype = evo_layout_dtype (l, as);
  gsize n = (gsize) l->shape.n * evo_dtype_size (dtype);
  EvoRole role = l->role;
  int at = -1;
  gconstpointer bytes = stored_bytes (r, node, l, dtype, &at);

  if (bytes == NULL && n > r->n_buffer) {
    g_free (r->buffer);
    r->buffer = g_malloc (n);
    r->n_buffer = n;
  }
  /* stored weights are only looked at: whether they are numbers */
  if (!evo_materialize (c, node, t, dtype, bytes == NULL ? keep : pass_over, r, error))
    return FALSE;
  if (role.layer >= 0)
    role.layer += first_layer;
  if (!evo_text_model_set_tensor (r->text, &role, l->shape.name, dtype, l->shape.n_dims, l->shape.dims, bytes != NULL ? bytes : r->buffer,
                                  error))
    return FALSE;
  return at < 0 || bytes == NULL || evo_store_check (evo_models_get_store (r->models, node), (guint) at, error);
}

/* What is no layer is the first input's. */
static gboolean
hold_layers (EvoResident *r, EvoMergeContext *c, const EvoNode *node, GError **error)
{
  gint32 first = 0;

  for (guint e = 0; e < node->n_in; e++) {
    const EvoNode *from = node->in[e].from;
    const EvoLayout *l = evo_models_get_layout (r->models, from);

    for (guint t = 0; t < l->n; t++)
      if ((l->tensors[t].role.layer >= 0 || e == 0) && !fill_tensor (r, c, from, t, first, &node->dtype, error))
        return FALSE;
    first += l->n_layers;
  }
  return evo_text_model_is_complete (r->text, error);
}

static gboolean
inputs_have_genes (const EvoNode *node)
{
  for (guint e = 0; e < node->n_in; e++)
    if (node->in[e].from->kind == EVO_KIND_MERGE && node->in[e].from->has_genes)
      return TRUE;
  return FALSE;
}

/* The weights lie where they are; a candidate is nothing but another order of visits. */
static gboolean
fill_path (EvoResident *r, EvoMergeContext *c, const EvoNode *node, GError **error)
{
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop)), visits = g_array_new (FALSE, FALSE, sizeof (EvoHop));
  g_autofree gint32 *n_layers = evo_path_dup_n_layers (node, evo_models_get_n_layers (r->models));

  if (!evo_path_genes_decode (node, n_layers, c->x, hops, error))
    return FALSE;
  if ((!r->holds_layers || inputs_have_genes (node)) && !hold_layers (r, c, node, error))
    return FALSE;
  r->holds_layers = TRUE;
  for (guint i = 0; i < hops->len; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);
    EvoHop visit = { (guint32) h->layer, h->scale };

    for (guint e = 0; e < h->input; e++)
      visit.layer += (guint32) n_layers[e];
    g_array_append_val (visits, visit);
  }
  return evo_text_model_set_path (r->text, (const EvoHop *) visits->data, visits->len, evo_path_get_scaling (node), error);
}

gboolean
evo_resident_fill (EvoResident *r, EvoMergeContext *c, const EvoNode *node, const EvoDtypes *as, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (r->models, node);

  if (node->path_genes != NULL)
    return fill_path (r, c, node, error);
  for (guint t = 0; t < l->n; t++)
    if (!fill_tensor (r, c, node, t, 0, as, error))
      return FALSE;
  if (!evo_text_model_is_complete (r->text, error))
    return FALSE;
  return r->visits->len == 0 || evo_text_model_set_path (r->text, (const EvoHop *) (gconstpointer) r->visits->data, r->visits->len, r->scaling, error);
}

EvoTextModel *
evo_resident_get_text (EvoResident *r)
{
  return r->text;
}
