/* SPDX-License-Identifier: Apache-2.0
 * recipe.c - a mergekit recipe, one document or several, written as a pipeline.
 */
#include "core/graph/recipe/recipe.h"

#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"
#include "core/graph/recipe/tokens.h"

gboolean
evo_recipe_is (const char *path)
{
  return g_str_has_suffix (path, ".yml") || g_str_has_suffix (path, ".yaml");
}

/* ------------------------------------------------------------------ messages */

gboolean
evo_recipe_fail (const EvoRecipe *r, guint line, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "%s:%u: %s", r->doc->name, line, what);
}

void
evo_recipe_note (const EvoRecipe *r, guint line, const char *format, ...)
{
  g_autofree char *what = NULL, *note = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  note = g_strdup_printf ("%s:%u: %s", r->doc->name, line, what);
  if (!g_ptr_array_find_with_equal_func (r->notes, note, g_str_equal, NULL))
    g_ptr_array_add (r->notes, g_steal_pointer (&note));
}

/* A key that only carries an anchor for what follows is a habit of YAML, and may be called anything. */
gboolean
evo_recipe_check_keys (const EvoRecipe *r, const EvoYaml *map, const char *what, const char *const *keys, GError **error)
{
  for (guint i = 0; map->kind == EVO_YAML_MAP && i < map->keys->len; i++) {
    const EvoYaml *key = map->keys->pdata[i], *value = map->items->pdata[i];
    g_autofree char *quoted = NULL, *hint = NULL;

    if (g_strv_contains (keys, key->text) || evo_recipe_ignores (key->text) || value->has_anchor)
      continue;
    quoted = evo_json_quoted (key->text);
    hint = keys[0] == NULL ? g_strdup ("; leave it out") : evo_names_hint (key->text, keys);
    return evo_recipe_fail (r, key->line, error, "%s has no %s%s", what, quoted, hint);
  }
  return map->kind == EVO_YAML_MAP || evo_recipe_fail (r, map->line, error, "%s is a map, not %s", what, evo_yaml_kind_name (map));
}

char *
evo_recipe_new_name (EvoRecipe *r, const char *wish)
{
  g_autofree char *plain = g_strndup (wish, 80);
  char *name;

  for (char *c = plain; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && *c != '_' && (*c != '-' || c == plain))
      *c = '_';
  name = g_strdup (*plain == '\0' ? "model" : plain);
  for (guint i = 2; g_hash_table_contains (r->names, name); i++) {
    g_free (name);
    name = g_strdup_printf ("%s-%u", plain, i);
  }
  g_hash_table_add (r->names, g_strdup (name));
  return name;
}

/* ------------------------------------------------------------------ a document */

/* Our name of out_dtype, else dtype; *out NULL: neither is given. */
static gboolean
read_dtype (const EvoRecipe *r, const EvoYaml *root, const char **out, GError **error)
{
  static const struct { const char *theirs, *ours; } names[] = { { "float32", "f32" }, { "float16", "f16" }, { "bfloat16", "bf16" } };
  static const char *const keys[] = { "dtype", "out_dtype" };

  *out = NULL;
  for (guint k = 0; k < G_N_ELEMENTS (keys); k++) {
    const EvoYaml *v = evo_yaml_member (root, keys[k]);
    const char *text = evo_yaml_text (v), *found = NULL;
    g_autofree char *quoted = NULL;

    if (text != NULL && g_str_has_prefix (text, "torch."))
      text += strlen ("torch.");
    for (guint i = 0; text != NULL && i < G_N_ELEMENTS (names); i++)
      if (strcmp (names[i].theirs, text) == 0)
        found = names[i].ours;
    quoted = text == NULL ? g_strdup (evo_yaml_kind_name (v)) : evo_json_quoted (text);
    if (v != NULL && found == NULL)
      return evo_recipe_fail (r, v->line, error, "%s %s is none of float32, float16 and bfloat16", keys[k], quoted);
    *out = found != NULL ? found : *out;
  }
  return TRUE;
}

static gboolean
write_inputs (EvoRecipe *r, const EvoRecipeStage *s, char *const *names, EvoJsonWriter *w, GError **error)
{
  evo_json_add_key (w, "in");
  evo_json_begin_array (w);
  for (guint i = 0; i < s->inputs->len; i++) {
    evo_json_begin_object (w);
    evo_json_add_key (w, "from");
    evo_json_add_string (w, names != NULL ? names[i] : ((const EvoRecipeModel *) s->inputs->pdata[i])->node);
    if (!evo_recipe_write_params (r, s, (gint) i, w, error))
      return FALSE;
    evo_json_end_object (w);
  }
  evo_json_end_array (w);
  return TRUE;
}

