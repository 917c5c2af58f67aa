/* SPDX-License-Identifier: Apache-2.0
 * test-evaluator.c - evaluators on hand-made rows: what they ask, how they judge, and what they say about bad rows.
 *
 * The host's side (templates, language test) is played by this test; the plugins are compiled in.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "plugins/evaluator/list.h"
#include "plugins/evaluator/number.h"
#include "tests/plugins/drive.h"

extern const EvoPlugin evo_plugin_evaluator_exact_match, evo_plugin_evaluator_choice, evo_plugin_evaluator_perplexity;

static const EvoEvaluatorOp *
exact_match (void)
{
  return evo_plugin_evaluator_exact_match.ops[0];
}

static const EvoEvaluatorOp *
choice (void)
{
  return evo_plugin_evaluator_choice.ops[0];
}

static const EvoEvaluatorOp *
perplexity (void)
{
  return evo_plugin_evaluator_perplexity.ops[0];
}

static EvoText
text (const char *s)
{
  return (EvoText){ s, strlen (s) };
}

static void
assert_text (EvoText t, const char *expected)
{
  g_assert_cmpmem (t.bytes, t.n, expected, strlen (expected));
}

/* ------------------------------------------------------------------ the host's side */

typedef struct { EvoRows rows; GArray *cells, *lines; GPtrArray *fields; double p_language; } Data;

static double
language (gconstpointer host, EvoText t, const char *code)
{
  const Data *d = host;

  return g_str_equal (code, "xx") ? NAN : d->p_language;
}

static GString *
fill (gconstpointer host, const char *template_text, gint64 row, GError **error)
{
  const Data *d = host;
  GString *s = g_string_new (template_text);

  if (g_str_equal (template_text, "bad")) {
    g_string_free (s, TRUE);
    g_set_error (error, g_quark_from_string ("test"), 1, "no such field");
    return NULL;
  }
  g_string_append_len (s, d->rows.cells[row * d->rows.n_fields].bytes, (gssize) d->rows.cells[row * d->rows.n_fields].n);
  return s;
}

/* "a|b|c" names the fields; every further string is one row. */
static Data *
data_new (const char *fields, ...)
{
  Data *d = g_new0 (Data, 1);
  va_list args;
  const char *row;
  gint64 line = 1;

  d->cells = g_array_new (FALSE, TRUE, sizeof (EvoText));
  d->lines = g_array_new (FALSE, TRUE, sizeof (gint64));
  d->fields = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  g_ptr_array_add (d->fields, g_strsplit (fields, "|", -1));
  va_start (args, fields);
  while ((row = va_arg (args, const char *)) != NULL) {
    char **cells = *row == '\0' ? g_strdupv ((char *[]){ (char *) "", NULL }) : g_strsplit (row, "|", -1);

    g_ptr_array_add (d->fields, cells);
    for (guint i = 0; cells[i] != NULL; i++) {
      EvoText t = text (cells[i]);

      g_array_append_val (d->cells, t);
    }
    line++;
    g_array_append_val (d->lines, line);
  }
  va_end (args);
  d->rows = (EvoRows){ .size = sizeof (EvoRows), .file = "data.tsv", .n_rows = d->lines->len, .n_fields = g_strv_length (d->fields->pdata[0]),
                       .fields = d->fields->pdata[0], .cells = (const EvoText *) d->cells->data, .lines = (const gint64 *) d->lines->data,
                       .language = language, .fill = fill, .host = d };
  g_assert_cmpuint (d->cells->len, ==, d->lines->len * d->rows.n_fields);
  return d;
}

