/* SPDX-License-Identifier: Apache-2.0
 * scratch.c - chunks that are filled in order and never move while something lies in them.
 */
#include "core/graph/merge/scratch.h"

enum { LEAST = 1 << 20, ALIGNMENT = 64 };

typedef struct { char *bytes; gsize size; } Chunk;

struct EvoScratch {
  GArray *chunks;    /* Chunk */
  guint chunk;       /* the one being filled */
  gsize top;         /* bytes taken of it */
};

EvoScratch *
evo_scratch_new (void)
{
  EvoScratch *s = g_new0 (EvoScratch, 1);

  s->chunks = g_array_new (FALSE, FALSE, sizeof (Chunk));
  return s;
}

void
evo_scratch_free (EvoScratch *s)
{
  if (s == NULL)
    return;
  for (guint i = 0; i < s->chunks->len; i++)
    g_aligned_free (g_array_index (s->chunks, Chunk, i).bytes);
  g_array_unref (s->chunks);
  g_free (s);
}

/* Makes chunk `i`, which nothing lies in, at least n bytes large. */
static void
provide (EvoScratch *s, guint i, gsize n)
{
  Chunk fresh = { NULL, MAX (n, (gsize) LEAST) };

  if (i < s->chunks->len && g_array_index (s->chunks, Chunk, i).size >= n)
    return;
  fresh.bytes = g_aligned_alloc (1, fresh.size, ALIGNMENT);
  if (i == s->chunks->len) {
    g_array_append_val (s->chunks, fresh);
    return;
  }
  g_aligned_free (g_array_index (s->chunks, Chunk, i).bytes);
  g_array_index (s->chunks, Chunk, i) = fresh;
}

gpointer
evo_scratch_take (EvoScratch *s, gsize n_bytes)
{
  gsize n = (n_bytes + ALIGNMENT - 1) & ~(gsize) (ALIGNMENT - 1);
  gpointer taken;

  if (s->top == 0) {
    provide (s, s->chunk, n);
  } else if (s->top + n > g_array_index (s->chunks, Chunk, s->chunk).size) {
    provide (s, ++s->chunk, n);
    s->top = 0;
  }
  taken = g_array_index (s->chunks, Chunk, s->chunk).bytes + s->top;
  s->top += n;
  return taken;
}

EvoScratchMark
evo_scratch_mark (const EvoScratch *s)
{
  return (EvoScratchMark){ s->chunk, s->top };
}

void
evo_scratch_release (EvoScratch *s, EvoScratchMark mark)
{
  s->chunk = mark.chunk;
  s->top = mark.top;
}
