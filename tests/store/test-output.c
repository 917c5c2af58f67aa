/* SPDX-License-Identifier: Apache-2.0
 * test-output.c - directories and files that appear whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/pool.h"
#include "core/store/beside.h"
#include "core/store/output.h"
#include "core/store/store.h"
#include "core/store/write.h"
#include "tests/store/made.h"

typedef struct { char *folder, *path; } Place; /* path: folder/out */

static void
setup (Place *p, gconstpointer data)
{
  p->folder = made_folder ();
  p->path = g_build_filename (p->folder, "out", NULL);
}

static void
teardown (Place *p, gconstpointer data)
{
  made_remove (p->folder);
  g_free (p->folder);
  g_free (p->path);
}

static EvoShape
shape_of (char *name, EvoDtype dtype, gint64 rows, gint64 columns)
{
  EvoShape s = { name, dtype, 2, { rows, columns } };

  g_assert_true (evo_shape_count (&s));
  return s;
}

static EvoOutput *
new_output (const char *path, gboolean replace)
{
  g_autoptr (GError) error = NULL;
  EvoOutput *out = evo_output_new (path, replace, &error);

  g_assert_no_error (error);
  return out;
}

/* Byte j of tensor i. */
static guint8
byte_of (guint i, guint64 j)
{
  return (guint8) (j * 7 + i * 31 + (j >> 8));
}

static void
write_tensor (EvoOutput *out, guint i, guint64 from, guint64 to)
{
  g_autofree guint8 *bytes = g_malloc (to - from + 1);
  g_autoptr (GError) error = NULL;

  for (guint64 j = from; j < to; j++)
    bytes[j - from] = byte_of (i, j);
  g_assert_true (evo_output_write (out, i, from, bytes, to - from, &error));
  g_assert_no_error (error);
}

static void
commit (EvoOutput *out)
{
  g_autoptr (GError) error = NULL;

  evo_output_commit (out, &error);
  g_assert_no_error (error);
}

static void
check_saved (const char *path, const EvoShape *shapes, guint n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoStore) s = evo_store_open (path, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (evo_store_get_n_tensors (s), ==, n);
  for (guint i = 0; i < n; i++) {
    int at = evo_store_find (s, shapes[i].name);
    const guint8 *bytes = evo_store_peek (s, (guint) at);

    g_assert_cmpint (at, >=, 0);
    g_assert_true (evo_shape_equal (&shapes[i], evo_store_get_tensor (s, (guint) at)));
    g_assert_cmpint (shapes[i].dtype, ==, evo_store_get_tensor (s, (guint) at)->dtype);
    g_assert_cmpuint ((guintptr) bytes % evo_dtype_size (shapes[i].dtype), ==, 0);
    for (guint64 j = 0; j < evo_shape_bytes (&shapes[i]); j++)
      g_assert_cmpint (bytes[j], ==, byte_of (i, j));
  }
}

/* ------------------------------------------------------------------ round trips */

static void
make_mixed (EvoShape *shapes)
{
  shapes[0] = shape_of ("z.bool", EVO_DTYPE_BOOL, 3, 1);
  shapes[1] = shape_of ("a.f32", EVO_DTYPE_F32, 5, 7);
  shapes[2] = shape_of ("m.bf16", EVO_DTYPE_BF16, 3, 3);
  shapes[3] = shape_of ("b.f64", EVO_DTYPE_F64, 1, 2);
  shapes[4] = shape_of ("none", EVO_DTYPE_F16, 0, 9);
  shapes[5] = shape_of ("\"odd\"\n\xe5\x90\x8d", EVO_DTYPE_U8, 1, 5);
}

