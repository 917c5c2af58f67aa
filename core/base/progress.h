/* SPDX-License-Identifier: Apache-2.0
 * progress.h - the live line on a terminal, one line per event elsewhere. Everything goes to stderr.
 */
#ifndef EVO_BASE_PROGRESS_H
#define EVO_BASE_PROGRESS_H

#include <glib.h>

typedef struct EvoProgress EvoProgress;
EvoProgress *evo_progress_new (gboolean quiet);
void evo_progress_free (EvoProgress *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoProgress, evo_progress_free)
void evo_progress_live (EvoProgress *p, const char *format, ...) G_GNUC_PRINTF (2, 3);  /* redraws; dropped off a terminal */
void evo_progress_event (EvoProgress *p, const char *format, ...) G_GNUC_PRINTF (2, 3); /* a line that stays */
gboolean evo_progress_is_live (const EvoProgress *p);

#endif
