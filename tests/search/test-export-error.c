/* SPDX-License-Identifier: Apache-2.0
 * test-export-error.c - the figures that say how far a saved path is from the one that was searched.
 */
#include <math.h>

#include "core/search/results/export-error.h"

enum { VOCAB = 3 };

static void
test_same (void)
{
  static const float x[] = { -1, -2, -0.5f, -3, -0.1f, -4 };
  EvoExportError e = { 9, 9, 9, 9 };

  evo_export_error_compare (x, x, 2, VOCAB, &e);
  g_assert_true (e.n_prompts == 2 && e.n_same == 2 && e.largest == 0 && e.rms == 0);
  evo_export_error_compare (x, x, 0, VOCAB, &e);
  g_assert_true (e.n_prompts == 0 && e.n_same == 0 && e.rms == 0);
  g_assert_null (evo_export_error_text (&e, NULL)); /* nothing was measured: there is nothing to say */
}

static void
test_different (void)
{
  static const float a[] = { -1, -2, -0.5f, -3, -0.25f, -4 }, b[] = { -1, -2, -1.5f, -3, -0.25f, -2 }; /* the first prompt's likeliest is another */
  EvoExportError e;

  evo_export_error_compare (a, b, 2, VOCAB, &e);
  g_assert_cmpint (e.n_same, ==, 1);
  g_assert_cmpfloat (e.largest, ==, 2);
  g_assert_cmpfloat (fabs (e.rms - sqrt (5.0 / 6)), <, 1e-15); /* 1 and 4 of six numbers; the root is rounded once */
}

/* Of two tokens alike the first counts, in both. */
static void
test_ties (void)
{
  static const float a[] = { -1, -1, -2 }, b[] = { -1, -0.5f, -2 };
  EvoExportError e;

  evo_export_error_compare (a, a, 1, VOCAB, &e);
  g_assert_cmpint (e.n_same, ==, 1);
  evo_export_error_compare (a, b, 1, VOCAB, &e);
  g_assert_cmpint (e.n_same, ==, 0);
}

/* A model that gives no numbers is as far away as can be, and does not hide it. */
static void
test_not_finite (void)
{
  static const float a[] = { -1, -2, -3 };
  const float none[] = { -1, NAN, -3 }, endless[] = { -1, -INFINITY, -3 };
  EvoExportError e;

  evo_export_error_compare (a, none, 1, VOCAB, &e);
  g_assert_true (isinf (e.largest) && isinf (e.rms));
  evo_export_error_compare (endless, a, 1, VOCAB, &e);
  g_assert_true (isinf (e.largest) && isinf (e.rms));
}

/* As scores.json has it; an endless difference is none of JSON's numbers. */
static void
test_write (void)
{
  const EvoExportError measured = { 32, 31, 0.5, 0.25 }, none = { 0 }, endless = { 1, 0, INFINITY, INFINITY };
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_array (&w);
  for (guint i = 0; i < 3; i++) {
    evo_json_begin_object (&w);
    evo_export_error_write (i == 0 ? &measured : i == 1 ? &none : &endless, &w);
    evo_json_end_object (&w);
  }
  evo_json_end_array (&w);
  g_assert_cmpstr (text->str, ==, "[{\"export\":{\"prompts\":32,\"same_token\":31,\"largest\":0.5,\"rms\":0.25}},{},"
                   "{\"export\":{\"prompts\":1,\"same_token\":0,\"largest\":null,\"rms\":null}}]");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/export-error/same", test_same);
  g_test_add_func ("/export-error/different", test_different);
  g_test_add_func ("/export-error/ties", test_ties);
  g_test_add_func ("/export-error/not-finite", test_not_finite);
  g_test_add_func ("/export-error/write", test_write);
  return g_test_run ();
}
