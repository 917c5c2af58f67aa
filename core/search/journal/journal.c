/* SPDX-License-Identifier: Apache-2.0
 * journal.c - the journal as a file of SQLite: made whole, judged before it is believed, and the statements it is written and read by.
 */
#include "core/search/journal/sql.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "core/base/error.h"

enum { FORMAT = 2, APPLICATION = 0x45564f50 }; /* "EVOP" in the file's header: `file` and we know it by */

struct EvoJournal { sqlite3 *db; char *path; };

static const char schema[] =
  "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS trials(node TEXT, trial INTEGER, generation INTEGER, status TEXT, score REAL, genes TEXT, seconds REAL,"
  " reason TEXT, hops_run INTEGER, hops_skipped INTEGER, PRIMARY KEY(node, trial)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS items(node TEXT, trial INTEGER, evaluator TEXT, score REAL, scores BLOB,"
  " PRIMARY KEY(node, trial, evaluator)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS validations(node TEXT, generation INTEGER, trial INTEGER, score REAL, scores BLOB,"
  " PRIMARY KEY(node, generation)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS stages(node TEXT PRIMARY KEY, best_trial INTEGER, score REAL, path TEXT) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS exports(node TEXT PRIMARY KEY, trial INTEGER, prompts INTEGER, same INTEGER, largest REAL, rms REAL) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS exams(node TEXT, model TEXT, identity TEXT, score REAL, scores BLOB, PRIMARY KEY(node, model)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS answers(node TEXT, model TEXT, item INTEGER, answer TEXT, score REAL, PRIMARY KEY(node, model, item))"
  " WITHOUT ROWID;";

static gboolean
fail (EvoJournal *j, GError **error)
{
  int code = sqlite3_errcode (j->db);

  if (code == SQLITE_FULL || code == SQLITE_IOERR || code == SQLITE_READONLY || code == SQLITE_CANTOPEN)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: the journal cannot be written (%s); make room and --resume",
                          j->path, sqlite3_errmsg (j->db));
  return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: the journal is damaged (%s); start a new run", j->path,
                        sqlite3_errmsg (j->db));
}

gboolean
evo_sql_execute (EvoJournal *j, const char *sql, GError **error)
{
  return sqlite3_exec (j->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail (j, error);
}

gboolean
evo_sql_end (EvoJournal *j, gboolean good, GError **error)
{
  if (good)
    return evo_sql_execute (j, "COMMIT", error);
  evo_sql_execute (j, "ROLLBACK", NULL);
  return FALSE;
}

const char *
evo_sql_path (const EvoJournal *j)
{
  return j->path;
}

/* ------------------------------------------------------------------ statements */

static gboolean
bind (EvoStatement *s, const char *types, va_list args)
{
  int rc = SQLITE_OK;

  for (int i = 1; *types != '\0' && rc == SQLITE_OK; i++, types++) {
    if (*types == 't') {
      rc = sqlite3_bind_text (s, i, va_arg (args, const char *), -1, SQLITE_TRANSIENT);
    } else if (*types == 'i') {
      rc = sqlite3_bind_int64 (s, i, va_arg (args, gint64));
    } else if (*types == 'd') {
      double d = va_arg (args, double);

      rc = isnan (d) ? sqlite3_bind_null (s, i) : sqlite3_bind_double (s, i, d);
    } else {
      const void *bytes = va_arg (args, const void *);
      gsize n = va_arg (args, gsize);

      rc = sqlite3_bind_blob64 (s, i, bytes == NULL ? "" : bytes, n, SQLITE_TRANSIENT);
    }
  }
  return rc == SQLITE_OK;
}

static EvoStatement *
prepare (EvoJournal *j, const char *sql, const char *types, va_list args)
{
  EvoStatement *s = NULL;

  if (sqlite3_prepare_v2 (j->db, sql, -1, &s, NULL) != SQLITE_OK)
    return NULL;
  if (!bind (s, types, args))
    g_clear_pointer (&s, sqlite3_finalize);
  return s;
}

gboolean
evo_sql_run (EvoJournal *j, GError **error, const char *sql, const char *types, ...)
{
  EvoStatement *s;
  va_list args;
  gboolean done;

  va_start (args, types);
  s = prepare (j, sql, types, args);
  va_end (args);
  done = s != NULL && sqlite3_step (s) == SQLITE_DONE;
  if (!done)
    fail (j, error);
  sqlite3_finalize (s);
  return done;
}

EvoStatement *
evo_sql_query (EvoJournal *j, const char *sql, const char *types, ...)
{
  EvoStatement *s;
  va_list args;

  va_start (args, types);
  s = prepare (j, sql, types, args);
  va_end (args);
  return s;
}

int
evo_sql_fetch (EvoJournal *j, EvoStatement *s, GError **error)
{
  int rc = s == NULL ? SQLITE_ERROR : sqlite3_step (s);

  if (rc == SQLITE_ROW)
    return 1;
  if (rc != SQLITE_DONE)
    fail (j, error);
  return rc == SQLITE_DONE ? 0 : -1;
}

void
evo_sql_free (EvoStatement *s)
{
  sqlite3_finalize (s);
}

/* ------------------------------------------------------------------ what a row holds */

gint64
evo_sql_integer (EvoStatement *s, int i)
{
  return sqlite3_column_int64 (s, i);
}

double
evo_sql_number (EvoStatement *s, int i)
{
  return sqlite3_column_type (s, i) == SQLITE_NULL ? NAN : sqlite3_column_double (s, i);
}

char *
evo_sql_text (EvoStatement *s, int i)
{
  return g_strdup ((const char *) sqlite3_column_text (s, i));
}

gboolean
evo_sql_values (EvoJournal *j, EvoStatement *s, int i, EvoEvaluation *e, GError **error)
{
  int n = sqlite3_column_bytes (s, i);

  if (n % (int) sizeof (double) != 0)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: a row of item scores has %d bytes, no multiple of 8; start a new run",
                          j->path, n);
  e->values = g_memdup2 (sqlite3_column_blob (s, i), (gsize) n);
  e->n = (gsize) n / sizeof (double);
  return TRUE;
}

