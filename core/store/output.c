/* SPDX-License-Identifier: Apache-2.0
 * output.c - a model directory in the making: tensor files planned, allocated and filled in any order, then committed as one.
 */
#include "core/store/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/store/beside.h"
#include "core/store/write.h"

static const guint64 default_shard_bytes = G_GUINT64_CONSTANT (5000000000); /* the default of save_pretrained */
static const char index_name[] = "model.safetensors.index.json";

typedef struct { guint64 from, to; } Range;
typedef struct {
  char *name;
  const char *dtype;
  guint n_dims;
  gint64 dims[EVO_MAX_DIMS];
  guint shard, width;        /* width: bytes of an element */
  guint64 begin, n_bytes;    /* begin: in the shard's data */
  GArray *written;           /* of Range, in order, apart from each other */
} Piece;
typedef struct { char *name, *path; int fd; guint first, n; guint64 data, n_bytes; } Shard; /* data: where it begins in the file */

struct EvoOutput {
  EvoBeside *beside;
  gboolean replace, planned;
  const char *stem;          /* NULL: "model" */
  Piece *pieces; guint n_pieces;
  Shard *shards; guint n_shards;
  GMutex lock;               /* of the pieces' ranges */
  gint64 sync_us;            /* waited for the disk */
};

/* ------------------------------------------------------------------ the directory */

static gboolean
looks_like_a_model (const char *path)
{
  static const char *const names[] = { "config.json", "model_index.json", "evopipe.json" };
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  gboolean is_empty = TRUE;
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    is_empty = FALSE;
    if (g_str_has_suffix (name, ".safetensors"))
      return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS (names); i++)
      if (g_str_equal (name, names[i]))
        return TRUE;
  }
  return dir != NULL && is_empty;
}

/* To replace is to delete: only what we could have written. */
static gboolean
check_place (const char *path, gboolean replace, GError **error)
{
  struct stat st;

  if (lstat (path, &st) != 0)
    return TRUE;
  if (!replace)
    return evo_beside_exists_error (path, error);
  if (!looks_like_a_model (path))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_EXISTS,
                          "%s: exists and is not the directory of a model; only such a one or an "
                          "empty one is replaced", path);
  return TRUE;
}

EvoOutput *
evo_output_new (const char *path, gboolean replace, GError **error)
{
  g_autoptr (EvoOutput) out = g_new0 (EvoOutput, 1);

  g_mutex_init (&out->lock);
  out->replace = replace;
  if (!check_place (path, replace, error))
    return NULL;
  out->beside = evo_beside_new (path, EVO_BESIDE_FOLDER, error);
  return out->beside == NULL ? NULL : g_steal_pointer (&out);
}

void
evo_output_free (EvoOutput *out)
{
  if (out == NULL)
    return;
  for (guint i = 0; i < out->n_shards; i++) {
    if (out->shards[i].fd >= 0)
      close (out->shards[i].fd);
    g_free (out->shards[i].name);
    g_free (out->shards[i].path);
  }
  for (guint i = 0; i < out->n_pieces; i++) {
    g_free (out->pieces[i].name);
    g_array_unref (out->pieces[i].written);
  }
  g_free (out->shards);
  g_free (out->pieces);
  evo_beside_free (out->beside);
  g_mutex_clear (&out->lock);
  g_free (out);
}

/* ------------------------------------------------------------------ the plan */

static void
take_pieces (EvoOutput *out, const EvoShape *tensors, guint n)
{
  out->pieces = g_new0 (Piece, MAX (n, 1));
  out->n_pieces = n;
  for (guint i = 0; i < n; i++) {
    Piece *p = &out->pieces[i];

    *p = (Piece){ .name = g_strdup (tensors[i].name), .dtype = evo_dtype_name (tensors[i].dtype), .n_dims = tensors[i].n_dims,
                  .width = (guint) evo_dtype_size (tensors[i].dtype), .n_bytes = evo_shape_bytes (&tensors[i]) };
    memcpy (p->dims, tensors[i].dims, sizeof p->dims);
    p->written = g_array_new (FALSE, FALSE, sizeof (Range));
  }
}

