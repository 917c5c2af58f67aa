/* SPDX-License-Identifier: Apache-2.0
 * dispatch.c - makes the tables this CPU can run: each starts as the one below it and overrides what it has.
 */
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/kernels/cpu.h"
#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"

#define COUNT_(slot) + 1
enum { N_LEVELS = 4, N_SLOTS = 0 EVO_SLOTS (COUNT_) };
_Static_assert (sizeof (EvoKernels) == offsetof (EvoKernels, zero) + N_SLOTS * sizeof (void *), "slots.h must list every slot");

static const char *const level_name[N_LEVELS] = { "ref", "avx2", "avx512", "amx" }; /* by EvoCpuLevel */

static pthread_once_t once = PTHREAD_ONCE_INIT, numerics_once = PTHREAD_ONCE_INIT;
static EvoKernels table[N_LEVELS];
static unsigned best; /* level of the CPU */
static char numerics[128];

static void
make_tables (void)
{
  best = evo_cpu_level ();
  table[EVO_CPU_REF] = evo_kernels_ref;
#if defined(EVO_HAVE_X86)
  table[EVO_CPU_AVX2] = table[EVO_CPU_REF];
  evo_kernels_avx2 (&table[EVO_CPU_AVX2]);
  table[EVO_CPU_AVX512] = table[EVO_CPU_AVX2];
  evo_kernels_avx512 (&table[EVO_CPU_AVX512]);
  table[EVO_CPU_AMX] = table[EVO_CPU_AVX512];
  evo_kernels_amx (&table[EVO_CPU_AMX]);
#else
  best = EVO_CPU_REF;
#endif
}

const EvoKernels *
evo_kernels_get_for (const char *isa)
{
  pthread_once (&once, make_tables);
  for (unsigned i = 0; isa != NULL && i <= best; i++)
    if (strcmp (isa, level_name[i]) == 0 || strcmp (isa, table[i].isa) == 0)
      return &table[i];
  return NULL;
}

const EvoKernels *
evo_kernels_get (void)
{
  const EvoKernels *forced = evo_kernels_get_for (getenv ("EVO_CPU"));

  return forced != NULL ? forced : &table[best];
}

static const struct { const char *name; size_t offset; } slots[N_SLOTS] = {
#define SLOT_(slot) { #slot, offsetof (EvoKernels, slot) },
  EVO_SLOTS (SLOT_)
};

const char *
evo_kernels_slot (const EvoKernels *k, unsigned i, const char **implementation)
{
  if (i >= N_SLOTS)
    return NULL;
  pthread_once (&once, make_tables);
  *implementation = k->isa;
  for (unsigned level = 0; level <= best; level++)
    if (memcmp ((const char *) k + slots[i].offset, (const char *) &table[level] + slots[i].offset, sizeof (void *)) == 0) {
      *implementation = table[level].isa;
      break;
    }
  return slots[i].name;
}

static void
make_numerics (void)
{
  snprintf (numerics, sizeof numerics, "%s %s glibc %s", evo_kernels_get ()->isa, evo_blas_core (), gnu_get_libc_version ());
}

const char *
evo_kernels_numerics (void)
{
  pthread_once (&numerics_once, make_numerics);
  return numerics;
}

static int
is_one_of (const char *name, const char *const *names)
{
  while (*names != NULL && strcasecmp (name, *names) != 0)
    names++;
  return *names != NULL;
}

/* OpenBLAS goes by family and model numbers, and takes what it has never heard of for a CPU of 2004. What it chose tells whether it
 * heard of this one; the instruction set tells which of its cores would have been right. */
const char *
evo_kernels_blas_core (void)
{
  static const char *const avx512[] = { "SkylakeX", "Cooperlake", "SapphireRapids", "Zen", NULL };
  static const char *const avx2[] = { "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids", NULL };
  const char *core = evo_blas_core ();

  pthread_once (&once, make_tables);
  if (best >= EVO_CPU_AVX512 && !is_one_of (core, avx512))
    return "SKYLAKEX";
  if (best == EVO_CPU_AVX2 && !is_one_of (core, avx2))
    return "HASWELL";
  return NULL;
}
