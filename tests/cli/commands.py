#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""commands.py - every command as a user types it: help, wrong options, what it prints and writes, exit codes."""
import json, os, pathlib, re, shutil, signal, struct, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

COMMANDS = ("run", "check", "inspect", "schema", "merge", "import", "eval", "generate", "extract-lora")
JA, MATH = evo.TINY / "mini-ja", evo.TINY / "mini-math-en"
ITEMS = ["language_test=script", "max_tokens=48"]


def said(result, code, text):
    """Exit code, and exactly this on stderr (after "evopipe" and the command's name)."""
    evo.check(f"exit {code}: {text.splitlines()[0]}", result.returncode == code and result.stderr.strip() == text, f"{result.returncode} {result.stderr}")


def usage_of(name):
    return re.search(r"usage: (.*)", evo.run(name, "--help").stdout)[1]


def refused(args, what):
    """A wrong command line: one sentence, then the usage; nothing on stdout."""
    result = evo.run(*args)
    usage = f"usage: {usage_of(args[0])}; evopipe {args[0]} --help explains the options"
    said(result, 2, f"evopipe {args[0]}: {what}\n{usage}")
    evo.check(f"nothing on stdout: {what}", result.stdout == "")


def read_safetensors(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    return {k: (v["shape"], struct.unpack(f"<{(v['data_offsets'][1] - v['data_offsets'][0]) // 4}f", data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]))
            for k, v in header.items()}


# ---------------------------------------------------------------- help and command lines

def test_help():
    result = evo.run("--help")
    evo.check("--help lists the commands", result.returncode == 0 and all(f"  evopipe {c} " in result.stdout for c in COMMANDS), result.stdout)
    evo.check("help and -h are --help", evo.run("help").stdout == result.stdout == evo.run("-h").stdout)
    evo.check("without a command: the same on stderr, exit 2", evo.run().returncode == 2 and evo.run().stderr == result.stdout)
    evo.check("--version", re.fullmatch(r"evopipe \d+\.\d+\.\d+\n", evo.run("--version").stdout))
    for name in COMMANDS:
        result = evo.run(name, "--help")
        head, usage, *options = result.stdout.split("\n\n")
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", usage)) - {"-u"}
        listed = set(re.findall(r"(?m)^  (--?[a-z-]+)", options[0]))
        evo.check(f"{name} --help", result.returncode == 0 and head.startswith(f"evopipe {name} - ") and usage.startswith(f"usage: evopipe {name}"), result.stdout)
        evo.check(f"{name} --help explains every option of its usage", named <= listed, named - listed)
        evo.check(f"{name} --help: no line is empty or cut", all(len(l.split(None, 1)) == 2 for l in options[0].splitlines()), options[0])
        evo.check(f"{name} -h, also behind other arguments", evo.run(name, "x", "-h").stdout == result.stdout)
    evo.check("the names in evopipe --help are all", set(re.findall(r"(?m)^  evopipe ([\w-]+) ", evo.run("--help").stdout)) == set(COMMANDS))


def test_command_lines():
    said(evo.run("rnu"), 2, 'evopipe: there is no command "rnu"; did you mean "run"?; evopipe --help lists them')
    said(evo.run("frobnicate"), 2, 'evopipe: there is no command "frobnicate"; evopipe --help lists them')
    said(evo.run("inspect", env={"EVO_CPU": "sparc"}), 2, "evopipe: EVO_CPU=sparc: is none of ref, avx2, avx512, amx, or not on this CPU")
    refused(["run", "p.json", "--sead", "1"], 'there is no option --sead; did you mean "--seed"?')
    refused(["run", "p.json", "-x"], "there is no option -x")
    refused(["run", "p.json", "--seed"], "--seed needs a value")
    refused(["run", "p.json", "--seed", "1.5"], "--seed 1.5: needs a whole number from 0 to 9007199254740991")
    refused(["run", "p.json", "--seed=-1"], "--seed -1: needs a whole number from 0 to 9007199254740991")
    refused(["run", "p.json", "--jobs", "0"], "--jobs 0: needs a whole number from 1 to 256")
    refused(["run", "p.json", "--threads", "many"], "--threads many: needs a whole number from 1 to 1024")
    refused(["run", "p.json", "--resume=yes"], "--resume takes no value")
    refused(["run"], "which pipeline?")
    refused(["run", "a.json", "b.json"], "one pipeline at a time")
    refused(["run", "a.json", "--resume", "--force"], "--resume goes on and --force starts over; choose one")
    refused(["check"], "which pipeline?")
    refused(["inspect", "a", "b"], "one name at a time")
    refused(["inspect", "--kernels", "a"], "--kernels takes no name")
    refused(["inspect", "--json", "--markdown"], "--markdown is for plugins, and not with --json")
    refused(["inspect", JA, "--markdown"], "--markdown is for plugins, and not with --json")
    refused(["schema", "x"], "takes no arguments")
    refused(["merge", "p.json"], "needs a pipeline and the directory to write")
    refused(["eval"], "which model?")
    refused(["eval", JA], "which evaluator? -u evaluator.exact-match")
    refused(["generate"], "which model?")
    refused(["generate", JA], "needs a prompt, or --ids")
    refused(["generate", JA, "x", "--ids", "1"], "a prompt or --ids, not both")
    refused(["generate", JA, "x", "y", "--logits", "f"], "--logits is of one prompt")


# ---------------------------------------------------------------- inspect, schema

