/* SPDX-License-Identifier: Apache-2.0
 * text-file.c - reads a whole text file of a bounded size, and walks its lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/data/rows-read.h"

static gboolean
fail_open (const char *path, int fd, const char *what, GError **error)
{
  if (fd >= 0)
    close (fd);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: %s", path, what);
}

/* All of an open file, in blocks: its size may change while it is read. */
static gboolean
read_all (int fd, gsize most, GByteArray *out, const char **what)
{
  enum { BLOCK = 1 << 18 };

  for (;;) {
    gsize had = out->len;
    gssize got;

    if (had > most) {
      *what = NULL;
      return FALSE;
    }
    g_byte_array_set_size (out, (guint) had + BLOCK);
    got = read (fd, out->data + had, BLOCK);
    g_byte_array_set_size (out, (guint) had + (guint) MAX (got, 0));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0) {
      *what = got < 0 ? g_strerror (errno) : "";
      return got == 0;
    }
  }
}

static GByteArray *
read_bytes (const char *path, gsize most, GError **error)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of this name must not hold us up */
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree char *size = evo_size_text (most);
  const char *what;
  struct stat info;

  if (fd < 0) {
    fail_open (path, fd, g_strerror (errno), error);
    return NULL;
  }
  if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
    fail_open (path, fd, "is no regular file", error);
    return NULL;
  }
  if (!read_all (fd, most, bytes, &what)) {
    close (fd);
    evo_set_error (error, EVO_STORE_ERROR, what == NULL ? EVO_STORE_ERROR_FORMAT : EVO_STORE_ERROR_OPEN, "%s: %s%s", path,
                   what == NULL ? "is larger than " : "cannot be read: ", what == NULL ? size : what);
    return NULL;
  }
  close (fd);
  return g_steal_pointer (&bytes);
}

static gboolean
check_utf8 (const char *path, const char *text, gsize n, GError **error)
{
  const char *bad;
  gint64 line = 1;

  if (g_utf8_validate_len (text, n, &bad))
    return TRUE;
  for (const char *c = text; c < bad; c++)
    line += *c == '\n';
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s:%" G_GINT64_FORMAT ": %s", path, line,
                        *bad == '\0' ? "a NUL byte; text has none" : "is not UTF-8; convert the file (iconv -t UTF-8)");
}

char *
evo_read_text_file (const char *path, gsize most_bytes, gsize *n, GError **error)
{
  static const char mark[] = "\xef\xbb\xbf";
  g_autoptr (GByteArray) bytes = read_bytes (path, most_bytes, error);

  if (bytes == NULL)
    return NULL;
  if (bytes->len >= 3 && memcmp (bytes->data, mark, 3) == 0)
    g_byte_array_remove_range (bytes, 0, 3);
  if (!check_utf8 (path, (const char *) bytes->data, bytes->len, error))
    return NULL;
  *n = bytes->len;
  g_byte_array_append (bytes, (const guint8 *) "", 1);
  return (char *) g_byte_array_free (g_steal_pointer (&bytes), FALSE);
}

gboolean
evo_lines_next (EvoLines *l, EvoText *out)
{
  const char *end;

  if (l->at >= l->end)
    return FALSE;
  end = memchr (l->at, '\n', (gsize) (l->end - l->at));
  if (end == NULL)
    end = l->end;
  *out = (EvoText){ l->at, (gsize) (end - l->at) };
  if (out->n > 0 && out->bytes[out->n - 1] == '\r')
    out->n--;
  l->at = end + 1;
  l->line++;
  return TRUE;
}
