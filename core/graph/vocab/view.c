/* SPDX-License-Identifier: Apache-2.0
 * view.c - the inputs of a merge as the rows of the result's tokens: operators see tensors of one shape and know nothing of tokens.
 */
#include <string.h>

#include "core/graph/merge/prepared.h"
#include "core/graph/vocab/vocab.h"

/* What the views of one tensor share. The rows of an input that has no row of its own for a token are read from others. */
typedef struct {
  gint ref_count;
  const EvoGather *g;
  gint64 width;             /* elements of a row */
  EvoPrepared **raw;        /* [n_in + 1] */
} Shared;

typedef struct { Shared *shared; guint input; float *padding; /* [width], NULL: no row pads */ } Gathered;

static void
shared_unref (Shared *s)
{
  if (--s->ref_count > 0) /* views are made and freed by the thread that prepares */
    return;
  for (guint e = 0; e <= s->g->n_in; e++)
    evo_prepared_free (s->raw[e]);
  g_free (s->raw);
  g_free (s);
}

static void
gathered_free (gpointer data)
{
  Gathered *v = data;

  shared_unref (v->shared);
  g_free (v->padding);
  g_free (v);
}

/* ------------------------------------------------------------------ reading */

static gboolean
read_raw (EvoPrepared *p, guint thread, gint64 first, gint64 n, float *out, GError **error)
{
  for (gint64 done = 0; done < n; done += EVO_SLICE)
    if (!evo_prepared_read (p, thread, first + done, (gsize) MIN (n - done, (gint64) EVO_SLICE), out + done, error))
      return FALSE;
  return TRUE;
}

/* Elements [at, at + n) of the mean of the rows that inputs have for the token; summed in double, rounded once. */
static gboolean
read_mean (const Shared *s, EvoMergeContext *c, guint thread, gint64 token, gint64 at, gint64 n, float *out, GError **error)
{
  EvoScratchMark mark = evo_scratch_mark (c->scratch[thread]);
  float *row = evo_scratch_take (c->scratch[thread], (gsize) n * sizeof *row);
  double *sum = evo_scratch_take (c->scratch[thread], (gsize) n * sizeof *sum);
  gboolean good = TRUE;
  guint count = 0;

  memset (sum, 0, (gsize) n * sizeof *sum);
  for (guint e = 0; good && e <= s->g->n_in; e++) {
    if (s->g->own[e] == NULL || s->g->own[e][token] < 0)
      continue;
    good = read_raw (s->raw[e], thread, s->g->own[e][token] * s->width + at, n, row, error);
    for (gint64 i = 0; good && i < n; i++)
      sum[i] += row[i];
    count++;
  }
  for (gint64 i = 0; good && i < n; i++)
    out[i] = (float) (sum[i] / count);
  evo_scratch_release (c->scratch[thread], mark);
  return good;
}

/* Part of a row that is not the input's own. */
static gboolean
read_rest (const Gathered *v, EvoMergeContext *c, guint thread, gint64 row, gint64 at, gint64 n, float *out, GError **error)
{
  const Shared *s = v->shared;
  const EvoRest padding = { .kind = EVO_REST_PADDING }, *r = row < s->g->n_tokens ? &s->g->rest[row] : &padding;

  if (r->kind == EVO_REST_ROW)
    return read_raw (s->raw[r->input], thread, r->row * s->width + at, n, out, error);
  if (r->kind == EVO_REST_MEAN)
    return read_mean (s, c, thread, row, at, n, out, error);
  if (r->kind == EVO_REST_PADDING && v->padding != NULL)
    memcpy (out, v->padding + at, (gsize) n * sizeof *out);
  else
    memset (out, 0, (gsize) n * sizeof *out);
  return TRUE;
}

/* The row of the input that row `row` of the result is, -1: it is not one of its own. */
static gint64
own_row (const EvoGather *g, guint input, gint64 row)
{
  return row >= g->n_tokens || g->rest[row].force ? -1 : g->own[input][row];
}

