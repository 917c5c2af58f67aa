/* SPDX-License-Identifier: Apache-2.0
 * test-message.c - messages over a socket pair: round trips, and what becomes of those that are short, long, or lie about their lengths.
 */
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/search/workers/message.h"

typedef struct { int a, b; } Pair;

static Pair
new_pair (void)
{
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
  return (Pair){ fds[0], fds[1] };
}

static void
close_pair (Pair p)
{
  close (p.a);
  close (p.b);
}

static void
write_raw (int fd, gconstpointer bytes, gsize n)
{
  g_assert_cmpint (write (fd, bytes, n), ==, (gssize) n);
}

static void
write_length (int fd, guint64 n)
{
  n = GUINT64_TO_LE (n);
  write_raw (fd, &n, sizeof n);
}

/* ------------------------------------------------------------------ what is put is what is got */

static const gint64 whole[] = { 0, 1, -1, G_MAXINT64, G_MININT64, 1234567890123 };
static const double real[] = { 0, -0.0, 1.5, HUGE_VAL, -HUGE_VAL, 5e-324, 1.7976931348623157e308 };
static const char *const texts[] = { "", "a", "日本語 \"x\"\n", "\x80\xff raw" };

static void
put_all (EvoMessage *m)
{
  for (guint i = 0; i < G_N_ELEMENTS (whole); i++)
    evo_message_put_int (m, whole[i]);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    evo_message_put_text (m, texts[i]);
  evo_message_put_text (m, NULL);
  evo_message_put_doubles (m, real, G_N_ELEMENTS (real));
  evo_message_put_doubles (m, NULL, 0);
  evo_message_put_ints (m, whole, G_N_ELEMENTS (whole));
  evo_message_put_ints (m, whole, 0);
  evo_message_put_ints (m, NULL, 0);
}

static void
check_texts (EvoMessage *m)
{
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *text = evo_message_get_text (m);

    g_assert_cmpstr (text, ==, texts[i]);
  }
  g_assert_null (evo_message_get_text (m));
  g_assert_false (m->broken);
}

static void
check_doubles (EvoMessage *m)
{
  gsize n;
  g_autofree double *x = evo_message_get_doubles (m, &n);

  g_assert_cmpmem (x, n * sizeof *x, real, sizeof real);
  g_autofree double *none = evo_message_get_doubles (m, &n);
  g_assert_cmpuint (n, ==, 0);
}

static void
check_ints (EvoMessage *m)
{
  gsize n;
  g_autofree gint64 *x = evo_message_get_ints (m, &n);

  g_assert_cmpmem (x, n * sizeof *x, whole, sizeof whole);
  g_autofree gint64 *none = evo_message_get_ints (m, &n);
  g_assert_nonnull (none); /* an empty list is not NULL: it means no items, NULL all of them */
  g_assert_cmpuint (n, ==, 0);
  g_assert_null (evo_message_get_ints (m, &n));
  g_assert_cmpuint (n, ==, 0);
}

static void
check_all (EvoMessage *m)
{
  for (guint i = 0; i < G_N_ELEMENTS (whole); i++)
    g_assert_cmpint (evo_message_get_int (m), ==, whole[i]);
  check_texts (m);
  check_doubles (m);
  check_ints (m);
  g_assert_false (m->broken);
  g_assert_cmpuint (m->at, ==, m->bytes->len);
}

static void
test_round_trip (void)
{
  g_auto (EvoMessage) sent = { NULL }, got = { NULL };
  Pair p = new_pair ();

  evo_message_init (&sent);
  evo_message_init (&got);
  put_all (&sent);
  for (guint i = 0; i < 3; i++) { /* one behind the other, received into the same message */
    g_assert_true (evo_message_send (p.a, &sent));
    g_assert_true (evo_message_send (p.a, &sent));
    g_assert_cmpint (evo_message_receive (p.b, &got), ==, 1);
    check_all (&got);
    g_assert_cmpint (evo_message_receive (p.b, &got), ==, 1);
    check_all (&got);
  }
  close_pair (p);
}

