/* SPDX-License-Identifier: Apache-2.0
 * test-json.c - the reader refuses what RFC 8259 refuses, says where, and gives back what was written; the writer is its mirror.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"

static EvoJsonDoc *
parse (const char *text)
{
  GError *error = NULL;
  EvoJsonDoc *doc = evo_json_parse (text, -1, "t", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, &error);

  g_assert_no_error (error);
  g_assert_nonnull (doc);
  return doc;
}

static void
assert_bad (const char *text, gssize n, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_json_parse (text, n, "t", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, &error));
  g_assert_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX);
  g_assert_cmpstr (error->message, ==, message);
}

/* ------------------------------------------------------------------ refused */

static const struct { const char *text, *message; } bad[] = {
  { "", "t:1:1: a value is expected here, not the end of the text" },
  { "   ", "t:1:4: a value is expected here, not the end of the text" },
  { "\n\n ", "t:3:2: a value is expected here, not the end of the text" },
  { "{", "t:1:2: a key in quotes or } is expected here, not the end of the text" },
  { "[", "t:1:2: a value or ] is expected here, not the end of the text" },
  { "{\"a\"", "t:1:5: a colon is expected here, not the end of the text" },
  { "{\"a\":", "t:1:6: a value is expected here, not the end of the text" },
  { "{\"a\":1", "t:1:7: a comma or } is expected here, not the end of the text" },
  { "{\"a\":1,", "t:1:8: a key in quotes is expected here, not the end of the text" },
  { "{\"a\":1 \"b\":2}", "t:1:8: a comma or } is expected here, not a quote" },
  { "{\"a\":1,}", "t:1:8: a key in quotes is expected here, not \"}\"" },
  { "{\"a\":1,,\"b\":2}", "t:1:8: a key in quotes is expected here, not \",\"" },
  { "{,}", "t:1:2: a key in quotes or } is expected here, not \",\"" },
  { "{a:1}", "t:1:2: a key in quotes or } is expected here, not \"a\"" },
  { "{'a':1}", "t:1:2: a key in quotes or } is expected here, not a single quote; strings stand in double quotes" },
  { "{\"a\" 1}", "t:1:6: a colon is expected here, not \"1\"" },
  { "{\"a\";1}", "t:1:5: a colon is expected here, not \";\"" },
  { "{\"a\":}", "t:1:6: a value is expected here, not \"}\"" },
  { "{1:2}", "t:1:2: a key in quotes or } is expected here, not \"1\"" },
  { "{\"a\":1,\"b\":2,\"a\":3}", "t:1:14: the key \"a\" stands in line 1 already" },
  { "{\"x\":{\"k\":1,\n\"k\":2}}", "t:2:1: the key \"k\" stands in line 1 already" },
  { "{\"\\u0061\":1,\"a\":2}", "t:1:13: the key \"a\" stands in line 1 already" },
  { "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,\n\"i\":11}",
    "t:2:1: the key \"i\" stands in line 1 already" },
  { "{\"a\":1]", "t:1:7: a comma or } is expected here, not \"]\"" },
  { "[1}", "t:1:3: a comma or ] is expected here, not \"}\"" },
  { "[1,]", "t:1:4: a value is expected here, not \"]\"" },
  { "[,1]", "t:1:2: a value or ] is expected here, not \",\"" },
  { "[1 2]", "t:1:4: a comma or ] is expected here, not \"2\"" },
  { "[1,,2]", "t:1:4: a value is expected here, not \",\"" },
  { "[1]]", "t:1:4: the end of the text is expected here, not \"]\"" },
  { "1 2", "t:1:3: the end of the text is expected here, not \"2\"" },
  { "{} {}", "t:1:4: the end of the text is expected here, not \"{\"" },
  { "]", "t:1:1: a value is expected here, not \"]\"" },
  { "}", "t:1:1: a value is expected here, not \"}\"" },
  { ":", "t:1:1: a value is expected here, not \":\"" },
  { ",", "t:1:1: a value is expected here, not \",\"" },
  { "tru", "t:1:1: a value is expected here, not \"tru\"" },
  { "True", "t:1:1: a value is expected here, not \"True\"" },
  { "nul", "t:1:1: a value is expected here, not \"nul\"" },
  { "nulll", "t:1:1: a value is expected here, not \"nulll\"" },
  { "NaN", "t:1:1: a value is expected here, not \"NaN\"" },
  { "Infinity", "t:1:1: a value is expected here, not \"Infinity\"" },
  { "-Infinity", "t:1:1: -Infinity is not a number: a digit is expected after the sign" },
  { "undefined", "t:1:1: a value is expected here, not \"undefined\"" },
  { "'a'", "t:1:1: a value is expected here, not a single quote; strings stand in double quotes" },
  { "\"a", "t:1:1: the string that starts here has no closing quote" },
  { "\"a\nb\"", "t:1:1: the string that starts here has no closing quote" },
  { "\"a\tb\"", "t:1:3: the byte 0x09 may not stand in a string; write \\u0009" },
  { "\"a\001b\"", "t:1:3: the byte 0x01 may not stand in a string; write \\u0001" },
  { "\"\\x41\"", "t:1:2: a backslash stands before one of \" \\ / b f n r t u; a backslash itself is written \\\\" },
  { "\"\\", "t:1:2: a backslash stands before one of \" \\ / b f n r t u; a backslash itself is written \\\\" },
  { "\"\\\"", "t:1:1: the string that starts here has no closing quote" },
  { "\"\\u12\"", "t:1:2: \\u needs four hexadecimal digits" },
  { "\"\\u12g4\"", "t:1:2: \\u needs four hexadecimal digits" },
  { "\"\\u0000\"", "t:1:2: \\u0000 is not allowed: strings hold no NUL" },
  { "\"\\ud800\"", "t:1:2: \\ud800 is the first half of a surrogate pair; the second is missing" },
  { "\"\\ud800x\"", "t:1:2: \\ud800 is the first half of a surrogate pair; the second is missing" },
  { "\"\\ud800\\u0041\"", "t:1:2: \\ud800 is the first half of a surrogate pair; the second is missing" },
  { "\"\\udc00\"", "t:1:2: \\udc00 is the second half of a surrogate pair; the first is missing" },
  { "\"\303\\\"", "t:1:2: the byte 0xc3 is not UTF-8" },
  { "\"\377\"", "t:1:2: the byte 0xff is not UTF-8" },
  { "\"\300\200\"", "t:1:2: the byte 0xc0 is not UTF-8" },
  { "\"\340\237\277\"", "t:1:2: the byte 0xe0 is not UTF-8" },
  { "\"\360\217\277\277\"", "t:1:2: the byte 0xf0 is not UTF-8" },
  { "\"\355\240\200\"", "t:1:2: the byte 0xed is not UTF-8" },
  { "\"\364\220\200\200\"", "t:1:2: the byte 0xf4 is not UTF-8" },
  { "\"\342\202\"", "t:1:2: the byte 0xe2 is not UTF-8" },
  { "\357\273\277{}", "t:1:1: the text starts with a byte order mark; save it as UTF-8 without one" },
  { "\377\376{", "t:1:1: a value is expected here, not the byte 0xff" },
  { "// note\n1", "t:1:1: JSON has no comments; remove this one" },
  { "[1, /* two */ 2]", "t:1:5: JSON has no comments; remove this one" },
  { "{\"a\":1 # one\n}", "t:1:8: JSON has no comments; remove this one" },
  { "01", "t:1:1: 01 is not a number: it may not start with a zero" },
  { "-", "t:1:1: - is not a number: a digit is expected after the sign" },
  { "-a", "t:1:1: -a is not a number: a digit is expected after the sign" },
  { "+1", "t:1:1: a value is expected here, not \"+\"" },
  { ".5", "t:1:1: a value is expected here, not \".\"" },
  { "1.", "t:1:1: 1. is not a number: a digit is expected after the point" },
  { "1.e5", "t:1:1: 1.e5 is not a number: a digit is expected after the point" },
  { "-.5", "t:1:1: -.5 is not a number: a digit is expected after the sign" },
  { "1e", "t:1:1: 1e is not a number: a digit is expected in the exponent" },
  { "1e+", "t:1:1: 1e+ is not a number: a digit is expected in the exponent" },
  { "1.5e-", "t:1:1: 1.5e- is not a number: a digit is expected in the exponent" },
  { "0x10", "t:1:1: 0x10 is not a number: it is written in decimal digits" },
  { "1_000", "t:1:1: 1_000 is not a number: it is written in decimal digits" },
  { "1.2.3", "t:1:1: 1.2.3 is not a number: it is written in decimal digits" },
  { "1e999", "t:1:1: 1e999 is too large; numbers end at 1.7976931348623157e+308" },
  { "-1e999", "t:1:1: -1e999 is too large; numbers end at 1.7976931348623157e+308" },
  { "1e5x", "t:1:1: 1e5x is not a number: it is written in decimal digits" },
  { "--1", "t:1:1: --1 is not a number: a digit is expected after the sign" },
  { "1,", "t:1:2: the end of the text is expected here, not \",\"" },
  { "\"\303\251\303\251\" x", "t:1:6: the end of the text is expected here, not \"x\"" },
  { "\f1", "t:1:1: a value is expected here, not the byte 0x0c" },
  { "[1\0502]", "t:1:3: a comma or ] is expected here, not \"(\"" },
  { "\302\2401", "t:1:1: a value is expected here, not \"\302\240\"" },
  { "\001", "t:1:1: a value is expected here, not the byte 0x01" },
  { "@", "t:1:1: a value is expected here, not \"@\"" },
  { "[1;2]", "t:1:3: a comma or ] is expected here, not \";\"" },
  { "", "t:1:1: a value is expected here, not the end of the text" },
};

