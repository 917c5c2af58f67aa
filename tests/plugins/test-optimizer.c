/* SPDX-License-Identifier: Apache-2.0
 * test-optimizer.c - optimizer.cma-es and optimizer.random: how fast they get there, what they may hand out, and that they repeat.
 */
#include "plugins/optimizer/random.h"
#include "tests/plugins/test-optimizer.h"

/* --- objectives; optimum 0 */

static double
rastrigin (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i] * x[i] + 10 * (1 - cos (2 * G_PI * x[i]));
  return sum;
}

static double
flat (const double *x, guint n)
{
  return 1;
}

static void
test_diagonal (void)
{
  CmaParams params = cma_defaults (), full = params;
  EvoDim dims[MOST_DIMS];
  Result a, b;

  fill_dims (dims, 40, EVO_DIM_REAL, -5, 5, 3, NAN);
  params.covariance = 2;
  full.covariance = 1;
  a = search (cma (), &params, ellipsoid, dims, 40, 1, 1e-9, 100000);
  b = search (cma (), &full, ellipsoid, dims, 40, 1, 1e-9, 100000);
  g_test_message ("ellipsoid 40: diagonal %" G_GINT64_FORMAT ", full %" G_GINT64_FORMAT, a.evaluations, b.evaluations);
  g_assert_cmpfloat (a.best, <=, 1e-9);
  g_assert_cmpfloat (b.best, <=, 1e-9);
  g_assert_cmpint (a.evaluations * 3, <, b.evaluations); /* n numbers to learn instead of n^2 / 2 */
  full.active = TRUE;
  b = search (cma (), &full, ellipsoid, dims, 40, 1, 1e-9, 100000);
  g_test_message ("full and active %" G_GINT64_FORMAT, b.evaluations);
  g_assert_cmpfloat (b.best, <=, 1e-9);
  g_assert_cmpint (b.evaluations, <, 60000);                 /* three quarters: what negative weights are for */
  fill_dims (dims, 40, EVO_DIM_REAL, 0.25, 5, 3, NAN);       /* a corner */
  g_assert_cmpfloat (search (cma (), &params, sphere, dims, 40, 1, 2.5 + 1e-9, 20000).best, <=, 2.5 + 1e-9);
}

static void
test_population (void)
{
  static const struct { guint n, lambda; } rule[] = { { 1, 4 }, { 2, 6 }, { 6, 9 }, { 14, 11 }, { 20, 12 }, { 40, 15 } };
  EvoDim dims[MOST_DIMS];

  for (guint i = 0; i < G_N_ELEMENTS (rule); i++) {
    CmaParams params = cma_defaults ();

    fill_dims (dims, rule[i].n, EVO_DIM_REAL, 0, 1, 0.5, NAN);
    g_assert_cmpint (search (cma (), &params, sphere, dims, rule[i].n, 3, -1, 40).first_wait, ==, 1 + rule[i].lambda);
    params.population = 7;
    g_assert_cmpint (search (cma (), &params, sphere, dims, rule[i].n, 3, -1, 40).first_wait, ==, 8);
  }
}

static void
test_start_point (void)
{
  EvoDim dims[] = { { "a", EVO_DIM_REAL, 0, 0.1, 0.9, 0.3, NAN }, { "b", EVO_DIM_INTEGER, 0, -4, 9, 7, NAN },
                    { "c", EVO_DIM_CHOICE, 3, 0, 0, 1, NAN }, { "d", EVO_DIM_REAL, 0, 0.7, 0.7, 0.7, NAN } };
  CmaParams params = cma_defaults ();
  gint64 batch = 16;
  double x[4];

  for (guint i = 0; i < 2; i++) {
    const EvoOptimizerOp *op = i == 0 ? cma () : uniform ();
    gpointer self = op->open (dims, 4, 1, i == 0 ? (gconstpointer) &params : &batch, 9, evo_kernels_get (), NULL);

    g_assert_cmpint (op->ask (self, 0, x), ==, EVO_ASKED_GIVEN);
    for (guint k = 0; k < 4; k++)
      g_assert_cmpfloat (x[k], ==, dims[k].start);
    g_assert_cmpint (op->ask (self, 1, x), ==, EVO_ASKED_GIVEN);
    g_assert_cmpfloat (x[0], !=, 0.3);
    g_assert_cmpfloat (x[3], ==, 0.7);
    op->close (self);
  }
}

