/* SPDX-License-Identifier: Apache-2.0
 * charsmap.h - SentencePiece's precompiled character map and its normalisation (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_CHARSMAP_H
#define EVO_NN_TOKENIZER_CHARSMAP_H

#include "core/nn/tokenizer/vocab.h"

typedef struct EvoCharsmap EvoCharsmap;
/* NULL: `why` says what is wrong (static). */
EvoCharsmap *evo_charsmap_new (const guint8 *blob, gsize n, const char **why);
void evo_charsmap_free (EvoCharsmap *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoCharsmap, evo_charsmap_free)
/* What the first *n bytes of text become; NULL: no entry begins there. longest: the longest entry, else the shortest. */
const char *evo_charsmap_find (const EvoCharsmap *m, const char *text, gsize *n, gboolean longest);
/* As the Hugging Face library applies the map: to grapheme clusters of up to 5 bytes, else to single characters. */
void evo_charsmap_apply (const EvoCharsmap *m, const char *text, gsize n, GString *out);

/* SentencePiece's own normaliser (normalizer.cc). */
typedef struct {
  EvoCharsmap *map;          /* NULL: identity */
  const EvoTrie *user;       /* user-defined tokens, which stay as they are; NULL: none */
  gboolean dummy_prefix, remove_extra, escape, as_suffix;
} EvoSpmNormalizer;
void evo_spm_normalize (const EvoSpmNormalizer *z, const char *text, gsize n, GString *out);

#endif
