/* SPDX-License-Identifier: Apache-2.0
 * tokenizer.h - text to token ids and back: Hugging Face tokenizer.json (BPE, Unigram) and SentencePiece .model (BPE, Unigram).
 *
 * Texts carry their length: they may hold U+0000. Decoding gives UTF-8, broken bytes as U+FFFD like the reference.
 */
#ifndef EVO_NN_TOKENIZER_H
#define EVO_NN_TOKENIZER_H

#include <glib.h>

typedef struct EvoTokenizer EvoTokenizer;
enum { EVO_TOKENIZER_MAX_TEXT = 1 << 27 }; /* bytes of one text: 128 MiB; inside, a normaliser may make it longer */

/* --- open.c */
/* From the files of a model directory: tokenizer.json, else tokenizer.model. To the .model only, tokenizer_config.json's add_bos_token
 * (absent: true), add_eos_token and added_tokens_decoder apply (else added_tokens.json): without these, control tokens written out in a
 * text are just text, as SentencePiece has it. NULL without error: the directory has none. Errors: EVO_STORE_ERROR OPEN, FORMAT, naming
 * file and place. */
EvoTokenizer *evo_tokenizer_open (const char *directory, GError **error);
/* --- json.c */
EvoTokenizer *evo_tokenizer_new_from_json_file (const char *path, GError **error);
/* The text of such a file; path: what messages call it. */
EvoTokenizer *evo_tokenizer_new_from_json_text (const char *text, gssize n, const char *path, GError **error);
/* --- spm.c */
EvoTokenizer *evo_tokenizer_new_from_spm_file (const char *path, gboolean add_bos, gboolean add_eos, GError **error);

/* --- tokenizer.c */
EvoTokenizer *evo_tokenizer_ref (EvoTokenizer *t);
void evo_tokenizer_unref (EvoTokenizer *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoTokenizer, evo_tokenizer_unref)

guint evo_tokenizer_get_n_tokens (const EvoTokenizer *t);          /* highest id + 1 */
gint64 evo_tokenizer_find (const EvoTokenizer *t, const char *token); /* id, -1: none */
const char *evo_tokenizer_get_token (const EvoTokenizer *t, gint64 id, gsize *n); /* NULL: no token has this id; ends after n bytes, without a NUL */
/* Appends to ids (gint32). with_special: the tokenizer's own template (BOS, ...) around the text, once. Added tokens written out in the
 * text become their ids, as in the reference. Broken UTF-8 counts as U+FFFD. Thread-safe. */
void evo_tokenizer_encode (const EvoTokenizer *t, const char *text, gsize n, gboolean with_special, GArray *ids);
/* Owned; skip_special leaves special tokens out. */
GString *evo_tokenizer_decode (const EvoTokenizer *t, const gint32 *ids, gsize n, gboolean skip_special);

#endif
