/* SPDX-License-Identifier: Apache-2.0
 * searches.c - optimizer nodes: objectives and budgets; which merges a search runs over, and which genes are its own.
 *
 * Two searches over one merge share its EvoGene structures: a gene says what can vary, the values are each search's own vector.
 */
#include <math.h>
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

/* ------------------------------------------------------------------ objectives */

static gboolean
add_objective (EvoGraph *g, EvoNode *node, const EvoJson *v, double sign, GError **error)
{
  static const char *const keys[] = { "from", "weight", NULL };
  EvoSearchSpec *s = &node->search;
  const EvoJson *from = v, *weight = NULL;
  EvoObjective o = { NULL, 1 };

  if (evo_json_kind (v) == EVO_JSON_OBJECT) {
    if (!evo_read_object (v, keys, error))
      return FALSE;
    from = evo_json_member (v, "from");
    weight = evo_json_member (v, "weight");
    if (from == NULL)
      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "needs \"from\", an evaluator");
  }
  o.evaluator = evo_read_node (g, from, EVO_IS_EVALUATOR, "an evaluator", error);
  if (o.evaluator == NULL || (weight != NULL && !evo_read_positive (weight, &o.weight, error)))
    return FALSE;
  o.weight *= sign;
  for (guint i = 0; i < s->n_objectives; i++)
    if (s->objectives[i].evaluator == o.evaluator)
      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_DUPLICATE, "\"%s\" is an objective already", o.evaluator->name);
  s->objectives = g_renew (EvoObjective, s->objectives, s->n_objectives + 1);
  s->objectives[s->n_objectives++] = o;
  return TRUE;
}

