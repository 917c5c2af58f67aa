/* SPDX-License-Identifier: Apache-2.0
 * test-journal.c - the journal: what is written is read back to the bit, events are whole or absent, and what is forgotten is gone.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "core/base/error.h"
#include "core/search/journal.h"

typedef struct { char *folder, *path; EvoJournal *j; } Fixture;

static void
reopen (Fixture *f)
{
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&f->j, evo_journal_close);
  f->j = evo_journal_open (f->path, FALSE, &error);
  g_assert_no_error (error);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("evopipe-journal-XXXXXX", &error);
  g_assert_no_error (error);
  f->path = g_build_filename (f->folder, "journal.db", NULL);
  f->j = evo_journal_open (f->path, TRUE, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (f->folder, 0, NULL);
  const char *name;

  g_clear_pointer (&f->j, evo_journal_close);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = g_build_filename (f->folder, name, NULL);

    g_remove (path);
  }
  g_rmdir (f->folder);
  g_free (f->folder);
  g_free (f->path);
}

/* One number of another connection's view, as sqlite3 and pandas have it. */
static double
ask (Fixture *f, const char *sql)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *s = NULL;
  double x;

  g_assert_cmpint (sqlite3_open_v2 (f->path, &db, SQLITE_OPEN_READONLY, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_prepare_v2 (db, sql, -1, &s, NULL), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_step (s), ==, SQLITE_ROW);
  x = sqlite3_column_type (s, 0) == SQLITE_NULL ? NAN : sqlite3_column_double (s, 0);
  sqlite3_finalize (s);
  sqlite3_close (db);
  return x;
}

