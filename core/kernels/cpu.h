/* SPDX-License-Identifier: Apache-2.0
 * cpu.h - what this CPU and its operating system support.
 */
#ifndef EVO_KERNELS_CPU_H
#define EVO_KERNELS_CPU_H

typedef enum { EVO_CPU_REF, EVO_CPU_AVX2, EVO_CPU_AVX512, EVO_CPU_AMX } EvoCpuLevel; /* each includes those before it */

/* Asks the kernel for the use of tiles where the CPU has them, so call it before other threads are started. */
EvoCpuLevel evo_cpu_level (void);

#endif
