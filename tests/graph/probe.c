/* SPDX-License-Identifier: Apache-2.0
 * probe.c - merge operators that show what the host hands them: whole rows, whole tensors, exact cuts, sums, seeds, scratch.
 *
 * Each refuses a call that is not what it declared, so that a wrong slice is a failed merge and not a wrong number.
 */
#include "evopipe.h"

enum { SCRATCH = 1000 };

static gsize
scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return SCRATCH;
}

/* Scratch is this call's own: written whole, every time. */
static gboolean
use_scratch (const EvoMergeCall *c, GError **error)
{
  guchar *bytes = c->scratch;

  if (bytes == NULL || (guintptr) bytes % 64 != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "the scratch is not aligned to 64 bytes");
  for (gsize i = 0; i < SCRATCH; i++)
    bytes[i] = 0xaa;
  return TRUE;
}

/* ------------------------------------------------------------------ by row, by tensor: mirrored */

static void
mirror (float *out, const float *in, gsize n)
{
  for (gsize i = 0; i < n; i++)
    out[i] = in[n - 1 - i];
}

static gboolean
row_merge (const EvoMergeCall *c, GError **error)
{
  gint64 n_cols = c->t->n_cols;

  if (n_cols == 0 || c->first % n_cols != 0 || (gint64) c->n % n_cols != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "%" G_GSIZE_FORMAT " elements from %" G_GINT64_FORMAT " are no rows of %" G_GINT64_FORMAT, c->n,
                     c->first, n_cols);
  for (gint64 r = 0; r < (gint64) c->n / n_cols; r++)
    mirror (c->out + r * n_cols, c->in[0] + r * n_cols, (gsize) n_cols);
  return use_scratch (c, error);
}

static const EvoMergeOp row_op = { .size = sizeof row_op, .name = "probe-row", .summary = "Mirrors every row.", .min_inputs = 1,
                                   .access = EVO_BY_ROW, .scratch_bytes = scratch_bytes, .merge = row_merge };

static gboolean
tensor_merge (const EvoMergeCall *c, GError **error)
{
  if (c->first != 0 || (gint64) c->n != c->t->n)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "%" G_GSIZE_FORMAT " elements from %" G_GINT64_FORMAT " are not the tensor", c->n, c->first);
  mirror (c->out, c->in[0], c->n);
  return use_scratch (c, error);
}

static const EvoMergeOp tensor_op = { .size = sizeof tensor_op, .name = "probe-tensor", .summary = "Mirrors the tensor.", .min_inputs = 1,
                                      .access = EVO_BY_TENSOR, .scratch_bytes = scratch_bytes, .merge = tensor_merge };

/* ------------------------------------------------------------------ cuts */

typedef struct { guint32 scope; gint64 both; } CutParams;
typedef struct { gint64 keep; } CutInput;

static const EvoParam cut_params[] = {
  EVO_CHOICE (CutParams, scope, 0, "What is cut at once.", "tensor", "model"),
  EVO_INTEGER (CutParams, both, 0, EVO_LIMITS (0, 1e15), "How many sums of magnitudes are kept."),
  EVO_PARAMS_END
};
static const EvoParam cut_in_params[] = {
  EVO_INTEGER (CutInput, keep, 1, EVO_LIMITS (0, 1e15), "How many of this model's magnitudes are kept."),
  EVO_PARAMS_END
};

static guint32
cut_scope_of (const void *params)
{
  return ((const CutParams *) params)->scope == 1 ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static void
cut_keys (const EvoMergeCall *c, guint cut, float *key)
{
  for (gsize i = 0; i < c->n; i++) {
    key[i] = cut < c->n_in ? fabsf (c->in[cut][i]) : 0;
    for (guint e = 0; cut == c->n_in && e < c->n_in; e++)
      key[i] += fabsf (c->in[e][i]);
  }
}

static gint64
cut_rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  gint64 k = cut == c->n_in ? ((const CutParams *) c->params)->both : ((const CutInput *) c->in_params[cut])->keep;

  return MIN (k, n);
}

