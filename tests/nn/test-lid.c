/* SPDX-License-Identifier: Apache-2.0
 * test-lid.c - language identification against fastText's own probabilities, the script test, and broken model files.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/lid/lid.h"

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
  g_assert_cmpfloat (evo_lid_probability (lid, "これはペンです。", strlen ("これはペンです。"), "ja"), <, 1.1);
  g_assert_true (isnan (evo_lid_probability (lid, "これはペンです。", strlen ("これはペンです。"), "no such language")));
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
    { "สวัสดี", "th", 1 },              { "hello", "sv", 1 },            { "\xff\xfe", "en", 0 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *shown = g_strescape (cases[i].text, NULL);

    g_test_message ("%s: %s", cases[i].code, shown);
    g_assert_cmpfloat (evo_script_probability (cases[i].text, strlen (cases[i].text), cases[i].code), ==, cases[i].share);
  }
  g_assert_true (isnan (evo_script_probability ("hello", 5, "xx")));
}

/* ------------------------------------------------------------------ a small model, and how it can be broken */

typedef struct {
  gint32 magic, version, loss, model, dim, buckets, max_ngram, word_ngrams, n_words, n_labels, n_entries, n_codes, parts, part, last;
  gint64 n_kept, kept_bucket, kept_row, rows, columns, output_rows, count;
  guint8 first_type, input_flag, norm_flag, output_flag, second_text;
  float number;
  gsize too_many;
} Shape;

#define GOOD                                                                                                                             \
  { .magic = 793712314, .version = 12, .loss = 1, .model = 3, .dim = 4, .buckets = 10, .max_ngram = 2, .word_ngrams = 1, .n_words = 2,    \
    .n_labels = 3, .n_entries = 5, .n_codes = 6, .parts = 2, .part = 2, .last = 2, .n_kept = 1, .kept_bucket = 7, .kept_row = 0,          \
    .rows = 3, .columns = 4, .output_rows = 3, .count = 5, .input_flag = 1, .second_text = 'w', .number = 0.5f }

static void
put (GByteArray *b, gconstpointer bytes, gsize n)
{
  g_byte_array_append (b, bytes, (guint) n);
}

static void
put32 (GByteArray *b, gint32 x)
{
  put (b, &x, 4);
}

static void
put64 (GByteArray *b, gint64 x)
{
  put (b, &x, 8);
}

static void
put_entry (GByteArray *b, const char *text, gint64 count, guint8 type)
{
  put (b, text, strlen (text) + 1);
  put64 (b, count);
  put (b, &type, 1);
}

static void
put_quantizer (GByteArray *b, const Shape *s, gint32 dim, gint32 parts, gint32 part, gint32 last)
{
  put32 (b, dim);
  put32 (b, parts);
  put32 (b, part);
  put32 (b, last);
  for (gint32 i = 0; i < dim * 256; i++) {
    float x = i == 3 ? s->number : (float) (i % 7) / 7;

    put (b, &x, 4);
  }
}

static void
put_dictionary (GByteArray *b, const Shape *s)
{
  char second[] = { (char) s->second_text, '\0' };

  put32 (b, s->n_entries);
  put32 (b, s->n_words);
  put32 (b, s->n_labels);
  put64 (b, 100);
  put64 (b, s->n_kept);
  put_entry (b, "v", 9, s->first_type);
  put_entry (b, second, 8, 0);
  put_entry (b, "__label__aa", 7, 1);
  put_entry (b, "__label__bb", 6, 1);
  put_entry (b, "__label__cc", s->count, 1);
  for (gint64 i = 0; i < MIN (s->n_kept, 1); i++) {
    put32 (b, (gint32) s->kept_bucket);
    put32 (b, (gint32) s->kept_row);
  }
}

static GByteArray *
make_model (const Shape *s)
{
  GByteArray *b = g_byte_array_new ();
  const gint32 arguments[12] = { s->dim, 5, 1, 1, 5, s->word_ngrams, s->loss, s->model, s->buckets, 1, s->max_ngram, 100 };
  const double t = 0;

  put32 (b, s->magic);
  put32 (b, s->version);
  put (b, arguments, sizeof arguments);
  put (b, &t, sizeof t);
  put_dictionary (b, s);
  put (b, &s->input_flag, 1);
  put (b, &s->norm_flag, 1);
  put64 (b, s->rows);
  put64 (b, s->columns);
  put32 (b, s->n_codes);
  put (b, "\0\1\2\3\4\5", 6);
  put_quantizer (b, s, 4, s->parts, s->part, s->last);
  if (s->norm_flag == 1) {
    put (b, "\1\2\3", 3);
    put_quantizer (b, s, 1, 1, 1, 1);
  }
  put (b, &s->output_flag, 1);
  put64 (b, s->output_rows);
  put64 (b, 4);
  for (gint32 i = 0; i < 12; i++) {
    float x = (float) (i % 5) - 2;

    put (b, &x, 4);
  }
  for (gsize i = 0; i < s->too_many; i++)
    put (b, "x", 1);
  return b;
}

