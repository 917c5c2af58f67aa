/* SPDX-License-Identifier: Apache-2.0
 * test-tokenizer-files.c - tokenizer files that are broken, each with its message; and SentencePiece models written here, for what no
 * published one of a few kilobytes has: user-defined and unused pieces, Unigram, flags of the normaliser.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/tokenizer/tokenizer.h"
#include "tests/nn/below.h"

/* ------------------------------------------------------------------ files */

static char *
write_file (const void *bytes, gsize n)
{
  char *path = NULL;
  int fd = g_file_open_tmp ("evo-tokenizer-XXXXXX", &path, NULL);

  g_assert_true (fd >= 0 && g_close (fd, NULL));
  g_assert_true (g_file_set_contents (path, bytes, (gssize) n, NULL));
  return path;
}

/* The message without the path it begins with. */
static void
check_message (const GError *error, const char *path, const char *expected)
{
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
  g_assert_true (g_str_has_prefix (error->message, path));
  g_assert_cmpstr (error->message + strlen (path), ==, expected);
}

static void
check_bad_json (const char *json, const char *expected)
{
  g_autofree char *path = write_file (json, strlen (json));
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_tokenizer_new_from_json_file (path, &error));
  check_message (error, path, expected);
  g_remove (path);
}

#define MODEL "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}"

static void
test_bad_json (void)
{
  check_bad_json ("{}", ":1: \"model\" must be an object");
  check_bad_json ("[]", ":1: \"model\" must be an object");
  check_bad_json ("{\"model\": []}", ":1: /model: \"model\" must be an object");
  check_bad_json ("{\"model\": {\"type\": \"WordPiece\"}}", ":1: /model: the model type \"WordPiece\" is not supported; known are BPE and Unigram");
  check_bad_json ("{\"model\": {}}", ":1: /model: the model type \"\" is not supported; known are BPE and Unigram");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", ":1: /model/vocab: the vocabulary is empty");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": [\"a\"], \"merges\": []}}", ":1: /model/vocab: \"vocab\" must be an object");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}", ":1: /model: \"merges\" must be a list");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 0}, \"merges\": []}}", ":1: /model/vocab/b: the id 0 is already that of \"a\"");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", ":1: /model/vocab/a: a token's id is a whole number from 0 to 4194303");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 4194304}, \"merges\": []}}", ":1: /model/vocab/a: a token's id is a whole number from 0 to 4194303");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 1.5}, \"merges\": []}}", ":1: /model/vocab/a: a token's id is a whole number from 0 to 4194303");
  check_bad_json ("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": \"0\"}, \"merges\": []}}", ":1: /model/vocab/a: a token's id is a whole number from 0 to 4194303");
}

#define BPE(rest) "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, " rest "}}"

static void
test_bad_merges (void)
{
  check_bad_json (BPE ("\"merges\": [\"a c\"]"), ":1: /model/merges/0: the merge needs the token \"c\", which is not in the vocabulary");
  check_bad_json (BPE ("\"merges\": [\"a b\", \"b a\"]"), ":1: /model/merges/1: the merge needs the token \"ba\", which is not in the vocabulary");
  check_bad_json (BPE ("\"merges\": [\"ab\"]"), ":1: /model/merges/0: a merge is \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
  check_bad_json (BPE ("\"merges\": [\"a b b\"]"), ":1: /model/merges/0: a merge is \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
  check_bad_json (BPE ("\"merges\": [[\"a\", 1]]"), ":1: /model/merges/0: a merge is \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
  check_bad_json (BPE ("\"merges\": [[\"a\"]]"), ":1: /model/merges/0: a merge is \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
  check_bad_json (BPE ("\"merges\": {}"), ":1: /model/merges: \"merges\" must be a list");
  check_bad_json (BPE ("\"merges\": [\"a b\"], \"dropout\": 0.1"), ":1: /model/dropout: dropout makes token ids random; null is expected");
  check_bad_json (BPE ("\"merges\": [\"a b\"], \"unk_token\": \"?\""), ":1: /model/unk_token: \"?\" is not in the vocabulary");
  check_bad_json (BPE ("\"merges\": [\"a b\"], \"unk_token\": 3"), ":1: /model/unk_token: a number instead of a string");
  check_bad_json (BPE ("\"merges\": [\"a b\"], \"byte_fallback\": \"yes\""), ":1: /model/byte_fallback: a string instead of true or false");
  check_bad_json (BPE ("\"merges\": [\"a b\"], \"continuing_subword_prefix\": \"##\""), ":1: /model/merges/0: the right side of a merge must begin with \"##\"");
}

static void
test_bad_unigram (void)
{
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", ":1: /model/vocab: the vocabulary is empty");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": {\"a\": 1}}}", ":1: /model/vocab: \"vocab\" must be a list");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]]}}", ":1: /model/vocab/0: a token of a Unigram vocabulary is [TEXT, SCORE]");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[1, \"a\"]]}}", ":1: /model/vocab/0: a token of a Unigram vocabulary is [TEXT, SCORE]");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [\"a\"]}}", ":1: /model/vocab/0: a token of a Unigram vocabulary is [TEXT, SCORE]");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": 1}}",
                  ":1: /model/unk_id: unk_id must be the id of one of the 1 tokens");
  check_bad_json ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": \"a\"}}",
                  ":1: /model/unk_id: unk_id must be the id of one of the 1 tokens");
}

