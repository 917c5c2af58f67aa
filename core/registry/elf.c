/* SPDX-License-Identifier: Apache-2.0
 * elf.c - looks at a shared object before dlopen does: a truncated one kills the process inside dlopen.
 *
 * The dynamic loader believes what program headers and dynamic section say. So: ELF64 of this machine, ET_DYN, headers and their contents
 * inside the file, segments in order, and every table the loader walks inside a loaded part of the file (System V gABI, chapters 4 and 5).
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/registry/load.h"

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
#error "the machine's ELF number is not known here"
#endif

enum { MOST_HEADERS = 64, MOST_ENTRIES = 4096, PAGE = 4096 };
static const guint64 most_memory = G_GUINT64_CONSTANT (1) << 32; /* of one object: far above any plugin, far below the address space */

typedef struct {
  int fd;
  const char *file;        /* name for messages */
  guint64 size;
  Elf64_Ehdr header;
  Elf64_Phdr programs[MOST_HEADERS];
  Elf64_Dyn entries[MOST_ENTRIES]; guint n_entries;
} Look;

static gboolean G_GNUC_PRINTF (3, 4)
refuse (const Look *l, GError **error, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_NOT_A_PLUGIN, "%s: %s", l->file, what);
}

static gboolean
inside (guint64 first, guint64 n, guint64 size)
{
  return first <= size && n <= size - first;
}

