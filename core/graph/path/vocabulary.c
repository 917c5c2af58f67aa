/* SPDX-License-Identifier: Apache-2.0
 * vocabulary.c - whether the inputs of a path have one vocabulary: what layers were trained to follow is an embedding of the same tokens.
 *
 * Tokens are compared where both models have a tokenizer, else the rows of their embeddings; rows behind the last token are padding. Said otherwise
 * by "vocabulary": "any". mergekit compares nothing.
 */
#include "core/graph/path/stack.h"
#include "core/graph/vocab/vocab.h"

static const char *const ADVICE = "a path needs models of one vocabulary; with \"vocabulary\": \"any\" tokens and embedding are the first input's, whatever "
                                  "the others have";

/* Of an id that only one of them has, or both have another text for. */
static gboolean
refuse_token (const EvoStack *s, guint hop, gint64 id, const EvoToken *ours, const EvoToken *theirs, GError **error)
{
  const char *first = evo_stack_name (s, 0), *other = evo_stack_name (s, s->hops[hop].input);

  if (theirs == NULL)
    return evo_stack_refuse (s, hop, error, "%s has no token %" G_GINT64_FORMAT ", which is \"%s\" in %s; %s", other, id, ours->text, first, ADVICE);
  if (ours == NULL)
    return evo_stack_refuse (s, hop, error, "%s has a token %" G_GINT64_FORMAT ", \"%s\", and %s has none; %s", other, id, theirs->text, first, ADVICE);
  return evo_stack_refuse (s, hop, error, "token %" G_GINT64_FORMAT " is \"%s\" in %s, \"%s\" in %s; %s", id, theirs->text, other, ours->text, first, ADVICE);
}

static gboolean
same_tokens (const EvoStack *s, guint hop, const EvoTokens *ours, const EvoTokens *theirs, GError **error)
{
  gint64 n = MAX (evo_tokens_count (ours), evo_tokens_count (theirs));

  for (gint64 id = 0; id < n; id++) {
    const EvoToken *a = evo_tokens_get (ours, id), *b = evo_tokens_get (theirs, id);

    if (a == NULL || b == NULL ? a != b : !g_str_equal (a->text, b->text))
      return refuse_token (s, hop, id, a, b, error);
  }
  return TRUE;
}

gboolean
evo_stack_check_vocabulary (const EvoStack *s, guint hop, GError **error)
{
  const EvoNode *first = s->node->in[0].from, *other = s->node->in[s->hops[hop].input].from;
  g_autoptr (EvoTokens) ours = NULL, theirs = NULL;
  gint64 rows = evo_layout_vocab (evo_models_get_layout (s->m, first)), their_rows = evo_layout_vocab (evo_models_get_layout (s->m, other));

  if (evo_path_takes_any_vocabulary (s->node) || first == other)
    return TRUE;
  ours = evo_vocab_tokens_of (s->m, first, NULL); /* a model without a tokenizer, or with one that cannot be read, may be merged */
  theirs = ours == NULL ? NULL : evo_vocab_tokens_of (s->m, other, NULL);
  if (ours != NULL && theirs != NULL)
    return same_tokens (s, hop, ours, theirs, error);
  return rows == 0 || their_rows == 0 || rows == their_rows ||
         evo_stack_refuse (s, hop, error, "the embedding of %s has %" G_GINT64_FORMAT " rows, that of %s %" G_GINT64_FORMAT "; %s",
                           evo_stack_name (s, s->hops[hop].input), their_rows, evo_stack_name (s, 0), rows, ADVICE);
}
