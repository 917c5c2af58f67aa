/* SPDX-License-Identifier: Apache-2.0
 * test-path.c - layer paths: against values of the reference implementation and a loop written out here; against plain models, bit for bit;
 * set again and again; bad ones.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/nn/decoder/rope.h"
#include "core/nn/text-model/private.h"
#include "tests/nn/fixture.h"

/* Natural error of float32 on these paths is up to 3.9e-5 (reference in f32 against f64); another order of additions may cost ten times that. */
static const float WITHIN = 3.9e-4f;

/* llama behind it llama-b: layers 0-3 and 4-7; the rest is llama's. */
typedef struct { Fixture a, b; EvoTextModel *model; } Pair;

static void
pair_open (Pair *p, const EvoKernels *k, EvoPool *pool)
{
  fixture_open (&p->a, "tests/data/llm/llama", "config.json", FALSE, k, pool);
  fixture_open (&p->b, "tests/data/llm/llama-b", "config.json", FALSE, k, pool);
  p->model = evo_text_model_new_for_path (&p->a.spec, 8, NULL, k, pool);
  fixture_fill (p->model, p->a.store, p->a.checkpoint);
  g_assert_false (evo_text_model_is_complete (p->model, NULL));
  fixture_add_layers (p->model, &p->b, 4);
  g_assert_true (evo_text_model_is_complete (p->model, NULL));
}

static void
pair_clear (Pair *p)
{
  fixture_clear (&p->a);
  fixture_clear (&p->b);
  g_clear_pointer (&p->model, evo_text_model_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Pair, pair_clear)

static void
set_path (EvoTextModel *m, const EvoHop *hops, gsize n, EvoScaling scaling)
{
  g_autoptr (GError) error = NULL;

  evo_text_model_set_path (m, hops, n, scaling, &error);
  g_assert_no_error (error);
  g_assert_cmpint (evo_text_model_get_spec (m)->n_layers, ==, n);
}

/* hidden: NULL, or the states after each hop are wanted (owned). */
static float *
get_logits (EvoTextModel *m, const gint32 *ids, gsize n, float **hidden)
{
  const EvoDecoderSpec *s = evo_text_model_get_spec (m);
  float *logits = g_new (float, n * (gsize) s->vocab);
  g_autoptr (GError) error = NULL;

  if (hidden != NULL)
    *hidden = g_new (float, (gsize) (s->n_layers + 1) * n * (gsize) s->hidden);
  evo_text_model_logits (m, ids, n, logits, hidden == NULL ? NULL : *hidden, &error);
  g_assert_no_error (error);
  return logits;
}

static const gint32 *
some_ids (void)
{
  static gint32 ids[40];

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    ids[i] = (gint32) (i * 53 % 271);
  return ids;
}

/* ------------------------------------------------------------------ the reference's values */

typedef struct { EvoJsonDoc *doc; const EvoJson *prompts; EvoStore *expected; } Golden;

static void
golden_open (Golden *g)
{
  g_autofree char *json = fixture_path ("tests/data/llm/layer-path/paths.json");
  g_autofree char *tensors = fixture_path ("tests/data/llm/layer-path/expected.safetensors");
  g_autoptr (GError) error = NULL;

  g->doc = evo_json_parse_file (json, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error);
  g_assert_no_error (error);
  g->prompts = evo_json_member (evo_json_root (g->doc), "prompts");
  g->expected = evo_store_open (tensors, &error);
  g_assert_no_error (error);
}

static void
golden_clear (Golden *g)
{
  evo_json_free (g->doc);
  evo_store_unref (g->expected);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Golden, golden_clear)

static void
check_tensor (const Golden *g, const char *name, const float *x, gsize n)
{
  gsize n_expected;
  const float *expected = fixture_tensor (g->expected, name, &n_expected);

  g_assert_cmpuint (n, ==, n_expected);
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (ABS (x[i] - expected[i]), <=, WITHIN);
}

static void
check_greedy (EvoTextModel *m, const Golden *g, const EvoJson *cases)
{
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;

  o.max_tokens = 12;
  o.ignore_eos = TRUE;
  for (guint i = 0; i < evo_json_size (cases); i++) {
    const EvoJson *c = evo_json_at (cases, i);
    g_autoptr (GArray) ids = fixture_ids (evo_json_at (g->prompts, (guint) evo_json_get_number (c, "prompt", 0)));
    g_autoptr (GArray) expected = fixture_ids (evo_json_member (c, "tokens"));
    EvoGeneration r = { .ids = (const gint32 *) ids->data, .n_ids = ids->len };
    g_autoptr (GError) error = NULL;

    evo_text_model_generate (m, &r, 1, &o, 0, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (r.out->data, r.out->len * sizeof (gint32), expected->data, expected->len * sizeof (gint32));
    evo_generation_clear (&r);
  }
}

/* PATH.SEMANTICS of the golden values */
static void
check_values (EvoTextModel *m, const Golden *g, const char *name, gsize n_hops)
{
  const EvoDecoderSpec *s = evo_text_model_get_spec (m);

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GArray) ids = fixture_ids (evo_json_at (g->prompts, i));
    g_autofree float *hidden = NULL, *logits = get_logits (m, (const gint32 *) ids->data, ids->len, &hidden);
    g_autofree char *key = g_strdup_printf ("%s.logits.%u", name, i);
    gsize one = ids->len * (gsize) s->hidden;

    check_tensor (g, key, logits, ids->len * (gsize) s->vocab);
    for (gsize hop = 0; i == 0 && hop < n_hops; hop++) {
      g_autofree char *state = g_strdup_printf ("%s.hop.%d", name, (int) hop);

      check_tensor (g, state, hidden + (hop + 1) * one, one);
    }
  }
}

