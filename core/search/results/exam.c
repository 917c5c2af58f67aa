/* SPDX-License-Identifier: Apache-2.0
 * exam.c - the evaluators that no search consumes: every model in their `in`, scored once, compared item by item.
 */
#include <math.h>
#include <string.h>

#include "core/base/cancel.h"
#include "core/base/error.h"
#include "core/search/resident.h"
#include "core/search/run.h"
#include "core/search/scorer.h"
#include "core/search/results/statistics.h"

/* Scores one model in this process: finished searches and sources from their mapped files, gene-free merges computed. */
static gboolean
score_model (EvoRun *run, EvoScorer *scorer, const EvoNode *exam, const EvoNode *model, const char *identity, EvoEvaluation *out,
             GError **error)
{
  gsize n = evo_scorer_get_n_items (scorer), n_values = evo_scorer_get_n_values (scorer);
  g_autoptr (EvoResident) resident = evo_resident_new (run->models, model, run->k, run->pool, error);
  g_autoptr (GPtrArray) answers = g_ptr_array_new_with_free_func (g_free);
  g_autofree double *values = g_new0 (double, MAX (n, 1) * n_values);
  EvoMergeContext context;
  gboolean good;

  if (resident == NULL)
    return FALSE;
  evo_merge_context_init (&context, run->models, run->k, run->pool, run->x, -1, NULL);
  good = evo_resident_fill (resident, &context, model, NULL, error);
  evo_merge_context_clear (&context);
  g_ptr_array_set_size (answers, (gint) n);
  if (!good || !evo_scorer_run (scorer, evo_resident_get_text (resident), NULL, n, values, (char **) answers->pdata, error))
    return FALSE;
  out->score = evo_scorer_reduce (scorer, values, n);
  out->n = n * n_values;
  out->values = g_steal_pointer (&values);
  EvoAnswers kept = { model->name, (const char *const *) answers->pdata, NULL, out->values, n_values, n };
  return evo_journal_add_exam (run->journal, exam->name, identity, out, &kept, error);
}

static gboolean
exam_row (EvoRun *run, EvoScorer *scorer, const EvoNode *exam, const EvoNode *model, const char *identity, EvoExamRow *row, GError **error)
{
  gsize n_values = evo_scorer_get_n_values (scorer);
  EvoEvaluation e = { 0 };
  EvoInterval interval;
  int rc = evo_journal_get_exam (run->journal, exam->name, model->name, identity, &e, error);

  if (rc == 1 && e.n != evo_scorer_get_n_items (scorer) * n_values) {
    evo_evaluation_clear (&e);
    rc = 0;
  }
  if (rc < 0 || !evo_cancel_check (error))
    return FALSE;
  evo_progress_live (run->progress, "%s: %s", exam->name, model->name);
  if (rc == 0 && !score_model (run, scorer, exam, model, identity, &e, error))
    return FALSE;
  *row = (EvoExamRow){ .model = model, .score = e.score, .n = e.n / n_values, .values = e.values, .n_values = n_values };
  if (evo_scorer_is_binary (scorer)) {
    gsize right = 0;

    for (gsize i = 0; i < row->n; i++)
      right += row->values[i * n_values] != 0;
    interval = evo_wilson (right, row->n);
  } else {
    interval = evo_bootstrap (evo_scorer_reduce, scorer, row->values, n_values, row->n, exam->stream);
  }
  row->low = interval.low;
  row->high = interval.high;
  return TRUE;
}

/* ------------------------------------------------------------------ differences */

static gboolean
is_smaller_better (const EvoNode *exam)
{
  return (((const EvoEvaluatorOp *) exam->plugin->op)->flags & EVO_EVALUATOR_SMALLER_IS_BETTER) != 0;
}

static const EvoExamRow *
row_of (const EvoExam *e, const EvoNode *model)
{
  for (guint i = 0; i < e->n_rows; i++)
    if (e->rows[i].model == model)
      return &e->rows[i];
  return NULL;
}

/* What everything is compared with: `against`, else the best-scoring source. */
static const EvoExamRow *
find_against (const EvoExam *e)
{
  const EvoExamRow *best = NULL;
  double sign = is_smaller_better (e->node) ? -1 : 1;

  if (e->node->eval.against != NULL)
    return row_of (e, e->node->eval.against);
  for (guint i = 0; i < e->n_rows; i++)
    if (e->rows[i].model->kind == EVO_KIND_MODEL && (best == NULL || sign * e->rows[i].score > sign * best->score))
      best = &e->rows[i];
  return best;
}

static void
add_difference (GArray *out, EvoScorer *scorer, const EvoNode *exam, const EvoExamRow *a, const EvoExamRow *b, gboolean is_main)
{
  EvoDifference d = { .model = a->model, .against = b->model, .is_main = is_main };
  EvoInterval i = evo_paired_bootstrap (evo_scorer_reduce, scorer, a->values, b->values, a->n_values, a->n, exam->stream);

  d.diff = i.value;
  d.low = i.low;
  d.high = i.high;
  d.p = evo_scorer_is_binary (scorer) ? evo_mcnemar (a->values, b->values, a->n)
                                      : evo_paired_p (evo_scorer_reduce, scorer, a->values, b->values, a->n_values, a->n, exam->stream);
  g_array_append_val (out, d);
}

/* Every model against the reference; search results also against every merge that was not searched. */
static void
compare (EvoExam *e, EvoScorer *scorer)
{
  GArray *out = g_array_new (FALSE, FALSE, sizeof (EvoDifference));
  const EvoExamRow *against = find_against (e);

  for (guint i = 0; i < e->n_rows; i++) {
    const EvoExamRow *row = &e->rows[i];

    if (against != NULL && row != against)
      add_difference (out, scorer, e->node, row, against, TRUE);
    for (guint j = 0; row->model->kind == EVO_KIND_OPTIMIZER && j < e->n_rows; j++)
      if (e->rows[j].model->kind == EVO_KIND_MERGE && &e->rows[j] != against)
        add_difference (out, scorer, e->node, row, &e->rows[j], FALSE);
  }
  e->n_differences = out->len;
  e->differences = (EvoDifference *) g_array_free (out, FALSE);
}

static char *
extra_text (EvoScorer *scorer, const EvoExamRow *row)
{
  const char *const *names;
  double values[8];
  guint n = evo_scorer_extra (scorer, row->values, row->n, &names, values, G_N_ELEMENTS (values));
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "%s%s %.4g", i == 0 ? "" : ", ", names[i], values[i]);
  return g_string_free (text, FALSE);
}

gboolean
evo_run_exam (EvoRun *run, const EvoNode *exam, EvoExam *out, GError **error)
{
  g_autoptr (EvoScorer) scorer = evo_scorer_new (exam, run->options.smoke, error);
  g_autofree char *identity = scorer == NULL ? NULL : evo_run_exam_identity (run, exam, error);

  if (identity == NULL)
    return FALSE;
  out->node = exam;
  out->rows = g_new0 (EvoExamRow, MAX (exam->n_in, 1));
  out->extra = g_new0 (char *, exam->n_in + 1);
  for (out->n_rows = 0; out->n_rows < exam->n_in; out->n_rows++) {
    guint i = out->n_rows;

    if (!exam_row (run, scorer, exam, exam->in[i].from, identity, &out->rows[i], error))
      return FALSE;
    out->extra[i] = extra_text (scorer, &out->rows[i]);
  }
  compare (out, scorer);
  return TRUE;
}
