/* SPDX-License-Identifier: Apache-2.0
 * test-figures.c - figures of a whole model that are no sums: what operators are handed, and merge.cosine's range through pipelines.
 *
 * Everything is made with 1 to 4 threads, which must give the same bytes, with and without a memo.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/merge/prepared.h"
#include "tests/graph/made.h"

#define AB "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
#define SEARCH ", 'e': {'use': 'evaluator.exact-match', 'in': ['m'], 'data': 'd.jsonl'}, " \
               "'s': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 1}"

/* In output order: by layers, whatever the file's. The first has columns across slices, the fourth has none. */
static const struct { const char *name; EvoDtype dtype; guint n_dims; gint64 rows, cols; } parts[] = {
  { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, 3, 70001 }, { "model.layers.0.mlp.up_proj.weight", EVO_DTYPE_BF16, 2, 7, 300 },
  { "model.layers.1.mlp.up_proj.weight", EVO_DTYPE_F16, 2, 7, 300 }, { "model.norm.weight", EVO_DTYPE_F32, 2, 0, 5 },
  { "lm_head.weight", EVO_DTYPE_F32, 1, 211, 1 }
};
enum { N_PARTS = G_N_ELEMENTS (parts) };

static gint64
size_of (guint t)
{
  return parts[t].rows * parts[t].cols;
}

/* b is near a in the layers, far from it elsewhere. */
static void
write_models (void)
{
  static const gint32 steps[] = { 3, 1, 4 };
  MadeTensor tensors[N_PARTS + 1];
  g_autoptr (GPtrArray) owned = g_ptr_array_new_with_free_func (g_free);

  for (guint which = 0; which < 2; which++) {
    for (guint t = 0; t < N_PARTS; t++) {
      float *x = made_uniform (MAX (size_of (t), 1), t + 1), *y = made_uniform (MAX (size_of (t), 1), t + 100);

      for (gint64 i = 0; which == 1 && i < size_of (t); i++)
        x[i] += (t == 1 || t == 2 ? 0.25f : 2) * y[i];
      g_ptr_array_add (owned, x);
      g_ptr_array_add (owned, y);
      tensors[N_PARTS - t] = (MadeTensor){ parts[t].name, parts[t].dtype, parts[t].n_dims, { parts[t].rows, parts[t].cols }, x, NULL };
    }
    tensors[0] = (MadeTensor){ "steps", EVO_DTYPE_I32, 1, { 3 }, NULL, steps };
    made_model (which == 0 ? "a" : "b", tensors, N_PARTS + 1, "{\"model_type\": \"llama\", \"num_hidden_layers\": 2}");
  }
}

/* A node's tensor, the same for every number of threads, while the memo is filled and when it is used (owned). */
static float *
merged (const Made *m, const char *node, const char *tensor, const double *x, EvoMemo *memo)
{
  float *first = NULL;
  gsize n = (gsize) evo_models_get_layout (m->models, evo_graph_find (m->graph, node))->tensors[made_find (m, node, tensor)].shape.n;

  for (guint i = 0; i < 4; i++) {
    g_autofree float *got = made_floats (m, node, tensor, &(MadeHow){ i + 1, x, -1, i < 2 ? NULL : memo, NULL });

    if (first == NULL)
      first = g_steal_pointer (&got);
    else
      g_assert_cmpmem (got, n * sizeof *got, first, n * sizeof *first);
  }
  return first;
}

/* ------------------------------------------------------------------ what operators are handed */

static double
sum_of (const float *x, gint64 n)
{
  double sum = 0;

  for (gint64 i = 0; i < n; i++)
    sum += x[i];
  return sum;
}

/* Whole numbers: sums are exact, in whatever order. */
static void
write_whole (void)
{
  g_autofree float *x = made_whole (65637, 3, 5);

  made_model ("a", (MadeTensor[]){ { "h.10.w", EVO_DTYPE_F32, 1, { 7 }, x + 10, NULL }, { "h.2.w", EVO_DTYPE_F32, 2, { 10, 10 }, x + 40, NULL },
                                   { "h.1.w", EVO_DTYPE_F32, 1, { 65637 }, x, NULL }, { "id", EVO_DTYPE_I32, 1, { 7 }, NULL, NULL } }, 4, NULL);
}

