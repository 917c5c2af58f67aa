/* SPDX-License-Identifier: Apache-2.0
 * merge.c - merge kernels have the same bits on every CPU: ref against each table, and ref against facts.
 */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One call's operands, each exactly as long as it may be touched (AddressSanitizer sees the rest), and all it can give. */
typedef struct {
  gsize n;
  gint64 first;
  const float *a, *b, *c;
  float *y, *z;
  guint16 *h;
  const guint16 *g;
  double sum;
} Call;

typedef struct {
  const char *name;
  void (*run) (const EvoKernels *k, Call *c);
} Slot;

static void run_zero (const EvoKernels *k, Call *c) { k->zero (c->y, c->n); }
static void run_copy (const EvoKernels *k, Call *c) { k->copy (c->y, c->a, c->n); }
static void run_scale (const EvoKernels *k, Call *c) { k->scale (c->y, 0.3, c->n); }
static void run_axpy (const EvoKernels *k, Call *c) { k->axpy (c->y, c->a, -1.7, c->n); }
static void run_axpy_self (const EvoKernels *k, Call *c) { k->axpy (c->y, c->y, 0.1, c->n); }
static void run_axpy_diff (const EvoKernels *k, Call *c) { k->axpy_diff (c->y, c->a, c->b, 1.1, c->n); }
static void run_add (const EvoKernels *k, Call *c) { k->add (c->y, c->a, c->n); }
static void run_sub (const EvoKernels *k, Call *c) { k->sub (c->y, c->a, c->b, c->n); }
static void run_sub_self (const EvoKernels *k, Call *c) { k->sub (c->y, c->y, c->b, c->n); }
static void run_mul (const EvoKernels *k, Call *c) { k->mul (c->y, c->a, c->b, c->n); }
static void run_div (const EvoKernels *k, Call *c) { k->div (c->y, c->a, c->b, c->n); }
static void run_mix (const EvoKernels *k, Call *c) { k->mix (c->y, c->a, c->b, 0.7, 0.3, c->n); }
static void run_mix_self (const EvoKernels *k, Call *c) { k->mix (c->y, c->a, c->y, 0.7, 0.3, c->n); }
static void run_abs (const EvoKernels *k, Call *c) { k->abs (c->y, c->a, c->n); }
static void run_keep_top (const EvoKernels *k, Call *c) { k->keep_top (c->y, c->a, 1, c->first + (gint64) c->n / 2, c->first, c->n); }
static void run_keep_none (const EvoKernels *k, Call *c) { k->keep_top (c->y, c->a, INFINITY, -1, c->first, c->n); }
static void run_keep_all (const EvoKernels *k, Call *c) { k->keep_top (c->y, c->a, 0, G_MAXINT64, c->first, c->n); }
static void run_uniform (const EvoKernels *k, Call *c) { k->uniform (c->y, G_GUINT64_CONSTANT (0xdeadbeef12345678), c->first, c->n); }
static void run_keep_random (const EvoKernels *k, Call *c) { k->keep_random (c->y, c->a, 77, c->first, 0.3, 1 / 0.3, c->n); }
static void run_keep_always (const EvoKernels *k, Call *c) { k->keep_random (c->y, c->y, 77, c->first, 1, 2, c->n); }
static void run_keep_never (const EvoKernels *k, Call *c) { k->keep_random (c->y, c->a, 77, c->first, 0, 1, c->n); }
static void run_keep_nan (const EvoKernels *k, Call *c) { k->keep_random (c->y, c->a, 77, c->first, NAN, 1, c->n); }
static void run_keep_exact (const EvoKernels *k, Call *c) { k->keep_random (c->y, c->a, 5, c->first, 8388608.5 * 0x1p-24, 1, c->n); }

static void
run_elect (const EvoKernels *k, Call *c)
{
  const float *d[] = { c->a, c->b, c->c };
  const double w[] = { 0.5, -0.25, 1.5 };

  k->elect (c->y, c->z, d, w, NULL, 3, c->n);
}

