/* SPDX-License-Identifier: Apache-2.0
 * resident.c - fills a text model tensor by tensor from a model node.
 */
#include "core/search/resident.h"

#include <string.h>

#include "core/base/error.h"

struct EvoResident {
  EvoModels *models;
  const EvoNode *node;      /* whose layout the text model was made for */
  EvoTextModel *text;
  char *buffer; gsize n_buffer; /* one tensor, as stored */
};

static EvoTokenizer *
open_tokenizer (EvoModels *models, const EvoNode *node, GError **error)
{
  g_autofree char *folder = evo_models_dup_folder (models, node);

  return folder == NULL ? NULL : evo_tokenizer_open (folder, error);
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
  tokenizer = open_tokenizer (models, node, &e);
  if (e != NULL) {
    g_propagate_prefixed_error (error, e, "%s: ", node->name);
    return NULL;
  }
  r->models = models;
  r->node = node;
  r->text = evo_text_model_new (&spec, tokenizer, k, pool);
  return g_steal_pointer (&r);
}

void
evo_resident_free (EvoResident *r)
{
  if (r == NULL)
    return;
  g_clear_pointer (&r->text, evo_text_model_free);
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
fill_tensor (EvoResident *r, EvoMergeContext *c, const EvoNode *node, guint t, EvoDtype as, GError **error)
{
  const EvoLayoutTensor *l = &evo_models_get_layout (r->models, node)->tensors[t];
  EvoDtype dtype = evo_layout_dtype (l, as);
  gsize n = (gsize) l->shape.n * evo_dtype_size (dtype);
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
  if (!evo_text_model_set_tensor (r->text, &l->role, l->shape.name, dtype, l->shape.n_dims, l->shape.dims, bytes != NULL ? bytes : r->buffer,
                                  error))
    return FALSE;
  return at < 0 || bytes == NULL || evo_store_check (evo_models_get_store (r->models, node), (guint) at, error);
}

gboolean
evo_resident_fill (EvoResident *r, EvoMergeContext *c, const EvoNode *node, EvoDtype as, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (r->models, node);

  for (guint t = 0; t < l->n; t++)
    if (!fill_tensor (r, c, node, t, as, error))
      return FALSE;
  return evo_text_model_is_complete (r->text, error);
}

EvoTextModel *
evo_resident_get_text (EvoResident *r)
{
  return r->text;
}
