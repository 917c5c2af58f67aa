/* SPDX-License-Identifier: Apache-2.0
 * nn.c - norm, gate, rotation, arg max and log-sum-exp in registers (definitions: ref/nn.c).
 *
 * A row is worked on by itself and its last elements by the same operations under a mask, so its bits do not depend on anything else.
 */
#include <math.h>

#include "core/kernels/slots.h"
#include "core/kernels/x86/exp.h"
#include "core/kernels/x86/lanes.h"

INLINE void
add_squares (Doubles sum[2], Lanes x)
{
  const Doubles a = widen (lower (x)), b = widen (upper (x));

  sum[0] = fma_doubles (a, a, sum[0]);
  sum[1] = fma_doubles (b, b, sum[1]);
}

static double
sum_of_squares (const float *x, size_t n)
{
  Doubles even[2] = { no_doubles (), no_doubles () }, odd[2] = { no_doubles (), no_doubles () };
  size_t i = 0;

  for (; i + 2 * LANES <= n; i += 2 * LANES) {
    add_squares (even, load (x + i));
    add_squares (odd, load (x + i + LANES));
  }
  for (; i < n; i += LANES)
    add_squares (even, load_some (x + i, first_lanes (n - i)));
  return sum_doubles ((even[0] + odd[0]) + (even[1] + odd[1]));
}

void
KERNEL (rms_norm) (float *y, const float *x, const float *w, double eps, size_t n)
{
  const Lanes factor = all ((float) (1 / sqrt (sum_of_squares (x, n) / (double) n + eps)));
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    store (y + i, load (x + i) * factor * load (w + i));
  if (i < n) {
    const Where some = first_lanes (n - i);

    store_some (y + i, some, load_some (x + i, some) * factor * load_some (w + i, some));
  }
}

/* exp (-g) is held below 2^126 for the quotient: for g < -87 the result is then 1e-36 instead of 1e-37 and less */
INLINE Lanes
silu (Lanes g)
{
  return quotient (g, all (1) + exp_lanes (smaller (all (87), none () - g)));
}

void
KERNEL (silu_mul) (float *y, const float *gate, const float *up, size_t n)
{
  size_t i = 0;

  for (; i + LANES <= n; i += LANES)
    store (y + i, silu (load (gate + i)) * load (up + i));
  if (i < n) {
    const Where some = first_lanes (n - i);

    store_some (y + i, some, silu (load_some (gate + i, some)) * load_some (up + i, some));
  }
}

INLINE void
turn (float *x, size_t half, Lanes cos, Lanes sin, Where some)
{
  const Lanes a = load_some (x, some), b = load_some (x + half, some);

  store_some (x, some, fused_less (b, sin, a * cos));
  store_some (x + half, some, fused (a, sin, b * cos));
}

void
KERNEL (rope) (float *x, const float *cos, const float *sin, size_t n_heads, size_t head_dim)
{
  const size_t half = head_dim / 2;

  for (size_t i = 0; i < half; i += LANES) {
    const Where some = first_lanes (half - i);
    const Lanes c = load_some (cos + i, some), s = load_some (sin + i, some);

    for (size_t h = 0; h < n_heads; h++)
      turn (x + h * head_dim + i, half, c, s, some);
  }
}

/* the last elements beside -inf, which is never larger */
INLINE Lanes
load_rest (const float *x, size_t n)
{
  const Where some = first_lanes (n);

  return pick (some, load_some (x, some), all (-HUGE_VALF));
}

/* NaN are passed over: the instruction gives its second operand where one is a NaN */
static float
largest (const float *x, size_t n)
{
  Lanes a = all (-HUGE_VALF), b = a, c = a, d = a;
  size_t i = 0;

  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    a = larger (load (x + i), a);
    b = larger (load (x + i + LANES), b);
    c = larger (load (x + i + 2 * LANES), c);
    d = larger (load (x + i + 3 * LANES), d);
  }
  for (; i < n; i += LANES)
    a = larger (load_rest (x + i, n - i), a);
  return largest_lane (larger (larger (a, b), larger (c, d)));
}

size_t
KERNEL (argmax) (const float *x, size_t n)
{
  const float top = largest (x, n);

  for (size_t i = 0; i < n && top > -HUGE_VALF; i += LANES) {
    const unsigned found = bits_of (equal (load_rest (x + i, n - i), all (top)));

    if (found != 0)
      return i + (size_t) __builtin_ctz (found);
  }
  return 0;
}

double
KERNEL (log_sum_exp) (const float *x, size_t n)
{
  const float top = largest (x, n);
  Doubles sum[2] = { no_doubles (), no_doubles () };

  if (isinf (top))
    return (double) top;
  for (size_t i = 0; i < n; i += LANES) {
    const Lanes e = exp_lanes ((i + LANES <= n ? load (x + i) : load_rest (x + i, n - i)) - all (top));

    sum[0] += widen (lower (e));
    sum[1] += widen (upper (e));
  }
  return (double) top + log (sum_doubles (sum[0] + sum[1]));
}
