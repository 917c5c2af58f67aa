/* SPDX-License-Identifier: Apache-2.0
 * decoder.c - llama, as published: h = h + attention (norm (h)), h = h + mlp (norm (h)), hop by hop (Touvron et al. 2023).
 *
 * A hop refers to one of the layers that are held and has a place of its own in the cache; a plain model's hops are its layers in order.
 * Pre-norm with RMSNorm, rotary positions, grouped-query attention (Ainslie et al. 2023) over a cache, a gated SiLU network (Shazeer 2020).
 * In the last hop only the rows whose outputs are wanted go on after keys and values are made.
 */
#include "core/nn/decoder/decoder.h"

#include <string.h>

#include "core/nn/decoder/rope.h"

/* The rows a step works on. */
typedef struct { const EvoDecoder *d; EvoPass *p; const EvoCache *cache; const EvoBatch *b; EvoView x, n; const EvoToken *tokens; gsize rows; } Step;

/* ------------------------------------------------------------------ weights and activations */

static gsize
query_width (const EvoDecoderSpec *s)
{
  return evo_padded ((gsize) (s->n_heads * s->head_dim));
}

static gsize
key_width (const EvoDecoderSpec *s)
{
  return evo_padded ((gsize) (s->n_kv_heads * s->head_dim));
}

static void
init_layer (EvoDecoderLayer *l, const EvoDecoderSpec *s, EvoQueue *q)
{
  const EvoOps *o = q->ops;
  gsize hidden = (gsize) s->hidden, queries = (gsize) (s->n_heads * s->head_dim), keys = (gsize) (s->n_kv_heads * s->head_dim);
  gsize inner = (gsize) s->intermediate;

  l->qkv = o->matrix_new (q, (const gsize[]){ queries, keys, keys }, 3, hidden);
  l->o = o->matrix_new (q, (const gsize[]){ hidden }, 1, queries);
  l->gate_up = o->matrix_new (q, (const gsize[]){ inner, inner }, 2, hidden);
  l->down = o->matrix_new (q, (const gsize[]){ hidden }, 1, inner);
  l->norm_1 = o->buffer_new (q, hidden);
  l->norm_2 = o->buffer_new (q, hidden);
  if (s->attention_bias) {
    l->qkv_bias = o->buffer_new (q, query_width (s) + 2 * key_width (s));
    l->o_bias = o->buffer_new (q, evo_padded (hidden));
  }
  if (s->mlp_bias) {
    l->gate_up_bias = o->buffer_new (q, 2 * evo_padded (inner));
    l->down_bias = o->buffer_new (q, evo_padded (hidden));
  }
}

void
evo_decoder_set_hops (EvoDecoder *d, const EvoDecoderHop *hops, gsize n)
{
  EvoDecoderHop *copy = g_memdup2 (hops, n * sizeof *hops);

  g_free (d->hops);
  d->hops = copy;
  d->spec.n_layers = (gint64) n;
}

void
evo_decoder_init (EvoDecoder *d, const EvoDecoderSpec *s, gsize n_held, EvoQueue *q)
{
  g_autofree EvoDecoderHop *hops = g_new (EvoDecoderHop, n_held);

  *d = (EvoDecoder){ .spec = *s, .n_held = n_held };
  d->layers = g_new0 (EvoDecoderLayer, n_held);
  for (gsize i = 0; i < n_held; i++) {
    init_layer (&d->layers[i], s, q);
    hops[i] = (EvoDecoderHop){ i, 1, 1, 1 };
  }
  evo_decoder_set_hops (d, hops, n_held);
  d->embed = q->ops->table_new (q, (gsize) s->vocab, (gsize) s->hidden);
  d->head = q->ops->matrix_new (q, (const gsize[]){ (gsize) s->vocab }, 1, (gsize) s->hidden);
  d->final_norm = q->ops->buffer_new (q, (gsize) s->hidden);
}

void
evo_decoder_clear (EvoDecoder *d, EvoQueue *q)
{
  const EvoOps *o = q->ops;

  for (gsize i = 0; i < d->n_held; i++) {
    EvoDecoderLayer *l = &d->layers[i];
    EvoMatrix *matrices[] = { l->qkv, l->o, l->gate_up, l->down };
    EvoBuffer *buffers[] = { l->norm_1, l->norm_2, l->qkv_bias, l->o_bias, l->gate_up_bias, l->down_bias };

    for (guint j = 0; j < G_N_ELEMENTS (matrices); j++)
      o->matrix_free (matrices[j]);
    for (guint j = 0; j < G_N_ELEMENTS (buffers); j++)
      o->buffer_free (buffers[j]);
  }
  g_clear_pointer (&d->layers, g_free);
  g_clear_pointer (&d->hops, g_free);
  o->table_free (d->embed);
  o->matrix_free (d->head);
  o->buffer_free (d->final_norm);
  o->buffer_free (d->cos);
  o->buffer_free (d->sin);
}

