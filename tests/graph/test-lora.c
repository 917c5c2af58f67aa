/* SPDX-License-Identifier: Apache-2.0
 * test-lora.c - adapters against their definition in double; what their names, configurations and shapes may be; and adapters made of two models.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/graph/lora/adapter.h"
#include "core/graph/lora/extract.h"
#include "core/kernels/kernels.h"
#include "tests/graph/made.h"

#define BASE "'b': {'use': 'model.llm', 'path': 'base'}, "
#define LORA "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b'}"
#define CONFIG(more) "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6" more "}"
#define PEFT "base_model.model."

enum { R = 3, BIG = 300, WIDE = 301 }; /* BIG x WIDE: more than a slice, rows across the edges of slices */

/* The adapter `ad`; tensors are in the file that PEFT calls so. */
static void
write_adapter (const MadeTensor *tensors, guint n, const char *config)
{
  g_autofree char *folder = made_path ("ad"), *from = g_build_filename (folder, "model.safetensors", NULL),
                  *to = g_build_filename (folder, "adapter_model.safetensors", NULL);

  made_model ("ad", tensors, n, NULL);
  made_file ("ad", "adapter_config.json", config);
  g_assert_cmpint (rename (from, to), ==, 0);
}

/* ------------------------------------------------------------------ the definition */

typedef struct { gint64 rows, cols, rank; const float *w, *left, *right, *saved; const float *magnitude; double scale, scaling; } Definition;

static double
element (const Definition *d, gint64 i, gint64 j, double *size)
{
  double w = d->w[i * d->cols + j], y = d->saved == NULL ? w : w + d->scale * (d->saved[i * d->cols + j] - w), sum = 0;

  *size = fabs (w) + (d->saved == NULL ? 0 : fabs (d->scale) * (fabs (w) + fabs (d->saved[i * d->cols + j])));
  for (gint64 r = 0; r < d->rank; r++) {
    double x = (double) d->left[i * d->rank + r] * d->right[r * d->cols + j];

    sum += x;
    *size += fabs (d->scale * d->scaling * x);
  }
  return y + d->scale * d->scaling * sum;
}

/* Each of the rank's products and sums rounds once, and so do scale, sum and what is done to the base: rank + 6 halves of an ulp of the sizes. */
static void
check_matrix (const Definition *d, const float *out)
{
  for (gint64 i = 0; i < d->rows; i++) {
    double length = 0, size;

    for (gint64 j = 0; j < d->cols; j++)
      length += pow (element (d, i, j, &size), 2);
    for (gint64 j = 0; j < d->cols; j++) {
      double factor = d->magnitude == NULL ? 1 : d->magnitude[i] / sqrt (length), y = factor * element (d, i, j, &size);

      g_assert_cmpfloat (fabs (out[i * d->cols + j] - y), <=, ((double) d->rank + 6) * 0x1p-24 * size * fabs (factor) + 1e-30);
    }
  }
}

static float *
transposed (const float *x, gint64 rows, gint64 cols)
{
  float *y = g_new (float, rows * cols);

  for (gint64 i = 0; i < rows; i++)
    for (gint64 j = 0; j < cols; j++)
      y[j * rows + i] = x[i * cols + j];
  return y;
}

static void
same_everywhere (const Made *m, const char *tensor, const float *out, gsize n)
{
  for (guint i = 0; i < 2; i++) {
    const MadeHow how = { i == 0 ? 4 : 1, NULL, -1, NULL, i == 0 ? NULL : "ref" };
    g_autofree float *again = made_floats (m, "l", tensor, &how);

    g_assert_cmpmem (out, n * sizeof *out, again, n * sizeof *again);
  }
}

