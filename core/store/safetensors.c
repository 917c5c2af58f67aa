/* SPDX-License-Identifier: Apache-2.0
 * safetensors.c - reading the header of a safetensors file by our own rules; nothing in it is believed.
 *
 * The rules are those of the reference reader: sorted by place, the tensors tile the data exactly, without overlap, hole or rest.
 */
#include "core/store/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/json.h"

typedef struct { const char *file; GError **error; } Reader;

static gboolean G_GNUC_PRINTF (3, 4)
fail (const Reader *r, EvoStoreError code, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (r->error, EVO_STORE_ERROR, (gint) code, "%s: %s", r->file, what);
}

static gboolean G_GNUC_PRINTF (4, 5)
fail_tensor (const Reader *r, EvoStoreError code, const char *name, const char *format, ...)
{
  g_autofree char *what = NULL, *quoted = evo_quote_name (name);
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (r->error, EVO_STORE_ERROR, (gint) code, "%s: tensor %s: %s", r->file, quoted, what);
}

char *
evo_quote_name (const char *name)
{
  enum { MOST = 100 };
  GString *text = g_string_new (NULL);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, FALSE);
  if (g_utf8_validate (name, -1, NULL) && g_utf8_strlen (name, -1) > MOST) {
    g_autofree char *head = g_utf8_substring (name, 0, MOST), *cut = g_strconcat (head, "...", NULL);

    evo_json_add_string (&w, cut);
  } else {
    evo_json_add_text (&w, name, MIN ((gssize) strlen (name), 4 * MOST));
  }
  return g_string_free (text, FALSE);
}

/* A value for a message: a number as it is spelt, else the kind of value it is (owned). */
static char *
value_text (const EvoJson *v)
{
  g_autofree char *text = NULL;

  if (evo_json_kind (v) != EVO_JSON_NUMBER)
    return g_strdup (evo_json_kind_name (evo_json_kind (v)));
  text = evo_json_text (v);
  return g_strndup (text, 40);
}

/* ------------------------------------------------------------------ one tensor */

static gboolean
read_count (const EvoJson *v, gint64 *out)
{
  return evo_json_is_integer (v, out) && *out >= 0;
}

static gboolean
read_dtype (const Reader *r, const EvoJson *v, const char *name, EvoShape *out)
{
  const EvoJson *dtype = evo_json_member (v, "dtype");
  g_autofree char *text = NULL;

  if (dtype == NULL || evo_json_kind (dtype) != EVO_JSON_STRING)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "has no \"dtype\"; a string such as \"BF16\" is needed");
  out->dtype = evo_dtype_from_name (evo_json_string (dtype));
  if (out->dtype != EVO_DTYPE_NONE)
    return TRUE;
  text = evo_quote_name (evo_json_string (dtype));
  return fail_tensor (r, EVO_STORE_ERROR_DTYPE, name, "dtype %s is not known; known are F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I8 to I64, "
                      "U8 to U64, BOOL", text);
}

static gboolean
read_shape (const Reader *r, const EvoJson *v, const char *name, EvoShape *out)
{
  const EvoJson *shape = evo_json_member (v, "shape");

  if (shape == NULL || evo_json_kind (shape) != EVO_JSON_ARRAY)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "has no \"shape\"; a list of whole numbers is needed");
  out->n_dims = evo_json_size (shape);
  if (out->n_dims > EVO_MAX_DIMS)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "has %u dimensions; at most %d are allowed", out->n_dims, EVO_MAX_DIMS);
  for (guint i = 0; i < out->n_dims; i++) {
    const EvoJson *dim = evo_json_at (shape, i);

    if (!read_count (dim, &out->dims[i])) {
      g_autofree char *text = value_text (dim);

      return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "dimension %u is %s; a whole number from 0 on, below 2^53, is needed", i, text);
    }
  }
  if (!evo_shape_count (out)) {
    g_autofree char *text = evo_shape_text (out);

    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "shape %s is more than can be counted", text);
  }
  return TRUE;
}

