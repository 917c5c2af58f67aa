/* SPDX-License-Identifier: Apache-2.0
 * test-tokenizer-parts.c - the parts of a tokenizer's model, fast ones against slow ones; small tokenizers; character maps.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"
#include "core/nn/tokenizer/merge.h"
#include "tests/nn/below.h"

/* ------------------------------------------------------------------ whole small tokenizers */

static EvoTokenizer *
from_json (const char *json, GError **error)
{
  g_autofree char *path = NULL;
  EvoTokenizer *t;
  int fd = g_file_open_tmp ("evo-tokenizer-XXXXXX.json", &path, NULL);

  g_assert_true (fd >= 0 && g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, json, -1, NULL));
  t = evo_tokenizer_new_from_json_file (path, error);
  g_assert_cmpint (g_remove (path), ==, 0);
  return t;
}

static char *
encoded (const EvoTokenizer *t, const char *text, gboolean special)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  GString *out = g_string_new (NULL);

  evo_tokenizer_encode (t, text, strlen (text), special, ids);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (out, "%s%d", i == 0 ? "" : " ", g_array_index (ids, gint32, i));
  return g_string_free (out, FALSE);
}

static void
check_ids (const EvoTokenizer *t, const char *text, gboolean special, const char *expected)
{
  g_autofree char *got = encoded (t, text, special);

  g_assert_cmpstr (got, ==, expected);
}

static EvoTokenizer *
good_json (const char *json)
{
  g_autoptr (GError) error = NULL;
  EvoTokenizer *t = from_json (json, &error);

  g_assert_no_error (error);
  return t;
}

#define ADDED(id, content, flags) "{\"id\": " id ", \"content\": \"" content "\", \"special\": false, \"normalized\": false" flags "}"
#define ABC "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \" \": 2, \"c\": 3}, \"merges\": []}"

static void
test_added (void)
{
  g_autoptr (EvoTokenizer) plain = good_json ("{\"added_tokens\": [" ADDED ("9", "<x>", "") "], " ABC "}");
  g_autoptr (EvoTokenizer) stripped = good_json ("{\"added_tokens\": [" ADDED ("9", "<x>", ", \"lstrip\": true, \"rstrip\": true") "], " ABC "}");
  g_autoptr (EvoTokenizer) word = good_json ("{\"added_tokens\": [" ADDED ("9", "cc", ", \"single_word\": true") "], " ABC "}");
  g_autoptr (EvoTokenizer) longest = good_json ("{\"added_tokens\": [" ADDED ("8", "<", "") ", " ADDED ("9", "<<", "") ", " ADDED ("7", "bb", "") "], "
                                                ABC "}");
  g_autoptr (EvoTokenizer) cooked = good_json ("{\"normalizer\": {\"type\": \"Lowercase\"}, \"added_tokens\": [{\"id\": 9, \"content\": \"CC\", "
                                               "\"special\": false, \"normalized\": true}], " ABC "}");

  check_ids (plain, "a <x> b", FALSE, "0 2 9 2 1");
  check_ids (stripped, "a <x>  b", FALSE, "0 9 1");
  check_ids (stripped, "  <x> <x>", FALSE, "9 9");
  check_ids (word, "cc acc cc! cca", FALSE, "9 2 0 3 3 2 9 2 3 3 0");
  check_ids (longest, "<<<abbb", FALSE, "9 8 0 7 1");
  check_ids (cooked, "aCcA", FALSE, "0 9 0");
  g_assert_cmpint (evo_tokenizer_find (plain, "<x>"), ==, 9);
  g_assert_cmpint (evo_tokenizer_find (plain, "nothing"), ==, -1);
  g_assert_cmpuint (evo_tokenizer_get_n_tokens (plain), ==, 10);
}

#define SPECIALS "\"special_tokens\": {\"b\": {\"id\": \"b\", \"ids\": [1], \"tokens\": [\"b\"]}, \"c\": {\"id\": \"c\", \"ids\": [3, 2], \"tokens\": []}}"

static void
test_templates (void)
{
  g_autoptr (EvoTokenizer) both = good_json ("{\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"b\"}}, "
                                             "{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"c\"}}], " SPECIALS "}, " ABC "}");
  g_autoptr (EvoTokenizer) roberta = good_json ("{\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, "
                                                "{\"type\": \"RobertaProcessing\", \"cls\": [\"b\", 1], \"sep\": [\"c\", 3]}, {\"type\": \"BertProcessing\", "
                                                "\"cls\": [\"a\", 0], \"sep\": [\"a\", 0]}]}, " ABC "}");

  check_ids (both, "a", TRUE, "1 0 3 2");
  check_ids (both, "", TRUE, "1 3 2");
  check_ids (both, "a", FALSE, "0");
  check_ids (roberta, "a", TRUE, "0 1 0 3 0");
}

