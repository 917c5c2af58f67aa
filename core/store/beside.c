/* SPDX-License-Identifier: Apache-2.0
 * beside.c - hidden names beside a place: making, locking, clearing left-overs, moving into place.
 */
#include "core/store/beside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/store/write.h"

struct EvoBeside {
  EvoBesideKind kind;
  char *path, *parent, *temp;
  char *first_made;  /* the uppermost parent that was not there; NULL: all were */
  int fd;            /* of temp; holds the lock */
  gboolean landed;
};

gboolean
evo_beside_exists_error (const char *path, GError **error)
{
  return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS,
                        "%s: exists already; choose another place, or --force to replace it", path);
}

/* ------------------------------------------------------------------ removing */

static int
remove_one (const char *path, const struct stat *st, int kind, struct FTW *at)
{
  remove (path);
  return 0; /* on to the rest: what stays makes the folder stay */
}

static gboolean
remove_tree (const char *path)
{
  enum { MOST_OPEN = 16 };

  nftw (path, remove_one, MOST_OPEN, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  return access (path, F_OK) != 0;
}

static gboolean
is_same_file (int fd, const char *path)
{
  struct stat a, b;

  return fstat (fd, &a) == 0 && lstat (path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void
remove_if_left_over (const char *path)
{
  int fd = open (path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

  if (fd < 0)
    return;
  if (flock (fd, LOCK_EX | LOCK_NB) == 0 && is_same_file (fd, path))
    remove_tree (path);
  close (fd);
}

/* ".NAME.evopipe-"; a long name is cut, so that the whole stays below NAME_MAX. */
static char *
temp_prefix (const char *path)
{
  enum { MOST = 200 };
  const char *slash = strrchr (path, '/');

  return g_strdup_printf (".%.*s.evopipe-", MOST, slash == NULL ? path : slash + 1);
}

static gboolean
is_temp_name (const char *name, const char *prefix)
{
  gsize n = strlen (prefix);

  return strncmp (name, prefix, n) == 0 && name[n] != '\0' && strspn (name + n, "0123456789-") == strlen (name + n);
}

static void
remove_left_overs (const EvoBeside *b)
{
  g_autofree char *prefix = temp_prefix (b->path);
  DIR *dir = opendir (b->parent);
  const struct dirent *entry;

  while (dir != NULL && (entry = readdir (dir)) != NULL)
    if (is_temp_name (entry->d_name, prefix)) {
      g_autofree char *path = g_build_filename (b->parent, entry->d_name, NULL);

      remove_if_left_over (path);
    }
  if (dir != NULL)
    closedir (dir);
}

/* ------------------------------------------------------------------ making */

/* Makes the missing parents, from the first one down. */
static gboolean
make_parents (EvoBeside *b, GError **error)
{
  g_autoptr (GPtrArray) missing = g_ptr_array_new_with_free_func (g_free);
  char *p = g_strdup (b->parent);

  while (!g_file_test (p, G_FILE_TEST_EXISTS) && !g_str_equal (p, ".") && !g_str_equal (p, "/")) {
    g_ptr_array_add (missing, p);
    p = g_path_get_dirname (p);
  }
  g_free (p);
  if (missing->len > 0)
    b->first_made = g_strdup (missing->pdata[missing->len - 1]);
  for (guint i = missing->len; i-- > 0;)
    if (mkdir (missing->pdata[i], 0777) != 0 && errno != EEXIST)
      return evo_write_failed (missing->pdata[i], errno, 0, error);
  return TRUE;
}

static void
remove_parents (const EvoBeside *b)
{
  g_autofree char *p = g_strdup (b->parent);

  while (b->first_made != NULL && strlen (p) >= strlen (b->first_made)) {
    char *up = g_path_get_dirname (p);

    rmdir (p); /* not if somebody else put something there */
    g_free (p);
    p = up;
  }
}

static int
make_and_open (const EvoBeside *b)
{
  if (b->kind == EVO_BESIDE_FILE)
    return open (b->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return mkdir (b->temp, 0777) == 0 ? open (b->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
}

/* Between making and locking, somebody who clears left-overs may lock first and remove it: then we make another. A file system without
 * locks will do too: nothing is cleared there. */
static gboolean
is_ours (const EvoBeside *b)
{
  return (flock (b->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && is_same_file (b->fd, b->temp);
}

static gboolean
make_temp (EvoBeside *b, GError **error)
{
  enum { MOST_TRIES = 1000 };
  static gint count;
  g_autofree char *prefix = temp_prefix (b->path);

  for (guint i = 0; i < MOST_TRIES; i++) {
    g_autofree char *name = g_strdup_printf ("%s%d-%d", prefix, (int) getpid (), g_atomic_int_add (&count, 1));

    g_free (b->temp);
    b->temp = g_build_filename (b->parent, name, NULL);
    b->fd = make_and_open (b);
    if (b->fd >= 0 && is_ours (b))
      return TRUE;
    if (b->fd < 0 && errno != EEXIST && errno != ENOENT)
      break;
    if (b->fd < 0 && errno == ENOENT && !g_file_test (b->parent, G_FILE_TEST_IS_DIR)) {
      errno = ENOENT;
      break;
    }
    if (b->fd >= 0)
      close (b->fd);
    b->fd = -1;
  }
  return evo_write_failed (b->path, errno, 0, error);
}

EvoBeside *
evo_beside_new (const char *path, EvoBesideKind kind, GError **error)
{
  g_autoptr (EvoBeside) b = g_new0 (EvoBeside, 1);
  g_autofree char *last = g_path_get_basename (path);

  b->fd = -1;
  b->kind = kind;
  b->path = g_strdup (path);
  for (gsize n = strlen (path); n > 1 && b->path[n - 1] == '/'; n--)
    b->path[n - 1] = '\0';
  b->parent = g_path_get_dirname (b->path);
  if (path[0] == '\0' || g_str_equal (last, ".") || g_str_equal (last, "..") || g_str_equal (last, "/")) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE,
                   "\"%s\": is not a place that can be written; a name is needed at its end", path);
    return NULL;
  }
  if (kind == EVO_BESIDE_FOLDER && !make_parents (b, error))
    return NULL;
  remove_left_overs (b);
  return make_temp (b, error) ? g_steal_pointer (&b) : NULL;
}

void
evo_beside_free (EvoBeside *b)
{
  if (b == NULL)
    return;
  if (!b->landed && b->fd >= 0)
    remove_tree (b->temp);
  if (b->fd >= 0)
    close (b->fd);
  if (!b->landed)
    remove_parents (b);
  g_free (b->first_made);
  g_free (b->temp);
  g_free (b->parent);
  g_free (b->path);
  g_free (b);
}

const char *
evo_beside_get_path (const EvoBeside *b)
{
  return b->path;
}

int
evo_beside_get_fd (const EvoBeside *b)
{
  return b->fd;
}

/* ------------------------------------------------------------------ landing */

/* renameat2 as errno. Not every file system knows its flags (EINVAL), nor every kernel the call (ENOSYS). */
static int
rename_with (const char *from, const char *to, guint flags)
{
  return renameat2 (AT_FDCWD, from, AT_FDCWD, to, flags) == 0 ? 0 : errno;
}

static int
land_new (const EvoBeside *b)
{
  int code = rename_with (b->temp, b->path, RENAME_NOREPLACE);
  struct stat st;

  if (code != EINVAL && code != ENOSYS)
    return code;
  if (lstat (b->path, &st) == 0)
    return EEXIST;
  return rename (b->temp, b->path) == 0 ? 0 : errno;
}

/* The old one steps aside under a name that is not cleared as a left-over: for a moment it is the only one. */
static int
swap_by_hand (const EvoBeside *b)
{
  g_autofree char *aside = g_strconcat (b->temp, ".old", NULL);
  int code;

  if (rename (b->path, aside) != 0)
    return errno;
  code = rename (b->temp, b->path) == 0 ? 0 : errno;
  if (rename (aside, code == 0 ? b->temp : b->path) != 0)
    g_warning ("%s: what stood here is now %s", b->path, aside);
  return code;
}

static int
land_folder_over (const EvoBeside *b)
{
  int code = rename_with (b->temp, b->path, RENAME_EXCHANGE);

  if (code == EINVAL || code == ENOSYS)
    code = swap_by_hand (b);
  if (code == ENOENT)
    return land_new (b);
  if (code == 0 && !remove_tree (b->temp))
    g_warning ("%s: what it replaces could not be removed whole; the rest is %s", b->path, b->temp);
  return code;
}

static gboolean
sync_folder (const char *path, GError **error)
{
  int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean done;

  if (fd < 0)
    return evo_write_failed (path, errno, 0, error);
  done = evo_write_sync (fd, path, error);
  close (fd);
  return done;
}

/* A new folder is safe when the folder that names it is. */
static gboolean
sync_parents (const EvoBeside *b, GError **error)
{
  g_autofree char *p = g_strdup (b->parent);
  gboolean more = b->first_made != NULL;

  while (sync_folder (p, error)) {
    char *up = g_path_get_dirname (p);

    if (!more) {
      g_free (up);
      return TRUE;
    }
    more = !g_str_equal (p, b->first_made);
    g_free (p);
    p = up;
  }
  return FALSE;
}

gboolean
evo_beside_land (EvoBeside *b, gboolean replace, GError **error)
{
  int code;

  g_return_val_if_fail (!b->landed, FALSE);
  if (!evo_write_sync (b->fd, b->path, error))
    return FALSE;
  if (!replace)
    code = land_new (b);
  else if (b->kind == EVO_BESIDE_FOLDER)
    code = land_folder_over (b);
  else
    code = rename (b->temp, b->path) == 0 ? 0 : errno;
  if (code == EEXIST && !replace)
    return evo_beside_exists_error (b->path, error);
  if (code != 0)
    return evo_write_failed (b->path, code, 0, error);
  b->landed = TRUE;
  return sync_parents (b, error);
}
