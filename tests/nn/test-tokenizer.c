/* SPDX-License-Identifier: Apache-2.0
 * test-tokenizer.c - tokenizers against the ids and texts that the reference programs give.
 *
 * tests/data/tokenizers/README.md says what computed the cases. Ids and texts are compared exactly.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/tokenizer.h"
#include "tests/nn/below.h"

typedef struct { GString *text, *decoded, *decoded_skip; GArray *ids, *ids_plain; gboolean decode_only; } Case;

/* ------------------------------------------------------------------ case files */

static char *
data_path (const char *folder, const char *file)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), "tests", "data", "tokenizers", folder, file, NULL);
}

/* \\ \n \t \r \ooo (not g_strcompress: there are U+0000) */
static GString *
unescape (const char *s)
{
  GString *out = g_string_new (NULL);

  for (; *s != '\0'; s++) {
    if (*s != '\\') {
      g_string_append_c (out, *s);
      continue;
    }
    s++;
    if (g_ascii_isdigit (*s)) {
      g_string_append_c (out, (char) ((s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0')));
      s += 2;
    } else {
      g_string_append_c (out, *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == 'r' ? '\r' : *s);
    }
  }
  return out;
}

static GArray *
parse_ids (const char *s)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_auto (GStrv) words = g_strsplit (s, " ", -1);

  for (guint i = 0; words[i] != NULL; i++) {
    gint32 id = (gint32) g_ascii_strtoll (words[i], NULL, 10);

    if (*words[i] != '\0')
      g_array_append_val (ids, id);
  }
  return ids;
}

static void
clear_case (gpointer data)
{
  Case *c = data;

  g_string_free (c->text, TRUE);
  g_array_unref (c->ids);
  if (c->ids_plain != NULL)
    g_array_unref (c->ids_plain);
  if (c->decoded != NULL)
    g_string_free (c->decoded, TRUE);
  if (c->decoded_skip != NULL)
    g_string_free (c->decoded_skip, TRUE);
}

/* Lines of "text ids" or of "kind text ids ids_no_special decoded decoded_skip_special", after a heading. */
static GArray *
read_cases (const char *path)
{
  g_autofree char *all = NULL;
  g_auto (GStrv) lines = NULL;
  GArray *cases = g_array_new (FALSE, TRUE, sizeof (Case));
  g_autoptr (GError) error = NULL;

  g_array_set_clear_func (cases, clear_case);
  g_file_get_contents (path, &all, NULL, &error);
  g_assert_no_error (error);
  lines = g_strsplit (all, "\n", -1);
  for (guint i = 1; lines[i] != NULL && *lines[i] != '\0'; i++) {
    g_auto (GStrv) f = g_strsplit (lines[i], "\t", -1);
    gboolean full = g_strv_length (f) == 6;
    Case c = { .text = unescape (f[full]), .ids = parse_ids (f[full + 1]) };

    c.decode_only = full && g_str_equal (f[0], "decode");
    c.ids_plain = full ? parse_ids (f[3]) : NULL;
    c.decoded = full ? unescape (f[4]) : NULL;
    c.decoded_skip = full ? unescape (f[5]) : NULL;
    g_array_append_val (cases, c);
  }
  return cases;
}

/* ------------------------------------------------------------------ comparing */

static char *
ids_text (const GArray *ids)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (out, "%s%d", i == 0 ? "" : " ", g_array_index (ids, gint32, i));
  return g_string_free (out, FALSE);
}

static void
check_encode (const EvoTokenizer *t, const GString *text, gboolean with_special, const GArray *expected)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree char *got = NULL, *want = ids_text (expected), *shown = g_strescape (text->str, NULL);

  evo_tokenizer_encode (t, text->str, text->len, with_special, ids);
  got = ids_text (ids);
  if (!g_str_equal (got, want))
    g_test_message ("encoding \"%s\", %s special tokens", shown, with_special ? "with" : "without");
  g_assert_cmpstr (got, ==, want);
}

static void
check_decode (const EvoTokenizer *t, const GArray *ids, gboolean skip_special, const GString *expected)
{
  g_autoptr (GString) text = evo_tokenizer_decode (t, (const gint32 *) (gpointer) ids->data, ids->len, skip_special);
  g_autofree char *shown = ids_text (ids);

  if (text->len != expected->len || memcmp (text->str, expected->str, text->len) != 0)
    g_test_message ("decoding %s, %s special tokens", shown, skip_special ? "without" : "with");
  g_assert_cmpmem (text->str, text->len, expected->str, expected->len);
}