static void
test_single (Place *p, gconstpointer data)
{
  EvoShape shapes[6];
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autofree char *file = g_build_filename (p->path, "model.safetensors", NULL), *bytes = NULL, *config = g_build_filename (p->path, "config.json", NULL);
  guint64 length;
  struct stat st;
  gsize n;

  make_mixed (shapes);
  g_assert_true (evo_output_plan (out, shapes, 6, 0, NULL));
  for (guint i = 6; i-- > 0;) { /* any order, in pieces from the end */
    guint64 size = evo_shape_bytes (&shapes[i]);

    write_tensor (out, i, size / 2, size);
    write_tensor (out, i, 0, size / 2);
  }
  g_assert_true (evo_output_add_text (out, "config.json", "{}", -1, NULL));
  g_assert_false (g_file_test (p->path, G_FILE_TEST_EXISTS));
  commit (out);
  check_saved (p->path, shapes, 6);
  g_assert_true (g_file_get_contents (file, &bytes, &n, NULL));
  memcpy (&length, bytes, sizeof length);
  g_assert_cmpuint (length % 8, ==, 0);
  g_assert_true (g_str_has_prefix (bytes + 8, "{\"__metadata__\":{\"format\":\"pt\"},\"b.f64\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]},"));
  g_assert_cmpuint (n, ==, 8 + length + 16 + 140 + 18 + 3 + 5);
  g_assert_true (g_file_test (config, G_FILE_TEST_IS_REGULAR));
  g_assert_cmpuint (made_count (p->path), ==, 2);
  g_assert_cmpuint (made_count (p->folder), ==, 1);
  g_assert_cmpint (stat (p->path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0755); /* main sets umask 022 */
  g_assert_cmpint (stat (file, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0644);
}

static void
test_sharded (Place *p, gconstpointer data)
{
  EvoShape shapes[5] = { shape_of ("d", EVO_DTYPE_F32, 10, 10), shape_of ("c", EVO_DTYPE_F32, 10, 10), shape_of ("large", EVO_DTYPE_F32, 50, 50),
                         shape_of ("b", EVO_DTYPE_F32, 10, 10), shape_of ("a", EVO_DTYPE_BF16, 10, 10) };
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autofree char *index = g_build_filename (p->path, "model.safetensors.index.json", NULL), *text = NULL;

  g_assert_true (evo_output_plan (out, shapes, 5, 800, NULL));
  for (guint i = 0; i < 5; i++)
    write_tensor (out, i, 0, evo_shape_bytes (&shapes[i]));
  commit (out);
  check_saved (p->path, shapes, 5);
  g_assert_cmpuint (made_count (p->path), ==, 4);
  g_assert_true (g_file_get_contents (index, &text, NULL, NULL));
  g_assert_cmpstr (text, ==,
                   "{\n  \"metadata\": {\n    \"total_size\": 11400\n  },\n  \"weight_map\": {\n"
                   "    \"a\": \"model-00003-of-00003.safetensors\",\n    \"b\": \"model-00003-of-00003.safetensors\",\n"
                   "    \"c\": \"model-00001-of-00003.safetensors\",\n    \"d\": \"model-00001-of-00003.safetensors\",\n"
                   "    \"large\": \"model-00002-of-00003.safetensors\"\n  }\n}\n");
}

static void
test_no_tensors (Place *p, gconstpointer data)
{
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);

  g_assert_true (evo_output_plan (out, NULL, 0, 0, NULL));
  commit (out);
  check_saved (p->path, NULL, 0);
}

typedef struct { EvoOutput *out; const EvoShape *shapes; } Writing;

enum { SLICES = 64 };

static gboolean
write_slice (gpointer data, gint64 item, guint thread, GError **error)
{
  const Writing *w = data;
  guint i = (guint) item / SLICES;
  guint64 n = evo_shape_bytes (&w->shapes[i]) / SLICES, at = (guint64) item % SLICES * n;

  write_tensor (w->out, i, at, at + n);
  return TRUE;
}

static void
test_threads (Place *p, gconstpointer data)
{
  EvoShape shapes[3] = { shape_of ("a", EVO_DTYPE_F32, 64, 1000), shape_of ("b", EVO_DTYPE_U8, 64, 999), shape_of ("c", EVO_DTYPE_BF16, 64, 501) };
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autoptr (EvoPool) pool = evo_pool_new (4);
  Writing w = { out, shapes };

  g_assert_true (evo_output_plan (out, shapes, 3, 0, NULL));
  g_assert_true (evo_pool_run (pool, 3 * SLICES, write_slice, &w, NULL));
  commit (out);
  check_saved (p->path, shapes, 3);
}

/* ------------------------------------------------------------------ not at all */

static void
expect (GError *error, GQuark domain, gint code, const char *at, const char *message)
{
  g_autofree char *want = made_text (message, at);

  g_assert_nonnull (error);
  g_assert_cmpstr (error->message, ==, want);
  g_assert_error (error, domain, code);
}

static void
test_dropped (Place *p, gconstpointer data)
{
  EvoShape shape = shape_of ("a", EVO_DTYPE_F32, 10, 10);
  g_autofree char *deep = g_build_filename (p->folder, "x", "y", "out//", NULL);
  g_autoptr (EvoOutput) out = new_output (deep, FALSE);

  g_assert_true (evo_output_plan (out, &shape, 1, 0, NULL));
  g_assert_true (evo_output_add_text (out, "README.md", "hello", -1, NULL));
  g_assert_cmpuint (made_count (p->folder), ==, 1);
  g_clear_pointer (&out, evo_output_free);
  g_assert_cmpuint (made_count (p->folder), ==, 0); /* the parents that were made for it, too */
  out = new_output (deep, FALSE);
  g_assert_true (evo_output_add_text (out, "README.md", "hello", -1, NULL));
  commit (out);
  g_clear_pointer (&out, evo_output_free);
  deep[strlen (deep) - 2] = '\0';
  g_assert_cmpuint (made_count (deep), ==, 1);
}

static void
test_unwritten (Place *p, gconstpointer data)
{
  EvoShape shapes[2] = { shape_of ("a", EVO_DTYPE_U8, 10, 10), shape_of ("b", EVO_DTYPE_U8, 10, 10) };
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_output_plan (out, shapes, 2, 0, NULL));
  write_tensor (out, 0, 0, 100);
  write_tensor (out, 1, 0, 40);
  write_tensor (out, 1, 41, 100);
  write_tensor (out, 1, 41, 100); /* bytes written twice do not make up for others */
  g_assert_false (evo_output_commit (out, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path,
          "@/model.safetensors: tensor \"b\" was not written from byte 40 of 100 on; this is a defect of evopipe");
  g_clear_error (&error);
  write_tensor (out, 1, 30, 50);
  commit (out);
  check_saved (p->path, shapes, 2);
}

static void
test_names (Place *p, gconstpointer data)
{
  static const char *const bad[] = { "", ".", "..", "a/b", "/etc/x" };
  EvoShape shapes[2] = { shape_of ("a", EVO_DTYPE_U8, 1, 1), shape_of ("a", EVO_DTYPE_U8, 1, 1) };
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE), twice = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_false (evo_output_add_text (out, bad[i], "x", -1, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE);
    g_assert_true (g_str_has_suffix (error->message, "is not the plain name of a file"));
    g_clear_error (&error);
  }
  g_assert_true (evo_output_plan (out, shapes, 1, 0, NULL));
  g_assert_false (evo_output_add_text (out, "model.safetensors", "x", -1, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@/model.safetensors: holds tensors and cannot be written over");
  g_clear_error (&error);
  g_clear_pointer (&out, evo_output_free);
  twice = new_output (p->path, FALSE);
  g_assert_false (evo_output_plan (twice, shapes, 2, 0, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@: cannot hold a tensor \"a\" (again)");
}

static void
test_copy (Place *p, gconstpointer data)
{
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autoptr (GString) bytes = made_bytes ("", (3 << 20) + 17);
  g_autofree char *from = g_build_filename (p->folder, "from", NULL), *pipe = g_build_filename (p->folder, "pipe", NULL),
                  *to = g_build_filename (p->path, "tokenizer.json", NULL), *copied = NULL;
  g_autoptr (GError) error = NULL;
  gsize n;

  made_file (p->folder, "from", bytes->str, (gssize) bytes->len);
  g_assert_true (evo_output_add_text (out, "tokenizer.json", "written over", -1, NULL));
  g_assert_true (evo_output_copy_file (out, "tokenizer.json", from, NULL));
  g_assert_false (evo_output_copy_file (out, "none", "/nowhere/none", &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "", "/nowhere/none: cannot be opened: No such file or directory");
  g_clear_error (&error);
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  g_assert_false (evo_output_copy_file (out, "none", pipe, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, pipe, "@: is not a regular file");
  commit (out);
  g_assert_true (g_file_get_contents (to, &copied, &n, NULL));
  g_assert_cmpmem (copied, n, bytes->str, bytes->len);
  g_assert_cmpuint (made_count (p->path), ==, 1);
}

/* A source that is cut off while its bytes are copied from the mapping: the write goes on, the check tells. */
static void
test_lost_source (Place *p, gconstpointer data)
{
  enum { BYTES = 1 << 20 };
  EvoShape shape = shape_of ("w", EVO_DTYPE_U8, 1024, 1024);
  g_autofree char *header = g_strdup_printf ("{\"w\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}}", BYTES, BYTES),
                  *path = g_build_filename (p->folder, "w.safetensors", NULL);
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autoptr (EvoStore) store = NULL;
  g_autoptr (GError) error = NULL;

  made_tensors (p->folder, "w.safetensors", header, BYTES);
  store = evo_store_open (path, &error);
  g_assert_no_error (error);
  g_assert_true (evo_output_plan (out, &shape, 1, 0, NULL));
  g_assert_cmpint (truncate (path, BYTES / 2), ==, 0);
  g_assert_true (evo_output_write (out, 0, 0, evo_store_peek (store, 0), BYTES, &error));
  g_assert_no_error (error);
  g_assert_false (evo_store_check (store, 0, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED);
}

/* ------------------------------------------------------------------ what stands there already */

static void
save_text (const char *path, gboolean replace, const char *text)
{
  g_autoptr (EvoOutput) out = new_output (path, replace);

  g_assert_true (evo_output_add_text (out, "config.json", text, -1, NULL));
  commit (out);
}

static void
check_text (const char *folder, const char *name, const char *want)
{
  g_autofree char *path = g_build_filename (folder, name, NULL), *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, want);
}

static void
test_exists (Place *p, gconstpointer data)
{
  g_autoptr (EvoOutput) late = new_output (p->path, FALSE);
  g_autoptr (GError) error = NULL;

  save_text (p->path, FALSE, "first");
  g_assert_null (evo_output_new (p->path, FALSE, &error));
  expect (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, p->path, "@: exists already; choose another place, or --force to replace it");
  g_assert_cmpint (evo_error_exit_code (error), ==, 2);
  g_clear_error (&error);
  g_assert_true (evo_output_add_text (late, "config.json", "late", -1, NULL)); /* it was not there when this one began */
  g_assert_false (evo_output_commit (late, &error));
  expect (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, p->path, "@: exists already; choose another place, or --force to replace it");
  g_clear_pointer (&late, evo_output_free);
  check_text (p->path, "config.json", "first");
  g_assert_cmpuint (made_count (p->folder), ==, 1);
}

static void
test_replace (Place *p, gconstpointer data)
{
  g_autofree char *sub = g_build_filename (p->path, "sub", NULL), *old = g_build_filename (sub, "old", NULL);
  g_autoptr (EvoOutput) out = NULL;

  save_text (p->path, TRUE, "first");
  g_assert_cmpint (mkdir (sub, 0700), ==, 0);
  made_file (sub, "old", "old", -1);
  out = new_output (p->path, TRUE);
  g_assert_true (evo_output_add_text (out, "README.md", "second", -1, NULL));
  check_text (p->path, "config.json", "first"); /* until commit */
  commit (out);
  g_clear_pointer (&out, evo_output_free);
  check_text (p->path, "README.md", "second");
  g_assert_cmpuint (made_count (p->path), ==, 1);
  g_assert_cmpuint (made_count (p->folder), ==, 1);
}

static void
expect_not_replaced (const char *path)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_output_new (path, TRUE, &error));
  expect (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, path,
          "@: exists and is not the directory of a model; only such a one or an empty one is replaced");
}

static void
test_never_replaced (Place *p, gconstpointer data)
{
  g_autofree char *file = g_build_filename (p->folder, "file", NULL);

  made_file (p->folder, "file", "x", 1);
  expect_not_replaced (file);
  expect_not_replaced (p->folder); /* holds a file that is no model's */
  g_assert_cmpint (mkdir (p->path, 0700), ==, 0);
  save_text (p->path, TRUE, "an empty one is");
  check_text (p->path, "config.json", "an empty one is");
}

static void
test_bad_places (Place *p, gconstpointer data)
{
  static const char *const bad[] = { "", "/", "..", "x/." };
  g_autofree char *file = g_build_filename (p->folder, "file", NULL), *below = g_build_filename (file, "below", NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *want = g_strdup_printf ("\"%s\": is not a place that can be written; a name is needed at its end", bad[i]);

    g_assert_false (evo_write_file (bad[i], "x", 1, &error));
    expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "@", want);
    g_clear_error (&error);
  }
  made_file (p->folder, "file", "x", 1);
  g_assert_null (evo_output_new (below, FALSE, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, below, "@: cannot be written: Not a directory");
}

/* ------------------------------------------------------------------ left-overs */

static char *
make_left_over (const Place *p, const char *name)
{
  char *path = g_build_filename (p->folder, name, NULL);

  g_assert_cmpint (mkdir (path, 0700), ==, 0);
  made_file (path, "model.safetensors", "half", -1);
  return path;
}

static void
test_left_overs (Place *p, gconstpointer data)
{
  g_autofree char *dead = make_left_over (p, ".out.evopipe-999999-0"), *alive = make_left_over (p, ".out.evopipe-999999-1"),
                  *others = make_left_over (p, ".out.evopipe-notes"), *another = make_left_over (p, ".outer.evopipe-1-1");
  int fd = open (alive, O_RDONLY);

  made_file (p->folder, ".out.evopipe-7-7", "half a file", -1);
  g_assert_cmpint (flock (fd, LOCK_EX), ==, 0); /* as a living process does */
  save_text (p->path, FALSE, "x");
  g_assert_false (g_file_test (dead, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (alive, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (others, G_FILE_TEST_EXISTS));
  g_assert_true (g_file_test (another, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (made_count (p->folder), ==, 4);
  close (fd);
}

/* Two at a time for one place, in one process: neither takes the other for a left-over. */
static void
test_side_by_side (Place *p, gconstpointer data)
{
  EvoShape shape = shape_of ("a", EVO_DTYPE_U8, 10, 10);
  g_autoptr (EvoOutput) one = new_output (p->path, FALSE), two = new_output (p->path, TRUE);

  g_assert_true (evo_output_plan (one, &shape, 1, 0, NULL) && evo_output_plan (two, &shape, 1, 0, NULL));
  write_tensor (one, 0, 0, 100);
  write_tensor (two, 0, 0, 100);
  commit (one);
  commit (two);
  check_saved (p->path, &shape, 1);
  g_assert_cmpuint (made_count (p->folder), ==, 1);
}

static void
die_while_writing (const char *path)
{
  EvoShape shape = shape_of ("a", EVO_DTYPE_U8, 1000, 1000);
  EvoOutput *out = new_output (path, FALSE);

  g_assert_true (evo_output_plan (out, &shape, 1, 0, NULL));
  write_tensor (out, 0, 0, 1000);
  kill (getpid (), SIGKILL);
}

static void
test_killed (void)
{
  Place p;

  if (g_test_subprocess ()) {
    die_while_writing (g_getenv ("TEST_OUTPUT_PATH"));
    return;
  }
  setup (&p, NULL);
  g_setenv ("TEST_OUTPUT_PATH", p.path, TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_unsetenv ("TEST_OUTPUT_PATH");
  g_assert_false (g_file_test (p.path, G_FILE_TEST_EXISTS));
  g_assert_cmpuint (made_count (p.folder), ==, 1);
  save_text (p.path, FALSE, "x");
  g_assert_cmpuint (made_count (p.folder), ==, 1);
  g_assert_cmpuint (made_count (p.path), ==, 1);
  teardown (&p, NULL);
}

/* ------------------------------------------------------------------ disks that say no */

static void
limit_files (rlim_t bytes)
{
  struct rlimit limit;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  limit.rlim_cur = MIN (bytes, limit.rlim_max);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
}

static void
test_file_limit (Place *p, gconstpointer data)
{
  EvoShape shape = shape_of ("a", EVO_DTYPE_U8, 1000, 1000);
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autofree char *text = g_strnfill (200000, 'x'), *file = g_build_filename (p->folder, "file", NULL);
  g_autoptr (GError) planned = NULL, added = NULL, written = NULL;
  gboolean ok;

  limit_files (100000);
  ok = evo_output_plan (out, &shape, 1, 0, &planned);
  ok |= evo_output_add_text (out, "README.md", text, -1, &added);
  ok |= evo_write_file (file, text, -1, &written);
  limit_files (RLIM_INFINITY);
  g_assert_false (ok);
  expect (planned, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path,
          "@/model.safetensors: larger than files may be here (ulimit -f, or the file system); it needs 1.00 MB");
  expect (added, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@/README.md: larger than files may be here (ulimit -f, or the file system)");
  expect (written, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, file, "@: larger than files may be here (ulimit -f, or the file system)");
  g_clear_pointer (&out, evo_output_free);
  g_assert_cmpuint (made_count (p->folder), ==, 0);
}

static void
test_no_space (Place *p, gconstpointer data)
{
  EvoShape shape = shape_of ("a", EVO_DTYPE_U8, 8000, G_GINT64_CONSTANT (1000000000)); /* 8 TB */
  g_autoptr (EvoOutput) out = new_output (p->path, FALSE);
  g_autofree char *space = made_text ("@/model.safetensors: not enough space on the disk; it needs 8.00 TB", p->path),
                  *size = made_text ("@/model.safetensors: larger than files may be here (ulimit -f, or the file system); it needs 8.00 TB", p->path);
  g_autoptr (GError) error = NULL;

  if (evo_output_plan (out, &shape, 1, 0, &error)) {
    g_test_skip ("8 TB are free here");
    return;
  }
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE);
  g_assert_true (g_str_equal (error->message, space) || g_str_equal (error->message, size));
  g_clear_pointer (&out, evo_output_free);
  g_assert_cmpuint (made_count (p->folder), ==, 0);
}

static void
test_read_only (Place *p, gconstpointer data)
{
  enum { NOBODY = 65534 };
  gboolean is_root = geteuid () == 0;
  g_autoptr (GError) error = NULL, file_error = NULL;
  g_autoptr (EvoOutput) out = NULL;
  gboolean written;

  g_assert_cmpint (chmod (p->folder, 0555), ==, 0);
  g_assert_true (!is_root || seteuid (NOBODY) == 0); /* nothing is read-only to root */
  out = evo_output_new (p->path, FALSE, &error);
  written = evo_write_file (p->path, "x", 1, &file_error);
  g_assert_true (!is_root || seteuid (0) == 0);
  g_assert_cmpint (chmod (p->folder, 0755), ==, 0);
  g_assert_null (out);
  g_assert_false (written);
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@: cannot be written: Permission denied");
  expect (file_error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@: cannot be written: Permission denied");
}

static void
test_sentences (Place *p, gconstpointer data)
{
  static const struct { int code; guint64 n; const char *message; } wants[] = {
    { ENOSPC, 0, "F: not enough space on the disk" },
    { ENOSPC, 14000000000, "F: not enough space on the disk; it needs 14.0 GB" },
    { EDQUOT, 5000, "F: the disk quota is used up; it needs 5.00 kB" },
    { EFBIG, 0, "F: larger than files may be here (ulimit -f, or the file system)" },
    { EIO, 5000, "F: cannot be written: Input/output error" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (wants); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (evo_write_failed ("F", wants[i].code, wants[i].n, &error));
    expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "@", wants[i].message);
  }
}

static void
test_bad_descriptor (Place *p, gconstpointer data)
{
  g_autofree char *path = g_build_filename (p->folder, "read-only", NULL);
  g_autoptr (GError) allocated = NULL, written = NULL, synced = NULL;
  int fd;

  made_file (p->folder, "read-only", "x", 1);
  fd = open (path, O_RDONLY);
  g_assert_false (evo_write_allocate (fd, "F", 100, &allocated));
  g_assert_false (evo_write_all (fd, "F", "abc", 3, 0, &written));
  g_assert_true (evo_write_allocate (fd, "F", 0, NULL) && evo_write_all (fd, "F", "", 0, 0, NULL) && evo_write_sync (fd, "F", NULL));
  close (fd);
  g_assert_false (evo_write_sync (fd, "F", &synced));
  expect (allocated, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "@", "F: cannot be written: Bad file descriptor");
  expect (written, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "@", "F: cannot be written: Bad file descriptor");
  expect (synced, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "@", "F: cannot be written: Bad file descriptor");
}

/* ------------------------------------------------------------------ one file */

static void
test_beside (Place *p, gconstpointer data)
{
  g_autofree char *slashes = g_strconcat (p->path, "//", NULL);
  g_autoptr (EvoBeside) one = evo_beside_new (slashes, EVO_BESIDE_FILE, NULL), two = evo_beside_new (p->path, EVO_BESIDE_FILE, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (evo_beside_get_path (one), ==, p->path);
  g_assert_true (evo_write_all (evo_beside_get_fd (one), "F", "one", 3, 0, NULL));
  g_assert_true (evo_write_all (evo_beside_get_fd (two), "F", "two", 3, 0, NULL));
  g_assert_true (evo_beside_land (one, FALSE, NULL));
  g_assert_false (evo_beside_land (two, FALSE, &error));
  g_assert_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS);
  check_text (p->folder, "out", "one");
  g_assert_true (evo_beside_land (two, TRUE, NULL));
  check_text (p->folder, "out", "two");
  g_assert_cmpuint (made_count (p->folder), ==, 1);
}

static void
test_file (Place *p, gconstpointer data)
{
  g_autofree char *file = g_build_filename (p->folder, "file", NULL), *nowhere = g_build_filename (p->folder, "no", "file", NULL), *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize n;

  g_assert_true (evo_write_file (file, "first", -1, NULL));
  check_text (p->folder, "file", "first");
  g_assert_true (evo_write_file (file, "a\0b", 3, NULL));
  g_assert_true (g_file_get_contents (file, &text, &n, NULL));
  g_assert_cmpmem (text, n, "a\0b", 3);
  g_assert_true (evo_write_file (file, "", 0, NULL));
  check_text (p->folder, "file", "");
  g_assert_false (evo_write_file (nowhere, "x", 1, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, nowhere, "@: cannot be written: No such file or directory");
  g_clear_error (&error);
  g_assert_cmpint (mkdir (p->path, 0700), ==, 0);
  g_assert_false (evo_write_file (p->path, "x", 1, &error));
  expect (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, p->path, "@: cannot be written: Is a directory");
  g_assert_cmpuint (made_count (p->folder), ==, 2);
}

static void
test_long_name (Place *p, gconstpointer data)
{
  g_autofree char *name = g_strnfill (255, 'n'), *file = g_build_filename (p->folder, name, NULL);

  g_assert_true (evo_write_file (file, "x", 1, NULL));
  check_text (p->folder, name, "x");
}

int
main (int argc, char **argv)
{
  static const struct { const char *path; void (*func) (Place *, gconstpointer); } tests[] = {
    { "/output/round/single", test_single }, { "/output/round/sharded", test_sharded }, { "/output/round/no-tensors", test_no_tensors },
    { "/output/round/threads", test_threads }, { "/output/part/dropped", test_dropped }, { "/output/part/unwritten", test_unwritten },
    { "/output/part/names", test_names }, { "/output/part/copy", test_copy }, { "/output/part/lost-source", test_lost_source },
    { "/output/place/exists", test_exists }, { "/output/place/replace", test_replace }, { "/output/place/never-replaced", test_never_replaced },
    { "/output/place/bad", test_bad_places }, { "/output/left-overs/removed", test_left_overs },
    { "/output/left-overs/side-by-side", test_side_by_side }, { "/output/disk/file-limit", test_file_limit },
    { "/output/disk/no-space", test_no_space }, { "/output/disk/read-only", test_read_only }, { "/output/disk/sentences", test_sentences },
    { "/output/disk/bad-descriptor", test_bad_descriptor }, { "/output/file/beside", test_beside }, { "/output/file/written", test_file },
    { "/output/file/long-name", test_long_name },
  };

  g_test_init (&argc, &argv, NULL);
  umask (022);
  signal (SIGXFSZ, SIG_IGN); /* as main does: the write then fails instead */
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Place, NULL, setup, tests[i].func, teardown);
  g_test_add_func ("/output/left-overs/killed", test_killed);
  return g_test_run ();
}