static gboolean
read_offsets (const Reader *r, const EvoJson *v, const char *name, EvoEntry *out)
{
  const EvoJson *pair = evo_json_member (v, "data_offsets");
  guint64 wanted = evo_shape_bytes (&out->shape);
  gint64 begin = 0, end = 0;

  if (pair == NULL || evo_json_kind (pair) != EVO_JSON_ARRAY || evo_json_size (pair) != 2)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "has no \"data_offsets\"; a list of two whole numbers is needed");
  for (guint i = 0; i < 2; i++)
    if (!read_count (evo_json_at (pair, i), i == 0 ? &begin : &end)) {
      g_autofree char *text = value_text (evo_json_at (pair, i));

      return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name,
                          "data offset %u is %s; a whole number from 0 on, below 2^53, is needed", i, text);
    }
  if (begin > end)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name,
                        "ends at byte %" G_GINT64_FORMAT ", before its begin at byte %" G_GINT64_FORMAT, end, begin);
  if ((guint64) (end - begin) != wanted) {
    g_autofree char *shape = evo_shape_text (&out->shape);

    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name,
                        "has %" G_GINT64_FORMAT " bytes; %s of shape %s needs %" G_GUINT64_FORMAT, end - begin,
                        evo_dtype_name (out->shape.dtype), shape, wanted);
  }
  out->begin = (guint64) begin;
  out->end = (guint64) end;
  return TRUE;
}

static gboolean
read_entry (const Reader *r, const EvoJson *v, EvoEntry *out)
{
  const char *name = evo_json_key (v);

  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return fail_tensor (r, EVO_STORE_ERROR_FORMAT, name, "is described by %s; an object is needed", evo_json_kind_name (evo_json_kind (v)));
  if (!read_dtype (r, v, name, &out->shape) || !read_shape (r, v, name, &out->shape) || !read_offsets (r, v, name, out))
    return FALSE;
  out->shape.name = g_strdup (name);
  return TRUE;
}

static gboolean
check_metadata (const Reader *r, const EvoJson *v)
{
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return fail (r, EVO_STORE_ERROR_FORMAT,
                 "\"__metadata__\" is %s; an object of strings is needed", evo_json_kind_name (evo_json_kind (v)));
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);

    if (evo_json_kind (member) != EVO_JSON_STRING) {
      g_autofree char *key = evo_quote_name (evo_json_key (member));

      return fail (r, EVO_STORE_ERROR_FORMAT,
                   "%s in \"__metadata__\" is %s; a string is needed", key, evo_json_kind_name (evo_json_kind (member)));
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ all of them */

static int
by_place (const void *a, const void *b)
{
  const EvoEntry *x = *(const EvoEntry *const *) a, *y = *(const EvoEntry *const *) b;

  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end)
    return x->end < y->end ? -1 : 1;
  return x < y ? -1 : x > y; /* as they stand in the header: the same sentence every time */
}

static int
by_name (const void *a, const void *b)
{
  return strcmp (((const EvoEntry *) a)->shape.name, ((const EvoEntry *) b)->shape.name);
}

/* The tensors tile [0, *end). */
static gboolean
check_tiling (const Reader *r, const EvoHeader *h, guint64 *end)
{
  g_autofree const EvoEntry **sorted = g_new (const EvoEntry *, MAX (h->n, 1));
  guint64 at = 0;

  for (guint i = 0; i < h->n; i++)
    sorted[i] = &h->entries[i];
  qsort (sorted, h->n, sizeof sorted[0], by_place);
  for (guint i = 0; i < h->n; i++) {
    const EvoEntry *e = sorted[i];

    if (e->begin < at) {
      g_autofree char *other = evo_quote_name (sorted[i - 1]->shape.name);

      return fail_tensor (r, EVO_STORE_ERROR_FORMAT, e->shape.name,
                          "begins at byte %" G_GUINT64_FORMAT " and overlaps tensor %s, which ends at byte %"
                          G_GUINT64_FORMAT, e->begin, other, at);
    }
    if (e->begin > at)
      return fail_tensor (r, EVO_STORE_ERROR_FORMAT, e->shape.name,
                          "begins at byte %" G_GUINT64_FORMAT " and leaves a hole: byte %" G_GUINT64_FORMAT
                          " is expected", e->begin, at);
    at = e->end;
  }
  *end = at;
  return TRUE;
}

/* The file ends where the last tensor does. */
static gboolean
check_size (const Reader *r, const EvoHeader *h, guint64 data, guint64 size)
{
  guint64 there = size - h->n_bytes;

  if (data > there)
    return fail (r, EVO_STORE_ERROR_TRUNCATED, "is cut off: its tensors need %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " are there; "
                 "copy or download it again", data, there);
  if (data < there)
    return fail (r, EVO_STORE_ERROR_FORMAT, "has %" G_GUINT64_FORMAT " bytes after its last tensor; it must end there", there - data);
  return TRUE;
}

