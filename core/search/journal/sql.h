/* SPDX-License-Identifier: Apache-2.0
 * sql.h - the journal's statements, for the files that know its tables; SQLite itself is known to journal.c alone.
 */
#ifndef EVO_SEARCH_JOURNAL_SQL_H
#define EVO_SEARCH_JOURNAL_SQL_H

#include "core/search/journal.h"

typedef struct sqlite3_stmt EvoStatement;

/* Errors of all: EVO_RUN_ERROR_JOURNAL (damaged), EVO_STORE_ERROR_WRITE (disk full). */
gboolean evo_sql_execute (EvoJournal *j, const char *sql, GError **error); /* "BEGIN" and the like, without parameters */
/* After BEGIN: COMMIT where all went well, else as if nothing had been; FALSE then. */
gboolean evo_sql_end (EvoJournal *j, gboolean good, GError **error);

/* types: of what stands for the question marks: t text (NULL: null), i gint64, d double (NaN: null), b bytes (a pointer and a gsize). */
gboolean evo_sql_run (EvoJournal *j, GError **error, const char *sql, const char *types, ...); /* a statement without rows */
EvoStatement *evo_sql_query (EvoJournal *j, const char *sql, const char *types, ...); /* NULL: it cannot be made; fetch then says why */
int evo_sql_fetch (EvoJournal *j, EvoStatement *s, GError **error); /* the next row. 1: there it is, 0: none, -1: error */
void evo_sql_free (EvoStatement *s);

/* Column i of the row that was fetched. */
gint64 evo_sql_integer (EvoStatement *s, int i);
double evo_sql_number (EvoStatement *s, int i); /* NaN: null */
char *evo_sql_text (EvoStatement *s, int i);    /* owned; NULL: null */
/* Item scores, as e->values and e->n. EVO_RUN_ERROR_JOURNAL: it is no row of doubles. */
gboolean evo_sql_values (EvoJournal *j, EvoStatement *s, int i, EvoEvaluation *e, GError **error);

const char *evo_sql_path (const EvoJournal *j); /* of the file, for messages */
/* --- trials.c: in place of those that this model gave before; a may be NULL. Part of the caller's transaction. */
gboolean evo_journal_insert_answers (EvoJournal *j, const char *node, const EvoAnswers *a, GError **error);

#endif
