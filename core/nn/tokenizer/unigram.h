/* SPDX-License-Identifier: Apache-2.0
 * unigram.h - the most probable segmentation of a text (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_UNIGRAM_H
#define EVO_NN_TOKENIZER_UNIGRAM_H

#include "core/nn/tokenizer/vocab.h"

typedef struct {
  const EvoVocab *vocab;
  EvoTrie trie;             /* tokens that may be used -> id */
  GArray *scores;           /* double, by id: log-probabilities */
  GArray *bonus;            /* SentencePiece's user-defined tokens: char by id, NULL: none; scored by length (set_bonus) */
  double lowest, highest;   /* of the scores that count */
  gint32 unknown;           /* id; -1: an unknown character yields nothing */
  gint32 bytes[256];        /* ids of <0x00> ..., -1: none */
  gboolean byte_fallback;
  gboolean single;          /* SentencePiece adds in float, the Hugging Face library in double */
} EvoUnigram;

typedef struct { double score; guint32 from; gint32 id; } EvoUnigramNode; /* best way to end here */
typedef struct { GArray *nodes, *reversed; } EvoUnigramWork;
void evo_unigram_work_init (EvoUnigramWork *w);
void evo_unigram_work_clear (EvoUnigramWork *w);

void evo_unigram_init (EvoUnigram *u, const EvoVocab *vocab);
void evo_unigram_clear (EvoUnigram *u);
/* `counts`: the score takes part in lowest and highest. Texts of length 0 are never used. */
void evo_unigram_add (EvoUnigram *u, gint32 id, double score, gboolean counts);
void evo_unigram_set_bonus (EvoUnigram *u, gint32 id);
void evo_unigram_finish (EvoUnigram *u); /* after the last token: finds the byte tokens */
void evo_unigram_encode (const EvoUnigram *u, EvoUnigramWork *w, const char *text, gsize n, GArray *ids);

#endif
