/* SPDX-License-Identifier: Apache-2.0
 * test-random.c - operators that thin changes at random: what they keep, its mean and its variance over 200 seeds, against theory and mergekit.
 *
 * Every bound is 5 standard errors. That of a figure of a whole tensor is taken from its own spread over the seeds, so that what elements have
 * in common (mergekit scales all of a tensor by one random factor) is in it. Seeds are fixed: a run gives the same figures as any other.
 */
#include <json-glib/json-glib.h>
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/store/store.h"
#include "tests/plugins/definitions-sparse.h"
#include "tests/plugins/merge-ops.h"

enum { SEEDS = 200 };

static const char *const tensors[] = { "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.weight",
                                       "model.layers.3.self_attn.o_proj.weight" };
static const char *const models[] = { "ft-a", "ft-b", "ft-c" };

/* ------------------------------------------------------------------ data */

static EvoStore *stores[3];

static char *
data_path (const char *name)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/merge", name, NULL);
}

/* MODEL/TENSOR, CASE/TENSOR.mean, CASE/TENSOR.sd, whichever file it lies in */
static float *
stored (const char *model, const char *tensor, const char *what, EvoShape *shape)
{
  g_autofree char *name = g_strconcat (model, "/", tensor, what, NULL);

  for (guint s = 0; s < G_N_ELEMENTS (stores); s++) {
    int i = evo_store_find (stores[s], name);

    if (i >= 0) {
      const EvoShape *found = evo_store_get_tensor (stores[s], (guint) i);
      float *out = g_new (float, found->n);

      g_assert_true (evo_store_read (stores[s], evo_kernels_get (), (guint) i, 0, (gsize) found->n, out, NULL));
      *shape = *found;
      return out;
    }
  }
  g_error ("%s is in no file", name);
  return NULL;
}

static void
copy_stored (float *to, const char *model, const char *tensor)
{
  EvoShape shape;
  g_autofree float *data = stored (model, tensor, "", &shape);

  memcpy (to, data, (gsize) shape.n * sizeof (float));
}

static Drive *
make (const char *operator, guint n_in, const char *const *names, const char *tensor)
{
  Drive *d = drive_new (merge_ops_find (operator), evo_kernels_get (), n_in, TRUE);
  EvoShape shape;
  g_autofree float *base = stored ("base", tensor, "", &shape);
  DriveTensor *t = drive_add (d, shape.n_dims, shape.dims);

  memcpy (t->base, base, (gsize) t->t.n * sizeof (float));
  for (guint i = 0; i < n_in; i++)
    copy_stored (t->in[i], names[i], tensor);
  return d;
}

/* ------------------------------------------------------------------ figures over seeds */

typedef struct { double sum, squares; guint n; } Figure;

static void
add (Figure *f, double x)
{
  f->sum += x;
  f->squares += x * x;
  f->n++;
}

static double
mean_of (const Figure *f)
{
  return f->sum / f->n;
}

static double
sd_of (const Figure *f)
{
  return sqrt (MAX (f->squares - f->sum * f->sum / f->n, 0) / (f->n - 1));
}

typedef struct {
  gint64 n;
  float *deltas;                              /* [SEEDS][n] */
  double *mean, *variance, *kept;             /* [n] */
  Figure l1, l2, slope, changed, spread;      /* per seed, of the tensor; see tally_sum */
} Tally;

static void
tally_clear (Tally *t)
{
  g_free (t->deltas);
  g_free (t->mean);
  g_free (t->variance);
  g_free (t->kept);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Tally, tally_clear)

/* Ratios to the target's norms, slope on the target, share that is changed, squared distance from the mean. */
static void
tally_sum (Tally *y, const float *delta, const double *target)
{
  double abs_t = 0, tt = 0, abs_d = 0, dd = 0, dt = 0, spread = 0;
  gint64 changed = 0;

  for (gint64 j = 0; j < y->n; j++) {
    double d = delta[j];

    abs_t += fabs (target[j]);
    tt += target[j] * target[j];
    abs_d += fabs (d);
    dd += d * d;
    dt += d * target[j];
    spread += (d - y->mean[j]) * (d - y->mean[j]);
    changed += d != 0;
  }
  add (&y->l1, abs_d / abs_t);
  add (&y->l2, sqrt (dd / tt));
  add (&y->slope, dt / tt);
  add (&y->changed, (double) changed / (double) y->n);
  add (&y->spread, spread * SEEDS / (SEEDS - 1));
}

