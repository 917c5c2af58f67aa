/* SPDX-License-Identifier: Apache-2.0
 * driver.h - runs a parser over every file of a corpus and over seeded mutations of each; the same bytes in every run.
 *
 * A target is one .c file: it includes this header and defines fuzz_one, which takes n bytes (on the heap, of exactly that size, so that
 * AddressSanitizer sees a byte too far), and returns 0. What must hold it asserts. Usage: TARGET FOLDER [MUTATIONS [FILE NUMBER]]; the last
 * two run one input alone. A crash or a hang names the file and the number first.
 */
#ifndef EVO_FUZZ_DRIVER_H
#define EVO_FUZZ_DRIVER_H

#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fuzz_one (const uint8_t *data, size_t n);

enum { FUZZ_LONGEST = 1 << 20, FUZZ_SECONDS = 20 };

typedef struct { char *name; uint8_t *bytes; gsize n; } FuzzFile;

static char fuzz_now[300]; /* what a signal handler says */

static void
fuzz_on_signal (int signo)
{
  (void) !write (STDERR_FILENO, fuzz_now, strlen (fuzz_now));
  signal (signo, SIG_DFL);
  raise (signo);
}

static guint32
fuzz_below (guint64 *state, gsize n)
{
  *state = *state * G_GUINT64_CONSTANT (6364136223846793005) + G_GUINT64_CONSTANT (1442695040888963407);
  return n == 0 ? 0 : (guint32) ((*state >> 33) % n);
}

/* A value that parsers stumble over, in 1, 2, 4 or 8 little-endian bytes. */
static void
fuzz_put_extreme (GByteArray *b, guint64 *r)
{
  static const guint64 extremes[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, G_MAXINT64, G_MAXUINT64,
                                      G_GUINT64_CONSTANT (0x8000000000000000), G_GUINT64_CONSTANT (0x20000000000001) };
  guint64 v = extremes[fuzz_below (r, G_N_ELEMENTS (extremes))] + fuzz_below (r, 3) - 1;
  gsize width = (gsize) 1 << fuzz_below (r, 4), at = b->len < width ? 0 : fuzz_below (r, b->len - width + 1);

  memcpy (b->data + at, &v, MIN (width, b->len));
}

/* Some bytes of `from` go in at a random place. */
static void
fuzz_insert (GByteArray *b, const uint8_t *from, gsize n_from, guint64 *r)
{
  gsize start = fuzz_below (r, n_from), n = 1 + fuzz_below (r, fuzz_below (r, 4) == 0 ? 4096 : 24);
  gsize at = fuzz_below (r, b->len + 1), old = b->len;
  g_autofree uint8_t *copy = NULL;

  n = MIN (n, n_from - start);
  if (n_from == 0 || old + n > FUZZ_LONGEST)
    return;
  copy = g_memdup2 (from + start, n);
  g_byte_array_set_size (b, (guint) (old + n));
  memmove (b->data + at + n, b->data + at, old - at);
  memcpy (b->data + at, copy, n);
}

static void
fuzz_mutate_once (GByteArray *b, const FuzzFile *other, guint64 *r)
{
  static const uint8_t marks[] = "{}[]()\",:;\\/'-+.eE019 \n\t\r\0\x7f\x80\xc3\xe2\xf0\xff<>|#%*&!=@";
  guint at = fuzz_below (r, b->len), n;

  switch (b->len == 0 ? 4 : fuzz_below (r, 8)) {
  case 0:
    b->data[at] ^= (uint8_t) (1u << fuzz_below (r, 8));
    return;
  case 1:
    b->data[at] = marks[fuzz_below (r, sizeof marks - 1)];
    return;
  case 2:
    n = 1 + fuzz_below (r, 24);
    g_byte_array_remove_range (b, at, MIN (n, b->len - at));
    return;
  case 3:
    fuzz_insert (b, b->data, b->len, r);
    return;
  case 4:
    fuzz_insert (b, other->bytes, other->n, r);
    return;
  case 5:
    fuzz_insert (b, marks, sizeof marks - 1, r);
    return;
  case 6:
    fuzz_put_extreme (b, r);
    return;
  default:
    if (fuzz_below (r, 8) == 0)
      g_byte_array_set_size (b, at);
    else
      b->data[at] = (uint8_t) fuzz_below (r, 256);
  }
}

