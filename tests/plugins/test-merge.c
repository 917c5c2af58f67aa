/* SPDX-License-Identifier: Apache-2.0
 * test-merge.c - merge operators against case files, against their definitions in double, and against what mergekit made.
 *
 * tests/plugins/cases/OPERATOR/NAME.json: params, inputs (per-input parameters and the seed), tensors (base, in, aux, expected; dims if it is no
 * vector); `within` is the allowed difference over the largest expected magnitude (0 if absent: exact); or `error`, the message.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "plugins/merge/trig.h"
#include "tests/plugins/definitions.h"
#include "tests/plugins/merge-ops.h"

static char *
source_path (const char *name)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), name, NULL);
}

/* ------------------------------------------------------------------ case files */

static void
set_params (Drive *d, gint input, JsonObject *object)
{
  g_autoptr (GList) names = object == NULL ? NULL : json_object_get_members (object);

  for (GList *l = names; l != NULL; l = l->next) {
    JsonNode *v = json_object_get_member (object, l->data);

    if (g_str_equal (l->data, "model"))
      continue;
    if (g_str_equal (l->data, "seed"))
      for (guint i = 0; i < d->tensors->len; i++)
        drive_get (d, i)->seeds[input] = (guint64) json_node_get_int (v);
    else if (json_node_get_value_type (v) == G_TYPE_STRING)
      drive_set_choice (d, input, l->data, json_node_get_string (v));
    else
      drive_set (d, input, l->data, json_node_get_value_type (v) == G_TYPE_BOOLEAN ? json_node_get_boolean (v) : json_node_get_double (v));
  }
}

static void
copy_floats (float *to, JsonArray *from, gint64 n)
{
  g_assert_cmpint (json_array_get_length (from), ==, n);
  for (gint64 i = 0; i < n; i++)
    to[i] = (float) json_array_get_double_element (from, (guint) i);
}

static void
add_tensor (Drive *d, JsonObject *tensor)
{
  JsonArray *in = json_object_get_array_member (tensor, "in"), *dims = NULL;
  gint64 shape[8] = { json_array_get_length (json_array_get_array_element (in, 0)) };
  guint n_dims = 1;
  DriveTensor *t;

  if (json_object_has_member (tensor, "dims")) {
    dims = json_object_get_array_member (tensor, "dims");
    n_dims = json_array_get_length (dims);
    for (guint i = 0; i < n_dims; i++)
      shape[i] = json_array_get_int_element (dims, i);
  }
  t = drive_add (d, n_dims, shape);
  for (guint i = 0; i < d->n_in; i++)
    copy_floats (t->in[i], json_array_get_array_element (in, i), t->t.n);
  for (guint i = 0; i < d->n_in && json_object_has_member (tensor, "aux"); i++)
    copy_floats (t->aux[i], json_array_get_array_element (json_object_get_array_member (tensor, "aux"), i), (gint64) t->aux_n);
  if (d->has_base)
    copy_floats (t->base, json_object_get_array_member (tensor, "base"), t->t.n);
}

static void
check_tensor (const DriveTensor *t, JsonArray *expected, double within)
{
  double largest = 0;

  for (gint64 i = 0; i < t->t.n; i++)
    largest = MAX (largest, fabs (json_array_get_double_element (expected, (guint) i)));
  for (gint64 i = 0; i < t->t.n; i++)
    g_assert_cmpfloat (fabs (t->out[i] - (float) json_array_get_double_element (expected, (guint) i)), <=, within * largest);
}

static void
run_case (const EvoMergeOp *op, const char *path, const EvoKernels *k)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Drive) d = NULL;

  g_assert_true (json_parser_load_from_file (parser, path, NULL));
  JsonObject *c = json_node_get_object (json_parser_get_root (parser));
  JsonArray *tensors = json_object_get_array_member (c, "tensors"), *inputs = json_object_get_array_member (c, "inputs");
  d = drive_new (op, k, json_array_get_length (inputs), json_object_has_member (json_array_get_object_element (tensors, 0), "base"));
  for (guint i = 0; i < json_array_get_length (tensors); i++)
    add_tensor (d, json_array_get_object_element (tensors, i));
  if (json_object_has_member (c, "params"))
    set_params (d, -1, json_object_get_object_member (c, "params"));
  for (guint i = 0; i < d->n_in; i++)
    set_params (d, (gint) i, json_array_get_object_element (inputs, i));
  if (json_object_has_member (c, "error")) {
    g_assert_false (drive_run (d, &error));
    g_assert_cmpstr (error->message, ==, json_object_get_string_member (c, "error"));
    return;
  }
  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < d->tensors->len; i++)
    check_tensor (drive_get (d, i), json_object_get_array_member (json_array_get_object_element (tensors, i), "expected"),
                  json_object_has_member (c, "within") ? json_object_get_double_member (c, "within") : 0);
}

