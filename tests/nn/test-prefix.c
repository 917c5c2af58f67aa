/* SPDX-License-Identifier: Apache-2.0
 * test-prefix.c - hidden states kept between candidates: the same bits with and without, from the right hop on, within the room given.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/nn/text-model/private.h"
#include "tests/nn/fixture.h"

enum { TEXTS = 20, LONGEST = 60, HOPS = 22, HELD = 4 };

/* Of many lengths; most begin alike, some are the same, some have nothing to score. */
typedef struct { gint32 ids[TEXTS][LONGEST]; EvoScoring scored[TEXTS]; } Texts;

static void
make_texts (Texts *t, guint seed)
{
  for (guint i = 0; i < TEXTS; i++) {
    gsize n = 2 + (i * 29 + seed) % (LONGEST - 2);

    for (guint j = 0; j < LONGEST; j++)
      t->ids[i][j] = (gint32) ((j < 25 ? j * 31 + i % 3 : j * 17 + i % 12 * 7 + seed) % 271);
    t->scored[i] = (EvoScoring){ t->ids[i], n, i % 7 == 6 ? n : 1 + (n - 1) / 2, 0, FALSE };
  }
}

static void
score (EvoTextModel *m, Texts *t, guint batch)
{
  g_autoptr (GError) error = NULL;

  evo_text_model_score (m, t->scored, TEXTS, batch, &error);
  g_assert_no_error (error);
}

static void
make_path (EvoHop *hops, guint n)
{
  for (guint i = 0; i < n; i++)
    hops[i] = (EvoHop){ (i + i / 5) % HELD, i == 0 ? 1 : 0.9 + 0.02 * (i % 11) };
}

/* One model keeps states, the other does not. */
typedef struct { Fixture with, without; Texts texts; EvoPrefixStats before; } Both;

static void
both_open (Both *b, const char *model, const EvoKernels *k, EvoPool *pool, guint64 bytes)
{
  g_autofree char *name = g_strdup_printf ("tests/data/llm/%s", model);

  fixture_open (&b->with, name, "config.json", FALSE, k, pool);
  fixture_open (&b->without, name, "config.json", FALSE, k, pool);
  evo_text_model_set_prefix_cache (b->with.model, bytes);
  make_texts (&b->texts, 0);
}

static void
both_clear (Both *b)
{
  fixture_clear (&b->with);
  fixture_clear (&b->without);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Both, both_clear)

/* Scores by both agree; returns the hop the first of them began at. */
static gsize
compare (Both *b, const EvoHop *hops, gsize n, EvoScaling scaling, guint batch)
{
  g_autofree Texts *other = g_memdup2 (&b->texts, sizeof *other);
  EvoPrefixStats now;
  gsize first;

  g_assert_true (evo_text_model_set_path (b->with.model, hops, n, scaling, NULL));
  g_assert_true (evo_text_model_set_path (b->without.model, hops, n, scaling, NULL));
  score (b->with.model, &b->texts, batch);
  for (guint i = 0; i < TEXTS; i++)
    other->scored[i].ids = b->texts.scored[i].ids;
  score (b->without.model, other, batch);
  for (guint i = 0; i < TEXTS; i++) {
    g_assert_cmpmem (&b->texts.scored[i].log_likelihood, sizeof (double), &other->scored[i].log_likelihood, sizeof (double));
    g_assert_cmpint (b->texts.scored[i].is_greedy, ==, other->scored[i].is_greedy);
    g_assert_true (b->texts.scored[i].log_likelihood < 0 || i % 7 == 6);
  }
  evo_text_model_get_prefix_stats (b->with.model, &now);
  first = (gsize) (now.hops_skipped - b->before.hops_skipped);
  g_assert_cmpuint (now.calls, ==, b->before.calls + 1);
  g_assert_cmpuint (now.hits, ==, b->before.hits + (first > 0));
  g_assert_cmpuint (now.hops_run, ==, b->before.hops_run + n - first);
  b->before = now;
  return first;
}

/* ------------------------------------------------------------------ the same bits */

