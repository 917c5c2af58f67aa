/* SPDX-License-Identifier: Apache-2.0
 * error.h - the error domains, and the exit code each of them means.
 */
#ifndef EVO_BASE_ERROR_H
#define EVO_BASE_ERROR_H

#include <glib.h>

#define EVO_PARAM_ERROR (evo_param_error_quark ())
#define EVO_GRAPH_ERROR (evo_graph_error_quark ())
#define EVO_REGISTRY_ERROR (evo_registry_error_quark ())
#define EVO_STORE_ERROR (evo_store_error_quark ())
#define EVO_PLUGIN_ERROR (evo_plugin_error_quark ())
#define EVO_RUN_ERROR (evo_run_error_quark ())
#define EVO_USAGE_ERROR (evo_usage_error_quark ()) /* the command line; exit 2 */

typedef enum { EVO_PARAM_ERROR_UNKNOWN, EVO_PARAM_ERROR_TYPE, EVO_PARAM_ERROR_RANGE, EVO_PARAM_ERROR_MISSING } EvoParamError;
typedef enum {
  EVO_GRAPH_ERROR_SYNTAX, EVO_GRAPH_ERROR_DUPLICATE, EVO_GRAPH_ERROR_UNKNOWN, EVO_GRAPH_ERROR_PORT, EVO_GRAPH_ERROR_CYCLE,
  EVO_GRAPH_ERROR_SHAPE
} EvoGraphError;
typedef enum {
  EVO_REGISTRY_ERROR_OPEN, EVO_REGISTRY_ERROR_NOT_A_PLUGIN, EVO_REGISTRY_ERROR_ABI, EVO_REGISTRY_ERROR_DECLARATION,
  EVO_REGISTRY_ERROR_DUPLICATE
} EvoRegistryError;
typedef enum {
  EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, EVO_STORE_ERROR_TRUNCATED, EVO_STORE_ERROR_DTYPE, EVO_STORE_ERROR_MISSING,
  EVO_STORE_ERROR_WRITE, EVO_STORE_ERROR_CHANGED, EVO_STORE_ERROR_NONFINITE
} EvoStoreError;
typedef enum { EVO_RUN_ERROR_CANCELLED, EVO_RUN_ERROR_OTHER_PIPELINE, EVO_RUN_ERROR_JOURNAL } EvoRunError;
typedef enum { EVO_USAGE_ERROR_ARGUMENT, EVO_USAGE_ERROR_EXISTS } EvoUsageError;

GQuark evo_param_error_quark (void);
GQuark evo_graph_error_quark (void);
GQuark evo_registry_error_quark (void);
GQuark evo_store_error_quark (void);
GQuark evo_plugin_error_quark (void); /* the domain evo_fail of evopipe.h uses */
GQuark evo_run_error_quark (void);
GQuark evo_usage_error_quark (void);

/* The process's exit code for an error: the table of design section 7. NULL: 0; a foreign domain: 1. */
int evo_error_exit_code (const GError *error);

/* Sets *error and returns FALSE, so that a check is one statement. */
gboolean evo_set_error (GError **error, GQuark domain, gint code, const char *format, ...) G_GNUC_PRINTF (4, 5);

#endif
