#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""paths.py - searches in data-flow space: every encoding and shape of scales runs, is saved as a plain checkpoint, can be made again to the byte,
goes on after an interruption, and does not depend on jobs; a cost is an objective; what cannot be a path is refused."""
import json, pathlib, sqlite3, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

STACK = {"use": "merge.layer-path", "in": ["ja", "math"], "max_hops": 30, "path": {"evolve": "path"}}
KINDS = {
    "indicator": {"repeats": 2, "scale": {"evolve": [0.6, 1.4]}},
    "published": {"repeats": 3, "ends": "published", "path": {"evolve": "path", "start": -0.3, "sigma": 0.1},
                  "scale": {"evolve": True, "shape": "matrix"}},
    "slots": {"path": {"evolve": "path", "encoding": "slots"}, "scale": {"evolve": [0.4, 1.5]}, "scaling": "branch"},
    "window": {"path": {"evolve": "path", "encoding": "window", "hops": 8, "step": 2}, "scale": {"evolve": True, "shape": "network", "hidden": 4},
               "scaling": "last-branch"},
    "scales": {"path": ["ja:0-5"], "scale": {"evolve": [0.8, 1.2]}},
}


def pipeline(stack, trials, objective=None, search=None, **nodes):
    nodes = {**evo.sources(), "stack": {**STACK, **stack}, "solved": evo.exact_match(["stack"], limit=24),
             "dfs": {"use": "optimizer.cma-es", **(objective or {"maximize": ["solved"]}), "trials": trials, "population": 8, **(search or {})}, **nodes}
    del nodes["base"]
    return evo.pipeline(nodes, save={"dfs": "found"})


def rows(out):
    db = sqlite3.connect(out / "journal.db")
    return db.execute("SELECT node, trial, generation, status, score, genes FROM trials ORDER BY node, trial").fetchall()


def every_kind(folder):
    for name, stack in KINDS.items():
        file, out = evo.write(folder, f"{name}.json", pipeline(stack, 16)), folder / name
        result = evo.run("check", file)
        evo.check(f"{name}: check", result.returncode == 0, result.stderr)
        result = evo.run("run", file, "--out", out)
        if not evo.check(f"{name}: runs", result.returncode == 0, result.stderr):
            continue
        best = json.loads((out / "scores.json").read_text())["searches"]["dfs"]["best"]
        layers = json.loads((out / "found/config.json").read_text())["num_hidden_layers"]
        evo.check(f"{name}: one layer a hop", layers == len(best["path"]), f"{layers} layers, path {best['path']}")
        evo.check(f"{name}: the first hop's scale is 1", best["path"][0]["scale"] == 1, best["path"])
        result = evo.run("merge", out / "dfs.best.json", folder / f"{name}-again")
        evo.check(f"{name}: made again, byte for byte", result.returncode == 0 and evo.digest(folder / f"{name}-again") == evo.digest(out / "found"),
                  result.stderr)
        result = evo.run("inspect", out)
        evo.check(f"{name}: inspect draws it", f"path, {layers} hops" in result.stdout, result.stdout)
        result = evo.run("generate", out / "found", "1 + 1 =", "--max-tokens", 4)
        evo.check(f"{name}: it is a model that runs", result.returncode == 0, result.stderr)
    published = json.loads((folder / "published/scores.json").read_text())["searches"]["dfs"]["best"]["path"]
    ends = [published[i]["from"] + str(published[i]["layer"]) for i in (0, 1, -2, -1)]
    evo.check("published: doubled ends stay", ends[0] == "ja0" and ends[-1] == "ja5", ends)


def same_search(folder):
    want = None
    file = evo.write(folder, "same.json", pipeline(KINDS["indicator"], 24))
    for tag, args in (("one", ()), ("two", ("--jobs", 2, "--threads", 1)), ("four", ("--threads", 4))):
        result = evo.run("run", file, "--out", folder / tag, *args)
        evo.check(f"{tag}: runs", result.returncode == 0, result.stderr)
        got = rows(folder / tag), evo.digest(folder / tag / "found"), (folder / tag / "scores.json").read_text()
        want = want or got
        evo.check(f"{tag}: the same trials, model and scores", got == want)
    result = evo.run("run", file, "--out", folder / "less", "--set", "dfs.trials=13")
    result = evo.run("run", file, "--out", folder / "less", "--resume")
    got = rows(folder / "less"), evo.digest(folder / "less/found"), (folder / "less/scores.json").read_text()
    evo.check("resumed: the same trials, model and scores", result.returncode == 0 and got == want, result.stderr)


def samples(folder):
    """A sample of the items per generation, the best of each validated on others: as the published search does."""
    file = evo.write(folder, "samples.json", pipeline(
        KINDS["published"], 24, search={"sample": {"items": 10, "per": "generation"}, "validate": "valid"},
        valid=evo.exact_match(["stack"], skip=100, limit=20)))
    result = evo.run("run", file, "--out", folder / "samples")
    evo.check("sampled: runs", result.returncode == 0, result.stderr)
    db = sqlite3.connect(folder / "samples/journal.db")
    got = db.execute("SELECT generation, trial FROM validations").fetchall()
    evo.check("sampled: one validation a generation", len(got) == 3, got)


def costs(folder):
    file = evo.write(folder, "cost.json", pipeline(
        KINDS["slots"], 24, objective={"maximize": [{"from": "solved", "weight": 1e-9}], "minimize": ["hops"]},
        hops={"use": "evaluator.cost", "in": ["stack"]}))
    result = evo.run("run", file, "--out", folder / "cost")
    if not evo.check("cost: runs", result.returncode == 0, result.stderr):
        return
    best = json.loads((folder / "cost/scores.json").read_text())["searches"]["dfs"]["best"]
    evo.check("cost: shorter paths win", len(best["path"]) < 6 and abs(best["score"] + len(best["path"])) < 1e-6, best)
    model, weights = evo.TINY / "mini-ja", 0
    header = (model / "model.safetensors").read_bytes()
    header = json.loads(header[8:8 + int.from_bytes(header[:8], "little")])
    for name, tensor in header.items():
        size = 1
        for n in tensor.get("shape", [0]):
            size *= n
        weights += size
    for of, want in (("hops", 6), ("parameters", weights), ("kv_bytes", 6 * 2 * 2 * 32 * 2), ("flops", 2 * (weights - 13 * 128))):
        result = evo.run("eval", model, "-u", "evaluator.cost", f"of={of}", "--json")
        evo.check(f"cost of a model: {of}", result.returncode == 0 and json.loads(result.stdout)["score"] == want, f"{want}\n{result.stdout}{result.stderr}")


def refusals(folder):
    for name, stack, more, said in (
            ("another encoding", {"path": {"evolve": "path", "encoding": "tree"}}, {}, '"tree" is none of'),
            ("a key of another encoding", {"path": {"evolve": "path", "encoding": "slots", "step": 2}}, {}, 'step: is for the encoding "window"'),
            ("a range for a path", {"path": {"evolve": [0, 1]}}, {}, 'a path is searched by {"evolve": "path"}'),
            ("a start outside", {"scale": {"evolve": [0.5, 0.9], "start": 1}}, {}, "1 is outside the range 0.5 ... 0.9"),
            ("scales of hops nobody knows", {"scale": [1, 2, 3]}, {}, "has no fixed number of hops; give one number"),
            ("data for a cost", {}, {"solved": {"use": "evaluator.cost", "in": ["stack"], "data": "x.jsonl"}}, "evaluator.cost reads no data"),
            ("a merge of a searched path", {}, {"more": {"use": "merge.linear", "in": ["dfs", "ja"]}, "look": evo.exact_match(["more"])},
             'the layers of "dfs" are searched')):
        file = evo.write(folder, "bad.json", pipeline(stack, 8, **more))
        result = evo.run("check", file)
        evo.check(f"refused: {name}", result.returncode == 2 and said in result.stderr, f"{result.returncode} {result.stderr}")


with evo.folder() as name:
    for part in (every_kind, same_search, samples, costs, refusals):
        part(pathlib.Path(name))
evo.finish()