static void
check_model (const char *model, const EvoKernels *k, EvoPool *pool)
{
  g_auto (Both) b = { { NULL } };
  guint held;
  EvoHop hops[HOPS];

  both_open (&b, model, k, pool, 64 << 20);
  held = (guint) b.with.spec.n_layers;
  make_path (hops, HOPS);
  for (guint i = 0; i < HOPS; i++)
    hops[i].layer %= held;
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 0);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 20); /* after hops 3, 7, 11, 15, 19 */
  hops[13].layer = (hops[13].layer + 1) % held;
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 3), ==, 12);
  hops[6].scale *= 1.5;
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 1), ==, 4);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 7), ==, 20);
  /* shorter: the last hop is always run */
  g_assert_cmpuint (compare (&b, hops, 12, EVO_SCALING_STREAM, 0), ==, 8);
  g_assert_cmpuint (compare (&b, hops, 9, EVO_SCALING_STREAM, 0), ==, 8);
  /* other ways of scaling are other paths */
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_BRANCH, 0), ==, 0);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_LAST_BRANCH, 0), ==, 0);
  /* with last-branch the scale of hop 12 is in the state after hop 11 */
  hops[12].scale *= 1.25;
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_LAST_BRANCH, 0), ==, 8);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_BRANCH, 0), ==, 12);
}

static void
test_same (void)
{
  g_autoptr (EvoPool) one = evo_pool_new (1), two = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    if (k == evo_kernels_get ())
      check_model ("llama", k, one);
    check_model (i == 0 ? "llama" : "mistral", k, two);
  }
}

/* ------------------------------------------------------------------ what is kept */

/* Bytes of the states of the texts after one hop: distinct beginnings, counted here one by one. */
static guint64
bytes_each (const Texts *t, gint64 hidden)
{
  guint64 n = 0;

  for (guint i = 0; i < TEXTS; i++)
    for (gsize p = 0; i % 7 != 6 && p + 1 < t->scored[i].n_ids; p++) {
      gboolean found = FALSE;

      for (guint j = 0; j < i && !found; j++)
        found = j % 7 != 6 && p + 1 < t->scored[j].n_ids && memcmp (t->ids[i], t->ids[j], (p + 1) * sizeof (gint32)) == 0;
      n += !found;
    }
  return n * (guint64) hidden * sizeof (float);
}

static void
test_room (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_autofree Texts *texts = g_new (Texts, 1);
  guint64 each;

  make_texts (texts, 0);
  each = bytes_each (texts, 48);
  for (guint room = 0; room < 9; room++) {
    static const gsize again[] = { 0, 11, 11, 11, 16, 16, 18, 18, 20 };
    g_auto (Both) b = { { NULL } };
    EvoHop hops[HOPS];

    both_open (&b, "llama", evo_kernels_get (), pool, each * room + each - 1);
    make_path (hops, HOPS);
    compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0);
    g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, again[room]);
    for (guint i = 0; i < 10; i++) {
      hops[i * 5 % HOPS].layer = i % HELD;
      compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0);
      g_assert_cmpuint (b.before.bytes, <=, each * room);
      g_assert_cmpuint (b.before.bytes % each, ==, 0);
    }
  }
}

/* Other texts are not taken for these; both are kept side by side. */
static void
test_other_texts (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Both) b = { { NULL } };
  EvoHop hops[HOPS];

  both_open (&b, "llama", evo_kernels_get (), pool, 64 << 20);
  make_path (hops, HOPS);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 0);
  make_texts (&b.texts, 5);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 0);
  b.texts.ids[7][0]++;
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 0);
  make_texts (&b.texts, 0);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 20);
}

static void
set_norm (EvoTextModel *m, float value)
{
  const EvoRole role = { .kind = EVO_ROLE_NORM, .layer = 2, .slot = "norm_1" };
  const gint64 dims[] = { 48 };
  float w[48];

  for (guint i = 0; i < 48; i++)
    w[i] = value;
  g_assert_true (evo_text_model_set_tensor (m, &role, "w", EVO_DTYPE_F32, 1, dims, w, NULL));
}

