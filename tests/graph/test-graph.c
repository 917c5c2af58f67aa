/* SPDX-License-Identifier: Apache-2.0
 * test-graph.c - pipelines as they are read: every sentence about a broken one; order, values, genes, searches; and pipelines written again.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/graph/graph.h"

static EvoRegistry *registry;
static char *folder; /* tests/graph */

static EvoGraph *
read_with (const char *text, const char *const *sets, GError **error)
{
  EvoGraphOptions options = { sets, FALSE, 0 };

  return evo_graph_new_from_text (text, -1, "p.json", "/home", registry, &options, error);
}

static EvoGraph *
read_good (const char *text)
{
  g_autoptr (GError) error = NULL;
  EvoGraph *g = read_with (text, NULL, &error);

  g_assert_no_error (error);
  return g;
}

/* ------------------------------------------------------------------ broken pipelines */

static const char *
domain_name (GQuark domain)
{
  return domain == EVO_GRAPH_ERROR ? "graph" : domain == EVO_PARAM_ERROR ? "param" : domain == EVO_USAGE_ERROR ? "usage" : g_quark_to_string (domain);
}

static const char *
code_name (const GError *e)
{
  static const char *const graph[] = { "syntax", "duplicate", "unknown", "port", "cycle", "shape" };
  static const char *const param[] = { "unknown", "type", "range", "missing" };

  if (e->domain == EVO_GRAPH_ERROR)
    return graph[e->code];
  return e->domain == EVO_PARAM_ERROR ? param[e->code] : "?";
}

/* One line of expected.tsv for what the file really gives. */
static char *
line_of (const char *name)
{
  g_autofree char *path = g_build_filename (folder, "bad", name, NULL), *prefix = g_build_filename (folder, "bad/", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) g = evo_graph_new_from_file (path, registry, NULL, &error);
  g_autofree char *line = NULL;
  g_auto (GStrv) parts = NULL;

  g_assert_null (g);
  g_assert_nonnull (error);
  g_assert_cmpint (evo_error_exit_code (error), ==, 2);
  g_assert_null (strchr (error->message, '\n'));
  line = g_strdup_printf ("%s\t%s\t%s\t%s", name, domain_name (error->domain), code_name (error), error->message);
  parts = g_strsplit (line, prefix, -1);
  return g_strjoinv ("", parts);
}

/* The message behind file and line. */
static const char *
sentence_of (const char *line)
{
  const char *space = strchr (strrchr (line, '\t'), ' ');

  return space == NULL ? line : space;
}

/* A line that ends in " *" is the beginning of what is expected: the rest depends on which plugins there are. */
static gboolean
is_expected (const char *expected, const char *actual)
{
  gsize n = strlen (expected);

  return g_str_has_suffix (expected, " *") ? strncmp (expected, actual, n - 1) == 0 : g_str_equal (expected, actual);
}

static void
test_bad (void)
{
  g_autofree char *path = g_build_filename (folder, "expected.tsv", NULL), *text = NULL, *bad = g_build_filename (folder, "bad", NULL);
  g_autoptr (GHashTable) sentences = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GDir) dir = g_dir_open (bad, 0, NULL);
  g_auto (GStrv) lines = NULL;
  guint n = 0, n_files = 0, n_wrong = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  while (g_dir_read_name (dir) != NULL)
    n_files++;
  for (guint i = 0; lines[i] != NULL; i++) {
    g_autofree char *name = g_strndup (lines[i], strcspn (lines[i], "\t")), *actual = NULL;

    if (*lines[i] == '\0' || *lines[i] == '#')
      continue;
    n++;
    actual = line_of (name);
    if (!is_expected (lines[i], actual)) {
      g_test_message ("expected %s", lines[i]);
      g_test_message ("%s", actual);
      n_wrong++;
    }
    g_assert_true (g_hash_table_add (sentences, (gpointer) sentence_of (lines[i]))); /* one file for each sentence */
  }
  g_assert_cmpuint (n_wrong, ==, 0);
  g_assert_cmpuint (n, ==, n_files);
  g_assert_cmpuint (n, >=, 60);
}

/* ------------------------------------------------------------------ what is read */

#define A "\"a\": {\"use\": \"model.llm\", \"path\": \"m/a\"}"
#define B "\"b\": {\"use\": \"model.llm\", \"path\": \"m/b\"}"
#define MIX "\"mix\": {\"use\": \"merge.linear\", \"in\": [\"b\", {\"from\": \"a\", \"weight\": {\"evolve\": [0, 1]}}]}"
#define HIT "\"hit\": {\"use\": \"evaluator.exact-match\", \"in\": \"mix\", \"data\": \"d.jsonl\"}"
#define PS "\"ps\": {\"use\": \"optimizer.cma-es\", \"maximize\": \"hit\", \"trials\": 9}"
#define PIPELINE(nodes) "{\"evopipe\": 1, \"nodes\": {" nodes "}}"

static const EvoParam *
param (const EvoNode *node, const char *name)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, name);

  return p != NULL ? p : evo_param_find (((const EvoMergeOp *) node->plugin->op)->in_params, name);
}

