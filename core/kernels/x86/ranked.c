/* SPDX-License-Identifier: Apache-2.0
 * ranked.c - keeping by chance, the larger the likelier, mostly without ranks (definition: ref/ranked.c).
 *
 * Magnitudes fall into buckets, a 64th of an octave wide; the ranks in a bucket lie between two counts. Most random numbers are below the
 * probabilities of both, or above: decided. The ranks of the others are counted; where there are many of them, all are sorted.
 */
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

enum { BUCKETS = 512, SHIFT = 17, TABLES = 4, TOGETHER = 4, FEW = 16, LEAST = 64, MOST = 65535 * TABLES, BITS = 15 };

typedef struct {
  size_t n, n_groups;  /* elements, registers of them */
  int32_t *bits;       /* [n_groups * LANES] magnitudes' patterns, which order as they do; behind the last some that are larger than all */
  int32_t *bucket;     /* [n_groups * LANES] */
  int32_t *open;       /* [most_open] the elements whose ranks decide, ascending */
  uint16_t *kept;      /* [n_groups] a bit an element */
  size_t n_open, most_open;
} Work;

/* Takes less than the 8 n words that are given: n >= LEAST. */
static Work
work_at (uint64_t *work, size_t n)
{
  const size_t n_groups = (n + LANES - 1) / LANES, most_open = FEW + n / 64;
  int32_t *words = (int32_t *) work;

  return (Work){ n, n_groups, words, words + n_groups * LANES, words + 2 * n_groups * LANES,
                 (uint16_t *) (words + 2 * n_groups * LANES + most_open), 0, most_open };
}

/* Those of its lanes that are elements. */
INLINE Where
lanes_of (const Work *w, size_t group)
{
  return first_lanes (w->n - group * LANES);
}

/* Returns the largest. The pattern of one NaN would be as large as the filling. */
static int32_t
find_bits (const Work *w, const float *x)
{
  const size_t last = w->n_groups - 1;
  Words largest = all_words (0);
  int32_t lanes[LANES], found = 0;

  for (size_t g = 0; g < w->n_groups; g++) {
    const Lanes a = g < last ? load (x + g * LANES) : load_some (x + g * LANES, lanes_of (w, g));
    const Words bits = smaller_words (as_words (magnitude (a)), all_words (0x7ffffffe));

    largest = larger_words (largest, bits);
    store_words (w->bits + g * LANES, bits);
  }
  for (size_t j = w->n; j < w->n_groups * LANES; j++)
    w->bits[j] = 0x7fffffff;
  store_words (lanes, largest);
  for (size_t i = 0; i < LANES; i++)
    found = lanes[i] > found ? lanes[i] : found;
  return found;
}

/* What lies behind the last element gets a bucket too. */
static void
find_buckets (const Work *w, int32_t largest)
{
  const Words base = all_words ((uint32_t) ((largest >> SHIFT) - (BUCKETS - 1))), most = all_words (BUCKETS - 1);

  for (size_t g = 0; g < w->n_groups; g++) {
    const Words bucket = minus (right (load_words (w->bits + g * LANES), SHIFT), base);

    store_words (w->bucket + g * LANES, smaller_words (larger_words (bucket, all_words (0)), most));
  }
}

/* count [BUCKETS]; several tables, so that an element seldom waits for the count before it; n <= MOST */
static void
count_buckets (const Work *w, int32_t *count)
{
  uint16_t table[TABLES][BUCKETS] = { { 0 } };
  size_t j = 0;

  for (; j + TABLES <= w->n; j += TABLES)
    for (size_t t = 0; t < TABLES; t++)
      table[t][w->bucket[j + t]]++;
  for (; j < w->n; j++)
    table[0][w->bucket[j]]++;
  for (size_t b = 0; b < BUCKETS; b++)
    count[b] = (int32_t) table[0][b] + table[1][b] + table[2][b] + table[3][b];
}

/* limits [BUCKETS]: of u in whole 2^-BITS, those below the lower half are kept in all of the bucket, those from the upper half on in none. In
 * whole numbers and without a comparison of floats, so that the compiler takes a register of them at a time. */
static void
find_limits (int32_t *limits, const int32_t *count, double low, double step)
{
  const int64_t most = 1 << BITS;
  int32_t first[BUCKETS], rank = 0;

  for (size_t b = 0; b < BUCKETS; rank += count[b++])
    first[b] = rank;
  for (size_t b = 0; b < BUCKETS; b++) {
    const double p = low + first[b] * step, q = low + (first[b] + count[b]) * step; /* q: of the rank behind, not below the last one's */
    const int64_t kept = (int64_t) (p * (double) most), dropped = (int64_t) (q * (double) most) + 1;

    limits[b] = (int32_t) ((kept < most ? kept : most) | (dropped < most ? dropped : most) << 16);
  }
}