static void
check_figures (const char *nodes, const double *figures_of)
{
  static const struct { const char *name; gint64 n; } tensors[] = { { "h.10.w", 7 }, { "h.2.w", 100 }, { "h.1.w", 65637 } };
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  g_auto (Made) m = { NULL };

  made_open_good (&m, nodes);
  for (guint t = 0; t < G_N_ELEMENTS (tensors); t++) {
    g_autofree float *x = made_floats (&m, "a", tensors[t].name, &made_plainly), *got = merged (&m, "m", tensors[t].name, NULL, memo);
    double sum = sum_of (x, tensors[t].n);
    const double own[] = { sum, sum * sum, (double) tensors[t].n };

    for (gint64 i = 0; i < tensors[t].n; i++)
      g_assert_cmpfloat (got[i], ==, (float) (i % 6 < 3 ? own[i % 6] : figures_of[i % 6 - 3]));
  }
}

/* Sums of each tensor; numbers of those that give any, in output order; nothing behind the sums of a tensor for itself. */
static void
test_handed (void)
{
  static const double nothing[] = { 0, 0, 0 };
  g_auto (Made) m = { NULL };
  g_autofree float *one = NULL, *ten = NULL, *two = NULL;

  write_whole ();
  made_open_good (&m, "'a': {'use': 'model.llm', 'path': 'a'}, 'm': {'use': 'merge.linear', 'in': ['a']}");
  one = made_floats (&m, "a", "h.1.w", &made_plainly);
  two = made_floats (&m, "a", "h.2.w", &made_plainly);
  ten = made_floats (&m, "a", "h.10.w", &made_plainly);
#define POOL(more) "'a': {'use': 'model.llm', 'path': 'a'}, 'm': {'use': 'merge.probe-pool', 'in': ['a']" more "}"
  check_figures (POOL (""), (const double[]){ 6, sum_of (one, 65637), 7 });
  check_figures (POOL (", 'give': 1"), (const double[]){ 3, sum_of (one, 65637), sum_of (ten, 7) });
  check_figures (POOL (", 'give': {'h.1.w': 0, 'h.10.w': 1, '*': 2}"), (const double[]){ 3, sum_of (two, 100), sum_of (ten, 7) });
  check_figures (POOL (", 'give': 0"), nothing);
  check_figures (POOL (", 'scope': 'tensor', 'fail': true"), nothing);
}

static void
check_failure (const char *nodes, const char *message)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;

  made_open_good (&m, nodes);
  g_assert_null (made_compute (&m, "m", "h.2.w", EVO_DTYPE_NONE, &made_plainly, &error));
  g_assert_cmpstr (error->message, ==, message);
}

/* Whose fault it is, where another tensor is asked for; tensors for themselves have no part in it. */
static void
test_failures (void)
{
  g_auto (Made) m = { NULL };
  g_autofree float *got = NULL;

  write_whole ();
  check_failure (POOL (", 'fail': {'h.10.w': true}"), "m: h.2.w: h.10.w: gives nothing");
  check_failure (POOL (", 'fail': {'h.2.w': true}"), "m: h.2.w: gives nothing");
  check_failure (POOL (", 'give': {'h.2.w': 1, '*': 0}"), "m: h.2.w: one number is not enough");
  made_open_good (&m, POOL (", 'scope': {'h.10.w': 'tensor', '*': 'model'}, 'fail': {'h.10.w': true}"));
  got = made_floats (&m, "m", "h.10.w", &made_plainly);
  g_assert_cmpfloat (got[5], ==, 0);
}

/* ------------------------------------------------------------------ merge.cosine */

static int
by_value (gconstpointer a, gconstpointer b)
{
  const double *x = a, *y = b;

  return *x < *y ? -1 : *x > *y;
}

static double
percentile (const double *sorted, gsize n, double q)
{
  double at = (double) (n - 1) * (q / 100), below = floor (at);

  return sorted[(gsize) below] + (at - below) * (sorted[(gsize) ceil (at)] - sorted[(gsize) below]);
}

