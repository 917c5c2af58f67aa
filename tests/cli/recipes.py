#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recipes.py - mergekit recipes: the pipelines they become, the numbers they give, and what is said of those that are wrong."""
import array, json, os, pathlib, shutil, struct, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

DATA = evo.SOURCE / "tests/data/recipes"
# Largest difference over the largest magnitude of a tensor: those of the cases' authors, a few float32 roundings.
GOLDEN = {"linear-filter": 5e-7, "linear-gradient": 1e-6, "linear-toplevel": 5e-7, "slerp-gradient": 1e-6, "ties-mixed": 5e-7, "ta-gradient": 5e-7,
          "modules-ta": 5e-7}
# The final norm of slices-last-more: mergekit drops the sources that the last slice has more than the first; here all of them are merged.
SLICES = {"passthrough-frank": 0, "passthrough-scale": 5e-7, "passthrough-single": 0, "slices-linear": 5e-7, "slices-ties": 5e-7, "slices-last-more": 5e-7}
CONFIG = {"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 48, "vocab_size": 256}


def read(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {k: (v["shape"], data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]) for k, v in header.items()}


def write_model(folder, tensors, **config):
    folder.mkdir(parents=True)
    header, at = {}, 0
    for name, (shape, raw) in tensors.items():
        header[name] = dict(dtype="F32", shape=shape, data_offsets=[at, at + len(raw)])
        at += len(raw)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(raw for _, raw in tensors.values()))
    (folder / "config.json").write_text(json.dumps(CONFIG | config))


ADDED = ["<|im_start|>", "<|im_end|>", "<tool>", "</tool>", "<think>", "</think>", "<pad_a>", "<pad_b>"]


def write_tokenizer(folder, n):
    """256 tokens as the golden models have them (<unk>, <s>, </s>, then pieces), and behind them some of those that ft-big-vocab has added."""
    texts = ["<unk>", "<s>", "</s>"] + [f"piece {i}" for i in range(3, 256)] + ADDED
    added = [dict(id=i, content=texts[i], single_word=False, lstrip=False, rstrip=False, normalized=False, special=i < 258) for i in range(n) if not 3 <= i < 256]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added, "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(texts[:256])}, "merges": []}}))


def head(rows, seed):
    return [rows, 48], array.array("f", [((i * 37 + seed * 11) % 101 - 50) / 1000 for i in range(rows * 48)]).tobytes()


def make_models(folder):
    """The four models of the golden data, with an output matrix of our own; one with more tokens; one with one layer."""
    golden = read(DATA / "golden.safetensors")
    for seed, model in enumerate(("base", "ft-a", "ft-b", "ft-c")):
        tensors = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(model + "/")}
        write_model(folder / "models" / model, tensors | {"lm_head.weight": head(256, seed)})
        write_tokenizer(folder / "models" / model, 256)
    write_model(folder / "models/ft-big-vocab", tensors | {"lm_head.weight": head(264, 5)}, vocab_size=264)
    write_tokenizer(folder / "models/ft-big-vocab", 264)
    one = {k: v for k, v in tensors.items() if ".layers." not in k or ".layers.0." in k}
    for model in ("one-a", "one-b"):
        write_model(folder / "models" / model, one, num_hidden_layers=1)
    return golden


def run(folder, command, text, *args, name="r.yml", env=None):
    (folder / name).write_text(text)
    return evo.run(command, name, *args, cwd=folder, env=env)


def recipe(method, models, *more, base=None, **top):
    """A recipe in YAML's flow style: models {name: parameters}."""
    lines = [f"merge_method: {method}", "models:"] + [f"  - {{model: models/{m}, parameters: {p}}}" if p else f"  - model: models/{m}" for m, p in models.items()]
    return "\n".join(lines + ([f"base_model: models/{base}"] if base else []) + [f"{k}: {v}" for k, v in top.items()] + list(more)) + "\n"


def imported(folder, text):
    result = run(folder, "import", text)
    return json.loads(result.stdout)["nodes"]["merged"] if result.returncode == 0 else result.stderr


# ---------------------------------------------------------------- numbers

def worst(expected, actual):
    """Largest difference over largest magnitude."""
    a, b = array.array("f", expected), array.array("f", actual)
    return max(abs(x - y) for x, y in zip(a, b)) / (max(abs(x) for x in a) or 1)


def test_golden(folder, golden):
    for case, tolerance in GOLDEN.items():
        text = (DATA / f"{case}.yml").read_text()
        result = run(folder, "merge", text, "out", "--dtype", "f32", "--force", name=f"{case}.yml")
        if not evo.check(f"{case}: merges", result.returncode == 0, result.stderr):
            continue
        ours = read(folder / "out/model.safetensors")
        theirs = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(case + "/")}
        far = {k: d for k, v in theirs.items() if (d := worst(v[1], ours[k][1])) > tolerance}
        evo.check(f"{case}: {len(theirs)} tensors as mergekit has them", len(theirs) >= 5 and not far, far)


