/* SPDX-License-Identifier: Apache-2.0
 * test-value.c - what a parameter is worth for a tensor: gradients, selectors, genes; and that the gene-free form is worth the same.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/base/text.h"
#include "core/graph/values/value.h"

static const char *const modes[] = { "sum", "mean", "none", NULL };
static const EvoParam number = { .name = "weight", .type = EVO_TYPE_NUMBER, .min = -HUGE_VAL, .max = HUGE_VAL, .doc = "d" };
static const EvoParam integer = { .name = "top", .type = EVO_TYPE_INTEGER, .min = -1e9, .max = 1e9, .doc = "d" };
static const EvoParam choice = { .name = "mode", .type = EVO_TYPE_CHOICE, .max = 2, .names = modes, .doc = "d" };
static const EvoParam boolean = { .name = "on", .type = EVO_TYPE_BOOL, .max = 1, .doc = "d" };

/* ------------------------------------------------------------------ tensors of a model of six layers */

static const struct { const char *name; EvoRole role; } tensors[] = {
  { "model.embed_tokens.weight", { EVO_ROLE_EMBED, -1, "embed", "" } },
  { "model.layers.0.self_attn.q_proj.weight", { EVO_ROLE_ATTENTION, 0, "q", "" } },
  { "model.layers.0.mlp.up_proj.weight", { EVO_ROLE_MLP, 0, "up", "" } },
  { "model.layers.1.self_attn.q_proj.weight", { EVO_ROLE_ATTENTION, 1, "q", "" } },
  { "model.layers.2.input_layernorm.weight", { EVO_ROLE_NORM, 2, "norm_1", "" } },
  { "model.layers.3.mlp.up_proj.weight", { EVO_ROLE_MLP, 3, "up", "" } },
  { "model.layers.4.something", { EVO_ROLE_OTHER, 4, "", "" } },
  { "model.layers.5.mlp.up_proj.weight", { EVO_ROLE_MLP, 5, "up", "" } },
  { "model.layers.6.mtp.weight", { EVO_ROLE_OTHER, 6, "", "" } }, /* more layers than the configuration counts */
  { "model.norm.weight", { EVO_ROLE_FINAL_NORM, -1, "final_norm", "" } },
  { "lm_head.weight", { EVO_ROLE_HEAD, -1, "head", "" } },
  { "position_table", { EVO_ROLE_OTHER, -1, "", "" } },
};

static const EvoRole *
role_of (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++)
    if (strcmp (tensors[i].name, name) == 0)
      return &tensors[i].role;
  g_assert_not_reached ();
}

static const char embed[] = "model.embed_tokens.weight", norm[] = "model.norm.weight", head[] = "lm_head.weight", odd[] = "position_table";

/* ------------------------------------------------------------------ values from JSON: the gene-free forms */

static void
value_free (EvoValue *v)
{
  for (guint i = 0; v->kind == EVO_VALUE_SELECT && i < v->n; i++) {
    value_free (v->values[i]);
    g_free (v->selectors[i]);
  }
  g_free (v->selectors);
  g_free (v->values);
  g_free (v->list);
  g_free (v);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoValue, value_free)

static double
scalar (const EvoParam *p, const EvoJson *v)
{
  double x;
  g_autoptr (GError) error = NULL;

  evo_param_scalar_from_json (p, v, &x, &error);
  g_assert_no_error (error);
  return x;
}

static EvoValue *
value_from (const EvoParam *p, const EvoJson *v)
{
  EvoValue *out = g_new0 (EvoValue, 1);
  guint n = evo_json_size (v);

  out->where = v;
  out->n = n;
  if (evo_json_kind (v) == EVO_JSON_ARRAY) {
    out->kind = EVO_VALUE_GRADIENT;
    g_assert_true (p->type == EVO_TYPE_NUMBER); /* a list of anything else is no gradient */
    out->list = g_new (double, n);
    for (guint i = 0; i < n; i++)
      out->list[i] = scalar (p, evo_json_at (v, i));
  } else if (evo_json_kind (v) == EVO_JSON_OBJECT) {
    out->kind = EVO_VALUE_SELECT;
    out->selectors = g_new0 (char *, n);
    out->values = g_new0 (EvoValue *, n);
    for (guint i = 0; i < n; i++) {
      g_autoptr (GError) error = NULL;

      out->selectors[i] = g_strdup (evo_json_key (evo_json_at (v, i)));
      g_assert_true (evo_selector_check (out->selectors[i], v, &error));
      out->values[i] = value_from (p, evo_json_at (v, i));
    }
  } else {
    out->scalar = scalar (p, v);
  }
  return out;
}

