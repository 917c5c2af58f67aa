/* SPDX-License-Identifier: Apache-2.0
 * text-model.c - a decoder's weights by role, the memory it works in, and its plain use: logits of one text.
 */
#include "core/nn/text-model.h"

#include <string.h>

#include "core/base/error.h"
#include "core/nn/text-model/private.h"

/* ------------------------------------------------------------------ weights by slot */

typedef enum { WIDTH_ONE, WIDTH_HIDDEN, WIDTH_QUERIES, WIDTH_KEYS, WIDTH_INNER, WIDTH_VOCAB } Width;

typedef struct {
  const char *name;
  gboolean in_layer;
  guint8 rows, cols;       /* Width; rows ONE: a vector of cols */
  guint8 part;             /* of its matrix */
  gsize offset;            /* of the EvoMatrix * or EvoBuffer * in the layer or the decoder */
} Slot;

#define IN_LAYER(m) offsetof (EvoDecoderLayer, m)

static const Slot slots[] = {
  { "q", TRUE, WIDTH_QUERIES, WIDTH_HIDDEN, 0, IN_LAYER (qkv) },
  { "k", TRUE, WIDTH_KEYS, WIDTH_HIDDEN, 1, IN_LAYER (qkv) },
  { "v", TRUE, WIDTH_KEYS, WIDTH_HIDDEN, 2, IN_LAYER (qkv) },
  { "o", TRUE, WIDTH_HIDDEN, WIDTH_QUERIES, 0, IN_LAYER (o) },
  { "gate", TRUE, WIDTH_INNER, WIDTH_HIDDEN, 0, IN_LAYER (gate_up) },
  { "up", TRUE, WIDTH_INNER, WIDTH_HIDDEN, 1, IN_LAYER (gate_up) },
  { "down", TRUE, WIDTH_HIDDEN, WIDTH_INNER, 0, IN_LAYER (down) },
  { "norm_1", TRUE, WIDTH_ONE, WIDTH_HIDDEN, 0, IN_LAYER (norm_1) },
  { "norm_2", TRUE, WIDTH_ONE, WIDTH_HIDDEN, 0, IN_LAYER (norm_2) },
  { "q_bias", TRUE, WIDTH_ONE, WIDTH_QUERIES, 0, IN_LAYER (qkv_bias) },
  { "k_bias", TRUE, WIDTH_ONE, WIDTH_KEYS, 1, IN_LAYER (qkv_bias) },
  { "v_bias", TRUE, WIDTH_ONE, WIDTH_KEYS, 2, IN_LAYER (qkv_bias) },
  { "o_bias", TRUE, WIDTH_ONE, WIDTH_HIDDEN, 0, IN_LAYER (o_bias) },
  { "gate_bias", TRUE, WIDTH_ONE, WIDTH_INNER, 0, IN_LAYER (gate_up_bias) },
  { "up_bias", TRUE, WIDTH_ONE, WIDTH_INNER, 1, IN_LAYER (gate_up_bias) },
  { "down_bias", TRUE, WIDTH_ONE, WIDTH_HIDDEN, 0, IN_LAYER (down_bias) },
  { "embed", FALSE, WIDTH_VOCAB, WIDTH_HIDDEN, 0, offsetof (EvoDecoder, embed) },
  { "head", FALSE, WIDTH_VOCAB, WIDTH_HIDDEN, 0, offsetof (EvoDecoder, head) },
  { "final_norm", FALSE, WIDTH_ONE, WIDTH_HIDDEN, 0, offsetof (EvoDecoder, final_norm) },
};

static gint64
width_of (const EvoDecoderSpec *s, guint8 w)
{
  const gint64 widths[] = { 1, s->hidden, s->n_heads * s->head_dim, s->n_kv_heads * s->head_dim, s->intermediate, s->vocab };

  return widths[w];
}

static const Slot *
find_slot (const char *name)
{
  for (gsize i = 0; i < G_N_ELEMENTS (slots); i++)
    if (g_str_equal (slots[i].name, name))
      return &slots[i];
  return NULL;
}

static gboolean
is_used (const EvoDecoderSpec *s, const Slot *slot)
{
  gboolean is_bias = g_str_has_suffix (slot->name, "_bias"), is_mlp = slot->offset >= IN_LAYER (gate_up_bias);

  if (slot->in_layer)
    return !is_bias || (is_mlp ? s->mlp_bias : s->attention_bias);
  return !g_str_equal (slot->name, "head") || !s->tied;
}

