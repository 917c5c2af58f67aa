/* SPDX-License-Identifier: Apache-2.0
 * optimizers.c - optimizers [GENES POPULATION [DIAGONAL FULL]]: seconds per generation of CMA-ES (ask and tell of all candidates; their losses, of
 * a sphere, are not counted), diagonal and full, with and without bounds, as JSON lines. DIAGONAL, FULL: how many generations; 0: none.
 * CPU_TIME in the environment: of this thread's time, for a machine that others use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/base/error.h"
#include "core/kernels/kernels.h"
#include "core/registry/registry.h"

typedef struct { guint n, lambda, n_generations; const char *covariance; gboolean bounded; clockid_t clock; } Shape;

/* The operator's parameters at their defaults, but these two. */
static gpointer
make_params (const EvoOp *op, const Shape *s)
{
  char *params = g_malloc0 (op->params_size);

  for (const EvoParam *p = op->params; p->name != NULL; p++) {
    double value = p->def;

    if (g_str_equal (p->name, "population"))
      value = s->lambda;
    for (guint i = 0; p->names != NULL && p->names[i] != NULL; i++)
      if (g_str_equal (p->name, "covariance") && g_str_equal (p->names[i], s->covariance))
        value = i;
    if (p->type == EVO_TYPE_NUMBER)
      *(double *) (params + p->offset) = value;
    else if (p->type == EVO_TYPE_INTEGER)
      *(gint64 *) (params + p->offset) = (gint64) value;
    else
      *(guint32 *) (params + p->offset) = (guint32) value; /* BOOL, CHOICE */
  }
  return params;
}

static double
sphere (const double *x, guint n)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += (x[i] - 0.3) * (x[i] - 0.3);
  return sum;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return *(const double *) a < *(const double *) b ? -1 : *(const double *) a > *(const double *) b;
}

static double
clock_seconds (clockid_t clock)
{
  struct timespec t;

  clock_gettime (clock, &t);
  return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

/* Seconds of one generation by the shape's clock; n_told: trials so far. */
static double
run_generation (const EvoOptimizerOp *op, gpointer self, const Shape *s, double *points, gint64 *n_told)
{
  g_autofree double *loss = g_new (double, s->lambda + 1);
  double began = clock_seconds (s->clock), spent;
  guint n = 0;

  while (n <= s->lambda && op->ask (self, *n_told + n, points + (gsize) n * s->n) == EVO_ASKED_GIVEN)
    n++;
  spent = clock_seconds (s->clock) - began;
  for (guint i = 0; i < n; i++)
    loss[i] = sphere (points + (gsize) i * s->n, s->n);
  began = clock_seconds (s->clock);
  for (guint i = 0; i < n; i++)
    op->tell (self, points + (gsize) i * s->n, &(EvoOutcome){ .trial = *n_told + i, .loss = &loss[i] });
  *n_told += n;
  return spent + clock_seconds (s->clock) - began;
}

static gboolean
measure (const EvoOptimizerOp *op, const Shape *s, GError **error)
{
  g_autofree EvoDim *dims = g_new (EvoDim, s->n);
  g_autofree gpointer params = make_params ((const EvoOp *) op, s);
  g_autofree double *points = g_new (double, (gsize) (s->lambda + 1) * s->n), *seconds = g_new (double, s->n_generations);
  double wall = s->bounded ? 1 : HUGE_VAL, sum = 0;
  gint64 n_told = 0;
  struct rusage usage;
  gpointer self;

  for (guint i = 0; i < s->n; i++)
    dims[i] = (EvoDim){ "x", EVO_DIM_REAL, 0, s->bounded ? 0 : -wall, wall, 0.5, NAN };
  self = op->open (dims, s->n, 1, params, 1, evo_kernels_get (), error);
  if (self == NULL)
    return FALSE;
  for (guint i = 0; i < s->n_generations; i++) {
    seconds[i] = run_generation (op, self, s, points, &n_told);
    sum += seconds[i];
  }
  op->close (self);
  getrusage (RUSAGE_SELF, &usage);
  qsort (seconds, s->n_generations, sizeof (double), compare);
  printf ("{\"clock\": \"%s\", \"genes\": %u, \"population\": %u, \"covariance\": \"%s\", \"bounded\": %s, \"generations\": %u, \"median\": %.4f, \"mean\": %.4f, "
          "\"longest\": %.4f, \"peak_mib\": %ld}\n",
          s->clock == CLOCK_MONOTONIC ? "wall" : "cpu", s->n, s->lambda, s->covariance, s->bounded ? "true" : "false", s->n_generations, seconds[s->n_generations / 2],
          sum / s->n_generations, seconds[s->n_generations - 1], usage.ru_maxrss / 1024);
  fflush (stdout);
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoRegistry) registry = evo_registry_new ();
  const EvoRegistered *cma = evo_registry_find (registry, "optimizer.cma-es", &error);
  Shape s = { argc > 2 ? (guint) atoi (argv[1]) : 4288, argc > 2 ? (guint) atoi (argv[2]) : 128, 0, "diagonal", FALSE, CLOCK_MONOTONIC };
  guint n_generations[] = { argc > 4 ? (guint) atoi (argv[3]) : 40, argc > 4 ? (guint) atoi (argv[4]) : 8 };
  gboolean good = cma != NULL;

  if ((argc != 1 && argc != 3 && argc != 5) || s.n < 1 || s.lambda < 2) {
    fprintf (stderr, "usage: optimizers [GENES POPULATION [DIAGONAL FULL]]\n");
    return 2;
  }
  for (guint i = 0; good && i < 4; i++) {
    s.covariance = i < 2 ? "diagonal" : "full";
    s.bounded = i % 2;
    s.n_generations = n_generations[i / 2];
    s.clock = g_getenv ("CPU_TIME") == NULL ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    good = s.n_generations == 0 || measure ((const EvoOptimizerOp *) cma->op, &s, &error);
  }
  if (good)
    return 0;
  fprintf (stderr, "optimizers: %s\n", error->message);
  return evo_error_exit_code (error);
}