/* The optimum lies outside the box, the corner is best. */
static void
test_bounds (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  Result r;

  fill_dims (dims, 12, EVO_DIM_REAL, 0.25, 2, 1, NAN);
  r = search (cma (), &params, sphere, dims, 12, 5, 12 * 0.0625 + 1e-9, 10000);
  g_test_message ("corner of 12: %g above the optimum after %" G_GINT64_FORMAT, r.best - 12 * 0.0625, r.evaluations);
  g_assert_cmpfloat (r.best, <=, 12 * 0.0625 + 1e-9);
  dims[3].high = HUGE_VAL;
  dims[4].low = -HUGE_VAL;                                /* an edge that leads to 0 between 11 slopes: a sharp ridge */
  dims[5].sigma = 0.01;                                   /* 75 sigma away */
  r = search (cma (), &params, sphere, dims, 12, 5, -1, 12000);
  g_test_message ("edge: %g above the optimum", r.best - 11 * 0.0625);
  for (guint i = 0; i < 12; i++)
    g_assert_cmpfloat_with_epsilon (r.at[i], i == 4 ? 0 : 0.25, i == 4 ? 0.03 : 1e-6);
}

static void
test_restarts (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  guint once = 0, again = 0;

  fill_dims (dims, 4, EVO_DIM_REAL, -5, 5, 2.2, NAN);
  for (guint seed = 0; seed < 5; seed++) {
    Result r;

    params.restarts = 0;
    r = search (cma (), &params, rastrigin, dims, 4, seed, 1e-6, 60000);
    once += r.best <= 1e-6;
    g_assert_true (r.best <= 1e-6 || r.done);             /* steps end below rounding: nothing left to try */
    params.restarts = 6;
    again += search (cma (), &params, rastrigin, dims, 4, seed, 1e-6, 60000).best <= 1e-6;
  }
  g_test_message ("rastrigin 4: %u of 5 at once, %u with restarts", once, again);
  g_assert_cmpuint (again, ==, 5);
  g_assert_cmpuint (once, <, 5);
}

static void
test_flat (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  Result r;

  fill_dims (dims, 6, EVO_DIM_REAL, 0, 2, 1, NAN);
  r = search (cma (), &params, flat, dims, 6, 1, 0, 5000);
  g_assert_cmpint (r.evaluations, ==, 5000);              /* neither ended nor lost: all points were finite and inside */
  g_assert_false (r.done);
}

/* Failed trials rank last; a generation of nothing else changes nothing but the draw. */
static void
test_failures (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  gpointer self;
  double best = HUGE_VAL, x[16][4], loss = 0;
  gint64 trial = 0;

  fill_dims (dims, 4, EVO_DIM_REAL, -1, 1, 0.8, NAN);
  self = cma ()->open (dims, 4, 1, &params, 4, evo_kernels_get (), NULL);
  for (guint generation = 0; generation < 120; generation++) {
    guint n = 0;

    while (n < 16 && cma ()->ask (self, trial + n, x[n]) == EVO_ASKED_GIVEN)
      n++;
    for (guint i = 0; i < n; i++, trial++) {
      gboolean failed = generation < 3 || x[i][0] + x[i][1] < -0.2;

      loss = failed ? NAN : sphere (x[i], 4);
      best = failed ? best : MIN (best, loss);
      cma ()->tell (self, x[i], &(EvoOutcome){ .trial = trial, .failed = failed && i % 2, .loss = &loss });
    }
  }
  cma ()->close (self);
  g_assert_cmpfloat (best, <, 1e-9);
}

/* Same seed and same losses, same points bit for bit (what a resumed run relies on); another seed, others. */
static void
test_repeats (void)
{
  gint64 batch = 8;
  EvoDim dims[] = { { "a", EVO_DIM_REAL, 0, -1, 4, 1, NAN }, { "b", EVO_DIM_REAL, 0, -1, 4, 1, 0.1 }, { "c", EVO_DIM_INTEGER, 0, 0, 9, 4, NAN },
                    { "d", EVO_DIM_CHOICE, 4, 0, 0, 3, NAN } };
  CmaParams params = cma_defaults ();

  params.restarts = 3;
  for (guint i = 0; i < 2; i++) {
    const EvoOptimizerOp *op = i == 0 ? cma () : uniform ();
    gconstpointer p = i == 0 ? (gconstpointer) &params : &batch;
    Result a = search (op, p, rastrigin, dims, 4, 77, -1, 3000), b = search (op, p, rastrigin, dims, 4, 77, -1, 3000),
           c = search (op, p, rastrigin, dims, 4, 78, -1, 3000);

    g_assert_cmpuint (a.digest, ==, b.digest);
    g_assert_cmpuint (a.digest, !=, c.digest);
  }
}

