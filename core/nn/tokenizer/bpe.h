/* SPDX-License-Identifier: Apache-2.0
 * bpe.h - byte-pair encoding by ranked merges (private to tokenizer*.c).
 *
 * One engine for both file formats. Symbols are token ids; a character that only occurs inside tokens has a symbol beyond the vocabulary;
 * an unknown one is EVO_BPE_UNKNOWN. Merges have a rank; the lowest goes first, the leftmost of equals. Time is O(n log n) in the text.
 */
#ifndef EVO_NN_TOKENIZER_BPE_H
#define EVO_NN_TOKENIZER_BPE_H

#include "core/nn/tokenizer/vocab.h"

enum { EVO_BPE_UNKNOWN = -1 };

typedef struct { guint64 key; guint32 rank; gint32 id; } EvoBpePair; /* key: left << 32 | right; id -1: free */

typedef struct {
  const EvoVocab *vocab;
  EvoBpePair *pairs;         /* a power of two of them, at most half in use */
  guint64 n_slots, n_pairs, seed;
  gint32 *near;              /* [0x10000] symbol of a character */
  GHashTable *far;           /* the same from U+10000 on: character -> symbol + 1 */
  gint32 n_symbols;          /* vocabulary and virtual symbols */
  gint32 bytes[256];         /* ids of <0x00> ... <0xFF>, -1: none */
  gboolean byte_fallback, fuse_unknown, ignore_merges;
  gboolean late;             /* SentencePiece: what an unknown symbol becomes is decided after the merges */
  gint32 unknown;            /* id, -1: none */
  char *prefix, *suffix;     /* of every character but the first, of the last; NULL: none */
  guint32 *neighbours;       /* bitmap over hashes of (character, next character) inside tokens; NULL: do not cut */
  guint8 *unused;            /* SentencePiece: by id, taken apart again after the merges; NULL: none is */
} EvoBpe;

typedef struct EvoBpeScratch EvoBpeScratch; /* working memory and word cache of one thread at a time */
EvoBpeScratch *evo_bpe_scratch_new (void);
void evo_bpe_scratch_free (EvoBpeScratch *s);

void evo_bpe_init (EvoBpe *b, const EvoVocab *vocab);
void evo_bpe_clear (EvoBpe *b);
void evo_bpe_index_characters (EvoBpe *b); /* symbols of all tokens of one character, ids of the byte tokens */
gint32 evo_bpe_symbol (const EvoBpe *b, gunichar c);
void evo_bpe_set_symbol (EvoBpe *b, gunichar c, gint32 symbol);
/* The last rank given to a pair counts. */
void evo_bpe_add_merge (EvoBpe *b, gint32 left, gint32 right, guint32 rank, gint32 id);
const EvoBpePair *evo_bpe_find_merge (const EvoBpe *b, gint32 left, gint32 right); /* NULL: none */
/* Texts without a blank between their words may be cut where no token has the two characters beside each other: exact, and it makes words
 * of them that the cache can hold. Called last; without it texts are encoded in one piece. */
void evo_bpe_allow_cuts (EvoBpe *b);
void evo_bpe_encode (const EvoBpe *b, EvoBpeScratch *s, const char *text, gsize n, GArray *ids);

#endif
