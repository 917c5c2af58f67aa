/* SPDX-License-Identifier: Apache-2.0
 * recipe.c - whatever bytes come, a mergekit recipe is either refused in one line or becomes a pipeline that is JSON.
 */
#include "tests/fuzz/driver.h"

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/graph/recipe/recipe.h"

static gsize n_good, n_bad;

/* Recipes of the corpus name models by their place in the source tree. */
static void __attribute__ ((constructor))
go_there (void)
{
  const char *source = g_getenv ("EVO_SOURCE");

  g_assert_true (source != NULL && chdir (source) == 0);
}

int
fuzz_one (const uint8_t *data, size_t n)
{
  g_autoptr (GPtrArray) notes = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = evo_recipe_import_text ((const char *) data, n, "fuzz.yml", notes, &error);
  g_autoptr (EvoJsonDoc) doc = NULL;

  if (text == NULL) {
    n_bad++;
    g_assert_nonnull (error);
    g_assert_true (g_utf8_validate (error->message, -1, NULL) && strpbrk (error->message, "\n\r") == NULL);
    return 0;
  }
  n_good++;
  g_assert_no_error (error);
  doc = evo_json_parse (text, -1, "again", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, &error);
  g_assert_no_error (error);
  return 0;
}

static void __attribute__ ((destructor))
say (void)
{
  fprintf (stderr, "# %" G_GSIZE_FORMAT " read, %" G_GSIZE_FORMAT " refused\n", n_good, n_bad);
}
