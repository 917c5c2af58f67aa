/* SPDX-License-Identifier: Apache-2.0
 * test-kernels.c - every slot of every table this CPU can run against ref; --bench times the same slots.
 */
#include "kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

const gsize test_lengths[] = { 0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 1000, 65537 };
const guint test_n_lengths = G_N_ELEMENTS (test_lengths);

static const float specials[] = { 0, -0.0f, NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN, -FLT_MIN, 1e-45f, -1e-45f,
                                  1e-40f, -3e-39f, 65504, 65520, 65519.996f, -65536, 6e-8f, 2.98e-8f, -2.9802322e-8f, 1, -1 };

const EvoKernels *
test_table (guint i)
{
  static const char *const names[] = { "avx2", "avx512", "amx" };

  return i < G_N_ELEMENTS (names) ? evo_kernels_get_for (names[i]) : NULL;
}

float *
test_numbers (gsize n, guint32 seed, gboolean special)
{
  float *x = g_new (float, MAX (n, 1));
  guint32 s = seed * 2654435761u + 1;

  for (gsize i = 0; i < n; i++) {
    s = s * 1664525u + 1013904223u; /* Numerical Recipes' generator: its upper bits are good enough */
    x[i] = (float) ((gint32) s) * 0x1p-30f;
    if (special && (s >> 8) % 11 == 0)
      x[i] = specials[(s >> 16) % G_N_ELEMENTS (specials)];
  }
  return x;
}

guint32
test_bits (float x)
{
  guint32 u;

  memcpy (&u, &x, sizeof u);
  return u;
}

gboolean
test_same (float a, float b)
{
  return test_bits (a) == test_bits (b) || (isnan (a) && isnan (b));
}

/* ------------------------------------------------------------------ the tables themselves */

static void
test_tables (void)
{
  const char *implementation = NULL, *slot;
  guint n = 0;

  for (; (slot = evo_kernels_slot (&evo_kernels_ref, n, &implementation)) != NULL; n++)
    g_assert_cmpstr (implementation, ==, "ref");
  g_assert_cmpuint (n, ==, (sizeof (EvoKernels) - offsetof (EvoKernels, zero)) / sizeof (gpointer));
  g_assert_true (evo_kernels_get_for ("ref") != NULL && evo_kernels_get_for ("sse9") == NULL && evo_kernels_get_for (NULL) == NULL);
  for (guint i = 0; test_table (i) != NULL; i++) {
    g_test_message ("%s, %s", test_table (i)->isa, evo_kernels_numerics ());
    g_assert_cmpuint (test_table (i)->size, ==, sizeof (EvoKernels));
    g_assert_cmpstr (evo_kernels_slot (test_table (i), 3, &implementation), ==, "axpy");
    g_assert_cmpstr (implementation, ==, i == 0 ? "avx2" : "avx512");
  }
}

static void
test_numerics (void)
{
  const EvoKernels *k = evo_kernels_get ();
  const char *line = evo_kernels_numerics (), *blas = evo_kernels_blas_core ();

  g_assert_true (g_str_has_prefix (line, k->isa) && strstr (line, evo_blas_core ()) != NULL && strstr (line, " glibc 2.") != NULL);
  g_assert_true (blas == NULL || g_str_equal (blas, "SKYLAKEX") || g_str_equal (blas, "HASWELL"));
}

int
main (int argc, char **argv)
{
  for (int i = 1; i < argc; i++)
    if (g_str_equal (argv[i], "--bench"))
      return test_bench ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/kernels/tables", test_tables);
  g_test_add_func ("/kernels/numerics", test_numerics);
  test_add_decompose ();
  test_add_merge ();
  test_add_nn ();
  return g_test_run ();
}
