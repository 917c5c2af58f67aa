/* SPDX-License-Identifier: Apache-2.0
 * map.h - a file mapped for reading, that may shrink or vanish under us without killing the process.
 */
#ifndef EVO_STORE_MAP_H
#define EVO_STORE_MAP_H

#include <glib.h>

typedef struct EvoMap EvoMap;

enum { EVO_MAP_LIMIT = 4096 }; /* mappings at a time, of the whole process */

/* Maps a regular file whole. Errors: EVO_STORE_ERROR_OPEN. An empty file is mapped as no bytes. */
EvoMap *evo_map_new (const char *path, GError **error);
void evo_map_free (EvoMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoMap, evo_map_free)

const guint8 *evo_map_peek (const EvoMap *map);
guint64 evo_map_get_size (const EvoMap *map);       /* when it was mapped */
gint64 evo_map_get_mtime_ns (const EvoMap *map);    /* when it was mapped */
/* TRUE: a page could not be read (zeros stand there now), or the file's size or time is not what it was. One fstat. */
gboolean evo_map_has_changed (const EvoMap *map);
/* The pages that lie wholly in [offset, offset + n) may leave memory; they are read again when touched. */
void evo_map_release (const EvoMap *map, guint64 offset, guint64 n);

#endif