static void
run_elect_voted (const EvoKernels *k, Call *c)
{
  const float *d[] = { c->a, c->b, c->c };
  const double w[] = { 0.5, -0.25, 1.5 }, v[] = { 1, 1, 0.125 };

  k->elect (c->y, c->z, d, w, v, 3, c->n);
}

static void
run_elect_alone (const EvoKernels *k, Call *c)
{
  const float *d[] = { c->a, c->b };
  const double w[] = { 1, 1 };

  k->elect (c->y, NULL, d, w, NULL, 2, c->n);
  k->elect (c->z, NULL, NULL, NULL, NULL, 0, c->n);
}

static void run_sum (const EvoKernels *k, Call *c) { c->sum = k->sum (c->a, c->n); }
static void run_sum_abs (const EvoKernels *k, Call *c) { c->sum = k->sum_abs (c->a, c->n); }
static void run_dot (const EvoKernels *k, Call *c) { c->sum = k->dot (c->a, c->b, c->n); }
static void run_dot_diff (const EvoKernels *k, Call *c) { c->sum = k->dot_diff (c->a, c->b, c->c, c->n); }
static void run_from_bf16 (const EvoKernels *k, Call *c) { k->f32_from_bf16 (c->y, c->g, c->n); }
static void run_from_f16 (const EvoKernels *k, Call *c) { k->f32_from_f16 (c->y, c->g, c->n); }
static void run_to_bf16 (const EvoKernels *k, Call *c) { k->bf16_from_f32 (c->h, c->a, c->n); }
static void run_to_f16 (const EvoKernels *k, Call *c) { k->f16_from_f32 (c->h, c->a, c->n); }
static void run_bf16_all_finite (const EvoKernels *k, Call *c)
{
  guint16 *odd = (guint16 *) c->y;
  const gsize n = 2 * c->n;

  k->bf16_from_f32 (odd, c->a, c->n);
  k->bf16_from_f32 (odd + c->n, c->a, c->n);
  c->sum = k->bf16_all_finite (odd, n);
  if (n > 0)
    odd[n / 2] = 0xff80; /* minus infinity, wherever it lies */
  c->sum += 2 * k->bf16_all_finite (odd, n);
}
static void run_all_finite (const EvoKernels *k, Call *c) { c->sum = k->all_finite (c->a, c->n) + 2 * k->all_finite (c->y, c->n); }

static void
run_divergence (const EvoKernels *k, Call *c)
{
  g_autofree double *work = g_new (double, 3 * c->n + 1);

  c->sum = k->divergence (c->a, c->b, 1e-8, c->n, work);
}

static void
keep_ranked (const EvoKernels *k, Call *c, double low, double step, int divide)
{
  g_autofree guint64 *work = g_new (guint64, 4 * c->n + 1);
  g_autofree float *u = g_new (float, c->n + 1);

  evo_kernels_ref.uniform (u, 6, c->first, c->n);
  k->keep_ranked (c->y, c->a, u, low, step / (double) MAX (c->n, 1), divide, c->n, work);
}

static void run_keep_ranked (const EvoKernels *k, Call *c) { keep_ranked (k, c, 0.35, 0.3, FALSE); }
static void run_keep_ranked_wide (const EvoKernels *k, Call *c) { keep_ranked (k, c, 0, 1, FALSE); }
static void run_keep_ranked_divided (const EvoKernels *k, Call *c) { keep_ranked (k, c, 0.35, 0.3, TRUE); }

static void
run_deviation (const EvoKernels *k, Call *c)
{
  const float *x[] = { c->a, c->b, c->c };

  k->deviation (c->y, x, 3, c->n);
  k->deviation (c->z, x, 1, c->n);
}

