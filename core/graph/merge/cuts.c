/* SPDX-License-Identifier: Apache-2.0
 * cuts.c - the exact k-th largest key of a tensor, or of a model, in two histogram passes over its slices, ties by index.
 *
 * Keys are non-negative floats, whose bit patterns order as they do: the first pass counts the upper 16 bits, the second the lower 16 of
 * the bin that holds the k-th. Counts are whole numbers, so the result knows nothing of threads. Where only some of the keys equal to the
 * cut are kept, a third pass finds the index of the last one.
 */
#include <string.h>

#include "core/graph/merge/prepared.h"

enum { BINS = 65536, BLOCK = 256, LANES = 16 };

typedef struct {
  EvoPrepared *const *ps; guint n_ps, n_cuts;
  gint64 *first_slice;            /* [n_ps + 1] */
  gint64 *rank, *above, *equal;   /* [n_cuts]: wanted; keys above the cut; keys equal to it */
  guint32 *prefix, *cut;          /* [n_cuts] upper 16 bits; whole pattern */
  guint32 *same;                  /* [n_cuts] the first wanted cut of the same keys, whose first pass counts for all of them */
  guint64 **count;                /* [n_threads] [n_cuts][BINS]; a thread that took no slice of a pass has counted nothing */
  gboolean *counts;               /* [n_threads] this thread took a slice of this pass */
  float **keys;                   /* [n_threads] [slice] */
  guint32 *ties;                  /* [n_slices][n_cuts] */
  int low;                        /* which half is counted; 2: ties */
} Select;

static void
count_ties (const Select *s, gint64 item, guint j, const float *key, gsize n)
{
  guint32 lane[LANES] = { 0 }, bits[LANES], ties = 0, cut = s->cut[j];
  gsize i = 0;

  for (; i + LANES <= n; i += LANES) { /* so many at a time: the compiler makes registers of them */
    memcpy (bits, key + i, sizeof bits);
    for (guint l = 0; l < LANES; l++)
      lane[l] += (bits[l] & 0x7fffffffu) == cut;
  }
  for (; i < n; i++) {
    memcpy (bits, key + i, sizeof *bits);
    ties += (bits[0] & 0x7fffffffu) == cut;
  }
  for (guint l = 0; l < LANES; l++)
    ties += lane[l];
  s->ties[item * s->n_cuts + j] = ties;
}

static guint
tensor_of_slice (const Select *s, gint64 item)
{
  guint a = 0, b = s->n_ps;

  while (b - a > 1) {
    guint m = (a + b) / 2;

    if (s->first_slice[m] <= item)
      a = m;
    else
      b = m;
  }
  return a;
}

/* key [call->n]: of the cut; row by row where each row has coefficients of its own. */
static void
make_keys (EvoPrepared *p, const EvoMergeCall *call, guint cut, float *key)
{
  gsize n_cols = (gsize) p->tensor.n_cols;
  const float **in = g_newa (const float *, p->n_in + 1), **aux = g_newa (const float *, p->n_in + 1);

  if (p->scope != EVO_OVER_ROW) {
    p->op->keys (call, cut, key);
    return;
  }
  for (gsize r = 0; r < call->n / n_cols; r++) {
    EvoMergeCall row;

    evo_prepared_row (p, call, r, in, aux, &row);
    row.coef = p->coef == NULL ? NULL : p->coef + (gsize) (row.first / p->tensor.n_cols) * p->n_coef;
    p->op->keys (&row, cut, key + r * n_cols);
  }
}

static void
select_keys (Select *s, EvoPrepared *p, gint64 item, guint thread, const EvoMergeCall *call)
{
  guint made = s->n_cuts;

  if (s->low < 2 && !s->counts[thread]) {
    memset (s->count[thread], 0, (gsize) s->n_cuts * BINS * sizeof (guint64));
    s->counts[thread] = TRUE;
  }
  for (guint j = 0; j < s->n_cuts; j++) {
    if (s->rank[j] <= 0 || (s->low == 2 && s->above[j] + s->equal[j] == s->rank[j]) || (s->low == 0 && s->same[j] != j))
      continue;
    if (made != s->same[j])
      make_keys (p, call, j, s->keys[thread]);
    made = s->same[j];
    if (s->low == 2)
      count_ties (s, item, j, s->keys[thread], call->n);
    else
      p->c->k->histogram (s->count[thread] + (gsize) j * BINS, s->keys[thread], s->prefix[j], s->low, call->n);
  }
}

static gboolean
select_slice (gpointer data, gint64 item, guint thread, GError **error)
{
  Select *s = data;
  guint t = tensor_of_slice (s, item);
  EvoPrepared *p = s->ps[t];
  gint64 first = (item - s->first_slice[t]) * (gint64) p->slice;
  EvoScratchMark mark = evo_prepared_mark (p, thread);
  EvoMergeCall call;
  gboolean good = evo_prepared_call (p, thread, first, MIN (p->slice, (gsize) (p->tensor.n - first)), &call, error);

  if (good)
    select_keys (s, p, item, thread, &call);
  evo_prepared_release (p, thread, mark);
  return good;
}

