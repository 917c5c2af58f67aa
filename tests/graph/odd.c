/* SPDX-License-Identifier: Apache-2.0
 * odd.c - a plugin with parameters that no plugin of ours has, for tests of reading: files and texts per input, required ones, whole genes.
 *
 * OPTIMIZER: instead, an optimizer of two objectives.
 */
#include "evopipe.h"

#ifdef OPTIMIZER

static gpointer
odd_open (const EvoDim *dims, guint n_dims, guint n_objectives, const void *params, guint64 seed, const EvoKernels *k, GError **error)
{
  return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "this optimizer is for tests of reading"), NULL;
}

static EvoAsked
odd_ask (gpointer self, gint64 trial, double *x)
{
  return EVO_ASKED_DONE;
}

static void
odd_tell (gpointer self, const double *x, const EvoOutcome *outcome)
{
}

static void
odd_close (gpointer self)
{
}

EVO_OPTIMIZER_PLUGIN (.name = "odd", .summary = "Takes two objectives.", .max_objectives = 2, .open = odd_open, .ask = odd_ask, .tell = odd_tell,
                      .close = odd_close)

#else

typedef struct { const char *table; EvoNumbers curve; EvoStrings tags; gint64 rank; double sharpness; gboolean centre; guint32 shape; } OddParams;
typedef struct { double weight, share; const char *fisher, *label; } OddInput;

static const EvoParam params[] = {
  EVO_FILE (OddParams, table, 0, "A file."),
  EVO_NUMBERS (OddParams, curve, "Numbers."),
  EVO_STRINGS (OddParams, tags, "Texts."),
  { .name = "rank", .type = EVO_TYPE_OF (OddParams, rank), .offset = offsetof (OddParams, rank), .flags = EVO_PARAM_TUNABLE, .def = 4, .min = 1,
    .max = 64, .search_low = 2, .search_high = 16, .doc = "A whole number that can be searched." },
  EVO_NUMBER (OddParams, sharpness, 1, EVO_LIMITS (0, 10), EVO_NO_SEARCH, "A number that cannot."),
  EVO_BOOL (OddParams, centre, FALSE, "A flag."),
  EVO_CHOICE (OddParams, shape, 0, "A choice.", "flat", "round", "steep"),
  EVO_PARAMS_END
};
static const EvoParam in_params[] = {
  EVO_NUMBER (OddInput, weight, 1, EVO_ANY, EVO_SEARCH (0, 1), "Share of this model."),
  { .name = "share", .type = EVO_TYPE_NUMBER, .offset = offsetof (OddInput, share), .flags = EVO_PARAM_TUNABLE | EVO_PARAM_REQUIRED, .def = 0.5,
    .min = 0, .max = 1, .search_low = 0.1, .search_high = 0.9, .doc = "Must be given." },
  EVO_FILE (OddInput, fisher, 0, "A file of this input."),
  EVO_STRING (OddInput, label, NULL, "A text of this input."),
  EVO_PARAMS_END
};

static gboolean
odd_merge (const EvoMergeCall *c, GError **error)
{
  return evo_fail (error, EVO_PLUGIN_ERROR_PARAM, "this merge is for tests of reading");
}

EVO_MERGE_PLUGIN (.name = "odd", .summary = "Merges nothing.", .min_inputs = 2, .max_inputs = 3, .flags = EVO_MERGE_RANDOM | EVO_MERGE_TAKES_BASE,
                  EVO_TAKES (OddParams, params), EVO_TAKES_PER_INPUT (OddInput, in_params), .merge = odd_merge)

#endif