static void
check_path (EvoTextModel *m, const Golden *g, const EvoJson *path)
{
  static const struct { const char *name; EvoScaling scaling; } semantics[] = { { "stream", EVO_SCALING_STREAM }, { "branch", EVO_SCALING_BRANCH } };
  const EvoJson *layers = evo_json_member (path, "path"), *scales = evo_json_member (path, "scales");
  gsize n = evo_json_size (layers);
  EvoHop hops[8];

  for (guint i = 0; i < n; i++) {
    const EvoJson *hop = evo_json_at (layers, i);
    gboolean of_b = g_str_equal (evo_json_string (evo_json_at (hop, 0)), "B");

    hops[i] = (EvoHop){ (guint32) evo_json_number (evo_json_at (hop, 1)) + (of_b ? 4 : 0), evo_json_number (evo_json_at (scales, i)) };
  }
  for (guint i = 0; i < G_N_ELEMENTS (semantics); i++) {
    g_autofree char *name = g_strdup_printf ("%s.%s", evo_json_get_string (path, "name"), semantics[i].name);

    set_path (m, hops, n, semantics[i].scaling);
    check_values (m, g, name, n);
    check_greedy (m, g, evo_json_member (evo_json_member (evo_json_member (path, "semantics"), semantics[i].name), "greedy"));
  }
}

static void
test_golden (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Golden) g = { NULL };
  const EvoKernels *k;

  golden_open (&g);
  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    const EvoJson *paths = evo_json_member (evo_json_root (g.doc), "paths");
    g_auto (Pair) p = { { NULL } };

    pair_open (&p, k, pool);
    g_assert_cmpuint (evo_json_size (paths), ==, 2);
    for (guint j = 0; j < evo_json_size (paths); j++)
      check_path (p.model, &g, evo_json_at (paths, j));
  }
}

/* ------------------------------------------------------------------ last-branch, written out */

/* The released runtime holds the sum of all branches apart from the branch made last, and a hop's scale meets the latter only. In double. */
enum { HIDDEN = 48, HEADS = 4, KEY_HEADS = 2, HEAD = 12, INNER = 104, VOCAB = 288, IDS = 9 };
typedef struct { double residual[IDS][HIDDEN], branch[IDS][HIDDEN], normed[IDS][HIDDEN]; } Stream;

static const float *
weight (const Fixture *f, const char *format, guint layer)
{
  g_autofree char *name = strstr (format, "%u") == NULL ? g_strdup (format) : NULL;
  gsize n;

  if (name == NULL) {
    const char *at = strstr (format, "%u");

    name = g_strdup_printf ("%.*s%u%s", (int) (at - format), format, layer, at + 2);
  }
  return fixture_tensor (f->store, name, &n);
}

