/* SPDX-License-Identifier: Apache-2.0
 * test-tokenizer-text.c - what happens to texts around a tokenizer's model: characters, patterns, and steps against what the reference documents.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"
#include "tests/nn/below.h"

static void
make_text (GString *out, guint n_parts, guint64 *state)
{
  static const char *const parts[] = { " ", " ", "  ", "\n", "\r", "\r\n", "\t", "\v", "\xc2\x85", "\xc2\xa0", "\xe3\x80\x80", "\xe1\xa0\x8e", "a", "B", "the",
                                       "'s", "'S", "'LL", "'re", "'v", "'ſ", "'", "1", "23", "Ⅷ", "²", "٣", "あ", "日", "é", "e\xcc\x81", "한", "ʰ",
                                       "ǅ", "😀", "_", "!", "?!", "\xe2\x80\x8d", "\xcc\x81", "\xe2\x80\x8b", "\xef\xbf\xbd", "ा", "$", "\x01", "\x7f" };

  g_string_truncate (out, 0);
  for (guint i = 0; i < n_parts; i++)
    g_string_append (out, parts[below (state, G_N_ELEMENTS (parts))]);
  if (below (state, 8) == 0)
    g_string_append_c (out, '\0');
}

/* ------------------------------------------------------------------ characters */

static void
test_classes (void)
{
  for (gunichar c = 0; c < 128; c++)
    g_assert_cmpuint (evo_char_class (c), ==, evo_char_class_wide (c));
  g_assert_cmpuint (evo_char_class (0x3000), ==, EVO_CHAR_SPACE);
  g_assert_cmpuint (evo_char_class (0x180e), ==, 0);
  g_assert_cmpuint (evo_char_class (0x2163), ==, EVO_CHAR_NUMBER | EVO_CHAR_WORD);
  g_assert_cmpuint (evo_char_class (0x24b6), ==, EVO_CHAR_WORD);
  g_assert_cmpuint (evo_char_class (0x20bb7), ==, EVO_CHAR_LETTER | EVO_CHAR_WORD);
  g_assert_cmpuint (evo_char_class (0x0301), ==, EVO_CHAR_MARK | EVO_CHAR_WORD);
}

static void
check_lossy (const char *bytes, gsize n, const char *expected)
{
  g_autoptr (GString) out = g_string_new (NULL);

  evo_utf8_append_lossy (out, bytes, n);
  g_assert_cmpstr (out->str, ==, expected);
}

/* Unicode 15, section 3.9, tables 3-8 to 3-10 */
static void
test_utf8 (void)
{
  check_lossy ("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82" "A", 9, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
               "A");
  check_lossy ("\xed\xa0\x80" "A", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "A");
  check_lossy ("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf" "A", 9, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "A");
  check_lossy ("12345678\xe3\x81\x82" "12345678", 19, "12345678\xe3\x81\x82" "12345678");
  g_assert_true (evo_utf8_is_valid ("a\0b", 3));
  g_assert_false (evo_utf8_is_valid ("\xf4\x90\x80\x80", 4));
  g_assert_cmpuint (evo_utf8_count ("aあ", 4), ==, 2);
}

static void
test_byte_chars (void)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char *p;
  char all[256];

  for (guint i = 0; i < 256; i++)
    all[i] = (char) i;
  evo_byte_chars_append (out, all, 256);
  p = out->str;
  for (guint i = 0; i < 256; i++)
    g_assert_cmpint (evo_byte_of_char (evo_utf8_next (&p)), ==, (int) i);
  g_assert_true (p == out->str + out->len);
  g_assert_cmpint (evo_byte_of_char (0x20), ==, -1);
  g_assert_cmpint (evo_byte_of_char (0x144), ==, -1);
}

/* ------------------------------------------------------------------ patterns */

static char *
spans_text (const char *text, const GArray *spans)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < spans->len; i++) {
    const EvoSpan *s = &g_array_index (spans, EvoSpan, i);
    g_autofree char *part = g_strndup (text + s->start, s->end - s->start);

    g_string_append_printf (out, s->match ? "[%s]" : "(%s)", part);
  }
  return g_string_free (out, FALSE);
}