static void
data_free (Data *d)
{
  g_ptr_array_unref (d->fields);
  g_array_unref (d->cells);
  g_array_unref (d->lines);
  g_free (d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Data, data_free)

static gpointer
defaults (const EvoEvaluatorOp *op)
{
  gpointer params = g_malloc0 (op->params_size);

  drive_set_defaults (op->params, params);
  return params;
}

static gpointer
param (const EvoEvaluatorOp *op, gpointer params, const char *name)
{
  const EvoParam *p = drive_find_param (op->params, name);

  g_assert_nonnull (p);
  return (char *) params + p->offset;
}

#define SET(op, params, type, name, value) (*(type *) param (op, params, name) = (value))

static void
assert_refused (const EvoEvaluatorOp *op, gconstpointer params, const Data *d, EvoPluginError code, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (op->open (params, &d->rows, 1, &error));
  g_assert_error (error, g_quark_from_string ("evo-plugin-error"), (gint) code);
  g_assert_cmpstr (error->message, ==, message);
}

static double
judge_text (const EvoEvaluatorOp *op, gpointer self, gint64 item, const char *s)
{
  gint64 n_tokens = 1;
  double value = -1;

  g_assert_true (op->judge (self, item, &(EvoAnswer){ .text = text (s), .n_tokens = &n_tokens }, &value, NULL));
  return value;
}

/* ------------------------------------------------------------------ numbers */

typedef struct { const char *text; double sakana, exact; } Number; /* NAN: none */

static const Number numbers[] = {
  { "1,000円", 0, 1000 }, { "１８", 18, 18 }, { "-5", 5, -5 }, { "1/2", 2, 2 }, { "12時間30分", 30, 30 }, { "1万2000円", 2000, 2000 },
  { "答え＝42。（2回）", 2, 2 }, { "わかりません", NAN, NAN }, { "", NAN, NAN }, { "3.50", 3.5, 3.5 }, { "答えは3.5です", 3.5, 3.5 },
  { "1,234", 234, 1234 }, { "1,234,567.89", 567.89, 1234567.89 }, { "１，２３４", 234, 1234 }, { "－１２", 12, -12 }, { "−12", 12, -12 },
  { "３．５", 5, 3.5 }, { "20-12=8", 8, 8 }, { "20-12", 12, 12 }, { "20 - 12", 12, 12 }, { "x = -12", 12, -12 }, { "答えは-12です", 12, -12 },
  { "-$1,250.75", 250.75, -1250.75 }, { "$-3", 3, -3 }, { "(8)-3", 3, 3 }, { "A-5", 5, 5 }, { ".5", 0.5, 0.5 }, { "-.5", 0.5, -0.5 },
  { "it is 7.", 7, 7 }, { "1.2.3", 0.3, 0.3 }, { "12,34", 34, 34 }, { "2019,100", 100, 100 }, { "1,0000", 0, 0 }, { "00012", 12, 12 },
  { "99999999999999999999", 1e20, 1e20 }, { "\xff\xfe" "4\xff", 4, 4 }, { "٣٤", 34, 34 }, { "5¥", 5, 5 }, { "0", 0, 0 }
};

static void
assert_number (gboolean found, double value, double expected, const char *what)
{
  if (isnan (expected) ? found : !found || value != expected)
    g_error ("\"%s\": %s %.17g, not %.17g", what, found ? "read as" : "no number, not", value, expected);
}

static void
test_numbers (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    double value = 0;
    gboolean found = number_last_sakana (text (numbers[i].text), &value);

    assert_number (found, value, numbers[i].sakana, numbers[i].text);
    found = number_last_exact (text (numbers[i].text), &value);
    assert_number (found, value, numbers[i].exact, numbers[i].text);
  }
}

/* NUL inside, any bytes, cut anywhere: nothing is read beyond the text. */
static void
test_hostile (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (1);
  static const char bits[] = "0123456789.,-+$#\\\"[]u dF\xef\xbc\x91\xe2\x88\x92\0\xff";

  for (guint round = 0; round < 20000; round++) {
    gsize n = (gsize) g_rand_int_range (rand, 0, 24);
    g_autofree char *s = g_malloc (MAX (n, 1)); /* exact, so that the sanitizer sees a byte too far */
    g_autoptr (GPtrArray) list = NULL;
    double value;

    for (gsize i = 0; i < n; i++)
      s[i] = bits[g_rand_int_range (rand, 0, sizeof bits - 1)];
    number_last_sakana ((EvoText){ s, n }, &value);
    number_last_exact ((EvoText){ s, n }, &value);
    list = list_parse ((EvoText){ s, n });
  }
}

/* ------------------------------------------------------------------ exact-match */

