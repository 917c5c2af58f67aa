/* SPDX-License-Identifier: Apache-2.0
 * graph.h - a pipeline as read: nodes, edges, values, genes, searches. Nothing is opened yet.
 *
 * Everything belongs to the EvoGraph. Messages name file, line and JSON pointer.
 *
 * Genes are called node.param, node.source.param on an edge, node.source#2.param on the second edge from that source, with [selector] where
 * they stand below one; so --set names edges too. A text that is ${VAR} alone becomes VAR's JSON, if it is any; $${ stands for ${ itself.
 */
#ifndef EVO_GRAPH_GRAPH_H
#define EVO_GRAPH_GRAPH_H

#include "core/graph/values/dtypes.h"
#include "core/graph/values/value.h"
#include "core/registry/registry.h"
#include "core/tensor/dtype.h"

typedef struct EvoNode EvoNode;
typedef struct EvoVocabSpec EvoVocabSpec; /* vocab/vocab.h */
typedef struct EvoPathGenes EvoPathGenes; /* path/evolve.h */
typedef struct EvoGraph EvoGraph;

typedef struct {
  EvoNode *from;
  guint occurrence;             /* 0 for the first edge from this node into that node, 1 for the second, ... */
  const EvoJson *where;
  EvoValue **values;            /* [params of the operator's in_params]; NULL: not given on the edge */
  gpointer params;              /* in_params_size bytes: defaults and what is not numeric */
} EvoEdge;

typedef struct {                /* evaluator nodes: what the host does for every evaluator */
  const char *data, *format, *template_file; /* absolute paths; NULL: not given */
  const char *template_name;    /* as written */
  EvoStrings columns;
  gboolean shuffle; gint64 sample, skip, limit; /* sample, limit 0: all */
  guint32 language_test;        /* 0: fasttext, 1: script */
  EvoNode *against;             /* exam: NULL = the best-scoring model.* node */
} EvoEvaluatorSpec;

typedef struct { EvoNode *evaluator; double weight; } EvoObjective; /* weight is negative for what is minimised */

typedef struct {                /* optimizer nodes */
  EvoObjective *objectives; guint n_objectives;
  EvoNode *target;              /* the model node all objectives score */
  gint64 trials, stall;         /* stall 0: none */
  double minutes;               /* 0: none */
  gint64 sample_items;          /* 0: all items in every trial; else N per generation */
  EvoNode *validate;            /* evaluator, or NULL */
  const EvoJson *start_from;    /* array of {gene: value}, or NULL */
  EvoGene **genes; guint n_genes; /* owned by this search, in order of the file */
  EvoNode **merges; guint n_merges; /* merge nodes between the target and sources or other searches: inputs before users */
} EvoSearchSpec;

typedef enum { EVO_SAVE_PLAIN, EVO_SAVE_SHARED } EvoSaveLayout; /* of a layer path: a layer for each hop, or each layer once (path/shared.h) */