static EvoJsonDoc *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  EvoJsonDoc *doc = evo_json_parse (text, -1, "p.json", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, &error);

  g_assert_no_error (error);
  return doc;
}

static double
worth (const EvoValue *v, const double *x, const char *tensor, gint32 n_layers)
{
  EvoPlace place = { tensor, role_of (tensor), n_layers };
  double out = NAN; /* no selector matched */

  evo_value_resolve (v, &place, x, &out);
  return out;
}

static void
expect (const char *json, const char *tensor, double wanted)
{
  g_autoptr (EvoJsonDoc) doc = parse (json);
  g_autoptr (EvoValue) v = value_from (&number, evo_json_root (doc));

  g_assert_false (evo_value_has_gene (v));
  g_assert_true (worth (v, NULL, tensor, 6) == wanted || (isnan (wanted) && isnan (worth (v, NULL, tensor, 6))));
}

static void
test_gradient (void)
{
  expect ("0.3", "lm_head.weight", 0.3);
  expect ("[0, 1]", embed, 0);
  expect ("[0, 1]", odd, 0);
  expect ("[0, 1]", "model.layers.0.mlp.up_proj.weight", 0);
  expect ("[0, 1]", "model.layers.1.self_attn.q_proj.weight", 0.2);
  expect ("[0, 1]", "model.layers.3.mlp.up_proj.weight", 0.6);
  expect ("[0, 1]", "model.layers.5.mlp.up_proj.weight", 1);
  expect ("[0, 1]", "model.layers.6.mtp.weight", 1);
  expect ("[0, 1]", norm, 1);
  expect ("[0, 1]", head, 1);
  /* one number a layer: the very numbers */
  expect ("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]", "model.layers.3.mlp.up_proj.weight", 0.4);
  expect ("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]", embed, 0.1);
  expect ("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]", head, 0.6);
  /* a constant gradient is constant, to the last bit */
  expect ("[0.1, 0.1, 0.1]", "model.layers.1.self_attn.q_proj.weight", 0.1);
  expect ("[5]", "model.layers.3.mlp.up_proj.weight", 5);
  /* points 0, 2.5, 5: layer 3 is a fifth of the way from the second to the third */
  expect ("[0, 10, 20]", "model.layers.3.mlp.up_proj.weight", 12);
  /* more points than layers: layer 2 lies on 2 * 10 / 5 = point 4 */
  expect ("[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "model.layers.2.input_layernorm.weight", 4);
}

static void
test_one_layer (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("[1, 2, 3]");
  g_autoptr (EvoValue) v = value_from (&number, evo_json_root (doc));

  g_assert_true (worth (v, NULL, "model.layers.0.mlp.up_proj.weight", 1) == 3); /* as mergekit */
  g_assert_true (worth (v, NULL, embed, 1) == 1 && worth (v, NULL, head, 1) == 3);
  g_assert_true (worth (v, NULL, odd, 0) == 1 && worth (v, NULL, embed, 0) == 1 && worth (v, NULL, head, 0) == 3);
}

static void
test_select (void)
{
  expect ("{\"@attn\": 1, \"*.mlp.*\": 2, \"*\": 3}", "model.layers.1.self_attn.q_proj.weight", 1);
  expect ("{\"@attn\": 1, \"*.mlp.*\": 2, \"*\": 3}", "model.layers.3.mlp.up_proj.weight", 2);
  expect ("{\"@attn\": 1, \"*.mlp.*\": 2, \"*\": 3}", head, 3);
  expect ("{\"@attn\": 1}", head, NAN);
  expect ("{\"*\": 1, \"@attn\": 2}", "model.layers.1.self_attn.q_proj.weight", 1);
  expect ("{\"@layers:1-3\": 1}", "model.layers.3.mlp.up_proj.weight", 1);
  expect ("{\"@layers:1-3\": 1}", "model.layers.4.something", NAN);
  expect ("{\"@layers:4\": 1}", "model.layers.4.something", 1);
  expect ("{\"@layers:0-9\": 1}", embed, NAN);
  expect ("{\"@norm\": 1}", "model.layers.2.input_layernorm.weight", 1);
  expect ("{\"@norm\": 1}", norm, 1);
  expect ("{\"@head\": 1}", norm, 1);
  expect ("{\"@head\": 1}", head, 1);
  expect ("{\"@embed\": 1}", embed, 1);
  expect ("{\"@mlp\": {\"@layers:0-2\": [4, 5]}, \"*\": 7}", "model.layers.0.mlp.up_proj.weight", 4);
  /* where the inner selectors have nothing, the outer ones go on */
  expect ("{\"@mlp\": {\"@layers:0-2\": 4}, \"*\": 7}", "model.layers.3.mlp.up_proj.weight", 7);
  expect ("{\"@mlp\": {\"@layers:0-2\": 4}}", "model.layers.3.mlp.up_proj.weight", NAN);
}

/* ------------------------------------------------------------------ selectors that are wrong or useless */

static const struct { const char *json, *message; } no_selectors[] = {
  { "{\"@atn\": 1}", "p.json:1: /@atn: \"@atn\" is no selector; did you mean \"@attn\"?" },
  { "{\"@\": 1}", "p.json:1: /@: \"@\" is no selector; there are @embed, @head, @norm, @attn, @mlp and @layers:0-7" },
  { "{\"@layers:3-\": 1}",
    "p.json:1: /@layers:3-: \"@layers:3-\" is no range of layers; write the first and the last, as @layers:0-7, or one, as @layers:3" },
  { "{\"@layers:7-3\": 1}",
    "p.json:1: /@layers:7-3: \"@layers:7-3\" is no range of layers; write the first and the last, as @layers:0-7, or one, as @layers:3" },
  { "{\"@layers:\": 1}",
    "p.json:1: /@layers:: \"@layers:\" is no range of layers; write the first and the last, as @layers:0-7, or one, as @layers:3" },
  { "{\"@layers:1000000\": 1}",
    "p.json:1: /@layers:1000000: \"@layers:1000000\" is no range of layers; write the first and the last, as @layers:0-7, or one, as @layers:3" },
  { "{\"\": 1}", "p.json:1: /: \"\" selects nothing; write a glob of tensor names, as *.mlp.*, or @attn and its like" },
  { "{\"model.[0-9*\": 1}", "p.json:1: /model.[0-9*: \"model.[0-9*\" has a [ without ]; a set of characters is [0-9]" },
};

static void
test_no_selectors (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (no_selectors); i++) {
    g_autoptr (EvoJsonDoc) doc = parse (no_selectors[i].json);
    const EvoJson *v = evo_json_at (evo_json_root (doc), 0);
    g_autoptr (GError) error = NULL;

    g_assert_false (evo_selector_check (evo_json_key (v), v, &error));
    g_assert_cmpstr (error->message, ==, no_selectors[i].message);
    g_assert_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX);
  }
}