/* Searching a text for such a token at every place would take forever. */
static void
check_long_added (void)
{
  g_autofree char *text = g_strnfill (1025, 'x');
  g_autofree char *added = g_strdup_printf ("{" MODEL ", \"added_tokens\": [{\"id\": 9, \"content\": \"%s\"}]}", text);
  g_autofree char *scored = g_strdup_printf ("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"%s\", 0]]}}", text);

  check_bad_json (added, ":1: /added_tokens/0: an added token of 1025 bytes; up to 1024 are accepted");
  check_bad_json (scored, ":1: /model/vocab/0: a token of 1025 bytes; up to 1024 are accepted");
}

static void
test_bad_added (void)
{
  check_bad_json ("{" MODEL ", \"added_tokens\": {}}", ":1: /added_tokens: must be a list of added tokens");
  check_bad_json ("{" MODEL ", \"added_tokens\": [3]}", ":1: /added_tokens/0: an added token needs \"id\"");
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 3}]}", ":1: /added_tokens/0: an added token needs \"content\", a text");
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 0, \"content\": \"x\"}]}",
                  ":1: /added_tokens/0: the added token \"x\" has the id 0, which is \"a\" in the vocabulary");
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 7, \"content\": \"a\"}]}",
                  ":1: /added_tokens/0: the added token \"a\" has the id 7, but the vocabulary says 0");
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 7, \"content\": \"x\"}, {\"id\": 7, \"content\": \"y\"}]}",
                  ":1: /added_tokens/1: the added tokens \"x\" and \"y\" have the same id 7");
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 7, \"content\": \"x\", \"special\": 1}]}",
                  ":1: /added_tokens/0/special: a number instead of true or false");
  check_long_added ();
  check_bad_json ("{" MODEL ", \"added_tokens\": [{\"id\": 1e9, \"content\": \"x\"}]}", ":1: /added_tokens/0/id: a token's id is a whole number from 0 to 4194303");
}

