/* SPDX-License-Identifier: Apache-2.0
 * json.c - whatever bytes come, JSON is either refused in one line or reads the same after it was written.
 */
#include "tests/fuzz/driver.h"

#include "core/base/error.h"
#include "core/base/json.h"

static gsize n_good, n_bad;

static void
look_at (const EvoJson *v)
{
  g_autofree char *where = evo_json_where (v);
  const char *pointer = evo_json_pointer (v);
  gint64 whole;

  g_assert_true (g_utf8_validate (where, -1, NULL) && g_utf8_validate (pointer, -1, NULL));
  if (evo_json_is_integer (v, &whole))
    g_assert_cmpfloat (evo_json_number (v), ==, (double) whole);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *child = evo_json_at (v, i);

    if (evo_json_kind (v) == EVO_JSON_OBJECT)
      g_assert_true (evo_json_member (v, evo_json_key (child)) == child);
    look_at (child); /* at most 64 deep */
  }
}

static void
check_same (const EvoJson *v)
{
  g_autofree char *text = evo_json_text (v), *again = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, -1, "again", EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, &error);

  g_assert_no_error (error);
  again = evo_json_text (evo_json_root (doc));
  g_assert_cmpstr (text, ==, again);
}

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse ((const char *) data, (gssize) n, "fuzz", EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, &error);

  if (doc == NULL) {
    n_bad++;
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    g_assert_true (g_str_has_prefix (error->message, "fuzz:") && strpbrk (error->message, "\n\r") == NULL);
    g_assert_cmpuint (strlen (error->message), <, 400);
    return 0;
  }
  n_good++;
  g_assert_no_error (error);
  look_at (evo_json_root (doc));
  check_same (evo_json_root (doc));
  return 0;
}

static void __attribute__ ((destructor))
say (void)
{
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused\n", n_good, n_bad);
}