static void
test_cases (void)
{
  for (guint i = 0; i < merge_ops_get_n (); i++) {
    const EvoMergeOp *op = merge_ops_get (i);
    g_autofree char *relative = g_strconcat ("tests/plugins/cases/", op->name, NULL), *folder = source_path (relative);
    g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
    guint n = 0;

    if (op->host != EVO_HOST_NONE) /* the host makes it: tests/graph */
      continue;
    g_assert_nonnull (dir); /* an operator without a case file is not tested */
    for (const char *name; (name = g_dir_read_name (dir)) != NULL; n++) {
      g_autofree char *path = g_build_filename (folder, name, NULL);

      g_test_message ("%s/%s", op->name, name);
      run_case (op, path, &evo_kernels_ref);
      run_case (op, path, evo_kernels_get ());
    }
    g_assert_cmpuint (n, >, 0);
  }
}

/* ------------------------------------------------------------------ definitions */

static const gint64 awkward[][3] = { /* n_dims, dims */
  { 1, 1 }, { 0 }, { 1, 0 }, { 2, 0, 3 }, { 1, 7 }, { 2, 3, 5 }, { 1, 1023 }, { 1, 1025 }, { 1, 65535 }, { 1, 65536 }, { 1, 65537 }, { 2, 400, 500 }
};

/* Normal base, changes a tenth of it with heavy tails; some changes are exactly zero and some equal in magnitude. */
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

static void
check_definition (Drive *d, const char *what)
{
  gint64 undecided = 0, n = 0;

  g_assert_true (drive_run (d, NULL));
  for (guint i = 0; i < d->tensors->len; i++) {
    DriveTensor *t = drive_get (d, i);
    g_autofree double *expected = g_new (double, MAX (t->t.n, 1)), *tolerance = g_new (double, MAX (t->t.n, 1));

    g_assert_true (define_tensor (d, i, expected, tolerance));
    for (gint64 j = 0; j < t->t.n; j++, n++) {
      undecided += tolerance[j] == HUGE_VAL;
      if (!(fabs (t->out[j] - expected[j]) <= tolerance[j]))
        g_error ("%s %s: element %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " is %.9g, not %.9g within %.3g", d->op->name, what, j, t->t.n,
                 t->out[j], expected[j], tolerance[j]);
    }
  }
  if (n > 0) /* equal and opposite changes were put in: 1/16 * 1/16 * 1/2 of pairs */
    g_assert_cmpfloat ((double) undecided, <=, 3 + 0.02 * (double) n);
}

static Drive *
make (const char *operator, guint n_in, gboolean has_base, guint shape)
{
  Drive *d = drive_new (merge_ops_find (operator), evo_kernels_get (), n_in, has_base);

  drive_add (d, (guint) awkward[shape][0], awkward[shape] + 1);
  return d;
}

static void
set_weights (Drive *d)
{
  static const double weights[] = { 0.75, -0.3, 1.6, 0.05, 1 };

  for (guint i = 0; i < d->n_in; i++)
    drive_set (d, (gint) i, "weight", weights[i % 5]);
}

static void
test_linear (void)
{
  static const guint counts[] = { 1, 2, 3, 5, 8 };

  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint i = 0; i < 2 * G_N_ELEMENTS (counts); i++) {
      g_autoptr (Drive) d = make ("linear", counts[i / 2], FALSE, shape);

      fill (d, shape);
      if (i % 2 == 1) {
        set_weights (d);
        drive_set (d, -1, "normalize", FALSE);
      }
      check_definition (d, i % 2 == 1 ? "sum" : "mean");
    }
}

