/* SPDX-License-Identifier: Apache-2.0
 * bench.c - times each slot of each table, beside what this machine's memory and arithmetic units can do:
 * test-kernels --bench.
 *
 * Merge kernels run on slices of 65536 elements, as the host calls them (in the second-level cache). Figures are the best of several rounds.
 */
#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 65536, MAX_TABLES = 4, VOCABULARY = 1408, FAR = 1 << 27 };

typedef struct {
  const EvoKernels *k;
  float *a, *b, *c, *y, *z;
  guint16 *h;
  guint64 *count;
} Data;

typedef struct {
  const char *name;
  void (*run) (Data *d);
  gsize bytes;               /* read and written, an element */
} Slot;

static volatile double sink;

static void run_memcpy (Data *d) { memcpy (d->y, d->a, N * sizeof (float)); }
static void run_zero (Data *d) { d->k->zero (d->y, N); }
static void run_copy (Data *d) { d->k->copy (d->y, d->a, N); }
static void run_scale (Data *d) { d->k->scale (d->y, 0.999999, N); }
static void run_axpy (Data *d) { d->k->axpy (d->y, d->a, 1e-6, N); }
static void run_axpy_diff (Data *d) { d->k->axpy_diff (d->y, d->a, d->b, 1e-6, N); }
static void run_add (Data *d) { d->k->add (d->y, d->a, N); }
static void run_sub (Data *d) { d->k->sub (d->y, d->a, d->b, N); }
static void run_mul (Data *d) { d->k->mul (d->y, d->a, d->b, N); }
static void run_div (Data *d) { d->k->div (d->y, d->a, d->b, N); }
static void run_mix (Data *d) { d->k->mix (d->y, d->a, d->b, 0.7, 0.3, N); }
static void run_abs (Data *d) { d->k->abs (d->y, d->a, N); }
static void run_keep_top (Data *d) { d->k->keep_top (d->y, d->a, 1, N / 2, 0, N); }
static void run_uniform (Data *d) { d->k->uniform (d->y, 7, 0, N); }
static void run_keep_random (Data *d) { d->k->keep_random (d->y, d->a, 7, 0, 0.4, 2.5, N); }

static void
run_elect (Data *d)
{
  const float *in[] = { d->a, d->b, d->c };
  const double w[] = { 0.5, 0.6, 0.7 };

  d->k->elect (d->y, d->z, in, w, NULL, 3, N);
}

static void run_sum (Data *d) { sink = d->k->sum (d->a, N); }
static void run_sum_abs (Data *d) { sink = d->k->sum_abs (d->a, N); }
static void run_dot (Data *d) { sink = d->k->dot (d->a, d->b, N); }
static void run_dot_diff (Data *d) { sink = d->k->dot_diff (d->a, d->b, d->c, N); }
static void run_from_bf16 (Data *d) { d->k->f32_from_bf16 (d->y, d->h, N); }
static void run_from_f16 (Data *d) { d->k->f32_from_f16 (d->y, d->h, N); }
static void run_to_bf16 (Data *d) { d->k->bf16_from_f32 (d->h, d->a, N); }
static void run_to_f16 (Data *d) { d->k->f16_from_f32 (d->h, d->a, N); }
static void run_all_finite (Data *d) { sink = d->k->all_finite (d->a, N); }
static void run_upper (Data *d) { d->k->histogram (d->count, d->a, 0, 0, N); }
static void run_lower (Data *d) { d->k->histogram (d->count, d->a, 0x3f80, 1, N); }
static void run_rms_norm (Data *d) { for (gsize i = 0; i < N; i += 128) d->k->rms_norm (d->y + i, d->a + i, d->b, 1e-5, 128); }
static void run_silu_mul (Data *d) { d->k->silu_mul (d->y, d->a, d->b, N); }
static void run_rope (Data *d) { for (gsize i = 0; i < N; i += 128) d->k->rope (d->y + i, d->a, d->b, 4, 32); }
static void run_argmax (Data *d) { sink = (double) d->k->argmax (d->a, N); }
static void run_log_sum_exp (Data *d) { sink = d->k->log_sum_exp (d->a, N); }

