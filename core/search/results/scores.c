/* SPDX-License-Identifier: Apache-2.0
 * scores.c - what a run found: scores.json, and the table on the terminal.
 */
#include <math.h>
#include <string.h>

#include "core/base/text.h"
#include "core/graph/path/evolve.h"
#include "core/search/run.h"
#include "core/search/space.h"

/* ------------------------------------------------------------------ scores.json */

static void
add_number (EvoJsonWriter *w, const char *key, double x)
{
  evo_json_add_key (w, key);
  evo_json_add_number (w, x);
}

static void
write_row (EvoJsonWriter *w, const EvoExamRow *row)
{
  evo_json_add_key (w, row->model->name);
  evo_json_begin_object (w);
  add_number (w, "score", row->score);
  add_number (w, "low", row->low);
  add_number (w, "high", row->high);
  add_number (w, "n", (double) row->n);
  evo_json_add_key (w, "items");
  evo_json_begin_array (w);
  for (gsize i = 0; i < row->n; i++)
    evo_json_add_number (w, row->values[i * row->n_values]);
  evo_json_end_array (w);
  evo_json_end_object (w);
}

static void
write_difference (EvoJsonWriter *w, const EvoDifference *d)
{
  evo_json_begin_object (w);
  evo_json_add_key (w, "against");
  evo_json_add_string (w, d->against->name);
  add_number (w, "diff", d->diff);
  add_number (w, "low", d->low);
  add_number (w, "high", d->high);
  add_number (w, "p", d->p);
  evo_json_end_object (w);
}

static void
write_exam (EvoJsonWriter *w, const EvoExam *e)
{
  evo_json_add_key (w, e->node->name);
  evo_json_begin_object (w);
  evo_json_add_key (w, "models");
  evo_json_begin_object (w);
  for (guint i = 0; i < e->n_rows; i++)
    write_row (w, &e->rows[i]);
  evo_json_end_object (w);
  evo_json_add_key (w, "paired");
  evo_json_begin_object (w);
  for (guint i = 0; i < e->n_differences; i++)
    if (e->differences[i].is_main) {
      evo_json_add_key (w, e->differences[i].model->name);
      write_difference (w, &e->differences[i]);
    }
  evo_json_end_object (w);
  evo_json_add_key (w, "unsearched");
  evo_json_begin_array (w);
  for (guint i = 0; i < e->n_differences; i++)
    if (!e->differences[i].is_main) {
      evo_json_begin_object (w);
      evo_json_add_key (w, "model");
      evo_json_add_string (w, e->differences[i].model->name);
      evo_json_add_key (w, "paired");
      write_difference (w, &e->differences[i]);
      evo_json_end_object (w);
    }
  evo_json_end_array (w);
  evo_json_end_object (w);
}

/* "path": [{"from": "ja", "layer": 0, "scale": 1}, ...] */
static void
write_path (EvoJsonWriter *w, const EvoModels *models, const EvoBest *b)
{
  const EvoNode *node = evo_node_model (b->node);
  g_autoptr (GArray) hops = g_array_new (FALSE, FALSE, sizeof (EvoPathHop));
  g_autofree gint32 *n_layers = NULL;

  if (node->path_genes == NULL)
    return;
  n_layers = evo_path_dup_n_layers (node, evo_models_get_n_layers (models));
  g_return_if_fail (evo_path_genes_decode (node, n_layers, b->x, hops, NULL));
  evo_json_add_key (w, "path");
  evo_json_begin_array (w);
  for (guint i = 0; i < hops->len; i++) {
    const EvoPathHop *h = &g_array_index (hops, EvoPathHop, i);

    evo_json_begin_object (w);
    evo_json_add_key (w, "from");
    evo_json_add_string (w, node->in[h->input].from->name);
    add_number (w, "layer", h->layer);
    add_number (w, "scale", h->scale);
    evo_json_end_object (w);
  }
  evo_json_end_array (w);
}

