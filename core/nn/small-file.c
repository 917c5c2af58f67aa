/* SPDX-License-Identifier: Apache-2.0
 * small-file.c - a file read whole.
 */
#include "core/nn/small-file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/base/error.h"

/* Up to `most` + 1 bytes: one too many shows that the file is too long. */
static gboolean
read_up_to (int fd, gsize most, GByteArray *out)
{
  guint8 buffer[1 << 16];

  while (out->len <= most) {
    gssize n = read (fd, buffer, MIN (sizeof buffer, most + 1 - out->len));

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n == 0;
    g_byte_array_append (out, buffer, (guint) n);
  }
  return TRUE;
}

GBytes *
evo_small_file_read (const char *path, gsize most, GError **error)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  int fd = open (path, O_RDONLY | O_CLOEXEC), failed = 0;

  g_return_val_if_fail (most < G_MAXUINT32, NULL);
  if (fd < 0 || !read_up_to (fd, most, out))
    failed = errno;
  if (fd >= 0)
    close (fd);
  if (failed != 0) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be read: %s", path, g_strerror (failed));
    return NULL;
  }
  if (out->len > most) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                   "%s: more than %" G_GSIZE_FORMAT " bytes; a file of this kind is smaller", path, most);
    return NULL;
  }
  return g_byte_array_free_to_bytes (g_steal_pointer (&out));
}