static const struct { const char *json, *message; } useless[] = {
  { "{\"*.mpl.*\": 1}", "p.json:1: \"*.mpl.*\" matches no tensor; evopipe inspect MODEL shows their names and roles" },
  { "{\"@layers:40-50\": 1}", "p.json:1: \"@layers:40-50\" matches no tensor; evopipe inspect MODEL shows their names and roles" },
  { "{\"*\": 1, \"@attn\": 2}", "p.json:1: \"@attn\" is never used: selectors before it take all it matches; put it before them" },
  { "{\"@attn\": {\"*.mlp.*\": 1}}", "p.json:1: /@attn: \"*.mlp.*\" matches no tensor; evopipe inspect MODEL shows their names and roles" },
  { "{\"@attn\": 1, \"@mlp\": 2}", NULL },
  { "{\"@mlp\": {\"@layers:0-2\": 4}, \"*.mlp.*\": 7}", NULL },
  { "{\"@embed\": 1, \"@head\": 2, \"*\": [1, 2]}", NULL },
  { "{\"@embed\": 1, \"*.weight\": 1, \"model.layers.4*\": 3, \"*\": 1}", NULL },
  { "3", NULL },
};

static void
test_useless (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (useless); i++) {
    g_autoptr (EvoJsonDoc) doc = parse (useless[i].json);
    g_autoptr (EvoValue) v = value_from (&number, evo_json_root (doc));
    g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);
    g_autoptr (GError) error = NULL;

    for (guint t = 0; t < G_N_ELEMENTS (tensors); t++) {
      EvoPlace place = { tensors[t].name, &tensors[t].role, 6 };

      evo_value_mark (v, &place, used);
    }
    g_assert_cmpint (evo_value_check_used (v, used, &error), ==, useless[i].message == NULL);
    if (useless[i].message != NULL) {
      g_assert_cmpstr (error->message, ==, useless[i].message);
      g_assert_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN);
    }
  }
}

