/* SPDX-License-Identifier: Apache-2.0
 * test-sparse.c - operators that choose among changes against their definitions in double, against theory, and against what mergekit made.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "tests/plugins/definitions-sparse.h"
#include "tests/plugins/merge-ops.h"

typedef void (*Define) (const Drive *d, guint tensor, double *out, double *tolerance);

static const gint64 awkward[][5] = { /* n_dims, dims */
  { 1, 1 }, { 0 }, { 1, 0 }, { 2, 0, 3 }, { 1, 7 }, { 2, 3, 5 }, { 2, 9, 1 }, { 4, 6, 5, 3, 3 }, { 3, 3, 40, 70 }, { 1, 1025 }, { 1, 65537 },
  { 2, 300, 301 }
};
static const double densities[] = { 0.5, 0, 0.001, 0.9, 1, 0.2 }, weights[] = { 0.75, -0.3, 1.6, 0.05, 1 };

/* Heavy-tailed changes; some are exactly zero, some equal in magnitude. */
static void
fill (Drive *d, guint32 seed)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);

  for (guint i = 0; i < d->tensors->len; i++) {
    DriveTensor *t = drive_get (d, i);

    for (gint64 j = 0; j < t->t.n; j++) {
      float base = (float) g_rand_double_range (rand, -0.1, 0.1);

      if (t->base != NULL)
        t->base[j] = base;
      for (guint e = 0; e < d->n_in; e++) {
        guint32 kind = g_rand_int (rand) % 16;
        double x = g_rand_double_range (rand, -1, 1);

        t->in[e][j] = kind == 0 ? base : kind == 1 ? base + (x < 0 ? -0x1p-8f : 0x1p-8f) : (float) (base + 0.01 * x * x * x);
      }
    }
  }
}

/* Equal and opposite changes were put in, whose votes fp32 cannot decide: 1/16 * 1/16 * 1/2 of pairs, and a few by chance. */
static void
check (Drive *d, Define define)
{
  gint64 undecided = 0, n = 0;

  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < d->tensors->len; i++) {
    const DriveTensor *t = drive_get (d, i);
    g_autofree double *expected = g_new (double, MAX (t->t.n, 1)), *tolerance = g_new (double, MAX (t->t.n, 1));

    define (d, i, expected, tolerance);
    for (gint64 j = 0; j < t->t.n; j++, n++) {
      undecided += tolerance[j] == HUGE_VAL;
      if (!(fabs (t->out[j] - expected[j]) <= tolerance[j]))
        g_error ("%s: element %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " is %.9g, not %.9g within %.3g", d->op->name, j, t->t.n, t->out[j],
                 expected[j], tolerance[j]);
    }
  }
  g_assert_cmpfloat ((double) undecided, <=, 3 + 0.02 * (double) n);
}

/* Shape `round` of the awkward ones; every third round all but the two largest are one model. */
static Drive *
make (const char *operator, guint n_in, gboolean has_base, guint round)
{
  Drive *d = drive_new (merge_ops_find (operator), evo_kernels_get (), n_in, has_base);
  guint shape = round % G_N_ELEMENTS (awkward);

  if (round / G_N_ELEMENTS (awkward) % 3 == 2)
    for (guint s = 0; s < G_N_ELEMENTS (awkward) - 2; s++)
      drive_add (d, (guint) awkward[s][0], awkward[s] + 1);
  else
    drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1);
  fill (d, round);
  return d;
}

static void
set_inputs (Drive *d, guint round)
{
  for (guint i = 0; i < d->n_in; i++) {
    if (drive_find_param (d->op->in_params, "density") != NULL)
      drive_set (d, (gint) i, "density", densities[(round + i) % G_N_ELEMENTS (densities)]);
    if (round % 5 != 0)
      drive_set (d, (gint) i, "weight", weights[i % G_N_ELEMENTS (weights)]);
  }
}

enum { ROUNDS = 6 * G_N_ELEMENTS (awkward) };

static void
test_breadcrumbs (void)
{
  static const double gammas[] = { 0.01, 0, 0.2, 1 };

  for (guint round = 0; round < 2 * ROUNDS; round++) {
    g_autoptr (Drive) d = make (round / ROUNDS ? "breadcrumbs-ties" : "breadcrumbs", 1 + round % 4, TRUE, round % ROUNDS);

    set_inputs (d, round);
    for (guint i = 0; i < d->n_in; i++)
      drive_set (d, (gint) i, "gamma", gammas[(round / 2 + i) % 4]);
    drive_set (d, -1, "lambda", round % 3 == 0 ? 1 : -0.7);
    drive_set (d, -1, "normalize", round / 2 % 2);
    drive_set_choice (d, -1, "rescale", round / 3 % 2 ? "l1" : "none");
    if (round / ROUNDS)
      drive_set_choice (d, -1, "vote", round / 4 % 2 ? "weighted" : "plain");
    check (d, define_breadcrumbs);
  }
}

