/* SPDX-License-Identifier: Apache-2.0
 * pattern.h - what a text is searched for: a literal, a regular expression, a class of characters (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_PATTERN_H
#define EVO_NN_TOKENIZER_PATTERN_H

#include <glib.h>

#include "core/base/json.h"

typedef struct EvoPattern EvoPattern;
typedef struct { gsize start, end; gboolean match; } EvoSpan;

/* The two shapes of split expressions that nearly all byte-level vocabularies use; each has a scanner of its own (scan.c). */
gsize evo_scan_gpt2 (const char *p, const char *end);                     /* length of the match at p < end, at least 1 */
gsize evo_scan_cl100k (const char *p, const char *end, guint max_digits); /* Llama 3: 3 digits; Qwen 2: 1 */

EvoPattern *evo_pattern_new_literal (const char *text, gsize n);
EvoPattern *evo_pattern_new_class (guint classes, gboolean runs); /* characters of these classes, one by one or in runs */
EvoPattern *evo_pattern_new_words (void);                         /* \w+ or [^\w\s]+ */
EvoPattern *evo_pattern_new_gpt2 (void);
/* An expression in the syntax of Oniguruma (Ruby), which the reference uses. NULL: `why` says what is wrong or not supported (owned). */
EvoPattern *evo_pattern_new_regex (const char *expression, char **why);
EvoPattern *evo_pattern_new_regex_slow (const char *expression, char **why); /* never a scanner: for tests */
/* {"String": s} or {"Regex": e}. */
EvoPattern *evo_pattern_new_from_json (const EvoJson *v, GError **error);
void evo_pattern_free (EvoPattern *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoPattern, evo_pattern_free)

/* Sets spans (EvoSpan) to what covers text[0..n): matches and what is between them, none of them empty. Linear: where an expression
 * exceeds the limits of the matcher, the rest of the text counts as without a match. */
void evo_pattern_find (const EvoPattern *p, const char *text, gsize n, GArray *spans);
void evo_pattern_replace (const EvoPattern *p, const char *text, gsize n, const char *by, GString *out);

#endif