/* "@head" alone must have something to be for: unlike beside "*", it cannot stand for nothing. */
static void
test_no_head (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("[{\"@head\": 1}, {\"@head\": 1, \"*\": 2}]");
  EvoPlace place = { tensors[1].name, &tensors[1].role, 6 };

  for (guint i = 0; i < 2; i++) {
    g_autoptr (EvoValue) v = value_from (&number, evo_json_at (evo_json_root (doc), i));
    g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);

    evo_value_mark (v, &place, used);
    g_assert_cmpint (evo_value_check_used (v, used, NULL), ==, i == 1);
  }
}

/* ------------------------------------------------------------------ genes */

static void
gene_clear (EvoGene *g)
{
  for (guint i = 0; g->labels != NULL && i < g->n; i++)
    g_free (g->labels[i]);
  g_clear_pointer (&g->labels, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EvoGene, gene_clear)

static EvoGene
gene_of (const EvoParam *p, EvoPer per, guint n)
{
  return (EvoGene){ .name = (char *) "blend.ja.weight", .param = p, .low = 0, .high = 1, .start = NAN, .sigma = NAN, .per = per, .per_n = n };
}

static void
bind (EvoGene *g, gint32 n_layers)
{
  g_autoptr (GError) error = NULL;

  evo_gene_bind (g, n_layers, &error);
  g_assert_no_error (error);
}

static void
expect_labels (EvoGene *g, const char *const *wanted)
{
  g_assert_cmpuint (g->n, ==, g_strv_length ((char **) wanted));
  for (guint i = 0; i < g->n; i++)
    g_assert_cmpstr (g->labels[i], ==, wanted[i]);
}

static void
test_labels (void)
{
  static const char *const model[] = { "blend.ja.weight", NULL };
  static const char *const layer[] = { "blend.ja.weight[embed]", "blend.ja.weight[layer 0]", "blend.ja.weight[layer 1]", "blend.ja.weight[head]",
                                       NULL };
  static const char *const group[] = { "blend.ja.weight[layers 0-1]", "blend.ja.weight[layers 2-3]", "blend.ja.weight[layer 4]", NULL };
  static const char *const control[] = { "blend.ja.weight[control 0]", "blend.ja.weight[control 1]", NULL };
  static const char *const selectors[] = { "blend.ja.weight[@attn]", "blend.ja.weight[*]", NULL };
  char *list[] = { (char *) "@attn", (char *) "*", NULL };
  g_auto (EvoGene) a = gene_of (&number, EVO_PER_MODEL, 0), b = gene_of (&number, EVO_PER_LAYER, 0), c = gene_of (&number, EVO_PER_GROUP, 2);
  g_auto (EvoGene) d = gene_of (&number, EVO_PER_CONTROL, 2), e = gene_of (&number, EVO_PER_SELECTORS, 0);

  e.per_selectors = list;
  bind (&a, 0); /* a model without layers has no use for the others, but for this */
  bind (&b, 2);
  bind (&c, 5);
  bind (&d, 5);
  bind (&e, 0);
  expect_labels (&a, model);
  expect_labels (&b, layer);
  expect_labels (&c, group);
  expect_labels (&d, control);
  expect_labels (&e, selectors);
  bind (&b, 2); /* again: the same, nothing lost */
  expect_labels (&b, layer);
}

static const struct { EvoPer per; guint n; gint32 n_layers; gboolean is_choice; const char *message; } no_binding[] = {
  { EVO_PER_LAYER, 0, 0, FALSE, "\"layer\" of 0 layers; the model has none that are known; one gene for all of it is \"per\": \"model\"" },
  { EVO_PER_GROUP, 9, 6, FALSE, "\"group:9\" of 6 layers; N of \"group:N\" is how many layers share a gene: 1 up to all of them" },
  { EVO_PER_GROUP, 0, 6, FALSE, "\"group:0\" of 6 layers; N of \"group:N\" is how many layers share a gene: 1 up to all of them" },
  { EVO_PER_CONTROL, 7, 6, FALSE, "\"control:7\" of 6 layers; N of \"control:N\" is a number of points: 1 up to as many as there are layers" },
  { EVO_PER_CONTROL, 3, 0, FALSE, "\"control:3\" of 0 layers; the model has none that are known; one gene for all of it is \"per\": \"model\"" },
  { EVO_PER_CONTROL, 3, 6, TRUE, "\"control:3\" of 6 layers; nothing lies between two choices; \"group:N\" gives N layers the same one" },
};

static void
test_no_binding (void)
{
  g_autoptr (EvoJsonDoc) doc = parse ("{\"weight\": {\"evolve\": true}}");

  for (guint i = 0; i < G_N_ELEMENTS (no_binding); i++) {
    g_auto (EvoGene) g = gene_of (&number, no_binding[i].per, no_binding[i].n);
    g_autofree char *wanted = g_strconcat ("p.json:1: /weight: ", no_binding[i].message, NULL);
    g_autoptr (GError) error = NULL;

    g.is_choice = no_binding[i].is_choice;
    g.where = evo_json_at (evo_json_root (doc), 0);
    g_assert_false (evo_gene_bind (&g, no_binding[i].n_layers, &error));
    g_assert_cmpstr (error->message, ==, wanted);
    g_assert_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE);
    g_assert_true (g.n == 0 && g.labels == NULL);
  }
}