static void
execute (Fixture *f, const char *sql)
{
  sqlite3 *db = NULL;

  g_assert_cmpint (sqlite3_open (f->path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

/* ------------------------------------------------------------------ trials */

static double values_a[] = { 0, 1, -0.0, 5e-324, 1.7976931348623157e308, 0.1 }, values_b[] = { HUGE_VAL, -HUGE_VAL };

static EvoTrial
make_trial (gint64 number, EvoEvaluation *evaluations)
{
  evaluations[0] = (EvoEvaluation){ (char *) "solved", 1.0 / 3, values_a, G_N_ELEMENTS (values_a) };
  evaluations[1] = (EvoEvaluation){ (char *) "fluent", -2.5, values_b, G_N_ELEMENTS (values_b) };
  return (EvoTrial){ .trial = number, .generation = number / 4, .score = 0.1 + 0.2, .seconds = 1.25, .hops_run = 7, .hops_skipped = G_GINT64_CONSTANT (1) << 40,
                     .genes = (char *) "{\"a.b\":0.1}",
                     .evaluations = evaluations, .n_evaluations = 2 };
}

static void
add (Fixture *f, const char *node, const EvoTrial *t, const EvoAnswers *answers)
{
  g_autoptr (GError) error = NULL;
  gboolean good = evo_journal_add_trial (f->j, node, t, answers, &error);

  g_assert_no_error (error);
  g_assert_true (good);
}

static const EvoEvaluation *
find (const EvoTrial *t, const char *name)
{
  for (guint i = 0; i < t->n_evaluations; i++)
    if (g_str_equal (t->evaluations[i].evaluator, name))
      return &t->evaluations[i];
  g_assert_not_reached ();
}

static void
check_same (const EvoTrial *got, const EvoTrial *want)
{
  g_assert_cmpint (got->trial, ==, want->trial);
  g_assert_cmpint (got->generation, ==, want->generation);
  g_assert_cmpint (got->failed, ==, want->failed);
  g_assert_true (want->failed ? isnan (got->score) : got->score == want->score);
  g_assert_cmpfloat (got->seconds, ==, want->seconds);
  g_assert_cmpint (got->hops_run, ==, want->hops_run);
  g_assert_cmpint (got->hops_skipped, ==, want->hops_skipped);
  g_assert_cmpstr (got->reason, ==, want->reason);
  g_assert_cmpstr (got->genes, ==, want->genes);
  g_assert_cmpuint (got->n_evaluations, ==, want->n_evaluations);
  for (guint i = 0; i < want->n_evaluations; i++) {
    const EvoEvaluation *w = &want->evaluations[i], *e = find (got, w->evaluator);

    g_assert_cmpfloat (e->score, ==, w->score);
    g_assert_cmpmem (e->values, e->n * sizeof (double), w->values, w->n * sizeof (double)); /* bits: -0, infinities, denormals */
  }
}

static void
check_trial (Fixture *f, const char *node, const EvoTrial *want)
{
  g_autoptr (GError) error = NULL;
  EvoTrial got = { 0 };

  g_assert_cmpint (evo_journal_get_trial (f->j, node, want->trial, &got, &error), ==, 1);
  g_assert_no_error (error);
  check_same (&got, want);
  evo_trial_clear (&got);
}

static void
test_trials (Fixture *f, gconstpointer data)
{
  EvoEvaluation evaluations[2];
  EvoTrial good = make_trial (5, evaluations), got = { .trial = -9 };
  EvoTrial bad = { .trial = 6, .generation = 1, .failed = TRUE, .score = 7, .seconds = 0.5, .genes = (char *) "{}",
                   .reason = (char *) "blend: the weights sum to \"zero\"; 'x'" };
  g_autoptr (GError) error = NULL;

  add (f, "ps", &good, NULL);
  add (f, "ps", &bad, NULL);
  add (f, "other", &good, NULL); /* trials are a node's */
  for (guint i = 0; i < 2; i++) {
    check_trial (f, "ps", &good);
    check_trial (f, "ps", &bad);
    check_trial (f, "other", &good);
    g_assert_cmpint (evo_journal_count_trials (f->j, "ps"), ==, 2);
    g_assert_cmpint (evo_journal_count_trials (f->j, "other"), ==, 1);
    g_assert_cmpint (evo_journal_count_trials (f->j, "none"), ==, 0);
    g_assert_cmpint (evo_journal_get_trial (f->j, "ps", 7, &got, &error), ==, 0);
    g_assert_cmpint (evo_journal_get_trial (f->j, "p%", 5, &got, &error), ==, 0);
    g_assert_no_error (error);
    g_assert_cmpint (got.trial, ==, -9); /* untouched */
    reopen (f);
  }
  g_assert_true (isnan (ask (f, "SELECT score FROM trials WHERE node='ps' AND trial=6"))); /* a failure has no score, whatever stood there */
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM items WHERE node='ps'"), ==, 2);
  g_assert_cmpfloat (ask (f, "SELECT length(scores) FROM items WHERE node='ps' AND evaluator='solved'"), ==, 48);
}

/* A number that is taken already: nothing of the event is written, and the journal goes on. */
static void
test_transaction (Fixture *f, gconstpointer data)
{
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (3, evaluations), again = t, next = t;
  const char *texts[] = { "one", "two" };
  double scores[] = { 1, 0 };
  EvoAnswers answers = { "trial 3", texts, NULL, scores, 1, 2 }, other = { "trial 9", texts, NULL, scores, 1, 2 };
  g_autoptr (GError) error = NULL;

  add (f, "ps", &t, &answers);
  again.score = 99;
  g_assert_false (evo_journal_add_trial (f->j, "ps", &again, &other, &error));
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
  g_assert_true (g_str_has_suffix (error->message, "journal.db: the journal is damaged (UNIQUE constraint failed: trials.node, trials.trial); "
                                                   "start a new run"));
  check_trial (f, "ps", &t);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers WHERE model='trial 9'"), ==, 0);
  next.trial = 4;
  evaluations[1].evaluator = evaluations[0].evaluator; /* the second row of items cannot be written: nor is the first, nor the trial */
  g_clear_error (&error);
  g_assert_false (evo_journal_add_trial (f->j, "ps", &next, &other, &error));
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM trials"), ==, 1);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM items"), ==, 2);
  evaluations[1].evaluator = (char *) "fluent";
  add (f, "ps", &next, &other);
  check_trial (f, "ps", &next);
}

/* What is committed is in the file though the process never closes it: a copy taken now has it. */
static void
test_durable (Fixture *f, gconstpointer data)
{
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (0, evaluations);

  add (f, "ps", &t, NULL);
  for (guint i = 0; i < 2; i++) {
    g_autofree char *from = g_strconcat (f->path, i == 0 ? "" : "-wal", NULL), *to = g_strconcat (f->folder, i == 0 ? "/copy.db" : "/copy.db-wal", NULL);
    g_autofree char *bytes = NULL;
    gsize n;

    g_assert_true (g_file_get_contents (from, &bytes, &n, NULL));
    g_assert_true (g_file_set_contents (to, bytes, (gssize) n, NULL));
  }
  g_free (f->path);
  f->path = g_build_filename (f->folder, "copy.db", NULL);
  reopen (f);
  check_trial (f, "ps", &t);
}

/* ------------------------------------------------------------------ answers */

static void
test_answers (Fixture *f, gconstpointer data)
{
  const char *texts[] = { "六", NULL, "it's \"7\"\n" };
  double scores[] = { 1, 10, NAN, 20, 0.5, 30 }; /* two values an item, the first is its score */
  gint64 items[] = { 40, 2, 17 };
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (1, evaluations), u = make_trial (2, evaluations);
  EvoAnswers first = { "trial 1", texts, items, scores, 2, 3 }, second = { "trial 2", texts, NULL, scores, 2, 3 };
  g_autoptr (GError) error = NULL;

  add (f, "ps", &t, &first);
  add (f, "ps", &u, &second);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers"), ==, 4); /* what has no text is left out */
  g_assert_cmpfloat (ask (f, "SELECT score FROM answers WHERE model='trial 1' AND item=17 AND answer='it''s \"7\"' || char(10)"), ==, 0.5);
  g_assert_cmpfloat (ask (f, "SELECT score FROM answers WHERE model='trial 1' AND item=40 AND answer='六'"), ==, 1);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers WHERE model='trial 2' AND item IN (0, 2)"), ==, 2);
  execute (f, "INSERT INTO answers VALUES('exam', 'ps', 0, 'x', 1)");
  g_assert_true (evo_journal_keep_answers (f->j, "ps", "trial 2", &error));
  g_assert_no_error (error);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers WHERE model='trial 2'"), ==, 2);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers"), ==, 3); /* another node's are its own */
}