static void
test_weights_change (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Both) b = { { NULL } };
  g_autoptr (GError) error = NULL;
  EvoHop hops[HOPS];

  both_open (&b, "llama", evo_kernels_get (), pool, 64 << 20);
  make_path (hops, HOPS);
  compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0);
  g_assert_cmpuint (b.before.bytes, >, 0);
  set_norm (b.with.model, 0.75f);
  set_norm (b.without.model, 0.75f);
  evo_text_model_get_prefix_stats (b.with.model, &b.before);
  g_assert_cmpuint (b.before.bytes, ==, 0);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 0);
  g_assert_cmpuint (compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0), ==, 20);
  /* a run that fails leaves nothing */
  set_norm (b.with.model, INFINITY);
  g_assert_false (evo_text_model_score (b.with.model, b.texts.scored, TEXTS, 0, &error));
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC);
  evo_text_model_get_prefix_stats (b.with.model, &b.before);
  g_assert_cmpuint (b.before.bytes, ==, 0);
}

/* Generation and logits know nothing of it; turned off, it counts no more and holds no memory. */
static void
test_off (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Both) b = { { NULL } };
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  EvoHop hops[HOPS];
  EvoPrefixStats after;

  both_open (&b, "llama", evo_kernels_get (), pool, 64 << 20);
  make_path (hops, HOPS);
  compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0);
  compare (&b, hops, HOPS, EVO_SCALING_STREAM, 0);
  EvoGeneration r[2] = { { .ids = b.texts.ids[0], .n_ids = 20 }, { .ids = b.texts.ids[0], .n_ids = 20 } };
  g_assert_true (evo_text_model_generate (b.with.model, &r[0], 1, &o, 0, NULL));
  g_assert_true (evo_text_model_generate (b.without.model, &r[1], 1, &o, 0, NULL));
  g_assert_cmpmem (r[0].out->data, r[0].out->len * sizeof (gint32), r[1].out->data, r[1].out->len * sizeof (gint32));
  evo_generation_clear (&r[0]);
  evo_generation_clear (&r[1]);
  evo_text_model_set_prefix_cache (b.with.model, 0);
  score (b.with.model, &b.texts, 0);
  evo_text_model_get_prefix_stats (b.with.model, &after);
  g_assert_cmpuint (after.calls, ==, 2);
  g_assert_cmpuint (after.hits, ==, 1);
  g_assert_cmpuint (after.hops_skipped, ==, 20);
  g_assert_cmpuint (after.bytes, ==, 0);
}

/* ------------------------------------------------------------------ rows */

static void
test_rows (void)
{
  static const gint32 ids[][4] = { { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 9, 9, 9, 9 }, { 1, 2, 5, 6 }, { 1, 3, 0, 0 } };
  const EvoPrefixText texts[] = { { ids[0], 3 }, { ids[1], 4 }, { ids[2], 0 }, { ids[3], 4 }, { ids[4], 2 } };
  static const guint32 expected[] = { 0, 1, 2, 0, 1, 2, 3, 0, 1, 4, 5, 0, 6 };
  static const gsize first[] = { 0, 3, 7, 7, 11 }, own[] = { 0, 3, 0, 2, 1 };
  EvoPrefixRows r, other;

  evo_prefix_rows_init (&r, texts, 5);
  evo_prefix_rows_init (&other, texts, 4);
  g_assert_cmpuint (r.n, ==, 7);
  g_assert_cmpmem (r.rows, sizeof expected, expected, sizeof expected);
  for (guint i = 0; i < 5; i++)
    if (texts[i].n > 0) {
      g_assert_cmpuint (r.first[i], ==, first[i]);
      g_assert_cmpuint (r.own[i], ==, own[i]);
    }
  g_assert_true (memcmp (r.digest, other.digest, sizeof r.digest) != 0);
  evo_prefix_rows_clear (&r);
  evo_prefix_rows_clear (&other);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nn/prefix/same", test_same);
  g_test_add_func ("/nn/prefix/room", test_room);
  g_test_add_func ("/nn/prefix/other-texts", test_other_texts);
  g_test_add_func ("/nn/prefix/weights-change", test_weights_change);
  g_test_add_func ("/nn/prefix/off", test_off);
  g_test_add_func ("/nn/prefix/rows", test_rows);
  return g_test_run ();
}
