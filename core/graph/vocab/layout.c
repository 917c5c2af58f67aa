/* SPDX-License-Identifier: Apache-2.0
 * layout.c - the rows that a merge's embeddings have, and the vocabulary and template that go with them.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/vocab/vocab.h"

static gboolean
has_rows (const EvoLayoutTensor *t)
{
  return (t->role.kind == EVO_ROLE_EMBED || t->role.kind == EVO_ROLE_HEAD) && t->shape.n_dims > 0;
}

gint64
evo_layout_vocab (const EvoLayout *l)
{
  gint64 rows = 0;

  for (guint i = 0; i < l->n; i++)
    if (has_rows (&l->tensors[i]))
      rows = rows == 0 ? l->tensors[i].shape.dims[0] : MIN (rows, l->tensors[i].shape.dims[0]);
  return rows;
}

/* ------------------------------------------------------------------ what a layout carries */

void
evo_layout_inherit (EvoLayout *out, const EvoLayout *from)
{
  out->source = from->source;
  out->n_rows = from->n_rows;
  out->tokens = from->tokens == NULL ? NULL : evo_tokens_ref (from->tokens);
  out->moved = from->moved == NULL ? NULL : g_array_ref (from->moved);
  out->chat_template = g_strdup (from->chat_template);
  out->gather = NULL;
}

void
evo_layout_disinherit (EvoLayout *l)
{
  g_clear_pointer (&l->tokens, evo_tokens_unref);
  g_clear_pointer (&l->moved, g_array_unref);
  g_clear_pointer (&l->chat_template, g_free);
  g_clear_pointer (&l->gather, evo_gather_free);
}

EvoTokens *
evo_vocab_tokens_of (const EvoModels *m, const EvoNode *node, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  g_autofree char *folder = NULL;

  if (l->tokens != NULL)
    return evo_tokens_ref (l->tokens);
  folder = evo_models_dup_folder (m, node);
  if (folder != NULL)
    return evo_tokens_open (folder, evo_layout_vocab (l), error);
  evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: lies in no model's folder, so that it has no tokenizer; \"tokenizer\" needs one of every model",
                 evo_store_get_path (evo_models_get_store (m, l->source)));
  return NULL;
}

/* ------------------------------------------------------------------ rows */

static gboolean
differs_in_rows (const EvoShape *a, const EvoShape *b)
{
  return a->n_dims == b->n_dims && memcmp (a->dims + 1, b->dims + 1, (a->n_dims - 1) * sizeof a->dims[0]) == 0;
}

gboolean
evo_vocab_covers (const EvoNode *node, const EvoLayoutTensor *result, const EvoShape *input)
{
  return node->vocab != NULL && has_rows (result) && differs_in_rows (&result->shape, input);
}

const char *
evo_vocab_advice (const EvoLayoutTensor *t, const EvoShape *other)
{
  return has_rows (t) && differs_in_rows (&t->shape, other)
           ? "the models have different vocabularies: write \"tokenizer\": \"union\" or \"base\" in the merge (in a recipe, tokenizer: {source: union}), or merge "
             "with --unsafe-truncate-embeddings"
           : "shapes must agree";
}

static void
set_rows (EvoLayout *l, EvoLayoutTensor *t, gint64 rows)
{
  t->shape.n = t->shape.dims[0] == 0 ? 0 : t->shape.n / t->shape.dims[0] * rows;
  t->shape.dims[0] = rows;
  l->n_rows = rows;
}

static const EvoNode *
input_of (const EvoNode *node, guint e)
{
  return e < node->n_in ? node->in[e].from : node->base.from;
}

static const EvoLayoutTensor *
find_tensor (const EvoLayout *l, const EvoLayoutTensor *like)
{
  for (guint i = 0; i < l->n; i++)
    if (strcmp (l->tensors[i].shape.name, like->shape.name) == 0)
      return &l->tensors[i];
  for (guint i = 0; i < l->n; i++)
    if (l->tensors[i].role.kind == EVO_ROLE_EMBED && like->role.kind == EVO_ROLE_HEAD)
      return &l->tensors[i]; /* tied: what is lent */
  return NULL;
}