/* Runs all seeds; target [n]: what the changes are compared with. */
static void
tally (Tally *y, Drive *d, const double *target)
{
  DriveTensor *t = drive_get (d, 0);

  y->n = t->t.n;
  y->deltas = g_new (float, SEEDS * y->n);
  y->mean = g_new0 (double, y->n);
  y->variance = g_new0 (double, y->n);
  y->kept = g_new0 (double, y->n);
  for (guint64 seed = 0; seed < SEEDS; seed++) {
    float *delta = y->deltas + (gint64) seed * y->n;

    for (guint i = 0; i < d->n_in; i++)
      t->seeds[i] = (seed + 1) << 8 | i;
    g_assert_true (drive_run (d, NULL));
    for (gint64 j = 0; j < y->n; j++) {
      delta[j] = t->out[j] - t->base[j];
      y->mean[j] += delta[j] / (double) SEEDS;
      y->kept[j] += (delta[j] != 0) / (double) SEEDS;
    }
  }
  for (guint seed = 0; seed < SEEDS; seed++) {
    const float *delta = y->deltas + seed * y->n;

    for (gint64 j = 0; j < y->n; j++)
      y->variance[j] += (delta[j] - y->mean[j]) * (delta[j] - y->mean[j]) / (SEEDS - 1);
    tally_sum (y, delta, target);
  }
}

static void
check_near (const char *what, const char *name, double x, double expected, double within)
{
  g_test_message ("%s %s: %.6g, expected %.6g within %.2g", name, what, x, expected, within);
  if (!(fabs (x - expected) <= within))
    g_error ("%s %s: %.6g, expected %.6g within %.2g", name, what, x, expected, within);
}

/* fp32 of base + change: what the change of one element may be off. */
static double
rounding (const DriveTensor *t, gint64 j)
{
  return 0x1p-23 * (fabs (t->base[j]) + fabs (t->out[j]));
}

/* ------------------------------------------------------------------ theory */

static double
keep_probability (const Drive *d, const double *della, guint i, gint64 j)
{
  return della != NULL ? della[(gint64) i * drive_get (d, 0)->t.n + j] : drive_number (d, 0, (gint) i, "density");
}

/* The merged change where the inputs of `mask` keep theirs, x [n_in] as they are scaled. */
static double
merged_change (const Drive *d, const double *x, guint mask)
{
  gboolean ties = drive_find_param (d->op->params, "vote") != NULL, normalize = drive_number (d, 0, -1, "normalize") != 0;
  double vote = 0, sum = 0, share = 0;

  for (guint i = 0; i < d->n_in; i++)
    if (ties && mask >> i & 1)
      vote += x[i] * (drive_is (d, 0, "vote", "weighted") ? drive_number (d, 0, (gint) i, "weight") : 1);
  for (guint i = 0; i < d->n_in; i++) {
    double w = drive_number (d, 0, (gint) i, "weight");
    gboolean kept = mask >> i & 1, counts = kept && (!ties || x[i] * vote > 0);

    sum += counts ? w * x[i] : 0;
    share += counts || !ties ? w : 0;
  }
  return drive_number (d, 0, -1, "lambda") * (normalize && share > 0 ? sum / share : sum);
}

/* Element j's mean and variance, and the chance that it is changed at all, over the 2^n_in ways to keep. */
static void
foresee (const Drive *d, const double *della, gint64 j, double *mean, double *variance, double *changed)
{
  const DriveTensor *t = drive_get (d, 0);
  gboolean divide = !drive_is (d, 0, "rescale", "none");
  double squares = 0;

  *mean = *changed = 0;
  for (guint mask = 0; mask < 1u << d->n_in; mask++) {
    double chance = 1, x[3], y;

    for (guint i = 0; i < d->n_in; i++) {
      double p = keep_probability (d, della, i, j);

      chance *= mask >> i & 1 ? p : 1 - p;
      x[i] = ((double) t->in[i][j] - t->base[j]) / (divide ? p : 1);
    }
    y = merged_change (d, x, mask);
    *mean += chance * y;
    *changed += y != 0 ? chance : 0;
    squares += chance * y * y;
  }
  *variance = MAX (squares - *mean * *mean, 0);
}