static void
write_best (EvoJsonWriter *w, const EvoModels *models, const EvoBest *b)
{
  EvoSpace space;
  g_autofree char *genes = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;

  evo_space_init (&space, b->node);
  genes = evo_space_genes_json (&space, b->x);
  evo_space_clear (&space);
  doc = evo_json_parse (genes, -1, "genes", 0, 0, NULL);
  evo_json_add_key (w, b->node->name);
  evo_json_begin_object (w);
  add_number (w, "trials", (double) b->n_trials);
  evo_json_add_key (w, "best");
  evo_json_begin_object (w);
  add_number (w, "trial", (double) b->trial);
  add_number (w, "score", b->score);
  evo_json_add_key (w, "genes");
  evo_json_add_value (w, evo_json_root (doc));
  write_path (w, models, b);
  evo_json_end_object (w);
  evo_export_error_write (&b->saved, w);
  evo_json_end_object (w);
}

char *
evo_run_scores_json (const EvoRun *run)
{
  GString *text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "exam");
  evo_json_begin_object (&w);
  for (guint i = 0; i < run->exams->len; i++)
    write_exam (&w, &g_array_index (run->exams, EvoExam, i));
  evo_json_end_object (&w);
  evo_json_add_key (&w, "searches");
  evo_json_begin_object (&w);
  for (guint i = 0; i < run->bests->len; i++)
    write_best (&w, run->models, &g_array_index (run->bests, EvoBest, i));
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  g_string_append_c (text, '\n');
  return g_string_free (text, FALSE);
}

/* ------------------------------------------------------------------ the table */

static const char *
kind_text (const EvoNode *node)
{
  if (node->kind == EVO_KIND_MODEL)
    return "source";
  return node->kind == EVO_KIND_OPTIMIZER ? "evolved" : "not searched";
}

/* Scores between 0 and 1 of 0/1 items read as percentages. */
static gboolean
is_share (const EvoExam *e)
{
  return (((const EvoEvaluatorOp *) e->node->plugin->op)->flags & EVO_EVALUATOR_BINARY) != 0;
}

static void
table_rows (GString *t, const EvoExam *e)
{
  double unit = is_share (e) ? 100 : 1;
  const char *percent = is_share (e) ? " %" : "";

  for (guint i = 0; i < e->n_rows; i++) {
    const EvoExamRow *r = &e->rows[i];

    g_string_append_printf (t, "  %-18s %-13s %7.*f%s   (%.*f … %.*f)%s%s\n", r->model->name, kind_text (r->model), unit == 100 ? 1 : 3,
                            r->score * unit, percent, unit == 100 ? 1 : 3, r->low * unit, unit == 100 ? 1 : 3, r->high * unit,
                            *e->extra[i] == '\0' ? "" : "   ", e->extra[i]);
  }
}

static void
table_differences (GString *t, const EvoExam *e)
{
  double unit = is_share (e) ? 100 : 1;
  int digits = is_share (e) ? 1 : 3;

  for (guint i = 0; i < e->n_differences; i++) {
    const EvoDifference *d = &e->differences[i];
    g_autofree char *pair = g_strdup_printf ("%s − %s", d->model->name, d->against->name);

    if (d->model->kind != EVO_KIND_OPTIMIZER)
      continue;
    g_string_append_printf (t, "  %-34s %+7.*f    (%+.*f … %+.*f)   p = %.2g\n", pair, digits, d->diff * unit, digits, d->low * unit, digits,
                            d->high * unit, d->p);
  }
}

char *
evo_run_table (const EvoRun *run)
{
  GString *t = g_string_new (NULL);

  for (guint i = 0; i < run->exams->len; i++) {
    const EvoExam *e = &g_array_index (run->exams, EvoExam, i);
    g_autofree char *file = e->node->eval.data == NULL ? g_strdup ("") : g_path_get_basename (e->node->eval.data);

    g_string_append_printf (t, "\n%s: %s on %s, %" G_GSIZE_FORMAT " items, 95 %% intervals\n\n", e->node->name, e->node->plugin->name, file,
                            e->n_rows > 0 ? e->rows[0].n : 0);
    table_rows (t, e);
    if (e->n_differences > 0)
      g_string_append (t, "\n  paired differences, item by item\n");
    table_differences (t, e);
  }
  return g_string_free (t, FALSE);
}
