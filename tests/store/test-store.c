/* SPDX-License-Identifier: Apache-2.0
 * test-store.c - good checkpoints, and checkpoints that are cut off, changed or huge while they are open.
 */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/kernels/kernels.h"
#include "core/store/map.h"
#include "core/store/store.h"
#include "tests/store/made.h"

static EvoStore *
open_store (const char *path)
{
  g_autoptr (GError) error = NULL;
  EvoStore *s = evo_store_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (s);
  return s;
}

static void
check_values (const EvoStore *s, const char *name, const float *want, gsize n)
{
  int i = evo_store_find (s, name);
  g_autofree float *x = g_new (float, n);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (i, >=, 0);
  g_assert_cmpint (evo_store_get_tensor (s, (guint) i)->n, ==, (gint64) n);
  g_assert_true (evo_store_read (s, evo_kernels_get (), (guint) i, 0, n, x, &error));
  g_assert_no_error (error);
  for (gsize j = 0; j < n; j++)
    g_assert_cmpfloat (x[j], ==, want[j]);
}

/* ------------------------------------------------------------------ good ones */

/* 1, 2, -0.5 in every floating-point type, one after the other, with a byte between that makes the rest odd. */
static const char mixed_header[] =
  "{\"__metadata__\":{\"format\":\"pt\"},"
  "\"f32\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
  "\"odd\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[12,13]},"
  "\"bf16\":{\"dtype\":\"BF16\",\"shape\":[3,1],\"data_offsets\":[13,19]},"
  "\"f16\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[19,25]},"
  "\"f64\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[25,49]},"
  "\"e4\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[49,52]},"
  "\"e5\":{\"dtype\":\"F8_E5M2\",\"shape\":[3],\"data_offsets\":[52,55]},"
  "\"none\":{\"dtype\":\"F32\",\"shape\":[4,0],\"data_offsets\":[55,55]},"
  "\"scalar\":{\"dtype\":\"I16\",\"shape\":[],\"data_offsets\":[55,57]}}";

static const guint8 mixed_data[] = {
  0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0, 0xbf,
  1,
  0x80, 0x3f, 0, 0x40, 0, 0xbf,
  0, 0x3c, 0, 0x40, 0, 0xb8,
  0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xe0, 0xbf,
  0x38, 0x40, 0xb0,
  0x3c, 0x40, 0xb8,
  7, 0,
};

static void
make_mixed (const char *folder, const char *name, const char *blanks)
{
  g_autofree char *header = g_strconcat (mixed_header, blanks, NULL);
  g_autoptr (GString) bytes = made_bytes (header, 0);

  g_string_append_len (bytes, (const char *) mixed_data, sizeof mixed_data);
  made_file (folder, name, bytes->str, (gssize) bytes->len);
}

static void
test_mixed (void)
{
  static const char *const order[] = { "bf16", "e4", "e5", "f16", "f32", "f64", "none", "odd", "scalar" };
  static const char *const floats[] = { "f32", "bf16", "f16", "f64", "e4", "e5" };
  static const float want[] = { 1, 2, -0.5f };
  static const char *const blanks[] = { "", " ", "  ", "   " }; /* each moves the data by a byte */

  for (guint b = 0; b < G_N_ELEMENTS (blanks); b++) {
    g_autofree char *folder = made_folder (), *path = g_build_filename (folder, "w.safetensors", NULL);
    g_autoptr (EvoStore) s = NULL;

    make_mixed (folder, "w.safetensors", blanks[b]);
    s = open_store (path);
    g_assert_cmpstr (evo_store_get_path (s), ==, path);
    g_assert_cmpuint (evo_store_get_n_tensors (s), ==, G_N_ELEMENTS (order));
    g_assert_cmpuint (evo_store_get_bytes (s), ==, sizeof mixed_data);
    for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
      g_assert_cmpstr (evo_store_get_tensor (s, i)->name, ==, order[i]);
      g_assert_cmpint (evo_store_find (s, order[i]), ==, (int) i);
    }
    g_assert_cmpint (evo_store_find (s, "f3"), ==, -1);
    g_assert_cmpint (evo_store_find (s, "__metadata__"), ==, -1);
    for (guint i = 0; i < G_N_ELEMENTS (floats); i++)
      check_values (s, floats[i], want, 3);
    check_values (s, "none", NULL, 0);
    g_assert_cmpint (*(const guint8 *) evo_store_peek (s, 8), ==, 7);
    g_assert_cmpint (evo_store_get_tensor (s, 8)->n, ==, 1);
    g_assert_null (evo_store_get_config (s));
    made_remove (folder);
  }
}

