/* SPDX-License-Identifier: Apache-2.0
 * spm.c - whatever bytes come as a SentencePiece model, they are refused in one line or make a tokenizer that encodes and decodes.
 */
#include "tests/fuzz/driver.h"
#include "tests/fuzz/tokenizer-use.h"

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoTokenizer) t = evo_tokenizer_new_from_spm_file (fuzz_as_file (data, n), FALSE, FALSE, &error);

  fuzz_use_tokenizer (t, error);
  return 0;
}