static void
multiply (double *y, const float *w, const double *x, gsize rows, gsize cols)
{
  for (gsize i = 0; i < rows; i++) {
    y[i] = 0;
    for (gsize j = 0; j < cols; j++)
      y[i] += (double) w[i * cols + j] * x[j];
  }
}

/* residual += branch, normed = norm (residual) */
static void
add_and_norm (Stream *s, const float *w)
{
  for (guint t = 0; t < IDS; t++) {
    double ss = 0;

    for (guint i = 0; i < HIDDEN; i++) {
      s->residual[t][i] += s->branch[t][i];
      ss += s->residual[t][i] * s->residual[t][i];
    }
    for (guint i = 0; i < HIDDEN; i++)
      s->normed[t][i] = s->residual[t][i] / sqrt (ss / HIDDEN + 1e-5) * (double) w[i];
  }
}

static void
turn (double *x, guint n_heads, guint position)
{
  for (guint h = 0; h < n_heads; h++)
    for (guint i = 0; i < HEAD / 2; i++) {
      double angle = position * pow (10000, -2.0 * i / HEAD), *a = &x[h * HEAD + i], *b = a + HEAD / 2, old = *a;

      *a = old * cos (angle) - *b * sin (angle);
      *b = *b * cos (angle) + old * sin (angle);
    }
}

static void
attend_one (double *y, const double *q, double keys[][KEY_HEADS * HEAD], double values[][KEY_HEADS * HEAD], guint t)
{
  for (guint h = 0; h < HEADS; h++) {
    guint group = h / (HEADS / KEY_HEADS) * HEAD;
    double p[IDS], sum = 0;

    for (guint u = 0; u <= t; u++) {
      double dot = 0;

      for (guint i = 0; i < HEAD; i++)
        dot += q[h * HEAD + i] * keys[u][group + i];
      sum += p[u] = exp (dot / sqrt (HEAD));
    }
    for (guint i = 0; i < HEAD; i++) {
      y[h * HEAD + i] = 0;
      for (guint u = 0; u <= t; u++)
        y[h * HEAD + i] += p[u] / sum * values[u][group + i];
    }
  }
}

static void
attention (Stream *s, const Fixture *f, guint layer)
{
  double keys[IDS][KEY_HEADS * HEAD], values[IDS][KEY_HEADS * HEAD];

  for (guint t = 0; t < IDS; t++) {
    double q[HEADS * HEAD], y[HEADS * HEAD];

    multiply (q, weight (f, "model.layers.%u.self_attn.q_proj.weight", layer), s->normed[t], HEADS * HEAD, HIDDEN);
    multiply (keys[t], weight (f, "model.layers.%u.self_attn.k_proj.weight", layer), s->normed[t], KEY_HEADS * HEAD, HIDDEN);
    multiply (values[t], weight (f, "model.layers.%u.self_attn.v_proj.weight", layer), s->normed[t], KEY_HEADS * HEAD, HIDDEN);
    turn (q, HEADS, t);
    turn (keys[t], KEY_HEADS, t);
    attend_one (y, q, keys, values, t);
    multiply (s->branch[t], weight (f, "model.layers.%u.self_attn.o_proj.weight", layer), y, HIDDEN, HEADS * HEAD);
  }
}

static void
mlp (Stream *s, const Fixture *f, guint layer)
{
  for (guint t = 0; t < IDS; t++) {
    double gate[INNER], up[INNER];

    multiply (gate, weight (f, "model.layers.%u.mlp.gate_proj.weight", layer), s->normed[t], INNER, HIDDEN);
    multiply (up, weight (f, "model.layers.%u.mlp.up_proj.weight", layer), s->normed[t], INNER, HIDDEN);
    for (guint i = 0; i < INNER; i++)
      up[i] *= gate[i] / (1 + exp (-gate[i]));
    multiply (s->branch[t], weight (f, "model.layers.%u.mlp.down_proj.weight", layer), up, HIDDEN, INNER);
  }
}