static void
test_bad_steps (void)
{
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Nmt\"}}",
                  ":1: /normalizer/type: the normalizer \"Nmt\" is not supported; known are Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, "
                  "Strip, StripAccents, Precompiled, ByteLevel; did you mean \"NFC\"?");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"Lowercaes\"}]}}",
                  ":1: /normalizer/normalizers/1/type: the normalizer \"Lowercaes\" is not supported; known are Sequence, Prepend, Replace, NFC, NFD, "
                  "NFKC, NFKD, Lowercase, Strip, StripAccents, Precompiled, ByteLevel; did you mean \"Lowercase\"?");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Sequence\"}}", ":1: /normalizer: a Sequence of normalizers needs the list \"normalizers\"");
  check_bad_json ("{" MODEL ", \"normalizer\": \"NFC\"}", ":1: /normalizer: a normalizer is an object with a \"type\"");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Prepend\"}}", ":1: /normalizer: needs \"prepend\", a text of at most 256 bytes");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Replace\", \"content\": \"\"}}", ":1: /normalizer: a Replace needs \"pattern\"");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"\"}}",
                  ":1: /normalizer/pattern: a pattern is {\"String\": TEXT} with a text that is not empty, or {\"Regex\": EXPRESSION}");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"[a&&b]\"}, \"content\": \"\"}}",
                  ":1: /normalizer/pattern: the expression uses && in a class, which is not supported");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"Regex\": \"(\"}, \"content\": \"\"}}",
                  ":1: /normalizer/pattern: the expression cannot be compiled: Error while compiling regular expression ‘(’ at char 1: missing terminating )");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}}",
                  ":1: /normalizer/precompiled_charsmap: the trie of the character map does not fit the map's size");
  check_bad_json ("{" MODEL ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, "
                  "\"content\": \"aaaaaaaaaa\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aaaaaaaaaa\"}]}}",
                  ":1: /normalizer: the normalizers can make a text 100 times as long; up to 64 is accepted");
  check_bad_json ("{" MODEL ", \"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}}",
                  ":1: /pre_tokenizer/type: the pre-tokenizer \"UnicodeScripts\" is not supported; known are Sequence, ByteLevel, Split, Metaspace, Digits, "
                  "Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit");
  check_bad_json ("{" MODEL ", \"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Merged\"}}",
                  ":1: /pre_tokenizer/behavior: \"Merged\" is not one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
  check_bad_json ("{" MODEL ", \"pre_tokenizer\": {\"type\": \"Split\"}}", ":1: /pre_tokenizer: a Split needs \"pattern\" and \"behavior\"");
  check_bad_json ("{" MODEL ", \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"ab\"}}", ":1: /pre_tokenizer/replacement: must be one character");
  check_bad_json ("{" MODEL ", \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"use_regex\": null, \"add_prefix_space\": 0}}",
                  ":1: /pre_tokenizer/add_prefix_space: a number instead of true or false");
  check_bad_json ("{" MODEL ", \"decoder\": {\"type\": \"CTC\"}}",
                  ":1: /decoder/type: the decoder \"CTC\" is not supported; known are Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, BPEDecoder");
  check_bad_json ("{" MODEL ", \"decoder\": {\"type\": \"Strip\", \"content\": \" \", \"start\": -1}}", ":1: /decoder/start: must be a whole number from 0 on");
}

static void
test_bad_processors (void)
{
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"Other\"}}",
                  ":1: /post_processor/type: the post-processor \"Other\" is not supported; known are Sequence, ByteLevel, TemplateProcessing, BertProcessing, "
                  "RobertaProcessing");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"TemplateProcessing\"}}", ":1: /post_processor: \"single\" must be a list");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}}",
                  ":1: /post_processor/single: a template for one text is special tokens and, once, the sequence A");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"B\"}}]}}",
                  ":1: /post_processor/single/0: a template for one text is special tokens and, once, the sequence A");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}]}}",
                  ":1: /post_processor/single/0/SpecialToken: special_tokens gives no ids for it");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\"}}], "
                  "\"special_tokens\": {\"x\": {\"ids\": [9]}}}}", ":1: /post_processor/special_tokens/x/ids/0: there is no token with the id 9");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\"]}}", ":1: /post_processor/cls: \"cls\" is [TEXT, ID]");
  check_bad_json ("{" MODEL ", \"post_processor\": {\"type\": \"BertProcessing\", \"cls\": [\"a\", 0]}}", ":1: /post_processor: \"sep\" must be a list");
}

/* ------------------------------------------------------------------ writing a SentencePiece model */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };
enum { UNIGRAM = 1, BPE_MODEL, WORD, CHAR };

