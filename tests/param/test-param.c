/* SPDX-License-Identifier: Apache-2.0
 * test-param.c - what binds, what is refused and with which words; and which declarations are.
 */
#include <string.h>

#include "core/param/param.h"

typedef struct {
  gboolean flag;
  guint32 mode;
  double share, free, low, high;
  gint64 count, any_count;
  const char *word, *file;
  EvoStrings words;
  EvoNumbers numbers, shares;
} Params;

static const EvoParam table[] = {
  EVO_BOOL (Params, flag, TRUE, "A flag."),
  EVO_CHOICE (Params, mode, 1, "A choice.", "density", "l1", "none"),
  EVO_NUMBER (Params, share, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0.1, 0.9), "A number."),
  EVO_NUMBER (Params, free, -2, EVO_ANY, EVO_NO_SEARCH, "Any number."),
  EVO_NUMBER (Params, low, 1, EVO_LIMITS (0, HUGE_VAL), EVO_NO_SEARCH, "From a limit."),
  EVO_NUMBER (Params, high, 0, EVO_LIMITS (-HUGE_VAL, 0.25), EVO_NO_SEARCH, "Up to a limit."),
  EVO_INTEGER (Params, count, 16, EVO_LIMITS (1, 64), "A whole number."),
  EVO_INTEGER (Params, any_count, 0, EVO_ANY, "Any whole number."),
  EVO_STRING (Params, word, "hello", "A text."),
  EVO_FILE (Params, file, EVO_PARAM_REQUIRED, "A file."),
  EVO_STRINGS (Params, words, "Texts."),
  EVO_NUMBERS (Params, numbers, "Numbers."),
  EVO_PARAM_ (Params, shares, EVO_LIMITS (0, 1), .doc = "Numbers between limits."),
  EVO_PARAMS_END
};

/* {"NAME": VALUE} in line 2 of x.json, bound. */
static gboolean
bind (const char *name, const char *value, Params *out, GPtrArray *arena, GError **error)
{
  g_autofree char *text = g_strdup_printf ("{\n\"%s\": %s}", name, value);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, -1, "x.json", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, error);

  g_assert_nonnull (doc);
  return evo_param_bind (evo_param_find (table, name), out, evo_json_at (evo_json_root (doc), 0), "/pipelines/a", arena, error);
}

static void
test_table (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_param_table_check (table, sizeof (Params), &error));
  g_assert_no_error (error);
  g_assert_true (evo_param_table_check (NULL, 0, &error));
  g_assert_cmpuint (evo_param_count (table), ==, 13);
  g_assert_cmpuint (evo_param_count (NULL), ==, 0);
  g_assert_true (evo_param_find (table, "share") == &table[2]);
  g_assert_null (evo_param_find (table, "shar"));
  g_assert_null (evo_param_find (NULL, "share"));
}

static void
test_defaults (void)
{
  Params p;

  memset (&p, 0xa5, sizeof p);
  evo_param_set_defaults (table, &p);
  g_assert_true (p.flag && p.mode == 1 && p.share == 0.5 && p.free == -2 && p.low == 1 && p.high == 0 && p.count == 16 && p.any_count == 0);
  g_assert_cmpstr (p.word, ==, "hello");
  g_assert_true (p.file == NULL && p.words.items == NULL && p.words.n == 0 && p.numbers.items == NULL && p.numbers.n == 0);
}

