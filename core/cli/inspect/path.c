/* SPDX-License-Identifier: Apache-2.0
 * path.c - draws a layer path: a row for each hop, a column for each model, the layer that is visited in its model's column.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/cli/inspect/inspect.h"

/* The models a path visits, in the order it meets them. */
static GPtrArray *
models_of (const EvoJson *path)
{
  GPtrArray *models = g_ptr_array_new ();

  for (guint i = 0; i < evo_json_size (path); i++) {
    const char *from = evo_json_get_string (evo_json_at (path, i), "from");

    if (from != NULL && !g_ptr_array_find_with_equal_func (models, from, g_str_equal, NULL))
      g_ptr_array_add (models, (gpointer) from);
  }
  return models;
}

static int
width_of (const char *name)
{
  return (int) MAX (g_utf8_strlen (name, -1), 3) + 2;
}

static void
print_cell (const char *text, int width)
{
  printf ("%*s%s", (int) (width - g_utf8_strlen (text, -1)), "", text);
}

void
evo_inspect_print_path (const EvoJson *path)
{
  g_autoptr (GPtrArray) models = models_of (path);

  printf ("  path, %u hops\n    hop", evo_json_size (path));
  for (guint m = 0; m < models->len; m++)
    print_cell (models->pdata[m], width_of (models->pdata[m]));
  printf ("  scale\n");
  for (guint i = 0; i < evo_json_size (path); i++) {
    const EvoJson *hop = evo_json_at (path, i);
    const char *from = evo_json_get_string (hop, "from");
    char layer[16], scale[EVO_NUMBER_TEXT];

    g_snprintf (layer, sizeof layer, "%d", (int) evo_json_get_number (hop, "layer", 0));
    g_snprintf (scale, sizeof scale, "%.4g", evo_json_get_number (hop, "scale", 1));
    printf ("    %3u", i);
    for (guint m = 0; m < models->len; m++)
      print_cell (g_strcmp0 (from, models->pdata[m]) == 0 ? layer : "·", width_of (models->pdata[m]));
    printf ("  %s\n", scale);
  }
}