static void
test_task_arithmetic (void)
{
  static const double lambdas[] = { 1, 0, -0.5, 1.7 };

  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint i = 0; i < 8; i++) {
      g_autoptr (Drive) d = make ("task-arithmetic", 1 + i % 3, TRUE, shape);

      fill (d, shape);
      set_weights (d);
      drive_set (d, -1, "lambda", lambdas[i % 4]);
      drive_set (d, -1, "normalize", i / 4);
      check_definition (d, i / 4 == 1 ? "mean" : "sum");
    }
}

/* ------------------------------------------------------------------ slerp */

static void
turn (DriveTensor *t, double angle, double length)
{
  /* the second model is the first turned by `angle` in the plane of neighbouring pairs */
  for (gint64 j = 0; j + 1 < t->t.n; j += 2) {
    double x = t->in[0][j], y = t->in[0][j + 1];

    t->in[1][j] = (float) (length * (cos (angle) * x - sin (angle) * y));
    t->in[1][j + 1] = (float) (length * (sin (angle) * x + cos (angle) * y));
  }
}

static void
test_slerp (void)
{
  static const double angles[] = { 0, 1e-7, 1e-5, 1e-3, 0.03, 0.032, 1, G_PI_2, 3, G_PI - 1e-4, G_PI }, places[] = { 0, 0.25, 0.5, 1, 1.4, -0.3 };

  for (guint shape = 0; shape < G_N_ELEMENTS (awkward); shape++)
    for (guint a = 0; a < G_N_ELEMENTS (angles); a++)
      for (guint i = 0; i < 4 * (shape < 8 ? G_N_ELEMENTS (places) : 1); i++) {
        g_autoptr (Drive) d = make ("slerp", 2, FALSE, shape);

        fill (d, shape);
        if (drive_get (d, 0)->t.n % 2 == 0)
          turn (drive_get (d, 0), angles[a], 1 + i % 3);
        drive_set (d, -1, "t", places[(i / 4 + a) % G_N_ELEMENTS (places)]);
        drive_set (d, -1, "threshold", i % 2 == 0 ? 0.9995 : 1);
        drive_set_choice (d, -1, "length", i / 2 % 2 == 0 ? "formula" : "linear");
        check_definition (d, "slerp");
      }
}

/* Against libm, whose own error is below one unit in the last place. */
static void
test_trig (void)
{
  for (double x = -40; x < 40; x += 0.0137)
    g_assert_cmpfloat (fabs (trig_sin (x) - sin (x)), <=, 4e-16 + 2e-16 * fabs (x));
  for (double x = 0; x < 100; x = x * 1.01 + 1e-9)
    g_assert_cmpfloat (fabs (trig_atan (x) - atan (x)), <=, 4 * DBL_EPSILON * atan (x));
  for (double d = -0.999999; d <= 1; d += 0.000317)
    g_assert_cmpfloat (fabs (trig_acos (d) - acos (d)), <=, 8 * DBL_EPSILON * acos (d));
  g_assert_cmpfloat (trig_acos (1), ==, 0);
  g_assert_cmpfloat (trig_sin (0), ==, 0);
}

/* ------------------------------------------------------------------ ties, dare */

static const double densities[] = { 0, 0.001, 0.2, 0.5, 0.9, 1 };

static void
set_densities (Drive *d, guint from)
{
  for (guint i = 0; i < d->n_in; i++)
    drive_set (d, (gint) i, "density", densities[(from + i) % G_N_ELEMENTS (densities)]);
}

static void
test_ties (void)
{
  for (guint i = 0; i < 16 * G_N_ELEMENTS (awkward); i++) {
    guint shape = i / 16;
    g_autoptr (Drive) d = NULL;

    if (shape >= 8 && (i + shape) % 4 != 0) /* sorting takes long: of the large ones every fourth */
      continue;
    d = make ("ties", 1 + (i + shape) % 4, TRUE, shape);
    fill (d, i);
    drive_set (d, -1, "normalize", i % 2);
    drive_set_choice (d, -1, "scope", i / 2 % 2 == 0 ? "tensor" : "model");
    drive_set_choice (d, -1, "vote", i / 4 % 2 == 0 ? "plain" : "weighted");
    drive_set_choice (d, -1, "rescale", i / 8 % 2 == 0 ? "none" : "l1");
    drive_set (d, -1, "lambda", i % 3 == 0 ? 1 : -0.7);
    if (i % 5 != 0)
      set_weights (d);
    set_densities (d, i + shape);
    check_definition (d, "one tensor");
  }
}

