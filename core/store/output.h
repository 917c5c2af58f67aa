/* SPDX-License-Identifier: Apache-2.0
 * output.h - a model directory that appears whole or not at all: written beside its place, synced, renamed.
 */
#ifndef EVO_STORE_OUTPUT_H
#define EVO_STORE_OUTPUT_H

#include "core/tensor/shape.h"

typedef struct EvoOutput EvoOutput;

/* `path` is the directory to be; missing parents are made. `replace`: an existing one that is empty or a model's is exchanged at commit; any
 * other, and without `replace` every one, is EVO_USAGE_ERROR_EXISTS at once. Left-overs of a killed process beside it are removed. */
EvoOutput *evo_output_new (const char *path, gboolean replace, GError **error);
void evo_output_free (EvoOutput *out); /* not committed: everything written is removed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoOutput, evo_output_free)
/* Bytes of tensor i from byte `offset` on. Thread-safe; every byte must be written before commit. */
gboolean evo_output_write (EvoOutput *out, guint i, guint64 offset, gconstpointer bytes, gsize n, GError **error);
gboolean evo_output_commit (EvoOutput *out, GError **error);  /* fsync files, directory, rename, fsync parent */
double evo_output_get_sync_seconds (const EvoOutput *out);     /* how long fsync and commit have waited for the disk so far */

/* --- output-plan.c */
/* All tensors, in the order they lie in the files; shard_bytes: no shard's data exceeds it unless one tensor does (0: 5e9). One shard is
 * model.safetensors; more are model-00001-of-0000N.safetensors with model.safetensors.index.json. Space is allocated at once. In a shard
 * of several dtypes the wider ones come first, so that all tensors are aligned. */
gboolean evo_output_plan (EvoOutput *out, const EvoShape *tensors, guint n, guint64 shard_bytes, GError **error);
/* Before the plan: what the tensors' file is called in place of "model". For one shard. */
void evo_output_set_stem (EvoOutput *out, const char *stem);

/* --- output-files.c: further files, by plain names; a name given again is written over. */
gboolean evo_output_add_text (EvoOutput *out, const char *name, const char *text, gssize n, GError **error);
gboolean evo_output_copy_file (EvoOutput *out, const char *name, const char *from, GError **error);

/* One file, whole or not at all. */
gboolean evo_write_file (const char *path, const char *text, gssize n, GError **error);

#endif
