/* SPDX-License-Identifier: Apache-2.0
 * models.c - where the models of a recipe are: from here, beside the recipe, in the local Hugging Face cache.
 */
#include <string.h>

#include "core/graph/recipe/read.h"

/* ------------------------------------------------------------------ the cache */

/* The folder that huggingface_hub keeps its downloads in: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME or ~/.cache + huggingface/hub. */
static char *
hub_folder (void)
{
  const char *hub = g_getenv ("HF_HUB_CACHE"), *home = g_getenv ("HF_HOME");

  if (hub != NULL && *hub != '\0')
    return g_strdup (hub);
  if (home != NULL && *home != '\0')
    return g_build_filename (home, "hub", NULL);
  return g_build_filename (g_get_user_cache_dir (), "huggingface", "hub", NULL);
}

static gboolean
is_name_part (const char *s, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (!g_ascii_isalnum (s[i]) && strchr ("-_.", s[i]) == NULL)
      return FALSE;
  return n > 0 && s[0] != '.';
}

/* "org/name" or "org/name@revision"; *name and *revision (NULL: none) are owned. */
static gboolean
split_hub_name (const char *text, char **name, char **revision)
{
  const char *slash = strchr (text, '/'), *at = strchr (text, '@');
  gsize n = at == NULL ? strlen (text) : (gsize) (at - text);

  if (slash == NULL || slash >= text + n || !is_name_part (text, (gsize) (slash - text)) ||
      !is_name_part (slash + 1, (gsize) (text + n - slash - 1)) || (at != NULL && !is_name_part (at + 1, strlen (at + 1))))
    return FALSE;
  *name = g_strndup (text, n);
  *revision = at == NULL ? NULL : g_strdup (at + 1);
  return TRUE;
}

/* models--org--name/snapshots/COMMIT, the commit as refs/REVISION has it, or the revision itself. */
static char *
find_snapshot (const char *name, const char *revision)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", 2);
  g_autofree char *hub = hub_folder (), *dashed = g_strdup_printf ("models--%s--%s", parts[0], parts[1]), *commit = NULL, *ref = NULL, *path = NULL;

  ref = g_build_filename (hub, dashed, "refs", revision == NULL ? "main" : revision, NULL);
  if (!g_file_get_contents (ref, &commit, NULL, NULL) && revision == NULL)
    return NULL;
  if (commit != NULL && !is_name_part (g_strstrip (commit), strlen (commit)))
    return NULL;
  path = g_build_filename (hub, dashed, "snapshots", commit == NULL ? revision : commit, NULL);
  return g_file_test (path, G_FILE_TEST_IS_DIR) ? g_steal_pointer (&path) : NULL;
}

/* ------------------------------------------------------------------ one name */

