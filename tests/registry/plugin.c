/* SPDX-License-Identifier: Apache-2.0
 * plugin.c - a plugin that does nothing well, and, with -D options of meson.build, one with exactly one mistake in it.
 *
 * MAGIC, MAJOR, MINOR, SIZEOF_PARAM, KIND, N_OPS, OPS stand in evo_plugin; EXTRA follows in the operator's table and wins over what is there.
 */
#include "evopipe-model.h"

#ifndef MAGIC
#define MAGIC EVO_PLUGIN_MAGIC
#endif
#ifndef MAJOR
#define MAJOR EVO_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR EVO_ABI_MINOR
#endif
#ifndef SIZEOF_PARAM
#define SIZEOF_PARAM sizeof (EvoParam)
#endif
#ifndef KIND
#define KIND 1
#endif
#ifndef N_OPS
#define N_OPS 1
#endif
#ifndef OPS
#define OPS ops
#endif
#ifndef NAME
#define NAME "good"
#endif
#ifndef SYMBOL
#define SYMBOL evo_plugin
#endif
#ifndef EXTRA
#define EXTRA .size = sizeof op
#endif

typedef struct { double strength; guint32 how; } Params;

static const EvoParam params[] G_GNUC_UNUSED = {
  EVO_NUMBER (Params, strength, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "How much."),
  EVO_CHOICE (Params, how, 0, "In which way.", "this", "that"),
  EVO_PARAMS_END
};
static const EvoParam twice[] G_GNUC_UNUSED = {
  EVO_NUMBER (Params, strength, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "How much."),
  EVO_NUMBER (Params, strength, 0.5, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "How much."),
  EVO_PARAMS_END
};
static const EvoParam far_default[] G_GNUC_UNUSED = {
  EVO_NUMBER (Params, strength, 7, EVO_LIMITS (0, 1), EVO_SEARCH (0, 1), "How much."),
  EVO_PARAMS_END
};
static const EvoParam outside[] G_GNUC_UNUSED = {
  { .name = "strength", .type = EVO_TYPE_NUMBER, .offset = 4096, .doc = "How much." },
  EVO_PARAMS_END
};
static const EvoParam wild_doc[] G_GNUC_UNUSED = { { .name = "strength", .type = EVO_TYPE_NUMBER, .doc = (const char *) 24 }, EVO_PARAMS_END };
static const EvoParam reserved[] G_GNUC_UNUSED = { { .name = "seed", .type = EVO_TYPE_NUMBER, .doc = "Taken." }, EVO_PARAMS_END };
static const EvoParam host_key[] G_GNUC_UNUSED = { { .name = "sample", .type = EVO_TYPE_NUMBER, .doc = "Taken." }, EVO_PARAMS_END };
typedef struct { const char *one, *two; } Files;
static const EvoParam files[] G_GNUC_UNUSED = {
  EVO_FILE (Files, one, EVO_PARAM_TENSORS, "Tensors."),
  EVO_FILE (Files, two, EVO_PARAM_TENSORS, "Tensors."),
  EVO_PARAMS_END
};
static const EvoParam one_file[] G_GNUC_UNUSED = { EVO_FILE (Files, one, EVO_PARAM_TENSORS, "Tensors."), EVO_PARAMS_END };
static const char two_lines[] G_GNUC_UNUSED = "One.\nTwo.";
static const char *const endless[] G_GNUC_UNUSED = { (const char *) 8 };
static const char *const some_names[] G_GNUC_UNUSED = { "a", "b", NULL };
static const char *const many_names[] G_GNUC_UNUSED = { "a", "b", "c", "d", "e", "f", "g", "h", "i", NULL };

static gboolean G_GNUC_UNUSED
aux_shape (const EvoTensor *t, gint64 dims[8], guint32 *n_dims)
{
  return FALSE;
}

static gboolean G_GNUC_UNUSED
merge (const EvoMergeCall *c, GError **error)
{
  return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "this plugin is for tests of the registry");
}

