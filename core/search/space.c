/* SPDX-License-Identifier: Apache-2.0
 * space.c - genes as dimensions.
 */
#include "core/search/space.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"

static EvoDim
dimension (const EvoGene *g, guint part)
{
  EvoDim d = { .name = g->labels[part], .kind = EVO_DIM_REAL, .low = g->low, .high = g->high, .start = evo_gene_start (g, part), .sigma = NAN };

  if (g->is_choice)
    return (EvoDim){ .name = g->labels[part], .kind = EVO_DIM_CHOICE, .n_choices = g->n_choices, .low = 0, .high = g->n_choices - 1.0,
                     .start = d.start, .sigma = g->sigma };
  if (g->is_int && !g->is_log)
    d.kind = EVO_DIM_INTEGER;
  if (g->is_log) {
    d.low = log (g->low);
    d.high = log (g->high);
    d.start = log (d.start);
  }
  if (!isnan (g->sigma))
    d.sigma = g->sigma * (isfinite (d.high - d.low) ? d.high - d.low : 1);
  return d;
}

void
evo_space_init (EvoSpace *s, const EvoNode *search)
{
  guint n = 0;

  *s = (EvoSpace){ .genes = search->search.genes, .n_genes = search->search.n_genes };
  for (guint i = 0; i < s->n_genes; i++)
    n += s->genes[i]->n;
  s->dims = g_new0 (EvoDim, MAX (n, 1));
  s->gene = g_new0 (guint, MAX (n, 1));
  s->part = g_new0 (guint, MAX (n, 1));
  for (guint i = 0; i < s->n_genes; i++)
    for (guint k = 0; k < s->genes[i]->n; k++) {
      s->dims[s->n] = dimension (s->genes[i], k);
      s->gene[s->n] = i;
      s->part[s->n++] = k;
    }
}

void
evo_space_clear (EvoSpace *s)
{
  g_clear_pointer (&s->dims, g_free);
  g_clear_pointer (&s->gene, g_free);
  g_clear_pointer (&s->part, g_free);
}

void
evo_space_scatter (const EvoSpace *s, const double *point, double *x)
{
  for (guint i = 0; i < s->n; i++) {
    const EvoGene *g = s->genes[s->gene[i]];
    double v = g->is_log ? exp (point[i]) : point[i];

    if (g->is_choice)
      v = CLAMP (round (v), 0, g->n_choices - 1.0);
    else
      v = CLAMP (g->is_int ? round (v) : v, g->low, g->high);
    x[g->first + s->part[i]] = v;
  }
}

void
evo_space_gather (const EvoSpace *s, const double *x, double *point)
{
  for (guint i = 0; i < s->n; i++) {
    const EvoGene *g = s->genes[s->gene[i]];
    double v = x[g->first + s->part[i]];

    point[i] = g->is_log ? log (v) : v;
  }
}

char *
evo_space_genes_json (const EvoSpace *s, const double *x)
{
  GString *text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < s->n; i++) {
    const EvoGene *g = s->genes[s->gene[i]];
    double v = x[g->first + s->part[i]];

    evo_json_add_key (&w, s->dims[i].name);
    if (!g->is_choice)
      evo_json_add_number (&w, v);
    else if (g->choice_names != NULL)
      evo_json_add_string (&w, g->choice_names[(guint) v]);
    else if (g->param->type == EVO_TYPE_CHOICE)
      evo_json_add_string (&w, g->param->names[(guint) g->choices[(guint) v]]);
    else if (g->param->type == EVO_TYPE_BOOL)
      evo_json_add_bool (&w, g->choices[(guint) v] != 0);
    else
      evo_json_add_number (&w, g->choices[(guint) v]);
  }
  evo_json_end_object (&w);
  return g_string_free (text, FALSE);
}

static gboolean
read_one (const EvoGene *g, const EvoJson *v, double *out, GError **error)
{
  char number[EVO_NUMBER_TEXT], low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];
  double scalar;

  for (guint i = 0; g->choice_names != NULL && evo_json_kind (v) == EVO_JSON_STRING && i < g->n_choices; i++)
    if (g_str_equal (g->choice_names[i], evo_json_string (v))) {
      *out = i;
      return TRUE;
    }
  if (g->choice_names != NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "is none of the gene's choices");
  if (!evo_param_scalar_from_json (g->param, v, &scalar, error))
    return FALSE;
  for (guint i = 0; i < g->n_choices; i++)
    if (g->choices[i] == scalar) {
      *out = i;
      return TRUE;
    }
  if (g->is_choice)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "is none of the gene's choices");
  if (!(scalar >= g->low && scalar <= g->high))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is outside the gene's %s ... %s", evo_number_text (scalar, number),
                        evo_number_text (g->low, low), evo_number_text (g->high, high));
  if (g->is_int && scalar != rint (scalar))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is not a whole number, as the gene's are",
                        evo_number_text (scalar, number));
  *out = scalar;
  return TRUE;
}

/* A dimension's full name, or the name of a gene: then all its dimensions. */
static gboolean
is_named (const EvoSpace *s, guint i, const char *key)
{
  return g_str_equal (s->dims[i].name, key) || g_str_equal (s->genes[s->gene[i]]->name, key);
}

static gboolean
set_named (const EvoSpace *s, const EvoJson *v, double *x, GError **error)
{
  g_autofree const char **names = g_new0 (const char *, s->n + 1);
  gboolean found = FALSE;

  for (guint i = 0; i < s->n; i++) {
    const EvoGene *g = s->genes[s->gene[i]];

    names[i] = s->dims[i].name;
    if (!is_named (s, i, evo_json_key (v)))
      continue;
    found = TRUE;
    if (!read_one (g, v, &x[g->first + s->part[i]], error))
      return FALSE;
  }
  if (found)
    return TRUE;
  g_autofree char *tail = evo_did_you_mean (evo_json_key (v), names);
  return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no gene of this name%s", tail);
}

gboolean
evo_space_from_json (const EvoSpace *s, const EvoJson *object, double *x, GError **error)
{
  for (guint m = 0; m < evo_json_size (object); m++) {
    const EvoJson *v = evo_json_at (object, m);

    if (!g_str_equal (evo_json_key (v), "note") && !set_named (s, v, x, error))
      return FALSE;
  }
  return TRUE;
}