static void
test_della (void)
{
  static const char *const rescales[] = { "probability", "l1", "none" };
  static const double epsilons[] = { 0.15, 0, 0.4, 1 };

  for (guint round = 0; round < 2 * ROUNDS; round++) {
    g_autoptr (Drive) d = make (round / ROUNDS ? "della" : "della-linear", 1 + round % 4, TRUE, round % ROUNDS);
    gboolean half = round / 5 % 2;

    set_inputs (d, round);
    for (guint i = 0; i < d->n_in; i++)
      drive_set (d, (gint) i, "epsilon", half ? 0.0009 : epsilons[(round / 2 + i) % 4]);
    drive_set (d, -1, "lambda", round % 3 == 0 ? 1 : -0.7);
    drive_set (d, -1, "normalize", round / 2 % 2);
    drive_set_choice (d, -1, "rescale", rescales[round / 3 % 3]);
    drive_set_choice (d, -1, "epsilon_is", half ? "half-width" : "width");
    if (round / ROUNDS)
      drive_set_choice (d, -1, "vote", round / 4 % 2 ? "weighted" : "plain");
    check (d, define_della);
  }
}

/* Over 400 seeds every change is kept as often as its rank in its row says, within 6 standard errors (of 2000 elements at once), its mean is the
 * change and its variance the change's square times (1 - p) / p; a higher density keeps the same and more. */
static void
test_della_chances (void)
{
  enum { SEEDS = 400 };
  static const gint64 dims[] = { 20, 100 };
  g_autoptr (Drive) d = drive_new (merge_ops_find ("della-linear"), evo_kernels_get (), 1, TRUE), more = drive_new (d->op, d->k, 1, TRUE);
  DriveTensor *t = drive_add (d, 2, dims), *m = drive_add (more, 2, dims);
  g_autofree double *p = g_new (double, t->t.n), *kept = g_new0 (double, t->t.n), *sum = g_new0 (double, t->t.n);
  g_autofree double *squares = g_new0 (double, t->t.n);
  g_autoptr (GRand) rand = g_rand_new_with_seed (5);
  double spread = 0, theory = 0;

  for (gint64 j = 0; j < t->t.n; j++)
    t->in[0][j] = m->in[0][j] = (float) g_rand_double_range (rand, 0.5, 1) * (g_rand_boolean (rand) ? 1 : -1); /* of a base of zeros */
  drive_set (d, 0, "density", 0.4);
  drive_set (more, 0, "density", 0.55);
  drive_set (d, 0, "epsilon", 0.4);
  drive_set (more, 0, "epsilon", 0.4);
  define_della_probabilities (d, 0, 0, p);
  for (guint64 seed = 1; seed <= SEEDS; seed++) {
    t->seeds[0] = m->seeds[0] = seed * 1001;
    g_assert_true (drive_run (d, NULL) && drive_run (more, NULL));
    for (gint64 j = 0; j < t->t.n; j++) {
      kept[j] += t->out[j] != 0;
      sum[j] += t->out[j];
      squares[j] += (double) t->out[j] * t->out[j];
      g_assert_true (t->out[j] == 0 || m->out[j] != 0);
    }
  }
  for (gint64 j = 0; j < t->t.n; j++) {
    double x = t->in[0][j], variance = x * x * (1 - p[j]) / p[j];

    g_assert_cmpfloat (fabs (kept[j] / SEEDS - p[j]), <, 6 * sqrt (p[j] * (1 - p[j]) / SEEDS));
    g_assert_cmpfloat (fabs (sum[j] / SEEDS - x), <, 6 * sqrt (variance / SEEDS));
    spread += squares[j] / SEEDS - x * x;
    theory += variance;
  }
  g_assert_cmpfloat (fabs (spread / theory - 1), <, 0.02); /* 5 standard errors: sd of one square over its variance is below 3.5, of 800000 */
}

static void
test_consensus (void)
{
  static const double thresholds[] = { 0.4, 0.3, 0.6, 0 };

  for (guint round = 0; round < 2 * ROUNDS; round++) {
    g_autoptr (Drive) d = make (round / ROUNDS ? "consensus-ties" : "consensus-ta", 1 + round % 4, TRUE, round % ROUNDS);

    set_inputs (d, round);
    for (guint i = 0; i < d->n_in; i++)
      drive_set (d, (gint) i, "threshold", thresholds[(round / 2 + i) % 4]);
    drive_set (d, -1, "lambda", round % 3 == 0 ? 1 : -0.7);
    drive_set (d, -1, "agree", round / 3 % 4);
    if (round / ROUNDS) {
      drive_set (d, -1, "normalize", round / 2 % 2);
      drive_set_choice (d, -1, "scope", round / 3 % 2 ? "tensor" : "model");
      drive_set_choice (d, -1, "vote", round / 4 % 2 ? "weighted" : "plain");
    }
    check (d, define_consensus);
  }
}