static double
gene_worth (EvoGene *g, const double *x, const char *tensor)
{
  EvoValue v = { .kind = EVO_VALUE_GENE, .gene = g };

  g_assert_true (evo_value_has_gene (&v));
  return worth (&v, x, tensor, 6);
}

static void
test_genes (void)
{
  static const double x[] = { -1, 10, 20, 30, 40, 50, 60, 70, 80 };
  char *list[] = { (char *) "@attn", (char *) "*.mlp.*", NULL };
  g_auto (EvoGene) model = gene_of (&number, EVO_PER_MODEL, 0), layer = gene_of (&number, EVO_PER_LAYER, 0);
  g_auto (EvoGene) group = gene_of (&number, EVO_PER_GROUP, 4), control = gene_of (&number, EVO_PER_CONTROL, 3);
  g_auto (EvoGene) selectors = gene_of (&number, EVO_PER_SELECTORS, 0);
  EvoGene *all[] = { &model, &layer, &group, &control, &selectors };

  selectors.per_selectors = list;
  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    bind (all[i], 6);
    all[i]->first = 1;
  }
  g_assert_true (gene_worth (&model, x, head) == 10 && gene_worth (&model, x, embed) == 10);
  g_assert_cmpuint (layer.n, ==, 8);
  g_assert_true (gene_worth (&layer, x, embed) == 10 && gene_worth (&layer, x, "model.layers.0.mlp.up_proj.weight") == 20);
  g_assert_true (gene_worth (&layer, x, "model.layers.5.mlp.up_proj.weight") == 70 && gene_worth (&layer, x, head) == 80);
  g_assert_true (gene_worth (&layer, x, norm) == 80 && gene_worth (&layer, x, odd) == 20);
  g_assert_true (gene_worth (&layer, x, "model.layers.6.mtp.weight") == 70);
  g_assert_true (gene_worth (&group, x, embed) == 10 && gene_worth (&group, x, "model.layers.3.mlp.up_proj.weight") == 10);
  g_assert_true (gene_worth (&group, x, "model.layers.4.something") == 20 && gene_worth (&group, x, head) == 20);
  g_assert_true (gene_worth (&control, x, embed) == 10 && gene_worth (&control, x, head) == 30);
  g_assert_true (gene_worth (&control, x, "model.layers.3.mlp.up_proj.weight") == 22);
  g_assert_true (gene_worth (&selectors, x, "model.layers.1.self_attn.q_proj.weight") == 10);
  g_assert_true (gene_worth (&selectors, x, "model.layers.3.mlp.up_proj.weight") == 20 && isnan (gene_worth (&selectors, x, head)));
}

static void
test_choice_genes (void)
{
  double choices[] = { 2, 0 }, x[] = { 1, 0 }, whole[] = { 1, 4 };
  g_auto (EvoGene) g = gene_of (&choice, EVO_PER_GROUP, 3), i = gene_of (&integer, EVO_PER_CONTROL, 2);

  g.is_choice = TRUE;
  g.choices = choices;
  g.n_choices = 2;
  bind (&g, 6);
  g_assert_true (gene_worth (&g, x, embed) == 0 && gene_worth (&g, x, "model.layers.3.mlp.up_proj.weight") == 2);
  i.is_int = TRUE;
  bind (&i, 6);
  g_assert_true (gene_worth (&i, whole, "model.layers.1.self_attn.q_proj.weight") == 2); /* 1 + 3/5 */
  g_assert_true (gene_worth (&i, whole, "model.layers.2.input_layernorm.weight") == 2);  /* 1 + 6/5 */
}