/* Cosines [columns] of a tensor's columns. */
static double *
cosines_of (const Made *m, guint t)
{
  g_autofree float *a = made_floats (m, "a", parts[t].name, &made_plainly), *b = made_floats (m, "b", parts[t].name, &made_plainly);
  double *s = g_new0 (double, parts[t].cols);

  for (gint64 j = 0; j < parts[t].cols; j++) {
    long double aa = 0, ab = 0, bb = 0;

    for (gint64 i = j; i < size_of (t); i += parts[t].cols) {
      aa += (long double) a[i] * a[i];
      ab += (long double) a[i] * b[i];
      bb += (long double) b[i] * b[i];
    }
    s[j] = (double) (ab / sqrtl (aa * bb));
  }
  return s;
}

/* The least and the largest cosine of the tensors of `members`, as numpy leaves them. */
static void
range_of (const Made *m, const guint *members, guint n_members, double *low, double *high)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (double));
  const double *x;
  guint first = 0, n;

  for (guint i = 0; i < n_members; i++) {
    g_autofree double *s = cosines_of (m, members[i]);

    g_array_append_vals (all, s, size_of (members[i]) == 0 ? 0 : (guint) parts[members[i]].cols);
  }
  g_array_sort (all, by_value);
  x = (const double *) all->data;
  n = all->len;
  for (double limit = percentile (x, n, 1); x[first] < limit;)
    first++;
  for (double limit = percentile (x + first, n - first, 99); x[n - 1] > limit;)
    n--;
  *low = x[first];
  *high = x[n - 1];
}

static void
check_tensor (const Made *m, guint t, double low, double high, double alpha, const float *got)
{
  g_autofree float *a = made_floats (m, "a", parts[t].name, &made_plainly), *b = made_floats (m, "b", parts[t].name, &made_plainly);
  g_autofree double *s = cosines_of (m, t);

  for (gint64 i = 0; i < size_of (t); i++) {
    double k = CLAMP ((s[i % parts[t].cols] - low) / (high - low) - alpha, 0, 1), expected = k * a[i] + (1 - k) * b[i];

    /* weights, products and sum in fp32 (a vector), and sums in double behind the share */
    g_assert_cmpfloat (fabs (got[i] - expected), <=, (3.1 * 0x1p-24 + 1e-12 / (high - low)) * (fabs (a[i]) + fabs (b[i])));
  }
}

static void
test_range (void)
{
  static const guint all[] = { 0, 1, 2, 3, 4 }, outer[] = { 0, 3, 4 }, layers[] = { 1, 2 };
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  g_auto (Made) m = { NULL };
  double low, high, outer_low, outer_high, layers_low, layers_high;

  write_models ();
  made_open_good (&m, AB "'m': {'use': 'merge.cosine', 'similarity': 'a-column', 'alpha': 0.2, 'in': ['a', 'b']}, "
                  "'part': {'use': 'merge.cosine', 'similarity': 'a-column', 'alpha': 0.2, 'in': ['a', 'b'], 'range': {'*.layers.*': 'given', '*': 'model'}, "
                  "'low': {'*.layers.*': 0.5}}");
  range_of (&m, all, 5, &low, &high);
  range_of (&m, outer, 3, &outer_low, &outer_high);
  range_of (&m, layers, 2, &layers_low, &layers_high);
  g_assert_true (low < layers_low && layers_low < layers_high && outer_low != low); /* each would be seen */
  for (guint t = 0; t < N_PARTS; t++) {
    g_autofree float *got = merged (&m, "m", parts[t].name, NULL, memo), *part = merged (&m, "part", parts[t].name, NULL, memo);

    check_tensor (&m, t, low, high, 0.2, got);
    check_tensor (&m, t, t == 1 || t == 2 ? 0.5 : outer_low, t == 1 || t == 2 ? 1 : outer_high, 0.2, part);
  }
}

static void
check_same (const Made *m, const char *node, const char *tensor, const char *of, const char *as, const double *x)
{
  g_autofree float *got = merged (m, node, tensor, x, NULL), *expected = merged (m, of, as, x, NULL);
  gsize n = (gsize) evo_models_get_layout (m->models, evo_graph_find (m->graph, node))->tensors[made_find (m, node, tensor)].shape.n;

  g_assert_cmpmem (got, n * sizeof *got, expected, n * sizeof *expected);
}

