/* SPDX-License-Identifier: Apache-2.0
 * table.c - the reference table: the definition of every slot.
 */
#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"

#define ENTRY(slot) .slot = evo_ref_##slot,

const EvoKernels evo_kernels_ref = { .size = sizeof (EvoKernels), .isa = "ref", EVO_SLOTS (ENTRY) };
