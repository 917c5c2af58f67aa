/* SPDX-License-Identifier: Apache-2.0
 * fixture.c - opens models for tests.
 */
#include "tests/nn/fixture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

extern const EvoPlugin evo_plugin_model_llm;

const EvoModelOp *
fixture_llm (void)
{
  return evo_plugin_model_llm.ops[0];
}

char *
fixture_path (const char *name)
{
  return g_build_filename (g_getenv ("EVO_SOURCE"), name, NULL);
}

static void
link_file (const char *from, const char *to, const char *name)
{
  g_autofree char *a = g_build_filename (from, name, NULL), *b = g_build_filename (to, name, NULL);

  if (g_file_test (a, G_FILE_TEST_EXISTS))
    g_assert_cmpint (symlink (a, b), ==, 0);
}

char *
fixture_directory (const char *config, const char *model)
{
  char *path = g_dir_make_tmp ("evo-nn-XXXXXX", NULL);
  g_autofree char *file = g_build_filename (path, "config.json", NULL);

  g_assert_nonnull (path);
  g_assert_true (g_file_set_contents (file, config, -1, NULL));
  link_file (model, path, "model.safetensors");
  return path;
}

void
fixture_remove (char *path)
{
  g_autofree char *owned = path;
  g_autoptr (GDir) dir = g_dir_open (owned, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *file = g_build_filename (owned, name, NULL);

    g_remove (file);
  }
  g_rmdir (owned);
}

static void
fill (EvoTextModel *m, EvoStore *store, EvoCheckpoint *checkpoint, gint32 first, gboolean only_layers)
{
  for (guint i = 0; i < evo_store_get_n_tensors (store); i++) {
    const EvoShape *s = evo_store_get_tensor (store, i);
    g_autoptr (GError) error = NULL;
    EvoRole role;

    fixture_llm ()->role (checkpoint, s->name, &role);
    if (role.layer < 0 && only_layers)
      continue;
    role.layer += first;
    evo_text_model_set_tensor (m, &role, s->name, s->dtype, s->n_dims, s->dims, evo_store_peek (store, i), &error);
    g_assert_no_error (error);
  }
}

void
fixture_fill (EvoTextModel *m, EvoStore *store, EvoCheckpoint *checkpoint)
{
  fill (m, store, checkpoint, 0, FALSE);
}

void
fixture_add_layers (EvoTextModel *m, const Fixture *from, gint32 first)
{
  fill (m, from->store, from->checkpoint, first, TRUE);
}

void
fixture_open (Fixture *f, const char *directory, const char *config, gboolean with_tokenizer, const EvoKernels *k, EvoPool *pool)
{
  g_autofree char *cards = fixture_path ("models/cards"), *path = fixture_path (directory), *text = NULL;
  g_autofree char *config_path = g_build_filename (path, config, NULL);
  g_autoptr (EvoTokenizer) tokenizer = NULL;
  g_autoptr (GError) error = NULL;
  char *made;

  g_assert_true (g_file_get_contents (config_path, &text, NULL, NULL));
  made = fixture_directory (text, path);
  f->store = evo_store_open (made, &error);
  g_assert_no_error (error);
  f->checkpoint = evo_checkpoint_new (f->store, cards, &error);
  g_assert_no_error (error);
  g_assert_true (fixture_llm ()->claim (f->checkpoint));
  fixture_llm ()->decoder (f->checkpoint, &f->spec, &error);
  g_assert_no_error (error);
  if (with_tokenizer)
    tokenizer = evo_tokenizer_open (path, &error);
  g_assert_no_error (error);
  f->model = evo_text_model_new (&f->spec, tokenizer, k, pool);
  fixture_fill (f->model, f->store, f->checkpoint);
  fixture_remove (made);
}

void
fixture_clear (Fixture *f)
{
  g_clear_pointer (&f->model, evo_text_model_free);
  g_clear_pointer (&f->checkpoint, evo_checkpoint_free);
  g_clear_pointer (&f->store, evo_store_unref);
}

const float *
fixture_tensor (EvoStore *expected, const char *name, gsize *n)
{
  int i = evo_store_find (expected, name);

  g_assert_cmpint (i, >=, 0);
  g_assert_cmpint (evo_store_get_tensor (expected, (guint) i)->dtype, ==, EVO_DTYPE_F32);
  *n = (gsize) evo_store_get_tensor (expected, (guint) i)->n;
  return evo_store_peek (expected, (guint) i);
}

GArray *
fixture_ids (const EvoJson *list)
{
  GArray *ids = g_array_new (FALSE, FALSE, sizeof (gint32));

  for (guint i = 0; i < evo_json_size (list); i++) {
    gint32 id = (gint32) evo_json_number (evo_json_at (list, i));

    g_array_append_val (ids, id);
  }
  return ids;
}

const EvoKernels *
fixture_kernels (guint i)
{
  static const char *const names[] = { "ref", "avx2", "avx512", "amx" };

  for (guint j = 0; j < G_N_ELEMENTS (names); j++) {
    const EvoKernels *k = evo_kernels_get_for (names[j]);

    if (k != NULL && i-- == 0)
      return k;
  }
  return NULL;
}
