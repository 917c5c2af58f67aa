/* SPDX-License-Identifier: Apache-2.0
 * test-rows.c - data files of every format, which rows are taken, prompt templates; and what is said about broken ones.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/graph/data/rows-read.h"
#include "core/graph/data/template.h"

static char *folder;

/* By hand: g_file_set_contents would see thousands of them onto the disk. */
static char *
write_file (const char *name, const char *bytes, gssize n)
{
  char *path = g_build_filename (folder, name, NULL);
  FILE *f = g_fopen (path, "wb");
  gsize size = n < 0 ? strlen (bytes) : (gsize) n;

  g_assert_nonnull (f);
  g_assert_cmpuint (fwrite (bytes, 1, size, f), ==, size);
  g_assert_cmpint (fclose (f), ==, 0);
  return path;
}

static EvoData *
open_text (const char *name, const char *text, const EvoDataOptions *options)
{
  g_autofree char *path = write_file (name, text, -1);
  EvoDataOptions none = { .format = NULL };
  g_autoptr (GError) error = NULL;
  EvoData *d = evo_data_open (path, options == NULL ? &none : options, &error);

  g_assert_no_error (error);
  return d;
}

/* Rows as "field=cell|field=cell" with the line in front, joined by " / ". */
static char *
shown (const EvoData *d)
{
  GString *out = g_string_new (NULL);
  EvoRows rows;

  evo_data_describe (d, &rows);
  g_assert_cmpuint (rows.size, ==, sizeof rows);
  for (gint64 i = 0; i < rows.n_rows; i++) {
    g_string_append_printf (out, "%s%" G_GINT64_FORMAT ":", i == 0 ? "" : " / ", rows.lines[i]);
    for (guint k = 0; k < rows.n_fields; k++) {
      const EvoText *cell = &rows.cells[(gsize) i * rows.n_fields + k];

      g_string_append_printf (out, "%s%s=%.*s", k == 0 ? "" : "|", rows.fields[k], (int) cell->n, cell->bytes);
    }
  }
  return g_string_free (out, FALSE);
}

static void
expect (const char *name, const char *text, const EvoDataOptions *options, const char *wanted)
{
  g_autoptr (EvoData) d = open_text (name, text, options);
  g_autofree char *got = shown (d);

  g_assert_cmpstr (got, ==, wanted);
}

static const char *const two_names[] = { "question", "answer" };
static const EvoDataOptions two_columns = { .columns = { two_names, 2 } };

static void
test_json (void)
{
  expect ("a.jsonl", "{\"q\": \"1+1\", \"a\": 2}\n\n{\"a\": \"x\", \"z\": null}\n", NULL, "1:q=1+1|a=2|z= / 3:q=|a=x|z=");
  expect ("a.jsonl", "\xef\xbb\xbf{\"q\": \"a\\nb\", \"n\": 1.50e3, \"b\": true}\r\n", NULL, "1:q=a\nb|n=1.50e3|b=true");
  expect ("a.jsonl", "{\"l\": [1, {\"k\": \"v\"}], \"o\": {}}", NULL, "1:l=[1,{\"k\":\"v\"}]|o={}");
  expect ("a.json", " [\n{\"q\": \"a\"},\n\n{\"q\": \"b\"}]", NULL, "2:q=a / 4:q=b");
  expect ("a.json", "{\"q\": \"a\"}\n{\"q\": \"b\"}", NULL, "1:q=a / 2:q=b");
  expect ("a.data", "{\"q\": \"a\"}", &(EvoDataOptions){ .format = "jsonl" }, "1:q=a");
  expect ("A.JSONL", "{\"q\": \"12345678901234567890\", \"n\": 12345678901234567890}", NULL, "1:q=12345678901234567890|n=12345678901234567890");
}

