/* SPDX-License-Identifier: Apache-2.0
 * write.h - bytes onto a disk: allocation, whole writes, syncs, and what went wrong as a sentence (private to the store).
 */
#ifndef EVO_STORE_WRITE_H
#define EVO_STORE_WRITE_H

#include <glib.h>

/* `path` is only what messages call the file. All errors are EVO_STORE_ERROR_WRITE. */

/* The sentence for `code` (an errno); n_bytes: what the file was to have, 0: unknown. Returns FALSE. */
gboolean evo_write_failed (const char *path, int code, guint64 n_bytes, GError **error);
gboolean evo_write_allocate (int fd, const char *path, guint64 n_bytes, GError **error);
gboolean evo_write_all (int fd, const char *path, gconstpointer bytes, gsize n, guint64 offset, GError **error);
gboolean evo_write_sync (int fd, const char *path, GError **error);

#endif
