#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""big.py - `evopipe check` on header-only checkpoints of 7B models (real names and shapes, sparse files): genes, plan, bounds; prints the time."""
import json, pathlib, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

CONFIGS = {"mistral-7b-v0.1": dict(model_type="mistral", hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
                                   num_key_value_heads=8, vocab_size=32000, max_position_embeddings=32768, sliding_window=4096, rms_norm_eps=1e-5,
                                   rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False, torch_dtype="bfloat16", eos_token_id=2, bos_token_id=1),
           "llama-2-7b": dict(model_type="llama", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
                              num_key_value_heads=32, vocab_size=32000, max_position_embeddings=4096, rms_norm_eps=1e-5, hidden_act="silu",
                              tie_word_embeddings=False, torch_dtype="float16", eos_token_id=2, bos_token_id=1)}


def header_only(folder, name, dtype):
    """Two shards and an index: real names and shapes, no data on the disk."""
    folder.mkdir()
    rows = [line.split("\t") for line in (evo.SOURCE / f"tests/data/names/{name}.tsv").read_text().splitlines()[1:]]
    weight_map = {}
    for shard, part in enumerate((rows[:len(rows) // 2], rows[len(rows) // 2:])):
        header, at = {}, 0
        for tensor, shape in part:
            dims = [int(d) for d in shape.split("x")]
            n = 2
            for d in dims:
                n *= d
            header[tensor] = dict(dtype=dtype, shape=dims, data_offsets=[at, at + n])
            at += n
            weight_map[tensor] = f"model-0000{shard + 1}-of-00002.safetensors"
        text = json.dumps(header).encode()
        with open(folder / f"model-0000{shard + 1}-of-00002.safetensors", "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + at)
    (folder / "model.safetensors.index.json").write_text(json.dumps(dict(metadata={}, weight_map=weight_map)))
    (folder / "config.json").write_text(json.dumps(CONFIGS[name]))


with evo.folder() as name:
    folder = pathlib.Path(name)
    for model, dtype in (("mistral-7b-v0.1", "BF16"), ("llama-2-7b", "F16")):
        for node in ("base", "ja", "math"):
            header_only(folder / f"{model}-{node}", model, dtype)
        nodes = {n: {"use": "model.llm", "path": f"{model}-{n}"} for n in ("base", "ja", "math")}
        nodes |= {"blend": {"use": "merge.dare-ties", "base": "base", "in": [
                      {"from": "ja", "weight": {"evolve": [0, 2], "per": "layer"}, "density": {"evolve": [0.1, 1]}},
                      {"from": "math", "weight": {"evolve": [0, 2], "per": "group:4"}, "density": {"evolve": True}}]},
                  "solved": evo.exact_match(["blend"]), "best": {"use": "optimizer.cma-es", "maximize": ["solved"], "trials": 1000}}
        file = evo.write(folder, f"{model}.json", evo.pipeline(nodes, save={"best": "best"}))
        began = time.monotonic()
        result = evo.run("check", file)
        took = time.monotonic() - began
        evo.check(f"{model}: check", result.returncode == 0, result.stderr)
        print(f"# {took:.2f} s\n# " + result.stdout.replace("\n", "\n# "))
        for wanted in ("291 tensors, 32 layers", "dimensions, 1000 trials", "blend.ja.weight", "blend.math.density", "anonymous memory", "disk"):
            evo.check(f"{model}: says {wanted}", wanted in result.stdout)
        evo.check(f"{model}: 34 genes a layer, 1, 8 groups of 4 layers, 1", "44 dimensions" in result.stdout)
evo.finish()
