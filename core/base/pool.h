/* SPDX-License-Identifier: Apache-2.0
 * pool.h - worker threads: a parallel loop over independent items. Which thread runs which item never changes a result.
 */
#ifndef EVO_BASE_POOL_H
#define EVO_BASE_POOL_H

#include <glib.h>

typedef struct EvoPool EvoPool;
typedef gboolean (*EvoPoolFunc) (gpointer data, gint64 item, guint thread, GError **error); /* thread: 0 .. n_threads - 1 */

EvoPool *evo_pool_new (guint n_threads); /* 1: everything on the caller's thread */
void evo_pool_free (EvoPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoPool, evo_pool_free)
guint evo_pool_get_n_threads (const EvoPool *pool);
/* Runs func for 0 .. n_items - 1 and waits. On failure the rest is skipped and the error of the lowest failed item is returned.
 * Not re-entrant: a func must not call evo_pool_run of its own pool. Cheap enough to be called per matrix product. */
gboolean evo_pool_run (EvoPool *pool, gint64 n_items, EvoPoolFunc func, gpointer data, GError **error);

#endif
