/* SPDX-License-Identifier: Apache-2.0
 * test-lid.c - language identification against fastText's own probabilities, the script test, and broken model files.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/lid.h"

static char *
model_path (void)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), "models", "lid.176.ftz", NULL);
}

static EvoLid *
open_model (void)
{
  g_autofree char *path = model_path ();
  g_autoptr (GError) error = NULL;
  EvoLid *lid = evo_lid_open (path, &error);

  g_assert_no_error (error);
  return lid;
}

/* ------------------------------------------------------------------ fastText's values */

/* The file's numbers have 6 significant digits: half a unit of the last is up to 5e-6 of the number. The compiler of the reference may have
 * added up the 16 products of a node in another order: a few float roundings (6e-8 each) in each of about 10 nodes of a path. */
static double
tolerance (double expected)
{
  return 5e-6 * expected + 1e-6;
}

static void
check_line (const EvoLid *lid, char **f)
{
  g_autofree char *text = g_strcompress (f[3]); /* octal escapes; these texts have no U+0000 */
  double best, ja = evo_lid_probability (lid, text, strlen (text), "ja"), expected = g_ascii_strtod (f[1], NULL);
  const char *label = evo_lid_best (lid, text, strlen (text), &best);

  g_assert_cmpstr (label, ==, f[0]);
  g_assert_cmpfloat_with_epsilon (best, expected, tolerance (expected));
  g_assert_cmpfloat (evo_lid_probability (lid, text, strlen (text), label), ==, best);
  expected = g_ascii_strtod (f[2], NULL);
  g_assert_cmpfloat_with_epsilon (ja, expected, tolerance (expected));
}

static void
test_golden (void)
{
  g_autoptr (EvoLid) lid = open_model ();
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests", "data", "lid", "mgsm.tsv", NULL), *all = NULL;
  g_auto (GStrv) lines = NULL;
  guint n = 0;
  gint64 start = g_get_monotonic_time ();

  g_assert_true (g_file_get_contents (path, &all, NULL, NULL));
  lines = g_strsplit (all, "\n", -1);
  for (guint i = 1; lines[i] != NULL && *lines[i] != '\0'; i++, n++) {
    g_auto (GStrv) f = g_strsplit (lines[i], "\t", -1);

    g_assert_cmpuint (g_strv_length (f), ==, 4);
    check_line (lid, f);
  }
  g_assert_cmpuint (n, >=, 200);
  g_test_message ("%u lines, %.0f us for each of three predictions", n, (double) (g_get_monotonic_time () - start) / n / 3);
}

static void
test_lines (void)
{
  static const char broken[] = "\xff\xfe\x80 \xe3\x81", zeros[] = "a\0b\0\0";
  g_autoptr (EvoLid) lid = open_model ();
  double best;

  g_assert_cmpfloat (evo_lid_probability (lid, "", 0, "ja"), >=, 0);
  g_assert_cmpfloat (evo_lid_probability (lid, broken, sizeof broken - 1, "ja"), >=, 0);
  g_assert_cmpfloat (evo_lid_probability (lid, zeros, sizeof zeros, "ja"), <, 0.5);
  g_assert_cmpfloat (evo_lid_probability (lid, "これはペンです。", strlen ("これはペンです。"), "ja"), >, 0.9);
  g_assert_cmpfloat (evo_lid_probability (lid, "これはペンです。", strlen ("これはペンです。"), "no such language"), ==, 0);
  g_assert_cmpstr (evo_lid_best (lid, "This is a pen.", 14, &best), ==, "en");
  /* newlines go first: the words on both sides become one */
  g_assert_cmpfloat (evo_lid_probability (lid, "the\ncat", 7, "en"), ==, evo_lid_probability (lid, "thecat", 6, "en"));
}

/* ------------------------------------------------------------------ scripts */

static void
test_script (void)
{
  static const struct { const char *text, *code; double share; } cases[] = {
    { "答えは42です", "ja", 1 },      { "The answer is 42", "ja", 0 }, { "42", "ja", 0 },         { "", "ja", 0 },
    { "あab", "ja", 1.0 / 3 },        { "あいab", "ja", 0.5 },         { "あいうab", "ja", 0.6 }, { "漢字だけ", "ja", 1 },
    { "漢字", "ja", 0 },              { "ゝヽー", "ja", 0 },           { "Ａあ", "ja", 1 },       { "Привет мир", "ru", 1 },
    { "Привет, world", "ru", 6.0 / 11 }, { "hello", "en", 1 },         { "你好 ab", "zh", 0.5 },  { "한국어", "ko", 1 },
    { "สวัสดี", "th", 1 },              { "hello", "xx", 0 },            { "\xff\xfe", "en", 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_test_message ("%s: %s", cases[i].code, cases[i].text);
    g_assert_cmpfloat (evo_script_probability (cases[i].text, strlen (cases[i].text), cases[i].code), ==, cases[i].share);
  }
  g_assert_true (evo_script_is_known ("ja"));
  g_assert_true (evo_script_is_known ("sv"));
  g_assert_false (evo_script_is_known ("xx"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lid/golden", test_golden);
  g_test_add_func ("/lid/lines", test_lines);
  g_test_add_func ("/lid/script", test_script);
  return g_test_run ();
}
