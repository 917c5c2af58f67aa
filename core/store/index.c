/* SPDX-License-Identifier: Apache-2.0
 * index.c - the files of a checkpoint: one, those of an index, or all there are.
 */
#include "core/store/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/error.h"

static const char single_name[] = "model.safetensors", index_name[] = "model.safetensors.index.json", suffix[] = ".safetensors";

static int
by_text (const void *a, const void *b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
sort_names (GPtrArray *names)
{
  if (names->len > 1)
    qsort (names->pdata, names->len, sizeof names->pdata[0], by_text);
}

static int
find_name (const char *const *names, guint n, const char *name)
{
  const char *const *at = n == 0 ? NULL : bsearch (&name, names, n, sizeof names[0], by_text);

  return at == NULL ? -1 : (int) (at - names);
}

gboolean
evo_file_exists (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  struct stat st;

  return lstat (path, &st) == 0;
}

/* ------------------------------------------------------------------ the index */

static const EvoJson *
weight_map (const EvoJsonDoc *index)
{
  return evo_json_member (evo_json_root (index), "weight_map");
}

/* One file of the index: a plain name, so that no index leads out of its folder. */
static gboolean
check_file_name (const EvoJson *v, const char *folder, GError **error)
{
  const char *name = evo_json_string (v);
  g_autofree char *quoted = NULL;

  if (name == NULL)
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "is %s; the name of a file is needed",
                        evo_json_kind_name (evo_json_kind (v)));
  quoted = evo_quote_name (name);
  if (name[0] == '\0' || strchr (name, '/') != NULL || g_str_equal (name, ".") || g_str_equal (name, ".."))
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s is not the plain name of a file beside the index", quoted);
  if (!evo_file_exists (folder, name))
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "the file %s is not there; copy or download it", quoted);
  return TRUE;
}

static gboolean
list_indexed (const char *folder, GPtrArray *names, EvoJsonDoc **index, GError **error)
{
  g_autofree char *path = g_build_filename (folder, index_name, NULL);
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  const EvoJson *map = doc == NULL ? NULL : weight_map (doc);

  if (doc == NULL)
    return FALSE;
  if (map == NULL || evo_json_kind (map) != EVO_JSON_OBJECT || evo_json_size (map) == 0)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: has no \"weight_map\"; an object of tensor names and "
                          "their files is needed", path);
  for (guint i = 0; i < evo_json_size (map); i++) {
    const EvoJson *v = evo_json_at (map, i);
    const char *name = evo_json_string (v);

    if (name != NULL && g_hash_table_contains (seen, name))
      continue;
    if (!check_file_name (v, folder, error))
      return FALSE;
    g_hash_table_add (seen, (gpointer) name);
    g_ptr_array_add (names, g_strdup (name));
  }
  sort_names (names);
  *index = g_steal_pointer (&doc);
  return TRUE;
}

static int
entry_by_name (const void *name, const void *entry)
{
  return strcmp (name, ((const EvoEntry *) entry)->shape.name);
}

static gboolean
has_tensor (const EvoHeader *h, const char *name)
{
  return h->n > 0 && bsearch (name, h->entries, h->n, sizeof h->entries[0], entry_by_name) != NULL;
}

static gboolean
check_listed (const EvoJson *map, const char *const *names, const EvoHeader *const *headers, guint n, GError **error)
{
  for (guint i = 0; i < evo_json_size (map); i++) {
    const EvoJson *v = evo_json_at (map, i);
    int at = find_name (names, n, evo_json_string (v));

    if (at < 0 || !has_tensor (headers[at], evo_json_key (v))) {
      g_autofree char *tensor = evo_quote_name (evo_json_key (v));

      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING,
                            "%s:%u: there is no tensor %s in %s", evo_json_name (v), evo_json_line (v),
                            tensor, evo_json_string (v));
    }
  }
  return TRUE;
}

