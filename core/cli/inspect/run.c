/* SPDX-License-Identifier: Apache-2.0
 * run.c - what a run directory holds: each search's best so far with its genes, where models lie, how exactly paths were saved, the exam.
 *
 * Read from pipeline.json, the journal and scores.json; a run that is going on is not disturbed.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/base/text.h"
#include "core/cli/inspect/inspect.h"
#include "core/search/journal.h"
#include "core/search/results/export-error.h"

typedef struct {
  const char *name;
  gint64 n, n_failed, best;   /* best -1: none */
  gint64 hops_run, hops_skipped; /* of all trials: see EvoTrial */
  double score;
  char *genes, *path;         /* path NULL: not saved yet */
  EvoExportError saved;       /* of a path; n_prompts 0: not measured */
} Found;

static void
found_clear (gpointer data)
{
  Found *f = data;

  g_free (f->genes);
  g_free (f->path);
}

static EvoJsonDoc *
open_json (const char *folder, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  return evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
}

/* What a file lacks has no members. */
static guint
size_of (const EvoJson *v)
{
  return v == NULL ? 0 : evo_json_size (v);
}

/* ------------------------------------------------------------------ searches */

/* A search that only minimises shows scores of which less is better; where several are summed, more is. */
static gboolean
is_minimised (const EvoJson *node)
{
  const EvoJson *list = evo_json_member (node, "minimize");

  return list != NULL && evo_json_member (node, "maximize") == NULL && (evo_json_kind (list) != EVO_JSON_ARRAY || size_of (list) == 1);
}

static gboolean
find_best (EvoJournal *j, const EvoJson *node, Found *f, GError **error)
{
  double sign = is_minimised (node) ? -1 : 1, score;
  gint64 saved;

  f->n = evo_journal_count_trials (j, f->name);
  f->best = -1;
  for (gint64 i = 0; i < f->n; i++) {
    EvoTrial t = { 0 };

    if (evo_journal_get_trial (j, f->name, i, &t, error) < 0)
      return FALSE;
    f->n_failed += t.failed;
    f->hops_run += t.hops_run;
    f->hops_skipped += t.hops_skipped;
    if (!t.failed && t.genes != NULL && (f->best < 0 || sign * t.score > sign * f->score)) {
      f->best = i;
      f->score = t.score;
      g_free (f->genes);
      f->genes = g_steal_pointer (&t.genes);
    }
    evo_trial_clear (&t);
  }
  if (evo_journal_get_stage (j, f->name, &saved, &score, &f->path, error) < 0)
    return FALSE;
  return f->path == NULL || evo_journal_get_export (j, f->name, saved, &f->saved.n_prompts, &f->saved.n_same, &f->saved.largest, &f->saved.rms, error) >= 0;
}

static GArray *
find_all (EvoJournal *j, const EvoJson *pipeline, GError **error)
{
  g_autoptr (GArray) all = g_array_new (FALSE, TRUE, sizeof (Found));
  const EvoJson *nodes = evo_json_member (pipeline, "nodes");

  g_array_set_clear_func (all, found_clear);
  for (guint i = 0; i < size_of (nodes); i++) {
    const EvoJson *node = evo_json_at (nodes, i);
    const char *use = evo_json_get_string (node, "use");
    Found f = { .name = evo_json_key (node) };
    gboolean good;

    if (use == NULL || !g_str_has_prefix (use, "optimizer."))
      continue;
    good = find_best (j, node, &f, error);
    g_array_append_val (all, f);
    if (!good)
      return NULL;
  }
  return g_steal_pointer (&all);
}

/* Genes of a path are shown as the path. */
static gboolean
is_of_path (const EvoJson *path, const char *gene)
{
  const char *dot = strchr (gene, '.');

  return path != NULL && dot != NULL && (g_str_has_prefix (dot, ".path[") || g_str_has_prefix (dot, ".scale[") || g_str_has_prefix (dot, ".input["));
}

/* What scores.json and the model's card have too. */
static void
print_export (const EvoExportError *e)
{
  if (e->n_prompts > 0)
    printf ("  saved against searched, %" G_GINT64_FORMAT " prompts: log-probabilities of the next token differ by at most %.3g (RMS %.3g); the likeliest "
            "token is the same after %" G_GINT64_FORMAT "\n", e->n_prompts, e->largest, e->rms, e->n_same);
}

