/* SPDX-License-Identifier: Apache-2.0
 * evopipe.h - the plugin ABI: merge operators, optimizers, evaluators.
 *
 * A plugin is a shared object that exports one constant data symbol, `evo_plugin`. It says what it is in tables; the host
 * judges the tables before it calls anything. Parameters are declared once; from that one table come binding, checks,
 * messages, `evopipe inspect`, the JSON Schema and the search ranges. Start from plugins/merge/linear.c.
 */
#ifndef EVOPIPE_H
#define EVOPIPE_H

#include <glib.h>
#include <math.h>
#include <stddef.h>

#include "evopipe-kernels.h"

#define EVO_ABI_MAJOR 1
#define EVO_ABI_MINOR 0
#define EVO_PLUGIN_MAGIC 0x504f5645u /* "EVOP", little endian */

/* ------------------------------------------------------------------ parameters */

typedef enum {
  EVO_TYPE_BOOL = 1, EVO_TYPE_NUMBER, EVO_TYPE_INTEGER, /* gboolean, double, gint64 */
  EVO_TYPE_CHOICE,   /* guint32: index into names */
  EVO_TYPE_STRING,   /* const char *, the host's, alive until close; NULL where not given */
  EVO_TYPE_FILE,     /* const char *: absolute path, resolved against the pipeline's folder */
  EVO_TYPE_STRINGS, EVO_TYPE_NUMBERS /* EvoStrings, EvoNumbers */
} EvoType;

typedef struct { const char *const *items; gsize n; } EvoStrings;
typedef struct { const double *items; gsize n; } EvoNumbers;

/* TENSORS: of one FILE among a merge operator's in_params: a .safetensors file or a checkpoint's directory, which the host opens. It must have
 * every floating-point tensor that is merged, by the name and in the shape it has in that input; calls see its elements in aux. */
enum { EVO_PARAM_TUNABLE = 1, EVO_PARAM_REQUIRED = 2, EVO_PARAM_TENSORS = 4 };

typedef struct {
  const char *name;          /* the C member's name = the JSON key */
  guint32 type, offset, flags;
  double def;                /* BOOL, NUMBER, INTEGER, CHOICE */
  const char *def_string;    /* STRING, FILE; NULL: none */
  double min, max;           /* hard limits, inclusive */
  double search_low, search_high; /* range of {"evolve": true} */
  const char *const *names;  /* CHOICE: NULL-terminated */
  const char *doc;
} EvoParam;

#define EVO_TYPE_OF(S, m) \
  _Generic (((S *) 0)->m, double: EVO_TYPE_NUMBER, gint64: EVO_TYPE_INTEGER, gboolean: EVO_TYPE_BOOL, guint32: EVO_TYPE_CHOICE, \
            const char *: EVO_TYPE_STRING, EvoStrings: EVO_TYPE_STRINGS, EvoNumbers: EVO_TYPE_NUMBERS)
#define EVO_PARAM_(S, m, ...) { .name = #m, .type = EVO_TYPE_OF (S, m), .offset = offsetof (S, m), __VA_ARGS__ }

#define EVO_ANY .min = -HUGE_VAL, .max = HUGE_VAL
#define EVO_LIMITS(a, b) .min = (a), .max = (b)
#define EVO_SEARCH(a, b) .flags = EVO_PARAM_TUNABLE, .search_low = (a), .search_high = (b)
#define EVO_NO_SEARCH .flags = 0

#define EVO_BOOL(S, m, d, text) EVO_PARAM_ (S, m, .def = (d), .min = 0, .max = 1, .doc = text)
#define EVO_NUMBER(S, m, d, limits, search, text) EVO_PARAM_ (S, m, .def = (d), limits, search, .doc = text)
#define EVO_INTEGER(S, m, d, limits, text) EVO_PARAM_ (S, m, .def = (d), limits, .doc = text)
#define EVO_CHOICE(S, m, d, text, ...) \
  EVO_PARAM_ (S, m, .def = (d), .min = 0, .max = 1e9, .names = (const char *const[]){ __VA_ARGS__, NULL }, .doc = text)