/* Answers of real models, and what the published evaluation made of them. */
static void
test_published (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/evaluator/mgsm-outputs.jsonl", NULL), *all = NULL;
  g_autofree gpointer any = defaults (exact_match ()), japanese = defaults (exact_match ());
  g_auto (GStrv) lines = NULL;
  guint n = 0;

  SET (exact_match (), japanese, const char *, "language", "ja");
  g_assert_true (g_file_get_contents (path, &all, NULL, NULL));
  lines = g_strsplit (g_strchomp (all), "\n", -1);
  for (; lines[n] != NULL; n++) {
    g_autoptr (JsonParser) parser = json_parser_new ();

    g_assert_true (json_parser_load_from_data (parser, lines[n], -1, NULL));
    JsonObject *o = json_node_get_object (json_parser_get_root (parser));
    const char *prediction = json_object_get_string_member (o, "prediction"), *answer = json_object_get_string_member (o, "completion");
    g_autofree char *row = g_strdup_printf ("q|%s", json_object_get_string_member (o, "gold"));
    g_autoptr (Data) d = data_new ("question|answer", row, NULL);
    gpointer a = exact_match ()->open (any, &d->rows, 1, NULL), b = exact_match ()->open (japanese, &d->rows, 1, NULL);
    double value = 0;
    gboolean found = number_last_sakana (text (answer), &value);

    d->p_language = json_object_get_double_member (o, "p_ja");
    assert_number (found, value, *prediction == '\0' ? NAN : g_ascii_strtod (prediction, NULL), answer);
    g_assert_cmpfloat (judge_text (exact_match (), a, 0, answer), ==, json_object_get_int_member (o, "correct"));
    g_assert_cmpfloat (judge_text (exact_match (), b, 0, answer), ==, json_object_get_int_member (o, "correct_ja"));
    exact_match ()->close (a);
    exact_match ()->close (b);
  }
  g_assert_cmpuint (n, ==, 64);
}

static void
test_judging (void)
{
  g_autofree gpointer p = defaults (exact_match ());
  g_autoptr (Data) d = data_new ("question|answer", "a|first 3, then\n#### 18", "b|#### 1,234", "c|-7", NULL);
  gpointer self = exact_match ()->open (p, &d->rows, 1, NULL);

  g_assert_cmpint (exact_match ()->n_items (self), ==, 3);
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, "It is 18.0"), ==, 1);
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, "18 or 3"), ==, 0);
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, ""), ==, 0);
  g_assert_cmpfloat (judge_text (exact_match (), self, 1, "1,234"), ==, 1); /* both are 234 by the published rule */
  g_assert_cmpfloat (judge_text (exact_match (), self, 2, "7"), ==, 1);
  exact_match ()->close (self);
  SET (exact_match (), p, guint32, "number", 1);
  self = exact_match ()->open (p, &d->rows, 1, NULL);
  g_assert_cmpfloat (judge_text (exact_match (), self, 1, "1234円"), ==, 1);
  g_assert_cmpfloat (judge_text (exact_match (), self, 1, "234"), ==, 0);
  g_assert_cmpfloat (judge_text (exact_match (), self, 2, "答えは－７。"), ==, 1);
  exact_match ()->close (self);
  SET (exact_match (), p, const char *, "language", "ja");
  self = exact_match ()->open (p, &d->rows, 1, NULL);
  d->p_language = 0.5; /* must be above */
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, "18"), ==, 0);
  d->p_language = 0.51;
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, "18"), ==, 1);
  g_assert_cmpfloat (judge_text (exact_match (), self, 0, "19"), ==, 0);
  exact_match ()->close (self);
}

static void
assert_prompt (const EvoEvaluatorOp *op, gconstpointer params, Data *d, gint64 item, const char *expected)
{
  gpointer self = op->open (params, &d->rows, 1, NULL);
  EvoRequest q = { 0 };

  g_assert_nonnull (self);
  g_assert_true (op->request (self, item, &q, NULL) && op->request (self, item, &q, NULL));
  assert_text (q.prompt, expected);
  op->close (self);
}