static EvoTokenizer *
open_folder (const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = data_path (folder, NULL);
  EvoTokenizer *t = evo_tokenizer_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (t);
  return t;
}

/* The Hugging Face library's ids, pieces and texts, broken UTF-8 included. */
static void
test_json (gconstpointer folder)
{
  g_autoptr (EvoTokenizer) t = open_folder (folder);
  g_autofree char *path = data_path (folder, "cases.tsv");
  g_autoptr (GArray) cases = read_cases (path);

  g_assert_cmpuint (cases->len, ==, 125);
  for (guint i = 0; i < cases->len; i++) {
    const Case *c = &g_array_index (cases, Case, i);

    if (!c->decode_only) {
      check_encode (t, c->text, TRUE, c->ids);
      check_encode (t, c->text, FALSE, c->ids_plain);
    }
    check_decode (t, c->ids, FALSE, c->decoded);
    check_decode (t, c->ids, TRUE, c->decoded_skip);
  }
}

/* SentencePiece's ids, without beginning and end. */
static void
test_model (gconstpointer folder)
{
  g_autoptr (EvoTokenizer) t = open_folder (folder);
  g_autofree char *path = data_path (folder, "cases.tsv");
  g_autoptr (GArray) cases = read_cases (path);

  g_assert_cmpuint (cases->len, >=, 40);
  for (guint i = 0; i < cases->len; i++)
    check_encode (t, g_array_index (cases, Case, i).text, FALSE, g_array_index (cases, Case, i).ids);
}


/* ------------------------------------------------------------------ one tokenizer, two files */

static char *
tiny_path (const char *file)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), "models", "tiny", "mini-base", file, NULL);
}

static void
copy_tiny (const char *to, const char *file)
{
  g_autofree char *from = tiny_path (file), *path = g_build_filename (to, file, NULL), *bytes = NULL;
  gsize n;

  g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
}

static void
remove_folder (const char *path)
{
  static const char *const names[] = { "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *file = g_build_filename (path, names[i], NULL);

    g_remove (file);
  }
  g_assert_cmpint (g_rmdir (path), ==, 0);
}

static EvoTokenizer *
open_path (const char *path)
{
  g_autoptr (GError) error = NULL;
  EvoTokenizer *t = evo_tokenizer_open (path, &error);

  g_assert_no_error (error);
  g_assert_nonnull (t);
  return t;
}

/* All that the two say of a text must be equal; a decoded text with it. */
static void
check_agree (const EvoTokenizer *a, const EvoTokenizer *b, const GString *text)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint special = 0; special < 2; special++) {
    g_array_set_size (ids, 0);
    evo_tokenizer_encode (a, text->str, text->len, special, ids);
    check_encode (b, text, special, ids);
    for (guint skip = 0; skip < 2; skip++) {
      g_autoptr (GString) back = evo_tokenizer_decode (a, (const gint32 *) (gpointer) ids->data, ids->len, skip);

      check_decode (b, ids, skip, back);
    }
  }
}

static void
test_agreement (void)
{
  g_autofree char *json = tiny_path (NULL), *folder = g_dir_make_tmp ("evo-tokenizer-XXXXXX", NULL);
  g_autofree char *path = data_path ("llama2-bpe", "cases.tsv");
  g_autoptr (GArray) cases = read_cases (path);
  g_autoptr (EvoTokenizer) a = open_path (json), b = NULL;

  copy_tiny (folder, "tokenizer.model");
  copy_tiny (folder, "tokenizer_config.json");
  b = open_path (folder);
  g_assert_cmpuint (evo_tokenizer_get_n_tokens (a), ==, 1408);
  g_assert_cmpuint (evo_tokenizer_get_n_tokens (b), ==, 1408);
  g_assert_cmpint (evo_tokenizer_find (b, "</s>"), ==, 2);
  for (guint i = 0; i < cases->len; i++)
    check_agree (a, b, g_array_index (cases, Case, i).text);
  remove_folder (folder);
}

