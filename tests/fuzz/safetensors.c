/* SPDX-License-Identifier: Apache-2.0
 * safetensors.c - whatever bytes come, a header is either refused in one line or its tensors tile the file.
 */
#include "tests/fuzz/driver.h"

#include "core/base/error.h"
#include "core/store/safetensors.h"

static gsize n_good, n_bad;

static void
check_refusal (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == EVO_STORE_ERROR);
  g_assert_true (error->code == EVO_STORE_ERROR_FORMAT || error->code == EVO_STORE_ERROR_TRUNCATED || error->code == EVO_STORE_ERROR_DTYPE);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (g_str_has_prefix (error->message, "fuzz") && strpbrk (error->message, "\n\r\x1b") == NULL);
  g_assert_cmpuint (strlen (error->message), <, 900);
}

static void
check_header (const EvoHeader *h, size_t n)
{
  guint64 data = 0;

  g_assert_cmpuint (h->n_bytes, <=, n);
  for (guint i = 0; i < h->n; i++) {
    const EvoEntry *e = &h->entries[i];
    EvoShape again = e->shape;

    g_assert_true (i == 0 || strcmp (h->entries[i - 1].shape.name, e->shape.name) < 0);
    g_assert_cmpuint (e->begin, >=, h->n_bytes);
    g_assert_cmpuint (e->begin, <=, e->end);
    g_assert_cmpuint (e->end, <=, n);
    g_assert_cmpuint (e->end - e->begin, ==, evo_shape_bytes (&e->shape));
    g_assert_true (evo_shape_count (&again) && again.n == e->shape.n);
    data += e->end - e->begin;
  }
  g_assert_cmpuint (h->n_bytes + data, ==, n);
}

static void
parse (const uint8_t *data, size_t n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoHeader) h = evo_safetensors_parse (data, n, "fuzz", &error);

  if (h == NULL) {
    n_bad++;
    check_refusal (error);
    return;
  }
  n_good++;
  g_assert_no_error (error);
  check_header (h, n);
}

/* As it is; then with the length that the last brace gives: most mutations move the header's end, and would be refused for that alone. */
int
fuzz_one (const uint8_t *data, size_t n)
{
  const uint8_t *brace = memrchr (data, '}', n);
  g_autofree uint8_t *mended = NULL;
  guint64 length;

  parse (data, n);
  if (brace == NULL || brace < data + sizeof length)
    return 0;
  length = GUINT64_TO_LE ((guint64) (brace + 1 - data) - sizeof length);
  mended = g_memdup2 (data, n);
  memcpy (mended, &length, sizeof length);
  parse (mended, n);
  return 0;
}

static void __attribute__ ((destructor))
say (void)
{
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused\n", n_good, n_bad);
}
