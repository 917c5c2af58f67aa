/* SPDX-License-Identifier: Apache-2.0
 * compat.c - that a recipe's merges are computed as mergekit does it: "compat" of the pipeline, or of each merge where the documents' dtypes differ.
 */
#include <string.h>

#include "core/graph/read/read.h"
#include "core/graph/recipe/read.h"

/* What mergekit rounds a tensor to when it is loaded; without dtype: nothing. */
static EvoDtype
loaded_as (const EvoYaml *root)
{
  const char *text = evo_yaml_text (evo_yaml_member (root, "dtype"));
  EvoDtype d = EVO_DTYPE_NONE;

  if (text != NULL)
    d = evo_dtype_from_user_name (g_str_has_prefix (text, "torch.") ? text + strlen ("torch.") : text);
  return d == EVO_DTYPE_NONE ? EVO_DTYPE_F32 : d;
}

static gboolean
is_one (const EvoRecipe *r)
{
  for (guint i = 1; i < r->doc->roots->len; i++)
    if (loaded_as (r->doc->roots->pdata[i]) != loaded_as (r->doc->roots->pdata[0]))
      return FALSE;
  return TRUE;
}

void
evo_recipe_write_compat (const EvoRecipe *r, const EvoYaml *root, EvoJsonWriter *w)
{
  if (is_one (r) != (root == NULL))
    return;
  evo_json_add_key (w, "compat");
  evo_compat_write (loaded_as (root != NULL ? root : r->doc->roots->pdata[0]), w);
}