static void
test_scalars (void)
{
  static const double values[] = { 0, 2, 0.25, -1e300, 7, 0.125, 64, -9007199254740991.0 };
  Params p;

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_assert_true (evo_param_is_numeric (&table[i]));
    evo_param_set_scalar (&table[i], &p, values[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (values); i++)
    g_assert_cmpfloat (evo_param_get_scalar (&table[i], &p), ==, values[i]);
  g_assert_true (!p.flag && p.mode == 2 && p.share == 0.25 && p.count == 64 && p.any_count == G_GINT64_CONSTANT (-9007199254740991));
  for (guint i = G_N_ELEMENTS (values); table[i].name != NULL; i++)
    g_assert_false (evo_param_is_numeric (&table[i]));
}

static void
test_bind (void)
{
  static const struct { const char *name, *value; } rows[] = {
    { "flag", "false" }, { "mode", "\"none\"" }, { "share", "1" }, { "free", "-1e300" }, { "low", "0" }, { "high", "0.25" }, { "count", "64" },
    { "any_count", "-9007199254740991" }, { "word", "\"\\u00e9\"" }, { "file", "\"../b/c.txt\"" }, { "words", "[\"x\", \"\"]" },
    { "numbers", "[1, -2.5]" }, { "shares", "[]" },
  };
  g_autoptr (GPtrArray) arena = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  Params p;

  evo_param_set_defaults (table, &p);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_assert_true (bind (rows[i].name, rows[i].value, &p, arena, &error));
    g_assert_no_error (error);
  }
  g_assert_true (!p.flag && p.mode == 2 && p.share == 1 && p.free == -1e300 && p.low == 0 && p.high == 0.25 && p.count == 64);
  g_assert_cmpint (p.any_count, ==, G_GINT64_CONSTANT (-9007199254740991));
  g_assert_cmpstr (p.word, ==, "é");
  g_assert_cmpstr (p.file, ==, "/pipelines/b/c.txt");
  g_assert_cmpuint (p.words.n, ==, 2);
  g_assert_cmpstr (p.words.items[0], ==, "x");
  g_assert_cmpstr (p.words.items[1], ==, "");
  g_assert_true (p.numbers.n == 2 && p.numbers.items[0] == 1 && p.numbers.items[1] == -2.5 && p.shares.n == 0);
  g_assert_true (bind ("file", "\"/abs/./x\"", &p, arena, &error));
  g_assert_cmpstr (p.file, ==, "/abs/x");
}

/* A folder that is not absolute starts from the current one. */
static void
test_file_folder (void)
{
  g_autoptr (GPtrArray) arena = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse ("\"d/x\"", -1, "x.json", EVO_GRAPH_ERROR, 0, NULL);
  g_autofree char *here = g_get_current_dir (), *in_a = g_build_filename (here, "a/d/x", NULL), *in_here = g_build_filename (here, "d/x", NULL);
  const EvoParam *file = evo_param_find (table, "file");
  Params p;

  g_assert_true (evo_param_bind (file, &p, evo_json_root (doc), "a/b/..", arena, NULL));
  g_assert_cmpstr (p.file, ==, in_a);
  g_assert_true (evo_param_bind (file, &p, evo_json_root (doc), NULL, arena, NULL));
  g_assert_cmpstr (p.file, ==, in_here);
}

