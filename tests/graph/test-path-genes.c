/* SPDX-License-Identifier: Apache-2.0
 * test-path-genes.c - genes of layer paths against what the encodings say, written another way: the published decoding above all.
 */
#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/graph/path/evolve.h"

enum { LAYERS = 32, M = 2 * LAYERS, REPEATS = 3, T = M * REPEATS };

static const gint32 n_layers[] = { LAYERS, LAYERS };

typedef struct { EvoRegistry *registry; EvoGraph *graph; EvoNode *stack; double *x; } Search;

static void
search_clear (Search *s)
{
  g_clear_pointer (&s->graph, evo_graph_free);
  g_clear_pointer (&s->registry, evo_registry_free);
  g_free (s->x);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Search, search_clear)

/* Genes lie behind each other in the vector, all zero at first. more: members of the node after "in" ('x' for "x"). */
static void
search_open (Search *s, const char *more)
{
  g_autofree char *text = g_strdup_printf (
    "{'evopipe': 1, 'nodes': {'a': {'use': 'model.llm', 'path': 'a'}, 'b': {'use': 'model.llm', 'path': 'b'},"
    " 'stack': {'use': 'merge.layer-path', 'in': ['a', 'b'], %s},"
    " 'cost': {'use': 'evaluator.cost', 'in': ['stack']}, 'dfs': {'use': 'optimizer.cma-es', 'minimize': ['cost'], 'trials': 9}}}", more);
  g_autoptr (GError) error = NULL;
  guint n = 0;

  s->registry = evo_registry_new ();
  s->graph = evo_graph_new_from_text (g_strdelimit (text, "'", '"'), -1, "p.json", "/", s->registry, NULL, &error);
  g_assert_no_error (error);
  s->stack = evo_graph_find (s->graph, "stack");
  g_assert_true (evo_path_genes_bind (s->stack, n_layers, &error));
  g_assert_no_error (error);
  EvoGene *genes[] = { s->stack->path_genes->path, s->stack->path_genes->input, s->stack->path_genes->scale };
  for (guint i = 0; i < G_N_ELEMENTS (genes); i++)
    if (genes[i] != NULL) {
      genes[i]->first = n;
      n += genes[i]->n;
    }
  s->x = g_new0 (double, n + 1);
}

static GArray *
decode (const Search *s)
{
  GArray *hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_path_genes_decode (s->stack, n_layers, s->x, hops, &error));
  g_assert_no_error (error);
  return hops;
}

/* "a0 a1 b3*0.5": scales that are not 1 are said. */
static char *
text_of (const GArray *hops)
{
  GString *t = g_string_new (NULL);

  for (guint i = 0; i < hops->len; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);

    g_string_append_printf (t, "%s%c%d", i == 0 ? "" : " ", 'a' + (int) h->input, h->layer);
    if (h->scale != 1)
      g_string_append_printf (t, "*%g", h->scale);
  }
  return g_string_free (t, FALSE);
}

static void
expect (const Search *s, const char *wanted)
{
  g_autoptr (GArray) hops = decode (s);
  g_autofree char *got = text_of (hops);

  g_assert_cmpstr (got, ==, wanted);
}

/* ------------------------------------------------------------------ the published form */

/* As the author of the paper's search gives it (paper's repository, issue 8): [0] + [i mod M where I_i > 0] + [31]; 1 for the first hop, then
 * 1 + W[before][current]. */
static void
test_published (void)
{
  g_auto (Search) s = { 0 };
  g_autoptr (GArray) hops = NULL;
  EvoRandom r;
  guint list[T + 2], n = 0;

  search_open (&s, "'repeats': 3, 'ends': 'published', 'path': {'evolve': 'path'}, 'scale': {'evolve': true, 'shape': 'matrix'}");
  g_assert_cmpuint (s.stack->path_genes->path->n, ==, T);
  g_assert_cmpuint (s.stack->path_genes->scale->n, ==, M * M);
  evo_random_init (&r, 7);
  for (guint i = 0; i < T + M * M; i++)
    s.x[i] = (evo_random_uniform (&r) - 0.5) / 50;
  list[n++] = 0;
  for (guint i = 0; i < T; i++)
    if (s.x[i] > 0)
      list[n++] = i % M;
  list[n++] = 31;
  hops = decode (&s);
  g_assert_cmpuint (hops->len, ==, n);
  for (guint i = 0; i < n; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);

    g_assert_cmpuint (h->input * LAYERS + (guint) h->layer, ==, list[i]);
    g_assert_cmpfloat (h->scale, ==, i == 0 ? 1 : 1 + s.x[T + list[i - 1] * M + list[i]]);
  }
}