/* Scored texts that began as an earlier path's. Jobs have a cache each, so that this is no part of scores.json. */
static void
print_reuse (const Found *f)
{
  g_autofree char *text = evo_trial_reuse_text (f->hops_run, f->hops_skipped);

  if (text != NULL)
    printf ("  %s\n", text);
}

/* best: of scores.json; NULL: the run has not ended. */
static void
print_search (const Found *f, const EvoJson *best)
{
  const EvoJson *path = best == NULL ? NULL : evo_json_member (best, "path");
  g_autoptr (EvoJsonDoc) doc = f->genes == NULL ? NULL : evo_json_parse (f->genes, -1, "genes", 0, 0, NULL);
  const EvoJson *genes = doc == NULL ? NULL : evo_json_root (doc);
  glong width = 0;

  printf ("\n%s: %" G_GINT64_FORMAT " trials", f->name, f->n);
  if (f->n_failed > 0)
    printf (", of which %" G_GINT64_FORMAT " failed", f->n_failed);
  if (f->best >= 0)
    printf (", best %.4g in trial %" G_GINT64_FORMAT, f->score, f->best);
  printf ("\n  %s\n", f->path != NULL ? f->path : "not ended, nothing saved yet");
  for (guint i = 0; i < size_of (genes); i++)
    width = MAX (width, g_utf8_strlen (evo_json_key (evo_json_at (genes, i)), -1));
  for (guint i = 0; i < size_of (genes); i++) {
    const EvoJson *v = evo_json_at (genes, i);
    g_autofree char *text = evo_json_text (v);

    if (is_of_path (path, evo_json_key (v)))
      continue;
    printf ("    %s%*s%s\n", evo_json_key (v), (int) (width + 2 - g_utf8_strlen (evo_json_key (v), -1)), "", text);
  }
  if (path != NULL)
    evo_inspect_print_path (path);
  print_export (&f->saved);
  print_reuse (f);
}

/* Models that were saved as they are in the pipeline. */
static void
print_unsearched (const EvoJson *pipeline, const char *folder, const GArray *all)
{
  const EvoJson *saves = evo_json_member (pipeline, "save");

  for (guint i = 0; i < size_of (saves); i++) {
    const EvoJson *v = evo_json_at (saves, i);
    const char *to = evo_json_kind (v) == EVO_JSON_OBJECT ? evo_json_get_string (v, "path") : evo_json_string (v);
    g_autofree char *absolute = g_canonicalize_filename (folder, NULL), *path = g_canonicalize_filename (to == NULL ? evo_json_key (v) : to, absolute);
    gboolean is_search = FALSE;

    for (guint k = 0; k < all->len; k++)
      is_search |= g_str_equal (g_array_index (all, Found, k).name, evo_json_key (v));
    if (!is_search)
      printf ("\n%s: not searched\n  %s\n", evo_json_key (v), g_file_test (path, G_FILE_TEST_EXISTS) ? path : "not saved yet");
  }
}

/* ------------------------------------------------------------------ the exam */

static gboolean
is_binary (const EvoJson *models)
{
  for (guint m = 0; m < size_of (models); m++) {
    const EvoJson *items = evo_json_member (evo_json_at (models, m), "items");

    for (guint i = 0; i < size_of (items); i++)
      if (evo_json_number (evo_json_at (items, i)) != 0 && evo_json_number (evo_json_at (items, i)) != 1)
        return FALSE;
  }
  return TRUE;
}

