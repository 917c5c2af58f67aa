/* SPDX-License-Identifier: Apache-2.0
 * vocab.h - texts by id and ids by text, and a trie of texts (private to tokenizer*.c).
 */
#ifndef EVO_NN_TOKENIZER_VOCAB_H
#define EVO_NN_TOKENIZER_VOCAB_H

#include <glib.h>
#include <string.h>

enum { EVO_VOCAB_MAX_ID = 1 << 22 }; /* the largest published vocabularies have 1 M; an id costs memory, so a file may not name any */

enum { EVO_VOCAB_MAX_TEXT = 1024 }; /* bytes of a token that is searched for at every place of a text */

typedef struct { const char *text; guint32 n; } EvoVocabText; /* text NULL: no such id */
typedef struct { guint32 hash; gint32 id; } EvoVocabSlot;     /* id -1: free */
typedef struct {
  GStringChunk *chunk;
  GArray *texts;         /* EvoVocabText by id; ids may have gaps */
  EvoVocabSlot *slots;   /* a power of two of them, at most half in use */
  guint32 n_slots, n_used;
  guint64 seed;
} EvoVocab;

void evo_vocab_init (EvoVocab *v);
void evo_vocab_clear (EvoVocab *v);
/* The id must be free (0 <= id < EVO_VOCAB_MAX_ID). A text that is there already moves to the new id for look-ups. */
void evo_vocab_add (EvoVocab *v, const char *text, gsize n, gint32 id);
gint32 evo_vocab_find (const EvoVocab *v, const char *text, gsize n); /* -1: none */
EvoVocabText evo_vocab_get (const EvoVocab *v, gint64 id);            /* text NULL: none */
guint evo_vocab_get_size (const EvoVocab *v);                         /* highest id + 1 */

/* A random odd number of the process: nobody can write a file whose texts all fall into one slot. It decides nothing that can be seen. */
guint64 evo_hash_seed (void);

static inline guint64
evo_bytes_hash (guint64 seed, const char *s, gsize n)
{
  const guint64 k = G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  guint64 h = (seed ^ n) * k, word;
  gsize i = 0;

  for (; i + 8 <= n; i += 8) {
    memcpy (&word, s + i, 8);
    h = (h ^ word) * k;
    h ^= h >> 32;
  }
  word = 0;
  for (gsize j = i; j < n; j++)
    word = word << 8 | (guchar) s[j];
  h = (h ^ word) * k;
  return h ^ h >> 29;
}

/* Bytes to values. A node's children are found in one table keyed by (node, byte). */
typedef struct { guint64 key; guint32 node; } EvoTrieSlot; /* node 0: free (0 is the root, nobody's child) */
typedef struct {
  EvoTrieSlot *slots;
  guint32 n_slots, n_nodes;
  guint64 seed;
  GArray *values;        /* gint32 by node, -1: nothing ends here */
  guint32 root[256];     /* children of the root, 0: none */
} EvoTrie;

void evo_trie_init (EvoTrie *t);
void evo_trie_clear (EvoTrie *t);
void evo_trie_add (EvoTrie *t, const char *text, gsize n, gint32 value); /* n > 0; the last value of a text counts */
/* Length of the longest entry at the beginning of text, 0: none. */
gsize evo_trie_longest (const EvoTrie *t, const char *text, gsize n, gint32 *value);

static inline guint64
trie_key (guint32 node, guchar byte)
{
  return (guint64) node << 8 | byte;
}

static inline guint32
trie_slot (const EvoTrie *t, guint64 key)
{
  return (guint32) ((key * t->seed) >> 32) & (t->n_slots - 1);
}

/* The child of a node, 0: none. */
static inline guint32
evo_trie_step (const EvoTrie *t, guint32 node, guchar byte)
{
  guint64 key = trie_key (node, byte);

  if (node == 0)
    return t->root[byte];
  for (guint32 i = trie_slot (t, key); t->slots[i].node != 0; i = (i + 1) & (t->n_slots - 1))
    if (t->slots[i].key == key)
      return t->slots[i].node;
  return 0;
}

static inline gint32
evo_trie_value (const EvoTrie *t, guint32 node)
{
  return g_array_index (t->values, gint32, node);
}

#endif
