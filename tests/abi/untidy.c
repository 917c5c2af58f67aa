/* SPDX-License-Identifier: Apache-2.0
 * untidy.c - a plugin with writable data and a second exported symbol: what exports.py must notice.
 */
#include "evopipe.h"

extern int another (void);
static volatile int counter, setting = 3;

EVO_EXPORT int
another (void)
{
  return counter++ + setting;
}

static gboolean
untidy_merge (const EvoMergeCall *c, GError **error)
{
  setting = another ();
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "untidy", .summary = "Leaves things about.", .min_inputs = 1, .merge = untidy_merge)