/* Tokens that a configuration adds to a .model, and its flags. */
static void
test_added_beside_model (void)
{
  g_autofree char *folder = g_dir_make_tmp ("evo-tokenizer-XXXXXX", NULL);
  g_autofree char *config = g_build_filename (folder, "tokenizer_config.json", NULL);
  g_autofree char *added = g_build_filename (folder, "added_tokens.json", NULL);
  g_autoptr (GString) text = g_string_new ("a<|im_end|>"), plain = g_string_new ("<s>");
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32)), without = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (EvoTokenizer) t = NULL, bare = NULL;

  copy_tiny (folder, "tokenizer.model");
  bare = open_path (folder);
  evo_tokenizer_encode (bare, plain->str, plain->len, FALSE, ids);
  g_assert_cmpuint (ids->len, >, 1); /* no configuration: SentencePiece does not look for control tokens */
  g_assert_true (g_file_set_contents (config, "{\"add_bos_token\": false, \"add_eos_token\": true}", -1, NULL));
  g_assert_true (g_file_set_contents (added, "{\"<|im_end|>\": 1408}", -1, NULL));
  t = open_path (folder);
  g_assert_cmpuint (evo_tokenizer_get_n_tokens (t), ==, 1409);
  g_array_set_size (ids, 0);
  evo_tokenizer_encode (t, text->str, text->len, TRUE, ids);
  g_assert_cmpuint (ids->len, >=, 3);
  g_assert_cmpint (g_array_index (ids, gint32, ids->len - 1), ==, 2);
  g_assert_cmpint (g_array_index (ids, gint32, ids->len - 2), ==, 1408);
  g_string_assign (text, "a<|im_end|></s>");
  check_decode (t, ids, FALSE, text);
  g_string_assign (text, "a");
  check_decode (t, ids, TRUE, text);
  remove_folder (folder);
}

static void
test_no_tokenizer (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("evo-tokenizer-XXXXXX", NULL);

  g_assert_null (evo_tokenizer_open (folder, &error));
  g_assert_no_error (error);
  g_assert_null (evo_tokenizer_new_from_spm_file ("/no/such/file", TRUE, FALSE, &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN);
  g_clear_error (&error);
  g_assert_null (evo_tokenizer_new_from_json_file ("/no/such/file", &error));
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN);
  remove_folder (folder);
}

/* ------------------------------------------------------------------ any bytes */

static const char *const all_folders[] = { "bytebpe-gpt2", "bytebpe-llama3", "bytebpe-qwen2", "llama2-bpe", "unigram-nfkc", "ja4k", "tok512" };

/* Broken UTF-8 means what its repaired form means. */
static void
test_broken_utf8 (void)
{
  static const char broken[] = "a\xff\xe3\x81 b\xc0\x80\xed\xa0\x80\0c\xf0\x9f\x98", repaired[] =
    "a\xef\xbf\xbd\xef\xbf\xbd b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\0c\xef\xbf\xbd";

  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);
    g_autoptr (GString) text = g_string_new_len (broken, sizeof broken - 1);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

    evo_tokenizer_encode (t, repaired, sizeof repaired - 1, TRUE, ids);
    check_encode (t, text, TRUE, ids);
  }
}

/* A text out of pieces that tokenizers stumble over. */
static void
make_text (GString *out, guint n_parts, guint64 *state)
{
  static const char *const parts[] = { " ", "  ", "\n", "\r\n", "\t", "a", "the", "'s", "'LL", "'", "1", "2345", "０", "あ", "日本", "が", "が", "é",
                                       "é", "ＡＢ", "한", "م", "😀", "👨‍👩", "_", "!?", "　", " ", "▁", "<s>", "</s>", "<0x41>", "ſ", "'ſ", "Ⅷ",
                                       "²", "­", "­", "x", "İ", "<|endoftext|>", ".", "-", "\xe2\x80\x8b" };

  g_string_truncate (out, 0);
  for (guint i = 0; i < n_parts; i++)
    g_string_append (out, parts[below (state, G_N_ELEMENTS (parts))]);
  if (below (state, 4) == 0)
    g_string_append_len (out, "\0z", 2);
}

/* Ids are ids of tokens; the byte-level vocabularies give each text back. */
static void
test_round_trip (void)
{
  guint64 state = 1;

  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);
    gboolean exact = g_str_equal (all_folders[i], "bytebpe-gpt2") || g_str_equal (all_folders[i], "bytebpe-llama3");

    for (guint k = 0; k < 300; k++) {
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

      make_text (text, below (&state, 40), &state);
      evo_tokenizer_encode (t, text->str, text->len, FALSE, ids);
      for (guint j = 0; j < ids->len; j++)
        g_assert_cmpuint ((guint) g_array_index (ids, gint32, j), <, evo_tokenizer_get_n_tokens (t));
      if (exact)
        check_decode (t, ids, FALSE, text);
    }
  }
}

/* Ids that are no token are left out. */
static void
test_strange_ids (void)
{
  static const gint32 strange[] = { -1, G_MAXINT32, G_MININT32, 1 << 22, 40 };

  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);
    g_autoptr (GString) with = evo_tokenizer_decode (t, strange, 5, FALSE), alone = evo_tokenizer_decode (t, strange + 4, 1, FALSE);
    g_autoptr (GString) none = evo_tokenizer_decode (t, strange, 0, FALSE);

    g_assert_cmpstr (with->str, ==, alone->str);
    g_assert_cmpuint (none->len, ==, 0);
  }
}