static gboolean
check_shape (const EvoDecoderSpec *s, const Slot *slot, const char *name, EvoDtype dtype, guint n_dims, const gint64 *dims, GError **error)
{
  gint64 rows = width_of (s, slot->rows), cols = width_of (s, slot->cols);
  gboolean is_vector = slot->rows == WIDTH_ONE;

  if (!evo_dtype_is_float (dtype))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": is %s; weights must be floating point", name,
                          evo_dtype_name (dtype));
  if (is_vector && (n_dims != 1 || dims[0] != cols))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": config.json says it has %" G_GINT64_FORMAT
                          " elements; it has %u dimension(s), the first is %" G_GINT64_FORMAT, name, cols, n_dims, n_dims > 0 ? dims[0] : 0);
  if (!is_vector && (n_dims != 2 || dims[0] != rows || dims[1] != cols))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": config.json says it is [%" G_GINT64_FORMAT ", %"
                          G_GINT64_FORMAT "]; it has %u dimension(s), [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT " …]", name, rows, cols, n_dims,
                          n_dims > 0 ? dims[0] : 0, n_dims > 1 ? dims[1] : 0);
  return TRUE;
}

static void
load_vector (EvoTextModel *m, const Slot *slot, EvoBuffer *to, EvoDtype dtype, gconstpointer bytes)
{
  const EvoDecoderSpec *s = &m->decoder.spec;
  gsize n = (gsize) width_of (s, slot->cols), first = 0;
  g_autofree float *x = g_new (float, n);

  /* parts of a bias lie as those of its matrix's output; the slots of one matrix stand in order */
  for (const Slot *before = slot - slot->part; before < slot; before++)
    first += evo_padded ((gsize) width_of (s, before->cols));
  evo_dtype_to_f32 (m->k, x, dtype, bytes, n);
  m->queue->ops->write (m->queue, to, first, x, n);
}

static void
load (EvoTextModel *m, const Slot *slot, gint32 layer, EvoDtype dtype, gconstpointer bytes)
{
  EvoDecoder *d = &m->decoder;
  const EvoOps *o = m->queue->ops;
  gpointer to = slot->in_layer ? G_STRUCT_MEMBER (gpointer, &d->layers[layer], slot->offset) : G_STRUCT_MEMBER (gpointer, d, slot->offset);

  if (g_str_equal (slot->name, "embed")) {
    o->table_load (m->queue, to, dtype, bytes);
    if (d->spec.tied)
      o->matrix_load (m->queue, d->head, 0, dtype, bytes);
  } else if (slot->rows == WIDTH_ONE) {
    load_vector (m, slot, to, dtype, bytes);
  } else {
    o->matrix_load (m->queue, to, slot->part, dtype, bytes);
  }
  if (m->prefix != NULL)
    evo_prefix_cache_empty (m->prefix);
  m->loaded[(gsize) (slot->in_layer ? layer + 1 : 0) * G_N_ELEMENTS (slots) + (gsize) (slot - slots)] = TRUE;
}

gboolean
evo_text_model_set_tensor (EvoTextModel *m, const EvoRole *role, const char *name, EvoDtype dtype, guint n_dims, const gint64 *dims,
                           gconstpointer bytes, GError **error)
{
  const EvoDecoderSpec *s = &m->decoder.spec;
  const Slot *slot = role->slot[0] == '\0' ? NULL : find_slot (role->slot);

  if (role->slot[0] == '\0' || (slot != NULL && g_str_equal (slot->name, "head") && s->tied))
    return TRUE;
  if (slot == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": its card gives it the slot \"%s\", which a decoder does not have",
                          name, role->slot);
  if (!is_used (s, slot))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": config.json says that there are no such biases "
                          "(attention_bias, mlp_bias)", name);
  if (slot->in_layer && (role->layer < 0 || (gsize) role->layer >= m->decoder.n_held))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\": is of layer %d; %s %" G_GSIZE_FORMAT " layers", name,
                          role->layer, m->for_path ? "the models together have" : "config.json says there are", m->decoder.n_held);
  if (!check_shape (s, slot, name, dtype, n_dims, dims, error))
    return FALSE;
  load (m, slot, role->layer, dtype, bytes);
  return TRUE;
}

gboolean
evo_text_model_is_complete (const EvoTextModel *m, GError **error)
{
  for (gsize l = 0; l <= m->decoder.n_held; l++)
    for (gsize i = 0; i < G_N_ELEMENTS (slots); i++) {
      if (slots[i].in_layer != (l > 0) || !is_used (&m->decoder.spec, &slots[i]) || m->loaded[l * G_N_ELEMENTS (slots) + i])
        continue;
      if (l == 0)
        return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "the model has no weight for \"%s\"", slots[i].name);
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "layer %" G_GSIZE_FORMAT " has no weight for \"%s\"", l - 1,
                            slots[i].name);
    }
  return TRUE;
}

/* ------------------------------------------------------------------ life */