static void
test_linear (void)
{
  g_autofree float *w = made_uniform (BIG * WIDE, 1), *a = made_uniform (R * WIDE, 2), *b = made_uniform (BIG * R, 3), *v = made_uniform (9, 4),
                   *bias = made_uniform (BIG, 5), *extra = made_uniform (BIG, 6);
  const MadeTensor base[] = { { "model.q.weight", EVO_DTYPE_F32, 2, { BIG, WIDE }, w, NULL }, { "model.norm.weight", EVO_DTYPE_F32, 1, { 9 }, v, NULL },
                              { "model.q.bias", EVO_DTYPE_F32, 1, { BIG }, bias, NULL }, { "model.ids", EVO_DTYPE_I32, 1, { 2 }, NULL, v } };
  const MadeTensor adapter[] = { { PEFT "model.q.lora_A.weight", EVO_DTYPE_F32, 2, { R, WIDE }, a, NULL },
                                 { PEFT "model.q.lora_B.weight", EVO_DTYPE_F32, 2, { BIG, R }, b, NULL },
                                 { PEFT "model.q.lora_B.bias", EVO_DTYPE_F32, 1, { BIG }, extra, NULL } };
  const Definition d = { BIG, WIDE, R, w, b, a, NULL, NULL, 0.75, 6. / R }, of_bias = { BIG, 1, 1, bias, extra, (const float[]){ 1 }, NULL, NULL, 0.75, 6. / R };
  g_auto (Made) m = { NULL };
  g_autofree float *out = NULL, *same = NULL, *biased = NULL;
  g_autoptr (GBytes) ids = NULL;

  made_model ("base", base, 4, NULL);
  write_adapter (adapter, 3, CONFIG (", \"lora_bias\": true"));
  made_open_good (&m, BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'scale': 0.75}, 'm': {'use': 'merge.linear', 'in': ['l', 'b']}");
  out = made_floats (&m, "l", "model.q.weight", &made_plainly);
  check_matrix (&d, out);
  same_everywhere (&m, "model.q.weight", out, BIG * WIDE);
  biased = made_floats (&m, "l", "model.q.bias", &made_plainly);
  check_matrix (&of_bias, biased);
  same = made_floats (&m, "l", "model.norm.weight", &made_plainly);
  g_assert_cmpmem (same, 9 * sizeof *same, v, 9 * sizeof *v);
  ids = made_compute (&m, "m", "model.ids", EVO_DTYPE_NONE, &made_plainly, NULL);
  g_assert_cmpmem (g_bytes_get_data (ids, NULL), 8, v, 8);
  /* what it holds besides slices is counted: A and B in fp32 */
  g_assert_cmpuint (evo_lora_bound (evo_models_get_lora (m.models, evo_graph_find (m.graph, "l"))), ==,
                    (R * (BIG + WIDE) + BIG + 1) * sizeof (float));
  g_assert_cmpuint (evo_merge_bound (m.models, evo_graph_find (m.graph, "m"), 1), >, (R * (BIG + WIDE) + BIG + 1) * sizeof (float));
}

/* rsLoRA's scale, ranks and alphas by module, and values of the scale by tensor. */
static void
test_patterns (void)
{
  g_autofree float *w = made_uniform (20, 1), *a = made_uniform (20, 2), *b = made_uniform (20, 3);
  const MadeTensor base[] = { { "model.layers.0.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, w, NULL }, { "model.layers.1.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, w, NULL } };
  const MadeTensor adapter[] = { { PEFT "model.layers.0.q.lora_A.weight", EVO_DTYPE_F32, 2, { R, 5 }, a, NULL },
                                 { PEFT "model.layers.0.q.lora_B.weight", EVO_DTYPE_F32, 2, { 4, R }, b, NULL },
                                 { PEFT "model.layers.1.q.lora_A.default.weight", EVO_DTYPE_F32, 2, { 2, 5 }, a, NULL },
                                 { PEFT "model.layers.1.q.lora_B.default.weight", EVO_DTYPE_F32, 2, { 4, 2 }, b, NULL } };
  static const struct { const char *more; double scaling[2]; } cases[] = {
    { ", \"rank_pattern\": {\"layers.1.q\": 2}", { 2, 3 } },
    { ", \"rank_pattern\": {\"model.layers.1.q\": 2}, \"alpha_pattern\": {\"layers.[1-9].*\": 5, \"q\": 9}", { 3, 2.5 } },
    { ", \"rank_pattern\": {\"1.q\": 2}, \"use_rslora\": true", { 6 / 1.7320508075688772, 6 / 1.4142135623730951 } },
  };

  made_model ("base", base, 2, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *config = g_strdup_printf (CONFIG ("%s"), cases[i].more);
    g_auto (Made) m = { NULL };

    write_adapter (adapter, 4, config);
    made_open_good (&m, BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'scale': {'@layers:1': -0.5, '*': 2}}");
    for (guint layer = 0; layer < 2; layer++) {
      g_autofree char *name = g_strdup_printf ("model.layers.%u.q.weight", layer);
      g_autofree float *out = made_floats (&m, "l", name, &made_plainly);
      const Definition d = { 4, 5, layer == 0 ? R : 2, w, b, a, NULL, NULL, layer == 0 ? 2 : -0.5, cases[i].scaling[layer] };

      check_matrix (&d, out);
    }
  }
}

