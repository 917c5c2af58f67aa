/* SPDX-License-Identifier: Apache-2.0
 * vocab.h - merging models of different vocabularies: what "tokenizer" and "chat_template" of a merge say, and what comes of it.
 *
 * Reading goes: spec.c (the keys) -> tokens.c (the vocabularies of the inputs) -> union.c (the result's) -> gather.c (which row of which input a
 * token has) -> layout.c. Then view.c gives operators the inputs' rows in the result's order, and files.c writes tokenizers. The meaning is that
 * of mergekit 0.1.5: an input's own row; where it lacks the token, the row of the only model that has it, else the base's, else the mean of those
 * that have it; nobody has it: zeros. Rows that pad are the mean of that input's rows.
 */
#ifndef EVO_GRAPH_VOCAB_H
#define EVO_GRAPH_VOCAB_H

#include "core/graph/layout.h"
#include "core/nn/tokenizer/tokenizer.h"

typedef struct EvoTokens EvoTokens;
typedef struct EvoGather EvoGather;

/* ------------------------------------------------------------------ what a pipeline says */

typedef enum { EVO_VOCAB_BASE, EVO_VOCAB_UNION, EVO_VOCAB_NODE, EVO_VOCAB_TRUNCATE } EvoVocabKind;
typedef enum { EVO_TOKEN_OF_NODE, EVO_TOKEN_ZERO, EVO_TOKEN_TEXT, EVO_TOKEN_ID } EvoTokenRuleKind;

typedef struct {
  const char *token;            /* of the result */
  EvoTokenRuleKind kind;
  guint input;                  /* edge; n_in: the base */
  const char *other; gint64 id; /* TEXT, ID: which token of that model */
  gboolean force;               /* for models that have the token, too */
  const EvoJson *where;
} EvoTokenRule;

struct EvoVocabSpec {
  EvoVocabKind kind;
  guint input;                  /* NODE: edge; n_in: the base */
  gint64 multiple;              /* rows are padded to one of it; 1: not */
  EvoTokenRule *rules; guint n_rules;
  const EvoJson *where;         /* NULL: the command line's */
};

/* --- spec.c: the keys "tokenizer" and "chat_template" of a merge whose edges are read. */
gboolean evo_read_vocab (const EvoGraph *g, EvoNode *node, GError **error);
void evo_vocab_spec_free (EvoVocabSpec *spec);
/* As it is read: the key and its value, and chat_template. Nothing where nothing was said. */
void evo_vocab_write (const EvoNode *node, EvoJsonWriter *w);

/* ------------------------------------------------------------------ vocabularies */

enum { EVO_TOKEN_ADDED = 1, EVO_TOKEN_SPECIAL = 2, EVO_TOKEN_LSTRIP = 4, EVO_TOKEN_RSTRIP = 8, EVO_TOKEN_SINGLE = 16, EVO_TOKEN_NORMALIZED = 32 };
typedef struct { const char *text; guint8 flags; } EvoToken; /* text NULL: no token has this id */

struct EvoTokens {
  gint ref_count;
  GArray *tokens;               /* EvoToken, by id; only those that have a row */
  GHashTable *ids;              /* text -> id + 1 */
  GStringChunk *chunk;
  GHashTable *stripped;         /* texts that the file has and no row: they are left out of what is written; NULL: none */
  char *folder;                 /* where the files lie */
  char *json;                   /* tokenizer.json, where it is not the folder's; NULL: the folder's files are right as they are */
  GArray *appended;             /* gint64: ids that the folder's files lack, or do not have among their added tokens; NULL: none */
  gboolean is_spm;              /* there is a tokenizer.model only */
};

/* --- tokens.c */
EvoTokens *evo_tokens_new (const char *folder);
EvoTokens *evo_tokens_ref (EvoTokens *t);
void evo_tokens_unref (EvoTokens *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoTokens, evo_tokens_unref)
/* The vocabulary of a model's folder whose embedding has n_rows rows. Errors: EVO_STORE_ERROR MISSING (no tokenizer), OPEN, FORMAT. */
EvoTokens *evo_tokens_open (const char *folder, gint64 n_rows, GError **error);
gint64 evo_tokens_find (const EvoTokens *t, const char *text); /* -1: none */
const EvoToken *evo_tokens_get (const EvoTokens *t, gint64 id); /* NULL: none */
/* A token at an id that is free; the first of two equal texts keeps its place in look-ups. */
void evo_tokens_put (EvoTokens *t, gint64 id, const char *text, guint8 flags);
gint64 evo_tokens_count (const EvoTokens *t);                   /* highest id + 1 */

/* --- union.c: the first, with what the others [n] and the rules have beside it; ids of the first stay. */
EvoTokens *evo_tokens_join (EvoTokens *first, EvoTokens *const *others, guint n, const EvoTokenRule *rules, guint n_rules, GError **error);

/* ------------------------------------------------------------------ rows */

