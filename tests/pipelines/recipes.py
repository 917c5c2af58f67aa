#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recipes.py - the published experiments are checked against header-only checkpoints of the real shapes: dimensions, trials, sizes, in seconds."""
import json, pathlib, re, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

RECIPES = evo.SOURCE / "pipelines/recipes"
MISTRAL = dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
               num_attention_heads=32, num_key_value_heads=8, vocab_size=32000, max_position_embeddings=32768, sliding_window=4096, rms_norm_eps=1e-5,
               rope_theta=10000.0, hidden_act="silu", tie_word_embeddings=False, torch_dtype="bfloat16", eos_token_id=2, bos_token_id=1)
# parameters: a layer 2 x 4096^2 + 2 x 4096 x 1024 + 3 x 4096 x 14336 + 2 x 4096, outside 2 x 32000 x 4096 + 4096; two bytes each
LAYER, OUTER = 2 * 218112000, 2 * 262148096
EXPECTED = {  # what stands in the paper, section 3 and 4.1
    "evollm-jp-v1-7b": dict(dimensions=6, trials=1000, objectives="solved", saved=OUTER + 32 * LAYER),
    "evollm-jp-a-v1-7b": dict(dimensions=6, trials=1000, objectives="solved", saved=OUTER + 32 * LAYER),
    "evollm-jp-v1-10b": dict(dimensions=192 + 4096, trials=12800, objectives="train", saved=OUTER + 194 * LAYER, shared=OUTER + 64 * LAYER + 194 * 12),
}


def header_only(folder):
    """Names and shapes of Mistral-7B, no data on the disk."""
    header, at = {}, 0
    for line in (evo.SOURCE / "tests/data/names/mistral-7b-v0.1.tsv").read_text().splitlines()[1:]:
        name, shape = line.split("\t")
        dims, n = [int(d) for d in shape.split("x")], 2
        for d in dims:
            n *= d
        header[name] = dict(dtype="BF16", shape=dims, data_offsets=[at, at + n])
        at += n
    text = json.dumps(header).encode()
    folder.mkdir()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    (folder / "config.json").write_text(json.dumps(MISTRAL))


def data(folder):
    folder.mkdir()
    rows = "".join(json.dumps({"question": f"{i} + 1 は？", "answer": f"#### {i + 1}"}, ensure_ascii=False) + "\n" for i in range(1069))
    (folder / "gsm8k-ja.jsonl").write_text(rows)
    (folder / "mgsm_ja.tsv").write_text("".join(f"{i} + 2 は？\t{i + 2}\n" for i in range(250)))


def size_text(n):
    return re.compile(f"{n / 1e9:.3g}".replace(".", r"\.") + r"\d* ?GB")


def sources(recipe):
    return {v["path"].removeprefix("${MODELS}/") for v in recipe["nodes"].values() if v["use"] == "model.llm"}


def check_recipe(name, want, env):
    began = time.monotonic()
    result = evo.run("check", RECIPES / f"{name}.json", env=env)
    took = time.monotonic() - began
    print(f"# {name}: {took:.2f} s\n# " + result.stdout.replace("\n", "\n# "))
    if not evo.check(f"{name}: check", result.returncode == 0 and not result.stderr, result.stderr):
        return
    evo.check(f"{name}: dimensions and trials", f"{want['dimensions']} dimensions, {want['trials']} trials" in result.stdout)
    evo.check(f"{name}: its objective", f"maximize {want['objectives']} (weight 1)" in result.stdout)
    disk = next(line for line in result.stdout.splitlines() if line.startswith("  disk"))
    evo.check(f"{name}: disk", size_text(want["saved"]).search(disk), f"{disk}\nwant {want['saved']}")
    if "shared" in want:
        forms = next(line for line in result.stdout.splitlines() if "in the compact form" in line)
        evo.check(f"{name}: both forms", size_text(want["saved"]).search(forms.split(";")[0]) and size_text(want["shared"]).search(forms.split(";")[1]) and
                  "at most 194 layers" in forms and "at most 64 layers" in forms, f"{forms}\nwant {want}")
    evo.check(f"{name}: in seconds", took < (60 if evo.SANITIZED else 10), f"{took:.1f} s")


with evo.folder() as name:
    folder = pathlib.Path(name)
    recipes = {file.stem: json.loads(file.read_text()) for file in sorted(RECIPES.glob("*.json"))}
    evo.check("all recipes are known here", list(recipes) == sorted(EXPECTED), list(recipes))
    (folder / "models").mkdir()
    for model in set().union(*map(sources, recipes.values())):
        header_only(folder / "models" / model)
    data(folder / "data")
    env = {"MODELS": str(folder / "models"), "DATA": str(folder / "data")}
    for recipe, want in EXPECTED.items():
        check_recipe(recipe, want, env)
    result = evo.run("check", RECIPES / "evollm-jp-v1-7b.json", env={"MODELS": str(folder / "models")})
    evo.check("a variable that is not set is an error", result.returncode == 2 and "DATA" in result.stderr, result.stderr)
    # an input that is computed otherwise is refused before a weight is read
    (folder / "models/shisa-gamma-7b-v1/config.json").write_text(json.dumps({**MISTRAL, "rope_theta": 1000000.0}))
    result = evo.run("check", RECIPES / "evollm-jp-v1-10b.json", env=env)
    evo.check("10B: a source of another rope_theta", result.returncode == 2 and
              "hop 32: rope_theta of shisa is 1000000, of ps 10000; the layers of a path must be computed alike" in result.stderr, result.stderr)
evo.finish()
