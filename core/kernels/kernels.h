/* SPDX-License-Identifier: Apache-2.0
 * kernels.h - the kernel tables of this machine. Plain C.
 */
#ifndef EVO_KERNELS_KERNELS_H
#define EVO_KERNELS_KERNELS_H

#include "core/abi/evopipe-kernels.h"

extern const EvoKernels evo_kernels_ref;       /* the definition */
void evo_kernels_avx2 (EvoKernels *k);         /* overrides what it has */
void evo_kernels_avx512 (EvoKernels *k);
void evo_kernels_amx (EvoKernels *k);          /* bf16 tiles: matmul and pack only */

/* The best table of this CPU, or the one EVO_CPU=ref|avx2|avx512|amx forces (never above what the CPU has). Made once. */
const EvoKernels *evo_kernels_get (void);
/* The table for a name, NULL: unknown name or not on this CPU. For tests. */
const EvoKernels *evo_kernels_get_for (const char *isa);
/* Name of the implementation a slot of k has ("avx2"), for `inspect --kernels`; slot by index, NULL past the end. */
const char *evo_kernels_slot (const EvoKernels *k, unsigned i, const char **implementation);
/* "avx512+amx SapphireRapids glibc 2.36": the numerics line; scores are promised equal where it is (design section 5). */
const char *evo_kernels_numerics (void);

/* What OPENBLAS_CORETYPE should say on this CPU ("SKYLAKEX"), NULL: OpenBLAS knows it itself. Set before OpenBLAS loads. */
const char *evo_kernels_blas_core (void);

/* blas.c: OpenBLAS, one thread, held to fixed shapes. */
const char *evo_blas_core (void);

#endif