/* Input `number` of a file: 0 is the file itself. */
static void
fuzz_run (const FuzzFile *files, guint n_files, guint which, guint number)
{
  g_autoptr (GByteArray) b = g_byte_array_new ();
  guint64 r = G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) * (number + 1) ^ g_str_hash (files[which].name);
  uint8_t *exact;

  g_byte_array_append (b, files[which].bytes, (guint) files[which].n);
  for (guint left = number == 0 ? 0 : 1 + fuzz_below (&r, 1 + fuzz_below (&r, 6)); left > 0; left--)
    fuzz_mutate_once (b, &files[fuzz_below (&r, n_files)], &r);
  g_snprintf (fuzz_now, sizeof fuzz_now, "\n# input: %s %u\n", files[which].name, number);
  exact = malloc (MAX (b->len, 1));
  g_assert_nonnull (exact);
  memcpy (exact, b->data, b->len);
  alarm (FUZZ_SECONDS);
  g_assert_cmpint (fuzz_one (exact, b->len), ==, 0);
  alarm (0);
  free (exact);
}

static gint
fuzz_by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (((const FuzzFile *) a)->name, ((const FuzzFile *) b)->name);
}

/* In the order of names: a mutation may take bytes of another file. */
static GArray *
fuzz_read (const char *folder)
{
  GArray *files = g_array_new (FALSE, FALSE, sizeof (FuzzFile));
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);

  g_assert_nonnull (dir);
  for (const char *name = g_dir_read_name (dir); name != NULL; name = g_dir_read_name (dir)) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    FuzzFile f = { .name = g_strdup (name) };

    g_assert_true (g_file_get_contents (path, (char **) &f.bytes, &f.n, NULL));
    g_assert_cmpuint (f.n, <=, FUZZ_LONGEST);
    g_array_append_val (files, f);
  }
  g_assert_cmpuint (files->len, >, 0);
  g_array_sort (files, fuzz_by_name);
  return files;
}

static void
fuzz_forget (GArray *files)
{
  for (guint i = 0; i < files->len; i++) {
    g_free (g_array_index (files, FuzzFile, i).name);
    g_free (g_array_index (files, FuzzFile, i).bytes);
  }
  g_array_unref (files);
}

int
main (int argc, char **argv)
{
  guint mutations = argc > 2 ? (guint) atoi (argv[2]) : 1000;
  const char *only = argc > 4 ? argv[3] : NULL;
  guint only_number = argc > 4 ? (guint) atoi (argv[4]) : 0;
  GArray *read;
  const FuzzFile *files;

  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_FATAL_MASK);
  g_assert_cmpint (argc, >, 1);
  read = fuzz_read (argv[1]);
  files = (const FuzzFile *) (void *) read->data;
  signal (SIGABRT, fuzz_on_signal);
  signal (SIGSEGV, fuzz_on_signal);
  signal (SIGBUS, fuzz_on_signal);
  signal (SIGFPE, fuzz_on_signal);
  signal (SIGALRM, fuzz_on_signal);
  printf ("1..%u\n", read->len);
  for (guint i = 0; i < read->len; i++) {
    for (guint k = 0; only == NULL && k <= mutations; k++)
      fuzz_run (files, read->len, i, k);
    if (g_strcmp0 (only, files[i].name) == 0)
      fuzz_run (files, read->len, i, only_number);
    printf ("ok %u %s\n", i + 1, files[i].name);
  }
  fuzz_forget (read);
  return 0;
}

#endif