static gpointer
bound (const EvoNode *node, gconstpointer object, const char *name)
{
  return (char *) object + param (node, name)->offset;
}

static EvoValue *
edge_value (const EvoNode *node, guint edge, const char *name)
{
  return node->in[edge].values[param (node, name) - ((const EvoMergeOp *) node->plugin->op)->in_params];
}

static void
test_order (void)
{
  g_autoptr (EvoGraph) g = read_good ("{\"evopipe\": 1, \"title\": \"T\", \"seed\": 7, \"nodes\": {"
                                      "\"exam\": {\"use\": \"evaluator.exact-match\", \"in\": [\"ps\", \"a\"], \"data\": \"e.jsonl\"}," PS "," HIT
                                      ", \"extra\": {\"use\": \"model.llm\", \"path\": \"/x\"}," MIX "," B "," A "}}");
  static const char *const order[] = { "b", "a", "mix", "hit", "ps", "exam", "extra" };

  g_assert_cmpstr (evo_graph_get_title (g), ==, "T");
  g_assert_cmpstr (evo_graph_get_name (g), ==, "p");
  g_assert_cmpstr (evo_graph_get_folder (g), ==, "/home");
  g_assert_cmpuint (evo_graph_get_seed (g), ==, 7);
  g_assert_cmpuint (evo_graph_get_n_nodes (g), ==, G_N_ELEMENTS (order));
  for (guint i = 0; i < G_N_ELEMENTS (order); i++) {
    g_assert_cmpstr (evo_graph_get (g, i)->name, ==, order[i]);
    g_assert_cmpuint (evo_graph_get (g, i)->index, ==, i);
    g_assert_true (evo_graph_find (g, order[i]) == evo_graph_get (g, i));
  }
  g_assert_null (evo_graph_find (g, "nobody"));
  g_assert_true (evo_graph_find (g, "exam")->is_exam);
  g_assert_false (evo_graph_find (g, "hit")->is_exam);
  g_assert_cmpstr (evo_graph_get_warnings (g)[0], ==, "p.json:1: /nodes/extra: nothing reads or saves this node");
  g_assert_null (evo_graph_get_warnings (g)[1]);
}

static void
test_values (void)
{
  g_autoptr (EvoGraph) g = read_good (PIPELINE (A "," B ", \"x\": {\"use\": \"merge.odd\", \"base\": \"a\", \"dtype\": \"float16\", \"table\": \"t.bin\","
    "\"curve\": [1, 2.5], \"tags\": [\"u\"], \"rank\": 8, \"centre\": {\"@attn\": true, \"note\": \"n\", \"*\": false}, \"shape\": \"steep\","
    "\"share\": 0.25, \"fisher\": \"../f\", \"in\": [{\"from\": \"a\", \"weight\": [0, 0.5, 1], \"fisher\": \"g\"}, \"b\","
    "{\"from\": \"a\", \"share\": {\"@layers:0-3\": [0.1, 0.2], \"*\": 1}, \"label\": \"L\"}]}"));
  const EvoNode *x = evo_graph_find (g, "x"), *a = evo_graph_find (g, "a");
  const EvoNumbers *curve = bound (x, x->params, "curve");
  const EvoStrings *tags = bound (x, x->params, "tags");
  EvoValue **values = x->values;

  g_assert_cmpstr (*(char **) bound (a, a->params, "path"), ==, "/home/m/a");
  g_assert_cmpstr (*(char **) bound (x, x->params, "table"), ==, "/home/t.bin");
  g_assert_true (curve->n == 2 && curve->items[1] == 2.5 && tags->n == 1);
  g_assert_cmpstr (tags->items[0], ==, "u");
  g_assert_cmpint (x->dtype.all, ==, EVO_DTYPE_F16);
  g_assert_true (x->base.from == a && x->n_in == 3 && x->in[2].from == a && x->in[2].occurrence == 1 && x->in[1].occurrence == 0);
  g_assert_cmpfloat (values[param (x, "rank") - x->plugin->op->params]->scalar, ==, 8);
  g_assert_cmpint (*(gint64 *) bound (x, x->params, "rank"), ==, 8);
  g_assert_cmpfloat (values[param (x, "shape") - x->plugin->op->params]->scalar, ==, 2);
  g_assert_null (values[param (x, "sharpness") - x->plugin->op->params]);
  EvoValue *centre = values[param (x, "centre") - x->plugin->op->params];
  g_assert_true (centre->kind == EVO_VALUE_SELECT && centre->n == 2 && centre->values[0]->scalar == 1);
  g_assert_cmpstr (centre->selectors[1], ==, "*");
  EvoValue *weight = edge_value (x, 0, "weight");
  g_assert_true (weight->kind == EVO_VALUE_GRADIENT && weight->n == 3 && weight->list[1] == 0.5);
  g_assert_null (edge_value (x, 1, "weight"));
  g_assert_cmpfloat (x->in_values[param (x, "share") - ((const EvoMergeOp *) x->plugin->op)->in_params]->scalar, ==, 0.25);
  g_assert_cmpfloat (*(double *) bound (x, x->in[1].params, "share"), ==, 0.25);
  g_assert_true (edge_value (x, 2, "share")->values[0]->kind == EVO_VALUE_GRADIENT);
  g_assert_cmpstr (*(char **) bound (x, x->in[0].params, "fisher"), ==, "/home/g");
  g_assert_cmpstr (*(char **) bound (x, x->in[1].params, "fisher"), ==, "/f");
  g_assert_cmpstr (*(char **) bound (x, x->in[2].params, "label"), ==, "L");
  g_assert_null (*(char **) bound (x, x->in[1].params, "label"));
}

