/* SPDX-License-Identifier: Apache-2.0
 * paths.c - paths RUNS: what a layer path costs beside a plain stack of the same layers, in the same engine: time to set it, tokens per second.
 *
 * Two models of 32 random layers are held once; a path visits 65 of them, as the published one does. The plain model holds 65 layers of its own,
 * copies of those. Both run the same prompts by turns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/nn/text-model.h"

enum { HELD = 64, HOPS = 65, HIDDEN = 768, INTER = 2048, HEADS = 12, KV_HEADS = 4, HEAD_DIM = 64, VOCAB = 8192, BATCH = 8, PROMPT = 64, NEW = 32,
       MOST_RUNS = 99 };

static const struct { const char *slot; EvoRoleKind kind; gint64 rows, cols; } parts[] = {
  { "norm_1", EVO_ROLE_NORM, HIDDEN, 0 }, { "norm_2", EVO_ROLE_NORM, HIDDEN, 0 }, { "q", EVO_ROLE_ATTENTION, HEADS * HEAD_DIM, HIDDEN },
  { "k", EVO_ROLE_ATTENTION, KV_HEADS * HEAD_DIM, HIDDEN }, { "v", EVO_ROLE_ATTENTION, KV_HEADS * HEAD_DIM, HIDDEN },
  { "o", EVO_ROLE_ATTENTION, HIDDEN, HEADS * HEAD_DIM }, { "gate", EVO_ROLE_MLP, INTER, HIDDEN }, { "up", EVO_ROLE_MLP, INTER, HIDDEN },
  { "down", EVO_ROLE_MLP, HIDDEN, INTER },
};

static const EvoDecoderSpec spec = { .size = sizeof spec, .n_layers = HOPS, .hidden = HIDDEN, .intermediate = INTER, .n_heads = HEADS,
                                     .n_kv_heads = KV_HEADS, .head_dim = HEAD_DIM, .vocab = VOCAB, .max_positions = 2048, .norm_eps = 1e-5,
                                     .rope_theta = 10000, .tied = TRUE, .bos = -1 };

/* bf16 of about 0.02: as large as trained weights are. */
static void
set (EvoTextModel *m, const char *slot, EvoRoleKind kind, gint32 layer, guint64 stream, gint64 rows, gint64 cols)
{
  const gsize n = (gsize) (rows * MAX (cols, 1));
  const gint64 dims[2] = { rows, cols };
  g_autofree guint16 *w = g_new (guint16, n);
  g_autoptr (GError) error = NULL;
  EvoRole role = { .kind = kind, .layer = layer };
  EvoRandom r;

  g_strlcpy (role.slot, slot, sizeof role.slot);
  evo_random_init (&r, stream);
  for (gsize i = 0; i < n; i++) {
    guint32 bits = evo_random_below (&r, 1 << 24);

    w[i] = cols == 0 ? 0x3f80 : (guint16) ((bits & 0x80ff) | 0x3c00);
  }
  if (!evo_text_model_set_tensor (m, &role, slot, EVO_DTYPE_BF16, cols == 0 ? 1 : 2, dims, w, &error))
    g_error ("%s", error->message);
}

static void
set_outer (EvoTextModel *m)
{
  set (m, "embed", EVO_ROLE_EMBED, -1, 1, VOCAB, HIDDEN);
  set (m, "final_norm", EVO_ROLE_FINAL_NORM, -1, 2, HIDDEN, 0);
}

static void
set_layer (EvoTextModel *m, gint32 at, guint32 layer)
{
  for (guint i = 0; i < G_N_ELEMENTS (parts); i++)
    set (m, parts[i].slot, parts[i].kind, at, 100 + layer * 16 + i, parts[i].rows, parts[i].cols);
}

/* Nearly all of the first model, then both by turns. */
static void
make_path (EvoHop *hops)
{
  for (guint32 i = 0; i < HOPS; i++)
    hops[i] = (EvoHop){ i < 32 ? i : (i % 2 == 0 ? 0 : 32) + (i - 32) % 32, i == 0 ? 1 : 1.05 - 0.1 * (i % 2) };
}