void
evo_decoder_reserve_positions (EvoDecoder *d, EvoQueue *q, gsize n)
{
  gsize half = (gsize) d->spec.head_dim / 2;
  g_autofree float *c = NULL, *s = NULL;

  if (n <= d->n_positions)
    return;
  c = g_new (float, n * half);
  s = g_new (float, n * half);
  evo_rope_fill (&d->spec, 0, n, c, s);
  q->ops->buffer_free (d->cos);
  q->ops->buffer_free (d->sin);
  d->cos = q->ops->buffer_new (q, n * half);
  d->sin = q->ops->buffer_new (q, n * half);
  q->ops->write (q, d->cos, 0, c, n * half);
  q->ops->write (q, d->sin, 0, s, n * half);
  d->n_positions = n;
}

/* Columns of each activation, in the order of `views`. */
static void
widths (const EvoDecoderSpec *s, gsize width[8])
{
  gsize hidden = evo_padded ((gsize) s->hidden), inner = evo_padded ((gsize) s->intermediate);

  for (guint i = 0; i < 4; i++)
    width[i] = hidden;
  width[4] = query_width (s) + 2 * key_width (s);
  width[5] = MAX (query_width (s), inner);
  width[6] = 2 * inner;
  width[7] = evo_padded ((gsize) s->vocab);
}

void
evo_pass_clear (EvoPass *p)
{
  EvoView views[] = { p->x, p->n, p->picked_x, p->picked_n, p->qkv, p->a, p->gate_up, p->logits };
  EvoQueue *q = p->q;

  for (guint i = 0; i < G_N_ELEMENTS (views); i++)
    q->ops->buffer_free (views[i].of);
  *p = (EvoPass){ .q = q };
}

void
evo_pass_reserve (EvoPass *p, const EvoDecoderSpec *s, gsize max_rows, gsize max_logits)
{
  EvoView *views[] = { &p->x, &p->n, &p->picked_x, &p->picked_n, &p->qkv, &p->a, &p->gate_up, &p->logits };
  gsize width[8];

  if (max_rows <= p->max_rows && max_logits <= p->max_logits)
    return;
  evo_pass_clear (p);
  widths (s, width);
  for (guint i = 0; i < G_N_ELEMENTS (views); i++)
    *views[i] = (EvoView){ p->q->ops->buffer_new (p->q, width[i] * (i < 7 ? max_rows : max_logits)), 0, width[i] };
  p->max_rows = max_rows;
  p->max_logits = max_logits;
}

guint64
evo_pass_bytes (const EvoDecoderSpec *s, gsize max_rows, gsize max_logits)
{
  gsize width[8];
  guint64 bytes = 0;

  widths (s, width);
  for (guint i = 0; i < G_N_ELEMENTS (width); i++)
    bytes += width[i] * (i < 7 ? max_rows : max_logits) * sizeof (float);
  return bytes;
}

/* ------------------------------------------------------------------ a hop */

static EvoView
columns (EvoView v, gsize first)
{
  return (EvoView){ v.of, v.first + first, v.stride };
}

/* Keys and values of all rows go to the cache. */
static void
keep_keys_values (const Step *t, gsize hop)
{
  const EvoDecoderSpec *s = &t->d->spec;
  const EvoOps *o = t->p->q->ops;
  EvoView k = columns (t->p->qkv, query_width (s)), v = columns (k, key_width (s));

  o->rope (t->p->q, k, t->d->cos, t->d->sin, t->tokens, t->rows, (gsize) s->n_kv_heads, (gsize) s->head_dim);
  o->keep (t->p->q, t->cache, hop, k, v, t->tokens, t->rows);
  for (gsize i = 0; i < t->b->n_shares; i++)
    o->share (t->p->q, t->cache, hop, t->b->shares[i].from, t->b->shares[i].to, t->b->shares[i].first, t->b->shares[i].n);
}

/* From here on only the wanted rows are looked at. */
static void
pick_wanted (Step *t)
{
  const EvoOps *o = t->p->q->ops;
  gsize hidden = (gsize) t->d->spec.hidden;

  o->take (t->p->q, t->p->picked_x, t->x, t->b->wanted, t->b->n_wanted, hidden);
  o->take (t->p->q, t->p->picked_n, t->n, t->b->wanted, t->b->n_wanted, hidden);
  t->x = t->p->picked_x;
  t->n = t->p->picked_n;
  t->tokens = t->b->wanted_tokens;
  t->rows = t->b->n_wanted;
}

static void
project (Step *t, gsize hop)
{
  const EvoDecoderLayer *w = &t->d->layers[t->d->hops[hop].layer];
  const EvoOps *o = t->p->q->ops;
  EvoQueue *q = t->p->q;
  gboolean is_last = (gint64) hop + 1 == t->d->spec.n_layers;

  if (!is_last || t->b->n_wanted == t->rows) {
    o->linear (q, t->p->qkv, t->n, t->rows, w->qkv, 0, 3, w->qkv_bias);
    keep_keys_values (t, hop);
    return;
  }
  o->linear (q, columns (t->p->qkv, query_width (&t->d->spec)), t->n, t->rows, w->qkv, 1, 2, w->qkv_bias);
  keep_keys_values (t, hop);
  pick_wanted (t);
  o->linear (q, t->p->qkv, t->n, t->rows, w->qkv, 0, 1, w->qkv_bias);
}