#define CL100K(digits)                                                                                                                   \
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* The scanners against the expressions that they stand for. */
static void
test_scanners (void)
{
  static const char *const expressions[] = { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", CL100K ("{1,3}"),
                                             CL100K ("") };
  g_autoptr (GArray) fast = g_array_new (FALSE, FALSE, sizeof (EvoSpan)), slow = g_array_new (FALSE, FALSE, sizeof (EvoSpan));
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 state = 3;
  char *why = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (expressions); i++) {
    g_autoptr (EvoPattern) a = evo_pattern_new_regex (expressions[i], &why), b = evo_pattern_new_regex_slow (expressions[i], &why);

    g_assert_nonnull (a);
    g_assert_nonnull (b);
    for (guint k = 0; k < 20000; k++) {
      make_text (text, below (&state, 12), &state);
      evo_pattern_find (a, text->str, text->len, fast);
      evo_pattern_find (b, text->str, text->len, slow);
      g_autofree char *x = spans_text (text->str, fast), *y = spans_text (text->str, slow);

      g_assert_cmpstr (x, ==, y); /* ends at a U+0000 */
      g_assert_cmpuint (fast->len, ==, slow->len);
      for (guint j = 0; j < fast->len; j++)
        g_assert_cmpuint (g_array_index (fast, EvoSpan, j).end, ==, g_array_index (slow, EvoSpan, j).end);
    }
  }
}

static void
check_find (const char *expression, const char *text, const char *expected)
{
  g_autofree char *why = NULL, *got = NULL;
  g_autoptr (EvoPattern) p = evo_pattern_new_regex (expression, &why);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (EvoSpan));

  g_assert_cmpstr (why, ==, NULL);
  evo_pattern_find (p, text, strlen (text), spans);
  got = spans_text (text, spans);
  g_assert_cmpstr (got, ==, expected);
}

static void
check_refused (const char *expression, const char *expected)
{
  g_autofree char *why = NULL;

  g_assert_null (evo_pattern_new_regex (expression, &why));
  g_assert_cmpstr (why, ==, expected);
}

/* Where Oniguruma and PCRE2 differ. */
static void
test_expressions (void)
{
  check_find ("\\s", "a\xc2\x85" "b\xe1\xa0\x8e" "c", "(a)[\xc2\x85](b\xe1\xa0\x8e" "c)");
  check_find ("[\\S]+", "a b\xe3\x80\x80" "c", "[a]( )[b](\xe3\x80\x80)[c]");
  check_find ("\\w+", "e\xcc\x81 a_1", "[e\xcc\x81]( )[a_1]");
  check_find ("\\d", "1\xd9\xa3\xc2\xb2", "[1][\xd9\xa3](\xc2\xb2)");
  check_find ("\\h+", "xfF0g", "(x)[fF0](g)");
  check_find ("a\\vb", "a\vb a\nb", "[a\vb]( a\nb)");
  check_find ("^b$", "a\nb\nc", "(a\n)[b](\nc)");
  check_find ("(?m:a.b)", "a\nb", "[a\nb]");
  check_find ("a.b", "a\nb", "(a\nb)");
  check_find ("\\u3042", "aあ", "(a)[あ]");
  check_find (" ?[^(\\s|[.,!?…。，、।۔،])]+", "ab [x]. c|d", "[ab][ [x]](.)[ c](|)[d]"); /* BLOOM's */
  check_find ("[[:alpha:]]+", "aé1", "[aé](1)");
  check_find ("[]a]+", "x]a", "(x)[]a]");
  check_find ("a*", "baac", "(b)[aa](c)");
  check_find ("(?i:k)", "\xe2\x84\xaa", "[\xe2\x84\xaa]");
  check_refused ("[a&&b]", "the expression uses && in a class, which is not supported");
  check_refused ("[a[^b]]", "the expression uses a negated class in a class, which is not supported");
  check_refused ("[\\W]", "the expression uses \\W in a class, which is not supported");
  check_refused ("\\p{N}{1,3}+", "the expression uses + behind {n,m}, which is not supported");
  check_refused ("a\\", "the expression uses a backslash at its end, which is not supported");
  check_refused ("[a", "the expression uses a class that does not end, which is not supported");
  check_refused ("\\C", "the expression uses \\C, which is not supported");
  check_refused ("\\u12", "the expression uses \\u without four hexadecimal digits, which is not supported");
}

/* An expression that runs away leaves the rest of the text alone, in bounded time. */
static void
test_runaway (void)
{
  g_autofree char *why = NULL;
  g_autoptr (EvoPattern) p = evo_pattern_new_regex ("x|(a+)+$", &why);
  g_autoptr (GArray) spans = g_array_new (FALSE, FALSE, sizeof (EvoSpan));
  g_autoptr (GString) text = g_string_new ("yx");

  for (guint i = 0; i < 10000; i++)
    g_string_append (text, "aaaaaaaa");
  g_string_append_c (text, 'b');
  g_test_expect_message (NULL, G_LOG_LEVEL_MESSAGE, "*exceeds the limits of the matcher at byte 2;*");
  evo_pattern_find (p, text->str, text->len, spans);
  g_test_assert_expected_messages ();
  g_assert_cmpuint (spans->len, ==, 3);
  g_assert_cmpuint (g_array_index (spans, EvoSpan, 2).end, ==, text->len);
}

