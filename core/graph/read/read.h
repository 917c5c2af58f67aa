/* SPDX-License-Identifier: Apache-2.0
 * read.h - the inside of a pipeline and of reading it, shared by the files that read, check and write pipelines.
 *
 * Reading goes: text -> expand.c -> nodes.c (names and plugins, then everything in them) -> order.c -> searches.c -> saves.c.
 */
#ifndef EVO_GRAPH_READ_H
#define EVO_GRAPH_READ_H

#include "core/base/error.h"
#include "core/graph/graph.h"

enum {
  EVO_MAX_NODES = 1000,
  EVO_MAX_INPUTS = 1000,
  EVO_MAX_ABOVE = 4096     /* nodes that one model may stand on, each counted as often as it is read */
};

typedef struct EvoSets EvoSets;  /* the --set arguments */
typedef struct { EvoGene *gene; EvoNode *node; } EvoGeneUse;

struct EvoGraph {
  EvoSets *sets;
  EvoJsonDoc *doc;         /* expanded: every value on the line it has in the file */
  EvoRegistry *registry;
  char *name, *folder;     /* folder is absolute */
  const char *title;
  guint64 seed;
  gboolean truncate;       /* embeddings, by the command line */
  GPtrArray *nodes;        /* EvoNode, owned; in order of the file until order.c has sorted them */
  GHashTable *by_name;
  GPtrArray *values;       /* every EvoValue, owned */
  GPtrArray *genes;        /* every EvoGene, owned, in order of the file */
  GHashTable *genes_by_name;
  GArray *uses;            /* EvoGeneUse, in order of the file */
  GPtrArray *arena;        /* texts and lists of parameters, with g_free */
  GPtrArray *warnings;     /* NULL-terminated */
};

/* --- keys.c: one value of a known type; messages "where: what; what would be right" */
gboolean evo_read_text (const EvoJson *v, const char **out, GError **error);          /* not empty */
gboolean evo_read_flag (const EvoJson *v, gboolean *out, GError **error);
gboolean evo_read_whole (const EvoJson *v, gint64 min, gint64 *out, GError **error);   /* min ... 2^53 - 1 */
gboolean evo_read_positive (const EvoJson *v, double *out, GError **error);
gboolean evo_read_one_of (const EvoJson *v, const char *const *names, guint32 *out, GError **error);
gboolean evo_read_size (const EvoJson *v, guint64 *out, GError **error);               /* bytes: 5000000, "5GB" */
gboolean evo_read_note (const EvoJson *v, GError **error);
gboolean evo_read_object (const EvoJson *v, const char *const *keys, GError **error);  /* an object that has no other keys */
char *evo_names_hint (const char *name, const char *const *names);                     /* "; did you mean ..." or what there is (owned) */
gboolean evo_is_plain_name (const char *name);  /* letters, digits, - and _ */

/* --- dtypes.c: a name; a name, or names by selector */
gboolean evo_read_dtype (const EvoJson *v, EvoDtype *out, GError **error);
gboolean evo_read_dtypes (EvoGraph *g, const EvoJson *v, EvoDtypes *out, GError **error);

/* --- compat.c: the node's own "compat", else the pipeline's; mergekit's defaults for those parameters of the table that it has others for */
gboolean evo_read_compat (EvoGraph *g, EvoNode *node, GError **error);
void evo_compat_set_defaults (const EvoNode *node, const EvoParam *table, gpointer object);
void evo_compat_write (EvoDtype compat, EvoJsonWriter *w);

/* --- expand.c */
EvoSets *evo_sets_new (const char *const *arguments, GError **error);
void evo_sets_free (EvoSets *sets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoSets, evo_sets_free)
/* The pipeline with ${VAR} and the sets filled in. NULL: an unset variable, a set that names nothing. */
EvoJsonDoc *evo_expand (const EvoJsonDoc *doc, EvoSets *sets, GError **error);
/* A message about a value that a set put there names the set instead of a place in the file. */
void evo_sets_rename (const EvoSets *sets, const char *file, GError **error);
char *evo_escape_variables (const char *text);  /* "${" as "$${", which expansion undoes (owned) */

/* --- nodes.c */
gboolean evo_read_nodes (EvoGraph *g, const EvoJson *nodes, GError **error);
void evo_node_free (EvoNode *node);
/* The node that v, a text, names; NULL: there is none, or none of the kinds (bits 1 << EvoKind) that `what` ("a model or a search") is. */
EvoNode *evo_read_node (const EvoGraph *g, const EvoJson *v, guint kinds, const char *what, GError **error);
char **evo_node_names (const EvoGraph *g);      /* in order of the file or the graph (owned) */
enum { EVO_IS_MODEL = 1 << EVO_KIND_MODEL | 1 << EVO_KIND_MERGE | 1 << EVO_KIND_OPTIMIZER, EVO_IS_EVALUATOR = 1 << EVO_KIND_EVALUATOR };
extern const char evo_model_or_search[];

/* --- edges.c */
gboolean evo_read_in (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error);
gboolean evo_read_base (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error);
gboolean evo_check_inputs (EvoGraph *g, EvoNode *node, GError **error);   /* counts, base, required and non-numeric parameters of the inputs */

/* --- value.c, gene.c. name: what a gene in it is called */
EvoValue *evo_read_value (EvoGraph *g, EvoNode *node, const EvoParam *p, const char *name, const EvoJson *v, GError **error);
gboolean evo_is_gene (const EvoJson *v);
EvoGene *evo_read_gene (EvoGraph *g, EvoNode *node, const EvoParam *p, const char *name, const EvoJson *v, GError **error);
gboolean evo_check_simplexes (const EvoGraph *g, GError **error);
void evo_gene_free (EvoGene *gene);
/* --- path/genes.c: those of a layer path; its inputs are read */
gboolean evo_read_path_genes (EvoGraph *g, EvoNode *node, GError **error);

/* --- evaluators.c, searches.c: the host's keys of these kinds */
gboolean evo_read_evaluator_key (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error);
gboolean evo_check_evaluator (const EvoNode *node, GError **error);
gboolean evo_read_search_key (EvoGraph *g, EvoNode *node, const EvoJson *v, GError **error);
/* Targets, stages, genes, exams; then what is read outside its search. */
gboolean evo_find_searches (EvoGraph *g, GError **error);
gboolean evo_check_outside (const EvoGraph *g, GError **error);

/* --- order.c, saves.c */
gboolean evo_sort_nodes (EvoGraph *g, GError **error);
gboolean evo_read_saves (EvoGraph *g, const EvoJson *save, GError **error);

#endif
