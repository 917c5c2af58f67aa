/* SPDX-License-Identifier: Apache-2.0
 * vocab.c - texts by id and ids by text, and a trie of texts.
 */
#include "core/nn/tokenizer/vocab.h"

guint64
evo_hash_seed (void)
{
  static gsize seed = 0;

  if (g_once_init_enter (&seed))
    g_once_init_leave (&seed, ((gsize) g_random_int () << 32 | g_random_int ()) | 1);
  return seed;
}

/* ------------------------------------------------------------------ vocabulary */

void
evo_vocab_init (EvoVocab *v)
{
  v->chunk = g_string_chunk_new (1 << 14);
  v->texts = g_array_new (FALSE, TRUE, sizeof (EvoVocabText));
  v->n_slots = 64;
  v->n_used = 0;
  v->seed = evo_hash_seed ();
  v->slots = g_new (EvoVocabSlot, v->n_slots);
  memset (v->slots, 0xff, v->n_slots * sizeof *v->slots);
}

void
evo_vocab_clear (EvoVocab *v)
{
  if (v->chunk == NULL)
    return;
  g_clear_pointer (&v->chunk, g_string_chunk_free);
  g_clear_pointer (&v->texts, g_array_unref);
  g_clear_pointer (&v->slots, g_free);
}

/* The slot of this text, or the free one where it belongs. */
static EvoVocabSlot *
find_slot (const EvoVocab *v, const char *text, gsize n, guint32 hash)
{
  guint32 i = hash & (v->n_slots - 1);

  for (; v->slots[i].id >= 0; i = (i + 1) & (v->n_slots - 1)) {
    const EvoVocabText *t = &g_array_index (v->texts, EvoVocabText, v->slots[i].id);

    if (v->slots[i].hash == hash && t->n == n && memcmp (t->text, text, n) == 0)
      break;
  }
  return &v->slots[i];
}

static void
grow (EvoVocab *v)
{
  g_autofree EvoVocabSlot *old = v->slots;
  guint32 n_old = v->n_slots;

  v->n_slots *= 2;
  v->slots = g_new (EvoVocabSlot, v->n_slots);
  memset (v->slots, 0xff, v->n_slots * sizeof *v->slots);
  for (guint32 i = 0; i < n_old; i++) {
    guint32 j = old[i].hash & (v->n_slots - 1);

    if (old[i].id < 0)
      continue;
    while (v->slots[j].id >= 0)
      j = (j + 1) & (v->n_slots - 1);
    v->slots[j] = old[i];
  }
}

void
evo_vocab_add (EvoVocab *v, const char *text, gsize n, gint32 id)
{
  EvoVocabText entry = { g_string_chunk_insert_len (v->chunk, text, (gssize) n), (guint32) n };
  guint32 hash = (guint32) evo_bytes_hash (v->seed, text, n);
  EvoVocabSlot *slot;

  g_return_if_fail (id >= 0 && id < EVO_VOCAB_MAX_ID);
  if ((guint) id >= v->texts->len)
    g_array_set_size (v->texts, (guint) id + 1);
  g_return_if_fail (g_array_index (v->texts, EvoVocabText, id).text == NULL);
  if (2 * (v->n_used + 1) > v->n_slots)
    grow (v);
  slot = find_slot (v, text, n, hash);
  v->n_used += slot->id < 0;
  *slot = (EvoVocabSlot){ hash, id };
  g_array_index (v->texts, EvoVocabText, id) = entry;
}

gint32
evo_vocab_find (const EvoVocab *v, const char *text, gsize n)
{
  return find_slot (v, text, n, (guint32) evo_bytes_hash (v->seed, text, n))->id;
}

EvoVocabText
evo_vocab_get (const EvoVocab *v, gint64 id)
{
  return id >= 0 && id < v->texts->len ? g_array_index (v->texts, EvoVocabText, id) : (EvoVocabText){ NULL, 0 };
}

guint
evo_vocab_get_size (const EvoVocab *v)
{
  return v->texts->len;
}

/* ------------------------------------------------------------------ trie */

void
evo_trie_init (EvoTrie *t)
{
  gint32 none = -1;

  memset (t, 0, sizeof *t);
  t->n_slots = 64;
  t->seed = evo_hash_seed ();
  t->slots = g_new0 (EvoTrieSlot, t->n_slots);
  t->values = g_array_new (FALSE, FALSE, sizeof (gint32));
  t->n_nodes = 1;
  g_array_append_val (t->values, none);
}

void
evo_trie_clear (EvoTrie *t)
{
  g_clear_pointer (&t->slots, g_free);
  g_clear_pointer (&t->values, g_array_unref);
}

static void
put_child (EvoTrie *t, guint64 key, guint32 node)
{
  guint32 i = trie_slot (t, key);

  while (t->slots[i].node != 0)
    i = (i + 1) & (t->n_slots - 1);
  t->slots[i] = (EvoTrieSlot){ key, node };
}

static void
grow_trie (EvoTrie *t)
{
  g_autofree EvoTrieSlot *old = t->slots;
  guint32 n_old = t->n_slots;

  t->n_slots *= 2;
  t->slots = g_new0 (EvoTrieSlot, t->n_slots);
  for (guint32 i = 0; i < n_old; i++)
    if (old[i].node != 0)
      put_child (t, old[i].key, old[i].node);
}

static guint32
new_child (EvoTrie *t, guint32 node, guchar byte)
{
  gint32 none = -1;
  guint32 child = t->n_nodes++;

  g_array_append_val (t->values, none);
  if (node == 0) {
    t->root[byte] = child;
    return child;
  }
  if (2 * t->n_nodes > t->n_slots)
    grow_trie (t);
  put_child (t, trie_key (node, byte), child);
  return child;
}

void
evo_trie_add (EvoTrie *t, const char *text, gsize n, gint32 value)
{
  guint32 node = 0;

  g_return_if_fail (n > 0);
  for (gsize i = 0; i < n; i++) {
    guint32 child = evo_trie_step (t, node, (guchar) text[i]);

    node = child != 0 ? child : new_child (t, node, (guchar) text[i]);
  }
  g_array_index (t->values, gint32, node) = value;
}

gsize
evo_trie_longest (const EvoTrie *t, const char *text, gsize n, gint32 *value)
{
  guint32 node = 0;
  gsize longest = 0;

  for (gsize i = 0; i < n && (node = evo_trie_step (t, node, (guchar) text[i])) != 0; i++) {
    if (evo_trie_value (t, node) < 0)
      continue;
    longest = i + 1;
    *value = evo_trie_value (t, node);
  }
  return longest;
}
