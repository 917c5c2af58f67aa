/* SPDX-License-Identifier: Apache-2.0
 * test-space.c - genes as an optimizer sees them: ranges, logarithms, whole numbers, choices, simplexes; to the models' vector and back.
 */
#include <math.h>

#include "core/base/error.h"
#include "core/search/space.h"

enum { BEFORE = 2, ROOM = 64 }; /* genes of another search stand before ours in the graph-wide vector */

static EvoRegistry *registry;

typedef struct { EvoGraph *graph; EvoSpace space; } Made;

static void
made_clear (Made *m)
{
  evo_space_clear (&m->space);
  g_clear_pointer (&m->graph, evo_graph_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Made, made_clear)

/* A search over merge.dare-ties of two models with these members in the node and in the edge of "ja", bound to n_layers. */
static void
make (Made *m, const char *node, const char *edge, gint32 n_layers)
{
  g_autofree char *text = g_strdup_printf (
    "{\"evopipe\": 1, \"nodes\": {\"base\": {\"use\": \"model.llm\", \"path\": \"b\"}, \"ja\": {\"use\": \"model.llm\", \"path\": \"j\"},"
    "\"math\": {\"use\": \"model.llm\", \"path\": \"m\"}, \"blend\": {\"use\": \"merge.dare-ties\", \"base\": \"base\"%s,"
    "\"in\": [{\"from\": \"ja\"%s}, \"math\"]}, \"solved\": {\"use\": \"evaluator.exact-match\", \"in\": [\"blend\"], \"data\": \"d.jsonl\"},"
    "\"ps\": {\"use\": \"optimizer.random\", \"maximize\": [\"solved\"], \"trials\": 3}}}", node, edge);
  g_autoptr (GError) error = NULL;
  guint first = BEFORE;

  m->graph = evo_graph_new_from_text (text, -1, "p.json", "/", registry, NULL, &error);
  g_assert_no_error (error);
  const EvoNode *ps = evo_graph_find (m->graph, "ps");
  for (guint i = 0; i < ps->search.n_genes; i++) {
    gboolean bound = evo_gene_bind (ps->search.genes[i], n_layers, &error);

    g_assert_no_error (error);
    g_assert_true (bound);
    ps->search.genes[i]->first = first;
    first += ps->search.genes[i]->n;
  }
  evo_space_init (&m->space, ps);
  g_assert_cmpuint (m->space.n, ==, first - BEFORE);
}

static void
new_vector (double x[ROOM])
{
  for (guint i = 0; i < ROOM; i++)
    x[i] = -77; /* what no gene is */
}

static void
check_dim (const Made *m, guint i, const char *name, EvoDimKind kind, double low, double high, double start, double sigma)
{
  const EvoDim *d = &m->space.dims[i];

  g_assert_cmpstr (d->name, ==, name);
  g_assert_cmpuint (d->kind, ==, kind);
  g_assert_cmpfloat (d->low, ==, low);
  g_assert_cmpfloat (d->high, ==, high);
  g_assert_cmpfloat (d->start, ==, start);
  g_assert_true (isnan (sigma) ? isnan (d->sigma) : d->sigma == sigma);
}

/* The point's vector; and, where it is inside, the point again. */
static void
check_scatter (const Made *m, const double *point, const double *expected, const char *json)
{
  double x[ROOM], y[ROOM], back[ROOM];
  g_autofree char *text = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;
  g_autoptr (GError) error = NULL;

  new_vector (x);
  new_vector (y);
  evo_space_scatter (&m->space, point, x);
  for (guint i = 0; i < ROOM; i++)
    g_assert_cmpfloat (x[i], ==, i >= BEFORE && i < BEFORE + m->space.n ? expected[i - BEFORE] : -77);
  text = evo_space_genes_json (&m->space, x);
  g_assert_cmpstr (text, ==, json);
  doc = evo_json_parse (text, -1, "journal", 0, 0, &error);
  g_assert_no_error (error);
  g_assert_true (evo_space_from_json (&m->space, evo_json_root (doc), y, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (x, sizeof x, y, sizeof y); /* the journal gives back the same bits */
  evo_space_gather (&m->space, x, back);
  new_vector (y);
  evo_space_scatter (&m->space, back, y);
  for (guint i = 0; i < m->space.n; i++) /* exp (log x) is x within 2 ulp: log errs by half an ulp of a number below 8, exp by one */
    g_assert_cmpfloat (fabs (y[BEFORE + i] - x[BEFORE + i]), <=, 4 * DBL_EPSILON * fabs (x[BEFORE + i]));
}

static void
test_real (void)
{
  g_auto (Made) m = { NULL };

  make (&m, "", ", \"weight\": {\"evolve\": [-1, 3], \"start\": 0.5, \"sigma\": 0.25}, \"density\": {\"evolve\": true}", 4);
  g_assert_cmpuint (m.space.n, ==, 2);
  check_dim (&m, 0, "blend.ja.weight", EVO_DIM_REAL, -1, 3, 0.5, 1); /* sigma is a share of the range */
  check_dim (&m, 1, "blend.ja.density", EVO_DIM_REAL, 0.1, 1, 0.55, NAN);
  check_scatter (&m, (double[]){ 0.3, 0.7 }, (double[]){ 0.3, 0.7 }, "{\"blend.ja.weight\":0.3,\"blend.ja.density\":0.7}");
  check_scatter (&m, (double[]){ -1.5, 7 }, (double[]){ -1, 1 }, "{\"blend.ja.weight\":-1,\"blend.ja.density\":1}");
  check_scatter (&m, (double[]){ 1.0 / 3, 0.1 }, (double[]){ 1.0 / 3, 0.1 }, "{\"blend.ja.weight\":0.3333333333333333,\"blend.ja.density\":0.1}");
}

static void
test_log (void)
{
  g_auto (Made) m = { NULL };
  double x[ROOM];

  make (&m, "", ", \"weight\": {\"evolve\": [0.01, 1], \"log\": true, \"sigma\": 0.5}, \"density\": {\"evolve\": [0.25, 1], \"log\": true, \"start\": 0.5}", 4);
  check_dim (&m, 0, "blend.ja.weight", EVO_DIM_REAL, log (0.01), 0, log (sqrt (0.01 * 1)), 0.5 * -log (0.01));
  check_dim (&m, 1, "blend.ja.density", EVO_DIM_REAL, log (0.25), 0, log (0.5), NAN);
  new_vector (x);
  evo_space_scatter (&m.space, (double[]){ log (0.01), 0 }, x);
  g_assert_cmpfloat (x[BEFORE], >=, 0.01); /* whatever exp and log round to, never outside */
  g_assert_cmpfloat (x[BEFORE + 1], ==, 1);
  evo_space_scatter (&m.space, (double[]){ -1000, 1000 }, x);
  g_assert_cmpfloat (x[BEFORE], ==, 0.01);
  g_assert_cmpfloat (x[BEFORE + 1], ==, 1);
  check_scatter (&m, (double[]){ 0, log (0.5) }, (double[]){ 1, 0.5 }, "{\"blend.ja.weight\":1,\"blend.ja.density\":0.5}");
}

static void
test_int (void)
{
  g_auto (Made) m = { NULL };

  make (&m, "", ", \"weight\": {\"evolve\": [-2, 5], \"int\": true}, \"density\": {\"evolve\": [0, 1], \"int\": true, \"start\": 1}", 4);
  check_dim (&m, 0, "blend.ja.weight", EVO_DIM_INTEGER, -2, 5, 1.5, NAN);
  check_dim (&m, 1, "blend.ja.density", EVO_DIM_INTEGER, 0, 1, 1, NAN);
  check_scatter (&m, (double[]){ 2.5, 0.49 }, (double[]){ 3, 0 }, "{\"blend.ja.weight\":3,\"blend.ja.density\":0}");
  check_scatter (&m, (double[]){ -2.4, 0.5 }, (double[]){ -2, 1 }, "{\"blend.ja.weight\":-2,\"blend.ja.density\":1}");
  check_scatter (&m, (double[]){ -3, 99 }, (double[]){ -2, 1 }, "{\"blend.ja.weight\":-2,\"blend.ja.density\":1}");
}

static void
test_int_log (void)
{
  g_auto (Made) m = { NULL };

  make (&m, "", ", \"weight\": {\"evolve\": [1, 100], \"int\": true, \"log\": true}", 4);
  check_dim (&m, 0, "blend.ja.weight", EVO_DIM_REAL, 0, log (100), log (10), NAN);
  check_scatter (&m, (double[]){ log (31.6) }, (double[]){ 32 }, "{\"blend.ja.weight\":32}");
  check_scatter (&m, (double[]){ -5 }, (double[]){ 1 }, "{\"blend.ja.weight\":1}");
}

static void
test_choice (void)
{
  g_auto (Made) m = { NULL };

  make (&m, ", \"rescale\": {\"choice\": [\"none\", \"l1\", \"density\"]}, \"normalize\": {\"choice\": [true, false]}",
        ", \"weight\": {\"choice\": [0.5, 1, 2.25]}", 4);
  g_assert_cmpuint (m.space.n, ==, 3);
  check_dim (&m, 0, "blend.rescale", EVO_DIM_CHOICE, 0, 2, 0, NAN);
  check_dim (&m, 1, "blend.normalize", EVO_DIM_CHOICE, 0, 1, 0, NAN);
  check_dim (&m, 2, "blend.ja.weight", EVO_DIM_CHOICE, 0, 2, 0, NAN);
  g_assert_cmpuint (m.space.dims[0].n_choices, ==, 3);
  check_scatter (&m, (double[]){ 0, 0, 0 }, (double[]){ 0, 0, 0 }, "{\"blend.rescale\":\"none\",\"blend.normalize\":true,\"blend.ja.weight\":0.5}");
  check_scatter (&m, (double[]){ 1.2, 0.6, 9 }, (double[]){ 1, 1, 2 }, "{\"blend.rescale\":\"l1\",\"blend.normalize\":false,\"blend.ja.weight\":2.25}");
  check_scatter (&m, (double[]){ 2, -4, 1 }, (double[]){ 2, 0, 1 }, "{\"blend.rescale\":\"density\",\"blend.normalize\":true,\"blend.ja.weight\":1}");
}

static void
test_per (void)
{
  g_auto (Made) m = { NULL };
  static const char *const names[] = { "blend.ja.weight[embed]", "blend.ja.weight[layer 0]", "blend.ja.weight[layer 1]", "blend.ja.weight[layer 2]",
                                       "blend.ja.weight[head]", "blend.ja.density[layers 0-1]", "blend.ja.density[layer 2]" };

  make (&m, "", ", \"weight\": {\"evolve\": [0, 1], \"per\": \"layer\"}, \"density\": {\"evolve\": [0, 1], \"per\": \"group:2\"}", 3);
  g_assert_cmpuint (m.space.n, ==, G_N_ELEMENTS (names));
  for (guint i = 0; i < m.space.n; i++)
    check_dim (&m, i, names[i], EVO_DIM_REAL, 0, 1, 0.5, NAN);
  check_scatter (&m, (double[]){ 0, .1, .2, .3, .4, .5, .6 }, (double[]){ 0, .1, .2, .3, .4, .5, .6 },
                 "{\"blend.ja.weight[embed]\":0,\"blend.ja.weight[layer 0]\":0.1,\"blend.ja.weight[layer 1]\":0.2,\"blend.ja.weight[layer 2]\":0.3,"
                 "\"blend.ja.weight[head]\":0.4,\"blend.ja.density[layers 0-1]\":0.5,\"blend.ja.density[layer 2]\":0.6}");
}

/* The optimizer and the journal see the genes as they are; what is merged is their share, dimension by dimension. */
static void
test_simplex (void)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;
  double x[ROOM];

  make (&m, "", ", \"weight\": {\"evolve\": [0, 1], \"simplex\": \"s\", \"total\": 3}, \"density\": {\"evolve\": [0, 1], \"simplex\": \"s\", \"total\": 3}", 4);
  check_scatter (&m, (double[]){ 0.25, 0.5 }, (double[]){ 0.25, 0.5 }, "{\"blend.ja.weight\":0.25,\"blend.ja.density\":0.5}");
  new_vector (x);
  evo_space_scatter (&m.space, (double[]){ 0.25, 0.5 }, x);
  g_assert_true (evo_genes_apply_simplex (m.space.genes, m.space.n_genes, x, &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (x[BEFORE], ==, 0.25 / 0.75 * 3);
  g_assert_cmpfloat (x[BEFORE + 1], ==, 0.5 / 0.75 * 3);
  g_assert_cmpfloat (x[BEFORE - 1], ==, -77);
  evo_space_scatter (&m.space, (double[]){ 0, 0 }, x);
  g_assert_false (evo_genes_apply_simplex (m.space.genes, m.space.n_genes, x, &error));
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
  g_assert_cmpstr (error->message, ==, "simplex s: blend.ja.weight and its like sum to 0; they cannot be divided by that");
  g_assert_cmpfloat (x[BEFORE], ==, 0); /* untouched */
}

/* ------------------------------------------------------------------ points that users and journals write */

static void
check_read (const Made *m, const char *text, const double *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, -1, "p.json", 0, 0, &error);
  double x[ROOM];

  g_assert_no_error (error);
  new_vector (x);
  g_assert_true (evo_space_from_json (&m->space, evo_json_root (doc), x, &error));
  g_assert_no_error (error);
  for (guint i = 0; i < m->space.n; i++)
    g_assert_cmpfloat (x[BEFORE + i], ==, expected[i]);
}

static void
check_refused (const Made *m, const char *text, GQuark domain, gint code, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, -1, "p.json", 0, 0, &error);
  double x[ROOM];

  g_assert_no_error (error);
  new_vector (x);
  g_assert_false (evo_space_from_json (&m->space, evo_json_root (doc), x, &error));
  g_assert_error (error, domain, code);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_from_json (void)
{
  g_auto (Made) m = { NULL };
  const GQuark p = EVO_PARAM_ERROR, g = EVO_GRAPH_ERROR;

  make (&m, ", \"rescale\": {\"choice\": [\"none\", \"l1\"]}", ", \"weight\": {\"evolve\": [0, 2], \"per\": \"layer\"},"
        "\"density\": {\"evolve\": [0, 1], \"int\": true}", 1);
  check_read (&m, "{}", (double[]){ -77, -77, -77, -77, -77 });
  check_read (&m, "{\"note\": \"the published one\", \"blend.ja.weight[layer 0]\": 1.5}", (double[]){ -77, -77, 1.5, -77, -77 });
  check_read (&m, "{\"blend.ja.weight\": 1.25, \"blend.rescale\": \"l1\"}", (double[]){ 1, 1.25, 1.25, 1.25, -77 });
  check_read (&m, "{\"blend.ja.weight\": 1, \"blend.ja.weight[head]\": 2}", (double[]){ -77, 1, 1, 2, -77 }); /* the later one wins */
  check_refused (&m, "{\"blend.ja.wieght\": 1}", g, EVO_GRAPH_ERROR_UNKNOWN,
                 "p.json:1: /blend.ja.wieght: there is no gene of this name; did you mean \"blend.ja.density\"?");
  check_refused (&m, "{\"blend.ja.weight[layer 1]\": 1}", g, EVO_GRAPH_ERROR_UNKNOWN,
                 "p.json:1: /blend.ja.weight[layer 1]: there is no gene of this name; did you mean \"blend.ja.weight[layer 0]\"?");
  check_refused (&m, "{\"elsewhere\": 1}", g, EVO_GRAPH_ERROR_UNKNOWN, "p.json:1: /elsewhere: there is no gene of this name");
  check_refused (&m, "{\"blend.ja.weight\": 2.5}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.ja.weight: 2.5 is outside the gene's 0 ... 2");
  check_refused (&m, "{\"blend.ja.weight\": -1e-9}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.ja.weight: -1e-9 is outside the gene's 0 ... 2");
  check_refused (&m, "{\"blend.ja.density\": 0.5}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.ja.density: 0.5 is not a whole number, as the gene's are");
  check_refused (&m, "{\"blend.ja.density\": 1.5}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.ja.density: 1.5 is outside 0 ... 1");
  check_refused (&m, "{\"blend.rescale\": \"density\"}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.rescale: is none of the gene's choices");
  check_refused (&m, "{\"blend.rescale\": \"l2\"}", p, EVO_PARAM_ERROR_RANGE, "p.json:1: /blend.rescale: \"l2\" is none of density, l1, none; did you mean \"l1\"?");
  check_refused (&m, "{\"blend.ja.weight\": \"1\"}", p, EVO_PARAM_ERROR_TYPE, "p.json:1: /blend.ja.weight: needs a number, not a string");
  check_refused (&m, "{\"blend.ja.weight\": null}", p, EVO_PARAM_ERROR_TYPE, "p.json:1: /blend.ja.weight: needs a number, not null");
}

int
main (int argc, char **argv)
{
  int rc;

  g_test_init (&argc, &argv, NULL);
  registry = evo_registry_new ();
  g_test_add_func ("/space/real", test_real);
  g_test_add_func ("/space/log", test_log);
  g_test_add_func ("/space/int", test_int);
  g_test_add_func ("/space/int-log", test_int_log);
  g_test_add_func ("/space/choice", test_choice);
  g_test_add_func ("/space/per", test_per);
  g_test_add_func ("/space/simplex", test_simplex);
  g_test_add_func ("/space/from-json", test_from_json);
  rc = g_test_run ();
  evo_registry_free (registry);
  return rc;
}
