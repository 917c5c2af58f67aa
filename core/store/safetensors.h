/* SPDX-License-Identifier: Apache-2.0
 * safetensors.h - the header of a safetensors file, judged whole before anything is made of it.
 *
 * Format: 8 bytes little endian: length of the header; the header, a JSON object { name: { "dtype", "shape", "data_offsets": [begin, end] } },
 * optionally with "__metadata__", texts by name; then the data, to the end of the file (huggingface/safetensors, README "Format").
 */
#ifndef EVO_STORE_SAFETENSORS_H
#define EVO_STORE_SAFETENSORS_H

#include "core/tensor/shape.h"

#define EVO_SAFETENSORS_MAX_HEADER G_GUINT64_CONSTANT (100000000) /* the format's own limit */

typedef struct { EvoShape shape; guint64 begin, end; } EvoEntry; /* bytes of the file */

typedef struct {
  EvoEntry *entries;    /* [n] in name order */
  guint n;
  guint64 n_bytes;      /* of length and header: where the data begins */
} EvoHeader;

/* `name` is what messages call the file. Errors: EVO_STORE_ERROR FORMAT, TRUNCATED, DTYPE. */
EvoHeader *evo_safetensors_parse (const guint8 *bytes, guint64 size, const char *name, GError **error);
void evo_header_free (EvoHeader *header);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoHeader, evo_header_free)

/* A tensor's name for a message: in quotes, control characters escaped, cut after 100 characters (owned). */
char *evo_quote_name (const char *name);

#endif