static void
attention (Step *t, gsize hop)
{
  const EvoDecoderSpec *s = &t->d->spec;
  const EvoDecoderHop *h = &t->d->hops[hop];
  const EvoDecoderLayer *w = &t->d->layers[h->layer];
  const EvoOps *o = t->p->q->ops;
  EvoQueue *q = t->p->q;

  o->rms_norm (q, t->n, t->x, h->enter, w->norm_1, s->norm_eps, t->rows, (gsize) s->hidden);
  project (t, hop);
  o->rope (q, t->p->qkv, t->d->cos, t->d->sin, t->tokens, t->rows, (gsize) s->n_heads, (gsize) s->head_dim);
  o->attend (q, t->p->a, t->p->qkv, t->cache, hop, t->tokens, t->rows, (gsize) s->n_heads, (gsize) s->sliding_window,
             1 / sqrt ((double) s->head_dim));
  o->linear (q, t->n, t->p->a, t->rows, w->o, 0, 1, w->o_bias);
  o->add (q, t->x, t->n, h->attention, t->rows, (gsize) s->hidden);
}

static void
mlp (Step *t, gsize hop)
{
  const EvoDecoderSpec *s = &t->d->spec;
  const EvoDecoderHop *h = &t->d->hops[hop];
  const EvoDecoderLayer *w = &t->d->layers[h->layer];
  const EvoOps *o = t->p->q->ops;
  EvoQueue *q = t->p->q;

  o->rms_norm (q, t->n, t->x, 1, w->norm_2, s->norm_eps, t->rows, (gsize) s->hidden);
  o->linear (q, t->p->gate_up, t->n, t->rows, w->gate_up, 0, 2, w->gate_up_bias);
  o->silu_mul (q, t->p->a, t->p->gate_up, columns (t->p->gate_up, evo_padded ((gsize) s->intermediate)), t->rows, (gsize) s->intermediate);
  o->linear (q, t->n, t->p->a, t->rows, w->down, 0, 1, w->down_bias);
  o->add (q, t->x, t->n, h->mlp, t->rows, (gsize) s->hidden);
}

static void
show_hidden (const Step *t, gsize i)
{
  gsize n = (gsize) t->d->spec.hidden;
  const float *x;

  if (t->p->hidden == NULL)
    return;
  x = t->p->q->ops->map (t->p->q, t->x, t->rows);
  for (gsize r = 0; r < t->rows; r++)
    for (gsize j = 0; j < n; j++)
      t->p->hidden[(i * t->p->hidden_rows + r) * n + j] = x[r * t->x.stride + j];
}

/* Returns the hop that is run first. */
static gsize
enter (const Step *t)
{
  const EvoBetween *between = t->p->between;
  const EvoOps *o = t->p->q->ops;
  gsize n = (gsize) t->d->spec.hidden;

  if (between == NULL || between->start == NULL) {
    o->look_up (t->p->q, t->x, t->d->embed, t->tokens, t->rows);
    show_hidden (t, 0);
    return 0;
  }
  for (gsize r = 0; r < t->rows; r++)
    o->write (t->p->q, t->x.of, t->x.first + r * t->x.stride, between->start + t->p->from[r] * n, n);
  return between->first_hop;
}

static void
keep_between (const Step *t, gsize hop)
{
  const EvoBetween *between = t->p->between;
  gsize n = (gsize) t->d->spec.hidden, i = 0;
  const float *x;

  while (between != NULL && i < between->n_kept && between->kept[i].hop != hop)
    i++;
  if (between == NULL || i == between->n_kept)
    return;
  x = t->p->q->ops->map (t->p->q, t->x, t->rows);
  for (gsize r = 0; r < t->rows; r++)
    if (t->p->to[r] != G_MAXUINT32)
      memcpy (between->kept[i].x + t->p->to[r] * n, x + r * t->x.stride, n * sizeof *x);
}

void
evo_decoder_run (const EvoDecoder *d, EvoPass *p, const EvoCache *cache, const EvoBatch *b)
{
  Step t = { d, p, cache, b, p->x, p->n, b->tokens, b->n };

  for (gsize hop = enter (&t); hop < (gsize) d->spec.n_layers; hop++) {
    attention (&t, hop);
    if (t.rows == 0)
      break;
    mlp (&t, hop);
    show_hidden (&t, hop + 1);
    keep_between (&t, hop);
  }
  p->n_out = t.rows;
  p->out = t.n;
  p->q->ops->rms_norm (p->q, t.n, t.x, 1, d->final_norm, d->spec.norm_eps, t.rows, (gsize) d->spec.hidden);
}

EvoView
evo_decoder_logits (const EvoDecoder *d, EvoPass *p, gsize first, gsize n)
{
  EvoView x = columns (p->out, first * p->out.stride);

  p->q->ops->linear (p->q, p->logits, x, n, d->head, 0, 1, NULL);
  return p->logits;
}