/* A loader that follows the index would not see such a tensor, one that reads the files would: neither is right for sure. */
static gboolean
check_unlisted (const EvoJson *map, const char *file, const EvoHeader *h, GError **error)
{
  for (guint i = 0; i < h->n; i++) {
    const char *name = h->entries[i].shape.name, *listed = evo_json_get_string (map, name);
    g_autofree char *tensor = NULL;

    if (listed != NULL && g_str_equal (listed, file))
      continue;
    tensor = evo_quote_name (name);
    if (listed == NULL)
      return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: does not list tensor %s of %s; it must list every tensor",
                            evo_json_name (map), tensor, file);
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                          "%s: tensor %s is in %s and again in %s; one must go", evo_json_name (map),
                          tensor, listed, file);
  }
  return TRUE;
}

gboolean
evo_index_check (const EvoJsonDoc *index, const char *const *names, const EvoHeader *const *headers, guint n, GError **error)
{
  const EvoJson *map = weight_map (index);

  if (!check_listed (map, names, headers, n, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!check_unlisted (map, names[i], headers[i], error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ directories without an index */

/* "model-00002-of-00003.safetensors": *number is its place in the name, *total what follows "of". */
static gboolean
split_shard_name (const char *name, gsize *number, guint *total)
{
  gsize n = strlen (name) - strlen (suffix), of = n;

  while (of > 0 && g_ascii_isdigit (name[of - 1]))
    of--;
  if (n - of != 5 || of < 10 || strncmp (name + of - 4, "-of-", 4) != 0)
    return FALSE;
  *number = of - 9;
  *total = (guint) strtoul (name + of, NULL, 10);
  for (gsize i = *number; i < of - 4; i++)
    if (!g_ascii_isdigit (name[i]))
      return FALSE;
  return name[*number - 1] == '-';
}

/* Where a file calls itself one of several, the others must be there: without an index nothing else would notice. */
static gboolean
check_siblings (const char *folder, GPtrArray *names, GError **error)
{
  for (guint i = 0; i < names->len; i++) {
    gsize number;
    guint total;

    if (!split_shard_name (names->pdata[i], &number, &total))
      continue;
    for (guint s = 1; s <= total; s++) {
      g_autofree char *sibling = g_strdup (names->pdata[i]);
      char digits[16];

      g_snprintf (digits, sizeof digits, "%05u", s);
      memcpy (sibling + number, digits, 5);
      if (find_name ((const char *const *) names->pdata, names->len, sibling) < 0)
        return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: there is no %s; copy or download it", folder, sibling);
    }
    i += total > 0 ? total - 1 : 0; /* they stand together, in order */
  }
  return TRUE;
}

static gboolean
nothing_there (const char *folder, gboolean has_pickles, GError **error)
{
  if (has_pickles)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                          "%s: has its weights as pickles (*.bin, *.pt, *.pth), which may run code when "
                          "read; convert them to safetensors", folder);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN,
                        "%s: holds no *.safetensors file; the directory of a Hugging Face model is expected",
                        folder);
}

static gboolean
list_all (const char *folder, GPtrArray *names, GError **error)
{
  g_autoptr (GError) reason = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &reason);
  gboolean has_pickles = FALSE;
  const char *name;

  if (dir == NULL)
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: cannot be listed: %s", folder, reason->message);
  while ((name = g_dir_read_name (dir)) != NULL) {
    if (g_str_has_suffix (name, suffix) && name[0] != '.')
      g_ptr_array_add (names, g_strdup (name));
    has_pickles |= g_str_has_suffix (name, ".bin") || g_str_has_suffix (name, ".pt") || g_str_has_suffix (name, ".pth");
  }
  if (names->len == 0)
    return nothing_there (folder, has_pickles, error);
  sort_names (names);
  return check_siblings (folder, names, error);
}

gboolean
evo_index_list (const char *folder, GPtrArray *names, EvoJsonDoc **index, GError **error)
{
  *index = NULL;
  if (evo_file_exists (folder, single_name)) {
    g_ptr_array_add (names, g_strdup (single_name));
    return TRUE;
  }
  if (evo_file_exists (folder, index_name))
    return list_indexed (folder, names, index, error);
  return list_all (folder, names, error);
}
