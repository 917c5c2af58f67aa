/* SPDX-License-Identifier: Apache-2.0
 * registry.c - the operators this process knows: those of plugin files and those it was built with.
 */
#include "core/registry/registry.h"

#include <string.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/registry/load.h"
#include "core/registry/place.h"

/* Made by plugins/meson.build where plugins are compiled in; absent from programs that link none. */
extern const EvoPlugin *const evo_builtin_plugins[] __attribute__ ((weak));

static void
registered_free (gpointer data)
{
  EvoRegistered *e = data;

  g_free (e->name);
  g_free (e->file);
  g_free (e);
}

static void
broken_free (gpointer data)
{
  EvoBroken *b = data;

  g_free (b->path);
  g_free (b->message);
  g_free (b);
}

static void
add_broken (EvoRegistry *r, const char *path, const GError *error)
{
  EvoBroken *b = g_new (EvoBroken, 1);

  *b = (EvoBroken){ g_strdup (path), error->code, g_strdup (error->message) };
  g_ptr_array_add (r->broken, b);
  g_ptr_array_set_size (r->sentences, (gint) r->sentences->len - 1);
  g_ptr_array_add (r->sentences, b->message);
  g_ptr_array_add (r->sentences, NULL);
}

/* ------------------------------------------------------------------ registering */

static int
by_name (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const EvoRegistered *const *) a)->name, (*(const EvoRegistered *const *) b)->name);
}

/* An adapter is a merge to the graph, with genes and a base, and a model to who writes a pipeline. */
static const char *
shown_kind (const EvoJudged *j)
{
  gboolean is_lora = j->kind == EVO_KIND_MERGE && ((const EvoMergeOp *) j->op)->host == EVO_HOST_LORA;

  return evo_registry_kind_name (is_lora ? EVO_KIND_MODEL : j->kind);
}

/* All operators of a plugin, or none. */
static gboolean
add_operators (EvoRegistry *r, const char *path, const EvoJudged *ops, guint n, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < n; i++) {
    char *name = g_strconcat (shown_kind (&ops[i]), ".", ops[i].op->name, NULL);
    const EvoRegistered *other = evo_registry_peek (r, name);
    g_autofree char *file = g_path_get_basename (path);

    g_ptr_array_add (names, name);
    if (other != NULL)
      return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DUPLICATE, "%s: %s is already there, from %s; %s is not used", file, name,
                            other->file, path);
    for (guint k = 0; k < i; k++)
      if (strcmp (names->pdata[k], name) == 0)
        return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_DUPLICATE, "%s: declares %s twice", file, name);
  }
  for (guint i = 0; i < n; i++) {
    EvoRegistered *e = g_new (EvoRegistered, 1);

    *e = (EvoRegistered){ ops[i].kind, g_strdup (names->pdata[i]), g_strdup (path), ops[i].op };
    g_ptr_array_add (r->entries, e);
  }
  g_ptr_array_sort (r->entries, by_name);
  return TRUE;
}

static gboolean
accept (EvoRegistry *r, const EvoPlugin *plugin, const EvoExtent *extent, const char *path, GError **error)
{
  g_autoptr (GPtrArray) arena = g_ptr_array_new_with_free_func (g_free);
  g_autofree EvoJudged *ops = g_new (EvoJudged, EVO_MOST_OPS);
  g_autofree char *file = g_path_get_basename (path);
  guint n;

  if (!evo_judge (plugin, extent, file, arena, ops, &n, error) || !add_operators (r, path, ops, n, error))
    return FALSE;
  g_ptr_array_add (r->arenas, g_steal_pointer (&arena));
  return TRUE;
}

/* TRUE: this file or folder was looked at before, perhaps under another name. */
static gboolean
is_seen (EvoRegistry *r, const char *path)
{
  struct stat info;

  if (stat (path, &info) != 0)
    return FALSE;
  return !g_hash_table_add (r->seen, g_strdup_printf ("%" G_GUINT64_FORMAT ":%" G_GUINT64_FORMAT, (guint64) info.st_dev, (guint64) info.st_ino));
}

