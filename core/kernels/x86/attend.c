/* SPDX-License-Identifier: Apache-2.0
 * attend.c - attention over cached keys, in registers.
 *
 * A register holds the scores of LANES keys: keys are turned (transposed) LANES at a time, then a score is one chain of multiply-adds
 * over the head's dimensions. The weighted sum of the values is two chains, over even and odd keys. Both orders depend on nothing but
 * the head and its number of keys, so one query has the same bits alone, beside others, and whatever the block it comes in.
 */
#include <math.h>
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/x86/exp.h"
#include "core/kernels/x86/lanes.h"
#include "core/kernels/x86/transpose.h"

enum { ROWS = 4, BLOCKS = LANES == 16 ? 4 : 2, GROUPS = LANES == 16 ? 2 : 1 }; /* ROWS x BLOCKS, ROWS x GROUPS x 2: registers */

typedef struct {
  const float *k, *v;
  size_t ld, head_dim;
  float scale;
} Cache;

static size_t
blocks_of (size_t n_keys)
{
  return (n_keys + LANES - 1) / LANES;
}

/* The same where the square is not full: missing keys and dimensions are zeros, and only n_dims columns are written. */
static void
turn_rest (float *to, const float *from, size_t ld, size_t n_keys, size_t n_dims)
{
  float whole[LANES * LANES], turned[LANES * LANES];
  const Where some = first_lanes (n_dims);

  for (size_t r = 0; r < LANES; r++)
    store (whole + r * LANES, r < n_keys ? load_some (from + r * ld, some) : none ());
  transpose (n_dims < LANES ? turned : to, whole, LANES);
  if (n_dims < LANES)
    memcpy (to, turned, n_dims * LANES * sizeof (float));
}

/* [head_dim][LANES] of the keys of block b */
INLINE void
turn_keys (float *to, const Cache *c, size_t b, size_t n_keys)
{
  const float *from = c->k + b * LANES * c->ld;
  const size_t n = n_keys - b * LANES < LANES ? n_keys - b * LANES : LANES;

  for (size_t d = 0; d < c->head_dim; d += LANES)
    if (n == LANES && d + LANES <= c->head_dim)
      transpose (to + d * LANES, from + d, c->ld);
    else
      turn_rest (to + d * LANES, from + d, c->ld, n, c->head_dim - d < LANES ? c->head_dim - d : LANES);
}

/* scores of `rows` queries with the keys of `blocks` blocks */
INLINE void
score (float *const *scores, const float *const *q, const float *turned, const Cache *c, size_t first, unsigned rows, unsigned blocks)
{
  const size_t stride = c->head_dim * LANES;
  Lanes sum[ROWS][BLOCKS];

  for (unsigned r = 0; r < rows; r++)
    for (unsigned b = 0; b < blocks; b++)
      sum[r][b] = none ();
  for (size_t d = 0; d < c->head_dim; d++) {
    Lanes key[BLOCKS];

    for (unsigned b = 0; b < blocks; b++)
      key[b] = load (turned + b * stride + d * LANES);
    for (unsigned r = 0; r < rows; r++)
      for (unsigned b = 0; b < blocks; b++)
        sum[r][b] = fused (all (q[r][d]), key[b], sum[r][b]);
  }
  for (unsigned r = 0; r < rows; r++)
    for (unsigned b = 0; b < blocks; b++)
      store (scores[r] + (first + b) * LANES, sum[r][b] * all (c->scale));
}

INLINE void
score_rows (float *const *scores, const float *const *q, const float *turned, const Cache *c, size_t first, size_t n_blocks, unsigned rows)
{
  for (size_t b = 0; b < n_blocks; b += BLOCKS) {
    const float *at = turned + b * c->head_dim * LANES;

    if (n_blocks - b >= BLOCKS)
      score (scores, q, at, c, first + b, rows, BLOCKS);
    else if (n_blocks - b == 3)
      score (scores, q, at, c, first + b, rows, 3 < BLOCKS ? 3 : BLOCKS);
    else if (n_blocks - b == 2)
      score (scores, q, at, c, first + b, rows, 2 < BLOCKS ? 2 : BLOCKS);
    else
      score (scores, q, at, c, first + b, rows, 1);
  }
}

