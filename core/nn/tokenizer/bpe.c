/* SPDX-License-Identifier: Apache-2.0
 * bpe.c - byte-pair encoding: the tables of a vocabulary, words and their cache.
 */
#include "core/nn/tokenizer/bpe.h"

#include "core/nn/tokenizer/merge.h"
#include "core/nn/tokenizer/text.h"

enum { NEAR = 0x10000, NEIGHBOUR_BITS = 18, CACHE_BITS = 14, CACHE_KEY = 36, CACHE_IDS = 6 };

typedef struct { guint32 hash; guint8 n, n_ids; char key[CACHE_KEY]; gint32 ids[CACHE_IDS]; } CacheEntry;

struct EvoBpeScratch {
  CacheEntry *cache;    /* [1 << CACHE_BITS], direct-mapped; a word's tokens never change, so what it holds decides nothing */
  EvoMergeWork work;
  GArray *word;         /* gint32: ids of one word */
};

EvoBpeScratch *
evo_bpe_scratch_new (void)
{
  EvoBpeScratch *s = g_new0 (EvoBpeScratch, 1);

  s->cache = g_new0 (CacheEntry, 1 << CACHE_BITS);
  s->word = g_array_new (FALSE, FALSE, sizeof (gint32));
  evo_merge_work_init (&s->work);
  return s;
}

void
evo_bpe_scratch_free (EvoBpeScratch *s)
{
  if (s == NULL)
    return;
  g_free (s->cache);
  g_array_unref (s->word);
  evo_merge_work_clear (&s->work);
  g_free (s);
}

/* ------------------------------------------------------------------ tables */

void
evo_bpe_init (EvoBpe *b, const EvoVocab *vocab)
{
  memset (b, 0, sizeof *b);
  b->vocab = vocab;
  b->seed = evo_hash_seed ();
  b->n_slots = 1024;
  b->pairs = g_new (EvoBpePair, b->n_slots);
  memset (b->pairs, 0xff, b->n_slots * sizeof *b->pairs);
  b->near = g_new (gint32, NEAR);
  memset (b->near, 0xff, NEAR * sizeof *b->near);
  memset (b->bytes, 0xff, sizeof b->bytes);
  b->far = g_hash_table_new (NULL, NULL);
  b->n_symbols = (gint32) evo_vocab_get_size (vocab);
  b->unknown = -1;
}

void
evo_bpe_clear (EvoBpe *b)
{
  g_clear_pointer (&b->pairs, g_free);
  g_clear_pointer (&b->near, g_free);
  g_clear_pointer (&b->far, g_hash_table_unref);
  g_clear_pointer (&b->prefix, g_free);
  g_clear_pointer (&b->suffix, g_free);
  g_clear_pointer (&b->neighbours, g_free);
  g_clear_pointer (&b->unused, g_free);
}

gint32
evo_bpe_symbol (const EvoBpe *b, gunichar c)
{
  return c < NEAR ? b->near[c] : GPOINTER_TO_INT (g_hash_table_lookup (b->far, GUINT_TO_POINTER (c))) - 1;
}

void
evo_bpe_set_symbol (EvoBpe *b, gunichar c, gint32 symbol)
{
  if (c < NEAR)
    b->near[c] = symbol;
  else
    g_hash_table_insert (b->far, GUINT_TO_POINTER (c), GINT_TO_POINTER (symbol + 1));
}

void
evo_bpe_index_characters (EvoBpe *b)
{
  for (guint id = 0; id < evo_vocab_get_size (b->vocab); id++) {
    EvoVocabText t = evo_vocab_get (b->vocab, id);
    const char *p = t.text;
    gunichar c;

    if (t.n == 0 || t.n > 4)
      continue;
    c = evo_utf8_next (&p);
    if (p == t.text + t.n)
      evo_bpe_set_symbol (b, c, (gint32) id);
  }
  for (guint byte = 0; byte < 256; byte++) {
    char text[8];

    g_snprintf (text, sizeof text, "<0x%02X>", byte);
    b->bytes[byte] = evo_vocab_find (b->vocab, text, 6);
  }
}

static guint64
pair_key (gint32 left, gint32 right)
{
  return (guint64) (guint32) left << 32 | (guint32) right;
}

static guint64
pair_slot (const EvoBpe *b, guint64 key)
{
  guint64 h = (key ^ key >> 29) * b->seed;

  return (h ^ h >> 32) & (b->n_slots - 1);
}

static EvoBpePair *
find_pair (const EvoBpe *b, guint64 key)
{
  guint64 i = pair_slot (b, key);

  while (b->pairs[i].id >= 0 && b->pairs[i].key != key)
    i = (i + 1) & (b->n_slots - 1);
  return &b->pairs[i];
}

