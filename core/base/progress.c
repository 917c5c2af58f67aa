/* SPDX-License-Identifier: Apache-2.0
 * progress.c - one line of a terminal that is drawn again and again; events move it down.
 */
#include "core/base/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct EvoProgress {
  gboolean quiet, live;
  gboolean drawn;          /* the live line stands on the terminal */
  char *line;              /* NULL: none yet */
  GMutex lock;
};

EvoProgress *
evo_progress_new (gboolean quiet)
{
  EvoProgress *p = g_new0 (EvoProgress, 1);
  const char *term = g_getenv ("TERM");

  p->quiet = quiet;
  p->live = !quiet && isatty (STDERR_FILENO) && g_strcmp0 (term, "dumb") != 0;
  g_mutex_init (&p->lock);
  return p;
}

static gsize
terminal_width (void)
{
  struct winsize size = { 0 };

  return ioctl (STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

static gsize
cells_of (gunichar u)
{
  if (g_unichar_iszerowidth (u))
    return 0;
  return g_unichar_iswide (u) ? 2 : 1;
}

/* The text without what would move the cursor (names come from files), cut to `width` cells. */
static char *
fit (const char *text, gsize width)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);
  gsize used = 0;

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p)) {
    gunichar u = g_unichar_iscntrl (g_utf8_get_char (p)) ? ' ' : g_utf8_get_char (p);

    used += cells_of (u);
    if (used > width)
      break;
    g_string_append_unichar (out, u);
  }
  return g_string_free (out, FALSE);
}

static void
draw (EvoProgress *p)
{
  g_autofree char *line = fit (p->line, terminal_width () - 1); /* a full line wraps on some terminals */

  fprintf (stderr, "\r%s\033[K", line);
  fflush (stderr);
  p->drawn = TRUE;
}

static void
erase (EvoProgress *p)
{
  if (p->drawn)
    fputs ("\r\033[K", stderr);
  p->drawn = FALSE;
}

void
evo_progress_free (EvoProgress *p)
{
  if (p == NULL)
    return;
  erase (p);
  fflush (stderr);
  g_free (p->line);
  g_mutex_clear (&p->lock);
  g_free (p);
}

void
evo_progress_live (EvoProgress *p, const char *format, ...)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&p->lock);
  va_list args;

  if (!p->live)
    return;
  g_free (p->line);
  va_start (args, format);
  p->line = g_strdup_vprintf (format, args);
  va_end (args);
  draw (p);
}

void
evo_progress_event (EvoProgress *p, const char *format, ...)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&p->lock);
  g_autofree char *text = NULL, *line = NULL;
  va_list args;

  if (p->quiet)
    return;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  line = fit (text, G_MAXSIZE);
  erase (p);
  fprintf (stderr, "%s\n", line);
  fflush (stderr);
  if (p->live && p->line != NULL)
    draw (p);
}

gboolean
evo_progress_is_live (const EvoProgress *p)
{
  return p->live;
}