/* The budget of scope "model" runs over all tensors, in order, awkward ones among them. */
static void
test_ties_model (void)
{
  static const guint shapes[] = { 4, 0, 2, 7, 1, 3, 6, 10 };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (densities); i++) {
    g_autoptr (Drive) d = drive_new (merge_ops_find ("ties"), evo_kernels_get (), 3, TRUE);

    for (guint s = 0; s < G_N_ELEMENTS (shapes) - (i < 10); s++)
      drive_add (d, (guint) awkward[shapes[s]][0], awkward[shapes[s]] + 1);
    fill (d, 99 + i);
    set_densities (d, i);
    drive_set_choice (d, -1, "rescale", i % 2 == 0 ? "none" : "l1");
    check_definition (d, "several tensors");
  }
}

static void
test_dare (void)
{
  for (guint i = 0; i < 24 * G_N_ELEMENTS (awkward); i++) {
    static const char *const rescales[] = { "density", "l1", "none" };
    guint shape = i / 24;
    gboolean ties = i / 2 % 2;
    g_autoptr (Drive) d = make (ties ? "dare-ties" : "dare-linear", 1 + (i + shape) % 4, TRUE, shape);

    fill (d, i);
    drive_set (d, -1, "normalize", i % 2);
    drive_set_choice (d, -1, "rescale", rescales[i / 4 % 3]);
    if (ties)
      drive_set_choice (d, -1, "vote", i / 12 % 2 == 0 ? "plain" : "weighted");
    drive_set (d, -1, "lambda", i % 3 == 0 ? 1 : -0.7);
    if (i % 5 != 0)
      set_weights (d);
    set_densities (d, i + shape);
    check_definition (d, "one tensor");
  }
}

/* The kernel's numbers are those of the definition, wherever a slice begins. */
static void
test_uniform (void)
{
  static const gint64 firsts[] = { 0, 1, 2, 3, 65536, (gint64) 1 << 40 };
  float u[100];

  for (guint i = 0; i < G_N_ELEMENTS (firsts); i++) {
    evo_kernels_get ()->uniform (u, 0x123456789abcdef0, firsts[i], G_N_ELEMENTS (u));
    for (guint j = 0; j < G_N_ELEMENTS (u); j++)
      g_assert_cmpfloat (u[j], ==, define_uniform (0x123456789abcdef0, firsts[i] + j));
  }
}

/* ------------------------------------------------------------------ mergekit */

typedef struct { JsonObject *header; const char *data; } Stored;

static gint64
stored_tensor (const Stored *s, const char *model, const char *tensor, const float **data)
{
  g_autofree char *name = g_strconcat (model, "/", tensor, NULL);
  JsonArray *at = json_object_get_array_member (json_object_get_object_member (s->header, name), "data_offsets");

  *data = (const float *) (s->data + json_array_get_int_element (at, 0));
  return (json_array_get_int_element (at, 1) - json_array_get_int_element (at, 0)) / (gint64) sizeof (float);
}

/* A case's operator, parameters, inputs and base for one tensor. */
static Drive *
make_golden (JsonObject *c, const Stored *s, const char *tensor)
{
  const EvoMergeOp *op = merge_ops_find (json_object_get_string_member (c, "operator"));
  JsonArray *in = json_object_get_array_member (c, "in");
  Drive *d = drive_new (op, evo_kernels_get (), json_array_get_length (in), json_object_has_member (c, "base"));
  const float *data;
  gint64 n = stored_tensor (s, "base", tensor, &data);
  DriveTensor *t = drive_add (d, 1, &n);

  if (d->has_base)
    memcpy (t->base, data, (gsize) n * sizeof (float));
  for (guint i = 0; i < d->n_in; i++) {
    JsonObject *input = json_array_get_object_element (in, i);

    g_assert_cmpint (stored_tensor (s, json_object_get_string_member (input, "model"), tensor, &data), ==, n);
    memcpy (t->in[i], data, (gsize) n * sizeof (float));
    set_params (d, (gint) i, input);
  }
  set_params (d, -1, json_object_get_object_member (c, "params"));
  return d;
}