def test_inspect():
    result = evo.run("inspect")
    names = re.findall(r"(?m)^(\w+\.[a-z-]+) ", result.stdout)
    sources = {f"{k}.{f.stem}" for k in ("merge", "model", "optimizer", "evaluator") for f in (evo.SOURCE / "plugins" / k).glob("*.c")}
    evo.check("inspect lists every plugin, sorted", result.returncode == 0 and names == sorted(names) and sources <= set(names) and not result.stderr, result.stdout + result.stderr)
    plugins = {p["name"]: p for p in json.loads(evo.run("inspect", "--json").stdout)}
    evo.check("inspect --json lists the same", list(plugins) == names)
    for name, p in plugins.items():
        one = evo.run("inspect", name)
        words = [p["summary"]] + [x for q in p["params"] + p.get("in_params", []) for x in (q["name"], q["doc"])] + p["keys"]
        evo.check(f"inspect {name} says all of it", one.returncode == 0 and all(w in one.stdout for w in words), one.stdout)
        evo.check(f"inspect {name}: no blank at the end of a line", not re.search(r"(?m) $", one.stdout))
        evo.check(f"inspect {name} --json is its part", json.loads(evo.run("inspect", name, "--json").stdout) == p)
    ties = {q["name"]: q for q in plugins["merge.ties"]["in_params"]}["density"]
    evo.check("a parameter as JSON", ties == {"name": "density", "type": "number", "required": False, "default": .2, "limits": [0, 1], "search": [.1, 1],
                                              "doc": "Share of the changes that is kept, largest first."}, ties)
    page = evo.run("inspect", "--markdown").stdout
    evo.check("--markdown: a heading a plugin, tables that are whole", all(f"\n### {n}\n" in page for n in names)
              and all(l.count("|") in (4, 7) for l in page.splitlines() if l.startswith("|")))
    said(evo.run("inspect", "merge.tis"), 2, 'evopipe: there is no plugin "merge.tis"; did you mean "merge.ties"? there are: '
         + ", ".join(n for n in names if n.startswith("merge.")))
    lines = evo.run("inspect", "--kernels").stdout.splitlines()
    kernels = json.loads(evo.run("inspect", "--kernels", "--json").stdout)
    evo.check("--kernels: the numerics line, then every slot", kernels["numerics"] == lines[0] and dict(l.split() for l in lines[1:]) == kernels["kernels"])
    evo.check("EVO_CPU=ref", set(json.loads(evo.run("inspect", "--kernels", "--json", env={"EVO_CPU": "ref"}).stdout)["kernels"].values()) == {"ref"})


def test_inspect_model(folder):
    config = json.loads((JA / "config.json").read_text())
    result = evo.run("inspect", JA)
    tensors = json.loads(evo.run("inspect", JA, "--json").stdout)
    evo.check("inspect MODEL: every tensor with its role", result.returncode == 0 and len(tensors) == 56 and all(t["name"] in result.stdout for t in tensors))
    evo.check("inspect MODEL: what it is", f"56 tensors, 6 layers, 1.362 M parameters, 2.72 MB\nhidden {config['hidden_size']}, "
              f"{config['num_attention_heads']} heads" in result.stdout, result.stdout[-300:])
    q = next(t for t in tensors if t["name"] == "model.layers.3.self_attn.q_proj.weight")
    evo.check("inspect MODEL --json: a tensor", q == {"name": q["name"], "dtype": "BF16", "shape": [128, 128], "role": "attention", "layer": 3}, q)
    evo.check("embed has no layer", next(t for t in tensors if t["role"] == "embed")["layer"] is None)
    only = folder / "only"
    only.mkdir()
    shutil.copy(JA / "model.safetensors", only)
    result = evo.run("inspect", only)
    (only / "adapter_config.json").write_text("{}")
    evo.check("an adapter is said to be one", evo.run("inspect", only).stdout.endswith("\na LoRA adapter; a node of model.lora applies it to its base\n"))
    for name in ("p.json", "r.yml"):
        said(evo.run("inspect", evo.write(folder, name, "{}")), 2, f"evopipe: {folder / name}: is neither a model nor a run; evopipe check says what is in a "
             "pipeline or a recipe")
    said(evo.run("inspect", folder / "nowhere"), 2, f"evopipe: {folder / 'nowhere'}: there is no such file or directory, and names of plugins have no /")
    evo.check("a model of no known architecture can be looked at", result.returncode == 0 and "6 layers" in result.stdout and "can be merged and saved" in result.stdout,
              result.stdout[-300:] + result.stderr)


def test_schema():
    schema = json.loads(evo.run("schema").stdout)
    nodes = {n["properties"]["use"]["const"]: n for n in schema["properties"]["nodes"]["additionalProperties"]["oneOf"]}
    evo.check("schema: a case for every plugin", set(nodes) == {p["name"] for p in json.loads(evo.run("inspect", "--json").stdout)})
    for path in schema_references(schema):
        evo.check(f"schema: {path} is there", path.split("/")[:2] == ["#", "definitions"] and path.split("/")[2] in schema["definitions"])
    for file in sorted(evo.EXAMPLES.glob("*.json")):
        pipeline = json.loads(file.read_text())
        wrong = list(complaints(schema, pipeline, schema, "")) + [c for k, v in pipeline["nodes"].items() for c in complaints(nodes[v["use"]], v, schema, k)]
        evo.check(f"schema: {file.name} fits", not wrong, wrong)
    bad = json.loads((evo.EXAMPLES / "ja-maths.json").read_text())
    for change in ({"use": "merge.linear"}, {"use": "merge.linear", "in": ["a"], "wieght": 1}, {"use": "merge.linear", "in": ["a"], "normalize": "yes"},
                   {"use": "merge.linear", "in": [{"from": "a", "weight": "1"}]}, {"use": "merge.linear", "in": [{"weight": 1}]},
                   {"use": "merge.ties", "in": ["a"]}, {"use": "merge.ties", "base": "a", "in": [{"from": "b", "density": 1.5}]},
                   {"use": "evaluator.exact-match", "in": ["a"]}, {"use": "optimizer.cma-es", "trials": 0}):
        evo.check(f"schema: refuses {json.dumps(change)}", list(complaints(nodes[change["use"]], change, schema, "")))
    evo.check("schema: refuses a key beside nodes", list(complaints(schema, {**bad, "nods": {}}, schema, "")))


