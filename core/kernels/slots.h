/* SPDX-License-Identifier: Apache-2.0
 * slots.h - the slots of the kernel table as a list, and the names of their implementations: evo_<isa>_<slot>.
 *
 * A file of kernels is compiled for the ISA that EVO_ISA names (default: ref); KERNEL (axpy) is then evo_ref_axpy.
 */
#ifndef EVO_KERNELS_SLOTS_H
#define EVO_KERNELS_SLOTS_H

#include "core/abi/evopipe-kernels.h"

/* Those that every ISA has its own of; the decompositions are BLAS's and LAPACK's, which look at the CPU themselves. */
#define EVO_ISA_SLOTS(X) \
  X (zero) X (copy) X (scale) X (axpy) X (axpy_diff) X (add) X (sub) X (mul) X (div) X (mix) X (abs) X (keep_top) X (uniform) \
  X (keep_random) X (elect) X (sum) X (sum_abs) X (dot) X (dot_diff) X (f32_from_bf16) X (f32_from_f16) X (bf16_from_f32) \
  X (f16_from_f32) X (all_finite) X (histogram) X (packed_bytes) X (pack) X (matmul) X (matmul_scratch) X (rms_norm) X (silu_mul) \
  X (rope) X (attend) X (argmax) X (log_sum_exp) X (attend_many) X (attend_scratch) X (divergence) X (keep_ranked) \
  X (deviation) X (bf16_all_finite)
#define EVO_SLOTS(X) EVO_ISA_SLOTS (X) X (eigh) X (eigh_work) X (svd) X (svd_work) X (gemm)

#ifndef EVO_ISA
#define EVO_ISA ref
#endif

#define EVO_JOIN_(isa, slot) evo_##isa##_##slot
#define EVO_JOIN(isa, slot) EVO_JOIN_ (isa, slot)
#define KERNEL(slot) EVO_JOIN (EVO_ISA, slot)

/* A function of the slot's type for each slot; an ISA defines those it overrides. */
#define EVO_DECLARE_REF_(slot) __typeof__ (*((EvoKernels *) 0)->slot) evo_ref_##slot;
#define EVO_DECLARE_(slot) __typeof__ (*((EvoKernels *) 0)->slot) KERNEL (slot);
EVO_SLOTS (EVO_DECLARE_REF_)
EVO_ISA_SLOTS (EVO_DECLARE_)

#endif
