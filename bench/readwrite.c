/* SPDX-License-Identifier: Apache-2.0
 * readwrite.c - readwrite OUT FILE...: reads all bytes of the files, writes those of the first, in one plain loop; then syncs. Seconds as JSON.
 *
 * What no merge of these files to one file of that size can be much faster than.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 };

static double
now (void)
{
  struct timespec t;

  clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static int
copy (const char *path, int to, char *block)
{
  int from = open (path, O_RDONLY);
  ssize_t n;

  if (from < 0)
    return 0;
  while ((n = read (from, block, BLOCK)) > 0)
    for (ssize_t at = 0, done; to >= 0 && at < n; at += done)
      if ((done = write (to, block + at, (size_t) (n - at))) <= 0)
        return 0;
  close (from);
  return n == 0;
}

int
main (int argc, char **argv)
{
  char *block = aligned_alloc (4096, BLOCK);
  double began = now (), written;
  int to = argc < 3 ? -1 : open (argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666);

  for (int i = 2; to >= 0 && block != NULL && i < argc; i++)
    if (!copy (argv[i], i == 2 ? to : -1, block)) {
      perror (argv[i]);
      return 1;
    }
  written = now ();
  if (to < 0 || fsync (to) != 0) {
    fprintf (stderr, "usage: readwrite OUT FILE...\n");
    return 2;
  }
  printf ("{\"seconds\": %.4f, \"sync\": %.4f}\n", written - began, now () - written);
  free (block);
  return 0;
}
