/* SPDX-License-Identifier: Apache-2.0
 * decoder.h - the forward pass of a decoder-only transformer (llama, mistral), and its weights.
 */
#ifndef EVO_NN_DECODER_H
#define EVO_NN_DECODER_H

#include "core/abi/evopipe-model.h"
#include "core/nn/decoder/batch.h"

typedef struct {
  EvoMatrix *qkv, *o, *gate_up, *down;  /* parts of qkv: query, key, value; of gate_up: gate, up */
  EvoBuffer *norm_1, *norm_2;           /* [hidden] */
  EvoBuffer *qkv_bias, *o_bias, *gate_up_bias, *down_bias; /* NULL: none */
} EvoDecoderLayer;

/* One step of the path a token takes: x = enter x, x = x + attention * attention (norm (x)), x = x + mlp * mlp (norm (x)). */
typedef struct { gsize layer; double enter, attention, mlp; } EvoDecoderHop;

typedef struct {
  EvoDecoderSpec spec;                  /* n_layers: hops */
  EvoDecoderHop *hops;                  /* [spec.n_layers]; a plain model's are its layers in order, all factors 1 */
  EvoDecoderLayer *layers; gsize n_held; /* [n_held] each once, however often it is visited */
  EvoTable *embed;                      /* [vocab][hidden] */
  EvoMatrix *head;                      /* [vocab][hidden]; tied: the embedding again */
  EvoBuffer *final_norm;
  EvoBuffer *cos, *sin; gsize n_positions; /* [n_positions][head_dim / 2] */
} EvoDecoder;

/* Hidden states between hops, [rows][hidden], in memory of the host: where a run starts instead of the embedding, and which it leaves. */
typedef struct { gsize hop; float *x; } EvoKept;
typedef struct {
  gsize first_hop; const float *start;  /* what enters first_hop; NULL: the embedding, first_hop 0 */
  EvoKept *kept; gsize n_kept;          /* states after these hops, ascending, not the last */
} EvoBetween;

/* Activations of one queue. Strides are padded to EVO_BLOCK columns. */
typedef struct {
  EvoQueue *q;
  gsize max_rows, max_logits;
  EvoView x, n;                         /* [max_rows][hidden]: the residual stream; normed, and a block's output */
  EvoView picked_x, picked_n;           /* the same, wanted rows only */
  EvoView qkv, a, gate_up;              /* [max_rows]: queries, keys, values; heads or activation; gate and up */
  EvoView logits;                       /* [max_logits][vocab] */
  gsize n_out;                          /* rows of out after a run: the batch's wanted ones, normed */
  EvoView out;
  float *hidden; gsize hidden_rows;     /* NULL, or [n_layers + 1][hidden_rows][hidden]: filled from row 0 on where all rows are wanted */
  const EvoBetween *between;            /* NULL: none */
  guint32 *from, *to;                   /* with between: [rows of the batch] a row's place in start, and in each kept (G_MAXUINT32: none) */
} EvoPass;

/* Room for n_held layers; the path is those in order until another is set. */
void evo_decoder_init (EvoDecoder *d, const EvoDecoderSpec *spec, gsize n_held, EvoQueue *q);
void evo_decoder_set_hops (EvoDecoder *d, const EvoDecoderHop *hops, gsize n); /* copied; layers below n_held */
void evo_decoder_clear (EvoDecoder *d, EvoQueue *q);
void evo_decoder_reserve_positions (EvoDecoder *d, EvoQueue *q, gsize n);

void evo_pass_reserve (EvoPass *p, const EvoDecoderSpec *spec, gsize max_rows, gsize max_logits);
void evo_pass_clear (EvoPass *p);
guint64 evo_pass_bytes (const EvoDecoderSpec *spec, gsize max_rows, gsize max_logits);

/* Runs the batch; keys and values of all its rows are in the cache afterwards, the wanted rows' last hidden states in p->out. */
void evo_decoder_run (const EvoDecoder *d, EvoPass *p, const EvoCache *cache, const EvoBatch *b);
/* Logits of rows first .. first + n - 1 of p->out, n <= max_logits. */
EvoView evo_decoder_logits (const EvoDecoder *d, EvoPass *p, gsize first, gsize n);

#endif