/* ------------------------------------------------------------------ validations, stages */

static void
test_validations (Fixture *f, gconstpointer data)
{
  EvoEvaluation e = { (char *) "check", 0.75, values_a, G_N_ELEMENTS (values_a) }, got = { 0 };
  g_autoptr (GError) error = NULL;
  gint64 trial = -1;

  g_assert_true (evo_journal_add_validation (f->j, "ps", 4, 17, &e, &error));
  reopen (f);
  g_assert_cmpint (evo_journal_get_validation (f->j, "ps", 3, &trial, &got, &error), ==, 0);
  g_assert_cmpint (evo_journal_get_validation (f->j, "other", 4, &trial, &got, &error), ==, 0);
  g_assert_cmpint (trial, ==, -1);
  g_assert_cmpint (evo_journal_get_validation (f->j, "ps", 4, &trial, &got, &error), ==, 1);
  g_assert_cmpint (trial, ==, 17);
  g_assert_cmpfloat (got.score, ==, 0.75);
  g_assert_cmpmem (got.values, got.n * sizeof (double), values_a, sizeof values_a);
  evo_evaluation_clear (&got);
  g_assert_false (evo_journal_add_validation (f->j, "ps", 4, 18, &e, &error));
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
}

static void
check_stage (Fixture *f, const char *node, gint64 best, double score, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *got_path = NULL;
  gint64 got = -1;
  double got_score = -1;

  g_assert_cmpint (evo_journal_get_stage (f->j, node, &got, &got_score, &got_path, &error), ==, best >= 0);
  g_assert_no_error (error);
  g_assert_cmpint (got, ==, best);
  g_assert_cmpfloat (got_score, ==, score);
  g_assert_cmpstr (got_path, ==, path);
}

static void
test_stages (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  check_stage (f, "ps", -1, -1, NULL);
  g_assert_true (evo_journal_add_stage (f->j, "ps", 3, 0.5, "/a/b", &error));
  check_stage (f, "ps", 3, 0.5, "/a/b");
  g_assert_true (evo_journal_add_stage (f->j, "ps", 9, 0.1, "/c", &error)); /* a search that went on: its new best replaces the old */
  reopen (f);
  check_stage (f, "ps", 9, 0.1, "/c");
}