EvoTextModel *
evo_text_model_new (const EvoDecoderSpec *spec, EvoTokenizer *tokenizer, const EvoKernels *k, EvoPool *pool)
{
  EvoTextModel *m = evo_text_model_new_for_path (spec, (gsize) spec->n_layers, tokenizer, k, pool);

  m->for_path = FALSE;
  return m;
}

EvoTextModel *
evo_text_model_new_for_path (const EvoDecoderSpec *spec, gsize n_held, EvoTokenizer *tokenizer, const EvoKernels *k, EvoPool *pool)
{
  EvoTextModel *m = g_new0 (EvoTextModel, 1);

  m->tokenizer = tokenizer == NULL ? NULL : evo_tokenizer_ref (tokenizer);
  m->k = k;
  m->pool = pool;
  m->queue = evo_cpu_queue_new (k, pool);
  m->for_path = TRUE;
  evo_decoder_init (&m->decoder, spec, n_held, m->queue);
  m->loaded = g_new0 (guint8, (n_held + 1) * G_N_ELEMENTS (slots));
  m->lanes = g_new0 (EvoLane, evo_pool_get_n_threads (pool));
  return m;
}

static void
lane_clear (EvoLane *lane)
{
  if (lane->queue == NULL)
    return;
  evo_pass_clear (&lane->pass);
  evo_cache_clear (&lane->cache, lane->queue);
  evo_batch_clear (&lane->batch);
  g_free (lane->turns);
  evo_queue_free (lane->queue);
}

void
evo_text_model_free (EvoTextModel *m)
{
  if (m == NULL)
    return;
  lane_clear (&m->wide);
  for (guint i = 0; i < evo_pool_get_n_threads (m->pool); i++)
    lane_clear (&m->lanes[i]);
  g_free (m->lanes);
  evo_prefix_cache_free (m->prefix);
  evo_decoder_clear (&m->decoder, m->queue);
  evo_queue_free (m->queue);
  g_clear_pointer (&m->tokenizer, evo_tokenizer_unref);
  g_free (m->loaded);
  g_free (m);
}

const EvoDecoderSpec *
evo_text_model_get_spec (const EvoTextModel *m)
{
  return &m->decoder.spec;
}

EvoTokenizer *
evo_text_model_get_tokenizer (const EvoTextModel *m)
{
  return m->tokenizer;
}

gboolean
evo_text_model_check_ids (const EvoTextModel *m, gsize request, const gint32 *ids, gsize n, GError **error)
{
  for (gsize i = 0; i < n; i++)
    if (ids[i] < 0 || ids[i] >= m->decoder.spec.vocab)
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "token %d of request %" G_GSIZE_FORMAT " is not among the model's %"
                            G_GINT64_FORMAT " tokens; the tokenizer may belong to another model", ids[i], request, m->decoder.spec.vocab);
  return TRUE;
}

/* ------------------------------------------------------------------ logits of one text */

gboolean
evo_text_model_logits (EvoTextModel *m, const gint32 *ids, gsize n, float *logits, float *hidden, GError **error)
{
  const EvoDecoderSpec *s = &m->decoder.spec;
  EvoLanePlan plan = { .n_requests = 1, .rows_each = 1, .positions = n };
  EvoLane *lane;

  if (!evo_text_model_is_complete (m, error) || !evo_text_model_check_ids (m, 0, ids, n, error))
    return FALSE;
  if ((gint64) n > s->max_positions)
    return evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%" G_GSIZE_FORMAT " tokens are more than the model's %" G_GINT64_FORMAT
                          " positions", n, s->max_positions);
  lane = evo_text_model_take_lanes (m, &plan).lanes;
  for (gsize done = 0; done < n;) {
    evo_batch_empty (&lane->batch);
    for (gsize i = done; i < MIN (n, done + lane->batch.max); i++)
      evo_batch_add (&lane->batch, ids[i], 0, i, lane);
    lane->pass.hidden = hidden == NULL ? NULL : hidden + done * (gsize) s->hidden;
    lane->pass.hidden_rows = n;
    evo_decoder_run (&m->decoder, &lane->pass, &lane->cache, &lane->batch);
    for (gsize i = 0, rows; i < lane->pass.n_out; i += rows) {
      rows = MIN (lane->pass.max_logits, lane->pass.n_out - i);
      EvoView v = evo_decoder_logits (&m->decoder, &lane->pass, i, rows);
      const float *x = lane->queue->ops->map (lane->queue, v, rows);

      for (gsize r = 0; r < rows; r++)
        memcpy (logits + (done + i + r) * (gsize) s->vocab, x + r * v.stride, (gsize) s->vocab * sizeof *x);
    }
    done += lane->batch.n;
  }
  lane->pass.hidden = NULL;
  return TRUE;
}
