/* SPDX-License-Identifier: Apache-2.0
 * test-tokenizer-parts.c - the parts of a tokenizer: fast ones against slow ones, steps against what the reference documents.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"
#include "core/nn/tokenizer/merge.h"

static guint
below (guint64 *state, guint n)
{
  *state = *state * G_GUINT64_CONSTANT (6364136223846793005) + G_GUINT64_CONSTANT (1442695040888963407);
  return (guint) (*state >> 33) % n;
}

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
  g_test_add_func ("/tokenizer/parts/classes", test_classes);
  g_test_add_func ("/tokenizer/parts/utf8", test_utf8);
  g_test_add_func ("/tokenizer/parts/byte-chars", test_byte_chars);
  g_test_add_func ("/tokenizer/parts/scanners", test_scanners);
  g_test_add_func ("/tokenizer/parts/expressions", test_expressions);
  g_test_add_func ("/tokenizer/parts/runaway", test_runaway);
  g_test_add_func ("/tokenizer/parts/normalizers", test_normalizers);
  g_test_add_func ("/tokenizer/parts/normalizing-parts", test_normalizing_parts);
  g_test_add_func ("/tokenizer/parts/splits", test_splits);
  g_test_add_func ("/tokenizer/parts/splitters", test_splitters);
  g_test_add_func ("/tokenizer/parts/metaspace", test_metaspace);
  g_test_add_func ("/tokenizer/parts/decoders", test_decoders);
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