/* The most and the fewest rows that inputs have; 0: there are none. */
static void
find_rows (const EvoModels *m, const EvoNode *node, const EvoLayout *l, gint64 *most, gint64 *least)
{
  *most = *least = 0;
  for (guint i = 0; i < l->n; i++)
    for (guint e = 0; has_rows (&l->tensors[i]) && e <= node->n_in; e++) {
      const EvoNode *from = input_of (node, e);
      const EvoLayoutTensor *t = from == NULL ? NULL : find_tensor (evo_models_get_layout (m, from), &l->tensors[i]);

      if (t == NULL || t->shape.n_dims == 0)
        continue;
      *least = *most == 0 ? t->shape.dims[0] : MIN (*least, t->shape.dims[0]);
      *most = MAX (*most, t->shape.dims[0]);
    }
}

char *
evo_vocab_dup_warning (const EvoModels *m, const EvoNode *node)
{
  gint64 most = 0, least = 0;

  if (node->vocab != NULL && node->vocab->kind == EVO_VOCAB_TRUNCATE)
    find_rows (m, node, evo_models_get_layout (m, node), &most, &least);
  if (most == least)
    return NULL;
  return g_strdup_printf ("%s: embeddings are cut from %" G_GINT64_FORMAT " rows to %" G_GINT64_FORMAT ", whatever tokens those are; the tokenizer is copied as it is, and may "
                          "name tokens that are gone", node->name, most, least);
}

static void
cut_rows (const EvoModels *m, const EvoNode *node, EvoLayout *out)
{
  gint64 most, least;

  find_rows (m, node, out, &most, &least);
  if (most == least)
    return;
  for (guint i = 0; i < out->n; i++)
    if (has_rows (&out->tensors[i]))
      set_rows (out, &out->tensors[i], least);
}

/* ------------------------------------------------------------------ tokens */

typedef struct {
  const EvoModels *m;
  const EvoNode *node;
  EvoTokens **in;   /* [n_in + 1], NULL: no base */
  gint64 *n_rows;   /* [n_in + 1] */
} Joining;

static void
joining_clear (Joining *j)
{
  for (guint e = 0; e <= j->node->n_in; e++)
    evo_tokens_unref (j->in[e]);
  g_free (j->in);
  g_free (j->n_rows);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Joining, joining_clear)

static gboolean
open_all (Joining *j, GError **error)
{
  for (guint e = 0; e <= j->node->n_in; e++) {
    const EvoNode *from = input_of (j->node, e);

    for (guint f = 0; f < e && from != NULL && j->in[e] == NULL; f++)
      if (input_of (j->node, f) == from)
        j->in[e] = evo_tokens_ref (j->in[f]);
    if (from == NULL)
      continue;
    j->n_rows[e] = evo_layout_vocab (evo_models_get_layout (j->m, from));
    if (j->n_rows[e] == 0)
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: no tensor of %s is known to be an embedding; leave \"tokenizer\" out", j->node->name, from->name);
    if (j->in[e] == NULL && (j->in[e] = evo_vocab_tokens_of (j->m, from, error)) == NULL) {
      g_prefix_error (error, "%s: %s: ", j->node->name, from->name);
      return FALSE;
    }
  }
  return TRUE;
}

/* The result's vocabulary: of one model, or joined with all others. */
static EvoTokens *
make_tokens (const Joining *j, GError **error)
{
  const EvoVocabSpec *s = j->node->vocab;
  guint n_in = j->node->n_in, first = s->kind == EVO_VOCAB_NODE ? s->input : j->node->base.from != NULL ? n_in : 0, n = 0;
  g_autofree EvoTokens **others = g_new (EvoTokens *, n_in + 1);

  for (guint e = 0; s->kind == EVO_VOCAB_UNION && e <= n_in; e++)
    if (j->in[e] != NULL && j->in[e] != j->in[first])
      others[n++] = j->in[e];
  return evo_tokens_join (j->in[first], others, n, s->rules, s->n_rules, error);
}