static void
test_bad (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    assert_bad (bad[i].text, -1, bad[i].message);
}

/* Cut anywhere, a document that ends with its last bracket is refused; no byte behind the cut is looked at (a copy of exact size). */
static void
test_cut (void)
{
  static const char text[] = "{\"a\": [1.5e-3, true, null, \"x\\u00e9\\ud83d\\ude00 \xc3\xa9\"], \"b\": {\"c\": false}}";

  for (gsize n = 0; n < sizeof text - 1; n++) {
    g_autofree char *cut = g_memdup2 (text, MAX (n, 1));
    g_autoptr (GError) error = NULL;

    g_assert_null (evo_json_parse (cut, (gssize) n, "t", EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    g_assert_null (strchr (error->message, '\n'));
  }
}

static void
test_nul (void)
{
  assert_bad ("[1,\0 2]", 7, "t:1:4: a value is expected here, not the byte 0x00");
  assert_bad ("[\"a\0b\"]", 7, "t:1:4: the byte 0x00 may not stand in a string");
  assert_bad ("[1]\0", 4, "t:1:4: the end of the text is expected here, not the byte 0x00");
}

static char *
nested (guint depth, char open, const char *inner, char close)
{
  GString *s = g_string_new (NULL);

  for (guint i = 0; i < depth; i++)
    g_string_append_c (s, open);
  g_string_append (s, inner);
  for (guint i = 0; i < depth; i++)
    g_string_append_c (s, close);
  return g_string_free (s, FALSE);
}

static void
test_depth (void)
{
  g_autofree char *deepest = nested (64, '[', "1", ']'), *deeper = nested (65, '[', "1", ']'), *hostile = nested (200000, '[', "", ']');
  g_autoptr (EvoJsonDoc) doc = parse (deepest);
  g_autofree char *text = evo_json_text (evo_json_root (doc));

  g_assert_cmpstr (text, ==, deepest);
  assert_bad (deeper, -1, "t:1:65: brackets are nested more than 64 deep");
  assert_bad (hostile, -1, "t:1:65: brackets are nested more than 64 deep");
}

/* A message is one line and of bounded length, whatever the text holds. */
static void
test_long_words (void)
{
  g_autofree char *digits = nested (5000, '1', "e999", ' '), *word = nested (5000, 'x', "", ' ');
  g_autofree char *key = g_strnfill (5000, 'k'), *twice = g_strdup_printf ("{\"%s\\n\":1,\"%s\\n\":2}", key, key);
  const char *texts[] = { digits, word, twice };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (evo_json_parse (texts[i], -1, "t", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, &error));
    g_assert_cmpuint (strlen (error->message), <, 200);
  }
  assert_bad ("{\"a\\nb\":1,\"a\\u000ab\":2}", -1, "t:1:11: the key \"a\\nb\" stands in line 1 already");
}

/* ------------------------------------------------------------------ accepted */

static void
test_scalars (void)
{
  g_autoptr (EvoJsonDoc) doc = parse (" [ null , true , false , -0 , 12 , 0.5 , \"\" , [ ] , { } , 1E+2 ]\r\n\t");
  const EvoJson *list = evo_json_root (doc);
  static const EvoJsonKind kinds[] = { EVO_JSON_NULL, EVO_JSON_BOOL, EVO_JSON_BOOL, EVO_JSON_NUMBER, EVO_JSON_NUMBER, EVO_JSON_NUMBER,
                                       EVO_JSON_STRING, EVO_JSON_ARRAY, EVO_JSON_OBJECT, EVO_JSON_NUMBER };

  g_assert_cmpuint (evo_json_size (list), ==, G_N_ELEMENTS (kinds));
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    g_assert_cmpint (evo_json_kind (evo_json_at (list, i)), ==, kinds[i]);
  g_assert_true (evo_json_bool (evo_json_at (list, 1)));
  g_assert_false (evo_json_bool (evo_json_at (list, 2)));
  g_assert_true (signbit (evo_json_number (evo_json_at (list, 3))));
  g_assert_cmpfloat (evo_json_number (evo_json_at (list, 4)), ==, 12);
  g_assert_cmpfloat (evo_json_number (evo_json_at (list, 9)), ==, 100);
  g_assert_cmpstr (evo_json_string (evo_json_at (list, 6)), ==, "");
  g_assert_null (evo_json_string (evo_json_at (list, 4)));
  g_assert_cmpuint (evo_json_size (evo_json_at (list, 4)), ==, 0);
  g_assert_cmpstr (evo_json_kind_name (EVO_JSON_NUMBER), ==, "a number");
}

static void
test_numbers (void)
{
  static const struct { const char *text; double value; gboolean integer; } rows[] = {
    { "0", 0, TRUE }, { "-7", -7, TRUE }, { "1.0", 1, TRUE }, { "1e3", 1000, TRUE }, { "0.5", 0.5, FALSE }, { "1e-400", 0, TRUE },
    { "9007199254740991", 9007199254740991.0, TRUE }, { "9007199254740992", 9007199254740992.0, FALSE },
    { "-9007199254740991", -9007199254740991.0, TRUE }, { "9007199254740993", 9007199254740992.0, FALSE },
    { "18446744073709551615", 18446744073709551616.0, FALSE }, { "999999999999999", 999999999999999.0, TRUE },
    { "1000000000000000", 1e15, TRUE }, { "0.1", 0.1, FALSE }, { "4.9e-324", 4.9e-324, FALSE },
    { "1.7976931348623157e308", 1.7976931348623157e308, FALSE }, { "123456789012345678901234567890", 123456789012345678901234567890.0, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (EvoJsonDoc) doc = parse (rows[i].text);
    gint64 n = -1;

    g_assert_cmpfloat (evo_json_number (evo_json_root (doc)), ==, rows[i].value);
    g_assert_cmpint (evo_json_is_integer (evo_json_root (doc), &n), ==, rows[i].integer);
    g_assert_cmpint (n, ==, rows[i].integer ? (gint64) rows[i].value : -1);
  }
}

static void
test_strings (void)
{
  static const struct { const char *text, *value; } rows[] = {
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" }, { "\"\\u00e9\\u4e2d\\uFFFF\"", "é中\xef\xbf\xbf" },
    { "\"\\ud83d\\uDE00x\"", "😀x" }, { "\"日本語\\u0001\"", "日本語\001" }, { "\"\x7f\"", "\x7f" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (EvoJsonDoc) doc = parse (rows[i].text);

    g_assert_cmpstr (evo_json_string (evo_json_root (doc)), ==, rows[i].value);
  }
}

static void
test_positions (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("{\n  \"nodes\": {\n    \"a/b~\": { \"é\\u00e9é\": [ 10, 20,\n\r\n 30 ] }\n  }\n}");
  const EvoJson *list = evo_json_at (evo_json_at (evo_json_member (evo_json_root (doc), "nodes"), 0), 0);
  const EvoJson *second = evo_json_at (list, 1), *third = evo_json_at (list, 2);
  g_autofree char *where = evo_json_where (second), *root = evo_json_where (evo_json_root (doc));

  g_assert_cmpstr (evo_json_pointer (second), ==, "/nodes/a~1b~0/ééé/1");
  g_assert_true (evo_json_pointer (second) == evo_json_pointer (second));
  g_assert_cmpstr (evo_json_pointer (evo_json_root (doc)), ==, "");
  g_assert_cmpstr (where, ==, "t:3: /nodes/a~1b~0/ééé/1");
  g_assert_cmpstr (root, ==, "t:1");
  g_assert_cmpuint (evo_json_line (second), ==, 3);
  g_assert_cmpuint (evo_json_column (second), ==, 33);
  g_assert_cmpuint (evo_json_line (third), ==, 5);
  g_assert_cmpuint (evo_json_column (third), ==, 2);
  g_assert_cmpstr (evo_json_key (list), ==, "ééé");
  g_assert_null (evo_json_key (second));
  g_assert_cmpstr (evo_json_name (second), ==, "t");
}

static void
test_where_is_one_line (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("{\"a\\nb\": 1}");
  g_autofree char *where = evo_json_where (evo_json_at (evo_json_root (doc), 0));

  g_assert_cmpstr (where, ==, "t:1: /a?b");
}

/* Objects of every size around the change from searching to hashing: each key is found, others are not, a repeated key is refused. */
static void
test_members (void)
{
  for (guint n = 0; n < 70; n++) {
    g_autoptr (GString) s = g_string_new ("{");
    g_autoptr (EvoJsonDoc) doc = NULL;
    g_autofree char *twice = NULL, *message = NULL;

    for (guint i = 0; i < n; i++)
      g_string_append_printf (s, "%s\"key.%u\":{\"inner\":%u}", i == 0 ? "" : ",", i * 7, i);
    for (guint i = 0; i < n; i++) {
      g_clear_pointer (&twice, g_free);
      g_clear_pointer (&message, g_free);
      twice = g_strdup_printf ("%s,\n\"key.%u\":0}", s->str, i * 7);
      message = g_strdup_printf ("t:2:1: the key \"key.%u\" stands in line 1 already", i * 7);
      assert_bad (twice, -1, message);
    }
    g_string_append_c (s, '}');
    doc = parse (s->str);
    for (guint i = 0; i < 7 * n; i++) {
      g_autofree char *key = g_strdup_printf ("key.%u", i);
      const EvoJson *v = evo_json_member (evo_json_root (doc), key);

      g_assert_true ((v != NULL) == (i % 7 == 0));
      if (v != NULL)
        g_assert_cmpfloat (evo_json_get_number (v, "inner", -1), ==, i / 7);
    }
    g_assert_null (evo_json_member (evo_json_root (doc), ""));
  }
}

static void
test_shortcuts (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("{\"s\":\"x\",\"n\":2.5,\"b\":true}");
  const EvoJson *v = evo_json_root (doc);

  g_assert_cmpstr (evo_json_get_string (v, "s"), ==, "x");
  g_assert_null (evo_json_get_string (v, "n"));
  g_assert_null (evo_json_get_string (NULL, "n"));
  g_assert_cmpfloat (evo_json_get_number (v, "n", 7), ==, 2.5);
  g_assert_cmpfloat (evo_json_get_number (v, "s", 7), ==, 7);
  g_assert_true (evo_json_get_bool (v, "b", FALSE));
  g_assert_true (evo_json_get_bool (v, "n", TRUE));
  g_assert_null (evo_json_member (evo_json_member (v, "s"), "x"));
}

/* ------------------------------------------------------------------ writing */

static void
write_sample (EvoJsonWriter *w)
{
  evo_json_begin_object (w);
  evo_json_add_key (w, "a");
  evo_json_begin_array (w);
  evo_json_add_number (w, 0.9995);
  evo_json_add_number (w, NAN);
  evo_json_add_integer (w, G_MININT64);
  evo_json_end_array (w);
  evo_json_add_key (w, "empty");
  evo_json_begin_object (w);
  evo_json_end_object (w);
  evo_json_add_key (w, "text\n\"");
  evo_json_add_text (w, "a\0b\x01\x7f\xff\xe2\x82z\\", 10);
  evo_json_add_key (w, "no");
  evo_json_add_string (w, NULL);
  evo_json_add_key (w, "yes");
  evo_json_add_bool (w, TRUE);
  evo_json_add_key (w, "nothing");
  evo_json_add_null (w);
  evo_json_end_object (w);
}

static void
test_write (void)
{
  g_autoptr (GString) compact = g_string_new (NULL), pretty = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, compact, FALSE);
  write_sample (&w);
  g_assert_cmpstr (compact->str, ==,
                   "{\"a\":[0.9995,null,-9223372036854775808],\"empty\":{},\"text\\n\\\"\":\"a\xef\xbf\xbd" "b\\u0001\x7f\xef\xbf\xbd\xef\xbf\xbdz\\\\\","
                   "\"no\":null,\"yes\":true,\"nothing\":null}");
  evo_json_writer_init (&w, pretty, TRUE);
  write_sample (&w);
  g_assert_true (g_str_has_prefix (pretty->str, "{\n  \"a\": [\n    0.9995,\n    null,\n    -9223372036854775808\n  ],\n  \"empty\": {},\n"));
  g_assert_true (g_str_has_suffix (pretty->str, "  \"nothing\": null\n}"));
  g_autoptr (EvoJsonDoc) doc = parse (pretty->str);
  g_autofree char *again = evo_json_text (evo_json_root (doc));
  g_assert_cmpstr (again, ==, compact->str);
}

/* A value goes through as it was spelt: 8.0 must not become an integer, 10^30 not a float, in a configuration that others read. */
static void
test_value (void)
{
  static const char text[] = "{\"factor\":8.0,\"max\":1000000000000000019884624838656,\"l\":[[],[{}],-0.0,1E5,\"\\u0001/é\"]}";
  g_autoptr (EvoJsonDoc) doc = parse (text);
  g_autoptr (GString) out = g_string_new (NULL);
  g_autofree char *copy = evo_json_text (evo_json_root (doc)), *part = evo_json_text (evo_json_at (evo_json_root (doc), 2));
  EvoJsonWriter w;

  g_assert_cmpstr (copy, ==, text);
  g_assert_cmpstr (part, ==, "[[],[{}],-0.0,1E5,\"\\u0001/é\"]");
  evo_json_writer_init (&w, out, FALSE);
  evo_json_begin_array (&w);
  evo_json_add_value (&w, evo_json_at (evo_json_root (doc), 2));
  evo_json_add_value (&w, evo_json_at (evo_json_root (doc), 0));
  evo_json_end_array (&w);
  g_assert_cmpstr (out->str, ==, "[[[],[{}],-0.0,1E5,\"\\u0001/é\"],8.0]");
}

static void
test_quoted (void)
{
  g_autofree char *plain = evo_json_quoted ("a\nb"), *sixty = g_strnfill (61, 'x'), *cut = evo_json_quoted (sixty);
  g_autofree char *kanji = g_strdup ("漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢"), *short_kanji = evo_json_quoted (kanji);

  g_assert_cmpstr (plain, ==, "\"a\\nb\"");
  g_assert_cmpuint (strlen (cut), ==, 65);
  g_assert_true (g_str_has_suffix (cut, "x...\""));
  g_assert_true (g_utf8_validate (short_kanji, -1, NULL));
  g_assert_cmpuint (g_utf8_strlen (short_kanji, -1), ==, 25);
}

/* Random doubles, by bits, written and read: the same bits. */
static void
test_round_trip (void)
{
  g_autoptr (GRand) r = g_rand_new_with_seed (1);

  for (guint i = 0; i < 20000; i++) {
    guint64 bits = (guint64) g_rand_int (r) << 32 | g_rand_int (r);
    g_autoptr (GString) s = g_string_new (NULL);
    g_autoptr (EvoJsonDoc) doc = NULL;
    EvoJsonWriter w;
    double x, y;

    memcpy (&x, &bits, sizeof x);
    if (!isfinite (x))
      continue;
    evo_json_writer_init (&w, s, FALSE);
    evo_json_add_number (&w, x);
    doc = parse (s->str);
    y = evo_json_number (evo_json_root (doc));
    g_assert_cmpint (memcmp (&x, &y, sizeof x), ==, 0);
  }
}

/* ------------------------------------------------------------------ files */

static void
assert_file_error (const char *path, gint code, const char *tail)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *message = g_strconcat (path, tail, NULL);

  g_assert_null (evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error));
  g_assert_error (error, EVO_STORE_ERROR, code);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_file (void)
{
  g_autofree char *folder = g_dir_make_tmp ("evo-json-XXXXXX", NULL), *path = g_build_filename (folder, "x.json", NULL);
  g_autoptr (EvoJsonDoc) doc = NULL;
  g_autoptr (GError) error = NULL;

  assert_file_error (path, EVO_STORE_ERROR_OPEN, ": cannot be read: No such file or directory");
  assert_file_error (folder, EVO_STORE_ERROR_OPEN, ": cannot be read: Is a directory");
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  assert_file_error (path, EVO_STORE_ERROR_FORMAT, ":1:1: a value is expected here, not the end of the text");
  g_assert_true (g_file_set_contents (path, "{\"a\": [1, 2]}", -1, NULL));
  doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (evo_json_size (evo_json_member (evo_json_root (doc), "a")), ==, 2);
  g_assert_cmpstr (evo_json_name (evo_json_root (doc)), ==, path);
  g_assert_cmpint (g_remove (path) + g_rmdir (folder), ==, 0);
}

