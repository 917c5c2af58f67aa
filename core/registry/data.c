/* SPDX-License-Identifier: Apache-2.0
 * data.c - where plugins and data files are, from where the program itself is.
 */
#include "core/base/error.h"
#include "core/registry/place.h"
#include "core/registry/registry.h"

/* The program's folder; NULL where /proc is not mounted. */
static char *
program_folder (void)
{
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);

  return exe == NULL ? NULL : g_path_get_dirname (exe);
}

/* A build tree keeps its programs two folders down: core/cli/evopipe, tests/ROOM/test-NAME. */
static char *
build_root (const char *folder)
{
  g_autofree char *root = folder == NULL ? NULL : g_build_filename (folder, "..", "..", NULL);
  g_autofree char *mark = root == NULL ? NULL : g_build_filename (root, "build.ninja", NULL);

  return mark != NULL && g_file_test (mark, G_FILE_TEST_EXISTS) ? g_canonicalize_filename (root, NULL) : NULL;
}

/* An installation may have been moved as a whole: what is beside the program comes before where it was configured to be. */
static char *
beside_program (const char *folder, const char *below_prefix)
{
  g_autofree char *path = folder == NULL || g_path_is_absolute (below_prefix) ? NULL : g_build_filename (folder, "..", below_prefix, NULL);

  return path == NULL ? NULL : g_canonicalize_filename (path, NULL);
}

char *
evo_place_plugins (void)
{
  g_autofree char *folder = program_folder (), *root = build_root (folder), *beside = NULL;

  if (root != NULL)
    return g_build_filename (root, "plugins", NULL);
  beside = beside_program (folder, EVO_LIBDIR "/evopipe/plugins");
  if (beside != NULL && g_file_test (beside, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&beside);
  return g_file_test (EVO_PLUGIN_DIR, G_FILE_TEST_IS_DIR) ? g_strdup (EVO_PLUGIN_DIR) : NULL;
}

static char **
data_folders (void)
{
  const char *told = g_getenv ("EVOPIPE_DATA");
  g_autofree char *folder = program_folder (), *root = build_root (folder), *beside = NULL;
  g_autoptr (GPtrArray) out = g_ptr_array_new ();

  if (told != NULL && told[0] != '\0') {
    g_ptr_array_add (out, g_strdup (told));
  } else if (root != NULL) {
    g_ptr_array_add (out, g_strdup (EVO_SOURCE_ROOT));
  } else {
    beside = beside_program (folder, EVO_DATADIR "/evopipe");
    if (beside != NULL)
      g_ptr_array_add (out, g_strdup (beside));
    if (g_strcmp0 (beside, EVO_DATA_DIR) != 0)
      g_ptr_array_add (out, g_strdup (EVO_DATA_DIR));
  }
  g_ptr_array_add (out, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&out), FALSE);
}

char *
evo_data_file (const char *name, GError **error)
{
  g_auto (GStrv) folders = data_folders ();
  g_autofree char *list = g_strjoinv (", ", folders);

  for (guint i = 0; folders[i] != NULL; i++) {
    char *path = g_build_filename (folders[i], name, NULL);

    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return path;
    g_free (path);
  }
  evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: not found in %s; EVOPIPE_DATA can name another folder", name, list);
  return NULL;
}