static void
run_last_branch (const Pair *p, const EvoHop *hops, gsize n, const gint32 *ids, double logits[IDS][VOCAB])
{
  Stream s = { 0 };

  for (guint t = 0; t < IDS; t++)
    for (guint i = 0; i < HIDDEN; i++)
      s.branch[t][i] = (double) weight (&p->a, "model.embed_tokens.weight", 0)[ids[t] * HIDDEN + (gint32) i];
  for (gsize h = 0; h < n; h++) {
    const Fixture *f = hops[h].layer < 4 ? &p->a : &p->b;
    guint layer = hops[h].layer % 4;

    for (guint t = 0; t < IDS; t++)
      for (guint i = 0; i < HIDDEN; i++)
        s.branch[t][i] *= hops[h].scale;
    add_and_norm (&s, weight (f, "model.layers.%u.input_layernorm.weight", layer));
    attention (&s, f, layer);
    add_and_norm (&s, weight (f, "model.layers.%u.post_attention_layernorm.weight", layer));
    mlp (&s, f, layer);
  }
  add_and_norm (&s, weight (&p->a, "model.norm.weight", 0));
  for (guint t = 0; t < IDS; t++)
    multiply (logits[t], weight (&p->a, "lm_head.weight", 0), s.normed[t], VOCAB, HIDDEN);
}

static void
test_last_branch (void)
{
  static const EvoHop paths[][6] = { { { 0, 1 }, { 1, 0.85 }, { 5, 1.2 }, { 2, 0.9 }, { 7, 1.1 }, { 3, 0.95 } },
                                     { { 4, 0.7 }, { 1, 0.6 }, { 1, -1.3 }, { 6, 0.8 }, { 3, 0.75 }, { 3, 1 } } };
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    g_auto (Pair) p = { { NULL } };

    pair_open (&p, k, pool);
    for (guint j = 0; j < 2; j++) {
      static double expected[IDS][VOCAB];
      g_autofree float *logits = NULL;

      run_last_branch (&p, paths[j], 6, some_ids (), expected);
      set_path (p.model, paths[j], 6, EVO_SCALING_LAST_BRANCH);
      logits = get_logits (p.model, some_ids (), IDS, NULL);
      for (guint t = 0; t < IDS * VOCAB; t++)
        g_assert_cmpfloat (ABS ((double) logits[t] - expected[t / VOCAB][t % VOCAB]), <=, (double) WITHIN);
    }
  }
}

/* ------------------------------------------------------------------ a plain model is a path */

static void
check_same_logits (EvoTextModel *a, EvoTextModel *b)
{
  gsize hidden = (gsize) evo_text_model_get_spec (a)->hidden, vocab = (gsize) evo_text_model_get_spec (a)->vocab;
  gsize n = (gsize) evo_text_model_get_spec (a)->n_layers + 1;
  g_autofree float *ha = NULL, *hb = NULL, *la = get_logits (a, some_ids (), 40, &ha), *lb = get_logits (b, some_ids (), 40, &hb);

  g_assert_cmpmem (la, 40 * vocab * sizeof *la, lb, 40 * vocab * sizeof *lb);
  g_assert_cmpmem (ha, n * 40 * hidden * sizeof *ha, hb, n * 40 * hidden * sizeof *hb);
}

enum { TEXTS = 17 };

static void
check_same_generations (EvoTextModel *a, EvoTextModel *b, guint batch_a, guint batch_b)
{
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  EvoGeneration r[2][TEXTS];

  o.max_tokens = 9;
  for (guint i = 0; i < TEXTS; i++)
    r[0][i] = r[1][i] = (EvoGeneration){ .ids = some_ids () + i % 3, .n_ids = 1 + i * 5 % 30 };
  g_assert_true (evo_text_model_generate (a, r[0], TEXTS, &o, batch_a, NULL));
  g_assert_true (evo_text_model_generate (b, r[1], TEXTS, &o, batch_b, NULL));
  for (guint i = 0; i < TEXTS; i++) {
    g_assert_cmpmem (r[0][i].out->data, r[0][i].out->len * sizeof (gint32), r[1][i].out->data, r[1][i].out->len * sizeof (gint32));
    g_assert_cmpmem (r[0][i].logprobs->data, r[0][i].logprobs->len * sizeof (float), r[1][i].logprobs->data, r[1][i].logprobs->len * sizeof (float));
    evo_generation_clear (&r[0][i]);
    evo_generation_clear (&r[1][i]);
  }
}

