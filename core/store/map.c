/* SPDX-License-Identifier: Apache-2.0
 * map.c - read-only mappings, and the SIGBUS handler that turns a lost page into zeros and a flag.
 *
 * The kernel raises SIGBUS where a mapped page lies past the file's end or cannot be read. The handler looks the address up in a fixed
 * table of atomics (no lock, no allocation: it may interrupt anything), marks the mapping lost and lays zero pages over the rest of it.
 * mmap is not in POSIX's list of async-signal-safe functions, but on Linux it is a plain system call.
 *
 * No MADV_SEQUENTIAL or MADV_WILLNEED: reading 1 and 3 GB in slices by two threads from a cold cache was no faster with either.
 */
#include "core/store/map.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"

enum { FREE, TAKEN };                                    /* a slot's start while it has no mapping */
typedef struct { guintptr start, end; gint lost; } Slot; /* all atomic */

struct EvoMap {
  const guint8 *bytes;
  guint64 size;
  gint64 mtime_ns;
  int fd;
  Slot *slot;   /* NULL: an empty file */
};

static Slot slots[EVO_MAP_LIMIT];
static guint n_slots_used;     /* atomic; slots from here on were never used */
static struct sigaction previous;
static guintptr page_size;

/* ------------------------------------------------------------------ the handler */

/* The slot whose mapping holds the address; *end: where that mapping ends. A slot that is given to another mapping meanwhile has another
 * start when it is read again. */
static Slot *
find_slot (guintptr address, guintptr *end)
{
  guint n = __atomic_load_n (&n_slots_used, __ATOMIC_ACQUIRE);

  for (guint i = 0; i < n; i++) {
    guintptr start = __atomic_load_n (&slots[i].start, __ATOMIC_ACQUIRE);

    *end = __atomic_load_n (&slots[i].end, __ATOMIC_ACQUIRE);
    if (start > TAKEN && address >= start && address < *end && __atomic_load_n (&slots[i].start, __ATOMIC_ACQUIRE) == start)
      return &slots[i];
  }
  return NULL;
}

