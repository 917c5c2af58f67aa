/* SPDX-License-Identifier: Apache-2.0
 * judge.c - judges what a plugin declares, as data, before any of its functions is called.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/param/param.h"
#include "core/registry/load.h"

/* What ABI 1.0 began with: a plugin may have shorter tables than ours, but none shorter than these. */
enum { FIRST_PARAM = 88, FIRST_MERGE = 224, FIRST_MODEL = 80, FIRST_OPTIMIZER = 80, FIRST_EVALUATOR = 112 };
enum { MOST_NAME = 64, MOST_SENTENCE = 4096, MOST_NAMES = 1024, MOST_PASSES = 16, MOST_CUTS = 64, MOST_VALUES = 64, MOST_EXTRA = 8, MOST_FIGURES = 64 };

typedef struct {
  const EvoPlugin *plugin;
  const EvoExtent *e;
  const char *file;
  GPtrArray *arena;
} Judge;

static const struct { const char *name; gsize first, now; } kinds[] = {
  [EVO_KIND_MERGE] = { "merge", FIRST_MERGE, sizeof (EvoMergeOp) },
  [EVO_KIND_MODEL] = { "model", FIRST_MODEL, sizeof (EvoModelOp) },
  [EVO_KIND_OPTIMIZER] = { "optimizer", FIRST_OPTIMIZER, sizeof (EvoOptimizerOp) },
  [EVO_KIND_EVALUATOR] = { "evaluator", FIRST_EVALUATOR, sizeof (EvoEvaluatorOp) },
};

static gboolean G_GNUC_PRINTF (4, 5)
refuse (const Judge *j, GError **error, gint code, const char *format, ...)
{
  va_list args;
  g_autofree char *what = NULL;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_REGISTRY_ERROR, code, "%s: %s", j->file, what);
}

/* ------------------------------------------------------------------ the plugin symbol */

static gboolean
judge_abi (const Judge *j, GError **error)
{
  const EvoPlugin *p = j->plugin;

  if (p->magic != EVO_PLUGIN_MAGIC)
    return refuse (j, error, EVO_REGISTRY_ERROR_NOT_A_PLUGIN, "its evo_plugin begins with 0x%08x, a plugin's with 0x%08x", p->magic,
                   EVO_PLUGIN_MAGIC);
  if (p->abi_major != EVO_ABI_MAJOR || p->abi_minor > EVO_ABI_MINOR)
    return refuse (j, error, EVO_REGISTRY_ERROR_ABI, "built for ABI %u.%u, this is %u.%u", p->abi_major, p->abi_minor, EVO_ABI_MAJOR,
                   EVO_ABI_MINOR);
  if (p->sizeof_param < FIRST_PARAM || p->sizeof_param > sizeof (EvoParam) || p->sizeof_param % sizeof (gpointer) != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_ABI, "built with parameters of %u bytes; ABI %u.%u has %d ... %zu", p->sizeof_param,
                   EVO_ABI_MAJOR, EVO_ABI_MINOR, FIRST_PARAM, sizeof (EvoParam));
  if (p->kind < EVO_KIND_MERGE || p->kind > EVO_KIND_EVALUATOR)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "is of kind %u; kinds are 1 (merge) ... 4 (evaluator)", p->kind);
  if (p->n_ops < 1 || p->n_ops > EVO_MOST_OPS)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "declares %u operators; a file has 1 ... %d", p->n_ops, EVO_MOST_OPS);
  if (GPOINTER_TO_SIZE (p->ops) % sizeof (gpointer) != 0 || !evo_extent_holds (j->e, p->ops, p->n_ops * sizeof (gpointer)))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "its list of operators lies outside the file");
  return TRUE;
}

/* ------------------------------------------------------------------ names and tables */

/* a-z first, then groups of a-z and 0-9 joined by single hyphens */
static gboolean
is_op_name (const char *name)
{
  if (!g_ascii_islower (name[0]))
    return FALSE;
  for (const char *c = name; *c != '\0'; c++)
    if (!g_ascii_islower (*c) && !g_ascii_isdigit (*c) && (*c != '-' || c[1] == '-' || c[1] == '\0'))
      return FALSE;
  return TRUE;
}

