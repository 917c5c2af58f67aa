/* SPDX-License-Identifier: Apache-2.0
 * fold.c - scales of a path as factors of weights.
 */
#include "core/graph/path/path.h"

static void
fold_stream (const EvoPathHop *hops, guint n, EvoPathFold *out)
{
  double product = 1, sign = 1;

  out->embed = hops[0].scale;
  for (guint t = 1; t < n; t++) {
    product *= hops[t].scale;
    sign = product < 0 ? -1 : 1;
    out->hops[t] = (EvoPathFactors){ 1 / product, 1 / product, sign };
  }
  out->final_norm = sign;
}

static void
fold_branch (const EvoPathHop *hops, guint n, EvoPathFold *out)
{
  for (guint t = 0; t < n; t++)
    out->hops[t] = (EvoPathFactors){ hops[t].scale, hops[t].scale, 1 };
}

static void
fold_last_branch (const EvoPathHop *hops, guint n, EvoPathFold *out)
{
  out->embed = hops[0].scale;
  for (guint t = 1; t < n; t++)
    out->hops[t - 1].down = hops[t].scale;
}

void
evo_path_fold (EvoScaling scaling, const EvoPathHop *hops, guint n, EvoPathFold *out)
{
  static void (*const folds[]) (const EvoPathHop *, guint, EvoPathFold *) = { [EVO_SCALING_STREAM] = fold_stream, [EVO_SCALING_BRANCH] = fold_branch,
                                                                            [EVO_SCALING_LAST_BRANCH] = fold_last_branch };

  *out = (EvoPathFold){ .embed = 1, .final_norm = 1, .hops = g_new (EvoPathFactors, MAX (n, 1)), .is_plain = TRUE };
  for (guint t = 0; t < n; t++) {
    out->hops[t] = (EvoPathFactors){ 1, 1, 1 };
    out->is_plain = out->is_plain && hops[t].scale == 1;
  }
  if (n > 0)
    folds[scaling] (hops, n, out);
}

void
evo_path_fold_clear (EvoPathFold *fold)
{
  g_clear_pointer (&fold->hops, g_free);
}
