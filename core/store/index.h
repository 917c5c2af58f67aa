/* SPDX-License-Identifier: Apache-2.0
 * index.h - which safetensors files make up a checkpoint directory, and whether its index tells the truth about them.
 */
#ifndef EVO_STORE_INDEX_H
#define EVO_STORE_INDEX_H

#include "core/base/json.h"
#include "core/store/safetensors.h"

/* Appends to `names` (of owned char *) the files of `folder` in name order; *index: the parsed index where that decides, else NULL.
 * Errors: EVO_STORE_ERROR OPEN, FORMAT, MISSING. */
gboolean evo_index_list (const char *folder, GPtrArray *names, EvoJsonDoc **index, GError **error);
/* Every tensor the index names is in the file it names, and the files [n] hold no other. */
gboolean evo_index_check (const EvoJsonDoc *index, const char *const *names, const EvoHeader *const *headers, guint n, GError **error);

gboolean evo_file_exists (const char *folder, const char *name); /* a dangling link exists: opening it then says what is wrong */

#endif
