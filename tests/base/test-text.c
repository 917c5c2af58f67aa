/* SPDX-License-Identifier: Apache-2.0
 * test-text.c - numbers as text, nearest names, globs, hashes, sizes; and the exit code of every error.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/abi/evopipe.h"
#include "core/base/error.h"
#include "core/base/text.h"

static void
test_numbers (void)
{
  static const struct { double x; const char *text; } rows[] = {
    { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -17, "-17" }, { 0.9995, "0.9995" }, { 0.1, "0.1" }, { 1.0 / 3, "0.3333333333333333" },
    { 1e300, "1e+300" }, { 1e-5, "1e-5" }, { 1.5e-7, "1.5e-7" }, { 5e-324, "5e-324" }, { DBL_MAX, "1.7976931348623157e+308" },
    { 9007199254740991.0, "9007199254740991" }, { 1e15, "1e+15" }, { 999999999999999.0, "999999999999999" }, { 123456.789, "123456.789" },
    { HUGE_VAL, "inf" }, { -HUGE_VAL, "-inf" }, { 0.30000000000000004, "0.30000000000000004" }, { 1e100, "1e+100" },
  };
  char buffer[EVO_NUMBER_TEXT];

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmpstr (evo_number_text (rows[i].x, buffer), ==, rows[i].text);
}

/* Shortest: it reads back, and with a digit less it would not. */
static void
test_shortest (void)
{
  g_autoptr (GRand) r = g_rand_new_with_seed (3);
  char buffer[EVO_NUMBER_TEXT], shorter[64];

  for (guint i = 0; i < 20000; i++) {
    double x = g_rand_double (r) * pow (10, g_rand_int_range (r, -20, 20));
    gint digits = 0, zeros = 0;

    evo_number_text (x, buffer);
    g_assert_cmpfloat (g_ascii_strtod (buffer, NULL), ==, x);
    for (const char *p = buffer; *p != '\0' && *p != 'e'; p++) {
      digits += g_ascii_isdigit (*p) && (digits > 0 || *p != '0');
      zeros = *p == '0' ? zeros + 1 : *p == '.' ? zeros : 0;
    }
    digits -= zeros; /* 695383202000000 */
    if (digits > 1) {
      g_snprintf (shorter, sizeof shorter, "%.*e", digits - 2, x);
      g_assert_cmpfloat (g_ascii_strtod (shorter, NULL), !=, x);
    }
  }
}

static void
assert_nearest (const char *name, const char *expected)
{
  static const char *const names[] = { "density", "weight", "normalize", "lambda", "l1", "t", NULL };
  g_autofree char *tail = evo_did_you_mean (name, names);
  g_autofree char *sentence = expected == NULL ? g_strdup ("") : g_strdup_printf ("; did you mean \"%s\"?", expected);

  g_assert_cmpstr (evo_nearest_name (name, names), ==, expected);
  g_assert_cmpstr (tail, ==, sentence);
}

static void
test_nearest (void)
{
  g_autofree char *endless = g_strnfill (100000, 'd');

  assert_nearest ("densty", "density");
  assert_nearest ("dnesity", "density"); /* neighbours swapped: one step */
  assert_nearest ("Weight", "weight");
  assert_nearest ("wieghts", "weight");
  assert_nearest ("normalise", "normalize");
  assert_nearest ("l2", "l1");
  assert_nearest ("temperature", NULL);
  assert_nearest ("", "t");
  assert_nearest (endless, NULL);
  g_assert_null (evo_nearest_name ("x", NULL));
}

