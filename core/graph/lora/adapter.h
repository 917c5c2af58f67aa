/* SPDX-License-Identifier: Apache-2.0
 * adapter.h - the inside of an adapter: its configuration, the names of its tensors, and which of them change which tensor of the base.
 */
#ifndef EVO_GRAPH_ADAPTER_H
#define EVO_GRAPH_ADAPTER_H

#include "core/graph/lora/lora.h"

typedef enum {
  EVO_LORA_A, EVO_LORA_B,                     /* linear and convolution */
  EVO_LORA_EMBED_A, EVO_LORA_EMBED_B,         /* PEFT keeps an embedding's change as (B A)^T */
  EVO_LORA_BIAS, EVO_LORA_MAGNITUDE, EVO_LORA_ALPHA,
  EVO_LORA_SAVED                              /* a whole tensor in place of the base's */
} EvoLoraRole;
enum { EVO_LORA_N_ROLES = EVO_LORA_SAVED + 1 };

/* --- names.c: what a tensor is by its name; module and tensor (of the base) are owned. FALSE: a name that says LoRA but is not understood. */
typedef struct { EvoLoraRole role; char *module, *tensor; } EvoLoraName;
gboolean evo_lora_parse_name (const char *name, EvoLoraName *out);
void evo_lora_name_clear (EvoLoraName *n);

/* --- config.c: adapter_config.json */
typedef struct { char *key; GRegex *regex; double value; } EvoLoraPattern; /* as PEFT: of the whole module's name, or of its end */
typedef struct {
  char *path;
  gint64 r;
  double alpha;
  gboolean rslora, dora, fan_in_fan_out;
  GArray *ranks, *alphas;                     /* of EvoLoraPattern */
} EvoLoraConfig;
EvoLoraConfig *evo_lora_config_read (const char *path, GError **error);
void evo_lora_config_free (EvoLoraConfig *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoLoraConfig, evo_lora_config_free)
gint64 evo_lora_config_rank (const EvoLoraConfig *c, const char *module);
double evo_lora_config_scaling (const EvoLoraConfig *c, const char *module, double alpha /* NaN: the configuration's */, gint64 rank);

/* --- adapter.c */
typedef struct {
  gint at[EVO_LORA_N_ROLES];                  /* tensors of the adapter, -1: none */
  char *module;                               /* NULL: nothing changes the tensor */
  gboolean transposed;                        /* the change is (B A)^T */
  gint64 rank, n_rows, n_cols;                /* the tensor as a matrix; rank 0: no product */
  double scaling;
} EvoLoraPart;
gboolean evo_lora_is_embedding (const EvoLoraPart *p);
gint64 evo_lora_n_lengths (const EvoLoraPart *p); /* how many lengths DoRA gives: rows, or an embedding's columns */

struct EvoLora {
  EvoLoraConfig *config;
  EvoStore *store;
  EvoLoraPart *parts; guint n;                /* [tensors of the base] */
};

#endif