/* +2 sigma for the first pass through A, so that the search begins near A itself; the others where the user says. */
static void
test_starts (void)
{
  g_auto (Search) s = { 0 };
  const EvoGene *g;

  search_open (&s, "'repeats': 2, 'path': {'evolve': 'path', 'sigma': 0.2, 'start': -0.25}");
  g = s.stack->path_genes->path;
  for (guint i = 0; i < g->n; i++)
    g_assert_cmpfloat (g->starts[i], ==, i < LAYERS ? 0.4 : -0.25);
  g_assert_cmpfloat (g->sigma, ==, 0.2);
  g_assert_cmpstr (g->labels[0], ==, "stack.path[a:0]");
  g_assert_cmpstr (g->labels[LAYERS + 5], ==, "stack.path[b:5]");
  g_assert_cmpstr (g->labels[M + 1], ==, "stack.path[a:1 #2]");
}

/* ------------------------------------------------------------------ ends */

static void
test_ends (void)
{
  static const guint on[] = { 0, 1, 31 }, off[] = { 5, 40 };
  g_auto (Search) once = { 0 }, published = { 0 };

  search_open (&once, "'path': {'evolve': 'path'}");
  search_open (&published, "'path': {'evolve': 'path'}, 'ends': 'published'");
  for (guint i = 0; i < M; i++)
    once.x[i] = published.x[i] = -1;
  expect (&once, "a0 a31");
  expect (&published, "a0 a31");
  for (guint i = 0; i < G_N_ELEMENTS (on); i++)
    once.x[on[i]] = published.x[on[i]] = 1;
  expect (&once, "a0 a1 a31");
  expect (&published, "a0 a0 a1 a31 a31");
  for (guint i = 0; i < G_N_ELEMENTS (off); i++)
    once.x[off[i]] = published.x[off[i]] = 1;
  expect (&once, "a0 a1 a5 a31 b8 a31");
  once.x[2] = 0; /* on is above 0 */
  expect (&once, "a0 a1 a5 a31 b8 a31");
}

/* ------------------------------------------------------------------ the other encodings and shapes */

static void
test_slots (void)
{
  g_auto (Search) s = { 0 };
  g_autoptr (GArray) none = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autoptr (GError) error = NULL;

  search_open (&s, "'path': {'evolve': 'path', 'encoding': 'slots'}, 'scale': {'evolve': [0.4, 1.5]}");
  g_assert_cmpuint (s.stack->path_genes->path->n, ==, LAYERS);
  g_assert_cmpuint (s.stack->path_genes->path->n_choices, ==, 3);
  g_assert_cmpfloat (s.stack->path_genes->path->start, ==, 1);
  g_assert_false (evo_path_genes_decode (s.stack, n_layers, s.x, none, &error)); /* all are skipped */
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
  s.x[2] = s.x[9] = 1;
  s.x[4] = 2;
  for (guint i = 0; i < LAYERS; i++)
    s.x[LAYERS + i] = 0.5 + i;
  expect (&s, "a2 b4*1.5 a9*1.5"); /* within the range, whatever is asked */
  s.x[LAYERS + 4] = 0.75;
  expect (&s, "a2 b4*0.75 a9*1.5");
}

