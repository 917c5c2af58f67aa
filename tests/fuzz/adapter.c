/* SPDX-License-Identifier: Apache-2.0
 * adapter.c - whatever bytes come, an adapter is refused in one line, or every tensor of the base with it can be read.
 *
 * Bytes up to the first NUL are adapter_config.json, what follows is adapter_model.safetensors.
 */
#include "tests/fuzz/driver.h"

#include <glib/gstdio.h>

#include "core/base/error.h"
#include "core/graph/graph.h"
#include "core/graph/merge/merge.h"
#include "core/kernels/kernels.h"

static const char nodes[] = "{\"evopipe\": 1, \"nodes\": {\"b\": {\"use\": \"model.llm\", \"path\": \"base\"}, "
                            "\"l\": {\"use\": \"model.lora\", \"path\": \"ad\", \"base\": \"b\", \"scale\": 0.75}}}";

/* What adapters can change: a linear layer with a bias, an embedding, a convolution, a norm; and what none can. */
static const struct { const char *name; guint n_dims; gint64 dims[4]; } tensors[] = {
  { "model.embed_tokens.weight", 2, { 5, 4 } }, { "model.layers.0.conv.weight", 4, { 3, 2, 2, 2 } },
  { "model.layers.0.self_attn.q_proj.bias", 1, { 6 } }, { "model.layers.0.self_attn.q_proj.weight", 2, { 6, 4 } }, { "model.norm.weight", 1, { 4 } },
  { "model.nothing", 2, { 0, 4 } },
};

static gsize n_good, n_bad, n_failed;
static EvoRegistry *registry;
static EvoPool *pool;
static char *folder, *config_path, *tensors_path;

static char *
make_path (const char *model, const char *name)
{
  return g_build_filename (folder, model, name, NULL);
}

static void
write_base (void)
{
  g_autofree char *path = make_path ("base", "model.safetensors");
  g_autoptr (GString) header = g_string_new ("{"), file = g_string_new (NULL);
  gsize at = 0;
  guint64 length;

  for (guint i = 0; i < G_N_ELEMENTS (tensors); i++) {
    gint64 n = 1;

    g_string_append_printf (header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i == 0 ? "" : ",", tensors[i].name);
    for (guint d = 0; d < tensors[i].n_dims; n *= tensors[i].dims[d++])
      g_string_append_printf (header, "%s%" G_GINT64_FORMAT, d == 0 ? "" : ",", tensors[i].dims[d]);
    g_string_append_printf (header, "],\"data_offsets\":[%" G_GSIZE_FORMAT ",%" G_GSIZE_FORMAT "]}", at, at + 4 * (gsize) n);
    at += 4 * (gsize) n;
  }
  g_string_append_c (header, '}');
  length = GUINT64_TO_LE ((guint64) header->len);
  g_string_append_len (file, (const char *) &length, sizeof length);
  g_string_append_len (file, header->str, (gssize) header->len);
  for (gsize i = 0; i < at / 4; i++) {
    float x = (float) (i % 13) / 8 - 0.5f;

    g_string_append_len (file, (const char *) &x, sizeof x);
  }
  g_assert_true (g_file_set_contents (path, file->str, (gssize) file->len, NULL));
}

static void __attribute__ ((constructor))
begin (void)
{
  static const char *const models[] = { "base", "ad" };

  folder = g_dir_make_tmp ("evopipe-fuzz-XXXXXX", NULL);
  g_assert_nonnull (folder);
  for (guint i = 0; i < G_N_ELEMENTS (models); i++) {
    g_autofree char *path = make_path (models[i], NULL);

    g_assert_cmpint (g_mkdir (path, 0755), ==, 0);
  }
  config_path = make_path ("ad", "adapter_config.json");
  tensors_path = make_path ("ad", "adapter_model.safetensors");
  write_base ();
}

/* Written in place: a new file, as g_file_set_contents makes one, takes most of the time. */
static void
put (const char *path, const uint8_t *bytes, gsize n)
{
  FILE *file = fopen (path, "wb");

  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes, 1, n, file), ==, n);
  g_assert_cmpint (fclose (file), ==, 0);
}