/* ------------------------------------------------------------------ steps */

static EvoJsonDoc *
parse (const char *json)
{
  g_autoptr (GError) error = NULL;
  EvoJsonDoc *doc = evo_json_parse (json, -1, "step", EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, &error);

  g_assert_no_error (error);
  return doc;
}

static void
check_normalizer (const char *json, const char *text, const char *expected)
{
  g_autoptr (EvoJsonDoc) doc = parse (json);
  g_autoptr (GArray) steps = evo_normalizers_new ();
  g_autoptr (GString) out = g_string_new ("old"), spare = g_string_new ("old");
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_normalizers_read (evo_json_root (doc), steps, &error));
  g_assert_no_error (error);
  evo_normalizers_run (steps, text, strlen (text), out, spare);
  g_assert_cmpstr (out->str, ==, expected);
}

static void
test_normalizers (void)
{
  check_normalizer ("null", "a b", "a b");
  check_normalizer ("{\"type\": \"Prepend\", \"prepend\": \"_\"}", "", "");
  check_normalizer ("{\"type\": \"Prepend\", \"prepend\": \"_\"}", "a", "_a");
  check_normalizer ("{\"type\": \"Replace\", \"pattern\": {\"String\": \"ab\"}, \"content\": \"x\"}", "abaab", "xax");
  check_normalizer ("{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"\\\\s+\"}, \"content\": \" \"}", "a \n\t b", "a b");
  check_normalizer ("{\"type\": \"NFC\"}", "e\xcc\x81 が", "é が");
  check_normalizer ("{\"type\": \"NFD\"}", "é", "e\xcc\x81");
  check_normalizer ("{\"type\": \"NFKC\"}", "ＡﬁｶﾞⅧ", "AfiガVIII");
  check_normalizer ("{\"type\": \"NFKD\"}", "ガ", "カ\xe3\x82\x99");
  check_normalizer ("{\"type\": \"Lowercase\"}", "AÉİΣ", "aéi\xcc\x87σ");
  check_normalizer ("{\"type\": \"Strip\", \"strip_left\": true, \"strip_right\": true}", " \n a b \xe3\x80\x80", "a b");
  check_normalizer ("{\"type\": \"Strip\", \"strip_left\": false, \"strip_right\": true}", " a ", " a");
  check_normalizer ("{\"type\": \"Strip\", \"strip_left\": true, \"strip_right\": false}", " a ", "a ");
  check_normalizer ("{\"type\": \"Strip\", \"strip_left\": true, \"strip_right\": true}", "  ", "");
  check_normalizer ("{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFD\"}, {\"type\": \"StripAccents\"}, {\"type\": \"Sequence\", "
                    "\"normalizers\": [{\"type\": \"Lowercase\"}]}]}", "Éa", "ea");
  check_normalizer ("{\"type\": \"ByteLevel\"}", "é ", "Ã©Ġ");
}

/* Normalising part by part is normalising the whole. */
static void
test_normalizing_parts (void)
{
  static const struct { const char *json; GNormalizeMode mode; } modes[] = {
    { "{\"type\": \"NFC\"}", G_NORMALIZE_NFC }, { "{\"type\": \"NFKC\"}", G_NORMALIZE_NFKC },
    { "{\"type\": \"NFD\"}", G_NORMALIZE_NFD }, { "{\"type\": \"NFKD\"}", G_NORMALIZE_NFKD },
  };
  static const char *const parts[] = { "e", "\xcc\x81", "\xcc\xa7", "か", "\xe3\x82\x99", "ｶ", "ﾞ", "ᄒ", "\xe1\x85\xa1", "\xe1\x86\xab", "한", "하",
                                       "\xe0\xa6\x95", "\xe0\xa7\x87", "\xe0\xa6\xbe", "Å", "ﬁ", "日", " ", "\xe0\xbe\xb2", "\xe0\xbe\x81" };
  guint64 state = 5;

  for (guint i = 0; i < G_N_ELEMENTS (modes); i++)
    for (guint k = 0; k < 200; k++) {
      g_autoptr (GString) text = g_string_new (NULL);

      for (guint j = 0; j < 400; j++)
        g_string_append (text, parts[below (&state, G_N_ELEMENTS (parts))]);
      g_autofree char *whole = g_utf8_normalize (text->str, -1, modes[i].mode);

      check_normalizer (modes[i].json, text->str, whole);
    }
}

