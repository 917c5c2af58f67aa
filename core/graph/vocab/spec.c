/* SPDX-License-Identifier: Apache-2.0
 * spec.c - the keys "tokenizer" and "chat_template" of a merge, read and written again.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"
#include "core/graph/vocab/vocab.h"

static const char *const kinds[] = { "base", "union", "truncate", NULL };

void
evo_vocab_spec_free (EvoVocabSpec *spec)
{
  if (spec == NULL)
    return;
  g_free (spec->rules);
  g_free (spec);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoVocabSpec, evo_vocab_spec_free)

/* ------------------------------------------------------------------ reading */

static const char *
input_name (const EvoNode *node, guint i)
{
  const EvoEdge *e = i < node->n_in ? &node->in[i] : &node->base;

  return e->from == NULL ? NULL : e->from->name;
}

/* The base goes first: it is the one that is meant where an input is of the same node. */
static gboolean
read_input (const EvoNode *node, const EvoJson *v, gboolean is_source, guint *out, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_autofree char *hint = NULL, *quoted = NULL;
  const char *name;

  if (!evo_read_text (v, &name, error))
    return FALSE;
  for (guint k = 0; k <= node->n_in; k++) {
    guint i = k == 0 ? node->n_in : k - 1;

    if (input_name (node, i) == NULL)
      continue;
    if (g_str_equal (input_name (node, i), name)) {
      *out = i;
      return TRUE;
    }
    g_ptr_array_add (names, (gpointer) input_name (node, i));
  }
  for (guint i = 0; is_source && kinds[i] != NULL; i++)
    g_ptr_array_add (names, (gpointer) kinds[i]);
  g_ptr_array_add (names, NULL);
  hint = evo_names_hint (name, (const char *const *) names->pdata);
  quoted = evo_json_quoted (name);
  return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "%s is none of the models that are merged here%s", quoted, hint);
}

/* "base", "union", "truncate", or an input. */
static gboolean
read_source (const EvoNode *node, const EvoJson *v, EvoVocabSpec *spec, GError **error)
{
  const char *text = evo_json_string (v);

  spec->kind = EVO_VOCAB_BASE;
  if (g_strcmp0 (text, "base") == 0)
    return TRUE;
  spec->kind = g_strcmp0 (text, "union") == 0 ? EVO_VOCAB_UNION : g_strcmp0 (text, "truncate") == 0 ? EVO_VOCAB_TRUNCATE : EVO_VOCAB_NODE;
  return spec->kind != EVO_VOCAB_NODE || read_input (node, v, TRUE, &spec->input, error);
}

/* {"kind": "model_token", "model": NODE, "token": TEXT or "token_id": N} */
static gboolean
read_model_token (const EvoNode *node, const EvoJson *v, EvoTokenRule *rule, GError **error)
{
  const EvoJson *model = evo_json_member (v, "model"), *token = evo_json_member (v, "token"), *id = evo_json_member (v, "token_id");

  if (model == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"model\", one of those that are merged here");
  if ((token == NULL) == (id == NULL))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs either \"token\" or \"token_id\", whose row is taken");
  rule->kind = token != NULL ? EVO_TOKEN_TEXT : EVO_TOKEN_ID;
  return read_input (node, model, FALSE, &rule->input, error) &&
         (token != NULL ? evo_read_text (token, &rule->other, error) : evo_read_whole (id, 0, &rule->id, error));
}

static gboolean
read_rule_source (const EvoNode *node, const EvoJson *v, EvoTokenRule *rule, GError **error)
{
  static const char *const names[] = { "zero", "model_token", NULL }, *const keys[] = { "kind", "model", "token", "token_id", NULL };
  static const char *const zero_keys[] = { "kind", NULL };
  const EvoJson *kind = evo_json_member (v, "kind");
  guint32 which;

  rule->kind = EVO_TOKEN_OF_NODE;
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return read_input (node, v, FALSE, &rule->input, error);
  if (kind == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"kind\", which is \"zero\" or \"model_token\"");
  if (!evo_read_one_of (kind, names, &which, error) || !evo_read_object (v, which == 0 ? zero_keys : keys, error))
    return FALSE;
  rule->kind = EVO_TOKEN_ZERO;
  return which == 0 || read_model_token (node, v, rule, error);
}