static void
test_tables (void)
{
  expect ("a.tsv", "q\ta\r\n\"x\t1\r\n\ny, \"z\"\t\n", NULL, "2:q=\"x|a=1 / 4:q=y, \"z\"|a=");
  expect ("a.tsv", "x\t1\ny\t2", &two_columns, "1:question=x|answer=1 / 2:question=y|answer=2");
  expect ("a.tsv", "q\nx\n", NULL, "2:q=x");
  expect ("a.csv", "q,a\n\"one, two\",3\n\"say \"\"hi\"\"\",\"\"\nplain,", NULL, "2:q=one, two|a=3 / 3:q=say \"hi\"|a= / 4:q=plain|a=");
  expect ("a.csv", "\"q\",a\r\n\"two\r\nlines\",1\r\n\r\nz,2\r\n", NULL, "2:q=two\r\nlines|a=1 / 5:q=z|a=2");
  expect ("a.csv", "x,1\n\"y\",2\n", &two_columns, "1:question=x|answer=1 / 2:question=y|answer=2");
  expect ("a.csv", "q\n\"\"\nx\n", NULL, "2:q= / 3:q=x");
}

static void
test_text (void)
{
  expect ("a.txt", "one\n\ntwo\r\n", &(EvoDataOptions){ .format = "lines" }, "1:text=one / 3:text=two");
  expect ("a.txt", "one\n\ntwo\n", &(EvoDataOptions){ .format = "text" }, "1:text=one\n\ntwo\n");
  expect ("a.jsonl", "one\n", &(EvoDataOptions){ .format = "lines" }, "1:text=one");
}

/* ------------------------------------------------------------------ broken files */

static const struct { const char *name, *text, *format; gboolean columns; const char *message; } broken[] = {
  { "a.jsonl", "{\"q\": 1}\n{\"q\": }\n", NULL, FALSE, NULL },
  { "a.jsonl", "{\"q\": 1}\n\n[1]\n", NULL, FALSE, ":3: a row is an object like {\"question\": \"...\"}, not a list" },
  { "a.jsonl", "{\"q\": 1, \"q\": 2}\n", NULL, FALSE, NULL },
  { "a.jsonl", "{'q': 1}\n", NULL, FALSE, NULL },
  { "a.jsonl", "\n\n", NULL, FALSE, ": has no rows" },
  { "a.jsonl", "{\"q\": \"\xff\"}\n", NULL, FALSE, ":1: is not UTF-8; convert the file (iconv -t UTF-8)" },
  { "a.jsonl", "{\"q\": 1}\n{\"q\": \"\xe3\x81", NULL, FALSE, ":2: is not UTF-8; convert the file (iconv -t UTF-8)" },
  { "a.json", "[{\"q\": 1},\n 7]", NULL, FALSE, ":2: a row is an object like {\"question\": \"...\"}, not a number" },
  { "a.json", "{\n\"q\": 1}", NULL, FALSE, NULL },
  { "a.json", "[]", NULL, FALSE, ": has no rows" },
  { "a.json", "\"text\"", NULL, FALSE,
    ":1: a row is an object like {\"question\": \"...\"}, not a string; a .json file is an array of objects, or one object a line" },
  { "a.csv", "q,a\n\"x,1\ny,2\n", NULL, FALSE, ":2: a quoted field begins here and does not end" },
  { "a.csv", "q,a\n\"x\"y,1\n", NULL, FALSE, ":2: text follows a closing quote; a quote inside a quoted field is written twice" },
  { "a.csv", "q,a\nx\"y,1\n", NULL, FALSE, ":2: a quote inside a field without quotes; such a field stands in quotes, with this one written twice" },
  { "a.csv", "q,a\n\"1\n2\",1\nx\n", NULL, FALSE, ":4: 1 field, but there are 2 columns" },
  { "a.csv", "q,a\nx,1,2\n", NULL, FALSE, ":2: a field too many, or a separator inside one: there are 2 columns" },
  { "a.csv", "q,q\nx,1\n", NULL, FALSE, ":1: two columns are called \"q\"; a file whose first line is no header needs \"columns\"" },
  { "a.csv", "q,\nx,1\n", NULL, FALSE, ":1: column 2 has no name; a file whose first line is no header needs \"columns\"" },
  { "a.csv", "q,a\n", NULL, FALSE, ": has no rows" },
  { "a.csv", "", NULL, FALSE, ": has no rows" },
  { "a.tsv", "q\nx\ty\n", NULL, FALSE, ":2: a field too many, or a separator inside one: there is 1 column" },
  { "a.tsv", "x\n", NULL, TRUE, ":1: 1 field, but there are 2 columns" },
  { "a.txt", "x\n", NULL, FALSE, ": needs \"format\": \"lines\" (every line is a row) or \"text\" (all of it is one), or tsv, csv, jsonl, json" },
  { "a.parquet", "x\n", NULL, FALSE, ": its name does not say what is in it; needs \"format\", one of jsonl, json, tsv, csv, lines, text" },
  { "a", "x\n", NULL, FALSE, ": its name does not say what is in it; needs \"format\", one of jsonl, json, tsv, csv, lines, text" },
  { "a.csv", "x\n", "cvs", FALSE, ": there is no format \"cvs\"; did you mean \"csv\"?; formats are jsonl, json, tsv, csv, lines, text" },
  { "a.jsonl", "{\"q\": 1}\n", NULL, TRUE, ": \"columns\" names the columns of tsv and csv files, this is jsonl" },
};