static void
check_same_scores (EvoTextModel *a, EvoTextModel *b, guint batch_a, guint batch_b)
{
  EvoScoring s[2][TEXTS];

  for (guint i = 0; i < TEXTS; i++)
    s[0][i] = s[1][i] = (EvoScoring){ some_ids () + i % 3, 3 + i * 5 % 30, 1 + i % 2, 0, FALSE };
  g_assert_true (evo_text_model_score (a, s[0], TEXTS, batch_a, NULL));
  g_assert_true (evo_text_model_score (b, s[1], TEXTS, batch_b, NULL));
  for (guint i = 0; i < TEXTS; i++) {
    g_assert_cmpfloat (s[0][i].log_likelihood, <, 0);
    g_assert_cmpmem (&s[0][i].log_likelihood, sizeof (double), &s[1][i].log_likelihood, sizeof (double));
    g_assert_cmpint (s[0][i].is_greedy, ==, s[1][i].is_greedy);
  }
}

static void
test_plain (void)
{
  static const char *const models[] = { "llama", "llama-tied", "mistral" };
  static const EvoHop hops[] = { { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 }, { 4, 1 }, { 5, 1 } };
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint j = 0; j < G_N_ELEMENTS (models); j++) {
      g_autofree char *name = g_strdup_printf ("tests/data/llm/%s", models[j]);
      g_auto (Fixture) plain = { NULL }, path = { NULL };

      fixture_open (&plain, name, "config.json", FALSE, k, pool);
      fixture_open (&path, name, "config.json", FALSE, k, pool);
      for (EvoScaling scaling = EVO_SCALING_STREAM; scaling <= EVO_SCALING_LAST_BRANCH; scaling++) {
        set_path (path.model, hops, (gsize) plain.spec.n_layers, scaling);
        check_same_logits (plain.model, path.model);
        check_same_generations (plain.model, path.model, 0, 0);
        check_same_scores (plain.model, path.model, 0, 0);
      }
    }
}

/* ------------------------------------------------------------------ again and again */

static gsize
make_path (EvoHop *hops, guint seed)
{
  gsize n = 1 + seed * 7 % 23;

  for (guint i = 0; i < n; i++)
    hops[i] = (EvoHop){ (seed * 5 + i * 3 + i * i) % 8, 0.8 + 0.05 * ((seed + i * 3) % 9) };
  return n;
}

static guint64
cache_bytes (EvoTextModel *m)
{
  return m->wide.queue->ops->bytes (m->wide.queue);
}

/* Longer and shorter paths one after the other compute what a model that knows of no other path does; weights stay as they are. */
static void
test_again (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Pair) used = { { NULL } };
  guint64 weights, most = 0;

  pair_open (&used, evo_kernels_get (), pool);
  weights = used.model->queue->ops->bytes (used.model->queue);
  for (guint i = 0; i < 12; i++) {
    EvoScaling scaling = (EvoScaling) (i % 3);
    g_auto (Pair) fresh = { { NULL } };
    EvoHop hops[32];
    gsize n = make_path (hops, i);

    pair_open (&fresh, evo_kernels_get (), pool);
    set_path (fresh.model, hops, n, scaling);
    set_path (used.model, hops, n, scaling);
    check_same_logits (fresh.model, used.model);
    check_same_generations (fresh.model, used.model, 0, 0);
    check_same_scores (fresh.model, used.model, 0, 0);
    g_assert_cmpuint (cache_bytes (used.model), >=, most);
    most = cache_bytes (used.model);
  }
  /* what was a plain stack is one again */
  set_path (used.model, (const EvoHop[]){ { 0, 1 }, { 1, 1 }, { 2, 1 }, { 3, 1 } }, 4, EVO_SCALING_STREAM);
  check_same_logits (used.a.model, used.model);
  g_assert_cmpuint (used.model->queue->ops->bytes (used.model->queue), <=, weights + 4096); /* rotary tables came */
  g_assert_cmpuint (cache_bytes (used.model), ==, most);
}

