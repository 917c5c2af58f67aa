/* SPDX-License-Identifier: Apache-2.0
 * small-file.h - a file read whole: what a mapping would do, without dying when somebody shortens the file meanwhile.
 */
#ifndef EVO_NN_SMALL_FILE_H
#define EVO_NN_SMALL_FILE_H

#include <glib.h>

/* NULL: EVO_STORE_ERROR OPEN (cannot be read), FORMAT (more than `most` bytes, which a file of this kind never has). */
GBytes *evo_small_file_read (const char *path, gsize most, GError **error);

#endif