static gboolean
lay_zeros (Slot *slot, guintptr address, guintptr end)
{
  guintptr from = address & ~(page_size - 1);

  __atomic_store_n (&slot->lost, TRUE, __ATOMIC_RELEASE); /* before anyone can read a zero */
  return mmap ((void *) from, end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void
on_sigbus (int number, siginfo_t *info, void *context)
{
  int saved_errno = errno;
  gboolean from_kernel = info->si_code > 0; /* else somebody's kill (): there is no address */
  guintptr address = (guintptr) info->si_addr, end;
  Slot *slot = from_kernel ? find_slot (address, &end) : NULL;

  if (slot == NULL || !lay_zeros (slot, address, end)) {
    sigaction (SIGBUS, &previous, NULL); /* a fault happens again on return, and is theirs */
    if (!from_kernel)
      raise (number);
  }
  errno = saved_errno;
}

static void
install_handler (void)
{
  static gsize done;

  if (g_once_init_enter (&done)) {
    struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    page_size = (guintptr) sysconf (_SC_PAGESIZE);
    sigemptyset (&action.sa_mask);
    sigaction (SIGBUS, &action, &previous);
    g_once_init_leave (&done, 1);
  }
}

/* ------------------------------------------------------------------ mappings */

/* A free slot, marked as taken. NULL: there is none. */
static Slot *
take_slot (void)
{
  for (guint i = 0; i < EVO_MAP_LIMIT; i++) {
    guintptr unused = FREE;
    guint used = __atomic_load_n (&n_slots_used, __ATOMIC_ACQUIRE);

    if (!__atomic_compare_exchange_n (&slots[i].start, &unused, TAKEN, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      continue;
    while (used < i + 1 && !__atomic_compare_exchange_n (&n_slots_used, &used, i + 1, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
      ;
    return &slots[i];
  }
  return NULL;
}

static void
fill_slot (Slot *slot, const guint8 *bytes, guint64 size)
{
  guintptr start = (guintptr) bytes;

  __atomic_store_n (&slot->lost, FALSE, __ATOMIC_RELEASE);
  __atomic_store_n (&slot->end, (start + size + page_size - 1) & ~(page_size - 1), __ATOMIC_RELEASE);
  __atomic_store_n (&slot->start, start, __ATOMIC_RELEASE);
}

/* The end first: whoever has read the start finds an empty range. */
static void
leave_slot (Slot *slot)
{
  __atomic_store_n (&slot->end, 0, __ATOMIC_RELEASE);
  __atomic_store_n (&slot->start, FREE, __ATOMIC_RELEASE);
}

static gboolean
open_error (const char *path, GError **error)
{
  int code = errno;

  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be opened: %s", path, g_strerror (code));
}

static gboolean
map_bytes (EvoMap *map, const char *path, GError **error)
{
  void *bytes;

  if (map->size == 0)
    return TRUE;
  map->slot = take_slot ();
  if (map->slot == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN,
                          "%s: %d files are open already, no more can be", path, EVO_MAP_LIMIT);
  bytes = mmap (NULL, map->size, PROT_READ, MAP_SHARED, map->fd, 0);
  if (bytes == MAP_FAILED)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be mapped: %s", path, g_strerror (errno));
  map->bytes = bytes;
  fill_slot (map->slot, bytes, map->size);
  return TRUE;
}

EvoMap *
evo_map_new (const char *path, GError **error)
{
  g_autoptr (EvoMap) map = g_new0 (EvoMap, 1);
  struct stat st;

  install_handler ();
  map->fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not blocking: it may turn out to be a pipe */
  if (map->fd < 0 || fstat (map->fd, &st) != 0) {
    open_error (path, error);
    return NULL;
  }
  if (!S_ISREG (st.st_mode)) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: is not a regular file", path);
    return NULL;
  }
  map->size = (guint64) st.st_size;
  map->mtime_ns = st.st_mtim.tv_sec * G_GINT64_CONSTANT (1000000000) + st.st_mtim.tv_nsec;
  return map_bytes (map, path, error) ? g_steal_pointer (&map) : NULL;
}

void
evo_map_free (EvoMap *map)
{
  if (map == NULL)
    return;
  if (map->bytes != NULL)
    munmap ((void *) map->bytes, map->size);
  if (map->slot != NULL)
    leave_slot (map->slot);
  if (map->fd >= 0)
    close (map->fd);
  g_free (map);
}

const guint8 *
evo_map_peek (const EvoMap *map)
{
  return map->bytes;
}

guint64
evo_map_get_size (const EvoMap *map)
{
  return map->size;
}

gint64
evo_map_get_mtime_ns (const EvoMap *map)
{
  return map->mtime_ns;
}

/* A file cut inside a page reads as zeros without any signal: hence the look at its size. */
gboolean
evo_map_has_changed (const EvoMap *map)
{
  struct stat st;

  if (map->slot != NULL && __atomic_load_n (&map->slot->lost, __ATOMIC_ACQUIRE))
    return TRUE;
  return fstat (map->fd, &st) != 0 || (guint64) st.st_size != map->size ||
         st.st_mtim.tv_sec * G_GINT64_CONSTANT (1000000000) + st.st_mtim.tv_nsec != map->mtime_ns;
}

void
evo_map_release (const EvoMap *map, guint64 offset, guint64 n)
{
  guint64 from = (offset + page_size - 1) / page_size * page_size, to = (offset + n) / page_size * page_size;

  g_return_if_fail (offset <= map->size && n <= map->size - offset);
  if (offset + n == map->size)
    to = (map->size + page_size - 1) / page_size * page_size; /* the last page is nobody else's */
  if (from < to)
    madvise ((void *) (map->bytes + from), to - from, MADV_DONTNEED);
}
