/* SPDX-License-Identifier: Apache-2.0
 * find.c - looks operators up by "kind.name", and says what is wrong with a name that is none.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/registry/load.h"

static const char *const kind_names[] = { [EVO_KIND_MERGE] = "merge", [EVO_KIND_MODEL] = "model", [EVO_KIND_OPTIMIZER] = "optimizer",
                                          [EVO_KIND_EVALUATOR] = "evaluator" };

const char *
evo_registry_kind_name (EvoKind kind)
{
  g_return_val_if_fail (kind >= EVO_KIND_MERGE && kind <= EVO_KIND_EVALUATOR, NULL);
  return kind_names[kind];
}

guint
evo_registry_get_n (const EvoRegistry *r)
{
  return r->entries->len;
}

const EvoRegistered *
evo_registry_get (const EvoRegistry *r, guint i)
{
  g_return_val_if_fail (i < r->entries->len, NULL);
  return r->entries->pdata[i];
}

const char *const *
evo_registry_get_broken (const EvoRegistry *r)
{
  return (const char *const *) r->sentences->pdata;
}

const EvoRegistered *
evo_registry_peek (const EvoRegistry *r, const char *name)
{
  for (guint i = 0; i < r->entries->len; i++) {
    const EvoRegistered *e = r->entries->pdata[i];

    if (strcmp (e->name, name) == 0)
      return e;
  }
  return NULL;
}

/* Whether a refused file would have been kind.name: NAME.so (or libNAME.so, with _ for -), in a folder that is not another kind's. */
static gboolean
would_be (const char *path, const char *kind, const char *name)
{
  g_autofree char *file = g_path_get_basename (path), *folder_path = g_path_get_dirname (path), *folder = g_path_get_basename (folder_path);
  const char *stem = file;

  for (guint k = EVO_KIND_MERGE; k <= EVO_KIND_EVALUATOR; k++)
    if (strcmp (folder, kind_names[k]) == 0 && strcmp (kind, kind_names[k]) != 0)
      return FALSE;
  if (g_str_has_suffix (file, ".so"))
    file[strlen (file) - 3] = '\0';
  g_strdelimit (file, "_", '-');
  if (g_str_has_prefix (stem, "lib") && strcmp (stem + 3, name) == 0)
    return TRUE;
  return strcmp (stem, name) == 0;
}

static gboolean
fail_broken (const EvoRegistry *r, const char *kind, const char *name, GError **error)
{
  for (guint i = 0; i < r->broken->len; i++) {
    const EvoBroken *b = r->broken->pdata[i];

    if (b->path == NULL || !would_be (b->path, kind, name))
      continue;
    evo_set_error (error, EVO_REGISTRY_ERROR, b->code, "%s", b->message);
    return TRUE;
  }
  return FALSE;
}

static gboolean
is_kind_name (const char *text, gsize n)
{
  for (guint k = EVO_KIND_MERGE; k <= EVO_KIND_EVALUATOR; k++)
    if (strlen (kind_names[k]) == n && memcmp (kind_names[k], text, n) == 0)
      return TRUE;
  return FALSE;
}

/* Names of all operators whose name begins with `prefix`, NULL-terminated; borrowed from the registry. */
static GPtrArray *
names_with_prefix (const EvoRegistry *r, const char *prefix)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < r->entries->len; i++) {
    const EvoRegistered *e = r->entries->pdata[i];

    if (g_str_has_prefix (e->name, prefix))
      g_ptr_array_add (names, e->name);
  }
  g_ptr_array_add (names, NULL);
  return names;
}

/* "linear" for "merge.linear", "merg.linear" and "model.linear": right after the dot. */
static const char *
same_after_dot (const EvoRegistry *r, const char *name)
{
  const char *dot = strchr (name, '.'), *rest = dot == NULL ? name : dot + 1;

  for (guint i = 0; i < r->entries->len; i++) {
    const EvoRegistered *e = r->entries->pdata[i];

    if (strcmp (strchr (e->name, '.') + 1, rest) == 0)
      return e->name;
  }
  return NULL;
}

static void
fail_unknown (const EvoRegistry *r, const char *name, const char *prefix, GError **error)
{
  g_autoptr (GPtrArray) all = names_with_prefix (r, ""), legal = names_with_prefix (r, prefix);
  g_autofree char *list = g_strjoinv (", ", (char **) legal->pdata);
  g_autofree char *shown = g_strescape (name, NULL), *tail = NULL;
  const char *same = same_after_dot (r, name);

  tail = same != NULL ? g_strdup_printf ("; did you mean \"%s\"?", same) : evo_did_you_mean (name, (const char *const *) all->pdata);
  if (prefix[0] == '\0')
    evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN,
                   "there is no plugin \"%s\"%s%s a plugin is KIND.NAME, of kind merge, model, optimizer or evaluator", shown, tail,
                   tail[0] == '\0' ? ";" : "");
  else
    evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no plugin \"%s\"%s%s there %s: %s", shown, tail,
                   tail[0] == '\0' ? ";" : "", legal->len == 2 ? "is" : "are", legal->len == 1 ? "none of this kind" : list);
}

const EvoRegistered *
evo_registry_find (const EvoRegistry *r, const char *name, GError **error)
{
  const EvoRegistered *e = evo_registry_peek (r, name);
  const char *dot = strchr (name, '.');
  g_autofree char *prefix = NULL;

  if (e != NULL)
    return e;
  if (dot != NULL && is_kind_name (name, (gsize) (dot - name))) {
    g_autofree char *kind = g_strndup (name, (gsize) (dot - name));

    if (fail_broken (r, kind, dot + 1, error))
      return NULL;
    prefix = g_strndup (name, (gsize) (dot - name) + 1);
  }
  fail_unknown (r, name, prefix == NULL ? "" : prefix, error);
  return NULL;
}

/* Plugins that are part of the program change with it: its own file stands for them. */
char *
evo_registry_digest (const EvoRegistered *e)
{
  const char *path = strcmp (e->file, EVO_BUILT_IN) == 0 ? "/proc/self/exe" : e->file;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autofree char *block = g_malloc (1 << 16);
  FILE *f = fopen (path, "rbe");
  gsize n;

  while (f != NULL && (n = fread (block, 1, 1 << 16, f)) > 0)
    g_checksum_update (sum, (const guchar *) block, (gssize) n);
  if (f != NULL)
    fclose (f);
  return g_strdup (g_checksum_get_string (sum));
}