/* A resumed run: a new optimizer is asked and told what the journal has, up to any trial (inside a generation too), and goes on as the first
 * did. Losses are given by trial, not by point, so that a wrong point cannot hide. */
static void
check_replay (const EvoOptimizerOp *op, gconstpointer params, const EvoDim *dims, guint n, gint64 cut)
{
  gpointer first = op->open (dims, n, 1, params, 31, evo_kernels_get (), NULL), second = NULL;
  double x[64][8], again[8];

  for (gint64 trial = 0; trial < 600;) {
    guint asked = 0;

    while (asked < 64 && op->ask (first, trial + asked, x[asked]) == EVO_ASKED_GIVEN) {
      if (second == NULL && trial + asked == cut) { /* the process died after this one; its generation is asked for again */
        second = op->open (dims, n, 1, params, 31, evo_kernels_get (), NULL);
        for (gint64 t = 0, told = 0; told < trial; told = t) {
          while (op->ask (second, t, again) == EVO_ASKED_GIVEN)
            t++;
          for (gint64 u = told; u < t; u++)
            op->tell (second, again, &(EvoOutcome){ .trial = u, .failed = u % 7 == 3, .loss = (double[]){ (double) (u * u * 37 % 101) } });
        }
        for (guint i = 0; i < asked; i++) {
          g_assert_cmpint (op->ask (second, trial + i, again), ==, EVO_ASKED_GIVEN);
          g_assert_cmpmem (again, n * sizeof (double), x[i], n * sizeof (double));
        }
      }
      if (second != NULL) {
        g_assert_cmpint (op->ask (second, trial + asked, again), ==, EVO_ASKED_GIVEN);
        g_assert_cmpmem (again, n * sizeof (double), x[asked], n * sizeof (double));
      }
      asked++;
    }
    if (second != NULL && asked < 64)
      g_assert_cmpint (op->ask (second, trial + asked, again), ==, EVO_ASKED_WAIT);
    for (guint i = 0; i < asked; i++, trial++) {
      EvoOutcome outcome = { .trial = trial, .failed = trial % 7 == 3, .loss = (double[]){ (double) (trial * trial * 37 % 101) } };

      op->tell (first, x[i], &outcome);
      if (second != NULL)
        op->tell (second, x[i], &outcome);
    }
  }
  g_assert_nonnull (second);
  op->close (first);
  op->close (second);
}

static void
test_replay (void)
{
  EvoDim dims[8];
  gint64 batch = 16;

  fill_dims (dims, 8, EVO_DIM_REAL, -1, 4, 1, NAN);
  dims[1].low = -HUGE_VAL;
  dims[2] = (EvoDim){ "c", EVO_DIM_INTEGER, 0, 0, 9, 4, NAN };
  dims[3] = (EvoDim){ "d", EVO_DIM_CHOICE, 4, 0, 0, 3, NAN };
  for (gint64 cut = 0; cut < 500; cut += 83) {
    for (guint kind = 0; kind < 3; kind++) {
      CmaParams params = cma_defaults ();

      params.covariance = kind;
      params.active = kind == 1;
      params.restarts = 2;
      check_replay (cma (), &params, dims, 8, cut);
    }
    check_replay (uniform (), &batch, dims, 1, cut);
  }
}

/* The very bits of what is plain arithmetic, so that a change of compiler, CPU or code that moves a trajectory is seen: a journal could not be
 * resumed. A full covariance is LAPACK's, the same on one machine type. */