static void
test_bpe_options (void)
{
  g_autoptr (EvoTokenizer) unknown = good_json ("{\"model\": {\"type\": \"BPE\", \"unk_token\": \"u\", \"vocab\": {\"a\": 0, \"u\": 1}, \"merges\": []}}");
  g_autoptr (EvoTokenizer) fused = good_json ("{\"model\": {\"type\": \"BPE\", \"unk_token\": \"u\", \"fuse_unk\": true, \"vocab\": {\"a\": 0, \"u\": 1}, "
                                              "\"merges\": []}}");
  g_autoptr (EvoTokenizer) none = good_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}");
  g_autoptr (EvoTokenizer) prefix = good_json ("{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": \"BPE\", "
                                               "\"continuing_subword_prefix\": \"##\", \"vocab\": {\"a\": 0, \"##a\": 1, \"##b\": 2, \"ab\": 3, \"##ab\": 4}, "
                                               "\"merges\": [\"a ##b\", \"##a ##b\"]}}");
  g_autoptr (EvoTokenizer) suffix = good_json ("{\"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": \"BPE\", \"end_of_word_suffix\": "
                                               "\"</w>\", \"vocab\": {\"a\": 0, \"a</w>\": 1, \"aa</w>\": 2}, \"merges\": [[\"a\", \"a</w>\"]]}}");
  g_autoptr (EvoTokenizer) ignoring = good_json ("{\"model\": {\"type\": \"BPE\", \"ignore_merges\": true, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, "
                                                 "\"merges\": []}}");

  check_ids (unknown, "axya", FALSE, "0 1 1 0");
  check_ids (fused, "axyza", FALSE, "0 1 0");
  check_ids (none, "xaya", FALSE, "0 0");
  check_ids (none, "x", FALSE, "");
  check_ids (prefix, "ab aab aa", FALSE, "3 0 4 0 1");
  check_ids (suffix, "a aa aaa", FALSE, "1 2 0 2");
  check_ids (ignoring, "ab", FALSE, "2");
  check_ids (ignoring, "aba", FALSE, "0 1 0");
}

/* ------------------------------------------------------------------ merges: fast against slow */

enum { N_LETTERS = 4, N_TOKENS = 60 };

/* A vocabulary of random strings over a, b, c, d that merges can make. */
static void
make_bpe (EvoBpe *b, EvoVocab *vocab, guint64 *state)
{
  gint32 id = 0;
  guint32 rank = 0;

  evo_vocab_init (vocab);
  for (; id < N_LETTERS; id++)
    evo_vocab_add (vocab, &"abcd"[id], 1, id);
  evo_bpe_init (b, vocab);
  for (guint tries = 0; id < N_TOKENS && tries < 1000; tries++) {
    gint32 left = (gint32) below (state, (guint) id), right = (gint32) below (state, (guint) id);
    EvoVocabText l = evo_vocab_get (vocab, left), r = evo_vocab_get (vocab, right);
    g_autofree char *both = g_strconcat (l.text, r.text, NULL);
    gint32 known = evo_vocab_find (vocab, both, strlen (both));

    if (strlen (both) > 12 || evo_bpe_find_merge (b, left, right) != NULL)
      continue;
    if (known < 0)
      evo_vocab_add (vocab, both, strlen (both), known = id++);
    evo_bpe_add_merge (b, left, right, rank++, known);
  }
  b->n_symbols = (gint32) evo_vocab_get_size (vocab);
  evo_bpe_index_characters (b);
}

/* The definition: merge the leftmost pair of lowest rank until there is none. */
static GArray *
merge_slowly (const EvoBpe *b, const char *text)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (; *text != '\0'; text++) {
    gint32 id = *text - 'a';

    g_array_append_val (ids, id);
  }
  for (;;) {
    const EvoBpePair *best = NULL;
    guint at = 0;

    for (guint i = 0; i + 1 < ids->len; i++) {
      const EvoBpePair *p = evo_bpe_find_merge (b, g_array_index (ids, gint32, i), g_array_index (ids, gint32, i + 1));

      if (p != NULL && (best == NULL || p->rank < best->rank)) {
        best = p;
        at = i;
      }
    }
    if (best == NULL)
      return ids;
    g_array_index (ids, gint32, at) = best->id;
    g_array_remove_index (ids, at + 1);
  }
}