static char *
pieces_text (const EvoPieces *p)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < p->pieces->len; i++) {
    const EvoPiece *piece = evo_pieces_at (p, i);

    g_string_append_printf (out, i == 0 ? "" : "|");
    g_string_append_len (out, p->bytes->str + piece->start, (gssize) piece->n);
  }
  return g_string_free (out, FALSE);
}

static void
check_splitter_from (const char *json, const char *text, gboolean first, const char *expected)
{
  g_autoptr (EvoJsonDoc) doc = parse (json);
  g_autoptr (GArray) steps = evo_splitters_new (), spans = g_array_new (FALSE, FALSE, sizeof (EvoSpan));
  g_autoptr (GError) error = NULL;
  g_autofree char *got = NULL;
  EvoPieces pieces, spare;

  g_assert_true (evo_splitters_read (evo_json_root (doc), steps, &error));
  g_assert_no_error (error);
  evo_pieces_init (&pieces);
  evo_pieces_init (&spare);
  g_string_append (pieces.bytes, text);
  evo_pieces_add (&pieces, 0, strlen (text), -1, first);
  evo_splitters_run (steps, &pieces, &spare, spans);
  got = pieces_text (&pieces);
  g_assert_cmpstr (got, ==, expected);
  evo_pieces_clear (&pieces);
  evo_pieces_clear (&spare);
}

static void
check_splitter (const char *json, const char *text, const char *expected)
{
  check_splitter_from (json, text, TRUE, expected);
}

#define SPLIT(behavior, invert) \
  "{\"type\": \"Split\", \"pattern\": {\"String\": \"-\"}, \"behavior\": \"" behavior "\", \"invert\": " invert "}"

/* The library's documentation of the five behaviours: "the-final--countdown". */
static void
test_splits (void)
{
  check_splitter (SPLIT ("Removed", "false"), "the-final--countdown", "the|final|countdown");
  check_splitter (SPLIT ("Isolated", "false"), "the-final--countdown", "the|-|final|-|-|countdown");
  check_splitter (SPLIT ("MergedWithPrevious", "false"), "the-final--countdown", "the-|final-|-|countdown");
  check_splitter (SPLIT ("MergedWithNext", "false"), "the-final--countdown", "the|-final|-|-countdown");
  check_splitter (SPLIT ("Contiguous", "false"), "the-final--countdown", "the|-|final|--|countdown");
  check_splitter (SPLIT ("Removed", "true"), "the-final--countdown", "-|-|-");
  check_splitter (SPLIT ("MergedWithPrevious", "false"), "-a-", "-|a-");
  check_splitter (SPLIT ("MergedWithNext", "false"), "-a-", "-a|-");
  check_splitter ("{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\w+|[^\\\\w\\\\s]+\"}, \"behavior\": \"Removed\", \"invert\": true}",
                  "How are you doing?", "How|are|you|doing|?");
}

static void
test_splitters (void)
{
  check_splitter ("null", "a b", "a b");
  check_splitter ("{\"type\": \"Digits\", \"individual_digits\": true}", "Hey 123 friend!", "Hey |1|2|3| friend!");
  check_splitter ("{\"type\": \"Digits\", \"individual_digits\": false}", "Hey 123 friend!", "Hey |123| friend!");
  check_splitter ("{\"type\": \"Punctuation\", \"behavior\": \"Isolated\"}", "Hey friend!  How are you?!?", "Hey friend|!|  How are you|?|!|?");
  check_splitter ("{\"type\": \"Punctuation\", \"behavior\": \"Removed\"}", "a.b。c", "a|b|c");
  check_splitter ("{\"type\": \"Whitespace\"}", "How are you doing?", "How|are|you|doing|?");
  check_splitter ("{\"type\": \"WhitespaceSplit\"}", "Hey, man,  Good?", "Hey,|man,|Good?");
  check_splitter ("{\"type\": \"CharDelimiterSplit\", \"delimiter\": \"/\"}", "/a//b", "a|b");
  check_splitter ("{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", "Hello é", "ĠHello|ĠÃ©");
  check_splitter ("{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": false}", " a b", "ĠaĠb");
  check_splitter ("{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"WhitespaceSplit\"}, {\"type\": \"Digits\", "
                  "\"individual_digits\": true}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}", "a1 2b", "a|1|2|b");
}