#define EVO_STRING(S, m, d, text) EVO_PARAM_ (S, m, .def_string = (d), .doc = text)
#define EVO_FILE(S, m, f, text) { .name = #m, .type = EVO_TYPE_FILE, .offset = offsetof (S, m), .flags = (f), .doc = text }
#define EVO_STRINGS(S, m, text) EVO_PARAM_ (S, m, .doc = text)
#define EVO_NUMBERS(S, m, text) EVO_PARAM_ (S, m, EVO_ANY, .doc = text)
#define EVO_PARAMS_END { .name = NULL }

#define EVO_TAKES(S, table) .params = (table), .params_size = sizeof (S)
#define EVO_TAKES_PER_INPUT(S, table) .in_params = (table), .in_params_size = sizeof (S)

/* ------------------------------------------------------------------ errors */

/* PARAM and NUMERIC condemn the candidate, SHAPE and FILE the run. */
typedef enum { EVO_PLUGIN_ERROR_PARAM, EVO_PLUGIN_ERROR_NUMERIC, EVO_PLUGIN_ERROR_SHAPE, EVO_PLUGIN_ERROR_FILE } EvoPluginError;

/* Sets *error and returns FALSE, so that a failure is one statement. Inline: a plugin has no data of its own. */
static inline gboolean G_GNUC_PRINTF (3, 4) G_GNUC_UNUSED
evo_fail (GError **error, EvoPluginError code, const char *format, ...)
{
  va_list args;
  GError *e;

  va_start (args, format);
  e = g_error_new_valist (g_quark_from_static_string ("evo-plugin-error"), (gint) code, format, args);
  va_end (args);
  g_propagate_error (error, e);
  return FALSE;
}

/* ------------------------------------------------------------------ the plugin symbol */

typedef enum { EVO_KIND_MERGE = 1, EVO_KIND_MODEL, EVO_KIND_OPTIMIZER, EVO_KIND_EVALUATOR } EvoKind;

typedef struct {
  guint32 magic; /* EVO_PLUGIN_MAGIC */
  guint16 abi_major, abi_minor, sizeof_param, kind;
  guint32 n_ops;
  const void *const *ops; /* [n_ops] tables of the kind; each begins with EvoOp */
} EvoPlugin;

/* What every operator table begins with. `size` is the table's own size: it may be older (shorter) than the host's. */
typedef struct {
  gsize size;
  const char *name;     /* lower-case, hyphens: "dare-ties"; JSON says kind.name */
  const char *summary;  /* one sentence */
  const EvoParam *params; gsize params_size;
} EvoOp;

#define EVO_OP_FIELDS gsize size; const char *name, *summary; const EvoParam *params; gsize params_size

/* ------------------------------------------------------------------ merge operators */

typedef enum { EVO_BY_ELEMENT, EVO_BY_ROW, EVO_BY_TENSOR } EvoAccess; /* what one merge call must see at once */
typedef enum { EVO_OVER_TENSOR, EVO_OVER_ROW, EVO_OVER_COLUMN, EVO_OVER_MODEL } EvoScope; /* what one set of sums is over */

enum {
  EVO_MERGE_SYMMETRIC = 1,     /* a joint permutation of inputs and their parameters gives the same model within n eps sum |w x| */
  EVO_MERGE_IDEMPOTENT = 2,    /* n copies of a model give that model within 2 ulp at default parameters */
  EVO_MERGE_NEEDS_BASE = 4,
  EVO_MERGE_TAKES_BASE = 8,    /* base optional */
  EVO_MERGE_MEASURE_FIXED = 16,/* sums, keys and values use no tunable parameter: kept for a whole search */
  EVO_MERGE_RANDOM = 32,       /* uses in_seed */
  EVO_MERGE_SAME_KEYS = 64     /* the cuts of an input have the same keys, and so have the fixed ones: asked for once a slice */
};