struct EvoNode {
  char *name;
  guint index;                  /* in the graph's topological order: inputs before users */
  EvoKind kind;
  const EvoRegistered *plugin;
  const EvoJson *where;
  EvoEdge *in; guint n_in;      /* merge, evaluator: models; optimizer: none */
  EvoEdge base;                 /* merge: from NULL = none */
  EvoValue **values;            /* [operator's params] numeric parameters of a merge; NULL: default. Others: unused */
  gpointer params;              /* params_size bytes: defaults, non-numeric parameters, and every scalar of other kinds */
  EvoValue **in_values;         /* merge: per-input parameters written in the node: every edge's value; NULL: none */
  EvoDtypes dtype;
  EvoDtype compat;              /* merge: as mergekit does it, what it reads rounded to this; NONE: as evopipe does */
  gboolean allow_nonfinite;     /* model: its NaN and infinities, and what comes of them, are let through */
  guint64 stream;               /* mix (seed of the node or pipeline, name); "masks": {"trial": N} mixes N + 1 in, as prepare.c does for a trial */
  gboolean masks_per_trial;
  EvoPathGenes *path_genes;     /* merge.layer-path whose path or scales are searched; NULL: fixed, or no path */
  gboolean has_genes;           /* itself or, up to the next search, upstream */
  EvoNode *searched_by;         /* a search whose stage this node is in (the first), NULL: none */
  EvoVocabSpec *vocab;          /* merge: "tokenizer"; NULL: embeddings are merged as they are */
  const char *chat_template;    /* merge: a name, auto, or a template; NULL: that of the tokenizer's files */
  EvoEvaluatorSpec eval;
  EvoSearchSpec search;
  gboolean is_exam;             /* evaluator that no search consumes */
  const char *save_path;        /* as written in "save"; NULL: not saved */
  EvoDtypes save_dtype;
  guint64 save_shard_bytes;     /* 0: default */
  guint32 save_layout;          /* EvoSaveLayout */
};

typedef struct {
  const char *const *sets;      /* NULL-terminated "NODE.PARAM=VALUE" (or NODE.EDGE.PARAM) */
  gboolean has_seed; guint64 seed;
  gboolean truncate_embeddings; /* merges that say nothing of a tokenizer have the smallest number of rows among their inputs */
} EvoGraphOptions;

/* --- graph.c */
/* Reads, expands ${VAR} and --set, looks plugins up, binds parameters, orders nodes, finds searches and their genes and checks everything
 * that needs no file but the pipeline. options may be NULL. registry is borrowed and outlives the graph. */
EvoGraph *evo_graph_new_from_file (const char *path, EvoRegistry *registry, const EvoGraphOptions *options, GError **error);
EvoGraph *evo_graph_new_from_text (const char *text, gssize n, const char *name, const char *folder, EvoRegistry *registry,
                                   const EvoGraphOptions *options, GError **error);
void evo_graph_free (EvoGraph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoGraph, evo_graph_free)

const char *evo_graph_get_title (const EvoGraph *graph);         /* or the file's name without .json */
const char *evo_graph_get_name (const EvoGraph *graph);          /* the file's name without folder and .json */
const char *evo_graph_get_folder (const EvoGraph *graph);
guint64 evo_graph_get_seed (const EvoGraph *graph);
EvoRegistry *evo_graph_get_registry (const EvoGraph *graph);     /* borrowed */
guint evo_graph_get_n_nodes (const EvoGraph *graph);
EvoNode *evo_graph_get (const EvoGraph *graph, guint i);         /* topological order */
EvoNode *evo_graph_find (const EvoGraph *graph, const char *name); /* NULL: none */
const char *const *evo_graph_get_warnings (const EvoGraph *graph); /* sentences: a node neither read nor saved */

/* --- write/ */
/* The pipeline with variables, --set and seed filled in: what a run directory keeps as pipeline.json (pretty, paths absolute). Owned. */
char *evo_graph_to_json (const EvoGraph *graph);
/* What a resumed run must have in common, as (JSON pointer, text) pairs in order: without title, notes, trials, minutes, stall, save and exam
 * nodes. Owned strv of 2n. */
char **evo_graph_identity (const EvoGraph *graph);
/* The gene-free pipeline that makes the model of `node`, a model, a merge or a search, again, in the dtype and shards that "save" says of it:
 * x is the graph-wide gene vector, simplexes applied (NULL: it has none), trial the winner's (-1: none), whose masks it repeats where they go
 * by trial. Searches it reads become models of the path that search_path gives. Owned. */
typedef char *(*EvoSearchPath) (gpointer data, const EvoNode *search);
char *evo_graph_to_recipe (const EvoGraph *graph, const EvoNode *node, const double *x, gint64 trial, EvoSearchPath search_path,
                           gpointer data, const gint32 *n_layers /* [n_nodes] */);

#endif
