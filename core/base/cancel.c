/* SPDX-License-Identifier: Apache-2.0
 * cancel.c - the first SIGINT or SIGTERM sets a flag, the second ends the process.
 */
#include "core/base/cancel.h"

#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/error.h"

enum { EXIT_STOPPED = 5, NOT_A_TERMINAL = -1 };

static gint requested = 0; /* atomic and lock-free: written by the signal handler */
static struct termios terminal;
static int terminal_fd = NOT_A_TERMINAL;

/* Only calls that POSIX lists as async-signal-safe. */
static void
on_signal (int signo)
{
  static const char clear[] = "\r\033[K\033[?25h"; /* the live line away, the text cursor visible */

  if (__atomic_exchange_n (&requested, 1, __ATOMIC_SEQ_CST) == 0)
    return;
  if (terminal_fd != NOT_A_TERMINAL) {
    (void) !write (terminal_fd, clear, sizeof clear - 1);
    tcsetattr (terminal_fd, TCSANOW, &terminal);
  }
  _exit (EXIT_STOPPED);
}

static void
handle (int signo, void (*handler) (int))
{
  struct sigaction action;

  memset (&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART; /* a flag is enough: no read or write shall fail halfway */
  sigemptyset (&action.sa_mask);
  sigaddset (&action.sa_mask, SIGINT);
  sigaddset (&action.sa_mask, SIGTERM);
  sigaction (signo, &action, NULL);
}

void
evo_cancel_install (void)
{
  if (isatty (STDERR_FILENO) && tcgetattr (STDERR_FILENO, &terminal) == 0)
    terminal_fd = STDERR_FILENO;
  handle (SIGINT, on_signal);
  handle (SIGTERM, on_signal);
  handle (SIGPIPE, SIG_IGN); /* writing to a closed pipe or over a limit is an error of that write */
  handle (SIGXFSZ, SIG_IGN);
}

gboolean
evo_cancel_is_requested (void)
{
  return __atomic_load_n (&requested, __ATOMIC_RELAXED) != 0;
}

void
evo_cancel_request (void)
{
  __atomic_store_n (&requested, 1, __ATOMIC_SEQ_CST);
}

gboolean
evo_cancel_check (GError **error)
{
  return !evo_cancel_is_requested () || evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_CANCELLED, "stopped by a signal");
}
