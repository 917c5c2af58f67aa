/* SPDX-License-Identifier: Apache-2.0
 * test-safetensors.c - broken files, indices and directories: each has its own sentence and code.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/store/index.h"
#include "core/store/safetensors.h"
#include "core/store/store.h"
#include "tests/store/made.h"

#define ONE(dtype, shape, begin, end) "\"w\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"
#define TWO(b1, e1, b2, e2) "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" #b1 "," #e1 "]},\"b\":{\"dtype\":\"U8\",\"shape\":[4]," \
                            "\"data_offsets\":[" #b2 "," #e2 "]}}"

typedef struct { const char *label, *header; gsize n_data; gint code; const char *message; } Broken;

enum { FORMAT = EVO_STORE_ERROR_FORMAT, CUT = EVO_STORE_ERROR_TRUNCATED, DTYPE = EVO_STORE_ERROR_DTYPE, MISSING = EVO_STORE_ERROR_MISSING,
       OPEN = EVO_STORE_ERROR_OPEN };

/* @ is the file's path */
static const Broken headers[] = {
  { "not-an-object", "[1]", 0, FORMAT, "@: is not a safetensors file: its header is not a JSON object" },
  { "leading-blank", " {}", 0, FORMAT, "@: is not a safetensors file: its header is not a JSON object" },
  { "no-header", "", 0, FORMAT, "@: is not a safetensors file: its header is not a JSON object" },
  { "not-json", "{\"w\":}", 0, FORMAT, "@ (header):1:6: ..." },
  { "cut-json", "{\"w\":{", 0, FORMAT, "@ (header):1:7: ..." },
  { "duplicate", "{" ONE ("U8", "2", 0, 2) "," ONE ("U8", "2", 0, 2) "}", 2, FORMAT, "@ (header):1:54: ..." },
  { "entry-is-number", "{\"w\":3}", 0, FORMAT, "@: tensor \"w\": is described by a number; an object is needed" },
  { "metadata-is-text", "{\"__metadata__\":\"pt\"}", 0, FORMAT, "@: \"__metadata__\" is a string; an object of strings is needed" },
  { "metadata-holds-number", "{\"__metadata__\":{\"n\":1}}", 0, FORMAT, "@: \"n\" in \"__metadata__\" is a number; a string is needed" },
  { "no-dtype", "{\"w\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2, FORMAT, "@: tensor \"w\": has no \"dtype\"; a string such as \"BF16\" is needed" },
  { "dtype-is-number", "{\"w\":{\"dtype\":8,\"shape\":[2],\"data_offsets\":[0,2]}}", 2, FORMAT,
    "@: tensor \"w\": has no \"dtype\"; a string such as \"BF16\" is needed" },
  { "unknown-dtype", "{" ONE ("C64", "2", 0, 16) "}", 16, DTYPE,
    "@: tensor \"w\": dtype \"C64\" is not known; known are F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I8 to I64, U8 to U64, BOOL" },
  { "no-shape", "{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,2]}}", 2, FORMAT, "@: tensor \"w\": has no \"shape\"; a list of whole numbers is needed" },
  { "shape-is-number", "{\"w\":{\"dtype\":\"U8\",\"shape\":2,\"data_offsets\":[0,2]}}", 2, FORMAT,
    "@: tensor \"w\": has no \"shape\"; a list of whole numbers is needed" },
  { "negative-dimension", "{" ONE ("U8", "2,-1", 0, 2) "}", 2, FORMAT,
    "@: tensor \"w\": dimension 1 is -1; a whole number from 0 on, below 2^53, is needed" },
  { "fractional-dimension", "{" ONE ("U8", "1.5", 0, 2) "}", 2, FORMAT,
    "@: tensor \"w\": dimension 0 is 1.5; a whole number from 0 on, below 2^53, is needed" },
  { "text-dimension", "{" ONE ("U8", "\"2\"", 0, 2) "}", 2, FORMAT,
    "@: tensor \"w\": dimension 0 is a string; a whole number from 0 on, below 2^53, is needed" },
  { "huge-dimension", "{" ONE ("U8", "18446744073709551615", 0, 2) "}", 2, FORMAT,
    "@: tensor \"w\": dimension 0 is 18446744073709551615; a whole number from 0 on, below 2^53, is needed" },
  { "overflow", "{" ONE ("F32", "4294967296,4294967296", 0, 0) "}", 0, FORMAT,
    "@: tensor \"w\": shape [4294967296, 4294967296] is more than can be counted" },
  { "overflow-in-bytes", "{" ONE ("F64", "2147483648,2147483648", 0, 0) "}", 0, FORMAT,
    "@: tensor \"w\": shape [2147483648, 2147483648] is more than can be counted" },
  { "overflow-before-zero", "{" ONE ("U8", "4294967296,4294967296,0", 0, 0) "}", 0, FORMAT,
    "@: tensor \"w\": shape [4294967296, 4294967296, 0] is more than can be counted" },
  { "nine-dimensions", "{" ONE ("U8", "1,1,1,1,1,1,1,1,1", 0, 1) "}", 1, FORMAT, "@: tensor \"w\": has 9 dimensions; at most 8 are allowed" },
  { "no-offsets", "{\"w\":{\"dtype\":\"U8\",\"shape\":[2]}}", 2, FORMAT,
    "@: tensor \"w\": has no \"data_offsets\"; a list of two whole numbers is needed" },
  { "three-offsets", "{\"w\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1,2]}}", 2, FORMAT,
    "@: tensor \"w\": has no \"data_offsets\"; a list of two whole numbers is needed" },
  { "negative-offset", "{" ONE ("U8", "2", -2, 0) "}", 2, FORMAT,
    "@: tensor \"w\": data offset 0 is -2; a whole number from 0 on, below 2^53, is needed" },
  { "huge-offset", "{" ONE ("U8", "2", 0, 9007199254740992) "}", 2, FORMAT,
    "@: tensor \"w\": data offset 1 is 9007199254740992; a whole number from 0 on, below 2^53, is needed" },
  { "backwards", "{" ONE ("U8", "2", 2, 0) "}", 2, FORMAT, "@: tensor \"w\": ends at byte 0, before its begin at byte 2" },
  { "lying-shape", "{" ONE ("F16", "3", 0, 4) "}", 4, FORMAT, "@: tensor \"w\": has 4 bytes; F16 of shape [3] needs 6" },
  { "lying-offsets", "{" ONE ("F16", "2", 0, 6) "}", 6, FORMAT, "@: tensor \"w\": has 6 bytes; F16 of shape [2] needs 4" },
  { "overlap", TWO (0, 4, 2, 6), 6, FORMAT, "@: tensor \"b\": begins at byte 2 and overlaps tensor \"a\", which ends at byte 4" },
  { "same-place", TWO (0, 4, 0, 4), 4, FORMAT, "@: tensor \"b\": begins at byte 0 and overlaps tensor \"a\", which ends at byte 4" },
  { "hole", TWO (0, 4, 5, 9), 9, FORMAT, "@: tensor \"b\": begins at byte 5 and leaves a hole: byte 4 is expected" },
  { "hole-at-begin", "{" ONE ("U8", "2", 2, 4) "}", 4, FORMAT, "@: tensor \"w\": begins at byte 2 and leaves a hole: byte 0 is expected" },
  { "truncated", TWO (0, 4, 4, 8), 7, CUT, "@: is cut off: its tensors need 8 bytes, 7 are there; copy or download it again" },
  { "no-data", TWO (0, 4, 4, 8), 0, CUT, "@: is cut off: its tensors need 8 bytes, 0 are there; copy or download it again" },
  { "trailing", TWO (4, 8, 0, 4), 9, FORMAT, "@: has 1 bytes after its last tensor; it must end there" },
  { "control-characters", "{\"a\\u001b[1m\\nb\":3}", 0, FORMAT, "@: tensor \"a\\u001b[1m\\nb\": is described by a number; an object is needed" },
};

