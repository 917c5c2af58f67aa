/* SPDX-License-Identifier: Apache-2.0
 * della.h - dropping at random, small changes more often (Deep et al., "DELLA-Merging", 2024), what della and della-linear share.
 *
 * The changes of a row are ranked by magnitude; the probability of being kept rises with the rank in even steps, density in the mean. In the
 * paper it does so over a window epsilon wide, and what is kept is divided by its own probability, which leaves the expected change as it was.
 * In mergekit it does so from density - epsilon to density + epsilon, both ends included (epsilon_is "half-width"), refused where that leaves
 * 0 ... 1, and each tensor is scaled so that its sum of magnitudes stays (rescale "l1"). The paper's window narrows here where it would leave
 * 0 ... 1, so that the mean is the density at any density; masks are nested as density moves. A row is what runs along the last dimension
 * (mergekit: the second), a vector is one. Of equal magnitudes the earlier counts as larger.
 */
#ifndef PLUGINS_MERGE_DELLA_H
#define PLUGINS_MERGE_DELLA_H

#include <string.h>

#include "delta.h"

typedef enum { RESCALE_PROBABILITY, RESCALE_L1, RESCALE_NONE } DellaRescale;
typedef enum { EPSILON_WIDTH, EPSILON_HALF_WIDTH } DellaEpsilon;
typedef struct { double lambda; gboolean normalize; guint32 rescale, epsilon_is, vote; } DellaParams;
typedef struct { double weight, density, epsilon; } DellaInput;

#define DELLA_PARAMS \
  EVO_CHOICE (DellaParams, rescale, RESCALE_PROBABILITY, "What is kept is divided by the probability of being kept (paper), or scaled to " \
              "the tensor's sum of magnitudes before dropping (mergekit), or left as it is.", "probability", "l1", "none"), \
  EVO_CHOICE (DellaParams, epsilon_is, EPSILON_WIDTH, "Probabilities run over a window epsilon wide (paper), or over density - epsilon ... " \
              "density + epsilon (mergekit).", "width", "half-width")
#define DELLA_INPUT \
  EVO_NUMBER (DellaInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 2), "What this model's thinned change is multiplied by."), \
  EVO_NUMBER (DellaInput, density, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 1), "Share of the changes that is kept."), \
  EVO_NUMBER (DellaInput, epsilon, 0.15, EVO_LIMITS (0, 1), EVO_SEARCH (0, 0.4), "How far the probability of being kept of a row's largest " \
              "change is above that of its smallest, or half of that: epsilon_is.")

typedef struct {
  guint64 *a, *b;  /* [n_cols] magnitude and index */
  float **row;     /* [n_in][n_cols] kept changes of a row */
  float *u;        /* [n_cols] random numbers */
  guint32 *bits;   /* [n_cols] magnitudes' patterns */
  guint16 *bucket; /* [n_cols] */
} DellaWork;

static inline gsize
della_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return delta_scratch_bytes (t, n_in, n) + n_in * sizeof (float *) + 
         (gsize) t->n_cols * (2 * sizeof (guint64) + (n_in + 1) * sizeof (float) + sizeof (guint32) + sizeof (guint16));
}

/* Behind what delta_work takes of the scratch. */
static inline DellaWork
della_work (const EvoMergeCall *c)
{
  gsize n = (gsize) c->t->n_cols;
  DellaWork w = { .row = (float **) ((char *) c->scratch + delta_scratch_bytes (c->t, c->n_in, c->n)) };

  w.a = (guint64 *) (w.row + c->n_in);
  w.b = w.a + n;
  for (guint i = 0; i < c->n_in; i++)
    w.row[i] = (float *) (w.b + n) + i * n;
  w.u = (float *) (w.b + n) + c->n_in * n;
  w.bits = (guint32 *) (w.u + n);
  w.bucket = (guint16 *) (w.bits + n);
  return w;
}

static inline const DellaInput *
della_input (const EvoMergeCall *c, guint i)
{
  return c->in_params[i];
}

/* mergekit's window must lie inside 0 ... 1. */
static inline gboolean
della_check (const EvoMergeCall *c, GError **error)
{
  for (guint i = 0; i < c->n_in && ((const DellaParams *) c->params)->epsilon_is == EPSILON_HALF_WIDTH; i++) {
    double d = della_input (c, i)->density, e = della_input (c, i)->epsilon;

    if (d > 0 && d < 1 && (d - e <= 0 || d + e >= 1))
      return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "density %g - epsilon %g ... density + epsilon is not inside 0 ... 1; an epsilon below %g",
                       d, e, MIN (d, 1 - d));
  }
  return TRUE;
}

