# SPDX-License-Identifier: Apache-2.0
"""evo.py - what the tests of the whole program share: running it, the small models, digests of what it wrote."""
import hashlib, json, os, pathlib, subprocess, sys, tempfile

SOURCE = pathlib.Path(os.environ["EVO_SOURCE"])
BUILD = pathlib.Path(os.environ["EVO_BUILD"])
PROGRAM = BUILD / "core/cli/evopipe"
TINY = SOURCE / "models/tiny"
EXAMPLES = SOURCE / "pipelines/examples"
SANITIZED = "asan" in os.environ.get("EVO_SANITIZE", "")
passed = failed = 0


def run(*args, env=None, cwd=None, timeout=300):
    return subprocess.run([str(PROGRAM), *map(str, args)], capture_output=True, text=True, cwd=cwd, timeout=timeout,
                          env={**os.environ, **(env or {})})


def check(what, is_so, detail=""):
    """One TAP line; the test goes on after a failure, so that a run shows all of them."""
    global passed, failed
    passed, failed = passed + bool(is_so), failed + (not is_so)
    print(f"{'ok' if is_so else 'not ok'} {passed + failed} - {what}", flush=True)
    if not is_so and detail:
        print("\n".join("# " + line for line in str(detail).splitlines()), flush=True)
    return is_so


def finish():
    print(f"1..{passed + failed}")
    sys.exit(failed > 0)


def digest(path):
    """Of a file, or of every *.safetensors in a directory."""
    path = pathlib.Path(path)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest() if files else None


def pipeline(nodes, **top):
    return {"evopipe": 1, "seed": 1, "nodes": nodes, **top}


def sources():
    return {n: {"use": "model.llm", "path": str(TINY / d)} for n, d in (("base", "mini-base"), ("ja", "mini-ja"), ("math", "mini-math-en"))}


def write(folder, name, content):
    path = pathlib.Path(folder) / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2))
    return path


def folder():
    return tempfile.TemporaryDirectory(prefix="evopipe-test-")


def fisher(folder, name, model):
    """A file of tensors that are a bf16 model's magnitudes: no Fisher information, but of its names and shapes."""
    data = bytearray((TINY / model / "model.safetensors").read_bytes())
    first = 8 + int.from_bytes(data[:8], "little") + 1
    data[first::2] = bytes(b & 0x7f for b in data[first::2])
    (pathlib.Path(folder) / name).write_bytes(data)
    return name


def exact_match(models, file="ja-evolve.jsonl", **more):
    return {"use": "evaluator.exact-match", "in": models, "data": str(EXAMPLES / file), "template": "ja-mini", "language": "ja",
            "language_test": "script", "max_tokens": 48, **more}


def table_of(result):
    """The final table: what a run prints before it says where things lie."""
    return result.stdout.split("\nscores:")[0]