/* ------------------------------------------------------------------ threads, length, speed */

typedef struct { const EvoTokenizer *t; guint64 digest; } Job;

static gpointer
encode_many (gpointer data)
{
  Job *job = data;
  guint64 state = 7;
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint k = 0; k < 300; k++) {
    make_text (text, below (&state, 60), &state);
    g_array_set_size (ids, 0);
    evo_tokenizer_encode (job->t, text->str, text->len, TRUE, ids);
    for (guint i = 0; i < ids->len; i++)
      job->digest = job->digest * 31 + (guint) g_array_index (ids, gint32, i);
    g_string_free (evo_tokenizer_decode (job->t, (const gint32 *) (gpointer) ids->data, ids->len, TRUE), TRUE);
  }
  return NULL;
}

static void
test_threads (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);
    Job jobs[4] = { { t, 0 }, { t, 0 }, { t, 0 }, { t, 0 } };
    GThread *threads[4];

    for (guint k = 0; k < 4; k++)
      threads[k] = g_thread_new ("encode", encode_many, &jobs[k]);
    for (guint k = 0; k < 4; k++)
      g_thread_join (threads[k]);
    for (guint k = 1; k < 4; k++)
      g_assert_cmpuint (jobs[k].digest, ==, jobs[0].digest);
  }
}

/* Texts that make a careless algorithm quadratic: one endless word, blanks, combining marks. A quadratic one would need hours. */
static void
test_long (void)
{
  static const char *const units[] = { "a", " ", "あ", "が", "\xcc\x81", "\xcc\x81\xcc\xa7", "\n", "'s", "1", "한", "😀", "ab", "  x", "<", "e\xcc\x81" };

  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);

    for (guint k = 0; k < G_N_ELEMENTS (units); k++) {
      g_autoptr (GString) text = g_string_new (NULL);
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));

      while (text->len < 100000)
        g_string_append (text, units[k]);
      evo_tokenizer_encode (t, text->str, text->len, FALSE, ids);
      g_assert_true (*units[k] == ' ' || ids->len > 100); /* blanks may all go; a token has a few hundred bytes at most */
    }
  }
}

static void
test_speed (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests", "data", "lid", "mgsm.tsv", NULL), *bytes = NULL;
  gsize n;

  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (all_folders); i++) {
    gint64 start = g_get_monotonic_time (), loaded;
    g_autoptr (EvoTokenizer) t = open_folder (all_folders[i]);
    g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
    double load_ms, seconds;

    loaded = g_get_monotonic_time ();
    load_ms = (double) (loaded - start) / 1e3;
    for (guint k = 0; k < 3; k++)
      evo_tokenizer_encode (t, bytes, n, FALSE, ids);
    seconds = (double) (g_get_monotonic_time () - loaded) / 1e6;
    g_test_message ("%s: opened in %.1f ms, %.1f MB/s over a text of %.2f MB in 11 languages", all_folders[i], load_ms,
                    3 * (double) n / seconds / 1e6, (double) n / 1e6);
    g_assert_cmpuint (ids->len, >, 0);
  }
}

int
main (int argc, char **argv)
{
  static const char *const json[] = { "bytebpe-gpt2", "bytebpe-llama3", "bytebpe-qwen2", "llama2-bpe", "unigram-nfkc" };
  static const char *const models[] = { "ja4k", "mistral_v1", "tok512" };

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (json); i++) {
    g_autofree char *name = g_strdup_printf ("/tokenizer/json/%s", json[i]);

    g_test_add_data_func (name, json[i], test_json);
  }
  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    g_autofree char *name = g_strdup_printf ("/tokenizer/model/%s", models[i]);

    g_test_add_data_func (name, models[i], test_model);
  }
  g_test_add_func ("/tokenizer/agreement", test_agreement);
  g_test_add_func ("/tokenizer/added-beside-model", test_added_beside_model);
  g_test_add_func ("/tokenizer/no-tokenizer", test_no_tokenizer);
  g_test_add_func ("/tokenizer/broken-utf8", test_broken_utf8);
  g_test_add_func ("/tokenizer/round-trip", test_round_trip);
  g_test_add_func ("/tokenizer/strange-ids", test_strange_ids);
  g_test_add_func ("/tokenizer/threads", test_threads);
  g_test_add_func ("/tokenizer/long", test_long);
  g_test_add_func ("/tokenizer/speed", test_speed);
  return g_test_run ();
}