static EvoLid *
open_bytes (const guint8 *bytes, gsize n, GError **error)
{
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp ("evo-lid-XXXXXX.ftz", &path, NULL);
  EvoLid *lid;

  g_assert_true (fd >= 0 && g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, (const char *) bytes, (gssize) n, NULL));
  lid = evo_lid_open (path, error);
  if (lid == NULL)
    g_assert_true (g_str_has_prefix ((*error)->message, path));
  g_remove (path);
  return lid;
}

/* The message behind the path. */
static void
check_bad (Shape s, gint code, const char *expected)
{
  g_autoptr (GByteArray) b = make_model (&s);
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoLid) lid = open_bytes (b->data, b->len, &error);

  g_assert_null (lid);
  g_assert_error (error, EVO_STORE_ERROR, code);
  g_assert_cmpstr (strstr (error->message, ".ftz: ") + 6, ==, expected);
}

#define BAD(member, value, code, expected) do { Shape s = GOOD; s.member = (value); check_bad (s, EVO_STORE_ERROR_##code, expected); } while (0)

static void
test_broken_heads (void)
{
  BAD (magic, 1, FORMAT, "heading: not a fastText model");
  BAD (version, 11, FORMAT, "heading: version 11 of the format; 12 is supported");
  BAD (model, 1, FORMAT, "arguments: model 1, loss 1; a classifier (3) with hierarchical soft-max (1) or soft-max (3) is expected");
  BAD (loss, 2, FORMAT, "arguments: model 3, loss 2; a classifier (3) with hierarchical soft-max (1) or soft-max (3) is expected");
  BAD (dim, 0, FORMAT, "arguments: dim 0, bucket 10, minn 1, maxn 2, wordNgrams 1 are out of range");
  BAD (buckets, 0x7fffffff, FORMAT, "arguments: dim 4, bucket 2147483647, minn 1, maxn 2, wordNgrams 1 are out of range");
  BAD (max_ngram, -1, FORMAT, "arguments: dim 4, bucket 10, minn 1, maxn -1, wordNgrams 1 are out of range");
  BAD (buckets, 0, FORMAT, "arguments: n-grams need at least one bucket");
}

static void
test_broken_dictionaries (void)
{
  BAD (n_entries, 6, FORMAT, "dictionary: 6 entries, 2 words, 3 labels");
  BAD (n_words, -1, FORMAT, "dictionary: 5 entries, -1 words, 3 labels");
  BAD (n_labels, 0, FORMAT, "dictionary: 5 entries, 2 words, 0 labels");
  BAD (first_type, 1, FORMAT, "dictionary: entry 0: words must stand before labels");
  BAD (first_type, 9, FORMAT, "dictionary: a flag of 9 instead of 0 or 1");
  BAD (second_text, 'v', FORMAT, "dictionary: entry 1: a second entry of the same text");
  BAD (count, -1, FORMAT, "dictionary: label 2 has the count -1");
  BAD (kept_bucket, 10, FORMAT, "dictionary: the kept n-gram 0 is 10 -> 0; there are 10 buckets, 1 are kept");
  BAD (kept_row, 1, FORMAT, "dictionary: the kept n-gram 0 is 7 -> 1; there are 10 buckets, 1 are kept");
  BAD (n_kept, G_MAXINT64, TRUNCATED, "dictionary: 9223372036854775807 elements of 8 bytes do not fit the 4213 bytes that are left");
}

