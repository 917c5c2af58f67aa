# SPDX-License-Identifier: Apache-2.0
"""merge.py - merges beside mergekit and beside a plain read/write loop: seconds before fsync, fsync apart, ratios against their targets.

Both programs are given the same recipe. evopipe syncs what it wrote before it is done and says how long that took; the others' output is synced
here. `cold`: the sources are out of the page cache (posix_fadvise) before every run. Every round of runs is kept in rounds.json: --resume goes on with
those of the same programs on the same processor, so that the whole table, which takes hours, may be measured in parts; without mergekit's own runs
(--peer-runs 0) its figures are those kept, and the table says when they were measured.
"""
import datetime, hashlib, json, os, pathlib, shutil, statistics, subprocess, sys, time

DELTA = dict(density=0.5)
# Method: models beside the base (None: no base), parameters of each model, of the merge; targets: times mergekit's speed, times the loop's time.
METHODS = {
    "linear": (None, 3, dict(weight=0.5), {}, 5, 1.3), "slerp": (None, 2, {}, dict(t=0.4), 5, 1.3),
    "nuslerp": (None, 2, dict(weight=0.5), {}, 5, None), "multislerp": (None, 3, dict(weight=0.5), {}, 5, None), "karcher": (None, 3, {}, {}, 5, None),
    "task_arithmetic": ("m0", 2, dict(weight=0.5), {}, 4, 1.3), "model_stock": ("m0", 2, {}, {}, 4, None),
    "ties": ("m0", 2, dict(DELTA, weight=0.5), {}, 25, 2.5), "dare_linear": ("m0", 2, dict(DELTA, weight=0.5), {}, 12, None),
    "dare_ties": ("m0", 2, dict(DELTA, weight=0.5), {}, 12, 1.6), "della": ("m0", 2, dict(DELTA, weight=0.5, epsilon=0.15), {}, 25, None),
    "della_linear": ("m0", 2, dict(DELTA, weight=0.5, epsilon=0.15), {}, 25, None),
    "breadcrumbs": ("m0", 2, dict(density=0.9, gamma=0.01, weight=0.5), {}, 25, None),
    "breadcrumbs_ties": ("m0", 2, dict(density=0.9, gamma=0.01, weight=0.5), {}, 25, None),
    "sce": ("m0", 2, {}, dict(select_topk=0.5), 5, None), "nearswap": ("m0", 1, {}, dict(t=0.001), 5, None), "arcee_fusion": ("m0", 1, {}, {}, 5, None),
    "ram": ("m0", 2, {}, {}, 5, None), "ramplus_tl": ("m0", 2, {}, {}, 5, None), "passthrough": (None, 1, {}, {}, 5, 1.2)}
# Methods that mergekit has not got, as pipelines: parameters, number of models, whether the first is the base.
OWN = {"consensus-ta": ({}, 3, True), "consensus-ties": ({}, 3, True), "geometric-median": ({}, 3, False), "top-k-sum": ({}, 2, False),
       "cosine": ({}, 2, False), "crossover": ({}, 2, False), "sum-twice": ({}, 3, False), "triple-sum": ({}, 3, False),
       "add-difference": ({}, 3, False), "train-difference": ({}, 3, False)}


def recipe(name, models):
    """(text, file suffix, names of the models that are read)"""
    if name in OWN:
        parameters, n, based = OWN[name]
        names = list(models)[:n]
        node = dict(use=f"merge.{name}", **parameters, **({"base": names[0]} if based else {}), **{"in": [{"from": m} for m in names[based:]]})
        return json.dumps(dict(evopipe=1, nodes={**{m: dict(use="model.llm", path=str(models[m])) for m in names}, "blend": node})), ".json", names
    base, n, each, whole, _, _ = METHODS[name]
    names = [m for m in models if m != base][:n]
    lines = [f"merge_method: {name}", "dtype: bfloat16", "models:"]
    for m in names:
        lines += [f"  - model: {models[m]}"] + (["    parameters:"] if each else []) + [f"      {k}: {v}" for k, v in each.items()]
    if base or name == "slerp":
        lines.append(f"base_model: {models[base or names[0]]}")
    if whole:
        lines += ["parameters:"] + [f"  {k}: {v}" for k, v in whole.items()]
    return "\n".join(lines) + "\n", ".yml", names + ([base] if base else [])