static GString *
big_vocabulary (guint n_words, guint n_merges)
{
  GString *s = g_string_new ("{\"model\":{\"vocab\":{");

  for (guint i = 0; i < n_words; i++)
    g_string_append_printf (s, "%s\"\xe2\x96\x81token%x\":%u", i == 0 ? "" : ",", i * 2654435761u, i);
  g_string_append (s, "},\"merges\":[");
  for (guint i = 0; i < n_merges; i++)
    g_string_append_printf (s, "%s[\"tok%u\",\"\\u0120en\"]", i == 0 ? "" : ",\n", i);
  g_string_append (s, "]}}");
  return s;
}

static void
report (const char *what, gsize n_bytes, GTimer *timer)
{
  g_test_message ("%s of %.1f MB: %.0f ms", what, (double) n_bytes / 1e6, g_timer_elapsed (timer, NULL) * 1e3);
}

/* The size of a tokenizer with 128k words and 280k merges: how long it takes is printed, that all of it is found is asserted. */
static void
test_big_tokenizer (void)
{
  g_autoptr (GString) s = big_vocabulary (128000, 280000);
  g_autoptr (GTimer) timer = g_timer_new ();
  g_autoptr (EvoJsonDoc) doc = parse (s->str);
  const EvoJson *model, *vocab, *merges;

  report ("tokenizer", s->len, timer);
  model = evo_json_member (evo_json_root (doc), "model");
  vocab = evo_json_member (model, "vocab");
  merges = evo_json_member (model, "merges");
  g_timer_start (timer);
  for (guint i = 0; i < 128000; i++) {
    char key[64];

    g_snprintf (key, sizeof key, "\xe2\x96\x81token%x", i * 2654435761u);
    g_assert_cmpfloat (evo_json_get_number (vocab, key, -1), ==, i);
  }
  report ("looking all words up", s->len, timer);
  g_assert_cmpuint (evo_json_size (merges), ==, 280000);
  g_assert_cmpstr (evo_json_string (evo_json_at (evo_json_at (merges, 279999), 1)), ==, "Ġen");
  g_assert_cmpuint (evo_json_line (evo_json_at (merges, 279999)), ==, 280000);
  g_assert_cmpstr (evo_json_pointer (evo_json_at (evo_json_at (merges, 77), 1)), ==, "/model/merges/77/1");
}

