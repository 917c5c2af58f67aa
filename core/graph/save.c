/* SPDX-License-Identifier: Apache-2.0
 * save.c - a saved model: tensors streamed to their places, then configuration, tokenizer, recipe and card.
 */
#include "core/graph/save.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/lora/lora.h"
#include "core/graph/path/shared.h"
#include "core/graph/vocab/vocab.h"
#include "core/store/output.h"

typedef struct { EvoOutput *out; guint tensor; } Sink;

static gboolean
write_bytes (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Sink *s = data;

  return evo_output_write (s->out, s->tensor, offset, bytes, n, error);
}

guint64
evo_saved_bytes (EvoModels *models, const EvoNode *node, const EvoDtypes *as)
{
  const EvoLayout *l = evo_models_get_layout (models, node);
  EvoPathSize size;
  guint64 n = 0;

  if (evo_node_is_path (evo_node_model (node)) && evo_path_measure (models, evo_node_model (node), as, &size, NULL))
    return node->save_layout == EVO_SAVE_SHARED ? size.shared : size.plain;
  for (guint i = 0; i < l->n; i++)
    n += (guint64) l->tensors[i].shape.n * evo_dtype_size (evo_layout_dtype (&l->tensors[i], as));
  return n;
}

guint
evo_saved_tensors (EvoModels *models, const EvoNode *node)
{
  EvoPathSize size;

  if (node->save_layout == EVO_SAVE_SHARED && evo_path_measure (models, evo_node_model (node), NULL, &size, NULL))
    return size.n_tensors;
  return evo_models_get_layout (models, node)->n;
}

/* The order of visits of a shared path, behind its tensors. */
static gboolean
write_visits (const EvoShared *s, guint first, EvoOutput *out, GError **error)
{
  return evo_output_write (out, first, 0, s->layers, s->n * sizeof *s->layers, error) &&
         evo_output_write (out, first + 1, 0, s->scales, s->n * sizeof *s->scales, error);
}

