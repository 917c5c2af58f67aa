/* SPDX-License-Identifier: Apache-2.0
 * output-private.h - the inside of a model directory in the making (private to output*.c).
 *
 * Every tensor is a piece of one shard. output-plan.c gives all of them their places; output.c takes their bytes, and keeps what has come of each.
 */
#ifndef EVO_STORE_OUTPUT_PRIVATE_H
#define EVO_STORE_OUTPUT_PRIVATE_H

#include "core/store/beside.h"
#include "core/store/output.h"

typedef struct { guint64 from, to; } EvoOutputRange;
typedef struct {
  char *name;
  const char *dtype;
  guint n_dims;
  gint64 dims[EVO_MAX_DIMS];
  guint shard, width;        /* width: bytes of an element */
  guint64 begin, n_bytes;    /* begin: in the shard's data */
  GArray *written;           /* of EvoOutputRange, in order, apart from each other */
} EvoOutputPiece;
typedef struct { char *name, *path; int fd; guint first, n; guint64 data, n_bytes; } EvoOutputShard; /* data: where it begins in the file */

struct EvoOutput {
  EvoBeside *beside;
  gboolean replace, planned;
  const char *stem;          /* NULL: "model" */
  EvoOutputPiece *pieces; guint n_pieces;
  EvoOutputShard *shards; guint n_shards;
  GMutex lock;               /* of the pieces' ranges */
  gint64 sync_us;            /* waited for the disk */
};

/* --- output.c */
int evo_output_open_inside (const EvoOutput *out, const char *name, int flags); /* for writing; -1: errno says why */
gboolean evo_output_sync (EvoOutput *out, int fd, const char *path, GError **error);
/* --- output-plan.c */
gboolean evo_output_write_index (EvoOutput *out, GError **error);               /* of several shards */

#endif