static gboolean
is_registered (const EvoRegistry *r, const char *path)
{
  struct stat one, other;

  if (stat (path, &one) != 0)
    return FALSE;
  for (guint i = 0; i < r->entries->len; i++) {
    const EvoRegistered *e = r->entries->pdata[i];

    if (stat (e->file, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino)
      return TRUE;
  }
  return FALSE;
}

gboolean
evo_registry_load (EvoRegistry *r, const char *path, GError **error)
{
  g_autofree char *real = g_canonicalize_filename (path, NULL); /* dlopen looks elsewhere for a name without a slash */
  const EvoPlugin *plugin;
  EvoExtent extent;
  gpointer handle;

  if (is_registered (r, real))
    return TRUE;
  if (!evo_elf_check (real, &extent, error) || !evo_dl_open (real, &extent, &handle, &plugin, error))
    return FALSE;
  if (accept (r, plugin, &extent, real, error))
    return TRUE; /* the handle stays open as long as the process: its code may still be on somebody's stack */
  evo_dl_close (handle);
  return FALSE;
}

/* ------------------------------------------------------------------ scanning */

static void
try_file (EvoRegistry *r, const char *path)
{
  g_autoptr (GError) error = NULL;

  if (!is_seen (r, path) && !evo_registry_load (r, path, &error))
    add_broken (r, path, error);
}

static int
by_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Names in a folder, sorted: the order of directory entries is nobody's promise. NULL: not readable. */
static GPtrArray *
list_folder (const char *folder, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, error);
  GPtrArray *names;
  const char *name;

  if (dir == NULL)
    return NULL;
  names = g_ptr_array_new_with_free_func (g_free);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (name[0] != '.')
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, by_text);
  return names;
}

/* Plugins lie in the folder and, as the build and installations have them, in one folder a kind below it. */
static void
scan_folder (EvoRegistry *r, const char *folder, guint depth)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) names = list_folder (folder, &error);

  if (names == NULL) {
    g_autoptr (GError) e = g_error_new (EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: no folder of plugins: %s", folder, error->message);

    add_broken (r, NULL, e);
    return;
  }
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_build_filename (folder, names->pdata[i], NULL);

    if (g_str_has_suffix (path, ".so"))
      try_file (r, path);
  }
  for (guint i = 0; depth > 0 && i < names->len; i++) {
    g_autofree char *path = g_build_filename (folder, names->pdata[i], NULL);

    if (!g_str_has_suffix (path, ".so") && g_file_test (path, G_FILE_TEST_IS_DIR) && !is_seen (r, path))
      scan_folder (r, path, depth - 1);
  }
}

static void
scan_path (EvoRegistry *r)
{
  const char *list = g_getenv ("EVOPIPE_PLUGIN_PATH");
  g_auto (GStrv) folders = g_strsplit (list == NULL ? "" : list, ":", -1);

  for (guint i = 0; folders[i] != NULL; i++) {
    g_autofree char *real = g_canonicalize_filename (folders[i], NULL);

    if (folders[i][0] != '\0' && !is_seen (r, real))
      scan_folder (r, real, 1);
  }
}

static void
add_builtin (EvoRegistry *r)
{
  static const EvoExtent everywhere = { .n = 0 };

  if (evo_builtin_plugins == NULL)
    return;
  for (guint i = 0; evo_builtin_plugins[i] != NULL; i++) {
    g_autoptr (GError) error = NULL;

    if (!accept (r, evo_builtin_plugins[i], &everywhere, EVO_BUILT_IN, &error))
      add_broken (r, NULL, error);
  }
}

EvoRegistry *
evo_registry_new (void)
{
  EvoRegistry *r = g_new (EvoRegistry, 1);
  g_autofree char *own = evo_place_plugins ();

  *r = (EvoRegistry){ g_ptr_array_new_with_free_func (registered_free), g_ptr_array_new_with_free_func (broken_free), g_ptr_array_new (),
                      g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref),
                      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL) };
  g_ptr_array_add (r->sentences, NULL);
  scan_path (r);
  add_builtin (r);
  if (own != NULL && !is_seen (r, own))
    scan_folder (r, own, 1);
  return r;
}

void
evo_registry_free (EvoRegistry *r)
{
  if (r == NULL)
    return;
  g_ptr_array_unref (r->entries);
  g_ptr_array_unref (r->sentences);
  g_ptr_array_unref (r->broken);
  g_ptr_array_unref (r->arenas);
  g_hash_table_unref (r->seen);
  g_free (r);
}