static void
test_genes (void)
{
  g_autoptr (EvoGraph) g = read_good (PIPELINE (A "," B ", \"mix\": {\"use\": \"merge.odd\", \"share\": {\"evolve\": true, \"per\": \"group:2\"},"
    "\"in\": [{\"from\": \"b\", \"weight\": {\"@attn\": {\"evolve\": [0.1, 10], \"log\": true, \"start\": 2, \"sigma\": 0.5}, \"*\": 1}},"
    "{\"from\": \"b\", \"weight\": {\"evolve\": [0, 1], \"name\": \"w\", \"simplex\": \"s\", \"total\": 2, \"per\": [\"@mlp\", \"*\"]}},"
    "{\"from\": \"a\", \"weight\": {\"evolve\": [0, 1], \"name\": \"w\", \"simplex\": \"s\", \"total\": 2, \"per\": [\"@mlp\", \"*\"], \"start\": 1}}],"
    "\"rank\": {\"evolve\": true}, \"shape\": {\"choice\": [\"flat\", \"steep\"], \"per\": \"layer\"}, \"centre\": {\"choice\": [true, false]}}," HIT "," PS));
  const EvoSearchSpec *s = &evo_graph_find (g, "ps")->search;
  static const char *const names[] = { "mix.share", "mix.b.weight[@attn]", "w", "mix.rank", "mix.shape", "mix.centre" };
  const EvoNode *mix = evo_graph_find (g, "mix");

  g_assert_cmpuint (s->n_genes, ==, G_N_ELEMENTS (names));
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpstr (s->genes[i]->name, ==, names[i]);
  g_assert_true (s->genes[0]->low == 0.1 && s->genes[0]->high == 0.9 && s->genes[0]->per == EVO_PER_GROUP && s->genes[0]->per_n == 2);
  g_assert_true (s->genes[1]->is_log && s->genes[1]->start == 2 && s->genes[1]->sigma == 0.5 && s->genes[1]->per == EVO_PER_MODEL);
  g_assert_true (isnan (s->genes[0]->start) && isnan (s->genes[0]->sigma));
  g_assert_true (s->genes[2]->per == EVO_PER_SELECTORS && s->genes[2]->simplex_total == 2 && s->genes[2]->start == 1);
  g_assert_true (edge_value (mix, 1, "weight")->gene == s->genes[2] && edge_value (mix, 2, "weight")->gene == s->genes[2]);
  g_assert_cmpstr (s->genes[2]->simplex, ==, "s");
  g_assert_true (s->genes[3]->is_int && s->genes[3]->low == 2 && s->genes[3]->high == 16);
  g_assert_true (s->genes[4]->is_choice && s->genes[4]->n_choices == 2 && s->genes[4]->choices[1] == 2 && s->genes[4]->per == EVO_PER_LAYER);
  g_assert_true (s->genes[5]->is_choice && s->genes[5]->choices[0] == 1);
  g_assert_true (mix->has_genes && mix->searched_by == evo_graph_find (g, "ps") && s->target == mix && s->n_merges == 1);
}