static const struct { const char *name, *value; gint code; const char *message; } refused[] = {
  { "share", "1.4", EVO_PARAM_ERROR_RANGE, "x.json:2: /share: 1.4 is outside 0 ... 1" },
  { "share", "-1e-300", EVO_PARAM_ERROR_RANGE, "x.json:2: /share: -1e-300 is outside 0 ... 1" },
  { "share", "\"0.5\"", EVO_PARAM_ERROR_TYPE, "x.json:2: /share: needs a number, not a string" },
  { "share", "true", EVO_PARAM_ERROR_TYPE, "x.json:2: /share: needs a number, not a boolean" },
  { "share", "null", EVO_PARAM_ERROR_TYPE, "x.json:2: /share: needs a number, not null" },
  { "share", "[0.5]", EVO_PARAM_ERROR_TYPE, "x.json:2: /share: needs a number, not a list" },
  { "share", "{}", EVO_PARAM_ERROR_TYPE, "x.json:2: /share: needs a number, not an object" },
  { "low", "-1", EVO_PARAM_ERROR_RANGE, "x.json:2: /low: -1 is too small: at least 0" },
  { "high", "0.5", EVO_PARAM_ERROR_RANGE, "x.json:2: /high: 0.5 is too large: at most 0.25" },
  { "flag", "1", EVO_PARAM_ERROR_TYPE, "x.json:2: /flag: needs true or false, not a number" },
  { "flag", "\"true\"", EVO_PARAM_ERROR_TYPE, "x.json:2: /flag: needs true or false, not a string" },
  { "mode", "\"non\"", EVO_PARAM_ERROR_RANGE, "x.json:2: /mode: \"non\" is none of density, l1, none; did you mean \"none\"?" },
  { "mode", "\"sideways\"", EVO_PARAM_ERROR_RANGE, "x.json:2: /mode: \"sideways\" is none of density, l1, none" },
  { "mode", "\"a\\nb\"", EVO_PARAM_ERROR_RANGE, "x.json:2: /mode: \"a\\nb\" is none of density, l1, none" },
  { "mode", "1", EVO_PARAM_ERROR_TYPE, "x.json:2: /mode: needs one of density, l1, none, not a number" },
  { "count", "1.5", EVO_PARAM_ERROR_TYPE, "x.json:2: /count: 1.5 is not a whole number" },
  { "count", "0", EVO_PARAM_ERROR_RANGE, "x.json:2: /count: 0 is outside 1 ... 64" },
  { "count", "\"3\"", EVO_PARAM_ERROR_TYPE, "x.json:2: /count: needs a whole number, not a string" },
  { "any_count", "9007199254740992", EVO_PARAM_ERROR_RANGE,
    "x.json:2: /any_count: 9007199254740992 is too large: whole numbers end at 9007199254740991" },
  { "any_count", "-1e20", EVO_PARAM_ERROR_RANGE, "x.json:2: /any_count: -1e+20 is too small: whole numbers start at -9007199254740991" },
  { "word", "3", EVO_PARAM_ERROR_TYPE, "x.json:2: /word: needs a string, not a number" },
  { "word", "null", EVO_PARAM_ERROR_TYPE, "x.json:2: /word: needs a string, not null" },
  { "file", "[]", EVO_PARAM_ERROR_TYPE, "x.json:2: /file: needs the name of a file, not a list" },
  { "file", "\"\"", EVO_PARAM_ERROR_RANGE, "x.json:2: /file: needs the name of a file, not an empty string" },
  { "words", "\"x\"", EVO_PARAM_ERROR_TYPE, "x.json:2: /words: needs a list of strings, not a string" },
  { "words", "[\"x\",\n 3]", EVO_PARAM_ERROR_TYPE, "x.json:3: /words/1: needs a string, not a number" },
  { "numbers", "\"1\"", EVO_PARAM_ERROR_TYPE, "x.json:2: /numbers: needs a number or a list of numbers, not a string" },
  { "numbers", "[1, \"2\"]", EVO_PARAM_ERROR_TYPE, "x.json:2: /numbers/1: needs a number, not a string" },
  { "shares", "[0, 1, 2]", EVO_PARAM_ERROR_RANGE, "x.json:2: /shares/2: 2 is outside 0 ... 1" },
};

/* The message, and the struct as it was. */
static void
test_refused (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autoptr (GPtrArray) arena = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (GError) error = NULL;
    Params p, before;

    memset (&p, 0x5a, sizeof p);
    before = p;
    g_assert_false (bind (refused[i].name, refused[i].value, &p, arena, &error));
    g_assert_error (error, EVO_PARAM_ERROR, refused[i].code);
    g_assert_cmpstr (error->message, ==, refused[i].message);
    g_assert_cmpmem (&p, sizeof p, &before, sizeof p);
  }
}

