/* SPDX-License-Identifier: Apache-2.0
 * made.c - what made.h says.
 */
#include "tests/graph/made.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"

char *made_folder;
EvoRegistry *made_registry;
const MadeHow made_plainly = { 1, NULL, -1, NULL, NULL };

static int
remove_one (const char *path, const struct stat *st, int kind, struct FTW *at)
{
  return remove (path);
}

void
made_begin (void)
{
  g_autofree char *probe = g_build_filename (g_getenv ("EVO_BUILD"), "tests/graph/probe.so", NULL);
  g_autoptr (GError) error = NULL;

  made_folder = g_dir_make_tmp ("evopipe-graph-XXXXXX", NULL);
  made_registry = evo_registry_new ();
  if (made_folder == NULL || !evo_registry_load (made_registry, probe, &error))
    g_error ("%s", error == NULL ? "no folder" : error->message);
}

void
made_end (void)
{
  nftw (made_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  evo_registry_free (made_registry);
  g_free (made_folder);
}

char *
made_path (const char *name)
{
  return g_build_filename (made_folder, name, NULL);
}

void
made_file (const char *model, const char *name, const char *text)
{
  g_autofree char *folder = made_path (model), *path = g_build_filename (folder, name, NULL);

  g_mkdir_with_parents (folder, 0755);
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
}

/* ------------------------------------------------------------------ models */

static gint64
count (const MadeTensor *t)
{
  gint64 n = 1;

  for (guint d = 0; d < t->n_dims; d++)
    n *= t->dims[d];
  return n;
}

static gsize
add_header (GString *out, const MadeTensor *t, gsize at)
{
  gsize n = (gsize) count (t) * evo_dtype_size (t->dtype);

  g_string_append_printf (out, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", at == 0 && out->len == 1 ? "" : ",", t->name, evo_dtype_name (t->dtype));
  for (guint d = 0; d < t->n_dims; d++)
    g_string_append_printf (out, "%s%" G_GINT64_FORMAT, d == 0 ? "" : ",", t->dims[d]);
  g_string_append_printf (out, "],\"data_offsets\":[%" G_GSIZE_FORMAT ",%" G_GSIZE_FORMAT "]}", at, at + n);
  return at + n;
}

static void
add_data (GString *out, const MadeTensor *t)
{
  gsize n = (gsize) count (t), at = out->len, size = n * evo_dtype_size (t->dtype);

  g_string_set_size (out, at + size);
  memset (out->str + at, 0, size);
  if (t->raw != NULL)
    memcpy (out->str + at, t->raw, size);
  else if (t->values != NULL)
    evo_dtype_from_f32 (evo_kernels_get_for ("ref"), out->str + at, t->dtype, t->values, n);
}

void
made_model (const char *model, const MadeTensor *tensors, guint n, const char *config)
{
  g_autofree char *folder = made_path (model), *path = g_build_filename (folder, "model.safetensors", NULL);
  g_autoptr (GString) header = g_string_new ("{"), file = g_string_new (NULL);
  guint64 length;
  gsize at = 0;

  for (guint i = 0; i < n; i++)
    at = add_header (header, &tensors[i], at);
  g_string_append_c (header, '}');
  while (header->len % 8 != 0)
    g_string_append_c (header, ' ');
  length = GUINT64_TO_LE ((guint64) header->len);
  g_string_append_len (file, (const char *) &length, sizeof length);
  g_string_append_len (file, header->str, (gssize) header->len);
  for (guint i = 0; i < n; i++)
    add_data (file, &tensors[i]);
  g_mkdir_with_parents (folder, 0755);
  g_assert_true (g_file_set_contents (path, file->str, (gssize) file->len, NULL));
  if (config != NULL)
    made_file (model, "config.json", config);
}

void
made_vector (const char *model, EvoDtype dtype, const float *values, gint64 n)
{
  made_model (model, &(MadeTensor){ "x", dtype, 1, { n }, values, NULL }, 1, NULL);
}

/* ------------------------------------------------------------------ pipelines */

void
made_clear (Made *m)
{
  g_clear_pointer (&m->models, evo_models_free);
  g_clear_pointer (&m->graph, evo_graph_free);
}

gboolean
made_open (Made *m, const char *nodes, const char *top, GError **error)
{
  g_autoptr (GString) text = g_string_new ("{\"evopipe\": 1, \"seed\": 5, ");

  if (top != NULL)
    g_string_append_printf (text, "%s, ", top);
  g_string_append_printf (text, "\"nodes\": {%s}}", nodes);
  g_string_replace (text, "'", "\"", 0);
  m->graph = evo_graph_new_from_text (text->str, -1, "p.json", made_folder, made_registry, NULL, error);
  m->models = m->graph == NULL ? NULL : evo_models_new (m->graph, error);
  return m->models != NULL;
}

void
made_open_good (Made *m, const char *nodes)
{
  g_autoptr (GError) error = NULL;
  gboolean good = made_open (m, nodes, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (good);
}

void
made_check_error (const GError *error, GQuark domain, gint code, const char *message)
{
  g_autofree char *prefix = NULL, *said = NULL;
  g_auto (GStrv) parts = NULL;

  g_assert_nonnull (error);
  prefix = g_strconcat (made_folder, "/", NULL);
  parts = g_strsplit (error->message, prefix, -1);
  said = g_strjoinv ("", parts);
  g_assert_cmpstr (said, ==, message);
  g_assert_true (g_error_matches (error, domain, code));
}

void
made_refused (const char *nodes, GQuark domain, gint code, const char *message)
{
  g_auto (Made) m = { NULL };
  g_autoptr (GError) error = NULL;

  g_assert_false (made_open (&m, nodes, NULL, &error));
  made_check_error (error, domain, code, message);
}

/* ------------------------------------------------------------------ tensors */

guint
made_find (const Made *m, const char *node, const char *tensor)
{
  const EvoLayout *l = evo_models_get_layout (m->models, evo_graph_find (m->graph, node));

  for (guint i = 0; i < l->n; i++)
    if (g_str_equal (l->tensors[i].shape.name, tensor))
      return i;
  g_error ("%s has no %s", node, tensor);
}

typedef struct { char *bytes; gsize n; gint written; } Sink;

static gboolean
keep (gpointer data, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Sink *s = data;

  g_assert_cmpuint (offset + n, <=, s->n);
  memcpy (s->bytes + offset, bytes, n);
  g_atomic_int_add (&s->written, (gint) n);
  return TRUE;
}

GBytes *
made_compute (const Made *m, const char *node, const char *tensor, EvoDtype dtype, const MadeHow *how, GError **error)
{
  const EvoNode *of = evo_graph_find (m->graph, node);
  guint t = made_find (m, node, tensor);
  const EvoLayoutTensor *l = &evo_models_get_layout (m->models, of)->tensors[t];
  EvoDtype as = evo_layout_dtype (l, &(EvoDtypes){ .all = dtype });
  Sink sink = { NULL, (gsize) l->shape.n * evo_dtype_size (as), 0 };
  g_autoptr (EvoPool) pool = evo_pool_new (how->threads);
  EvoMergeContext c;
  gboolean good;

  sink.bytes = g_malloc (MAX (sink.n, 1));
  memset (sink.bytes, 0x5a, sink.n);
  evo_merge_context_init (&c, m->models, how->isa == NULL ? evo_kernels_get () : evo_kernels_get_for (how->isa), pool, how->x, how->trial, how->memo);
  good = evo_materialize (&c, of, t, as, keep, &sink, error);
  evo_merge_context_clear (&c);
  if (!good) {
    g_free (sink.bytes);
    return NULL;
  }
  g_assert_cmpuint ((gsize) sink.written, ==, sink.n); /* every byte once */
  return g_bytes_new_take (sink.bytes, sink.n);
}

float *
made_floats (const Made *m, const char *node, const char *tensor, const MadeHow *how)
{
  g_autoptr (GError) error = NULL;
  GBytes *bytes = made_compute (m, node, tensor, EVO_DTYPE_F32, how, &error);
  gsize n;

  g_assert_no_error (error);
  return g_bytes_unref_to_data (bytes, &n);
}

/* ------------------------------------------------------------------ numbers */

float *
made_uniform (gint64 n, guint64 stream)
{
  float *x = g_new (float, MAX (n, 1));
  EvoRandom r;

  evo_random_init (&r, stream);
  for (gint64 i = 0; i < n; i++)
    x[i] = (float) (evo_random_uniform (&r) * 2 - 1);
  return x;
}

float *
made_whole (gint64 n, guint m, guint64 stream)
{
  float *x = g_new (float, MAX (n, 1));
  EvoRandom r;

  evo_random_init (&r, stream);
  for (gint64 i = 0; i < n; i++)
    x[i] = (float) evo_random_below (&r, 2 * m + 1) - (float) m;
  return x;
}

guint16
made_bf16 (double x)
{
  int exponent;
  double f = frexp (x, &exponent); /* 8 significant bits: f is in [0.5, 1) */
  float y = (float) ldexp (rint (ldexp (f, 8)), exponent - 8); /* rint: to nearest even */
  guint32 bits;

  memcpy (&bits, &y, sizeof bits);
  g_assert_cmpuint (bits & 0xffff, ==, 0);
  return (guint16) (bits >> 16);
}
