/* SPDX-License-Identifier: Apache-2.0
 * tokens.c - what a recipe says of the tokenizer and its template.
 */
#include <string.h>

#include "core/graph/read/read.h"
#include "core/graph/recipe/tokens.h"
#include "core/graph/vocab/vocab.h"

/* The document, and the nodes that stand for its inputs and, last, its base; NULL: their own. */
typedef struct { EvoRecipe *r; const EvoRecipeStage *s; char *const *names; } Tokens;

/* ------------------------------------------------------------------ models */

/* The node of a model that is merged here. */
static const char *
merged_model (const Tokens *t, const EvoYaml *v, GError **error)
{
  EvoRecipeModel *m = evo_recipe_model (t->r, v, error);
  guint i = t->s->inputs->len;

  if (m != NULL && (g_ptr_array_find (t->s->inputs, m, &i) || m == t->s->base))
    return t->names != NULL ? t->names[i] : m->node;
  if (m != NULL)
    evo_recipe_fail (t->r, v->line, error, "%s is not merged here; tokens and their rows come from models that are", m->node);
  return NULL;
}

/* "base", "union", or a model. */
static gboolean
write_source (const Tokens *t, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  static const char *const words[] = { "base", "union", NULL };
  const char *text = evo_yaml_text (v), *node = text != NULL && g_strv_contains (words, text) ? text : NULL;

  if (text == NULL || *text == '\0')
    return evo_recipe_fail (t->r, v->line, error, "the tokenizer's source is base, union or a model, not %s", evo_yaml_kind_name (v));
  if (node == NULL && (node = merged_model (t, v, error)) == NULL)
    return FALSE;
  evo_json_add_string (w, node);
  return TRUE;
}

/* ------------------------------------------------------------------ rows of single tokens */

static void
add_text (EvoJsonWriter *w, const char *key, const char *text)
{
  g_autofree char *escaped = evo_escape_variables (text);

  evo_json_add_key (w, key);
  evo_json_add_string (w, escaped);
}

static gboolean
write_model_token (const Tokens *t, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  const EvoYaml *model = evo_yaml_member (v, "model"), *token = evo_yaml_member (v, "token"), *id = evo_yaml_member (v, "token_id");
  const char *node;
  double x = 0;

  if (model == NULL || (token == NULL) == (id == NULL))
    return evo_recipe_fail (t->r, v->line, error, "a source of kind model_token needs model, and either token or token_id");
  node = merged_model (t, model, error);
  if (node == NULL)
    return FALSE;
  if (token != NULL && (evo_yaml_text (token) == NULL || *token->text == '\0'))
    return evo_recipe_fail (t->r, token->line, error, "token needs a text");
  if (id != NULL && (!evo_yaml_number (id, &x) || x < 0 || x >= 1 << 30 || x != (double) (gint64) x))
    return evo_recipe_fail (t->r, id->line, error, "token_id needs a whole number from 0 on");
  add_text (w, "model", node);
  if (token != NULL) {
    add_text (w, "token", token->text);
    return TRUE;
  }
  evo_json_add_key (w, "token_id");
  evo_json_add_integer (w, (gint64) x);
  return TRUE;
}

static gboolean
write_token_source (const Tokens *t, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  static const char *const keys[] = { "kind", "model", "token", "token_id", NULL }, *const zero[] = { "kind", NULL };
  const char *kind = evo_yaml_text (evo_yaml_member (v, "kind")), *node;
  gboolean is_zero = g_strcmp0 (kind, "zero") == 0;

  if (v->kind != EVO_YAML_MAP) {
    node = merged_model (t, v, error);
    if (node == NULL)
      return FALSE;
    evo_json_add_string (w, node);
    return TRUE;
  }
  if (!is_zero && g_strcmp0 (kind, "model_token") != 0)
    return evo_recipe_fail (t->r, v->line, error, "a token's source is a model, or a map whose kind is zero or model_token");
  evo_json_begin_object (w);
  add_text (w, "kind", kind);
  if (!evo_recipe_check_keys (t->r, v, "a token's source", is_zero ? zero : keys, error) || (!is_zero && !write_model_token (t, v, w, error)))
    return FALSE;
  evo_json_end_object (w);
  return TRUE;
}

static gboolean
write_token (const Tokens *t, const EvoYaml *key, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  static const char *const keys[] = { "source", "force", NULL };
  const EvoYaml *source, *force;
  gboolean is_forced = FALSE;

  if (*key->text == '\0')
    return evo_recipe_fail (t->r, key->line, error, "a token is not empty");
  if (!evo_recipe_check_keys (t->r, v, "a token", keys, error))
    return FALSE;
  source = evo_yaml_member (v, "source");
  force = evo_yaml_member (v, "force");
  if (source == NULL)
    return evo_recipe_fail (t->r, v->line, error, "a token needs a source: a model, or a map with kind");
  if (force != NULL && !evo_yaml_flag (force, &is_forced))
    return evo_recipe_fail (t->r, force->line, error, "force is true or false");
  evo_json_add_key (w, key->text);
  evo_json_begin_object (w);
  evo_json_add_key (w, "source");
  if (!write_token_source (t, source, w, error))
    return FALSE;
  if (is_forced) {
    evo_json_add_key (w, "force");
    evo_json_add_bool (w, TRUE);
  }
  evo_json_end_object (w);
  return TRUE;
}

