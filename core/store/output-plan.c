/* SPDX-License-Identifier: Apache-2.0
 * output-plan.c - the tensor files of a directory in the making: which tensor lies where in which of them, and their headers.
 */
#include "core/store/output-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/store/write.h"

static const guint64 default_shard_bytes = G_GUINT64_CONSTANT (5000000000); /* the default of save_pretrained */
static const char index_name[] = "model.safetensors.index.json";

/* ------------------------------------------------------------------ what lies where */

static void
take_pieces (EvoOutput *out, const EvoShape *tensors, guint n)
{
  out->pieces = g_new0 (EvoOutputPiece, MAX (n, 1));
  out->n_pieces = n;
  for (guint i = 0; i < n; i++) {
    EvoOutputPiece *p = &out->pieces[i];

    *p = (EvoOutputPiece){ .name = g_strdup (tensors[i].name), .dtype = evo_dtype_name (tensors[i].dtype), .n_dims = tensors[i].n_dims,
                          .width = (guint) evo_dtype_size (tensors[i].dtype), .n_bytes = evo_shape_bytes (&tensors[i]) };
    memcpy (p->dims, tensors[i].dims, sizeof p->dims);
    p->written = g_array_new (FALSE, FALSE, sizeof (EvoOutputRange));
  }
}

static void
divide (EvoOutput *out, guint64 limit)
{
  g_autoptr (GArray) shards = g_array_new (FALSE, TRUE, sizeof (EvoOutputShard));
  EvoOutputShard *s = NULL;

  for (guint i = 0; i < out->n_pieces || shards->len == 0; i++) {
    guint64 n = i < out->n_pieces ? out->pieces[i].n_bytes : 0;

    if (s == NULL || (s->n > 0 && (n > limit || s->n_bytes > limit - n))) {
      g_array_set_size (shards, shards->len + 1);
      s = &g_array_index (shards, EvoOutputShard, shards->len - 1);
      s->first = i;
      s->fd = -1;
    }
    if (i == out->n_pieces)
      break;
    out->pieces[i].shard = shards->len - 1;
    s->n_bytes += n;
    s->n++;
  }
  out->n_shards = shards->len;
  out->shards = (EvoOutputShard *) g_array_free (g_steal_pointer (&shards), FALSE);
}

static void
describe (EvoJsonWriter *w, const EvoOutputPiece *p)
{
  evo_json_add_key (w, p->name);
  evo_json_begin_object (w);
  evo_json_add_key (w, "dtype");
  evo_json_add_string (w, p->dtype);
  evo_json_add_key (w, "shape");
  evo_json_begin_array (w);
  for (guint d = 0; d < p->n_dims; d++)
    evo_json_add_integer (w, p->dims[d]);
  evo_json_end_array (w);
  evo_json_add_key (w, "data_offsets");
  evo_json_begin_array (w);
  evo_json_add_integer (w, (gint64) p->begin);
  evo_json_add_integer (w, (gint64) (p->begin + p->n_bytes));
  evo_json_end_array (w);
  evo_json_end_object (w);
}

/* Wider elements first, else as they come: so every tensor of a mixed file is aligned, which PyTorch insists on. Returns the header. */
static GString *
place_pieces (EvoOutput *out, EvoOutputShard *s)
{
  GString *text = g_string_new (NULL);
  guint64 at = 0;
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "__metadata__");
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "format");
  evo_json_add_string (&w, "pt");
  evo_json_end_object (&w);
  for (guint width = 8; width > 0; width /= 2)
    for (guint i = s->first; i < s->first + s->n; i++) {
      EvoOutputPiece *p = &out->pieces[i];

      if (p->width != width)
        continue;
      p->begin = at;
      at += p->n_bytes;
      describe (&w, p);
    }
  evo_json_end_object (&w);
  while (text->len % 8 != 0)
    g_string_append_c (text, ' ');
  return text;
}

/* ------------------------------------------------------------------ the files */

