#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lora.py - adapters as a user has them: extracted from two models, applied in merges, searches and recipes, and what is said of wrong ones."""
import json, math, pathlib, shutil, struct, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

BASE, JA, MATH = evo.TINY / "mini-base", evo.TINY / "mini-ja", evo.TINY / "mini-math-en"


def read(path):
    """Tensors in fp32 of a file of F32 and BF16."""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        raw = data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            raw = b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))
        out[name] = struct.unpack(f"<{len(raw) // 4}f", raw)
    return out


def said(what, result, code, text):
    evo.check(what, result.returncode == code and result.stderr.strip() == text, f"{result.returncode} {result.stderr}")


def extract(folder, out, *options, model=JA):
    return evo.run("extract-lora", model, BASE, folder / out, *options)


def lora(path, base="base", **more):
    return {"use": "model.lora", "path": path, "base": base, **more}


def merge(folder, nodes, save, out, *options):
    evo.write(folder, "p.json", evo.pipeline(evo.sources() | nodes, save={save: {"path": "x", "dtype": "f32"}}))
    return evo.run("merge", "p.json", out, "--force", *options, cwd=folder)


# ---------------------------------------------------------------- extract-lora

def test_round_trip(folder):
    """All of the change, at full rank: the base with the adapter is the model. fp32 keeps 24 bits of each side, and sums 128 products of them."""
    result = extract(folder, "full", "--rank", "1000", "--save-rest")
    evo.check("extracts", result.returncode == 0 and "42 adapted matrices" in result.stdout and "left out" not in result.stdout, result.stderr or result.stdout)
    result = merge(folder, {"l": lora("full")}, "l", "back")
    if not evo.check("applies", result.returncode == 0, result.stderr):
        return
    got, want = read(folder / "back/model.safetensors"), read(JA / "model.safetensors")
    worst = max(max(abs(a - b) for a, b in zip(got[k], want[k])) / max(map(abs, want[k])) for k in want)
    evo.check("base + adapter = model", got.keys() == want.keys() and worst < 1e-6, worst)
    result = extract(folder, "full", "--rank", "1000")
    said("an existing output", result, 2, f"evopipe: {folder}/full: exists already; choose another place, or --force to replace it")
    config = json.loads((folder / "full/adapter_config.json").read_text())
    ranks = {m: config["rank_pattern"].get(m, config["r"]) for m in config["target_modules"]}
    evo.check("PEFT's configuration", config["peft_type"] == "LORA" and config["task_type"] == "CAUSAL_LM" and len(ranks) == 42 and
              all(config["alpha_pattern"].get(m, config["lora_alpha"]) == r for m, r in ranks.items()) and
              "model.embed_tokens" in config["modules_to_save"] and ranks["model.layers.0.self_attn.k_proj"] == 64, config)


def errors(stdout):
    return {l.split()[-1]: float(l.split()[-2]) for l in stdout.splitlines() if l.startswith("  ") and "model." in l}


def test_ranks(folder):
    """The error falls with the rank; the report is that of the model's bits; energy gives ranks of their own; globs choose."""
    by_rank = [errors(extract(folder, f"r{r}", "--rank", str(r)).stdout) for r in (2, 8, 32)]
    matrices = [k for k, e in by_rank[0].items() if e < 1]
    evo.check("a higher rank misses less", len(matrices) == 42 and all(a[k] > b[k] > c[k] for k in matrices for a, b, c in [by_rank]))
    merge(folder, {"l": lora("r8")}, "l", "r8-model")
    got, want, base = (read(p / "model.safetensors") for p in (folder / "r8-model", JA, BASE))
    k = "model.layers.3.mlp.up_proj.weight"
    missed = math.dist(got[k], want[k]) / math.dist(want[k], base[k])
    evo.check("the printed error is what is missed", abs(missed - by_rank[1][k]) < 1e-3, f"{missed} {by_rank[1][k]}")
    result = extract(folder, "e", "--energy", "0.5", "--modules", "*.q_proj", "--modules", "*.v_proj", "--dtype", "bf16")
    listed = errors(result.stdout)
    chosen = {k: e for k, e in listed.items() if e < 1}
    evo.check("--energy and --modules", result.returncode == 0 and len(chosen) == 12 and all(e * e <= 0.501 for e in chosen.values()) and
              all("q_proj" in k or "v_proj" in k for k in chosen), result.stdout)
    config = json.loads((folder / "e/adapter_config.json").read_text())
    evo.check("ranks by module", config["rank_pattern"] and config["rank_pattern"] == config["alpha_pattern"], config)
    evo.check("an adapter of bf16", (folder / "e/adapter_model.safetensors").read_bytes().count(b'"BF16"') == 24)
    evo.check("it applies", merge(folder, {"l": lora("e")}, "l", "e-model").returncode == 0)