def schema_references(s):
    if isinstance(s, dict):
        for k, v in s.items():
            if k == "$ref":
                yield v
            else:
                yield from schema_references(v)
    elif isinstance(s, list):
        for v in s:
            yield from schema_references(v)


TYPES = {"string": str, "array": list, "object": dict, "boolean": bool, "number": (int, float), "integer": int}


def is_type(value, name):
    return isinstance(value, TYPES[name]) and (name in ("boolean",) or not isinstance(value, bool))


def complaints(schema, value, root, at):
    """The part of JSON Schema that ours uses; oneOf of the nodes is chosen by the caller."""
    known = {"$schema", "$ref", "title", "description", "definitions", "type", "const", "enum", "anyOf", "oneOf", "not", "required", "properties",
             "additionalProperties", "items", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "minLength", "minProperties"}
    if set(schema) - known:
        yield f"{at}: unknown keywords {set(schema) - known}"
    if "$ref" in schema:
        yield from complaints(root["definitions"][schema["$ref"].split("/")[2]], value, root, at)
    if "type" in schema and not any(is_type(value, t) for t in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"])):
        yield f"{at}: no {schema['type']}"
        return
    if "const" in schema and value != schema["const"] or "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not allowed"
    if "anyOf" in schema and all(list(complaints(s, value, root, at)) for s in schema["anyOf"]):
        yield f"{at}: fits none of anyOf"
    if "not" in schema and not list(complaints(schema["not"], value, root, at)):
        yield f"{at}: fits what it must not"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value) or value <= schema.get("exclusiveMinimum", value - 1):
            yield f"{at}: {value} is out of range"
    if isinstance(value, (list, str, dict)) and len(value) < schema.get({list: "minItems", str: "minLength", dict: "minProperties"}[type(value)], 0):
        yield f"{at}: too short"
    if isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{at}: too long"
        for i, v in enumerate(value):
            yield from complaints(schema.get("items", {}), v, root, f"{at}/{i}")
    if isinstance(value, dict):
        yield from (f"{at}: needs {k}" for k in schema.get("required", []) if k not in value)
        for k, v in value.items():
            rest = schema.get("additionalProperties", {})
            if k in schema.get("properties", {}):
                yield from complaints(schema["properties"][k], v, root, f"{at}/{k}")
            elif rest is False:
                yield f"{at}: does not know {k}"
            elif "oneOf" not in json.dumps(rest):
                yield from complaints(rest, v, root, f"{at}/{k}")


# ---------------------------------------------------------------- eval, generate

def test_eval(folder):
    for model, file, template, expected, low, high in ((JA, "ja-test.jsonl", "ja-mini", 30.7, 25.7, 36.1), (MATH, "en-test.jsonl", "en-mini", 95.7, 92.7, 97.5),
                                                       (MATH, "ja-test.jsonl", "ja-mini", 18.3, 14.4, 23.1)):
        args = ["eval", model, "-u", "evaluator.exact-match", f"data={evo.EXAMPLES / file}", f"template={template}", *ITEMS] + ["language=ja"] * (template == "ja-mini")
        result = evo.run(*args)
        evo.check(f"{model.name} on {file}: as its README says", result.stdout == f"evaluator.exact-match: {expected} %  (95 %: {low} … {high})  300 items\n",
                  result.stdout + result.stderr)
        evo.check(f"{model.name}'s README says so", f"{expected} % ({low}–{high})" in (model / "README.md").read_text())
    samples = folder / "samples.jsonl"
    args = ["eval", JA, "--use=evaluator.exact-match", f"data={evo.EXAMPLES / 'ja-test.jsonl'}", "template=ja-mini", "language=ja", *ITEMS, "limit=40"]
    result = evo.run(*args, "--json", "--samples", samples, "--threads", "1")
    numbers = json.loads(result.stdout)
    rows = [json.loads(l) for l in samples.read_text().splitlines()]
    evo.check("eval --json", list(numbers) == ["evaluator", "score", "low", "high", "n"] and numbers["n"] == 40 and numbers["low"] < numbers["score"] < numbers["high"], numbers)
    evo.check("--samples: one line an item, whose mean is the score", [r["item"] for r in rows] == list(range(40)) and abs(sum(r["score"] for r in rows) / 40 - numbers["score"]) < 1e-12
              and all(isinstance(r["answer"], str) for r in rows), rows[:2])
    evo.check("eval: the same with more threads", json.loads(evo.run(*args, "--json", "--threads", "3").stdout) == numbers)
    result = evo.run("eval", JA, "-u", "evaluator.perplexity", f"data={evo.EXAMPLES / 'ja-ppl.txt'}", "format=lines", "--json")
    numbers = json.loads(result.stdout)
    evo.check("perplexity: with bits per byte", set(numbers) == {"evaluator", "score", "low", "high", "n", "bits_per_byte"} and 5 < numbers["score"] < 7, numbers)
    said(evo.run("eval", JA, "-u", "exact-match"), 2, 'evopipe: command line:1: /nodes/eval/use: there is no plugin "exact-match"; did you mean "evaluator.exact-match"? a plugin is KIND.NAME, of '
         'kind merge, model, optimizer or evaluator')
    said(evo.run("eval", JA, "-u", "evaluator.exact-match"), 2, 'evopipe: command line:1: /nodes/eval: needs "data", the file of its items')
    said(evo.run("eval", JA, "-u", "evaluator.exact-match", "data"), 2, 'evopipe: "data": needs the form PARAM=VALUE')
    said(evo.run("eval", JA, "-u", "evaluator.exact-match", "data=x.jsonl", "beans=3"), 2,
         'evopipe: command line:1: /nodes/eval/beans: evaluator.exact-match has no parameter "beans"; did you mean "beams"?')
    result = evo.run("eval", JA, "-u", "evaluator.exact-match", "data=nowhere.jsonl", "template=ja-mini", cwd=folder)
    evo.check("eval: a file that is not there: exit 4", result.returncode == 4 and str(folder / "nowhere.jsonl") in result.stderr, result.stderr)


