/* SPDX-License-Identifier: Apache-2.0
 * output-files.c - the other files of a directory in the making: texts, and copies of a source's.
 */
#include "core/store/output-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/store/write.h"

/* A file of ours to be written anew under a plain name; *path: what messages call it. -1 and error. */
static int
open_companion (const EvoOutput *out, const char *name, char **path, GError **error)
{
  int fd;

  *path = g_build_filename (evo_beside_get_path (out->beside), name, NULL);
  if (name[0] == '\0' || strchr (name, '/') != NULL || g_str_equal (name, ".") || g_str_equal (name, "..")) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE,
                   "%s: \"%s\" is not the plain name of a file", evo_beside_get_path (out->beside), name);
    return -1;
  }
  for (guint i = 0; i < out->n_shards; i++)
    if (g_str_equal (name, out->shards[i].name)) {
      evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: holds tensors and cannot be written over", *path);
      return -1;
    }
  fd = evo_output_open_inside (out, name, O_TRUNC);
  if (fd < 0)
    evo_write_failed (*path, errno, 0, error);
  return fd;
}

gboolean
evo_output_add_text (EvoOutput *out, const char *name, const char *text, gssize n, GError **error)
{
  g_autofree char *path = NULL;
  gsize size = n < 0 ? strlen (text) : (gsize) n;
  int fd = open_companion (out, name, &path, error);
  gboolean done;

  if (fd < 0)
    return FALSE;
  done = evo_write_all (fd, path, text, size, 0, error) && evo_output_sync (out, fd, path, error);
  close (fd);
  return done;
}

static gboolean
copy_bytes (int from, const char *from_path, int to, const char *to_path, GError **error)
{
  enum { STEP = 1 << 20 };
  g_autofree char *buffer = g_malloc (STEP);
  guint64 at = 0;

  for (;;) {
    gssize n = read (from, buffer, STEP);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be read: %s", from_path, g_strerror (errno));
    if (n == 0)
      return TRUE;
    if (!evo_write_all (to, to_path, buffer, (gsize) n, at, error))
      return FALSE;
    at += (guint64) n;
  }
}

gboolean
evo_output_copy_file (EvoOutput *out, const char *name, const char *from, GError **error)
{
  g_autofree char *path = NULL;
  int source = open (from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), fd;
  struct stat st;
  gboolean done;

  if (source < 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be opened: %s", from, g_strerror (errno));
  if (fstat (source, &st) != 0 || !S_ISREG (st.st_mode)) {
    close (source);
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: is not a regular file", from);
  }
  fd = open_companion (out, name, &path, error);
  done = fd >= 0 && copy_bytes (source, from, fd, path, error) && evo_output_sync (out, fd, path, error);
  if (fd >= 0)
    close (fd);
  close (source);
  return done;
}