static void
test_prompts (void)
{
  g_autofree gpointer p = defaults (exact_match ());
  g_autoptr (Data) a = data_new ("question|answer", "one|1", "two|2", NULL), b = data_new ("x|prompt|question|answer", "0|p|q|1", NULL),
                   c = data_new ("x|answer", "0|1", NULL);
  g_autoptr (GError) error = NULL;

  assert_prompt (exact_match (), p, a, 1, "two");
  assert_prompt (exact_match (), p, b, 0, "p");
  assert_refused (exact_match (), p, c, EVO_PLUGIN_ERROR_PARAM,
                  "data.tsv has neither a field \"prompt\" nor \"question\"; a template, or \"prompt_field\", says what to ask");
  a->rows.template_text = "Q: ";
  assert_prompt (exact_match (), p, a, 0, "Q: one");
  SET (exact_match (), p, const char *, "prompt_field", "x");
  assert_prompt (exact_match (), p, b, 0, "0");
  assert_refused (exact_match (), p, a, EVO_PLUGIN_ERROR_PARAM, "prompt_field: the template makes the prompt; one of the two must go");
  SET (exact_match (), p, const char *, "prompt_field", "y");
  assert_refused (exact_match (), p, b, EVO_PLUGIN_ERROR_PARAM,
                  "prompt_field: data.tsv has no field \"y\"; it has \"x\", \"prompt\", \"question\", \"answer\"");
  SET (exact_match (), p, const char *, "prompt_field", NULL);
  b->rows.template_text = "bad";
  gpointer self = exact_match ()->open (p, &b->rows, 1, NULL);
  EvoRequest q = { 0 };
  g_assert_false (exact_match ()->request (self, 0, &q, &error));
  g_assert_cmpstr (error->message, ==, "no such field");
  exact_match ()->close (self);
}

static void
test_generation (void)
{
  static const char *const stop[] = { "Instruction:", "Response" };
  g_autofree gpointer p = defaults (exact_match ());
  g_autoptr (Data) d = data_new ("question|answer", "one|1", NULL);
  EvoRequest q = { 0 };
  gpointer self = exact_match ()->open (p, &d->rows, 42, NULL);

  g_assert_true (exact_match ()->request (self, 0, &q, NULL));
  g_assert_true (q.kind == EVO_REQUEST_GENERATE && q.max_tokens == 512 && q.beams == 1 && q.top_k == 0 && q.temperature == 0 && q.top_p == 1);
  g_assert_true (q.repetition_penalty == 1 && q.length_penalty == 1 && q.n_stop == 0 && q.seed == 42);
  exact_match ()->close (self);
  SET (exact_match (), p, gint64, "max_tokens", 9);
  SET (exact_match (), p, gint64, "beams", 5);
  SET (exact_match (), p, gint64, "top_k", 40);
  SET (exact_match (), p, double, "temperature", 0.7);
  SET (exact_match (), p, double, "top_p", 0.9);
  SET (exact_match (), p, double, "repetition_penalty", 1.5);
  SET (exact_match (), p, double, "length_penalty", -1);
  SET (exact_match (), p, EvoStrings, "stop", ((EvoStrings){ stop, 2 }));
  self = exact_match ()->open (p, &d->rows, 42, NULL);
  g_assert_true (exact_match ()->request (self, 0, &q, NULL));
  g_assert_true (q.max_tokens == 9 && q.beams == 5 && q.top_k == 40 && q.temperature == 0.7 && q.top_p == 0.9);
  g_assert_true (q.repetition_penalty == 1.5 && q.length_penalty == -1 && q.n_stop == 2 && q.stop == stop);
  exact_match ()->close (self);
}

static void
test_bad_rows (void)
{
  g_autofree gpointer p = defaults (exact_match ());
  g_autoptr (Data) a = data_new ("question|gold", "one|1", NULL), b = data_new ("question|answer", "one|1", "two|unknown", NULL),
                   c = data_new ("question|answer", "one|7 ####", NULL);

  assert_refused (exact_match (), p, a, EVO_PLUGIN_ERROR_PARAM, "answer: data.tsv has no field \"answer\"; it has \"question\", \"gold\"");
  assert_refused (exact_match (), p, b, EVO_PLUGIN_ERROR_FILE, "data.tsv:3: \"answer\" holds no number: \"unknown\"; every item needs its right answer");
  assert_refused (exact_match (), p, c, EVO_PLUGIN_ERROR_FILE, "data.tsv:2: \"answer\" holds no number: \"7 ####\"; every item needs its right answer");
  SET (exact_match (), p, const char *, "answer", "gold");
  SET (exact_match (), p, const char *, "language", "xx");
  assert_refused (exact_match (), p, a, EVO_PLUGIN_ERROR_PARAM,
                  "language: \"xx\" is not a language the language test knows; \"ja\" for Japanese");
}

/* ------------------------------------------------------------------ choice */

