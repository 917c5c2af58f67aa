#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tested.py - every public function of core/ is called by some test, directly or through the program; and what nothing calls is gone."""
import collections, pathlib, re, sys

ROOT = pathlib.Path(sys.argv[1])
headers = [f for f in ROOT.glob("core/**/*.h") if "/abi/" not in f.as_posix()]
declared = {}
for header in headers:
    for m in re.finditer(r"\b(evo_\w+) \(", re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)):
        declared.setdefault(m[1], header.relative_to(ROOT).as_posix())
sources = {f: f.read_text() for d in ("core", "tests", "plugins", "bench") for f in ROOT.glob(d + "/**/*.[ch]")}
words = collections.Counter(w for text in sources.values() for w in re.findall(r"\w+", text))
tested = {w for f, text in sources.items() if f.is_relative_to(ROOT / "tests") for w in re.findall(r"\w+", text)}
quarks = {"evo_" + q.replace("-", "_") for text in sources.values() for q in re.findall(r"G_DEFINE_QUARK \(evo-[\w-]+, evo_(\w+)\)", text)}
found = [f"{header}: nothing calls {function}" for function, header in sorted(declared.items())
         if words[function] < 3 and function.removesuffix("_quark") not in quarks]
print(f"{len(declared)} public functions, {sum(f in tested for f in declared)} of them called by tests directly")
print(*found, sep="\n")
sys.exit(bool(found))