/* Something to be printed in a line of its own. */
static gboolean
is_line (const Judge *j, const char *text)
{
  return evo_extent_holds_text (j->e, text, MOST_SENTENCE) && text[0] != '\0' && g_utf8_validate (text, -1, NULL) &&
         strpbrk (text, "\n\r") == NULL;
}

static gboolean
judge_names (const Judge *j, const char *op, const char *of, const char *const *names, GError **error)
{
  for (guint i = 0; i < MOST_NAMES; i++) {
    if (!evo_extent_holds (j->e, names + i, sizeof *names) || (names[i] != NULL && !evo_extent_holds_text (j->e, names[i], MOST_SENTENCE)))
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: the list of names of %s lies outside the file", op, of);
    if (names[i] == NULL)
      return TRUE;
  }
  return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: the list of names of %s has no end", op, of);
}

static gboolean
judge_param_pointers (const Judge *j, const char *op, const EvoParam *p, GError **error)
{
  if (!evo_extent_holds_text (j->e, p->name, MOST_NAME))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: a parameter's name lies outside the file or is too long", op);
  if (p->doc != NULL && !evo_extent_holds_text (j->e, p->doc, MOST_SENTENCE))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %s: its sentence lies outside the file or is too long", op, p->name);
  if (p->def_string != NULL && !evo_extent_holds_text (j->e, p->def_string, MOST_SENTENCE))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %s: its default lies outside the file or is too long", op, p->name);
  return p->names == NULL || judge_names (j, op, p->name, p->names, error);
}

/* Keys of a node or edge that the host reads, beside those that no parameter of any kind may have (core/param/table.c). */
static gboolean
is_host_key (guint kind, const char *name)
{
  static const char *const keys[][12] = {
    [EVO_KIND_MERGE] = { "from", "masks", "tokenizer", "chat_template" },
    [EVO_KIND_OPTIMIZER] = { "maximize", "minimize", "trials", "minutes", "stall", "start_from", "sample", "validate" },
    [EVO_KIND_EVALUATOR] = { "data", "format", "columns", "template", "shuffle", "sample", "limit", "language_test", "against" },
  };

  return kind != EVO_KIND_MODEL && g_strv_contains (keys[kind], name);
}

/* A table as ours: the plugin's own where its parameters are as long, else a copy with the rest of each zeroed. */
static gboolean
judge_table (const Judge *j, const char *op, const EvoParam **table, gsize size, GError **error)
{
  const char *at = (const char *) *table;
  gsize stride = j->plugin->sizeof_param;
  EvoParam *copy;
  guint n = 0;

  if (size > EVO_MOST_PARAMS_SIZE)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: its parameters take %zu bytes, at most %d are allowed", op, size,
                   EVO_MOST_PARAMS_SIZE);
  if (at == NULL)
    return TRUE;
  g_ptr_array_add (j->arena, copy = g_new0 (EvoParam, EVO_MOST_PARAMS + 1));
  for (;; n++, at += stride) {
    if (GPOINTER_TO_SIZE (at) % sizeof (gpointer) != 0 || !evo_extent_holds (j->e, at, stride))
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: its parameter table lies outside the file; does it end with EVO_PARAMS_END?",
                     op);
    if (((const EvoParam *) at)->name == NULL)
      break;
    if (n == EVO_MOST_PARAMS)
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: more than %d parameters; does the table end with EVO_PARAMS_END?", op,
                     EVO_MOST_PARAMS);
    memcpy (&copy[n], at, stride);
    if (!judge_param_pointers (j, op, &copy[n], error))
      return FALSE;
    if (is_host_key (j->plugin->kind, copy[n].name))
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: parameter %s: this name is the pipeline's own; choose another", op,
                     copy[n].name);
  }
  *table = copy;
  if (evo_param_table_check (copy, size, error))
    return TRUE;
  g_prefix_error (error, "%s: %s: ", j->file, op);
  return FALSE;
}

/* ------------------------------------------------------------------ merge operators */

