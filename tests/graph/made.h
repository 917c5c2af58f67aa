/* SPDX-License-Identifier: Apache-2.0
 * made.h - models that the tests of merging make for themselves, pipelines over them, and the tensors that come out.
 */
#ifndef TESTS_GRAPH_MADE_H
#define TESTS_GRAPH_MADE_H

#include "core/graph/merge/merge.h"

enum { MADE_MAX = 400 }; /* tensors of a model */

/* What is written: values [n] (NULL: zeros), stored as the dtype, rounded to nearest even. raw: bytes instead, for other types. */
typedef struct { const char *name; EvoDtype dtype; guint n_dims; gint64 dims[4]; const float *values; const void *raw; } MadeTensor;

extern char *made_folder;            /* of the process; removed by made_end */
extern EvoRegistry *made_registry;   /* the program's plugins, and those of probe.c */

void made_begin (void);
void made_end (void);
char *made_path (const char *name);  /* below the folder (owned) */
void made_file (const char *model, const char *name, const char *text);
/* A directory of one safetensors file with these tensors; config NULL: none. */
void made_model (const char *model, const MadeTensor *tensors, guint n, const char *config);
/* The same with one float tensor "x". */
void made_vector (const char *model, EvoDtype dtype, const float *values, gint64 n);

typedef struct { EvoGraph *graph; EvoModels *models; } Made;
void made_clear (Made *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Made, made_clear)
/* Nodes as the members of "nodes" ('a': model a in the folder); ' stands for ". Also members beside "nodes" with `top`, which may be NULL. */
gboolean made_open (Made *m, const char *nodes, const char *top, GError **error);
void made_open_good (Made *m, const char *nodes);
/* Exactly this error, with the folder's name cut out of the message. */
void made_refused (const char *nodes, GQuark domain, gint code, const char *message);
void made_check_error (const GError *error, GQuark domain, gint code, const char *message);

typedef struct { guint threads; const double *x; gint64 trial; EvoMemo *memo; const char *isa; } MadeHow; /* isa NULL: the CPU's own */
extern const MadeHow made_plainly;   /* one thread, no genes */
/* Bytes of a node's tensor in dtype (NONE: the layout's); NULL: error. */
GBytes *made_compute (const Made *m, const char *node, const char *tensor, EvoDtype dtype, const MadeHow *how, GError **error);
float *made_floats (const Made *m, const char *node, const char *tensor, const MadeHow *how); /* in fp32 (owned) */
guint made_find (const Made *m, const char *node, const char *tensor);

/* Numbers that are different for every stream: uniform in [-1, 1), or whole numbers -m .. m, which have many ties (owned). */
float *made_uniform (gint64 n, guint64 stream);
float *made_whole (gint64 n, guint m, guint64 stream);
guint16 made_bf16 (double x);        /* rounded once, to nearest even; x normal */

#endif
