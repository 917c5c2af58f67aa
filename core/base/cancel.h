/* SPDX-License-Identifier: Apache-2.0
 * cancel.h - SIGINT and SIGTERM as a flag that loops look at; a second signal ends the process at once.
 */
#ifndef EVO_BASE_CANCEL_H
#define EVO_BASE_CANCEL_H

#include <glib.h>

void evo_cancel_install (void);              /* also ignores SIGPIPE and SIGXFSZ */
gboolean evo_cancel_is_requested (void);
void evo_cancel_request (void);              /* for tests */
gboolean evo_cancel_check (GError **error);  /* FALSE and EVO_RUN_ERROR_CANCELLED when requested */

#endif