const EvoBpePair *
evo_bpe_find_merge (const EvoBpe *b, gint32 left, gint32 right)
{
  const EvoBpePair *p = left < 0 || right < 0 ? NULL : find_pair (b, pair_key (left, right));

  return p != NULL && p->id >= 0 ? p : NULL;
}

static void
grow_pairs (EvoBpe *b)
{
  g_autofree EvoBpePair *old = b->pairs;
  guint64 n_old = b->n_slots;

  b->n_slots *= 2;
  b->pairs = g_new (EvoBpePair, b->n_slots);
  memset (b->pairs, 0xff, b->n_slots * sizeof *b->pairs);
  for (guint64 i = 0; i < n_old; i++)
    if (old[i].id >= 0)
      *find_pair (b, old[i].key) = old[i];
}

void
evo_bpe_add_merge (EvoBpe *b, gint32 left, gint32 right, guint32 rank, gint32 id)
{
  EvoBpePair *p;

  g_return_if_fail (left >= 0 && right >= 0 && id >= 0);
  if (2 * (b->n_pairs + 1) > b->n_slots)
    grow_pairs (b);
  p = find_pair (b, pair_key (left, right));
  b->n_pairs += p->id < 0;
  *p = (EvoBpePair){ pair_key (left, right), rank, id };
}

/* ------------------------------------------------------------------ cutting */

static guint32
neighbour_bit (gunichar a, gunichar c)
{
  return (guint32) (((guint64) a << 21 | c) * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) >> (64 - NEIGHBOUR_BITS));
}

void
evo_bpe_allow_cuts (EvoBpe *b)
{
  if (b->prefix != NULL || b->suffix != NULL)
    return; /* a cut would make first and last characters */
  b->neighbours = g_new0 (guint32, 1 << (NEIGHBOUR_BITS - 5));
  for (guint id = 0; id < evo_vocab_get_size (b->vocab); id++) {
    EvoVocabText t = evo_vocab_get (b->vocab, id);
    const char *p = t.text, *end = t.text + t.n;
    gunichar last = 0;

    for (gboolean second = FALSE; p < end; second = TRUE) {
      gunichar c = evo_utf8_next (&p);
      guint32 bit = neighbour_bit (last, c);

      if (second)
        b->neighbours[bit >> 5] |= 1u << (bit & 31);
      last = c;
    }
  }
}

/* May the text be cut between the two? Not beside an unknown character: runs of these can become one token. */
static gboolean
is_cut (const EvoBpe *b, gunichar a, gint32 symbol_a, gunichar c, gint32 symbol_c)
{
  guint32 bit = neighbour_bit (a, c);

  return symbol_a >= 0 && symbol_c >= 0 && (b->neighbours[bit >> 5] >> (bit & 31) & 1) == 0;
}

/* ------------------------------------------------------------------ words */

static void
encode_word (const EvoBpe *b, EvoBpeScratch *s, const char *text, gsize n, GArray *ids)
{
  guint32 hash;
  CacheEntry *e;

  if (n > CACHE_KEY) {
    evo_merge_word (b, &s->work, text, n, ids);
    return;
  }
  hash = (guint32) evo_bytes_hash (b->seed, text, n);
  e = &s->cache[hash & ((1 << CACHE_BITS) - 1)];
  if (e->hash == hash && e->n == n && memcmp (e->key, text, n) == 0) {
    g_array_append_vals (ids, e->ids, e->n_ids);
    return;
  }
  g_array_set_size (s->word, 0);
  evo_merge_word (b, &s->work, text, n, s->word);
  g_array_append_vals (ids, s->word->data, s->word->len);
  if (s->word->len > CACHE_IDS)
    return;
  *e = (CacheEntry){ .hash = hash, .n = (guint8) n, .n_ids = (guint8) s->word->len };
  memcpy (e->key, text, n);
  memcpy (e->ids, s->word->data, s->word->len * sizeof (gint32));
}

void
evo_bpe_encode (const EvoBpe *b, EvoBpeScratch *s, const char *text, gsize n, GArray *ids)
{
  const char *p = text, *start = text, *end = text + n;
  gunichar last = 0;
  gint32 symbol = EVO_BPE_UNKNOWN, whole;

  if (n == 0)
    return;
  if (b->ignore_merges && (whole = evo_vocab_find (b->vocab, text, n)) >= 0) {
    g_array_append_val (ids, whole);
    return;
  }
  while (b->neighbours != NULL && n > CACHE_KEY && p < end) {
    const char *at = p;
    gunichar c = evo_utf8_next (&p);
    gint32 next = evo_bpe_symbol (b, c);

    if (at > start && is_cut (b, last, symbol, c, next)) {
      encode_word (b, s, start, (gsize) (at - start), ids);
      start = at;
    }
    last = c;
    symbol = next;
  }
  encode_word (b, s, start, (gsize) (end - start), ids);
}
