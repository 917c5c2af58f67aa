/* SPDX-License-Identifier: Apache-2.0
 * test-dtype.c - every code of the narrow types, every tie between neighbours, overflow, odd addresses; names; shapes.
 *
 * What a code means is defined here anew, by ldexp in double; conversions are compared bit for bit.
 */
#include <math.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/tensor/shape.h"

typedef struct {
  EvoDtype dtype;
  guint bits, mantissa;
  gint bias;
  gboolean has_infinity;  /* the largest exponent is infinity and NaN; else only all ones is NaN */
} Format;

static const Format formats[] = {
  { EVO_DTYPE_F8_E4M3, 8, 3, 7, FALSE },
  { EVO_DTYPE_F8_E5M2, 8, 2, 15, TRUE },
  { EVO_DTYPE_F16, 16, 10, 15, TRUE },
  { EVO_DTYPE_BF16, 16, 7, 127, TRUE },
};

static double
meaning (const Format *f, guint32 code)
{
  guint32 top = 1u << (f->bits - 1), magnitude = code & (top - 1), fraction = magnitude & ((1u << f->mantissa) - 1);
  gint exponent = (gint) (magnitude >> f->mantissa), last = (1 << (f->bits - 1 - f->mantissa)) - 1;
  double sign = (code & top) != 0 ? -1 : 1, v;

  if (exponent == last && f->has_infinity)
    return fraction != 0 ? (double) NAN : sign * HUGE_VAL;
  if (magnitude == top - 1)
    return (double) NAN;
  v = exponent == 0 ? ldexp (fraction, 1 - f->bias - (gint) f->mantissa)
                    : ldexp (fraction + (1u << f->mantissa), exponent - f->bias - (gint) f->mantissa);
  return sign * v;
}

static guint32
largest_code (const Format *f)
{
  guint32 all = (1u << (f->bits - 1)) - 1;

  return f->has_infinity ? all - (1u << f->mantissa) : all - 1;
}

/* n codes at once, as bytes of the format: whole vectors and what is left over take different ways through the kernels. */
static void
decode (const EvoKernels *k, const Format *f, const guint32 *codes, float *y, gsize n)
{
  g_autofree guint8 *narrow = g_new (guint8, n);
  g_autofree guint16 *wide = g_new (guint16, n);

  for (gsize i = 0; i < n; i++) {
    narrow[i] = (guint8) codes[i];
    wide[i] = (guint16) codes[i];
  }
  evo_dtype_to_f32 (k, y, f->dtype, f->bits == 8 ? (gconstpointer) narrow : wide, n);
}

static void
encode (const EvoKernels *k, const Format *f, const float *x, guint32 *codes, gsize n)
{
  g_autofree guint8 *narrow = g_new (guint8, n);
  g_autofree guint16 *wide = g_new (guint16, n);

  evo_dtype_from_f32 (k, f->bits == 8 ? (gpointer) narrow : wide, f->dtype, x, n);
  for (gsize i = 0; i < n; i++)
    codes[i] = f->bits == 8 ? narrow[i] : wide[i];
}

static guint32
encode_one (const EvoKernels *k, const Format *f, float x)
{
  guint32 code;

  encode (k, f, &x, &code, 1);
  return code;
}

static const EvoKernels *
table (gconstpointer isa)
{
  const EvoKernels *k = evo_kernels_get_for (isa);

  if (k == NULL)
    g_test_skip ("not on this CPU");
  return k;
}

static void
check_codes (const EvoKernels *k, const Format *f)
{
  gsize n = (gsize) 1 << f->bits;
  g_autofree guint32 *codes = g_new (guint32, n), *back = g_new (guint32, n);
  g_autofree float *y = g_new (float, n);

  for (guint32 code = 0; code < n; code++)
    codes[code] = code;
  decode (k, f, codes, y, n);
  encode (k, f, y, back, n);
  for (guint32 code = 0; code < n; code++) {
    double want = meaning (f, code);

    if (isnan (want)) {
      g_assert_true (isnan (y[code]));
      g_assert_true (isnan (meaning (f, back[code])));
    } else {
      g_assert_true (y[code] == want && !signbit (y[code]) == !signbit (want));
      g_assert_cmpuint (back[code], ==, code);
    }
  }
}