/* ------------------------------------------------------------------ the gene-free form */

static char *
written (const EvoValue *v, const EvoParam *p, const double *x, gint32 n_layers)
{
  GString *text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_value_write (v, p, x, n_layers, &w);
  return g_string_free (text, FALSE);
}

/* Written and read again, the value is worth the same for every tensor, bit for bit, and none of its selectors is called useless. */
static void
expect_same (const EvoValue *v, const EvoParam *p, const double *x, gint32 n_layers)
{
  g_autofree char *text = written (v, p, x, n_layers);
  g_autoptr (EvoJsonDoc) doc = parse (text);
  g_autoptr (EvoValue) again = value_from (p, evo_json_root (doc));
  g_autoptr (GHashTable) used = g_hash_table_new (NULL, NULL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++) {
    double a = worth (v, x, tensors[i].name, n_layers), b = worth (again, NULL, tensors[i].name, n_layers);
    EvoPlace place = { tensors[i].name, &tensors[i].role, n_layers };

    evo_value_mark (again, &place, used);
    g_assert_cmpmem (&a, sizeof a, &b, sizeof b);
  }
  evo_value_check_used (again, used, &error);
  g_assert_no_error (error);
}

static void
expect_written (EvoGene *g, const double *x, const char *wanted)
{
  EvoValue v = { .kind = EVO_VALUE_GENE, .gene = g };
  g_autofree char *text = written (&v, g->param, x, 6);

  g_assert_cmpstr (text, ==, wanted);
  expect_same (&v, g->param, x, 6);
}

static void
test_written (void)
{
  static const double rising[] = { 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8 }, ends[] = { 1, 1, 2, 3, 4, 5, 6, 6 }, flat[] = { 1, 1, 1, 1, 1, 1, 1, 1 };
  static const double whole[] = { 1, 2, 2, 3, 3, 3, 9, 0 };
  char *list[] = { (char *) "@attn", (char *) "*.mlp.*", (char *) "@attn", NULL };
  double choices[] = { 2, 0 }, picks[] = { 0, 1, 1, 0, 0, 0, 1, 0 }, on_off[] = { 0, 1 };
  g_auto (EvoGene) model = gene_of (&number, EVO_PER_MODEL, 0), layer = gene_of (&number, EVO_PER_LAYER, 0);
  g_auto (EvoGene) group = gene_of (&number, EVO_PER_GROUP, 4);
  g_auto (EvoGene) selectors = gene_of (&number, EVO_PER_SELECTORS, 0), control = gene_of (&number, EVO_PER_CONTROL, 2);
  g_auto (EvoGene) counts = gene_of (&integer, EVO_PER_LAYER, 0), modes_gene = gene_of (&choice, EVO_PER_LAYER, 0);
  g_auto (EvoGene) switches = gene_of (&boolean, EVO_PER_GROUP, 3), steps = gene_of (&integer, EVO_PER_CONTROL, 2);
  EvoGene *all[] = { &model, &layer, &group, &selectors, &control, &counts, &modes_gene, &switches, &steps };

  selectors.per_selectors = list;
  modes_gene.is_choice = switches.is_choice = TRUE;
  modes_gene.choices = choices;
  switches.choices = on_off;
  modes_gene.n_choices = switches.n_choices = 2;
  counts.is_int = steps.is_int = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    bind (all[i], 6);
  expect_written (&model, rising, "0.1");
  expect_written (&layer, rising, "{\"@embed\":0.1,\"@head\":0.8,\"*\":[0.2,0.3,0.4,0.5,0.6,0.7]}");
  expect_written (&layer, ends, "[1,2,3,4,5,6]");
  expect_written (&layer, flat, "1");
  expect_written (&group, rising, "[0.1,0.1,0.1,0.1,0.2,0.2]");
  expect_written (&selectors, rising, "{\"@attn\":0.1,\"*.mlp.*\":0.2}");
  expect_written (&control, ends + 1, "[1,1.2,1.4,1.6,1.8,2]");
  expect_written (&counts, whole, "{\"@embed\":1,\"@head\":0,\"@layers:0-1\":2,\"@layers:2-4\":3,\"@layers:5-99999\":9,\"*\":2}");
  expect_written (&modes_gene, picks, "{\"@embed\":\"none\",\"@head\":\"none\",\"@layers:0-1\":\"sum\",\"@layers:2-4\":\"none\","
                                      "\"@layers:5-99999\":\"sum\",\"*\":\"sum\"}");
  expect_written (&switches, on_off, "{\"@embed\":false,\"@head\":true,\"@layers:0-2\":false,\"@layers:3-99999\":true,\"*\":false}");
  expect_written (&steps, on_off, "{\"@embed\":0,\"@head\":1,\"@layers:0-2\":0,\"@layers:3-99999\":1,\"*\":0}");
}

