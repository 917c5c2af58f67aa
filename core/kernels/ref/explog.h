/* SPDX-License-Identifier: Apache-2.0
 * explog.h - exponentials and logarithms in plain arithmetic: the same bits on every CPU, where those of libm,
 * which has variants with FMA, differ.
 */
#ifndef EVO_KERNELS_EXPLOG_H
#define EVO_KERNELS_EXPLOG_H

#include <stdint.h>
#include <string.h>

/* e^x for x <= 0, within 4e-16 of itself; below -700 it is e^-700 (1e-304). x = k log 2 + r, |r| <= log (2) / 2, Taylor to r^13. No branches and
 * no calls, so that loops over it become vectors: k is rounded by adding 1.5 2^52, which leaves it in the lowest bits. */
static inline double
explog_exp (double x)
{
  const double high = 0x1.62e42feep-1, low = 0x1.a39ef35793c76p-33, big = 0x1.8p52; /* log 2; k high is exact */
  double t, k, r, sum;
  uint64_t bits;

  x = x < -700 ? -700 : x;
  t = x * 0x1.71547652b82fep+0 + big;
  k = t - big;
  r = (x - k * high) - k * low;
  sum = 1 + r * (1.0 / 13);
  sum = 1 + sum * (r * (1.0 / 12));
  sum = 1 + sum * (r * (1.0 / 11));
  sum = 1 + sum * (r * (1.0 / 10));
  sum = 1 + sum * (r * (1.0 / 9));
  sum = 1 + sum * (r * (1.0 / 8));
  sum = 1 + sum * (r * (1.0 / 7));
  sum = 1 + sum * (r * (1.0 / 6));
  sum = 1 + sum * (r * (1.0 / 5));
  sum = 1 + sum * (r * (1.0 / 4));
  sum = 1 + sum * (r * (1.0 / 3));
  sum = 1 + sum * (r * (1.0 / 2));
  sum = 1 + sum * r;
  memcpy (&bits, &t, sizeof bits);
  bits = (bits + 1023) << 52;
  memcpy (&t, &bits, sizeof t);
  return sum * t;
}

#define EXPLOG_NEAR 0.1716 /* 3 - 2 sqrt 2: x = (1 + s) / (1 - s) in [sqrt (1/2), sqrt 2] */

/* 2 artanh s = log ((1 + s) / (1 - s)) for |s| <= EXPLOG_NEAR, to s^21 */
static inline double
explog_ratio (double s)
{
  double s2 = s * s, sum = 1.0 / 21;

  sum = 1.0 / 19 + s2 * sum;
  sum = 1.0 / 17 + s2 * sum;
  sum = 1.0 / 15 + s2 * sum;
  sum = 1.0 / 13 + s2 * sum;
  sum = 1.0 / 11 + s2 * sum;
  sum = 1.0 / 9 + s2 * sum;
  sum = 1.0 / 7 + s2 * sum;
  sum = 1.0 / 5 + s2 * sum;
  sum = 1.0 / 3 + s2 * sum;
  return 2 * s * (1 + s2 * sum);
}

/* Natural logarithm of a normal number > 0: x = 2^k m, m in [sqrt (1/2), sqrt 2) */
static inline double
explog_log (double x)
{
  int64_t bits, k;
  double m;

  memcpy (&bits, &x, sizeof bits);
  k = (bits - 0x3fe6a09e667f3bcd) >> 52;
  bits -= k * ((int64_t) 1 << 52);
  memcpy (&m, &bits, sizeof m);
  return explog_ratio ((m - 1) / (m + 1)) + (double) k * 0x1.62e42fefa39efp-1;
}

#endif
