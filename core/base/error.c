/* SPDX-License-Identifier: Apache-2.0
 * error.c - the error domains and their exit codes.
 */
#include "core/base/error.h"

#include "core/abi/evopipe.h"

G_DEFINE_QUARK (evo-param-error, evo_param_error)
G_DEFINE_QUARK (evo-graph-error, evo_graph_error)
G_DEFINE_QUARK (evo-registry-error, evo_registry_error)
G_DEFINE_QUARK (evo-store-error, evo_store_error)
G_DEFINE_QUARK (evo-plugin-error, evo_plugin_error)
G_DEFINE_QUARK (evo-run-error, evo_run_error)
G_DEFINE_QUARK (evo-usage-error, evo_usage_error)

static int
run_exit_code (gint code)
{
  switch (code) {
  case EVO_RUN_ERROR_CANCELLED:
    return 5;
  case EVO_RUN_ERROR_OTHER_PIPELINE:
    return 2;
  default:
    return 4;
  }
}

int
evo_error_exit_code (const GError *error)
{
  if (error == NULL)
    return 0;
  if (error->domain == EVO_PARAM_ERROR || error->domain == EVO_GRAPH_ERROR || error->domain == EVO_USAGE_ERROR)
    return 2;
  if (error->domain == EVO_REGISTRY_ERROR)
    return 3;
  if (error->domain == EVO_STORE_ERROR)
    return 4;
  if (error->domain == EVO_RUN_ERROR)
    return run_exit_code (error->code);
  if (error->domain == EVO_PLUGIN_ERROR)
    return error->code == EVO_PLUGIN_ERROR_PARAM || error->code == EVO_PLUGIN_ERROR_SHAPE ? 2 : 4;
  return 1;
}

gboolean
evo_set_error (GError **error, GQuark domain, gint code, const char *format, ...)
{
  va_list args;
  GError *e;

  if (error == NULL)
    return FALSE;
  va_start (args, format);
  e = g_error_new_valist (domain, code, format, args);
  va_end (args);
  for (char *at = e->message; *at != '\0'; at++) /* a message is one line, and names in files may hold anything */
    if (g_ascii_iscntrl (*at))
      *at = '?';
  g_propagate_error (error, e);
  return FALSE;
}
