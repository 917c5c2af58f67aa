/* SPDX-License-Identifier: Apache-2.0
 * lid.c - whatever bytes come as a fastText model, they are refused in one line or give probabilities.
 */
#include "tests/fuzz/driver.h"

#include <math.h>

#include "core/nn/lid/lid.h"
#include "tests/fuzz/tokenizer-use.h"

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoLid) lid = evo_lid_open (fuzz_as_file (data, n), &error);
  double best;

  if (lid == NULL) {
    fuzz_check_refusal (error);
    return 0;
  }
  g_assert_no_error (error);
  g_assert_false (evo_lid_probability (lid, "v w \xe3\x81\x82", 7, "aa") < 0); /* NAN: the label has another name now */
  (void) evo_lid_best (lid, "v w", 3, &best);
  (void) evo_lid_best (lid, "", 0, &best);
  return 0;
}
