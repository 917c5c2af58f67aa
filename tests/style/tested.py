#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tested.py - every public function of core/ is called by some test, directly or through the program; and what nothing calls is gone."""
import pathlib, re, sys

ROOT = pathlib.Path(sys.argv[1])
headers = [f for f in ROOT.glob("core/**/*.h") if "/abi/" not in f.as_posix()]
declared = {}
for header in headers:
    for m in re.finditer(r"\b(evo_\w+) \(", re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)):
        declared.setdefault(m[1], header.relative_to(ROOT).as_posix())
sources = {f: f.read_text() for d in ("core", "tests", "plugins") for f in ROOT.glob(d + "/**/*.c")}
everything = "\n".join(sources.values())
tests = "\n".join(t for f, t in sources.items() if f.is_relative_to(ROOT / "tests"))
found = []
for function, header in sorted(declared.items()):
    uses = len(re.findall(rf"\b{function}\b", everything))
    if uses < 2 and not re.search(rf"G_DEFINE\w*\b.*{function.removesuffix('_quark').replace('evo_', 'evo-').replace('_', '-')}", everything):
        found.append(f"{header}: nothing calls {function}")
print(f"{len(declared)} public functions, {sum(f in tests for f in declared)} of them called by tests directly")
print(*found, sep="\n")
sys.exit(bool(found))