static gboolean
is_kept (const EvoMergeCall *c, guint cut, float key, gsize i)
{
  return key > c->cut[cut] || (key == c->cut[cut] && c->first + (gint64) i <= c->last_tie[cut]);
}

/* 1 where input 0 is kept, 2 where input 1 is, ..., and twice the last where the sums of magnitudes are. */
static gboolean
cut_merge (const EvoMergeCall *c, GError **error)
{
  float *key = g_new (float, MAX (c->n, 1)), weight = 1;

  c->k->zero (c->out, c->n);
  for (guint cut = 0; cut <= c->n_in; cut++, weight *= 2) {
    cut_keys (c, cut, key);
    for (gsize i = 0; i < c->n; i++)
      c->out[i] += is_kept (c, cut, key[i], i) ? weight : 0;
  }
  g_free (key);
  return use_scratch (c, error);
}

static const EvoMergeOp cut_op = { .size = sizeof cut_op, .name = "probe-cut", .summary = "Says what is kept.", .min_inputs = 1,
                                   EVO_TAKES (CutParams, cut_params), EVO_TAKES_PER_INPUT (CutInput, cut_in_params), .n_cuts_per_input = 1,
                                   .n_cuts_fixed = 1, .keys = cut_keys, .rank = cut_rank, .scope_of = cut_scope_of,
                                   .scratch_bytes = scratch_bytes, .merge = cut_merge };

/* ------------------------------------------------------------------ sums */

typedef enum { TENSOR, ROW, COLUMN, MODEL } SumScope;
typedef struct { guint32 scope; double shift; } SumParams;

static const EvoParam sum_params[] = {
  EVO_CHOICE (SumParams, scope, TENSOR, "What one set of sums is over.", "tensor", "row", "column", "model"),
  EVO_NUMBER (SumParams, shift, 0, EVO_ANY, EVO_SEARCH (0, 1), "Added to the first coefficient."),
  EVO_PARAMS_END
};

static guint32
sum_scope_of (const void *params)
{
  static const guint32 scopes[] = { EVO_OVER_TENSOR, EVO_OVER_ROW, EVO_OVER_COLUMN, EVO_OVER_MODEL };

  return scopes[((const SumParams *) params)->scope];
}

/* Pass 0: the sum of x. Pass 1, which needs it: the sum of x * sum of x, and the number of elements. */
static guint32
sum_n_sums (const EvoMergeCall *c, guint pass)
{
  return pass == 0 ? 1 : 2;
}

static gboolean
measure_columns (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  gint64 n_cols = c->t->n_cols;

  if (c->first % n_cols != 0 || (gint64) c->n % n_cols != 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "sums over columns see parts of rows");
  for (gsize i = 0; i < c->n; i++) {
    gint64 col = (gint64) i % n_cols;

    sums[col] += pass == 0 ? c->in[0][i] : c->in[0][i] * c->coef[col];
    if (pass == 1)
      sums[n_cols + col] += 1;
  }
  return TRUE;
}

static gboolean
sum_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  const SumParams *p = c->params;

  if (p->scope == COLUMN)
    return measure_columns (c, pass, sums, error);
  if (p->scope == ROW && (gint64) c->n != c->t->n_cols)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "sums over a row see %" G_GSIZE_FORMAT " elements", c->n);
  if (pass == 0) {
    sums[0] += c->k->sum (c->in[0], c->n);
  } else {
    sums[0] += c->k->sum (c->in[0], c->n) * c->coef[0];
    sums[1] += (double) c->n;
  }
  return use_scratch (c, error);
}

static guint32
sum_n_coef (const EvoMergeCall *c)
{
  return 3;
}

static gboolean
sum_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  const SumParams *p = c->params;
  gsize n = 3 * (gsize) (p->scope == COLUMN ? c->t->n_cols : 1);

  for (gsize i = 0; i < n; i++)
    coef[i] = sums[i];
  coef[0] += p->shift;
  return TRUE;
}

/* A double as two floats, the larger first: 48 bits of it can be seen in the output. */
static float
part_of (double x, gsize which)
{
  float high = (float) x;

  return which % 2 == 0 ? high : (float) (x - high);
}