static void
put_varint (GByteArray *b, guint64 v)
{
  do {
    guint8 byte = (guint8) ((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

    g_byte_array_append (b, &byte, 1);
    v >>= 7;
  } while (v > 0);
}

static void
put_number (GByteArray *b, guint field, guint64 v)
{
  put_varint (b, field << 3);
  put_varint (b, v);
}

static void
put_bytes (GByteArray *b, guint field, gconstpointer bytes, gsize n)
{
  put_varint (b, field << 3 | 2);
  put_varint (b, n);
  g_byte_array_append (b, bytes, (guint) n);
}

static void
put_piece_bytes (GByteArray *model, const char *text, gsize n, float score, guint type)
{
  g_autoptr (GByteArray) piece = g_byte_array_new ();

  put_bytes (piece, 1, text, n);
  put_varint (piece, 2 << 3 | 5);
  g_byte_array_append (piece, (const guint8 *) &score, 4);
  if (type != NORMAL)
    put_number (piece, 3, type);
  put_bytes (model, 1, piece->data, piece->len);
}

static void
put_piece (GByteArray *model, const char *text, float score, guint type)
{
  put_piece_bytes (model, text, strlen (text), score, type);
}

static void
put_trainer (GByteArray *model, guint type, gboolean byte_fallback)
{
  g_autoptr (GByteArray) spec = g_byte_array_new ();

  put_number (spec, 3, type);
  put_number (spec, 35, byte_fallback);
  put_bytes (model, 2, spec->data, spec->len);
}

static void
put_normalizer (GByteArray *model, gboolean dummy_prefix, gboolean remove_extra)
{
  g_autoptr (GByteArray) spec = g_byte_array_new ();

  put_number (spec, 3, dummy_prefix);
  put_number (spec, 4, remove_extra);
  put_bytes (model, 3, spec->data, spec->len);
}

static GByteArray *
start_model (guint type, gboolean byte_fallback)
{
  GByteArray *model = g_byte_array_new ();

  put_trainer (model, type, byte_fallback);
  put_piece (model, "<unk>", 0, UNKNOWN);
  put_piece (model, "<s>", 0, CONTROL);
  put_piece (model, "</s>", 0, CONTROL);
  return model;
}

static void
check_bad_model (GByteArray *model, gboolean add_bos, const char *expected)
{
  g_autoptr (GByteArray) owned = model;
  g_autofree char *path = write_file (model->data, model->len);
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_tokenizer_new_from_spm_file (path, add_bos, FALSE, &error));
  check_message (error, path, expected);
  g_remove (path);
}

static GByteArray *
raw (const void *bytes, gsize n)
{
  return g_byte_array_append (g_byte_array_new (), bytes, (guint) n);
}

static void
test_bad_bytes (void)
{
  check_bad_model (raw ("", 0), FALSE, ": the model has no pieces");
  check_bad_model (raw ("\x0a\x05" "abc", 5), FALSE, ": not a SentencePiece model: at byte 2: the data end inside a field");
  check_bad_model (raw ("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12), FALSE, ": not a SentencePiece model: at byte 11: the data end inside a field");
  check_bad_model (raw ("\x80", 1), FALSE, ": not a SentencePiece model: at byte 1: the data end inside a field");
  check_bad_model (raw ("\x0b", 1), FALSE, ": not a SentencePiece model: at byte 1: a field has a type that does not exist");
  check_bad_model (raw ("\x02\x00", 2), FALSE, ": not a SentencePiece model: at byte 1: a field has a number that is not allowed");
  check_bad_model (raw ("{\"a\": 1}", 8), FALSE, ": not a SentencePiece model: at byte 1: a field has a type that does not exist");
  check_bad_model (raw ("\x08\x01", 2), FALSE, ": field 1 of the model has the wrong type");
  check_bad_model (raw ("\x0a\x02\x0a\x05", 4), FALSE, ": piece 0, at byte 4: the data end inside a field");
  check_bad_model (raw ("\x0a\x02\x08\x05", 4), FALSE, ": field 1 of piece 0 has the wrong type");
  check_bad_model (raw ("\x12\x02\x1a\x00", 4), FALSE, ": field 3 of trainer_spec has the wrong type");
  check_bad_model (raw ("\x12\x05\xf2\x02\x02\xff\xfe", 7), FALSE, ": field 46 of trainer_spec is not a text in UTF-8");
}

static GByteArray *
with_piece (const char *text, gsize n, float score, guint type)
{
  GByteArray *model = start_model (BPE_MODEL, FALSE);

  put_piece_bytes (model, text, n, score, type);
  return model;
}

static void
test_bad_pieces (void)
{
  char longest[300];

  memset (longest, 'a', sizeof longest);
  check_bad_model (with_piece ("", 0, 0, NORMAL), FALSE, ": piece 3 has no text");
  check_bad_model (with_piece ("\xff", 1, 0, NORMAL), FALSE, ": piece 3 is not UTF-8");
  check_bad_model (with_piece (longest, sizeof longest, 0, NORMAL), FALSE, ": piece 3 has 300 bytes; up to 256 are accepted");
  check_bad_model (with_piece ("a", 1, NAN, NORMAL), FALSE, ": piece 3: its score is not a number");
  check_bad_model (with_piece ("a", 1, 0, 9), FALSE, ": piece 3: the type 9 does not exist");
  check_bad_model (with_piece ("<s>", 3, 0, NORMAL), FALSE, ": piece 3, \"<s>\": there is another piece with this text");
  check_bad_model (with_piece ("<u>", 3, 0, UNKNOWN), FALSE, ": piece 3, \"<u>\": there is another unknown piece");
  check_bad_model (with_piece ("<0x00>", 6, 0, BYTE), FALSE, ": piece 3, \"<0x00>\": a byte piece, but the model has no byte_fallback");
}

static void
test_bad_models (void)
{
  GByteArray *bytes = start_model (BPE_MODEL, TRUE), *strange = start_model (BPE_MODEL, TRUE), *none = g_byte_array_new (), *map = NULL, *back = NULL;

  put_piece (bytes, "<0x00>", 0, BYTE);
  check_bad_model (bytes, FALSE, ": byte_fallback needs the byte piece <0x01>");
  put_piece (strange, "\n", 0, BYTE);
  check_bad_model (strange, FALSE, ": piece 3, \"?\": a byte piece is called <0x00> ... <0xFF>");
  put_piece (none, "a", 0, NORMAL);
  check_bad_model (none, FALSE, ": no piece is of the type UNKNOWN");
  check_bad_model (start_model (WORD, FALSE), FALSE, ": models of the types WORD and CHAR are not supported; known are UNIGRAM and BPE");
  check_bad_model (start_model (CHAR, FALSE), FALSE, ": models of the types WORD and CHAR are not supported; known are UNIGRAM and BPE");
  check_bad_model (start_model (7, FALSE), FALSE, ": the model type does not exist; known are UNIGRAM and BPE");
  none = g_byte_array_new ();
  put_piece (none, "<unk>", 0, UNKNOWN);
  put_piece (none, "<s>", 0, NORMAL);
  check_bad_model (none, TRUE, ": \"<s>\" is to be put around each text, but no control piece is called that");
  map = start_model (BPE_MODEL, FALSE);
  put_bytes (map, 3, "\x12\x03" "abc", 5);
  check_bad_model (map, FALSE, ": normalizer_spec: the trie of the character map does not fit the map's size");
  back = start_model (BPE_MODEL, FALSE);
  put_bytes (back, 5, "\x12\x03" "abc", 5);
  check_bad_model (back, FALSE, ": denormalizer_spec: a character map for decoding is not supported");
}

/* A model cut anywhere is refused, or is a model with fewer pieces. */
static void
test_cut_models (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests", "data", "tokenizers", "tok512", "tokenizer.model", NULL);
  g_autofree char *bytes = NULL;
  gsize n, refused = 0;

  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  for (gsize cut = 0; cut < n; cut += 13) {
    g_autofree char *part = write_file (bytes, cut);
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoTokenizer) t = evo_tokenizer_new_from_spm_file (part, FALSE, FALSE, &error);

    refused += t == NULL;
    if (t == NULL)
      g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT);
    g_remove (part);
  }
  g_assert_cmpuint (refused, >, n / 13 - 10);
}

/* ------------------------------------------------------------------ SentencePiece models at work */

static EvoTokenizer *
good_model (GByteArray *model)
{
  g_autoptr (GByteArray) owned = model;
  g_autofree char *path = write_file (model->data, model->len);
  g_autoptr (GError) error = NULL;
  EvoTokenizer *t = evo_tokenizer_new_from_spm_file (path, FALSE, FALSE, &error);

  g_assert_no_error (error);
  g_remove (path);
  return t;
}

static void
check_ids (const EvoTokenizer *t, const char *text, const char *expected)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autoptr (GString) out = g_string_new (NULL);

  evo_tokenizer_encode (t, text, strlen (text), FALSE, ids);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (out, "%s%d", i == 0 ? "" : " ", g_array_index (ids, gint32, i));
  g_assert_cmpstr (out->str, ==, expected);
}

