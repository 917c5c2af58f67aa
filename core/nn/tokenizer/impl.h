/* SPDX-License-Identifier: Apache-2.0
 * impl.h - what a tokenizer is made of (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_IMPL_H
#define EVO_NN_TOKENIZER_IMPL_H

#include "core/nn/tokenizer/bpe.h"
#include "core/nn/tokenizer/steps.h"
#include "core/nn/tokenizer/unigram.h"
#include "core/nn/tokenizer/tokenizer.h"

typedef struct {
  char *text;
  gsize n;
  gint32 id;
  gboolean special, lstrip, rstrip, single_word, normalized;
} EvoAddedToken;

/* Working memory of one call: taken from a stock, given back, so that calls of several threads do not wait for each other. */
typedef struct {
  EvoPieces pieces, spare;
  GArray *spans;
  GString *clean, *normalized, *scratch;
  EvoBpeScratch *bpe;
  EvoUnigramWork unigram;
} EvoTokenizerWork;

typedef enum { EVO_MODEL_BPE, EVO_MODEL_UNIGRAM } EvoTokenizerModel;

struct EvoTokenizer {
  gint ref_count;
  EvoTokenizerModel model;
  EvoVocab vocab;
  EvoBpe bpe;
  EvoUnigram unigram;
  GArray *added;                   /* EvoAddedToken */
  GHashTable *added_by_id;         /* id -> EvoAddedToken (of the array) */
  EvoTrie added_raw, added_cooked; /* searched before, after normalising: -> index in added */
  GArray *normalizers, *splitters, *decoders;
  GArray *before, *after;          /* gint32: ids around a text */
  guint n_tokens;
  struct {                         /* a SentencePiece model */
    gboolean is;
    guint8 *types;                 /* by id */
    EvoTrie user;                  /* user-defined tokens -> id */
    gboolean has_user, eats_blank, eats_all_blanks;
    char *unknown_surface;
  } spm;
  GMutex lock;                     /* of works */
  GPtrArray *works;                /* EvoTokenizerWork that nobody uses */
};

/* --- tokenizer.c */
EvoTokenizer *evo_tokenizer_new (void);
void evo_tokenizer_count (EvoTokenizer *t);       /* sets n_tokens */
const EvoAddedToken *evo_tokenizer_get_added (const EvoTokenizer *t, gint64 id); /* NULL: none */
/* --- added.c */
/* Takes what token->text is a copy of. Fails where the id is another token's, or the text has another id. */
gboolean evo_tokenizer_add (EvoTokenizer *t, EvoAddedToken token, char **why);
void evo_tokenizer_index_added (EvoTokenizer *t); /* after the last one, and after the normalisers */
/* Appends added tokens and the text between them: text[0..n) searched with one of the tries. */
void evo_tokenizer_cut_added (const EvoTokenizer *t, const EvoTrie *trie, const char *text, gsize n, gboolean first, GArray *out);
/* --- json.c */
/* The members of an added token but its id; an empty content is passed over, as the reference does it. */
gboolean evo_tokenizer_read_added (EvoTokenizer *t, const EvoJson *v, gint32 id, GError **error);
gboolean evo_tokenizer_read_id (const EvoJson *v, gint32 *out, GError **error);
/* --- spm.c */
void evo_spm_decode (const EvoTokenizer *t, const gint32 *ids, gsize n, gboolean skip_special, GString *out);

#endif
