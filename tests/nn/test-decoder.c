/* SPDX-License-Identifier: Apache-2.0
 * test-decoder.c - the forward pass against logits and hidden states of the reference implementation, on every kernel table; its rows do not
 * depend on each other; rotary frequencies; memory.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/nn/ops/ops.h"
#include "core/nn/decoder/rope.h"
#include "core/nn/text-model/private.h"
#include "tests/nn/fixture.h"

static const char *const models[] = { "llama", "llama-b", "llama-tied", "mistral" };
static const char *const configs[] = { "config.json", "config.v5.json" };

/* Natural error of float32 on these models is 2e-5 (reference in f32 against f64); another order of additions may cost ten times that. */
static const float LOGITS_WITHIN = 3e-4f;

static void
check_close (const float *a, const float *b, gsize n, float within)
{
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (ABS (a[i] - b[i]), <=, within);
}

typedef struct { Fixture f; EvoJsonDoc *json; EvoStore *expected; } Golden;

static void
check_tensor (const Golden *g, const char *name, const float *x, gsize n)
{
  gsize n_expected;
  const float *expected = fixture_tensor (g->expected, name, &n_expected);

  g_assert_cmpuint (n, ==, n_expected);
  check_close (expected, x, n, LOGITS_WITHIN);
}

static void
golden_open (Golden *g, const char *model, const char *config, const EvoKernels *k, EvoPool *pool)
{
  g_autofree char *name = g_strdup_printf ("tests/data/llm/%s", model), *path = fixture_path (name);
  g_autofree char *json = g_build_filename (path, "expected.json", NULL), *tensors = g_build_filename (path, "expected.safetensors", NULL);
  g_autoptr (GError) error = NULL;

  fixture_open (&g->f, name, config, FALSE, k, pool);
  g->json = evo_json_parse_file (json, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error);
  g_assert_no_error (error);
  g->expected = evo_store_open (tensors, &error);
  g_assert_no_error (error);
}

static void
golden_clear (Golden *g)
{
  fixture_clear (&g->f);
  evo_json_free (g->json);
  evo_store_unref (g->expected);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Golden, golden_clear)

static GArray *
prompt (const Golden *g, guint i)
{
  return fixture_ids (evo_json_at (evo_json_member (evo_json_root (g->json), "prompts"), i));
}

static void
check_hidden (const Golden *g, const float *hidden, gsize n_ids)
{
  gsize one = n_ids * (gsize) g->f.spec.hidden;

  check_tensor (g, "hidden.0.embed", hidden, one);
  for (gint64 l = 0; l < g->f.spec.n_layers; l++) {
    g_autofree char *name = g_strdup_printf ("hidden.0.layer.%d", (int) l);

    check_tensor (g, name, hidden + (gsize) (l + 1) * one, one);
  }
}

static void
check_model (const char *model, const char *config, const EvoKernels *k, EvoPool *pool)
{
  g_auto (Golden) g = { { NULL } };

  golden_open (&g, model, config, k, pool);
  for (guint p = 0; p < 3; p++) {
    g_autoptr (GArray) ids = prompt (&g, p);
    g_autofree char *name = g_strdup_printf ("logits.%u", p);
    g_autofree float *logits = g_new (float, ids->len * (gsize) g.f.spec.vocab);
    g_autofree float *hidden = g_new (float, (gsize) (g.f.spec.n_layers + 1) * ids->len * (gsize) g.f.spec.hidden);
    g_autoptr (GError) error = NULL;

    evo_text_model_logits (g.f.model, (const gint32 *) ids->data, ids->len, logits, p == 0 ? hidden : NULL, &error);
    g_assert_no_error (error);
    check_tensor (&g, name, logits, ids->len * (gsize) g.f.spec.vocab);
    if (p == 0)
      check_hidden (&g, hidden, ids->len);
  }
}

static void
test_golden (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint m = 0; m < G_N_ELEMENTS (models); m++)
      for (guint c = 0; c < G_N_ELEMENTS (configs); c++)
        check_model (models[m], configs[c], k, pool);
}

