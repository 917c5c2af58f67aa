/* SPDX-License-Identifier: Apache-2.0
 * load.h - the inside of the registry: a file is looked at (elf.c), opened (dl.c), and its declarations are judged (judge.c).
 *
 * Messages begin with the file's name without its folder: "ties.so: built for ABI 1.1, this is 1.0".
 */
#ifndef EVO_REGISTRY_LOAD_H
#define EVO_REGISTRY_LOAD_H

#include "core/registry/registry.h"

enum { EVO_MOST_SEGMENTS = 16, EVO_MOST_OPS = 64, EVO_MOST_PARAMS = 256, EVO_MOST_PARAMS_SIZE = 64 * 1024 };

/* Readable memory of an opened object: what its tables may point to. n = 0: a plugin that was linked into this binary, trusted. */
typedef struct { const char *from; gsize size; } EvoSegment;
typedef struct { EvoSegment segments[EVO_MOST_SEGMENTS]; guint n; } EvoExtent;

gboolean evo_extent_holds (const EvoExtent *e, gconstpointer p, gsize size);
gboolean evo_extent_holds_text (const EvoExtent *e, const char *s, gsize longest); /* ends with NUL inside, after at most `longest` bytes */

/* Whether dlopen may be asked to map the file: a whole shared object for this machine. *out gets its readable segments with addresses as in the
 * file. EVO_REGISTRY_ERROR OPEN, NOT_A_PLUGIN. */
gboolean evo_elf_check (const char *path, EvoExtent *out, GError **error);

/* Opens a checked file and finds evo_plugin. *extent, as evo_elf_check gave it, is moved to where the object lies. The handle stays open until
 * evo_dl_close, which only refused plugins get. */
gboolean evo_dl_open (const char *path, EvoExtent *extent, gpointer *handle, const EvoPlugin **plugin, GError **error);
void evo_dl_close (gpointer handle);

/* An operator as accepted: a copy as long as the host's table, zero-filled; `op` and what else was allocated belong to `arena`. */
typedef struct { EvoKind kind; const EvoOp *op; } EvoJudged;
/* Judges everything a plugin declares; calls nothing. out [EVO_MOST_OPS]. EVO_REGISTRY_ERROR NOT_A_PLUGIN, ABI, DECLARATION. */
gboolean evo_judge (const EvoPlugin *plugin, const EvoExtent *e, const char *file, GPtrArray *arena, EvoJudged *out, guint *n, GError **error);

#define EVO_BUILT_IN "(built in)"

typedef struct { char *path; gint code; char *message; } EvoBroken; /* path NULL: a folder or built in, no file of its own */

struct EvoRegistry {
  GPtrArray *entries;   /* EvoRegistered, sorted by name */
  GPtrArray *broken;    /* EvoBroken */
  GPtrArray *sentences; /* of broken, NULL-terminated */
  GPtrArray *arenas;    /* of accepted plugins: their copied tables */
  GHashTable *seen;     /* "device:inode" of files and folders already looked at */
};

const EvoRegistered *evo_registry_peek (const EvoRegistry *r, const char *name); /* find.c: by its exact name; NULL: none */

#endif