/* The second edge from a source has #2 in its genes' names, and is called so by --set. */
static void
test_occurrences (void)
{
  static const char *const sets[] = { "mix.a#2.weight={\"evolve\": [0, 3]}", "mix.a.weight=0.5", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) g = read_with (PIPELINE (A ", \"mix\": {\"use\": \"merge.linear\", \"in\": [\"a\", \"a\"]}," HIT "," PS), sets, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (evo_graph_find (g, "ps")->search.genes[0]->name, ==, "mix.a#2.weight");
  g_assert_cmpfloat (edge_value (evo_graph_find (g, "mix"), 0, "weight")->scalar, ==, 0.5);
}

/* ------------------------------------------------------------------ searches */

static const char two_stages[] = PIPELINE (A "," B "," MIX "," HIT "," PS
  ", \"again\": {\"use\": \"optimizer.random\", \"minimize\": {\"from\": \"hit\", \"weight\": 3}, \"stall\": 4, \"minutes\": 0.5},"
  "\"inner\": {\"use\": \"merge.linear\", \"in\": [\"mix\", {\"from\": \"ps\", \"weight\": {\"evolve\": [0, 2]}}]},"
  "\"outer\": {\"use\": \"merge.slerp\", \"in\": [\"inner\", \"b\"], \"t\": {\"evolve\": [0, 1]}},"
  "\"right\": {\"use\": \"evaluator.exact-match\", \"in\": [\"outer\"], \"data\": \"/d.jsonl\", \"template\": \"plain\", \"limit\": 3, \"shuffle\": true},"
  "\"check\": {\"use\": \"evaluator.exact-match\", \"in\": [\"outer\"], \"data\": \"d.tsv\", \"columns\": [\"q\", \"answer\"], \"template\": \"t.txt\","
  " \"sample\": 9, \"language_test\": \"script\", \"format\": \"tsv\"},"
  "\"hybrid\": {\"use\": \"optimizer.random\", \"maximize\": [\"right\"], \"trials\": 8, \"sample\": {\"items\": 2}, \"validate\": \"check\","
  " \"start_from\": [{\"outer.t\": 0.25, \"note\": \"n\"}, {}]},"
  "\"exam\": {\"use\": \"evaluator.perplexity\", \"in\": [\"hybrid\", \"ps\", \"b\"], \"data\": \"t.txt\", \"format\": \"lines\", \"against\": \"ps\"}");

static void
test_searches (void)
{
  g_autoptr (EvoGraph) g = read_good (two_stages);
  const EvoNode *ps = evo_graph_find (g, "ps"), *again = evo_graph_find (g, "again"), *hybrid = evo_graph_find (g, "hybrid");
  const EvoSearchSpec *s = &hybrid->search;

  g_assert_true (ps->search.genes[0] == again->search.genes[0] && ps->search.n_genes == 1 && again->search.n_genes == 1);
  g_assert_true (again->search.objectives[0].weight == -3 && again->search.stall == 4 && again->search.minutes == 0.5 && again->search.trials == 0);
  g_assert_true (evo_graph_find (g, "mix")->searched_by == ps && evo_graph_find (g, "inner")->searched_by == hybrid);
  g_assert_cmpuint (s->n_merges, ==, 3);
  g_assert_cmpstr (s->merges[0]->name, ==, "mix");
  g_assert_cmpstr (s->merges[1]->name, ==, "inner");
  g_assert_cmpstr (s->merges[2]->name, ==, "outer");
  g_assert_true (s->target == s->merges[2] && s->n_genes == 3 && s->sample_items == 2 && s->validate == evo_graph_find (g, "check"));
  g_assert_cmpstr (s->genes[0]->name, ==, "mix.a.weight");
  g_assert_cmpstr (s->genes[1]->name, ==, "inner.ps.weight");
  g_assert_cmpstr (s->genes[2]->name, ==, "outer.t");
  g_assert_cmpuint (evo_json_size (s->start_from), ==, 2);
  g_assert_true (s->objectives[0].weight == 1 && s->trials == 8 && !hybrid->has_genes);
  g_assert_false (s->validate->is_exam);
}

static void
test_evaluators (void)
{
  g_autoptr (EvoGraph) g = read_good (two_stages);
  const EvoEvaluatorSpec *right = &evo_graph_find (g, "right")->eval, *check = &evo_graph_find (g, "check")->eval;
  const EvoNode *exam = evo_graph_find (g, "exam");
  g_autofree char *plain = g_build_filename (folder, "data/pipelines/templates/plain.txt", NULL);

  g_assert_cmpstr (right->data, ==, "/d.jsonl");
  g_assert_cmpstr (right->template_file, ==, plain);
  g_assert_cmpstr (right->template_name, ==, "plain");
  g_assert_true (right->limit == 3 && right->shuffle && right->sample == 0 && right->language_test == 0 && right->format == NULL);
  g_assert_cmpstr (check->data, ==, "/home/d.tsv");
  g_assert_cmpstr (check->template_file, ==, "/home/t.txt");
  g_assert_cmpstr (check->format, ==, "tsv");
  g_assert_true (check->sample == 9 && check->language_test == 1 && check->columns.n == 2 && !check->shuffle);
  g_assert_cmpstr (check->columns.items[1], ==, "answer");
  g_assert_true (exam->is_exam && exam->eval.against == evo_graph_find (g, "ps") && exam->n_in == 3);
}

static void
test_saves (void)
{
  g_autoptr (EvoGraph) g = read_good ("{\"evopipe\": 1, \"nodes\": {" A "," B "}, \"save\": {\"note\": \"n\", \"a\": \"out/a\", \"b\": {\"path\": \"out/b\","
                                      "\"dtype\": \"f32\", \"shard_size\": \"1.5GB\"}}}");
  const EvoNode *a = evo_graph_find (g, "a"), *b = evo_graph_find (g, "b");

  g_assert_cmpstr (a->save_path, ==, "out/a");
  g_assert_cmpstr (b->save_path, ==, "out/b");
  g_assert_true (a->save_dtype.all == EVO_DTYPE_NONE && a->save_shard_bytes == 0 && b->save_dtype.all == EVO_DTYPE_F32 && b->save_shard_bytes == 1500000000);
  g_assert_null (evo_graph_get_warnings (g)[0]);
}

static void
test_streams (void)
{
  const char *text = "{\"evopipe\": 1, \"seed\": 3, \"nodes\": {" A "," B ", \"x\": {\"use\": \"merge.dare-ties\", \"base\": \"a\", \"in\": \"b\"},"
                     "\"y\": {\"use\": \"merge.dare-ties\", \"seed\": 5, \"base\": \"a\", \"in\": \"b\", \"masks\": \"trial\"},"
                     "\"z\": {\"use\": \"merge.dare-ties\", \"base\": \"a\", \"in\": \"b\", \"masks\": {\"trial\": 16}}}}";
  EvoGraphOptions options = { NULL, TRUE, 4 };
  g_autoptr (EvoGraph) g = read_good (text), other = evo_graph_new_from_text (text, -1, "p.json", "/", registry, &options, NULL);

  g_assert_cmpuint (evo_graph_find (g, "x")->stream, ==, evo_random_mix_text (3, "x"));
  g_assert_cmpuint (evo_graph_find (g, "y")->stream, ==, evo_random_mix_text (5, "y"));
  g_assert_cmpuint (evo_graph_find (g, "z")->stream, ==, evo_random_mix (evo_random_mix_text (3, "z"), 17));
  g_assert_true (evo_graph_find (g, "y")->masks_per_trial && !evo_graph_find (g, "x")->masks_per_trial && !evo_graph_find (g, "z")->masks_per_trial);
  g_assert_cmpuint (evo_graph_get_seed (other), ==, 4);
  g_assert_cmpuint (evo_graph_find (other, "x")->stream, ==, evo_random_mix_text (4, "x"));
  g_assert_cmpuint (evo_graph_find (other, "y")->stream, ==, evo_random_mix_text (5, "y"));
}

/* ------------------------------------------------------------------ variables and --set */

static void
test_variables (void)
{
  g_autoptr (EvoGraph) g = NULL;
  const EvoNode *a, *x;

  g_setenv ("EVO_TEST_T", "[0, 0.75]", TRUE);
  g_setenv ("EVO_TEST_HOME", "/models", TRUE);
  g_setenv ("EVO_TEST_ODD", "${EVO_TEST_HOME}", TRUE);
  g = read_good ("{\"evopipe\": 1, \"title\": \"${EVO_TEST_ODD}\", \"note\": \"${EVO_TEST_UNSET}\", \"nodes\": {"
                 "\"a\": {\"use\": \"model.llm\", \"path\": \"${EVO_TEST_HOME}/$$${EVO_TEST_HOME}$\"}," B ","
                 "\"x\": {\"use\": \"merge.slerp\", \"in\": [\"a\", \"b\"], \"t\": \"${EVO_TEST_T}\"}}}");
  a = evo_graph_find (g, "a");
  x = evo_graph_find (g, "x");
  g_assert_cmpstr (*(char **) bound (a, a->params, "path"), ==, "/models/$${EVO_TEST_HOME}$");
  g_assert_cmpstr (evo_graph_get_title (g), ==, "${EVO_TEST_HOME}");
  g_assert_true (x->values[0]->kind == EVO_VALUE_GRADIENT && x->values[0]->list[1] == 0.75);

  /* what is written reads back as it was, though it looks like variables */
  g_autofree char *json = evo_graph_to_json (g);
  g_autoptr (EvoGraph) again = read_good (json);
  a = evo_graph_find (again, "a");
  g_assert_cmpstr (*(char **) bound (a, a->params, "path"), ==, "/models/$${EVO_TEST_HOME}$");
  g_assert_cmpstr (evo_graph_get_title (again), ==, "${EVO_TEST_HOME}");
}

static void
test_sets (void)
{
  static const char *const sets[] = { "ps.trials=5", "ps.trials=6", "mix.b.weight=0.25", "mix.a.weight={\"evolve\": [1, 2]}", "hit.language=ja",
                                      "hit.data=/x y.jsonl", "mix.normalize=false", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) g = read_with (PIPELINE (A "," B "," MIX "," HIT "," PS), sets, &error);
  const EvoNode *mix, *hit;

  g_assert_no_error (error);
  mix = evo_graph_find (g, "mix");
  hit = evo_graph_find (g, "hit");
  g_assert_cmpint (evo_graph_find (g, "ps")->search.trials, ==, 6);
  g_assert_cmpfloat (edge_value (mix, 0, "weight")->scalar, ==, 0.25);
  g_assert_cmpfloat (edge_value (mix, 1, "weight")->gene->low, ==, 1);
  g_assert_cmpstr (hit->eval.data, ==, "/x y.jsonl");
  g_assert_cmpstr (*(char **) bound (hit, hit->params, "language"), ==, "ja");
  g_assert_false (*(gboolean *) bound (mix, mix->params, "normalize"));
}

static void
test_broken_sets (void)
{
  static const struct { const char *set, *message; int exit_code; } cases[] = {
    { "mix", "--set \"mix\": needs the form NODE.PARAM=VALUE or NODE.EDGE.PARAM=VALUE", 2 },
    { "mix=1", "--set \"mix=1\": needs the form NODE.PARAM=VALUE or NODE.EDGE.PARAM=VALUE", 2 },
    { "mix.a.weight.evolve=1", "--set \"mix.a.weight.evolve=1\": needs the form NODE.PARAM=VALUE or NODE.EDGE.PARAM=VALUE", 2 },
    { "mxi.t=1", "--set \"mxi.t=1\": there is no node \"mxi\"; did you mean \"mix\"?", 2 },
    { "mix.c.weight=1", "--set \"mix.c.weight=1\": \"mix\" has no edge from \"c\"; did you mean \"b\"?", 2 },
    { "mix.a#2.weight=1", "--set \"mix.a#2.weight=1\": \"mix\" has no edge from \"a#2\"; did you mean \"a\"?", 2 },
    { "mix.normalize=1", "--set mix.normalize: needs true or false, not a number", 2 },
    { "mix.normalise=true", "--set mix.normalise: merge.linear has no parameter \"normalise\"; did you mean \"normalize\"?", 2 },
    { "mix.a.weight={\"evolve\": [3, 1]}", "--set mix.a.weight/evolve: the low end 3 is not below the high end 1", 2 },
    { "ps.trials=many", "--set ps.trials: needs a whole number, not a string", 2 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *sets[] = { cases[i].set, NULL };
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoGraph) g = read_with (PIPELINE (A "," B "," MIX "," HIT "," PS), sets, &error);

    g_assert_null (g);
    g_assert_cmpstr (error->message, ==, cases[i].message);
    g_assert_cmpint (evo_error_exit_code (error), ==, cases[i].exit_code);
  }
}

/* ------------------------------------------------------------------ written again */

static void
test_round_trip (void)
{
  g_autoptr (EvoGraph) g = read_good (two_stages), again = NULL;
  g_autofree char *json = evo_graph_to_json (g), *twice = NULL;
  g_auto (GStrv) identity = evo_graph_identity (g), later = NULL;

  again = evo_graph_new_from_text (json, -1, "p.json", "/elsewhere", registry, NULL, NULL);
  g_assert_nonnull (again);
  twice = evo_graph_to_json (again);
  later = evo_graph_identity (again);
  g_assert_cmpstr (json, ==, twice);
  g_assert_true (g_strv_equal ((const char *const *) identity, (const char *const *) later));
  g_assert_nonnull (strstr (json, "\"path\": \"/home/m/a\""));
  g_assert_nonnull (strstr (json, "\"template\": \"/home/t.txt\""));
  g_assert_nonnull (strstr (json, "\"template\": \"plain\""));
  g_assert_nonnull (strstr (json, "\"seed\": 0"));
  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++) {
    g_assert_cmpstr (evo_graph_get (g, i)->name, ==, evo_graph_get (again, i)->name);
    g_assert_cmpuint (evo_graph_get (g, i)->stream, ==, evo_graph_get (again, i)->stream);
  }
}

