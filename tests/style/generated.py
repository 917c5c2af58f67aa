#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""generated.py - plugins/README.md and pipelines/pipeline.schema.json are what the program prints, and tell nothing of the machine that made them."""
import pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

for path, args in (("plugins/README.md", ["inspect", "--markdown"]), ("pipelines/pipeline.schema.json", ["schema"])):
    text = (evo.SOURCE / path).read_text()
    printed = evo.run(*args)
    evo.check(f"{path} is what evopipe {' '.join(args)} prints", printed.returncode == 0 and text == printed.stdout,
              f"make it again: evopipe {' '.join(args)} > {path}")
    evo.check(f"{path}: no path of a file or folder of this machine", ".so" not in text and str(evo.SOURCE) not in text and str(evo.BUILD) not in text)
evo.finish()