static const Slot slots[] = {
  { "zero", run_zero }, { "copy", run_copy }, { "scale", run_scale }, { "axpy", run_axpy }, { "axpy y += a y", run_axpy_self },
  { "axpy_diff", run_axpy_diff }, { "add", run_add }, { "sub", run_sub }, { "sub in place", run_sub_self }, { "mul", run_mul },
  { "div", run_div }, { "mix", run_mix }, { "mix in place", run_mix_self }, { "abs", run_abs }, { "keep_top", run_keep_top },
  { "keep_top none", run_keep_none }, { "keep_top all", run_keep_all }, { "uniform", run_uniform }, { "keep_random", run_keep_random },
  { "keep_random density 1", run_keep_always }, { "keep_random density 0", run_keep_never }, { "keep_random NaN", run_keep_nan },
  { "keep_random between two", run_keep_exact }, { "elect", run_elect }, { "elect with votes", run_elect_voted }, { "elect without share", run_elect_alone }, { "sum", run_sum },
  { "sum_abs", run_sum_abs }, { "dot", run_dot }, { "dot_diff", run_dot_diff }, { "f32_from_bf16", run_from_bf16 },
  { "f32_from_f16", run_from_f16 }, { "bf16_from_f32", run_to_bf16 }, { "f16_from_f32", run_to_f16 }, { "all_finite", run_all_finite },
  { "bf16_all_finite", run_bf16_all_finite },
  { "divergence", run_divergence }, { "keep_ranked", run_keep_ranked }, { "keep_ranked from 0 to 1", run_keep_ranked_wide },
  { "keep_ranked divided", run_keep_ranked_divided }, { "deviation", run_deviation }
};

/* n elements that begin `offset` elements into a piece of memory which ends with them */
static gpointer
unaligned (gconstpointer from, gsize n, gsize size, gsize offset)
{
  char *p = g_malloc (MAX ((n + offset) * size, 1));

  memcpy (p + offset * size, from, n * size);
  return p;
}

typedef struct {
  gsize n, offset;
  float *a, *b, *c, *y, *z, *at_y, *at_z;
  guint16 *g, *h;
  Call call;
} Setting;

static void
setting_init (Setting *s, gsize n, gsize offset, gint64 first, gboolean special)
{
  g_autofree float *a = test_numbers (n, 1, special), *b = test_numbers (n, 2, special), *c = test_numbers (n, 3, special);
  g_autofree float *y = test_numbers (n, 4, FALSE);

  *s = (Setting){ n, offset };
  s->a = unaligned (a, n, 4, offset);
  s->b = unaligned (b, n, 4, (offset + 1) % 4);
  s->c = unaligned (c, n, 4, (offset + 2) % 4);
  s->y = unaligned (y, n, 4, offset);
  s->z = unaligned (y, n, 4, 0);
  s->h = unaligned (y, n, 2, offset);
  s->g = unaligned (a, n, 2, offset);
  s->call = (Call){ n, first, s->a + offset, s->b + (offset + 1) % 4, s->c + (offset + 2) % 4, s->y + offset, s->z, s->h + offset,
                    s->g + offset, 0 };
}

static void
setting_clear (Setting *s)
{
  g_free (s->a);
  g_free (s->b);
  g_free (s->c);
  g_free (s->y);
  g_free (s->z);
  g_free (s->h);
  g_free (s->g);
}

static void
check_same (const EvoKernels *k, const Slot *slot, const Call *x, const Call *y)
{
  for (gsize i = 0; i < x->n; i++)
    if (!test_same (x->y[i], y->y[i]) || !test_same (x->z[i], y->z[i]) || x->h[i] != y->h[i]) {
      g_test_message ("%s %s, n = %zu, element %zu: ref %a %a %04x, here %a %a %04x", k->isa, slot->name, x->n, i, (double) x->y[i],
                      (double) x->z[i], x->h[i], (double) y->y[i], (double) y->z[i], y->h[i]);
      g_test_fail ();
      return;
    }
  if (memcmp (&x->sum, &y->sum, sizeof x->sum) != 0 && !(isnan (x->sum) && isnan (y->sum))) {
    g_test_message ("%s %s, n = %zu: ref %a, here %a", k->isa, slot->name, x->n, x->sum, y->sum);
    g_test_fail ();
  }
}