/* scores -> exp (scores - largest), 0 beyond the last key; 1 / their sum */
static float
soften (float *scores, size_t n)
{
  const size_t whole_blocks = n / LANES * LANES;
  const Where some = first_lanes (n - whole_blocks);
  Lanes top = all (-HUGE_VALF), sum = none ();

  for (size_t i = 0; i < whole_blocks; i += LANES)
    top = larger (load (scores + i), top);
  if (whole_blocks < n)
    top = larger (pick (some, load (scores + whole_blocks), top), top);
  top = all (largest_lane (top));
  for (size_t i = 0; i < whole_blocks; i += LANES) {
    const Lanes e = exp_lanes (load (scores + i) - top);

    store (scores + i, e);
    sum = sum + e;
  }
  if (whole_blocks < n) {
    const Lanes e = zero_unless (some, exp_lanes (load (scores + whole_blocks) - top));

    store (scores + whole_blocks, e);
    sum = sum + e;
  }
  return 1 / sum_lanes (sum);
}

typedef struct {
  float *y;
  const float *p;      /* [n] */
  size_t n;
  float factor;        /* 1 / sum of p */
} Weighted;

/* Registers d .. of `rows` results; the rows' numbers of keys do not fall. */
INLINE void
weigh (const Weighted *w, const Cache *c, size_t d, unsigned rows, unsigned groups, const Where *some)
{
  const size_t common = w[0].n / 2 * 2, ld = c->ld;
  Lanes even[ROWS][4], odd[ROWS][4];

  for (unsigned r = 0; r < rows; r++)
    for (unsigned g = 0; g < groups; g++)
      even[r][g] = odd[r][g] = none ();
  for (size_t j = 0; j < common; j += 2)
    for (unsigned g = 0; g < groups; g++) {
      const float *v = c->v + j * ld + d + g * LANES;
      const Lanes a = some != NULL ? load_some (v, *some) : load (v), b = some != NULL ? load_some (v + ld, *some) : load (v + ld);

      for (unsigned r = 0; r < rows; r++) {
        even[r][g] = fused (all (w[r].p[j]), a, even[r][g]);
        odd[r][g] = fused (all (w[r].p[j + 1]), b, odd[r][g]);
      }
    }
  for (unsigned r = 0; r < rows; r++)
    for (unsigned g = 0; g < groups; g++) {
      const float *v = c->v + d + g * LANES;
      float *y = w[r].y + d + g * LANES;
      Lanes a = even[r][g], b = odd[r][g], s;

      for (size_t j = common; j < w[r].n; j += 2) {
        a = fused (all (w[r].p[j]), some != NULL ? load_some (v + j * ld, *some) : load (v + j * ld), a);
        if (j + 1 < w[r].n)
          b = fused (all (w[r].p[j + 1]), some != NULL ? load_some (v + (j + 1) * ld, *some) : load (v + (j + 1) * ld), b);
      }
      s = (a + b) * all (w[r].factor);
      if (some != NULL)
        store_some (y, *some, s);
      else
        store (y, s);
    }
}

INLINE void
weigh_rows (const Weighted *w, const Cache *c, unsigned rows, unsigned groups)
{
  size_t d = 0;

  for (; d + groups * LANES <= c->head_dim; d += groups * LANES)
    weigh (w, c, d, rows, groups, NULL);
  for (; d < c->head_dim; d += LANES) {
    const Where some = first_lanes (c->head_dim - d);

    weigh (w, c, d, rows, 1, &some);
  }
}

/* One head: keys are turned a square at a time. */
static void
score_alone (float *scores, const float *q, const Cache *c, size_t n_keys)
{
  float turned[LANES * LANES];

  for (size_t b = 0; b < blocks_of (n_keys); b++) {
    const size_t n = n_keys - b * LANES < LANES ? n_keys - b * LANES : LANES;
    Lanes sum = none ();

    for (size_t d = 0; d < c->head_dim; d += LANES) {
      const float *from = c->k + b * LANES * c->ld + d;
      const size_t n_dims = c->head_dim - d < LANES ? c->head_dim - d : LANES;

      if (n == LANES && n_dims == LANES)
        transpose (turned, from, c->ld);
      else
        turn_rest (turned, from, c->ld, n, n_dims);
      for (size_t j = 0; j < n_dims; j++)
        sum = fused (all (q[d + j]), load (turned + j * LANES), sum);
    }
    store (scores + b * LANES, sum * all (c->scale));
  }
}