/* The whole text at once, or its beginning and then token by token over the cache: the same bits. */
static void
test_step_by_step (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint m = 0; m < G_N_ELEMENTS (models); m++) {
      g_auto (Golden) g = { { NULL } };

      golden_open (&g, models[m], "config.json", k, pool);
      g_autoptr (GArray) ids = prompt (&g, 2);
      gsize vocab = (gsize) g.f.spec.vocab, n = ids->len;
      g_autofree float *whole = g_new (float, n * vocab);
      EvoLanePlan plan = { .n_requests = 1, .rows_each = 1, .positions = n };

      g_assert_true (evo_text_model_logits (g.f.model, (const gint32 *) ids->data, n, whole, NULL, NULL));
      EvoLane *lane = evo_text_model_take_lanes (g.f.model, &plan).lanes;
      for (gsize at = 0, rows; at < n; at += rows) {
        rows = at == 0 ? 7 : 1;
        evo_batch_empty (&lane->batch);
        for (gsize r = 0; r < rows; r++)
          evo_batch_add (&lane->batch, g_array_index (ids, gint32, at + r), 0, at + r, r + 1 == rows ? lane : NULL);
        evo_decoder_run (&g.f.model->decoder, &lane->pass, &lane->cache, &lane->batch);
        g_assert_cmpuint (lane->pass.n_out, ==, 1);
        EvoView v = evo_decoder_logits (&g.f.model->decoder, &lane->pass, 0, 1);
        g_assert_cmpmem (lane->queue->ops->map (lane->queue, v, 1), vocab * sizeof (float), whole + (at + rows - 1) * vocab, vocab * sizeof (float));
      }
    }
}

/* ------------------------------------------------------------------ weights */

/* Blocks of 64 rows packed one by one are the matrix packed at once: what ops/cpu-linear.c builds on. */
static void
test_pack_by_blocks (void)
{
  enum { ROWS = 192, MOST_COLS = 200 };
  static const gsize cols[] = { 1, 16, 31, 48, 64, 104, 200 };
  g_autofree float *w = g_new (float, ROWS * MOST_COLS);
  const EvoKernels *k;

  for (gsize i = 0; i < ROWS * MOST_COLS; i++)
    w[i] = (float) (((i * 2654435761u) >> 8 & 0xffff) / 65536.0 - 0.5);
  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (EvoWeightType type = EVO_WEIGHT_F32; type <= EVO_WEIGHT_F16; type++)
      for (guint c = 0; c < G_N_ELEMENTS (cols); c++) {
        gsize block = k->packed_bytes (type, EVO_BLOCK, cols[c]), all = k->packed_bytes (type, ROWS, cols[c]);
        gsize row = cols[c] * (type == EVO_WEIGHT_F32 ? 4 : 2);
        guint8 *whole = g_aligned_alloc0 (1, all, 64), *parts = g_aligned_alloc0 (1, all, 64);

        g_assert_cmpuint (all, ==, ROWS / EVO_BLOCK * block);
        g_assert_cmpuint (block % 64, ==, 0);
        k->pack (whole, w, type, ROWS, cols[c]);
        for (gsize b = 0; b < ROWS / EVO_BLOCK; b++)
          k->pack (parts + b * block, (const guint8 *) w + b * EVO_BLOCK * row, type, EVO_BLOCK, cols[c]);
        g_assert_cmpmem (whole, all, parts, all);
        g_aligned_free (whole);
        g_aligned_free (parts);
      }
}

static gboolean
set_q (EvoTextModel *m, const Fixture *f, EvoDtype dtype, gconstpointer bytes, GError **error)
{
  const EvoRole role = { .kind = EVO_ROLE_ATTENTION, .layer = 1, .slot = "q" };
  const gint64 dims[] = { f->spec.n_heads * f->spec.head_dim, f->spec.hidden };

  return evo_text_model_set_tensor (m, &role, "q", dtype, 2, dims, bytes, error);
}