static const struct { guint at; const char *message; } json_messages[] = {
  { 0, ":2:" }, { 2, ":1:" }, { 3, ":1:" }, { 8, ":1:" }
};

static void
test_broken (void)
{
  guint from_json = 0;

  for (guint i = 0; i < G_N_ELEMENTS (broken); i++) {
    g_autofree char *path = write_file (broken[i].name, broken[i].text, -1), *wanted = NULL;
    EvoDataOptions options = { .format = broken[i].format };
    g_autoptr (GError) error = NULL;

    if (broken[i].columns)
      options.columns = two_columns.columns;
    g_assert_null (evo_data_open (path, &options, &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_assert_cmpint (evo_error_exit_code (error), ==, 4);
    if (broken[i].message != NULL) {
      wanted = g_strconcat (path, broken[i].message, NULL);
      g_assert_cmpstr (error->message, ==, wanted);
    } else { /* what is wrong is base/json.c's to say; where, is ours */
      g_assert_cmpuint (json_messages[from_json].at, ==, i);
      wanted = g_strconcat (path, json_messages[from_json++].message, NULL);
      g_assert_true (g_str_has_prefix (error->message, wanted));
    }
  }
  g_assert_cmpuint (from_json, ==, G_N_ELEMENTS (json_messages));
}

static void
test_no_file (void)
{
  g_autofree char *missing = g_build_filename (folder, "missing.csv", NULL), *zero = NULL, *pipe = g_build_filename (folder, "pipe.csv", NULL);
  g_autofree char *wanted = g_strconcat (missing, ": No such file or directory", NULL), *no_file = g_strconcat (pipe, ": is no regular file", NULL);
  g_autofree char *nul = NULL;
  EvoDataOptions options = { .format = NULL };
  g_autoptr (GError) a = NULL, b = NULL, c = NULL;

  g_assert_null (evo_data_open (missing, &options, &a));
  g_assert_cmpstr (a->message, ==, wanted);
  g_assert_error (a, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN);
  g_assert_cmpint (mkfifo (pipe, 0644), ==, 0);
  g_assert_null (evo_data_open (pipe, &options, &b));
  g_assert_cmpstr (b->message, ==, no_file);
  g_remove (pipe);
  zero = write_file ("zero.csv", "q\nx\n\0\n", 6);
  nul = g_strconcat (zero, ":3: a NUL byte; text has none", NULL);
  g_assert_null (evo_data_open (zero, &options, &c));
  g_assert_cmpstr (c->message, ==, nul);
}

/* Rows of a thousand different fields are none that a template could name; they must not fill the memory either. */
static void
test_many_fields (void)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *path = NULL, *wanted = NULL, *tabs = NULL, *many = NULL;
  g_autoptr (GError) error = NULL, other = NULL;
  EvoDataOptions options = { .format = NULL };

  for (guint i = 0; i < 1001; i++)
    g_string_append_printf (text, "{\"k%u\": 1}\n", i);
  path = write_file ("many.jsonl", text->str, -1);
  wanted = g_strconcat (path, ":1001: more than 1000 different fields", NULL);
  g_assert_null (evo_data_open (path, &options, &error));
  g_assert_cmpstr (error->message, ==, wanted);
  g_string_assign (text, "a\tb\n");
  for (guint i = 0; i < 100000; i++)
    g_string_append_c (text, '\t');
  tabs = write_file ("tabs.tsv", text->str, -1);
  many = g_strconcat (tabs, ":2: a field too many, or a separator inside one: there are 2 columns", NULL);
  g_assert_null (evo_data_open (tabs, &options, &other));
  g_assert_cmpstr (other->message, ==, many);
}

/* ------------------------------------------------------------------ which rows */

static char *
numbers (EvoDataOptions o)
{
  GString *out = g_string_new (NULL);
  g_autofree char *path = g_build_filename (folder, "n.txt", NULL);
  g_autoptr (EvoData) d = NULL;
  EvoRows rows;

  o.format = "lines";
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    g_free (write_file ("n.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n", -1));
  d = evo_data_open (path, &o, NULL);
  evo_data_describe (d, &rows);
  for (gint64 i = 0; i < rows.n_rows; i++) {
    g_string_append_len (out, rows.cells[i].bytes, (gssize) rows.cells[i].n);
    g_assert_cmpint (rows.lines[i], ==, rows.cells[i].bytes[0] - '0' + 1); /* a row keeps its line */
  }
  return g_string_free (out, FALSE);
}

static void
test_choice (void)
{
  g_autofree char *all = numbers ((EvoDataOptions){ .seed = 1 }), *three = numbers ((EvoDataOptions){ .limit = 3 });
  g_autofree char *shuffled = numbers ((EvoDataOptions){ .shuffle = TRUE, .seed = 1 });
  g_autofree char *other = numbers ((EvoDataOptions){ .shuffle = TRUE, .seed = 2 });
  g_autofree char *few = numbers ((EvoDataOptions){ .shuffle = TRUE, .seed = 1, .limit = 4 });
  g_autofree char *drawn = numbers ((EvoDataOptions){ .sample = 5, .seed = 1 });
  g_autofree char *of_shuffled = numbers ((EvoDataOptions){ .shuffle = TRUE, .sample = 5, .seed = 1 });

  g_assert_cmpstr (all, ==, "0123456789");
  g_autofree char *later = numbers ((EvoDataOptions){ .skip = 7 }), *middle = numbers ((EvoDataOptions){ .skip = 2, .limit = 3 });

  g_assert_cmpstr (three, ==, "012");
  g_assert_cmpstr (later, ==, "789");
  g_assert_cmpstr (middle, ==, "234");
  g_assert_cmpstr (shuffled, ==, "6385210497"); /* pinned: a run must be the same tomorrow */
  g_assert_cmpstr (other, !=, shuffled);
  g_assert_true (strncmp (few, shuffled, 4) == 0 && strlen (few) == 4);
  g_assert_cmpstr (drawn, ==, "01469"); /* pinned; in order */
  g_assert_cmpuint (strlen (of_shuffled), ==, 5);
  for (guint i = 0, at = 0; i < 5; i++) { /* in the order of the shuffle */
    const char *found = strchr (shuffled, of_shuffled[i]);

    g_assert_true (found != NULL && (i == 0 || (guint) (found - shuffled) > at));
    at = (guint) (found - shuffled);
  }
}

/* Every row is drawn equally often: 3 of 10 in 3000 draws, 900 times, give or take five standard deviations (25). */
static void
test_fair (void)
{
  guint count[10] = { 0 };

  for (guint64 seed = 0; seed < 3000; seed++) {
    g_autofree char *drawn = numbers ((EvoDataOptions){ .sample = 3, .seed = seed });

    g_assert_true (strlen (drawn) == 3 && drawn[0] < drawn[1] && drawn[1] < drawn[2]);
    for (guint i = 0; i < 3; i++)
      count[drawn[i] - '0']++;
  }
  for (guint i = 0; i < 10; i++)
    g_assert_cmpfloat_with_epsilon (count[i], 900, 125);
}

static void
test_too_large_sample (void)
{
  g_autofree char *path = write_file ("s.csv", "q\nx\n", -1), *wanted = g_strconcat (path, ": has 1 rows; \"sample\" cannot draw 2 of them", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_data_open (path, &(EvoDataOptions){ .sample = 2 }, &error));
  g_assert_cmpstr (error->message, ==, wanted);
  g_assert_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE);
}