static void
test_forget (Fixture *f, gconstpointer data)
{
  static const char *const later[] = { "second", "third", NULL }, *const none[] = { NULL };
  const char *texts[] = { "x" };
  double scores[] = { 1 };
  EvoAnswers answers = { "trial 0", texts, NULL, scores, 1, 1 };
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (0, evaluations);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 4; i++) {
    static const char *const nodes[] = { "first", "second", "third", "else" };

    add (f, nodes[i], &t, &answers);
    g_assert_true (evo_journal_add_stage (f->j, nodes[i], 0, 0.5, "/p", &error));
    g_assert_true (evo_journal_add_validation (f->j, nodes[i], 0, 0, &evaluations[0], &error));
  }
  g_assert_true (evo_journal_forget (f->j, "first", none, &error));
  check_stage (f, "first", -1, -1, NULL);
  check_trial (f, "first", &t); /* only that it was saved is forgotten */
  g_assert_true (evo_journal_add_stage (f->j, "first", 0, 0.5, "/p", &error));
  g_assert_true (evo_journal_forget (f->j, "first", later, &error));
  reopen (f);
  check_trial (f, "first", &t);
  check_stage (f, "first", -1, -1, NULL);
  check_trial (f, "else", &t);
  check_stage (f, "else", 0, 0.5, "/p");
  for (guint i = 0; i < 5; i++) {
    static const char *const tables[] = { "trials", "items", "validations", "stages", "answers" };
    g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s WHERE node IN ('second', 'third')", tables[i]);

    g_assert_cmpfloat (ask (f, sql), ==, 0);
  }
}

/* ------------------------------------------------------------------ exports */

/* What was measured of a saved path is of one trial's model in one place: another trial, or a model saved again, is measured anew. */
static void
test_exports (Fixture *f, gconstpointer data)
{
  const char *none[] = { NULL };
  g_autoptr (GError) error = NULL;
  gint64 prompts = 0, same = 0;
  double largest = 0, rms = 0;

  g_assert_true (evo_journal_add_stage (f->j, "dfs", 7, 0.5, "somewhere", &error));
  g_assert_cmpint (evo_journal_get_export (f->j, "dfs", 7, &prompts, &same, &largest, &rms, &error), ==, 0);
  g_assert_true (evo_journal_add_export (f->j, "dfs", 7, 32, 31, INFINITY, 0.125, &error));
  g_assert_cmpint (evo_journal_get_export (f->j, "dfs", 8, &prompts, &same, &largest, &rms, &error), ==, 0);
  g_assert_cmpint (evo_journal_get_export (f->j, "dfs", 7, &prompts, &same, &largest, &rms, &error), ==, 1);
  g_assert_true (prompts == 32 && same == 31 && isinf (largest) && rms == 0.125);
  g_assert_true (evo_journal_add_stage (f->j, "dfs", 7, 0.5, "elsewhere", &error));
  g_assert_cmpint (evo_journal_get_export (f->j, "dfs", 7, &prompts, &same, &largest, &rms, &error), ==, 0);
  g_assert_true (evo_journal_add_export (f->j, "dfs", 7, 32, 31, 0.5, 0.125, &error));
  g_assert_true (evo_journal_forget (f->j, "ps", (const char *[]){ "dfs", NULL }, &error)); /* a search that read another's model */
  g_assert_cmpint (evo_journal_get_export (f->j, "dfs", 7, &prompts, &same, &largest, &rms, &error), ==, 0);
  g_assert_true (evo_journal_forget (f->j, "ps", none, &error));
  g_assert_no_error (error);
}

/* ------------------------------------------------------------------ exams */

static int
get_exam (Fixture *f, const char *model, const char *identity, double *score)
{
  g_autoptr (GError) error = NULL;
  EvoEvaluation e = { 0 };
  int rc = evo_journal_get_exam (f->j, "exam", model, identity, &e, &error);

  g_assert_no_error (error);
  *score = e.score;
  if (rc == 1)
    g_assert_cmpmem (e.values, e.n * sizeof (double), values_a, sizeof values_a);
  evo_evaluation_clear (&e);
  return rc;
}

static void
test_exams (Fixture *f, gconstpointer data)
{
  EvoEvaluation e = { (char *) "exam", 0.25, values_a, G_N_ELEMENTS (values_a) };
  const char *texts[] = { "a", "b" }, *fewer[] = { "c", NULL };
  double scores[] = { 1, 0 }, score;
  EvoAnswers answers = { "ps", texts, NULL, scores, 1, 2 };
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_journal_add_exam (f->j, "exam", "id 1", &e, &answers, &error));
  g_assert_cmpint (get_exam (f, "ps", "id 1", &score), ==, 1);
  g_assert_cmpfloat (score, ==, 0.25);
  g_assert_cmpint (get_exam (f, "ps", "id 2", &score), ==, 0); /* asked otherwise, or of another winner */
  g_assert_cmpint (get_exam (f, "ja", "id 1", &score), ==, 0);
  e.score = 0.5;
  answers.texts = fewer;
  g_assert_true (evo_journal_add_exam (f->j, "exam", "id 2", &e, &answers, &error));
  g_assert_cmpint (get_exam (f, "ps", "id 1", &score), ==, 0);
  g_assert_cmpint (get_exam (f, "ps", "id 2", &score), ==, 1);
  g_assert_cmpfloat (score, ==, 0.5);
  g_assert_cmpfloat (ask (f, "SELECT count(*) FROM answers WHERE node='exam' AND model='ps'"), ==, 1); /* the old ones went with their scores */
}