static gboolean
begin_shard (EvoOutput *out, EvoOutputShard *s, GError **error)
{
  g_autoptr (GString) header = place_pieces (out, s);
  guint64 length = GUINT64_TO_LE ((guint64) header->len);

  s->path = g_build_filename (evo_beside_get_path (out->beside), s->name, NULL);
  s->data = sizeof length + header->len;
  s->fd = evo_output_open_inside (out, s->name, O_EXCL);
  if (s->fd < 0 && errno == EMFILE)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE,
                          "%s: %u files are more than can be open at once (ulimit -n); use a larger "
                          "shard size", s->path, out->n_shards);
  if (s->fd < 0)
    return evo_write_failed (s->path, errno, 0, error);
  return evo_write_allocate (s->fd, s->path, s->data + s->n_bytes, error) &&
         evo_write_all (s->fd, s->path, &length, sizeof length, 0, error) &&
         evo_write_all (s->fd, s->path, header->str, header->len, sizeof length, error);
}

static gboolean
check_names (const EvoOutput *out, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < out->n_pieces; i++)
    if (!g_hash_table_add (seen, out->pieces[i].name) || g_str_equal (out->pieces[i].name, "__metadata__"))
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: cannot hold a tensor \"%s\" (again)",
                            evo_beside_get_path (out->beside), out->pieces[i].name);
  return TRUE;
}

void
evo_output_set_stem (EvoOutput *out, const char *stem)
{
  out->stem = stem;
}

gboolean
evo_output_plan (EvoOutput *out, const EvoShape *tensors, guint n, guint64 shard_bytes, GError **error)
{
  g_return_val_if_fail (!out->planned, FALSE);
  for (guint i = 0; i < n; i++)
    g_return_val_if_fail (tensors[i].dtype != EVO_DTYPE_NONE, FALSE);
  out->planned = TRUE;
  take_pieces (out, tensors, n);
  if (!check_names (out, error))
    return FALSE;
  divide (out, shard_bytes == 0 ? default_shard_bytes : shard_bytes);
  for (guint i = 0; i < out->n_shards; i++)
    out->shards[i].name = out->n_shards == 1 ? g_strconcat (out->stem == NULL ? "model" : out->stem, ".safetensors", NULL)
                                             : g_strdup_printf ("model-%05u-of-%05u.safetensors", i + 1, out->n_shards);
  for (guint i = 0; i < out->n_shards; i++)
    if (!begin_shard (out, &out->shards[i], error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ the index */

static int
by_name (const void *a, const void *b)
{
  return strcmp ((*(const EvoOutputPiece *const *) a)->name, (*(const EvoOutputPiece *const *) b)->name);
}

gboolean
evo_output_write_index (EvoOutput *out, GError **error)
{
  g_autofree const EvoOutputPiece **sorted = g_new (const EvoOutputPiece *, MAX (out->n_pieces, 1));
  g_autoptr (GString) text = g_string_new (NULL);
  guint64 total = 0;
  EvoJsonWriter w;

  for (guint i = 0; i < out->n_pieces; i++) {
    sorted[i] = &out->pieces[i];
    total += out->pieces[i].n_bytes;
  }
  qsort (sorted, out->n_pieces, sizeof sorted[0], by_name);
  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "metadata");
  evo_json_begin_object (&w);
  evo_json_add_key (&w, "total_size");
  evo_json_add_integer (&w, (gint64) total);
  evo_json_end_object (&w);
  evo_json_add_key (&w, "weight_map");
  evo_json_begin_object (&w);
  for (guint i = 0; i < out->n_pieces; i++) {
    evo_json_add_key (&w, sorted[i]->name);
    evo_json_add_string (&w, out->shards[sorted[i]->shard].name);
  }
  evo_json_end_object (&w);
  evo_json_end_object (&w);
  g_string_append_c (text, '\n');
  return evo_output_add_text (out, index_name, text->str, (gssize) text->len, error);
}