typedef struct {
  const char *name;     /* name of the output tensor */
  gint32 layer;         /* -1: none */
  guint32 n_dims;
  gint64 dims[8];
  gint64 n_rows, n_cols, n; /* n_cols = last dimension, n_rows = the others' product (a vector is one row) */
  gint64 model_first;   /* elements of the model before this tensor, in output order */
  gint64 model_n;       /* elements of the model */
} EvoTensor;

typedef struct {        /* borrowed for the call */
  gsize size;
  const EvoKernels *k;
  const EvoTensor *t;
  const void *params;            /* the operator's struct, resolved for this tensor */
  const void *const *in_params;  /* [n_in] per-input structs, resolved for this tensor and input */
  const guint64 *in_seed;        /* [n_in], of (stream, edge, tensor): never of slice, thread or order of models */
  guint n_in;
  const float *base;             /* [n], or NULL */
  const float *const *in;        /* [n_in][n] */
  const float *const *aux;       /* [n_in][n]: of the TENSORS parameter's file; NULL without one, aux[i] NULL where i names no file */
  const double *coef;            /* what solve made: sums of all passes in order where there is no solve */
  const float *cut;              /* [n_cuts] k-th largest keys; +inf: nothing is kept, -1: everything is */
  const gint64 *last_tie;        /* [n_cuts] a key equal to cut is kept up to this element index */
  float *out;                    /* [n] */
  void *scratch;                 /* this thread's own, scratch_bytes, 64-byte aligned */
  gint64 first;                  /* index of the first element in the tensor: addresses random numbers */
  gsize n;
} EvoMergeCall;

typedef struct {
  EVO_OP_FIELDS;
  const EvoParam *in_params; gsize in_params_size;
  guint32 min_inputs, max_inputs;  /* max 0: any number */
  guint32 n_passes, access, scope, flags, n_cuts_per_input, n_cuts_fixed;
  /* Where parameters decide: the scope for these (operator's and inputs') parameters; NULL: `scope`.
   * TENSOR: one set of sums. ROW: measure, solve, keys and merge are called row by row, each with its row's coef; the rows' lie one after the
   * other. COLUMN: calls see whole rows; sums and coef are [n_sums][n_cols]. MODEL: sums and cuts run over all tensors of the model, in output order, before the first merge. */
  guint32 (*scope_of) (const void *params);
  /* All optional but merge. Order for a tensor: keys/rank -> cut (ROW: after the sums); measure passes 0.. -> sums; solve -> coef; merge. */
  guint32 (*n_sums) (const EvoMergeCall *c, guint pass);
  gboolean (*measure) (const EvoMergeCall *c, guint pass, double *sums, GError **error); /* of this slice; the host adds in index order */
  void (*keys) (const EvoMergeCall *c, guint cut, float *key);          /* [n], >= 0; cut = input * n_cuts_per_input + j, then the fixed */
  gint64 (*rank) (const EvoMergeCall *c, guint cut, gint64 n);          /* how many of the n largest keys are above the cut: 0..n */
  gboolean (*solve) (const EvoMergeCall *c, const double *sums, double *coef, GError **error); /* serial */
  guint32 (*n_coef) (const EvoMergeCall *c);
  gsize (*scratch_bytes) (const EvoTensor *t, guint n_in, gsize n);     /* for slices of at most n elements */
  gboolean (*merge) (const EvoMergeCall *c, GError **error);
  guint32 (*pick) (const EvoMergeCall *c); /* by the parameters: the only input that the tensor is made of; the others' in is NULL. No passes then */
  /* What the TENSORS file holds for a tensor, where that is not of its shape: dims [*n_dims]; FALSE: nothing is needed for it, aux[i] is NULL.
   * aux[i] is then all of it, in every call: for operators BY_TENSOR. NULL: the tensor's own shape. */
  gboolean (*aux_shape) (const EvoTensor *t, gint64 dims[8], guint32 *n_dims);
  guint32 host, n_figures; /* host: EVO_HOST_..., the host makes the model, by the parameters declared here, and calls nothing. n_figures: see pool */
  const char *formula, *source; /* one line each, for the reference: what is computed, by its parameters; whose it is. NULL: not said */
  /* Figures of the model that are no sums, as a median is: what MODEL means where there is a pool. Sums are then each tensor's own, as with
   * TENSOR; values makes n_values numbers of them (0: this tensor gives none); pool makes n_figures of the n numbers of all MODEL tensors, joined
   * in output order, its own to reorder; n may be 0. solve finds the figures behind the tensor's sums. All three or none, with solve, without keys. */
  guint32 (*n_values) (const EvoMergeCall *c);
  gboolean (*values) (const EvoMergeCall *c, const double *sums, double *values, GError **error); /* [n_values]; serial */
  gboolean (*pool) (double *values, gsize n, double *figures, GError **error); /* [n], [n_figures]; serial, once for a candidate */
} EvoMergeOp;

