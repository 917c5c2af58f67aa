/* SPDX-License-Identifier: Apache-2.0
 * journal.c - the journal in SQLite: short statements, one transaction per event.
 */
#include "core/search/journal.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "core/base/error.h"

enum { FORMAT = 1, APPLICATION = 0x45564f50 }; /* "EVOP" in the file's header: `file` and we know it by */

struct EvoJournal { sqlite3 *db; char *path; };

static const char schema[] =
  "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS trials(node TEXT, trial INTEGER, generation INTEGER, status TEXT, score REAL, genes TEXT, seconds REAL,"
  " reason TEXT, PRIMARY KEY(node, trial)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS items(node TEXT, trial INTEGER, evaluator TEXT, score REAL, scores BLOB,"
  " PRIMARY KEY(node, trial, evaluator)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS validations(node TEXT, generation INTEGER, trial INTEGER, score REAL, scores BLOB,"
  " PRIMARY KEY(node, generation)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS stages(node TEXT PRIMARY KEY, best_trial INTEGER, score REAL, path TEXT) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS exports(node TEXT PRIMARY KEY, trial INTEGER, prompts INTEGER, same INTEGER, largest REAL, rms REAL) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS exams(node TEXT, model TEXT, identity TEXT, score REAL, scores BLOB, PRIMARY KEY(node, model)) WITHOUT ROWID;"
  "CREATE TABLE IF NOT EXISTS answers(node TEXT, model TEXT, item INTEGER, answer TEXT, score REAL, PRIMARY KEY(node, model, item))"
  " WITHOUT ROWID;";

void
evo_evaluation_clear (EvoEvaluation *e)
{
  g_clear_pointer (&e->evaluator, g_free);
  g_clear_pointer (&e->values, g_free);
  e->n = 0;
}

void
evo_trial_clear (EvoTrial *t)
{
  for (guint i = 0; i < t->n_evaluations; i++)
    evo_evaluation_clear (&t->evaluations[i]);
  g_clear_pointer (&t->evaluations, g_free);
  g_clear_pointer (&t->reason, g_free);
  g_clear_pointer (&t->genes, g_free);
  t->n_evaluations = 0;
}

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

static gboolean
execute (EvoJournal *j, const char *sql, GError **error)
{
  return sqlite3_exec (j->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail (j, error);
}

/* ------------------------------------------------------------------ statements: bound by a format, t text, i int64, d double, b blob */

static gboolean
bind (sqlite3_stmt *s, const char *types, va_list args)
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

static sqlite3_stmt *
prepare (EvoJournal *j, const char *sql, const char *types, ...)
{
  sqlite3_stmt *s = NULL;
  va_list args;
  gboolean bound;

  if (sqlite3_prepare_v2 (j->db, sql, -1, &s, NULL) != SQLITE_OK)
    return NULL;
  va_start (args, types);
  bound = bind (s, types, args);
  va_end (args);
  if (!bound)
    g_clear_pointer (&s, sqlite3_finalize);
  return s;
}

static gboolean
finish (EvoJournal *j, sqlite3_stmt *s, GError **error)
{
  gboolean done = s != NULL && sqlite3_step (s) == SQLITE_DONE;

  if (!done)
    fail (j, error);
  sqlite3_finalize (s);
  return done;
}

/* 1: a row, 0: none, -1: error. */
static int
fetch (EvoJournal *j, sqlite3_stmt *s, GError **error)
{
  int rc = s == NULL ? SQLITE_ERROR : sqlite3_step (s);

  if (rc == SQLITE_ROW)
    return 1;
  if (rc != SQLITE_DONE)
    fail (j, error);
  return rc == SQLITE_DONE ? 0 : -1;
}

static double
column_number (sqlite3_stmt *s, int i)
{
  return sqlite3_column_type (s, i) == SQLITE_NULL ? NAN : sqlite3_column_double (s, i);
}

static char *
column_text (sqlite3_stmt *s, int i)
{
  return g_strdup ((const char *) sqlite3_column_text (s, i));
}

static gboolean
column_values (EvoJournal *j, sqlite3_stmt *s, int i, EvoEvaluation *e, GError **error)
{
  int n = sqlite3_column_bytes (s, i);

  if (n % (int) sizeof (double) != 0)
    return evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: a row of item scores has %d bytes, no multiple of 8; start a new run",
                          j->path, n);
  e->values = g_memdup2 (sqlite3_column_blob (s, i), (gsize) n);
  e->n = (gsize) n / sizeof (double);
  return TRUE;
}