static void
check_text (const EvoTokenizer *t, const gint32 *ids, gsize n, gboolean skip, const char *expected)
{
  g_autoptr (GString) text = evo_tokenizer_decode (t, ids, n, skip);

  g_assert_cmpstr (text->str, ==, expected);
}

/* Pieces from id 3 on. User-defined: "<u>" stays whole and takes part in no merge. */
static void
test_user_defined (void)
{
  GByteArray *model = start_model (BPE_MODEL, FALSE);
  g_autoptr (EvoTokenizer) t = NULL;

  put_normalizer (model, FALSE, FALSE);
  put_piece (model, "<u>", 0, USER);   /* 3 */
  put_piece (model, "a", -3, NORMAL);  /* 4 */
  put_piece (model, "<", -4, NORMAL);  /* 5 */
  put_piece (model, "u", -5, NORMAL);  /* 6 */
  put_piece (model, "a<", -1, NORMAL); /* 7 */
  put_piece (model, ">", -6, NORMAL);  /* 8 */
  put_piece (model, "ua", -2, NORMAL); /* 9 */
  t = good_model (model);
  check_ids (t, "a<u>a", "4 3 4");
  check_ids (t, "a<ua", "7 9");
  check_ids (t, "<<u>>", "5 3 8");
  check_ids (t, "x<u>yz<u>", "0 3 0 3"); /* neighbouring unknown characters are one unknown token */
  check_ids (t, "<s>", "5 0 8");
}

