#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""golden.py - every recipe of the golden data, as it is: the numbers mergekit has, its names, layers and vocabulary."""
import array, csv, json, pathlib, shutil, struct, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

DATA = evo.SOURCE / "tests/data/golden"
FLAGS = {"linear-bigvocab-trunc": ["--unsafe-truncate-embeddings"]}  # as mergekit needed it
# Where we differ on purpose: the tensors, and why.
KNOWN = {
    "slices-last-more": ({"model.norm.weight", "lm_head.weight"},
                         "mergekit drops the sources that the last slice has more than the first from what follows the layers; here all are merged"),
}


def read(path):
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    told = header.pop("__metadata__", {})
    return told, {k: (v["dtype"], v["shape"], data[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]) for k, v in header.items()}


def numbers(dtype, raw):
    if dtype == "BF16":
        raw = array.array("I", [x << 16 for x in array.array("H", raw)]).tobytes()
    return array.array("f", raw)


def round_model(source, target):
    """f32 to bf16, to nearest, ties to even."""
    data = bytearray()
    _, tensors = read(source / "model.safetensors")
    header = {}
    for name, (_, shape, raw) in tensors.items():
        rounded = array.array("H", [(x + 0x7fff + (x >> 16 & 1)) >> 16 for x in array.array("I", raw)]).tobytes()
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(rounded)]}
        data += rounded
    text = json.dumps(header).encode()
    shutil.copytree(source, target)
    (target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def far_ones(wanted, told, ours, tolerance, may_share):
    """Names of tensors further away than allowed; of a share all elements of the case are the whole."""
    far, beyond, n = {}, 0, 0
    for name, (dtype, _, raw) in wanted.items():
        shape, first, step, largest = told[name]
        if name not in ours or ours[name][:2] != (dtype, shape):
            far[name] = f"{ours.get(name, 'missing')[:2]}, not {dtype} {shape}"
            continue
        differences = [abs(a - b) for a, b in zip(numbers(dtype, raw), numbers(*ours[name][::2])[first::step])]
        above = sum(not d <= tolerance * largest for d in differences)
        beyond, n = beyond + above, n + len(differences)
        if above and not may_share:
            far[name] = f"{above} of {len(differences)} elements, up to {max(differences) / largest if largest else max(differences):.3g}"
    if may_share and beyond > may_share * n:
        far["elements"] = f"{beyond} of {n}"
    return far


def test_case(folder, row, told, golden):
    case, out = row["case"], folder / row["case"]
    result = evo.run("merge", DATA / "recipes" / f"{case}.yml", out, *FLAGS.get(case, []), cwd=folder)
    if not evo.check(f"{case}: merges", result.returncode == 0, result.stderr) or row["tolerance"] == "statistical":
        return
    config, (_, ours) = json.loads((out / "config.json").read_text()), read(out / "model.safetensors")
    got = [str(x) for x in (len(ours), config["num_hidden_layers"], config["vocab_size"])]
    evo.check(f"{case}: tensors, layers and vocabulary are mergekit's", got == [row["tensors"], row["layers"], row["vocab_size"]], got)
    wanted = {k.split("/", 1)[1]: v for k, v in golden.items() if k.startswith(case + "/")}
    far = far_ones(wanted, {k.split("/", 1)[1]: json.loads(v) for k, v in told.items() if k.startswith(case + "/")}, ours,
                   float(row["tolerance"]), float(row["share"] or 0))
    known, reason = KNOWN.get(case, (set(), ""))
    evo.check(f"{case}: {len(wanted)} tensors as mergekit has them{', but for ' + str(len(known)) + ': ' + reason if known else ''}",
              len(wanted) > 0 and set(far) == known & set(wanted), far)


with evo.folder() as name:
    folder = pathlib.Path(name)
    shutil.copytree(DATA / "models", folder / "models")
    for model in ("base", "ft-a", "ft-b", "ft-c"):
        round_model(DATA / "models" / model, folder / "models-bf16" / model)
    told, golden = read(DATA / "golden.safetensors")
    rows = list(csv.DictReader((DATA / "cases.tsv").open(), delimiter="\t"))
    evo.check("there are 97 cases, 8 of them statistical", (len(rows), sum(r["tolerance"] == "statistical" for r in rows)) == (97, 8))
    for row in rows:
        test_case(folder, row, told, golden)
        shutil.rmtree(folder / row["case"], ignore_errors=True)
evo.finish()