/* The first pair in which two pipelines differ, "key: this, that"; NULL: they are the same to a resumed run. */
static char *
first_difference (const char *set)
{
  const char *sets[] = { set, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) g = read_good (two_stages), other = read_with (two_stages, sets, &error);
  g_auto (GStrv) a = evo_graph_identity (g), b = NULL;

  g_assert_no_error (error);
  b = evo_graph_identity (other);
  for (guint i = 0; a[i] != NULL && b[i] != NULL; i += 2)
    if (!g_str_equal (a[i], b[i]) || !g_str_equal (a[i + 1], b[i + 1]))
      return g_strdup_printf ("%s: %s, %s", a[i], a[i + 1], g_str_equal (a[i], b[i]) ? b[i + 1] : b[i]);
  return NULL;
}

static void
test_identity (void)
{
  static const struct { const char *set, *difference; } cases[] = {
    { "hybrid.trials=99", NULL }, { "again.stall=9", NULL }, { "again.minutes=9", NULL }, { "hybrid.note=x", NULL }, { "exam.data=/other", NULL },
    { "exam.in=[\"b\", \"ps\"]", NULL }, { "outer.t={\"evolve\": [0.0, 1e0]}", NULL },
    { "outer.t={\"evolve\": [0, 2]}", "/nodes/outer/t/evolve/1: 1, 2" },
    { "a.path=/other", "/nodes/a/path: \"/home/m/a\", \"/other\"" },
    { "inner.mix.weight=2", "/nodes/inner/in/0: \"mix\", /nodes/inner/in/0/from" },
    { "right.limit=4", "/nodes/right/limit: 3, 4" },
    { "hybrid.sample={\"items\": 3}", "/nodes/hybrid/sample/items: 2, 3" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *difference = first_difference (cases[i].set);

    g_assert_cmpstr (difference, ==, cases[i].difference);
  }
}

/* The same nodes in another order are other dimensions; another dtype of a search's model gives other scores. */
static void
test_identity_of_searches (void)
{
  g_autoptr (EvoGraph) g = read_good ("{\"evopipe\": 1, \"nodes\": {" A "," B "," MIX "," HIT "," PS "}, \"save\": {\"ps\": {\"path\": \"o\", \"dtype\": \"f32\"}}}");
  g_auto (GStrv) pairs = evo_graph_identity (g);
  guint n = 0;

  for (guint i = 0; pairs[i] != NULL; i += 2) {
    n += g_str_equal (pairs[i], "/nodes/ps gene 0") && g_str_equal (pairs[i + 1], "mix.a.weight");
    n += g_str_equal (pairs[i], "/save/ps/dtype") && g_str_equal (pairs[i + 1], "F32");
    g_assert_false (g_str_has_prefix (pairs[i], "/save/ps/path"));
  }
  g_assert_cmpuint (n, ==, 2);
}

/* ------------------------------------------------------------------ recipes */

static char *
search_path (gpointer data, const EvoNode *search)
{
  return g_strconcat ("/run/", search->name, NULL);
}

/* Numbers the genes as layout/genes.c does. */
static double *
bind_genes (EvoGraph *g, gint32 n_layers)
{
  GArray *x = g_array_new (FALSE, FALSE, sizeof (double));

  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++) {
    const EvoSearchSpec *s = &evo_graph_get (g, i)->search;

    for (guint j = 0; j < s->n_genes; j++) {
      if (s->genes[j]->n > 0)
        continue;
      g_assert_true (evo_gene_bind (s->genes[j], n_layers, NULL));
      s->genes[j]->first = x->len;
      for (guint k = 0; k < s->genes[j]->n; k++) {
        double v = 0.125 * (x->len + 1);

        g_array_append_val (x, v);
      }
    }
  }
  return (double *) g_array_free (x, FALSE);
}