/* Keys counted in the n bins from b on, by all threads. */
static gint64
sum_bins (const Select *s, guint j, guint threads, guint32 b, guint32 n)
{
  guint64 sum = 0;

  for (guint i = 0; i < threads; i++) {
    const guint64 *count = s->count[i] + (gsize) (s->low == 0 ? s->same[j] : j) * BINS + b;

    for (guint32 k = 0; s->counts[i] && k < n; k++)
      sum += count[k];
  }
  return (gint64) sum;
}

/* Walks down from the largest keys to the bin that holds the rank-th, first by blocks of bins. */
static guint32
pick_bin (Select *s, guint j, guint threads, gint64 *in_bin)
{
  guint32 b = BINS;
  gint64 n = 0;

  while (b > 0 && s->above[j] + (n = sum_bins (s, j, threads, b - BLOCK, BLOCK)) < s->rank[j]) {
    s->above[j] += n;
    b -= BLOCK;
  }
  while (b > 0 && s->above[j] + (n = sum_bins (s, j, threads, b - 1, 1)) < s->rank[j]) {
    s->above[j] += n;
    b--;
  }
  *in_bin = b > 0 ? n : 0;
  return b > 0 ? b - 1 : 0;
}

static gboolean
run_pass (Select *s, int low, GError **error)
{
  EvoPool *pool = s->ps[0]->c->pool;
  guint threads = evo_pool_get_n_threads (pool);

  s->low = low;
  memset (s->counts, 0, threads * sizeof *s->counts);
  if (!evo_pool_run (pool, s->first_slice[s->n_ps], select_slice, s, error))
    return FALSE;
  for (guint j = 0; low < 2 && j < s->n_cuts; j++) {
    gint64 in_bin;

    if (s->rank[j] <= 0)
      continue;
    if (low == 0)
      s->prefix[j] = pick_bin (s, j, threads, &in_bin);
    else
      s->cut[j] = s->prefix[j] << 16 | pick_bin (s, j, threads, &s->equal[j]);
  }
  return TRUE;
}

/* The wanted-th (from 1) key equal to cut j in the slice `first` of p: its index in the tensor, -1: it has not so many. */
static gboolean
find_tie (const Select *s, EvoPrepared *p, gint64 first, guint j, gint64 wanted, gint64 *out, GError **error)
{
  gsize n = MIN (p->slice, (gsize) (p->tensor.n - first));
  EvoScratchMark mark = evo_prepared_mark (p, 0);
  EvoMergeCall call;
  guint32 bits;
  gboolean good = evo_prepared_call (p, 0, first, n, &call, error);

  *out = -1;
  if (good)
    make_keys (p, &call, j, s->keys[0]);
  for (gsize i = 0; good && *out < 0 && i < n; i++) {
    memcpy (&bits, &s->keys[0][i], sizeof bits);
    if ((bits & 0x7fffffffu) == s->cut[j] && --wanted == 0)
      *out = first + (gint64) i;
  }
  evo_prepared_release (p, 0, mark);
  return good;
}

/* Index (over all tensors of the list) of the last kept key among those equal to cut j. */
static gboolean
find_last_tie (const Select *s, guint j, gint64 *out, GError **error)
{
  gint64 wanted = s->rank[j] - s->above[j], n_slices = s->first_slice[s->n_ps], item = 0, at;

  for (; item < n_slices && s->ties[item * s->n_cuts + j] < wanted; item++)
    wanted -= s->ties[item * s->n_cuts + j];
  if (item == n_slices) {
    *out = G_MAXINT64;
    return TRUE;
  }
  guint t = tensor_of_slice (s, item);
  EvoPrepared *p = s->ps[t];
  if (!find_tie (s, p, (item - s->first_slice[t]) * (gint64) p->slice, j, wanted, &at, error))
    return FALSE;
  *out = p->tensor.model_first - s->ps[0]->tensor.model_first + at;
  return TRUE;
}

static gboolean
select_all (Select *s, EvoPrepared *first, GError **error)
{
  gboolean ties = FALSE;

  if (!run_pass (s, 0, error) || !run_pass (s, 1, error))
    return FALSE;
  for (guint j = 0; j < s->n_cuts; j++)
    ties |= s->rank[j] > 0 && s->above[j] + s->equal[j] != s->rank[j];
  if (ties && !run_pass (s, 2, error))
    return FALSE;
  for (guint j = 0; j < s->n_cuts; j++) {
    if (s->rank[j] <= 0)
      continue;
    memcpy (&first->cut[j], &s->cut[j], sizeof first->cut[j]);
    first->last_tie[j] = G_MAXINT64;
    if (s->above[j] + s->equal[j] != s->rank[j] && !find_last_tie (s, j, &first->last_tie[j], error))
      return FALSE;
  }
  return TRUE;
}