/* One weight of another type than its neighbours, and back: stored wider, it is the same number. */
static void
test_mixed_types (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    g_auto (Golden) g = { { NULL } };

    golden_open (&g, "llama", "config.json", k, pool);
    g_autoptr (GArray) ids = prompt (&g, 1);
    gsize n = ids->len * (gsize) g.f.spec.vocab, n_q = (gsize) (g.f.spec.n_heads * g.f.spec.head_dim * g.f.spec.hidden);
    g_autofree float *narrow = g_new (float, n), *wide = g_new (float, n), *again = g_new (float, n), *q = g_new (float, n_q);
    g_autofree guint16 *bf16 = g_new (guint16, n_q);
    g_autofree double *f64 = g_new (double, n_q);

    for (gsize j = 0; j < n_q; j++)
      q[j] = (float) ((gint) (j * 37 % 101) - 50) / 64;
    evo_dtype_from_f32 (k, bf16, EVO_DTYPE_BF16, q, n_q);
    evo_dtype_to_f32 (k, q, EVO_DTYPE_BF16, bf16, n_q);
    for (gsize j = 0; j < n_q; j++)
      f64[j] = (double) q[j];
    g_assert_true (set_q (g.f.model, &g.f, EVO_DTYPE_BF16, bf16, NULL));
    g_assert_true (evo_text_model_logits (g.f.model, (const gint32 *) ids->data, ids->len, narrow, NULL, NULL));
    g_assert_true (set_q (g.f.model, &g.f, EVO_DTYPE_F64, f64, NULL));
    g_assert_true (evo_text_model_logits (g.f.model, (const gint32 *) ids->data, ids->len, wide, NULL, NULL));
    check_close (narrow, wide, n, LOGITS_WITHIN);
    fixture_fill (g.f.model, g.f.store, g.f.checkpoint);
    g_assert_true (evo_text_model_logits (g.f.model, (const gint32 *) ids->data, ids->len, again, NULL, NULL));
    check_tensor (&g, "logits.1", again, n);
  }
}

static void
test_set_tensor_errors (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Golden) g = { { NULL } };
  const gint64 dims[] = { 48, 48 };
  const float zeros[48 * 48] = { 0 };
  struct { EvoRole role; EvoDtype dtype; guint n_dims; const char *message; } bad[] = {
    { { .slot = "k", .layer = 0 }, EVO_DTYPE_F32, 2, "\"w\": config.json says it is [24, 48]; it has 2 dimension(s), [48, 48 …]" },
    { { .slot = "norm_1", .layer = 0 }, EVO_DTYPE_F32, 2, "\"w\": config.json says it has 48 elements; it has 2 dimension(s), the first is 48" },
    { { .slot = "q", .layer = 4 }, EVO_DTYPE_F32, 2, "\"w\": is of layer 4; config.json says there are 4 layers" },
    { { .slot = "q", .layer = -1 }, EVO_DTYPE_F32, 2, "\"w\": is of layer -1; config.json says there are 4 layers" },
    { { .slot = "q", .layer = 0 }, EVO_DTYPE_I32, 2, "\"w\": is I32; weights must be floating point" },
    { { .slot = "w1", .layer = 0 }, EVO_DTYPE_F32, 2, "\"w\": its card gives it the slot \"w1\", which a decoder does not have" },
    { { .slot = "o_bias", .layer = 0 }, EVO_DTYPE_F32, 1, "\"w\": config.json says that there are no such biases (attention_bias, mlp_bias)" },
  };

  golden_open (&g, "llama", "config.json", evo_kernels_get (), pool);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_false (evo_text_model_set_tensor (g.f.model, &bad[i].role, "w", bad[i].dtype, bad[i].n_dims, dims, zeros, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_assert_cmpstr (error->message, ==, bad[i].message);
  }
  EvoRole unused = { .slot = "" };
  g_assert_true (evo_text_model_set_tensor (g.f.model, &unused, "w", EVO_DTYPE_I64, 0, NULL, zeros, NULL));
}