/* Embeddings and Conv1D hold the change transposed; convolutions have more dimensions. */
static void
test_kinds (void)
{
  g_autofree float *w = made_uniform (36, 1), *a = made_uniform (R * 9, 2), *b = made_uniform (R * 9, 3), *at = transposed (a, R, 6),
                   *bt = transposed (b, 4, R);
  const MadeTensor base[] = { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 6, 4 }, w, NULL }, { "model.c.weight", EVO_DTYPE_F32, 4, { 4, 1, 3, 3 }, w, NULL },
                              { "h.c_attn.weight", EVO_DTYPE_F32, 2, { 6, 4 }, w, NULL }, { "h.sq.weight", EVO_DTYPE_F32, 2, { 4, 4 }, w, NULL } };
  const MadeTensor adapter[] = { { PEFT "model.embed_tokens.lora_embedding_A", EVO_DTYPE_F32, 2, { R, 6 }, a, NULL },
                                 { PEFT "model.embed_tokens.lora_embedding_B", EVO_DTYPE_F32, 2, { 4, R }, b, NULL },
                                 { "model.c.lora_down.weight", EVO_DTYPE_F32, 4, { R, 1, 3, 3 }, a, NULL },
                                 { "model.c.lora_up.weight", EVO_DTYPE_F32, 4, { 4, R, 1, 1 }, b, NULL },
                                 { "model.c.alpha", EVO_DTYPE_F32, 0, { 0 }, (const float[]){ 1.5 }, NULL },
                                 { PEFT "h.c_attn.lora_A.weight", EVO_DTYPE_F32, 2, { R, 6 }, a, NULL },
                                 { PEFT "h.c_attn.lora_B.weight", EVO_DTYPE_F32, 2, { 4, R }, b, NULL },
                                 { PEFT "h.sq.lora_A.weight", EVO_DTYPE_F32, 2, { R, 4 }, a, NULL },
                                 { PEFT "h.sq.lora_B.weight", EVO_DTYPE_F32, 2, { 4, R }, b, NULL } };
  g_autofree float *sq = transposed (a, R, 4);
  const Definition embed = { 6, 4, R, w, at, bt, NULL, NULL, 1, 2 }, conv = { 4, 9, R, w, b, a, NULL, NULL, 1, 0.5 }, square = { 4, 4, R, w, sq, bt, NULL, NULL, 1, 2 };
  const struct { const char *name; const Definition *d; } expected[] = { { "model.embed_tokens.weight", &embed }, { "model.c.weight", &conv },
                                                                         { "h.c_attn.weight", &embed }, { "h.sq.weight", &square } };
  g_auto (Made) m = { NULL };

  made_model ("base", base, 4, NULL);
  write_adapter (adapter, 9, CONFIG (""));
  made_open_good (&m, BASE LORA);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_autofree float *out = made_floats (&m, "l", expected[i].name, &made_plainly);

    check_matrix (expected[i].d, out);
  }
}

static void
test_dora (void)
{
  g_autofree float *w = made_uniform (BIG * WIDE, 1), *a = made_uniform (R * WIDE, 2), *b = made_uniform (BIG * R, 3), *length = made_uniform (BIG, 4);
  const MadeTensor base[] = { { "model.q.weight", EVO_DTYPE_F32, 2, { BIG, WIDE }, w, NULL } };
  const MadeTensor adapter[] = { { PEFT "model.q.lora_A.weight", EVO_DTYPE_F32, 2, { R, WIDE }, a, NULL },
                                 { PEFT "model.q.lora_B.weight", EVO_DTYPE_F32, 2, { BIG, R }, b, NULL },
                                 { PEFT "model.q.lora_magnitude_vector", EVO_DTYPE_F32, 1, { BIG }, length, NULL } };
  const Definition d = { BIG, WIDE, R, w, b, a, NULL, length, 1.25, 2 };
  g_auto (Made) m = { NULL };
  g_autofree float *out = NULL;

  made_model ("base", base, 1, NULL);
  write_adapter (adapter, 3, CONFIG (", \"use_dora\": true"));
  made_open_good (&m, BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'scale': 1.25}");
  out = made_floats (&m, "l", "model.q.weight", &made_plainly);
  check_matrix (&d, out);
  same_everywhere (&m, "model.q.weight", out, BIG * WIDE);
}

/* PEFT takes an embedding's lengths over its columns: those of the transposed matrix's rows. */
static void
test_dora_of_embedding (void)
{
  g_autofree float *w = made_uniform (BIG * WIDE, 1), *a = made_uniform (R * BIG, 2), *b = made_uniform (WIDE * R, 3), *length = made_uniform (WIDE, 4);
  g_autofree float *turned = transposed (w, BIG, WIDE), *out = NULL, *out_turned = NULL;
  const MadeTensor base[] = { { "model.e.weight", EVO_DTYPE_F32, 2, { BIG, WIDE }, w, NULL } };
  const MadeTensor adapter[] = { { PEFT "model.e.lora_embedding_A", EVO_DTYPE_F32, 2, { R, BIG }, a, NULL },
                                 { PEFT "model.e.lora_embedding_B", EVO_DTYPE_F32, 2, { WIDE, R }, b, NULL },
                                 { PEFT "model.e.lora_magnitude_vector", EVO_DTYPE_F32, 1, { WIDE }, length, NULL } };
  const Definition d = { WIDE, BIG, R, turned, b, a, NULL, length, 1.25, 2 };
  g_auto (Made) m = { NULL };
  const EvoLoraPart *part;

  made_model ("base", base, 1, NULL);
  write_adapter (adapter, 3, CONFIG (", \"use_dora\": true"));
  made_open_good (&m, BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'scale': 1.25}");
  part = &evo_models_get_lora (m.models, evo_graph_find (m.graph, "l"))->parts[0];
  g_assert_true (evo_lora_is_embedding (part));
  g_assert_cmpint (evo_lora_n_lengths (part), ==, WIDE);
  out = made_floats (&m, "l", "model.e.weight", &made_plainly);
  out_turned = transposed (out, BIG, WIDE);
  check_matrix (&d, out_turned);
  same_everywhere (&m, "model.e.weight", out, BIG * WIDE);
}