static void
test_empty (void)
{
  g_auto (EvoMessage) sent = { NULL }, got = { NULL };
  Pair p = new_pair ();

  evo_message_init (&sent);
  evo_message_init (&got);
  evo_message_put_int (&got, 7);
  g_assert_true (evo_message_send (p.a, &sent));
  g_assert_cmpint (evo_message_receive (p.b, &got), ==, 1);
  g_assert_cmpuint (got.bytes->len, ==, 0);
  g_assert_cmpint (evo_message_get_int (&got), ==, 0);
  g_assert_true (got.broken);
  close_pair (p);
}

/* ------------------------------------------------------------------ larger than the socket holds */

typedef struct { int fd; gsize n; } Sender;

static gpointer
send_large (gpointer data)
{
  Sender *s = data;
  g_autofree double *x = g_new (double, s->n);
  g_auto (EvoMessage) m = { NULL };

  for (gsize i = 0; i < s->n; i++)
    x[i] = (double) i;
  evo_message_init (&m);
  evo_message_put_doubles (&m, x, s->n);
  return GINT_TO_POINTER (evo_message_send (s->fd, &m));
}

static void
test_large (void)
{
  g_auto (EvoMessage) got = { NULL };
  Pair p = new_pair ();
  Sender s = { p.a, 3000001 };
  GThread *thread = g_thread_new ("send", send_large, &s);
  gsize n;

  evo_message_init (&got);
  g_assert_cmpint (evo_message_receive (p.b, &got), ==, 1);
  g_autofree double *x = evo_message_get_doubles (&got, &n);
  g_assert_cmpuint (n, ==, s.n);
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (x[i], ==, (double) i);
  g_assert_true (GPOINTER_TO_INT (g_thread_join (thread)));
  close_pair (p);
}

/* ------------------------------------------------------------------ the other side goes away, or lies */

static int
receive_after (gconstpointer bytes, gsize n)
{
  g_auto (EvoMessage) got = { NULL };
  Pair p = new_pair ();
  int rc;

  evo_message_init (&got);
  if (n > 0)
    write_raw (p.a, bytes, n);
  close (p.a);
  rc = evo_message_receive (p.b, &got);
  close (p.b);
  return rc;
}

static void
test_closed (void)
{
  g_auto (EvoMessage) m = { NULL };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  Pair p = new_pair ();
  guint64 length = GUINT64_TO_LE (16);

  g_assert_cmpint (receive_after (NULL, 0), ==, 0); /* between messages: an end, not an error */
  g_byte_array_append (bytes, (const guint8 *) &length, sizeof length);
  for (guint i = 1; i <= bytes->len; i++)
    g_assert_cmpint (receive_after (bytes->data, i), ==, -1);
  g_byte_array_set_size (bytes, 8 + 15);
  g_assert_cmpint (receive_after (bytes->data, bytes->len), ==, -1);
  g_byte_array_set_size (bytes, 8 + 16);
  g_assert_cmpint (receive_after (bytes->data, bytes->len), ==, 1);
  evo_message_init (&m);
  put_all (&m);
  close (p.b);
  g_assert_false (evo_message_send (p.a, &m)); /* and no SIGPIPE */
  close (p.a);
}

/* A length alone must not make us take that much memory: the bytes are waited for first. */
static void
test_lengths (void)
{
  static const guint64 lengths[] = { (1 << 30) + 1, G_MAXUINT32, G_GUINT64_CONSTANT (1) << 32, G_MAXINT64, G_MAXUINT64 };
  struct rusage before, after;
  guint64 most = GUINT64_TO_LE (1 << 30);

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    guint64 n = GUINT64_TO_LE (lengths[i]);

    g_assert_cmpint (receive_after (&n, sizeof n), ==, -1);
  }
  getrusage (RUSAGE_SELF, &before);
  g_assert_cmpint (receive_after (&most, sizeof most), ==, -1);
  getrusage (RUSAGE_SELF, &after);
  g_assert_cmpint (after.ru_maxrss - before.ru_maxrss, <, 64 * 1024); /* KiB: one step of the buffer, not 1 GiB */
}

