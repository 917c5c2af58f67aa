/* SPDX-License-Identifier: Apache-2.0
 * old-plugin.c - a plugin of each kind, compiled against the archived headers of ABI 1.0 in 1.0/.
 */
#include "evopipe-model.h"

#include "layout.h"

#if EVO_ABI_MAJOR != 1 || EVO_ABI_MINOR != 0
#error "these are not the headers of ABI 1.0"
#endif

typedef struct { double factor; gint64 count; gboolean flip; guint32 how; const char *word; } OldParams;
typedef struct { double weight; } OldInput;

static const EvoParam params[] = {
  EVO_NUMBER (OldParams, factor, 2, EVO_LIMITS (0, 4), EVO_SEARCH (1, 3), "A number."),
  EVO_INTEGER (OldParams, count, 3, EVO_LIMITS (1, 9), "A whole number."),
  EVO_BOOL (OldParams, flip, FALSE, "A switch."),
  EVO_CHOICE (OldParams, how, 1, "A choice.", "one", "two"),
  EVO_STRING (OldParams, word, "old", "A text."),
  EVO_PARAMS_END
};

#if defined(OLD_OPTIMIZER)
static gpointer
old_open (const EvoDim *dims, guint n_dims, guint n_objectives, const void *p, guint64 seed, const EvoKernels *k, GError **error)
{
  double *sum = g_new0 (double, 2);

  sum[1] = dims[n_dims - 1].start + ((const OldParams *) p)->factor;
  return sum;
}

static EvoAsked
old_ask (gpointer self, gint64 trial, double *x)
{
  x[0] = ((double *) self)[1] + (double) trial;
  return trial < 2 ? EVO_ASKED_GIVEN : EVO_ASKED_DONE;
}

static void
old_tell (gpointer self, const double *x, const EvoOutcome *outcome)
{
  ((double *) self)[1] += outcome->failed ? 0 : outcome->loss[0];
}

EVO_OPTIMIZER_PLUGIN (.name = "old", .summary = "Of ABI 1.0.", EVO_TAKES (OldParams, params), .max_objectives = 1, .open = old_open, .ask = old_ask,
                      .tell = old_tell, .close = g_free)
#elif defined(OLD_EVALUATOR)
static gpointer
old_open (const void *p, const EvoRows *rows, guint64 seed, GError **error)
{
  return rows->n_rows < 0 ? NULL : g_memdup2 (&rows->n_rows, sizeof rows->n_rows);
}

static gint64
old_n_items (gpointer self)
{
  return *(gint64 *) self;
}

static gboolean
old_request (gpointer self, gint64 item, EvoRequest *out, GError **error)
{
  if (item >= *(gint64 *) self)
    return evo_fail (error, EVO_PLUGIN_ERROR_SHAPE, "there is no item %d", (int) item);
  out->kind = EVO_REQUEST_GENERATE;
  out->max_tokens = 7;
  return TRUE;
}

static gboolean
old_judge (gpointer self, gint64 item, const EvoAnswer *answer, double *values, GError **error)
{
  values[0] = (double) answer->text.n;
  return TRUE;
}

EVO_EVALUATOR_PLUGIN (.name = "old", .summary = "Of ABI 1.0.", EVO_TAKES (OldParams, params), .n_values = 1, .open = old_open, .n_items = old_n_items,
                      .request = old_request, .judge = old_judge, .close = g_free)
#elif defined(OLD_MODEL)
static gboolean
old_claim (const EvoCheckpoint *c)
{
  return c->n_tensors (c) == 1;
}

static void
old_role (const EvoCheckpoint *c, const char *tensor, EvoRole *out)
{
  *out = (EvoRole){ .kind = EVO_ROLE_EMBED, .layer = -1 };
}

EVO_MODEL_PLUGIN (.name = "old", .summary = "Of ABI 1.0.", EVO_TAKES (OldParams, params), .claim = old_claim, .role = old_role)
#else
static const EvoParam in_params[] = {
  EVO_NUMBER (OldInput, weight, 1, EVO_ANY, EVO_SEARCH (-2, 2), "Share of this model."),
  EVO_PARAMS_END
};

static gboolean
old_merge (const EvoMergeCall *c, GError **error)
{
  const OldParams *p = c->params;

  if (c->n_in == 0)
    return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "no inputs");
  c->k->zero (c->out, c->n);
  for (guint i = 0; i < c->n_in; i++)
    c->k->axpy (c->out, c->in[i], ((const OldInput *) c->in_params[i])->weight * p->factor, c->n);
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "old", .summary = "Of ABI 1.0.", .min_inputs = 1, EVO_TAKES (OldParams, params), EVO_TAKES_PER_INPUT (OldInput, in_params),
                  .merge = old_merge)
#endif