/* Sets w->kept; FALSE: too many stay open. Zeros are open to nobody: they stay zeros. */
static int
decide (Work *w, const int32_t *limits, const float *u)
{
  for (size_t g = 0; g < w->n_groups; g++) {
    const Where some = lanes_of (w, g);
    const Words limit = gather (limits, load_words (w->bucket + g * LANES)), bits = load_words (w->bits + g * LANES);
    const Words at = words_from_lanes (load_some (u + g * LANES, some) * all (1 << BITS));
    const unsigned kept = bits_of (below (at, right (limit, 16))) & bits_of (some);
    unsigned open = kept & ~bits_of (below (at, limit & all_words (0xffff))) & bits_of (below (all_words (0), bits));

    w->kept[g] = (uint16_t) kept;
    for (; open != 0; open &= open - 1) {
      if (w->n_open == w->most_open)
        return 0;
      w->open[w->n_open++] = (int32_t) (g * LANES) + __builtin_ctz (open);
    }
  }
  return 1;
}

/* Adds to lanes of n, and of the last few to rank [TOGETHER], how many of elements [from, to) are below each limit. */
INLINE void
count_below (const Work *w, size_t from, size_t to, const int32_t *limit, Words *n, int32_t *rank)
{
  Words wanted[TOGETHER];
  size_t j = from;

  for (size_t k = 0; k < TOGETHER; k++)
    wanted[k] = all_words ((uint32_t) limit[k]);
  for (; j + LANES <= to; j += LANES) {
    const Words bits = load_words (w->bits + j);

    for (size_t k = 0; k < TOGETHER; k++)
      n[k] = one_more (below (bits, wanted[k]), n[k]);
  }
  for (; j < to; j++)
    for (size_t k = 0; k < TOGETHER; k++)
      rank[k] += w->bits[j] < limit[k];
}

/* rank [TOGETHER] of the elements `at`, ascending: how many are smaller, or equal and later */
static void
find_ranks (const Work *w, const int32_t *at, int32_t *rank)
{
  int32_t limit[TOGETHER], lanes[LANES];
  Words n[TOGETHER];
  size_t from = 0;

  for (size_t k = 0; k < TOGETHER; k++) {
    limit[k] = w->bits[at[k]];
    rank[k] = 0;
    n[k] = all_words (0);
  }
  for (size_t k = 0; k < TOGETHER; k++) {
    count_below (w, from, (size_t) at[k] + 1, limit, n, rank);
    from = (size_t) at[k] + 1;
    limit[k]++; /* from here on equal ones count */
  }
  count_below (w, from, w->n_groups * LANES, limit, n, rank);
  for (size_t k = 0; k < TOGETHER; k++) {
    store_words (lanes, n[k]);
    for (size_t i = 0; i < LANES; i++)
      rank[k] += lanes[i];
  }
}

static void
settle (const Work *w, const float *u, double low, double step)
{
  for (size_t i = 0; i < w->n_open; i += TOGETHER) {
    int32_t at[TOGETHER], rank[TOGETHER];

    for (size_t k = 0; k < TOGETHER; k++)
      at[k] = w->open[i + k < w->n_open ? i + k : w->n_open - 1];
    find_ranks (w, at, rank);
    for (size_t k = 0; k < TOGETHER; k++)
      if (!((double) u[at[k]] < low + rank[k] * step))
        w->kept[at[k] / LANES] &= (uint16_t) ~(1u << at[k] % LANES);
  }
}

static void
keep (const Work *w, float *y, const float *x)
{
  const size_t last = w->n_groups - 1;

  for (size_t g = 0; g < last; g++)
    store (y + g * LANES, zero_unless (where_bits (w->kept[g]), load (x + g * LANES)));
  store_some (y + last * LANES, lanes_of (w, last), zero_unless (where_bits (w->kept[last]), load_some (x + last * LANES, lanes_of (w, last))));
}

void
KERNEL (keep_ranked) (float *y, const float *x, const float *u, double low, double step, int divide, size_t n, uint64_t *work)
{
  int32_t count[BUCKETS], limits[BUCKETS];
  Work w;

  if (divide || n < LEAST || n > MOST) {
    evo_ref_keep_ranked (y, x, u, low, step, divide, n, work);
    return;
  }
  w = work_at (work, n);
  find_buckets (&w, find_bits (&w, x));
  count_buckets (&w, count);
  find_limits (limits, count, low, step);
  if (decide (&w, limits, u)) {
    settle (&w, u, low, step);
    keep (&w, y, x);
  } else {
    evo_ref_keep_ranked (y, x, u, low, step, divide, n, work);
  }
}