gboolean nowhere (const EvoMergeCall *c, GError **error); /* defined by nobody */

static guint32 G_GNUC_UNUSED
count (const EvoMergeCall *c, guint pass)
{
  return 1;
}

static guint32 G_GNUC_UNUSED
n_coef (const EvoMergeCall *c)
{
  return 1;
}

static guint32 G_GNUC_UNUSED
pick (const EvoMergeCall *c)
{
  return 0;
}

static gboolean G_GNUC_UNUSED
measure (const EvoMergeCall *c, guint pass, double *sums, GError **error)
{
  return TRUE;
}

static gboolean G_GNUC_UNUSED
solve (const EvoMergeCall *c, const double *sums, double *coef, GError **error)
{
  return TRUE;
}

static gboolean G_GNUC_UNUSED
values (const EvoMergeCall *c, const double *sums, double *out, GError **error)
{
  return TRUE;
}

static gboolean G_GNUC_UNUSED
pool (double *all, gsize n, double *figures, GError **error)
{
  return TRUE;
}

static void G_GNUC_UNUSED
keys (const EvoMergeCall *c, guint cut, float *key)
{
}

static gint64 G_GNUC_UNUSED
rank (const EvoMergeCall *c, guint cut, gint64 n)
{
  return n;
}

static gboolean G_GNUC_UNUSED
claim (const EvoCheckpoint *c)
{
  return FALSE;
}

static void G_GNUC_UNUSED
role (const EvoCheckpoint *c, const char *tensor, EvoRole *out)
{
}

static gpointer G_GNUC_UNUSED
optimizer_open (const EvoDim *dims, guint n_dims, guint n_objectives, const void *p, guint64 seed, const EvoKernels *k, GError **error)
{
  return NULL;
}

static EvoAsked G_GNUC_UNUSED
ask (gpointer self, gint64 trial, double *x)
{
  return EVO_ASKED_DONE;
}

static void G_GNUC_UNUSED
tell (gpointer self, const double *x, const EvoOutcome *outcome)
{
}

static gpointer G_GNUC_UNUSED
evaluator_open (const void *p, const EvoRows *rows, guint64 seed, GError **error)
{
  return NULL;
}

static gint64 G_GNUC_UNUSED
n_items (gpointer self)
{
  return 0;
}

static gboolean G_GNUC_UNUSED
request (gpointer self, gint64 item, EvoRequest *out, GError **error)
{
  return FALSE;
}

static gboolean G_GNUC_UNUSED
judge (gpointer self, gint64 item, const EvoAnswer *answer, double *values, GError **error)
{
  return FALSE;
}

static gboolean G_GNUC_UNUSED
reduce (gpointer self, const double *values, gint64 n, double *out, GError **error)
{
  return FALSE;
}

static void G_GNUC_UNUSED
close_nothing (gpointer self)
{
}

#define COMMON .size = sizeof op, .name = NAME, .summary = "Does nothing well.", EVO_TAKES (Params, params)
#if KIND == 2
static const EvoModelOp op = { COMMON, .claim = claim, .role = role, EXTRA };
#elif KIND == 3
static const EvoOptimizerOp op = { COMMON, .max_objectives = 1, .open = optimizer_open, .ask = ask, .tell = tell, .close = close_nothing, EXTRA };
#elif KIND == 4
static const EvoEvaluatorOp op = { COMMON, .n_values = 1, .open = evaluator_open, .n_items = n_items, .request = request, .judge = judge,
                                   .close = close_nothing, EXTRA };
#else
static const EvoMergeOp op = { COMMON, .min_inputs = 1, .merge = merge, EXTRA };
#endif

static const void *const ops[] G_GNUC_UNUSED = { &op, &op };

EVO_EXPORT extern const EvoPlugin SYMBOL;
EVO_EXPORT const EvoPlugin SYMBOL = { MAGIC, MAJOR, MINOR, SIZEOF_PARAM, KIND, N_OPS, OPS };