static const Slot slots[] = {
  { "memcpy", run_memcpy, 8 }, { "zero", run_zero, 4 }, { "copy", run_copy, 8 }, { "scale", run_scale, 8 }, { "axpy", run_axpy, 12 },
  { "axpy_diff", run_axpy_diff, 16 }, { "add", run_add, 12 }, { "sub", run_sub, 12 }, { "mul", run_mul, 12 }, { "div", run_div, 12 },
  { "mix", run_mix, 12 }, { "abs", run_abs, 8 }, { "keep_top", run_keep_top, 8 }, { "uniform", run_uniform, 4 },
  { "keep_random", run_keep_random, 8 }, { "elect 3 inputs", run_elect, 20 }, { "sum", run_sum, 4 }, { "sum_abs", run_sum_abs, 4 },
  { "dot", run_dot, 8 }, { "dot_diff", run_dot_diff, 12 }, { "f32_from_bf16", run_from_bf16, 6 }, { "f32_from_f16", run_from_f16, 6 },
  { "bf16_from_f32", run_to_bf16, 6 }, { "f16_from_f32", run_to_f16, 6 }, { "all_finite", run_all_finite, 4 },
  { "histogram upper", run_upper, 4 }, { "histogram lower", run_lower, 4 }, { "rms_norm 128", run_rms_norm, 8 },
  { "silu_mul", run_silu_mul, 12 }, { "rope 4 x 32", run_rope, 8 }, { "argmax", run_argmax, 4 }, { "log_sum_exp", run_log_sum_exp, 4 }
};

/* ------------------------------------------------------------------ clocks and limits */

/* seconds of one call: the best of at least five rounds of some milliseconds */
static double
seconds (void (*run) (gpointer), gpointer data)
{
  double best = HUGE_VAL;
  gint64 begin, calls = 1;

  run (data);
  for (guint round = 0; round < 7; round++) {
    gint64 us;

    do {
      begin = g_get_monotonic_time ();
      for (gint64 i = 0; i < calls; i++)
        run (data);
      us = g_get_monotonic_time () - begin;
      if (us < 4000)
        calls *= 2;
    } while (us < 4000);
    best = MIN (best, (double) us * 1e-6 / (double) calls);
  }
  return best;
}

#if defined(__x86_64__)

enum { CHAINS = 12, STEPS = 4096 };

#define CHAIN(r, n) "vfmadd231ps %%" r "15, %%" r "15, %%" r #n "\n\t"
#define TWELVE(r) CHAIN (r, 0) CHAIN (r, 1) CHAIN (r, 2) CHAIN (r, 3) CHAIN (r, 4) CHAIN (r, 5) \
                  CHAIN (r, 6) CHAIN (r, 7) CHAIN (r, 8) CHAIN (r, 9) CHAIN (r, 10) CHAIN (r, 11)
#define USED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm15"

/* Zeros first: what the registers hold must not be denormal numbers. */
static void
fused_512 (gpointer data)
{
  __asm__ volatile ("vzeroall" : : : USED);
  for (guint i = 0; i < STEPS; i++)
    __asm__ volatile (TWELVE ("zmm") : : : USED);
}

static void
fused_256 (gpointer data)
{
  __asm__ volatile ("vzeroall" : : : USED);
  for (guint i = 0; i < STEPS; i++)
    __asm__ volatile (TWELVE ("ymm") : : : USED);
}

/* four independent products of full tiles: zeros take as long as anything else */
static void
tiles (gpointer data)
{
  struct { guint8 palette, start, reserved[14]; guint16 columns[16]; guint8 rows[16]; } config = { .palette = 1 };

  for (guint i = 0; i < 8; i++) {
    config.columns[i] = 64;
    config.rows[i] = 16;
  }
  __asm__ volatile ("ldtilecfg %0" : : "m"(config));
  for (guint i = 0; i < STEPS; i++)
    __asm__ volatile ("tdpbf16ps %%tmm4, %%tmm6, %%tmm0\n\ttdpbf16ps %%tmm5, %%tmm6, %%tmm1\n\t"
                      "tdpbf16ps %%tmm4, %%tmm7, %%tmm2\n\ttdpbf16ps %%tmm5, %%tmm7, %%tmm3" : :);
  __asm__ volatile ("tilerelease");
}

static double
peak (const EvoKernels *k)
{
  if (g_str_equal (k->isa, "avx2"))
    return 2.0 * 8 * CHAINS * STEPS / seconds (fused_256, NULL);
  if (g_str_equal (k->isa, "avx512"))
    return 2.0 * 16 * CHAINS * STEPS / seconds (fused_512, NULL);
  if (g_str_equal (k->isa, "avx512+amx"))
    return 4.0 * 2 * 16 * 16 * 32 * STEPS / seconds (tiles, NULL) / 3; /* three products for one of fp32 */
  return NAN;
}

#else

static double
peak (const EvoKernels *k)
{
  return NAN;
}

#endif

/* ------------------------------------------------------------------ the slots of one element each */

typedef struct { const Slot *slot; Data *data; } Timed;

static void
run_slot (gpointer data)
{
  Timed *t = data;

  t->slot->run (t->data);
}

