/* SPDX-License-Identifier: Apache-2.0
 * merge.nearswap - takes the other model's weight where it is near the base's, and moves the base's by t towards it elsewhere.
 *
 * Alchemonaut's NearSwap (QuartetAnemoi-70B, 2024): the share of the other model is t / |a - b|, at most 1. mergekit's divides by
 * max (|a - b|, 1e-6), which differs where t is below that: `floor`.
 */
#include "evopipe.h"

typedef struct { double t, floor; } NearswapParams;

static const EvoParam params[] = {
  EVO_NUMBER (NearswapParams, t, 0.0001, EVO_LIMITS (0, HUGE_VAL), EVO_SEARCH (0, 0.01), "How far a weight may move; nearer ones become the other's."),
  EVO_NUMBER (NearswapParams, floor, 0, EVO_LIMITS (0, HUGE_VAL), EVO_NO_SEARCH, "Differences count as this at least: 0: they are as they are, 1e-6: mergekit's."),
  EVO_PARAMS_END
};

static gboolean
nearswap_merge (const EvoMergeCall *c, GError **error)
{
  const NearswapParams *p = c->params;
  const float *base = c->base, *in = c->in[0];
  float *out = c->out, t = (float) MIN (p->t, G_MAXFLOAT), least = (float) MIN (p->floor, G_MAXFLOAT);

  for (gsize j = 0; j < c->n; j++) {
    float a = base[j], b = in[j], d = b - a, size = MAX (fabsf (d), least), moved = a + d * (t / size);

    out[j] = size <= t ? b : moved; /* both are worked out, so that the compiler can take several at once */
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "nearswap", .summary = "The other model's weights where they are near the base's; elsewhere the base's, moved by t.",
                  .min_inputs = 1, .max_inputs = 1, .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_NEEDS_BASE,
                  EVO_TAKES (NearswapParams, params), .merge = nearswap_merge,
                  .formula = "base + d₁ min (1, t / max (|d₁|, floor))",
                  .source = "Alchemonaut, NearSwap, the model card of QuartetAnemoi-70B-t0.0001, 2024; no paper; mergekit: floor 1e-6")
