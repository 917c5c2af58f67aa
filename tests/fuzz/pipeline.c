/* SPDX-License-Identifier: Apache-2.0
 * pipeline.c - whatever bytes come, a pipeline is refused in one line, or written again it is the same, and so are the recipes of its models.
 *
 * What follows a NUL byte is a --set argument. Bytes that begin with 1 are edits: each next four say which value of a good pipeline gives way to
 * which other one. So most of what is tried is JSON, and wrong only in what it means.
 */
#include "tests/fuzz/driver.h"

#include "core/base/error.h"
#include "core/graph/graph.h"

enum { N_LAYERS = 5 };

static gsize n_good, n_bad, n_recipes;
static EvoRegistry *registry;

static const char good[] =
  "{\"evopipe\": 1, \"title\": \"t\", \"note\": \"n\", \"seed\": 3, \"nodes\": {"
  "\"a\": {\"use\": \"model.llm\", \"path\": \"m/a\"}, \"b\": {\"use\": \"model.llm\", \"path\": \"m/b\", \"dtype\": \"bf16\"},"
  "\"mix\": {\"use\": \"merge.ties\", \"base\": \"b\", \"normalize\": {\"choice\": [true, false]}, \"vote\": {\"choice\": [\"plain\", \"weighted\"],"
  " \"per\": \"group:2\"}, \"density\": {\"evolve\": [0.1, 1], \"log\": true, \"per\": \"control:3\", \"start\": 0.5, \"sigma\": 0.2}, \"in\": ["
  "{\"from\": \"a\", \"weight\": {\"evolve\": true, \"name\": \"w\", \"simplex\": \"s\", \"total\": 2, \"per\": \"layer\"}},"
  "{\"from\": \"a\", \"weight\": {\"evolve\": [0, 3], \"simplex\": \"s\", \"total\": 2, \"per\": \"layer\"}}]},"
  "\"dare\": {\"use\": \"merge.dare-ties\", \"base\": \"a\", \"masks\": \"trial\", \"seed\": 4, \"lambda\": {\"@attn\": 0.5, \"@layers:0-2\": [0, 1],"
  " \"*\": 1}, \"in\": [\"b\", {\"from\": \"b\", \"density\": [0.1, 0.9], \"note\": \"y\"}]},"
  "\"hit\": {\"use\": \"evaluator.exact-match\", \"in\": \"mix\", \"data\": \"d.jsonl\", \"shuffle\": true, \"limit\": 3, \"stop\": [\"x\"]},"
  "\"val\": {\"use\": \"evaluator.perplexity\", \"in\": [\"mix\"], \"data\": \"v.txt\", \"format\": \"lines\", \"template\": \"t.txt\"},"
  "\"ps\": {\"use\": \"optimizer.cma-es\", \"maximize\": {\"from\": \"hit\", \"weight\": 2}, \"minutes\": 1.5, \"stall\": 3,"
  " \"sample\": {\"items\": 2, \"per\": \"generation\"}, \"validate\": \"val\", \"start_from\": [{\"w[embed]\": 1}]},"
  "\"two\": {\"use\": \"merge.slerp\", \"in\": [\"ps\", \"mix\"], \"t\": {\"evolve\": [0, 1], \"per\": [\"@attn\", \"*\"]}},"
  "\"h2\": {\"use\": \"evaluator.choice\", \"in\": \"two\", \"data\": \"c.csv\", \"columns\": [\"q\", \"a\"], \"sample\": 9},"
  "\"s2\": {\"use\": \"optimizer.random\", \"maximize\": [\"h2\"], \"trials\": 7},"
  "\"exam\": {\"use\": \"evaluator.exact-match\", \"in\": [\"s2\", \"ps\", \"dare\"], \"data\": \"e.tsv\", \"against\": \"ps\"}},"
  "\"save\": {\"s2\": \"out\", \"dare\": {\"path\": \"o\", \"dtype\": \"f16\", \"shard_size\": \"5MB\"}}}";

/* All values below v, v first. */
static void
collect (const EvoJson *v, GPtrArray *out)
{
  g_ptr_array_add (out, (gpointer) v);
  for (guint i = 0; i < evo_json_size (v); i++)
    collect (evo_json_at (v, i), out);
}

static void
write_edited (EvoJsonWriter *w, const EvoJson *v, const EvoJson *from, const EvoJson *to)
{
  gboolean is_object = evo_json_kind (v) == EVO_JSON_OBJECT;

  if (v == from || evo_json_size (v) == 0) {
    evo_json_add_value (w, v == from ? to : v);
    return;
  }
  (is_object ? evo_json_begin_object : evo_json_begin_array) (w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    if (is_object)
      evo_json_add_key (w, evo_json_key (evo_json_at (v, i)));
    write_edited (w, evo_json_at (v, i), from, to);
  }
  (is_object ? evo_json_end_object : evo_json_end_array) (w);
}

