/* SPDX-License-Identifier: Apache-2.0
 * model.lora - a low-rank adapter on a base model: W + scale (alpha / r) B A (Hu et al., "LoRA", 2021, section 4.1); the host applies it.
 */
#include "evopipe.h"

typedef struct { const char *path; double scale; } LoraParams;

static const EvoParam params[] = {
  EVO_FILE (LoraParams, path, EVO_PARAM_REQUIRED, "The adapter: a directory of PEFT with adapter_config.json and adapter_model.safetensors."),
  EVO_NUMBER (LoraParams, scale, 1, EVO_ANY, EVO_SEARCH (0, 2),
              "Factor of the adapter's change. Tensors that it holds whole (modules_to_save) go from the base's at 0 to its own at 1."),
  EVO_PARAMS_END
};

EVO_MERGE_PLUGIN (.name = "lora", .summary = "A base model with a LoRA adapter of PEFT applied: W + scale (alpha / r) B A, also rsLoRA and DoRA.",
                  .flags = EVO_MERGE_NEEDS_BASE, .host = EVO_HOST_LORA, EVO_TAKES (LoraParams, params),
                  .formula = "W + scale (α / r) B A, α, r, A, B the adapter's; rsLoRA: α / √r for α / r; DoRA: each row of that (of an "
                  "embedding each column), divided by its length, times the adapter's magnitude",
                  .source = "Hu et al., \"LoRA: low-rank adaptation of large language models\", 2021, arXiv 2106.09685; rsLoRA: "
                  "Kalajdzievski, 2023, arXiv 2312.03732; DoRA: Liu et al., 2024, arXiv 2402.09353")
