/* SPDX-License-Identifier: Apache-2.0
 * random.c - Philox4x32-10 for several counters at once, one in each 64-bit unit of a register (definition: ref/random.c).
 *
 * A 32 x 32 -> 64 bit multiply reads the lower half of a unit only, so the upper halves may hold anything and need no masking.
 */
#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

enum { COUNTERS = LANES / 2, OUTPUTS = 4 * COUNTERS };

/* OUTPUTS words of the counters block, block + 1 ..., in the order of the elements: word[0] the first LANES, word[1] the others */
INLINE void
philox (Words word[2], uint64_t seed, uint64_t block)
{
  const Words counter = add_units (all_units (block), unit_order ());
  const Words m0 = all_units (0xd2511f53u), m1 = all_units (0xcd9e8d57u);
  uint32_t k0 = (uint32_t) seed, k1 = (uint32_t) (seed >> 32);
  Words c0 = counter, c1 = upper_of_units (counter), c2 = all_units (0), c3 = all_units (0), p, q;

  for (unsigned round = 0; round < 10; round++) {
    const Words a = multiply_units (m0, c0), b = multiply_units (m1, c2);

    c0 = xor3 (upper_of_units (b), c1, all_units (k0));
    c2 = xor3 (upper_of_units (a), c3, all_units (k1));
    c1 = b;
    c3 = a;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  p = join_units (c0, c1);
  q = join_units (c2, c3);
  word[0] = first_of_pairs (p, q);
  word[1] = second_of_pairs (p, q);
}

/* elements before the next whole block of four */
static size_t
head (int64_t first, size_t n)
{
  const size_t h = (size_t) (-(uint64_t) first % 4);

  return h < n ? h : n;
}

void
KERNEL (uniform) (float *u, uint64_t seed, int64_t first, size_t n)
{
  size_t i = head (first, n);

  evo_ref_uniform (u, seed, first, i);
  for (; i + OUTPUTS <= n; i += OUTPUTS) {
    Words word[2];

    philox (word, seed, ((uint64_t) first + i) / 4);
    store (u + i, lanes_from_words (right (word[0], 8)) * all (0x1p-24f));
    store (u + i + LANES, lanes_from_words (right (word[1], 8)) * all (0x1p-24f));
  }
  evo_ref_uniform (u + i, seed, first + (int64_t) i, n - i);
}

/* k 2^-24 < density for a whole k is k < ceil (density 2^24); the product with a power of two is exact */
static uint32_t
threshold (double density)
{
  uint32_t t;

  if (!(density > 0))
    return 0;
  if (density >= 1)
    return 1u << 24;
  t = (uint32_t) (density * 0x1p24);
  return t + ((double) t < density * 0x1p24);
}

void
KERNEL (keep_random) (float *y, const float *x, uint64_t seed, int64_t first, double density, double scale, size_t n)
{
  const Words t = all_words (threshold (density));
  const Lanes f = all ((float) scale);
  size_t i = head (first, n);

  evo_ref_keep_random (y, x, seed, first, density, scale, i);
  for (; i + OUTPUTS <= n; i += OUTPUTS) {
    Words word[2];

    philox (word, seed, ((uint64_t) first + i) / 4);
    store (y + i, zero_unless (below (right (word[0], 8), t), load (x + i) * f));
    store (y + i + LANES, zero_unless (below (right (word[1], 8), t), load (x + i + LANES) * f));
  }
  evo_ref_keep_random (y + i, x + i, seed, first + (int64_t) i, density, scale, n - i);
}
