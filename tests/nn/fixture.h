/* SPDX-License-Identifier: Apache-2.0
 * fixture.h - a model directory of tests/data as a text model, through the store, its card and the llm plugin; and what it should compute.
 */
#ifndef TESTS_NN_FIXTURE_H
#define TESTS_NN_FIXTURE_H

#include "core/base/json.h"
#include "core/kernels/kernels.h"
#include "core/nn/checkpoint.h"
#include "core/nn/text-model.h"

typedef struct { EvoStore *store; EvoCheckpoint *checkpoint; EvoDecoderSpec spec; EvoTextModel *model; } Fixture;

const EvoModelOp *fixture_llm (void);                         /* the plugin, compiled into the test */
char *fixture_path (const char *name);                        /* below the source tree (owned) */
/* config: the file read as config.json ("config.json", "config.v5.json"). Tokenizer: where the directory has one and `with_tokenizer`. */
void fixture_open (Fixture *f, const char *directory, const char *config, gboolean with_tokenizer, const EvoKernels *k, EvoPool *pool);
void fixture_clear (Fixture *f);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)
void fixture_fill (EvoTextModel *m, EvoStore *store, EvoCheckpoint *checkpoint);
void fixture_add_layers (EvoTextModel *m, const Fixture *from, gint32 first); /* its layer 0 as layer `first`, and so on; nothing else */

/* A directory with `config` as config.json and another directory's model.safetensors; removed with fixture_remove (frees path). */
char *fixture_directory (const char *config, const char *model);
void fixture_remove (char *path);

const float *fixture_tensor (EvoStore *expected, const char *name, gsize *n); /* F32 tensor of expected.safetensors */
GArray *fixture_ids (const EvoJson *list);                    /* gint32 (owned) */
/* Kernel tables of this CPU: "ref" and those faster; NULL past the end. */
const EvoKernels *fixture_kernels (guint i);

#endif
