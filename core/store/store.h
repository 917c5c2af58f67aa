/* SPDX-License-Identifier: Apache-2.0
 * store.h - a checkpoint on disk: its tensors (mapped safetensors, single or sharded), its config.json and other files.
 *
 * Opening reads headers only. A mapped file that shrinks or cannot be read later does not kill the process: a SIGBUS handler
 * maps zero pages over the rest and sets the mapping's `lost` flag, which evo_store_check looks at.
 */
#ifndef EVO_STORE_STORE_H
#define EVO_STORE_STORE_H

#include "core/base/json.h"
#include "core/tensor/shape.h"

typedef struct EvoStore EvoStore;

/* `path`: a Hugging Face directory (model.safetensors, or model.safetensors.index.json and its shards, else all *.safetensors in
 * it), or one .safetensors file. Errors: EVO_STORE_ERROR OPEN, FORMAT, TRUNCATED, DTYPE, MISSING. Tensors are in name order. */
EvoStore *evo_store_open (const char *path, GError **error);
EvoStore *evo_store_ref (EvoStore *store);
void evo_store_unref (EvoStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoStore, evo_store_unref)

const char *evo_store_get_path (const EvoStore *store);        /* as given */
guint evo_store_get_n_tensors (const EvoStore *store);
const EvoShape *evo_store_get_tensor (const EvoStore *store, guint i);
int evo_store_find (const EvoStore *store, const char *name);  /* index, -1: none */
gconstpointer evo_store_peek (const EvoStore *store, guint i); /* mapped bytes, row-major little endian; alive with the store */
gboolean evo_store_check (const EvoStore *store, guint i, GError **error); /* FALSE, CHANGED: the file of tensor i was lost */
/* Elements [first, first + n) of float tensor i as fp32; evo_store_check, asked later, says whether the file had them. */
void evo_store_widen (const EvoStore *store, const EvoKernels *k, guint i, gint64 first, gsize n, float *out);
/* The same, then evo_store_check. */
gboolean evo_store_read (const EvoStore *store, const EvoKernels *k, guint i, gint64 first, gsize n, float *out, GError **error);
void evo_store_release (const EvoStore *store, guint i);       /* the pages of tensor i may leave memory (MADV_DONTNEED on the mapping) */
const EvoJson *evo_store_get_config (const EvoStore *store);   /* config.json's root; NULL: there is none */
char *evo_store_find_file (const EvoStore *store, const char *name); /* path of a file beside the tensors, NULL: none (owned) */
char *evo_store_digest (const EvoStore *store);                /* of size, mtime and header of each tensor file: hex (owned) */
guint64 evo_store_get_bytes (const EvoStore *store);           /* of all tensors */

#endif
