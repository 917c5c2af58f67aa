/* SPDX-License-Identifier: Apache-2.0
 * prefix.c - which hidden states are kept: every fourth hop of a path, or as many as there is room for; those used last stay.
 */
#include "core/nn/text-model/prefix.h"

#include <string.h>

enum { EVERY = 4 }; /* hops: at most three are run in vain, and states take a quarter of what all hops would */

/* States after the last of the hops. */
typedef struct {
  guint8 digest[32];
  EvoDecoderHop *hops; gsize n_hops;
  float *x; guint64 bytes;
  guint64 used;            /* the call that used it last */
} Kept;

struct EvoPrefixCache {
  guint64 most;
  GPtrArray *kept, *pending;
  EvoKept *places;         /* of the pending ones */
  EvoBetween between;
  EvoPrefixStats stats;
};

/* ------------------------------------------------------------------ rows */

static gsize
in_common (const EvoPrefixText *a, const EvoPrefixText *b)
{
  gsize n = 0;

  while (a != NULL && n < MIN (a->n, b->n) && a->ids[n] == b->ids[n])
    n++;
  return n;
}

static void
digest_texts (const EvoPrefixText *texts, gsize n, guint8 out[32])
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  gsize n_out = 32;

  for (gsize i = 0; i < n; i++) {
    guint64 length = texts[i].n;

    g_checksum_update (sum, (const guchar *) &length, sizeof length);
    for (gsize done = 0, some; done < length; done += some) {
      some = MIN (length - done, 1 << 20); /* g_checksum_update takes an int of bytes */
      g_checksum_update (sum, (const guchar *) (texts[i].ids + done), (gssize) (some * sizeof (gint32)));
    }
  }
  g_checksum_get_digest (sum, out, &n_out);
}

void
evo_prefix_rows_init (EvoPrefixRows *r, const EvoPrefixText *texts, gsize n)
{
  const EvoPrefixText *before = NULL;
  gsize total = 0;

  *r = (EvoPrefixRows){ .first = g_new (gsize, MAX (n, 1)), .own = g_new (gsize, MAX (n, 1)) };
  for (gsize i = 0; i < n; i++) {
    r->first[i] = total;
    total += texts[i].n;
  }
  r->rows = g_new (guint32, MAX (total, 1));
  for (gsize i = 0; i < n; i++) {
    /* in this order the text before has the longest beginning in common with this one */
    r->own[i] = in_common (before, &texts[i]);
    if (r->own[i] > 0)
      memcpy (r->rows + r->first[i], r->rows + r->first[before - texts], r->own[i] * sizeof *r->rows);
    for (gsize p = r->own[i]; p < texts[i].n; p++)
      r->rows[r->first[i] + p] = (guint32) r->n++;
    if (texts[i].n > 0)
      before = &texts[i];
  }
  digest_texts (texts, n, r->digest);
}

void
evo_prefix_rows_clear (EvoPrefixRows *r)
{
  g_free (r->rows);
  g_free (r->first);
  g_free (r->own);
  *r = (EvoPrefixRows){ 0 };
}

/* ------------------------------------------------------------------ what is kept */

static void
kept_free (gpointer data)
{
  Kept *k = data;

  g_free (k->hops);
  g_free (k->x);
  g_free (k);
}

EvoPrefixCache *
evo_prefix_cache_new (guint64 bytes)
{
  EvoPrefixCache *c = g_new0 (EvoPrefixCache, 1);

  c->most = bytes;
  c->kept = g_ptr_array_new_with_free_func (kept_free);
  c->pending = g_ptr_array_new_with_free_func (kept_free);
  return c;
}

void
evo_prefix_cache_free (EvoPrefixCache *c)
{
  if (c == NULL)
    return;
  g_ptr_array_unref (c->kept);
  g_ptr_array_unref (c->pending);
  g_free (c->places);
  g_free (c);
}

void
evo_prefix_cache_empty (EvoPrefixCache *c)
{
  g_ptr_array_set_size (c->kept, 0);
  c->stats.bytes = 0;
}

const EvoPrefixStats *
evo_prefix_cache_get_stats (const EvoPrefixCache *c)
{
  return &c->stats;
}

static gboolean
same_hop (const EvoDecoderHop *a, const EvoDecoderHop *b)
{
  return a->layer == b->layer && a->enter == b->enter && a->attention == b->attention && a->mlp == b->mlp;
}

/* Is it of these texts, and on this path before the last hop? */
static gboolean
fits (const Kept *k, const EvoPrefixRows *rows, const EvoDecoder *d)
{
  if ((gint64) k->n_hops >= d->spec.n_layers || memcmp (k->digest, rows->digest, sizeof k->digest) != 0)
    return FALSE;
  for (gsize i = 0; i < k->n_hops; i++)
    if (!same_hop (&k->hops[i], &d->hops[i]))
      return FALSE;
  return TRUE;
}