/* A search makes scalars of its own; there may be no JSON behind them. */
static void
test_check_scalar (void)
{
  static const struct { const char *name; double x; const char *message; } rows[] = {
    { "flag", 1, NULL }, { "flag", 0.5, "flag: 0.5 is neither 0 nor 1, false nor true" }, { "mode", 2, NULL },
    { "mode", 3, "mode: 3 is no index of a choice" }, { "mode", -1, "mode: -1 is no index of a choice" },
    { "mode", 0.5, "mode: 0.5 is no index of a choice" }, { "share", 0, NULL }, { "share", 1.5, "share: 1.5 is outside 0 ... 1" },
    { "share", NAN, "share: nan is outside 0 ... 1" }, { "free", NAN, "free: nan is not a number" }, { "count", 64, NULL },
    { "count", NAN, "count: nan is not a whole number" }, { "any_count", HUGE_VAL, "any_count: inf is too large: whole numbers end at 9007199254740991" },
    { "low", 1e308, NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_true (evo_param_check_scalar (evo_param_find (table, rows[i].name), rows[i].x, NULL, &error) == (rows[i].message == NULL));
    g_assert_cmpstr (error == NULL ? NULL : error->message, ==, rows[i].message);
  }
}

static void
test_texts (void)
{
  static const struct { const char *name, *type, *range, *def; } rows[] = {
    { "flag", "boolean", "true or false", "true" }, { "mode", "choice", "one of density, l1, none", "l1" },
    { "share", "number", "0 ... 1", "0.5" }, { "free", "number", "any number", "-2" }, { "low", "number", "at least 0", "1" },
    { "high", "number", "at most 0.25", "0" }, { "count", "integer", "1 ... 64", "16" }, { "any_count", "integer", "any whole number", "0" },
    { "word", "string", "any text", "hello" }, { "file", "file", "a file", "none" }, { "words", "strings", "a list of texts", "none" },
    { "numbers", "numbers", "a number or a list of them", "none" }, { "shares", "numbers", "a number or a list of them, each 0 ... 1", "none" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const EvoParam *p = evo_param_find (table, rows[i].name);
    g_autofree char *range = evo_param_range_text (p), *def = evo_param_default_text (p);

    g_assert_cmpstr (evo_param_type_name (p->type), ==, rows[i].type);
    g_assert_cmpstr (range, ==, rows[i].range);
    g_assert_cmpstr (def, ==, rows[i].def);
  }
}

/* ------------------------------------------------------------------ declarations */

typedef struct { double a; gint64 n; guint32 c; gboolean b; const char *s; EvoNumbers l; } Small;

static const char *const two_names[] = { "x", "y", NULL }, *const twice_named[] = { "x", "y", "x", NULL }, *const no_names[] = { NULL };
static const char *const empty_name[] = { "x", "", NULL };

#define A(...) { .name = "a", .type = EVO_TYPE_NUMBER, .doc = "x", .min = 0, .max = 1, .def = 0.5, __VA_ARGS__ }
#define N(...) { .name = "n", .type = EVO_TYPE_INTEGER, .offset = offsetof (Small, n), .doc = "x", .min = 0, .max = 9, __VA_ARGS__ }
#define C(...) { .name = "c", .type = EVO_TYPE_CHOICE, .offset = offsetof (Small, c), .doc = "x", .max = 1e9, .names = two_names, __VA_ARGS__ }
#define B(...) { .name = "b", .type = EVO_TYPE_BOOL, .offset = offsetof (Small, b), .doc = "x", .max = 1, __VA_ARGS__ }
#define S(...) { .name = "s", .type = EVO_TYPE_STRING, .offset = offsetof (Small, s), .doc = "x", __VA_ARGS__ }
#define L(...) { .name = "l", .type = EVO_TYPE_NUMBERS, .offset = offsetof (Small, l), .doc = "x", .max = 1, __VA_ARGS__ }
#define TUNED(low, high) .flags = EVO_PARAM_TUNABLE, .search_low = (low), .search_high = (high)
#define LONG "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* rows differ from a good declaration in one member */
static const struct { EvoParam p[3]; const char *message; } declarations[] = {
  { { A (), N (), { 0 } }, NULL },
  { { A (.def = 7, .flags = EVO_PARAM_REQUIRED), { 0 } }, NULL },
  { { A (TUNED (0, 1)), B (), { 0 } }, NULL },
  { { C (.def = 1), S (.def_string = "é"), { 0 } }, NULL },
  { { A (EVO_ANY, .def = HUGE_VAL), L (), { 0 } }, NULL },
  { { { .name = NULL, .type = EVO_TYPE_NUMBER } }, "parameter 1: it has no name" },
  { { A (), N (.name = NULL) }, "parameter 2: it has no name" },
  { { A (.name = "") }, "parameter 1: \"\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "topK") }, "parameter 1: \"topK\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "top-k") }, "parameter 1: \"top-k\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "top__k") }, "parameter 1: \"top__k\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "k_") }, "parameter 1: \"k_\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "1k") }, "parameter 1: \"1k\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = "a\n\xff") }, "parameter 1: \"a\\n\\377\" is not snake_case: small letters, digits, single underscores between them" },
  { { A (.name = LONG) }, "parameter 1: its name is longer than 64 bytes" },
  { { A (.name = "use") }, "parameter use: this name is the pipeline's own; choose another" },
  { { A (.name = "in") }, "parameter in: this name is the pipeline's own; choose another" },
  { { A (.name = "base") }, "parameter base: this name is the pipeline's own; choose another" },
  { { A (.name = "seed") }, "parameter seed: this name is the pipeline's own; choose another" },
  { { A (.name = "dtype") }, "parameter dtype: this name is the pipeline's own; choose another" },
  { { A (), N (.name = "note") }, "parameter note: this name is the pipeline's own; choose another" },
  { { A (), N (.name = "a") }, "parameter a: it is declared twice" },
  { { A (.doc = NULL) }, "parameter a: it has no doc; one sentence says what it does" },
  { { A (.doc = "") }, "parameter a: it has no doc; one sentence says what it does" },
  { { A (.doc = "\xff") }, "parameter a: its doc is not UTF-8" },
  { { A (.type = 0) }, "parameter a: 0 is no type of parameter" },
  { { A (.type = 9) }, "parameter a: 9 is no type of parameter" },
  { { A (.type = G_MAXUINT32) }, "parameter a: 4294967295 is no type of parameter" },
  { { A (.offset = 48) }, "parameter a: its member (8 bytes at 48) ends outside its struct of 48 bytes" },
  { { A (.offset = 44) }, "parameter a: its member (8 bytes at 44) ends outside its struct of 48 bytes" },
  { { A (.offset = 4294967288u) }, "parameter a: its member (8 bytes at 4294967288) ends outside its struct of 48 bytes" },
  { { L (.offset = 40) }, "parameter l: its member (16 bytes at 40) ends outside its struct of 48 bytes" },
  { { A (.offset = 4) }, "parameter a: its member at 4 is not aligned to 8 bytes" },
  { { C (.offset = 18) }, "parameter c: its member at 18 is not aligned to 4 bytes" },
  { { A (), N (.offset = 0) }, "parameter n: its member overlaps that of a" },
  { { L (.offset = 0), N () }, "parameter n: its member overlaps that of l" },
  { { A (.flags = 10) }, "parameter a: 0xa are no flags of a parameter" },
  { { A (.flags = EVO_PARAM_TENSORS) }, "parameter a: only a file holds tensors, not a parameter of type number" },
  { { A (.min = NAN) }, "parameter a: one of its limits is not a number" },
  { { L (.max = NAN) }, "parameter l: one of its limits is not a number" },
  { { A (.min = 2) }, "parameter a: its limits 2 ... 1 are reversed" },
  { { N (.min = 10) }, "parameter n: its limits 10 ... 9 are reversed" },
  { { A (.def = 1.5) }, "parameter a: its default 1.5 is outside its limits (0 ... 1)" },
  { { A (.def = NAN) }, "parameter a: its default nan is outside its limits (0 ... 1)" },
  { { A (EVO_ANY, .def = NAN) }, "parameter a: its default nan is outside its limits (any number)" },
  { { N (.def = 0.5) }, "parameter n: its default 0.5 is not a whole number below 2^53" },
  { { N (EVO_ANY, .def = 1e20) }, "parameter n: its default 1e+20 is not a whole number below 2^53" },
  { { N (.def = 10) }, "parameter n: its default 10 is outside its limits (0 ... 9)" },
  { { B (.def = 2) }, "parameter b: its default 2 is neither 0 nor 1" },
  { { C (.names = NULL) }, "parameter c: a choice needs names" },
  { { C (.names = no_names) }, "parameter c: a choice needs names" },
  { { C (.names = empty_name) }, "parameter c: name 2 of its choices is empty or not UTF-8" },
  { { C (.names = twice_named) }, "parameter c: its choice \"x\" is named twice" },
  { { C (.def = 2) }, "parameter c: its default 2 is no index of its 2 choices" },
  { { C (.def = -1) }, "parameter c: its default -1 is no index of its 2 choices" },
  { { C (.def = 0.5) }, "parameter c: its default 0.5 is no index of its 2 choices" },
  { { C (.def = NAN) }, "parameter c: its default nan is no index of its 2 choices" },
  { { A (TUNED (0, 0)) }, "parameter a: its search range 0 ... 0 is empty or reversed" },
  { { A (TUNED (0.9, 0.1)) }, "parameter a: its search range 0.9 ... 0.1 is empty or reversed" },
  { { A (TUNED (-0.5, 1)) }, "parameter a: its search range -0.5 ... 1 leaves its limits 0 ... 1" },
  { { A (TUNED (0, 2)) }, "parameter a: its search range 0 ... 2 leaves its limits 0 ... 1" },
  { { A (TUNED (0, HUGE_VAL)) }, "parameter a: its search range 0 ... inf is not finite" },
  { { A (TUNED (NAN, 1)) }, "parameter a: its search range nan ... 1 is not finite" },
  { { S (TUNED (0, 1)) }, "parameter s: only booleans, numbers, integers and choices can be searched, not a parameter of type string" },
  { { L (TUNED (0, 1)) }, "parameter l: only booleans, numbers, integers and choices can be searched, not a parameter of type numbers" },
  { { S (.def_string = "\xc3") }, "parameter s: its default is not UTF-8" },
};
#pragma GCC diagnostic pop

static void
test_declarations (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (declarations); i++) {
    g_autoptr (GError) error = NULL;
    gboolean ok = evo_param_table_check (declarations[i].p, sizeof (Small), &error);

    g_assert_cmpstr (error == NULL ? NULL : error->message, ==, declarations[i].message);
    g_assert_true (ok == (error == NULL));
    if (!ok)
      g_assert_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DECLARATION);
  }
}