static void
test_codes (gconstpointer isa)
{
  const EvoKernels *k = table (isa);

  for (guint i = 0; k != NULL && i < G_N_ELEMENTS (formats); i++)
    check_codes (k, &formats[i]);
}

/* All neighbours of one sign: halfway goes to the even code, a bit beside it to the nearer one. */
static void
check_ties (const EvoKernels *k, const Format *f, guint32 sign)
{
  gsize n = largest_code (f);
  g_autofree guint32 *codes = g_new (guint32, 3 * n), *want = g_new (guint32, 3 * n);
  g_autofree float *x = g_new (float, 3 * n);

  for (guint32 code = 0; code < n; code++) {
    guint32 low = code | sign << (f->bits - 1), high = low + 1;
    float middle = (float) ((meaning (f, low) + meaning (f, high)) / 2); /* exact: one bit more than the format has */

    x[3 * code] = middle;
    want[3 * code] = code % 2 == 0 ? low : high;
    x[3 * code + 1] = nextafterf (middle, (float) meaning (f, low));
    want[3 * code + 1] = low;
    x[3 * code + 2] = nextafterf (middle, (float) meaning (f, high));
    want[3 * code + 2] = high;
  }
  encode (k, f, x, codes, 3 * n);
  for (gsize i = 0; i < 3 * n; i++)
    g_assert_cmpuint (codes[i], ==, want[i]);
}

static void
test_ties (gconstpointer isa)
{
  const EvoKernels *k = table (isa);

  for (guint i = 0; k != NULL && i < G_N_ELEMENTS (formats); i++)
    for (guint32 sign = 0; sign < 2; sign++)
      check_ties (k, &formats[i], sign);
}

static void
test_overflow (gconstpointer isa)
{
  const EvoKernels *k = table (isa);

  for (guint i = 0; k != NULL && i < G_N_ELEMENTS (formats); i++) {
    const Format *f = &formats[i];
    guint32 top = 1u << (f->bits - 1), largest = largest_code (f), beyond = largest + 1;
    double last = meaning (f, largest), step = last - meaning (f, largest - 1);
    float edge = (float) (last + step / 2);

    g_assert_cmpuint (encode_one (k, f, nextafterf (edge, 0)), ==, largest);
    g_assert_cmpuint (encode_one (k, f, -nextafterf (edge, 0)), ==, largest | top);
    g_assert_cmpuint (encode_one (k, f, edge), ==, largest % 2 == 0 ? largest : beyond); /* e4m3: 464 is a tie, 448 is even */
    g_assert_cmpuint (encode_one (k, f, nextafterf (edge, HUGE_VALF)), ==, beyond);
    g_assert_cmpuint (encode_one (k, f, HUGE_VALF), ==, beyond);
    g_assert_cmpuint (encode_one (k, f, -HUGE_VALF), ==, beyond | top);
    g_assert_true (isnan (meaning (f, encode_one (k, f, NAN))));
    g_assert_true (isnan (meaning (f, encode_one (k, f, -NAN))));
    g_assert_cmpuint (encode_one (k, f, -0.0f), ==, top);
    if (f->dtype != EVO_DTYPE_BF16) /* bf16 has fp32's own exponents: its smallest numbers are among the ties */
      g_assert_cmpuint (encode_one (k, f, 1e-45f), ==, 0);
  }
  if (k != NULL) {
    g_assert_cmpuint (encode_one (k, &formats[0], 448), ==, 0x7e);
    g_assert_cmpuint (encode_one (k, &formats[1], 57344), ==, 0x7b);
    g_assert_cmpuint (encode_one (k, &formats[2], 65504), ==, 0x7bff);
  }
}

/* ------------------------------------------------------------------ f64, f32, runs */

static float
round_f64 (double x)
{
  float y;

  evo_dtype_to_f32 (evo_kernels_get (), &y, EVO_DTYPE_F64, &x, 1);
  return y;
}