/* Absolute, NULL: nowhere. */
static char *
find_path (const EvoRecipe *r, const char *text)
{
  g_autofree char *here = g_canonicalize_filename (text, NULL), *beside = g_canonicalize_filename (text, r->folder), *name = NULL, *revision = NULL;

  if (g_file_test (here, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&here);
  if (g_file_test (beside, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&beside);
  return split_hub_name (text, &name, &revision) ? find_snapshot (name, revision) : NULL;
}

static gboolean
fail_missing (const EvoRecipe *r, guint line, const char *text, const char *what, GError **error)
{
  g_autofree char *quoted = evo_json_quoted (text), *name = NULL, *revision = NULL, *where = NULL;

  if (split_hub_name (text, &name, &revision))
    where = g_strdup_printf (", or in the Hugging Face cache; \"hf download %s%s%s\" brings it there", name, revision == NULL ? "" : " --revision ",
                             revision == NULL ? "" : revision);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s:%u: %s %s is not here, not beside the recipe%s", r->doc->name, line, what,
                        quoted, where == NULL ? "; name a folder of safetensors files" : where);
}

/* What architectures call their number of layers; 0: this one does not say. */
static gint32
count_layers (const EvoStore *store)
{
  static const char *const keys[] = { "num_hidden_layers", "n_layer", "num_layers", "n_layers" };
  const EvoJson *config = evo_store_get_config (store), *text = config == NULL ? NULL : evo_json_member (config, "text_config");

  for (guint i = 0; config != NULL && i < 2 * G_N_ELEMENTS (keys); i++) {
    const EvoJson *from = i % 2 == 0 ? config : text;
    double n = from == NULL ? 0 : evo_json_get_number (from, keys[i / 2], 0);

    if (n >= 1 && n <= 100000)
      return (gint32) n;
  }
  return 0;
}

static EvoRecipeModel *
known (const EvoRecipe *r, const char *path)
{
  for (guint i = 0; i < r->models->len; i++) {
    EvoRecipeModel *m = r->models->pdata[i];

    if (strcmp (m->path, path) == 0)
      return m;
  }
  return NULL;
}

static char *
wish_of (const char *text)
{
  g_autofree char *hub = NULL, *revision = NULL, *base = NULL;

  if (split_hub_name (text, &hub, &revision))
    return g_path_get_basename (hub);
  base = g_path_get_basename (text);
  if (g_str_has_suffix (base, ".safetensors"))
    base[strlen (base) - strlen (".safetensors")] = '\0';
  return g_steal_pointer (&base);
}

static EvoRecipeModel *
add_model (EvoRecipe *r, const char *wish, char *path, EvoStore *store, gint32 n_layers)
{
  EvoRecipeModel *m = g_new0 (EvoRecipeModel, 1);

  m->node = evo_recipe_new_name (r, wish);
  m->n_layers = n_layers;
  m->path = path;
  m->store = store;
  g_ptr_array_add (r->models, m);
  return m;
}

static EvoRecipeModel *
plain_model (EvoRecipe *r, guint line, const char *text, GError **error)
{
  g_autofree char *path = NULL, *wish = NULL;
  g_autoptr (EvoStore) store = NULL;
  EvoRecipeModel *m = known (r, text); /* an earlier document of that name */

  path = m != NULL ? NULL : find_path (r, text);
  if (m != NULL || (path != NULL && (m = known (r, path)) != NULL))
    return m;
  if (path == NULL)
    fail_missing (r, line, text, "model", error);
  else
    store = evo_store_open (path, error);
  if (store == NULL)
    return NULL;
  wish = wish_of (text);
  return add_model (r, wish, g_steal_pointer (&path), evo_store_ref (store), count_layers (store));
}

/* model+lora: the adapter stands on the model, whose tensors it changes. */
static EvoRecipeModel *
adapted_model (EvoRecipe *r, guint line, const char *text, const char *plus, GError **error)
{
  g_autofree char *name = g_strndup (text, (gsize) (plus - text)), *adapter = NULL, *both = NULL, *wish = NULL, *wishes = NULL;
  EvoRecipeModel *under, *m;

  if (*name == '\0' || plus[1] == '\0' || strchr (plus + 1, '+') != NULL) {
    evo_recipe_fail (r, line, error, "model+lora needs the path of a model, one +, and that of an adapter");
    return NULL;
  }
  under = plain_model (r, line, name, error);
  adapter = under == NULL ? NULL : find_path (r, plus + 1);
  if (under != NULL && adapter == NULL)
    fail_missing (r, line, plus + 1, "adapter", error);
  if (adapter == NULL)
    return NULL;
  both = g_strconcat (under->path, "+", adapter, NULL);
  m = known (r, both);
  if (m != NULL)
    return m;
  wish = wish_of (plus + 1);
  wishes = g_strconcat (under->node, "-", wish, NULL);
  m = add_model (r, wishes, g_steal_pointer (&both), evo_store_ref (under->store), under->n_layers);
  m->under = under;
  m->adapter = g_steal_pointer (&adapter);
  return m;
}

EvoRecipeModel *
evo_recipe_model (EvoRecipe *r, const EvoYaml *v, GError **error)
{
  const char *text = evo_yaml_text (v), *plus = text == NULL ? NULL : strchr (text, '+');
  g_autofree char *whole = NULL;

  if (text == NULL || *text == '\0') {
    evo_recipe_fail (r, v->line, error, "a model is the path of a folder, or org/name, as text; not %s", evo_yaml_kind_name (v));
    return NULL;
  }
  whole = plus == NULL ? NULL : find_path (r, text); /* a folder may have a + in its own name */
  return plus != NULL && whole == NULL ? adapted_model (r, v->line, text, plus, error) : plain_model (r, v->line, text, error);
}
