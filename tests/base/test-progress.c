/* SPDX-License-Identifier: Apache-2.0
 * test-progress.c - the bytes that go to a terminal (a pseudo-terminal's other end is read) and to a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/progress.h"

static int saved_stderr;

/* Standard error goes to `fd` until it is given back. */
static void
redirect (int fd)
{
  fflush (stderr);
  saved_stderr = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
  g_assert_cmpint (dup2 (fd, STDERR_FILENO), ==, STDERR_FILENO);
}

static void
give_back (void)
{
  fflush (stderr);
  g_assert_cmpint (dup2 (saved_stderr, STDERR_FILENO), ==, STDERR_FILENO);
  close (saved_stderr);
}

/* Everything up to the end of a file, or to where a terminal's other side was closed: what is written arrives there in its own time. */
static char *
read_all (int fd)
{
  GString *out = g_string_new (NULL);
  char buffer[4096];
  gssize n;

  while ((n = read (fd, buffer, sizeof buffer)) > 0)
    g_string_append_len (out, buffer, n);
  return g_string_free (out, FALSE);
}

/* Opens a terminal of `width` columns; *slave is what a program would write to. */
static int
open_terminal (guint width, int *slave)
{
  struct winsize size = { .ws_row = 24, .ws_col = (unsigned short) width };
  int master = posix_openpt (O_RDWR | O_NOCTTY);

  if (master < 0 || grantpt (master) < 0 || unlockpt (master) < 0)
    return -1;
  *slave = open (ptsname (master), O_RDWR | O_NOCTTY);
  g_assert_cmpint (*slave, >=, 0);
  g_assert_cmpint (ioctl (*slave, TIOCSWINSZ, &size), ==, 0);
  return master;
}

static char *
on_terminal (guint width, void (*talk) (EvoProgress *))
{
  int slave = -1, master = open_terminal (width, &slave);
  EvoProgress *p;
  char *out;

  if (master < 0)
    return NULL;
  redirect (slave);
  p = evo_progress_new (FALSE);
  talk (p);
  evo_progress_free (p);
  give_back ();
  close (slave);
  out = read_all (master);
  close (master);
  return out;
}

static void
say_all (EvoProgress *p)
{
  evo_progress_live (p, "trial %d", 1);
  evo_progress_event (p, "best %s", "0.5");
  evo_progress_live (p, "trial %d", 2);
}

static void
say_wide (EvoProgress *p)
{
  evo_progress_live (p, "漢字漢字漢字 %s", "\x1b[31mred\xff");
  evo_progress_event (p, "a long event is not cut, but \x1b and %s are", "\n");
}

static void
test_terminal (void)
{
  g_autofree char *out = NULL, *wide = NULL;

  g_setenv ("TERM", "xterm", TRUE);
  out = on_terminal (80, say_all);
  if (out == NULL) {
    g_test_skip ("no pseudo-terminals here");
    return;
  }
  g_assert_cmpstr (out, ==, "\rtrial 1\033[K" "\r\033[K" "best 0.5\r\n" "\rtrial 1\033[K" "\rtrial 2\033[K" "\r\033[K");
  wide = on_terminal (12, say_wide); /* eleven cells are used: five ideograms; the sixth would fill the line */
  g_assert_cmpstr (wide, ==, "\r漢字漢字漢\033[K" "\r\033[K" "a long event is not cut, but   and   are\r\n" "\r漢字漢字漢\033[K" "\r\033[K");
}

static void
test_dumb (void)
{
  g_autofree char *out = NULL;

  g_setenv ("TERM", "dumb", TRUE);
  out = on_terminal (80, say_all);
  if (out != NULL)
    g_assert_cmpstr (out, ==, "best 0.5\r\n");
}

static void
test_file (void)
{
  for (guint quiet = 0; quiet < 2; quiet++) {
    g_autofree char *path = NULL, *out = NULL;
    int fd = g_file_open_tmp ("evo-progress-XXXXXX", &path, NULL);
    EvoProgress *p;

    redirect (fd);
    p = evo_progress_new (quiet);
    say_all (p);
    g_assert_false (evo_progress_is_live (p));
    lseek (fd, 0, SEEK_SET);
    out = read_all (fd); /* before it is freed: events are flushed at once */
    evo_progress_free (p);
    give_back ();
    g_assert_cmpstr (out, ==, quiet ? "" : "best 0.5\n");
    close (fd);
    unlink (path);
  }
  evo_progress_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/progress/terminal", test_terminal);
  g_test_add_func ("/progress/terminal/dumb", test_dumb);
  g_test_add_func ("/progress/file", test_file);
  return g_test_run ();
}