static void
check_slot (const EvoKernels *k, const Slot *slot, gsize n, gsize offset, gint64 first, gboolean special)
{
  Setting x, y;

  setting_init (&x, n, offset, first, special);
  setting_init (&y, n, offset, first, special);
  slot->run (&evo_kernels_ref, &x.call);
  slot->run (k, &y.call);
  check_same (k, slot, &x.call, &y.call);
  setting_clear (&x);
  setting_clear (&y);
}

static void
test_same_bits (gconstpointer data)
{
  const Slot *slot = data;

  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < test_n_lengths; i++)
      for (gsize offset = 0; offset < 4; offset++) {
        check_slot (test_table (t), slot, test_lengths[i], offset, (gint64) offset, FALSE);
        check_slot (test_table (t), slot, test_lengths[i], offset, (G_GINT64_CONSTANT (1) << 34) - 37 + (gint64) offset, TRUE);
      }
}

/* ------------------------------------------------------------------ facts */

/* Philox4x32-10 of counter 0 and key 0: a known answer of Random123 (kat_vectors); of its others the counters' upper words are not zero. */
static void
test_philox (void)
{
  static const guint32 known[] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };

  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++) {
    const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);
    float u[64];

    k->uniform (u, 0, 0, 64);
    for (guint i = 0; i < 4; i++)
      g_assert_cmpfloat (u[i], ==, (float) (known[i] >> 8) * 0x1p-24f);
  }
}

/* The numbers are spread evenly: mean and mean square of n numbers within 5 standard deviations of 1/2 and 1/3. */
static void
test_uniform_moments (void)
{
  enum { N = 1 << 18 };
  g_autofree float *u = g_new (float, N);

  evo_kernels_get ()->uniform (u, 9, 3, N);
  g_assert_cmpfloat (fabs (evo_kernels_ref.sum (u, N) / N - 0.5), <, 5 * sqrt (1.0 / 12 / N));
  g_assert_cmpfloat (fabs (evo_kernels_ref.dot (u, u, N) / N - 1.0 / 3), <, 5 * sqrt (4.0 / 45 / N));
}

/* Masks are nested: what a low density keeps, a higher one keeps too. A mask depends on the element, not on where the slice begins. */
static void
test_masks (void)
{
  enum { N = 1000 };
  const EvoKernels *k = evo_kernels_get ();
  float x[N], low[N], high[N];

  for (guint i = 0; i < N; i++)
    x[i] = 1;
  k->keep_random (low, x, 4, 0, 0.3, 1, N);
  k->keep_random (high, x, 4, 0, 0.31, 1, N);
  for (guint i = 0; i < N; i++)
    g_assert_cmpfloat (low[i], <=, high[i]);
  k->keep_random (high, x, 4, 501, 0.3, 1, N - 501);
  g_assert_cmpmem (low + 501, sizeof (float) * (N - 501), high, sizeof (float) * (N - 501));
}

/* Kept where u < density, exactly: not where they are equal, but with the next larger density. */
static void
test_mask_edge (void)
{
  enum { N = 300 };
  float u[N], y[N], ones[N];

  evo_kernels_ref.uniform (u, 8, 0, N);
  for (guint i = 0; i < N; i++)
    ones[i] = 1;
  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++)
    for (guint i = 0; i < N; i++) {
      const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);

      k->keep_random (y, ones, 8, 0, (double) u[i], 1, N);
      g_assert_cmpfloat (y[i], ==, 0);
      k->keep_random (y, ones, 8, 0, nextafter ((double) u[i], 1), 1, N);
      g_assert_cmpfloat (y[i], ==, 1);
    }
}