static void
test_part_of_a_tensor (void)
{
  g_autofree char *folder = made_folder ();
  g_autoptr (EvoStore) s = NULL;
  float x[2];

  make_mixed (folder, "model.safetensors", "");
  s = open_store (folder);
  g_assert_true (evo_store_read (s, evo_kernels_get (), (guint) evo_store_find (s, "bf16"), 1, 2, x, NULL));
  g_assert_cmpfloat (x[0], ==, 2);
  g_assert_cmpfloat (x[1], ==, -0.5f);
  made_remove (folder);
}

static void
test_folder (void)
{
  g_autofree char *folder = made_folder (), *config = NULL, *none = NULL;
  g_autoptr (EvoStore) s = NULL, again = NULL;

  make_mixed (folder, "model.safetensors", "");
  made_tensors (folder, "other.safetensors", "{}", 3); /* broken, but not looked at: model.safetensors decides */
  made_file (folder, "config.json", "{\"model_type\": \"llama\"}", -1);
  s = open_store (folder);
  again = evo_store_ref (s);
  g_assert_cmpstr (evo_json_get_string (evo_store_get_config (s), "model_type"), ==, "llama");
  config = evo_store_find_file (s, "config.json");
  none = evo_store_find_file (s, "tokenizer.json");
  g_assert_true (g_str_has_suffix (config, "/config.json"));
  g_assert_null (none);
  g_assert_true (evo_store_check (s, 0, NULL));
  made_remove (folder);
}

static void
test_empty (void)
{
  g_autofree char *folder = made_folder (), *digest = NULL;
  g_autoptr (EvoStore) s = NULL;

  made_tensors (folder, "model.safetensors", "{}", 0);
  s = open_store (folder);
  g_assert_cmpuint (evo_store_get_n_tensors (s), ==, 0);
  g_assert_cmpint (evo_store_find (s, "w"), ==, -1);
  g_assert_cmpuint (evo_store_get_bytes (s), ==, 0);
  digest = evo_store_digest (s);
  g_assert_cmpuint (strlen (digest), ==, 64);
  made_remove (folder);
}