/* What else the file may be, where its first bytes are no length of a header. */
static gboolean
fail_foreign (const Reader *r, const guint8 *bytes, guint64 size)
{
  static const struct { const char *magic, *what; } foreign[] = {
    { "version https://git-lfs", "is a Git LFS pointer, not the file itself; `git lfs pull` fetches that" },
    { "PK\003\004", "is a PyTorch archive, which may run code when read; convert it to safetensors" },
    { "GGUF", "is a GGUF file; a safetensors file is expected" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (foreign); i++) {
    gsize n = strlen (foreign[i].magic);

    if (size >= n && memcmp (bytes, foreign[i].magic, n) == 0)
      return fail (r, EVO_STORE_ERROR_FORMAT, "%s", foreign[i].what);
  }
  return TRUE;
}

static gboolean
read_length (const Reader *r, const guint8 *bytes, guint64 size, guint64 *out)
{
  guint64 n;

  if (size == 0)
    return fail (r, EVO_STORE_ERROR_TRUNCATED, "is empty; a safetensors file is expected");
  if (size < sizeof n)
    return fail (r, EVO_STORE_ERROR_TRUNCATED,
                 "is cut off: it has %" G_GUINT64_FORMAT " bytes, the length of its header alone takes 8", size);
  memcpy (&n, bytes, sizeof n);
  if (n > size - sizeof n && !fail_foreign (r, bytes, size))
    return FALSE;
  if (n > EVO_SAFETENSORS_MAX_HEADER)
    return fail (r, EVO_STORE_ERROR_FORMAT,
                 "is not a safetensors file: its header would have %" G_GUINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT
                 " are allowed", n, EVO_SAFETENSORS_MAX_HEADER);
  if (n > size - sizeof n)
    return fail (r, EVO_STORE_ERROR_TRUNCATED, "is cut off: its header needs %" G_GUINT64_FORMAT " bytes, %" G_GUINT64_FORMAT " are there; "
                 "copy or download it again", n, size - sizeof n);
  *out = n;
  return TRUE;
}

static gboolean
read_entries (const Reader *r, const EvoJson *root, EvoHeader *h)
{
  h->entries = g_new0 (EvoEntry, MAX (evo_json_size (root), 1));
  for (guint i = 0; i < evo_json_size (root); i++) {
    const EvoJson *v = evo_json_at (root, i);

    if (g_str_equal (evo_json_key (v), "__metadata__")) {
      if (!check_metadata (r, v))
        return FALSE;
    } else if (read_entry (r, v, &h->entries[h->n])) {
      h->n++;
    } else {
      return FALSE;
    }
  }
  return TRUE;
}

EvoHeader *
evo_safetensors_parse (const guint8 *bytes, guint64 size, const char *name, GError **error)
{
  Reader r = { name, error };
  g_autoptr (EvoHeader) h = g_new0 (EvoHeader, 1);
  g_autoptr (EvoJsonDoc) doc = NULL;
  g_autofree char *part = g_strconcat (name, " (header)", NULL);
  guint64 length = 0, end = 0;

  if (!read_length (&r, bytes, size, &length))
    return NULL;
  h->n_bytes = sizeof length + length;
  if (length == 0 || bytes[sizeof length] != '{') {
    fail (&r, EVO_STORE_ERROR_FORMAT, "is not a safetensors file: its header is not a JSON object");
    return NULL;
  }
  doc = evo_json_parse ((const char *) bytes + sizeof length, (gssize) length, part, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, error);
  if (doc == NULL || !read_entries (&r, evo_json_root (doc), h) || !check_tiling (&r, h, &end) || !check_size (&r, h, end, size))
    return NULL;
  for (guint i = 0; i < h->n; i++) {
    h->entries[i].begin += h->n_bytes;
    h->entries[i].end += h->n_bytes;
  }
  qsort (h->entries, h->n, sizeof h->entries[0], by_name);
  return g_steal_pointer (&h);
}

void
evo_header_free (EvoHeader *h)
{
  if (h == NULL)
    return;
  for (guint i = 0; i < h->n; i++)
    g_free (h->entries[i].shape.name);
  g_free (h->entries);
  g_free (h);
}