/* Element e shows a half of coefficient e / 2; over columns, row r shows a half of coefficient r / 2 of the column. */
static gboolean
sum_merge (const EvoMergeCall *c, GError **error)
{
  const SumParams *p = c->params;
  gint64 n_cols = c->t->n_cols;

  if (p->scope == ROW && (gint64) c->n != n_cols)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "a merge by row sees %" G_GSIZE_FORMAT " elements", c->n);
  for (gsize i = 0; i < c->n; i++) {
    gint64 e = c->first + (gint64) i, at = p->scope == ROW ? e % n_cols : p->scope == COLUMN ? e / n_cols : e;
    gint64 j = at / 2 % 3;

    c->out[i] = part_of (p->scope == COLUMN ? c->coef[j * n_cols + e % n_cols] : c->coef[j], (gsize) at);
  }
  return use_scratch (c, error);
}

static const EvoMergeOp sum_op = { .size = sizeof sum_op, .name = "probe-sum", .summary = "Shows its sums.", .min_inputs = 1,
                                   EVO_TAKES (SumParams, sum_params), .flags = EVO_MERGE_MEASURE_FIXED, .n_passes = 2, .n_sums = sum_n_sums,
                                   .measure = sum_measure, .n_coef = sum_n_coef, .solve = sum_solve, .scope_of = sum_scope_of,
                                   .scratch_bytes = scratch_bytes, .merge = sum_merge };

/* ------------------------------------------------------------------ seeds, failures */

typedef struct { double fail_at; } SeedParams;

static const EvoParam seed_params[] = {
  EVO_NUMBER (SeedParams, fail_at, -1, EVO_ANY, EVO_NO_SEARCH, "Fails where this element is merged."),
  EVO_PARAMS_END
};

/* Sum of (i + 1) u_i over the inputs. */
static gboolean
seed_merge (const EvoMergeCall *c, GError **error)
{
  double fail_at = ((const SeedParams *) c->params)->fail_at;
  float *u = g_new (float, MAX (c->n, 1));

  c->k->zero (c->out, c->n);
  for (guint e = 0; e < c->n_in; e++) {
    c->k->uniform (u, c->in_seed[e], c->first, c->n);
    c->k->axpy (c->out, u, e + 1, c->n);
  }
  g_free (u);
  if (fail_at >= (double) c->first && fail_at < (double) (c->first + (gint64) c->n))
    return evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "fails at %g", fail_at);
  return use_scratch (c, error);
}

static const EvoMergeOp seed_op = { .size = sizeof seed_op, .name = "probe-seed", .summary = "Shows its random numbers.", .min_inputs = 1,
                                    .flags = EVO_MERGE_RANDOM, EVO_TAKES (SeedParams, seed_params), .scratch_bytes = scratch_bytes,
                                    .merge = seed_merge };

/* ------------------------------------------------------------------ files of tensors */

typedef struct { guint32 over; } AuxParams;
typedef struct { const char *file; } AuxInput;

static const EvoParam aux_params[] = {
  EVO_CHOICE (AuxParams, over, 0, "What one set of sums is over.", "tensor", "row"),
  EVO_PARAMS_END
};
static const EvoParam aux_in_params[] = {
  EVO_FILE (AuxInput, file, EVO_PARAM_TENSORS, "Tensors."),
  EVO_PARAMS_END
};

static guint32
aux_scope_of (const void *params)
{
  return ((const AuxParams *) params)->over == 0 ? EVO_OVER_TENSOR : EVO_OVER_ROW;
}

static guint32
aux_n_sums (const EvoMergeCall *c, guint pass)
{
  return c->n_in;
}

static gboolean
aux_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  for (guint e = 0; e < c->n_in; e++)
    sums[e] += c->aux == NULL || c->aux[e] == NULL ? -1.0 * (double) c->n : c->k->sum (c->aux[e], c->n);
  return TRUE;
}

/* The sum over inputs of: input x its file + the sum of its file (-1 an element where it has none) */
static gboolean
aux_merge (const EvoMergeCall *c, GError **error)
{
  for (gsize j = 0; j < c->n; j++) {
    double sum = 0;

    for (guint e = 0; e < c->n_in; e++)
      sum += (c->aux == NULL || c->aux[e] == NULL ? 0 : (double) c->in[e][j] * c->aux[e][j]) + c->coef[e];
    c->out[j] = (float) sum;
  }
  return TRUE;
}

