/* SPDX-License-Identifier: Apache-2.0
 * dtype.c - names and sizes of element types; conversion to and from fp32, rounding to nearest even, once.
 */
#include "core/tensor/dtype.h"

#include <string.h>

G_STATIC_ASSERT (G_BYTE_ORDER == G_LITTLE_ENDIAN); /* files are little endian and used as they lie */

enum { CHUNK = 1024 }; /* elements of an aligned copy; 2 kB of stack */

typedef struct { const char *name, *torch; guint8 size; gboolean is_float; } DtypeInfo;

static const DtypeInfo infos[] = {
  [EVO_DTYPE_NONE] = { "none", "none", 0, FALSE },
  [EVO_DTYPE_F32] = { "F32", "float32", 4, TRUE },
  [EVO_DTYPE_F16] = { "F16", "float16", 2, TRUE },
  [EVO_DTYPE_BF16] = { "BF16", "bfloat16", 2, TRUE },
  [EVO_DTYPE_F64] = { "F64", "float64", 8, TRUE },
  [EVO_DTYPE_I64] = { "I64", "int64", 8, FALSE },
  [EVO_DTYPE_I32] = { "I32", "int32", 4, FALSE },
  [EVO_DTYPE_I16] = { "I16", "int16", 2, FALSE },
  [EVO_DTYPE_I8] = { "I8", "int8", 1, FALSE },
  [EVO_DTYPE_U64] = { "U64", "uint64", 8, FALSE },
  [EVO_DTYPE_U32] = { "U32", "uint32", 4, FALSE },
  [EVO_DTYPE_U16] = { "U16", "uint16", 2, FALSE },
  [EVO_DTYPE_U8] = { "U8", "uint8", 1, FALSE },
  [EVO_DTYPE_BOOL] = { "BOOL", "bool", 1, FALSE },
  [EVO_DTYPE_F8_E4M3] = { "F8_E4M3", "float8_e4m3fn", 1, TRUE },
  [EVO_DTYPE_F8_E5M2] = { "F8_E5M2", "float8_e5m2", 1, TRUE },
};

EvoDtype
evo_dtype_from_name (const char *name)
{
  for (guint d = EVO_DTYPE_NONE + 1; d < G_N_ELEMENTS (infos); d++)
    if (g_str_equal (name, infos[d].name))
      return (EvoDtype) d;
  return EVO_DTYPE_NONE;
}

/* Beside PyTorch's names. */
static const struct { const char *name; EvoDtype dtype; } user_names[] = {
  { "bf16", EVO_DTYPE_BF16 }, { "f16", EVO_DTYPE_F16 }, { "f32", EVO_DTYPE_F32 }, { "f64", EVO_DTYPE_F64 },
  { "f8_e4m3", EVO_DTYPE_F8_E4M3 }, { "f8_e5m2", EVO_DTYPE_F8_E5M2 },
};

EvoDtype
evo_dtype_from_user_name (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (user_names); i++)
    if (g_str_equal (name, user_names[i].name) || g_str_equal (name, infos[user_names[i].dtype].torch))
      return user_names[i].dtype;
  return EVO_DTYPE_NONE;
}

const char *
evo_dtype_user_name (EvoDtype d)
{
  for (guint i = 0; i < G_N_ELEMENTS (user_names); i++)
    if (user_names[i].dtype == d)
      return user_names[i].name;
  g_return_val_if_reached ("f32");
}

static const DtypeInfo *
info (EvoDtype d)
{
  g_return_val_if_fail ((guint) d < G_N_ELEMENTS (infos), &infos[EVO_DTYPE_NONE]);
  return &infos[d];
}

const char *
evo_dtype_name (EvoDtype d)
{
  return info (d)->name;
}

const char *
evo_dtype_torch_name (EvoDtype d)
{
  return info (d)->torch;
}

gsize
evo_dtype_size (EvoDtype d)
{
  return info (d)->size;
}

gboolean
evo_dtype_is_float (EvoDtype d)
{
  return info (d)->is_float;
}

/* ------------------------------------------------------------------ eight bits (Micikevicius et al., "FP8 formats for deep learning", 2022)
 *
 * e4m3 has no infinity: S.1111.111 is its NaN and 448 its largest number. e5m2 follows IEEE 754. What rounds beyond the largest number
 * becomes NaN in e4m3 and infinity in e5m2: it can be seen afterwards, where a saturated 448 (PyTorch 2.13) can not. */

typedef struct { guint mantissa; gint bias; guint largest, overflow, nan; } Mini; /* codes without the sign */

static const Mini e4m3 = { 3, 7, 0x7e, 0x7f, 0x7f }, e5m2 = { 2, 15, 0x7b, 0x7c, 0x7f };

static float
mini_to_f32 (const Mini *f, guint8 code)
{
  guint32 sign = (guint32) (code & 0x80) << 24, bits = code & 0x7fu, exponent = bits >> f->mantissa;
  guint32 fraction = bits & ((1u << f->mantissa) - 1);
  float y;

  if (bits > f->largest) {
    bits = bits == f->overflow && f->overflow != f->nan ? 0x7f800000u : 0x7fc00000u;
  } else if (exponent == 0) {
    /* fraction * 2^(1 - bias - mantissa), both exact in fp32 */
    guint32 step_bits = (guint32) (127 + 1 - f->bias - (gint) f->mantissa) << 23;
    float step;

    memcpy (&step, &step_bits, sizeof step);
    y = (float) fraction * step;
    memcpy (&bits, &y, sizeof bits);
  } else {
    bits = (exponent + 127 - (guint32) f->bias) << 23 | fraction << (23 - f->mantissa);
  }
  bits |= sign;
  memcpy (&y, &bits, sizeof y);
  return y;
}