static void
check_error (const char *what, const char *at, GError *error, gint code, const char *message)
{
  g_autofree char *want = made_text (message, at);

  g_assert_nonnull (error);
  if (g_test_verbose ())
    g_test_message ("%s: %s", what, error->message);
  if (g_str_has_suffix (want, "...")) { /* what follows is the JSON reader's sentence, and has its own test */
    want[strlen (want) - 3] = '\0';
    g_assert_true (g_str_has_prefix (error->message, want));
  } else {
    g_assert_cmpstr (error->message, ==, want);
  }
  g_assert_error (error, EVO_STORE_ERROR, code);
  g_assert_null (strchr (error->message, '\n'));
  g_assert_cmpint (evo_error_exit_code (error), ==, 4);
}

static void
test_header (gconstpointer data)
{
  const Broken *b = data;
  g_autofree char *folder = made_folder (), *path = g_build_filename (folder, "w.safetensors", NULL);
  g_autoptr (GError) error = NULL;

  made_tensors (folder, "w.safetensors", b->header, b->n_data);
  g_assert_null (evo_store_open (path, &error));
  check_error (b->label, path, error, b->code, b->message);
  made_remove (folder);
}

/* ------------------------------------------------------------------ files that are something else */

typedef struct { const char *label, *bytes; gsize n; gint code; const char *message; } Foreign;