static gboolean
read_rule (const EvoNode *node, const EvoJson *v, EvoTokenRule *rule, GError **error)
{
  static const char *const keys[] = { "source", "force", NULL };
  const EvoJson *source = evo_json_member (v, "source"), *force = evo_json_member (v, "force");

  rule->token = evo_json_key (v);
  rule->where = v;
  if (*rule->token == '\0')
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "a token is not empty");
  if (!evo_read_object (v, keys, error) || (force != NULL && !evo_read_flag (force, &rule->force, error)))
    return FALSE;
  if (source == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"source\", where the token's row is from");
  return read_rule_source (node, source, rule, error);
}

static gboolean
read_rules (const EvoNode *node, const EvoJson *v, EvoVocabSpec *spec, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_TYPE, "needs an object of tokens, not %s", evo_json_kind_name (evo_json_kind (v)));
  spec->rules = g_new0 (EvoTokenRule, MAX (evo_json_size (v), 1));
  for (guint i = 0; i < evo_json_size (v); i++)
    if (!read_rule (node, evo_json_at (v, i), &spec->rules[spec->n_rules++], error))
      return FALSE;
  return TRUE;
}

static gboolean
read_spec (const EvoNode *node, const EvoJson *v, EvoVocabSpec *spec, GError **error)
{
  static const char *const keys[] = { "source", "pad_to_multiple_of", "tokens", NULL };
  const EvoJson *source = evo_json_member (v, "source"), *multiple = evo_json_member (v, "pad_to_multiple_of"), *tokens = evo_json_member (v, "tokens");

  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return read_source (node, v, spec, error);
  if (!evo_read_object (v, keys, error))
    return FALSE;
  if (source == NULL)
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_MISSING, "needs \"source\", which is \"base\", \"union\" or a node");
  if (!read_source (node, source, spec, error) || (multiple != NULL && !evo_read_whole (multiple, 1, &spec->multiple, error)) ||
      (tokens != NULL && !read_rules (node, tokens, spec, error)))
    return FALSE;
  if (spec->multiple > 1 << 20)
    return evo_fail_at (error, multiple, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%" G_GINT64_FORMAT " is more than %d", spec->multiple, 1 << 20);
  if (spec->kind == EVO_VOCAB_TRUNCATE && (multiple != NULL || tokens != NULL))
    return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "\"truncate\" looks at no token; leave the other keys out");
  return TRUE;
}

static gboolean
read_chat (const EvoJson *v, const char **out, GError **error)
{
  const char *text;
  g_autofree char *hint = NULL, *quoted = NULL;

  if (!evo_read_text (v, &text, error))
    return FALSE;
  if (strchr (text, '{') != NULL || g_str_equal (text, "auto") || evo_chat_named (text) != NULL) {
    *out = text;
    return TRUE;
  }
  hint = evo_names_hint (text, evo_chat_names);
  quoted = evo_json_quoted (text);
  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "%s is no template of Jinja, which has a { somewhere, and no name of one%s",
                      quoted, hint);
}

/* Layers are put in order, adapters applied: rows, tokenizer and template come from one model as they are. */
static gboolean
refuse_key (const EvoNode *node, const EvoJson *v, GError **error)
{
  gboolean is_path = ((const EvoMergeOp *) node->plugin->op)->host == EVO_HOST_LAYERS;
  const char *key = evo_json_key (v), *from = is_path ? node->in[0].from->name : node->base.from->name;

  return evo_fail_at (error, v, EVO_PARAM_ERROR, EVO_PARAM_ERROR_UNKNOWN, "%s mixes no rows, its %s is that of its %s, \"%s\"; leave \"%s\" out, or "
                      "put a merge with this \"%s\" in the place of \"%s\"", node->plugin->name, g_str_equal (key, "tokenizer") ? key : "chat template",
                      is_path ? "first input" : "base", from, key, key, from);
}