/* How many elements of the result, from `first` on, lie behind each other in the input too: mostly, that is all of them. *at: where they begin
 * there; -1: they are of one row that is not its own. */
static gint64
own_run (const EvoGather *g, guint input, gint64 width, gint64 first, gint64 n, gint64 *at)
{
  gint64 row = first / width, in_row = first % width, own = own_row (g, input, row), run = MIN (width - in_row, n);

  while (own >= 0 && run < n && own_row (g, input, row + (in_row + run) / width) == own + (in_row + run) / width)
    run = MIN (run + width, n);
  *at = own < 0 ? -1 : own * width + in_row;
  return run;
}

static gboolean
read_gathered (const Gathered *v, EvoMergeContext *c, guint thread, gint64 first, gint64 n, float *out, GError **error)
{
  gint64 width = v->shared->width, done = 0;

  while (done < n) {
    gint64 at, run = own_run (v->shared->g, v->input, width, first + done, n - done, &at);
    gboolean good = at >= 0 ? read_raw (v->shared->raw[v->input], thread, at, run, out + done, error)
                            : read_rest (v, c, thread, (first + done) / width, (first + done) % width, run, out + done, error);

    if (!good)
      return FALSE;
    done += run;
  }
  return TRUE;
}

static gboolean
view_read (EvoPrepared *p, guint thread, gint64 first, gsize n, float *out, GError **error)
{
  return read_gathered (p->view_data, p->c, thread, first, (gint64) n, out, error);
}

static gboolean
view_check (const EvoPrepared *p, GError **error)
{
  const Shared *s = ((const Gathered *) p->view_data)->shared;

  for (guint e = 0; e <= s->g->n_in; e++)
    if (s->raw[e] != NULL && !evo_prepared_check_sources (s->raw[e], error))
      return FALSE;
  return TRUE;
}

static const EvoView view = { view_read, gathered_free, view_check };

/* ------------------------------------------------------------------ padding */

enum { CHUNKS = 64 }; /* of rows, summed each by itself and joined in order: the same bits for any number of threads */

typedef struct { const Gathered *v; EvoMergeContext *c; double *sums; /* [CHUNKS][width] */ } Averaging;

static gboolean
sum_chunk (gpointer data, gint64 chunk, guint thread, GError **error)
{
  const Averaging *a = data;
  const Shared *s = a->v->shared;
  gint64 begin = s->g->n_tokens * chunk / CHUNKS, end = s->g->n_tokens * (chunk + 1) / CHUNKS;
  EvoScratchMark mark = evo_scratch_mark (a->c->scratch[thread]);
  float *row = evo_scratch_take (a->c->scratch[thread], (gsize) s->width * sizeof *row);
  double *sum = a->sums + chunk * s->width;
  gboolean good = TRUE;

  for (gint64 r = begin; good && r < end; r++) {
    if (s->g->rest[r].kind == EVO_REST_PADDING)
      continue;
    good = read_gathered (a->v, a->c, thread, r * s->width, s->width, row, error);
    for (gint64 i = 0; good && i < s->width; i++)
      sum[i] += row[i];
  }
  evo_scratch_release (a->c->scratch[thread], mark);
  return good;
}

/* No gene moves it where none is upstream: then it is kept for the whole search. */
static gboolean
is_fixed (const EvoNode *node)
{
  gboolean fixed = node->base.from == NULL || node->base.from->kind != EVO_KIND_MERGE;

  for (guint e = 0; e < node->n_in; e++)
    fixed = fixed && node->in[e].from->kind != EVO_KIND_MERGE;
  return fixed;
}