static double
seconds_of (EvoTextModel *m, gint64 n)
{
  g_autofree EvoGeneration *g = g_new0 (EvoGeneration, BATCH);
  static gint32 ids[BATCH * PROMPT];
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  g_autoptr (GError) error = NULL;
  gint64 began;

  o.max_tokens = n;
  o.ignore_eos = TRUE;
  for (gsize i = 0; i < BATCH * PROMPT; i++)
    ids[i] = (gint32) (i * 7919 % VOCAB);
  for (gsize i = 0; i < BATCH; i++) {
    g[i].ids = ids + i * PROMPT;
    g[i].n_ids = PROMPT;
  }
  began = g_get_monotonic_time ();
  if (!evo_text_model_generate (m, g, BATCH, &o, BATCH, &error))
    g_error ("%s", error->message);
  for (gsize i = 0; i < BATCH; i++)
    evo_generation_clear (&g[i]);
  return (double) (g_get_monotonic_time () - began) / 1e6;
}

static int
by_size (gconstpointer a, gconstpointer b)
{
  return (*(const double *) a > *(const double *) b) - (*(const double *) a < *(const double *) b);
}

static double
median (double *x, gsize n)
{
  qsort (x, n, sizeof *x, by_size);
  return n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void
time_setting (EvoTextModel *m, const EvoHop *hops, gsize n)
{
  enum { TIMES = 1000 };
  gint64 began = g_get_monotonic_time ();

  for (guint i = 0; i < TIMES; i++)
    if (!evo_text_model_set_path (m, hops, n - i % 2, EVO_SCALING_STREAM, NULL))
      g_error ("the path is refused");
  printf ("setting a path of %" G_GSIZE_FORMAT " hops: %.2f us\n", n,
          (double) (g_get_monotonic_time () - began) / TIMES);
}

int
main (int argc, char **argv)
{
  const gsize runs = argc > 1 ? (gsize) CLAMP (atoi (argv[1]), 1, MOST_RUNS) : 7;
  double prefill[2][MOST_RUNS], decode[2][MOST_RUNS];
  g_autoptr (EvoPool) pool = evo_pool_new (g_get_num_processors ());
  g_autoptr (EvoTextModel) path = evo_text_model_new_for_path (&spec, HELD, NULL, evo_kernels_get (), pool);
  g_autoptr (EvoTextModel) plain = evo_text_model_new (&spec, NULL, evo_kernels_get (), pool);
  EvoTextModel *models[2] = { path, plain };
  EvoHop hops[HOPS];

  make_path (hops);
  set_outer (path);
  set_outer (plain);
  for (gint32 i = 0; i < HELD; i++)
    set_layer (path, i, (guint32) i);
  for (gint32 i = 0; i < HOPS; i++)
    set_layer (plain, i, hops[i].layer);
  time_setting (path, hops, 32);
  time_setting (path, hops, HOPS);
  if (!evo_text_model_set_path (path, hops, HOPS, EVO_SCALING_STREAM, NULL))
    g_error ("the path is refused");
  for (guint m = 0; m < 2; m++)
    seconds_of (models[m], 1); /* caches and pages */
  for (gsize r = 0; r < runs; r++)
    for (guint m = 0; m < 2; m++) {
      prefill[m][r] = seconds_of (models[m], 1);
      decode[m][r] = seconds_of (models[m], NEW + 1) - prefill[m][r];
    }
  double p[2] = { median (prefill[0], runs), median (prefill[1], runs) }, d[2] = { median (decode[0], runs), median (decode[1], runs) };
  printf ("65 hops through 64 layers held once, beside a plain stack of 65 (%s, %d prompts of %d tokens, medians of %" G_GSIZE_FORMAT ")\n"
          "  prefill  %8.0f tokens/s, plain %8.0f, ratio %.3f (target: 0.9)\n  decode   %8.0f tokens/s, plain %8.0f, ratio %.3f (target: 0.9)\n",
          evo_kernels_get ()->isa, BATCH, PROMPT, runs, BATCH * PROMPT / p[0], BATCH * PROMPT / p[1], p[1] / p[0], BATCH * NEW / d[0],
          BATCH * NEW / d[1], d[1] / d[0]);
  return 0;
}