/* y [n] by the definition, every rank counted */
static void
rank_and_keep (double *y, const float *x, const float *u, double low, double step, gboolean divide, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    gsize rank = 0;

    for (gsize j = 0; j < n; j++)
      rank += fabsf (x[j]) < fabsf (x[i]) || (j > i && fabsf (x[j]) == fabsf (x[i]));
    const double p = low + (double) rank * step;

    y[i] = (double) u[i] >= p ? 0 : divide ? (double) (float) ((double) x[i] / p) : (double) x[i];
  }
}

/* Numbers that differ, that are few (many of a rank of its own each), that lie near one another, and zeros: exactly what the definition keeps. */
static void
test_ranked (void)
{
  enum { N = 1500 };
  float x[N], u[N], y[N];
  double wanted[N];
  g_autofree float *random = test_numbers (N, 5, FALSE);
  g_autofree guint64 *work = g_new (guint64, 4 * N);

  for (guint kind = 0; kind < 4; kind++)
    for (gsize n = 1; n <= N; n = 3 * n + 1)
      for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++) {
        const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);

        for (gsize i = 0; i < n; i++)
          x[i] = kind == 0 ? random[i] : kind == 1 ? rintf (3 * random[i]) : kind == 2 ? 1 + random[i] * 0x1p-10f : MAX (random[i], 0);
        k->uniform (u, kind, 0, n);
        for (gboolean divide = FALSE; divide <= TRUE; divide++) {
          k->keep_ranked (y, x, u, 0.25, 0.5 / (double) n, divide, n, work);
          rank_and_keep (wanted, x, u, 0.25, 0.5 / (double) n, divide, n);
          for (gsize i = 0; i < n; i++)
            g_assert_cmpfloat ((double) y[i], ==, wanted[i]);
        }
      }
}

/* Rows about as long as the counts of magnitudes reach, all of one magnitude, so that one count takes them all: as the reference has it. */
static void
test_ranked_long (void)
{
  const gsize most = 4 * 65535;
  g_autofree float *x = g_new (float, most + 1), *u = g_new (float, most + 1), *y = g_new (float, most + 1), *wanted = g_new (float, most + 1);
  g_autofree guint64 *work = g_new (guint64, 4 * (most + 1));

  for (gsize i = 0; i <= most; i++)
    x[i] = 0.25f;
  evo_kernels_ref.uniform (u, 3, 0, most + 1);
  for (gsize n = most - 1; n <= most + 1; n++) {
    evo_kernels_ref.keep_ranked (wanted, x, u, 0.25, 0.5 / (double) n, FALSE, n, work);
    for (guint t = 0; test_table (t) != NULL; t++) {
      test_table (t)->keep_ranked (y, x, u, 0.25, 0.5 / (double) n, FALSE, n, work);
      g_assert_cmpmem (y, n * sizeof (float), wanted, n * sizeof (float));
    }
  }
}

/* The value of a half from its definition: sign, 5 bits of exponent, 10 of mantissa. */
static double
half_value (guint16 x)
{
  const gint exponent = x >> 10 & 31, mantissa = x & 1023;
  double m = ldexp (exponent == 0 ? mantissa : 1024 + mantissa, MAX (exponent, 1) - 25);

  if (exponent == 31)
    m = mantissa == 0 ? HUGE_VAL : NAN;
  return x & 0x8000 ? -m : m;
}

/* All 65536 of both 16-bit types: widened exactly, and back again the same. */
static void
test_all_16_bit (void)
{
  g_autofree guint16 *x = g_new (guint16, 65536), *back = g_new (guint16, 65536);
  g_autofree float *f = g_new (float, 65536);

  for (guint i = 0; i < 65536; i++)
    x[i] = (guint16) i;
  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++) {
    const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);

    k->f32_from_f16 (f, x, 65536);
    k->f16_from_f32 (back, f, 65536);
    for (guint i = 0; i < 65536; i++) {
      const double v = half_value (x[i]);

      g_assert_true (isnan (v) ? isnan (f[i]) : (double) f[i] == v && !signbit (f[i]) == !signbit (v));
      g_assert_cmpuint (back[i], ==, isnan (v) ? x[i] | 0x200 : x[i]);
    }
    k->f32_from_bf16 (f, x, 65536);
    k->bf16_from_f32 (back, f, 65536);
    for (guint i = 0; i < 65536; i++) {
      g_assert_cmpuint (test_bits (f[i]), ==, i << 16);
      g_assert_cmpuint (back[i], ==, isnan (f[i]) ? x[i] | 0x40 : x[i]);
    }
  }
}