/* ------------------------------------------------------------------ opening */

static gint64
pragma (EvoJournal *j, const char *sql)
{
  sqlite3_stmt *s = prepare (j, sql, "");
  gint64 value = s != NULL && sqlite3_step (s) == SQLITE_ROW ? sqlite3_column_int64 (s, 0) : -1;

  sqlite3_finalize (s);
  return value;
}

static gboolean
check_integrity (EvoJournal *j, GError **error)
{
  sqlite3_stmt *s = prepare (j, "PRAGMA quick_check(1)", "");
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
    sqlite3_stmt *s = prepare (j, queries[i], "");

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

  return j != NULL && execute (j, "BEGIN", error) && execute (j, mark, error) && execute (j, schema, error) && execute (j, "COMMIT", error);
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
  if (j == NULL || !check_format (j, error) || !execute (j, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", error))
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

/* BEGIN stands already: COMMIT where all went well, else as if nothing had been. */
static gboolean
end (EvoJournal *j, gboolean good, GError **error)
{
  if (good)
    return execute (j, "COMMIT", error);
  execute (j, "ROLLBACK", NULL);
  return FALSE;
}

/* ------------------------------------------------------------------ meta */

gboolean
evo_journal_set_meta (EvoJournal *j, const char *const *pairs, GError **error)
{
  gboolean good = execute (j, "BEGIN", error);

  if (!good)
    return FALSE;
  for (guint i = 0; good && pairs[i] != NULL; i += 2)
    good = finish (j, prepare (j, "INSERT OR REPLACE INTO meta VALUES(?,?)", "tt", pairs[i], pairs[i + 1]), error);
  return end (j, good, error);
}

char **
evo_journal_get_meta (EvoJournal *j, GError **error)
{
  g_autoptr (GPtrArray) out = g_ptr_array_new_with_free_func (g_free);
  sqlite3_stmt *s = prepare (j, "SELECT key, value FROM meta ORDER BY key", "");
  int rc;

  while ((rc = fetch (j, s, error)) == 1) {
    g_ptr_array_add (out, column_text (s, 0));
    g_ptr_array_add (out, column_text (s, 1));
  }
  sqlite3_finalize (s);
  if (rc < 0)
    return NULL;
  g_ptr_array_add (out, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&out), FALSE);
}

/* ------------------------------------------------------------------ answers */

static gboolean
insert_answers (EvoJournal *j, const char *node, const EvoAnswers *a, GError **error)
{
  if (a == NULL)
    return TRUE;
  if (!finish (j, prepare (j, "DELETE FROM answers WHERE node=? AND model=?", "tt", node, a->model), error))
    return FALSE;
  for (gsize i = 0; i < a->n; i++)
    if (a->texts[i] != NULL && !finish (j, prepare (j, "INSERT INTO answers VALUES(?,?,?,?,?)", "ttitd", node, a->model,
                                                    a->items == NULL ? (gint64) i : a->items[i], a->texts[i], a->values[i * a->n_values]),
                                        error))
      return FALSE;
  return TRUE;
}

gboolean
evo_journal_keep_answers (EvoJournal *j, const char *node, const char *model, GError **error)
{
  return finish (j, prepare (j, "DELETE FROM answers WHERE node=? AND model<>?", "tt", node, model), error);
}

/* ------------------------------------------------------------------ trials */

static gboolean
insert_trial (EvoJournal *j, const char *node, const EvoTrial *t, GError **error)
{
  if (!finish (j, prepare (j, "INSERT INTO trials VALUES(?,?,?,?,?,?,?,?)", "tiitdtdt", node, t->trial, t->generation,
                           t->failed ? "failed" : "ok", t->failed ? NAN : t->score, t->genes, t->seconds, t->reason), error))
    return FALSE;
  for (guint i = 0; i < t->n_evaluations; i++) {
    const EvoEvaluation *e = &t->evaluations[i];

    if (!finish (j, prepare (j, "INSERT INTO items VALUES(?,?,?,?,?)", "titdb", node, t->trial, e->evaluator, e->score, e->values,
                             e->n * sizeof (double)), error))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_journal_add_trial (EvoJournal *j, const char *node, const EvoTrial *t, const EvoAnswers *answers, GError **error)
{
  return execute (j, "BEGIN", error) && end (j, insert_trial (j, node, t, error) && insert_answers (j, node, answers, error), error);
}

static gboolean
get_evaluations (EvoJournal *j, const char *node, EvoTrial *t, GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT evaluator, score, scores FROM items WHERE node=? AND trial=? ORDER BY evaluator", "ti", node, t->trial);
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (EvoEvaluation));
  gboolean good = TRUE;
  int rc;

  while (good && (rc = fetch (j, s, error)) == 1) {
    EvoEvaluation e = { .evaluator = column_text (s, 0), .score = column_number (s, 1) };

    good = column_values (j, s, 2, &e, error);
    g_array_append_val (all, e);
  }
  sqlite3_finalize (s);
  t->n_evaluations = all->len;
  t->evaluations = (EvoEvaluation *) g_array_free (g_steal_pointer (&all), FALSE);
  return good && rc == 0;
}

int
evo_journal_get_trial (EvoJournal *j, const char *node, gint64 trial, EvoTrial *t, GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT generation, status, score, genes, seconds, reason FROM trials WHERE node=? AND trial=?", "ti", node,
                             trial);
  EvoTrial found = { .trial = trial };
  g_autofree char *status = NULL;
  int rc = fetch (j, s, error);

  if (rc == 1) {
    found.generation = sqlite3_column_int64 (s, 0);
    status = column_text (s, 1);
    found.failed = g_strcmp0 (status, "ok") != 0;
    found.score = column_number (s, 2);
    found.genes = column_text (s, 3);
    found.seconds = column_number (s, 4);
    found.reason = column_text (s, 5);
  }
  sqlite3_finalize (s);
  if (rc == 1 && found.failed && g_strcmp0 (status, "failed") != 0) {
    evo_set_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL, "%s: trial %" G_GINT64_FORMAT " of %s is \"%s\", neither ok nor failed; start a new "
                   "run", j->path, trial, node, status == NULL ? "" : status);
    evo_trial_clear (&found);
    return -1;
  }
  if (rc == 1 && !get_evaluations (j, node, &found, error)) {
    evo_trial_clear (&found);
    return -1;
  }
  if (rc == 1)
    *t = found;
  return rc;
}

gint64
evo_journal_count_trials (EvoJournal *j, const char *node)
{
  sqlite3_stmt *s = prepare (j, "SELECT count(*) FROM trials WHERE node=?", "t", node);
  gint64 n = s != NULL && sqlite3_step (s) == SQLITE_ROW ? sqlite3_column_int64 (s, 0) : 0;

  sqlite3_finalize (s);
  return n;
}

/* ------------------------------------------------------------------ validations, stages, exams */

gboolean
evo_journal_add_validation (EvoJournal *j, const char *node, gint64 generation, gint64 trial, const EvoEvaluation *e, GError **error)
{
  return finish (j, prepare (j, "INSERT INTO validations VALUES(?,?,?,?,?)", "tiidb", node, generation, trial, e->score, e->values,
                             e->n * sizeof (double)), error);
}

int
evo_journal_get_validation (EvoJournal *j, const char *node, gint64 generation, gint64 *trial, EvoEvaluation *e, GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT trial, score, scores FROM validations WHERE node=? AND generation=?", "ti", node, generation);
  int rc = fetch (j, s, error);

  if (rc == 1) {
    *trial = sqlite3_column_int64 (s, 0);
    e->score = column_number (s, 1);
    if (!column_values (j, s, 2, e, error))
      rc = -1;
  }
  sqlite3_finalize (s);
  return rc;
}

gboolean
evo_journal_add_stage (EvoJournal *j, const char *node, gint64 best, double score, const char *path, GError **error)
{
  return execute (j, "BEGIN", error) &&
         end (j, finish (j, prepare (j, "INSERT OR REPLACE INTO stages VALUES(?,?,?,?)", "tidt", node, best, score, path), error) &&
                   finish (j, prepare (j, "DELETE FROM exports WHERE node=?", "t", node), error), error);
}

int
evo_journal_get_stage (EvoJournal *j, const char *node, gint64 *best, double *score, char **path, GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT best_trial, score, path FROM stages WHERE node=?", "t", node);
  int rc = fetch (j, s, error);

  if (rc == 1) {
    *best = sqlite3_column_int64 (s, 0);
    *score = column_number (s, 1);
    *path = column_text (s, 2);
  }
  sqlite3_finalize (s);
  return rc;
}

gboolean
evo_journal_add_export (EvoJournal *j, const char *node, gint64 trial, gint64 prompts, gint64 same, double largest, double rms,
                        GError **error)
{
  return finish (j, prepare (j, "INSERT OR REPLACE INTO exports VALUES(?,?,?,?,?,?)", "tiiidd", node, trial, prompts, same, largest, rms), error);
}

int
evo_journal_get_export (EvoJournal *j, const char *node, gint64 trial, gint64 *prompts, gint64 *same, double *largest, double *rms,
                        GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT prompts, same, largest, rms FROM exports WHERE node=? AND trial=?", "ti", node, trial);
  int rc = fetch (j, s, error);

  if (rc == 1) {
    *prompts = sqlite3_column_int64 (s, 0);
    *same = sqlite3_column_int64 (s, 1);
    *largest = column_number (s, 2);
    *rms = column_number (s, 3);
  }
  sqlite3_finalize (s);
  return rc;
}

gboolean
evo_journal_add_exam (EvoJournal *j, const char *node, const char *identity, const EvoEvaluation *e, const EvoAnswers *answers, GError **error)
{
  return execute (j, "BEGIN", error) &&
         end (j, finish (j, prepare (j, "INSERT OR REPLACE INTO exams VALUES(?,?,?,?,?)", "tttdb", node, answers->model, identity, e->score,
                                     e->values, e->n * sizeof (double)), error) &&
                   insert_answers (j, node, answers, error), error);
}

int
evo_journal_get_exam (EvoJournal *j, const char *node, const char *model, const char *identity, EvoEvaluation *e, GError **error)
{
  sqlite3_stmt *s = prepare (j, "SELECT score, scores FROM exams WHERE node=? AND model=? AND identity=?", "ttt", node, model, identity);
  int rc = fetch (j, s, error);

  if (rc == 1) {
    e->score = column_number (s, 0);
    if (!column_values (j, s, 1, e, error))
      rc = -1;
  }
  sqlite3_finalize (s);
  return rc;
}

static gboolean
forget_search (EvoJournal *j, const char *node, GError **error)
{
  static const char *const deletions[] = { "DELETE FROM trials WHERE node=?", "DELETE FROM items WHERE node=?",
                                           "DELETE FROM validations WHERE node=?", "DELETE FROM stages WHERE node=?",
                                           "DELETE FROM exports WHERE node=?", "DELETE FROM answers WHERE node=?" };

  for (guint i = 0; i < G_N_ELEMENTS (deletions); i++)
    if (!finish (j, prepare (j, deletions[i], "t", node), error))
      return FALSE;
  return TRUE;
}

gboolean
evo_journal_forget (EvoJournal *j, const char *node, const char *const *searches, GError **error)
{
  gboolean good = execute (j, "BEGIN", error);

  if (!good)
    return FALSE;
  for (guint i = 0; good && searches[i] != NULL; i++)
    good = forget_search (j, searches[i], error);
  return end (j, good && finish (j, prepare (j, "DELETE FROM stages WHERE node=?", "t", node), error), error);
}
