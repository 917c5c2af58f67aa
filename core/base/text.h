/* SPDX-License-Identifier: Apache-2.0
 * text.h - numbers as text, nearest names, globs, digests: the small things messages and keys are made of.
 */
#ifndef EVO_BASE_TEXT_H
#define EVO_BASE_TEXT_H

#include <glib.h>

enum { EVO_NUMBER_TEXT = 32 };
/* Shortest decimal that reads back as x ("0.9995", "1e+300", "3"); returns buffer, of EVO_NUMBER_TEXT bytes. */
char *evo_number_text (double x, char *buffer);
/* The candidate at the smallest edit distance, if near enough to be a misspelling (<= 1 + n/3); NULL-terminated list. */
const char *evo_nearest_name (const char *name, const char *const *candidates);
/* "; did you mean \"density\"?" or "" (owned): the tail of a message about an unknown name. */
char *evo_did_you_mean (const char *name, const char *const *candidates);
/* Glob over a whole name: * any run, ? any one character, [a-z] sets; no escapes, case-sensitive. */
gboolean evo_glob_match (const char *pattern, const char *name);
guint64 evo_hash_text (const char *text, gssize n); /* FNV-1a 64, then mixed: stable for ever, keys random streams */
char *evo_size_text (guint64 bytes);                /* "1.2 GB" (owned) */
char *evo_duration_text (double seconds);           /* "42 s", "3 min 05 s", "2 h 11 min" (owned) */

#endif
