/* SPDX-License-Identifier: Apache-2.0
 * store.c - an opened checkpoint: its files mapped, their tensors under one roof in name order.
 */
#include "core/store/store.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/index.h"
#include "core/store/map.h"
#include "core/store/safetensors.h"

typedef struct { char *path; EvoMap *map; EvoHeader *header; } Part;
typedef struct { const EvoEntry *entry; const Part *part; } Tensor;

struct EvoStore {
  gatomicrefcount refs;
  char *path, *folder;
  GPtrArray *names;   /* of the parts, in name order */
  Part *parts;        /* [names->len] */
  Tensor *tensors;    /* [n_tensors] in name order */
  guint n_tensors;
  guint64 n_bytes;
  EvoJsonDoc *config; /* NULL: none */
};

/* ------------------------------------------------------------------ opening */

static gboolean
open_part (Part *p, const char *folder, const char *name, GError **error)
{
  p->path = g_build_filename (folder, name, NULL);
  p->map = evo_map_new (p->path, error);
  if (p->map == NULL)
    return FALSE;
  p->header = evo_safetensors_parse (evo_map_peek (p->map), evo_map_get_size (p->map), p->path, error);
  return p->header != NULL;
}

static gboolean
open_parts (EvoStore *s, GError **error)
{
  s->parts = g_new0 (Part, s->names->len);
  for (guint i = 0; i < s->names->len; i++)
    if (!open_part (&s->parts[i], s->folder, s->names->pdata[i], error))
      return FALSE;
  return TRUE;
}

static int
by_name (const void *a, const void *b)
{
  return strcmp (((const Tensor *) a)->entry->shape.name, ((const Tensor *) b)->entry->shape.name);
}

/* Names are unique inside a file; between files that is for us to see. */
static gboolean
collect_tensors (EvoStore *s, GError **error)
{
  guint n = 0;

  for (guint i = 0; i < s->names->len; i++)
    n += s->parts[i].header->n;
  s->tensors = g_new (Tensor, MAX (n, 1));
  for (guint i = 0; i < s->names->len; i++)
    for (guint j = 0; j < s->parts[i].header->n; j++) {
      const EvoEntry *entry = &s->parts[i].header->entries[j];

      s->tensors[s->n_tensors++] = (Tensor){ entry, &s->parts[i] };
      s->n_bytes += entry->end - entry->begin;
    }
  qsort (s->tensors, n, sizeof s->tensors[0], by_name);
  for (guint i = 1; i < n; i++)
    if (by_name (&s->tensors[i - 1], &s->tensors[i]) == 0) {
      g_autofree char *name = evo_quote_name (s->tensors[i].entry->shape.name);

      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                            "%s: tensor %s is in %s as well; one must go", s->tensors[i].part->path,
                            name, s->tensors[i - 1].part->path);
    }
  return TRUE;
}

static gboolean
check_index (const EvoStore *s, const EvoJsonDoc *index, GError **error)
{
  g_autofree const EvoHeader **headers = g_new (const EvoHeader *, s->names->len);

  for (guint i = 0; i < s->names->len; i++)
    headers[i] = s->parts[i].header;
  return evo_index_check (index, (const char *const *) s->names->pdata, headers, s->names->len, error);
}

static gboolean
read_config (EvoStore *s, GError **error)
{
  g_autofree char *path = g_build_filename (s->folder, "config.json", NULL);

  if (!evo_file_exists (s->folder, "config.json"))
    return TRUE;
  s->config = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  if (s->config == NULL)
    return FALSE;
  if (evo_json_kind (evo_json_root (s->config)) != EVO_JSON_OBJECT)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s:%u: is %s; an object is needed", path,
                          evo_json_line (evo_json_root (s->config)), evo_json_kind_name (evo_json_kind (evo_json_root (s->config))));
  return TRUE;
}

static gboolean
open_all (EvoStore *s, GError **error)
{
  g_autoptr (EvoJsonDoc) index = NULL;

  if (g_file_test (s->path, G_FILE_TEST_IS_DIR)) {
    s->folder = g_strdup (s->path);
    if (!evo_index_list (s->folder, s->names, &index, error))
      return FALSE;
  } else {
    s->folder = g_path_get_dirname (s->path);
    g_ptr_array_add (s->names, g_path_get_basename (s->path));
  }
  return open_parts (s, error) && (index == NULL || check_index (s, index, error)) && collect_tensors (s, error) && read_config (s, error);
}