static void
test_list (void)
{
  g_autoptr (GPtrArray) list = list_parse (text (" [ \"a\\n\\u3042\\ud83d\\ude00\" , \"\", 12.5,true ] "));
  static const char *const wrong[] = { "", "[", "[]", "[\"a\"", "[\"a\",]", "[\"a\" \"b\"]", "[\"\\ud83d\"]", "[\"\\udc00\"]", "[\"\\x\"]", "[\"\\u12\"]",
                                       "[[\"a\"]]", "{\"a\":1}", "[\"a\"] x", "\"a\"" };

  g_assert_cmpuint (list->len, ==, 4);
  g_assert_cmpstr (((GString *) list->pdata[0])->str, ==, "a\nあ😀");
  g_assert_cmpstr (((GString *) list->pdata[1])->str, ==, "");
  g_assert_cmpstr (((GString *) list->pdata[2])->str, ==, "12.5");
  g_assert_cmpstr (((GString *) list->pdata[3])->str, ==, "true");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_null (list_parse (text (wrong[i])));
}

static double
judge_choices (gpointer self, gint64 item, double a, double b, double c)
{
  double ll[] = { a, b, c }, value = -1;
  gint64 n_tokens[] = { 1, 2, 4 };

  g_assert_true (choice ()->judge (self, item, &(EvoAnswer){ .log_likelihood = ll, .n_tokens = n_tokens }, &value, NULL));
  return value;
}

static void
test_choices (void)
{
  static const char *const fields[] = { "c0", "c1", "c2" };
  g_autofree gpointer p = defaults (choice ());
  g_autoptr (Data) d = data_new ("question|c0|c1|c2|answer", "q|猫|四つの足|x|1", "q|red|green|blue|B", "q|red|green|blue|green", NULL);
  gpointer self;
  EvoRequest q = { 0 };

  SET (choice (), p, EvoStrings, "choices", ((EvoStrings){ fields, 3 }));
  self = choice ()->open (p, &d->rows, 1, NULL);
  g_assert_cmpint (choice ()->n_items (self), ==, 3);
  g_assert_true (choice ()->request (self, 0, &q, NULL));
  g_assert_true (q.kind == EVO_REQUEST_CHOICES && q.n_choices == 3);
  assert_text (q.prompt, "q");
  assert_text (q.choices[1], " 四つの足");
  for (gint64 i = 0; i < 3; i++) {                        /* index, letter, text: all the second */
    g_assert_cmpfloat (judge_choices (self, i, -2, -1, -3), ==, 1);
    g_assert_cmpfloat (judge_choices (self, i, -1, -1, -3), ==, 0); /* the first of equals */
  }
  choice ()->close (self);
  SET (choice (), p, guint32, "normalize", 1);            /* characters: 1, 4, 1 */
  self = choice ()->open (p, &d->rows, 1, NULL);
  g_assert_cmpfloat (judge_choices (self, 0, -2, -7, -3), ==, 1);
  g_assert_cmpfloat (judge_choices (self, 0, -2, -9, -3), ==, 0);
  choice ()->close (self);
  SET (choice (), p, guint32, "normalize", 2);            /* tokens: 1, 2, 4 */
  self = choice ()->open (p, &d->rows, 1, NULL);
  g_assert_cmpfloat (judge_choices (self, 0, -2, -3, -9), ==, 1);
  g_assert_cmpfloat (judge_choices (self, 0, -2, -3, -5), ==, 0);
  choice ()->close (self);
}

