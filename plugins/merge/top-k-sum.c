/* SPDX-License-Identifier: Apache-2.0
 * merge.top-k-sum - the first model's weights put in the second's order, within a window of magnitudes ("top_k_tensor_sum" of sd-meh by
 * s1dlx, 2023).
 *
 * The place that holds the second model's r-th smallest weight gets the first model's r-th smallest, if that is in the window, else the first
 * model's weight of that place. The window has a share `width` of the first model's weights by magnitude, from the share `offset` of the smallest
 * on, and goes on with the smallest where it runs over the largest. Equal weights rank by index; of equal magnitudes the earlier counts as larger.
 * Ranks are what it is made of, so both tensors are sorted whole, by two digits of 16 bits: the lower ones of what was bf16 are all the same.
 */
#include <string.h>

#include "evopipe.h"

typedef struct { double width, offset; } TopParams;

static const EvoParam params[] = {
  EVO_NUMBER (TopParams, width, 1, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1),
              "Share of the weights, by magnitude, that is put in the second model's order."),
  EVO_NUMBER (TopParams, offset, 0, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "Share of the smallest weights that the window begins behind."),
  EVO_PARAMS_END
};

typedef struct { gint64 from, to; gboolean inverted; } Window; /* [from, to) by ascending magnitude, or all but that */

static Window
window_of (const TopParams *p, gint64 n)
{
  double offset = p->offset >= 1 ? 0 : p->offset, end = p->width + offset;

  if (end <= 1)
    return (Window){ (gint64) rint (offset * (double) n), (gint64) rint (end * (double) n), FALSE };
  return (Window){ (gint64) rint ((end - 1) * (double) n), (gint64) rint (offset * (double) n), TRUE };
}

static void
top_keys (const EvoMergeCall *c, guint cut, float *key)
{
  c->k->abs (key, c->in[0], c->n);
}

/* Two cuts: the keys from the window's beginning on, and those behind its end. */
static gint64
top_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  Window w = window_of (c->params, n);

  return n - (cut == 0 ? w.from : w.to);
}

static gboolean
is_above (const EvoMergeCall *c, guint cut, gsize i)
{
  float key = fabsf (c->in[0][i]);

  return key > c->cut[cut] || (key == c->cut[cut] && (gint64) i <= c->last_tie[cut]);
}

/* Unsigned, in the order of the numbers; both zeros are one. */
static guint32
order_bits (float x)
{
  guint32 bits;

  memcpy (&bits, &x, sizeof bits);
  return x == 0 ? 0x80000000u : bits >> 31 ? ~bits : bits | 0x80000000u;
}

enum { DIGITS = 65536 };

/* to [n]: the places that from [n] lists (NULL: 0 ... n - 1), stably by 16 bits of their weights from bit `shift` on; at [DIGITS]: scratch.
 * FALSE: they are the same in all, and `to` is not written. */
static gboolean
sort_by_digit (const float *x, const guint32 *from, guint32 *to, guint shift, guint32 *at, gsize n)
{
  guint32 sum = 0;

  memset (at, 0, DIGITS * sizeof *at);
  for (gsize i = 0; i < n; i++)
    at[order_bits (x[i]) >> shift & 65535]++;
  if (n == 0 || at[order_bits (x[0]) >> shift & 65535] == n)
    return FALSE;
  for (guint d = 0; d < DIGITS; d++) {
    guint32 count = at[d];

    at[d] = sum;
    sum += count;
  }
  for (gsize r = 0; r < n; r++) {
    guint32 i = from == NULL ? (guint32) r : from[r];

    to[at[order_bits (x[i]) >> shift & 65535]++] = i;
  }
  return TRUE;
}

/* order [n]: the places of x in ascending order of its weights, equal ones by place; swap [n], at [DIGITS]: scratch */
static void
sort_places (const float *x, guint32 *order, guint32 *swap, guint32 *at, gsize n)
{
  gboolean low = sort_by_digit (x, NULL, swap, 0, at, n);

  if (sort_by_digit (x, low ? swap : NULL, order, 16, at, n))
    return;
  for (gsize r = 0; r < n; r++)
    order[r] = low ? swap[r] : (guint32) r;
}

static gsize
top_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return (2 * (gsize) t->n + DIGITS) * sizeof (guint32);
}

static gboolean
top_merge (const EvoMergeCall *c, GError **error)
{
  guint32 *at = c->scratch, *first = at + DIGITS, *second = first + c->n, *swap = (guint32 *) c->out; /* which has as many bytes */
  Window w = window_of (c->params, c->t->n);

  if (c->n > G_MAXUINT32)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "%s has more than 2^32 weights, which cannot be put in order", c->t->name);
  sort_places (c->in[0], first, swap, at, c->n);
  sort_places (c->in[1], second, swap, at, c->n);
  for (gsize r = 0; r < c->n; r++) {
    guint32 i = first[r], j = second[r];
    gboolean inside = is_above (c, 0, i) && !is_above (c, 1, i);

    c->out[j] = c->in[0][inside != w.inverted ? i : j];
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "top-k-sum", .summary = "The first model's weights in the order of the second's, within a window of magnitudes.",
                  .min_inputs = 2, .max_inputs = 2, .access = EVO_BY_TENSOR, .scope = EVO_OVER_TENSOR, .flags = EVO_MERGE_IDEMPOTENT | EVO_MERGE_SAME_KEYS,
                  EVO_TAKES (TopParams, params), .n_cuts_fixed = 2, .keys = top_keys, .rank = top_rank, .scratch_bytes = top_scratch_bytes,
                  .merge = top_merge,
                  .formula = "y[π₂(r)] = x₁[π₁(r)] where that is in the window, else x₁[π₂(r)]; πₖ(r): the place of xₖ's r-th smallest "
                  "weight; window: of x₁'s weights by magnitude, the share width after the share offset of the smallest, going round",
                  .source = "\"top_k_tensor_sum\" of sd-meh by s1dlx, 2023; no paper")
