#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rms.py FOLDER [EVOPIPE]: how far merges are from the same formula in float64, evopipe's and mergekit's beside each other.

    python3 -m venv V && V/bin/pip install numpy pyyaml && V/bin/python bench/interop/rms.py golden/merge build/core/cli/evopipe

FOLDER holds cases/NAME.yml and cases/NAME.safetensors (what mergekit made of it: these tensors are looked at) and models/. The formulas are written here
from the papers, in numpy, of recipes whose parameters are plain numbers. Error: root of the mean square over all elements of those tensors. In float32
evopipe's is at most 1.01 of mergekit's; under dtype bfloat16 below it where mergekit rounds on the way, and equal where it does not.
"""
import json, pathlib, struct, subprocess, sys, tempfile

import numpy as np
import yaml

folder = pathlib.Path(sys.argv[1]).resolve()
evopipe = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "build/core/cli/evopipe").resolve()


def read(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, v in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        raw = data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]
        if v["dtype"] == "BF16":
            x = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            x = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[v["dtype"]])
        out[name] = x.astype(np.float64).reshape(v["shape"])
    return out


# ---------------------------------------------------------------- formulas: x [models] arrays, base, w [models], p parameters, d densities

def divide(total, w, normalize):
    return total / sum(w) if normalize else total


def linear(x, base, w, p, d):
    return divide(sum(a * b for a, b in zip(w, x)), w, p.get("normalize", True))


def task_arithmetic(x, base, w, p, d):
    return base + p.get("lambda", 1) * divide(sum(a * (b - base) for a, b in zip(w, x)), w, p.get("normalize", False))


def slerp(x, base, w, p, d):
    a, b = base, next(v for v in x if v is not base)
    t = p["t"]
    cos = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    if abs(cos) > 0.9995:
        return (1 - t) * a + t * b
    angle = np.arccos(cos)
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def largest(x, k):
    """The k largest magnitudes, of equal ones the first; the others 0."""
    kept = np.zeros(x.size, bool)
    kept[np.argsort(-np.abs(x.ravel()), kind="stable")[:k]] = True
    return np.where(kept.reshape(x.shape), x, 0)


def ties(x, base, w, p, d):
    delta = np.stack([a * largest(v - base, int(q * base.size)) for a, v, q in zip(w, x, d)])
    sign = np.where(delta.sum(0) >= 0, 1, -1)
    agree = np.sign(delta) == sign
    total = np.where(agree, delta, 0).sum(0)
    share = (agree * np.reshape(w, (-1,) + (1,) * base.ndim)).sum(0)
    if p.get("normalize", True):
        total = total / np.where(share == 0, 1, share)
    return base + p.get("lambda", 1) * total


def multislerp(x, base, w, p, d):
    w = np.array(w) / sum(w)
    from_ = 0 if base is None else base
    v = [a - from_ for a in x]
    norm = [np.sqrt((a * a).sum()) for a in v]
    mean = sum(a * b / n for a, b, n in zip(w, v, norm))
    return from_ + mean / np.sqrt((mean * mean).sum()) * sum(a * n for a, n in zip(w, norm))


def nuslerp(x, base, w, p, d):
    a, b = x
    t = w[1] / sum(w)
    angle = np.arccos(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1, 1))
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def nearswap(x, base, w, p, d):
    s = np.clip(p["t"] / np.maximum(np.abs(base - x[0]), 1e-6), 0, 1)
    return s * x[0] + (1 - s) * base


def model_stock(x, base, w, p, d):
    v = [a - base for a in x]
    n = len(v)
    cos = np.mean([(v[i] * v[j]).sum() / max(np.sqrt((v[i] ** 2).sum() * (v[j] ** 2).sum()), 1e-6) for i in range(n) for j in range(i)])
    t = n * cos / (1 + (n - 1) * cos)
    return t * sum(x) / n + (1 - t) * base


def karcher(x, base, w, p, d):
    norm = [np.sqrt((a * a).sum()) for a in x]
    unit = [a / n for a, n in zip(x, norm)]
    u = sum(unit)
    u = u / np.sqrt((u * u).sum())
    for _ in range(p.get("max_iter", 10)):
        tangent = 0
        for v in unit:
            cos = np.clip((u * v).sum(), -1, 1)
            angle = np.arccos(cos)
            if angle >= p.get("tol", 1e-5):
                tangent = tangent + angle / np.sin(angle) * (v - cos * u) / len(x)
        length = np.sqrt(np.square(tangent).sum())
        if length < p.get("tol", 1e-5):
            break
        u = np.cos(length) * u + np.sin(length) * tangent / length
        u = u / np.sqrt((u * u).sum())
    return u * np.mean(norm)


FORMULAS = dict(linear=linear, task_arithmetic=task_arithmetic, slerp=slerp, ties=ties, multislerp=multislerp, nuslerp=nuslerp, nearswap=nearswap,
                model_stock=model_stock, karcher=karcher)
CASES = ["linear-norm", "linear-unnorm", "linear-extrapolate", "ta", "ta-lambda", "ta-normalize", "slerp-t035", "slerp-near", "slerp-extrapolate", "ties-d02",
         "ties-d05", "ties-d09", "ties-d05-lambda", "multislerp", "nuslerp-flat", "nearswap", "model-stock", "karcher", "bf16-linear-in32", "bf16-slerp-in32",
         "bf16-ta-in32", "bf16-linear", "bf16-slerp", "bf16-ta", "bf16-ties"]


def definition(recipe, names):
    path = {m["model"]: read(folder / m["model"] / "model.safetensors") for m in recipe["models"]}
    base_name = recipe.get("base_model")
    base = read(folder / base_name / "model.safetensors") if base_name else None
    method, top = recipe["merge_method"], recipe.get("parameters", {})
    apart = base_name if method not in ("linear", "slerp", "karcher") else None
    inputs = [m for m in recipe["models"] if m["model"] != apart]
    w = [m.get("parameters", {}).get("weight", 1) for m in inputs]
    d = [m.get("parameters", {}).get("density", top.get("density", 1)) for m in inputs]
    out = {}
    for n in names:
        x = [base[n] if m["model"] == base_name else path[m["model"]][n] for m in inputs]
        out[n] = FORMULAS[method](x, base[n] if base else None, w, top, d)
    return out


def error(a, b):
    n = sum(v.size for v in b.values())
    return (sum(np.square(a[k] - v).sum() for k, v in b.items()) / n) ** 0.5


failed = 0
print("| case | elements | evopipe | mergekit | ratio |\n|---|---|---|---|---|")
sums = {}
with tempfile.TemporaryDirectory() as temporary:
    for case in CASES:
        file = folder / "cases" / f"{case}.yml"
        theirs, recipe = read(file.with_suffix(".safetensors")), yaml.safe_load(file.read_text())
        done = subprocess.run([evopipe, "merge", file, temporary + "/o", "--force"], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{case}: {done.stderr}")
        ours, exact = read(pathlib.Path(temporary + "/o/model.safetensors")), definition(recipe, theirs)
        a, b = error(ours, exact), error(theirs, exact)
        bound = 1.01 if recipe["dtype"] == "float32" or recipe["merge_method"] in ("linear", "slerp") else 1
        failed += not a <= bound * b
        print(f"| {case} | {sum(v.size for v in exact.values())} | {a:.3e} | {b:.3e} | {a / b:.3f}{'' if a <= bound * b else ' ABOVE'} |")
sys.exit(failed > 0)