static void
test_too_far_a_skip (void)
{
  g_autofree char *path = write_file ("s.csv", "q\nx\n", -1), *wanted = g_strconcat (path, ": has 1 rows; \"skip\" 1 leaves none", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_data_open (path, &(EvoDataOptions){ .skip = 1 }, &error));
  g_assert_cmpstr (error->message, ==, wanted);
  g_assert_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE);
}

/* ------------------------------------------------------------------ templates */

static const struct { const char *text, *wanted; } templates[] = {
  { "Q: {question}\nA:", "Q: 1+1\nA:" },
  { "Q: {question}\nA:\n", "Q: 1+1\nA:" },
  { "Q: {question}\nA:\r\n", "Q: 1+1\nA:" },
  { "A:\n\n", "A:\n" },
  { "\xef\xbb\xbf{answer}{answer}", "22" },
  { "{{\"q\": \"{question}\"}}", "{\"q\": \"1+1\"}" },
  { "{{{question}}}", "{1+1}" },
  { "", "" },
  { "問題：{question}", "問題：1+1" },
};

static void
test_templates (void)
{
  g_autoptr (EvoData) d = open_text ("a.jsonl", "{\"question\": \"1+1\", \"answer\": \"2\"}\n{\"question\": \"{x}\"}", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (templates); i++) {
    g_autofree char *path = write_file ("t.txt", templates[i].text, -1);
    g_autoptr (GError) error = NULL;
    g_autofree char *text = evo_template_open (path, &error);
    GString *filled = evo_template_fill (text, d, 0, &error);

    g_assert_no_error (error);
    g_assert_cmpstr (filled->str, ==, templates[i].wanted);
    g_string_free (filled, TRUE);
  }
  GString *filled = evo_template_fill ("{question}|{answer}", d, 1, NULL); /* what is filled in is no template; what is missing is empty */
  g_assert_cmpstr (filled->str, ==, "{x}|");
  g_string_free (filled, TRUE);
}