static void
test_sce (void)
{
  static const double shares[] = { 1, 0.5, 0.1, 0, 0.999 };

  for (guint round = 0; round < ROUNDS; round++) {
    g_autoptr (Drive) d = make ("sce", 1 + round % 4, TRUE, round);

    drive_set (d, -1, "lambda", round % 3 == 0 ? 1 : -0.7);
    drive_set (d, -1, "normalize", round / 2 % 2);
    drive_set (d, -1, "select_topk", shares[round / 2 % 5]);
    drive_set (d, -1, "uniform_below", round / 3 % 2 ? 1e-3 : 0);
    drive_set_choice (d, -1, "merged", round / 4 % 2 ? "all" : "selected");
    check (d, define_sce);
  }
}

static void
test_ram (void)
{
  static const double epsilons[] = { 1e-5, 1e-3, 0x1p-8, 1 };

  for (guint round = 0; round < 2 * ROUNDS; round++) {
    g_autoptr (Drive) d = make (round / ROUNDS ? "ramplus-tl" : "ram", 1 + round % 4, TRUE, round % ROUNDS);

    drive_set (d, -1, "lambda", round % 3 == 0 ? 1 : -0.7);
    drive_set (d, -1, "epsilon", epsilons[round / 2 % 4]);
    if (round / ROUNDS) {
      drive_set (d, -1, "r", round / 3 % 2 ? 0.1 : 2);
      drive_set (d, -1, "alpha", round / 2 % 2 ? 0.2 : 3);
      drive_set_choice (d, -1, "scope", round / 4 % 2 ? "tensor" : "model");
    }
    check (d, define_ram);
  }
}

static void
test_top_k_sum (void)
{
  static const double places[] = { 1, 0, 0.25, 0.9, 0.501 };

  for (guint round = 0; round < ROUNDS; round++) {
    g_autoptr (Drive) d = make ("top-k-sum", 2, FALSE, round);

    for (gint64 j = 0; round % 2 == 0 && j < drive_get (d, 0)->t.n; j++) /* many equal weights and magnitudes */
      drive_get (d, 0)->in[0][j] = rintf (drive_get (d, 0)->in[0][j] * 64) / 64;
    drive_set (d, -1, "width", places[round % 5]);
    drive_set (d, -1, "offset", places[round / 5 % 5]);
    check (d, define_top_k_sum);
  }
}

/* ------------------------------------------------------------------ mergekit */

typedef struct { JsonParser *header; const char *data; char *bytes; } Stored;

static Stored
load (const char *name)
{
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/merge", name, NULL);
  Stored s = { json_parser_new () };
  guint64 n;

  g_assert_true (g_file_get_contents (path, &s.bytes, NULL, NULL));
  memcpy (&n, s.bytes, sizeof n);
  n = GUINT64_FROM_LE (n);
  g_assert_true (json_parser_load_from_data (s.header, s.bytes + 8, (gssize) n, NULL));
  s.data = s.bytes + 8 + n;
  return s;
}

static void
unload (Stored *s)
{
  g_object_unref (s->header);
  g_free (s->bytes);
}

/* NULL: there is none of that name */
static const float *
stored (const Stored *s, const char *model, const char *tensor, const char *what, gint64 *dims, guint *n_dims)
{
  g_autofree char *name = g_strconcat (model, "/", tensor, what, NULL);
  JsonObject *all = json_node_get_object (json_parser_get_root (s->header)), *t;
  JsonArray *shape;

  if (!json_object_has_member (all, name))
    return NULL;
  t = json_object_get_object_member (all, name);
  shape = json_object_get_array_member (t, "shape");
  *n_dims = json_array_get_length (shape);
  for (guint i = 0; i < *n_dims; i++)
    dims[i] = json_array_get_int_element (shape, i);
  return (const float *) (s->data + json_array_get_int_element (json_object_get_array_member (t, "data_offsets"), 0));
}

static void
set_from (Drive *d, gint input, JsonObject *object)
{
  g_autoptr (GList) names = json_object_get_members (object);

  for (GList *l = names; l != NULL; l = l->next) {
    JsonNode *v = json_object_get_member (object, l->data);

    if (g_str_equal (l->data, "model"))
      continue;
    if (json_node_get_value_type (v) == G_TYPE_STRING)
      drive_set_choice (d, input, l->data, json_node_get_string (v));
    else
      drive_set (d, input, l->data, json_node_get_value_type (v) == G_TYPE_BOOLEAN ? json_node_get_boolean (v) : json_node_get_double (v));
  }
}

