/* SPDX-License-Identifier: Apache-2.0
 * evopipe-model.h - the ABI of model plugins: families of checkpoints.
 *
 * A model plugin claims a checkpoint from its header, names its tensors' roles and says what the model can do. It reads no
 * file and computes nothing: forward passes are the host's, built from the spec that the plugin returns.
 */
#ifndef EVOPIPE_MODEL_H
#define EVOPIPE_MODEL_H

#include "evopipe.h"

typedef enum {
  EVO_ROLE_OTHER, EVO_ROLE_EMBED, EVO_ROLE_HEAD, /* head: the output matrix */
  EVO_ROLE_FINAL_NORM, EVO_ROLE_NORM, EVO_ROLE_ATTENTION, EVO_ROLE_MLP, EVO_ROLE_BUFFER /* known buffer: dropped */
} EvoRoleKind;

/* Where a tensor belongs. slot is the pass's own name for it ("q", "gate", "norm_1"), NULL where no pass uses it. */
typedef struct { guint32 kind; gint32 layer; char slot[24], module[24]; } EvoRole;

typedef enum { EVO_ROPE_NONE, EVO_ROPE_LINEAR, EVO_ROPE_LLAMA3, EVO_ROPE_YARN } EvoRopeScaling;

/* A decoder-only transformer (llama, mistral): everything a forward pass needs but the weights. */
typedef struct {
  gsize size;
  gint64 n_layers, hidden, intermediate, n_heads, n_kv_heads, head_dim, vocab, max_positions;
  gint64 sliding_window;              /* 0: none */
  double norm_eps, rope_theta;
  gboolean tied, attention_bias, mlp_bias;
  guint32 rope_scaling;               /* EvoRopeScaling */
  double rope_factor, rope_low_freq, rope_high_freq, rope_original, rope_beta_fast, rope_beta_slow, rope_attention_factor, rope_mscale, rope_mscale_all_dim;
  gboolean rope_truncate;             /* yarn: correction bounds rounded to whole dimensions */
  gint64 bos, eos[8]; guint n_eos;    /* -1: none */
} EvoDecoderSpec;

/* What a plugin may ask of a checkpoint; valid during the call. */
typedef struct EvoCheckpoint EvoCheckpoint;
struct EvoCheckpoint {
  gsize size;
  gconstpointer self;
  guint (*n_tensors) (const EvoCheckpoint *c);
  const EvoTensor *(*tensor) (const EvoCheckpoint *c, guint i);
  gboolean (*has_file) (const EvoCheckpoint *c, const char *name);
  const char *(*config_string) (const EvoCheckpoint *c, const char *key);               /* config.json; "a/b" reaches into objects */
  gboolean (*config_number) (const EvoCheckpoint *c, const char *key, double *out);     /* booleans are 0/1 */
  guint (*config_list) (const EvoCheckpoint *c, const char *key, double *out, guint max);
  /* Architecture cards (models/cards/ARCH.json): the role the card of `model_type` gives a tensor name. FALSE: no card, or no pattern. */
  gboolean (*has_card) (const EvoCheckpoint *c, const char *model_type);
  gboolean (*card_role) (const EvoCheckpoint *c, const char *model_type, const char *tensor, EvoRole *out);
};

typedef struct {
  EVO_OP_FIELDS;
  gboolean (*claim) (const EvoCheckpoint *c);                      /* is this one of mine? */
  void (*role) (const EvoCheckpoint *c, const char *tensor, EvoRole *out);
  gint32 (*n_layers) (const EvoCheckpoint *c);                     /* 0: not layered */
  gboolean (*decoder) (const EvoCheckpoint *c, EvoDecoderSpec *out, GError **error); /* capability text; NULL: has none */
  const char *const *copied_files;                                 /* NULL-terminated names and globs that a saved model keeps */
} EvoModelOp;

#define EVO_MODEL_PLUGIN(...) \
  static const EvoModelOp evo_op_ = { .size = sizeof (EvoModelOp), __VA_ARGS__ }; EVO_PLUGIN_ (EVO_KIND_MODEL, &evo_op_)

#endif