/* ------------------------------------------------------------------ what a journal must be */

static gint64
pragma (EvoJournal *j, const char *sql)
{
  EvoStatement *s = evo_sql_query (j, sql, "");
  gint64 value = s != NULL && sqlite3_step (s) == SQLITE_ROW ? sqlite3_column_int64 (s, 0) : -1;

  sqlite3_finalize (s);
  return value;
}

static gboolean
check_integrity (EvoJournal *j, GError **error)
{
  EvoStatement *s = evo_sql_query (j, "PRAGMA quick_check(1)", "");
  gboolean good = s != NULL && sqlite3_step (s) == SQLITE_ROW && g_strcmp0 ((const char *) sqlite3_column_text (s, 0), "ok") == 0;

  sqlite3_finalize (s);
  if (good)
    return TRUE;
  return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: the journal's pages are damaged; start a new run", j->path);
}

static gboolean
check_tables (EvoJournal *j, GError **error)
{
  static const char *const queries[] = {
    "SELECT key, value FROM meta", "SELECT node, trial, generation, status, score, genes, seconds, reason FROM trials",
    "SELECT node, trial, evaluator, score, scores FROM items", "SELECT node, generation, trial, score, scores FROM validations",
    "SELECT node, best_trial, score, path FROM stages",
    "SELECT node, trial, prompts, same, largest, rms FROM exports",
    "SELECT node, model, identity, score, scores FROM exams",
    "SELECT node, model, item, answer, score FROM answers"
  };

  for (guint i = 0; i < G_N_ELEMENTS (queries); i++) {
    EvoStatement *s = evo_sql_query (j, queries[i], "");

    sqlite3_finalize (s);
    if (s == NULL)
      return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: the journal lacks what a run needs (%s); start a new run", j->path,
                            sqlite3_errmsg (j->db));
  }
  return TRUE;
}

static gboolean
check_format (EvoJournal *j, GError **error)
{
  gint64 application = pragma (j, "PRAGMA application_id"), format = pragma (j, "PRAGMA user_version");

  if (application < 0)
    return fail (j, error);
  if (application != APPLICATION)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: is a database, but no evopipe journal; start a new run", j->path);
  if (format != FORMAT)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL,
                          "%s: is a journal of format %" G_GINT64_FORMAT ", this evopipe writes format %d; resume with the one that made it",
                          j->path, format, FORMAT);
  return check_integrity (j, error) && check_tables (j, error);
}

/* ------------------------------------------------------------------ opening */

static EvoJournal *
open_database (const char *path, int flags, GError **error)
{
  g_autoptr (EvoJournal) j = g_new0 (EvoJournal, 1);

  j->path = g_strdup (path);
  if (sqlite3_open_v2 (path, &j->db, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK) {
    fail (j, error);
    return NULL;
  }
  sqlite3_busy_timeout (j->db, 5000);
  return g_steal_pointer (&j);
}

static gboolean
create_tables (const char *path, GError **error)
{
  g_autoptr (EvoJournal) j = open_database (path, SQLITE_OPEN_CREATE, error);
  g_autofree char *mark = g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION, FORMAT);

  return j != NULL && evo_sql_execute (j, "BEGIN", error) && evo_sql_execute (j, mark, error) && evo_sql_execute (j, schema, error) &&
         evo_sql_execute (j, "COMMIT", error);
}

/* Made beside its place and renamed: where there is a journal, it has all its tables. */
static gboolean
create (const char *path, GError **error)
{
  g_autofree char *beside = g_strconcat (path, ".new", NULL);

  g_unlink (beside);
  if (!create_tables (beside, error))
    return FALSE;
  return g_rename (beside, path) == 0 ||
         evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot be made: %s", path, g_strerror (errno));
}

static gboolean
check_file (const char *path, GError **error)
{
  GStatBuf s;

  if (g_stat (path, &s) != 0)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: there is no journal to resume from", path);
  if (S_ISREG (s.st_mode) && s.st_size == 0)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: the journal is an empty file; start a new run", path);
  return TRUE;
}

EvoJournal *
evo_journal_open (const char *path, gboolean is_new, GError **error)
{
  g_autoptr (EvoJournal) j = NULL;

  if (is_new ? !create (path, error) : !check_file (path, error))
    return NULL;
  j = open_database (path, 0, error);
  if (j == NULL || !check_format (j, error) || !evo_sql_execute (j, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", error))
    return NULL;
  return g_steal_pointer (&j);
}

void
evo_journal_close (EvoJournal *j)
{
  if (j == NULL)
    return;
  sqlite3_close (j->db);
  g_free (j->path);
  g_free (j);
}