def test_wrong(folder):
    usage = evo.run("extract-lora", "--help").stdout.split("usage: ")[1].splitlines()[0]
    said("arguments are missing", evo.run("extract-lora", JA, BASE), 2,
         f"evopipe extract-lora: needs a model, its base and the directory to write\nusage: {usage}; evopipe extract-lora --help explains the options")
    said("rank and energy", extract(folder, "w", "--rank", "4", "--energy", "0.5"), 2, "evopipe: --rank and --energy: choose one")
    for text in ("0", "1.5", "x", "nan", "-0.1"):
        said(f"--energy {text}", extract(folder, "w", f"--energy={text}"), 2, f"evopipe: --energy {text}: needs a number above 0 and up to 1, such as 0.95")
    said("--dtype", extract(folder, "w", "--dtype", "i8"), 2, "evopipe: --dtype i8: is none of bf16, f16, f32")
    said("the same model", extract(folder, "w", model=BASE), 2, f"evopipe: {BASE} and {BASE} differ in no linear layer; there is nothing to extract")
    said("no such module", extract(folder, "w", "--modules", "nothing"), 2,
         f"evopipe: {JA} and {BASE} differ in no linear layer that --modules names; there is nothing to extract")
    evo.check("nothing is left of what failed", not (folder / "w").exists() and not list(folder.glob(".*")), list(folder.iterdir()))


# ---------------------------------------------------------------- in pipelines

def test_merge(folder):
    """Adapters as inputs of ties, by names of their own; the recipe that is written makes the same bytes."""
    nodes = {"l": lora("r8", scale={"@attn": 1.5, "*": 0.5}), "k": lora("e"), "t": {"use": "merge.ties", "base": "base", "in": ["l", "k", "math"], "density": 0.4}}
    result = merge(folder, nodes, "t", "ties")
    evo.check("ties of adapters", result.returncode == 0, result.stderr)
    card = (folder / "ties/README.md").read_text()
    evo.check("the card names the adapters", all(f"| {n} | {d} | not stated |\n" in card for n, d in (("l", "r8"), ("k", "e"), ("base", "mini-base"))), card)
    again = evo.run("merge", folder / "ties/evopipe.json", folder / "ties-again")
    evo.check("evopipe.json makes the same bytes", again.returncode == 0 and evo.digest(folder / "ties") == evo.digest(folder / "ties-again"), again.stderr)
    merge(folder, nodes, "t", "ties-4", "--threads", "4")
    evo.check("the same for any threads", evo.digest(folder / "ties") == evo.digest(folder / "ties-4"))
    result = evo.run("check", "p.json", cwd=folder)
    evo.check("check names it", result.returncode == 0 and "model.lora" in result.stdout, result.stderr)


def test_search(folder):
    """The scale as a gene; the winner's recipe, and a resumed run that sees another adapter."""
    nodes = {"l": lora("r8", scale={"evolve": True}), "score": evo.exact_match(["l"]),
             "s": {"use": "optimizer.cma-es", "maximize": ["score"], "trials": 2}}
    evo.write(folder, "search.json", evo.pipeline(evo.sources() | nodes))
    result = evo.run("run", "search.json", "--smoke", "--out", "run", cwd=folder)
    if not evo.check("a search over the scale", result.returncode == 0, result.stderr):
        return
    genes = json.loads((folder / "run/scores.json").read_text())["searches"]["s"]["best"]["genes"]
    best = json.loads((folder / "run/s.best.json").read_text())["nodes"]["l"]
    evo.check("the winner's scale", list(genes) == ["l.scale"] and 0 <= genes["l.scale"] <= 2 and best["use"] == "model.lora" and best["scale"] == genes["l.scale"], best)
    config = folder / "r8/adapter_config.json"
    text = config.read_text()
    config.write_text(text.replace('"lora_alpha": 8', '"lora_alpha": 4'))
    result = evo.run("run", "search.json", "--smoke", "--out", "run", "--resume", cwd=folder)
    config.write_text(text)
    evo.check("another adapter is another pipeline", result.returncode == 2 and "adapter_config.json has changed since the run began" in result.stderr, result.stderr)


# ---------------------------------------------------------------- recipes

def test_recipe(folder):
    text = f"merge_method: linear\nmodels:\n  - model: {BASE}+r8\n    parameters: {{weight: 0.5}}\n  - model: {BASE}\n    parameters: {{weight: 0.5}}\n"
    evo.write(folder, "r.yml", text)
    result = evo.run("import", "r.yml", cwd=folder)
    if not evo.check("model+lora is read", result.returncode == 0, result.stderr):
        return
    nodes = json.loads(result.stdout)["nodes"]
    evo.check("as an adapter on the model", nodes["mini-base-r8"] == {"use": "model.lora", "path": str(folder / "r8"), "base": "mini-base"} and
              [e if isinstance(e, str) else e["from"] for e in nodes["merged"]["in"]] == ["mini-base-r8", "mini-base"], nodes)
    result = evo.run("merge", "r.yml", "recipe-out", cwd=folder)
    evo.check("and merged", result.returncode == 0, result.stderr)


def main():
    with evo.folder() as folder:
        folder = pathlib.Path(folder)
        for test in (test_round_trip, test_ranks, test_wrong, test_merge, test_search):
            test(folder)
        if "--recipes" in sys.argv:
            test_recipe(folder)
    evo.finish()


main()
