#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""operators.py - every merge operator of the registry over models that do not fit, are damaged, alone, alike, opposite, or of odd shapes."""
import json, math, pathlib, random, struct, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h"]
EMBED, HEAD, LAYER = "model.embed_tokens.weight", "lm_head.weight", "model.layers.1.mlp.experts"
SHAPES = {EMBED: [6, 4], "model.layers.0.conv.weight": [3, 2, 2, 2], "model.layers.0.self_attn.q_proj.weight": [5, 4], "model.layers.0.mlp.experts": [2, 3, 4],
          "model.layers.0.temperature": [], "model.layers.0.nothing": [0, 4], "model.layers.1.conv.weight": [3, 2, 2, 2],
          "model.layers.1.self_attn.q_proj.weight": [5, 4], LAYER: [2, 3, 4], "model.layers.1.temperature": [], "model.layers.1.nothing": [0, 4],
          "model.one": [1], "model.norm.weight": [4], HEAD: [6, 4]}


def write_tensors(path, tensors):
    """tensors: name -> (shape, values), stored as F32."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}f", *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_tensors(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {k: (t["shape"], struct.unpack(f"<{math.prod(t['shape'])}f", data[8 + n:][slice(*t["data_offsets"])])) for k, t in header.items()}


def write_model(folder, name, tensors, words=6):
    where = folder / name
    where.mkdir()
    write_tensors(where / "model.safetensors", tensors)
    (where / "config.json").write_text(json.dumps({"vocab_size": tensors[EMBED][0][0], "num_hidden_layers": 2}))
    (where / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {w: i for i, w in enumerate(WORDS[:words])}, "merges": []}}))
    write_tensors(folder / f"{name}.fisher", {k: (shape, [1 + abs(x) if math.isfinite(x) else 1 for x in v]) for k, (shape, v) in tensors.items()})
    grams = {k: shape[1] for k, (shape, v) in tensors.items() if len(shape) == 2}
    write_tensors(folder / f"{name}.gram", {k: ([n, n], [2.0 * (i == j) + 0.1 for i in range(n) for j in range(n)]) for k, n in grams.items()})


def numbers(seed, rows=6, base=None, size=0.1):
    draw = random.Random(seed)
    out = {}
    for name, shape in SHAPES.items():
        shape = [rows, *shape[1:]] if name in (EMBED, HEAD) else shape
        values = [draw.uniform(-1, 1) * (size if base else 1) for _ in range(math.prod(shape))]
        near = base[name][1] if base else ()
        out[name] = (shape, [x + (near[i] if i < len(near) else 0) for i, x in enumerate(values)])
    return out


def changed(tensors, value):
    """One number of every tensor is another."""
    return {k: (shape, [value if i == len(v) // 2 else x for i, x in enumerate(v)]) for k, (shape, v) in tensors.items()}


def make_models(folder):
    base = numbers(1)
    good = {"base": base, "a": numbers(2, base=base), "b": numbers(3, base=base), "c": numbers(4, base=base)}
    good["opposite"] = {k: (s, [2 * x - y for x, y in zip(base[k][1], v)]) for k, (s, v) in good["a"].items()}
    good["negative"] = {k: (s, [-y for y in v]) for k, (s, v) in good["a"].items()}
    good["zeros"] = {k: (s, [0.0 for y in v]) for k, (s, v) in base.items()}
    good["nan"], good["infinite"] = changed(good["b"], math.nan), changed(good["b"], -math.inf)
    good["less"] = {k: t for k, t in good["b"].items() if k != LAYER}
    good["more"] = good["b"] | {"model.layers.1.extra": ([2], [1, 2])}
    for name, tensors in good.items():
        write_model(folder, name, tensors)
    write_model(folder, "wide", numbers(5, 8, base), 8)
    return good


class Operator:
    def __init__(self, declared, schema):
        self.name, self.params, self.in_params = declared["name"], declared["params"], declared["in_params"]
        self.needs_base, self.least = "base" in schema["required"], schema["properties"]["in"]["minItems"]
        self.most = schema["properties"]["in"].get("maxItems", 3)
        self.has_density = any(p["name"] == "density" for p in self.in_params)

    def node(self, models, base="base", edge=None, **more):
        """A node that is right by the declaration: what is required is given."""
        edges = [{"from": m, **{p["name"]: f"{m}.{p['name']}" for p in self.in_params if p["type"] == "file"}, **(edge or {})} for m in models]
        for p in self.params + self.in_params:
            if p["required"] and p["type"] != "file" and p["name"] not in more:
                more[p["name"]] = {"path": [f"{models[-1]}:0-1"]}[p["name"]]  # another required parameter: say here what is right for it
        return {"use": self.name, "in": edges, **({"base": base} if self.needs_base else {}), **more}

    def inputs(self, last="b"):
        """As many as there may be, up to three; the last is the one that something is wrong with."""
        return ["a", "c", last][3 - self.most:] if self.most < 3 else ["a", "c", last]


def operators():
    schema = json.loads(evo.run("schema").stdout)["properties"]["nodes"]["additionalProperties"]["oneOf"]
    schemas = {n["properties"]["use"]["const"]: n for n in schema}
    declared = json.loads(evo.run("inspect", "--json").stdout)
    declared = declared["plugins"] if isinstance(declared, dict) else declared
    return [Operator(d, schemas[d["name"]]) for d in declared if d["name"].startswith("merge.")]


def merge(folder, node, **model_keys):
    """model_keys: further keys of single model nodes."""
    names = {e["from"] for e in node["in"]} | ({node["base"]} if "base" in node else set())
    nodes = {n: {"use": "model.llm", "path": n, **model_keys.get(n, {})} for n in sorted(names)}
    evo.write(folder, "p.json", evo.pipeline({**nodes, "m": node}))
    try:
        return evo.run("merge", "p.json", "out", "--force", "--threads", "1", cwd=folder, timeout=60)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], 124, "", "took more than a minute")


def merged(folder, node, **model_keys):
    """The tensors, or what went wrong."""
    result = merge(folder, node, **model_keys)
    return read_tensors(folder / "out/model.safetensors") if result.returncode == 0 else f"{result.returncode} {result.stderr}"


def said(what, result, code, *words):
    right = result.returncode == code and result.stderr.count("\n") == 1 and all(w in result.stderr for w in words)
    return evo.check(what, right, f"{result.returncode} {result.stderr}, not {code} {words}")


def finite(what, tensors, rows=6):
    """All tensors, of their shapes, with numbers."""
    shapes = {k: [rows, *s[1:]] if k in (EMBED, HEAD) else s for k, s in SHAPES.items()}
    right = isinstance(tensors, dict) and {k: s for k, (s, v) in tensors.items()} == shapes and all(map(math.isfinite, sum((v for s, v in tensors.values()), ())))
    return evo.check(what, right, tensors)


def same(what, tensors, expected):
    """Within the fp32 rounding of a dozen operations on numbers up to 2."""
    right = isinstance(tensors, dict) and all(abs(x - y) < 4e-6 for k, (s, v) in expected.items() for x, y in zip(tensors[k][1], v))
    return evo.check(what, right, tensors)


# ---------------------------------------------------------------- models that do not fit

def test_missing(folder, op):
    """A path judges layers one by one, and says which."""
    first = "base" if op.needs_base else op.inputs()[0]
    if op.name == "merge.layer-path":
        said(f"{op.name}: a layer lacks a tensor", merge(folder, op.node(["a", "less"], path=["a:0-1", "less:1"])), 2, "less", "experts")
        said(f"{op.name}: a layer has an extra tensor", merge(folder, op.node(["a", "more"], path=["a:0-1", "more:1"])), 2, "more", "extra")
        return
    if not op.needs_base and op.most == 1:
        return  # it is compared with nothing
    said(f"{op.name}: a tensor is missing", merge(folder, op.node(op.inputs("less"))), 2, "m: less has no tensor", f'"{LAYER}"', first)
    said(f"{op.name}: an extra tensor", merge(folder, op.node(op.inputs("more"))), 2, "m: more has a tensor", '"model.layers.1.extra"', first)


def test_vocabulary(folder, op):
    if op.name == "merge.layer-path" or not op.needs_base and op.most == 1:
        return  # embedding and output matrix are of one model, or there is one model only
    node = op.node(op.inputs("wide"))
    said(f"{op.name}: another vocabulary", merge(folder, node), 2, '.weight" is [6, 4] in ', "wide", 'write "tokenizer": "union" or "base"')
    finite(f"{op.name}: tokenizer base", merged(folder, node | {"tokenizer": "base"}))
    finite(f"{op.name}: tokenizer union", merged(folder, node | {"tokenizer": "union"}), 8)


def test_nonfinite(folder, op):
    for bad, word in (("nan", "a NaN"), ("infinite", "an infinity")):
        node = op.node(op.inputs(bad))
        said(f"{op.name}: {word}", merge(folder, node), 4, f'/{bad}: "', word)
        allowed = merge(folder, node, **{bad: {"allow_nonfinite": True}})
        if allowed.returncode == 4:  # what needs a decomposition says so
            said(f"{op.name}: {word} is allowed", allowed, 4, "m: lm_head.weight: a matrix with a NaN or an infinity has no decomposition")
            evo.check(f"{op.name}: it is one that decomposes", op.name[6:] in ("iso-c", "iso-cts", "svd-truncate", "tsv", "regmean"))
        else:
            evo.check(f"{op.name}: {word} is allowed", allowed.returncode == 0, f"{allowed.returncode} {allowed.stderr}")
    if op.needs_base:
        said(f"{op.name}: a NaN in the base", merge(folder, op.node(op.inputs(), "nan")), 4, '/nan: "', "a NaN")


# ---------------------------------------------------------------- models that do

def test_alone(folder, op):
    if op.least == 1:
        finite(f"{op.name}: one model", merged(folder, op.node(["a"])))


def test_alike(folder, op, good):
    """Models that are all the same give that model, whatever the operator: no change, no angle, no variance."""
    for model in ("a", "zeros"):
        same(f"{op.name}: identical inputs and base, {model}", merged(folder, op.node([model] * max(op.least, min(op.most, 2)), model)), good[model])
    finite(f"{op.name}: identical inputs", merged(folder, op.node(["a"] * max(op.least, min(op.most, 2)))))
    if op.needs_base and op.least == 1:
        same(f"{op.name}: a change of zeros", merged(folder, op.node(["base"])), good["base"])


def test_opposite(folder, op):
    """Changes that cancel, directions that are opposite: a number, or a sentence that says why there is none."""
    for other in ("opposite", "negative", "zeros"):
        result = merge(folder, op.node((["a", other, "b"] if op.most > 1 else [other])[:max(op.least, min(op.most, 2))]))
        if result.returncode == 0:
            finite(f"{op.name}: {other}", read_tensors(folder / "out/model.safetensors"))
        else:
            said(f"{op.name}: {other}", result, 4, "m:")


def test_density(folder, op, good):
    if not op.has_density:
        return
    same(f"{op.name}: density 0", merged(folder, op.node(op.inputs(), density=0)), good["base"])
    got = merged(folder, op.node(["a"], density=1))
    finite(f"{op.name}: density 1", got)
    if not any(p["name"] == "gamma" for p in op.in_params) and not any(p["name"] == "agree" for p in op.params):
        same(f"{op.name}: density 1 keeps all", got, good["a"])


def test_seed(folder, op):
    node = op.node(op.inputs(), **({"density": 0.5} if op.has_density else {}))
    first, other = merged(folder, node), merged(folder, node | {"seed": 2})
    again = merged(folder, node)
    finite(f"{op.name}: odd shapes", first)
    evo.check(f"{op.name}: again, the same", first == again)
    is_random = any(w in op.name for w in ("dare", "della"))
    evo.check(f"{op.name}: another seed", (first != other) == is_random)


with evo.folder() as name:
    folder = pathlib.Path(name)
    good = make_models(folder)
    found = [o for o in operators() if not sys.argv[1:] or o.name in sys.argv[1:]]
    evo.check("there are operators", len(found) >= (1 if sys.argv[1:] else 38), [o.name for o in found])
    for op in found:
        test_missing(folder, op)
        test_vocabulary(folder, op)
        test_nonfinite(folder, op)
        test_alone(folder, op)
        test_alike(folder, op, good)
        test_opposite(folder, op)
        test_density(folder, op, good)
        test_seed(folder, op)
evo.finish()
