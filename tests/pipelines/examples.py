#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""examples.py - every pipeline in pipelines/examples is checked, run with --smoke from another directory, and writes all it should."""
import json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

for file in sorted(evo.EXAMPLES.glob("*.json")):
    with evo.folder() as name:
        folder = pathlib.Path(name)
        pipeline = json.loads(file.read_text())
        result = evo.run("check", file, cwd=folder)
        evo.check(f"{file.name}: check", result.returncode == 0 and not result.stderr, result.stderr)
        result = evo.run("run", file, "--smoke", cwd=folder)
        out = folder / f"{file.stem}.run"
        evo.check(f"{file.name}: --smoke", result.returncode == 0, result.stderr)
        for node, path in pipeline.get("save", {}).items():
            saved = out / (path if isinstance(path, str) else path["path"])
            for wanted in ("model.safetensors", "config.json", "tokenizer.json", "README.md", "evopipe.json"):
                evo.check(f"{file.name}: {node}: {wanted}", (saved / wanted).stat().st_size > 0)
        scores = json.loads((out / "scores.json").read_text())
        searches = [n for n, v in pipeline["nodes"].items() if v["use"].startswith("optimizer.")]
        evo.check(f"{file.name}: scores.json has its searches", list(scores["searches"]) == searches, scores["searches"])
        evo.check(f"{file.name}: a table", "intervals" in result.stdout, result.stdout)
evo.finish()