static gboolean
judge_merge_passes (const Judge *j, const EvoMergeOp *op, GError **error)
{
  if (op->n_passes > MOST_PASSES)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u passes; at most %d are allowed", op->name, op->n_passes, MOST_PASSES);
  if ((op->n_passes > 0) != (op->measure != NULL))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %s", op->name,
                   op->measure == NULL ? "has passes but no measure" : "has measure but n_passes is 0");
  if (op->n_sums != NULL && op->measure == NULL)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has n_sums but no measure", op->name);
  if (op->n_coef != NULL && op->solve == NULL)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has n_coef but no solve", op->name);
  if (op->n_cuts_per_input > MOST_CUTS || op->n_cuts_fixed > MOST_CUTS)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u cuts per input and %u fixed; at most %d of each are allowed", op->name,
                   op->n_cuts_per_input, op->n_cuts_fixed, MOST_CUTS);
  if (op->pick != NULL && (op->measure != NULL || op->keys != NULL))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has pick and %s; what is measured is all inputs", op->name,
                   op->measure != NULL ? "measure" : "keys");
  if (op->keys != NULL && (op->rank == NULL || op->n_cuts_per_input + op->n_cuts_fixed == 0))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has keys but %s", op->name, op->rank == NULL ? "no rank" : "no cuts");
  if (op->keys == NULL && (op->rank != NULL || op->n_cuts_per_input + op->n_cuts_fixed > 0))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has %s but no keys", op->name, op->rank != NULL ? "rank" : "cuts");
  return TRUE;
}

static gboolean
judge_pool (const Judge *j, const EvoMergeOp *op, GError **error)
{
  gboolean pools = op->pool != NULL;

  if ((op->values != NULL) != pools || (op->n_values != NULL) != pools || (op->n_figures > 0) != pools)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: n_values, values, pool and n_figures belong together", op->name);
  if (op->n_figures > MOST_FIGURES)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u figures; at most %d are allowed", op->name, op->n_figures, MOST_FIGURES);
  if (pools && (op->measure == NULL || op->solve == NULL || op->keys != NULL))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has pool %s", op->name,
                   op->measure == NULL ? "but no measure" : op->solve == NULL ? "but no solve" : "and keys; one of them may look at a model");
  return TRUE;
}

/* The host opens one file of tensors an input; other parameters are no concern of it. */
static gboolean
judge_tensors (const Judge *j, const EvoMergeOp *op, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < evo_param_count (op->in_params); i++)
    n += (op->in_params[i].flags & EVO_PARAM_TENSORS) != 0;
  if (op->aux_shape != NULL && (n == 0 || op->access != EVO_BY_TENSOR))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has aux_shape but %s", op->name,
                   n == 0 ? "no parameter that is a file of tensors" : "its access is not 2 (tensor)");
  return n <= 1 || refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u parameters are files of tensors; an input has one at most", op->name, n);
}

static gboolean
has_param (const EvoMergeOp *op, const char *name, guint32 type)
{
  const EvoParam *p = evo_param_find (op->params, name);

  return p != NULL && p->type == type;
}

/* What the host reads of an adapter's node. */
static gboolean
judge_lora (const Judge *j, const EvoMergeOp *op, GError **error)
{
  if (!(op->flags & EVO_MERGE_NEEDS_BASE) || op->min_inputs != 0 || op->max_inputs != 0 || evo_param_count (op->in_params) > 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: an adapter needs a base, and takes no inputs", op->name);
  return (has_param (op, "path", EVO_TYPE_FILE) && has_param (op, "scale", EVO_TYPE_NUMBER)) ||
         refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: an adapter needs the parameters path, a file, and scale, a number", op->name);
}

/* What the reference prints; nothing has to be said. */
static gboolean
judge_reference (const Judge *j, const EvoMergeOp *op, GError **error)
{
  const char *const texts[] = { op->formula, op->source };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (texts[i] != NULL && !is_line (j, texts[i]))
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: its %s is no line of text; it is one, in UTF-8, or NULL", op->name,
                     i == 0 ? "formula" : "source");
  return TRUE;
}