static inline void
della_insert (guint64 *a, gsize n)
{
  for (gsize i = 1; i < n; i++) {
    guint64 x = a[i];
    gsize j = i;

    for (; j > 0 && a[j - 1] >> 32 > x >> 32; j--)
      a[j] = a[j - 1];
    a[j] = x;
  }
}

/* Sorts a [n] by the upper 32 bits, stable, a byte a pass; b [n] is scratch. Returns the one that holds the result. */
static inline guint64 *
della_sort (guint64 *a, guint64 *b, gsize n)
{
  guint32 count[4][256] = { { 0 } };

  if (n <= 64) { /* convolutions have rows of 3 */
    della_insert (a, n);
    return a;
  }
  for (gsize i = 0; i < n; i++)
    for (guint d = 0; d < 4; d++)
      count[d][a[i] >> (32 + 8 * d) & 255]++;
  for (guint d = 0; d < 4; d++) {
    guint shift = 32 + 8 * d;
    guint32 at[256], sum = 0;
    guint64 *swap = a;

    if (count[d][a[0] >> shift & 255] == n)
      continue;
    for (guint v = 0; v < 256; sum += count[d][v++])
      at[v] = sum;
    for (gsize i = 0; i < n; i++)
      b[at[a[i] >> shift & 255]++] = a[i];
    a = b;
    b = swap;
  }
  return a;
}

/* [n] in ascending magnitude; of equal ones the later first, so that the earlier has the higher rank. */
static inline guint64 *
della_order (const DellaWork *w, const float *delta, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    gsize j = n - 1 - i;
    guint32 bits;

    memcpy (&bits, delta + j, sizeof bits);
    w->a[i] = (guint64) (bits & 0x7fffffffu) << 32 | j;
  }
  return della_sort (w->a, w->b, n);
}

/* ------------------------------------------------------------------ without sorting */

/* Where only what is kept matters, most elements need no rank: their random number is on one side of all probabilities of their bucket, which
 * has a 32nd of an octave of magnitudes below the row's largest. The few others are ranked among those of their buckets. Zeros stay zeros. */
enum { DELLA_BUCKETS = 1024, DELLA_SHIFT = 18 };
typedef struct {
  guint32 first[DELLA_BUCKETS + 1];            /* rank of the bucket's smallest */
  struct { float kept, dropped; } below[DELLA_BUCKETS]; /* random numbers below `kept` keep all of the bucket, from `dropped` on none */
  guint8 open[DELLA_BUCKETS];                  /* somebody wants its rank */
} DellaBuckets;

/* The smallest float >= 0 that is not below p: u < p just where u, a float >= 0, is below it. */
static inline float
della_limit (double p)
{
  float f = (float) MAX (p, 0);
  guint32 bits;

  memcpy (&bits, &f, sizeof bits);
  bits += f < p;
  memcpy (&f, &bits, sizeof f);
  return f;
}

/* bucket [n], of the magnitudes' patterns bits [n] */
static inline void
della_find_buckets (const guint32 *bits, guint16 *bucket, gsize n)
{
  gint32 most = 0;

  for (gsize j = 0; j < n; j++)
    most = MAX (most, (gint32) bits[j]);
  for (gsize j = 0; j < n; j++) {
    gint32 below = (most >> DELLA_SHIFT) - (gint32) (bits[j] >> DELLA_SHIFT);

    bucket[j] = (guint16) (DELLA_BUCKETS - 1 - MIN (below, DELLA_BUCKETS - 1));
  }
}

static inline void
della_count (DellaBuckets *s, const guint16 *bucket, gsize n, double low, double step)
{
  guint32 rank = 0;

  memset (s->first, 0, sizeof s->first);
  memset (s->open, 0, sizeof s->open);
  for (gsize j = 0; j < n; j++)
    s->first[bucket[j]]++;
  for (guint b = 0; b < DELLA_BUCKETS; b++) {
    guint32 count = s->first[b];

    s->first[b] = rank;
    rank += count;
    if (count == 0)
      continue;
    s->below[b].kept = della_limit (low + (double) s->first[b] * step);
    s->below[b].dropped = della_limit (low + (double) (rank - 1) * step);
  }
}