static void
test_choice_list (void)
{
  g_autofree gpointer p = defaults (choice ());
  g_autoptr (Data) d = data_new ("prompt|choices|answer", "p|[\"2\", \"3\", \"5\"]|5", "p|[\"yes\",\"no\"]|a", NULL),
                   twice = data_new ("prompt|choices|answer", "p|[\"2\", \"1\", \"0\"]|2", NULL);
  gpointer self;
  EvoRequest q = { 0 };

  SET (choice (), p, const char *, "delimiter", "");
  self = choice ()->open (p, &d->rows, 1, NULL);
  g_assert_true (choice ()->request (self, 0, &q, NULL));
  assert_text (q.choices[2], "5");
  g_assert_cmpfloat (judge_choices (self, 0, -2, -3, -1), ==, 1);
  g_assert_true (choice ()->request (self, 1, &q, NULL));
  g_assert_cmpuint (q.n_choices, ==, 2);
  g_assert_cmpfloat (judge_choices (self, 1, -2, -3, 9), ==, 1);
  choice ()->close (self);
  assert_refused (choice (), p, twice, EVO_PLUGIN_ERROR_FILE,
                  "data.tsv:2: the answer fits two choices; \"answer_is\" says which way it is meant: \"2\"");
  for (guint32 way = 1; way <= 3; way += 2) {
    SET (choice (), p, guint32, "answer_is", way);
    self = choice ()->open (p, &twice->rows, 1, NULL);
    g_assert_cmpfloat (judge_choices (self, 0, -1, -3, -2), ==, way == 3);
    g_assert_cmpfloat (judge_choices (self, 0, -2, -3, -1), ==, way == 1);
    choice ()->close (self);
  }
  SET (choice (), p, guint32, "answer_is", 1);
  SET (choice (), p, gint64, "first_index", 1);
  self = choice ()->open (p, &twice->rows, 1, NULL);
  g_assert_cmpfloat (judge_choices (self, 0, -2, -1, -3), ==, 1);
  choice ()->close (self);
}

static void
test_bad_choices (void)
{
  static const char *const one[] = { "choices" }, *const two[] = { "a", "b" }, *const missing[] = { "a", "z" };
  g_autofree gpointer p = defaults (choice ());
  g_autoptr (Data) d = data_new ("prompt|choices|answer|a|b", "p|yes, no|0|x|y", NULL), single = data_new ("prompt|choices|answer", "p|[\"x\"]|0", NULL),
                   none = data_new ("prompt|choices|answer", "p|[\"x\",\"y\"]|0", "p|[\"x\",\"y\"]|2", NULL),
                   empty = data_new ("prompt|a|b|answer", "p|x||0", NULL);

  SET (choice (), p, EvoStrings, "choices", ((EvoStrings){ one, 1 }));
  assert_refused (choice (), p, d, EVO_PLUGIN_ERROR_FILE, "data.tsv:2: the choices are not a JSON list of texts: \"yes, no\"");
  assert_refused (choice (), p, single, EVO_PLUGIN_ERROR_FILE, "data.tsv:2: one choice is no choice; at least two are needed: \"[\"x\"]\"");
  assert_refused (choice (), p, none, EVO_PLUGIN_ERROR_FILE,
                  "data.tsv:3: the answer is none of the choices, neither by index nor by letter nor as text: \"2\"");
  SET (choice (), p, EvoStrings, "choices", ((EvoStrings){ missing, 2 }));
  assert_refused (choice (), p, empty, EVO_PLUGIN_ERROR_PARAM, "choices: data.tsv has no field \"z\"; it has \"prompt\", \"a\", \"b\", \"answer\"");
  SET (choice (), p, EvoStrings, "choices", ((EvoStrings){ two, 2 }));
  assert_refused (choice (), p, empty, EVO_PLUGIN_ERROR_FILE, "data.tsv:2: a choice is empty: \"x\"");
  SET (choice (), p, const char *, "answer", "gold");
  assert_refused (choice (), p, d, EVO_PLUGIN_ERROR_PARAM,
                  "answer: data.tsv has no field \"gold\"; it has \"prompt\", \"choices\", \"answer\", \"a\", \"b\"");
}

/* ------------------------------------------------------------------ perplexity */

static void
test_perplexity (void)
{
  g_autofree gpointer p = defaults (perplexity ());
  g_autoptr (Data) d = data_new ("text", "abcdef", "あ", "", NULL);
  gpointer self = perplexity ()->open (p, &d->rows, 1, NULL);
  double lls[] = { -6, -2, 0 }, values[9], out = 0;
  gint64 tokens[] = { 3, 1, 0 };
  g_autoptr (GError) error = NULL;

  for (gint64 i = 0; i < 3; i++) {
    EvoRequest q = { 0 };

    g_assert_true (perplexity ()->request (self, i, &q, NULL));
    g_assert_true (q.kind == EVO_REQUEST_ROLLING && q.context == 0);
    g_assert_true (perplexity ()->judge (self, i, &(EvoAnswer){ .log_likelihood = &lls[i], .n_tokens = &tokens[i] }, values + 3 * i, NULL));
  }
  g_assert_true (values[0] == -6 && values[1] == 3 && values[2] == 6 && values[5] == 3 && values[8] == 0);
  g_assert_true (perplexity ()->reduce (self, values, 3, &out, NULL));
  g_assert_cmpfloat_with_epsilon (out, exp (2), 1e-12); /* 8 nats over 4 tokens */
  g_assert_true (perplexity ()->reduce_extra (self, values, 3, &out, NULL));
  g_assert_cmpfloat_with_epsilon (out, 8 / (9 * G_LN2), 1e-12);
  g_assert_cmpstr (perplexity ()->extra_names[0], ==, "bits_per_byte");
  g_assert_false (perplexity ()->reduce (self, values + 6, 1, &out, &error));
  g_assert_cmpstr (error->message, ==, "the texts have no tokens to predict");
  g_clear_error (&error);
  g_assert_false (perplexity ()->reduce_extra (self, values + 6, 1, &out, &error));
  g_assert_cmpstr (error->message, ==, "the texts are empty");
  perplexity ()->close (self);
  g_assert_cmpuint (perplexity ()->n_values, ==, 3);
  g_assert_true (perplexity ()->flags & EVO_EVALUATOR_SMALLER_IS_BETTER);
}