static void
check_merges (const EvoBpe *b, guint64 *state, EvoBpeScratch *scratch)
{
  for (guint k = 0; k < 200; k++) {
    guint n = 1 + below (state, k < 100 ? 24 : 400);
    g_autofree char *text = g_malloc0 (n + 1);
    g_autoptr (GArray) fast = g_array_new (FALSE, FALSE, sizeof (gint32)), slow = NULL;

    for (guint i = 0; i < n; i++)
      text[i] = (char) ('a' + (below (state, 3) == 0 ? below (state, N_LETTERS) : 0));
    slow = merge_slowly (b, text);
    evo_bpe_encode (b, scratch, text, n, fast);
    g_assert_cmpmem (fast->data, fast->len * sizeof (gint32), slow->data, slow->len * sizeof (gint32));
  }
}

/* Short words, long words, cut texts, cached words: all the same. */
static void
test_merges (void)
{
  guint64 state = 11;

  for (guint k = 0; k < 50; k++) {
    EvoBpeScratch *scratch = evo_bpe_scratch_new ();
    EvoVocab vocab;
    EvoBpe b;

    make_bpe (&b, &vocab, &state);
    check_merges (&b, &state, scratch);
    evo_bpe_allow_cuts (&b);
    check_merges (&b, &state, scratch);
    evo_bpe_clear (&b);
    evo_vocab_clear (&vocab);
    evo_bpe_scratch_free (scratch);
  }
}

/* ------------------------------------------------------------------ Unigram: Viterbi against all segmentations */

static double
best_score (const EvoUnigram *u, const char *text, gsize n)
{
  double best = -INFINITY;

  if (n == 0)
    return 0;
  for (gsize k = 1; k <= n; k++) {
    gint32 id = evo_vocab_find (u->vocab, text, k);
    double score = id >= 0 ? g_array_index (u->scores, double, id) : k == 1 ? u->lowest - 10 : -INFINITY;

    if (isfinite (score))
      best = MAX (best, score + best_score (u, text + k, n - k));
  }
  return best;
}

static void
test_unigram (void)
{
  guint64 state = 13;
  EvoUnigramWork work;

  evo_unigram_work_init (&work);
  for (guint k = 0; k < 30; k++) {
    EvoVocab vocab;
    EvoUnigram u;

    evo_vocab_init (&vocab);
    evo_unigram_init (&u, &vocab);
    for (gint32 id = 0; id < 40;) {
      char text[6] = "";

      for (guint i = 0, n = 1 + below (&state, 5); i < n; i++)
        text[i] = (char) ('a' + below (&state, 3));
      if (evo_vocab_find (&vocab, text, strlen (text)) >= 0) {
        id += below (&state, 10) == 0;
        continue;
      }
      if (evo_vocab_get (&vocab, id).text != NULL)
        continue;
      evo_vocab_add (&vocab, text, strlen (text), id);
      evo_unigram_add (&u, id++, -(double) (1 + below (&state, 1000)) / 100, TRUE);
    }
    evo_unigram_finish (&u);
    for (guint j = 0; j < 40; j++) {
      g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
      char text[12] = "";
      double sum = 0;
      gsize covered = 0;

      for (guint i = 0, n = 1 + below (&state, 11); i < n; i++)
        text[i] = (char) ('a' + below (&state, 4)); /* "d" is unknown */
      evo_unigram_encode (&u, &work, text, strlen (text), ids);
      for (guint i = 0; i < ids->len; i++) {
        sum += g_array_index (u.scores, double, g_array_index (ids, gint32, i));
        covered += evo_vocab_get (&vocab, g_array_index (ids, gint32, i)).n;
      }
      sum += (double) (strlen (text) - covered) * (u.lowest - 10); /* unknown characters give no id here */
      g_assert_cmpfloat_with_epsilon (sum, best_score (&u, text, strlen (text)), 1e-9); /* 12 additions in another order */
    }
    evo_unigram_clear (&u);
    evo_vocab_clear (&vocab);
  }
  evo_unigram_work_clear (&work);
}

/* ------------------------------------------------------------------ tries */