static void
test_incomplete (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Golden) g = { { NULL } };
  g_autoptr (GError) error = NULL;
  float x;
  gint32 id = 0;

  golden_open (&g, "llama", "config.json", evo_kernels_get (), pool);
  g_assert_true (evo_text_model_is_complete (g.f.model, NULL));
  g_autoptr (EvoTextModel) m = evo_text_model_new (&g.f.spec, NULL, evo_kernels_get (), pool);
  g_assert_false (evo_text_model_is_complete (m, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING);
  g_assert_cmpstr (error->message, ==, "the model has no weight for \"embed\"");
  g_clear_error (&error);
  g_assert_false (evo_text_model_logits (m, &id, 1, &x, NULL, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING);
}

/* Biases: with W = 0 a layer adds what its biases make of nothing, computed here by hand. */
static void
test_biases (void)
{
  const EvoDecoderSpec spec = { .size = sizeof spec, .n_layers = 1, .hidden = 4, .intermediate = 6, .n_heads = 2, .n_kv_heads = 1, .head_dim = 2,
                                .vocab = 3, .max_positions = 8, .norm_eps = 1e-5, .rope_theta = 10000, .tied = TRUE, .attention_bias = TRUE,
                                .mlp_bias = TRUE, .bos = -1 };
  static const struct { const char *slot; gint64 rows, cols; float value; } weights[] = {
    { "q", 4, 4, 0 }, { "k", 2, 4, 0 }, { "v", 2, 4, 0 }, { "o", 4, 4, 0.5f }, { "gate", 6, 4, 0 }, { "up", 6, 4, 0 }, { "down", 4, 6, 0.25f },
    { "q_bias", 4, 0, 1 }, { "k_bias", 2, 0, 2 }, { "v_bias", 2, 0, 3 }, { "o_bias", 4, 0, 4 }, { "gate_bias", 6, 0, 1 },
    { "up_bias", 6, 0, 2 }, { "down_bias", 4, 0, 5 }, { "norm_1", 4, 0, 1 }, { "norm_2", 4, 0, 1 }, { "embed", 3, 4, 1 }, { "final_norm", 4, 0, 1 },
  };
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    g_autoptr (EvoTextModel) m = evo_text_model_new (&spec, NULL, k, pool);
    const gint32 ids[] = { 0, 1 };
    float logits[2 * 3], hidden[2 * 2 * 4], mlp;

    for (guint j = 0; j < G_N_ELEMENTS (weights); j++) {
      EvoRole role = { .layer = j < 16 ? 0 : -1 };
      gint64 dims[] = { weights[j].rows, weights[j].cols };
      float x[24];

      for (guint e = 0; e < 24; e++)
        x[e] = weights[j].value;
      g_strlcpy (role.slot, weights[j].slot, sizeof role.slot);
      g_assert_true (evo_text_model_set_tensor (m, &role, weights[j].slot, EVO_DTYPE_F32, dims[1] > 0 ? 2 : 1, dims, x, NULL));
    }
    g_assert_true (evo_text_model_logits (m, ids, 2, logits, hidden, NULL));
    /* attention of equal values v = 3 is 3; o: 4 x 0.5 x 3 + 4 = 10; mlp: silu (1) x 2, down: 6 x 0.25 x that + 5 */
    mlp = (float) (6 * 0.25 * 2 / (1 + exp (-1.0)) + 5);
    for (guint e = 0; e < 8; e++) {
      g_assert_cmpfloat (hidden[e], ==, 1);
      g_assert_cmpfloat (ABS (hidden[8 + e] - (1 + 10 + mlp)), <=, 1e-5f); /* a few ulp of 18 */
    }
  }
}

/* ------------------------------------------------------------------ rotary positions */

static void
check_frequencies (const EvoDecoderSpec *s, const double *expected, double factor)
{
  double f[8];

  g_assert_cmpfloat_with_epsilon (evo_rope_frequencies (s, f), factor, 1e-6);
  for (gint64 i = 0; i < s->head_dim / 2; i++)
    g_assert_cmpfloat_with_epsilon (f[i] / expected[i], 1, 1e-6); /* the expected values are printed with 7 digits or more */
}