/* UNUSED pieces are merged through, and taken apart at the end. */
static void
test_unused (void)
{
  GByteArray *model = start_model (BPE_MODEL, FALSE);
  g_autoptr (EvoTokenizer) t = NULL;

  put_normalizer (model, FALSE, FALSE);
  put_piece (model, "a", -5, NORMAL);    /* 3 */
  put_piece (model, "b", -6, NORMAL);    /* 4 */
  put_piece (model, "ab", -1, UNUSED);   /* 5 */
  put_piece (model, "abab", -2, NORMAL); /* 6 */
  put_piece (model, "aab", -3, UNUSED);  /* 7 */
  put_piece (model, "x", -7, NORMAL);    /* 8 */
  put_piece (model, "xy", -8, UNUSED);   /* 9 */
  t = good_model (model);
  check_ids (t, "ab", "3 4");
  check_ids (t, "abab", "6");
  check_ids (t, "aab", "3 3 4");
  check_ids (t, "xyb", "8 0 4"); /* "xy" is taken apart; y is no piece */
}

/* Characters without a piece of their own still merge; alone they are unknown. */
static void
test_characters_of_pieces (void)
{
  GByteArray *model = start_model (BPE_MODEL, FALSE);
  g_autoptr (EvoTokenizer) t = NULL;

  put_normalizer (model, FALSE, FALSE);
  put_piece (model, "xy", -1, NORMAL); /* 3 */
  put_piece (model, "😀z", -1, NORMAL); /* 4 */
  t = good_model (model);
  check_ids (t, "xyxy", "3 3");
  check_ids (t, "xyx", "3 0");
  check_ids (t, "😀z😀", "4 0");
  check_ids (t, "xxy", "0 3"); /* the first x is left over */
  check_ids (t, "xqxy", "0 3");
}

/* Equal scores: the leftmost pair goes first. */
static void
test_equal_scores (void)
{
  GByteArray *model = start_model (BPE_MODEL, FALSE);
  g_autoptr (EvoTokenizer) t = NULL;

  put_normalizer (model, FALSE, FALSE);
  put_piece (model, "a", -9, NORMAL);  /* 3 */
  put_piece (model, "b", -9, NORMAL);  /* 4 */
  put_piece (model, "ba", -1, NORMAL); /* 5 */
  put_piece (model, "ab", -1, NORMAL); /* 6 */
  t = good_model (model);
  check_ids (t, "aba", "6 3");
  check_ids (t, "bab", "5 4");
}