static double *
della_probabilities (const Drive *d)
{
  double *p;

  if (!g_str_has_prefix (d->op->name, "della"))
    return NULL;
  p = g_new (double, d->n_in * drive_get (d, 0)->t.n);
  for (guint i = 0; i < d->n_in; i++)
    define_della_probabilities (d, 0, i, p + i * drive_get (d, 0)->t.n);
  return p;
}

static void
check_theory (Drive *d, const char *name)
{
  const DriveTensor *t = drive_get (d, 0);
  g_autofree double *della = della_probabilities (d), *mean = g_new (double, t->t.n), *variance = g_new (double, t->t.n);
  double changed = 0, chance, spread = 0;
  g_auto (Tally) y = { 0 };

  for (gint64 j = 0; j < t->t.n; j++) {
    foresee (d, della, j, &mean[j], &variance[j], &chance);
    changed += chance / (double) t->t.n;
    spread += variance[j];
  }
  tally (&y, d, mean);
  check_near ("share changed", name, mean_of (&y.changed), changed, 5 * sd_of (&y.changed) / sqrt (SEEDS));
  check_near ("slope on the expected change", name, mean_of (&y.slope), 1, 5 * sd_of (&y.slope) / sqrt (SEEDS) + 1e-6);
  check_near ("variance over the expected", name, mean_of (&y.spread) / spread, 1, 5 * sd_of (&y.spread) / spread / sqrt (SEEDS));
  for (gint64 j = 0; j < t->t.n; j++)
    g_assert_cmpfloat (fabs (y.mean[j] - mean[j]), <=, 5.5 * sqrt (variance[j] / SEEDS) + rounding (t, j)); /* of 100000 elements in all */
}

static void
set_inputs (Drive *d, gboolean unlike)
{
  static const double weights[] = { 0.5, 0.7, 0.3 }, densities[] = { 0.5, 0.7, 0.3 };

  for (guint i = 0; i < d->n_in; i++) {
    drive_set (d, (gint) i, "weight", weights[i]);
    drive_set (d, (gint) i, "density", unlike ? densities[i] : 0.35);
    if (drive_find_param (d->op->in_params, "epsilon") != NULL)
      drive_set (d, (gint) i, "epsilon", 0.3);
  }
}

static void
test_theory (gconstpointer data)
{
  const char *operator = data;

  for (guint i = 0; i < 8 * G_N_ELEMENTS (tensors); i++) {
    guint n_in = i & 1 ? 3 : 1;
    g_autoptr (Drive) d = make (operator, n_in, models, tensors[i / 8]);
    g_autofree char *name = g_strdup_printf ("%s of %u%s%s, %s", operator, n_in, i & 2 ? ", unscaled" : "", i & 4 ? ", normalized" : "", tensors[i / 8]);

    set_inputs (d, i & 2);
    drive_set (d, -1, "lambda", i & 4 ? 0.8 : 1);
    drive_set (d, -1, "normalize", (i & 4) != 0);
    if (i & 2)
      drive_set_choice (d, -1, "rescale", "none");
    check_theory (d, name);
  }
}

/* ------------------------------------------------------------------ mergekit */

enum { COLUMN_CASE, COLUMN_TENSOR, COLUMN_N, COLUMN_MEAN, COLUMN_MEAN_T, COLUMN_SLOPE, COLUMN_CORR, COLUMN_L1, COLUMN_L1_SD, COLUMN_L2,
       COLUMN_CHANGED, COLUMN_CHANGED_SD, COLUMN_DECILES };

static double
number (char *const *row, guint column)
{
  return g_ascii_strtod (row[column], NULL);
}

typedef struct { double size; gint64 j; } Sized;

static int
by_size (const void *a, const void *b)
{
  const Sized *x = a, *y = b;

  return x->size < y->size ? -1 : x->size > y->size ? 1 : x->j < y->j ? -1 : 1;
}