/* Whoever asks for a tensor, it is that of the whole model; integers are copied. */
static void
test_above (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GBytes) steps = NULL;

  write_models ();
  made_open_good (&m, AB "'m': {'use': 'merge.cosine', 'in': ['a', 'b'], 'dtype': 'f32'}, "
                  "'some': {'use': 'merge.by-tensor', 'in': [{'from': 'm', 'take': {'*.layers.1.*': true}}, 'a']}, "
                  "'cross': {'use': 'merge.crossover', 'split': 1, 'in': ['m', 'a']}, "
                  "'path': {'use': 'merge.layer-path', 'in': ['m'], 'path': ['m:1', 'm:0', 'm:1']}, "
                  "'twice': {'use': 'merge.cosine', 'in': ['m', 'm']}");
  check_same (&m, "some", parts[2].name, "m", parts[2].name, NULL);
  check_same (&m, "some", parts[4].name, "a", parts[4].name, NULL);
  check_same (&m, "cross", parts[1].name, "m", parts[1].name, NULL);
  check_same (&m, "path", "model.layers.2.mlp.up_proj.weight", "m", parts[2].name, NULL);
  check_same (&m, "path", "model.layers.1.mlp.up_proj.weight", "m", parts[1].name, NULL);
  steps = made_compute (&m, "twice", "steps", EVO_DTYPE_NONE, &made_plainly, NULL);
  g_assert_cmpmem (g_bytes_get_data (steps, NULL), g_bytes_get_size (steps), ((gint32[]){ 3, 1, 4 }), 12);
  for (guint t = 0; t < N_PARTS; t++) { /* a model with itself */
    g_autofree float *once = merged (&m, "m", parts[t].name, NULL, NULL), *twice = merged (&m, "twice", parts[t].name, NULL, NULL);

    for (gint64 i = 0; i < size_of (t); i++)
      g_assert_cmpfloat (fabsf (twice[i] - once[i]), <=, 2 * FLT_EPSILON * fabsf (once[i])); /* k x + (1 - k) x */
  }
}

/* ------------------------------------------------------------------ the memo */

/* With a memo that knows another candidate, each candidate is what it is without. */
static void
check_candidates (const char *nodes, const double *xs, guint n, gboolean differ)
{
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  g_autofree float *before = NULL;
  g_auto (Made) m = { NULL };
  gsize bytes = (gsize) size_of (1) * sizeof (float);

  made_open_good (&m, nodes);
  for (guint i = 0; i < n; i++) {
    g_autofree float *plain = made_floats (&m, "m", parts[1].name, &(MadeHow){ 2, &xs[i], -1, NULL, NULL });
    g_autofree float *kept = made_floats (&m, "m", parts[1].name, &(MadeHow){ 2, &xs[i], -1, memo, NULL });

    g_assert_cmpmem (kept, bytes, plain, bytes);
    g_assert_true (before == NULL || !differ || memcmp (before, kept, bytes) != 0);
    g_free (before);
    before = g_steal_pointer (&kept);
  }
  g_assert_true ((evo_memo_get (memo, evo_graph_find (m.graph, "m"), parts[1].name) != NULL) == (n == 3)); /* three: alpha alone is searched */
}

static void
test_candidates (void)
{
  static const double alphas[] = { 0.1, 0.5, 0.3 }, shares[] = { 0.9, 0.2 }, choices[] = { 0, 1 };

  write_models ();
  check_candidates (AB "'m': {'use': 'merge.cosine', 'in': ['a', 'b'], 'alpha': {'evolve': [0, 1]}}" SEARCH, alphas, 3, TRUE);
  check_candidates (AB "'i': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': {'evolve': [0, 1]}}, 'b']}, "
                    "'m': {'use': 'merge.cosine', 'in': ['i', 'a']}" SEARCH, shares, 2, TRUE);
  check_candidates (AB "'m': {'use': 'merge.cosine', 'in': ['a', 'b'], 'range': {'choice': ['model', 'given']}}" SEARCH, choices, 2, TRUE);
  check_candidates (AB "'m': {'use': 'merge.cosine', 'in': ['a', 'b'], 'similarity': {'choice': ['a', 'b']}}" SEARCH, choices, 2, TRUE);
  /* a view has no operator of its own, but what it shows does: also with one set of sums a tensor */
  check_candidates (AB "'i': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': {'evolve': [0, 1]}}, 'b']}, "
                    "'p': {'use': 'merge.layer-path', 'in': ['i'], 'path': ['i:0-1']}, 'm': {'use': 'merge.cosine', 'in': ['p', 'a']}" SEARCH, shares, 2, TRUE);
  check_candidates (AB "'i': {'use': 'merge.linear', 'in': [{'from': 'a', 'weight': {'evolve': [0, 1]}}, 'b']}, "
                    "'p': {'use': 'merge.layer-path', 'in': ['i'], 'path': ['i:0-1']}, 'm': {'use': 'merge.slerp', 't': 0.4, 'in': ['p', 'a']}" SEARCH,
                    shares, 2, TRUE);
}

