/* SPDX-License-Identifier: Apache-2.0
 * merge.c - the merges of one word: characters become symbols, neighbours merge by rank, symbols become ids.
 */
#include "core/nn/tokenizer/merge.h"

#include "core/nn/tokenizer/text.h"

/* Up to here looking through all ranks for the lowest beats a heap. */
enum { SHORT_WORD = 24 };

void
evo_merge_work_init (EvoMergeWork *w)
{
  w->symbols = g_array_new (FALSE, FALSE, sizeof (EvoMergeSymbol));
  w->heap = g_array_new (FALSE, FALSE, sizeof (guint64));
  w->affixed = g_string_new (NULL);
  w->parts = g_hash_table_new (NULL, NULL);
}

void
evo_merge_work_clear (EvoMergeWork *w)
{
  g_clear_pointer (&w->symbols, g_array_unref);
  g_clear_pointer (&w->heap, g_array_unref);
  g_string_free (w->affixed, TRUE);
  g_clear_pointer (&w->parts, g_hash_table_unref);
}

static EvoMergeSymbol *
symbol_at (const EvoMergeWork *w, guint32 i)
{
  return &g_array_index (w->symbols, EvoMergeSymbol, i);
}

/* ------------------------------------------------------------------ characters to symbols */

static void
push_symbol (EvoMergeWork *w, gint32 id, gsize start, gsize n)
{
  EvoMergeSymbol symbol = { .id = id, .start = (guint32) start, .n = (guint32) n };

  g_array_append_val (w->symbols, symbol);
}

/* TRUE: all bytes have tokens, which are pushed. */
static gboolean
push_bytes (const EvoBpe *b, EvoMergeWork *w, const char *bytes, gsize n_bytes, gsize start)
{
  for (gsize i = 0; i < n_bytes; i++)
    if (b->bytes[(guchar) bytes[i]] < 0)
      return FALSE;
  for (gsize i = 0; i < n_bytes; i++)
    push_symbol (w, b->bytes[(guchar) bytes[i]], start, 1);
  return TRUE;
}

/* The symbol of a character with its prefix and suffix. `text`: what it is called then. */
static gint32
affixed_symbol (const EvoBpe *b, const char *c, gsize n, gboolean first, gboolean last, GString *text)
{
  g_string_truncate (text, 0);
  if (!first && b->prefix != NULL)
    g_string_append (text, b->prefix);
  g_string_append_len (text, c, (gssize) n);
  if (last && b->suffix != NULL)
    g_string_append (text, b->suffix);
  return evo_vocab_find (b->vocab, text->str, text->len);
}

/* As the reference does it: an unknown run waits until a known character comes, also while bytes take the place of other characters. */
static void
push_characters (const EvoBpe *b, EvoMergeWork *w, const char *text, gsize n)
{
  const char *p = text, *end = text + n;
  gboolean is_affixed = b->prefix != NULL || b->suffix != NULL;
  gsize unknown = 0; /* bytes that wait */

  while (p < end) {
    const char *at = p;
    gint32 id = evo_bpe_symbol (b, evo_utf8_next (&p));
    gsize start = (gsize) (at - text), length = (gsize) (p - at);

    if (is_affixed)
      id = affixed_symbol (b, at, length, at == text, p == end, w->affixed);
    if (id < 0 && b->byte_fallback &&
        (is_affixed ? push_bytes (b, w, w->affixed->str, w->affixed->len, start) : push_bytes (b, w, at, length, start)))
      continue;
    if (unknown > 0 && (id >= 0 || !b->fuse_unknown)) {
      push_symbol (w, b->unknown, start, unknown);
      unknown = 0;
    }
    if (id >= 0)
      push_symbol (w, id, start, length);
    else if (b->unknown >= 0)
      unknown += length;
  }
  if (unknown > 0)
    push_symbol (w, b->unknown, n - unknown, unknown);
}

static void
push_characters_late (const EvoBpe *b, EvoMergeWork *w, const char *text, gsize n)
{
  const char *p = text, *end = text + n;

  while (p < end) {
    const char *at = p;
    gint32 id = evo_bpe_symbol (b, evo_utf8_next (&p));

    push_symbol (w, id, (gsize) (at - text), (gsize) (p - at));
  }
}

