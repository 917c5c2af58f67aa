/* SPDX-License-Identifier: Apache-2.0
 * merge.train-difference - adds B - C to A, most where A is far from B ("trainDifference" of sd-webui-supermerger, 2023).
 *
 * A weight of A moves by 1.8 alpha (B - C) |B - A| / (|B - C| + |B - A|): what A already has of B is not added again, as further training would
 * not. 1.8 is that tool's factor, kept so that its settings carry over. The inputs are A, B, C in this order.
 */
#include "evopipe.h"

enum { BLOCK = 1024 };
typedef struct { double alpha; } TrainDifferenceParams;

static const EvoParam params[] = {
  EVO_NUMBER (TrainDifferenceParams, alpha, 1, EVO_ANY, EVO_SEARCH (0, 2), "How far the first model is moved; the tool's factor 1.8 comes on top."),
  EVO_PARAMS_END
};

static gsize
train_difference_scratch_bytes (const EvoTensor *t, guint n_in, gsize n)
{
  return 3 * BLOCK * sizeof (float);
}

static gboolean
train_difference_merge (const EvoMergeCall *c, GError **error)
{
  const TrainDifferenceParams *p = c->params;
  float *learned = c->scratch, *far = learned + BLOCK, *sum = far + BLOCK;

  for (gsize at = 0; at < c->n; at += BLOCK) {
    gsize n = MIN (BLOCK, c->n - at);

    c->k->sub (learned, c->in[1] + at, c->in[2] + at, n);
    c->k->sub (far, c->in[1] + at, c->in[0] + at, n);
    c->k->abs (far, far, n);
    c->k->abs (sum, learned, n);
    c->k->add (sum, far, n);
    c->k->div (far, far, sum, n); /* 0 where both distances are */
    c->k->mul (learned, learned, far, n);
    c->k->copy (c->out + at, c->in[0] + at, n);
    c->k->axpy (c->out + at, learned, 1.8 * p->alpha, n);
  }
  return TRUE;
}

EVO_MERGE_PLUGIN (.name = "train-difference", .summary = "Adds the difference of two models to a third where it does not have it yet.",
                  .min_inputs = 3, .max_inputs = 3, .access = EVO_BY_ELEMENT, .flags = EVO_MERGE_IDEMPOTENT,
                  EVO_TAKES (TrainDifferenceParams, params), .scratch_bytes = train_difference_scratch_bytes, .merge = train_difference_merge,
                  .formula = "x₁ + 1.8 alpha (x₂ − x₃) |x₂ − x₁| / (|x₂ − x₃| + |x₂ − x₁|)",
                  .source = "\"trainDifference\" of sd-webui-supermerger, 2023; no paper")