static const struct { const char *text, *message; } broken_templates[] = {
  { "Q: {question\nA:", ":1: a { without }; write {{ for a brace, {question} for a field" },
  { "Q:\n\n question}\n", ":3: a } without {; write }} for a brace, {question} for a field" },
  { "Q: {}", ":1: {} names no field; write {question}, or {{}} for the braces" },
  { "{{question}", ":1: a } without {; write }} for a brace, {question} for a field" },
  { "{a{b}}", ":1: a { without }; write {{ for a brace, {question} for a field" },
  { "x\n{", ":2: a { without }; write {{ for a brace, {question} for a field" },
  { "x\n\xe3\x81\n", ":2: is not UTF-8; convert the file (iconv -t UTF-8)" },
};

static void
test_broken_templates (void)
{
  g_autoptr (EvoData) d = open_text ("a.jsonl", "{\"question\": \"1+1\", \"answer\": \"2\"}", NULL);
  g_autoptr (GError) a = NULL, b = NULL, c = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (broken_templates); i++) {
    g_autofree char *path = write_file ("t.txt", broken_templates[i].text, -1), *wanted = g_strconcat (path, broken_templates[i].message, NULL);
    g_autoptr (GError) error = NULL;

    g_assert_null (evo_template_open (path, &error));
    g_assert_cmpstr (error->message, ==, wanted);
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
  }
  g_assert_null (evo_template_fill ("{questoin}", d, 0, &a));
  g_assert_cmpstr (a->message, ==, "the template asks for {questoin}, a.jsonl has no such field; did you mean \"question\"?");
  g_assert_error (a, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN);
  g_assert_null (evo_template_fill ("{image}", d, 0, &b));
  g_assert_cmpstr (b->message, ==, "the template asks for {image}, a.jsonl has no such field; it has question, answer");
  g_assert_null (evo_template_fill ("x\n{", d, 0, &c));
  g_assert_cmpstr (c->message, ==, "template:2: a { without }; write {{ for a brace, {question} for a field");
}

