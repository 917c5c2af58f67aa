/* SPDX-License-Identifier: Apache-2.0
 * save.c - a saved model: tensors streamed to their places, then configuration, tokenizer, recipe and card.
 */
#include "core/graph/save.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/store/output.h"

typedef struct { EvoOutput *out; guint tensor; } Sink;

static gboolean
write_bytes (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Sink *s = data;

  return evo_output_write (s->out, s->tensor, offset, bytes, n, error);
}

guint64
evo_saved_bytes (EvoModels *models, const EvoNode *node, EvoDtype dtype)
{
  const EvoLayout *l = evo_models_get_layout (models, node);
  guint64 n = 0;

  for (guint i = 0; i < l->n; i++)
    n += (guint64) l->tensors[i].shape.n * evo_dtype_size (evo_layout_dtype (&l->tensors[i], dtype));
  return n;
}

static gboolean
write_tensors (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, EvoOutput *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  g_autofree EvoShape *shapes = g_new (EvoShape, MAX (l->n, 1));

  for (guint i = 0; i < l->n; i++) {
    shapes[i] = l->tensors[i].shape;
    shapes[i].dtype = evo_layout_dtype (&l->tensors[i], o->dtype);
  }
  if (!evo_output_plan (out, shapes, l->n, o->shard_bytes, error))
    return FALSE;
  for (guint i = 0; i < l->n; i++) {
    Sink sink = { out, i };

    if (!evo_materialize (c, node, i, shapes[i].dtype, write_bytes, &sink, error))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ configuration */

/* The one floating-point type of the saved tensors, NONE where there are several. */
static EvoDtype
common_dtype (const EvoLayout *l, EvoDtype as)
{
  EvoDtype found = EVO_DTYPE_NONE;

  for (guint i = 0; i < l->n; i++) {
    EvoDtype d = evo_layout_dtype (&l->tensors[i], as);

    if (!evo_dtype_is_float (d))
      continue;
    if (found != EVO_DTYPE_NONE && d != found)
      return EVO_DTYPE_NONE;
    found = d;
  }
  return found;
}

static void
write_config (const EvoJson *config, const EvoLayout *l, EvoDtype dtype, GString *text)
{
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (config); i++) {
    const EvoJson *v = evo_json_at (config, i);
    const char *key = evo_json_key (v);

    if (l->untied && g_str_equal (key, "tie_word_embeddings"))
      continue;
    evo_json_add_key (&w, key);
    if (dtype != EVO_DTYPE_NONE && (g_str_equal (key, "torch_dtype") || g_str_equal (key, "dtype")))
      evo_json_add_string (&w, evo_dtype_torch_name (dtype));
    else
      evo_json_add_value (&w, v);
  }
  if (l->untied) {
    evo_json_add_key (&w, "tie_word_embeddings");
    evo_json_add_bool (&w, FALSE);
  }
  evo_json_end_object (&w);
  g_string_append_c (text, '\n');
}

static gboolean
copy_matching (EvoOutput *out, const char *folder, const char *const *patterns, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    for (guint i = 0; patterns[i] != NULL; i++)
      if (evo_glob_match (patterns[i], name)) {
        g_ptr_array_add (names, g_strdup (name));
        break;
      }
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *from = g_build_filename (folder, names->pdata[i], NULL);

    if (g_file_test (from, G_FILE_TEST_IS_REGULAR) && !evo_output_copy_file (out, names->pdata[i], from, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_companions (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, EvoOutput *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  EvoStore *store = evo_models_get_store (c->models, l->source);
  const EvoModelOp *op = (const EvoModelOp *) l->source->plugin->op;
  const EvoJson *config = evo_store_get_config (store);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *folder = evo_models_dup_folder (c->models, node);

  if (config != NULL) {
    write_config (config, l, common_dtype (l, o->dtype), text);
    if (!evo_output_add_text (out, "config.json", text->str, (gssize) text->len, error))
      return FALSE;
  }
  return op->copied_files == NULL || folder == NULL || copy_matching (out, folder, op->copied_files, error);
}

/* ------------------------------------------------------------------ the card */

/* The value of `license:` in the front matter of a source's README.md (owned), NULL: none. */
static char *
licence_of (EvoStore *store)
{
  g_autofree char *path = evo_store_find_file (store, "README.md"), *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (path == NULL || !g_file_get_contents (path, &text, NULL, NULL) || !g_str_has_prefix (text, "---\n"))
    return NULL;
  lines = g_strsplit (text + 4, "\n", 200);
  for (guint i = 0; lines[i] != NULL && !g_str_equal (lines[i], "---"); i++)
    if (g_str_has_prefix (lines[i], "license:"))
      return g_strdup (g_strstrip (lines[i] + strlen ("license:")));
  return NULL;
}

static void
collect_sources (const EvoNode *node, GPtrArray *out)
{
  if (node->kind == EVO_KIND_OPTIMIZER) {
    collect_sources (node->search.target, out);
  } else if (node->kind == EVO_KIND_MODEL) {
    if (!g_ptr_array_find (out, node, NULL))
      g_ptr_array_add (out, (gpointer) node);
  } else {
    if (node->base.from != NULL)
      collect_sources (node->base.from, out);
    for (guint e = 0; e < node->n_in; e++)
      collect_sources (node->in[e].from, out);
  }
}

char *
evo_model_card (EvoModels *models, const EvoNode *node, const EvoSaveOptions *o)
{
  const EvoGraph *graph = evo_models_get_graph (models);
  g_autoptr (GPtrArray) sources = g_ptr_array_new ();
  g_autofree char *title = g_path_get_basename (o->path);
  GString *t = g_string_new ("---\nlibrary_name: transformers\ntags:\n- merge\n- evopipe\n---\n");

  collect_sources (node, sources);
  g_string_append_printf (t, "# %s\n\nA merge of language models made by evopipe %s, as node `%s` of the pipeline \"%s\".\n\n## Sources\n\n"
                          "| node | model | licence |\n|---|---|---|\n", title, EVO_VERSION, node->name, evo_graph_get_title (graph));
  for (guint i = 0; i < sources->len; i++) {
    const EvoNode *s = sources->pdata[i];
    EvoStore *store = evo_models_get_store (models, s);
    g_autofree char *licence = licence_of (store), *name = g_path_get_basename (evo_store_get_path (store));

    g_string_append_printf (t, "| %s | %s | %s |\n", s->name, name, licence == NULL ? "not stated" : licence);
  }
  if (o->scores != NULL)
    g_string_append_printf (t, "\n## Scores\n\n%s", o->scores);
  g_string_append_printf (t, "\n## Recipe\n\n`evopipe merge evopipe.json OUT` makes the same bytes again.\n\n```json\n%s```\n", o->recipe);
  return g_string_free (t, FALSE);
}

gboolean
evo_save_model (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, GError **error)
{
  g_autoptr (EvoOutput) out = evo_output_new (o->path, o->replace, error);
  g_autofree char *card = NULL;

  if (out == NULL || !write_tensors (c, node, o, out, error) || !write_companions (c, node, o, out, error))
    return FALSE;
  card = evo_model_card (c->models, node, o);
  return evo_output_add_text (out, "evopipe.json", o->recipe, -1, error) && evo_output_add_text (out, "README.md", card, -1, error) &&
         evo_output_commit (out, error);
}