static void
test_normalizer_flags (void)
{
  GByteArray *plain = start_model (BPE_MODEL, FALSE), *all = start_model (BPE_MODEL, FALSE);
  g_autoptr (EvoTokenizer) t = NULL, u = NULL;
  static const gint32 ids[] = { 1, 3, 4, 3, 4, 0 };

  put_normalizer (plain, FALSE, FALSE);
  put_piece (plain, "▁", -1, NORMAL); /* 3 */
  put_piece (plain, "a", -2, NORMAL); /* 4 */
  t = good_model (plain);
  put_piece (all, "▁", -1, NORMAL); /* without a normalizer_spec: prefix, no extra blanks */
  put_piece (all, "a", -2, NORMAL);
  u = good_model (all);
  check_ids (t, " a  a ", "3 4 3 3 4 3");
  check_ids (t, "", "");
  check_ids (u, " a  a ", "3 4 3 4");
  check_ids (u, "   ", "");
  check_text (t, ids + 1, 4, FALSE, " a a");
  check_text (u, ids + 1, 4, FALSE, "a a");
  check_text (u, ids, 6, FALSE, "<s> a a \xe2\x81\x87 ");
  check_text (u, ids, 6, TRUE, "a a \xe2\x81\x87 ");
}

static GByteArray *
start_bytes (guint type)
{
  GByteArray *model = start_model (type, TRUE);

  put_normalizer (model, FALSE, FALSE);
  for (guint b = 0; b < 256; b++) {
    char text[8];

    g_snprintf (text, sizeof text, "<0x%02X>", b);
    put_piece (model, text, 0, BYTE); /* 3 + b */
  }
  return model;
}

/* Bytes that are UTF-8 come back; each other one is U+FFFD. */
static void
test_byte_pieces (void)
{
  GByteArray *model = start_bytes (BPE_MODEL);
  g_autoptr (EvoTokenizer) t = NULL;
  static const gint32 ids[] = { 3 + 0xe3, 3 + 0x81, 3 + 0x82, 3 + 0xe3, 3 + 0x41, 259, 3 + 0xff, 3 + 0xc3 };

  put_piece (model, "a", -1, NORMAL); /* 259 */
  t = good_model (model);
  check_ids (t, "aあ\x01", "259 230 132 133 4");
  check_ids (t, "<0x41>", "63 51 123 55 52 65");
  check_text (t, ids, G_N_ELEMENTS (ids), FALSE, "あ\xef\xbf\xbd" "Aa\xef\xbf\xbd\xef\xbf\xbd");
}

/* Scores are summed in float; user-defined pieces are weighed by their length. */
static void
test_unigram_model (void)
{
  GByteArray *model = start_model (UNIGRAM, FALSE), *fallback = start_bytes (UNIGRAM);
  g_autoptr (EvoTokenizer) t = NULL, u = NULL;

  put_normalizer (model, FALSE, FALSE);
  put_piece (model, "a", -1, NORMAL);      /* 3 */
  put_piece (model, "b", -1.5f, NORMAL);   /* 4 */
  put_piece (model, "ab", -2.4f, NORMAL);  /* 5 */
  put_piece (model, "aba", -3.6f, NORMAL); /* 6 */
  put_piece (model, "[x]", 0, USER);       /* 7 */
  put_piece (model, "ba", 5, UNUSED);      /* 8 */
  t = good_model (model);
  check_ids (t, "ab", "5");
  check_ids (t, "aba", "5 3");
  check_ids (t, "baab", "4 3 5");
  check_ids (t, "a[x]b", "3 7 4");
  check_ids (t, "axyb", "3 0 4");
  put_piece (fallback, "a", -1, NORMAL);   /* 259 */
  u = good_model (fallback);
  check_ids (u, "aé", "259 198 172");
}

/* ------------------------------------------------------------------ merges by score: against SentencePiece's definition */

typedef struct { GPtrArray *pieces; float scores[64]; } Toy; /* texts over a, b, c; id = index + 3 */

static int
toy_find (const Toy *toy, const char *text)
{
  for (guint i = 0; i < toy->pieces->len; i++)
    if (strcmp (g_ptr_array_index (toy->pieces, i), text) == 0)
      return (int) i;
  return -1;
}

