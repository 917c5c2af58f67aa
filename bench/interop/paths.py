# SPDX-License-Identifier: Apache-2.0
"""paths.py EVOPIPE GOLDEN - exports the layer paths of GOLDEN/layer-path (models GOLDEN/llama and GOLDEN/llama-b) as plain checkpoints, in f32 and
bf16, loads them with transformers, and compares logits with those of the paths run directly, and greedy tokens with the reference's."""
import json, pathlib, subprocess, sys, tempfile

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

evopipe, golden = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
facts = json.loads((golden / "layer-path/paths.json").read_text())
expected = load_file(golden / "layer-path/expected.safetensors")
failed = 0


def export(folder, path, semantics, dtype):
    nodes = {n.lower(): {"use": "model.llm", "path": str(golden / d)} for n, d in facts["models"].items()}
    nodes["stack"] = {"use": "merge.layer-path", "in": ["a", "b"], "scaling": semantics, "dtype": dtype,
                      "path": [f"{m.lower()}:{layer}" for m, layer in path["path"]], "scale": path["scales"]}
    file, out = folder / "p.json", folder / f"{path['name']}-{semantics}-{dtype}"
    file.write_text(json.dumps({"evopipe": 1, "nodes": nodes, "save": {"stack": "x"}}))
    subprocess.run([evopipe, "merge", str(file), str(out)], check=True, stdout=subprocess.DEVNULL)
    return AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32 if dtype == "f32" else torch.bfloat16, output_loading_info=True)


with tempfile.TemporaryDirectory() as name:
    for path in facts["paths"]:
        for semantics in ("stream", "branch"):
            told = path["semantics"][semantics]
            folding = told["folded_vs_direct"]["eps 1e-05"]
            # the folding's own error with the first scale in the embedding, and that of float32 twice: here and in the reference
            within = folding.get("f64_logits_max_abs_first_scale_in_embedding", folding["f64_logits_max_abs"]) + 3 * told["f32_vs_f64_logits_max_abs"]
            for dtype in ("f32", "bf16"):
                model, info = export(pathlib.Path(name), path, semantics, dtype)
                worst = equal = total = 0
                for i, ids in enumerate(facts["prompts"]):
                    with torch.no_grad():
                        logits = model(torch.tensor([ids])).logits[0].float()
                    worst = max(worst, float((logits - expected[f"{path['name']}.{semantics}.logits.{i}"]).abs().max()))
                    want = told["greedy"][i]["tokens"]
                    got = model.generate(torch.tensor([ids]), max_new_tokens=len(want), do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(ids):].tolist()
                    equal += sum(a == b for a, b in zip(got, want))
                    total += len(want)
                loads = not info["missing_keys"] and not info["unexpected_keys"]
                good = loads and (dtype == "bf16" or (worst <= within and equal == total))
                failed += not good
                print(f"{'ok' if good else 'FAILED':6} {path['name']:8} {semantics:7} {dtype:5} logits differ by {worst:.2e}"
                      f"{f' (within {within:.1e})' if dtype == 'f32' else ''}, {equal} of {total} greedy tokens equal{'' if loads else ', keys differ'}")
sys.exit(failed > 0)