static void
test_f64 (void)
{
  g_autoptr (GRand) r = g_rand_new_with_seed (3);

  g_assert_cmpfloat (round_f64 (1 + ldexp (1, -24)), ==, 1);
  g_assert_cmpfloat (round_f64 (1 + ldexp (3, -24)), ==, 1 + ldexp (1, -22));
  g_assert_cmpfloat (round_f64 (1 + ldexp (1, -24) + ldexp (1, -52)), ==, 1 + ldexp (1, -23));
  g_assert_cmpfloat (round_f64 (ldexp (1, -150)), ==, 0);
  g_assert_cmpfloat (round_f64 (ldexp (3, -150)), ==, ldexp (1, -148));
  g_assert_true (isinf (round_f64 (1e300)) && isinf (round_f64 (-1e39)) && isnan (round_f64 (NAN)));
  for (guint i = 0; i < 20000; i++) {
    double x = ldexp (g_rand_double_range (r, -1, 1), g_rand_int_range (r, -140, 120)), back;
    float y = round_f64 (x), up = nextafterf (y, HUGE_VALF), down = nextafterf (y, -HUGE_VALF);

    g_assert_true (fabs (y - x) <= fabs (up - x) && fabs (y - x) <= fabs (down - x));
    evo_dtype_from_f32 (evo_kernels_get (), &back, EVO_DTYPE_F64, &y, 1);
    g_assert_true (back == y);
  }
}

/* A run at any address and of any length gives what its elements give one by one, and touches nothing else. */
static void
test_runs (void)
{
  static const EvoDtype dtypes[] = { EVO_DTYPE_F32, EVO_DTYPE_F16, EVO_DTYPE_BF16, EVO_DTYPE_F64, EVO_DTYPE_F8_E4M3, EVO_DTYPE_F8_E5M2 };
  static const gsize lengths[] = { 0, 1, 7, 8, 9, 255, 256, 257, 1023, 1024, 1025, 3000 };
  const EvoKernels *k = evo_kernels_get ();
  g_autofree float *x = g_new (float, 3000), *y = g_new (float, 3001);
  g_autofree guint8 *bytes = g_malloc (3001 * 8 + 1);

  for (guint i = 0; i < 3000; i++)
    x[i] = (float) sin (i * 0.7) * (float) pow (10, i % 5 - 2.0);
  for (guint d = 0; d < G_N_ELEMENTS (dtypes); d++)
    for (guint l = 0; l < G_N_ELEMENTS (lengths); l++)
      for (guint odd = 0; odd < 2; odd++) {
        gsize n = lengths[l], size = evo_dtype_size (dtypes[d]);

        bytes[odd + n * size] = 0xa5;
        y[n] = 77;
        evo_dtype_from_f32 (k, bytes + odd, dtypes[d], x, n);
        evo_dtype_to_f32 (k, y, dtypes[d], bytes + odd, n);
        g_assert_cmpuint (bytes[odd + n * size], ==, 0xa5);
        g_assert_cmpfloat (y[n], ==, 77);
        for (gsize i = 0; i < n; i++) {
          guint8 one[8];
          float z;

          evo_dtype_from_f32 (k, one, dtypes[d], &x[i], 1);
          evo_dtype_to_f32 (k, &z, dtypes[d], one, 1);
          g_assert_cmpmem (one, size, bytes + odd + i * size, size);
          g_assert_true (z == y[i]);
        }
      }
}

/* ------------------------------------------------------------------ names and shapes */