QUESTION = "問題：健は皿を17枚、愛は17枚持っています。みんなで何枚になりますか。\n答え："


def test_generate(folder):
    plain = evo.run("generate", JA, QUESTION)
    answer = json.loads(evo.run("generate", JA, QUESTION, "--json").stdout)
    evo.check("generate: the answer and nothing else", plain.returncode == 0 and plain.stdout == answer["answer"]["text"] + "\n" and not plain.stderr, plain.stdout + plain.stderr)
    evo.check("generate --json: its shape", list(answer) == ["prompt", "answer", "stop"] and list(answer["prompt"]) == ["ids", "text"]
              and list(answer["answer"]) == ["ids", "text", "logprobs"] and answer["stop"] == "eos" and answer["prompt"]["text"] == QUESTION, answer)
    evo.check("BOS stands before the prompt, once", answer["prompt"]["ids"][0] == 1 and answer["prompt"]["ids"].count(1) == 1)
    evo.check("a log-probability for every token", len(answer["answer"]["ids"]) == len(answer["answer"]["logprobs"]) and all(p <= 0 for p in answer["answer"]["logprobs"]))
    ids = ",".join(map(str, answer["prompt"]["ids"]))
    evo.check("--ids: the same answer", json.loads(evo.run("generate", JA, "--ids", ids, "--json").stdout) == answer)
    two = evo.run("generate", JA, QUESTION, "昔々", "--json", "--max-tokens", "5").stdout.splitlines()
    evo.check("several prompts: one line each", len(two) == 2 and json.loads(two[1])["stop"] == "length" and len(json.loads(two[1])["answer"]["ids"]) == 5)
    cut = json.loads(evo.run("generate", JA, QUESTION, "--json", "--stop", "です", "--stop", "zzz").stdout)
    evo.check("--stop ends before the text", cut["stop"] == "stop" and cut["answer"]["text"] == answer["answer"]["text"].split("です")[0], cut)
    long = json.loads(evo.run("generate", JA, QUESTION, "--json", "--ignore-eos", "--max-tokens", "60").stdout)
    evo.check("--ignore-eos goes on", long["stop"] == "length" and len(long["answer"]["ids"]) == 60 and long["answer"]["ids"][:len(answer["answer"]["ids"])] == answer["answer"]["ids"])
    beams = json.loads(evo.run("generate", JA, QUESTION, "--json", "--beams", "4").stdout)
    evo.check("--beams: at least as likely", sum(beams["answer"]["logprobs"]) >= sum(answer["answer"]["logprobs"]) - 1e-4, beams)
    drawn = [evo.run("generate", JA, QUESTION, "--temperature", "1.5", "--seed", s).stdout for s in (1, 2, 3, 1)]
    evo.check("--temperature: a seed repeats, others differ", drawn[0] == drawn[3] and len(set(drawn)) > 1, drawn)
    evo.check("--top-k 1 is greedy", evo.run("generate", JA, QUESTION, "--temperature", "1.5", "--top-k", "1").stdout == plain.stdout)
    evo.check("--max-tokens 0 says nothing", evo.run("generate", JA, QUESTION, "--max-tokens", "0").stdout == "\n")
    evo.check("-- ends the options", evo.run("generate", "--max-tokens", "3", "--", JA, "--json").stdout.count("\n") >= 1)
    for args, text in ((["--temperature", "warm"], "--temperature warm: needs a number from 0 to 100"), (["--top-p", "0"], "--top-p 0: needs a number from 1e-06 to 1"),
                       (["--beams", "2", "--temperature", "1"], "beams: 2 beams are searched without sampling; temperature must be 0")):
        said(evo.run("generate", JA, "x", *args), 2, "evopipe: " + text)
    said(evo.run("generate", JA, "--ids", "1,x"), 2, 'evopipe: --ids: "x" is no token id of this model (0 … 1407)')
    said(evo.run("generate", JA, "--ids", "1408"), 2, 'evopipe: --ids: "1408" is no token id of this model (0 … 1407)')
    test_logits(folder, answer)
    bare = folder / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(JA / name, bare)
    said(evo.run("generate", bare, "x"), 4, "evopipe: the model has no tokenizer; give token ids with --ids")
    answer = json.loads(evo.run("generate", bare, "--ids", ids, "--json").stdout)
    evo.check("without a tokenizer: ids, and texts are null", answer["answer"]["text"] is None and answer["prompt"]["text"] is None and answer["answer"]["ids"])
    evo.check("without a tokenizer, plainly: ids", evo.run("generate", bare, "--ids", ids).stdout.strip() == ",".join(map(str, answer["answer"]["ids"])))


