/* SPDX-License-Identifier: Apache-2.0
 * beside.h - a file or directory that is made under a hidden name beside its place, and put there whole.
 *
 * The hidden name is locked (flock) while its process lives. So whoever comes later can tell a left-over of a killed process, and
 * removes it, from what a living one is writing.
 */
#ifndef EVO_STORE_BESIDE_H
#define EVO_STORE_BESIDE_H

#include <glib.h>

typedef enum { EVO_BESIDE_FILE, EVO_BESIDE_FOLDER } EvoBesideKind;
typedef struct EvoBeside EvoBeside;

/* A FOLDER's missing parents are made. Errors: EVO_STORE_ERROR_WRITE. */
EvoBeside *evo_beside_new (const char *path, EvoBesideKind kind, GError **error);
void evo_beside_free (EvoBeside *b); /* not landed: removed with all it holds */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoBeside, evo_beside_free)

const char *evo_beside_get_path (const EvoBeside *b); /* the place, without a slash at its end */
int evo_beside_get_fd (const EvoBeside *b);           /* of the file (for writing), or the folder */
/* Syncs, moves to the place, syncs the parent. Something that stands there is `replace`d, else it is EVO_USAGE_ERROR_EXISTS. */
gboolean evo_beside_land (EvoBeside *b, gboolean replace, GError **error);

gboolean evo_beside_exists_error (const char *path, GError **error); /* "PATH: exists already ..."; FALSE */

#endif