static char *
recipe_of (EvoGraph *g, const char *name, gint64 trial)
{
  g_autofree gint32 *n_layers = g_new0 (gint32, evo_graph_get_n_nodes (g));
  g_autofree double *x = bind_genes (g, 2);

  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++)
    n_layers[i] = 2;
  return evo_graph_to_recipe (g, evo_graph_find (g, name), x, trial, search_path, NULL, n_layers);
}

static void
test_recipe (void)
{
  g_autoptr (EvoGraph) g = read_good (two_stages), r = NULL;
  g_autofree char *recipe = recipe_of (g, "hybrid", 3);
  const EvoNode *ps;

  r = read_good (recipe);
  ps = evo_graph_find (r, "ps");
  g_assert_cmpuint (evo_graph_get_n_nodes (r), ==, 6);
  g_assert_cmpstr (ps->plugin->name, ==, "model.llm");
  g_assert_cmpstr (*(char **) bound (ps, ps->params, "path"), ==, "/run/ps");
  g_assert_cmpfloat (edge_value (evo_graph_find (r, "mix"), 1, "weight")->scalar, ==, 0.125);
  g_assert_cmpfloat (edge_value (evo_graph_find (r, "inner"), 1, "weight")->scalar, ==, 0.25);
  g_assert_cmpfloat (evo_graph_find (r, "outer")->values[0]->scalar, ==, 0.375);
  g_assert_cmpstr (evo_graph_find (r, "outer")->save_path, ==, "model");
  g_assert_null (evo_graph_get_warnings (r)[0]);
}

