/* SPDX-License-Identifier: Apache-2.0
 * test-pick.c - merge.by-tensor through the host: each tensor by its own operator, and nothing else computed or read.
 */
#include "core/base/error.h"
#include "tests/graph/made.h"

#define AB "'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'}, "
#define MERGES AB "'mean': {'use': 'merge.linear', 'in': ['a', 'b']}, 'far': {'use': 'merge.task-arithmetic', 'base': 'a', 'lambda': 2, 'in': ['b']}, "

static void
model (const char *name, const float *attn, const float *mlp, const float *norm)
{
  const MadeTensor tensors[] = { { "model.layers.0.mlp.weight", EVO_DTYPE_F32, 1, { 2 }, mlp, NULL },
                                 { "model.layers.0.self_attn.weight", EVO_DTYPE_F32, 1, { 2 }, attn, NULL },
                                 { "model.norm.weight", EVO_DTYPE_F32, 1, { 2 }, norm, NULL } };

  made_model (name, tensors, G_N_ELEMENTS (tensors), NULL);
}

static void
assert_pair (const Made *m, const char *tensor, float x, float y)
{
  g_autofree float *out = made_floats (m, "m", tensor, &made_plainly);

  g_assert_cmpfloat (out[0], ==, x);
  g_assert_cmpfloat (out[1], ==, y);
}

static void
test_groups (void)
{
  g_auto (Made) m = { NULL };

  model ("a", (float[]){ 1, 2 }, (float[]){ 3, 4 }, (float[]){ 5, 6 });
  model ("b", (float[]){ 3, 6 }, (float[]){ 5, 8 }, (float[]){ 7, 9 });
  made_open_good (&m, MERGES "'m': {'use': 'merge.by-tensor', 'in': [{'from': 'mean', 'take': {'*attn*': true}}, "
                  "{'from': 'far', 'take': {'*.mlp.*': true, '*': false}}, 'b']}");
  assert_pair (&m, "model.layers.0.self_attn.weight", 2, 4);
  assert_pair (&m, "model.layers.0.mlp.weight", 7, 12);
  assert_pair (&m, "model.norm.weight", 7, 9);
}

/* What is not taken is not read: b's attention and a's norm are damaged, and stay so. */
static void
test_unread (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;

  model ("a", (float[]){ 1, 2 }, (float[]){ 3, 4 }, (float[]){ NAN, 6 });
  model ("b", (float[]){ 3, INFINITY }, (float[]){ 5, 8 }, (float[]){ 7, 9 });
  made_open_good (&m, MERGES "'m': {'use': 'merge.by-tensor', 'in': [{'from': 'mean', 'take': {'*.mlp.*': true}}, {'from': 'a', 'take': {'*attn*': true}}, "
                  "'b']}");
  assert_pair (&m, "model.layers.0.self_attn.weight", 1, 2);
  assert_pair (&m, "model.layers.0.mlp.weight", 4, 6);
  assert_pair (&m, "model.norm.weight", 7, 9);
  g_assert_null (made_compute (&m, "mean", "model.norm.weight", EVO_DTYPE_NONE, &made_plainly, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE);
}

/* Which input gives a layer can be searched; a value of the gene is an index of its choices. */
static void
test_genes (void)
{
  static const double picks[][2] = { { 0, 3 }, { 1, 5 } };
  g_auto (Made) m = { NULL };

  model ("a", (float[]){ 1, 2 }, (float[]){ 3, 4 }, (float[]){ 5, 6 });
  model ("b", (float[]){ 3, 6 }, (float[]){ 5, 8 }, (float[]){ 7, 9 });
  made_file ("data", "x.jsonl", "{\"question\": \"1\", \"answer\": \"2\"}\n");
  made_open_good (&m, AB "'m': {'use': 'merge.by-tensor', 'in': [{'from': 'a', 'take': {'choice': [true, false], 'per': ['*.mlp.*']}}, 'b']}, "
                  "'e': {'use': 'evaluator.exact-match', 'in': ['m'], 'data': 'data/x.jsonl'}, "
                  "'s': {'use': 'optimizer.random', 'maximize': ['e'], 'trials': 2}");
  g_assert_cmpuint (evo_models_get_n_genes (m.models), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (picks); i++) {
    MadeHow how = { 1, &picks[i][0], -1, NULL, NULL };
    g_autofree float *out = made_floats (&m, "m", "model.layers.0.mlp.weight", &how), *norm = made_floats (&m, "m", "model.norm.weight", &how);

    g_assert_cmpfloat (out[0], ==, (float) picks[i][1]);
    g_assert_cmpfloat (norm[0], ==, 7);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/pick/groups", test_groups);
  g_test_add_func ("/pick/unread", test_unread);
  g_test_add_func ("/pick/genes", test_genes);
  status = g_test_run ();
  made_end ();
  return status;
}
