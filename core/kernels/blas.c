/* SPDX-License-Identifier: Apache-2.0
 * blas.c - the one place that knows OpenBLAS: held to one thread, since the number of threads changes the last bits of its results.
 */
#include "core/kernels/kernels.h"

/* From OpenBLAS's cblas.h, whose other declarations need types this room has no use for. */
char *openblas_get_corename (void);
void openblas_set_num_threads (int n_threads);

const char *
evo_blas_core (void)
{
  openblas_set_num_threads (1);
  return openblas_get_corename ();
}
