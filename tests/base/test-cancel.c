/* SPDX-License-Identifier: Apache-2.0
 * test-cancel.c - one signal sets the flag, the second ends with exit code 5; broken pipes and file limits are errors of a write.
 *
 * Each case runs in a process of its own (g_test_trap_subprocess): signals and the flag are the whole process's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cancel.h"
#include "core/base/error.h"

static void
in_a_process (const char *path)
{
  g_test_trap_subprocess (path, 10 * G_USEC_PER_SEC, G_TEST_SUBPROCESS_INHERIT_STDERR);
  g_test_trap_assert_passed ();
}

static void
one_signal (void)
{
  g_autoptr (GError) error = NULL;

  evo_cancel_install ();
  g_assert_false (evo_cancel_is_requested ());
  g_assert_true (evo_cancel_check (&error));
  g_assert_no_error (error);
  raise (SIGINT);
  g_assert_true (evo_cancel_is_requested ());
  g_assert_false (evo_cancel_check (&error));
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_CANCELLED);
  g_assert_cmpstr (error->message, ==, "stopped by a signal");
  g_assert_cmpint (evo_error_exit_code (error), ==, 5);
}

static void
by_call (void)
{
  evo_cancel_request ();
  g_assert_true (evo_cancel_is_requested ());
  g_assert_false (evo_cancel_check (NULL));
}

/* A child of the child: its exit code is what is looked at. */
static void
two_signals (void)
{
  int status, pid = fork ();

  if (pid == 0) {
    evo_cancel_install ();
    raise (SIGTERM);
    raise (SIGINT);
    _exit (0);
  }
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 5);
}

static void
ignored (void)
{
  struct rlimit limit = { 1000, 1000 };
  g_autofree char *path = NULL;
  char bytes[2000] = { 0 };
  int ends[2], fd = g_file_open_tmp ("evo-cancel-XXXXXX", &path, NULL);

  evo_cancel_install ();
  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  close (ends[0]);
  g_assert_cmpint (write (ends[1], "x", 1), ==, -1);
  g_assert_cmpint (errno, ==, EPIPE);
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  g_assert_cmpint (write (fd, bytes, sizeof bytes), ==, 1000);
  g_assert_cmpint (write (fd, bytes, sizeof bytes), ==, -1);
  g_assert_cmpint (errno, ==, EFBIG);
  close (fd);
  unlink (path);
  g_assert_false (evo_cancel_is_requested ());
}

static void
test_all (gconstpointer path)
{
  in_a_process (path);
}

int
main (int argc, char **argv)
{
  static const struct { const char *name; GTestFunc func; } cases[] = {
    { "/cancel/one/subprocess", one_signal }, { "/cancel/call/subprocess", by_call }, { "/cancel/two/subprocess", two_signals },
    { "/cancel/ignored/subprocess", ignored },
  };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *name = g_path_get_dirname (cases[i].name);

    g_test_add_data_func (name, cases[i].name, test_all);
    g_test_add_func (cases[i].name, cases[i].func);
  }
  return g_test_run ();
}