static void
make_shards (const char *folder)
{
  made_tensors (folder, "model-00001-of-00002.safetensors", "{\"c\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                "\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}", 6);
  made_tensors (folder, "model-00002-of-00002.safetensors", "{\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
}

static void
check_shards (const char *folder)
{
  g_autoptr (EvoStore) s = open_store (folder);

  g_assert_cmpuint (evo_store_get_n_tensors (s), ==, 3);
  g_assert_cmpuint (evo_store_get_bytes (s), ==, 9);
  g_assert_cmpstr (evo_store_get_tensor (s, 0)->name, ==, "a");
  g_assert_cmpstr (evo_store_get_tensor (s, 1)->name, ==, "b");
  g_assert_cmpmem (evo_store_peek (s, 0), 2, "\4\5", 2);
  g_assert_cmpmem (evo_store_peek (s, 1), 3, "\0\1\2", 3);
  g_assert_cmpmem (evo_store_peek (s, 2), 4, "\0\1\2\3", 4);
}

static void
test_shards (void)
{
  g_autofree char *folder = made_folder ();

  make_shards (folder);
  check_shards (folder);
  made_file (folder, "model.safetensors.index.json", "{\"metadata\":{\"total_size\":9},\"weight_map\":{"
             "\"a\":\"model-00001-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\","
             "\"c\":\"model-00001-of-00002.safetensors\"}}", -1);
  made_tensors (folder, "extra.safetensors", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1); /* not in the index */
  check_shards (folder);
  made_remove (folder);
}

static char *
digest_of (const char *folder)
{
  g_autoptr (EvoStore) s = open_store (folder);

  return evo_store_digest (s);
}

static void
test_digest (void)
{
  g_autofree char *folder = made_folder (), *path = g_build_filename (folder, "model-00002-of-00002.safetensors", NULL);
  struct timespec times[2] = { { 1000, 5 }, { 1000, 5 } };

  make_shards (folder);
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
  g_autofree char *first = digest_of (folder), *second = digest_of (folder);
  g_assert_cmpstr (first, ==, second);
  times[1].tv_nsec = 6; /* a nanosecond counts */
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
  g_autofree char *later = digest_of (folder);
  g_assert_cmpstr (first, !=, later);
  made_tensors (folder, "model-00002-of-00002.safetensors", "{\"d\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
  g_autofree char *renamed = digest_of (folder);
  g_assert_cmpstr (later, !=, renamed);
  made_remove (folder);
}

/* ------------------------------------------------------------------ files that change under us */

enum { BIG = 1 << 20 }; /* elements of each of two U8-sized tensors */

/* Two F8 tensors of 1 MB, "a" and "b", all 1.0 (0x38). */
static char *
make_big (const char *folder)
{
  g_autofree char *header = g_strdup_printf ("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[%d],\"data_offsets\":[0,%d]},"
                                             "\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[%d],\"data_offsets\":[%d,%d]}}", BIG, BIG, BIG, BIG, 2 * BIG);
  g_autoptr (GString) bytes = made_bytes (header, 0);
  gsize n = bytes->len;

  g_string_set_size (bytes, n + 2 * BIG);
  memset (bytes->str + n, 0x38, 2 * BIG);
  made_file (folder, "model.safetensors", bytes->str, (gssize) bytes->len);
  return g_build_filename (folder, "model.safetensors", NULL);
}

static void
expect_changed (const EvoStore *s, guint i, gint64 first, gsize n)
{
  g_autofree float *x = g_new (float, n);
  g_autoptr (GError) error = NULL;

  g_assert_false (evo_store_read (s, evo_kernels_get (), i, first, n, x, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED);
  g_assert_true (g_str_has_suffix (error->message, "/model.safetensors: was changed or cut off while it was read, or its disk failed; "
                                                   "what was read since is worth nothing"));
}

/* `left` bytes remain: at a page's edge or inside a page, where the kernel gives zeros without a signal. */
static void
test_truncated (gconstpointer left)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoStore) s = open_store (folder);

  g_assert_cmpint (truncate (path, GPOINTER_TO_INT (left)), ==, 0);
  expect_changed (s, 1, BIG - 100, 100);
  expect_changed (s, 1, 0, BIG);
  expect_changed (s, 0, 0, 100);
  made_remove (folder);
}

static void
test_other_stores_go_on (void)
{
  g_autofree char *folder = made_folder (), *other = made_folder (), *path = make_big (folder), *other_path = make_big (other);
  g_autoptr (EvoStore) s = open_store (folder), t = open_store (other);
  float x[8];

  g_assert_cmpint (truncate (path, 4096), ==, 0);
  expect_changed (s, 1, 0, 1000);
  g_assert_true (evo_store_read (t, evo_kernels_get (), 1, BIG - 8, 8, x, NULL));
  g_assert_cmpfloat (x[7], ==, 1);
  made_remove (folder);
  made_remove (other);
}

static void
test_rewritten (void)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoStore) s = open_store (folder);
  struct timespec times[2] = { { 1000, 5 }, { 1000, 5 } };
  float x[2];

  g_assert_true (evo_store_read (s, evo_kernels_get (), 0, 0, 2, x, NULL));
  g_assert_cmpint (utimensat (AT_FDCWD, path, times, 0), ==, 0);
  expect_changed (s, 0, 0, 2);
  made_remove (folder);
}

/* A file that is replaced (renamed over) or deleted is still ours as it was. */
static void
test_deleted (void)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoStore) s = open_store (folder);
  float x[2];

  g_assert_cmpint (unlink (path), ==, 0);
  g_assert_true (evo_store_read (s, evo_kernels_get (), 1, 0, 2, x, NULL));
  g_assert_cmpfloat (x[1], ==, 1);
  made_remove (folder);
}

static gpointer
read_until_changed (gpointer data)
{
  const EvoStore *s = data;
  float x[4096];

  for (guint i = 0;; i++) {
    g_autoptr (GError) error = NULL;

    if (evo_store_read (s, evo_kernels_get (), i % 2, (gint64) (i * 4096 % BIG), 4096, x, &error)) {
      for (guint j = 0; j < 4096; j++)
        g_assert_cmpfloat (x[j], ==, 1); /* what passed the check is what the file held */
    } else {
      g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED);
      return NULL;
    }
  }
}

