/* SPDX-License-Identifier: Apache-2.0
 * definitions.h - merge operators in double, written from the papers: what a plugin's result is compared with.
 */
#ifndef TESTS_PLUGINS_DEFINITIONS_H
#define TESTS_PLUGINS_DEFINITIONS_H

#include "tests/plugins/drive.h"

/* The result of one tensor and how far an fp32 computation of it may be off, element by element; tolerance HUGE_VAL: the vote is closer
 * than fp32 can decide. `operator` is the plugin's name. FALSE: there is no definition of it. */
gboolean define_tensor (const Drive *d, guint tensor, double *out, double *tolerance);

/* Philox4x32-10, the element's number in [0, 1). */
double define_uniform (guint64 seed, gint64 index);

double drive_number (const Drive *d, guint tensor, gint input, const char *name); /* a parameter's value; choices by index */
gboolean drive_is (const Drive *d, guint tensor, const char *name, const char *choice);

#endif