/* x >> shift, rounded to nearest, ties to even; shift >= 1 */
static guint32
shift_round (guint32 x, guint shift)
{
  if (shift > 31)
    return 0;
  return (x + (1u << (shift - 1)) - 1 + (x >> shift & 1)) >> shift;
}

static guint8
mini_from_f32 (const Mini *f, float x)
{
  guint32 bits, magnitude, code;
  guint shift = 23 - f->mantissa;
  gint exponent;

  memcpy (&bits, &x, sizeof bits);
  magnitude = bits & 0x7fffffffu;
  exponent = (gint) (magnitude >> 23) - 127 + f->bias;
  if (magnitude > 0x7f800000u)
    code = f->nan;
  else if (exponent >= 1)
    code = shift_round (magnitude - ((guint32) (127 - f->bias) << 23), shift); /* a carry moves into the exponent, as it should */
  else
    code = shift_round ((magnitude & 0x7fffffu) | 0x800000u, shift + (guint) (1 - exponent)); /* fp32's own subnormals give 0 as well */
  if (code > f->largest && magnitude <= 0x7f800000u)
    code = f->overflow;
  return (guint8) (code | (bits >> 24 & 0x80));
}

/* ------------------------------------------------------------------ runs of elements */

typedef void (*FromHalf) (float *y, const uint16_t *x, size_t n);
typedef void (*ToHalf) (uint16_t *y, const float *x, size_t n);

/* A file may put 16-bit elements at an odd address: those go through an aligned copy. */
static void
halves_to_f32 (FromHalf convert, float *y, const guint8 *x, gsize n)
{
  guint16 copy[CHUNK];

  if ((guintptr) x % sizeof (guint16) == 0) {
    convert (y, (const uint16_t *) (gconstpointer) x, n);
    return;
  }
  for (gsize i = 0; i < n; i += CHUNK) {
    gsize m = MIN (n - i, (gsize) CHUNK);

    memcpy (copy, x + i * sizeof (guint16), m * sizeof (guint16));
    convert (y + i, copy, m);
  }
}

static void
halves_from_f32 (ToHalf convert, guint8 *y, const float *x, gsize n)
{
  guint16 copy[CHUNK];

  if ((guintptr) y % sizeof (guint16) == 0) {
    convert ((uint16_t *) (gpointer) y, x, n);
    return;
  }
  for (gsize i = 0; i < n; i += CHUNK) {
    gsize m = MIN (n - i, (gsize) CHUNK);

    convert (copy, x + i, m);
    memcpy (y + i * sizeof (guint16), copy, m * sizeof (guint16));
  }
}

static void
f64_to_f32 (float *y, const guint8 *x, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    double v;

    memcpy (&v, x + i * sizeof v, sizeof v);
    y[i] = (float) v;
  }
}

static void
f64_from_f32 (guint8 *y, const float *x, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    double v = x[i];

    memcpy (y + i * sizeof v, &v, sizeof v);
  }
}

static void
minis_to_f32 (const Mini *f, float *y, const guint8 *x, gsize n)
{
  float table[256];

  if (n < G_N_ELEMENTS (table)) {
    for (gsize i = 0; i < n; i++)
      y[i] = mini_to_f32 (f, x[i]);
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    table[i] = mini_to_f32 (f, (guint8) i);
  for (gsize i = 0; i < n; i++)
    y[i] = table[x[i]];
}

static void
minis_from_f32 (const Mini *f, guint8 *y, const float *x, gsize n)
{
  for (gsize i = 0; i < n; i++)
    y[i] = mini_from_f32 (f, x[i]);
}

void
evo_dtype_to_f32 (const EvoKernels *k, float *y, EvoDtype d, const void *x, gsize n)
{
  g_return_if_fail (evo_dtype_is_float (d));
  if (n == 0)
    return;
  switch (d) {
  case EVO_DTYPE_F16:
    halves_to_f32 (k->f32_from_f16, y, x, n);
    break;
  case EVO_DTYPE_BF16:
    halves_to_f32 (k->f32_from_bf16, y, x, n);
    break;
  case EVO_DTYPE_F64:
    f64_to_f32 (y, x, n);
    break;
  case EVO_DTYPE_F8_E4M3:
    minis_to_f32 (&e4m3, y, x, n);
    break;
  case EVO_DTYPE_F8_E5M2:
    minis_to_f32 (&e5m2, y, x, n);
    break;
  default:
    memcpy (y, x, n * sizeof (float));
  }
}

void
evo_dtype_from_f32 (const EvoKernels *k, void *y, EvoDtype d, const float *x, gsize n)
{
  g_return_if_fail (evo_dtype_is_float (d));
  if (n == 0)
    return;
  switch (d) {
  case EVO_DTYPE_F16:
    halves_from_f32 (k->f16_from_f32, y, x, n);
    break;
  case EVO_DTYPE_BF16:
    halves_from_f32 (k->bf16_from_f32, y, x, n);
    break;
  case EVO_DTYPE_F64:
    f64_from_f32 (y, x, n);
    break;
  case EVO_DTYPE_F8_E4M3:
    minis_from_f32 (&e4m3, y, x, n);
    break;
  case EVO_DTYPE_F8_E5M2:
    minis_from_f32 (&e5m2, y, x, n);
    break;
  default:
    memcpy (y, x, n * sizeof (float));
  }
}