gboolean
evo_read_vocab (const EvoGraph *g, EvoNode *node, GError **error)
{
  const EvoJson *v = evo_json_member (node->where, "tokenizer"), *chat = evo_json_member (node->where, "chat_template");
  gboolean is_host = ((const EvoMergeOp *) node->plugin->op)->host != EVO_HOST_NONE;
  g_autoptr (EvoVocabSpec) spec = NULL;

  if (is_host && (v != NULL || chat != NULL))
    return refuse_key (node, v != NULL ? v : chat, error);
  if (is_host || (v == NULL && chat == NULL && !g->truncate))
    return TRUE;
  if (chat != NULL && !read_chat (chat, &node->chat_template, error))
    return FALSE;
  if (v == NULL && !g->truncate)
    return TRUE;
  spec = g_new0 (EvoVocabSpec, 1);
  *spec = (EvoVocabSpec){ .kind = EVO_VOCAB_TRUNCATE, .multiple = 1, .where = v };
  if (v != NULL && !read_spec (node, v, spec, error))
    return FALSE;
  node->vocab = g_steal_pointer (&spec);
  return TRUE;
}

/* ------------------------------------------------------------------ writing */

static void
add_text (EvoJsonWriter *w, const char *key, const char *text)
{
  g_autofree char *escaped = evo_escape_variables (text);

  evo_json_add_key (w, key);
  evo_json_add_string (w, escaped);
}

static void
write_rule (const EvoNode *node, const EvoTokenRule *rule, EvoJsonWriter *w)
{
  evo_json_add_key (w, rule->token);
  evo_json_begin_object (w);
  if (rule->kind == EVO_TOKEN_OF_NODE) {
    add_text (w, "source", input_name (node, rule->input));
  } else {
    evo_json_add_key (w, "source");
    evo_json_begin_object (w);
    add_text (w, "kind", rule->kind == EVO_TOKEN_ZERO ? "zero" : "model_token");
    if (rule->kind != EVO_TOKEN_ZERO)
      add_text (w, "model", input_name (node, rule->input));
    if (rule->kind == EVO_TOKEN_TEXT)
      add_text (w, "token", rule->other);
    if (rule->kind == EVO_TOKEN_ID) {
      evo_json_add_key (w, "token_id");
      evo_json_add_integer (w, rule->id);
    }
    evo_json_end_object (w);
  }
  if (rule->force) {
    evo_json_add_key (w, "force");
    evo_json_add_bool (w, TRUE);
  }
  evo_json_end_object (w);
}

void
evo_vocab_write (const EvoNode *node, EvoJsonWriter *w)
{
  static const char *const names[] = { [EVO_VOCAB_BASE] = "base", [EVO_VOCAB_UNION] = "union", [EVO_VOCAB_TRUNCATE] = "truncate" };
  const EvoVocabSpec *s = node->vocab;
  const char *source = s == NULL ? NULL : s->kind == EVO_VOCAB_NODE ? input_name (node, s->input) : names[s->kind];

  if (node->chat_template != NULL)
    add_text (w, "chat_template", node->chat_template);
  if (s == NULL)
    return;
  if (s->multiple == 1 && s->n_rules == 0) {
    add_text (w, "tokenizer", source);
    return;
  }
  evo_json_add_key (w, "tokenizer");
  evo_json_begin_object (w);
  add_text (w, "source", source);
  if (s->multiple > 1) {
    evo_json_add_key (w, "pad_to_multiple_of");
    evo_json_add_integer (w, s->multiple);
  }
  if (s->n_rules > 0) {
    evo_json_add_key (w, "tokens");
    evo_json_begin_object (w);
    for (guint i = 0; i < s->n_rules; i++)
      write_rule (node, &s->rules[i], w);
    evo_json_end_object (w);
  }
  evo_json_end_object (w);
}
