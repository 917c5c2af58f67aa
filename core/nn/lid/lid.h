/* SPDX-License-Identifier: Apache-2.0
 * lid.h - language identification with a fastText supervised model (lid.176.ftz, product-quantised), read and run natively.
 */
#ifndef EVO_NN_LID_H
#define EVO_NN_LID_H

#include <glib.h>

typedef struct EvoLid EvoLid;
EvoLid *evo_lid_open (const char *path, GError **error);  /* EVO_STORE_ERROR OPEN, FORMAT, TRUNCATED */
void evo_lid_free (EvoLid *lid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoLid, evo_lid_free)
/* Probability of label `code` ("ja") for one line of text, as fastText's predict with k = -1 gives it (hierarchical softmax; values a
 * little above 1 are fastText's own; 0 where it gives none; NAN: no such label). Newlines in the text are deleted first, as the published
 * evaluation does. Thread-safe. */
double evo_lid_probability (const EvoLid *lid, const char *text, gsize n, const char *code);
/* Label without prefix, lid's; NULL: nothing in the text is known. */
const char *evo_lid_best (const EvoLid *lid, const char *text, gsize n, double *probability);
/* --- script.c: the other test, the share of letters that belong to the language's scripts; 0 without letters. "ja": kana of kana and A-Z a-z, so that above
 * 0.5 (not at it) means more kana than Latin letters. Others: by Unicode script of the letters. NAN: a code that is not known. */
double evo_script_probability (const char *text, gsize n, const char *code);

#endif