/* Memory of a cache is kept while it suffices, whatever it is cut into. */
static void
test_cache_shapes (void)
{
  EvoQueue *q = evo_cpu_queue_new (evo_kernels_get (), NULL);
  EvoCache c = { .n_heads = 2, .head_dim = 4 };
  static const struct { gsize n_layers, n_slots, capacity; gboolean grows; } shapes[] = {
    { 6, 4, 32, TRUE }, { 3, 8, 32, FALSE }, { 6, 4, 32, FALSE }, { 12, 1, 64, FALSE }, { 2, 2, 16, FALSE }, { 6, 4, 48, TRUE }, { 9, 4, 32, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    const EvoBuffer *before = c.k;
    gsize floats = c.n_floats;

    evo_cache_reserve (&c, q, shapes[i].n_layers, shapes[i].n_slots, shapes[i].capacity);
    g_assert_cmpint (c.n_floats > floats, ==, shapes[i].grows);
    g_assert_true (shapes[i].grows || c.k == before);
    g_assert_cmpuint (c.n_spare, ==, shapes[i].n_slots);
    g_assert_cmpuint (c.n_layers, ==, shapes[i].n_layers);
    /* the last row of the last slot is inside */
    g_assert_cmpuint ((evo_cache_row (&c, c.n_layers - 1, shapes[i].n_slots - 1, 1, shapes[i].capacity - 1) + 1) * 4, <=, c.n_floats);
  }
  evo_cache_clear (&c, q);
  evo_queue_free (q);
}

/* The quickest of ten rounds: others may be using the machine. */
static void
test_set_up_time (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Pair) p = { { NULL } };
  EvoHop hops[200];
  gint64 best = G_MAXINT64;

  pair_open (&p, evo_kernels_get (), pool);
  for (guint i = 0; i < 200; i++)
    hops[i] = (EvoHop){ i % 8, i % 2 == 0 ? 1.25 : 0.8 };
  for (guint round = 0; round < 10; round++) {
    gint64 start = g_get_monotonic_time ();

    for (guint i = 0; i < 100; i++)
      set_path (p.model, hops, 200 - i % 7, (EvoScaling) (i % 3));
    best = MIN (best, g_get_monotonic_time () - start);
  }
  g_test_message ("%.2f us for about 200 hops", (double) best / 100);
  g_assert_cmpint (best / 100, <, 1000);
}

/* ------------------------------------------------------------------ however it is batched */

static void
test_batches (void)
{
  static const guint batches[] = { 1, 2, 5, 17, 0 };
  g_autoptr (EvoPool) one = evo_pool_new (1), two = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    g_auto (Pair) a = { { NULL } }, b = { { NULL } };
    EvoHop hops[32];
    gsize n = make_path (hops, 2);

    pair_open (&a, k, one);
    pair_open (&b, k, two);
    for (guint j = 0; j < G_N_ELEMENTS (batches); j++) {
      set_path (a.model, hops, n, (EvoScaling) (j % 3));
      set_path (b.model, hops, n, (EvoScaling) (j % 3));
      check_same_generations (a.model, b.model, 1, batches[j]);
      check_same_scores (a.model, b.model, 1, batches[j]);
    }
  }
}

/* ------------------------------------------------------------------ bad paths, memory */

static void
test_bad (void)
{
  static const struct { EvoHop hops[3]; gsize n; const char *message; } bad[] = {
    { { { 0, 1 } }, 0, "the path is empty; it must have a hop at least" },
    { { { 0, 1 }, { 8, 1 } }, 2, "hop 1: there is no layer 8; layers are 0 ... 7" },
    { { { 0, 1 }, { 1, 0 } }, 2, "hop 1: its scale is 0; it must be a finite number other than 0" },
    { { { 0, NAN } }, 1, "hop 0: its scale is nan; it must be a finite number other than 0" },
    { { { 0, INFINITY } }, 1, "hop 0: its scale is inf; it must be a finite number other than 0" },
    { { { 0, 1024 }, { 1, 1024 }, { 2, -2 } }, 3,
      "hop 2: the scales up to here have the product -2.09715e+06; it must be within 2^-20 ... 2^20" },
    { { { 0, 1e-7 } }, 1, "hop 0: the scales up to here have the product 1e-07; it must be within 2^-20 ... 2^20" },
  };
  static const EvoHop good[] = { { 0, 1024 }, { 7, 1024 }, { 3, -1 }, { 2, 1 / 1024.0 } };
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Pair) p = { { NULL } };
  g_autofree float *before = NULL, *after = NULL;

  pair_open (&p, evo_kernels_get (), pool);
  set_path (p.model, good, 4, EVO_SCALING_STREAM);
  before = get_logits (p.model, some_ids (), 5, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (evo_text_model_set_path (p.model, bad[i].hops, bad[i].n, EVO_SCALING_BRANCH, &error));
    g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
    g_assert_cmpstr (error->message, ==, bad[i].message);
  }
  after = get_logits (p.model, some_ids (), 5, NULL);
  g_assert_cmpmem (before, 5 * VOCAB * sizeof *before, after, 5 * VOCAB * sizeof *after);
}

