#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recipes.py FOLDER [EVOPIPE]: mergekit recipes through evopipe merge; the results in stock transformers, and beside mergekit's own.

    python3 -m venv V && V/bin/pip install torch transformers && V/bin/python bench/interop/recipes.py recipes build/core/cli/evopipe

FOLDER holds *.yml, whose model paths are tried from its parent too, and expected.tsv: tensors, rows of the embedding, stored type, layers and vocabulary
of config.json, chat template written or not, sum and L2 norms of what mergekit made. Every recipe is merged, printed by evopipe import and merged from
that (the same bytes); loaded by AutoModelForCausalLM (nothing missing, unexpected or of another shape), with its tokenizer, and run once. The sums agree
within what roundings and, with random masks, chance leave.
"""
import csv, hashlib, json, os, pathlib, subprocess, sys, tempfile

import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = pathlib.Path(sys.argv[1]).resolve()
evopipe = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "build/core/cli/evopipe").resolve()
# Of a tensor's norm, and of the sum of all numbers over their norm (errors of the numbers add up as the root of how many there are). Computed in fp32
# and rounded once: only what lies between two roundings differs. Under a dtype of 16 bits mergekit rounds changes, products and coefficients too, and
# of changes that are equal then, keeps others: half a per cent of the norm of a tensor of 48. Masks drawn anew: a few per cent of it.
TOLERANCE = {"once": (1e-5, 1e-3), "on the way": (5e-3, 3e-2), "random": (3e-2, 0.15)}


def run(*args, cwd):
    return subprocess.run([evopipe, *map(str, args)], cwd=cwd, capture_output=True, text=True)


def digest(path):
    """Of the tensors and the files that a user of the model reads; evopipe.json and the card name the pipeline."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(path.iterdir()) if f.name not in ("evopipe.json", "README.md")}


def load(path):
    tensors = {}
    for f in sorted(path.glob("*.safetensors")):
        tensors.update(load_file(f))
    return tensors


def forward(path):
    model, report = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(path)
    odd = {k: sorted(v) for k, v in report.items() if v and k.endswith("keys")}
    ids = tokenizer("2 + 2 = 4", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits
    bad = [] if not odd else [f"loading: {odd}"]
    if not torch.isfinite(logits).all() or logits.shape[-1] != model.config.vocab_size:
        bad.append("the logits are not finite, or not as many as the vocabulary")
    if len(tokenizer) > model.config.vocab_size:
        bad.append(f"{len(tokenizer)} tokens, {model.config.vocab_size} rows")
    return bad, tokenizer


def kind(row, text):
    if "random" in row["note"]:
        return "random"
    root = yaml.safe_load(text.split("\n---")[-1])
    once = root.get("dtype", "float32") == "float32" or root["merge_method"] in ("linear", "slerp", "passthrough")
    return "once" if once else "on the way"


def compare(row, text, path):
    tensors, config = load(path), json.loads((path / "config.json").read_text())
    x = {k: v.double() for k, v in tensors.items()}
    l2 = sum(float((v ** 2).sum()) for v in x.values()) ** 0.5
    of_norm, of_sum = TOLERANCE[kind(row, text)]
    bad, tokenizer = forward(path)
    template = "yes" if tokenizer.chat_template else "no"
    for what, ours, theirs in (("tensors", len(x), int(row["tensors"])), ("rows", x["model.embed_tokens.weight"].shape[0], int(row["embed_rows"])),
                               ("dtype", str(tensors["model.norm.weight"].dtype).split(".")[1], row["stored_dtype"]),
                               ("layers", config["num_hidden_layers"], int(row["config_layers"])), ("vocabulary", config["vocab_size"], int(row["config_vocab"])),
                               ("chat template", template, row["chat_template"])):
        if ours != theirs:
            bad.append(f"{what} {ours}, mergekit {theirs}")
    far = 0.0
    for what, ours in [("sum_all", sum(float(v.sum()) for v in x.values())), ("l2_all", l2)] + \
            [(k, float((x[k[3:]] ** 2).sum() ** 0.5)) for k in row if k.startswith("l2 ") and k[3:] in x]:
        theirs = float(row[what])
        off = abs(ours - theirs) / (l2 if what == "sum_all" else theirs)
        far = max(far, off if what != "sum_all" else 0)
        if off > (of_sum if what == "sum_all" else of_norm):
            bad.append(f"{what} {ours:.9g}, mergekit {theirs:.9g}")
    return bad, far


rows = {r["recipe"]: r for r in csv.DictReader(open(folder / "expected.tsv"), delimiter="\t")}
failed = 0
print("| recipe | seen | largest difference of a norm |\n|---|---|---|")
with tempfile.TemporaryDirectory() as temporary:
    out = pathlib.Path(temporary)
    for file in sorted(folder.glob("*.yml")):
        merged = run("merge", file, out / "a", "--force", cwd=folder.parent)
        printed = run("import", file, cwd=folder.parent)
        bad, far = [], float("nan")
        if merged.returncode or printed.returncode:
            bad.append((merged.stderr or printed.stderr).strip().splitlines()[-1])
        else:
            (out / "p.json").write_text(printed.stdout)
            again = run("merge", out / "p.json", out / "b", "--force", cwd=out)
            if again.returncode or digest(out / "a") != digest(out / "b"):
                bad.append("the imported pipeline gives other bytes " + again.stderr.strip())
            more, far = compare(rows[file.stem], file.read_text(), out / "a")
            bad += more
        failed += bool(bad)
        print(f"| {file.stem} | {'; '.join(bad) if bad else 'merged, imported to the same bytes, loaded, run'} | {far:.1e} |", flush=True)
sys.exit(failed > 0)