static const EvoMergeOp aux_op = { .size = sizeof aux_op, .name = "probe-aux", .summary = "Inputs times their files.", .min_inputs = 1,
                                   .access = EVO_BY_ELEMENT, .scope_of = aux_scope_of, EVO_TAKES (AuxParams, aux_params),
                                   EVO_TAKES_PER_INPUT (AuxInput, aux_in_params), .n_passes = 1, .n_sums = aux_n_sums, .measure = aux_measure,
                                   .merge = aux_merge };

/* ------------------------------------------------------------------ figures */

typedef struct { guint32 scope; gint64 give; gboolean fail; } PoolParams;

static const EvoParam pool_params[] = {
  EVO_CHOICE (PoolParams, scope, 0, "Whether there are figures.", "model", "tensor"),
  EVO_INTEGER (PoolParams, give, 2, EVO_LIMITS (0, 2), "How many numbers a tensor gives."),
  EVO_BOOL (PoolParams, fail, FALSE, "Fails where it would give them."),
  EVO_PARAMS_END
};

static guint32
pool_scope_of (const void *params)
{
  return ((const PoolParams *) params)->scope == 0 ? EVO_OVER_MODEL : EVO_OVER_TENSOR;
}

static gboolean
pool_measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  double sum = c->k->sum (c->in[0], c->n);

  sums[0] += pass == 0 ? sum : sum * c->coef[0];
  if (pass == 1)
    sums[1] += (double) c->n;
  return use_scratch (c, error);
}

static guint32
pool_n_values (const EvoMergeCall *c)
{
  return (guint32) ((const PoolParams *) c->params)->give;
}

/* The tensor's sum, and how many elements it has. */
static gboolean
pool_values (const EvoMergeCall *c, const double *sums, double *values, GError **error)
{
  const PoolParams *p = c->params;

  if (p->fail)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "gives nothing");
  for (gint64 i = 0; i < p->give; i++)
    values[i] = sums[2 * i];
  return TRUE;
}

/* How many numbers there are, and the first and the last of them. */
static gboolean
pool_pool (double *values, gsize n, double *figures, GError **error)
{
  figures[0] = (double) n;
  figures[1] = n == 0 ? 0 : values[0];
  figures[2] = n == 0 ? 0 : values[n - 1];
  for (gsize i = 0; i < n; i++)
    values[i] = NAN; /* they are its own */
  return n != 1 || evo_fail (error, EVO_PLUGIN_ERROR_NUMERIC, "one number is not enough");
}

static guint32
pool_n_coef (const EvoMergeCall *c)
{
  return 6;
}

static gboolean
pool_solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  for (guint i = 0; i < (((const PoolParams *) c->params)->scope == 0 ? 6 : 3); i++)
    coef[i] = sums[i];
  return TRUE;
}

static gboolean
pool_merge (const EvoMergeCall *c, GError **error)
{
  for (gsize i = 0; i < c->n; i++)
    c->out[i] = (float) c->coef[(c->first + (gint64) i) % 6];
  return use_scratch (c, error);
}

static const EvoMergeOp pool_op = { .size = sizeof pool_op, .name = "probe-pool", .summary = "Shows its sums and the model's figures.",
                                    .min_inputs = 1, EVO_TAKES (PoolParams, pool_params), .flags = EVO_MERGE_MEASURE_FIXED, .n_passes = 2,
                                    .n_sums = sum_n_sums, .measure = pool_measure, .n_coef = pool_n_coef, .solve = pool_solve,
                                    .scope_of = pool_scope_of, .scratch_bytes = scratch_bytes, .merge = pool_merge, .n_figures = 3,
                                    .n_values = pool_n_values, .values = pool_values, .pool = pool_pool };

EVO_PLUGIN_ (EVO_KIND_MERGE, &row_op, &tensor_op, &cut_op, &sum_op, &seed_op, &aux_op, &pool_op)
