/* SPDX-License-Identifier: Apache-2.0
 * ranked.c - keeping by chance, the larger the likelier (the sampling of DELLA, Deep et al. 2024), compiled again for wider registers.
 *
 * Most elements need no rank to be decided: their random number is on one side of all probabilities of their bucket, which has a 32nd of an
 * octave of magnitudes below the largest. The rank of one of the others is counted; where there are many of them, all are sorted.
 */
#include <string.h>

#include "core/kernels/slots.h"

enum { BUCKETS = 320, SHIFT = 18, FEW = 16 };

typedef struct {
  size_t n;
  uint64_t *a, *b;   /* [n] magnitude and index */
  int32_t *bits;     /* [n] magnitudes' patterns, which order as they do */
  int32_t *bucket;   /* [n] */
  uint8_t *open;     /* [n rounded up to 8] it takes the rank to decide */
} Work;

static Work
work_at (uint64_t *work, size_t n)
{
  int32_t *words = (int32_t *) (work + 2 * n);

  return (Work){ n, work, work + n, words, words + n, (uint8_t *) (work + 3 * n) };
}

static void
find_bits (const Work *w, const float *x)
{
  memcpy (w->bits, x, w->n * sizeof *x);
  for (size_t j = 0; j < w->n; j++)
    w->bits[j] &= 0x7fffffff;
}

/* ------------------------------------------------------------------ by sorting */

/* a [n], ascending magnitudes, of equal ones the later first: a byte a pass, stable, those that are the same in all left out. Returns a or b. */
static const uint64_t *
sort (const Work *w)
{
  uint64_t *a = w->a, *b = w->b;
  uint32_t count[4][256] = { { 0 } };

  for (size_t i = 0; i < w->n; i++) {
    const size_t j = w->n - 1 - i;
    const uint32_t bits = (uint32_t) w->bits[j];

    a[i] = (uint64_t) bits << 32 | j;
    for (unsigned d = 0; d < 4; d++)
      count[d][bits >> (8 * d) & 255]++;
  }
  for (unsigned d = 0; d < 4; d++) {
    const unsigned shift = 32 + 8 * d;
    uint32_t at[256], sum = 0;
    uint64_t *const swap = a;

    if (count[d][a[0] >> shift & 255] == w->n)
      continue;
    for (unsigned v = 0; v < 256; sum += count[d][v++])
      at[v] = sum;
    for (size_t i = 0; i < w->n; i++)
      b[at[a[i] >> shift & 255]++] = a[i];
    a = b;
    b = swap;
  }
  return a;
}

static void
divide_sorted (const Work *w, float *y, const float *x, const float *u, double low, double step)
{
  const uint64_t *order = sort (w);

  for (size_t r = 0; r < w->n; r++) {
    const uint32_t j = (uint32_t) order[r];
    const double p = low + (double) r * step;

    y[j] = (double) u[j] < p ? (float) (x[j] / p) : 0;
  }
}

/* ------------------------------------------------------------------ by buckets */

typedef struct { float kept[BUCKETS], dropped[BUCKETS]; } Limits; /* numbers below `kept` keep all of the bucket, from `dropped` on none */

static void
find_buckets (const Work *w)
{
  int32_t most = 0, base;

  for (size_t j = 0; j < w->n; j++)
    most = w->bits[j] > most ? w->bits[j] : most;
  base = (most >> SHIFT) - (BUCKETS - 1);
  for (size_t j = 0; j < w->n; j++) {
    const int32_t bucket = (w->bits[j] >> SHIFT) - base;

    w->bucket[j] = bucket > 0 ? bucket : 0;
  }
}

/* limit [BUCKETS]: the smallest floats that are not below p = low + rank step >= 0: u < p just where u, a float, is below them */
static void
limits_of (float *limit, const int32_t *rank, double low, double step)
{
  double lost[BUCKETS];
  int32_t bits[BUCKETS];

  for (unsigned b = 0; b < BUCKETS; b++) {
    const double p = low + (double) rank[b] * step;

    limit[b] = (float) p;
    lost[b] = p - (double) limit[b];
  }
  memcpy (bits, limit, sizeof bits);
  for (unsigned b = 0; b < BUCKETS; b++)
    bits[b] += lost[b] > 0;
  memcpy (limit, bits, sizeof bits);
}

static void
find_limits (const Work *w, Limits *limits, double low, double step)
{
  int32_t count[2][BUCKETS] = { { 0 } }, first[BUCKETS], last[BUCKETS], rank = 0; /* two: an element seldom waits for the count before it */
  size_t j = 0;

  for (; j + 2 <= w->n; j += 2) {
    count[0][w->bucket[j]]++;
    count[1][w->bucket[j + 1]]++;
  }
  if (j < w->n)
    count[0][w->bucket[j]]++;
  for (unsigned b = 0; b < BUCKETS; b++) {
    first[b] = rank;
    rank += count[0][b] + count[1][b];
    last[b] = rank - 1; /* of an empty bucket: asked for by nobody */
  }
  limits_of (limits->kept, first, low, step);
  limits_of (limits->dropped, last, low, step);
}

/* y [n], and w->open where it stays open. Zeros stay zeros. */
static void
decide (const Work *w, const Limits *limits, float *y, const float *x, const float *u)
{
  _Pragma ("GCC ivdep")
  for (size_t j = 0; j < w->n; j++) {
    const float kept = limits->kept[w->bucket[j]], dropped = limits->dropped[w->bucket[j]];

    w->open[j] = (u[j] >= kept) & (u[j] < dropped) & (w->bits[j] != 0);
    y[j] = u[j] < dropped ? x[j] : 0;
  }
}

/* How many are smaller than element i, or equal and behind it. */
static size_t
rank_of (const Work *w, size_t i)
{
  const int32_t *bits = w->bits, wanted = bits[i];
  uint32_t rank = 0;

  for (size_t j = 0; j < i; j++)
    rank += bits[j] < wanted;
  for (size_t j = i + 1; j < w->n; j++)
    rank += bits[j] <= wanted;
  return rank;
}

static size_t
count_open (const Work *w)
{
  size_t n = 0;

  for (size_t j = 0; j < w->n; j++)
    n += w->open[j];
  return n;
}

static void
settle (const Work *w, float *y, const float *u, double low, double step)
{
  const size_t n_open = count_open (w);

  if (n_open > FEW + w->n / 64) {
    const uint64_t *order = sort (w);

    for (size_t r = 0; r < w->n; r++) {
      const uint32_t j = (uint32_t) order[r];

      y[j] = !w->open[j] || (double) u[j] < low + (double) r * step ? y[j] : 0;
    }
    return;
  }
  for (size_t j = 0; j < w->n; j += 8) {
    uint64_t eight;

    memcpy (&eight, w->open + j, sizeof eight);
    for (size_t i = j; eight != 0 && i < j + 8; i++)
      if (w->open[i] && !((double) u[i] < low + (double) rank_of (w, i) * step))
        y[i] = 0;
  }
}

void
KERNEL (keep_ranked) (float *y, const float *x, const float *u, double low, double step, int divide, size_t n, uint64_t *work)
{
  const Work w = work_at (work, n);
  Limits limits;

  if (n == 0)
    return;
  find_bits (&w, x);
  if (divide) {
    divide_sorted (&w, y, x, u, low, step);
    return;
  }
  find_buckets (&w);
  find_limits (&w, &limits, low, step);
  memset (w.open + n, 0, -n & 7);
  decide (&w, &limits, y, x, u);
  settle (&w, y, u, low, step);
}