/* Whole tensors: the adapter's own at scale 1, the base's at 0, between them in between; and an adapter on top of one. */
static void
test_saved (void)
{
  g_autofree float *w = made_uniform (20, 1), *s = made_uniform (20, 2), *a = made_uniform (R * 5, 3), *b = made_uniform (4 * R, 4);
  const MadeTensor base[] = { { "lm_head.weight", EVO_DTYPE_F32, 2, { 4, 5 }, w, NULL }, { "model.norm.weight", EVO_DTYPE_F32, 1, { 20 }, w, NULL } };
  const MadeTensor adapter[] = { { PEFT "lm_head.base_layer.weight", EVO_DTYPE_F32, 2, { 4, 5 }, s, NULL },
                                 { PEFT "lm_head.lora_A.weight", EVO_DTYPE_F32, 2, { R, 5 }, a, NULL },
                                 { PEFT "lm_head.lora_B.weight", EVO_DTYPE_F32, 2, { 4, R }, b, NULL },
                                 { PEFT "model.norm.modules_to_save.default.weight", EVO_DTYPE_F32, 1, { 20 }, s, NULL } };
  static const double scales[] = { 0, 1, 0.25, -1 };

  made_model ("base", base, 2, NULL);
  write_adapter (adapter, 4, CONFIG (""));
  for (guint i = 0; i < G_N_ELEMENTS (scales); i++) {
    g_autofree char *nodes = g_strdup_printf (BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'scale': %g}", scales[i]);
    const Definition head = { 4, 5, R, w, b, a, s, NULL, scales[i], 2 }, norm = { 1, 20, 0, w, NULL, NULL, s, NULL, scales[i], 0 };
    g_auto (Made) m = { NULL };
    g_autofree float *out = NULL, *whole = NULL;

    made_open_good (&m, nodes);
    out = made_floats (&m, "l", "lm_head.weight", &made_plainly);
    check_matrix (&head, out);
    whole = made_floats (&m, "l", "model.norm.weight", &made_plainly);
    check_matrix (&norm, whole);
    if (i < 2)
      g_assert_cmpmem (whole, 20 * sizeof *whole, i == 0 ? w : s, 20 * sizeof *w);
  }
}

