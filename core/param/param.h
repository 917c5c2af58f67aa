/* SPDX-License-Identifier: Apache-2.0
 * param.h - what follows from a parameter table: defaults, binding from JSON, checks and their messages.
 */
#ifndef EVO_PARAM_PARAM_H
#define EVO_PARAM_PARAM_H

#include "core/abi/evopipe.h"
#include "core/base/error.h"
#include "core/base/json.h"

/* --- param.c */
guint evo_param_count (const EvoParam *table);                 /* NULL: 0 */
const EvoParam *evo_param_find (const EvoParam *table, const char *name); /* NULL: none */
const char *evo_param_type_name (guint32 type);                /* "number" */
gboolean evo_param_is_numeric (const EvoParam *p);             /* BOOL, NUMBER, INTEGER or CHOICE: one scalar, can differ by tensor */
void evo_param_set_defaults (const EvoParam *table, gpointer object);
/* The scalar form of a numeric parameter: choices are indices, booleans 0/1. */
void evo_param_set_scalar (const EvoParam *p, gpointer object, double value);
double evo_param_get_scalar (const EvoParam *p, gconstpointer object);
char *evo_param_range_text (const EvoParam *p);                /* "0 ... 1", "one of a, b" (owned) */
char *evo_param_default_text (const EvoParam *p);              /* "0.5", "none" (owned) */

/* --- bind.c */
/* One JSON value as the scalar of a numeric parameter; message "where: what · what would be right". */
gboolean evo_param_scalar_from_json (const EvoParam *p, const EvoJson *v, double *out, GError **error);
gboolean evo_param_check_scalar (const EvoParam *p, double value, const EvoJson *where, GError **error);
/* Binds one value of any type. Strings and lists live in `arena`, a GPtrArray with g_free. `folder` resolves FILE. */
gboolean evo_param_bind (const EvoParam *p, gpointer object, const EvoJson *v, const char *folder, GPtrArray *arena, GError **error);

/* --- table.c */
/* Judges a table before it is used: names, types, ranges, offsets inside `size`, defaults inside limits, no duplicates. */
gboolean evo_param_table_check (const EvoParam *table, gsize size, GError **error); /* EVO_REGISTRY_ERROR_DECLARATION */

#endif
