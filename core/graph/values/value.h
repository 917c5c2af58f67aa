/* SPDX-License-Identifier: Apache-2.0
 * value.h - what a merge parameter may be: a scalar, a gradient over layers, selectors over tensor names, or genes.
 *
 * A value is resolved to one double per tensor before an operator sees it (booleans 0/1, choices by index).
 */
#ifndef EVO_GRAPH_VALUE_H
#define EVO_GRAPH_VALUE_H

#include "core/abi/evopipe-model.h"
#include "core/base/json.h"
#include "core/param/param.h"

typedef struct EvoValue EvoValue;
typedef struct EvoGene EvoGene;

typedef enum { EVO_VALUE_SCALAR, EVO_VALUE_GRADIENT, EVO_VALUE_SELECT, EVO_VALUE_GENE } EvoValueKind;

struct EvoValue {
  EvoValueKind kind;
  const EvoJson *where;
  double scalar;
  double *list; guint n;            /* GRADIENT: points; SELECT: n of the two below */
  char **selectors;                 /* "@attn", "*.mlp.*" */
  EvoValue **values;
  EvoGene *gene;                    /* shared by all values of the same "name" */
};

typedef enum { EVO_PER_MODEL, EVO_PER_LAYER, EVO_PER_GROUP, EVO_PER_CONTROL, EVO_PER_SELECTORS, EVO_PER_POSITION } EvoPer; /* POSITION: of a layer path */

/* One {"evolve": ...} or {"choice": ...}: one dimension, or several under one name (`per`). */
struct EvoGene {
  char *name;                       /* "blend.ja.weight", or the user's "name" */
  const EvoJson *where;
  const EvoParam *param;
  gboolean is_choice, is_log, is_int;
  double low, high;
  double start, sigma;              /* NaN: not given (start: the middle of the range, geometric for log); sigma: share of the range */
  double *choices; guint n_choices; /* scalars of the parameter */
  char **choice_names;              /* NULL: they are called as the parameter's values are */
  EvoPer per; guint per_n; char **per_selectors;
  char *simplex; double simplex_total; /* NULL: none */
  gconstpointer of_path;            /* POSITION: the EvoNode of the path */
  double *starts;                   /* [n] POSITION: where each begins; NULL: all at start */
  guint n;                          /* dimensions; known once the number of layers is (evo_gene_bind) */
  char **labels;                    /* [n] full names: "blend.ja.weight[layer 3]" */
  guint first;                      /* index of its first dimension in the graph-wide vector of all genes (given by layout/genes.c after binding): a
                                     search scatters its own vector into that, so two searches may share one EvoGene */
};

/* Where a tensor is, for selectors and gradients. */
typedef struct { const char *name; const EvoRole *role; gint32 n_layers; } EvoPlace;

/* --- value.c */
/* The scalar at a place; FALSE: no selector matched (fall through to the next level). x: the graph-wide vector, in the genes' own units with
 * choices as indices; NULL where the value has no gene. */
gboolean evo_value_resolve (const EvoValue *v, const EvoPlace *place, const double *x, double *out);
gboolean evo_value_has_gene (const EvoValue *v);
/* Marks in used[] (per selector of every select below v, depth-first order) what matched; for "glob that matches no tensor". */
void evo_value_mark (const EvoValue *v, const EvoPlace *place, GHashTable *used);
/* FALSE: a selector below v is not in `used`: EVO_GRAPH_ERROR_UNKNOWN naming it. */
gboolean evo_value_check_used (const EvoValue *v, GHashTable *used, GError **error);
/* Writes the value with its genes replaced by their numbers: scalars, lists or selectors (a gene-free pipeline). n_layers as bound. */
void evo_value_write (const EvoValue *v, const EvoParam *param, const double *x, gint32 n_layers, EvoJsonWriter *w);

/* --- gene.c */
/* Counts dimensions and makes labels for a model of n_layers. FALSE: "group:9" of 6 layers and the like. */
gboolean evo_gene_bind (EvoGene *gene, gint32 n_layers, GError **error);
double evo_gene_start (const EvoGene *gene, guint part); /* of one dimension, in the gene's own units: what is given, else the middle of the range */
/* Divides the genes of each simplex by their sum, in place; FALSE, EVO_PLUGIN_ERROR_PARAM: a sum is 0. */
gboolean evo_genes_apply_simplex (EvoGene *const *genes, guint n, double *x, GError **error);

/* --- selectors.c */
gboolean evo_selector_matches (const char *selector, const EvoPlace *place);
/* EVO_GRAPH_ERROR_SYNTAX for a selector that is none ("@atn", "@layers:3-"). */
gboolean evo_selector_check (const char *selector, const EvoJson *where, GError **error);

#endif