static void
test_metaspace (void)
{
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"add_prefix_space\": true}", "Hey   friend!", "▁Hey|▁|▁|▁friend!");
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"always\", \"split\": false}", "Hey  you", "▁Hey▁▁you");
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"never\"}", "Hey you", "Hey|▁you");
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"add_prefix_space\": false}", "Hey you", "Hey|▁you");
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"first\"}", "Hey", "▁Hey");
  check_splitter_from ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"first\"}", "Hey", FALSE, "Hey");
  check_splitter ("{\"type\": \"Metaspace\", \"replacement\": \"_\"}", " a", "_a");
  check_splitter ("{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, {\"type\": \"Metaspace\", "
                  "\"prepend_scheme\": \"first\", \"split\": false}]}", "a1", "▁a|1");
}

/* tokens: between bars */
static void
check_decoder (const char *json, const char *tokens, const char *expected)
{
  g_autoptr (EvoJsonDoc) doc = parse (json);
  g_autoptr (GArray) steps = evo_decoders_new ();
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) parts = g_strsplit (tokens, "|", -1);
  EvoPieces pieces, spare;

  g_assert_true (evo_decoders_read (evo_json_root (doc), steps, &error));
  g_assert_no_error (error);
  evo_pieces_init (&pieces);
  evo_pieces_init (&spare);
  for (guint i = 0; parts[i] != NULL; i++) {
    gsize start = pieces.bytes->len;

    g_string_append (pieces.bytes, parts[i]);
    evo_pieces_add (&pieces, start, strlen (parts[i]), -1, FALSE);
  }
  evo_decoders_run (steps, &pieces, &spare, out);
  g_assert_cmpstr (out->str, ==, expected);
  evo_pieces_clear (&pieces);
  evo_pieces_clear (&spare);
}

static void
test_decoders (void)
{
  check_decoder ("null", "a|b", "a b");
  check_decoder ("{\"type\": \"ByteLevel\"}", "Ġa|ã|ģĤ", " aあ");
  check_decoder ("{\"type\": \"ByteLevel\"}", "ã|b|日本", "\xef\xbf\xbd" "b日本");
  check_decoder ("{\"type\": \"ByteFallback\"}", "<0x61>|<0xE3>|<0x81>|<0x82>|z", "aあz");
  check_decoder ("{\"type\": \"ByteFallback\"}", "<0xE5>|<0x8f>|a", "\xef\xbf\xbd\xef\xbf\xbd" "a");
  check_decoder ("{\"type\": \"Fuse\"}", "a|b", "ab");
  check_decoder ("{\"type\": \"Strip\", \"content\": \"H\", \"start\": 1, \"stop\": 0}", "Hey| friend!|HHH", "ey friend!HH");
  check_decoder ("{\"type\": \"Strip\", \"content\": \"y\", \"start\": 0, \"stop\": 1}", "Hey| friend!", "He friend!");
  check_decoder ("{\"type\": \"Replace\", \"pattern\": {\"String\": \"▁\"}, \"content\": \" \"}", "▁a|▁b", " a b");
  check_decoder ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"add_prefix_space\": true}", "▁Hey|▁friend!", "Hey friend!");
  check_decoder ("{\"type\": \"Metaspace\", \"replacement\": \"▁\", \"prepend_scheme\": \"never\"}", "▁Hey|▁friend!", " Hey friend!");
  check_decoder ("{\"type\": \"BPEDecoder\", \"suffix\": \"</w>\"}", "a</w>|b|c</w>", "a bc");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/text/classes", test_classes);
  g_test_add_func ("/tokenizer/text/utf8", test_utf8);
  g_test_add_func ("/tokenizer/text/byte-chars", test_byte_chars);
  g_test_add_func ("/tokenizer/text/scanners", test_scanners);
  g_test_add_func ("/tokenizer/text/expressions", test_expressions);
  g_test_add_func ("/tokenizer/text/runaway", test_runaway);
  g_test_add_func ("/tokenizer/text/normalizers", test_normalizers);
  g_test_add_func ("/tokenizer/text/normalizing-parts", test_normalizing_parts);
  g_test_add_func ("/tokenizer/text/splits", test_splits);
  g_test_add_func ("/tokenizer/text/splitters", test_splitters);
  g_test_add_func ("/tokenizer/text/metaspace", test_metaspace);
  g_test_add_func ("/tokenizer/text/decoders", test_decoders);
  return g_test_run ();
}