void
KERNEL (attend) (float *y, const float *q, const float *k, const float *v, size_t ld, size_t n_keys, size_t head_dim, double scale,
                 float *scores)
{
  const Cache c = { k, v, ld, head_dim, (float) scale };
  Weighted w = { y, scores, n_keys, 0 };

  score_alone (scores, q, &c, n_keys);
  if (n_keys > 0)
    w.factor = soften (scores, n_keys);
  weigh_rows (&w, &c, 1, 4);
}

/* where the query heads of attend_many and their results are */
typedef struct {
  const float *q;
  float *y;
  size_t ldq, ldy, n_heads, n_rows; /* a row: one head at one position */
  size_t n_keys, step;
} Queries;

static size_t
keys_of (const Queries *x, size_t row)
{
  return x->n_keys + row / x->n_heads * x->step;
}

INLINE void
attend_rows (const Queries *x, const Cache *c, size_t row, float *turned, int turn_now, float *scores, size_t ld_scores, unsigned rows)
{
  const size_t n_keys = keys_of (x, row + rows - 1), n_blocks = blocks_of (n_keys);
  const float *q[ROWS];
  float *s[ROWS];
  Weighted w[ROWS];

  for (unsigned r = 0; r < rows; r++) {
    const size_t i = (row + r) / x->n_heads, h = (row + r) % x->n_heads;

    q[r] = x->q + i * x->ldq + h * c->head_dim;
    s[r] = scores + r * ld_scores;
    w[r] = (Weighted){ x->y + i * x->ldy + h * c->head_dim, s[r], keys_of (x, row + r), 0 };
  }
  if (turn_now)
    for (size_t b = 0; b < n_blocks; b += BLOCKS) {
      const size_t n = n_blocks - b < BLOCKS ? n_blocks - b : BLOCKS;

      for (size_t j = 0; j < n; j++)
        turn_keys (turned + j * c->head_dim * LANES, c, b + j, n_keys);
      score_rows (s, q, turned, c, b, n, rows);
    }
  else
    score_rows (s, q, turned, c, 0, n_blocks, rows);
  for (unsigned r = 0; r < rows; r++)
    w[r].factor = w[r].n > 0 ? soften (s[r], w[r].n) : 0;
  weigh_rows (w, c, rows, rows == 1 ? 4 : rows == 2 ? 2 : GROUPS);
}

void
KERNEL (attend_many) (float *y, size_t ldy, const float *q, size_t ldq, size_t n_q, size_t n_heads, const float *k, const float *v,
                      size_t ld, size_t n_keys, size_t step, size_t head_dim, double scale, void *scratch)
{
  const Cache c = { k, v, ld, head_dim, (float) scale };
  const Queries x = { q, y, ldq, ldy, n_heads, n_q * n_heads, n_keys, step };
  const size_t all_keys = n_q > 0 ? n_keys + (n_q - 1) * step : 0, n_blocks = blocks_of (all_keys);
  const int turn_now = x.n_rows <= ROWS && n_blocks > BLOCKS; /* turned keys that are used once stay in the first-level cache */
  float *turned = scratch, *scores = turned + n_blocks * head_dim * LANES;
  size_t row = 0;

  for (size_t b = 0; b < n_blocks && !turn_now; b++)
    turn_keys (turned + b * head_dim * LANES, &c, b, all_keys);
  for (; row + ROWS <= x.n_rows; row += ROWS)
    attend_rows (&x, &c, row, turned, turn_now, scores, n_blocks * LANES, ROWS);
  for (; row + 2 <= x.n_rows; row += 2)
    attend_rows (&x, &c, row, turned, turn_now, scores, n_blocks * LANES, 2);
  for (; row < x.n_rows; row++)
    attend_rows (&x, &c, row, turned, turn_now, scores, n_blocks * LANES, 1);
}

size_t
KERNEL (attend_scratch) (size_t n_q, size_t n_heads, size_t n_keys, size_t step, size_t head_dim)
{
  return n_q == 0 ? 0 : blocks_of (n_keys + (n_q - 1) * step) * LANES * (head_dim + ROWS) * sizeof (float);
}
