/* SPDX-License-Identifier: Apache-2.0
 * merge-ops.h - the merge operators of this tree, compiled into the test (-Devo_plugin=evo_plugin_merge_NAME): it needs no plugin folder.
 */
#ifndef TESTS_PLUGINS_MERGE_OPS_H
#define TESTS_PLUGINS_MERGE_OPS_H

#include "tests/plugins/drive.h"

guint merge_ops_get_n (void);
const EvoMergeOp *merge_ops_get (guint i);
const EvoMergeOp *merge_ops_find (const char *name); /* NULL: none */

#endif
