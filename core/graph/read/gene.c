/* SPDX-License-Identifier: Apache-2.0
 * gene.c - {"evolve": ...} and {"choice": ...}: ranges, what stands beside them, and genes shared by name.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

void
evo_gene_free (EvoGene *gene)
{
  if (gene == NULL)
    return;
  for (guint i = 0; gene->labels != NULL && i < gene->n; i++)
    g_free (gene->labels[i]);
  g_free (gene->labels);
  g_strfreev (gene->per_selectors);
  g_strfreev (gene->choice_names);
  g_free (gene->starts);
  g_free (gene->choices);
  g_free (gene->simplex);
  g_free (gene->name);
  g_free (gene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoGene, evo_gene_free)

/* ------------------------------------------------------------------ ranges and choices */

static gboolean
read_bounds (const EvoParam *p, EvoGene *gene, const EvoJson *v, GError **error)
{
  char low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];

  if (evo_json_size (v) != 2)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a range has two numbers, [low, high], not %u", evo_json_size (v));
  if (!evo_param_scalar_from_json (p, evo_json_at (v, 0), &gene->low, error) ||
      !evo_param_scalar_from_json (p, evo_json_at (v, 1), &gene->high, error))
    return FALSE;
  if (gene->low < gene->high)
    return TRUE;
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "the low end %s is not below the high end %s",
                      evo_number_text (gene->low, low), evo_number_text (gene->high, high));
}

static gboolean
read_evolve (const EvoParam *p, EvoGene *gene, const EvoJson *v, GError **error)
{
  if (evo_json_kind (v) == EVO_JSON_STRING && g_str_equal (evo_json_string (v), "path"))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE,
                        "\"%s\" takes no path of layers; write [low, high] or true", p->name);
  if (p->type == EVO_TYPE_BOOL || p->type == EVO_TYPE_CHOICE)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "\"%s\" has no range; write {\"choice\": [...]}", p->name);
  if (!(p->flags & EVO_PARAM_TUNABLE))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "\"%s\" cannot be searched; give it a number", p->name);
  gene->is_int = p->type == EVO_TYPE_INTEGER;
  if (evo_json_kind (v) == EVO_JSON_ARRAY)
    return read_bounds (p, gene, v, error);
  if (evo_json_kind (v) != EVO_JSON_BOOL || !evo_json_bool (v))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs [low, high] or true");
  gene->low = p->search_low;
  gene->high = p->search_high;
  if (gene->low < gene->high)
    return TRUE;
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "\"%s\" has no search range of its own; write [low, high]", p->name);
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;

  return x < y ? -1 : x > y;
}

static gboolean
has_twins (const double *x, guint n)
{
  g_autofree double *sorted = g_memdup2 (x, n * sizeof *x);

  qsort (sorted, n, sizeof *sorted, by_value);
  for (guint i = 1; i < n; i++)
    if (sorted[i] == sorted[i - 1])
      return TRUE;
  return FALSE;
}

static gboolean
read_choice (const EvoParam *p, EvoGene *gene, const EvoJson *v, GError **error)
{
  guint n = evo_json_size (v);

  if ((p->type == EVO_TYPE_NUMBER || p->type == EVO_TYPE_INTEGER) && !(p->flags & EVO_PARAM_TUNABLE))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "\"%s\" cannot be chosen by a search; give it a number", p->name);
  if (evo_json_kind (v) != EVO_JSON_ARRAY || n < 2)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "needs a list of at least two values to choose from");
  gene->is_choice = TRUE;
  gene->n_choices = n;
  gene->choices = g_new0 (double, n);
  for (guint i = 0; i < n; i++)
    if (!evo_param_scalar_from_json (p, evo_json_at (v, i), &gene->choices[i], error))
      return FALSE;
  gene->high = n - 1.0;
  return !has_twins (gene->choices, n) || evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "lists a value twice");
}

/* ------------------------------------------------------------------ what stands beside them */