static gboolean
judge_merge (const Judge *j, EvoOp *common, GError **error)
{
  EvoMergeOp *op = (EvoMergeOp *) common;
  const guint32 known = EVO_MERGE_SYMMETRIC | EVO_MERGE_IDEMPOTENT | EVO_MERGE_NEEDS_BASE | EVO_MERGE_TAKES_BASE | EVO_MERGE_MEASURE_FIXED |
                        EVO_MERGE_RANDOM | EVO_MERGE_SAME_KEYS;

  if (!judge_table (j, op->name, &op->in_params, op->in_params_size, error) || !judge_reference (j, op, error))
    return FALSE;
  for (guint i = 0; i < evo_param_count (op->in_params); i++) /* in a node, an input's parameter is every edge's value */
    if (evo_param_find (op->params, op->in_params[i].name) != NULL)
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: parameter %s: is declared for the node and for its inputs; choose one", op->name,
                     op->in_params[i].name);
  if (op->host > EVO_HOST_LORA)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: host is %u; this program knows 0 ... 2", op->name, op->host);
  if (op->host != EVO_HOST_NONE && op->merge != NULL)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has a merge function and leaves the merge to the host; choose one", op->name);
  if (op->merge == NULL && op->host == EVO_HOST_NONE)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has no merge function", op->name);
  if (op->host == EVO_HOST_LORA)
    return judge_lora (j, op, error);
  if (op->min_inputs < 1)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: min_inputs is 0; a merge has one input at least", op->name);
  if (op->max_inputs != 0 && op->max_inputs < op->min_inputs)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: takes %u inputs at least and %u at most", op->name, op->min_inputs,
                   op->max_inputs);
  if (op->access > EVO_BY_TENSOR)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: access is %u; it is 0 (element) ... 2 (tensor)", op->name, op->access);
  if (op->scope > EVO_OVER_MODEL)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: scope is %u; it is 0 (tensor) ... 3 (model)", op->name, op->scope);
  if ((op->flags & ~known) != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: unknown flags 0x%x", op->name, op->flags & ~known);
  return judge_tensors (j, op, error) && judge_merge_passes (j, op, error) && judge_pool (j, op, error);
}

/* ------------------------------------------------------------------ the other kinds */

typedef struct { const char *name; gboolean given; } Required;

static gboolean
judge_required (const Judge *j, const char *op, const Required *functions, guint n, GError **error)
{
  for (guint i = 0; i < n; i++)
    if (!functions[i].given)
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has no %s function", op, functions[i].name);
  return TRUE;
}

static gboolean
judge_model (const Judge *j, EvoOp *common, GError **error)
{
  const EvoModelOp *op = (const EvoModelOp *) common;
  const Required functions[] = { { "claim", op->claim != NULL }, { "role", op->role != NULL } };

  if (!judge_required (j, op->name, functions, G_N_ELEMENTS (functions), error))
    return FALSE;
  return op->copied_files == NULL || judge_names (j, op->name, "copied_files", op->copied_files, error);
}

