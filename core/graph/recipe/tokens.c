/* SPDX-License-Identifier: Apache-2.0
 * tokens.c - what a recipe says of the tokenizer and its template: models of one vocabulary keep theirs.
 */
#include <string.h>

#include "core/graph/recipe/tokens.h"

/* Two files of a store each: both missing, or the same bytes. */
static gboolean
same_file (const EvoStore *a, const EvoStore *b, const char *name)
{
  g_autofree char *x = evo_store_find_file (a, name), *y = evo_store_find_file (b, name);
  g_autoptr (GMappedFile) f = x == NULL ? NULL : g_mapped_file_new (x, FALSE, NULL), g = y == NULL ? NULL : g_mapped_file_new (y, FALSE, NULL);

  if (f == NULL || g == NULL)
    return x == NULL && y == NULL;
  return g_mapped_file_get_length (f) == g_mapped_file_get_length (g) &&
         memcmp (g_mapped_file_get_contents (f), g_mapped_file_get_contents (g), g_mapped_file_get_length (f)) == 0;
}

static EvoJsonDoc *
tokenizer_of (const EvoStore *s)
{
  g_autofree char *path = evo_store_find_file (s, "tokenizer.json");

  return path == NULL ? NULL : evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, NULL);
}

static gboolean
same_added (const EvoJson *a, const EvoJson *b)
{
  if (evo_json_size (a) != evo_json_size (b))
    return FALSE;
  for (guint i = 0; i < evo_json_size (a); i++) {
    const EvoJson *x = evo_json_at (a, i), *y = evo_json_at (b, i);

    if (g_strcmp0 (evo_json_get_string (x, "content"), evo_json_get_string (y, "content")) != 0 ||
        evo_json_get_number (x, "id", -1) != evo_json_get_number (y, "id", -1))
      return FALSE;
  }
  return TRUE;
}

/* The same tokens under the same numbers; settings such as padding may differ. */
static gboolean
same_tokens (const EvoStore *a, const EvoStore *b)
{
  g_autoptr (EvoJsonDoc) x = NULL, y = NULL;
  const EvoJson *p, *q;
  g_autofree char *u = NULL, *v = NULL;

  if (same_file (a, b, "tokenizer.json") && same_file (a, b, "tokenizer.model"))
    return TRUE;
  if ((x = tokenizer_of (a)) == NULL || (y = tokenizer_of (b)) == NULL)
    return FALSE;
  p = evo_json_member (evo_json_member (evo_json_root (x), "model"), "vocab");
  q = evo_json_member (evo_json_member (evo_json_root (y), "model"), "vocab");
  if (p == NULL || q == NULL)
    return FALSE;
  u = evo_json_text (p);
  v = evo_json_text (q);
  return strcmp (u, v) == 0 &&
         same_added (evo_json_member (evo_json_root (x), "added_tokens"), evo_json_member (evo_json_root (y), "added_tokens"));
}

static gboolean
check_same (const EvoRecipe *r, const EvoRecipeStage *s, guint line, GError **error)
{
  const EvoRecipeModel *first = s->base != NULL ? s->base : s->inputs->pdata[0];

  for (guint i = 0; i < s->inputs->len; i++) {
    const EvoRecipeModel *m = s->inputs->pdata[i];

    if (m != first && !same_tokens (first->store, m->store))
      return evo_recipe_fail (r, line, error, "%s and %s have different tokens; recipes are read whose models have one vocabulary", first->node, m->node);
  }
  return TRUE;
}

static gboolean
check_source (const EvoRecipe *r, const EvoRecipeStage *s, const EvoYaml *v, GError **error)
{
  static const char *const sources[] = { "base", "union", NULL };
  g_autofree char *quoted = NULL;

  if (evo_yaml_text (v) != NULL && g_strv_contains (sources, v->text))
    return check_same (r, s, v->line, error);
  quoted = evo_yaml_text (v) == NULL ? g_strdup (evo_yaml_kind_name (v)) : evo_json_quoted (v->text);
  return evo_recipe_fail (r, v->line, error, "the tokenizer's source is read where it is base or union, not %s", quoted);
}

gboolean
evo_recipe_check_tokens (const EvoRecipe *r, const EvoRecipeStage *s, GError **error)
{
  static const char *const keys[] = { "source", "tokens", "pad_to_multiple_of", NULL };
  const EvoYaml *old = evo_yaml_member (s->root, "tokenizer_source"), *v = evo_yaml_member (s->root, "tokenizer");
  const EvoYaml *chat = evo_yaml_member (s->root, "chat_template");

  if (old != NULL && v != NULL)
    return evo_recipe_fail (r, MAX (old->line, v->line), error, "tokenizer_source and tokenizer say the same thing twice; leave one out");
  if (chat != NULL)
    return evo_recipe_fail (r, chat->line, error, "chat_template is not read: the result keeps that of %s; leave it out, and write another into the "
                            "result's tokenizer_config.json", (s->base != NULL ? s->base : (EvoRecipeModel *) s->inputs->pdata[0])->node);
  if (old != NULL)
    return check_source (r, s, old, error);
  if (v == NULL)
    return TRUE;
  if (v->kind != EVO_YAML_MAP)
    return evo_recipe_fail (r, v->line, error, "tokenizer is a map, as tokenizer: {source: base}, not %s", evo_yaml_kind_name (v));
  if (!evo_recipe_check_keys (r, v, "tokenizer", keys, error))
    return FALSE;
  for (guint i = 1; i < 3; i++)
    if (evo_yaml_member (v, keys[i]) != NULL)
      return evo_recipe_fail (r, evo_yaml_member (v, keys[i])->line, error, "tokenizer.%s is not read; rows of embeddings stay as they are", keys[i]);
  return evo_yaml_member (v, "source") == NULL || check_source (r, s, evo_yaml_member (v, "source"), error);
}