static void
print_exam (const EvoJson *exam)
{
  const EvoJson *models = evo_json_member (exam, "models"), *paired = evo_json_member (exam, "paired");
  gboolean binary = is_binary (models);
  double unit = binary ? 100 : 1;
  int digits = binary ? 1 : 3;

  printf ("\n%s: 95 %% intervals\n", evo_json_key (exam));
  for (guint i = 0; i < size_of (models); i++) {
    const EvoJson *m = evo_json_at (models, i);

    printf ("  %-18s %8.*f%s   (%.*f … %.*f)  %g items\n", evo_json_key (m), digits, evo_json_get_number (m, "score", NAN) * unit, binary ? " %" : "",
            digits, evo_json_get_number (m, "low", NAN) * unit, digits, evo_json_get_number (m, "high", NAN) * unit,
            evo_json_get_number (m, "n", 0));
  }
  for (guint i = 0; i < size_of (paired); i++) {
    const EvoJson *d = evo_json_at (paired, i);

    printf ("  %s − %s  %+.*f  (%+.*f … %+.*f)  p = %.2g\n", evo_json_key (d), evo_json_get_string (d, "against"), digits,
            evo_json_get_number (d, "diff", NAN) * unit, digits, evo_json_get_number (d, "low", NAN) * unit, digits,
            evo_json_get_number (d, "high", NAN) * unit, evo_json_get_number (d, "p", NAN));
  }
}

/* ------------------------------------------------------------------ the command */

static void
write_reuse (const Found *f, EvoJsonWriter *w)
{
  if (f->hops_skipped == 0)
    return;
  evo_json_add_key (w, "hops_run");
  evo_json_add_integer (w, f->hops_run);
  evo_json_add_key (w, "hops_skipped");
  evo_json_add_integer (w, f->hops_skipped);
}

/* A run that has ended: scores.json as it is; else the same with what is known. */
static void
print_json (const EvoJsonDoc *scores, const GArray *all)
{
  g_autoptr (GString) text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  if (scores != NULL) {
    evo_json_add_value (&w, evo_json_root (scores));
    puts (text->str);
    return;
  }
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "searches");
  evo_json_begin_object (&w);
  for (guint i = 0; i < all->len; i++) {
    const Found *f = &g_array_index (all, Found, i);
    g_autoptr (EvoJsonDoc) genes = f->genes == NULL ? NULL : evo_json_parse (f->genes, -1, "genes", 0, 0, NULL);

    evo_json_add_key (&w, f->name);
    evo_json_begin_object (&w);
    evo_json_add_key (&w, "trials");
    evo_json_add_integer (&w, f->n);
    if (genes != NULL) {
      evo_json_add_key (&w, "best");
      evo_json_begin_object (&w);
      evo_json_add_key (&w, "trial");
      evo_json_add_integer (&w, f->best);
      evo_json_add_key (&w, "score");
      evo_json_add_number (&w, f->score);
      evo_json_add_key (&w, "genes");
      evo_json_add_value (&w, evo_json_root (genes));
      evo_json_end_object (&w);
    }
    write_reuse (f, &w);
    evo_export_error_write (&f->saved, &w);
    evo_json_end_object (&w);
  }
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  puts (text->str);
}

static const EvoJson *
best_of (const EvoJsonDoc *scores, const char *search)
{
  const EvoJson *all = scores == NULL ? NULL : evo_json_member (evo_json_root (scores), "searches");
  const EvoJson *one = all == NULL ? NULL : evo_json_member (all, search);

  return one == NULL ? NULL : evo_json_member (one, "best");
}

int
evo_inspect_run (const char *path, const EvoForm *form)
{
  g_autofree char *journal_path = g_build_filename (path, "journal.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJournal) journal = evo_journal_open (journal_path, FALSE, &error);
  g_autoptr (EvoJsonDoc) pipeline = journal == NULL ? NULL : open_json (path, "pipeline.json", &error), scores = NULL;
  g_autoptr (GArray) all = pipeline == NULL ? NULL : find_all (journal, evo_json_root (pipeline), &error);

  if (all == NULL)
    return evo_cli_fail (error);
  scores = open_json (path, "scores.json", NULL);
  if (form->json) {
    print_json (scores, all);
    return 0;
  }
  printf ("%s: %s\n", path, scores != NULL ? "ended" : "not ended; evopipe run PIPELINE --resume goes on");
  for (guint i = 0; i < all->len; i++)
    print_search (&g_array_index (all, Found, i), best_of (scores, g_array_index (all, Found, i).name));
  print_unsearched (evo_json_root (pipeline), path, all);
  const EvoJson *exams = scores == NULL ? NULL : evo_json_member (evo_json_root (scores), "exam");
  for (guint i = 0; i < size_of (exams); i++)
    print_exam (evo_json_at (exams, i));
  return 0;
}