/* Where tokens of the configuration, which is the reference's, have come to; NULL: all are where they were. */
static GArray *
moved_from (const EvoTokens *reference, const EvoTokens *out, const EvoLayout *r)
{
  gint64 n = r->moved != NULL ? r->moved->len : evo_tokens_count (reference);
  GArray *moved = g_array_sized_new (FALSE, FALSE, sizeof (gint32), (guint) n);
  gboolean any = r->moved != NULL;

  for (gint64 i = 0; i < n; i++) {
    gint64 at = r->moved != NULL ? g_array_index (r->moved, gint32, i) : i;
    const EvoToken *t = evo_tokens_get (reference, at);
    gint32 to = t == NULL ? -1 : (gint32) evo_tokens_find (out, t->text);

    any |= t != NULL && to != i;
    g_array_append_val (moved, to);
  }
  if (!any)
    g_clear_pointer (&moved, g_array_unref);
  return moved;
}

static gboolean
layout_tokens (const EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error)
{
  g_auto (Joining) j = { m, node, g_new0 (EvoTokens *, node->n_in + 1), g_new0 (gint64, node->n_in + 1) };
  guint reference = node->base.from != NULL ? node->n_in : 0;
  g_autoptr (EvoTokens) tokens = NULL;
  g_autoptr (EvoGather) gather = NULL;
  GArray *moved;

  if (!open_all (&j, error))
    return FALSE;
  tokens = make_tokens (&j, error);
  if (tokens == NULL || (gather = evo_gather_new (node, tokens, j.in, j.n_rows, error)) == NULL) {
    g_prefix_error (error, "%s: ", node->name);
    return FALSE;
  }
  for (guint i = 0; i < out->n; i++)
    if (has_rows (&out->tensors[i]))
      set_rows (out, &out->tensors[i], gather->n_rows);
  moved = moved_from (j.in[reference], tokens, evo_models_get_layout (m, input_of (node, reference)));
  g_clear_pointer (&out->moved, g_array_unref);
  g_clear_pointer (&out->tokens, evo_tokens_unref);
  out->moved = moved;
  out->tokens = g_steal_pointer (&tokens);
  out->gather = g_steal_pointer (&gather);
  return TRUE;
}

/* ------------------------------------------------------------------ the template */

static gboolean
layout_chat (const EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error)
{
  g_autofree char *text = NULL, *folder = NULL;
  g_autofree char *json = NULL, *spm = NULL;

  if (node->chat_template == NULL)
    return TRUE;
  text = evo_chat_resolve (m, node);
  if (text == NULL)
    return TRUE;
  folder = out->tokens != NULL ? g_strdup (out->tokens->folder) : evo_models_dup_folder (m, out->source);
  json = folder == NULL ? NULL : g_build_filename (folder, "tokenizer.json", NULL);
  spm = folder == NULL ? NULL : g_build_filename (folder, "tokenizer.model", NULL);
  if (folder == NULL || (!g_file_test (json, G_FILE_TEST_EXISTS) && !g_file_test (spm, G_FILE_TEST_EXISTS)))
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s: %s has no tokenizer, which a template belongs to; leave \"chat_template\" out", node->name,
                          folder == NULL ? out->source->name : folder);
  g_free (out->chat_template);
  out->chat_template = g_steal_pointer (&text);
  return TRUE;
}

gboolean
evo_vocab_layout (const EvoModels *m, const EvoNode *node, EvoLayout *out, GError **error)
{
  if (node->vocab != NULL && node->vocab->kind == EVO_VOCAB_TRUNCATE)
    cut_rows (m, node, out);
  else if (node->vocab != NULL && !layout_tokens (m, node, out, error))
    return FALSE;
  return layout_chat (m, node, out, error);
}
