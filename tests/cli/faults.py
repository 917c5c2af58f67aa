#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""faults.py - a source that shrinks while it is merged, a full disk, weights that are no numbers, a signal: a sentence, an exit code, nothing half-written."""
import json, os, pathlib, resource, signal, subprocess, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

ROWS, COLS, TENSORS = 4096, 1024, 40


def write_model(folder, value=b"\x80\x3f", tensors=TENSORS, patch=None):
    """A directory of one safetensors file with bf16 tensors filled with one value; patch: (tensor, element, two bytes)."""
    folder.mkdir()
    n = ROWS * COLS * 2
    header = {f"t{i:02}": dict(dtype="BF16", shape=[ROWS, COLS], data_offsets=[i * n, (i + 1) * n]) for i in range(tensors)}
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(tensors):
            file.write(value * (ROWS * COLS))
        if patch:
            file.seek(8 + len(text) + patch[0] * n + patch[1] * 2)
            file.write(patch[2])
    return folder


def recipe(folder, *models, use="merge.linear"):
    nodes = {m.name: {"use": "model.llm", "path": str(m)} for m in models}
    return evo.write(folder, "merge.json", evo.pipeline({**nodes, "blend": {"use": use, "in": list(nodes)}}))


def leftovers(folder, out):
    return [p.name for p in folder.iterdir() if p.name.startswith((out, "." + out))]


def is_line(result, code, *words):
    return result.returncode == code and result.stderr.count("\n") == 1 and all(w in result.stderr for w in words)


def start(file, out, **more):
    return subprocess.Popen([str(evo.PROGRAM), "merge", str(file), str(out), "--threads", "1"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                            text=True, env={**os.environ, "EVO_CPU": "ref"}, **more)


def when_writing(process, folder, out):
    """Waits until the output is being written."""
    while process.poll() is None and not any(p.name.startswith("." + out) for p in folder.iterdir()):
        time.sleep(0.001)
    time.sleep(0.02)


def end(process):
    _, error = process.communicate(timeout=120)
    return subprocess.CompletedProcess([], process.returncode, "", error)


with evo.folder() as name:
    folder = pathlib.Path(name)
    a, b = write_model(folder / "a"), write_model(folder / "b", b"\x00\x40")
    file = recipe(folder, a, b)
    process = start(file, folder / "out")
    when_writing(process, folder, "out")
    os.truncate(b / "model.safetensors", 100000)
    result = end(process)
    evo.check("a source that shrinks while merged: exit 4, a sentence", is_line(result, 4, str(b / "model.safetensors")), f"{result.returncode} {result.stderr}")
    evo.check("a source that shrinks while merged: nothing is left", not leftovers(folder, "out"), leftovers(folder, "out"))
    result = evo.run("merge", file, folder / "out")
    evo.check("a truncated source: exit 4, a sentence", is_line(result, 4, str(b / "model.safetensors")), result.stderr)
    (b / "model.safetensors").unlink()
    b.rmdir()
    b = write_model(folder / "b", b"\x00\x40")

    process = start(file, folder / "out", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20)))
    result = end(process)
    evo.check("a full disk (file size limit): exit 4, a sentence", is_line(result, 4, "out"), f"{result.returncode} {result.stderr}")
    evo.check("a full disk: nothing is left", not leftovers(folder, "out"), leftovers(folder, "out"))

    process = start(file, folder / "out")
    when_writing(process, folder, "out")
    process.send_signal(signal.SIGTERM)
    result = end(process)
    evo.check("SIGTERM while merging: exit 5", result.returncode == 5 and "Traceback" not in result.stderr, f"{result.returncode} {result.stderr}")
    evo.check("SIGTERM while merging: nothing is left", not leftovers(folder, "out"), leftovers(folder, "out"))

    process = start(file, folder / "out")
    when_writing(process, folder, "out")
    process.kill()
    end(process)
    result = evo.run("merge", file, folder / "out")
    evo.check("SIGKILL while merging: the next merge works and clears away", result.returncode == 0 and leftovers(folder, "out") == ["out"], result.stderr)
    result = evo.run("merge", file, folder / "out")
    evo.check("an existing output is not overwritten", is_line(result, 2, "out", "exists"), result.stderr)
    evo.check("--force overwrites it", evo.run("merge", file, folder / "out", "--force").returncode == 0)

    for what, bits in (("a NaN", b"\xc0\x7f"), ("an infinity", b"\x80\x7f")):
        bad = write_model(folder / f"bad{bits[0]}", tensors=2, patch=(1, 77777, bits))
        good = folder / "two"
        if not good.exists():
            write_model(good, tensors=2)
        result = evo.run("merge", recipe(folder, good, bad), folder / "out2")
        evo.check(f"{what} in a source: exit 4, names model and tensor", is_line(result, 4, bad.name, '"t01"', what, "77777"), result.stderr)
        evo.check(f"{what} in a source: nothing is left", not leftovers(folder, "out2"))
    result = evo.run("merge", recipe(folder, folder / "two", a), folder / "out2")
    evo.check("another set of tensors: exit 2", is_line(result, 2, "blend", "two", '"t'), result.stderr)
evo.finish()
