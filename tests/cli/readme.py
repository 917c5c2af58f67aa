#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""readme.py - installs evopipe into an empty folder and does what README.md's "Your first pipeline" and "Your first operator" say, line by line."""
import json, os, pathlib, re, shutil, subprocess, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

README = (evo.SOURCE / "README.md").read_text()


def section(title):
    return re.split(rf"(?m)^## {title}$", README)[1].split("\n## ")[0]


def blocks(title):
    """[(language, text)] of a section's fenced blocks, in order."""
    return re.findall(r"```(\w+)\n(.*?)```", section(title), re.S)


def install(folder):
    """A staged installation, as a packager makes it; nothing of the build tree is used after."""
    result = subprocess.run(["meson", "install", "-C", str(evo.BUILD), "--no-rebuild", "--destdir", str(folder)], capture_output=True, text=True)
    evo.check("meson install", result.returncode == 0, result.stdout + result.stderr)
    program = next(folder.glob("**/bin/evopipe"))
    prefix = program.parents[1]
    configs = {str(p.parent) for p in prefix.glob("**/evopipe.pc")}
    evo.check("installs evopipe.pc, three headers, plugins, templates, examples", len(configs) == 1 and len(list(prefix.glob("include/*.h"))) == 3
              and list(prefix.glob("**/evopipe/plugins/merge/linear.so")) and list(prefix.glob("share/evopipe/pipelines/templates/*.txt"))
              and list(prefix.glob("share/evopipe/pipelines/examples/*.json")), sorted(map(str, prefix.glob("**/evopipe*"))))
    env = {k: v for k, v in os.environ.items() if not k.startswith("EVO")}
    return {**env, "PATH": f"{program.parent}:{env['PATH']}", "PKG_CONFIG_PATH": configs.pop()}


def shell(command, env, cwd):
    return subprocess.run(["sh", "-ec", command], env=env, cwd=cwd, capture_output=True, text=True, timeout=300)


def follow(title, folder, env):
    """Writes the section's files (a block whose first line names one) and runs its sh blocks; returns what they printed."""
    shutil.copytree(evo.SOURCE / "models/tiny", folder / "models/tiny", dirs_exist_ok=True)
    shutil.copytree(evo.EXAMPLES, folder / "pipelines/examples", dirs_exist_ok=True)
    printed = ""
    for language, text in blocks(title):
        if language == "sh":
            for command in text.strip().splitlines():
                result = shell(command, env, folder)
                printed += result.stdout
                evo.check(f"{title}: {command}", result.returncode == 0, result.stdout + result.stderr)
        elif language in ("c", "json"):
            names = re.findall(r"`([\w./-]+\." + language + ")`", section(title)[:section(title).index(text)])
            evo.check(f"{title}: the text names the file of its {language} block", names)
            evo.write(folder, names[-1], text)
    return printed


with evo.folder() as name:
    name = pathlib.Path(name)
    env = install(name / "root")
    for title in ("Your first pipeline", "Your first operator"):
        place = name / title.split()[-1]
        place.mkdir()
        printed = follow(title, place, env)
        evo.check(f"{title}: ends in a table", "95 % intervals" in printed, printed)
    place = name / "operator"
    pipeline = next(place.glob("*.json"))
    text = json.loads(pipeline.read_text())
    operator = next(n["use"] for n in text["nodes"].values() if n["use"].startswith("merge.") and not (evo.SOURCE / f"plugins/merge/{n['use'][6:]}.c").exists())
    evo.check("the operator is not of this tree and is listed", operator in shell("evopipe inspect", {**env, "EVOPIPE_PLUGIN_PATH": str(place)}, "/").stdout)
    digests = set()
    for i, threads in enumerate((1, 2, 3)):
        result = shell(f"evopipe run {pipeline} --out {place}/again{i} --threads {threads} --jobs {i + 1}", {**env, "EVOPIPE_PLUGIN_PATH": str(place)}, "/")
        evo.check(f"searched over again with {threads} threads, {i + 1} jobs", result.returncode == 0, result.stderr)
        saved = sorted((place / f"again{i}").glob("*/model.safetensors"))
        digests.add(tuple(evo.digest(s) for s in saved))
    evo.check("its searched merge is the same to the bit every time", len(digests) == 1 and digests.pop(), digests)
evo.finish()