static void
test_threads (void)
{
  for (guint round = 0; round < 20; round++) {
    g_autofree char *folder = made_folder (), *path = make_big (folder);
    g_autoptr (EvoStore) s = open_store (folder);
    GThread *threads[4];

    for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
      threads[i] = g_thread_new ("reader", read_until_changed, s);
    g_usleep (1000 + round * 200);
    g_assert_cmpint (truncate (path, round % 2 == 0 ? BIG : 100), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
      g_thread_join (threads[i]);
    made_remove (folder);
  }
}

/* ------------------------------------------------------------------ faults that are not ours */

static const char greeting[] = "the previous handler was called\n";

static void
on_bus (int number)
{
  if (write (STDERR_FILENO, greeting, sizeof greeting - 1) > 0)
    _exit (42);
}

/* Touches a page past the end of a file that the store does not know. */
static void
fault (void)
{
  g_autofree char *folder = made_folder (), *path = g_build_filename (folder, "f", NULL);
  int fd;
  volatile char *p;

  made_file (folder, "f", "x", 1);
  fd = open (path, O_RDONLY);
  p = mmap (NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
  g_assert_true (p != MAP_FAILED);
  made_remove (folder);
  (void) p[4096];
}

static void
open_something (void)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoStore) s = open_store (folder);

  made_remove (folder);
}

/* Runs the test as a process that must die, and soon: a fault that comes back for ever would hang. */
static void
expect_death (void)
{
  g_test_trap_subprocess (NULL, 30 * G_USEC_PER_SEC, 0);
  g_test_trap_assert_failed ();
  g_assert_false (g_test_trap_reached_timeout ());
}

static void
test_foreign_fault (void)
{
  if (g_test_subprocess ()) {
    signal (SIGBUS, SIG_DFL);
    open_something ();
    fault ();
    exit (0);
  }
  expect_death ();
}

static void
test_previous_handler (void)
{
  if (g_test_subprocess ()) {
    signal (SIGBUS, on_bus);
    open_something ();
    fault ();
    exit (0);
  }
  expect_death ();
  g_test_trap_assert_stderr ("*the previous handler was called*");
}

static void
test_sent_signal (void)
{
  if (g_test_subprocess ()) {
    signal (SIGBUS, SIG_DFL);
    open_something ();
    kill (getpid (), SIGBUS);
    exit (0);
  }
  expect_death ();
}

/* ------------------------------------------------------------------ many and large */

static void
test_slots (void)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoMap) map = evo_map_new (path, NULL);

  g_assert_cmpuint (evo_map_get_size (map), >, 2 * BIG);
  g_assert_cmpint (evo_map_get_mtime_ns (map), >, 0);
  for (guint i = 0; i < EVO_MAP_LIMIT + 100; i++) { /* slots are given back */
    g_autoptr (EvoMap) one = evo_map_new (path, NULL);

    g_assert_nonnull (one);
    g_assert_false (evo_map_has_changed (one));
  }
  g_assert_cmpint (truncate (path, 0), ==, 0);
  g_assert_cmpint (evo_map_peek (map)[BIG], ==, 0);
  g_assert_true (evo_map_has_changed (map));
  made_remove (folder);
}

/* A figure of /proc/self/status, in kB. */
static guint64
status_kb (const char *key)
{
  g_autofree char *text = NULL;
  const char *at;

  g_assert_true (g_file_get_contents ("/proc/self/status", &text, NULL, NULL));
  at = strstr (text, key);
  g_assert_nonnull (at);
  return g_ascii_strtoull (at + strlen (key) + strspn (at + strlen (key), ": \t"), NULL, 10);
}

static void
test_release (void)
{
  g_autofree char *folder = made_folder (), *path = make_big (folder);
  g_autoptr (EvoStore) s = open_store (folder);
  g_autofree float *x = g_new (float, BIG);
  guint64 full;

  for (guint i = 0; i < 2; i++)
    g_assert_true (evo_store_read (s, evo_kernels_get (), i, 0, BIG, x, NULL));
  full = status_kb ("RssFile");
  evo_store_release (s, 0);
  evo_store_release (s, 1);
  g_assert_cmpuint (status_kb ("RssFile"), <, full - 1900); /* of 2 MB; the page of the header may stay */
  g_assert_true (evo_store_read (s, evo_kernels_get (), 1, 0, BIG, x, NULL));
  g_assert_cmpfloat (x[BIG - 1], ==, 1);
  made_remove (folder);
}