static gboolean
read_objectives (EvoGraph *g, EvoNode *node, const EvoJson *v, double sign, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_ARRAY)
    return add_objective (g, node, v, sign, error);
  if (evo_json_size (v) == 0 || evo_json_size (v) > EVO_MAX_INPUTS)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        "lists %u evaluators; needs 1 to %d", evo_json_size (v), EVO_MAX_INPUTS);
  for (guint i = 0; i < evo_json_size (v); i++)
    if (!add_objective (g, node, evo_json_at (v, i), sign, error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ the other keys */

static gboolean
read_sample (EvoNode *node, const EvoJson *v, GError **error)
{
  static const char *const keys[] = { "items", "per", NULL }, *const per_names[] = { "generation", NULL };
  const EvoJson *items = evo_json_member (v, "items"), *per = evo_json_member (v, "per");
  guint32 which;

  if (!evo_read_object (v, keys, error))
    return FALSE;
  if (items == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"items\", how many are drawn for a generation");
  return evo_read_whole (items, 1, &node->search.sample_items, error) && (per == NULL || evo_read_one_of (per, per_names, &which, error));
}

/* A list of points; whether their names and numbers fit is looked at when the genes are known. */
static gboolean
read_start_from (EvoNode *node, const EvoJson *v, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_ARRAY)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs a list of points, [{\"gene\": value}], not %s",
                        evo_json_kind_name (evo_json_kind (v)));
  for (guint i = 0; i < evo_json_size (v); i++)
    if (evo_json_kind (evo_json_at (v, i)) != EVO_JSON_OBJECT)
      return evo_fail_at (error, evo_json_at (v, i), EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs a point, {\"gene\": value}, not %s",
                          evo_json_kind_name (evo_json_kind (evo_json_at (v, i))));
  node->search.start_from = v;
  return TRUE;
}

gboolean
evo_read_search_key (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error)
{
  EvoSearchSpec *s = &node->search;
  const char *key = evo_json_key (v);

  if (g_str_equal (key, "maximize") || g_str_equal (key, "minimize"))
    return read_objectives (g, node, v, g_str_equal (key, "maximize") ? 1 : -1, error);
  if (g_str_equal (key, "trials"))
    return evo_read_whole (v, 1, &s->trials, error);
  if (g_str_equal (key, "stall"))
    return evo_read_whole (v, 1, &s->stall, error);
  if (g_str_equal (key, "minutes"))
    return evo_read_positive (v, &s->minutes, error);
  if (g_str_equal (key, "sample"))
    return read_sample (node, v, error);
  if (g_str_equal (key, "start_from"))
    return read_start_from (node, v, error);
  s->validate = evo_read_node (g, v, EVO_IS_EVALUATOR, "an evaluator", error);
  return s->validate != NULL;
}

/* ------------------------------------------------------------------ what is searched */

static gboolean
check_budget (const EvoNode *node, GError **error)
{
  const EvoSearchSpec *s = &node->search;
  guint most = ((const EvoOptimizerOp *) node->plugin->op)->max_objectives;

  if (s->n_objectives == 0)
    return evo_fail_at (error, node->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING,
                        "needs \"maximize\" or \"minimize\", the evaluators it improves");
  if (s->trials == 0 && s->minutes == 0 && s->stall == 0)
    return evo_fail_at (error, node->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING,
                        "would never end; needs \"trials\", \"minutes\" or \"stall\"");
  /* one with a single objective gets the weighted sum of all */
  if (most > 1 && s->n_objectives > most)
    return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        "%s takes at most %u objectives, not %u", node->plugin->name, most,
                        s->n_objectives);
  if (s->sample_items > 0 && s->validate == NULL)
    return evo_fail_at (error, evo_json_member (node->where, "sample"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING,
                        "scores on changing items cannot be compared; needs \"validate\", an evaluator on other items");
  return TRUE;
}

/* The evaluator's one model, which must be the target that the search has so far. */
static gboolean
take_target (EvoNode *node, const EvoNode *evaluator, GError **error)
{
  EvoSearchSpec *s = &node->search;

  if (evaluator->n_in != 1)
    return evo_fail_at (error, evo_json_member (evaluator->where, "in"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        "has %u models; needs exactly one, because \"%s\" searches by it", evaluator->n_in, node->name);
  if (s->target == NULL)
    s->target = evaluator->in[0].from;
  if (s->target == evaluator->in[0].from)
    return TRUE;
  if (evaluator == s->validate)
    return evo_fail_at (error, evo_json_member (node->where, "validate"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                        "\"%s\" scores \"%s\", but \"%s\" is searched; needs an evaluator of that", evaluator->name, evaluator->in[0].from->name,
                        s->target->name);
  return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                      "\"%s\" scores \"%s\" and \"%s\" scores \"%s\"; a search scores one model",
                      s->objectives[0].evaluator->name, s->target->name, evaluator->name, evaluator->in[0].from->name);
}

static gboolean
find_target (EvoNode *node, GError **error)
{
  EvoSearchSpec *s = &node->search;

  for (guint i = 0; i < s->n_objectives; i++) {
    if (s->objectives[i].evaluator == s->validate)
      return evo_fail_at (error, evo_json_member (node->where, "validate"), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_DUPLICATE,
                          "\"%s\" is the objective itself; needs an evaluator on other items", s->validate->name);
    if (!take_target (node, s->objectives[i].evaluator, error))
      return FALSE;
  }
  return s->validate == NULL || take_target (node, s->validate, error);
}

/* Merges above the target, as far as sources and other searches. */
static void
find_stage (EvoGraph *g, EvoNode *search, gboolean *inside)
{
  EvoSearchSpec *s = &search->search;

  inside[s->target->index] = s->target->kind == EVO_KIND_MERGE;
  for (guint i = s->target->index + 1; i-- > 0;) {
    const EvoNode *node = g->nodes->pdata[i];

    for (guint e = 0; inside[i] && e <= node->n_in; e++) {
      const EvoNode *from = e < node->n_in ? node->in[e].from : node->base.from;

      if (from != NULL && from->kind == EVO_KIND_MERGE)
        inside[from->index] = TRUE;
    }
    s->n_merges += inside[i];
  }
  s->merges = g_new0 (EvoNode *, s->n_merges + 1);
  s->n_merges = 0;
  for (guint i = 0; i <= s->target->index; i++)
    if (inside[i]) {
      EvoNode *node = g->nodes->pdata[i];

      s->merges[s->n_merges++] = node;
      node->searched_by = node->searched_by == NULL ? search : node->searched_by;
    }
}

static gboolean
find_genes (EvoGraph *g, EvoNode *search, const gboolean *inside, GError **error)
{
  EvoSearchSpec *s = &search->search;
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  s->genes = g_new0 (EvoGene *, g->genes->len + 1);
  for (guint i = 0; i < g->uses->len; i++) {
    const EvoGeneUse *use = &g_array_index (g->uses, EvoGeneUse, i);

    if (inside[use->node->index] && g_hash_table_add (seen, use->gene))
      s->genes[s->n_genes++] = use->gene;
  }
  return s->n_genes > 0 || evo_fail_at (error, search->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                                        "\"%s\" has no genes to search; mark a parameter with "
                                        "{\"evolve\": [low, high]}", s->target->name);
}

/* ------------------------------------------------------------------ start_from */

static const EvoGene *
find_gene (const EvoSearchSpec *s, const char *label)
{
  for (guint i = 0; i < s->n_genes; i++) {
    gsize n = strlen (s->genes[i]->name);

    if (strncmp (label, s->genes[i]->name, n) == 0 && (label[n] == '\0' || label[n] == '['))
      return s->genes[i];
  }
  return NULL;
}

static gboolean
check_start (const EvoSearchSpec *s, const EvoJson *v, GError **error)
{
  const EvoGene *gene = find_gene (s, evo_json_key (v));
  char number[EVO_NUMBER_TEXT], low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];
  double x;

  if (gene == NULL) {
    g_autoptr (GPtrArray) names = g_ptr_array_new ();
    g_autofree char *hint = NULL, *quoted = evo_json_quoted (evo_json_key (v));

    for (guint i = 0; i < s->n_genes; i++)
      g_ptr_array_add (names, s->genes[i]->name);
    g_ptr_array_add (names, NULL);
    hint = evo_names_hint (evo_json_key (v), (const char *const *) names->pdata);
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "the search has no gene %s%s", quoted, hint);
  }
  if (gene->choice_names != NULL)
    return (evo_json_kind (v) == EVO_JSON_STRING && g_strv_contains ((const char *const *) gene->choice_names, evo_json_string (v))) ||
           evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "is none of the gene's choices");
  if (!evo_param_scalar_from_json (gene->param, v, &x, error))
    return FALSE;
  if (!gene->is_choice && !(x >= gene->low && x <= gene->high))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is outside the gene's %s ... %s",
                        evo_number_text (x, number), evo_number_text (gene->low, low), evo_number_text (gene->high, high));
  if (gene->is_int && x != rint (x))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "%s is no whole number, as the gene's are", evo_number_text (x, number));
  for (guint i = 0; i < gene->n_choices; i++)
    if (gene->choices[i] == x)
      return TRUE;
  return !gene->is_choice || evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "is none of the gene's choices");
}