static void
write_fixed (const EvoRecipeMethod *m, EvoJsonWriter *w)
{
  for (guint i = 0; i < G_N_ELEMENTS (m->fixed) && m->fixed[i].param != NULL; i++) {
    g_autoptr (EvoJsonDoc) doc = evo_json_parse (m->fixed[i].json, -1, "fixed", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);

    evo_json_add_key (w, m->fixed[i].param);
    evo_json_add_value (w, evo_json_root (doc));
  }
}

gboolean
evo_recipe_write_merge (EvoRecipe *r, const EvoRecipeStage *s, const char *node, const char *dtype, char *const *names, EvoJsonWriter *w,
                        GError **error)
{
  gboolean has_base = s->base != NULL && (s->method->base == EVO_RECIPE_BASE_NEEDED || s->method->base == EVO_RECIPE_BASE_TAKEN);

  evo_json_add_key (w, node);
  evo_json_begin_object (w);
  evo_json_add_key (w, "use");
  evo_json_add_string (w, s->method->use);
  evo_recipe_write_compat (r, s->root, w);
  if (has_base) {
    evo_json_add_key (w, "base");
    evo_json_add_string (w, names != NULL ? names[s->inputs->len] : s->base->node);
  }
  if (dtype != NULL) {
    evo_json_add_key (w, "dtype");
    evo_json_add_string (w, dtype);
  }
  if (!evo_recipe_write_tokens (r, s, names, w, error) || !evo_recipe_write_params (r, s, -1, w, error))
    return FALSE;
  write_fixed (s->method, w);
  if (!write_inputs (r, s, names, w, error))
    return FALSE;
  evo_json_end_object (w);
  return TRUE;
}

static gboolean
write_stage (EvoRecipe *r, const EvoRecipeStage *s, const char *node, const char *dtype, EvoJsonWriter *w, GError **error)
{
  return s->slices != NULL ? evo_recipe_write_stack (r, s, node, dtype, w, error) : evo_recipe_write_merge (r, s, node, dtype, NULL, w, error);
}

/* ------------------------------------------------------------------ all documents */

/* Later documents may name this one; it has the tensors of its base or first input. */
static gboolean
add_stage (EvoRecipe *r, const EvoRecipeStage *s, const EvoYaml *name, const char *node, GError **error)
{
  const EvoRecipeModel *like = s->base != NULL ? s->base : s->inputs->pdata[0];
  EvoRecipeModel *m;

  for (guint i = 0; i < r->models->len; i++)
    if (strcmp (((const EvoRecipeModel *) r->models->pdata[i])->path, name->text) == 0)
      return evo_recipe_fail (r, name->line, error, "two documents have the name %s", name->text);
  m = g_new0 (EvoRecipeModel, 1);
  m->path = g_strdup (name->text);
  m->node = g_strdup (node);
  m->store = evo_store_ref (like->store);
  m->n_layers = s->n_layers;
  m->is_stage = TRUE;
  g_ptr_array_add (r->models, m);
  return TRUE;
}

static gboolean
read_document (EvoRecipe *r, guint i, EvoJsonWriter *w, char **node, const char **dtype, GError **error)
{
  const EvoYaml *root = r->doc->roots->pdata[i], *name = evo_yaml_member (root, "name");
  g_autoptr (EvoRecipeStage) s = evo_recipe_stage_new (r, root, error);
  gboolean is_last = i + 1 == r->doc->roots->len;

  if (s == NULL || !read_dtype (r, root, dtype, error))
    return FALSE;
  if (name != NULL && (evo_yaml_text (name) == NULL || *name->text == '\0'))
    return evo_recipe_fail (r, name->line, error, "name needs a text");
  if (!is_last && name == NULL)
    return evo_recipe_fail (r, root->line, error, "every document but the last needs a name:, by which later ones read it");
  if (is_last && name != NULL)
    evo_recipe_note (r, name->line, "name changes no number; it is left out");
  *node = is_last ? g_strdup ("merged") : evo_recipe_new_name (r, name->text);
  return write_stage (r, s, *node, is_last ? NULL : *dtype, w, error) && (is_last || add_stage (r, s, name, *node, error));
}