static void
bench_slots (const EvoKernels *const *table, guint n_tables, Data *d)
{
  double memory = 0;

  printf ("%-18s", "GB/s at 65536");
  for (guint t = 0; t < n_tables; t++)
    printf (" %12s", table[t]->isa);
  printf (" %12s\n", "of memcpy");
  for (guint i = 0; i < G_N_ELEMENTS (slots); i++) {
    double rate = 0;

    printf ("%-18s", slots[i].name);
    for (guint t = 0; t < n_tables; t++) {
      Timed timed = { &slots[i], d };

      d->k = table[t];
      memset (d->y, 0, N * sizeof (float));
      rate = (double) (slots[i].bytes * N) / seconds (run_slot, &timed) * 1e-9;
      printf (" %12.1f", rate);
    }
    if (i == 0)
      memory = rate;
    printf (" %11.0f%%\n", 100 * rate / memory);
    fflush (stdout);
  }
}

/* ------------------------------------------------------------------ matrix products */

typedef struct {
  const EvoKernels *k;
  EvoWeightType type;
  gsize m, n_rows, n_cols;
  const float *x;
  float *y;
  gpointer packed, scratch;
} Product;

static void
run_product (gpointer data)
{
  Product *p = data;

  p->k->matmul (p->y, p->n_rows, p->x, p->n_cols, p->m, p->packed, p->type, p->n_rows, p->n_cols, 0, p->n_rows, p->scratch);
}

static void
bench_product (const EvoKernels *k, EvoWeightType type, gsize m, gsize n_rows, gsize n_cols, double limit)
{
  g_autofree float *x = test_numbers (m * n_cols, 1, FALSE), *y = g_new (float, m * n_rows);
  gpointer w = g_malloc0 (n_rows * n_cols * 4);
  Product p = { k, type, m, n_rows, n_cols, x, y, g_aligned_alloc (k->packed_bytes (type, n_rows, n_cols), 1, 64),
                g_aligned_alloc (MAX (k->matmul_scratch (m, n_cols), 1), 1, 64) };
  double s;

  k->pack (p.packed, w, type, n_rows, n_cols);
  g_free (w);
  s = seconds (run_product, &p);
  printf ("  %-10s %-4s m %4zu  %5zu x %4zu  %9.1f us  %7.1f GFLOP/s %3.0f%%  weights at %5.1f GB/s\n", k->isa,
          type == EVO_WEIGHT_F32 ? "f32" : type == EVO_WEIGHT_BF16 ? "bf16" : "f16", m, n_rows, n_cols, s * 1e6,
          2e-9 * (double) (m * n_rows * n_cols) / s, 200 * (double) (m * n_rows * n_cols) / s / limit,
          (double) (n_rows * n_cols * (type == EVO_WEIGHT_F32 ? 4 : 2)) / s * 1e-9);
  fflush (stdout);
  g_aligned_free (p.packed);
  g_aligned_free (p.scratch);
}

static const struct { EvoWeightType type; gsize m, n_rows, n_cols; } products[] = {
  /* a small model's prompts and decoding */
  { EVO_WEIGHT_BF16, 360, 256, 128 }, { EVO_WEIGHT_BF16, 360, 128, 128 }, { EVO_WEIGHT_BF16, 360, 768, 128 },
  { EVO_WEIGHT_BF16, 360, 128, 384 }, { EVO_WEIGHT_BF16, 50, 768, 128 }, { EVO_WEIGHT_BF16, 50, 128, 384 },
  { EVO_WEIGHT_BF16, 64, VOCABULARY, 128 }, { EVO_WEIGHT_F32, 360, 256, 128 },
  /* one of 1.1e9 parameters */
  { EVO_WEIGHT_BF16, 1, 2048, 2048 }, { EVO_WEIGHT_BF16, 1, 5632, 2048 }, { EVO_WEIGHT_BF16, 1, 32000, 2048 },
  { EVO_WEIGHT_F16, 1, 5632, 2048 }, { EVO_WEIGHT_F32, 1, 5632, 2048 }, { EVO_WEIGHT_BF16, 512, 2048, 2048 },
  { EVO_WEIGHT_BF16, 512, 2048, 5632 }, { EVO_WEIGHT_F16, 512, 2048, 2048 }, { EVO_WEIGHT_F32, 512, 2048, 2048 }
};

static void
bench_products (const EvoKernels *const *table, guint n_tables)
{
  double limit[MAX_TABLES];

  printf ("\nmatmul; limit measured by multiply-adds on registers (of tiles: a third, three products for one)\n");
  for (guint t = 0; t < n_tables; t++)
    printf ("  %-10s %7.1f GFLOP/s\n", table[t]->isa, (limit[t] = peak (table[t])) * 1e-9);
  for (guint i = 0; i < G_N_ELEMENTS (products); i++)
    for (guint t = 1; t < n_tables; t++)
      if (t < 3 || products[i].type == EVO_WEIGHT_BF16)
        bench_product (table[t], products[i].type, products[i].m, products[i].n_rows, products[i].n_cols, limit[t]);
}