static const Foreign foreign[] = {
  { "empty", "", 0, CUT, "@: is empty; a safetensors file is expected" },
  { "seven-bytes", "\2\0\0\0\0\0\0", 7, CUT, "@: is cut off: it has 7 bytes, the length of its header alone takes 8" },
  { "cut-header", "\100\0\0\0\0\0\0\0{\"w\":", 13, CUT, "@: is cut off: its header needs 64 bytes, 5 are there; copy or download it again" },
  { "length-2^63", "\0\0\0\0\0\0\0\200{}", 10, FORMAT,
    "@: is not a safetensors file: its header would have 9223372036854775808 bytes, at most 100000000 are allowed" },
  { "length-2^64-1", "\377\377\377\377\377\377\377\377{}", 10, FORMAT,
    "@: is not a safetensors file: its header would have 18446744073709551615 bytes, at most 100000000 are allowed" },
  { "lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", 63, FORMAT,
    "@: is a Git LFS pointer, not the file itself; `git lfs pull` fetches that" },
  { "zip", "PK\3\4\0\0\0\0\10\10", 10, FORMAT, "@: is a PyTorch archive, which may run code when read; convert it to safetensors" },
  { "gguf", "GGUF\3\0\0\0\0\0", 10, FORMAT, "@: is a GGUF file; a safetensors file is expected" },
};

static void
test_foreign (gconstpointer data)
{
  const Foreign *f = data;
  g_autofree char *folder = made_folder (), *path = g_build_filename (folder, "w.safetensors", NULL);
  g_autoptr (GError) error = NULL;

  made_file (folder, "w.safetensors", f->bytes, (gssize) f->n);
  g_assert_null (evo_store_open (path, &error));
  check_error (f->label, path, error, f->code, f->message);
  made_remove (folder);
}

/* A header of a valid length, cut at every byte. */
static void
test_every_cut (void)
{
  g_autoptr (GString) bytes = made_bytes (TWO (0, 4, 4, 8), 8);

  for (gsize n = 0; n < bytes->len; n++) {
    g_autoptr (GError) error = NULL;
    g_autofree guint8 *exact = g_memdup2 (bytes->str, n); /* a read past the end is for AddressSanitizer to see */

    g_assert_null (evo_safetensors_parse (exact, n, "cut", &error));
    g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_TRUNCATED);
  }
}

/* Any one byte of the header changed: an error or a header whose tensors lie inside the file, never anything else. */
static void
test_every_byte (void)
{
  g_autoptr (GString) bytes = made_bytes ("{\"__metadata__\":{\"format\":\"pt\"}," ONE ("F16", "2,1", 0, 4) "}", 4);
  guint n_bad = 0;

  for (gsize i = 0; i + 4 < bytes->len; i++)
    for (guint v = 0; v < 256; v++) {
      g_autofree char *changed = g_memdup2 (bytes->str, bytes->len);
      g_autoptr (GError) error = NULL;
      g_autoptr (EvoHeader) h = NULL;

      changed[i] = (char) v;
      h = evo_safetensors_parse ((const guint8 *) changed, bytes->len, "changed", &error);
      g_assert_true ((h == NULL) == (error != NULL));
      n_bad += h == NULL;
      for (guint t = 0; h != NULL && t < h->n; t++) {
        g_assert_cmpuint (h->entries[t].begin, <=, h->entries[t].end);
        g_assert_cmpuint (h->entries[t].end, <=, bytes->len);
        g_assert_cmpuint (evo_shape_bytes (&h->entries[t].shape), ==, h->entries[t].end - h->entries[t].begin);
      }
    }
  g_assert_cmpuint (n_bad, >, 1000);
}