def test_logits(folder, answer):
    out = folder / "logits.safetensors"
    result = evo.run("generate", JA, QUESTION, "--logits", out)
    tensors = read_safetensors(out)
    n = len(answer["prompt"]["ids"])
    evo.check("--logits: shapes", result.returncode == 0 and tensors["logits"][0] == [n, 1408] and tensors["hidden"][0] == [7, n, 128], result.stderr)
    last = tensors["logits"][1][-1408:]
    evo.check("--logits: the last row's largest is the first token of the answer", last.index(max(last)) == answer["answer"]["ids"][0])


# ---------------------------------------------------------------- merge

def blend(**more):
    return evo.pipeline({**evo.sources(), "blend": {"use": "merge.dare-ties", "base": "base", "in": ["ja", "math"], **more}})


def test_merge(folder):
    file = evo.write(folder, "blend.json", blend())
    result = evo.run("merge", file, folder / "plain")
    evo.check("merge", result.returncode == 0 and result.stdout == f"{folder / 'plain'}: 2.72 MB, 56 tensors\n" and not result.stderr, result.stdout + result.stderr)
    plain = evo.digest(folder / "plain")
    told = json.loads(evo.run("merge", file, folder / "told", "--json").stdout)
    evo.check("merge --json", told["path"] == str(folder / "told") and told["tensors"] == 56 and 2.7e6 < told["bytes"] < 2.8e6
              and set(told["seconds"]) == {"read_compute_write", "sync"} and told["seconds"]["read_compute_write"] > 0 and told["seconds"]["sync"] >= 0, told)
    again = evo.run("merge", folder / "plain/evopipe.json", folder / "again")
    evo.check("its evopipe.json makes the same bytes", again.returncode == 0 and evo.digest(folder / "again") == plain, again.stderr)
    evo.check("--seed of the pipeline is the same bytes, another is not", evo.run("merge", file, folder / "s1", "--seed", "1").returncode == 0
              and evo.digest(folder / "s1") == plain and evo.run("merge", file, folder / "s2", "--seed", "2").returncode == 0 and evo.digest(folder / "s2") != plain)
    evo.check("--set", evo.run("merge", file, folder / "set", "--set", "blend.ja.density=1", "--set", "blend.normalize=true").returncode == 0
              and json.loads((folder / "set/evopipe.json").read_text())["nodes"]["blend"]["normalize"] is True and evo.digest(folder / "set") != plain)
    for dtype, name in (("f32", "float32"), ("float16", "float16"), ("bf16", "bfloat16")):
        out = folder / f"d-{dtype}"
        result = evo.run("merge", file, out, "--dtype", dtype)
        config = json.loads((out / "config.json").read_text())
        kinds = {t["dtype"] for t in json.loads(evo.run("inspect", out, "--json").stdout)}
        evo.check(f"--dtype {dtype}", result.returncode == 0 and config.get("torch_dtype", config.get("dtype")) == name and len(kinds) == 1, result.stderr)
        evo.check(f"--dtype {dtype}: its evopipe.json makes the same bytes", evo.run("merge", out / "evopipe.json", folder / f"e-{dtype}").returncode == 0
                  and evo.digest(folder / f"e-{dtype}") == evo.digest(out))
    evo.check("bf16 is what it was", evo.digest(folder / "d-bf16") == plain)
    result = evo.run("merge", file, folder / "shards", "--shard-size", "800KB")
    parts = sorted(p.name for p in (folder / "shards").glob("*.safetensors"))
    evo.check("--shard-size", result.returncode == 0 and len(parts) == 4 and parts[0] == "model-00001-of-00004.safetensors"
              and (folder / "shards/model.safetensors.index.json").exists(), parts)
    evo.check("shards: it says the same", evo.run("generate", folder / "shards", QUESTION).stdout == evo.run("generate", folder / "plain", QUESTION).stdout)
    said(evo.run("merge", file, folder / "x", "--dtype", "int8"), 2, "evopipe: --dtype int8: is none of bf16, f16, f32, f64, f8_e4m3, f8_e5m2")
    for size in ("5XB", "0", "-1GB", "nan", "0x10"):
        said(evo.run("merge", file, folder / "x", "--shard-size", size), 2, f"evopipe: --shard-size {size}: needs a size such as 5GB or 300MB")
    said(evo.run("merge", file, folder / "plain"), 2, f"evopipe: {folder / 'plain'}: exists already; choose another place, or --force to replace it")
    evo.check("nothing is left of what was refused", not (folder / "x").exists())


def test_results(folder):
    """Which node is the result."""
    two = {**evo.sources(), "one": {"use": "merge.linear", "in": ["ja", "math"]}, "two": {"use": "merge.linear", "in": ["ja", "base"]}}
    file = evo.write(folder, "two.json", evo.pipeline(two))
    said(evo.run("merge", file, folder / "x"), 2, 'evopipe: two: "one" and "two" could be the result; name one in "save"')
    file = evo.write(folder, "saved.json", evo.pipeline(two, save={"two": "elsewhere"}))
    evo.check("the node that save names, in the place that is told", evo.run("merge", file, folder / "saved").returncode == 0
              and "two" in json.loads((folder / "saved/evopipe.json").read_text())["nodes"] and not (folder / "elsewhere").exists())
    search = {**evo.sources(), "m": {"use": "merge.linear", "in": [{"from": "ja", "weight": {"evolve": [0, 1]}}, "math"]}, "e": evo.exact_match(["m"]),
              "s": {"use": "optimizer.random", "maximize": ["e"], "trials": 2}}
    file = evo.write(folder, "search.json", evo.pipeline(search))
    said(evo.run("merge", file, folder / "x"), 2, 'evopipe: search: "s" is a search; use evopipe run')