static void
check_golden (JsonObject *c, const Stored *s, const char *tensor)
{
  g_autoptr (Drive) d = make_golden (c, s, tensor);
  const DriveTensor *t = drive_get (d, 0);
  double largest = 0, worst = 0;
  const float *data;

  g_assert_true (drive_run (d, NULL));
  g_assert_cmpint (stored_tensor (s, json_object_get_string_member (c, "case"), tensor, &data), ==, t->t.n);
  for (gint64 j = 0; j < t->t.n; j++) {
    largest = MAX (largest, fabs (data[j]));
    worst = MAX (worst, fabs ((double) t->out[j] - data[j]));
  }
  g_test_message ("%s %s: %.2g", json_object_get_string_member (c, "case"), tensor, worst / largest);
  g_assert_cmpfloat (worst, <=, largest * json_object_get_double_member (c, "tolerance"));
}

/* The mean change of every element over as many seeds of ours as mergekit's: 6 standard errors of the difference, of 12000 elements. */
static void
check_random_golden (JsonObject *c, const Stored *s, const char *tensor)
{
  gint64 seeds = json_object_get_int_member (c, "seeds");
  g_autoptr (Drive) d = make_golden (c, s, tensor);
  const DriveTensor *t = drive_get (d, 0);
  g_autofree char *mean_name = g_strconcat (tensor, ".mean", NULL), *sd_name = g_strconcat (tensor, ".sd", NULL);
  g_autofree double *sum = g_new0 (double, t->t.n);
  double worst = 0;
  const float *mean, *sd;

  for (gint64 seed = 1; seed <= seeds; seed++) {
    for (guint i = 0; i < d->n_in; i++)
      t->seeds[i] = (guint64) seed << 8 | i;
    g_assert_true (drive_run (d, NULL));
    for (gint64 j = 0; j < t->t.n; j++)
      sum[j] += (double) t->out[j] - t->base[j];
  }
  stored_tensor (s, json_object_get_string_member (c, "case"), mean_name, &mean);
  stored_tensor (s, json_object_get_string_member (c, "case"), sd_name, &sd);
  for (gint64 j = 0; j < t->t.n; j++)
    worst = MAX (worst, fabs (sum[j] / (double) seeds - mean[j]) / (sd[j] * sqrt (2 / (double) seeds) + 1e-8));
  g_test_message ("%s %s: %.2f standard errors", json_object_get_string_member (c, "case"), tensor, worst);
  g_assert_cmpfloat (worst, <, 6);
}

static void
test_mergekit (void)
{
  static const char *const tensors[] = { "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight", "model.norm.weight" };
  g_autofree char *path = source_path ("tests/data/merge/golden.safetensors"), *list = source_path ("tests/data/merge/golden.json"), *bytes = NULL;
  g_autoptr (JsonParser) header = json_parser_new (), cases = json_parser_new ();
  guint64 n_header;

  g_assert_true (g_file_get_contents (path, &bytes, NULL, NULL));
  memcpy (&n_header, bytes, sizeof n_header);
  g_assert_true (json_parser_load_from_data (header, bytes + 8, (gssize) GUINT64_FROM_LE (n_header), NULL));
  g_assert_true (json_parser_load_from_file (cases, list, NULL));
  Stored s = { json_node_get_object (json_parser_get_root (header)), bytes + 8 + GUINT64_FROM_LE (n_header) };
  JsonArray *all = json_node_get_array (json_parser_get_root (cases));
  for (guint i = 0; i < json_array_get_length (all); i++) {
    JsonObject *c = json_array_get_object_element (all, i);
    gboolean random = json_object_has_member (c, "seeds");

    for (guint t = 0; t < G_N_ELEMENTS (tensors) - random; t++)
      (random ? check_random_golden : check_golden) (c, &s, tensors[t]);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/merge/trig", test_trig);
  g_test_add_func ("/merge/uniform", test_uniform);
  g_test_add_func ("/merge/cases", test_cases);
  g_test_add_func ("/merge/linear", test_linear);
  g_test_add_func ("/merge/task-arithmetic", test_task_arithmetic);
  g_test_add_func ("/merge/slerp", test_slerp);
  g_test_add_func ("/merge/ties", test_ties);
  g_test_add_func ("/merge/ties-model", test_ties_model);
  g_test_add_func ("/merge/dare", test_dare);
  g_test_add_func ("/merge/mergekit", test_mergekit);
  return g_test_run ();
}
