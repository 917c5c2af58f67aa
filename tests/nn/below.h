/* SPDX-License-Identifier: Apache-2.0
 * below.h - numbers that look drawn and are the same in every run (Knuth's MMIX generator, upper bits).
 */
#ifndef TEST_BELOW_H
#define TEST_BELOW_H

#include <glib.h>

static inline guint
below (guint64 *state, guint n)
{
  *state = *state * G_GUINT64_CONSTANT (6364136223846793005) + G_GUINT64_CONSTANT (1442695040888963407);
  return (guint) (*state >> 33) % n;
}

#endif
