/* SPDX-License-Identifier: Apache-2.0
 * dtype.h - element types of stored tensors (safetensors names), and conversion of runs of elements to and from fp32.
 */
#ifndef EVO_TENSOR_DTYPE_H
#define EVO_TENSOR_DTYPE_H

#include <glib.h>

#include "core/abi/evopipe-kernels.h"

typedef enum {
  EVO_DTYPE_NONE, EVO_DTYPE_F32, EVO_DTYPE_F16, EVO_DTYPE_BF16, EVO_DTYPE_F64, EVO_DTYPE_I64, EVO_DTYPE_I32, EVO_DTYPE_I16, EVO_DTYPE_I8,
  EVO_DTYPE_U64, EVO_DTYPE_U32, EVO_DTYPE_U16, EVO_DTYPE_U8, EVO_DTYPE_BOOL, EVO_DTYPE_F8_E4M3, EVO_DTYPE_F8_E5M2,
  EVO_DTYPE_MAX /* how many there are */
} EvoDtype;

EvoDtype evo_dtype_from_name (const char *name);       /* safetensors ("BF16"); NONE: unknown */
EvoDtype evo_dtype_from_user_name (const char *name);  /* floating point: "bf16" or "bfloat16", "f8_e4m3" or "float8_e4m3fn", ...; NONE: unknown */
const char *evo_dtype_user_name (EvoDtype d);          /* the short one */
const char *evo_dtype_name (EvoDtype d);               /* "BF16" */
const char *evo_dtype_torch_name (EvoDtype d);         /* "bfloat16" */
gsize evo_dtype_size (EvoDtype d);                     /* bytes of an element */
gboolean evo_dtype_is_float (EvoDtype d);              /* F32, F16, BF16, F64, F8: can be merged */

void evo_dtype_to_f32 (const EvoKernels *k, float *y, EvoDtype d, const void *x, gsize n);    /* d is a float type */
void evo_dtype_from_f32 (const EvoKernels *k, void *y, EvoDtype d, const float *x, gsize n);  /* rounds to nearest even, once */

#endif