static void
test_globs (void)
{
  static const struct { const char *pattern, *name; gboolean match; } rows[] = {
    { "", "", TRUE }, { "", "a", FALSE }, { "*", "", TRUE }, { "*", "model.layers.0", TRUE }, { "a", "a", TRUE }, { "a", "ab", FALSE },
    { "a*", "ab", TRUE }, { "*b", "ab", TRUE }, { "*b", "abc", FALSE }, { "a*c", "abbc", TRUE }, { "a*b*c", "a1b2b3c", TRUE },
    { "a*b*c", "a1c2c", FALSE }, { "?", "a", TRUE }, { "?", "", FALSE }, { "?", "ab", FALSE }, { "?", "é", TRUE }, { "a?b", "a漢b", TRUE },
    { "[0-9]", "7", TRUE }, { "[0-9]", "x", FALSE }, { "[ab]c", "bc", TRUE }, { "[ab]c", "cc", FALSE }, { "[a-c-]x", "-x", TRUE },
    { "*.layers.[0-3].*", "model.layers.2.mlp", TRUE }, { "*.layers.[0-3].*", "model.layers.4.mlp", FALSE },
    { "*.layers.[0-3].*", "model.layers.12.mlp", FALSE }, { "[a", "[a", TRUE }, { "[a", "a", FALSE }, { "[]", "]", FALSE },
    { "**", "x", TRUE }, { "A", "a", FALSE }, { "a.b", "axb", FALSE }, { "?*", "é", TRUE }, { "*?", "é", TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    if (evo_glob_match (rows[i].pattern, rows[i].name) != rows[i].match)
      g_error ("\"%s\" against \"%s\"", rows[i].pattern, rows[i].name);
}

/* A pattern that makes backtracking matchers take for ever: here it is the product of the lengths. */
static void
test_hostile_glob (void)
{
  g_autofree char *name = g_strnfill (20000, 'a');
  g_autoptr (GString) pattern = g_string_new (NULL);

  for (guint i = 0; i < 50; i++)
    g_string_append (pattern, "*a");
  g_string_append (pattern, "*b");
  g_assert_false (evo_glob_match (pattern->str, name));
}

/* Keys of random streams: these may never change. */
static void
test_hash (void)
{
  g_assert_cmphex (evo_hash_text ("", -1), ==, G_GUINT64_CONSTANT (0xf52a15e9a9b5e89b));
  g_assert_cmphex (evo_hash_text ("a", -1), ==, G_GUINT64_CONSTANT (0x02c0bdbf481420f8));
  g_assert_cmphex (evo_hash_text ("abc", 1), ==, evo_hash_text ("a", -1));
  g_assert_cmphex (evo_hash_text ("model.layers.0.mlp.up_proj.weight", -1), ==, G_GUINT64_CONSTANT (0xd4f5dfe7269f1766));
}

static void
test_sizes (void)
{
  static const struct { guint64 bytes; const char *text; } sizes[] = {
    { 0, "0 B" }, { 999, "999 B" }, { 1000, "1.00 kB" }, { 12345, "12.3 kB" }, { 1200000000, "1.20 GB" }, { 145000000000, "145 GB" },
  };
  static const struct { double seconds; const char *text; } durations[] = {
    { 0, "0 s" }, { 42.4, "42 s" }, { 59.6, "1 min 00 s" }, { 185, "3 min 05 s" }, { 7860, "2 h 11 min" }, { -1, "0 s" }, { NAN, "0 s" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autofree char *text = evo_size_text (sizes[i].bytes);

    g_assert_cmpstr (text, ==, sizes[i].text);
  }
  for (guint i = 0; i < G_N_ELEMENTS (durations); i++) {
    g_autofree char *text = evo_duration_text (durations[i].seconds);

    g_assert_cmpstr (text, ==, durations[i].text);
  }
}

/* ------------------------------------------------------------------ errors */

static void
assert_exit_code (GQuark domain, gint code, int expected)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (evo_set_error (&error, domain, code, "%d apples", 3));
  g_assert_cmpstr (error->message, ==, "3 apples");
  g_assert_cmpint (evo_error_exit_code (error), ==, expected);
  g_assert_false (evo_set_error (NULL, domain, code, "nobody listens"));
}

static void
test_exit_codes (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (evo_error_exit_code (NULL), ==, 0);
  assert_exit_code (G_FILE_ERROR, G_FILE_ERROR_NOENT, 1);
  assert_exit_code (EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, 2);
  assert_exit_code (EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, 2);
  assert_exit_code (EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_CYCLE, 2);
  assert_exit_code (EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_ABI, 3);
  assert_exit_code (EVO_STORE_ERROR, EVO_STORE_ERROR_TRUNCATED, 4);
  assert_exit_code (EVO_RUN_ERROR, EVO_RUN_ERROR_CANCELLED, 5);
  assert_exit_code (EVO_RUN_ERROR, EVO_RUN_ERROR_OTHER_PIPELINE, 2);
  assert_exit_code (EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, 4);
  assert_exit_code (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, 2);
  assert_exit_code (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_SHAPE, 2);
  assert_exit_code (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, 4);
  assert_exit_code (EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_FILE, 4);
  evo_fail (&error, EVO_PLUGIN_ERROR_NUMERIC, "from a plugin");
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/text/numbers", test_numbers);
  g_test_add_func ("/text/numbers/shortest", test_shortest);
  g_test_add_func ("/text/nearest", test_nearest);
  g_test_add_func ("/text/globs", test_globs);
  g_test_add_func ("/text/globs/hostile", test_hostile_glob);
  g_test_add_func ("/text/hash", test_hash);
  g_test_add_func ("/text/sizes", test_sizes);
  g_test_add_func ("/error/exit-codes", test_exit_codes);
  return g_test_run ();
}