/* Of a recipe of one model: how often changes are kept by their rank in their row, in tenths of (rank / (n - 1)). */
static void
check_deciles (const Tally *y, const double *target, gint64 n_cols, const char *deciles, const char *name)
{
  g_auto (GStrv) expected = g_strsplit (deciles, " ", -1);
  g_autofree Sized *row = g_new (Sized, n_cols);
  double kept[10] = { 0 }, n[10] = { 0 };

  g_assert_cmpuint (g_strv_length (expected), ==, 10);
  for (gint64 first = 0; first < y->n; first += n_cols) {
    for (gint64 j = 0; j < n_cols; j++)
      row[j] = (Sized){ fabs (target[first + j]), first + j };
    qsort (row, (gsize) n_cols, sizeof *row, by_size);
    for (gint64 r = 0; r < n_cols; r++) {
      gint64 decile = MIN (9, 10 * r / (n_cols - 1));

      kept[decile] += y->kept[row[r].j];
      n[decile]++;
    }
  }
  for (guint i = 0; i < 10; i++) {
    double p = kept[i] / n[i]; /* the variance of a mean of unlike chances is below p (1 - p) */

    check_near ("kept of a tenth", name, p, g_ascii_strtod (expected[i], NULL), 5 * sqrt (p * (1 - p) * 2 / (n[i] * SEEDS)) + 5e-5);
  }
}

/* Two means of 200 seeds each; that of the file is rounded at `unit`. */
static void
check_figure (const char *what, const char *name, const Figure *f, double expected, double unit)
{
  check_near (what, name, mean_of (f), expected, 5 * sd_of (f) * sqrt (2.0 / SEEDS) + unit);
}

/* A standard deviation of 200 has a relative standard error of 1 / sqrt (2 * 200), the difference of two sqrt 2 times that. */
static void
check_sd (const char *what, const char *name, const Figure *f, double expected)
{
  check_near (what, name, sd_of (f), expected, 5 * expected / sqrt (SEEDS) + 2e-6);
}