/* Everything a merge can say comes back: streams, masks of the winner, bound and varying parameters, the dtype that is saved. */
static void
test_recipe_of_odd (void)
{
  g_autoptr (EvoGraph) g = read_good ("{\"evopipe\": 1, \"seed\": 11, \"nodes\": {" A "," B ","
    "\"mix\": {\"use\": \"merge.odd\", \"seed\": 5, \"dtype\": \"bf16\", \"masks\": \"trial\", \"base\": {\"from\": \"b\"}, \"table\": \"t\", \"tags\": [\"$${u\"],"
    "\"curve\": [0.1], \"rank\": {\"choice\": [2, 9]}, \"centre\": true, \"shape\": {\"@attn\": \"steep\"}, \"share\": [0.5, 1], \"fisher\": \"f\","
    "\"in\": [\"a\", {\"from\": \"a\", \"weight\": {\"evolve\": [0, 1], \"per\": \"layer\"}, \"label\": \"L\", \"fisher\": \"g\"}]}," HIT "," PS "},"
    "\"save\": {\"ps\": {\"path\": \"out\", \"dtype\": \"f16\", \"shard_size\": 5000}}}"), r = NULL;
  g_autofree char *recipe = recipe_of (g, "ps", 41), *again = NULL;
  const EvoNode *mix, *old = evo_graph_find (g, "mix");

  r = read_good (recipe);
  mix = evo_graph_find (r, "mix");
  g_assert_cmpuint (mix->stream, ==, evo_random_mix (old->stream, 42));
  g_assert_true (mix->dtype.all == EVO_DTYPE_BF16 && mix->base.from == evo_graph_find (r, "b") && !mix->has_genes);
  g_assert_true (mix->save_dtype.all == EVO_DTYPE_F16 && mix->save_shard_bytes == 5000);
  g_assert_cmpstr (*(char **) bound (mix, mix->params, "table"), ==, "/home/t");
  g_assert_cmpstr (((EvoStrings *) bound (mix, mix->params, "tags"))->items[0], ==, "${u");
  g_assert_cmpfloat (((EvoNumbers *) bound (mix, mix->params, "curve"))->items[0], ==, 0.1);
  g_assert_cmpfloat (mix->values[param (mix, "rank") - mix->plugin->op->params]->scalar, ==, 2);
  g_assert_cmpstr (*(char **) bound (mix, mix->in[0].params, "fisher"), ==, "/home/f");
  g_assert_cmpstr (*(char **) bound (mix, mix->in[1].params, "fisher"), ==, "/home/g");
  g_assert_cmpstr (*(char **) bound (mix, mix->in[1].params, "label"), ==, "L");
  g_assert_true (mix->in[1].occurrence == 1 && edge_value (mix, 1, "weight")->kind == EVO_VALUE_SELECT);
  again = recipe_of (r, "mix", -1);
  g_assert_cmpstr (recipe, ==, again); /* a recipe's recipe is itself */
}