/* shared: NULL, or the path is written in its compact form. */
static gboolean
write_tensors (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, const EvoShared *shared, EvoOutput *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  g_autofree EvoShape *shapes = g_new (EvoShape, l->n + 2);

  for (guint i = 0; i < l->n; i++) {
    shapes[i] = l->tensors[i].shape;
    shapes[i].dtype = evo_layout_dtype (&l->tensors[i], o->dtype);
  }
  if (shared != NULL) {
    shapes[l->n] = (EvoShape){ .name = (char *) EVO_SHARED_LAYERS, .dtype = EVO_DTYPE_I64, .n_dims = 1, .dims = { shared->n }, .n = shared->n };
    shapes[l->n + 1] = (EvoShape){ .name = (char *) EVO_SHARED_SCALES, .dtype = EVO_DTYPE_F32, .n_dims = 1, .dims = { shared->n }, .n = shared->n };
  }
  if (!evo_output_plan (out, shapes, l->n + (shared != NULL ? 2 : 0), o->shard_bytes, error) ||
      (shared != NULL && !write_visits (shared, l->n, out, error)))
    return FALSE;
  for (guint i = 0; i < l->n; i++) {
    Sink sink = { out, i };

    if (!evo_materialize (c, node, i, shapes[i].dtype, write_bytes, &sink, error))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ configuration */

/* The floating-point type of the saved tensors; where there are several, that of most numbers if selectors made it so, else NONE. */
static EvoDtype
common_dtype (const EvoLayout *l, const EvoDtypes *as, gboolean is_chosen)
{
  gint64 n[EVO_DTYPE_MAX] = { 0 };
  EvoDtype most = EVO_DTYPE_NONE;
  guint several = 0;

  for (guint i = 0; i < l->n; i++) {
    EvoDtype d = evo_layout_dtype (&l->tensors[i], as);

    if (evo_dtype_is_float (d))
      n[d] += MAX (l->tensors[i].shape.n, 1);
  }
  for (guint d = EVO_DTYPE_NONE + 1; d < EVO_DTYPE_MAX; d++) {
    several += n[d] > 0;
    most = n[d] > n[most] ? (EvoDtype) d : most;
  }
  return several > 1 && !is_chosen ? EVO_DTYPE_NONE : most;
}

static void
write_config (const EvoModels *m, const EvoJson *config, const EvoLayout *l, const EvoShared *shared, EvoDtype dtype, GString *text)
{
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  for (guint i = 0; i < evo_json_size (config); i++) {
    const EvoJson *v = evo_json_at (config, i);
    const char *key = evo_json_key (v);

    if ((l->untied && g_str_equal (key, "tie_word_embeddings")) || (shared != NULL && evo_shared_replaces (key)))
      continue;
    evo_json_add_key (&w, key);
    if (evo_stack_write_config (m, l, v, &w) || evo_vocab_write_member (m, l, v, &w))
      continue;
    if (dtype != EVO_DTYPE_NONE && (g_str_equal (key, "torch_dtype") || g_str_equal (key, "dtype")))
      evo_json_add_string (&w, evo_dtype_torch_name (dtype));
    else
      evo_json_add_value (&w, v);
  }
  if (l->untied) {
    evo_json_add_key (&w, "tie_word_embeddings");
    evo_json_add_bool (&w, FALSE);
  }
  if (l->n_rows > 0 && evo_json_member (config, "vocab_size") == NULL && evo_json_member (config, "text_config") == NULL) {
    evo_json_add_key (&w, "vocab_size");
    evo_json_add_integer (&w, l->n_rows);
  }
  if (shared != NULL)
    evo_shared_write_config (shared, &w);
  evo_json_end_object (&w);
  g_string_append_c (text, '\n');
}

typedef enum { COPY_ALL, COPY_TOKENIZER, COPY_REST } Copied;

/* What is written anew is left out. */
static gboolean
is_copied (const EvoLayout *l, const char *name, const char *const *patterns, Copied which)
{
  gboolean matches = FALSE;

  for (guint i = 0; patterns[i] != NULL && !matches; i++)
    matches = evo_glob_match (patterns[i], name);
  return matches && evo_vocab_keeps (l, name) && (which == COPY_ALL || evo_vocab_is_file (name) == (which == COPY_TOKENIZER));
}

static gboolean
copy_matching (EvoOutput *out, const EvoLayout *l, const char *folder, const char *const *patterns, Copied which, GError **error)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (is_copied (l, name, patterns, which))
      g_ptr_array_add (names, g_strdup (name));
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *from = g_build_filename (folder, names->pdata[i], NULL);

    if (g_file_test (from, G_FILE_TEST_IS_REGULAR) && !evo_output_copy_file (out, names->pdata[i], from, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
add_text (gpointer out, const char *name, const char *text, gsize n, GError **error)
{
  return evo_output_add_text (out, name, text, (gssize) n, error);
}

static gboolean
write_companions (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, const EvoShared *shared, EvoOutput *out, GError **error)
{
  const EvoLayout *l = evo_models_get_layout (c->models, node);
  EvoStore *store = evo_models_get_store (c->models, l->source);
  const EvoModelOp *op = (const EvoModelOp *) l->source->plugin->op;
  const EvoJson *config = evo_store_get_config (store);
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *folder = evo_models_dup_folder (c->models, node);

  if (config != NULL) {
    write_config (c->models, config, l, shared, common_dtype (l, o->dtype, node->dtype.n > 0 || (o->dtype != NULL && o->dtype->n > 0)), text);
    if (!evo_output_add_text (out, "config.json", text->str, (gssize) text->len, error))
      return FALSE;
  }
  if (op->copied_files != NULL && folder != NULL && !copy_matching (out, l, folder, op->copied_files, l->tokens == NULL ? COPY_ALL : COPY_REST, error))
    return FALSE;
  if (op->copied_files != NULL && l->tokens != NULL && !copy_matching (out, l, l->tokens->folder, op->copied_files, COPY_TOKENIZER, error))
    return FALSE;
  return evo_vocab_write_files (c->models, node, add_text, out, error);
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
collect_sources (const EvoModels *m, const EvoNode *node, GPtrArray *out)
{
  if (node->kind == EVO_KIND_OPTIMIZER) {
    collect_sources (m, node->search.target, out);
  } else if (node->kind == EVO_KIND_MODEL) {
    if (!g_ptr_array_find (out, node, NULL))
      g_ptr_array_add (out, (gpointer) node);
  } else {
    if (node->base.from != NULL)
      collect_sources (m, node->base.from, out);
    for (guint e = 0; e < node->n_in; e++)
      collect_sources (m, node->in[e].from, out);
    if (evo_models_get_lora (m, node) != NULL && !g_ptr_array_find (out, node, NULL))
      g_ptr_array_add (out, (gpointer) node);
  }
}

char *
evo_model_card (EvoModels *models, const EvoNode *node, const EvoSaveOptions *o)
{
  const EvoGraph *graph = evo_models_get_graph (models);
  g_autoptr (GPtrArray) sources = g_ptr_array_new ();
  g_autofree char *title = g_path_get_basename (o->path);
  GString *t = g_string_new ("---\nlibrary_name: transformers\ntags:\n- merge\n- evopipe\n---\n");

  collect_sources (models, node, sources);
  g_string_append_printf (t, "# %s\n\nA merge of language models made by evopipe %s, as node `%s` of the pipeline \"%s\".\n\n## Sources\n\n"
                          "| node | model | licence |\n|---|---|---|\n", title, EVO_VERSION, node->name, evo_graph_get_title (graph));
  for (guint i = 0; i < sources->len; i++) {
    const EvoNode *s = sources->pdata[i];
    const EvoLora *lora = evo_models_get_lora (models, s);
    EvoStore *store = lora != NULL ? evo_lora_get_store (lora) : evo_models_get_store (models, s);
    g_autofree char *licence = licence_of (store), *folder = lora != NULL ? evo_lora_dup_folder (lora) : g_strdup (evo_store_get_path (store)),
                    *name = g_path_get_basename (folder);

    g_string_append_printf (t, "| %s | %s | %s |\n", s->name, name, licence == NULL ? "not stated" : licence);
  }
  if (o->scores != NULL)
    g_string_append_printf (t, "\n## Scores\n\n%s", o->scores);
  if (o->export_error != NULL)
    g_string_append_printf (t, "\n## Export\n\n%c%s.\n", g_ascii_toupper (o->export_error[0]), o->export_error + 1);
  g_string_append_printf (t, "\n## Recipe\n\n`evopipe merge evopipe.json OUT` makes the same bytes again.\n\n```json\n%s```\n", o->recipe);
  return g_string_free (t, FALSE);
}

/* While it is written, the node has the tensors of the compact form. */
static gboolean
write_shared (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, EvoOutput *out, GError **error)
{
  g_auto (EvoShared) shared = { 0 };
  gboolean good;

  if (!evo_shared_init (c->models, node, &shared, error))
    return FALSE;
  evo_models_swap_layout (c->models, node, &shared.layout);
  good = write_tensors (c, node, o, &shared, out, error) && write_companions (c, node, o, &shared, out, error);
  evo_models_swap_layout (c->models, node, &shared.layout);
  return good;
}

static gboolean
write_plain (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, EvoOutput *out, GError **error)
{
  return write_tensors (c, node, o, NULL, out, error) && write_companions (c, node, o, NULL, out, error);
}

gboolean
evo_save_model (EvoMergeContext *c, const EvoNode *node, const EvoSaveOptions *o, GError **error)
{
  g_autoptr (EvoOutput) out = evo_output_new (o->path, o->replace, error);
  g_autofree char *card = NULL;
  gboolean done;

  if (out == NULL || !(node->save_layout == EVO_SAVE_SHARED ? write_shared : write_plain) (c, node, o, out, error))
    return FALSE;
  card = evo_model_card (c->models, node, o);
  done = evo_output_add_text (out, "evopipe.json", o->recipe, -1, error) && evo_output_add_text (out, "README.md", card, -1, error) &&
         evo_output_commit (out, error);
  if (o->sync_seconds != NULL)
    *o->sync_seconds = evo_output_get_sync_seconds (out);
  return done;
}
