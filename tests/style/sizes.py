#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sizes.py - the sizes that style holds: of functions, files, operators and the public header; and what every file begins with."""
import pathlib, re, statistics, sys

ROOT = pathlib.Path(sys.argv[1])
CODE = sorted([*ROOT.glob("core/**/*.[ch]"), *ROOT.glob("plugins/**/*.[ch]")])
found = []


def name(file):
    return file.relative_to(ROOT).as_posix()


def functions(file):
    """(name, lines) of every function: from a line that is not indented and ends in ')' to the closing brace in column one."""
    lines, start = file.read_text().splitlines(), None
    for i, line in enumerate(lines):
        if line == "{" and i and start is None:
            start = i
        elif line == "}" and start is not None:
            head = next(l for l in reversed(lines[:start]) if re.match(r"\w+ \(", l) or re.match(r"[\w ]+\(", l))
            yield head.split(" (")[0], i - start + 2
            start = None


def share(values, limit):
    return sum(v <= limit for v in values) / max(len(values), 1)


def hold(what, is_so):
    if not is_so:
        found.append(what)


lengths = []
for file in CODE:
    text = file.read_text()
    hold(f"{name(file)}: does not begin with its SPDX line", text.startswith("/* SPDX-License-Identifier: Apache-2.0\n"))
    hold(f"{name(file)}: its second line does not say what it is ({file.name} - ...)", f"\n * {file.name} - " in text[:200] or "plugins/" in name(file))
    for function, lines in functions(file):
        if "/kernels/" not in name(file):
            lengths.append(lines)
            hold(f"{name(file)}: {function} has {lines} lines (80)", lines <= 80)
core = [len(f.read_text().splitlines()) for f in CODE if f.suffix == ".c" and name(f).startswith("core/")]
for file in CODE:
    n = len(file.read_text().splitlines())
    hold(f"{name(file)}: {n} lines (800)", n <= 800)
operators = [len(f.read_text().splitlines()) for f in ROOT.glob("plugins/merge/*.c")]
hold(f"functions: median {statistics.median(lengths)} lines (12)", statistics.median(lengths) <= 12)
hold(f"functions: {share(lengths, 40):.0%} have at most 40 lines (90 %)", share(lengths, 40) >= .9)
hold(f"core files: median {statistics.median(core)} lines (250)", statistics.median(core) <= 250)
hold(f"core files: {share(core, 500):.0%} have at most 500 lines (90 %)", share(core, 500) >= .9)
hold(f"operators: median {statistics.median(operators)} lines (100)", statistics.median(operators) <= 100)
hold("evopipe.h: more than 300 lines", len((ROOT / "core/abi/evopipe.h").read_text().splitlines()) <= 300)
print(f"{len(lengths)} functions, median {statistics.median(lengths)}; {len(core)} core files, median {statistics.median(core)}")
print(*found, sep="\n")
sys.exit(bool(found))
