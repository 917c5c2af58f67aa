/* SPDX-License-Identifier: Apache-2.0
 * merge.layer-path - layers of several models in another order, with a scale at every hop (Akiba et al. 2024, section 3.2: data-flow space).
 *
 * The host makes the model by what is declared here: one layer a hop, scales folded into weights, so that the result is an ordinary checkpoint.
 */
#include "evopipe.h"

typedef struct {
  EvoStrings path;
  EvoNumbers scale;
  guint32 scaling, outer, vocabulary, ends;
  gint64 repeats, max_hops;
} LayerPathParams;

static const EvoParam params[] = {
  EVO_PARAM_ (LayerPathParams, path, .flags = EVO_PARAM_REQUIRED,
              .doc = "Hops in order: an input's name, a colon, a layer or a range of them, \"a:7\" or \"a:0-15\" (both ends included); or "
                     "{\"evolve\": \"path\"}, which is searched."),
  EVO_NUMBERS (LayerPathParams, scale, "One number for every hop but the first, or a list with one for each; or {\"evolve\": [low, high]}, which is "
               "searched; not given: 1."),
  EVO_CHOICE (LayerPathParams, scaling, 0, "What a hop's scale multiplies: stream, the hidden state that enters the layer; branch, what attention and MLP "
              "of the layer add to it; last-branch, what the MLP of the hop before added.", "stream", "branch", "last-branch"),
  EVO_CHOICE (LayerPathParams, outer, 0, "Where embedding, final norm and output matrix come from: first, from the first input; ends, the embedding from "
              "the model of the first hop, the others from that of the last. Configuration and tokenizer are the first input's.", "first", "ends"),
  EVO_CHOICE (LayerPathParams, vocabulary, 0, "same: a hop into a model whose tokens are not the first input's is refused; any: it is not, and "
              "the first input's tokens are taken.", "same", "any"),
  EVO_INTEGER (LayerPathParams, repeats, 1, EVO_LIMITS (1, 64), "A searched path: how often it may go through all layers."),
  EVO_CHOICE (LayerPathParams, ends, 0, "A path searched by indicators begins with the first input's first layer and ends with its last; where these are "
              "on themselves too they are visited once, or twice as published.", "once", "published"),
  EVO_INTEGER (LayerPathParams, max_hops, 1000, EVO_LIMITS (1, 10000), "A path with more hops is refused."),
  EVO_PARAMS_END
};

EVO_MERGE_PLUGIN (.name = "layer-path", .summary = "Layers of several models, one after another in any order.", .min_inputs = 1,
                  EVO_TAKES (LayerPathParams, params), .host = EVO_HOST_LAYERS,
                  .formula = "h ← layer (scaleⱼ h) for the hops j of path, in order, scale₁ = 1; scaling branch: scaleⱼ multiplies what "
                  "attention and MLP of the hop add to h; last-branch: what the MLP of the hop before added",
                  .source = "Akiba et al., \"Evolutionary optimization of model merging recipes\", 2024, arXiv 2403.13187, section 3.2: "
                  "scaling stream; its released runtime: last-branch")