/* The templates of the published evaluation are protocol: their bytes are pinned. */
static void
test_installed (void)
{
  static const struct { const char *name, *digest; } files[] = {
    { "ja-alpaca-cot.txt", "37ecfb058fcc4781" },
    { "ja-shisa-vqa.txt", "3218b284e432784e" },
    { "ja-mini.txt", "00a21e211a077847" },
    { "en-mini.txt", "4ec52b8bd55238a9" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "pipelines", "templates", files[i].name, NULL);
    g_autoptr (GError) error = NULL;
    g_autofree char *text = evo_template_open (path, &error), *digest = NULL;

    g_assert_no_error (error);
    digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
    digest[16] = '\0';
    g_assert_cmpstr (digest, ==, files[i].digest);
    g_assert_nonnull (strstr (text, "{question}"));
  }
}

/* Cut anywhere and with any byte changed, a file is rows or a sentence. */
static void
test_hostile (void)
{
  static const char *const texts[] = { "{\"q\": \"a\\u0041\", \"n\": [1, 2]}\n{\"q\": null}\n", "q,a\n\"x\"\"y\",1\r\n\"\",\n", "q\ta\nx\t\n",
                                       "[{\"q\": 1}, {\"q\": {}}]" };
  static const char *const names[] = { "h.jsonl", "h.csv", "h.tsv", "h.json" };
  static const char bytes[] = "\"\\{}[],\t\n\r\xff\xc3 0a";

  for (guint f = 0; f < G_N_ELEMENTS (texts); f++)
    for (gsize at = 0; at <= strlen (texts[f]); at++)
      for (guint b = 0; b < sizeof bytes; b++) {
        g_autofree char *text = g_strdup (texts[f]), *path = NULL;
        EvoDataOptions options = { .format = NULL };
        g_autoptr (GError) error = NULL;
        g_autoptr (EvoData) d = NULL;

        text[at] = bytes[b]; /* the last of bytes, NUL, cuts */
        path = write_file (names[f], text, b + 1 == sizeof bytes ? -1 : (gssize) strlen (texts[f]));
        d = evo_data_open (path, &options, &error);
        g_assert_true ((d == NULL) == (error != NULL));
        g_assert_true (error == NULL || strchr (error->message, '\n') == NULL);
      }
}

int
main (int argc, char **argv)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;
  int rc;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("evo-rows-XXXXXX", NULL);
  g_test_add_func ("/rows/json", test_json);
  g_test_add_func ("/rows/tables", test_tables);
  g_test_add_func ("/rows/text", test_text);
  g_test_add_func ("/rows/broken", test_broken);
  g_test_add_func ("/rows/no-file", test_no_file);
  g_test_add_func ("/rows/many-fields", test_many_fields);
  g_test_add_func ("/rows/choice", test_choice);
  g_test_add_func ("/rows/fair", test_fair);
  g_test_add_func ("/rows/too-large-sample", test_too_large_sample);
  g_test_add_func ("/rows/too far a skip", test_too_far_a_skip);
  g_test_add_func ("/rows/templates", test_templates);
  g_test_add_func ("/rows/broken-templates", test_broken_templates);
  g_test_add_func ("/rows/installed", test_installed);
  g_test_add_func ("/rows/hostile", test_hostile);
  rc = g_test_run ();
  dir = g_dir_open (folder, 0, NULL);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (folder, name, NULL);

    g_remove (path);
  }
  g_rmdir (folder);
  g_free (folder);
  return rc;
}
