/* SPDX-License-Identifier: Apache-2.0
 * stage.c - evaluates candidates of one search.
 */
#include "core/search/stage.h"

#include <string.h>

#include "core/base/error.h"

struct EvoStage {
  EvoModels *models;
  const EvoNode *search;
  const EvoKernels *k;
  EvoPool *pool;
  EvoResident *resident;
  EvoMemo *memo;
  EvoPrefixStats told;     /* what take_prefix_stats has told */
  EvoScorer **objectives;  /* [n_objectives] */
  EvoScorer *validate;     /* NULL: none */
};

gboolean
evo_error_is_of_candidate (const GError *error)
{
  return g_error_matches (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM) ||
         g_error_matches (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC) ||
         g_error_matches (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE);
}

EvoStage *
evo_stage_new (EvoModels *models, const EvoNode *search, const EvoKernels *k, EvoPool *pool, gboolean smoke, GError **error)
{
  g_autoptr (EvoStage) s = g_new0 (EvoStage, 1);
  const EvoSearchSpec *spec = &search->search;

  s->models = models;
  s->search = search;
  s->k = k;
  s->pool = pool;
  s->memo = evo_memo_new ();
  s->objectives = g_new0 (EvoScorer *, spec->n_objectives + 1);
  for (guint i = 0; i < spec->n_objectives; i++)
    if ((s->objectives[i] = evo_scorer_new (spec->objectives[i].evaluator, smoke, error)) == NULL)
      return NULL;
  if (spec->validate != NULL && (s->validate = evo_scorer_new (spec->validate, smoke, error)) == NULL)
    return NULL;
  s->resident = evo_resident_new (models, spec->target, k, pool, error);
  return s->resident == NULL ? NULL : g_steal_pointer (&s);
}

void
evo_stage_free (EvoStage *s)
{
  if (s == NULL)
    return;
  for (guint i = 0; s->objectives != NULL && i < s->search->search.n_objectives; i++)
    evo_scorer_free (s->objectives[i]);
  g_free (s->objectives);
  evo_scorer_free (s->validate);
  evo_resident_free (s->resident);
  evo_memo_free (s->memo);
  g_free (s);
}

static gboolean
score_one (EvoStage *s, EvoScorer *scorer, const char *name, const EvoCandidate *c, EvoEvaluation *out, GPtrArray *answers, GError **error)
{
  const gint64 *items = evo_scorer_is_cost (scorer) ? NULL : c->items; /* what a model costs is not drawn */
  gsize n = items == NULL ? evo_scorer_get_n_items (scorer) : c->n_items;
  g_autofree double *values = g_new0 (double, MAX (n, 1) * evo_scorer_get_n_values (scorer));

  if (answers != NULL)
    g_ptr_array_set_size (answers, (gint) n);
  if (!evo_scorer_run (scorer, evo_resident_get_text (s->resident), items, n, values, answers == NULL ? NULL : (char **) answers->pdata,
                       error))
    return FALSE;
  out->evaluator = g_strdup (name);
  out->score = evo_scorer_reduce (scorer, values, n);
  out->n = n * evo_scorer_get_n_values (scorer);
  out->values = g_steal_pointer (&values);
  if (isfinite (out->score))
    return TRUE;
  return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "%s: the score is not a finite number", name);
}

static gboolean
fill_candidate (EvoStage *s, const EvoCandidate *c, GError **error)
{
  const EvoSearchSpec *spec = &s->search->search;
  guint n = evo_models_get_n_genes (s->models);
  g_autofree double *x = g_memdup2 (c->x, MAX (n, 1) * sizeof *x);
  EvoMergeContext context;
  gboolean done;

  if (!evo_genes_apply_simplex (spec->genes, spec->n_genes, x, error))
    return FALSE;
  evo_merge_context_init (&context, s->models, s->k, s->pool, x, c->trial, s->memo);
  done = evo_resident_fill (s->resident, &context, spec->target, &s->search->save_dtype, error);
  evo_merge_context_clear (&context);
  return done;
}

gboolean
evo_stage_evaluate (EvoStage *s, const EvoCandidate *c, EvoEvaluation **evaluations, guint *n, GPtrArray **answers, GError **error)
{
  const EvoSearchSpec *spec = &s->search->search;
  guint count = c->validate ? 1 : spec->n_objectives;
  EvoEvaluation *all = g_new0 (EvoEvaluation, count);
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  gboolean good = fill_candidate (s, c, error);

  for (guint i = 0; good && i < count; i++) {
    EvoScorer *scorer = c->validate ? s->validate : s->objectives[i];
    const char *name = c->validate ? spec->validate->name : spec->objectives[i].evaluator->name;

    good = score_one (s, scorer, name, c, &all[i], i == 0 ? texts : NULL, error);
  }
  if (!good) {
    for (guint i = 0; i < count; i++)
      evo_evaluation_clear (&all[i]);
    g_free (all);
    return FALSE;
  }
  *evaluations = all;
  *n = count;
  *answers = g_steal_pointer (&texts);
  return TRUE;
}

void
evo_stage_take_prefix_stats (EvoStage *s, guint64 *hops_run, guint64 *hops_skipped)
{
  EvoPrefixStats now;

  evo_text_model_get_prefix_stats (evo_resident_get_text (s->resident), &now);
  *hops_run = now.hops_run - s->told.hops_run;
  *hops_skipped = now.hops_skipped - s->told.hops_skipped;
  s->told = now;
}