/* ------------------------------------------------------------------ meta, opening */

static void
test_meta (Fixture *f, gconstpointer data)
{
  static const char *const pairs[] = { "b", "2", "a", "日本", "c", "", NULL }, *const more[] = { "b", "3", NULL };
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) got = NULL, empty = evo_journal_get_meta (f->j, &error);

  g_assert_cmpuint (g_strv_length (empty), ==, 0);
  g_assert_true (evo_journal_set_meta (f->j, pairs, &error));
  g_assert_true (evo_journal_set_meta (f->j, more, &error));
  reopen (f);
  got = evo_journal_get_meta (f->j, &error);
  g_assert_no_error (error);
  g_assert_true (g_strv_equal ((const char *const *) got, (const char *const[]){ "a", "日本", "b", "3", "c", "", NULL }));
}

static void
check_refused (Fixture *f, const char *message)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *expected = g_strconcat (f->path, ": ", message, NULL);

  g_clear_pointer (&f->j, evo_journal_close);
  g_assert_null (evo_journal_open (f->path, FALSE, &error));
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
  g_assert_cmpstr (error->message, ==, expected);
}

/* More damages, through the program, are in journals.py. */
static void
test_opening (Fixture *f, gconstpointer data)
{
  EvoTrial got = { 0 };
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (0, evaluations);
  g_autoptr (GError) error = NULL;

  add (f, "ps", &t, NULL);
  execute (f, "UPDATE trials SET status='maybe'");
  g_assert_cmpint (evo_journal_get_trial (f->j, "ps", 0, &got, &error), ==, -1);
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
  g_clear_error (&error);
  execute (f, "UPDATE trials SET status='ok'; UPDATE items SET scores=x'0011' WHERE evaluator='fluent'");
  g_assert_cmpint (evo_journal_get_trial (f->j, "ps", 0, &got, &error), ==, -1);
  g_assert_error (error, EVO_RUN_ERROR, EVO_RUN_ERROR_JOURNAL);
  g_assert_null (got.genes);
  execute (f, "UPDATE items SET scores=x'' WHERE evaluator='fluent'; UPDATE trials SET genes=NULL, seconds=NULL, score='much'");
  g_assert_cmpint (evo_journal_get_trial (f->j, "ps", 0, &got, NULL), ==, 1); /* odd, but no reason to crash */
  g_assert_null (got.genes);
  evo_trial_clear (&got);
  execute (f, "PRAGMA user_version=1");
  check_refused (f, "is a journal of format 1, this evopipe writes format 2; resume with the one that made it");
  g_assert_cmpint (g_unlink (f->path), ==, 0);
  check_refused (f, "there is no journal to resume from");
}

/* A new journal replaces what stood there, also what a killed creation left beside it. */
static void
test_new (Fixture *f, gconstpointer data)
{
  g_autofree char *beside = g_strconcat (f->path, ".new", NULL);
  EvoEvaluation evaluations[2];
  EvoTrial t = make_trial (0, evaluations);
  g_autoptr (GError) error = NULL;

  add (f, "ps", &t, NULL);
  g_clear_pointer (&f->j, evo_journal_close);
  g_assert_true (g_file_set_contents (beside, "half a database", -1, NULL));
  f->j = evo_journal_open (f->path, TRUE, &error);
  g_assert_no_error (error);
  g_assert_cmpint (evo_journal_count_trials (f->j, "ps"), ==, 0);
  g_assert_false (g_file_test (beside, G_FILE_TEST_EXISTS));
  add (f, "ps", &t, NULL);
}

#define ADD(name, func) g_test_add ("/journal/" name, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("trials", test_trials);
  ADD ("transaction", test_transaction);
  ADD ("durable", test_durable);
  ADD ("answers", test_answers);
  ADD ("validations", test_validations);
  ADD ("stages", test_stages);
  ADD ("forget", test_forget);
  ADD ("exports", test_exports);
  ADD ("exams", test_exams);
  ADD ("meta", test_meta);
  ADD ("opening", test_opening);
  ADD ("new", test_new);
  return g_test_run ();
}
