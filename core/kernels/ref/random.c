/* SPDX-License-Identifier: Apache-2.0
 * random.c - addressed random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).
 */
#include "core/kernels/slots.h"

typedef struct { uint32_t word[4]; } Block;

/* Ten rounds over the counter (low, high, 0, 0), key (seed low, seed high). */
static Block
philox (uint64_t seed, uint64_t counter)
{
  uint32_t k0 = (uint32_t) seed, k1 = (uint32_t) (seed >> 32);
  uint32_t c0 = (uint32_t) counter, c1 = (uint32_t) (counter >> 32), c2 = 0, c3 = 0;

  for (unsigned round = 0; round < 10; round++) {
    const uint64_t a = (uint64_t) 0xd2511f53u * c0, b = (uint64_t) 0xcd9e8d57u * c2;

    c0 = (uint32_t) (b >> 32) ^ c1 ^ k0;
    c2 = (uint32_t) (a >> 32) ^ c3 ^ k1;
    c1 = (uint32_t) b;
    c3 = (uint32_t) a;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return (Block){ { c0, c1, c2, c3 } };
}

/* u 2^24 of the element with this index */
static uint32_t
uniform_24 (Block *block, uint64_t seed, uint64_t index, size_t i)
{
  if (i == 0 || index % 4 == 0)
    *block = philox (seed, index / 4);
  return block->word[index % 4] >> 8;
}

void
KERNEL (uniform) (float *u, uint64_t seed, int64_t first, size_t n)
{
  Block block;

  for (size_t i = 0; i < n; i++)
    u[i] = (float) uniform_24 (&block, seed, (uint64_t) first + i, i) * 0x1p-24f;
}

void
KERNEL (keep_random) (float *y, const float *x, uint64_t seed, int64_t first, double density, double scale, size_t n)
{
  const float f = (float) scale;
  Block block;

  for (size_t i = 0; i < n; i++)
    y[i] = uniform_24 (&block, seed, (uint64_t) first + i, i) * 0x1p-24 < density ? x[i] * f : 0;
}