/* ------------------------------------------------------------------ attention */

typedef struct {
  const EvoKernels *k;
  gsize n_q, n_heads, n_keys, head_dim;
  const float *q, *keys, *values;
  float *y;
  gpointer scratch;
} Attention;

static void
run_attend_many (gpointer data)
{
  Attention *a = data;
  const gsize ld = a->n_heads * a->head_dim;

  a->k->attend_many (a->y, ld, a->q, ld, a->n_q, a->n_heads, a->keys, a->values, 2 * a->head_dim, a->n_keys, 1, a->head_dim, 0.2,
                     a->scratch);
}

static void
run_attend (gpointer data)
{
  Attention *a = data;
  const gsize ld = a->n_heads * a->head_dim;

  for (gsize i = 0; i < a->n_q; i++)
    for (gsize h = 0; h < a->n_heads; h++)
      a->k->attend (a->y + i * ld + h * a->head_dim, a->q + i * ld + h * a->head_dim, a->keys, a->values, 2 * a->head_dim,
                    a->n_keys + i, a->head_dim, 0.2, a->scratch);
}

static void
bench_attention (const EvoKernels *const *table, guint n_tables, const Data *d)
{
  static const struct { gsize n_q, n_heads, n_keys, head_dim; } shapes[] = {
    { 45, 2, 1, 32 }, { 1, 2, 60, 32 }, { 1, 1, 60, 32 }, { 1, 8, 60, 64 }, { 100, 8, 1, 64 }, { 1, 8, 400, 64 }, { 1, 1, 100, 128 }
  };

  printf ("\nattention, ns for one query head (two columns: attend_many, attend)\n");
  for (guint i = 0; i < G_N_ELEMENTS (shapes); i++) {
    printf ("  %3zu positions x %zu heads, keys from %3zu, head_dim %3zu:", shapes[i].n_q, shapes[i].n_heads, shapes[i].n_keys, shapes[i].head_dim);
    for (guint t = 0; t < MIN (n_tables, 3); t++) {
      Attention a = { table[t], shapes[i].n_q, shapes[i].n_heads, shapes[i].n_keys, shapes[i].head_dim, d->a, d->b, d->c, d->y, NULL };
      const double n = (double) (a.n_q * a.n_heads) * 1e-9;

      a.scratch = g_aligned_alloc (MAX (a.k->attend_scratch (a.n_q, a.n_heads, a.n_keys, 1, a.head_dim), 4096), 1, 64);
      printf ("  %s %.0f", a.k->isa, seconds (run_attend_many, &a) / n);
      printf (" %.0f", seconds (run_attend, &a) / n);
      g_aligned_free (a.scratch);
    }
    printf ("\n");
  }
}

static float *
aligned_numbers (guint32 seed)
{
  g_autofree float *x = test_numbers (N, seed, FALSE);

  return memcpy (g_aligned_alloc (N, sizeof (float), 64), x, N * sizeof (float));
}

/* What one core reads from memory: the limit of a product with one row. */
static void
run_read (gpointer data)
{
  const float *x = data;

  for (gsize i = 0; i < FAR; i += N)
    sink = evo_kernels_get ()->sum (x + i, N);
}

static void
bench_memory (void)
{
  float *x = g_aligned_alloc0 (FAR, sizeof (float), 64);

  memset (x, 1, FAR * sizeof (float));
  printf ("one core reads %.1f GB/s from %d MiB\n\n", (double) FAR * 4 / seconds (run_read, x) * 1e-9, FAR >> 18);
  g_aligned_free (x);
}

int
test_bench (void)
{
  const EvoKernels *table[MAX_TABLES] = { &evo_kernels_ref };
  g_autofree guint64 *count = g_new0 (guint64, 65536);
  Data d = { NULL, aligned_numbers (1), aligned_numbers (2), aligned_numbers (3), aligned_numbers (4), aligned_numbers (5),
             (guint16 *) aligned_numbers (6), count };
  guint n_tables = 1;

  for (; n_tables < MAX_TABLES && test_table (n_tables - 1) != NULL; n_tables++)
    table[n_tables] = test_table (n_tables - 1);
  printf ("%s\n\n", evo_kernels_numerics ());
  bench_memory ();
  bench_slots (table, n_tables, &d);
  bench_products (table, n_tables);
  bench_attention (table, n_tables, &d);
  for (gsize i = 0; i < 6; i++)
    g_aligned_free (((gpointer[]){ (gpointer) d.a, (gpointer) d.b, (gpointer) d.c, d.y, d.z, d.h })[i]);
  return 0;
}
