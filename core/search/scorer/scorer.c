/* SPDX-License-Identifier: Apache-2.0
 * scorer.c - an evaluator node's data, its operator, and what the host does for it.
 */
#include <math.h>

#include "core/base/error.h"
#include "core/graph/data/template.h"
#include "core/search/scorer/private.h"

/* ------------------------------------------------------------------ what the host does for evaluators */

static double
language (gconstpointer host, EvoText text, const char *code)
{
  const EvoScorer *s = host;

  return s->lid == NULL ? evo_script_probability (text.bytes, text.n, code) : evo_lid_probability (s->lid, text.bytes, text.n, code);
}

static GString *
fill (gconstpointer host, const char *template_text, gint64 row, GError **error)
{
  const EvoScorer *s = host;

  return evo_template_fill (template_text, s->data, row, error);
}

static gboolean
open_lid (EvoScorer *s, GError **error)
{
  g_autofree char *path = NULL;

  if (s->node->eval.language_test != 0)
    return TRUE;
  path = evo_data_file ("models/lid.176.ftz", error);
  s->lid = path == NULL ? NULL : evo_lid_open (path, error);
  return s->lid != NULL;
}

static gboolean
open_data (EvoScorer *s, gboolean smoke, GError **error)
{
  const EvoEvaluatorSpec *e = &s->node->eval;
  EvoDataOptions options = { .format = e->format, .columns = e->columns, .shuffle = e->shuffle, .sample = e->sample, .skip = e->skip,
                             .limit = smoke && (e->limit == 0 || e->limit > 4) ? 4 : e->limit, .seed = s->node->stream };

  s->data = evo_data_open (e->data, &options, error);
  if (s->data == NULL)
    return FALSE;
  if (e->template_file != NULL) {
    s->template_text = evo_template_open (e->template_file, error);
    if (s->template_text == NULL)
      return FALSE;
  }
  evo_data_describe (s->data, &s->rows);
  s->rows.language = language;
  s->rows.fill = fill;
  s->rows.template_text = s->template_text;
  s->rows.host = s;
  return TRUE;
}

gboolean
evo_scorer_is_cost (const EvoScorer *s)
{
  return (s->op->flags & EVO_EVALUATOR_COST) != 0;
}

EvoScorer *
evo_scorer_new (const EvoNode *evaluator, gboolean smoke, GError **error)
{
  g_autoptr (EvoScorer) s = g_new0 (EvoScorer, 1);

  s->node = evaluator;
  s->op = (const EvoEvaluatorOp *) evaluator->plugin->op;
  if (evaluator->eval.data == NULL && !evo_scorer_is_cost (s)) {
    evo_set_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "%s: needs \"data\", the file of its items", evaluator->name);
    return NULL;
  }
  if (!evo_scorer_is_cost (s) && (!open_lid (s, error) || !open_data (s, smoke, error))) {
    g_prefix_error (error, "%s: ", evaluator->name);
    return NULL;
  }
  s->self = s->op->open (evaluator->params, &s->rows, evaluator->stream, error);
  if (s->self == NULL) {
    g_prefix_error (error, "%s: ", evaluator->name);
    return NULL;
  }
  s->n_items = (gsize) s->op->n_items (s->self);
  return g_steal_pointer (&s);
}

void
evo_scorer_free (EvoScorer *s)
{
  if (s == NULL)
    return;
  if (s->self != NULL)
    s->op->close (s->self);
  g_clear_pointer (&s->data, evo_data_free);
  g_clear_pointer (&s->lid, evo_lid_free);
  g_free (s->template_text);
  g_free (s);
}

gsize
evo_scorer_get_n_items (const EvoScorer *s)
{
  return s->n_items;
}

gsize
evo_scorer_get_n_values (const EvoScorer *s)
{
  return MAX (s->op->n_values, 1);
}

gboolean
evo_scorer_is_binary (const EvoScorer *s)
{
  return (s->op->flags & EVO_EVALUATOR_BINARY) != 0;
}

double
evo_scorer_reduce (gconstpointer scorer, const double *values, gsize n)
{
  const EvoScorer *s = scorer;
  gsize step = evo_scorer_get_n_values (s);
  double out = 0;

  if (s->op->reduce != NULL)
    return s->op->reduce (s->self, values, (gint64) n, &out, NULL) ? out : NAN;
  for (gsize i = 0; i < n; i++)
    out += values[i * step];
  return n == 0 ? NAN : out / (double) n;
}

guint
evo_scorer_extra (const EvoScorer *s, const double *values, gsize n, const char *const **names, double *out, guint max)
{
  guint count = s->op->extra_names == NULL || s->op->reduce_extra == NULL ? 0 : g_strv_length ((char **) s->op->extra_names);

  *names = s->op->extra_names;
  return count > 0 && count <= max && s->op->reduce_extra (s->self, values, (gint64) n, out, NULL) ? count : 0;
}