static gboolean
write_rules (const Tokens *t, const EvoYaml *tokens, EvoJsonWriter *w, GError **error)
{
  if (tokens->kind != EVO_YAML_MAP)
    return evo_recipe_fail (t->r, tokens->line, error, "tokens is a map of tokens, not %s", evo_yaml_kind_name (tokens));
  evo_json_add_key (w, "tokens");
  evo_json_begin_object (w);
  for (guint i = 0; i < tokens->keys->len; i++)
    if (!write_token (t, tokens->keys->pdata[i], tokens->items->pdata[i], w, error))
      return FALSE;
  evo_json_end_object (w);
  return TRUE;
}

/* ------------------------------------------------------------------ the keys */

static gboolean
write_tokenizer (const Tokens *t, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  static const char *const keys[] = { "source", "tokens", "pad_to_multiple_of", NULL };
  const EvoYaml *source, *tokens, *multiple;
  double n = 1;

  if (v->kind != EVO_YAML_MAP)
    return evo_recipe_fail (t->r, v->line, error, "tokenizer is a map, as tokenizer: {source: base}, not %s", evo_yaml_kind_name (v));
  if (!evo_recipe_check_keys (t->r, v, "tokenizer", keys, error))
    return FALSE;
  source = evo_yaml_member (v, "source");
  tokens = evo_yaml_member (v, "tokens");
  multiple = evo_yaml_member (v, "pad_to_multiple_of");
  if (multiple != NULL && (!evo_yaml_number (multiple, &n) || n < 1 || n > 1 << 20 || n != (double) (gint64) n))
    return evo_recipe_fail (t->r, multiple->line, error, "pad_to_multiple_of needs a whole number from 1 to %d", 1 << 20);
  evo_json_add_key (w, "tokenizer");
  evo_json_begin_object (w);
  evo_json_add_key (w, "source");
  if (source == NULL)
    evo_json_add_string (w, "union"); /* mergekit's default */
  else if (!write_source (t, source, w, error))
    return FALSE;
  if (multiple != NULL) {
    evo_json_add_key (w, "pad_to_multiple_of");
    evo_json_add_integer (w, (gint64) n);
  }
  if (tokens != NULL && !write_rules (t, tokens, w, error))
    return FALSE;
  evo_json_end_object (w);
  return TRUE;
}

static gboolean
write_chat (const Tokens *t, const EvoYaml *v, EvoJsonWriter *w, GError **error)
{
  const char *text = evo_yaml_text (v);
  g_autofree char *hint = NULL, *quoted = NULL;

  if (text == NULL || *text == '\0')
    return evo_recipe_fail (t->r, v->line, error, "chat_template is auto, the name of a template, or one in Jinja; not %s", evo_yaml_kind_name (v));
  if (strchr (text, '{') == NULL && !g_strv_contains (evo_chat_names, text)) {
    hint = evo_names_hint (text, evo_chat_names);
    quoted = evo_json_quoted (text);
    return evo_recipe_fail (t->r, v->line, error, "chat_template %s is no template of Jinja, which has a { somewhere, and no name of one%s", quoted, hint);
  }
  add_text (w, "chat_template", text);
  return TRUE;
}

gboolean
evo_recipe_write_tokens (EvoRecipe *r, const EvoRecipeStage *s, char *const *names, EvoJsonWriter *w, GError **error)
{
  const Tokens all = { r, s, names }, *t = &all;
  const EvoYaml *old = evo_yaml_member (s->root, "tokenizer_source"), *v = evo_yaml_member (s->root, "tokenizer");
  const EvoYaml *chat = evo_yaml_member (s->root, "chat_template");

  if (old != NULL && v != NULL)
    return evo_recipe_fail (r, MAX (old->line, v->line), error, "tokenizer_source and tokenizer say the same thing twice; leave one out");
  if (old != NULL) {
    evo_json_add_key (w, "tokenizer");
    if (!write_source (t, old, w, error))
      return FALSE;
  }
  if (r->truncate && old == NULL && v == NULL)
    add_text (w, "tokenizer", "truncate"); /* what the option means, so that the pipeline alone makes the same bytes */
  return (v == NULL || write_tokenizer (t, v, w, error)) && (chat == NULL || write_chat (t, chat, w, error));
}