EvoStore *
evo_store_open (const char *path, GError **error)
{
  g_autoptr (EvoStore) s = g_new0 (EvoStore, 1);

  g_atomic_ref_count_init (&s->refs);
  s->path = g_strdup (path);
  s->names = g_ptr_array_new_with_free_func (g_free);
  return open_all (s, error) ? g_steal_pointer (&s) : NULL;
}

EvoStore *
evo_store_ref (EvoStore *s)
{
  g_atomic_ref_count_inc (&s->refs);
  return s;
}

void
evo_store_unref (EvoStore *s)
{
  if (s == NULL || !g_atomic_ref_count_dec (&s->refs))
    return;
  for (guint i = 0; s->parts != NULL && i < s->names->len; i++) {
    g_free (s->parts[i].path);
    evo_map_free (s->parts[i].map);
    evo_header_free (s->parts[i].header);
  }
  g_free (s->parts);
  g_free (s->tensors);
  g_ptr_array_unref (s->names);
  evo_json_free (s->config);
  g_free (s->folder);
  g_free (s->path);
  g_free (s);
}

/* ------------------------------------------------------------------ looking and reading */

const char *
evo_store_get_path (const EvoStore *s)
{
  return s->path;
}

guint
evo_store_get_n_tensors (const EvoStore *s)
{
  return s->n_tensors;
}

const EvoShape *
evo_store_get_tensor (const EvoStore *s, guint i)
{
  g_return_val_if_fail (i < s->n_tensors, NULL);
  return &s->tensors[i].entry->shape;
}

static int
name_of (const void *name, const void *tensor)
{
  return strcmp (name, ((const Tensor *) tensor)->entry->shape.name);
}

int
evo_store_find (const EvoStore *s, const char *name)
{
  const Tensor *t = s->n_tensors == 0 ? NULL : bsearch (name, s->tensors, s->n_tensors, sizeof s->tensors[0], name_of);

  return t == NULL ? -1 : (int) (t - s->tensors);
}

gconstpointer
evo_store_peek (const EvoStore *s, guint i)
{
  g_return_val_if_fail (i < s->n_tensors, NULL);
  return evo_map_peek (s->tensors[i].part->map) + s->tensors[i].entry->begin;
}

gboolean
evo_store_check (const EvoStore *s, guint i, GError **error)
{
  g_return_val_if_fail (i < s->n_tensors, FALSE);
  if (!evo_map_has_changed (s->tensors[i].part->map))
    return TRUE;
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_CHANGED,
                        "%s: was changed or cut off while it was read, or its disk failed; what was read "
                        "since is worth nothing", s->tensors[i].part->path);
}

void
evo_store_widen (const EvoStore *s, const EvoKernels *k, guint i, gint64 first, gsize n, float *out)
{
  const EvoShape *shape;

  g_return_if_fail (i < s->n_tensors);
  shape = &s->tensors[i].entry->shape;
  g_return_if_fail (first >= 0 && first <= shape->n && n <= (gsize) (shape->n - first));
  evo_dtype_to_f32 (k, out, shape->dtype, (const guint8 *) evo_store_peek (s, i) + (gsize) first * evo_dtype_size (shape->dtype), n);
}

gboolean
evo_store_read (const EvoStore *s, const EvoKernels *k, guint i, gint64 first, gsize n, float *out, GError **error)
{
  evo_store_widen (s, k, i, first, n, out);
  return evo_store_check (s, i, error);
}

void
evo_store_release (const EvoStore *s, guint i)
{
  g_return_if_fail (i < s->n_tensors);
  evo_map_release (s->tensors[i].part->map, s->tensors[i].entry->begin, s->tensors[i].entry->end - s->tensors[i].entry->begin);
}

const EvoJson *
evo_store_get_config (const EvoStore *s)
{
  return s->config == NULL ? NULL : evo_json_root (s->config);
}

char *
evo_store_find_file (const EvoStore *s, const char *name)
{
  g_autofree char *path = g_build_filename (s->folder, name, NULL);

  return g_file_test (path, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer (&path) : NULL;
}

char *
evo_store_digest (const EvoStore *s)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  for (guint i = 0; i < s->names->len; i++) {
    const Part *p = &s->parts[i];
    guint64 numbers[2] = { evo_map_get_size (p->map), (guint64) evo_map_get_mtime_ns (p->map) };

    g_checksum_update (sum, s->names->pdata[i], (gssize) strlen (s->names->pdata[i]) + 1);
    g_checksum_update (sum, (const guchar *) numbers, sizeof numbers);
    g_checksum_update (sum, evo_map_peek (p->map), (gssize) p->header->n_bytes);
  }
  return g_strdup (g_checksum_get_string (sum));
}

guint64
evo_store_get_bytes (const EvoStore *s)
{
  return s->n_bytes;
}