/* Random numbers, of every magnitude: what is written reads back as the very same. */
static void
test_written_at_random (void)
{
  EvoRandom r;
  g_auto (EvoGene) g = gene_of (&number, EVO_PER_LAYER, 0);

  evo_random_init (&r, 7);
  for (guint round = 0; round < 300; round++) {
    double x[8];
    EvoValue gene = { .kind = EVO_VALUE_GENE, .gene = &g }, list = { .kind = EVO_VALUE_GRADIENT, .list = x, .n = 1 + round % 8 };
    EvoValue scalar_value = { .kind = EVO_VALUE_SCALAR, .scalar = 0.7 }, *values[] = { &gene, &list, &scalar_value };
    char *selectors[] = { (char *) "@attn", (char *) "@layers:2-4", (char *) "*" };
    EvoValue select = { .kind = EVO_VALUE_SELECT, .n = 3, .selectors = selectors, .values = values };

    g.per = (EvoPer[]){ EVO_PER_MODEL, EVO_PER_LAYER, EVO_PER_GROUP, EVO_PER_CONTROL }[round % 4];
    g.per_n = 1 + round / 4 % 6;
    for (guint i = 0; i < 8; i++)
      x[i] = evo_random_normal (&r) * pow (10, evo_random_uniform (&r) * 40 - 20);
    bind (&g, 6);
    expect_same (&gene, &number, x, 6);
    expect_same (&select, &number, x, 6);
  }
}

/* ------------------------------------------------------------------ simplexes */

static void
test_simplex (void)
{
  g_auto (EvoGene) a = gene_of (&number, EVO_PER_LAYER, 0), b = gene_of (&number, EVO_PER_LAYER, 0), c = gene_of (&number, EVO_PER_MODEL, 0);
  EvoGene *genes[] = { &a, &c, &b };
  double x[] = { 1, 2, 3, 0, 3, 2, 3, 0, 5 }, before[9];
  g_autoptr (GError) error = NULL;

  a.simplex = b.simplex = (char *) "w";
  a.simplex_total = b.simplex_total = 2;
  bind (&a, 2);
  bind (&b, 2);
  bind (&c, 2);
  b.first = 4;
  c.first = 8;
  memcpy (before, x, sizeof x);
  g_assert_false (evo_genes_apply_simplex (genes, 3, x, &error));
  g_assert_cmpstr (error->message, ==, "simplex w: blend.ja.weight[head] and its like sum to 0; they cannot be divided by that");
  g_assert_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM);
  g_assert_cmpmem (x, sizeof x, before, sizeof before);
  x[3] = 1;
  g_assert_true (evo_genes_apply_simplex (genes, 3, x, NULL));
  g_assert_true (x[0] == 0.5 && x[4] == 1.5 && x[1] == 1 && x[5] == 1 && x[3] == 2 && x[7] == 0 && x[8] == 5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/value/gradient", test_gradient);
  g_test_add_func ("/value/one-layer", test_one_layer);
  g_test_add_func ("/value/select", test_select);
  g_test_add_func ("/value/no-selectors", test_no_selectors);
  g_test_add_func ("/value/useless", test_useless);
  g_test_add_func ("/value/no-head", test_no_head);
  g_test_add_func ("/value/labels", test_labels);
  g_test_add_func ("/value/no-binding", test_no_binding);
  g_test_add_func ("/value/genes", test_genes);
  g_test_add_func ("/value/choice-genes", test_choice_genes);
  g_test_add_func ("/value/written", test_written);
  g_test_add_func ("/value/written-at-random", test_written_at_random);
  g_test_add_func ("/value/simplex", test_simplex);
  return g_test_run ();
}