static void
test_quote (void)
{
  g_autofree char *plain = evo_quote_name ("model.norm.weight"), *broken = evo_quote_name ("a\"\n\xff"), *long_name = g_strnfill (5000, 'x'),
                  *cut = evo_quote_name (long_name);

  g_assert_cmpstr (plain, ==, "\"model.norm.weight\"");
  g_assert_cmpstr (broken, ==, "\"a\\\"\\n\xef\xbf\xbd\"");
  g_assert_cmpuint (strlen (cut), ==, 105);
  g_assert_true (g_str_has_suffix (cut, "...\""));
}

/* ------------------------------------------------------------------ indices: two shards, a.safetensors with x and y, b.safetensors with z */

#define MAP(entries) "{\"metadata\":{},\n\"weight_map\":{" entries "}}"

static const Broken indices[] = {
  { "not-json", "{\"weight_map\":", 0, FORMAT, "@/model.safetensors.index.json:1:15: ..." },
  { "no-map", "{\"weights\":{}}", 0, FORMAT, "@/model.safetensors.index.json: has no \"weight_map\"; an object of tensor names and their files is needed" },
  { "list", "[]", 0, FORMAT, "@/model.safetensors.index.json: has no \"weight_map\"; an object of tensor names and their files is needed" },
  { "empty-map", MAP (""), 0, FORMAT, "@/model.safetensors.index.json: has no \"weight_map\"; an object of tensor names and their files is needed" },
  { "map-is-text", "{\"weight_map\":\"x\"}", 0, FORMAT,
    "@/model.safetensors.index.json: has no \"weight_map\"; an object of tensor names and their files is needed" },
  { "number", MAP ("\"x\":7"), 0, FORMAT, "@/model.safetensors.index.json:2: /weight_map/x: is a number; the name of a file is needed" },
  { "up", MAP ("\"x\":\"../a.safetensors\""), 0, FORMAT,
    "@/model.safetensors.index.json:2: /weight_map/x: \"../a.safetensors\" is not the plain name of a file beside the index" },
  { "absolute", MAP ("\"x\":\"/etc/passwd\""), 0, FORMAT,
    "@/model.safetensors.index.json:2: /weight_map/x: \"/etc/passwd\" is not the plain name of a file beside the index" },
  { "dots", MAP ("\"x\":\"..\""), 0, FORMAT, "@/model.safetensors.index.json:2: /weight_map/x: \"..\" is not the plain name of a file beside the index" },
  { "no-name", MAP ("\"x\":\"\""), 0, FORMAT, "@/model.safetensors.index.json:2: /weight_map/x: \"\" is not the plain name of a file beside the index" },
  { "missing-shard", MAP ("\"x\":\"a.safetensors\",\"z\":\"c.safetensors\""), 0, MISSING,
    "@/model.safetensors.index.json:2: /weight_map/z: the file \"c.safetensors\" is not there; copy or download it" },
  { "missing-tensor", MAP ("\"x\":\"a.safetensors\",\n\"y\":\"a.safetensors\",\n\"z\":\"b.safetensors\",\n\"q\":\"b.safetensors\""), 0, MISSING,
    "@/model.safetensors.index.json:5: there is no tensor \"q\" in b.safetensors" },
  { "other-shard", MAP ("\"x\":\"a.safetensors\",\"y\":\"b.safetensors\",\"z\":\"b.safetensors\""), 0, MISSING,
    "@/model.safetensors.index.json:2: there is no tensor \"y\" in b.safetensors" },
  { "unlisted", MAP ("\"x\":\"a.safetensors\",\"z\":\"b.safetensors\""), 0, FORMAT,
    "@/model.safetensors.index.json: does not list tensor \"y\" of a.safetensors; it must list every tensor" },
};

static void
make_shards (const char *folder)
{
  made_tensors (folder, "a.safetensors", "{\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                "\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}", 6);
  made_tensors (folder, "b.safetensors", "{\"z\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}", 3);
}

static void
test_index (gconstpointer data)
{
  const Broken *b = data;
  g_autofree char *folder = made_folder ();
  g_autoptr (GError) error = NULL;

  make_shards (folder);
  made_file (folder, "model.safetensors.index.json", b->header, -1);
  g_assert_null (evo_store_open (folder, &error));
  check_error (b->label, folder, error, b->code, b->message);
  made_remove (folder);
}