static void
divide (EvoOutput *out, guint64 limit)
{
  g_autoptr (GArray) shards = g_array_new (FALSE, TRUE, sizeof (Shard));
  Shard *s = NULL;

  for (guint i = 0; i < out->n_pieces || shards->len == 0; i++) {
    guint64 n = i < out->n_pieces ? out->pieces[i].n_bytes : 0;

    if (s == NULL || (s->n > 0 && (n > limit || s->n_bytes > limit - n))) {
      g_array_set_size (shards, shards->len + 1);
      s = &g_array_index (shards, Shard, shards->len - 1);
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
  out->shards = (Shard *) g_array_free (g_steal_pointer (&shards), FALSE);
}

static void
describe (EvoJsonWriter *w, const Piece *p)
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
place_pieces (EvoOutput *out, Shard *s)
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
      Piece *p = &out->pieces[i];

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

static int
open_inside (const EvoOutput *out, const char *name, int flags)
{
  return openat (evo_beside_get_fd (out->beside), name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0666);
}

static gboolean
begin_shard (EvoOutput *out, Shard *s, GError **error)
{
  g_autoptr (GString) header = place_pieces (out, s);
  guint64 length = GUINT64_TO_LE ((guint64) header->len);

  s->path = g_build_filename (evo_beside_get_path (out->beside), s->name, NULL);
  s->data = sizeof length + header->len;
  s->fd = open_inside (out, s->name, O_EXCL);
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

/* ------------------------------------------------------------------ the disk */

static gboolean
sync_file (EvoOutput *out, int fd, const char *path, GError **error)
{
  gint64 began = g_get_monotonic_time ();
  gboolean done = evo_write_sync (fd, path, error);

  out->sync_us += g_get_monotonic_time () - began;
  return done;
}

double
evo_output_get_sync_seconds (const EvoOutput *out)
{
  return (double) out->sync_us / 1e6;
}

/* ------------------------------------------------------------------ the bytes */

static void
add_range (GArray *ranges, Range r)
{
  guint i = ranges->len, n = 0;

  while (i > 0 && g_array_index (ranges, Range, i - 1).to >= r.from)
    i--;
  while (i + n < ranges->len && g_array_index (ranges, Range, i + n).from <= r.to) {
    r.from = MIN (r.from, g_array_index (ranges, Range, i + n).from);
    r.to = MAX (r.to, g_array_index (ranges, Range, i + n).to);
    n++;
  }
  if (n > 0)
    g_array_remove_range (ranges, i, n);
  g_array_insert_val (ranges, i, r);
}

/* Starts writing back what lies in the window that a write to [from, to) completes, so that the disk works while we compute and commit has
 * little to wait for (2 GB in slices of 128 kB, 2 threads, a fast disk: commit 0.9 s -> 0.05 s, in all 1.7 s -> 1.0 s). What other threads
 * bring later is for fsync; a failure shows up there as well. */
static void
write_back (int fd, guint64 from, guint64 to)
{
  const guint64 window = 4 << 20;

  if (from / window != to / window)
    sync_file_range (fd, (off_t) (from / window * window), (off_t) (to / window * window - from / window * window), SYNC_FILE_RANGE_WRITE);
}

gboolean
evo_output_write (EvoOutput *out, guint i, guint64 offset, gconstpointer bytes, gsize n, GError **error)
{
  Piece *p;
  const Shard *s;
  guint64 at;

  g_return_val_if_fail (i < out->n_pieces, FALSE);
  p = &out->pieces[i];
  g_return_val_if_fail (offset <= p->n_bytes && n <= p->n_bytes - offset, FALSE);
  s = &out->shards[p->shard];
  if (n == 0)
    return TRUE;
  at = s->data + p->begin + offset;
  if (!evo_write_all (s->fd, s->path, bytes, n, at, error))
    return FALSE;
  write_back (s->fd, at, at + n);
  g_mutex_lock (&out->lock);
  add_range (p->written, (Range){ offset, offset + n });
  g_mutex_unlock (&out->lock);
  return TRUE;
}

/* ------------------------------------------------------------------ other files */

/* A file of ours to be written anew under a plain name; *path: what messages call it. -1 and error. */
static int
open_companion (const EvoOutput *out, const char *name, char **path, GError **error)
{
  int fd;

  *path = g_build_filename (evo_beside_get_path (out->beside), name, NULL);
  if (name[0] == '\0' || strchr (name, '/') != NULL || g_str_equal (name, ".") || g_str_equal (name, "..")) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE,
                   "%s: \"%s\" is not the plain name of a file", evo_beside_get_path (out->beside), name);
    return -1;
  }
  for (guint i = 0; i < out->n_shards; i++)
    if (g_str_equal (name, out->shards[i].name)) {
      evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: holds tensors and cannot be written over", *path);
      return -1;
    }
  fd = open_inside (out, name, O_TRUNC);
  if (fd < 0)
    evo_write_failed (*path, errno, 0, error);
  return fd;
}

gboolean
evo_output_add_text (EvoOutput *out, const char *name, const char *text, gssize n, GError **error)
{
  g_autofree char *path = NULL;
  gsize size = n < 0 ? strlen (text) : (gsize) n;
  int fd = open_companion (out, name, &path, error);
  gboolean done;

  if (fd < 0)
    return FALSE;
  done = evo_write_all (fd, path, text, size, 0, error) && sync_file (out, fd, path, error);
  close (fd);
  return done;
}

static gboolean
copy_bytes (int from, const char *from_path, int to, const char *to_path, GError **error)
{
  enum { STEP = 1 << 20 };
  g_autofree char *buffer = g_malloc (STEP);
  guint64 at = 0;

  for (;;) {
    gssize n = read (from, buffer, STEP);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be read: %s", from_path, g_strerror (errno));
    if (n == 0)
      return TRUE;
    if (!evo_write_all (to, to_path, buffer, (gsize) n, at, error))
      return FALSE;
    at += (guint64) n;
  }
}

gboolean
evo_output_copy_file (EvoOutput *out, const char *name, const char *from, GError **error)
{
  g_autofree char *path = NULL;
  int source = open (from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), fd;
  struct stat st;
  gboolean done;

  if (source < 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be opened: %s", from, g_strerror (errno));
  if (fstat (source, &st) != 0 || !S_ISREG (st.st_mode)) {
    close (source);
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: is not a regular file", from);
  }
  fd = open_companion (out, name, &path, error);
  done = fd >= 0 && copy_bytes (source, from, fd, path, error) && sync_file (out, fd, path, error);
  if (fd >= 0)
    close (fd);
  close (source);
  return done;
}

/* ------------------------------------------------------------------ commit */

static gboolean
check_whole (const EvoOutput *out, GError **error)
{
  for (guint i = 0; i < out->n_pieces; i++) {
    const Piece *p = &out->pieces[i];
    const Range *r = p->written->len == 0 ? NULL : &g_array_index (p->written, Range, 0);
    guint64 to = r == NULL || r->from > 0 ? 0 : r->to;

    if (to < p->n_bytes)
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_WRITE, "%s: tensor \"%s\" was not written from byte %" G_GUINT64_FORMAT
                            " of %" G_GUINT64_FORMAT " on; this is a defect of evopipe", out->shards[p->shard].path, p->name, to, p->n_bytes);
  }
  return TRUE;
}

static int
by_name (const void *a, const void *b)
{
  return strcmp ((*(const Piece *const *) a)->name, (*(const Piece *const *) b)->name);
}

static gboolean
write_index (EvoOutput *out, GError **error)
{
  g_autofree const Piece **sorted = g_new (const Piece *, MAX (out->n_pieces, 1));
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

gboolean
evo_output_commit (EvoOutput *out, GError **error)
{
  gint64 began;
  gboolean done;

  if (!check_whole (out, error) || (out->n_shards > 1 && !write_index (out, error)))
    return FALSE;
  for (guint i = 0; i < out->n_shards; i++)
    if (!sync_file (out, out->shards[i].fd, out->shards[i].path, error))
      return FALSE;
  began = g_get_monotonic_time ();
  done = evo_beside_land (out->beside, out->replace, error);
  out->sync_us += g_get_monotonic_time () - began;
  return done;
}

/* ------------------------------------------------------------------ one file */

gboolean
evo_write_file (const char *path, const char *text, gssize n, GError **error)
{
  g_autoptr (EvoBeside) b = evo_beside_new (path, EVO_BESIDE_FILE, error);
  gsize size = n < 0 ? strlen (text) : (gsize) n;

  return b != NULL && evo_write_all (evo_beside_get_fd (b), path, text, size, 0, error) && evo_beside_land (b, TRUE, error);
}
