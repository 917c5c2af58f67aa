/* SPDX-License-Identifier: Apache-2.0
 * tokenizer-use.h - what the fuzz targets of tokenizer files do with a tokenizer, and bytes as a file.
 */
#ifndef EVO_FUZZ_TOKENIZER_USE_H
#define EVO_FUZZ_TOKENIZER_USE_H

#include <sys/mman.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/tokenizer.h"

/* A path to a file in memory with these bytes; the same one for every call. */
static inline const char *
fuzz_as_file (const uint8_t *data, size_t n)
{
  static char path[64];
  static int fd = -1;

  if (fd < 0) {
    fd = memfd_create ("fuzz", 0);
    g_assert_cmpint (fd, >=, 0);
    g_snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
  }
  g_assert_cmpint (ftruncate (fd, (off_t) n), ==, 0);
  g_assert_cmpint (pwrite (fd, data, n, 0), ==, (gssize) n);
  return path;
}

static inline void
fuzz_check_refusal (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (error->domain == EVO_STORE_ERROR);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_true (g_str_has_prefix (error->message, "/proc/self/fd/") && strpbrk (error->message, "\n\r") == NULL);
}

static inline void
fuzz_check_text (const EvoTokenizer *t, const char *text, gsize n)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) back = NULL;
  static const gint32 strange[] = { -1, 0, 1, 2, 3, 5, 200, G_MAXINT32 };

  evo_tokenizer_encode (t, text, n, TRUE, ids);
  for (guint i = 0; i < ids->len; i++)
    g_assert_cmpuint ((guint) g_array_index (ids, gint32, i), <, evo_tokenizer_get_n_tokens (t));
  g_array_append_vals (ids, strange, G_N_ELEMENTS (strange));
  back = evo_tokenizer_decode (t, (const gint32 *) (gpointer) ids->data, ids->len, FALSE);
  for (gsize i = 0; i < back->len;) { /* UTF-8, with U+0000 */
    const char *bad;

    if (!g_utf8_validate (back->str + i, (gssize) (back->len - i), &bad))
      g_assert_cmpint (*bad, ==, '\0');
    i = (gsize) (bad - back->str) + 1;
  }
}

static inline void
fuzz_use_tokenizer (const EvoTokenizer *t, const GError *error)
{
  static const char text[] = "abab a's  <x>\t12 e\xcc\x81\xef\xbc\xa1 \xe3\x81\x82\xe3\x81\x84 \xff\xe3\0 ABC--x \xf0\x9f\x98\x80\n\n c";

  if (t == NULL) {
    fuzz_check_refusal (error);
    return;
  }
  g_assert_no_error (error);
  fuzz_check_text (t, text, sizeof text - 1);
  fuzz_check_text (t, "", 0);
  fuzz_check_text (t, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 61);
  (void) evo_tokenizer_find (t, "<x>");
}

#endif