static Drive *
make_golden (JsonObject *c, const Stored *models, const char *tensor)
{
  JsonArray *in = json_object_get_array_member (c, "in");
  Drive *d = drive_new (merge_ops_find (json_object_get_string_member (c, "operator")), evo_kernels_get (), json_array_get_length (in), TRUE);
  gint64 dims[8];
  guint n_dims;
  const float *data = stored (models, "base", tensor, "", dims, &n_dims);
  DriveTensor *t = drive_add (d, n_dims, dims);

  memcpy (t->base, data, (gsize) t->t.n * sizeof (float));
  for (guint i = 0; i < d->n_in; i++) {
    JsonObject *input = json_array_get_object_element (in, i);

    data = stored (models, json_object_get_string_member (input, "model"), tensor, "", dims, &n_dims);
    memcpy (t->in[i], data, (gsize) t->t.n * sizeof (float));
    set_from (d, (gint) i, input);
  }
  set_from (d, -1, json_object_get_object_member (c, "params"));
  return d;
}

static void
check_golden (JsonObject *c, Drive *d, const float *expected)
{
  const DriveTensor *t = drive_get (d, 0);
  double largest = 0, worst = 0;

  g_assert_true (drive_run (d, NULL));
  for (gint64 j = 0; j < t->t.n; j++) {
    largest = MAX (largest, fabs (expected[j]));
    worst = MAX (worst, fabs ((double) t->out[j] - expected[j]));
  }
  g_test_message ("%s: %.2g", json_object_get_string_member (c, "case"), worst / largest);
  g_assert_cmpfloat (worst, <=, json_object_get_double_member (c, "tolerance") * largest);
}

/* Every element's mean change over as many seeds as mergekit's: two means of 200, 6 standard errors of their difference (of 2400 at once). */
static void
check_random (JsonObject *c, Drive *d, const float *mean, const float *sd)
{
  DriveTensor *t = drive_get (d, 0);
  gint64 seeds = json_object_get_int_member (c, "seeds");
  g_autofree double *sum = g_new0 (double, t->t.n);
  double worst = 0;

  for (guint64 seed = 1; seed <= (guint64) seeds; seed++) {
    for (guint i = 0; i < d->n_in; i++)
      t->seeds[i] = seed << 8 | i;
    g_assert_true (drive_run (d, NULL));
    for (gint64 j = 0; j < t->t.n; j++)
      sum[j] += (double) t->out[j] - t->base[j];
  }
  for (gint64 j = 0; j < t->t.n; j++)
    worst = MAX (worst, fabs (sum[j] / (double) seeds - mean[j]) / (sd[j] * sqrt (2 / (double) seeds) + 1e-8));
  g_test_message ("%s: %.2f standard errors", json_object_get_string_member (c, "case"), worst);
  g_assert_cmpfloat (worst, <, 6);
}

static void
test_mergekit (void)
{
  static const char *const tensors[] = { "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight" };
  g_autofree char *list = g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/merge/golden-sparse.json", NULL);
  g_autoptr (JsonParser) cases = json_parser_new ();
  Stored models = load ("golden.safetensors"), made = load ("golden-sparse.safetensors");
  guint n_done = 0, n_dims;
  gint64 dims[8];

  g_assert_true (json_parser_load_from_file (cases, list, NULL));
  JsonArray *all = json_node_get_array (json_parser_get_root (cases));
  for (guint i = 0; i < json_array_get_length (all) * G_N_ELEMENTS (tensors); i++) {
    JsonObject *c = json_array_get_object_element (all, i / G_N_ELEMENTS (tensors));
    const char *tensor = tensors[i % G_N_ELEMENTS (tensors)], *name = json_object_get_string_member (c, "case");
    g_autoptr (Drive) d = make_golden (c, &models, tensor);
    const float *expected = stored (&made, name, tensor, "", dims, &n_dims), *mean = stored (&made, name, tensor, ".mean", dims, &n_dims);

    if (expected != NULL)
      check_golden (c, d, expected);
    if (mean != NULL)
      check_random (c, d, mean, stored (&made, name, tensor, ".sd", dims, &n_dims));
    n_done += expected != NULL || mean != NULL;
  }
  g_assert_cmpuint (n_done, ==, 57);
  unload (&models);
  unload (&made);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sparse/breadcrumbs", test_breadcrumbs);
  g_test_add_func ("/sparse/della", test_della);
  g_test_add_func ("/sparse/della-chances", test_della_chances);
  g_test_add_func ("/sparse/consensus", test_consensus);
  g_test_add_func ("/sparse/sce", test_sce);
  g_test_add_func ("/sparse/ram", test_ram);
  g_test_add_func ("/sparse/top-k-sum", test_top_k_sum);
  g_test_add_func ("/sparse/mergekit", test_mergekit);
  return g_test_run ();
}