static void
test_big_header (void)
{
  g_autoptr (GString) s = g_string_new ("{\"__metadata__\":{\"format\":\"pt\"}");
  g_autoptr (GTimer) timer = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;
  gint64 offset;

  for (guint64 i = 0; i < 100000; i++)
    g_string_append_printf (s, ",\"model.layers.%u.experts.%u.w.weight\":{\"dtype\":\"BF16\",\"shape\":[4096,14336],\"data_offsets\":[%"
                            G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}", (guint) i / 100, (guint) i % 100, i * 90000000000, (i + 1) * 90000000000);
  g_string_append_c (s, '}');
  timer = g_timer_new ();
  doc = parse (s->str);
  report ("safetensors header", s->len, timer);
  const EvoJson *last = evo_json_member (evo_json_root (doc), "model.layers.999.experts.99.w.weight");
  g_assert_true (evo_json_is_integer (evo_json_at (evo_json_member (last, "data_offsets"), 1), &offset));
  g_assert_cmpint (offset, ==, G_GINT64_CONSTANT (9000000000000000));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/bad", test_bad);
  g_test_add_func ("/json/bad/cut", test_cut);
  g_test_add_func ("/json/bad/nul", test_nul);
  g_test_add_func ("/json/bad/depth", test_depth);
  g_test_add_func ("/json/bad/long-words", test_long_words);
  g_test_add_func ("/json/scalars", test_scalars);
  g_test_add_func ("/json/numbers", test_numbers);
  g_test_add_func ("/json/strings", test_strings);
  g_test_add_func ("/json/positions", test_positions);
  g_test_add_func ("/json/positions/one-line", test_where_is_one_line);
  g_test_add_func ("/json/members", test_members);
  g_test_add_func ("/json/shortcuts", test_shortcuts);
  g_test_add_func ("/json/write", test_write);
  g_test_add_func ("/json/write/value", test_value);
  g_test_add_func ("/json/write/quoted", test_quoted);
  g_test_add_func ("/json/write/round-trip", test_round_trip);
  g_test_add_func ("/json/file", test_file);
  g_test_add_func ("/json/big/tokenizer", test_big_tokenizer);
  g_test_add_func ("/json/big/header", test_big_header);
  return g_test_run ();
}
