/* SPDX-License-Identifier: Apache-2.0
 * random.h - random numbers for optimizers: Philox4x32-10 (Salmon et al. 2011), uniform and normal, the same bits on every CPU.
 *
 * libm's log and exp have FMA variants chosen at run time and so differ in last bits between CPUs; the two here are plain arithmetic
 * (and sqrt, frexp, ldexp, which IEEE 754 makes exact), so a trajectory depends on seed and losses only.
 */
#ifndef PLUGINS_OPTIMIZER_RANDOM_H
#define PLUGINS_OPTIMIZER_RANDOM_H

#include "evopipe.h"

typedef struct {
  guint64 key, position;     /* of the next block */
  guint32 block[4];
  guint used;                /* words of block already given; 4: none left */
  gboolean has_spare;
  double spare;              /* second number of the last pair of normals */
} Random;

static inline void
random_init (Random *r, guint64 seed)
{
  *r = (Random){ .key = seed, .used = 4 };
}

static inline void
random_block (Random *r)
{
  guint32 k0 = (guint32) r->key, k1 = (guint32) (r->key >> 32);
  guint32 c[4] = { (guint32) r->position, (guint32) (r->position >> 32), 0, 0 };

  for (int round = 0; round < 10; round++) {
    guint64 p0 = (guint64) 0xD2511F53u * c[0], p1 = (guint64) 0xCD9E8D57u * c[2];
    guint32 next[4] = { (guint32) (p1 >> 32) ^ c[1] ^ k0, (guint32) p1, (guint32) (p0 >> 32) ^ c[3] ^ k1, (guint32) p0 };

    for (int i = 0; i < 4; i++)
      c[i] = next[i];
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; i++)
    r->block[i] = c[i];
  r->position++;
  r->used = 0;
}

static inline guint32
random_u32 (Random *r)
{
  if (r->used == 4)
    random_block (r);
  return r->block[r->used++];
}

/* [0, 1), 53 bits */
static inline double
random_uniform (Random *r)
{
  guint64 high = random_u32 (r) >> 5, low = random_u32 (r) >> 6;

  return (double) (high << 26 | low) * 0x1p-53;
}

/* ln x for finite x > 0: x = m 2^e, ln m = 2 artanh ((m - 1) / (m + 1)) with m in [sqrt 1/2, sqrt 2) */
static inline double
portable_log (double x)
{
  static const double ln2 = 0x1.62e42fefa39efp-1;
  int e;
  double m = frexp (x, &e), s, s2, sum = 0;

  if (m < 0x1.6a09e667f3bcdp-1) {
    m *= 2;
    e--;
  }
  s = (m - 1) / (m + 1);
  s2 = s * s;                /* < 0.0295: 12 terms reach 2^-60 */
  for (int k = 23; k >= 1; k -= 2)
    sum = sum * s2 + 1.0 / k;
  return e * ln2 + 2 * s * sum;
}

/* e^x: x = k ln 2 + r, |r| <= 0.35, Taylor to r^14 */
static inline double
portable_exp (double x)
{
  static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  double k, r, sum = 1;

  x = CLAMP (x, -745, 709);
  k = floor (x / (ln2_high + ln2_low) + 0.5);
  r = (x - k * ln2_high) - k * ln2_low;
  for (int i = 14; i >= 1; i--)
    sum = 1 + sum * r / i;
  return ldexp (sum, (int) k);
}

/* Standard normal, by Marsaglia's polar method (1964): no sine, both numbers of a pair are used. */
static inline double
random_normal (Random *r)
{
  double u, v, s, f;

  if (r->has_spare) {
    r->has_spare = FALSE;
    return r->spare;
  }
  do {
    u = 2 * random_uniform (r) - 1;
    v = 2 * random_uniform (r) - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  f = sqrt (-2 * portable_log (s) / s);
  r->spare = v * f;
  r->has_spare = TRUE;
  return u * f;
}

#endif