/* A tensor in two shards, of which the index can name but one. */
static void
test_index_twice (void)
{
  g_autofree char *folder = made_folder ();
  g_autoptr (GError) error = NULL;

  make_shards (folder);
  made_tensors (folder, "b.safetensors", "{\"x\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]},"
                "\"z\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[3,6]}}", 6);
  made_file (folder, "model.safetensors.index.json",
             MAP ("\"x\":\"a.safetensors\",\"y\":\"a.safetensors\",\"z\":\"b.safetensors\""), -1);
  g_assert_null (evo_store_open (folder, &error));
  check_error ("twice", folder, error, FORMAT,
               "@/model.safetensors.index.json: tensor \"x\" is in a.safetensors and again in b.safetensors; one must go");
  made_remove (folder);
}

/* ------------------------------------------------------------------ directories */

static void
expect_folder_error (const char *folder, const char *path, gint code, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_store_open (path, &error));
  check_error (path, folder, error, code, message);
}

static void
test_folders (void)
{
  g_autofree char *folder = made_folder (), *none = g_build_filename (folder, "none", NULL), *pipe = g_build_filename (folder, "pipe", NULL),
                  *sub = g_build_filename (folder, "sub.safetensors", NULL), *dangling = g_build_filename (folder, "model.safetensors", NULL);

  expect_folder_error (folder, none, OPEN, "@/none: cannot be opened: No such file or directory");
  expect_folder_error (folder, folder, OPEN, "@: holds no *.safetensors file; the directory of a Hugging Face model is expected");
  made_file (folder, "pytorch_model-00001-of-00002.bin", "PK", 2);
  expect_folder_error (folder, folder, FORMAT,
                       "@: has its weights as pickles (*.bin, *.pt, *.pth), which may run code when read; convert them to safetensors");
  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  expect_folder_error (folder, pipe, OPEN, "@/pipe: is not a regular file");
  g_assert_cmpint (mkdir (sub, 0700), ==, 0);
  expect_folder_error (folder, folder, OPEN, "@/sub.safetensors: is not a regular file");
  g_assert_cmpint (symlink ("nowhere", dangling), ==, 0);
  expect_folder_error (folder, folder, OPEN, "@/model.safetensors: cannot be opened: No such file or directory");
  made_remove (folder);
}

static void
test_without_index (void)
{
  g_autofree char *folder = made_folder ();

  make_shards (folder);
  made_tensors (folder, "c.safetensors", "{\"x\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2);
  expect_folder_error (folder, folder, FORMAT, "@/c.safetensors: tensor \"x\" is in @/a.safetensors as well; one must go");
  made_remove (folder);
}

static void
test_missing_sibling (void)
{
  g_autofree char *folder = made_folder ();

  made_tensors (folder, "model-00001-of-00003.safetensors", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
  made_tensors (folder, "model-00003-of-00003.safetensors", "{\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1);
  expect_folder_error (folder, folder, MISSING, "@: there is no model-00002-of-00003.safetensors; copy or download it");
  made_remove (folder);
}

static void
test_config (void)
{
  g_autofree char *folder = made_folder ();

  make_shards (folder);
  made_file (folder, "config.json", "{\n  \"a\": 1,\n  \"a\": 2\n}\n", -1);
  expect_folder_error (folder, folder, FORMAT, "@/config.json:3:3: ...");
  made_file (folder, "config.json", "\n[]", -1);
  expect_folder_error (folder, folder, FORMAT, "@/config.json:2: is a list; an object is needed");
  made_remove (folder);
}

static void
add_broken (const char *group, const Broken *b, GTestDataFunc func)
{
  g_autofree char *path = g_strdup_printf ("/store/%s/%s", group, b->label);

  g_test_add_data_func (path, b, func);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++)
    add_broken ("header", &headers[i], test_header);
  for (guint i = 0; i < G_N_ELEMENTS (foreign); i++) {
    g_autofree char *path = g_strdup_printf ("/store/foreign/%s", foreign[i].label);

    g_test_add_data_func (path, &foreign[i], test_foreign);
  }
  for (guint i = 0; i < G_N_ELEMENTS (indices); i++)
    add_broken ("index", &indices[i], test_index);
  g_test_add_func ("/store/header/every-cut", test_every_cut);
  g_test_add_func ("/store/header/every-byte", test_every_byte);
  g_test_add_func ("/store/header/quote", test_quote);
  g_test_add_func ("/store/index/twice", test_index_twice);
  g_test_add_func ("/store/folder/kinds", test_folders);
  g_test_add_func ("/store/folder/duplicate", test_without_index);
  g_test_add_func ("/store/folder/missing-sibling", test_missing_sibling);
  g_test_add_func ("/store/folder/config", test_config);
  return g_test_run ();
}