# ---------------------------------------------------------------- check, run

def models(*names):
    return {n: evo.sources()[n] for n in names}


def search(folder, name, trials=12, **more):
    nodes = {**models("ja", "math"), "blend": {"use": "merge.linear", "in": [{"from": "ja", "weight": {"evolve": [0, 1]}}, {"from": "math", "weight": {"evolve": [0, 1]}}]},
             "solved": evo.exact_match(["blend"], limit=20), "best": {"use": "optimizer.cma-es", "maximize": ["solved"], "trials": trials, **more},
             "exam": evo.exact_match(["best", "ja"], file="ja-test.jsonl", limit=20)}
    return evo.write(folder, name, evo.pipeline(nodes, title="A small search", save={"best": "kept"}))


def test_check(folder):
    file = search(folder, "check.json")
    result = evo.run("check", file)
    for words in ("A small search\n", "search best (optimizer.cma-es): 2 dimensions, 12 trials, searches blend", "  maximize solved (weight 1)", "blend.ja.weight",
                  "exam exam (evaluator.exact-match): best ja", "anonymous memory", "disk               2.72 MB for saved models"):
        evo.check(f"check says: {words.strip()}", words in result.stdout, result.stdout + result.stderr)
    evo.check("check: its columns are columns", len({l.index(" tensors") for l in result.stdout.splitlines() if " tensors," in l}) == 1, result.stdout)
    evo.check("run --dry-run says the same and writes nothing", evo.run("run", file, "--dry-run", cwd=folder).stdout == result.stdout and not (folder / "check.run").exists())
    evo.check("check --set", "40 trials" in evo.run("check", file, "--set", "best.trials=40").stdout)
    evo.check("check --jobs bounds more", "(3 jobs of 2 threads)" in evo.run("check", file, "--jobs", "3", "--threads", "2").stdout)
    said(evo.run("check", file, "--set", "best.tirals=40"), 2, 'evopipe: --set best.tirals: optimizer.cma-es has no parameter "tirals"; did you mean "trials"?')
    unread = evo.write(folder, "unread.json", evo.pipeline({**evo.sources(), "a": {"use": "merge.linear", "in": ["ja"]}}))
    result = evo.run("check", unread)
    evo.check("check warns of nodes nobody reads", result.returncode == 0 and result.stderr.count("evopipe: warning: ") == 3, result.stderr)


def test_run(folder):
    file = search(folder, "small.json")
    result = evo.run("run", file, cwd=folder)
    out = folder / "small.run"
    evo.check("run: ./NAME.run, exit 0", result.returncode == 0 and (out / "scores.json").exists(), result.stderr)
    evo.check("run: one line per event where there is no terminal", "best: 12 trials, best" in result.stderr and "\r" not in result.stderr and "\033" not in result.stderr)
    evo.check("run: a table, and what to do next", "95 % intervals" in result.stdout and f"evopipe generate {out / 'kept'} PROMPT" in result.stdout, result.stdout)
    files = sorted(p.name for p in out.iterdir())
    evo.check("run: its files", files == ["best.best.json", "best.best.yml", "journal.db", "kept", "lock", "pipeline.json", "scores.json"], files)
    scores = json.loads((out / "scores.json").read_text())
    best = scores["searches"]["best"]
    evo.check("scores.json: the search", best["trials"] == 12 and set(best["best"]["genes"]) == {"blend.ja.weight", "blend.math.weight"}, best)
    evo.check("scores.json: the exam", list(scores["exam"]["exam"]["models"]) == ["best", "ja"] and len(scores["exam"]["exam"]["models"]["ja"]["items"]) == 20)
    evo.check("run --json: scores.json", json.loads(evo.run("run", file, "--json", "--out", folder / "json").stdout)["searches"] == scores["searches"])
    quiet = evo.run("run", file, "--quiet", "--out", folder / "quiet")
    evo.check("run --quiet: the table only", quiet.stderr == "" and evo.table_of(quiet) == evo.table_of(result), quiet.stderr)
    said(evo.run("run", file, cwd=folder), 2, f"evopipe: {out}: exists; --resume goes on with it, --force starts over")
    evo.check("run --force starts over", evo.run("run", file, "--force", cwd=folder).returncode == 0)
    evo.check("run --seed: another search", json.loads(evo.run("run", file, "--json", "--seed", "9", "--out", folder / "seed").stdout)["searches"] != scores["searches"])
    made = evo.run("merge", out / "best.best.json", folder / "made")
    evo.check("best.best.json makes the model again", made.returncode == 0 and evo.digest(folder / "made") == evo.digest(out / "kept"), made.stderr)
    (folder / "other").mkdir()
    (folder / "other/thesis.txt").write_text("all of it")
    said(evo.run("run", file, "--out", folder / "other", "--force"), 2,
         f"evopipe: {folder / 'other'}: exists and is no run directory; --force would lose it; choose another --out")
    evo.check("what was in it still is", (folder / "other/thesis.txt").read_text() == "all of it")
    test_inspect_run(out, best, result)
    mixed = evo.write(folder, "mixed.json", evo.pipeline({**models("ja", "math"), "mix": {"use": "merge.linear", "in": ["ja", "math"]}}, save={"mix": "mixed"}))
    evo.run("run", mixed, "--out", folder / "mixed-run")
    shown = evo.run("inspect", folder / "mixed-run").stdout
    evo.check("inspect RUN: what was saved without a search", shown == f"{folder / 'mixed-run'}: ended\n\nmix: not searched\n  {folder / 'mixed-run/mixed'}\n", shown)