static gboolean
read_selectors (EvoGene *gene, const EvoJson *v, GError **error)
{
  guint n = evo_json_size (v);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  if (n == 0)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a list of selectors needs at least one, such as \"@attn\"");
  gene->per = EVO_PER_SELECTORS;
  gene->per_n = n;
  gene->per_selectors = g_new0 (char *, n + 1);
  for (guint i = 0; i < n; i++) {
    const EvoJson *item = evo_json_at (v, i);
    const char *selector;

    if (!evo_read_text (item, &selector, error) || !evo_selector_check (selector, item, error))
      return FALSE;
    gene->per_selectors[i] = g_strdup (selector);
    if (!g_hash_table_add (seen, gene->per_selectors[i]))
      return evo_fail_at (error, item, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "this selector stands in the list twice");
  }
  return TRUE;
}

/* "group:4": the number behind the colon, 0 where there is none that is any good. */
static guint
count_in (const char *text, const char *prefix)
{
  const char *digits = text + strlen (prefix);
  char *end;
  guint64 n;

  if (!g_str_has_prefix (text, prefix) || !g_ascii_isdigit (*digits))
    return 0;
  n = g_ascii_strtoull (digits, &end, 10);
  return *end == '\0' && n <= 10000 ? (guint) n : 0;
}

static gboolean
read_per (EvoGene *gene, const EvoJson *v, GError **error)
{
  const char *text;
  guint group, control;

  if (evo_json_kind (v) == EVO_JSON_ARRAY)
    return read_selectors (gene, v, error);
  if (!evo_read_text (v, &text, error))
    return FALSE;
  group = count_in (text, "group:");
  control = count_in (text, "control:");
  if (!g_str_equal (text, "model") && !g_str_equal (text, "layer") && group == 0 && control == 0) {
    g_autofree char *quoted = evo_json_quoted (text);

    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "%s is none of \"model\", \"layer\", \"group:N\", \"control:N\" and a list of "
                        "selectors", quoted);
  }
  gene->per = g_str_equal (text, "model") ? EVO_PER_MODEL : group > 0 ? EVO_PER_GROUP : control > 0 ? EVO_PER_CONTROL : EVO_PER_LAYER;
  gene->per_n = MAX (group, control);
  return TRUE;
}

static gboolean
read_start (const EvoParam *p, EvoGene *gene, const EvoJson *v, GError **error)
{
  char start[EVO_NUMBER_TEXT], low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];

  if (!evo_param_scalar_from_json (p, v, &gene->start, error))
    return FALSE;
  if (!(gene->start >= gene->low && gene->start <= gene->high))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is outside the range %s ... %s",
                        evo_number_text (gene->start, start), evo_number_text (gene->low, low), evo_number_text (gene->high, high));
  if (gene->is_int && gene->start != rint (gene->start))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is no whole number, which \"int\" asks for",
                        evo_number_text (gene->start, start));
  return TRUE;
}

static gboolean
read_int (EvoGene *gene, const EvoJson *v, GError **error)
{
  char low[EVO_NUMBER_TEXT], high[EVO_NUMBER_TEXT];
  gboolean flag;

  if (!evo_read_flag (v, &flag, error))
    return FALSE;
  if (!flag && gene->is_int)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "\"%s\" has whole numbers only", gene->param->name);
  gene->is_int = flag;
  if (!flag || (gene->low == rint (gene->low) && gene->high == rint (gene->high)))
    return TRUE;
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a range of whole numbers ends at whole numbers, not %s ... %s",
                      evo_number_text (gene->low, low), evo_number_text (gene->high, high));
}

static gboolean
read_log (EvoGene *gene, const EvoJson *v, GError **error)
{
  if (!evo_read_flag (v, &gene->is_log, error))
    return FALSE;
  return !gene->is_log || gene->low > 0 ||
         evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a logarithmic range begins above 0, not at %g", gene->low);
}