static void
test_broken_matrices (void)
{
  BAD (input_flag, 0, FORMAT, "input matrix: it is not quantised; a .ftz model is expected");
  BAD (norm_flag, 7, FORMAT, "input matrix: a flag of 7 instead of 0 or 1");
  BAD (rows, 2, FORMAT, "input matrix: 2 x 4; at least 3 x 4 is expected");
  BAD (rows, G_MAXINT64, FORMAT, "input matrix: 9223372036854775807 x 4; at least 3 x 4 is expected");
  BAD (columns, 5, FORMAT, "input matrix: 3 x 5; at least 3 x 4 is expected");
  BAD (n_codes, 5, FORMAT, "input matrix: a quantiser of 1029 dimensions in 512 parts of 512 (the last of 512); there are 4 dimensions");
  BAD (n_codes, -1, TRUNCATED, "input matrix: -1 elements of 1 bytes do not fit the 4183 bytes that are left");
  BAD (n_codes, 0x7fffffff, TRUNCATED, "input matrix: 2147483647 elements of 1 bytes do not fit the 4183 bytes that are left");
  BAD (parts, 3, FORMAT, "input matrix: a quantiser of 4 dimensions in 3 parts of 2 (the last of 2); there are 4 dimensions");
  BAD (part, 0, FORMAT, "input matrix: a quantiser of 4 dimensions in 2 parts of 0 (the last of 2); there are 4 dimensions");
  BAD (last, 3, FORMAT, "input matrix: a quantiser of 4 dimensions in 2 parts of 2 (the last of 3); there are 4 dimensions");
  BAD (rows, 4, FORMAT, "input matrix: 6 codes for 4 rows in 2 parts");
  BAD (number, NAN, FORMAT, "input matrix: number 3 is not finite");
  BAD (output_flag, 1, FORMAT, "output matrix: it is quantised (qout), which is not supported");
  BAD (output_rows, 1, FORMAT, "output matrix: 1 x 4; at least 2 x 4 is expected");
  BAD (output_rows, 4, TRUNCATED, "output matrix: 16 elements of 4 bytes do not fit the 48 bytes that are left");
  BAD (output_rows, 2, FORMAT, "output matrix: 16 bytes too many behind it");
  BAD (too_many, 1, FORMAT, "output matrix: 1 bytes too many behind it");
}

/* Cut at every byte: always an error, never a crash. */
static void
test_cut (void)
{
  Shape s = GOOD;
  g_autoptr (GByteArray) b = NULL;

  s.norm_flag = 1;
  b = make_model (&s);
  for (gsize cut = 0; cut < b->len; cut += cut > 300 && cut < b->len - 300 ? 37 : 1) {
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoLid) lid = open_bytes (b->data, cut, &error);

    g_assert_null (lid);
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_TRUNCATED);
  }
  g_assert_null (evo_lid_open ("/no/such/file.ftz", NULL));
}

/* What small models give: a tree's and a soft-max's probabilities sum to 1 (fastText adds 1e-5 inside its logarithms, once a label and
 * step: 3 labels, up to 2 steps), the best label is the one of the highest probability, n-grams that are pruned count for nothing. */
static void
test_small_models (void)
{
  static const gint32 losses[] = { 1, 3 };

  for (guint i = 0; i < 8; i++) {
    Shape s = GOOD;
    g_autoptr (GByteArray) b = NULL;
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoLid) lid = NULL;
    static const char *const codes[] = { "aa", "bb", "cc" };
    double sum = 0, largest = 0, best;
    const char *label;

    s.loss = losses[i & 1];
    s.norm_flag = i >> 1 & 1;
    s.word_ngrams = i >> 2 & 1 ? 2 : 1;
    b = make_model (&s);
    lid = open_bytes (b->data, b->len, &error);
    g_assert_no_error (error);
    label = evo_lid_best (lid, "v w v", 5, &best);
    for (guint k = 0; k < 3; k++) {
      double p = evo_lid_probability (lid, "v w v", 5, codes[k]);

      sum += p;
      largest = MAX (largest, p);
      g_assert_true ((p == best) == (strcmp (codes[k], label) == 0));
    }
    g_assert_cmpfloat (largest, ==, best);
    g_assert_cmpfloat_with_epsilon (sum, 1, 3 * 2 * 2e-5);
    g_assert_cmpfloat (evo_lid_probability (lid, "__label__aa", 11, "aa"), ==, 0); /* a label is no word: nothing is known */
    g_assert_null (evo_lid_best (lid, "", 0, &best));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lid/golden", test_golden);
  g_test_add_func ("/lid/lines", test_lines);
  g_test_add_func ("/lid/script", test_script);
  g_test_add_func ("/lid/broken-heads", test_broken_heads);
  g_test_add_func ("/lid/broken-dictionaries", test_broken_dictionaries);
  g_test_add_func ("/lid/broken-matrices", test_broken_matrices);
  g_test_add_func ("/lid/cut", test_cut);
  g_test_add_func ("/lid/small-models", test_small_models);
  return g_test_run ();
}