static void
test_pinned (void)
{
  EvoDim dims[MOST_DIMS];
  CmaParams params = cma_defaults ();
  Result r;

  params.covariance = 2;
  fill_dims (dims, 5, EVO_DIM_REAL, -2, 2, 1.5, NAN);
  dims[3] = (EvoDim){ "d", EVO_DIM_INTEGER, 0, -9, 9, 4, NAN };
  dims[4] = (EvoDim){ "e", EVO_DIM_CHOICE, 4, 0, 0, 3, NAN };
  r = search (cma (), &params, sphere, dims, 5, 1, -1, 1000);
  g_test_message ("digest %#" G_GINT64_MODIFIER "x", r.digest);
  g_assert_cmphex (r.digest, ==, 0xfcb631e5822b8f53);
}

static void
test_random (void)
{
  EvoDim dims[] = { { "a", EVO_DIM_REAL, 0, 2, 6, 3, NAN }, { "b", EVO_DIM_INTEGER, 0, -1, 2, 0, NAN }, { "c", EVO_DIM_CHOICE, 3, 0, 0, 0, NAN } };
  gint64 batch = 16;
  gpointer self = uniform ()->open (dims, 3, 1, &batch, 5, evo_kernels_get (), NULL);
  guint counts[3][4] = { 0 }, n = 0;
  double x[3], loss = 0;

  for (gint64 trial = 0; trial < 4000; trial++) {
    EvoAsked answer = uniform ()->ask (self, trial, x);

    if (answer == EVO_ASKED_WAIT) {
      g_assert_cmpuint (n, ==, 16);
      for (; n > 0; n--)
        uniform ()->tell (self, x, &(EvoOutcome){ .trial = trial - n, .loss = &loss });
      answer = uniform ()->ask (self, trial, x);
    }
    g_assert_cmpint (answer, ==, EVO_ASKED_GIVEN);
    check_point (dims, x, 3);
    counts[0][(guint) (x[0] - 2)]++;
    counts[1][(guint) (x[1] + 1)]++;
    counts[2][(guint) x[2]]++;
    n++;
  }
  uniform ()->close (self);
  for (guint i = 0; i < 4; i++) {                          /* 5 standard deviations of a binomial */
    g_assert_cmpfloat (fabs (counts[0][i] - 1000.0), <, 137);
    g_assert_cmpfloat (fabs (counts[1][i] - 1000.0), <, 137);
  }
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (fabs (counts[2][i] - 4000 / 3.0), <, 149);
}