/* ------------------------------------------------------------------ files */

static void
test_examples (void)
{
  g_autofree char *examples = g_build_filename (g_getenv ("EVO_SOURCE"), "pipelines/examples", NULL);
  g_autoptr (GDir) dir = g_dir_open (examples, 0, NULL);
  const char *name;
  guint n = 0;

  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (examples, name, NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoGraph) g = NULL;

    if (!g_str_has_suffix (name, ".json"))
      continue;
    g = evo_graph_new_from_file (path, registry, NULL, &error);
    g_assert_no_error (error);
    g_assert_null (evo_graph_get_warnings (g)[0]);
    n++;
  }
  g_assert_cmpuint (n, >, 0);
}

static void
test_no_file (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_graph_new_from_file ("/no/such.json", registry, NULL, &error));
  g_assert_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX);
  g_assert_cmpstr (error->message, ==, "/no/such.json: cannot be read: No such file or directory");
}

/* Every value keeps its line, whatever variables and --set put beside it. */
static void
test_lines (void)
{
  static const char *const sets[] = { "mix.b.weight=2", "a.note=before", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) g = NULL;

  g_setenv ("EVO_TEST_T", "[0,\n\n1]", TRUE);
  g = read_with ("{ \"evopipe\": 1,\n\n  \"nodes\": {\n    \"a\": {\"use\":\n \"model.llm\", \"path\": \"${EVO_TEST_T}x\"},\n    \"b\": {\"use\": \"model.llm\","
                 "\"path\": \"b\"},\n\n    \"mix\": {\"use\": \"merge.linear\", \"in\":\n [\n  \"a\",\n  \"b\",\n  {\n  \"from\": \"a\",\n  \"weight\":\n \"x\"}]}}}",
                 sets, &error);
  g_assert_null (g);
  g_assert_cmpstr (error->message, ==, "p.json:15: /nodes/mix/in/2/weight: needs a number, not a string");
}

int
main (int argc, char **argv)
{
  const char *source = g_getenv ("EVO_SOURCE"), *build = g_getenv ("EVO_BUILD");
  g_autofree char *data = NULL, *merge = NULL, *optimizer = NULL;
  g_autoptr (GError) error = NULL;
  int rc;

  g_test_init (&argc, &argv, NULL);
  folder = g_build_filename (source, "tests/graph", NULL);
  data = g_build_filename (folder, "data", NULL);
  merge = g_build_filename (build, "tests/graph/odd-merge.so", NULL);
  optimizer = g_build_filename (build, "tests/graph/odd-optimizer.so", NULL);
  g_setenv ("EVOPIPE_DATA", data, TRUE);
  g_unsetenv ("EVO_TEST_UNSET");
  registry = evo_registry_new ();
  if (!evo_registry_load (registry, merge, &error) || !evo_registry_load (registry, optimizer, &error))
    g_error ("%s", error->message);
  g_test_add_func ("/graph/bad", test_bad);
  g_test_add_func ("/graph/order", test_order);
  g_test_add_func ("/graph/values", test_values);
  g_test_add_func ("/graph/genes", test_genes);
  g_test_add_func ("/graph/occurrences", test_occurrences);
  g_test_add_func ("/graph/searches", test_searches);
  g_test_add_func ("/graph/evaluators", test_evaluators);
  g_test_add_func ("/graph/saves", test_saves);
  g_test_add_func ("/graph/streams", test_streams);
  g_test_add_func ("/graph/variables", test_variables);
  g_test_add_func ("/graph/sets", test_sets);
  g_test_add_func ("/graph/broken-sets", test_broken_sets);
  g_test_add_func ("/graph/lines", test_lines);
  g_test_add_func ("/graph/round-trip", test_round_trip);
  g_test_add_func ("/graph/identity", test_identity);
  g_test_add_func ("/graph/identity-of-searches", test_identity_of_searches);
  g_test_add_func ("/graph/recipe", test_recipe);
  g_test_add_func ("/graph/recipe-of-odd", test_recipe_of_odd);
  g_test_add_func ("/graph/examples", test_examples);
  g_test_add_func ("/graph/no-file", test_no_file);
  rc = g_test_run ();
  evo_registry_free (registry);
  g_free (folder);
  return rc;
}