def make_slices(folder):
    """Models whose layers all have the same tensors: a norm, a matrix, and one that only names are wanted of."""
    golden = read(DATA / "slices/golden.safetensors")
    for model in ("base", "ft-a", "ft-b", "ft-c"):
        tensors = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(model + "/")}
        write_model(folder / "models" / model, tensors | {f"model.layers.{i}.mlp.down_proj.weight": head(2, i) for i in range(4)} |
                    {"model.embed_tokens.weight": head(256, len(model)), "lm_head.weight": head(256, ord(model[-1]))})
    return golden


def test_slices(folder):
    """Layers in other places than they had, merged apart and stacked."""
    golden = make_slices(folder)
    for file in sorted((DATA / "slices").glob("*.yml")):
        case, text = file.stem, file.read_text()
        result = run(folder, "merge", text, case, name=file.name)
        if not evo.check(f"{case}: merges", result.returncode == 0, result.stderr):
            continue
        imported = run(folder, "import", text, name=file.name)
        evo.write(folder, "p.json", imported.stdout)
        again = evo.run("merge", "p.json", f"{case}-again", cwd=folder)
        evo.check(f"{case}: import, then merge: the same bytes", again.returncode == 0 and evo.digest(folder / case) == evo.digest(folder / f"{case}-again"),
                  imported.stderr + again.stderr)
        ours = read(folder / case / "model.safetensors")
        theirs = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(case + "/")}
        layers = max(int(k.split(".")[2]) for k in ours if ".layers." in k) + 1
        evo.check(f"{case}: config counts its layers", json.loads((folder / case / "config.json").read_text())["num_hidden_layers"] == layers, layers)
        known = {"model.norm.weight"} if case == "slices-last-more" else set()
        far = {k: d for k, v in theirs.items() if (d := worst(v[1], ours[k][1])) > SLICES[case]}
        evo.check(f"{case}: {len(theirs)} tensors as mergekit has them", set(far) == known and (case not in SLICES or len(theirs) >= 7), far)
    mean = array.array("f", read(folder / "slices-last-more/model.safetensors")["model.norm.weight"][1])
    two = [array.array("f", golden[f"{m}/model.norm.weight"][1]) for m in ("ft-b", "ft-c")]
    evo.check("the final norm is that of all sources of the last slice", max(abs(x - (a + b) / 2) for x, a, b in zip(mean, *two)) < 1e-6)
    outer = read(folder / "self-merge-interleaved/model.safetensors")
    evo.check("the embedding is the first slice's", outer["model.embed_tokens.weight"] == half(read(folder / "models/ft-a/model.safetensors")["model.embed_tokens.weight"]))
    evo.check("the head is the last slice's", outer["lm_head.weight"] == half(read(folder / "models/ft-b/model.safetensors")["lm_head.weight"]))
    numbered = run(folder, "import", SLICED.format("[{filter: layers.3, value: 7}, {filter: layers.0, value: 5}, {value: 2}]"))
    node = json.loads(numbered.stdout)["nodes"]["slice-2"] if numbered.returncode == 0 else numbered.stderr
    evo.check("a filter with a layer's number means the source's", isinstance(node, dict) and node["in"][0]["weight"] ==
              {f"model.layers.1.{part}.weight": 7 for part in ("input_layernorm", "mlp.down_proj", "self_attn.o_proj")} | {"*": 2}, node)


SLICED = """merge_method: linear
slices:
  - sources: [{{model: models/ft-a, layer_range: [0, 2]}}]
  - sources:
    - {{model: models/ft-b, layer_range: [2, 4], parameters: {{weight: {}}}}}
    - {{model: models/ft-a, layer_range: [1, 3]}}
parameters: {{weight: 1}}
"""


def half(tensor):
    return tensor[0], struct.pack(f"<{len(tensor[1]) // 4}e", *array.array("f", tensor[1]))