static gboolean
read_plain_name (const EvoJson *v, char **out, GError **error)
{
  const char *text;

  if (!evo_read_text (v, &text, error))
    return FALSE;
  if (!evo_is_plain_name (text)) {
    g_autofree char *quoted = evo_json_quoted (text);

    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "%s is no name; it needs 1 to 100 letters, digits, - and _", quoted);
  }
  g_free (*out);
  *out = g_strdup (text);
  return TRUE;
}

/* In the order that checks need, not the file's. */
static gboolean
read_beside (const EvoParam *p, EvoGene *gene, const EvoJson *v, GError **error)
{
  const EvoJson *flag = evo_json_member (v, "int"), *log = evo_json_member (v, "log"), *start = evo_json_member (v, "start");
  const EvoJson *sigma = evo_json_member (v, "sigma"), *per = evo_json_member (v, "per"), *name = evo_json_member (v, "name");
  const EvoJson *simplex = evo_json_member (v, "simplex"), *total = evo_json_member (v, "total");

  if (gene->is_choice)
    for (guint i = 0; i < evo_json_size (v); i++) {
      static const char *const numeric[] = { "int", "log", "start", "sigma", "simplex", "total", NULL };

      if (g_strv_contains (numeric, evo_json_key (evo_json_at (v, i))))
        return evo_fail_at (error, evo_json_at (v, i), EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN,
                            "is for a range; a choice starts at its first value "
                            "and has no order");
    }
  if ((flag != NULL && !read_int (gene, flag, error)) || (log != NULL && !read_log (gene, log, error)) ||
      (start != NULL && !read_start (p, gene, start, error)) || (sigma != NULL && !evo_read_positive (sigma, &gene->sigma, error)) ||
      (per != NULL && !read_per (gene, per, error)) || (name != NULL && !read_plain_name (name, &gene->name, error)) ||
      (simplex != NULL && !read_plain_name (simplex, &gene->simplex, error)) ||
      (total != NULL && !evo_read_positive (total, &gene->simplex_total, error)))
    return FALSE;
  return total == NULL || simplex != NULL ||
         evo_fail_at (error, total, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "is the sum of a simplex; name it with \"simplex\"");
}

/* ------------------------------------------------------------------ one name, one gene */

static gboolean
same_texts (char **a, char **b)
{
  return a == NULL || b == NULL ? a == b : g_strv_equal ((const char *const *) a, (const char *const *) b);
}

static gboolean
same_choices (const EvoGene *a, const EvoGene *b)
{
  if (a->n_choices != b->n_choices || (a->n_choices > 0 && memcmp (a->choices, b->choices, a->n_choices * sizeof *a->choices) != 0))
    return FALSE;
  if (a->param->type != b->param->type)
    return a->param->type != EVO_TYPE_CHOICE && b->param->type != EVO_TYPE_CHOICE && a->param->type != EVO_TYPE_BOOL &&
           b->param->type != EVO_TYPE_BOOL;
  for (guint i = 0; a->param->type == EVO_TYPE_CHOICE && i < a->n_choices; i++)
    if (!g_str_equal (a->param->names[(guint) a->choices[i]], b->param->names[(guint) b->choices[i]]))
      return FALSE;
  return TRUE;
}

/* The key in which they differ; NULL: they agree. What only one of them says holds for both. */
static const char *
difference (EvoGene *a, const EvoGene *b)
{
  if (a->is_choice != b->is_choice || !same_choices (a, b))
    return "choice";
  if (a->low != b->low || a->high != b->high)
    return "evolve";
  if (a->is_log != b->is_log || a->is_int != b->is_int)
    return a->is_log != b->is_log ? "log" : "int";
  if (a->per != b->per || a->per_n != b->per_n || !same_texts (a->per_selectors, b->per_selectors))
    return "per";
  if (!isnan (b->start) && !isnan (a->start) && a->start != b->start)
    return "start";
  if (!isnan (b->sigma) && !isnan (a->sigma) && a->sigma != b->sigma)
    return "sigma";
  if (g_strcmp0 (a->simplex, b->simplex) != 0 || a->simplex_total != b->simplex_total)
    return "simplex";
  a->start = isnan (a->start) ? b->start : a->start;
  a->sigma = isnan (a->sigma) ? b->sigma : a->sigma;
  return NULL;
}