def test_inspect_run(out, best, result):
    shown = evo.run("inspect", out)
    evo.check("inspect RUN: best, genes, path, exam", shown.returncode == 0 and f"{out}: ended" in shown.stdout and "best: 12 trials, best" in shown.stdout
              and all(f"{g}" in shown.stdout for g in best["best"]["genes"]) and str(out / "kept") in shown.stdout and "exam: 95 % intervals" in shown.stdout, shown.stdout + shown.stderr)
    evo.check("inspect RUN --json is scores.json", json.loads(evo.run("inspect", out, "--json").stdout) == json.loads((out / "scores.json").read_text()))
    row = re.search(r"(?m)^  best +(?:evolved) +([\d.]+) % +\(([\d.]+) … ([\d.]+)\)", result.stdout)
    evo.check("inspect RUN: the numbers of the table", row and re.search(rf"(?m)^  best +{row[1]} % +\({row[2]} … {row[3]}\)", shown.stdout), shown.stdout)
    (out / "scores.json").unlink()
    shown = evo.run("inspect", out)
    evo.check("inspect RUN: one that has not ended", "not ended" in shown.stdout and "best: 12 trials" in shown.stdout and "exam" not in shown.stdout, shown.stdout)
    known = json.loads(evo.run("inspect", out, "--json").stdout)["searches"]["best"]
    evo.check("inspect RUN --json: what is known", known == best, known)


# ---------------------------------------------------------------- signals, locks