static char *
edit (const uint8_t *data, size_t n)
{
  g_autoptr (GString) text = g_string_new (good);

  for (size_t at = 1; at + 4 <= n && at < 64 && text->len < 1 << 16; at += 4) {
    g_autoptr (EvoJsonDoc) doc = evo_json_parse (text->str, -1, "edited", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);
    g_autoptr (GPtrArray) values = g_ptr_array_new ();
    EvoJsonWriter w;

    if (doc == NULL)
      break; /* nested too deep by now */
    collect (evo_json_root (doc), values);
    g_string_truncate (text, 0);
    evo_json_writer_init (&w, text, FALSE);
    write_edited (&w, evo_json_root (doc), values->pdata[(data[at] << 8 | data[at + 1]) % values->len],
                  values->pdata[(data[at + 2] << 8 | data[at + 3]) % values->len]);
  }
  return g_strdup (text->str);
}

static void
check_message (const GError *error)
{
  int code = evo_error_exit_code (error);

  g_assert_true (code == 2 || code == 3);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_null (strpbrk (error->message, "\n\r"));
}

static EvoGraph *
read_again (const char *text)
{
  g_autoptr (GError) error = NULL;
  EvoGraph *g = evo_graph_new_from_text (text, -1, "again", "/other", registry, NULL, &error);

  if (g == NULL)
    fprintf (stderr, "%s", text);
  g_assert_no_error (error);
  return g;
}

static void
check_same (EvoGraph *g)
{
  g_autofree char *json = evo_graph_to_json (g), *twice = NULL;
  g_autoptr (EvoGraph) again = read_again (json);
  g_auto (GStrv) a = evo_graph_identity (g), b = evo_graph_identity (again);

  twice = evo_graph_to_json (again);
  g_assert_cmpstr (json, ==, twice);
  g_assert_true (g_strv_equal ((const char *const *) a, (const char *const *) b));
}

/* Numbers the genes as layout/genes.c does, each at its start; FALSE: one does not fit that many layers. */
static gboolean
bind_genes (EvoGraph *g, GArray *x)
{
  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++) {
    const EvoSearchSpec *s = &evo_graph_get (g, i)->search;

    for (guint j = 0; j < s->n_genes; j++) {
      EvoGene *gene = s->genes[j];
      double v = gene->is_choice ? 0 : gene->low;

      if (gene->n > 0)
        continue;
      if (!evo_gene_bind (gene, N_LAYERS, NULL))
        return FALSE;
      gene->first = x->len;
      for (guint k = 0; k < gene->n; k++)
        g_array_append_val (x, v);
    }
  }
  return TRUE;
}

static char *
search_path (gpointer data, const EvoNode *search)
{
  return g_strconcat ("/run/", search->name, NULL);
}

static void
check_recipe (EvoGraph *g, const EvoNode *node, const double *x)
{
  gint32 n_layers[1000];
  g_autofree char *recipe = NULL, *twice = NULL;
  g_autoptr (EvoGraph) again = NULL;
  const EvoNode *target = node->kind == EVO_KIND_OPTIMIZER ? node->search.target : node;

  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++)
    n_layers[i] = N_LAYERS;
  recipe = evo_graph_to_recipe (g, node, x, 3, search_path, NULL, n_layers);
  again = read_again (recipe);
  twice = evo_graph_to_recipe (again, evo_graph_find (again, target->name), NULL, 3, search_path, NULL, n_layers);
  g_assert_nonnull (strstr (twice, target->name));
  n_recipes++;
}

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autofree char *text = g_strndup ((const char *) data, n), *set = NULL;
  gsize length = strlen (text);
  const char *sets[] = { NULL, NULL };
  EvoGraphOptions options = { sets, FALSE, 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) x = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (EvoGraph) g = NULL;

  if (registry == NULL)
    registry = evo_registry_new ();
  if (n > 0 && data[0] == 1) {
    g_free (text);
    text = edit (data, n);
    length = strlen (text);
  } else if (length < n)
    sets[0] = set = g_strndup ((const char *) data + length + 1, n - length - 1);
  g = evo_graph_new_from_text (text, (gssize) length, "fuzz", "/here", registry, &options, &error);
  if (g == NULL) {
    n_bad++;
    check_message (error);
    return 0;
  }
  n_good++;
  g_assert_no_error (error);
  check_same (g);
  if (!bind_genes (g, x))
    return 0;
  for (guint i = 0; i < evo_graph_get_n_nodes (g); i++)
    if (evo_graph_get (g, i)->kind != EVO_KIND_EVALUATOR)
      check_recipe (g, evo_graph_get (g, i), (const double *) x->data);
  return 0;
}

static void __attribute__ ((destructor))
say (void)
{
  evo_registry_free (registry);
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused, %" G_GSIZE_FORMAT " recipes\n", n_good, n_bad, n_recipes);
}
