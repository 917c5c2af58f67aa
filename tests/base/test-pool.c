/* SPDX-License-Identifier: Apache-2.0
 * test-pool.c - every item runs once, on whatever thread; failures are those of one thread; many short loops in a row.
 */
#include "core/base/error.h"
#include "core/base/pool.h"

enum { MOST = 5000 };

typedef struct {
  guint n_threads;
  gint runs[MOST];           /* atomic */
  guint64 result[MOST];
  gint64 fail_from, fail_to; /* items that fail */
  gint busy[16];             /* atomic: one item at a time on a thread */
} Loop;

static guint64
work (gint64 item)
{
  guint64 h = (guint64) item + 1;

  for (guint i = 0; i < 20 + (guint) item % 50; i++)
    h = h * G_GUINT64_CONSTANT (6364136223846793005) + 1;
  return h;
}

static gboolean
run_item (gpointer data, gint64 item, guint thread, GError **error)
{
  Loop *l = data;

  g_assert_cmpuint (thread, <, l->n_threads);
  g_assert_cmpint (g_atomic_int_add (&l->busy[thread], 1), ==, 0);
  g_atomic_int_inc (&l->runs[item]);
  l->result[item] = work (item);
  g_atomic_int_add (&l->busy[thread], -1);
  if (item >= l->fail_from && item < l->fail_to)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "item %" G_GINT64_FORMAT, item);
  return TRUE;
}

static void
test_all (void)
{
  static const guint threads[] = { 0, 1, 2, 3, 4, 7 };
  static const gint64 sizes[] = { 0, 1, 2, 3, 7, 64, MOST };

  for (guint t = 0; t < G_N_ELEMENTS (threads); t++) {
    g_autoptr (EvoPool) pool = evo_pool_new (threads[t]);

    g_assert_cmpuint (evo_pool_get_n_threads (pool), ==, MAX (threads[t], 1));
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++) {
      g_autofree Loop *l = g_new0 (Loop, 1);
      g_autoptr (GError) error = NULL;

      l->n_threads = MAX (threads[t], 1);
      g_assert_true (evo_pool_run (pool, sizes[s], run_item, l, &error));
      g_assert_no_error (error);
      for (gint64 i = 0; i < MOST; i++) {
        g_assert_cmpint (l->runs[i], ==, i < sizes[s]);
        g_assert_cmpuint (l->result[i], ==, i < sizes[s] ? work (i) : 0);
      }
    }
  }
}

/* Items 700 to 799 fail: for any number of threads the error is item 700's, nothing runs twice, and what stands before it has run. */
static void
test_failure (void)
{
  for (guint n = 1; n <= 5; n++) {
    g_autoptr (EvoPool) pool = evo_pool_new (n);

    for (guint again = 0; again < 50; again++) {
      g_autofree Loop *l = g_new0 (Loop, 1);
      g_autoptr (GError) error = NULL;

      l->n_threads = n;
      l->fail_from = 700;
      l->fail_to = 800;
      g_assert_false (evo_pool_run (pool, MOST, run_item, l, &error));
      g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE);
      g_assert_cmpstr (error->message, ==, "item 700");
      for (gint64 i = 0; i < MOST; i++)
        g_assert_true (l->runs[i] == (i <= 700) || (i > 700 && l->runs[i] == 1));
      g_assert_false (evo_pool_run (pool, 701, run_item, l, NULL));
      l->fail_to = 0;
      g_assert_true (evo_pool_run (pool, 10, run_item, l, NULL));
    }
  }
}

static gboolean
add_item (gpointer data, gint64 item, guint thread, GError **error)
{
  gint64 *sums = data; /* [4][16]: each thread adds to its own cache line */

  sums[thread * 16] += item;
  return TRUE;
}

/* As many loops as a forward pass has matrix products, with pauses in which helpers fall asleep. */
static void
test_stress (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (4);
  g_autoptr (GTimer) timer = g_timer_new ();

  for (guint run = 0; run < 10000; run++) {
    gint64 sums[4 * 16] = { 0 }, n = run % 23;

    g_assert_true (evo_pool_run (pool, n, add_item, sums, NULL));
    g_assert_cmpint (sums[0] + sums[16] + sums[32] + sums[48], ==, n * (n - 1) / 2);
    if (run % 1000 == 0)
      g_usleep (2000);
  }
  g_test_message ("10000 loops on 4 threads: %.1f us each", g_timer_elapsed (timer, NULL) * 100);
}

static void
test_come_and_go (void)
{
  for (guint i = 0; i < 300; i++) {
    g_autoptr (EvoPool) pool = evo_pool_new (1 + i % 6);
    gint64 sums[6 * 16] = { 0 };

    if (i % 3 > 0)
      g_assert_true (evo_pool_run (pool, 5, add_item, sums, NULL));
  }
  evo_pool_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pool/all", test_all);
  g_test_add_func ("/pool/failure", test_failure);
  g_test_add_func ("/pool/stress", test_stress);
  g_test_add_func ("/pool/come-and-go", test_come_and_go);
  return g_test_run ();
}
