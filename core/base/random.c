/* SPDX-License-Identifier: Apache-2.0
 * random.c - Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011) as streams.
 */
#include "core/base/random.h"

#include <math.h>

#include "core/base/text.h"

guint64
evo_random_mix (guint64 a, guint64 b)
{
  guint64 h = a + G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) * (b + 1);

  h = (h ^ (h >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  h = (h ^ (h >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return h ^ (h >> 31);
}

guint64
evo_random_mix_text (guint64 stream, const char *text)
{
  return evo_random_mix (stream, evo_hash_text (text, -1));
}

static void
philox (guint64 key, guint64 counter, guint32 out[4])
{
  guint32 c0 = (guint32) counter, c1 = (guint32) (counter >> 32), c2 = 0, c3 = 0, k0 = (guint32) key, k1 = (guint32) (key >> 32);

  for (guint round = 0; round < 10; round++) {
    guint64 a = (guint64) 0xd2511f53u * c0, b = (guint64) 0xcd9e8d57u * c2;
    guint32 n0 = (guint32) (b >> 32) ^ c1 ^ k0, n2 = (guint32) (a >> 32) ^ c3 ^ k1;

    c1 = (guint32) b;
    c3 = (guint32) a;
    c0 = n0;
    c2 = n2;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void
evo_random_init (EvoRandom *r, guint64 stream)
{
  *r = (EvoRandom){ .stream = stream };
}

guint32
evo_random_u32 (EvoRandom *r)
{
  if (r->position % 4 == 0)
    philox (r->stream, r->position / 4, r->block);
  return r->block[r->position++ % 4];
}

double
evo_random_uniform (EvoRandom *r)
{
  guint64 high = evo_random_u32 (r), low = evo_random_u32 (r);

  return (double) ((high << 32 | low) >> 11) * 0x1p-53;
}

/* Box and Muller's sine half is not used: keeping it would make the state more than a position. One block is one number. */
double
evo_random_normal (EvoRandom *r)
{
  double u = 1 - evo_random_uniform (r), v = evo_random_uniform (r);

  return sqrt (-2 * log (u)) * cos (2 * G_PI * v);
}

guint32
evo_random_below (EvoRandom *r, guint32 n)
{
  guint32 threshold;

  g_return_val_if_fail (n > 0, 0);
  threshold = -n % n; /* 2^32 mod n: smaller values would favour the low results */
  for (;;) {
    guint32 x = evo_random_u32 (r);

    if (x >= threshold)
      return x % n;
  }
}

void
evo_random_shuffle (EvoRandom *r, gint64 *items, gsize n)
{
  g_return_if_fail (n <= G_MAXUINT32);
  for (gsize i = n; i > 1; i--) {
    gsize j = evo_random_below (r, (guint32) i);
    gint64 t = items[i - 1];

    items[i - 1] = items[j];
    items[j] = t;
  }
}
