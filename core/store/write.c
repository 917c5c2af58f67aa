/* SPDX-License-Identifier: Apache-2.0
 * write.c - bytes onto a disk, and what went wrong as a sentence.
 */
#include "core/store/write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/text.h"

gboolean
evo_write_failed (const char *path, int code, guint64 n_bytes, GError **error)
{
  g_autofree char *size = evo_size_text (n_bytes), *needs = n_bytes == 0 ? g_strdup ("") : g_strdup_printf ("; it needs %s", size);

  switch (code) {
  case ENOSPC:
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: not enough space on the disk%s", path, needs);
  case EDQUOT:
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: the disk quota is used up%s", path, needs);
  case EFBIG:
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE,
                          "%s: larger than files may be here (ulimit -f, or the file system)%s", path,
                          needs);
  default:
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be written: %s", path, g_strerror (code));
  }
}

/* Asked before anything is reserved: a file system reserves block after block and finds out at the last one, with everybody else's disk full
 * meanwhile. */
static gboolean
has_room (int fd, guint64 n)
{
  struct statvfs fs;

  return fstatvfs (fd, &fs) != 0 || fs.f_blocks == 0 || fs.f_bavail >= n / fs.f_frsize;
}

/* Where the file system cannot reserve space the last byte must be writable. */
static int
write_last (int fd, guint64 n)
{
  gssize written;

  do
    written = pwrite (fd, "", 1, (off_t) (n - 1));
  while (written < 0 && errno == EINTR);
  return written < 0 ? errno : 0;
}

gboolean
evo_write_allocate (int fd, const char *path, guint64 n, GError **error)
{
  int code;

  if (n == 0)
    return TRUE;
  if (n > G_MAXINT64)
    return evo_write_failed (path, EFBIG, n, error);
  if (!has_room (fd, n))
    return evo_write_failed (path, ENOSPC, n, error);
  do
    code = fallocate (fd, 0, 0, (off_t) n) == 0 ? 0 : errno;
  while (code == EINTR);
  if (code == EOPNOTSUPP || code == ENOSYS)
    code = write_last (fd, n);
  return code == 0 ? TRUE : evo_write_failed (path, code, n, error);
}

/* The kernel gives EFAULT, not SIGBUS, where it cannot read a mapped page for us. Reading it ourselves raises the signal, whose handler
 * (map.c) lays zeros there and flags the mapping: the write succeeds and the reader's check says what happened. */
static void
touch (gconstpointer bytes, gsize n)
{
  enum { LEAST_PAGE = 4096 };
  const volatile guint8 *p = bytes;

  for (gsize i = 0; i < n; i += LEAST_PAGE)
    (void) p[i];
  (void) p[n - 1];
}

gboolean
evo_write_all (int fd, const char *path, gconstpointer bytes, gsize n, guint64 offset, GError **error)
{
  const guint8 *p = bytes;
  gboolean touched = FALSE;

  while (n > 0) {
    gssize done = pwrite (fd, p, n, (off_t) offset);

    if (done < 0 && errno == EINTR)
      continue;
    if (done < 0 && errno == EFAULT && !touched) {
      touch (p, n);
      touched = TRUE;
      continue;
    }
    if (done <= 0)
      return evo_write_failed (path, done < 0 ? errno : EIO, 0, error);
    p += done;
    offset += (guint64) done;
    n -= (gsize) done;
  }
  return TRUE;
}

gboolean
evo_write_sync (int fd, const char *path, GError **error)
{
  int code;

  do
    code = fsync (fd) == 0 ? 0 : errno;
  while (code == EINTR);
  return code == 0 || code == EINVAL /* this file system has nothing to sync here */ ? TRUE : evo_write_failed (path, code, 0, error);
}