/* How many keys each cut keeps; cuts that keep nothing or everything need no pass. TRUE: some cut needs one. */
static gboolean
set_ranks (Select *s, EvoPrepared *first, gint64 n)
{
  EvoMergeCall call;
  gboolean any = FALSE;

  evo_prepared_bare_call (first, &call);
  for (guint j = 0; j < s->n_cuts; j++) {
    gint64 rank = first->op->rank (&call, j, n);

    first->cut[j] = rank >= n ? -1 : HUGE_VALF;
    first->last_tie[j] = -1;
    s->rank[j] = rank >= n || rank <= 0 ? 0 : rank;
    any |= s->rank[j] > 0;
  }
  return any;
}

static void
find_same_keys (Select *s, const EvoPrepared *p)
{
  guint by_inputs = p->n_in * p->op->n_cuts_per_input;

  for (guint j = 0; j < s->n_cuts; j++) {
    guint first = !(p->op->flags & EVO_MERGE_SAME_KEYS) ? j : j >= by_inputs ? by_inputs : j - j % p->op->n_cuts_per_input;

    while (s->rank[first] <= 0 && first < j)
      first++;
    s->same[j] = first;
  }
}

static gboolean
run_select (Select *s, EvoPrepared *first, GError **error)
{
  guint threads = evo_pool_get_n_threads (first->c->pool);
  EvoScratchMark *mark = g_newa (EvoScratchMark, threads);
  g_autofree guint32 *ties = g_new0 (guint32, MAX (s->first_slice[s->n_ps] * s->n_cuts, 1));
  gsize slice = 0;
  gboolean good;

  for (guint i = 0; i < s->n_ps; i++)
    slice = MAX (slice, MIN (s->ps[i]->slice, (gsize) s->ps[i]->tensor.n));
  s->count = g_newa (guint64 *, threads);
  s->keys = g_newa (float *, threads);
  s->counts = g_newa (gboolean, threads);
  s->ties = ties;
  for (guint i = 0; i < threads; i++) {
    mark[i] = evo_prepared_mark (first, i);
    s->count[i] = evo_scratch_take (first->c->scratch[i], (gsize) s->n_cuts * BINS * sizeof (guint64));
    s->keys[i] = evo_scratch_take (first->c->scratch[i], slice * sizeof (float));
  }
  find_same_keys (s, first);
  good = select_all (s, first, error);
  for (guint i = 0; i < threads; i++)
    evo_prepared_release (first, i, mark[i]);
  return good;
}

/* Tensors of one model have the same cuts, with the last tie counted from their own first element. */
static void
share_cuts (EvoPrepared *const *ps, guint n)
{
  for (guint i = 1; i < n; i++) {
    gint64 before = ps[i]->tensor.model_first - ps[0]->tensor.model_first;

    ps[i]->n_cuts = ps[0]->n_cuts;
    ps[i]->cut = g_memdup2 (ps[0]->cut, ps[0]->n_cuts * sizeof (float));
    ps[i]->last_tie = g_memdup2 (ps[0]->last_tie, ps[0]->n_cuts * sizeof (gint64));
    for (guint j = 0; j < ps[i]->n_cuts; j++)
      if (ps[i]->last_tie[j] != G_MAXINT64)
        ps[i]->last_tie[j] -= before;
  }
}

gboolean
evo_prepared_cuts (EvoPrepared *const *ps, guint n, GError **error)
{
  EvoPrepared *first = ps[0];
  const EvoMergeOp *op = first->op;
  guint n_cuts = first->n_in * op->n_cuts_per_input + op->n_cuts_fixed;
  gint64 total = 0;
  g_autofree gint64 *first_slice = g_new0 (gint64, n + 1), *numbers = g_new0 (gint64, 3 * n_cuts + 1);
  g_autofree guint32 *bits = g_new0 (guint32, 3 * n_cuts + 1);

  if (op->keys == NULL || n_cuts == 0)
    return TRUE;
  for (guint i = 0; i < n; i++) {
    first_slice[i + 1] = first_slice[i] + evo_prepared_n_slices (ps[i]);
    total += ps[i]->tensor.n;
  }
  first->n_cuts = n_cuts;
  first->cut = g_new0 (float, n_cuts);
  first->last_tie = g_new0 (gint64, n_cuts);
  Select s = { .ps = ps, .n_ps = n, .n_cuts = n_cuts, .first_slice = first_slice, .rank = numbers, .above = numbers + n_cuts,
               .equal = numbers + 2 * n_cuts, .prefix = bits, .cut = bits + n_cuts, .same = bits + 2 * n_cuts };
  if (set_ranks (&s, first, total) && !run_select (&s, first, error))
    return FALSE;
  share_cuts (ps, n);
  return TRUE;
}
