/* SPDX-License-Identifier: Apache-2.0
 * extract.h - an adapter made of two models: the change of every linear layer as a product of low rank, the best there is of that rank.
 */
#ifndef EVO_GRAPH_EXTRACT_H
#define EVO_GRAPH_EXTRACT_H

#include "core/graph/merge/merge.h"

typedef struct {
  const char *path;               /* the directory to be */
  const char *base_name;          /* what adapter_config.json calls the base */
  gboolean replace, save_rest;    /* save_rest: what is no product is stored whole, where it differs */
  gint64 rank;                    /* 0: by energy */
  double energy;                  /* share of the squared length that is kept: the smallest rank that keeps it */
  EvoDtype dtype;
  const char *const *modules;     /* NULL-terminated globs of modules' names; none: all */
} EvoExtractOptions;

typedef enum { EVO_EXTRACTED_SAME, EVO_EXTRACTED_PRODUCT, EVO_EXTRACTED_SAVED, EVO_EXTRACTED_LEFT_OUT } EvoExtractedAs;
typedef struct {
  const char *tensor;             /* borrowed from the base's layout */
  EvoExtractedAs as;
  gint64 rank;                    /* PRODUCT */
  double change, error;           /* squared length of model - base, and of what the adapter misses of it, as it is stored */
} EvoExtracted;

/* Two sides: nodes of opened models. Returns one EvoExtracted a floating-point tensor of the base, in its order; NULL: error. Holds the adapter and,
 * a thread, 8 to 40 bytes an element of the largest matrix. */
GArray *evo_lora_extract (EvoStore *model, EvoStore *base, const EvoLayout *layout, const EvoKernels *k, EvoPool *pool, const EvoExtractOptions *o,
                          GError **error);
/* README.md of the adapter: how it was made and what it misses (owned). */
char *evo_lora_extract_card (const GArray *extracted, const EvoExtractOptions *o);

#endif