enum { EVO_HOST_NONE, EVO_HOST_LAYERS /* layers put in another order */, EVO_HOST_LORA /* adapters of a base; JSON says model.NAME */ };

/* ------------------------------------------------------------------ optimizers: always minimise */

typedef enum { EVO_DIM_REAL, EVO_DIM_INTEGER, EVO_DIM_CHOICE, EVO_DIM_TRIAL } EvoDimKind;

typedef struct {
  const char *name;
  guint32 kind, n_choices;
  double low, high;      /* may be infinite */
  double start, sigma;   /* in the dimension's own units; sigma NaN: the optimizer's default */
} EvoDim;

typedef struct {
  gint64 trial;
  gboolean failed;       /* loss and items mean nothing; worse than everything */
  const double *loss;    /* [n_objectives] */
  const double *items;   /* [n_items] per-item losses, or NULL */
  gsize n_items;
} EvoOutcome;

typedef enum { EVO_ASKED_GIVEN, EVO_ASKED_WAIT, EVO_ASKED_DONE } EvoAsked;

typedef struct {
  EVO_OP_FIELDS;
  guint32 max_objectives, flags;
  gpointer (*open) (const EvoDim *dims, guint n_dims, guint n_objectives, const void *params, guint64 seed, const EvoKernels *k, GError **error);
  EvoAsked (*ask) (gpointer self, gint64 trial, double *x); /* [n_dims] in the dimensions' own units */
  void (*tell) (gpointer self, const double *x, const EvoOutcome *outcome); /* in trial order, when the whole batch is complete */
  void (*close) (gpointer self);
} EvoOptimizerOp;

/* ------------------------------------------------------------------ evaluators */

typedef struct { const char *bytes; gsize n; } EvoText; /* UTF-8, not NUL-terminated, may hold NUL */

typedef struct {          /* the data of an evaluator node, read by the host; alive until close */
  gsize size;
  const char *file;       /* for messages */
  gint64 n_rows;
  guint n_fields;
  const char *const *fields; /* [n_fields] */
  const EvoText *cells;   /* [n_rows][n_fields] */
  const gint64 *lines;    /* [n_rows] line in the file, for messages */
  /* Share of probability (0..1) that `text` is in language `code` ("ja"), by the node's language_test. */
  double (*language) (gconstpointer host, EvoText text, const char *code);
  /* The template's text with {field} filled from row `row`; free with g_string_free. NULL and error: unknown field. */
  GString *(*fill) (gconstpointer host, const char *template_text, gint64 row, GError **error);
  const char *template_text; /* the node's template, NULL: none was given */
  gconstpointer host;
} EvoRows;

typedef enum { EVO_REQUEST_GENERATE = 1, EVO_REQUEST_CHOICES, EVO_REQUEST_ROLLING } EvoRequestKind;

/* The evaluator owns what it points to, alive until close or the next request call for the item. Items differ in prompt and choices only: kind
 * and options are the same for all items of an evaluator. */