/* The deepest one that fits, or NULL; all that fit count as used. bytes: of those. */
static const Kept *
find (EvoPrefixCache *c, const EvoPrefixRows *rows, const EvoDecoder *d, guint64 *bytes)
{
  const Kept *deepest = NULL;

  *bytes = 0;
  for (guint i = 0; i < c->kept->len; i++) {
    Kept *k = g_ptr_array_index (c->kept, i);

    if (!fits (k, rows, d))
      continue;
    k->used = c->stats.calls;
    *bytes += k->bytes;
    if (deepest == NULL || k->n_hops > deepest->n_hops)
      deepest = k;
  }
  return deepest;
}

/* Drops the one used least recently, of several the deepest: fewer paths go through it. */
static void
drop_one (EvoPrefixCache *c)
{
  guint worst = 0;

  for (guint i = 1; i < c->kept->len; i++) {
    const Kept *k = g_ptr_array_index (c->kept, i), *w = g_ptr_array_index (c->kept, worst);

    if (k->used < w->used || (k->used == w->used && k->n_hops > w->n_hops))
      worst = i;
  }
  c->stats.bytes -= ((const Kept *) g_ptr_array_index (c->kept, worst))->bytes;
  g_ptr_array_remove_index_fast (c->kept, worst);
}

/* Room for states after hop `hop`; FALSE: there is none. */
static gboolean
keep_after (EvoPrefixCache *c, const EvoPrefixRows *rows, const EvoDecoder *d, gsize hop, guint64 bytes)
{
  Kept *k = g_new0 (Kept, 1);

  k->x = g_try_malloc (bytes);
  if (k->x == NULL) {
    g_free (k);
    return FALSE;
  }
  memcpy (k->digest, rows->digest, sizeof k->digest);
  k->n_hops = hop + 1;
  k->hops = g_memdup2 (d->hops, k->n_hops * sizeof *k->hops);
  k->bytes = bytes;
  k->used = c->stats.calls;
  c->places[c->pending->len] = (EvoKept){ hop, k->x };
  g_ptr_array_add (c->pending, k);
  return TRUE;
}

/* One path takes half of the room at most, so that those before it are not all gone; its states are spread over the hops it runs. */
static void
place (EvoPrefixCache *c, const EvoPrefixRows *rows, const EvoDecoder *d, gsize first, guint64 in_use)
{
  guint64 each = MAX (rows->n, 1) * (guint64) d->spec.hidden * sizeof (float), all = c->most / each;
  gsize n_hops = (gsize) d->spec.n_layers;
  gsize most = (gsize) MIN (MIN ((c->most - in_use) / each, MAX (all / 2, 1)), n_hops), step = MAX (EVERY, (n_hops - first + most) / (most + 1));

  c->places = g_renew (EvoKept, c->places, MAX (most, 1));
  for (gsize hop = first + step - 1; hop + 1 < n_hops && c->pending->len < most; hop += step) {
    while (c->stats.bytes + (c->pending->len + 1) * each > c->most)
      drop_one (c);
    if (!keep_after (c, rows, d, hop, each))
      return;
  }
}

const EvoBetween *
evo_prefix_cache_begin (EvoPrefixCache *c, const EvoPrefixRows *rows, const EvoDecoder *d)
{
  const Kept *start;
  guint64 in_use;

  c->stats.calls++;
  start = find (c, rows, d, &in_use);
  c->between = (EvoBetween){ .first_hop = start == NULL ? 0 : start->n_hops, .start = start == NULL ? NULL : start->x };
  place (c, rows, d, c->between.first_hop, in_use);
  c->between.kept = c->places;
  c->between.n_kept = c->pending->len;
  c->stats.hits += start != NULL;
  c->stats.hops_skipped += c->between.first_hop;
  c->stats.hops_run += (gsize) d->spec.n_layers - c->between.first_hop;
  return &c->between;
}

void
evo_prefix_cache_end (EvoPrefixCache *c, gboolean complete)
{
  for (guint i = 0; complete && i < c->pending->len; i++) {
    Kept *k = g_ptr_array_index (c->pending, i);

    c->stats.bytes += k->bytes;
    g_ptr_array_add (c->kept, k);
  }
  g_ptr_array_set_free_func (c->pending, complete ? NULL : kept_free);
  g_ptr_array_set_size (c->pending, 0);
  g_ptr_array_set_free_func (c->pending, kept_free);
}
