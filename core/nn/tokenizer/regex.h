/* SPDX-License-Identifier: Apache-2.0
 * regex.h - expressions written for Oniguruma, for GRegex (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_REGEX_H
#define EVO_NN_TOKENIZER_REGEX_H

#include <glib.h>

/* NULL: `why` says what is wrong or not supported (owned). */
GRegex *evo_regex_new (const char *expression, char **why);

#endif