/* Takes the gene: it becomes the graph's, or gives way to the one that has its name. */
static EvoGene *
share (EvoGraph *g, EvoGene *gene, GError **error)
{
  g_autoptr (EvoGene) owned = gene;
  EvoGene *first = g_hash_table_lookup (g->genes_by_name, gene->name);
  const char *key;

  if (first == NULL) {
    g_ptr_array_add (g->genes, gene);
    g_hash_table_insert (g->genes_by_name, gene->name, gene);
    return g_steal_pointer (&owned);
  }
  key = difference (first, gene);
  if (key == NULL)
    return first;
  evo_fail_at (error, gene->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
               "the gene \"%s\" is at line %u too, with another \"%s\"; one name is one "
               "gene", gene->name, evo_json_line (first->where), key);
  return NULL;
}

EvoGene *
evo_read_gene (EvoGraph *g, EvoNode *node, const EvoParam *p, const char *name, const EvoJson *v, GError **error)
{
  static const char *const keys[] = { "evolve", "choice", "start", "sigma", "log", "int", "per", "name", "simplex", "total", NULL };
  g_autoptr (EvoGene) gene = g_new0 (EvoGene, 1);
  const EvoJson *evolve = evo_json_member (v, "evolve"), *choice = evo_json_member (v, "choice");
  EvoGeneUse use = { NULL, node };

  *gene = (EvoGene){ .name = g_strdup (name), .where = v, .param = p, .start = NAN, .sigma = NAN, .simplex_total = 1 };
  if (!evo_read_object (v, keys, error))
    return NULL;
  if (evolve != NULL && choice != NULL) {
    evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "has \"evolve\" and \"choice\"; a gene is one of them");
    return NULL;
  }
  if (!(evolve != NULL ? read_evolve (p, gene, evolve, error) : read_choice (p, gene, choice, error)) || !read_beside (p, gene, v, error))
    return NULL;
  use.gene = share (g, g_steal_pointer (&gene), error);
  if (use.gene != NULL)
    g_array_append_val (g->uses, use);
  return use.gene;
}

/* ------------------------------------------------------------------ simplexes */

static gboolean
check_simplex (const EvoGene *gene, const EvoGene *first, GError **error)
{
  if (gene->low < 0)
    return evo_fail_at (error, gene->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "a share of simplex \"%s\" cannot be negative; the range begins at %g",
                        gene->simplex, gene->low);
  if (gene->is_int)
    return evo_fail_at (error, gene->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "the shares of simplex \"%s\" are no whole numbers",
                        gene->simplex);
  if (gene->simplex_total != first->simplex_total)
    return evo_fail_at (error, gene->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "the total of simplex \"%s\" is %g here and %g at line %u",
                        gene->simplex, gene->simplex_total, first->simplex_total, evo_json_line (first->where));
  if (gene->per != first->per || gene->per_n != first->per_n || !same_texts (gene->per_selectors, first->per_selectors))
    return evo_fail_at (error, gene->where, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                        "the genes of simplex \"%s\" need the same \"per\"; line %u has "
                        "another", gene->simplex, evo_json_line (first->where));
  return TRUE;
}

gboolean
evo_check_simplexes (const EvoGraph *g, GError **error)
{
  g_autoptr (GHashTable) firsts = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < g->genes->len; i++) {
    EvoGene *gene = g->genes->pdata[i], *first;

    if (gene->simplex == NULL)
      continue;
    first = g_hash_table_lookup (firsts, gene->simplex);
    if (first == NULL)
      g_hash_table_insert (firsts, gene->simplex, gene);
    if (!check_simplex (gene, first == NULL ? gene : first, error))
      return FALSE;
  }
  return TRUE;
}