static void
test_trie (void)
{
  EvoTrie t;
  gint32 value = -1;

  evo_trie_init (&t);
  evo_trie_add (&t, "ab", 2, 1);
  evo_trie_add (&t, "abcd", 4, 2);
  evo_trie_add (&t, "\0x", 2, 3);
  for (guint i = 0; i < 5000; i++) {
    g_autofree char *text = g_strdup_printf ("k%u", i);

    evo_trie_add (&t, text, strlen (text), (gint32) i);
  }
  g_assert_cmpuint (evo_trie_longest (&t, "abcx", 4, &value), ==, 2);
  g_assert_cmpint (value, ==, 1);
  g_assert_cmpuint (evo_trie_longest (&t, "abcde", 5, &value), ==, 4);
  g_assert_cmpuint (evo_trie_longest (&t, "a", 1, &value), ==, 0);
  g_assert_cmpuint (evo_trie_longest (&t, "\0xy", 3, &value), ==, 2);
  g_assert_cmpuint (evo_trie_longest (&t, "k4321", 5, &value), ==, 5);
  g_assert_cmpint (value, ==, 4321);
  evo_trie_clear (&t);
}

/* ------------------------------------------------------------------ character maps */

typedef struct { const char *from, *to; } Mapping;
typedef struct { GArray *units; /* guint32 */ GString *texts; const Mapping *map; guint n; guint8 *taken; } DoubleArray;

enum { UNITS = 4096 };

/* Places the node of the entries [first, last), which share `depth` bytes, at `at`: its children at offset ^ byte (layout of Darts-clone). */
static void
place (DoubleArray *d, guint first, guint last, gsize depth, guint32 at)
{
  guint32 *units = (guint32 *) (gpointer) d->units->data, base;
  gboolean is_leaf = d->map[first].from[depth] == '\0', fits = FALSE;

  for (base = 1; base < UNITS - 256 && !fits; base++) {
    fits = !is_leaf || !d->taken[at ^ base];
    for (guint i = first + is_leaf; i < last && fits; i++)
      fits = (at ^ base ^ (guchar) d->map[i].from[depth]) < UNITS && !d->taken[at ^ base ^ (guchar) d->map[i].from[depth]];
  }
  base--;
  g_assert_true (fits);
  units[at] |= base << 10 | (is_leaf ? 1u << 8 : 0);
  if (is_leaf) {
    units[at ^ base] = 1u << 31 | (guint32) d->texts->len;
    d->taken[at ^ base] = 1;
    g_string_append_len (d->texts, d->map[first].to, (gssize) strlen (d->map[first].to) + 1);
  }
  for (guint i = first + is_leaf; i < last; i++)
    d->taken[at ^ base ^ (guchar) d->map[i].from[depth]] = 1;
  for (guint i = first + is_leaf, next; i < last; i = next) {
    guint32 child = at ^ base ^ (guchar) d->map[i].from[depth];

    for (next = i; next < last && d->map[next].from[depth] == d->map[i].from[depth];)
      next++;
    units[child] |= (guchar) d->map[i].from[depth];
    place (d, i, next, depth + 1, child);
  }
}

/* A map as a .model holds it; entries in byte order. */
static GByteArray *
make_charsmap (const Mapping *map, guint n)
{
  GByteArray *out = g_byte_array_new ();
  DoubleArray d = { g_array_sized_new (FALSE, TRUE, 4, UNITS), g_string_new (NULL), map, n, g_malloc0 (UNITS) };
  guint32 size = UNITS * 4;

  g_array_set_size (d.units, UNITS);
  d.taken[0] = 1;
  place (&d, 0, n, 0, 0);
  g_byte_array_append (out, (const guint8 *) &size, 4);
  g_byte_array_append (out, (const guint8 *) d.units->data, size);
  g_byte_array_append (out, (const guint8 *) d.texts->str, (guint) d.texts->len);
  g_array_unref (d.units);
  g_string_free (d.texts, TRUE);
  g_free (d.taken);
  return out;
}

static const Mapping mappings[] = { { "\t", " " }, { "\r", " " }, { "e\xcc\x81", "é" }, { "ﬁ", "fi" }, { "Ａ", "A" }, { "ｶ", "カ" }, { "ｶﾞ", "ガ" },
                                    { "\xef\xbb\xbf", "" } };

static int
by_from (gconstpointer a, gconstpointer b)
{
  return strcmp (((const Mapping *) a)->from, ((const Mapping *) b)->from);
}

