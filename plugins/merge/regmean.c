/* SPDX-License-Identifier: Apache-2.0
 * merge.regmean - the linear layers whose outputs are nearest to all models' (Jin et al., "Dataless knowledge fusion by merging weights of language
 * models", 2023, arXiv 2212.09849).
 *
 * For weights as the paper writes them, [in, out], W = (sum G_i)^-1 sum G_i W_i with G_i = X_i^T X_i, the Gram matrix of the layer's inputs on model
 * i's data. Checkpoints hold [out, in], so here W = (sum W_i G_i) (sum G_i)^-1. A model's file has a Gram matrix [in, in] by the name of the weight;
 * what has none in the files (embeddings, norms, biases, convolutions) is averaged. What stands off the diagonals is multiplied by alpha; in the
 * authors' code (bloomberg/dataless-model-merging) by 0.9 in the demonstration, for DeBERTa and T5, by 0.1 in the runs on emotions and NER, by 1 on GLUE.
 * Their Gram matrices are means over a layer's inputs, so that models count alike however many there were. It minimises
 * sum w_i tr ((W - W_i) G_i (W - W_i)^T); where the sum of Gram matrices is singular, many W do, and the one nearest to the mean
 * of the models is taken: W = M + (sum (W_i - M) G_i) S^+. The sum S is scaled to a unit diagonal first and solved by its eigenvectors, of which
 * those below `cut` of the largest eigenvalue count as none: a file's fp32 is no better than that.
 */
#include "spectral.h"

enum { ROWS = 256 }; /* that are merged at a time */

typedef struct { double alpha, cut; } RegmeanParams;
typedef struct { double weight; const char *gram; } RegmeanInput;

static const EvoParam params[] = {
  EVO_NUMBER (RegmeanParams, alpha, 0.9, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "Multiplies what stands off the diagonals of the Gram matrices."),
  EVO_NUMBER (RegmeanParams, cut, 1e-7, EVO_LIMITS (0, 1), EVO_NO_SEARCH, "Least eigenvalue that counts, as a share of the largest."),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (RegmeanInput, weight, 1, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0, 1), "Multiplies the model's Gram matrices; its share of averages."),
  EVO_FILE (RegmeanInput, gram, EVO_PARAM_REQUIRED | EVO_PARAM_TENSORS, "The model's Gram matrices, [in, in] by the names of its weights."),
  EVO_PARAMS_END
};

typedef struct { gsize n; double *sum, *values, *scale, *gram, *to, *change; void *work; } Work; /* [n n], [n], [n], [n n], [ROWS n] twice */

static gsize
eigh_bytes (gsize n)
{
  return (2 * n * n + 9 * n + 8) * sizeof (double);
}

static Work
lay_out (void *scratch, gsize n)
{
  gsize nn = spectral_even (n * n), n1 = spectral_even (n), rest = nn + 2 * n1;
  double *at = scratch; /* eigh is over when the Gram matrices are wanted one by one */

  return (Work){ n, at, at + nn, at + nn + n1, at + rest, at + rest + nn, at + rest + nn + ROWS * n1, at + rest };
}

static gboolean
regmean_aux_shape (const EvoTensor *t, gint64 dims[8], guint32 *n_dims)
{
  if (t->n_dims != 2 || t->n == 0 || t->n_cols > SPECTRAL_RANK)
    return FALSE;
  *n_dims = 2;
  dims[0] = dims[1] = t->n_cols;
  return TRUE;
}

static gsize
regmean_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  gint64 dims[8];
  guint32 n_dims;
  gsize side = (gsize) t->n_cols, own = spectral_even (side * side);

  if (!regmean_aux_shape (t, dims, &n_dims))
    return 0;
  return (own + 2 * spectral_even (side)) * sizeof (double) + MAX (eigh_bytes (side), (own + 2 * ROWS * spectral_even (side)) * sizeof (double));
}

static double
weight_of (const EvoMergeCall *c, guint i)
{
  return ((const RegmeanInput *) c->in_params[i])->weight;
}

static double
mean_of (const EvoMergeCall *c, gsize j, double total)
{
  double sum = 0;

  for (guint i = 0; i < c->n_in; i++)
    sum += weight_of (c, i) * c->in[i][j];
  return sum / total;
}

/* to [n n] (+)= weight times the Gram matrix of input i, less of it off the diagonal */
static gboolean
add_gram (const EvoMergeCall *c, guint i, gsize n, double *to, gboolean add, GError **error)
{
  const float *g = c->aux[i];
  double weight = weight_of (c, i), off = weight * ((const RegmeanParams *) c->params)->alpha / 2;

  for (gsize r = 0; r < n; r++) {
    if (g[r * n + r] < 0)
      return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "input %u: its Gram matrix has %g at row and column %zu; a sum of squares is wanted", i,
                       g[r * n + r], r);
    for (gsize k = 0; k < n; k++) {
      double a = g[r * n + k], b = g[k * n + r];

      if (fabs (a - b) > 0.01 * sqrt ((double) g[r * n + r] * g[k * n + k])) /* more than bf16's rounding of either */
        return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "input %u: its Gram matrix has %g at row %zu, column %zu and %g across the diagonal; "
                         "X^T X is wanted", i, a, r, k, b);
      to[r * n + k] = (add ? to[r * n + k] : 0) + (r == k ? weight * a : off * (a + b));
    }
  }
  return TRUE;
}