/* The elements of open buckets, ranked. */
static inline void
della_settle (const DellaWork *w, const DellaBuckets *s, float *delta, gsize n, double low, double step)
{
  gsize m = 0;
  guint64 *order;
  guint32 at = 0, last = DELLA_BUCKETS;

  for (gsize j = n; j-- > 0;) {
    w->a[m] = (guint64) w->bits[j] << 32 | j; /* no branches here and below: they would go by chance */
    m += s->open[w->bucket[j]];
  }
  order = della_sort (w->a, w->b, m);
  for (gsize i = 0; i < m; i++) {
    guint32 j = (guint32) order[i], in = w->bucket[j];

    at = in == last ? at + 1 : s->first[in];
    last = in;
    if (w->u[j] >= s->below[in].kept && w->u[j] < s->below[in].dropped && !((double) w->u[j] < low + (double) at * step))
      delta[j] = 0;
  }
}

/* delta [n]: those are kept whose w->u is below low + rank step. */
static inline void
della_thin (const DellaWork *w, float *delta, gsize n, double low, double step)
{
  DellaBuckets s;
  guint32 open = 0;

  for (gsize j = 0; j < n; j++) {
    guint32 pattern;

    memcpy (&pattern, &delta[j], sizeof pattern);
    w->bits[j] = pattern & 0x7fffffffu;
  }
  della_find_buckets (w->bits, w->bucket, n);
  della_count (&s, w->bucket, n, low, step);
  for (gsize j = 0; j < n; j++) {
    guint32 in = w->bucket[j], kept = w->u[j] < s.below[in].kept;
    guint32 wanted = (kept ^ 1) & (guint32) (w->u[j] < s.below[in].dropped) & (guint32) (w->bits[j] != 0), pattern;

    s.open[in] |= (guint8) wanted;
    open |= wanted;
    memcpy (&pattern, &delta[j], sizeof pattern);
    pattern &= -(kept | wanted);
    memcpy (&delta[j], &pattern, sizeof pattern);
  }
  if (open)
    della_settle (w, &s, delta, n, low, step);
}

/* w->row[i] [n_cols]: what is kept of input i's changes from element `at` of the call on, divided by its probability if `divide` */
static inline void
della_row (const EvoMergeCall *c, const DellaWork *w, guint i, gsize at, gboolean divide)
{
  const DellaInput *in = della_input (c, i);
  gboolean half = ((const DellaParams *) c->params)->epsilon_is == EPSILON_HALF_WIDTH;
  gsize n = (gsize) c->t->n_cols;
  double reach = MIN (half ? in->epsilon : in->epsilon / 2, MIN (in->density, 1 - in->density)), low, step;
  float *delta = w->row[i];
  guint64 *order;

  c->k->sub (delta, c->in[i] + at, c->base + at, n);
  if (in->density >= 1)
    return;
  c->k->uniform (w->u, c->in_seed[i], c->first + (gint64) at, n);
  /* steps of the paper are epsilon / n wide and the ranks in their middle; mergekit's n - 1 steps run from end to end */
  step = 2 * reach / (double) (half ? MAX (n, 2) - 1 : n);
  low = in->density - (half ? (n == 1 ? 0 : reach) : reach - step / 2);
  if (!divide) {
    della_thin (w, delta, n, low, step);
    return;
  }
  order = della_order (w, delta, n);
  for (gsize r = 0; r < n; r++) {
    guint32 j = (guint32) order[r];
    double p = low + (double) r * step;

    delta[j] = (double) w->u[j] < p ? (float) (delta[j] / p) : 0;
  }
}

static inline guint32
della_n_sums (const EvoMergeCall *c, guint pass)
{
  return ((const DellaParams *) c->params)->rescale == RESCALE_L1 ? 2 * c->n_in : 0;
}

/* [n_in][2]: sums of magnitudes of the changes, and of those that are kept */
static inline gboolean
della_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  DellaWork w = della_work (c);
  gsize n = (gsize) c->t->n_cols;

  if (!della_check (c, error))
    return FALSE;
  for (gsize at = 0; at < c->n; at += n)
    for (guint i = 0; i < c->n_in; i++) {
      c->k->sub (w.row[i], c->in[i] + at, c->base + at, n);
      sums[2 * i] += c->k->sum_abs (w.row[i], n);
      della_row (c, &w, i, at, FALSE);
      sums[2 * i + 1] += c->k->sum_abs (w.row[i], n);
    }
  return TRUE;
}

static inline double
della_scale (const EvoMergeCall *c, guint i)
{
  gboolean l1 = ((const DellaParams *) c->params)->rescale == RESCALE_L1 && c->coef[2 * i + 1] > 0;

  return l1 ? c->coef[2 * i] / c->coef[2 * i + 1] : 1;
}

#endif
