/* SPDX-License-Identifier: Apache-2.0
 * select.c - the histogram and the sign election in registers (definitions: ref/select.c).
 */
#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

static uint32_t
key_of (const float *key)
{
  uint32_t u;

  __builtin_memcpy (&u, key, sizeof u);
  return u & 0x7fffffffu;
}

static void
count_upper (uint64_t *count, const float *key, size_t n)
{
  for (size_t i = 0; i < n; i++)
    count[key_of (key + i) >> 16]++;
}

/* Few keys have the prefix: a register without any is passed over. */
static void
count_lower (uint64_t *count, const float *key, uint32_t prefix, size_t n)
{
  const Words mask = all_words (0x7fff0000u), wanted = all_words (prefix << 16);
  size_t i = 0;

  for (; i + LANES <= n; i += LANES) {
    unsigned left = bits_of (same_words (as_words (load (key + i)) & mask, wanted));

    for (; left != 0; left &= left - 1)
      count[key_of (key + i + __builtin_ctz (left)) & 0xffffu]++;
  }
  evo_ref_histogram (count, key + i, prefix, 1, n - i);
}

void
KERNEL (histogram) (uint64_t *count, const float *key, uint32_t prefix, int low, size_t n)
{
  if (low)
    count_lower (count, key, prefix, n);
  else
    count_upper (count, key, n);
}

/* `blocks` registers at j, or the `some` elements there: the weights are rounded and spread once for all of them */
enum { BLOCKS = 4 };

INLINE Lanes
load_at (const float *p, const Where *some)
{
  return some == NULL ? load (p) : load_some (p, *some);
}

INLINE void
store_at (float *p, const Where *some, Lanes x)
{
  if (some == NULL)
    store (p, x);
  else
    store_some (p, *some, x);
}

INLINE void
elect_block (float *y, float *share, const float *const *d, const double *w, const double *v, unsigned n_in, size_t j, unsigned blocks,
             const Where *some)
{
  Lanes s[BLOCKS], kept[BLOCKS], weight[BLOCKS];
  Where positive[BLOCKS];

  for (unsigned b = 0; b < blocks; b++)
    s[b] = kept[b] = weight[b] = none ();
  for (unsigned i = 0; i < n_in; i++) {
    const Lanes vi = all ((float) (v == NULL ? w : v)[i]);

    for (unsigned b = 0; b < blocks; b++)
      s[b] = s[b] + vi * load_at (d[i] + j + b * LANES, some);
  }
  for (unsigned b = 0; b < blocks; b++)
    positive[b] = at_least (s[b], none ());
  for (unsigned i = 0; i < n_in; i++) {
    const Lanes wi = all ((float) w[i]), vi = all ((float) (v == NULL ? w : v)[i]);

    for (unsigned b = 0; b < blocks; b++) {
      const Lanes change = load_at (d[i] + j + b * LANES, some), voted = vi * change, weighted = wi * change;
      const Where agrees = greater (flip_unless (positive[b], voted), none ());

      kept[b] = add_where (agrees, kept[b], weighted);
      weight[b] = add_where (agrees, weight[b], wi);
    }
  }
  for (unsigned b = 0; b < blocks; b++) {
    store_at (y + j + b * LANES, some, pick (is_nan (s[b]), s[b], kept[b]));
    if (share != NULL)
      store_at (share + j + b * LANES, some, weight[b]);
  }
}

INLINE void
elect_all (float *y, float *share, const float *const *d, const double *w, const double *v, unsigned n_in, size_t n)
{
  size_t j = 0;

  for (; j + BLOCKS * LANES <= n; j += BLOCKS * LANES)
    elect_block (y, share, d, w, v, n_in, j, BLOCKS, NULL);
  for (; j < n; j += LANES) {
    const Where some = first_lanes (n - j);

    elect_block (y, share, d, w, v, n_in, j, 1, &some);
  }
}

void
KERNEL (elect) (float *y, float *share, const float *const *d, const double *w, const double *v, unsigned n_in, size_t n)
{
  if (v != NULL)
    elect_all (y, share, d, w, v, n_in, n);
  else if (share == NULL)
    elect_all (y, NULL, d, w, NULL, n_in, n);
  else
    elect_all (y, share, d, w, NULL, n_in, n);
}
