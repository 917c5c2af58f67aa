/* SPDX-License-Identifier: Apache-2.0
 * batch.c - fills the rows of a forward pass.
 */
#include "core/nn/decoder/batch.h"

void
evo_batch_empty (EvoBatch *b)
{
  b->n = b->n_wanted = b->n_shares = 0;
}

void
evo_batch_clear (EvoBatch *b)
{
  g_free (b->tokens);
  g_free (b->wanted);
  g_free (b->owners);
  g_free (b->wanted_tokens);
  g_free (b->shares);
  *b = (EvoBatch){ NULL };
}

void
evo_batch_reserve (EvoBatch *b, gsize max)
{
  evo_batch_empty (b);
  if (max <= b->max)
    return;
  evo_batch_clear (b);
  b->max = max;
  b->tokens = g_new (EvoToken, max);
  b->wanted = g_new (guint32, max);
  b->owners = g_new (gpointer, max);
  b->wanted_tokens = g_new (EvoToken, max);
}

void
evo_batch_add (EvoBatch *b, gint32 id, guint32 slot, gsize position, gpointer wanted_by)
{
  g_return_if_fail (b->n < b->max);
  b->tokens[b->n] = (EvoToken){ id, slot, (guint32) position };
  if (wanted_by != NULL) {
    b->wanted[b->n_wanted] = (guint32) b->n;
    b->owners[b->n_wanted] = wanted_by;
    b->wanted_tokens[b->n_wanted++] = b->tokens[b->n];
  }
  b->n++;
}

void
evo_batch_share (EvoBatch *b, guint32 from, guint32 to, gsize first, gsize n)
{
  if (b->n_shares == b->max_shares) {
    b->max_shares = 2 * b->max_shares + 16;
    b->shares = g_renew (EvoShare, b->shares, b->max_shares);
  }
  b->shares[b->n_shares++] = (EvoShare){ from, to, first, n };
}

/* Tokens that p may take over: outputs that are wanted have to be computed. */
static gsize
common (const EvoPrompt *p, const EvoPrompt *before)
{
  gsize n = 0, most = MIN (MIN (p->n - 1, p->wanted_from), before->n);

  while (n < most && p->ids[n] == before->ids[n])
    n++;
  return n;
}

void
evo_prompt_begin (EvoPrompt *p, guint64 *turns, const EvoPrompt *before)
{
  p->n_fed = p->n_like = 0;
  turns[p->slot]++;
  if (before == NULL)
    return;
  p->n_like = common (p, before);
  p->like_slot = before->slot;
  p->like_turn = turns[before->slot];
}

gboolean
evo_prompt_feed (EvoPrompt *p, const guint64 *turns, EvoBatch *b, gpointer owner)
{
  if (p->n_fed == 0 && p->n_like > 0 && b->n < b->max && turns[p->like_slot] == p->like_turn) {
    evo_batch_share (b, p->like_slot, p->slot, 0, p->n_like);
    p->n_fed = p->n_like;
  }
  for (; p->n_fed < p->n && b->n < b->max; p->n_fed++)
    evo_batch_add (b, p->ids[p->n_fed], p->slot, p->n_fed, p->n_fed >= p->wanted_from ? owner : NULL);
  return p->n_fed == p->n;
}