/* Behind a tensor's sums the memo has the figures, and they are what is used. */
static void
test_kept (void)
{
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  g_auto (Made) m = { NULL };
  const EvoNode *node;
  const double *of_vector, *of_layer;
  double low, high;

  write_models ();
  made_open_good (&m, AB "'m': {'use': 'merge.cosine', 'similarity': 'a-column', 'in': ['a', 'b']}");
  node = evo_graph_find (m.graph, "m");
  g_autofree float *first = made_floats (&m, "m", parts[4].name, &(MadeHow){ 1, NULL, -1, memo, NULL });
  of_vector = evo_memo_get (memo, node, parts[4].name);
  of_layer = evo_memo_get (memo, node, parts[1].name);
  g_assert_true (of_vector != NULL && of_layer != NULL); /* of all tensors at once */
  range_of (&m, (const guint[]){ 0, 1, 2, 3, 4 }, 5, &low, &high);
  g_assert_cmpfloat (fabs (of_vector[3] - low), <=, 1e-14);
  g_assert_cmpfloat (fabs (of_layer[3 * 300 + 1] - high), <=, 1e-14);
  evo_memo_set (memo, node, parts[4].name, (const double[]){ 1, 0.5, 1, 0.25, 0.75 }, 5); /* half way: the share is 1/2 - 1/2 */
  g_autofree float *b = made_floats (&m, "b", parts[4].name, &made_plainly);
  g_autofree float *again = made_floats (&m, "m", parts[4].name, &(MadeHow){ 1, NULL, -1, memo, NULL });
  g_assert_cmpmem (again, 211 * sizeof *again, b, 211 * sizeof *b);
}

/* ------------------------------------------------------------------ bound */

/* Three sums and twice a value a column, two figures a tensor, in double, for tensors that may be measured with others. */
static void
test_bound (void)
{
  g_auto (Made) m = { NULL };
  guint64 model, given, may;

  write_models ();
  made_open_good (&m, AB "'m': {'use': 'merge.cosine', 'in': ['a', 'b']}, 'g': {'use': 'merge.cosine', 'in': ['a', 'b'], 'range': 'given'}, "
                  "'s': {'use': 'merge.cosine', 'in': ['a', 'b'], 'range': {'lm_*': 'model', '*': 'given'}}, 'l': {'use': 'merge.linear', 'in': ['m']}, "
                  "'c': {'use': 'merge.cosine', 'in': ['a', 'b'], 'range': {'choice': ['given', 'model']}}, "
                  "'e': {'use': 'evaluator.exact-match', 'in': ['c'], 'data': 'd.jsonl'}, 'o': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 1}");
  model = evo_merge_bound (m.models, evo_graph_find (m.graph, "m"), 2);
  given = evo_merge_bound (m.models, evo_graph_find (m.graph, "g"), 2);
  may = evo_merge_bound (m.models, evo_graph_find (m.graph, "s"), 2);
  g_assert_cmpuint (model - given, ==, (5 * (70001 + 300 + 300 + 1) + 3 + 2 * 5) * sizeof (double));
  g_assert_cmpuint (may - given, ==, (5 + 2) * sizeof (double));
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "c"), 2), ==, model); /* what is searched for may be the model */
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "l"), 2), >, model);
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/figures/handed", test_handed);
  g_test_add_func ("/figures/failures", test_failures);
  g_test_add_func ("/figures/range", test_range);
  g_test_add_func ("/figures/above", test_above);
  g_test_add_func ("/figures/candidates", test_candidates);
  g_test_add_func ("/figures/kept", test_kept);
  g_test_add_func ("/figures/bound", test_bound);
  rc = g_test_run ();
  made_end ();
  return rc;
}