static gboolean
average (Gathered *v, EvoMergeContext *c, const EvoNode *node, const char *tensor, GError **error)
{
  const Shared *s = v->shared;
  g_autofree char *key = g_strdup_printf ("%s padding %u", tensor, v->input);
  const double *kept = is_fixed (node) ? evo_memo_get (c->memo, node, key) : NULL;
  g_autofree double *sums = kept != NULL ? NULL : g_new0 (double, MAX (CHUNKS * s->width, 1));
  Averaging a = { v, c, sums };
  gint64 n = 0;

  if (kept == NULL && !evo_pool_run (c->pool, CHUNKS, sum_chunk, &a, error))
    return FALSE;
  for (gint64 r = 0; r < s->g->n_tokens; r++)
    n += s->g->rest[r].kind != EVO_REST_PADDING;
  for (guint chunk = 1; kept == NULL && chunk < CHUNKS; chunk++)
    for (gint64 i = 0; i < s->width; i++)
      sums[i] += sums[chunk * s->width + i];
  if (kept == NULL && is_fixed (node))
    evo_memo_set (c->memo, node, key, sums, (guint) s->width);
  v->padding = g_new (float, MAX (s->width, 1));
  for (gint64 i = 0; i < s->width; i++)
    v->padding[i] = (float) ((kept != NULL ? kept[i] : sums[i]) / (double) MAX (n, 1));
  return TRUE;
}

/* ------------------------------------------------------------------ preparing */

/* NULL: the tensor's rows are no tokens', or lie as the inputs have them. */
static const EvoGather *
gather_of (const EvoPrepared *p)
{
  const EvoShape *shape = &p->layout->shape;
  gboolean has_rows = p->layout->role.kind == EVO_ROLE_EMBED || p->layout->role.kind == EVO_ROLE_HEAD;

  return !has_rows || shape->n_dims == 0 || shape->n == 0 ? NULL : evo_models_get_layout (p->c->models, p->node)->gather;
}

gint64
evo_vocab_own_run (const EvoPrepared *p, guint e, gint64 first, gint64 n, gint64 *at)
{
  const EvoGather *g = gather_of (p);
  const EvoShape *shape = &p->layout->shape;

  *at = first;
  return g == NULL ? n : own_run (g, e, shape->n / shape->dims[0], first, n, at);
}

static EvoPrepared *
new_view (Shared *s, guint e, const EvoPrepared *p)
{
  Gathered *v = g_new0 (Gathered, 1);
  EvoPrepared *q = g_new0 (EvoPrepared, 1);

  v->shared = s;
  v->input = e;
  s->ref_count++;
  q->c = p->c;
  q->node = s->raw[e]->node;
  q->layout = s->raw[e]->layout;
  q->tensor = p->tensor;
  q->slice = EVO_SLICE;
  q->allow_nonfinite = s->raw[e]->allow_nonfinite;
  q->view = &view;
  q->view_data = v;
  return q;
}

/* Inputs that the operator does not ask for may still lend rows. */
static gboolean
take_raw (Shared *s, EvoPrepared *p, gboolean *wanted, GError **error)
{
  for (guint e = 0; e <= p->n_in; e++) {
    if (s->g->own[e] == NULL)
      continue;
    wanted[e] = p->in[e] != NULL;
    if (!wanted[e] && !evo_prepare_input (p, e, error))
      return FALSE;
    s->raw[e] = g_steal_pointer (&p->in[e]);
  }
  return TRUE;
}

gboolean
evo_vocab_gather (EvoPrepared *p, GError **error)
{
  const EvoGather *g = gather_of (p);
  const EvoShape *shape = &p->layout->shape;
  g_autofree gboolean *wanted = g_new0 (gboolean, p->n_in + 1);
  gboolean good;
  Shared *s;

  if (g == NULL)
    return TRUE;
  s = g_new0 (Shared, 1);
  *s = (Shared){ 1, g, shape->n / shape->dims[0], g_new0 (EvoPrepared *, g->n_in + 1) };
  good = take_raw (s, p, wanted, error);
  for (guint e = 0; good && e <= p->n_in; e++) {
    if (!wanted[e])
      continue;
    p->in[e] = new_view (s, e, p);
    if (g->pads)
      good = average (p->in[e]->view_data, p->c, p->node, shape->name, error);
  }
  shared_unref (s);
  return good;
}