def test_vocabularies(folder):
    """The last rows of embeddings, where vocabularies differ, as mergekit makes them."""
    golden, work = read(DATA / "vocab/golden.safetensors"), folder / "vocabularies"
    for name, tensor in golden.items():
        model, kind = name.split("/")
        if kind != "tail":
            write_model(work / "models" / model, {kind: tensor}, vocab_size=tensor[0][0])
            write_tokenizer(work / "models" / model, tensor[0][0])
    for file in sorted((DATA / "vocab").glob("*.yml")):
        expected, cut = golden[file.stem + "/tail"], file.stem.endswith("-trunc")
        result = run(work, "merge", file.read_text(), file.stem, *["--unsafe-truncate-embeddings"] * cut, name=file.name)
        if not evo.check(f"{file.stem}: merges", result.returncode == 0 and ("embeddings are cut from 264 rows to 256" in result.stderr) == cut, result.stderr):
            continue
        shape, ours = read(work / file.stem / "model.safetensors")["model.embed_tokens.weight"]
        config, made = (json.loads((work / file.stem / name).read_text()) for name in ("config.json", "tokenizer.json"))
        evo.check(f"{file.stem}: rows", shape[0] == config["vocab_size"] == 240 + expected[0][0], (shape, config))
        evo.check(f"{file.stem}: numbers", worst(expected[1], ours[240 * 48 * 4:]) <= (1e-6 if "slerp" in file.stem else 5e-7))
        added = {t["content"]: t["id"] for t in made["added_tokens"]}
        evo.check(f"{file.stem}: tokens", added == {t: i for i, t in enumerate(["<unk>", "<s>", "</s>"])} | (
            {t: 256 + i for i, t in enumerate(ADDED)} if shape[0] > 256 else {}) | ({"<new>": 264} if "tokens" in file.stem else {}), added)
    again = evo.run("merge", work / "linear-bigvocab-trunc/evopipe.json", "again", cwd=work)
    evo.check("what was cut is said in evopipe.json", again.returncode == 0 and evo.digest(work / "again") == evo.digest(work / "linear-bigvocab-trunc"), again.stderr)
    text = (DATA / "vocab/linear-bigvocab-trunc.yml").read_text()
    result = run(work, "import", text, "--unsafe-truncate-embeddings")
    evo.write(work, "cut.json", result.stdout)
    again = evo.run("merge", "cut.json", "cut", cwd=work)
    evo.check("import takes the option: its pipeline, without it, makes the same bytes", again.returncode == 0 and "embeddings are cut from 264 rows to 256" in
              again.stderr and evo.digest(work / "cut") == evo.digest(work / "linear-bigvocab-trunc"), result.stderr + again.stderr)
    result = run(work, "import", text)
    evo.check("import without it", result.returncode == 2 and result.stdout == "" and "merge with --unsafe-truncate-embeddings" in result.stderr, result.stderr)
    chosen = json.loads(run(work, "import", text + "tokenizer: {source: union}\n", "--unsafe-truncate-embeddings").stdout)["nodes"]["merged"]["tokenizer"]
    evo.check("what the recipe says of a tokenizer stays", chosen == {"source": "union"}, chosen)
    checked = run(work, "check", text, "--unsafe-truncate-embeddings")
    evo.check("check takes the option too", checked.returncode == 0 and "embeddings are cut" in checked.stderr, checked.stderr)


def test_templates(folder):
    for text, holds in (("chatml", "<|im_start|>"), ("'{{ bos_token }} and more'", "{{ bos_token }} and more"), ("auto", None)):
        result = run(folder, "merge", LINEAR + f"chat_template: {text}\n", "chat", "--force")
        file = folder / "chat/tokenizer_config.json"
        said = json.loads(file.read_text()).get("chat_template") if file.exists() else None
        evo.check(f"chat_template: {text}", result.returncode == 0 and (said is None if holds is None else holds in (said or "")), result.stderr)
    node = imported(folder, LINEAR + "tokenizer: {source: models/ft-a, pad_to_multiple_of: 8, tokens: {a: {source: models/ft-a}, b: {source: {kind: zero}, force: yes}}}\n")
    evo.check("a tokenizer in full", node["tokenizer"] == {"source": "ft-a", "pad_to_multiple_of": 8, "tokens": {"a": {"source": "ft-a"},
              "b": {"source": {"kind": "zero"}, "force": True}}}, node)


