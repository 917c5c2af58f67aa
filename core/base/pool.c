/* SPDX-License-Identifier: Apache-2.0
 * pool.c - threads that wait for a loop, take items from a common counter, and wait again.
 *
 * A run is a generation number: helpers that see it move join in, the caller works too and waits until every helper has left. Helpers spin
 * for some microseconds before they sleep: matrix products of a decoder follow each other that closely.
 */
#include "core/base/pool.h"

enum { SPINS = 2000 };

typedef struct { EvoPool *pool; guint index; GThread *thread; } Helper;

struct EvoPool {
  guint n_threads;
  Helper *helpers;           /* [n_threads - 1] */
  GMutex lock;
  GCond wake, left;
  gint generation;           /* atomic; moves when a loop starts */
  gint working;              /* atomic; helpers that have not left the loop */
  gint sleepers;             /* under lock */
  gboolean stop;             /* under lock */
  EvoPoolFunc func;
  gpointer data;
  gint64 n_items;
  gint64 next;               /* atomic */
  gint failed;               /* atomic flag: take no more items */
  gint64 failed_item;        /* under lock */
  GError *error;             /* under lock */
};

static void
note_failure (EvoPool *p, gint64 item, GError *error)
{
  g_mutex_lock (&p->lock);
  if (item < p->failed_item) {
    g_clear_error (&p->error);
    p->error = error;
    p->failed_item = item;
  } else {
    g_clear_error (&error);
  }
  g_mutex_unlock (&p->lock);
  g_atomic_int_set (&p->failed, 1);
}

static void
take_items (EvoPool *p, guint thread)
{
  while (!g_atomic_int_get (&p->failed)) {
    gint64 item = __atomic_fetch_add (&p->next, 1, __ATOMIC_RELAXED);
    GError *error = NULL;

    if (item >= p->n_items)
      return;
    if (!p->func (p->data, item, thread, &error))
      note_failure (p, item, error);
  }
}

static gboolean
wait_for_work (EvoPool *p, gint seen)
{
  gboolean stop;

  for (guint i = 0; i < SPINS; i++) {
    if (g_atomic_int_get (&p->generation) != seen)
      break;
#if defined(__x86_64__)
    __builtin_ia32_pause ();
#endif
  }
  if (g_atomic_int_get (&p->generation) != seen && !__atomic_load_n (&p->stop, __ATOMIC_ACQUIRE))
    return TRUE;
  g_mutex_lock (&p->lock);
  p->sleepers++;
  while (g_atomic_int_get (&p->generation) == seen && !p->stop)
    g_cond_wait (&p->wake, &p->lock);
  p->sleepers--;
  stop = p->stop;
  g_mutex_unlock (&p->lock);
  return !stop;
}

static gpointer
helper_main (gpointer data)
{
  Helper *h = data;
  EvoPool *p = h->pool;
  gint seen = 0;

  while (wait_for_work (p, seen)) {
    seen = g_atomic_int_get (&p->generation);
    take_items (p, h->index);
    if (g_atomic_int_dec_and_test (&p->working)) {
      g_mutex_lock (&p->lock);
      g_cond_signal (&p->left);
      g_mutex_unlock (&p->lock);
    }
  }
  return NULL;
}

EvoPool *
evo_pool_new (guint n_threads)
{
  EvoPool *p = g_new0 (EvoPool, 1);

  p->n_threads = MAX (n_threads, 1);
  g_mutex_init (&p->lock);
  g_cond_init (&p->wake);
  g_cond_init (&p->left);
  p->helpers = g_new0 (Helper, p->n_threads);
  for (guint i = 0; i + 1 < p->n_threads; i++) {
    p->helpers[i] = (Helper){ p, i + 1, NULL };
    p->helpers[i].thread = g_thread_new ("evo-pool", helper_main, &p->helpers[i]);
  }
  return p;
}

void
evo_pool_free (EvoPool *p)
{
  if (p == NULL)
    return;
  g_mutex_lock (&p->lock);
  __atomic_store_n (&p->stop, TRUE, __ATOMIC_RELEASE);
  g_cond_broadcast (&p->wake);
  g_mutex_unlock (&p->lock);
  for (guint i = 0; i + 1 < p->n_threads; i++)
    g_thread_join (p->helpers[i].thread);
  g_mutex_clear (&p->lock);
  g_cond_clear (&p->wake);
  g_cond_clear (&p->left);
  g_free (p->helpers);
  g_free (p);
}

guint
evo_pool_get_n_threads (const EvoPool *p)
{
  return p->n_threads;
}

static void
start_helpers (EvoPool *p)
{
  g_atomic_int_set (&p->working, (gint) p->n_threads - 1);
  g_mutex_lock (&p->lock);
  g_atomic_int_inc (&p->generation);
  if (p->sleepers > 0)
    g_cond_broadcast (&p->wake);
  g_mutex_unlock (&p->lock);
}

static void
wait_for_helpers (EvoPool *p)
{
  for (guint i = 0; i < SPINS && g_atomic_int_get (&p->working) > 0; i++) {
#if defined(__x86_64__)
    __builtin_ia32_pause ();
#endif
  }
  if (g_atomic_int_get (&p->working) == 0)
    return;
  g_mutex_lock (&p->lock);
  while (g_atomic_int_get (&p->working) > 0)
    g_cond_wait (&p->left, &p->lock);
  g_mutex_unlock (&p->lock);
}

gboolean
evo_pool_run (EvoPool *p, gint64 n_items, EvoPoolFunc func, gpointer data, GError **error)
{
  gboolean alone = p->n_threads == 1 || n_items <= 1;

  p->func = func;
  p->data = data;
  p->n_items = n_items;
  p->failed = 0;
  p->error = NULL;
  p->failed_item = G_MAXINT64;
  __atomic_store_n (&p->next, 0, __ATOMIC_RELAXED);
  if (!alone)
    start_helpers (p);
  take_items (p, 0);
  if (!alone)
    wait_for_helpers (p);
  if (p->failed == 0)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&p->error));
  return FALSE;
}
