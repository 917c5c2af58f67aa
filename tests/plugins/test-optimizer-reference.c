/* SPDX-License-Identifier: Apache-2.0
 * test-optimizer-reference.c - optimizer.cma-es beside Hansen's c-cmaes: evaluations to 1e-9, rows of tests/data/optim/cmaes_reference.tsv up
 * to the dimension the first argument says.
 */
#include <stdlib.h>

#include "tests/plugins/test-optimizer.h"

enum { N_RUNS = 51 };

static guint most_dims = 10;

static int
compare_counts (gconstpointer a, gconstpointer b)
{
  return *(const gint64 *) a < *(const gint64 *) b ? -1 : *(const gint64 *) a > *(const gint64 *) b;
}

typedef struct { Objective f; guint n; double start, sigma, low, high; guint lambda, missed; } Row;

/* A run that misses the target counts its whole budget: as in the table, its place is behind all that succeed. */
static double
median_of_runs (const Row *row, guint *missed)
{
  CmaParams params = cma_defaults ();
  EvoDim dims[MOST_DIMS];
  gint64 counts[N_RUNS];

  fill_dims (dims, row->n, EVO_DIM_REAL, -HUGE_VAL, HUGE_VAL, row->start, row->sigma);
  *missed = 0;
  for (guint seed = 0; seed < N_RUNS; seed++) {
    Result r = search (cma (), &params, row->f, dims, row->n, seed, 1e-9, 400000);

    g_assert_cmpint (r.first_wait, ==, 1 + row->lambda); /* the start point, then lambda */
    counts[seed] = r.best <= 1e-9 ? r.evaluations : 400000;
    *missed += r.best > 1e-9;
  }
  qsort (counts, N_RUNS, sizeof (gint64), compare_counts);
  return (double) counts[N_RUNS / 2];
}

static void
test_reference (void)
{
  g_autofree char *path = g_build_filename (g_getenv ("EVO_SOURCE"), "tests/data/optim/cmaes_reference.tsv", NULL), *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint n_rows = 0, n_outside = 0;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  lines = g_strsplit (g_strchomp (text), "\n", -1);
  for (guint i = 1; lines[i] != NULL; i++) {
    g_auto (GStrv) cell = g_strsplit (lines[i], "\t", -1);
    Row row = { g_str_equal (cell[0], "sphere") ? sphere : g_str_equal (cell[0], "ellipsoid") ? ellipsoid : rosenbrock, (guint) atoi (cell[1]),
                g_ascii_strtod (cell[2], NULL), g_ascii_strtod (cell[3], NULL), g_ascii_strtod (cell[11], NULL),
                g_ascii_strtod (cell[13], NULL), (guint) atoi (cell[4]), 51 - (guint) atoi (cell[9]) };
    guint missed;
    double median;

    if (row.n > most_dims)
      continue;
    median = median_of_runs (&row, &missed);
    n_rows++;
    n_outside += median < row.low || median > row.high;
    g_test_message ("%s %u: median %g, reference %s ... %s ... %s%s; missed %u, reference %u", cell[0], row.n, median, cell[11], cell[12], cell[13],
                    median < row.low || median > row.high ? " OUTSIDE" : "", missed, row.missed);
    g_assert_cmpuint (missed, <=, 8); /* the reference misses up to 4 of 51, in Rosenbrock's local minimum; 8: 2 standard deviations more */
  }
  g_assert_cmpuint (n_rows, >, 0);
  g_assert_cmpuint (n_outside, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc > 1)
    most_dims = (guint) atoi (argv[1]);
  g_test_add_func ("/optimizer/cma-es/reference", test_reference);
  return g_test_run ();
}