static gboolean
read_at (Look *l, gpointer out, gsize n, guint64 at, GError **error)
{
  gsize done = 0;

  while (done < n) {
    gssize got = pread (l->fd, (char *) out + done, n - done, (off_t) (at + done));

    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: cannot be read: %s", l->file,
                            got < 0 ? g_strerror (errno) : "it has become shorter meanwhile");
    done += (gsize) got;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ the header */

static gboolean
check_ident (Look *l, GError **error)
{
  unsigned char *id = l->header.e_ident;

  if (l->size < SELFMAG)
    return refuse (l, error, "%" G_GUINT64_FORMAT " bytes are no shared object", l->size);
  if (!read_at (l, id, MIN (l->size, EI_NIDENT), 0, error))
    return FALSE;
  if (memcmp (id, ELFMAG, SELFMAG) != 0)
    return refuse (l, error, "is no ELF file; a plugin is a shared object (cc -shared -fPIC)");
  if (l->size < sizeof l->header)
    return refuse (l, error, "truncated: %" G_GUINT64_FORMAT " bytes, an ELF header alone has %zu", l->size, sizeof l->header);
  if (id[EI_CLASS] != ELFCLASS64)
    return refuse (l, error, "is a %s object, this program is 64-bit", id[EI_CLASS] == ELFCLASS32 ? "32-bit" : "strange");
  if (id[EI_DATA] != ELFDATA2LSB)
    return refuse (l, error, "is big-endian, this machine is little-endian");
  if (id[EI_VERSION] != EV_CURRENT)
    return refuse (l, error, "is of ELF version %d, not %d", id[EI_VERSION], EV_CURRENT);
  return TRUE;
}

static const char *
type_name (guint type)
{
  switch (type) {
  case ET_REL:
    return "an object file (link it with -shared)";
  case ET_EXEC:
    return "a program";
  case ET_CORE:
    return "a core dump";
  default:
    return "of an unknown type";
  }
}

static gboolean
check_header (Look *l, GError **error)
{
  const Elf64_Ehdr *h = &l->header;

  if (!check_ident (l, error) || !read_at (l, &l->header, sizeof l->header, 0, error))
    return FALSE;
  if (h->e_machine != MACHINE)
    return refuse (l, error, "is for another machine (ELF number %u, this is %u)", h->e_machine, (guint) MACHINE);
  if (h->e_type != ET_DYN)
    return refuse (l, error, "is %s, not a shared object", type_name (h->e_type));
  if (h->e_phnum == 0 || h->e_phnum > MOST_HEADERS)
    return refuse (l, error, "has %u program headers; a shared object has 1 ... %d", h->e_phnum, MOST_HEADERS);
  if (h->e_phentsize != sizeof (Elf64_Phdr))
    return refuse (l, error, "has program headers of %u bytes, not %zu", h->e_phentsize, sizeof (Elf64_Phdr));
  if (!inside (h->e_phoff, h->e_phnum * sizeof (Elf64_Phdr), l->size))
    return refuse (l, error, "truncated: its program headers lie beyond the end of the file (%" G_GUINT64_FORMAT " bytes)", l->size);
  if (h->e_phoff % 8 != 0)
    return refuse (l, error, "has misaligned program headers");
  /* dlopen does not need section headers, but they come last: without them the file was cut */
  if (h->e_shoff != 0 && !inside (h->e_shoff, (guint64) h->e_shnum * h->e_shentsize, l->size))
    return refuse (l, error, "truncated: its section headers lie beyond the end of the file (%" G_GUINT64_FORMAT " bytes)", l->size);
  return TRUE;
}

/* ------------------------------------------------------------------ program headers */

static gboolean
check_load (Look *l, const Elf64_Phdr *p, guint64 *end, gboolean *any, GError **error)
{
  guint64 first_page = p->p_vaddr / PAGE * PAGE;

  if (p->p_filesz > p->p_memsz)
    return refuse (l, error, "has a segment with more bytes in the file than in memory");
  if (!inside (p->p_vaddr, p->p_memsz, most_memory))
    return refuse (l, error, "has a segment at an impossible address");
  if (*any && first_page < *end)
    return refuse (l, error, "has segments that overlap or are out of order");
  if (p->p_align > 1 && ((p->p_align & (p->p_align - 1)) != 0 || (p->p_vaddr - p->p_offset) % p->p_align != 0))
    return refuse (l, error, "has a misaligned segment");
  if (p->p_align % PAGE != 0 || p->p_align > most_memory)
    return refuse (l, error, "has a segment that is not aligned to pages");
  *end = p->p_vaddr + p->p_memsz;
  *any = TRUE;
  return TRUE;
}

static gboolean
check_segments (Look *l, guint64 *end, GError **error)
{
  gboolean any = FALSE;

  for (guint i = 0; i < l->header.e_phnum; i++) {
    const Elf64_Phdr *p = &l->programs[i];

    if (p->p_filesz > 0 && !inside (p->p_offset, p->p_filesz, l->size))
      return refuse (l, error, "truncated: a program header asks for bytes up to %" G_GUINT64_FORMAT ", the file has %" G_GUINT64_FORMAT,
                     p->p_offset + p->p_filesz, l->size);
    if (p->p_type == PT_LOAD && !check_load (l, p, end, &any, error))
      return FALSE;
  }
  return any || refuse (l, error, "has nothing to load");
}

static gboolean
is_in_memory (const Look *l, guint64 address, guint64 n)
{
  for (guint i = 0; i < l->header.e_phnum; i++) {
    const Elf64_Phdr *p = &l->programs[i];

    if (p->p_type == PT_LOAD && address >= p->p_vaddr / PAGE * PAGE &&
        inside (address - p->p_vaddr / PAGE * PAGE, n, (p->p_vaddr % PAGE + p->p_memsz + PAGE - 1) / PAGE * PAGE))
      return TRUE;
  }
  return FALSE;
}

/* What the loader reads or protects by address must be memory of this object. */
static gboolean
check_other_headers (Look *l, const Elf64_Phdr **dynamic, GError **error)
{
  for (guint i = 0; i < l->header.e_phnum; i++) {
    const Elf64_Phdr *p = &l->programs[i];

    if ((p->p_type == PT_GNU_RELRO || p->p_type == PT_PHDR || p->p_type == PT_DYNAMIC) && !is_in_memory (l, p->p_vaddr, p->p_memsz))
      return refuse (l, error, "has a program header of type 0x%x outside its segments", p->p_type);
    if (p->p_type == PT_TLS && (p->p_filesz > p->p_memsz || !is_in_memory (l, p->p_vaddr, p->p_filesz) || p->p_memsz > most_memory ||
                                (p->p_align & (p->p_align - 1)) != 0))
      return refuse (l, error, "has a broken segment of thread-local data");
    if (p->p_type == PT_DYNAMIC)
      *dynamic = p;
  }
  return *dynamic != NULL || refuse (l, error, "has no dynamic section; link it with -shared");
}

/* ------------------------------------------------------------------ the dynamic section */

/* n bytes at `address` come from the file, and from where in it. */
static gboolean
find_loaded (const Look *l, guint64 address, guint64 n, guint64 *offset)
{
  for (guint i = 0; i < l->header.e_phnum; i++) {
    const Elf64_Phdr *p = &l->programs[i];

    if (p->p_type == PT_LOAD && address >= p->p_vaddr && inside (address - p->p_vaddr, n, p->p_filesz)) {
      *offset = p->p_offset + (address - p->p_vaddr);
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean
entry (const Look *l, gint64 tag, guint64 *value)
{
  for (guint i = 0; i < l->n_entries; i++)
    if (l->entries[i].d_tag == tag) {
      *value = l->entries[i].d_un.d_val;
      return TRUE;
    }
  return FALSE;
}

/* Tables with the tag of their size (0: `least` bytes are certain) and the size of an element. */
static const struct { gint64 tag, size_tag; guint64 least; const char *name; } tables[] = {
  { DT_STRTAB, DT_STRSZ, 1, "string table" },           { DT_SYMTAB, 0, sizeof (Elf64_Sym), "symbol table" },
  { DT_GNU_HASH, 0, 16, "symbol hash" },                { DT_HASH, 0, 8, "symbol hash" },
  { DT_RELA, DT_RELASZ, 0, "relocations" },             { DT_JMPREL, DT_PLTRELSZ, 0, "relocations" },
  { DT_RELR, DT_RELRSZ, 0, "relocations" },             { DT_INIT_ARRAY, DT_INIT_ARRAYSZ, 0, "initialisers" },
  { DT_FINI_ARRAY, DT_FINI_ARRAYSZ, 0, "finalisers" },  { DT_VERSYM, 0, 2, "symbol versions" },
  { DT_VERNEED, 0, sizeof (Elf64_Verneed), "symbol versions" }, { DT_VERDEF, 0, sizeof (Elf64_Verdef), "symbol versions" },
  { DT_INIT, 0, 1, "initialiser" },                     { DT_FINI, 0, 1, "finaliser" },
};

/* What the loader asserts, and would end the process for. */
static gboolean
check_assertions (Look *l, GError **error)
{
  guint64 at, offset, size = 0, count;
  guint32 hash[4] = { 0 }; /* buckets, first symbol, words of the Bloom filter, shift */

  if (entry (l, DT_PLTREL, &at) && at != DT_RELA)
    return refuse (l, error, "has relocations of another type than this machine's");
  entry (l, DT_RELASZ, &size);
  if (entry (l, DT_RELACOUNT, &count) && count > size / sizeof (Elf64_Rela))
    return refuse (l, error, "counts more relocations than it has");
  if (!entry (l, DT_GNU_HASH, &at) || !find_loaded (l, at, sizeof hash, &offset))
    return TRUE;
  if (!read_at (l, hash, sizeof hash, offset, error))
    return FALSE;
  if (hash[2] == 0 || (hash[2] & (hash[2] - 1)) != 0 || !find_loaded (l, at, 16 + 8 * (guint64) hash[2] + 4 * (guint64) hash[0], &offset))
    return refuse (l, error, "has a broken symbol hash");
  return TRUE;
}

static gboolean
check_tables (Look *l, GError **error)
{
  guint64 at, size, offset, strings = 0;

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++) {
    if (!entry (l, tables[i].tag, &at))
      continue;
    size = tables[i].least;
    if (tables[i].size_tag != 0 && (!entry (l, tables[i].size_tag, &size) || size < tables[i].least))
      return refuse (l, error, "does not say the size of its %s", tables[i].name);
    if (!find_loaded (l, at, size, &offset))
      return refuse (l, error, "its %s would lie where the file has nothing", tables[i].name);
  }
  if (!entry (l, DT_STRTAB, &at) || !entry (l, DT_SYMTAB, &at) || (!entry (l, DT_GNU_HASH, &at) && !entry (l, DT_HASH, &at)))
    return refuse (l, error, "has no dynamic symbols");
  if (entry (l, DT_SYMENT, &size) && size != sizeof (Elf64_Sym))
    return refuse (l, error, "has symbols of %" G_GUINT64_FORMAT " bytes, not %zu", size, sizeof (Elf64_Sym));
  if (entry (l, DT_RELAENT, &size) && size != sizeof (Elf64_Rela))
    return refuse (l, error, "has relocations of %" G_GUINT64_FORMAT " bytes, not %zu", size, sizeof (Elf64_Rela));
  entry (l, DT_STRSZ, &strings);
  for (guint i = 0; i < l->n_entries; i++) {
    gint64 tag = l->entries[i].d_tag;

    if ((tag == DT_NEEDED || tag == DT_SONAME || tag == DT_RPATH || tag == DT_RUNPATH) && l->entries[i].d_un.d_val >= strings)
      return refuse (l, error, "names a library beyond its string table");
  }
  return check_assertions (l, error);
}

static gboolean
check_dynamic (Look *l, const Elf64_Phdr *p, GError **error)
{
  guint n = (guint) MIN (p->p_filesz / sizeof (Elf64_Dyn), MOST_ENTRIES);
  guint64 offset;

  if (!find_loaded (l, p->p_vaddr, n * sizeof (Elf64_Dyn), &offset) || offset != p->p_offset)
    return refuse (l, error, "has a dynamic section where the file has nothing");
  if (!read_at (l, l->entries, n * sizeof (Elf64_Dyn), p->p_offset, error))
    return FALSE;
  while (l->n_entries < n && l->entries[l->n_entries].d_tag != DT_NULL)
    l->n_entries++;
  if (l->n_entries == n)
    return refuse (l, error, "has a dynamic section without an end");
  return check_tables (l, error);
}

/* ------------------------------------------------------------------ all of it */

static void
list_readable (const Look *l, EvoExtent *out)
{
  *out = (EvoExtent){ .n = 0 };
  for (guint i = 0; i < l->header.e_phnum && out->n < EVO_MOST_SEGMENTS; i++) {
    const Elf64_Phdr *p = &l->programs[i];

    if (p->p_type == PT_LOAD && (p->p_flags & PF_R) != 0 && p->p_memsz > 0)
      out->segments[out->n++] = (EvoSegment){ GSIZE_TO_POINTER (p->p_vaddr), p->p_memsz };
  }
}

static gboolean
look (Look *l, EvoExtent *out, GError **error)
{
  const Elf64_Phdr *dynamic = NULL;
  guint64 end = 0;

  if (!check_header (l, error) || !read_at (l, l->programs, l->header.e_phnum * sizeof (Elf64_Phdr), l->header.e_phoff, error) ||
      !check_segments (l, &end, error) || !check_other_headers (l, &dynamic, error) || !check_dynamic (l, dynamic, error))
    return FALSE;
  list_readable (l, out);
  return TRUE;
}

gboolean
evo_elf_check (const char *path, EvoExtent *out, GError **error)
{
  g_autofree char *file = g_path_get_basename (path);
  g_autofree Look *l = g_new0 (Look, 1);
  struct stat info;
  gboolean good;

  l->file = file;
  l->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe of this name must not hold us up */
  if (l->fd < 0)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: cannot be opened: %s", file, g_strerror (errno));
  if (fstat (l->fd, &info) != 0 || !S_ISREG (info.st_mode)) {
    close (l->fd);
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: is no regular file", file);
  }
  l->size = (guint64) info.st_size;
  good = look (l, out, error);
  close (l->fd);
  return good;
}
