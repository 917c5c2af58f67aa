#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rooms.py - a file includes headers of its own room and of rooms to its left, and each foreign header has one owner."""
import pathlib, re, sys

ROOMS = "abi kernels base tensor store nn param registry graph search cli".split()
OWNERS = {  # foreign header -> the only files that may include it
    "dlfcn.h": r"core/registry/dl\.c", "cblas.h": r"core/kernels/blas\.c", "openblas_config.h": r"core/kernels/blas\.c",
    "stb_image.h": r"core/store/image\.c", "sqlite3.h": r"core/search/journal/journal\.c", "immintrin.h": r"core/kernels/x86/.*",
    "json-glib/json-glib.h": r"core/base/json.*\.c", "yaml.h": r"core/graph/recipe.*\.c",
}
PLUGIN_HEADERS = {"evopipe.h", "evopipe-model.h", "evopipe-kernels.h"}


def room_of(path):
    return ROOMS.index(path.split("/")[1])


def complaints(root):
    for file in sorted([*root.glob("core/**/*.[ch]"), *root.glob("plugins/**/*.[ch]")]):
        name = file.relative_to(root).as_posix()
        for number, line in enumerate(file.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not m:
                continue
            header, where = m[2], f"{name}:{number}"
            if header in OWNERS and not re.fullmatch(OWNERS[header], name):
                yield f"{where}: {header} belongs to {OWNERS[header]}"
            if m[1] == "<":
                continue
            if name.startswith("plugins/"):
                if header not in PLUGIN_HEADERS and not (file.parent / header).exists():
                    yield f"{where}: a plugin includes evopipe.h and headers beside itself, not {header}"
            elif header.startswith("core/"):
                if room_of(header) > room_of(name):
                    yield f"{where}: {header} is in a room to the right"
            elif header not in PLUGIN_HEADERS or not name.startswith("core/abi/"):
                yield f"{where}: \"{header}\" is not written from the root"
            if name.startswith("core/kernels/") and header.startswith("core/") and room_of(header) == ROOMS.index("base"):
                yield f"{where}: kernels are plain C"


found = list(complaints(pathlib.Path(sys.argv[1])))
print(*found, sep="\n")
print(f"{len(found)} complaints")
sys.exit(bool(found))