static gboolean
judge_optimizer (const Judge *j, EvoOp *common, GError **error)
{
  const EvoOptimizerOp *op = (const EvoOptimizerOp *) common;
  const Required functions[] = { { "open", op->open != NULL }, { "ask", op->ask != NULL }, { "tell", op->tell != NULL },
                                 { "close", op->close != NULL } };

  if (!judge_required (j, op->name, functions, G_N_ELEMENTS (functions), error))
    return FALSE;
  if (op->max_objectives < 1)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: max_objectives is 0; it takes one at least", op->name);
  if (op->flags != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: unknown flags 0x%x", op->name, op->flags);
  return TRUE;
}

static gboolean
judge_extra (const Judge *j, const EvoEvaluatorOp *op, GError **error)
{
  guint n = 0;

  if ((op->extra_names != NULL) != (op->reduce_extra != NULL))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: extra_names and reduce_extra belong together", op->name);
  if (op->extra_names == NULL)
    return TRUE;
  if (!judge_names (j, op->name, "extra_names", op->extra_names, error))
    return FALSE;
  while (op->extra_names[n] != NULL)
    n++;
  return n <= MOST_EXTRA || refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u extra_names; at most %d are allowed", op->name, n, MOST_EXTRA);
}

static gboolean
judge_evaluator (const Judge *j, EvoOp *common, GError **error)
{
  const EvoEvaluatorOp *op = (const EvoEvaluatorOp *) common;
  const guint32 known = EVO_EVALUATOR_BINARY | EVO_EVALUATOR_SMALLER_IS_BETTER | EVO_EVALUATOR_COST;
  const Required functions[] = { { "open", op->open != NULL }, { "n_items", op->n_items != NULL }, { "request", op->request != NULL || (op->flags & EVO_EVALUATOR_COST) != 0 },
                                 { "judge", op->judge != NULL || (op->flags & EVO_EVALUATOR_COST) != 0 }, { "close", op->close != NULL } };

  if (!judge_required (j, op->name, functions, G_N_ELEMENTS (functions), error))
    return FALSE;
  if (op->n_values > MOST_VALUES)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: %u values an item; at most %d are allowed", op->name, op->n_values, MOST_VALUES);
  if ((op->flags & EVO_EVALUATOR_COST) != 0 && (op->n_values != 4 || op->reduce == NULL))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: is COST with %u values; a model's figures are 4, and reduce makes a score of them",
                   op->name, op->n_values);
  if (op->n_values > 1 && (op->flags & EVO_EVALUATOR_BINARY) != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: is BINARY but has %u values an item", op->name, op->n_values);
  if ((op->flags & ~known) != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: unknown flags 0x%x", op->name, op->flags & ~known);
  return judge_extra (j, op, error);
}

/* ------------------------------------------------------------------ one operator, then all */

static gboolean
judge_common (const Judge *j, guint i, gconstpointer table, GError **error)
{
  guint kind = j->plugin->kind;
  const EvoOp *op = table;

  if (GPOINTER_TO_SIZE (table) % sizeof (gpointer) != 0 || !evo_extent_holds (j->e, table, sizeof *op))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "operator %u lies outside the file", i);
  if (op->size < kinds[kind].first || op->size > kinds[kind].now || op->size % sizeof (gpointer) != 0)
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "operator %u: its table has %zu bytes; a %s operator's has %zu ... %zu", i, op->size,
                   kinds[kind].name, kinds[kind].first, kinds[kind].now);
  if (!evo_extent_holds (j->e, table, op->size))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "operator %u lies outside the file", i);
  if (!evo_extent_holds_text (j->e, op->name, MOST_NAME))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "operator %u has no name, or one of more than %d letters", i, MOST_NAME);
  if (!is_op_name (op->name)) {
    g_autofree char *name = g_strescape (op->name, NULL);

    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "operator %u is called \"%s\"; a name is lower-case letters, digits and single hyphens",
                   i, name);
  }
  if (!is_line (j, op->summary))
    return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: has no summary; it is one sentence, on one line", op->name);
  return TRUE;
}

/* What stands in a node for all its inputs names no file of one. */
static gboolean
judge_no_tensors (const Judge *j, const EvoOp *op, GError **error)
{
  for (guint i = 0; i < evo_param_count (op->params); i++)
    if (op->params[i].flags & EVO_PARAM_TENSORS)
      return refuse (j, error, EVO_REGISTRY_ERROR_DECLARATION, "%s: parameter %s: only a merge's inputs have files of tensors", op->name,
                     op->params[i].name);
  return TRUE;
}

static gboolean
judge_op (const Judge *j, guint i, EvoJudged *out, GError **error)
{
  static gboolean (*const judges[]) (const Judge *j, EvoOp *op, GError **error) = {
    [EVO_KIND_MERGE] = judge_merge, [EVO_KIND_MODEL] = judge_model, [EVO_KIND_OPTIMIZER] = judge_optimizer, [EVO_KIND_EVALUATOR] = judge_evaluator
  };
  gconstpointer table = j->plugin->ops[i];
  guint kind = j->plugin->kind;
  EvoOp *copy;

  if (!judge_common (j, i, table, error))
    return FALSE;
  g_ptr_array_add (j->arena, copy = g_malloc0 (kinds[kind].now));
  memcpy (copy, table, ((const EvoOp *) table)->size);
  if (!judge_table (j, copy->name, &copy->params, copy->params_size, error) || !judge_no_tensors (j, copy, error) || !judges[kind] (j, copy, error))
    return FALSE;
  *out = (EvoJudged){ (EvoKind) kind, copy };
  return TRUE;
}

gboolean
evo_judge (const EvoPlugin *plugin, const EvoExtent *e, const char *file, GPtrArray *arena, EvoJudged *out, guint *n, GError **error)
{
  const Judge j = { plugin, e, file, arena };

  if (!judge_abi (&j, error))
    return FALSE;
  for (guint i = 0; i < plugin->n_ops; i++)
    if (!judge_op (&j, i, &out[i], error))
      return FALSE;
  *n = plugin->n_ops;
  return TRUE;
}