static EvoCharsmap *
open_charsmap (void)
{
  g_autofree Mapping *sorted = g_memdup2 (mappings, sizeof mappings);
  g_autoptr (GByteArray) blob = NULL;
  const char *why = NULL;
  EvoCharsmap *m;

  qsort (sorted, G_N_ELEMENTS (mappings), sizeof *sorted, by_from);
  blob = make_charsmap (sorted, G_N_ELEMENTS (mappings));
  m = evo_charsmap_new (blob->data, blob->len, &why);
  g_assert_cmpstr (why, ==, NULL);
  return m;
}

static void
check_spm (const EvoSpmNormalizer *z, const char *text, const char *expected)
{
  g_autoptr (GString) out = g_string_new (NULL);

  evo_spm_normalize (z, text, strlen (text), out);
  g_assert_cmpstr (out->str, ==, expected);
}

static void
test_charsmap (void)
{
  g_autoptr (EvoCharsmap) m = open_charsmap ();
  EvoSpmNormalizer z = { .map = m, .dummy_prefix = TRUE, .remove_extra = TRUE, .escape = TRUE };
  g_autoptr (GString) out = g_string_new (NULL);
  gsize n = 6;

  g_assert_cmpstr (evo_charsmap_find (m, "ｶﾞ", &n, TRUE), ==, "ガ");
  g_assert_cmpuint (n, ==, 6);
  g_assert_cmpstr (evo_charsmap_find (m, "ｶﾞ", &n, FALSE), ==, "カ");
  g_assert_cmpuint (n, ==, 3);
  n = 1;
  g_assert_null (evo_charsmap_find (m, "x", &n, TRUE));
  /* clusters: e + accent is one, CR LF is one, ｶﾞ is two characters of 6 bytes */
  evo_charsmap_apply (m, "e\xcc\x81\r\nｶﾞﬁxe", strlen ("e\xcc\x81\r\nｶﾞﬁxe"), out);
  g_assert_cmpstr (out->str, ==, "é カﾞfixe");
  check_spm (&z, "  Ａ \t ｶﾞ  ﬁ ", "▁A▁ガ▁fi");
  check_spm (&z, " \t ", "");
  check_spm (&z, "\xef\xbb\xbf", ""); /* the prefix counts as a trailing blank */
  z.remove_extra = FALSE;
  check_spm (&z, " a  b ", "▁▁a▁▁b▁");
  check_spm (&z, "", "");
  z.as_suffix = TRUE;
  check_spm (&z, "a b", "a▁b▁");
  z.escape = FALSE;
  check_spm (&z, "a b", "a b ");
}

static void
check_bad_charsmap (const guint8 *blob, gsize n, const char *expected)
{
  const char *why = NULL;

  g_assert_null (evo_charsmap_new (blob, n, &why));
  g_assert_cmpstr (why, ==, expected);
}

static void
test_bad_charsmaps (void)
{
  static const guint8 broken_text[] = { 4, 0, 0, 0, 0, 0, 0, 0, 0xff, 0 }, wild[] = { 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'a', 0 };
  guint8 long_text[8 + 300] = { 4 };
  const char *why = NULL;
  gsize n = 3;
  g_autoptr (EvoCharsmap) m = evo_charsmap_new (wild, sizeof wild, &why);

  memset (long_text + 8, 'x', 300);
  check_bad_charsmap (wild, 3, "the trie of the character map does not fit the map's size");
  check_bad_charsmap ((const guint8 *) "\x05\0\0\0abcde", 9, "the trie of the character map does not fit the map's size");
  check_bad_charsmap ((const guint8 *) "\xff\xff\xff\xff" "abcd", 8, "the trie of the character map does not fit the map's size");
  check_bad_charsmap (broken_text, sizeof broken_text, "the texts of the character map are not UTF-8");
  check_bad_charsmap (long_text, sizeof long_text, "a text of the character map is longer than 256 bytes");
  g_assert_null (evo_charsmap_find (m, "abc", &n, TRUE)); /* offsets that lead out of the trie */
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/parts/added", test_added);
  g_test_add_func ("/tokenizer/parts/templates", test_templates);
  g_test_add_func ("/tokenizer/parts/bpe-options", test_bpe_options);
  g_test_add_func ("/tokenizer/parts/merges", test_merges);
  g_test_add_func ("/tokenizer/parts/unigram", test_unigram);
  g_test_add_func ("/tokenizer/parts/trie", test_trie);
  g_test_add_func ("/tokenizer/parts/charsmap", test_charsmap);
  g_test_add_func ("/tokenizer/parts/bad-charsmaps", test_bad_charsmaps);
  return g_test_run ();
}
