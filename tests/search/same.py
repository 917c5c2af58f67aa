#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""same.py - the same answer for any number of threads and jobs, and the same merged bytes on every instruction set."""
import json, pathlib, sqlite3, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

TWO = [{"from": "ja", "weight": 0.8}, {"from": "math", "weight": {"@attn": 0.3, "*": [0.1, 0.9]}}]
DENSE = [{**TWO[0], "density": 0.55}, {**TWO[1], "density": 0.3}]
MERGES = {
    "linear": {"use": "merge.linear", "in": TWO}, "slerp": {"use": "merge.slerp", "in": ["ja", "math"], "t": [0.2, 0.8]},
    "task-arithmetic": {"use": "merge.task-arithmetic", "base": "base", "in": TWO},
    "ties": {"use": "merge.ties", "base": "base", "in": DENSE}, "ties-model": {"use": "merge.ties", "base": "base", "in": DENSE, "scope": "model"},
    "dare-linear": {"use": "merge.dare-linear", "base": "base", "in": DENSE, "rescale": "l1"},
    "dare-ties": {"use": "merge.dare-ties", "base": "base", "in": DENSE},
    "train-difference": {"use": "merge.train-difference", "in": ["ja", "math", "base"]},
    "cosine": {"use": "merge.cosine", "in": ["ja", "math"], "similarity": "b", "alpha": [0.2, 0.6]},
    "crossover": {"use": "merge.crossover", "in": ["ja", "math"], "t": 0.2, "split": 0.43},
    "by-tensor": {"use": "merge.by-tensor", "in": [{"from": "ja", "take": {"@layers:0-1": True}}, "math"]},
    "fisher": {"use": "merge.fisher", "norm": "model", "in": [{"from": "ja", "fisher": "fisher-ja.safetensors"},
                                                             {"from": "math", "fisher": "fisher-math.safetensors"}]},
    "dare-ties-none": {"use": "merge.dare-ties", "base": "base", "in": DENSE, "rescale": "none"},
}


def merged(folder, name, tag, *args, env=None):
    file = evo.write(folder, f"{name}.json", evo.pipeline({**evo.sources(), "blend": MERGES[name]}, save={"blend": "blend"}))
    out = folder / f"{name}-{tag}"
    result = evo.run("merge", file, out, *args, env=env)
    evo.check(f"merge.{name} {tag}", result.returncode == 0, result.stderr)
    return evo.digest(out)


def same_merges(folder):
    for name, model in (("fisher-ja.safetensors", "mini-ja"), ("fisher-math.safetensors", "mini-math-en")):
        evo.fisher(folder, name, model)
    isas = [i for i in ("ref", "avx2", "avx512", "amx") if evo.run("inspect", "--kernels", env={"EVO_CPU": i}).returncode == 0]
    for name in MERGES:
        want = merged(folder, name, "native")
        for isa in isas:
            evo.check(f"merge.{name}: {isa} gives the same bytes", merged(folder, name, isa, env={"EVO_CPU": isa}) == want)
        for threads in (1, 2, 4):
            evo.check(f"merge.{name}: {threads} threads give the same bytes", merged(folder, name, f"t{threads}", "--threads", threads) == want)


def journal(out):
    db = sqlite3.connect(out / "journal.db")
    trials = db.execute("SELECT node, trial, generation, status, score, genes FROM trials ORDER BY node, trial").fetchall()
    return trials, db.execute("SELECT node, trial, evaluator, score, scores FROM items ORDER BY node, trial, evaluator").fetchall()


