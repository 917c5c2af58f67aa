/* SPDX-License-Identifier: Apache-2.0
 * none.c - in place of yaml.c where evopipe is built without libyaml: recipes are refused with a sentence.
 */
#include "core/base/error.h"
#include "core/graph/recipe/yaml.h"

EvoYamlDoc *
evo_yaml_parse (const char *text, gsize n, const char *name, GError **error)
{
  evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                 "%s:1: this evopipe was built without libyaml and reads no recipes; build it with -Drecipes=enabled", name);
  return NULL;
}