static void
make_toy (Toy *toy, guint64 *state)
{
  for (guint i = 0; i < 3; i++)
    g_ptr_array_add (toy->pieces, g_strndup (&"abc"[i], 1));
  for (guint tries = 0; toy->pieces->len < 30 && tries < 500; tries++) {
    char text[8] = "";

    for (guint i = 0, n = 2 + below (state, 5); i < n; i++)
      text[i] = "abc"[below (state, 3)];
    if (toy_find (toy, text) < 0)
      g_ptr_array_add (toy->pieces, g_strdup (text));
  }
  for (guint i = 0; i < toy->pieces->len; i++)
    toy->scores[i] = -(float) below (state, 20); /* with many equal ones */
}

/* Merge the leftmost neighbours whose joint text is the piece of highest score, until there are none. */
static char *
toy_ids (const Toy *toy, const char *text)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  GString *out = g_string_new (NULL);

  for (; *text != '\0'; text++)
    g_ptr_array_add (parts, g_strndup (text, 1));
  for (;;) {
    int best = -1;
    guint at = 0;

    for (guint i = 0; i + 1 < parts->len; i++) {
      g_autofree char *both = g_strconcat (g_ptr_array_index (parts, i), g_ptr_array_index (parts, i + 1), NULL);
      int id = toy_find (toy, both);

      if (id >= 0 && (best < 0 || toy->scores[id] > toy->scores[best])) {
        best = id;
        at = i;
      }
    }
    if (best < 0)
      break;
    g_ptr_array_remove_index (parts, at + 1);
    g_free (parts->pdata[at]);
    parts->pdata[at] = g_strdup (g_ptr_array_index (toy->pieces, best));
  }
  for (guint i = 0; i < parts->len; i++)
    g_string_append_printf (out, "%s%d", i == 0 ? "" : " ", toy_find (toy, g_ptr_array_index (parts, i)) + 3);
  return g_string_free (out, FALSE);
}

static void
test_scores (void)
{
  guint64 state = 17;

  for (guint k = 0; k < 40; k++) {
    Toy toy = { .pieces = g_ptr_array_new_with_free_func (g_free) };
    GByteArray *model = start_model (BPE_MODEL, FALSE);
    g_autoptr (EvoTokenizer) t = NULL;

    make_toy (&toy, &state);
    put_normalizer (model, FALSE, FALSE);
    for (guint i = 0; i < toy.pieces->len; i++)
      put_piece (model, g_ptr_array_index (toy.pieces, i), toy.scores[i], NORMAL);
    t = good_model (model);
    for (guint j = 0; j < 60; j++) {
      guint n = 1 + below (&state, j < 30 ? 20 : 90);
      g_autofree char *text = g_malloc0 (n + 1), *expected = NULL;

      for (guint i = 0; i < n; i++)
        text[i] = "abc"[below (&state, 3)];
      expected = toy_ids (&toy, text);
      check_ids (t, text, expected);
    }
    g_ptr_array_unref (toy.pieces);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tokenizer/files/bad-json", test_bad_json);
  g_test_add_func ("/tokenizer/files/bad-merges", test_bad_merges);
  g_test_add_func ("/tokenizer/files/bad-unigram", test_bad_unigram);
  g_test_add_func ("/tokenizer/files/bad-added", test_bad_added);
  g_test_add_func ("/tokenizer/files/bad-steps", test_bad_steps);
  g_test_add_func ("/tokenizer/files/bad-processors", test_bad_processors);
  g_test_add_func ("/tokenizer/files/bad-bytes", test_bad_bytes);
  g_test_add_func ("/tokenizer/files/bad-pieces", test_bad_pieces);
  g_test_add_func ("/tokenizer/files/bad-models", test_bad_models);
  g_test_add_func ("/tokenizer/files/cut-models", test_cut_models);
  g_test_add_func ("/tokenizer/files/user-defined", test_user_defined);
  g_test_add_func ("/tokenizer/files/unused", test_unused);
  g_test_add_func ("/tokenizer/files/characters-of-pieces", test_characters_of_pieces);
  g_test_add_func ("/tokenizer/files/equal-scores", test_equal_scores);
  g_test_add_func ("/tokenizer/files/normalizer-flags", test_normalizer_flags);
  g_test_add_func ("/tokenizer/files/byte-pieces", test_byte_pieces);
  g_test_add_func ("/tokenizer/files/unigram", test_unigram_model);
  g_test_add_func ("/tokenizer/files/scores", test_scores);
  return g_test_run ();
}
