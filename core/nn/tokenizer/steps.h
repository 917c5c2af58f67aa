/* SPDX-License-Identifier: Apache-2.0
 * steps.h - what happens to a text before and after the model: normalisers, pre-tokenizers, decoders (private to tokenizer*.c).
 *
 * Each is a list of steps; a "Sequence" of the file is flattened. A type that is not known is an error that names it.
 */
#ifndef EVO_NN_TOKENIZER_STEPS_H
#define EVO_NN_TOKENIZER_STEPS_H

#include "core/base/json.h"
#include "core/nn/tokenizer/charsmap.h"
#include "core/nn/tokenizer/pattern.h"
#include "core/nn/tokenizer/text.h"

/* --- steps.c */
/* EVO_STORE_ERROR_FORMAT with the value's place, FALSE. */
gboolean evo_tokenizer_fail (const EvoJson *v, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);
/* Members of the tokenizer's objects: FALSE and an error where one has another kind. Absent (or null): *out stays. */
gboolean evo_tokenizer_read_bool (const EvoJson *object, const char *key, gboolean *out, GError **error);
gboolean evo_tokenizer_read_text (const EvoJson *object, const char *key, const char **out, GError **error);

/* A text that must be there and not be long: what a file puts into every text of users (owned). */
enum { EVO_TOKENIZER_SHORT_TEXT = 256 };
gboolean evo_tokenizer_read_short_text (const EvoJson *object, const char *key, const char *fallback, char **out, GError **error);

/* A type and what reads its members into a step of that list. */
typedef struct { const char *name; gboolean (*read) (const EvoJson *v, gpointer step, GError **error); int kind; } EvoStepType;
/* Steps of v (null: none), appended to `steps` whose elements start with `int kind`, by a table that ends with a NULL name. what: "normalizer", for
 * messages; list: the Sequence's member. */
gboolean evo_steps_read (const EvoStepType *table, const EvoJson *v, const char *what, const char *list, GArray *steps, GError **error);

/* --- normalize.c: text to text */
GArray *evo_normalizers_new (void);
gboolean evo_normalizers_read (const EvoJson *v, GArray *steps, GError **error);
void evo_normalizers_add_spm (GArray *steps, const EvoSpmNormalizer *z); /* takes z->map */
/* text is valid UTF-8. out is set; spare is working memory. */
void evo_normalizers_run (const GArray *steps, const char *text, gsize n, GString *out, GString *spare);

/* --- split.c: pre-tokenizers, pieces to smaller pieces */
GArray *evo_splitters_new (void);
gboolean evo_splitters_read (const EvoJson *v, GArray *steps, GError **error);
void evo_splitters_run (const GArray *steps, EvoPieces *pieces, EvoPieces *spare, GArray *spans);

/* --- decode.c: tokens to text */
GArray *evo_decoders_new (void);
gboolean evo_decoders_read (const EvoJson *v, GArray *steps, GError **error);
/* tokens become one text in `out`. No steps: the tokens with blanks between them, as the reference does it. */
void evo_decoders_run (const GArray *steps, EvoPieces *tokens, EvoPieces *spare, GString *out);

#endif