static void
check_refusal (const GError *error)
{
  g_assert_nonnull (error);
  g_assert_true (evo_error_exit_code (error) == 2 || evo_error_exit_code (error) == 4);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  if (strpbrk (error->message, "\n\r\x1b") != NULL)
    g_error ("more than one line: %s", error->message);
}

typedef struct { gsize n, written; } Sink;

static gboolean
count (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Sink *s = data;

  g_assert_cmpuint (offset + n, <=, s->n);
  s->written += n;
  return TRUE;
}

/* Data may be damaged though its shapes are right: a NaN is an error. */
static void
compute_all (EvoModels *m, const EvoNode *node)
{
  const EvoLayout *l = evo_models_get_layout (m, node);
  EvoMergeContext c;

  g_assert_cmpuint (l->n, ==, G_N_ELEMENTS (tensors));
  evo_merge_context_init (&c, m, evo_kernels_get (), pool, NULL, -1, NULL);
  for (guint i = 0; i < l->n; i++) {
    Sink s = { evo_shape_bytes (&l->tensors[i].shape), 0 };
    g_autoptr (GError) error = NULL;

    if (evo_materialize (&c, node, i, l->tensors[i].shape.dtype, count, &s, &error)) {
      g_assert_no_error (error);
      g_assert_cmpuint (s.written, ==, s.n);
    } else {
      n_failed++;
      check_refusal (error);
    }
  }
  evo_merge_context_clear (&c);
}

static void
apply (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoGraph) graph = evo_graph_new_from_text (nodes, -1, "p.json", folder, registry, NULL, &error);
  g_autoptr (EvoModels) models = NULL;

  g_assert_no_error (error);
  models = evo_models_new (graph, &error);
  if (models == NULL) {
    n_bad++;
    check_refusal (error);
    return;
  }
  n_good++;
  g_assert_no_error (error);
  compute_all (models, evo_graph_find (graph, "l"));
}

/* Where the last tensor ends by the offsets of a header, within reason. */
static size_t
find_end (const uint8_t *header, size_t n)
{
  static const char mark[] = "\"data_offsets\":[";
  g_autofree char *text = g_strndup ((const char *) header, n);
  guint64 most = 0;

  for (char *at = strstr (text, mark); at != NULL; at = strstr (at, mark)) {
    at += sizeof mark - 1;
    (void) g_ascii_strtoull (at, &at, 10);
    if (*at == ',')
      most = MAX (most, g_ascii_strtoull (at + 1, &at, 10));
  }
  return (size_t) MIN (most, 1 << 16);
}

/* With the length that the last brace gives, and as much data as the header wants: most mutations would be refused for these alone. */
static void
put_mended (const uint8_t *data, size_t n)
{
  const uint8_t *brace = memrchr (data, '}', n);
  size_t header = brace == NULL ? 0 : (size_t) (brace + 1 - data), size;
  g_autofree uint8_t *mended = NULL;
  guint64 length;

  if (header < sizeof length)
    return;
  size = header + find_end (data + sizeof length, header - sizeof length);
  mended = g_malloc0 (size);
  memcpy (mended, data, MIN (n, size));
  length = GUINT64_TO_LE ((guint64) header - sizeof length);
  memcpy (mended, &length, sizeof length);
  put (tensors_path, mended, size);
  apply ();
}

int
fuzz_one (const uint8_t *data, size_t n)
{
  const uint8_t *zero = memchr (data, '\0', n);
  size_t at = zero == NULL ? n : (size_t) (zero - data) + 1;

  if (registry == NULL) {
    registry = evo_registry_new ();
    pool = evo_pool_new (1);
  }
  put (config_path, data, zero == NULL ? n : at - 1);
  put (tensors_path, data + at, n - at);
  apply ();
  put_mended (data + at, n - at);
  return 0;
}

static void __attribute__ ((destructor))
end (void)
{
  static const char *const files[] = { "base/model.safetensors", "ad/adapter_config.json", "ad/adapter_model.safetensors", "base", "ad", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = make_path (files[i] == NULL ? "" : files[i], NULL);

    g_remove (path);
  }
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused, %" G_GSIZE_FORMAT " tensors damaged\n", n_good, n_bad, n_failed);
  g_clear_pointer (&registry, evo_registry_free);
  g_clear_pointer (&pool, evo_pool_free);
  g_free (folder);
  g_free (config_path);
  g_free (tensors_path);
}
