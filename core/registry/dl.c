/* SPDX-License-Identifier: Apache-2.0
 * dl.c - opens shared objects that elf.c has looked at; the only file that knows of dlopen.
 */
#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "core/base/error.h"
#include "core/registry/load.h"

gboolean
evo_extent_holds (const EvoExtent *e, gconstpointer p, gsize size)
{
  if (p == NULL)
    return FALSE;
  if (e->n == 0)
    return TRUE;
  for (guint i = 0; i < e->n; i++) {
    gsize first = GPOINTER_TO_SIZE (p) - GPOINTER_TO_SIZE (e->segments[i].from);

    if (GPOINTER_TO_SIZE (p) >= GPOINTER_TO_SIZE (e->segments[i].from) && first <= e->segments[i].size && size <= e->segments[i].size - first)
      return TRUE;
  }
  return FALSE;
}

gboolean
evo_extent_holds_text (const EvoExtent *e, const char *s, gsize longest)
{
  for (gsize i = 0; i <= longest; i++) {
    if (!evo_extent_holds (e, s == NULL ? NULL : s + i, 1))
      return FALSE;
    if (s[i] == '\0')
      return TRUE;
  }
  return FALSE;
}

/* dlerror begins with the path, which the message has already. */
static const char *
without_path (const char *message, const char *path)
{
  if (message == NULL)
    return "dlopen gives no reason";
  if (g_str_has_prefix (message, path) && g_str_has_prefix (message + strlen (path), ": "))
    return message + strlen (path) + 2;
  return message;
}

static gboolean
find_plugin (gpointer handle, const char *file, EvoExtent *extent, const EvoPlugin **plugin, GError **error)
{
  struct link_map *map = NULL;
  const EvoPlugin *found = dlsym (handle, "evo_plugin");

  if (dlinfo (handle, RTLD_DI_LINKMAP, &map) != 0)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: cannot be looked into: %s", file, dlerror ());
  for (guint i = 0; i < extent->n; i++)
    extent->segments[i].from = GSIZE_TO_POINTER (GPOINTER_TO_SIZE (extent->segments[i].from) + map->l_addr);
  if (found == NULL) /* dlsym looks into the libraries the object needs, too: what is found there is not this one's */
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_NOT_A_PLUGIN,
                          "%s: exports no symbol evo_plugin; declare one with EVO_MERGE_PLUGIN (...) or its like", file);
  if (!evo_extent_holds (extent, found, sizeof *found) || GPOINTER_TO_SIZE (found) % sizeof (gpointer) != 0)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_NOT_A_PLUGIN, "%s: its symbol evo_plugin is not data of its own", file);
  *plugin = found;
  return TRUE;
}

gboolean
evo_dl_open (const char *path, EvoExtent *extent, gpointer *handle, const EvoPlugin **plugin, GError **error)
{
  g_autofree char *file = g_path_get_basename (path);
  gpointer h = dlopen (path, RTLD_NOW | RTLD_LOCAL);

  if (h == NULL)
    return evo_set_error (error, EVO_REGISTRY_ERROR, EVO_REGISTRY_ERROR_OPEN, "%s: cannot be loaded: %s", file, without_path (dlerror (), path));
  if (!find_plugin (h, file, extent, plugin, error)) {
    dlclose (h);
    return FALSE;
  }
  *handle = h;
  return TRUE;
}

void
evo_dl_close (gpointer handle)
{
  dlclose (handle);
}