typedef struct {
  guint32 kind;
  EvoText prompt;         /* GENERATE: the prompt; CHOICES: the context; ROLLING: the document */
  gint64 max_tokens, beams, top_k; /* GENERATE, down to stop */
  double temperature, top_p, repetition_penalty, length_penalty; /* temperature 0: greedy */
  guint64 seed;
  const char *const *stop; guint n_stop; /* generation ends where one appears; it is cut off */
  const EvoText *choices; guint n_choices; /* CHOICES */
  gint64 context;         /* ROLLING: tokens of a window, BOS included; 0: the model's */
} EvoRequest;

typedef struct {
  EvoText text;                    /* GENERATE */
  const double *log_likelihood;    /* CHOICES: [n_choices] sums, natural log; ROLLING: [1] */
  const gint64 *n_tokens;          /* CHOICES: [n_choices]; ROLLING: [1] tokens scored; GENERATE: [1] */
  const gboolean *is_greedy;       /* CHOICES */
} EvoAnswer;

typedef struct {
  EVO_OP_FIELDS;
  guint32 n_values;       /* doubles per item: 1, or more where the score is a ratio of sums (perplexity) */
  guint32 flags;
  gpointer (*open) (const void *params, const EvoRows *rows, guint64 seed, GError **error);
  gint64 (*n_items) (gpointer self);
  gboolean (*request) (gpointer self, gint64 item, EvoRequest *out, GError **error);
  gboolean (*judge) (gpointer self, gint64 item, const EvoAnswer *answer, double *values, GError **error); /* [n_values]; pure */
  gboolean (*reduce) (gpointer self, const double *values, gint64 n_items, double *out, GError **error);   /* NULL: mean of values */
  const char *const *extra_names;  /* NULL-terminated names of further figures reduce_extra gives (bits_per_byte), or NULL */
  gboolean (*reduce_extra) (gpointer self, const double *values, gint64 n_items, double *out, GError **error);
  void (*close) (gpointer self);
} EvoEvaluatorOp;

/* BINARY: item scores are 0 or 1: Wilson, McNemar. COST: reads no data and asks nothing; the one item's values are the model's figures: hops,
 * parameters, bytes of keys and values a token, operations a token. */
enum { EVO_EVALUATOR_BINARY = 1, EVO_EVALUATOR_SMALLER_IS_BETTER = 2, EVO_EVALUATOR_COST = 4 };

/* ------------------------------------------------------------------ declaring a plugin */

#ifndef EVO_EXPORT
#define EVO_EXPORT __attribute__ ((visibility ("default")))
#endif

#define EVO_PLUGIN_(KIND, ...) \
  EVO_EXPORT extern const EvoPlugin evo_plugin; \
  EVO_EXPORT const EvoPlugin evo_plugin = { EVO_PLUGIN_MAGIC, EVO_ABI_MAJOR, EVO_ABI_MINOR, sizeof (EvoParam), KIND, \
                                            sizeof ((const void *const[]){ __VA_ARGS__ }) / sizeof (void *), \
                                            (const void *const[]){ __VA_ARGS__ } };
#define EVO_MERGE_PLUGIN(...) \
  static const EvoMergeOp evo_op_ = { .size = sizeof (EvoMergeOp), __VA_ARGS__ }; EVO_PLUGIN_ (EVO_KIND_MERGE, &evo_op_)
#define EVO_OPTIMIZER_PLUGIN(...) \
  static const EvoOptimizerOp evo_op_ = { .size = sizeof (EvoOptimizerOp), __VA_ARGS__ }; EVO_PLUGIN_ (EVO_KIND_OPTIMIZER, &evo_op_)
#define EVO_EVALUATOR_PLUGIN(...) \
  static const EvoEvaluatorOp evo_op_ = { .size = sizeof (EvoEvaluatorOp), __VA_ARGS__ }; EVO_PLUGIN_ (EVO_KIND_EVALUATOR, &evo_op_)

#endif