typedef enum { EVO_REST_NONE, EVO_REST_ZERO, EVO_REST_ROW, EVO_REST_MEAN, EVO_REST_PADDING } EvoRestKind;
/* What inputs have that lack a token: NONE: none does. ROW: row `row` of input `input`. MEAN: of the inputs that have it. */
typedef struct { gint32 row; guint16 input; guint8 kind, force; } EvoRest;

struct EvoGather {
  gint64 n_tokens, n_rows;
  guint n_in;                   /* inputs; n_in: the base */
  gint32 **own;                 /* [n_in + 1][n_tokens] row of each token, -1: lacks it; NULL: no such input */
  EvoRest *rest;                /* [n_tokens] */
  gboolean pads;                /* some row is the mean of the others */
};

/* --- gather.c: in [n_in + 1], NULL: no base. Errors: EVO_GRAPH_ERROR_UNKNOWN: a rule names a token that its model lacks. */
EvoGather *evo_gather_new (const EvoNode *node, EvoTokens *out, EvoTokens *const *in, const gint64 *n_rows, GError **error);
void evo_gather_free (EvoGather *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoGather, evo_gather_free)

/* --- layout.c */
/* Gives out, which has the reference's tensors, the rows, tokens and template of `node`. Errors: EVO_GRAPH_ERROR, EVO_STORE_ERROR. */
gboolean evo_vocab_layout (const EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error);
/* Input and result may differ in rows: the tensor's are gathered or cut. */
gboolean evo_vocab_covers (const EvoNode *node, const EvoLayoutTensor *result, const EvoShape *input);
/* What is to be done about shapes that differ: the tail of a message. */
const char *evo_vocab_advice (const EvoLayoutTensor *t, const EvoShape *other);
/* That embeddings are cut: a sentence (owned); NULL: they are not. */
char *evo_vocab_dup_warning (const EvoModels *m, const EvoNode *node);
/* Configuration, tokens and template of `from`, a copy of which `out` is. */
void evo_layout_inherit (EvoLayout *out, const EvoLayout *from);
void evo_layout_disinherit (EvoLayout *l);
gint64 evo_layout_vocab (const EvoLayout *l);  /* rows of the embedding, 0: there is none */
/* The vocabulary of a node's rows, as it is known or in the files of its folder. Owned. */
EvoTokens *evo_vocab_tokens_of (const EvoModels *m, const EvoNode *node, GError **error);

/* --- chat.c */
/* The template that a name stands for; NULL: it is none of them. */
const char *evo_chat_named (const char *name);
extern const char *const evo_chat_names[];     /* NULL-terminated */
char *evo_chat_of_folder (const char *folder); /* chat_template.jinja, else tokenizer_config.json's (owned); NULL: none */
/* What chat_template of a merge stands for: "auto" is the most frequent of its inputs', the earlier of two as frequent; NULL: they have none. */
char *evo_chat_resolve (const EvoModels *m, const EvoNode *node);

/* --- files.c: for save.c and resident models */
gboolean evo_vocab_is_file (const char *name);         /* a tokenizer's file, or its template's */
char *evo_vocab_dup_folder (const EvoModels *m, const EvoNode *node); /* where a node's tokenizer files lie (owned), NULL: nowhere */
gboolean evo_vocab_keeps (const EvoLayout *l, const char *name);       /* it is copied, for it is not written anew */
/* What is written anew: the tokenizer's files, generation_config.json. */
typedef gboolean (*EvoVocabSink) (gpointer data, const char *name, const char *text, gsize n, GError **error);
gboolean evo_vocab_write_files (const EvoModels *m, const EvoNode *node, EvoVocabSink sink, gpointer data, GError **error);
/* A member of config.json or generation_config.json that is another in this model: vocab_size, ids of tokens. FALSE: nothing is written. */
gboolean evo_vocab_write_member (const EvoModels *m, const EvoLayout *l, const EvoJson *v, EvoJsonWriter *w);
/* A token of the layout's source in this model; -1: it has none. */
gint64 evo_vocab_map (const EvoLayout *l, gint64 id);
void evo_vocab_fit_decoder (const EvoLayout *l, EvoDecoderSpec *spec); /* rows, and tokens that begin and end */
EvoTokenizer *evo_vocab_open_tokenizer (const EvoModels *m, const EvoNode *node, GError **error); /* NULL without error: it has none */

/* --- view.c: a merge's inputs p->in[] become their gathered rows, where this tensor has a row for each token. */
typedef struct EvoPrepared EvoPrepared;
gboolean evo_vocab_gather (EvoPrepared *p, GError **error);
/* How many of the tensor's elements [first, first + n) can be read at once from a file that has the rows of input e, *at: from which element of it;
 * -1: the input lacks their token, and the file says nothing of it. */
gint64 evo_vocab_own_run (const EvoPrepared *p, guint e, gint64 first, gint64 n, gint64 *at);

#endif