def start(*args, **more):
    return subprocess.Popen([str(evo.PROGRAM), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def wait_for(process, path, text):
    """Until the stderr file holds the text."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None and text not in path.read_text():
        time.sleep(0.01)


def test_signals(folder):
    file = search(folder, "long run.json", trials=200)
    whole = evo.run("run", file, "--out", folder / "whole")
    log = folder / "log"
    with open(log, "w") as stderr:
        process = subprocess.Popen([str(evo.PROGRAM), "run", "long run.json", "--out", "stopped", "--set", "best.trials=200"], stdout=subprocess.PIPE, stderr=stderr,
                                   text=True, cwd=folder)
        wait_for(process, log, "trial 0")
        test_lock(folder, file)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    last = log.read_text().splitlines()[-1]
    evo.check("Ctrl-C: exit 5, nothing on stdout", process.returncode == 5 and out == "", f"{process.returncode} {out}")
    evo.check("Ctrl-C: the sentence that resumes", last == "evopipe: stopped; go on with: evopipe run 'long run.json' --set best.trials=200 --out stopped --resume", last)
    evo.check("stopped: no scores yet", not (folder / "stopped/scores.json").exists())
    resumed = subprocess.run(["sh", "-c", last.split("go on with: ")[1].replace("evopipe", str(evo.PROGRAM), 1)], capture_output=True, text=True, cwd=folder)
    evo.check("that command finishes the run", resumed.returncode == 0 and (folder / "stopped/scores.json").exists(), resumed.stderr)
    evo.check("with the result of the undisturbed one", (folder / "stopped/scores.json").read_text() == (folder / "whole/scores.json").read_text() and whole.returncode == 0)
    with open(log, "w") as stderr:
        process = subprocess.Popen([str(evo.PROGRAM), "run", str(file), "--out", str(folder / "twice"), "--jobs", "2"], stdout=subprocess.PIPE, stderr=stderr, text=True)
        wait_for(process, log, "trial 0")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        process.communicate(timeout=60)
    evo.check("a second Ctrl-C ends at once", process.returncode == 5 and time.monotonic() - began < 2, process.returncode)
    evo.check("and the run goes on all the same", evo.run("run", file, "--out", folder / "twice", "--resume", "--jobs", "2").returncode == 0
              and (folder / "twice/scores.json").read_text() == (folder / "whole/scores.json").read_text())


def test_lock(folder, file):
    """While a run is going on: it can be looked at, and nobody else may run there."""
    result = evo.run("inspect", folder / "stopped")
    evo.check("inspect RUN: one that is running", result.returncode == 0 and "not ended" in result.stdout and "in trial" in result.stdout, result.stdout + result.stderr)
    for option in ("--resume", "--force"):
        said(evo.run("run", file, "--out", folder / "stopped", option, "--set", "best.trials=200"), 2,
             f"evopipe: {folder / 'stopped'}: another evopipe is running there; wait for it, or choose another --out")


# ---------------------------------------------------------------- broken files, through the program

def copy_model(folder, name, source=JA):
    out = folder / name
    shutil.copytree(source, out)
    return out


def change_config(**changes):
    def do(model):
        config = json.loads((model / "config.json").read_text())
        for k, v in changes.items():
            if v is None:
                config.pop(k)
            else:
                config[k] = v
        (model / "config.json").write_text(json.dumps(config))
    return do


def put(name, text):
    return lambda model: (model / name).write_bytes(text if isinstance(text, bytes) else text.encode())


BROKEN_MODELS = {  # what is done, exit code, what the sentence says
    "config.json is no JSON": (put("config.json", "{"), 4, "config.json:1:"),
    "config.json is a list": (put("config.json", "[]"), 4, "config.json"),
    "config.json says another type": (change_config(model_type="gpt-17"), 2, "can be merged and saved"),
    "config.json without sizes": (change_config(hidden_size=None), 4, 'config.json: has no "hidden_size"'),
    "config.json with other heads": (change_config(num_attention_heads=5), 4, "num_attention_heads 5"),
    "config.json with fewer layers": (change_config(num_hidden_layers=3), 4, "config.json says there are 3 layers"),
    "config.json with another vocabulary": (change_config(vocab_size=1409), 4, "config.json says it is [1409, 128]"),
    "config.json with another activation": (change_config(hidden_act="gelu"), 4, '/hidden_act: "gelu"'),
    "tokenizer.json is no JSON": (put("tokenizer.json", "{'a': 1}"), 4, "tokenizer.json:1:"),
    "tokenizer.json is empty": (put("tokenizer.json", ""), 4, "tokenizer.json"),
    "tokenizer.json of another kind": (put("tokenizer.json", '{"model": {"type": "Telepathy"}}'), 4, "Telepathy"),
    "tokenizer.model is broken": (lambda m: ((m / "tokenizer.json").unlink(), (m / "tokenizer.model").write_bytes(b"\xff" * 100)), 4, "tokenizer.model"),
    "a shard is missing": (lambda m: ((m / "model.safetensors").unlink(), (m / "model.safetensors.index.json").write_text(
        '{"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}')), 4, "model-00001-of-00002.safetensors"),
    "model.safetensors is cut": (lambda m: os.truncate(m / "model.safetensors", 100000), 4, "model.safetensors"),
    "model.safetensors is empty": (lambda m: os.truncate(m / "model.safetensors", 0), 4, "model.safetensors"),
    "no weights at all": (lambda m: (m / "model.safetensors").unlink(), 4, "safetensors"),
}
ROW = '{"question": "a", "answer": "1"}\n'
BROKEN_DATA = {
    "is empty": ("d.jsonl", "", 4, "d.jsonl"), "is no JSON": ("d.jsonl", ROW + "{\n", 4, "d.jsonl:2"), "has a row that is no object": ("d.jsonl", ROW + "[1]\n", 4, "d.jsonl:2"),
    "has no such field": ("d.jsonl", '{"frage": "a", "answer": "1"}\n', 2, "question"), "is not UTF-8": ("d.jsonl", b'{"question": "\xff", "answer": "1"}\n', 4, "d.jsonl:1"),
    "has no known ending": ("d.parquet", ROW, 4, "d.parquet"),
}


def test_broken(folder):
    seen = {}
    for what, (damage, codes, words) in BROKEN_MODELS.items():
        model = copy_model(folder, "broken")
        damage(model)
        result = evo.run("generate", model, "x", "--max-tokens", "1", "--logits", folder / "l")
        codes = codes if isinstance(codes, tuple) else (codes,)
        evo.check(f"{what}: exit {codes}, one line that says so", result.returncode in codes and result.stderr.count("\n") == 1 and words in result.stderr,
                  f"{result.returncode} {result.stderr}")
        evo.check(f"{what}: nothing is written or said", not (folder / "l").exists() and result.stdout == "")
        evo.check(f"{what}: a sentence of its own", result.stderr not in seen, seen.get(result.stderr))
        seen[result.stderr] = what
        shutil.rmtree(model)
    for what, (name, text, codes, words) in BROKEN_DATA.items():
        data, out = folder / name, folder / "s.jsonl"
        data.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = evo.run("eval", JA, "-u", "evaluator.exact-match", f"data={data}", "template=ja-mini", "--samples", out)
        codes = codes if isinstance(codes, tuple) else (codes,)
        evo.check(f"data {what}: exit {codes}, one line that says so", result.returncode in codes and result.stderr.count("\n") == 1 and words in result.stderr,
                  f"{result.returncode} {result.stderr}")
        evo.check(f"data {what}: nothing is written or said", not out.exists() and result.stdout == "")


def test_exit_codes(folder):
    """The table of exit codes; 0, 2, 4 and 5 are in all that is above."""
    said(evo.run("check", folder / "none.json"), 2, f"evopipe: {folder / 'none.json'}: cannot be read: No such file or directory")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "odd.so").write_bytes(b"\x7fELF, but no more")
    file = evo.write(folder, "odd.json", evo.pipeline({**evo.sources(), "m": {"use": "merge.odd", "in": ["ja", "math"]}}))
    env = {"EVOPIPE_PLUGIN_PATH": f"{plugins}:{os.environ['EVOPIPE_PLUGIN_PATH']}"}
    result = evo.run("check", file, env=env)
    evo.check("3: a plugin that the pipeline names cannot load", result.returncode == 3 and "odd.so" in result.stderr, f"{result.returncode} {result.stderr}")
    result = evo.run("inspect", env=env)
    evo.check("and one that nothing names is a warning", result.returncode == 0 and result.stderr.startswith("evopipe: warning: odd.so: "), result.stderr)
    file = evo.write(folder, "gone.json", evo.pipeline({"a": {"use": "model.llm", "path": "nowhere"}, "m": {"use": "merge.linear", "in": ["a"]}}))
    result = evo.run("check", file)
    evo.check("4: a source that is not there", result.returncode == 4 and str(folder / "nowhere") in result.stderr and result.stderr.count("\n") == 1, result.stderr)


with evo.folder() as name:
    folder = pathlib.Path(name)
    for test in (test_help, test_command_lines, test_inspect, test_schema):
        test()
    for test in (test_inspect_model, test_eval, test_generate, test_merge, test_results, test_check, test_run, test_signals, test_broken, test_exit_codes):
        place = folder / test.__name__
        place.mkdir()
        test(place)
evo.finish()