static void
test_names (void)
{
  static const struct { const char *name, *torch; gsize size; gboolean is_float; } want[] = {
    { "F32", "float32", 4, TRUE }, { "F16", "float16", 2, TRUE }, { "BF16", "bfloat16", 2, TRUE }, { "F64", "float64", 8, TRUE },
    { "I64", "int64", 8, FALSE }, { "I32", "int32", 4, FALSE }, { "I16", "int16", 2, FALSE }, { "I8", "int8", 1, FALSE },
    { "U64", "uint64", 8, FALSE }, { "U32", "uint32", 4, FALSE }, { "U16", "uint16", 2, FALSE }, { "U8", "uint8", 1, FALSE },
    { "BOOL", "bool", 1, FALSE }, { "F8_E4M3", "float8_e4m3fn", 1, TRUE }, { "F8_E5M2", "float8_e5m2", 1, TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (want); i++) {
    EvoDtype d = evo_dtype_from_name (want[i].name);

    g_assert_cmpint (d, !=, EVO_DTYPE_NONE);
    g_assert_cmpstr (evo_dtype_name (d), ==, want[i].name);
    g_assert_cmpstr (evo_dtype_torch_name (d), ==, want[i].torch);
    g_assert_cmpuint (evo_dtype_size (d), ==, want[i].size);
    g_assert_cmpint (evo_dtype_is_float (d), ==, want[i].is_float);
  }
  g_assert_cmpint (evo_dtype_from_name ("bf16"), ==, EVO_DTYPE_NONE);
  g_assert_cmpint (evo_dtype_from_name ("none"), ==, EVO_DTYPE_NONE);
  g_assert_cmpint (evo_dtype_from_name ("F8_E8M0"), ==, EVO_DTYPE_NONE);
  g_assert_cmpint (evo_dtype_from_user_name ("bfloat16"), ==, EVO_DTYPE_BF16);
  g_assert_cmpint (evo_dtype_from_user_name ("f32"), ==, EVO_DTYPE_F32);
  g_assert_cmpint (evo_dtype_from_user_name ("float16"), ==, EVO_DTYPE_F16);
  g_assert_cmpint (evo_dtype_from_user_name ("BF16"), ==, EVO_DTYPE_NONE);
  g_assert_cmpuint (evo_dtype_size (EVO_DTYPE_NONE), ==, 0);
}

static void
test_shapes (void)
{
  EvoShape a = { "a", EVO_DTYPE_BF16, 2, { 3, 5 } }, b = { "b", EVO_DTYPE_F32, 2, { 3, 5 } }, scalar = { "s", EVO_DTYPE_F64, 0 };
  g_autofree char *two = evo_shape_text (&a), *none = evo_shape_text (&scalar);

  g_assert_cmpstr (two, ==, "[3, 5]");
  g_assert_cmpstr (none, ==, "[]");
  g_assert_true (evo_shape_count (&a) && evo_shape_count (&b) && evo_shape_count (&scalar));
  g_assert_cmpint (a.n, ==, 15);
  g_assert_cmpint (scalar.n, ==, 1);
  g_assert_cmpuint (evo_shape_bytes (&a), ==, 30);
  g_assert_cmpuint (evo_shape_bytes (&scalar), ==, 8);
  g_assert_true (evo_shape_equal (&a, &b));
  g_assert_false (evo_shape_equal (&a, &scalar));
  b.dims[1] = 6;
  g_assert_false (evo_shape_equal (&a, &b));
}

static void
test_shape_limits (void)
{
  EvoShape s = { "s", EVO_DTYPE_F32, 3, { 4, 0, 7 }, -9 };

  g_assert_true (evo_shape_count (&s));
  g_assert_cmpint (s.n, ==, 0);
  s.dims[1] = -1;
  g_assert_false (evo_shape_count (&s));
  g_assert_cmpint (s.n, ==, 0); /* untouched */
  s = (EvoShape){ "s", EVO_DTYPE_U8, 2, { G_GINT64_CONSTANT (1) << 31, G_GINT64_CONSTANT (1) << 31 } };
  g_assert_true (evo_shape_count (&s));
  g_assert_cmpuint (evo_shape_bytes (&s), ==, G_GUINT64_CONSTANT (1) << 62);
  s.dtype = EVO_DTYPE_F16;
  g_assert_false (evo_shape_count (&s));
  s = (EvoShape){ "s", EVO_DTYPE_U8, 2, { G_GINT64_CONSTANT (1) << 32, G_GINT64_CONSTANT (1) << 32 } };
  g_assert_false (evo_shape_count (&s));
}

int
main (int argc, char **argv)
{
  static const char *const isas[] = { "ref", "avx2", "avx512" };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (isas); i++) {
    g_autofree char *codes = g_strdup_printf ("/tensor/dtype/codes/%s", isas[i]), *ties = g_strdup_printf ("/tensor/dtype/ties/%s", isas[i]),
                    *overflow = g_strdup_printf ("/tensor/dtype/overflow/%s", isas[i]);

    g_test_add_data_func (codes, isas[i], test_codes);
    g_test_add_data_func (ties, isas[i], test_ties);
    g_test_add_data_func (overflow, isas[i], test_overflow);
  }
  g_test_add_func ("/tensor/dtype/f64", test_f64);
  g_test_add_func ("/tensor/dtype/runs", test_runs);
  g_test_add_func ("/tensor/dtype/names", test_names);
  g_test_add_func ("/tensor/shape/count", test_shapes);
  g_test_add_func ("/tensor/shape/limits", test_shape_limits);
  return g_test_run ();
}