/* Around every 16-bit number: half way to the next goes to the even one, a little less or more to the nearer. */
static void
check_rounding (void (*narrow) (guint16 *, const float *, gsize), void (*wide) (float *, const guint16 *, gsize))
{
  for (guint16 i = 0; i < 0x7bff; i++) {
    const guint16 pair[] = { i, (guint16) (i + 1) };
    float value[2], x[3];
    guint16 y[3];

    wide (value, pair, 2);
    x[1] = (float) (((double) value[0] + (double) value[1]) / 2);
    x[0] = nextafterf (x[1], 0);
    x[2] = nextafterf (x[1], INFINITY);
    narrow (y, x, 3);
    g_assert_cmpuint (y[0], ==, i);
    g_assert_cmpuint (y[1], ==, i + (i & 1));
    g_assert_cmpuint (y[2], ==, i + 1);
  }
}

static void
test_rounding (void)
{
  const float beyond[] = { 65519.996f, 65520, FLT_MAX, -65520 };
  guint16 y[4];

  check_rounding (evo_kernels_ref.f16_from_f32, evo_kernels_ref.f32_from_f16);
  check_rounding (evo_kernels_ref.bf16_from_f32, evo_kernels_ref.f32_from_bf16);
  evo_kernels_ref.f16_from_f32 (y, beyond, 4);
  g_assert_true (y[0] == 0x7bff && y[1] == 0x7c00 && y[2] == 0x7c00 && y[3] == 0xfc00);
}

/* ------------------------------------------------------------------ the exact k-th largest */

static int
descending (gconstpointer a, gconstpointer b)
{
  const float x = *(const float *) a, y = *(const float *) b;

  return x < y ? 1 : x > y ? -1 : 0;
}

/* The bin the rank-th largest is in, counted from the top; *rank becomes its rank within the bin. */
static guint32
bin_of (const guint64 *count, guint64 *rank)
{
  guint32 bin = 65535;

  for (; *rank > count[bin]; bin--)
    *rank -= count[bin];
  return bin;
}

static float
kth_largest (const EvoKernels *k, const float *key, gsize n, guint64 rank)
{
  g_autofree guint64 *count = g_new0 (guint64, 65536);
  guint32 high, bits;
  float x;

  k->histogram (count, key, 0, 0, n);
  high = bin_of (count, &rank);
  memset (count, 0, 65536 * sizeof *count);
  k->histogram (count, key, high, 1, n);
  bits = high << 16 | bin_of (count, &rank);
  memcpy (&x, &bits, sizeof x);
  return x;
}

static void
test_kth_largest (void)
{
  enum { N = 20001 };
  g_autofree float *key = test_numbers (N, 5, FALSE), *sorted = NULL, *kept = g_new (float, N);

  for (gsize i = 0; i < N; i++)
    key[i] = i % 3 == 0 ? fabsf (roundf (key[i] * 8) / 8) : fabsf (key[i]); /* many ties, and many zeros */
  sorted = g_memdup2 (key, N * sizeof (float));
  qsort (sorted, N, sizeof (float), descending);
  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++)
    for (guint64 rank = 1; rank <= N; rank += rank < 10 ? 1 : 1999) {
      const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);
      const float cut = kth_largest (k, key, N, rank);
      guint64 above = 0, left, n_kept = 0;
      gint64 last_tie = -1;

      g_assert_cmpfloat (cut, ==, sorted[rank - 1]);
      while (sorted[above] > cut)
        above++;
      left = rank - above;
      for (gsize i = 0; i < N && left > 0; i++)
        if (key[i] == cut && left-- == 1)
          last_tie = (gint64) i;
      k->keep_top (kept, key, cut, last_tie + 100, 100, N);
      for (gsize i = 0; i < N; i++)
        n_kept += key[i] > cut || (key[i] == cut && (gint64) i <= last_tie);
      g_assert_cmpuint (n_kept, ==, rank);
      for (gsize i = 0; i < N; i++)
        g_assert_cmpfloat (kept[i], ==, key[i] > cut || (key[i] == cut && (gint64) i <= last_tie) ? key[i] : 0);
    }
}

