/* SPDX-License-Identifier: Apache-2.0
 * exp.h - the exponential function and a quotient, in registers.
 */
#ifndef EVO_KERNELS_X86_EXP_H
#define EVO_KERNELS_X86_EXP_H

#include "core/kernels/x86/lanes.h"

/* exp (x) = 2^n exp (r), x = n ln 2 + r, |r| <= ln 2 / 2 (Cody & Waite 1980: ln 2 in two parts, the first with zeros at its end, so that
 * n times it is exact). exp (r) = 1 + r + r^2 q (r) with the q of degree 4 that makes the largest relative error smallest (found by
 * Lawson's weighted least squares): 3e-9 before rounding. Below -104 the result is 0, above 89 infinity; a NaN stays one. */
INLINE Lanes
exp_lanes (Lanes x)
{
  const Lanes t = smaller (all (89), larger (all (-104), x)), n = whole (t * all (0x1.715476p+0f));
  const Lanes r = fused_less (n, all (0x1.7f7d1cp-20f), fused_less (n, all (0x1.62e4p-1f), t));
  Lanes q = fused (r, all (0x1.6a23dp-10f), all (0x1.123a2p-7f));

  q = fused (q, r, all (0x1.5558f2p-5f));
  q = fused (q, r, all (0x1.555492p-3f));
  q = fused (q, r, all (0x1.fffffcp-2f));
  q = fused (q, r, all (1));
  q = fused (q, r, all (1));
  return times_power (q, n);
}

/* g / d for 1 <= d <= 2^126, within 1.5 ulp: a linear guess at 1/d from the bits of d (at most 5 % off), two steps of Newton's method
 * (error squared each time: 7e-6), then one on the quotient with the exact remainder. Divide instructions take twice as long, and the
 * approximate reciprocals of different makers' CPUs differ. */
INLINE Lanes
quotient (Lanes g, Lanes d)
{
  Lanes r = as_lanes (minus (all_words (0x7ef311c3u), as_words (d))), q;

  r = r * fused_less (d, r, all (2));
  r = r * fused_less (d, r, all (2));
  q = g * r;
  return fused (fused_less (q, d, g), r, q);
}

#endif