def test_same_bytes(folder):
    """A recipe and the pipeline that import prints give the same files."""
    (folder / "elsewhere").mkdir()
    for file in sorted(DATA.glob("*.yml")):
        shutil.copy(file, folder / file.name)
        merged = evo.run("merge", file.name, "a", "--force", cwd=folder)
        printed = evo.run("import", file.name, cwd=folder)
        evo.write(folder / "elsewhere", "p.json", printed.stdout)
        again = evo.run("merge", "p.json", "b", "--force", cwd=folder / "elsewhere")
        evo.check(f"{file.name}: import, then merge: the same bytes", merged.returncode == printed.returncode == again.returncode == 0 and
                  evo.digest(folder / "a") == evo.digest(folder / "elsewhere/b"), merged.stderr + printed.stderr + again.stderr)
        dtypes = {v["dtype"] for k, v in json.loads((folder / "a/model.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}").items() if k != "__metadata__"}
        wanted = [line.split(":")[1].strip() for line in file.read_text().splitlines() if line.startswith(("dtype:", "out_dtype:"))][-1]
        evo.check(f"{file.name}: {wanted}", dtypes == {{"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[wanted]}, dtypes)
    random = run(folder, "merge", (DATA / "dare-ties-three.yml").read_text(), "c", "--seed", "7")
    evo.check("a seed moves random masks", random.returncode == 0 and evo.digest(folder / "c") != evo.digest(folder / "a"))
    checked = evo.run("check", "ties-classic.yml", cwd=folder)
    evo.check("check reads a recipe", checked.returncode == 0 and "10 tensors" in checked.stdout, checked.stdout + checked.stderr)


# ---------------------------------------------------------------- pipelines

def test_pipeline(folder):
    result = run(folder, "import", recipe("ties", {"base": None, "ft-a": "{weight: 0.5}"}, base="base", dtype="torch.bfloat16"))
    evo.check("a whole pipeline", json.loads(result.stdout) == {
        "evopipe": 1, "compat": {"mergekit": "bf16"}, "nodes": {"base": {"use": "model.llm", "path": str(folder / "models/base")}, "ft-a": {"use": "model.llm", "path": str(folder / "models/ft-a")},
                                "merged": {"use": "merge.ties", "base": "base", "density": 1, "normalize": True, "lambda": 1, "rescale": "none",
                                           "scope": "tensor", "vote": "weighted", "in": [{"from": "ft-a", "weight": 0.5}]}},
        "save": {"merged": {"path": "merged", "dtype": "bf16"}}}, result.stdout)


def test_defaults(folder):
    """What mergekit does unasked is said."""
    two = {"ft-a": "{weight: 1}", "ft-b": "{weight: 1}"}
    plain = {"ft-a": None, "ft-b": None}
    for method, models, base, expected in (
            ("linear", two, None, {"normalize": True}),
            ("task_arithmetic", two, "base", {"normalize": False, "lambda": 1}),
            ("dare_linear", two, "base", {"density": 1, "normalize": False, "lambda": 1, "rescale": "l1"}),
            ("dare_ties", two, "base", {"density": 1, "normalize": False, "lambda": 1, "rescale": "l1", "vote": "weighted"}),
            ("breadcrumbs", two, "base", {"density": 1, "gamma": 0.01, "normalize": False, "lambda": 1, "rescale": "none"}),
            ("breadcrumbs_ties", two, "base", {"density": 1, "gamma": 0.01, "normalize": False, "lambda": 1, "rescale": "none", "vote": "weighted"}),
            ("della", two, "base", {"density": 1, "epsilon": 0.15, "normalize": True, "lambda": 1, "rescale": "l1", "vote": "weighted", "epsilon_is": "half-width"}),
            ("della_linear", two, "base", {"density": 1, "epsilon": 0.15, "normalize": False, "lambda": 1, "rescale": "l1", "epsilon_is": "half-width"}),
            ("sce", plain, "base", {"select_topk": 1, "uniform_below": 1e-6}),
            ("ram", plain, "base", {"epsilon": 1e-5}),
            ("ramplus_tl", plain, "base", {"epsilon": 1e-5, "r": 0.1, "alpha": 0.2, "scope": "tensor"}),
            ("nuslerp", two, "base", {"scope": "tensor"}),
            ("multislerp", two, None, {"normalize": True, "eps": 1e-8}),
            ("karcher", plain, None, {"max_iter": 10, "tol": 1e-5}),
            ("model_stock", plain, "base", {"scope": "tensor", "floor": 1e-6}),
            ("arcee_fusion", {"ft-a": None}, "base", {"tail": 1.5})):
        node = imported(folder, recipe(method, models, base=base))
        if evo.check(f"{method}: imports", isinstance(node, dict), node):
            evo.check(f"{method}: its defaults", {k: v for k, v in node.items() if k not in ("use", "in", "base")} == expected, node)
            evo.check(f"{method}: its operator", node["use"] == "merge." + method.replace("_", "-") and node.get("base") == base, node)
    single = imported(folder, recipe("passthrough", {"ft-a": "{scale: 0.5}"}))
    evo.check("passthrough", single == {"use": "merge.passthrough", "scale": 1, "in": [{"from": "ft-a", "scale": 0.5}]}, single)
    near = imported(folder, recipe("nearswap", {"ft-a": None}, base="base", parameters="{t: 1e-4}"))
    evo.check("1e-4 is a number", near["t"] == 0.0001 and near["floor"] == 1e-6, near)


def test_base(folder):
    mixed = imported(folder, recipe("slerp", {"ft-c": None, "ft-a": None}, base="ft-a", parameters="{t: 0.2}"))
    evo.check("slerp: the base is first", [i["from"] for i in mixed["in"]] == ["ft-a", "ft-c"] and mixed["threshold"] == 0.9995, mixed)
    mixed = imported(folder, recipe("slerp", {"ft-c": None}, base="ft-a", parameters="{t: 0.2}"))
    evo.check("slerp: a base that is not listed is an input", [i["from"] for i in mixed["in"]] == ["ft-a", "ft-c"], mixed)
    mean = imported(folder, recipe("karcher", {"ft-c": None}, base="base"))
    evo.check("karcher averages the base in", [i["from"] for i in mean["in"]] == ["base", "ft-c"] and "base" not in mean, mean)
    result = run(folder, "import", recipe("ties", {"base": "{weight: 1}", "ft-a": "{weight: 1}"}, base="base"))
    evo.check("parameters of a base that is none of the inputs: a note", result.returncode == 0 and result.stderr ==
              "evopipe: note: r.yml:3: parameters of the base model have no effect in ties; they are left out\n", result.stderr)


def test_values(folder):
    def weight(value, **top):
        node = imported(folder, recipe("linear", {"ft-a": f"{{weight: {value}}}", "ft-b": "{weight: 1}"}, **top))
        return node["in"][0]["weight"] if isinstance(node, dict) else node

    for text, expected in (("0.25", 0.25), ("'0.25'", 0.25), ("-1", -1), ("true", 1), (".5", 0.5), ("2.", 2), ("+1E-2", 0.01), ("[0.5]", 0.5),
                           ("[0, 0.5, 0]", [0, 0.5, 0]), ("[0, 1]", {"@head": 0, "*": [0, 1]}),
                           ("[{filter: self_attn, value: 1}, {value: 0.5}]", {"*self_attn*": 1, "*": 0.5}),
                           ("[{filter: self_attn, value: 1}, {filter: '*', value: 0.5}]", {"*self_attn*": 1, "*": 0.5}),
                           ("[{filter: mlp, value: [1, 0]}, {value: 2}]", {"*mlp*": {"@head": 1, "*": [1, 0]}, "*": 2})):
        got = weight(text)
        evo.check(f"weight: {text}", got == expected, got)
    node = imported(folder, recipe("linear", {"ft-a": "{weight: [{filter: mlp, value: 1}]}", "ft-b": None},
                                   parameters="{weight: [{filter: norm, value: 3}, {value: 2}], normalize: 0}"))
    evo.check("what no filter of a model takes goes on to the top", node == {"use": "merge.linear", "weight": {"*norm*": 3, "*": 2}, "normalize": False,
              "in": [{"from": "ft-a", "weight": {"*mlp*": 1}}, {"from": "ft-b"}]}, node)
    flags = imported(folder, recipe("ties", {"ft-a": "{weight: 1}"}, base="base", parameters="{normalize: [{filter: norm, value: no}], rescale: yes}"))
    evo.check("flags by filter, then the default", flags["normalize"] == {"*norm*": False, "*": True} and flags["rescale"] == "l1", flags)
    for flatten, row, scope in ((True, True, "tensor"), (False, False, "row"), (False, True, "column")):
        node = imported(folder, recipe("nuslerp", {"ft-a": "{weight: 1}", "ft-b": "{weight: 1}"}, parameters=f"{{nuslerp_flatten: {flatten}, nuslerp_row_wise: {row}}}"))
        evo.check(f"nuslerp: flatten {flatten}, row_wise {row}", node["scope"] == scope, node)
    one = imported(folder, recipe("linear", {"one-a": "{weight: [1, 2]}", "one-b": "{weight: 1}"}))
    evo.check("one layer has a gradient's last number", one["in"][0]["weight"] == {"@layers:0": 2, "*": 1}, one)
    odd = folder / "models/odd"
    tensors = {f"a[{i}]*.w": ([2], b"\0" * 8) for i in range(2)}
    write_model(odd, tensors)
    write_model(folder / "models/odd-2", tensors)
    node = imported(folder, recipe("linear", {"odd": "{weight: [{filter: 'a[1]*', value: 2}, {value: 1}]}", "odd-2": "{weight: 1}"}))
    evo.check("what globs would take for their own is escaped", node["in"][0]["weight"] == {"*a[[]1][*]*": 2, "*": 1}, node)
    evo.check("and matches", run(folder, "merge", (folder / "r.yml").read_text(), "odd-out").returncode == 0)


def test_levels(folder):
    """Source, slice, module, top: each slice has its own layers, the first the embedding, the last the head."""
    text = """
merge_method: linear
slices:
  - sources: [{model: models/ft-a, layer_range: [0, 1], parameters: {weight: [5, 6]}}, {model: models/ft-b, layer_range: [0, 1]}]
    parameters: {weight: 2}
  - sources: [{model: models/ft-b, layer_range: [1, 4]}, {model: models/ft-a, layer_range: [1, 4], parameters: {weight: [1, 3]}}]
parameters: {weight: 4}
"""
    node = imported(folder, text)
    evo.check("slices", node == {"use": "merge.linear", "weight": {"@layers:0-0": 2, "@layers:1-3": 4, "@head": 4}, "normalize": True,
              "in": [{"from": "ft-a", "weight": {"@layers:0-0": [6, 6, 6, 6], "@layers:1-3": [1, 1, 2, 3], "@head": 1}}, {"from": "ft-b"}]}, node)
    merged = run(folder, "merge", text, "sliced")
    evo.check("and they merge", merged.returncode == 0, merged.stderr)
    node = imported(folder, """
defaults: &half {weight: 0.5, density: &d 0.3}
merge_method: ties
modules: {default: {models: [{model: models/ft-a, parameters: {<<: *half, weight: 1}}, {model: models/ft-b}], parameters: {density: 0.7}}}
parameters: {weight: 2, density: *d, lambda: 0.5}
base_model: models/base
""")
    evo.check("modules, anchors, merge keys", isinstance(node, dict) and node["in"] == [{"from": "ft-a", "weight": 1, "density": 0.3}, {"from": "ft-b"}]
              and node["density"] == 0.7 and node["weight"] == 2 and node["lambda"] == 0.5, node)


def test_documents(folder):
    result = run(folder, "import", (DATA / "multi-stage.yml").read_text())
    nodes = json.loads(result.stdout)["nodes"]
    evo.check("several documents", [nodes[n]["use"] for n in ("stage-one", "stage-two", "merged")] == ["merge.slerp", "merge.task-arithmetic", "merge.linear"] and
              [i["from"] for i in nodes["merged"]["in"]] == ["stage-one", "stage-two"] and nodes["stage-one"]["dtype"] == "f32", nodes)


def test_paths(folder):
    """From here, then beside the recipe, then the cache of Hugging Face."""
    away, hub = folder / "away", folder / "hub"
    shutil.copytree(folder / "models", away / "models")
    snapshot = hub / "models--org--net/snapshots/abc123"
    shutil.copytree(folder / "models/ft-a", snapshot)
    (hub / "models--org--net/refs").mkdir()
    (hub / "models--org--net/refs/main").write_text("abc123\n")
    text = recipe("linear", {"ft-a": "{weight: 1}"}).replace("models/ft-a", "org/net")
    env = {"HF_HUB_CACHE": str(hub)}
    for name in ("org/net", "org/net@main", "org/net@abc123"):
        result = run(folder, "import", text.replace("org/net", f"'{name}'"), env=env)
        evo.check(f"{name} in the cache", result.returncode == 0 and json.loads(result.stdout)["nodes"]["net"]["path"] == str(snapshot), result.stderr)
    for name, said in (("org/other", 'model "org/other" is not here, not beside the recipe, or in the Hugging Face cache; "hf download org/other" brings it there'),
                       ("org/net@v2", 'model "org/net@v2" is not here, not beside the recipe, or in the Hugging Face cache; "hf download org/net --revision v2" brings it there'),
                       ("./nothing", 'model "./nothing" is not here, not beside the recipe; name a folder of safetensors files'),
                       ("org/net+org/lora", 'adapter "org/lora" is not here, not beside the recipe, or in the Hugging Face cache; "hf download org/lora" brings it there'),
                       ("org/net+", "model+lora needs the path of a model, one +, and that of an adapter")):
        result = run(folder, "import", text.replace("org/net", f"'{name}'"), env=env)
        evo.check(f"{name}: says how to get it", result.returncode in (2, 4) and result.stderr == f"evopipe: r.yml:3: {said}\n", f"{result.returncode} {result.stderr}")
    (away / "beside.yml").write_text(recipe("linear", {"ft-b": "{weight: 1}"}))
    for cwd, expected in ((folder, folder), (folder / "hub", away)):
        result = evo.run("import", away / "beside.yml", cwd=cwd)
        evo.check(f"from {cwd.name}", result.returncode == 0 and json.loads(result.stdout)["nodes"]["ft-b"]["path"] == str(expected / "models/ft-b"), result.stderr)


# ---------------------------------------------------------------- what is wrong

LINEAR = "merge_method: linear\nmodels:\n  - {model: models/ft-a, parameters: {weight: 1}}\n"
BAD = {  # a recipe: what is said of it
    "": "1: is empty; a recipe needs merge_method and models",
    "- a\n- b\n": "1: a recipe is a map with merge_method and models, not a list",
    "models: []\n": "1: a recipe needs merge_method, as merge_method: linear",
    "merge_method: linear\nmodels: []\n": "2: models needs a list of 1 to 1000 models, each - model: org/name",
    "merge_method: linear\nmodels: [models/ft-a]\n": "2: a model is a map, as - model: org/name, not a text",
    "merge_method: linear\nmodels:\n  - parameters: {weight: 1}\n": "3: a model needs model: and a path",
    LINEAR + "a: 1\na: 2\n": '5: "a" stands twice; YAML would take the last',
    LINEAR + "dtyp: float32\n": '4: a recipe has no "dtyp"; did you mean "dtype"?',
    LINEAR + "dtype: !x float32\n": "4: tags (!...) are not for recipes; leave it out",
    LINEAR + "dtype: *none\n": '4: the alias "none" has no anchor that ends before it; anchors are written &name',
    LINEAR + "dtype: &a [*a]\n": '4: the alias "a" has no anchor that ends before it; anchors are written &name',
    LINEAR + "dtype: [float32]\n": "4: dtype a list is none of float32, float16 and bfloat16",
    LINEAR + "parameters: 1\n": "4: parameters are a map, as parameters: {weight: 0.5}, not a text",
    LINEAR + "parameters: {t: 1}\n": '4: linear has no "t"; there is weight, normalize',
    LINEAR + "? [a]\n: 1\n": "4: a key must be a text; is a colon or a dash missing?",
    LINEAR + "x: " + "[" * 40 + "]" * 40 + "\n": "4: lists and maps are nested more than 32 deep",
    LINEAR + "x: {\n": "5: is no YAML: did not find expected node content while parsing a flow node",
    LINEAR + "chat_template: chatlm\n": '4: chat_template "chatlm" is no template of Jinja, which has a { somewhere, and no name of one; did you mean "chatml"?',
    LINEAR + "tokenizer: {source: models/ft-b}\n": "4: ft-b is not merged here; tokens and their rows come from models that are",
    LINEAR + "tokenizer: {source: [base]}\n": "4: the tokenizer's source is base, union or a model, not a list",
    LINEAR + "tokenizer: base\n": "4: tokenizer is a map, as tokenizer: {source: base}, not a text",
    LINEAR + "tokenizer: {sauce: base}\n": '4: tokenizer has no "sauce"; did you mean "source"?',
    LINEAR + "tokenizer: {source: base, pad_to_multiple_of: 0.5}\n": "4: pad_to_multiple_of needs a whole number from 1 to 1048576",
    LINEAR + "tokenizer: {tokens: {x: {}}}\n": "4: a token needs a source: a model, or a map with kind",
    LINEAR + "tokenizer: {tokens: {x: {source: {kind: one}}}}\n": "4: a token's source is a model, or a map whose kind is zero or model_token",
    LINEAR + "tokenizer: {tokens: {x: {source: {kind: model_token, model: models/ft-a}}}}\n": "4: a source of kind model_token needs model, and either token or token_id",
    LINEAR + "---\n" + LINEAR: "1: every document but the last needs a name:, by which later ones read it",
    "name: a\n" + LINEAR + "---\nname: a\n" + LINEAR + "---\n" + LINEAR: "6: two documents have the name a",
    LINEAR.replace("1}", "0x10}"): '3: weight needs a number, or a list of numbers (a gradient over the layers), not "0x10"',
    LINEAR.replace("1}", "010}"): '3: weight needs a number, or a list of numbers (a gradient over the layers), not "010"',
    LINEAR.replace("1}", ".inf}"): '3: weight needs a number, or a list of numbers (a gradient over the layers), not ".inf"',
    LINEAR.replace("1}", "1e999}"): '3: weight needs a number, or a list of numbers (a gradient over the layers), not "1e999"',
    LINEAR.replace("1}", "[]}"): "3: weight needs a number, or a list of numbers (a gradient over the layers), not a list",
    LINEAR.replace("1}", "{filter: mlp, value: 1}}"): "3: weight is a map; filters are a list: - filter: self_attn, then value: below it",
    LINEAR.replace("1}", "[{filter: mlp, value: 1}, 2]}"): "3: weight mixes filters with plain values; a plain one is written - value: 0.5",
    LINEAR.replace("1}", "[{filtre: mlp, value: 1}]}"): '3: a filter has no "filtre"; did you mean "filter"?',
    LINEAR.replace("1}", "[{filter: mlp}]}"): "3: a filter of weight has no value; add value:",
    LINEAR.replace("1}", "[{filter: self_atn, value: 1}, {value: 2}]}"): '3: filter "self_atn" is part of no tensor\'s name; evopipe inspect MODEL shows them',
    LINEAR + "  - {model: models/ft-a, parameters: {weight: 1}}\n": "4: ft-a stands twice; a recipe names a model once (a pipeline may name it twice)",
    "experts: []\nbase_model: models/base\ngate_mode: hidden\n": "1: experts belongs to mergekit-moe, which builds a mixture of experts; evopipe merges "
        "weights of models of one shape: use mergekit-moe for this one",
    "genome: {models: [a]}\n": '1: genome belongs to mergekit-evolve; write the search as a pipeline, with {"evolve": ...} where numbers stand, and use evopipe run',
    "merge_method: ties\nbase_model: models/base\nmodels: [{model: models/ft-a, parameters: {weight: 1, density: 1.5}}]\n":
        '3: density needs a number from 0 to 1, or a list of such, not "1.5"',
    "merge_method: karcher\nmodels: [{model: models/ft-a}]\nparameters: {max_iter: 2.5}\n": '3: max_iter needs a whole number from 1 on, not "2.5"',
    "merge_method: arcee_fusion\nbase_model: models/base\nmodels: [{model: models/ft-a, parameters: {t: 1}}]\n": '3: arcee_fusion, for one model, has no "t"; leave it out',
    "merge_method: linear\nmodules: {vision: {models: []}}\n": '2: modules needs the module "default"; models of several modules are not read',
    "merge_method: ties\nbase_model: models/base\nmodels: [{model: models/base}]\n": "3: ties needs at least 1 model beside base_model, not 0",
}
BAD_FILES = {
    "bad-dtype": '8: dtype "float8" is none of float32, float16 and bfloat16',
    "both-models-and-slices": "6: a recipe needs exactly one of models, slices and modules",
    "della-epsilon": "4: density 0.9 and epsilon 0.2: density - epsilon ... density + epsilon leaves 0 ... 1; an epsilon below 0.1 stays inside",
    "filter-no-match": '6: weight has no value for "lm_head.weight"; add one for the rest, as - value: 0.5',
    "layer-out-of-range": "8: ft-b has 4 layers; [2, 6] ends beyond them",
    "missing-weight": "5: linear needs a weight for this model; write it under parameters",
    "misspelt-parameter": '9: ties has no "normalise"; did you mean "normalize"?',
    "not-a-number": '7: t needs a number, or a list of numbers (a gradient over the layers), not "half"',
    "passthrough-two-sources": "4: passthrough needs exactly 1 model, not 2",
    "per-model-t": "4: t belongs to the whole merge, not to one model; write it under parameters at the top",
    "repeated-model": "8: ft-a stands twice; a recipe names a model once (a pipeline may name it twice)",
    "reversed-range": "8: layer_range needs the first layer and the one after the last, as [0, 24]; it has no layer or is none",
    "slerp-three-models": "3: slerp needs exactly 2 models, not 3",
    "slice-lengths-differ": "7: all sources of a slice must have as many layers; this has 3, the first 4",
    "tab-indent": "6: a tab or a reserved character begins a value; indent with spaces, put quotes around the rest",
    "ties-without-base": "7: ties needs base_model, the model that the others were trained from",
    "two-tokenizer-keys": "9: tokenizer_source and tokenizer say the same thing twice; leave one out",
    "unknown-key": '9: a recipe has no "normalize"; there is merge_method, models, slices, modules, base_model, parameters, dtype, out_dtype, '
                   "tokenizer_source, tokenizer, chat_template, name",
    "unknown-method": '5: there is no merge_method "super_ties"; did you mean "dare_ties"?',
    "vocabulary-differs": '5: "lm_head.weight" is [256, 48] in ft-a and [264, 48] in ft-big-vocab; the models have different vocabularies: write '
                         'tokenizer: {source: union} or {source: base}, or merge with --unsafe-truncate-embeddings',
}


def test_bad(folder):
    cases = {(f"{n}.yml", (DATA / f"bad/{n}.yml").read_text()): said for n, said in BAD_FILES.items()}
    evo.check("every bad recipe of the data is here", {p.stem for p in (DATA / "bad").glob("*.yml")} == set(BAD_FILES))
    for (name, text), said in (cases | {("r.yml", text): said for text, said in BAD.items()}).items():
        result = run(folder, "merge", text, "bad-out", name=name)
        evo.check(f"{name}:{said[:60]}", result.returncode == 2 and result.stderr == f"evopipe: {name}:{said}\n" and not (folder / "bad-out").exists(),
                  f"{result.returncode} {result.stderr}\n{text}")
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(f"{y}: &{y} [{', '.join(['*' + x] * 10)}]\n" for x, y in zip("abcdefgh", "bcdefghi"))
    result = run(folder, "import", bomb)
    evo.check("aliases that would write out to a thousand million values", result.returncode == 2 and
              result.stderr == "evopipe: r.yml:6: has more than 200000 values, aliases written out; no recipe needs that\n", result.stderr)
    result = evo.run("import", "no.yml", cwd=folder)
    evo.check("a recipe that is not there", result.returncode == 2 and "no.yml" in result.stderr and result.stderr.count("\n") == 1, result.stderr)


def test_notes(folder):
    for text, said in ((LINEAR + "parameters: {int8_mask: true}\n", ["4: int8_mask changes no number; it is left out"]),
                       (LINEAR + "name: n\n", ["4: name changes no number; it is left out"]),
                       (LINEAR.replace("1}", "[{value: 1}, {filter: mlp, value: 2}]}"), ["3: this value of weight is never used: what stands before it takes all"]),
                       (LINEAR.replace("ft-a", "one-a").replace("1}", "[{filter: lm_head, value: 2}, {value: 1}]}"),
                        ["3: this value of weight is not used: the models have no lm_head of their own"])):
        result = run(folder, "import", text)
        evo.check(f"a note: {said[0]}", result.returncode == 0 and result.stderr == "".join(f"evopipe: note: r.yml:{s}\n" for s in said), result.stderr)


with evo.folder() as name:
    folder = pathlib.Path(name).resolve()
    golden = make_models(folder)
    test_golden(folder, golden)
    test_slices(folder / "slices")
    test_same_bytes(folder)
    test_vocabularies(folder)
    test_templates(folder)
    for test in (test_pipeline, test_defaults, test_base, test_values, test_levels, test_documents, test_paths, test_bad, test_notes):
        test(folder)
evo.finish()