/* Header of a llama-like shard: layers first .. last - 1, 9 tensors each; *bytes: what its data takes. */
static char *
layers_header (guint first, guint last, guint64 *bytes)
{
  static const struct { const char *name; gint64 rows, columns; } parts[] = {
    { "self_attn.q_proj", 4096, 4096 }, { "self_attn.k_proj", 4096, 4096 }, { "self_attn.v_proj", 4096, 4096 },
    { "self_attn.o_proj", 4096, 4096 }, { "mlp.gate_proj", 11008, 4096 }, { "mlp.up_proj", 11008, 4096 },
    { "mlp.down_proj", 4096, 11008 }, { "input_layernorm", 4096, 1 }, { "post_attention_layernorm", 4096, 1 },
  };
  GString *text = g_string_new ("{\"__metadata__\":{\"format\":\"pt\"}");

  *bytes = 0;
  for (guint l = first; l < last; l++)
    for (guint i = 0; i < G_N_ELEMENTS (parts); i++) {
      guint64 n = (guint64) (parts[i].rows * parts[i].columns) * 2;

      g_string_append_printf (text, ",\"model.layers.%u.%s.weight\":{\"dtype\":\"BF16\",\"shape\":[%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
                              "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}", l, parts[i].name, parts[i].rows,
                              parts[i].columns, *bytes, *bytes + n);
      *bytes += n;
    }
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

/* 13 GB in three sparse files: opening reads headers only. */
static void
test_large (void)
{
  static const guint edges[] = { 0, 11, 22, 32 };
  g_autofree char *folder = made_folder ();
  g_autoptr (EvoStore) s = NULL;
  gint64 start, took = G_MAXINT64;
  guint64 anonymous;

  for (guint i = 0; i < 3; i++) {
    guint64 bytes;
    g_autofree char *header = layers_header (edges[i], edges[i + 1], &bytes), *name = g_strdup_printf ("model-%05u-of-00003.safetensors", i + 1),
                    *path = g_build_filename (folder, name, NULL);

    made_tensors (folder, name, header, 0);
    g_assert_cmpint (truncate (path, (off_t) (8 + strlen (header) + bytes)), ==, 0);
  }
  anonymous = status_kb ("RssAnon");
  for (guint i = 0; i < 5; i++) {
    g_clear_pointer (&s, evo_store_unref);
    start = g_get_monotonic_time ();
    s = open_store (folder);
    took = MIN (took, g_get_monotonic_time () - start);
  }
  g_test_message ("%u tensors, %" G_GUINT64_FORMAT " bytes: opened in %.2f ms", evo_store_get_n_tensors (s), evo_store_get_bytes (s), (double) took / 1e3);
  g_assert_cmpuint (evo_store_get_n_tensors (s), ==, 288);
  g_assert_cmpuint (evo_store_get_bytes (s), ==, G_GUINT64_CONSTANT (12952535040));
  g_assert_cmpint (took, <, 500000); /* it takes a millisecond; the limit is for sanitizers on a busy machine */
  g_assert_cmpuint (status_kb ("RssAnon"), <, anonymous + 65536); /* kB; tables and AddressSanitizer's own, not tensors */
  made_remove (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/good/mixed", test_mixed);
  g_test_add_func ("/store/good/part", test_part_of_a_tensor);
  g_test_add_func ("/store/good/folder", test_folder);
  g_test_add_func ("/store/good/empty", test_empty);
  g_test_add_func ("/store/good/shards", test_shards);
  g_test_add_func ("/store/good/digest", test_digest);
  g_test_add_data_func ("/store/changed/header-left", GINT_TO_POINTER (100), test_truncated);
  g_test_add_data_func ("/store/changed/page-edge", GINT_TO_POINTER (BIG), test_truncated);
  g_test_add_data_func ("/store/changed/inside-page", GINT_TO_POINTER (2 * BIG), test_truncated);
  g_test_add_func ("/store/changed/others", test_other_stores_go_on);
  g_test_add_func ("/store/changed/rewritten", test_rewritten);
  g_test_add_func ("/store/changed/deleted", test_deleted);
  g_test_add_func ("/store/changed/threads", test_threads);
  g_test_add_func ("/store/fault/foreign", test_foreign_fault);
  g_test_add_func ("/store/fault/previous-handler", test_previous_handler);
  g_test_add_func ("/store/fault/sent", test_sent_signal);
  g_test_add_func ("/store/many/slots", test_slots);
  g_test_add_func ("/store/many/release", test_release);
  g_test_add_func ("/store/many/large", test_large);
  return g_test_run ();
}
