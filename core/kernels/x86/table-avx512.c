/* SPDX-License-Identifier: Apache-2.0
 * table-avx512.c - the slots of AVX-512 (F, BW, DQ, VL).
 */
#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"

#define OVERRIDE(slot) k->slot = KERNEL (slot);

void
evo_kernels_avx512 (EvoKernels *k)
{
  k->isa = "avx512";
  EVO_ISA_SLOTS (OVERRIDE)
}