def same_searches(folder):
    nodes = {**evo.sources(), "blend": {"use": "merge.dare-ties", "base": "base", "masks": "trial", "in": [
                 {"from": "ja", "weight": {"evolve": [0, 1.6], "per": "layer"}}, {"from": "math", "weight": {"evolve": [0, 2]}, "density": {"evolve": True}}]},
             "solved": evo.exact_match(["blend"], limit=80),
             "best": {"use": "optimizer.cma-es", "maximize": ["solved"], "trials": 30},
             "exam": evo.exact_match(["best", "ja"], file="ja-test.jsonl", limit=60)}
    file = evo.write(folder, "search.json", evo.pipeline(nodes, save={"best": "best"}))
    want = None
    for jobs, threads in ((1, 1), (1, 2), (1, 4), (2, 1), (3, 1), (2, 2)):
        out = folder / f"j{jobs}t{threads}"
        result = evo.run("run", file, "--out", out, "--jobs", jobs, "--threads", threads)
        evo.check(f"{jobs} jobs of {threads} threads: runs", result.returncode == 0, result.stderr)
        got = (evo.digest(out / "best"), journal(out), evo.table_of(result), json.loads((out / "scores.json").read_text()))
        want = want or got
        for what, a, b in zip(("model", "trials, genes and scores", "table", "scores.json"), got, want):
            evo.check(f"{jobs} jobs of {threads} threads: the same {what}", a == b)
    again = folder / "again"
    result = evo.run("merge", folder / "j1t1/best.best.json", again)
    evo.check("best.best.json makes the same bytes", result.returncode == 0 and evo.digest(again) == want[0], result.stderr)
    again = folder / "card"
    result = evo.run("merge", folder / "j1t1/best/evopipe.json", again)
    evo.check("evopipe.json of the saved model makes the same bytes", result.returncode == 0 and evo.digest(again) == want[0], result.stderr)
    result = evo.run("run", file, "--out", folder / "other", "--seed", 2)
    evo.check("another seed gives another search", result.returncode == 0 and journal(folder / "other")[0] != want[1][0], result.stderr)


def same_paths(folder):
    """A path search whose candidates start from hidden states that earlier ones left: which ones a worker has seen changes nothing."""
    evo.write(folder, "text.jsonl", "".join(json.dumps({"text": json.loads(line)["question"]}, ensure_ascii=False) + "\n"
                                            for line in (evo.EXAMPLES / "ja-evolve.jsonl").read_text().splitlines()[:48]))
    text = {"use": "evaluator.perplexity", "in": ["stack"], "data": "text.jsonl"}
    nodes = {**evo.sources(), "stack": {"use": "merge.layer-path", "in": ["ja", "math"], "repeats": 2, "max_hops": 24, "scale": 0.9,
                                        "path": {"evolve": "path"}},
             "train": {**text, "limit": 32}, "valid": {**text, "skip": 32},
             "dfs": {"use": "optimizer.cma-es", "minimize": ["train"], "trials": 48, "population": 12, "sample": {"items": 16, "per": "generation"},
                     "validate": "valid"}}
    del nodes["base"]
    file = evo.write(folder, "paths.json", evo.pipeline(nodes, save={"dfs": "dfs"}))
    want = None
    for jobs, threads in ((1, 1), (1, 2), (1, 4), (2, 1), (4, 1), (2, 2)):
        out = folder / f"paths-j{jobs}t{threads}"
        result = evo.run("run", file, "--out", out, "--jobs", jobs, "--threads", threads)
        evo.check(f"path, {jobs} jobs of {threads} threads: runs", result.returncode == 0, result.stderr)
        got = (evo.digest(out / "dfs"), journal(out), (out / "dfs/README.md").read_text(), json.loads((out / "scores.json").read_text()))
        if want is None:
            evo.check("path: some texts start from what an earlier path left", "were not computed" in result.stderr + result.stdout, result.stderr)
        want = want or got
        for what, a, b in zip(("model", "trials, genes and scores", "card", "scores.json"), got, want):
            evo.check(f"path, {jobs} jobs of {threads} threads: the same {what}", a == b)


with evo.folder() as name:
    same_merges(pathlib.Path(name))
    same_searches(pathlib.Path(name))
    same_paths(pathlib.Path(name))
evo.finish()
