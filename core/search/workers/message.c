/* SPDX-License-Identifier: Apache-2.0
 * message.c - records over a socket: a 64-bit length, then that many bytes.
 */
#include "core/search/workers/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST = 1 << 30, STEP = 1 << 20 };

void
evo_message_init (EvoMessage *m)
{
  *m = (EvoMessage){ g_byte_array_new (), 0, FALSE };
}

void
evo_message_clear (EvoMessage *m)
{
  g_clear_pointer (&m->bytes, g_byte_array_unref);
}

static void
put (EvoMessage *m, gconstpointer bytes, gsize n)
{
  if (n > 0)
    g_byte_array_append (m->bytes, bytes, (guint) n);
}

static void
get (EvoMessage *m, gpointer out, gsize n)
{
  if (m->broken || n > m->bytes->len - m->at) {
    m->broken = TRUE;
    memset (out, 0, n);
    return;
  }
  memcpy (out, m->bytes->data + m->at, n);
  m->at += n;
}

void
evo_message_put_int (EvoMessage *m, gint64 x)
{
  x = GINT64_TO_LE (x);
  put (m, &x, sizeof x);
}

gint64
evo_message_get_int (EvoMessage *m)
{
  gint64 x;

  get (m, &x, sizeof x);
  return GINT64_FROM_LE (x);
}

/* Length of what follows, -1 for NULL; a length beyond the message breaks it. */
static gint64
get_length (EvoMessage *m, gsize each)
{
  gint64 n = evo_message_get_int (m);

  if (n < -1 || (n > 0 && (gsize) n > (m->bytes->len - m->at) / each))
    m->broken = TRUE;
  return m->broken ? -1 : n;
}

void
evo_message_put_text (EvoMessage *m, const char *text)
{
  evo_message_put_int (m, text == NULL ? -1 : (gint64) strlen (text));
  if (text != NULL)
    put (m, text, strlen (text));
}

char *
evo_message_get_text (EvoMessage *m)
{
  gint64 n = get_length (m, 1);
  char *text;

  if (n < 0)
    return NULL;
  text = g_malloc0 ((gsize) n + 1);
  get (m, text, (gsize) n);
  return text;
}

void
evo_message_put_doubles (EvoMessage *m, const double *x, gsize n)
{
  evo_message_put_int (m, (gint64) n);
  put (m, x, n * sizeof *x);
}

double *
evo_message_get_doubles (EvoMessage *m, gsize *n)
{
  gint64 count = get_length (m, sizeof (double));
  double *x = g_new0 (double, MAX (count, 1));

  *n = (gsize) MAX (count, 0);
  get (m, x, *n * sizeof *x);
  return x;
}

void
evo_message_put_ints (EvoMessage *m, const gint64 *x, gsize n)
{
  evo_message_put_int (m, x == NULL ? -1 : (gint64) n);
  if (x != NULL)
    put (m, x, n * sizeof *x);
}

gint64 *
evo_message_get_ints (EvoMessage *m, gsize *n)
{
  gint64 count = get_length (m, sizeof (gint64));
  gint64 *x;

  *n = (gsize) MAX (count, 0);
  if (count < 0)
    return NULL;
  x = g_new0 (gint64, MAX (count, 1));
  get (m, x, (gsize) count * sizeof *x);
  return x;
}

static gboolean
send_all (int fd, const void *bytes, gsize n)
{
  const char *p = bytes;

  while (n > 0) {
    gssize sent = send (fd, p, n, MSG_NOSIGNAL);

    if (sent < 0 && errno == EINTR)
      continue;
    if (sent <= 0)
      return FALSE;
    p += sent;
    n -= (gsize) sent;
  }
  return TRUE;
}

static int
receive_all (int fd, void *bytes, gsize n)
{
  char *p = bytes;

  while (n > 0) {
    gssize got = read (fd, p, n);

    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return got == 0 && p == (char *) bytes ? 0 : -1;
    p += got;
    n -= (gsize) got;
  }
  return 1;
}

gboolean
evo_message_send (int fd, const EvoMessage *m)
{
  guint64 n = GUINT64_TO_LE ((guint64) m->bytes->len);

  return send_all (fd, &n, sizeof n) && send_all (fd, m->bytes->data, m->bytes->len);
}

/* Grows with what has come, so that a wrong length costs no memory. */
static gboolean
receive_body (int fd, GByteArray *bytes, guint64 n)
{
  while (bytes->len < n) {
    guint at = bytes->len, step = (guint) MIN (n - at, MAX ((guint64) at, STEP));

    g_byte_array_set_size (bytes, at + step);
    if (receive_all (fd, bytes->data + at, step) != 1) {
      g_byte_array_set_size (bytes, 0);
      return FALSE;
    }
  }
  return TRUE;
}

int
evo_message_receive (int fd, EvoMessage *m)
{
  guint64 n;
  int rc = receive_all (fd, &n, sizeof n);

  g_byte_array_set_size (m->bytes, 0);
  m->at = 0;
  m->broken = FALSE;
  if (rc != 1)
    return rc;
  n = GUINT64_FROM_LE (n);
  return n <= LARGEST && receive_body (fd, m->bytes, n) ? 1 : -1;
}