/* Values worked out from the formulas of the papers, separately (awk), for theta 10000, head_dim 16, original length 64, factor 4. */
static void
test_rope (void)
{
  EvoDecoderSpec s = { .head_dim = 16, .rope_theta = 10000, .max_positions = 256, .rope_factor = 4, .rope_original = 64, .rope_low_freq = 1,
                       .rope_high_freq = 4, .rope_beta_fast = 32, .rope_beta_slow = 1, .rope_truncate = TRUE };
  static const double plain[] = { 1, 0.31622776601683794, 0.1, 0.031622776601683791, 0.01, 0.0031622776601683794, 0.001, 0.00031622776601683794 };
  double scaled[8];

  check_frequencies (&s, plain, 1);
  s.rope_scaling = EVO_ROPE_LINEAR;
  for (guint i = 0; i < 8; i++)
    scaled[i] = plain[i] / 4;
  check_frequencies (&s, scaled, 1);
  s.rope_scaling = EVO_ROPE_LLAMA3;
  for (guint i = 0; i < 8; i++) {
    double turns = 64 * plain[i] / (2 * G_PI), smooth = (turns - 1) / 3;

    scaled[i] = turns > 4 ? plain[i] : turns < 1 ? plain[i] / 4 : (1 - smooth) * plain[i] / 4 + smooth * plain[i];
  }
  check_frequencies (&s, scaled, 1);
  s.rope_scaling = EVO_ROPE_YARN;
  /* correction dimensions: 16 ln (64 / (32 2 pi)) / (2 ln 10000) = -0.995 -> 0; 16 ln (64 / 2 pi) / (2 ln 10000) = 2.016 -> 3: ramp 0, 1/3, 2/3, 1 */
  for (guint i = 0; i < 8; i++) {
    double ramp = MIN (i / 3.0, 1);

    scaled[i] = plain[i] * (1 - ramp) + plain[i] / 4 * ramp;
  }
  check_frequencies (&s, scaled, 0.1 * 1.3862943611198906 + 1);
  s.rope_mscale = 0.707;
  s.rope_mscale_all_dim = 1;
  check_frequencies (&s, scaled, (0.0707 * 1.3862943611198906 + 1) / (0.1 * 1.3862943611198906 + 1));
  s.rope_attention_factor = 1.25;
  check_frequencies (&s, scaled, 1.25);
  s.rope_truncate = FALSE;
  for (guint i = 0; i < 8; i++) {
    double high = 16 * log (64 / (2 * G_PI)) / (2 * log (10000)), ramp = MIN (i / high, 1);

    scaled[i] = plain[i] * (1 - ramp) + plain[i] / 4 * ramp;
  }
  check_frequencies (&s, scaled, 1.25);
}

/* ------------------------------------------------------------------ memory */

static guint64
lane_bytes (const EvoLane *lane)
{
  return lane->queue == NULL ? 0 : lane->queue->ops->bytes (lane->queue);
}

/* Many texts at once and one alone: both kinds of lanes have their memory then. */
static void
check_estimate (const char *directory, EvoDtype dtype, gsize n, const EvoKernels *k, EvoPool *pool)
{
  g_auto (Fixture) f = { NULL };
  g_autofree gint32 *ids = g_new0 (gint32, n);
  EvoScoring scoring[200];
  guint64 bytes = 0;

  fixture_open (&f, directory, "config.json", FALSE, k, pool);
  for (guint i = 0; i < 200; i++)
    scoring[i] = (EvoScoring){ ids, n, 1 + i % 30, 0, FALSE };
  g_assert_true (evo_text_model_score (f.model, scoring, 200, 0, NULL));
  g_assert_true (evo_text_model_score (f.model, scoring, 1, 0, NULL));
  for (guint i = 0; i < evo_pool_get_n_threads (pool); i++)
    bytes += lane_bytes (&f.model->lanes[i]);
  bytes += lane_bytes (&f.model->wide) + f.model->queue->ops->bytes (f.model->queue);
  g_assert_cmpuint (bytes, >, evo_store_get_bytes (f.store));
  g_assert_cmpuint (bytes, <=, evo_text_model_estimate_bytes (&f.spec, dtype, 0));
}

static void
test_estimate (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (g_get_num_processors ());
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    check_estimate ("tests/data/llm/llama", EVO_DTYPE_F32, 40, k, pool);
    check_estimate ("tests/data/llm/mistral", EVO_DTYPE_F32, 255, k, pool);
    if (i > 0) /* too slow with the first table, which has the same sizes */
      check_estimate ("models/tiny/mini-base", EVO_DTYPE_BF16, 40, k, pool);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nn/decoder/golden", test_golden);
  g_test_add_func ("/nn/decoder/step-by-step", test_step_by_step);
  g_test_add_func ("/nn/decoder/pack-by-blocks", test_pack_by_blocks);
  g_test_add_func ("/nn/decoder/mixed-types", test_mixed_types);
  g_test_add_func ("/nn/decoder/set-tensor-errors", test_set_tensor_errors);
  g_test_add_func ("/nn/decoder/incomplete", test_incomplete);
  g_test_add_func ("/nn/decoder/biases", test_biases);
  g_test_add_func ("/nn/decoder/rope", test_rope);
  g_test_add_func ("/nn/decoder/estimate", test_estimate);
  return g_test_run ();
}
