#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""paths.py - searches in data-flow space: every encoding and shape of scales runs, is saved as a plain checkpoint, can be made again to the byte,
goes on after an interruption, and does not depend on jobs; a cost is an objective; what cannot be a path is refused."""
import json, pathlib, shutil, sqlite3, sys

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


def reuse(folder):
    """How much of the scored texts started from what an earlier path had left: told at the end, kept in the journal, also over an interruption."""
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": f"{i}個のりんごと{i + 2}個のみかん"}, ensure_ascii=False) + "\n" for i in range(12)))
    search = pipeline({"repeats": 2, "scale": 0.9}, 32, objective={"minimize": ["fluent"]},
                      fluent={"use": "evaluator.perplexity", "in": ["stack"], "data": "texts.jsonl"})
    del search["nodes"]["solved"]
    file, all_hops = evo.write(folder, "reuse.json", search), []
    for tag, stops in (("at-once", ()), ("in-two", (16,))):
        for n in stops:
            evo.run("run", file, "--out", folder / tag, "--set", f"dfs.trials={n}")
        result = evo.run("run", file, "--out", folder / tag, *(("--resume",) if stops else ()))
        run, skipped = sqlite3.connect(folder / tag / "journal.db").execute("SELECT sum(hops_run), sum(hops_skipped) FROM trials").fetchone()
        all_hops.append(run + skipped)
        share = f"{100 * skipped / (run + skipped):.1f} % of the layers of scored texts were not computed"
        evo.check(f"reuse {tag}: told", result.returncode == 0 and skipped > 0 and f"dfs: {share}" in result.stdout + result.stderr,
                  f"{share}\n{result.stdout}{result.stderr}")
        evo.check(f"reuse {tag}: inspect shows it", f"\n  {share}" in evo.run("inspect", folder / tag).stdout, share)
    evo.check("reuse: what was computed before the interruption counts", all_hops[0] == all_hops[1], all_hops)


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


FIXED = {"use": "merge.layer-path", "in": ["ja", "math"], "path": ["ja:0-5", "math:3-5", "ja:5"], "scale": [1, 1, .9, 1.1, 1, 1, 1.2, -.8, 1, 1]}


def answers(model):
    return [json.loads(evo.run("generate", model, prompt, "--max-tokens", 12, "--json").stdout)["answer"] for prompt in ("1 + 1 =", "花子さんは")]


def same_answers(what, one, other, tolerance):
    one, other = answers(one), answers(other)
    evo.check(f"{what}: the same greedy answers", [a["ids"] for a in one] == [a["ids"] for a in other], f"{one}\n{other}")
    far = max(abs(x - y) for a, b in zip(one, other) for x, y in zip(a["logprobs"], b["logprobs"]))
    evo.check(f"{what}: log-probabilities differ by {far:.2g} at most", far < tolerance, far)


def perplexity(folder, model):
    (folder / "text.txt").write_text("太郎さんは3個のりんごを持っています。\n")
    result = evo.run("eval", model, "-u", "evaluator.perplexity", f"data={folder / 'text.txt'}", "format=text", "--json")
    return json.loads(result.stdout)["score"] if result.returncode == 0 else result.stderr


def compact(folder):
    """The compact form of a fixed path: smaller, run as it is, the same model as the plain one but for what folding in f32 rounds."""
    made = {}
    for layout in ("plain", "shared"):
        file = evo.write(folder, f"{layout}.json", evo.pipeline({**evo.sources(), "fixed": FIXED},
                                                                save={"fixed": {"path": "x", "dtype": "f32", "layout": layout}}))
        result = evo.run("merge", file, folder / layout, "--json")
        if not evo.check(f"{layout}: is written", result.returncode == 0, result.stderr):
            return
        made[layout] = json.loads(result.stdout)
        held = 8 + int.from_bytes((folder / layout / "model.safetensors").read_bytes()[:8], "little") + made[layout]["bytes"]
        evo.check(f"{layout}: is as large as was said", held == (folder / layout / "model.safetensors").stat().st_size, made[layout])
        result = evo.run("merge", folder / layout / "evopipe.json", folder / f"{layout}-again")
        evo.check(f"{layout}: made again, byte for byte", evo.digest(folder / f"{layout}-again") == evo.digest(folder / layout), result.stderr)
    evo.check("shared: two tensors more, a layer of nine fewer", made["shared"]["tensors"] == made["plain"]["tensors"] + 2 - 9, made)
    config = json.loads((folder / "shared/config.json").read_text())
    evo.check("shared: layers and hops", (config["num_hidden_layers"], config["num_hops"], config["input_scaling"]) == (9, 10, "stream"), config)
    # f32 rounds every folded weight by 2^-24; the norm's epsilon, 1e-5, is not scaled along with the state (fold.c): 2.4e-6 was seen
    same_answers("shared and plain", folder / "shared", folder / "plain", 1e-4)
    one, other = perplexity(folder, folder / "shared"), perplexity(folder, folder / "plain")
    evo.check("shared and plain: the same perplexity", isinstance(one, float) and abs(one - other) < 1e-4 * other, f"{one} {other}")
    file = evo.write(folder, "no-path.json", evo.pipeline({**evo.sources(), "mix": {"use": "merge.linear", "in": ["ja", "math"]}},
                                                          save={"mix": {"path": "x", "layout": "shared"}}))
    result = evo.run("check", file)
    said = '"shared" is for a merge.layer-path, or a search of one; "mix" is none'
    evo.check("shared: of no path", result.returncode == 2 and said in result.stderr, result.stderr)


def rows(folder):
    """A path's embedding and tokenizer are its first input's: other rows are given to that."""
    nodes = {**evo.sources(), "wider": {"use": "merge.linear", "in": ["ja"], "tokenizer": {"source": "base", "pad_to_multiple_of": 1000}},
             "stack": {"use": "merge.layer-path", "in": ["wider", "math"], "path": ["wider:0-5", "math:3"]}}
    result = evo.run("merge", evo.write(folder, "rows.json", evo.pipeline(nodes, save={"stack": "x"})), folder / "rows")
    config = json.loads((folder / "rows/config.json").read_text()) if result.returncode == 0 else {}
    evo.check("a path has the rows of its first input", config.get("vocab_size") == 2000 and config["num_hidden_layers"] == 7, result.stderr)
    said = evo.run("generate", folder / "rows", "あ")
    evo.check("and runs", said.returncode == 0, said.stderr)
    nodes["stack"]["tokenizer"] = "union"
    result = evo.run("check", evo.write(folder, "rows.json", evo.pipeline(nodes, save={"stack": "x"})))
    evo.check("it chooses none itself", result.returncode == 2 and 'its tokenizer is that of its first input, "wider"' in result.stderr, result.stderr)


def vocabulary(folder):
    """A model of other tokens is refused at its first hop, unless that is wanted."""
    source = evo.SOURCE / "models/tiny/mini-math-en"
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    text, at = next((t, i) for t, i in tokenizer["model"]["vocab"].items() if i == 700)
    tokenizer["model"]["vocab"] = {t if i != 700 else "<another>": i for t, i in tokenizer["model"]["vocab"].items()}
    tokenizer["model"]["merges"] = [m for m in tokenizer["model"]["merges"] if text not in (m if isinstance(m, list) else m.split(" ")) and
                                    "".join(m if isinstance(m, list) else m.split(" ")) != text]
    shutil.copytree(source, folder / "others")
    (folder / "others/tokenizer.json").write_text(json.dumps(tokenizer))
    nodes = {**evo.sources(), "others": {"use": "model.llm", "path": str(folder / "others")},
             "stack": {"use": "merge.layer-path", "in": ["ja", "others"], "path": ["ja:0-4", "others:3", "ja:5"]}}
    result = evo.run("check", evo.write(folder, "vocabulary.json", evo.pipeline(nodes, save={"stack": "x"})))
    evo.check("other tokens are refused", result.returncode == 2 and
              f'hop 5: token {at} is "<another>" in others, "{text}" in ja; a path needs models of one vocabulary' in result.stderr, result.stderr)
    nodes["stack"]["vocabulary"] = "any"
    result = evo.run("merge", evo.write(folder, "vocabulary.json", evo.pipeline(nodes, save={"stack": "x"})), folder / "any")
    evo.check("any: tokens of the first input", result.returncode == 0 and
              (folder / "any/tokenizer.json").read_bytes() == (evo.SOURCE / "models/tiny/mini-ja/tokenizer.json").read_bytes(), result.stderr)


def exports(folder):
    """A path that was found is compared with what was saved of it; in its compact form it is what was searched."""
    far = {}
    for layout, dtype in (("plain", "bf16"), ("plain", "f32"), ("shared", "bf16")):
        name = f"export-{layout}-{dtype}"
        content = pipeline(KINDS["indicator"], 16, search={"sample": {"items": 10, "per": "generation"}, "validate": "valid"},
                           valid=evo.exact_match(["stack"], skip=100, limit=40))
        content["save"] = {"dfs": {"path": "found", "layout": layout, "dtype": dtype}}
        file, out = evo.write(folder, f"{name}.json", content), folder / name
        result = evo.run("run", file, "--out", out)
        if not evo.check(f"{name}: runs", result.returncode == 0, result.stderr):
            continue
        found = json.loads((out / "scores.json").read_text())["searches"]["dfs"]["export"]
        far[layout, dtype] = found["largest"]
        evo.check(f"{name}: 32 prompts, differences", found["prompts"] == 32 and 0 <= found["rms"] <= found["largest"] < 1 and found["same_token"] > 20, found)
        line = (f"measured on 32 prompts of valid: saved and searched differ by at most {found['largest']:.3g} (RMS {found['rms']:.3g}) in the "
                f"log-probabilities of the next token; the likeliest one is the same after {found['same_token']}")
        evo.check(f"{name}: is told", f"dfs: {line}\n" in result.stdout + result.stderr, result.stdout + result.stderr)
        card, scores = (out / "found/README.md").read_text(), (out / "scores.json").read_text()
        evo.check(f"{name}: stands in the card", f"## Export\n\nM{line[1:]}.\n" in card, card)
        shown = (f"  saved against searched, 32 prompts: log-probabilities of the next token differ by at most {found['largest']:.3g} (RMS {found['rms']:.3g}); "
                 f"the likeliest token is the same after {found['same_token']}\n")
        result = evo.run("inspect", out)
        evo.check(f"{name}: inspect shows it below the path", result.returncode == 0 and shown in result.stdout.partition("\n  path, ")[2], result.stdout)
        (out / "scores.json").rename(folder / "scores.json")  # as a run that has not ended
        result, known = evo.run("inspect", out), json.loads(evo.run("inspect", out, "--json").stdout)
        evo.check(f"{name}: inspect shows it of a run that goes on", shown in result.stdout and "not ended" in result.stdout and
                  known["searches"]["dfs"]["export"] == found, result.stdout)
        (folder / "scores.json").rename(out / "scores.json")
        (out / "found/README.md").unlink()
        result = evo.run("run", file, "--out", out, "--resume")
        evo.check(f"{name}: resumed, the same card and scores", result.returncode == 0 and (out / "found/README.md").read_text() == card and
                  (out / "scores.json").read_text() == scores, result.stderr)
        result = evo.run("merge", out / "dfs.best.json", folder / f"{name}-again")
        evo.check(f"{name}: made again, byte for byte", result.returncode == 0 and evo.digest(folder / f"{name}-again") == evo.digest(out / "found"),
                  result.stderr)
    # bf16 rounds the folded weights (2^-9 of each), f32 hardly; the compact form has the weights and scales that were searched
    evo.check("rounding and folding show", far.get(("shared", "bf16")) == 0 < far[("plain", "f32")] < far[("plain", "bf16")], far)
    costs_only = pipeline(KINDS["slots"], 8, objective={"minimize": ["hops"]}, hops={"use": "evaluator.cost", "in": ["stack"]})
    del costs_only["nodes"]["solved"]
    result = evo.run("run", evo.write(folder, "no-prompts.json", costs_only), "--out", folder / "no-prompts")
    evo.check("a search without prompts compares nothing", result.returncode == 0 and "measured on" not in result.stdout + result.stderr, result.stderr)
    result = evo.run("inspect", folder / "no-prompts")
    evo.check("inspect shows nothing of it", result.returncode == 0 and "saved against" not in result.stdout and "\n  path, " in result.stdout, result.stdout)


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
    for part in (every_kind, same_search, reuse, samples, costs, compact, rows, vocabulary, exports, refusals):
        part(pathlib.Path(name))
evo.finish()
