#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill.py - SIGKILL to the coordinator at moments uniform over a run's length, each run resumed: the same bytes, the same table, no worker left."""
import json, os, pathlib, random, signal, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

MOMENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
PATH_TRIALS = 360
ALIVE_S = 2.0  # how long a worker may outlive its coordinator


def two_searches(folder):
    """Two stages, so that kills fall into searches, the saving of an inner winner, the second search, the last save and the exam."""
    blend = {"use": "merge.dare-ties", "base": "base", "rescale": "density", "in": [
        {"from": "ja", "weight": {"evolve": [0, 2]}, "density": {"evolve": [0.1, 1]}},
        {"from": "math", "weight": {"evolve": [0, 1.6], "per": "layer"}}]}
    nodes = {**evo.sources(), "blend": blend, "solved": evo.exact_match(["blend"], limit=60),
             "first": {"use": "optimizer.cma-es", "maximize": ["solved"], "trials": 60},
             "mix": {"use": "merge.linear", "in": [{"from": "first", "weight": {"evolve": [0, 1.5]}}, "ja"]},
             "again": evo.exact_match(["mix"], limit=60),
             "second": {"use": "optimizer.random", "maximize": ["again"], "trials": 30},
             "exam": evo.exact_match(["second", "first", "ja", "math", "base"], file="ja-test.jsonl", limit=100)}
    return evo.write(folder, "two.json", evo.pipeline(nodes, save={"second": "final"}))


def a_path(folder):
    """A path search whose candidates start from what earlier ones left, a sample of the texts a generation, the best of each validated."""
    for name, rows in (("train", range(0, 40)), ("valid", range(100, 116))):
        lines = (evo.EXAMPLES / "ja-evolve.jsonl").read_text().splitlines()
        texts = [json.loads(lines[i])["question"] for i in rows]
        evo.write(folder, f"{name}.jsonl", "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts))
    text = {"use": "evaluator.perplexity", "in": ["stack"]}
    nodes = {**evo.sources(), "stack": {"use": "merge.layer-path", "in": ["ja", "math"], "repeats": 2, "max_hops": 24, "scale": 0.9,
                                        "path": {"evolve": "path"}},
             "train": {**text, "data": "train.jsonl"}, "valid": {**text, "data": "valid.jsonl"},
             "first": {"use": "optimizer.cma-es", "minimize": ["train"], "trials": PATH_TRIALS, "population": 12,
                       "sample": {"items": 16, "per": "generation"}, "validate": "valid"},
             "exam": {**text, "in": ["first", "ja", "math"], "data": "valid.jsonl"}}
    del nodes["base"]
    return evo.write(folder, "path.json", evo.pipeline(nodes, save={"first": "final"}))


def children(pid):
    try:
        return [int(c) for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def start(file, out, *more):
    return subprocess.Popen([str(evo.PROGRAM), "run", str(file), "--out", str(out), "--jobs", "2", "--threads", "1", *more],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_at(seconds, file, out):
    """Starts, kills after so many seconds; the workers it had."""
    run = start(file, out)
    workers, end = set(), time.monotonic() + seconds
    while time.monotonic() < end and run.poll() is None:
        workers.update(children(run.pid))
        time.sleep(0.005)
    workers.update(children(run.pid))
    run.send_signal(signal.SIGKILL)
    run.communicate()
    return workers


def cards(out, names):
    """A later search's card names the folder of an earlier one's model, which lies in the run directory."""
    return {n: (out / n / "README.md").read_text().replace(str(out), "RUN") for n in names}


def examine(what, file, names, moments, folder):
    """The run in `file` undisturbed, then killed at so many moments and resumed; names: the folders of its models."""
    began = time.monotonic()
    whole = start(file, folder / "whole")
    stdout, stderr = whole.communicate()
    length = time.monotonic() - began
    evo.check(f"{what}: the undisturbed run ends well", whole.returncode == 0, stderr)
    models = {n: evo.digest(folder / "whole" / n) for n in names}
    evo.check(f"{what}: it saved its winners", all(models.values()), models)
    print(f"# {what}, undisturbed: {length:.2f} s")
    known = {p.name for p in (folder / "whole").iterdir()} | {"journal.db-wal", "journal.db-shm"}
    for i in range(moments):
        out, at = folder / f"run{i}", length * (i + random.Random(i).random()) / moments
        when = f"{what}, killed at {at:.2f} s"
        workers = kill_at(at, file, out)
        time.sleep(ALIVE_S)
        left = [w for w in workers if is_alive(w)]
        evo.check(f"{when}: none of {len(workers)} workers is alive {ALIVE_S} s later", not left, left)
        resumed = start(file, out, "--resume") if out.exists() else start(file, out)
        text, err = resumed.communicate()
        evo.check(f"{when}: resumes", resumed.returncode == 0, err)
        same = {n: evo.digest(out / n) for n in models} == models
        evo.check(f"{when}: the same model.safetensors", same)
        evo.check(f"{when}: the same cards", cards(out, names) == cards(folder / "whole", names))
        evo.check(f"{when}: the same table", text.split("\nscores:")[0] == stdout.split("\nscores:")[0], text)
        scores = (out / "scores.json").exists() and (out / "scores.json").read_text() == (folder / "whole/scores.json").read_text()
        evo.check(f"{when}: the same scores.json", scores)
        left = [p.name for p in out.iterdir() if p.name not in known]
        evo.check(f"{when}: nothing half-written is left", not left, left)
        os.system(f"rm -rf '{out}'")
    os.system(f"rm -rf '{folder / 'whole'}'")


with evo.folder() as folder:
    folder = pathlib.Path(folder)
    examine("merges", two_searches(folder), ("first", "final"), MOMENTS, folder)
    examine("a path", a_path(folder), ("final",), MOMENTS, folder)
evo.finish()
