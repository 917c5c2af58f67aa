/* SPDX-License-Identifier: Apache-2.0
 * test-optimizer.h - what the tests of optimizers share: the plugins, compiled in (-Devo_plugin=evo_plugin_optimizer_NAME), known objectives,
 * and a host that asks and tells.
 */
#ifndef TESTS_PLUGINS_TEST_OPTIMIZER_H
#define TESTS_PLUGINS_TEST_OPTIMIZER_H

#include <string.h>

#include "core/abi/evopipe.h"
#include "core/kernels/kernels.h"

extern const EvoPlugin evo_plugin_optimizer_cma_es, evo_plugin_optimizer_random;

enum { MOST_DIMS = 64 };

typedef double (*Objective) (const double *x, guint n);
typedef struct { gint64 population, restarts; double sigma; guint32 covariance; gboolean active; } CmaParams; /* as cma-es.c; test-optimizer.c checks it */

static inline const EvoOptimizerOp *
cma (void)
{
  return evo_plugin_optimizer_cma_es.ops[0];
}

static inline const EvoOptimizerOp *
uniform (void)
{
  return evo_plugin_optimizer_random.ops[0];
}

static inline CmaParams
cma_defaults (void)
{
  return (CmaParams){ .sigma = 1.0 / 6 };
}

/* --- objectives; optimum 0 */

static inline double
sphere (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += x[i] * x[i];
  return sum;
}

static inline double
ellipsoid (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += pow (1e6, i / (n - 1.0)) * x[i] * x[i];
  return sum;
}

static inline double
rosenbrock (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i + 1 < n; i++)
    sum += 100 * (x[i] * x[i] - x[i + 1]) * (x[i] * x[i] - x[i + 1]) + (x[i] - 1) * (x[i] - 1);
  return sum;
}

/* --- running */

typedef struct { gint64 evaluations; double best, at[MOST_DIMS]; guint64 digest; gboolean done; gint64 first_wait; } Result;

static inline guint64
digest (guint64 h, const double *x, guint n)
{
  for (guint i = 0; i < n * sizeof (double); i++)
    h = (h ^ ((const guint8 *) x)[i]) * 0x100000001b3u;
  return h;
}

static inline void
check_point (const EvoDim *dims, const double *x, guint n)
{
  for (guint i = 0; i < n; i++) {
    double high = dims[i].kind == EVO_DIM_CHOICE ? dims[i].n_choices - 1 : dims[i].high;

    g_assert_true (isfinite (x[i]));
    g_assert_cmpfloat (x[i], <=, high);
    g_assert_cmpfloat (x[i], >=, dims[i].kind == EVO_DIM_CHOICE ? 0 : dims[i].low);
    if (dims[i].kind != EVO_DIM_REAL)
      g_assert_cmpfloat (x[i], ==, floor (x[i]));
  }
}

/* Ask until wait, tell in trial order, until the target, the budget, or done. */
static inline Result
search (const EvoOptimizerOp *op, gconstpointer params, Objective f, const EvoDim *dims, guint n, guint64 seed, double target, gint64 budget)
{
  Result r = { .best = HUGE_VAL, .digest = 0xcbf29ce484222325u, .first_wait = -1 };
  gpointer self = op->open (dims, n, 1, params, seed, evo_kernels_get (), NULL);
  g_autofree double *points = g_new (double, (gsize) budget * n);
  gint64 told = 0, asked = 0;
  gboolean complete = FALSE;

  g_assert_nonnull (self);
  while (r.best > target && told < budget && !r.done) {
    EvoAsked answer = EVO_ASKED_WAIT;

    while (asked < budget && (answer = op->ask (self, asked, points + asked * n)) == EVO_ASKED_GIVEN) {
      check_point (dims, points + asked * n, n);
      r.digest = digest (r.digest, points + asked * n, n);
      asked++;
    }
    if (r.first_wait < 0)
      r.first_wait = asked;
    r.done = answer == EVO_ASKED_DONE;
    complete = asked > told;
    g_assert_true (complete || r.done || asked == budget);
    for (; told < asked; told++) {
      double loss = f (points + told * n, n);

      if (loss < r.best) {
        r.best = loss;
        memcpy (r.at, points + told * n, n * sizeof (double));
        if (loss <= target && r.evaluations == 0)
          r.evaluations = told;      /* without trial 0: the reference does not evaluate its start */
      }
      op->tell (self, points + told * n, &(EvoOutcome){ .trial = told, .loss = &loss });
    }
  }
  if (r.best > target)
    r.evaluations = told;
  op->close (self);
  return r;
}

static inline void
fill_dims (EvoDim *dims, guint n, guint32 kind, double low, double high, double start, double sigma)
{
  for (guint i = 0; i < n; i++)
    dims[i] = (EvoDim){ .name = "x", .kind = kind, .n_choices = 0, .low = low, .high = high, .start = start, .sigma = sigma };
}

#endif