static gboolean
check_starts (const EvoSearchSpec *s, GError **error)
{
  for (guint i = 0; s->start_from != NULL && i < evo_json_size (s->start_from); i++) {
    const EvoJson *point = evo_json_at (s->start_from, i);

    for (guint m = 0; m < evo_json_size (point); m++) {
      const EvoJson *v = evo_json_at (point, m);
      gboolean is_note = g_str_equal (evo_json_key (v), "note");

      if (is_note ? !evo_read_note (v, error) : !check_start (s, v, error))
        return FALSE;
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ all searches */

static void
mark_genes (EvoGraph *g)
{
  for (guint i = 0; i < g->uses->len; i++)
    g_array_index (g->uses, EvoGeneUse, i).node->has_genes = TRUE;
  for (guint i = 0; i < g->nodes->len; i++) {
    EvoNode *node = g->nodes->pdata[i];

    for (guint e = 0; node->kind == EVO_KIND_MERGE && e <= node->n_in; e++) {
      const EvoNode *from = e < node->n_in ? node->in[e].from : node->base.from;

      node->has_genes = node->has_genes || (from != NULL && from->kind == EVO_KIND_MERGE && from->has_genes);
    }
  }
}

gboolean
evo_find_searches (EvoGraph *g, GError **error)
{
  mark_genes (g);
  for (guint i = 0; i < g->nodes->len; i++)
    ((EvoNode *) g->nodes->pdata[i])->is_exam = ((EvoNode *) g->nodes->pdata[i])->kind == EVO_KIND_EVALUATOR;
  for (guint i = 0; i < g->nodes->len; i++) {
    EvoNode *node = g->nodes->pdata[i];
    g_autofree gboolean *inside = g_new0 (gboolean, g->nodes->len + 1);

    if (node->kind != EVO_KIND_OPTIMIZER)
      continue;
    if (!check_budget (node, error) || !find_target (node, error))
      return FALSE;
    find_stage (g, node, inside);
    if (!find_genes (g, node, inside, error) || !check_starts (&node->search, error))
      return FALSE;
    for (guint j = 0; j < node->search.n_objectives; j++)
      node->search.objectives[j].evaluator->is_exam = FALSE;
    if (node->search.validate != NULL)
      node->search.validate->is_exam = FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ reading outside */

/* The search of the genes that a node has, itself or above. */
static const EvoNode *
search_of (const EvoNode *node)
{
  while (node->searched_by == NULL) {
    const EvoNode *next = node->base.from != NULL && node->base.from->has_genes ? node->base.from : NULL;

    for (guint e = 0; next == NULL && e < node->n_in; e++)
      next = node->in[e].from->has_genes ? node->in[e].from : NULL;
    node = next;
  }
  return node->searched_by;
}

static gboolean
check_read (const EvoNode *node, const EvoJson *where, const char *what, GError **error)
{
  const char *search;

  if (!node->has_genes)
    return TRUE;
  search = search_of (node)->name;
  return evo_fail_at (error, where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                      "\"%s\" has genes that \"%s\" searches; %s \"%s\", its best model", node->name,
                      search, what, search);
}

gboolean
evo_check_outside (const EvoGraph *g, GError **error)
{
  const EvoJson *save = evo_json_member (evo_json_root (g->doc), "save");

  for (guint i = 0; i < g->uses->len; i++) {
    const EvoGeneUse *use = &g_array_index (g->uses, EvoGeneUse, i);

    if (use->node->searched_by == NULL)
      return evo_fail_at (error, use->gene->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                          "nothing searches this gene; needs a search by an evaluator of "
                          "\"%s\", or a value", use->node->name);
  }
  for (guint i = 0; i < g->nodes->len; i++) {
    const EvoNode *node = g->nodes->pdata[i];

    if (node->eval.against != NULL && !node->is_exam)
      return evo_fail_at (error, evo_json_member (node->where, "against"), EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN,
                          "a search consumes this evaluator; only an exam compares models");
    for (guint e = 0; node->is_exam && e < node->n_in; e++)
      if (!check_read (node->in[e].from, node->in[e].where, "examine", error))
        return FALSE;
    if (node->save_path != NULL && !check_read (node, evo_json_member (save, node->name), "save", error))
      return FALSE;
  }
  return TRUE;
}