/* sum = eigenvectors (rows) of the sum of Gram matrices with a unit diagonal, values = 1 over their eigenvalues, scale = 1 / sqrt (diagonal). */
static gboolean
decompose (const EvoMergeCall *c, const Work *w, GError **error)
{
  gsize n = w->n;
  double largest;
  int info;

  for (guint i = 0; i < c->n_in; i++)
    if (!add_gram (c, i, n, w->sum, i > 0, error))
      return FALSE;
  for (gsize j = 0; j < n; j++)
    w->scale[j] = w->sum[j * n + j] > 0 ? 1 / sqrt (w->sum[j * n + j]) : 0;
  for (gsize j = 0; j < n * n; j++)
    w->sum[j] *= w->scale[j / n] * w->scale[j % n];
  if (c->k->eigh_work (n) > eigh_bytes (n))
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "eigh needs %zu bytes of scratch, the operator has %zu", c->k->eigh_work (n), eigh_bytes (n));
  info = c->k->eigh (w->sum, w->values, n, w->work);
  if (info != 0)
    return spectral_failed (info, error);
  largest = w->values[n - 1];
  if (w->values[0] < -0.01 * largest)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "the sum of Gram matrices has the eigenvalue %g beside %g; X^T X has none below 0", w->values[0],
                     largest);
  for (gsize j = 0; j < n; j++)
    w->values[j] = w->values[j] > 0 && w->values[j] >= ((const RegmeanParams *) c->params)->cut * largest ? 1 / w->values[j] : 0;
  return TRUE;
}

/* Rows of the result from element `at` on: mean + (sum (W_i - mean) G_i) S^+ */
static gboolean
merge_rows (const EvoMergeCall *c, const Work *w, gsize at, gsize rows, double total, GError **error)
{
  gsize n = w->n, size = rows * n;

  for (guint i = 0; i < c->n_in; i++) {
    if (!add_gram (c, i, n, w->gram, FALSE, error))
      return FALSE;
    for (gsize j = 0; j < size; j++)
      w->change[j] = c->in[i][at + j] - mean_of (c, at + j, total);
    c->k->gemm (w->to, w->change, 0, w->gram, 0, rows, n, n, 1, i > 0);
  }
  for (gsize j = 0; j < size; j++)
    w->to[j] *= w->scale[j % n];
  c->k->gemm (w->change, w->to, 0, w->sum, 1, rows, n, n, 1, 0);
  for (gsize j = 0; j < size; j++)
    w->change[j] *= w->values[j % n];
  c->k->gemm (w->to, w->change, 0, w->sum, 0, rows, n, n, 1, 0);
  for (gsize j = 0; j < size; j++)
    c->out[at + j] = (float) (mean_of (c, at + j, total) + w->to[j] * w->scale[j % n]);
  return TRUE;
}

static gboolean
merge_matrix (const EvoMergeCall *c, double total, GError **error)
{
  gsize n = (gsize) c->t->n_cols, n_rows = (gsize) c->t->n_rows;
  Work w = lay_out (c->scratch, n);

  if (!decompose (c, &w, error))
    return FALSE;
  for (gsize r = 0; r < n_rows; r += ROWS)
    if (!merge_rows (c, &w, r * n, MIN (ROWS, n_rows - r), total, error))
      return FALSE;
  return TRUE;
}

static gboolean
regmean_merge (const EvoMergeCall *c, GError **error)
{
  guint n_grams = 0, missing = 0;
  double total = 0;

  for (guint i = 0; i < c->n_in; i++) {
    gboolean has = c->aux != NULL && c->aux[i] != NULL;

    n_grams += has;
    missing = has ? missing : i;
    total += weight_of (c, i);
  }
  if (total <= 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "the weights are all zero; one model has to have some");
  if (n_grams > 0 && n_grams < c->n_in)
    return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "input %u has no Gram matrix of it and another has; all need one, or none", missing);
  if (n_grams > 0)
    return merge_matrix (c, total, error);
  for (gsize j = 0; j < c->n; j++)
    c->out[j] = (float) mean_of (c, j, total);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "regmean", .summary = "The linear layers whose outputs are nearest to all models', by the Gram matrices of their inputs.",
                  .min_inputs = 1, .access = EVO_BY_TENSOR, .flags = EVO_MERGE_IDEMPOTENT, EVO_TAKES (RegmeanParams, params),
                  EVO_TAKES_PER_INPUT (RegmeanInput, in_params), .scratch_bytes = regmean_scratch_bytes, .aux_shape = regmean_aux_shape,
                  .merge = regmean_merge,
                  .formula = "(Σ weightᵢ xᵢ Gᵢ) (Σ weightᵢ Gᵢ)⁻¹ for a matrix [out, in], Gᵢ: gramᵢ, times alpha off the diagonal; where the "
                  "sum is singular (eigenvalues below cut), the solution nearest to the mean; what has no Gram matrix: the mean Σ weightᵢ xᵢ "
                  "/ Σ weightᵢ",
                  .source = "Jin et al., \"Dataless knowledge fusion by merging weights of language models\", 2023, arXiv 2212.09849; alpha is "
                  "that of its authors' demonstration, their experiments have 0.1 or 1")