/* ------------------------------------------------------------------ merging */

/* SentencePiece takes an UNUSED token apart by the pair that was seen last as a way to make it, merged or not. */
static void
note_parts (const EvoBpe *b, EvoMergeWork *w, const EvoBpePair *pair)
{
  if (b->unused != NULL && b->unused[pair->id])
    g_hash_table_insert (w->parts, GINT_TO_POINTER (pair->id), (gpointer) pair);
}

static void
rank_pair (const EvoBpe *b, EvoMergeWork *w, EvoMergeSymbol *left, const EvoMergeSymbol *right)
{
  const EvoBpePair *pair = right == NULL ? NULL : evo_bpe_find_merge (b, left->id, right->id);

  left->rank = pair == NULL ? EVO_MERGE_NONE : pair->rank;
  left->merged = pair == NULL ? -1 : pair->id;
  if (pair != NULL)
    note_parts (b, w, pair);
}

static void
merge_short (const EvoBpe *b, EvoMergeWork *w)
{
  EvoMergeSymbol *s = (EvoMergeSymbol *) (gpointer) w->symbols->data;
  guint n = w->symbols->len;

  for (guint i = 0; i < n; i++)
    rank_pair (b, w, &s[i], i + 1 < n ? &s[i + 1] : NULL);
  while (n > 1) {
    guint best = 0;

    for (guint i = 1; i < n; i++)
      if (s[i].rank < s[best].rank)
        best = i;
    if (s[best].rank == EVO_MERGE_NONE)
      break;
    s[best].id = s[best].merged;
    s[best].n += s[best + 1].n;
    memmove (s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
    n--;
    if (best > 0)
      rank_pair (b, w, &s[best - 1], &s[best]);
    rank_pair (b, w, &s[best], best + 1 < n ? &s[best + 1] : NULL);
  }
  g_array_set_size (w->symbols, n);
}

static void
heap_push (GArray *heap, guint64 value)
{
  guint64 *h;
  guint i = heap->len;

  g_array_append_val (heap, value);
  h = (guint64 *) (gpointer) heap->data;
  for (; i > 0 && h[(i - 1) / 2] > value; i = (i - 1) / 2)
    h[i] = h[(i - 1) / 2];
  h[i] = value;
}

static guint64
heap_pop (GArray *heap)
{
  guint64 *h = (guint64 *) (gpointer) heap->data, top = h[0], value = h[heap->len - 1];
  guint n = heap->len - 1, i = 0;

  for (;;) {
    guint child = 2 * i + 1;

    if (child + 1 < n && h[child + 1] < h[child])
      child++;
    if (child >= n || h[child] >= value)
      break;
    h[i] = h[child];
    i = child;
  }
  h[i] = value;
  g_array_set_size (heap, n);
  return top;
}

static void
rank_and_push (const EvoBpe *b, EvoMergeWork *w, guint32 i)
{
  EvoMergeSymbol *s = symbol_at (w, i);

  rank_pair (b, w, s, s->next == EVO_MERGE_NONE ? NULL : symbol_at (w, s->next));
  if (s->rank != EVO_MERGE_NONE)
    heap_push (w->heap, (guint64) s->rank << 32 | i);
}

/* Merged-away symbols have n = 0. A heap entry counts if its symbol still has that rank. */
static void
merge_long (const EvoBpe *b, EvoMergeWork *w)
{
  guint n = w->symbols->len;
  guint kept = 0;

  g_array_set_size (w->heap, 0);
  for (guint32 i = 0; i < n; i++) {
    symbol_at (w, i)->prev = i == 0 ? EVO_MERGE_NONE : i - 1;
    symbol_at (w, i)->next = i + 1 == n ? EVO_MERGE_NONE : i + 1;
    rank_and_push (b, w, i);
  }
  while (w->heap->len > 0) {
    guint64 top = heap_pop (w->heap);
    EvoMergeSymbol *s = symbol_at (w, (guint32) top), *gone;

    if (s->n == 0 || s->rank != top >> 32)
      continue;
    gone = symbol_at (w, s->next);
    s->id = s->merged;
    s->n += gone->n;
    s->next = gone->next;
    gone->n = 0;
    if (s->next != EVO_MERGE_NONE)
      symbol_at (w, s->next)->prev = (guint32) top;
    if (s->prev != EVO_MERGE_NONE)
      rank_and_push (b, w, s->prev);
    rank_and_push (b, w, (guint32) top);
  }
  for (guint32 i = 0; i < n; i++)
    if (symbol_at (w, i)->n > 0)
      *symbol_at (w, kept++) = *symbol_at (w, i);
  g_array_set_size (w->symbols, kept);
}

/* ------------------------------------------------------------------ symbols to ids, where unknown ones are looked at late */

typedef struct { const EvoBpe *b; EvoMergeWork *w; const char *text; GArray *ids; gboolean in_run; } Late;

static gboolean
is_token (const EvoBpe *b, gint32 id)
{
  return id >= 0 && id < (gint32) evo_vocab_get_size (b->vocab);
}

/* The bytes of an unknown symbol, or one unknown token for a run of such symbols. */
static void
put_unknown (Late *l, const EvoMergeSymbol *s)
{
  if (l->b->byte_fallback) {
    for (guint32 i = 0; i < s->n; i++)
      g_array_append_val (l->ids, l->b->bytes[(guchar) l->text[s->start + i]]);
    return;
  }
  if (!l->in_run)
    g_array_append_val (l->ids, l->b->unknown);
  l->in_run = TRUE;
}

static void
put_symbol (Late *l, const EvoMergeSymbol *s)
{
  if (!is_token (l->b, s->id)) {
    put_unknown (l, s);
    return;
  }
  g_array_append_val (l->ids, s->id);
  l->in_run = FALSE;
}

/* The two symbols that an UNUSED one was made of. */
static void
push_parts (Late *l, GArray *stack, const EvoMergeSymbol *whole, const EvoBpePair *pair)
{
  EvoMergeSymbol left = { .id = (gint32) (pair->key >> 32), .start = whole->start }, right = { .id = (gint32) pair->key };
  const char *at = l->text + whole->start, *p = at;

  evo_utf8_next (&p);
  left.n = is_token (l->b, left.id) ? evo_vocab_get (l->b->vocab, left.id).n : (guint32) (p - at); /* no token: one character */
  right.start = whole->start + left.n;
  right.n = whole->n - left.n;
  g_array_append_val (stack, right);
  g_array_append_val (stack, left);
}

static void
take_apart (Late *l, const EvoMergeSymbol *symbol)
{
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (EvoMergeSymbol));

  g_array_append_val (stack, *symbol);
  while (stack->len > 0) {
    EvoMergeSymbol top = g_array_index (stack, EvoMergeSymbol, stack->len - 1);
    const EvoBpePair *pair = g_hash_table_lookup (l->w->parts, GINT_TO_POINTER (top.id));

    g_array_set_size (stack, stack->len - 1);
    if (pair != NULL)
      push_parts (l, stack, &top, pair);
    else
      put_symbol (l, &top);
  }
}

static void
put_late (const EvoBpe *b, EvoMergeWork *w, const char *text, GArray *ids)
{
  Late l = { b, w, text, ids, FALSE };

  for (guint i = 0; i < w->symbols->len; i++) {
    const EvoMergeSymbol *s = symbol_at (w, i);

    if (b->unused != NULL && is_token (b, s->id) && b->unused[s->id])
      take_apart (&l, s);
    else
      put_symbol (&l, s);
  }
}

void
evo_merge_word (const EvoBpe *b, EvoMergeWork *w, const char *text, gsize n, GArray *ids)
{
  g_array_set_size (w->symbols, 0);
  if (b->unused != NULL)
    g_hash_table_remove_all (w->parts);
  if (b->late)
    push_characters_late (b, w, text, n);
  else
    push_characters (b, w, text, n);
  if (w->symbols->len <= SHORT_WORD)
    merge_short (b, w);
  else
    merge_long (b, w);
  if (b->late) {
    put_late (b, w, text, ids);
    return;
  }
  for (guint i = 0; i < w->symbols->len; i++)
    g_array_append_val (ids, symbol_at (w, i)->id);
}