static void
test_histogram_same (void)
{
  for (guint t = 0; test_table (t) != NULL; t++)
    for (guint i = 0; i < test_n_lengths; i++)
      for (int low = 0; low < 2; low++) {
        const gsize n = test_lengths[i];
        g_autofree float *numbers = test_numbers (n, 6, TRUE), *key = unaligned (numbers, n, 4, 1);
        g_autofree guint64 *a = g_new0 (guint64, 65536), *b = g_new0 (guint64, 65536);

        evo_kernels_ref.histogram (a, key + 1, 0x3f80, low, n);
        test_table (t)->histogram (b, key + 1, 0x3f80, low, n);
        g_assert_cmpmem (a, 65536 * sizeof *a, b, 65536 * sizeof *b);
      }
}

/* Worked by hand from the paper's definition. */
static void
test_elect_by_hand (void)
{
  const float a[] = { 1, -1, 0, 2, NAN }, b[] = { 2, 3, 0, -2, 1 }, c[] = { -4, -1, -1, 0, 1 }, *d[] = { a, b, c };
  const double w[] = { 1, 1, 0.5 }, votes[] = { 1, 1, 2 };
  float y[5], share[5];

  for (guint t = 0; t == 0 || test_table (t - 1) != NULL; t++) {
    const EvoKernels *k = t == 0 ? &evo_kernels_ref : test_table (t - 1);

    k->elect (y, share, d, w, NULL, 3, 5);
    g_assert_true (y[0] == 3 && share[0] == 2);       /* 1 + 2 - 2: positive, the first two agree */
    g_assert_true (y[1] == 3 && share[1] == 1);       /* -1 + 3 - 0.5 */
    g_assert_true (y[2] == -0.5f && share[2] == 0.5f);/* zeros never agree */
    g_assert_true (y[3] == 2 && share[3] == 1);       /* a tie counts as positive */
    g_assert_true (isnan (y[4]));
    k->elect (y, share, d, w, votes, 3, 5);
    g_assert_true (y[0] == -2 && share[0] == 0.5f);   /* 1 + 2 - 8: the third wins, and brings its weight */
    g_assert_true (y[1] == 3 && share[1] == 1);       /* -1 + 3 - 2 = 0 counts as positive */
    g_assert_true (isnan (y[4]));
  }
}

void
test_add_merge (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (slots); i++) {
    g_autofree char *path = g_strconcat ("/kernels/same-bits/", slots[i].name, NULL);

    g_test_add_data_func (path, &slots[i], test_same_bits);
  }
  g_test_add_func ("/kernels/philox-known-answer", test_philox);
  g_test_add_func ("/kernels/uniform-moments", test_uniform_moments);
  g_test_add_func ("/kernels/masks", test_masks);
  g_test_add_func ("/kernels/ranked", test_ranked);
  g_test_add_func ("/kernels/ranked-long", test_ranked_long);
  g_test_add_func ("/kernels/mask-edge", test_mask_edge);
  g_test_add_func ("/kernels/all-16-bit-numbers", test_all_16_bit);
  g_test_add_func ("/kernels/rounding", test_rounding);
  g_test_add_func ("/kernels/kth-largest", test_kth_largest);
  g_test_add_func ("/kernels/histogram-same", test_histogram_same);
  g_test_add_func ("/kernels/elect-by-hand", test_elect_by_hand);
}
