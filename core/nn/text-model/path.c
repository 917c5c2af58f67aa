/* SPDX-License-Identifier: Apache-2.0
 * path.c - a path through the layers that are held: its checks, and where each way of scaling puts a hop's number.
 */
#include "core/base/error.h"
#include "core/nn/text-model/private.h"

static const double PRODUCT_MOST = 1 << 20; /* beyond, float32 sums of the stream and a branch lose what is smaller */

static gboolean
check_hop (const EvoTextModel *m, const EvoHop *hop, gsize i, double *product, GError **error)
{
  if (hop->layer >= m->decoder.n_held)
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %" G_GSIZE_FORMAT ": there is no layer %u; layers are 0 ... %"
                          G_GSIZE_FORMAT, i, hop->layer, m->decoder.n_held - 1);
  if (hop->scale == 0 || !isfinite (hop->scale))
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %" G_GSIZE_FORMAT ": its scale is %g; it must be a finite number "
                          "other than 0", i, hop->scale);
  *product *= hop->scale;
  if (!(ABS (*product) <= PRODUCT_MOST && ABS (*product) >= 1 / PRODUCT_MOST))
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "hop %" G_GSIZE_FORMAT ": the scales up to here have the product %g; "
                          "it must be within 2^-20 ... 2^20", i, *product);
  return TRUE;
}

static EvoDecoderHop
resolve (const EvoHop *hops, gsize i, gsize n, EvoScaling scaling)
{
  EvoDecoderHop hop = { hops[i].layer, 1, 1, 1 };

  if (scaling == EVO_SCALING_BRANCH)
    hop.attention = hop.mlp = hops[i].scale;
  else if (scaling == EVO_SCALING_STREAM || i == 0)
    hop.enter = hops[i].scale;
  if (scaling == EVO_SCALING_LAST_BRANCH && i + 1 < n)
    hop.mlp = hops[i + 1].scale;
  return hop;
}

gboolean
evo_text_model_set_path (EvoTextModel *m, const EvoHop *hops, gsize n, EvoScaling scaling, GError **error)
{
  g_autofree EvoDecoderHop *resolved = g_new (EvoDecoderHop, MAX (n, 1));
  double product = 1;

  if (n == 0)
    return evo_set_error (error, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_PARAM, "the path is empty; it must have a hop at least");
  for (gsize i = 0; i < n; i++) {
    if (!check_hop (m, &hops[i], i, &product, error))
      return FALSE;
    resolved[i] = resolve (hops, i, n, scaling);
  }
  evo_decoder_set_hops (&m->decoder, resolved, n);
  return TRUE;
}

/* ------------------------------------------------------------------ what scoring keeps */

static EvoPrefixStats
sum_stats (const EvoTextModel *m)
{
  EvoPrefixStats sum = m->prefix_before;
  const EvoPrefixStats *now = m->prefix == NULL ? NULL : evo_prefix_cache_get_stats (m->prefix);

  if (now == NULL)
    return sum;
  return (EvoPrefixStats){ sum.calls + now->calls, sum.hits + now->hits, sum.hops_run + now->hops_run, sum.hops_skipped + now->hops_skipped,
                           now->bytes };
}

void
evo_text_model_set_prefix_cache (EvoTextModel *m, guint64 bytes)
{
  m->prefix_before = sum_stats (m);
  m->prefix_before.bytes = 0;
  g_clear_pointer (&m->prefix, evo_prefix_cache_free);
  if (bytes > 0)
    m->prefix = evo_prefix_cache_new (bytes);
}

void
evo_text_model_get_prefix_stats (const EvoTextModel *m, EvoPrefixStats *out)
{
  *out = sum_stats (m);
}
