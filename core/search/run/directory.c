/* SPDX-License-Identifier: Apache-2.0
 * directory.c - the run directory: made, locked, reopened, or cleared where it is to start over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/search/run/parts.h"
#include "core/store/output.h"

char *
evo_run_file (const EvoRun *run, const char *name)
{
  return g_canonicalize_filename (name, run->out);
}

static gboolean
take_lock (EvoRun *run, GError **error)
{
  g_autofree char *path = evo_run_file (run, "lock");

  run->lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (run->lock < 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: %s", path, g_strerror (errno));
  if (flock (run->lock, LOCK_EX | LOCK_NB) == 0)
    return TRUE;
  return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: another evopipe is running there; wait for it, or choose another "
                        "--out", run->out);
}

static gboolean
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_file_test (path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    if (!remove_tree (child))
      return FALSE;
  }
  return remove (path) == 0 || errno == ENOENT;
}

/* --force starts over, but only where a run was: a directory with a journal, or an empty one. */
static gboolean
clear_old (EvoRun *run, GError **error)
{
  g_autofree char *journal = evo_run_file (run, "journal.db"), *lock = evo_run_file (run, "lock");

  if (!g_file_test (journal, G_FILE_TEST_EXISTS) && !g_file_test (lock, G_FILE_TEST_EXISTS) && rmdir (run->out) != 0)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: exists and is no run directory; --force would lose it; choose "
                          "another --out", run->out);
  if (g_file_test (lock, G_FILE_TEST_EXISTS)) {
    if (!take_lock (run, error))
      return FALSE;
    close (run->lock);
    run->lock = -1;
  }
  if (remove_tree (run->out))
    return TRUE;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be removed: %s", run->out, g_strerror (errno));
}

static gboolean
make_directory (EvoRun *run, GError **error)
{
  if (g_mkdir_with_parents (run->out, 0777) == 0)
    return TRUE;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be made: %s", run->out, g_strerror (errno));
}

static gboolean
create_run (EvoRun *run, GError **error)
{
  g_autofree char *journal = evo_run_file (run, "journal.db"), *pipeline = evo_run_file (run, "pipeline.json");
  g_autofree char *json = evo_graph_to_json (run->graph);

  if (!make_directory (run, error) || !take_lock (run, error) || !evo_write_file (pipeline, json, -1, error))
    return FALSE;
  run->journal = evo_journal_open (journal, TRUE, error);
  return run->journal != NULL && evo_run_write_identity (run, error);
}

static gboolean
reopen_run (EvoRun *run, GError **error)
{
  g_autofree char *journal = evo_run_file (run, "journal.db"), *pipeline = evo_run_file (run, "pipeline.json");
  g_autofree char *json = evo_graph_to_json (run->graph);

  if (!take_lock (run, error))
    return FALSE;
  /* killed before the journal was there: nothing is lost by beginning again */
  if (!g_file_test (journal, G_FILE_TEST_EXISTS)) {
    close (run->lock);
    run->lock = -1;
    return create_run (run, error);
  }
  run->journal = evo_journal_open (journal, FALSE, error);
  return run->journal != NULL && evo_run_check_identity (run, error) && evo_write_file (pipeline, json, -1, error);
}

gboolean
evo_run_open_directory (EvoRun *run, GError **error)
{
  gboolean exists = g_file_test (run->out, G_FILE_TEST_EXISTS);

  if (exists && run->options.resume)
    return reopen_run (run, error);
  if (run->options.resume)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s: there is no run to resume; leave --resume out to start one",
                          run->out);
  if (exists && !run->options.force)
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS, "%s: exists; --resume goes on with it, --force starts over", run->out);
  return (!exists || clear_old (run, error)) && create_run (run, error);
}