/* A failed receive leaves nothing that could be taken for a message. */
static void
test_failed_is_empty (void)
{
  g_auto (EvoMessage) got = { NULL };
  Pair p = new_pair ();

  evo_message_init (&got);
  evo_message_put_int (&got, 5);
  write_length (p.a, 100);
  write_raw (p.a, "0123456789abcdef", 16);
  close (p.a);
  g_assert_cmpint (evo_message_receive (p.b, &got), ==, -1);
  g_assert_cmpint (evo_message_get_int (&got), ==, 0);
  g_assert_true (got.broken);
  close (p.b);
}

/* ------------------------------------------------------------------ lengths inside a message */

static void
put_length (EvoMessage *m, gint64 n)
{
  g_byte_array_set_size (m->bytes, 0);
  m->at = 0;
  m->broken = FALSE;
  evo_message_put_int (m, n);
  evo_message_put_int (m, 0x6161616161616161);
}

static void
test_inner_lengths (void)
{
  static const gint64 wrong[] = { -2, G_MININT64, 9, 16, G_MAXINT32, G_MAXINT64, G_MAXINT64 / 8 + 2, G_MAXINT64 / 4 };
  g_auto (EvoMessage) m = { NULL };
  gsize n;

  evo_message_init (&m);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    put_length (&m, wrong[i]);
    g_assert_null (evo_message_get_text (&m));
    g_assert_true (m.broken);
    put_length (&m, wrong[i]);
    g_assert_null (evo_message_get_ints (&m, &n));
    g_assert_cmpuint (n, ==, 0);
    g_assert_true (m.broken);
    put_length (&m, wrong[i]);
    g_autofree double *x = evo_message_get_doubles (&m, &n);
    g_assert_nonnull (x);
    g_assert_cmpuint (n, ==, 0);
    g_assert_true (m.broken);
    g_assert_cmpint (evo_message_get_int (&m), ==, 0); /* broken stays broken */
  }
  put_length (&m, 8);
  g_autofree char *text = evo_message_get_text (&m);
  g_assert_cmpstr (text, ==, "aaaaaaaa");
  g_assert_false (m.broken);
}

/* Every beginning of a whole message: broken where something is missing, never read beyond its end. */
static void
test_truncated (void)
{
  g_auto (EvoMessage) sent = { NULL };

  evo_message_init (&sent);
  put_all (&sent);
  for (guint length = 0; length < sent.bytes->len; length++) {
    g_auto (EvoMessage) m = { NULL };
    gsize n;

    evo_message_init (&m);
    g_byte_array_append (m.bytes, sent.bytes->data, length);
    for (guint i = 0; i < G_N_ELEMENTS (whole); i++)
      evo_message_get_int (&m);
    for (guint i = 0; i <= G_N_ELEMENTS (texts); i++)
      g_free (evo_message_get_text (&m));
    for (guint i = 0; i < 2; i++)
      g_free (evo_message_get_doubles (&m, &n));
    for (guint i = 0; i < 3; i++)
      g_free (evo_message_get_ints (&m, &n));
    g_assert_true (m.broken);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/message/round-trip", test_round_trip);
  g_test_add_func ("/message/empty", test_empty);
  g_test_add_func ("/message/large", test_large);
  g_test_add_func ("/message/closed", test_closed);
  g_test_add_func ("/message/lengths", test_lengths);
  g_test_add_func ("/message/failed-is-empty", test_failed_is_empty);
  g_test_add_func ("/message/inner-lengths", test_inner_lengths);
  g_test_add_func ("/message/truncated", test_truncated);
  return g_test_run ();
}
