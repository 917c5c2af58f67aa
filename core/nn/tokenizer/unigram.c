/* SPDX-License-Identifier: Apache-2.0
 * unigram.c - the most probable segmentation of a text (Kudo 2018, "Subword regularization", section 3.1), by Viterbi.
 *
 * Nodes are byte positions; from each character, every token of the trie that begins there leads on. A character without a token of its own
 * can be passed as unknown, 10 below the lowest score (SentencePiece's kUnkPenalty).
 */
#include "core/nn/tokenizer/unigram.h"

#include <math.h>

#include "core/nn/tokenizer/text.h"

#define UNKNOWN_PENALTY 10.0

enum { UNREACHED = 0xffffffffu };

void
evo_unigram_work_init (EvoUnigramWork *w)
{
  w->nodes = g_array_new (FALSE, FALSE, sizeof (EvoUnigramNode));
  w->reversed = g_array_new (FALSE, FALSE, sizeof (gint32));
}

void
evo_unigram_work_clear (EvoUnigramWork *w)
{
  g_clear_pointer (&w->nodes, g_array_unref);
  g_clear_pointer (&w->reversed, g_array_unref);
}

void
evo_unigram_init (EvoUnigram *u, const EvoVocab *vocab)
{
  memset (u, 0, sizeof *u);
  u->vocab = vocab;
  evo_trie_init (&u->trie);
  u->scores = g_array_new (FALSE, TRUE, sizeof (double));
  u->lowest = INFINITY;
  u->highest = -INFINITY;
  u->unknown = -1;
  memset (u->bytes, 0xff, sizeof u->bytes);
}

void
evo_unigram_clear (EvoUnigram *u)
{
  evo_trie_clear (&u->trie);
  g_clear_pointer (&u->scores, g_array_unref);
  g_clear_pointer (&u->bonus, g_array_unref);
}

void
evo_unigram_add (EvoUnigram *u, gint32 id, double score, gboolean counts)
{
  EvoVocabText t = evo_vocab_get (u->vocab, id);

  if ((guint) id >= u->scores->len)
    g_array_set_size (u->scores, (guint) id + 1);
  g_array_index (u->scores, double, id) = score;
  if (counts) {
    u->lowest = MIN (u->lowest, score);
    u->highest = MAX (u->highest, score);
  }
  if (t.n > 0)
    evo_trie_add (&u->trie, t.text, t.n, id);
}

void
evo_unigram_set_bonus (EvoUnigram *u, gint32 id)
{
  if (u->bonus == NULL)
    u->bonus = g_array_new (FALSE, TRUE, 1);
  if ((guint) id >= u->bonus->len)
    g_array_set_size (u->bonus, (guint) id + 1);
  g_array_index (u->bonus, char, id) = 1;
}

void
evo_unigram_finish (EvoUnigram *u)
{
  for (guint byte = 0; byte < 256; byte++) {
    char text[8];

    g_snprintf (text, sizeof text, "<0x%02X>", byte);
    u->bytes[byte] = evo_vocab_find (u->vocab, text, 6);
  }
  if (!isfinite (u->lowest)) /* no score counts */
    u->lowest = u->highest = 0;
}

/* ------------------------------------------------------------------ search */

static double
token_score (const EvoUnigram *u, gint32 id, gsize n_bytes)
{
  if (u->bonus != NULL && (guint) id < u->bonus->len && g_array_index (u->bonus, char, id))
    return (double) n_bytes * u->highest - 0.1;
  return g_array_index (u->scores, double, id);
}

static void
offer (const EvoUnigram *u, EvoUnigramNode *nodes, gsize from, gsize to, double score, gint32 id)
{
  double sum = nodes[from].score + score;

  if (u->single)
    sum = (float) sum;
  if (nodes[to].from == UNREACHED || sum > nodes[to].score)
    nodes[to] = (EvoUnigramNode){ sum, (guint32) from, id };
}

static void
offer_tokens (const EvoUnigram *u, EvoUnigramNode *nodes, const char *text, gsize from, gsize n, gsize width)
{
  guint32 node = 0;
  gboolean has_single = FALSE;

  for (gsize i = from; i < n && (node = evo_trie_step (&u->trie, node, (guchar) text[i])) != 0; i++) {
    gint32 id = evo_trie_value (&u->trie, node);

    if (id < 0)
      continue;
    offer (u, nodes, from, i + 1, token_score (u, id, i + 1 - from), id);
    has_single |= i + 1 - from == width;
  }
  if (!has_single)
    offer (u, nodes, from, from + width, u->lowest - UNKNOWN_PENALTY, -1);
}

static void
put_bytes_reversed (const EvoUnigram *u, GArray *out, const char *text, gsize n)
{
  for (gsize i = n; i > 0; i--)
    g_array_append_val (out, u->bytes[(guchar) text[i - 1]]);
}

static gboolean
has_bytes (const EvoUnigram *u, const char *text, gsize n)
{
  gboolean all = u->byte_fallback;

  for (gsize i = 0; i < n && all; i++)
    all = u->bytes[(guchar) text[i]] >= 0;
  return all;
}

/* The unknown run that ends at `end`: its bytes, or one unknown token for all of it. Returns where it starts. */
static gsize
put_unknown_reversed (const EvoUnigram *u, const EvoUnigramNode *nodes, GArray *out, const char *text, gsize end)
{
  gsize start = end;
  gint32 id;

  while (start > 0 && (nodes[start].id < 0 || nodes[start].id == u->unknown))
    start = nodes[start].from;
  id = evo_vocab_find (u->vocab, text + start, end - start); /* the unknown token's own text */
  if (id >= 0)
    g_array_append_val (out, id);
  else if (has_bytes (u, text + start, end - start))
    put_bytes_reversed (u, out, text + start, end - start);
  else if (u->unknown >= 0)
    g_array_append_val (out, u->unknown);
  return start;
}

void
evo_unigram_encode (const EvoUnigram *u, EvoUnigramWork *w, const char *text, gsize n, GArray *ids)
{
  EvoUnigramNode *nodes;
  const char *p = text;
  gsize end = n;

  g_array_set_size (w->nodes, (guint) n + 1);
  nodes = (EvoUnigramNode *) (gpointer) w->nodes->data;
  for (gsize i = 0; i <= n; i++)
    nodes[i] = (EvoUnigramNode){ 0, UNREACHED, -1 };
  while (p < text + n) {
    const char *at = p;

    evo_utf8_next (&p);
    offer_tokens (u, nodes, text, (gsize) (at - text), n, (gsize) (p - at));
  }
  g_array_set_size (w->reversed, 0);
  while (end > 0) {
    if (nodes[end].id < 0 || nodes[end].id == u->unknown) {
      end = put_unknown_reversed (u, nodes, w->reversed, text, end);
      continue;
    }
    g_array_append_val (w->reversed, nodes[end].id);
    end = nodes[end].from;
  }
  for (guint i = w->reversed->len; i > 0; i--)
    g_array_append_val (ids, g_array_index (w->reversed, gint32, i - 1));
}