static void
check_elements (const Tally *y, const char *name, const char *tensor, const DriveTensor *t)
{
  EvoShape shape;
  g_autofree float *mean = stored (name, tensor, ".mean", &shape), *sd = stored (name, tensor, ".sd", &shape);
  double worst = 0, spread = 0;

  g_assert_cmpint (shape.n, ==, y->n);
  for (gint64 j = 0; j < y->n; j++) {
    double within = sqrt ((y->variance[j] + (double) sd[j] * sd[j]) / SEEDS);

    worst = MAX (worst, (fabs (y->mean[j] - mean[j]) - rounding (t, j)) / within);
    spread += (double) sd[j] * sd[j];
  }
  check_near ("worst element, in standard errors", name, worst, 0, 5);
  /* the file does not say whether by 200 or by 199 */
  check_near ("variance", name, mean_of (&y->spread) / spread, 1, 5 * sd_of (&y->spread) / spread * sqrt (2.0 / SEEDS) + 1.0 / SEEDS);
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
make_case (JsonObject *c, const char *tensor)
{
  JsonArray *in = json_object_get_array_member (c, "in");
  const char *names[3];
  Drive *d;

  for (guint i = 0; i < json_array_get_length (in); i++)
    names[i] = json_object_get_string_member (json_array_get_object_element (in, i), "model");
  d = make (json_object_get_string_member (c, "operator"), json_array_get_length (in), names, tensor);
  for (guint i = 0; i < d->n_in; i++)
    set_from (d, (gint) i, json_array_get_object_element (in, i));
  set_from (d, -1, json_object_get_object_member (c, "params"));
  return d;
}

/* The change of the same recipe with nothing dropped. */
static double *
undropped (JsonObject *c, const char *tensor)
{
  g_autoptr (Drive) d = make_case (c, tensor);
  const DriveTensor *t = drive_get (d, 0);
  double *out = g_new (double, t->t.n);

  for (guint i = 0; i < d->n_in; i++)
    drive_set (d, (gint) i, "density", 1);
  g_assert_true (drive_run (d, NULL));
  for (gint64 j = 0; j < t->t.n; j++)
    out[j] = (double) t->out[j] - t->base[j];
  return out;
}

static void
check_row (JsonObject *c, char *const *row)
{
  g_autoptr (Drive) d = make_case (c, row[COLUMN_TENSOR]);
  g_autofree double *target = undropped (c, row[COLUMN_TENSOR]);
  const DriveTensor *t = drive_get (d, 0);
  double mean_t = 0;
  g_auto (Tally) y = { 0 };

  g_assert_cmpint (t->t.n, ==, g_ascii_strtoll (row[COLUMN_N], NULL, 10));
  for (gint64 j = 0; j < t->t.n; j++)
    mean_t += target[j] / (double) t->t.n;
  check_near ("mean of T", row[0], mean_t, number (row, COLUMN_MEAN_T), 1e-6 * fabs (mean_t) + 1e-9); /* 7 digits, fp32 */
  tally (&y, d, target);
  check_figure ("slope", row[0], &y.slope, number (row, COLUMN_SLOPE), 5e-6);
  check_figure ("L1 ratio", row[0], &y.l1, number (row, COLUMN_L1), 1e-6);
  check_sd ("sd of the L1 ratio", row[0], &y.l1, number (row, COLUMN_L1_SD));
  check_figure ("L2 ratio", row[0], &y.l2, number (row, COLUMN_L2), 5e-6);
  check_figure ("share changed", row[0], &y.changed, number (row, COLUMN_CHANGED), 5e-6);
  check_sd ("sd of the share changed", row[0], &y.changed, number (row, COLUMN_CHANGED_SD));
  check_elements (&y, row[0], row[COLUMN_TENSOR], t);
  g_assert_cmpint (row[COLUMN_DECILES] != NULL, ==, d->n_in == 1);
  if (d->n_in == 1)
    check_deciles (&y, target, t->t.n_cols, row[COLUMN_DECILES], row[0]);
}

/* Cases of the list for which there are rows; the number of rows compared. */
static guint
check_list (const char *list, char *const *rows)
{
  g_autofree char *path = data_path (list);
  g_autoptr (JsonParser) parser = json_parser_new ();
  guint n = 0;

  g_assert_true (json_parser_load_from_file (parser, path, NULL));
  JsonArray *all = json_node_get_array (json_parser_get_root (parser));
  for (guint i = 0; i < json_array_get_length (all); i++) {
    JsonObject *c = json_array_get_object_element (all, i);

    for (guint r = 0; rows[r] != NULL; r++) {
      g_auto (GStrv) row = g_strsplit (rows[r], "\t", -1);

      if (g_strcmp0 (row[0], json_object_get_string_member (c, "case")) == 0) {
        check_row (c, row);
        n++;
      }
    }
  }
  return n;
}

static void
test_mergekit (void)
{
  g_autofree char *path = data_path ("rand.tsv"), *text = NULL;
  g_auto (GStrv) rows = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  rows = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (check_list ("golden.json", rows) + check_list ("golden-sparse.json", rows), ==, 24); /* 8 recipes, 3 tensors */
}

/* ------------------------------------------------------------------ masks */

/* Changes of 1 and 2 on a base of zeros, so that the result says who was kept; the counts of 0, 1, 2, 3. */
static void
test_independent (gconstpointer data)
{
  static const gint64 dims[] = { 48, 48 };
  static const double p[] = { 0.3, 0.6 };
  g_autoptr (Drive) d = drive_new (merge_ops_find (data), evo_kernels_get (), 2, TRUE);
  DriveTensor *t = drive_add (d, 2, dims);
  double count[4] = { 0 }, neighbours = 0, n = SEEDS * (double) t->t.n;

  for (gint64 j = 0; j < t->t.n; j++)
    t->in[1][j] = 2 * (t->in[0][j] = 1);
  for (guint i = 0; i < 2; i++) {
    drive_set (d, (gint) i, "density", p[i]);
    if (drive_find_param (d->op->in_params, "epsilon") != NULL)
      drive_set (d, (gint) i, "epsilon", 0);
  }
  drive_set (d, -1, "normalize", FALSE);
  drive_set_choice (d, -1, "rescale", "none");
  for (guint64 seed = 1; seed <= SEEDS; seed++) {
    t->seeds[0] = 2 * seed; /* neighbours, as bad seeds would be */
    t->seeds[1] = 2 * seed + 1;
    g_assert_true (drive_run (d, NULL));
    for (gint64 j = 0; j < t->t.n; j++) {
      g_assert_true (t->out[j] == 0 || t->out[j] == 1 || t->out[j] == 2 || t->out[j] == 3);
      count[(guint) t->out[j]]++;
      neighbours += t->out[j] >= 2 && t->out[(j + 1) % t->t.n] >= 2;
    }
  }
  for (guint kept = 0; kept < 4; kept++) {
    double chance = (kept & 1 ? p[0] : 1 - p[0]) * (kept & 2 ? p[1] : 1 - p[1]);

    check_near ("share of a combination", data, count[kept] / n, chance, 5 * sqrt (chance * (1 - chance) / n));
  }
  /* pairs that share an element are correlated: the variance of the count is p^2 (1 + 2 p - 3 p^2) a pair */
  check_near ("share of neighbours both kept", data, neighbours / n, p[1] * p[1], 5 * p[1] * sqrt ((1 + 2 * p[1] - 3 * p[1] * p[1]) / n));
}

/* A higher density keeps what a lower one keeps, of the same seed: also by ranks, whose chances never fall as the density rises. */
static void
check_nested (const char *operator, double epsilon, gboolean half)
{
  g_autoptr (Drive) d = make (operator, 1, models + 2, tensors[1]);
  DriveTensor *t = drive_get (d, 0);
  g_autofree float *before = g_new (float, t->t.n);
  gboolean ranked = drive_find_param (d->op->in_params, "epsilon") != NULL;
  gint64 last = 0;

  drive_set_choice (d, -1, "rescale", "none");
  if (ranked) {
    drive_set (d, 0, "epsilon", epsilon);
    drive_set_choice (d, -1, "epsilon_is", half ? "half-width" : "width");
  }
  for (guint64 seed = 1; seed <= SEEDS / 10; seed++) {
    memset (before, 0, (gsize) t->t.n * sizeof *before);
    t->seeds[0] = seed * 77;
    for (guint step = 0; step <= 40; step++) {
      double density = step / 40.0;
      gint64 kept = 0;

      if (half && step % 40 != 0 && (density <= epsilon || density >= 1 - epsilon)) /* which mergekit refuses */
        continue;
      drive_set (d, 0, "density", density);
      g_assert_true (drive_run (d, NULL));
      for (gint64 j = 0; j < t->t.n; j++) {
        gboolean is = t->out[j] != t->base[j];

        g_assert_true (is || before[j] == 0);
        before[j] = is;
        kept += is;
      }
      g_assert_cmpint (kept, >=, step == 0 ? 0 : last);
      g_assert_true (step != 0 || kept == 0);
      g_assert_true (step != 40 || kept == t->t.n);
      last = kept;
    }
  }
}

static void
test_nested (gconstpointer data)
{
  static const double epsilons[] = { 0, 0.15, 0.4, 1 };

  if (!g_str_has_prefix (data, "della")) {
    check_nested (data, 0, FALSE);
    return;
  }
  for (guint i = 0; i < G_N_ELEMENTS (epsilons); i++)
    check_nested (data, epsilons[i], FALSE);
  check_nested (data, 0.15, TRUE);
}

int
main (int argc, char **argv)
{
  static const char *const files[] = { "golden.safetensors", "golden-sparse.safetensors", "rand.safetensors" };
  static const char *const operators[] = { "dare-linear", "dare-ties", "della", "della-linear" };
  int status;

  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (stores); i++) {
    g_autofree char *path = data_path (files[i]);

    stores[i] = evo_store_open (path, NULL);
    g_assert_nonnull (stores[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (operators); i++) {
    g_autofree char *theory = g_strconcat ("/random/theory/", operators[i], NULL), *nested = g_strconcat ("/random/nested/", operators[i], NULL);
    g_autofree char *independent = g_strconcat ("/random/independent/", operators[i], NULL);

    g_test_add_data_func (theory, operators[i], test_theory);
    g_test_add_data_func (nested, operators[i], test_nested);
    g_test_add_data_func (independent, operators[i], test_independent);
  }
  g_test_add_func ("/random/mergekit", test_mergekit);
  status = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (stores); i++)
    evo_store_unref (stores[i]);
  return status;
}