static void
write_models (const EvoRecipe *r, EvoJsonWriter *w)
{
  for (guint i = 0; i < r->models->len; i++) {
    const EvoRecipeModel *m = r->models->pdata[i];
    g_autofree char *path = evo_escape_variables (m->under != NULL ? m->adapter : m->path);

    if (m->is_stage)
      continue;
    evo_json_add_key (w, m->node);
    evo_json_begin_object (w);
    evo_json_add_key (w, "use");
    evo_json_add_string (w, m->under != NULL ? "model.lora" : "model.llm");
    evo_json_add_key (w, "path");
    evo_json_add_string (w, path);
    if (m->under != NULL) {
      evo_json_add_key (w, "base");
      evo_json_add_string (w, m->under->node);
    }
    evo_json_end_object (w);
  }
}

static void
write_save (const char *dtype, EvoJsonWriter *w)
{
  evo_json_add_key (w, "save");
  evo_json_begin_object (w);
  evo_json_add_key (w, "merged");
  if (dtype == NULL) {
    evo_json_add_string (w, "merged");
  } else {
    evo_json_begin_object (w);
    evo_json_add_key (w, "path");
    evo_json_add_string (w, "merged");
    evo_json_add_key (w, "dtype");
    evo_json_add_string (w, dtype);
    evo_json_end_object (w);
  }
  evo_json_end_object (w);
}

/* merges: an object of the merge nodes; models are known only once these are written. */
static char *
write_pipeline (const EvoRecipe *r, const EvoJson *merges, const char *dtype)
{
  GString *out = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, out, TRUE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "evopipe");
  evo_json_add_integer (&w, 1);
  evo_recipe_write_compat (r, NULL, &w);
  evo_json_add_key (&w, "nodes");
  evo_json_begin_object (&w);
  write_models (r, &w);
  for (guint i = 0; i < evo_json_size (merges); i++) {
    evo_json_add_key (&w, evo_json_key (evo_json_at (merges, i)));
    evo_json_add_value (&w, evo_json_at (merges, i));
  }
  evo_json_end_object (&w);
  write_save (dtype, &w);
  evo_json_end_object (&w);
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}

static char *
import (EvoRecipe *r, GError **error)
{
  g_autoptr (GString) merges = g_string_new (NULL);
  g_autoptr (EvoJsonDoc) doc = NULL;
  const char *dtype = NULL;
  EvoJsonWriter w;

  if (r->doc->roots->len == 0) {
    evo_recipe_fail (r, 1, error, "is empty; a recipe needs merge_method and models");
    return NULL;
  }
  g_hash_table_add (r->names, g_strdup ("merged"));
  evo_json_writer_init (&w, merges, FALSE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < r->doc->roots->len; i++) {
    g_autofree char *node = NULL;

    if (!read_document (r, i, &w, &node, &dtype, error))
      return NULL;
  }
  evo_json_end_object (&w);
  doc = evo_json_parse (merges->str, (gssize) merges->len, r->doc->name, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, error);
  return doc == NULL ? NULL : write_pipeline (r, evo_json_root (doc), dtype);
}

static void
model_free (gpointer data)
{
  EvoRecipeModel *m = data;

  g_free (m->path);
  g_free (m->adapter);
  g_free (m->node);
  evo_store_unref (m->store);
  g_free (m);
}

static char *
import_text (const char *text, gsize n, const char *path, gboolean truncate, GPtrArray *notes, GError **error)
{
  g_autofree char *name = g_path_get_basename (path), *absolute = g_canonicalize_filename (path, NULL), *folder = g_path_get_dirname (absolute);
  g_autoptr (EvoYamlDoc) doc = evo_yaml_parse (text, n, name, error);
  g_autoptr (GPtrArray) models = g_ptr_array_new_with_free_func (model_free);
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  EvoRecipe r = { doc, folder, models, notes, names, truncate };

  return doc == NULL ? NULL : import (&r, error);
}

char *
evo_recipe_import_text (const char *text, gsize n, const char *path, GPtrArray *notes, GError **error)
{
  return import_text (text, n, path, FALSE, notes, error);
}

char *
evo_recipe_import (const char *path, gboolean truncate, GPtrArray *notes, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) why = NULL;
  gsize n;

  if (g_file_test (path, G_FILE_TEST_EXISTS) && !g_file_test (path, G_FILE_TEST_IS_REGULAR))
    evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "%s: is no file; a recipe is one of YAML", path);
  else if (g_file_get_contents (path, &text, &n, &why))
    return import_text (text, n, path, truncate, notes, error);
  else
    evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "%s", why->message);
  return NULL;
}