static void
test_bad_layer (void)
{
  static const gint64 dims[] = { HIDDEN };
  static const float ones[HIDDEN];
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Pair) p = { { NULL } };
  g_autoptr (GError) error = NULL;
  EvoRole role = { .slot = "norm_1", .layer = 8 };

  pair_open (&p, evo_kernels_get (), pool);
  g_assert_false (evo_text_model_set_tensor (p.model, &role, "w", EVO_DTYPE_F32, 1, dims, ones, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
  g_assert_cmpstr (error->message, ==, "\"w\": is of layer 8; the models together have 8 layers");
}

static void
test_estimate (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (g_get_num_processors ());
  g_auto (Pair) p = { { NULL } };
  g_autofree EvoScoring *s = g_new (EvoScoring, 200);
  EvoHop hops[32];
  gsize n = make_path (hops, 19);
  EvoDecoderSpec spec;
  guint64 bytes = 0;

  pair_open (&p, evo_kernels_get (), pool);
  set_path (p.model, hops, n, EVO_SCALING_STREAM);
  for (guint i = 0; i < 200; i++)
    s[i] = (EvoScoring){ some_ids (), 40, 1 + i % 30, 0, FALSE };
  g_assert_true (evo_text_model_score (p.model, s, 200, 0, NULL));
  g_assert_true (evo_text_model_score (p.model, s, 1, 0, NULL));
  for (guint i = 0; i < evo_pool_get_n_threads (pool); i++)
    bytes += p.model->lanes[i].queue == NULL ? 0 : p.model->lanes[i].queue->ops->bytes (p.model->lanes[i].queue);
  bytes += cache_bytes (p.model) + p.model->queue->ops->bytes (p.model->queue);
  spec = *evo_text_model_get_spec (p.model);
  g_assert_cmpuint (bytes, <=, evo_text_model_estimate_path_bytes (&spec, 8, EVO_DTYPE_F32, 0));
  /* hops take no weights: 10 more are 10 more caches, and nothing else */
  guint64 some = evo_text_model_estimate_path_bytes (&spec, 8, EVO_DTYPE_F32, 300);
  spec.n_layers += 10;
  g_assert_cmpuint (evo_text_model_estimate_path_bytes (&spec, 8, EVO_DTYPE_F32, 300) - some, ==, 300 * 10 * 2 * KEY_HEADS * HEAD * 256 * 4);
  g_assert_cmpuint (evo_text_model_estimate_bytes (&p.a.spec, EVO_DTYPE_F32, 300), ==,
                    evo_text_model_estimate_path_bytes (&p.a.spec, 4, EVO_DTYPE_F32, 300));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nn/path/golden", test_golden);
  g_test_add_func ("/nn/path/last-branch", test_last_branch);
  g_test_add_func ("/nn/path/plain", test_plain);
  g_test_add_func ("/nn/path/again", test_again);
  g_test_add_func ("/nn/path/cache-shapes", test_cache_shapes);
  g_test_add_func ("/nn/path/set-up-time", test_set_up_time);
  g_test_add_func ("/nn/path/batches", test_batches);
  g_test_add_func ("/nn/path/bad", test_bad);
  g_test_add_func ("/nn/path/bad-layer", test_bad_layer);
  g_test_add_func ("/nn/path/estimate", test_estimate);
  return g_test_run ();
}
