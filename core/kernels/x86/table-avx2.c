/* SPDX-License-Identifier: Apache-2.0
 * table-avx2.c - the slots of AVX2 (with FMA and F16C).
 */
#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"

#define OVERRIDE(slot) k->slot = KERNEL (slot);

void
evo_kernels_avx2 (EvoKernels *k)
{
  k->isa = "avx2";
  EVO_ISA_SLOTS (OVERRIDE)
}