/* An adapter on a merge, rounded to its dtype on the way, inside a merge whose sums are kept: a gene that changes it is seen. */
static void
test_inside (void)
{
  g_autofree float *w = made_uniform (20, 1), *v = made_uniform (20, 2), *a = made_uniform (R * 5, 3), *b = made_uniform (4 * R, 4);
  const MadeTensor adapter[] = { { PEFT "q.lora_A.weight", EVO_DTYPE_F32, 2, { R, 5 }, a, NULL }, { PEFT "q.lora_B.weight", EVO_DTYPE_F32, 2, { 4, R }, b, NULL } };
  g_autoptr (EvoMemo) memo = evo_memo_new ();
  g_auto (Made) m = { NULL };
  g_autofree float *first = NULL;

  made_model ("base", &(MadeTensor){ "q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, w, NULL }, 1, NULL);
  made_model ("other", &(MadeTensor){ "q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, v, NULL }, 1, NULL);
  write_adapter (adapter, 2, CONFIG (""));
  made_file ("d", "items.jsonl", "{\"text\": \"a\"}\n");
  made_open_good (&m, BASE "'o': {'use': 'model.llm', 'path': 'other'}, 'mean': {'use': 'merge.linear', 'in': ['b', 'o'], 'weight': 0.5}, "
                  "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'mean', 'scale': {'evolve': true}}, "
                  "'t': {'use': 'merge.slerp', 'in': ['b', 'l'], 't': 1}, "
                  "'e': {'use': 'evaluator.perplexity', 'in': ['t'], 'data': 'd/items.jsonl'}, "
                  "'s': {'use': 'optimizer.random', 'minimize': ['e'], 'trials': 1}");
  g_assert_cmpuint (evo_models_get_n_genes (m.models), ==, 1);
  for (guint i = 0; i <= 2; i++) {
    const double x[] = { i };
    const MadeHow how = { 1, x, -1, memo, NULL };
    g_autofree float *mean = made_floats (&m, "mean", "q.weight", &how), *l = made_floats (&m, "l", "q.weight", &how), *t = made_floats (&m, "t", "q.weight", &how);
    const Definition d = { 4, 5, R, mean, b, a, NULL, NULL, i, 2 };

    check_matrix (&d, l);
    for (guint j = 0; j < 20; j++)
      g_assert_cmpfloat (fabs (t[j] - l[j]), <=, 1e-5); /* the end of the arc, within slerp's own roundings */
  }
}

/* ------------------------------------------------------------------ what does not fit */

static void
refused_adapter (const MadeTensor *tensors, guint n, const char *config, GQuark domain, gint code, const char *message)
{
  write_adapter (tensors, n, config);
  made_refused (BASE LORA, domain, code, message);
}

#define FILE_ "p.json:1: /nodes/l: ad/adapter_model.safetensors: "
#define CONFIG_ "p.json:1: /nodes/l: ad/adapter_config.json:1: "

static void
test_misfits (void)
{
#define T(NAME, ...) { PEFT NAME, EVO_DTYPE_F32, __VA_ARGS__, NULL, NULL }
#define A T ("model.q.lora_A.weight", 2, { R, 5 })
#define B T ("model.q.lora_B.weight", 2, { 4, R })
  static const struct { MadeTensor tensors[4]; guint n; const char *message; } cases[] = {
    { { A }, 1, FILE_ "\"" PEFT "model.q.lora_A.weight\" has no lora_B beside it" },
    { { B }, 1, FILE_ "\"" PEFT "model.q.lora_B.weight\" has no lora_A beside it" },
    { { A, T ("model.q.lora_B.weight", 2, { R, 4 }) }, 2, FILE_ "\"" PEFT "model.q.lora_B.weight\" is [3, 4]; [4, 3] is right for \"model.q.weight\", which is [4, 5] in b" },
    { { B, T ("model.q.lora_A.weight", 2, { 2, 5 }) }, 2, FILE_ "\"" PEFT "model.q.lora_A.weight\" is [2, 5]; [3, 5] is right for \"model.q.weight\", which is [4, 5] in b" },
    { { A, B, T ("model.p.lora_A.weight", 2, { R, 5 }) }, 3, FILE_ "\"" PEFT "model.p.lora_A.weight\" belongs to \"model.p.weight\", which b has not; did you mean \"model.n.weight\"?" },
    { { A, B, T ("lm_head.weight", 2, { 4, 5 }) }, 3, FILE_ "\"" PEFT "lm_head.weight\" belongs to \"lm_head.weight\", which b has not; its output matrix is the embedding" },
    { { A, B, T ("model.q.weight", 2, { 5, 4 }) }, 3, FILE_ "\"" PEFT "model.q.weight\" is [5, 4]; [4, 5] is right for \"model.q.weight\", which is [4, 5] in b" },
    { { A, B, T ("model.q.lora_A.other.weight", 2, { R, 5 }) }, 3, FILE_ "\"" PEFT "model.q.lora_A.weight\" says again what \"" PEFT "model.q.lora_A.other.weight\" says; a directory has one adapter" },
    { { A, B, T ("model.q.lora_magnitude_vector", 1, { 5 }) }, 3, FILE_ "\"" PEFT "model.q.lora_magnitude_vector\" is [5]; [4] is right for \"model.q.weight\", which is [4, 5] in b" },
    { { T ("model.q.lora_embedding_A", 2, { R, 4 }), T ("model.q.lora_embedding_B", 2, { 5, R }), T ("model.q.lora_magnitude_vector", 1, { 4 }) }, 3,
      FILE_ "\"" PEFT "model.q.lora_magnitude_vector\" is [4]; [5] is right for \"model.q.weight\", which is [4, 5] in b" },
    { { A, B, T ("model.q.lora_C.weight", 1, { 5 }) }, 3, FILE_ "\"" PEFT "model.q.lora_C.weight\" is no tensor of LoRA's; lora_A, lora_B, lora_embedding_A, lora_embedding_B, "
                                                          "lora_magnitude_vector and whole tensors are read" },
    { { A, B, { "lora_unet_q.lora_down.weight", EVO_DTYPE_F32, 2, { R, 5 }, NULL, NULL } }, 3, FILE_ "\"lora_unet_q.lora_down.weight\" is named in kohya's way, in which _ may stand for a dot or "
                                                                                                "for itself; convert the adapter to PEFT's names" },
    { { T ("model.n.lora_A.weight", 2, { R, 5 }), T ("model.n.lora_B.weight", 2, { 4, R }) }, 2, FILE_ "\"" PEFT "model.n.lora_A.weight\" belongs to \"model.n.weight\", which is no matrix in b" },
    { { { PEFT "model.q.lora_A.weight", EVO_DTYPE_I32, 2, { R, 5 }, NULL, NULL }, B }, 2, FILE_ "\"" PEFT "model.q.lora_A.weight\" is I32; an adapter is of floating point" },
    { { A, B, T ("model.ids", 1, { 2 }) }, 3, FILE_ "\"" PEFT "model.ids\" belongs to \"model.ids\", which is I32 in b; only floating point can be changed" },
    { { { "model.q.alpha", EVO_DTYPE_F32, 0, { 0 }, NULL, NULL } }, 1, FILE_ "\"model.q.alpha\" has no lora_down and lora_up beside it" },
    { { A, T ("model.q.lora_embedding_A", 2, { R, 5 }), T ("model.q.lora_embedding_B", 2, { 4, R }) }, 3, FILE_ "\"" PEFT "model.q.lora_embedding_A\" stands beside a lora_A or lora_B of the same module; "
                                                                                                         "it has one or the other" },
    { { T ("model.q.bias", 1, { 3 }) }, 1, FILE_ "\"" PEFT "model.q.bias\" is [3]; [4] is right for \"model.q.bias\", which is [4] in b" },
    { { T ("model.q.lora_B.bias", 1, { 4 }) }, 1, FILE_ "\"" PEFT "model.q.lora_B.bias\" has no lora_A and lora_B beside it" },
  };
  const MadeTensor base[] = { { "model.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, NULL, NULL }, { "model.q.bias", EVO_DTYPE_F32, 1, { 4 }, NULL, NULL },
                              { "model.n.weight", EVO_DTYPE_F32, 1, { 5 }, NULL, NULL }, { "model.ids", EVO_DTYPE_I32, 1, { 2 }, NULL, NULL } };

  made_model ("base", base, 4, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    refused_adapter (cases[i].tensors, cases[i].n, CONFIG (""), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, cases[i].message);
  const MadeTensor pair[] = { A, B };
  refused_adapter (pair, 2, CONFIG (", \"use_dora\": true"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE,
                   FILE_ "\"" PEFT "model.q.lora_A.weight\" has no lora_magnitude_vector beside it, though use_dora is set");
}

static void
test_configs (void)
{
  static const struct { const char *config, *message; } cases[] = {
    { "{}", CONFIG_ "has no \"peft_type\"; an adapter_config.json of PEFT says \"LORA\"" },
    { "{\"peft_type\": \"IA3\"}", CONFIG_ "/peft_type: \"IA3\" is no LoRA; only peft_type \"LORA\" is read" },
    { "{\"peft_type\": \"LORA\", \"r\": 8}", CONFIG_ "has no \"lora_alpha\"; the scale is lora_alpha / r" },
    { "{\"peft_type\": \"LORA\", \"r\": 0, \"lora_alpha\": 1}", CONFIG_ "/r: a rank is a whole number from 1 to 1048576" },
    { "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": \"1\"}", CONFIG_ "/lora_alpha: an alpha is a number, not a string" },
    { CONFIG (", \"rank_pattern\": {\"(\": 4}"), NULL },
    { CONFIG (", \"alpha_pattern\": [1]"), CONFIG_ "/alpha_pattern: needs an object of numbers by module, not a list" },
    { CONFIG (", \"layer_replication\": [[0, 2]]"), CONFIG_ "/layer_replication: the adapter is of a model with repeated layers; make that with merge.layer-path "
                                                    "and name it as base, without this key" },
    { CONFIG (", \"init_lora_weights\": \"pissa_niter_4\""), CONFIG_ "/init_lora_weights: pissa begins by changing the base, so the adapter does not fit the base itself; "
                                                             "save it converted (PEFT: path_initial_model_for_weight_conversion)" },
  };
  const MadeTensor pair[] = { A, B };

  made_model ("base", &(MadeTensor){ "model.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, NULL, NULL }, 1, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Made) m = { NULL };
    g_autoptr (GError) error = NULL;

    write_adapter (pair, 2, cases[i].config);
    g_assert_false (made_open (&m, BASE LORA, NULL, &error));
    if (cases[i].message != NULL)
      made_check_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, cases[i].message);
    else
      g_assert_nonnull (strstr (error->message, "/rank_pattern/(: is no regular expression: "));
  }
}

/* Of the node: no inputs, a base, a directory. */
static void
test_nodes (void)
{
  made_model ("base", &(MadeTensor){ "model.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, NULL, NULL }, 1, NULL);
  made_refused ("'l': {'use': 'model.lora', 'path': 'ad'}", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                "p.json:1: /nodes/l: model.lora needs \"base\", the model that the adapter is applied to");
  made_refused (BASE "'l': {'use': 'model.lora', 'path': 'ad', 'base': 'b', 'in': ['b']}", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                "p.json:1: /nodes/l/in: model.lora takes no \"in\"; the model that the adapter is applied to is its \"base\"");
  made_refused (BASE "'l': {'use': 'model.lora', 'base': 'b'}", EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "p.json:1: /nodes/l: model.lora needs \"path\"");
  made_refused (BASE "'l': {'use': 'model.lora', 'path': 'nothing', 'base': 'b'}", EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN,
                "p.json:1: /nodes/l: nothing: is no directory; an adapter is one, with adapter_config.json and adapter_model.safetensors");
  made_file ("bin", "adapter_config.json", CONFIG (""));
  made_file ("bin", "adapter_model.bin", "x");
  made_refused (BASE "'l': {'use': 'model.lora', 'path': 'bin', 'base': 'b'}", EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING,
                "p.json:1: /nodes/l: bin/adapter_model.bin: is a pickle, which is not read; save the adapter as safetensors (PEFT: save_pretrained with "
                "safe_serialization)");
}

static void
test_nonfinite (void)
{
  const float bad[] = { 1, NAN, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
  const MadeTensor pair[] = { { PEFT "model.q.lora_A.weight", EVO_DTYPE_F32, 2, { R, 5 }, bad, NULL }, B };
  g_autoptr (GError) error = NULL;
  g_auto (Made) m = { NULL };

  made_model ("base", &(MadeTensor){ "model.q.weight", EVO_DTYPE_F32, 2, { 4, 5 }, NULL, NULL }, 1, NULL);
  write_adapter (pair, 2, CONFIG (""));
  made_open_good (&m, BASE LORA);
  g_assert_null (made_compute (&m, "l", "model.q.weight", EVO_DTYPE_NONE, &made_plainly, &error));
  made_check_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_NONFINITE, "l: model.q.weight: ad/adapter_model.safetensors: \"" PEFT "model.q.lora_A.weight\" has a NaN "
                    "or an infinity; the adapter is damaged");
}

static void
test_names (void)
{
  static const struct { const char *name; gint role; const char *module, *tensor; } cases[] = {
    { PEFT "m.q.lora_A.weight", EVO_LORA_A, "m.q", "m.q.weight" },
    { PEFT "m.q.lora_B.default.weight", EVO_LORA_B, "m.q", "m.q.weight" },
    { PEFT "m.q.lora_B.default.bias", EVO_LORA_BIAS, "m.q", "m.q.bias" },
    { PEFT "m.e.lora_embedding_A", EVO_LORA_EMBED_A, "m.e", "m.e.weight" },
    { PEFT "m.e.lora_embedding_B.default", EVO_LORA_EMBED_B, "m.e", "m.e.weight" },
    { PEFT "m.q.lora_magnitude_vector.default.weight", EVO_LORA_MAGNITUDE, "m.q", "m.q.weight" },
    { PEFT "m.e.base_layer.weight", EVO_LORA_SAVED, "m.e", "m.e.weight" },
    { PEFT "score.modules_to_save.weight", EVO_LORA_SAVED, "score", "score.weight" },
    { "m.q.lora_up.weight", EVO_LORA_B, "m.q", "m.q.weight" },
    { "m.q.alpha", EVO_LORA_ALPHA, "m.q", "m.q.weight" },
    { "x", EVO_LORA_SAVED, "x", "x" },
    { "m.q.lora_A.a.b.weight", -1, NULL, NULL }, { "m.q.lora_A.bias", -1, NULL, NULL }, { "lora_A.weight", -1, NULL, NULL },
    { "m.e.token_adapter.trainable_tokens_delta", -1, NULL, NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    EvoLoraName n = { 0 };

    g_test_message ("%s", cases[i].name);
    g_assert_cmpint (evo_lora_parse_name (cases[i].name, &n), ==, cases[i].role >= 0);
    if (cases[i].role >= 0)
      g_assert_cmpint (n.role, ==, cases[i].role);
    g_assert_cmpstr (n.module, ==, cases[i].module);
    g_assert_cmpstr (n.tensor, ==, cases[i].tensor);
    evo_lora_name_clear (&n);
  }
}

/* ------------------------------------------------------------------ adapters made of two models */

static GArray *
extract (const Made *m, const char *out, EvoExtractOptions o)
{
  static const char *const all[] = { NULL };
  g_autofree char *path = made_path (out);
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_autoptr (GError) error = NULL;
  const EvoNode *b = evo_graph_find (m->graph, "b");
  GArray *said;

  o.path = path;
  o.base_name = "base";
  o.replace = TRUE;
  o.modules = o.modules == NULL ? all : o.modules;
  said = evo_lora_extract (evo_models_get_store (m->models, evo_graph_find (m->graph, "o")), evo_models_get_store (m->models, b),
                           evo_models_get_layout (m->models, b), evo_kernels_get (), pool, &o, &error);
  g_assert_no_error (error);
  return said;
}

/* A change of known singular values 4, 2, 1 (and so known errors), tall and wide: what is kept, and what comes back through model.lora. */
static void
check_extracted (gint64 rows, gint64 cols)
{
  g_autofree float *w = g_new0 (float, rows * cols), *v = g_new0 (float, rows * cols);
  static const struct { gint64 rank, kept; double energy, error; } cases[] = {
    { 1, 1, 0, 5. / 21 }, { 2, 2, 0, 1. / 21 }, { 100, 100, 0, 0 }, { 0, 1, 0.7, 5. / 21 }, { 0, 2, 0.9, 1. / 21 }, { 0, 3, 1, 0 }
  };

  for (guint s = 0; s < 3; s++)
    v[((gint64) s + 1) * cols + (gint64) (3 - s)] = (float) (4 >> s) * (s == 1 ? -1 : 1);
  made_model ("base", &(MadeTensor){ "q.weight", EVO_DTYPE_F32, 2, { rows, cols }, w, NULL }, 1, NULL);
  made_model ("other", &(MadeTensor){ "q.weight", EVO_DTYPE_F32, 2, { rows, cols }, v, NULL }, 1, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_auto (Made) m = { NULL }, back = { NULL };
    g_autoptr (GArray) said = NULL;
    g_autofree float *out = NULL;
    const EvoExtracted *e;
    double missed = 0;

    made_open_good (&m, BASE "'o': {'use': 'model.llm', 'path': 'other'}");
    said = extract (&m, "made", (EvoExtractOptions){ .rank = cases[i].rank, .energy = cases[i].energy, .dtype = EVO_DTYPE_F32 });
    e = &g_array_index (said, EvoExtracted, 0);
    g_assert_cmpint (e->rank, ==, MIN (cases[i].kept, MIN (rows, cols)));
    g_assert_cmpfloat (e->change, ==, 21);
    g_assert_cmpfloat (fabs (e->error / e->change - cases[i].error), <=, 1e-12); /* what f32's rounding of the two sides adds is its square */
    made_open_good (&back, BASE "'l': {'use': 'model.lora', 'path': 'made', 'base': 'b'}");
    out = made_floats (&back, "l", "q.weight", &made_plainly);
    for (gint64 j = 0; j < rows * cols; j++)
      missed += pow (out[j] - v[j], 2);
    g_assert_cmpfloat (fabs (missed / 21 - cases[i].error), <=, 1e-6); /* products and sums in fp32 */
  }
}

static void
test_extract (void)
{
  check_extracted (5, 9);
  check_extracted (9, 5);
  check_extracted (5, 5);
}

/* The rest stored whole, and left out; modules by glob; the adapter of all of it gives the model back. */
static void
test_extract_rest (void)
{
  g_autofree float *w = made_uniform (24, 1), *v = made_uniform (24, 2);
#define MODEL(x) { { "model.embed_tokens.weight", EVO_DTYPE_F32, 2, { 6, 4 }, x, NULL }, { "model.layers.0.q.weight", EVO_DTYPE_F32, 2, { 4, 6 }, x, NULL }, \
                   { "model.layers.0.p.weight", EVO_DTYPE_F32, 2, { 4, 6 }, w, NULL }, { "model.norm.weight", EVO_DTYPE_F32, 1, { 6 }, x, NULL } }
  const MadeTensor base[] = MODEL (w), other[] = MODEL (v);
  static const char *const q[] = { "*.q", NULL };
  static const EvoExtractedAs as[][4] = { { EVO_EXTRACTED_LEFT_OUT, EVO_EXTRACTED_SAME, EVO_EXTRACTED_PRODUCT, EVO_EXTRACTED_LEFT_OUT },
                                          { EVO_EXTRACTED_SAVED, EVO_EXTRACTED_SAME, EVO_EXTRACTED_PRODUCT, EVO_EXTRACTED_SAVED } };
  g_auto (Made) m = { NULL }, back = { NULL };

  made_model ("base", base, 4, NULL);
  made_model ("other", other, 4, NULL);
  made_open_good (&m, BASE "'o': {'use': 'model.llm', 'path': 'other'}");
  for (guint save = 0; save < 2; save++) {
    const EvoExtractOptions o = { .rank = 9, .save_rest = save, .dtype = EVO_DTYPE_F32, .modules = save ? NULL : q };
    g_autoptr (GArray) said = extract (&m, "made", o);
    g_autofree char *card = evo_lora_extract_card (said, &(EvoExtractOptions){ .path = "made" });

    for (guint i = 0; i < 4; i++)
      g_assert_cmpint (g_array_index (said, EvoExtracted, i).as, ==, as[save][i]);
    g_assert_nonnull (strstr (card, "| model.layers.0.q.weight | rank 4 | "));
    g_assert_nonnull (strstr (card, save ? "| model.norm.weight | whole | 0 |" : "| model.norm.weight | left out | 1 |"));
  }
  made_open_good (&back, BASE "'l': {'use': 'model.lora', 'path': 'made', 'base': 'b'}");
  for (guint i = 0; i < 4; i++) {
    g_autofree float *out = made_floats (&back, "l", other[i].name, &made_plainly);

    for (guint j = 0; j < (i == 3 ? 6 : 24); j++) /* fp32: two sides rounded, four products of numbers up to 2 */
      g_assert_cmpfloat (fabs (out[j] - other[i].values[j]), <=, 1e-6);
  }
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  made_begin ();
  g_test_add_func ("/lora/linear", test_linear);
  g_test_add_func ("/lora/patterns", test_patterns);
  g_test_add_func ("/lora/kinds", test_kinds);
  g_test_add_func ("/lora/dora", test_dora);
  g_test_add_func ("/lora/dora-of-embedding", test_dora_of_embedding);
  g_test_add_func ("/lora/saved", test_saved);
  g_test_add_func ("/lora/inside", test_inside);
  g_test_add_func ("/lora/misfits", test_misfits);
  g_test_add_func ("/lora/configs", test_configs);
  g_test_add_func ("/lora/nodes", test_nodes);
  g_test_add_func ("/lora/nonfinite", test_nonfinite);
  g_test_add_func ("/lora/names", test_names);
  g_test_add_func ("/lora/extract", test_extract);
  g_test_add_func ("/lora/extract/rest", test_extract_rest);
  status = g_test_run ();
  made_end ();
  return status;
}