static void
check_refused (const EvoOptimizerOp *op, gconstpointer params, EvoDim dim, guint n_dims, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (op->open (&dim, n_dims, 1, params, 1, evo_kernels_get (), &error));
  g_assert_error (error, g_quark_from_string ("evo-plugin-error"), EVO_PLUGIN_ERROR_PARAM);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_refusals (void)
{
  CmaParams p = cma_defaults (), full = p, one = p, wide = p;
  gint64 batch = 16;
  EvoDim good = { "blend.a.weight", EVO_DIM_REAL, 0, 0, 1, 0.5, NAN }, d = good, many[3] = { good, good, good };
  g_autofree EvoDim *lots = g_new (EvoDim, 9000);
  g_autoptr (GError) error = NULL;

  check_refused (cma (), &p, good, 0, "there is nothing to search: no dimension was given");
  check_refused (uniform (), &batch, good, 0, "there is nothing to search: no dimension was given");
  d.kind = EVO_DIM_TRIAL;
  check_refused (cma (), &p, d, 1, "blend.a.weight: names an earlier trial; this optimizer searches numbers and choices only");
  d.kind = 9;
  check_refused (cma (), &p, d, 1, "blend.a.weight: unknown kind of dimension 9");
  d = (EvoDim){ "op", EVO_DIM_CHOICE, 2, 0, 0, 2, NAN };
  check_refused (cma (), &p, d, 1, "op: start 2 is none of its 2 choices");
  d.n_choices = 0;
  check_refused (cma (), &p, d, 1, "op: has 0 choices; 1 to 4096 can be searched");
  d.n_choices = 4097;
  check_refused (uniform (), &batch, d, 1, "op: has 4097 choices; 1 to 4096 can be searched");
  d = (EvoDim){ "op", EVO_DIM_CHOICE, 2, 0, 0, 1, 1 };
  check_refused (cma (), &p, d, 1, "op: sigma 1 of a choice is the probability to leave its start; above 0 and below 1");
  d = good, d.low = NAN;
  check_refused (cma (), &p, d, 1, "blend.a.weight: start 0.5 is outside nan ... 1");
  d = good, d.start = NAN;
  check_refused (cma (), &p, d, 1, "blend.a.weight: start nan is outside 0 ... 1");
  d = good, d.start = 1.5;
  check_refused (cma (), &p, d, 1, "blend.a.weight: start 1.5 is outside 0 ... 1");
  check_refused (uniform (), &batch, d, 1, "blend.a.weight: start 1.5 is outside 0 ... 1");
  d = good, d.sigma = 0;
  check_refused (cma (), &p, d, 1, "blend.a.weight: sigma 0 is not above 0");
  d = good, d.kind = EVO_DIM_INTEGER;
  check_refused (cma (), &p, d, 1, "blend.a.weight: start 0.5 is not a whole number below 2^53");
  d.start = 1, d.low = -0.5;
  check_refused (cma (), &p, d, 1, "blend.a.weight: bounds -0.5 ... 1 of a whole number are not whole");
  d = good, d.high = HUGE_VAL;
  check_refused (uniform (), &batch, d, 1, "blend.a.weight: has no bounds; random search needs both");
  one.population = 1;
  check_refused (cma (), &one, good, 1, "population: 1 cannot be ranked; 0 or at least 2");
  g_assert_null (cma ()->open (many, 3, 2, &p, 1, evo_kernels_get (), &error));
  g_assert_cmpstr (error->message, ==, "CMA-ES has one objective, not 2");
  g_clear_error (&error);
  for (guint i = 0; i < 9000; i++)
    lots[i] = good;
  full.covariance = 1;
  g_assert_null (cma ()->open (lots, 9000, 1, &full, 1, evo_kernels_get (), &error));
  g_assert_cmpstr (error->message, ==, "covariance: a full matrix of 9000 genes is too large; at most 8192, or \"diagonal\"");
  g_clear_error (&error);
  wide.population = 65536;
  g_assert_null (cma ()->open (lots, 9000, 1, &wide, 1, evo_kernels_get (), &error));
  g_assert_cmpstr (error->message, ==, "population: 65536 candidates of 9000 genes are more than 1 GiB");
}

/* Ranges at the ends of what a double holds: every point is inside, and a whole number is whole. */
static void
test_extremes (void)
{
  static const EvoDim dims[] = {
    { "tiny", EVO_DIM_REAL, 0, 0, 5e-324, 0, NAN },
    { "near", EVO_DIM_REAL, 0, 1, 1 + DBL_EPSILON, 1, NAN },
    { "huge", EVO_DIM_REAL, 0, -1e308, 1e308, 1e307, NAN },
    { "far", EVO_DIM_REAL, 0, -HUGE_VAL, HUGE_VAL, -1e300, 1e-300 },
    { "whole", EVO_DIM_INTEGER, 0, -0x1p53, 0x1p53, 0x1p53, NAN },
    { "open", EVO_DIM_INTEGER, 0, -HUGE_VAL, HUGE_VAL, 0x1p53, 1e-9 },
    { "bit", EVO_DIM_INTEGER, 0, 0, 1, 0, 1e-12 },
    { "one", EVO_DIM_CHOICE, 1, 0, 0, 0, NAN },
    { "all", EVO_DIM_CHOICE, 4096, 0, 0, 4095, 1e-9 },
  };

  for (guint i = 0; i <= G_N_ELEMENTS (dims); i++)  /* each alone, then all at once */
    for (guint kind = 0; kind < 3; kind++) {
      CmaParams params = cma_defaults ();
      gboolean all = i == G_N_ELEMENTS (dims);

      params.covariance = kind;
      params.restarts = 1;
      search (cma (), &params, flat, all ? dims : &dims[i], all ? G_N_ELEMENTS (dims) : 1, 2, 0, 600);
      search (cma (), &params, sphere, all ? dims : &dims[i], all ? G_N_ELEMENTS (dims) : 1, 2, -1, 600);
    }
}

/* Known answers of the Philox paper's own test, and the distribution of what is made from them. */
static void
test_numbers (void)
{
  static const guint32 zero[] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
  Random r;
  double sum = 0, squares = 0, fourth = 0, uniform_sum = 0;

  random_init (&r, 0);
  for (guint i = 0; i < 4; i++)
    g_assert_cmphex (random_u32 (&r), ==, zero[i]);
  for (guint i = 0; i < 100000; i++) {
    double x = random_normal (&r), u = random_uniform (&r);

    g_assert_true (u >= 0 && u < 1);
    uniform_sum += u;
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  g_assert_cmpfloat_with_epsilon (uniform_sum / 1e5, 0.5, 0.005);  /* 5 standard errors each */
  g_assert_cmpfloat_with_epsilon (sum / 1e5, 0, 0.016);
  g_assert_cmpfloat_with_epsilon (squares / 1e5, 1, 0.023);
  g_assert_cmpfloat_with_epsilon (fourth / 1e5, 3, 0.16);
  for (double x = 1e-300; x < 1e300; x *= 1.7)
    g_assert_cmpfloat (fabs (portable_log (x) - log (x)), <=, 4 * DBL_EPSILON * MAX (1, fabs (log (x))));
  for (double x = -700; x < 700; x += 0.37)
    g_assert_cmpfloat (fabs (portable_exp (x) / exp (x) - 1), <=, 4 * DBL_EPSILON);
}

/* Nothing to search but fixed values: the start point, then done. */
static void
test_fixed (void)
{
  EvoDim dims[] = { { "a", EVO_DIM_REAL, 0, 0.5, 0.5, 0.5, NAN }, { "b", EVO_DIM_CHOICE, 1, 0, 0, 0, NAN } };
  CmaParams params = cma_defaults ();
  Result r = search (cma (), &params, sphere, dims, 2, 1, -1, 100);

  g_assert_true (r.done);
  g_assert_cmpint (r.evaluations, ==, 1);
}

/* The tests above fill parameter structs by hand: they must be what the tables declare. */
static void
test_declaration (void)
{
  static const struct { const char *name; guint32 type; gsize offset; double def; } expected[] = {
    { "population", EVO_TYPE_INTEGER, offsetof (CmaParams, population), 0 },
    { "sigma", EVO_TYPE_NUMBER, offsetof (CmaParams, sigma), 1.0 / 6 },
    { "restarts", EVO_TYPE_INTEGER, offsetof (CmaParams, restarts), 0 },
    { "covariance", EVO_TYPE_CHOICE, offsetof (CmaParams, covariance), 0 },
    { "active", EVO_TYPE_BOOL, offsetof (CmaParams, active), FALSE },
  };

  g_assert_cmpuint (cma ()->params_size, ==, sizeof (CmaParams));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_assert_cmpstr (cma ()->params[i].name, ==, expected[i].name);
    g_assert_cmpuint (cma ()->params[i].type, ==, expected[i].type);
    g_assert_cmpuint (cma ()->params[i].offset, ==, expected[i].offset);
    g_assert_cmpfloat (cma ()->params[i].def, ==, expected[i].def);
  }
  g_assert_null (cma ()->params[G_N_ELEMENTS (expected)].name);
  g_assert_cmpstr (uniform ()->params[0].name, ==, "population");
  g_assert_cmpfloat (uniform ()->params[0].def, ==, 16);
  g_assert_cmpuint (uniform ()->params_size, ==, sizeof (gint64));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/optimizer/numbers", test_numbers);
  g_test_add_func ("/optimizer/declaration", test_declaration);
  g_test_add_func ("/optimizer/cma-es/diagonal", test_diagonal);
  g_test_add_func ("/optimizer/cma-es/population", test_population);
  g_test_add_func ("/optimizer/start-point", test_start_point);
  g_test_add_func ("/optimizer/cma-es/bounds", test_bounds);
  g_test_add_func ("/optimizer/cma-es/restarts", test_restarts);
  g_test_add_func ("/optimizer/cma-es/flat", test_flat);
  g_test_add_func ("/optimizer/cma-es/failures", test_failures);
  g_test_add_func ("/optimizer/repeats", test_repeats);
  g_test_add_func ("/optimizer/replay", test_replay);
  g_test_add_func ("/optimizer/extremes", test_extremes);
  g_test_add_func ("/optimizer/cma-es/pinned", test_pinned);
  g_test_add_func ("/optimizer/cma-es/fixed", test_fixed);
  g_test_add_func ("/optimizer/random", test_random);
  g_test_add_func ("/optimizer/refusals", test_refusals);
  return g_test_run ();
}