static void
test_perplexity_options (void)
{
  g_autofree gpointer p = defaults (perplexity ());
  g_autoptr (Data) d = data_new ("text|body", "t|b", NULL), other = data_new ("body", "b", NULL);
  gpointer self;
  EvoRequest q = { 0 };

  assert_refused (perplexity (), p, other, EVO_PLUGIN_ERROR_PARAM, "text: data.tsv has no field \"text\"; it has \"body\"");
  SET (perplexity (), p, gint64, "context", 1);
  assert_refused (perplexity (), p, d, EVO_PLUGIN_ERROR_PARAM, "context: 1 token predicts nothing; 0 or at least 2");
  SET (perplexity (), p, gint64, "context", 128);
  SET (perplexity (), p, const char *, "text", "body");
  self = perplexity ()->open (p, &d->rows, 1, NULL);
  g_assert_true (perplexity ()->request (self, 0, &q, NULL));
  g_assert_cmpint (q.context, ==, 128);
  assert_text (q.prompt, "b");
  perplexity ()->close (self);
  d->rows.template_text = "T: ";
  assert_refused (perplexity (), p, d, EVO_PLUGIN_ERROR_PARAM, "text: the template makes the prompt; one of the two must go");
  SET (perplexity (), p, const char *, "text", NULL);
  assert_prompt (perplexity (), p, d, 0, "T: t");
}

/* ------------------------------------------------------------------ */

static void
test_declarations (void)
{
  const EvoEvaluatorOp *const ops[] = { exact_match (), choice (), perplexity () };

  for (guint i = 0; i < G_N_ELEMENTS (ops); i++) {
    g_assert_cmpuint (ops[i]->size, ==, sizeof (EvoEvaluatorOp));
    g_assert_true (g_str_has_suffix (ops[i]->summary, "."));
    for (const EvoParam *p = ops[i]->params; p->name != NULL; p++) {
      g_assert_true (g_str_has_suffix (p->doc, ".") && p->offset < ops[i]->params_size && drive_find_param (ops[i]->params, p->name) == p);
      g_assert_true (p->type > EVO_TYPE_CHOICE || (p->def >= p->min && p->def <= p->max));
      g_assert_false (p->flags & EVO_PARAM_TUNABLE);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/evaluator/declarations", test_declarations);
  g_test_add_func ("/evaluator/numbers", test_numbers);
  g_test_add_func ("/evaluator/hostile", test_hostile);
  g_test_add_func ("/evaluator/exact-match/published", test_published);
  g_test_add_func ("/evaluator/exact-match/judging", test_judging);
  g_test_add_func ("/evaluator/exact-match/prompts", test_prompts);
  g_test_add_func ("/evaluator/exact-match/generation", test_generation);
  g_test_add_func ("/evaluator/exact-match/bad-rows", test_bad_rows);
  g_test_add_func ("/evaluator/choice/list", test_list);
  g_test_add_func ("/evaluator/choice/fields", test_choices);
  g_test_add_func ("/evaluator/choice/list-field", test_choice_list);
  g_test_add_func ("/evaluator/choice/bad-rows", test_bad_choices);
  g_test_add_func ("/evaluator/perplexity/values", test_perplexity);
  g_test_add_func ("/evaluator/perplexity/options", test_perplexity_options);
  return g_test_run ();
}