/* Lists that do not end are cut off where nobody would have meant them. */
static void
test_endless (void)
{
  g_autofree EvoParam *many = g_new0 (EvoParam, 400);
  g_autofree const char **choices = g_new0 (const char *, 400);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  EvoParam choice[2] = { C (), { 0 } };

  for (guint i = 0; i < 399; i++) {
    g_ptr_array_add (names, g_strdup_printf ("p%u", i));
    many[i] = (EvoParam){ .name = names->pdata[i], .type = EVO_TYPE_NUMBER, .offset = i * 8, .doc = "x" };
    choices[i] = names->pdata[i];
  }
  g_assert_false (evo_param_table_check (many, 400 * 8, &error));
  g_assert_cmpstr (error->message, ==, "more than 256 parameters; does the table end with EVO_PARAMS_END?");
  g_clear_error (&error);
  choice[0].names = choices;
  g_assert_false (evo_param_table_check (choice, sizeof (Small), &error));
  g_assert_cmpstr (error->message, ==, "parameter c: more than 256 choices; does the list end with NULL?");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/param/table", test_table);
  g_test_add_func ("/param/defaults", test_defaults);
  g_test_add_func ("/param/scalars", test_scalars);
  g_test_add_func ("/param/bind", test_bind);
  g_test_add_func ("/param/bind/folder", test_file_folder);
  g_test_add_func ("/param/bind/refused", test_refused);
  g_test_add_func ("/param/check-scalar", test_check_scalar);
  g_test_add_func ("/param/texts", test_texts);
  g_test_add_func ("/param/declarations", test_declarations);
  g_test_add_func ("/param/declarations/endless", test_endless);
  return g_test_run ();
}
