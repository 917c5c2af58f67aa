/* SPDX-License-Identifier: Apache-2.0
 * cpu.c - reads CPUID and XCR0: an instruction set counts only where the operating system saves its registers.
 */
#include "core/kernels/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Intel SDM vol. 1, 13.1 (XCR0) and vol. 2, CPUID */
enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6, XCR0_AMX = 0x60000 };
enum { LEAF1_OSXSAVE = 1 << 27, LEAF1_FMA = 1 << 12, LEAF1_F16C = 1 << 29, LEAF1_AVX = 1 << 28 };
enum { LEAF7_AVX2 = 1 << 5, LEAF7_AVX512F = 1 << 16, LEAF7_AVX512DQ = 1 << 17, LEAF7_AVX512BW = 1 << 30 };
enum { LEAF7_AMX_BF16 = 1 << 22, LEAF7_AMX_TILE = 1 << 24 };
#define LEAF7_AVX512VL (1u << 31)
enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static int
has_all (uint64_t value, uint64_t bits)
{
  return (value & bits) == bits;
}

static uint64_t
read_xcr0 (void)
{
  uint32_t low, high;

  __asm__ volatile ("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t) high << 32 | low;
}

/* Linux gives a process the 8 KiB of tile registers only when it asks (Documentation/arch/x86/xstate.rst). */
static int
may_use_tiles (void)
{
  return syscall (SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

EvoCpuLevel
evo_cpu_level (void)
{
  unsigned a, b, c, d, b7, c7, d7;
  uint64_t xcr0;

  if (!__get_cpuid (1, &a, &b, &c, &d) || !has_all (c, LEAF1_OSXSAVE | LEAF1_AVX | LEAF1_FMA | LEAF1_F16C) ||
      !__get_cpuid_count (7, 0, &a, &b7, &c7, &d7))
    return EVO_CPU_REF;
  xcr0 = read_xcr0 ();
  if (!has_all (xcr0, XCR0_AVX) || !has_all (b7, LEAF7_AVX2))
    return EVO_CPU_REF;
  if (!has_all (xcr0, XCR0_AVX512) || !has_all (b7, LEAF7_AVX512F | LEAF7_AVX512DQ | LEAF7_AVX512BW | LEAF7_AVX512VL))
    return EVO_CPU_AVX2;
  if (!has_all (xcr0, XCR0_AMX) || !has_all (d7, LEAF7_AMX_TILE | LEAF7_AMX_BF16) || !may_use_tiles ())
    return EVO_CPU_AVX512;
  return EVO_CPU_AMX;
}

#else

EvoCpuLevel
evo_cpu_level (void)
{
  return EVO_CPU_REF;
}

#endif