static void
test_window (void)
{
  g_auto (Search) s = { 0 };

  search_open (&s, "'path': {'evolve': 'path', 'encoding': 'window', 'hops': 6, 'step': 3}");
  expect (&s, "a0 a1 a2 a3 a4 a5");
  s.x[0] = -1; /* no layer comes before the first */
  s.x[2] = -2;
  s.x[3] = 3;
  s.x[6 + 4] = 1;
  expect (&s, "a0 a1 a0 a4 b5 a6");
  s.x[5] = 40;
  expect (&s, "a0 a1 a0 a4 b5 a31");
}

/* The sum written out for one hidden unit: scale = 1 + w2 s (w . (i, j, t) + b1) + b2. */
static void
test_network (void)
{
  g_auto (Search) s = { 0 };
  g_autoptr (GArray) hops = NULL;
  static const double w[6] = { 0.3, -0.5, 0.7, 0.1, 2, -0.25 }; /* W1, b1, w2, b2 */

  search_open (&s, "'path': {'evolve': 'path', 'encoding': 'window', 'hops': 3}, 'scale': {'evolve': true, 'shape': 'network', 'hidden': 1}");
  g_assert_cmpuint (s.stack->path_genes->scale->n, ==, 6);
  expect (&s, "a0 a1 a2");
  memcpy (s.x + s.stack->path_genes->scale->first, w, sizeof w);
  s.x[2 * 3 - 1] = 1; /* the last hop is of b: layer 34 of 64 */
  hops = decode (&s);
  for (guint t = 1; t < 3; t++) {
    double i = 2 * (t - 1) / 63.0 - 1, j = 2 * (t == 2 ? 34 : t) / 63.0 - 1, sum = 0.3 * i - 0.5 * j + 0.7 * (t / 2.0) + 0.1;

    g_assert_cmpfloat_with_epsilon (g_array_index (hops, EvoPathHop, t).scale, 1 + 2 * (sum / (1 + fabs (sum))) - 0.25, 1e-14);
  }
}

static void
test_fixed_path (void)
{
  g_auto (Search) s = { 0 };

  search_open (&s, "'path': ['a:0-1', 'b:7'], 'scale': {'evolve': [0.5, 2], 'start': 1}");
  g_assert_cmpuint (s.stack->path_genes->scale->n, ==, 3);
  g_assert_cmpstr (s.stack->path_genes->scale->labels[2], ==, "stack.scale[hop 2]");
  s.x[0] = 2; /* the first hop's scale is 1 */
  s.x[1] = 0.5;
  s.x[2] = 1.25;
  expect (&s, "a0 a1*0.5 b7*1.25");
}

/* ------------------------------------------------------------------ candidates that fail */

static void
test_failures (void)
{
  g_auto (Search) s = { 0 };
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autoptr (GError) error = NULL;

  search_open (&s, "'max_hops': 5, 'path': {'evolve': 'path', 'encoding': 'window', 'hops': 6}");
  g_assert_false (evo_path_genes_decode (s.stack, n_layers, s.x, hops, &error));
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
  g_assert_nonnull (strstr (error->message, "the path has 6 hops; max_hops allows 1 to 5"));
}

static void
test_products (void)
{
  g_auto (Search) s = { 0 };
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autoptr (GError) error = NULL;

  search_open (&s, "'path': ['a:0-31'], 'scale': {'evolve': [0.4, 1.6]}");
  for (guint i = 0; i < LAYERS; i++)
    s.x[i] = 0.4; /* 0.4^31 is below 2^-20 */
  g_assert_false (evo_path_genes_decode (s.stack, n_layers, s.x, hops, &error));
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
  g_assert_nonnull (strstr (error->message, "the product of the scales up to here is"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path-genes/published", test_published);
  g_test_add_func ("/path-genes/starts", test_starts);
  g_test_add_func ("/path-genes/ends", test_ends);
  g_test_add_func ("/path-genes/slots", test_slots);
  g_test_add_func ("/path-genes/window", test_window);
  g_test_add_func ("/path-genes/network", test_network);
  g_test_add_func ("/path-genes/fixed path", test_fixed_path);
  g_test_add_func ("/path-genes/failures", test_failures);
  g_test_add_func ("/path-genes/products", test_products);
  return g_test_run ();
}