def fsync(folder):
    began = time.perf_counter()
    for path in [*pathlib.Path(folder).rglob("*"), pathlib.Path(folder)]:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return time.perf_counter() - began


def prepare(cache, sources, out):
    """No output, nothing dirty, the sources in the page cache or out of it: every run begins alike."""
    shutil.rmtree(out, ignore_errors=True)
    os.sync()
    block = bytearray(1 << 20)
    for source in sources:
        with open(source / "model.safetensors", "rb", buffering=0) as file:
            if cache == "cold":
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while cache == "warm" and file.readinto(block):
                pass


def timed(command, env):
    """What the command printed, its seconds."""
    began = time.perf_counter()
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    output, error = process.communicate()
    took = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{command[0]} failed: {error[-2000:]}")
    return output, took


def anonymous_peak(command, env):
    """Largest RssAnon of the process, in MB, sampled every 5 ms."""
    process, most = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, env=env), 0
    while process.poll() is None:
        try:
            for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    most = max(most, int(line.split()[1]) / 1024)
        except OSError:
            pass
        time.sleep(0.005)
    return most


def programs(build):
    """What a figure of ours depends on, in short."""
    digest = hashlib.sha256()
    for path in [build / "core/cli/evopipe", *sorted((build / "plugins").rglob("*.so"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def processor():
    lines = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("model name", "model\t", "stepping"))]
    return f"{os.cpu_count()} x {' '.join(line.split(':')[1].strip() for line in lines[:3])}"


class Bench:
    def __init__(self, options, mergekit, env):
        self.o, self.mergekit, self.env = options, mergekit, env
        self.out = options.dir / "out"
        self.programs, self.processor = programs(options.build), processor()
        self.kept_path = options.dir / "rounds.json"
        self.kept = json.loads(self.kept_path.read_text()) if self.kept_path.exists() else {}

    def command(self, file):
        return [self.o.build / "core/cli/evopipe", "merge", file, self.out, "--json"]

    def one(self, who, file, sources, cache):
        """(seconds before the sync, seconds of it)"""
        prepare(cache, sources, self.out)
        if who == "evopipe":
            text, took = timed(self.command(file), self.env)
            sync = json.loads(text)["seconds"]["sync"]
            return took - sync, sync
        if who == "mergekit":
            _, took = timed([self.mergekit / "mergekit-yaml", file, self.out, "--no-copy-tokenizer", "--allow-crimes"], self.env)
            return took, fsync(self.out)
        self.out.mkdir(parents=True)
        text, _ = timed([self.o.build / "bench/readwrite", self.out / "model.safetensors", *[s / "model.safetensors" for s in sources]], self.env)
        found = json.loads(text)
        return found["seconds"], found["sync"]

    def rounds(self, name, cache):
        """Those kept that count, as they are in self.kept."""
        every = self.kept.setdefault(f"{name} {cache} {self.o.shape}", [])
        return [r for r in every if self.o.resume and (r["programs"], r["processor"]) == (self.programs, self.processor)], every

    def measure(self, name, file, sources, cache):
        """One run of each by turns until there are as many as were asked for."""
        rounds, every = self.rounds(name, cache)
        wanted = dict(evopipe=self.o.runs, mergekit=self.o.peer_runs if name in METHODS else 0, loop=self.o.runs)
        while missing := [who for who, n in wanted.items() if sum(who in r for r in rounds) < n]:
            one = dict(programs=self.programs, processor=self.processor, when=datetime.datetime.now().isoformat(" ", "minutes"))
            one.update({who: self.one(who, file, sources, cache) for who in missing})
            rounds.append(one)
            every.append(one)
            self.kept_path.write_text(json.dumps(self.kept, indent=1))
        return rounds

    def peer(self, name, cache, rounds):
        """(seconds, sync, note) of mergekit: of these rounds, else of kept ones with their date."""
        note, runs = "", [r["mergekit"] for r in rounds if "mergekit" in r]
        if not runs:
            kept = [r for r in self.rounds(name, cache)[1] if "mergekit" in r and r["processor"] == self.processor]
            if not kept:
                return None
            runs = [r["mergekit"] for r in kept]
            note = f"mergekit's figure is not of these runs: {len(runs)} until {kept[-1]['when']}"
        return *(statistics.median(x) for x in zip(*runs)), note

    def row(self, name, models, cache):
        text, suffix, names = recipe(name, models)
        file, sources = self.o.dir / (name + suffix), [models[m] for m in names]
        file.write_text(text)
        rounds = self.measure(name, file, sources, cache)
        ours, loop = (tuple(statistics.median(x) for x in zip(*(r[who] for r in rounds if who in r))) for who in ("evopipe", "loop"))
        theirs = self.peer(name, cache, rounds)
        memory = None
        if cache == "warm":
            prepare(cache, sources, self.out)
            memory = anonymous_peak(self.command(file), self.env)
        shutil.rmtree(self.out, ignore_errors=True)
        fast, near = METHODS[name][4:] if name in METHODS else (None, None)
        self.print_row(name, ours, theirs, loop, fast, near, memory)

    def print_row(self, name, ours, theirs, loop, fast, near, memory):
        def judged(ratio, target, good, sign):
            return f"{ratio:8.2f}" + (" " * 11 if target is None else f" ({sign}{target:5}) {'ok' if good else 'NO'}")

        line = f"{name:17}{ours[0]:8.2f} +{ours[1]:5.2f}"
        if theirs is None:
            line += f"{'-':>10}{'':7}{'':21}"
        else:
            ratio = theirs[0] / ours[0]
            line += f"{theirs[0]:10.2f} +{theirs[1]:5.2f}{judged(ratio, fast, fast is None or ratio >= fast, '>='):21}"
        ratio = ours[0] / loop[0]
        line += f"{loop[0]:9.2f} +{loop[1]:5.2f}{judged(ratio, near, near is None or ratio <= near, '<='):21}"
        line += "" if memory is None else f"{memory:7.0f} MB {'ok' if memory <= 300 else 'NO'}"
        print(line + (f"  [{theirs[2]}]" if theirs and theirs[2] else ""), flush=True)


def table(options, mergekit, env, models):
    names = [*METHODS, *OWN] if options.methods == "all" else options.methods.split(",")
    for name in names:
        if name not in METHODS and name not in OWN:
            sys.exit(f"{name}: is none of {', '.join([*METHODS, *OWN])}")
    bench = Bench(options, mergekit, env)
    for cache in options.cache.split(","):
        print(f"\nmerging {options.shape} models, bf16 -> bf16, {os.cpu_count()} cores, sources {cache}, "
              f"{datetime.datetime.now().isoformat(' ', 'minutes')}; medians of {options.runs} runs by turns, mergekit {options.peer_runs}; "
              "seconds + fsync; ratios are of the seconds before it")
        print(f"{'':17}{'evopipe':>15}{'mergekit':>17}{'times as fast':>15}{'':6}{'read/write loop':>16}{'times its time':>15}{'':6}{'RssAnon':>7}")
        for name in names:
            bench.row(name, models, cache)


def resident(options, env, models):
    """Into memory, as a search does it, with the operators' own defaults: source bytes a second beside those of a plain copy of the same sources."""
    print(f"\ninto a resident model, {os.cpu_count()} threads, {options.shape} models; GB of sources a second, medians of {options.runs}")
    for name, based, target in (("linear", False, 1 / 1.5), ("dare-ties", True, 1 / 2.5)):
        node = dict(use=f"merge.{name}", **({"base": "m0"} if based else {}),
                    **{"in": [dict({"from": m}, weight=0.5, **({"density": 0.5} if based else {})) for m in list(models)[based:]]})
        file = options.dir / f"resident-{name}.json"
        file.write_text(json.dumps(dict(evopipe=1, nodes={**{m: dict(use="model.llm", path=str(models[m])) for m in models}, "blend": node})))
        found = json.loads(timed([options.build / "bench/resident", file, str(os.cpu_count()), str(options.runs)], env)[0])
        share = found["merge"] / found["copy"]
        print(f"{name:17} merge {found['merge']:6.2f}   copy {found['copy']:6.2f}   {share:5.2f} (>={target:5.2f}) {'ok' if share >= target else 'NO'}   "
              f"memory traffic {found['traffic']:5.1f} GB/s, {found['traffic'] / found['copy_traffic']:.2f} of the copy's", flush=True)
