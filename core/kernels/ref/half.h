/* SPDX-License-Identifier: Apache-2.0
 * half.h - one number at a time from and to the 16-bit types.
 */
#ifndef EVO_KERNELS_REF_HALF_H
#define EVO_KERNELS_REF_HALF_H

#include <stdint.h>

float evo_ref_widen_bf16 (uint16_t x);
float evo_ref_widen_f16 (uint16_t x);
uint16_t evo_ref_narrow_bf16 (float x);
uint16_t evo_ref_narrow_f16 (float x);

#endif
