#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""reference.py - the generated page of plugins: every merge operator has a formula, a source and an example, and each example runs."""
import array, json, pathlib, re, struct, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

MODELS = {"ja": "mini-ja", "math": "mini-math-en", "base": "mini-base"}


def read(path):
    """Names and shapes, and the numbers as bytes, of a file of bf16."""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = {k: t for k, t in json.loads(data[8:8 + n]).items() if k != "__metadata__"}
    assert all(t["dtype"] == "BF16" for t in header.values()), path
    return {k: t["shape"] for k, t in header.items()}, data[8 + n:]


def is_finite(data):
    """An exponent of ones is an infinity or NaN."""
    return all(bits & 0x7f80 != 0x7f80 for bits in set(array.array("H", data)))


def gram(folder, name, model):
    """Gram matrices as of inputs whose neighbours correlate by a half, for the layers' matrices."""
    shapes, _ = read(evo.TINY / model / "model.safetensors")
    side = {k: s[1] for k, s in shapes.items() if len(s) == 2 and ".layers." in k}
    matrix = {n: array.array("f", (0.5 ** abs(i - j) for i in range(n) for j in range(n))).tobytes() for n in set(side.values())}
    header, at = {}, 0
    for k, n in side.items():
        header[k] = {"dtype": "F32", "shape": [n, n], "data_offsets": [at, at + 4 * n * n]}
        at += 4 * n * n
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(matrix[n] for n in side.values()))


def make_files(folder):
    """What examples name and the tree does not have."""
    (folder / "models").symlink_to(evo.SOURCE / "models")
    for name, model in MODELS.items():
        evo.fisher(folder, f"{name}-fisher.safetensors", model)
        gram(folder, f"{name}-gram.safetensors", model)
    result = evo.run("extract-lora", evo.TINY / "mini-ja", evo.TINY / "mini-base", folder / "adapter", "--rank", "4")
    evo.check("an adapter for the examples", result.returncode == 0, result.stderr)


def sections(page):
    return {s.split("\n", 1)[0]: s for s in page.split("\n### ")[1:]}


def expected(node):
    """Names and shapes of the result: those of the models, or of a path's layers."""
    shapes, _ = read(evo.TINY / "mini-base/model.safetensors")
    if node["use"] != "merge.layer-path":
        return shapes
    hops = [layer for part in node["path"] for low, high in re.findall(r":(\d+)-(\d+)", part) for layer in range(int(low), int(high) + 1)]
    out = {k: s for k, s in shapes.items() if ".layers." not in k}
    for hop in range(len(hops)):
        out |= {k.replace(".layers.0.", f".layers.{hop}."): s for k, s in shapes.items() if ".layers.0." in k}
    return out


def check_example(folder, op, text):
    pipeline = json.loads(text)
    node = pipeline["nodes"][next(iter(pipeline["save"]))]
    set_keys = node.keys() | {k for edge in node.get("in", []) if isinstance(edge, dict) for k in edge}
    tunable = {p["name"] for p in op["params"] + op["in_params"] if "search" in p}
    evo.check(f"{op['name']}: its example uses it, and sets what can be evolved", node["use"] == op["name"] and (not tunable or tunable & set_keys), text)
    file = evo.write(folder, op["name"] + ".json", text)
    result = evo.run("merge", file, folder / op["name"])
    if not evo.check(f"{op['name']}: its example runs", result.returncode == 0, result.stderr):
        return
    shapes, data = read(folder / op["name"] / "model.safetensors")
    evo.check(f"{op['name']}: all tensors, all finite", shapes == expected(node) and is_finite(data), sorted(shapes.keys() ^ expected(node).keys()))
    evo.check(f"{op['name']}: none of its sources", all(data != read(evo.TINY / m / "model.safetensors")[1] for m in MODELS.values()))


def check_operator(folder, op, section):
    for key in ("formula", "source"):
        evo.check(f"{op['name']} has a {key}, on the page and for a terminal", op[key] and op[key] in section and
                  op[key] in evo.run("inspect", op["name"]).stdout, op[key])
    blocks = re.findall(r"```json\n(.*?)```", section, re.S)
    if evo.check(f"{op['name']} has an example", len(blocks) == 1, section):
        check_example(folder, op, blocks[0])


with evo.folder() as name:
    folder = pathlib.Path(name)
    make_files(folder)
    by_name = sections(evo.run("inspect", "--markdown").stdout)
    operators = [p for p in json.loads(evo.run("inspect", "--json").stdout) if "in_params" in p]
    evo.check("the registry has all of plugins/merge", {p["name"] for p in operators} >= {f"merge.{f.stem}" for f in (evo.SOURCE / "plugins/merge").glob("*.c")})
    for op in operators:
        check_operator(folder, op, by_name.get(op["name"], ""))
    evo.check("all examples of the page were run", sum(s.count("```json") for s in by_name.values()) == len(operators))
evo.finish()
